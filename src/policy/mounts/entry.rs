//! What an entry of `[mounts]` is. How it is written is said in [`super::kinds`]; this file decides
//! nothing about the tree.

use crate::kernel::proc::HidePid;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, Mode, OnlyTrue, Size, only_true, words};
use toml::de::DeValue;

words! {
    /// Whether the target may write there.
    Access {
        /// It may not, and not below it either.
        ReadOnly = "ro",
        /// It may.
        ReadWrite = "rw",
    }
}
words! {
    /// What happens where the source of a grant is absent.
    Missing {
        /// The run stops.
        Error = "error",
        /// The entry is left out, and that is reported.
        Skip = "skip",
        /// The directory is made, as the caller.
        Create = "create",
    }
}
/// What happens where a writable bind is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broad {
    /// The run stops.
    Refuse,
    /// It is granted: `broad = true`.
    Allow,
    /// It is left out, and that is reported: `broad = "skip"`.
    Skip,
}

words! {
    /// The word of [`Broad`].
    BroadWord {
        /// A grant that is too wide is left out, and that is reported.
        Skip = "skip",
    }
}

impl Shaped for Broad {
    fn shape() -> Shape {
        Shape::either(&[bool::shape, BroadWord::shape])
    }
}

impl Read for Broad {
    fn read(node: &Node<'_>) -> Result<Broad, Wrongs> {
        match node.get_ref() {
            DeValue::Boolean(true) => Ok(Broad::Allow),
            DeValue::Boolean(false) => Ok(Broad::Refuse),
            _ => one_word(node, BroadWord::Skip.word(), "true, false or").map(|()| Broad::Skip),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Broad::Refuse => Toml::bare(false),
            Broad::Allow => Toml::bare(true),
            Broad::Skip => BroadWord::Skip.spell(),
        }
    }
}

/// The one word that a truth value has beside it; `or` is what else there is.
fn one_word(node: &Node<'_>, word: &str, or: &str) -> Result<(), Wrongs> {
    match node.get_ref() {
        DeValue::String(text) if text == word => Ok(()),
        DeValue::String(text) => Err(Why::of("unknown word `", text.as_ref(), "`")
            .help(format!("write {or} \"{word}\""))
            .at(node)),
        _ => Err(mismatch(node, &format!("{or} \"{word}\""))),
    }
}

/// What happens to sockets below a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sockets {
    /// The run stops where there are some.
    Refuse,
    /// They are granted: `sockets = true`.
    Allow,
    /// Those that are found at the start are covered: `sockets = "hide"`.
    Hide,
}

words! {
    /// The word of [`Sockets`].
    SocketsWord {
        /// Each socket that is found at the start is covered by an empty file.
        Hide = "hide",
    }
}

impl Shaped for Sockets {
    fn shape() -> Shape {
        Shape::either(&[bool::shape, SocketsWord::shape])
    }
}

impl Read for Sockets {
    fn read(node: &Node<'_>) -> Result<Sockets, Wrongs> {
        match node.get_ref() {
            DeValue::Boolean(true) => Ok(Sockets::Allow),
            DeValue::Boolean(false) => Ok(Sockets::Refuse),
            _ => one_word(node, SocketsWord::Hide.word(), "true, false or").map(|()| Sockets::Hide),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Sockets::Refuse => Toml::bare(false),
            Sockets::Allow => Toml::bare(true),
            Sockets::Hide => SocketsWord::Hide.spell(),
        }
    }
}

/// What a profile says of what it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Nothing: `hide = true`.
    Unsaid,
    /// That it is a file, which shows again once somebody outside replaces it by rename:
    /// `hide = "file"`.
    File,
}

words! {
    /// The word of [`Hidden`].
    HiddenWord {
        /// It is a file, and it is known that it shows again where a program of the host replaces
        /// it by rename.
        File = "file",
    }
}

impl Shaped for Hidden {
    fn shape() -> Shape {
        Shape::either(&[OnlyTrue::shape, HiddenWord::shape])
    }
}

impl Read for Hidden {
    fn read(node: &Node<'_>) -> Result<Hidden, Wrongs> {
        match node.get_ref() {
            DeValue::Boolean(true) => Ok(Hidden::Unsaid),
            DeValue::Boolean(false) => Err(only_true(" or \"file\"").at(node)),
            _ => one_word(node, HiddenWord::File.word(), "true or").map(|()| Hidden::File),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Hidden::Unsaid => OnlyTrue.spell(),
            Hidden::File => HiddenWord::File.spell(),
        }
    }
}

/// One entry of `[mounts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A part of the host's tree. Without `source` it is the one at the same path, and a symbolic
    /// link is made again as that link.
    Bind(Bind),
    /// An empty file system in memory.
    Tmpfs(Tmpfs),
    /// The processes of the sandbox (proc(5)).
    Proc {
        /// What of other users' processes is shown.
        hidepid: HidePid,
        /// Whether only processes are shown (`subset=pid`).
        only_processes: bool,
    },
    /// The minimal /dev, with further nodes of the host by name below /dev.
    Dev {
        /// Nodes of the host.
        extra: Vec<AbsolutePath>,
    },
    /// One node of the host, or a directory of them.
    Device {
        /// Where it is on the host; default: the same path.
        source: Option<AbsolutePath>,
    },
    /// A socket of the host that the target may connect to.
    Socket(AbsolutePath),
    /// Devices and kernel objects (sysfs(5)), read-only.
    Sysfs,
    /// POSIX message queues (mq_overview(7)).
    Mqueue,
    /// An empty directory of the sandbox's own.
    Dir {
        mode: Option<Mode>,
    },
    Symlink(String),
    /// A file of the sandbox's own.
    File {
        /// Where its text comes from.
        content: Content,
        /// Its mode; default: 0644, and 0400 for what does not stand in the profile.
        mode: Option<Mode>,
    },
    /// Nothing is here: an empty read-only directory, or an empty file of mode 0, covers what was.
    Hide {
        /// Whether the entry may be left out where nothing is there.
        missing: Missing,
        /// What the profile knows of it.
        known: Hidden,
    },
}

impl Mount {
    /// `/proc` with the sandbox's processes and nothing else.
    pub const PROCESSES: Mount = Mount::Proc { hidepid: HidePid::Off, only_processes: true };

    /// The file system in memory that it is.
    pub fn tmpfs(&self) -> Option<&Tmpfs> {
        match self {
            Mount::Tmpfs(tmpfs) => Some(tmpfs),
            Mount::Bind(_)
            | Mount::Proc { .. }
            | Mount::Dev { .. }
            | Mount::Device { .. }
            | Mount::Socket(_)
            | Mount::Sysfs
            | Mount::Mqueue
            | Mount::Dir { .. }
            | Mount::Symlink(_)
            | Mount::File { .. }
            | Mount::Hide { .. } => None,
        }
    }
}

/// A part of the host's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it is on the host; default: the same path.
    pub source: Option<AbsolutePath>,
    /// Whether it may be written.
    pub access: Access,
    /// Whether mounts below it come along.
    pub recursive: bool,
    /// Whether programs on it may be run.
    pub exec: bool,
    /// What happens where it is absent.
    pub missing: Missing,
    /// What happens where a writable bind is as wide as a home or `/`.
    pub broad: Broad,
    /// What happens to sockets below it.
    pub sockets: Sockets,
    /// The word that lets a writable bind be the host root's when root started the sandbox.
    pub owner_root: bool,
}

impl Bind {
    /// One file of the host, to read and to execute.
    pub fn file(source: String) -> Bind {
        Bind { recursive: false, ..Bind::new(Some(AbsolutePath(source)), Access::ReadOnly) }
    }

    /// A bind as it is where the entry says nothing more.
    pub fn new(source: Option<AbsolutePath>, access: Access) -> Bind {
        Bind {
            source,
            access,
            recursive: true,
            exec: true,
            missing: Missing::Error,
            broad: Broad::Refuse,
            sockets: Sockets::Refuse,
            owner_root: false,
        }
    }
}

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// How much it holds; default: 64M.
    pub size: Size,
    /// How many files and directories; default: 65536.
    pub inodes: u64,
    /// The mode of its top; default: 0755, and 1777 for /tmp, /var/tmp and /dev/shm.
    pub mode: Option<Mode>,
    /// Whether programs on it may be run.
    pub exec: bool,
}

/// 64 MiB, and as many inodes as a source tree wants.
pub(crate) const TMPFS: Tmpfs =
    Tmpfs { size: Size(64 << 20), inodes: 65_536, mode: None, exec: false };

/// Where the text of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// An inherited descriptor, read to its end by the launcher.
    Fd(u32),
    /// A variable of the caller's environment.
    Env(String),
}
