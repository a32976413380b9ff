//! No single failure weakens: one system call of a launch fails, each in its turn, and either
//! nothing runs and the status is 125, or the target has the same restrictions as without the
//! failure. Nothing hangs, nothing is left.
//!
//! By default each call fails once, with one of the errors; `FULL=1` tries every error on every
//! call.

use crate::support::{self, As, Place, is_root, skip, text};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use syscalls::Sysno;

const ERRORS: [i32; 5] = [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::ENOMEM, libc::EMFILE];

/// Statuses of `faults.c` itself.
const HANGS: i32 = 201;
const LEFT: i32 = 202;
const BROKEN: i32 = 200;

/// One call of a launch.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// 0 is the launcher; the n-th child of p is 100 * p + n.
    process: u32,
    ordinal: u32,
    name: Sysno,
    /// Which of the calls of this name in the process.
    nth: usize,
    /// Whether the target did not run yet, in the run that was looked at.
    before_exec: bool,
    /// Whether the C runtime makes it, before `main`.
    of_runtime: bool,
    /// Whether its process, which is no ancestor of the target but the launcher, has said its last
    /// word by then: nobody waits for it.
    late: bool,
}

impl Call {
    /// Words of the tool for a run in which it fails.
    fn injected(&self, errno: i32) -> [String; 5] {
        [
            "inject".into(),
            self.process.to_string(),
            self.name.id().to_string(),
            self.nth.to_string(),
            errno.to_string(),
        ]
    }
}

/// How often a run is tried in which a call is to fail: some runs do not make it. The launcher ends
/// the process that holds a user namespace while it still begins, and loops that wait turn more or
/// less often.
const TRIES: u32 = 20;

/// One case in so many may be made in none of these runs: the launcher also looks at the groups of
/// others that run meanwhile.
const UNMET_IN: usize = 100;

/// A run in which nothing fails.
struct Unharmed {
    /// The process that executes the target.
    target: u32,
    /// What the target sees of its restrictions.
    walls: String,
    /// The lines of the files that it made.
    told: Vec<String>,
}

/// Everything that a sweep needs: the tool, a profile that has nearly every kind of step, and the
/// files that it names.
struct Sweep {
    place: Place,
    who: As,
    profile: PathBuf,
    input: PathBuf,
    flags: &'static [&'static str],
    /// Whether a failure may keep some of the host's files from the target.
    may_show_less: bool,
}

/// Lines that differ between the sweeps, by section.
struct Variant {
    /// Before all sections.
    top: &'static str,
    process: &'static str,
    namespaces: &'static str,
    /// Of `[mounts]`, and sections after it.
    rest: &'static str,
    /// Of `stockade run`.
    flags: &'static [&'static str],
    /// A directory in which the target makes a file.
    made: Option<&'static str>,
}

const NOTHING: Variant =
    Variant { top: "", process: "", namespaces: "", rest: "", flags: &[], made: None };

const PLAIN: Variant = Variant {
    process: "timeout = \"60s\"",
    namespaces: "time-offsets = { monotonic = \"1d\", boottime = \"2d\" }",
    rest: "\"/proc\" = \"proc\"",
    ..NOTHING
};

/// The target as pid 1, with capabilities, without Landlock. With offsets of the clocks it would
/// take Linux 6.3.
const OTHER: Variant = Variant {
    process: "init = false\nkeyring = \"inherit\"\nstdin = \"null\"",
    // Beside a bind that root maps, the target makes no mount namespaces.
    namespaces: "nested = [\"user\", \"ipc\", \"uts\", \"net\", \"cgroup\", \"time\", \"pid\"]",
    rest: "\"/proc\" = { proc = { hidepid = \"invisible\" } }\n\"/mqueue\" = \"mqueue\"\n\"/sys\" \
           = \"sysfs\"\n\
           [capabilities]\nkeep = [\"net-bind-service\", \"chown\"]\nambient = \
           [\"net-bind-service\"]\n[landlock]\npaths = \"off\"\n",
    ..NOTHING
};

/// With control groups of version 1, and some kinds of namespace for the target.
const LIMITED: Variant = Variant {
    process: "timeout = \"60s\"",
    namespaces: "nested = [\"user\", \"pid\", \"net\"]",
    rest: "\"/proc\" = \"proc\"\n[limits]\nmemory = \"256M\"\noom = \"kill-all\"\ncpu = \
           4.0\ncpu-time = \"60s\"\n\
           raw = { \"pids.max\" = \"90\" }\ncontrollers = [\"devices\", \"freezer\"]\n",
    ..NOTHING
};

/// With a process that answers for denied calls, and a hand-over that the policy denies. The target
/// makes none of these. The launcher opens what is read.
const TOLD: Variant = Variant {
    process: "stdin = { file = \"INPUT\" }",
    rest: "\"/proc\" = \"proc\"\n[seccomp]\ndeny = [\"sendmsg\", \
           \"seccomp\"]\n[seccomp.rules]\nsync = \"notify\"\n",
    ..NOTHING
};

/// With a name, which others find it by, and with layers, merged and copied.
const NAMED: Variant = Variant {
    top: "name = \"stockade-test-faults\"",
    rest: "\"/proc\" = \"proc\"\n\"/merged\" = { layers = [\"/usr/share/doc\", \"/usr/lib\"], \
           upper = \"discard\" }\n\"/copied\" = { layers = [\"SUB\"], upper = \"discard\", \
           driver = \"copy\" }\n",
    ..NOTHING
};

/// With uppers on the host's disk, kept and thrown away, and a state. One sandbox at a time has the
/// first.
const WRITTEN: Variant = Variant {
    top: "name = \"stockade-test-faults-written\"",
    rest: "\"/proc\" = \"proc\"\n\"/kept\" = { layers = [\"SUB\"], upper = \"STATES/kept\" }\n\
           \"/disk\" = { layers = [\"SUB\"], upper = { discard = \"STATES\" } }\n\
           OF-USERS\"/state\" = { state = \"faults\" }\n",
    ..NOTHING
};

/// With layers whose upper has bounds and directories that are made before the start, with what is
/// hidden in them and mounted where none has a place; and a copy of the same.
const MERGED: Variant = Variant {
    rest: "\"/proc\" = \"proc\"\n\"/merged\" = { layers = [\"SUB\"], upper = \"discard\", size = \
           \"1M\", inodes = 100, copy-up = [\"/merged\"] }\n\"/merged/secret\" = \"hide\"\n\
           \"/merged/new/deep\" = \"tmpfs\"\n\"/copied\" = { layers = [\"SUB\"], driver = \
           \"copy\" }\n\"/copied/secret\" = \"hide\"\n",
    ..NOTHING
};

/// On a root directory of layers.
const FOREIGN: Variant = Variant {
    rest: "\"/\" = { layers = [\"SUB\", \"INNER\"], upper = \"discard\" }\n\"/proc\" = \"proc\"\n\
           \"/secret\" = \"hide\"\n",
    ..NOTHING
};

/// With a directory of the host's whose changes are listed at the end.
const CHANGED: Variant = Variant {
    rest: "\"/proc\" = \"proc\"\n\"SUB\" = \"overlay\"\n\"SUB/secret\" = \"hide\"\n",
    flags: &["--changes"],
    made: Some("SUB"),
    ..NOTHING
};

/// With the host's whole tree. What a failure hides of it is shown nowhere else.
const WHOLE: Variant = Variant {
    rest: "\"/\" = \"overlay\"\n\"/proc\" = \"proc\"\n\"/etc/hostname\" = \"hide\"\n",
    flags: &["--changes"],
    made: Some("/var/tmp"),
    ..NOTHING
};

impl Sweep {
    fn new(who: As, variant: &Variant) -> Option<Sweep> {
        if Command::new("gcc").arg("--version").output().is_err() {
            skip("gcc is not installed");
            return None;
        }
        let place = Place::new();
        place.program("faults");
        let data = place.folder("data", As::User);
        std::fs::create_dir(data.join("secret")).unwrap();
        place.file("data/secret/key", "secret");
        place.folder("sub", who);
        place.file("sub/file", "text");
        place.file("sub/secret", "secret");
        place.file("sub/inner/file", "text");
        place.file("beside/file", "text");
        // Opened for reading and writable by all users: only Landlock denies reopening it for
        // writing.
        let input = place.file("input", "in");
        // Where it rules over no files, such a file is refused.
        let ruled = !variant.namespaces.contains("nested = true")
            && !variant.rest.contains("paths = \"off\"");
        std::fs::set_permissions(
            &input,
            std::os::unix::fs::PermissionsExt::from_mode(if ruled { 0o666 } else { 0o644 }),
        )
        .unwrap();
        let at = place.path.display();
        let states = place.folder("states", who).display().to_string();
        let data = format!(
            "\"/data\" = {{ bind = \"{at}/data\", access = \"rw\" }}\n\"/data/secret\" = {{ hide = true, missing = \"skip\" }}"
        );
        let whole = variant.rest.contains("\"/\" = \"overlay\"");
        // Nothing is made in a tree of the host's, and it has words of its own for what is the host's.
        let (link, usr, data) = match variant.rest.contains("\"/\" = ") {
            true if whole => ("", "\"ro\"", String::new()),
            true => ("", "{ bind = \"/usr\" }", data),
            false => ("\"/link\" = { symlink = \"/etc/text\" }", "\"ro\"", data),
        };
        let made = variant.made.map(|made| format!(", \"{made}\"")).unwrap_or_default();
        let profile = place.file(
            "walls.toml",
            &format!(
                "format = 1\n{}\n[process]\ncommand = [\"/walls\", \"walls\"{}]\ncwd = \
                 \"/tmp\"\numask = \"0077\"\nnice = 19\noom-score-adj = 500\n\
                 ioprio = \"best-effort:6\"\nscheduler = \"batch\"\n{}\n\
                 [env]\nLANG = \"C\"\n\
                 [namespaces]\nhostname = \"build\"\ndomainname = \"example\"\n{}\n\
                 [rlimits]\nnofile = 100\nfsize = \"1M\"\n\
                 [mounts]\n\"/walls\" = {{ bind = \"{at}/faults\" }}\n\"/usr\" = \
                 {usr}\n\"/usr/share\" = {{ hide = true }}\n\
                 \"/dev\" = \"dev\"\n\"/tmp\" = \"tmpfs\"\n\"/etc/text\" = {{ text = \"hello\\n\" \
                 }}\n{link}\n\
                 \"/hidden\" = {{ bind = \"{at}/sub\" }}\n{data}\n{}\n",
                variant.top,
                made.replace("SUB", &format!("{at}/sub")),
                variant.process.replace("INPUT", &input.display().to_string()),
                variant.namespaces,
                variant
                    .rest
                    .replace("SUB", &format!("{at}/sub"))
                    .replace("INNER", &format!("{at}/beside"))
                    .replace("STATES", &states)
                    // Root's would be the machine's own.
                    .replace("OF-USERS", if who == As::Root { "#" } else { "" })
            ),
        );
        Some(Sweep { place, who, profile, input, flags: variant.flags, may_show_less: whole })
    }

    /// The tool on a run of the profile, started by who starts the launcher.
    fn tool(&self, words: &[String]) -> Output {
        let mut command = self.place.outside(self.who, self.place.path.join("faults"));
        command
            .args(words)
            .arg("--")
            .arg(self.place.path.join("stockade"))
            .arg("run")
            .args(self.flags)
            .arg(&self.profile);
        command.env("XDG_STATE_HOME", self.place.folder("home", self.who));
        command.stdin(File::open(&self.input).unwrap()).output().unwrap()
    }

    /// Every call of a run, in their order, and what the target prints.
    fn trace(&self) -> (Vec<Call>, Unharmed) {
        let (mut calls, target, output) = self.list();
        assert_eq!(output.status.code(), Some(0), "{:?}: {}", self.who, text(&output.stderr));
        let target = target.expect("the target was executed");
        let exec = calls
            .iter()
            .rposition(|call| call.process == target && call.name == Sysno::execve)
            .unwrap();
        calls[..=exec].iter_mut().for_each(|call| call.before_exec = true);
        // The first thing that the launcher asks is its caller's name, from /etc/passwd.
        let main = calls.iter().position(|call| call.name == Sysno::openat).unwrap();
        calls[..main].iter_mut().for_each(|call| call.of_runtime = true);
        // The launcher's last word is the one to begin, its last step; pid 1 never says that the
        // target is there.
        let ancestors: Vec<u32> =
            std::iter::successors(Some(target), |process| (*process > 99).then_some(process / 100))
                .collect();
        let mut last_words = BTreeMap::new();
        for (index, call) in calls[..exec].iter().enumerate() {
            if call.name == Sysno::write && !ancestors.contains(&call.process) {
                last_words.insert(call.process, index);
            }
        }
        for (index, call) in calls.iter_mut().enumerate() {
            call.late = last_words.get(&call.process).is_some_and(|last| *last < index);
        }
        let last = calls[exec].ordinal;
        calls.retain(|call| call.process != target || call.ordinal <= last);
        let said = text(&output.stderr);
        let told = said.lines().filter(|line| line.starts_with("A  ")).map(str::to_owned).collect();
        (calls, Unharmed { target, walls: self.walls(&output), told })
    }

    /// Every call of a run, and the process that executed the target.
    fn list(&self) -> (Vec<Call>, Option<u32>, Output) {
        let list = self.place.folder("traces", self.who).join("list");
        let output = self.tool(&["trace".into(), list.display().to_string()]);
        let (mut calls, mut target, mut counts) = (vec![], None, BTreeMap::new());
        for line in std::fs::read_to_string(list).unwrap().lines() {
            let words: Vec<u32> =
                line.split(' ').skip(1).map(|word| word.parse().unwrap()).collect();
            match words[..] {
                [process, ordinal, number] => {
                    let nth = counts.entry((process, number)).or_insert(0);
                    *nth += 1;
                    let name = Sysno::new(number as usize).unwrap();
                    calls.push(Call {
                        process,
                        ordinal,
                        name,
                        nth: *nth,
                        before_exec: false,
                        of_runtime: false,
                        late: false,
                    });
                }
                [process] => target = Some(process),
                _ => panic!("{line}"),
            }
        }
        (calls, target, output)
    }

    /// What the target printed, with what differs from run to run made the same.
    fn walls(&self, output: &Output) -> String {
        let spaces: Vec<String> = std::fs::read_dir("/proc/self/ns")
            .unwrap()
            .map(|entry| {
                std::fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned()
            })
            .collect();
        let mut lines = vec![];
        for line in text(&output.stdout).lines() {
            let line = match line.strip_prefix("ns ") {
                Some(space) if spaces.iter().any(|own| own == space) => "ns of the host".to_owned(),
                Some(space) => format!("ns new {}", space.split(':').next().unwrap_or_default()),
                // The range of host ids that root's sandbox has is drawn for each run; the kernel pads
                // the numbers of a map.
                None if ["uid_map", "gid_map", "uid="].iter().any(|ids| line.contains(ids)) => line
                    .split(|c: char| !c.is_ascii_digit())
                    .filter(|digits| digits.parse().is_ok_and(|id: u64| id >= 0x8_0000))
                    .fold(line.to_owned(), |line, id| line.replace(id, "ID"))
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" "),
                None => match line.split_once(" - overlay ") {
                    // They are named by descriptors and in their order.
                    Some((mount, layers)) => {
                        let is_digit = |c: char| c.is_ascii_digit();
                        format!("{mount} - overlay {}", layers.replace(is_digit, ""))
                    }
                    None => line.to_owned(),
                },
            };
            lines.push(line);
        }
        lines.join("\n")
    }

    /// Whether these are the restrictions of a run in which nothing fails. Of the host's whole tree, what is
    /// shown may be less.
    fn are_kept(&self, unharmed: &str, walls: &str) -> bool {
        let is_no_less = |line: &str| match line.split_once(' ') {
            Some((at @ ("/:" | "/etc:" | "/var/tmp:"), names)) => {
                let whole = unharmed.lines().find_map(|line| line.strip_prefix(at));
                let whole: BTreeSet<&str> = whole.unwrap_or_default().split(' ').collect();
                // A name that is hidden is not there, or its file is closed.
                names.split(' ').all(|name| name == "hostname" || whole.contains(name))
            }
            // Where the tree is taken apart, its root is a directory in memory, and so is one of its
            // directories that is left out.
            Some(("open", "/new 65: done" | "/etc/text 1: done")) => true,
            Some(("open", end)) => !end.ends_with(": done"),
            Some(("mount", at)) => {
                let (_, at) = at.split_once(' ').unwrap();
                at.contains(" ro,nosuid,nodev,")
                    || at.contains(" rw,nosuid,nodev,relatime - overlay ")
                    || at.starts_with("/ rw,nosuid,nodev,relatime - tmpfs ")
            }
            _ => line == "/var/tmp:",
        };
        let is_kept = |line: &str| unharmed.lines().any(|known| known == line) || is_no_less(line);
        unharmed == walls || self.may_show_less && walls.lines().all(is_kept)
    }

    /// Whether a file that the target made is in no line.
    fn is_untold(&self, output: &Output, unharmed: &Unharmed) -> bool {
        let (seen, said) = (text(&output.stdout), text(&output.stderr));
        let made = |told: &&String| {
            let path = told.trim_start_matches("A  ");
            seen.lines()
                .any(|line| line == format!("open {path} {}: done", libc::O_WRONLY | libc::O_CREAT))
        };
        let is_told =
            |told: &String| said.contains("cannot") || said.lines().any(|line| line == told);
        !unharmed.told.iter().filter(made).all(is_told)
    }

    /// A run in which this call fails; none where no run made it. Those have the status of a run in
    /// which nothing fails.
    fn inject(&self, call: Call, errno: i32, otherwise: i32) -> Option<Output> {
        for _ in 0..TRIES {
            let output = self.tool(&call.injected(errno));
            let said = text(&output.stderr);
            if !said.contains("the call was not met") {
                return Some(output);
            }
            assert_eq!(
                output.status.code(),
                Some(otherwise),
                "{:?}: {call:?} was not made: {said}",
                self.who
            );
        }
        None
    }

    /// What is wrong when this call fails with this error; whether it was ever made.
    fn judge(&self, call: Call, errno: i32, unharmed: &Unharmed) -> Result<bool, String> {
        let Some(output) = self.inject(call, errno, 0) else { return Ok(false) };
        let status = output.status.code().unwrap_or(BROKEN);
        let said = text(&output.stderr);
        let ran = text(&output.stdout).starts_with("CANARY");
        // The events that the launcher waits for come together or one by one, so the same call can
        // be before the exec in one run and after it in another: the run itself shows which.
        let tells =
            |what| said.lines().any(|line| line == format!("faults: {what} {}", unharmed.target));
        let (born, runs) = (tells("born"), tells("exec"));
        let what = match status {
            BROKEN => "the tool failed".to_owned(),
            HANGS => "it hangs".to_owned(),
            LEFT => "a process is left".to_owned(),
            0 if ran && self.is_untold(&output, unharmed) && call.name != Sysno::write => {
                "a change is passed over in silence".to_owned()
            }
            0 if ran && self.are_kept(&unharmed.walls, &self.walls(&output)) => return Ok(true),
            0 if ran => {
                format!("the walls differ:\n{}", difference(&unharmed.walls, &self.walls(&output)))
            }
            0 => "status 0, and the target did not run".to_owned(),
            125 if said.lines().all(|line| line.starts_with("faults: ")) => {
                "status 125 without a word".to_owned()
            }
            // Once nothing holds the target back, a failure of another process ends the sandbox as
            // soon as the launcher or pid 1 learns of it: the target may be in the middle of its
            // words by then.
            125 if call.process != unharmed.target
                && (call.late || born)
                && begins(&unharmed.walls, &self.walls(&output)) =>
            {
                return Ok(true);
            }
            // Once the target runs, a failure ends it.
            125 if !ran || runs => return Ok(true),
            126 | 127 if !ran && call.name == Sysno::execve => return Ok(true),
            127 if !ran && call.of_runtime => return Ok(true),
            // The C runtime ends a process that it cannot serve, and takes an errno of brk(2),
            // which gives none, for an address.
            128.. if !ran && call.of_runtime => return Ok(true),
            139 if !ran && call.process == 0 => return Ok(true),
            _ if ran => {
                let walls = self.walls(&output);
                format!("the target ran:\n{}", difference(&unharmed.walls, &walls))
            }
            _ => "the status".to_owned(),
        };
        Err(format!(
            "{:?} process {} call {} {} errno {errno}: {what}; status {status}\n{said}",
            self.who, call.process, call.ordinal, call.name
        ))
    }

    /// Lets each call of a run fail, once; how many there were, and which no run made.
    fn once(&self, variant: &Variant) -> (usize, Vec<String>) {
        // What a process waits for comes together or one by one, so runs differ by a few calls: the
        // least that the launcher makes are tried.
        let of_launcher = |calls: &[Call]| calls.iter().filter(|call| call.process == 0).count();
        let traces = (0..3).map(|_| self.trace());
        let (calls, unharmed) =
            traces.min_by_key(|(calls, _)| (of_launcher(calls), Reverse(calls.len()))).unwrap();
        assert!(
            unharmed.walls.contains("Seccomp:\t2") && unharmed.walls.contains("NoNewPrivs:\t1"),
            "{}",
            unharmed.walls
        );
        assert!(calls.iter().filter(|call| call.before_exec).count() > 100, "{}", calls.len());
        let full = std::env::var_os("FULL").is_some();
        let mut cases = vec![];
        for (index, call) in calls.iter().enumerate() {
            let errors = if full { &ERRORS[..] } else { &ERRORS[index % ERRORS.len()..][..1] };
            cases.extend(errors.iter().map(|errno| (*call, *errno)));
        }
        let next = AtomicUsize::new(0);
        let (wrong, unmet) = (Mutex::new(vec![]), Mutex::new(vec![]));
        // Of two runs at once with one name the second is refused, and makes few of its calls.
        let workers = if variant.top.is_empty() {
            std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8))
        } else {
            1
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((call, errno)) = cases.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        match self.judge(*call, *errno, &unharmed) {
                            Ok(true) => {}
                            Ok(false) => unmet.lock().unwrap().push(format!("{call:?}")),
                            Err(what) => wrong.lock().unwrap().push(what),
                        }
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(
            wrong.is_empty(),
            "{} of {} cases:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
        (cases.len(), unmet.into_inner().unwrap())
    }
}

/// Whether a text is the other as far as it goes; its last line may be cut anywhere.
fn begins(whole: &str, part: &str) -> bool {
    let lines = part.lines().count().saturating_sub(1);
    whole == part || whole.lines().take(lines).eq(part.lines().take(lines))
}

fn difference(left: &str, right: &str) -> String {
    let (a, b): (BTreeSet<&str>, BTreeSet<&str>) =
        (left.lines().collect(), right.lines().collect());
    let gone = a.difference(&b).map(|line| format!("  - {line}\n"));
    gone.chain(b.difference(&a).map(|line| format!("  + {line}\n"))).collect()
}

/// How often a sweep begins anew.
const SWEEPS: u32 = 3;

fn sweep(who: As, variant: &Variant) {
    let Some(sweep) = Sweep::new(who, variant) else { return };
    // The first run makes a file in the writable directory, so that all later ones are alike.
    sweep.trace();
    for left in (0..SWEEPS).rev() {
        let (cases, unmet) = sweep.once(variant);
        if unmet.len() <= cases / UNMET_IN {
            return;
        }
        // The trace was of a launcher that had others' groups to look at, and those are gone.
        assert!(
            left > 0,
            "{who:?}: {} of {cases} cases were not tried:\n{}",
            unmet.len(),
            unmet.join("\n")
        );
    }
}

#[test]
fn no_single_failure_weakens_for_root() {
    if is_root() {
        sweep(As::Root, &PLAIN);
        sweep(As::Root, &OTHER);
        if support::has_v1(&["memory", "pids", "cpu", "cpuacct", "devices", "freezer"]) {
            let _alone = support::ground::no_other_kills();
            sweep(As::Root, &LIMITED);
            assert_eq!(support::dead_groups(), Vec::<String>::new());
        } else {
            skip("this machine has not the classic controllers in version 1");
        }
        sweep(As::Root, &TOLD);
        sweep(As::Root, &NAMED);
        if std::env::var_os("FULL").is_some() {
            for variant in [&WRITTEN, &MERGED, &FOREIGN, &CHANGED, &WHOLE] {
                sweep(As::Root, variant);
            }
        }
    } else {
        skip("it needs root");
    }
}

#[test]
fn no_single_failure_weakens_for_an_ordinary_user() {
    sweep(As::User, &PLAIN);
    sweep(As::User, &OTHER);
    sweep(As::User, &TOLD);
    sweep(As::User, &MERGED);
    sweep(As::User, &CHANGED);
    if std::env::var_os("FULL").is_some() {
        for variant in [&WRITTEN, &FOREIGN, &WHOLE] {
            sweep(As::User, variant);
        }
    }
}

/// Not every kernel has each file that is kept from the target, so one that is absent is no
/// failure. A single call that says so of one that is there, or of what covers it, leaves nothing
/// open.
#[test]
fn no_single_failure_passes_for_an_absent_file() {
    let mounts = [
        Sysno::openat2,
        Sysno::open_tree,
        Sysno::mount_setattr,
        Sysno::mkdirat,
        Sysno::mknodat,
        Sysno::move_mount,
    ];
    for who in As::all() {
        let Some(sweep) = Sweep::new(*who, &PLAIN) else { return };
        sweep.trace();
        let (calls, unharmed) = sweep.trace();
        // What the kernel keeps itself from a target that is not root is not covered.
        assert!(unharmed.walls.contains(" /proc/sys ro"), "{}", unharmed.walls);
        let of_mounts =
            |call: &&Call| call.process > 0 && call.before_exec && mounts.contains(&call.name);
        let made: Vec<&Call> = calls.iter().filter(of_mounts).collect();
        assert!(made.len() > 30, "{made:?}");
        // Where the launcher cannot look for lack of memory, it does not know that nothing is there.
        let looks = [Sysno::openat2, Sysno::statx];
        let of_looks = |call: &&Call| {
            call.process == 0 && call.before_exec && looks.contains(&call.name) && !call.of_runtime
        };
        let looked: Vec<&Call> = calls.iter().filter(of_looks).collect();
        assert!(looked.len() > 10, "{looked:?}");
        let absent = made.into_iter().map(|call| (call, libc::ENOENT));
        for (call, errno) in absent.chain(looked.into_iter().map(|call| (call, libc::ENOMEM))) {
            match sweep.judge(*call, errno, &unharmed) {
                Ok(true) => {}
                Ok(false) => panic!("{who:?}: {call:?} was not made"),
                Err(what) => panic!("{what}"),
            }
        }
    }
}

/// A kernel that is emulated or traced may say that it did what it did not. What is read back
/// before the exec is: the filter, Landlock, close-on-exec, capabilities and ids; mounts are not.
#[test]
fn a_protection_that_is_only_said_to_be_set_stops_the_run() {
    let read_back = [
        Sysno::seccomp,
        Sysno::landlock_restrict_self,
        Sysno::close_range,
        Sysno::capset,
        Sysno::setresuid,
        Sysno::setresgid,
    ];
    for who in As::all() {
        for variant in [&PLAIN, &OTHER, &TOLD] {
            let Some(sweep) = Sweep::new(*who, variant) else { return };
            sweep.trace();
            let (calls, unharmed) = sweep.trace();
            let tried: Vec<&Call> = calls
                .iter()
                .filter(|call| {
                    call.process > 0 && call.before_exec && read_back.contains(&call.name)
                })
                .collect();
            assert!(
                tried.iter().any(|call| call.name == Sysno::seccomp) && tried.len() > 3,
                "{tried:?}"
            );
            for call in tried {
                assert!(
                    sweep.judge(*call, 0, &unharmed).unwrap(),
                    "{who:?}: {call:?} was not made"
                );
            }
        }
    }
}

/// A directory as a standard stream would be a way to the host's tree: it is refused, whatever
/// fails.
#[test]
fn no_single_failure_passes_a_folder_as_a_stream() {
    for who in As::all() {
        let Some(sweep) = Sweep::new(*who, &PLAIN) else { return };
        let sweep = Sweep { input: "/etc".into(), ..sweep };
        // No call after the refusal is one of them.
        let (calls, _, refused) = sweep.list();
        assert_eq!(refused.status.code(), Some(125), "{who:?}: {}", text(&refused.stderr));
        // The crate has another name for it on aarch64.
        let stat_at = Sysno::new(libc::SYS_newfstatat as usize).unwrap();
        let asks = [Sysno::fcntl, stat_at, Sysno::fstat, Sysno::ioctl];
        let asked: Vec<&Call> =
            calls.iter().filter(|call| call.process == 0 && asks.contains(&call.name)).collect();
        assert!(asked.len() > 3, "{asked:?}");
        for call in asked {
            for errno in ERRORS {
                let output = sweep
                    .inject(*call, errno, 125)
                    .unwrap_or_else(|| panic!("{who:?}: {call:?} was not made"));
                let (seen, said) = (text(&output.stdout), text(&output.stderr));
                assert!(
                    output.status.code() == Some(125) && seen.is_empty(),
                    "{who:?}: call {} {} errno {errno}\n{seen}{said}",
                    call.ordinal,
                    call.name
                );
            }
        }
    }
}

#[test]
fn the_target_never_sees_the_callers_words_in_pid_1() {
    for who in As::all() {
        let Some(sweep) = Sweep::new(*who, &PLAIN) else { return };
        for _ in 0..40 {
            let output = sweep
                .place
                .stockade(*who)
                .arg("run")
                .arg(&sweep.profile)
                .args(["/walls", "first"])
                .output()
                .unwrap();
            let seen = text(&output.stdout);
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert!(
                seen.split_whitespace().eq(["line", "stockade", "/proc/1/comm:", "stockade"]),
                "{who:?}: {seen}"
            );
        }
    }
}

#[test]
fn nothing_is_allocated_and_no_lock_taken_between_clone_and_exec() {
    for who in As::all() {
        let Some(sweep) = Sweep::new(*who, &PLAIN) else { return };
        let (calls, _) = sweep.trace();
        let children: Vec<&Call> =
            calls.iter().filter(|call| call.process > 0 && call.before_exec).collect();
        assert!(children.len() > 100, "{}", children.len());
        let memory = [
            Sysno::brk,
            Sysno::mmap,
            Sysno::munmap,
            Sysno::mremap,
            Sysno::madvise,
            Sysno::mprotect,
            Sysno::futex,
        ];
        let wrong: Vec<&&Call> =
            children.iter().filter(|call| memory.contains(&call.name)).collect();
        assert!(wrong.is_empty(), "{who:?}: {wrong:?}");
    }
}
