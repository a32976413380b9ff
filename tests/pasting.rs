//! The help of a problem is pasted into its profile, which is checked again: the problem is gone, the line has no other, and the
//! sandbox grants no more than the line asked for. What offers more on purpose stands in a list, and its words say what is given up.
#![allow(missing_docs, reason = "a test binary")]

#[path = "plans/machine.rs"]
mod machine;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use stockade::explain::all;
use stockade::host::Host;
use stockade::lint::lint;
use stockade::plan::plan;
use stockade::policy::capabilities::{Capability, CapabilitySet};
use stockade::policy::mounts::entry::Mount;
use stockade::policy::mounts::sockets::Sockets;
use stockade::policy::namespaces::Kind;
use stockade::problem::{Problem, Problems, Severity};
use stockade::profile::{Caller, Request, as_written, load, place_of_key};
use stockade::source::Sources;
use stockade::step::Attrs;
use stockade::value::below;
use stockade::walls::{Shows, World};
use support::Place;

/// Codes whose help offers more than the line asks for, and a word of it that says so.
const WIDER: &[(&str, &str)] = &[
    ("identity::host", "say so"),
    ("landlock::absent", "let it fall"),
    ("landlock::scope", "let the wall fall"),
    ("limits::place", "let them fall"),
    ("mounts::broad", "give this protection up"),
    ("mounts::link", "means now"),
    ("mounts::owner", "say so"),
    ("mounts::sockets", "grant what is in it"),
    ("namespaces::nested", "every capability"),
    // The program that is meant is another than the one that is written.
    ("programs::not-found", "did you mean"),
    ("seccomp::start", "what every program does"),
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
    grants: Option<BTreeSet<Grant>>,
}

/// One thing that a sandbox lets the target do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    Read(String),
    Write(String),
    Capability(String),
    Call(String),
    Shared(String),
    /// The services whose sockets are below a directory.
    Sockets(String),
    Unruled,
}

fn check(case: &Case, text: &str) -> Checked {
    let place = Place::new();
    let path = place.file(&case.name, text).display().to_string();
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let mut sources = Sources::default();
    let args = if text.contains("command") { vec![] } else { vec!["true".to_owned()] };
    let profile = match load(&Request { profile: path, args, ..Request::default() }, &caller, &mut sources) {
        Ok(profile) => profile,
        Err(problems) => return Checked { problems: problems.into_iter().collect(), sources, grants: None },
    };
    let mut host: Host = machine::for_name(&case.name, &profile);
    let planned = plan(&profile, &host);
    let mut grants = planned.as_ref().ok().map(|plan| grants(&World::new(plan, &profile)));
    let open = profile.mounts.iter().filter(|(_, mount)| matches!(&mount.value, Mount::Bind(bind) if bind.sockets == Sockets::Allow));
    let open: Vec<Grant> = open.map(|(path, _)| Grant::Sockets(path.value.to_owned())).collect();
    grants.iter_mut().for_each(|grants| grants.extend(open.iter().cloned()));
    host.look_inside(&profile);
    machine::look_closer(&mut host, &profile);
    let mut found: Problems = planned.err().unwrap_or_default();
    found.extend(lint(&profile, &host));
    // The invented machine has no more files than its table: what a program needs is not among them.
    let of_programs = ["process::unseen-program", "process::unseen-folder", "mounts::dangling"];
    let found: Vec<Problem> = found.into_iter().filter(|problem| !of_programs.contains(&problem.code)).collect();
    let mut kept = Problems::default();
    kept.extend(found);
    let found = as_written(kept, &caller, &sources);
    Checked { problems: found.into_iter().collect(), sources, grants }
}

fn grants(world: &World<'_>) -> BTreeSet<Grant> {
    let mut out = BTreeSet::new();
    for entry in world.tree.values() {
        if let Shows::Host(tree) = &entry.shows {
            out.insert(Grant::Read(tree.source.clone()));
            out.extend((!entry.attrs.has(Attrs::READ_ONLY)).then(|| Grant::Write(tree.source.clone())));
        }
    }
    let CapabilitySet(kept) = world.capabilities().kept;
    out.extend((0..64).map(Capability).filter(|known| kept & known.bit() != 0).map(|known| Grant::Capability(known.to_string())));
    let native = &world.plan.filter.native;
    out.extend(native.rules().filter(|(_, rule)| !rule.otherwise.refuses()).map(|(call, _)| Grant::Call(native.call_name(call))));
    out.extend(Kind::ALL.into_iter().filter(|kind| !world.plan.choice.is_new(*kind)).map(|kind| Grant::Shared(kind.word().to_owned())));
    out.extend((!world.is_ruled()).then_some(Grant::Unruled));
    out
}

// ---- what a help offers ----

/// A piece of a help that can be pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Offer {
    /// `key = value`, with the section where the help names it.
    Line { section: Option<String>, key: String, value: String },
    /// A text in the place of the one that is wrong.
    Text(String),
    /// A word in its place.
    Word(String),
    /// A table in its place.
    Table(String),
}

/// The end of the value of TOML that a text begins with.
fn value_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote => escaped = true,
            '"' => {
                quote = !quote;
                if !quote && depth == 0 {
                    return Some(at + 1);
                }
            }
            '{' | '[' if !quote => depth += 1,
            '}' | ']' if !quote => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            ' ' | ';' | ',' | ':' if !quote && depth == 0 => return (at > 0).then_some(at),
            _ => {}
        }
    }
    (!quote && depth == 0 && !text.is_empty()).then_some(text.len())
}

fn offers(help: &str) -> Vec<Offer> {
    if let Some(word) = help.strip_prefix("did you mean `").and_then(|rest| rest.strip_suffix("`?")) {
        return vec![Offer::Word(word.to_owned())];
    }
    // An example of a form is none of the line's own values.
    if help.contains("such as") {
        return vec![];
    }
    let mut out = vec![];
    let mut at = 0;
    while let Some(c) = help[at..].chars().next() {
        let rest = &help[at..];
        let begins = at == 0 || help[..at].ends_with([' ', '\n']);
        let bare = rest.bytes().take_while(|byte| byte.is_ascii_lowercase() || b"-.".contains(byte)).count();
        let key = if c == '"' { value_end(rest).unwrap_or(0) } else { bare };
        if begins && key > 0 && rest[key..].starts_with(" = ") {
            let from = at + key + 3;
            let Some(length) = value_end(&help[from..]) else { break };
            let section = help[..at].rsplit_once("in [").and_then(|(_, rest)| rest.split_once("]: ")).filter(|(_, rest)| rest.is_empty());
            out.push(Offer::Line {
                section: section.map(|(section, _)| section.to_owned()),
                key: rest[..key].to_owned(),
                value: help[from..from + length].to_owned(),
            });
            at = from + length;
        } else if begins && c == '"' && key > 2 {
            out.push(Offer::Text(rest[..key].to_owned()));
            at += key;
        } else if begins && c == '{' {
            let Some(length) = value_end(rest) else { break };
            out.push(Offer::Table(rest[..length].to_owned()));
            at += length;
        } else {
            at += c.len_utf8();
        }
    }
    out
}

// ---- pasting ----

/// The places in a text: the line that an offset is in, and the section above it.
fn line_of(text: &str, offset: usize) -> std::ops::Range<usize> {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    start..end
}

fn section_of(text: &str, offset: usize) -> Option<String> {
    text[..offset].lines().rev().find_map(|line| line.strip_prefix('[')?.split(']').next().map(str::to_owned))
}

/// A line in a section, in the place of the one of the same key.
fn with_line(text: &str, section: Option<&str>, key: &str, value: &str) -> String {
    let (mut lines, mut now, mut done): (Vec<String>, Option<String>, bool) = (vec![], None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            now = Some(name.to_owned());
        }
        let same = line.split_once('=').is_some_and(|(known, _)| known.trim() == key) && now.as_deref() == section;
        lines.push(if same { format!("{key} = {value}") } else { line.to_owned() });
        done |= same;
    }
    if !done {
        let header = section.map(|section| format!("[{section}]"));
        match header.as_ref().map(|header| lines.iter().position(|line| line == header)) {
            Some(Some(place)) => lines.insert(place + 1, format!("{key} = {value}")),
            Some(None) => lines.extend([header.unwrap_or_default(), format!("{key} = {value}")]),
            None => lines.insert(0, format!("{key} = {value}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The ways to paste an offer, as the words of the help have it.
fn pasted(text: &str, offer: &Offer, help: &str, span: std::ops::Range<usize>) -> Vec<String> {
    let put = |range: std::ops::Range<usize>, new: &str| format!("{}{new}{}", &text[..range.start], &text[range.end..]);
    let line = line_of(text, span.start);
    let quoted = text[span.clone()].starts_with('"');
    match offer {
        Offer::Word(word) if text[span.clone()].starts_with("${") => vec![put(span.clone(), &format!("${{{word}}}"))],
        Offer::Word(word) => vec![put(span.clone(), &if quoted { format!("\"{word}\"") } else { word.clone() })],
        Offer::Text(new) => vec![put(span.clone(), new)],
        Offer::Table(new) => match text[line.clone()].split_once(" = ") {
            Some((key, _)) => vec![put(line.clone(), &format!("{key} = {new}"))],
            None => vec![],
        },
        Offer::Line { section, key, value } => {
            let own = section_of(text, span.start);
            let of_mounts = key.starts_with('"') && own.as_deref() == Some("mounts");
            let instead = ["write ", "name the place", "to bind it"].iter().any(|word| help.starts_with(word));
            let is_top = place_of_key(key).is_some_and(|place| place.contains("top of the file"));
            let mut ways = vec![];
            if instead && (of_mounts || !key.starts_with('"')) {
                ways.push(put(line.clone(), &format!("{key} = {value}")));
            }
            let place = section.clone().or(if is_top { None } else { own.or_else(|| Some("mounts".to_owned())) });
            match key.split_once('.') {
                Some((section, key)) if !key.starts_with('"') && !section.starts_with('"') => {
                    ways.push(with_line(text, Some(section), key, value));
                }
                _ => ways.push(with_line(text, place.as_deref(), key, value)),
            }
            // A key of the line's own table.
            if let Some((entry, table)) = text[line.clone()].split_once(" = ").filter(|_| !key.starts_with('"')) {
                let table = table.trim();
                let other = |one: &&str| one.split_once(" = ").is_none_or(|(known, _)| known.trim() != key);
                let mut parts: Vec<&str> = table.trim_matches(['{', '}', ' ']).split(", ").filter(other).collect();
                let new = format!("{key} = {value}");
                parts.push(&new);
                ways.push(put(line.clone(), &format!("{entry} = {{ {} }}", parts.join(", "))));
            }
            ways
        }
    }
}

/// Whether all that is granted more was asked for by the line.
fn asked(grant: &Grant, line: &str) -> bool {
    let line = line.to_owned() + " " + &line.to_ascii_lowercase().replace('_', "-");
    let line = line.replace("${CWD}", "/home/ann/work").replace("${HOME}", "/home/ann");
    let words: Vec<&str> = line.split('"').collect();
    let relative = |path: &str| words.iter().any(|word| *word == "." && path == "/home/ann/work" || (*word == "~" && path == "/home/ann"));
    let tail = |path: &str| {
        words.iter().any(|word| {
            let rest = word.trim_start_matches("./").trim_start_matches("$HOME/").trim_start_matches("~/");
            !rest.is_empty() && !rest.starts_with('.') && path.ends_with(&format!("/{rest}"))
        })
    };
    let named = |path: &str| words.iter().any(|word| word.starts_with('/') && below(path, word).is_some()) || relative(path) || tail(path);
    match grant {
        Grant::Read(path) => named(path) && *path != "/" || line.contains("\"/\""),
        Grant::Write(path) => named(path) && line.contains("rw"),
        Grant::Capability(name) | Grant::Call(name) | Grant::Shared(name) => line.contains(name.as_str()),
        Grant::Sockets(_) => line.contains("sockets = true"),
        Grant::Unruled => false,
    }
}

/// Pastes every offer of every help of a profile.
fn paste_all(case: &Case, wrong: &mut Vec<String>) -> usize {
    let before = check(case, &case.text);
    let mut tried = 0;
    for problem in &before.problems {
        let Some(help) = problem.help.as_deref() else { continue };
        let Some(source) = before.sources.source(problem.at).filter(|source| *source.text == *case.text) else { continue };
        let span = (problem.at.start - source.base) as usize..((problem.at.end - source.base) as usize).min(case.text.len());
        let line = case.text[line_of(&case.text, span.start)].to_owned();
        let same = |checked: &Checked, at: &str| {
            let old = |found: &Problem| {
                // These goldens have the right key and the wrong one beside each other.
                let both = found.message.contains("duplicate key") && case.name == "limits.toml";
                both || before.problems.iter().any(|old| old.message == found.message && old.message != problem.message)
            };
            let found = checked.problems.iter().filter(|found| !old(found) && !AFTER.contains(&(problem.code, found.code))).find(|found| {
                let lines = checked.sources.lines_of(found.at).unwrap_or_default();
                (found.code == problem.code && (found.message == problem.message || lines == line))
                    || found.code == "profile::syntax"
                    || (found.severity() == Severity::Error && lines == at && !line.is_empty() && lines != line)
            });
            found.map(|found| format!("{} {}", found.code, found.message))
        };
        // What a program needs is placed by the invented table, where a link leads to itself.
        if case.name.starts_with("W04") && problem.code == "mounts::below" {
            continue;
        }
        for offer in offers(help) {
            tried += 1;
            let ways = pasted(&case.text, &offer, help, span.clone());
            let mut whys = vec![];
            let good = ways.iter().find(|text| {
                let now = text.lines().find(|now| !case.text.lines().any(|old| old == *now)).unwrap_or_default();
                let why = same(&check(case, text), now);
                whys.extend(why.clone());
                why.is_none()
            });
            let Some(text) = good else {
                wrong.push(format!("{}: {} | {help} | {offer:?}: {whys:?}", case.name, problem.code));
                continue;
            };
            // What the profile grants without the line, or, where nothing is wrong with it, with it.
            let base = before.grants.clone().or_else(|| check(case, &case.text.replacen(&line, "", 1)).grants);
            if let Some((base, after)) = base.zip(check(case, text).grants) {
                let more: Vec<&Grant> = after.difference(&base).filter(|grant| !asked(grant, &line)).collect();
                let meant = WIDER.iter().any(|(code, words)| *code == problem.code && help.contains(words));
                if !more.is_empty() && !meant {
                    wrong.push(format!("{}: {} | {line} | {help}: grants more: {more:?}", case.name, problem.code));
                }
            }
        }
    }
    tried
}

fn goldens() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/problems");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|kind| kind == "toml"));
    let mut all: Vec<Case> = names
        .map(|path| Case { name: path.file_name().unwrap().to_str().unwrap().to_owned(), text: std::fs::read_to_string(&path).unwrap() })
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
    let whole = |text: &str| !text.lines().any(|line| line.starts_with("$ ") || (line.starts_with("# ") && line.ends_with(".toml")));
    all()
        .filter(|one| whole(one.bad.text))
        .filter_map(|one| {
            let format = if one.bad.text.contains("format") { "" } else { "format = 1\n" };
            Some(Case { name: format!("{}{}.toml", name(one.bad.on)?, one.number), text: format!("{format}{}\n", one.bad.text) })
        })
        .collect()
}

#[test]
fn every_help_can_be_pasted_and_grants_no_more_than_its_line() {
    let mut wrong = vec![];
    let tried: usize = goldens().iter().chain(&examples()).map(|case| paste_all(case, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 80, "only {tried} helps");
}

/// The twin: a help that grants the whole host is found.
#[test]
fn a_help_that_grants_more_is_found() {
    let case = Case { name: "p.toml".into(), text: "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n\".\" = \"ro\"\n".into() };
    let line = "\".\" = \"ro\"";
    let base = check(&case, &case.text.replace(line, "")).grants.unwrap();
    let more = |text: &str| {
        let after = check(&case, &case.text.replace("\".\"", text)).grants.unwrap();
        after.difference(&base).filter(|grant| !asked(grant, line)).count()
    };
    assert_eq!(more("\"/home/ann/work\""), 0);
    assert!(more("\"/home/ann\"") > 0 && more("\"/\"") > 0);
}

// ---- on this machine ----

/// What the invented machine does not have: programs, their directories, and the variables of the caller.
#[test]
fn a_help_of_programs_and_links_can_be_pasted_here() {
    let place = Place::new();
    let check = |text: &str| {
        let path = place.file("p.toml", text);
        let output = place.stockade(support::As::User).args(["check", "--format", "json"]).arg(path).output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found: Vec<serde_json::Value> = found.as_array().unwrap().iter().filter(|one| one["severity"] != "note").cloned().collect();
        found
    };
    let base = "format = 1\nextends = [\"base\"]\n";
    for (text, code) in [
        ("format = 1\n[process]\ncommand = [\"true\"]\n", "process::unseen-program"),
        ("format = 1\n[process]\ncommand = [\"/usr/bin/env\"]\n", "process::unseen-program"),
        (&format!("{base}[process]\ncommand = [\"ls -la\"]\n"), "process::unseen-program"),
        (&format!("{base}[process]\ncommand = [\"true\"]\ncwd = \"/srv\"\n"), "process::unseen-folder"),
        (&format!("{base}[process]\ncommand = [\"true\"]\n[mounts]\n\"/link\" = {{ symlink = \"/srv\" }}\n"), "mounts::dangling"),
    ] {
        let found = check(text);
        let problem = found.iter().find(|one| one["code"] == code).unwrap_or_else(|| panic!("{text}: {found:?}"));
        let help = problem["help"].as_str().unwrap();
        let offered = offers(help);
        assert!(!offered.is_empty(), "{help}");
        for offer in offered {
            let at = text.find(if code == "mounts::dangling" { "\"/link" } else { "command" }).unwrap();
            let good = pasted(text, &offer, help, at..at + 1)
                .iter()
                .any(|text| check(text).iter().all(|one| one["code"] != code && one["severity"] != "error"));
            assert!(good, "{text}: {help}: {offer:?}");
        }
    }
    // Today's value of a variable is not what the line asks for.
    let found = check(&format!(
        "{base}[process]\ncommand = [\"true\"]\n[mounts]\n\"/x\" = {{ bind = \"${{PROFILE_DIR}}/no\" }}\n\"/y\" = {{ bind = \"${{env:PATH}}/no\" }}\n"
    ));
    let helps: Vec<&str> = found.iter().filter_map(|one| one["help"].as_str()).collect();
    assert!(helps.iter().any(|help| help.contains("\"${PROFILE_DIR}/no\"")), "{helps:?}");
}
