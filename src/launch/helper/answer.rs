//! The process that answers for denied calls, where the kernel asks (seccomp_unotify(2)): with the
//! very errno of the policy.
//!
//! It reads what the target can write, and is a helper for that reason: its descriptors are the
//! listener, which it is handed, `/proc` and the pipe of its records; its calls are ten. It never looks at the
//! target's memory, never lets the kernel continue a call (SECCOMP_USER_NOTIF_FLAG_CONTINUE), and
//! hands the target nothing (SECCOMP_ADDFD). Without it a call that is asked about fails with
//! ENOSYS. It is outside of the sandbox's pid namespace, where no signal of the target reaches it.

use super::confine::{Calls, Confinement, any, with};
use super::denial::{Act, Call, Consequence, Denial, Denials, MOST, Report, Who};
use super::records::{Record, Writer};
use super::{About, End, Helper, Inside, Next};
use crate::launch::digits::decimal;
use crate::plan::Plan;
use crate::policy::seccomp::{Filter, Verdict};
use crate::sys::{self, Errno, Waiting};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// How it is called in lists of processes.
pub(crate) const NAME: &CStr = c"stockade-answer";

/// The helper.
pub(crate) struct Answer<'p> {
    filter: &'p Filter,
    /// The target's ids outside, where root starts the sandbox: it must be able to end the target.
    ids: Option<(u32, u32)>,
    /// Its own list: each kind, with the arguments that decide.
    kinds: Vec<(Denial, [u64; 6])>,
    /// What it has reported.
    denials: Denials,
}

impl Answer<'_> {
    pub(crate) fn new(plan: &Plan) -> Answer<'_> {
        Answer {
            filter: &plan.filter,
            ids: plan.root.then_some((plan.ids.host_user, plan.ids.host_group)),
            kinds: Vec::with_capacity(MOST),
            denials: Denials::begun(),
        }
    }
}

impl Helper for Answer<'_> {
    fn about(&self) -> About {
        About {
            name: NAME,
            what: "the process that answers for denied calls",
            given: vec![],
            is_handed: true,
            // The first of each kind.
            most_kept: MOST,
            confinement: Confinement {
                ids: self.ids,
                capabilities: 0,
                reads: Some(c"/proc"),
                is_later: false,
            },
            end: End::ByItself,
        }
    }

    fn calls(&self, inside: &Inside) -> Calls {
        let ioctls = [sys::NOTIF_RECV, sys::NOTIF_SEND, sys::NOTIF_ID_VALID, sys::NOTIF_SET_FLAGS]
            .map(i64::from);
        let signals = [libc::SIGSYS, libc::SIGKILL].map(i64::from);
        let mut calls: Calls = ["read", "recvmsg", "close", "pidfd_open"].map(any).to_vec();
        calls.push(with("ioctl", &[(1, &ioctls)]));
        calls.push(with("pidfd_send_signal", &[(1, &signals)]));
        if inside.directory >= 0 {
            let flags = i64::from(libc::O_RDONLY | libc::O_CLOEXEC);
            calls.push(with("openat", &[(0, &[inside.directory.into()]), (2, &[flags])]));
        }
        calls
    }

    fn serve(&mut self, inside: &mut Inside) -> sys::Result {
        let Some(listener) = inside.receive()? else { return Ok(()) };
        // Only a matter of speed.
        sys::regardless(sys::wake_in_turn(listener));
        let Inside { records, directory, .. } = inside;
        let (filter, kinds) = (self.filter, &mut self.kinds);
        Supervisor { filter, listener, proc: *directory, records, kinds, more: 0 }.serve()
    }

    fn take(&mut self, record: &Record, tell: &mut dyn FnMut(&Denial)) -> Next {
        let taken = Report::of(record).and_then(|report| self.denials.take(report));
        let Some((denial, is_new)) = taken else { return Next::GoOn };
        if is_new {
            tell(&denial);
        }
        match denial.then {
            Consequence::Failed | Consequence::Killed => Next::GoOn,
            Consequence::Unkillable => Next::EndTheSandbox,
        }
    }

    fn denials(&mut self) -> Denials {
        std::mem::take(&mut self.denials)
    }
}

/// The process at its work.
struct Supervisor<'a> {
    filter: &'a Filter,
    listener: RawFd,
    proc: RawFd,
    records: &'a mut Writer,
    kinds: &'a mut Vec<(Denial, [u64; 6])>,
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

impl Supervisor<'_> {
    /// Answers until no process with the filter is left.
    fn serve(&mut self) -> sys::Result {
        loop {
            // Before Linux 6.11 the kernel waits for the next notification even if no process is
            // left.
            match self.records.wait_on(self.listener)? {
                Waiting::Something => {}
                Waiting::End => break,
                Waiting::Nothing => continue,
            }
            match sys::next_asked(self.listener) {
                Ok(asked) => self.answer(&asked)?,
                // The process that made the call has ended.
                Err(Errno(libc::ENOENT | libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        for (place, (denial, _)) in (0..).zip(self.kinds.iter()) {
            self.records.send_and_wait(&Report::Denied(place, *denial).record())?;
        }
        self.records.send_and_wait(&Report::Done(self.more).record())
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
        self.count(asked, who, Consequence::Failed)?;
        // The kernel asks about nothing that is allowed; were it to, it would be denied.
        let errno = if let Verdict::Errno(errno) = verdict { errno } else { Verdict::NOTIFIED };
        gone_is_fine(sys::answer_errno(self.listener, asked.id, errno))
    }

    /// One more of its kind. The launcher gets the first at once, the count at the end.
    fn count(&mut self, asked: &sys::Asked, who: Who, then: Consequence) -> sys::Result {
        let sys::Asked { architecture, number, arguments, .. } = *asked;
        let decisive = self.filter.decisive(architecture, number, &arguments);
        let same = |(kind, decides): &&mut (Denial, [u64; 6])| {
            let Act::Call(call) = kind.act;
            (call.architecture, call.number, kind.who.name, kind.then, *decides)
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
        let act = Act::Call(Call { architecture, number, arguments });
        let denial = Denial { act, who, then, count: 1 };
        let place = self.kinds.len() as u32;
        self.kinds.push((denial, decisive));
        // As many are kept as there are kinds.
        self.records.send(&Report::Denied(place, denial).record()).map(drop)
    }

    /// Does what the policy has the kernel do: the process ends by SIGSYS. One that would survive
    /// that gets SIGKILL, and where it cannot be sent a signal, the call stays without an answer,
    /// and the launcher ends the sandbox.
    fn kill(&self, asked: &sys::Asked, seen: Option<&Seen>) -> Consequence {
        // For a thread that is not the first of its process only `/proc` names the process.
        let process = seen.map_or(asked.thread as i32, |seen| seen.process);
        let Ok(pidfd) = sys::open_pidfd(process) else { return Consequence::Unkillable };
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
            Ok(()) | Err(Errno(libc::ENOENT | libc::ESRCH)) => Consequence::Killed,
            Err(_) => Consequence::Unkillable,
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

/// A process that has ended needs no answer.
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
    use super::super::inside::tests::{calls, may};
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
        let filter = Filter::only([]);
        let (kinds, denials) = (vec![], Denials::begun());
        let answer = Answer { filter: &filter, ids: None, kinds, denials };
        let may = |name, arguments| may(&answer, name, arguments);
        assert_eq!(calls(&answer), 10);
        let (at_cwd, cloexec) = (libc::AT_FDCWD.into(), libc::O_CLOEXEC.into());
        assert!(may("openat", [5, 0, cloexec, 0, 0, 0]));
        assert!(!may("openat", [at_cwd, 0, cloexec, 0, 0, 0]));
        assert!(!may("openat", [5, 0, 1, 0, 0, 0]));
        assert!(may("write", [3, 0, 1, 0, 0, 0]) && may("write", [4, 0, 1, 0, 0, 0]));
        assert!(!may("write", [6, 0, 1, 0, 0, 0]));
        assert!(may("pidfd_send_signal", [6, libc::SIGSYS.into(), 0, 0, 0, 0]));
        assert!(!may("pidfd_send_signal", [6, libc::SIGTERM.into(), 0, 0, 0, 0]));
        assert!(may("ioctl", [9, sys::NOTIF_SEND.into(), 0, 0, 0, 0]));
        // SECCOMP_IOCTL_NOTIF_ADDFD.
        assert!(!may("ioctl", [9, 0x4018_2103, 0, 0, 0, 0]));
        for refused in ["execve", "clone", "mmap", "socket", "process_vm_readv", "ptrace", "kill"] {
            assert!(!may(refused, [0; 6]), "{refused}");
        }
    }
}
