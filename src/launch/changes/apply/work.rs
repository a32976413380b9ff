//! An apply at work: what it does at which place, in which order.

use super::nest::Nest;
use super::{Failed, Planned, is_inside, is_since};
use crate::launch::changes::doors::doors;
use crate::launch::changes::journal::{
    Act, Journal, PREFIX, Stage, Trouble, Unit, descend, has_newer, split, trouble,
};
use crate::launch::changes::{Change, Contents, Item, Kept, Kind, State, Stop, Stopped, What};
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

/// Whether a file has more names than the one that was changed: it becomes a file of its own.
pub(super) fn has_more_names(before: &State) -> bool {
    before.kind == Kind::File && before.links > 1
}

/// One `apply` at work.
pub(super) struct Work<'p> {
    pub(super) top: RawFd,
    pub(super) journal: Journal,
    /// Of each path that is applied: its change, and its unit where it is no part of a directory
    /// that is made as a whole.
    pub(super) planned: BTreeMap<&'p [u8], (&'p Change, Option<usize>)>,
    /// The owner of what is new, where root applies: that of the layer's top.
    pub(super) owner: Option<(u32, u32)>,
    /// The directories that are being made.
    pub(super) nest: Nest,
    /// Files with several names, and when they changed as one of the names was switched.
    touched: BTreeMap<(u64, u64), (i64, u32)>,
    pub(super) count: usize,
}

impl<'p> Work<'p> {
    pub(super) fn new(planned: &'p Planned, top: RawFd) -> Result<Work<'p>, Trouble> {
        let (mut units, mut modes, mut removals) = (vec![], vec![], vec![]);
        let is_root = nix::unistd::geteuid().is_root();
        let mut whole: Option<&[u8]> = None;
        let mut parts = vec![];
        for change in planned.applied() {
            let path = &*change.path;
            if whole.is_some_and(|whole| is_inside(path, whole)) {
                parts.push(change);
                continue;
            }
            whole = None;
            let act = match (change.what, &change.before, &change.after) {
                (What::Added, ..) => Act::Add,
                (What::Changed | What::Replaced, ..) => Act::Replace,
                (What::Removed, ..) => Act::Remove,
                // Its mode would be another at its other names, too, wherever those are.
                (What::Rights, Some(before), _) if has_more_names(before) => Act::Replace,
                (What::Rights, Some(before), Some(after)) => {
                    // What a directory of the host's has of these bits it keeps.
                    let is_directory = after.kind == Kind::Directory;
                    let kept = if is_directory { before.mode & after.mode & 0o6000 } else { 0 };
                    Act::Mode { new: after.mode & 0o1777 | kept, old: before.mode }
                }
                (What::Rights, ..) => continue,
            };
            let is_made = matches!(act, Act::Add | Act::Replace);
            let is_directory = |after: &State| after.kind == Kind::Directory;
            if is_made && change.after.as_ref().is_some_and(is_directory) {
                whole = Some(path);
            }
            let old = change.before.as_ref().map_or(0, |before| before.inode.1);
            let written = change.before.as_ref().map_or((0, 0), |before| before.written);
            let path_text = bytes::text(path);
            let unit = Unit { path: path_text, act, new: 0, old, written, made: (0, 0) };
            match act {
                Act::Add | Act::Replace => units.push((Some(change), unit)),
                Act::Mode { .. } | Act::Open { .. } | Act::Close { .. } => {
                    modes.push((Some(change), unit));
                }
                Act::Remove => removals.push((Some(change), unit)),
            }
        }
        // What is removed goes last: until then nothing is gone.
        units.extend(modes);
        units.extend(removals);
        let units = if is_root { units } else { doors(units, top)? };
        let mut by_path: BTreeMap<&[u8], (&Change, Option<usize>)> =
            parts.into_iter().map(|change| (&*change.path, (change, None))).gather();
        by_path.extend(
            units
                .iter()
                .enumerate()
                .filter_map(|(place, (change, _))| change.map(|change| (place, change)))
                .map(|(place, change)| (&*change.path, (change, Some(place)))),
        );
        let looked = sys::look(top, c"").map_err(trouble(b""))?;
        let random = RandomState::new().build_hasher().finish();
        Ok(Work {
            top,
            journal: Journal {
                stage: Stage::Made,
                prefix: format!("{PREFIX}{random:016x}-"),
                is_found: false,
                units: units.into_iter().map(|(_, unit)| unit).collect(),
            },
            planned: by_path,
            owner: is_root.then_some((looked.owner, looked.group)),
            nest: Nest::default(),
            touched: BTreeMap::new(),
            count: 0,
        })
    }

    pub(super) fn all(
        &mut self,
        kept: &Kept,
        layer: &File,
        directory: RawFd,
    ) -> Result<(), Failed> {
        let at = |path: &[u8], errno| Failed::Undone(trouble(path)(errno));
        self.switch(kept, |act| matches!(act, Act::Open { .. }))?;
        self.make_all(kept, layer)?;
        // What is new is on the disk before a place has it.
        sys::sync_all_of(self.top).map_err(|errno| at(b"", errno))?;
        self.journal.stage = Stage::Switched;
        self.journal.write(directory).map_err(|errno| at(b"", errno))?;
        self.switch(kept, |act| !matches!(act, Act::Open { .. } | Act::Close { .. }))?;
        sys::sync_all_of(self.top).map_err(|errno| at(b"", errno))?;
        self.journal.stage = Stage::Done;
        let written = self.journal.write(directory).map_err(|errno| at(b"", errno));
        if written.is_err() {
            // It is undone as one that was not.
            self.journal.stage = Stage::Switched;
        }
        written
    }

    /// Switches places of a sort, in their order.
    fn switch(&mut self, kept: &Kept, is_meant: impl Fn(Act) -> bool) -> Result<(), Failed> {
        for place in 0..self.journal.units.len() {
            let unit = &self.journal.units[place];
            let (path, act) = (bytes::bytes(&unit.path).into_owned(), unit.act);
            if is_meant(act) {
                let switched = self
                    .is_as_it_was(kept, &path, act)
                    .and_then(|()| self.journal.switch(self.top, place))
                    .and_then(|()| self.touch(&path, place));
                switched.map_err(|errno| Failed::Undone(trouble(&path)(errno)))?;
            }
        }
        Ok(())
    }

    /// The change of a place that is replaced or removed.
    fn loses(&self, path: &[u8], act: Act) -> Option<&'p State> {
        let is_lost = matches!(act, Act::Replace | Act::Remove);
        self.planned.get(path).filter(|_| is_lost)?.0.before.as_ref()
    }

    /// rename(2) changes the time of the file, which its other names show, too.
    fn touch(&mut self, path: &[u8], place: usize) -> sys::Result {
        let act = self.journal.units[place].act;
        let is_linked = |before: &State| before.kind != Kind::Directory && before.links > 1;
        if self.loses(path, act).is_some_and(is_linked) {
            let names = self.journal.names(self.top, place)?;
            let now = sys::look(names.parent.as_raw_fd(), &names.other)?;
            self.touched.insert(now.inode, now.changed);
        }
        Ok(())
    }

    /// What is replaced or removed is what was judged: to copy what is new takes its time, and the host
    /// may write meanwhile.
    fn is_as_it_was(&self, kept: &Kept, path: &[u8], act: Act) -> sys::Result {
        let Some(before) = self.loses(path, act) else { return Ok(()) };
        let (parent, last) = split(path);
        let parent = descend(self.top, parent)?;
        let name = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
        let now = sys::look(parent.as_raw_fd(), &name)?;
        let touched = self.touched.get(&now.inode);
        let is_since = |looked: &Looked| {
            let is_ours = self.touched.get(&looked.inode) == Some(&looked.changed);
            !is_ours && is_since(kept.record.begun, looked.changed)
        };
        let is_newer = before.kind == Kind::Directory
            && has_newer(parent.as_raw_fd(), last, &is_since, Err(Errno(libc::EACCES)))?;
        let changed = *touched.unwrap_or(&before.changed);
        match (now.changed, now.written, now.size) == (changed, before.written, before.size)
            && !is_newer
        {
            true => Ok(()),
            false => Err(Errno(libc::ESTALE)),
        }
    }

    /// Makes all that is new, from a second reading that must give what the first did.
    fn make_all(&mut self, kept: &Kept, layer: &File) -> Result<(), Failed> {
        let lower = kept.lower.as_ref().unwrap_or(layer);
        let mut reader = kept.read(std::slice::from_ref(lower), Contents::After)?;
        let mut file: Option<(&Change, File)> = None;
        // What was opened has another mode by now.
        let opened = self.journal.units.iter().filter(|unit| matches!(unit.act, Act::Open { .. }));
        let opened: BTreeSet<Vec<u8>> =
            opened.map(|unit| bytes::bytes(&unit.path).into_owned()).gather();
        self.count = self.planned.keys().filter(|path| opened.contains(**path)).count();
        while let Some(item) = reader.next().map_err(Failed::Reading)? {
            let path = file.as_ref().map_or(vec![], |(change, _)| change.path.clone());
            let io = |error: std::io::Error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Failed::Undone(Trouble { path, errno })
            };
            match item {
                Item::Change(change) => {
                    file = None;
                    self.nest
                        .leave_for(&change.path)
                        .map_err(|errno| Failed::Undone(trouble(&change.path)(errno)))?;
                    if opened.contains(&*change.path) {
                        continue;
                    }
                    let Some((known, unit)) = self.planned.get(&*change.path).copied() else {
                        continue;
                    };
                    if *known != *change {
                        let stopped = Stopped { stop: Stop::Moved, path: change.path };
                        return Err(Failed::Reading(stopped));
                    }
                    self.count += 1;
                    let made = self.make(known, unit);
                    let made =
                        made.map_err(|errno| Failed::Undone(trouble(&change.path)(errno)))?;
                    file = made.map(|made| (known, made));
                }
                Item::Data { before: false, offset, bytes } => {
                    if let Some((_, file)) = &file {
                        file.write_all_at(&bytes, offset).map_err(io)?;
                    }
                }
                Item::End { before: false } => {
                    if let Some((change, file)) = file.take() {
                        let path = &change.path;
                        self.finish(change, &file)
                            .map_err(|errno| Failed::Undone(trouble(path)(errno)))?;
                    }
                }
                Item::Data { .. } | Item::End { .. } => {}
            }
        }
        if self.count != self.planned.len() {
            return Err(Failed::Reading(Stopped { stop: Stop::Moved, path: vec![] }));
        }
        self.nest.leave_all().map_err(|errno| Failed::Undone(trouble(b"")(errno)))?;
        for place in 0..self.journal.units.len() {
            let unit = &self.journal.units[place];
            if matches!(unit.act, Act::Add | Act::Replace) {
                let path = bytes::bytes(&unit.path).into_owned();
                let made = self
                    .journal
                    .names(self.top, place)
                    .and_then(|names| sys::look(names.parent.as_raw_fd(), &names.other));
                let made = made.map_err(|errno| Failed::Undone(trouble(&path)(errno)))?;
                let unit = &mut self.journal.units[place];
                (unit.new, unit.made) = (made.inode.1, made.written);
            }
        }
        Ok(())
    }
}
