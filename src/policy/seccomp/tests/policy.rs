//! What the default policy says of single calls, and how it is printed.

use super::*;

fn judge(needs: Needs, call: &str, arguments: &[u64]) -> Verdict {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    default(&needs).judge(Abi::Native.number(call).expect(call), &all)
}

#[test]
fn high_bits_go_round_no_rule() {
    const HIGH: u64 = 0xdead_beef_0000_0000;
    let plain = NEEDS[0];
    let guarded = NEEDS[4];
    let kinds = NEEDS[5];
    let foreign = NEEDS[2];
    for (needs, call, arguments, verdict) in [
        (plain, "ioctl", &[0, HIGH | 0x5412][..], EPERM),
        (plain, "ioctl", &[0, 0x5413], Verdict::Allow),
        (plain, "clone", &[HIGH | 0x1000_0000], EPERM),
        // The thread of glibc, and its fork; the exit signal is no flag.
        (plain, "clone", &[0x003d_0f00], Verdict::Allow),
        (plain, "clone", &[0x0120_0011], Verdict::Allow),
        (plain, "clone", &[0x80], Verdict::Allow),
        (plain, "unshare", &[0x80], EPERM),
        (plain, "unshare", &[0x10_0000], EPERM),
        (plain, "unshare", &[0x600], Verdict::Allow),
        (plain, "unshare", &[HIGH], EPERM),
        (plain, "personality", &[HIGH], Verdict::Allow),
        (plain, "personality", &[0x4_0000], EPERM),
        (plain, "socket", &[HIGH | 40, 1], Verdict::Errno(libc::EAFNOSUPPORT)),
        (plain, "socket", &[1, 0x8_0001], Verdict::Allow),
        (plain, "socket", &[2, 0x8_0801, HIGH | 6], Verdict::Allow),
        (plain, "socket", &[2, 1, 262], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, "socket", &[2, 10, 0], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, "socket", &[16, 3, 0], Verdict::Allow),
        (plain, "socket", &[16, 3, 9], Verdict::Errno(libc::EPROTONOSUPPORT)),
        (plain, "prctl", &[1, 0], Verdict::Allow),
        (guarded, "prctl", &[HIGH | 1, 0], EPERM),
        (plain, "prlimit64", &[0, 4, 1], Verdict::Allow),
        (plain, "prlimit64", &[HIGH | 1, 7, 1], EPERM),
        (plain, "prlimit64", &[1, 7, 0], Verdict::Allow),
        (guarded, "prlimit64", &[0, HIGH | 4, HIGH], Verdict::Errno(0)),
        (guarded, "prlimit64", &[0, HIGH | 4, HIGH, HIGH], Verdict::Errno(libc::EINVAL)),
        (guarded, "prlimit64", &[0, 4, 0], Verdict::Allow),
        (guarded, "prlimit64", &[0, 7, 1], Verdict::Allow),
        (guarded, "setrlimit", &[4, 1], Verdict::Errno(0)),
        (guarded, "fchmodat", &[0, 0, HIGH | 0o4755], EPERM),
        (guarded, "fchmodat", &[0, 0, 0o1777], Verdict::Allow),
        (guarded, "openat", &[0, 0, 0o101, 0o2644], EPERM),
        (guarded, "openat", &[0, 0, 0o2020_0001, 0o4600], EPERM),
        (guarded, "openat", &[0, 0, libc::O_DIRECTORY as u64, 0o6777], Verdict::Allow),
        (plain, "sched_setscheduler", &[HIGH | 1, 5], EPERM),
        (plain, "sched_setscheduler", &[0, 5], Verdict::Allow),
        (plain, "sched_setaffinity", &[1], EPERM),
        (plain, "sched_setaffinity", &[2], Verdict::Allow),
        (plain, "sched_setattr", &[1], EPERM),
        (plain, "sched_setparam", &[1], EPERM),
        (plain, "setpriority", &[0, 0, 5], Verdict::Allow),
        (plain, "setpriority", &[0, 7, 5], Verdict::Allow),
        (plain, "setpriority", &[HIGH, HIGH | 1, 5], EPERM),
        (plain, "setpriority", &[1, 0, 5], EPERM),
        (plain, "setpriority", &[2, 0, 5], EPERM),
        (plain, "ioprio_set", &[1, 0], Verdict::Allow),
        (plain, "ioprio_set", &[1, 1], EPERM),
        (plain, "ioprio_set", &[2, 0], EPERM),
        (plain, "ioprio_set", &[3, 0], EPERM),
        (plain, "shmget", &[], Verdict::Allow),
        (guarded, "sched_setscheduler", &[1, 5], Verdict::Allow),
        (guarded, "setpriority", &[2, 0, 5], Verdict::Allow),
        (foreign, "sched_setscheduler", &[0, 5], Verdict::Allow),
        (foreign, "sched_setscheduler", &[7, 5], EPERM),
        (foreign, "setpriority", &[0, 7], EPERM),
        (foreign, "setpriority", &[2, 0], EPERM),
        (foreign, "shmget", &[], EPERM),
        (foreign, "mq_open", &[], EPERM),
        (foreign, "shmdt", &[], Verdict::Allow),
        (guarded, "openat2", &[], ENOSYS),
        (plain, "openat2", &[], Verdict::Allow),
        (plain, "clone3", &[], ENOSYS),
        // Its flags are behind a pointer, so no list of kinds opens it.
        (guarded, "clone3", &[], ENOSYS),
        (guarded, "clone", &[0x7e02_0000], Verdict::Allow),
        (guarded, "unshare", &[0x7e02_0080], Verdict::Allow),
        (guarded, "unshare", &[0x10_0000], EPERM),
        (guarded, "setns", &[3, 0x7e02_0080], Verdict::Allow),
        (guarded, "setns", &[3, HIGH], EPERM),
        (guarded, "mount", &[], Verdict::Allow),
        (guarded, "fsetxattr", &[], Verdict::Errno(libc::EOPNOTSUPP)),
        (plain, "setns", &[3, 0x1000_0000], EPERM),
        (plain, "setxattr", &[], Verdict::Allow),
        (kinds, "clone", &[0x7000_0011], Verdict::Allow),
        (kinds, "clone", &[HIGH | 0x1002_0011], EPERM),
        (kinds, "unshare", &[0x7000_0000], Verdict::Allow),
        (kinds, "unshare", &[0x1002_0000], EPERM),
        (kinds, "unshare", &[0x10_0000], EPERM),
        (kinds, "unshare", &[0x1000_0080], EPERM),
        (kinds, "setns", &[3, 0], EPERM),
        (kinds, "setns", &[3, HIGH | 0x4000_0000], Verdict::Allow),
        (kinds, "setns", &[3, 0x4002_0000], EPERM),
        (kinds, "setns", &[3, 1], EPERM),
        (kinds, "clone3", &[], ENOSYS),
        (kinds, "chroot", &[], Verdict::Allow),
        (kinds, "sethostname", &[], EPERM),
        (kinds, "open_tree", &[], EPERM),
        (kinds, "umount2", &[], EPERM),
        (guarded, "ptrace", &[], EPERM),
        (plain, "mount", &[], EPERM),
    ] {
        assert_eq!(
            judge(needs, call, arguments),
            verdict,
            "{call}({arguments:#x?}) with {needs:?}"
        );
    }
}

#[test]
fn a_filter_prints_as_lines_and_as_json() {
    let filter = default(&NEEDS[3]);
    let text = filter.to_string();
    for line in [
        "clone: EPERM if u32(arg0) & 0x7e020000 != 0; else allow",
        "prlimit64: errno 0 if u32(arg1) == 0x4 and arg2 != 0 and arg3 == 0x0; EINVAL if u32(arg1) \
         == 0x4 and arg2 != 0; else allow",
        "ENOSYS: cachestat clone3 io_uring_enter io_uring_register io_uring_setup listmount \
         memfd_secret statmount",
        "kill: any other architecture",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\nis not in\n{text}");
    }
    let json = serde_json::to_value(&filter).expect("JSON");
    assert_eq!(json["ptrace"], serde_json::json!({ "cases": [], "otherwise": "EPERM" }));
}
