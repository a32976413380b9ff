//! Whose the files of layers are inside, where root starts the sandbox.

use crate::host::File;
use crate::kernel::idmap::{MountMap, shifted};
use crate::kernel::name::Name;
use crate::policy::identity::Ids;
use crate::policy::mounts::draft::World;
use crate::policy::mounts::draft::bind::{file_system_without_idmap, kernels_own};
use crate::policy::mounts::kinds::{Driver, Layers, Mount};
use crate::policy::mounts::written;
use crate::step::{OutsideOp, Slot};
use crate::text::problem::Problem;
use crate::text::source::Span;

impl World<'_> {
    /// Started by root, the owners in a layer are shown as the sandbox's own ids, each as the id that it
    /// is, and that of its top as the target, where the target may change the tree or the entry says
    /// that it is root's. Else the target's own id on disk is nobody's: it reads what others may.
    pub(super) fn map_layer(
        &mut self,
        slot: Slot,
        (path, layers): (&str, &Layers),
        (source, file): (&str, &File),
        at: Span,
    ) -> Option<MountMap> {
        let Ids { user, group, groups, needs_idmap, reads_all, .. } = self.ids;
        let (said, written) = (layers.words.owner_root, layers.upper.is_some());
        let maps = self.ids.maps.as_ref().filter(|_| *needs_idmap)?;
        // Of an overlay in parts one is reported.
        let whole = self.tree.get(path).and_then(|node| node.whole.as_ref());
        let is_first = whole.is_none() || self.judged.insert(at);
        if *reads_all && !said {
            if written && is_first {
                let path = whole.map_or(path, |whole| whole);
                self.refuse_owners(path, layers, source, at);
            }
            return None;
        }
        let name = self.no_idmap(file);
        // A copy has the owners that the sandbox knows, and the target in the place of the others.
        if name.is_some() && self.is_copied(path, layers) {
            return None;
        }
        let is_roots = (file.uid == 0 || file.gid == 0) && !said;
        // What fuse-overlayfs can read, it lets the target change.
        if is_roots && written && is_first && layers.driver != Driver::Fuse {
            // Of one in parts, the entry is that of the tree.
            let whole = whole.and_then(|whole| Some((whole.as_str(), self.tree.get(whole)?)));
            let (path, mut said) = match whole.map(|(whole, node)| (whole, &node.mount)) {
                Some((whole, Mount::Layers(layers))) => (whole, layers.clone()),
                Some(_) | None => (path, layers.clone()),
            };
            said.words.owner_root = true;
            let line = written::line(path, &Mount::Layers(said));
            let why = format!("its owner or group is the host's root; for that: {line}");
            self.draft.note_less(at, format!("what {source} brings cannot be changed"), &why);
        }
        if let Some(name) = name {
            let (major, minor) = self.host.kernel;
            let message = format!(
                "cannot map the owners of {source}: {name} has no idmapped mounts on Linux \
                 {major}.{minor}"
            );
            if whole.is_some_and(|whole| whole != path) {
                let why = "its owners are shown as nobody's";
                self.draft.note_less(at, message, why);
                return None;
            }
            // What is only read can be read as anybody's.
            if written || said {
                let own = "set identity.host = true, or give uid-map and gid-map the owner's ids";
                let copy = World::copy_instead(path, layers);
                let help =
                    copy.iter().fold(own.to_owned(), |own, copy| format!("{own}; or {copy}"));
                self.draft.problem(Problem::new("mounts::idmap", at, message).help(help));
            }
            return None;
        }
        let stands = !is_roots && (written || said);
        let own: Vec<u32> = groups.iter().copied().chain([*group]).collect();
        let map = MountMap {
            uid: shifted(&maps.uid, &[*user], stands.then_some((file.uid, *user))),
            gid: shifted(&maps.gid, &own, stands.then_some((file.gid, *group))),
        };
        let source = Name::new(source);
        self.draft.outside(OutsideOp::IdMapMount { slot, source, map: map.clone() }, at);
        Some(map)
    }

    /// The file system of a layer whose owners cannot be mapped, or overlayfs that takes no such one.
    pub(in crate::policy::mounts::draft) fn no_idmap(&self, file: &File) -> Option<&'static str> {
        match file_system_without_idmap(file.fs, self.host.kernel) {
            None if self.host.kernel < (5, 19) => Some("overlayfs"),
            None => kernels_own(file.fs),
            name => name,
        }
    }

    /// By a capability of its own the target would read what others keep to themselves.
    fn refuse_owners(&mut self, path: &str, layers: &Layers, source: &str, at: Span) {
        let message = format!(
            "cannot take {source} as a layer: the target keeps a capability over files or ids, and \
             would read in it what its owners keep from others"
        );
        let mut said = layers.clone();
        said.words.owner_root = true;
        let line = written::line(path, &Mount::Layers(said));
        let problem = Problem::new("mounts::owner", at, message);
        self.draft.problem(problem.help(format!("say that it may: {line}")));
    }
}
