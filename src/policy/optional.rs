//! `optional`: what of the sandbox may fall where the machine cannot enforce it.

use crate::language::shape::Shape;
use crate::language::value::{Written, written};
use std::fmt;

/// Walls that may fall by their names in `optional`: those of this section, and every limit of the
/// file that says so.
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
    "namespaces.nested",
    "network.passed-sockets",
];

written!(Wall);

/// The name of a wall that may fall; the loader checks it, so that it has a code of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall(pub String);

impl Written for Wall {
    const WHAT: &'static str = "the name of a wall";
    fn from_text(text: &str) -> Result<Wall, String> {
        Ok(Wall(text.into()))
    }
    fn looks() -> Shape {
        Shape::names(OPTIONAL.iter().copied())
    }
}

impl Wall {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Wall {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
