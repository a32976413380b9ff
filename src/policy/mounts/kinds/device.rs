//! A device node of the host, or a directory of them.

use super::super::names::PLACE;
use super::further::{Further, Missing};
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::fill::Fill;
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::AbsolutePath;
use crate::tree::{Ground, Source, Stack};

pub(super) const WORDS: &[Word] = &[Word {
    word: "device",
    doc: "The host's device node at the same path, or its directory of them.",
    meant: &[],
    make: || Mount::Device(Device::here()),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// A device node of the host, or a directory of them.
    "device": AbsolutePath = Fill { pattern: true, ..PLACE } => |source| {
        Mount::Device(Device { source: Some(source), missing: Missing::Error })
    }, ["missing"]
}];

/// One node of the host, or a directory of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where it is on the host; default: the same path.
    pub source: Option<AbsolutePath>,
    /// What happens where it is absent.
    pub missing: Missing,
}

impl Device {
    /// What the host has at the same path.
    pub fn here() -> Device {
        Device { source: None, missing: Missing::Error }
    }

    /// This one.
    pub fn of(source: &str) -> Device {
        Device { source: Some(AbsolutePath(source.to_owned())), missing: Missing::Error }
    }

    fn source_at<'a>(&'a self, path: &'a str) -> &'a str {
        self.source.as_ref().map_or(path, |source| source)
    }
}

impl Kind for Device {
    fn spell(&self) -> Toml {
        match self {
            Device { source: None, missing: Missing::Error } => Toml::word("device"),
            Device { source, missing } => said([
                ("device", source.spell_key()),
                ("missing", (*missing != Missing::Error).then(|| missing.spell())),
            ]),
        }
    }

    /// Such an entry has no word, so it names its source.
    fn spell_at(&self, path: &str) -> Toml {
        match self {
            Device { source: None, missing: Missing::Skip | Missing::Create } => {
                Device { missing: self.missing, ..Device::of(path) }.spell()
            }
            _ => self.spell(),
        }
    }

    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.missing = further.missing.unwrap_or(self.missing);
        match self.missing {
            Missing::Create => {
                Err(Why::new("`device` cannot make what it grants").help("missing = \"skip\""))
            }
            Missing::Error | Missing::Skip => Ok(()),
        }
    }

    fn may_be_missing(&self) -> bool {
        self.missing == Missing::Skip
    }

    fn skipped(&self) -> Option<Mount> {
        Some(Mount::Device(Device { missing: Missing::Skip, ..self.clone() }))
    }

    fn ground(&self, path: &str) -> Ground {
        Ground::Host(Stack::one(Source::new(self.source_at(path))))
    }

    fn makes<'a>(&'a self, path: &'a str) -> Makes<'a> {
        Makes::Device(self.source_at(path))
    }

    fn form(&self) -> &'static str {
        "device"
    }

    fn what(&self) -> &'static str {
        "a device"
    }
}
