//! Capabilities, by name and by number (capabilities(7)).

use crate::language::read::Why;
use crate::language::shape::Shape;
use crate::language::value::{Spelled, Written};
use crate::text::gather::Gather;
use crate::text::problem::suggestion;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// A capability, by the kernel's name without `CAP_`, with `-` for `_`, or by number for those
/// newer than the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(pub u8);

/// Securebits, each with its lock, as a profile writes them (capabilities(7)).
pub(crate) const SECUREBITS: &[(&str, u32)] = &[
    ("noroot", 0b11),
    ("no-setuid-fixup", 0b11 << 2),
    ("keep-caps-locked", 0b10 << 4),
    ("no-cap-ambient-raise", 0b11 << 6),
];

/// The table: their names, as a profile writes them, by their numbers.
static NAMES: LazyLock<BTreeMap<u8, String>> = LazyLock::new(|| {
    let name = |cap: caps::Capability| {
        cap.to_string().trim_start_matches("CAP_").to_ascii_lowercase().replace('_', "-")
    };
    caps::all().into_iter().map(|cap| (cap.index(), name(cap))).gather()
});

impl Written for Capability {
    const WHAT: &'static str = "a capability such as \"net-bind-service\"";
    fn from_text(text: &str) -> Result<Capability, Why> {
        let written = text.to_ascii_lowercase().replace('_', "-");
        // The kernel's own spelling, and that of other launchers, is no other name.
        let bare = written.strip_prefix("cap-").unwrap_or(&written);
        if let Some((number, _)) = NAMES.iter().find(|(_, name)| **name == bare) {
            return Ok(Capability(*number));
        }
        let help = suggestion(bare, NAMES.values().map(String::as_str))
            .unwrap_or_else(|| "capabilities(7) lists them".into());
        Err(Why::of("unknown capability `", text, "`").help(help))
    }
    fn from_integer(number: i64) -> Option<Result<Capability, Why>> {
        Some(
            u8::try_from(number)
                .ok()
                .filter(|cap| *cap < 64)
                .map(Capability)
                .ok_or_else(|| Why::of("", number.to_string(), " is not a capability: 0 to 63")),
        )
    }
    fn write(&self) -> Spelled {
        match NAMES.get(&self.0) {
            Some(name) => Spelled::Text(name.clone()),
            None => Spelled::Integer(self.0.into()),
        }
    }
    fn looks() -> Shape {
        let mut names: Vec<&String> = NAMES.values().collect();
        names.sort_unstable();
        Shape::Either(vec![Shape::names(names), Shape::Integer(0, 63)])
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
        match NAMES.get(&self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A set of capabilities, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// Those in it.
    pub fn each(self) -> impl Iterator<Item = Capability> {
        (0..64).map(Capability).filter(move |cap| self.0 & cap.bit() != 0)
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("none");
        }
        let names: Vec<String> = self.each().map(|cap| cap.to_string()).collect();
        f.write_str(&names.join(" "))
    }
}

impl Serialize for CapabilitySet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            (0..64)
                .map(Capability)
                .filter(|cap| self.0 & cap.bit() != 0)
                .map(|cap| cap.to_string()),
        )
    }
}

/// The highest capability of every kernel that stockade runs on (CAP_CHECKPOINT_RESTORE, Linux
/// 5.9).
pub(crate) const LAST_SURE: u8 = 40;
