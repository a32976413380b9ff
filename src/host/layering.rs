//! What keeps overlayfs from merging directories of this machine.

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
