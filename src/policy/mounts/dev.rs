//! The minimal /dev, and what of /proc is hidden or read-only.

use super::entry::TMPFS;
use crate::language::value::{AbsolutePath, below};
use crate::step::{Cover, Kernel};
use crate::tree::{Ground, Own, Source, Stack};
use std::collections::BTreeMap;

/// Nodes of the host that every program may expect.
pub(crate) const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// The same, by their paths.
pub(crate) const NODE_PATHS: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Links of /dev.
pub(crate) const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What stands at the names of /dev, further nodes of the host's among them.
pub(super) fn names(extra: &[AbsolutePath]) -> BTreeMap<String, Ground> {
    let node = |name: &str| {
        let source = Source { recursive: false, ..Source::new(format!("/dev/{name}")) };
        (name.to_owned(), Ground::Host(Stack::one(source)))
    };
    let memory = Own::Memory { size: TMPFS.size, inodes: TMPFS.inodes };
    let folders = [("pts", Ground::Kernel(Kernel::Devpts)), ("shm", Ground::Own(memory))];
    let links = LINKS.iter().map(|(name, text)| (*name, Ground::Own(Own::Link((*text).into()))));
    let mut names: BTreeMap<String, Ground> =
        folders.into_iter().chain(links).map(|(name, ground)| (name.to_owned(), ground)).collect();
    let more = extra.iter().filter_map(|path| below(&path.0, "/dev")?.strip_prefix('/'));
    names.extend(NODES.iter().copied().chain(more).map(node));
    names
}

/// Parts of /proc through which the host's kernel is steered (CVE-2025-31133 shows what a writable
/// core_pattern is worth), and whether all that can be written there belongs to the host's root, so
/// that for another target no cover is needed.
pub(crate) const PROC_READ_ONLY: &[(&str, bool)] =
    &[("sys", false), ("sysrq-trigger", true), ("irq", true), ("bus", true), ("fs", true)];

/// Parts of /proc that tell of the host, and whether only the host's root can read them anyway.
pub(crate) const PROC_HIDDEN: &[(&str, Cover, bool)] = &[
    ("acpi", Cover::Folder, false),
    ("asound", Cover::Folder, false),
    ("interrupts", Cover::File, false),
    ("kcore", Cover::File, true),
    ("keys", Cover::File, false),
    ("latency_stats", Cover::File, false),
    ("sched_debug", Cover::File, true),
    ("scsi", Cover::Folder, false),
    ("timer_list", Cover::File, true),
    ("timer_stats", Cover::File, true),
];
