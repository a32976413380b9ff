//! Directories of the host that take what a target writes on top of layers: kept ones, and those of
//! one run.
//!
//! Each has a file that marks it and says what it was written over ([`Upper`]). A lock on that file
//! (flock(2)) is held by the launcher and, as it inherits the descriptor, by pid 1: it is free when
//! the last of them is gone. All this is the launcher's, before the clone and after the end; pid 1
//! opens the directory's mount once more by its path, and looks that it is the same one.

use super::stat;
use crate::host::upper::{self, FORMAT, LARGEST, PREFIX, RECORD, Upper};
use crate::kernel::name::Name;
use crate::language::value::{join, parent};
use crate::plan::Plan;
use crate::step::Slot;
use crate::sys::{self, Errno};
use crate::text::bytes;
use crate::text::gather::Gather;
use clear::{clear, names};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Result};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::time::Duration;

pub(crate) mod clear;

/// How often a lock is tried, a millisecond apart.
const LOCK_TRIES: u32 = 10;
/// How many names for one are tried.
const MOST_TRIES: usize = 1000;

/// One that is held.
#[derive(Debug)]
struct Held {
    /// Where its descriptor goes.
    slot: Slot,
    /// It, by its path without links.
    path: Name,
    directory: File,
    /// The directory that it is in, and its name there.
    above: File,
    name: OsString,
    /// The locked file, and what it says.
    file: File,
    record: Upper,
    kept: bool,
}

/// All of a launch.
#[derive(Debug, Default)]
pub(super) struct Uppers {
    held: Vec<Held>,
    /// The files that the next run reads.
    pub profiles: Vec<String>,
    /// The user namespace of a sandbox with ids that the caller has not: its files are removed there.
    namespace: Option<File>,
}

/// What a step says of one.
pub(super) struct Wanted<'a> {
    pub slot: Slot,
    pub directory: &'a Name,
    pub kept: bool,
    pub path: &'a Name,
    pub layers: &'a [Name],
    pub mounts: &'a [Name],
    pub profiles: Vec<String>,
}

impl Uppers {
    pub(super) fn reading(profiles: &[String]) -> Uppers {
        Uppers { profiles: profiles.to_vec(), ..Uppers::default() }
    }

    /// Makes a directory, or takes the one that is there, and locks it.
    pub(super) fn hold(&mut self, wanted: &Wanted<'_>) -> sys::Result<RawFd> {
        let held = match wanted.kept {
            true => keep(wanted),
            false => make(wanted, self.held.len()),
        };
        let held = held.map_err(errno)?;
        let directory = held.directory.as_raw_fd();
        self.held.push(held);
        Ok(directory)
    }

    /// The path of the one in this slot, and its descriptor.
    pub(super) fn of(&self, slot: Slot) -> Option<(&CStr, RawFd)> {
        let held = self.held.iter().find(|held| held.slot == slot)?;
        Some((held.path.as_c_str(), held.directory.as_raw_fd()))
    }

    /// The directory behind a mount that a step opens, and its path where it stays.
    pub(super) fn of_place(&self, opened: Slot, plan: &Plan) -> Option<(RawFd, Option<&str>)> {
        let mut opens = plan.steps.iter().filter_map(|step| step.tree()?.facets().opens_held);
        let held = opens.find_map(|(slot, held)| (slot == opened).then_some(held))?;
        let held = self.held.iter().find(|one| one.slot == held)?;
        Some((held.directory.as_raw_fd(), held.kept.then_some(held.path.text())))
    }

    /// Opens the user namespace of pid 1, which waits, where it has ids that the launcher has not.
    pub(super) fn note_namespace(&mut self, pid: i32) {
        self.namespace = File::open(format!("/proc/{pid}/ns/user")).ok();
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Removes what dead launchers have left where this one makes directories. What cannot be removed
    /// stays for a later run.
    pub(super) fn sweep(&self) {
        for held in self.held.iter().filter(|held| !held.kept) {
            for name in left_in(&held.above) {
                self.within(|| remove_dead(&held.above, &name)).unwrap_or_default();
            }
        }
    }

    /// Gives each back, or removes it; what could not be removed.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let mut left = vec![];
        for held in std::mem::take(&mut self.held) {
            if held.kept {
                // An apply may have written it meanwhile.
                let record = read(&held.file).ok().flatten().unwrap_or(held.record);
                // The lock says as well that nobody has it.
                write(&held.file, &Upper { pid: 0, ..record }).unwrap_or_default();
            } else if self.within(|| remove(&held.above, &held.name, &held.directory)).is_err() {
                left.push(held.path.text().to_owned());
            }
        }
        self.namespace = None;
        left
    }

    /// Does something in the sandbox's user namespace, where it has one with more ids.
    fn within(&self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(namespace) = &self.namespace else { return act() };
        let failed = |Errno(errno)| io::Error::from_raw_os_error(errno);
        let mut pidfd = -1;
        match sys::clone_process(0, &mut pidfd, None).map_err(failed)? {
            0 => {
                let entered = sys::setns(namespace.as_raw_fd(), libc::CLONE_NEWUSER as u64);
                let done = entered.map_err(failed).and_then(|()| act());
                sys::exit(i32::from(done.is_err()))
            }
            pid => {
                let status = sys::wait_for(pid);
                sys::regardless(sys::close(pidfd));
                match status.map_err(failed)? {
                    0 => Ok(()),
                    _ => Err(io::Error::from_raw_os_error(libc::EACCES)),
                }
            }
        }
    }
}

pub(super) fn errno(error: io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

pub(super) fn refused<T>(errno: i32) -> Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

/// Opens a directory, without links on the way.
pub(super) fn open_above(path: &str) -> Result<File> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let opened = sys::open_without_links(Name::new(path).as_c_str(), flags);
    let opened = opened.map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))?;
    Ok(File::from(sys::owned(opened)))
}

/// Opens what overlayfs calls the upper. The target has its mode: one that the caller may not enter is
/// opened to the caller, and shows that as a change.
pub(super) fn open_upper(directory: RawFd, name: &CStr) -> sys::Result<File> {
    const ENTERS: u32 = 0o700;
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let held = sys::owned(sys::openat(directory, name, libc::O_PATH | flags, 0)?);
    let looked = sys::look(held.as_raw_fd(), c"")?;
    let is_own = looked.owner == nix::unistd::geteuid().as_raw();
    if is_own && looked.mode & ENTERS != ENTERS {
        sys::chmod_held(held.as_raw_fd(), looked.mode & 0o7777 | ENTERS)?;
    }
    let open = sys::openat(held.as_raw_fd(), c".", libc::O_RDONLY | flags, 0)?;
    Ok(File::from(sys::owned(open)))
}

/// The launcher that has a kept upper at this moment, by its record. Nobody finds the upper taken
/// because of that for longer.
pub(crate) fn user(directory: &str) -> Option<i32> {
    let file =
        open_above(directory).and_then(|open| open_in(&open, RECORD.as_ref(), OFlag::O_NONBLOCK));
    let file = file.ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(&file).ok()?.map(|record| record.pid),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Opens a name in a directory, and follows no link.
pub(super) fn open_in(directory: &File, name: &OsStr, flags: OFlag) -> Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
}

/// One that stays: made at its first use.
fn keep(wanted: &Wanted<'_>) -> Result<Held> {
    let path = wanted.directory.text();
    let above = open_above(parent(path))?;
    let name = path.rsplit('/').next().unwrap_or_default();
    match nix::sys::stat::mkdirat(&above, name, Mode::S_IRWXU) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    held(wanted, wanted.directory.clone(), above, name)
}

/// One for this run.
fn make(wanted: &Wanted<'_>, count: usize) -> Result<Held> {
    let path = wanted.directory.text();
    let above = match open_above(path) {
        // The caller's cache, at its first use.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(bytes::path(path))?;
            open_above(path)?
        }
        above => above?,
    };
    let now = sys::boot_ticks().map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))?;
    // Where others may write, they may have made one of that name.
    for count in count..count + MOST_TRIES {
        let name = format!("{PREFIX}{}-{now}-{count}", sys::getpid());
        match nix::sys::stat::mkdirat(&above, name.as_str(), Mode::S_IRWXU) {
            Err(nix::errno::Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(()) => {
                let path = Name::new(&join(wanted.directory.text(), &format!("/{name}")));
                return held(wanted, path, above, &name);
            }
        }
    }
    refused(libc::EEXIST)
}

/// Locks a directory that is the caller's alone, and writes what it is used for.
fn held(wanted: &Wanted<'_>, own: Name, above: File, name: &str) -> Result<Held> {
    let directory = open_in(&above, name.as_ref(), OFlag::O_DIRECTORY)?;
    if !is_ours(&directory)? {
        return refused(libc::ESTALE);
    }
    let file = match open_in(&directory, RECORD.as_ref(), OFlag::O_RDWR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It must hold nothing that stockade did not make.
            if !names(directory.as_fd())?.is_empty() {
                return refused(libc::ESTALE);
            }
            open_in(&directory, RECORD.as_ref(), OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)?
        }
        file => file?,
    };
    lock(&file)?;
    let layers: Vec<String> = wanted.layers.iter().map(|layer| layer.text().to_owned()).collect();
    let path = wanted.path.text();
    let mut mounts: BTreeSet<String> =
        wanted.mounts.iter().map(|path| path.text().to_owned()).gather();
    let mut profiles: BTreeSet<String> = wanted.profiles.iter().cloned().gather();
    let now = number(path, &layers);
    let (begun, number) = match read(&file)? {
        Some(record) if record.layers == layers => {
            // What an earlier target wrote over an entry of its run, it wrote without seeing what is
            // there.
            mounts.extend(record.mounts_at(path));
            profiles.extend(record.profiles);
            match record.number != now && is_empty(&directory) {
                // Nothing is in it that was written over another tree.
                true => (upper::now(), now),
                false => (record.begun, record.number),
            }
        }
        // A run that ended before it had written anything.
        None if names(directory.as_fd())? == [RECORD] => (upper::now(), now),
        Some(_) | None => return refused(libc::ESTALE),
    };
    let [mounts, profiles] = [mounts, profiles].map(|all| all.into_iter().collect());
    let (path, pid) = (path.to_owned(), sys::getpid());
    let record = Upper { format: FORMAT, path, layers, pid, begun, number, mounts, profiles };
    write(&file, &record)?;
    let (slot, kept, name) = (wanted.slot, wanted.kept, name.into());
    Ok(Held { slot, path: own, directory, above, name, file, record, kept })
}

/// Locks a record. A process that only asks whether it is free holds it for a moment.
fn lock(file: &File) -> Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    refused(libc::EAGAIN)
}

/// The number of the directory that a record is of, where that is the host's tree alone and the
/// numbers of its file system stay: an overlay's of directories, and those of FUSE, may not.
fn number(path: &str, layers: &[String]) -> u64 {
    let [layer] = layers else { return 0 };
    let Ok(directory) = open_above(layer) else { return 0 };
    let moves = nix::sys::statfs::fstatfs(&directory)
        .is_ok_and(|fs| [0x794c_7630, 0x6573_5546].contains(&fs.filesystem_type().0));
    if layer != path || moves {
        return 0;
    }
    directory.metadata().map_or(0, |found| found.ino())
}

/// Whether a target has left nothing in a directory that is kept.
fn is_empty(directory: &File) -> bool {
    let upper = open_in(directory, upper::UPPER.as_ref(), OFlag::O_DIRECTORY);
    upper.and_then(|upper| names(upper.as_fd())).is_ok_and(|names| names.is_empty())
}

/// Whether a directory is the caller's, and closed to others.
fn is_ours(directory: &File) -> Result<bool> {
    let found = directory.metadata()?;
    Ok(found.uid() == sys::ids_at_start().0 && found.mode() & 0o077 == 0)
}

/// What a file says.
fn read(file: &File) -> Result<Option<Upper>> {
    let length = file.metadata()?.len();
    if length > LARGEST {
        return Ok(None);
    }
    let mut text = vec![0; length as usize];
    file.read_exact_at(&mut text, 0)?;
    Ok(Upper::parse(&text))
}

/// Writes a record over the one that is there, in place and at once: it keeps its lock, and as it
/// never becomes shorter, no write that is cut off leaves a part of one.
pub(super) fn write(file: &File, record: &Upper) -> Result<()> {
    let mut line = record.line().trim_end().as_bytes().to_vec();
    let before = file.metadata()?.len() as usize;
    line.resize(line.len().max(before.saturating_sub(1)), b' ');
    line.push(b'\n');
    file.write_all_at(&line, 0)
}

/// The names of directories of other launchers' runs.
fn left_in(above: &File) -> Vec<OsString> {
    let own = format!("{PREFIX}{}-", sys::getpid());
    let is_left = |name: &OsString| {
        let name = name.as_bytes();
        name.starts_with(PREFIX.as_bytes()) && !name.starts_with(own.as_bytes())
    };
    names(above.as_fd()).unwrap_or_default().into_iter().filter(is_left).collect()
}

/// Removes a directory that nobody holds. One of another user's only has such a name: root would
/// remove in it what that user could not.
fn remove_dead(above: &File, name: &OsStr) -> Result<()> {
    let directory = open_in(above, name, OFlag::O_DIRECTORY)?;
    if !is_ours(&directory)? {
        return refused(libc::EPERM);
    }
    match open_in(&directory, RECORD.as_ref(), OFlag::O_RDWR) {
        Ok(file) => {
            // A launcher that has made it, and has not locked it yet, has written nothing.
            if read(&file)?.is_none() && !is_dead(name) {
                return refused(libc::EAGAIN);
            }
            file.try_lock().map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?;
            remove(above, name, &directory)
        }
        // One that was made, and not marked: a launcher may be about to.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_dead(name) => {
            remove(above, name, &directory)
        }
        Err(error) => Err(error),
    }
}

/// Whether the launcher whose pid is in a name is gone.
fn is_dead(name: &OsStr) -> bool {
    let text = name.to_string_lossy();
    let mut parts = text.strip_prefix(PREFIX).unwrap_or("").split('-');
    let mut number = || parts.next().and_then(|part| part.parse().ok());
    let (Some(pid), Some(made)) = (number(), number()) else { return false };
    match stat::of(pid) {
        Ok(Some(process)) => process.ended || process.began > made,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Removes a directory and all in it. Whatever has its name by now, no more than an empty directory of
/// that name goes with it.
fn remove(above: &File, name: &OsStr, directory: &File) -> Result<()> {
    clear(directory.as_fd())?;
    Ok(unlinkat(above, name, UnlinkatFlags::RemoveDir)?)
}
