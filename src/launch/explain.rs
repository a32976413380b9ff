//! The launcher's side of the process that answers for denied calls: it starts it, hears of
//! denials, and sees it end.

use super::answer::{self, Ends};
use super::denial::{Denials, Record, Then};
use super::{Denial, Failure, own};
use crate::plan::Plan;
use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// The process that answers, and all that it has told.
pub(super) struct Answerer<'t> {
    pid: i32,
    pidfd: RawFd,
    /// Where the target sends the listener; -1 once that is pid 1's alone.
    pub socket: RawFd,
    records: RawFd,
    denials: Denials,
    tell: &'t mut dyn FnMut(&Denial),
}

/// How long it may take to end once the sandbox has.
const GRACE_MS: i32 = 2000;

impl<'t> Answerer<'t> {
    /// Starts it, and waits until it is behind its walls.
    pub(super) fn start(
        plan: &Plan,
        tell: &'t mut dyn FnMut(&Denial),
    ) -> Result<Answerer<'t>, Failure> {
        let failed = |errno| own("start the process that answers for denied calls", errno);
        let (socket, its_socket) = sys::socket_pair().map_err(failed)?;
        let (records, its_records) = sys::pipe().map_err(failed)?;
        let mut pidfd = -1;
        let pid = match sys::clone_process(0, &mut pidfd, None).map_err(failed)? {
            0 => {
                let ids = plan.root.then_some((plan.ids.host_user, plan.ids.host_group));
                answer::run(&plan.filter, ids, Ends { socket: its_socket, records: its_records })
            }
            pid => pid,
        };
        for end in [its_socket, its_records] {
            sys::close(end).map_err(failed)?;
        }
        let answerer = Answerer {
            pid,
            pidfd,
            socket,
            records,
            denials: Denials { complete: false, ..Denials::default() },
            tell,
        };
        match Record::receive(records) {
            Ok(Some(Record::Walled(Ok(())))) => Ok(answerer),
            Ok(Some(Record::Walled(Err(errno)))) | Err(errno) => {
                answerer.finish();
                Err(own("wall off the process that answers for denied calls", errno).into())
            }
            Ok(_) => {
                answerer.finish();
                Err(failed(Errno(libc::EPIPE)).into())
            }
        }
    }

    /// Closes this process's copy of what pid 1 has inherited, so that the end of a start that
    /// failed is seen.
    pub(super) fn leave_the_socket(&mut self) {
        sys::regardless(sys::close(std::mem::replace(&mut self.socket, -1)));
    }

    /// What to poll; -1 once it has nothing more to tell.
    pub(super) fn records(&self) -> RawFd {
        self.records
    }

    /// Takes in one record, and gives what follows the denial that it tells of.
    pub(super) fn hear(&mut self) -> Option<Then> {
        let Ok(Some(record)) = Record::receive(self.records) else {
            sys::regardless(sys::close(std::mem::replace(&mut self.records, -1)));
            return None;
        };
        let known = self.denials.kinds.len();
        self.denials.take(record);
        let Record::Denied(_, denial) = record else { return None };
        if self.denials.kinds.len() > known {
            (self.tell)(&denial);
        }
        Some(denial.then)
    }

    /// Hears the rest, and waits for its end.
    pub(super) fn finish(mut self) -> Denials {
        if self.socket >= 0 {
            self.leave_the_socket();
        }
        while self.records >= 0 {
            match sys::poll([self.records], GRACE_MS) {
                Ok([true]) => drop(self.hear()),
                Ok([false]) | Err(_) => break,
            }
        }
        // One that has ended already is waited for all the same.
        sys::regardless(sys::signal_pidfd(self.pidfd, libc::SIGKILL));
        sys::regardless(sys::wait_for(self.pid));
        self.denials
    }
}
