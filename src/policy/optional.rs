//! `optional`: protections that are skipped where the machine cannot enforce them.

use crate::language::read::Why;
use crate::language::shape::Shape;
use crate::language::value::{Spelled, Written};
use crate::text::problem::suggestion;
use std::fmt;

/// Protections that `optional` may name; a limit of the same file is skipped if the machine lacks
/// it.
pub const OPTIONAL: &[&str] = &[
    "limits",
    "keyring",
    "landlock",
    "landlock.truncate",
    "landlock.tcp",
    "landlock.udp",
    "landlock.scope",
    "landlock.audit",
    "mounts.kept",
    "mounts.set-id",
    "mounts.size",
    "namespaces.nested",
    "network.passed-sockets",
];

/// The name of a protection in `optional`; [`Protection::refuse`] lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection(pub String);

impl Written for Protection {
    const WHAT: &'static str = "the name of a protection";
    fn from_text(text: &str) -> Result<Protection, Why> {
        Ok(Protection(text.into()))
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn looks() -> Shape {
        Shape::names(OPTIONAL.iter().copied())
    }
}

impl Protection {
    /// Why it is none, where it is none: that has a code of its own.
    pub(crate) fn refuse(&self) -> Option<Why> {
        if OPTIONAL.contains(&self.as_str()) {
            return None;
        }
        let help = suggestion(self.as_str(), OPTIONAL.iter().copied())
            .unwrap_or_else(|| format!("there are: {}", OPTIONAL.join(", ")));
        let why = Why::of("cannot skip `", self.as_str(), "`: no such protection is optional");
        Some(why.whole("profile::optional").help(help))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Protection {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
