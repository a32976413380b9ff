//! From the filter to the BPF program that the kernel runs at each call. Nothing is decided here.
//!
//! A binary tree over runs of numbers with equal rules, not a list: at install the kernel emulates the program once for every number
//! to learn which are allowed whatever the arguments, so a list of 1,700 instructions costs each start 0.7 ms and a tree 0.05 ms.

use super::{Compare, ENOSYS, EPERM, Filter, Rule, Test, Verdict, Width, X32};
use seccompiler::{BpfProgram, sock_filter};
use std::collections::BTreeMap;

/// The kernel takes no longer program (BPF_MAXINSNS); seccomp(2) fails with EINVAL, and the target does not start.
pub const LONGEST: usize = 4096;

/// AUDIT_ARCH_* of this build (linux/audit.h): ELF machine, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

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

/// Compiles the filter. Longer than [`LONGEST`] it is only where a profile adds thousands of values of its own.
pub fn compile(filter: &Filter) -> BpfProgram {
    let mut draft = Program::default();
    let (native, low) = (draft.label(), draft.label());
    draft.load(ARCH);
    // The numbers below are this architecture's. `int 0x80` and the 32-bit calls have others, and no program here needs them.
    draft.jump(EQUAL, ARCHITECTURE, Some(native), None);
    draft.verdict(Verdict::KillProcess);
    draft.here(native);
    draft.load(NUMBER);
    draft.jump(GREATER_OR_EQUAL, X32, None, Some(low));
    draft.verdict(ENOSYS);
    draft.here(low);
    let absent = Rule::always(ENOSYS);
    draft.tree(&runs(filter, &absent));
    draft.resolve()
}

/// Maximal runs of numbers under the same rule, each with its first; they cover every number below the x32 bit.
fn runs<'a>(filter: &'a Filter, absent: &'a Rule) -> Vec<(u32, &'a Rule)> {
    let mut runs: Vec<(u32, &Rule)> = vec![];
    let mut push = |number, rule| {
        if runs.last().is_none_or(|(_, last)| *last != rule) {
            runs.push((number, rule));
        }
    };
    let mut next = 0;
    for (number, rule) in filter.rules.range(..X32) {
        if next < *number {
            push(next, absent);
        }
        push(*number, rule);
        next = number + 1;
    }
    push(next, absent);
    runs
}

impl Verdict {
    /// SECCOMP_RET_*. The kernel would cut an errno at 4095 as well.
    fn word(self) -> u32 {
        match self {
            Verdict::Allow => 0x7fff_0000,
            Verdict::Errno(errno) => 0x0005_0000 | errno.clamp(0, 4095) as u32,
            Verdict::KillProcess => 0x8000_0000,
        }
    }
}

/// A place to jump to. Jumps go forward only, as the kernel wants.
#[derive(Clone, Copy)]
struct Label(usize);

enum Part {
    Plain(sock_filter),
    /// A test; `None` is the next part.
    Fork {
        code: u16,
        k: u32,
        yes: Option<Label>,
        no: Option<Label>,
    },
    Go(Label),
    Here(Label),
    Return(Verdict),
}

/// A program in the making.
#[derive(Default)]
struct Program {
    parts: Vec<Part>,
    labels: usize,
}

impl Program {
    fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    fn here(&mut self, label: Label) {
        self.parts.push(Part::Here(label));
    }

    fn go(&mut self, label: Label) {
        self.parts.push(Part::Go(label));
    }

    fn jump(&mut self, code: u16, k: u32, yes: Option<Label>, no: Option<Label>) {
        self.parts.push(Part::Fork { code, k, yes, no });
    }

    fn load(&mut self, offset: u32) {
        self.parts.push(Part::Plain(plain(LOAD, offset)));
    }

    fn and(&mut self, mask: u32) {
        if mask != u32::MAX {
            self.parts.push(Part::Plain(plain(AND, mask)));
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.parts.push(Part::Return(verdict));
    }

    fn tree(&mut self, runs: &[(u32, &Rule)]) {
        let (low, high) = runs.split_at(runs.len() / 2);
        match (low, high) {
            ([], [(_, rule)]) => self.rule(rule),
            (_, [(first, _), ..]) => {
                let above = self.label();
                self.jump(GREATER_OR_EQUAL, *first, Some(above), None);
                self.tree(low);
                self.here(above);
                self.tree(high);
            }
            // No run at all: what is not said is refused.
            (_, []) => self.verdict(EPERM),
        }
    }

    fn rule(&mut self, rule: &Rule) {
        for case in &rule.cases {
            let next = self.label();
            for test in &case.tests {
                self.test(test, next);
            }
            self.verdict(case.verdict);
            self.here(next);
        }
        self.verdict(rule.otherwise);
    }

    /// Goes on where the test holds, and to `fail` where not. Both architectures are little-endian: the low half comes first.
    fn test(&mut self, test: &Test, fail: Label) {
        if test.argument > 5 {
            return self.go(fail);
        }
        let low_half = ARGUMENTS + 8 * u32::from(test.argument);
        let halves = (low_half, low_half + 4);
        let pass = self.label();
        match (&test.compare, test.width) {
            (Compare::AnyBit { bits }, Width::Low) => self.any_bit(&[(halves.0, *bits as u32)], pass, fail),
            (Compare::AnyBit { bits }, Width::Full) => {
                self.any_bit(&[(halves.0, *bits as u32), (halves.1, (bits >> 32) as u32)], pass, fail);
            }
            (Compare::OneOf { mask, values }, Width::Low) => self.one_of_low(halves.0, *mask & 0xffff_ffff, values, pass, fail),
            (Compare::OneOf { mask, values }, Width::Full) => self.one_of_full(halves, *mask, values, pass, fail),
            (Compare::Between { low, high }, Width::Low) => self.between_low(halves.0, *low, *high, pass, fail),
            (Compare::Between { low, high }, Width::Full) => self.between_full(halves, *low, *high, pass, fail),
        }
        self.here(pass);
    }

    fn any_bit(&mut self, halves: &[(u32, u32)], pass: Label, fail: Label) {
        for (offset, bits) in halves.iter().filter(|(_, bits)| *bits != 0) {
            self.load(*offset);
            self.jump(ANY_BIT, *bits, Some(pass), None);
        }
        self.go(fail);
    }

    fn one_of_low(&mut self, offset: u32, mask: u64, values: &[u64], pass: Label, fail: Label) {
        self.load(offset);
        self.and(mask as u32);
        // A value with a bit outside the mask is none that the test can see.
        for value in values.iter().filter(|value| *value & !mask == 0) {
            self.jump(EQUAL, *value as u32, Some(pass), None);
        }
        self.go(fail);
    }

    fn one_of_full(&mut self, (low, high): (u32, u32), mask: u64, values: &[u64], pass: Label, fail: Label) {
        for value in values {
            let next = self.label();
            self.load(high);
            self.and((mask >> 32) as u32);
            self.jump(EQUAL, (value >> 32) as u32, None, Some(next));
            self.load(low);
            self.and(mask as u32);
            self.jump(EQUAL, *value as u32, Some(pass), Some(next));
            self.here(next);
        }
        self.go(fail);
    }

    fn between_low(&mut self, offset: u32, low: u64, high: u64, pass: Label, fail: Label) {
        let Ok(low) = u32::try_from(low) else { return self.go(fail) };
        self.load(offset);
        self.jump(GREATER_OR_EQUAL, low, None, Some(fail));
        self.jump(GREATER, u32::try_from(high).unwrap_or(u32::MAX), Some(fail), Some(pass));
    }

    fn between_full(&mut self, (low_half, high_half): (u32, u32), low: u64, high: u64, pass: Label, fail: Label) {
        let enough = self.label();
        self.load(high_half);
        self.jump(GREATER, (low >> 32) as u32, Some(enough), None);
        self.jump(EQUAL, (low >> 32) as u32, None, Some(fail));
        self.load(low_half);
        self.jump(GREATER_OR_EQUAL, low as u32, Some(enough), Some(fail));
        self.here(enough);
        self.load(high_half);
        self.jump(GREATER, (high >> 32) as u32, Some(fail), None);
        self.jump(EQUAL, (high >> 32) as u32, None, Some(pass));
        self.load(low_half);
        self.jump(GREATER, high as u32, Some(fail), Some(pass));
    }

    /// Puts distances for labels, from the end backward: every jump's target is known when the jump is written.
    fn resolve(self) -> BpfProgram {
        let mut tail = Tail::default();
        // Where the program goes on after the part at hand. Every way ends in a verdict, so this first value is never used.
        let mut next = Place::Verdict(EPERM);
        let mut places = vec![next; self.labels];
        for part in self.parts.into_iter().rev() {
            match part {
                Part::Here(label) => places[label.0] = next,
                Part::Go(label) => next = places[label.0],
                Part::Return(verdict) => next = Place::Verdict(verdict),
                Part::Plain(instruction) => {
                    tail.reach(next, 0);
                    next = tail.push(instruction);
                }
                Part::Fork { code, k, yes, no } => {
                    let [yes, no] = [yes, no].map(|label| label.map_or(next, |label| places[label.0]));
                    // jt and jf are bytes. 254, for what the second has written may come between the first and its target.
                    let (yes, no) = (tail.reach(yes, 254), tail.reach(no, 254));
                    let [jt, jf] = [yes, no].map(|place| (tail.backward.len() - place) as u8);
                    next = tail.push(sock_filter { code, jt, jf, k });
                }
            }
        }
        tail.backward.reverse();
        tail.backward
    }
}

/// Where a jump leads: a place, as the length of the program from there to its end, or any instruction that gives this verdict.
#[derive(Clone, Copy)]
enum Place {
    At(usize),
    Verdict(Verdict),
}

/// The end of a program, its last instruction first.
#[derive(Default)]
struct Tail {
    backward: BpfProgram,
    /// The nearest instruction that gives each verdict.
    verdicts: BTreeMap<Verdict, usize>,
}

impl Tail {
    fn push(&mut self, instruction: sock_filter) -> Place {
        self.backward.push(instruction);
        Place::At(self.backward.len())
    }

    /// The place, or where it is further than `most` from the next instruction to be written, one that leads there.
    fn reach(&mut self, place: Place, most: usize) -> usize {
        let known = match place {
            Place::At(place) => Some(place),
            Place::Verdict(verdict) => self.verdicts.get(&verdict).copied(),
        };
        match (known, place) {
            (Some(known), _) if self.backward.len() - known <= most => return known,
            (_, Place::Verdict(verdict)) => {
                self.backward.push(plain(RETURN, verdict.word()));
                self.verdicts.insert(verdict, self.backward.len());
            }
            (_, Place::At(place)) => self.backward.push(plain(JUMP, (self.backward.len() - place) as u32)),
        }
        self.backward.len()
    }
}

fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}
