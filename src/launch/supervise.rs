//! The launcher while the target runs: one poll table of everything that can happen, signals forwarded,
//! and the status brought home.

use super::cgroup::Groups;
use super::helper::{Helpers, Next, START};
use super::message::{Message, STOP};
use super::prepare::Prepared;
use super::signals::{FORWARDED, PER_TURN};
use super::terminal::Jobs;
use super::{Failure, Outcome, Pipes, own, started, why};
use crate::kernel::namespace::Kind;
use crate::plan::Plan;
use crate::step::{Step, TreeOp};
use crate::sys::{self, Errno, SignalSet, Usage, signal_bit};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The first process of the sandbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    /// Its number outside.
    pub pid: i32,
    /// The descriptor that stands for it, and for no other process ever.
    pub pidfd: RawFd,
}

/// How long after an out-of-memory event a process of the group may be killed: the kernel writes to
/// its log between, and consoles are slow.
const KILL_AFTER_EVENT: Duration = Duration::from_secs(1);
/// How often it is looked for then.
const LOOK_MS: i32 = 2;

/// How long a server of layers may take to answer at one step: longer than pid 1 itself waits, which
/// knows more.
const ANSWER: Duration = START.saturating_add(Duration::from_secs(2));

/// Signals that end a start in which a server is asked: no target handles them yet, and pid 1, which
/// would pass them on, may wait without an end.
const ENDING: SignalSet = signal_bit(libc::SIGHUP)
    | signal_bit(libc::SIGINT)
    | signal_bit(libc::SIGQUIT)
    | signal_bit(libc::SIGTERM);

/// The descriptor that signals are read from, and what is put back at the end.
pub(super) struct Signals {
    fd: RawFd,
    jobs: Jobs,
    /// Those that the caller ignores.
    ignored: SignalSet,
}

/// Blocks every signal, opens the descriptor that those to forward are read from, and looks at what
/// the caller shares.
pub(super) fn block_signals(plan: &Plan, prepared: &Prepared) -> sys::Result<Signals> {
    sys::set_signal_mask(!0)?;
    let jobs = Jobs::save(plan, prepared.terminal);
    Ok(Signals { fd: sys::signalfd(FORWARDED)?, jobs, ignored: prepared.ignored })
}

/// Waits for the end of the sandbox.
pub(super) fn supervise(
    plan: &Plan,
    child: Child,
    pipes: Pipes,
    signals: &Signals,
    groups: &Groups,
    helpers: &mut Helpers<'_>,
) -> Result<(Outcome, Usage), Failure> {
    let memory = groups.out_of_memory;
    let mut watch = Watch {
        plan,
        child,
        pipes,
        signals,
        groups,
        memory,
        wanting: None,
        helpers,
        ended: None,
        started: false,
        asking: None,
        alone: false,
        killed: false,
        suspended: false,
    };
    let outcome = watch.watch();
    signals.jobs.put_back();
    outcome
}

/// The value of the signal by which `stockade kill` asks a launcher to end its sandbox.
const THE_END: i32 = 0x5749_4b53;

/// Asks a launcher to end its sandbox as its own death would: only pid 1 knows all processes of one
/// without a pid namespace.
pub(super) fn ask_to_end(launcher: RawFd) -> sys::Result {
    sys::queue_pidfd(launcher, libc::SIGTERM, THE_END)
}

/// The same of `stockade stop`.
const A_STOP: i32 = 0x5749_4b54;

/// Asks a launcher to send its target the stop signal. A launcher that does not know the number
/// passes SIGTERM on.
pub(super) fn ask_to_stop(launcher: RawFd) -> sys::Result {
    sys::queue_pidfd(launcher, libc::SIGTERM, A_STOP)
}

fn is_asked(signalled: sys::Signalled, number: i32) -> bool {
    (signalled.signal, signalled.code, signalled.number) == (libc::SIGTERM, libc::SI_QUEUE, number)
}

/// What the launcher waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The end of the sandbox's first process.
    End,
    /// What that process reports.
    Message,
    /// A signal for the launcher.
    Signal,
    /// That memory is out.
    Memory,
    /// A record of the helper in this place, or its end.
    Helper(usize),
}

struct Watch<'a, 't> {
    plan: &'a Plan,
    child: Child,
    pipes: Pipes,
    signals: &'a Signals,
    groups: &'a Groups,
    /// Readable once memory is out; -1 if it is not watched, or no longer.
    memory: RawFd,
    /// Until when an event of it may be followed by a kill.
    wanting: Option<Instant>,
    helpers: &'a mut Helpers<'t>,
    ended: Option<Outcome>,
    /// Whether there never was a process beside the target.
    alone: bool,
    /// Whether the target runs, or has run.
    started: bool,
    /// The step at which a server of layers may be asked, and until when it may take; none where
    /// none is asked, or the target runs.
    asking: Option<(u32, Instant)>,
    /// Whether the launcher was asked to end it, and did.
    killed: bool,
    /// Whether a stop of the launcher's own was passed on.
    suspended: bool,
}

impl Watch<'_, '_> {
    fn watch(&mut self) -> Result<(Outcome, Usage), Failure> {
        // Else the file would have no end.
        sys::close(self.pipes.report.1)
            .map_err(|errno| self.give_up("wait for the sandbox", errno))?;
        loop {
            let ready = self.wait().map_err(|errno| self.give_up("wait for the sandbox", errno))?;
            if ready.contains(&Source::Message) {
                self.receive()?;
            } else if ready.contains(&Source::End) {
                return self.finish();
            } else if let Some((step, until)) = self.asking
                && Instant::now() >= until
            {
                self.end_now();
                return Err(why::unanswered(self.plan, step).into());
            }
            for source in ready {
                match source {
                    Source::Helper(place) => self.receive_from_helper(place)?,
                    Source::Signal => self.forward(),
                    Source::Memory => self.note_memory_event(),
                    Source::Message | Source::End => {}
                }
            }
            if self.wanting.is_some() {
                self.end_without_memory();
            }
        }
    }

    /// Waits for any source, and gives those that are ready. Each is seen to once, so that none
    /// keeps the others waiting.
    fn wait(&mut self) -> sys::Result<Vec<Source>> {
        // The kernel looks at them in this order. The end comes first: a process that has ended has
        // sent all its messages, so they are read after that.
        let own = [
            (Source::End, self.child.pidfd),
            (Source::Message, self.pipes.report.0),
            (Source::Signal, self.signals.fd),
            (Source::Memory, self.memory),
        ];
        let helpers = self.helpers.sources().map(|(place, fd)| (Source::Helper(place), fd));
        let table = own.into_iter().chain(helpers);
        let (sources, mut polled): (Vec<Source>, Vec<libc::pollfd>) =
            table.map(|(source, fd)| (source, sys::to_read(fd))).unzip();
        sys::poll_all(&mut polled, self.time_left())?;
        let ready = sources.into_iter().zip(polled).filter(|(_, polled)| polled.revents != 0);
        Ok(ready.map(|(source, _)| source).collect())
    }

    /// In milliseconds; -1 where nothing is due.
    fn time_left(&self) -> i32 {
        let look = self.wanting.map(|_| LOOK_MS);
        let left = self.asking.map(|(_, until)| {
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            i32::try_from(left).map_or(i32::MAX, |left| left.saturating_add(1))
        });
        look.into_iter().chain(left).min().unwrap_or(-1)
    }

    fn receive_from_helper(&mut self, place: usize) -> Result<(), Failure> {
        match self.helpers.receive(place) {
            Ok(Next::GoOn) => Ok(()),
            Ok(Next::EndTheSandbox) => {
                self.end_all();
                Ok(())
            }
            Err(failure) => {
                self.end_now();
                Err(failure)
            }
        }
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let message = Message::receive(self.pipes.report.0)
            .map_err(|errno| self.give_up("read from pid 1", errno))?;
        match message {
            None => self.closed(),
            Some(Message::At { step }) => {
                self.asking = may_ask(self.plan, step).then(|| (step, Instant::now() + ANSWER));
            }
            Some(Message::Started) => (self.started, self.asking) = (true, None),
            // A start that is ended may fail in its last moment.
            Some(Message::Failed { .. } | Message::NotExecuted { .. }) if self.killed => {}
            Some(Message::Stopped { signal }) => {
                let suspended = std::mem::take(&mut self.suspended);
                self.answer(self.signals.jobs.stopped(signal, suspended));
            }
            Some(Message::Ended { status }) => self.ends(outcome(status)),
            Some(Message::KilledAlone) => {
                self.alone = true;
                self.ends(Outcome::Killed(libc::SIGKILL));
            }
            Some(Message::TimedOut) => self.ends(Outcome::TimedOut),
            Some(Message::CpuTimeOver) => self.ends(Outcome::CpuTimeOver),
            Some(failed) => {
                let failure = started(self.plan, failed);
                self.helpers.end_servers();
                sys::regardless(sys::wait_for(self.child.pid));
                return failure.map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    /// Pid 1 ends, and waits for all others of its namespace, which no signal ends while they wait for
    /// a server of layers. A target that is pid 1 itself has closed it as it began.
    fn closed(&mut self) {
        // A descriptor below 0 is polled for nothing.
        sys::regardless(sys::close(std::mem::replace(&mut self.pipes.report.0, -1)));
        self.asking = None;
        if self.plan.watch.init {
            self.helpers.end_servers();
        }
    }

    /// Ends all at once: with pid 1 the kernel ends its namespace.
    fn kill(&mut self) {
        // One that has ended meanwhile needs no end.
        sys::regardless(sys::signal_pidfd(self.child.pidfd, libc::SIGKILL));
        // Pid 1 itself may wait for a server. Later the end of its reports comes first, so that the
        // target never sees its files without one.
        if !(self.started && self.plan.watch.init) {
            self.helpers.end_servers();
        }
    }

    /// Ends all, and waits for that.
    fn end_now(&self) {
        sys::regardless(sys::signal_pidfd(self.child.pidfd, libc::SIGKILL));
        self.helpers.end_servers();
        super::end(self.child.pidfd, self.child.pid);
    }

    /// Pid 1 ends with the rest of its namespace, of which a part may be frozen.
    fn ends(&mut self, outcome: Outcome) {
        self.ended = Some(outcome);
        self.groups.thaw();
    }

    /// Ends the sandbox as this process's own death would.
    fn end_all(&mut self) {
        self.ended = Some(Outcome::Killed(libc::SIGKILL));
        // A target that has ended needs no signal.
        if self.plan.watch.init {
            sys::regardless(sys::close(std::mem::replace(&mut self.pipes.life.1, -1)));
        } else {
            self.kill();
        }
    }

    /// Pid 1 has ended, and the kernel has ended all others of its namespace.
    fn finish(&self) -> Result<(Outcome, Usage), Failure> {
        let (status, usage) =
            sys::wait_with_usage(self.child.pid).map_err(|errno| own("wait for pid 1", errno))?;
        match self.ended {
            Some(outcome) if self.killed => Ok((outcome, usage)),
            Some(outcome) => Ok((self.blame_memory(outcome), usage)),
            // The target was pid 1 itself.
            None if !self.plan.watch.init => Ok((self.blame_memory(outcome(status)), usage)),
            // A fault of its own, or an end before there was a target.
            None if libc::WIFSIGNALED(status)
                && (!self.started || libc::WTERMSIG(status) != libc::SIGKILL) =>
            {
                Err(why::pid_one_killed(self.plan, libc::WTERMSIG(status)).into())
            }
            // Something killed pid 1. The memory killer takes the largest process, which it is not,
            // but for a group that it ends whole.
            None if libc::WIFSIGNALED(status) && !self.ends_whole() => Ok((outcome(status), usage)),
            None if libc::WIFSIGNALED(status) => Ok((self.blame_memory(outcome(status)), usage)),
            None => Err(why::pid_one_ended(libc::WEXITSTATUS(status)).into()),
        }
    }

    /// A SIGKILL may have been the memory killer's. The kernel counts its victims without naming
    /// them, so this is known only if it kills the whole group, or if the group never had another
    /// process. Else the record has the signal and the count.
    fn blame_memory(&self, outcome: Outcome) -> Outcome {
        let known = outcome == Outcome::Killed(libc::SIGKILL) && (self.alone || self.ends_whole());
        if known && self.groups.oom_kills().is_some_and(|kills| kills > 0) {
            Outcome::OutOfMemory
        } else {
            outcome
        }
    }

    /// Whether the memory killer ends all of the group (version 2, memory.oom.group).
    fn ends_whole(&self) -> bool {
        self.plan.has_limit("memory.oom.group", "1")
    }

    /// The kernel notifies every group below the one that is out of memory (memcontrol.c,
    /// mem_cgroup_oom_notify), and before it kills.
    fn note_memory_event(&mut self) {
        match sys::read(self.memory, &mut [0; 8]) {
            Ok(_) | Err(Errno(libc::EAGAIN)) => {
                self.wanting = Some(Instant::now() + KILL_AFTER_EVENT)
            }
            Err(_) => self.memory = -1,
        }
    }

    /// `oom = "kill-all"` in version 1, whose memory killer ends one process: with pid 1 all others
    /// end. If it ended no process of this group, whose count began at 0, another group was out of
    /// memory.
    fn end_without_memory(&mut self) {
        if self.groups.oom_kills().is_none_or(|kills| kills == 0) {
            self.wanting = self.wanting.filter(|until| Instant::now() < *until);
            return;
        }
        (self.memory, self.wanting) = (-1, None);
        self.ended = Some(Outcome::OutOfMemory);
        self.kill();
        self.groups.thaw();
    }

    fn forward(&mut self) {
        for _ in 0..PER_TURN {
            let Ok(Some(signalled)) = sys::next_signal(self.signals.fd) else { return };
            if is_asked(signalled, A_STOP) {
                self.ask_target();
                continue;
            }
            if is_asked(signalled, THE_END) {
                self.killed = true;
                self.end_all();
                // With pid 1 the kernel ends its namespace, though pid 1 may be stopped and read
                // nothing.
                if self.plan.new.contains(&Kind::Pid) {
                    self.kill();
                }
                self.groups.thaw();
                return;
            }
            let bit = signal_bit(signalled.signal);
            if self.asking.is_some() && ENDING & bit & !self.signals.ignored != 0 {
                (self.killed, self.ended) = (true, Some(Outcome::Killed(signalled.signal)));
                self.kill();
                self.groups.thaw();
                return;
            }
            self.suspended |= signalled.signal == libc::SIGTSTP;
            // A sandbox that has ended meanwhile needs none.
            if sys::signal_pidfd(self.child.pidfd, signalled.signal).is_err() {
                return;
            }
        }
    }

    /// Has the target sent the stop signal, whichever it is: pid 1 passes not all of them on.
    fn ask_target(&self) {
        if self.plan.watch.init {
            return self.answer(STOP);
        }
        // A stopped process handles a signal only after SIGCONT.
        for signal in [self.plan.watch.stop_signal, libc::SIGCONT] {
            sys::regardless(sys::signal_pidfd(self.child.pidfd, signal));
        }
    }

    fn answer(&self, byte: u8) {
        // Pid 1 may have ended meanwhile; its end is what the loop sees next.
        sys::regardless(sys::write_all(self.pipes.life.1, &[byte]));
    }

    fn give_up(&self, what: &str, errno: Errno) -> Failure {
        self.end_now();
        own(what, errno).into()
    }
}

/// Whether a step may wait for a server. What is copied is read of the host's, and takes its time.
fn may_ask(plan: &Plan, step: u32) -> bool {
    let op = plan.steps.get(step as usize).and_then(Step::tree);
    let copies = |op: &TreeOp| {
        let facets = op.facets();
        facets.because.is_some() || facets.copied.is_some_and(|(_, all)| all)
    };
    !op.is_some_and(copies)
}

fn outcome(status: i32) -> Outcome {
    if libc::WIFSIGNALED(status) {
        Outcome::Killed(libc::WTERMSIG(status))
    } else {
        Outcome::Exited(libc::WEXITSTATUS(status) as u8)
    }
}
