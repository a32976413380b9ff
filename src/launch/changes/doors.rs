//! Directories that an `apply` opens before its work and closes after it. Root needs none of it.

use super::journal::{Act, Trouble, Unit, descend_by, split, trouble};
use super::{Change, Kind};
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};

/// A unit, and the change that it is of; none where it only opens or closes a directory.
pub(super) type Of<'p> = (Option<&'p Change>, Unit);

/// What the owner of a directory needs to change names in it.
pub(super) const ENTERS: u32 = 0o700;

/// How many bytes the paths of closed directories may have.
const MOST_BYTES: usize = 64 << 20;

/// Units in an order in which an ordinary user can do and undo them: a directory that its owner may
/// not write to is opened before anything is made in it, and one that its owner may not enter from
/// now on is closed after all else, the innermost first.
pub(super) fn doors<'p>(mut units: Vec<Of<'p>>, top: RawFd) -> Result<Vec<Of<'p>>, Trouble> {
    // Of a deep tree those that are closed alone are kept: each has the whole of its path.
    let (mut above, mut length) = (BTreeMap::<Vec<u8>, Looked>::new(), 0);
    let mut last: Option<Vec<u8>> = None;
    let caller = nix::unistd::geteuid().as_raw();
    for (_, unit) in &units {
        let path = bytes::bytes(&unit.path);
        let (parent, _) = split(&path);
        if path.is_empty() || last.as_deref() == Some(parent) {
            continue;
        }
        let mut keep = |end: usize, looked: &Looked| {
            // One of another's stays as it is, and is open or not.
            let is_shut = looked.mode & ENTERS != ENTERS && looked.owner == caller;
            if is_shut && !above.contains_key(&parent[..end]) {
                length += end;
                if length <= MOST_BYTES {
                    above.insert(parent[..end].to_vec(), *looked);
                }
            }
        };
        descend_by(top, parent, &mut keep).map_err(trouble(parent))?;
        if length > MOST_BYTES {
            return Err(trouble(parent)(Errno(libc::ENAMETOOLONG)));
        }
        last = Some(parent.to_vec());
    }
    let (mut open, mut close) = (vec![], vec![]);
    for (path, looked) in above {
        let old = looked.mode & 0o7777;
        let path = bytes::text(&path);
        let unit = |act| {
            let written = looked.written;
            Unit { path: path.clone(), act, new: 0, old: looked.inode.1, written, made: (0, 0) }
        };
        open.push((None, unit(Act::Open { new: old | ENTERS, old })));
        match units.iter_mut().find(|(_, unit)| unit.path == path) {
            Some((_, Unit { act: Act::Mode { old, .. }, .. })) => *old |= ENTERS,
            _ => close.push((None, unit(Act::Close { new: old, old: old | ENTERS }))),
        }
    }
    units.retain_mut(|(change, unit)| {
        let is_directory = change
            .and_then(|change| change.before.as_ref())
            .is_some_and(|before| before.kind == Kind::Directory);
        let Act::Mode { new, old } = unit.act else { return true };
        let closes = is_directory && new & ENTERS != ENTERS;
        if closes {
            close.push((*change, Unit { act: Act::Close { new, old }, ..unit.clone() }));
        }
        !closes
    });
    close.sort_by(|(_, one), (_, other)| other.path.cmp(&one.path));
    open.extend(units);
    open.extend(close);
    Ok(open)
}

/// Does something in a directory below another, which its owner may enter meanwhile; nothing where
/// none has that name.
pub(super) fn entered(
    directory: RawFd,
    name: &CStr,
    act: &mut dyn FnMut(RawFd) -> sys::Result,
) -> sys::Result {
    let held = match sys::openat(directory, name, libc::O_PATH | libc::O_NOFOLLOW, 0) {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        held => sys::owned(held?),
    };
    let looked = sys::look(held.as_raw_fd(), c"")?;
    if looked.mode & libc::S_IFMT != libc::S_IFDIR {
        return Ok(());
    }
    let mode = looked.mode & 0o7777;
    if mode & ENTERS != ENTERS {
        sys::chmod_held(held.as_raw_fd(), mode | ENTERS)?;
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let done = sys::openat(held.as_raw_fd(), c".", flags, 0)
        .and_then(|open| act(sys::owned(open).as_raw_fd()));
    if mode & ENTERS != ENTERS {
        sys::chmod_held(held.as_raw_fd(), mode)?;
    }
    done
}
