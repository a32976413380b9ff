//! The further keys of an entry: what each says, and how it is read. Which kinds take which is
//! with the kinds.

use super::super::names::PLACE;
use super::super::pattern;
use super::{elsewhere, said};
use crate::language::fill::Fill;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::shape::{Need, Shape, Shaped, Table};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{
    AbsolutePath, Mode, Room, Spelled, Written, bounded, only_true, quoted, words,
};
use crate::text::problem::suggestion;
use crate::text::source::At;
use toml::de::{DeTable, DeValue};

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
        /// The directory is made, with all above it that are absent; by root as the owner of the one above.
        Create = "create",
    }
}

/// A boolean with one word beside it. If `false` would have no meaning, it is no value.
macro_rules! or_word {
    ($(#[$doc:meta])* $name:ident {
        $( $(#[$truth_doc:meta])+ $truth:ident = $boolean:literal, )+
    } or {
        $(#[doc = $word_doc:literal])+ $other:ident = $word:literal,
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$truth_doc])+ $truth, )+
            $(#[doc = $word_doc])+ $other,
        }

        impl $name {
            /// What is written, and what it means.
            const VALUES: &'static [(bool, $name)] =
                &[$( ($boolean, $name::$truth) ),+];
        }

        impl $crate::language::shape::Shaped for $name {
            fn shape() -> $crate::language::shape::Shape {
                $crate::policy::mounts::kinds::further::shape_of(
                    $name::VALUES.len(),
                    $word,
                    concat!($($word_doc, "\n"),+),
                )
            }
        }

        impl $crate::language::read::Read for $name {
            fn read(
                node: &$crate::language::read::Node<'_>,
            ) -> Result<$name, $crate::language::read::Wrongs> {
                $crate::policy::mounts::kinds::further::one_of(
                    node,
                    $name::VALUES,
                    ($word, $name::$other),
                )
            }

            fn spell(&self) -> $crate::language::spelled::Toml {
                match $name::VALUES.iter().find(|(_, value)| value == self) {
                    Some((truth, _)) => $crate::language::spelled::Toml::bare(truth),
                    None => $crate::language::spelled::Toml::word($word),
                }
            }
        }
    };
}
pub(super) use or_word;

/// The shape of a key with so many truth values, and this word.
pub(super) fn shape_of(truths: usize, word: &'static str, doc: &'static str) -> Shape {
    let truth = if truths == 1 { Shape::True } else { bool::shape() };
    Shape::Either(vec![truth, Shape::words(&[word], &[doc])])
}

/// One of the truth values that a key takes, or its word.
pub(super) fn one_of<T: Copy>(
    node: &Node<'_>,
    truths: &[(bool, T)],
    (word, other): (&str, T),
) -> Result<T, Wrongs> {
    let or = if truths.len() == 1 { "true or" } else { "true, false or" };
    match node.get_ref() {
        DeValue::Boolean(truth) => {
            let found = truths.iter().find(|(known, _)| known == truth);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| only_true(&format!(" or \"{word}\"")).at(node))
        }
        DeValue::String(text) if text == word => Ok(other),
        DeValue::String(text) => Err(Why::of("unknown word `", text.as_ref(), "`")
            .help(format!("write {or} \"{word}\""))
            .at(node)),
        _ => Err(mismatch(node, &format!("{or} \"{word}\""))),
    }
}

or_word! {
    /// What happens where a writable bind is too wide.
    Broad {
        /// The run stops.
        Refuse = false,
        /// It is granted.
        Allow = true,
    } or {
        /// A grant that is too wide is left out, and that is reported.
        Skip = "skip",
    }
}

or_word! {
    /// What happens to sockets below a bind.
    Sockets {
        /// The run stops where there are some.
        Refuse = false,
        /// They are granted.
        Allow = true,
    } or {
        /// Each socket that is found at the start is covered by an empty file.
        Hide = "hide",
    }
}

/// Whether the links that a source leads through are followed, and to where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Follow {
    /// The last name of a source is no link.
    #[default]
    No,
    /// They are followed. An entry that still has this value after the machine was read leads where
    /// no link may.
    Yes,
    /// They are followed, and lead here.
    To(String),
}

impl Follow {
    /// Takes the word of a profile.
    pub(crate) fn set(&mut self, said: Option<bool>) {
        match said {
            Some(true) => *self = Follow::Yes,
            Some(false) => *self = Follow::No,
            None => {}
        }
    }

    /// The source that counts.
    pub fn source<'a>(&'a self, written: &'a str) -> &'a str {
        match self {
            Follow::To(end) => end,
            Follow::No | Follow::Yes => written,
        }
    }
}

/// Paths below the fixed beginning of a pattern: a pattern as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beneath(pub String);

impl Written for Beneath {
    const WHAT: &'static str = "a relative path or pattern";
    fn from_text(text: &str) -> Result<Beneath, Why> {
        pattern::check_beneath(text).map(|()| Beneath(text.to_owned()))
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn looks() -> Shape {
        Shape::form(Beneath::WHAT, "^[^/]")
    }
}

/// How many of them an entry may have: each name of a walk is compared with each.
const MOST_EXCEPTIONS: usize = 32;

/// What an entry says of them.
pub(super) fn exceptions(further: &Further) -> Result<Vec<Beneath>, Why> {
    let except = further.except.clone().unwrap_or_default();
    match except.len() > MOST_EXCEPTIONS {
        true => Err(Why::new(format!("`except` has at most {MOST_EXCEPTIONS} patterns"))),
        false => Ok(except),
    }
}

/// The one owner of a writable bind that needs a word.
#[derive(Debug, Clone, Copy)]
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

/// Where what the target writes on top of layers goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// To memory: it is gone at the end.
    Discard,
    /// Into a directory that is made in this one, and removed at the end.
    DiscardIn(AbsolutePath),
    /// Into this directory, which is stockade's own, and kept.
    Kept(AbsolutePath),
}

impl Upper {
    /// How variables are put into one.
    pub(crate) const FILL: Fill = Fill { keys: &[("discard", PLACE)], ..PLACE };

    /// The directory of the host that the profile names.
    pub(crate) fn directory(&self) -> Option<&str> {
        match self {
            Upper::Discard => None,
            Upper::DiscardIn(directory) | Upper::Kept(directory) => Some(directory),
        }
    }
}

words! {
    /// An upper by a word.
    UpperWord {
        /// To memory: it is gone at the end.
        Discard = "discard",
    }
}

table! {
    /// An upper on disk that is thrown away.
    struct UpperTable {
        /// The directory of the host in which one is made for the run; it is removed at the end.
        discard: AbsolutePath,
    }
}

impl Shaped for Upper {
    fn shape() -> Shape {
        Shape::either(&[UpperWord::shape, AbsolutePath::shape, UpperTable::shape])
    }
}

impl Read for Upper {
    const FILL: Fill = Upper::FILL;

    fn read(node: &Node<'_>) -> Result<Upper, Wrongs> {
        match node.get_ref() {
            DeValue::Table(table) => {
                if let Some(wrongs) = kept_by_a_table(table) {
                    return Err(wrongs);
                }
                UpperTable::read(node).map(|UpperTable { discard }| Upper::DiscardIn(discard))
            }
            DeValue::String(text) if text == "discard" => Ok(Upper::Discard),
            DeValue::String(text) if text.contains('/') => {
                AbsolutePath::read(node).map(Upper::Kept)
            }
            DeValue::String(text) => {
                let near = suggestion(&text.to_ascii_lowercase(), UpperWord::WORDS.iter().copied());
                let why = Why::not(text.as_ref(), "` is no upper");
                Err(match near {
                    Some(near) => why.help(near),
                    None => why
                        .help(
                            "write upper = \"discard\": what the target writes is thrown away; or \
                             let it be kept in a directory: \"${CWD}/",
                        )
                        .and_toml(text, "\""),
                }
                .at(node))
            }
            _ => Err(mismatch(node, "\"discard\", an absolute path, or { discard = .. }")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Upper::Discard => UpperWord::Discard.spell(),
            Upper::DiscardIn(directory) => said([("discard", Some(directory.spell()))]),
            Upper::Kept(directory) => directory.spell(),
        }
    }
}

/// A directory that keeps what is written, in a table: it needs none.
fn kept_by_a_table(table: &DeTable<'_>) -> Option<Wrongs> {
    const KEYS: &[&str] = &["dir", "directory", "path", "state", "keep", "kept", "disk", "bind"];
    let mut keys = table.iter();
    let (key, value) = keys.next().filter(|(key, _)| KEYS.contains(&key.get_ref().as_ref()))?;
    let DeValue::String(path) = value.get_ref() else { return None };
    if keys.next().is_some() {
        return None;
    }
    let path = match path.starts_with('/') {
        true => path.to_string(),
        false => format!("${{CWD}}/{}", path.trim_start_matches("./")),
    };
    let help = format!("a path alone keeps it: upper = {}", quoted(&path));
    let unknown = Why::unknown_key(key.get_ref(), "`").help_of_value(help);
    Some(unknown.at_place(key.span().into()))
}

words! {
    /// What shows layers as one tree.
    Driver {
        /// overlayfs, where the kernel has it and takes these layers; else a copy of them.
        Auto = "auto",
        /// overlayfs of the kernel.
        Overlay = "overlay",
        /// A copy that is made before the start: 256 MB and 65536 files of it at most.
        Copy = "copy",
        /// The program fuse-overlayfs, a process beside the sandbox, with all as the target's own.
        Fuse = "fuse-overlayfs",
    }
}

bounded! {
    /// How many files and directories: to the kernel 0 is no limit at all (tmpfs(5)).
    Inodes(u64) = 1..=i64::MAX, "a number from 1 on"
}

/// Keys of the language that are not built yet.
pub(crate) const LATER: &[&str] = &["image", "cgroup"];

/// The key of a field.
macro_rules! key_of {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// The further keys: their fields, their parser and their shapes.
macro_rules! further {
    ($( $(#[doc = $doc:literal])+ $field:ident $(as $key:literal)?: $type:ty, )+) => {
        /// What the further keys of an entry say.
        #[derive(Debug, Clone, Default)]
        pub struct Further {
            $( pub(crate) $field: Option<$type>, )+
            /// The keys that are there.
            pub(crate) seen: Vec<At<&'static str>>,
        }

        impl Further {
            /// The names of the further keys.
            pub(crate) const NAMES: &[&str] = &[$( key_of!($field $($key)?) ),+];

            /// Reads the value of a key, or says why there is none of that name; `kinds` are the
            /// other keys that an entry may have.
            pub(crate) fn read(
                &mut self,
                At { value: key, at }: At<&str>,
                node: &Node<'_>,
                kinds: impl Iterator<Item = &'static str>,
            ) -> Result<Result<(), Wrongs>, Why> {
                $( if key == key_of!($field $($key)?) {
                    self.seen.push(At::new(key_of!($field $($key)?), at));
                    return Ok(Read::read(node).map(|value| self.$field = Some(value)));
                } )+
                if LATER.contains(&key) {
                    return Err(Why::not(key, "` of a mount is not built yet").not_yet());
                }
                let known = Further::NAMES.iter().copied().chain(kinds);
                let unknown = Why::unknown_key(key, "` of a mount");
                if let Some(help) = elsewhere::meant(key, node) {
                    return Err(unknown.help_of_value(help));
                }
                let help = suggestion(key, known)
                    .unwrap_or_else(|| "the reference lists what each kind takes".into());
                Err(unknown.help(help))
            }

            /// The keys that are set, as a table has them.
            pub(crate) fn spell(&self) -> Toml {
                let said = [$( self.$field.as_ref().map(|value| {
                    (key_of!($field $($key)?).to_owned(), value.spell())
                }) ),+];
                Toml::Table(said.into_iter().flatten().collect())
            }

            /// Adds each key; `goes_with` says which kinds take it.
            pub(crate) fn add_to(table: &mut Table, goes_with: fn(&str) -> Need) {
                $( table.add(
                    key_of!($field $($key)?),
                    concat!($($doc, "\n"),+),
                    <$type as Shaped>::shape,
                    goes_with(key_of!($field $($key)?)),
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
    /// covers those that are found at the start; default: `false`, the run stops if there are any.
    sockets: Sockets,
    /// Lets a writable bind, or layers, be the host root's when root started the sandbox.
    owner: Owner,
    /// Where goes what the target writes on top of layers; without it they are read-only. A path is a
    /// directory that keeps it: it is made at its first use, and one sandbox at a time has it.
    upper: Upper,
    /// Directories in the tree, with all below them, that the target may change though another user
    /// owns them: each is made in the upper beforehand, and names in it can be made, replaced and
    /// removed. 65536 of them at most.
    copy_up as "copy-up": Vec<AbsolutePath>,
    /// What shows the layers as one tree; default: `auto`. Of a copy nothing can be kept, and no
    /// changes can be listed; nor of what fuse-overlayfs shows.
    driver: Driver,
    /// How much memory an upper may take; default: 64M. That of a tmpfs is the value of `tmpfs`.
    size: Room,
    /// How many files and directories a tmpfs, or an upper in memory, has room for; default: 65536.
    inodes: Inodes,
    /// The mode of its top; default: 0755 for a tmpfs (1777 for /tmp, /var/tmp and /dev/shm), 0644
    /// for a file, 0400 for one of `fd` or `env`, the mode on the host for one of `file`.
    mode: Mode,
    /// Whether the host's symbolic links are followed, at the path outside and on the way to it;
    /// default: `false`, the last name is no link. Each link must be root's or the caller's, and lie
    /// where the target cannot write.
    follow: bool,
    /// Of a pattern: the subtrees that are not looked at, relative to the directories before its
    /// first star, such as `["**/node_modules"]`. The pattern neither hides nor grants anything in
    /// them. A star matches a leading dot, too; variables are not taken.
    except: Vec<Beneath>,
}
