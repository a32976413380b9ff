//! Devices and kernel objects.

use super::{Form, Kind, Makes, Mount, New, Word, form};
use crate::language::spelled::Toml;
use crate::language::value::OnlyTrue;
use crate::step::Kernel;
use crate::tree::Ground;

pub(super) const WORDS: &[Word] = &[Word {
    word: "sysfs",
    doc: "Devices and kernel objects (sysfs(5)), read-only.",
    meant: &[],
    make: || Mount::Sysfs(Sysfs),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// Devices and kernel objects (sysfs(5)), read-only.
    "sysfs": OnlyTrue => |OnlyTrue| Mount::Sysfs(Sysfs), []
}];

/// Devices and kernel objects (sysfs(5)), read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sysfs;

impl Kind for Sysfs {
    fn spell(&self) -> Toml {
        Toml::word("sysfs")
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Kernel(Kernel::Sysfs)
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::FileSystem(New::of(Kernel::Sysfs, &[]))
    }

    fn form(&self) -> &'static str {
        "sysfs"
    }

    fn what(&self) -> &'static str {
        "a sysfs of its own"
    }
}
