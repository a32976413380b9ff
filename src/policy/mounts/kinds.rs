//! The kinds of mounts: the table of them, and what each says of itself. A kind is one file, which
//! says how an entry is written, what then is at its path, what must be known of the host for
//! it, and what is made. Nothing else lists the kinds: the parser, suggestions, the schema, the
//! reference and the draft read the table.

mod bind;
mod dev;
mod device;
mod dir;
mod elsewhere;
mod file;
mod further;
mod hide;
mod layers;
mod mqueue;
mod proc;
mod socket;
mod state;
mod symlink;
mod sysfs;
mod tmpfs;

pub(crate) use bind::Bind;
pub(crate) use dev::{Dev, LINKS, NODE_PATHS, NODES};
pub(crate) use device::Device;
pub(crate) use dir::Dir;
pub(crate) use file::{Content, File};
pub use further::{Access, Sockets};
pub(crate) use further::{Beneath, Broad, Driver, Follow, Further, LATER, Missing, Upper};
pub(crate) use hide::{Hidden, Hide};
pub(crate) use layers::{Layers, MOST};
pub(crate) use mqueue::Mqueue;
#[cfg(not(face_alone))]
pub use proc::PROC_KEYS;
pub(crate) use proc::Proc;
pub(crate) use socket::Socket;
pub(crate) use state::State;
pub(crate) use symlink::Symlink;
pub(crate) use sysfs::Sysfs;
pub(crate) use tmpfs::Tmpfs;

use super::names;
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::fill::Fill;
use crate::language::read::{Node, Why, Wrongs};
use crate::language::shape::Shape;
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, Mode};
use crate::step::file_system::Facts;
use crate::step::{Cover, FileSystem, Kernel};
use crate::tree::Ground;

/// What a kind says of its entries.
pub(crate) trait Kind {
    /// Takes what the further keys say.
    ///
    /// # Errors
    ///
    /// A key that does not go with this kind; the problem is at the kind's own key.
    fn take(&mut self, _: &Further) -> Result<(), Why> {
        Ok(())
    }

    /// An entry as a profile writes it: read again, it is the same.
    fn spell(&self) -> Toml;

    /// The same for one that is moved to another path.
    fn spell_at(&self, _path: &str) -> Toml {
        self.spell()
    }

    /// What is at its path.
    fn ground(&self, path: &str) -> Ground;

    /// Further paths of the host that must be looked at.
    fn asks(&self, _path: &str) -> Vec<String> {
        vec![]
    }

    /// The host's path whose links are followed to its source.
    fn follows<'a>(&'a self, _path: &'a str) -> Option<&'a str> {
        None
    }

    /// Takes the place that they lead to as the source.
    fn lead(&mut self, _end: String) {}

    /// The same entry of this place on the host, where no link is followed.
    fn of_place(&self, _place: &str) -> Option<Mount> {
        None
    }

    /// Where it does not look, as a pattern.
    fn except(&self) -> &[Beneath] {
        &[]
    }

    /// Whether it is left out where its source is absent.
    fn may_be_missing(&self) -> bool {
        false
    }

    /// The same entry, left out where its source is absent.
    fn skipped(&self) -> Option<Mount> {
        None
    }

    /// What is made for it.
    fn makes<'a>(&'a self, path: &'a str) -> Makes<'a>;

    /// The key that a table of it has.
    fn form(&self) -> &'static str;

    /// What it is, for a sentence that refuses it.
    fn what(&self) -> &'static str;
}

/// What is made for an entry: the draft makes steps of it, and Landlock alone rules.
pub(crate) enum Makes<'a> {
    /// A file system of the kernel's is mounted.
    FileSystem(New),
    /// A part of the host's tree is bound.
    Bind(&'a Bind),
    /// Directories of the host are merged.
    Layers(&'a Layers),
    /// The minimal /dev, with these nodes beside.
    Devices(&'a [AbsolutePath]),
    /// This node of the host, or the nodes in this directory.
    Device(&'a str),
    /// This socket of the host.
    Socket(&'a str),
    Directory(Mode),
    Link(&'a str),
    File(&'a File),
    Cover(&'a Hide),
}

impl<'a> Makes<'a> {
    /// What it grants of the host's trees, where the entry is at `path`. A new kind must be added
    /// here: the code that refuses, keeps, covers and reports such grants reads this alone.
    fn grant(&self, path: &'a str) -> Option<Grant<'a>> {
        match self {
            Makes::Bind(bind) => {
                let source = bind.source_at(path);
                let written = match bind.access {
                    Access::ReadOnly => None,
                    Access::ReadWrite => Some(source),
                };
                Some(Grant { topmost: source, lower: vec![], written, words: bind, merged: false })
            }
            Makes::Layers(layers) => layers.grant(path),
            Makes::FileSystem(New { fs, .. }) => match fs {
                FileSystem::Tmpfs { .. } | FileSystem::Kernel(_) => None,
            },
            // One node and one socket, and no tree.
            Makes::Devices(_) | Makes::Device(_) | Makes::Socket(_) => None,
            Makes::Directory(_) | Makes::Link(_) | Makes::Cover(_) => None,
            // A copy, and no tree.
            Makes::File(_) => None,
        }
    }

    /// The host's path that it grants, where the entry is at `path`.
    pub(super) fn source(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Makes::Bind(bind) => Some(bind.source_at(path)),
            // Each is checked by itself.
            Makes::Layers(_) => None,
            Makes::Device(source) | Makes::Socket(source) => Some(source),
            Makes::FileSystem(_)
            | Makes::Devices(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::Cover(_) => None,
            Makes::File(file) => file.source(),
        }
    }
}

/// What an entry grants of the host's trees.
pub(crate) struct Grant<'a> {
    /// The host's path of the source in which a name is looked up first.
    pub topmost: &'a str,
    /// Those below it, the next one first.
    pub lower: Vec<&'a str>,
    /// The source to which what the target writes there goes.
    pub written: Option<&'a str>,
    /// How it grants them, in the words of a bind; what it implies is a bind with these words.
    pub words: &'a Bind,
    /// Whether overlayfs shows them: no socket of the host's can be connected to there.
    pub merged: bool,
}

impl<'a> Grant<'a> {
    /// The host's paths, in the order in which a name is looked up.
    pub(crate) fn sources(self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.topmost).chain(self.lower)
    }
}

/// A file system of the kernel's that is mounted anew.
pub(crate) struct New {
    pub(super) fs: FileSystem,
    /// How it may be used.
    pub(super) attrs: Attrs,
    /// What Landlock allows below it.
    pub(super) rights: Rights,
    /// What of it is kept from the target.
    pub(super) parts: &'static [Part],
}

impl New {
    /// One whose use is its own matter.
    fn of(kernel: Kernel, parts: &'static [Part]) -> New {
        let Facts { attrs, rights, .. } = kernel.facts();
        New { fs: FileSystem::Kernel(kernel), attrs, rights, parts }
    }
}

/// A name in a file system of the kernel's that the target may not write, or not see.
pub(crate) struct Part {
    pub(super) name: &'static str,
    /// What covers it; none: it is made read-only.
    pub(super) cover: Option<Cover>,
    /// Whether the kernel keeps it from everybody but the host's root anyway.
    pub(super) of_root: bool,
}

impl Part {
    const fn read_only(name: &'static str) -> Part {
        Part { name, cover: None, of_root: false }
    }

    const fn covered(name: &'static str, cover: Cover) -> Part {
        Part { name, cover: Some(cover), of_root: false }
    }

    const fn of_root(self) -> Part {
        Part { of_root: true, ..self }
    }
}

/// A way to write an entry as a table: the key that gives the kind, what that takes, and the
/// further keys that go with it.
#[derive(Clone, Copy)]
pub struct Form {
    /// The key.
    pub word: &'static str,
    /// The further keys.
    pub takes: &'static [&'static str],
    pub(super) doc: &'static str,
    pub(super) shape: fn() -> Shape,
    /// How variables are put into its value.
    fill: Fill,
    pub(super) read: fn(&Node<'_>) -> Result<Mount, Wrongs>,
}

/// A [`Form`]: the key with what the reference says of it, the type of its value, what the value
/// makes, and the further keys.
macro_rules! form {
    ($(#[doc = $doc:literal])+ $word:literal: $type:ty $(= $fill:expr)? => $make:expr, [$($takes:literal),*]) => {
        Form {
            word: $word,
            takes: &[$($takes),*],
            doc: concat!($($doc, "\n"),+),
            shape: <$type as $crate::language::shape::Shaped>::shape,
            fill: {
                let fill = $crate::policy::mounts::names::ONE_LINE;
                $( let fill = { let _ = fill; $fill }; )?
                fill
            },
            read: |node| {
                let make: fn($type) -> Mount = $make;
                <$type as $crate::language::read::Read>::read(node).map(make)
            },
        }
    };
}
use form;

/// A word that stands for a whole entry.
pub(crate) struct Word {
    pub(super) word: &'static str,
    pub(super) doc: &'static str,
    /// Other words that users write for it.
    pub(super) meant: &'static [&'static str],
    pub(super) make: fn() -> Mount,
}

/// The table of kinds.
macro_rules! kinds {
    ($( $module:ident: $kind:ident, )+) => {
        /// One entry of `[mounts]`.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Mount {
            $( $kind($module::$kind), )+
        }

        impl Mount {
            /// What its kind says of it.
            pub(crate) fn kind(&self) -> &dyn Kind {
                match self { $( Mount::$kind(kind) => kind, )+ }
            }

            /// The key that gives its kind, or the first of those.
            pub(crate) fn word(&self) -> &'static str {
                match self { $( Mount::$kind(_) => $module::FORMS[0].word, )+ }
            }

            pub(super) fn kind_mut(&mut self) -> &mut dyn Kind {
                match self { $( Mount::$kind(kind) => kind, )+ }
            }
        }

        const FORMS_OF: &[&[Form]] = &[$( $module::FORMS ),+];

        /// The words of each kind.
        pub(super) const WORDS: &[&[Word]] = &[$( $module::WORDS ),+];
    };
}

kinds! {
    bind: Bind,
    layers: Layers,
    state: State,
    tmpfs: Tmpfs,
    proc: Proc,
    dev: Dev,
    device: Device,
    socket: Socket,
    sysfs: Sysfs,
    mqueue: Mqueue,
    dir: Dir,
    symlink: Symlink,
    file: File,
    hide: Hide,
}

impl Mount {
    /// What the host has at the same path: the words `ro` and `rw`.
    pub fn here(access: Access) -> Mount {
        Mount::Bind(Bind::new(None, access))
    }

    /// What it grants of the host's trees, at this path.
    pub(crate) fn grant<'a>(&'a self, path: &'a str) -> Option<Grant<'a>> {
        self.kind().makes(path).grant(path)
    }
}

const HOW_MANY: usize = {
    let (mut kind, mut forms) = (0, 0);
    while kind < FORMS_OF.len() {
        forms += FORMS_OF[kind].len();
        kind += 1;
    }
    forms
};

/// Every key that gives a kind.
pub const KINDS: &[Form] = &{
    let mut forms = [bind::FORMS[0]; HOW_MANY];
    let (mut kind, mut at, mut next) = (0, 0, 0);
    while kind < FORMS_OF.len() {
        if at == FORMS_OF[kind].len() {
            (kind, at) = (kind + 1, 0);
            continue;
        }
        forms[next] = FORMS_OF[kind][at];
        (at, next) = (at + 1, next + 1);
    }
    forms
};

/// How variables are put into the value of each.
pub(super) const FILLS: &[(&str, Fill)] = &{
    let mut fills = [("except", names::EXCEPT); HOW_MANY + 2];
    fills[HOW_MANY] = ("upper", further::Upper::FILL);
    let mut at = 0;
    while at < HOW_MANY {
        fills[at] = (KINDS[at].word, KINDS[at].fill);
        at += 1;
    }
    fills
};

/// What every mount has: set-id bits mean nothing, device nodes cannot be opened.
pub(super) const PLAIN: Attrs = Attrs::NO_SUID.and(Attrs::NO_DEV);

/// A table with the keys that an entry says.
fn said<const N: usize>(keys: [(&str, Option<Toml>); N]) -> Toml {
    let said = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Toml::Table(said.collect())
}
