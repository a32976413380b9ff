//! The files that a command writes: a report, or a new profile, where the user names a place.
//! Nothing else outside of [`mod@crate::launch`] writes anything (`tests/house/acts.rs`).
//!
//! A report may lie in a directory that targets can write to, of this run or an earlier one: what
//! they put under its name is never followed, and what they write into it does not stay.

use crate::sys::Errno;
use crate::text::bytes;
use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many names are tried while the name is taken.
const TRIES: u32 = 16;

pub(super) enum Place {
    /// To what is open, after what is in it.
    Open(File),
    /// Into this file, in the place of what is in it: in its directory nothing can be made, or
    /// removed.
    Whole(File),
    /// Under this name in this directory, in the place of whatever is there by the end.
    In { directory: File, name: OsString },
}

impl Place {
    /// Finds it before the target runs, and keeps it away from the standard streams: where one is
    /// closed, the target is given /dev/null in its place, not nothing once this closes on exec.
    pub(super) fn find(path: &Path) -> io::Result<Place> {
        Ok(match Place::look(path)? {
            Place::Open(file) => Place::Open(apart(file)?),
            Place::Whole(file) => Place::Whole(apart(file)?),
            Place::In { directory, name } => Place::In { directory: apart(directory)?, name },
        })
    }

    /// Standard output, which the caller may not be able to open by a name.
    pub(super) fn output() -> io::Result<Place> {
        Ok(Place::Open(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    /// Two kinds of link are followed: those that name what is open (`/dev/stderr`, `/dev/fd/3`,
    /// `/proc/self/fd/3`), and those that lie in `/` and `/var` themselves (`/var/run`), which no
    /// target is granted for writing. Not all below `/dev`: `/dev/shm` is everybody's.
    fn look(path: &Path) -> io::Result<Place> {
        let open = |flags: i32, path: &Path| {
            OpenOptions::new().write(true).custom_flags(flags | libc::O_NOCTTY).open(path)
        };
        if names_what_is_open(path) {
            return open(libc::O_APPEND, path).map(Place::Open);
        }
        let name = path.file_name().ok_or(io::Error::from_raw_os_error(libc::EISDIR))?.to_owned();
        let parent =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = open_directory(parent)?;
        let file = at(&directory, &name);
        let there = match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let foreign = there
            .as_ref()
            .is_some_and(|meta| ![0, nix::unistd::geteuid().as_raw()].contains(&meta.uid()));
        let there = there.map(|meta| meta.file_type());
        let may_make = nix::unistd::access(
            &at(&directory, "."),
            nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK,
        );
        match (there, may_make) {
            (None, Err(errno)) => Err(errno.into()),
            (Some(kind), Err(_)) if kind.is_file() => {
                open(libc::O_NOFOLLOW, &file).map(Place::Whole)
            }
            (None, Ok(())) => Ok(Place::In { directory, name }),
            (Some(kind), Ok(())) if kind.is_file() => Ok(Place::In { directory, name }),
            // Its owner could have the launcher wait for a reader.
            (Some(kind), _) if kind.is_fifo() && foreign => {
                Err(io::Error::other("it is a FIFO of another user's"))
            }
            (Some(kind), _) if kind.is_fifo() => open(libc::O_NOFOLLOW, &file).map(Place::Open),
            (Some(kind), _) if kind.is_char_device() && path.starts_with("/dev") => {
                open(libc::O_NOFOLLOW, &file).map(Place::Open)
            }
            (Some(kind), _) if kind.is_symlink() => Err(io::Error::other(
                "it is a symbolic link, which is not followed: name what it points at",
            )),
            (Some(kind), _) if kind.is_dir() => Err(io::Error::from_raw_os_error(libc::EISDIR)),
            (Some(_), _) => Err(io::Error::other("it is no regular file")),
        }
    }

    /// Writes the text there, and nothing else is in it.
    pub(super) fn put(self, text: &[u8]) -> io::Result<()> {
        self.fill(|out| out.write_all(text))
    }

    /// The same with what is written bit by bit: where that fails, the name has what it had.
    pub(super) fn fill(
        self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Place::Open(mut file) => write(&mut file),
            Place::Whole(mut file) => {
                file.set_len(0)?;
                write(&mut file)
            }
            Place::In { directory, name } => {
                let (draft, mut file) = draft(&directory, &name)?;
                let written =
                    write(&mut file).and_then(|()| fs::rename(&draft, at(&directory, &name)));
                if written.is_err() {
                    drop(fs::remove_file(&draft));
                }
                written
            }
        }
    }
}

/// Makes a directory that others may read, and those above it.
pub(super) fn make_directory(directory: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(bytes::path(directory))
}

/// Writes a file that was not there. One that others can write would be refused as a profile,
/// whatever the umask.
pub(super) fn write_new(file: &str, text: &str) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(bytes::path(file));
    made.and_then(|mut file| file.write_all(text.as_bytes()))
}

/// The file under a number that no standard stream has.
fn apart(file: File) -> io::Result<File> {
    if file.as_raw_fd() > 2 {
        return Ok(file);
    }
    let copy = crate::sys::dup_above(file.as_raw_fd(), 3);
    copy.map(|fd| File::from(crate::sys::owned(fd)))
        .map_err(|Errno(errno)| io::Error::from_raw_os_error(errno))
}

/// Whether a path is one of those by which a process names what it has open (fd(4), tty(4)). `/dev`
/// itself is root's alone.
fn names_what_is_open(path: &Path) -> bool {
    let known = ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty"];
    let number = |directory: &str| {
        path.strip_prefix(directory)
            .is_ok_and(|rest| rest.to_str().is_some_and(|rest| rest.parse::<u32>().is_ok()))
    };
    known.iter().any(|name| path == Path::new(name)) || number("/dev/fd") || number("/proc/self/fd")
}

/// The directory. Links are followed only in the first components, such as `/var/run`, where only
/// root can make them.
fn open_directory(path: &Path) -> io::Result<File> {
    let parts = if path.starts_with("/var") { 3 } else { 2 };
    let first: PathBuf = path.components().take(parts).collect();
    let path = if path.is_absolute() {
        fs::canonicalize(&first)?.join(path.strip_prefix(&first).unwrap_or(Path::new("")))
    } else {
        path.to_owned()
    };
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    match crate::sys::open_without_links(&name, libc::O_PATH | libc::O_DIRECTORY) {
        Ok(fd) => Ok(File::from(crate::sys::owned(fd))),
        Err(Errno(libc::ELOOP)) => Err(io::Error::other(
            "a directory on the way is a symbolic link, which is not followed: name the real path",
        )),
        Err(Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// A name in the directory that is open, wherever its path may lead by now.
fn at(directory: &File, name: impl AsRef<Path>) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name)
}

/// A new file beside the name.
fn draft(directory: &File, name: &OsString) -> io::Result<(PathBuf, File)> {
    for more in 0..TRIES {
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(format!(".{}-{more}", std::process::id()));
        let draft = at(directory, draft);
        match OpenOptions::new().write(true).create_new(true).open(&draft) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return Ok((draft, other?)),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EEXIST))
}
