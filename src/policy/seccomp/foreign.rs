//! The tables of x86 and x32, made from what is decided about the calls of x86_64.

use super::filter::{Case, Compare, Decided, EPERM, Rule, Test, Verdict, Width};
use super::precedence::Words;
use crate::kernel::syscalls::{Abi, BUNDLES, OTHER_ARGUMENTS};
use std::collections::BTreeMap;

/// Every call of the architecture.
pub(super) fn decide(abi: Abi, words: &Words<'_>) -> Vec<Decided> {
    let decide = |(number, call)| {
        let (rule, because) = words.decide(call);
        match abi {
            Abi::X86 => {
                let bundle =
                    BUNDLES.iter().find(|(name, ..)| *name == call && !words.speak_of(call));
                let rule = bundle.map_or_else(
                    || narrow(rule, call),
                    |(_, mask, calls)| unbundle(*mask, calls, words),
                );
                (number, rule, because)
            }
            _ => (number, rule, because),
        }
    };
    abi.known().into_iter().map(decide).collect()
}

/// The rule as it stands for 32-bit registers, of which the kernel sets the upper half to zero.
fn narrow(rule: Rule, call: &str) -> Rule {
    if OTHER_ARGUMENTS.contains(&call) {
        return Rule::always(strictest(&rule));
    }
    let narrow = |test: Test| Test {
        argument: test.argument,
        width: Width::Low,
        compare: narrow_compare(test.compare),
    };
    let case = |case: Case| Case {
        tests: case.tests.into_iter().map(narrow).collect(),
        verdict: case.verdict,
    };
    Rule { cases: rule.cases.into_iter().map(case).collect(), otherwise: rule.otherwise }
}

fn narrow_compare(compare: Compare) -> Compare {
    // Only what 32 bits can hold; of a plain comparison also a number below zero.
    let values = |mask: u64, values: Vec<u64>| -> Vec<u64> {
        let fits = |value: &u64| {
            u32::try_from(*value).is_ok()
                || (mask == u64::MAX && i32::try_from(*value as i64).is_ok())
        };
        values.into_iter().filter(fits).map(|value| value & 0xffff_ffff).collect()
    };
    match compare {
        Compare::OneOf { mask, values: all } => Compare::OneOf { mask, values: values(mask, all) },
        Compare::NoneOf { mask, values: all } => {
            Compare::NoneOf { mask, values: values(mask, all) }
        }
        other => other,
    }
}

/// The verdict that holds where the arguments cannot be looked at: where any of them would be
/// refused, all are.
fn strictest(rule: &Rule) -> Verdict {
    if rule.cases.is_empty() {
        return rule.otherwise;
    }
    let verdicts = rule.cases.iter().map(|case| case.verdict).chain([rule.otherwise]);
    verdicts
        .max_by_key(|verdict| verdict.strictness())
        .filter(|verdict| verdict.refuses())
        .unwrap_or(EPERM)
}

/// The rule of a bundle: each of its calls has its own verdict, and what is not among them is
/// refused.
fn unbundle(mask: u64, calls: &[(u64, &'static str)], words: &Words<'_>) -> Rule {
    let mut verdicts: BTreeMap<Verdict, Vec<u64>> = BTreeMap::new();
    for (number, call) in calls {
        verdicts.entry(strictest(&words.decide(call).0)).or_default().push(*number);
    }
    let case = |(verdict, values)| Case {
        tests: vec![Test::low(0, Compare::OneOf { mask, values })],
        verdict,
    };
    Rule { cases: verdicts.into_iter().map(case).collect(), otherwise: EPERM }
}
