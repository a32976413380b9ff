//! The language, rule by rule: what layers, parameters, variables and look-up make of texts, and
//! what they refuse, with its place.

use crate::plans::machine;
use crate::support::{self, Place, is_root, skip};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use stockade::internals::host::caller::Caller;
use stockade::internals::language::section::{Key, Set};
use stockade::internals::plan::plan;
use stockade::internals::policy::mounts::kinds::{Access, Mount};
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::problem::{Problem, Problems};
use stockade::internals::text::source::Sources;

// ---- the bench ----

/// A directory of profiles and an invented caller.
struct Desk {
    place: Place,
    caller: Caller,
    request: Request,
}

/// What came of a load.
struct Loaded {
    result: Result<Profile, Problems>,
    sources: Sources,
    folder: String,
}

impl Desk {
    /// With main.toml, which begins with `format = 1`.
    fn new(main: &str) -> Desk {
        let place = Place::new();
        let folder = place.path.to_str().unwrap();
        let caller = Caller {
            // Files must belong to the caller.
            uid: nix::unistd::geteuid().as_raw(),
            system_profiles: format!("{folder}/system"),
            user_profiles: Some(format!("{folder}/user")),
            ..machine::caller()
        };
        let request = Request { profile: format!("{folder}/main.toml"), ..Request::default() };
        Desk { place, caller, request }.with("main.toml", main)
    }

    /// One more profile.
    fn with(self, name: &str, text: &str) -> Desk {
        self.place.file(name, &format!("format = 1\n{text}"));
        self
    }

    /// `--config`.
    fn config(mut self, toml: &str) -> Desk {
        self.request.config.push(("--config".into(), toml.into()));
        self
    }

    /// `--set`.
    fn set(mut self, name: &str, value: &str) -> Desk {
        self.request.params.push((name.into(), value.into()));
        self
    }

    /// The words after PROFILE.
    fn args(mut self, words: &[&str]) -> Desk {
        self.request.args = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// PROFILE.
    fn named(mut self, profile: &str) -> Desk {
        self.request.profile = profile.into();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path.join(name)
    }

    fn load(&self) -> Loaded {
        let mut sources = Sources::default();
        let result = load(&self.request, &self.caller, &mut sources);
        Loaded { result, sources, folder: format!("{}/", self.place.path.display()) }
    }

    fn profile(&self) -> Profile {
        let loaded = self.load();
        let says = loaded.says();
        loaded.result.unwrap_or_else(|_| panic!("{says}"))
    }

    /// What is wrong, a line each: place, code, message, help, and the other places.
    fn says(&self) -> String {
        self.load().says()
    }

    /// That one thing is wrong: it begins with a place and a code, and holds the words.
    fn refuses(&self, place_and_code: &str, words: &str) {
        let said = self.says();
        assert!(
            said.lines().count() == 1
                && said.starts_with(&format!("{place_and_code}: "))
                && said.contains(words),
            "{said}"
        );
    }
}

impl Loaded {
    fn line(&self, problem: &Problem) -> String {
        let place = |at| self.sources.place(at).map_or("nowhere".into(), |place| place.to_string());
        let help = problem.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
        let also: String =
            problem.also.iter().map(|(at, words)| format!(" | {}: {words}", place(*at))).collect();
        format!("{} {}: {}{help}{also}\n", place(problem.at), problem.code, problem.message)
            .replace(&self.folder, "")
    }

    fn says(&self) -> String {
        self.result.as_ref().err().map_or(String::new(), |problems| {
            problems.iter().map(|problem| self.line(problem)).collect()
        })
    }
}

fn words(command: &Key<Vec<stockade::internals::text::source::At<String>>>) -> Vec<&str> {
    command.get().map_or(vec![], |words| words.iter().map(|word| word.value.as_str()).collect())
}

fn names<T: ToString>(set: &Set<T>) -> Vec<String> {
    set.items.iter().map(|item| item.value.to_string()).collect()
}

fn mounts(profile: &Profile) -> Vec<&str> {
    profile.mounts.iter().map(|(path, _)| path.value).collect()
}

fn description(profile: &Profile) -> &str {
    profile.description.get().map_or("", |text| &text.value)
}

// ---- extends ----

#[test]
fn later_files_of_extends_win_and_the_file_itself_wins_over_them() {
    let desk = Desk::new("extends = [\"a.toml\", \"./b.toml\"]\n[env]\nC = \"main\"\n")
        .with("a.toml", "description = \"a\"\n[env]\nA = \"a\"\nB = \"a\"\nC = \"a\"\n")
        .with("b.toml", "description = \"b\"\n[env]\nB = \"b\"\nC = \"b\"\n");
    let profile = desk.profile();
    assert_eq!(description(&profile), "b");
    let env: Vec<String> = profile
        .env
        .iter()
        .map(|(name, value)| format!("{}={:?}", name.value, value.value))
        .collect();
    assert_eq!(env, ["A=Text(\"a\")", "B=Text(\"b\")", "C=Text(\"main\")"]);
}

#[test]
fn a_file_met_twice_is_loaded_once_where_it_was_met_first() {
    let desk = Desk::new("extends = [\"a.toml\", \"b.toml\"]\n")
        .with("a.toml", "extends = [\"base.toml\"]\n[capabilities]\nkeep = [\"!net-raw\"]\n")
        .with("b.toml", "extends = [\"base.toml\"]\n")
        .with("base.toml", "[capabilities]\nkeep = [\"net-raw\", \"chown\"]\n");
    let loaded = desk.load();
    assert_eq!(names(&loaded.result.unwrap().capabilities.keep), ["chown"]);
    assert_eq!(loaded.sources.files().count(), 4);
}

#[test]
fn a_file_met_again_through_a_link_is_the_same_file() {
    let desk = Desk::new("extends = [\"link.toml\", \"base.toml\"]\n").with("base.toml", "");
    std::os::unix::fs::symlink("base.toml", desk.path("link.toml")).unwrap();
    let loaded = desk.load();
    assert!(loaded.result.is_ok() && loaded.sources.files().count() == 2, "{}", loaded.says());
}

#[test]
fn a_circle_is_named() {
    let desk = Desk::new("extends = [\"a.toml\"]\n")
        .with("a.toml", "extends = [\"b.toml\"]\n")
        .with("b.toml", "extends = [\"main.toml\"]\n");
    desk.refuses("b.toml:2:12 profile::cycle", "main.toml → a.toml → b.toml → main.toml");
    Desk::new("extends = [\"main.toml\"]\n").refuses("main.toml:2:12 profile::cycle", "");
}

#[test]
fn extends_goes_only_so_deep() {
    let mut desk = Desk::new("extends = [\"1.toml\"]\n");
    for depth in 1..100 {
        desk =
            desk.with(&format!("{depth}.toml"), &format!("extends = [\"{}.toml\"]\n", depth + 1));
    }
    desk.refuses("63.toml:2:12 profile::depth", "deeper than 64");
}

#[test]
fn extends_takes_names_paths_and_variables() {
    let desk = Desk::new("extends = [\"strict\", \"${PROFILE_DIR}/sub/a.toml\"]\n")
        .with("sub/a.toml", "extends = [\"b.toml\"]\n")
        .with("sub/b.toml", "");
    let loaded = desk.load();
    assert!(loaded.result.is_ok() && loaded.sources.files().count() == 3, "{}", loaded.says());
    Desk::new("extends = [\"strikt\"]\n")
        .refuses("main.toml:2:12 profile::unknown", "did you mean `strict`?");
    Desk::new("extends = [\"no.toml\"]\n")
        .refuses("main.toml:2:12 profile::read", "no such file or directory");
    Desk::new("extends = \"base\"\n")
        .refuses("main.toml:2:11 profile::type", "extends = [\"base\"]");
}

#[test]
fn optional_is_not_inherited() {
    let desk = Desk::new("extends = [\"a.toml\"]\n").with("a.toml", "optional = [\"landlock\"]\n");
    assert_eq!(names(&desk.profile().optional), [""; 0]);
    assert_eq!(names(&Desk::new("optional = [\"landlock\"]\n").profile().optional), ["landlock"]);
    Desk::new("optional = [\"landlok\"]\n")
        .refuses("main.toml:2:13 profile::optional", "did you mean `landlock`?");
}

#[test]
fn a_problem_of_an_inherited_value_stands_in_the_file_that_has_it() {
    let desk = Desk::new("extends = [\"base.toml\"]\n[env]\nA = \"a\"\n")
        .with("base.toml", "[process]\n\n  timeout = \"soon\"\n");
    desk.refuses("base.toml:4:13 profile::value", "`soon` is not a time");
    // A problem that only the plan finds keeps its place too.
    let desk = Desk::new("extends = [\"base.toml\"]\n[process]\ncommand = [\"true\"]\n")
        .with("base.toml", "[mounts]\n\"/data\" = \"ro\"\n");
    let loaded = desk.load();
    let profile = loaded.result.as_ref().unwrap();
    let problems = plan(profile, &machine::for_user(profile)).unwrap_err();
    let lines: String = problems.iter().map(|problem| loaded.line(problem)).collect();
    assert!(lines.starts_with("base.toml:3:1 mounts::source: cannot bind /data"), "{lines}");
}

// ---- layers ----

#[test]
fn config_is_the_last_layer_and_says_where_it_is_wrong() {
    let main = Desk::new("description = \"main\"\n");
    assert_eq!(description(&main.config("description = \"one\"").profile()), "one");
    Desk::new("description = \"main\"\n")
        .config("description = \"one\"")
        .config("description = \"two\"")
        .refuses("--config:1:15 cli::twice", "--config:1:15: here");
    Desk::new("")
        .config("process.umaks = \"0022\"")
        .refuses("--config:1:9 profile::unknown-key", "did you mean `umask`?");
    Desk::new("").config("rlimits.nofile = ").refuses("--config:1:18 profile::syntax", "");
    Desk::new("")
        .config("extends = [\"base\"]")
        .refuses("--config:1:1 profile::extends", "a flag is no file");
    Desk::new("")
        .config("description = \"${PROFILE_DIR}\"")
        .refuses("--config:1:16 variable::unset", "this text is no file");
}

#[test]
fn every_file_says_its_format() {
    let desk = Desk::new("");
    desk.place.file("main.toml", "description = \"x\"\n");
    desk.refuses("main.toml:1:1 profile::format", "begin it with: format = 1");
    desk.place.file("main.toml", "");
    desk.refuses("main.toml:1:1 profile::format", "begin it with: format = 1");
    desk.place.file("main.toml", "format = 2\n");
    desk.refuses(
        "main.toml:1:10 profile::format",
        "cannot read format `2`: only a newer stockade does",
    );
}

#[test]
fn sets_are_united_and_reduced() {
    let base = "[capabilities]\nkeep = [\"net-raw\", \"chown\", \"chown\"]\n";
    let keep = |main: &str| {
        let desk =
            Desk::new(&format!("extends = [\"base.toml\"]\n[capabilities]\nkeep = {main}\n"))
                .with("base.toml", base);
        desk.load().result.map(|profile| names(&profile.capabilities.keep)).map_err(|_| desk.says())
    };
    assert_eq!(keep("[\"kill\", \"chown\"]").unwrap(), ["net-raw", "chown", "kill"]);
    assert_eq!(keep("[\"!chown\", \"kill\"]").unwrap(), ["net-raw", "kill"]);
    assert_eq!(keep("[\"!*\"]").unwrap(), [""; 0]);
    assert_eq!(keep("[\"!*\", \"kill\"]").unwrap(), ["kill"]);
    assert_eq!(keep("\"default\"").unwrap(), [""; 0]);
    let empty = keep("[]").unwrap_err();
    assert!(
        empty.starts_with("main.toml:4:8 profile::empty-set: ")
            && empty.contains("[\"!*\"]")
            && empty.contains("base.toml:3:9"),
        "{empty}"
    );
    let absent = keep("[\"!chwon\"]").unwrap_err();
    assert!(
        absent.starts_with("main.toml:4:9 profile::withdraw: ")
            && absent.contains("did you mean `chown`?"),
        "{absent}"
    );
}

#[test]
fn a_removal_in_the_weakest_layer_removes_nothing() {
    Desk::new("[capabilities]\nkeep = [\"!kill\"]\n")
        .refuses("main.toml:3:9 profile::withdraw", "no layer below sets it");
    assert_eq!(
        names(&Desk::new("[capabilities]\nkeep = []\n").profile().capabilities.keep),
        [""; 0]
    );
    assert_eq!(
        names(&Desk::new("[capabilities]\nkeep = [\"!*\"]\n").profile().capabilities.keep),
        [""; 0]
    );
}

#[test]
fn sequences_are_replaced_whole() {
    let desk = Desk::new(
        "extends = [\"base.toml\"]\n[process]\ncommand = [\"!a\", \"b\", \"b\"]\npass-fds = []\n",
    )
    .with("base.toml", "[process]\ncommand = [\"x\", \"y\"]\npass-fds = [3]\n");
    let profile = desk.profile();
    assert_eq!(words(&profile.process.command), ["!a", "b", "b"]);
    assert_eq!(profile.process.pass_fds.get().unwrap().len(), 0);
}

#[test]
fn false_removes_entries() {
    let desk = Desk::new(
        "extends = [\"base.toml\"]\n[mounts]\n\"/usr/\" = false\n[env]\nA = \
         false\n[rlimits]\nnofile = false\n",
    )
    .with(
        "base.toml",
        "[mounts]\n\"/usr\" = \"ro\"\n\"/tmp\" = \"tmpfs\"\n[env]\nA = \"a\"\nB = \
         \"b\"\n[rlimits]\nnofile = 64\nnproc = 9\n",
    );
    let profile = desk.profile();
    assert_eq!(mounts(&profile), ["/tmp"]);
    assert_eq!(profile.env.iter().map(|(name, _)| name.value).collect::<Vec<_>>(), ["B"]);
    assert_eq!(profile.rlimits.iter().map(|(name, _)| name.value).collect::<Vec<_>>(), ["nproc"]);
}

#[test]
fn default_removes_a_key_and_false_is_only_a_boolean() {
    let base = "[process]\ntimeout = \"1m\"\ninit = false\nnice = 5\n";
    let desk = Desk::new(
        "extends = [\"base.toml\"]\n[process]\ntimeout = \"default\"\ninit = \"default\"\n",
    )
    .with("base.toml", base);
    let process = desk.profile().process;
    assert!(
        process.timeout.get().is_none()
            && process.init.get().is_none()
            && process.nice.get().is_some()
    );
    let desk = Desk::new("extends = [\"base.toml\"]\n[process]\ntimeout = false\n")
        .with("base.toml", base);
    desk.refuses("main.toml:4:11 profile::value", "boolean `false`");
}

#[test]
fn values_are_replaced_and_never_mixed() {
    let desk = Desk::new(
        "extends = [\"base.toml\"]\n[mounts]\n\"/work\" = \
         { bind = \"/srv/data\" }\n[rlimits]\nnofile = 9\n",
    )
    .with(
        "base.toml",
        "[mounts]\n\"/work\" = \
         { bind = \"/srv\", access = \"rw\", exec = false }\n[rlimits]\nnofile = \
         { soft = 1, hard = 2 }\n",
    );
    let profile = desk.profile();
    let Mount::Bind(bind) = &profile.mounts.get("/work").unwrap().value else { panic!("no bind") };
    assert_eq!((bind.access, bind.exec), (Access::ReadOnly, true));
}

// ---- parameters ----

const EVERY_TYPE: &str = "[params]
text = { type = \"string\", default = \"a\" }
path = { type = \"path\", default = \"${CWD}/x\" }
number = { type = \"integer\", default = 5 }
size = { type = \"size\", default = \"1M\" }
time = { type = \"duration\", default = \"5s\" }
flag = { type = \"boolean\", default = true, help = \"a flag\" }
word = { type = \"enum\", values = [\"null\", \"inherit\"], default = \"null\" }
more = { type = \"list\", default = [\"x\", \"y\"] }
[process]
command = [\"sh\", \"${text}\", \"${more}\", \"n=${number}\"]
nice = \"${number}\"
timeout = \"${time}\"
init = \"${flag}\"
stdin = \"${word}\"
cwd = \"${path}\"
[mounts]
\"/tmp\" = { tmpfs = \"${size}\" }
";

#[test]
fn parameters_of_every_type_have_their_default() {
    let profile = Desk::new(EVERY_TYPE).profile();
    let process = &profile.process;
    assert_eq!(words(&process.command), ["sh", "a", "x", "y", "n=5"]);
    assert_eq!(
        (process.nice.get().unwrap().0, process.timeout.get().unwrap().to_string().as_str()),
        (5, "5s")
    );
    assert_eq!((process.init.get().unwrap().value, process.is_null(0)), (true, true));
    assert_eq!(process.cwd.get().unwrap().0, "/home/ann/work/x");
    let Mount::Tmpfs(tmpfs) = &profile.mounts.get("/tmp").unwrap().value else {
        panic!("no tmpfs")
    };
    assert_eq!(tmpfs.size.to_string(), "1M");
}

#[test]
fn parameters_of_every_type_are_set() {
    let desk = Desk::new(EVERY_TYPE)
        .set("text", "b c")
        .set("path", "sub/./y")
        .set("number", "-7")
        .set("size", "2048")
        .set("time", "60s");
    let profile = desk.set("flag", "false").set("word", "inherit").set("more", "p,q").profile();
    let process = &profile.process;
    assert_eq!(words(&process.command), ["sh", "b c", "p", "q", "n=-7"]);
    assert_eq!(
        (process.nice.get().unwrap().0, process.timeout.get().unwrap().to_string().as_str()),
        (-7, "1m")
    );
    assert_eq!((process.init.get().unwrap().value, process.is_null(0)), (false, false));
    assert_eq!(process.cwd.get().unwrap().0, "/home/ann/work/sub/y");
    let Mount::Tmpfs(tmpfs) = &profile.mounts.get("/tmp").unwrap().value else {
        panic!("no tmpfs")
    };
    assert_eq!(tmpfs.size.to_string(), "2K");
}

#[test]
fn parameters_refuse_what_is_not_of_their_type_at_its_place() {
    for (name, value, why) in [
        ("path", "a/../x", "goes up with `..`"),
        ("number", "five", "`five` is not a whole number"),
        ("number", "9223372036854775808", "is not a whole number"),
        ("size", "1MB", "`1MB` is not a size"),
        ("time", "5", "`5` is not a time"),
        ("flag", "yes", "`yes` is neither true nor false"),
        ("word", "nul", "one of null, inherit"),
    ] {
        let column = name.len() + 2;
        Desk::new(EVERY_TYPE)
            .set(name, value)
            .refuses(&format!("--set:1:{column} params::type"), why);
    }
    Desk::new(EVERY_TYPE)
        .set("nubmer", "1")
        .refuses("--set:1:1 params::unknown", "did you mean `number`?");
    Desk::new("").set("x", "1").refuses("--set:1:1 params::unknown", "it has no parameters");
}

#[test]
fn layers_give_inherited_parameters_their_values_before_variables_are_put_in() {
    let base =
        "[params]\nname = { type = \"string\" }\n[process]\ncommand = [\"echo\", \"${name}\"]\n";
    let desk =
        Desk::new("extends = [\"base.toml\"]\n[params]\nname = \"main\"\n").with("base.toml", base);
    assert_eq!(words(&desk.profile().process.command), ["echo", "main"]);
    let desk = desk.config("params.name = \"flag\"");
    assert_eq!(words(&desk.profile().process.command), ["echo", "flag"]);
    assert_eq!(words(&desk.set("name", "set").profile().process.command), ["echo", "set"]);
    Desk::new("extends = [\"base.toml\"]\n")
        .with("base.toml", base)
        .refuses("base.toml:3:1 params::missing", "--set name=VALUE");
    let desk = Desk::new("extends = [\"base.toml\"]\n[params]\nnmae = \"x\"\nname = \"y\"\n")
        .with("base.toml", base);
    desk.refuses("main.toml:4:1 params::unknown", "did you mean `name`?");
}

#[test]
fn declarations_are_checked() {
    Desk::new("[params]\nX = { type = \"string\", default = \"\" }\n")
        .refuses("main.toml:3:1 params::name", "lower case");
    Desk::new("[params]\nx = { type = \"strin\", default = \"\" }\n")
        .refuses("main.toml:3:14 profile::value", "did you mean `string`?");
    Desk::new("[params]\nx = { type = \"enum\", default = \"a\" }\n")
        .refuses("main.toml:3:14 params::values", "`values`");
    Desk::new("[params]\nx = { type = \"path\", default = \"rel\" }\n")
        .refuses("main.toml:3:32 params::type", "relative path");
    Desk::new(
        "[params]\nx = { type = \"integer\", default = \"1\" }\n[rlimits]\nnofile = \"${x}\"\n",
    )
    .profile();
}

// ---- variables ----

#[test]
fn every_variable_has_its_value() {
    let desk = Desk::new(
        "description = \"${HOME} ${CWD} ${PROFILE_DIR} ${RUNTIME_DIR} ${UID} ${GID} ${USER} \
         ${env:LANG} ${env:NO:-a b} ${env:EMPTY:-} $${x} $y $\"\n",
    );
    let uid = desk.caller.uid;
    let folder = desk.place.path.display().to_string();
    let expected = format!(
        "/home/ann /home/ann/work {folder} /run/user/1000 {uid} 1000 ann C.UTF-8 a b  ${{x}} $y $"
    );
    assert_eq!(description(&desk.profile()), expected);
}

#[test]
fn unset_and_empty_variables_are_errors() {
    let refused = |text: &str, change: fn(&mut Caller)| {
        let mut desk = Desk::new(&format!("description = \"{text}\"\n"));
        change(&mut desk.caller);
        desk.refuses("main.toml:2:16 variable::unset", "cannot expand `${");
    };
    refused("${env:NO}", |_| {});
    refused("${env:EMPTY}", |_| {});
    refused("${HOME}", |caller| caller.home.clear());
    refused("${CWD}", |caller| caller.cwd.clear());
    refused("${USER}", |caller| caller.user.clear());
    refused("${RUNTIME_DIR}", |caller| caller.runtime_dir = None);
    Desk::new("")
        .config("description = \"${PROFILE_DIR}\"")
        .refuses("--config:1:16 variable::unset", "");
    let empty =
        "[params]\nx = { type = \"string\", default = \"\" }\n[process]\ncwd = \"/a/${x}\"\n";
    Desk::new(empty).refuses("main.toml:5:11 variable::unset", "it is empty");
}

#[test]
fn an_unknown_variable_is_named_at_its_column() {
    Desk::new("description = \"a ${CWD} ${HMOE}\"\n")
        .refuses("main.toml:2:25 variable::unknown", "did you mean `HOME`?");
    Desk::new("[mounts]\n  \"${CDW}/x\" = \"ro\"\n")
        .refuses("main.toml:3:4 variable::unknown", "did you mean `CWD`?");
    Desk::new("description = \"ü ${nope}\"\n")
        .refuses("main.toml:2:18 variable::unknown", "env:NAME");
    Desk::new("description = '''\nx ${nope}'''\n").refuses("main.toml:3:3 variable::unknown", "");
    Desk::new("description = \"${CWD\"\n")
        .refuses("main.toml:2:16 variable::open", "cannot read the variable: `${` has no `}`");
}

#[test]
fn what_is_put_in_is_not_looked_at_again() {
    let mut desk = Desk::new("description = \"${env:SLY}\"\n[env]\nA = \"${env:SLY}\"\n");
    desk.caller.env.insert("SLY".into(), "${HOME}\"\n[process]\ncommand = [\"x\"]".into());
    let profile = desk.profile();
    assert_eq!(description(&profile), "${HOME}\"\n[process]\ncommand = [\"x\"]");
    assert!(profile.process.command.get().is_none());
}

#[test]
fn a_list_goes_into_a_list_and_nowhere_else() {
    let declared = "[params]\nmore = { type = \"list\", default = [] }\n";
    let desk =
        Desk::new(&format!("{declared}[process]\ncommand = [\"a\", \"${{more}}\", \"b\"]\n"));
    assert_eq!(words(&desk.profile().process.command), ["a", "b"]);
    assert_eq!(words(&desk.set("more", "x,,y").profile().process.command), ["a", "x", "y", "b"]);
    Desk::new(&format!("{declared}[process]\ncommand = [\"-${{more}}\"]\n"))
        .refuses("main.toml:5:14 variable::list", "whole item");
}

#[test]
fn args_take_the_words_after_profile() {
    let command = |main: &str, args: &[&str]| {
        let desk = Desk::new(main).args(args);
        words(&desk.profile().process.command)
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let with = "[process]\ncommand = [\"ls\", \"${ARGS}\", \"/\"]\n";
    assert_eq!(command(with, &["-l", "${HOME}", ""]), ["ls", "-l", "${HOME}", "", "/"]);
    assert_eq!(command(with, &[]), ["ls", "/"]);
    let without = "[process]\ncommand = [\"ls\", \"$${ARGS}\"]\n";
    assert_eq!(command(without, &["cat", "x"]), ["cat", "x"]);
    assert_eq!(command(without, &[]), ["ls", "${ARGS}"]);
    assert_eq!(command("", &["cat"]), ["cat"]);
    Desk::new("[process]\ncommand = [\"ls\", \"-${ARGS}\"]\n")
        .args(&["x"])
        .refuses("main.toml:3:20 variable::args", "whole item");
    Desk::new("description = \"${ARGS}\"\n")
        .refuses("main.toml:2:16 variable::args", "process.command");
}

#[test]
fn args_belong_to_the_command_that_is_in_force() {
    let base = "[process]\ncommand = [\"ls\", \"${ARGS}\"]\n";
    let command = |main: &str| {
        let desk = Desk::new(&format!("extends = [\"base.toml\"]\n{main}"))
            .with("base.toml", base)
            .args(&["x"]);
        words(&desk.profile().process.command).join(" ")
    };
    assert_eq!(command(""), "ls x");
    assert_eq!(command("[process]\ncommand = [\"cat\"]\n"), "x");
    assert_eq!(command("[process]\ncommand = [\"cat\", \"${ARGS}\"]\n"), "cat x");
}

// ---- mounts ----

#[test]
fn mount_keys_have_one_spelling() {
    let desk = Desk::new(
        "extends = [\"base.toml\"]\n[mounts]\n\"//usr/./lib/\" = \"rw\"\n\"${CWD}/\" = \"ro\"\n",
    )
    .with("base.toml", "[mounts]\n\"/usr/lib\" = \"ro\"\n\"/\" = \"tmpfs\"\n");
    let profile = desk.profile();
    assert_eq!(mounts(&profile), ["/", "/home/ann/work", "/usr/lib"]);
    let Mount::Bind(bind) = &profile.mounts.get("/usr/lib").unwrap().value else {
        panic!("no bind")
    };
    assert_eq!(bind.access, Access::ReadWrite);
}

#[test]
fn the_same_path_twice_in_one_file_is_an_error() {
    let said = Desk::new("[mounts]\n\"/home/ann/work\" = \"ro\"\n\"${CWD}\" = \"rw\"\n").says();
    assert!(
        said.lines().count() == 1
            && said.contains("mounts::twice: cannot mount at /home/ann/work twice"),
        "{said}"
    );
    assert!(said.contains("main.toml:3:1") && said.contains("main.toml:4:1"), "{said}");
}

/// Each help is followed, and the profile loads.
#[test]
fn of_two_entries_at_one_path_the_help_says_what_parts_them() {
    let mounts = "[mounts]\n\"/home/ann/work\" = \"tmpfs\"\n";
    Desk::new(&format!("{mounts}\"//home/ann/work\" = \"ro\"\n"))
        .refuses("main.toml:4:1 mounts::twice", "keep one of the two entries");
    let mut desk = Desk::new(&format!("{mounts}\"${{CWD}}\" = \"ro\"\n"));
    desk.refuses("main.toml:4:1 mounts::twice", "start stockade in another directory");
    desk.caller.cwd = "/home/ann/work/below".into();
    desk.profile();
    Desk::new(&format!("{mounts}\"${{HOME}}/work\" = \"ro\"\n"))
        .refuses("main.toml:4:1 mounts::twice", "`${HOME}` is a part of");
    let params = "[params]\np = { type = \"path\", default = \"${CWD}\" }\n";
    let desk = Desk::new(&format!("{params}{mounts}\"${{p}}\" = \"ro\"\n"));
    desk.refuses("main.toml:6:1 mounts::twice", "give `p` another value: --set p=PATH");
    desk.set("p", "/srv").profile();
    // As a built-in profile does, started in the home that it has inside.
    let mut desk = Desk::new("").named("default");
    desk.caller.cwd = "/home/sandbox".into();
    let said = desk.says();
    assert!(
        said.lines().count() == 1
            && said.contains("mounts::twice")
            && said.contains("start stockade in another directory"),
        "{said}"
    );
}

#[test]
fn bad_paths_are_refused_at_their_place() {
    Desk::new("[mounts]\n\"usr\" = \"ro\"\n")
        .refuses("main.toml:3:1 mounts::path", "\"${CWD}/usr\"");
    Desk::new("[mounts]\n\"/a/../b\" = \"ro\"\n").refuses("main.toml:3:1 mounts::path", "`..`");
    Desk::new("[mounts]\n\"/a\\nb\" = \"ro\"\n")
        .refuses("main.toml:3:1 mounts::path", "line break");
    Desk::new("[mounts]\n\"/a\\u0000b\" = \"ro\"\n").refuses("main.toml:3:1 mounts::path", "NUL");
    Desk::new("[mounts]\n\"/a\" = { bind = \"b\" }\n")
        .refuses("main.toml:3:17 profile::value", "relative path");
    Desk::new("[process]\ncwd = \"b\"\n").refuses("main.toml:3:7 profile::value", "relative path");
}

// ---- what is not built yet ----

#[test]
fn what_is_not_built_yet_is_refused_and_not_ignored() {
    for (text, place) in [
        ("[lsm]\n", "2:2"),
        ("[process]\nsupervise = \"never\"\n", "3:1"),
        ("[process]\nnotify = true\n", "3:1"),
        ("[network]\nallow = [\"example.com:443\"]\n", "3:1"),
        ("[network]\npublish = [\"8080:80\"]\n", "3:1"),
    ] {
        Desk::new(text).refuses(&format!("main.toml:{place} profile::not-yet"), "is not built yet");
    }
    for text in [
        "[mounts]\n\"/\" = { image = \"/srv/base.img\" }\n",
        "[mounts]\n\"/x\" = \"cgroup\"\n",
        "[network]\nmode = \"relay\"\n",
    ] {
        let said = Desk::new(text).says();
        assert!(
            said.starts_with("main.toml:3:") && said.contains("not built yet"),
            "{text}: {said}"
        );
    }
}

#[test]
fn an_unknown_key_is_never_ignored() {
    Desk::new("[proces]\n")
        .refuses("main.toml:2:2 profile::unknown-key", "did you mean `process`?");
    Desk::new("[process]\nstop_signal = \"TERM\"\n")
        .refuses("main.toml:3:1 profile::unknown-key", "did you mean `stop-signal`?");
    Desk::new("[params]\nx = { type = \"string\", defualt = \"\" }\n").refuses(
        "main.toml:3:24 profile::value",
        "cannot read `defualt`: there is no such key | did you mean `default`?",
    );
    Desk::new("[env]\nX = { flie = \"/x\" }\n").refuses(
        "main.toml:3:7 profile::value",
        "cannot read `flie`: there is no such key | did you mean `file`?",
    );
    Desk::new("[rlimits]\nnofile = { sotf = 1, hard = 2 }\n").refuses(
        "main.toml:3:12 profile::value",
        "cannot read `sotf`: there is no such key | did you mean `soft`?",
    );
}

/// What is offered is put in the place of what is wrong, and the profile loads.
#[test]
fn a_value_of_the_wrong_type_has_the_line_that_is_meant() {
    for (section, wrong, right) in [
        ("process", "timeout = 30", "timeout = \"30s\""),
        ("process", "timeout = \"30\"", "timeout = \"30s\""),
        ("process", "timeout = \"5 minutes\"", "timeout = \"5m\""),
        ("process", "timeout = 1.5", "timeout = \"1500ms\""),
        ("process", "command = \"a b\"", "command = [\"a\", \"b\"]"),
        ("process", "command = \"a | b > c\"", "command = [\"sh\", \"-c\", \"a | b > c\"]"),
        ("process", "umask = 22", "umask = \"0022\""),
        ("process", "nice = \"5\"", "nice = 5"),
        ("process", "nice = 5.0", "nice = 5"),
        ("process", "stop-signal = 15", "stop-signal = \"TERM\""),
        ("process", "pass-fds = 3", "pass-fds = [3]"),
        ("process", "oom-score-adj = \"500\"", "oom-score-adj = 500"),
        ("process", "stdin = false", "stdin = \"null\""),
        ("env", "PORT = 8080", "PORT = \"8080\""),
        ("env", "RATIO = 1.50", "RATIO = \"1.50\""),
        ("env", "\"a b\" = 1", "\"a b\" = \"1\""),
        ("env", "PATH = [\"/usr/bin\", \"/bin\"]", "PATH = \"/usr/bin:/bin\""),
        ("limits", "memory = \"512 MB\"", "memory = \"512M\""),
        ("limits", "memory = \"1.5G\"", "memory = \"1536M\""),
        ("limits", "pids = \"256\"", "pids = 256"),
        ("limits", "cpu = \"50%\"", "cpu = 0.5"),
        ("limits", "cpu-set = [0, 1]", "cpu-set = \"0,1\""),
        ("mounts", "\"/usr\" = true", "\"/usr\" = \"ro\""),
        ("mounts", "\"/usr\" = [\"ro\"]", "\"/usr\" = \"ro\""),
        ("identity", "groups = 100", "groups = [100]"),
        ("namespaces", "pid = true", "pid = \"new\""),
        ("namespaces", "nested = \"user\"", "nested = [\"user\"]"),
        ("network", "mode = false", "mode = \"none\""),
        ("capabilities", "keep = \"kill\"", "keep = [\"kill\"]"),
        ("capabilities", "no-new-privs = \"true\"", "no-new-privs = true"),
        ("seccomp", "allow = \"@debug\"", "allow = [\"@debug\"]"),
        ("seccomp.rules", "ptrace = \"EPERM\"", "ptrace = \"errno:EPERM\""),
        ("landlock", "min-abi = \"5\"", "min-abi = 5"),
        // The value of a number, whatever its base; of a mode the digits.
        ("capabilities", "keep = 0x21", "keep = [33]"),
        ("landlock", "tcp-connect = 0o120", "tcp-connect = [80]"),
        ("process", "timeout = 0x10", "timeout = \"16s\""),
        ("process", "stop-signal = 0b1111", "stop-signal = \"TERM\""),
        ("identity", "groups = 1_000", "groups = [1000]"),
        ("limits", "cpu-set = [0x0, 0x1]", "cpu-set = \"0,1\""),
        ("limits", "cpu-time = 0o755", "cpu-time = \"493s\""),
        ("env", "MODE = 0o755", "MODE = \"493\""),
        ("process", "umask = 0o27", "umask = \"0027\""),
    ] {
        let said = Desk::new(&format!("[{section}]\n{wrong}\n")).says();
        assert!(
            said.lines().count() == 1 && said.contains(&format!(" | write {right}\n")),
            "{wrong}: {said}"
        );
        Desk::new(&format!("[{section}]\n{right}\n")).profile();
    }
    // A part of a value, and an item of a list.
    for (wrong, right) in [
        ("[mounts]\n\"/x\" = { text = \"x\", mode = 644 }\n", "mode = \"0644\""),
        ("[mounts]\n\"/x\" = { bind = \"/usr\", exec = \"no\" }\n", "exec = false"),
        ("[process]\ncommand = [\"sleep\", 1]\n", "\"1\""),
        ("[landlock]\ntcp-connect = [\"443\"]\n", "443"),
        ("[mounts]\n\"/x\" = { dir = 0o750 }\n", "dir = \"0750\""),
        ("[process]\ncommand = [\"sleep\", 0x10]\n", "\"16\""),
    ] {
        let said = Desk::new(wrong).says();
        assert!(
            said.lines().count() == 1 && said.contains(&format!(" | write {right}\n")),
            "{wrong}: {said}"
        );
    }
    // What could mean more than one thing, or would open what is closed, is not guessed.
    for line in [
        "[identity]\nuser = true\n",
        "[seccomp]\npolicy = false\n",
        "[mounts]\n\"/x\" = { symlink = true }\n",
        "[process]\numask = 0x16\n",
    ] {
        assert!(!Desk::new(line).says().contains("| write"), "{line}");
    }
    // The value is the parameter's, and its line is another.
    let said = Desk::new(
        "[params]\nt = { type = \"integer\", default = 30 }\n[process]\ntimeout = \"${t}\"\n",
    )
    .says();
    assert!(said.contains("not a bare number") && !said.contains("write timeout"), "{said}");
}

// ---- which texts are profiles ----

#[test]
fn a_variable_without_a_value_is_one_problem() {
    Desk::new("[process]\ntimeout = \"${nope}\"\n")
        .refuses("main.toml:3:12 variable::unknown", "nope");
    Desk::new("[mounts]\n\"/x\" = \"${nope}\"\n")
        .refuses("main.toml:3:9 variable::unknown", "nope");
    Desk::new("[process]\nnice = \"${nope}\"\n").refuses("main.toml:3:9 variable::unknown", "nope");
}

#[test]
fn a_parameter_of_the_wrong_type_is_one_problem() {
    let declared = "[params]\nx = { type = \"integer\" }\n[process]\nnice = \"${x}\"\n";
    Desk::new(declared).set("x", "five").refuses("--set:1:3 params::type", "`five`");
    Desk::new(declared).config("params.x = true").refuses("--config:1:12 params::type", "integer");
    let declared =
        "[params]\nx = { type = \"integer\", default = \"five\" }\n[process]\nnice = \"${x}\"\n";
    Desk::new(declared).refuses("main.toml:3:35 params::type", "`five`");
}

#[test]
fn a_command_that_is_removed_takes_no_args() {
    let desk = Desk::new("extends = [\"base.toml\"]\n[process]\ncommand = \"default\"\n");
    let desk =
        desk.with("base.toml", "[process]\ncommand = [\"ls\", \"${ARGS}\"]\n").args(&["cat", "x"]);
    assert_eq!(words(&desk.profile().process.command), ["cat", "x"]);
}

#[test]
fn a_value_brings_no_structure() {
    let base = "[params]\nx = { type = \"string\", default = \"!*\" }\n[capabilities]\nkeep = \
                [\"kill\"]\n[process]\ntimeout = \"1m\"\n[env]\nA = \"a\"\n";
    let desk = Desk::new("extends = [\"base.toml\"]\n[capabilities]\nkeep = [\"${x}\"]\n")
        .with("base.toml", base);
    desk.refuses("main.toml:4:9 variable::structure", "removes");
    let desk = Desk::new("extends = [\"base.toml\"]\n[process]\ntimeout = \"${x}\"\n")
        .with("base.toml", base)
        .set("x", "default");
    desk.refuses("main.toml:4:11 variable::structure", "removes");
    let base = "[params]\nmore = { type = \"list\", default = [\"!*\"] }\n[capabilities]\nkeep = \
                [\"kill\"]\n";
    let desk = Desk::new("extends = [\"base.toml\"]\n[capabilities]\nkeep = [\"${more}\"]\n")
        .with("base.toml", base);
    desk.refuses("main.toml:4:9 variable::structure", "removes");
}

#[test]
fn the_column_is_that_of_the_variable_and_not_of_a_literal() {
    Desk::new("description = \"$${HMOE} ${HMOE}\"\n")
        .refuses("main.toml:2:25 variable::unknown", "did you mean `HOME`?");
}

#[test]
fn a_file_of_the_environment_is_an_absolute_path() {
    Desk::new("[env]\nTOKEN = { file = \"token\" }\n")
        .refuses("main.toml:3:18 profile::value", "relative path");
}

#[test]
fn of_two_entries_the_second_one_is_the_problem() {
    let desk = Desk::new("[mounts]\n\"/usr\" = \"ro\"\n\"//usr\" = \"ro\"\n");
    desk.refuses("main.toml:4:1 mounts::twice", "main.toml:3:1: here");
}

#[test]
fn a_deep_key_is_refused() {
    let desk = Desk::new(&format!("{}a = 1\n", "a.".repeat(100_000)));
    assert!(!desk.says().is_empty());
    // Dots in a comment or a text are no tables.
    Desk::new(&format!("# {}\ndescription = \"{}\"\n", ".".repeat(500), ".".repeat(500))).profile();
}

/// That main.toml is refused as a file, after something was done to it.
fn refused_file(code: &str, change: impl Fn(&Path), words: &str) {
    let desk = Desk::new("");
    change(&desk.path("main.toml"));
    desk.refuses(&format!("nowhere {code}"), words);
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_others_could_write_is_no_profile() {
    refused_file(
        "profile::trust",
        |path| chmod(path, 0o666),
        "can be written by others (mode 0666)",
    );
    // The group of all users; root's own would be accepted.
    if is_root() {
        let share = |path: &Path| {
            chown(path, None, Some(100)).unwrap();
            chmod(path, 0o664);
        };
        refused_file("profile::trust", share, "can be written by others (mode 0664: group 100");
    }
    refused_file(
        "profile::trust",
        |path| chmod(path.parent().unwrap(), 0o777),
        "its directory can be written by others (mode 0777)",
    );
    // What is extended is held to the same.
    let desk = Desk::new("extends = [\"base.toml\"]\n").with("base.toml", "");
    chmod(&desk.path("base.toml"), 0o646);
    desk.refuses("main.toml:2:12 profile::trust", "can be written by others");
    // Where others may only add files, as in /tmp, the file itself decides.
    let desk = Desk::new("");
    chmod(&desk.place.path, 0o1777);
    desk.profile();
}

#[test]
fn what_is_no_regular_file_is_no_profile() {
    let again = |path: &Path, make: &dyn Fn(&Path)| {
        std::fs::remove_file(path).unwrap();
        make(path);
    };
    refused_file(
        "profile::read",
        |path| {
            again(path, &|path| {
                nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap()
            })
        },
        "not a regular file",
    );
    refused_file(
        "profile::read",
        |path| again(path, &|path| std::fs::create_dir(path).unwrap()),
        "not a regular file",
    );
    refused_file(
        "profile::read",
        |path| again(path, &|path| std::os::unix::fs::symlink("/dev/null", path).unwrap()),
        "not a regular file",
    );
    refused_file("profile::read", |path| again(path, &|_| {}), "no such file or directory");
    refused_file(
        "profile::read",
        |path| std::fs::write(path, vec![b'\n'; (1 << 20) + 1]).unwrap(),
        "larger than 1 MiB",
    );
}

#[test]
fn what_is_not_utf8_is_no_profile() {
    let desk = Desk::new("");
    std::fs::write(desk.path("main.toml"), b"format = 1\n# \xff\n").unwrap();
    desk.refuses("main.toml:2:3 profile::text", "the byte 0xff: it is not UTF-8");
}

#[test]
fn a_profile_belongs_to_its_reader() {
    if !is_root() {
        return skip("only root can give a file away");
    }
    let give = |name: &str, uid: u32, reader: u32| {
        let mut desk = Desk::new("");
        desk.caller.uid = reader;
        chown(desk.path(name), Some(uid), None).unwrap();
        desk.says()
    };
    assert!(give("main.toml", 1000, 0).contains("it belongs to user 1000, who could"));
    assert!(give("", 1000, 0).contains("its directory belongs to user 1000, who could"));
    assert!(
        give("main.toml", 1001, 1000)
            .contains("it belongs to user 1001, not to root or the caller")
    );
    assert!(give("", 1001, 1000).contains("its directory belongs to user 1001"));
    assert_eq!(give("main.toml", 1000, 1000), "");
    assert_eq!(give("main.toml", 0, 1000), "");
}

// ---- names ----

#[test]
fn a_name_is_looked_up_in_three_places_and_never_in_the_current_folder() {
    let desk = Desk::new("")
        .with("system/site.toml", "description = \"site\"\n")
        .with("user/mine.toml", "description = \"mine\"\n");
    assert_eq!(description(&desk.profile()), "");
    let desk = desk.named("site");
    assert_eq!(description(&desk.profile()), "site");
    let desk = desk.named("mine");
    assert_eq!(description(&desk.profile()), "mine");
    let desk = desk.named("base").args(&["true"]);
    assert!(desk.profile().mounts.get("/usr").is_some());
    desk.named("bsae").refuses("nowhere profile::unknown", "did you mean `base`?");
}

#[test]
fn a_name_in_two_places_is_ambiguous() {
    let desk = Desk::new("")
        .with("system/base.toml", "")
        .with("user/site.toml", "")
        .with("system/site.toml", "");
    let desk = desk.named("base");
    desk.refuses("nowhere profile::ambiguous", "system/base.toml and built in");
    desk.named("site").refuses("nowhere profile::ambiguous", "system/site.toml and ");
}

#[test]
fn a_profile_planted_in_the_current_folder_is_not_used() {
    let place = Place::new();
    let evil = "format = 1\n[process]\ncommand = [\"/bin/evil\"]\n";
    place.file("default.toml", evil);
    place.file("planted.toml", evil);
    let who = support::As::all()[0];
    let output = place.stockade(who).args(["check", "planted"]).output().unwrap();
    let said = support::text(&output.stdout);
    assert!(output.status.code() == Some(125) && said.contains("write ./planted.toml"), "{said}");
    let output = place.stockade(who).args(["plan", "default", "true"]).output().unwrap();
    assert!(!support::text(&output.stdout).contains("evil"), "{}", support::text(&output.stdout));
}
