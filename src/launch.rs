//! From a plan to a running target, and to its end. Nothing else builds a sandbox.
//!
//! It never sees a profile, so it cannot decide. The parent's side is here; [`child`] is what runs
//! between clone and exec, [`init`] is pid 1, [`supervise`] waits, [`helper`] is the kind of
//! processes that work beside the launcher.

#![deny(clippy::wildcard_enum_match_arm)]

mod calling;
pub(crate) mod cause;
mod cgroup;
pub(crate) mod changes;
mod child;
mod content;
mod control;
mod copy;
mod copy_up;
mod digits;
mod fresh;
pub(crate) mod helper;
pub(crate) mod idmap;
mod init;
mod layering;
mod leftover;
pub(crate) mod maps;
mod merge;
mod message;
mod outside;
mod prepare;
mod process;
mod program;
mod proof;
pub(crate) mod registry;
mod rehearse;
mod serve;
mod signals;
mod stat;
pub(crate) mod states;
mod streams;
mod supervise;
mod terminal;
mod tops;
mod tree;
pub(crate) mod tries;
pub(crate) mod uppers;
mod why;

use crate::host::upper;
use crate::launch::registry::LockedEntry;
use crate::plan::{Actor, Plan};
use crate::policy::seccomp::Notifications;
use crate::sys::{self, Errno, Usage};
use crate::text::problem::{Note, Problem};
pub(crate) use calling::{Mask, Process, caller};
pub(crate) use cgroup::Account;
use cgroup::Groups;
pub(crate) use control::{Denied, freeze, go_on, kill, stop, usage};
use helper::answer::Answer;
pub(crate) use helper::denial::{Act, Call, Consequence, Denial, Denials, Who};
use helper::server::Server;
use helper::{Helper, Helpers};
pub(crate) use layering::refused_layers;
use message::Message;
use outside::Outside;
use prepare::Prepared;
pub(crate) use rehearse::{Program, rehearse};
use std::os::fd::RawFd;
use std::time::Duration;
use tops::Hands;
pub(crate) use tops::{Full, Top, is_of_the_host};
use uppers::Uppers;
pub(crate) use why::NO_PROGRAM;

/// How the target of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// By itself, with this exit status.
    Exited(u8),
    /// By the signal of this number (signal(7)): `libc::SIGSEGV` or the like.
    Killed(i32),
    /// By `process.timeout`.
    TimedOut,
    /// By `limits.cpu-time`: its processes together had used the processor time that they may.
    CpuTimeOver,
    /// By the kernel, because the memory of `limits.memory` was used up. If it ended only some of
    /// several processes, it is unknown whether this one was among them, and the outcome is
    /// [`Killed`](Outcome::Killed) by SIGKILL (9).
    OutOfMemory,
}

/// A run, from its start to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub outcome: Outcome,
    pub wall: Duration,
    /// What its processes used, by wait4(2).
    pub usage: Usage,
    /// What its control groups report, if it was asked for and it had groups.
    pub account: Option<Account>,
    /// Things that could not be removed: the next run removes them.
    pub left: Vec<String>,
    /// Optional limits that were skipped because the kernel lacks them.
    pub fallen: Vec<Note>,
    /// What was denied, if the plan reports denials.
    pub denials: Denials,
    /// What was written on top of layers, if it was asked for.
    pub tops: Tops,
    /// The bounds of uppers in memory that are met.
    pub full: Vec<Full>,
}

/// What was written on top of layers: as far as it could be opened, and where it could not.
#[derive(Debug, Default)]
pub(crate) struct Tops {
    /// In the order of the entries.
    pub all: Vec<Top>,
    /// The entries' paths.
    pub failed: Vec<(String, Errno)>,
    /// The directories that they are in, as long as they are read.
    uppers: Uppers,
}

impl Tops {
    /// Removes what is thrown away; what could not be removed.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.uppers.finish()
    }
}

/// What is asked of a run beside its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ask {
    /// The accounts of the control groups.
    pub accounts: bool,
    /// What was written on top of layers.
    pub tops: bool,
}

impl Ask {
    /// Nothing.
    pub(crate) const NOTHING: Ask = Ask { accounts: false, tops: false };
}

impl Outcome {
    /// The exit status that the command line gives for it, as shells and timeout(1) do: the
    /// target's own, 128+n for signal n, 124 if its time was over.
    ///
    /// # Examples
    ///
    /// ```
    /// use stockade::Outcome;
    ///
    /// assert_eq!(Outcome::Exited(3).status(), 3);
    /// assert_eq!(Outcome::Killed(15).status(), 143);
    /// assert_eq!(Outcome::TimedOut.status(), 124);
    /// // No signal has such a number.
    /// assert_eq!(Outcome::Killed(1000).status(), 255);
    /// ```
    pub fn status(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::Killed(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX),
            Outcome::TimedOut | Outcome::CpuTimeOver => 124,
            Outcome::OutOfMemory => 128 + libc::SIGKILL as u8,
        }
    }
}

/// The status where the profile or the launcher failed.
pub(crate) const FAILED: u8 = 125;

/// Why nothing ran.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to report to the user.
    pub problem: Box<Problem>,
    /// [`FAILED`]; 126 and 127 where the program is what failed.
    pub status: u8,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure { problem: Box::new(problem), status: FAILED }
    }
}

/// The two pipes between the launcher and pid 1.
#[derive(Debug, Clone, Copy)]
struct Pipes {
    /// Pid 1 reads commands; its end of file is the launcher's death.
    life: (RawFd, RawFd),
    /// The launcher reads [`Message`]s, and closes the other end. The end of the file comes before
    /// that of pid 1, which waits for all others of its namespace meanwhile (pid_namespaces(7)).
    report: (RawFd, RawFd),
}

/// Runs the plan to its end. `tell` gets the first denial of each kind at once, and may not wait:
/// meanwhile the target waits, and signals to the launcher do. All signals are blocked from some
/// point on, and stay so: the caller puts them back ([`Mask`]).
pub(crate) fn launch(
    plan: &Plan,
    ask: Ask,
    tell: &mut dyn FnMut(&Denial),
) -> Result<Ended, Failure> {
    launch_beside(plan, ask, tell, None)
}

/// The same, with one more helper.
pub(crate) fn launch_beside<'t>(
    plan: &'t Plan,
    ask: Ask,
    tell: &'t mut dyn FnMut(&Denial),
    helper: Option<Box<dyn Helper + 't>>,
) -> Result<Ended, Failure> {
    let mut groups = Groups::new();
    let begun = groups.begun;
    let (mut held, mut helpers) = (None, Helpers::new(tell));
    let mut left = Left::default();
    let ended = run(plan, &mut groups, (&mut held, &mut left), (&mut helpers, helper), ask);
    let denials = helpers.finish();
    let account = (plan.grouped.group && ask.accounts && ended.is_ok()).then(|| groups.account());
    let fallen = std::mem::take(&mut groups.fallen);
    let Left { mut things, tops, full } = left;
    things.extend(groups.remove());
    // Last: a run that waits for the name to be free finds all of it gone.
    if let Some(held) = held {
        held.leave();
    }
    ended.map(|(outcome, usage)| Ended {
        outcome,
        wall: begun.elapsed(),
        usage,
        account,
        left: things,
        fallen,
        denials,
        tops,
        full,
    })
}

/// What a run leaves.
#[derive(Default)]
struct Left {
    /// Things that could not be removed.
    things: Vec<String>,
    tops: Tops,
    full: Vec<Full>,
}

fn run<'t>(
    plan: &'t Plan,
    groups: &mut Groups,
    (held, left): (&mut Option<LockedEntry>, &mut Left),
    (helpers, helper): (&mut Helpers<'t>, Option<Box<dyn Helper + 't>>),
    ask: Ask,
) -> Result<(Outcome, Usage), Failure> {
    let begun = upper::now();
    find_passed(plan)?;
    if plan.closed_streams {
        fill_streams()
            .map_err(|errno| own("open /dev/null for a closed standard stream", errno))?;
    }
    for step in &plan.groups {
        groups.apply_step(step).map_err(|wrong| why::group_failed(step, &wrong))?;
    }
    if plan.notifications != Notifications::Nothing {
        helpers.start(Box::new(Answer::new(plan)))?;
    }
    for server in Server::all(plan) {
        helpers.start(Box::new(server))?;
    }
    helper.map_or(Ok(()), |helper| helpers.start(helper))?;
    let mut prepared = Prepared::new(plan, groups, helpers)?;
    let mut ours = None;
    if ask.tops || tops::memory(plan).next().is_some() {
        let (hands, end) = Hands::new(plan).map_err(|errno| own("make a socket pair", errno))?;
        prepared.hands = Some(hands);
        ours = Some(end);
    }
    let ended = start(plan, &mut prepared, groups, held, helpers);
    if let Some(ours) = ours {
        prepared.hands.take().iter().for_each(Hands::close);
        // Where nothing ran, nothing was written, and all is removed at once.
        if ended.is_ok() {
            let memory = tops::receive(plan, ours);
            left.full = tops::full(plan, &memory);
            if ask.tops {
                let written = (&*prepared.slots, &prepared.uppers, begun);
                (left.tops.all, left.tops.failed) = tops::collect(plan, written, &memory);
                left.tops.uppers = std::mem::take(&mut prepared.uppers);
            }
        }
        sys::regardless(sys::close(ours));
    }
    left.things.extend(prepared.uppers.finish());
    ended
}

/// Starts pid 1, and waits for its end.
fn start<'t>(
    plan: &'t Plan,
    prepared: &mut Prepared,
    groups: &mut Groups,
    held: &mut Option<LockedEntry>,
    helpers: &mut Helpers<'t>,
) -> Result<(Outcome, Usage), Failure> {
    prepared.fit_file_limit(plan).map_err(|errno| own("raise the limit of open files", errno))?;
    // The end of a child that its parent ignores sends no signal and leaves no status (wait(2)):
    // pid 1, a copy of this process, would wait for the target for ever.
    if prepared.ignored & sys::signal_bit(libc::SIGCHLD) != 0 {
        sys::default_action(libc::SIGCHLD)
            .map_err(|errno| own("stop ignoring the end of children", errno))?;
    }
    for (index, step) in plan.steps_of(Actor::Launcher) {
        child::apply(&step.op, index, prepared)
            .map_err(|errno| why::step_failed(plan, index, errno))?;
    }
    let life = sys::pipe().map_err(|errno| own("make a pipe", errno))?;
    let report = sys::pipe().map_err(|errno| own("make a pipe", errno))?;
    let pipes = Pipes { life, report };
    prepared.spare = life.0;
    // Signals wait from here on: the launcher reads them from a descriptor, pid 1 and the target
    // start with them blocked.
    let signals =
        supervise::block_signals(plan, prepared).map_err(|errno| own("block signals", errno))?;
    let flags = plan.cloned().fold(0, |flags, kind| flags | kind.flag());
    let mut pidfd = -1;
    match sys::clone_process(flags, &mut pidfd, groups.to_clone_into()) {
        Ok(0) => child::run(plan, prepared, pipes),
        Ok(pid) => {
            helpers.leave_the_sockets();
            if !prepared.uppers.is_empty() {
                if plan.ids.maps.as_ref().is_some_and(|maps| maps.helpers) {
                    prepared.uppers.note_namespace(pid);
                }
                prepared.uppers.sweep();
            }
            let made = idmap::Made::default();
            let mut outside = Outside { pid, pidfd, pipes, plan, groups, held, helpers, made };
            let started =
                plan.outside.iter().try_for_each(|step| outside.apply(step, &prepared.slots));
            if started.is_err() {
                end(pidfd, pid);
            }
            started?;
            let child = supervise::Child { pid, pidfd };
            supervise::supervise(plan, child, pipes, &signals, groups, helpers)
        }
        Err(errno) => Err(why::clone_failed(plan, errno).into()),
    }
}

/// Ends a child that was not started, so that nothing is left.
fn end(pidfd: RawFd, pid: i32) {
    // A child that is gone already is what we want; it is waited for in both cases.
    if sys::signal_pidfd(pidfd, libc::SIGKILL).is_ok() {
        sys::regardless(sys::wait_for(pid));
    }
}

/// Descriptors to pass must be open before any of ours is, or the target would be given one of ours
/// under that number.
pub(crate) fn find_passed(plan: &Plan) -> Result<(), Failure> {
    let (index, passed) = plan.passed();
    match passed.iter().find_map(|fd| sys::describe(*fd as RawFd).err()) {
        Some(errno) => Err(why::step_failed(plan, index, errno).into()),
        None => Ok(()),
    }
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
        Message::Failed { step, errno } => {
            Some(why::step_failed(plan, step as usize, Errno(errno)).into())
        }
        Message::NotExecuted { errno } => Some(why::exec_failed(plan, errno)),
        Message::At { .. }
        | Message::Started
        | Message::Stopped { .. }
        | Message::Ended { .. }
        | Message::KilledAlone
        | Message::TimedOut
        | Message::CpuTimeOver => None,
    }
}
