//! Directories that are being made, one in another, in the order of a walk.

use super::is_inside;
use crate::launch::changes::journal::split;
use crate::sys::{self, Errno, Looked};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The innermost alone is open, so neither their number nor their depth takes descriptors: to the
/// one above it leads `..`, which has to be what was made there.
#[derive(Debug, Default)]
pub(super) struct Nest {
    /// The path of the innermost.
    path: Vec<u8>,
    open: Option<OwnedFd>,
    all: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    /// How long its path is.
    end: usize,
    inode: (u64, u64),
    owner: u32,
    mode: u32,
    /// The mode that it gets when all in it is there.
    last: Option<u32>,
}

impl Nest {
    /// Where a path is made: in the innermost, as far as it lies right there.
    pub(super) fn parent(&self, path: &[u8]) -> sys::Result<RawFd> {
        let is_here = split(path).0 == self.path;
        let open = self.open.as_ref().filter(|_| is_here);
        open.map(AsRawFd::as_raw_fd).ok_or(Errno(libc::ESTALE))
    }

    /// Leaves those in which a path does not lie.
    pub(super) fn leave_for(&mut self, path: &[u8]) -> sys::Result {
        while !self.all.is_empty() && !is_inside(path, &self.path) {
            self.leave()?;
        }
        Ok(())
    }

    pub(super) fn leave_all(&mut self) -> sys::Result {
        while !self.all.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> sys::Result {
        let (Some(made), Some(open)) = (self.all.pop(), self.open.take()) else { return Ok(()) };
        if let Some(above) = self.all.last() {
            // Who can rename what is being made puts it elsewhere.
            let up = directory(open.as_raw_fd())?;
            let Looked { inode, owner, mode, .. } = sys::look(up.as_raw_fd(), c"")?;
            if (inode, owner, mode & 0o7777) != (above.inode, above.owner, above.mode) {
                return Err(Errno(libc::ESTALE));
            }
            self.path.truncate(above.end);
            self.open = Some(up);
        }
        // Its owner enters one without a bit of its own no more.
        made.last.map_or(Ok(()), |mode| sys::fchmod(open.as_raw_fd(), mode))
    }

    /// Goes into one that was made at a path, which lies in the innermost where there is one.
    pub(super) fn enter(&mut self, path: &[u8], open: OwnedFd, last: Option<u32>) -> sys::Result {
        let Looked { inode, owner, mode, .. } = sys::look(open.as_raw_fd(), c"")?;
        self.all.push(Made { end: path.len(), inode, owner, mode: mode & 0o7777, last });
        self.path = path.to_vec();
        self.open = Some(open);
        Ok(())
    }
}

fn directory(inside: RawFd) -> sys::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    Ok(sys::owned(sys::openat(inside, c"..", flags, 0)?))
}
