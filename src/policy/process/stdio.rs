//! What is in the place of 0, 1 and 2: the caller's stream, `/dev/null`, or a file of the host's.

use super::Process;
use crate::language::fill::Fill;
use crate::language::read::{Node, Read, Wrongs, mismatch};
use crate::language::section::Key;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{AbsolutePath, Mode, Written, parent, words};
use crate::step::Made;
use crate::text::problem::suggestion;
use crate::text::source::{At, Span};
use toml::de::DeValue;

words! {
    /// What a standard stream is, in a word.
    Word {
        /// The caller's.
        Inherit = "inherit",
        /// `/dev/null`.
        Null = "null",
    }
}

/// What a standard stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdio<T> {
    /// The caller's, or `/dev/null`.
    Word(Word),
    /// A file of the host's.
    File(T),
}

table! {
    /// A file that is read.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Input {
        /// A regular file of the host's, opened by the launcher for reading.
        pub file: AbsolutePath = Need::Kind,
    }
}
table! {
    /// A file that is written.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Output {
        /// A file of the host's, which the launcher makes or empties, and opens for writing.
        pub file: AbsolutePath = Need::Kind,
        /// The mode of a file that is made, less the caller's umask; default: 0644.
        pub mode: Option<At<Mode>> = Need::With(vec!["file"]),
        /// `true`: what is there stays, and what is written comes behind it; default: `false`.
        pub append: Option<bool> = Need::With(vec!["file"]),
    }
}

impl<T: Read> Read for Stdio<T> {
    const FILL: Fill = T::FILL;

    fn read(node: &Node<'_>) -> Result<Stdio<T>, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => Word::from_text(text).map(Stdio::Word).map_err(|why| {
                let help =
                    "write one of inherit, null, or a file, such as { file = \"/srv/data\" }";
                (if suggestion(text, Word::WORDS.iter().copied()).is_some() {
                    why
                } else {
                    why.help(help)
                })
                .at(node)
            }),
            DeValue::Table(_) => T::read(node).map(Stdio::File),
            _ => Err(mismatch(node, "\"inherit\", \"null\", or a table with `file`")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Stdio::Word(word) => word.spell(),
            Stdio::File(file) => file.spell(),
        }
    }
}

impl<T: Shaped> Shaped for Stdio<T> {
    fn shape() -> Shape {
        Shape::either(&[Word::shape, T::shape])
    }
}

/// The file that takes the place of 0, 1 or 2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub fd: u32,
    pub path: &'a str,
    /// How it is made; nothing where it is read.
    pub made: Option<Made>,
    /// The line of its mode.
    pub mode_at: Span,
    pub at: Span,
}

impl<'a> Named<'a> {
    /// What must be there before the launch: the file that is read, or the directory of one that is
    /// made.
    pub(crate) fn way(&self) -> &'a str {
        if self.made.is_some() { parent(self.path) } else { self.path }
    }
}

fn file<T>(key: &Key<Stdio<T>>) -> Option<(&T, Span)> {
    match key.get() {
        Some(At { value: Stdio::File(file), at }) => Some((file, *at)),
        _ => None,
    }
}

fn is_null<T>(key: &Key<Stdio<T>>) -> bool {
    matches!(key.get(), Some(At { value: Stdio::Word(Word::Null), .. }))
}

impl Process {
    /// Whether `/dev/null` takes the place of 0, 1 or 2.
    pub fn is_null(&self, fd: u32) -> bool {
        match fd {
            0 => is_null(&self.stdin),
            1 => is_null(&self.stdout),
            2 => is_null(&self.stderr),
            _ => false,
        }
    }

    /// Whether 0, 1 or 2 is the caller's.
    pub fn is_callers(&self, fd: u32) -> bool {
        !self.is_null(fd) && self.file(fd).is_none()
    }

    /// The file that takes the place of 0, 1 or 2.
    pub(crate) fn file(&self, fd: u32) -> Option<Named<'_>> {
        if fd == 0 {
            let (Input { file: path }, at) = file(&self.stdin)?;
            return Some(Named { fd, path, made: None, mode_at: at, at });
        }
        let key = [&self.stdout, &self.stderr].into_iter().nth(fd as usize - 1)?;
        let (Output { file: path, mode, append }, at) = file(key)?;
        let mode_at = mode.as_ref().map_or(at, |mode| mode.at);
        let mode = mode.as_ref().map_or(Mode(0o644), |mode| mode.value);
        let made = Some(Made { mode, append: append.unwrap_or(false) });
        Some(Named { fd, path, made, mode_at, at })
    }

    /// All files that take the place of one.
    pub(crate) fn files(&self) -> impl Iterator<Item = Named<'_>> {
        (0..3).filter_map(|fd| self.file(fd))
    }
}
