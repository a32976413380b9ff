//! What was denied, as data, and the records in which helpers report it to the launcher.
//!
//! A record has numbers and a name of at most 16 bytes. The name is the target's word (prctl(2),
//! PR_SET_NAME), and is escaped before it is shown.

use super::records::Record;

/// A kind of denial: the same act, as far as what decides is the same, by processes of the same
/// name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// The first of them.
    pub act: Act,
    /// The process that made the first.
    pub who: Who,
    /// What happened to the process that made it.
    pub then: Consequence,
    /// How many there were.
    pub count: u64,
}

/// What can be denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A system call, by the filter.
    Call(Call),
}

/// A system call as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// AUDIT_ARCH_* of the call.
    pub architecture: u32,
    /// Its number there.
    pub number: u32,
    /// Its registers.
    pub arguments: [u64; 6],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The kernel's name of it, filled up with zeroes; empty where it is not known.
    pub name: [u8; 16],
    /// Its number in its own pid namespace; 0 where it is not known.
    pub inside: u32,
    /// The number of the thread outside; 0 where it is not seen there.
    pub outside: u32,
}

/// What follows a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// The call failed with the policy's errno.
    Failed,
    /// The process was ended, as the policy has it.
    Killed,
    /// The process was to be ended, and could not be: the sandbox ends.
    Unkillable,
}

impl Who {
    /// Nothing is known but the number.
    pub fn unknown(outside: u32) -> Who {
        Who { name: [0; 16], inside: 0, outside }
    }

    /// The name, less the zeroes.
    pub fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// Everything that was denied in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denials {
    /// Each kind, in the order of the first of it.
    pub kinds: Vec<Denial>,
    /// Denials of kinds beyond [`MOST`].
    pub more: u64,
    /// Whether the counts are those at the end of the run; else the process that reports them ended
    /// before it, and the counts are at least that.
    pub complete: bool,
}

impl Default for Denials {
    /// Those of a run that reports no denials.
    fn default() -> Denials {
        Denials { kinds: vec![], more: 0, complete: true }
    }
}

/// How many kinds one helper keeps.
pub(super) const MOST: usize = 128;

/// What a helper reports of denials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// A kind of denial, by its place in the helper's list.
    Denied(u32, Denial),
    /// The end: so many are in no kind.
    Done(u64),
}

/// The kinds of records: one for each act, and the end.
const CALL: u32 = 2;
const DONE: u32 = 3;

impl Consequence {
    const ALL: [Consequence; 3] =
        [Consequence::Failed, Consequence::Killed, Consequence::Unkillable];

    fn code(self) -> u32 {
        match self {
            Consequence::Failed => 0,
            Consequence::Killed => 1,
            Consequence::Unkillable => 2,
        }
    }
}

impl Report {
    pub(super) fn record(self) -> Record {
        match self {
            Report::Done(more) => Record {
                short: [DONE, 0, 0, 0, 0, 0, 0, 0],
                long: [more, 0, 0, 0, 0, 0, 0],
                ..Record::default()
            },
            Report::Denied(place, Denial { act: Act::Call(call), who, then, count }) => {
                let Call { architecture, number, arguments: [a, b, c, d, e, f] } = call;
                let Who { name, inside, outside } = who;
                Record {
                    short: [CALL, place, architecture, number, inside, outside, then.code(), 0],
                    long: [count, a, b, c, d, e, f],
                    text: name,
                }
            }
        }
    }

    /// `None` for what is no such record.
    pub(super) fn of(record: &Record) -> Option<Report> {
        let Record { short, long, text } = *record;
        match short {
            [DONE, ..] => Some(Report::Done(long[0])),
            [CALL, place, architecture, number, inside, outside, then, _] => {
                let [count, arguments @ ..] = long;
                let act = Act::Call(Call { architecture, number, arguments });
                let who = Who { name: text, inside, outside };
                let then = Consequence::ALL.into_iter().find(|one| one.code() == then)?;
                Some(Report::Denied(place, Denial { act, who, then, count }))
            }
            _ => None,
        }
    }
}

impl Denials {
    /// Of a helper that has just been started.
    pub(super) fn begun() -> Denials {
        Denials { complete: false, ..Denials::default() }
    }

    /// Takes in what one helper reports, and gives the denial, and whether it is the first of its
    /// kind. A place that is out of order is none of ours.
    pub(super) fn take(&mut self, report: Report) -> Option<(Denial, bool)> {
        let (place, denial) = match report {
            Report::Denied(place, denial) => (place as usize, denial),
            Report::Done(more) => {
                (self.more, self.complete) = (more, true);
                return None;
            }
        };
        let is_new = place == self.kinds.len() && place < MOST;
        if let Some(known) = self.kinds.get_mut(place) {
            *known = denial;
        } else if is_new {
            self.kinds.push(denial);
        }
        Some((denial, is_new))
    }

    /// Those of another helper too.
    pub(super) fn add(&mut self, others: Denials) {
        self.kinds.extend(others.kinds);
        self.more = self.more.saturating_add(others.more);
        self.complete &= others.complete;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(count: u64) -> Denial {
        let call =
            Call { architecture: 0xc000_003e, number: 83, arguments: [1, 2, u64::MAX, 4, 5, 6] };
        let who = Who { name: *b"0123456789abcde\0", inside: 7, outside: 4711 };
        Denial { act: Act::Call(call), who, then: Consequence::Killed, count }
    }

    #[test]
    fn what_is_reported_is_read() {
        for report in [Report::Denied(3, denial(1 << 40)), Report::Done(9)] {
            assert_eq!(Report::of(&report.record()), Some(report));
        }
        assert_eq!(Report::of(&Record::default()), None);
        assert_eq!(denial(1).who.name(), b"0123456789abcde");
    }

    #[test]
    fn a_list_has_no_holes_and_an_end() {
        let mut denials = Denials::begun();
        assert_eq!(denials.take(Report::Denied(1, denial(1))), Some((denial(1), false)));
        assert!(denials.kinds.is_empty());
        for place in 0..MOST as u32 + 5 {
            let (_, is_new) = denials.take(Report::Denied(place, denial(1))).unwrap();
            assert_eq!(is_new, place < MOST as u32);
        }
        denials.take(Report::Denied(2, denial(70)));
        assert_eq!(
            (denials.kinds.len(), denials.kinds[2].count, denials.complete),
            (MOST, 70, false)
        );
        denials.take(Report::Done(5));
        assert_eq!((denials.more, denials.complete), (5, true));
        let mut all = Denials::default();
        all.add(denials);
        assert_eq!((all.kinds.len(), all.more, all.complete), (MOST, 5, true));
        all.add(Denials::begun());
        assert!(!all.complete);
    }
}
