//! The operations that a plan is made of, each about the size of a system call.
//!
//! Their `Display` is what `stockade plan` prints and what an error says:
//! `cannot <op>: <errno in words>`. They hold everything that the kernel will be given, as C
//! strings, so that nothing is allocated between clone and exec. They do nothing themselves.

pub(crate) mod draft;

use crate::host::streams::Anew;
use crate::host::systemd::Route;
use crate::kernel::attrs::Attrs;
use crate::kernel::capability::CapabilitySet;
use crate::kernel::controller::{Controller, Version};
use crate::kernel::device::Node;
use crate::kernel::name::{Inode, Name};
use crate::kernel::namespace::Kind;
use crate::kernel::proc::HidePid;
use crate::kernel::rights::{Rights, port_words};
use crate::language::value::{Mode, Size};
use crate::text::source::Span;
use serde::{Serialize, Serializer};
use std::fmt;

/// One thing to do, when, and which text asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub stage: Stage,
    /// What.
    pub op: Op,
    /// The line of the profile that asked for it, or nowhere for stockade's own.
    pub at: Span,
}

/// The stages of a start, in order. [`crate::plan::ORDER`] gives the reason of each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The caller's terminal is opened anew, for writing alone.
    Terminal,
    /// Control groups are made, and their limits set.
    Limits,
    /// Host-owned namespaces are entered.
    Join,
    /// The sandbox enters its control groups.
    Group,
    /// What the profile binds is opened.
    Sources,
    /// What only a process with the caller's credentials may write.
    Enter,
    /// The ids that own all that is made from here on.
    Ids,
    /// The file tree, and the rest of the world that the target sees.
    World,
    /// The old root goes.
    Pivot,
    /// Landlock's rules are collected.
    Rules,
    /// Ids and privileges are given up.
    Identity,
    /// The target's process: session, streams, working directory, limits.
    Process,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Seccomp,
}

impl Stage {
    /// What `plan` calls it.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Terminal => "Terminal",
            Stage::Limits => "Limits",
            Stage::Join => "Join",
            Stage::Group => "Group",
            Stage::Sources => "Sources",
            Stage::Enter => "Enter",
            Stage::Ids => "Ids",
            Stage::World => "World",
            Stage::Pivot => "Pivot",
            Stage::Rules => "Rules",
            Stage::Identity => "Identity",
            Stage::Process => "Process",
            Stage::Landlock => "Landlock",
            Stage::Seccomp => "Seccomp",
        }
    }
}

/// A place in the table of descriptors that a launch opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Slot(pub usize);

/// The directory of a control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// A directory of the host.
    Path(Name),
    /// The scope that [`Op::Scope`] gives, whose place systemd chooses.
    Scope,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Folder::Path(path) => path.fmt(f),
            Folder::Scope => f.write_str("the scope"),
        }
    }
}

impl Serialize for Folder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if let Folder::Path(path) = self { path.text() } else { "scope" })
    }
}

/// Whose tree a mount point lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ground {
    /// The sandbox's own: nobody else can put a link in the way.
    Own,
    /// The host's: the path is walked without following any link.
    Bound,
}

/// The text of a file or variable.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// It stands in the profile.
    Text(Vec<u8>),
    /// It must not be shown: it comes from the caller's environment.
    Secret(Vec<u8>),
    /// The launcher reads it from an inherited descriptor.
    Fd(u32),
    /// The launcher reads it from a file of the host.
    File(Name),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Text(text) => write!(f, "{} bytes of the profile", text.len()),
            Content::Secret(_) => f.write_str("a variable of the caller"),
            Content::Fd(fd) => write!(f, "descriptor {fd}"),
            Content::File(path) => write!(f, "{path}"),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What covers a hidden path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cover {
    /// An empty read-only directory.
    Folder,
    /// An empty file of mode 0.
    File,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// StartTransientUnit of systemd's, with Delegate=yes: a group where others may be made, with
    /// the launcher in it (systemd.scope(5)).
    Scope {
        /// Where systemd listens.
        socket: Name,
        /// Who is there.
        route: Route,
    },
    /// A control group of the sandbox's own, named after the launcher.
    Group {
        /// Where the descriptor by which it is entered goes.
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
        /// What it is for.
        #[serde(serialize_with = "as_texts")]
        controllers: Vec<Controller>,
        /// The group that it is made in.
        folder: Folder,
    },
    /// The launcher goes into a group of its own, as no process may be in a group that has
    /// controllers for others (cgroups(7)).
    StepAside {
        /// The group that it leaves.
        folder: Folder,
    },
    /// `cgroup.subtree_control`.
    SwitchOn {
        /// The group in which they are switched on.
        folder: Folder,
        /// The kernel's names.
        controllers: Vec<&'static str>,
    },
    /// A file of the group is written, and read back.
    GroupLimit {
        /// Which group.
        slot: Slot,
        /// Whose file it is.
        #[serde(serialize_with = "as_text")]
        controller: Controller,
        /// Its name.
        file: Name,
        /// Its text.
        value: Name,
        /// Whether it falls where the kernel has no such thing.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        may_fall: bool,
    },
    /// `devices.deny` and `devices.allow`, or a program of type BPF_PROG_TYPE_CGROUP_DEVICE.
    DeviceRules {
        /// Which group.
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
        /// What may be used.
        nodes: Vec<Node>,
    },
    /// An eventfd on `memory.oom_control`: version 1 has no way to end a whole group by itself.
    WatchMemory {
        /// Which group.
        slot: Slot,
    },
    /// The account of processor time is opened, for pid 1 to read.
    CpuAccount {
        /// Which group.
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
    },
    /// `0` to `tasks` (version 1). A group of version 2 is entered by the clone itself
    /// (CLONE_INTO_CGROUP).
    EnterGroup {
        /// Which group.
        slot: Slot,
    },
    /// unshare(CLONE_NEWCGROUP), within the groups, so that they are the top of what the sandbox
    /// sees (cgroup_namespaces(7)).
    CgroupNamespace,
    /// setns(2).
    JoinNamespace {
        /// Which.
        kind: Kind,
        /// The file that stands for it.
        path: Name,
    },
    /// open_tree(2) with OPEN_TREE_CLONE, then mount_setattr(2): a detached copy of the mount.
    OpenTree {
        /// Where the descriptor goes.
        slot: Slot,
        /// The host's path.
        source: Name,
        /// What was there when the plan was made.
        #[serde(skip)]
        inode: Inode,
        /// Whether mounts below come along.
        recursive: bool,
        /// How it may be used.
        attrs: Attrs,
    },
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP for one pair of ids.
    IdMapMount {
        /// The detached mount.
        slot: Slot,
        /// The path, for people.
        source: Name,
        /// The owner on disk.
        disk: (u32, u32),
        /// The host ids that the target has.
        ids: (u32, u32),
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
    ForbidNamespaces {
        /// Which.
        kind: Kind,
    },
    /// Opens a kind's limit, while the old proc is in sight.
    OpenLimit {
        /// Where the descriptor goes.
        slot: Slot,
        /// Which.
        kind: Kind,
    },
    /// 0 into a limit that is open.
    WriteLimit {
        /// Where it is open.
        slot: Slot,
        /// Which.
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
    /// setfsgid(2), then setfsuid(2): who owns what is made, while root still makes it.
    FileIds {
        /// The host's.
        user: u32,
        /// The host's.
        group: u32,
    },
    /// All mounts private: nothing propagates to the host or from it (mount_namespaces(7)).
    PrivateMounts,
    /// The loopback interface up.
    Loopback,
    /// sethostname(2).
    HostName {
        /// The name.
        name: Name,
    },
    /// setdomainname(2).
    DomainName {
        /// The name.
        name: Name,
    },
    /// The new root: an empty tmpfs, attached over /proc of the old root while it is filled.
    Root {
        /// How much it holds, and how many files and directories, where the target can write to it.
        limits: Option<(Size, u64)>,
        /// Its attributes.
        attrs: Attrs,
    },
    /// mkdirat(2).
    Dir {
        /// The path inside.
        path: Name,
        /// Its mode.
        mode: Mode,
    },
    /// symlinkat(2).
    Symlink {
        /// The path inside.
        path: Name,
        /// What it points at.
        target: Name,
    },
    /// A file of the sandbox's own.
    File {
        /// The path inside.
        path: Name,
        /// Its text.
        content: Content,
        /// Its mode.
        mode: Mode,
    },
    /// An empty file, to mount something over.
    MountPoint {
        /// The path inside.
        path: Name,
    },
    /// A new tmpfs (tmpfs(5)), and Landlock's rule for it.
    Tmpfs {
        /// What Landlock allows below it.
        rights: Rights,
        /// The path inside.
        path: Name,
        /// How much it holds.
        size: Size,
        /// How many files and directories.
        inodes: u64,
        /// The mode of its top.
        mode: Mode,
        /// Its attributes.
        attrs: Attrs,
        /// Whose tree the mount point lies in.
        ground: Ground,
    },
    /// A new proc (proc(5)), and Landlock's rule for it.
    Proc {
        /// What Landlock allows below it.
        rights: Rights,
        /// The path inside.
        path: Name,
        /// `hidepid`.
        #[serde(serialize_with = "as_text")]
        hidepid: HidePid,
        /// `subset=pid`.
        only_processes: bool,
        /// Whose tree the mount point lies in.
        ground: Ground,
    },
    /// A new devpts (ptmxmode 0666).
    Devpts {
        /// The path inside.
        path: Name,
    },
    /// The message queues of the IPC namespace.
    Mqueue {
        /// The path inside.
        path: Name,
        /// Whose tree the mount point lies in.
        ground: Ground,
    },
    /// A new sysfs, read-only.
    Sysfs {
        /// The path inside.
        path: Name,
        /// Whose tree the mount point lies in.
        ground: Ground,
    },
    /// move_mount(2) of an opened source, and Landlock's rule for what is there, through the same
    /// descriptor.
    Attach {
        /// The source.
        slot: Slot,
        /// The path inside.
        path: Name,
        /// Whose tree the mount point lies in.
        ground: Ground,
        /// What Landlock allows below it; none where a rule above allows it, or without Landlock.
        rights: Rights,
    },
    /// A directory bound onto itself, so that it cannot be renamed away from above what lies below
    /// it.
    Pin {
        /// The path inside.
        path: Name,
    },
    /// A symbolic link bound onto itself, so that it can be neither removed nor replaced.
    HoldLink {
        /// The path inside.
        path: Name,
        /// The text that it must have: the plan keeps what that leads to.
        text: Name,
    },
    /// A path bound onto itself, read-only.
    ReadOnly {
        /// The path inside.
        path: Name,
        /// Whose ground it is.
        ground: Ground,
        /// Whether nothing may be there: names of /proc that not every kernel has.
        if_present: bool,
    },
    /// A path covered by nothing.
    Hide {
        /// The path inside.
        path: Name,
        /// With what.
        cover: Cover,
        /// Whether nothing may be there: names of /proc that not every kernel has.
        if_present: bool,
    },
    /// A file of the sandbox's own bound over one that exists.
    CoverFile {
        /// The path inside.
        path: Name,
        /// Whose ground it is.
        ground: Ground,
        /// The text.
        content: Content,
        /// Its mode.
        mode: Mode,
    },
    /// The file system of the root becomes read-only, once all is made on it, and with it each
    /// cover that is mounted elsewhere.
    SealRoot,
    /// Another mount of the sandbox's own becomes read-only.
    Seal {
        /// The path inside.
        path: Name,
        /// Its attributes.
        attrs: Attrs,
    },
    /// mkdirat(2) on the host, as the caller, then open_tree(2): what `missing = "create"` asks
    /// for. Both are done on a descriptor of the directory that it is made in.
    HostFolder {
        /// Where the descriptor of the new directory's mount goes.
        slot: Slot,
        /// The host's path.
        path: Name,
        /// The directory that it is made in, without links.
        parent: Name,
        /// Its name there.
        name: Name,
        /// What `parent` was when the plan was made.
        #[serde(skip)]
        inode: Inode,
        /// How it may be used.
        attrs: Attrs,
    },
    /// pivot_root(2), and the old root is unmounted.
    Pivot,
    /// landlock_add_rule(2).
    LandlockRule {
        /// The path inside.
        path: Name,
        /// What is granted below it.
        rights: Rights,
        /// What must be there; zeroes where it is not the host's.
        inode: Inode,
    },
    /// landlock_add_rule(2) for a port.
    LandlockPort {
        /// What is granted, as the kernel's bit.
        access: u64,
        /// The port.
        port: u16,
    },
    /// landlock_add_rule(2) for an inherited descriptor: what it was opened for, and no more.
    LandlockStream {
        /// 0, 1 or 2.
        fd: u32,
        /// What is granted.
        rights: Rights,
    },
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
        /// What is taken away.
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
    WorkingFolder {
        /// The path inside.
        path: Name,
    },
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
    /// What was set is read back: no_new_privs, capability sets, ids.
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
    /// landlock_restrict_self(2).
    RestrictSelf {
        /// Whether the kernel's audit log tells what is denied.
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

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<T: fmt::Display, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(T::to_string))
}

fn joined<T: fmt::Display>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Op {
    /// What the operation makes Landlock allow, if it does.
    pub fn rights_mut(&mut self) -> Option<&mut Rights> {
        match self {
            Op::LandlockRule { rights, .. }
            | Op::Attach { rights, .. }
            | Op::Tmpfs { rights, .. }
            | Op::Proc { rights, .. } => Some(rights),
            _ => None,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Scope { socket, .. } => {
                write!(f, "get a scope with Delegate=yes of systemd at {socket}, and enter it")
            }
            Op::Group { version, controllers, folder, .. } => {
                write!(f, "make a control group in {folder} ({version:?}: {})", joined(controllers))
            }
            Op::StepAside { folder } => {
                write!(f, "step out of {folder} into a group of the launcher's own")
            }
            Op::SwitchOn { folder, controllers } => {
                write!(f, "switch on {} for groups in {folder}", joined(controllers))
            }
            Op::GroupLimit { file, value, .. } => write!(f, "set {file} to {value}"),
            Op::DeviceRules { nodes, .. } => {
                write!(f, "allow {} device nodes, and no other", nodes.len())
            }
            Op::WatchMemory { .. } => {
                f.write_str("watch for the end of the memory, to end the whole sandbox then")
            }
            Op::CpuAccount { .. } => f.write_str("open the account of processor time"),
            Op::EnterGroup { .. } => f.write_str("enter the control group"),
            Op::CgroupNamespace => f.write_str("start a cgroup namespace"),
            Op::JoinNamespace { kind, path } => {
                write!(f, "join the {} namespace of {path}", kind.word())
            }
            Op::OpenTree { source, recursive, attrs, .. } => {
                write!(
                    f,
                    "open {source} ({attrs}{})",
                    if *recursive { "" } else { ", without mounts below" }
                )
            }
            Op::IdMapMount { source, disk, ids, .. } => {
                write!(
                    f,
                    "map owner {}:{} of {source} to host ids {}:{}",
                    disk.0, disk.1, ids.0, ids.1
                )
            }
            Op::TimeNamespace { monotonic, boottime } => {
                write!(f, "move the clocks: monotonic by {monotonic}ms, boottime by {boottime}ms")
            }
            Op::OomScoreAdj { score } => write!(f, "set the OOM score adjustment to {score}"),
            Op::OpenLimit { kind, .. } => {
                write!(f, "open the limit on {} namespaces inside", kind.word())
            }
            Op::ForbidNamespaces { kind } | Op::WriteLimit { kind, .. } => {
                write!(f, "forbid {} namespaces inside", kind.word())
            }
            Op::Groups { groups } if groups.is_empty() => {
                f.write_str("drop all supplementary groups")
            }
            Op::Groups { groups } => write!(f, "set supplementary groups {}", numbers(groups)),
            Op::Ids { user, group } => write!(f, "become user {user}, group {group}"),
            Op::FileIds { user, group } => write!(f, "make files as user {user}, group {group}"),
            Op::PrivateMounts => f.write_str("make all mounts private"),
            Op::Loopback => f.write_str("bring lo up"),
            Op::HostName { name } => write!(f, "set the host name to {name}"),
            Op::DomainName { name } => write!(f, "set the domain name to {name}"),
            Op::Root { limits: Some((size, inodes)), .. } => {
                write!(f, "mount the root: tmpfs of {size}, {inodes} inodes")
            }
            Op::Root { limits: None, .. } => f.write_str("mount the root: an empty tmpfs"),
            Op::Dir { path, mode } => write!(f, "make directory {path} ({mode})"),
            Op::Symlink { path, target } => write!(f, "link {path} → {target}"),
            Op::File { path, content, mode } => write!(f, "write {path} ({mode}) from {content}"),
            Op::MountPoint { path } => write!(f, "make mount point {path}"),
            Op::Tmpfs { path, size, inodes, mode, attrs, .. } => {
                write!(f, "mount tmpfs on {path}: {size}, {inodes} inodes, {mode} ({attrs})")
            }
            Op::Proc { path, hidepid, only_processes, .. } => {
                let subset = if *only_processes { ", subset=pid" } else { "" };
                write!(f, "mount proc on {path} (hidepid={hidepid}{subset})")
            }
            Op::Devpts { path } => write!(f, "mount devpts on {path}"),
            Op::Mqueue { path, .. } => write!(f, "mount mqueue on {path}"),
            Op::Sysfs { path, .. } => write!(f, "mount sysfs on {path} (ro)"),
            Op::Attach { path, rights: Rights(0), .. } => write!(f, "attach it at {path}"),
            Op::Attach { path, rights, .. } => {
                write!(f, "attach it at {path}, and let Landlock allow {rights}")
            }
            Op::Pin { path } => write!(f, "pin {path}"),
            Op::HoldLink { path, text } => write!(f, "hold the link {path} → {text}"),
            Op::ReadOnly { path, .. } => write!(f, "make {path} read-only"),
            Op::Hide { path, cover: Cover::Folder, .. } => {
                write!(f, "hide {path} behind an empty directory")
            }
            Op::Hide { path, cover: Cover::File, .. } => {
                write!(f, "hide {path} behind an empty file")
            }
            Op::CoverFile { path, content, mode, .. } => {
                write!(f, "cover {path} ({mode}) with {content}")
            }
            Op::Seal { path, .. } => write!(f, "seal {path} read-only"),
            Op::SealRoot => f.write_str("seal the root read-only"),
            Op::HostFolder { path, attrs, .. } => {
                write!(f, "make the directory {path} on the host, and open it ({attrs})")
            }
            Op::Pivot => f.write_str("pivot to the new root, and unmount the old one"),
            Op::LandlockRule { path, rights, .. } => {
                write!(f, "let Landlock allow {rights} below {path}")
            }
            Op::LandlockPort { access, port } => {
                write!(f, "let Landlock allow to {} port {port}", port_words(*access))
            }
            Op::LandlockStream { fd, rights } => {
                write!(f, "let Landlock allow {rights} of descriptor {fd}")
            }
            Op::Bounding { keep } => write!(f, "drop the bounding set to: {keep}"),
            Op::KeepCapabilities => f.write_str("keep capabilities over the change of ids"),
            Op::Capabilities { keep, ambient, bits, .. } => write!(
                f,
                "keep capabilities: {keep}; ambient: {ambient}; securebits {bits:#x}, locked"
            ),
            Op::NoNewPrivs => f.write_str("set no_new_privs"),
            Op::Session { new: true } => f.write_str("start a session without terminal"),
            Op::Session { new: false } => f.write_str("start a process group"),
            Op::NullStream { fd } => write!(f, "open /dev/null as descriptor {fd}"),
            Op::WriteOnlyStream { fd, by } => {
                let by = if *by == Anew::Controlling { " by /dev/tty" } else { "" };
                write!(f, "open the terminal anew{by} as descriptor {fd}, for writing alone")
            }
            Op::NewKeyring => f.write_str("start an empty session keyring"),
            Op::Umask { mask } => write!(f, "set the umask to {mask}"),
            Op::Nice { value } => write!(f, "set the nice value to {value}"),
            Op::IoPriority { value } => {
                write!(f, "set the I/O priority to class {} level {}", value >> 13, value & 0x1fff)
            }
            Op::Scheduler { policy, priority } => {
                write!(f, "set scheduling policy {policy} with priority {priority}")
            }
            Op::WorkingFolder { path } => write!(f, "enter {path}"),
            Op::Rlimit { name, soft, hard, .. } => {
                write!(f, "set rlimit {name} to {} (hard {})", Limit(*soft), Limit(*hard))
            }
            Op::FreshState => f.write_str("reset signals and personality"),
            Op::CloseDescriptors { keep } if keep.is_empty() => {
                f.write_str("close every descriptor above 2")
            }
            Op::CloseDescriptors { keep } => {
                write!(f, "close every descriptor above 2 but {}", numbers(keep))
            }
            Op::ReadBack { .. } => f.write_str("read back ids, capabilities and no_new_privs"),
            Op::RestrictSelf { audit: false } => f.write_str("enforce Landlock"),
            Op::RestrictSelf { audit: true } => {
                f.write_str("enforce Landlock, and log what it denies")
            }
            Op::Filter => f.write_str("enforce the system call filter"),
            Op::FindProgram { .. } => f.write_str("find the program"),
        }
    }
}

fn numbers(list: &[u32]) -> String {
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

struct Limit(u64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == u64::MAX { f.write_str("unlimited") } else { self.0.fmt(f) }
    }
}
