//! The rows, section by section. That every key has one is asked here, of the declarations, by the
//! compiler.

mod capabilities;
mod env;
mod identity;
mod landlock;
mod limits;
mod mounts;
mod namespaces;
mod process;
mod profile;
mod rlimits;
mod seccomp;

use crate::modes::table::{Row, every_key, every_name, has};
use stockade::internals::policy;
use stockade::internals::policy::mounts::KINDS;

/// What the page shows, in its order.
pub const SECTIONS: &[(&str, &[Row])] = &[
    ("The profile", profile::ROWS),
    ("`optional`", landlock::OPTIONAL),
    ("`[process]`", process::ROWS),
    ("`[env]`", env::ROWS),
    ("`[identity]`", identity::ROWS),
    ("`[namespaces]` and `[network]`", namespaces::ROWS),
    ("`[mounts]`", mounts::ROWS),
    ("`[capabilities]`", capabilities::ROWS),
    ("`[seccomp]`", seccomp::ROWS),
    ("`[landlock]`", landlock::ROWS),
    ("`[rlimits]`", rlimits::ROWS),
    ("`[limits]`", limits::ROWS),
];

pub fn all() -> impl Iterator<Item = Row> {
    SECTIONS.iter().flat_map(|(_, rows)| rows.iter().copied())
}

const _: () = {
    every_key(process::ROWS, "process", policy::process::Process::KEYS);
    every_key(identity::ROWS, "identity", policy::identity::Identity::KEYS);
    every_key(namespaces::ROWS, "namespaces", policy::namespaces::Namespaces::KEYS);
    every_key(namespaces::ROWS, "network", policy::network::Network::KEYS);
    every_key(capabilities::ROWS, "capabilities", policy::capabilities::Capabilities::KEYS);
    every_key(seccomp::ROWS, "seccomp", policy::seccomp::Seccomp::KEYS);
    every_key(landlock::ROWS, "landlock", policy::landlock::Landlock::KEYS);
    every_key(limits::ROWS, "limits", policy::limits::Limits::KEYS);
    every_name(limits::ROWS, "limits.io", policy::limits::values::IoLimits::FIELDS);
    every_name(env::ROWS, "env", policy::env::SOURCES);
    every_name(namespaces::ROWS, "namespaces.time-offsets", policy::namespaces::CLOCKS);
    every_name(landlock::OPTIONAL, "optional", policy::optional::OPTIONAL);
    every_name(mounts::ROWS, "mounts.proc", policy::mounts::PROC_KEYS);
    every_limit();
    every_kind();
    every_domain();
};

/// A key of the top is a row of its own, or a section that has rows.
const fn every_domain() {
    const SECTIONS: &[&str] = &[
        "process",
        "env",
        "identity",
        "namespaces",
        "mounts",
        "capabilities",
        "seccomp",
        "rlimits",
        "limits",
        "network",
        "landlock",
    ];
    let keys = stockade::internals::profile::Profile::KEYS;
    let mut at = 0;
    while at < keys.len() {
        if !has(profile::ROWS, "", keys[at].field) && !is_one_of(keys[at].field, SECTIONS) {
            panic!("{}", keys[at].field);
        }
        at += 1;
    }
}

const fn is_one_of(name: &str, names: &[&str]) -> bool {
    let mut at = 0;
    while at < names.len() {
        let (a, b) = (name.as_bytes(), names[at].as_bytes());
        let mut same = 0;
        while same < a.len() && same < b.len() && a[same] == b[same] {
            same += 1;
        }
        if same == a.len() && same == b.len() {
            return true;
        }
        at += 1;
    }
    false
}

const fn every_limit() {
    let table = policy::rlimits::TABLE;
    let mut at = 0;
    while at < table.len() {
        if !has(rlimits::ROWS, "rlimits", table[at].0) {
            panic!("{}", table[at].0);
        }
        at += 1;
    }
}

/// Every kind of mount, and each further key that it takes.
const fn every_kind() {
    let mut at = 0;
    while at < KINDS.len() {
        if !has(mounts::ROWS, "mounts", KINDS[at].word) {
            panic!("{}", KINDS[at].word);
        }
        let mut key = 0;
        while key < KINDS[at].takes.len() {
            if !has_attribute(KINDS[at].word, KINDS[at].takes[key]) {
                panic!("{}", KINDS[at].takes[key]);
            }
            key += 1;
        }
        at += 1;
    }
}

/// Whether there is a row `mounts.KIND.KEY`.
const fn has_attribute(kind: &str, key: &str) -> bool {
    let mut at = 0;
    while at < mounts::ROWS.len() {
        let row = mounts::ROWS[at].key;
        if let Some((_, rest)) = row.split_at_checked("mounts.".len())
            && let Some((word, name)) = rest.split_at_checked(kind.len())
            && let Some((dot, name)) = name.split_at_checked(1)
            && is_one_of(word, &[kind])
            && is_one_of(dot, &["."])
            && is_one_of(name, &[key])
        {
            return true;
        }
        at += 1;
    }
    false
}
