//! Words of `[seccomp]` that decide nothing: stronger words are about the same calls, or another of
//! the same list is.

use crate::inspect::lint::Scene;
use crate::language::value::Written;
use crate::policy::seccomp::{Calls, Condition, Is, Otherwise, Spec, is_particular};
use crate::text::problem::{Problem, Problems};
use crate::text::source::At;

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

/// Whether a group opens all that another word of the list does. Named by itself, a call is opened
/// whole; by a group, as far as the default policy has it.
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
