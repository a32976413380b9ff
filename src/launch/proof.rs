//! What shows that Landlock and the filter are in force. The kernel has nothing to read Landlock
//! back from, and one that is emulated or traced may say of either that it is done and do nothing;
//! so an act is tried that only they refuse.
//!
//! Which act it is, is decided before the clone; to try it is part of what runs between clone and
//! exec (see [`super::child`]).

use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::kernel::syscalls;
use crate::plan::Plan;
use crate::policy::landlock::Ruleset;
use crate::policy::seccomp::{Filter, Notifications, Verdict};
use crate::sys::{self, Errno, Result};
use std::os::fd::RawFd;

/// The error if a protection is not in force.
pub(super) const NOT_IN_FORCE: Errno = Errno(libc::EBADE);

/// An act that Landlock refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landlocked {
    /// To read the directory that the sandbox's root lies in, which no rule names; where
    /// `rlimits.nofile` leaves no descriptor for it, the second act.
    Backstage(Scoped),
    /// To read the root directory of the host's tree, where no rule names it; likewise.
    Root(Scoped),
    /// To send a signal, to see whether that could be done, to the parent, which is outside of the
    /// domain.
    Parent,
    /// There is none.
    Unknown,
}

/// Whether signals to the parent are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scoped(bool);

impl Landlocked {
    /// The first that goes with the plan.
    pub(super) fn of(plan: &Plan, ruleset: Ruleset) -> Landlocked {
        let reads = ruleset.handled.holds(Rights::LIST);
        let scoped = ruleset.scopes_signals() && plan.watch.init;
        match plan.new.contains(&Kind::Mount) {
            true if reads => Landlocked::Backstage(Scoped(scoped)),
            false if reads && !plan.rules_over("/") => Landlocked::Root(Scoped(scoped)),
            _ if scoped => Landlocked::Parent,
            _ => Landlocked::Unknown,
        }
    }

    /// Tries it.
    pub(super) fn prove(self, backstage: RawFd) -> Result {
        let read = |dir, path, Scoped(scoped)| match sys::openat(
            dir,
            path,
            libc::O_RDONLY | libc::O_DIRECTORY,
            0,
        ) {
            Err(Errno(libc::EMFILE | libc::ENFILE)) if scoped => {
                Landlocked::Parent.prove(backstage)
            }
            Err(Errno(libc::EMFILE | libc::ENFILE)) => Ok(()),
            other => refused(other, libc::EACCES),
        };
        match self {
            Landlocked::Backstage(scoped) => read(backstage, c".", scoped),
            Landlocked::Root(scoped) => read(libc::AT_FDCWD, c"/", scoped),
            Landlocked::Parent => refused(sys::kill(sys::getppid(), 0), libc::EPERM),
            Landlocked::Unknown => Ok(()),
        }
    }
}

fn refused<T>(result: Result<T>, errno: i32) -> Result {
    match result {
        Err(Errno(got)) if got == errno => Ok(()),
        _ => Err(NOT_IN_FORCE),
    }
}

/// A call that has another result behind the filter than without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filtered {
    /// TIOCSTI on no descriptor, which is EBADF without a filter.
    Terminal(Errno),
    /// PR_GET_SECCOMP: 2, or what the filter says of it.
    Mode(Result<i32>),
    /// There is none: the profile's own words kill for both.
    Unknown,
}

impl Filtered {
    /// The first call that shows the filter. A call with a notification does not serve: it would be
    /// reported as a denial.
    pub(super) fn by(filter: &Filter, notifications: Notifications) -> Filtered {
        let verdict = |call, arguments| {
            syscalls::number(call)
                .map(|number| filter.judge(number, &arguments))
                .filter(|verdict| !notifications.asks(*verdict))
        };
        match verdict("ioctl", [u64::MAX, libc::TIOCSTI, 0, 0, 0, 0]) {
            Some(Verdict::Errno(errno)) if errno != libc::EBADF && errno != 0 => {
                return Filtered::Terminal(Errno(errno));
            }
            _ => {}
        }
        match verdict("prctl", [libc::PR_GET_SECCOMP as u64, 0, 0, 0, 0, 0]) {
            Some(Verdict::Allow | Verdict::Log) => {
                Filtered::Mode(Ok(libc::SECCOMP_MODE_FILTER as i32))
            }
            Some(Verdict::Errno(errno)) if errno != 0 => Filtered::Mode(Err(Errno(errno))),
            _ => Filtered::Unknown,
        }
    }

    /// Makes it.
    pub(super) fn prove(self) -> Result {
        let as_expected = match self {
            Filtered::Terminal(errno) => sys::push_input(-1) == Err(errno),
            Filtered::Mode(gives) => sys::prctl(libc::PR_GET_SECCOMP, 0, 0) == gives,
            Filtered::Unknown => true,
        };
        if as_expected { Ok(()) } else { Err(NOT_IN_FORCE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::seccomp::{Needs, Rule, default};

    #[test]
    fn each_filter_is_seen_by_a_call_of_its_own() {
        let filter = default(&Needs::default());
        assert_eq!(
            Filtered::by(&filter, Notifications::Nothing),
            Filtered::Terminal(Errno(libc::EPERM))
        );
        // The answerer would report the first.
        assert_eq!(Filtered::by(&filter, Notifications::Everything), Filtered::Mode(Ok(2)));
        let only = |call, verdict| Filter::only([(call, Rule::always(verdict))]);
        assert_eq!(
            Filtered::by(&only("prctl", Verdict::Errno(libc::EPERM)), Notifications::Nothing),
            Filtered::Mode(Err(Errno(libc::EPERM)))
        );
        assert_eq!(
            Filtered::by(&only("read", Verdict::Allow), Notifications::Nothing),
            Filtered::Unknown
        );
    }
}
