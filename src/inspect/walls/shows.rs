//! What can stand at a path inside.

use crate::language::value::Size;
use crate::step::{Content, Cover};

/// What is at a path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// The empty root.
    Root,
    /// An empty file system in memory.
    Memory {
        /// How much it holds.
        size: Size,
        /// How many files and directories.
        inodes: u64,
    },
    /// A part of the host's tree.
    Host(HostTree),
    /// The processes of the sandbox.
    Proc {
        /// Whether other users' processes are shown.
        hidepid: &'static str,
        /// Whether only processes are shown.
        only_processes: bool,
    },
    /// Its own terminals.
    Devpts,
    /// Its own message queues.
    Mqueue,
    /// Devices and kernel objects.
    Sysfs,
    /// A directory that stockade makes.
    Folder,
    /// A link that stockade makes.
    Link(String),
    /// A file that stockade writes.
    File(Content),
    /// Nothing: an empty cover.
    Hidden(Cover),
    /// What would be there anyway: as a mount of its own it cannot be renamed, or not be written;
    /// else a rule of Landlock stands on it.
    Same,
}

/// What questions ask of a thing that stands somewhere.
#[derive(Default, Clone, Copy)]
pub(super) struct Nature {
    /// proc(5).
    pub proc: bool,
    /// The kernel alone makes files in it.
    pub fixed: bool,
    /// Nothing of what would be there is to be seen.
    pub hidden: bool,
    /// The size of a file system in memory.
    pub memory: Option<Size>,
}

impl Shows {
    /// The one list of who is what: a new kind has to say it here.
    pub(super) fn nature(&self) -> Nature {
        let plain = Nature::default();
        match self {
            Shows::Memory { size, .. } => Nature { memory: Some(*size), ..plain },
            Shows::Proc { .. } => Nature { proc: true, fixed: true, ..plain },
            Shows::Sysfs | Shows::Devpts => Nature { fixed: true, ..plain },
            Shows::Hidden(_) => Nature { hidden: true, ..plain },
            Shows::Root
            | Shows::Host(_)
            | Shows::Mqueue
            | Shows::Folder
            | Shows::Link(_)
            | Shows::File(_)
            | Shows::Same => plain,
        }
    }

    /// What a file holds, where the profile says it.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Shows::File(content) => match content {
                Content::Text(text) => Some(text),
                Content::Secret(_) | Content::Withheld | Content::Fd(_) | Content::File(_) => None,
            },
            Shows::Root
            | Shows::Memory { .. }
            | Shows::Host(_)
            | Shows::Proc { .. }
            | Shows::Devpts
            | Shows::Mqueue
            | Shows::Sysfs
            | Shows::Folder
            | Shows::Link(_)
            | Shows::Hidden(_)
            | Shows::Same => None,
        }
    }
}

/// A part of the host's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTree {
    /// The host's path.
    pub source: String,
    /// Whether mounts below it come along.
    pub recursive: bool,
    /// The owner on disk, and the host ids that it is mapped to.
    pub mapped: Option<((u32, u32), (u32, u32))>,
    /// Whether stockade makes the directory first.
    pub made: bool,
}
