//! Keys, tokens and sessions that are there.

use crate::language::value::below;

/// Keys that are there, and that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Their path as programs name it: `~/.ssh`.
    pub path: String,
    /// Where it leads, links followed.
    pub place: String,
}

impl Key {
    /// Whether a path of the host lies in them.
    pub fn holds(&self, path: &str) -> bool {
        [&self.path, &self.place].into_iter().any(|key| below(path, key).is_some())
    }
}
