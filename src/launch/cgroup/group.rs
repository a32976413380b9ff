//! A control group by its place, as other processes find it.

use super::PREFIX;
use crate::kernel::controller::Version;
use crate::kernel::name::Name;
use crate::probe::groups::lies_in_groups;
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
            // To the kernel a path ends there, at another group than the name says.
            && !self.path.contains('\0')
            && is_of_groups(&self.path)
    }
}

/// Whether a path is a directory below a mount of control groups, with no symbolic link on its way
/// or at its end. The group that is checked now must be the one that is killed or removed later:
/// elsewhere the owner of the directory can exchange the name, but in a cgroup file system no user
/// can make a link or a file.
fn is_of_groups(path: &str) -> bool {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    lies_in_groups(path)
        && sys::open_without_links(Name::new(path).as_c_str(), flags).and_then(sys::close).is_ok()
}
