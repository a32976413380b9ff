//! What is merged: the layers that are there, their owners where root starts the sandbox, and the
//! tmpfs for what the target writes.

mod checks;
mod expected;
mod own;
mod owners;
mod parts;

pub(super) use checks::{Lies, MOST_IN_HELP, Place};

use super::super::kinds::{Layers, Mount};
use super::super::written;
use super::served::Shown;
use super::{PLAIN as PLAIN_ATTRS, World};
use crate::host::File;
use crate::kernel::attrs::Attrs;
use crate::kernel::name::Name;
use crate::language::value::{Mode, parent};
use crate::step::{Ground, Owned, TreeOp};
use crate::text::source::Span;

/// Directories of stockade's that are nothing but the way to something.
const PLAIN: Owned = Owned { mode: Mode(0o755), owner: None };

impl World<'_> {
    /// Takes note of an entry that has a problem: what is in its tree is not known, so that entries
    /// below it are not judged.
    fn not_merged(&mut self, path: &str) {
        let whole = self.tree.get(path).and_then(|node| node.whole.clone());
        self.unmerged.extend(whole);
        self.unmerged.insert(path.to_owned());
    }

    /// Whether a path lies in the tree of such an entry.
    pub(super) fn is_in_unmerged(&self, path: &str) -> bool {
        let (over, node) = self.tree.over(parent(path));
        self.unmerged.contains(over)
            || node.whole.as_ref().is_some_and(|whole| self.unmerged.contains(whole))
    }

    pub(super) fn layers(&mut self, path: &str, layers: &Layers, at: Span) {
        let before = self.draft.problems.iter().count();
        let sources = layers.sources(path);
        let found: Vec<(&str, File)> = sources
            .into_iter()
            .filter_map(|source| Some((source, self.layer(path, layers, source, at)?)))
            .collect();
        let all_may_be = self.draft.problems.iter().count() == before;
        let places = self.check_layers(path, layers, (&found, all_may_be), at);
        let shown = self.shown(path, layers, at);
        if self.tree.get(path).and_then(|node| node.whole.as_ref()).is_none_or(|top| top == path) {
            self.check_upper(path, layers, &places, at);
        }
        self.check_writers((path, layers), &found, at);
        if self.draft.problems.iter().count() > before {
            return self.not_merged(path);
        }
        let ground = match path {
            "/" => Ground::Own,
            path => match self.site(path, true, at) {
                Some(site) => site.ground,
                None => return,
            },
        };
        let attrs = PLAIN_ATTRS.and(Attrs::READ_ONLY);
        let (mut slots, mut maps) = (vec![], vec![]);
        for (source, file) in &found {
            let slot = self.open(source, file, false, attrs, at);
            maps.push(self.map_layer(slot, (path, layers), (source, file), at));
            // overlayfs takes no detached mount, and a copy or a server needs no other.
            if shown == Shown::Merged {
                self.step(TreeOp::Lay { slot, source: Name::new(source) }, at);
            }
            slots.insert(0, slot);
        }
        if maps.iter().all(Option::is_some) {
            self.mapped.insert(path.to_owned());
        }
        // Without an upper that of the mask is the mode of the merged tree's top.
        let top = found.last().zip(maps.last());
        let top = top.map_or(PLAIN, |((_, file), map)| self.like(file, map.as_ref()));
        let Some((mask, lowest)) = self.own_layers((path, layers), (&found, &maps), top, at) else {
            return self.not_merged(path);
        };
        // A server has the target's ids, and no power over what is another's.
        let own = Owned { mode: Mode(0o700), owner: None };
        let above = if shown == Shown::Served { own } else { top };
        let upper = self.upper(path, layers, above, at);
        if let Some(upper) = upper.as_ref().filter(|_| shown == Shown::Merged) {
            self.copy_up(path, layers, (mask, &slots, lowest), upper, at);
            self.expected((path, layers, &found), (mask, &slots, lowest), upper, at);
        }
        let attrs = layers.attrs();
        if layers.upper.is_some() && layers.words.exec {
            self.out.executable.push((Name::new(path), at));
        }
        if let Some(kept) = layers.with_lost() {
            let line = written::line(path, &Mount::Layers(kept));
            let text = format!(
                "the target cannot write to {path}: the entry replaces the inherited one whole, its \
                 upper as well; to keep that: {line}"
            );
            self.draft.note(at, text);
        }
        let rights = layers.rights().within(self.ruled);
        let (path, layers) = (Name::new(path), (slots, layers));
        let op = match (shown, upper) {
            (Shown::Served, upper) => {
                let (root, files) = (self.draft.slot(), self.server(at));
                let owner = (self.ids.user, self.ids.group);
                let layers = layers.0;
                TreeOp::Serve {
                    path,
                    mask,
                    layers,
                    lowest,
                    upper,
                    top: top.mode,
                    root,
                    files,
                    owner,
                    attrs,
                    ground,
                    rights,
                }
            }
            (Shown::Copied(because), Some(upper)) => {
                let (slots, layers) = layers;
                let room = self.room(layers);
                let as_caller = self.is_as_caller();
                TreeOp::CopyLayers {
                    path,
                    mask,
                    layers: slots,
                    lowest,
                    upper,
                    room,
                    as_caller,
                    attrs,
                    ground,
                    rights,
                    because,
                }
            }
            (_, upper) => {
                TreeOp::Merge { path, mask, layers: layers.0, lowest, upper, attrs, ground, rights }
            }
        };
        self.step(op, at);
    }
}
