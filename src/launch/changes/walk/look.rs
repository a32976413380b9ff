//! What a name is, in the upper and in the layers.

use super::names::Name;
use super::{DIRECTORY, Dir, FILE, Result, UNSEEN, Walk, open_lower};
use crate::launch::changes::attributes::attributes;
use crate::launch::changes::{Kind, State, Stop};
use crate::sys::{self, Errno, Looked};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// Something in the upper.
pub(super) struct Seen {
    pub looked: Looked,
    /// The open file or directory, or -1.
    pub fd: RawFd,
    pub is_opaque: bool,
    /// Whether it is a copy of something in the layers.
    pub is_copy: bool,
    pub is_unread: bool,
}

/// What the attributes of an open file say.
#[derive(Default)]
pub(super) struct Marks {
    pub is_opaque: bool,
    pub is_copy: bool,
    /// The name of one that is another engine's.
    pub foreign: Option<Vec<u8>>,
}

/// Something in the layers.
#[derive(Default)]
pub(super) struct Low {
    pub looked: Option<Looked>,
    /// The directory of the highest layer that has it.
    pub dir: RawFd,
    /// The directories that are merged.
    pub merged: Vec<Dir>,
    /// Whether one of them cannot be listed.
    pub is_closed: bool,
}

impl Walk<'_> {
    /// What a name in a directory is, with the text of a link.
    pub(super) fn state(&mut self, dir: RawFd, name: &Name, looked: &Looked) -> Result<State> {
        let mut state = State::of(looked);
        if state.kind == Kind::Link {
            let length = match sys::read_link_at(dir, name.get(), &mut self.buffer) {
                Err(Errno(libc::EINVAL | libc::ENOENT)) => return Err(Stop::Moved),
                other => other?,
            };
            state.target = self.buffer.get(..length).unwrap_or_default().to_vec();
        }
        Ok(state)
    }

    /// Looks at a name of the upper, and opens it where it is a regular file or a directory.
    pub(super) fn seen(&mut self, name: &Name, kind: u8) -> Result<Option<Seen>> {
        let Some(frame) = self.frames.last() else { return Ok(None) };
        let (dir, mount) = (frame.upper.fd, frame.upper.mount);
        let mut kind = u32::from(kind) << 12;
        let mut looked = None;
        if ![libc::S_IFREG, libc::S_IFDIR].contains(&kind) {
            match sys::look(dir, name.get()) {
                Err(Errno(libc::ENOENT)) => return Ok(None),
                other => looked = Some(other?),
            }
            kind = looked.map_or(0, |looked| looked.mode & libc::S_IFMT);
        }
        let opened = match kind {
            libc::S_IFREG => open_file(dir, name.get()),
            libc::S_IFDIR => sys::openat(dir, name.get(), DIRECTORY, 0),
            _ => Ok(-1),
        };
        let (fd, is_unread) = match opened {
            Ok(fd) => (fd, false),
            Err(Errno(libc::ENOENT)) => return Ok(None),
            // It became another kind of file meanwhile.
            Err(Errno(libc::ELOOP | libc::ENOTDIR | libc::ENXIO)) => return Err(Stop::Moved),
            // A file or directory of another of the sandbox's ids.
            Err(Errno(libc::EACCES | libc::EPERM)) => (-1, true),
            Err(errno) => return Err(errno.into()),
        };
        let looked = match looked {
            Some(looked) if fd < 0 => looked,
            _ if fd < 0 => sys::look(dir, name.get())?,
            _ => sys::look(fd, c"")?,
        };
        let checked = if looked.mode & libc::S_IFMT != kind {
            Err(Stop::Moved)
        } else if looked.mount != mount {
            Err(Stop::Errno(libc::EXDEV))
        } else if fd >= 0 {
            match self.marks(fd) {
                Ok(Marks { foreign: Some(foreign), .. }) => Err(Stop::Foreign(foreign)),
                other => other,
            }
        } else {
            Ok(Marks::default())
        };
        if checked.is_err() && fd >= 0 {
            sys::close(fd)?;
        }
        let Marks { is_opaque, is_copy, .. } = checked?;
        Ok(Some(Seen { looked, fd, is_opaque, is_copy, is_unread }))
    }

    /// Reads the attributes of an open file.
    pub(super) fn marks(&mut self, fd: RawFd) -> Result<Marks> {
        let length = match sys::attribute_names(fd, &mut self.buffer) {
            Err(Errno(libc::ENOTSUP)) => 0,
            other => other?,
        };
        let names = self.buffer.get(..length).unwrap_or_default();
        let read = attributes(names);
        let foreign = read.foreign.map(<[u8]>::to_vec);
        let mut marks = Marks { is_opaque: false, is_copy: read.is_copy, foreign };
        if read.has_opaque {
            let mut value = [0; 2];
            let length = sys::attribute_of(fd, c"user.overlay.opaque", &mut value);
            marks.is_opaque = length == Ok(1) && value[0] == b'y';
            if !marks.is_opaque {
                marks.foreign.get_or_insert_with(|| b"user.overlay.opaque".to_vec());
            }
        }
        Ok(marks)
    }

    /// Looks a name up in the layers, as overlayfs does: the highest that has it decides, and
    /// directories of the same name are merged.
    pub(super) fn low(&mut self, name: &Name) -> Result<Low> {
        let mut low = Low { dir: -1, ..Low::default() };
        let mut place = 0;
        while let Some(dir) = self.frames.last().and_then(|frame| frame.lowers.get(place)) {
            let (fd, mount) = (dir.fd, dir.mount);
            place += 1;
            let looked = match sys::look(fd, name.get()) {
                // What the caller may not search, the target saw nothing of.
                Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::EACCES)) => continue,
                other => other?,
            };
            if is_whiteout(&looked) {
                break;
            }
            let is_directory = is(libc::S_IFDIR, &looked);
            if low.looked.is_none() {
                low.looked = Some(looked);
                low.dir = fd;
            } else if !is_directory {
                break;
            }
            // What is mounted in a layer is not in the merged tree.
            if !is_directory || looked.mount != mount {
                break;
            }
            let fd = match open_lower(fd, name) {
                Err(Errno(libc::EACCES)) => break,
                other => other?,
            };
            let from = place - 1;
            low.merged.push(Dir { fd, inode: looked.inode, mount, from });
            match self.marks(fd) {
                Ok(Marks { is_opaque: true, .. }) => break,
                Ok(_) => {}
                // Of one that cannot be listed its attributes are not seen either.
                Err(Stop::Errno(libc::EBADF)) => low.is_closed = true,
                Err(stop) => return Err(stop),
            }
        }
        Ok(low)
    }
}

pub(super) fn is(kind: u32, looked: &Looked) -> bool {
    looked.mode & libc::S_IFMT == kind
}

pub(super) fn is_whiteout(looked: &Looked) -> bool {
    is(libc::S_IFCHR, looked) && looked.node == (0, 0)
}

pub(super) fn close_all(dirs: &[Dir]) -> sys::Result {
    dirs.iter().try_for_each(|dir| sys::close(dir.fd))
}

/// Opens what was a regular file a moment ago.
pub(super) fn open_file(dir: RawFd, name: &CStr) -> sys::Result<RawFd> {
    match sys::openat(dir, name, UNSEEN, 0) {
        Err(Errno(libc::EPERM)) => sys::openat(dir, name, FILE, 0),
        other => other,
    }
}
