//! The one error that a user sees: a sentence, the text that it is about, and what to do. Several are shown at a time.
//!
//! Nothing here decides what is wrong; it only says so, to people ([`Problems::render`]) and to programs ([`Problems::json`]).

use crate::draft::Note;
use crate::explain;
use crate::source::{Place, Sources, Span};
use clipped::{Clipped, visible};
use lines::fit;
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

mod clipped;
mod lines;

/// What comes of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, and is hardly what was meant.
    Warning,
}

/// What is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable name for programs, such as `profile::unknown-key`; [`explain`] has its number and a paragraph.
    pub code: &'static str,
    /// One sentence: `cannot VERB OBJECT: reason`.
    pub message: String,
    /// The text that it is about.
    pub at: Span,
    /// What the caret says.
    pub label: Box<str>,
    /// Other places that matter, each with its words.
    pub also: Vec<(Span, String)>,
    /// A command or TOML to paste.
    pub help: Option<String>,
    /// Whether line breaks in the help are our own; else they came with text from elsewhere, and are shown as such.
    pub in_lines: bool,
}

impl Problem {
    /// A problem at a place.
    pub fn new(code: &'static str, at: Span, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), at, label: "here".into(), also: vec![], help: None, in_lines: false }
    }

    /// What comes of it: the number of its code says so.
    pub fn severity(&self) -> Severity {
        if explain::number(self.code).is_some_and(|number| number.starts_with('W')) { Severity::Warning } else { Severity::Error }
    }

    /// What the caret says.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into().into_boxed_str();
        self
    }

    /// One more place that the reader should see.
    pub fn also(mut self, at: Span, words: impl Into<String>) -> Problem {
        self.also.push((at, words.into()));
        self
    }

    /// What to do.
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

    /// Adds the help only where there is one.
    pub fn help_maybe(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }
}

/// How many problems people are shown: more come from one cause, and each costs a walk through its text.
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

    /// Whether what more is wrong is not told: then nothing need be worked out for it.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST_KEPT
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, with a place for what has none because nothing was said.
    pub fn placed(self, code: &str, at: Span) -> Problems {
        let place = |problem: Problem| if problem.code == code && !problem.at.is_somewhere() { Problem { at, ..problem } } else { problem };
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
        self.render_within(sources, style, UNKNOWN_WIDTH)
    }

    /// The same in lines of so many columns, but for what is to be pasted and for lines of a profile.
    pub fn render_within(&self, sources: &Sources, style: Style, width: usize) -> String {
        let theme = match style {
            Style::Plain => GraphicalTheme::unicode_nocolor(),
            Style::Ascii => GraphicalTheme::none(),
            Style::Colour => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_wrap_lines(false).with_links(false);
        let mut out = String::new();
        for problem in self.iter().take(MOST_SHOWN) {
            // Writing to a String cannot fail, and a diagnostic whose span is out of its text is shown without it.
            if handler.render_report(&mut out, &Shown::new(problem, sources, width)).is_err() {
                out.push_str(&format!("  × {}\n", escape(&problem.message)));
            }
        }
        if self.0.len() > 1 {
            let first = if self.0.len() > MOST_SHOWN { format!("; the first {MOST_SHOWN} are shown") } else { String::new() };
            out.push_str(&format!("{}{first}\n", self.count()));
        }
        out
    }

    /// How many there are, in words.
    pub fn count(&self) -> String {
        let of = |severity, one: &str| match self.0.iter().filter(|problem| problem.severity() == severity).count() {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {one}s")),
        };
        let parts: Vec<String> = of(Severity::Error, "problem").into_iter().chain(of(Severity::Warning, "warning")).collect();
        parts.join(" and ")
    }

    /// For programs: one JSON array.
    pub fn json(&self, sources: &Sources) -> String {
        quiet_json(&serde_json::to_string_pretty(&self.records(sources)).unwrap_or_else(|_| "[]".into()))
    }

    /// The same with what is not wrong and should be known, as records of severity `note`.
    pub fn json_with(&self, notes: &[Note], sources: &Sources) -> String {
        let value = |record| serde_json::to_value(record).unwrap_or_default();
        let mut all: Vec<serde_json::Value> = self.iter().map(|problem| value(Record::new(problem, sources))).collect();
        all.extend(notes.iter().map(|note| {
            let Somewhere { file, line, column } = Somewhere::of(note.at, sources);
            serde_json::json!({ "severity": "note", "message": note.text, "less": note.less, "file": file, "line": line, "column": column })
        }));
        quiet_json(&serde_json::to_string_pretty(&all).unwrap_or_else(|_| "[]".into()))
    }

    /// The same as a part of something larger.
    pub fn records<'a>(&'a self, sources: &Sources) -> impl Serialize + use<'a> {
        self.iter().map(|problem| Record::new(problem, sources)).collect::<Vec<Record<'a>>>()
    }
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

/// Control characters (C0, DEL, C1), bidirectional marks and what has no width made visible, so that a profile, a path or a name cannot
/// drive the reader's terminal (CVE-2023-28101 is such a case in flatpak), and newline and tab, so that it cannot forge a line of ours.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hostile(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    })
}

/// The same for a text of many lines.
pub fn escape_lines(text: &str) -> String {
    text.split('\n').map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t")).collect::<Vec<_>>().join("\n")
}

/// Whether a character drives a terminal, changes the order or the lines of what is read, or is not seen at all. Newline and tab, which
/// texts of many lines have, are not among them.
pub fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The same for JSON, which stays the same JSON: its writer escapes C0 alone, and its reader may be a terminal.
pub fn quiet_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |out, c| {
        if is_hostile(c) { out + &format!("\\u{:04x}", u32::from(c)) } else { out + c.encode_utf8(&mut [0; 4]) }
    })
}

/// How many pairs of letters are compared for one suggestion, which takes some milliseconds: a profile may have ten thousand names.
const MOST_COMPARED: usize = 1 << 18;

/// The nearest of `known` to a misspelt word, if any is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time and memory of both lengths multiplied, and a profile may hold a megabyte as a word.
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
pub fn errno_words(errno: i32) -> String {
    let text = nix::errno::Errno::from_raw(errno).desc();
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

#[derive(Serialize)]
struct Record<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'static str>,
    severity: Severity,
    message: &'a str,
    #[serde(flatten)]
    place: Somewhere,
    length: u32,
    label: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Also>,
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct Also {
    #[serde(flatten)]
    place: Somewhere,
    label: String,
}

/// A place, or `null` in each of its fields: a program finds them in every problem.
#[derive(Serialize)]
struct Somewhere {
    file: Option<Arc<str>>,
    line: Option<u32>,
    column: Option<u32>,
}

impl Somewhere {
    fn of(at: Span, sources: &Sources) -> Somewhere {
        match sources.place(at) {
            Some(Place { file, line, column }) => Somewhere { file: Some(file), line: Some(line), column: Some(column) },
            None => Somewhere { file: None, line: None, column: None },
        }
    }
}

impl<'a> Record<'a> {
    fn new(problem: &'a Problem, sources: &Sources) -> Record<'a> {
        Record {
            code: problem.code,
            number: explain::number(problem.code),
            severity: problem.severity(),
            message: &problem.message,
            place: Somewhere::of(problem.at, sources),
            length: problem.at.end - problem.at.start,
            label: &problem.label,
            also: places(problem, sources).into_iter().map(|(at, label)| Also { place: Somewhere::of(at, sources), label }).collect(),
            help: problem.help.as_deref(),
        }
    }
}

/// The width of a page where the reader's is not known.
pub const UNKNOWN_WIDTH: usize = 80;

/// How many line breaks are drawn of one value.
const MOST_LINES: usize = 4;

/// The other places of a problem, and how its value came to be where it is.
fn places(problem: &Problem, sources: &Sources) -> Vec<(Span, String)> {
    let trail = sources.trail(problem.at).into_iter().filter(|(at, _)| problem.also.iter().all(|(other, _)| other != at));
    problem.also.iter().cloned().chain(trail).collect()
}

/// A problem dressed for miette: spans relative to the one file that is shown; places in other files become help lines.
#[derive(Debug)]
struct Shown {
    code: String,
    severity: Severity,
    message: String,
    help: Option<String>,
    source: Option<Drawn>,
    labels: Vec<LabeledSpan>,
}

impl Shown {
    fn new(problem: &Problem, sources: &Sources, width: usize) -> Shown {
        // miette's own marks stand before the lines.
        let (of_message, of_help) = (width.saturating_sub(4), width.saturating_sub(8));
        let main = sources.source(problem.at);
        let clipped = main.map(|file| Clipped::new(&visible(&file.text)));
        let lines: Vec<&str> = match &problem.help {
            Some(help) if problem.in_lines => help.split('\n').collect(),
            other => other.iter().map(String::as_str).collect(),
        };
        let mut help: Vec<String> = lines.into_iter().map(|help| fit(&escape(help), of_help)).collect();
        let (mut labels, mut starts) = (vec![], vec![]);
        if let Some(file) = main {
            let local = |span: Span| {
                let place = |offset: u32| clipped.as_ref().map_or(0, |clipped| clipped.place((offset - file.base) as usize));
                let (start, end) = (place(span.start), place(span.end));
                let covered = clipped.as_ref().and_then(|clipped| clipped.text.get(start..end)).unwrap_or("");
                // Of a value of many lines the first says which it is.
                let first = covered.find('\n').filter(|_| covered.bytes().filter(|byte| *byte == b'\n').count() > MOST_LINES);
                (start, first.unwrap_or(end - start))
            };
            let start = |span: Span| sources.place(span).map(|place| (local(span).0, (place.line as usize, place.column as usize)));
            starts.extend(start(problem.at));
            labels.push(LabeledSpan::new_primary_with_span(Some(escape(&problem.label)), local(problem.at)));
            for (at, words) in &places(problem, sources) {
                match sources.place(*at) {
                    Some(_) if sources.source(*at).is_some_and(|other| other.base == file.base) => {
                        starts.extend(start(*at));
                        labels.push(LabeledSpan::new_with_span(Some(escape(words)), local(*at)));
                    }
                    Some(place) => help.push(escape(&format!("{place}: {words}"))),
                    None => {}
                }
            }
        }
        Shown {
            code: explain::number(problem.code).map_or_else(|| problem.code.to_owned(), |number| format!("{} [{number}]", problem.code)),
            severity: problem.severity(),
            message: fit(&escape(&problem.message), of_message),
            help: (!help.is_empty()).then(|| help.join("\n")),
            source: main.zip(clipped.as_ref()).map(|(file, clipped)| Drawn { name: escape(&file.name), text: clipped.text.clone(), starts }),
            labels,
        }
    }
}

/// A text with the places that headings name: miette counts columns in bytes, and of what was cut away it knows nothing.
#[derive(Debug)]
struct Drawn {
    name: String,
    text: String,
    /// Line and column of what labels are about, by where they begin in the text.
    starts: Vec<(usize, (usize, usize))>,
}

impl SourceCode for Drawn {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, after: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        // It asks for the bare span to name the place.
        let known = self.starts.iter().find(|(start, _)| (before, after, *start) == (0, 0, span.offset()));
        let (line, column) = known.map_or((found.line(), found.column()), |(_, (line, column))| (line - 1, column - 1));
        let (data, span, count) = (found.data(), *found.span(), found.line_count());
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, span, line, column, count)))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(&self.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.clone().into_iter()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near_or_absent() {
        assert_eq!(did_you_mean("memroy", ["memory", "pids"]), Some("memory"));
        assert_eq!(did_you_mean("zzz", ["memory", "pids"]), None);
        assert_eq!(did_you_mean(&"x".repeat(1 << 20), [&*"x".repeat(1 << 20)]), None);
    }

    #[test]
    fn a_line_that_is_too_long_to_draw_is_cut() {
        let mut sources = Sources::default();
        let base = sources.add("p.toml", &format!("a = 1\n{} = 1\nb = 1\n\n\nc = 1\n", "x".repeat(70_000)));
        let shown = |start: u32| Problems::from(Problem::new("t::x", Span { start, end: start + 3 }, "bad")).render(&sources, Style::Plain);
        let (long, last, past) = (shown(base + 70_000), shown(base + 70_018), shown(base + 70_900));
        assert!(long.contains("p.toml:2:69995") && long.len() < 2_000 && last.contains("c = 1") && !past.is_empty(), "{long}{last}{past}");
    }

    #[test]
    fn a_place_in_another_text_of_the_same_name_is_told_in_words() {
        let mut sources = Sources::default();
        let (first, second) = (sources.add("--config", "a = 1"), sources.add("--config", "bcd = 2"));
        let problem = Problem::new("t::x", Span { start: second, end: second + 3 }, "bad").also(Span { start: first, end: first + 1 }, "was here");
        let shown = Problems::from(problem).render(&sources, Style::Plain);
        assert!(shown.contains("--config:1:1: was here") && shown.contains("bcd = 2"), "{shown}");
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(escape("a\x1b]0;x\x07b"), "a\\u{1b}]0;x\\u{7}b");
        // Neither does it begin a line, a column, or hide.
        assert_eq!(escape("a\n\t\u{61c}\u{2028}\u{2029}\u{feff}\u{200b}"), r"a\n\t\u{61c}\u{2028}\u{2029}\u{feff}\u{200b}");
        assert_eq!(escape_lines("a\n\tb\x1b"), "a\n\tb\\u{1b}");
        let mut sources = Sources::default();
        let base = sources.add("p\x1b.toml", "a = '\x1b[31m'\n");
        let problem = Problem::new("t::x", Span { start: base, end: base + 1 }, "bad \u{202e} thing");
        let shown = Problems::from(problem).render(&sources, Style::Plain);
        assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown}");
        let json = Problems::from(Problem::new("t::x", Span { start: base, end: base + 1 }, "\u{202e}\u{9b}é\n")).json(&sources);
        assert!(json.contains(r#""\u202e\u009bé\n""#), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()[0]["message"], "\u{202e}\u{9b}é\n");
    }
}
