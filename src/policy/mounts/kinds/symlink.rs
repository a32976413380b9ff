//! A symbolic link of the sandbox's own.

use super::super::names::ONE_LINE;
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::fill::Fill;
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::tree::{Ground, Own};

pub(super) const WORDS: &[Word] = &[];

pub(super) const FORMS: &[Form] = &[form! {
    /// A symbolic link with this text.
    "symlink": String = Fill { text: true, ..ONE_LINE } => |text| Mount::Symlink(Symlink { text }), []
}];

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// What it holds.
    pub text: String,
}

impl Kind for Symlink {
    fn spell(&self) -> Toml {
        said([("symlink", Some(self.text.spell()))])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::Link(self.text.clone()))
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Link(&self.text)
    }

    fn form(&self) -> &'static str {
        "symlink"
    }

    fn what(&self) -> &'static str {
        "a symbolic link"
    }
}
