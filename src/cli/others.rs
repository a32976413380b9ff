//! The words of other tools, and what each is here: one table of options and one of commands.
//! Messages read them; a row says `{1}`, `{2}` for the words that the option takes.

use super::Cli;
use crate::language::spelled::literal;
use crate::policy::mounts::is_of_the_system;
use crate::text::shell::shell_word;

/// What an option of another tool means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// Options of stockade, parted by blanks.
    Options(&'static str),
    /// A line of TOML for `--config`, in which each word is a string.
    Line(&'static str),
    /// `--memory`, with the unit as it is written here.
    Memory,
    /// Device nodes of the host at a path.
    Devices,
    /// A limit of getrlimit(2), as `NAME=SOFT[:HARD]`.
    Limit,
    /// Docker's word for what `[seccomp]` and others say.
    Security,
    /// No option is needed, and why.
    Default(&'static str),
    /// The profile itself.
    Profile,
    /// The command `plan` in the place of this one.
    Plan,
    /// There is nothing like it: why, or what to do.
    Nothing(&'static str),
}

use Means::{Default, Devices, Limit, Line, Memory, Nothing, Options, Plan, Profile, Security};

const NO_PORTS: &str = "ports inside cannot be published yet";

/// Which tools have an option, the option in its spellings, how many words it takes, and what it
/// means.
pub(crate) type Other = (&'static str, &'static [&'static str], usize, Means);

/// Every option that is known of others.
pub(crate) const OPTIONS: &[Other] = &[
    // ---- files ----
    ("bwrap", &["--ro-bind", "--ro-bind-try"], 2, Options("--ro {1}:{2}")),
    ("bwrap", &["--bind", "--bind-try"], 2, Options("--rw {1}:{2}")),
    ("docker, podman", &["-v", "--volume"], 1, Options("--rw {1}")),
    ("docker, podman, bwrap", &["--tmpfs"], 1, Line("mounts.{1} = \"tmpfs\"")),
    ("bwrap", &["--proc"], 1, Line("mounts.{1} = \"proc\"")),
    ("bwrap", &["--dev"], 1, Line("mounts.{1} = \"dev\"")),
    ("bwrap", &["--dev-bind", "--dev-bind-try"], 2, Devices),
    ("docker, podman", &["--device"], 1, Line("mounts.{1} = \"device\"")),
    ("bwrap", &["--symlink"], 2, Line("mounts.{2} = { symlink = {1} }")),
    ("bwrap", &["--dir"], 1, Line("mounts.{1} = \"dir\"")),
    ("firejail", &["--whitelist"], 1, Options("--rw {1}")),
    ("firejail", &["--blacklist"], 1, Options("--hide {1}")),
    (
        "docker, podman",
        &["--read-only"],
        0,
        Default("the root is read-only but for what a line grants"),
    ),
    (
        "firejail",
        &["--private", "--private-tmp", "--private-dev"],
        0,
        Default("of a home, /tmp and /dev the target sees what the profile grants"),
    ),
    // ---- environment, directory, ids ----
    ("docker, podman", &["-e"], 1, Options("--env {1}")),
    ("bwrap", &["--setenv"], 2, Options("--env {1}={2}")),
    ("bwrap", &["--unsetenv"], 1, Line("env.{1} = false")),
    ("bwrap", &["--clearenv"], 0, Default("the environment begins empty")),
    ("docker, podman", &["-w", "--workdir"], 1, Options("--cwd {1}")),
    ("bwrap", &["--chdir", "--cd", "--directory"], 1, Options("--cwd {1}")),
    ("docker, podman", &["-u", "--user", "--uid"], 1, Line("identity.user = {1}")),
    ("bwrap", &["--gid"], 1, Line("identity.group = {1}")),
    ("docker, podman, bwrap", &["--hostname"], 1, Line("namespaces.hostname = {1}")),
    // ---- network ----
    ("docker, podman", &["--network"], 1, Options("--net {1}")),
    ("bwrap", &["--unshare-net"], 0, Options("--net none")),
    ("bwrap", &["--share-net"], 0, Options("--net host")),
    // ---- limits ----
    ("docker, podman", &["-m"], 1, Memory),
    ("docker, podman", &["--cpus"], 1, Line("limits.cpu = {1}")),
    ("docker, podman", &["--pids-limit"], 1, Line("limits.pids = {1}")),
    ("docker, podman", &["--ulimit"], 1, Limit),
    ("firejail", &["--rlimit-as"], 1, Line("rlimits.as = {1}")),
    ("firejail", &["--rlimit-cpu"], 1, Line("rlimits.cpu = {1}")),
    ("firejail", &["--rlimit-fsize"], 1, Line("rlimits.fsize = {1}")),
    ("firejail", &["--rlimit-nofile"], 1, Line("rlimits.nofile = {1}")),
    ("firejail", &["--rlimit-nproc"], 1, Line("rlimits.nproc = {1}")),
    ("firejail", &["--rlimit-sigpending"], 1, Line("rlimits.sigpending = {1}")),
    // ---- powers ----
    ("docker, podman, bwrap", &["--cap-add"], 1, Line("capabilities.ambient = [{1}]")),
    (
        "docker, podman, bwrap",
        &["--cap-drop"],
        1,
        Default("every capability is dropped but those that a line keeps"),
    ),
    (
        "docker, podman",
        &["--privileged"],
        0,
        Nothing("no option gives all up: name what is needed, or run without a sandbox"),
    ),
    ("docker, podman", &["--security-opt"], 1, Security),
    // ---- namespaces and life ----
    (
        "bwrap",
        &[
            "--unshare-all",
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup",
        ],
        0,
        Default("every namespace is new"),
    ),
    (
        "bwrap",
        &["--die-with-parent", "--new-session", "--as-pid-1"],
        0,
        Default("nothing outlives the launcher, and no input can be pushed back into its terminal"),
    ),
    (
        "docker, podman",
        &["--rm", "--init"],
        0,
        Default("a sandbox leaves nothing behind, and its pid 1 waits for orphans"),
    ),
    (
        "docker, podman",
        &["-i", "-t", "-it", "-ti", "--interactive", "--tty"],
        0,
        Default("the target has the caller's standard streams and its terminal"),
    ),
    (
        "docker, podman",
        &["-d", "--detach"],
        0,
        Nothing("it runs in the foreground: let the shell (&) or systemd start it"),
    ),
    ("docker, podman", &["--publish"], 1, Nothing(NO_PORTS)),
    // ---- the command line ----
    ("firejail", &["-p", "--profile"], 1, Profile),
    ("others", &["--dry-run", "-n"], 0, Plan),
    (
        "others",
        &["--color", "--colour"],
        1,
        Nothing("colour is for terminals alone, and NO_COLOR=1 is for none"),
    ),
    (
        "others",
        &["--no-color"],
        0,
        Nothing("colour is for terminals alone, and NO_COLOR=1 is for none"),
    ),
];

/// Commands of other tools, or such as people try, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The command that it is here, with the words behind it.
    Command(&'static str),
    /// A command line to paste, and what it does.
    Line(&'static str),
    /// There is none.
    None(&'static str),
}

/// Every command that is known of others.
pub(crate) const COMMANDS: &[(&[&str], Answer)] = &[
    (&["list", "ls", "status", "top"], Answer::Command("ps")),
    (&["rm", "delete", "terminate"], Answer::Command("kill")),
    (&["pause", "suspend"], Answer::Command("freeze")),
    (&["unpause", "resume", "continue"], Answer::Command("thaw")),
    (&["init", "create", "add", "generate"], Answer::Command("new")),
    (&["validate", "lint", "verify", "test"], Answer::Command("check")),
    (&["start"], Answer::Command("run")),
    (&["show", "cat"], Answer::Command("profiles show")),
    (&["diff"], Answer::Command("profiles diff")),
    (&["inspect", "dump"], Answer::Command("plan")),
    (&["info", "features", "probe"], Answer::Line("stockade doctor")),
    (&["completion"], Answer::Command("completions")),
    (&["docs", "manual"], Answer::Line("stockade man 5")),
    (&["shell", "sh", "bash"], Answer::Line("stockade run default -- bash")),
    (
        &["exec", "enter", "join", "attach"],
        Answer::None(
            "no command joins a running sandbox yet; for a shell in a new one: stockade run default -- bash",
        ),
    ),
    (
        &["logs", "log"],
        Answer::None(
            "stockade keeps none: the target writes to the caller's streams, and run --report FILE records the end",
        ),
    ),
    (
        &["learn", "trace", "record", "audit"],
        Answer::None(
            "nothing writes a profile from a run yet; what a run was denied: stockade run --explain PROFILE",
        ),
    ),
    (
        &["import", "convert", "migrate"],
        Answer::None(
            "nothing reads the profiles of other tools yet; to start one: stockade new NAME",
        ),
    ),
    (
        &["edit", "config", "set"],
        Answer::None(
            "a profile is a file: open it in an editor; its text: stockade profiles show PROFILE",
        ),
    ),
    (
        &["install", "update", "upgrade"],
        Answer::None(
            "a profile with a name is a file: /etc/stockade/NAME.toml, or ~/.config/stockade/NAME.toml",
        ),
    ),
];

/// What an unknown command is here.
pub(crate) fn command(words: &[String]) -> Option<String> {
    let (word, rest) = words.split_first()?;
    let (_, answer) = COMMANDS.iter().find(|(names, _)| names.contains(&word.as_str()))?;
    Some(match answer {
        // Those that take no word are not given one.
        Answer::Command("ps") => "stockade ps".into(),
        Answer::Command(command) => format!("stockade {command}{}", spaced(rest)),
        Answer::Line(line) => (*line).to_owned(),
        Answer::None(why) => (*why).to_owned(),
    })
}

/// The command line with every option of another tool in stockade's words, and why some are not
/// needed; `None` where one of them is unknown, too.
pub(crate) fn rewritten(words: &[String], is_program: &dyn Fn(&str) -> bool) -> Option<String> {
    let (command, mut rest) = words.split_first()?;
    let built = Cli::built();
    let known = built.find_subcommand(command)?;
    let mut said = Said { command: command.clone(), ..Said::default() };
    while let Some((word, after)) = rest.split_first() {
        if word == "--" || said.profile.is_some() && command == "run" {
            break;
        }
        rest = after;
        if !word.starts_with('-') || word == "-" {
            match said.profile {
                None => said.profile = Some(word.clone()),
                Some(_) => said.target.push(word.clone()),
            }
            continue;
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let own = known.get_arguments().find(|arg| is(arg, option));
        // `-v` is also docker's.
        let own = own
            .filter(|_| !(option == "-v" && rest.first().is_some_and(|next| next.contains(":/"))));
        if let Some(arg) = own {
            said.options.push(shell_word(word));
            let takes = arg.get_action().takes_values() && !arg.is_require_equals_set();
            if takes && value.is_none() {
                let (next, after) = rest.split_first()?;
                said.options.push(shell_word(next));
                rest = after;
            }
            continue;
        }
        let (_, _, count, means) = OPTIONS.iter().find(|(_, names, ..)| names.contains(&option))?;
        let mut taken: Vec<String> = value.into_iter().collect();
        while taken.len() < *count {
            let (next, after) = rest.split_first()?;
            taken.push(next.clone());
            rest = after;
        }
        said.take(*means, &taken);
    }
    if rest.first().is_some_and(|word| word == "--") {
        rest = &rest[1..];
    }
    said.target.extend(rest.iter().cloned());
    // Others have no word for the profile.
    if let Some(program) = said.profile.take_if(|word| is_program(word)) {
        said.target.insert(0, program);
        said.profile = Some("default".into());
    }
    (!said.is_unchanged()).then(|| said.line())
}

/// A command line that is being written.
#[derive(Debug, Default)]
struct Said {
    command: String,
    options: Vec<String>,
    profile: Option<String>,
    target: Vec<String>,
    reasons: Vec<&'static str>,
    changed: bool,
}

impl Said {
    fn take(&mut self, means: Means, words: &[String]) {
        self.changed = true;
        match means {
            Options(form) => {
                let form: Vec<String> = form
                    .split(' ')
                    .map(|word| shell_word(&filled(word, words, &|word| word.to_owned())))
                    .collect();
                self.options(form);
            }
            Memory => {
                let size = words[0].to_ascii_uppercase();
                self.options(vec!["--memory".into(), shell_word(size.trim_end_matches('B'))]);
            }
            Line(form) => {
                let word = |word: &str| match form.starts_with("capabilities") {
                    true => value(&capability(word)),
                    false => value(word),
                };
                self.line_of(form, words, &word);
            }
            Devices => self.line_of(devices(&words[0]), words, &value),
            Limit => {
                let (name, limit) = words[0].split_once('=').unwrap_or((&words[0], "NUMBER"));
                let (form, hard) = match limit.split_once(':') {
                    Some((soft, hard)) => (format!("{{ soft = {soft}, hard = {hard} }}"), true),
                    None => (limit.to_owned(), false),
                };
                let form = if hard { form } else { value(&form) };
                self.line_of(&format!("rlimits.{name} = {form}"), &[], &value);
            }
            Security => match words[0].split_once(['=', ':']) {
                Some(("seccomp", file)) if file != "unconfined" => {
                    self.line_of("seccomp.import = {1}", &[file.to_owned()], &value);
                }
                _ if words[0].starts_with("no-new-privileges") => {
                    self.reason("the target gains no privileges by execve(2)");
                }
                _ => self.reason("[seccomp] and [landlock] of the profile say what is allowed"),
            },
            // Docker's `-p 80:80`.
            Profile if words[0].starts_with(|c: char| c.is_ascii_digit()) => self.reason(NO_PORTS),
            Profile => self.profile = words.first().cloned(),
            Plan => self.command = "plan".into(),
            Default(why) | Nothing(why) => self.reason(why),
        }
    }

    /// Adds a flag with its word.
    fn options(&mut self, form: Vec<String>) {
        let [flag, path] = form.as_slice() else { return self.options.extend(form) };
        if flag != "--rw" {
            return self.options.extend(form);
        }
        // Docker's third part says the access.
        let (flag, path) = match (path.strip_suffix(":ro"), path.strip_suffix(":rw")) {
            (Some(path), _) => ("--ro", path),
            (_, Some(path)) => ("--rw", path),
            _ => ("--rw", path.as_str()),
        };
        let outside = path.split(":/").next().unwrap_or(path);
        let flag = match flag == "--rw" && is_of_the_system(outside.trim_end_matches('/')) {
            true => {
                self.reason("a whole directory of the system is granted read-only");
                "--ro"
            }
            false => flag,
        };
        self.options.extend([flag.to_owned(), path.to_owned()]);
    }

    fn line_of(&mut self, form: &str, words: &[String], spell: &dyn Fn(&str) -> String) {
        let line = filled(form, words, spell);
        self.options.extend(["--config".to_owned(), shell_word(&line)]);
    }

    fn reason(&mut self, why: &'static str) {
        if !self.reasons.contains(&why) {
            self.reasons.push(why);
        }
    }

    fn is_unchanged(&self) -> bool {
        !self.changed
    }

    fn line(&self) -> String {
        let options: String = self.options.iter().map(|word| format!(" {word}")).collect();
        let profile = self.profile.as_deref().map_or("PROFILE".into(), shell_word);
        let target = match self.target.as_slice() {
            [] => String::new(),
            words => format!(" --{}", spaced(words)),
        };
        let reasons: String = self.reasons.iter().map(|why| format!("{why}: ")).collect();
        format!("{reasons}stockade {}{options} {profile}{target}", self.command)
    }
}

/// A word as a value or a key of TOML: a number stays one.
fn value(word: &str) -> String {
    let is_number = word.parse::<u32>().is_ok() || word.parse::<f64>().is_ok_and(f64::is_finite);
    if is_number { word.to_owned() } else { literal(word) }
}

/// The line for device nodes of the host: of /dev itself it is the minimal one.
fn devices(source: &str) -> &'static str {
    match source.trim_end_matches('/') {
        "/dev" => "mounts.{2} = \"dev\"",
        node if node.starts_with("/dev/") => "mounts.{2} = { device = {1} }",
        _ => "mounts.{2} = { bind = {1}, access = \"rw\" }",
    }
}

/// `CAP_NET_RAW` and `NET_RAW` are `net-raw` here.
fn capability(word: &str) -> String {
    let lower = word.to_ascii_lowercase().replace('_', "-");
    lower.strip_prefix("cap-").map_or(lower.clone(), str::to_owned)
}

fn filled(form: &str, words: &[String], spell: &dyn Fn(&str) -> String) -> String {
    let mut out = form.to_owned();
    for (place, word) in ["{1}", "{2}"].iter().zip(words) {
        out = out.replacen(place, &spell(word), 1);
    }
    out
}

fn spaced(words: &[String]) -> String {
    words.iter().map(|word| format!(" {}", shell_word(word))).collect()
}

fn is(arg: &clap::Arg, word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => {
            let mut short = word.chars().skip(1);
            arg.get_short()
                .is_some_and(|known| Some(known) == short.next() && short.next().is_none())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Option<String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        rewritten(&words, &|word| word == "make")
    }

    #[test]
    fn options_of_others_are_written_in_the_words_of_stockade() {
        for (theirs, ours) in [
            (
                "run --ro-bind /a /b --unshare-net base true",
                "stockade run --ro /a:/b --net none base -- true",
            ),
            (
                "run -v /a:/b:ro -e A=1 base ls -v",
                "stockade run --ro /a:/b --env 'A=1' base -- ls -v",
            ),
            ("run --network=host base true", "stockade run --net host base -- true"),
            (
                "run --tmpfs /tmp base true",
                "stockade run --config 'mounts.\"/tmp\" = \"tmpfs\"' base -- true",
            ),
            ("run -u 1000 base true", "stockade run --config 'identity.user = 1000' base -- true"),
            ("run --dry-run base true", "stockade plan base -- true"),
            ("run --profile=build -- make", "stockade run build -- make"),
            ("run --clearenv base true", "the environment begins empty: stockade run base -- true"),
            (
                "run --rm --bind /a /b make x",
                "a sandbox leaves nothing behind, and its pid 1 waits for orphans: stockade run --rw /a:/b default -- make x",
            ),
            ("check --bind /a /b base", "stockade check --rw /a:/b base"),
            ("run -m 256m base ls", "stockade run --memory 256M base -- ls"),
            ("run -m 1gb base ls", "stockade run --memory 1G base -- ls"),
            (
                "run -p 80:80 base -- true",
                "ports inside cannot be published yet: stockade run base -- true",
            ),
            (
                "run --dev-bind /dev /dev base true",
                "stockade run --config 'mounts.\"/dev\" = \"dev\"' base -- true",
            ),
            (
                "run --whitelist=/srv base true",
                "a whole directory of the system is granted read-only: stockade run --ro /srv base \
                 -- true",
            ),
            (
                "run --ulimit nofile=64 base true",
                "stockade run --config 'rlimits.nofile = 64' base -- true",
            ),
            (
                "run --ulimit nofile=64:128 base true",
                "stockade run --config 'rlimits.nofile = { soft = 64, hard = 128 }' base -- true",
            ),
            (
                "run --cap-add NET_RAW base true",
                "stockade run --config 'capabilities.ambient = [\"net-raw\"]' base -- true",
            ),
            (
                "run --security-opt seccomp=/f.json base true",
                "stockade run --config 'seccomp.import = \"/f.json\"' base -- true",
            ),
        ] {
            assert_eq!(line(theirs).as_deref(), Some(ours), "{theirs}");
        }
        assert_eq!(line("run --no-such base true"), None);
        assert_eq!(line("run base true"), None);
    }

    #[test]
    fn no_word_of_others_is_one_of_ours() {
        let built = Cli::built();
        for (names, _) in COMMANDS {
            assert!(names.iter().all(|name| built.find_subcommand(name).is_none()), "{names:?}");
        }
        let run = built.find_subcommand("run").unwrap();
        for (_, names, ..) in OPTIONS {
            for name in names.iter().filter(|name| **name != "-v") {
                assert!(!run.get_arguments().any(|arg| is(arg, name)), "{name}");
            }
        }
    }
}
