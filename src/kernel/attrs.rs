//! Attributes of mounts (mount_setattr(2)).

use serde::{Serialize, Serializer};
use std::fmt;

/// Attributes of a mount (`MOUNT_ATTR_*`, mount_setattr(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attrs(pub u64);

impl Attrs {
    /// Nothing can be written.
    pub const READ_ONLY: Attrs = Attrs(0x1);
    /// Set-id bits mean nothing.
    pub const NO_SUID: Attrs = Attrs(0x2);
    /// Device nodes cannot be opened.
    pub const NO_DEV: Attrs = Attrs(0x4);
    /// Programs cannot be run.
    pub const NO_EXEC: Attrs = Attrs(0x8);

    /// Both.
    pub const fn and(self, other: Attrs) -> Attrs {
        Attrs(self.0 | other.0)
    }

    /// `other` where `yes`.
    pub const fn and_if(self, yes: bool, other: Attrs) -> Attrs {
        if yes { self.and(other) } else { self }
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Attrs) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.has(Attrs::READ_ONLY) { "ro" } else { "rw" })?;
        for (attr, word) in
            [(Attrs::NO_SUID, "nosuid"), (Attrs::NO_DEV, "nodev"), (Attrs::NO_EXEC, "noexec")]
        {
            if self.has(attr) {
                write!(f, ",{word}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Attrs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
