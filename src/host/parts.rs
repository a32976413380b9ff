//! What trees of the host are made of: the names in a root that is bound, and the parts of a tree
//! with mounts in it, of which overlayfs shows each by itself.

use std::collections::BTreeMap;

/// What comes with an entry of the profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// The names in the directory that becomes `/`, where one is bound.
    pub root_names: Vec<String>,
    /// The parts of the host's trees that are overlays at their own paths, by these.
    pub trees: BTreeMap<String, Parts>,
}

/// A tree of the host's, in parts without mounts below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// Whether its top is one overlay, and each part a mount in it. The caller must be able to open
    /// a mount without those below; else the directories above mounts are made anew, and each
    /// largest one without is an overlay.
    pub whole: bool,
    pub parts: Vec<Part>,
    /// What does not come along.
    pub left: Vec<Left>,
    /// Whether there are more than are looked at.
    pub too_many: bool,
    /// A path that could not be looked at, and why: not by the caller's rights.
    pub unseen: Option<(String, i32)>,
}

/// A part of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub path: String,
    pub shown: Shown,
}

/// How a part is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A directory above others: made anew, with this mode.
    Made(u32),
    /// By an overlay.
    Merged,
    /// As it is there, read-only: a file, a link, or what overlayfs takes no layer of.
    Bound,
    /// Not at all, though the top shows it.
    Hidden,
}

/// A mount of the host's that does not come along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub path: String,
    /// The kernel's file system that it is; none: the caller may not look at it.
    pub kernel: Option<String>,
}
