//! The further keys of an entry: what each says, and how it is read. Which kinds take which stands
//! with the kinds.

use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::shape::{Need, Shape, Shaped, Table};
use crate::language::spelled::Toml;
use crate::language::value::{Mode, Spelled, Written, bounded, words};
use crate::text::problem::suggestion;
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
pub(super) fn one_word(node: &Node<'_>, word: &str, or: &str) -> Result<(), Wrongs> {
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

/// The one owner of a writable bind that needs a word.
pub(crate) struct Owner;

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

bounded! {
    /// How many files and directories: to the kernel 0 is no limit at all (tmpfs(5)).
    Inodes(u64) = 1..=i64::MAX, "a number from 1 on"
}

/// Keys of the language that are not built yet.
pub(crate) const LATER: &[&str] = &["layers", "image", "cgroup", "upper"];

/// The further keys: their fields, their parser and their shapes.
macro_rules! further {
    ($( $(#[doc = $doc:literal])+ $field:ident: $type:ty, )+) => {
        /// What the further keys of an entry say.
        #[derive(Default)]
        pub(crate) struct Further {
            $( pub(crate) $field: Option<$type>, )+
            /// The keys that are there.
            pub(crate) seen: Vec<&'static str>,
        }

        impl Further {
            /// Reads the value of a key, or says why there is none of that name; `kinds` are the
            /// other keys that an entry may have.
            pub(crate) fn read(
                &mut self,
                key: &str,
                node: &Node<'_>,
                kinds: impl Iterator<Item = &'static str>,
            ) -> Result<Result<(), Wrongs>, Why> {
                $( if key == stringify!($field) {
                    self.seen.push(stringify!($field));
                    return Ok(Read::read(node).map(|value| self.$field = Some(value)));
                } )+
                if LATER.contains(&key) {
                    return Err(Why::not(key, "` of a mount is not built yet").not_yet());
                }
                let known = [$(stringify!($field)),+].into_iter().chain(kinds);
                let help = suggestion(key, known)
                    .unwrap_or_else(|| "the reference lists what each kind takes".into());
                Err(Why::unknown_key(key, "` of a mount").help(help))
            }

            /// Adds each key; `goes_with` says which kinds take it.
            pub(crate) fn add_to(table: &mut Table, goes_with: fn(&str) -> Need) {
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

further! {
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
    inodes: Inodes,
    /// The mode of its top; default: 0755 for a tmpfs (1777 for /tmp, /var/tmp and /dev/shm), 0644
    /// for a file, 0400 for one of `fd` or `env`.
    mode: Mode,
}
