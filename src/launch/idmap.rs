//! Idmapped mounts: how owners on disk are shown (mount_setattr(2), MOUNT_ATTR_IDMAP).

use crate::kernel::idmap::{Extent, MountMap};
use crate::kernel::name::Name;
use crate::sys::{self, Result};
use std::os::fd::RawFd;

/// Maps that were made, each by its user namespace: many layers have one map.
#[derive(Default)]
pub(crate) struct Made(Vec<(MountMap, RawFd)>);

impl Made {
    /// Maps a detached mount.
    pub(crate) fn map(&mut self, mount: RawFd, map: &MountMap) -> Result {
        let userns = match self.0.iter().find(|(made, _)| made == map) {
            Some((_, userns)) => *userns,
            None => {
                let userns = make(map)?;
                self.0.push((map.clone(), userns));
                userns
            }
        };
        sys::idmap_mount(mount, userns)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(_, userns)| sys::regardless(sys::close(userns)));
    }
}

/// A user namespace with a map. A helper process is in it until it is opened.
fn make(map: &MountMap) -> Result<RawFd> {
    let (wait, go) = sys::pipe()?;
    let mut pidfd = -1;
    let pid = sys::clone_process(libc::CLONE_NEWUSER as u64, &mut pidfd, None)?;
    if pid == 0 {
        // Holds the namespace until the launcher closes its end, also by dying.
        let ended = sys::close(go).and_then(|()| sys::read(wait, &mut [0]));
        sys::exit(i32::from(ended.is_err()));
    }
    let made = written(pid, map);
    // Ended outright: were it to end by our closing the pipe, a close that fails would leave both
    // waiting.
    sys::signal_pidfd(pidfd, libc::SIGKILL)?;
    sys::wait_for(pid)?;
    let closed = sys::close(go).and(sys::close(wait)).and(sys::close(pidfd));
    closed.and(made)
}

fn written(pid: i32, map: &MountMap) -> Result<RawFd> {
    for (file, extents) in [("uid_map", &map.uid), ("gid_map", &map.gid)] {
        let path = Name::new(&format!("/proc/{pid}/{file}"));
        let fd = sys::openat(libc::AT_FDCWD, path.as_c_str(), libc::O_WRONLY, 0)?;
        let written = sys::write_all(fd, lines(extents).as_bytes());
        sys::close(fd)?;
        written?;
    }
    let path = Name::new(&format!("/proc/{pid}/ns/user"));
    sys::openat(libc::AT_FDCWD, path.as_c_str(), libc::O_RDONLY, 0)
}

/// A map as the kernel takes it.
pub(super) fn lines(extents: &[Extent]) -> String {
    extents.iter().map(|extent| format!("{extent}\n")).collect()
}
