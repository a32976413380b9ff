//! The record after some of an upper has gone: a change of the host's is one that comes later than
//! this. What it had changed before at a place that the upper still has is written down, and so is what
//! it changed while this ran.

use super::{Judged, Planned, is_since};
use crate::host::upper::{self, Upper};
use crate::launch::changes::journal::{
    descend, forget_undone, has_newer, meanwhile, note_meanwhile, split,
};
use crate::launch::changes::{Change, Kept, Kind, What};
use crate::launch::uppers;
use crate::sys::{self, Errno, Looked};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;

impl Planned {
    /// Renews it; `is_left` says what is left in the upper, `is_out` of which paths nothing is, and `layer` is the host's tree, where it is
    /// of that.
    pub(crate) fn renew(
        &self,
        kept: &Kept,
        layer: Option<&File>,
        is_left: impl Fn(&Judged) -> bool,
        is_out: impl Fn(&[u8]) -> bool,
    ) -> sys::Result {
        let left = || self.changes.iter().filter(|one| is_left(one));
        let is_meanwhile = |one: &&Judged| {
            one.conflict.is_some() || layer.is_some_and(|layer| self.is_another(&one.change, layer))
        };
        let new = left().filter(is_meanwhile).map(|one| one.change.path.clone());
        let directory = kept.directory.as_raw_fd();
        let mut all = meanwhile(directory)?;
        // At one that is no change now, the target may have what it was before for the moment.
        all.retain(|path| !is_out(path));
        all.extend(new);
        note_meanwhile(directory, &all)?;
        // A place that was switched before this moment is none that the host has changed.
        let mut record = Upper { begun: upper::now(), ..kept.record.clone() };
        if left().next().is_none() {
            // What the next run has, it writes down.
            record.mounts.clear();
        }
        let io = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        uppers::write(&kept.file, &record).map_err(io)?;
        sys::sync(kept.file.as_raw_fd())?;
        forget_undone(directory)
    }

    /// Whether a place has by now another file than when it was judged.
    fn is_another(&self, change: &Change, layer: &File) -> bool {
        let (parent, last) = split(&change.path);
        let Ok(name) = CString::new(last) else { return true };
        let Ok(parent) = descend(layer.as_raw_fd(), parent) else { return change.before.is_some() };
        let now = match sys::look(parent.as_raw_fd(), &name) {
            Err(Errno(libc::ENOENT)) => return change.before.is_some(),
            Err(_) => return true,
            Ok(now) => now,
        };
        let Some(before) = &change.before else { return true };
        if before.kind == Kind::Directory {
            let is_since = |looked: &Looked| is_since(self.begun, looked.changed);
            let newer = || has_newer(parent.as_raw_fd(), last, &is_since, Ok(()));
            return now.inode != before.inode
                || change.what != What::Rights && newer() != Ok(false);
        }
        // To switch another name of a file changes its ctime.
        (now.inode, now.written, now.size) != (before.inode, before.written, before.size)
    }
}
