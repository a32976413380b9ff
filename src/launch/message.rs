//! The eight bytes that pid 1 writes to the launcher, and the single bytes that the launcher writes
//! back.
//!
//! The target never holds either pipe: both close at its exec.

use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// The first byte, and the launcher's last step: pid 1 begins.
pub(super) const GO: u8 = b'G';
/// The target continues, in the foreground.
pub(super) const FOREGROUND: u8 = b'F';
/// The target continues, in the background.
pub(super) const BACKGROUND: u8 = b'B';

/// The target stays stopped: the launcher could not stop with it.
pub(super) const STAY: u8 = b'S';
/// The target is asked to end: it gets the stop signal.
pub(super) const STOP: u8 = b'T';

/// The step index of what no step stands for.
pub(super) const OWN: u32 = 0x7fff_ffff;

/// What pid 1 reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// A step failed; the target was not started.
    Failed {
        /// Its index in the plan.
        step: u32,
        /// The kernel's error.
        errno: i32,
    },
    /// execve(2) failed.
    NotExecuted {
        /// The kernel's error.
        errno: i32,
    },
    /// Pid 1 begins a step that may ask a server of layers; [`OWN`] stands for all of the target's.
    At { step: u32 },
    /// The target runs.
    Started,
    /// The target was stopped by a signal.
    Stopped { signal: i32 },
    /// The target ended.
    Ended {
        /// Its status, as wait4(2) has it.
        status: i32,
    },
    /// SIGKILL ended the target, and there never was another process beside it.
    KilledAlone,
    /// The timeout ended it.
    TimedOut,
    /// The limit of processor time ended it.
    CpuTimeOver,
}

const NOT_EXECUTED: u32 = u32::MAX;
const STARTED: u32 = u32::MAX - 1;
const STOPPED: u32 = u32::MAX - 2;
const ENDED: u32 = u32::MAX - 3;
const TIMED_OUT: u32 = u32::MAX - 4;
const CPU_TIME_OVER: u32 = u32::MAX - 5;
const KILLED_ALONE: u32 = u32::MAX - 6;
const AT: u32 = u32::MAX - 7;

impl Message {
    fn words(self) -> (u32, i32) {
        match self {
            Message::Failed { step, errno } => (step, errno),
            Message::NotExecuted { errno } => (NOT_EXECUTED, errno),
            Message::At { step } => (AT, step as i32),
            Message::Started => (STARTED, 0),
            Message::Stopped { signal } => (STOPPED, signal),
            Message::Ended { status } => (ENDED, status),
            Message::KilledAlone => (KILLED_ALONE, 0),
            Message::TimedOut => (TIMED_OUT, 0),
            Message::CpuTimeOver => (CPU_TIME_OVER, 0),
        }
    }

    /// Sends it. Eight bytes are less than PIPE_BUF, so they arrive whole (pipe(7)).
    pub(super) fn send(self, fd: RawFd) -> sys::Result {
        let (first, second) = self.words();
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&first.to_ne_bytes());
        bytes[4..].copy_from_slice(&second.to_ne_bytes());
        sys::write_all(fd, &bytes)
    }

    /// The next one, or `None` at the end of the file.
    pub(super) fn receive(fd: RawFd) -> sys::Result<Option<Message>> {
        let mut bytes = [0; 8];
        let count = loop {
            match sys::read(fd, &mut bytes) {
                Err(Errno(libc::EINTR)) => {}
                other => break other?,
            }
        };
        if count < 8 {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = bytes;
        let (first, second) = (u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
        Ok(Some(match first {
            NOT_EXECUTED => Message::NotExecuted { errno: second },
            AT => Message::At { step: second as u32 },
            STARTED => Message::Started,
            STOPPED => Message::Stopped { signal: second },
            ENDED => Message::Ended { status: second },
            KILLED_ALONE => Message::KilledAlone,
            TIMED_OUT => Message::TimedOut,
            CPU_TIME_OVER => Message::CpuTimeOver,
            step => Message::Failed { step, errno: second },
        }))
    }
}

/// Ends the sandbox with its reason. Where even that cannot be written, the launcher sees the
/// status and the end of the file.
pub(super) fn give_up(message: Message, report: RawFd) -> ! {
    sys::regardless(message.send(report));
    sys::exit(125)
}
