//! The links that a path leads through, and its end.

/// The links that a path leads through, and its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// In the order in which they are met.
    pub links: Vec<Link>,
    /// The directories that it leaves by `..`: with another in the place of one of them the path
    /// leads elsewhere.
    pub left: Vec<String>,
    /// Where it ends: its place without links, or the first place that cannot be opened.
    pub end: String,
    /// Why the end cannot be opened.
    pub errno: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it is, without links on the way.
    pub place: String,
    pub text: String,
    pub owner: u32,
}

impl Trail {
    /// Whether every link is root's: only such a link cannot have been put there by an earlier
    /// target.
    pub fn is_roots(&self) -> bool {
        self.links.iter().all(|link| link.owner == 0)
    }
}
