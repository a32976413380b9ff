//! Between clone and exec: walks the steps. Raw system calls and nothing else: no allocation, no
//! lock, no formatting.
//!
//! Every error ends the process, and with pid 1 the whole sandbox; the launcher has the plan and
//! explains the step.

use super::message::{GO, Message, OWN, give_up};
use super::prepare::Prepared;
use super::proof::NOT_IN_FORCE;
use super::world::{self, apply_to_tree, decimal, is_of_the_tree};
use super::{Pipes, init, program};
use crate::host::streams::Anew;
use crate::kernel::capability::LAST_SURE;
use crate::plan::{Actor, Plan};
use crate::probe::open_anew;
use crate::step::{Op, Step};
use crate::sys::{self, Errno, Memory, Result, Sets};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// What the target's process starts with.
struct Start<'a> {
    plan: &'a Plan,
    prepared: &'a mut Prepared,
    memory: Memory,
    report: RawFd,
    /// Why it did not start, where it shares pid 1's memory.
    failure: Option<Message>,
}

/// What went wrong, and at which step.
struct Stop(Message);

/// Pid 1: builds the world, starts the target, and looks after it.
pub(super) fn run(plan: &Plan, prepared: &mut Prepared, pipes: Pipes) -> ! {
    let report = pipes.report.1;
    let result = build(plan, prepared, pipes);
    if let Err(Stop(message)) = result {
        give_up(message, report);
    }
    if plan.watch.init {
        let failed = |Errno(errno)| Message::Failed { step: OWN, errno };
        let started = init::get_ready()
            .map_err(failed)
            .and_then(|signals| Ok((signals, spawn(plan, prepared, report)?)));
        match started {
            Ok((signals, pid)) => init::look_after(plan, prepared, pipes, signals, pid),
            Err(message) => give_up(message, report),
        }
    }
    give_up(execute(plan, prepared), report)
}

fn build(plan: &Plan, prepared: &mut Prepared, pipes: Pipes) -> std::result::Result<(), Stop> {
    let own =
        |result: Result| result.map_err(|Errno(errno)| Stop(Message::Failed { step: OWN, errno }));
    // A life pipe that this process can write to itself would never end.
    own(sys::close(pipes.life.1))?;
    own(die_with_launcher(plan))?;
    let mut byte = [0];
    loop {
        match sys::read(pipes.life.0, &mut byte) {
            Ok(1) if byte[0] == GO => break,
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => own(Err(errno))?,
            // The launcher is gone, or will not start us.
            Ok(_) => sys::exit(125),
        }
    }
    // In the launcher's process group a signal of the terminal would reach the target twice: by the
    // launcher, and by this process. A target that is pid 1 leaves it by itself, and could not
    // start a session as the leader of a group.
    if plan.watch.init {
        own(sys::setpgid(0, 0))?;
    }
    own(sys::umask(0))?;
    if !plan.has_own_pids() {
        own(adopt_all(prepared))?;
    }
    walk(plan, prepared, Actor::Init)?;
    // Each change of ids clears the parent-death signal and may make the process dumpable
    // (prctl(2)), so both come after them.
    own(die_with_launcher(plan))?;
    own(sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop))?;
    // Had the launcher died before the parent-death signal was set, its end of the life pipe would
    // be closed by now.
    match sys::poll([pipes.life.0, -1, -1, -1], 0) {
        Ok([true, ..]) => sys::exit(125),
        other => own(other.map(drop)),
    }
}

/// Pid 1 of a pid namespace takes all others with it. Where it is not, it must live to end them,
/// and sees the life pipe end.
fn die_with_launcher(plan: &Plan) -> Result {
    if plan.has_own_pids() {
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0).map(drop)
    } else {
        Ok(())
    }
}

/// Orphans of the sandbox become children of this process (PR_SET_CHILD_SUBREAPER), which can name
/// them by its own file.
fn adopt_all(prepared: &mut Prepared) -> Result {
    prepared.children =
        sys::openat(libc::AT_FDCWD, c"/proc/thread-self/children", libc::O_RDONLY, 0)?;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

fn walk(plan: &Plan, prepared: &mut Prepared, actor: Actor) -> std::result::Result<(), Stop> {
    for (index, Step { op, .. }) in plan.steps_of(actor) {
        let result = match op {
            Op::File { path, mode, .. } => world::write_file(prepared, path, index, mode.0),
            Op::CoverFile { path, ground, mode, .. } => {
                world::cover_file(prepared, path, *ground, index, mode.0)
            }
            Op::LandlockRule { path, rights, inode } => {
                world::allow(prepared, path, *rights, *inode)
            }
            op => apply(op, prepared),
        };
        result.map_err(|Errno(errno)| Stop(Message::Failed { step: index as u32, errno }))?;
    }
    Ok(())
}

/// The target's process, in memory that it shares with pid 1 until it executes: a copy of the
/// address space costs 0.1 ms.
fn spawn(plan: &Plan, prepared: &mut Prepared, report: RawFd) -> std::result::Result<i32, Message> {
    let mut start = Start { plan, prepared, memory: Memory::Shared, report, failure: None };
    let mut pid = sys::spawn(start.memory, target, &mut start);
    if pid == Err(Errno(libc::EINVAL)) {
        // Older kernels (6.1; no longer 6.12) let nobody share memory with a process that enters
        // another time namespace.
        start.memory = Memory::Copied;
        pid = sys::spawn(start.memory, target, &mut start);
    }
    match (pid, start.failure) {
        (Ok(_), Some(message)) => Err(message),
        (Ok(pid), None) => Ok(pid),
        (Err(Errno(errno)), _) => Err(Message::Failed { step: OWN, errno }),
    }
}

fn target(start: &mut Start<'_>) -> ! {
    let message = execute(start.plan, start.prepared);
    if start.memory == Memory::Copied {
        // Pid 1 sees no more than a target that ends; the launcher hears the reason before that.
        give_up(message, start.report);
    }
    start.failure = Some(message);
    sys::exit(125)
}

/// Gives up what the target must not have, and executes it. Returns only what went wrong.
fn execute(plan: &Plan, prepared: &mut Prepared) -> Message {
    if let Err(Stop(message)) = walk(plan, prepared, Actor::Target) {
        return message;
    }
    let mut last = libc::ENOENT;
    for candidate in &plan.exec.candidates {
        match sys::execve(candidate.as_c_str(), &prepared.argv, &prepared.envp) {
            // execvp(3)'s rule: what may not be run is remembered, what is not there is passed
            // over.
            Errno(libc::EACCES) => last = libc::EACCES,
            Errno(libc::ENOENT | libc::ENOTDIR) => {}
            Errno(errno) => {
                last = errno;
                break;
            }
        }
    }
    Message::NotExecuted { errno: last }
}

/// Does one operation.
pub(super) fn apply(op: &Op, prepared: &mut Prepared) -> Result {
    match op {
        Op::JoinNamespace { kind, path } => {
            // What is no namespace is refused by setns(2); a FIFO would wait for a writer before
            // that.
            let fd = sys::openat(
                libc::AT_FDCWD,
                path.as_c_str(),
                libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY,
                0,
            )?;
            sys::setns(fd, kind.flag())?;
            prepared.done_with(fd)
        }
        Op::EnterGroup { slot } => {
            // The one thread of this process moves itself: `tasks` takes no lock of all thread
            // groups, as `cgroup.procs` does.
            sys::write_all(prepared.slots[slot.0], b"0")?;
            prepared.done_with(prepared.slots[slot.0])
        }
        Op::CgroupNamespace => sys::unshare(crate::kernel::namespace::Kind::Cgroup.flag()),
        Op::OpenTree { slot, source, inode, recursive, attrs } => {
            let fd = sys::open_tree(libc::AT_FDCWD, source.as_c_str(), *recursive)?;
            prepared.slots[slot.0] = fd;
            world::verify(fd, *inode)?;
            sys::set_mount_attrs(fd, attrs.0)
        }
        Op::HostFolder { slot, parent, name, inode, attrs, .. } => {
            let (fd, made) = world::make_on_host(parent, name, *inode)?;
            prepared.slots[slot.0] = made;
            sys::set_mount_attrs(made, attrs.0)?;
            prepared.done_with(fd)
        }
        Op::TimeNamespace { monotonic, boottime } => time_namespace(*monotonic, *boottime),
        Op::OomScoreAdj { score } => write_number(c"/proc/self/oom_score_adj", i64::from(*score)),
        Op::ForbidNamespaces { kind } => write_number(kind.limit(), 0),
        Op::OpenLimit { slot, kind } => {
            prepared.slots[slot.0] = sys::openat(libc::AT_FDCWD, kind.limit(), libc::O_WRONLY, 0)?;
            Ok(())
        }
        Op::WriteLimit { slot, .. } => {
            sys::write_all(prepared.slots[slot.0], b"0")?;
            prepared.done_with(prepared.slots[slot.0])
        }
        Op::Groups { groups } => sys::setgroups(groups),
        Op::Ids { user, group } => sys::setresgid(*group).and_then(|()| sys::setresuid(*user)),
        Op::FileIds { user, group } => sys::setfsids(*user, *group),
        Op::PrivateMounts => sys::make_private(),
        Op::Loopback => sys::loopback_up(),
        Op::HostName { name } => sys::sethostname(name.as_c_str().to_bytes()),
        Op::DomainName { name } => sys::setdomainname(name.as_c_str().to_bytes()),
        Op::Pivot => {
            sys::fchdir(prepared.root)?;
            sys::pivot_here()
        }
        Op::LandlockStream { fd, rights } => {
            sys::landlock_allow(prepared.ruleset, *fd as RawFd, rights.0)
        }
        Op::LandlockPort { access, port } => {
            sys::landlock_allow_port(prepared.ruleset, *port, *access)
        }
        Op::RestrictSelf { audit } => {
            let (landlocked, abi) = prepared.landlocked;
            sys::landlock_restrict(prepared.ruleset, abi, *audit)?;
            landlocked.prove(prepared.backstage)
        }
        Op::Filter => {
            match &mut prepared.handover {
                None => sys::seccomp_filter(&prepared.program)?,
                Some(handover) => handover.hand_over(&prepared.program)?,
            }
            prepared.filtered.prove()
        }
        // Walked with their index, as their text lies beside the plan.
        Op::File { .. }
        | Op::CoverFile { .. }
        | Op::LandlockRule { .. }
        | Op::IdMapMount { .. } => Err(Errno(libc::ENOSYS)),
        op if is_of_the_tree(op) => apply_to_tree(op, prepared),
        op => apply_to_process(op, prepared),
    }
}

fn apply_to_process(op: &Op, prepared: &mut Prepared) -> Result {
    match op {
        Op::Bounding { keep } => drop_bounding(keep.0),
        Op::KeepCapabilities => sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop),
        Op::Capabilities { keep, ambient, bits, raise } => {
            limit_capabilities(keep.0, ambient.0, *bits, *raise)
        }
        Op::NoNewPrivs => sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop),
        Op::Session { new: true } => sys::setsid(),
        Op::Session { new: false } => {
            sys::setpgid(0, 0)?;
            match prepared.terminal {
                // SIGTTOU is blocked until FreshState.
                Some(terminal) if terminal.foreground => {
                    sys::set_foreground(terminal.fd, sys::getpid())
                }
                _ => Ok(()),
            }
        }
        Op::WriteOnlyStream { fd, by } => take_input(*fd as RawFd, *by),
        Op::NullStream { fd } => sys::dup_onto(prepared.null, *fd as RawFd),
        Op::NewKeyring => sys::new_session_keyring(),
        Op::Umask { mask } => sys::umask(mask.0),
        Op::Nice { value } => sys::set_nice(*value),
        Op::IoPriority { value } => sys::set_io_priority(*value),
        Op::Scheduler { policy, priority } => sys::set_scheduler(*policy, *priority),
        Op::WorkingFolder { path } => {
            sys::chdir(path.as_c_str())?;
            if sys::cwd_is_below_root()? { Ok(()) } else { Err(Errno(libc::EXDEV)) }
        }
        Op::FindProgram { candidates } => program::find(candidates),
        Op::Rlimit { resource, soft, hard, .. } => sys::set_rlimit(*resource, *soft, *hard),
        Op::FreshState => fresh_state(prepared),
        Op::CloseDescriptors { keep } => {
            sys::keep_over_exec(prepared.spare)?;
            sys::close_on_exec_from(3)?;
            if !sys::closes_on_exec(prepared.spare)? {
                return Err(NOT_IN_FORCE);
            }
            for fd in keep {
                sys::keep_over_exec(*fd as RawFd)?;
            }
            Ok(())
        }
        Op::ReadBack { keep, ambient, no_new_privs, ids } => {
            read_back(keep.0, ambient.0, *no_new_privs, *ids)
        }
        _ => Err(Errno(libc::ENOSYS)),
    }
}

// ---- the process ----

fn take_input(fd: RawFd, by: Anew) -> Result {
    let flags = sys::open_flags(fd)?;
    let anew = open_anew(fd, by)?;
    sys::set_open_flags(anew, flags)?;
    sys::dup_onto(anew, fd)?;
    sys::close(anew)
}

fn time_namespace(monotonic: i64, boottime: i64) -> Result {
    // A child that clone3 puts into a new time namespace finds its offsets frozen, so the namespace
    // is unshared (time_namespaces(7)).
    sys::unshare(crate::kernel::namespace::Kind::Time.flag())?;
    let fd = sys::openat(libc::AT_FDCWD, c"/proc/self/timens_offsets", libc::O_WRONLY, 0)?;
    for (clock, millis) in [(c"monotonic ", monotonic), (c"boottime ", boottime)] {
        let mut line = [0u8; 64];
        let mut digits = [0; 24];
        let mut length = 0;
        let mut push = |bytes: &[u8]| {
            line[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        push(clock.to_bytes());
        if millis.div_euclid(1000) < 0 {
            push(b"-");
        }
        push(decimal(&mut digits, millis.div_euclid(1000).unsigned_abs()).to_bytes());
        push(b" ");
        push(decimal(&mut digits, millis.rem_euclid(1000) as u64 * 1_000_000).to_bytes());
        push(b"\n");
        sys::write_all(fd, &line[..length])?;
    }
    sys::close(fd)
}

fn write_number(path: &CStr, number: i64) -> Result {
    let fd = sys::openat(libc::AT_FDCWD, path, libc::O_WRONLY, 0)?;
    let mut digits = [0; 24];
    if number < 0 {
        digits[0] = b'-';
    }
    let mut rest = [0; 24];
    let text = decimal(&mut rest, number.unsigned_abs()).to_bytes();
    let sign = usize::from(number < 0);
    digits[sign..sign + text.len()].copy_from_slice(text);
    // The descriptor goes with all others before the target runs.
    sys::write_all(fd, &digits[..sign + text.len()])
}

/// Drops all but `keep`, up to the last that the kernel knows, so that a capability newer than any
/// table goes as well.
fn drop_bounding(keep: u64) -> Result {
    for cap in 0..64 {
        if keep & 1 << cap != 0 {
            continue;
        }
        match sys::prctl(libc::PR_CAPBSET_DROP, cap, 0) {
            Ok(_) => {}
            // The end of the kernel's list, confirmed by another call, lest a single failing one
            // pass for it.
            Err(Errno(libc::EINVAL))
                if cap > u64::from(LAST_SURE)
                    && sys::prctl(libc::PR_CAPBSET_READ, cap, 0) == Err(Errno(libc::EINVAL)) =>
            {
                return Ok(());
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

const CAP_SETPCAP: u64 = 1 << 8;

fn limit_capabilities(keep: u64, ambient: u64, securebits: u32, raise: bool) -> Result {
    if raise {
        let meanwhile = keep | CAP_SETPCAP;
        sys::capset(Sets { effective: meanwhile, permitted: meanwhile, inheritable: keep })?;
        sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
        for cap in (0..64).filter(|cap| ambient & 1 << cap != 0) {
            sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, cap)?;
        }
    }
    sys::prctl(libc::PR_SET_SECUREBITS, u64::from(securebits), 0)?;
    // What is neither permitted nor inheritable leaves the ambient set as well (capabilities(7)).
    sys::capset(Sets { effective: keep, permitted: keep, inheritable: keep })
}

/// Signal actions, mask and personality of a fresh process. Handlers go at exec by themselves; what
/// is ignored would stay.
fn fresh_state(prepared: &Prepared) -> Result {
    for signal in (1..=64).filter(|signal| prepared.ignored & sys::signal_bit(*signal) != 0) {
        sys::default_action(signal)?;
    }
    sys::reset_personality()?;
    if prepared.file_limit_raised {
        sys::set_rlimit(libc::RLIMIT_NOFILE, prepared.file_limit.0, prepared.file_limit.1)?;
    }
    sys::set_signal_mask(0).map(drop)
}

fn read_back(keep: u64, ambient: u64, no_new_privs: bool, ids: (u32, u32)) -> Result {
    let sure = |right: bool| if right { Ok(()) } else { Err(Errno(libc::EPERM)) };
    sure(sys::capget()? == Sets { effective: keep, permitted: keep, inheritable: keep })?;
    for cap in (0..64).filter(|cap| ambient & 1 << cap != 0) {
        sure(sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as u64, cap)? == 1)?;
    }
    sure(sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == i32::from(no_new_privs))?;
    let (user, group) = ids;
    sure(sys::ids()? == [user, user, user, group, group, group])
}
