//! From entries and facts to steps: what is opened, where it is attached, what pins it, and what
//! Landlock allows there.

mod bind;
mod copied;
mod create;
mod kept;
mod kernel;
mod layers;
mod link;
mod made;
mod opened;
mod served;
mod site;
mod state;
mod upper;

pub(crate) use kernel::{refuse_device, refuse_socket};

use super::kinds::{Access, Bind, Makes, Mount, PLAIN, Sockets, Tmpfs};
use super::tree::{NOT_WITH_ROOT, Node, Tree, root_is_merged, root_is_writable, root_tmpfs};
use super::{checks, follow, mixed};
use crate::host::{Fact, FileKind, Host};
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::policy::identity::Ids;
use crate::policy::network::names::Made;
use crate::step::draft::Draft;
use crate::step::{Ground, Slot, Stage, TreeOp, UpperPlace};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
use crate::tree::{Ground as Stood, HasGround};
use kept::Kept;
pub(crate) use kept::Undone;
pub(crate) use opened::{Drafted, Opened, What, open};
use std::collections::{BTreeMap, BTreeSet};
pub(crate) use upper::SIZE;

/// The rights to devices.
pub(crate) const DEVICE_RIGHTS: Rights = Rights::READ.and(Rights::WRITE).and(Rights::IOCTL);

/// What file systems without programs have.
const INERT: Attrs = PLAIN.and(Attrs::NO_EXEC);
const SEALED: Attrs = PLAIN.and(Attrs::READ_ONLY);

/// Drafts the file tree: the profile's entries, settled, and those that are implied. Of the rights
/// that they give, Landlock makes rules of those in `ruled`. `undone` is by which line the target
/// could undo some, and with it whether a bound of what it writes is optional.
pub(crate) fn draft(
    tree: &Tree,
    (host, ids, fresh, names): (&Host, &Ids, checks::Fresh, &[Made]),
    ruled: Rights,
    (undone, size_is_optional): (Option<Undone>, bool),
    draft: &mut Draft,
) -> Drafted {
    let root = tree.get("/");
    let mut world = World {
        host,
        ids,
        fresh,
        draft,
        tree,
        made: BTreeSet::new(),
        to_make: create::to_make(tree, host),
        made_on_host: BTreeMap::new(),
        in_layers: BTreeSet::new(),
        unmerged: BTreeSet::new(),
        uppers: BTreeMap::new(),
        copied: BTreeSet::new(),
        mapped: BTreeSet::new(),
        judged: BTreeSet::new(),
        changeable: BTreeSet::new(),
        pinned: BTreeMap::new(),
        seals: vec![],
        current: None,
        kept: vec![],
        refused: None,
        ruled,
        size_is_optional,
        out: Drafted::default(),
    };
    world.check_root(root);
    mixed::problems(tree, host).into_iter().for_each(|problem| world.draft.problem(problem));
    world.root(root.map_or(Span::NOWHERE, |node| node.at));
    if let Some(Node { mount, at, .. }) = root.filter(|_| root_is_merged(tree))
        && let Makes::Layers(layers) = mount.kind().makes("/")
    {
        world.current = Some(mount);
        world.layers("/", layers, *at);
    }
    for (path, node) in tree {
        if path != "/" {
            world.current = Some(&node.mount);
            world.entry(path, node);
        }
    }
    world.pin_left();
    world.note_pinned();
    world.note_parts();
    // Later steps protect nothing of the host's.
    world.current = None;
    world.databases();
    names.iter().for_each(|made| world.names(made));
    if undone.is_some() {
        world.cover_processes();
    }
    kept::settle(std::mem::take(&mut world.kept), undone, world.draft);
    for (path, attrs, at) in std::mem::take(&mut world.seals) {
        let op = if path == "/" {
            TreeOp::SealRoot
        } else {
            TreeOp::Seal { path: Name::new(&path), attrs }
        };
        world.draft.step(Stage::World, op, at);
    }
    world.out
}

struct World<'a> {
    host: &'a Host,
    ids: &'a Ids,
    fresh: checks::Fresh,
    draft: &'a mut Draft,
    tree: &'a Tree,
    made: BTreeSet<String>,
    /// Every directory that entries have made on the host, without links.
    to_make: BTreeSet<String>,
    /// Those of them that steps make so far, with their descriptors.
    made_on_host: BTreeMap<String, Slot>,
    /// What layers of stockade's have in merged trees: mount points, and hidden names.
    in_layers: BTreeSet<String>,
    /// The entries with layers, and the trees in parts, that have a problem.
    unmerged: BTreeSet<String>,
    /// The lines of overlays that are shown in parts, of which one was judged.
    judged: BTreeSet<Span>,
    /// The directories of other owners that are made in an upper, by the path inside.
    changeable: BTreeSet<String>,
    /// The uppers of overlays that are shown in parts, and how many parts have a place there.
    uppers: BTreeMap<String, (UpperPlace, usize)>,
    /// The entries whose layers are copied, and where the target writes into the copy.
    copied: BTreeSet<String>,
    /// The merged trees whose owners are mapped into the sandbox, where it has ids of its own.
    mapped: BTreeSet<String>,
    /// The pinned directories, with the lines that they are pinned for.
    pinned: BTreeMap<String, Span>,
    seals: Vec<(String, Attrs, Span)>,
    /// The entry that is drafted.
    current: Option<&'a Mount>,
    /// Entries that keep or hide files below writable binds of the host.
    kept: Vec<Kept>,
    /// The line of a root that is too broad: what is bound with it is no problem of its own.
    refused: Option<Span>,
    /// The rights that Landlock makes rules of.
    ruled: Rights,
    /// Whether what is written on top of layers may go without its bounds.
    size_is_optional: bool,
    out: Drafted,
}

impl World<'_> {
    fn step(&mut self, op: TreeOp, at: Span) {
        self.draft.step(Stage::World, op, at);
    }

    fn around(&self) -> checks::Around<'_> {
        checks::Around { tree: self.tree, host: self.host, can_cover: true, fresh: self.fresh }
    }

    fn allow(&mut self, path: &str, rights: Rights, at: Span) {
        let place = (Name::new(path), Inode::default());
        self.out.rule(place, rights.within(self.ruled), at, self.draft);
    }

    /// Something of the host is opened.
    fn opened(&mut self, what: What, attrs: Attrs, at: Span) -> Slot {
        let slot = self.draft.slot();
        self.out.opened.push(Opened { slot, what, attrs, inside: None, owner: None, at });
        slot
    }

    /// The same thing, where it is in [`World::out`].
    fn of_slot(&mut self, slot: Slot) -> Option<&mut Opened> {
        self.out.opened.iter_mut().rev().find(|opened| opened.slot == slot)
    }

    fn attach(&mut self, slot: Slot, path: &str, ground: Ground, rights: Rights, at: Span) {
        let path = Name::new(path);
        if let Some(opened) = self.of_slot(slot) {
            opened.inside = Some(path.clone());
        }
        let rights = rights.within(self.ruled);
        self.step(TreeOp::Attach { slot, path, ground, rights }, at);
    }

    fn check_root(&mut self, root: Option<&Node>) {
        let Some(Node { mount, at, .. }) = root else { return };
        match mount {
            // Each layer is checked by itself.
            Mount::Tmpfs(_) => {}
            Mount::Layers(layers) => {
                if layers.sources("/") == ["/"] {
                    self.note_not_with_root(*at);
                }
                // What is merged is checked as any other.
                if !root_is_merged(self.tree) {
                    self.check_parts("/", layers, *at);
                }
            }
            Mount::Bind(bind) => {
                let source = bind.source_at("/");
                match self.host.at(source) {
                    Fact::Present(file) if file.kind == FileKind::Directory => {
                        if let Some(refused) = (source != "/" || bind.access == Access::ReadWrite)
                            .then(|| checks::check("/", source, bind, file, self.around()))
                            .flatten()
                        {
                            self.refused = refused.is_broad().then_some(*at);
                            self.draft.problem(refused.problem(*at));
                        }
                    }
                    Fact::Present(file) => {
                        let message =
                            format!("cannot take {source} as the root: it is {}", file.kind.word());
                        self.draft.problem(Problem::new("mounts::root", *at, message));
                    }
                    Fact::Absent(errno) => {
                        let message =
                            format!("cannot take {source} as the root: {}", errno_words(*errno));
                        self.draft.problem(Problem::new("mounts::source", *at, message));
                    }
                }
                if source == "/" {
                    self.note_not_with_root(*at);
                }
            }
            _ => self.draft.problem(
                Problem::new(
                    "mounts::root",
                    *at,
                    "cannot take this as the root: it can be a tmpfs, a bind or layers",
                )
                .help(
                    "write \"/\" = \"tmpfs\", \"/\" = \"ro\", \"/\" = { bind = \"/srv/rootfs\" } or \
                     \"/\" = { layers = [], upper = \"${CWD}/root\" }",
                ),
            ),
        }
    }

    fn note_not_with_root(&mut self, at: Span) {
        let named: Vec<String> = NOT_WITH_ROOT.iter().map(|name| format!("/{name}")).collect();
        let named = named.join(", ");
        let text = format!("{named} of the host are not bound with /; name those that are wanted");
        self.draft.note(at, text);
    }

    fn root(&mut self, at: Span) {
        if root_is_merged(self.tree) {
            // What is under the merged tree has the layers of stockade's, and the covers.
            let Tmpfs { size, inodes, .. } = Tmpfs::PLAIN;
            return self.step(TreeOp::Root { limits: Some((size, inodes)), attrs: PLAIN }, at);
        }
        let Tmpfs { size, inodes, exec, .. } = root_tmpfs(self.tree);
        let writable = root_is_writable(self.tree);
        let attrs = PLAIN.and_if(writable && !exec, Attrs::NO_EXEC);
        // A sealed root holds what stockade puts there and no more.
        self.step(TreeOp::Root { limits: writable.then_some((size, inodes)), attrs }, at);
        if writable && exec {
            self.out.executable.push((Name::new("/"), at));
        }
        if writable {
            self.allow(
                "/",
                Rights::READ.and(Rights::WRITE).and(Rights::CHANGE).and_if(exec, Rights::EXECUTE),
                at,
            );
        } else {
            // Names alone: a right on `/` is inherited by all below it.
            self.allow("/", Rights::LIST, at);
            self.seals.push(("/".into(), SEALED, at));
        }
    }

    fn entry(&mut self, path: &str, node: &Node) {
        let at = node.at;
        if let Some(problem) = follow::problem(path, &node.mount, self.host, at) {
            return self.draft.problem(problem);
        }
        if let Mount::State(state) = &node.mount {
            return self.state(path, state, at);
        }
        match node.mount.kind().makes(path) {
            Makes::FileSystem(new) => self.file_system(path, new, at),
            Makes::Bind(bind) => self.bind(path, bind, at),
            // Shown in parts, its top is in memory.
            Makes::Layers(layers) => match (&node.whole, node.ground()) {
                (Some(_), Stood::Own(_)) => self.top(path, layers, at),
                (None, _) if layers.is_memory_alone() => self.top(path, layers, at),
                _ => self.layers(path, layers, at),
            },
            Makes::Devices(extra) => self.dev(path, extra, at),
            Makes::Device(source) => self.device(path, source, at),
            Makes::Socket(source) => self.socket(path, source, at),
            Makes::Directory(mode) => self.dir(path, mode, at),
            Makes::Link(text) => self.symlink(path, text, at),
            Makes::File(file) => self.file(path, file, at),
            Makes::Cover(hide) => self.hide(path, hide, at),
        }
    }
}

/// The rights that a bind grants.
pub(crate) fn bind_rights(bind: &Bind, directory: bool) -> Rights {
    let rights = Rights::READ
        .and_if(bind.exec, Rights::EXECUTE)
        .and_if(bind.sockets == Sockets::Allow, Rights::CONNECT);
    let rights = rights.and_if(
        bind.access == Access::ReadWrite,
        Rights::WRITE.and(Rights::CHANGE).and(Rights::CONNECT),
    );
    if directory { rights } else { rights.within(Rights::OF_FILES) }
}
