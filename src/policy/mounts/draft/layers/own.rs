//! The layers of stockade's: what is hidden lies above the others, mount points below them.

use super::PLAIN;
use crate::host::{Fact, File, FileKind};
use crate::kernel::idmap::{MountMap, inside};
use crate::kernel::name::Name;
use crate::language::value::{Mode, ancestors, below, join, parent};
use crate::policy::mounts::draft::World;
use crate::policy::mounts::kinds::{Layers, MOST, Makes, Missing};
use crate::policy::mounts::tree::Node;
use crate::step::{InLayer, Owned, Slot, TreeOp};
use crate::text::problem::Problem;
use crate::text::source::Span;
use std::collections::BTreeMap;

/// What a layer of stockade's has, by the path below its top, with the lines that ask for it.
type Own = BTreeMap<String, (InLayer, Span)>;

impl World<'_> {
    /// The layers of stockade's above and below the others, where there are any.
    pub(super) fn own_layers(
        &mut self,
        (path, layers): (&str, &Layers),
        (found, maps): (&[(&str, File)], &[Option<MountMap>]),
        top: Owned,
        at: Span,
    ) -> Option<(Option<Slot>, Option<Slot>)> {
        let (points, hidden) = (self.mount_points(path, found), self.hidden(path, found, maps));
        let mask = (!hidden.is_empty()).then(|| self.draft.slot());
        // A single one is a layer with an upper alone.
        let single = if layers.upper.is_some() { 1 } else { 2 };
        let is_needed = !points.is_empty() || found.len() + usize::from(mask.is_some()) < single;
        let lowest = is_needed.then(|| self.draft.slot());
        let count = found.len() + mask.iter().chain(&lowest).count();
        if count > MOST {
            let message = format!(
                "cannot merge the layers of {path}: with those for what is hidden and mounted there \
                 they are {count}, and the kernel merges {MOST}"
            );
            let help = "merge some of them into one directory";
            self.draft.problem(Problem::new("mounts::layers", at, message).help(help));
            return None;
        }
        if let Some(slot) = lowest {
            self.step(TreeOp::OwnLayer { slot, top: PLAIN }, at);
            for (tail, (what, at)) in points {
                self.step(TreeOp::InLayer { slot, path: Name::new(&tail), what }, at);
                self.in_layers.insert(join(path, &tail));
            }
        }
        if let Some(slot) = mask {
            self.step(TreeOp::OwnLayer { slot, top }, at);
            for (tail, (what, at)) in &hidden {
                if *what == InLayer::Whiteout {
                    self.in_layers.insert(join(path, tail));
                }
                let (path, what) = (Name::new(tail), *what);
                self.step(TreeOp::InLayer { slot, path, what }, *at);
            }
        }
        Some((mask, lowest))
    }

    /// The mount points of entries below, where no layer has them, and the directories above them: the
    /// path below the merged tree's top, whether it is a directory, and the entry's line.
    fn mount_points(&self, path: &str, found: &[(&str, File)]) -> Own {
        let mut made = Own::new();
        for (tail, inside, node) in self.below(path) {
            let Some(directory) = self.mounts_directory(inside, node) else { continue };
            if self.seen(found, tail).is_some() {
                continue;
            }
            // Below a link or a file of a layer's nothing of stockade's is seen.
            let is_way = |file: &File| file.kind == FileKind::Directory && file.real.is_none();
            let is_closed =
                |above| matches!(self.seen(found, above), Some(Ok(file)) if !is_way(file));
            if ancestors(parent(tail)).any(is_closed) {
                continue;
            }
            let plain = InLayer::Directory(PLAIN);
            let what = if directory { plain } else { InLayer::File };
            made.insert(tail.to_owned(), (what, node.at));
            // What a layer has of these is seen in their place.
            for above in ancestors(parent(tail)) {
                made.entry(above.to_owned()).or_insert((plain, node.at));
            }
        }
        made
    }

    /// The names that entries hide, and the directories above them, with the modes that these have. A
    /// name is hidden whether or not a layer has it now. One that is a link, or that lies behind one,
    /// is not: what it leads to would still be seen, and [`World::hide`] refuses the entry.
    fn hidden(&self, path: &str, found: &[(&str, File)], maps: &[Option<MountMap>]) -> Own {
        let mut made = Own::new();
        for (tail, inside, node) in self.below(path) {
            let Makes::Cover(_) = node.mount.kind().makes(inside) else { continue };
            let is_link =
                |file: &File| matches!(file.kind, FileKind::Link(_)) || file.real.is_some();
            if matches!(self.seen(found, tail), Some(Ok(file)) if is_link(file)) {
                continue;
            }
            // Without a directory above it there is nothing to hide.
            let directory = |above| match self.seen(found, above)? {
                Ok(file) if file.kind == FileKind::Directory && file.real.is_none() => {
                    let nth = self.nth(found, above)?;
                    Some((above, self.like(file, maps.get(nth)?.as_ref())))
                }
                // What the caller may not look at the target may not, either.
                Err(libc::EACCES) => Some((above, Owned { mode: Mode(0), owner: None })),
                Ok(_) | Err(_) => None,
            };
            let above: Option<Vec<(&str, Owned)>> =
                ancestors(parent(tail)).map(directory).collect();
            let Some(above) = above else { continue };
            for (above, owned) in above {
                made.entry(above.to_owned()).or_insert((InLayer::Directory(owned), node.at));
            }
            made.insert(tail.to_owned(), (InLayer::Whiteout, node.at));
        }
        made
    }

    /// The entries that lie in the merged tree itself: the path below its top, the path, the entry.
    pub(in crate::policy::mounts::draft) fn below<'t>(
        &'t self,
        path: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t str, &'t Node)> {
        self.tree.iter().filter_map(move |(inside, node)| {
            let lies_here = inside != path && self.tree.over(parent(inside)).0 == path;
            let tail = below(inside, path).filter(|_| lies_here)?;
            Some((tail, inside.as_str(), node))
        })
    }

    /// What the merged tree has at a path below its top, or why that is not known; none: no layer has
    /// it.
    pub(super) fn seen(&self, found: &[(&str, File)], tail: &str) -> Option<Result<&File, i32>> {
        let mut places = found.iter().rev().map(|(source, _)| join(source, tail));
        places.find_map(|place| match self.host.at(&place) {
            Fact::Present(file) => Some(Ok(file)),
            Fact::Absent(libc::ENOENT) => None,
            Fact::Absent(errno) => Some(Err(*errno)),
        })
    }

    /// Which layer has it, the lowest being the first.
    fn nth(&self, found: &[(&str, File)], tail: &str) -> Option<usize> {
        found.iter().rposition(|(source, _)| self.host.present(&join(source, tail)).is_some())
    }

    /// A directory of stockade's in the place of one of a layer's: of the same mode and owner. With
    /// another owner the target would be let into what is closed to it, since the mount of overlayfs
    /// reads with the power of the process that mounts. Where that has no such owner it has no
    /// power over its files.
    pub(super) fn like(&self, file: &File, map: Option<&MountMap>) -> Owned {
        let disk = (file.uid, file.gid);
        let shown = map.map_or((Some(disk.0), Some(disk.1)), |map| map.shows(disk));
        let owner = match (&self.ids.maps, shown) {
            (None, _) => Some(disk),
            (Some(maps), (Some(user), Some(group))) => {
                inside(&maps.uid, user).zip(inside(&maps.gid, group))
            }
            (Some(_), _) => None,
        };
        let owner = owner.filter(|owner| *owner != (self.ids.user, self.ids.group));
        Owned { mode: Mode(file.mode & 0o7777), owner }
    }

    /// Whether an entry mounts a directory; none: it mounts nothing, or only over what is there.
    fn mounts_directory(&self, inside: &str, node: &Node) -> Option<bool> {
        match node.mount.kind().makes(inside) {
            Makes::FileSystem(_) | Makes::Layers(_) | Makes::Devices(_) => Some(true),
            Makes::File(_) | Makes::Socket(_) => Some(false),
            Makes::Bind(bind) => match self.host.at(bind.source_at(inside)) {
                Fact::Present(file) => Some(file.kind == FileKind::Directory),
                Fact::Absent(_) => (bind.missing == Missing::Create).then_some(true),
            },
            Makes::Device(source) => match self.host.at(source) {
                Fact::Present(file) => Some(file.kind == FileKind::Directory),
                Fact::Absent(_) => None,
            },
            Makes::Directory(_) | Makes::Link(_) | Makes::Cover(_) => None,
        }
    }
}
