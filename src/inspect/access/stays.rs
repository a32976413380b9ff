//! What stays as it is of trees that the target may otherwise change: overlayfs copies nothing of an
//! owner for a change that the user namespace lacks (EOVERFLOW).

use super::World;
use super::facts::HostFs;
use super::path::{Walker, is_written_on_top};
use crate::host::FileKind;
use crate::language::value::{below, join};
use crate::tree::Ground;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};

/// How many directories are looked at.
const MOST: usize = 2_000;

/// The directories that stay, of all trees.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stays {
    pub directories: Vec<In>,
    /// Whether more was there than is looked at.
    pub cut: bool,
}

/// Those in one directory, whose own names can be changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct In {
    pub path: String,
    /// Whether all directories in it are among them.
    pub each: bool,
    pub names: Vec<String>,
}

/// Looks at the trees of an ordinary user's sandbox, wide before deep. Root's has the owners.
pub(crate) fn stays(world: &World<'_>, host_fs: &HostFs) -> Stays {
    let mut stays = Stays::default();
    if world.plan.root {
        return stays;
    }
    let walker = Walker::new(world, host_fs);
    let tops = world.tree.iter().filter(|(_, entry)| is_written_on_top(entry));
    let mut queue: VecDeque<String> = tops.map(|(path, _)| path.clone()).collect();
    let mut left = MOST;
    while let Some(path) = queue.pop_front() {
        let mut found = In { path, each: true, names: vec![] };
        for name in names(world, host_fs, &found.path) {
            let child = join(&found.path, &format!("/{name}"));
            // What is an entry by itself is in a line of its own.
            if world.tree.get(&child).is_some() {
                continue;
            }
            let Some(next) = left.checked_sub(1) else {
                (stays.cut, found.each) = (true, false);
                break;
            };
            left = next;
            let walked = walker.walk(&child);
            let walked = walked.ok().filter(|walk| walk.missing.is_empty());
            let Some(thing) = walked.and_then(|mut walk| walk.way.pop()) else { continue };
            if thing.path != child || thing.kind != FileKind::Directory {
                continue;
            }
            if thing.fixed || thing.owner.0.is_none() || thing.owner.1.is_none() {
                found.names.push(name);
            } else {
                found.each = false;
                queue.push_back(child);
            }
        }
        if !found.names.is_empty() {
            stays.directories.push(found);
        }
    }
    stays.directories.sort_by(|one, other| one.path.cmp(&other.path));
    stays
}

/// The names of directories in one of merged layers.
fn names(world: &World<'_>, host_fs: &HostFs, path: &str) -> BTreeSet<String> {
    let Some((over, entry)) = world.shown(path) else { return BTreeSet::new() };
    match &entry.ground {
        Ground::Host(stack) if stack.is_copied().is_none() && !stack.is_served() => {
            let tail = below(path, over).unwrap_or_default();
            let places = stack.topmost_first().map(|source| join(&source.path, tail));
            places.flat_map(|place| (host_fs.directories)(&place)).collect()
        }
        Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same => BTreeSet::new(),
    }
}
