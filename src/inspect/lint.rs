//! Warnings of `check` and `plan`: lines that are valid but probably not intended. `run` does
//! without, and nothing here stops it.
//!
//! Pure, as planning is: a profile and the facts of a machine on which [`Host::look_closer`] was
//! asked. A warning whose line has an error already is not reported.

mod capabilities;
mod later;
mod mounts;
mod network;
mod seccomp;

use crate::host::Host;
use crate::host::privileged::{Given, Useless};
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::{Tree, empty};
use crate::policy::namespaces::Choice;
use crate::policy::programs;
use crate::profile::Profile;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{Sources, Span};
use std::collections::BTreeMap;

pub use later::RUN_LATER;
pub(crate) use later::{REPOSITORY, STATES, STOCKADE, there};
pub(crate) use mounts::granted;
pub use mounts::{looked_into, wanted};

/// What a lint looks at.
struct Scene<'a> {
    profile: &'a Profile,
    host: &'a Host,
    choice: Choice,
    /// The entries of `[mounts]`, less those that are left out; empty in a tree that is joined.
    tree: &'a Tree,
}

/// Every lint; each is one function. Their codes have `W` numbers in [`crate::text::explain`].
const LINTS: &[fn(&Scene, &mut Problems)] = &[
    unseen,
    programs_without_effect,
    privilege_without_effect,
    mounts::shadowed,
    mounts::redundant,
    mounts::whole_host,
    mounts::over_overlay,
    mounts::hidden,
    mounts::seen_elsewhere,
    mounts::other_names,
    mounts::unreadable,
    mounts::run_later,
    capabilities::without_effect,
    seccomp::without_effect,
    seccomp::default_of_nothing,
    seccomp::logged,
    seccomp::others_alike,
    network::no_names,
    network::no_server,
];

/// Everything that looks like a mistake, whatever the words of the lines are.
pub fn lint(profile: &Profile, host: &Host, settled: &Settled) -> Problems {
    within(profile, host, settled, |scene, found| LINTS.iter().for_each(|lint| lint(scene, found)))
}

/// What some lints find.
fn within(
    profile: &Profile,
    host: &Host,
    settled: &Settled,
    lints: impl FnOnce(&Scene, &mut Problems),
) -> Problems {
    let net = crate::policy::network::namespace(&profile.network);
    let choice = Choice::new(&profile.namespaces, net, profile.network.mode.at());
    let none = empty();
    let is_joined = choice.of(Kind::Mount).joined().is_some();
    let tree = if is_joined { &none } else { &settled.tree };
    let scene = Scene { profile, host, choice, tree };
    let mut found = Problems::default();
    lints(&scene, &mut found);
    found
}

/// The same, for the profile's author: redundant lines of a built-in profile are not reported. If
/// an entry of the author's makes them redundant, that entry is reported once.
pub(crate) fn lint_of_own_lines(
    profile: &Profile,
    host: &Host,
    settled: &Settled,
    sources: &Sources,
) -> Problems {
    let is_builtin = |at: Span| {
        sources
            .source(at)
            .is_some_and(|source| source.file.is_none() && source.brought.is_somewhere())
    };
    let mut kept = Problems::default();
    let mut needless: BTreeMap<Span, usize> = BTreeMap::new();
    for warning in lint(profile, host, settled) {
        if !warning.code.ends_with("::redundant") || !is_builtin(warning.at) {
            kept.push(warning);
            continue;
        }
        if let Some((wider, _)) = warning.also.first().filter(|(wider, _)| !is_builtin(*wider)) {
            *needless.entry(*wider).or_default() += 1;
        }
    }
    for (at, count) in needless {
        let lines = if count == 1 {
            "what one inherited line grants".to_owned()
        } else {
            format!("what {count} inherited lines grant")
        };
        let text = format!("this grants {lines}, and more");
        kept.push(
            Problem::new("mounts::redundant", at, text)
                .help("leave it out, if those are enough: stockade plan shows the file tree"),
        );
    }
    kept.extend(within(profile, host, settled, |scene, found| {
        mounts::whole_home(scene, sources, found);
    }));
    kept
}

/// The command, its loader and libraries, the working directory and the targets of links that the
/// tree does not show.
fn unseen(scene: &Scene, found: &mut Problems) {
    let all = programs::unseen(&scene.profile.process, scene.host);
    found.extend(
        all.into_iter().map(|unseen| {
            Problem::new(unseen.code, unseen.at, unseen.text).help_maybe(unseen.help)
        }),
    );
}

/// Programs that would be another user's, or have capabilities, where they run outside:
/// no_new_privs is always on, and each mount nosuid.
fn privilege_without_effect(scene: &Scene, found: &mut Problems) {
    let ambient = |cap: &Capability| {
        scene.profile.capabilities.ambient.items.iter().any(|item| item.value == *cap)
    };
    let mut reported = vec![];
    for Useless { at, path, given } in scene
        .host
        .inside
        .iter()
        .flat_map(|inside| &inside.useless)
        .filter(|useless| useless.given != Given::Group)
    {
        let help = match given {
            Given::Capabilities(set) => {
                let missing: Vec<String> = set
                    .each()
                    .filter(|cap| !ambient(cap))
                    .map(|cap| format!("\"{cap}\""))
                    .collect();
                if missing.is_empty() {
                    continue;
                }
                format!(
                    "give them over what is the sandbox's own, in [capabilities]: ambient = [{}]",
                    missing.join(", ")
                )
            }
            _ => "run it outside of the sandbox, before or after".into(),
        };
        if !reported.contains(&path) {
            reported.push(path);
            let text = format!("{given} of {path} has no effect here (no_new_privs)");
            let text = if matches!(given, Given::User) {
                text
            } else {
                text.replacen(" has ", " have ", 1)
            };
            found.push(Problem::new("process::no-privilege", *at, text).help(help));
        }
    }
}

/// Programs that the mounts show already.
fn programs_without_effect(scene: &Scene, found: &mut Problems) {
    for (item, program) in scene.profile.programs.items.iter().zip(&scene.host.programs) {
        if program.pieces.is_empty() && program.lacks.is_empty() && !program.word.is_empty() {
            let text = format!(
                "`{}` adds nothing to `programs`: the mounts show everything that it needs",
                item.value
            );
            found.push(Problem::new("programs::redundant", item.at, text).help("leave it out"));
        }
    }
}
