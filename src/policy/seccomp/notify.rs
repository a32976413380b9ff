//! Calls that the kernel asks about rather than answer by itself (seccomp_unotify(2)): which they
//! are, and how they are judged again outside.

use super::filter::{Case, Compare, Filter, Rule, Table, Test, Verdict, Width};
use crate::kernel::syscalls::{ARCHITECTURE, Abi, I386};

/// Which refusals are sent to a supervisor outside, which answers for the kernel.
///
/// The kernel notifies it on SECCOMP_RET_USER_NOTIF. Of several filters an errno and any death win
/// over that verdict (seccomp(2)), so a sandbox has one filter, in which notifications replace
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notifications {
    Nothing,
    /// Those of [`Verdict::Notify`].
    Notified,
    /// Every errno and every death of a process. A trap and the death of a thread stay with the
    /// kernel: no other process can do them.
    Everything,
}

impl Notifications {
    /// Whether the kernel asks about what gets this verdict.
    pub fn asks(self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Notify => true,
            Verdict::Errno(_) | Verdict::KillProcess => self == Notifications::Everything,
            _ => false,
        }
    }
}

/// One native call with its first arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    pub number: u32,
    /// Its first arguments.
    pub arguments: [u64; 3],
}

impl Exact {
    pub(super) fn tests(&self) -> Vec<Test> {
        (0..)
            .zip(self.arguments)
            .map(|(argument, value)| Test::full(argument, Compare::one_of(&[value])))
            .collect()
    }

    /// The verdict of a filter for it.
    pub fn judged_by(&self, filter: &Filter) -> Verdict {
        let [first, second, third] = self.arguments;
        filter.judge(self.number, &[first, second, third, 0, 0, 0])
    }
}

impl Filter {
    /// The architecture of a call as the kernel names it, and its number there; `None` where this
    /// version does not know it.
    pub fn abi_of(architecture: u32, number: u32) -> Option<(Abi, u32)> {
        match architecture {
            ARCHITECTURE if number < Abi::X32_BIT => Some((Abi::Native, number)),
            ARCHITECTURE => Some((Abi::X32, number & !Abi::X32_BIT)),
            I386 if cfg!(target_arch = "x86_64") => Some((Abi::X86, number)),
            _ => None,
        }
    }

    /// The verdict for a call as the kernel reports it (struct seccomp_data).
    pub fn judge_seen(&self, architecture: u32, number: u32, arguments: &[u64; 6]) -> Verdict {
        match Filter::abi_of(architecture, number) {
            Some((Abi::Native | Abi::X32, _)) => self.judge(number, arguments),
            Some((abi, number)) => {
                self.table(abi).map_or(Verdict::KillProcess, |table| table.judge(number, arguments))
            }
            None => Verdict::KillProcess,
        }
    }

    /// The refusals that the profile's own rules report: those of `notify`.
    pub fn notifications(&self) -> Notifications {
        let notifies = |rule: &Rule| {
            rule.otherwise == Verdict::Notify
                || rule.cases.iter().any(|case| case.verdict == Verdict::Notify)
        };
        let any = std::iter::once(&self.native)
            .chain(&self.others)
            .any(|table| table.distinct().iter().any(notifies));
        if any { Notifications::Notified } else { Notifications::Nothing }
    }

    /// A filter that allows these calls alone; any other call kills the process.
    pub fn only(calls: impl IntoIterator<Item = (&'static str, Rule)>) -> Filter {
        Filter::only_or(calls, (Verdict::KillProcess, Verdict::KillProcess))
    }

    /// A filter that allows these calls, with one verdict for others that are known, and one for those
    /// that are not.
    pub(crate) fn only_or(
        calls: impl IntoIterator<Item = (&'static str, Rule)>,
        (other, unknown): (Verdict, Verdict),
    ) -> Filter {
        let decided = calls
            .into_iter()
            .filter_map(|(name, rule)| Some((Abi::Native.number(name)?, rule, None)));
        let known =
            Abi::Native.known().into_iter().map(|(number, _)| (number, Rule::always(other), None));
        let native = Table::of(Abi::Native, unknown, known.chain(decided));
        Filter { native, others: vec![] }
    }

    /// The arguments that the rule of a call looks at, as much of each as it sees; 0 for all
    /// others.
    pub fn decisive(&self, architecture: u32, number: u32, arguments: &[u64; 6]) -> [u64; 6] {
        let mut decisive = [0; 6];
        let rule = Filter::abi_of(architecture, number)
            .and_then(|(abi, number)| self.table(abi)?.rule(number));
        for test in rule.iter().flat_map(|rule| &rule.cases).flat_map(|case| &case.tests) {
            let place = usize::from(test.argument);
            let seen = arguments.get(place).map_or(0, |value| {
                if test.width == Width::Low { value & 0xffff_ffff } else { *value }
            });
            if let Some(decisive) = decisive.get_mut(place) {
                *decisive |= seen;
            }
        }
        decisive
    }

    /// The same filter, where native calls with exactly these arguments are allowed.
    #[must_use]
    pub fn exempting(&self, calls: &[Exact]) -> Filter {
        let mut filter = self.clone();
        for call in calls {
            filter
                .native
                .put_first(call.number, Case { tests: call.tests(), verdict: Verdict::Allow });
        }
        filter
    }
}
