//! Between clone and exec: walks the steps. Raw system calls and nothing else: no allocation, no
//! lock, no formatting.
//!
//! Every error ends the process, and with pid 1 the whole sandbox; the launcher has the plan and
//! explains the step.

use super::message::{GO, Message, OWN, give_up};
use super::prepare::Prepared;
use super::{Pipes, init, process, tree};
use crate::plan::{Actor, Plan};
use crate::step::Op;
use crate::sys::{self, Errno, Memory, NoWayBack, Result};
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
    let _ends_here = NoWayBack;
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
    // One that is stopped sees no end of a pipe, and there is no other process to end yet.
    own(die_with_launcher(true))?;
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
    let before = sys::umask(0);
    own(before.map(drop))?;
    prepared.umask = before.unwrap_or(0);
    if !plan.has_own_pids() {
        own(adopt_all(prepared))?;
    }
    walk_to_the_target(plan, prepared, pipes.report.1)?;
    if let Some(hands) = &mut prepared.hands {
        own(hands.hand_over(&prepared.slots))?;
    }
    // Each change of ids clears the parent-death signal and may make the process dumpable
    // (prctl(2)), so both come after them.
    own(die_with_launcher(plan.has_own_pids()))?;
    own(sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map(drop))?;
    // Had the launcher died before the parent-death signal was set, or after it was taken back, its
    // end of the life pipe would be closed by now.
    match sys::poll([pipes.life.0], 0) {
        Ok([true]) => sys::exit(125),
        other => own(other.map(drop)),
    }
}

/// Whether the launcher's death ends this process. Pid 1 of a pid namespace takes all others with
/// it. A first process that is not pid 1 must live to end the others, and sees the life pipe close.
fn die_with_launcher(dies: bool) -> Result {
    let signal = if dies { libc::SIGKILL } else { 0 };
    sys::prctl(libc::PR_SET_PDEATHSIG, signal as u64, 0).map(drop)
}

/// Orphans of the sandbox become children of this process (PR_SET_CHILD_SUBREAPER), which can name
/// them by its own file.
fn adopt_all(prepared: &mut Prepared) -> Result {
    prepared.children =
        sys::openat(libc::AT_FDCWD, c"/proc/thread-self/children", libc::O_RDONLY, 0)?;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

/// Pid 1's steps. From the first on that a server of layers answers for, the launcher learns of each:
/// no signal ends a call that such a server has begun to answer, so only the launcher can.
fn walk_to_the_target(
    plan: &Plan,
    prepared: &mut Prepared,
    report: RawFd,
) -> std::result::Result<(), Stop> {
    for (index, step) in plan.steps_of(Actor::Init) {
        let at = index as u32;
        let is_served = prepared.first_served.is_some_and(|first| first <= index);
        let told = if is_served { Message::At { step: at }.send(report) } else { Ok(()) };
        told.and_then(|()| apply(&step.op, index, prepared))
            .map_err(|Errno(errno)| Stop(Message::Failed { step: at, errno }))?;
    }
    // The target's directory and program may be what a server shows.
    match prepared.first_served {
        Some(_) => Message::At { step: OWN }
            .send(report)
            .map_err(|Errno(errno)| Stop(Message::Failed { step: OWN, errno })),
        None => Ok(()),
    }
}

/// The target's steps.
fn walk(plan: &Plan, prepared: &mut Prepared) -> std::result::Result<(), Stop> {
    for (index, step) in plan.steps_of(Actor::Target) {
        apply(&step.op, index, prepared)
            .map_err(|Errno(errno)| Stop(Message::Failed { step: index as u32, errno }))?;
    }
    Ok(())
}

/// Does one operation, which has this place in the plan.
pub(super) fn apply(op: &Op, index: usize, prepared: &mut Prepared) -> Result {
    match op {
        Op::Tree(op) => tree::apply(op, index, prepared),
        Op::Process(op) => process::apply(op, prepared),
    }
}

/// The target's process, in memory that it shares with pid 1 until it executes: a copy of the
/// address space costs 0.1 ms.
fn spawn(plan: &Plan, prepared: &mut Prepared, report: RawFd) -> std::result::Result<i32, Message> {
    let mut start = Start { plan, prepared, memory: Memory::Shared, report, failure: None };
    let mut pid = sys::spawn(start.memory, target, &mut start);
    if pid == Err(Errno(libc::EINVAL)) {
        // Older kernels (6.1; no longer 6.12) let no process enter another time namespace while it
        // shares memory (setns(2)).
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
        // Pid 1 only sees that the target ends; the launcher gets the reason before that.
        give_up(message, start.report);
    }
    start.failure = Some(message);
    sys::exit(125)
}

/// Gives up what the target must not have, and executes it. Returns only what went wrong.
fn execute(plan: &Plan, prepared: &mut Prepared) -> Message {
    if let Err(Stop(message)) = walk(plan, prepared) {
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
