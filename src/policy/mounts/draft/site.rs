//! Where a mount can go: the place under it, what pins that, and the problem if there is none.

use super::super::kinds::{Grant, Makes, Mount, Proc, Tmpfs, Upper};
use super::super::tree::{Base, above, all_bound_at, base, of_the_kernel, real};
use super::super::{mixed, place, written};
use super::World;
use super::create::nearest;
use super::kept::Kept;
use crate::host::upper::{What, Written, made_again};
use crate::host::{Fact, File, FileKind};
use crate::kernel::name::Name;
use crate::language::value::{Mode, ancestors, below, join, parent};
use crate::step::draft::Draft;
use crate::step::{Ground, Stage, TreeOp};
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use crate::tree::walk::meant;
use std::collections::BTreeMap;

/// A place to mount on.
pub(super) struct Site {
    pub(super) ground: Ground,
}
impl World<'_> {
    /// Makes sure that something can be mounted at `path`: makes the mount point on the sandbox's
    /// own ground, or finds it in a bound tree, whose directories above it are pinned where the
    /// target could rename them.
    pub(super) fn site(&mut self, path: &str, directory: bool, at: Span) -> Option<Site> {
        match base(self.tree, self.host, path) {
            Base::Own { .. } => {
                if directory {
                    self.directories(path, at);
                } else {
                    self.directories(parent(path), at);
                    if self.made.insert(path.to_owned()) {
                        self.step(TreeOp::MountPoint { path: Name::new(path) }, at);
                    }
                }
                Some(Site { ground: Ground::Own })
            }
            Base::Kernel => self.site_of_the_kernel(path, directory, at),
            Base::Nothing { what } => {
                let (over, node) = above(self.tree, path)
                    .map(|(over, node)| (over.to_owned(), node.at))
                    .unwrap_or_default();
                let message = format!("cannot mount at {path}: {over} is {what}");
                let help = self.through_link(path).unwrap_or_else(|| self.instead_of(&over));
                self.draft.problem(
                    Problem::new("mounts::below", at, message).also(node, "it is here").help(help),
                );
                None
            }
            Base::Host { source, writable } => {
                self.site_in_host(path, &source, writable, directory, at)
            }
        }
    }

    /// What there can be in the place of an entry that holds nothing.
    fn instead_of(&self, over: &str) -> String {
        let node = self.tree.get(over);
        let is_hidden = node.is_some_and(|node| matches!(node.mount, Mount::Hide(_)));
        let is_file = |file: &File| file.kind != FileKind::Directory;
        if is_hidden && !self.host.present(over).is_some_and(is_file) {
            let empty = written::line(over, &Mount::Tmpfs(Tmpfs::PLAIN));
            return format!("let {over} be an empty directory instead: {empty}");
        }
        format!("give it a path that is not below {over}")
    }

    /// Nothing can be made in a file system of the kernel's.
    fn site_of_the_kernel(&mut self, path: &str, directory: bool, at: Span) -> Option<Site> {
        let (over, node) = self.tree.over(parent(path));
        let why = match of_the_kernel(self.tree, path) {
            None => None,
            Some(_) if matches!(node.mount, Mount::Proc(Proc { only_processes: true, .. })) => {
                Some("it shows processes alone (subset = \"pid\")".to_owned())
            }
            Some(name) => match self.host.at(&name) {
                Fact::Absent(errno) => Some(format!("{name}: {}", errno_words(*errno))),
                Fact::Present(file) if directory != (file.kind == FileKind::Directory) => {
                    let wanted = if directory { "a directory" } else { "a file" };
                    Some(format!("{name} is {}, and this entry needs {wanted}", file.kind.word()))
                }
                Fact::Present(_) => None,
            },
        };
        let Some(why) = why else { return Some(Site { ground: Ground::Bound }) };
        let message = format!("cannot mount at {path}: nothing can be made in {over}, and {why}");
        self.draft.problem(
            Problem::new("mounts::below", at, message)
                .also(node.at, "it is mounted here")
                .help(format!("give it a path that is not below {over}")),
        );
        None
    }

    /// The directory above a place in a read-only bind that pid 1 may not search: where root starts
    /// the sandbox, its ids are nobody's on the host, and such a bind is not mapped. Layers are.
    fn closed(&self, path: &str, source: &str) -> Option<String> {
        let (over, node) = self.tree.over(parent(path));
        let is_bare = |grant: &Grant| grant.written.is_none() && !self.mapped.contains(over);
        let grant = node.mount.grant(over).filter(is_bare)?;
        let inside = ancestors(parent(source));
        let shown = inside.filter(|above| below(above, grant.topmost).is_some());
        let is_closed = |above: &&str| {
            self.host.present(above).is_some_and(|directory| directory.mode & 0o001 == 0)
        };
        shown.filter(|_| self.ids.needs_idmap).find(is_closed).map(str::to_owned)
    }

    pub(super) fn site_in_host(
        &mut self,
        path: &str,
        source: &str,
        writable: bool,
        directory: bool,
        at: Span,
    ) -> Option<Site> {
        if self.is_in_unmerged(path) {
            return None;
        }
        let (over, over_at) = above(self.tree, path)
            .map(|(over, node)| (over.to_owned(), node.at))
            .unwrap_or_default();
        let refuse = |draft: &mut Draft, why: String, help: String| {
            draft.problem(
                Problem::new(
                    "mounts::no-mount-point",
                    at,
                    format!("cannot mount at {path}: {why}"),
                )
                .also(over_at, format!("{over} is bound here"))
                .help(help),
            );
            None
        };
        if let Some((upper, help)) = self.taken_out(path, &over, directory) {
            let why = format!("what is kept in {upper} hides the mount point");
            return refuse(self.draft, why, help);
        }
        // A layer of stockade's has it.
        if self.in_layers.contains(path) {
            self.pin_in_merged(path, &over, at);
            return Some(Site { ground: Ground::Bound });
        }
        let file = match self.host.at(source) {
            Fact::Present(file) => file,
            // Steps that come first make it.
            Fact::Absent(libc::ENOENT) if directory && self.is_to_make(source) => {
                return Some(self.pinned_site(path, source, writable, (&over, over_at), at));
            }
            Fact::Absent(libc::ENOENT) => {
                if let Some((link, place)) = self.link_above(path) {
                    let help =
                        format!("name the place that it leads to: {}", self.spelled_at(&place));
                    return refuse(self.draft, format!("{link} is a symbolic link"), help);
                }
                let make = if directory {
                    format!("mkdir -p {source}")
                } else {
                    format!("mkdir -p {} && touch {source}", parent(source))
                };
                // All above a state is the caller's alone.
                let is_state =
                    self.tree.get(&*over).is_some_and(|node| node.mount.kind().form() == "state");
                let make = if is_state { format!("(umask 077; {make})") } else { make };
                let why = format!(
                    "{over} is a tree of the host, and there is no {source} in it; stockade makes \
                     nothing there"
                );
                return refuse(self.draft, why, format!("make it first: {make}"));
            }
            Fact::Absent(errno) => {
                return refuse(
                    self.draft,
                    format!("{source}: {}", errno_words(*errno)),
                    "make it reachable, or bind a directory nearer to it".into(),
                );
            }
        };
        if let Some(closed) = self.closed(path, source) {
            let why = format!(
                "{closed} is not the target's, and its mode lets no other user search it, pid 1 of \
                 the sandbox among them"
            );
            let help = format!("let it be searched: chmod o+x {}", shell_word(&closed));
            return refuse(self.draft, why, help);
        }
        if let Some((real, _)) = &file.real {
            let help = match place::shown_at(self.tree, self.host, real) {
                Some(inside) => format!("name the real place: {}", self.spelled_at(&inside)),
                None => format!(
                    "the link leads out of {over}, to the host's {real}, which nothing shows \
                     inside: grant that under a name of its own"
                ),
            };
            return refuse(self.draft, "a directory on the way is a symbolic link".into(), help);
        }
        // A file can be mounted on the link itself (move_mount(2)); the name is then no link inside.
        let on_link = matches!(file.kind, FileKind::Link(_)) && !directory;
        if let FileKind::Link(to) = &file.kind
            && !on_link
        {
            let help =
                format!("name what it points at: {}", self.spelled_at(&meant(parent(path), to).0));
            return refuse(self.draft, format!("it is a symbolic link to {to}"), help);
        }
        if !on_link && directory != (file.kind == FileKind::Directory) {
            let wanted = if directory { "a directory" } else { "a file" };
            return refuse(
                self.draft,
                format!("{source} is {}, and this entry needs {wanted}", file.kind.word()),
                "give it another path".into(),
            );
        }
        Some(self.pinned_site(path, source, writable, (&over, over_at), at))
    }

    /// What a kept upper has at or above an entry in its tree, and which it is.
    pub(super) fn written(&self, path: &str, over: &str) -> Option<(&str, &Written)> {
        let Mount::Layers(layers) = &self.tree.get(over)?.mount else { return None };
        let upper = layers.upper.as_ref()?.directory()?;
        Some((upper, self.host.uppers.get(upper)?.over.get(path)?))
    }

    /// What to do where a kept upper has something else than a mount point at a path, or hides what the
    /// layers have.
    fn taken_out(&self, path: &str, over: &str, directory: bool) -> Option<(String, String)> {
        let (upper, written) = self.written(path, over)?;
        let is_there = below(path, over)? == written.at;
        let is_lost = match written.what {
            What::Removed => true,
            What::Own | What::Link => directory || !is_there,
            What::Directory(_) => is_there && !directory,
            What::Unseen => false,
        };
        let help = || made_again(upper, Some(written.at.trim_start_matches('/')));
        is_lost.then(|| (upper.to_string(), help()))
    }

    /// The nearest directory above a path that is a link in merged layers, and where the path leads
    /// by it.
    fn link_above(&self, path: &str) -> Option<(String, String)> {
        ancestors(parent(path)).find_map(|above| {
            let shown = all_bound_at(self.tree, above);
            let seen = shown.iter().find_map(|place| self.host.present(place))?;
            let FileKind::Link(to) = &seen.kind else { return None };
            let end = meant(parent(above), to).0;
            Some((above.to_owned(), join(&end, below(path, above)?)))
        })
    }

    /// A place in a tree of the host's, which no process inside can move away.
    fn pinned_site(
        &mut self,
        path: &str,
        source: &str,
        writable: bool,
        (over, over_at): (&str, Span),
        at: Span,
    ) -> Site {
        if writable {
            self.pin_above(path, over, at);
        }
        self.pin_in_merged(path, over, at);
        if writable && self.keeps(path, over, source) || self.covers(path, over, source) {
            self.kept.push(Kept { path: path.to_owned(), at, over: over.to_owned(), over_at });
        }
        Site { ground: Ground::Bound }
    }

    /// Whether a directory of the host is there before anything is mounted, since an entry has it
    /// made.
    fn is_to_make(&self, source: &str) -> bool {
        let (there, tail) = nearest(source, self.host);
        self.to_make.contains(&join(real(self.host, there), tail))
    }

    /// Pins every directory between a writable entry and an entry below it: renaming one of them
    /// would move the lower entry away.
    pub(super) fn pin_above(&mut self, path: &str, over: &str, at: Span) {
        self.pin(parent(path), over, at);
    }

    /// The same in a copy of layers, and where what an earlier run made is kept: overlayfs itself
    /// refuses to rename a directory of a layer (EXDEV), but not one that the target has made in its
    /// place.
    fn pin_in_merged(&mut self, path: &str, over: &str, at: Span) {
        if self.copied.contains(over) || self.is_in_kept(path) {
            self.pin_above(path, over, at);
        }
    }

    /// Whether a path lies in layers whose upper is kept.
    pub(super) fn is_in_kept(&self, path: &str) -> bool {
        let over = self.tree.over(parent(path)).0;
        let mount = self.tree.get(over).map(|node| &node.mount);
        let Some(Mount::Layers(layers)) = mount else { return false };
        matches!(layers.upper, Some(Upper::Kept(_)))
    }

    /// Whether a path lies in layers with an upper.
    pub(super) fn is_in_written(&self, path: &str) -> bool {
        let over = self.tree.over(parent(path)).0;
        let layers = self.tree.get(over).and_then(|node| node.mount.layers());
        layers.is_some_and(|layers| layers.upper.is_some())
    }

    /// Pins a directory below a writable entry, and every one between the two.
    pub(super) fn pin(&mut self, place: &str, over: &str, at: Span) {
        for pin in self.not_pinned(place, over) {
            self.pinned.insert(pin.to_owned(), at);
            let (path, only_with) = (Name::new(pin), None);
            self.draft.step(Stage::World, TreeOp::Pin { path, only_with }, at);
        }
    }

    /// The same of each directory above a path, if that is there.
    pub(super) fn pin_if_there(&mut self, path: &str, over: &str, at: Span) {
        for pin in self.not_pinned(parent(path), over) {
            let (pin, only_with) = (Name::new(pin), Some(Name::new(path)));
            self.draft.step(Stage::World, TreeOp::Pin { path: pin, only_with }, at);
        }
    }

    /// The directories between the two that nothing holds so far, the topmost first.
    fn not_pinned<'p>(&self, place: &'p str, over: &str) -> Vec<&'p str> {
        let between = ancestors(place).take_while(|directory| *directory != over);
        let is_loose =
            |pin: &&str| !self.tree.contains_key(*pin) && !self.pinned.contains_key(*pin);
        let mut loose: Vec<&str> = between.filter(is_loose).collect();
        loose.reverse();
        loose
    }

    /// Says, once for each line, that what is pinned is a mount of its own: rename(2) and link(2)
    /// go from no mount to another, also where both are of one file system.
    pub(super) fn note_pinned(&mut self) {
        let mut lines: BTreeMap<Span, (&str, usize)> = BTreeMap::new();
        for (directory, at) in &self.pinned {
            lines.entry(*at).or_insert((directory, 0)).1 += 1;
        }
        for (at, (first, count)) in lines {
            let text = match count {
                1 => format!(
                    "{first} is pinned for this: rename and link between it and another directory \
                     fail (EXDEV)"
                ),
                _ => format!(
                    "{count} directories are pinned for this, such as {first}: rename and link \
                     between one of them and another directory fail (EXDEV)"
                ),
            };
            self.draft.note(at, text);
        }
    }

    /// The entry that is drafted, as it would be written for another path.
    pub(super) fn spelled_at(&self, path: &str) -> String {
        self.current.as_ref().map_or_else(|| path.to_owned(), |mount| written::line(path, mount))
    }

    /// The line to write in place of one whose path leads through a link.
    pub(super) fn through_link(&self, path: &str) -> Option<String> {
        let place = place::behind_links(self.tree, self.host, path)?;
        Some(format!("name the place that the link leads to: {}", self.spelled_at(&place)))
    }

    /// Makes a directory of the sandbox's own and those above it.
    pub(super) fn directories(&mut self, path: &str, at: Span) {
        // A directory that is made, is an entry of its own or lies in one exists by then, with all
        // of its parents.
        let is_there = |directory: &str| {
            self.made.contains(directory)
                || (directory != path && self.tree.contains_key(directory))
        };
        let mut missing: Vec<&str> =
            ancestors(path).take_while(|directory| !is_there(directory)).collect();
        missing.reverse();
        for directory in missing {
            self.make_directory(directory, Mode(0o755), at);
        }
    }

    pub(super) fn make_directory(&mut self, path: &str, mode: Mode, at: Span) {
        if path != "/" && self.made.insert(path.to_owned()) {
            self.step(TreeOp::Dir { path: Name::new(path), mode }, at);
        }
    }

    /// The place of a path in the topmost of the layers around it, if that is no tree of the host's at
    /// its own path.
    fn topmost_at(&self, path: &str) -> Option<String> {
        let (over, node) = above(self.tree, path)?;
        let topmost = node.mount.layers()?.sources(over).pop().filter(|source| *source != over)?;
        Some(join(topmost, below(path, over)?))
    }

    pub(super) fn cannot_make(
        &mut self,
        path: &str,
        what: &str,
        base: &Base,
        help: &str,
        at: Span,
    ) {
        let over = above(self.tree, path).map_or("/", |(over, _)| over);
        let in_layer = self.topmost_at(path);
        let why = match base {
            Base::Host { .. } if in_layer.is_some() => {
                format!("{over} is merged from layers, and nothing but mount points is made there")
            }
            Base::Host { .. } => {
                format!("{over} is a tree of the host, and stockade makes nothing there")
            }
            Base::Kernel => format!("{over} is the kernel's"),
            Base::Nothing { what } => format!("{over} is {what}"),
            Base::Own { .. } => "it cannot be".into(),
        };
        let makes = self.current.map(|mount| mount.kind().makes(path));
        let help = match (&in_layer, makes) {
            (Some(place), Some(Makes::Link(text))) => {
                let (text, place) = (shell_word(text), shell_word(place));
                format!("make it in a layer: ln -s {text} {place}")
            }
            _ => self.through_link(path).unwrap_or_else(|| help.into()),
        };
        // A link of the host's is one of its system, as a directory is.
        let root = mixed::foreign(self.tree, self.host);
        let root = root.filter(|_| self.current.is_some_and(|mount| mount.grant(path).is_some()));
        let code = if root.is_some() { "mounts::mixed" } else { "mounts::below" };
        let problem =
            Problem::new(code, at, format!("cannot make {what} at {path}: {why}")).help(help);
        self.draft.problem(match root {
            Some(root) => problem.also(root.at, "this is the root"),
            None => problem,
        });
    }

    pub(super) fn absent(&mut self, path: &str, source: &str, errno: i32, at: Span) {
        let arrow = if path == source { String::new() } else { format!(" → {path}") };
        let verb = match self.current {
            Some(Mount::File(_)) => "copy",
            _ => "bind",
        };
        let problem = Problem::new(
            "mounts::source",
            at,
            format!("cannot {verb} {source}{arrow}: {}", errno_words(errno)),
        );
        let whole = self.current.filter(|mount| !mount.kind().may_be_missing());
        let skipped = whole.and_then(|mount| mount.kind().skipped());
        let skip = skipped.map(|skip| written::line(path, &skip));
        let help = place::absent_help(source, errno, skip);
        self.draft.problem(problem.label("asked for here").help(help));
    }
}
