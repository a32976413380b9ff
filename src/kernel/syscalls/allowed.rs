//! What the default policy does with each system call, whatever its arguments: the lists. Rules on
//! arguments are not here.
//!
//! An allow list in the spirit of docker's and podman's default profile and of systemd's
//! `@system-service`, and smaller than each. What is not in it is refused, so a call that a newer
//! kernel brings is closed until it has been reviewed.

/// What the default policy allows, whatever the arguments, by topic.
#[rustfmt::skip]
pub(crate) const ALLOWED: &[(&str, &[&str])] = &[
    // close_range and the *at forms are what newer libraries call first. Not name_to_handle_at and
    // open_by_handle_at: a handle goes round every mount (shocker, 2014). Not chroot: it needs a
    // capability, and with it leads out of a root that is only chroot's.
    (
        "files and directories",
        &[
            "chdir", "close", "close_range", "copy_file_range", "dup", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate",
            "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "file_getattr", "file_setattr",
            "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents64", "linkat", "lseek", "mkdirat", "mknodat",
            "openat", "openat2", "pipe2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead",
            "readlinkat", "readv", "renameat", "renameat2", "sendfile", "splice", "statfs", "statx", "symlinkat", "sync",
            "sync_file_range", "syncfs", "tee", "truncate", "umask", "unlinkat", "utimensat", "vmsplice", "write", "writev",
        ],
    ),
    // The kernel checks the name: security.* and trusted.* need capabilities, system.* the file's
    // owner (xattr(7)).
    (
        "extended attributes",
        &[
            "fgetxattr", "flistxattr", "fremovexattr", "fsetxattr", "getxattr", "getxattrat", "lgetxattr", "listxattr", "listxattrat",
            "llistxattr", "lremovexattr", "lsetxattr", "removexattr", "removexattrat", "setxattr", "setxattrat",
        ],
    ),
    // Kernel AIO stays for nginx and databases: unlike io_uring its commands are reads, writes,
    // syncs and polls of open files.
    (
        "events and asynchronous I/O",
        &[
            "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "eventfd2", "inotify_add_watch", "inotify_init1",
            "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit", "ppoll",
            "pselect6", "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
        ],
    ),
    // Families are chosen at socket(2), which has a rule.
    (
        "sockets",
        &[
            "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recvfrom", "recvmmsg",
            "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
        ],
    ),
    // Not userfaultfd: it stops the kernel in the middle of a copy, which wins races for exploits
    // (CVE-2016-6187 and since). Not process_madvise: it reaches other processes. Not mbind,
    // set_mempolicy, get_mempolicy, move_pages and migrate_pages (CVE-2017-7616, CVE-2023-4611):
    // libnuma takes EPERM from get_mempolicy for a machine without NUMA, so all of them go
    // together. Not remap_file_pages, which the kernel only emulates since 4.0.
    (
        "memory",
        &[
            "brk", "madvise", "map_shadow_stack", "memfd_create", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mprotect",
            "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
        ],
    ),
    // Not ptrace, process_vm_*, pidfd_getfd and kcmp: they open other processes; debuggers ask for
    // them. Not setns.
    (
        "processes",
        &[
            "execve", "execveat", "exit", "exit_group", "get_robust_list", "getpgid", "getpid", "getppid", "getpriority", "getrlimit",
            "getrusage", "getsid", "gettid", "kill", "pidfd_open", "pidfd_send_signal", "prlimit64", "restart_syscall",
            "set_robust_list", "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid", "times", "wait4", "waitid",
        ],
    ),
    // The ids and capabilities that a process may take are those it has: this only gives them up.
    (
        "identity",
        &[
            "capget", "capset", "getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid", "getuid", "setfsgid", "setfsuid",
            "setgid", "setgroups", "setregid", "setresgid", "setresuid", "setreuid", "setuid",
        ],
    ),
    // Real time needs RLIMIT_RTPRIO or a capability (sched(7)), idle I/O nothing (ioprio_set(2)).
    (
        "scheduling",
        &[
            "getcpu", "ioprio_get", "ioprio_set", "membarrier", "rseq", "sched_get_priority_max", "sched_get_priority_min",
            "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
            "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
        ],
    ),
    // The namespaces of ipc and, for mq_*, of mounts keep these apart from the host's.
    (
        "futexes, System V and POSIX IPC",
        &[
            "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "mq_getsetattr", "mq_notify", "mq_open",
            "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop",
            "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
        ],
    ),
    (
        "signals",
        &[
            "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
            "rt_tgsigqueueinfo", "sigaltstack", "tgkill", "tkill",
        ],
    ),
    // Reading clocks; no call that sets or slews one: settimeofday, clock_settime, adjtimex and
    // clock_adjtime act on the host's.
    (
        "time",
        &[
            "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday", "nanosleep", "setitimer", "timer_create",
            "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
        ],
    ),
    // Landlock and seccomp only narrow. lsm_get_self_attr and lsm_list_modules read;
    // lsm_set_self_attr would change a label.
    (
        "the system, and restrictions of the target's own",
        &[
            "getrandom", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lsm_get_self_attr",
            "lsm_list_modules", "seccomp", "sysinfo", "uname",
        ],
    ),
    // The kernel's own uprobes make a traced program call uprobe and uretprobe; a filter that
    // refuses them kills it (Linux before 6.14 asks the filter). They do nothing when called from
    // elsewhere.
    (
        "calls of x86_64, for which newer machines have others",
        &[
            "access", "alarm", "arch_prctl", "chmod", "chown", "creat", "dup2", "epoll_create", "epoll_wait", "eventfd", "fork",
            "futimesat", "getdents", "getpgrp", "inotify_init", "lchown", "link", "lstat", "mkdir", "mknod", "newfstatat", "open",
            "pause", "pipe", "poll", "readlink", "rename", "rmdir", "select", "signalfd", "stat", "symlink", "time", "unlink", "uprobe",
            "uretprobe", "utime", "utimes", "vfork",
        ],
    ),
    // A 32-bit program keeps its threads' memory by these two. On x86_64 itself the kernel has
    // neither.
    ("calls of x86 alone", &["get_thread_area", "set_thread_area"]),
];

/// What a sandbox may call in addition where `namespaces.nested` lists a kind, by the kind. The
/// kernel requires a capability for each, which the target has only in a user namespace that it
/// made. Without "mount" the whole mount API stays refused: a mount namespace can be made without
/// CLONE_NEWNS, by open_tree(2) with OPEN_TREE_NAMESPACE and setns(2) (Linux 7.0).
#[rustfmt::skip]
pub(crate) const NESTED: &[(&str, &[&str])] = &[
    ("user", &["chroot"]),
    (
        "mount",
        &[
            "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root", "umount2",
        ],
    ),
    ("uts", &["setdomainname", "sethostname"]),
];

/// Refused with ENOSYS, because programs have a way without them and take only this errno for "not
/// here".
///
/// clone3 keeps its flags behind a pointer, which no filter can follow safely; glibc turns to
/// clone(2) on ENOSYS alone (CVE-2021-41133 is the filter without it). io_uring does its work where
/// no filter sees it; its users have a way for kernels before 5.1 and for those built without it,
/// which say ENOSYS. cachestat reported of every file that can be opened for reading whether it is
/// cached (CVE-2025-21691); fincore turns to mincore. listmount and statmount name the host's
/// directories behind the binds, also where no proc is mounted; libmount turns to
/// /proc/self/mountinfo. memfd_secret keeps the whole host from hibernating.
#[rustfmt::skip]
pub(crate) const ABSENT: &[&str] = &[
    "cachestat", "clone3", "io_uring_enter", "io_uring_register", "io_uring_setup", "listmount", "memfd_secret", "statmount",
];

/// Calls that give a file its mode bits, with the argument that holds them.
pub(crate) const MODES: &[(&str, u8)] = &[
    ("chmod", 1),
    ("creat", 1),
    ("fchmod", 1),
    ("fchmodat", 2),
    ("fchmodat2", 2),
    ("mknod", 1),
    ("mknodat", 2),
];

/// Calls that make a file where their flags say so, with the argument of the flags; the mode bits
/// are in the next.
pub(crate) const OPENS: &[(&str, u8)] = &[("open", 1), ("openat", 2)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::syscalls::TABLE;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_holds_each_call_once_and_none_of_the_refused() {
        let mut seen = BTreeSet::new();
        for call in ALLOWED.iter().flat_map(|(_, calls)| *calls) {
            assert!(seen.insert(*call), "{call} stands there twice");
            let nested = NESTED.iter().any(|(_, calls)| calls.contains(call));
            assert!(!ABSENT.contains(call) && !nested, "{call} is allowed and refused");
        }
        assert!((250..335).contains(&seen.len()), "{}", seen.len());
    }

    #[test]
    fn lists_are_in_the_order_of_the_alphabet_and_name_calls() {
        for (topic, calls) in ALLOWED.iter().chain(NESTED).copied().chain([("absent", ABSENT)]) {
            assert!(calls.is_sorted(), "{topic}");
            for call in calls {
                assert!(TABLE.iter().any(|known| known.name == *call), "{call} is not a call");
            }
        }
    }

    #[test]
    fn dangerous_calls_are_in_no_list() {
        let dangerous = "_sysctl acct add_key adjtimex bpf chroot clock_adjtime clock_settime \
                         clone clone3 delete_module fanotify_init fanotify_mark fchroot \
                         finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module \
                         io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp \
                         kexec_file_load kexec_load keyctl listns lookup_dcookie lsm_set_self_attr \
                         mbind migrate_pages modify_ldt mount mount_setattr move_mount move_pages \
                         name_to_handle_at nfsservctl open_by_handle_at open_tree open_tree_attr \
                         perf_event_open personality pidfd_getfd pivot_root process_madvise \
                         process_mrelease process_vm_readv process_vm_writev prctl ptrace quotactl \
                         quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node \
                         setdomainname sethostname setns settimeofday socket socketpair swapoff \
                         swapon sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup ioctl";
        for call in dangerous.split_whitespace() {
            let listed =
                ALLOWED.iter().flat_map(|(_, calls)| *calls).any(|allowed| *allowed == call);
            assert!(!listed, "{call} is allowed whatever its arguments");
            assert!(TABLE.iter().any(|known| known.name == call), "{call} is not a call");
        }
    }
}
