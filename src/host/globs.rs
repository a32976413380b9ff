//! What the patterns among the keys of `[mounts]` match.

/// What a walk found, once, at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The paths inside, in no order.
    pub matches: Vec<Match>,
    /// How many names were looked at.
    pub looked_at: usize,
    /// Directories that the caller may not list, and that a grant therefore leaves out: the first,
    /// and how many.
    pub unread: Option<(String, usize)>,
    /// How many names were not looked at, by `except`.
    pub excepted: usize,
    /// Why the walk was given up.
    pub stop: Option<Stop>,
}

/// A path that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Where it is inside.
    pub path: String,
    /// The text of the link that it is.
    pub link: Option<String>,
}

/// Why a walk was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The bound on names was reached.
    Names,
    /// The bound on matches was reached.
    Matches,
    /// A directory cannot be read.
    Unreadable(String, i32),
    /// A directory that the pattern names is a link.
    Link(String),
}
