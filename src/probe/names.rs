//! How the host looks names up: the files that a sandbox in its network gets copies of. They are
//! read through links, as /etc/resolv.conf is one on many machines.

use super::trail;
use crate::kernel::name::Name;
use crate::sys;
use crate::text::problem::errno_words;
use crate::tree::walk::Last;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

/// The largest file that is copied.
const LARGEST: u64 = 1 << 20;

/// The text of a file of the host, for a caller with this id; or why there is none.
///
/// What root reads, everybody may read: the target gets the text, and a link of another user, or a
/// second name in a directory of theirs, could lead to a file of root's alone. A link may lead to
/// a file of its own owner's, as systemd-resolved's do.
pub(super) fn read(path: &str, uid: u32) -> Result<Vec<u8>, String> {
    let words = |errno| match errno {
        libc::ENOENT if std::fs::symlink_metadata(path).is_ok() => {
            format!("{path} is a link to what is not there")
        }
        libc::ENOENT => format!("there is no {path}"),
        errno => format!("cannot read {path}: {}", errno_words(errno)),
    };
    let refuse = |why: &str| Err(format!("{path} is not copied: {why}"));
    let (end, trail) = trail::open(path, Last::Followed)
        .map_err(|stopped| words(stopped.errno.unwrap_or(libc::EIO)))?;
    let found = sys::describe(end.as_raw_fd()).map_err(|errno| words(errno.0))?;
    if found.mode & libc::S_IFMT != libc::S_IFREG {
        return refuse("it is not a regular file");
    }
    if uid == 0 && found.mode & 0o004 == 0 {
        return refuse("not everybody may read it");
    }
    let foreign = |link: &&crate::host::trail::Link| link.owner != 0 && link.owner != found.owner;
    if let Some(link) = trail.links.iter().find(foreign).filter(|_| uid == 0) {
        return refuse(&format!("{} is a link of user {}", link.place, link.owner));
    }
    let file = sys::open_without_links(
        Name::new(&trail.end).as_c_str(),
        libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let file = file.map(sys::owned).map_err(|errno| words(errno.0))?;
    let opened = sys::describe(file.as_raw_fd()).map_err(|errno| words(errno.0))?;
    if opened.inode != found.inode {
        return refuse("it was replaced meanwhile");
    }
    let mut text = vec![];
    let read = File::from(file).take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|error| words(error.raw_os_error().unwrap_or(libc::EIO)))?;
    if text.len() as u64 > LARGEST {
        return refuse("it is larger than 1 MiB");
    }
    Ok(text)
}
