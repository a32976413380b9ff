//! A problem for people, as miette draws it.

use crate::text::explain;
use crate::text::problem::clipped::{Clipped, visible};
use crate::text::problem::lines::fit;
use crate::text::problem::{Cause, Severity, escape, places};
use crate::text::source::{Sources, Span};
use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How many line breaks are drawn of one value.
const MOST_LINES: usize = 4;

/// A problem dressed for miette: spans relative to the one file that is shown; places in other
/// files become help lines.
#[derive(Debug)]
pub(super) struct Shown {
    code: String,
    severity: Severity,
    message: String,
    help: Option<String>,
    source: Option<Drawn>,
    labels: Vec<LabeledSpan>,
}

impl Shown {
    /// Each text is made to be drawn once, for all its problems.
    pub(super) fn new(
        cause: &Cause<'_>,
        sources: &Sources,
        width: usize,
        texts: &mut BTreeMap<u32, Arc<Clipped>>,
    ) -> Shown {
        let problem = cause.problem;
        // miette's own marks come before the lines.
        let (of_message, of_help) = (width.saturating_sub(4), width.saturating_sub(8));
        let main = sources.source(problem.at);
        let clipped = main.map(|file| {
            let text = || Arc::new(Clipped::new(&visible(&file.text)));
            Arc::clone(texts.entry(file.base).or_insert_with(text))
        });
        let lines: Vec<&str> = match &problem.help {
            Some(help) if problem.in_lines => help.split('\n').collect(),
            other => other.iter().map(String::as_str).collect(),
        };
        let mut help: Vec<String> =
            lines.into_iter().map(|help| fit(&escape(help), of_help)).collect();
        let (mut labels, mut starts) = (vec![], vec![]);
        if let Some(file) = main {
            let local = |span: Span| {
                let place = |offset: u32| {
                    clipped
                        .as_ref()
                        .map_or(0, |clipped| clipped.place((offset - file.base) as usize))
                };
                let (start, end) = (place(span.start), place(span.end));
                let covered =
                    clipped.as_ref().and_then(|clipped| clipped.text.get(start..end)).unwrap_or("");
                // Of a value of many lines the first says which it is.
                let first = covered
                    .find('\n')
                    .filter(|_| covered.bytes().filter(|byte| *byte == b'\n').count() > MOST_LINES);
                (start, first.unwrap_or(end - start))
            };
            let start = |span: Span| {
                sources
                    .place(span)
                    .map(|place| (local(span).0, (place.line as usize, place.column as usize)))
            };
            starts.extend(start(problem.at));
            labels.push(LabeledSpan::new_primary_with_span(
                Some(escape(&problem.label)),
                local(problem.at),
            ));
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
        help.extend(cause.more(sources).map(|more| fit(&escape(&more), of_help)));
        Shown {
            code: explain::number(problem.code).map_or_else(
                || problem.code.to_owned(),
                |number| format!("{} [{number}]", problem.code),
            ),
            severity: problem.severity(),
            message: fit(&escape(&problem.message), of_message),
            help: (!help.is_empty()).then(|| help.join("\n")),
            source: main.zip(clipped).map(|(file, clipped)| Drawn {
                name: escape(&file.name),
                clipped,
                starts,
            }),
            labels,
        }
    }
}

/// A text with the places that headings name: miette counts columns in bytes, and of what was cut
/// away it knows nothing.
#[derive(Debug)]
struct Drawn {
    name: String,
    clipped: Arc<Clipped>,
    /// Line and column of what labels are about, by where they begin in the text.
    starts: Vec<(usize, (usize, usize))>,
}

impl SourceCode for Drawn {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.clipped.text.read_span(span, before, after)?;
        // It asks for the bare span to name the place.
        let known =
            self.starts.iter().find(|(start, _)| (before, after, *start) == (0, 0, span.offset()));
        let (line, column) = known
            .map_or((found.line(), found.column()), |(_, (line, column))| (line - 1, column - 1));
        let (data, span, count) = (found.data(), *found.span(), found.line_count());
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            data,
            span,
            line,
            column,
            count,
        )))
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
        (!self.labels.is_empty()).then(|| {
            Box::new(self.labels.clone().into_iter()) as Box<dyn Iterator<Item = LabeledSpan>>
        })
    }
}
