//! Running sandboxes that have a name, as files of the caller's runtime directory. There is no
//! daemon: a launcher holds a lock on its file while it lives, so a file without a lock is what a
//! dead one left, and goes.
//!
//! The directory is the caller's alone, and every file is looked at through it: nobody else can put
//! a file there.

use crate::launch::cgroup::Group;
use crate::launch::leftover::{self, Leftover};
use crate::launch::stat;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// The ending of a file.
const ENDING: &str = ".json";
/// More than any entry has.
const LARGEST: u64 = 64 << 10;
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
    folder: File,
}

/// A sandbox's own entry, as long as it runs.
#[derive(Debug)]
pub(crate) struct Held {
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
    pub(crate) fn open(folder: &str, uid: u32, make: bool) -> Result<Registry, Refused> {
        if make {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let dir = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(folder)?;
        let meta = dir.metadata()?;
        if meta.uid() != uid || meta.mode() & 0o077 != 0 {
            return Err(Refused::Foreign);
        }
        Ok(Registry { folder: dir })
    }

    /// A name in the directory that is open, wherever its path may lead by now.
    fn at(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()).into()
    }

    /// Enters a sandbox. Its file is whole, and locked, before it has its name.
    pub(crate) fn enter(self, name: &str, entry: &Entry) -> Result<Held, Refused> {
        self.sweep();
        let draft = self.at(&format!(".{}", std::process::id()));
        drop(std::fs::remove_file(&draft));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let entered = self.publish(&mut file, &draft, name, entry);
        drop(std::fs::remove_file(&draft));
        entered?;
        Ok(Held { registry: self, name: name.to_owned(), _lock: file })
    }

    fn publish(
        &self,
        file: &mut File,
        draft: &PathBuf,
        name: &str,
        entry: &Entry,
    ) -> Result<(), Refused> {
        file.try_lock().map_err(io::Error::from)?;
        file.write_all(&serde_json::to_vec(entry).map_err(io::Error::from)?)?;
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

    /// The sandbox of that name, if it runs. What a dead one left goes.
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
                // It is this file that goes, not one that has taken its name meanwhile: who would
                // give it away needs the lock.
                let same = std::fs::symlink_metadata(&path)
                    .is_ok_and(|now| file.metadata().is_ok_and(|ours| now.ino() == ours.ino()));
                if same {
                    let mut text = vec![];
                    (&mut file).take(LARGEST).read_to_end(&mut text)?;
                    if let Ok(entry) = serde_json::from_slice::<Entry>(&text) {
                        leftover::sweep(entry.left().cloned());
                    }
                    std::fs::remove_file(&path)?;
                }
                return Ok(None);
            }
        }
        let mut text = vec![];
        (&mut file).take(LARGEST).read_to_end(&mut text)?;
        let entry: Entry = serde_json::from_slice(&text)?;
        // The lock may be that of another reader who is about to take the file away.
        let lives = matches!(stat::of(entry.launcher as u64), Ok(Some(process)) if !process.ended && process.began <= entry.begun);
        if !lives {
            return Ok(None);
        }
        Ok(Some(Live { name: name.to_owned(), entry, file }))
    }

    /// All that run, by name. What cannot be read is none.
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

impl Held {
    /// Takes the name back.
    pub(crate) fn leave(self) {
        drop(std::fs::remove_file(self.registry.at(&format!("{}{ENDING}", self.name))));
    }
}

impl Live {
    /// Whether its launcher still lives: then its number, and that of its pid 1, are still theirs.
    pub(crate) fn still_lives(&self) -> bool {
        matches!(self.file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}
