//! POSIX message queues.

use super::{Form, Kind, Makes, Mount, New, Word, form};
use crate::language::spelled::Toml;
use crate::language::value::OnlyTrue;
use crate::step::Kernel;
use crate::tree::Ground;

pub(super) const WORDS: &[Word] = &[Word {
    word: "mqueue",
    doc: "POSIX message queues (mq_overview(7)).",
    meant: &[],
    make: || Mount::Mqueue(Mqueue),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// POSIX message queues (mq_overview(7)).
    "mqueue": OnlyTrue => |OnlyTrue| Mount::Mqueue(Mqueue), []
}];

/// POSIX message queues (mq_overview(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mqueue;

impl Kind for Mqueue {
    fn spell(&self) -> Toml {
        Toml::word("mqueue")
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Kernel(Kernel::Mqueue)
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::FileSystem(New::of(Kernel::Mqueue, &[]))
    }

    fn form(&self) -> &'static str {
        "mqueue"
    }

    fn what(&self) -> &'static str {
        "message queues of its own"
    }
}
