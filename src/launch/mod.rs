//! The only place that acts: from a plan to a running target, and to its end.
//!
//! It never sees a profile, so it cannot decide. The parent's side is here; [`child`] is what runs between clone and exec,
//! [`init`] is pid 1, [`supervise`] waits.

mod answer;
mod child;
mod denial;
mod explain;
mod handover;
pub(crate) mod idmap;
mod init;
pub(crate) mod maps;
mod message;
mod prepare;
mod program;
mod rehearse;
mod supervise;
mod why;
mod world;

use crate::plan::{Actor, Plan};
use crate::policy::namespaces::Kind;
use crate::policy::seccomp::Told;
use crate::problem::Problem;
use crate::step::Op;
use crate::sys::{self, Errno};
pub use denial::{Denial, Denials, Then, Who};
use explain::Answerer;
use message::Message;
use prepare::Prepared;
pub use rehearse::{Program, rehearse};
use std::os::fd::RawFd;
pub use why::NO_PROGRAM;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target's own exit status.
    Exited(u8),
    /// The signal that ended it.
    Killed(u8),
    /// The timeout ended it.
    TimedOut,
}

/// A run, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// What was denied, where the plan has it told.
    pub denials: Denials,
}

impl Outcome {
    /// The exit status of stockade: the target's own, 128+n for signal n, 124 for the timeout.
    pub fn status(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::Killed(signal) => 128 + signal,
            Outcome::TimedOut => 124,
        }
    }
}

/// Why nothing ran.
#[derive(Debug)]
pub struct Failure {
    /// What to tell the user.
    pub problem: Box<Problem>,
    /// 125; 126 and 127 where the program is what failed.
    pub status: u8,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure { problem: Box::new(problem), status: 125 }
    }
}

/// The two pipes between the launcher and pid 1.
#[derive(Debug, Clone, Copy)]
struct Pipes {
    /// Pid 1 reads commands; its end of file is the launcher's death.
    life: (RawFd, RawFd),
    /// The launcher reads [`Message`]s. It learns of pid 1's end by its pidfd, so the other end may stay open here.
    report: (RawFd, RawFd),
}

/// Runs the plan to its end. `tell` hears of the first denial of each kind at once.
pub fn launch(plan: &Plan, tell: &mut dyn FnMut(&Denial)) -> Result<Ended, Failure> {
    find_passed(plan)?;
    if plan.closed_streams {
        fill_streams().map_err(|errno| own("open /dev/null for a closed standard stream", errno))?;
    }
    let mut answerer = if plan.told == Told::Nothing { None } else { Some(Answerer::start(plan, tell)?) };
    let outcome = run(plan, answerer.as_mut());
    let denials = answerer.map_or_else(Denials::default, Answerer::finish);
    Ok(Ended { outcome: outcome?, denials })
}

fn run(plan: &Plan, mut answerer: Option<&mut Answerer<'_>>) -> Result<Outcome, Failure> {
    let mut prepared = Prepared::new(plan, answerer.as_ref().map(|answerer| answerer.socket))?;
    prepared.fit_file_limit(plan).map_err(|errno| own("raise the limit of open files", errno))?;
    open_for_child(plan, &mut prepared)?;
    let life = sys::pipe().map_err(|errno| own("make a pipe", errno))?;
    let report = sys::pipe().map_err(|errno| own("make a pipe", errno))?;
    let pipes = Pipes { life, report };
    // Signals wait from here on: the launcher reads them from a descriptor, pid 1 and the target start with them blocked.
    let signals = supervise::block_signals(prepared.terminal.map(|terminal| terminal.fd)).map_err(|errno| own("block signals", errno))?;
    let unshared = |kind: &Kind| *kind == Kind::Time && plan.steps.iter().any(|step| matches!(step.op, Op::TimeNamespace { .. }));
    let flags = plan.new.iter().filter(|kind| !unshared(kind)).fold(0, |flags, kind| flags | kind.flag());
    let mut pidfd = -1;
    match sys::clone_process(flags, &mut pidfd) {
        Ok(0) => child::run(plan, &mut prepared, pipes),
        Ok(pid) => {
            if let Some(answerer) = &mut answerer {
                answerer.leave_the_socket();
            }
            let started = start(plan, pid, pipes);
            if started.is_err() {
                end(pidfd, pid);
            }
            started?;
            supervise::supervise(plan, supervise::Child { pid, pidfd }, pipes, &signals, answerer)
        }
        Err(errno) => Err(why::clone_failed(plan, errno).into()),
    }
}

/// The launcher's part after the clone: id maps, then the byte that lets pid 1 go.
fn start(plan: &Plan, pid: i32, pipes: Pipes) -> Result<(), Failure> {
    if let Some(maps) = &plan.ids.maps {
        maps::write(maps, pid)?;
    }
    // The launcher holds the caller's environment and descriptors: no process of the same user may look into it. Only the maps had
    // to be written before, as an undumpable process may not write them (proc(5)).
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map_err(|errno| own("make the launcher undumpable", errno))?;
    sys::write_all(pipes.life.1, &[message::GO]).map_err(|errno| own("start pid 1", errno).into())
}

/// Ends a child that was not started, so that nothing is left.
fn end(pidfd: RawFd, pid: i32) {
    // A child that is gone already is what we want; it is waited for in both cases.
    if sys::signal_pidfd(pidfd, libc::SIGKILL).is_ok() {
        sys::regardless(sys::wait_for(pid));
    }
}

/// Steps of the launcher before the clone.
fn open_for_child(plan: &Plan, prepared: &mut Prepared) -> Result<(), Failure> {
    for (index, step) in plan.steps_of(Actor::Launcher) {
        let result = match &step.op {
            Op::IdMapMount { slot, disk, ids, .. } => idmap::map(prepared.slots[slot.0], *disk, *ids),
            op => child::apply(op, prepared),
        };
        result.map_err(|errno| why::step_failed(plan, index, errno))?;
    }
    Ok(())
}

/// Descriptors to pass must be open before any of ours is, or the target would be given one of ours under that number.
fn find_passed(plan: &Plan) -> Result<(), Failure> {
    for (index, step) in plan.steps.iter().enumerate() {
        let Op::CloseDescriptors { keep } = &step.op else { continue };
        if let Some(errno) = keep.iter().find_map(|fd| sys::describe(*fd as RawFd).err()) {
            return Err(why::step_failed(plan, index, errno).into());
        }
    }
    Ok(())
}

/// `/dev/null` for each of 0, 1 and 2 that is closed, so that no descriptor of ours lands there.
fn fill_streams() -> sys::Result {
    loop {
        let fd = sys::openat(libc::AT_FDCWD, c"/dev/null", libc::O_RDWR, 0)?;
        if fd > 2 {
            return sys::close(fd);
        }
        sys::keep_over_exec(fd)?;
    }
}

/// A failure of the launcher's own.
fn own(what: &str, Errno(errno): Errno) -> Problem {
    why::own(what, errno)
}

/// What pid 1 says while it starts.
fn started(plan: &Plan, message: Message) -> Option<Failure> {
    match message {
        Message::Failed { step, errno } => Some(why::step_failed(plan, step as usize, Errno(errno)).into()),
        Message::NotExecuted { errno } => Some(why::exec_failed(plan, errno)),
        _ => None,
    }
}
