//! From the filter to the BPF program that the kernel runs at each call. Nothing is decided here.
//!
//! A binary tree over runs of numbers with equal rules, not a list: at install the kernel emulates
//! the program once for every number to learn which are allowed whatever the arguments, so a list
//! of 1,700 instructions costs each start 0.7 ms and a tree 0.05 ms.
//!
//! The program is written from its end: jumps go forward only, as the kernel requires, so the place of
//! each is known when it is written.

use super::filter::{Compare, Filter, Rule, Table, Test, Verdict, Width};
use super::notify::{Exact, Notifications};
use super::{ENOSYS, EPERM};
use crate::kernel::syscalls::{ARCHITECTURE, Abi, I386};
use seccompiler::{BpfProgram, sock_filter};

/// The kernel takes no longer program (BPF_MAXINSNS); seccomp(2) fails with EINVAL, and the target
/// does not start.
pub(crate) const LONGEST: usize = 4096;

// Opcodes of classic BPF that seccomp takes (linux/bpf_common.h, seccomp_check_filter).
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const GREATER_OR_EQUAL: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets in struct seccomp_data.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Compiles the filter. Longer than `LONGEST` it is only where a profile adds thousands of values
/// of its own.
pub fn compile(filter: &Filter) -> BpfProgram {
    compile_notifying(filter, Notifications::Notified)
}

/// The same, with a notification for each verdict that `notifications` reports.
pub(crate) fn compile_notifying(filter: &Filter, notifications: Notifications) -> BpfProgram {
    let mut code =
        Code { backward: Vec::with_capacity(512), verdicts: vec![], rules: vec![], notifications };
    // The numbers of a table are those of its architecture alone: `int 0x80` and the 32-bit calls
    // have others.
    let foreign = match filter.table(Abi::X86) {
        Some(table) => {
            let tree = code.table(table, 0);
            let numbers = code.load(NUMBER, tree);
            let granted = code.fork(EQUAL, I386, numbers, Place::Verdict(Verdict::KillProcess));
            code.load(ARCH, granted)
        }
        None => Place::Verdict(Verdict::KillProcess),
    };
    let high = match filter.table(Abi::X32) {
        Some(table) => code.table(table, Abi::X32_BIT),
        None => Place::Verdict(ENOSYS),
    };
    let native = code.table(&filter.native, 0);
    let numbers = code.fork(GREATER_OR_EQUAL, Abi::X32_BIT, high, native);
    let numbers = code.load(NUMBER, numbers);
    let start = code.fork(EQUAL, ARCHITECTURE, numbers, foreign);
    code.load(ARCH, start);
    code.finish()
}

/// A program that refuses a few calls with exactly these arguments, and leaves all others to the
/// filters before it.
pub(crate) fn compile_refusals(calls: &[(Exact, Verdict)]) -> BpfProgram {
    let mut code = Code {
        backward: vec![],
        verdicts: vec![],
        rules: vec![],
        notifications: Notifications::Nothing,
    };
    let others = Place::Verdict(Verdict::Allow);
    let numbers = calls.iter().rev().fold(others, |next, (call, verdict)| {
        let exact = call
            .tests()
            .iter()
            .rev()
            .fold(Place::Verdict(*verdict), |pass, test| code.test(test, pass, others));
        code.fork(EQUAL, call.number, exact, next)
    });
    let numbers = code.load(NUMBER, numbers);
    let start = code.fork(EQUAL, ARCHITECTURE, numbers, others);
    code.load(ARCH, start);
    code.finish()
}

impl Verdict {
    /// SECCOMP_RET_*. The kernel would cut an errno at 4095 as well.
    pub(super) fn word(self) -> u32 {
        match self {
            Verdict::Allow => 0x7fff_0000,
            Verdict::Log => 0x7ffc_0000,
            Verdict::Trace => 0x7ff0_0000,
            Verdict::Notify => 0x7fc0_0000,
            Verdict::Errno(errno) => 0x0005_0000 | errno.clamp(0, 4095) as u32,
            Verdict::Trap => 0x0003_0000,
            Verdict::KillThread => 0,
            Verdict::KillProcess => 0x8000_0000,
        }
    }
}

/// Where a jump leads: a place, as the length of the program from there to its end, or any
/// instruction that gives this verdict.
#[derive(Debug, Clone, Copy)]
enum Place {
    At(usize),
    Verdict(Verdict),
}

/// The end of a program, its last instruction first.
struct Code {
    backward: BpfProgram,
    /// The nearest instruction that gives each verdict.
    verdicts: Vec<(Verdict, usize)>,
    /// The nearest code of each rule with cases, in the table at hand.
    rules: Vec<(u16, Place)>,
    notifications: Notifications,
}

impl Code {
    fn finish(mut self) -> BpfProgram {
        self.backward.reverse();
        self.backward
    }

    fn push(&mut self, code: u16, k: u32) -> Place {
        self.backward.push(sock_filter { code, jt: 0, jf: 0, k });
        Place::At(self.backward.len())
    }

    /// The place, or where it is further than `most` from the next instruction to be written, one
    /// that leads there.
    fn reach(&mut self, place: Place, most: usize) -> usize {
        let place = match place {
            Place::Verdict(verdict) if self.notifications.asks(verdict) => {
                Place::Verdict(Verdict::Notify)
            }
            other => other,
        };
        let known = match place {
            Place::At(place) => Some(place),
            Place::Verdict(verdict) => {
                self.verdicts.iter().find(|(known, _)| *known == verdict).map(|(_, place)| *place)
            }
        };
        match (known, place) {
            (Some(known), _) if self.backward.len() - known <= most => return known,
            (_, Place::Verdict(verdict)) => {
                self.push(RETURN, verdict.word());
                self.verdicts.retain(|(known, _)| *known != verdict);
                self.verdicts.push((verdict, self.backward.len()));
            }
            (_, Place::At(place)) => drop(self.push(JUMP, (self.backward.len() - place) as u32)),
        }
        self.backward.len()
    }

    /// An instruction that continues with `next`.
    fn plain(&mut self, code: u16, k: u32, next: Place) -> Place {
        self.reach(next, 0);
        self.push(code, k)
    }

    fn load(&mut self, offset: u32, next: Place) -> Place {
        self.plain(LOAD, offset, next)
    }

    /// Loads what a mask leaves of a half of an argument.
    fn load_masked(&mut self, offset: u32, mask: u32, next: Place) -> Place {
        let next = if mask == u32::MAX { next } else { self.plain(AND, mask, next) };
        self.load(offset, next)
    }

    fn fork(&mut self, code: u16, k: u32, yes: Place, no: Place) -> Place {
        // jt and jf are bytes. 254, for what the second has written may come between the first and
        // its target.
        let (yes, no) = (self.reach(yes, 254), self.reach(no, 254));
        let [jt, jf] = [yes, no].map(|place| (self.backward.len() - place) as u8);
        self.backward.push(sock_filter { code, jt, jf, k });
        Place::At(self.backward.len())
    }

    /// The search for a number, which is loaded already.
    fn table(&mut self, table: &Table, bit: u32) -> Place {
        self.rules.clear();
        self.tree(table, &table.runs(), bit)
    }

    fn tree(&mut self, table: &Table, runs: &[(u32, u16)], bit: u32) -> Place {
        let (low, high) = runs.split_at(runs.len() / 2);
        match (low, high) {
            ([], [(_, rule)]) => self.leaf(table, *rule),
            (_, [(first, _), ..]) => {
                let above = self.tree(table, high, bit);
                let below = self.tree(table, low, bit);
                self.fork(GREATER_OR_EQUAL, first | bit, above, below)
            }
            // No run at all: what is not said is refused.
            (_, []) => Place::Verdict(EPERM),
        }
    }

    fn leaf(&mut self, table: &Table, place: u16) -> Place {
        let rule = table.at(place);
        if rule.cases.is_empty() {
            return Place::Verdict(rule.otherwise);
        }
        if let Some((_, known)) =
            self.rules.iter().find(|(known, _)| *known == place || table.at(*known) == rule)
        {
            return *known;
        }
        let code = self.rule(rule);
        self.rules.push((place, code));
        code
    }

    fn rule(&mut self, rule: &Rule) -> Place {
        rule.cases.iter().rev().fold(Place::Verdict(rule.otherwise), |next, case| {
            case.tests
                .iter()
                .rev()
                .fold(Place::Verdict(case.verdict), |pass, test| self.test(test, pass, next))
        })
    }

    /// Continues with `pass` if the test holds, and with `fail` if not. Both architectures are
    /// little-endian: the low half comes first.
    fn test(&mut self, test: &Test, pass: Place, fail: Place) -> Place {
        if test.argument > 5 {
            return fail;
        }
        let low = ARGUMENTS + 8 * u32::from(test.argument);
        let halves = (low, low + 4);
        match (&test.compare, test.width) {
            (Compare::AnyBit { bits }, Width::Low) => {
                self.any_bit(&[(low, *bits as u32)], pass, fail)
            }
            (Compare::AnyBit { bits }, Width::Full) => {
                self.any_bit(&[(low, *bits as u32), (low + 4, (bits >> 32) as u32)], pass, fail)
            }
            (Compare::OneOf { mask, values }, Width::Low) => {
                self.one_of_low(low, *mask, values, pass, fail)
            }
            (Compare::OneOf { mask, values }, Width::Full) => {
                self.one_of_full(halves, *mask, values, pass, fail)
            }
            (Compare::NoneOf { mask, values }, Width::Low) => {
                self.one_of_low(low, *mask, values, fail, pass)
            }
            (Compare::NoneOf { mask, values }, Width::Full) => {
                self.one_of_full(halves, *mask, values, fail, pass)
            }
            (Compare::Between { low: least, high }, Width::Low) => {
                self.between_low(low, *least, *high, pass, fail)
            }
            (Compare::Between { low: least, high }, Width::Full) => {
                self.between_full(halves, *least, *high, pass, fail)
            }
        }
    }

    fn any_bit(&mut self, halves: &[(u32, u32)], pass: Place, fail: Place) -> Place {
        halves.iter().rev().filter(|(_, bits)| *bits != 0).fold(fail, |next, (offset, bits)| {
            let fork = self.fork(ANY_BIT, *bits, pass, next);
            self.load(*offset, fork)
        })
    }

    fn one_of_low(
        &mut self,
        offset: u32,
        mask: u64,
        values: &[u64],
        pass: Place,
        fail: Place,
    ) -> Place {
        let mask = mask & 0xffff_ffff;
        // A value with a bit outside the mask is none that the test can see.
        let seen = values.iter().rev().filter(|value| **value & !mask == 0);
        let chain = seen.fold(fail, |next, value| self.fork(EQUAL, *value as u32, pass, next));
        self.load_masked(offset, mask as u32, chain)
    }

    fn one_of_full(
        &mut self,
        (low, high): (u32, u32),
        mask: u64,
        values: &[u64],
        pass: Place,
        fail: Place,
    ) -> Place {
        values.iter().rev().fold(fail, |next, value| {
            let fork = self.fork(EQUAL, *value as u32, pass, next);
            let load = self.load_masked(low, mask as u32, fork);
            let fork = self.fork(EQUAL, (value >> 32) as u32, load, next);
            self.load_masked(high, (mask >> 32) as u32, fork)
        })
    }

    fn between_low(&mut self, offset: u32, low: u64, high: u64, pass: Place, fail: Place) -> Place {
        let Ok(low) = u32::try_from(low) else { return fail };
        let not_above = self.fork(GREATER, u32::try_from(high).unwrap_or(u32::MAX), fail, pass);
        let not_below = self.fork(GREATER_OR_EQUAL, low, not_above, fail);
        self.load(offset, not_below)
    }

    fn between_full(
        &mut self,
        (low_half, high_half): (u32, u32),
        low: u64,
        high: u64,
        pass: Place,
        fail: Place,
    ) -> Place {
        let fork = self.fork(GREATER, high as u32, fail, pass);
        let load = self.load(low_half, fork);
        let fork = self.fork(EQUAL, (high >> 32) as u32, load, pass);
        let fork = self.fork(GREATER, (high >> 32) as u32, fail, fork);
        let enough = self.load(high_half, fork);
        let fork = self.fork(GREATER_OR_EQUAL, low as u32, enough, fail);
        let load = self.load(low_half, fork);
        let fork = self.fork(EQUAL, (low >> 32) as u32, load, fail);
        let fork = self.fork(GREATER, (low >> 32) as u32, enough, fork);
        self.load(high_half, fork)
    }
}
