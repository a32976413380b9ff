//! What went wrong, with the texts that it is about.

use crate::launch::FAILED;
use crate::text::explain;
use crate::text::problem::{self, Style};
use crate::text::source::Sources;
use std::fmt;
use std::sync::Arc;

/// Everything that is wrong, at least one thing.
///
/// Its text, by [`Display`](fmt::Display) and [`Debug`](fmt::Debug) alike, is what the command line
/// prints: each problem with its line of the profile and what to do, without colour, 80 columns
/// wide. So a `main` that returns it shows people all they need; programs take
/// [`code`](Problem::code) and [`place`](Problem::place) of each.
#[derive(Clone)]
pub struct Problems {
    pub(crate) problems: problem::Problems,
    pub(crate) sources: Box<Sources>,
    pub(crate) status: u8,
}

/// One thing that is wrong.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    problem: &'a problem::Problem,
    sources: &'a Sources,
}

/// A place in a text. It is shown as `FILE:LINE:COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// What the text is called: the path of the file as it was given, a built-in profile's name in
    /// `<>`, the name given to [`Request::text`](crate::Request::text), or `--config`.
    pub file: Arc<str>,
    /// Its line, counted from 1.
    pub line: u32,
    /// Its column, counted from 1 in characters.
    pub column: u32,
}

impl Problems {
    pub(crate) fn new(problems: problem::Problems, sources: Sources) -> Problems {
        Problems { problems, sources: Box::new(sources), status: FAILED }
    }

    /// One that is about no text.
    pub(crate) fn of(problem: problem::Problem) -> Problems {
        Problems::new(problem.into(), Sources::default())
    }

    /// Each of them, in the order of the lines that they are about.
    pub fn iter(&self) -> impl Iterator<Item = Problem<'_>> {
        self.problems.iter().map(|problem| Problem { problem, sources: &self.sources })
    }

    /// The exit status by which the command line reports them: 127 for a program that is not there,
    /// 126 for one that cannot be executed, and 125 for everything else.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl<'a> Problem<'a> {
    /// A stable name, such as `mounts::source`. `stockade explain` lists them all.
    pub fn code(self) -> &'static str {
        self.problem.code
    }

    /// The stable number of the code, such as `E0401`.
    pub fn number(self) -> &'static str {
        explain::number(self.problem.code).unwrap_or_default()
    }

    /// One sentence: `cannot VERB OBJECT: REASON`. It can hold what a file, a variable or a
    /// parameter brought, as that is.
    pub fn message(self) -> &'a str {
        &self.problem.message
    }

    /// What to do, where that is known: a sentence, a command, or TOML to paste.
    pub fn help(self) -> Option<&'a str> {
        self.problem.help.as_deref()
    }

    /// The place in the profile's texts that it is about, if it is about one.
    pub fn place(self) -> Option<Place> {
        let place = self.sources.place(self.problem.at)?;
        Some(Place { file: place.file, line: place.line, column: place.column })
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problems.render(&self.sources, Style::Plain).trim_end())
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("code", &self.code())
            .field("place", &self.place())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}
