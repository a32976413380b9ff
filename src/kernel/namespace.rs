//! Kinds of namespaces (namespaces(7)).

use std::ffi::CStr;

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ids and capabilities.
    User,
    Mount,
    /// Process numbers.
    Pid,
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// The view of control groups.
    Cgroup,
    /// Monotonic and boot clocks.
    Time,
}

impl Kind {
    /// Every kind, in the order in which they are joined: the user namespace first, as it may own
    /// the others, the mount namespace last, as entering it moves root and working directory
    /// (setns(2)).
    pub const ALL: [Kind; 8] = [
        Kind::User,
        Kind::Ipc,
        Kind::Uts,
        Kind::Net,
        Kind::Cgroup,
        Kind::Time,
        Kind::Pid,
        Kind::Mount,
    ];

    /// The `CLONE_NEW*` flag.
    pub const fn flag(self) -> u64 {
        (match self {
            Kind::User => libc::CLONE_NEWUSER,
            Kind::Mount => libc::CLONE_NEWNS,
            Kind::Pid => libc::CLONE_NEWPID,
            Kind::Net => libc::CLONE_NEWNET,
            Kind::Ipc => libc::CLONE_NEWIPC,
            Kind::Uts => libc::CLONE_NEWUTS,
            Kind::Cgroup => libc::CLONE_NEWCGROUP,
            Kind::Time => CLONE_NEWTIME,
        }) as u64
    }

    /// The limit of a user namespace on this kind (namespaces(7)).
    pub fn limit(self) -> &'static CStr {
        match self {
            Kind::User => c"/proc/sys/user/max_user_namespaces",
            Kind::Mount => c"/proc/sys/user/max_mnt_namespaces",
            Kind::Pid => c"/proc/sys/user/max_pid_namespaces",
            Kind::Net => c"/proc/sys/user/max_net_namespaces",
            Kind::Ipc => c"/proc/sys/user/max_ipc_namespaces",
            Kind::Uts => c"/proc/sys/user/max_uts_namespaces",
            Kind::Cgroup => c"/proc/sys/user/max_cgroup_namespaces",
            Kind::Time => c"/proc/sys/user/max_time_namespaces",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Mount => "mount",
            Kind::Pid => "pid",
            Kind::Net => "net",
            Kind::Ipc => "ipc",
            Kind::Uts => "uts",
            Kind::Cgroup => "cgroup",
            Kind::Time => "time",
        }
    }
}

/// `CLONE_NEWTIME` (linux/sched.h); libc has it not for every target.
const CLONE_NEWTIME: i32 = 0x80;
