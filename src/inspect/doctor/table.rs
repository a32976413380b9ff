//! The lines as people read them: 80 columns, a command to paste stays one command.

use crate::inspect::doctor::judge::serves;
use crate::inspect::doctor::{Facts, Line, State};
use crate::launch::cause::Fix;
use crate::text::layout::{COLUMNS, Lines, Paint, Tone, fill, words};
use crate::text::problem::escape;

/// Where the name of a line begins, where its value does, and where what is lost does.
const NAMES: usize = 9;
const VALUES: usize = 27;
const DETAILS: usize = 15;

/// The whole table, with a heading and a closing line.
pub(crate) fn table(facts: &Facts, lines: &[Line], paint: Paint) -> String {
    let mut out = format!(
        "Linux {} on this machine, for {}\n\n",
        escape(&facts.release),
        escape(&facts.user)
    );
    let lines = untried_together(lines);
    for line in &lines {
        let state = paint.tone(tone(line.state), &format!("{:NAMES$}", line.state.word()));
        let value = hang(words(&line.value), VALUES, "");
        let name = format!("{:width$}", line.name, width = VALUES - NAMES);
        out.push_str(&format!("{state}{name}{value}\n"));
        let mut detail = |label: &str, text: String| {
            let label =
                paint.tone(Tone::Faint, &format!("{label:width$}", width = DETAILS - NAMES));
            out.push_str(&format!("{:NAMES$}{label}{text}\n", ""));
        };
        if let Some(lost) = &line.lost {
            detail("lost", hang(words(&escape(lost)), DETAILS, ""));
        }
        if let Some(fix) = &line.fix {
            let text = escape(&fix.to_string());
            let text = match fix {
                Fix::Words(_) => hang(words(&text), DETAILS, ""),
                // A shell joins a line that ends so with the next, outside of quotes.
                Fix::Root(_) => hang(shell_words(&text), DETAILS, " \\"),
            };
            detail("fix", text);
        }
    }
    out + "\n" + &closing(facts, &lines)
}

/// Lines of the table: those that were not tried for the same reason are one.
fn untried_together(lines: &[Line]) -> Vec<Line> {
    let mut shown: Vec<Line> = vec![];
    for line in lines {
        let same = |other: &&mut Line| other.state == State::Untried && other.fix == line.fix;
        match shown.iter_mut().find(same) {
            Some(first) if line.state == State::Untried => {
                first.value = format!("{}; {}", first.value, line.name);
            }
            _ if line.state == State::Untried => shown.push(Line {
                name: "what needs them",
                value: line.name.into(),
                lost: None,
                ..line.clone()
            }),
            _ => shown.push(line.clone()),
        }
    }
    shown
}

fn closing(facts: &Facts, lines: &[Line]) -> String {
    let count = |state| lines.iter().filter(|line| line.state == state).count();
    let less = match (count(State::Limited), count(State::Missing), count(State::Untried)) {
        (0, 0, 0) => "nothing is missing".to_owned(),
        (limited, missing, 0) => format!("{limited} limited, {missing} missing"),
        (limited, missing, _) => format!("{limited} limited, {missing} missing, others not tried"),
    };
    let verdict =
        if serves(facts) { "stockade works here" } else { "stockade does not work here as it is" };
    format!("{verdict}; {less}")
}

/// The words of a command, each with its quotes whole.
fn shell_words(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let outside = move |c: char| {
        quoted ^= c == '\'';
        c == ' ' && !quoted
    };
    text.split(outside).filter(|word| !word.is_empty()).collect()
}

/// Lays words out from a column on, each further line below the first; `end` marks a line that
/// continues.
fn hang<'w>(words: impl IntoIterator<Item = &'w str>, column: usize, end: &str) -> String {
    let page = Lines { width: COLUMNS, indent: column, end };
    fill(&" ".repeat(column), words, page).split_off(column)
}

fn tone(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Limited => Tone::Warning,
        State::Missing | State::Untried => Tone::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_broken_outside_of_its_quotes_alone() {
        let command =
            format!("printf '%s\\n' '{}' '{}' > /etc/x", "a b ".repeat(10), "c d ".repeat(10));
        let shown = hang(shell_words(&command), DETAILS, " \\");
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(shown.lines().next().unwrap().ends_with("' \\"), "{shown}");
        let joined = shown.replace(" \\\n", " ");
        assert_eq!(
            joined.split_whitespace().collect::<Vec<_>>(),
            command.split_whitespace().collect::<Vec<_>>()
        );
    }
}
