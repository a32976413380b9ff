//! What an entry of `[mounts]` is. How it is written is said in [`super::kinds`]; this file decides
//! nothing about the tree.

use crate::kernel::proc::HidePid;
use crate::language::shape::{Shape, Shaped};
use crate::language::value::{AbsolutePath, Mode, OnlyTrue, Size, Written, words, written};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::fmt;

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
written!(Access, Missing);

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

impl<'de> Deserialize<'de> for Broad {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Broad, D::Error> {
        struct BroadVisitor;
        impl Visitor<'_> for BroadVisitor {
            type Value = Broad;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"skip\"")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Broad, E> {
                Ok(if value { Broad::Allow } else { Broad::Refuse })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Broad, E> {
                if text == BroadWord::Skip.word() {
                    Ok(Broad::Skip)
                } else {
                    Err(E::custom(format!(
                        "unknown word `{text}`\nhelp: write true, false or \"skip\""
                    )))
                }
            }
        }
        deserializer.deserialize_any(BroadVisitor)
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

impl<'de> Deserialize<'de> for Sockets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sockets, D::Error> {
        struct SocketsVisitor;
        impl Visitor<'_> for SocketsVisitor {
            type Value = Sockets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"hide\"")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Sockets, E> {
                Ok(if value { Sockets::Allow } else { Sockets::Refuse })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sockets, E> {
                match SocketsWord::from_text(text) {
                    Ok(SocketsWord::Hide) => Ok(Sockets::Hide),
                    Err(_) => Err(E::custom(format!(
                        "unknown word `{text}`\nhelp: write true, false or \"hide\""
                    ))),
                }
            }
        }
        deserializer.deserialize_any(SocketsVisitor)
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

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        struct HiddenVisitor;
        impl Visitor<'_> for HiddenVisitor {
            type Value = Hidden;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or \"file\"")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Hidden, E> {
                let why = "this can only be true or \"file\"\nhelp: leave it out; an inherited \
                           entry is withdrawn with `false` in its place";
                if value { Ok(Hidden::Unsaid) } else { Err(E::custom(why)) }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hidden, E> {
                match HiddenWord::from_text(text) {
                    Ok(HiddenWord::File) => Ok(Hidden::File),
                    Err(_) => Err(E::custom(format!(
                        "unknown word `{text}`\nhelp: write true or \"file\""
                    ))),
                }
            }
        }
        deserializer.deserialize_any(HiddenVisitor)
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
