//! Reads what a variable or a file is to hold: from the profile, a descriptor, or a file of the
//! host. It is done before the clone.

use super::Failure;
use crate::host::trail::Trail;
use crate::language::value::literal;
use crate::probe::trail;
use crate::step::Content;
use crate::sys::{self, Errno};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
use crate::tree::walk::Last;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

/// A text from a descriptor or file: at most this much.
const TEXT_LIMIT: u64 = 16 << 20;

/// All of a content; the line is that which asks for it.
pub(super) fn read(content: &Content, at: Span) -> Result<Vec<u8>, Failure> {
    let file = match content {
        Content::Text(text) | Content::Secret(text) => return Ok(text.clone()),
        Content::Withheld => {
            return Err(refuse(content, "the plan was kept without it", at).into());
        }
        Content::File(path) => {
            open(path.text()).map_err(|(why, help)| refuse(content, &why, at).help_maybe(help))?
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
    let mut text = vec![];
    match file.take(TEXT_LIMIT + 1).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > TEXT_LIMIT => {
            Err(refuse(content, "it is larger than 16 MiB", at).into())
        }
        Ok(_) => Ok(text),
        Err(error) => {
            let reason = error.raw_os_error().map_or_else(|| error.to_string(), errno_words);
            Err(refuse(content, &reason, at).into())
        }
    }
}

fn refuse(content: &Content, why: &str, at: Span) -> Problem {
    Problem::new("launch::content", at, format!("cannot read {content}: {why}"))
}

/// Why a file is not read, and what to do.
type Why = (String, Option<String>);

/// Opens a regular file of the host by the rule of binds: its last name is no link, and a link on
/// the way is root's. Otherwise an earlier target that could write there would choose which file of
/// the caller's the next target is given.
fn open(path: &str) -> Result<File, Why> {
    let plain = |errno: i32| (errno_words(errno), None);
    let (found, Trail { links, .. }) =
        trail::open(path, Last::Kept).map_err(|trail| plain(trail.errno.unwrap_or(libc::EIO)))?;
    let real = || {
        let whole = trail::walk(path, Last::Followed);
        whole.errno.is_none().then(|| {
            format!("name the file that it leads to now: {{ file = {} }}", literal(&whole.end))
        })
    };
    if let Some(link) = links.iter().find(|link| link.owner != 0) {
        return Err((
            format!("{} on the way is a symbolic link that is not root's", link.place),
            real(),
        ));
    }
    let kind =
        sys::describe(found.as_raw_fd()).map_err(|Errno(errno)| plain(errno))?.mode & libc::S_IFMT;
    let fifo = "read it by a descriptor: open it in the shell with 9<PATH, and write { fd = 9 }";
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
    // By the descriptor: the file that is read is the one that was looked at (proc_pid_fd(5)).
    let again = crate::kernel::name::Name::new(&format!("/proc/self/fd/{}", found.as_raw_fd()));
    let opened = sys::openat(
        libc::AT_FDCWD,
        again.as_c_str(),
        libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY,
        0,
    );
    opened.map(|fd| File::from(sys::owned(fd))).map_err(|Errno(errno)| plain(errno))
}
