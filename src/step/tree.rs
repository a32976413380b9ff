//! What is done to the file tree: sources are opened, the new root is filled and becomes the root,
//! Landlock's rules stand on it.

use super::{Content, Cover, FileSystem, Ground, Kernel, Slot};
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, Size};
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
    /// mkdirat(2) on the host, as the caller, then open_tree(2): what `missing = "create"` asks
    /// for. Both are done on a descriptor of the directory that it is made in.
    HostDirectory {
        /// Where the descriptor of the new directory's mount goes.
        slot: Slot,
        /// The host's path.
        path: Name,
        /// The directory that it is made in, without links.
        parent: Name,
        /// Its name there.
        name: Name,
        /// What `parent` was when the plan was made.
        #[serde(skip)]
        inode: Inode,
        /// How it may be used.
        attrs: Attrs,
    },
    /// All mounts private: nothing propagates to the host or from it (mount_namespaces(7)).
    PrivateMounts,
    /// The new root: an empty tmpfs, attached over /proc of the old root while it is filled.
    Root {
        /// How much it holds, and how many files and directories, where the target can write to it.
        limits: Option<(Size, u64)>,
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
    /// A directory bound onto itself, so that it cannot be renamed away from above what lies below
    /// it.
    Pin { path: Name },
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

/// What others than its executor ask of an operation.
#[derive(Default)]
pub(crate) struct Facets<'a> {
    /// What Landlock allows by it, and where.
    rights: Option<(&'a Name, Rights)>,
    /// The text that the launcher reads for it.
    content: Option<&'a Content>,
    /// Where it puts what it opens to be bound, and what that is on the host.
    pub source: Option<(Slot, &'a Name)>,
    /// Where it puts what it makes on the host, the directory that this is made in, and how it may
    /// be used.
    made_in: Option<(Slot, &'a Name, Attrs)>,
    /// What it attaches, and where.
    pub attached: Option<(Slot, &'a Name)>,
    /// The path of a rule of Landlock that stands alone.
    pub rule: Option<&'a Name>,
}

/// The operations that have none of these.
macro_rules! plain {
    () => {
        TreeOp::PrivateMounts
            | TreeOp::Root { .. }
            | TreeOp::Dir { .. }
            | TreeOp::Symlink { .. }
            | TreeOp::MountPoint { .. }
            | TreeOp::Pin { .. }
            | TreeOp::HoldLink { .. }
            | TreeOp::ReadOnly { .. }
            | TreeOp::Hide { .. }
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

    /// The one list of who has what: a new operation has to say it here.
    pub(crate) fn facets(&self) -> Facets<'_> {
        let none = Facets::default();
        match self {
            TreeOp::LandlockRule { path, rights, .. } => {
                Facets { rights: Some((path, *rights)), rule: Some(path), ..none }
            }
            TreeOp::Attach { slot, path, rights, .. } => {
                Facets { rights: Some((path, *rights)), attached: Some((*slot, path)), ..none }
            }
            TreeOp::Mount { path, rights, .. } => Facets { rights: Some((path, *rights)), ..none },
            TreeOp::File { content, .. } | TreeOp::CoverFile { content, .. } => {
                Facets { content: Some(content), ..none }
            }
            TreeOp::OpenTree { slot, source, .. } => {
                Facets { source: Some((*slot, source)), ..none }
            }
            TreeOp::HostDirectory { slot, parent, attrs, .. } => {
                Facets { made_in: Some((*slot, parent, *attrs)), ..none }
            }
            plain!() => none,
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

    /// The same text, to be changed.
    pub fn content_mut(&mut self) -> Option<&mut Content> {
        match self {
            TreeOp::File { content, .. } | TreeOp::CoverFile { content, .. } => Some(content),
            TreeOp::LandlockRule { .. }
            | TreeOp::Attach { .. }
            | TreeOp::Mount { .. }
            | TreeOp::OpenTree { .. }
            | TreeOp::HostDirectory { .. }
            | plain!() => None,
        }
    }

    /// What stands for it where nothing may be made on the host: the directory that it would make
    /// one in is opened, which must be writable.
    pub fn rehearsed(&self) -> Option<(TreeOp, Name)> {
        let (slot, parent, attrs) = self.facets().made_in?;
        let (source, inode) = (parent.clone(), Inode::default());
        let op = TreeOp::OpenTree { slot, source, inode, recursive: false, attrs };
        Some((op, parent.clone()))
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
            TreeOp::Pin { path } => write!(f, "pin {path}"),
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
            TreeOp::HostDirectory { path, attrs, .. } => {
                write!(f, "make the directory {path} on the host, and open it ({attrs})")
            }
            TreeOp::Pivot => f.write_str("pivot to the new root, and unmount the old one"),
            TreeOp::LandlockRule { path, rights, .. } => {
                write!(f, "let Landlock allow {rights} below {path}")
            }
        }
    }
}
