//! A path as the target would walk it: links followed inside, modes and owners as its ids meet
//! them, until something stops it.
//!
//! It looks at the host through [`Eyes`] alone, and judges nothing but the way; [`super::why`]
//! judges what stands at its end.

use crate::host::FileKind;
use crate::inspect::walls::facts::{Eyes, Seen};
use crate::inspect::walls::query::{Reason, Says, Wall, ends_in_directory};
use crate::inspect::walls::{Entry, HostTree, Shows, World, tail};
use crate::kernel::attrs::Attrs;
use crate::kernel::idmap::{Extent, Maps};
use crate::kernel::name::Inode;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::language::value::{below, join};
use crate::step::Cover;
use crate::text::source::Span;

/// Something at a path inside.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
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
    /// Whether an access list stands beside the mode.
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
    pub way: Vec<Thing>,
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

/// How many links a path may have (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The target, as the host's modes meet it.
pub(crate) struct Walker<'a> {
    /// What the sandbox shows.
    pub world: &'a World<'a>,
    /// How the host is looked at.
    pub eyes: &'a Eyes,
    groups: Vec<u32>,
    /// Landlock's rules follow the file of the host, whatever path it is seen at.
    rules: Vec<(Inode, Rights)>,
}

impl<'a> Walker<'a> {
    /// The target of a world.
    pub(crate) fn new(world: &'a World<'a>, eyes: &'a Eyes) -> Walker<'a> {
        let ids = &world.plan.ids;
        let mut groups = match &ids.maps {
            // What the caller could not drop.
            Some(Maps { deny_setgroups: true, .. }) => eyes.groups.clone(),
            Some(maps) => {
                ids.groups.iter().filter_map(|group| outside(&maps.gid, *group)).collect()
            }
            None if !world.plan.root => eyes.groups.clone(),
            None => ids.groups.clone(),
        };
        groups.push(ids.host_group);
        let mut walker = Walker { world, eyes, groups, rules: vec![] };
        let inode = |path: &str| {
            walker
                .look(path)
                .ok()
                .flatten()
                .map(|thing| thing.inode)
                .filter(|inode| *inode != Inode::default())
        };
        walker.rules =
            world.ruled().filter_map(|(path, entry)| Some((inode(path)?, entry.rights))).collect();
        walker
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
                Wall::Mounts,
                Says::CannotTell,
                words,
                world.plan.choice.at(Kind::Mount),
            ));
        }
        let Some(root) = self.look("/")? else {
            return Err(Reason::new(
                Wall::Mounts,
                Says::Denies,
                "the sandbox has no root",
                Span::NOWHERE,
            ));
        };
        let mut walk = Walk { way: vec![root], missing: vec![], links: vec![] };
        let mut left: Vec<String> = names(path);
        while let Some(name) = left.pop() {
            let here = &walk.way[walk.way.len() - 1];
            if here.kind != FileKind::Folder {
                let words = format!("{} is {}, not a directory", here.path, here.kind.word());
                return Err(Reason::new(Wall::Mounts, Says::Denies, words, here.at));
            }
            if let Some(reason) = self.refuses(here, Need::Search) {
                return Err(reason);
            }
            match name.as_str() {
                ".." if walk.way.len() > 1 => drop(walk.way.pop()),
                ".." | "." => {}
                name => {
                    let path = join(&here.path, &format!("/{name}"));
                    let Some(thing) = self.look(&path)? else {
                        walk.missing = std::iter::once(name.to_owned())
                            .chain(left.into_iter().rev())
                            .collect();
                        return Ok(walk);
                    };
                    let FileKind::Link(text) = &thing.kind else {
                        walk.way.push(thing);
                        continue;
                    };
                    self.may_follow(here, &thing)?;
                    if walk.links.len() == MOST_LINKS {
                        return Err(Reason::new(
                            Wall::Mounts,
                            Says::Denies,
                            format!("{path}: too many links"),
                            thing.at,
                        ));
                    }
                    walk.links.push((path, text.clone()));
                    left.extend(ends_in_directory(text).then(|| ".".to_owned()));
                    left.extend(names(text));
                    if text.starts_with('/') {
                        walk.way.truncate(1);
                    }
                }
            }
        }
        Ok(walk)
    }

    /// Links in a shared sticky directory lead on for their owner, or the directory's, alone
    /// (proc_sys_fs(5)).
    fn may_follow(&self, folder: &Thing, link: &Thing) -> Result<(), Reason> {
        let shared = folder.mode & 0o1002 == 0o1002;
        let own = link.owner.0.is_some_and(|owner| {
            owner == self.world.plan.ids.host_user || folder.owner.0 == Some(owner)
        });
        if !self.eyes.guarded_links || !shared || own {
            return Ok(());
        }
        let words = format!(
            "{} is a link of somebody else's in a shared directory (fs.protected_symlinks)",
            link.path
        );
        Err(Reason::new(Wall::Permissions, Says::Denies, words, link.at))
    }

    /// What Landlock allows at the end of a way: every rule on a path or a file from there up to
    /// the root.
    pub(crate) fn rights(&self, way: &[Thing]) -> (Rights, Span) {
        let (rights, at) =
            way.last().map_or((Rights(0), Span::NOWHERE), |last| self.world.rights(&last.path));
        let more =
            self.rules.iter().filter(|(inode, _)| way.iter().any(|thing| thing.inode == *inode));
        (more.fold(rights, |rights, (_, more)| rights.and(*more)), at)
    }

    // ---- what is there ----

    fn look(&self, path: &str) -> Result<Option<Thing>, Reason> {
        let Some((over, entry)) = self.world.shown(path) else { return Ok(None) };
        let attrs = self.world.mount(path).map_or(Attrs(0), |(_, mount)| mount.attrs);
        let ids = &self.world.plan.ids;
        let thing = Thing {
            path: path.into(),
            kind: FileKind::Folder,
            owner: (Some(ids.host_user), Some(ids.host_group)),
            mode: entry.mode.map_or(0o777, |mode| mode.0),
            attrs,
            host: None,
            list: false,
            hidden: false,
            inode: Inode { dev: 0, ino: 0 },
            over: over.into(),
            at: entry.at,
        };
        let tail = tail(path, over);
        let kernels = |thing: Thing| Thing { owner: (Some(0), Some(0)), ..thing };
        // It has nothing below it.
        let alone = |thing: Thing| Ok(tail.is_empty().then_some(thing));
        match &entry.shows {
            Shows::Host(tree) => self.host(thing, tree, tail, entry),
            Shows::Proc { hidepid, only_processes } => {
                self.proc(kernels(thing), tail, hidepid, *only_processes)
            }
            Shows::Sysfs => self.sysfs(kernels(thing), tail),
            Shows::Devpts if tail == "/ptmx" => {
                Ok(Some(kernels(Thing { kind: FileKind::Device, mode: 0o666, ..thing })))
            }
            Shows::Devpts => alone(kernels(thing)),
            Shows::Link(text) => alone(Thing { kind: FileKind::Link(text.clone()), ..thing }),
            Shows::File(_) => alone(Thing { kind: FileKind::Regular, ..thing }),
            Shows::Hidden(cover) => {
                let kind = match cover {
                    Cover::Folder => FileKind::Folder,
                    Cover::File => FileKind::Regular,
                };
                alone(Thing { kind, hidden: true, ..thing })
            }
            Shows::Root | Shows::Memory { .. } | Shows::Folder | Shows::Mqueue | Shows::Same => {
                alone(thing)
            }
        }
    }

    fn host(
        &self,
        thing: Thing,
        tree: &HostTree,
        tail: &str,
        entry: &Entry,
    ) -> Result<Option<Thing>, Reason> {
        let path = join(&tree.source, tail);
        // Bound alone it is refused, so this is the host's whole tree, in which the target has a
        // process of its own.
        if let Some(tail) = below(&path, "/proc").filter(|tail| !tail.is_empty()) {
            return self.proc(Thing { owner: (Some(0), Some(0)), ..thing }, tail, "off", false);
        }
        if !tree.recursive {
            let over = |mount: &&String| {
                below(&path, mount).is_some()
                    && below(mount, &tree.source).is_some_and(|tail| !tail.is_empty())
            };
            if let Some(mount) = self.eyes.mounts.iter().find(over) {
                let words = format!(
                    "{mount} of the host is a mount that does not come along, and what is under it \
                     is not known"
                );
                return Err(Reason::new(Wall::Mounts, Says::CannotTell, words, entry.at));
            }
        }
        let seen = match (self.eyes.see)(&path) {
            Ok(seen) => seen,
            // A directory that is made first belongs to the caller.
            Err(libc::ENOENT) if tree.made && tail.is_empty() => {
                return Ok(Some(Thing { mode: 0o755, host: Some(path), ..thing }));
            }
            Err(libc::ENOENT | libc::ENOTDIR) => return Ok(None),
            Err(libc::EACCES) => {
                // By its mode the target may walk here: it has a capability that the caller has
                // not.
                let words = format!(
                    "the caller may not look at {path} of the host, and the target perhaps may"
                );
                return Err(Reason::new(Wall::Permissions, Says::CannotTell, words, entry.at));
            }
            Err(errno) => {
                let words = format!(
                    "cannot look at {path} of the host: {}",
                    crate::text::problem::errno_words(errno)
                );
                return Err(Reason::new(Wall::Permissions, Says::CannotTell, words, entry.at));
            }
        };
        let Seen { kind, inode, uid, gid, mode, attrs, list } = seen;
        let owner = match tree.mapped {
            None => (Some(uid), Some(gid)),
            Some((disk, ids)) => {
                ((uid == disk.0).then_some(ids.0), (gid == disk.1).then_some(ids.1))
            }
        };
        Ok(Some(Thing {
            kind,
            owner,
            mode,
            attrs: thing.attrs.and(attrs),
            host: Some(path),
            list,
            inode,
            ..thing
        }))
    }

    // ---- modes ----

    /// Why the mode, the owner and the ids of the target do not let it, if they do not.
    pub(crate) fn refuses(&self, thing: &Thing, need: Need) -> Option<Reason> {
        let words = |why: &str| {
            let owner = |id: Option<u32>| id.map_or("nobody here".to_owned(), |id| id.to_string());
            let what = match (&thing.host, need) {
                (Some(host), _) => format!("the host's {host}"),
                (None, _) => thing.path.clone(),
            };
            let to = match need {
                Need::Read => "be read",
                Need::Write => "be written",
                Need::Search if thing.kind == FileKind::Folder => "be walked through",
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
                    Says::CannotTell,
                    format!(
                        "{} is written by virtue of a capability, and may refuse it",
                        thing.path
                    ),
                )
            }
            Some(true) => return None,
            Some(false) => (Says::Denies, words("")),
            None if thing.list => {
                (Says::CannotTell, words(", by the mode; its access list may say otherwise"))
            }
            None => {
                (Says::CannotTell, "the ids of a joined user namespace are not known here".into())
            }
        };
        Some(Reason::new(Wall::Permissions, says.0, says.1, thing.at))
    }

    /// path_resolution(7), and inode_permission() of the kernel for mapped mounts; none: not known.
    fn permits(&self, thing: &Thing, bits: u32) -> Option<bool> {
        let plan = self.world.plan;
        if plan.choice.of(Kind::User).joined().is_some() {
            let all = bits * 0o111;
            return if thing.mode & all == all { Some(true) } else { None };
        }
        // The owner cannot be written back to a file whose owner the mount's map does not hold.
        if bits & 2 != 0 && (thing.owner.0.is_none() || thing.owner.1.is_none()) {
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
    fn overrides(&self, thing: &Thing, bits: u32) -> bool {
        const DAC_OVERRIDE: u8 = 1;
        const DAC_READ_SEARCH: u8 = 2;
        let has = |extents: &[Extent], id: Option<u32>| {
            id.is_some_and(|id| {
                extents
                    .iter()
                    .any(|extent| id >= extent.outside && id - extent.outside < extent.count)
            })
        };
        let capabilities = self.world.capabilities();
        let in_reach = self
            .world
            .plan
            .ids
            .maps
            .as_ref()
            .is_none_or(|maps| has(&maps.uid, thing.owner.0) && has(&maps.gid, thing.owner.1));
        let folder = thing.kind == FileKind::Folder;
        let runs = folder || bits & 1 == 0 || thing.mode & 0o111 != 0;
        let reads = bits == 4 || (folder && bits & 2 == 0);
        in_reach
            && ((capabilities.has(DAC_OVERRIDE) && runs)
                || (capabilities.has(DAC_READ_SEARCH) && reads))
    }
}

/// The host's id behind one inside.
pub(crate) fn outside(extents: &[Extent], id: u32) -> Option<u32> {
    extents
        .iter()
        .find(|extent| id >= extent.inside && id - extent.inside < extent.count)
        .map(|extent| extent.outside + (id - extent.inside))
}

/// The names of a path, the last first.
fn names(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}
