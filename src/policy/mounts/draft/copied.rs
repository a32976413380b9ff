//! Layers that are copied: where overlayfs cannot merge them, and where the profile says so.

use super::super::kinds::{Driver, Layers, Mount, Upper};
use super::super::written;
use super::World;
use super::upper::refuses_upper;
use crate::language::value::Room;
use crate::text::problem::{Note, Problem};
use crate::text::source::Span;

impl World<'_> {
    /// Why the layers of an entry are copied, if they are. What forbids that is a problem.
    pub(super) fn copied(&mut self, path: &str, layers: &Layers, at: Span) -> Option<String> {
        let because = match (layers.driver, self.unmerged(path, layers)) {
            (Driver::Copy, _) => "driver = \"copy\"".to_owned(),
            (Driver::Auto | Driver::Overlay | Driver::Fuse, None) | (Driver::Fuse, _) => {
                return None;
            }
            (Driver::Overlay, Some(why)) => {
                self.refuse(path, &why, World::copy_instead(path, layers), at);
                return None;
            }
            (Driver::Auto, Some(why)) => {
                if let Some(Upper::Kept(_)) = layers.upper {
                    let help = "of a copy nothing is kept: let what is written be thrown away";
                    self.refuse(path, &why, Some(help.into()), at);
                    return None;
                }
                let note = Note::new(at, format!("the layers of {path} are copied"));
                self.draft.notes.push(note.because(&why));
                why
            }
        };
        if layers.upper.is_some() {
            self.copied.insert(path.to_owned());
        }
        Some(because)
    }

    /// The help to let the layers of an entry be copied. The host's whole tree is too large, and of a
    /// copy nothing is kept.
    pub(super) fn copy_instead(path: &str, layers: &Layers) -> Option<String> {
        let is_whole = layers.sources(path).contains(&"/");
        if is_whole || matches!(layers.upper, Some(Upper::Kept(_))) {
            return None;
        }
        let copy = Mount::Layers(layers.with_driver(Driver::Copy));
        Some(format!("let them be copied: {}", written::line(path, &copy)))
    }

    fn refuse(&mut self, path: &str, why: &str, help: Option<String>, at: Span) {
        let message = format!("cannot merge the layers of {path}: {why}");
        self.draft.problem(Problem::new("mounts::layers", at, message).help_maybe(help));
    }

    /// Why overlayfs cannot merge the layers of an entry here, if it cannot.
    fn unmerged(&self, path: &str, layers: &Layers) -> Option<String> {
        if self.host.no_overlayfs {
            return Some("this kernel has no overlayfs".into());
        }
        let sources = layers.sources(path);
        let mut refused = sources
            .into_iter()
            .filter_map(|source| Some(self.host.unlayered.get(source)?.words(source)));
        refused.next().or_else(|| self.no_upper(layers)).or_else(|| self.no_map(path, layers))
    }

    /// Why root's sandbox cannot have the owners of a layer right in an overlay, where a copy does as
    /// well.
    fn no_map(&self, path: &str, layers: &Layers) -> Option<String> {
        let needs_map = self.ids.needs_idmap && self.ids.maps.is_some();
        let is_changed = matches!(layers.upper, Some(Upper::Discard | Upper::DiscardIn(_)));
        let is_part = self.tree.get(path).is_some_and(|node| node.whole.is_some());
        let sources = layers.sources(path);
        let is_free = layers.driver == Driver::Auto;
        // All of the host is too much for a copy.
        if !needs_map || !is_free || !is_changed || is_part || sources.contains(&"/") {
            return None;
        }
        let (major, minor) = self.host.kernel;
        let of = |source| {
            let name = self.no_idmap(self.host.present(source)?)?;
            Some(format!(
                "{source} lies on {name}, which has no idmapped mounts on Linux {major}.{minor}"
            ))
        };
        sources.into_iter().find_map(of)
    }

    /// Why overlayfs takes no upper in the directory of an entry, where a copy can be made there.
    fn no_upper(&self, layers: &Layers) -> Option<String> {
        let Some(Upper::DiscardIn(directory)) = &layers.upper else { return None };
        let found = self.host.uppers.get(&**directory)?;
        let name = refuses_upper(found.fs, self.host.kernel)?;
        ["overlayfs", "tmpfs", "ramfs"]
            .contains(&name)
            .then(|| format!("{directory} lies on {name}, where overlayfs takes no upper"))
    }

    /// Whether the layers of an entry are copied.
    pub(super) fn is_copied(&self, path: &str, layers: &Layers) -> bool {
        match layers.driver {
            Driver::Copy => true,
            Driver::Overlay | Driver::Fuse => false,
            Driver::Auto => self.unmerged(path, layers).is_some(),
        }
    }

    /// Whether one of the parts of an overlay is copied.
    pub(super) fn has_copied_part(&self, whole: Option<&str>) -> bool {
        self.tree.iter().any(|(part, node)| {
            let is_part = whole.is_some() && node.whole.as_deref() == whole;
            matches!(&node.mount, Mount::Layers(layers) if is_part && self.is_copied(part, layers))
        })
    }

    /// Whether overlayfs has nothing to do with the layers of an entry, nor with their upper.
    pub(super) fn is_apart(&self, path: &str, layers: &Layers) -> bool {
        layers.driver == Driver::Fuse || self.is_copied(path, layers)
    }

    /// How much the target may write into a copy that is in memory, and how many files and
    /// directories.
    pub(super) fn room(&self, layers: &Layers) -> Option<(Room, u64)> {
        match layers.upper {
            Some(Upper::Discard) => Some(layers.room()),
            None => Some((Room::Bytes(0), 0)),
            Some(Upper::DiscardIn(_) | Upper::Kept(_)) => None,
        }
    }

    /// Whether pid 1 and the target have the caller's ids and groups, and no others, so that what the
    /// one can open the other may read.
    pub(super) fn is_as_caller(&self) -> bool {
        self.host.caller.uid != 0
            && self.ids.single
            && self.ids.maps.as_ref().is_some_and(|maps| maps.deny_setgroups)
    }
}
