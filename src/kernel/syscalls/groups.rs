//! Groups of system calls under systemd's names, from `profiles/groups.txt`. Read only where a
//! profile names a group.

use crate::kernel::syscalls::known_name;
use crate::text::gather::Gather;
use std::collections::BTreeSet;

const TEXT: &str = include_str!("../../../profiles/groups.txt");

/// The group of all calls, which has no line.
const KNOWN: &str = "@known";

/// The name of every group, with its `@`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    lines().map(|(name, _)| name).filter(|name| name.starts_with('@')).chain([KNOWN])
}

/// The calls in a group and in the groups in it, or `None` where there is no such group.
pub(crate) fn members(group: &str) -> Option<BTreeSet<&'static str>> {
    if group == KNOWN {
        return Some(super::names().gather());
    }
    let mut calls = BTreeSet::new();
    for member in lines().find(|(name, _)| *name == group)?.1 {
        match known_name(member) {
            Some(call) => drop(calls.insert(call)),
            None => calls.extend(members(member)?),
        }
    }
    Some(calls)
}

/// Each line of the file, with its words. An indented line continues the one before it.
fn lines() -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static str>)> {
    let mut rest = TEXT;
    std::iter::from_fn(move || {
        loop {
            let end = rest
                .match_indices('\n')
                .find(|(at, _)| !rest[at + 1..].starts_with(' '))
                .map_or(rest.len(), |(at, _)| at + 1);
            if end == 0 {
                return None;
            }
            let line;
            (line, rest) = rest.split_at(end);
            if let (Some((name, words)), false) = (line.split_once(':'), line.starts_with('#')) {
                return Some((name, words.split_whitespace()));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_in_a_group_or_listed_as_in_none() {
        let grouped: BTreeSet<&str> = names()
            .filter(|name| *name != KNOWN)
            .flat_map(|name| members(name).expect(name))
            .collect();
        let none: BTreeSet<&str> =
            lines().find(|(name, _)| *name == "none").expect("the line").1.collect();
        assert!(grouped.is_disjoint(&none));
        let all: BTreeSet<&str> = super::super::names().collect();
        assert_eq!(grouped.union(&none).copied().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn groups_name_calls_and_groups_in_the_order_of_the_alphabet() {
        let mut seen = BTreeSet::new();
        for (name, words) in lines() {
            assert!(seen.insert(name), "{name} has two lines");
            let words: Vec<&str> = words.collect();
            let (groups, calls): (Vec<&str>, Vec<&str>) =
                words.iter().copied().partition(|word| word.starts_with('@'));
            assert!(
                groups.is_sorted() && calls.is_sorted() && words.starts_with(&groups),
                "{name}"
            );
            assert!(calls.iter().all(|call| known_name(call).is_some()), "{name}");
        }
        assert!(seen.len() > 25 && members("@nonsense").is_none());
    }
}
