//! Where what the target writes on top of layers goes: memory, or a directory of the host's.

use super::super::kinds::{Layers, Makes, Mount, Upper};
use super::super::tree::{MEMORY, in_parts, real, root_is_writable, thrown_to};
use super::super::written;
use super::World;
use super::bind::{file_system_without_idmap, kernels_own};
use super::layers::{Lies, MOST_IN_HELP, Place};
use crate::host::parts::Shown;
use crate::host::upper::Place as Found;
use crate::host::{Fact, FileKind};
use crate::kernel::idmap::MountMap;
use crate::kernel::name::Name;
use crate::language::read::Read;
use crate::language::value::{AbsolutePath, below, join, parent};
use crate::step::{OutsideOp, Owned, Slot, Stage, TreeOp, UpperPlace};
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;

/// The word of `optional` for the bounds of what is written.
pub(crate) const SIZE: &str = "mounts.size";

/// File systems that overlayfs takes no upper on (measured on 6.1 to 7.3; those below nfs by the
/// kernel's source: remote ones, ones that compare names by rules of their own, and read-only ones).
pub(super) fn refuses_upper(magic: i64, kernel: (u32, u32)) -> Option<&'static str> {
    match magic {
        0x794c_7630 => Some("overlayfs"),
        0x6573_5546 => Some("fuse"),
        0x6969 => Some("nfs"),
        0x0102_1997 => Some("9p"),
        0xff53_4d42 | 0xfe53_4d42 => Some("cifs"),
        0x7371_7368 => Some("squashfs"),
        0xe0f5_e1e2 => Some("erofs"),
        0x9660 => Some("iso9660"),
        0x4d44 => Some("vfat"),
        0x2011_bab0 => Some("exfat"),
        0x7366_746e => Some("ntfs"),
        0x482b => Some("hfsplus"),
        0x00c3_6400 => Some("ceph"),
        0x5346_414f => Some("afs"),
        0x0116_1970 => Some("gfs2"),
        0x7461_636f => Some("ocfs2"),
        0x8584_58f6 => Some("ramfs"),
        0x0102_1994 if kernel < MEMORY => Some("tmpfs"),
        _ => kernels_own(magic),
    }
}

/// Those of them that have no owners, or take nothing at all.
const TAKES_NO_COPY: &[&str] = &["squashfs", "erofs", "iso9660", "vfat"];

impl World<'_> {
    /// What forbids the upper of an entry here.
    pub(super) fn check_upper(&mut self, path: &str, layers: &Layers, lower: &[Place], at: Span) {
        // Where a stronger layer names it, that line is shown beside the entry's.
        let is_own = self.tree.get(path).is_some_and(|node| node.upper.is_none());
        let at = if is_own { layers.upper_at.0.or(at) } else { at };
        // What lies under a mount would be shown in its place.
        if let Some(errno) = self.host.merged.as_ref().and_then(|mounted| mounted.unread) {
            let why = errno_words(errno);
            let message = format!("cannot look for mounts in {path}: /proc/self/mountinfo: {why}");
            self.draft.problem(Problem::new("mounts::layers", at, message));
        }
        let is_apart = self.is_apart(path, layers);
        match &layers.upper {
            None => {}
            Some(Upper::Discard) if is_apart || self.host.kernel >= MEMORY => {}
            // An empty tree is a file system in memory, and no overlay.
            Some(Upper::Discard) if layers.is_memory_alone() => {}
            Some(Upper::Discard) => {
                self.note_disk(path, layers, at);
                let directory = self.cache(path, layers);
                if in_parts(path, layers, &self.host.brought).is_some() {
                    self.check_on_disk((path, layers), &directory, (lower, false), at);
                }
            }
            Some(Upper::DiscardIn(directory)) => {
                let refuse = |why: String, help: Option<String>| {
                    let message = format!("cannot make an upper in {directory}: {why}");
                    Problem::new("mounts::upper", at, message).help_maybe(help)
                };
                let make = || Some(format!("make it first: mkdir -p {}", shell_word(directory)));
                let problem = match self.host.at(directory) {
                    Fact::Absent(errno) => Some(refuse(
                        errno_words(*errno),
                        (*errno == libc::ENOENT).then(make).flatten(),
                    )),
                    Fact::Present(file) if file.kind != FileKind::Directory => {
                        Some(refuse(format!("it is {}", file.kind.word()), None))
                    }
                    Fact::Present(_) => None,
                };
                if let Some(problem) = problem {
                    return self.draft.problem(problem);
                }
                self.check_on_disk((path, layers), directory, (lower, is_apart), at);
            }
            Some(Upper::Kept(directory)) => {
                let is_right = self.is_alone(path, layers, at)
                    && self.check_kept(path, layers, (directory, lower), at);
                if is_right {
                    self.check_on_disk((path, layers), directory, (lower, false), at);
                }
            }
        }
    }

    /// Whether it is one overlay, as what is kept must be: a tree with mounts in it is several.
    fn is_alone(&mut self, path: &str, layers: &Layers, at: Span) -> bool {
        let Some(parts) = in_parts(path, layers, &self.host.brought) else { return true };
        let mut merged = parts.parts.iter().filter(|part| part.shown == Shown::Merged);
        let first = merged.next().filter(|_| parts.whole || merged.next().is_some());
        if let Some(first) = first {
            let message = format!(
                "cannot keep what is written to {path}: it is more than one overlay here, such as {}",
                first.path
            );
            let help = "name a directory in it that has no mounts below it, or throw it away: upper = \
                        \"discard\"";
            self.draft.problem(Problem::new("mounts::upper", at, message).help(help));
        }
        first.is_none()
    }

    /// Memory cannot take what is written, so it goes to a directory of the caller's on disk, where
    /// nothing bounds it.
    fn note_disk(&mut self, path: &str, layers: &Layers, at: Span) {
        let (major, minor) = self.host.kernel;
        let directory = self.cache(path, layers);
        let why = format!("memory takes it from Linux 6.6 on, and this is {major}.{minor}");
        if layers.size.is_none() && layers.inodes.is_none() {
            let text = format!("what is written to {path} goes to disk, in {directory}: {why}");
            return self.draft.note(at, text);
        }
        let message = format!("cannot bound what is written to {path}: {why}");
        if self.size_is_optional {
            return self.draft.note_less(at, message, &format!("it goes to disk, in {directory}"));
        }
        let line = written::line(path, &Mount::Layers(layers.on_disk("/var/tmp")));
        let problem = Problem::new("mounts::upper", at, message);
        self.draft.problem(
            problem.help(format!("let it go to disk: {line}; or say so: optional = [\"{SIZE}\"]")),
        );
    }

    /// Where directories for what is thrown away are, where the profile names none.
    fn cache(&self, path: &str, layers: &Layers) -> String {
        // The parts of a tree share that of the whole.
        let whole = self.tree.get(path).and_then(|node| node.whole.as_deref());
        let (path, layers) = match whole.filter(|whole| *whole != path) {
            Some(whole) => (whole, &layers.part(whole)),
            None => (path, layers),
        };
        thrown_to(path, layers, (&self.host.caller, self.host.kernel)).unwrap_or_default()
    }

    /// Whether a directory is an upper of the caller's that may be used for these layers, or can
    /// become one; the first problem is the only one.
    fn check_kept(
        &mut self,
        path: &str,
        layers: &Layers,
        (directory, lower): (&str, &[Place]),
        at: Span,
    ) -> bool {
        let refuse = |why: String| {
            let message = format!("cannot take {directory} as the upper: {why}");
            Problem::new("mounts::upper", at, message)
        };
        for (other, node) in self.tree.iter().take_while(|(other, _)| *other != path) {
            let Makes::Layers(layers) = node.mount.kind().makes(other) else { continue };
            let is_same = layers
                .upper
                .as_ref()
                .and_then(Upper::directory)
                .is_some_and(|one| real(self.host, one) == real(self.host, directory));
            if is_same {
                let problem = refuse(format!("{other} keeps there what is written to it"));
                let problem =
                    problem.also(node.at, "because of this").help("name another directory");
                self.draft.problem(problem);
                return false;
            }
        }
        let found = self.host.uppers.get(directory);
        let close = |mode: u32| {
            let close = format!("close it: chmod 700 {}", shell_word(directory));
            (mode & 0o077 != 0).then(|| refuse("other users may enter it".into()).help(close))
        };
        let problem = match self.host.at(directory) {
            // It would be made, or closed, and refused then.
            _ if self.lies_to(directory, lower).is_some() => None,
            Fact::Absent(libc::ENOENT) => match self.host.at(parent(directory)) {
                Fact::Present(above) if above.kind == FileKind::Directory => None,
                Fact::Present(_) => {
                    let why = format!("{} is no directory", parent(directory));
                    Some(refuse(why).help("name another directory"))
                }
                Fact::Absent(_) => {
                    let above = parent(directory);
                    let make = format!("make it first: mkdir -p {}", shell_word(above));
                    Some(refuse(format!("{above} is not there")).help(make))
                }
            },
            Fact::Absent(errno) => Some(refuse(errno_words(*errno))),
            Fact::Present(file) if file.kind != FileKind::Directory => {
                Some(refuse(format!("it is {}", file.kind.word())).help("name a directory"))
            }
            Fact::Present(file) if file.uid != self.host.caller.uid => {
                let why = format!("it is the directory of another user, {}", file.uid);
                Some(refuse(why).help("name one of the caller's own, or one that is not there yet"))
            }
            Fact::Present(file) => match found {
                Some(Found { record: Some(record), .. }) => {
                    let ours = layers.sources(path);
                    let is_same = record.layers.iter().map(String::as_str).eq(ours.iter().copied());
                    let others = (!is_same).then(|| {
                        let list = |paths: &[&str]| match paths {
                            [] => "none".to_owned(),
                            paths => paths.join(", "),
                        };
                        let theirs: Vec<&str> = record.layers.iter().map(String::as_str).collect();
                        let why = format!(
                            "it was written over other layers: {} (here: {})",
                            list(&theirs),
                            list(&ours)
                        );
                        refuse(why).help("name the same layers, or another directory")
                    });
                    others.or_else(|| close(file.mode))
                }
                Some(Found { record: None, is_empty: false, .. }) => {
                    let why = "it holds files, and none that says that it is stockade's".to_owned();
                    Some(refuse(why).help("name an empty directory, or one that is not there yet"))
                }
                Some(Found { record: None, is_empty: true, .. }) | None => close(file.mode),
            },
        };
        let is_right = problem.is_none();
        problem.into_iter().for_each(|problem| self.draft.problem(problem));
        is_right
    }

    /// A layer that it is, or is in, or that is in it, in words.
    fn lies_to(&self, directory: &str, lower: &[Place]) -> Option<String> {
        let place = self.place(directory);
        lower.iter().find_map(|layer| {
            let name = layer.real();
            Some(match place.lies(layer)? {
                Lies::There => format!("it is the layer {name}"),
                Lies::In => format!("it is in the layer {name}"),
                Lies::Around => format!("the layer {name} is in it"),
            })
        })
    }

    /// An upper that is no layer, nor in one: where everybody may make a directory.
    fn beside(&self, (path, layers): (&str, &Layers), directory: &str, lower: &[Place]) -> String {
        const OPEN: &str = "/var/tmp";
        let line = |upper: Upper| match layers.sources(path).len() > MOST_IN_HELP {
            true => format!("upper = {}", upper.spell()),
            false => {
                let moved = Layers { upper: Some(upper), ..layers.clone() };
                written::line(path, &Mount::Layers(moved))
            }
        };
        if self.lies_to(OPEN, lower).is_some() {
            return format!(
                "name a directory that no layer has; or let what is written be thrown away: {}",
                line(Upper::Discard)
            );
        }
        let upper = match layers.upper {
            Some(Upper::Kept(_)) => {
                let name = directory.rsplit('/').next().unwrap_or_default();
                Upper::Kept(AbsolutePath(join(OPEN, &format!("/{name}"))))
            }
            Some(Upper::Discard | Upper::DiscardIn(_)) | None => {
                Upper::DiscardIn(AbsolutePath(OPEN.to_owned()))
            }
        };
        format!("name one that no layer has: {}", line(upper))
    }

    /// What holds of both: the file system, the caller's rights, and that nothing else changes it.
    fn check_on_disk(
        &mut self,
        entry: (&str, &Layers),
        directory: &str,
        (lower, is_copied): (&[Place], bool),
        at: Span,
    ) {
        let refuse = |why: String, help: &str| {
            let message = format!("cannot take {directory} as the upper: {why}");
            Problem::new("mounts::upper", at, message).help(help)
        };
        // Whatever else is wrong with it, another one is needed.
        if let Some(why) = self.lies_to(directory, lower) {
            let problem = refuse(why, &self.beside(entry, directory, lower));
            return self.draft.problem(problem);
        }
        let mut problems = vec![];
        if let Fact::Present(file) = self.host.at(directory)
            && let Some((place, false)) = &file.real
        {
            let help = format!("name the place that it means now: {place}");
            let why = "a directory on the way is a symbolic link that is not root's".to_owned();
            problems.push(refuse(why, &help));
        }
        if let Some(Found { fs, refused, .. }) = self.host.uppers.get(directory) {
            let (major, minor) = self.host.kernel;
            let needs_idmap = self.ids.needs_idmap;
            if let Some(errno) = refused {
                let help = "name a directory that the caller may write to";
                problems.push(refuse(errno_words(*errno), help));
            } else if let Some(name) = refuses_upper(*fs, self.host.kernel).filter(|name| {
                !is_copied || TAKES_NO_COPY.contains(name) || kernels_own(*fs).is_some()
            }) {
                let why = format!("{name} cannot take it");
                problems.push(refuse(why, "name a directory on a disk, such as of ext4 or xfs"));
            } else if let Some(name) = file_system_without_idmap(*fs, self.host.kernel)
                .filter(|_| needs_idmap)
                .or((needs_idmap && self.host.kernel < (5, 19)).then_some("overlayfs"))
            {
                let why = format!("{name} has no idmapped mounts on Linux {major}.{minor}");
                problems.push(refuse(why, "set identity.host = true"));
            }
        }
        let place = self.place(directory);
        for (other, node) in self.tree {
            let written = node.mount.grant(other).and_then(|grant| grant.written);
            if written.is_some_and(|written| self.place(written).meets(&place)) {
                let why = format!("the target can write to it by {other}, too");
                let problem = refuse(why, "grant that read-only, or name another directory");
                problems.push(problem.also(node.at, "it is granted for writing here"));
            }
        }
        problems.into_iter().for_each(|problem| self.draft.problem(problem));
    }

    /// The steps that make a place for what the target writes, with the merged tree's top.
    pub(super) fn upper(
        &mut self,
        path: &str,
        layers: &Layers,
        top: Owned,
        at: Span,
    ) -> Option<UpperPlace> {
        let is_copied = self.is_copied(path, layers);
        // A copy has a place in memory, also where the target may not write to it.
        let upper = layers.upper.as_ref().or(is_copied.then_some(&Upper::Discard))?;
        // The parts of one tree share what is made for the first of them.
        let whole = self.tree.get(path).and_then(|node| node.whole.clone());
        // What fails with a directory of the host's is of the line that names it.
        let named = self.tree.get(whole.as_deref().unwrap_or(path)).and_then(|node| node.upper);
        let at = named.filter(|_| upper.directory().is_some()).unwrap_or(at);
        let made = whole.as_ref().and_then(|whole| self.uppers.get(whole));
        let place = match made {
            Some((first, count)) => {
                UpperPlace { volatile: first.volatile, ..UpperPlace::shared(first.slot, *count) }
            }
            None => {
                let is_apart =
                    self.is_apart(path, layers) || self.has_copied_part(whole.as_deref());
                self.first_upper(path, layers, (upper, is_apart), at)
            }
        };
        if let Some(whole) = whole {
            self.uppers.entry(whole).or_insert_with(|| (place.clone(), 0)).1 += 1;
        }
        let kept = matches!(upper, Upper::Kept(_));
        self.step(TreeOp::UpperDirectories { upper: place.clone(), top, kept }, at);
        Some(place)
    }

    /// The steps that make directories of other users changeable, as far as they lie in the tree at
    /// `path`.
    pub(super) fn copy_up(
        &mut self,
        path: &str,
        layers: &Layers,
        (mask, lower, lowest): (Option<Slot>, &[Slot], Option<Slot>),
        upper: &UpperPlace,
        at: Span,
    ) {
        let whole = self.tree.get(path).and_then(|node| node.whole.clone());
        let top = whole.as_deref().unwrap_or(path);
        for directory in &layers.copy_up {
            let directory: &str = directory;
            if below(directory, top).is_none() {
                let message = format!("cannot copy up {directory}: it is not in the tree at {top}");
                let help = "copy-up takes paths inside, at or below the entry's own";
                self.draft.problem(Problem::new("mounts::layers", at, message).help(help));
                continue;
            }
            // All of a part, or what lies in it.
            let tail = match (below(path, directory), below(directory, path)) {
                (Some(_), _) => "",
                (None, Some(tail)) => tail,
                (None, None) => continue,
            };
            let op = TreeOp::CopyUp {
                path: Name::new(&join(path, tail)),
                tail: Name::new(tail),
                all: true,
                mask,
                layers: lower.to_vec(),
                lowest,
                upper: upper.clone(),
            };
            self.step(op, at);
        }
    }

    /// Those of `copy-up` that open something; of the others it says why not.
    pub(super) fn opened_up<'l>(
        &mut self,
        path: &str,
        layers: &'l Layers,
        at: Span,
    ) -> Vec<&'l str> {
        let mut opened = vec![];
        for directory in &layers.copy_up {
            let directory: &str = directory;
            match self.why_unopened(path, layers, directory) {
                Some(why) => {
                    let text = format!("copy-up of {directory} is without effect");
                    self.draft.notes.push(Note::new(at, text).because(&why));
                }
                None => opened.push(directory),
            }
        }
        opened
    }

    /// Why a path of `copy-up` opens nothing, as far as the layers say. What the caller may not look
    /// at may be a directory.
    fn why_unopened(&self, path: &str, layers: &Layers, directory: &str) -> Option<String> {
        let tail = below(directory, path)?;
        let (over, node) = self.tree.over(directory);
        // Another entry has it.
        if over != path && node.whole.as_deref() != Some(path) {
            return None;
        }
        // The topmost layer that has it decides what it is.
        for source in layers.sources(path).into_iter().rev() {
            return match self.host.at(&join(source, tail)) {
                Fact::Absent(libc::ENOENT | libc::ENOTDIR) => continue,
                Fact::Present(file) if file.kind != FileKind::Directory => {
                    Some(format!("it is {}, and no directory", file.kind.word()))
                }
                Fact::Present(_) | Fact::Absent(_) => None,
            };
        }
        Some("no layer has it".into())
    }

    fn first_upper(
        &mut self,
        path: &str,
        layers: &Layers,
        (upper, is_apart): (&Upper, bool),
        at: Span,
    ) -> UpperPlace {
        match upper {
            Upper::Discard if self.host.kernel < MEMORY && !is_apart => {
                let cache = self.cache(path, layers);
                let slot = self.hold(path, layers, &cache, false, at);
                UpperPlace { volatile: true, ..UpperPlace::alone(slot) }
            }
            Upper::Discard => {
                let slot = self.draft.slot();
                let (size, inodes) = layers.room();
                let in_root =
                    self.tree.get(path).is_some_and(|node| node.whole.as_deref() == Some("/"))
                        && root_is_writable(self.tree);
                // What a copy needs is no bound of the root's.
                let op = match in_root && !is_apart {
                    true => TreeOp::UpperInRoot { slot },
                    false => TreeOp::Upper { slot, size, inodes },
                };
                self.step(op, at);
                UpperPlace::alone(slot)
            }
            Upper::DiscardIn(directory) => {
                let slot = self.hold(path, layers, directory, false, at);
                UpperPlace { volatile: true, ..UpperPlace::alone(slot) }
            }
            Upper::Kept(directory) => {
                UpperPlace::alone(self.hold(path, layers, directory, true, at))
            }
        }
    }

    /// The steps that hold a directory of the host's, and put its mount where overlayfs finds it.
    fn hold(&mut self, path: &str, layers: &Layers, directory: &str, kept: bool, at: Span) -> Slot {
        let within = if kept { parent(directory) } else { directory };
        let tail = below(directory, within).unwrap_or_default();
        let place = Name::new(&join(real(self.host, within), tail));
        let (held, slot) = (self.draft.slot(), self.draft.slot());
        let mounts =
            self.tree.keys().filter(|other| other.as_str() != path && below(other, path).is_some());
        let mounts = mounts.map(|other| Name::new(other)).collect();
        let hold = TreeOp::HoldUpper {
            slot: held,
            directory: place.clone(),
            kept,
            path: Name::new(path),
            layers: layers.sources(path).into_iter().map(Name::new).collect(),
            mounts,
        };
        self.draft.step(Stage::Uppers, hold, at);
        let open = TreeOp::OpenUpper { slot, held, directory: place.clone() };
        self.draft.step(Stage::Sources, open, at);
        if self.ids.needs_idmap
            && let Some(maps) = &self.ids.maps
        {
            // On disk each owner has the id that it has inside, so that it is the same in every run.
            let map = MountMap { uid: maps.uid.clone(), gid: maps.gid.clone() };
            self.draft.outside(OutsideOp::IdMapMount { slot, source: place.clone(), map }, at);
        }
        self.step(TreeOp::Lay { slot, source: place }, at);
        slot
    }
}
