//! What a process does to itself: namespaces, ids, capabilities, limits, Landlock, the filter.

use super::Slot;
use crate::host::streams::Anew;
use crate::kernel::capability::{CapabilitySet, SECUREBITS};
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::{Rights, port_words};
use crate::language::value::Mode;
use serde::Serialize;
use std::fmt;

/// How a file is made that the target writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Of one that is not there, less the caller's umask.
    pub mode: Mode,
    /// Whether what is there stays.
    pub append: bool,
}

/// A standard stream (0, 1 or 2), the file of the host's that takes its place, and how that is made;
/// nothing where it is read.
pub(crate) type FileStream<'a> = (u32, &'a Name, Option<Made>);

/// An operation on the process that does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum ProcessOp {
    /// `0` to `tasks` (version 1). A group of version 2 is entered by the clone itself
    /// (CLONE_INTO_CGROUP).
    EnterGroup { slot: Slot },
    /// unshare(CLONE_NEWCGROUP), within the groups, so that they are the top of what the sandbox
    /// sees (cgroup_namespaces(7)).
    CgroupNamespace,
    /// setns(2).
    JoinNamespace {
        kind: Kind,
        /// The file that stands for it.
        path: Name,
    },
    /// unshare(CLONE_NEWTIME), then `/proc/self/timens_offsets`; children are in it
    /// (time_namespaces(7)).
    TimeNamespace {
        /// Milliseconds for CLOCK_MONOTONIC.
        monotonic: i64,
        /// Milliseconds for CLOCK_BOOTTIME.
        boottime: i64,
    },
    /// `/proc/self/oom_score_adj`.
    OomScoreAdj {
        /// -1000 to 1000.
        score: i32,
    },
    /// 0 into the kind's limit in `/proc/sys/user`, which is the new user namespace's own
    /// (namespaces(7)).
    ForbidNamespaces { kind: Kind },
    /// Opens a kind's limit, while the old proc is in sight.
    OpenLimit {
        /// Where the descriptor goes.
        slot: Slot,
        kind: Kind,
    },
    /// 0 into a limit that is open.
    WriteLimit {
        /// Where it is open.
        slot: Slot,
        kind: Kind,
    },
    /// setgroups(2).
    Groups {
        /// As they are called inside.
        groups: Vec<u32>,
    },
    /// setresgid(2), then setresuid(2).
    Ids {
        /// As it is called inside.
        user: u32,
        /// As it is called inside.
        group: u32,
    },
    /// setfsgid(2), then setfsuid(2): the owner of files that root still makes.
    FileIds {
        /// The host's.
        user: u32,
        /// The host's.
        group: u32,
    },
    /// The loopback interface up.
    Loopback,
    /// sethostname(2).
    HostName { name: Name },
    /// setdomainname(2).
    DomainName { name: Name },
    /// PR_CAPBSET_DROP for all but these.
    Bounding {
        /// What stays.
        keep: CapabilitySet,
    },
    /// PR_SET_KEEPCAPS: capabilities survive the change of ids that follows.
    KeepCapabilities,
    /// capset(2), the ambient set, then PR_SET_SECUREBITS while CAP_SETPCAP is still there.
    Capabilities {
        /// `SECBIT_*`.
        bits: u32,
        /// Permitted, effective and inheritable.
        keep: CapabilitySet,
        /// Ambient.
        ambient: CapabilitySet,
        /// Whether the effective set is raised first: a change of ids has emptied it, or ambient
        /// ones are to be set.
        raise: bool,
    },
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
    /// A new session without terminal (setsid(2)), or a process group of its own (setpgid(2)).
    Session {
        /// Whether it is a session.
        new: bool,
    },
    /// `/dev/null` for a standard stream.
    NullStream {
        /// 0, 1 or 2.
        fd: u32,
    },
    /// A file of the host's for a standard stream, which the launcher has opened.
    FileStream {
        /// 0, 1 or 2.
        fd: u32,
        path: Name,
        /// How it is made; nothing where it is read.
        made: Option<Made>,
    },
    /// The caller's terminal, opened anew for writing alone.
    WriteOnlyStream {
        /// 1 or 2.
        fd: u32,
        /// How.
        by: Anew,
    },
    /// An empty session keyring (keyrings(7)).
    NewKeyring,
    /// umask(2).
    Umask {
        /// The bits that are removed.
        mask: Mode,
    },
    /// setpriority(2).
    Nice {
        /// -20 to 19.
        value: i32,
    },
    /// ioprio_set(2).
    IoPriority {
        /// Class and level.
        value: u16,
    },
    /// sched_setscheduler(2).
    Scheduler {
        /// `SCHED_*`.
        policy: i32,
        /// 0, or 1 to 99.
        priority: i32,
    },
    /// chdir(2).
    WorkingDirectory { path: Name },
    /// setrlimit(2).
    Rlimit {
        /// The profile's word.
        name: &'static str,
        /// `RLIMIT_*`.
        resource: u32,
        /// In the kernel's unit.
        soft: u64,
        /// In the kernel's unit.
        hard: u64,
    },
    /// Signal actions, mask and personality as a fresh process has them.
    FreshState,
    /// Every descriptor above 2 closes at exec, but these.
    CloseDescriptors {
        /// What stays.
        keep: Vec<u32>,
    },
    /// Reads back what was set: no_new_privs, capability sets, ids.
    ReadBack {
        /// What the permitted set must be.
        keep: CapabilitySet,
        /// What the ambient set must be.
        ambient: CapabilitySet,
        /// Whether no_new_privs must be on.
        no_new_privs: bool,
        /// User and group as they are called inside.
        ids: (u32, u32),
    },
    /// landlock_add_rule(2) for a port.
    LandlockPort {
        /// The right, as the kernel's bit.
        access: u64,
        port: u16,
    },
    /// landlock_add_rule(2) for an inherited descriptor: what it was opened for, and no more.
    LandlockStream {
        /// 0, 1 or 2.
        fd: u32,
        /// What is granted.
        rights: Rights,
    },
    /// landlock_restrict_self(2).
    RestrictSelf {
        /// Whether the kernel's audit log records what is denied.
        audit: bool,
    },
    /// seccomp(2) with the filter of the plan.
    Filter,
    /// What a rehearsal does in the place of execve(2): it looks whether there is something to
    /// execute.
    FindProgram {
        /// Where it may be, in the order of the search.
        candidates: Vec<Name>,
    },
}

/// Properties of an operation for code other than its executor.
#[derive(Default)]
pub(crate) struct Facets<'a> {
    /// The namespace that it makes in the place of the clone.
    pub unshares: Option<Kind>,
    /// The kind of namespace whose limit it sets to 0.
    pub forbids: Option<Kind>,
    /// The capabilities that it keeps and raises, and their SECBIT_* flags.
    pub capabilities: Option<(CapabilitySet, CapabilitySet, u32)>,
    /// The working directory inside.
    pub cwd: Option<&'a Name>,
    /// Whether it opens `/dev/null` for a standard stream.
    pub null_stream: bool,
    /// The standard stream in whose place it puts a file of the host's, and how that is made.
    pub file_stream: Option<FileStream<'a>>,
    /// The descriptors above 2 that it leaves open.
    pub passes: Option<&'a [u32]>,
    /// The use of a port that Landlock allows by it.
    pub port: Option<(u64, u16)>,
}

impl ProcessOp {
    /// The one list of the properties of each operation: a new one must be added here.
    pub(crate) fn facets(&self) -> Facets<'_> {
        let none = Facets::default();
        match self {
            ProcessOp::CgroupNamespace => Facets { unshares: Some(Kind::Cgroup), ..none },
            ProcessOp::TimeNamespace { .. } => Facets { unshares: Some(Kind::Time), ..none },
            ProcessOp::ForbidNamespaces { kind } | ProcessOp::WriteLimit { kind, .. } => {
                Facets { forbids: Some(*kind), ..none }
            }
            ProcessOp::Capabilities { keep, ambient, bits, .. } => {
                Facets { capabilities: Some((*keep, *ambient, *bits)), ..none }
            }
            ProcessOp::WorkingDirectory { path } => Facets { cwd: Some(path), ..none },
            ProcessOp::NullStream { .. } => Facets { null_stream: true, ..none },
            ProcessOp::FileStream { fd, path, made } => {
                Facets { file_stream: Some((*fd, path, *made)), ..none }
            }
            ProcessOp::CloseDescriptors { keep } => Facets { passes: Some(keep), ..none },
            ProcessOp::LandlockPort { access, port } => {
                Facets { port: Some((*access, *port)), ..none }
            }
            ProcessOp::EnterGroup { .. }
            | ProcessOp::JoinNamespace { .. }
            | ProcessOp::OomScoreAdj { .. }
            | ProcessOp::OpenLimit { .. }
            | ProcessOp::Groups { .. }
            | ProcessOp::Ids { .. }
            | ProcessOp::FileIds { .. }
            | ProcessOp::Loopback
            | ProcessOp::HostName { .. }
            | ProcessOp::DomainName { .. }
            | ProcessOp::Bounding { .. }
            | ProcessOp::KeepCapabilities
            | ProcessOp::NoNewPrivs
            | ProcessOp::Session { .. }
            | ProcessOp::WriteOnlyStream { .. }
            | ProcessOp::NewKeyring
            | ProcessOp::Umask { .. }
            | ProcessOp::Nice { .. }
            | ProcessOp::IoPriority { .. }
            | ProcessOp::Scheduler { .. }
            | ProcessOp::Rlimit { .. }
            | ProcessOp::FreshState
            | ProcessOp::ReadBack { .. }
            | ProcessOp::LandlockStream { .. }
            | ProcessOp::RestrictSelf { .. }
            | ProcessOp::Filter
            | ProcessOp::FindProgram { .. } => none,
        }
    }
}

impl fmt::Display for ProcessOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessOp::EnterGroup { .. } => f.write_str("enter the control group"),
            ProcessOp::CgroupNamespace => f.write_str("start a cgroup namespace"),
            ProcessOp::JoinNamespace { kind, path } => {
                write!(f, "join the {} namespace of {path}", kind.word())
            }
            ProcessOp::TimeNamespace { monotonic, boottime } => {
                write!(f, "move the clocks: monotonic by {monotonic}ms, boottime by {boottime}ms")
            }
            ProcessOp::OomScoreAdj { score } => {
                write!(f, "set the OOM score adjustment to {score}")
            }
            ProcessOp::OpenLimit { kind, .. } => {
                write!(f, "open the limit on {} namespaces inside", kind.word())
            }
            ProcessOp::ForbidNamespaces { kind } | ProcessOp::WriteLimit { kind, .. } => {
                write!(f, "forbid {} namespaces inside", kind.word())
            }
            ProcessOp::Groups { groups } if groups.is_empty() => {
                f.write_str("drop all supplementary groups")
            }
            ProcessOp::Groups { groups } => {
                write!(f, "set supplementary groups {}", numbers(groups))
            }
            ProcessOp::Ids { user, group } => write!(f, "become user {user}, group {group}"),
            ProcessOp::FileIds { user, group } => {
                write!(f, "make files as user {user}, group {group}")
            }
            ProcessOp::Loopback => f.write_str("bring lo up"),
            ProcessOp::HostName { name } => write!(f, "set the host name to {name}"),
            ProcessOp::DomainName { name } => write!(f, "set the domain name to {name}"),
            ProcessOp::Bounding { keep } => write!(f, "drop the bounding set to: {keep}"),
            ProcessOp::KeepCapabilities => f.write_str("keep capabilities over the change of ids"),
            ProcessOp::Capabilities { keep, ambient, bits, .. } => {
                let set = SECUREBITS.iter().filter(|(_, bit)| bits & bit == *bit);
                let names: Vec<&str> = set.map(|(name, _)| *name).collect();
                let bits = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                write!(
                    f,
                    "keep capabilities: {keep}; ambient: {ambient}; securebits locked: {bits}"
                )
            }
            ProcessOp::NoNewPrivs => f.write_str("set no_new_privs"),
            ProcessOp::Session { new: true } => f.write_str("start a session without terminal"),
            ProcessOp::Session { new: false } => f.write_str("start a process group"),
            ProcessOp::NullStream { fd } => write!(f, "open /dev/null as descriptor {fd}"),
            ProcessOp::FileStream { fd, path, made } => {
                let verb = match made {
                    None => "read",
                    Some(Made { append: true, .. }) => "append to",
                    Some(Made { append: false, .. }) => "write",
                };
                let stream = ["input", "output", "error"].get(*fd as usize).unwrap_or(&"stream");
                write!(f, "{verb} {path} as standard {stream}")
            }
            ProcessOp::WriteOnlyStream { fd, by } => {
                let by = if *by == Anew::Controlling { " by /dev/tty" } else { "" };
                write!(f, "open the terminal anew{by} as descriptor {fd}, for writing alone")
            }
            ProcessOp::NewKeyring => f.write_str("start an empty session keyring"),
            ProcessOp::Umask { mask } => write!(f, "set the umask to {mask}"),
            ProcessOp::Nice { value } => write!(f, "set the nice value to {value}"),
            ProcessOp::IoPriority { value } => {
                write!(f, "set the I/O priority to class {} level {}", value >> 13, value & 0x1fff)
            }
            ProcessOp::Scheduler { policy, priority } => {
                write!(f, "set scheduling policy {policy} with priority {priority}")
            }
            ProcessOp::WorkingDirectory { path } => write!(f, "enter {path}"),
            ProcessOp::Rlimit { name, soft, hard, .. } => {
                write!(f, "set rlimit {name} to {} (hard {})", Limit(*soft), Limit(*hard))
            }
            ProcessOp::FreshState => f.write_str("reset signals and personality"),
            ProcessOp::CloseDescriptors { keep } if keep.is_empty() => {
                f.write_str("close every descriptor above 2")
            }
            ProcessOp::CloseDescriptors { keep } => {
                write!(f, "close every descriptor above 2 but {}", numbers(keep))
            }
            ProcessOp::ReadBack { .. } => {
                f.write_str("read back ids, capabilities and no_new_privs")
            }
            ProcessOp::LandlockPort { access, port } => {
                write!(f, "let Landlock allow to {} port {port}", port_words(*access))
            }
            ProcessOp::LandlockStream { fd, rights } => {
                write!(f, "let Landlock allow {rights} of descriptor {fd}")
            }
            ProcessOp::RestrictSelf { audit: false } => f.write_str("enforce Landlock"),
            ProcessOp::RestrictSelf { audit: true } => {
                f.write_str("enforce Landlock, and log what it denies")
            }
            ProcessOp::Filter => f.write_str("enforce the system call filter"),
            ProcessOp::FindProgram { .. } => f.write_str("find the program"),
        }
    }
}

fn numbers(list: &[u32]) -> String {
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// A limit of setrlimit(2).
struct Limit(u64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == u64::MAX { f.write_str("unlimited") } else { self.0.fmt(f) }
    }
}
