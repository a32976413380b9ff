//! One input of the fuzz tests: texts become files and flags, load and plan are tried on an
//! invented machine, and what must always hold is checked. `tests/fuzz.rs` and `fuzz/` share it; a
//! failure is a panic.

use super::{machine, order};
use std::path::Path;
use stockade::internals::host::caller::Caller;
use stockade::internals::host::globs::{Found, Match, Stop};
use stockade::internals::host::{Fact, Host};
use stockade::internals::plan::plan;
use stockade::internals::policy::mounts::glob::{MOST_NAMES, expand};
use stockade::internals::policy::mounts::tree::tree;
use stockade::internals::policy::mounts::{pattern, wanted};
use stockade::internals::profile::{Profile, Request, load, load_layers};
use stockade::internals::step::TreeOp;
use stockade::internals::text::problem::{Problems, Style};
use stockade::internals::text::source::{Sources, Span};

/// A generator of numbers (xorshift), so that every run tries the same.
pub struct Dice(pub u64);

impl Dice {
    pub fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.throw(from.len())]
    }
}

/// The texts.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// PROFILE.
    pub main: Vec<u8>,
    /// `base.toml` and `other.toml`, which it may extend.
    pub bases: [Vec<u8>; 2],
    /// `--config`.
    pub config: String,
    /// `--set`, a line each.
    pub set: String,
    /// The words after PROFILE, a line each.
    pub args: String,
}

impl Case {
    /// From the bytes of a fuzzer: texts with a line of three dashes between them.
    #[allow(dead_code, reason = "the deterministic test has no bytes")]
    pub fn of(bytes: &[u8]) -> Case {
        let mut parts: Vec<Vec<u8>> = vec![vec![]];
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line == b"---\n" {
                true => parts.push(vec![]),
                false => parts.last_mut().unwrap().extend_from_slice(line),
            }
        }
        let mut parts = parts.into_iter();
        let mut next = || parts.next().unwrap_or_default();
        let (main, bases) = (next(), [next(), next()]);
        let mut text = || String::from_utf8_lossy(&next()).into_owned();
        Case { main, bases, config: text(), set: text(), args: text() }
    }

    fn request(&self, folder: &Path) -> Request {
        Request {
            profile: folder.join("main.toml").to_str().unwrap().to_owned(),
            config: Some(self.config.clone())
                .filter(|text| !text.is_empty())
                .map(|text| ("--config".to_owned(), text))
                .into_iter()
                .collect(),
            params: self
                .set
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            args: self.args.lines().map(str::to_owned).collect(),
            ..Request::default()
        }
    }
}

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The texts are wrong.
    NotLoaded,
    /// The machine cannot have it.
    NotPlanned,
    /// It has a plan.
    Planned,
}

/// Tries a case in a directory of its own. Every throw of the dice is another machine.
pub fn try_case(case: &Case, folder: &Path, dice: &mut Dice) -> Outcome {
    for (name, bytes) in ["main.toml", "base.toml", "other.toml"].into_iter().zip([
        &case.main,
        &case.bases[0],
        &case.bases[1],
    ]) {
        // A file that is written over ext4 writes to the disk when it is closed.
        std::fs::remove_file(folder.join(name)).unwrap_or_default();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    // A profile must belong to its reader, so the caller of the loader has this process's id.
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let request = case.request(folder);
    let mut sources = Sources::default();
    let loaded = load(&request, &caller, &mut sources);
    told_as_loaded(&request, &caller, &loaded);
    let profile = match loaded {
        Ok(profile) => profile,
        Err(problems) => {
            good_problems(&problems, &sources);
            return Outcome::NotLoaded;
        }
    };
    let host = any_host(&profile, dice);
    let planned = plan(&profile, &host);
    let again = plan(&profile, &host);
    assert_eq!(
        format!("{:?}", planned),
        format!("{:?}", again),
        "one profile on one machine has two plans"
    );
    match planned {
        Ok(plan) => {
            for at in plan
                .shown()
                .map(|step| step.at)
                .chain(plan.notes.iter().map(|note| note.at))
                .filter(|at| at.is_somewhere())
            {
                assert!(
                    sources.text(at).is_some(),
                    "a step or a note has a place outside of the texts"
                );
            }
            if plan.steps.iter().any(|step| step.op == TreeOp::Pivot.into()) {
                order::holds(&plan, "a generated profile");
            }
            Outcome::Planned
        }
        Err(problems) => {
            good_problems(&problems, &sources);
            Outcome::NotPlanned
        }
    }
}

/// The record of the layers is of the same profile, and has places.
fn told_as_loaded(request: &Request, caller: &Caller, loaded: &Result<Profile, Problems>) {
    let mut sources = Sources::default();
    match (load_layers(request, caller, &mut sources), loaded) {
        (Ok((profile, layers)), Ok(loaded)) => {
            assert_eq!(format!("{profile:?}"), format!("{loaded:?}"));
            for change in layers.changes.iter() {
                assert!(
                    sources.text(change.at).is_some() && !change.key.is_empty(),
                    "{change:?} has no place"
                );
                assert!(
                    !change.before.is_somewhere() || sources.text(change.before).is_some(),
                    "{change:?} has no place before"
                );
            }
        }
        (Err(told), Err(loaded)) => assert_eq!(&told, loaded),
        _ => panic!("the record of the layers changes what is loaded"),
    }
}

/// Problems about a whole file, about the machine, or about a line that is not there.
const WITHOUT_A_PLACE: &[&str] = &[
    "profile::read",
    "profile::unknown",
    "profile::none",
    "profile::ambiguous",
    "host::kernel",
    "landlock::absent",
    "identity::range",
    "process::command",
];

fn good_problems(problems: &Problems, sources: &Sources) {
    assert!(!problems.is_empty());
    for problem in problems.iter() {
        let placed = |at: Span| sources.place(at).is_some() && sources.text(at).is_some();
        assert!(
            placed(problem.at)
                || (!problem.at.is_somewhere() && WITHOUT_A_PLACE.contains(&problem.code)),
            "{problem:?} has no place"
        );
        assert!(!problem.message.is_empty() && !problem.message.contains("\nhelp:"), "{problem:?}");
        for (at, words) in problem.also.iter().cloned().chain(sources.trail(problem.at)) {
            assert!(placed(at) || !at.is_somewhere(), "{problem:?}: {words}: no place");
        }
    }
    let json = problems.json(sources);
    let read: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    // Those with the same words are one record with further places.
    let further = |record: &serde_json::Value| record["places"].as_array().map_or(0, Vec::len);
    let places = read.as_array().unwrap().iter().map(|record| 1 + further(record)).sum::<usize>();
    assert_eq!(places, problems.iter().count());
    for style in [Style::Plain, Style::Ascii] {
        let shown = problems.render(sources, style);
        assert!(
            !shown.is_empty() && !shown.contains(['\0', '\u{1b}', '\r', '\u{202e}', '\u{9b}']),
            "{shown:?}"
        );
    }
}

/// A machine on which a path is there or not by the throw of the dice, and on which patterns match
/// something or nothing.
fn any_host(profile: &Profile, dice: &mut Dice) -> Host {
    let mut host =
        if dice.throw(2) == 0 { machine::for_user(profile) } else { machine::for_root(profile) };
    for (key, _) in profile.mounts.iter().filter(|(key, _)| pattern::is_pattern(key.value)) {
        host.globs.insert(key.value.to_owned(), any_found(key.value, dice));
    }
    let entries = expand(&profile.mounts, &host.globs);
    let wanted = wanted(&tree(&entries, &host.brought), &entries, &host.brought);
    host.paths = wanted.into_iter().map(|path| (path.clone(), machine::fact(&path))).collect();
    let kinds = [
        "/usr",
        "/etc/passwd",
        "/bin",
        "/run/agent.sock",
        "/dev/null",
        "/srv/services",
        "/home/ann/alias/x",
        "/nowhere",
    ];
    let odd = dice.throw(3) == 0;
    for (path, fact) in &mut host.paths {
        let invented =
            *fact == Fact::Absent(libc::ENOENT) && path.contains("match") && dice.throw(4) != 0;
        if invented || (odd && dice.throw(4) == 0) {
            *fact = machine::fact(kinds[dice.throw(kinds.len())]);
        }
    }
    host.landlock = [None, Some(1), Some(2), Some(6), Some(7), Some(7), Some(7)][dice.throw(7)];
    host
}

fn any_found(key: &str, dice: &mut Dice) -> Found {
    let names = ["match", ".match", "match/deep"];
    let path = |dice: &mut Dice| {
        let path =
            pattern::shown(key).replace("**", dice.pick(&names)).replace('*', dice.pick(&names));
        stockade::internals::language::value::plain_path(&path).unwrap_or_else(|_| "/match".into())
    };
    let link = |dice: &mut Dice| {
        Some(["/usr", "../x", "a/../b", ".match"][dice.throw(4)].to_owned())
            .filter(|_| dice.throw(3) == 0)
    };
    let matches =
        (0..dice.throw(4)).map(|_| Match { path: path(dice), link: link(dice) }).collect();
    let stops = [
        Stop::Names,
        Stop::Matches,
        Stop::Unreadable("/x".into(), libc::EACCES),
        Stop::Link("/x".into()),
    ];
    let stop = stops.get(dice.throw(30)).cloned();
    Found {
        matches,
        looked_at: dice.throw(MOST_NAMES),
        unread: (dice.throw(9) == 0).then(|| ("/x".into(), 2)),
        excepted: dice.throw(3),
        stop,
    }
}
