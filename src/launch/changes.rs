//! What a target changed: an upper directory of overlayfs, read against the layers below it.
//!
//! Whatever lies in an upper a target left there, so a process of its own reads it ([`reader`]): a
//! fork without the launcher's privilege, descriptors and words, with Landlock and a filter of
//! the calls that read. It opens by descriptor, one name at a time and no link, and regular files
//! and directories alone ([`walk`]); it streams what it finds ([`wire`]), so neither side's memory
//! grows with what a target made.
//!
//! Nothing here knows where an upper comes from: [`Reader`] takes descriptors.
//!
//! | in the upper | means |
//! |---|---|
//! | character device 0:0 | removed, if a layer has it |
//! | directory with `user.overlay.opaque` = y | the directory of the layers replaced whole |
//! | directory without | merged: its mode and owner |
//! | file that a layer has, too | changed, if its bytes are others |

pub(crate) mod apply;
mod attributes;
mod chosen;
mod discard;
mod doors;
pub(crate) mod export;
mod files;
mod journal;
mod kept;
mod reader;
mod take_out;
mod walk;
mod wire;

#[cfg(not(face_alone))]
pub use attributes::{Attributes, attributes};
pub(crate) use chosen::Chosen;
pub(crate) use discard::discard;
pub(crate) use journal::Trouble;
pub(crate) use kept::{Kept, Refused, is_same};
pub(crate) use reader::Reader;
pub(crate) use take_out::{end_taking, take_out};
pub(crate) use wire::Item;
#[cfg(not(face_alone))]
pub use wire::understood;

use crate::sys::Looked;

/// What kind of file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Character,
    Block,
}

impl Kind {
    /// The kind of a `st_mode`.
    fn of(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Link,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFBLK => Kind::Block,
            _ => Kind::File,
        }
    }

    /// Its word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Link => "link",
            Kind::Fifo => "fifo",
            Kind::Socket => "socket",
            Kind::Character => "character device",
            Kind::Block => "block device",
        }
    }
}

/// What was or is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub kind: Kind,
    /// The permissions, with set-id bits and the sticky bit.
    pub mode: u32,
    /// The owner on the disk; `None`: another user's, whose number the reader cannot see.
    pub owner: Option<u32>,
    pub group: Option<u32>,
    pub size: u64,
    /// How much of it is on the disk: a file of holes is larger than that.
    pub allocated: u64,
    /// Which file it is, and how many names that has.
    pub inode: (u64, u64),
    pub links: u32,
    /// When it was last changed (ctime), in seconds and nanoseconds.
    pub changed: (i64, u32),
    /// When it was last written (mtime).
    pub written: (i64, u32),
    /// The text of a link.
    pub target: Vec<u8>,
}

impl State {
    fn of(looked: &Looked) -> State {
        State {
            kind: Kind::of(looked.mode),
            mode: looked.mode & 0o7777,
            owner: Some(looked.owner),
            group: Some(looked.group),
            size: looked.size,
            allocated: looked.blocks.saturating_mul(512),
            inode: looked.inode,
            links: looked.links,
            changed: looked.changed,
            written: looked.written,
            target: vec![],
        }
    }

    /// Counts ids from these on.
    pub(crate) fn shift_down(&mut self, (user, group): (u32, u32)) {
        self.owner = self.owner.and_then(|id| id.checked_sub(user));
        self.group = self.group.and_then(|id| id.checked_sub(group));
    }

    /// Whether mode and owner are the same.
    fn has_rights_of(&self, other: &State) -> bool {
        // A link has no mode of its own (symlink(7)).
        let mode = self.kind == Kind::Link || self.mode == other.mode;
        mode && (self.owner, self.group) == (other.owner, other.group)
    }
}

/// How something is another than in the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    /// Its contents.
    Changed,
    /// With all that is below it.
    Removed,
    /// By something of another kind.
    Replaced,
    /// Its mode or owner alone.
    Rights,
}

impl What {
    /// Its word in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            What::Added => "added",
            What::Changed => "changed",
            What::Removed => "removed",
            What::Replaced => "replaced",
            What::Rights => "mode",
        }
    }
}

/// One path at which the target changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Below the top, without a `/` before it; empty for the top itself.
    pub path: Vec<u8>,
    pub what: What,
    /// In the layers.
    pub before: Option<State>,
    /// In the upper.
    pub after: Option<State>,
    /// Whether the reader may not open it: its bytes were not compared.
    pub unread: bool,
    /// Whether it is a copy of something in the layers, which had this name or, of a file, another.
    pub is_copy: bool,
}

impl Change {
    /// How many bytes its path and the texts of its links have.
    pub(crate) fn text_length(&self) -> usize {
        let states = self.before.iter().chain(&self.after);
        self.path.len() + states.map(|state| state.target.len()).sum::<usize>()
    }

    /// Whether what was there goes, and something else or nothing is in its place.
    pub(crate) fn removes(&self) -> bool {
        matches!(self.what, What::Removed | What::Replaced)
    }

    pub(crate) fn is_new_directory(&self) -> bool {
        let is_directory = |after: &State| after.kind == Kind::Directory;
        self.what == What::Added && self.after.as_ref().is_some_and(is_directory)
    }
}

/// What is read of files, beside that they are different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    Nothing,
    /// Of what is there now and what was before, up to so many bytes of each; of a larger one
    /// nothing.
    Both(u64),
    /// All of what is there now, but for holes.
    After,
}

/// Why the reading of an upper ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Errno(i32),
    /// An attribute that overlayfs with `userxattr` does not write: another engine's upper.
    Foreign(Vec<u8>),
    /// A path is longer than is read.
    TooLong,
    /// A directory has more names than are read.
    TooMany,
    /// It changed while it was read.
    Moved,
}

/// Where, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub stop: Stop,
    pub path: Vec<u8>,
}
