//! `write-execute`, `personality`, `realtime`, `set-id`: one word for refusals on several calls.
//! They are added on top of all other words.

use super::default::set_id;
use super::filter::{Case, Compare, ENOSYS, EPERM, Test};
use super::section::Seccomp;
use crate::language::section::Key;

/// What the shorthands refuse of a call.
pub(super) fn refusals(seccomp: &Seccomp, call: &str) -> Vec<Case> {
    let off = |key: &Key<bool>| key.get().is_some_and(|key| !key.value);
    let mut cases = vec![];
    if off(&seccomp.write_execute) {
        cases.extend(write_execute(call));
    }
    if off(&seccomp.personality) && call == "personality" {
        // PER_LINUX, and the question.
        cases.push(refuse([Test::low(
            0,
            Compare::NoneOf { mask: u64::MAX, values: vec![0, 0xffff_ffff] },
        )]));
    }
    if off(&seccomp.realtime) {
        cases.extend(realtime(call));
    }
    if off(&seccomp.set_id) {
        cases.extend(set_id(call));
    }
    cases
}

fn refuse(tests: impl Into<Vec<Test>>) -> Case {
    Case { tests: tests.into(), verdict: EPERM }
}

/// As a kernel without the call.
fn absent() -> Case {
    Case { tests: vec![], verdict: ENOSYS }
}

/// Memory that could be written is never executed. The file system does its part: what can be
/// written is mounted noexec (see [`mod@crate::plan`]). A memory file is on no mount that could be,
/// so there is none.
fn write_execute(call: &str) -> Option<Case> {
    let both = (libc::PROT_WRITE | libc::PROT_EXEC) as u64;
    let execute = |argument| Test::full(argument, Compare::AnyBit { bits: libc::PROT_EXEC as u64 });
    Some(match call {
        "mmap" => refuse([Test::full(2, Compare::OneOf { mask: both, values: vec![both] })]),
        "mprotect" | "pkey_mprotect" => refuse([execute(2)]),
        "shmat" => refuse([Test::low(2, Compare::AnyBit { bits: libc::SHM_EXEC as u64 })]),
        "memfd_create" => absent(),
        // READ_IMPLIES_EXEC, but for the question.
        "personality" => refuse([
            Test::low(0, Compare::AnyBit { bits: 0x40_0000 }),
            Test::low(0, Compare::NoneOf { mask: u64::MAX, values: vec![0xffff_ffff] }),
        ]),
        _ => return None,
    })
}

/// SCHED_FIFO, SCHED_RR and SCHED_DEADLINE. sched_setattr(2) has the policy behind a pointer; its
/// users turn to sched_setscheduler(2).
fn realtime(call: &str) -> Option<Case> {
    const RESET_ON_FORK: u64 = 0x4000_0000;
    // SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_EXT.
    let ordinary = vec![0, 3, 5, 7];
    match call {
        "sched_setscheduler" => Some(refuse([Test::low(
            1,
            Compare::NoneOf { mask: 0xffff_ffff & !RESET_ON_FORK, values: ordinary },
        )])),
        "sched_setattr" => Some(absent()),
        _ => None,
    }
}
