//! A program that launches and continues: what must hold of its process, and what a launch changes of
//! it and is put back. The command line, which ends with its sandbox, needs its signals alone.

use super::{Failure, own};
use crate::host::caller::Caller;
use crate::sys::{self, Action, Errno, SignalSet};
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::os::fd::RawFd;

/// Signals whose actions a launch changes: that of the end of children, and those by which it stops
/// with its target.
const ACTIONS: [i32; 4] = [libc::SIGCHLD, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The signals that this process blocked before a launch, which blocks all. Dropped, it blocks
/// those.
pub(crate) struct Mask(SignalSet);

impl Mask {
    /// Looks at it.
    pub(crate) fn look() -> Result<Mask, Failure> {
        Ok(Mask(sys::signal_mask().map_err(unseen)?))
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // Nothing hangs on one that cannot be put back.
        sys::regardless(sys::set_signal_mask(self.0));
    }
}

/// This process before a launch. Dropped, it is as it was.
pub(crate) struct Process {
    actions: [Action; ACTIONS.len()],
    dumpable: i32,
    file_limit: (u64, u64),
    descriptors: Vec<RawFd>,
    /// Put back last: what is blocked until then does what it did before.
    _signals: Mask,
}

/// The caller; refused if this process is privileged, as the caller would choose what the privilege
/// is used for.
pub(crate) fn caller() -> Result<Caller, Box<Problem>> {
    if sys::is_privileged() {
        return Err(cannot("this process is set-id or has file capabilities"));
    }
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if (user, group) != sys::ids_at_start() {
        return Err(cannot("this process has changed its ids since it was executed"));
    }
    Ok(Caller::current())
}

fn cannot(why: &str) -> Box<Problem> {
    let message = format!("cannot start a sandbox from here: {why}");
    Box::new(Problem::new("launch::failed", Span::NOWHERE, message))
}

fn unseen(errno: Errno) -> Problem {
    own("look at this process", errno)
}

impl Process {
    /// Looks at what a launch will change, and makes the process ready for one.
    pub(crate) fn look() -> Result<Process, Failure> {
        // Pid 1 of the sandbox is a copy of this process, and its words are the target's to see.
        let threads = sys::note_strings_of_stat().map_err(unseen)?;
        // In the copy a lock that another thread holds is never released, and what another thread
        // is signalled is not forwarded.
        if threads != 1 {
            let why = format!("this process has {threads} threads, and may have one");
            return Err((*cannot(&why)).into());
        }
        let mut actions = [Action::default(); ACTIONS.len()];
        for (signal, action) in ACTIONS.into_iter().zip(&mut actions) {
            *action = sys::action(signal).map_err(unseen)?;
        }
        let process = Process {
            actions,
            dumpable: sys::prctl(libc::PR_GET_DUMPABLE, 0, 0).map_err(unseen)?,
            file_limit: sys::get_rlimit(libc::RLIMIT_NOFILE).map_err(unseen)?,
            descriptors: descriptors().map_err(unseen)?,
            _signals: Mask::look()?,
        };
        // With SA_NOCLDWAIT (sigaction(2)) no child leaves a status either. Pid 1, a copy of this
        // process, has no use for its handler.
        sys::default_action(libc::SIGCHLD).map_err(unseen)?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // No other thread has opened any meanwhile: there is none.
        for fd in descriptors().unwrap_or_default() {
            if !self.descriptors.contains(&fd) {
                sys::regardless(sys::close(fd));
            }
        }
        // A value that cannot be put back stays as it is: nothing depends on it.
        let (soft, hard) = self.file_limit;
        sys::regardless(sys::set_rlimit(libc::RLIMIT_NOFILE, soft, hard));
        sys::regardless(sys::prctl(libc::PR_SET_DUMPABLE, self.dumpable as u64, 0));
        for (signal, action) in ACTIONS.into_iter().zip(&self.actions) {
            sys::regardless(sys::set_action(signal, action));
        }
    }
}

/// The open descriptors. The descriptor of the directory itself is closed again, and another may
/// get its number.
fn descriptors() -> sys::Result<Vec<RawFd>> {
    let failed = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
    let mut found: Vec<RawFd> = vec![];
    for entry in std::fs::read_dir("/proc/self/fd").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        found.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    found.retain(|fd| sys::closes_on_exec(*fd).is_ok());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_starts_no_sandbox() {
        // The harness has one for itself and one for each test.
        let refused = Process::look().err().unwrap();
        assert!(refused.problem.message.contains("threads, and may have one"), "{refused:?}");
    }

    /// Unwinding drops what the copy holds.
    #[test]
    fn no_copy_goes_on_as_the_program() {
        let mut pidfd = -1;
        let pid = match sys::clone_process(0, &mut pidfd, None).unwrap() {
            0 => {
                drop(sys::NoWayBack);
                sys::exit(0)
            }
            pid => pid,
        };
        sys::close(pidfd).unwrap();
        assert_eq!(libc::WEXITSTATUS(sys::wait_for(pid).unwrap()), 125);
    }
}
