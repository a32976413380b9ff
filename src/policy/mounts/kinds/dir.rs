//! An empty directory of the sandbox's own.

use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::language::value::Mode;
use crate::tree::{Ground, Own};

pub(super) const WORDS: &[Word] = &[Word {
    word: "dir",
    doc: "An empty directory of the sandbox's own.",
    meant: &[],
    make: || Mount::Dir(Dir::PLAIN),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// An empty directory of the sandbox's own, of this mode.
    "dir": Mode => |mode| Mount::Dir(Dir { mode: Some(mode) }), []
}];

/// An empty directory of the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Its mode; default: 0755.
    pub mode: Option<Mode>,
}

impl Dir {
    /// One of the usual mode.
    pub const PLAIN: Dir = Dir { mode: None };
}

impl Kind for Dir {
    fn spell(&self) -> Toml {
        match self {
            Dir { mode: None } => Toml::word("dir"),
            Dir { mode } => said([("dir", mode.spell_key())]),
        }
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::Directory)
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Directory(self.mode.unwrap_or(Mode(0o755)))
    }

    fn form(&self) -> &'static str {
        "dir"
    }

    fn what(&self) -> &'static str {
        "a directory of its own"
    }
}
