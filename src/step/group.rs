//! What the launcher does to control groups, before the clone.

use super::{Directory, Slot, Stage, as_text, as_texts, joined};
use crate::host::systemd::Route;
use crate::kernel::controller::{Controller, Version};
use crate::kernel::device::Node;
use crate::kernel::name::Name;
use serde::Serialize;
use std::fmt;

/// An operation on control groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum GroupOp {
    /// StartTransientUnit of systemd's, with Delegate=yes: a group where others may be made, with
    /// the launcher in it (systemd.scope(5)).
    Scope {
        /// Where systemd listens.
        socket: Name,
        route: Route,
    },
    /// A control group of the sandbox's own, named after the launcher.
    Group {
        /// Where the descriptor by which it is entered goes.
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
        /// What it is for.
        #[serde(serialize_with = "as_texts")]
        controllers: Vec<Controller>,
        /// The group that it is made in.
        directory: Directory,
    },
    /// The launcher goes into a group of its own, as no process may be in a group that has
    /// controllers for others (cgroups(7)).
    StepAside {
        /// The group that it leaves.
        directory: Directory,
    },
    /// `cgroup.subtree_control`.
    SwitchOn {
        /// The group in which they are switched on.
        directory: Directory,
        /// The kernel's names.
        controllers: Vec<&'static str>,
    },
    /// A file of the group is written, and read back.
    GroupLimit {
        slot: Slot,
        /// Whose file it is.
        #[serde(serialize_with = "as_text")]
        controller: Controller,
        file: Name,
        value: Name,
        /// Whether it is skipped if the kernel has no such file.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        may_fall: bool,
    },
    /// `devices.deny` and `devices.allow`, or a program of type BPF_PROG_TYPE_CGROUP_DEVICE.
    DeviceRules {
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
        /// What may be used.
        nodes: Vec<Node>,
    },
    /// An eventfd on `memory.oom_control`: version 1 has no way to end a whole group by itself.
    WatchMemory { slot: Slot },
    /// The account of processor time is opened, for pid 1 to read.
    CpuAccount {
        slot: Slot,
        /// The version of its hierarchy.
        version: Version,
    },
}

impl GroupOp {
    /// When it is done: no process may be a child of the launcher when that moves.
    pub fn stage(&self) -> Stage {
        match self {
            GroupOp::Scope { .. } | GroupOp::StepAside { .. } => Stage::Aside,
            GroupOp::Group { .. }
            | GroupOp::SwitchOn { .. }
            | GroupOp::GroupLimit { .. }
            | GroupOp::DeviceRules { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => Stage::Limits,
        }
    }

    /// Whether what it does stays after the run.
    pub fn lasts(&self) -> bool {
        match self {
            GroupOp::Scope { .. } | GroupOp::SwitchOn { .. } | GroupOp::StepAside { .. } => true,
            GroupOp::Group { .. }
            | GroupOp::GroupLimit { .. }
            | GroupOp::DeviceRules { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => false,
        }
    }

    /// Whether the clone begins in the group that it makes.
    pub(crate) fn is_of_clone(&self) -> bool {
        match self {
            GroupOp::Group { version, .. } => *version == Version::V2,
            GroupOp::Scope { .. }
            | GroupOp::StepAside { .. }
            | GroupOp::SwitchOn { .. }
            | GroupOp::GroupLimit { .. }
            | GroupOp::DeviceRules { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => false,
        }
    }

    /// The file of the group that it writes, and the text.
    pub(crate) fn limit(&self) -> Option<(&str, &str)> {
        match self {
            GroupOp::GroupLimit { file, value, .. } => Some((file.text(), value.text())),
            GroupOp::Scope { .. }
            | GroupOp::Group { .. }
            | GroupOp::StepAside { .. }
            | GroupOp::SwitchOn { .. }
            | GroupOp::DeviceRules { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => None,
        }
    }
}

impl fmt::Display for GroupOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupOp::Scope { socket, .. } => {
                write!(f, "get a scope with Delegate=yes of systemd at {socket}, and enter it")
            }
            GroupOp::Group { version, controllers, directory, .. } => {
                write!(
                    f,
                    "make a control group in {directory} ({version:?}: {})",
                    joined(controllers)
                )
            }
            GroupOp::StepAside { directory } => {
                write!(f, "step out of {directory} into a group of the launcher's own")
            }
            GroupOp::SwitchOn { directory, controllers } => {
                write!(f, "switch on {} for groups in {directory}", joined(controllers))
            }
            GroupOp::GroupLimit { file, value, .. } => write!(f, "set {file} to {value}"),
            GroupOp::DeviceRules { nodes, .. } => {
                write!(f, "allow {} device nodes, and no other", nodes.len())
            }
            GroupOp::WatchMemory { .. } => {
                f.write_str("watch for the end of the memory, to end the whole sandbox then")
            }
            GroupOp::CpuAccount { .. } => f.write_str("open the account of processor time"),
        }
    }
}
