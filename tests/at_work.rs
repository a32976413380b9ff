//! Programs of Debian at work: tests/programs.toml says what each does, here it is done in a
//! sandbox, started by root and by an ordinary user.
//!
//! Where the work fails, it is done once more outside of every sandbox, so that the failure says
//! whose it is. docs/programs.md lists the programs: `UPDATE=1` rewrites that list. `WORK=NAME` has only
//! the entries done whose names hold NAME. Nothing here is decided by a limit of time.

use crate::support::{As, Place, is_root, skip, text};
use serde::Deserialize;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// `nobody`: unlike the user of the other tests it is in /etc/passwd, where ssh-keygen and others
/// look outside of the sandbox.
const NOBODY: u32 = 65_534;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Programs {
    work: Vec<Work>,
}

/// One entry; tests/programs.toml says what the fields mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    name: String,
    packages: Vec<String>,
    programs: Vec<String>,
    run: String,
    gives: String,
    #[serde(default = "default_profile")]
    profile: String,
    #[serde(default)]
    config: Vec<String>,
    because: Option<String>,
    cannot: Option<String>,
    alone: Option<Alone>,
    #[serde(default = "yes")]
    ci: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alone {
    programs: Vec<String>,
    #[serde(default)]
    mounts: Vec<String>,
}

fn default_profile() -> String {
    "default".into()
}

fn yes() -> bool {
    true
}

/// Where the work is done.
#[derive(Debug, Clone, Copy)]
enum Ground {
    /// Under the entry's profile and lines.
    Sandbox(As),
    /// The same without one of the lines.
    WithoutLine(As, usize),
    /// Under `strict` with its programs.
    Alone(As),
    /// Outside. Never as root: started by root, the target is not root either, and some programs
    /// refuse to be.
    Outside,
}

fn read() -> Vec<Work> {
    let text = std::fs::read_to_string(repository().join("tests/programs.toml")).unwrap();
    toml::from_str::<Programs>(&text).unwrap_or_else(|error| panic!("{error}")).work
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Work {
    /// The first program that is not installed where a sandbox finds it: a user's own directory
    /// does not count.
    fn missing(&self) -> Option<&str> {
        // The shell resolves the stars of /usr/lib/postgresql/*/bin/initdb.
        let is_there = |program: &str| {
            let found = Command::new("/bin/sh")
                .env("PATH", PATH)
                .arg("-c")
                .arg(format!("command -v {program}"))
                .stdout(Stdio::null())
                .status();
            found.unwrap().success()
        };
        self.programs.iter().map(String::as_str).find(|program| !is_there(program))
    }

    /// Where it is to be done.
    fn grounds(&self) -> Vec<Ground> {
        let mut grounds: Vec<Ground> = As::all().iter().map(|who| Ground::Sandbox(*who)).collect();
        for line in 0..self.config.len() {
            grounds.extend(As::all().iter().map(|who| Ground::WithoutLine(*who, line)));
        }
        if self.alone.is_some() {
            grounds.extend(As::all().iter().map(|who| Ground::Alone(*who)));
        }
        grounds
    }

    /// Does the work in a new directory.
    fn done(&self, place: &Place, ground: Ground) -> Output {
        let (folder, who) = folder(place, ground);
        let program = if matches!(ground, Ground::Outside) {
            Path::new("/bin/sh").into()
        } else {
            place.path.join("stockade")
        };
        let mut command = place.outside_with(who.id().map(|_| NOBODY), program);
        command.env("PATH", PATH).env("LANG", "C.UTF-8").current_dir(&folder).stdin(Stdio::null());
        match ground {
            Ground::Sandbox(_) | Ground::WithoutLine(..) => {
                let left_out =
                    |index| matches!(ground, Ground::WithoutLine(_, line) if line == index);
                let lines = self
                    .config
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| !left_out(*index))
                    .flat_map(|(_, line)| ["--config", line]);
                command.arg("run").args(lines).args([&self.profile, "/bin/sh"]);
            }
            Ground::Alone(_) => {
                command.arg("run").arg(self.alone_profile(place)).arg("/bin/sh");
            }
            Ground::Outside => {
                let home = folder.join("home");
                std::fs::create_dir(&home).unwrap();
                own(&home, who);
                // What it starts and leaves ends with it, as in a sandbox.
                command.env("HOME", home).process_group(0);
            }
        }
        let child = command
            .args(["-euc", &self.run])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let group = nix::unistd::Pid::from_raw(child.id() as i32);
        let output = child.wait_with_output().unwrap();
        if matches!(ground, Ground::Outside) {
            // ESRCH, where nothing is left.
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
        }
        output
    }

    /// `strict`, with programs, and the directory for writing.
    fn alone_profile(&self, place: &Place) -> PathBuf {
        let alone = self.alone.as_ref().unwrap();
        let folder = "\"${CWD}\" = { bind = \"${CWD}\", access = \"rw\", owner = \"root\" }";
        let mounts = alone.mounts.join("\n");
        let profile = format!(
            "format = 1\nextends = [\"strict\"]\nprograms = {:?}\n[mounts]\n{folder}\n{mounts}\n",
            alone.programs
        );
        place.file(&format!("alone-{}.toml", COUNT.fetch_add(1, Ordering::Relaxed)), &profile)
    }

    /// Whether an output is that of the work done.
    fn is_done(&self, output: &Output) -> bool {
        output.status.success() && text(&output.stdout).trim_end() == self.gives.trim_end()
    }

    /// What is wrong with what was done on a ground, if anything is.
    fn verdict(&self, place: &Place, ground: Ground) -> Option<String> {
        let output = self.done(place, ground);
        let said = || {
            format!(
                "{}: {ground:?} gave {}\n{}\n{}",
                self.name,
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            )
        };
        let to_fail = match ground {
            Ground::Sandbox(_) => self.cannot.is_some(),
            Ground::WithoutLine(..) => true,
            Ground::Alone(_) | Ground::Outside => false,
        };
        match (self.is_done(&output), to_fail) {
            (true, false) | (false, true) => None,
            (true, true) => Some(format!(
                "{}\nIT WORKS, also without what tests/programs.toml says that it needs",
                said()
            )),
            (false, false) => {
                let twin = self.done(place, Ground::Outside);
                let whose = if self.is_done(&twin) {
                    "it works outside: THE SANDBOX breaks it"
                } else {
                    "it fails outside, too: THE MACHINE's"
                };
                Some(format!("{}\n{whose}\n{}\n{}", said(), text(&twin.stdout), text(&twin.stderr)))
            }
        }
    }
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A new directory for one piece of work, owned by the user who does it.
fn folder(place: &Place, ground: Ground) -> (PathBuf, As) {
    let who = match ground {
        Ground::Sandbox(who) | Ground::WithoutLine(who, _) | Ground::Alone(who) => who,
        Ground::Outside => As::User,
    };
    let folder = place.folder(&format!("work-{}", COUNT.fetch_add(1, Ordering::Relaxed)), As::Root);
    own(&folder, who);
    (folder, who)
}

fn own(folder: &Path, who: As) {
    if is_root() && who == As::User {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Does all jobs, two at a time, and gives what is wrong.
fn in_pairs<T: Sync>(jobs: &[T], verdict: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut wrong = vec![];
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(verdict(job));
        }
        wrong
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(worker);
        let mut wrong = worker();
        wrong.extend(other.join().unwrap());
        wrong
    })
}

#[test]
fn programs_do_their_work() {
    let (place, entries) = (Place::new(), read());
    let wanted = std::env::var("WORK").unwrap_or_default();
    let full = std::env::var_os("FULL").is_some();
    let mut jobs = vec![];
    for work in entries.iter().filter(|work| work.name.contains(&wanted)) {
        match work.missing() {
            None => jobs.extend(work.grounds().into_iter().map(|ground| (work, ground))),
            // .ci/run does not install it.
            Some(program) if !work.ci && !full => {
                eprintln!("SKIPPED: {}: {program} is not installed", work.name)
            }
            Some(program) => skip(&format!(
                "{}: {program} is not installed ({})",
                work.name,
                work.packages.join(", ")
            )),
        }
    }
    let wrong = in_pairs(&jobs, |(work, ground)| work.verdict(&place, *ground));
    assert!(wrong.is_empty(), "{} of {}:\n\n{}", wrong.len(), jobs.len(), wrong.join("\n\n"));
}

/// The judge distinguishes work that was done from work that was not, and failures of the sandbox
/// from those of the machine.
#[test]
fn work_that_was_not_done_is_told() {
    let place = Place::new();
    let verdict = |run: &str, gives: &str, more: &str| {
        let entry = format!(
            "[[work]]\nname = 'n'\npackages = []\nprograms = []\nrun = '{run}'\ngives = \
             '{gives}'\n{more}\n"
        );
        let work = toml::from_str::<Programs>(&entry).unwrap().work.pop().unwrap();
        work.verdict(&place, Ground::Sandbox(As::User)).unwrap_or_default()
    };
    assert_eq!(verdict("expr 40 + 2", "42", ""), "");
    assert!(verdict("expr 40 + 3", "42", "").contains("THE MACHINE"));
    assert!(verdict("expr 40 + 2; exit 3", "42", "").contains("THE MACHINE"));
    assert!(
        verdict("test -e /etc/passwd && test -d /root && expr 40 + 2", "42", "")
            .contains("THE SANDBOX")
    );
    assert!(verdict("expr 40 + 2", "42", "cannot = 'it can'").contains("IT WORKS"));
    assert_eq!(
        verdict("test -d /root && expr 40 + 2", "42", "cannot = 'the directory is not there'"),
        ""
    );
}

#[test]
fn entries_are_as_their_file_says() {
    let entries = read();
    let mut names: Vec<&str> = entries.iter().map(|work| work.name.as_str()).collect();
    names.sort();
    names.dedup();
    assert!(names.len() == entries.len() && names.len() >= 30, "{}", names.len());
    assert!(entries.iter().filter(|work| work.alone.is_some()).count() >= 5);
    let script = std::fs::read_to_string(repository().join(".ci/run")).unwrap();
    let (before, rest) = script.split_once("if [ -n \"${FULL:-}\" ]").unwrap();
    let (large, after) = rest.split_once("\nfi\n").unwrap();
    let installs = |part: &str, package: &str| {
        part.split(|c: char| c.is_whitespace() || "=[]()".contains(c)).any(|word| word == package)
    };
    for work in &entries {
        assert!(!work.packages.is_empty() && !work.programs.is_empty(), "{}", work.name);
        assert!(
            !work.run.contains(work.gives.trim()),
            "{}: what it gives stands in what it runs",
            work.name
        );
        assert_eq!(
            work.because.is_some(),
            !work.config.is_empty(),
            "{}: `because` is the reason of `config`",
            work.name
        );
        // What Debian always has is in none of these lists.
        let is_base = |package: &str| {
            [
                "coreutils",
                "bash",
                "dash",
                "sed",
                "grep",
                "findutils",
                "diffutils",
                "tar",
                "gzip",
                "dpkg",
            ]
            .contains(&package)
        };
        for package in work.packages.iter().filter(|package| !is_base(package)) {
            let is_always = installs(before, package) || installs(after, package);
            assert!(
                is_always || !work.ci,
                "{}: .ci/run does not install {package}, so `ci = false`",
                work.name
            );
            assert!(
                is_always || installs(large, package),
                "{}: .ci/run does not install {package} with FULL=1",
                work.name
            );
        }
    }
}

// ---- the page ----

const BEGIN: &str = "<!-- The next lines are made of tests/programs.toml: UPDATE=1 cargo test --test all at_work:: -->\n";
const END: &str = "<!-- The end of what is made of tests/programs.toml. -->\n";

/// The list of the page.
fn listed(entries: &[Work]) -> String {
    let mut list = String::from("**As they are**, under `default`: ");
    let plain =
        |work: &&Work| work.config.is_empty() && work.cannot.is_none() && work.profile == "default";
    let names: Vec<&str> = entries.iter().filter(plain).map(|work| work.name.as_str()).collect();
    // The line is broken between names, as the rest of the page is.
    let (mut width, last) = (list.len(), names.len() - 1);
    for (index, name) in names.iter().enumerate() {
        let piece = format!("{name}{}", if index == last { ".\n" } else { ";" });
        if width + piece.len() > 145 {
            list.push('\n');
            width = 0;
        } else if index > 0 {
            list.push(' ');
            width += 1;
        }
        list.push_str(&piece);
        width += piece.len();
    }
    list.push_str("\n**With a line more**:\n\n| program | line | because |\n| --- | --- | --- |\n");
    for work in entries.iter().filter(|work| !work.config.is_empty()) {
        let lines: Vec<String> =
            work.config.iter().map(|line| format!("`{}`", line.replace('|', "\\|"))).collect();
        list.push_str(&format!(
            "| {} | {} | {} |\n",
            work.name,
            lines.join(", "),
            work.because.as_deref().unwrap_or_default()
        ));
    }
    let alone: Vec<&str> =
        entries.iter().filter(|work| work.alone.is_some()).map(|work| work.name.as_str()).collect();
    list.push_str(&format!(
        "\n**Alone**, under `strict` with their own `programs`: {}.\n",
        alone.join("; ")
    ));
    for work in entries {
        if let Some(why) = &work.cannot {
            list.push_str(&format!("\n**Not**: {}: {why}.\n", work.name));
        }
    }
    list
}

#[test]
fn the_page_lists_what_works() {
    let path = repository().join("docs/programs.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect(BEGIN);
    let (list, after) = rest.split_once(END).expect(END);
    let expected = listed(&read());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, [before, BEGIN, &expected, END, after].concat()).unwrap();
    } else {
        assert_eq!(list, expected, "UPDATE=1 rewrites it");
    }
}
