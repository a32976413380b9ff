//! Takes paths out of an upper, so that the layers' show there again. The lock is held.
//!
//! What hides the layers whole (`user.overlay.opaque`) on the way to one is made to hide them name by
//! name first. Each step shows the same files as the one before it; where a kill comes between, an
//! overlay lists a name that is marked so and has no file.

use super::Kept;
use super::chosen::Chosen;
use super::discard::{TAKEN, names_of, or_with_subordinate_ids, remove};
use super::doors::entered;
use super::journal::{DEEPEST, Trouble, descend, split, trouble};
use super::kept::name;
use crate::sys::{self, Errno};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, RawFd};

const OPAQUE: &CStr = c"user.overlay.opaque";

/// Removes what one that was killed had taken out; whether there was something.
pub(crate) fn end_taking(kept: &Kept) -> Result<bool, Trouble> {
    let directory = kept.directory.as_raw_fd();
    if matches!(sys::look(directory, TAKEN), Err(Errno(libc::ENOENT))) {
        return Ok(false);
    }
    let ended = or_with_subordinate_ids(|| remove(directory, TAKEN));
    ended.map(|()| true).map_err(trouble(TAKEN.to_bytes()))
}

/// Takes paths out; of the layers these paths are removed.
pub(crate) fn take_out(
    kept: &Kept,
    chosen: &Chosen,
    removed: &BTreeSet<&[u8]>,
) -> Result<(), Trouble> {
    let layers = kept.layers().map_err(|_| trouble(b"")(Errno(libc::EACCES)))?;
    let open = layers.iter().map(AsRawFd::as_raw_fd).collect();
    let taking = Taking { directory: kept.directory.as_raw_fd(), layers: open, removed };
    let top = name(crate::host::upper::UPPER).map_err(trouble(b""))?;
    // All of them, or none: what cannot be taken out is found first.
    for path in chosen.iter() {
        let may_be = entered(taking.directory, &top, &mut |top| taking.may_at(top, 0, path, 0));
        may_be.map_err(trouble(path))?;
    }
    for path in chosen.iter() {
        let taken = entered(taking.directory, &top, &mut |top| taking.at(top, 0, path, 0));
        taken.map_err(trouble(path))?;
    }
    sys::sync_all_of(taking.directory).map_err(trouble(b""))
}

struct Taking<'r> {
    directory: RawFd,
    layers: Vec<RawFd>,
    removed: &'r BTreeSet<&'r [u8]>,
}

impl Taking<'_> {
    /// Whether a path can be taken out, of which so many bytes led to this directory.
    fn may_at(&self, here: RawFd, begin: usize, path: &[u8], depth: usize) -> sys::Result {
        if depth > DEEPEST {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        if sys::attribute_of(here, OPAQUE, &mut [0; 2]).is_ok() {
            are_listed(&path[..begin.saturating_sub(1)], &self.layers)?;
        }
        let Some(slash) = path[begin..].iter().position(|byte| *byte == b'/') else {
            return Ok(());
        };
        let part = CString::new(&path[begin..begin + slash]).map_err(|_| Errno(libc::EINVAL))?;
        let next = begin + slash + 1;
        entered(here, &part, &mut |open| self.may_at(open, next, path, depth + 1)).map(drop)
    }

    /// Takes out a path, of which so many bytes led to this directory.
    fn at(&self, here: RawFd, begin: usize, path: &[u8], depth: usize) -> sys::Result {
        if depth > DEEPEST {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        merge(here, &path[..begin.saturating_sub(1)], &self.layers, self.removed)?;
        let rest = &path[begin..];
        let slash = rest.iter().position(|byte| *byte == b'/');
        let part = CString::new(&rest[..slash.unwrap_or(rest.len())]);
        let part = part.map_err(|_| Errno(libc::EINVAL))?;
        match slash {
            None => self.remove(here, &part),
            Some(slash) => {
                let next = begin + slash + 1;
                entered(here, &part, &mut |open| self.at(open, next, path, depth + 1)).map(drop)
            }
        }
    }

    /// It is gone at once, and not by and by.
    fn remove(&self, here: RawFd, part: &CStr) -> sys::Result {
        let no = libc::RENAME_NOREPLACE;
        match sys::rename_at(here, part, self.directory, TAKEN, no) {
            Err(Errno(libc::ENOENT)) => Ok(()),
            Ok(()) => or_with_subordinate_ids(|| remove(self.directory, TAKEN)),
            // A directory that its owner may not write to is not moved.
            Err(_) => or_with_subordinate_ids(|| remove(here, part)),
        }
    }
}

/// Whether what layers have in a directory of this path is known.
fn are_listed(path: &[u8], layers: &[RawFd]) -> sys::Result {
    layers.iter().try_for_each(|layer| match descend(*layer, path) {
        Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => Ok(()),
        opened => match sys::read_directory(opened?.as_raw_fd(), &mut [0; 1024]) {
            Err(Errno(libc::EBADF)) => Err(Errno(libc::EACCES)),
            read => read.map(drop),
        },
    })
}

/// Where a directory of this path shows nothing of the layers, has it show what it did by a mark at
/// each name. Of the layers these paths are removed. What they have in a directory that cannot be
/// listed is not known, and would show (EACCES).
pub(super) fn merge(
    here: RawFd,
    path: &[u8],
    layers: &[RawFd],
    removed: &BTreeSet<&[u8]>,
) -> sys::Result {
    if sys::attribute_of(here, OPAQUE, &mut [0; 2]).is_err() {
        return Ok(());
    }
    are_listed(path, layers)?;
    for part in names_of(here)? {
        entered(here, &part, &mut |open| sys::set_attribute_of(open, OPAQUE, b"y"))?;
    }
    let begin = if path.is_empty() { vec![] } else { [path, b"/"].concat() };
    let below = removed.range(&*begin..).take_while(|one| one.starts_with(&begin));
    for one in below.filter(|one| split(one).0 == path && !one.is_empty()) {
        let gone = CString::new(split(one).1).map_err(|_| Errno(libc::EINVAL))?;
        match sys::make_whiteout(here, &gone) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(errno),
        }
    }
    sys::remove_attribute_of(here, OPAQUE)
}
