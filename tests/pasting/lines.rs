//! The line that `why` proposes is written into a profile that extends the one that was asked
//! about: the loader takes it, and it is about the very path or name of the question, whatever
//! bytes that has.

use crate::support::{As, Place, said, text};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Names of files that a line of TOML, a variable, a pattern or a terminal would read otherwise.
const NAMES: &[&str] = &[
    "plain",
    "a\"b",
    "a'b",
    "a\\b",
    "a\\\\b\\",
    "a$b",
    "$",
    "${x}",
    "$${x}",
    "${HOME}",
    "x${",
    "a*b",
    "*",
    "**",
    "a\\*b",
    "a # b = c",
    "[a] {b,c}?",
    "\t",
    "\u{1b}[31m",
    "é\u{202e}x",
];

/// What `why` says of one question: the verdict, and each line with its section.
struct Said {
    verdict: String,
    lines: Vec<(String, String)>,
}

fn ask(place: &Place, profile: &Path, questions: &[String]) -> Vec<Said> {
    let mut command = place.stockade(As::all()[0]);
    command.envs(NAMES.iter().map(|name| (name, "x")));
    let output = command.arg("why").arg(profile).args(questions).output().unwrap();
    assert!(!output.stdout.is_empty(), "{}", said(&output));
    let answers: Vec<Said> = text(&output.stdout).split("\n\n").map(read).collect();
    assert_eq!(answers.len(), questions.len(), "{}", said(&output));
    answers
}

fn read(answer: &str) -> Said {
    let below = |line: &str| Some(line.strip_suffix("]:")?.split_once("below [")?.1.to_owned());
    let mut lines = answer.lines();
    let verdict = lines.next().unwrap().split(':').next().unwrap().to_owned();
    let mut found = vec![];
    while let Some(line) = lines.next() {
        found.extend(below(line).map(|section| (section, lines.next().unwrap().trim().to_owned())));
    }
    Said { verdict, lines: found }
}

/// All lines that are proposed, above a profile: they change what was asked, and not a neighbour.
fn change(place: &Place, lower: &str, questions: &[String], others: &[String]) {
    let file = place.file("lower.toml", &format!("format = 1\n{lower}\n"));
    let before = ask(place, &file, questions);
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (question, answer) in questions.iter().zip(&before) {
        assert!(!answer.lines.is_empty(), "{question:?} over {lower}: no line");
        for (section, line) in &answer.lines {
            sections.entry(section).or_default().push(line);
        }
    }
    let mut upper = "format = 1\nextends = [\"./lower.toml\"]\n".to_owned();
    for (section, lines) in sections {
        upper += &format!("[{section}]\n{}\n", lines.join("\n"));
    }
    let file_above = place.file("upper.toml", &upper);
    for (question, (before, after)) in
        questions.iter().zip(before.iter().zip(ask(place, &file_above, questions)))
    {
        assert_ne!(before.verdict, after.verdict, "{question:?} with {upper}\nover {lower}");
    }
    if !others.is_empty() {
        let verdicts = |file| -> Vec<String> {
            ask(place, file, others).into_iter().map(|answer| answer.verdict).collect()
        };
        assert_eq!(verdicts(&file), verdicts(&file_above), "{others:?} with {upper}");
    }
}

#[test]
fn a_line_for_a_path_is_about_that_path_alone() {
    let place = Place::new();
    let data = place.folder("data", As::User);
    let sockets = place.folder("sockets", As::User);
    let mut listening = vec![];
    // What a star would stand for.
    for name in NAMES.iter().chain(&["axb", "zz"]) {
        std::fs::copy("/bin/true", data.join(name)).unwrap();
        let socket = sockets.join(name);
        listening.push(UnixListener::bind(&socket).unwrap());
        std::fs::set_permissions(socket, Permissions::from_mode(0o777)).unwrap();
    }
    let (data, sockets) = (data.to_str().unwrap(), sockets.to_str().unwrap());
    let each = |act: &str, top: &str| -> Vec<String> {
        NAMES.iter().map(|name| format!("{act}:{top}/{name}")).collect()
    };
    let other = |act: &str, top: &str| ["axb", "zz"].map(|name| format!("{act}:{top}/{name}"));
    let base = "extends = [\"base\"]";
    let at = |mounts: &str| format!("{base}\n[mounts]\n{mounts}");
    for (act, top, lower) in [
        // A grant where there is none.
        ("read", data, base.to_owned()),
        ("write", data, base.to_owned()),
        ("exec", data, base.to_owned()),
        ("connect", sockets, base.to_owned()),
        // More than the directory gives, and less.
        ("write", data, at(&format!("\"{data}\" = \"ro\""))),
        ("read", data, at(&format!("\"{data}\" = \"ro\""))),
        ("exec", data, at(&format!("\"{data}\" = {{ bind = \"{data}\", exec = false }}"))),
        ("exec", data, at(&format!("\"{data}\" = \"ro\""))),
        // The path outside is another than the one inside.
        ("write", "/in", at(&format!("\"/in\" = {{ bind = \"{data}\" }}"))),
        ("exec", "/in", at(&format!("\"/in\" = {{ bind = \"{data}\" }}"))),
    ] {
        // A directory of the sandbox's own above what is bound lets any name be made there.
        let asked = if lower == base { "read" } else { act };
        change(&place, &lower, &each(act, top), &other(asked, top));
    }
}

/// A line break is no part of a path of `[mounts]`.
#[test]
fn no_line_is_proposed_that_the_loader_refuses() {
    let place = Place::new();
    let data = place.folder("data", As::User);
    std::fs::write(data.join("a\nb"), "").unwrap();
    let file = place.file("lower.toml", "format = 1\nextends = [\"base\"]\n");
    let questions = [format!("read:{}/a\nb", data.display())];
    let answers = ask(&place, &file, &questions);
    assert!(answers[0].verdict == "denied" && answers[0].lines.is_empty());
}

#[test]
fn a_line_for_a_variable_is_about_that_variable() {
    let place = Place::new();
    let questions: Vec<String> = NAMES
        .iter()
        .filter(|name| !name.contains(['=', '*']))
        .map(|name| format!("env:{name}"))
        .collect();
    let others = ["env:axb".to_owned(), "env:x".to_owned()];
    change(&place, "extends = [\"base\"]", &questions, &others);
}

#[test]
fn a_line_of_a_list_or_a_rule_is_read() {
    let place = Place::new();
    let base = |more: &str| format!("extends = [\"base\"]\n{more}");
    for (lower, question) in [
        (base(""), "syscall:ptrace"),
        (base("[seccomp]\ndeny = [\"mkdir\"]"), "syscall:mkdir"),
        (base("[seccomp]\ndeny = [\"@file-system\", \"mkdir\"]"), "syscall:read"),
        (base("[seccomp.rules]\nmkdir = \"deny\""), "syscall:mkdir"),
        (base("[seccomp.rules]\n\"@keyring\" = \"kill\""), "syscall:keyctl"),
        (base("[seccomp.rules]\nsocket = { allow-if = { arg0 = \"AF_UNIX\" } }"), "socket(2, 1)"),
        (base(""), "unshare(0x10000000)"),
        (base("[namespaces]\nnested = [\"user\"]"), "unshare(0x10000000)"),
        (base(""), "syscall:getpid"),
        (base(""), "cap:net-raw"),
        (base("[capabilities]\nambient = [\"net-raw\"]"), "cap:net-raw"),
        (base(""), "connect:198.51.100.7:443"),
        (base("[network]\nmode = \"host\""), "connect:198.51.100.7:443"),
        (base(""), "bind:81"),
    ] {
        change(&place, &lower, &[question.to_owned()], &[]);
    }
}

/// A text of TOML that means itself.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>().replace("${", "$${"))
}

/// The same of a help that offers an entry: here that for a working directory that is not shown.
#[test]
fn an_entry_in_a_help_is_about_the_path_of_its_line() {
    let place = Place::new();
    let data = place.folder("data", As::User);
    for name in NAMES {
        let directory = data.join(name);
        std::fs::create_dir(&directory).unwrap();
        let cwd = quoted(directory.to_str().unwrap());
        let process = format!("extends = [\"base\"]\n[process]\ncommand = [\"true\"]\ncwd = {cwd}");
        let help = |entry: &str| {
            let profile = format!("format = 1\n{process}\n[mounts]\n{entry}\n");
            let file = place.file("p.toml", &profile);
            let mut command = place.stockade(As::all()[0]);
            let output = command.args(["check", "--format", "json"]).arg(file).output().unwrap();
            let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let mut helps = found.as_array().unwrap().iter().map(|one| {
                one["help"].as_str().unwrap_or_default().replace("grant it, in [mounts]: ", "")
            });
            // Without the entry the target does not start.
            assert_eq!(output.status.success(), !entry.is_empty(), "{profile}: {}", said(&output));
            helps.find(|help| help.starts_with('"'))
        };
        let entry = help("").unwrap_or_else(|| panic!("no help for {name:?}"));
        assert_eq!(help(&entry), None, "{name:?}: {entry}");
    }
}
