//! `stockade explain`: why a code is, with a bad example and a good one; and what the reference
//! says of a key.

use super::page::plain;
use super::reference::{Entry, entries, keys_of};
use super::{FAILED, print_line, print_problems};
use crate::cli::{Explained, Format};
use crate::text::explain::{Explanation, all, find, like};
use crate::text::layout::{COLUMNS, Lines, Paint, Tone, fill};
use crate::text::problem::{Problem, suggestion};
use crate::text::source::Sources;

/// What a word of the command line means.
enum Meant {
    Code(Explanation),
    /// A key of the language.
    Key(Entry),
    /// More than one thing: the lines of a list.
    Several(Vec<String>),
}

/// Explains each code or key that is named, or lists all codes.
pub(super) fn explain(explained: Explained) -> u8 {
    let paint = Paint::of(&std::io::stdout());
    if explained.codes.is_empty() {
        match explained.format {
            Format::Json => print_line(&json(&all().collect::<Vec<_>>())),
            Format::Text => all().for_each(|one| print_line(&listed(&one, paint))),
        }
        return 0;
    }
    let mut found = vec![];
    for name in &explained.codes {
        match meant(name, paint) {
            Some(meant) => found.push(meant),
            None => {
                let words = all().flat_map(|known| [known.code, known.number]);
                let help = suggestion(name, words)
                    .unwrap_or_else(|| "to list them all: stockade explain".into());
                let problem = Problem::new(
                    "cli::code",
                    Default::default(),
                    format!("cannot explain `{name}`: there is no such code, key or word"),
                )
                .help(help);
                print_problems(&problem.into(), &Sources::default());
                return FAILED;
            }
        }
    }
    match explained.format {
        Format::Json => {
            let codes: Vec<Explanation> = found
                .into_iter()
                .flat_map(|meant| match meant {
                    Meant::Code(one) => vec![one],
                    Meant::Key(entry) => codes_of(&entry.key),
                    Meant::Several(_) => vec![],
                })
                .collect();
            print_line(&json(&codes));
        }
        Format::Text => {
            let texts: Vec<String> = found
                .iter()
                .map(|meant| match meant {
                    Meant::Code(one) => text(one, paint),
                    Meant::Key(entry) => key_text(entry, paint),
                    Meant::Several(lines) => lines.join("\n").trim_end().to_owned(),
                })
                .collect();
            print_line(&texts.join("\n\n"));
        }
    }
    0
}

/// A code by its number or its words, a key of the language, a word of its values, a part of a code.
fn meant(name: &str, paint: Paint) -> Option<Meant> {
    if let Some(found) = find(name) {
        return Some(Meant::Code(found));
    }
    let mut keys = entries(name);
    if keys.len() == 1 {
        return keys.pop().map(Meant::Key);
    }
    let (mut codes, words) = (like(name), keys_of(name));
    if keys.is_empty() && words.is_empty() && codes.len() == 1 {
        return codes.pop().map(Meant::Code);
    }
    let means = |(key, doc): &(String, String)| {
        let is = paint.tone(Tone::Head, &format!("{key} = \"{name}\""));
        let lines = Lines { width: COLUMNS, indent: 2, end: "" };
        format!("{is}\n{}\n", fill("  ", doc.split_whitespace(), lines))
    };
    let keys = keys.iter().map(|entry| format!("key    {}", entry.key));
    let codes = codes.iter().map(|one| listed(one, paint));
    let lines: Vec<String> = words.iter().map(means).chain(keys).chain(codes).collect();
    (!lines.is_empty()).then_some(Meant::Several(lines))
}

/// The codes of a key: those of its section, where they speak of it.
fn codes_of(key: &str) -> Vec<Explanation> {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    let name = rest.rsplit('.').next().unwrap_or_default();
    let speaks = |text: &str| {
        let is_part = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        text.split(is_part).any(|word| word == name)
    };
    let of_section =
        |one: &Explanation| one.code.split_once("::").is_some_and(|(domain, _)| domain == section);
    all()
        .filter(|one| {
            of_section(one) && (rest.is_empty() || speaks(one.why) || speaks(one.bad.text))
        })
        .collect()
}

fn key_text(entry: &Entry, paint: Paint) -> String {
    let mut out = plain(&entry.blocks, COLUMNS);
    if entry.key.contains('.') {
        out = format!("{}\n\n{out}", paint.tone(Tone::Head, &entry.key));
    }
    let codes = codes_of(&entry.key);
    if !codes.is_empty() {
        let lines: Vec<String> = codes.iter().map(|one| listed(one, paint)).collect();
        out += &format!("\n\n{}", lines.join("\n"));
    }
    out
}

fn listed(one: &Explanation, paint: Paint) -> String {
    format!("{}  {}", number(one, paint), one.code)
}

fn json(found: &[Explanation]) -> String {
    let all: Vec<serde_json::Value> = found
        .iter()
        .map(|one| serde_json::json!({ "number": one.number, "code": one.code, "why": one.why, "bad": one.bad.text, "bad_on": one.bad.on, "good": one.good }))
        .collect();
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

fn number(one: &Explanation, paint: Paint) -> String {
    let tone = if one.number.starts_with('W') { Tone::Warning } else { Tone::Bad };
    paint.tone(tone, one.number)
}

fn text(one: &Explanation, paint: Paint) -> String {
    let bad = one.bad.on.map_or("Bad:".to_owned(), |on| format!("Bad, {on}:"));
    let indented = |text: &str| {
        text.lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("    {line}") })
            .collect::<Vec<_>>()
            .join("\n")
    };
    let parts = [
        format!("{} {}", number(one, paint), paint.tone(Tone::Head, one.code)),
        fill("", one.why.split_whitespace(), Lines { width: COLUMNS, indent: 0, end: "" }),
        format!("{}\n\n{}", paint.tone(Tone::Head, &bad), indented(one.bad.text)),
        format!("{}\n\n{}", paint.tone(Tone::Head, "Good:"), indented(one.good)),
    ];
    parts.join("\n\n")
}
