//! The finished tree as the command finds it.

use super::privileged::Useless;
use super::programs::Program;
use crate::text::source::Span;

/// The finished tree as the command finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Whether the tree is the host's own, in which no entry shows anything.
    pub of_host: bool,
    /// Whether its root is that of another system, which takes no programs of the host's.
    pub is_foreign: bool,
    /// The command's program, with what it lacks.
    pub command: Program,
    /// Why the working directory cannot be entered, where the profile names one.
    pub cwd: Option<NoEntry>,
    /// The path of the command, if it does not exist on the host either.
    pub nowhere: Vec<String>,
    /// Links to what is not there: path, text, and the line of the entry.
    pub dangling: Vec<(String, String, Span)>,
    /// The command's place, where Landlock's own rules do not let it be executed.
    pub unruled: Option<String>,
    /// Programs of the profile whose files have privilege, which gives nothing here.
    pub useless: Vec<Useless>,
}

/// What is in the place of the working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoEntry {
    /// Nothing, and an entry can show the host's directory of that path.
    Unshown,
    /// Nothing, and an entry can make it; the host has none, either.
    Absent,
    /// Nothing, at a place where no entry can make anything.
    Lost,
    /// Something that is no directory, at the end or on the way; the directory that it is in, where
    /// it is at the end.
    NotDirectory(Option<String>),
    /// A link to nothing, and where it leads.
    Dangling(String),
    /// What this entry hides.
    Hidden(String),
}

impl NoEntry {
    /// The same where no entry can be added.
    pub(crate) fn without_entry(self) -> NoEntry {
        match self {
            NoEntry::Unshown | NoEntry::Absent => NoEntry::Lost,
            other => other,
        }
    }
}
