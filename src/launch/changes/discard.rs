//! Removes trees that a target filled: name by name below descriptors, no link followed, none
//! opened that is no directory.
//!
//! A directory that its owner may not enter is opened up first (overlayfs leaves `work/work` with
//! mode 0). Deep ones need no depth of calls and no descriptor for each level: what lies in a
//! directory below is moved up beside it before that is removed.

use super::kept::name;
use super::{Kept, Refused};
use crate::host::upper::{RECORD, UPPER, WORK};
use crate::sys::{self, Errno};
use crate::text::bytes;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes a kept upper, whose lock the caller holds, with its directory.
pub(crate) fn discard(kept: &Kept, path: &str) -> Result<(), Refused> {
    let directory = kept.directory.as_raw_fd();
    for part in [UPPER, WORK] {
        remove(directory, &name(part)?)?;
    }
    // Until here a next run, or a next `discard`, finds the mark.
    remove(directory, &name(RECORD)?)?;
    empty(directory)?;
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

/// Removes what is in a directory.
pub(super) fn empty(directory: RawFd) -> sys::Result {
    while let Some(names) = some_names(directory)? {
        names.iter().try_for_each(|name| remove(directory, name))?;
    }
    Ok(())
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
    let open = open_directory(directory, name)?;
    // Of the next name that is tried: one that is found taken is not tried again.
    let mut number = 0;
    while let Some(names) = some_names(open.as_raw_fd())? {
        for inner in names {
            match sys::unlink_at(open.as_raw_fd(), &inner, false) {
                Ok(()) => continue,
                Err(Errno(libc::EISDIR | libc::EPERM)) => {}
                Err(errno) => return Err(errno),
            }
            match sys::unlink_at(open.as_raw_fd(), &inner, true) {
                Ok(()) => continue,
                Err(Errno(libc::ENOTEMPTY | libc::EEXIST | libc::EACCES)) => {}
                Err(errno) => return Err(errno),
            }
            lift(open.as_raw_fd(), &inner, &mut number)?;
        }
    }
    sys::unlink_at(directory, name, true)
}

/// Moves what is in a directory that lies in another up into that one, under names of its own.
fn lift(directory: RawFd, name: &CStr, number: &mut u64) -> sys::Result {
    let inner = open_directory(directory, name)?;
    while let Some(names) = some_names(inner.as_raw_fd())? {
        for name in names {
            match sys::unlink_at(inner.as_raw_fd(), &name, false) {
                Ok(()) => continue,
                Err(Errno(libc::EISDIR | libc::EPERM)) => {}
                Err(errno) => return Err(errno),
            }
            // A directory is moved by who may write to it: its `..` changes (rename(2)).
            drop(open_directory(inner.as_raw_fd(), &name)?);
            loop {
                let free = CString::new(format!(".{number}")).map_err(|_| Errno(libc::EINVAL))?;
                *number += 1;
                let flags = libc::RENAME_NOREPLACE;
                match sys::rename_at(inner.as_raw_fd(), &name, directory, &free, flags) {
                    Err(Errno(libc::EEXIST)) => {}
                    other => break other?,
                }
            }
        }
    }
    sys::unlink_at(directory, name, true)
}

/// Opens a directory, with a mode by which its owner may use it.
fn open_directory(directory: RawFd, name: &CStr) -> sys::Result<std::os::fd::OwnedFd> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let held = sys::owned(sys::openat(directory, name, flags | libc::O_PATH, 0)?);
    let mode = sys::look(held.as_raw_fd(), c"")?.mode;
    if mode & 0o700 != 0o700 {
        // A descriptor of O_PATH has its mode changed by its name in /proc (proc_pid_fd(5)), and
        // what that leads to is the directory, whatever the other name leads to by now.
        sys::chmod_held(held.as_raw_fd(), mode & 0o7777 | 0o700)?;
    }
    Ok(sys::owned(sys::openat(held.as_raw_fd(), c".", flags | libc::O_RDONLY, 0)?))
}

/// Some names of a directory; `None` where it has none.
fn some_names(directory: RawFd) -> sys::Result<Option<Vec<CString>>> {
    // From the beginning: what was read before is gone.
    sys::rewind(directory)?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = sys::read_directory(directory, &mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        let names: Vec<CString> = super::walk::records(&buffer[..length])
            .filter_map(|(name, _)| CString::new(name).ok())
            .collect();
        if !names.is_empty() {
            return Ok(Some(names));
        }
    }
}
