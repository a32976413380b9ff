//! What the launcher does after the clone, while pid 1 waits, and what it lets continue then.

use super::Slot;
use crate::kernel::idmap::{Extent, MANY_IDS, Maps, MountMap};
use crate::kernel::name::Name;
use serde::Serialize;
use std::fmt;

/// An operation of the launcher on the process that it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum OutsideOp {
    /// mount_setattr(2) with MOUNT_ATTR_IDMAP.
    IdMapMount {
        slot: Slot,
        /// The path, for people.
        source: Name,
        /// How owners on disk are shown.
        map: MountMap,
    },
    /// 65,536 host ids become this sandbox's, by a lock that ends with the launcher (F_OFD_SETLK).
    HoldIds {
        /// The first.
        first: u32,
        /// Where the file of the locks is.
        directory: String,
    },
    /// A process that ends the sandbox when the launcher is gone: the target is pid 1, and would
    /// not.
    Watch,
    /// The sandbox gets its file in the caller's runtime directory.
    EnterName {
        name: String,
        directory: String,
        /// The profile, for people.
        profile: String,
    },
    /// `/proc/PID/uid_map` and `gid_map` (user_namespaces(7)).
    MapIds(Maps),
    /// PR_SET_DUMPABLE: no process of the same user may look into the launcher, which holds the
    /// caller's environment and descriptors. An undumpable process could not write the maps
    /// (proc(5)).
    Undumpable,
    /// Pid 1 begins.
    Go,
    /// Groups that dead launchers left are removed.
    Sweep {
        /// Where groups are made.
        directories: Vec<Name>,
    },
}

impl fmt::Display for OutsideOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutsideOp::IdMapMount { source, map, .. } => match map.as_pair() {
                Some((disk, ids)) => write!(
                    f,
                    "map owner {}:{} of {source} to host ids {}:{}",
                    disk.0, disk.1, ids.0, ids.1
                ),
                None if map.uid == map.gid => {
                    write!(f, "map the owners of {source}: {}", extents(&map.uid))
                }
                None => write!(
                    f,
                    "map the owners of {source}: users {}; groups {}",
                    extents(&map.uid),
                    extents(&map.gid)
                ),
            },
            OutsideOp::HoldIds { first, .. } => {
                write!(f, "hold the host ids {first} to {}", first + (MANY_IDS - 1))
            }
            OutsideOp::Watch => {
                f.write_str("start a process that ends the sandbox with the launcher")
            }
            OutsideOp::EnterName { name, .. } => write!(f, "enter the name `{name}`"),
            OutsideOp::MapIds(maps) => {
                let by = if maps.helpers { ", by newuidmap and newgidmap" } else { "" };
                write!(f, "map users {}; groups {}{by}", extents(&maps.uid), extents(&maps.gid))
            }
            OutsideOp::Undumpable => f.write_str("make the launcher undumpable"),
            OutsideOp::Go => f.write_str("let pid 1 begin"),
            OutsideOp::Sweep { .. } => {
                f.write_str("remove control groups that dead launchers left")
            }
        }
    }
}

fn extents(extents: &[Extent]) -> String {
    extents.iter().map(Extent::to_string).collect::<Vec<_>>().join(", ")
}
