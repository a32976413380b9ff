//! What the finished sandbox allows, read off a plan: the file tree with its access, the filter,
//! capabilities, network, environment.
//!
//! It decides nothing and acts on nothing. [`crate::inspect::view`] draws it,
//! [`crate::inspect::exposure`] weighs it, [`why`] answers questions about it.

#![deny(clippy::wildcard_enum_match_arm)]

pub(crate) mod behind;
pub(crate) mod change;
pub(crate) mod facts;
mod kernel;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod stays;
pub(crate) mod why;

use crate::kernel::attrs::Attrs;
use crate::kernel::capability::{Capability, CapabilitySet};
use crate::kernel::idmap::MountMap;
use crate::kernel::name::{Inode, Name};
use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, Room, ancestors, below, join};
use crate::plan::Plan;
use crate::policy::namespaces::Namespace;
use crate::profile::Profile;
use crate::step::{Cover, InLayer, OutsideOp, Slot, TreeOp, UpperPlace};
use crate::text::gather::Gather;
use crate::text::source::Span;
use crate::tree::ancestry::Ancestry;
use crate::tree::{Ground, HasGround, Own, Source, Stack, Top, Tree};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// One path of the tree, with what decides there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub ground: Ground,
    /// The mode, where stockade gives it.
    pub mode: Option<Mode>,
    /// Whether it is a mount of its own.
    pub mount: bool,
    /// The attributes of the mount that it is, or lies on.
    pub attrs: Attrs,
    /// What Landlock's rule on this very path allows, and the line of the rule.
    pub rights: Rights,
    /// The line that asked for it; nowhere: by default.
    pub at: Span,
}

impl HasGround for Entry {
    fn ground(&self) -> &Ground {
        &self.ground
    }
}

/// What is nearest to a path.
#[derive(Debug, Clone)]
struct Around {
    /// The node that shows something of its own, by its number.
    shown: Option<usize>,
    /// The mount.
    mount: Option<usize>,
    /// What Landlock's rules allow here, and the line of the nearest.
    rights: (Rights, Span),
}

/// Everything that the sandbox allows.
#[derive(Debug, Clone)]
pub struct World<'a> {
    /// The plan that it is read off.
    pub plan: &'a Plan,
    /// Every path that the plan speaks of; empty where the tree is that of a joined namespace.
    pub tree: Tree<Entry>,
    near: Ancestry<Around>,
    /// Landlock's rules by the files of the host, once a question asked for them.
    rules_by_file: OnceCell<Vec<(Inode, Rights)>>,
}

impl<'a> World<'a> {
    /// Reads a plan; the profile says which directories it names itself, and which exist only as
    /// parents of its entries.
    pub fn new(plan: &'a Plan, profile: &Profile) -> World<'a> {
        let mut tree = Tree::new(same(Attrs(0), false, Span::NOWHERE));
        if plan.choice.is_new(Kind::Mount) {
            let mut sources = Sources {
                opened: BTreeMap::new(),
                uppers: BTreeMap::new(),
                root: (Room::Bytes(0), 0),
                hidden: BTreeMap::new(),
            };
            plan.tree().for_each(|(op, at)| apply_step(&mut tree, &mut sources, op, at, plan));
            settle(&mut tree);
            let implied = |(path, entry): &(&String, &mut Entry)| {
                entry.ground == Ground::Own(Own::Directory) && profile.mounts.get(path).is_none()
            };
            tree.iter_mut().filter(implied).for_each(|(_, entry)| entry.at = Span::NOWHERE);
        } else if *plan.choice.of(Kind::Mount) == Namespace::Host {
            let at = plan.choice.at(Kind::Mount);
            tree.insert(
                "/".into(),
                Entry {
                    ground: Ground::Host(Stack::one(Source::new("/"))),
                    mode: None,
                    mount: true,
                    attrs: Attrs(0),
                    rights: Rights(0),
                    at,
                },
            );
        }
        rule(&mut tree, plan);
        let near = near(&tree);
        World { plan, tree, near, rules_by_file: OnceCell::new() }
    }

    /// The mode of the directory that the plan makes at this place of the host's, where it does.
    pub(crate) fn made(&self, place: &str) -> Option<u32> {
        let mut made = self.plan.tree().filter_map(|(op, _)| op.facets().made);
        made.find(|made| made.path.text() == place).map(|made| made.mode)
    }

    /// Whether the tree is the sandbox's own.
    pub fn has_tree(&self) -> bool {
        self.plan.choice.is_new(Kind::Mount)
    }

    /// Whether Landlock rules over files.
    pub fn is_ruled(&self) -> bool {
        self.plan.landlock.is_some_and(|ruleset| ruleset.handled != Rights(0))
    }

    /// Whether Landlock's rules for ports let one be used; none: no rule is about that use.
    pub fn port(&self, access: u64, port: u16) -> Option<(bool, Span)> {
        self.plan.landlock.filter(|ruleset| ruleset.ports & access != 0)?;
        let rule = self.plan.port_rule(access, port);
        Some((rule.is_some(), rule.unwrap_or(Span::NOWHERE)))
    }

    /// The deepest entry at or above a path that shows something of its own.
    pub fn shown(&self, path: &str) -> Option<(&str, &Entry)> {
        self.entry(self.near.path(self.near.at(path)?.1.shown?))
    }

    /// The deepest mount at or above a path.
    pub fn mount(&self, path: &str) -> Option<(&str, &Entry)> {
        self.entry(mount(&self.near, path)?)
    }

    /// The deepest path of the tree at or above one.
    pub fn over(&self, path: &str) -> Option<&str> {
        self.near.at(path).map(|(path, _)| path)
    }

    fn entry(&self, path: &str) -> Option<(&str, &Entry)> {
        self.tree.get_key_value(path).map(|(path, entry)| (path.as_str(), entry))
    }

    /// What Landlock allows at a path: its rules add up from there to the root (landlock(7)). The
    /// line is that of the nearest rule.
    pub fn rights(&self, path: &str) -> (Rights, Span) {
        self.near.at(path).map_or((Rights(0), Span::NOWHERE), |(_, around)| around.rights)
    }

    /// Paths with a rule of Landlock.
    pub fn ruled(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.tree
            .iter()
            .filter(|(_, entry)| entry.rights != Rights(0))
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// The capabilities that the target has once it is executed, and those that it could have.
    ///
    /// execve(2) leaves a target that is not root inside with the ambient set alone
    /// (capabilities(7)); nothing inside has file capabilities, for every mount is nosuid.
    pub fn capabilities(&self) -> Capabilities {
        let (keep, ambient, bits, _) = self.plan.capabilities().unwrap_or_default();
        const NOROOT: u32 = 1;
        let root_inside = self.plan.ids.user == 0 && bits & NOROOT == 0;
        Capabilities { kept: keep, effective: if root_inside { keep } else { ambient } }
    }

    /// Whether the user namespace is the host's, so that a capability is one over the host.
    pub fn is_host_user(&self) -> bool {
        *self.plan.choice.of(Kind::User) == Namespace::Host
    }

    pub fn network(&self) -> (&Namespace, Span) {
        (self.plan.choice.of(Kind::Net), self.plan.choice.at(Kind::Net))
    }
}

/// The capabilities of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The bounding, permitted and inheritable sets before execve(2).
    pub kept: CapabilitySet,
    /// What is in force after it.
    pub effective: CapabilitySet,
}

impl Capabilities {
    /// Whether one is in force.
    pub fn has(self, number: u8) -> bool {
        self.effective.0 & Capability(number).bit() != 0
    }
}

/// What is in the slots of a plan.
struct Sources {
    /// What is opened on the host, with its attributes.
    opened: BTreeMap<usize, (Source, Attrs)>,
    /// Where goes what is written on top of layers.
    uppers: BTreeMap<usize, Top>,
    /// How much memory the root has, and how many files and directories.
    root: (Room, u64),
    /// The names that a layer of stockade's hides in those below it, with the lines that ask for
    /// that.
    hidden: BTreeMap<usize, Vec<(Name, Span)>>,
}

/// How the owners on disk of what is in a slot are shown, where they are mapped.
fn mapped(plan: &Plan, of: Slot) -> Option<MountMap> {
    plan.outside.iter().find_map(|step| match &step.op {
        OutsideOp::IdMapMount { slot, map, .. } => (*slot == of).then(|| map.clone()),
        OutsideOp::Watch
        | OutsideOp::HoldIds { .. }
        | OutsideOp::EnterName { .. }
        | OutsideOp::MapIds(_)
        | OutsideOp::Undumpable
        | OutsideOp::Go
        | OutsideOp::Sweep { .. } => None,
    })
}

/// Attributes of what holds no programs and no devices.
const INERT: Attrs = Attrs::NO_SUID.and(Attrs::NO_DEV).and(Attrs::NO_EXEC);

/// Adds what one step puts into the tree.
fn apply_step(tree: &mut Tree<Entry>, sources: &mut Sources, op: &TreeOp, at: Span, plan: &Plan) {
    let mut put = |path: &str, ground, mode: Option<Mode>, attrs: Option<Attrs>| {
        let entry = Entry {
            ground,
            mode,
            mount: attrs.is_some(),
            attrs: attrs.unwrap_or_default(),
            rights: Rights(0),
            at,
        };
        tree.insert(path.to_owned(), entry);
    };
    match op {
        TreeOp::HostDirectory { .. } | TreeOp::HoldState { .. } => {}
        TreeOp::OpenState { slot, directory, attrs, .. } => {
            let mapped = mapped(plan, *slot);
            let made =
                Source { mapped, recursive: false, made: true, ..Source::new(directory.text()) };
            sources.opened.insert(slot.0, (made, *attrs));
        }
        TreeOp::OpenMade { slot, path, attrs, .. } => {
            let mapped = mapped(plan, *slot);
            let source = Source { mapped, made: true, ..Source::new(path.text()) };
            sources.opened.insert(slot.0, (source, *attrs));
        }
        TreeOp::OpenTree { slot, source, recursive, attrs, .. } => {
            let mapped = mapped(plan, *slot);
            let source = Source { mapped, recursive: *recursive, ..Source::new(source.text()) };
            sources.opened.insert(slot.0, (source, *attrs));
        }
        TreeOp::Root { limits: None, attrs } => {
            put("/", Ground::Own(Own::Root), Some(Mode(0o755)), Some(*attrs))
        }
        TreeOp::Root { limits: Some((size, inodes)), attrs } => {
            sources.root = (*size, *inodes);
            put(
                "/",
                Ground::Own(Own::Memory { size: *size, inodes: *inodes }),
                Some(Mode(0o755)),
                Some(*attrs),
            );
        }
        TreeOp::Dir { path, mode } => {
            put(path.text(), Ground::Own(Own::Directory), Some(*mode), None)
        }
        TreeOp::Symlink { path, target } => {
            put(path.text(), Ground::Own(Own::Link(target.text().into())), None, None)
        }
        TreeOp::File { path, content, mode } => {
            put(path.text(), Ground::Own(Own::File(content.clone())), Some(*mode), None)
        }
        TreeOp::Mount { fs, path, attrs, .. } => {
            put(path.text(), Ground::from(fs), Some(fs.mode()), Some(*attrs))
        }
        TreeOp::Attach { slot, path, .. } => {
            if let Some((source, attrs)) = sources.opened.get(&slot.0) {
                put(path.text(), Ground::Host(Stack::one(source.clone())), None, Some(*attrs));
            }
        }
        TreeOp::Upper { slot, size, inodes } => {
            sources.uppers.insert(slot.0, Top::Memory { size: *size, inodes: *inodes });
        }
        TreeOp::HoldUpper { slot, directory, kept, .. } => {
            let directory = directory.text().to_owned();
            sources.uppers.insert(slot.0, Top::Disk { directory, kept: *kept });
        }
        TreeOp::OpenUpper { slot, held, .. } => {
            if let Some(top) = sources.uppers.get(&held.0).cloned() {
                sources.uppers.insert(slot.0, top);
            }
        }
        TreeOp::UpperInRoot { slot } => {
            let (size, inodes) = sources.root;
            sources.uppers.insert(slot.0, Top::Memory { size, inodes });
        }
        TreeOp::InLayer { slot, path, what: InLayer::Whiteout } => {
            sources.hidden.entry(slot.0).or_default().push((path.clone(), at));
        }
        TreeOp::Merge { path, mask, layers, upper, attrs, .. } => {
            let upper = upper.as_ref();
            layered(tree, sources, (path, layers, *mask), upper, (*attrs, None, false), at);
        }
        TreeOp::Serve { path, mask, layers, upper, attrs, .. } => {
            let upper = upper.as_ref();
            layered(tree, sources, (path, layers, *mask), upper, (*attrs, None, true), at);
        }
        TreeOp::CopyLayers { path, mask, layers, upper, attrs, because, .. } => {
            // What the target may not write has a place as well.
            let upper = Some(upper).filter(|_| !attrs.has(Attrs::READ_ONLY));
            let how = (*attrs, Some(because.as_str()), false);
            layered(tree, sources, (path, layers, *mask), upper, how, at);
        }
        // Nothing may be there, and if it is, it stays what it is.
        TreeOp::Pin { only_with: Some(_), .. } => {}
        TreeOp::Pin { path, only_with: None } | TreeOp::HoldLink { path, .. } => {
            let attrs = mount_attrs(tree, path.text());
            tree.insert(path.text().to_owned(), same(attrs, true, at));
        }
        TreeOp::ReadOnly { path, .. } => {
            let attrs = mount_attrs(tree, path.text()).and(Attrs::READ_ONLY);
            tree.insert(path.text().to_owned(), same(attrs, true, at));
        }
        TreeOp::Hide { path, cover, .. } => {
            let mode = match cover {
                Cover::Directory => Mode(0o555),
                Cover::File => Mode(0),
            };
            put(
                path.text(),
                Ground::Own(Own::Hidden(*cover)),
                Some(mode),
                Some(INERT.and(Attrs::READ_ONLY)),
            );
        }
        TreeOp::CoverFile { path, content, mode, .. } => {
            let attrs = if mode.0 & 0o111 == 0 { INERT } else { Attrs::NO_SUID.and(Attrs::NO_DEV) };
            put(
                path.text(),
                Ground::Own(Own::File(content.clone())),
                Some(*mode),
                Some(attrs.and(Attrs::READ_ONLY)),
            );
        }
        TreeOp::SealRoot => seal(tree, "/"),
        TreeOp::Seal { path, .. } => seal(tree, path.text()),
        // Landlock's rules are laid over the finished tree; something is mounted over a mount
        // point; and the others change nothing that the target sees.
        TreeOp::LandlockRule { .. }
        | TreeOp::MountPoint { .. }
        | TreeOp::Lay { .. }
        | TreeOp::OwnLayer { .. }
        | TreeOp::CopyUp { .. }
        | TreeOp::UpperDirectories { .. }
        | TreeOp::InLayer { what: InLayer::Directory(_) | InLayer::File, .. }
        | TreeOp::PrivateMounts
        | TreeOp::Pivot => {}
    }
}

/// Layers that are merged, copied for a reason, or shown by fuse-overlayfs, and what is hidden in them.
fn layered(
    tree: &mut Tree<Entry>,
    sources: &Sources,
    (path, layers, mask): (&Name, &[Slot], Option<Slot>),
    upper: Option<&UpperPlace>,
    (attrs, because, served): (Attrs, Option<&str>, bool),
    at: Span,
) {
    let found = layers.iter().rev().filter_map(|slot| sources.opened.get(&slot.0));
    let found: Vec<Source> = found.map(|(source, _)| source.clone()).collect();
    let top = upper.and_then(|upper| sources.uppers.get(&upper.slot.0).cloned());
    let (size, inodes) = match top {
        Some(Top::Memory { size, inodes }) => (size, inodes),
        Some(Top::Disk { .. }) | None => (Room::Bytes(0), 0),
    };
    let empty = || Ground::Own(Own::Memory { size, inodes });
    let stack = Stack::merged(found, top).map(|stack| stack.copied(because).served(served));
    let ground = stack.map_or_else(empty, Ground::Host);
    let entry = Entry { ground, mode: None, mount: true, attrs, rights: Rights(0), at };
    tree.insert(path.text().to_owned(), entry);
    let hidden = mask.and_then(|slot| sources.hidden.get(&slot.0)).into_iter().flatten();
    for (tail, at) in hidden {
        let whiteout = Ground::Own(Own::Whiteout);
        let entry = Entry { ground: whiteout, ..same(Attrs(0), false, *at) };
        tree.insert(join(path.text(), tail.text()), entry);
    }
}

fn seal(tree: &mut Tree<Entry>, path: &str) {
    if let Some(entry) = tree.get_mut(path) {
        entry.attrs = entry.attrs.and(Attrs::READ_ONLY);
    }
}

/// A node that shows what would be there anyway.
fn same(attrs: Attrs, mount: bool, at: Span) -> Entry {
    Entry { ground: Ground::Same, mode: None, mount, attrs, rights: Rights(0), at }
}

/// What is nearest to each path of a tree.
fn near(tree: &Tree<Entry>) -> Ancestry<Around> {
    Ancestry::new(tree, |number, entry: &Entry, over: Option<&Around>| {
        let (rights, at) = over.map_or((Rights(0), Span::NOWHERE), |over| over.rights);
        Around {
            shown: match entry.ground {
                Ground::Same => over.and_then(|over| over.shown),
                Ground::Own(_) | Ground::Host(_) | Ground::Kernel(_) => Some(number),
            },
            mount: if entry.mount { Some(number) } else { over.and_then(|over| over.mount) },
            rights: match entry.rights {
                Rights(0) => (rights, at),
                own => (rights.and(own), entry.at.or(at)),
            },
        }
    })
}

/// The path of the nearest mount.
fn mount<'n>(near: &'n Ancestry<Around>, path: &str) -> Option<&'n str> {
    Some(near.path(near.at(path)?.1.mount?))
}

fn mount_attrs(tree: &Tree<Entry>, path: &str) -> Attrs {
    let up = ancestors(path).chain(["/"]);
    up.filter_map(|path| tree.get(path))
        .find(|entry| entry.mount)
        .map_or(Attrs(0), |entry| entry.attrs)
}

/// A path that is no mount has the attributes of the mount that it is in.
fn settle(tree: &mut Tree<Entry>) {
    let near = near(tree);
    let mounts: BTreeMap<&str, Attrs> = tree
        .iter()
        .filter(|(_, entry)| entry.mount)
        .map(|(path, entry)| (path.as_str(), entry.attrs))
        .gather();
    let of = |path: &str| {
        mount(&near, path).and_then(|mount| mounts.get(mount).copied()).unwrap_or_default()
    };
    let loose: Vec<(String, Attrs)> = tree
        .iter()
        .filter(|(_, entry)| !entry.mount)
        .map(|(path, _)| (path.clone(), of(path)))
        .collect();
    for (path, attrs) in loose {
        tree.entry(path).and_modify(|entry| entry.attrs = attrs);
    }
}

/// Landlock's rules, each on its path.
fn rule(tree: &mut Tree<Entry>, plan: &Plan) {
    let near = near(tree);
    for (op, at) in plan.tree() {
        let Some((path, rights)) = op.rights() else { continue };
        // A rule of the profile's own may be on any path.
        let attrs = mount(&near, path.text())
            .and_then(|mount| tree.get(mount))
            .map_or(Attrs(0), |mount| mount.attrs);
        let rule = same(attrs, false, at);
        let entry = tree.entry(path.text().to_owned()).or_insert(rule);
        entry.rights = entry.rights.and(rights);
    }
}

/// The tail of a path below an entry's.
pub(crate) fn tail<'p>(path: &'p str, over: &str) -> &'p str {
    below(path, over).unwrap_or("")
}
