//! `[mounts]`: the file tree, by the path inside. The deepest path wins, whatever the order of the
//! file.
//!
//! [`kinds`] are what an entry can be, a file for each, [`written`] is how one is read, [`pattern`]
//! and [`glob`] are keys with stars, [`tree`] says what lies on what, [`settle`] which of it is
//! left in the end, [`links`] keeps what an entry at a symbolic link means, [`follow`] finds what
//! one leads to, [`sockets`] are what a bind says of sockets below it, [`beside`] keeps the profile
//! itself from the target, [`place`] is for help that names the right line, [`mod@draft`] makes
//! steps of it, [`rights`] makes rules of Landlock of it where the sandbox has no tree of its own,
//! [`checks`] refuses grants that are too wide.

mod beside;
pub(crate) mod checks;
pub(crate) mod draft;
pub(crate) mod follow;
pub(crate) mod glob;
pub(crate) mod kinds;
pub(crate) mod links;
mod names;
pub(crate) mod pattern;
pub(crate) mod place;
pub(crate) mod planted;
mod rights;
pub(crate) mod settle;
pub(crate) mod sockets;
pub(crate) mod system;
pub(crate) mod tree;
pub(crate) mod written;

use crate::language::section::Entries;
pub(crate) use beside::writable as profiles_beside;
pub(crate) use draft::{Drafted, Opened, Undone, What, draft, open};
use kinds::Mount;
pub(crate) use kinds::NODES as DEV_NODES;
#[cfg(not(face_alone))]
pub use kinds::{KINDS, PROC_KEYS};
pub(crate) use rights::{Ground, SOCKETS_ABI, draft as draft_rights};
pub use settle::wanted;
pub use tree::bound_root;
pub(crate) use tree::hidden;

/// `[mounts]`: entries by the path inside; `false` removes an inherited one.
pub(crate) type Mounts = Entries<Mount>;

/// How many entries a profile may have, once its layers are merged and its patterns are expanded.
pub(crate) use crate::language::fill::MOST_ENTRIES;
