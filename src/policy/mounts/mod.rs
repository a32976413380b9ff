//! `[mounts]`: the file tree, by the path inside. The deepest path wins, whatever the order of the
//! file.
//!
//! [`entry`] is the section, [`kinds`] how it is written, [`pattern`] and [`glob`] are keys with
//! stars, [`tree`] says what lies on what, [`links`] keeps what an entry at a symbolic link means,
//! [`sockets`] are what a bind says of sockets below it, [`place`] and [`spelled`] are for help
//! that names the right line, [`mod@draft`] makes steps of it, [`rights`] makes rules of Landlock of it
//! where the sandbox has no tree of its own, [`checks`] refuses grants that are too wide.

pub mod checks;
pub mod dev;
pub mod draft;
pub mod entry;
pub mod glob;
mod kinds;
pub mod links;
pub mod pattern;
pub mod place;
mod rights;
pub mod sockets;
pub mod spelled;
pub mod tree;

use crate::language::section::Entries;
pub use dev::NODES as DEV_NODES;
pub use draft::{Undone, draft};
use entry::Mount;
pub use kinds::is_word;
#[cfg(not(face_alone))]
pub use kinds::{KINDS, PROC_KEYS};
pub use rights::{Ground, SOCKETS_ABI, draft as draft_rights};
pub use tree::{bound_root, hidden, wanted};

/// `[mounts]`: entries by the path inside; `false` withdraws an inherited one.
pub type Mounts = Entries<Mount>;

/// Directories that belong to the system. They are wide to write to, and hold no sockets worth a
/// look.
const SYSTEM: &[&str] = &[
    "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/opt",
    "/var", "/srv", "/nix", "/gnu",
];

/// Whether a path is a system directory itself.
pub fn is_system(path: &str) -> bool {
    SYSTEM.contains(&path)
}

/// How many entries a profile may have, once its layers are merged and its patterns are expanded.
pub const MOST_ENTRIES: usize = 10_000;
