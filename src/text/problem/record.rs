//! A problem for programs.

use crate::text::explain;
use crate::text::problem::{Problem, Severity, places};
use crate::text::source::{Place, Sources, Span};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(super) struct Record<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<&'static str>,
    severity: Severity,
    message: &'a str,
    #[serde(flatten)]
    place: Somewhere,
    length: u32,
    label: &'a str,
    /// Where else the same is wrong, in the same words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<Further>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Also>,
    help: Option<&'a str>,
}

#[derive(Serialize)]
struct Further {
    #[serde(flatten)]
    place: Somewhere,
    length: u32,
}

#[derive(Serialize)]
struct Also {
    #[serde(flatten)]
    place: Somewhere,
    label: String,
}

/// A place, or `null` in each of its fields: a program finds them in every problem.
#[derive(Serialize)]
pub(super) struct Somewhere {
    pub(super) file: Option<Arc<str>>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
}

impl Somewhere {
    pub(super) fn of(at: Span, sources: &Sources) -> Somewhere {
        match sources.place(at) {
            Some(Place { file, line, column }) => {
                Somewhere { file: Some(file), line: Some(line), column: Some(column) }
            }
            None => Somewhere { file: None, line: None, column: None },
        }
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(problem: &'a Problem, further: &[Span], sources: &Sources) -> Record<'a> {
        Record {
            code: problem.code,
            number: explain::number(problem.code),
            severity: problem.severity(),
            message: &problem.message,
            place: Somewhere::of(problem.at, sources),
            length: problem.at.end - problem.at.start,
            label: &problem.label,
            places: further
                .iter()
                .map(|at| Further { place: Somewhere::of(*at, sources), length: at.end - at.start })
                .collect(),
            also: places(problem, sources)
                .into_iter()
                .map(|(at, label)| Also { place: Somewhere::of(at, sources), label })
                .collect(),
            help: problem.help.as_deref(),
        }
    }
}
