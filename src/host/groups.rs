//! Facts about control groups: which hierarchies there are, where the launcher is in each, and what
//! it may do there.

use super::systemd::{Socket, Unreached};
use crate::kernel::controller::Version;
use crate::kernel::device::Node;
use crate::kernel::limit::LimitKey;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the control groups of this machine.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// Every hierarchy that the launcher is in and can see.
    pub hierarchies: Vec<Hierarchy>,
    /// Every place where a hierarchy, or a part of one, is mounted.
    pub points: Vec<String>,
    /// The hierarchy as a scope of systemd's would be in it, or why there can be none; read only
    /// where one is to be asked for.
    pub systemd: Option<Result<Hierarchy, Unreached>>,
    /// The memory of the machine, in bytes; read where a share of it is asked for.
    pub ram: u64,
    /// The bytes of a page, in which the kernel counts; 0 where they are not known.
    pub page: u64,
    /// The bytes of each huge page that the kernel has; none where that is not known. Read where
    /// one is limited.
    pub huge_pages: Vec<u64>,
    /// The block device of each path of `limits.io`: major and minor number, or why it is not
    /// known.
    pub blocks: BTreeMap<String, Result<(u32, u32), i32>>,
    /// The nodes that `[mounts]` grants; read where `controllers` has `devices`.
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
pub struct Hierarchy {
    pub version: Version,
    /// The kernel's names of the controllers that a group there can have.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: String,
    /// The launcher's own group.
    pub own: String,
    /// Version 2: whether the limits of a namespace's top are out of reach from inside (cgroups(7),
    /// nsdelegate).
    pub delegates: bool,
    /// The directory that the sandbox's group is to be made in: the launcher's own group, or the
    /// one that the profile names.
    pub directory: String,
    /// The errno with which making a group there fails; 0 if it succeeds. This and all fields below
    /// are read only if the profile needs the hierarchy.
    pub refused: i32,
    /// Version 2: where systemd listens, where a scope of its is to be made first, for the group to
    /// be in.
    pub scope: Option<Socket>,
    /// Version 2: controllers that are switched on for the groups in it.
    pub enabled: Vec<String>,
    /// Version 2: whether it is the top, where processes and groups with controllers may be side by
    /// side.
    pub top: bool,
    /// Version 2: how many processes are in it besides the launcher.
    pub others: usize,
    /// Version 2: whether the launcher is in it.
    pub inside: bool,
    /// Version 2: the group above both that this user may not move processes through (cgroups(7),
    /// delegation containment).
    pub barred: Option<String>,
    /// Whether swap is accounted for.
    pub swap: bool,
    /// The least limit of the group and those above it, with the directory that sets it, by the
    /// profile's key; CPU in thousandths.
    pub least: BTreeMap<LimitKey, (u64, String)>,
    /// The processors that it may use, as the kernel writes them.
    pub cpus: String,
    /// The memory nodes that it may use.
    pub nodes: String,
    /// The files of a group there, where one can be seen; read where the profile sets one that not
    /// every kernel has.
    pub files: BTreeSet<String>,
}
