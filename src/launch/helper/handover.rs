//! How the listener of the filter gets from the target to the process that answers (SCM_RIGHTS),
//! and that it arrived, before the exec.
//!
//! A target that ran earlier would see ENOSYS for what the policy denies with another errno. The
//! calls by which it is handed over are made under the filter, so one that denies them has an
//! exception for exactly these, which a second filter takes back.
//!
//! Its second half is part of what runs between clone and exec: raw system calls and nothing else
//! (see [`crate::launch::child`]).

use crate::kernel::syscalls;
use crate::launch::proof::NOT_IN_FORCE;
use crate::plan::Plan;
use crate::policy::seccomp::{self, Exact, Verdict};
use crate::sys::{self, Errno, FdMessage, Program, Result};
use std::os::fd::RawFd;

/// Everything that the hand-over needs, at addresses that the filter knows.
pub(crate) struct Handover {
    socket: RawFd,
    message: Box<FdMessage>,
    answer: Box<[u8; 1]>,
    /// Takes the exceptions back.
    closing: Option<Box<Program>>,
    /// The errno of sending the message again, after the descriptors are closed.
    refusal: Option<Errno>,
}

/// How often the wait for the answer may be interrupted.
const MOST_INTERRUPTIONS: usize = 100;

impl Handover {
    /// Makes it, and the program of the filter.
    pub(crate) fn new(plan: &Plan, socket: RawFd, program: &mut Program) -> Handover {
        let (message, answer, mut closing) = (FdMessage::empty(), Box::new([0]), Program::empty());
        let call = |name, arguments| Exact {
            number: syscalls::number(name).unwrap_or_default(),
            arguments,
        };
        let of_its_own = [
            call("sendmsg", message.arguments(socket)),
            call("read", [socket as u64, answer.as_ptr() as u64, 1]),
            call("seccomp", closing.arguments()),
        ];
        let refused = |call: &Exact| (*call, call.judged_by(&plan.filter));
        let refused: Vec<(Exact, Verdict)> = of_its_own
            .iter()
            .map(refused)
            .filter(|(_, verdict)| *verdict != Verdict::Allow)
            .collect();
        let needs_exceptions = refused.iter().any(|(call, _)| call.number != of_its_own[2].number);
        if !needs_exceptions {
            program.fill(seccomp::compile_notifying(&plan.filter, plan.notifications));
            return Handover { socket, message, answer, closing: None, refusal: None };
        }
        let exceptions: Vec<Exact> = refused.iter().map(|(call, _)| *call).collect();
        program.fill(seccomp::compile_notifying(
            &plan.filter.exempting(&exceptions),
            plan.notifications,
        ));
        // The listener is of the first filter alone (seccomp(2)).
        let untold = |verdict| {
            if verdict == Verdict::Notify { Verdict::Errno(Verdict::NOTIFIED) } else { verdict }
        };
        let refusals: Vec<(Exact, Verdict)> =
            refused.into_iter().map(|(call, verdict)| (call, untold(verdict))).collect();
        closing.fill(seccomp::compile_refusals(&refusals));
        let first = refusals.iter().find(|(call, _)| call.number == of_its_own[0].number);
        let refusal =
            if let Some((_, Verdict::Errno(errno))) = first { Some(Errno(*errno)) } else { None };
        Handover { socket, message, answer, closing: Some(closing), refusal }
    }

    /// Sets the filter, and waits until its listener is where it belongs.
    pub(crate) fn hand_over(&mut self, program: &Program) -> Result {
        let listener = sys::seccomp_listener(program)?;
        self.message.send(self.socket, listener)?;
        receive(self.socket, &mut self.answer)?;
        if let Some(closing) = &self.closing {
            sys::seccomp_filter(closing)?;
        }
        match self.refusal {
            Some(errno) if self.message.send(self.socket, listener) != Err(errno) => {
                Err(NOT_IN_FORCE)
            }
            _ => Ok(()),
        }
    }
}

/// Waits for the answer of a helper. The socket waits for so long, and no longer; and where it does, a
/// stop of this process, or a freezer, interrupts it (signal(7)), which is no answer.
pub(crate) fn receive(socket: RawFd, answer: &mut [u8; 1]) -> Result {
    for _ in 0..MOST_INTERRUPTIONS {
        match sys::read(socket, answer) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err(Errno(libc::EPIPE)),
            Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::EAGAIN)) => return Err(Errno(libc::ETIMEDOUT)),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno(libc::EINTR))
}
