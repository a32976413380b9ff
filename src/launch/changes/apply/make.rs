//! Makes what is new, beside its place.

use super::is_the_same_file;
use super::work::Work;
use crate::launch::changes::journal::{Act, descend, split};
use crate::launch::changes::walk::FILE;
use crate::launch::changes::{Change, Kind, State};
use crate::sys::{self, Errno};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

impl Work<'_> {
    /// Makes what one change adds; a regular file is given back, without its bytes.
    pub(super) fn make(
        &mut self,
        change: &Change,
        unit: Option<usize>,
    ) -> sys::Result<Option<File>> {
        let Some(after) = &change.after else { return Ok(None) };
        let held;
        let (parent, last) = match unit {
            Some(place) => {
                match self.journal.units[place].act {
                    Act::Add | Act::Replace => {}
                    Act::Remove | Act::Mode { .. } | Act::Open { .. } | Act::Close { .. } => {
                        return Ok(None);
                    }
                }
                let names = self.journal.names(self.top, place)?;
                held = names.parent;
                (held.as_raw_fd(), names.other)
            }
            None => {
                let last = CString::new(split(&change.path).1).map_err(|_| Errno(libc::EINVAL))?;
                (self.nest.parent(&change.path)?, last)
            }
        };
        match after.kind {
            Kind::File => {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
                let file = sys::owned(sys::openat(parent, &last, flags, 0o600)?);
                Ok(Some(File::from(file)))
            }
            Kind::Directory => {
                let (open, mode) = self.directory(parent, &last, after)?;
                self.nest.enter(&change.path, open, mode)?;
                Ok(None)
            }
            Kind::Link => {
                let target = CString::new(&*after.target).map_err(|_| Errno(libc::EINVAL))?;
                sys::symlinkat(&target, parent, &last)?;
                if let Some((user, group)) = self.owner_of(change)? {
                    let flags = libc::O_PATH | libc::O_NOFOLLOW;
                    let link = sys::owned(sys::openat(parent, &last, flags, 0)?);
                    // Where the parent is a user's, that user can put another file there.
                    if sys::look(link.as_raw_fd(), c"")?.mode & libc::S_IFMT != libc::S_IFLNK {
                        return Err(Errno(libc::ESTALE));
                    }
                    sys::own_held(link.as_raw_fd(), user, group)?;
                }
                Ok(None)
            }
            Kind::Fifo | Kind::Socket | Kind::Character | Kind::Block => Err(Errno(libc::EINVAL)),
        }
    }

    /// Makes one, and gives the mode that it gets later, where it is one without a bit of its owner's.
    fn directory(
        &self,
        parent: RawFd,
        last: &CStr,
        after: &State,
    ) -> sys::Result<(OwnedFd, Option<u32>)> {
        sys::mkdirat(parent, last, 0o700)?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let open = sys::owned(sys::openat(parent, last, flags, 0)?);
        if let Some((user, group)) = self.owner {
            // Where the parent is a user's, that user can put another directory there.
            let mut buffer = vec![0; 4096];
            let length = sys::read_directory(open.as_raw_fd(), &mut buffer)?;
            if sys::records(&buffer[..length]).next().is_some() {
                return Err(Errno(libc::ESTALE));
            }
            sys::fchown(open.as_raw_fd(), user, group)?;
        }
        let mode = after.mode & 0o1777;
        if mode & 0o700 != 0o700 {
            return Ok((open, Some(mode)));
        }
        sys::fchmod(open.as_raw_fd(), mode)?;
        Ok((open, None))
    }

    /// Who owns what is made, where root makes it: what is changed keeps its owner.
    fn owner_of(&self, change: &Change) -> sys::Result<Option<(u32, u32)>> {
        if self.owner.is_none() || !is_the_same_file(change) {
            return Ok(self.owner);
        }
        let (parent, last) = split(&change.path);
        let last = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
        let there = sys::look(descend(self.top, parent)?.as_raw_fd(), &last)?;
        let before = change.before.as_ref().map(|before| before.inode);
        // The owner of a directory above can put a file of another's there, and take it away again.
        if before != Some(there.inode) {
            return Err(Errno(libc::ESTALE));
        }
        Ok(Some((there.owner, there.group)))
    }

    /// Gives a file its length, owner, mode and time.
    pub(super) fn finish(&self, change: &Change, file: &File) -> sys::Result {
        let Some(after) = &change.after else { return Ok(()) };
        let io = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        file.set_len(after.size).map_err(io)?;
        if let Some((user, group)) = self.owner_of(change)? {
            sys::fchown(file.as_raw_fd(), user, group)?;
        }
        if is_the_same_file(change) {
            self.keep_attributes(change, file)?;
        }
        sys::fchmod(file.as_raw_fd(), after.mode & 0o1777)?;
        sys::set_written(file.as_raw_fd(), after.written)
    }

    /// Gives a file what the host's has: its access list, whose mask the group's bits are (acl(5)),
    /// as they would be the group's own without it, and users' attributes. A file capability is lost
    /// with the bytes that it was given to, as by writing into it.
    fn keep_attributes(&self, change: &Change, file: &File) -> sys::Result {
        let (parent, last) = split(&change.path);
        let last = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
        let old = match sys::openat(descend(self.top, parent)?.as_raw_fd(), &last, FILE, 0) {
            // Whose owner may not read it.
            Err(Errno(libc::EACCES)) => return Ok(()),
            other => sys::owned(other?),
        };
        let before = change.before.as_ref().map(|before| before.inode);
        if before != Some(sys::look(old.as_raw_fd(), c"")?.inode) {
            return Err(Errno(libc::ESTALE));
        }
        // As long as a list of names and a value can be (xattr(7)).
        let (mut names, mut value) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let length = match sys::attribute_names(old.as_raw_fd(), &mut names) {
            Err(Errno(libc::ENOTSUP)) => 0,
            other => other?,
        };
        for name in names[..length].split_inclusive(|byte| *byte == 0) {
            if name.starts_with(b"user.") || name == b"system.posix_acl_access\0" {
                let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno(libc::EINVAL))?;
                let length = sys::attribute_of(old.as_raw_fd(), name, &mut value)?;
                sys::set_attribute(file.as_raw_fd(), name, &value[..length])?;
            }
        }
        Ok(())
    }
}
