//! What can be at a path inside. It is data: how it is made is the plan's, and what it means for
//! a path the walker's.

use crate::kernel::idmap::MountMap;
use crate::language::value::Room;
use crate::step::{Content, Cover, FileSystem, Kernel};
use std::collections::BTreeMap;

/// What is at a path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// The sandbox's own.
    Own(Own),
    /// What the host has.
    Host(Stack),
    /// What the kernel shows.
    Kernel(Kernel),
    /// The file that is there anyway: as a mount of its own it cannot be renamed, or not be
    /// written; or a rule of Landlock is on it.
    Same,
}

/// What stockade makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// The root, empty but for the parents of the entries in it.
    Root,
    /// An empty file system in memory.
    Memory {
        /// How much it holds.
        size: Room,
        /// How many files and directories.
        inodes: u64,
    },
    Directory,
    /// The minimal /dev, with what is at each name in it.
    Devices(BTreeMap<String, Ground>),
    /// A symbolic link with this text.
    Link(String),
    File(Content),
    /// Nothing: an empty cover.
    Hidden(Cover),
    /// Nothing: a layer of stockade's says so, and what is written there is made anew.
    Whiteout,
}

/// The properties that questions ask for.
#[derive(Default, Clone, Copy)]
pub(crate) struct Nature {
    /// proc(5).
    pub proc: bool,
    /// The kernel alone makes files in it.
    pub fixed: bool,
    /// Nothing of what would be there is to be seen.
    pub hidden: bool,
    /// The size of a file system in memory.
    pub memory: Option<Room>,
}

impl Ground {
    /// The one list of the nature of each kind: a new kind must be added here.
    pub(crate) fn nature(&self) -> Nature {
        let plain = Nature::default();
        match self {
            Ground::Own(Own::Memory { size, .. }) => Nature { memory: Some(*size), ..plain },
            Ground::Own(Own::Hidden(_) | Own::Whiteout) => Nature { hidden: true, ..plain },
            Ground::Own(
                Own::Root | Own::Directory | Own::Devices(_) | Own::Link(_) | Own::File(_),
            ) => plain,
            Ground::Kernel(kernel) => {
                let facts = kernel.facts();
                Nature { proc: facts.processes, fixed: facts.fixed, ..plain }
            }
            Ground::Host(_) | Ground::Same => plain,
        }
    }

    /// The text of a file of stockade's, if it is known.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Ground::Own(Own::File(content)) => match content {
                Content::Text(text) | Content::OfHost(text) => Some(text),
                Content::Secret(_) | Content::Withheld | Content::Fd(_) => None,
                Content::File(_) | Content::Copy(..) => None,
            },
            Ground::Own(own) => match own {
                Own::Root | Own::Memory { .. } | Own::Directory | Own::Devices(_) => None,
                Own::Link(_) | Own::File(_) | Own::Hidden(_) | Own::Whiteout => None,
            },
            Ground::Host(_) | Ground::Kernel(_) | Ground::Same => None,
        }
    }
}

/// What is at the path of a mounted file system.
impl From<&FileSystem> for Ground {
    fn from(fs: &FileSystem) -> Ground {
        match fs {
            FileSystem::Tmpfs { size, inodes, .. } => {
                Ground::Own(Own::Memory { size: *size, inodes: *inodes })
            }
            FileSystem::Kernel(kernel) => Ground::Kernel(*kernel),
        }
    }
}

/// Sources of the host's, one upon the other. One alone is bound: its directories are as they are.
/// Of several the directories are merged, as overlayfs does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    topmost: Source,
    /// Those below it, the lowest first.
    lower: Vec<Source>,
    /// Whether overlayfs shows them: directories are merged, and whiteouts hide.
    merged: bool,
    /// Where goes what the target writes on top; none: to the topmost, or nowhere.
    upper: Option<Top>,
    /// Why a copy of them is shown in their place, if it is.
    copied: Option<String>,
    /// Whether fuse-overlayfs shows them.
    served: bool,
}

/// Where goes what the target writes on top of merged sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Top {
    /// To memory, which ends with the sandbox.
    Memory {
        /// How much it holds.
        size: Room,
        /// How many files and directories.
        inodes: u64,
    },
    /// To a directory of the host's.
    Disk {
        /// The directory that the profile names.
        directory: String,
        /// Whether it stays there.
        kept: bool,
    },
}

impl Top {
    /// The size of one in memory.
    pub fn size(&self) -> Option<Room> {
        match self {
            Top::Memory { size, .. } => Some(*size),
            Top::Disk { .. } => None,
        }
    }

    /// What becomes of what is written, in words.
    pub(crate) fn words(&self) -> String {
        match self {
            Top::Memory { size, .. } => format!("in memory, {size}, thrown away at the end"),
            Top::Disk { directory, kept: true } => format!("kept in {directory}"),
            Top::Disk { directory, kept: false } => {
                format!("on disk in {directory}, thrown away at the end")
            }
        }
    }
}

/// A part of the host's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The host's path.
    pub path: String,
    /// Whether mounts below it come along.
    pub recursive: bool,
    /// How owners on disk are shown; none: as they are.
    pub mapped: Option<MountMap>,
    /// Whether stockade makes the directory first.
    pub made: bool,
}

impl Source {
    /// The host's tree at a path, as it is there.
    pub fn new(path: impl Into<String>) -> Source {
        Source { path: path.into(), recursive: true, mapped: None, made: false }
    }

    /// The user and the group of the host that an owner on disk is shown as.
    pub fn shows(&self, (user, group): (u32, u32)) -> (Option<u32>, Option<u32>) {
        self.mapped.as_ref().map_or((Some(user), Some(group)), |map| map.shows((user, group)))
    }
}

impl Stack {
    /// One source alone.
    pub fn one(source: Source) -> Stack {
        Stack {
            topmost: source,
            lower: vec![],
            merged: false,
            upper: None,
            copied: None,
            served: false,
        }
    }

    /// Those that overlayfs merges, the lowest first, with what the target writes on top; none:
    /// there are none.
    pub fn merged(mut layers: Vec<Source>, upper: Option<Top>) -> Option<Stack> {
        let topmost = layers.pop()?;
        Some(Stack { topmost, lower: layers, merged: true, upper, copied: None, served: false })
    }

    /// Several, the lowest first, merged where they are more than one.
    #[cfg_attr(face_alone, allow(dead_code, reason = "the tests make stacks"))]
    pub fn lowest_first(layers: Vec<Source>) -> Option<Stack> {
        let stack = Stack::merged(layers, None)?;
        Some(Stack { merged: !stack.lower.is_empty(), ..stack })
    }

    /// The source in which a name is looked up first.
    pub fn topmost(&self) -> &Source {
        &self.topmost
    }

    /// The sources, in the order in which a name is looked up.
    pub fn topmost_first(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.topmost).chain(self.lower.iter().rev())
    }

    /// Whether directories are merged, and whiteouts hide.
    pub fn is_merged(&self) -> bool {
        self.merged
    }

    /// What it is, in words: `/srv/app over /srv/base`.
    pub(crate) fn words(&self) -> String {
        let all: Vec<&str> = self.topmost_first().map(|source| source.path.as_str()).collect();
        match all.as_slice() {
            [topmost, next, _, more @ ..] => {
                format!("{topmost} over {next} and {} more", more.len() + 1)
            }
            all => all.join(" over "),
        }
    }

    /// The same, of which a copy is shown, for this reason.
    pub fn copied(self, because: Option<&str>) -> Stack {
        Stack { copied: because.map(str::to_owned), ..self }
    }

    /// Why a copy of them is shown in their place, if it is.
    pub fn is_copied(&self) -> Option<&str> {
        self.copied.as_deref()
    }

    /// The same, shown by fuse-overlayfs if it is.
    pub fn served(self, served: bool) -> Stack {
        Stack { served, ..self }
    }

    /// Whether fuse-overlayfs shows them, all as the target's own.
    pub fn is_served(&self) -> bool {
        self.served
    }

    /// Where goes what the target writes on top.
    pub fn upper(&self) -> Option<&Top> {
        self.upper.as_ref()
    }
}
