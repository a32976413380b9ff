//! What an `apply` is about to do, on the disk before it does it: the next one goes back, or on,
//! from wherever the first was killed.
//!
//! Everything that is to be is made first, under names of its own beside its places. Then each place
//! is switched by one rename(2), the old one moving to the new one's name; so by the numbers of the
//! two files it is known whether that has happened. Until the last is switched, all of it can be
//! undone; after that the old ones are removed.

use super::discard::remove;
use super::files::{DRAFT, LARGEST, read, write};
use super::kept::name;
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use crate::text::gather::Gather;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The file, in the directory of the kept upper.
const JOURNAL: &CStr = c"journal";
/// The files that have their places again.
const UNDONE: &CStr = c"undone";
/// The places that the host had changed by the time that the record was renewed.
const MEANWHILE: &CStr = c"meanwhile";

/// How far it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// New files are made, and no place has one.
    Made,
    /// Places are switched.
    Switched,
    /// All are; the old ones are removed.
    Done,
    /// They are, and directories are closed.
    Closing,
}

/// What happens to one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// What was made goes where nothing is.
    Add,
    /// What was made changes places with what is there.
    Replace,
    /// What is there goes away, under the other name first.
    Remove,
    /// It gets this mode, and had that one.
    Mode { new: u32, old: u32 },
    /// The same of a directory, before anything is made in it: its owner may not write there.
    Open { new: u32, old: u32 },
    /// The same after all else: its owner may not go there then.
    Close { new: u32, old: u32 },
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unit {
    /// Below the top, as a text.
    pub path: String,
    pub act: Act,
    /// The numbers of the new file and of the old one; 0 where there is none.
    pub new: u64,
    pub old: u64,
    /// When the old one was last written (mtime).
    pub written: (i64, u32),
    /// The same of the new one: a target gives its files any time, a later one as well.
    pub made: (i64, u32),
}

/// A file that has its place again: rename(2) and chmod(2) have changed its ctime, and no change of
/// the host's has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Undone {
    pub path: String,
    pub number: u64,
    pub changed: (i64, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    pub stage: Stage,
    /// What the other names begin with.
    pub prefix: String,
    pub units: Vec<Unit>,
    /// Whether it was found: a target that could write where it lies may have made it.
    #[serde(skip)]
    pub is_found: bool,
}

/// What each other name begins with, before sixteen digits and a `-`.
pub(super) const PREFIX: &str = ".stockade-";

/// Whether a name is another name of an apply's, or begins as one.
pub(super) fn is_of_apply(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX.as_bytes()) else { return false };
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    rest.len() > 16 && rest[..16].iter().all(is_digit) && rest[16] == b'-'
}

/// How deep an upper is searched for what is left of it.
pub(super) const DEEPEST: usize = 256;

/// The parent of a place, open, and its two names.
pub(super) struct Names {
    pub parent: OwnedFd,
    pub name: CString,
    pub other: CString,
}

/// What failed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub path: Vec<u8>,
    pub errno: i32,
}

/// A place that was not taken back, as the host has worked on it since, and where what was there before
/// is, if anything was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkedOn {
    pub path: Vec<u8>,
    pub before: Option<Vec<u8>>,
}

pub(super) fn trouble(path: &[u8]) -> impl FnOnce(Errno) -> Trouble + '_ {
    |Errno(errno)| Trouble { path: path.to_vec(), errno }
}

/// The directory of a path and its last name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Opens a directory below another, name by name: no link, and no other mount.
pub(super) fn descend(top: RawFd, path: &[u8]) -> sys::Result<OwnedFd> {
    descend_by(top, path, &mut |_, _| {})
}

/// The same, with a look at each directory on the way: how long its path is, and what it is.
pub(super) fn descend_by(
    top: RawFd,
    path: &[u8],
    each: &mut dyn FnMut(usize, &Looked),
) -> sys::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let mut here = sys::owned(sys::openat(top, c".", flags, 0)?);
    let looked = sys::look(top, c"")?;
    each(0, &looked);
    let (mount, mut end) = (looked.mount, 0);
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        // One that the caller may search, and not list.
        let way = flags | libc::O_PATH;
        end += part.len() + usize::from(end > 0);
        let part = CString::new(part).map_err(|_| Errno(libc::EINVAL))?;
        let opened = match sys::openat(here.as_raw_fd(), &part, flags, 0) {
            Err(Errno(libc::EACCES)) => sys::openat(here.as_raw_fd(), &part, way, 0),
            opened => opened,
        };
        here = sys::owned(opened?);
        let looked = sys::look(here.as_raw_fd(), c"")?;
        if looked.mount != mount {
            return Err(Errno(libc::EXDEV));
        }
        each(end, &looked);
    }
    Ok(here)
}

/// A directory on the way of [`holds`].
struct Level {
    inode: (u64, u64),
    /// The directories in it that are still to be looked into.
    left: Vec<CString>,
}

/// Whether a directory that is to go holds something that came later. Of one in it that the caller may
/// not search, `closed` says what that means.
pub(super) fn has_newer(
    parent: RawFd,
    last: &[u8],
    is_since: &dyn Fn(&Looked) -> bool,
    closed: sys::Result,
) -> sys::Result<bool> {
    let mount = sys::look(parent, c"")?.mount;
    let is_newer = |_, _: &CStr, looked: &Looked| is_since(looked) || looked.mount != mount;
    holds(parent, last, &is_newer, closed)
}

/// Whether a directory holds, at any depth, something of a sort: each is asked by the directory that it
/// is in, its name there and what it is. A target makes directories of any depth: one is open at
/// a time, and the way back is by its parent, which must be the one that it was.
pub(super) fn holds(
    parent: RawFd,
    last: &[u8],
    is_meant: &dyn Fn(RawFd, &CStr, &Looked) -> bool,
    closed: sys::Result,
) -> sys::Result<bool> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let (mut here, mut levels) = (sys::owned(sys::dup_above(parent, 3)?), Vec::<Level>::new());
    let mut next = CString::new(last).map_err(|_| Errno(libc::EINVAL))?;
    let mount = sys::look(parent, c"")?.mount;
    if sys::look(parent, &next)?.mount != mount {
        return Err(Errno(libc::EXDEV));
    }
    let mut buffer = vec![0; 32 << 10];
    loop {
        // One that is read, but not searched, could not be left again.
        let opened = sys::openat(here.as_raw_fd(), &next, flags, 0).map(sys::owned);
        match opened.and_then(|open| sys::look(open.as_raw_fd(), c"..").map(|_| open)) {
            Ok(open) => {
                here = open;
                let inode = sys::look(here.as_raw_fd(), c"")?.inode;
                let mut left = vec![];
                loop {
                    let length = sys::read_directory(here.as_raw_fd(), &mut buffer)?;
                    if length == 0 {
                        break;
                    }
                    for (inner, _) in sys::records(&buffer[..length]) {
                        let name = CString::new(inner).map_err(|_| Errno(libc::EINVAL))?;
                        let looked = sys::look(here.as_raw_fd(), &name)?;
                        if is_meant(here.as_raw_fd(), &name, &looked) {
                            return Ok(true);
                        }
                        if looked.mount != mount {
                            continue;
                        }
                        left.extend((looked.mode & libc::S_IFMT == libc::S_IFDIR).then_some(name));
                    }
                }
                levels.push(Level { inode, left });
            }
            Err(Errno(libc::EACCES)) => closed?,
            Err(errno) => return Err(errno),
        }
        loop {
            let Some(level) = levels.last_mut() else { return Ok(false) };
            if let Some(name) = level.left.pop() {
                next = name;
                break;
            }
            levels.pop();
            let Some(above) = levels.last() else { return Ok(false) };
            here = sys::owned(sys::openat(here.as_raw_fd(), c"..", flags, 0)?);
            if sys::look(here.as_raw_fd(), c"")?.inode != above.inode {
                return Err(Errno(libc::ESTALE));
            }
        }
    }
}

/// The file's number at a name; 0 where there is none.
pub(super) fn number(parent: RawFd, name: &CStr) -> sys::Result<u64> {
    match sys::look(parent, name) {
        Err(Errno(libc::ENOENT)) => Ok(0),
        other => other.map(|looked| looked.inode.1),
    }
}

/// Whether a file has another time than it was given, or something in a directory changed after the
/// first place could be switched. Nobody has come into one that is closed since: its ctime, which a
/// chmod(2) sets, was looked at.
fn is_worked_on(
    parent: RawFd,
    name: &CStr,
    (made, since): ((i64, u32), (i64, u32)),
) -> sys::Result<bool> {
    let looked = sys::look(parent, name)?;
    match looked.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            has_newer(parent, name.to_bytes(), &|looked| looked.changed > since, Ok(()))
        }
        _ => Ok(looked.written != made),
    }
}

/// Which files have their places again.
pub(super) fn undone(directory: RawFd) -> sys::Result<Vec<Undone>> {
    read(directory, UNDONE).map(Option::unwrap_or_default)
}

/// The places that the host has changed, and that the upper has, too: later times than that of the
/// record do not show these.
pub(super) fn meanwhile(directory: RawFd) -> sys::Result<BTreeSet<Vec<u8>>> {
    let paths: Vec<String> = read(directory, MEANWHILE)?.unwrap_or_default();
    Ok(paths.iter().map(|path| bytes::bytes(path).into_owned()).gather())
}

pub(super) fn note_meanwhile(directory: RawFd, paths: &BTreeSet<Vec<u8>>) -> sys::Result {
    match paths.is_empty() {
        true => remove(directory, MEANWHILE),
        false => {
            let paths: Vec<String> = paths.iter().map(|path| bytes::text(path)).collect();
            write(directory, MEANWHILE, &paths, LARGEST)
        }
    }
}

/// From here on there are none.
pub(super) fn forget_undone(directory: RawFd) -> sys::Result {
    remove(directory, UNDONE)
}

impl Journal {
    /// The other name of a place.
    pub(super) fn other(&self, place: usize) -> String {
        format!("{}{place}", self.prefix)
    }

    /// The path of that.
    fn other_path(&self, place: usize) -> Vec<u8> {
        let path = bytes::bytes(&self.units[place].path);
        let (above, _) = split(&path);
        let other = [above, b"/", self.other(place).as_bytes()].concat();
        if above.is_empty() { other[1..].to_vec() } else { other }
    }

    pub(super) fn names(&self, top: RawFd, place: usize) -> sys::Result<Names> {
        let unit = self.units.get(place).ok_or(Errno(libc::EINVAL))?;
        let path = bytes::bytes(&unit.path);
        let (parent, last) = split(&path);
        // The top itself has no name above it here.
        let last = if last.is_empty() { b"." } else { last };
        Ok(Names {
            parent: descend(top, parent)?,
            name: CString::new(last).map_err(|_| Errno(libc::EINVAL))?,
            other: name(&self.other(place))?,
        })
    }

    /// Writes it, so that it is there whatever happens next. Before anything is made it has half the
    /// room: with the numbers and times of what was made it is less than twice as long (EFBIG).
    pub(super) fn write(&self, directory: RawFd) -> sys::Result {
        let most = if self.stage == Stage::Made { LARGEST / 2 } else { LARGEST };
        write(directory, JOURNAL, self, most)
    }

    /// The one that is there.
    pub(super) fn read(directory: RawFd) -> sys::Result<Option<Journal>> {
        let Some(journal): Option<Journal> = read(directory, JOURNAL)? else { return Ok(None) };
        match journal.is_sound() {
            true => Ok(Some(Journal { is_found: true, ..journal })),
            false => Err(Errno(libc::EBADMSG)),
        }
    }

    /// Whether an apply could have written it: it names nothing outside of the tree, touches no name
    /// but places and its own, and lets nobody do more.
    fn is_sound(&self) -> bool {
        let has_prefix =
            is_of_apply(self.prefix.as_bytes()) && self.prefix.len() == PREFIX.len() + 17;
        let is_below = |unit: &Unit| {
            let parts = |part: &str| !["", ".", ".."].contains(&part) && !part.contains('\0');
            unit.path.is_empty() || unit.path.split('/').all(parts)
        };
        let gives_set_id = |new: u32, old: u32| new & !old & !0o1777 != 0;
        let is_narrower = |unit: &Unit| match unit.act {
            Act::Open { new, old } => old & !new == 0 && !gives_set_id(new, old),
            Act::Close { new, old } => new & !old == 0,
            Act::Mode { new, old } => !gives_set_id(new, old),
            Act::Add | Act::Replace | Act::Remove => true,
        };
        has_prefix && self.units.iter().all(|unit| is_below(unit) && is_narrower(unit))
    }

    pub(super) fn end(directory: RawFd) -> sys::Result {
        for file in [DRAFT, JOURNAL] {
            remove(directory, file)?;
        }
        sys::sync(directory)
    }

    /// Switches one place, if it has what was there before.
    pub(super) fn switch(&self, top: RawFd, place: usize) -> sys::Result {
        let Names { parent, name, other } = self.names(top, place)?;
        let (parent, unit) = (parent.as_raw_fd(), &self.units[place]);
        let moved = |is_there: u64, was: u64| match is_there == was {
            true => Ok(()),
            false => Err(Errno(libc::ESTALE)),
        };
        match unit.act {
            Act::Add => sys::rename_at(parent, &other, parent, &name, libc::RENAME_NOREPLACE),
            Act::Replace => {
                moved(number(parent, &name)?, unit.old)?;
                sys::rename_at(parent, &name, parent, &other, libc::RENAME_EXCHANGE)?;
                // The host may have written into the old one a moment ago.
                match sys::look(parent, &other)?.written == unit.written {
                    true => Ok(()),
                    false => Err(Errno(libc::ESTALE)),
                }
            }
            Act::Remove => {
                moved(number(parent, &name)?, unit.old)?;
                sys::rename_at(parent, &name, parent, &other, libc::RENAME_NOREPLACE)
            }
            Act::Mode { new, old } | Act::Open { new, old } | Act::Close { new, old } => {
                let flags = libc::O_PATH | libc::O_NOFOLLOW;
                let file = sys::owned(sys::openat(parent, &name, flags, 0)?);
                let looked = sys::look(file.as_raw_fd(), c"")?;
                moved(looked.inode.1, unit.old)?;
                moved((looked.mode & 0o7777).into(), old.into())?;
                sys::chmod_held(file.as_raw_fd(), new)
            }
        }
    }

    /// Takes one back, as far as it was switched, and what was made for it; whether the host has worked
    /// on it since.
    fn back(&self, top: RawFd, place: usize, since: Option<(i64, u32)>) -> sys::Result<bool> {
        let names = match self.names(top, place) {
            // Its directory is gone, with what was made there.
            Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => return Ok(false),
            other => other?,
        };
        let (parent, name, other) = (names.parent.as_raw_fd(), names.name, names.other);
        let unit = &self.units[place];
        if let Act::Mode { new, old } | Act::Open { new, old } = unit.act {
            let flags = libc::O_PATH | libc::O_NOFOLLOW;
            let file = sys::owned(sys::openat(parent, &name, flags, 0)?);
            let looked = sys::look(file.as_raw_fd(), c"")?;
            // What was found may take rights away, and gives none.
            let is_switched = looked.inode.1 == unit.old
                && looked.mode & 0o7777 == new
                && (!self.is_found || old & !new == 0);
            if is_switched {
                sys::chmod_held(file.as_raw_fd(), old)?;
            }
            return Ok(false);
        }
        let at = [number(parent, &name)?, number(parent, &other)?];
        let no = libc::RENAME_NOREPLACE;
        // What was worked on since stays where it is, and the old one under its other name.
        if let Some(since) = since.filter(|_| at[0] != 0 && at[0] == unit.new)
            && is_worked_on(parent, &name, (unit.made, since))?
        {
            return Ok(true);
        }
        match unit.act {
            Act::Add if at == [unit.new, 0] && unit.new != 0 => {
                sys::rename_at(parent, &name, parent, &other, no)?;
            }
            Act::Replace if at == [unit.new, unit.old] && unit.new != 0 => {
                sys::rename_at(parent, &name, parent, &other, libc::RENAME_EXCHANGE)?;
            }
            // The host has put another file there, or taken the new one away: the old one stays under
            // its other name.
            Act::Replace if at[1] == unit.old && at[1] != 0 && at[0] != unit.new => {
                return Ok(true);
            }
            Act::Remove if at[1] == unit.old && at[1] != 0 => {
                return match sys::rename_at(parent, &other, parent, &name, no) {
                    Err(Errno(libc::EEXIST)) => Ok(true),
                    back => back.map(|()| false),
                };
            }
            // What closes comes when nothing is taken back any more.
            Act::Close { .. } => return Ok(false),
            Act::Add | Act::Replace | Act::Remove | Act::Mode { .. } | Act::Open { .. } => {}
        }
        let is_made = number(parent, &other)?;
        let is_ours = match self.stage {
            Stage::Made => unit.act != Act::Remove,
            Stage::Switched | Stage::Done | Stage::Closing => {
                unit.act != Act::Remove && is_made == unit.new
            }
        };
        if is_made != 0 && is_ours {
            remove(parent, &other)?;
        }
        Ok(false)
    }

    /// Takes all of it back, the last first; gives what was not, as the host has worked on it since. The
    /// first failure, after all were tried.
    pub(super) fn undo(&self, top: RawFd, directory: RawFd) -> Result<Vec<WorkedOn>, Trouble> {
        // When the first place could be switched.
        let since = match self.stage {
            Stage::Made => None,
            Stage::Switched | Stage::Done | Stage::Closing => {
                sys::look(directory, JOURNAL).ok().map(|journal| journal.written)
            }
        };
        let (mut left, mut outcome) = (vec![], Ok(()));
        for place in (0..self.units.len()).rev() {
            let unit = &self.units[place];
            let path = bytes::bytes(&unit.path);
            match self.back(top, place, since) {
                Ok(false) => {}
                Ok(true) => {
                    let before = (unit.old != 0).then(|| self.other_path(place));
                    left.push(WorkedOn { path: path.into_owned(), before });
                }
                Err(errno) => outcome = outcome.and(Err(trouble(&path)(errno))),
            }
        }
        if self.stage != Stage::Made {
            let noted = self.note_undone(top, directory);
            outcome = outcome.and(noted.map_err(trouble(b"")));
        }
        left.reverse();
        outcome.map(|()| left)
    }

    /// Writes down which files have their places again. One that was written meanwhile is none.
    fn note_undone(&self, top: RawFd, directory: RawFd) -> sys::Result {
        let mut new = vec![];
        for (place, unit) in self.units.iter().enumerate().filter(|(_, unit)| unit.old != 0) {
            let Ok(names) = self.names(top, place) else { continue };
            let Ok(looked) = sys::look(names.parent.as_raw_fd(), &names.name) else { continue };
            if (looked.inode.1, looked.written) == (unit.old, unit.written) {
                let (path, number, changed) = (unit.path.clone(), unit.old, looked.changed);
                new.push(Undone { path, number, changed });
            }
        }
        // A name that was made and went away again is no change of the host's in a directory either.
        let parents: BTreeSet<&str> =
            self.units.iter().filter_map(|unit| Some(unit.path.rsplit_once('/')?.0)).gather();
        for path in parents.into_iter().chain([""]) {
            let Ok(open) = descend(top, &bytes::bytes(path)) else { continue };
            let looked = sys::look(open.as_raw_fd(), c"")?;
            let (number, changed) = (looked.inode.1, looked.changed);
            new.push(Undone { path: path.to_owned(), number, changed });
        }
        let mut all = undone(directory)?;
        let known: BTreeSet<&str> = new.iter().map(|one| &*one.path).gather();
        all.retain(|one| !known.contains(&*one.path));
        all.extend(new.iter().cloned());
        match write(directory, UNDONE, &all, LARGEST) {
            // Those of this journal are shorter than it. An older one is a conflict without this.
            Err(Errno(libc::EFBIG)) => write(directory, UNDONE, &new, LARGEST),
            written => written,
        }
    }

    /// Removes the old ones, once all are switched, and closes directories. What could not be is given:
    /// another user's files, or what is mounted there, no later try removes either.
    pub(super) fn finish(&mut self, top: RawFd, directory: RawFd) -> Result<Vec<Trouble>, Trouble> {
        let mut stays = vec![];
        if self.stage == Stage::Done {
            self.clear(top, &mut stays)?;
            let closes = |unit: &Unit| matches!(unit.act, Act::Close { .. });
            if self.units.iter().any(closes) {
                self.stage = Stage::Closing;
                self.write(directory).map_err(trouble(b""))?;
            }
        }
        let mut outcome = Ok(());
        for (place, unit) in self.units.iter().enumerate() {
            let Act::Close { .. } = unit.act else { continue };
            match self.switch(top, place) {
                // It is closed, and so may be what it lies in; or the host has it otherwise by now.
                Ok(()) | Err(Errno(libc::ESTALE | libc::EACCES | libc::EPERM | libc::ENOENT)) => {}
                Err(errno) => {
                    outcome = outcome.and(Err(trouble(&bytes::bytes(&unit.path))(errno)));
                }
            }
        }
        outcome.map(|()| stays)
    }

    fn clear(&self, top: RawFd, stays: &mut Vec<Trouble>) -> Result<(), Trouble> {
        let mut outcome = Ok(());
        for (place, unit) in self.units.iter().enumerate() {
            if !matches!(unit.act, Act::Replace | Act::Remove) {
                continue;
            }
            let cleared = self.names(top, place).and_then(|names| {
                let parent = names.parent.as_raw_fd();
                match number(parent, &names.other)? {
                    old if old == unit.old => remove(parent, &names.other),
                    _ => Ok(()),
                }
            });
            match cleared {
                Ok(()) | Err(Errno(libc::ENOENT)) => {}
                // What may be better the next time.
                Err(Errno(libc::ENOSPC | libc::EDQUOT | libc::EIO | libc::ENOMEM))
                | Err(Errno(libc::EMFILE | libc::ENFILE | libc::EROFS)) => {
                    let failed = cleared.map_err(trouble(&bytes::bytes(&unit.path)));
                    outcome = outcome.and(failed);
                }
                Err(errno) => stays.push(trouble(&self.other_path(place))(errno)),
            }
        }
        outcome
    }
}
