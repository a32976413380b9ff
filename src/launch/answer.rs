//! The process that answers for denied calls, where the kernel asks (seccomp_unotify(2)): with the
//! very errno of the policy.
//!
//! It reads what the target can write, so it is walled: no privilege, no descriptor but its two
//! ends, the listener and `/proc`, Landlock that leaves it the reading of files there, and a filter
//! of ten calls. It never looks at the target's memory, never lets the kernel go on with a call
//! (SECCOMP_USER_NOTIF_FLAG_CONTINUE), and hands the target nothing (SECCOMP_ADDFD). Without it a
//! call that is asked about fails with ENOSYS. It is a fork of the launcher, outside of the
//! sandbox's pid namespace, where no signal of the target reaches it.

use super::denial::{Denial, MOST, Record, Then, Who};
use super::digits::decimal;
use crate::policy::landlock;
use crate::policy::seccomp::{self, Compare, Filter, Rule, Test, Verdict, Width};
use crate::sys::{self, Errno, Letter, Sets, Waiting};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// Its ends: the socket that the listener comes through, and the pipe that it tells the launcher
/// by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub socket: RawFd,
    pub records: RawFd,
}

/// Becomes that process. `ids` are the target's outside, where root starts the sandbox: it must be
/// able to end the target.
pub(super) fn run(filter: &Filter, ids: Option<(u32, u32)>, ends: Ends) -> ! {
    let _ends_here = sys::NoWayBack;
    // All memory is taken before: its filter has no call to ask for more, nor to give any back.
    let (mut letter, kinds) = (Letter::empty(), Vec::with_capacity(MOST));
    let walled = wall(ids, ends);
    let told = Record::Walled(walled.map(drop)).send(ends.records);
    let (Ok(proc), Ok(())) = (walled, told) else { sys::exit(125) };
    // The end of the file: there was no sandbox in the end.
    let Ok(Some(listener)) = letter.receive(ends.socket) else { sys::exit(0) };
    // Only a matter of speed.
    sys::regardless(sys::wake_in_turn(listener));
    let mut answerer = Answerer { filter, listener, proc, records: ends.records, kinds, more: 0 };
    let served = sys::write_all(ends.socket, b"A").and_then(|()| {
        // Nobody reads there any more.
        sys::regardless(sys::close(ends.socket));
        answerer.serve()
    });
    sys::exit(if served.is_ok() { 0 } else { 125 })
}

/// How it is called in lists of processes.
const NAME: &CStr = c"stockade-answer";

/// Gives up what a fork of the launcher has of it: its terminal, signals, words, name and
/// descriptors.
pub(super) fn leave_the_launcher(name: &CStr, keep: &mut [RawFd]) -> sys::Result {
    // Out of the terminal's sight, so that its signals go to the launcher and the target alone.
    sys::setsid()?;
    sys::set_signal_mask(!0)?;
    sys::wipe_strings();
    sys::prctl(libc::PR_SET_NAME, name.as_ptr() as u64, 0)?;
    sys::close_all_but(keep)
}

/// Puts up its walls, and gives the descriptor of `/proc`; -1 where there is no Landlock to keep it
/// to that.
fn wall(ids: Option<(u32, u32)>, ends: Ends) -> sys::Result<RawFd> {
    leave_the_launcher(NAME, &mut [ends.socket, ends.records])?;
    let proc = sys::openat(libc::AT_FDCWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    if let Some((user, group)) = ids {
        sys::setgroups(&[])?;
        sys::setresgid(group)?;
        sys::setresuid(user)?;
    }
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    sys::capset(Sets { effective: 0, permitted: 0, inheritable: 0 })?;
    let proc = if restrict_to(proc)? { proc } else { -1 };
    let program = Box::leak(sys::Program::empty());
    program.fill(seccomp::compile(&own_filter(proc)));
    sys::seccomp_filter(program)?;
    Ok(proc)
}

/// Landlock, where this kernel has it: files are read below one directory. A process of a domain
/// cannot look into one outside of it (ptrace(2)), so the files of `/proc` that show memory,
/// environment or descriptors stay shut.
fn restrict_to(folder: RawFd) -> sys::Result<bool> {
    let Ok(abi) = sys::landlock_abi() else { return Ok(false) };
    let ruleset = landlock::strictest(abi);
    let fd = sys::landlock_ruleset(ruleset.handled.0, ruleset.ports, ruleset.scoped)?;
    sys::landlock_allow(fd, folder, ::landlock::AccessFs::ReadFile as u64)?;
    sys::landlock_restrict(fd, abi, false)?;
    sys::close(fd)?;
    Ok(true)
}

/// What it calls from here on.
fn own_filter(proc: RawFd) -> Filter {
    let among = |argument, values: &[u64]| Test {
        argument,
        width: Width::Low,
        compare: Compare::OneOf { mask: u64::MAX, values: values.to_vec() },
    };
    let when = |tests: Vec<Test>| Rule::always(Verdict::KillProcess).case(tests, Verdict::Allow);
    let plain = ["read", "write", "recvmsg", "close", "ppoll", "pidfd_open", "exit_group"]
        .map(|name| (name, Rule::always(Verdict::Allow)));
    let ioctls = [sys::NOTIF_RECV, sys::NOTIF_SEND, sys::NOTIF_ID_VALID, sys::NOTIF_SET_FLAGS]
        .map(u64::from);
    let signals = [libc::SIGSYS, libc::SIGKILL].map(|signal| signal as u64);
    let mut calls = plain.to_vec();
    calls.push(("ioctl", when(vec![among(1, &ioctls)])));
    calls.push(("pidfd_send_signal", when(vec![among(1, &signals)])));
    if proc >= 0 {
        calls.push((
            "openat",
            when(vec![
                among(0, &[proc as u64]),
                among(2, &[(libc::O_RDONLY | libc::O_CLOEXEC) as u64]),
            ]),
        ));
    }
    Filter::only(calls)
}

struct Answerer<'a> {
    filter: &'a Filter,
    listener: RawFd,
    proc: RawFd,
    records: RawFd,
    /// Each kind, with the arguments that decide.
    kinds: Vec<(Denial, [u64; 6])>,
    more: u64,
}

/// What `/proc` says of a process.
struct Seen {
    who: Who,
    /// Its number outside.
    process: i32,
    /// Whether a SIGSYS ends it: it has neither a handler for it nor ignores or blocks it, and is
    /// not the pid 1 of a namespace.
    dies_of_sigsys: bool,
}

impl Answerer<'_> {
    /// Answers until nobody is left who could ask.
    fn serve(&mut self) -> sys::Result {
        loop {
            // Before Linux 6.11 the next question is waited for also when nobody is left.
            match sys::wait_on(self.listener, None) {
                Ok(Waiting::Something) => {}
                Ok(Waiting::End) => break,
                Ok(Waiting::Nothing) | Err(Errno(libc::EINTR)) => continue,
                Err(errno) => return Err(errno),
            }
            match sys::next_asked(self.listener) {
                Ok(asked) => self.answer(&asked)?,
                // Whoever asked has ended.
                Err(Errno(libc::ENOENT | libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        for (place, (denial, _)) in (0..).zip(&self.kinds) {
            Record::Denied(place, *denial).send(self.records)?;
        }
        Record::Done(self.more).send(self.records)
    }

    fn answer(&mut self, asked: &sys::Asked) -> sys::Result {
        let seen =
            self.look(asked.thread).filter(|_| sys::still_asks(self.listener, asked.id).is_ok());
        let who = seen.as_ref().map_or(Who::unknown(asked.thread), |seen| seen.who);
        let verdict = self.filter.judge_seen(asked.architecture, asked.number, &asked.arguments);
        if verdict == Verdict::KillProcess {
            let then = self.kill(asked, seen.as_ref());
            return self.count(asked, who, then);
        }
        self.count(asked, who, Then::Failed)?;
        // The kernel asks about nothing that is allowed; were it to, it would be denied.
        let errno = if let Verdict::Errno(errno) = verdict { errno } else { Verdict::NOTIFIED };
        gone_is_fine(sys::answer_errno(self.listener, asked.id, errno))
    }

    /// One more of its kind. The launcher hears of the first at once, of all others at the end.
    fn count(&mut self, asked: &sys::Asked, who: Who, then: Then) -> sys::Result {
        let sys::Asked { architecture, number, arguments, .. } = *asked;
        let decisive = self.filter.decisive(architecture, number, &arguments);
        let same = |(kind, decides): &&mut (Denial, [u64; 6])| {
            (kind.architecture, kind.number, kind.who.name, kind.then, *decides)
                == (architecture, number, who.name, then, decisive)
        };
        if let Some((kind, _)) = self.kinds.iter_mut().find(same) {
            kind.count += 1;
            return Ok(());
        }
        if self.kinds.len() == MOST {
            self.more += 1;
            return Ok(());
        }
        let denial = Denial { architecture, number, arguments, who, then, count: 1 };
        self.kinds.push((denial, decisive));
        Record::Denied(self.kinds.len() as u32 - 1, denial).send(self.records)
    }

    /// Does what the policy has the kernel do: the process ends by SIGSYS. One that would survive
    /// that gets SIGKILL, and where it cannot be sent a signal, the call stays without an answer,
    /// and the launcher ends the sandbox.
    fn kill(&self, asked: &sys::Asked, seen: Option<&Seen>) -> Then {
        // Of a thread that is not the first of its process nothing but `/proc` tells the process.
        let process = seen.map_or(asked.thread as i32, |seen| seen.process);
        let Ok(pidfd) = sys::open_pidfd(process) else { return Then::Unkillable };
        // The number meant this process when the descriptor was made, as its thread still waits.
        let valid = sys::still_asks(self.listener, asked.id);
        let signal =
            if seen.is_some_and(|seen| seen.dies_of_sigsys) { libc::SIGSYS } else { libc::SIGKILL };
        let sent = valid.and_then(|()| sys::signal_pidfd(pidfd, signal));
        if sent.is_ok() && signal == libc::SIGSYS {
            // The thread takes the signal on its way back. Another may have set up a handler
            // meanwhile.
            sys::regardless(sys::answer_errno(self.listener, asked.id, Verdict::NOTIFIED));
            if sys::wait_on(pidfd, Some(GRACE_MS)) != Ok(Waiting::Something) {
                sys::regardless(sys::signal_pidfd(pidfd, libc::SIGKILL));
            }
        }
        sys::regardless(sys::close(pidfd));
        match sent {
            Ok(()) | Err(Errno(libc::ENOENT | libc::ESRCH)) => Then::Killed,
            Err(_) => Then::Unkillable,
        }
    }

    /// The process of a thread.
    fn look(&self, thread: u32) -> Option<Seen> {
        let mut text = [0; 4096];
        let status = self.status(thread, &mut text)?;
        let process = number(field(status, b"Tgid:")?)?;
        let inside = field(status, b"NStgid:")
            .and_then(|numbers| number(numbers.rsplit(|byte| *byte == b'\t').next()?))
            .unwrap_or(0);
        let has_sigsys = |set: &[u8]| sigsys_of(field(status, set));
        let survives =
            inside == 1 || [b"SigBlk:", b"SigIgn:", b"SigCgt:"].iter().any(|set| has_sigsys(*set));
        let mut name = name_of(field(status, b"Name:")?);
        if process != thread {
            // A thread may have a name of its own.
            let mut text = [0; 4096];
            name = name_of(field(self.status(process, &mut text)?, b"Name:")?);
        }
        Some(Seen {
            who: Who { name, inside, outside: thread },
            process: process as i32,
            dies_of_sigsys: !survives,
        })
    }

    /// `/proc/PID/status`, as much as one read gives.
    fn status<'t>(&self, pid: u32, text: &'t mut [u8; 4096]) -> Option<&'t [u8]> {
        if self.proc < 0 || pid == 0 {
            return None;
        }
        let mut digits = [0; 24];
        let mut path = [0; 40];
        let decimal = decimal(&mut digits, pid.into()).to_bytes();
        path[..decimal.len()].copy_from_slice(decimal);
        path[decimal.len()..decimal.len() + STATUS.len()].copy_from_slice(STATUS);
        let fd = sys::openat(self.proc, CStr::from_bytes_until_nul(&path).ok()?, libc::O_RDONLY, 0)
            .ok()?;
        let length = sys::read(fd, text);
        sys::regardless(sys::close(fd));
        text.get(..length.ok()?)
    }
}

const STATUS: &[u8] = b"/status";

/// How long a process may take to end by SIGSYS.
const GRACE_MS: u32 = 200;

/// Whoever asked needs no answer any more.
fn gone_is_fine(result: sys::Result) -> sys::Result {
    match result {
        Err(Errno(libc::ENOENT)) => Ok(()),
        other => other,
    }
}

/// A line of `/proc/PID/status` (proc_pid_status(5)).
fn field<'t>(status: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name))
        .map(|rest| rest.strip_prefix(b"\t").unwrap_or(rest))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a set of signals has SIGSYS; one that is not there may.
fn sigsys_of(set: Option<&[u8]>) -> bool {
    let set = set.and_then(|hex| u64::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
    set.is_none_or(|set| set & sys::signal_bit(libc::SIGSYS) != 0)
}

/// A name, in which the kernel writes `\n` for the end of a line and `\\` for a backslash.
fn name_of(escaped: &[u8]) -> [u8; 16] {
    let mut name = [0; 16];
    let mut bytes = escaped.iter();
    for place in &mut name[..15] {
        *place = match bytes.next() {
            Some(b'\\') if bytes.next() == Some(&b'n') => b'\n',
            Some(byte) => *byte,
            None => break,
        };
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Name:\ta\\nb\\\\ \
                          c)\nUmask:\t0022\nTgid:\t4711\nNStgid:\t4711\t12\nSigBlk:\t0000000000000000\nSigIgn:\t0000000040000000\n";

    #[test]
    fn a_status_is_read() {
        assert_eq!(name_of(field(TEXT, b"Name:").unwrap()), *b"a\nb\\ c)\0\0\0\0\0\0\0\0\0");
        assert_eq!(
            (field(TEXT, b"Tgid:").and_then(number), field(TEXT, b"Pid:")),
            (Some(4711), None)
        );
        assert_eq!(
            (
                sigsys_of(field(TEXT, b"SigBlk:")),
                sigsys_of(field(TEXT, b"SigIgn:")),
                sigsys_of(None)
            ),
            (false, true, true)
        );
        assert_eq!(name_of(b"0123456789abcdefghi"), *b"0123456789abcde\0");
    }

    #[test]
    fn it_may_make_ten_calls() {
        let filter = own_filter(5);
        let allowed = |name: &str, arguments| {
            filter.judge(crate::kernel::syscalls::number(name).unwrap(), &arguments)
                == Verdict::Allow
        };
        assert!(
            allowed("openat", [5, 0, libc::O_CLOEXEC as u64, 0, 0, 0])
                && allowed("ioctl", [9, sys::NOTIF_SEND.into(), 0, 0, 0, 0])
        );
        assert!(
            !allowed("openat", [libc::AT_FDCWD as u64, 0, libc::O_CLOEXEC as u64, 0, 0, 0])
                && !allowed("openat", [5, 0, 1, 0, 0, 0])
        );
        assert!(!allowed("pidfd_send_signal", [5, libc::SIGTERM as u64, 0, 0, 0, 0]));
        // SECCOMP_IOCTL_NOTIF_ADDFD.
        assert!(!allowed("ioctl", [9, 0x4018_2103, 0, 0, 0, 0]));
        for refused in ["execve", "clone", "mmap", "socket", "process_vm_readv", "ptrace", "kill"] {
            assert!(!allowed(refused, [0; 6]), "{refused}");
        }
    }
}
