//! Layers that fuse-overlayfs shows, where the profile names it.

use super::super::kinds::{Driver, Layers, Makes};
use super::{PLAIN, World};
use crate::host::layering::{NoServer, Part};
use crate::kernel::attrs::Attrs;
use crate::kernel::name::Name;
use crate::step::{Slot, Stage, TreeOp};
use crate::text::problem::Problem;
use crate::text::source::Span;

/// What shows layers as one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// overlayfs merges them.
    Merged,
    /// They are copied, for this reason.
    Copied(String),
    /// fuse-overlayfs does.
    Served,
}

impl World<'_> {
    /// What shows the layers of an entry. What forbids that is a problem.
    pub(super) fn shown(&mut self, path: &str, layers: &Layers, at: Span) -> Shown {
        if layers.driver == Driver::Fuse {
            self.check_server(path, layers, at);
            if layers.upper.is_some() {
                self.copied.insert(path.to_owned());
            }
            return Shown::Served;
        }
        self.copied(path, layers, at).map_or(Shown::Merged, Shown::Copied)
    }

    /// What forbids that fuse-overlayfs shows the layers of an entry.
    fn check_server(&mut self, path: &str, layers: &Layers, at: Span) {
        let whole = self.tree.get(path).and_then(|node| node.whole.clone());
        let shown = whole.as_deref().unwrap_or(path);
        let refuse = |why: &str, help: Option<String>| {
            let message = format!("cannot let fuse-overlayfs show the layers of {shown}: {why}");
            Problem::new("mounts::layers", at, message).help_maybe(help)
        };
        let copy = World::copy_instead(path, layers);
        let problem = match &self.host.server {
            // The parts are all of one line.
            _ if whole.is_some() => {
                let help = "name a directory that has no mounts below it";
                let problem =
                    refuse("there are mounts below it, and it shows one", Some(help.into()));
                Some(problem).filter(|_| self.judged.insert(at))
            }
            Some(Err(NoServer { why, help })) => {
                let both: Vec<String> = help.iter().chain(&copy).cloned().collect();
                Some(refuse(why, (!both.is_empty()).then(|| both.join("; or "))))
            }
            // The server has the target's ids, and may read no more than it.
            Some(Ok(_)) | None if self.host.caller.uid != 0 && !self.is_as_caller() => {
                let own = "leave uid-map and gid-map out of [identity]".to_owned();
                let help = copy.iter().fold(own, |own, copy| format!("{own}, or {copy}"));
                Some(refuse("the target has other ids than the caller's", Some(help)))
            }
            Some(Ok(_)) | None => None,
        };
        let mut problems: Vec<Problem> = problem.into_iter().collect();
        // Whiteouts are the program's own business: by names as it gives them to its own, a target made
        // what they hid show again (fuse-overlayfs 1.10).
        if layers.upper.is_some() && whole.is_none() {
            for (_, inside, node) in self.below(path) {
                let Makes::Cover(_) = node.mount.kind().makes(inside) else { continue };
                let message = format!(
                    "cannot hide {inside}: the target can make it show again, where fuse-overlayfs \
                     shows the layers of {shown}"
                );
                let problem =
                    Problem::new("mounts::hide", node.at, message).help_maybe(copy.clone());
                let entry = self.tree.get(path).map_or(at, |node| node.at);
                problems.push(problem.also(entry, "it shows them because of this"));
            }
        }
        problems.into_iter().for_each(|problem| self.draft.problem(problem));
    }

    /// What the server of an entry needs of the host, opened, with its names there.
    pub(super) fn server(&mut self, at: Span) -> Vec<(Slot, Name)> {
        let Some(Ok(parts)) = &self.host.server else { return vec![] };
        let attrs = PLAIN.and(Attrs::READ_ONLY);
        let mut files = vec![];
        for Part { name, source, inode } in parts {
            let slot = self.draft.slot();
            let source = Name::new(source);
            let op = TreeOp::OpenTree { slot, source, inode: *inode, recursive: false, attrs };
            self.draft.step(Stage::Sources, op, at);
            files.push((slot, Name::new(name)));
        }
        files
    }
}
