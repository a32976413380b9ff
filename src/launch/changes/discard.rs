//! Removes a kept upper, and single trees in which a target, or the host, may have left anything.

use super::kept::name;
use super::{Kept, Refused};
use crate::host::upper::{RECORD, UPPER, WORK};
use crate::launch::states::with_subordinate_ids;
use crate::launch::uppers::clear::clear;
use crate::sys::{self, Errno};
use crate::text::bytes;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is taken out, in the directory of the kept upper, until all of it is removed.
pub(super) const TAKEN: &CStr = c"discarded";

/// Removes a kept upper, whose lock the caller holds, with its directory.
pub(crate) fn discard(kept: &Kept, path: &str) -> Result<(), Refused> {
    let directory = kept.directory.as_raw_fd();
    let record = name(RECORD)?;
    for part in [name(UPPER)?, name(WORK)?, TAKEN.to_owned()] {
        or_with_subordinate_ids(|| remove(directory, &part))?;
    }
    // Until all else is gone a next run, or a next `discard`, finds the mark.
    for part in names_of(directory)?.iter().filter(|part| **part != record) {
        or_with_subordinate_ids(|| remove(directory, part))?;
    }
    remove(directory, &record)?;
    let path = bytes::path(path);
    let last = path.file_name().unwrap_or(OsStr::new("."));
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let parent = CString::new(parent.as_os_str().as_bytes()).map_err(|_| Errno(libc::EINVAL))?;
    let parent = sys::owned(sys::openat(libc::AT_FDCWD, &parent, libc::O_PATH, 0)?);
    let last = CString::new(last.as_bytes()).map_err(|_| Errno(libc::EINVAL))?;
    // The name may be a link to it, or another's by now.
    if sys::look(parent.as_raw_fd(), &last)?.inode == sys::look(directory, c"")?.inode {
        sys::unlink_at(parent.as_raw_fd(), &last, true)?;
    }
    Ok(())
}

/// Does something, and once more as the sandbox's other ids where one of them has closed what it needs.
pub(super) fn or_with_subordinate_ids(act: impl Fn() -> sys::Result) -> sys::Result {
    act().or_else(|errno| {
        let io = |Errno(errno)| std::io::Error::from_raw_os_error(errno);
        with_subordinate_ids(|| act().map_err(io)).ok_or(errno)
    })
}

/// Removes what is in a directory.
pub(super) fn empty(directory: BorrowedFd<'_>) -> sys::Result {
    clear(directory).map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))
}

/// Removes a name with all that is below it; one that is not there is removed.
pub(super) fn remove(directory: RawFd, name: &CStr) -> sys::Result {
    match sys::unlink_at(directory, name, false) {
        Err(Errno(libc::EISDIR | libc::EPERM)) => {}
        Err(Errno(libc::ENOENT)) => return Ok(()),
        other => return other,
    }
    match sys::unlink_at(directory, name, true) {
        Err(Errno(libc::ENOTEMPTY | libc::EEXIST | libc::EACCES)) => {}
        other => return other,
    }
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let held = sys::owned(sys::openat(directory, name, flags | libc::O_PATH, 0)?);
    let mode = sys::look(held.as_raw_fd(), c"")?.mode;
    if mode & 0o700 != 0o700 {
        sys::chmod_held(held.as_raw_fd(), mode & 0o7777 | 0o700)?;
    }
    let open = sys::owned(sys::openat(held.as_raw_fd(), c".", flags | libc::O_RDONLY, 0)?);
    empty(open.as_fd())?;
    sys::unlink_at(directory, name, true)
}

/// The names in an open directory.
pub(super) fn names_of(directory: RawFd) -> sys::Result<Vec<CString>> {
    let (mut names, mut buffer) = (vec![], vec![0; 32 << 10]);
    sys::rewind(directory)?;
    loop {
        let length = sys::read_directory(directory, &mut buffer)?;
        if length == 0 {
            return Ok(names);
        }
        let found = sys::records(&buffer[..length]);
        names.extend(found.filter_map(|(name, _)| CString::new(name).ok()));
    }
}
