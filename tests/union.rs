//! Trees of layers against a model: random changes through stockade give what overlayfs gives for
//! them, the next run sees them, `changes` lists, exports and applies them, and no layer is another
//! meanwhile. tests/union.c makes the changes and prints the tree.
//!
//! A failure prints its seed: `SEED=N cargo test --test all union::` tries that one alone, `FULL=1`
//! hundreds.

mod dice;
mod disk;
mod expected;
mod model;
mod op;

use crate::support::{As, Place, errors, is_root, kernel, said, skip, text};
use dice::{Bounds, Dice};
use disk::{full, make};
use model::{LowDirectory, Tree};
use op::Op;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};

/// Layers, the model of what is merged, and who has them.
struct Trial {
    place: Place,
    who: As,
    seed: u64,
    dice: Dice,
    bounds: Bounds,
    layers: Vec<PathBuf>,
    /// Where the tree is inside.
    path: String,
    /// What the layers are, merged; and what the tree is by now.
    before: Tree,
    now: Tree,
    upper: String,
    /// Further keys of the entry, and further lines of `[mounts]`.
    words: String,
    more: String,
    /// Hidden names of a kept upper: what it has there by an earlier run is covered, and the target
    /// makes nothing there.
    closed: Vec<model::Path>,
}

/// What is expected of one line.
enum Line {
    Does(Op, i32),
    Dumps(Vec<String>),
}

impl Trial {
    fn new(who: As, seed: u64, count: usize, bounds: Bounds) -> Trial {
        let place = Place::new();
        place.program("union");
        let mut dice = Dice::new(seed);
        let lows: Vec<LowDirectory> = (0..count).map(|_| dice.layer(bounds)).collect();
        let make = |(nth, low): (usize, &LowDirectory)| {
            let name = if nth == 1 { "l: 1,\\".into() } else { format!("l{nth}") };
            let top = place.folder(&name, who);
            make(low, &top, who);
            top
        };
        let layers = lows.iter().enumerate().map(make).collect();
        let before = Tree::merged(&lows);
        let now = before.clone();
        let (path, upper) = ("/m".into(), "\"discard\"".into());
        Trial {
            place,
            who,
            seed,
            dice,
            bounds,
            layers,
            path,
            before,
            now,
            upper,
            words: String::new(),
            more: String::new(),
            closed: vec![],
        }
    }

    /// The same with entries below: names that are hidden, and a read-only tree.
    fn covered(mut self) -> Trial {
        let mut paths: Vec<model::Path> = vec![];
        for _ in 0..1 + self.dice.throw(3) {
            let path = self.before.some_path(&mut self.dice);
            if self.may_be_covered(&path, &paths) && !self.before.is_link(&path) {
                self.more += &format!("{} = \"hide\"\n", self.key(&path));
                paths.push(path);
            }
        }
        let mut path = self.before.some_path(&mut self.dice);
        if self.before.directory(&path).is_none() {
            path = vec![self.dice.name()];
        }
        let is_open = self.before.directory(&path).map(|found| found.mode & 0o700 == 0o700);
        // One that no layer has is made in one of stockade's.
        let is_free = || {
            let name = std::ffi::OsStr::from_bytes(&path[0]);
            !self.layers.iter().any(|layer| layer.join(name).symlink_metadata().is_ok())
        };
        let low = self.dice.read_only(self.is_root());
        if self.may_be_covered(&path, &paths) && is_open.unwrap_or_else(is_free) {
            let top = self.place.folder("read-only", self.who);
            make(&low, &top, self.who);
            self.more += &format!("{} = {{ bind = \"{}\" }}\n", self.key(&path), top.display());
            self.before.mounted(&path, &low, self.is_kept());
        }
        paths.iter().for_each(|path| self.before.hide(path));
        if self.is_kept() {
            self.closed = paths;
        }
        self.now = self.before.clone();
        self
    }

    /// Whether an entry can be at a path, where these are hidden: its caller can look there.
    fn may_be_covered(&self, path: &model::Path, hidden: &[model::Path]) -> bool {
        let is_open = |end| {
            self.before.directory(&path[..end]).is_some_and(|found| found.mode & 0o500 == 0o500)
        };
        let is_apart = |other: &model::Path| !other.starts_with(path) && !path.starts_with(other);
        let is_key = |name: &Vec<u8>| std::str::from_utf8(name).is_ok() && !name.contains(&b'\n');
        path.iter().all(is_key) && (0..path.len()).all(is_open) && hidden.iter().all(is_apart)
    }

    fn key(&self, path: &model::Path) -> String {
        let path = String::from_utf8(path.join(&b'/')).unwrap();
        serde_json::to_string(&format!("{}/{path}", self.path)).unwrap()
    }

    /// The same with all directories the target's, as `copy-up` makes them.
    fn copied_up(mut self) -> Trial {
        self.words = format!(", copy-up = [\"{}\"]", self.path);
        expected::each_directory(&mut self.before.top, &mut |directory| {
            directory.attributes.clear();
            directory.is_foreign = false;
        });
        self.now = self.before.clone();
        self
    }

    /// The same with an upper that is kept.
    fn kept(mut self) -> Trial {
        self.place.folder("states", self.who);
        self.upper = format!("\"{}\"", self.state().display());
        self
    }

    fn is_kept(&self) -> bool {
        self.upper.contains("states")
    }

    fn state(&self) -> PathBuf {
        self.place.path.join("states/state")
    }

    fn is(&self) -> String {
        format!("{:?}, SEED={}", self.who, self.seed)
    }

    fn profile(&self) -> PathBuf {
        let quoted = |path: &PathBuf| format!("{:?}", path.display().to_string());
        let layers: Vec<String> = self.layers.iter().map(quoted).collect();
        let owner = if self.who == As::Root { ", owner = \"root\"" } else { "" };
        let profile = format!(
            "format = 1\n[mounts]\n\"/union\" = {{ bind = \"{}/union\" }}\n\"/proc\" = \"proc\"\n\
             \"{}\" = {{ layers = [{}], upper = {}{}{owner} }}\n{}",
            self.place.path.display(),
            self.path,
            layers.join(", "),
            self.upper,
            self.words,
            self.more
        );
        self.place.file("profile.toml", &profile)
    }

    /// Random changes, each with what the model says of it; and all of the tree now and then.
    fn lines(&mut self, count: usize) -> Vec<Line> {
        let mut lines = vec![Line::Dumps(self.now.dump())];
        while lines.len() < count {
            for op in self.dice.ops(&self.now, self.bounds) {
                if self.closed.iter().any(|path| op.is_at(path)) || self.links_away(&op) {
                    continue;
                }
                let gives = self.now.act(&op);
                lines.push(Line::Does(op, gives));
            }
            if self.dice.throw(40) == 0 {
                lines.push(Line::Dumps(self.now.dump()));
            }
        }
        lines.push(Line::Dumps(self.now.dump()));
        lines
    }

    /// Whether a change puts a link above a hidden name: the next run refuses to hide it then.
    fn links_away(&self, op: &Op) -> bool {
        let mut next = None;
        self.closed.iter().any(|path| {
            let next = next.get_or_insert_with(|| {
                let mut next = self.now.clone();
                next.act(op);
                next
            });
            (1..path.len()).any(|end| next.is_link(&path[..end]))
        })
    }

    fn input(lines: &[Line]) -> String {
        let line = |line: &Line| match line {
            Line::Does(op, _) => op.line(),
            Line::Dumps(_) => "D\n".into(),
        };
        lines.iter().map(line).collect()
    }

    /// Has them done in one run.
    fn run(&self, lines: &[Line]) {
        let input = self.place.file("input", &Self::input(lines));
        let mut command = self.place.stockade(self.who);
        command.arg("run").arg(self.profile()).args(["/union", &self.path]);
        let output = command.stdin(File::open(input).unwrap()).output().unwrap();
        assert!(output.status.success(), "{}: {}", self.is(), said(&output));
        self.compare(lines, &text(&output.stdout));
    }

    fn compare(&self, lines: &[Line], out: &str) {
        let mut out = out.lines();
        for (nth, line) in lines.iter().enumerate() {
            match line {
                Line::Does(op, gives) => {
                    let does = out.next().unwrap_or("nothing");
                    let or_none = *gives < 0 && (does == "0" || does == (-gives).to_string());
                    assert!(
                        does == gives.to_string() || or_none,
                        "{}: {nth} {op:?}\ngives {does}, and {gives} in the model, after\n{}",
                        self.is(),
                        before(lines, nth)
                    );
                }
                Line::Dumps(expected) => {
                    let found = dumped(&mut out);
                    let is = differs(expected, &found);
                    assert!(
                        is.is_empty(),
                        "{}: {nth}\n{is}after\n{}",
                        self.is(),
                        before(lines, nth)
                    );
                }
            }
        }
        assert_eq!(out.next(), None, "{}", self.is());
    }

    /// What the layers are on the disk.
    fn layers_now(&self) -> Vec<Vec<String>> {
        self.layers.iter().map(|layer| full(&self.place, layer)).collect()
    }

    fn is_root(&self) -> bool {
        self.who == As::Root
    }

    /// How the lowest layer is another than a tree.
    fn is_on_disk(&self, tree: &Tree) -> String {
        let found = disk::seen(&self.place, self.who, &self.layers[0]);
        differs(&if self.is_root() { tree.seen_by_root() } else { tree.dump() }, &found)
    }

    /// `stockade changes` with words.
    fn changes(&self, words: &[&str]) -> Output {
        let mut command = self.place.stockade(self.who);
        let output = command.arg("changes").args(words).output().unwrap();
        assert!(output.status.success(), "{}: {words:?} {}", self.is(), said(&output));
        output
    }

    /// What is listed is how the two trees are different; and so is what is exported.
    fn is_listed(&self, before: &Tree, after: &Tree) {
        let state = self.state().display().to_string();
        let json = self.changes(&["--format", "json", &state]);
        let listed = expected::listed(&text(&json.stdout));
        let model = expected::changes(before, after);
        let is = differs(&model, &listed);
        assert!(is.is_empty(), "{}: listed\n{is}", self.is());
        let tar = self.place.folder("records", self.who).join("out.tar");
        drop(fs::remove_file(&tar));
        self.changes(&["export", &state, tar.to_str().unwrap()]);
        let unpacked = expected::unpacked(before, &self.closed, &fs::read(tar).unwrap());
        let is = differs(&expected::without_attributes(after).dump(), &unpacked.dump());
        assert!(is.is_empty(), "{}: exported\n{is}", self.is());
    }
}

/// The lines of one dump. A whiteout in a directory that one layer alone has is listed by the kernel,
/// and is not there (ENOENT).
fn dumped<'t>(out: &mut impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let is_there = |line: &&str| !line.ends_with(" ?2");
    let mut found: Vec<&str> = out.take_while(|line| *line != "end").filter(is_there).collect();
    found.sort_unstable();
    found
}

/// The changes that led to a place, the last ones of them.
fn before(lines: &[Line], nth: usize) -> String {
    let does = |line: &Line| match line {
        Line::Does(op, 0) => Some(format!("{op:?}\n")),
        _ => None,
    };
    let all: Vec<String> = lines[..nth].iter().filter_map(does).collect();
    all[all.len().saturating_sub(60)..].concat()
}

/// Lines of a model, and lines that are there: which only one of them has.
fn differs<L: AsRef<str>>(model: &[String], there: &[L]) -> String {
    let mut out = String::new();
    let there: Vec<&str> = there.iter().map(AsRef::as_ref).collect();
    for line in model.iter().filter(|line| !there.contains(&line.as_str())) {
        out += &format!("  model: {}\n", named(line));
    }
    for line in there.iter().filter(|line| !model.iter().any(|known| known == *line)) {
        out += &format!("  there: {}\n", named(line));
    }
    if out.is_empty() && model.len() != there.len() {
        out = format!("  {} lines in the model, {} there: {there:?}\n", model.len(), there.len());
    }
    out
}

/// A line with its path as it is.
fn named(line: &str) -> String {
    let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
    let byte = |at: usize| path.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..path.len()).step_by(2).map(byte).collect();
    match bytes {
        Some(bytes) => format!("{} {rest}", bytes.escape_ascii()).replace(&"l".repeat(255), "LONG"),
        None => line.into(),
    }
}

/// Attributes of users' on a tmpfs, and overlayfs's own escaped, are there since Linux 6.7.
fn can() -> bool {
    let can = kernel() >= (6, 7);
    if !can {
        skip("an upper in memory with a target's own `user.overlay.` needs Linux 6.7");
    }
    can
}

/// The seeds to be tried: `few` of them, or hundreds.
fn seeds(first: u64, few: u64) -> Vec<u64> {
    if let Ok(seed) = std::env::var("SEED") {
        return vec![seed.parse().unwrap()];
    }
    let count = if std::env::var_os("FULL").is_some() { 300 } else { few };
    (first..first + count).collect()
}

const ALL: Bounds = Bounds {
    open: false,
    fifos: true,
    dressed: true,
    attributes: true,
    marks: true,
    foreign: false,
};

/// Changes of one run: what they give, see and leave is what the model has.
#[test]
fn random_changes_give_what_the_model_gives() {
    if !can() {
        return;
    }
    for who in As::all() {
        for seed in seeds(1, 4) {
            let mut trial = Trial::new(*who, seed, 1 + seed as usize % 4, ALL);
            if seed % 4 > 1 {
                trial = trial.covered();
            }
            if seed % 2 == 0 {
                let directory = trial.place.folder("uppers", *who);
                trial.upper = format!("{{ discard = \"{}\" }}", directory.display());
            }
            let layers = trial.layers_now();
            let lines = trial.lines(300);
            trial.run(&lines);
            assert!(trial.layers_now() == layers, "{}: a layer has changed", trial.is());
            // The next run begins anew.
            trial.run(&[Line::Dumps(trial.before.dump())]);
        }
    }
}

/// The same where half of all is another owner's, and `copy-up` makes its directories the target's.
#[test]
fn random_changes_in_directories_of_another_owner_give_what_the_model_gives() {
    if !can() {
        return;
    }
    if !is_root() {
        return skip("only root gives files to another owner");
    }
    for seed in seeds(3001, 2) {
        let bounds = Bounds { open: true, foreign: true, ..ALL };
        let mut trial = Trial::new(As::User, seed, 1 + seed as usize % 4, bounds).copied_up();
        if seed % 2 == 0 {
            trial = trial.covered();
        }
        let layers = trial.layers_now();
        let lines = trial.lines(300);
        trial.run(&lines);
        assert!(trial.layers_now() == layers, "{}: a layer has changed", trial.is());
    }
}

/// Several runs on one upper, some of which are killed: each sees what the last one left.
#[test]
fn what_is_kept_is_the_model_over_many_runs() {
    if !can() {
        return;
    }
    for who in As::all() {
        for seed in seeds(1001, 3) {
            // Two trees look the same where one may not look into a directory of theirs.
            let bounds = Bounds { open: seed % 2 == 0, ..ALL };
            let mut trial = Trial::new(*who, seed, 1 + seed as usize % 4, bounds).kept();
            if seed % 3 == 0 {
                trial = trial.covered();
            }
            let layers = trial.layers_now();
            for round in 0..3 {
                if round == 1 && bounds.open {
                    killed(&mut trial);
                }
                let lines = trial.lines(120);
                trial.run(&lines);
                trial.is_listed(&trial.before, &trial.now);
            }
            assert!(trial.layers_now() == layers, "{}: a layer has changed", trial.is());
        }
    }
}

/// A run that ends by SIGKILL in the middle of its changes: what is there is what one of them left.
fn killed(trial: &mut Trial) {
    let start = trial.now.clone();
    let ops: Vec<Op> = trial
        .lines(60)
        .into_iter()
        .filter_map(|line| match line {
            Line::Does(op, _) => Some(op),
            Line::Dumps(_) => None,
        })
        .collect();
    let mut command = trial.place.stockade(trial.who);
    command.arg("run").arg(trial.profile()).args(["/union", &trial.path]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(ops.iter().map(Op::line).collect::<String>().as_bytes()).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let most = trial.dice.throw(ops.len());
    let done = out.by_ref().take(most).map(Result::unwrap).count();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut tree = start;
    let mut all = vec![];
    for (nth, op) in ops.iter().enumerate() {
        if nth >= done {
            all.push(tree.clone());
            // Two calls: what the first does alone.
            let first = match op {
                Op::Create(path, mode, _) => Op::Create(path.clone(), *mode, vec![]),
                Op::Overwrite(path, _) => Op::Overwrite(path.clone(), vec![]),
                _ => Op::Open(vec![]),
            };
            let mut half = tree.clone();
            half.act(&first);
            all.push(half);
        }
        tree.act(op);
    }
    all.push(tree);
    // What it printed says how far it was at least.
    let input = trial.place.file("input", "D\n");
    let mut command = trial.place.stockade(trial.who);
    command.arg("run").arg(trial.profile()).args(["/union", &trial.path]);
    let output = command.stdin(File::open(input).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}: {}", trial.is(), said(&output));
    let found = text(&output.stdout);
    let found = dumped(&mut found.lines());
    let same = all.iter().find(|tree| differs(&tree.dump(), &found).is_empty());
    let first = differs(&all[0].dump(), &found);
    trial.now = same.unwrap_or_else(|| panic!("{}: killed\n{first}", trial.is())).clone();
}

/// Changes of the host's tree at its own path are put there, and make it what the target saw.
#[test]
fn applied_changes_make_the_layer_the_model() {
    if !can() {
        return;
    }
    // The attributes of a file that its owner may not read are not read.
    let bounds = |open| Bounds { open, dressed: open, attributes: false, marks: false, ..ALL };
    let mut trials: Vec<Trial> = As::all()
        .iter()
        .flat_map(|who| seeds(2001, 3).into_iter().map(|seed| (*who, seed)))
        .map(|(who, seed)| Trial::new(who, seed, 1, bounds(seed % 2 == 1)).kept())
        .collect();
    for trial in &mut trials {
        trial.path = trial.layers[0].display().to_string();
        for _ in 0..3 {
            let lines = trial.lines(80);
            trial.run(&lines);
            trial.is_listed(&trial.before, &trial.now);
            let state = trial.state().display().to_string();
            let mut command = trial.place.stockade(trial.who);
            command.args(["changes", "apply", "--yes", "--run-later", &state]);
            let output = command.output().unwrap();
            let why = errors(&output);
            if !output.status.success() {
                // Who is not root does not see into a directory that its owner may not look into.
                let expected = ["is not seen", "everything is as it was before"];
                let is_closed = expected.iter().any(|words| why.contains(words));
                assert!(is_closed && !trial.bounds.open, "{}: {}", trial.is(), said(&output));
                assert_eq!(trial.is_on_disk(&trial.before), "", "{}: {why}", trial.is());
                break;
            }
            let there = expected::applied(&trial.before, &trial.now);
            let is = trial.is_on_disk(&there);
            assert!(is.is_empty(), "{}: applied\n{is}{}", trial.is(), said(&output));
            let shown = expected::shown(&there, &trial.now);
            trial.before = there;
            let Some(shown) = shown else { break };
            trial.now = shown;
            trial.is_listed(&trial.before, &trial.now);
        }
        let state = trial.state().display().to_string();
        trial.changes(&["discard", "--yes", &state]);
        let is = trial.is_on_disk(&trial.before);
        assert!(is.is_empty(), "{}: discarded\n{is}", trial.is());
    }
}
