//! What becomes of each change, and why.

use crate::host::upper::{Cover, Upper};
use crate::launch::changes::journal::{
    Undone, descend, descend_by, has_newer, is_of_apply, meanwhile, split, undone,
};
use crate::launch::changes::{Change, Kind, State, What};
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use crate::text::gather::Gather;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

/// What overlayfs gives a directory that it copies for a change in it.
const ORIGIN: &CStr = c"user.overlay.origin";

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    /// Not applied, and why.
    KeptBack(&'static str),
    /// The host has changed it since, and how.
    Meanwhile(&'static str),
    /// The host does not let the caller, and why.
    Shut(&'static str),
    /// The caller chose others.
    NotChosen,
}

/// A change, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub change: Change,
    pub fate: Fate,
    /// Why it is in conflict with what the host has done since, whatever becomes of it.
    pub conflict: Option<&'static str>,
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

impl Judged {
    /// The conflict is judged apart from what is kept back: what is kept back now may be another file
    /// the next time, of which later times would not show it.
    pub(super) fn new(
        record: &Upper,
        change: Change,
        (upper, layer): (&File, &File),
        known: &Known,
    ) -> Judged {
        let conflict = conflict(record, &change, layer, known)
            .or_else(|| is_moved_here(record, &change, (upper, layer), known).then_some(MOVED));
        let mut judged = Judged { change, fate: Fate::Applied, conflict: None };
        judged.settle(record, conflict);
        judged
    }

    fn settle(&mut self, record: &Upper, conflict: Option<&'static str>) {
        self.conflict = conflict;
        self.fate = match (kept_back(record, &self.change), conflict) {
            (Some(why), _) => Fate::KeptBack(why),
            (None, Some(why)) => Fate::Meanwhile(why),
            (None, None) => Fate::Applied,
        };
    }

    /// The file that a change removes.
    fn file_removed(&self) -> Option<&State> {
        let before = self.change.before.as_ref().filter(|_| self.change.what == What::Removed);
        before.filter(|before| before.kind == Kind::File)
    }
}

/// Parts files that the target has moved from those that the host may have removed: one of the same
/// size and time goes elsewhere. Where one may be either, no removal is for itself: it could be that of
/// the file which was moved, whose content would be nowhere once both were decided.
pub(super) fn part_moved(changes: &mut [Judged], record: &Upper) {
    let like = |state: &State| (state.size, state.written);
    let removed: BTreeSet<(u64, (i64, u32))> =
        changes.iter().filter_map(|one| one.file_removed().map(like)).gather();
    let copies = changes.iter().filter(|one| one.change.is_copy && one.change.before.is_none());
    let copies = copies.filter_map(|one| one.change.after.as_ref()).map(like);
    let moved: BTreeSet<_> = copies.filter(|copy| removed.contains(copy)).gather();
    let is_moved = |state: Option<&State>| state.is_some_and(|state| moved.contains(&like(state)));
    let mut is_open = false;
    for one in changes.iter_mut().filter(|one| one.conflict == Some(MAY_BE)) {
        match is_moved(one.change.after.as_ref()) {
            true => one.settle(record, None),
            false => is_open = true,
        }
    }
    for one in changes.iter_mut().filter(|one| is_open && one.conflict.is_none()) {
        if one.file_removed().is_some() && !is_moved(one.file_removed()) {
            one.settle(record, Some(MAY_BE_MOVED));
        }
    }
}

/// Keeps back what takes a file away that the target may have moved to what is kept back: one of the same
/// size and time. Where the upper is thrown away, its content would be nowhere. The same goes for what was
/// moved to the place of such a file in turn.
pub(super) fn keep_moved(changes: &mut [Judged], layer: &File) {
    let is_back = |one: &&Judged| matches!(one.fate, Fate::KeptBack(_));
    let mut back: Vec<Like> = changes.iter().filter(is_back).filter_map(brought).collect();
    if back.is_empty() {
        return;
    }
    let moved: BTreeSet<Like> = changes.iter().filter_map(brought).gather();
    let mut by_file = BTreeMap::<Like, Vec<usize>>::new();
    let mut next = vec![];
    for (place, one) in changes.iter().enumerate().filter(|(_, one)| one.fate == Fate::Applied) {
        match taken(&one.change, layer, &moved) {
            Ok(files) => {
                files.into_iter().for_each(|file| by_file.entry(file).or_default().push(place));
            }
            // What is not seen is not taken away.
            Err(_) => next.push(place),
        }
    }
    loop {
        while let Some(place) = next.pop() {
            if changes[place].fate != Fate::Applied {
                continue;
            }
            let top = changes[place].change.path.clone();
            let (mut why, mut at) = (MOVED_BACK, place);
            // What lies in it follows in the order of a walk.
            while let Some(one) = changes.get_mut(at).filter(|one| is_at(&one.change.path, &top)) {
                if one.fate == Fate::Applied {
                    one.fate = Fate::KeptBack(why);
                    back.extend(brought(one));
                }
                (why, at) = (BELOW, at + 1);
            }
        }
        let Some(file) = back.pop() else { return };
        next.extend(by_file.remove(&file).unwrap_or_default());
    }
}

/// What a file keeps when it is moved: its size and time.
type Like = (u64, (i64, u32));

/// The file that a change brings.
fn brought(one: &Judged) -> Option<Like> {
    let after = one.change.after.as_ref().filter(|_| one.change.what != What::Rights)?;
    (after.kind == Kind::File).then_some((after.size, after.written))
}

/// Which of these files a change takes away.
fn taken(change: &Change, layer: &File, moved: &BTreeSet<Like>) -> sys::Result<BTreeSet<Like>> {
    let mut found = BTreeSet::new();
    let Some(before) = change.before.as_ref().filter(|_| change.what != What::Rights) else {
        return Ok(found);
    };
    match before.kind {
        Kind::File => found.extend(moved.get(&(before.size, before.written))),
        Kind::Directory => {
            let (parent, last) = split(&change.path);
            let parent = descend(layer.as_raw_fd(), parent)?;
            let seen = RefCell::new(found);
            let note = |looked: &Looked| {
                seen.borrow_mut().extend(moved.get(&(looked.size, looked.written)));
                false
            };
            // Of a mount in it nothing is known.
            if has_newer(parent.as_raw_fd(), last, &note, Ok(()))? {
                return Err(Errno(libc::EXDEV));
            }
            found = seen.into_inner();
        }
        Kind::Link | Kind::Fifo | Kind::Socket | Kind::Character | Kind::Block => {}
    }
    Ok(found)
}

/// Whether a path is this one, or lies below it.
fn is_at(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top).is_some_and(|tail| tail.is_empty() || tail.starts_with(b"/"))
}

fn kept_back(record: &Upper, change: &Change) -> Option<&'static str> {
    match record.cover(&change.path) {
        Cover::Covered => return Some("an entry of [mounts] covers it"),
        Cover::Above => return Some("an entry of [mounts] lies below it"),
        Cover::Free => {}
    }
    if change.path.split(|byte| *byte == b'/').any(is_of_apply) {
        return Some("its name is that of an apply of stockade's");
    }
    if change.unread {
        return Some("it is not readable");
    }
    if let Some(after) = &change.after {
        match after.kind {
            Kind::File | Kind::Directory | Kind::Link => {}
            Kind::Fifo | Kind::Socket | Kind::Character | Kind::Block => {
                return Some("it is no file, directory or link");
            }
        }
    }
    if let (What::Rights, Some(before), Some(after)) = (change.what, &change.before, &change.after)
        && (after.kind == Kind::Link || after.mode & 0o1777 == before.mode & 0o1777)
    {
        return Some("no owner and no set-id bit is applied");
    }
    None
}

const SINCE: &str = "the host has changed it since";
/// Of a file that may have been moved here as well.
const MAY_BE: &str = "the host may have removed it since";
const MOVED_BACK: &str = "it may have been moved to what is kept back";
const MAY_BE_MOVED: &str = "it may have been moved to what the host may have removed since";
/// Of a file that the host may have had elsewhere.
pub(super) const MOVED: &str = "the host may have moved another directory to where it lies since";
const IN_IT: &str = "the host has changed something in it since";

impl Known {
    /// Whether the host had changed what a change is of, or something in what it takes away, or what
    /// lay in a place above, which may be another directory of the target's by now.
    fn meanwhile(&self, change: &Change) -> Option<&'static str> {
        let path = &change.path;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut above = ends.filter(|end| *end > 0).chain([path.len()]);
        if above.any(|end| self.meanwhile.contains(&path[..end])) {
            return Some(SINCE);
        }
        let was_directory =
            change.before.as_ref().is_some_and(|before| before.kind == Kind::Directory);
        let is_gone = was_directory && change.what != What::Rights;
        let under = [path, &b"/"[..]].concat();
        let next = self.meanwhile.range(under.clone()..).next();
        (is_gone && next.is_some_and(|next| next.starts_with(&under))).then_some(IN_IT)
    }
}

/// Why the host may have removed since what a change is of. The copy of a file says that there was one,
/// of this name or, where the target has moved it, of another: so it is one of this name where the
/// host has made or removed any in the directory. A directory of a layer is never moved (EXDEV).
fn lost(
    change: &Change,
    layer: &File,
    is_since: impl Fn((i64, u32)) -> bool,
    known: &Known,
) -> Option<&'static str> {
    let after = change.after.as_ref().filter(|_| change.is_copy)?;
    if after.kind == Kind::Directory {
        return Some("the host has removed it since");
    }
    let (parent, _) = split(&change.path);
    let above = descend(layer.as_raw_fd(), parent).and_then(|fd| sys::look(fd.as_raw_fd(), c""));
    let was_undone = |above: &Looked| {
        known
            .undone
            .get(parent)
            .is_some_and(|one| (one.number, one.changed) == (above.inode.1, above.changed))
    };
    // Its ctime: what puts files there as they were elsewhere sets the other back (rsync -a).
    let is_changed = above.is_ok_and(|above| is_since(above.changed) && !was_undone(&above));
    is_changed.then_some(MAY_BE)
}

/// Whether a directory on the way to what a change is of may be another one than the target saw: what lies in
/// one that is moved keeps its times. To move it changes its own ctime and not its mtime, which shows
/// when a name in it was made or removed, and changes the directory that it is moved to. What the
/// target has made anew was another one in any case, if it was there.
fn is_moved_here(
    record: &Upper,
    change: &Change,
    (upper, layer): (&File, &File),
    known: &Known,
) -> bool {
    if change.before.is_none() {
        return false;
    }
    let is_since = |at| is_since(record.begun, at);
    let (parent, _) = split(&change.path);
    let (mut is_above_changed, mut moved) = (false, vec![]);
    let mut each = |end: usize, looked: &Looked| {
        let was_undone = known
            .undone
            .get(&parent[..end])
            .is_some_and(|one| (one.number, one.changed) == (looked.inode.1, looked.changed));
        let is_changed = is_since(looked.changed) && !was_undone;
        if end > 0 && is_changed && is_above_changed {
            moved.push((end, is_since(looked.written)));
        }
        is_above_changed = is_changed;
    };
    // What cannot be opened is not changed either.
    if descend_by(layer.as_raw_fd(), parent, &mut each).is_err() {
        return false;
    }
    let is_anew = |end: usize| {
        let open = descend(upper.as_raw_fd(), &parent[..end]);
        open.is_ok_and(|open| {
            let origin = sys::attribute_of(open.as_raw_fd(), ORIGIN, &mut [0; 256]);
            origin == Err(Errno(libc::ENODATA))
        })
    };
    moved.into_iter().any(|(end, is_written)| !is_written || is_anew(end))
}

/// Why what the host has done since must not be lost by a change.
fn conflict(record: &Upper, change: &Change, layer: &File, known: &Known) -> Option<&'static str> {
    if let Some(why) = known.meanwhile(change) {
        return Some(why);
    }
    let is_since = |at| is_since(record.begun, at);
    let Some(before) = &change.before else { return lost(change, layer, is_since, known) };
    if record.begun == 0 {
        return Some("the upper does not say when it was begun");
    }
    // A name that is made in a directory changes its ctime, too: that says nothing of its mode.
    let is_mode_of_directory = before.kind == Kind::Directory && change.what == What::Rights;
    let undone = known.undone.get(&change.path);
    let was_undone = undone
        .is_some_and(|undone| (undone.number, undone.changed) == (before.inode.1, before.changed));
    if is_since(before.changed) && !is_mode_of_directory && !was_undone {
        return Some(SINCE);
    }
    if before.kind == Kind::Directory && !is_mode_of_directory {
        let (parent, last) = split(&change.path);
        let old = descend(layer.as_raw_fd(), parent).and_then(|parent| {
            let is_since = |at: &Looked| is_since(at.changed);
            has_newer(parent.as_raw_fd(), last, &is_since, Err(Errno(libc::EACCES)))
        });
        return match old {
            Ok(false) => None,
            Err(Errno(libc::EACCES)) => {
                Some("whether the host has changed something in it is not seen")
            }
            Ok(true) | Err(_) => Some(IN_IT),
        };
    }
    None
}
