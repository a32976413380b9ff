//! The minimal /dev.

use super::tmpfs::Tmpfs;
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, below};
use crate::step::Kernel;
use crate::text::gather::Gather;
use crate::tree::{Ground, Own, Source, Stack};
use std::collections::BTreeMap;

pub(super) const WORDS: &[Word] = &[Word {
    word: "dev",
    doc: "The minimal /dev.",
    meant: &["devtmpfs"],
    make: || Mount::Dev(Dev { extra: vec![] }),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// The minimal /dev, with these nodes of the host's beside.
    "dev": Vec<AbsolutePath> => |extra| Mount::Dev(Dev { extra }), []
}];

/// The minimal /dev, with further nodes of the host by name below /dev.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dev {
    /// Nodes of the host.
    pub extra: Vec<AbsolutePath>,
}

impl Kind for Dev {
    fn spell(&self) -> Toml {
        match &self.extra {
            none if none.is_empty() => Toml::word("dev"),
            extra => said([("dev", Some(extra.spell()))]),
        }
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::Devices(names(&self.extra)))
    }

    fn asks(&self, _: &str) -> Vec<String> {
        self.extra.iter().map(|path| path.0.clone()).collect()
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Devices(&self.extra)
    }

    fn form(&self) -> &'static str {
        "dev"
    }

    fn what(&self) -> &'static str {
        "a /dev under another name"
    }
}

/// Nodes of the host that every program may expect, by their paths.
pub(crate) const NODE_PATHS: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// The same, by their names.
pub(crate) const NODES: &[&str] = &{
    let mut names = [""; NODE_PATHS.len()];
    let mut at = 0;
    while at < names.len() {
        (_, names[at]) = NODE_PATHS[at].split_at("/dev/".len());
        at += 1;
    }
    names
};

/// Links of /dev.
pub(crate) const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What is at the names of /dev, further nodes of the host's among them.
fn names(extra: &[AbsolutePath]) -> BTreeMap<String, Ground> {
    let node = |name: &str| {
        let source = Source { recursive: false, ..Source::new(format!("/dev/{name}")) };
        (name.to_owned(), Ground::Host(Stack::one(source)))
    };
    let memory = Own::Memory { size: Tmpfs::PLAIN.size, inodes: Tmpfs::PLAIN.inodes };
    let directories = [("pts", Ground::Kernel(Kernel::Devpts)), ("shm", Ground::Own(memory))];
    let links = LINKS.iter().map(|(name, text)| (*name, Ground::Own(Own::Link((*text).into()))));
    let mut names: BTreeMap<String, Ground> = directories
        .into_iter()
        .chain(links)
        .map(|(name, ground)| (name.to_owned(), ground))
        .gather();
    let more = extra.iter().filter_map(|path| below(&path.0, "/dev")?.strip_prefix('/'));
    names.extend(NODES.iter().copied().chain(more).map(node));
    names
}
