//! The floor's walls behind the tree: capabilities, Landlock, seccomp. Of the right size and cost;
//! not of the right content.

use super::{call, close, must};
use std::ffi::{CStr, c_int};

const READ: u64 = 1 | 4 | 8; // execute, read-file, read-dir
const LIST: u64 = 8;
const ALL: u64 = u64::MAX;

const RULES: [(&CStr, u64); 8] = [
    (c"/", LIST),
    (c"/usr", READ),
    (c"/etc", READ),
    (c"/tmp", ALL),
    (c"/proc", ALL),
    (c"/dev", ALL),
    (c"/dev/pts", ALL),
    (c"/dev/shm", ALL),
];

/// Every capability leaves every set.
pub fn drop_capabilities() {
    for capability in 0..41 {
        call!(SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
    let header = [0x2008_0522u32, 0];
    let sets = [0u32; 6];
    call!(SYS_capset, header.as_ptr(), sets.as_ptr());
}

/// A ruleset of the paths above, where the kernel has Landlock.
pub fn landlock() {
    // SAFETY: LANDLOCK_CREATE_RULESET_VERSION takes a null pointer.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u64>(), 0usize, 1u32)
    };
    let handled: u64 = match abi {
        i64::MIN..1 => return,
        1 => 0x1fff,
        2 => 0x3fff,
        _ => 0x7fff,
    };
    let ruleset =
        call!(SYS_landlock_create_ruleset, &raw const handled, size_of_val(&handled), 0u32)
            as c_int;
    for (path, rights) in RULES {
        allow(ruleset, path, rights & handled);
    }
    call!(SYS_landlock_restrict_self, ruleset, 0u32);
    close(ruleset);
}

fn allow(ruleset: c_int, path: &CStr, allowed_access: u64) {
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: c_int,
    }
    let parent_fd =
        call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC, 0)
            as c_int;
    let rule = PathBeneath { allowed_access, parent_fd };
    call!(SYS_landlock_add_rule, ruleset, 1u32, &raw const rule, 0u32);
    close(parent_fd);
}

const LEAVES: usize = 74;
const SIZE: usize = 3 + 2 * LEAVES - 1;

/// A filter of 150 instructions: a binary search, as the kernel runs a filter for every number when
/// it takes it, and a row of comparisons of this length costs half a millisecond there. It refuses
/// only numbers that no program calls.
pub fn seccomp() {
    let filter = filter();
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    must("seccomp", {
        // SAFETY: `program` points at `filter`, and both outlive the call.
        unsafe { libc::syscall(libc::SYS_seccomp, 1u32, 0u32, &raw const program) }
    });
}

fn filter() -> [libc::sock_filter; SIZE] {
    let (load, number, architecture) = (0x20, 0, 4);
    let mut filter = [instruction(load, 0, architecture); SIZE];
    filter[1] = instruction(0x07 /* to X */, 0, 0);
    filter[2] = instruction(load, 0, number);
    search(&mut filter[3..], 0, LEAVES);
    filter
}

/// Writes the search among the leaves from `first` to before `end`; leaf n is the numbers from 6n
/// to before 6n + 6.
fn search(filter: &mut [libc::sock_filter], first: usize, end: usize) {
    let (at_least, give, allow, refuse) =
        (0x35, 0x06, 0x7fff_0000, 0x0005_0000 | libc::EPERM as u32);
    if end - first == 1 {
        filter[0] = instruction(give, 0, if first == LEAVES - 1 { refuse } else { allow });
        return;
    }
    let middle = first.midpoint(end);
    let below = 2 * (middle - first) - 1;
    let bound = if middle == LEAVES - 1 { 600 } else { 6 * middle };
    filter[0] = instruction(at_least, below as u8, bound as u32);
    search(&mut filter[1..], first, middle);
    search(&mut filter[1 + below..], middle, end);
}

fn instruction(code: u16, jt: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf: 0, k }
}
