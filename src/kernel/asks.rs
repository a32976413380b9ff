//! What the kernel itself asks of a system call, behind every filter: the capability, over which
//! namespace, and when (capabilities(7)).
//!
//! Only calls that the default policy refuses, or lets through in part, are here, and no call that
//! acts on namespaces or mounts.

use super::namespace::Kind;

/// What the kernel asks for a call.
#[derive(Debug)]
pub struct Ask {
    pub calls: &'static [&'static str],
    /// The capability, by the kernel's name as profiles write it; none where no kernel has the
    /// call.
    pub capability: Option<&'static str>,
    /// Over what it has to be.
    pub over: Over,
    /// What is done without it.
    pub free: Free,
}

/// Whose user namespace is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The one that owns the caller's namespace of this kind; of the user kind its own.
    Of(Kind),
    /// The initial one, so that no capability of a new user namespace counts (user_namespaces(7)).
    Host,
}

/// Whether the arguments alone say that the capability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Yes,
    No,
    /// The deciding argument is behind a pointer, or differs from kernel to kernel.
    Hidden,
}

/// What is done without the capability.
#[derive(Debug)]
pub enum Free {
    Never,
    /// A part, in words; which arguments belong to it; and the setting of the kernel, at most this,
    /// without which nothing does.
    Partly(&'static str, fn(&[u64; 6]) -> Asked, Option<(&'static str, i64)>),
    /// Only where a setting is at least this, or with these arguments.
    Loosened(&'static str, fn(&[u64; 6]) -> Asked, (&'static str, i64)),
    /// A part on some kernels.
    Perhaps(&'static str, fn(&[u64; 6]) -> Asked),
}

const fn always(calls: &'static [&'static str], capability: &'static str, over: Over) -> Ask {
    Ask { calls, capability: Some(capability), over, free: Free::Never }
}

const fn partly(
    calls: &'static [&'static str],
    capability: &'static str,
    over: Over,
    free: Free,
) -> Ask {
    Ask { calls, capability: Some(capability), over, free }
}

const fn yes_if(asks: bool) -> Asked {
    if asks { Asked::Yes } else { Asked::No }
}

fn hidden(_: &[u64; 6]) -> Asked {
    Asked::Hidden
}

/// Device nodes, but for the whiteout of overlayfs: `vfs_mknod`.
fn makes_device(mode: u64, device: u64) -> Asked {
    let kind = mode as u32 & libc::S_IFMT;
    yes_if(kind == libc::S_IFBLK || (kind == libc::S_IFCHR && device as u32 != 0))
}

/// fanotify_init(2), since Linux 5.13: what reports file ids, without more. Some flags want other
/// capabilities, or are newer.
fn fanotify(arguments: &[u64; 6]) -> Asked {
    const REPORTS_IDS: u64 = 0x1e00;
    const PRIVILEGED: u64 = 0x21bc;
    const OTHERS: u64 = !(REPORTS_IDS | PRIVILEGED | 3) & 0xffff_ffff;
    match arguments[0] {
        flags if flags & PRIVILEGED != 0 => Asked::Yes,
        flags if flags & OTHERS != 0 => Asked::Hidden,
        flags => yes_if(flags & REPORTS_IDS == 0),
    }
}

/// Packet sockets, raw ones of the internet, and XDP's.
fn raw_socket(arguments: &[u64; 6]) -> Asked {
    const AF_XDP: i32 = 44;
    let raw = arguments[1] as i32 & 0xf == libc::SOCK_RAW;
    match arguments[0] as i32 {
        libc::AF_PACKET | AF_XDP => Asked::Yes,
        libc::AF_INET | libc::AF_INET6 => yes_if(raw),
        _ => Asked::No,
    }
}

/// A handle of a process is free since Linux 6.14, and one of a directory may be since 6.11.
fn handle(arguments: &[u64; 6]) -> Asked {
    const FD_PIDFS_ROOT: i32 = -10002;
    let may_be_free =
        arguments[0] as i32 == FD_PIDFS_ROOT || arguments[2] as i32 & libc::O_DIRECTORY != 0;
    if may_be_free { Asked::Hidden } else { Asked::Yes }
}

/// prctl(2): PR_SET_MM, but for the map as a whole and its size.
fn set_mm(arguments: &[u64; 6]) -> Asked {
    yes_if(
        arguments[0] as i32 == libc::PR_SET_MM
            && ![libc::PR_SET_MM_MAP, libc::PR_SET_MM_MAP_SIZE].contains(&(arguments[1] as i32)),
    )
}

/// The table. `tests/why.rs` makes each call inside, as root and as a user.
pub const ASKS: &[Ask] = &[
    always(&["chroot"], "sys-chroot", Over::Of(Kind::User)),
    // Of a pid namespace of its own it ends pid 1, and nothing of the host's (reboot(2)).
    always(&["reboot"], "sys-boot", Over::Of(Kind::Pid)),
    partly(
        &["socket"],
        "net-raw",
        Over::Of(Kind::Net),
        Free::Partly("sockets that are neither raw nor of packets", raw_socket, None),
    ),
    always(&["acct"], "sys-pacct", Over::Host),
    always(&["clock_settime", "settimeofday"], "sys-time", Over::Host),
    partly(
        &["adjtimex", "clock_adjtime"],
        "sys-time",
        Over::Host,
        Free::Partly("reading the clock's state", hidden, None),
    ),
    always(&["lookup_dcookie", "swapoff", "swapon"], "sys-admin", Over::Host),
    always(&["delete_module", "finit_module", "init_module"], "sys-module", Over::Host),
    always(&["kexec_file_load", "kexec_load"], "sys-boot", Over::Host),
    always(&["vhangup"], "sys-tty-config", Over::Host),
    partly(
        &["ioperm"],
        "sys-rawio",
        Over::Host,
        Free::Partly("giving a port back", |arguments| yes_if(arguments[2] as i32 != 0), None),
    ),
    partly(
        &["iopl"],
        "sys-rawio",
        Over::Host,
        Free::Partly("level 0", |arguments| yes_if(arguments[0] as u32 != 0), None),
    ),
    partly(
        &["syslog"],
        "syslog",
        Over::Host,
        Free::Partly(
            "reading the kernel's log (3 and 10)",
            |arguments| yes_if(![3, 10].contains(&(arguments[0] as i32))),
            Some(("kernel/dmesg_restrict", 0)),
        ),
    ),
    partly(
        &["fanotify_init"],
        "sys-admin",
        Over::Host,
        Free::Partly("a group that reports file ids (FAN_REPORT_FID)", fanotify, None),
    ),
    partly(
        &["open_by_handle_at"],
        "dac-read-search",
        Over::Host,
        Free::Perhaps("a handle of a process or a directory on newer kernels", handle),
    ),
    partly(
        &["perf_event_open"],
        "perfmon",
        Over::Host,
        Free::Partly(
            "what kernel.perf_event_paranoid leaves to all",
            hidden,
            Some(("kernel/perf_event_paranoid", 2)),
        ),
    ),
    // Making maps and loading programs; the other commands need a map or program that was made so.
    partly(
        &["bpf"],
        "bpf",
        Over::Host,
        Free::Loosened(
            "commands on what others made",
            |arguments| {
                if [0, 5].contains(&(arguments[0] as i32)) { Asked::Yes } else { Asked::Hidden }
            },
            ("kernel/unprivileged_bpf_disabled", 0),
        ),
    ),
    partly(
        &["userfaultfd"],
        "sys-ptrace",
        Over::Host,
        Free::Loosened(
            "UFFD_USER_MODE_ONLY",
            |arguments| yes_if(arguments[0] & 1 == 0),
            ("vm/unprivileged_userfaultfd", 1),
        ),
    ),
    partly(
        &["quotactl", "quotactl_fd"],
        "sys-admin",
        Over::Host,
        Free::Partly("reading one's own quota, and sync", hidden, None),
    ),
    partly(
        &["prctl"],
        "sys-resource",
        Over::Host,
        Free::Partly("all but single fields by PR_SET_MM", set_mm, None),
    ),
    partly(
        &["mknod"],
        "mknod",
        Over::Host,
        Free::Partly(
            "files that are no devices",
            |arguments| makes_device(arguments[1], arguments[2]),
            None,
        ),
    ),
    partly(
        &["mknodat"],
        "mknod",
        Over::Host,
        Free::Partly(
            "files that are no devices",
            |arguments| makes_device(arguments[2], arguments[3]),
            None,
        ),
    ),
    partly(
        &["mbind", "move_pages"],
        "sys-nice",
        Over::Host,
        Free::Partly("pages of the process alone", |arguments| yes_if(arguments[5] & 4 != 0), None),
    ),
    // Names without a call behind them (unimplemented(2)), and sysctl(2), which Linux 5.5 removed.
    Ask {
        calls: &[
            "_sysctl",
            "afs_syscall",
            "create_module",
            "epoll_ctl_old",
            "epoll_wait_old",
            "get_kernel_syms",
            "getpmsg",
            "nfsservctl",
            "putpmsg",
            "query_module",
            "security",
            "tuxcall",
            "vserver",
        ],
        capability: None,
        over: Over::Host,
        free: Free::Never,
    },
];

/// What the kernel asks for a call.
pub(crate) fn of(name: &str) -> Option<&'static Ask> {
    ASKS.iter().find(|ask| ask.calls.contains(&name))
}

impl Ask {
    /// Whether the capability is asked for: with these arguments, or with any; `sysctl` reads a
    /// setting of the kernel. The words say what is free.
    pub fn asked(
        &self,
        arguments: Option<&[u64; 6]>,
        sysctl: fn(&str) -> Option<i64>,
    ) -> (Asked, &'static str) {
        match (&self.free, arguments) {
            (Free::Never, _) => (Asked::Yes, ""),
            (Free::Partly(words, _, Some((name, most))), _)
                if sysctl(name).is_some_and(|value| value > *most) =>
            {
                (Asked::Yes, words)
            }
            (Free::Loosened(words, _, (name, value)), _) if sysctl(name) == Some(*value) => {
                (if arguments.is_some() { Asked::Hidden } else { Asked::No }, words)
            }
            (Free::Partly(words, ..) | Free::Loosened(words, ..), None) => (Asked::No, words),
            (Free::Perhaps(words, _), None) => (Asked::Hidden, words),
            (
                Free::Partly(words, asks, _)
                | Free::Loosened(words, asks, _)
                | Free::Perhaps(words, asks),
                Some(arguments),
            ) => (asks(arguments), words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::capability::Capability;
    use crate::kernel::syscalls::TABLE;
    use crate::language::value::Written;

    #[test]
    fn rows_name_calls_and_capabilities_once() {
        let mut seen = std::collections::BTreeSet::new();
        for ask in ASKS {
            assert!(
                ask.capability.is_none_or(|name| Capability::from_text(name).is_ok()),
                "{ask:?}"
            );
            for call in ask.calls {
                assert!(
                    TABLE.iter().any(|known| known.name == *call) && seen.insert(*call),
                    "{call}"
                );
            }
        }
    }
}
