//! The walk through an upper and the layers below it. It runs in the process that reads.
//!
//! A directory is a frame: its descriptors in the upper and in the layers that are merged there, and
//! the names in it. Frames are a list, not calls, so depth costs no stack; but for the last of
//! them their descriptors are closed, and opened again from the top on the way back, where the
//! kernel's numbers of the directories say whether they are the same ones. Every name is opened by
//! itself below a descriptor (openat(2) with O_NOFOLLOW), so neither links nor PATH_MAX matter.

mod compare;
mod contents;
mod look;
mod names;
#[cfg(test)]
mod tests;

use super::{Change, Contents, State, Stop, Stopped, What};
use crate::sys::{self, Errno, Looked};
use look::{Seen, is};
use names::{Entry, Name, Names, cost};
use std::os::fd::RawFd;

/// The longest path that is read: 4,000 names of 255 bytes.
pub(super) const LONGEST: usize = 1 << 20;
/// How many bytes the names of all open directories may have.
const MOST_NAMES: usize = 64 << 20;
/// How many descriptors are open at a time, about. Landlock looks at each directory above one that
/// is opened, so to open one of thousands of levels again costs as much as that.
pub(super) const MOST_OPEN: usize = 8192;
/// How a directory is opened.
pub(super) const DIRECTORY: i32 =
    libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// How one of the layers is that the caller may search, and not list.
pub(super) const WAY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
/// How a file is. One that became a FIFO meanwhile does not keep the reader waiting.
pub(super) const FILE: i32 =
    libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
/// The same without a trace in the file's times, where it is the caller's.
pub(super) const UNSEEN: i32 = FILE | libc::O_NOATIME;

/// How much of a file is read at a time.
pub(super) const PIECE: usize = 64 << 10;

/// Who gets what is found.
pub(super) trait Sink {
    fn change(&mut self, change: &Change) -> sys::Result;
    /// Bytes of the file of the last change: of what was before, or of what is there now.
    fn data(&mut self, before: bool, offset: u64, bytes: &[u8]) -> sys::Result;
    /// All of that file were given.
    fn end(&mut self, before: bool) -> sys::Result;
}

/// An open directory; its descriptor is -1 while it is closed.
#[derive(Debug)]
struct Dir {
    fd: RawFd,
    inode: (u64, u64),
    mount: u64,
    /// Which of the directories of the frame above it lies in.
    from: usize,
}

/// Opens a directory of a layer. What the caller may not list, a target that is the caller could pass as
/// well: what is there at a name is looked up.
fn open_lower(above: RawFd, name: &Name) -> sys::Result<RawFd> {
    match sys::openat(above, name.get(), DIRECTORY, 0) {
        Err(Errno(libc::EACCES)) => sys::openat(above, name.get(), WAY, 0),
        opened => opened,
    }
}

struct Frame {
    /// How long the path of the directory is.
    end: usize,
    upper: Dir,
    /// The highest first.
    lowers: Vec<Dir>,
    /// Whether nothing of the layers shows in it.
    is_opaque: bool,
    names: Names,
    next: usize,
}

pub(super) struct Walk<'s> {
    frames: Vec<Frame>,
    path: Vec<u8>,
    /// How many bytes the names of all frames have.
    held: usize,
    window: usize,
    contents: Contents,
    /// Owner and group of the highest layer's top, and of the upper's, where root reads: on its disk
    /// an upper has the ids that are inside, and there the first stands for the second, and the
    /// second for the first.
    stands_for: Option<[(u32, u32); 2]>,
    /// For the records of a directory, attributes and pieces of files.
    buffer: Vec<u8>,
    other: Vec<u8>,
    sink: &'s mut dyn Sink,
}

type Result<T = ()> = std::result::Result<T, Stop>;

impl From<Errno> for Stop {
    fn from(Errno(errno): Errno) -> Stop {
        Stop::Errno(errno)
    }
}

/// What the process that walks has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// How many descriptors may be open at a time, about.
    pub open: usize,
    /// Whether root reads, and is not only called so.
    pub is_root: bool,
}

/// Reads an upper against its layers, the lowest first. The descriptors stay open.
pub(super) fn walk(
    upper: RawFd,
    layers: &[RawFd],
    contents: Contents,
    most: Most,
    sink: &mut dyn Sink,
) -> std::result::Result<(), Stopped> {
    let mut walk = Walk {
        frames: vec![],
        path: vec![],
        held: 0,
        window: (most.open / (layers.len() + 1)).max(2),
        contents,
        stands_for: None,
        buffer: vec![0; PIECE],
        other: vec![0; PIECE],
        sink,
    };
    walk.all(upper, layers, most.is_root)
        .map_err(|stop| Stopped { stop, path: std::mem::take(&mut walk.path) })
}

impl Walk<'_> {
    fn all(&mut self, upper: RawFd, layers: &[RawFd], is_root: bool) -> Result {
        let top = |fd: RawFd| {
            let looked = sys::look(fd, c"")?;
            let dir = Dir { fd, inode: looked.inode, mount: looked.mount, from: 0 };
            sys::Result::Ok((dir, looked))
        };
        let (dir, looked) = top(upper)?;
        if let Some(foreign) = self.marks(upper)?.foreign {
            return Err(Stop::Foreign(foreign));
        }
        let mut lowers = vec![];
        let mut highest = None;
        for fd in layers.iter().rev() {
            let (dir, looked) = top(*fd)?;
            highest = highest.or(Some(looked));
            lowers.push(dir);
        }
        if is_root {
            let ids = |looked: &Looked| (looked.owner, looked.group);
            self.stands_for = highest.as_ref().map(|highest| [ids(highest), ids(&looked)]);
        }
        if let Some(before) = highest {
            let (before, after) = (self.inside(State::of(&before)), State::of(&looked));
            if !after.has_rights_of(&before) {
                self.give(What::Rights, Some(before), Some(after), None)?;
            }
        }
        self.push(dir, lowers, false)?;
        while let Some(frame) = self.frames.last_mut() {
            let Some(entry) = frame.names.entries.get(frame.next).copied() else {
                self.pop()?;
                continue;
            };
            frame.next += 1;
            let name = Name::new(frame.names.of(entry));
            let end = self.path.len();
            if end > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.get().to_bytes());
            if self.path.len() > LONGEST {
                return Err(Stop::TooLong);
            }
            let depth = self.frames.len();
            self.entry(&name, entry)?;
            if self.frames.len() == depth {
                self.path.truncate(end);
            }
        }
        Ok(())
    }

    /// Goes into a directory, whose path is the present one.
    fn push(&mut self, upper: Dir, lowers: Vec<Dir>, is_opaque: bool) -> Result {
        let mut names = Names::default();
        self.list(upper.fd, false, &mut names)?;
        names.sort();
        if is_opaque {
            let above = names.entries.len();
            for lower in &lowers {
                let mut more = Names::default();
                self.list(lower.fd, true, &mut more)?;
                for entry in &more.entries {
                    let name = more.of(*entry);
                    let known =
                        names.entries[..above].binary_search_by(|known| names.of(*known).cmp(name));
                    if known.is_err() {
                        names.add(name, entry.kind, true);
                    }
                }
            }
            // Of several layers.
            names.sort();
        }
        self.held += cost(&names);
        if self.held > MOST_NAMES {
            return Err(Stop::TooMany);
        }
        self.frames.push(Frame { end: self.path.len(), upper, lowers, is_opaque, names, next: 0 });
        // The top's descriptors are not ours.
        if let Some(old) = self.frames.len().checked_sub(self.window + 1).filter(|old| *old > 0) {
            self.shut(old)?;
        }
        Ok(())
    }

    /// Closes the descriptors of a frame.
    fn shut(&mut self, place: usize) -> Result {
        let Some(frame) = self.frames.get_mut(place) else { return Ok(()) };
        for dir in std::iter::once(&mut frame.upper).chain(&mut frame.lowers) {
            if dir.fd >= 0 {
                sys::close(std::mem::replace(&mut dir.fd, -1))?;
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Result {
        if self.frames.len() > 1 {
            self.shut(self.frames.len() - 1)?;
        }
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.held -= cost(&frame.names);
        let Some(above) = self.frames.last() else { return Ok(()) };
        let is_shut = above.upper.fd < 0;
        self.path.truncate(above.end);
        if is_shut { self.open_again() } else { Ok(()) }
    }

    /// Opens the last frames again, from the top on.
    fn open_again(&mut self) -> Result {
        let count = self.frames.len();
        let first = count.saturating_sub(self.window).max(1);
        for place in 1..count {
            let (above, rest) = self.frames.split_at_mut(place);
            let (Some(above), Some(frame)) = (above.last(), rest.first_mut()) else { break };
            let begin = if above.end == 0 { 0 } else { above.end + 1 };
            let name = Name::new(self.path.get(begin..frame.end).unwrap_or_default());
            for (dir, is_lower) in std::iter::once((&mut frame.upper, false))
                .chain(frame.lowers.iter_mut().map(|dir| (dir, true)))
            {
                let parent = match is_lower {
                    false => above.upper.fd,
                    true => above.lowers.get(dir.from).map_or(-1, |lower| lower.fd),
                };
                let moved = |Errno(errno)| match errno {
                    libc::ENOENT | libc::ENOTDIR | libc::ELOOP => Stop::Moved,
                    errno => Stop::Errno(errno),
                };
                if dir.fd < 0 {
                    let opened = match is_lower {
                        false => sys::openat(parent, name.get(), DIRECTORY, 0),
                        true => open_lower(parent, &name),
                    };
                    dir.fd = opened.map_err(moved)?;
                }
                if sys::look(dir.fd, c"")?.inode != dir.inode {
                    return Err(Stop::Moved);
                }
            }
            if place - 1 > 0 && place - 1 < first {
                self.shut(place - 1)?;
            }
        }
        Ok(())
    }

    /// Gives one change at the present path.
    fn give(
        &mut self,
        what: What,
        before: Option<State>,
        after: Option<State>,
        seen: Option<&Seen>,
    ) -> Result {
        let path = std::mem::take(&mut self.path);
        let (unread, is_copy) = seen.map_or((false, false), |seen| (seen.is_unread, seen.is_copy));
        let change = Change { path, what, before, after, unread, is_copy };
        let given = self.sink.change(&change);
        self.path = change.path;
        Ok(given?)
    }

    /// One name.
    fn entry(&mut self, name: &Name, entry: Entry) -> Result {
        let seen = if entry.is_below_alone { None } else { self.seen(name, entry.kind)? };
        let fd = seen.as_ref().map_or(-1, |seen| seen.fd);
        let is_directory = seen.as_ref().is_some_and(|seen| is(libc::S_IFDIR, &seen.looked));
        let compared = self.compare(name, entry.is_below_alone, seen);
        // A directory that is gone into is the frame's.
        if fd >= 0 && !(is_directory && compared == Ok(true)) {
            sys::close(fd)?;
        }
        compared.map(drop)
    }
}
