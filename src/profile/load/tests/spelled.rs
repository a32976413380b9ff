//! What is read of a text can be written as a text that says the same.

use super::*;
use crate::language::shape::{Need, Shape, Shaped, Table};
use crate::profile::load::merge::{command_line, read_layer};
use std::collections::BTreeMap;
use toml::de::DeValue;

// ---- a layer, and its spelling ----

/// What one text says, or what is wrong with it.
fn layer(text: &str, caller: &Caller) -> Result<Profile, String> {
    read(text, caller).map_err(|wrong| wrong.0.render(&wrong.1, Style::Plain))
}

/// The same with the problems, and where the text begins.
fn read(text: &str, caller: &Caller) -> Result<Profile, Box<(Problems, Sources, usize)>> {
    let request = Request {
        profile: "p.toml".into(),
        text: Some(text.into()),
        args: vec!["${word}".into(), "!*".into()],
        ..Request::default()
    };
    let room = Cell::new(Some(MOST_PUT_IN));
    let mut sources = Sources::default();
    let Gathered { layers, mut problems, .. } = gather(&request, caller, &mut sources, &room);
    let mut documents = parse(&layers, &mut problems);
    let given = Given { request: &request, caller, room: &room };
    let params = read_params(&layers, &mut documents, &given, &mut sources, &mut problems, false);
    let words = command_line(&request.args, &mut sources);
    let last = layers.iter().zip(documents).next_back();
    let read = last.map(|(layer, mut document)| {
        take(&mut document, "extends");
        read_layer(layer, document, (&given, &params, &words), &mut sources, &mut problems).0
    });
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => {
            let base = layers.last().map_or(0, |layer| layer.base);
            Err(Box::new((problems, sources, base)))
        }
    }
}

/// All of a profile but the places.
fn without_places(profile: &Profile) -> String {
    let said = format!("{profile:#?}");
    let is_place = |line: &str| {
        let line = line.strip_suffix(',').unwrap_or(line);
        if !line.as_bytes().last().is_some_and(u8::is_ascii_digit) {
            return false;
        }
        let line = line.trim_start_matches(' ');
        let line = line.rsplit_once(": ").map_or(line, |(_, value)| value);
        line.split_once("..").is_some_and(|(start, end)| {
            [start, end]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    said.lines().filter(|line| !is_place(line)).collect::<Vec<_>>().join("\n")
}

/// Reads a text, writes what it says, and reads that: nothing is another, and nothing is written in
/// another way. What is no profile is given back.
fn round(text: &str, caller: &Caller) -> Result<String, String> {
    let first = layer(text, caller)?;
    let spelled = first.spelled();
    let second = layer(&spelled, caller)
        .unwrap_or_else(|problems| panic!("{text}\nis spelled\n{spelled}\n{problems}"));
    assert_eq!(without_places(&first), without_places(&second), "{text}\nis spelled\n{spelled}");
    assert_eq!(spelled, second.spelled(), "{text}");
    Ok(spelled)
}

fn caller() -> Caller {
    let place = Place::new();
    let mut caller = place.caller.clone();
    let texts =
        [("NASTY", "a${b$${c} \"\t*\\\u{7f}\u{202e}${x} ${"), ("STAR", "/a*b\\c"), ("SEVEN", "7")];
    caller.env.extend(texts.map(|(name, value)| (name.to_owned(), value.to_owned())));
    caller
}

// ---- values of every shape ----

/// Texts as a profile writes them, between the quotes. What a key does not take is passed over.
const TEXTS: &[&str] = &[
    "",
    "x",
    "default",
    "a b",
    "$",
    "$$",
    "$${x}",
    "$$${x}",
    "a$${b}c",
    "$${a$${b}",
    "$$",
    "}",
    "\\\\*",
    "!x",
    "a\\nb",
    "\\\"'\\\\\\t\\u202e\\u007f",
    "é\u{1f600}",
    "${HOME}",
    "${env:NASTY}",
    "x${env:NASTY}y",
    "${env:SEVEN}",
    "$${ARGS}",
    "$${COMMAND}",
    // Forms of the language.
    "/",
    "/usr/lib",
    "/a//b/.",
    "/a*b",
    "/${env:STAR}/x",
    "${env:STAR}",
    "/dev/fuse",
    "/proc/1/ns/net",
    "64M",
    "0",
    "4096",
    "1T",
    "100K",
    "30s",
    "250ms",
    "90m",
    "0ms",
    "1d",
    "-1h",
    "-250ms",
    "50%",
    "100%",
    "unlimited",
    "0755",
    "1777",
    "7",
    "TERM",
    "SIGINT",
    "SIGSYS",
    "best-effort:4",
    "realtime",
    "idle",
    "fifo:99",
    "rr:1",
    "other",
    "web-1",
    "www-data",
    "1000",
    "4294967294",
    "0-3,6",
    "10:1",
    "a:FFFF",
    "AF_UNIX",
    "AF_NETLINK",
    "clone",
    "@debug",
    "PROT_READ|PROT_EXEC",
    "0x10|1",
    "errno:EIO",
    "errno:0",
    "errno:4095",
    "errno:EPERM",
    "rwx",
    "list",
    "rx",
    "r",
    "net-raw",
    "cap-chown",
    "noroot",
    "git",
    "ro",
];

/// Names of tables whose names are the profile's own.
const NAMES: &[&str] = &[
    "A",
    "a.b",
    "a b",
    "",
    "\\\"\\\\",
    "$${x}",
    "${HOME}/x",
    "/a",
    "/a/*",
    "/**/x",
    "/a\\\\*b",
    "/x\\\\y",
    "/x\\\\y/*",
    "/a/${env:STAR}/*",
    "/$${x}",
    "/$${x/*",
    "/a\\\\*/*",
    "8:0",
    "2M",
    "memory.swappiness",
    "clone",
    "@debug",
    "nofile",
];

/// Numbers that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
    fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.roll(of.len())]
    }
}

fn quote(text: &str) -> String {
    format!("\"{text}\"")
}

/// Values of a shape, as TOML, and not too many.
fn values(shape: &Shape, dice: &mut Dice) -> Vec<String> {
    let all = all_values(shape, dice);
    let step = all.len().div_ceil(MOST);
    all.into_iter().step_by(step.max(1)).collect()
}

const MOST: usize = 150;

fn all_values(shape: &Shape, dice: &mut Dice) -> Vec<String> {
    match shape {
        Shape::Text | Shape::Form(..) => TEXTS.iter().map(|text| quote(text)).collect(),
        Shape::Words(words) => words.iter().map(|word| quote(&word.word)).collect(),
        Shape::Integer(low, high) => {
            let some = [*low, *high, 0, 1, 7, 80, 100, -1, 0x0001_0000, u32::MAX.into()];
            some.iter().map(i64::to_string).chain(["0x1F".into(), "0o17".into()]).collect()
        }
        Shape::Number(low, high) => {
            [*low, *high, "1", "1.5", "0.333", "2.0005", "3e0"].map(str::to_owned).to_vec()
        }
        Shape::Boolean => ["true", "false"].map(str::to_owned).to_vec(),
        Shape::True => vec!["true".into()],
        Shape::Sequence(item) | Shape::Set(item) => {
            let items = values(item, dice);
            let mut out = vec!["[]".into(), "[\"!*\"]".into(), "[\"!x\", \"!$${x}\"]".into()];
            out.extend(items.iter().map(|item| format!("[{item}]")));
            for _ in 0..items.len() {
                out.push(format!("[{}, {}]", dice.pick(&items), dice.pick(&items)));
            }
            out
        }
        Shape::Table(table) => tables(table, dice),
        Shape::Named(named) => {
            let values = values(&named.value, dice);
            let mut out = vec!["{}".to_owned()];
            for value in values {
                out.push(format!("{{ {} = {value} }}", quote(dice.pick::<&str>(NAMES))));
            }
            out
        }
        Shape::Either(shapes) => shapes.iter().flat_map(|shape| values(shape, dice)).collect(),
        Shape::Key(inner) => with(values(inner, dice), "\"default\""),
        Shape::Entry(inner) => with(values(inner, dice), "false"),
        Shape::Part(_, _, inner) => values(inner, dice),
        Shape::Early(_) => vec![],
    }
}

fn with(mut values: Vec<String>, one: &str) -> Vec<String> {
    values.push(one.into());
    values
}

/// Tables with a kind, where one has some, and other keys.
fn tables(table: &Table, dice: &mut Dice) -> Vec<String> {
    let all: Vec<(String, Need, Vec<String>)> = table
        .keys
        .iter()
        .map(|key| (key.name.clone(), key.need.clone(), values(&key.shape, dice)))
        .collect();
    let mut out = vec![];
    // Each value of each key with what must be there.
    for (name, need, values) in &all {
        for value in values {
            let mut keys = vec![format!("{name} = {value}")];
            for (other, their, values) in &all {
                let goes = match (need, their) {
                    _ if other == name => false,
                    (_, Need::Required) => true,
                    (Need::With(kinds), Need::Kind) => kinds.first() == Some(&other.as_str()),
                    (Need::Kind, Need::With(kinds)) => {
                        kinds.contains(&name.as_str()) && dice.roll(3) == 0
                    }
                    (Need::Optional, Need::Optional) => dice.roll(6) == 0,
                    _ => false,
                };
                if goes && !values.is_empty() {
                    keys.push(format!("{other} = {}", dice.pick(values)));
                }
            }
            out.push(format!("{{ {} }}", keys.join(", ")));
        }
    }
    out
}

/// Every key of the profile, by its section, with values.
fn keys(dice: &mut Dice) -> Vec<(String, String, Vec<String>)> {
    let mut out = vec![];
    for top in Profile::shape().keys() {
        match &top.shape {
            Shape::Table(table) => {
                for key in &table.keys {
                    match &key.shape {
                        Shape::Named(named) => {
                            let values = values(&named.value, dice);
                            let section = format!("{}.{}", top.name, key.name);
                            out.extend(
                                NAMES
                                    .iter()
                                    .map(|name| (section.clone(), quote(name), values.clone())),
                            );
                        }
                        shape => {
                            out.push((top.name.clone(), key.name.clone(), values(shape, dice)))
                        }
                    }
                }
            }
            Shape::Named(named) => {
                let values = values(&named.value, dice);
                out.extend(
                    NAMES.iter().map(|name| (top.name.clone(), quote(name), values.clone())),
                );
            }
            shape => out.push((String::new(), top.name.clone(), values(shape, dice))),
        }
    }
    out.retain(|(.., values)| !values.is_empty());
    out
}

fn profile(section: &str, lines: &str) -> String {
    let heading = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    format!("format = 1\n{heading}{lines}\n")
}

#[test]
fn every_value_of_every_key_is_written_as_it_is_read() {
    let (caller, mut dice) = (caller(), Dice(1));
    let (mut tried, mut read) = (0, 0);
    let mut good: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (section, key, values) in keys(&mut dice) {
        let before = read;
        for value in &values {
            tried += 1;
            let line = format!("{key} = {value}");
            if round(&profile(&section, &line), &caller).is_ok() {
                read += 1;
                good.entry(section.clone()).or_default().push((key.clone(), line));
            }
        }
        let named = key.starts_with('"');
        assert!(named || read - before >= 2, "[{section}] {key}: {values:?}");
    }
    assert!(read > 2000 && tried > read, "{read} of {tried}");
    // Lines of all sections together.
    for _ in 0..60 {
        let mut text = String::from("format = 1\n");
        for (section, lines) in &good {
            let mut taken = BTreeMap::new();
            for _ in 0..dice.roll(6) {
                let (key, line) = dice.pick(lines);
                taken.entry(key).or_insert(line);
            }
            if !section.is_empty() {
                text.push_str(&format!("[{section}]\n"));
            }
            taken.values().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        // Two keys can be one path.
        if let Err(why) = round(&text, &caller) {
            assert!(why.contains("twice"), "{text}\n{why}");
        }
    }
}

// ---- whole profiles ----

fn files(directory: &std::path::Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            found.push(entry);
        }
    }
}

#[test]
fn every_profile_of_the_repository_is_written_as_it_is_read() {
    let (caller, root) = (caller(), std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut paths = vec![];
    for directory in ["profiles", "examples", "tests"] {
        files(&root.join(directory), &mut paths);
    }
    let (mut read, mut refused) = (0, vec![]);
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        match round(&text, &caller) {
            Ok(_) => read += 1,
            Err(_) => refused.push(path.strip_prefix(root).unwrap().display().to_string()),
        }
    }
    assert!(read > 75, "{read}; refused: {refused:#?}");
}

/// The text without a part of it that has a problem: the key, or the lines of the section.
fn without(text: &str, at: usize) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let document = toml::de::DeTable::parse(text).unwrap();
    let mut part = None;
    for (key, value) in document.get_ref() {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table.iter().collect(),
            _ => vec![(key, value)],
        };
        for (key, value) in inner {
            if key.span().start <= at && at < key.span().end.max(value.span().end) {
                part = Some(key.span().start..value.span().end.max(key.span().end));
            }
        }
    }
    let number = text[..at].matches('\n').count();
    match part {
        Some(part) if !lines[number].starts_with('[') => {
            format!("{}{}", &text[..part.start], &text[part.end..])
        }
        _ => {
            let is_heading = |line: &&&str| line.starts_with('[');
            let more = lines[number + 1..].iter().take_while(|line| !is_heading(line)).count();
            [&lines[..number], &lines[number + 1 + more..]].concat().concat()
        }
    }
}

/// The profiles of the page that decided the language, as far as it is built: what is refused is
/// left out, a key at a time.
#[test]
fn profiles_of_the_language_to_come_are_written_as_they_are_read() {
    let (caller, mut paths) = (caller(), vec![]);
    files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language"), &mut paths);
    assert_eq!(paths.len(), 24);
    let (mut all, mut kept) = (0, 0);
    for path in &paths {
        let mut text = std::fs::read_to_string(path).unwrap();
        let of_text = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        all += of_text(&text);
        text = text
            .lines()
            .filter(|line| !line.starts_with("extends"))
            .map(|line| format!("{line}\n"))
            .collect();
        for _ in 0..200 {
            let Err(wrong) = read(&text, &caller) else { break };
            let at = wrong.0.iter().next().unwrap().at.start as usize - wrong.2;
            text = without(&text, at);
        }
        round(&text, &caller).unwrap_or_else(|why| panic!("{}: {text}\n{why}", path.display()));
        kept += of_text(&text);
    }
    assert!(kept > 230, "{kept} of {all} lines");
}
