//! The process that becomes fuse-overlayfs: a program of the machine's that answers for a file system
//! of the sandbox's (fuse(4)), and so reads whatever the target asks of it.
//!
//! It is a sandbox of its own. Before it executes the program it enters the sandbox's user and mount
//! namespaces, takes the root that pid 1 has made for it, in which the program, its libraries, the
//! layers and the upper are and nothing else, and is there with the target's ids, without a
//! capability. What could reach a process outside of it, which it could see by its number, Landlock
//! and the filter refuse. It is outside of the sandbox's pid namespace, where no signal of the
//! target reaches it; once it ends, by whatever, each call on the file system fails (ENOTCONN).

use super::confine::{self, Calls, Confinement, any};
use super::denial::Denial;
use super::records::Record;
use super::{About, End, Helper, Inside, Next};
use crate::host::layering::{LIBRARIES, PROGRAM, START};
use crate::kernel::syscalls::ALLOWED;
use crate::plan::Plan;
use crate::policy::landlock;
use crate::policy::seccomp::{self, Compare, Filter, Rule, Test, Verdict, Width};
use crate::step::{Served, TreeOp};
use crate::sys::{self, Errno, FdMessage, Program};
use std::ffi::{CStr, CString, c_char};
use std::os::fd::RawFd;

/// How it is called in lists of processes, until it is the program.
pub(crate) const NAME: &CStr = c"stockade-serve";

/// How pid 1 gives one what it shows.
pub(in crate::launch) struct Serving {
    pub socket: RawFd,
    pub message: Box<FdMessage>,
}

impl Serving {
    pub(in crate::launch) fn new(socket: RawFd) -> Serving {
        Serving { socket, message: FdMessage::empty() }
    }
}

/// The helper.
pub(crate) struct Server {
    /// The words of the program.
    words: Vec<CString>,
    /// Where it may write.
    upper: Option<CString>,
    /// The target's ids inside, where root starts the sandbox.
    ids: Option<(u32, u32)>,
}

/// The descriptor of /dev/fuse in the program.
const DEVICE: RawFd = 3;

impl Server {
    /// Those of a plan, in the order of their steps.
    pub(crate) fn all(plan: &Plan) -> impl Iterator<Item = Server> {
        plan.tree().filter_map(|(op, _)| Server::of(op, plan.root))
    }

    fn of(op: &TreeOp, is_root: bool) -> Option<Server> {
        let Served { mask, layers, lowest, upper, files, owner, .. } = op.facets().served?;
        let all: Vec<String> =
            mask.iter().chain(layers).chain(&lowest).map(|slot| format!("/{}", slot.0)).collect();
        let mut options = format!(
            "lowerdir={},squash_to_uid={},squash_to_gid={}",
            all.join(":"),
            owner.0,
            owner.1
        );
        if let Some(upper) = upper {
            let slot = upper.slot.0;
            options += &format!(",upperdir=/{slot}/upper,workdir=/{slot}/work,volatile");
        }
        let has_loader = files.iter().any(|(_, name)| name.text() == PROGRAM);
        let loader: &[&str] =
            if has_loader { &["--library-path", LIBRARIES, PROGRAM] } else { &[] };
        let place = format!("/dev/fd/{DEVICE}");
        let last = ["-f", "-o", &options, &place];
        let words = ["fuse-overlayfs"].iter().chain(loader).chain(&last);
        let words: Result<Vec<CString>, _> = words.map(|word| CString::new(*word)).collect();
        let upper = upper.as_ref().map(|upper| format!("/{}", upper.slot.0));
        Some(Server {
            words: words.ok()?,
            upper: upper.and_then(|upper| CString::new(upper).ok()),
            ids: is_root.then_some(owner),
        })
    }

    fn confinement(&self) -> Confinement {
        Confinement { ids: self.ids, capabilities: 0, reads: None, is_later: true }
    }

    /// Becomes the program.
    fn become_it(&self, inside: &mut Inside) -> sys::Result {
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
        let null = sys::openat(libc::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0)?;
        let Some(user) = inside.next()? else { return Ok(()) };
        let mut next = || inside.next()?.ok_or(Errno(libc::EPIPE));
        let (mounts, root, device) = (next()?, next()?, next()?);
        sys::setns(user, libc::CLONE_NEWUSER as u64)?;
        sys::setns(mounts, libc::CLONE_NEWNS as u64)?;
        enter(root)?;
        self.restrict()?;
        // Pid 1 unmounts what this has its own copies of.
        inside.has_all()?;
        // Whatever numbers they have: everything else here is close-on-exec.
        let [null, device] =
            [sys::dup_above(null, DEVICE + 1)?, sys::dup_above(device, DEVICE + 1)?];
        for (fd, to) in [(null, 0), (null, 1), (null, 2), (device, DEVICE)] {
            sys::dup_onto(fd, to)?;
        }
        let program = Box::leak(Program::empty());
        program.fill(seccomp::compile(&filter()));
        let words: Vec<*const c_char> =
            self.words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        let start = CString::new(START).map_err(|_| Errno(libc::EINVAL))?;
        sys::seccomp_filter(program)?;
        Err(sys::execve(&start, &words, &[std::ptr::null()]))
    }

    /// Its rights go. What it has of the sandbox's user namespace makes that possible.
    fn restrict(&self) -> sys::Result {
        for capability in 0..64 {
            match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
                // The last one that every kernel here has is CAP_CHECKPOINT_RESTORE (capabilities(7)).
                Err(Errno(libc::EINVAL)) if capability > 40 => break,
                other => other?,
            };
        }
        // A program that user 0 executes has no capability by that (capabilities(7)).
        sys::prctl(libc::PR_SET_SECUREBITS, SECUREBITS, 0)?;
        // It has a descriptor for each file that the target has open, and for more.
        let (_, hard) = sys::get_rlimit(libc::RLIMIT_NOFILE)?;
        sys::set_rlimit(libc::RLIMIT_NOFILE, hard, hard)?;
        sys::set_rlimit(libc::RLIMIT_CORE, 0, 0)?;
        let (_, hard) = sys::get_rlimit(libc::RLIMIT_AS)?;
        let most = hard.min(MEMORY);
        sys::set_rlimit(libc::RLIMIT_AS, most, most)?;
        confine::drop_rights(&self.confinement(), End::ByItself)?;
        self.restrict_files()
    }

    /// Landlock, where this kernel has it: the program is executed, its root is read, and the upper is
    /// written. Without it the root of its own has the same in sight.
    fn restrict_files(&self) -> sys::Result {
        use ::landlock::AccessFs;
        let Ok(abi) = sys::landlock_abi() else { return Ok(()) };
        let all = landlock::strictest(abi);
        let execute = AccessFs::Execute as u64;
        let ruleset = sys::landlock_ruleset(all.handled.0, all.ports, all.scoped)?;
        let upper = self.upper.as_deref().map(|upper| (upper, all.handled.0 & !execute));
        let read = AccessFs::ReadFile as u64 | AccessFs::ReadDir as u64;
        for (path, access) in
            [(c"/", read), (c"/fuse-overlayfs", execute | AccessFs::ReadFile as u64)]
                .into_iter()
                .chain(upper)
        {
            let fd = sys::openat(libc::AT_FDCWD, path, libc::O_PATH, 0)?;
            sys::landlock_allow(ruleset, fd, access)?;
            sys::close(fd)?;
        }
        sys::landlock_restrict(ruleset, abi, false)?;
        sys::close(ruleset)
    }
}

/// SECBIT_NOROOT and SECBIT_NO_SETUID_FIXUP, locked, and SECBIT_KEEP_CAPS locked as unset.
const SECUREBITS: u64 = 0x2f;

/// How much memory it may map.
const MEMORY: u64 = 1 << 30;

/// Enters the root that was made for it, in a mount namespace of its own.
fn enter(root: RawFd) -> sys::Result {
    // The working directory is taken along to the copies.
    sys::fchdir(root)?;
    sys::unshare(libc::CLONE_NEWNS as u64)?;
    let tree = sys::open_tree(libc::AT_FDCWD, c".", true)?;
    // What will be the target's root lies over the old one's /proc, and below it the file system that
    // it is a directory of. Of its own directory in /proc this process has what leads to its open files:
    // the rest shows the host's network and its mounts.
    sys::unmount(c"/proc")?;
    sys::unmount(c"/proc")?;
    let own = sys::open_tree(libc::AT_FDCWD, c"/proc/self/fd", false)?;
    sys::move_mount(tree, libc::AT_FDCWD, c"/proc")?;
    sys::fchdir(tree)?;
    sys::move_mount(own, tree, c"proc/self/fd")?;
    sys::pivot_here()?;
    sys::chdir(c"/")
}

impl Helper for Server {
    fn about(&self) -> About {
        About {
            name: NAME,
            what: "the process that shows layers",
            given: vec![],
            is_handed: true,
            most_kept: 0,
            confinement: self.confinement(),
            end: End::ByItself,
        }
    }

    fn calls(&self, _: &Inside) -> Calls {
        vec![]
    }

    fn serve(&mut self, inside: &mut Inside) -> sys::Result {
        self.become_it(inside)
    }

    fn take(&mut self, _: &Record, _: &mut dyn FnMut(&Denial)) -> Next {
        Next::GoOn
    }
}

/// Topics of the default policy's calls that a server has no use for.
const NOT_ITS: &[&str] = &["sockets", "scheduling", "futexes, System V and POSIX IPC"];

/// Calls of the others that reach other processes, whose numbers it shares, or make some.
const REACHING: &[&str] = &[
    "execveat",
    "fork",
    "kill",
    "pidfd_open",
    "pidfd_send_signal",
    "prlimit64",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "setpgid",
    "setpriority",
    "setrlimit",
    "tgkill",
    "tkill",
    "vfork",
];

/// What it calls. The rest is refused, as a program takes it that has another way.
fn filter() -> Filter {
    let is = |argument, values: &[i64]| Test {
        argument,
        width: Width::Low,
        compare: Compare::OneOf {
            mask: u64::MAX,
            values: values.iter().map(|value| u64::from(*value as u32)).collect(),
        },
    };
    let refused = || Rule::always(EPERM);
    let topics = ALLOWED.iter().filter(|(topic, _)| !NOT_ITS.contains(topic));
    let listed = topics.flat_map(|(_, calls)| *calls).filter(|call| !REACHING.contains(call));
    let mut calls: Calls = listed
        .chain(&["futex", "sched_yield", "sched_getaffinity", "rseq"])
        .map(|call| any(call))
        .collect();
    // A thread, and no process.
    let thread = Test {
        argument: 0,
        width: Width::Full,
        compare: Compare::AnyBit { bits: libc::CLONE_THREAD as u64 },
    };
    calls.push(("clone", refused().case([thread], Verdict::Allow)));
    // Not those by which the kernel would send signals to others (F_SETOWN, F_SETSIG, F_SETOWN_EX).
    calls.push(("fcntl", Rule::always(Verdict::Allow).case([is(1, &[8, 10, 15])], EPERM)));
    // FICLONE, and the flags and the generation of a file.
    let known = [0x4004_9409, 0x8008_6601, 0x4008_6602, 0x8008_7601, 0x4008_7602];
    calls.push(("ioctl", refused().case([is(1, &known)], Verdict::Allow)));
    calls.push(("prlimit64", refused().case([is(0, &[0])], Verdict::Allow)));
    Filter::only_or(calls, (EPERM, Verdict::Errno(libc::ENOSYS)))
}

const EPERM: Verdict = Verdict::Errno(libc::EPERM);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::syscalls;

    #[test]
    fn it_calls_what_a_file_system_needs_and_reaches_no_other_process() {
        let filter = filter();
        let judge = |name: &str, arguments: [i64; 6]| {
            let number = syscalls::number(name).unwrap();
            filter.judge(number, &arguments.map(|argument| argument as u64))
        };
        for (name, arguments) in [
            ("openat", [0; 6]),
            ("renameat2", [0; 6]),
            ("mknodat", [0; 6]),
            ("setxattr", [0; 6]),
            ("execve", [0; 6]),
            ("clone", [0x3d_0f00, 0, 0, 0, 0, 0]),
            ("ioctl", [0, 0x4004_9409, 0, 0, 0, 0]),
            ("fcntl", [0, libc::F_SETLK.into(), 0, 0, 0, 0]),
            ("prlimit64", [0; 6]),
        ] {
            assert_eq!(judge(name, arguments), Verdict::Allow, "{name}");
        }
        for (name, arguments) in [
            ("clone", [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
            ("ioctl", [0, libc::TIOCSTI as i64, 0, 0, 0, 0]),
            ("fcntl", [0, libc::F_SETOWN.into(), 1, 0, 0, 0]),
            ("prlimit64", [1, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(judge(name, arguments), EPERM, "{name}");
        }
        for name in [
            "socket",
            "connect",
            "kill",
            "tgkill",
            "pidfd_open",
            "ptrace",
            "process_vm_writev",
            "setns",
            "unshare",
            "mount",
            "move_mount",
            "open_tree",
            "pivot_root",
            "chroot",
            "bpf",
            "keyctl",
            "add_key",
            "kexec_load",
            "io_uring_setup",
            "userfaultfd",
            "perf_event_open",
            "open_by_handle_at",
            "setpriority",
            "sched_setaffinity",
            "shmget",
            "mq_open",
        ] {
            assert!(judge(name, [0; 6]).refuses(), "{name}");
        }
    }
}
