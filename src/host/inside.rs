//! The finished tree as the command finds it.

use super::privileged::Useless;
use super::programs::Program;
use crate::text::source::Span;

/// The finished tree as the command finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The command's program, with what it lacks.
    pub command: Program,
    /// Whether the working directory is there, where the profile names one.
    pub cwd: bool,
    /// The paths of the command and of the working directory that do not exist on the host either.
    pub nowhere: Vec<String>,
    /// Links to what is not there: path, text, and the line of the entry.
    pub dangling: Vec<(String, String, Span)>,
    /// The command's place, where Landlock's own rules do not let it be executed.
    pub unruled: Option<String>,
    /// Programs of the profile whose files have privilege, which gives nothing here.
    pub useless: Vec<Useless>,
}
