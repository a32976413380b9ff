//! Protections that a target which makes mount namespaces can undo: every entry below a writable
//! bind of the host, and what covers something in layers with an upper.
//!
//! rename(2) refuses a mount point of the caller's own mount namespace alone (is_local_mountpoint
//! of fs/namei.c). From a namespace in which nothing is mounted there, a covered name moves into a
//! new directory, and a mount of that directory alone shows it bare.

use super::super::kinds::{Grant, Makes};
use super::super::tree::NOT_WITH_ROOT;
use super::World;
use crate::kernel::namespace::Kind;
use crate::language::section::Set;
use crate::policy::namespaces::{Namespaces, Nested};
use crate::policy::optional::Protection;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

/// The name in `optional` of what is kept and hidden.
const WORD: &str = "mounts.kept";

/// How many of them a warning names.
const MOST_NAMED: usize = 20;

/// The line by which the target makes mount namespaces.
pub(crate) struct Undone {
    nested: Nested,
    at: Span,
    may_fall: bool,
}

impl Undone {
    /// What the profile says of it.
    pub(crate) fn by(namespaces: &Namespaces, optional: &Set<Protection>) -> Option<Undone> {
        let nested = namespaces.nested.get().filter(|nested| nested.value.mounts())?;
        let may_fall = optional.items.iter().any(|name| name.value == WORD);
        Some(Undone { nested: nested.value, at: nested.at, may_fall })
    }
}

/// An entry that covers something in a writable bind of the host, or in layers with an upper.
pub(super) struct Kept {
    pub(super) path: String,
    pub(super) at: Span,
    pub(super) over: String,
    pub(super) over_at: Span,
}

impl World<'_> {
    /// Whether the entry that is drafted takes anything from what the bind around it grants of
    /// `source`.
    pub(super) fn keeps(&self, path: &str, over: &str, source: &str) -> bool {
        let Some(mount) = &self.current else { return false };
        let around = self.tree.get(over).and_then(|node| node.mount.grant(over));
        match (mount.grant(path), around) {
            // The same place, granted as widely.
            (Some(Grant { written: Some(place), words, .. }), Some(around)) => {
                place != source || (around.words.exec && !words.exec)
            }
            (Some(_) | None, _) => true,
        }
    }

    /// Whether the entry that is drafted covers what the layers around it have at `source`, and the
    /// target can move that away, in the upper. What it writes there is its own in any case: an entry
    /// that shows the same place keeps nothing, and neither does what every root has of its own.
    pub(super) fn covers(&self, path: &str, over: &str, source: &str) -> bool {
        let Some((mount, node)) = self.current.as_ref().zip(self.tree.get(over)) else {
            return false;
        };
        let layers = match node.mount.kind().makes(over) {
            Makes::Layers(layers) => layers,
            // A bind is [`World::keeps`]'s; the others show no tree of the host's.
            Makes::Bind(_)
            | Makes::FileSystem(_)
            | Makes::Devices(_)
            | Makes::Device(_)
            | Makes::Socket(_)
            | Makes::File(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::Cover(_) => return false,
        };
        let of_a_root = over == "/" && NOT_WITH_ROOT.contains(&path.trim_start_matches('/'));
        let is_same = mount.grant(path).is_some_and(|grant| {
            let is_all = grant.topmost == source && layers.sources(over).len() == 1;
            is_all && (grant.words.exec || !layers.words.exec)
        });
        layers.upper.is_some() && !of_a_root && !is_same
    }
}

/// Refuses all of them at once, or skips them.
pub(super) fn settle(kept: Vec<Kept>, undone: Option<Undone>, draft: &mut Draft) {
    let (Some(Undone { nested, at, may_fall }), Some(first)) = (undone, kept.first()) else {
        return;
    };
    let paths: Vec<&str> = kept.iter().map(|kept| kept.path.as_str()).collect();
    if may_fall {
        let named = &paths[..paths.len().min(MOST_NAMED)];
        let more = match paths.len() - named.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let text =
            format!("the target can undo what is kept or hidden at {}{more}", named.join(", "));
        return draft.note_less(at, text, "it makes mount namespaces");
    }
    let more = match paths.len() {
        1 => String::new(),
        2 => ", nor one more entry".to_owned(),
        count => format!(", nor {} more entries", count - 1),
    };
    let message = format!(
        "cannot keep {}{more}: the target may write around it and makes mount namespaces, in which \
         it undoes that",
        first.path
    );
    let help = format!(
        "where the program makes no mounts of its own, leave `mount` out: namespaces.nested = {}; \
         or skip this with a warning: optional = [\"{WORD}\"]",
        nested.less(Kind::Mount)
    );
    draft.problem(
        Problem::new("mounts::kept", first.at, message)
            .also(first.over_at, format!("{} is writable", first.over))
            .also(at, "the target makes mount namespaces, because of this")
            .help(help),
    );
}
