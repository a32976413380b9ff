//! The answer to a question, for people and for programs.

use crate::inspect::access::behind::wanted_by;
use crate::inspect::access::change::{Edit, Line, Over};
use crate::inspect::access::query::{Decision, Mechanism, Query, Reason};
use crate::inspect::access::why::Answer;
use crate::inspect::view::{flat, line_of, place_words};
use crate::kernel::syscalls;
use crate::text::layout::{Paint, Tone, shorten};
use crate::text::problem::quiet_json;
use crate::text::source::{Place, Sources, Span};
use serde::Serialize;

/// A question with its whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub query: Query,
    /// The answers of all restrictions.
    pub answer: Answer,
    /// The line that would change it.
    pub change: Option<Line>,
    /// What stays unknown even with that line.
    pub doubt: Option<String>,
    /// The line with which a program that makes a user namespace first may do it.
    pub first: Option<Line>,
    /// Why none of them would.
    pub never: Option<String>,
    /// Whether such a line was looked for.
    pub sought: bool,
}

pub(crate) fn text(answers: &[Answered], sources: &Sources, paint: Paint) -> String {
    let texts: Vec<String> = answers.iter().map(|answered| one(answered, sources, paint)).collect();
    texts.join("\n").trim_end().to_owned()
}

fn one(answered: &Answered, sources: &Sources, paint: Paint) -> String {
    let Answered { query, answer, change, doubt, first, never, sought } = answered;
    let tone = if answer.verdict == Decision::Allows { Tone::Good } else { Tone::Bad };
    let mut out =
        format!("{}: {}\n", paint.tone(tone, answer.verdict.verdict()), flat(&query.to_string()));
    for Reason { mechanism, says, words, at, changed } in &answer.reasons {
        out += &format!("  {} {}: {}\n", mechanism.word(), said(*mechanism, *says), flat(words));
        for at in std::iter::once(at).chain(changed) {
            let Some(line) = line_of(*at, sources) else { continue };
            out += &paint.tone(
                Tone::Faint,
                &format!("    {}: {}", place_words(*at, sources), shorten(&line, LINE)),
            );
            out += "\n";
        }
    }
    match (change, first) {
        (Some(line), _) => {
            let other = match doubt {
                Some(_) => "let the filter pass",
                None if answer.verdict == Decision::Denies => "allow",
                None => "deny",
            };
            let mut before = format!("to {other} it, below");
            for line in line.each() {
                out += &format!(
                    "{before} [{}]:\n    {}\n",
                    line.section,
                    paint.tone(Tone::Head, &flat(&line.text))
                );
                out += &over(line, sources);
                before = "and below".into();
            }
            out += &doubt
                .iter()
                .map(|words| format!("  then the kernel decides: {}\n", flat(words)))
                .collect::<String>();
        }
        (None, Some(line)) => {
            out += &no_line_but(line, query);
            out += "\n";
        }
        (None, None) if let Some(words) = never => {
            out += &format!("no line permits it: {}\n", flat(words))
        }
        (None, None) if *sought && answer.verdict == Decision::Allows => {
            out += "no single line was found that would deny it\n"
        }
        (None, None) if *sought => out += "no single line was found that would allow it\n",
        (None, None) => {}
    }
    out
}

/// Says that no line permits the call itself, and which line lets a program gain the right to it.
pub(crate) fn no_line_but(line: &Line, query: &Query) -> String {
    let wanted = if let Query::Call { number, .. } = query {
        syscalls::name(*number).map_or("sys-admin", wanted_by)
    } else {
        "sys-admin"
    };
    let Line { section, text, .. } = line;
    format!(
        "no line permits it as it is: it takes {wanted}; with {text} below [{section}] a program \
         that makes a user namespace first (unshare -r) may do it"
    )
}

/// How much of a line of a profile is shown.
const LINE: usize = 120;

/// The verb, in the number of the wall's name.
fn said(mechanism: Mechanism, says: Decision) -> &'static str {
    let many = matches!(
        mechanism,
        Mechanism::Mounts
            | Mechanism::Permissions
            | Mechanism::Namespaces
            | Mechanism::Capabilities
            | Mechanism::Processes
    );
    match (says, many) {
        (Decision::Allows, true) => "allow it",
        (Decision::Denies, true) => "deny it",
        (Decision::Unknown, _) => "cannot decide",
        (says, false) => {
            if says == Decision::Allows {
                "allows it"
            } else {
                "denies it"
            }
        }
    }
}

fn over(line: &Line, sources: &Sources) -> String {
    match line.over {
        // The flags of a command line are one layer: no other goes over one of them.
        Over::Replaces(at) if line.edit == Edit::Clears && sources.is_flag(at) => {
            let flag = place_words(at, sources);
            format!("  in the place of {flag}; without it, where nothing inherited is below it\n")
        }
        Over::Replaces(at) if line.edit == Edit::Clears => {
            format!(
                "  over {}; or take that line out, where nothing inherited is below it\n",
                place_words(at, sources)
            )
        }
        Over::Replaces(at) => format!("  in the place of {}\n", place_words(at, sources)),
        Over::Joins(at) if matches!(line.edit, Edit::Removes(_)) && sources.is_flag(at) => {
            let flag = place_words(at, sources);
            format!("  no layer is above {flag}: remove the item from the list there\n")
        }
        Over::Joins(at) if matches!(line.edit, Edit::Removes(_)) => {
            format!(
                "  in a file above the one of {}; in that file itself remove the item from the \
                 list\n",
                place_words(at, sources)
            )
        }
        Over::Joins(at) => format!("  it joins the list at {}\n", place_words(at, sources)),
        Over::Nothing => String::new(),
    }
}

#[derive(Serialize)]
struct Record<'a> {
    query: String,
    verdict: &'static str,
    protections: Vec<ProtectionRecord<'a>>,
    change: Option<ChangeRecord<'a>>,
}

#[derive(Serialize)]
struct ProtectionRecord<'a> {
    protection: Mechanism,
    says: Decision,
    text: &'a str,
    at: Option<Place>,
    /// The lines of stronger layers that changed keys of the entry there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Place>,
}

#[derive(Serialize)]
struct ChangeRecord<'a> {
    section: &'a str,
    line: &'a str,
    config: String,
    over: Option<Place>,
    /// The lines that must go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    also: Option<Box<ChangeRecord<'a>>>,
}

impl ChangeRecord<'_> {
    fn of<'a>(line: &'a Line, sources: &Sources) -> ChangeRecord<'a> {
        let over = match line.over {
            Over::Nothing => None,
            Over::Replaces(at) | Over::Joins(at) => sources.place(at),
        };
        let also = line.also.as_deref().map(|line| Box::new(ChangeRecord::of(line, sources)));
        ChangeRecord { section: line.section, line: &line.text, config: line.config(), over, also }
    }
}

/// For programs: an array with an object for each question.
pub(crate) fn json(answers: &[Answered], sources: &Sources) -> String {
    let place = |at: Span| sources.place(at);
    let records: Vec<Record> = answers
        .iter()
        .map(|Answered { query, answer, change, doubt, .. }| Record {
            query: query.to_string(),
            verdict: answer.verdict.verdict(),
            protections: answer
                .reasons
                .iter()
                .map(|reason| ProtectionRecord {
                    protection: reason.mechanism,
                    says: reason.says,
                    text: &reason.words,
                    at: place(reason.at),
                    changed: reason.changed.iter().filter_map(|at| place(*at)).collect(),
                })
                .collect(),
            // A line with which the kernel may deny it still is none that changes the answer.
            change: change
                .as_ref()
                .filter(|_| doubt.is_none())
                .map(|line| ChangeRecord::of(line, sources)),
        })
        .collect();
    quiet_json(serde_json::to_string_pretty(&records).unwrap_or_else(|_| "[]".into()))
}
