//! Groups as the limits job of the bench has them: made and limited by the parent. Those of version
//! 1 are entered by pid 1 itself, in that of version 2 it is born.

use super::{call, close, write};
use std::ffi::{CString, c_int};

/// The controllers of version 1, each with the files that stockade writes for the profile of that
/// job.
const V1: [(&str, &[(&str, &str)]); 3] = [
    (
        "memory",
        &[("memory.limit_in_bytes", "268435456"), ("memory.memsw.limit_in_bytes", "268435456")],
    ),
    ("pids", &[("pids.max", "64")]),
    ("cpu", &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "200000")]),
];
/// The same of version 2.
const V2: (&str, &[(&str, &str)]) = ("unified", &[("hugetlb.2MB.max", "67108864")]);

/// A group each.
pub struct Groups {
    groups: Vec<Group>,
    v2: bool,
}

struct Group {
    path: CString,
    /// Its file `tasks`, or in version 2 its directory.
    fd: c_int,
}

impl Groups {
    /// None.
    pub fn none() -> Groups {
        Groups { groups: vec![], v2: false }
    }

    /// Makes them below the groups of this name.
    pub fn make(v2: bool, parent: &str) -> Groups {
        let make = |(hierarchy, limits): (&str, &[(&str, &str)])| {
            let path = format!("/sys/fs/cgroup/{hierarchy}/{parent}/floor-{}", std::process::id());
            let text = |path: String| CString::new(path).unwrap_or_default();
            let folder = text(path.clone());
            call!(SYS_mkdirat, libc::AT_FDCWD, folder.as_ptr(), 0o755);
            limits.iter().for_each(|(file, value)| write(&format!("{path}/{file}"), value));
            let (opened, flags) = if v2 {
                (path, libc::O_RDONLY | libc::O_DIRECTORY)
            } else {
                (format!("{path}/tasks"), libc::O_WRONLY)
            };
            let fd = call!(
                SYS_openat,
                libc::AT_FDCWD,
                text(opened).as_ptr(),
                flags | libc::O_CLOEXEC,
                0
            ) as c_int;
            Group { path: folder, fd }
        };
        Groups { groups: if v2 { vec![make(V2)] } else { V1.map(make).into() }, v2 }
    }

    /// The group to be born in (clone3(2), CLONE_INTO_CGROUP).
    pub fn to_clone_into(&self) -> Option<c_int> {
        self.groups.first().filter(|_| self.v2).map(|group| group.fd)
    }

    /// Moves the caller into the others, and roots its cgroup namespace where it is.
    pub fn enter(&self) {
        for group in self.groups.iter().filter(|_| !self.v2) {
            call!(SYS_write, group.fd, c"0".as_ptr(), 1usize);
        }
        call!(SYS_unshare, libc::CLONE_NEWCGROUP);
    }

    /// Removes them.
    pub fn remove(self) {
        for group in self.groups {
            close(group.fd);
            call!(SYS_unlinkat, libc::AT_FDCWD, group.path.as_ptr(), libc::AT_REMOVEDIR);
        }
    }
}
