//! The program against the plain reading of the filter, against seccompiler's program, and against
//! the kernel.

mod foreign;
mod import;
mod kernel;
mod notify;
mod policy;
mod precedence;
mod sections;

use super::default::default;
use super::*;
use crate::kernel::namespace::Kind;
use crate::kernel::syscalls::{ALLOWED, ARCHITECTURE, Abi, I386};
use crate::policy::namespaces::Nested;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use std::collections::BTreeMap;

const NO_NEEDS: Needs = Needs {
    nested: Nested::NONE,
    deny_set_id: false,
    deny_file_capabilities: false,
    target_is_init: false,
    core_guard: false,
    foreign_pids: false,
    foreign_ipc: false,
    ports: false,
};

pub(super) const NEEDS: [Needs; 6] = [
    NO_NEEDS,
    Needs { nested: Nested::ALL, ..NO_NEEDS },
    Needs { deny_set_id: true, foreign_pids: true, foreign_ipc: true, ..NO_NEEDS },
    Needs { target_is_init: true, core_guard: true, ..NO_NEEDS },
    Needs {
        nested: Nested::ALL,
        deny_set_id: true,
        deny_file_capabilities: true,
        target_is_init: true,
        core_guard: true,
        ports: true,
        ..NO_NEEDS
    },
    Needs { nested: Nested::of(&[Kind::User, Kind::Pid, Kind::Net]), ..NO_NEEDS },
];

/// Classic BPF as seccomp(2) runs it, over struct seccomp_data. A read or jump out of bounds
/// panics.
fn interpret(program: &[sock_filter], arch: u32, number: u32, arguments: &[u64; 6]) -> u32 {
    let mut data = vec![number, arch, 0, 0];
    data.extend(arguments.iter().flat_map(|argument| [*argument as u32, (argument >> 32) as u32]));
    let (mut a, mut pc) = (0u32, 0usize);
    loop {
        let sock_filter { code, jt, jf, k } = &program[pc];
        pc += 1;
        let holds = match code {
            0x20 => {
                assert_eq!(k % 4, 0);
                a = data[*k as usize / 4];
                continue;
            }
            0x54 => {
                a &= k;
                continue;
            }
            0x05 => {
                pc += *k as usize;
                continue;
            }
            0x06 => return *k,
            0x15 => a == *k,
            0x25 => a > *k,
            0x35 => a >= *k,
            0x45 => a & k != 0,
            other => panic!("opcode {other:#x}"),
        };
        pc += usize::from(if holds { *jt } else { *jf });
    }
}

/// xorshift64, for a test that is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Numbers near those of the tests, and the same with random high bits.
    fn argument(&mut self, near: &[u64]) -> u64 {
        let value = match self.below(4) {
            0 => self.below(64),
            1 => 1 << self.below(64),
            2 => self.roll(),
            _ => near
                .get(self.below(near.len().max(1) as u64) as usize)
                .map_or(0, |value| value.wrapping_add(self.below(3)).wrapping_sub(1)),
        };
        if self.below(2) == 0 { value } else { value | self.roll() << 32 }
    }
}

fn numbers_in(rule: &Rule) -> Vec<u64> {
    let tests = rule.cases.iter().flat_map(|case| &case.tests);
    tests
        .flat_map(|test| match &test.compare {
            Compare::AnyBit { bits } => vec![*bits],
            Compare::OneOf { values, .. } | Compare::NoneOf { values, .. } => values.clone(),
            Compare::Between { low, high } => vec![*low, *high],
        })
        .collect()
}

/// The verdict of the kernel's program, over every number, the architectures, and samples of
/// arguments near those that the rules name.
fn assert_same(filter: &Filter, dice: &mut Dice, samples: usize) {
    let program = compile(filter);
    let tables = [
        (ARCHITECTURE, 0, Abi::Native),
        (ARCHITECTURE, Abi::X32_BIT, Abi::X32),
        (I386, 0, Abi::X86),
    ];
    for (arch, bit, abi) in tables {
        let table = filter.table(abi);
        for number in (0..=600).chain([Abi::X32_BIT - 1]) {
            let rule = table.and_then(|table| table.rule(number));
            let near = rule.map_or(vec![], numbers_in);
            let samples = if rule.is_some_and(|rule| !rule.cases.is_empty()) { samples } else { 3 };
            for _ in 0..samples {
                // The kernel gives a filter the registers of a 32-bit program with nothing in their
                // upper halves.
                let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&near))
                    .map(|value| if abi == Abi::X86 { value & 0xffff_ffff } else { value });
                let absent = if abi == Abi::X86 { Verdict::KillProcess } else { ENOSYS };
                let expected = table.map_or(absent, |table| table.judge(number, &arguments));
                let is = interpret(&program, arch, number | bit, &arguments);
                assert_eq!(
                    is,
                    expected.word(),
                    "{number} of {abi:?} {arguments:#x?} {}",
                    rule.map_or(String::new(), Rule::to_string)
                );
                if abi != Abi::X86 {
                    assert_eq!(filter.judge(number | bit, &arguments), expected);
                }
            }
        }
    }
    // AUDIT_ARCH_ARM, none, this one without __AUDIT_ARCH_LE, and i386 where it is not granted.
    let foreign = [0x4000_0028, 0, ARCHITECTURE & !0x4000_0000, I386];
    for arch in foreign.into_iter().filter(|arch| *arch != I386 || filter.table(Abi::X86).is_none())
    {
        for number in 0..=600 {
            assert_eq!(
                interpret(&program, arch, number, &[0; 6]),
                Verdict::KillProcess.word(),
                "{number} of {arch:#x}"
            );
        }
    }
}

/// A filter of the native calls alone.
fn filter_of(rules: BTreeMap<u32, Rule>) -> Filter {
    Filter {
        native: Table::of(
            Abi::Native,
            ENOSYS,
            rules.into_iter().map(|(number, rule)| (number, rule, None)),
        ),
        others: vec![],
    }
}

#[test]
fn programs_of_the_default_policy_read_as_their_filters() {
    let mut dice = Dice(0x5eed);
    for needs in NEEDS {
        let filter = default(&needs);
        let length = compile(&filter).len();
        assert!((100..260).contains(&length), "{needs:?}: {length} instructions");
        assert_same(&filter, &mut dice, 2000);
    }
}

#[test]
fn programs_of_invented_filters_read_as_their_filters() {
    let mut dice = Dice(0xd1ce);
    for round in 0..60 {
        let verdicts = [
            Verdict::Allow,
            EPERM,
            ENOSYS,
            Verdict::KillProcess,
            Verdict::KillThread,
            Verdict::Log,
            Verdict::Trap,
            Verdict::Trace,
            Verdict::Notify,
            Verdict::Errno(0),
        ];
        let verdict = |dice: &mut Dice| verdicts[dice.below(10) as usize];
        let compare = |dice: &mut Dice| match dice.below(4) {
            0 => Compare::AnyBit { bits: dice.argument(&[]) },
            sort @ (1 | 2) => {
                let mask = if dice.below(2) == 0 { u64::MAX } else { dice.argument(&[]) };
                // Hundreds of values make jumps that do not fit into a byte.
                let count = if round % 20 == 0 { dice.below(600) } else { dice.below(5) };
                let values = (0..count).map(|_| dice.argument(&[])).collect();
                if sort == 1 {
                    Compare::OneOf { mask, values }
                } else {
                    Compare::NoneOf { mask, values }
                }
            }
            _ => Compare::Between { low: dice.argument(&[]), high: dice.argument(&[]) },
        };
        let mut rules = BTreeMap::new();
        for _ in 0..dice.below(40) {
            let mut rule = Rule::always(verdict(&mut dice));
            for _ in 0..dice.below(4) {
                let tests: Vec<Test> = (0..dice.below(4))
                    .map(|_| {
                        let width = if dice.below(2) == 0 { Width::Low } else { Width::Full };
                        Test { argument: dice.below(3) as u8, width, compare: compare(&mut dice) }
                    })
                    .collect();
                rule = rule.case(tests, verdict(&mut dice));
            }
            rules.insert(dice.below(100) as u32, rule);
        }
        assert_same(&filter_of(rules), &mut dice, 60);
    }
}

fn their_program(list: BTreeMap<i64, Vec<SeccompRule>>, mismatch: SeccompAction) -> BpfProgram {
    let native = std::env::consts::ARCH.try_into().expect("seccompiler knows this architecture");
    SeccompFilter::new(list, mismatch, SeccompAction::Allow, native)
        .expect("a filter")
        .try_into()
        .expect("a program")
}

#[test]
fn a_plain_allow_list_has_the_verdicts_of_seccompiler() {
    let numbers: Vec<u32> = ALLOWED
        .iter()
        .flat_map(|(_, calls)| *calls)
        .filter_map(|call| Abi::Native.number(call))
        .collect();
    let ours = compile(&filter_of(
        numbers.iter().map(|number| (*number, Rule::always(Verdict::Allow))).collect(),
    ));
    let list = numbers.iter().map(|number| (i64::from(*number), vec![])).collect();
    let theirs = their_program(list, SeccompAction::Errno(libc::ENOSYS as u32));
    for number in (0..1000).chain((0..1000).map(|number| number | Abi::X32_BIT)) {
        for arch in [ARCHITECTURE, I386] {
            let verdicts =
                [&ours, &theirs].map(|program| interpret(program, arch, number, &[0; 6]));
            assert_eq!(verdicts[0], verdicts[1], "{number} of {arch:#x}");
        }
    }
}

/// The tests that seccompiler's conditions can say: of every invented rule both programs give the
/// same.
#[test]
fn invented_conditions_have_the_verdicts_of_seccompiler() {
    let mut dice = Dice(0xacc0);
    for _ in 0..60 {
        let (mut rules, mut list) = (BTreeMap::new(), BTreeMap::new());
        for number in 0..40 {
            let (mut rule, mut theirs) = (Rule::always(ENOSYS), vec![]);
            for _ in 0..=dice.below(2) {
                let (tests, conditions): (Vec<Test>, Vec<SeccompCondition>) =
                    (0..=dice.below(3)).map(|_| condition_pair(&mut dice)).unzip();
                rule = rule.case(tests, Verdict::Allow);
                theirs.push(SeccompRule::new(conditions).expect("a rule"));
            }
            rules.insert(number, rule);
            list.insert(i64::from(number), theirs);
        }
        let filter = filter_of(rules);
        let (ours, theirs) =
            (compile(&filter), their_program(list, SeccompAction::Errno(libc::ENOSYS as u32)));
        for number in 0..41 {
            let near = filter.rule(number).map_or(vec![], numbers_in);
            for _ in 0..100 {
                let arguments: [u64; 6] = std::array::from_fn(|_| dice.argument(&near));
                let verdicts = [&ours, &theirs]
                    .map(|program| interpret(program, ARCHITECTURE, number, &arguments));
                assert_eq!(
                    verdicts[0],
                    verdicts[1],
                    "{number} {arguments:#x?} {:?}",
                    filter.rule(number)
                );
            }
        }
    }
}

fn condition_pair(dice: &mut Dice) -> (Test, SeccompCondition) {
    let (argument, low) = (dice.below(6) as u8, dice.below(2) == 0);
    let mut number = || if low { dice.argument(&[]) & 0xffff_ffff } else { dice.argument(&[]) };
    let (value, mask) = (number(), number());
    let top = if low { u64::from(u32::MAX) } else { u64::MAX };
    let (compare, operator) = match dice.below(7) {
        0 => (Compare::OneOf { mask: u64::MAX, values: vec![value] }, SeccompCmpOp::Eq),
        1 => (Compare::NoneOf { mask: u64::MAX, values: vec![value] }, SeccompCmpOp::Ne),
        2 => (Compare::Between { low: value, high: top }, SeccompCmpOp::Ge),
        3 => (Compare::Between { low: 0, high: value }, SeccompCmpOp::Le),
        4 if value < top => (Compare::Between { low: value + 1, high: top }, SeccompCmpOp::Gt),
        5 if value > 0 => (Compare::Between { low: 0, high: value - 1 }, SeccompCmpOp::Lt),
        // seccompiler takes from the value what the mask does not have.
        _ => (Compare::OneOf { mask, values: vec![value & mask] }, SeccompCmpOp::MaskedEq(mask)),
    };
    let (width, length) = if low {
        (Width::Low, SeccompCmpArgLen::Dword)
    } else {
        (Width::Full, SeccompCmpArgLen::Qword)
    };
    (
        Test { argument, width, compare },
        SeccompCondition::new(argument, length, operator, value).expect("a condition"),
    )
}
