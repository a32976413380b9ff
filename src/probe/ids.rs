//! Host ids that no other sandbox has, for one whose tree has files of many owners.
//!
//! Each block of them is a byte of one file, and the launcher that has it holds a lock on that byte
//! (fcntl(2), F_OFD_SETLK), which ends with it. Here it is only looked at.

use crate::kernel::idmap::MANY_IDS;
use crate::kernel::name::Name;
use crate::policy::identity::{block_of, blocks};
use crate::sys;
use crate::text::problem::errno_words;

/// The name of the file in the directory of running sandboxes.
pub(crate) const LOCKS: &str = "host-ids";

/// The first id of a free block. Launchers begin to look at different places, by their process ids,
/// so that two that start at once do not find the same one.
pub(super) fn free(directory: &str, pid: u32, taken: &[(u32, u32)]) -> Result<u32, String> {
    let locks = Name::new(&format!("{directory}/{LOCKS}"));
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW;
    let locks = match sys::openat(libc::AT_FDCWD, locks.as_c_str(), flags, 0) {
        Ok(fd) => Some(fd),
        Err(sys::Errno(libc::ENOENT)) => None,
        Err(sys::Errno(errno)) => {
            return Err(format!("{directory}/{LOCKS}: {}", errno_words(errno)));
        }
    };
    let is_used = |first: &u32| {
        let last = first + (MANY_IDS - 1);
        taken.iter().any(|(other, count)| *first < other.saturating_add(*count) && *other <= last)
    };
    let is_held = |first: &u32| {
        locks.map_or(Ok(false), |fd| sys::is_byte_locked(fd, block_of(*first))) != Ok(false)
    };
    let count = blocks().count();
    let from = pid as usize % count;
    let found = blocks()
        .skip(from)
        .chain(blocks().take(from))
        .find(|first| !is_used(first) && !is_held(first));
    locks.into_iter().for_each(|fd| sys::regardless(sys::close(fd)));
    found.ok_or_else(|| "other users and other sandboxes have all of them".to_owned())
}
