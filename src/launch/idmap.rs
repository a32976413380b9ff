//! Idmapped mounts for one pair of ids: the owner on disk, and the target (mount_setattr(2),
//! MOUNT_ATTR_IDMAP).

use crate::kernel::name::Name;
use crate::sys::{self, Result};
use std::os::fd::RawFd;

/// Maps a detached mount. The pair lives in a user namespace that a helper process holds while it
/// is used.
pub(crate) fn map(mount: RawFd, disk: (u32, u32), ids: (u32, u32)) -> Result {
    let (wait, go) = sys::pipe()?;
    let mut pidfd = -1;
    let pid = sys::clone_process(libc::CLONE_NEWUSER as u64, &mut pidfd, None)?;
    if pid == 0 {
        // Holds the namespace until the launcher closes its end, also by dying.
        let ended = sys::close(go).and_then(|()| sys::read(wait, &mut [0]));
        sys::exit(i32::from(ended.is_err()));
    }
    let mapped = map_with(mount, pid, disk, ids);
    // Ended outright: were it to end by our closing the pipe, a close that fails would leave both
    // waiting.
    sys::signal_pidfd(pidfd, libc::SIGKILL)?;
    sys::wait_for(pid)?;
    mapped.and(sys::close(go)).and(sys::close(wait)).and(sys::close(pidfd))
}

fn map_with(mount: RawFd, pid: i32, disk: (u32, u32), ids: (u32, u32)) -> Result {
    for (file, inside, outside) in [("uid_map", disk.0, ids.0), ("gid_map", disk.1, ids.1)] {
        let fd = sys::openat(
            libc::AT_FDCWD,
            Name::new(&format!("/proc/{pid}/{file}")).as_c_str(),
            libc::O_WRONLY,
            0,
        )?;
        let written = sys::write_all(fd, format!("{inside} {outside} 1\n").as_bytes());
        sys::close(fd)?;
        written?;
    }
    let userns = sys::openat(
        libc::AT_FDCWD,
        Name::new(&format!("/proc/{pid}/ns/user")).as_c_str(),
        libc::O_RDONLY,
        0,
    )?;
    let mapped = sys::idmap_mount(mount, userns);
    sys::close(userns)?;
    mapped
}
