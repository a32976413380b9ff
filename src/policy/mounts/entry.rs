//! What an entry of `[mounts]` may say: its kind is a word, or the key of its table.
//!
//! Read by a visitor, never by a tagged, untagged or flattened serde enum: those buffer the value and lose its spans.

use crate::problem::suggestion;
use crate::value::{AbsolutePath, Mode, Size};
use crate::words;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
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
        /// The folder is made, as the caller.
        Create = "create",
    }
}
words! {
    /// What /proc shows of other users' processes (proc(5), `hidepid`).
    HidePid {
        /// All of it.
        Off = "off",
        /// Their folders, not what is in them.
        NoAccess = "noaccess",
        /// Nothing.
        Invisible = "invisible",
    }
}

crate::written!(Access, Missing, HidePid);

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
                if text == "skip" { Ok(Broad::Skip) } else { Err(E::custom(format!("unknown word `{text}`\nhelp: write true, false or \"skip\""))) }
            }
        }
        deserializer.deserialize_any(BroadVisitor)
    }
}

/// One entry of `[mounts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A part of the host's tree. Without `source` it is the one at the same path, and a symbolic link is made again as that link.
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
    /// One node of the host, or a folder of them.
    Device {
        /// Where it is on the host; unsaid: the same path.
        source: Option<AbsolutePath>,
    },
    /// A socket of the host that the target may connect to.
    Socket(AbsolutePath),
    /// Devices and kernel objects (sysfs(5)), read-only.
    Sysfs,
    /// POSIX message queues (mq_overview(7)).
    Mqueue,
    /// An empty folder of the sandbox's own.
    Dir {
        /// Its mode.
        mode: Option<Mode>,
    },
    /// A symbolic link.
    Symlink(String),
    /// A file of the sandbox's own.
    File {
        /// Where its text comes from.
        content: Content,
        /// Its mode; unsaid: 0644, and 0400 for what does not stand in the profile.
        mode: Option<Mode>,
    },
    /// Nothing is here: an empty read-only folder, or an empty file of mode 0, covers what was.
    Hide {
        /// Whether the entry may be left out where nothing is there.
        missing: Missing,
    },
}

impl Mount {
    /// `/proc` with the sandbox's processes and nothing else.
    pub const PROCESSES: Mount = Mount::Proc { hidepid: HidePid::Off, only_processes: true };
}

/// A part of the host's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it is on the host; unsaid: the same path.
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
    /// Whether sockets may be in it.
    pub sockets: bool,
    /// The word that lets a writable bind be the host root's when root started the sandbox.
    pub owner_root: bool,
}

impl Bind {
    /// One file of the host, to read and to execute.
    pub fn file(source: String) -> Bind {
        Bind { recursive: false, ..Bind::new(Some(AbsolutePath(source)), Access::ReadOnly) }
    }

    fn new(source: Option<AbsolutePath>, access: Access) -> Bind {
        Bind { source, access, recursive: true, exec: true, missing: Missing::Error, broad: Broad::Refuse, sockets: false, owner_root: false }
    }
}

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// How much it holds; unsaid: 64M.
    pub size: Size,
    /// How many files and folders; unsaid: 65536.
    pub inodes: u64,
    /// The mode of its top; unsaid: 0755, and 1777 for /tmp, /var/tmp and /dev/shm.
    pub mode: Option<Mode>,
    /// Whether programs on it may be run.
    pub exec: bool,
}

/// 64 MiB, and as many inodes as a source tree wants.
pub const TMPFS: Tmpfs = Tmpfs { size: Size(64 << 20), inodes: 65_536, mode: None, exec: false };

/// Where the text of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The profile.
    Text(String),
    /// An inherited descriptor, read to its end by the launcher.
    Fd(u32),
    /// A variable of the caller's environment.
    Env(String),
}

/// Every kind: the word, and what it takes. One table for parsing, suggestions and the reference.
const KINDS: &[(&str, &[&str])] = &[
    ("bind", &["access", "recursive", "exec", "missing", "broad", "sockets", "owner"]),
    ("tmpfs", &["inodes", "mode", "exec"]),
    ("proc", &[]),
    ("dev", &[]),
    ("device", &[]),
    ("socket", &[]),
    ("sysfs", &[]),
    ("mqueue", &[]),
    ("dir", &[]),
    ("symlink", &[]),
    ("text", &["mode"]),
    ("fd", &["mode"]),
    ("env", &["mode"]),
    ("hide", &["missing"]),
];

/// Kinds of the language that are not built yet.
const LATER: &[&str] = &["layers", "image", "cgroup", "upper"];

/// The words that stand for a whole entry.
const WORDS: &[&str] = &["ro", "rw", "tmpfs", "proc", "dev", "device", "sysfs", "mqueue", "dir", "hide"];

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mount, D::Error> {
        deserializer.deserialize_any(MountVisitor)
    }
}

struct MountVisitor;

impl<'de> Visitor<'de> for MountVisitor {
    type Value = Mount;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a word ({}) or a table", WORDS.join(", "))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Mount, E> {
        Ok(match word {
            "ro" => Mount::Bind(Bind::new(None, Access::ReadOnly)),
            "rw" => Mount::Bind(Bind::new(None, Access::ReadWrite)),
            "tmpfs" => Mount::Tmpfs(TMPFS),
            "proc" => Mount::Proc { hidepid: HidePid::Off, only_processes: false },
            "dev" => Mount::Dev { extra: vec![] },
            "device" => Mount::Device { source: None },
            "sysfs" => Mount::Sysfs,
            "mqueue" => Mount::Mqueue,
            "dir" => Mount::Dir { mode: None },
            "hide" => Mount::Hide { missing: Missing::Error },
            _ if LATER.contains(&word) => return Err(E::custom(format!("mounts of kind `{word}` are not built yet"))),
            _ => {
                let help = suggestion(word, WORDS.iter().copied()).unwrap_or_else(|| {
                    if word.starts_with('/') {
                        format!("to bind it here, write {{ bind = \"{word}\" }}")
                    } else {
                        format!("the words are {}", WORDS.join(", "))
                    }
                });
                return Err(E::custom(format!("unknown kind of mount `{word}`\nhelp: {help}")));
            }
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mount, A::Error> {
        let mut kind: Option<(&'static str, Mount)> = None;
        let mut options = Options::default();
        while let Some(key) = map.next_key::<String>()? {
            let Some((name, _)) = KINDS.iter().find(|(name, _)| *name == key) else {
                options.read(&key, &mut map)?;
                continue;
            };
            let mount = read_kind(name, &mut map)?;
            if let Some((other, _)) = &kind {
                return Err(de::Error::custom(format!("a mount is one thing: `{other}` or `{name}`")));
            }
            kind = Some((name, mount));
        }
        let Some((name, mount)) = kind else {
            let kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(de::Error::custom(format!("this entry does not say what it is\nhelp: give it one of the keys {}", kinds.join(", "))));
        };
        options.apply(name, mount).map_err(de::Error::custom)
    }
}

/// The value of the key that gives the kind.
fn read_kind<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Mount, A::Error> {
    Ok(match name {
        "bind" => Mount::Bind(Bind::new(Some(map.next_value()?), Access::ReadOnly)),
        "tmpfs" => Mount::Tmpfs(Tmpfs { size: map.next_value()?, ..TMPFS }),
        "proc" => {
            #[derive(serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Raw {
                hidepid: Option<HidePid>,
                subset: Option<String>,
            }
            let raw: Raw = map.next_value()?;
            if raw.subset.as_deref().is_some_and(|subset| subset != "pid") {
                return Err(de::Error::custom("the kernel knows one subset of proc\nhelp: write subset = \"pid\""));
            }
            Mount::Proc { hidepid: raw.hidepid.unwrap_or(HidePid::Off), only_processes: raw.subset.is_some() }
        }
        "dev" => Mount::Dev { extra: map.next_value()? },
        "device" => Mount::Device { source: Some(map.next_value()?) },
        "socket" => Mount::Socket(map.next_value()?),
        "sysfs" => only_true(map, name, Mount::Sysfs)?,
        "mqueue" => only_true(map, name, Mount::Mqueue)?,
        "dir" => Mount::Dir { mode: Some(map.next_value()?) },
        "symlink" => Mount::Symlink(map.next_value()?),
        "text" => Mount::File { content: Content::Text(map.next_value()?), mode: None },
        "fd" => Mount::File { content: Content::Fd(map.next_value()?), mode: None },
        "env" => Mount::File { content: Content::Env(map.next_value()?), mode: None },
        _ => only_true(map, name, Mount::Hide { missing: Missing::Error })?,
    })
}

fn only_true<'de, A: MapAccess<'de>>(map: &mut A, name: &str, mount: Mount) -> Result<Mount, A::Error> {
    if map.next_value::<bool>()? {
        Ok(mount)
    } else {
        Err(de::Error::custom(format!("`{name}` can only be true\nhelp: withdraw an inherited entry with PATH = false")))
    }
}

#[derive(Default)]
struct Options {
    access: Option<Access>,
    recursive: Option<bool>,
    exec: Option<bool>,
    missing: Option<Missing>,
    broad: Option<Broad>,
    sockets: Option<bool>,
    owner: Option<String>,
    inodes: Option<u64>,
    mode: Option<Mode>,
    seen: Vec<&'static str>,
}

impl Options {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let known = || KINDS.iter().flat_map(|(_, options)| options.iter().copied());
        match key {
            "access" => self.access = Some(map.next_value()?),
            "recursive" => self.recursive = Some(map.next_value()?),
            "exec" => self.exec = Some(map.next_value()?),
            "missing" => self.missing = Some(map.next_value()?),
            "broad" => self.broad = Some(map.next_value()?),
            "sockets" => self.sockets = Some(map.next_value()?),
            "owner" => self.owner = Some(map.next_value()?),
            "inodes" => self.inodes = Some(map.next_value()?),
            "mode" => self.mode = Some(map.next_value()?),
            _ if LATER.contains(&key) => return Err(de::Error::custom(format!("`{key}` of a mount is not built yet"))),
            _ => {
                let kinds = KINDS.iter().map(|(name, _)| *name);
                let help = suggestion(key, known().chain(kinds)).unwrap_or_else(|| "the reference lists what each kind takes".into());
                return Err(de::Error::custom(format!("unknown key `{key}` of a mount\nhelp: {help}")));
            }
        }
        self.seen.extend(known().find(|name| *name == key));
        Ok(())
    }

    fn apply(self, kind: &str, mount: Mount) -> Result<Mount, String> {
        let taken = KINDS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, options)| options);
        if let Some(stray) = self.seen.iter().find(|option| !taken.contains(option)) {
            let help = if taken.is_empty() { "it takes no further keys".into() } else { format!("it takes {}", taken.join(", ")) };
            return Err(format!("`{stray}` does not go with `{kind}`\nhelp: {help}"));
        }
        if self.owner.as_deref().is_some_and(|owner| owner != "root") {
            return Err("the one owner that needs a word is \"root\"\nhelp: other owners are mapped as they are; leave `owner` out".into());
        }
        Ok(match mount {
            Mount::Bind(bind) => Mount::Bind(Bind {
                access: self.access.unwrap_or(bind.access),
                recursive: self.recursive.unwrap_or(bind.recursive),
                exec: self.exec.unwrap_or(bind.exec),
                missing: self.missing.unwrap_or(bind.missing),
                broad: self.broad.unwrap_or(bind.broad),
                sockets: self.sockets.unwrap_or(false),
                owner_root: self.owner.is_some(),
                source: bind.source,
            }),
            Mount::Tmpfs(tmpfs) => Mount::Tmpfs(Tmpfs {
                inodes: self.inodes.unwrap_or(tmpfs.inodes),
                mode: self.mode,
                exec: self.exec.unwrap_or(tmpfs.exec),
                size: tmpfs.size,
            }),
            Mount::File { content, .. } => Mount::File { content, mode: self.mode },
            Mount::Hide { .. } if self.missing == Some(Missing::Create) => {
                return Err("`hide` cannot make what it hides\nhelp: missing = \"skip\"".into());
            }
            Mount::Hide { .. } => Mount::Hide { missing: self.missing.unwrap_or(Missing::Error) },
            other => other,
        })
    }
}
