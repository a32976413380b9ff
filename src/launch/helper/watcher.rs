//! The process that ends a target which is pid 1 itself (`process.init = false`) when the launcher
//! dies.
//!
//! The parent-death signal belongs to a thread: execve(2) from another thread leaves the target
//! without one (prctl(2), PR_SET_PDEATHSIG). This process holds the life pipe, whose other end is
//! the launcher's alone, and the target's pidfd. It is outside of the sandbox's pid namespace and
//! of the launcher's session, so no signal of the target reaches it. It has no capability but
//! CAP_KILL where root starts the sandbox, and a filter of four calls.

use super::confine::{Calls, Confinement, with};
use super::denial::Denial;
use super::records::Record;
use super::{About, End, Helper, Inside, Next};
use crate::launch::why;
use crate::sys::{self, Errno};
use crate::text::problem::Problem;
use std::ffi::CStr;
use std::os::fd::RawFd;

/// How it is called in lists of processes.
const NAME: &CStr = c"stockade-watch";

/// The helper.
pub(crate) struct Watcher {
    /// Its end of the life pipe.
    pub life: RawFd,
    /// The target, which does not run yet: it waits for the launcher's byte.
    pub target: RawFd,
}

const CAP_KILL: u64 = 1 << 5;

impl Helper for Watcher {
    fn about(&self) -> About {
        About {
            name: NAME,
            what: "the process that ends the target with the launcher",
            // Not the other end of the life pipe: one that this process can write to itself would
            // never end.
            given: vec![self.life, self.target],
            is_handed: false,
            most_kept: 0,
            // A target of root's in the host's user namespace may have other ids by a capability
            // that it keeps (kill(2)).
            confinement: Confinement {
                ids: None,
                capabilities: CAP_KILL,
                reads: None,
                is_later: false,
            },
            end: End::ByTheLauncher,
        }
    }

    fn calls(&self, _: &Inside) -> Calls {
        vec![with("pidfd_send_signal", &[(0, &[self.target.into()]), (1, &[libc::SIGKILL.into()])])]
    }

    fn serve(&mut self, _: &mut Inside) -> sys::Result {
        while let Err(errno) = sys::wait_for_hangup(self.life) {
            // Of any other the launcher sees this process end, and ends the sandbox.
            if errno != Errno(libc::EINTR) {
                return Err(errno);
            }
        }
        // A target that has ended needs no end.
        sys::regardless(sys::signal_pidfd(self.target, libc::SIGKILL));
        Ok(())
    }

    fn take(&mut self, _: &Record, _: &mut dyn FnMut(&Denial)) -> Next {
        Next::GoOn
    }

    /// A target that would outlive the launcher does not run.
    fn ended(&self) -> Option<Problem> {
        Some(why::watcher_ended())
    }
}

#[cfg(test)]
mod tests {
    use super::super::inside::tests::{calls, may};
    use super::*;

    #[test]
    fn it_may_make_four_calls() {
        let watcher = Watcher { life: 6, target: 7 };
        let may = |name, arguments| may(&watcher, name, arguments);
        assert_eq!(calls(&watcher), 4);
        let (kill, end) = (libc::SIGKILL.into(), libc::SIGTERM.into());
        assert!(may("pidfd_send_signal", [7, kill, 0, 0, 0, 0]));
        assert!(!may("pidfd_send_signal", [6, kill, 0, 0, 0, 0]));
        assert!(!may("pidfd_send_signal", [7, end, 0, 0, 0, 0]));
        assert!(may("write", [4, 0, 4, 0, 0, 0]) && !may("write", [6, 0, 4, 0, 0, 0]));
        for refused in
            ["read", "openat", "execve", "clone", "mmap", "socket", "kill", "ptrace", "prlimit64"]
        {
            assert!(!may(refused, [0; 6]), "{refused}");
        }
    }
}
