//! Empties a directory that a target has written to, whatever it left there: no link is followed,
//! and a tree of any depth takes no more than a few descriptors.

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::{Permissions, read_dir, set_permissions};
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Removes all that is in a directory. A directory in it that is not empty is emptied where it is, as
/// far as it holds files alone, and what is deeper is moved up first: each has then a place directly
/// below the top. What cannot be removed is left, and the rest goes.
pub(crate) fn clear(top: BorrowedFd<'_>) -> Result<()> {
    let (mut count, mut failed) = (0u64, None);
    let mut left = names(top)?;
    while let Some(name) = left.pop() {
        if let Err(error) = remove(top, &name, &mut count, &mut left) {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Removes one name of the top; directories in it move up to the top, and are left to be removed.
fn remove(
    top: BorrowedFd<'_>,
    name: &OsStr,
    count: &mut u64,
    left: &mut Vec<OsString>,
) -> Result<()> {
    if unlinkat(top, name, UnlinkatFlags::NoRemoveDir).is_ok()
        || unlinkat(top, name, UnlinkatFlags::RemoveDir).is_ok()
    {
        return Ok(());
    }
    let directory = opened(top, name)?;
    for inner in names(directory.as_fd())? {
        let name = inner.as_os_str();
        if unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir).is_ok()
            || unlinkat(&directory, name, UnlinkatFlags::RemoveDir).is_ok()
        {
            continue;
        }
        // One that is moved must be writable itself.
        drop(opened(directory.as_fd(), name)?);
        left.push(move_up(top, directory.as_fd(), name, count)?);
    }
    Ok(unlinkat(top, name, UnlinkatFlags::RemoveDir)?)
}

/// Gives a directory a name of the top that nothing else has: a removal that was cut off, or the
/// target, may have left such names.
fn move_up(
    top: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    name: &OsStr,
    count: &mut u64,
) -> Result<OsString> {
    loop {
        *count += 1;
        let free = format!(".stockade-{count}");
        match renameat(directory, name, top, free.as_str()) {
            // It is there, or the directory is in it.
            Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR | Errno::EINVAL) => {}
            done => return Ok(done.map(|()| free.into())?),
        }
    }
}

/// Opens a directory, and makes it the caller's to change.
fn opened(above: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = openat(above, name, flags | OFlag::O_PATH, Mode::empty())?;
    // By its descriptor: a mode of 0 lets nobody open it to read, and no call changes the mode of a
    // name without following a link.
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    if std::fs::metadata(&path)?.mode() & 0o700 != 0o700 {
        set_permissions(&path, Permissions::from_mode(0o700))?;
    }
    Ok(openat(&place, ".", flags, Mode::empty())?)
}

/// The names in a directory.
pub(crate) fn names(directory: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{DirBuilderExt, symlink};

    #[test]
    fn a_tree_of_any_form_is_emptied_and_what_its_links_lead_to_stays() {
        let place = std::env::temp_dir().join(format!("stockade-clear-{}", std::process::id()));
        let (top, beside) = (place.join("top"), place.join("beside"));
        fs::create_dir_all(&top).unwrap();
        fs::create_dir_all(&beside).unwrap();
        fs::write(beside.join("kept"), "kept").unwrap();
        symlink(&beside, top.join("link")).unwrap();
        fs::write(top.join("file"), "").unwrap();
        // Deeper than a path can be said, as one names it step by step.
        let mut here =
            openat(nix::fcntl::AT_FDCWD, &top, OFlag::O_DIRECTORY | OFlag::O_RDONLY, Mode::empty())
                .unwrap();
        for _ in 0..1_000 {
            nix::sys::stat::mkdirat(&here, "deep-in-the-tree", Mode::S_IRWXU).unwrap();
            here = openat(&here, "deep-in-the-tree", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
        nix::unistd::symlinkat(beside.as_path(), &here, "link").unwrap();
        for name in ["closed", "closed/inner", ".stockade-1", ".stockade-1/x", ".stockade-1/x/y"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        fs::write(top.join(".stockade-2"), "").unwrap();
        fs::write(top.join("closed/inner/file"), "").unwrap();
        fs::DirBuilder::new().mode(0o0).create(top.join("closed/inner/none")).unwrap();
        for name in ["closed/inner", "closed"] {
            set_permissions(top.join(name), Permissions::from_mode(0o0)).unwrap();
        }
        let opened = fs::File::open(&top).unwrap();
        clear(opened.as_fd()).unwrap();
        assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(beside.join("kept")).unwrap(), "kept");
        fs::remove_dir_all(place).unwrap();
    }
}
