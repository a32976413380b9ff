//! What the host's modes and mounts do not let the caller change. It is looked at before the first
//! write: an apply to several trees would else have begun with some of them.

use super::work::has_more_names;
use super::{Fate, Judged, is_inside};
use crate::launch::changes::journal::{descend, holds, split};
use crate::launch::changes::{Change, Kind, State, What};
use crate::sys::{self, Errno, Looked};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A directory, and why no name can be made in it.
struct Directory {
    path: Vec<u8>,
    held: Result<(OwnedFd, Looked), Errno>,
    refuses: Option<&'static str>,
}

/// Judges what would be applied. The changes are in the order of a walk.
pub(super) fn find(changes: &mut [Judged], top: RawFd) {
    let caller = nix::unistd::geteuid().as_raw();
    let (mut whole, mut last): (Option<Vec<u8>>, Option<Directory>) = (None, None);
    for Judged { change, fate, .. } in changes.iter_mut().filter(|one| one.fate == Fate::Applied) {
        if whole.as_ref().is_some_and(|whole| is_inside(&change.path, whole)) {
            continue;
        }
        let (parent, name) = split(&change.path);
        let known = last.take().filter(|directory| directory.path == parent);
        let directory = known.unwrap_or_else(|| Directory::of(top, parent, caller));
        if let Some(why) = why(change, name, &directory, caller) {
            *fate = Fate::Shut(why);
        }
        last = Some(directory);
        let is_directory = |state: &State| state.kind == Kind::Directory;
        let is_made =
            change.what != What::Rights && change.after.as_ref().is_some_and(is_directory);
        whole = is_made.then(|| change.path.clone());
    }
}

impl Directory {
    fn of(top: RawFd, path: &[u8], caller: u32) -> Directory {
        let looked = |open: OwnedFd| {
            let looked = sys::look(open.as_raw_fd(), c"")?;
            Ok((open, looked))
        };
        let held = descend(top, path).and_then(looked);
        let refuses = match &held {
            Err(Errno(libc::EACCES)) => Some("the caller may not look into its directory"),
            // What else there is the apply itself finds.
            Err(_) => None,
            // overlayfs lets nobody remove there, or change a file that is sealed; names it makes.
            Ok((_, looked)) if looked.sealed => {
                Some("its directory is immutable or append-only (lsattr)")
            }
            Ok((open, looked)) => match sys::may_make_in(open.as_raw_fd()) {
                Err(Errno(libc::EROFS)) => Some("its file system is read-only"),
                // Its owner opens it for the time of the apply.
                Err(Errno(libc::EACCES)) if looked.owner != caller => {
                    Some("the caller may not write to its directory")
                }
                Ok(()) | Err(_) => None,
            },
        };
        Directory { path: path.to_vec(), held, refuses }
    }
}

fn why(change: &Change, name: &[u8], directory: &Directory, caller: u32) -> Option<&'static str> {
    let is_mode =
        change.what == What::Rights && !change.before.as_ref().is_some_and(has_more_names);
    if let Some(why) = directory.refuses.filter(|_| !is_mode) {
        return Some(why);
    }
    let (open, looked) = directory.held.as_ref().ok()?;
    if caller == 0 || change.before.is_none() {
        return None;
    }
    let name = CString::new(name).ok()?;
    let there = sys::look(open.as_raw_fd(), &name).ok()?;
    let is_own = there.owner == caller;
    if is_mode {
        return (!is_own).then_some("only its owner can change its mode");
    }
    if !is_own && looked.mode & libc::S_ISVTX != 0 && looked.owner != caller {
        return Some("only its owner can take it away there (sticky)");
    }
    let is_gone = matches!(change.what, What::Removed | What::Replaced);
    let is_directory = there.mode & libc::S_IFMT == libc::S_IFDIR;
    (is_gone && is_directory && keeps_any(open.as_raw_fd(), &name, &there, caller))
        .then_some("the caller may not remove what is in it")
}

/// Whether a directory has something in it, at any depth, that the caller may not remove. What is the
/// caller's own is opened for that, whatever its mode.
fn keeps_any(parent: RawFd, name: &CStr, there: &Looked, caller: u32) -> bool {
    let is_kept = |above: RawFd, name: &CStr, looked: &Looked| {
        if looked.owner == caller {
            return false;
        }
        let is_directory = looked.mode & libc::S_IFMT == libc::S_IFDIR;
        let is_sticky = |above: Looked| above.mode & libc::S_ISVTX != 0 && above.owner != caller;
        is_directory && keeps(above, name) || sys::look(above, c"").is_ok_and(is_sticky)
    };
    let keeps_itself = there.owner != caller && keeps(parent, name);
    keeps_itself || holds(parent, name.to_bytes(), &is_kept, Ok(())).unwrap_or(false)
}

/// Whether a directory of another owner has something in it that the caller may not remove.
fn keeps(parent: RawFd, name: &CStr) -> bool {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let Ok(open) = sys::openat(parent, name, flags, 0).map(sys::owned) else { return true };
    if sys::may_make_in(open.as_raw_fd()).is_ok() {
        return false;
    }
    let mut buffer = vec![0; 4096];
    let length = sys::read_directory(open.as_raw_fd(), &mut buffer);
    length.is_ok_and(|length| sys::records(&buffer[..length]).next().is_some())
}
