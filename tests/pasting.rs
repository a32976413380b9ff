//! The help of a problem is pasted into its profile, which is checked again: the problem is gone,
//! the line has no other, and the sandbox grants no more than the line asked for. Helps that offer
//! more on purpose are in a list, and their words say what is given up.

mod grants;
mod helps;
mod lines;
pub mod offers;
mod secrets;
mod slips;

use crate::plans::machine;
use crate::support::{self, Place};
use grants::{Grant, Grants, asked};
use offers::{line_of, offers, pasted, section_of};
use std::path::Path;
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::access::World;
use stockade::internals::inspect::lint::lint;
use stockade::internals::plan::{plan, settle};
use stockade::internals::profile::{Request, as_written, load};
use stockade::internals::text::explain::all;
use stockade::internals::text::problem::{Problem, Problems, Severity};
use stockade::internals::text::source::Sources;

/// Codes whose help offers more than the line asks for, a word of it that says so, and the kinds of
/// [`Grant`] that are meant.
const WIDER: &[(&str, &str, &[&str])] = &[
    ("identity::host", "say so", &[]),
    // A group that is further than one's own takes a map of more ids than one's own.
    ("identity::unmapped", "needs gid-map", &["Id", "Map"]),
    ("landlock::absent", "run without it", &["Optional"]),
    ("landlock::narrower", "skip this with a warning", &["Optional"]),
    ("landlock::nested", "remove one of them", &["Removed"]),
    ("landlock::scope", "run without it", &["Optional"]),
    ("limits::place", "run without them", &["Optional"]),
    ("mounts::broad", "give this protection up", &[]),
    ("mounts::kept", "skip this with a warning", &["Optional"]),
    // What a link leads to is what its line asks for.
    ("mounts::layers", "leads to", &["Read"]),
    ("mounts::layers", "means now", &["Read"]),
    ("mounts::link", "means now", &["Read"]),
    // Less than the line that it takes the place of.
    ("mounts::mixed", "nothing of the host's system", &["Device", "Kernel", "Variable"]),
    // Less of the host's, and the rest of that under the throw-away top.
    ("mounts::over-overlay", "nothing of the host's system", &["Write"]),
    ("mounts::owner", "say so", &[]),
    ("mounts::sockets", "grant what is in it", &["Sockets"]),
    // Calls of System V reach only what is in the sandbox's own ipc namespace then.
    ("landlock::narrower", "namespaces.all", &["Call"]),
    ("namespaces::mount", "namespaces.all", &["Call"]),
    // What programs need is what their line asks for.
    ("namespaces::mount", "or remove them", &["Read", "Execute"]),
    ("namespaces::nested", "every capability", &["Nested", "Call"]),
    // The program that is meant is another than the one that is written.
    ("programs::not-found", "did you mean", &["Read", "Execute"]),
    // What is written has a bound, and the line does not say that anything is.
    ("profile::value", "let the target write there", &["Write"]),
    // A program alone, in the place of a list, is that program.
    ("profile::type", "write programs = [", &["Read", "Execute"]),
    ("seccomp::start", "what every program does", &["Call"]),
];

/// What a right help may end at, where the invented machine does not have the file.
const AFTER: &[(&str, &str)] = &[
    ("mounts::below", "mounts::hide"),
    ("mounts::below", "mounts::no-mount-point"),
    ("mounts::link", "mounts::source"),
    ("mounts::path", "mounts::source"),
    ("profile::value", "mounts::source"),
];

/// A profile with the name of its machine.
struct Case {
    name: String,
    text: String,
}

struct Checked {
    problems: Vec<Problem>,
    sources: Sources,
    grants: Option<Grants>,
}

fn check(case: &Case, text: &str) -> Checked {
    let place = Place::new();
    let path = place.file(&case.name, text).display().to_string();
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let mut sources = Sources::default();
    let args = if text.contains("command") { vec![] } else { vec!["true".to_owned()] };
    let profile =
        match load(&Request { profile: path, args, ..Request::default() }, &caller, &mut sources) {
            Ok(profile) => profile,
            Err(problems) => {
                return Checked { problems: problems.into_iter().collect(), sources, grants: None };
            }
        };
    let mut host: Host = machine::for_name(&case.name, &profile);
    let planned = plan(&profile, &host);
    let grants =
        planned.as_ref().ok().map(|plan| Grants::of(&World::new(plan, &profile), &profile));
    let settled = settle(&profile, &host);
    host.look_inside(&profile, &settled);
    machine::look_closer(&mut host, &profile);
    let mut found: Problems = planned.err().unwrap_or_default();
    found.extend(lint(&profile, &host, &settled));
    // The invented machine has no more files than its table: what a program needs is not among
    // them.
    let of_programs = ["process::unseen-program", "process::unseen-directory", "mounts::dangling"];
    let found: Vec<Problem> =
        found.into_iter().filter(|problem| !of_programs.contains(&problem.code)).collect();
    let mut kept = Problems::default();
    kept.extend(found);
    let found = as_written(kept, &caller, &sources);
    Checked { problems: found.into_iter().collect(), sources, grants }
}

// ---- pasting ----

/// How many offers were pasted, and for how many of them the grants could be compared.
#[derive(Debug, Clone, Copy, Default)]
struct Tried {
    pasted: usize,
    compared: usize,
}

/// Pastes every offer of every help of a profile.
fn paste_all(case: &Case, tried: &mut Tried, wrong: &mut Vec<String>) {
    let before = check(case, &case.text);
    for problem in &before.problems {
        let Some(help) = problem.help.as_deref() else { continue };
        // What a program needs is placed by the invented table, where a link leads to itself.
        if case.name.starts_with("W04") && problem.code == "mounts::below" {
            continue;
        }
        paste(case, &before, problem, help, tried, wrong);
    }
}

/// Pastes every offer of a help.
fn paste(
    case: &Case,
    before: &Checked,
    problem: &Problem,
    help: &str,
    tried: &mut Tried,
    wrong: &mut Vec<String>,
) {
    let Some(source) =
        before.sources.source(problem.at).filter(|source| *source.text == *case.text)
    else {
        return;
    };
    let span = (problem.at.start - source.base) as usize
        ..((problem.at.end - source.base) as usize).min(case.text.len());
    let line = case.text[line_of(&case.text, span.start)].to_owned();
    let same = |checked: &Checked, at: &str| {
        let old = |found: &Problem| {
            // These goldens have the right key and the wrong one beside each other.
            let both = found.message.contains("there already") && case.name == "limits.toml";
            // A text that is no TOML may be so in the same way in other lines.
            let elsewhere = |old: &Problem| {
                let lines = before.sources.lines_of(old.at);
                old.code == "profile::syntax"
                    && lines == checked.sources.lines_of(found.at)
                    && lines != Some(line.as_str())
            };
            both || before.problems.iter().any(|old| {
                old.message == found.message && (old.message != problem.message || elsewhere(old))
            })
        };
        let found = checked
            .problems
            .iter()
            .filter(|found| !old(found) && !AFTER.contains(&(problem.code, found.code)))
            .find(|found| {
                let lines = checked.sources.lines_of(found.at).unwrap_or_default();
                (found.code == problem.code && (found.message == problem.message || lines == line))
                    || found.code == "profile::syntax"
                    || (found.severity() == Severity::Error
                        && lines == at
                        && !line.is_empty()
                        && lines != line)
            });
        found.map(|found| format!("{} {}", found.code, found.message))
    };
    for offer in offers(help) {
        tried.pasted += 1;
        let ways = pasted(&case.text, &offer, help, span.clone());
        let mut whys = vec![];
        let good = ways.iter().find(|text| {
            let now = text
                .lines()
                .find(|now| !case.text.lines().any(|old| old == *now))
                .unwrap_or_default();
            let why = same(&check(case, text), now);
            whys.extend(why.clone());
            why.is_none()
        });
        let Some(text) = good else {
            wrong.push(format!("{}: {} | {help} | {offer:?}: {whys:?}", case.name, problem.code));
            continue;
        };
        let Some(more) = more(case, before, text, &line) else { continue };
        tried.compared += 1;
        let meant = |grant: &Grant| {
            WIDER.iter().any(|(code, words, kinds)| {
                *code == problem.code
                    && help.contains(words)
                    && kinds.contains(&grant.kind().as_str())
            })
        };
        let more: Vec<Grant> =
            more.into_iter().filter(|grant| !asked(grant, &line) && !meant(grant)).collect();
        if !more.is_empty() {
            wrong.push(format!(
                "{}: {} | {line} | {help}: grants more: {more:?}",
                case.name, problem.code
            ));
        }
    }
}

/// What a profile grants beyond the same without a line, or, where nothing was wrong with the line,
/// with it. Other lines with an error are left out of both.
fn more(case: &Case, before: &Checked, text: &str, line: &str) -> Option<Vec<Grant>> {
    if let Some(base) = &before.grants {
        return Some(check(case, text).grants?.beyond(base));
    }
    let without = |text: &str, lines: &[String]| -> String {
        text.lines()
            .filter(|one| !lines.iter().any(|line| line == one))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let mut left_out: Vec<String> = vec![];
    let base = loop {
        let checked = check(case, &without(&case.text.replacen(line, "", 1), &left_out));
        if let Some(grants) = checked.grants {
            break grants;
        }
        let errors =
            checked.problems.iter().filter(|problem| problem.severity() == Severity::Error);
        let lines: Vec<String> = errors
            .filter_map(|error| checked.sources.lines_of(error.at))
            .flat_map(|lines| lines.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let count = left_out.len();
        left_out.extend(lines.into_iter().filter(|line| !line.trim().is_empty()));
        if left_out.len() == count {
            return None;
        }
    };
    let after = check(case, &without(text, &left_out)).grants?;
    let mut more = after.beyond(&base);
    // What is not there is hidden as soon as it is.
    let key = line.split_once('=').map_or(line, |(key, _)| key);
    let still = text.lines().any(|now| now.starts_with(key) && now.contains("hide"));
    more.extend(
        (protects(case, line) && after == base && !still).then(|| Grant::Removed(line.to_owned())),
    );
    Some(more)
}

/// Whether a line asks for a protection that the sandbox does not have by default.
fn protects(case: &Case, line: &str) -> bool {
    let section =
        case.text.find(line).and_then(|at| section_of(&case.text, at)).unwrap_or_default();
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    // These say where a limit is, and are none.
    let is_limit = section == "limits" && !["controllers", "manager", "parent"].contains(&key);
    is_limit
        || ["rlimits", "landlock"].contains(&section.as_str())
        || ["stdin", "stdout", "stderr", "tty", "timeout"].contains(&key)
        || line.contains("hide")
}

fn goldens() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/problems");
    let names = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"));
    let mut all: Vec<Case> = names
        .map(|path| Case {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: std::fs::read_to_string(&path).unwrap(),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The bad examples that are one profile on a machine that can be named.
fn examples() -> Vec<Case> {
    let name = |on: Option<&str>| match on {
        None => Some(""),
        Some("on Linux 5.10") => Some("old-"),
        Some("on Linux 6.1") => Some("older-"),
        Some("without Landlock") => Some("bare-"),
        Some("started by root") => Some("root-"),
        _ => None,
    };
    let whole = |text: &str| {
        !text.lines().any(|line| {
            line.starts_with("$ ") || (line.starts_with("# ") && line.ends_with(".toml"))
        })
    };
    all()
        .filter(|one| whole(one.bad.text))
        .filter_map(|one| {
            let format = if one.bad.text.contains("format") { "" } else { "format = 1\n" };
            Some(Case {
                name: format!("{}{}.toml", name(one.bad.on)?, one.number),
                text: format!("{format}{}\n", one.bad.text),
            })
        })
        .collect()
}

#[test]
fn every_help_can_be_pasted_and_grants_no_more_than_its_line() {
    let mut wrong = vec![];
    let mut tried = Tried::default();
    for case in goldens().iter().chain(&examples()) {
        paste_all(case, &mut tried, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} of {tried:?}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried.pasted > 80 && tried.compared > 60, "only {tried:?} helps");
}

fn case(name: &str, text: &str) -> Case {
    Case { name: name.into(), text: format!("format = 1\n{text}\n") }
}

/// The twin: a help that grants the whole host is found.
#[test]
fn a_help_that_grants_more_is_found() {
    let case = case("p.toml", "[process]\ncommand = [\"true\"]\n[mounts]\n\".\" = \"ro\"");
    let line = "\".\" = \"ro\"";
    let base = check(&case, &case.text.replace(line, "")).grants.unwrap();
    let more = |text: &str| {
        let after = check(&case, &case.text.replace("\".\"", text)).grants.unwrap();
        after.beyond(&base).iter().filter(|grant| !asked(grant, line)).count()
    };
    assert_eq!(more("\"/home/ann/work\""), 0);
    assert!(more("\"/home/ann\"") > 0 && more("\"/\"") > 0);
}

/// An invented help fixes a line, and grants something of each kind besides.
#[test]
fn a_made_up_help_that_grants_more_is_found_by_its_kind() {
    for (name, text, help, kind) in [
        ("p.toml", "[namespaces]\npid = \"nwe\"", "write nested = [\"user\"]", "Nested"),
        ("p.toml", "[namespaces]\npid = \"nwe\"", "write nested = true", "Nested"),
        (
            "p.toml",
            "[mounts]\n\"/x\" = { bind = \"/absent\" }",
            "write \"/dev/dri\" = \"device\"",
            "Device",
        ),
        (
            "p.toml",
            "[mounts]\n\"/x\" = { bind = \"/absent\" }",
            "write \"/run/agent.sock\" = { socket = \"/run/agent.sock\" }",
            "Socket",
        ),
        (
            "p.toml",
            "[mounts]\n\"/x\" = { bind = \"/absent\" }",
            "write \"/tmp\" = { tmpfs = \"64M\", exec = true }",
            "Execute",
        ),
        (
            "p.toml",
            "[mounts]\n\"/x\" = { bind = \"/absent\" }",
            "write \"/sys\" = \"sysfs\"",
            "Kernel",
        ),
        ("root-p.toml", "[identity]\nuser = \"nobody-here\"", "write groups = [4]", "Id"),
        ("root-p.toml", "[identity]\nuser = \"nobody-here\"", "write host = true", "Id"),
        ("p.toml", "[identity]\nuser = \"nobody-here\"", "write uid-map = \"auto\"", "Map"),
        ("p.toml", "[env]\n\"A=B\" = true", "\"TOKEN\"", "Variable"),
        ("p.toml", "[process]\nnice = 99", "write pass-fds = [5]", "Descriptor"),
        ("p.toml", "[process]\nnice = 99", "write keyring = \"inherit\"", "Kept"),
        ("p.toml", "[process]\nstdin = \"nul\"", "write stdin = \"inherit\"", "Removed"),
        ("p.toml", "[limits]\nmemory = \"64MX\"", "write memory = \"unlimited\"", "Removed"),
        ("p.toml", "[rlimits]\nnofile = -1", "write nofile = \"unlimited\"", "Removed"),
        ("p.toml", "[rlimits]\nstack = -1", "write core = \"unlimited\"", "Limit"),
        ("p.toml", "[landlock]\nscope = [\"signl\"]", "write scope = []", "Unscoped"),
        ("p.toml", "[landlock]\ntcp-bind = [99999]", "write paths = \"off\"", "Unruled"),
        ("p.toml", "optional = [\"landlok\"]", "did you mean `limits`?", "Optional"),
    ] {
        // The keys of the top come before every section.
        let command = "[process]\ncommand = [\"true\"]";
        let text = if text.starts_with("[process]") {
            format!("{text}\ncommand = [\"true\"]")
        } else {
            format!("{text}\n{command}")
        };
        let case = case(name, &text);
        let before = check(&case, &case.text);
        let (mut tried, mut wrong) = (Tried::default(), vec![]);
        let problem = before
            .problems
            .iter()
            .find(|problem| problem.severity() == Severity::Error)
            .unwrap_or_else(|| panic!("{text}: no error"));
        paste(&case, &before, problem, help, &mut tried, &mut wrong);
        assert_eq!((tried.pasted, tried.compared), (1, 1), "{text}: {help}: {wrong:?}");
        assert!(
            wrong.len() == 1 && wrong[0].contains(&format!("{kind}("))
                || kind == "Unruled" && wrong[0].contains(kind),
            "{text}: {help}: {wrong:?}"
        );
    }
}

/// What a line of the same key lets through is compared by its value.
#[test]
fn a_limit_that_is_raised_and_a_port_that_is_added_are_found() {
    let more = |section: &str, before: &str, after: &str| {
        let case = |line: &str| {
            case(
                "p.toml",
                &format!(
                    "[{section}]\n{line}\n{}command = [\"true\"]",
                    if section == "process" { "" } else { "[process]\n" }
                ),
            )
        };
        let grants = |line: &str| {
            check(&case(line), &case(line).text)
                .grants
                .unwrap_or_else(|| panic!("{line} has no plan"))
        };
        let kinds: Vec<String> =
            grants(after).beyond(&grants(before)).iter().map(Grant::kind).collect();
        kinds.join(" ")
    };
    for (section, low, high, kind) in [
        ("limits", "memory = \"64M\"", "memory = \"65M\"", "Limit"),
        ("limits", "memory = \"64M\"", "memory = \"unlimited\"", "Limit Limit"),
        ("limits", "cpu = 0.5", "cpu = 1.5", "Limit"),
        ("limits", "pids = 5", "", "Limit"),
        ("rlimits", "nofile = 5", "nofile = 6", "Limit Limit"),
        ("rlimits", "nofile = { soft = 5, hard = 6 }", "nofile = 6", "Limit"),
        ("process", "timeout = \"5s\"", "timeout = \"6s\"", "Limit"),
        ("process", "timeout = \"5s\"", "", "Limit"),
        ("process", "stdin = \"null\"", "", "Descriptor"),
        ("landlock", "tcp-bind = [80]", "tcp-bind = [80, 443]", "Port"),
        ("landlock", "tcp-bind = [80]", "", "AnyPort"),
        ("landlock", "scope = [\"signal\"]", "scope = []", "Unscoped"),
    ] {
        assert_eq!(
            (more(section, low, high).as_str(), more(section, high, low).as_str()),
            (kind, ""),
            "{low}: {high}"
        );
    }
}

// ---- on this machine ----

/// What the invented machine does not have: programs, their directories, and the variables of the
/// caller.
#[test]
fn a_help_of_programs_and_links_can_be_pasted_here() {
    let place = Place::new();
    let check = |text: &str| {
        let path = place.file("p.toml", text);
        let output = place
            .stockade(support::As::User)
            .args(["check", "--format", "json"])
            .arg(path)
            .output()
            .unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found: Vec<serde_json::Value> = found
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["severity"] != "note")
            .cloned()
            .collect();
        found
    };
    let base = "format = 1\nextends = [\"base\"]\n";
    for (text, code) in [
        ("format = 1\n[process]\ncommand = [\"true\"]\n", "process::unseen-program"),
        ("format = 1\n[process]\ncommand = [\"/usr/bin/env\"]\n", "process::unseen-program"),
        (&format!("{base}[process]\ncommand = [\"ls -la\"]\n"), "process::unseen-program"),
        (
            &format!("{base}[process]\ncommand = [\"true\"]\ncwd = \"/srv\"\n"),
            "process::unseen-directory",
        ),
        (
            &format!("{base}[process]\ncommand = [\"true\"]\ncwd = \"/usr/bin/env\"\n"),
            "process::unseen-directory",
        ),
        (
            &format!(
                "{base}[process]\ncommand = [\"true\"]\n[mounts]\n\"/link\" = {{ symlink = \
                 \"/srv\" }}\n"
            ),
            "mounts::dangling",
        ),
    ] {
        let found = check(text);
        let problem = found
            .iter()
            .find(|one| one["code"] == code)
            .unwrap_or_else(|| panic!("{text}: {found:?}"));
        let help = problem["help"].as_str().unwrap();
        let offered = offers(help);
        assert!(!offered.is_empty(), "{help}");
        for offer in offered {
            let at =
                text.find(if code == "mounts::dangling" { "\"/link" } else { "command" }).unwrap();
            let good = pasted(text, &offer, help, at..at + 1).iter().any(|text| {
                check(text).iter().all(|one| one["code"] != code && one["severity"] != "error")
            });
            assert!(good, "{text}: {help}: {offer:?}");
        }
    }
    // Today's value of a variable is not what the line asks for.
    let found = check(&format!(
        "{base}[process]\ncommand = [\"true\"]\n[mounts]\n\"/x\" = {{ bind = \
         \"${{PROFILE_DIR}}/no\" }}\n\"/y\" = {{ bind = \"${{env:PATH}}/no\" }}\n"
    ));
    let helps: Vec<&str> = found.iter().filter_map(|one| one["help"].as_str()).collect();
    assert!(helps.iter().any(|help| help.contains("\"${PROFILE_DIR}/no\"")), "{helps:?}");
}
