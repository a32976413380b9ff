//! Directories of the host that are kept between runs, by a name.
//!
//! Each has a file beside it, `.NAME.lock`, which no target sees. Every run that has the state holds a
//! shared lock on that file (flock(2)): the launcher, and pid 1, which inherits the descriptor. Who
//! removes the state holds it alone. The file's time is that of the last use.

use super::maps;
use super::uppers::clear::{clear, names};
use super::uppers::{errno, open_above, open_in, refused};
use crate::kernel::idmap::{Extent, Maps};
use crate::kernel::name::Name;
use crate::language::value::{join, parent};
use crate::probe::read_subordinate;
use crate::step::Slot;
use crate::sys::{self, Errno};
use crate::text::bytes;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use std::collections::HashSet;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Result};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::time::SystemTime;

/// One that is held.
struct Held {
    /// Where its descriptor goes.
    slot: Slot,
    /// It, by its path without links.
    path: Name,
    directory: File,
    /// The locked file.
    _lock: File,
}

/// All of a launch.
#[derive(Default)]
pub(super) struct States {
    held: Vec<Held>,
}

impl States {
    /// Makes a state, or takes the one that is there, and locks it.
    pub(super) fn hold(
        &mut self,
        slot: Slot,
        directory: &Name,
        owner: Option<(u32, u32)>,
    ) -> sys::Result<RawFd> {
        let held = hold(slot, directory, owner).map_err(errno)?;
        let directory = held.directory.as_raw_fd();
        self.held.push(held);
        Ok(directory)
    }

    /// The path of the one in this slot, and its descriptor.
    pub(super) fn of(&self, slot: Slot) -> Option<(&CStr, RawFd)> {
        let held = self.held.iter().find(|held| held.slot == slot)?;
        Some((held.path.as_c_str(), held.directory.as_raw_fd()))
    }
}

fn hold(slot: Slot, path: &Name, owner: Option<(u32, u32)>) -> Result<Held> {
    let text = path.text();
    let (base, name) = (parent(text), text.rsplit('/').next().unwrap_or_default());
    let above = match open_above(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(bytes::path(base))?;
            open_above(base)?
        }
        above => above?,
    };
    if !is_alone(&above)? {
        return refused(libc::ESTALE);
    }
    let lock = lock(&above, name, File::try_lock_shared)?;
    lock.set_modified(SystemTime::now())?;
    let is_made = match mkdirat(&above, name, Mode::S_IRWXU) {
        Ok(()) => true,
        Err(nix::errno::Errno::EEXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let directory = open_in(&above, name.as_ref(), OFlag::O_DIRECTORY | OFlag::O_PATH)?;
    if let Some((user, group)) = owner.filter(|_| is_made) {
        let whole = open_in(&above, name.as_ref(), OFlag::O_DIRECTORY)?;
        fchown(&whole, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    let found = directory.metadata()?;
    if found.uid() != owner.map_or(sys::ids_at_start().0, |(user, _)| user) {
        return refused(libc::ESTALE);
    }
    // A target may have changed it, or a umask.
    if found.mode() & 0o7777 != 0o700 {
        sys::chmod_held(directory.as_raw_fd(), 0o700)
            .map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))?;
    }
    Ok(Held { slot, path: path.clone(), directory, _lock: lock })
}

/// Whether a directory is the caller's, and no other user may enter it.
fn is_alone(directory: &File) -> Result<bool> {
    let found = directory.metadata()?;
    Ok(found.uid() == sys::ids_at_start().0 && found.mode() & 0o077 == 0)
}

fn lock_name(name: &str) -> String {
    format!(".{name}.lock")
}

/// How often a lock is tried again whose file was removed meanwhile, with its state.
const TRIES: u32 = 16;

/// Locks the file of a state, which is made where it is not there; EAGAIN where others have it.
fn lock(
    above: &File,
    name: &str,
    how: fn(&File) -> std::result::Result<(), TryLockError>,
) -> Result<File> {
    let name = lock_name(name);
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    for _ in 0..TRIES {
        let file = open_in(above, name.as_ref(), flags)?;
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != sys::ids_at_start().0 {
            return refused(libc::ESTALE);
        }
        how(&file).map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::from_raw_os_error(libc::EAGAIN),
            TryLockError::Error(error) => error,
        })?;
        // Who removed the state before has removed this file, too.
        if look(above, name.as_ref())
            .is_ok_and(|there| (there.st_dev, there.st_ino) == (found.dev(), found.ino()))
        {
            return Ok(file);
        }
    }
    refused(libc::EAGAIN)
}

fn look(directory: &File, name: &OsStr) -> Result<FileStat> {
    Ok(fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

/// The caller's states.
pub(crate) struct Kept {
    directory: File,
}

/// One of them.
pub(crate) struct State {
    pub name: String,
    /// How much it takes on disk, and whether all of it could be looked at.
    pub size: (u64, bool),
    /// When a run began to use it, where that is known.
    pub used: Option<SystemTime>,
    /// The launchers of runs that use it, as far as they are known.
    pub launchers: Vec<i32>,
}

/// Why one is not removed.
#[derive(Debug)]
pub(crate) enum Refused {
    Errno(i32),
    /// The directory of all is not the caller's alone.
    NotOurs,
    /// Sandboxes of these launchers use it, as far as they are known.
    Held(Vec<i32>),
    /// Not all of it: this path in it is of another user.
    Left(String, u32),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

type Removed<T = ()> = std::result::Result<T, Refused>;

impl Kept {
    /// Those in this directory; `None` where there is none.
    pub(crate) fn open(path: &str) -> Removed<Option<Kept>> {
        let directory = match File::open(bytes::path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            directory => directory?,
        };
        match is_alone(&directory)? {
            true => Ok(Some(Kept { directory })),
            false => Err(Refused::NotOurs),
        }
    }

    /// Their names.
    pub(crate) fn names(&self) -> Removed<Vec<String>> {
        let is_state = |name: &OsString| {
            let found = look(&self.directory, name);
            !name.as_bytes().starts_with(b".")
                && found.is_ok_and(|found| found.st_mode & libc::S_IFMT == libc::S_IFDIR)
        };
        let all = names(self.directory.as_fd())?.into_iter().filter(is_state);
        let mut all: Vec<String> = all.map(bytes::of).collect();
        all.sort_unstable();
        Ok(all)
    }

    /// The names beside them that begin with a dot, and whether they are older than a minute.
    pub(crate) fn hidden(&self) -> Vec<(String, bool)> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let is_old = |name: &OsString| {
            let changed = look(&self.directory, name).map_or(0, |found| found.st_ctime);
            now.as_secs().saturating_sub(u64::try_from(changed).unwrap_or(0)) > 60
        };
        let all = names(self.directory.as_fd()).unwrap_or_default().into_iter();
        let all = all.filter(|name| name.as_bytes().starts_with(b"."));
        all.map(|name| (bytes::of(name.clone()), is_old(&name))).collect()
    }

    /// Removes one of these with all in it.
    pub(crate) fn remove_hidden(&self, name: &str) {
        if let Ok(top) = self.top(name)
            && clear(top.as_fd()).is_ok()
        {
            let flags = UnlinkatFlags::RemoveDir;
            unlinkat(&self.directory, &*bytes::path(name), flags).unwrap_or_default();
        }
    }

    /// One of them.
    pub(crate) fn look(&self, name: &str) -> State {
        let lock = look(&self.directory, lock_name(name).as_ref()).ok();
        let used = |lock: &FileStat| {
            let seconds = u64::try_from(lock.st_mtime).ok()?;
            Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
        };
        State {
            name: name.to_owned(),
            size: self.top(name).map_or((0, false), |top| {
                let Taken { bytes, is_whole, .. } = taken(&top);
                (bytes, is_whole)
            }),
            used: lock.as_ref().and_then(used),
            launchers: lock.as_ref().map_or(vec![], holders),
        }
    }

    fn top(&self, name: &str) -> Result<File> {
        let name = bytes::path(name);
        open_in(&self.directory, name.as_os_str(), OFlag::O_DIRECTORY | OFlag::O_NONBLOCK)
    }

    /// Removes one with all in it, while no run uses it.
    pub(crate) fn remove(&self, name: &str) -> Removed {
        let lock = match lock(&self.directory, name, File::try_lock) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                let lock = look(&self.directory, lock_name(name).as_ref());
                return Err(Refused::Held(lock.map_or(vec![], |lock| holders(&lock))));
            }
            lock => lock?,
        };
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH;
        let held = open_in(&self.directory, name.as_ref(), flags)?;
        if held.metadata()?.mode() & 0o700 != 0o700 {
            // Where it is another's, the next call says so.
            sys::regardless(sys::chmod_held(held.as_raw_fd(), 0o700));
        }
        let top = self.top(name)?;
        if let Err(error) = clear(top.as_fd())
            && with_subordinate_ids(|| clear(top.as_fd())).is_none()
        {
            return Err(match foreign(&top) {
                Some((path, user)) => Refused::Left(path, user),
                None => error.into(),
            });
        }
        let unlink = |name: &str, how| unlinkat(&self.directory, name, how);
        unlink(name, UnlinkatFlags::RemoveDir).map_err(io::Error::from)?;
        // The last act: until here a run that begins finds the lock taken.
        let removed = unlink(&lock_name(name), UnlinkatFlags::NoRemoveDir);
        removed.map_err(io::Error::from)?;
        drop(lock);
        Ok(())
    }
}

/// The launchers that hold a lock on a file (proc_locks(5)); those of other pid namespaces are not
/// shown.
fn holders(file: &FileStat) -> Vec<i32> {
    let (major, minor) = (libc::major(file.st_dev), libc::minor(file.st_dev));
    let has = |place: &str| {
        let mut parts = place.split(':');
        let mut device = || u32::from_str_radix(parts.next()?, 16).ok();
        let (of_major, of_minor) = (device(), device());
        // Some file systems without a device of their own show another number there (btrfs).
        let same = of_major == Some(major) && (of_minor == Some(minor) || major == 0);
        same && parts.next().and_then(|inode| inode.parse().ok()) == Some(file.st_ino)
    };
    let locks = sys::read_generated(c"/proc/locks").unwrap_or_default();
    let holder = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "READ", pid, place, ..] = words.as_slice() else { return None };
        pid.parse().ok().filter(|_| has(place))
    };
    let mut all: Vec<i32> = bytes::text(&locks).lines().filter_map(holder).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// How deep, and how many names, a look at a state goes: a target fills it as it likes.
const DEEPEST: usize = 100;
const MOST_NAMES: u64 = 1_000_000;

/// Goes through a directory without following links or leaving its file system, and gives each name
/// with the path of the directory that it is in; whether it was all of it.
fn walk(top: &File, mut each: impl FnMut(&str, &OsStr, &FileStat)) -> bool {
    let Ok(of) = top.metadata() else { return false };
    let Ok(first) = names(top.as_fd()) else { return false };
    let Ok(top) = top.try_clone() else { return false };
    let (mut stack, mut whole, mut count) = (vec![(top, String::new(), first)], true, 0);
    while let Some((directory, path, left)) = stack.last_mut() {
        let Some(name) = left.pop() else {
            stack.pop();
            continue;
        };
        count += 1;
        if count > MOST_NAMES {
            return false;
        }
        let Ok(found) = look(directory, &name) else {
            whole = false;
            continue;
        };
        each(path, &name, &found);
        if found.st_mode & libc::S_IFMT != libc::S_IFDIR || found.st_dev != of.dev() {
            continue;
        }
        let below = join(path, &format!("/{}", bytes::of(name.clone())));
        let opened = open_in(directory, &name, OFlag::O_DIRECTORY | OFlag::O_NONBLOCK);
        match opened.and_then(|opened| names(opened.as_fd()).map(|names| (opened, names))) {
            Ok((opened, names)) if stack.len() < DEEPEST => stack.push((opened, below, names)),
            Ok(_) | Err(_) => whole = false,
        }
    }
    whole
}

/// How much is in a directory.
pub(super) struct Taken {
    pub names: u64,
    /// On disk.
    pub bytes: u64,
    /// Whether that is all.
    pub is_whole: bool,
}

pub(super) fn taken(top: &File) -> Taken {
    let (mut names, mut bytes, mut linked) = (0, 0u64, HashSet::new());
    let is_whole = walk(top, |_, _, found| {
        names += 1;
        if found.st_nlink < 2 || linked.insert(found.st_ino) {
            bytes = bytes.saturating_add(u64::try_from(found.st_blocks).unwrap_or(0) * 512);
        }
    });
    Taken { names, bytes, is_whole }
}

/// The first path in it that is another user's.
fn foreign(top: &File) -> Option<(String, u32)> {
    let (user, mut found) = (sys::ids_at_start().0, None);
    walk(top, |path, name, file| {
        if file.st_uid != user && found.is_none() {
            let path = join(path, &format!("/{}", bytes::of(name)));
            found = Some((path.trim_start_matches('/').to_owned(), file.st_uid));
        }
    });
    found
}

/// Does something in a user namespace that has the caller's subordinate ids (subuid(5)), by which
/// its sandboxes may have made files; `None` where there are none, or it is not done.
pub(super) fn with_subordinate_ids(act: impl FnOnce() -> Result<()>) -> Option<()> {
    let (user, group) = sys::ids_at_start();
    let name = crate::host::caller::Caller::current().user;
    let ranges = |file: &str, own: u32| {
        let mut inside = 1u32;
        let mut all = vec![Extent { inside: 0, outside: own, count: 1 }];
        for (of, outside, count) in read_subordinate(file) {
            if of == name || of == user.to_string() {
                all.push(Extent { inside, outside, count });
                inside = inside.checked_add(count)?;
            }
        }
        (all.len() > 1).then_some(all)
    };
    let (uid, gid) = (ranges("/etc/subuid", user)?, ranges("/etc/subgid", group)?);
    let maps = Maps { uid, gid, helpers: true, deny_setgroups: false };
    let (wait, go) = sys::pipe().ok()?;
    let mut pidfd = -1;
    match sys::clone_process(libc::CLONE_NEWUSER as u64, &mut pidfd, None).ok()? {
        0 => {
            sys::regardless(sys::close(go));
            let mut byte = [0];
            let begun = sys::read(wait, &mut byte) == Ok(1);
            sys::exit(i32::from(!begun || act().is_err()))
        }
        pid => {
            let mapped = maps::write(&maps, pid).is_ok();
            if mapped {
                sys::regardless(sys::write(go, &[0]));
            }
            for fd in [wait, go, pidfd] {
                sys::regardless(sys::close(fd));
            }
            (sys::wait_for(pid) == Ok(0)).then_some(())
        }
    }
}
