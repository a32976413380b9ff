//! Directories of the host, merged as overlayfs merges them, and what the target writes on top.

use super::super::names::{ONE_LINE, PLACE};
use super::further::{Access, Driver, Further, Sockets, Upper};
use super::{Bind, Form, Grant, Kind, Makes, Mount, PLAIN, Tmpfs, Word, form, said};
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::fill::Fill;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{AbsolutePath, Room, below, join, parent, words};
use crate::text::source::{Span, Where};
use crate::tree::{Ground, Own, Source, Stack, Top};
use toml::de::DeValue;

pub(super) const WORDS: &[Word] = &[Word {
    word: "overlay",
    doc: "What the host has at the same path, writable: what the target changes is thrown away.",
    meant: &["overlayfs", "cow", "copy-on-write", "scratch"],
    make: || Mount::Layers(Layers { upper: Some(Upper::Discard), ..Layers::of(None) }),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// Directories of the host, merged as overlayfs merges them, the lowest first: up to 500. They
    /// stay as they are; without `upper` the target cannot write there.
    "layers": Vec<Layer> = Fill { keys: &[("path", PLACE)], other: Some(&ONE_LINE), ..PLACE }
        => |layers| Mount::Layers(Layers::of(Some(layers))),
        ["upper", "copy-up", "driver", "size", "inodes", "exec", "owner"]
}];

/// The most that a mount of overlayfs takes (`OVL_MAX_STACK` of the kernel).
pub(crate) const MOST: usize = 500;

/// What an upper is made of before anything is written: its top, its two directories, and two of
/// overlayfs's in one of these.
const LEAST_INODES: u64 = 6;

/// Directories of the host, merged, and what the target writes on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// The directories, the lowest first; none: the host's at the same path.
    pub layers: Option<Vec<Layer>>,
    /// Where goes what the target writes; none: it cannot write.
    pub upper: Option<Upper>,
    /// Which key says so.
    pub upper_at: Where,
    /// Directories inside that are made in the upper beforehand, with all below them.
    pub copy_up: Vec<AbsolutePath>,
    /// What shows them as one tree.
    pub driver: Driver,
    /// How much memory what the target writes may take; default: 64M.
    pub size: Option<Room>,
    /// How many files and directories; default: 65536.
    pub inodes: Option<u64>,
    /// How the directories are granted, in the words of a bind.
    pub words: Bind,
    /// The inherited upper that went with the entry that this one replaces.
    pub lost: Option<Upper>,
}

impl Mount {
    /// The layers that it is.
    pub(crate) fn layers(&self) -> Option<&Layers> {
        match self {
            Mount::Layers(layers) => Some(layers),
            _ => None,
        }
    }

    pub(in crate::policy::mounts) fn layers_mut(&mut self) -> Option<&mut Layers> {
        match self {
            Mount::Layers(layers) => Some(layers),
            _ => None,
        }
    }
}

impl Layers {
    fn of(layers: Option<Vec<Layer>>) -> Layers {
        // A socket of the host's refuses every connection through overlayfs.
        let words =
            Bind { recursive: false, sockets: Sockets::Allow, ..Bind::new(None, Access::ReadOnly) };
        Layers {
            layers,
            upper: None,
            upper_at: Where::default(),
            copy_up: vec![],
            driver: Driver::Auto,
            size: None,
            inodes: None,
            words,
            lost: None,
        }
    }

    /// The host's directory at this path, named as the only layer.
    pub(crate) fn here(path: AbsolutePath) -> Layers {
        Layers::of(Some(vec![Layer::new(path)]))
    }

    /// The host's paths, the lowest first, for an entry at this path.
    pub(crate) fn sources<'a>(&'a self, path: &'a str) -> Vec<&'a str> {
        match &self.layers {
            None => vec![path],
            Some(layers) => layers.iter().map(|layer| &*layer.path).collect(),
        }
    }

    /// Whether one of them is left out where it is absent.
    pub(crate) fn may_miss(&self, source: &str) -> bool {
        let layers = self.layers.as_deref().unwrap_or_default();
        layers.iter().any(|layer| &*layer.path == source && layer.missing.is_some())
    }

    /// The places in the profile of those with this path.
    pub(crate) fn places<'a>(&'a self, source: &'a str) -> impl DoubleEndedIterator<Item = Span> {
        let layers = self.layers.as_deref().unwrap_or_default();
        layers.iter().filter(move |layer| &*layer.path == source).map(|layer| layer.at.0)
    }

    /// The same, with another path in the place of a layer's.
    pub(crate) fn moved(&self, source: &str, to: &str) -> Layers {
        let mut more = self.clone();
        let layers = more.layers.iter_mut().flatten();
        layers
            .filter(|layer| &*layer.path == source)
            .for_each(|layer| layer.path = AbsolutePath(to.to_owned()));
        more
    }

    /// The same, where this layer is left out if it is absent.
    pub(crate) fn without(&self, source: &str) -> Layers {
        let mut more = self.clone();
        let layers = more.layers.iter_mut().flatten();
        layers
            .filter(|layer| &*layer.path == source)
            .for_each(|layer| layer.missing = Some(Skip::Skip));
        more
    }

    /// The same for an entry at this path, with the directories named.
    pub(crate) fn at(&self, path: &str) -> Layers {
        let here = || vec![Layer::new(AbsolutePath(path.to_owned()))];
        let layers = Some(self.layers.clone().unwrap_or_else(here));
        Layers { layers, ..self.clone() }
    }

    /// The same of the host's directory at this path.
    pub(crate) fn part(&self, path: &str) -> Layers {
        Layers { layers: None, ..self.clone() }.at(path)
    }

    /// Takes note of an upper that the inherited entry had and this one does not repeat.
    pub(crate) fn replaces(&mut self, inherited: &Layers) {
        self.lost = inherited.upper.clone().filter(|_| self.upper.is_none());
    }

    /// The same with that upper.
    pub(crate) fn with_lost(&self) -> Option<Layers> {
        let upper = Some(self.lost.clone().filter(|_| self.upper.is_none())?);
        Some(Layers { upper, lost: None, ..self.clone() })
    }

    /// The same, where what is thrown away goes to a directory made in this one.
    pub(crate) fn on_disk(&self, directory: &str) -> Layers {
        let upper = Some(Upper::DiscardIn(AbsolutePath(directory.to_owned())));
        Layers { upper, size: None, inodes: None, ..self.clone() }
    }

    /// The same, shown by another driver, which may have no use for `copy-up`.
    pub(crate) fn with_driver(&self, driver: Driver) -> Layers {
        let copy_up = match driver {
            Driver::Copy | Driver::Fuse => vec![],
            Driver::Auto | Driver::Overlay => self.copy_up.clone(),
        };
        Layers { driver, copy_up, ..self.clone() }
    }

    /// How much the target can write into memory, and how many files and directories.
    pub(crate) fn room(&self) -> (Room, u64) {
        let Tmpfs { size, inodes, .. } = Tmpfs::PLAIN;
        (self.size.unwrap_or(size), self.inodes.unwrap_or(inodes))
    }

    /// Where goes what the target writes, as far as the entry says it.
    fn top(&self) -> Option<Top> {
        let kept = |directory: &AbsolutePath, kept| {
            Some(Top::Disk { directory: directory.to_string(), kept })
        };
        match self.upper.as_ref()? {
            Upper::Discard => {
                let (size, inodes) = self.room();
                Some(Top::Memory { size, inodes })
            }
            Upper::DiscardIn(directory) => kept(directory, false),
            Upper::Kept(directory) => kept(directory, true),
        }
    }

    /// Whether a file system in memory does as well.
    pub(crate) fn is_memory_alone(&self) -> bool {
        self.layers.as_ref().is_some_and(Vec::is_empty) && self.upper == Some(Upper::Discard)
    }

    /// What it is where no layer is: a file system in memory.
    pub(crate) fn empty(&self) -> Tmpfs {
        let (size, inodes) = self.room();
        Tmpfs { size, inodes, exec: self.words.exec, ..Tmpfs::PLAIN }
    }

    /// How the merged tree may be used. A device node of a layer is never opened.
    pub(crate) fn attrs(&self) -> Attrs {
        PLAIN
            .and_if(self.upper.is_none(), Attrs::READ_ONLY)
            .and_if(!self.words.exec, Attrs::NO_EXEC)
    }

    /// What Landlock allows below it.
    pub(crate) fn rights(&self) -> Rights {
        let written = Rights::WRITE.and(Rights::CHANGE).and(Rights::CONNECT);
        Rights::READ.and_if(self.words.exec, Rights::EXECUTE).and_if(self.upper.is_some(), written)
    }

    /// What it grants of the host's trees; nothing where it has no layer.
    pub(super) fn grant<'a>(&'a self, path: &'a str) -> Option<Grant<'a>> {
        let mut lower = self.sources(path);
        lower.reverse();
        let topmost = (!lower.is_empty()).then(|| lower.remove(0))?;
        Some(Grant { topmost, lower, written: None, words: &self.words, merged: true })
    }
}

/// One of the merged directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it is on the host.
    pub path: AbsolutePath,
    /// Whether it is left out where it is absent.
    pub missing: Option<Skip>,
    /// Where the profile names it.
    pub at: Where,
}

impl Layer {
    fn new(path: AbsolutePath) -> Layer {
        Layer { path, missing: None, at: Where::default() }
    }
}

words! {
    /// What happens where a layer is absent.
    Skip {
        /// It is left out, and that is reported.
        Skip = "skip",
    }
}

table! {
    /// A layer with what goes with it.
    struct LayerTable {
        /// The directory on the host.
        path: AbsolutePath,
        /// What happens where it is absent; default: the run stops.
        missing: Option<Skip>,
    }
}

impl Shaped for Layer {
    fn shape() -> Shape {
        Shape::either(&[AbsolutePath::shape, LayerTable::shape])
    }
}

impl Read for Layer {
    const FILL: Fill = Fill { keys: &[("path", PLACE)], other: Some(&ONE_LINE), ..PLACE };

    fn read(node: &Node<'_>) -> Result<Layer, Wrongs> {
        let at = Where(node.span().into());
        match node.get_ref() {
            DeValue::Table(_) => {
                let LayerTable { path, missing } = LayerTable::read(node)?;
                Ok(Layer { path, missing, at })
            }
            DeValue::String(_) => Ok(Layer { at, ..Layer::new(AbsolutePath::read(node)?) }),
            _ => Err(mismatch(node, "an absolute path, or { path = .., missing = \"skip\" }")),
        }
    }

    fn spell(&self) -> Toml {
        match self.missing {
            None => self.path.spell(),
            Some(missing) => {
                said([("path", Some(self.path.spell())), ("missing", Some(missing.spell()))])
            }
        }
    }
}

impl Kind for Layers {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        // The bounds of an upper in memory are none of one on disk that takes its place.
        if matches!(further.upper, Some(Upper::Kept(_) | Upper::DiscardIn(_))) {
            (self.size, self.inodes) = (None, None);
        }
        self.upper = further.upper.clone().or(self.upper.take());
        let said = further.seen.iter().find(|key| key.value == "upper");
        self.upper_at = said.map_or(self.upper_at, |key| Where(key.at));
        self.copy_up = further.copy_up.clone().unwrap_or_else(|| std::mem::take(&mut self.copy_up));
        self.driver = further.driver.unwrap_or(self.driver);
        self.size = further.size.or(self.size);
        self.inodes = further.inodes.map(|inodes| inodes.0).or(self.inodes);
        self.words.exec = further.exec.unwrap_or(self.words.exec);
        self.words.owner_root |= further.owner.is_some();
        let count = self.layers.as_ref().map_or(1, Vec::len);
        if count > MOST {
            return Err(Why::new(format!("{count} layers are too many: the kernel merges {MOST}"))
                .help("merge some of them into one directory"));
        }
        match &self.upper {
            None if count == 0 => {
                Err(Why::new("without layers and without an upper there is nothing")
                    .help("let the target write there: upper = \"discard\""))
            }
            None if !self.copy_up.is_empty() => Err(Why::new(
                "nothing is written without an upper, so `copy-up` makes nothing changeable",
            )
            .help("let the target write there: upper = \"discard\"")),
            None if self.size.is_some() || self.inodes.is_some() => Err(Why::new(
                "nothing is written without an upper, so `size` and `inodes` limit nothing",
            )
            .help("let the target write there: upper = \"discard\"")),
            Some(Upper::Kept(_)) if self.driver == Driver::Copy => Err(Why::new(
                "of a copy nothing is kept: what the layers are by the next run would not show in it",
            )
            .help("leave `driver` out, or let what is written be thrown away")),
            Some(Upper::Kept(_)) if self.driver == Driver::Fuse => Err(Why::new(
                "of fuse-overlayfs nothing is kept: its marks of what is removed are none that overlayfs \
                 knows",
            )
            .help("leave `driver` out, or let what is written be thrown away")),
            Some(_) if self.driver == Driver::Fuse && !self.copy_up.is_empty() => Err(Why::new(
                "fuse-overlayfs lets directories of all owners be changed, and `copy-up` has nothing to \
                 do",
            )
            .help("leave `copy-up` out")),
            Some(_) if self.driver == Driver::Copy && !self.copy_up.is_empty() => Err(Why::new(
                "in a copy directories of all owners can be changed, and `copy-up` has nothing to do",
            )
            .help("leave `copy-up` out")),
            Some(Upper::DiscardIn(_) | Upper::Kept(_))
                if self.size.is_some() || self.inodes.is_some() =>
            {
                Err(Why::new("`size` and `inodes` bound memory, and this upper is on disk")
                    .help("leave them out; quotas of the file system bound it"))
            }
            // Its root, its two directories, and one of overlayfs's.
            Some(_) if self.inodes.is_some_and(|inodes| inodes < LEAST_INODES) => Err(Why::new(
                format!("an upper has directories of its own: {LEAST_INODES} inodes at least"),
            )),
            // To the kernel 0 is no limit at all (tmpfs(5)).
            Some(_) if self.size == Some(Room::Bytes(0)) => {
                Err(Why::new("an upper of size 0 would have no limit")
                    .help("write how much it may hold, such as size = \"64M\""))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn spell(&self) -> Toml {
        if *self == (Layers { upper: Some(Upper::Discard), ..Layers::of(None) }) {
            return Toml::word("overlay");
        }
        let Layers { layers, upper, upper_at: _, copy_up, driver, size, inodes, words, lost: _ } =
            self;
        said([
            ("layers", layers.as_ref().map(Read::spell)),
            ("upper", upper.as_ref().map(Read::spell)),
            ("copy-up", (!copy_up.is_empty()).then(|| copy_up.spell())),
            ("driver", (*driver != Driver::Auto).then(|| driver.spell())),
            ("size", size.map(|size| size.spell())),
            ("inodes", inodes.map(|inodes| inodes.spell())),
            ("exec", (!words.exec).then(|| words.exec.spell())),
            ("owner", words.owner_root.then(|| Toml::word("root"))),
        ])
    }

    /// One of the host's tree at its own path has a word, or names that.
    fn spell_at(&self, path: &str) -> Toml {
        if *self == (Layers { upper: Some(Upper::Discard), ..Layers::of(None) }) {
            return self.spell();
        }
        self.at(path).spell()
    }

    fn ground(&self, path: &str) -> Ground {
        let source = |path: &str| Source { recursive: false, ..Source::new(path) };
        let layers = self.sources(path).into_iter().map(source).collect();
        let memory = || {
            let (size, inodes) = self.room();
            Ground::Own(Own::Memory { size, inodes })
        };
        Stack::merged(layers, self.top()).map_or_else(memory, Ground::Host)
    }

    /// Its upper, the directory that this is made in, and what is to be copied up.
    fn asks(&self, path: &str) -> Vec<String> {
        let directory = self.upper.as_ref().and_then(Upper::directory);
        let upper = directory.map(|directory| [directory, parent(directory)].map(str::to_owned));
        let copied = self.copy_up.iter().filter_map(|directory| below(directory, path));
        let sources = self.sources(path);
        let copied = copied.flat_map(|tail| sources.iter().map(move |source| join(source, tail)));
        upper.into_iter().flatten().chain(copied).collect()
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Layers(self)
    }

    fn form(&self) -> &'static str {
        "layers"
    }

    fn what(&self) -> &'static str {
        "merged layers"
    }
}
