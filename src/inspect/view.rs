//! A plan and an answer for people: text that fits 80 columns, with colour where a terminal asks
//! for it, and the same as JSON.
//!
//! It draws what [`crate::inspect::walls`] and [`crate::inspect::exposure`] say, and finds out
//! nothing by itself.

pub(crate) mod answer;
pub(crate) mod plan;
pub(crate) mod steps;
pub(crate) mod tree;
pub(crate) mod walls;

use crate::text::problem::{Note, escape};
use crate::text::source::{Place, Sources, Span};

/// A text for one line: hostile characters are made visible, and so are newline and tab.
pub(crate) fn flat(text: &str) -> String {
    escape(text)
}

/// File and line of a span, or that no line asked for it.
pub(crate) fn place_words(at: Span, sources: &Sources) -> String {
    sources.place(at).map_or_else(
        || "by default".into(),
        |Place { file, line, .. }| flat(&format!("{file}:{line}")),
    )
}

/// The whole line of a span, without blanks around it.
pub(crate) fn line_of(at: Span, sources: &Sources) -> Option<String> {
    let source = sources.source(at)?;
    let start = (at.start - source.base) as usize;
    let before = source.text.get(..start)?;
    let first = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.text.get(first..)?.lines().next()?;
    Some(flat(line.trim()))
}

/// A note with its place, as one line.
pub(crate) fn note_line(note: &Note, sources: &Sources) -> String {
    let place = sources.place(note.at).map_or(String::new(), |place| format!("{place}: "));
    escape(&format!("{place}{}", note.text))
}
