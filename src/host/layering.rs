//! What keeps overlayfs from merging directories of this machine.

use crate::kernel::name::Inode;

/// What fuse-overlayfs starts with in its own root, which its process is called by: its loader, or
/// itself where it has none.
pub(crate) const START: &str = "/fuse-overlayfs";
/// The program, where it has a loader.
pub(crate) const PROGRAM: &str = "/program";
/// Where the libraries are.
pub(crate) const LIBRARIES: &str = "/lib";

/// A file of the host's that fuse-overlayfs needs in order to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name that it has in the program's own root.
    pub name: String,
    /// Where it is on the host, without links.
    pub source: String,
    /// Which it was when it was read.
    pub inode: Inode,
}

/// Why fuse-overlayfs cannot show layers here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoServer {
    pub why: String,
    /// What to do, before what else there is.
    pub help: Option<String>,
}

/// Why overlayfs takes a directory as no layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlayered {
    /// It lies on as many file systems upon one another as the kernel takes
    /// (FILESYSTEM_MAX_STACK_DEPTH).
    Stacked,
    /// Names in it are compared without regard to case.
    Casefold,
    /// Its file system, by the kernel's word.
    Kind(String),
}

/// A layer that overlayfs may not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// As the profile names it.
    pub source: String,
    /// Where that is, without links.
    pub place: String,
    /// Why overlayfs takes it as no layer, if it does not.
    pub reason: Unlayered,
}

impl Unlayered {
    /// The same in words, of this directory.
    pub(crate) fn words(&self, source: &str) -> String {
        match self {
            Unlayered::Stacked => format!(
                "{source} lies on an overlay on another one, and the kernel stacks no third"
            ),
            Unlayered::Casefold => format!(
                "{source} compares names without regard to case, and overlayfs takes no such layer"
            ),
            Unlayered::Kind(kind) => {
                format!("{source} lies on {kind}, of which overlayfs takes no layer")
            }
        }
    }
}
