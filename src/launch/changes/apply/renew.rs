//! The record after some of an upper has gone: a change of the host's is one that comes later than
//! this. What it had changed before at a place that the upper still has is written down, and so is what
//! it changed while this ran.

use super::fate::MOVED;
use super::{Failed, Judged, Planned};
use crate::host::upper::{self, Upper};
use crate::launch::changes::journal::{forget_undone, meanwhile, note_meanwhile};
use crate::launch::changes::{Kept, Refused, State};
use crate::launch::uppers;
use crate::sys::{self, Errno};
use crate::text::gather::Gather;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsRawFd;

impl Planned {
    /// Renews it; `is_left` says what is left in the upper, and `is_out` of which paths nothing is.
    /// `layer` is the host's tree, where it is of that and something is left.
    pub(crate) fn renew(
        &self,
        kept: &Kept,
        layer: Option<&File>,
        is_left: impl Fn(&Judged) -> bool,
        is_out: impl Fn(&[u8]) -> bool,
    ) -> sys::Result {
        // A place that was switched before this moment is none that the host has changed.
        let begun = upper::now();
        let again = |layer| self.meanwhile_now(kept, layer, &is_left);
        let new = layer.map_or(Ok(vec![]), again).map_err(|why| {
            let Failed::Refused(Refused::Errno(errno)) = why else { return Errno(libc::EIO) };
            Errno(errno)
        })?;
        let directory = kept.directory.as_raw_fd();
        let mut all = meanwhile(directory)?;
        // At one that is no change now, the target may have what it was before for the moment.
        all.retain(|path| !is_out(path));
        all.extend(new);
        note_meanwhile(directory, &all)?;
        let mut record = Upper { begun, ..kept.record.clone() };
        if !self.changes.iter().any(is_left) {
            // What the next run has, it writes down.
            record.mounts.clear();
            record.profiles.clear();
        }
        let io = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        uppers::write(&kept.file, &record).map_err(io)?;
        sys::sync(kept.file.as_raw_fd())?;
        forget_undone(directory)
    }

    /// What the host has changed by now of what the upper still has: a question may have waited for
    /// long, and what was the same as the host's before was no change that anybody looked at.
    fn meanwhile_now(
        &self,
        kept: &Kept,
        layer: &File,
        is_left: impl Fn(&Judged) -> bool,
    ) -> Result<Vec<Vec<u8>>, Failed> {
        let before: BTreeMap<&[u8], &Judged> =
            self.changes.iter().map(|one| (&*one.change.path, one)).gather();
        let gone = self.changes.iter().filter(|one| !is_left(one));
        let files = gone.filter_map(|one| one.change.before.as_ref());
        let switched: BTreeSet<(u64, u64)> = files.map(|file| file.inode).gather();
        // To switch one name of a file changes the time of the others.
        let is_ours = |then: &Judged, now: &State| {
            let same = |then: &State| {
                let of = |state: &State| (state.inode, state.written, state.size, state.mode);
                of(then) == of(now) && switched.contains(&now.inode)
            };
            then.conflict.is_none() && then.change.before.as_ref().is_some_and(same)
        };
        // What this apply has made and removed beside it changes the directories above.
        let is_untouched = |then: &Judged, one: &Judged| {
            one.conflict == Some(MOVED)
                && then.conflict.is_none()
                && then.change.before == one.change.before
        };
        let is_meanwhile = |one: &Judged| {
            let then = before.get(&*one.change.path);
            match &one.change.before {
                Some(now) => {
                    let is_known = |then: &Judged| is_ours(then, now) || is_untouched(then, one);
                    one.conflict.is_some() && then.is_none_or(|then| !is_known(then))
                }
                // Where nothing was, nothing is removed, whatever this apply has made beside it.
                None => then.map_or(one.conflict.is_some(), |then| {
                    then.change.before.is_some() || then.conflict.is_some()
                }),
            }
        };
        let now = Planned::read(kept, layer)?;
        Ok(now.changes.into_iter().filter(is_meanwhile).map(|one| one.change.path).collect())
    }
}
