//! Overlays that are shown in parts: one for each largest directory without mounts.

use super::Place;
use crate::host::parts::Left;
use crate::language::value::{AbsolutePath, Mode, below};
use crate::policy::mounts::draft::World;
use crate::policy::mounts::kinds::{Layers, Makes, Mount, Tmpfs};
use crate::policy::mounts::tree::{Node, in_parts};
use crate::policy::mounts::written;
use crate::text::paths::some_of;
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::source::Span;
use crate::tree::{Ground as Stood, HasGround};

/// Why what is another owner's cannot be changed.
const OF_OTHERS: &str = "overlayfs copies nothing of another owner's for a change (EOVERFLOW)";

impl World<'_> {
    /// The memory at the top of an overlay that is shown in parts, or that has no layer.
    pub(in crate::policy::mounts::draft) fn top(&mut self, path: &str, layers: &Layers, at: Span) {
        self.check_parts(path, layers, at);
        let source = layers.sources(path).first().copied();
        let mode = source.and_then(|source| self.host.present(source));
        let mode = mode.map(|file| Mode(file.mode & 0o7777));
        let top = Mount::Tmpfs(Tmpfs { mode, ..layers.empty() });
        if let Makes::FileSystem(new) = top.kind().makes(path) {
            self.file_system(path, new, at);
        }
    }

    /// What forbids the upper that the parts of an overlay share.
    pub(in crate::policy::mounts::draft) fn check_parts(
        &mut self,
        path: &str,
        layers: &Layers,
        at: Span,
    ) {
        let parts = self.tree.iter().filter(|(_, node)| node.whole.as_deref() == Some(path));
        // Of a directory that is made anew, the top as well, nothing is a layer.
        let merged = parts.filter(|(_, node)| matches!(node.ground(), Stood::Host(_)));
        let lower: Vec<Place> = merged.map(|(part, _)| self.place(part)).collect();
        let before = self.draft.problems.iter().count();
        self.check_upper(path, layers, &lower, at);
        if self.draft.problems.iter().count() > before {
            self.not_merged(path);
        }
    }

    /// Says of the overlays in parts what does not come along, and what cannot be changed.
    pub(in crate::policy::mounts::draft) fn note_parts(&mut self) {
        for (path, node) in self.tree {
            let Mount::Layers(layers) = &node.mount else { continue };
            // A copy is the target's own, and what is not merged is reported.
            let has_upper = layers.upper.is_some() && !self.is_apart(path, layers);
            let is_merged = has_upper && !self.unmerged.contains(path);
            let copied = match node.whole.is_none() || node.whole.as_ref() == Some(path) {
                true if is_merged => self.opened_up(path, layers, node.at),
                true | false => vec![],
            };
            let Some(parts) = in_parts(path, layers, &self.host.brought) else {
                if node.whole.is_none() {
                    self.note_owner(path, layers, &copied, node.at);
                }
                continue;
            };
            if let Some((unseen, errno)) = &parts.unseen {
                let message =
                    format!("cannot show {path} in parts: {unseen}: {}", errno_words(*errno));
                self.draft.problem(Problem::new("mounts::layers", node.at, message));
            }
            if parts.too_many {
                let message = format!("cannot show {path} in parts: it has more than 400");
                let help = "name the directories in it that are needed";
                let problem = Problem::new("mounts::layers", node.at, message);
                self.draft.problem(problem.help(help));
            }
            let left = |is: fn(&Left) -> bool| {
                let paths = parts.left.iter().filter(|left| is(left)).map(|left| &*left.path);
                let paths: Vec<&str> = paths.collect();
                let are = if paths.len() == 1 { "is" } else { "are" };
                some_of(&paths).map(|some| format!("{some} {are}"))
            };
            if let Some(some) = left(|left| left.kernel.is_some()) {
                let note = Note::new(node.at, format!("{some} left out"));
                self.draft.notes.push(note.because("the files there are the kernel's"));
            }
            if let Some(some) = left(|left| left.kernel.is_none()) {
                let why = "the caller cannot look there";
                self.draft.note_less(node.at, format!("{some} left out"), why);
            }
            self.note_owners(path, layers, &copied, node.at);
        }
    }

    /// Whether others' files in a tree that the target writes to stay as they are.
    fn has_owners(&self, path: &str, layers: &Layers) -> bool {
        layers.upper.is_some() && !self.is_apart(path, layers) && self.host.caller.uid != 0
    }

    /// The same as [`World::note_owners`] of one overlay, whose top says whose it is.
    fn note_owner(&mut self, path: &str, layers: &Layers, copied: &[&str], at: Span) {
        let top = layers.sources(path).last().and_then(|top| self.host.present(top));
        if !self.has_owners(path, layers) || top.is_none_or(|file| file.uid == self.host.caller.uid)
        {
            return;
        }
        let more = some_of(copied).map_or_else(
            || {
                let mut up = layers.at(path);
                up.copy_up = vec![AbsolutePath(path.to_owned())];
                let line = written::line(path, &Mount::Layers(up));
                format!("; in directories below it, too, with {line}")
            },
            |some| format!(", and in directories of {some}"),
        );
        let text =
            format!("what other users own stays as it is, but for names directly in {path}{more}");
        self.draft.notes.push(Note::new(at, text).because(OF_OTHERS));
    }

    /// A user's overlay copies nothing of another owner's for a change (EOVERFLOW).
    fn note_owners(&mut self, path: &str, layers: &Layers, copied: &[&str], at: Span) {
        if !self.has_owners(path, layers) {
            return;
        }
        let of_others = |(part, node): &(&String, &Node)| {
            let is_part = node.whole.as_deref() == Some(path);
            let is_merged = matches!(node.ground(), Stood::Host(stack) if stack.is_merged());
            let file = self.host.present(part);
            is_part && is_merged && file.is_some_and(|file| file.uid != self.host.caller.uid)
        };
        let found = self.tree.iter().filter(of_others).map(|(part, _)| part.as_str());
        // Its owner alone may make names there, or pass through.
        let is_closed =
            |part: &&str| self.host.present(part).is_some_and(|file| file.mode & 0o011 == 0);
        let (closed, found): (Vec<&str>, Vec<&str>) = found.partition(is_closed);
        let made = self.changeable.iter().map(String::as_str);
        let mut found: Vec<&str> =
            found.into_iter().chain(made.filter(|made| below(made, path).is_some())).collect();
        found.sort_unstable();
        if let Some(some) = some_of(&found) {
            let copied = some_of(copied);
            let copied =
                copied.map_or(String::new(), |some| format!(", and in directories of {some}"));
            let text = format!(
                "what other users own stays as it is, but for names directly in {some}{copied}"
            );
            // True of every user's, and so not repeated by each run.
            self.draft.notes.push(Note::new(at, text).because(OF_OTHERS));
        }
        if let Some(some) = some_of(&closed) {
            let text = format!("closed to the target as to its caller: {some}");
            self.draft.notes.push(Note::new(at, text).because("their owners alone may look there"));
        }
    }
}
