//! The README and the pages of `docs` are true: their commands run, what they show is printed,
//! their profiles are good, their links lead somewhere.
//!
//! A block of `sh` has commands: each line that starts the launcher is run, and a comment `# status
//! N` behind it says the status that is not 0. A block of `console` has commands after `$ ` and what
//! they print, where a line `...` stands for any number of lines. A block of `toml` is a profile if
//! it has `format`, else a part of one; with `# NAME.toml` as its first line the commands of the
//! page find it under that name. A comment before a block says why it is an exception: `<!-- not
//! run: WHY -->`, `<!-- not compared: WHY -->`, `<!-- not checked: WHY -->`.

use crate::support::{self, As, Place, is_root, pages, skip, text};
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `nobody`: an ordinary user whom the machine knows, as the profile `build` needs.
const NOBODY: u32 = 65_534;

/// Programs of the commands, besides those that every machine has.
const PROGRAMS: &[&str] =
    &["curl", "fish", "git", "jq", "make", "mandoc", "python3", "strace", "systemd-analyze"];

/// A fenced block of a page.
struct Block {
    language: String,
    text: String,
    line: usize,
    /// What the comment before it says.
    exception: Option<String>,
}

impl Block {
    fn all(page: &str) -> Vec<Block> {
        let lines: Vec<&str> = page.lines().collect();
        let (mut blocks, mut at) = (vec![], 0);
        while at < lines.len() {
            if let Some(language) = lines[at].strip_prefix("```") {
                let end = (at + 1..lines.len()).find(|end| lines[*end] == "```").expect("an end");
                let before = lines[..at].iter().rev().find(|line| !line.is_empty());
                blocks.push(Block {
                    language: language.into(),
                    text: lines[at + 1..end].iter().map(|line| format!("{line}\n")).collect(),
                    line: at + 1,
                    exception: before
                        .and_then(|line| line.strip_prefix("<!-- not "))
                        .map(|line| line.trim_end_matches(" -->").into()),
                });
                at = end;
            }
            at += 1;
        }
        blocks
    }

    fn is_not(&self, what: &str) -> bool {
        self.exception.as_ref().is_some_and(|why| {
            why.split_once(": ").is_some_and(|(word, why)| word == what && !why.is_empty())
        })
    }

    /// The name under which the commands of the page find it.
    fn name(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        name.ends_with(".toml").then_some(name)
    }

    /// A whole profile.
    fn profile(&self) -> String {
        if self.text.contains("format = 1") {
            return self.text.clone();
        }
        format!("format = 1\nextends = [\"base\"]\n{}", self.text)
    }
}

/// Where the commands of one page are run.
struct Desk {
    place: Place,
    work: PathBuf,
    who: As,
}

impl Desk {
    fn new(who: As, blocks: &[Block]) -> Desk {
        let place = Place::new();
        let work = place.path.join("work");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir(&work).unwrap();
        std::fs::copy(root.join("Cargo.lock"), work.join("Cargo.lock")).unwrap();
        place.file("work/Makefile", "all test:\n\t@echo made\n");
        std::fs::create_dir(work.join("examples")).unwrap();
        for example in ["untrusted-script"] {
            std::fs::create_dir(place.path.join(example)).unwrap();
            for entry in std::fs::read_dir(root.join("examples").join(example)).unwrap().flatten() {
                let copy = place.path.join(example).join(entry.file_name());
                std::fs::copy(entry.path(), &copy).unwrap();
                // A checkout may be writable for a group; an installed profile may not.
                let mode = std::fs::metadata(&copy).unwrap().permissions().mode() & 0o755;
                std::fs::set_permissions(&copy, PermissionsExt::from_mode(mode)).unwrap();
            }
            std::os::unix::fs::symlink(
                place.path.join(example),
                work.join("examples").join(example),
            )
            .unwrap();
        }
        for block in blocks {
            if let Some(name) = block.name() {
                place.file(&format!("work/{name}"), &block.profile());
            }
        }
        let kept = place.path.join("kept");
        std::fs::create_dir(&kept).unwrap();
        if is_root() && who == As::User {
            let entries = std::fs::read_dir(&work).unwrap().flatten().map(|entry| entry.path());
            for path in entries.chain([work.clone(), kept]) {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Desk { place, work, who }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.place.outside_with(self.who.id().map(|_| NOBODY), program);
        command
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.place.path.display()))
            .env("LANG", "C.UTF-8")
            .env("XDG_STATE_HOME", self.place.path.join("kept"))
            .current_dir(&self.work)
            .stdin(Stdio::null());
        command
    }

    /// A line of shell, as a user would type it.
    fn shell(&self, line: &str) -> Output {
        self.command("/bin/sh").args(["-c", line]).output().unwrap()
    }
}

/// The programs of a line that this machine lacks.
fn lacks(line: &str) -> bool {
    let lacking = PROGRAMS.iter().find(|program| {
        line.split(|sign: char| !sign.is_alphanumeric() && sign != '-')
            .any(|word| word == **program)
            && !["/usr/local/bin", "/usr/bin", "/bin"]
                .iter()
                .any(|directory| Path::new(directory).join(program).exists())
    });
    if let Some(program) = lacking {
        skip(&format!("{program} is not installed"));
    }
    lacking.is_some()
}

/// What differs between machines is not shown: an ordinary user's `default` has its limits where
/// systemd delegates control groups.
fn printed(output: &Output) -> Vec<String> {
    let all = text(&output.stdout) + &text(&output.stderr);
    all.lines()
        .filter(|line| !line.contains("limits are not enforced"))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Whether lines are as shown, where `...` stands for any number of them.
fn matches(shown: &[&str], printed: &[String]) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        [line, rest @ ..] => {
            printed.first().is_some_and(|first| first == line.trim_end())
                && matches(rest, &printed[1..])
        }
    }
}

/// Runs the commands of a block as `desk` is, and returns what is wrong.
fn wrong_commands(page: &str, block: &Block, desk: &Desk) -> Vec<String> {
    let mut wrong = vec![];
    let mut say = |line: &str, what: String| {
        wrong.push(format!("{page}:{}: {:?}: {line}\n{what}", block.line, desk.who));
    };
    if block.language == "sh" {
        for line in block.text.lines() {
            let line = line.replace("cargo run --release -- ", "stockade ");
            if !line.starts_with("stockade ") {
                say(&line, "starts no launcher: mark the block, and say why".into());
            } else if !lacks(&line) {
                let expected = line
                    .split_once("# status ")
                    .map_or(0, |(_, status)| status.trim().parse().unwrap());
                let output = desk.shell(&line);
                if output.status.code() != Some(expected) {
                    say(&line, format!("{:?}\n{}", output.status, printed(&output).join("\n")));
                }
            }
        }
        return wrong;
    }
    let mut rest = block.text.as_str();
    while let Some(command) = rest.strip_prefix("$ ") {
        let end = command.find("\n$ ").map_or(command.len(), |end| end + 1);
        let (line, shown) = command[..end].split_once('\n').unwrap();
        rest = &command[end..];
        if lacks(line) {
            continue;
        }
        let output = desk.shell(line);
        let (shown, printed) = (shown.lines().collect::<Vec<_>>(), printed(&output));
        if !block.is_not("compared") && !matches(&shown, &printed) {
            say(line, format!("shown:\n{}\nprinted:\n{}", shown.join("\n"), printed.join("\n")));
        }
    }
    if !rest.is_empty() {
        say(rest, "a block of console begins with `$ `".into());
    }
    wrong
}

/// Commands run as root and as an ordinary user; what they print is that user's.
#[test]
fn commands_run_and_print_what_is_shown() {
    let pages = pages();
    let commands: Vec<_> = pages
        .iter()
        .flat_map(|(name, page)| As::all().iter().map(move |who| (name, page, *who)))
        .collect();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = commands
            .chunks(commands.len().div_ceil(4))
            .map(|part| {
                scope.spawn(move || {
                    part.iter().flat_map(|(name, page, who)| wrong_page(name, page, *who)).collect()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<String> { thread.join().unwrap() }).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn wrong_page(name: &str, page: &str, who: As) -> Vec<String> {
    let blocks = Block::all(page);
    let is_run = |block: &&Block| {
        (block.language == "sh" || block.language == "console" && who == As::User)
            && !block.is_not("run")
    };
    if !blocks.iter().any(|block| is_run(&block)) {
        return vec![];
    }
    let desk = Desk::new(who, &blocks);
    blocks.iter().filter(is_run).flat_map(|block| wrong_commands(name, block, &desk)).collect()
}

/// As an ordinary user: root names an owner besides, where it grants for writing.
#[test]
fn profiles_are_good() {
    let mut wrong = vec![];
    for (page, blocks) in pages().iter().map(|(name, page)| (name, Block::all(page))) {
        let profiles: Vec<&Block> = blocks
            .iter()
            .filter(|block| block.language == "toml" && !block.is_not("checked"))
            .collect();
        if !profiles.is_empty() {
            let desk = Desk::new(As::User, &blocks);
            desk.place.folder("work/out", As::User);
            for block in &profiles {
                let path = desk.place.file("part/part.toml", &block.profile());
                let mut check = desk.command(desk.place.path.join("stockade"));
                let output = check.arg("check").arg(path).args(["--", "true"]).output().unwrap();
                if !output.status.success() {
                    wrong.push(format!("{page}:{}\n{}", block.line, printed(&output).join("\n")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn blocks_are_of_a_known_language_and_exceptions_have_a_reason() {
    for (page, blocks) in pages().iter().map(|(name, page)| (name, Block::all(page))) {
        for block in blocks {
            let known =
                ["sh", "console", "toml", "text", "rust"].contains(&block.language.as_str());
            assert!(known, "{page}:{}: {}", block.line, block.language);
            if let Some(exception) = &block.exception {
                let good = ["run", "compared", "checked"].iter().any(|what| block.is_not(what));
                assert!(good, "{page}:{}: {exception}", block.line);
            }
        }
    }
}

/// Where a heading can be linked to.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let kept = |sign: &char| sign.is_alphanumeric() || " -_".contains(*sign);
            line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect()
        })
        .map(|heading: String| heading.replace(' ', "-"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let more = ["CHANGELOG.md", "SECURITY.md"].map(|name| (name.to_owned(), root.join(name)));
    let more = more.into_iter().filter(|(_, path)| path.exists());
    let more = more.map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()));
    for (name, page) in pages().into_iter().chain(more) {
        let directory = root.join(&name).parent().unwrap().to_owned();
        let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (path, anchor) = link.split_once('#').map_or((link, None), |(p, a)| (p, Some(a)));
            let target = if path.is_empty() { root.join(&name) } else { directory.join(path) };
            assert!(target.exists(), "{name}: {link}");
            if let Some(anchor) = anchor {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{name}: {link}: {there:?}");
            }
        }
    }
    let readme = support::page("README.md");
    for (name, _) in pages().iter().filter(|(name, _)| name != "README.md") {
        assert!(readme.contains(&format!("]({name})")), "the README does not lead to {name}");
    }
    assert!(readme.lines().count() <= 180, "the README has {} lines", readme.lines().count());
}

/// What the table of other tools' flags calls one is one: the plans are the same.
#[test]
fn flags_of_the_table_are_their_lines() {
    let readme = support::page("README.md");
    let rows =
        readme.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 6);
    let place = Place::new();
    let own = place.folder("own", As::User);
    let plan = |words: &[&str]| {
        let mut command = place.stockade(As::User);
        command.env("XDG_RUNTIME_DIR", &place.path).current_dir(&own);
        command.args(["plan", "--format", "json"]);
        let output = command.args(words).args(["base", "true"]).output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        // Whether it is refused is the machine's matter, and is the same of both.
        (
            output.status.code(),
            plan["steps"].as_array().map(|steps| {
                let op = |step: &serde_json::Value| step["op"].to_string();
                steps.iter().map(op).collect::<Vec<_>>()
            }),
        )
    };
    let mut compared = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let code = |cell: usize| cells[cell].split('`').nth(1);
        if let (Some(line), Some(flag)) = (code(4), code(5))
            && flag.starts_with("--")
        {
            let (flag, value) = flag.split_once(' ').unwrap();
            let by_line = plan(&["--config", line]);
            assert_eq!(by_line, plan(&[flag, value]), "{row}");
            let starts = by_line.1.is_some_and(|steps| !steps.is_empty());
            assert!(starts || flag != "--rw", "{row}");
            compared += usize::from(starts);
        }
    }
    assert!(compared >= 9, "{compared}");
}

/// The profile that is explained line by line, run as its page says.
#[test]
fn the_profile_of_the_tour_runs() {
    if lacks("python3") {
        return;
    }
    let page = support::page("docs/language.md");
    let profile = Block::all(&page).into_iter().find(|block| block.name() == Some("report.toml"));
    for who in As::all() {
        let place = Place::new();
        let path = place.file("report/report.toml", &profile.as_ref().unwrap().text);
        place.file(
            "report/report.py",
            "import os, sys\nopen('/out/report.txt', 'w').write(os.environ['MONTH'] + ' ' + ' \
             '.join(sys.argv[1:]))\n",
        );
        let out = place.folder("out", *who);
        let mut command = place.stockade(*who);
        command
            .env("MONTH", "May")
            .args(["run", "--set", &format!("out={}", out.display())])
            .arg(path)
            .arg("--brief");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{who:?}: {}", support::said(&output));
        assert_eq!(std::fs::read_to_string(out.join("report.txt")).unwrap(), "May --brief");
    }
}
