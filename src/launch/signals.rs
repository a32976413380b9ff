//! Signals that the launcher and pid 1 both take.

use crate::sys::{self, Errno, SignalSet, signal_bit};

/// Signals that are passed on. Not among them: those of a fault of our own, KILL and STOP, and what
/// a background process gets from its terminal.
pub(super) const FORWARDED: SignalSet = signal_bit(libc::SIGHUP)
    | signal_bit(libc::SIGINT)
    | signal_bit(libc::SIGQUIT)
    | signal_bit(libc::SIGTERM)
    | signal_bit(libc::SIGUSR1)
    | signal_bit(libc::SIGUSR2)
    | signal_bit(libc::SIGALRM)
    | signal_bit(libc::SIGCONT)
    | signal_bit(libc::SIGTSTP)
    | signal_bit(libc::SIGWINCH)
    | signal_bit(libc::SIGIO)
    | signal_bit(libc::SIGPWR)
    // Real-time signals, from the first that glibc leaves to programs.
    | !(signal_bit(34) - 1);

/// How many signals, and how many ended children, one turn takes. Real-time signals queue and
/// orphans end faster than they can be seen to, so a target that sends or makes them without end
/// would keep the time limits and the launcher's end from being looked at.
pub(super) const PER_TURN: u32 = 64;

/// A process or group that has just ended needs no signal; one that took other ids by a capability
/// of its own cannot be sent one.
pub(super) fn gone_is_fine(result: sys::Result) -> sys::Result {
    match result {
        Err(Errno(libc::ESRCH | libc::EPERM | libc::ENOTTY)) => Ok(()),
        other => other,
    }
}
