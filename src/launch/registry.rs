//! Running sandboxes that have a name, as files of the caller's runtime directory. There is no
//! daemon: a launcher holds a lock on its file while it lives, so a file without a lock is what a
//! dead one left, and goes.
//!
//! The directory is the caller's alone, and every file is opened through it: no other user can put
//! a file there. A target of the caller's can, where a grant holds the directory (`broad = true`, or
//! /tmp in a run whose directory is another): so the kernel, and not the file, says which process
//! the launcher is, by a second lock that is the process's own (fcntl(2), F_GETLK).
//!
//! A file is a line of JSON, the entry, and after it the plan as [`stored`] writes it: without what
//! came from the caller's environment. One that is longer than [`LARGEST_PLAN`] is left out. What
//! is read is believed as far as it has the right form, and no further.

use crate::launch::cgroup::Group;
use crate::launch::leftover::{self, Leftover};
use crate::launch::stat;
use crate::plan::{Plan, stored};
use crate::sys;
use crate::text::bytes;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// The ending of a file.
const ENDING: &str = ".json";
/// More than any entry has, without its plan.
const LARGEST: u64 = 64 << 10;
/// The largest plan that is kept: more than thirty times that of any profile of the examples. The
/// runtime directory is in memory, and one user's.
const LARGEST_PLAN: usize = 1 << 20;
/// How often a file that a dead launcher left is taken away before its name counts as taken.
const TRIES: u32 = 3;

/// A running sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its launcher, and pid 1 inside, as the launcher counts.
    pub launcher: i32,
    /// Pid 1 inside.
    pub init: i32,
    /// The profile, for people.
    pub profile: String,
    /// When it began, in hundredths of a second since the machine did (CLOCK_BOOTTIME).
    pub begun: u64,
    /// What it may leave behind.
    pub leaves: Vec<Leftover>,
    /// How many bytes of plan follow; none where it was too large.
    pub plan: Option<usize>,
}

impl Entry {
    /// What it may leave behind, as far as that is its launcher's.
    fn left(&self) -> impl Iterator<Item = &Leftover> {
        self.leaves.iter().filter(|left| left.is_of(self.launcher))
    }

    /// The control groups that are its launcher's.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let group = |left: &Leftover| match left {
            Leftover::Group(group) => group.clone(),
        };
        self.left().map(group).collect()
    }
}

/// The directory of all entries.
#[derive(Debug)]
pub(crate) struct Registry {
    directory: File,
}

/// A sandbox's own entry, as long as it runs.
#[derive(Debug)]
pub(crate) struct LockedEntry {
    registry: Registry,
    name: String,
    /// Its lock ends with it.
    _lock: File,
}

/// An entry whose launcher lived when it was read.
#[derive(Debug)]
pub(crate) struct Live {
    pub name: String,
    pub entry: Entry,
    file: File,
}

/// Why a name could not be taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Another sandbox has it.
    Taken,
    /// The directory is not the caller's alone.
    Foreign,
    /// The system's reason.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

impl Registry {
    /// Opens the directory, or makes it.
    pub(crate) fn open(directory: &str, uid: u32, make: bool) -> Result<Registry, Refused> {
        if make {
            match DirBuilder::new().mode(0o700).create(bytes::path(directory)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(bytes::path(directory))
            .map_err(|error| match error.raw_os_error() {
                // Another user's, or a link.
                Some(libc::EACCES | libc::ELOOP | libc::ENOTDIR) => Refused::Foreign,
                _ => Refused::Io(error),
            })?;
        let meta = dir.metadata()?;
        if meta.uid() != uid || meta.mode() & 0o077 != 0 {
            return Err(Refused::Foreign);
        }
        Ok(Registry { directory: dir })
    }

    /// A name in the directory that is open, wherever its path may lead by now.
    fn at(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd()).into()
    }

    /// Enters a sandbox. Its file is whole, and locked, before it has its name.
    pub(crate) fn enter(
        self,
        name: &str,
        entry: Entry,
        plan: &Plan,
    ) -> Result<LockedEntry, Refused> {
        self.sweep();
        let draft = self.at(&format!(".{}", std::process::id()));
        drop(std::fs::remove_file(&draft));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let entered = self.publish(&mut file, &draft, name, &text(entry, plan)?);
        drop(std::fs::remove_file(&draft));
        entered?;
        Ok(LockedEntry { registry: self, name: name.to_owned(), _lock: file })
    }

    fn publish(
        &self,
        file: &mut File,
        draft: &PathBuf,
        name: &str,
        text: &[u8],
    ) -> Result<(), Refused> {
        file.try_lock().map_err(io::Error::from)?;
        sys::lock_for_process(file.as_raw_fd())
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        file.write_all(text)?;
        for _ in 0..TRIES {
            match std::fs::hard_link(draft, self.at(&format!("{name}{ENDING}"))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match self.find(name)? {
                        Some(_) => return Err(Refused::Taken),
                        None => continue,
                    }
                }
                other => return Ok(other?),
            }
        }
        Err(Refused::Taken)
    }

    /// The sandbox of that name, if it runs. A dead launcher's file is removed.
    pub(crate) fn find(&self, name: &str) -> io::Result<Option<Live>> {
        let path = self.at(&format!("{name}{ENDING}"));
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {
                // Removes this file, not one that has taken its name meanwhile: to replace it a
                // process needs the lock.
                let same = std::fs::symlink_metadata(&path)
                    .is_ok_and(|now| file.metadata().is_ok_and(|ours| now.ino() == ours.ino()));
                if same {
                    if let Ok((entry, _)) = read(&mut file) {
                        leftover::sweep(entry.left().cloned());
                    }
                    std::fs::remove_file(&path)?;
                }
                return Ok(None);
            }
        }
        let (entry, _) = read(&mut file)?;
        // The lock may be that of another reader who is about to take the file away.
        let lives = matches!(stat::of(entry.launcher as u64), Ok(Some(process)) if !process.ended && process.began <= entry.begun);
        if !lives || sys::locking_process(file.as_raw_fd()) != Ok(Some(entry.launcher)) {
            return Ok(None);
        }
        Ok(Some(Live { name: name.to_owned(), entry, file }))
    }

    /// All running sandboxes, by name. Entries that cannot be read are left out.
    pub(crate) fn list(&self) -> Vec<Live> {
        let mut live: Vec<Live> =
            self.names().iter().filter_map(|name| self.find(name).ok().flatten()).collect();
        live.sort_by(|a, b| a.name.cmp(&b.name));
        live
    }

    fn names(&self) -> Vec<String> {
        self.files().filter_map(|file| Some(file.strip_suffix(ENDING)?.to_owned())).collect()
    }

    fn files(&self) -> impl Iterator<Item = String> {
        let entries = std::fs::read_dir(self.at(".")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }

    /// Takes away what dead launchers left: their files, and those that had no name yet.
    fn sweep(&self) {
        self.names().iter().for_each(|name| drop(self.find(name)));
        let drafts = self.files().filter_map(|file| file.strip_prefix('.')?.parse::<u64>().ok());
        for dead in drafts.filter(|pid| matches!(stat::of(*pid), Ok(None))) {
            drop(std::fs::remove_file(self.at(&format!(".{dead}"))));
        }
    }
}

impl LockedEntry {
    /// Takes the name back.
    pub(crate) fn leave(self) {
        drop(std::fs::remove_file(self.registry.at(&format!("{}{ENDING}", self.name))));
    }
}

/// The plan of a sandbox of this name that runs, where it is kept.
#[cfg(not(face_alone))]
pub fn plan_of(directory: &str, name: &str) -> io::Result<Option<Plan>> {
    let uid = crate::sys::ids_at_start().0;
    let registry = Registry::open(directory, uid, false).map_err(|refused| match refused {
        Refused::Io(error) => error,
        Refused::Taken | Refused::Foreign => io::ErrorKind::PermissionDenied.into(),
    })?;
    registry.find(name)?.map_or(Ok(None), |mut live| live.plan())
}

/// What a file holds.
fn text(entry: Entry, plan: &Plan) -> io::Result<Vec<u8>> {
    let plan = Some(stored::store(plan)).filter(|plan| plan.len() <= LARGEST_PLAN);
    let mut text = serde_json::to_vec(&Entry { plan: plan.as_ref().map(Vec::len), ..entry })?;
    text.push(b'\n');
    text.extend(plan.unwrap_or_default());
    Ok(text)
}

/// The entry that a file begins with, and where its plan does.
fn read(file: &mut File) -> io::Result<(Entry, usize)> {
    let mut text = vec![];
    file.take(LARGEST).read_to_end(&mut text)?;
    let line = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    Ok((serde_json::from_slice(&text[..line])?, line + 1))
}

impl Live {
    /// Its plan, unless it was too large to be stored. A truncated plan, or one of another version,
    /// is an error.
    #[cfg_attr(face_alone, allow(dead_code, reason = "for what reads a plan back"))]
    pub(crate) fn plan(&mut self) -> io::Result<Option<Plan>> {
        let Some(length) = self.entry.plan else { return Ok(None) };
        let is_ours = |length: &usize| *length <= LARGEST_PLAN;
        let length = Some(length).filter(is_ours).ok_or(io::ErrorKind::InvalidData)?;
        self.file.rewind()?;
        let (_, start) = read(&mut self.file)?;
        self.file.seek(SeekFrom::Start(start as u64))?;
        let mut text = vec![];
        (&mut self.file).take(length as u64 + 1).read_to_end(&mut text)?;
        let whole = Some(text).filter(|text| text.len() == length);
        let plan = whole.and_then(|text| stored::restore(&text));
        plan.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Whether its launcher still lives: then its number, and that of its pid 1, are still theirs.
    pub(crate) fn still_lives(&self) -> bool {
        matches!(self.file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}
