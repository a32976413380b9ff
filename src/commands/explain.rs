//! `stockade explain`: why a code is, with a bad example and a good one.

use super::{FAILED, print_line, print_problems};
use crate::cli::{Explained, Format};
use crate::text::explain::{Explanation, all, find};
use crate::text::layout::{COLUMNS, Lines, Paint, Tone, fill};
use crate::text::problem::{Problem, suggestion};
use crate::text::source::Sources;

/// Explains each code that is named, or lists them all.
pub(super) fn explain(explained: Explained) -> u8 {
    let mut found = vec![];
    for name in &explained.codes {
        match find(name) {
            Some(explanation) => found.push(explanation),
            None => {
                let words = all().flat_map(|known| [known.code, known.number]);
                let help = suggestion(name, words)
                    .unwrap_or_else(|| "to list them all: stockade explain".into());
                let problem = Problem::new(
                    "cli::code",
                    Default::default(),
                    format!("cannot explain `{name}`: there is no such code"),
                )
                .help(help);
                print_problems(&problem.into(), &Sources::default());
                return FAILED;
            }
        }
    }
    let listed = explained.codes.is_empty();
    if listed {
        found = all().collect();
    }
    let paint = Paint::of(&std::io::stdout());
    match explained.format {
        Format::Json => print_line(&json(&found)),
        Format::Text if listed => found
            .iter()
            .for_each(|one| print_line(&format!("{}  {}", number(one, paint), one.code))),
        Format::Text => {
            print_line(&found.iter().map(|one| text(one, paint)).collect::<Vec<_>>().join("\n\n"))
        }
    }
    0
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
