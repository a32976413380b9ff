//! The one error that a user sees: a sentence, the text that it is about, and what to do. Several
//! are shown at a time.
//!
//! Nothing here decides what is wrong; it only says so, to people ([`Problems::render`]) and to
//! programs ([`Problems::json`]).

use crate::text::bytes;
use crate::text::explain;
use crate::text::layout::COLUMNS;
use crate::text::source::{Sources, Span};
use miette::{GraphicalReportHandler, GraphicalTheme};
use record::{Record, Somewhere};
use serde::Serialize;
use shown::Shown;
use std::collections::BTreeMap;

mod clipped;
mod lines;
mod record;
mod shown;

/// The effect of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, and is hardly what was meant.
    Warning,
}

/// A fact that is no problem but should be known: a protection or a grant that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Whether the sandbox is less than the profile says, with the profile's leave. Such notes are
    /// printed by `run` too.
    pub less: bool,
    /// The grant that is left out, where it is about one: the sandbox is no weaker for that.
    #[serde(skip)]
    pub left_out: Option<String>,
    /// Whether it counts what a pattern matches.
    #[serde(skip)]
    pub counts: bool,
    pub text: String,
    /// How many bytes of the text, from its start, state the fact: the reason, if there is one,
    /// follows them.
    #[serde(skip)]
    pub what: usize,
    #[serde(skip)]
    pub at: Span,
}

impl Note {
    /// A note without a reason.
    pub(crate) fn new(at: Span, what: impl Into<String>) -> Note {
        let text = what.into();
        Note { less: false, left_out: None, counts: false, what: text.len(), text, at }
    }

    /// Adds the reason.
    pub(crate) fn because(mut self, why: &str) -> Note {
        self.text += &format!(": {why}");
        self
    }

    /// A note of something that the sandbox is less by.
    pub(crate) fn less(self) -> Note {
        Note { less: true, ..self }
    }

    /// The text without its reason.
    pub(crate) fn what(&self) -> &str {
        self.text.get(..self.what).unwrap_or(&self.text)
    }

    /// Whether a protection is skipped.
    pub(crate) fn is_of_a_protection(&self) -> bool {
        self.less && self.left_out.is_none()
    }
}

/// What is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable name for programs, such as `profile::unknown-key`; `stockade explain` has its
    /// number and a paragraph.
    pub code: &'static str,
    /// One sentence: `cannot VERB OBJECT: reason`.
    pub message: String,
    /// The text that it is about.
    pub at: Span,
    /// What the caret says.
    pub label: Box<str>,
    /// Other places that matter, each with its words.
    pub also: Box<[(Span, String)]>,
    /// A command or TOML to paste.
    pub help: Option<String>,
    /// The value that the help is a guess from: where a variable brought that, there is no guess
    /// ([`crate::profile::as_written`]).
    pub guess: Option<Span>,
    /// Whether line breaks in the help are our own; else they came with text from elsewhere, and
    /// are shown as such.
    pub in_lines: bool,
}

impl Problem {
    /// A problem at a place.
    pub fn new(code: &'static str, at: Span, message: impl Into<String>) -> Problem {
        Problem {
            code,
            message: message.into(),
            at,
            label: "here".into(),
            also: Box::new([]),
            help: None,
            guess: None,
            in_lines: false,
        }
    }

    /// Its effect, by the number of its code.
    pub fn severity(&self) -> Severity {
        if explain::number(self.code).is_some_and(|number| number.starts_with('W')) {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// What the caret says.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into().into_boxed_str();
        self
    }

    /// One more place that the reader should see.
    pub fn also(mut self, at: Span, words: impl Into<String>) -> Problem {
        self.also = self.also.into_iter().chain([(at, words.into())]).collect();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// What to do, in lines of our own.
    pub fn help_lines(mut self, help: &str) -> Problem {
        self.help = Some(help.to_owned());
        self.in_lines = true;
        self
    }

    /// Takes a guess from the value at `at` for the help, where there is one.
    pub fn guess(mut self, at: Span, guess: Option<String>) -> Problem {
        self.guess = guess.is_some().then_some(at);
        self.help_maybe(guess)
    }

    /// Adds the help only where there is one.
    pub fn help_maybe(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }
}

/// How many problems people are shown: more come from one cause, and each costs a walk through its
/// text.
const MOST_SHOWN: usize = 50;
/// How many are kept: a text that is wrong in hundreds of places is not wrong in more ways.
const MOST_KEPT: usize = 200;

/// All that is wrong, in the order in which it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Takes note of one more.
    pub fn push(&mut self, problem: Problem) {
        if !self.is_full() && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Whether further problems are dropped: then none need be worked out.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST_KEPT
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, with a place for what has none because nothing was said.
    pub fn placed(self, code: &str, at: Span) -> Problems {
        let place = |problem: Problem| {
            if problem.code == code && !problem.at.is_somewhere() {
                Problem { at, ..problem }
            } else {
                problem
            }
        };
        Problems(self.0.into_iter().map(place).collect())
    }

    /// One by one, errors first, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        let mut sorted: Vec<&Problem> = self.0.iter().collect();
        sorted.sort_by_cached_key(|problem| (problem.severity(), problem.at));
        sorted.into_iter()
    }

    /// `Err(self)` where anything is wrong.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// For people: each problem with its line, a caret and the help, and a closing count.
    pub fn render(&self, sources: &Sources, style: Style) -> String {
        self.render_within(sources, style, COLUMNS)
    }

    /// The same in lines of so many columns, but for what is to be pasted and for lines of a
    /// profile.
    pub fn render_within(&self, sources: &Sources, style: Style, width: usize) -> String {
        let theme = match style {
            Style::Plain => GraphicalTheme::unicode_nocolor(),
            Style::Ascii => GraphicalTheme::none(),
            Style::Colour => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_wrap_lines(false)
            .with_links(false);
        let (mut out, mut texts) = (String::new(), BTreeMap::new());
        let causes = self.causes();
        for cause in causes.iter().take(MOST_SHOWN) {
            let shown = Shown::new(cause, sources, width, &mut texts);
            // Writing to a String cannot fail, and a diagnostic whose span is out of its text is
            // shown without it.
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&format!("  × {}\n", escape(&cause.problem.message)));
            }
        }
        if causes.len() > 1 {
            let first = if causes.len() > MOST_SHOWN {
                format!("; the first {MOST_SHOWN} are shown")
            } else {
                String::new()
            };
            out.push_str(&format!("{}{first}\n", count(&causes)));
        }
        out
    }

    /// One by one as [`iter`](Self::iter) gives them, those of one cause as one.
    fn causes(&self) -> Vec<Cause<'_>> {
        let mut causes: Vec<Cause<'_>> = vec![];
        for problem in self.iter() {
            match causes.iter_mut().find(|cause| cause.is_said_by(problem)) {
                Some(cause) => cause.places.push(problem.at),
                None => match causes.iter_mut().find(|cause| cause.has_made(problem)) {
                    Some(cause) => cause.others.push(problem),
                    None => causes.push(Cause { problem, places: vec![], others: vec![] }),
                },
            }
        }
        causes
    }
    /// For programs: one JSON array.
    pub fn json(&self, sources: &Sources) -> String {
        quiet_json(
            serde_json::to_string_pretty(&self.records(sources)).unwrap_or_else(|_| "[]".into()),
        )
    }

    /// The same with what is not wrong and should be known, as records of severity `note`.
    pub fn json_with(&self, notes: &[Note], sources: &Sources) -> String {
        let value = |record: Record<'_>| serde_json::to_value(record).unwrap_or_default();
        let mut all: Vec<serde_json::Value> = self.listed(sources).into_iter().map(value).collect();
        all.extend(notes.iter().map(|note| {
            let Somewhere { file, line, column } = Somewhere::of(note.at, sources);
            serde_json::json!({ "severity": "note", "message": note.text, "less": note.less, "file": file, "line": line, "column": column })
        }));
        quiet_json(serde_json::to_string_pretty(&all).unwrap_or_else(|_| "[]".into()))
    }

    /// The same as a part of something larger.
    pub fn records<'a>(&'a self, sources: &Sources) -> impl Serialize + use<'a> {
        self.listed(sources)
    }

    /// Those with the same words are one record, with all their places.
    fn listed<'a>(&'a self, sources: &Sources) -> Vec<Record<'a>> {
        let record = |problem, places: &[Span]| Record::new(problem, places, sources);
        let all = self.causes().into_iter().flat_map(|cause| {
            let others = cause.others.into_iter().map(|problem| record(problem, &[]));
            std::iter::once(record(cause.problem, &cause.places)).chain(others).collect::<Vec<_>>()
        });
        all.collect()
    }
}

/// Problems that one mistake makes: a variable that is not set is written in many places, and one
/// line can grant many directories.
struct Cause<'a> {
    /// The first.
    problem: &'a Problem,
    /// Where else the same is wrong, in the same words.
    places: Vec<Span>,
    /// Further problems of the same line with the same reason.
    others: Vec<&'a Problem>,
}

impl Cause<'_> {
    /// Whether a problem says the same of another place.
    fn is_said_by(&self, problem: &Problem) -> bool {
        let same = Problem { at: problem.at, guess: problem.guess, ..self.problem.clone() };
        self.problem.at.is_somewhere() && problem.at.is_somewhere() && same == *problem
    }

    /// Whether a problem says the same of something else that this line makes. Only a line of
    /// `[mounts]` makes many things.
    fn has_made(&self, problem: &Problem) -> bool {
        let why = |problem: &Problem| Some(problem.message.rsplit_once(": ")?.1.to_owned());
        problem.code.starts_with("mounts::")
            && (problem.code, problem.at) == (self.problem.code, self.problem.at)
            && problem.at.is_somewhere()
            && why(problem) == why(self.problem)
    }

    /// The lines on further places and things.
    fn more(&self, sources: &Sources) -> Option<String> {
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 more {one}"),
            count => format!("{count} more {one}s"),
        };
        let named: Vec<String> = self
            .places
            .iter()
            .filter_map(|at| sources.place(*at))
            .take(MOST_NAMED)
            .map(|place| place.to_string())
            .collect();
        let left = self.places.len() - named.len();
        let places = match (named.split_last(), left) {
            (None, _) => None,
            (Some(_), 1..) => Some(format!("{} and {}", named.join(", "), counted(left, "place"))),
            (Some((last, [])), 0) => Some(last.clone()),
            (Some((last, others)), 0) => Some(format!("{} and {last}", others.join(", "))),
        };
        let of_this_line = (!self.others.is_empty()).then(|| {
            format!("the same of {}, which this line makes", counted(self.others.len(), "grant"))
        });
        places.map(|places| format!("the same at {places}")).or(of_this_line)
    }
}

/// How many further places of a problem are named to people.
const MOST_NAMED: usize = 2;

/// How many there are, in words.
fn count(causes: &[Cause<'_>]) -> String {
    let of = |severity, one: &str| {
        let is_one = |cause: &&Cause<'_>| cause.problem.severity() == severity;
        match causes.iter().filter(is_one).count() {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {one}s")),
        }
    };
    let parts: Vec<String> = of(Severity::Error, "problem")
        .into_iter()
        .chain(of(Severity::Warning, "warning"))
        .collect();
    parts.join(" and ")
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// How problems are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Unicode without colour.
    Plain,
    /// Neither, for terminals that have no UTF-8.
    Ascii,
    /// Unicode with colour.
    Colour,
}

/// Control characters (C0, DEL, C1), bidirectional marks and what has no width made visible, so
/// that a profile, a path or a name cannot drive the reader's terminal (CVE-2023-28101 is such a
/// case in flatpak), and newline and tab, so that it cannot forge a line of ours.
pub(crate) fn escape(text: &str) -> String {
    if text.bytes().all(is_drawn) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if let Some(byte) = bytes::byte_of(c) => out.push_str(&format!("\\x{byte:02x}")),
            c if is_hostile(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    })
}

/// The same for a text of many lines.
pub(crate) fn escape_lines(text: &str) -> String {
    text.split('\n')
        .map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether a character drives a terminal, changes the order or the lines of what is read, or is not
/// seen at all: the C0 and C1 controls, the separators of lines, what Unicode has a display ignore
/// (`Default_Ignorable_Code_Point`, which has the marks of direction and the tags) and the marks of
/// annotations, and what stands for a byte. Newline and tab, which texts of many lines have, are not among them.
pub(crate) fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
        || bytes::byte_of(c).is_some()
}

/// ASCII that is drawn as it is. Almost all texts have nothing else, so they are looked at by
/// bytes.
fn is_drawn(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Whether a text of many lines has no hostile character.
fn is_quiet(text: &str) -> bool {
    text.bytes().all(|byte| is_drawn(byte) || byte == b'\n' || byte == b'\t')
        || !text.chars().any(is_hostile)
}

/// The same for JSON, which stays the same JSON: its writer escapes C0 alone, and its reader may be
/// a terminal.
pub(crate) fn quiet_json(json: String) -> String {
    if is_quiet(&json) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        if is_hostile(c) {
            // Above the first plane JSON has two of them (RFC 8259, section 7).
            c.encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
        out
    })
}

/// How many pairs of letters are compared for one suggestion, which takes some milliseconds: a
/// profile may have ten thousand names.
const MOST_COMPARED: usize = 1 << 18;

/// The nearest of `known` to a misspelt word, if any is near.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The distance takes time and memory of both lengths multiplied, and a profile may hold a
    // megabyte as a word.
    let short = |name: &str| name.len() <= 128;
    if !short(word) {
        return None;
    }
    let allowed = |name: &str| 1.max(name.len().max(word.len()) / 3);
    let mut work = MOST_COMPARED;
    known
        .into_iter()
        .filter(|name| short(name) && name.len().abs_diff(word.len()) <= allowed(name))
        .take_while(|name| {
            work = work.saturating_sub(name.len() * word.len());
            work > 0
        })
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min()
        .map(|(_, name)| name)
}

/// `` did you mean `x`? `` as a help line.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    did_you_mean(word, known).map(|name| format!("did you mean `{name}`?"))
}

/// The words of an errno, as `strerror(3)` has them, lower case.
pub(crate) fn errno_words(errno: i32) -> String {
    let text = nix::errno::Errno::from_raw(errno).desc();
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

/// The other places of a problem, and how its value came to be where it is.
fn places(problem: &Problem, sources: &Sources) -> Vec<(Span, String)> {
    let trail = sources
        .trail(problem.at)
        .into_iter()
        .filter(|(at, _)| problem.also.iter().all(|(other, _)| other != at));
    problem.also.iter().cloned().chain(trail).collect()
}

#[cfg(test)]
mod tests;
