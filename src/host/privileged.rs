//! Files with privilege.

use crate::kernel::capability::CapabilitySet;
use crate::text::source::Span;
use std::fmt;

/// The result of a search through one tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Where it began on the host.
    pub top: String,
    /// Files with privilege that the target could rewrite: the first of them.
    pub found: Vec<Privileged>,
    /// How many there are.
    pub count: usize,
    /// How many names were looked at.
    pub names: usize,
    /// Why the walk was given up.
    pub stop: Option<Stop>,
}

/// A file with privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileged {
    /// Where it is on the host.
    pub path: String,
    pub power: Power,
}

/// What a file gives to a user who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    User,
    /// Its group's id. Without the group's execute bit it gives nothing, until an access list has
    /// that bit (acl(5)).
    Group,
    /// Capabilities (capabilities(7)).
    Capabilities,
}

impl Power {
    /// What people call it.
    pub fn word(self) -> &'static str {
        match self {
            Power::User => "set-user-id",
            Power::Group => "set-group-id",
            Power::Capabilities => "with file capabilities",
        }
    }
}

/// What a program's file would give to a user who runs it outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    User,
    Group,
    Capabilities(CapabilitySet),
}

impl Given {
    /// Of a file of this mode, with the value of its `security.capability`: struct vfs_cap_data
    /// (linux/capability.h), of which the permitted set is the second and the fourth word.
    pub fn of(mode: u32, attribute: Option<&[u8]>) -> Option<Given> {
        if mode & libc::S_ISUID != 0 {
            return Some(Given::User);
        }
        // Without the group's execute bit it was a mark of mandatory locks.
        if mode & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP {
            return Some(Given::Group);
        }
        let word = |at: usize| {
            attribute
                .and_then(|value| value.get(at..at + 4)?.try_into().ok())
                .map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
        };
        let permitted = CapabilitySet(word(4) | word(12) << 32);
        (permitted.0 != 0).then_some(Given::Capabilities(permitted))
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::User => f.write_str("set-user-id"),
            Given::Group => f.write_str("set-group-id"),
            Given::Capabilities(set) => write!(f, "the file capabilities ({set})"),
        }
    }
}

/// A program that the profile names and whose file gives nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Useless {
    /// Where the profile names it.
    pub at: Span,
    /// Its place inside.
    pub path: String,
    /// What it would give outside.
    pub given: Given,
}

/// Why a walk was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The bound on names was reached.
    Names,
    /// A directory cannot be read.
    Unreadable(String, i32),
}
