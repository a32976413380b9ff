//! The filter as plain data: of every call of every granted architecture what becomes of it. It
//! decides nothing by itself.

use crate::kernel::syscalls::{Abi, NUMBERS};
use crate::text::source::Span;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The result of a call. The order is the kernel's: of several filters the greatest wins
/// (seccomp(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The kernel does it.
    Allow,
    /// The kernel does it, and writes it into its log.
    Log,
    /// A tracer that asked for it decides (PTRACE_O_TRACESECCOMP); without one the call is ENOSYS.
    Trace,
    /// The kernel does nothing; the call fails with [`Verdict::NOTIFIED`], and is reported.
    Notify,
    /// The kernel does nothing and gives this errno; the filter cannot give one above 4095.
    Errno(i32),
    /// The thread gets a SIGSYS that it may handle.
    Trap,
    KillThread,
    /// The process dies of SIGSYS, all its threads with it.
    KillProcess,
}

/// Refused: the call is known, and the sandbox does not have it.
pub(super) const EPERM: Verdict = Verdict::Errno(libc::EPERM);
/// Absent: what a kernel without the call says.
pub(super) const ENOSYS: Verdict = Verdict::Errno(libc::ENOSYS);

impl Verdict {
    /// The errno of [`Verdict::Notify`].
    pub const NOTIFIED: i32 = libc::EPERM;

    /// Whether the kernel does not do the call.
    pub fn refuses(self) -> bool {
        self >= Verdict::Notify
    }

    /// Whether the kernel does the call, also without a tracer. A tracer may let [`Verdict::Trace`]
    /// through, so it is neither this nor refused.
    pub fn permits(self) -> bool {
        self <= Verdict::Log
    }

    /// The order of strictness. Of two errnos neither is stricter; the lower one counts, so that
    /// the order of a profile's lines does not.
    pub fn strictness(self) -> (u8, i32) {
        match self {
            Verdict::Allow => (0, 0),
            Verdict::Log => (1, 0),
            Verdict::Trace => (2, 0),
            Verdict::Notify => (3, 0),
            Verdict::Errno(errno) => (4, -errno),
            Verdict::Trap => (5, 0),
            Verdict::KillThread => (6, 0),
            Verdict::KillProcess => (7, 0),
        }
    }
}

/// How much of an argument the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// The low 32 bits: `int`, `unsigned int`, `umode_t`, and where the kernel cuts a `long`
    /// itself.
    Low,
    /// All 64 bits: `long`, `size_t`, pointers.
    Full,
}

/// The comparison of an argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compare {
    /// At least one of these bits is set.
    AnyBit { bits: u64 },
    /// What the mask leaves is one of these.
    OneOf { mask: u64, values: Vec<u64> },
    /// What the mask leaves is none of these.
    NoneOf { mask: u64, values: Vec<u64> },
    /// It lies between these, both included, as a number without sign.
    Between { low: u64, high: u64 },
}

/// One look at one argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Test {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// How much of it.
    pub width: Width,
    pub compare: Compare,
}

/// A verdict for the calls whose arguments pass every test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Case {
    /// All of them must hold.
    pub tests: Vec<Test>,
    pub verdict: Verdict,
}

/// What is done with one system call: the first case that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule {
    pub cases: Vec<Case>,
    pub otherwise: Verdict,
}

impl Test {
    pub(super) fn low(argument: u8, compare: Compare) -> Test {
        Test { argument, width: Width::Low, compare }
    }

    pub(super) fn full(argument: u8, compare: Compare) -> Test {
        Test { argument, width: Width::Full, compare }
    }

    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let Some(value) = arguments.get(usize::from(self.argument)) else { return false };
        let value = if self.width == Width::Low { value & 0xffff_ffff } else { *value };
        match &self.compare {
            Compare::AnyBit { bits } => value & bits != 0,
            Compare::OneOf { mask, values } => values.contains(&(value & mask)),
            Compare::NoneOf { mask, values } => !values.contains(&(value & mask)),
            Compare::Between { low, high } => (*low..=*high).contains(&value),
        }
    }
}

impl Compare {
    pub(super) fn one_of(values: &[u64]) -> Compare {
        Compare::OneOf { mask: u64::MAX, values: values.to_vec() }
    }
}

impl Rule {
    /// The same verdict whatever the arguments.
    pub fn always(otherwise: Verdict) -> Rule {
        Rule { cases: vec![], otherwise }
    }

    /// One more case, after those before it.
    #[must_use]
    pub fn case(mut self, tests: impl Into<Vec<Test>>, verdict: Verdict) -> Rule {
        self.cases.push(Case { tests: tests.into(), verdict });
        self
    }

    /// The same refusals, and this verdict for what the rule allows.
    pub(super) fn passing(mut self, verdict: Verdict) -> Rule {
        let verdicts =
            self.cases.iter_mut().map(|case| &mut case.verdict).chain([&mut self.otherwise]);
        verdicts.filter(|had| **had == Verdict::Allow).for_each(|had| *had = verdict);
        self
    }

    /// The verdict for a call with these arguments.
    pub fn judge(&self, arguments: &[u64; 6]) -> Verdict {
        let case =
            self.cases.iter().find(|case| case.tests.iter().all(|test| test.holds(arguments)));
        case.map_or(self.otherwise, |case| case.verdict)
    }

    /// Adds a refusal, before all that is less strict.
    pub(super) fn refuse(&mut self, case: Case) {
        if self.cases.is_empty() && self.otherwise.refuses() {
            return;
        }
        let strictness = case.verdict.strictness();
        let place = self
            .cases
            .iter()
            .position(|had| had.verdict.strictness() < strictness)
            .unwrap_or(self.cases.len());
        if case.tests.is_empty() {
            self.cases.truncate(place);
            self.otherwise = case.verdict;
        } else {
            self.cases.insert(place, case);
        }
    }
}

/// Which of the profile's words decided about a call, in the order of precedence, the last first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `policy`, or what is imported in its place.
    Policy,
    /// `families`.
    Families,
    /// `allow`.
    Allow,
    /// `rules`.
    Rules,
    /// `deny`.
    Deny,
}

/// By number, which word of the profile decided, and its place.
type Because = BTreeMap<u32, (Source, Span)>;

/// The calls of one architecture.
#[derive(Debug, Clone)]
pub struct Table {
    pub abi: Abi,
    /// By number, the place of its rule among `rules`; 0 is for numbers that this version does not
    /// know.
    numbers: Cow<'static, [u16]>,
    rules: Vec<Rule>,
    /// What the profile itself says, with the place of the word.
    because: Because,
}

/// Tables are equal where they do the same, whatever words of a profile they came from.
impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        (self.abi, &self.numbers, &self.rules) == (other.abi, &other.numbers, &other.rules)
    }
}

impl Eq for Table {}

/// The filter: a table for each granted architecture. A number that this version does not know is a
/// newer kernel's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The calls of this build's architecture.
    pub native: Table,
    /// The others that the profile grants.
    pub others: Vec<Table>,
}

/// A call with its number, its rule, and the word of the profile that decided about it.
pub(super) type Decided = (u32, Rule, Option<(Source, Span)>);

impl Table {
    /// A table whose numbers are marked already.
    pub(super) fn marked(numbers: Cow<'static, [u16]>, rules: Vec<Rule>) -> Table {
        Table { abi: Abi::Native, numbers, rules, because: BTreeMap::new() }
    }

    /// A table of decisions, call by call.
    pub(super) fn of(
        abi: Abi,
        unknown: Verdict,
        decided: impl IntoIterator<Item = Decided>,
    ) -> Table {
        let mut numbers = vec![0; NUMBERS];
        let mut places: BTreeMap<Rule, u16> = BTreeMap::new();
        let mut rules = vec![Rule::always(unknown)];
        let mut because = BTreeMap::new();
        for (number, rule, source) in decided {
            let next = rules.len() as u16;
            let place = *places.entry(rule).or_insert_with_key(|rule| {
                rules.push(rule.clone());
                next
            });
            numbers[number as usize] = place;
            because.extend(source.map(|source| (number, source)));
        }
        Table { abi, numbers: Cow::Owned(numbers), rules, because }
    }

    /// All of its parts.
    pub(crate) fn parts(&self) -> (Abi, &[u16], &[Rule], &Because) {
        (self.abi, &self.numbers, &self.rules, &self.because)
    }

    /// A table of such parts, where they go together.
    #[cfg_attr(face_alone, allow(dead_code, reason = "for what reads a plan back"))]
    pub(crate) fn of_parts(
        abi: Abi,
        numbers: Vec<u16>,
        rules: Vec<Rule>,
        because: Because,
    ) -> Option<Table> {
        let is_whole = numbers.len() == NUMBERS
            && !rules.is_empty()
            && numbers.iter().all(|place| usize::from(*place) < rules.len());
        is_whole.then_some(Table { abi, numbers: Cow::Owned(numbers), rules, because })
    }

    /// The rule of a number, or `None` where this version does not know the call.
    pub fn rule(&self, number: u32) -> Option<&Rule> {
        let place = self.numbers.get(number as usize).filter(|place| **place != 0)?;
        self.rules.get(usize::from(*place))
    }

    /// The verdict for calls that this version does not know.
    pub fn unknown(&self) -> Verdict {
        self.rules[0].otherwise
    }

    /// Number and rule of every call that this version knows.
    pub fn rules(&self) -> impl Iterator<Item = (u32, &Rule)> {
        (0..).take(self.numbers.len()).filter_map(|number| Some((number, self.rule(number)?)))
    }

    /// The verdict for a call.
    pub fn judge(&self, number: u32, arguments: &[u64; 6]) -> Verdict {
        self.rule(number).map_or(self.unknown(), |rule| rule.judge(arguments))
    }

    /// Which word of the profile decided about a number, where it was not the policy.
    pub fn because(&self, number: u32) -> Option<(Source, Span)> {
        self.because.get(&number).copied()
    }

    /// Every place of the profile that decided, with the numbers that it decided about.
    pub fn sources(&self) -> BTreeMap<(Source, Span), Vec<u32>> {
        let mut sources: BTreeMap<(Source, Span), Vec<u32>> = BTreeMap::new();
        self.because
            .iter()
            .for_each(|(number, source)| sources.entry(*source).or_default().push(*number));
        sources
    }

    /// Maximal runs of numbers under the same rule, each with its first; they cover every number.
    pub(super) fn runs(&self) -> Vec<(u32, u16)> {
        let mut runs: Vec<(u32, u16)> = Vec::with_capacity(128);
        for (number, place) in self
            .numbers
            .iter()
            .enumerate()
            .map(|(number, place)| (number as u32, *place))
            .chain([(NUMBERS as u32, 0)])
        {
            if runs.last().is_none_or(|(_, last)| {
                *last != place && self.rules[usize::from(*last)] != self.rules[usize::from(place)]
            }) {
                runs.push((number, place));
            }
        }
        runs
    }

    /// Every rule, also that of numbers that this version does not know.
    pub(super) fn distinct(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn at(&self, place: u16) -> &Rule {
        &self.rules[usize::from(place)]
    }

    /// One more case of a call, before all others.
    pub(super) fn put_first(&mut self, number: u32, case: Case) {
        let mut rule = self.rule(number).cloned().unwrap_or_else(|| Rule::always(self.unknown()));
        rule.cases.insert(0, case);
        if let Some(place) = self.numbers.to_mut().get_mut(number as usize) {
            *place = self.rules.len() as u16;
            self.rules.push(rule);
        }
    }
}

impl Filter {
    /// The verdict for a call by the architecture number of this build, whose numbers include those
    /// of x32.
    pub fn judge(&self, number: u32, arguments: &[u64; 6]) -> Verdict {
        if number < Abi::X32_BIT {
            return self.native.judge(number, arguments);
        }
        self.table(Abi::X32).map_or(ENOSYS, |table| table.judge(number & !Abi::X32_BIT, arguments))
    }

    /// The rule of a native call, or `None` where this version does not know it.
    pub fn rule(&self, number: u32) -> Option<&Rule> {
        self.native.rule(number)
    }

    /// The table of an architecture, where the sandbox has it.
    pub fn table(&self, abi: Abi) -> Option<&Table> {
        std::iter::once(&self.native).chain(&self.others).find(|table| table.abi == abi)
    }
}
