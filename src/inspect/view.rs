//! A plan and an answer for people: text that fits 80 columns, with colour where a terminal asks
//! for it, and the same as JSON.
//!
//! It draws what [`crate::inspect::access`] and [`crate::inspect::exposure`] say, and finds out
//! nothing by itself.

pub(crate) mod answer;
pub(crate) mod plan;
pub(crate) mod protections;
pub(crate) mod stays;
pub(crate) mod steps;
pub(crate) mod tree;

use crate::text::problem::{Note, escape};
use crate::text::source::{Place, Sources, Span};
use std::sync::Arc;

/// A text for one line: hostile characters are made visible, and so are newline and tab.
pub(crate) fn flat(text: &str) -> String {
    escape(text)
}

/// File and line of a span, or that no line asked for it.
pub(crate) fn place_words(at: Span, sources: &Sources) -> String {
    sources.place(at).map_or_else(
        || "by default".into(),
        |Place { file, line, .. }| match file.starts_with("--") && file.contains(' ') {
            // A short flag is one line, and says what it is.
            true => flat(&file),
            false => flat(&format!("{file}:{line}")),
        },
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

/// Which notes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notes {
    /// Each.
    All,
    /// Those of built-in profiles that leave out what is absent in one line, and none that counts
    /// what their patterns match.
    Short,
    None,
}

impl Notes {
    /// The notes to print one by one, and a line for the others.
    pub(crate) fn of<'n>(
        self,
        all: impl IntoIterator<Item = &'n Note>,
        sources: &Sources,
    ) -> (Vec<&'n Note>, Option<String>) {
        let mut absent: Vec<(Arc<str>, usize)> = vec![];
        let mut one_by_one = vec![];
        for note in all {
            let built_in = sources.source(note.at).filter(|source| {
                (note.left_out.is_some() || note.counts) && !note.less && source.is_built_in()
            });
            match (self, built_in) {
                (Notes::None, _) => {}
                (Notes::Short, Some(_)) if note.counts => {}
                (Notes::Short, Some(source)) => {
                    match absent.iter_mut().find(|(name, _)| *name == source.name) {
                        Some((_, count)) => *count += 1,
                        None => absent.push((source.name.clone(), 1)),
                    }
                }
                (Notes::All | Notes::Short, _) => one_by_one.push(note),
            }
        }
        absent.sort_unstable();
        let name = |name: &str| name.trim_matches(['<', '>']).to_owned();
        let line = match absent.as_slice() {
            [] => None,
            [(first, 1)] => Some(format!("1 optional path of {} is absent here", name(first))),
            [(first, count), rest @ ..] => {
                let rest: String = rest
                    .iter()
                    .map(|(other, count)| format!(" and {count} of {}", name(other)))
                    .collect();
                Some(format!("{count} optional paths of {}{rest} are absent here", name(first)))
            }
        };
        (one_by_one, line.map(|line| line + "; -v lists them"))
    }
}

/// A note with its place, as one line.
pub(crate) fn note_line(note: &Note, sources: &Sources) -> String {
    let place = sources.place(note.at).map_or(String::new(), |place| format!("{place}: "));
    escape(&format!("{place}{}", note.text))
}
