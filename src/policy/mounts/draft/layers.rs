//! What is merged: the layers that are there, their owners where root starts the sandbox, and the
//! tmpfs for what the target writes.

use super::super::checks;
use super::super::kinds::{Driver, Layers, MOST, Makes, Missing, Mount, Tmpfs};
use super::super::tree::{Node, in_parts, real};
use super::super::written;
use super::bind::file_system_without_idmap;
use super::served::Shown;
use super::{PLAIN as PLAIN_ATTRS, World};
use crate::host::mounted::Region;
use crate::host::parts::Left;
use crate::host::{Fact, File, FileKind};
use crate::kernel::attrs::Attrs;
use crate::kernel::idmap::{MountMap, inside, shifted};
use crate::kernel::name::Name;
use crate::language::value::{Mode, ancestors, below, join, parent};
use crate::policy::identity::Ids;
use crate::step::{Ground, InLayer, OutsideOp, Owned, Slot, TreeOp};
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use crate::tree::{Ground as Stood, HasGround};
use std::collections::BTreeMap;

/// What a layer of stockade's has, by the path below its top, with the lines that ask for it.
type Own = BTreeMap<String, (InLayer, Span)>;

/// Directories of stockade's that are nothing but the way to something.
const PLAIN: Owned = Owned { mode: Mode(0o755), owner: None };

/// The first of some paths, and how many more there are: "/a and 2 more"; none: there are none.
fn some_of(paths: &[&str]) -> Option<String> {
    match paths {
        [] => None,
        [one] => Some((*one).to_owned()),
        [one, other] => Some(format!("{one} and {other}")),
        [one, other, more @ ..] => Some(format!("{one}, {other} and {} more", more.len())),
    }
}

/// Where a tree of the host lies.
pub(super) struct Place {
    /// Its path without links.
    real: String,
    /// The parts of file systems that it shows.
    regions: Vec<Region>,
}

impl Place {
    /// Whether one of two lies in the other.
    pub(super) fn meets(&self, other: &Place) -> bool {
        let by_name =
            below(&self.real, &other.real).is_some() || below(&other.real, &self.real).is_some();
        by_name || self.regions.iter().any(|one| other.regions.iter().any(|other| one.meets(other)))
    }
}

impl World<'_> {
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
        self.check_writers(path, &found, at);
        if self.draft.problems.iter().count() > before {
            return;
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
            return;
        };
        // A server has the target's ids, and no power over what is another's.
        let own = Owned { mode: Mode(0o700), owner: None };
        let above = if shown == Shown::Served { own } else { top };
        let upper = self.upper(path, layers, above, at);
        if let Some(upper) = upper.as_ref().filter(|_| shown == Shown::Merged) {
            self.copy_up(path, layers, (mask, &slots, lowest), upper, at);
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

    /// The memory at the top of an overlay that is shown in parts, or that has no layer.
    pub(super) fn top(&mut self, path: &str, layers: &Layers, at: Span) {
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
    pub(super) fn check_parts(&mut self, path: &str, layers: &Layers, at: Span) {
        let parts = self.tree.iter().filter(|(_, node)| node.whole.as_deref() == Some(path));
        // Of a directory that is made anew, the top as well, nothing is a layer.
        let merged = parts.filter(|(_, node)| matches!(node.ground(), Stood::Host(_)));
        let lower: Vec<Place> = merged.map(|(part, _)| self.place(part)).collect();
        self.check_upper(path, layers, &lower, at);
    }

    /// Says of the overlays in parts what does not come along, and what cannot be changed.
    pub(super) fn note_parts(&mut self) {
        for (path, node) in self.tree {
            let Mount::Layers(layers) = &node.mount else { continue };
            let Some(parts) = in_parts(path, layers, &self.host.brought) else { continue };
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
                let why = "the caller may not look there";
                self.draft.note_less(node.at, format!("{some} left out"), why);
            }
            self.note_owners(path, layers, node.at);
        }
    }

    /// A user's overlay copies nothing of another owner's for a change (EOVERFLOW).
    fn note_owners(&mut self, path: &str, layers: &Layers, at: Span) {
        let is_apart = self.is_apart(path, layers);
        if layers.upper.is_none() || is_apart || self.host.caller.uid == 0 {
            return;
        }
        let of_others = |(part, node): &(&String, &Node)| {
            let is_part = node.whole.as_deref() == Some(path);
            let is_merged = matches!(node.ground(), Stood::Host(stack) if stack.is_merged());
            let file = self.host.present(part);
            is_part && is_merged && file.is_some_and(|file| file.uid != self.host.caller.uid)
        };
        let found = self.tree.iter().filter(of_others).map(|(part, _)| part.as_str());
        if let Some(some) = some_of(&found.collect::<Vec<_>>()) {
            let text =
                format!("what other users own stays as it is, but for names right in {some}");
            let why = "overlayfs copies nothing of another owner's for a change (EOVERFLOW)";
            self.draft.note_less(at, text, why);
        }
    }

    /// The layers of stockade's above and below the others, where there are any.
    fn own_layers(
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
    fn below<'t>(&'t self, path: &'t str) -> impl Iterator<Item = (&'t str, &'t str, &'t Node)> {
        self.tree.iter().filter_map(move |(inside, node)| {
            let lies_here = inside != path && self.tree.over(parent(inside)).0 == path;
            let tail = below(inside, path).filter(|_| lies_here)?;
            Some((tail, inside.as_str(), node))
        })
    }

    /// What the merged tree has at a path below its top, or why that is not known; none: no layer has
    /// it.
    fn seen(&self, found: &[(&str, File)], tail: &str) -> Option<Result<&File, i32>> {
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
    fn like(&self, file: &File, map: Option<&MountMap>) -> Owned {
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

    /// A layer that is there and may be one.
    fn layer(&mut self, path: &str, layers: &Layers, source: &str, at: Span) -> Option<File> {
        let refuse = |why: String, help: Option<String>| {
            let message = format!("cannot take {source} as a layer: {why}");
            Problem::new("mounts::layers", at, message).help_maybe(help)
        };
        let file = match self.host.at(source) {
            Fact::Present(file) => file.clone(),
            Fact::Absent(errno @ libc::ENOENT) if layers.may_miss(source) => {
                let note = Note::new(at, format!("the layer {source} of {path} is left out"));
                self.draft.notes.push(note.because(&errno_words(*errno)));
                return None;
            }
            Fact::Absent(errno) => {
                let make = format!("make it first: mkdir -p {}", shell_word(source));
                // Without the only one there would be nothing.
                let others = layers.upper.is_some() || layers.sources(path).len() > 1;
                let skip = layers.layers.as_ref().filter(|_| others).map(|_| {
                    let line = written::line(path, &Mount::Layers(layers.without(source)));
                    format!("; or say so: {line}")
                });
                let help = (*errno == libc::ENOENT).then(|| make + &skip.unwrap_or_default());
                self.draft.problem(refuse(errno_words(*errno), help));
                return None;
            }
        };
        if file.kind != FileKind::Directory {
            let help = match &file.kind {
                FileKind::Link(_) => "name the directory that the link leads to",
                _ => "a layer is a directory",
            };
            self.draft.problem(refuse(format!("it is {}", file.kind.word()), Some(help.into())));
            return None;
        }
        if let Some(refused) = checks::check(path, source, &layers.words, &file, self.around()) {
            self.draft.problem(refuse(refused.why, Some("name another directory".into())));
            return None;
        }
        let place = file.real.as_ref().map_or(source, |(real, _)| real);
        let within = |mount: &&String| below(mount, place).is_some_and(|tail| !tail.is_empty());
        // Those of its own tree come along, one overlay each; so do those in one of them.
        let brought = &self.host.brought;
        let whole = self.tree.get(path).and_then(|node| brought.trees.get(node.whole.as_ref()?));
        let comes_along =
            in_parts(path, layers, brought).is_some() || whole.is_some_and(|parts| parts.whole);
        let merged = self.host.merged.iter().filter(|_| !comes_along);
        let mounts = merged.flat_map(|mounted| &mounted.mounts);
        if let Some(mount) = mounts.map(|mount| &mount.at).find(within) {
            let why = format!("{mount} is mounted in it, and no layer has mounts below it");
            let help = "name a directory that has none, or bind it";
            self.draft.problem(refuse(why, Some(help.into())));
            return None;
        }
        Some(file)
    }

    /// What overlayfs refuses of all of them together (ELOOP, EINVAL). Where one was refused by
    /// itself, it is not known that there is none.
    fn check_layers(
        &mut self,
        path: &str,
        layers: &Layers,
        (found, all_may_be): (&[(&str, File)], bool),
        at: Span,
    ) -> Vec<Place> {
        let refuse = |why: String, help: &str| {
            Problem::new("mounts::layers", at, format!("cannot merge the layers of {path}: {why}"))
                .help(help)
        };
        let places: Vec<(&str, Place)> =
            found.iter().map(|(source, _)| (*source, self.place(source))).collect();
        for (nth, (one, place)) in places.iter().enumerate() {
            for (other, another) in &places[nth + 1..] {
                if place.meets(another) {
                    let why =
                        format!("{one} and {other} are one directory, or one is in the other");
                    self.draft.problem(refuse(why, "name directories beside one another"));
                }
            }
        }
        let is_empty = layers.layers.as_ref().is_some_and(Vec::is_empty);
        if found.is_empty() && all_may_be && !is_empty && layers.upper.is_none() {
            let why = "none of them is there, and without an upper there is nothing".to_owned();
            self.draft.problem(refuse(why, "name one that is always there"));
        }
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// What changes a layer while it is merged makes the merged tree undefined (overlayfs of the
    /// kernel), so the target itself may not, but by the same path inside.
    fn check_writers(&mut self, path: &str, found: &[(&str, File)], at: Span) {
        for (other, node) in self.tree {
            let Some(written) = node.mount.grant(other).and_then(|grant| grant.written) else {
                continue;
            };
            let written_place = self.place(written);
            for (source, _) in found {
                // The entry is at that very place below it; or the merged tree covers the place.
                let covered = below(written, source).is_some_and(|tail| *other == join(path, tail))
                    || below(source, written).is_some_and(|tail| path == join(other, tail));
                if !covered && written_place.meets(&self.place(source)) {
                    let message = format!(
                        "cannot take {source} as a layer of {path}: the target can write to \
                         {written}, and so to a layer that is in use"
                    );
                    let problem = Problem::new("mounts::layers", at, message)
                        .also(node.at, "it is granted for writing here")
                        .help("grant it read-only, or name another directory as the layer");
                    self.draft.problem(problem);
                }
            }
        }
    }

    /// Where a path of the host lies, by whichever links and mounts.
    pub(super) fn place(&self, path: &str) -> Place {
        let real = real(self.host, path);
        let regions = self.host.merged.iter().flat_map(|mounted| mounted.regions(real, true));
        Place { real: real.to_owned(), regions: regions.collect() }
    }

    /// Started by root, the owners in a layer are shown as the sandbox's own ids, each as the id that it
    /// is, and that of its top as the target, where the target may change the tree or the entry says
    /// that it is root's. Else the target's own id on disk is nobody's: it reads what others may.
    fn map_layer(
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
        let is_roots = (file.uid == 0 || file.gid == 0) && !said;
        // What fuse-overlayfs can read, it lets the target change.
        if is_roots && written && is_first && layers.driver != Driver::Fuse {
            let why = "its owner or group is the host's root, and the entry does not say owner = \
                       \"root\"";
            self.draft.note_less(at, format!("what {source} brings cannot be changed"), why);
        }
        let name = match file_system_without_idmap(file.fs, self.host.kernel) {
            None if self.host.kernel < (5, 19) => Some("overlayfs"),
            name => name,
        };
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
            let help = "set identity.host = true, or give uid-map and gid-map the owner's ids";
            // What is only read can be read as anybody's.
            if written || said {
                let problem = Problem::new("mounts::idmap", at, message).help(help);
                self.draft.problem(problem);
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
