//! The directories in which a target expects to write: its home, its working directory and those for
//! temporary files. An ordinary user's overlayfs copies nothing below a directory of another owner's,
//! so that those above are made in the upper.

use super::kinds::{Driver, Layers, Makes};
use super::tree::Tree;
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::idmap::inside;
use crate::language::value::{ancestors, below, join};
use crate::policy::identity::Ids;
use crate::text::gather::Gather;
use std::collections::BTreeSet;

/// Those that every program knows.
pub(crate) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Looks at the directories of layers that lead to what the target expects ([`Host::expected`]).
pub fn look(host: &mut Host, tree: &Tree, look: impl Fn(&str) -> Fact) {
    for (path, node) in tree {
        let Makes::Layers(layers) = node.mount.kind().makes(path) else { continue };
        if layers.upper.is_none() || !matches!(layers.driver, Driver::Auto | Driver::Overlay) {
            continue;
        }
        let tails = tails(&host.expected, tree, path).into_iter();
        for tail in tails.map(str::to_owned).collect::<Vec<_>>() {
            for above in from_the_top(&tail) {
                let places =
                    layers.sources(path).into_iter().rev().map(|source| join(source, above));
                let is_there = places.into_iter().any(|place| {
                    let fact = host.paths.entry(place).or_insert_with_key(|place| look(place));
                    !matches!(fact, Fact::Absent(libc::ENOENT))
                });
                if !is_there {
                    break;
                }
            }
        }
    }
}

/// What the target expects in a merged tree itself, below its top.
fn tails<'h>(expected: &'h [String], tree: &Tree, path: &str) -> Vec<&'h str> {
    let here = expected.iter().filter(|place| tree.over(place).0 == path);
    here.filter_map(|place| below(place, path)).filter(|tail| !tail.is_empty()).collect()
}

/// A path and those above it, each before those in it.
fn from_the_top(tail: &str) -> impl Iterator<Item = &str> {
    ancestors(tail).collect::<Vec<_>>().into_iter().rev()
}

/// The directories below a merged tree's top that are made in its upper, with those above them: the
/// deepest of another owner on each way. `seen` is what the tree has at a path below its top.
pub(super) fn made<'h>(
    (host, ids, tree): (&'h Host, &Ids, &Tree),
    (path, layers): (&str, &Layers),
    seen: impl Fn(&str) -> Option<File>,
) -> BTreeSet<&'h str> {
    // Root's sandbox has the owners of layers, and changes by the modes.
    let Some(maps) = ids.maps.as_ref().filter(|_| host.caller.uid != 0) else {
        return BTreeSet::new();
    };
    let is_plain = |file: &File| file.kind == FileKind::Directory && file.real.is_none();
    let deepest = |tail: &'h str| {
        let mut deepest = None;
        for above in from_the_top(tail) {
            let file = seen(above).filter(is_plain)?;
            if inside(&maps.uid, file.uid).is_none() || inside(&maps.gid, file.gid).is_none() {
                // One that is closed to others is not opened by it.
                (file.mode & 0o001 != 0).then_some(())?;
                deepest = Some(above);
            }
        }
        deepest
    };
    let all: BTreeSet<&str> =
        tails(&host.expected, tree, path).into_iter().filter_map(deepest).gather();
    let is_way = |one: &&str| {
        let is_above = |other: &&str| other != one && below(other, one).is_some();
        let is_copied = |up: &String| below(&join(path, one), up).is_some();
        !all.iter().any(is_above) && !layers.copy_up.iter().any(|up| is_copied(&up.0))
    };
    all.iter().copied().filter(is_way).gather()
}
