//! Puts changes of a kept upper where its one layer is: the host's tree at the entry's own path.
//!
//! Nothing gets there that a target must not decide: no set-id bit, owner, device, extended
//! attribute, and nothing at, below or over another entry of `[mounts]`, which it did not see. What
//! the host has changed since refuses all of it. How it is done, and undone: [`super::journal`].
//!
//! A directory that was replaced whole is applied name by name: a whole directory that changes
//! places would take with it what is kept back.

use super::discard::{empty, remove};
use super::doors::{ENTERS, doors};
use super::journal::{
    Act, DEEPEST, Journal, PREFIX, Stage, Trouble, Undone, Unit, descend, forget_undone, has_newer,
    is_of_apply, split, trouble, undone,
};
use super::kept::name;
use super::walk::FILE;
use super::{Change, Contents, Item, Kept, Kind, Refused, State, Stop, Stopped, What};
use crate::host::upper::{self, Cover, Upper, WORK};
use crate::launch::uppers;
use crate::sys::{self, Errno};
use crate::text::bytes;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

/// How many changes one `apply` takes, and how many bytes their paths have.
const MOST: usize = 1_000_000;
const MOST_BYTES: usize = 256 << 20;

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    /// Not applied, and why.
    KeptBack(&'static str),
    /// The host has changed it since, and how.
    Meanwhile(&'static str),
}

/// Where all others of a directory are that is kept back.
const BELOW: &str = "its directory is kept back";

/// All changes, each with what becomes of it.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub changes: Vec<(Change, Fate)>,
}

/// Why nothing was applied.
#[derive(Debug)]
pub(crate) enum Failed {
    Refused(Refused),
    Reading(Stopped),
    TooMany,
    /// A call failed; what was done before is undone.
    Undone(Trouble),
    /// The same, and to undo it failed, too: the next `apply` tries it again.
    Left(Trouble),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        Failed::Refused(refused)
    }
}

/// Ends what an `apply` that was killed has begun; whether there was one. The lock is held.
pub(crate) fn recover(kept: &Kept) -> Result<bool, Failed> {
    let directory = kept.directory.as_raw_fd();
    let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
    let Some(mut journal) = Journal::read(directory).map_err(failed)? else { return Ok(false) };
    let layer = kept.host_tree()?;
    let top = layer.as_raw_fd();
    let ended = match journal.stage {
        Stage::Made | Stage::Switched => journal.undo(top, directory),
        Stage::Done | Stage::Closing => journal.finish(top, directory),
    };
    ended.map_err(Failed::Left)?;
    Journal::end(directory).map_err(failed)?;
    Ok(true)
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
        let mut reader = kept.read(std::slice::from_ref(lower), Contents::Nothing)?;
        let (mut planned, mut length) = (Planned::default(), 0);
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        let undone = undone(kept.directory.as_raw_fd()).map_err(failed)?;
        let undone = undone.into_iter().map(|one| (bytes::bytes(&one.path).into_owned(), one));
        // The last of a path is the latest.
        let undone: BTreeMap<Vec<u8>, Undone> = undone.collect();
        while let Some(item) = reader.next().map_err(Failed::Reading)? {
            let Item::Change(change) = item else { continue };
            length += change.path.len();
            if planned.changes.len() >= MOST || length > MOST_BYTES {
                return Err(Failed::TooMany);
            }
            let fate = fate(&kept.record, &change, layer, undone.get(&change.path));
            planned.changes.push((*change, fate));
        }
        planned.bar();
        Ok(planned)
    }

    /// Keeps back what the caller did not agree to.
    pub(crate) fn keep_back(&mut self, why: &'static str, is_meant: impl Fn(&Change) -> bool) {
        for (change, fate) in &mut self.changes {
            if *fate == Fate::Applied && is_meant(change) {
                *fate = Fate::KeptBack(why);
            }
        }
        self.bar();
    }

    /// Keeps back what lies in a directory that is not made. The changes are in the order of a walk.
    fn bar(&mut self) {
        let mut barred: Option<Vec<u8>> = None;
        for (change, fate) in &mut self.changes {
            if let Some(above) = &barred {
                if is_inside(&change.path, above) {
                    if *fate == Fate::Applied {
                        *fate = Fate::KeptBack(BELOW);
                    }
                    continue;
                }
                barred = None;
            }
            let is_directory =
                |state: &Option<State>| state.as_ref().is_some_and(|s| s.kind == Kind::Directory);
            let is_new = is_directory(&change.after) && change.what != What::Rights;
            if is_new && matches!(fate, Fate::KeptBack(_)) {
                barred = Some(change.path.clone());
            }
        }
    }

    fn of(&self, fate: impl Fn(Fate) -> bool) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |(_, own)| fate(*own)).map(|(change, _)| change)
    }

    /// Those that are applied.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &Change> {
        self.of(|fate| fate == Fate::Applied)
    }

    /// Does it.
    pub(crate) fn apply(&self, kept: &Kept, layer: &File) -> Result<(), Failed> {
        let _waits = Waiting::new();
        let directory = kept.directory.as_raw_fd();
        let top = layer.as_raw_fd();
        let failed = |Errno(errno)| Failed::Refused(Refused::Errno(errno));
        let mut work = Work::new(self, top).map_err(Failed::Undone)?;
        work.journal.write(directory).map_err(failed)?;
        let done = work.all(kept, layer, directory);
        if let Err(why) = done {
            work.journal.undo(top, directory).map_err(Failed::Left)?;
            Journal::end(directory).map_err(failed)?;
            return Err(why);
        }
        // It is done; what follows is no failure of it, and is tried again by the next.
        if work.journal.finish(top, directory).is_ok() {
            sys::regardless(Journal::end(directory));
        }
        // Of a run that throws its upper away nothing is left.
        if kept.lower.is_none() {
            sys::regardless(self.settle(kept));
        }
        Ok(())
    }

    /// Takes out of the upper what the layer has now. From here on a change of the host's is one
    /// that comes later than this.
    fn settle(&self, kept: &Kept) -> sys::Result {
        let left: Vec<&[u8]> =
            self.of(|fate| fate != Fate::Applied).map(|change| &*change.path).collect();
        if left.is_empty() {
            empty(kept.upper.as_fd())?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let directory = kept.directory.as_raw_fd();
            empty(sys::owned(sys::openat(directory, &name(WORK)?, flags, 0)?).as_fd())?;
        } else {
            let top = kept.upper.as_raw_fd();
            let mode = sys::look(top, c"")?.mode & 0o7777;
            sys::fchmod(top, mode | ENTERS)?;
            let pruned = prune(top, b"", &left, 0);
            sys::fchmod(top, mode)?;
            pruned?;
        }
        // A place that was switched before this moment is none that the host has changed.
        let record = Upper { begun: upper::now(), ..kept.record.clone() };
        let io = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        uppers::write(&kept.file, &record).map_err(io)?;
        sys::sync(kept.file.as_raw_fd())?;
        forget_undone(kept.directory.as_raw_fd())
    }
}

/// Whether what is there now is the file that was there, changed.
fn is_the_same_file(change: &Change) -> bool {
    matches!(change.what, What::Changed | What::Rights)
}

/// Whether a file has more names than the one that was changed: it becomes a file of its own.
fn has_more_names(before: &State) -> bool {
    before.kind == Kind::File && before.links > 1
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

/// Whether a time of a file is one since the first run began.
fn is_since(record: &Upper, (seconds, nanos): (i64, u32)) -> bool {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos.into()) >= record.begun
}

fn fate(record: &Upper, change: &Change, layer: &File, undone: Option<&Undone>) -> Fate {
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
        && (after.mode == before.mode
            || after.kind == Kind::Link
            || after.mode & 0o1777 == before.mode)
    {
        return Fate::KeptBack("no owner and no set-id bit is applied");
    }
    let Some(before) = &change.before else { return Fate::Applied };
    let is_since = |at| is_since(record, at);
    if record.begun == 0 {
        return Fate::Meanwhile("the upper does not say when it was begun");
    }
    // A name that is made in a directory changes its ctime, too: that says nothing of its mode.
    let is_mode_of_directory = before.kind == Kind::Directory && change.what == What::Rights;
    let was_undone = undone
        .is_some_and(|undone| (undone.number, undone.changed) == (before.inode.1, before.changed));
    if is_since(before.changed) && !is_mode_of_directory && !was_undone {
        return Fate::Meanwhile("the host has changed it since");
    }
    if before.kind == Kind::Directory && !is_mode_of_directory {
        let (parent, last) = split(&change.path);
        let old = descend(layer.as_raw_fd(), parent)
            .and_then(|parent| has_newer(parent.as_raw_fd(), last, &is_since, 0));
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

/// Removes from a directory of an upper what holds nothing that is left. One that hides what lies
/// below it stays whole.
fn prune(directory: RawFd, path: &[u8], left: &[&[u8]], depth: usize) -> sys::Result {
    if depth > DEEPEST || sys::attribute_of(directory, c"user.overlay.opaque", &mut [0; 2]).is_ok()
    {
        return Ok(());
    }
    let mut names: Vec<CString> = vec![];
    let mut buffer = vec![0; 32 << 10];
    sys::rewind(directory)?;
    loop {
        let length = sys::read_directory(directory, &mut buffer)?;
        if length == 0 {
            break;
        }
        let found = sys::records(&buffer[..length]);
        names.extend(found.filter_map(|(name, _)| CString::new(name).ok()));
    }
    for name in names {
        let inner = match path {
            b"" => name.to_bytes().to_vec(),
            path => [path, b"/", name.to_bytes()].concat(),
        };
        let below: Vec<&[u8]> =
            left.iter().copied().filter(|left| *left == inner || is_inside(left, &inner)).collect();
        if below.is_empty() {
            remove(directory, &name)?;
        } else if !below.contains(&&*inner) {
            let held = sys::openat(directory, &name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            let held = sys::owned(held);
            let looked = sys::look(held.as_raw_fd(), c"")?;
            if looked.mode & libc::S_IFMT != libc::S_IFDIR {
                continue;
            }
            let mode = looked.mode & 0o7777;
            if mode & ENTERS != ENTERS {
                sys::chmod_held(held.as_raw_fd(), mode | ENTERS)?;
            }
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let open = sys::owned(sys::openat(directory, &name, flags, 0)?);
            let pruned = prune(open.as_raw_fd(), &inner, &below, depth + 1);
            if mode & ENTERS != ENTERS {
                sys::chmod_held(held.as_raw_fd(), mode)?;
            }
            pruned?;
        }
    }
    Ok(())
}

/// One `apply` at work.
struct Work<'p> {
    top: RawFd,
    journal: Journal,
    /// Of each path that is applied: its change, and its unit where it is no part of a directory
    /// that is made as a whole.
    planned: BTreeMap<&'p [u8], (&'p Change, Option<usize>)>,
    /// The owner of what is new, where root applies: that of the layer's top.
    owner: Option<(u32, u32)>,
    /// Directories that were made, each with the mode that it gets when all in it is there.
    modes: Vec<(OwnedFd, u32)>,
    /// The directory that is made as a whole: its path, and where it is.
    tree: Option<(Vec<u8>, OwnedFd)>,
    count: usize,
}

impl<'p> Work<'p> {
    fn new(planned: &'p Planned, top: RawFd) -> Result<Work<'p>, Trouble> {
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
                    Act::Mode { new: after.mode & 0o1777, old: before.mode }
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
            parts.into_iter().map(|change| (&*change.path, (change, None))).collect();
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
            modes: vec![],
            tree: None,
            count: 0,
        })
    }

    fn all(&mut self, kept: &Kept, layer: &File, directory: RawFd) -> Result<(), Failed> {
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
    fn switch(&self, kept: &Kept, is_meant: impl Fn(Act) -> bool) -> Result<(), Failed> {
        for (place, unit) in self.journal.units.iter().enumerate() {
            if is_meant(unit.act) {
                let path = bytes::bytes(&unit.path);
                let switched = self
                    .is_as_it_was(kept, &path, unit.act)
                    .and_then(|()| self.journal.switch(self.top, place));
                switched.map_err(|errno| Failed::Undone(trouble(&path)(errno)))?;
            }
        }
        Ok(())
    }

    /// What is replaced or removed is what was judged: to copy what is new takes its time, and the host
    /// may write meanwhile.
    fn is_as_it_was(&self, kept: &Kept, path: &[u8], act: Act) -> sys::Result {
        let (Act::Replace | Act::Remove, Some((change, _))) = (act, self.planned.get(path)) else {
            return Ok(());
        };
        let Some(before) = &change.before else { return Ok(()) };
        let (parent, last) = split(path);
        let parent = descend(self.top, parent)?;
        let name = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
        let now = sys::look(parent.as_raw_fd(), &name)?;
        let is_newer = before.kind == Kind::Directory
            && has_newer(parent.as_raw_fd(), last, &|at| is_since(&kept.record, at), 0)?;
        match (now.changed, now.written, now.size) == (before.changed, before.written, before.size)
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
            opened.map(|unit| bytes::bytes(&unit.path).into_owned()).collect();
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
        // The innermost first: one without a bit of its owner's is not entered again.
        for (directory, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            sys::fchmod(directory.as_raw_fd(), mode)
                .map_err(|errno| Failed::Undone(trouble(b"")(errno)))?;
        }
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

    /// Makes what one change adds; a regular file is given back, without its bytes.
    fn make(&mut self, change: &Change, unit: Option<usize>) -> sys::Result<Option<File>> {
        let Some(after) = &change.after else { return Ok(None) };
        let (parent, last) = match unit {
            Some(place) => {
                self.tree = None;
                match self.journal.units[place].act {
                    Act::Add | Act::Replace => {}
                    Act::Remove | Act::Mode { .. } | Act::Open { .. } | Act::Close { .. } => {
                        return Ok(None);
                    }
                }
                let names = self.journal.names(self.top, place)?;
                (names.parent, names.other)
            }
            None => {
                let Some((whole, fd)) = &self.tree else { return Err(Errno(libc::ESTALE)) };
                let (parent, last) = split(change.path.get(whole.len()..).unwrap_or_default());
                let last = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
                (descend(fd.as_raw_fd(), parent)?, last)
            }
        };
        let parent = parent.as_raw_fd();
        match after.kind {
            Kind::File => {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
                let file = sys::owned(sys::openat(parent, &last, flags, 0o600)?);
                Ok(Some(File::from(file)))
            }
            Kind::Directory => {
                let open = self.directory(parent, &last, after)?;
                if unit.is_some() {
                    self.tree = Some((change.path.clone(), open));
                }
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

    fn directory(&mut self, parent: RawFd, last: &CStr, after: &State) -> sys::Result<OwnedFd> {
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
        if mode & 0o700 == 0o700 {
            sys::fchmod(open.as_raw_fd(), mode)?;
        } else {
            self.modes.push((sys::owned(sys::dup_above(open.as_raw_fd(), 3)?), mode));
        }
        Ok(open)
    }

    /// Who owns what is made, where root makes it: what is changed keeps its owner.
    fn owner_of(&self, change: &Change) -> sys::Result<Option<(u32, u32)>> {
        if self.owner.is_none() || !is_the_same_file(change) {
            return Ok(self.owner);
        }
        let (parent, last) = split(&change.path);
        let last = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
        let there = sys::look(descend(self.top, parent)?.as_raw_fd(), &last)?;
        Ok(Some((there.owner, there.group)))
    }

    /// Gives a file its length, owner, mode and time.
    fn finish(&self, change: &Change, file: &File) -> sys::Result {
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
