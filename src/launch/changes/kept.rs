//! The directory of a kept upper, opened: whose it is, what it records, and who uses it.
//!
//! A target has what lies in `upper` and nothing beside it. All else here is the caller's own; a
//! directory that another user could have made or can change is refused.

use super::{Contents, Reader};
use crate::host::upper::{LARGEST, RECORD, UPPER, Upper};
use crate::launch::Top;
use crate::launch::states::{Taken, taken};
use crate::launch::uppers::open_upper;
use crate::sys::{self, Errno, Looked};
use crate::text::bytes;
use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

/// A kept upper.
#[derive(Debug)]
pub(crate) struct Kept {
    pub record: Upper,
    /// Its directory.
    pub(super) directory: File,
    pub(super) upper: File,
    /// The file of the record, whose lock is that of the whole.
    pub(super) file: File,
    /// Its one layer as a run had it, where it is that of a run and is thrown away: the files show
    /// the ids there that those of `upper` show.
    pub(super) lower: Option<File>,
}

/// Why a directory is none, or cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Errno(i32),
    /// It has no file that marks it as one.
    NotKept,
    /// It is not the caller's alone.
    NotOurs,
    /// What its file says is not what this version writes.
    Unreadable,
    /// A sandbox uses it, of the launcher with this number, as far as that is known.
    Held(Option<i32>),
    /// A layer of it cannot be opened.
    Layer(String, i32),
    /// Another directory than the tree that it was begun over is there.
    Another(String),
}

impl From<Errno> for Refused {
    fn from(Errno(errno): Errno) -> Refused {
        Refused::Errno(errno)
    }
}

/// The name of a path of the host.
pub(super) fn name(text: &str) -> Result<CString, Errno> {
    CString::new(&*bytes::bytes(text)).map_err(|_| Errno(libc::EINVAL))
}

fn file(fd: RawFd) -> File {
    File::from(sys::owned(fd))
}

/// Opens a directory that is the caller's alone.
fn own_directory(dir: RawFd, path: &CStr, flags: i32) -> Result<File, Refused> {
    let directory = file(sys::openat(dir, path, libc::O_RDONLY | libc::O_DIRECTORY | flags, 0)?);
    Ok(directory)
}

/// Whether two descriptors are of one directory.
pub(crate) fn is_same(one: &File, other: &File) -> Result<bool, Refused> {
    Ok(sys::look(one.as_raw_fd(), c"")?.inode == sys::look(other.as_raw_fd(), c"")?.inode)
}

fn is_own(looked: &Looked) -> bool {
    looked.owner == nix::unistd::geteuid().as_raw()
}

/// What the file of a record says.
fn record_in(mut file: &File) -> Result<Upper, Refused> {
    let mut text = vec![];
    file.rewind()
        .and_then(|()| file.take(LARGEST).read_to_end(&mut text))
        .map_err(|error| Refused::Errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Upper::parse(&text).ok_or(Refused::Unreadable)
}

impl Kept {
    pub(crate) fn open(path: &str) -> Result<Kept, Refused> {
        Kept::of(own_directory(libc::AT_FDCWD, &name(path)?, 0)?)
    }

    /// The same of one whose last name is no link.
    pub(crate) fn open_itself(path: &str) -> Result<Kept, Refused> {
        Kept::of(own_directory(libc::AT_FDCWD, &name(path)?, libc::O_NOFOLLOW)?)
    }

    /// The same of an open directory.
    pub(crate) fn of(directory: File) -> Result<Kept, Refused> {
        let fd = directory.as_raw_fd();
        let looked = sys::look(fd, c"")?;
        let mark = name(RECORD)?;
        match sys::look(fd, &mark) {
            Err(Errno(libc::ENOENT)) => return Err(Refused::NotKept),
            Ok(mark) if mark.mode & libc::S_IFMT != libc::S_IFREG => return Err(Refused::NotKept),
            other => other?,
        };
        if !is_own(&looked) || looked.mode & 0o077 != 0 {
            return Err(Refused::NotOurs);
        }
        let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = file(sys::openat(fd, &mark, flags, 0)?);
        let looked = sys::look(file.as_raw_fd(), c"")?;
        if !is_own(&looked) || looked.mode & 0o022 != 0 {
            return Err(Refused::NotOurs);
        }
        let record = record_in(&file)?;
        let upper = open_upper(fd, &name(UPPER)?)?;
        Ok(Kept { record, directory, upper, file, lower: None })
    }

    /// What a run leaves that is thrown away, with a new directory for the journal of an apply. That
    /// is made under its first name, and has the second once it is locked: others may end what has
    /// that name and no lock.
    pub(crate) fn of_run(top: &Top, [first, path]: [&str; 2]) -> Result<Kept, Refused> {
        let io = |error: io::Error| Refused::Errno(error.raw_os_error().unwrap_or(libc::EIO));
        let [layer] = &top.layers[..] else { return Err(Refused::Unreadable) };
        let made = bytes::path(first);
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder.create(made.parent().unwrap_or(&made)).map_err(io)?;
        builder.recursive(false).create(&made).map_err(io)?;
        // It has the form of a kept upper, so that what a kill leaves of it is found and ended.
        builder.create(made.join(UPPER)).map_err(io)?;
        let mut record = OpenOptions::new();
        record.write(true).create_new(true).mode(0o600);
        let mut file = record.open(made.join(RECORD)).map_err(io)?;
        file.write_all(top.record.line().as_bytes()).map_err(io)?;
        let mut kept = Kept::open_itself(first)?;
        kept.lock()?;
        std::fs::rename(&made, bytes::path(path)).map_err(io)?;
        let (upper, lower) = (top.upper.try_clone().map_err(io)?, layer.try_clone().map_err(io)?);
        Ok(Kept { upper, lower: Some(lower), ..kept })
    }

    /// Takes it for itself until its end. What the record says, a run may have written until now.
    pub(crate) fn lock(&mut self) -> Result<(), Refused> {
        match sys::lock(self.file.as_raw_fd()) {
            Err(Errno(libc::EWOULDBLOCK)) => return Err(Refused::Held(self.holder())),
            other => other?,
        }
        self.record = record_in(&self.file)?;
        Ok(())
    }

    /// Whether a sandbox uses it at this moment. Nobody finds it taken because of that for longer.
    pub(crate) fn held(&self) -> Result<(), Refused> {
        let fd = self.directory.as_raw_fd();
        let again = file(sys::openat(fd, &name(RECORD)?, libc::O_RDONLY | libc::O_NOFOLLOW, 0)?);
        match sys::lock(again.as_raw_fd()) {
            Err(Errno(libc::EWOULDBLOCK)) => Err(Refused::Held(self.holder())),
            other => Ok(other?),
        }
    }

    fn holder(&self) -> Option<i32> {
        Some(self.record.pid).filter(|pid| *pid > 0)
    }

    /// Its layers, the lowest first.
    pub(crate) fn layers(&self) -> Result<Vec<File>, Refused> {
        let open = |path: &String| {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let opened = name(path).and_then(|name| sys::openat(libc::AT_FDCWD, &name, flags, 0));
            opened.map(file).map_err(|Errno(errno)| Refused::Layer(path.clone(), errno))
        };
        self.record.layers.iter().map(open).collect()
    }

    /// The host's tree that it is of. The owner of a directory above that can put a link in its place,
    /// so none is followed.
    pub(crate) fn host_tree(&self) -> Result<File, Refused> {
        let [path] = &self.record.layers[..] else { return Err(Refused::Unreadable) };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let opened = name(path).and_then(|name| sys::open_without_links(&name, flags)).map(file);
        let opened = opened.map_err(|Errno(errno)| Refused::Layer(path.clone(), errno))?;
        let is_another = match &self.lower {
            Some(lower) => !is_same(&opened, lower)?,
            None => false,
        };
        let number = self.record.number;
        if is_another || number != 0 && sys::look(opened.as_raw_fd(), c"")?.inode.1 != number {
            return Err(Refused::Another(path.clone()));
        }
        Ok(opened)
    }

    /// How many files and directories are in it, how many bytes they have on disk, and whether that is all.
    pub(crate) fn taken(&self) -> (u64, u64, bool) {
        let Taken { names, bytes, is_whole } = taken(&self.upper);
        (names, bytes, is_whole)
    }

    /// Begins to read it.
    pub(crate) fn read(&self, layers: &[File], contents: Contents) -> Result<Reader, Refused> {
        let layers: Vec<RawFd> = layers.iter().map(File::as_raw_fd).collect();
        Ok(Reader::start(self.upper.as_raw_fd(), &layers, contents)?)
    }
}
