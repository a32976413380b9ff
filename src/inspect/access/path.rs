//! A path as the target would walk it: modes and owners as its ids meet them, until something stops
//! it. The way itself is the walker's ([`crate::tree::walk`]).
//!
//! It looks at the host through [`HostFs`] alone, and judges nothing but the way; [`super::why`]
//! judges what is at its end.

use crate::host::FileKind;
use crate::inspect::access::facts::{HostFs, Seen};
use crate::inspect::access::query::{Decision, Mechanism, Reason};
use crate::inspect::access::{Entry, World, tail};
use crate::kernel::attrs::Attrs;
use crate::kernel::idmap::{Extent, Maps, outside};
use crate::kernel::name::Inode;
use crate::kernel::namespace::Kind;
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::language::value::{ancestors, below, join, parent};
use crate::step::Kernel;
use crate::text::problem::errno_words;
use crate::text::source::Span;
use crate::tree::walk::{self, Facts, Halt, Last, Looked, Position, Step};
use crate::tree::{Ground, Own, Source};

/// Something at a path inside.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedFile {
    /// Its path inside, without links.
    pub path: String,
    pub kind: FileKind,
    /// Owner and group as the mount shows them, in the host's ids; none: an owner that the mount's
    /// map does not hold.
    pub owner: (Option<u32>, Option<u32>),
    pub mode: u32,
    /// What its mount forbids.
    pub attrs: Attrs,
    /// Where it is on the host.
    pub host: Option<String>,
    /// Whether no copy of it can be made for a change, since a directory above it cannot be copied.
    pub fixed: bool,
    /// Whether there is an access list beside the mode.
    pub list: bool,
    /// Whether it is an empty cover.
    pub hidden: bool,
    /// Which file of the host it is; nothing of the host has 0.
    pub inode: Inode,
    /// The entry that shows it, and its line.
    pub over: String,
    /// The line of the entry.
    pub at: Span,
}

/// Where a walk ended.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    /// Every directory from the root on, and at the end what is there.
    pub way: Vec<ResolvedFile>,
    /// The names that are not there.
    pub missing: Vec<String>,
    /// Links that were followed, with their text.
    pub links: Vec<(String, String)>,
}

/// Bits of a mode that an act needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Read = 4,
    Write = 2,
    /// Execute, or search.
    Search = 1,
    /// Write and search: a name is made in a directory.
    Make = 3,
}

/// The target, as the host's modes meet it.
pub(crate) struct Walker<'a> {
    /// What the sandbox shows.
    pub world: &'a World<'a>,
    /// How the host is looked at.
    pub host_fs: &'a HostFs,
    groups: Vec<u32>,
}

impl<'a> Walker<'a> {
    /// The target of a world.
    pub(crate) fn new(world: &'a World<'a>, host_fs: &'a HostFs) -> Walker<'a> {
        let ids = &world.plan.ids;
        let mut groups = match &ids.maps {
            // Groups that the caller could not drop.
            Some(Maps { deny_setgroups: true, .. }) => host_fs.groups.clone(),
            Some(maps) => {
                ids.groups.iter().filter_map(|group| outside(&maps.gid, *group)).collect()
            }
            None if !world.plan.root => host_fs.groups.clone(),
            None => ids.groups.clone(),
        };
        groups.push(ids.host_group);
        Walker { world, host_fs, groups }
    }

    /// Walks a path from the root.
    pub(crate) fn walk(&self, path: &str) -> Result<Walk, Reason> {
        let world = self.world;
        if let Some(file) = world.plan.choice.of(Kind::Mount).joined() {
            let words = format!(
                "the tree is that of another mount namespace, {}, and is not known here",
                file.0
            );
            return Err(Reason::new(
                Mechanism::Mounts,
                Decision::Unknown,
                words,
                world.plan.choice.at(Kind::Mount),
            ));
        }
        let walked = walk::walk(&world.tree, &mut &*self, path, Last::Followed);
        let text = |link: &Step<'_, Entry, ResolvedFile>| link.kind.link().map(str::to_owned);
        let links = walked.links.iter();
        let links = links.filter_map(|link| Some((link.path.clone(), text(link)?))).collect();
        let way: Vec<ResolvedFile> = walked.way.into_iter().map(|step| step.file).collect();
        let denied =
            |words: String, at| Err(Reason::new(Mechanism::Mounts, Decision::Denies, words, at));
        match (walked.halt, way.last()) {
            (None, _) => Ok(Walk { way, missing: vec![], links }),
            (Some(Halt::Stop(reason)), _) => Err(reason),
            (Some(Halt::Errno(_)), None) => {
                denied("the sandbox has no root".to_owned(), Span::NOWHERE)
            }
            (Some(Halt::Errno(libc::ENOENT)), _) => Ok(Walk { way, missing: walked.rest, links }),
            (Some(Halt::Errno(errno)), Some(last)) => match walked.links.last() {
                Some(link) if errno == libc::ELOOP => {
                    denied(format!("{}: too many links", link.path), link.file.at)
                }
                _ if errno == libc::ENOTDIR => {
                    let words = format!("{} is {}, not a directory", last.path, last.kind.word());
                    denied(words, last.at)
                }
                _ => denied(format!("{path}: {}", errno_words(errno)), last.at),
            },
        }
    }

    /// Links in a shared sticky directory lead on for their owner, or the directory's, alone
    /// (proc_sys_fs(5)).
    fn may_follow(&self, directory: &ResolvedFile, link: &ResolvedFile) -> Result<(), Reason> {
        let shared = directory.mode & 0o1002 == 0o1002;
        let own = link.owner.0.is_some_and(|owner| {
            owner == self.world.plan.ids.host_user || directory.owner.0 == Some(owner)
        });
        if !self.host_fs.guarded_links || !shared || own {
            return Ok(());
        }
        let words = format!(
            "{} is a link of another user in a shared directory (fs.protected_symlinks)",
            link.path
        );
        Err(Reason::new(Mechanism::Permissions, Decision::Denies, words, link.at))
    }

    /// What Landlock allows at the end of a way: every rule on a path or a file from there up to
    /// the root.
    pub(crate) fn rights(&self, way: &[ResolvedFile]) -> (Rights, Span) {
        let (rights, at) =
            way.last().map_or((Rights(0), Span::NOWHERE), |last| self.world.rights(&last.path));
        let rules = self.world.rules_by_file.get_or_init(|| self.rules());
        let more = rules.iter().filter(|(inode, _)| way.iter().any(|thing| thing.inode == *inode));
        (more.fold(rights, |rights, (_, more)| rights.and(*more)), at)
    }

    /// Landlock's rules follow the file of the host, whatever path it is seen at.
    fn rules(&self) -> Vec<(Inode, Rights)> {
        let inode = |path: &str| {
            let found = walk::look(&self.world.tree, &mut &*self, path).ok()?;
            Some(found.file.inode).filter(|inode| *inode != Inode::default())
        };
        let ruled = self.world.ruled();
        ruled.filter_map(|(path, entry)| Some((inode(path)?, entry.rights))).collect()
    }

    // ---- what is there ----

    /// Something of the sandbox's own, where nothing else is known of it.
    fn thing(&self, position: Position<'_, Entry>) -> ResolvedFile {
        let ids = &self.world.plan.ids;
        let entry = position.node;
        ResolvedFile {
            path: position.path.into(),
            kind: FileKind::Directory,
            owner: (Some(ids.host_user), Some(ids.host_group)),
            mode: entry.mode.map_or(0o777, |mode| mode.0),
            attrs: self.world.mount(position.path).map_or(Attrs(0), |(_, mount)| mount.attrs),
            host: None,
            fixed: false,
            list: false,
            hidden: false,
            inode: Inode { dev: 0, ino: 0 },
            over: position.over.into(),
            at: entry.at,
        }
    }

    /// What is at a place of the host, as it is on the host.
    fn on_host(
        &self,
        position: Position<'_, Entry>,
        source: &Source,
        place: &str,
    ) -> Result<Option<ResolvedFile>, Reason> {
        let thing = self.thing(position);
        let at = thing.at;
        // Bound alone it is refused, so this is the host's whole tree, in which the target has a
        // process of its own.
        if let Some(tail) = below(place, "/proc").filter(|tail| !tail.is_empty()) {
            return self.proc(
                ResolvedFile { owner: (Some(0), Some(0)), ..thing },
                tail,
                HidePid::Off,
                false,
            );
        }
        if !source.recursive {
            let over = |mount: &&String| {
                below(place, mount).is_some()
                    && below(mount, &source.path).is_some_and(|tail| !tail.is_empty())
            };
            if let Some(mount) = self.host_fs.mounts.iter().find(over) {
                let words = format!(
                    "{mount} of the host is a mount that does not come along, and what is under it \
                     is not known"
                );
                return Err(Reason::new(Mechanism::Mounts, Decision::Unknown, words, at));
            }
        }
        let seen = match (self.host_fs.see)(place) {
            Ok(seen) => seen,
            Err(errno @ (libc::ENOENT | libc::ENOTDIR)) => {
                // A directory that is made first belongs to the caller.
                let mode = self.world.made(place).filter(|_| errno == libc::ENOENT);
                let host = || Some(place.to_owned());
                return Ok(mode.map(|mode| ResolvedFile { mode, host: host(), ..thing }));
            }
            Err(libc::EACCES) => {
                // By its mode the target may search this directory: it has a capability that the
                // caller lacks.
                let words = format!(
                    "the caller may not look at {place} of the host, and the target perhaps may"
                );
                return Err(Reason::new(Mechanism::Permissions, Decision::Unknown, words, at));
            }
            Err(errno) => {
                let words = format!("cannot look at {place} of the host: {}", errno_words(errno));
                return Err(Reason::new(Mechanism::Permissions, Decision::Unknown, words, at));
            }
        };
        let Seen { kind, inode, uid, gid, mode, attrs, list } = seen;
        let mut owner = source.shows((uid, gid));
        let (mut attrs, mut fixed) = (attrs, false);
        if let Some(is_shown) = self.in_copy(position, source, (uid, gid, mode)) {
            // It is a file of the sandbox's own file system.
            let attrs = thing.attrs.and(Attrs(attrs.0 & Attrs::NO_EXEC.0));
            let has_owner = self.copied(owner);
            let is_served = is_served(position.node);
            let own = (Some(self.world.plan.ids.host_user), Some(self.world.plan.ids.host_group));
            let (owner, mode) = match (has_owner, is_shown) {
                // All is the target's own; what its server may not open stays shut.
                (_, is_open) if is_served => (own, if is_open { mode & 0o7777 } else { 0 }),
                ((Some(_), Some(_)), true) => (owner, mode & 0o1777),
                // What it reads as another the target reads as the owner, if it is that.
                (_, true) => (own, mode & 0o1777 | (mode & 0o7) << 6 | 0o400),
                (_, false) => (own, 0),
            };
            let host = Some(place.into());
            return Ok(Some(ResolvedFile { kind, owner, mode, attrs, host, list, inode, ..thing }));
        }
        if is_written_on_top(position.node) {
            attrs = Attrs(attrs.0 & !Attrs::READ_ONLY.0);
            // Of what is there a copy is made for a change, and none with an owner that the user
            // namespace lacks (EOVERFLOW).
            let raw = ResolvedFile { owner, mode, list, ..self.thing(position) };
            let is_made = kind == FileKind::Directory && self.is_copied_up(position.path, &raw);
            owner = match self.copied(owner) {
                _ if is_made => thing.owner,
                // A directory of the sandbox's own is like it, or the target's.
                (None, _) | (_, None) if place == source.path || self.has_hidden(position.path) => {
                    thing.owner
                }
                owner => owner,
            };
            fixed = self.is_below_foreign(position);
        }
        Ok(Some(ResolvedFile {
            kind,
            owner,
            mode,
            attrs: thing.attrs.and(attrs),
            host: Some(place.into()),
            fixed,
            list,
            inode,
            ..thing
        }))
    }

    /// Whether a copy of layers has what a file of them has, or their server may open it; none: it is
    /// neither. Of one whose owner the copy cannot have it has what the target may read anyway, and a
    /// server has the target's ids.
    fn in_copy(
        &self,
        position: Position<'_, Entry>,
        source: &Source,
        (uid, gid, mode): (u32, u32, u32),
    ) -> Option<bool> {
        match &position.node.ground {
            Ground::Host(stack) if stack.is_copied().is_some() || stack.is_served() => {}
            Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same => return None,
        }
        let owner = source.shows((uid, gid));
        let is_top = position.path == position.over;
        let is_served = is_served(position.node);
        let has_owner = !is_served && matches!(self.copied(owner), (Some(_), Some(_)));
        let thing = ResolvedFile { owner, mode, ..self.thing(position) };
        Some(is_top || has_owner || self.permits(&thing, Need::Read as u32) == Some(true))
    }

    /// An owner and a group, as far as the user namespace has them.
    fn copied(&self, (user, group): (Option<u32>, Option<u32>)) -> (Option<u32>, Option<u32>) {
        let Some(maps) = &self.world.plan.ids.maps else { return (user, group) };
        (user.filter(|id| holds(&maps.uid, *id)), group.filter(|id| holds(&maps.gid, *id)))
    }

    /// Whether a layer of stockade's has a directory here, as a name below it is hidden.
    fn has_hidden(&self, path: &str) -> bool {
        let prefix = join(path, "/");
        let after = self.world.tree.range(prefix.clone()..);
        let mut within = after.take_while(|(other, _)| other.starts_with(&prefix));
        within.any(|(_, entry)| entry.ground == Ground::Own(Own::Whiteout))
    }

    /// Whether a directory is made in the upper before the start, which its layer has so.
    fn is_copied_up(&self, path: &str, layers: &ResolvedFile) -> bool {
        const OPEN: u32 = 0o005;
        const PASSED: u32 = 0o001;
        let steps = self.world.plan.steps.iter();
        let mut copied = steps.filter_map(|step| step.tree()?.facets().copied);
        let is_open = layers.mode & OPEN == OPEN;
        // One that leads on, and that nobody here may list, opens nothing.
        let leads_on =
            || layers.mode & PASSED != 0 && self.permits(layers, Need::Read as u32) == Some(false);
        copied.any(|(made, all)| match below(made.text(), path) {
            Some(_) => is_open || leads_on(),
            None => all && is_open && below(path, made.text()).is_some(),
        })
    }

    /// Whether a directory between a path of merged layers and their top has an owner that the user
    /// namespace lacks: for a change of what is in it a copy of it would be made.
    fn is_below_foreign(&self, position: Position<'_, Entry>) -> bool {
        let stack = match &position.node.ground {
            Ground::Host(stack) => stack,
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => return false,
        };
        let above = ancestors(parent(position.path)).take_while(|above| *above != position.over);
        let above = above.filter(|above| !self.has_hidden(above));
        above.filter_map(|above| Some((above, below(above, position.over)?))).any(
            |(above, tail)| {
                let mut seen = stack.topmost_first().filter_map(|source| {
                    let Seen { uid, gid, mode, list, .. } =
                        (self.host_fs.see)(&join(&source.path, tail)).ok()?;
                    let owner = source.shows((uid, gid));
                    let raw = ResolvedFile { owner, mode, list, ..self.thing(position) };
                    let is_made = self.is_copied_up(above, &raw);
                    let owner = self.copied(owner);
                    Some(if is_made { (Some(uid), Some(gid)) } else { owner })
                });
                seen.next().is_some_and(|(user, group)| user.is_none() || group.is_none())
            },
        )
    }

    /// What is in a file system of the kernel's.
    fn in_kernel(
        &self,
        position: Position<'_, Entry>,
        kernel: &Kernel,
    ) -> Result<Option<ResolvedFile>, Reason> {
        let tail = tail(position.path, position.over);
        let thing = self.thing(position);
        let roots = |thing: ResolvedFile| ResolvedFile { owner: (Some(0), Some(0)), ..thing };
        match kernel {
            Kernel::Proc { hidepid, only_processes } => {
                self.proc(roots(thing), tail, *hidepid, *only_processes)
            }
            Kernel::Sysfs => self.sysfs(roots(thing), tail),
            Kernel::Devpts => Ok(match tail {
                "" => Some(roots(thing)),
                "/ptmx" => {
                    Some(roots(ResolvedFile { kind: FileKind::Device, mode: 0o666, ..thing }))
                }
                _ => None,
            }),
            Kernel::Mqueue => Ok(tail.is_empty().then_some(thing)),
        }
    }

    // ---- modes ----

    /// Why the mode, the owner and the ids of the target do not let it, if they do not.
    pub(crate) fn refuses(&self, thing: &ResolvedFile, need: Need) -> Option<Reason> {
        let words = |why: &str| {
            let owner = |id: Option<u32>| id.map_or("unmapped".to_owned(), |id| id.to_string());
            let what = match (&thing.host, need) {
                (Some(host), _) => format!("the host's {host}"),
                (None, _) => thing.path.clone(),
            };
            let to = match need {
                Need::Read => "be read",
                Need::Write => "be written",
                Need::Search if thing.kind == FileKind::Directory => "be walked through",
                Need::Search => "be executed",
                Need::Make => "be added to",
            };
            let (user, group) = thing.owner;
            let ids = &self.world.plan.ids;
            format!(
                "{what} (mode {:04o}, owner {}:{}) cannot {to} by {}:{}{why}",
                thing.mode,
                owner(user),
                owner(group),
                ids.host_user,
                ids.host_group
            )
        };
        let says = match self.permits(thing, need as u32) {
            // Some files of proc look at the call again (proc_net_open() of the kernel).
            Some(true)
                if need == Need::Write && self.is_of_proc(thing) && thing.mode & 0o222 == 0 =>
            {
                (
                    Decision::Unknown,
                    format!(
                        "{} is written by virtue of a capability, and may refuse it",
                        thing.path
                    ),
                )
            }
            Some(true) => return None,
            Some(false) => (Decision::Denies, words("")),
            None if thing.list => {
                (Decision::Unknown, words(", by the mode; its access list may say otherwise"))
            }
            None => {
                (Decision::Unknown, "the ids of a joined user namespace are not known here".into())
            }
        };
        Some(Reason::new(Mechanism::Permissions, says.0, says.1, thing.at))
    }

    /// Whether a file of another owner's in merged layers, of which no copy is made for a change, may
    /// be removed, and another made in its place.
    pub(crate) fn can_be_replaced(&self, walk: &Walk) -> bool {
        let [.., directory, thing] = walk.way.as_slice() else { return false };
        // An entry is a mount point (EBUSY).
        let is_in_layers = self.world.tree.get(&thing.path).is_none()
            && self.world.tree.get(&directory.over).is_some_and(is_written_on_top);
        let is_kept = thing.fixed || thing.owner.0.is_none() || thing.owner.1.is_none();
        // In a sticky directory its owner alone removes what is another's.
        let is_sticky = directory.mode & 0o1000 != 0
            && directory.owner.0 != Some(self.world.plan.ids.host_user);
        walk.missing.is_empty()
            && is_in_layers
            && is_kept
            && !is_sticky
            && self.permits(directory, Need::Make as u32) == Some(true)
    }

    /// path_resolution(7), and inode_permission() of the kernel for mapped mounts; none: not known.
    fn permits(&self, thing: &ResolvedFile, bits: u32) -> Option<bool> {
        let plan = self.world.plan;
        if plan.choice.of(Kind::User).joined().is_some() {
            let all = bits * 0o111;
            return if thing.mode & all == all { Some(true) } else { None };
        }
        // The owner cannot be written back to a file whose owner the mount's map does not hold.
        if bits & 2 != 0 && (thing.fixed || thing.owner.0.is_none() || thing.owner.1.is_none()) {
            return Some(false);
        }
        if thing.owner.0 == Some(plan.ids.host_user) {
            return Some(thing.mode >> 6 & bits == bits || self.overrides(thing, bits));
        }
        if thing.list && !self.overrides(thing, bits) {
            return None;
        }
        let group = thing.owner.1.is_some_and(|group| self.groups.contains(&group));
        let class = if group { thing.mode >> 3 } else { thing.mode };
        Some(class & bits == bits || self.overrides(thing, bits))
    }

    /// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, over files whose owner and group the user
    /// namespace has (capabilities(7)).
    fn overrides(&self, thing: &ResolvedFile, bits: u32) -> bool {
        const DAC_OVERRIDE: u8 = 1;
        const DAC_READ_SEARCH: u8 = 2;
        let has = |extents: &[Extent], id: Option<u32>| id.is_some_and(|id| holds(extents, id));
        let capabilities = self.world.capabilities();
        let in_reach = self
            .world
            .plan
            .ids
            .maps
            .as_ref()
            .is_none_or(|maps| has(&maps.uid, thing.owner.0) && has(&maps.gid, thing.owner.1));
        let directory = thing.kind == FileKind::Directory;
        let runs = directory || bits & 1 == 0 || thing.mode & 0o111 != 0;
        let reads = bits == 4 || (directory && bits & 2 == 0);
        in_reach
            && ((capabilities.has(DAC_OVERRIDE) && runs)
                || (capabilities.has(DAC_READ_SEARCH) && reads))
    }
}

/// Whether a user namespace has an id of the host.
fn holds(extents: &[Extent], id: u32) -> bool {
    extents.iter().any(|extent| id >= extent.outside && id - extent.outside < extent.count)
}

/// Whether fuse-overlayfs shows what is there.
fn is_served(entry: &Entry) -> bool {
    match &entry.ground {
        Ground::Host(stack) => stack.is_served(),
        Ground::Own(_) | Ground::Kernel(_) | Ground::Same => false,
    }
}

/// Whether what is written there goes to an upper of the sandbox's.
pub(super) fn is_written_on_top(entry: &Entry) -> bool {
    match &entry.ground {
        Ground::Host(stack) => stack.upper().is_some(),
        Ground::Own(_) | Ground::Kernel(_) | Ground::Same => false,
    }
}

/// The file, or ENOENT.
fn looked(thing: Result<Option<ResolvedFile>, Reason>) -> Looked<ResolvedFile, Reason> {
    match thing {
        Ok(Some(thing)) => Ok((walk::Kind::File(thing.kind.clone()), thing)),
        Ok(None) => Err(Halt::Errno(libc::ENOENT)),
        Err(reason) => Err(Halt::Stop(reason)),
    }
}

impl Facts<Entry> for &Walker<'_> {
    type File = ResolvedFile;
    type Stop = Reason;

    fn host(
        &mut self,
        position: Position<'_, Entry>,
        source: &Source,
        place: &str,
    ) -> Looked<ResolvedFile, Reason> {
        looked(self.on_host(position, source, place))
    }

    fn is_opaque(&mut self, place: &str) -> Result<bool, Halt<Reason>> {
        Ok(crate::probe::is_opaque(place))
    }

    fn kernel(
        &mut self,
        position: Position<'_, Entry>,
        kernel: &Kernel,
    ) -> Looked<ResolvedFile, Reason> {
        looked(self.in_kernel(position, kernel))
    }

    fn own(&mut self, position: Position<'_, Entry>, kind: &FileKind) -> ResolvedFile {
        let hidden = position.node.ground.nature().hidden;
        ResolvedFile { kind: kind.clone(), hidden, ..self.thing(position) }
    }

    fn enter(&mut self, directory: &Step<'_, Entry, ResolvedFile>) -> Result<(), Halt<Reason>> {
        self.refuses(&directory.file, Need::Search).map_or(Ok(()), |reason| Err(Halt::Stop(reason)))
    }

    fn follow(
        &mut self,
        directory: &Step<'_, Entry, ResolvedFile>,
        link: &Step<'_, Entry, ResolvedFile>,
        at_end: bool,
    ) -> Result<(), Halt<Reason>> {
        // In the middle of a path the kernel asks nothing (may_follow_link(); measured on 6.12).
        if !at_end {
            return Ok(());
        }
        self.may_follow(&directory.file, &link.file).map_err(Halt::Stop)
    }
}
