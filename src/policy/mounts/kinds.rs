//! How an entry of `[mounts]` is written: its kind is a word, or the key of its table. The tables
//! here are read by the parser, by suggestions, by the schema and by the reference; nothing else
//! says what an entry may say.
//!
//! Read by a visitor, never by a tagged, untagged or flattened serde enum: those buffer the value
//! and lose its spans.

use super::entry::{Access, Bind, Broad, Content, Hidden, Missing, Mount, Sockets, TMPFS, Tmpfs};
use super::pattern::shown;
use crate::kernel::proc::HidePid;
use crate::language::section::EntryType;
use crate::language::shape::{Named, Need, Shape, Shaped, Table, Word, table};
use crate::language::value::{
    AbsolutePath, Mode, OnlyTrue, PATH_FORM, Size, Written, words, written,
};
use crate::text::problem::suggestion;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

/// A kind of mount: what its key takes, and the further keys that go with it.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// The key that gives the kind.
    pub word: &'static str,
    doc: &'static str,
    shape: fn() -> Shape,
    pub takes: &'static [&'static str],
}

/// Every kind as a key: its value, and the further keys that go with it. One table for parsing,
/// suggestions, schema and reference.
macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $word:literal: $type:ty => $make:expr, [$($takes:literal),*]; )+) => {
        /// Every kind.
        pub const KINDS: &[Made] = &[$( Made {
            word: $word,
            doc: concat!($($doc, "\n"),+),
            shape: <$type as Shaped>::shape,
            takes: &[$($takes),*],
        } ),+];

        /// The value of the key that gives the kind.
        fn read_kind<'de, A: MapAccess<'de>>(word: &str, map: &mut A) -> Result<Mount, A::Error> {
            $( if word == $word {
                let make: fn($type) -> Mount = $make;
                return map.next_value().map(make);
            } )+
            Err(de::Error::custom(format!("unknown kind `{word}`")))
        }
    };
}

kinds! {
    /// A part of the host's tree: what is at this path there, read-only where `access` says nothing
    /// else.
    "bind": AbsolutePath => |source| Mount::Bind(Bind::new(Some(source), Access::ReadOnly)),
        ["access", "recursive", "exec", "missing", "broad", "sockets", "owner"];
    /// An empty file system in memory, of this size.
    "tmpfs": Size => |size| Mount::Tmpfs(Tmpfs { size, ..TMPFS }), ["inodes", "mode", "exec"];
    /// The processes of the sandbox (proc(5)).
    "proc": ProcOptions => |proc| Mount::Proc { hidepid: proc.hidepid.unwrap_or(HidePid::Off), only_processes: proc.subset.is_some() }, [];
    /// The minimal /dev, with these nodes of the host's beside.
    "dev": Vec<AbsolutePath> => |extra| Mount::Dev { extra }, [];
    /// A device node of the host, or a directory of them.
    "device": AbsolutePath => |source| Mount::Device { source: Some(source) }, [];
    /// A socket of the host that the target may connect to.
    "socket": AbsolutePath => Mount::Socket, [];
    /// Devices and kernel objects (sysfs(5)), read-only.
    "sysfs": OnlyTrue => |OnlyTrue| Mount::Sysfs, [];
    /// POSIX message queues (mq_overview(7)).
    "mqueue": OnlyTrue => |OnlyTrue| Mount::Mqueue, [];
    /// An empty directory of the sandbox's own, of this mode.
    "dir": Mode => |mode| Mount::Dir { mode: Some(mode) }, [];
    /// A symbolic link with this text.
    "symlink": String => Mount::Symlink, [];
    /// A file of the sandbox's own with this text.
    "text": String => |text| Mount::File { content: Content::Text(text), mode: None }, ["mode"];
    /// The same with what an inherited descriptor gives, read to its end by the launcher.
    "fd": u32 => |fd| Mount::File { content: Content::Fd(fd), mode: None }, ["mode"];
    /// The same with the value of a variable of the caller's environment.
    "env": String => |name| Mount::File { content: Content::Env(name), mode: None }, ["mode"];
    /// Nothing: an empty read-only directory, or an empty file of mode 0, covers what is here.
    /// `"file"` says that it is a file, and that it is known to show again where a program of the
    /// host replaces it by rename.
    "hide": Hidden => |known| Mount::Hide { missing: Missing::Error, known }, ["missing"];
}

table! {
    /// What proc shows.
    struct ProcOptions {
        /// What of other users' processes is shown; default: `off`.
        hidepid: Option<HidePid>,
        /// Whether only processes are shown.
        subset: Option<Subset>,
    }
}

/// The keys of `proc`.
#[cfg(not(face_alone))]
pub const PROC_KEYS: &[&str] = ProcOptions::FIELDS;

words! {
    /// A part of proc.
    Subset {
        /// Processes, without the kernel's own files (`subset=pid`).
        Pid = "pid",
    }
}

written!(Subset, Owner);

/// The one owner of a writable bind that needs a word.
struct Owner;

impl Written for Owner {
    const WHAT: &'static str = "the word \"root\"";
    fn from_text(text: &str) -> Result<Owner, String> {
        let why = "the one owner that needs a word is \"root\"\nhelp: other owners are mapped as \
                   they are; leave `owner` out";
        if text == "root" { Ok(Owner) } else { Err(why.into()) }
    }
    fn looks() -> Shape {
        Shape::names(["root"])
    }
}

/// Kinds of the language that are not built yet.
const LATER: &[&str] = &["layers", "image", "cgroup", "upper"];

/// A word that stands for a whole entry, what it means, and what it makes.
type WordKind = (&'static str, &'static str, fn() -> Mount);

const WORDS: &[WordKind] = &[
    (
        "ro",
        "What the host has at the same path, read-only; a symbolic link is made again as that link.",
        || Mount::Bind(Bind::new(None, Access::ReadOnly)),
    ),
    ("rw", "The same, and the target may write there.", || {
        Mount::Bind(Bind::new(None, Access::ReadWrite))
    }),
    ("tmpfs", "An empty file system in memory: 64M, no programs.", || Mount::Tmpfs(TMPFS)),
    ("proc", "The processes of the sandbox (proc(5)).", || Mount::Proc {
        hidepid: HidePid::Off,
        only_processes: false,
    }),
    ("dev", "The minimal /dev.", || Mount::Dev { extra: vec![] }),
    ("device", "The host's device node at the same path, or its directory of them.", || {
        Mount::Device { source: None }
    }),
    ("sysfs", "Devices and kernel objects (sysfs(5)), read-only.", || Mount::Sysfs),
    ("mqueue", "POSIX message queues (mq_overview(7)).", || Mount::Mqueue),
    ("dir", "An empty directory of the sandbox's own.", || Mount::Dir { mode: None }),
    (
        "hide",
        "Nothing: an empty read-only directory, or an empty file of mode 0, covers what is here.",
        || Mount::Hide { missing: Missing::Error, known: Hidden::Unsaid },
    ),
];

fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, ..)| *word)
}

/// Whether a word stands for a whole entry.
pub(crate) fn is_word(word: &str) -> bool {
    words().any(|known| known == word)
}

fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.word)
}

impl EntryType for Mount {
    fn entries() -> Shape {
        let words = WORDS.iter().map(|(word, doc, _)| Word { word: (*word).into(), doc }).collect();
        let mut table =
            Table::new("One of the keys that say what it is, and further keys that go with it.");
        KINDS.iter().for_each(|kind| table.add(kind.word, kind.doc, kind.shape, Need::Kind));
        Options::add_to(&mut table);
        let value =
            Shape::Entry(Box::new(Shape::Either(vec![Shape::Words(words), Shape::Table(table)])));
        let doc = "The file tree, by the path inside. The deepest path wins, whatever the order of \
                   the lines.";
        Shape::Named(Named {
            doc,
            name: "PATH",
            form: PATH_FORM,
            fills: true,
            value: Box::new(value),
        })
    }

    fn may_be_left_out(&self) -> bool {
        matches!(self, Mount::Bind(bind) if bind.broad == Broad::Skip || bind.missing == Missing::Skip)
    }

    /// A pattern has a mark at its end.
    fn written(name: &str) -> &str {
        shown(name)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mount, D::Error> {
        deserializer.deserialize_any(MountVisitor)
    }
}

struct MountVisitor;

impl<'de> Visitor<'de> for MountVisitor {
    type Value = Mount;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a word ({}) or a table", words().collect::<Vec<_>>().join(", "))
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Mount, E> {
        if let Some((.., make)) = WORDS.iter().find(|(known, ..)| *known == word) {
            return Ok(make());
        }
        if LATER.contains(&word) {
            return Err(E::custom(format!("mounts of kind `{word}` are not built yet")));
        }
        let same = match word.to_ascii_lowercase().as_str() {
            "readonly" | "read-only" | "read_only" | "r" => Some("ro"),
            "readwrite" | "read-write" | "read_write" | "writable" | "w" => Some("rw"),
            "hidden" | "mask" | "none" | "deny" => Some("hide"),
            "devtmpfs" => Some("dev"),
            "procfs" => Some("proc"),
            lower => words().find(|known| *known == lower),
        };
        let help = same
            .map(|same| format!("did you mean `{same}`?"))
            .or_else(|| suggestion(word, words()))
            .unwrap_or_else(|| {
                if word.starts_with('/') {
                    format!("to bind it here, write {{ bind = \"{word}\" }}")
                } else {
                    format!("the words are {}", words().collect::<Vec<_>>().join(", "))
                }
            });
        Err(E::custom(format!("unknown kind of mount `{word}`\nhelp: {help}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mount, A::Error> {
        let mut kind: Option<(&'static str, Mount)> = None;
        let mut options = Options::default();
        while let Some(key) = map.next_key::<String>()? {
            let Some(name) = kinds().find(|name| *name == key) else {
                options.read(&key, &mut map)?;
                continue;
            };
            let mount = read_kind(name, &mut map)?;
            if let Some((other, _)) = &kind {
                return Err(de::Error::custom(format!(
                    "a mount is one thing: `{other}` or `{name}`"
                )));
            }
            kind = Some((name, mount));
        }
        let Some((name, mount)) = kind else {
            let kinds: Vec<&str> = kinds().collect();
            return Err(de::Error::custom(format!(
                "this entry does not say what it is\nhelp: give it one of the keys {}",
                kinds.join(", ")
            )));
        };
        options.apply(name, mount).map_err(de::Error::custom)
    }
}

/// The further keys: their fields, their parser and their shapes.
macro_rules! options {
    ($( $(#[doc = $doc:literal])+ $field:ident: $type:ty, )+) => {
        #[derive(Default)]
        struct Options {
            $( $field: Option<$type>, )+
            seen: Vec<&'static str>,
        }

        impl Options {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                $( if key == stringify!($field) {
                    self.$field = Some(map.next_value()?);
                    self.seen.push(stringify!($field));
                    return Ok(());
                } )+
                if LATER.contains(&key) {
                    return Err(de::Error::custom(format!("`{key}` of a mount is not built yet")));
                }
                let known = Self::NAMES.iter().copied().chain(kinds());
                let help = suggestion(key, known).unwrap_or_else(|| "the reference lists what each kind takes".into());
                Err(de::Error::custom(format!("unknown key `{key}` of a mount\nhelp: {help}")))
            }

            fn add_to(table: &mut Table) {
                $( table.add(
                    stringify!($field),
                    concat!($($doc, "\n"),+),
                    <$type as Shaped>::shape,
                    goes_with(stringify!($field)),
                ); )+
            }
        }
    };
}

options! {
    /// Whether the target may write there; default: `ro`.
    access: Access,
    /// Whether mounts below it come along; default: `true`.
    recursive: bool,
    /// Whether programs on it may be run; default: `true` for a bind, `false` for a tmpfs.
    exec: bool,
    /// What happens where it is absent; default: `error`. An entry that is left out leaves the
    /// inherited one in its place. `create` makes the last name of the path alone, as the caller,
    /// who must be able to write in the directory above it.
    missing: Missing,
    /// What happens where a writable bind is as wide as a home, a system directory or `/`; default:
    /// `false`, the run stops. With `"skip"` it is left out, and an inherited entry for the path
    /// stays in its place.
    broad: Broad,
    /// Whether sockets may be below it, for a read-only mount does not stop connect(2); `"hide"`
    /// covers those that are found at the start; default: `false`, the run stops where some are
    /// found.
    sockets: Sockets,
    /// Lets a writable bind be the host root's when root started the sandbox.
    owner: Owner,
    /// How many files and directories a tmpfs has room for; default: 65536.
    inodes: u64,
    /// The mode of its top; default: 0755 for a tmpfs (1777 for /tmp, /var/tmp and /dev/shm), 0644
    /// for a file, 0400 for one of `fd` or `env`.
    mode: Mode,
}

/// The kinds that a further key goes with.
fn goes_with(option: &str) -> Need {
    Need::With(
        KINDS.iter().filter(|kind| kind.takes.contains(&option)).map(|kind| kind.word).collect(),
    )
}

impl Options {
    fn apply(self, kind: &str, mount: Mount) -> Result<Mount, String> {
        let taken =
            KINDS.iter().find(|known| known.word == kind).map_or(&[][..], |known| known.takes);
        if let Some(stray) = self.seen.iter().find(|option| !taken.contains(option)) {
            let help = if taken.is_empty() {
                "it takes no further keys".into()
            } else {
                format!("it takes {}", taken.join(", "))
            };
            return Err(format!("`{stray}` does not go with `{kind}`\nhelp: {help}"));
        }
        Ok(match mount {
            Mount::Bind(bind) => Mount::Bind(Bind {
                access: self.access.unwrap_or(bind.access),
                recursive: self.recursive.unwrap_or(bind.recursive),
                exec: self.exec.unwrap_or(bind.exec),
                missing: self.missing.unwrap_or(bind.missing),
                broad: self.broad.unwrap_or(bind.broad),
                sockets: self.sockets.unwrap_or(bind.sockets),
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
            Mount::Hide { known, .. } => {
                Mount::Hide { missing: self.missing.unwrap_or(Missing::Error), known }
            }
            other => other,
        })
    }
}
