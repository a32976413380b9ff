//! The minimal /dev, and what of /proc is hidden or read-only.

use crate::step::Cover;

/// Nodes of the host that every program may expect.
pub const NODES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Links of /dev.
pub const LINKS: &[(&str, &str)] =
    &[("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx")];

/// Parts of /proc through which the host's kernel is steered (CVE-2025-31133 shows what a writable core_pattern is worth).
pub const PROC_READ_ONLY: &[&str] = &["sys", "sysrq-trigger", "irq", "bus", "fs"];

/// Parts of /proc that tell of the host.
pub const PROC_HIDDEN: &[(&str, Cover)] = &[
    ("acpi", Cover::Folder),
    ("asound", Cover::Folder),
    ("interrupts", Cover::File),
    ("kcore", Cover::File),
    ("keys", Cover::File),
    ("latency_stats", Cover::File),
    ("sched_debug", Cover::File),
    ("scsi", Cover::Folder),
    ("timer_list", Cover::File),
    ("timer_stats", Cover::File),
];
