//! A control group by its place, as other processes find it.

use super::PREFIX;
use crate::kernel::controller::Version;
use serde::{Deserialize, Serialize};

/// A control group of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// The version of its hierarchy.
    pub version: Version,
    /// Its directory.
    pub path: String,
}

impl Group {
    /// The last name of its path, which has the launcher's number.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Whether it is this launcher's by its name, and a control group at all.
    pub(crate) fn is_of(&self, launcher: i32) -> bool {
        self.name().starts_with(&format!("{PREFIX}{launcher}-"))
            && !self.path.contains("/../")
            && is_of_groups(&self.path)
    }
}

/// Whether a path is in a file system of control groups (statfs(2)), wherever that is mounted.
fn is_of_groups(path: &str) -> bool {
    use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
    statfs(path)
        .is_ok_and(|fs| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&fs.filesystem_type()))
}
