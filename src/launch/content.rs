//! Reads what a variable or a file is to hold: from the profile, a descriptor, or a file of the
//! host. It is done before the clone.

use super::Failure;
use crate::host::trail::Trail;
use crate::kernel::name::{Inode, Name};
use crate::language::value::literal;
use crate::probe::trail;
use crate::step::{COPY_LIMIT, Content};
use crate::sys::{self, Errno};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
use crate::tree::walk::Last;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

/// A text from a descriptor or file: at most this much.
const TEXT_LIMIT: u64 = 16 << 20;

/// All of a content; the line is that which asks for it.
pub(super) fn read(content: &Content, at: Span) -> Result<Vec<u8>, Failure> {
    let file = match content {
        Content::Text(text) | Content::OfHost(text) | Content::Secret(text) => {
            return Ok(text.clone());
        }
        Content::Withheld => {
            return Err(refuse(content, "the plan was kept without it", at).into());
        }
        Content::File(path) => open(path.text(), BY_DESCRIPTOR)
            .map_err(|(why, help)| refuse(content, &why, at).help_maybe(help))?,
        Content::Copy(path, inode) => {
            return copy(path, *inode)
                .map_err(|(why, help)| refuse(content, &why, at).help_maybe(help).into());
        }
        Content::Fd(fd) => {
            // A copy is read, so that the caller's own descriptor is closed at exec like any other.
            let copy = i32::try_from(*fd)
                .map_err(|_| Errno(libc::EBADF))
                .and_then(|fd| sys::dup_above(fd, 3));
            File::from(sys::owned(
                copy.map_err(|Errno(errno)| refuse(content, &errno_words(errno), at))?,
            ))
        }
    };
    match all_of(file, TEXT_LIMIT) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(refuse(content, "it is larger than 16 MiB", at).into()),
        Err(why) => Err(refuse(content, &why, at).into()),
    }
}

/// The content of a file; `None` if it is longer.
fn all_of(file: File, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let mut text = vec![];
    match file.take(limit + 1).read_to_end(&mut text) {
        Ok(_) => Ok((text.len() as u64 <= limit).then_some(text)),
        Err(error) => Err(error.raw_os_error().map_or_else(|| error.to_string(), errno_words)),
    }
}

/// The content of the file that the plan was made with. A component that has become a link since is
/// not followed, and another file in its place is not read.
fn copy(path: &Name, inode: Inode) -> Result<Vec<u8>, Why> {
    let plain = |Errno(errno): Errno| (errno_words(errno), None);
    let found = sys::open_without_links(path.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW)
        .map(sys::owned)
        .map_err(plain)?;
    let described = sys::describe(found.as_raw_fd()).map_err(plain)?;
    if described.inode != (inode.dev, inode.ino) || described.mode & libc::S_IFMT != libc::S_IFREG {
        return Err(("another file took its place during the start".into(), None));
    }
    match all_of(open_found(&found, libc::O_RDONLY)?, COPY_LIMIT).map_err(|why| (why, None))? {
        Some(text) => Ok(text),
        None => Err(("a copy holds 1 MiB, and it is larger".into(), None)),
    }
}

fn refuse(content: &Content, why: &str, at: Span) -> Problem {
    let what = match content {
        Content::Copy(path, _) => format!("copy {path}"),
        Content::Text(_) | Content::OfHost(_) => format!("read {content}"),
        Content::Secret(_) | Content::Withheld => format!("read {content}"),
        Content::Fd(_) | Content::File(_) => format!("read {content}"),
    };
    Problem::new("launch::content", at, format!("cannot {what}: {why}"))
}

/// Why a file is not opened, and what to do.
pub(super) type Why = (String, Option<String>);

const BY_DESCRIPTOR: &str =
    "read it by a descriptor: open it in the shell with 9<PATH, and write { fd = 9 }";

/// What an errno says of a file.
pub(super) fn plain(errno: i32) -> Why {
    (errno_words(errno), None)
}

/// Opens the end of a path by the rule of binds, for a look (O_PATH), with its place: every link on
/// the way is root's.
pub(super) fn walk(
    path: &str,
    last: Last,
    real: &dyn Fn() -> Option<String>,
) -> Result<(OwnedFd, String), Why> {
    let (found, Trail { links, end, .. }) =
        trail::open(path, last).map_err(|trail| plain(trail.errno.unwrap_or(libc::EIO)))?;
    match links.iter().find(|link| link.owner != 0) {
        Some(link) => {
            let why = format!("{} on the way is a symbolic link that is not root's", link.place);
            Err((why, real()))
        }
        None => Ok((found, end)),
    }
}

/// Opens what a descriptor of a look stands for: the file that is opened is the one that was looked
/// at (proc_pid_fd(5)).
pub(super) fn open_found(found: &OwnedFd, flags: i32) -> Result<File, Why> {
    let again = Name::new(&format!("/proc/self/fd/{}", found.as_raw_fd()));
    let how = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = sys::openat(libc::AT_FDCWD, again.as_c_str(), how, 0);
    opened.map(|fd| File::from(sys::owned(fd))).map_err(|Errno(errno)| plain(errno))
}

/// Opens a regular file of the host by the rule of binds: its last name is no link, and a link on
/// the way is root's. Otherwise an earlier target that could write there would choose which file of
/// the caller's the next target is given.
pub(super) fn open(path: &str, fifo: &str) -> Result<File, Why> {
    let real = || {
        let whole = trail::walk(path, Last::Followed);
        whole.errno.is_none().then(|| {
            format!("name the file that it leads to now: {{ file = {} }}", literal(&whole.end))
        })
    };
    let (found, _) = walk(path, Last::Kept, &real)?;
    let kind =
        sys::describe(found.as_raw_fd()).map_err(|Errno(errno)| plain(errno))?.mode & libc::S_IFMT;
    match kind {
        libc::S_IFREG => {}
        libc::S_IFLNK => return Err(("it is a symbolic link".into(), real())),
        libc::S_IFIFO => {
            return Err((
                "it is a FIFO, and its reader would wait for a writer".into(),
                Some(fifo.into()),
            ));
        }
        _ => return Err(("it is not a regular file".into(), None)),
    }
    open_found(&found, libc::O_RDONLY)
}
