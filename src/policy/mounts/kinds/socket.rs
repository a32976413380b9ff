//! A socket of the host that the target may connect to.

use super::super::names::PLACE;
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::language::value::AbsolutePath;
use crate::tree::{Ground, Source, Stack};

pub(super) const WORDS: &[Word] = &[];

pub(super) const FORMS: &[Form] = &[form! {
    /// A socket of the host that the target may connect to.
    "socket": AbsolutePath = PLACE => |source| Mount::Socket(Socket { source }), []
}];

/// A socket of the host that the target may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is on the host.
    pub source: AbsolutePath,
}

impl Socket {
    /// This one.
    pub fn of(source: &str) -> Socket {
        Socket { source: AbsolutePath(source.to_owned()) }
    }
}

impl Kind for Socket {
    fn spell(&self) -> Toml {
        said([("socket", Some(self.source.spell()))])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Host(Stack::one(Source { recursive: false, ..Source::new(&*self.source) }))
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Socket(&self.source)
    }

    fn what(&self) -> &'static str {
        "a socket"
    }
}
