//! A part of the host's tree.

use super::super::names::ONE_LINE;
use super::further::{Access, Beneath, Broad, Follow, Further, Missing, Sockets, exceptions};
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::fill::Fill;
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, ancestors, parent};
use crate::tree::{Ground, Source, Stack};

pub(super) const WORDS: &[Word] = &[
    Word {
        word: "ro",
        doc: "What the host has at the same path, read-only; a symbolic link is made again as that link.",
        meant: &["readonly", "read-only", "read_only", "r"],
        make: || Mount::here(Access::ReadOnly),
    },
    Word {
        word: "rw",
        doc: "The same, and the target may write there.",
        meant: &["readwrite", "read-write", "read_write", "writable", "w"],
        make: || Mount::here(Access::ReadWrite),
    },
];

pub(super) const FORMS: &[Form] = &[form! {
    /// The host's file or directory at this path, read-only unless `access` says otherwise.
    "bind": AbsolutePath = Fill { place: true, pattern: true, ..ONE_LINE }
        => |source| Mount::Bind(Bind::new(Some(source), Access::ReadOnly)),
        ["access", "recursive", "exec", "missing", "broad", "sockets", "owner", "follow", "except"]
}];

/// A part of the host's tree. Without `source` it is the one at the same path, and a symbolic link
/// is made again as that link.
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
    /// Whether links are followed to it.
    pub follow: Follow,
    /// Where a pattern does not look.
    pub except: Vec<Beneath>,
}

impl Bind {
    /// One file of the host, to read and to execute.
    pub fn file(source: String) -> Bind {
        Bind { recursive: false, ..Bind::of(&source) }
    }

    /// This part of the host's, read-only.
    pub fn of(source: &str) -> Bind {
        Bind::new(Some(AbsolutePath(source.to_owned())), Access::ReadOnly)
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
            follow: Follow::No,
            except: vec![],
        }
    }
}

impl Kind for Bind {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.access = further.access.unwrap_or(self.access);
        self.recursive = further.recursive.unwrap_or(self.recursive);
        self.exec = further.exec.unwrap_or(self.exec);
        self.missing = further.missing.unwrap_or(self.missing);
        self.broad = further.broad.unwrap_or(self.broad);
        self.sockets = further.sockets.unwrap_or(self.sockets);
        self.owner_root |= further.owner.is_some();
        self.follow.set(further.follow);
        if further.except.is_some() {
            self.except = exceptions(further)?;
        }
        match (&self.follow, self.missing) {
            (Follow::Yes, Missing::Create) => {
                Err(Why::new("what is made has no link to follow").help("leave `follow` out"))
            }
            _ => Ok(()),
        }
    }

    fn spell(&self) -> Toml {
        if *self == Bind::new(None, self.access) {
            return self.access.spell();
        }
        let Bind {
            source,
            access,
            recursive,
            exec,
            missing,
            broad,
            sockets,
            owner_root,
            follow,
            except,
        } = self;
        said([
            ("bind", source.spell_key()),
            ("access", (*access == Access::ReadWrite).then(|| access.spell())),
            ("recursive", (!recursive).then(|| recursive.spell())),
            ("exec", (!exec).then(|| exec.spell())),
            ("missing", (*missing != Missing::Error).then(|| missing.spell())),
            ("broad", (*broad != Broad::Refuse).then(|| broad.spell())),
            ("sockets", (*sockets != Sockets::Refuse).then(|| sockets.spell())),
            ("owner", owner_root.then(|| Toml::word("root"))),
            ("follow", (*follow != Follow::No).then(|| true.spell())),
            ("except", (!except.is_empty()).then(|| except.spell())),
        ])
    }

    /// Such a bind has no word, so it names its source.
    fn spell_at(&self, path: &str) -> Toml {
        match self.source {
            None if *self != Bind::new(None, self.access) => {
                Bind { source: Some(AbsolutePath(path.to_owned())), ..self.clone() }.spell()
            }
            _ => self.spell(),
        }
    }

    fn ground(&self, path: &str) -> Ground {
        let source = Source {
            recursive: self.recursive,
            made: self.missing == Missing::Create,
            ..Source::new(self.source_at(path))
        };
        Ground::Host(Stack::one(source))
    }

    /// A directory that is to be made is judged by the one that it will be in: the nearest one that
    /// is there.
    fn asks(&self, path: &str) -> Vec<String> {
        let source = (self.missing == Missing::Create).then(|| self.source_at(path));
        let above = source.into_iter().flat_map(|source| ancestors(parent(source)));
        above.map(str::to_owned).collect()
    }

    fn may_be_missing(&self) -> bool {
        self.missing == Missing::Skip
    }

    fn skipped(&self) -> Option<Mount> {
        Some(Mount::Bind(Bind { missing: Missing::Skip, ..self.clone() }))
    }

    fn follows<'a>(&'a self, path: &'a str) -> Option<&'a str> {
        (self.follow != Follow::No).then(|| self.source.as_ref().map_or(path, |source| source))
    }

    fn of_place(&self, place: &str) -> Option<Mount> {
        let source = Some(AbsolutePath(place.to_owned()));
        Some(Mount::Bind(Bind { source, follow: Follow::No, ..self.clone() }))
    }

    fn lead(&mut self, end: String) {
        self.follow = Follow::To(end);
    }

    fn except(&self) -> &[Beneath] {
        &self.except
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Bind(self)
    }

    fn form(&self) -> &'static str {
        "bind"
    }

    fn what(&self) -> &'static str {
        "it"
    }
}

impl Bind {
    /// Where it is on the host, for an entry at this path.
    pub fn source_at<'a>(&'a self, path: &'a str) -> &'a str {
        self.follow.source(self.source.as_ref().map_or(path, |source| source))
    }
}
