//! What is done to the file tree: sources are opened, the new root is filled and becomes the root,
//! Landlock's rules refer to it.

use super::{Content, Cover, FileSystem, Ground, Kernel, Slot};
use crate::host::upper::{UPPER, WORK};
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, Room, parent};
use serde::Serialize;
use std::fmt;

/// An operation on the file tree. A `path` is one inside, except where a line says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum TreeOp {
    /// open_tree(2) with OPEN_TREE_CLONE, then mount_setattr(2): a detached copy of the mount.
    OpenTree {
        /// Where the descriptor goes.
        slot: Slot,
        /// The host's path.
        source: Name,
        /// What was there when the plan was made.
        #[serde(skip)]
        inode: Inode,
        /// Whether mounts below come along.
        recursive: bool,
        /// How it may be used.
        attrs: Attrs,
    },
    /// mkdirat(2) on the host, for `missing = "create"`: one directory, by the descriptor of the one
    /// that it is made in.
    HostDirectory {
        /// Where the descriptor of the new directory goes.
        slot: Slot,
        /// The host's path.
        path: Name,
        /// The directory that it is made in, without links.
        parent: Name,
        /// Where the descriptor of `parent` is, if a step before this one makes it.
        made: Option<Slot>,
        /// Its name there.
        name: Name,
        /// What `parent` was when the plan was made.
        #[serde(skip)]
        inode: Inode,
        /// In whose name root makes it: that of the owner of the directory above.
        owner: Option<(u32, u32)>,
        /// Whether the caller's umask applies to its mode, 0755. It does not for a parent directory
        /// that root makes, as the target is another user.
        masked: bool,
    },
    /// A state of the host's: made where it is not there, and locked (flock(2)), shared with other
    /// sandboxes.
    HoldState {
        slot: Slot,
        /// The host's path, without links.
        directory: Name,
        /// The nearest directory above it that was there when the plan was made.
        parent: Name,
        /// Whose it is on disk, where root makes it.
        owner: Option<(u32, u32)>,
    },
    /// open_tree(2) of a state, in the mount namespace of the process that does it; it must still be
    /// the one that is held.
    OpenState {
        /// Where the descriptor of its mount goes.
        slot: Slot,
        held: Slot,
        /// The host's path.
        directory: Name,
        /// How it may be used.
        attrs: Attrs,
    },
    /// open_tree(2) of a directory that a step before this one makes.
    OpenMade {
        /// Where the descriptor of its mount goes.
        slot: Slot,
        /// Where the descriptor of the directory is.
        made: Slot,
        /// The host's path.
        path: Name,
        /// How it may be used.
        attrs: Attrs,
    },
    /// All mounts private: nothing propagates to the host or from it (mount_namespaces(7)).
    PrivateMounts,
    /// The new root: an empty tmpfs, attached over /proc of the old root while it is filled.
    Root {
        /// How much it holds, and how many files and directories, where the target can write to it.
        limits: Option<(Room, u64)>,
        attrs: Attrs,
    },
    /// mkdirat(2).
    Dir { path: Name, mode: Mode },
    /// symlinkat(2).
    Symlink {
        path: Name,
        /// What it points at.
        target: Name,
    },
    /// A file of the sandbox's own.
    File { path: Name, content: Content, mode: Mode },
    /// An empty file, to mount something over.
    MountPoint { path: Name },
    /// fsopen(2) to fsmount(2), then move_mount(2); and Landlock's rule for what is there, through
    /// the same descriptor.
    Mount {
        fs: FileSystem,
        path: Name,
        /// How it may be used.
        attrs: Attrs,
        /// Whose tree the mount point lies in.
        ground: Ground,
        /// What Landlock allows below it; none where a rule above allows it, or without Landlock.
        rights: Rights,
    },
    /// move_mount(2) of an opened source, and Landlock's rule for what is there, through the same
    /// descriptor.
    Attach {
        slot: Slot,
        path: Name,
        /// Whose tree the mount point lies in.
        ground: Ground,
        /// What Landlock allows below it; none where a rule above allows it, or without Landlock.
        rights: Rights,
    },
    /// move_mount(2) of an opened source to a place that nobody sees: overlayfs takes no detached
    /// mount as a layer (before Linux 6.15).
    Lay {
        slot: Slot,
        /// The host's path.
        source: Name,
    },
    /// A layer of stockade's, which has what [`TreeOp::InLayer`] makes there.
    OwnLayer { slot: Slot, top: Owned },
    /// A mount point in such a layer, a name that it hides in those below it, or a directory above
    /// one.
    InLayer {
        slot: Slot,
        /// The path below the layer's top.
        path: Name,
        what: InLayer,
    },
    /// A directory of the host's that takes what the target writes on top of layers: made where it is
    /// not there, marked with its record, and locked (flock(2)).
    HoldUpper {
        slot: Slot,
        /// The directory that keeps it, or in which one is made for this run alone; without links.
        directory: Name,
        /// Whether it stays.
        kept: bool,
        /// Where the merged tree is inside.
        path: Name,
        /// The host's paths of the layers, the lowest first.
        layers: Vec<Name>,
        /// The entries at or below that path.
        mounts: Vec<Name>,
    },
    /// open_tree(2) of a directory that is held so.
    OpenUpper {
        slot: Slot,
        held: Slot,
        /// The directory that the profile names.
        directory: Name,
    },
    /// A tmpfs for what the target writes on top of layers.
    Upper {
        slot: Slot,
        /// How much it holds.
        size: Room,
        /// How many files and directories.
        inodes: u64,
    },
    /// A directory for the same beside the root, in its file system and within its limits.
    UpperInRoot { slot: Slot },
    /// The two directories that overlayfs needs for one merged tree, in such a place.
    UpperDirectories {
        upper: UpperPlace,
        /// The merged tree's top.
        top: Owned,
        /// Whether they may be there, from a run before.
        kept: bool,
    },
    /// Directories of the merged layers are made in an upper (mkdirat(2)): one, and those above it. For
    /// a change in one of another user's overlayfs would have to copy it, and cannot.
    CopyUp {
        /// The directory, inside.
        path: Name,
        /// Its path below the merged tree's top.
        tail: Name,
        /// Whether all below it are made, too.
        all: bool,
        mask: Option<Slot>,
        /// The layers, the topmost first.
        layers: Vec<Slot>,
        lowest: Option<Slot>,
        upper: UpperPlace,
    },
    /// mount(2) of overlayfs, then move_mount(2); and Landlock's rule for what is there, through the
    /// same descriptor. Layers and upper are named by their slots, so that
    /// /proc/PID/mountinfo shows no path of the host.
    Merge {
        path: Name,
        /// A layer of stockade's above the others, which hides names in them.
        mask: Option<Slot>,
        /// The layers, the topmost first.
        layers: Vec<Slot>,
        /// A layer of stockade's below them, where there are mount points that none of them has, or
        /// where overlayfs would have a single one.
        lowest: Option<Slot>,
        /// Where goes what the target writes.
        upper: Option<UpperPlace>,
        /// How it may be used. What the mount of a layer lets nobody execute is added.
        attrs: Attrs,
        /// Whose tree the mount point lies in.
        ground: Ground,
        /// What Landlock allows below it; none where a rule above allows it, or without Landlock.
        rights: Rights,
    },
    /// The same layers, copied into the upper's directory, which is then mounted without overlayfs.
    CopyLayers {
        path: Name,
        mask: Option<Slot>,
        /// The layers, the topmost first.
        layers: Vec<Slot>,
        lowest: Option<Slot>,
        /// Where the copy is made.
        upper: UpperPlace,
        /// How much the target may write there, and how many files and directories, where it is in
        /// memory.
        room: Option<(Room, u64)>,
        /// Whether the target may read whatever the process that copies can open, as both have the
        /// caller's ids and no others.
        as_caller: bool,
        attrs: Attrs,
        ground: Ground,
        rights: Rights,
        /// Why they are not merged.
        because: String,
    },
    /// The same layers, shown by a program outside of the kernel (fuse(4)): its own root is made
    /// beside the new one, a helper takes that and the descriptor of /dev/fuse, and executes it.
    Serve {
        path: Name,
        mask: Option<Slot>,
        /// The layers, the topmost first.
        layers: Vec<Slot>,
        lowest: Option<Slot>,
        /// Where goes what the target writes: in the upper's directory there are both of the server's,
        /// which is the target's alone.
        upper: Option<UpperPlace>,
        /// The mode of the tree's top.
        top: Mode,
        /// The name of the server's root beside the new one.
        root: Slot,
        /// What the server needs in order to start, and the names that it has in that root.
        files: Vec<(Slot, Name)>,
        /// Whose everything is shown as, and who the server is: ids inside.
        owner: (u32, u32),
        attrs: Attrs,
        ground: Ground,
        rights: Rights,
    },
    /// A directory bound onto itself, so that it cannot be renamed away from above what lies below
    /// it.
    Pin {
        path: Name,
        /// What is to be there below it, if it is not pinned in any case.
        only_with: Option<Name>,
    },
    /// A symbolic link bound onto itself, so that it can be neither removed nor replaced.
    HoldLink {
        path: Name,
        /// The text that it must have: the plan keeps what that leads to.
        text: Name,
    },
    /// A path bound onto itself, read-only.
    ReadOnly {
        path: Name,
        /// Whose ground it is.
        ground: Ground,
        /// Whether nothing may be there: names of /proc that not every kernel has.
        if_present: bool,
    },
    /// A path covered by nothing.
    Hide {
        path: Name,
        cover: Cover,
        /// Whether nothing may be there: names of /proc that not every kernel has.
        if_present: bool,
    },
    /// A file of the sandbox's own bound over one that exists.
    CoverFile {
        path: Name,
        /// Whose ground it is.
        ground: Ground,
        content: Content,
        mode: Mode,
    },
    /// The file system of the root becomes read-only, once all is made on it, and with it each
    /// cover that is mounted elsewhere.
    SealRoot,
    /// Another mount of the sandbox's own becomes read-only.
    Seal { path: Name, attrs: Attrs },
    /// pivot_root(2), and the old root is unmounted.
    Pivot,
    /// landlock_add_rule(2).
    LandlockRule {
        path: Name,
        /// What is granted below it.
        rights: Rights,
        /// What must be there; zeroes where it is not the host's.
        inode: Inode,
    },
}

/// Where what the target writes in one merged tree goes: two directories of one file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpperPlace {
    /// Where the descriptor of the directory that has both is.
    pub slot: Slot,
    /// The name there of what is written. Neither name has a character that an option of a mount
    /// would have to quote.
    pub upper: Name,
    /// The name there of what overlayfs works with.
    pub work: Name,
    /// Whether nothing of it need be on disk, as it is thrown away (`volatile` of overlayfs).
    pub volatile: bool,
}

impl UpperPlace {
    /// The place of one of several merged trees that share an upper.
    pub(crate) fn shared(slot: Slot, nth: usize) -> UpperPlace {
        if nth == 0 {
            return UpperPlace::alone(slot);
        }
        let name = |word| Name::new(&format!("{word}{nth}"));
        UpperPlace { upper: name(UPPER), work: name(WORK), ..UpperPlace::alone(slot) }
    }

    /// The place of an upper that one merged tree has for itself.
    pub(crate) fn alone(slot: Slot) -> UpperPlace {
        UpperPlace { slot, upper: Name::new(UPPER), work: Name::new(WORK), volatile: false }
    }
}

/// A directory of stockade's that stands for one of a layer's: it is what the target meets in the
/// merged tree, and the process that mounts that may read what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owned {
    pub mode: Mode,
    /// Whose it is, as ids inside; none: the target's.
    pub owner: Option<(u32, u32)>,
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            None => self.mode.fmt(f),
            Some((user, group)) => write!(f, "{}, of {user}:{group}", self.mode),
        }
    }
}

/// What a layer of stockade's has at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InLayer {
    /// A directory.
    Directory(Owned),
    /// An empty file.
    File,
    /// A character device 0:0: nothing is at this name in the layers below (overlayfs of the
    /// kernel).
    Whiteout,
}

/// Properties of an operation for code other than its executor.
#[derive(Default)]
pub(crate) struct Facets<'a> {
    /// What Landlock allows by it, and where.
    pub rights: Option<(&'a Name, Rights)>,
    /// The text that the launcher reads for it.
    content: Option<&'a Content>,
    /// Where it puts what it opens to be bound, and what that is on the host.
    pub source: Option<(Slot, &'a Name)>,
    /// The layers that it shows as one tree, the topmost first.
    pub layers: &'a [Slot],
    /// Which file that was as it was looked at.
    pub inode: Option<Inode>,
    /// What it makes on the host.
    pub made: Option<MadeOnHost<'a>>,
    /// Where it puts the mount of a directory that was made, where that is, and how it may be used.
    pub opens_made: Option<(Slot, Slot, Attrs)>,
    /// What it merges.
    pub merged: Option<Merged<'a>>,
    /// The directory inside that is made in an upper, and whether all below it are.
    pub copied: Option<(&'a Name, bool)>,
    /// The layer in which it hides a name, and which, below the top.
    pub hidden: Option<(Slot, &'a Name)>,
    /// Why layers are copied and not merged.
    pub because: Option<&'a str>,
    /// What a program outside of the kernel shows.
    pub served: Option<Served<'a>>,
    /// Whether it writes files of the host's into memory.
    pub fills_memory: bool,
    /// Where it puts the memory that takes what is written on top of layers.
    pub memory: Option<Slot>,
    /// What is there already, and is covered or held in its place.
    pub held: Option<&'a Name>,
    /// Whether that is a directory that only stays in its place.
    pub pinned: bool,
    /// The directory that keeps it, and the entries that are mounted there.
    pub kept: Option<(&'a Name, &'a [Name])>,
    /// Where it puts the mount of a directory that does, and where that is.
    pub opens_held: Option<(Slot, Slot)>,
    /// What it attaches, and where.
    pub attached: Option<(Slot, &'a Name)>,
    /// The path of a rule of Landlock without a mount.
    pub rule: Option<&'a Name>,
    /// The file system that it makes.
    pub fs: Option<&'a FileSystem>,
}

/// Layers that are merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Merged<'a> {
    /// The path inside.
    pub path: &'a Name,
    /// That of stockade's above them, which hides names.
    pub mask: Option<Slot>,
    /// The topmost first.
    pub layers: &'a [Slot],
    /// Where goes what is written on top.
    pub upper: Option<&'a UpperPlace>,
}

/// Layers that a server shows; its fields are those of [`TreeOp::Serve`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served<'a> {
    pub mask: Option<Slot>,
    pub layers: &'a [Slot],
    pub lowest: Option<Slot>,
    pub upper: Option<&'a UpperPlace>,
    pub top: Mode,
    pub root: Slot,
    pub files: &'a [(Slot, Name)],
    pub owner: (u32, u32),
    pub attrs: Attrs,
}

/// A directory that is made on the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MadeOnHost<'a> {
    /// Where its descriptor goes.
    pub slot: Slot,
    /// The host's path.
    pub path: &'a Name,
    /// The directory that it is made in.
    pub parent: &'a Name,
    /// Where that one is, if it is made, too.
    pub within: Option<Slot>,
    /// Its mode, before a umask.
    pub mode: u32,
}

/// Properties of an operation that are changed before a launch.
#[derive(Default)]
struct PartsMut<'a> {
    /// The text that the launcher reads for it.
    content: Option<&'a mut Content>,
    /// A directory that takes what the target writes, and whether it stays.
    kept: Option<(&'a mut Name, &'a mut bool)>,
}

/// The operations that have none of these.
macro_rules! plain {
    () => {
        TreeOp::PrivateMounts
            | TreeOp::Root { .. }
            | TreeOp::Dir { .. }
            | TreeOp::Symlink { .. }
            | TreeOp::MountPoint { .. }
            | TreeOp::Lay { .. }
            | TreeOp::OwnLayer { .. }
            | TreeOp::UpperDirectories { .. }
            | TreeOp::SealRoot
            | TreeOp::Seal { .. }
            | TreeOp::Pivot
    };
}

impl TreeOp {
    /// A new file system of the kernel's, which is used in one way alone.
    pub(crate) fn of_the_kernel(
        kernel: Kernel,
        path: &str,
        ground: Ground,
        rights: Rights,
    ) -> TreeOp {
        let attrs = kernel.facts().attrs;
        let fs = FileSystem::Kernel(kernel);
        TreeOp::Mount { fs, path: Name::new(path), attrs, ground, rights }
    }

    /// The one list of the properties of each operation: a new one must be added here.
    pub(crate) fn facets(&self) -> Facets<'_> {
        let none = Facets::default();
        match self {
            TreeOp::LandlockRule { path, rights, .. } => {
                Facets { rights: Some((path, *rights)), rule: Some(path), ..none }
            }
            TreeOp::Attach { slot, path, rights, .. } => {
                Facets { rights: Some((path, *rights)), attached: Some((*slot, path)), ..none }
            }
            TreeOp::InLayer { slot, path, what } => {
                let is_hidden = *what == InLayer::Whiteout;
                Facets { hidden: is_hidden.then_some((*slot, path)), ..none }
            }
            TreeOp::Merge { path, mask, layers, upper, rights, .. } => Facets {
                rights: Some((path, *rights)),
                layers,
                merged: Some(Merged { path, mask: *mask, layers, upper: upper.as_ref() }),
                ..none
            },
            TreeOp::CopyLayers { path, layers, rights, because, room, .. } => Facets {
                rights: Some((path, *rights)),
                layers,
                because: Some(because),
                fills_memory: room.is_some(),
                ..none
            },
            TreeOp::Serve {
                path,
                mask,
                layers,
                lowest,
                upper,
                top,
                root,
                files,
                owner,
                attrs,
                ground: _,
                rights,
            } => Facets {
                rights: Some((path, *rights)),
                layers,
                served: Some(Served {
                    mask: *mask,
                    layers,
                    lowest: *lowest,
                    upper: upper.as_ref(),
                    top: *top,
                    root: *root,
                    files,
                    owner: *owner,
                    attrs: *attrs,
                }),
                ..none
            },
            TreeOp::Mount { path, rights, fs, .. } => {
                Facets { rights: Some((path, *rights)), fs: Some(fs), ..none }
            }
            TreeOp::File { content, .. } | TreeOp::CoverFile { content, .. } => {
                Facets { content: Some(content), ..none }
            }
            TreeOp::HoldState { slot, directory: path, parent, .. } => {
                let made = MadeOnHost { slot: *slot, path, parent, within: None, mode: 0o700 };
                Facets { made: Some(made), ..none }
            }
            TreeOp::OpenState { slot, held, directory, attrs } => Facets {
                source: Some((*slot, directory)),
                opens_made: Some((*slot, *held, *attrs)),
                ..none
            },
            TreeOp::OpenTree { slot, source, inode, .. } => {
                Facets { source: Some((*slot, source)), inode: Some(*inode), ..none }
            }
            TreeOp::HostDirectory { slot, path, parent, made, .. } => {
                let made = MadeOnHost { slot: *slot, path, parent, within: *made, mode: 0o755 };
                Facets { made: Some(made), ..none }
            }
            TreeOp::OpenMade { slot, made, attrs, .. } => {
                Facets { opens_made: Some((*slot, *made, *attrs)), ..none }
            }
            TreeOp::Upper { slot, .. } | TreeOp::UpperInRoot { slot } => {
                Facets { memory: Some(*slot), ..none }
            }
            TreeOp::OpenUpper { slot, held, .. } => {
                Facets { opens_held: Some((*slot, *held)), ..none }
            }
            TreeOp::CopyUp { path, all, .. } => Facets { copied: Some((path, *all)), ..none },
            TreeOp::Pin { path, .. } => Facets { held: Some(path), pinned: true, ..none },
            TreeOp::HoldLink { path, .. }
            | TreeOp::ReadOnly { path, .. }
            | TreeOp::Hide { path, .. } => Facets { held: Some(path), ..none },
            TreeOp::HoldUpper { directory, kept: true, mounts, .. } => {
                Facets { kept: Some((directory, mounts)), ..none }
            }
            TreeOp::HoldUpper { kept: false, .. } | plain!() => none,
        }
    }

    /// What it makes Landlock allow, and below which path inside.
    pub fn rights(&self) -> Option<(&Name, Rights)> {
        self.facets().rights
    }

    /// The text that the launcher reads for it.
    pub fn content(&self) -> Option<&Content> {
        self.facets().content
    }

    /// The parts of each operation that are changed before a launch; one list of all operations.
    fn parts_mut(&mut self) -> PartsMut<'_> {
        match self {
            TreeOp::File { content, .. } | TreeOp::CoverFile { content, .. } => {
                PartsMut { content: Some(content), ..PartsMut::default() }
            }
            TreeOp::HoldUpper { directory, kept, .. } => {
                PartsMut { kept: Some((directory, kept)), ..PartsMut::default() }
            }
            TreeOp::LandlockRule { .. }
            | TreeOp::Attach { .. }
            | TreeOp::Merge { .. }
            | TreeOp::CopyLayers { .. }
            | TreeOp::Serve { .. }
            | TreeOp::Mount { .. }
            | TreeOp::Pin { .. }
            | TreeOp::HoldLink { .. }
            | TreeOp::ReadOnly { .. }
            | TreeOp::Hide { .. }
            | TreeOp::OpenTree { .. }
            | TreeOp::HostDirectory { .. }
            | TreeOp::OpenMade { .. }
            | TreeOp::Upper { .. }
            | TreeOp::UpperInRoot { .. }
            | TreeOp::OpenUpper { .. }
            | TreeOp::HoldState { .. }
            | TreeOp::OpenState { .. }
            | TreeOp::InLayer { .. }
            | TreeOp::CopyUp { .. }
            | plain!() => PartsMut::default(),
        }
    }

    /// The same text, to be changed.
    pub fn content_mut(&mut self) -> Option<&mut Content> {
        self.parts_mut().content
    }

    /// Takes a directory beside a kept upper in its place, for this run alone.
    pub(crate) fn keep_nothing(&mut self) {
        if let Some((directory, kept @ true)) = self.parts_mut().kept {
            *directory = Name::new(parent(directory.text()));
            *kept = false;
        }
    }

    /// The path inside at which it makes, covers or names something, once there is a root.
    pub fn inside(&self) -> Option<&Name> {
        match self {
            TreeOp::Dir { path, .. }
            | TreeOp::Symlink { path, .. }
            | TreeOp::File { path, .. }
            | TreeOp::MountPoint { path }
            | TreeOp::Mount { path, .. }
            | TreeOp::Attach { path, .. }
            | TreeOp::Merge { path, .. }
            | TreeOp::CopyLayers { path, .. }
            | TreeOp::Serve { path, .. }
            | TreeOp::Pin { path, .. }
            | TreeOp::HoldLink { path, .. }
            | TreeOp::ReadOnly { path, .. }
            | TreeOp::Hide { path, .. }
            | TreeOp::CoverFile { path, .. }
            | TreeOp::Seal { path, .. }
            | TreeOp::LandlockRule { path, .. } => Some(path),
            TreeOp::OpenTree { .. }
            | TreeOp::HostDirectory { .. }
            | TreeOp::OpenMade { .. }
            | TreeOp::HoldState { .. }
            | TreeOp::OpenState { .. }
            | TreeOp::Lay { .. }
            | TreeOp::OwnLayer { .. }
            | TreeOp::InLayer { .. }
            | TreeOp::HoldUpper { .. }
            | TreeOp::OpenUpper { .. }
            | TreeOp::Upper { .. }
            | TreeOp::UpperInRoot { .. }
            | TreeOp::UpperDirectories { .. }
            | TreeOp::CopyUp { .. }
            | TreeOp::PrivateMounts
            | TreeOp::Root { .. }
            | TreeOp::SealRoot
            | TreeOp::Pivot => None,
        }
    }
}

/// What Landlock allows below a mount, behind the words of that.
fn show_rights(rights: Rights, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match rights {
        Rights(0) => Ok(()),
        rights => write!(f, ", and let Landlock allow {rights}"),
    }
}

impl fmt::Display for TreeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeOp::OpenTree { source, recursive, attrs, .. } => {
                write!(
                    f,
                    "open {source} ({attrs}{})",
                    if *recursive { "" } else { ", without mounts below" }
                )
            }
            TreeOp::PrivateMounts => f.write_str("make all mounts private"),
            TreeOp::Root { limits: Some((size, inodes)), .. } => {
                write!(f, "mount the root: tmpfs of {size}, {inodes} inodes")
            }
            TreeOp::Root { limits: None, .. } => f.write_str("mount the root: an empty tmpfs"),
            TreeOp::Dir { path, mode } => write!(f, "make directory {path} ({mode})"),
            TreeOp::Symlink { path, target } => write!(f, "link {path} → {target}"),
            TreeOp::File { path, content, mode } => {
                write!(f, "write {path} ({mode}) from {content}")
            }
            TreeOp::MountPoint { path } => write!(f, "make mount point {path}"),
            TreeOp::Mount { fs, path, attrs, rights, .. } => {
                fs.show(path, *attrs, f)?;
                show_rights(*rights, f)
            }
            TreeOp::Attach { path, rights, .. } => {
                write!(f, "attach it at {path}")?;
                show_rights(*rights, f)
            }
            TreeOp::Lay { source, .. } => write!(f, "lay {source} out as a layer"),
            TreeOp::OwnLayer { .. } => f.write_str("make a layer"),
            TreeOp::InLayer { path, what, .. } => match what {
                InLayer::Directory(owned) => write!(f, "make directory {path} in it ({owned})"),
                InLayer::File => write!(f, "make mount point {path} in it"),
                InLayer::Whiteout => write!(f, "hide {path} in it"),
            },
            TreeOp::Upper { size, inodes, .. } => {
                write!(f, "mount tmpfs for what is written: {size}, {inodes} inodes")
            }
            TreeOp::UpperInRoot { .. } => f.write_str("take the root's memory for what is written"),
            TreeOp::HoldUpper { directory, kept: true, .. } => {
                write!(f, "lock the upper {directory}")
            }
            TreeOp::HoldUpper { directory, kept: false, .. } => {
                write!(f, "make an upper in {directory}")
            }
            TreeOp::OpenUpper { directory, .. } => write!(f, "open the upper {directory}"),
            TreeOp::UpperDirectories { upper, top, .. } => {
                write!(f, "make directory {} in the upper ({top})", upper.upper)
            }
            TreeOp::CopyUp { path, all: true, .. } => {
                write!(
                    f,
                    "make the directories of {path} in the upper, so that they can be changed"
                )
            }
            TreeOp::CopyUp { path, all: false, .. } => {
                write!(f, "make {path} in the upper, so that what is in it can be changed")
            }
            TreeOp::Merge { path, mask, layers, lowest, upper, attrs, rights, .. } => {
                let count = layers.len() + mask.iter().chain(lowest).count();
                let plural = if count == 1 { "" } else { "s" };
                let upper = if upper.is_some() { " and an upper" } else { "" };
                write!(f, "mount overlay on {path} of {count} layer{plural}{upper} ({attrs})")?;
                show_rights(*rights, f)
            }
            TreeOp::CopyLayers { path, mask, layers, lowest, attrs, rights, because, .. } => {
                let count = layers.len() + mask.iter().chain(lowest).count();
                let plural = if count == 1 { "" } else { "s" };
                write!(f, "copy {count} layer{plural} to {path} ({attrs}), since {because}")?;
                show_rights(*rights, f)
            }
            TreeOp::Serve { path, mask, layers, lowest, attrs, rights, .. } => {
                let count = layers.len() + mask.iter().chain(lowest).count();
                let plural = if count == 1 { "" } else { "s" };
                write!(f, "let fuse-overlayfs show {count} layer{plural} on {path} ({attrs})")?;
                show_rights(*rights, f)
            }
            TreeOp::Pin { path, only_with: None } => write!(f, "pin {path}"),
            TreeOp::Pin { path, only_with: Some(name) } => {
                write!(f, "pin {path}, if {name} is there")
            }
            TreeOp::HoldLink { path, text } => write!(f, "hold the link {path} → {text}"),
            TreeOp::ReadOnly { path, .. } => write!(f, "make {path} read-only"),
            TreeOp::Hide { path, cover: Cover::Directory, .. } => {
                write!(f, "hide {path} behind an empty directory")
            }
            TreeOp::Hide { path, cover: Cover::File, .. } => {
                write!(f, "hide {path} behind an empty file")
            }
            TreeOp::CoverFile { path, content, mode, .. } => {
                write!(f, "cover {path} ({mode}) with {content}")
            }
            TreeOp::Seal { path, .. } => write!(f, "seal {path} read-only"),
            TreeOp::SealRoot => f.write_str("seal the root read-only"),
            TreeOp::HostDirectory { path, owner: None, .. } => {
                write!(f, "make the directory {path} on the host")
            }
            TreeOp::HostDirectory { path, owner: Some((user, group)), .. } => {
                write!(f, "make the directory {path} on the host, as {user}:{group}")
            }
            TreeOp::OpenMade { path, attrs, .. } => write!(f, "open {path} ({attrs})"),
            TreeOp::HoldState { directory, .. } => {
                write!(f, "hold the state {directory}, which stays")
            }
            TreeOp::OpenState { directory, attrs, .. } => {
                write!(f, "open {directory} ({attrs}, without mounts below)")
            }
            TreeOp::Pivot => f.write_str("pivot to the new root, and unmount the old one"),
            TreeOp::LandlockRule { path, rights, .. } => {
                write!(f, "let Landlock allow {rights} below {path}")
            }
        }
    }
}
