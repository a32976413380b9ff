//! Pid 1 of the sandbox once the target runs: it reaps, forwards signals, keeps the time, and ends
//! the sandbox with the target.
//!
//! It is a fork that never executed anything, so that no capability inside reaches its memory
//! (ptrace(2) asks for them in the launcher's user namespace); it is not dumpable, and holds no
//! descriptor of the host but its pipes and the terminal.

use super::Pipes;
use super::message::{Message, OWN, STOP, give_up};
use super::prepare::Prepared;
use super::proof::NOT_IN_FORCE;
use super::signals::{FORWARDED, PER_TURN, gone_is_fine};
use super::terminal::OfInit;
use crate::kernel::controller::Version;
use crate::plan::Plan;
use crate::sys::{self, Errno, Memory};
use std::os::fd::RawFd;

/// Prepares pid 1 before there is a target that could inspect it: overwrites the caller's
/// arguments, so that `/proc/1/cmdline` shows a name for ps(1), and opens the descriptor that
/// signals are read from.
pub(super) fn get_ready() -> sys::Result<RawFd> {
    sys::wipe_strings(b"stockade");
    sys::signalfd(FORWARDED | sys::signal_bit(libc::SIGCHLD))
}

/// Looks after the target until it ends.
pub(super) fn look_after(
    plan: &Plan,
    prepared: &mut Prepared,
    pipes: Pipes,
    signals: RawFd,
    target: i32,
) -> ! {
    let report = pipes.report.1;
    let failed = |Errno(errno)| -> ! { give_up(Message::Failed { step: OWN, errno }, report) };
    let init = match Init::new(plan, prepared, pipes, signals, target) {
        Ok(init) => init,
        Err(errno) => failed(errno),
    };
    let children = init.children;
    match init.watch() {
        Ok(message) => {
            end_all(children);
            sys::exit(i32::from(message.send(report).is_err()))
        }
        Err(errno) => failed(errno),
    }
}

struct Init {
    pipes: Pipes,
    signals: RawFd,
    terminal: OfInit,
    children: RawFd,
    account: Option<Account>,
    target: i32,
    stop_signal: i32,
    deadline: Option<u64>,
    kill_after: u64,
    timed_out: bool,
    /// Whether it matters if the target was alone, and process numbers say so: in a control group
    /// and a pid namespace of its own.
    numbered: bool,
    /// Whether children may have ended that are not waited for yet.
    unreaped: bool,
}

impl Init {
    fn new(
        plan: &Plan,
        prepared: &mut Prepared,
        pipes: Pipes,
        signals: RawFd,
        target: i32,
    ) -> sys::Result<Init> {
        let terminal = OfInit::new(plan, prepared.terminal)?;
        let children = prepared.children;
        let account = Account::new(plan, prepared)?;
        sys::close_all_but(&mut [
            pipes.life.0,
            pipes.report.1,
            signals,
            terminal.fd(),
            children,
            prepared.cpu_account.map_or(-1, |(fd, _)| fd),
        ])?;
        // The launcher's end of the pipe, which this process never uses, shows that they are
        // closed.
        if sys::closes_on_exec(pipes.report.0) != Err(Errno(libc::EBADF)) {
            return Err(NOT_IN_FORCE);
        }
        let deadline = match plan.watch.timeout_ms {
            Some(timeout) => Some(sys::now_ms()?.saturating_add(timeout)),
            None => None,
        };
        let watch = &plan.watch;
        Message::Started.send(pipes.report.1)?;
        Ok(Init {
            pipes,
            signals,
            terminal,
            children,
            account,
            target,
            stop_signal: watch.stop_signal,
            deadline,
            kill_after: watch.kill_after_ms,
            timed_out: false,
            numbered: plan.grouped.group && plan.has_own_pids(),
            unreaped: false,
        })
    }

    fn watch(mut self) -> sys::Result<Message> {
        loop {
            let wait = if self.unreaped { 0 } else { self.time_left()? };
            let [life, signal] = sys::poll([self.pipes.life.0, self.signals], wait)?;
            // The launcher writes its byte before it sends the signal that goes with it; the look
            // at the pipe may have been earlier.
            if life || signal && sys::poll([self.pipes.life.0], 0)?[0] {
                self.obey()?;
            }
            if signal {
                self.take_signals()?;
            }
            if let Some(message) = self.reap()? {
                return Ok(message);
            }
            if let Some(message) = self.keep_time()? {
                return Ok(message);
            }
        }
    }

    /// Milliseconds until something is due; -1 where nothing is.
    fn time_left(&self) -> sys::Result<i32> {
        let check = self.account.as_ref().map(|account| account.next);
        let Some(deadline) = self.deadline.into_iter().chain(check).min() else { return Ok(-1) };
        Ok(i32::try_from(deadline.saturating_sub(sys::now_ms()?)).unwrap_or(i32::MAX))
    }

    /// A byte of the launcher, or its end.
    fn obey(&mut self) -> sys::Result {
        let mut byte = [0];
        if sys::read(self.pipes.life.0, &mut byte)? == 0 {
            // The launcher is dead: so is the sandbox.
            end_all(self.children);
            sys::exit(137);
        }
        if byte[0] == STOP {
            return self.stop();
        }
        if self.terminal.obey(byte[0], self.target)? {
            self.to_group(libc::SIGCONT)
        } else {
            Ok(())
        }
    }

    fn take_signals(&mut self) -> sys::Result {
        for _ in 0..PER_TURN {
            match sys::next_signal(self.signals)? {
                Some(signalled) if signalled.signal == libc::SIGCHLD => self.unreaped = true,
                Some(signalled) => self.forward(signalled.signal)?,
                None => break,
            }
        }
        Ok(())
    }

    fn forward(&self, signal: i32) -> sys::Result {
        match self.terminal.for_group(signal) {
            Some(signal) => self.to_group(signal),
            None => gone_is_fine(sys::kill(self.target, signal)),
        }
    }

    fn to_group(&self, signal: i32) -> sys::Result {
        gone_is_fine(sys::kill(-self.target, signal))
    }

    /// Takes in children that have news; the target's end is the sandbox's.
    fn reap(&mut self) -> sys::Result<Option<Message>> {
        for _ in 0..if self.unreaped { PER_TURN } else { 0 } {
            let Some(waited) = sys::wait_any(self.terminal.has_jobs())? else {
                self.unreaped = false;
                break;
            };
            if waited.pid != self.target || libc::WIFCONTINUED(waited.status) {
                continue;
            }
            if libc::WIFSTOPPED(waited.status) {
                if self.terminal.stopped() {
                    Message::Stopped { signal: libc::WSTOPSIG(waited.status) }
                        .send(self.pipes.report.1)?;
                }
                continue;
            }
            return Ok(Some(match waited.status {
                _ if self.timed_out => Message::TimedOut,
                libc::SIGKILL if self.numbered && was_alone(self.target) => Message::KilledAlone,
                status => Message::Ended { status },
            }));
        }
        Ok(None)
    }

    /// At the timeout the stop signal, after the grace the end of everything.
    fn keep_time(&mut self) -> sys::Result<Option<Message>> {
        if let Some(account) = &mut self.account
            && account.is_over()?
        {
            return Ok(Some(Message::CpuTimeOver));
        }
        let Some(deadline) = self.deadline else { return Ok(None) };
        if sys::now_ms()? < deadline {
            return Ok(None);
        }
        if self.timed_out {
            return Ok(Some(Message::TimedOut));
        }
        self.timed_out = true;
        self.deadline = Some(deadline.saturating_add(self.kill_after));
        self.stop()?;
        Ok(None)
    }

    /// Asks the target to end. A stopped process handles a signal only after SIGCONT.
    fn stop(&self) -> sys::Result {
        gone_is_fine(sys::kill(self.target, self.stop_signal))?;
        gone_is_fine(sys::kill(self.target, libc::SIGCONT))
    }
}

/// Whether no process or thread was ever made beside the target: numbers go up by one
/// (pid_namespaces(7)), and one that comes round again begins above 300.
fn was_alone(target: i32) -> bool {
    sys::spawn(Memory::Shared, |_| sys::exit(0), &mut ()) == Ok(target + 1)
}

/// The account of processor time, and when it is looked at.
struct Account {
    fd: RawFd,
    /// Whether the file holds nanoseconds alone (version 1), or words (version 2).
    plain: bool,
    limit_us: u64,
    processors: u64,
    next: u64,
}

/// The least time, in milliseconds, between two looks.
const LEAST_WAIT: u64 = 10;

impl Account {
    fn new(plan: &Plan, prepared: &Prepared) -> sys::Result<Option<Account>> {
        let (Some(limit), Some((fd, version))) = (plan.grouped.cpu_time_ms, prepared.cpu_account)
        else {
            return Ok(None);
        };
        let (plain, limit_us) = (version == Version::V1, limit.saturating_mul(1000));
        Ok(Some(Account {
            fd,
            plain,
            limit_us,
            processors: prepared.processors,
            next: sys::now_ms()?,
        }))
    }

    /// Looks, where it is time to. All processors together cannot use up what is left before the
    /// next look.
    fn is_over(&mut self) -> sys::Result<bool> {
        let now = sys::now_ms()?;
        if now < self.next {
            return Ok(false);
        }
        let left = self.limit_us.saturating_sub(self.used_us()?);
        self.next = now.saturating_add((left / 1000 / self.processors).max(LEAST_WAIT));
        Ok(left == 0)
    }

    fn used_us(&self) -> sys::Result<u64> {
        let mut text = [0; 512];
        let length = sys::read_again(self.fd, &mut text)?;
        let text = std::str::from_utf8(&text[..length]).unwrap_or("");
        let digits = if self.plain {
            Some(text)
        } else {
            text.lines().find_map(|line| line.strip_prefix("usage_usec "))
        };
        let used: u64 =
            digits.and_then(|digits| digits.trim().parse().ok()).ok_or(Errno(libc::EIO))?;
        Ok(if self.plain { used / 1000 } else { used })
    }
}

/// How often the children are looked at: each round ends a generation.
const ROUNDS: u32 = 16_000;
/// How many of them come between two rests of a millisecond, in which processes end. A process that
/// forks and ends, again and again, has another number at each look, and is met by looking often.
const BETWEEN_RESTS: u32 = 16;

/// Ends every process of a sandbox without a pid namespace: its children, and those of theirs that
/// come to it as they end.
fn end_all(children: RawFd) {
    let mut text = [0; 4096];
    for round in 1..=ROUNDS {
        // No such file: the pid namespace ends them.
        let Ok(length @ 1..) = sys::read_again(children, &mut text) else { return };
        for pid in whole_numbers(&text[..length]) {
            sys::regardless(sys::kill(pid, libc::SIGKILL));
        }
        if round % BETWEEN_RESTS == 0 {
            sys::regardless(sys::poll([], 1));
        }
        // Orphans may end faster than they are waited for.
        for _ in 0..text.len() {
            let Ok(Some(_)) = sys::wait_any(false) else { break };
        }
    }
}

/// The numbers of a text of `children`, each of which a blank follows. One without is cut at the
/// end of a page, and may be the beginning of another process's.
fn whole_numbers(text: &[u8]) -> impl Iterator<Item = i32> {
    let end = text.iter().rposition(|byte| *byte == b' ').unwrap_or(0);
    text[..end].split(|byte| *byte == b' ').filter_map(number)
}

fn number(digits: &[u8]) -> Option<i32> {
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_kernel_cut_is_no_process() {
        let numbers = |text: &[u8]| whole_numbers(text).collect::<Vec<i32>>();
        assert_eq!(numbers(b"12 345 6789 "), [12, 345, 6789]);
        assert_eq!(numbers(b"12 345 67"), [12, 345]);
        assert_eq!((numbers(b"67"), numbers(b""), numbers(b"1 x 2 ")), (vec![], vec![], vec![2]));
    }
}
