//! Words of `[seccomp]` that decide nothing: stronger words are about the same calls, or another of
//! the same list is.

use crate::inspect::lint::Scene;
use crate::kernel::syscalls;
use crate::language::read::Read;
use crate::language::value::Written;
use crate::policy::seccomp::{Base, Calls, Condition, Is, Otherwise, Spec, is_particular};
use crate::text::gather::Gather;
use crate::text::problem::{Problem, Problems};
use crate::text::source::At;
use std::collections::BTreeSet;

/// `deny` beats `rules`, rules beat `allow`.
pub(super) fn without_effect(scene: &Scene, found: &mut Problems) {
    let seccomp = &scene.profile.seccomp;
    let denied = |call: &&str| {
        seccomp.deny.items.iter().find(|calls| calls.members().contains(call)).map(|calls| calls.at)
    };
    for (name, spec) in seccomp.rules.iter() {
        let Ok(calls) = Calls::from_text(name.value) else { continue };
        let own = |call: &&str| {
            seccomp
                .rules
                .map
                .get_key_value(*call)
                .filter(|_| calls.is_group())
                .map(|(_, entry)| entry.key)
        };
        let members = calls.members();
        let stronger = |call: &&str| denied(call).or_else(|| own(call));
        if let Some(first) = members.first().and_then(stronger)
            && members.iter().all(|call| stronger(call).is_some())
        {
            let text = format!(
                "the rule for `{}` never decides: stronger words cover everything that it names",
                name.value
            );
            found.push(
                Problem::new("seccomp::never", name.at.or(spec.at), text)
                    .also(first, "such as this")
                    .help("leave one of the two out"),
            );
        }
    }
    for (_, spec) in seccomp.rules.iter() {
        for Condition { argument, is } in
            spec.cases.iter().flat_map(|(conditions, _)| &conditions.value)
        {
            if cannot_hold(is) {
                let text =
                    "this condition never holds: what is compared has bits that `mask` takes away";
                found.push(
                    Problem::new("seccomp::never", argument.at, text)
                        .help("give `mask` those bits, or leave them out of `is`"),
                );
            }
        }
    }
    for calls in &seccomp.allow.items {
        let members = calls.members();
        let ruled = |call: &&str| {
            seccomp
                .rules
                .map
                .get(*call)
                .filter(|entry| entry.value.as_ref().is_some_and(decides))
                .map(|entry| entry.key)
        };
        let stronger = |call: &&str| denied(call).or_else(|| ruled(call));
        if let Some(first) = members.first().and_then(stronger)
            && members.iter().all(|call| stronger(call).is_some())
        {
            let text = format!(
                "`{}` in `allow` never decides: stronger words cover everything that it names",
                calls.value
            );
            found.push(
                Problem::new("seccomp::never", calls.at, text)
                    .also(first, "such as this")
                    .help("leave one of the two out"),
            );
        } else if let Some(wider) = seccomp.allow.items.iter().find(|wider| has(wider, calls)) {
            let text =
                format!("`{}` adds nothing to `allow`: `{}` has it", calls.value, wider.value);
            found.push(
                Problem::new("seccomp::redundant", calls.at, text)
                    .also(wider.at, "this")
                    .help("leave it out"),
            );
        }
    }
}

/// `default` beside a policy that refuses nothing.
pub(super) fn default_of_nothing(scene: &Scene, found: &mut Problems) {
    let seccomp = &scene.profile.seccomp;
    if let (Some(default), Some(policy)) = (seccomp.default.get(), seccomp.policy.get())
        && policy.value == Base::Off
    {
        let text = "`default` never decides: the policy `off` refuses nothing";
        found.push(
            Problem::new("seccomp::never", default.at, text)
                .also(policy.at, "this policy")
                .help("leave one of the two out"),
        );
    }
}

/// Calls that the policy would refuse are allowed and logged.
pub(super) fn logged(scene: &Scene, found: &mut Problems) {
    let seccomp = &scene.profile.seccomp;
    let is_off = seccomp.policy.get().is_some_and(|policy| policy.value == Base::Off);
    if let Some(default) = seccomp.default.get()
        && !default.value.0.refuses()
        && !is_off
    {
        let text = "what the policy refuses is let through, and written into the kernel's log";
        found.push(
            Problem::new("seccomp::logged", default.at, text)
                .help("that is for trials: for code that nobody trusts leave this line out"),
        );
    }
}

/// A call that is refused by its name, and another that does the same and is open.
pub(super) fn others_alike(scene: &Scene, found: &mut Problems) {
    let seccomp = &scene.profile.seccomp;
    let denied: BTreeSet<&str> =
        seccomp.deny.items.iter().flat_map(|calls| calls.members()).gather();
    let allowed = || seccomp.allow.items.iter().flat_map(|calls| calls.members());
    let is_open = |call: &str| match (seccomp.import.get(), seccomp.policy.get()) {
        (Some(_), _) => true,
        (None, Some(At { value: Base::None, .. })) => allowed().any(|open| open == call),
        (None, Some(At { value: Base::Off, .. })) => true,
        (None, None | Some(At { value: Base::Default, .. })) => {
            syscalls::ALLOWED.iter().any(|(_, calls)| calls.contains(&call))
                || allowed().any(|open| open == call)
        }
    };
    let left = |call: &str| -> Vec<&'static str> {
        let others = syscalls::ALIKE.iter().filter(|family| family.contains(&call));
        let others: BTreeSet<&str> = others.flat_map(|family| family.iter().copied()).gather();
        let is_left = |other: &&str| {
            *other != call
                && !denied.contains(other)
                && !seccomp.rules.map.contains_key(*other)
                && is_open(other)
                && syscalls::number(other).is_some()
        };
        others.into_iter().filter(is_left).collect()
    };
    let names = |calls: &[&str], and: &str| {
        calls.iter().map(|call| format!("`{call}`")).collect::<Vec<_>>().join(and)
    };
    let mut reported: BTreeSet<Vec<&str>> = BTreeSet::new();
    for calls in seccomp.deny.items.iter().filter(|calls| !calls.is_group()) {
        let others = left(&calls.value.0);
        if others.is_empty() || !reported.insert(others.clone()) {
            continue;
        }
        let own = seccomp.deny.items.iter().map(|calls| calls.value.0.as_str());
        let list: Vec<String> =
            own.chain(others.iter().copied()).map(|call| format!("\"{call}\"")).collect();
        let text = format!(
            "`deny` of `{}` leaves what does the same: {}",
            calls.value,
            names(&others, ", ")
        );
        found.push(
            Problem::new("seccomp::other-calls", calls.at, text)
                .help(format!("in [seccomp]: deny = [{}]", list.join(", "))),
        );
    }
    for (name, spec) in seccomp.rules.iter() {
        let refuses = spec.value.cases.is_empty()
            && matches!(spec.value.otherwise, Some(Otherwise::Said(verdict)) if verdict.refuses());
        let others = if refuses { left(name.value) } else { vec![] };
        if others.is_empty() || !reported.insert(others.clone()) {
            continue;
        }
        let text = format!(
            "the rule for `{}` leaves what does the same: {}",
            name.value,
            names(&others, ", ")
        );
        let lines: Vec<String> =
            others.iter().map(|call| format!("{call} = {}", spec.value.spell())).collect();
        found.push(
            Problem::new("seccomp::other-calls", name.at, text)
                .help(format!("below it, in [seccomp.rules]:\n{}", lines.join("\n"))),
        );
    }
}

/// Whether a group allows everything that another word of the list allows. A call that is named
/// itself is allowed with all arguments; through a group, only as far as the default policy allows
/// it.
fn has(wider: &Calls, calls: &Calls) -> bool {
    let whole = calls.is_group() || !calls.members().iter().any(|call| is_particular(call));
    wider.is_group()
        && wider != calls
        && whole
        && calls.members().is_subset(&wider.members())
        && !calls.members().is_empty()
}

/// Whether no argument can be so.
fn cannot_hold(is: &Is) -> bool {
    matches!(is, Is::OneOf(Some(mask), values) if values.iter().all(|value| value & !mask != 0))
}

/// Whether a rule leaves nothing to `allow`.
fn decides(spec: &At<Spec>) -> bool {
    match spec.otherwise {
        Some(otherwise) => otherwise != Otherwise::Policy,
        None => !spec.cases.iter().all(|(_, verdict)| verdict.refuses()),
    }
}
