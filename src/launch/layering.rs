//! Tries which layers overlayfs takes, in a process of its own: an overlay is mounted in namespaces
//! that end with it, where no other process sees it.

use crate::host::layering::{Doubt, Unlayered};
use crate::kernel::name::Name;
use crate::sys::{self, Errno, Result};
use crate::text::gather::Gather;
use std::collections::BTreeMap;

/// Those that overlayfs refuses. If it could not be tried, the launch itself shows it.
pub(crate) fn refused_layers(doubtful: &[Doubt]) -> BTreeMap<String, Unlayered> {
    let refused = doubtful.iter().filter(|doubt| tried(&doubt.place) == Err(Errno(libc::EINVAL)));
    refused.map(|doubt| (doubt.source.clone(), doubt.reason.clone())).gather()
}

/// The status of the process is the kernel's error.
fn tried(place: &str) -> Result {
    let place = Name::new(place);
    let mut pidfd = -1;
    let flags = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u64;
    match sys::clone_process(flags, &mut pidfd, None)? {
        0 => sys::exit(merged(&place).map_or_else(|Errno(errno)| errno, |()| 0)),
        pid => {
            let status = sys::wait_for(pid);
            sys::close(pidfd)?;
            match status? {
                0 => Ok(()),
                status => Err(Errno(libc::WEXITSTATUS(status))),
            }
        }
    }
}

/// Merges a layer with an empty one: raw system calls alone. Without a map of ids no file can be made
/// here (EOVERFLOW), so the overlay is mounted over its own layer.
fn merged(place: &Name) -> Result {
    sys::make_private()?;
    sys::chdir(place.as_c_str())?;
    let context = sys::fsopen(c"tmpfs")?;
    let empty = sys::fsmount(context, 0)?;
    sys::move_mount(empty, libc::AT_FDCWD, c"/proc")?;
    sys::mount_overlay(c".", c"userxattr,lowerdir=.:/proc").map(drop)
}
