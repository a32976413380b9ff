//! `[capabilities]`: which of root's powers the target keeps, within its own user namespace.

use crate::problem::suggestion;
use crate::section::{Key, Set};
use crate::source::At;
use crate::value::Written;
use crate::{section, written};
use serde::Serialize;
use std::fmt;

// ---- section ----

section! {
    /// `[capabilities]`: what the target keeps; the rest leaves every set (capabilities(7)).
    pub struct Capabilities {
        /// Kept in the bounding, permitted, effective and inheritable sets.
        keep: Set<Capability>,
        /// Kept in the ambient set too, so that a target that is not root inside has them.
        ambient: Set<Capability>,
        /// Securebits to set and lock; unsaid: noroot, no-setuid-fixup, keep-caps-locked, no-cap-ambient-raise where nothing is kept.
        securebits: Key<Vec<At<Securebit>>>,
        /// Whether execve(2) can never grant privilege; unsaid: true.
        no_new_privs: Key<bool>,
    }
}

// ---- table ----

written!(Capability, Securebit);

/// A capability, by the kernel's name without `CAP_`, with `-` for `_`, or by number for those newer than the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(pub u8);

impl Written for Capability {
    const WHAT: &'static str = "a capability such as \"net-bind-service\"";
    fn from_text(text: &str) -> Result<Capability, String> {
        let kernel = format!("CAP_{}", text.to_ascii_uppercase().replace('-', "_"));
        if let Some(found) = caps::all().into_iter().find(|cap| cap.to_string() == kernel) {
            return Ok(Capability(found.index()));
        }
        let names: Vec<String> = caps::all().iter().map(|cap| Capability(cap.index()).to_string()).collect();
        let bare = text.to_ascii_lowercase().replace('_', "-");
        let bare = bare.strip_prefix("cap-").unwrap_or(&bare);
        let help = suggestion(bare, names.iter().map(String::as_str)).unwrap_or_else(|| "capabilities(7) lists them".into());
        Err(format!("unknown capability `{text}`\nhelp: {help}"))
    }
    fn from_integer(number: i64) -> Option<Result<Capability, String>> {
        Some(u8::try_from(number).ok().filter(|cap| *cap < 64).map(Capability).ok_or_else(|| format!("{number} is not a capability: 0 to 63")))
    }
}

impl Capability {
    /// Its bit in a set.
    pub fn bit(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match caps::all().into_iter().find(|cap| cap.index() == self.0) {
            Some(cap) => f.write_str(&cap.to_string().trim_start_matches("CAP_").to_ascii_lowercase().replace('_', "-")),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A set of capabilities, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(pub u64);

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        let names: Vec<String> = (0..64).map(Capability).filter(|cap| self.0 & cap.bit() != 0).map(|cap| cap.to_string()).collect();
        f.write_str(&names.join(" "))
    }
}

impl Serialize for CapabilitySet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..64).map(Capability).filter(|cap| self.0 & cap.bit() != 0).map(|cap| cap.to_string()))
    }
}

/// A securebit by name; each is set together with its lock (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Securebit(pub u32);

const SECUREBITS: &[(&str, u32)] =
    &[("noroot", 0b11), ("no-setuid-fixup", 0b11 << 2), ("keep-caps-locked", 0b10 << 4), ("no-cap-ambient-raise", 0b11 << 6)];

/// Every securebit that narrows, each locked.
pub const ALL_SECUREBITS: u32 = 0b11 | 0b11 << 2 | 0b10 << 4 | 0b11 << 6;

impl Written for Securebit {
    const WHAT: &'static str = "a securebit such as \"noroot\"";
    fn from_text(text: &str) -> Result<Securebit, String> {
        let names = || SECUREBITS.iter().map(|(name, _)| *name);
        SECUREBITS.iter().find(|(name, _)| *name == text).map(|(_, bits)| Securebit(*bits)).ok_or_else(|| {
            let help = suggestion(text, names()).unwrap_or_else(|| format!("write one of {}", names().collect::<Vec<_>>().join(", ")));
            format!("unknown securebit `{text}`\nhelp: {help}")
        })
    }
}
