//! Puts changes of a kept upper where its one layer is: the host's tree at the entry's own path.
//!
//! Nothing gets there that a target must not decide: no set-id bit, owner, device, extended
//! attribute, and nothing at, below or over another entry of `[mounts]`, which it did not see. What
//! the host has changed since refuses all of it. How it is done, and undone: [`super::journal`].
//!
//! A directory that was replaced whole is applied name by name: a whole directory that changes
//! places would take with it what is kept back.

mod fate;
mod make;
mod nest;
mod prune;
mod renew;
mod shut;
mod work;

pub(crate) use super::journal::WorkedOn;
pub(crate) use fate::{Fate, Judged};

use super::discard::empty;
use super::doors::ENTERS;
use super::journal::{Act, Journal, Stage, Trouble, Unit};
use super::kept::name;
use super::{Change, Chosen, Contents, Item, Kept, Kind, Reader, Refused, State, Stopped, What};
use crate::host::upper::WORK;
use crate::sys::{self, Errno};
use crate::text::bytes;
use fate::{ABOVE, BELOW, Known, is_since};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use prune::{Keeps, prune, sort};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use work::Work;

/// How many changes one `apply` takes, and how many bytes their paths have.
const MOST: usize = 1_000_000;
const MOST_BYTES: usize = 256 << 20;
/// How many bytes the copies of files with several names may take in any case.
const MOST_COPIED: u64 = 1 << 30;

/// All changes, each with what becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub changes: Vec<Judged>,
}

/// Why nothing was applied.
#[derive(Debug)]
pub(crate) enum Failed {
    Refused(Refused),
    Reading(Stopped),
    TooMany,
    /// Files with several names would take so many bytes more than they do.
    Multiplied(u64),
    /// A call failed; what was done before is undone.
    Undone(Trouble),
    /// It is undone but for places that the host has worked on meanwhile.
    WorkedOn(Box<Failed>, Vec<WorkedOn>),
    /// The same, and to undo it failed, too: the next `apply` tries it again.
    Left(Trouble),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        Failed::Refused(refused)
    }
}

/// What an `apply` that was killed has left half done. The lock is held.
pub(crate) struct Half(Journal);

impl Half {
    pub(crate) fn read(kept: &Kept) -> Result<Option<Half>, Failed> {
        let journal = Journal::read(kept.directory.as_raw_fd());
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        journal.map(|journal| journal.map(Half)).map_err(failed)
    }

    /// What is done to which place to end it: a target that could write here says so, too.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.0.units.iter().filter_map(|unit| Place::of(unit, self.0.stage)).collect()
    }

    /// Ends it: goes back, or on.
    pub(crate) fn end(mut self, kept: &Kept) -> Result<Ended, Failed> {
        let directory = kept.directory.as_raw_fd();
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        let layer = kept.host_tree()?;
        let top = layer.as_raw_fd();
        let ended = match self.0.stage {
            Stage::Made | Stage::Switched => {
                self.0.undo(top, directory).map(|left| Ended { left, stays: vec![] })
            }
            Stage::Done | Stage::Closing => {
                self.0.finish(top, directory).map(|stays| Ended { left: vec![], stays })
            }
        };
        let ended = ended.map_err(Failed::Left)?;
        Journal::end(directory).map_err(failed)?;
        Ok(ended)
    }
}

/// What remains of an apply that was ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What was not undone, as the host has worked on it since.
    pub left: Vec<WorkedOn>,
    /// What was there before, and could not be removed.
    pub stays: Vec<Trouble>,
}

/// A place of a [`Half`].
pub(crate) struct Place {
    pub path: Vec<u8>,
    /// What becomes of it.
    pub what: String,
    /// Whether it gets a file: what it had, as the journal has it.
    pub gets: bool,
}

impl Place {
    fn of(unit: &Unit, stage: Stage) -> Option<Place> {
        let goes_back = matches!(stage, Stage::Made | Stage::Switched);
        let what = match (unit.act, goes_back) {
            (Act::Add, true) => "what was made goes away".to_owned(),
            (Act::Replace, true) => "it is what it was before".to_owned(),
            (Act::Remove, true) => "it comes back".to_owned(),
            (Act::Mode { old, .. } | Act::Open { old, .. }, true) => {
                format!("mode {old:04o} again")
            }
            (Act::Replace | Act::Remove, false) => "what was there before goes away".to_owned(),
            (Act::Close { new, .. }, false) => format!("mode {new:04o}"),
            (Act::Close { .. }, true) => return None,
            (Act::Add | Act::Mode { .. } | Act::Open { .. }, false) => return None,
        };
        let gets = goes_back && matches!(unit.act, Act::Replace | Act::Remove);
        Some(Place { path: bytes::bytes(&unit.path).into_owned(), what, gets })
    }
}

impl Kept {
    /// Whether an `apply` was killed in the middle.
    pub(crate) fn is_half_applied(&self) -> bool {
        !matches!(Journal::read(self.directory.as_raw_fd()), Ok(None))
    }
}

impl Planned {
    /// Reads the changes, and judges each.
    pub(crate) fn read(kept: &Kept, layer: &File) -> Result<Planned, Failed> {
        let lower = kept.lower.as_ref().unwrap_or(layer);
        let reader = kept.read(std::slice::from_ref(lower), Contents::Nothing)?;
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        let known = Known::read(kept.directory.as_raw_fd()).map_err(failed)?;
        let judge = |change| Judged::new(&kept.record, change, (&kept.upper, layer), &known);
        let mut planned = Planned::take(reader, judge)?;
        fate::part_moved(&mut planned.changes, &kept.record);
        planned.bar();
        Ok(planned)
    }

    /// The same of those that are not for the host's tree.
    pub(crate) fn list(kept: &Kept) -> Result<Planned, Failed> {
        let reader = kept.read(&kept.layers()?, Contents::Nothing)?;
        Planned::take(reader, |change| Judged { change, fate: Fate::Applied, conflict: None })
    }

    fn take(mut reader: Reader, judge: impl Fn(Change) -> Judged) -> Result<Planned, Failed> {
        let (mut planned, mut length) = (Planned::default(), 0);
        while let Some(item) = reader.next().map_err(Failed::Reading)? {
            let Item::Change(change) = item else { continue };
            length += change.text_length();
            if planned.changes.len() >= MOST || length > MOST_BYTES {
                return Err(Failed::TooMany);
            }
            planned.changes.push(judge(*change));
        }
        Ok(planned)
    }

    /// Leaves out what the caller did not choose. A new directory comes with what is chosen in it.
    pub(crate) fn choose(&mut self, chosen: &Chosen) {
        for Judged { change, fate, .. } in &mut self.changes {
            let is_on_the_way = change.is_new_directory() && chosen.is_below(&change.path);
            if !chosen.has(&change.path) && !is_on_the_way {
                *fate = Fate::NotChosen;
            }
        }
        self.bar();
    }

    /// Keeps back what the caller did not agree to.
    pub(crate) fn keep_back(&mut self, why: &'static str, is_meant: impl Fn(&Change) -> bool) {
        for Judged { change, fate, .. } in &mut self.changes {
            if *fate == Fate::Applied && is_meant(change) {
                *fate = Fate::KeptBack(why);
            }
        }
        self.bar();
    }

    /// Keeps back what may have been moved to what is kept back; says what.
    pub(crate) fn keep_moved_back(&mut self, layer: &File) -> Vec<&Change> {
        let before: Vec<usize> = self.kept_back().collect();
        fate::keep_moved(&mut self.changes, layer);
        self.bar();
        let is_new = |place: &usize| before.binary_search(place).is_err();
        let now: Vec<usize> = self.kept_back().filter(is_new).collect();
        now.into_iter().map(|place| &self.changes[place].change).collect()
    }

    /// The places of what is kept back.
    fn kept_back(&self) -> impl Iterator<Item = usize> {
        let all = self.changes.iter().enumerate();
        all.filter(|(_, one)| matches!(one.fate, Fate::KeptBack(_))).map(|(place, _)| place)
    }

    /// The same of what the host has changed since, which is no conflict then.
    pub(crate) fn keep_changed_back(
        &mut self,
        why: &'static str,
        is_meant: impl Fn(&Change) -> bool,
    ) {
        for Judged { change, fate, .. } in &mut self.changes {
            if matches!(fate, Fate::Meanwhile(_)) && is_meant(change) {
                *fate = Fate::KeptBack(why);
            }
        }
        self.bar();
    }

    /// Finds what the host does not let the caller change.
    pub(crate) fn find_shut(&mut self, layer: &File) {
        shut::find(&mut self.changes, layer.as_raw_fd());
    }

    /// Keeps back what lies in a directory that is not made. The changes are in the order of a walk.
    fn bar(&mut self) {
        let mut barred: Option<(Vec<u8>, &'static str)> = None;
        for Judged { change, fate, .. } in &mut self.changes {
            if let Some((above, why)) = &barred {
                if is_inside(&change.path, above) {
                    if *fate == Fate::Applied {
                        *fate = Fate::KeptBack(why);
                    }
                    continue;
                }
                barred = None;
            }
            let is_directory =
                |state: &Option<State>| state.as_ref().is_some_and(|s| s.kind == Kind::Directory);
            let is_new = is_directory(&change.after) && change.what != What::Rights;
            let why = match fate {
                Fate::KeptBack(_) => BELOW,
                Fate::NotChosen => ABOVE,
                Fate::Applied | Fate::Meanwhile(_) | Fate::Shut(_) => continue,
            };
            barred = is_new.then(|| (change.path.clone(), why));
        }
    }

    fn of(&self, fate: impl Fn(Fate) -> bool) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |one| fate(one.fate)).map(|one| &one.change)
    }

    /// Those that the host has changed since, and that are not kept back.
    pub(crate) fn meanwhile(&self) -> impl Iterator<Item = &Change> {
        self.of(|fate| matches!(fate, Fate::Meanwhile(_)))
    }

    /// Those that are applied.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &Change> {
        self.of(|fate| fate == Fate::Applied)
    }

    /// Each name of a file becomes a file of its own: to be one with another, beyond where a target may
    /// go the next time, is not for it to decide. So what takes its room once there could take it a
    /// thousand times here; no more than what is in the upper is written a second time.
    pub(crate) fn multiplies(&self) -> Result<(), Failed> {
        let (mut known, mut once, mut again) = (BTreeSet::new(), 0_u64, 0_u64);
        let files = self.applied().filter_map(|change| change.after.as_ref());
        for file in files.filter(|after| after.kind == Kind::File) {
            let length = file.size.min(file.allocated);
            let is_first = file.links < 2 || known.insert(file.inode);
            let sum = if is_first { &mut once } else { &mut again };
            *sum = sum.saturating_add(length);
        }
        match again > once.max(MOST_COPIED) {
            true => Err(Failed::Multiplied(again)),
            false => Ok(()),
        }
    }

    /// Does it; gives what was there before and could not be removed.
    pub(crate) fn apply(&self, kept: &Kept, layer: &File) -> Result<Vec<Trouble>, Failed> {
        self.multiplies()?;
        let _waits = Waiting::new();
        let directory = kept.directory.as_raw_fd();
        let top = layer.as_raw_fd();
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        let mut work = Work::new(self, top).map_err(Failed::Undone)?;
        work.journal.write(directory).map_err(|why| match why {
            // It could not be read again after a kill.
            Errno(libc::EFBIG) => Failed::TooMany,
            why => failed(why),
        })?;
        let done = work.all(kept, layer, directory);
        if let Err(why) = done {
            let left = work.journal.undo(top, directory).map_err(Failed::Left)?;
            Journal::end(directory).map_err(failed)?;
            return Err(match left.is_empty() {
                true => why,
                false => Failed::WorkedOn(Box::new(why), left),
            });
        }
        // It is done; what follows is no failure of it, and is tried again by the next.
        let finished = work.journal.finish(top, directory);
        if finished.is_ok() {
            sys::regardless(Journal::end(directory));
        }
        // Of a run that throws its upper away nothing is left.
        if kept.lower.is_none() {
            sys::regardless(self.settle(kept, layer));
        }
        Ok(finished.unwrap_or_default())
    }

    /// Takes out of the upper what the layer has now.
    fn settle(&self, kept: &Kept, layer: &File) -> sys::Result {
        let is_left = |fate: Fate| fate != Fate::Applied;
        let mut left: Vec<&[u8]> = self.of(is_left).map(|change| &*change.path).collect();
        let is_empty = left.is_empty();
        if is_empty {
            empty(kept.upper.as_fd())?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let directory = kept.directory.as_raw_fd();
            empty(sys::owned(sys::openat(directory, &name(WORK)?, flags, 0)?).as_fd())?;
        } else {
            let top = kept.upper.as_raw_fd();
            let mode = sys::look(top, c"")?.mode & 0o7777;
            sys::fchmod(top, mode | ENTERS)?;
            sort(&mut left);
            let of = |what| {
                let all = self.of(is_left).filter(move |change| change.what == what);
                all.filter(|change| !change.unread)
            };
            let is_directory = |change: &&Change| {
                change.after.as_ref().is_some_and(|after| after.kind == Kind::Directory)
            };
            let removed = of(What::Removed).map(|change| &*change.path).collect();
            let modes = of(What::Rights).filter(is_directory).map(|change| &*change.path).collect();
            let keeps = Keeps { layer: layer.as_raw_fd(), removed, modes };
            let pruned = prune(top, b"", (&left, 0), &keeps);
            sys::fchmod(top, mode)?;
            pruned?;
        }
        let layer = Some(layer).filter(|_| !is_empty);
        self.renew(kept, layer, |one| is_left(one.fate), |_| is_empty)
    }
}

/// Whether what is there now is the file that was there, changed.
fn is_the_same_file(change: &Change) -> bool {
    matches!(change.what, What::Changed | What::Rights)
}

/// Signals by which people end a program wait until an apply has its end.
struct Waiting(SigSet);

impl Waiting {
    fn new() -> Waiting {
        let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
        let ends: SigSet = ends.into_iter().collect();
        Waiting(ends.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap_or_else(|_| SigSet::empty()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.thread_set_mask().unwrap_or_default();
    }
}

/// Whether a path lies in a directory.
fn is_inside(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}
