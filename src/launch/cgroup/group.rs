//! A control group by its place, as other processes find it.

use super::PREFIX;
use crate::kernel::controller::Version;
use crate::kernel::name::Name;
use crate::sys;
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

/// Whether a path is a directory of a file system of control groups (statfs(2)), wherever that is
/// mounted. A symbolic link has a name that anybody may choose, and leads to any group.
fn is_of_groups(path: &str) -> bool {
    use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
    let is_there = || {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        sys::open_without_links(Name::new(path).as_c_str(), flags).and_then(sys::close).is_ok()
    };
    // A path with a NUL byte is none, and ends here.
    statfs(path)
        .is_ok_and(|fs| [CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&fs.filesystem_type()))
        && is_there()
}
