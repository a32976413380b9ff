//! What becomes of each change, and why.

use crate::host::upper::{Cover, Upper};
use crate::launch::changes::journal::{
    Undone, descend, has_newer, is_of_apply, meanwhile, split, undone,
};
use crate::launch::changes::{Change, Kind, What};
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    /// Not applied, and why.
    KeptBack(&'static str),
    /// The host has changed it since, and how.
    Meanwhile(&'static str),
    /// The same, and it is kept back in any case.
    MeanwhileKeptBack(&'static str),
    /// The host does not let the caller, and why.
    Shut(&'static str),
    /// The caller chose others; whether the host has changed it since.
    NotChosen {
        is_meanwhile: bool,
    },
}

/// Where all others of a directory are that is kept back.
pub(super) const BELOW: &str = "its directory is kept back";
/// The same where the directory is not chosen, and is none in the host's tree.
pub(super) const ABOVE: &str = "its directory takes the place of something that was not named";

/// What is known of a kept upper besides its record.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Places that have their old files again: the last of a path is the latest.
    pub undone: BTreeMap<Vec<u8>, Undone>,
    /// Places that the host had changed when the record was renewed.
    pub meanwhile: BTreeSet<Vec<u8>>,
}

impl Known {
    pub(super) fn read(directory: RawFd) -> sys::Result<Known> {
        let undone = undone(directory)?.into_iter();
        let undone = undone.map(|one| (bytes::bytes(&one.path).into_owned(), one)).gather();
        Ok(Known { undone, meanwhile: meanwhile(directory)? })
    }
}

/// Whether a time of a file is one since a moment, as a record has that.
pub(super) fn is_since(begun: u64, (seconds, nanos): (i64, u32)) -> bool {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos.into()) >= begun
}

pub(super) fn fate(record: &Upper, change: &Change, layer: &File, known: &Known) -> Fate {
    match record.cover(&change.path) {
        Cover::Covered => return Fate::KeptBack("an entry of [mounts] covers it"),
        Cover::Above => return Fate::KeptBack("an entry of [mounts] lies below it"),
        Cover::Free => {}
    }
    if change.path.split(|byte| *byte == b'/').any(is_of_apply) {
        return Fate::KeptBack("its name is that of an apply of stockade's");
    }
    if change.unread {
        return Fate::KeptBack("it is not readable");
    }
    if let Some(after) = &change.after {
        match after.kind {
            Kind::File | Kind::Directory | Kind::Link => {}
            Kind::Fifo | Kind::Socket | Kind::Character | Kind::Block => {
                return Fate::KeptBack("it is no file, directory or link");
            }
        }
    }
    if let (What::Rights, Some(before), Some(after)) = (change.what, &change.before, &change.after)
        && (after.kind == Kind::Link || after.mode & 0o1777 == before.mode & 0o1777)
    {
        return Fate::KeptBack("no owner and no set-id bit is applied");
    }
    if known.meanwhile.contains(&change.path) {
        return Fate::Meanwhile("the host has changed it since");
    }
    let Some(before) = &change.before else { return Fate::Applied };
    let is_since = |at| is_since(record.begun, at);
    if record.begun == 0 {
        return Fate::Meanwhile("the upper does not say when it was begun");
    }
    // A name that is made in a directory changes its ctime, too: that says nothing of its mode.
    let is_mode_of_directory = before.kind == Kind::Directory && change.what == What::Rights;
    let undone = known.undone.get(&change.path);
    let was_undone = undone
        .is_some_and(|undone| (undone.number, undone.changed) == (before.inode.1, before.changed));
    if is_since(before.changed) && !is_mode_of_directory && !was_undone {
        return Fate::Meanwhile("the host has changed it since");
    }
    if before.kind == Kind::Directory && !is_mode_of_directory {
        let (parent, last) = split(&change.path);
        let old = descend(layer.as_raw_fd(), parent).and_then(|parent| {
            let is_since = |at: &Looked| is_since(at.changed);
            has_newer(parent.as_raw_fd(), last, &is_since, Err(Errno(libc::EACCES)))
        });
        match old {
            Ok(false) => {}
            Err(Errno(libc::EACCES)) => {
                return Fate::Meanwhile("whether the host has changed something in it is not seen");
            }
            Ok(true) | Err(_) => {
                return Fate::Meanwhile("the host has changed something in it since");
            }
        }
    }
    Fate::Applied
}
