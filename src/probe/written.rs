//! What earlier runs left in a kept upper. It is looked at name by name below a descriptor: a target
//! chose the names, and no link among them is followed.

use crate::host::upper::{UPPER, What, Written};
use crate::kernel::name::Name;
use crate::sys::{self, Errno};
use std::os::fd::AsRawFd;

/// Looks at a path below the top of an upper; none: it has nothing there, or is none.
pub(crate) fn look(directory: &str, tail: &str) -> Option<Written> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let top = sys::openat(libc::AT_FDCWD, Name::new(directory).as_c_str(), flags, 0);
    let mut here = sys::owned(top.ok()?);
    let no_link = flags | libc::O_NOFOLLOW;
    let upper = sys::openat(here.as_raw_fd(), Name::new(UPPER).as_c_str(), no_link, 0);
    here = sys::owned(upper.ok()?);
    let (mut at, mut is_opaque) = (String::new(), false);
    let mut last = None;
    for part in tail.split('/').filter(|part| !part.is_empty()) {
        let name = Name::new(part);
        let next = format!("{at}/{part}");
        let above = std::mem::replace(&mut at, next);
        let written = |what| Some(Written { at: at.clone(), what });
        let looked = match sys::look(here.as_raw_fd(), name.as_c_str()) {
            Ok(looked) => looked,
            Err(Errno(libc::ENOENT)) if is_opaque => return written(What::Removed),
            Err(Errno(libc::ENOENT)) => {
                return last.map(|mode| Written { at: above, what: What::Directory(mode) });
            }
            Err(_) => return written(What::Unseen),
        };
        let kind = looked.mode & libc::S_IFMT;
        if kind == libc::S_IFCHR && looked.node == (0, 0) {
            return written(What::Removed);
        }
        if kind != libc::S_IFDIR {
            return written(if kind == libc::S_IFLNK { What::Link } else { What::Own });
        }
        match sys::openat(here.as_raw_fd(), name.as_c_str(), no_link, 0) {
            Ok(open) => here = sys::owned(open),
            Err(_) => return written(What::Unseen),
        }
        last = Some(looked.mode & 0o7777);
        is_opaque |=
            sys::attribute_of(here.as_raw_fd(), c"user.overlay.opaque", &mut [0; 2]).is_ok();
    }
    last.map(|mode| Written { at, what: What::Directory(mode) })
}
