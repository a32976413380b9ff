//! `[mounts]`: the file tree, by the path inside. The deepest path wins, whatever the order of the
//! file.
//!
//! [`kinds`] are what an entry can be, a file for each, [`written`] is how one is read, [`pattern`]
//! and [`glob`] are keys with stars, [`tree`] says what lies on what, [`settle`] which of it is
//! left in the end, [`links`] keeps what an entry at a symbolic link means, [`follow`] finds what
//! one leads to, [`expected`] where a target expects to write, [`state`] where states are, [`sockets`] are what a bind says of sockets below it, [`beside`] keeps the profile
//! itself from the target, [`mixed`] keeps the host's system out of another root, [`place`] is for help that names the right line, [`mod@draft`] makes
//! steps of it, [`rights`] makes rules of Landlock of it where the sandbox has no tree of its own,
//! [`checks`] refuses grants that are too wide.

mod beside;
pub(crate) mod checks;
pub(crate) use checks::is_of_the_system;
pub(crate) mod draft;
pub(crate) mod expected;
pub(crate) mod follow;
pub(crate) mod glob;
pub(crate) mod kinds;
pub(crate) mod links;
pub(crate) mod mixed;
mod names;
pub(crate) mod pattern;
pub(crate) mod place;
pub(crate) mod planted;
mod rights;
pub(crate) mod settle;
pub(crate) mod sockets;
mod state;
pub(crate) mod system;
pub(crate) mod tree;
pub(crate) mod written;

use crate::language::section::{Entries, Entry};
use crate::text::problem::{Problem, Problems};
pub(crate) use beside::writable as profiles_beside;
pub(crate) use draft::{Drafted, Opened, SIZE, Undone, What, draft, open};
pub use expected::look as look_at_expected;
pub(crate) use kinds::NODES as DEV_NODES;
use kinds::{Further, Mount};
#[cfg(not(face_alone))]
pub use kinds::{KINDS, PROC_KEYS};
pub(crate) use rights::{Ground, SOCKETS_ABI, draft as draft_rights};
pub use settle::wanted;
pub use tree::bound_root;
pub(crate) use tree::hidden;

/// `[mounts]`: entries by the path inside; `false` removes an inherited one.
pub(crate) type Mounts = Entries<Mount, Further>;

/// What is wrong with the keys of an entry, and not with what it is. Some have the name of a key.
const OF_KEYS: &[&str] = &[
    "mounts::broad",
    "mounts::idmap",
    "mounts::kept",
    "mounts::overlay",
    "mounts::owner",
    "mounts::sockets",
    "mounts::upper",
];

/// Shows, with what is wrong with an entry, the lines of stronger layers that changed keys of it.
pub(crate) fn show_changes(mounts: &Mounts, problems: &mut Problems) {
    let changed = |problem: Problem| {
        let is_of = |entry: &&Entry<Mount, Further>| {
            let value = entry.value.as_ref().filter(|_| !entry.amended.is_empty());
            entry.key == problem.at || value.is_some_and(|value| value.at.meets(problem.at))
        };
        let entry = mounts.map.values().find(is_of);
        let Some((entry, key)) = entry.zip(problem.code.strip_prefix("mounts::")) else {
            return problem;
        };
        let Some(last) = entry.amended.last() else { return problem };
        let said = entry.said.get(key).copied();
        // The entry's name comes before the key, in the text of the same layer.
        let own = said.and_then(|key| entry.amended.iter().filter(|at| **at <= key).max());
        let own = own.unwrap_or(last);
        let others = entry.amended.iter().filter(|at| *at != own);
        let (first, at) = (problem.at, said.unwrap_or(*own));
        // Else it is about a part of the entry that it points at.
        let is_of_keys = OF_KEYS.contains(&problem.code) && problem.at == entry.key;
        let problem = match is_of_keys {
            true => Problem { at, ..problem }.also(first, "this is the entry that it changes"),
            false => problem.also(at, "its keys are changed here"),
        };
        others.fold(problem, |problem, at| problem.also(*at, "its keys are changed here"))
    };
    if mounts.map.values().any(|entry| !entry.amended.is_empty()) {
        let all = std::mem::take(problems);
        problems.extend(all.into_iter().map(changed));
    }
}

/// How many entries a profile may have, once its layers are merged and its patterns are expanded.
pub(crate) use crate::language::fill::MOST_ENTRIES;
