//! `stockade explain`: why a code is, with a bad example and a good one.

use super::{FAILED, print_line, print_problems};
use crate::cli::{Explained, Format};
use crate::text::explain::{Explanation, all, find};
use crate::text::problem::{Problem, suggestion};
use crate::text::source::Sources;
use std::io::IsTerminal;

/// How wide a paragraph is.
const WIDTH: usize = 80;

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
    let paint = Paint::of_output();
    match explained.format {
        Format::Json => print_line(&json(&found)),
        Format::Text if listed => found
            .iter()
            .for_each(|one| print_line(&format!("{}  {}", paint.number(one.number), one.code))),
        Format::Text => {
            print_line(&found.iter().map(|one| text(one, &paint)).collect::<Vec<_>>().join("\n\n"))
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

fn text(one: &Explanation, paint: &Paint) -> String {
    let bad = one.bad.on.map_or("Bad:".to_owned(), |on| format!("Bad, {on}:"));
    let indented = |text: &str| {
        text.lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("    {line}") })
            .collect::<Vec<_>>()
            .join("\n")
    };
    let parts = [
        format!("{} {}", paint.number(one.number), paint.strong(one.code)),
        filled(one.why),
        format!("{}\n\n{}", paint.strong(&bad), indented(one.bad.text)),
        format!("{}\n\n{}", paint.strong("Good:"), indented(one.good)),
    ];
    parts.join("\n\n")
}

/// A paragraph in lines of at most [`WIDTH`] columns.
fn filled(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let fits = column + 1 + length <= WIDTH;
        match (column, fits) {
            (0, _) => {}
            (_, true) => out.push(' '),
            (_, false) => out.push('\n'),
        }
        column = if column > 0 && fits { column + 1 + length } else { length };
        out.push_str(word);
    }
    out
}

/// Colour, where somebody sees it (no-color.org).
struct Paint(bool);

impl Paint {
    fn of_output() -> Paint {
        Paint(
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        )
    }

    fn strong(&self, text: &str) -> String {
        if self.0 { format!("\x1b[1m{text}\x1b[0m") } else { text.into() }
    }

    fn number(&self, number: &str) -> String {
        let colour = if number.starts_with('W') { 33 } else { 31 };
        if self.0 { format!("\x1b[{colour}m{number}\x1b[0m") } else { number.into() }
    }
}
