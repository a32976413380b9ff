//! What a machine allows, found out by trying, for `doctor`: in processes
//! that end by themselves. What they make ends with them, and nothing of it is the host's.
//!
//! An act is a few steps of a plan, done by those who execute them in a launch, so that what is
//! tried is what runs. A launch ends with the first step that fails; here every act is tried and
//! has an answer of its own, so the process that walks them is not pid 1 of a launch. Three acts are
//! no operations: a keyring and filters, in a process that shares the memory of this one.
//!
//! What runs in such a process is raw system calls and nothing else: no allocation, no lock, no
//! formatting.

use super::prepare::Prepared;
use super::{child, idmap, maps};
use crate::kernel::attrs::Attrs;
use crate::kernel::idmap::{Extent, Maps, MountMap};
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::language::value::Mode;
use crate::policy::identity::unused_host_id;
use crate::step::{Ground, Kernel, Op, ProcessOp, TreeOp};
use crate::sys::{self, Errno, Result};
use std::os::fd::RawFd;

/// The result of trying something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tried {
    Works,
    /// The kernel's error.
    Refused(i32),
    /// It could not be tried, since something that it needs is missing.
    #[default]
    Untried,
}

impl From<crate::sys::Result> for Tried {
    fn from(result: crate::sys::Result) -> Tried {
        result.map_or_else(|errno| Tried::Refused(errno.0), |()| Tried::Works)
    }
}

/// An act to try: in new namespaces with every capability in them, or, if any process can do it,
/// without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Limits user namespaces inside to none.
    ForbidUserNamespaces,
    /// Sets the host name: whether capabilities mean anything there.
    HostName,
    /// Makes a new proc.
    Proc,
    /// Makes a new proc with processes alone.
    ProcSubset,
    /// Makes a new sysfs.
    Sysfs,
    /// Makes a new mqueue.
    Mqueue,
    /// Makes a tmpfs, and attaches it, to be the root.
    Tmpfs,
    /// Makes that tmpfs the root, and takes the old one away.
    Pivot,
    /// Starts a session keyring.
    Keyring,
    /// Sets a system call filter.
    Filter,
    /// Sets one that asks another process.
    Listener,
}

impl Act {
    /// Acts that need a namespace, in order.
    pub(crate) const INSIDE: [Act; 8] = [
        Act::ForbidUserNamespaces,
        Act::HostName,
        Act::Tmpfs,
        Act::Proc,
        Act::ProcSubset,
        Act::Sysfs,
        Act::Mqueue,
        Act::Pivot,
    ];
    /// Whether it is done below the new root.
    fn needs_root(self) -> bool {
        match self {
            Act::Proc | Act::ProcSubset | Act::Sysfs | Act::Mqueue | Act::Pivot => true,
            Act::ForbidUserNamespaces
            | Act::HostName
            | Act::Tmpfs
            | Act::Keyring
            | Act::Filter
            | Act::Listener => false,
        }
    }

    /// Acts that any process can do.
    pub(crate) const ANYWHERE: [Act; 3] = [Act::Keyring, Act::Filter, Act::Listener];
}

/// If the caller ignores SIGCHLD, no child would leave a status (wait(2)).
pub(crate) fn reap_children() {
    // If it fails, each try shows it.
    sys::regardless(sys::default_action(libc::SIGCHLD));
}

/// Makes namespaces for a process that ends at once.
pub(crate) fn namespaces(kinds: &[Kind]) -> Tried {
    let mut pidfd = -1;
    match sys::clone_process(flags(kinds), &mut pidfd, None) {
        Ok(0) => sys::exit(0),
        Ok(pid) => sys::wait_for(pid).and(sys::close(pidfd)).into(),
        Err(errno) => Err(errno).into(),
    }
}

/// How long a process that tries may take; nothing that it does waits for another process.
const PATIENCE_MS: i32 = 10_000;

/// Writes the maps of a user namespace, and tries every act in it, with the kinds that are
/// available.
pub(crate) fn acts(kinds: &[Kind], uid: u32, gid: u32) -> (Tried, Vec<(Act, Tried)>) {
    // Without these, an act would reach for what is the host's.
    if ![Kind::User, Kind::Mount, Kind::Uts].iter().all(|kind| kinds.contains(kind)) {
        return (Tried::Untried, vec![]);
    }
    let mut found = vec![];
    let steps: Vec<(Act, Vec<Op>)> = Act::INSIDE.map(|act| (act, steps(act))).to_vec();
    let mut prepared = Prepared::bare(sys::Program::empty());
    let mut refused = false;
    let child = |pipes: &Pipes| act_inside(&steps, &mut prepared, pipes);
    let mapped = with_child(kinds, child, |pid, pipes| {
        refused = maps::write(&single_maps(uid, gid), pid).is_err();
        if refused {
            return Ok(());
        }
        found = receive(pipes)?;
        Ok(())
    });
    (if refused { Tried::Refused(libc::EPERM) } else { mapped.into() }, found)
}

/// Tries what takes no namespace. Its process is made by clone(2), as a filter may refuse
/// clone3(2).
pub(crate) fn acts_anywhere() -> Vec<(Act, Tried)> {
    let mut found = Act::ANYWHERE.map(|act| (act, Tried::Untried));
    let ended = sys::spawn(sys::Memory::Shared, act_anywhere, &mut found).and_then(sys::wait_for);
    // A process that could not be started, or that a filter killed, has tried nothing.
    sys::regardless(ended);
    found.to_vec()
}

fn act_anywhere(found: &mut [(Act, Tried); 3]) -> ! {
    for (act, tried) in found {
        *tried = match act {
            Act::Keyring => sys::new_session_keyring(),
            Act::Filter => sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
                .and_then(|_| sys::seccomp_allow_all(false))
                .map(drop),
            Act::Listener => sys::seccomp_allow_all(true).and_then(sys::close),
            Act::ForbidUserNamespaces
            | Act::HostName
            | Act::Tmpfs
            | Act::Proc
            | Act::ProcSubset
            | Act::Sysfs
            | Act::Mqueue
            | Act::Pivot => continue,
        }
        .into();
    }
    sys::exit(0)
}

/// Lets the child go, and takes in what it reports of each act.
fn receive(pipes: &Pipes) -> Result<Vec<(Act, Tried)>> {
    sys::write_all(pipes.go.1, b"G")?;
    let mut found = vec![];
    for act in Act::INSIDE {
        let mut bytes = [0; 4];
        let whole = sys::poll([pipes.report.0], PATIENCE_MS)?[0]
            && sys::read(pipes.report.0, &mut bytes)? == 4;
        // A filter that kills ends the process that tries.
        if !whole {
            break;
        }
        let errno = i32::from_ne_bytes(bytes);
        found.push((
            act,
            match errno {
                0 => Tried::Works,
                UNTRIED => Tried::Untried,
                errno => Tried::Refused(errno),
            },
        ));
    }
    Ok(found)
}

fn flags(kinds: &[Kind]) -> u64 {
    kinds.iter().fold(0, |flags, kind| flags | kind.flag())
}

/// One id, as an ordinary user may map it, and as root's launcher does.
fn single_maps(uid: u32, gid: u32) -> Maps {
    let root = uid == 0;
    let base = unused_host_id(std::process::id());
    let one = |id: u32| vec![Extent { inside: 0, outside: if root { base } else { id }, count: 1 }];
    Maps { uid: one(uid), gid: one(gid), helpers: false, deny_setgroups: !root }
}

/// Asks newuidmap and newgidmap for the subordinate ranges.
pub(crate) fn subordinate(
    users: &[(u32, u32)],
    groups: &[(u32, u32)],
    uid: u32,
    gid: u32,
) -> std::result::Result<(), String> {
    let laid = |own: u32, ranges: &[(u32, u32)]| {
        let first = ranges.first().map(|(first, count)| Extent {
            inside: 1,
            outside: *first,
            count: *count,
        });
        [Extent { inside: 0, outside: own, count: 1 }].into_iter().chain(first).collect()
    };
    let maps = Maps {
        uid: laid(uid, users),
        gid: laid(gid, groups),
        helpers: true,
        deny_setgroups: false,
    };
    let mut said = String::new();
    let mapped = with_child(&[Kind::User], wait_for_go, |pid, pipes| {
        if let Err(failure) = maps::write(&maps, pid) {
            said = failure.problem.message;
        }
        sys::write_all(pipes.go.1, b"G")
    });
    match mapped {
        _ if !said.is_empty() => Err(said),
        Ok(()) => Ok(()),
        Err(Errno(errno)) => Err(crate::text::problem::errno_words(errno)),
    }
}

/// Whether the owner of what is at a path can be mapped, on a detached copy of its mount.
pub(crate) fn idmap(path: &str) -> Tried {
    let mapped =
        sys::open_tree(libc::AT_FDCWD, Name::new(path).as_c_str(), false).and_then(|mount| {
            let first = unused_host_id(std::process::id());
            let map = MountMap::pair((0, 0), (first, first));
            let mapped = idmap::Made::default().map(mount, &map);
            sys::close(mount).and(mapped)
        });
    mapped.into()
}

// ---- the process that tries ----

struct Pipes {
    /// The child reads a byte once its maps are written; the end of file is its parent's death.
    go: (RawFd, RawFd),
    /// The child writes an errno for each act.
    report: (RawFd, RawFd),
}

/// Runs `child` in new namespaces; `parent` looks after it, and its end ends the child.
fn with_child(
    kinds: &[Kind],
    child: impl FnOnce(&Pipes) -> Result,
    parent: impl FnOnce(i32, &Pipes) -> Result,
) -> Result {
    let pipes = Pipes { go: sys::pipe()?, report: sys::pipe()? };
    let mut pidfd = -1;
    match sys::clone_process(flags(kinds), &mut pidfd, None)? {
        0 => sys::exit(i32::from(child(&pipes).is_err())),
        pid => {
            // Only the child may hold the write end: its close reports the child's end.
            sys::close(pipes.report.1)?;
            let done = parent(pid, &pipes);
            // It has ended, or is of no more use.
            sys::regardless(sys::signal_pidfd(pidfd, libc::SIGKILL));
            sys::wait_for(pid)?;
            let ends = [pipes.go.0, pipes.go.1, pipes.report.0, pidfd];
            ends.into_iter().map(sys::close).fold(done, Result::and)
        }
    }
}

/// The child: waits for its maps, and ends with its parent.
fn wait_for_go(pipes: &Pipes) -> Result {
    sys::close(pipes.go.1)?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    if sys::read(pipes.go.0, &mut [0])? == 1 { Ok(()) } else { Err(Errno(libc::ECANCELED)) }
}

/// The child's answer for an act that needs a root directory which is missing.
const UNTRIED: i32 = -1;

fn act_inside(acts: &[(Act, Vec<Op>)], prepared: &mut Prepared, pipes: &Pipes) -> Result {
    wait_for_go(pipes)?;
    // Root's child has no id of the new namespace yet; a user's has it. The kernel clears the
    // parent-death signal with it.
    sys::setresgid(0)?;
    sys::setresuid(0)?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    for (act, steps) in acts {
        let errno = if act.needs_root() && prepared.root < 0 {
            UNTRIED
        } else {
            errno(walk(steps, prepared))
        };
        sys::write_all(pipes.report.1, &errno.to_ne_bytes())?;
    }
    Ok(())
}

fn errno(result: Result) -> i32 {
    result.err().map_or(0, |errno| errno.0)
}

fn walk(steps: &[Op], prepared: &mut Prepared) -> Result {
    steps.iter().try_for_each(|op| child::apply(op, 0, prepared))
}

/// The steps of a launch that are tried by an act.
fn steps(act: Act) -> Vec<Op> {
    let mounted = |path, kernel| {
        let op = TreeOp::of_the_kernel(kernel, path, Ground::Own, Rights(0));
        vec![TreeOp::Dir { path: Name::new(path), mode: Mode(0o755) }.into(), op.into()]
    };
    let proc = |only_processes| Kernel::Proc { hidepid: HidePid::Off, only_processes };
    match act {
        Act::ForbidUserNamespaces => {
            vec![ProcessOp::ForbidNamespaces { kind: Kind::User }.into()]
        }
        Act::HostName => vec![ProcessOp::HostName { name: Name::new("stockade") }.into()],
        Act::Tmpfs => vec![TreeOp::Root { limits: None, attrs: Attrs(0) }.into()],
        Act::Proc => mounted("/proc", proc(false)),
        Act::ProcSubset => mounted("/subset", proc(true)),
        Act::Sysfs => mounted("/sys", Kernel::Sysfs),
        Act::Mqueue => mounted("/mqueue", Kernel::Mqueue),
        Act::Pivot => vec![TreeOp::Pivot.into()],
        Act::Keyring | Act::Filter | Act::Listener => vec![],
    }
}
