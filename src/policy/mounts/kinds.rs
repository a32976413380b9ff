//! How an entry of `[mounts]` is written: its kind is a word, or the key of its table. The tables
//! here are read by the parser, by suggestions, by the schema and by the reference; nothing else
//! says what an entry may say.

use super::entry::{Access, Bind, Broad, Content, Hidden, Missing, Mount, Sockets, TMPFS, Tmpfs};
use super::names;
use super::pattern::{self, shown};
use crate::kernel::proc::HidePid;
use crate::language::fill::{Fill, Names};
use crate::language::read::{Node, Read, Why, Wrongs, entries, mismatch, place_of};
use crate::language::section::EntryType;
use crate::language::shape::{Named, Need, Shape, Shaped, Table, Word};
use crate::language::spelled::{Toml, without_variables};
use crate::language::table::table;
use crate::language::value::{
    AbsolutePath, Mode, OnlyTrue, PATH_FORM, Size, Spelled, Written, words,
};
use crate::text::problem::suggestion;
use toml::de::DeValue;

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
    ($( $(#[doc = $doc:literal])+ $word:literal: $type:ty $(= $fill:expr)? => $make:expr, [$($takes:literal),*]; )+) => {
        /// Every kind.
        pub const KINDS: &[Made] = &[$( Made {
            word: $word,
            doc: concat!($($doc, "\n"),+),
            shape: <$type as Shaped>::shape,
            takes: &[$($takes),*],
        } ),+];

        /// How variables are put into the value of each.
        const FILLS: &[(&str, Fill)] = &[$( ($word, {
            let fill = names::ONE_LINE;
            $( let fill = { let _ = fill; $fill }; )?
            fill
        }) ),+];

        /// The value of the key that gives the kind.
        fn read_kind(word: &str, node: &Node<'_>) -> Option<Result<Mount, Wrongs>> {
            $( if word == $word {
                let make: fn($type) -> Mount = $make;
                return Some(<$type as Read>::read(node).map(make));
            } )+
            None
        }
    };
}

kinds! {
    /// A part of the host's tree: what is at this path there, read-only where `access` says nothing
    /// else.
    "bind": AbsolutePath = Fill { place: true, pattern: true, ..names::ONE_LINE } => |source| Mount::Bind(Bind::new(Some(source), Access::ReadOnly)),
        ["access", "recursive", "exec", "missing", "broad", "sockets", "owner"];
    /// An empty file system in memory, of this size.
    "tmpfs": Size => |size| Mount::Tmpfs(Tmpfs { size, ..TMPFS }), ["inodes", "mode", "exec"];
    /// The processes of the sandbox (proc(5)).
    "proc": ProcOptions => |proc| Mount::Proc { hidepid: proc.hidepid.unwrap_or(HidePid::Off), only_processes: proc.subset.is_some() }, [];
    /// The minimal /dev, with these nodes of the host's beside.
    "dev": Vec<AbsolutePath> => |extra| Mount::Dev { extra }, [];
    /// A device node of the host, or a directory of them.
    "device": AbsolutePath = names::PLACE => |source| Mount::Device { source: Some(source) }, [];
    /// A socket of the host that the target may connect to.
    "socket": AbsolutePath = names::PLACE => Mount::Socket, [];
    /// Devices and kernel objects (sysfs(5)), read-only.
    "sysfs": OnlyTrue => |OnlyTrue| Mount::Sysfs, [];
    /// POSIX message queues (mq_overview(7)).
    "mqueue": OnlyTrue => |OnlyTrue| Mount::Mqueue, [];
    /// An empty directory of the sandbox's own, of this mode.
    "dir": Mode => |mode| Mount::Dir { mode: Some(mode) }, [];
    /// A symbolic link with this text.
    "symlink": String = Fill { text: true, ..names::ONE_LINE } => Mount::Symlink, [];
    /// A file of the sandbox's own with this text.
    "text": String = Fill::TEXT => |text| Mount::File { content: Content::Text(text), mode: None }, ["mode"];
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

/// The one owner of a writable bind that needs a word.
struct Owner;

impl Written for Owner {
    const WHAT: &'static str = "the word \"root\"";
    fn from_text(text: &str) -> Result<Owner, Why> {
        let why = || {
            Why::new("the one owner that needs a word is \"root\"")
                .help("other owners are mapped as they are; leave `owner` out")
        };
        if text == "root" { Ok(Owner) } else { Err(why()) }
    }
    fn write(&self) -> Spelled {
        Spelled::Text("root".into())
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
fn is_word(word: &str) -> bool {
    words().any(|known| known == word)
}

fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.word)
}

impl Shaped for Mount {
    fn shape() -> Shape {
        let words = WORDS.iter().map(|(word, doc, _)| Word { word: (*word).into(), doc }).collect();
        let mut table =
            Table::new("One of the keys that say what it is, and further keys that go with it.");
        KINDS.iter().for_each(|kind| table.add(kind.word, kind.doc, kind.shape, Need::Kind));
        Options::add_to(&mut table);
        Shape::Either(vec![Shape::Words(words), Shape::Table(table)])
    }
}

impl EntryType for Mount {
    const NAMES: Option<&'static dyn Names> = Some(&names::Paths { is_word });

    fn entries() -> Shape {
        let value = Shape::within(Shape::Entry, Mount::shape);
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

    /// Variables are put into keys, and stars stand for names.
    fn spell_name(name: &str) -> String {
        without_variables(&pattern::spell(name))
    }
}

impl Read for Mount {
    const FILL: Fill = Fill { keys: FILLS, other: Some(&names::ONE_LINE), ..names::ONE_LINE };

    fn read(node: &Node<'_>) -> Result<Mount, Wrongs> {
        match node.get_ref() {
            DeValue::String(word) => of_word(word).map_err(|why| why.at(node)),
            DeValue::Table(_) => of_table(node),
            _ => {
                let words: Vec<&str> = words().collect();
                Err(mismatch(node, &format!("a word ({}) or a table", words.join(", "))))
            }
        }
    }

    fn spell(&self) -> Toml {
        super::spelled::value(self)
    }
}

fn of_word(word: &str) -> Result<Mount, Why> {
    if let Some((.., make)) = WORDS.iter().find(|(known, ..)| *known == word) {
        return Ok(make());
    }
    if LATER.contains(&word) {
        return Err(Why::of("mounts of kind `", word, "` are not built yet").not_yet());
    }
    let same = match word.to_ascii_lowercase().as_str() {
        "readonly" | "read-only" | "read_only" | "r" => Some("ro"),
        "readwrite" | "read-write" | "read_write" | "writable" | "w" => Some("rw"),
        "hidden" | "mask" | "none" | "deny" => Some("hide"),
        "devtmpfs" => Some("dev"),
        "procfs" => Some("proc"),
        lower => words().find(|known| *known == lower),
    };
    let near =
        same.map(|same| format!("did you mean `{same}`?")).or_else(|| suggestion(word, words()));
    let unknown = Why::of("unknown kind of mount `", word, "`");
    Err(match near {
        Some(near) => unknown.help(near),
        None if word.starts_with('/') => {
            unknown.help("to bind it here, write { bind = \"").and_toml(word, "\" }")
        }
        None => unknown.help(format!("the words are {}", words().collect::<Vec<_>>().join(", "))),
    })
}

fn of_table(node: &Node<'_>) -> Result<Mount, Wrongs> {
    let (mut wrongs, mut options) = (Wrongs::none(), Options::default());
    let mut named: Vec<&str> = vec![];
    let mut kind: Option<Mount> = None;
    for (key, value) in entries(node, "a table")? {
        if wrongs.is_full() {
            break;
        }
        let known = kinds().find(|name| *name == key.get_ref());
        match known.and_then(|name| Some((name, read_kind(name, value)?))) {
            Some((name, mount)) => {
                named.push(name);
                kind = wrongs.take(mount);
            }
            None => {
                let read = options.read(key.get_ref(), value);
                wrongs.take(read.unwrap_or_else(|why| Err(why.at_place(key.span().into()))));
            }
        }
    }
    match (named.as_slice(), kind) {
        ([name], Some(mount)) if wrongs.len() == 0 => options.apply(name, mount, node),
        ([], _) if wrongs.len() == 0 => {
            let kinds: Vec<&str> = kinds().collect();
            let help = format!("give it one of the keys {}", kinds.join(", "));
            Err(Why::new("this entry does not say what it is").help(help).at(node))
        }
        ([other, name, ..], _) if wrongs.len() == 0 => {
            Err(Why::new(format!("a mount is one thing: `{other}` or `{name}`")).at(node))
        }
        _ => Err(wrongs),
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

            /// Reads the value of a key, or says why there is none of that name.
            fn read(&mut self, key: &str, node: &Node<'_>) -> Result<Result<(), Wrongs>, Why> {
                $( if key == stringify!($field) {
                    self.seen.push(stringify!($field));
                    return Ok(Read::read(node).map(|value| self.$field = Some(value)));
                } )+
                if LATER.contains(&key) {
                    return Err(Why::not(key, "` of a mount is not built yet").not_yet());
                }
                let known = Self::NAMES.iter().copied().chain(kinds());
                let help = suggestion(key, known).unwrap_or_else(|| "the reference lists what each kind takes".into());
                Err(Why::unknown_key(key, "` of a mount").help(help))
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
    fn apply(self, kind: &str, mount: Mount, node: &Node<'_>) -> Result<Mount, Wrongs> {
        let taken =
            KINDS.iter().find(|known| known.word == kind).map_or(&[][..], |known| known.takes);
        if let Some(stray) = self.seen.iter().find(|option| !taken.contains(option)) {
            let help = if taken.is_empty() {
                "it takes no further keys".to_owned()
            } else {
                format!("it takes {}", taken.join(", "))
            };
            return Err(Why::new(format!("`{stray}` does not go with `{kind}`"))
                .help(help)
                .at_place(place_of(node, stray)));
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
                return Err(Why::new("`hide` cannot make what it hides")
                    .help("missing = \"skip\"")
                    .at_place(place_of(node, kind)));
            }
            Mount::Hide { known, .. } => {
                Mount::Hide { missing: self.missing.unwrap_or(Missing::Error), known }
            }
            other => other,
        })
    }
}
