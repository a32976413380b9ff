//! A device node of the host, or a directory of them.

use super::super::names::PLACE;
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::language::value::AbsolutePath;
use crate::tree::{Ground, Source, Stack};

pub(super) const WORDS: &[Word] = &[Word {
    word: "device",
    doc: "The host's device node at the same path, or its directory of them.",
    meant: &[],
    make: || Mount::Device(Device { source: None }),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// A device node of the host, or a directory of them.
    "device": AbsolutePath = PLACE => |source| Mount::Device(Device { source: Some(source) }), []
}];

/// One node of the host, or a directory of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where it is on the host; default: the same path.
    pub source: Option<AbsolutePath>,
}

impl Device {
    /// This one.
    pub fn of(source: &str) -> Device {
        Device { source: Some(AbsolutePath(source.to_owned())) }
    }

    fn source_at<'a>(&'a self, path: &'a str) -> &'a str {
        self.source.as_ref().map_or(path, |source| source)
    }
}

impl Kind for Device {
    fn spell(&self) -> Toml {
        match &self.source {
            None => Toml::word("device"),
            source => said([("device", source.spell_key())]),
        }
    }

    fn ground(&self, path: &str) -> Ground {
        Ground::Host(Stack::one(Source::new(self.source_at(path))))
    }

    fn makes<'a>(&'a self, path: &'a str) -> Makes<'a> {
        Makes::Device(self.source_at(path))
    }

    fn what(&self) -> &'static str {
        "a device"
    }
}
