//! The walk through an upper and the layers below it. It runs in the process that reads.
//!
//! A directory is a frame: its descriptors in the upper and in the layers that are merged there, and
//! the names in it. Frames are a list, not calls, so depth costs no stack; but for the last of
//! them their descriptors are closed, and opened again from the top on the way back, where the
//! kernel's numbers of the directories say whether they are the same ones. Every name is opened by
//! itself below a descriptor (openat(2) with O_NOFOLLOW), so neither links nor PATH_MAX matter.

use super::attributes::attributes;
use super::{Change, Contents, Kind, State, Stop, Stopped, What};
use crate::sys::{self, Errno, Looked};
use std::ffi::CStr;
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

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u32,
    length: u16,
    kind: u8,
    is_below_alone: bool,
}

#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Names {
    fn of(&self, entry: Entry) -> &[u8] {
        let at = entry.at as usize;
        self.bytes.get(at..at + usize::from(entry.length)).unwrap_or_default()
    }

    fn sort(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let name = |entry: &Entry| {
            let at = entry.at as usize;
            bytes.get(at..at + usize::from(entry.length)).unwrap_or_default()
        };
        self.entries.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        self.bytes = bytes;
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

/// Something in the upper.
struct Seen {
    looked: Looked,
    /// The open file or directory, or -1.
    fd: RawFd,
    is_opaque: bool,
    is_unread: bool,
}

/// Something in the layers.
#[derive(Default)]
struct Low {
    looked: Option<Looked>,
    /// The directory of the highest layer that has it.
    dir: RawFd,
    /// The directories that are merged.
    merged: Vec<Dir>,
}

/// A name with the zero that calls want.
struct Name([u8; 256]);

impl Name {
    fn new(bytes: &[u8]) -> Name {
        let mut name = [0; 256];
        let length = bytes.len().min(255);
        name[..length].copy_from_slice(&bytes[..length]);
        Name(name)
    }

    fn get(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
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
    /// Whether root reads, and so root's sandbox wrote.
    is_root: bool,
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
        is_root: false,
        buffer: vec![0; PIECE],
        other: vec![0; PIECE],
        sink,
    };
    walk.all(upper, layers, most.is_root)
        .map_err(|stop| Stopped { stop, path: std::mem::take(&mut walk.path) })
}

impl Walk<'_> {
    fn all(&mut self, upper: RawFd, layers: &[RawFd], is_root: bool) -> Result {
        self.is_root = is_root;
        let top = |fd: RawFd| {
            let looked = sys::look(fd, c"")?;
            let dir = Dir { fd, inode: looked.inode, mount: looked.mount, from: 0 };
            sys::Result::Ok((dir, looked))
        };
        let (dir, looked) = top(upper)?;
        if let Some(foreign) = self.marks(upper)?.1 {
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
                self.give(What::Rights, Some(before), Some(after), false)?;
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
                        let at = names.bytes.len() as u32;
                        names.bytes.extend_from_slice(name);
                        names.entries.push(Entry { at, ..*entry });
                    }
                }
            }
            names.sort();
            let bytes = std::mem::take(&mut names.bytes);
            let name = |entry: &Entry| {
                let at = entry.at as usize;
                bytes.get(at..at + usize::from(entry.length))
            };
            // Of several layers.
            names.entries.dedup_by(|one, other| name(one) == name(other));
            names.bytes = bytes;
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
                    dir.fd = sys::openat(parent, name.get(), DIRECTORY, 0).map_err(moved)?;
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

    /// Reads the names of a directory.
    fn list(&mut self, fd: RawFd, is_below_alone: bool, names: &mut Names) -> Result {
        // The top's is one with that of the launcher, which may have had it read before.
        sys::rewind(fd)?;
        loop {
            let length = sys::read_directory(fd, &mut self.buffer)?;
            if length == 0 {
                return Ok(());
            }
            for (name, kind) in sys::records(self.buffer.get(..length).unwrap_or_default()) {
                let (at, length) = (names.bytes.len() as u32, name.len() as u16);
                names.bytes.extend_from_slice(name);
                names.entries.push(Entry { at, length, kind, is_below_alone });
            }
            if self.held + cost(names) > MOST_NAMES {
                return Err(Stop::TooMany);
            }
        }
    }

    /// Gives one change at the present path.
    fn give(
        &mut self,
        what: What,
        before: Option<State>,
        after: Option<State>,
        unread: bool,
    ) -> Result {
        let path = std::mem::take(&mut self.path);
        let change = Change { path, what, before, after, unread };
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

    /// Holds a name of the upper against the layers; whether it was gone into.
    fn compare(&mut self, name: &Name, is_below_alone: bool, seen: Option<Seen>) -> Result<bool> {
        if seen.is_none() && !is_below_alone {
            // It went away while this ran.
            return Ok(false);
        }
        let low = self.low(name)?;
        let before = match &low.looked {
            Some(looked) => {
                let state = self.state(low.dir, name, looked)?;
                Some(self.inside(state))
            }
            None => None,
        };
        let Some(seen) = seen.filter(|seen| !is_whiteout(&seen.looked)) else {
            close_all(&low.merged)?;
            if before.is_some() {
                let is_file = before.as_ref().is_some_and(|before| before.kind == Kind::File);
                self.give(What::Removed, before, None, false)?;
                if is_file {
                    self.contents_before(&low, name)?;
                }
            }
            return Ok(false);
        };
        let dir = self.frames.last().map_or(-1, |frame| frame.upper.fd);
        let after = self.state(dir, name, &seen.looked)?;
        let kind = after.kind;
        if kind == Kind::Directory && seen.is_unread {
            close_all(&low.merged)?;
            let what = match &before {
                None => What::Added,
                Some(before) if before.kind != kind => What::Replaced,
                Some(_) => What::Changed,
            };
            self.give(what, before, Some(after), true)?;
            return Ok(false);
        }
        if kind == Kind::Directory && before.as_ref().is_some_and(|before| before.kind == kind) {
            let has_rights =
                |before: &State| after.has_rights_of(before) || self.is_copied_up(before, &after);
            if before.as_ref().is_some_and(|before| !has_rights(before)) {
                self.give(What::Rights, before, Some(after), false)?;
            }
            let is_opaque = seen.is_opaque || self.frames.last().is_some_and(|f| f.is_opaque);
            self.go_into(&seen, low.merged, is_opaque)?;
            return Ok(true);
        }
        close_all(&low.merged)?;
        let what = match &before {
            None => What::Added,
            Some(before) if before.kind != kind => What::Replaced,
            Some(before) if !self.is_same(before, &after, &seen, &low, name)? => What::Changed,
            Some(before) if !after.has_rights_of(before) => What::Rights,
            Some(_) => return Ok(false),
        };
        let was_file = before.as_ref().is_some_and(|before| before.kind == Kind::File);
        self.give(what, before, Some(after), seen.is_unread)?;
        if kind == Kind::Directory {
            self.go_into(&seen, vec![], false)?;
            return Ok(true);
        }
        if was_file && what != What::Rights {
            self.contents_before(&low, name)?;
        }
        // A layer of an image has whole files, also where only the mode is another.
        let is_wanted = what != What::Rights || self.contents == Contents::After;
        if kind == Kind::File && seen.fd >= 0 && is_wanted {
            self.contents_after(&seen)?;
        }
        Ok(false)
    }

    /// Whether a directory is as `copy-up` of an entry makes it: an ordinary user's, with the mode of
    /// the layer's. By itself such a sandbox makes no directory of another's its own.
    fn is_copied_up(&self, before: &State, after: &State) -> bool {
        !self.is_root && after.mode & 0o1777 == before.mode & 0o1777 && after.owner != before.owner
    }

    fn go_into(&mut self, seen: &Seen, lowers: Vec<Dir>, is_opaque: bool) -> Result {
        let Looked { inode, mount, .. } = seen.looked;
        self.push(Dir { fd: seen.fd, inode, mount, from: 0 }, lowers, is_opaque)
    }

    /// Something in the layers with the owner that it has inside.
    fn inside(&self, state: State) -> State {
        let Some([top, upper]) = self.stands_for else { return state };
        let place = |id: Option<u32>, one: u32, other: u32| {
            id.map(|id| match id {
                id if id == one => other,
                id if id == other => one,
                id => id,
            })
        };
        State {
            owner: place(state.owner, top.0, upper.0),
            group: place(state.group, top.1, upper.1),
            ..state
        }
    }

    /// What a name in a directory is, with the text of a link.
    fn state(&mut self, dir: RawFd, name: &Name, looked: &Looked) -> Result<State> {
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
    fn seen(&mut self, name: &Name, kind: u8) -> Result<Option<Seen>> {
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
                Ok((is_opaque, None)) => Ok(is_opaque),
                Ok((_, Some(foreign))) => Err(Stop::Foreign(foreign)),
                Err(stop) => Err(stop),
            }
        } else {
            Ok(false)
        };
        if checked.is_err() && fd >= 0 {
            sys::close(fd)?;
        }
        Ok(Some(Seen { looked, fd, is_opaque: checked?, is_unread }))
    }

    /// What the attributes of an open file say: whether it is opaque, and the name of one that is
    /// another engine's.
    fn marks(&mut self, fd: RawFd) -> Result<(bool, Option<Vec<u8>>)> {
        let length = match sys::attribute_names(fd, &mut self.buffer) {
            Err(Errno(libc::ENOTSUP)) => 0,
            other => other?,
        };
        let names = self.buffer.get(..length).unwrap_or_default();
        let read = attributes(names);
        if let Some(foreign) = read.foreign {
            return Ok((false, Some(foreign.to_vec())));
        }
        if !read.has_opaque {
            return Ok((false, None));
        }
        let mut value = [0; 2];
        match sys::attribute_of(fd, c"user.overlay.opaque", &mut value) {
            Ok(1) if value[0] == b'y' => Ok((true, None)),
            _ => Ok((false, Some(b"user.overlay.opaque".to_vec()))),
        }
    }

    /// Looks a name up in the layers, as overlayfs does: the highest that has it decides, and
    /// directories of the same name are merged.
    fn low(&mut self, name: &Name) -> Result<Low> {
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
            let fd = match sys::openat(fd, name.get(), DIRECTORY, 0) {
                Err(Errno(libc::EACCES)) => break,
                other => other?,
            };
            let from = place - 1;
            low.merged.push(Dir { fd, inode: looked.inode, mount, from });
            if self.marks(fd)?.0 {
                break;
            }
        }
        Ok(low)
    }

    /// Whether two of one kind are the same, but for mode and owner.
    fn is_same(
        &mut self,
        before: &State,
        after: &State,
        seen: &Seen,
        low: &Low,
        name: &Name,
    ) -> Result<bool> {
        match after.kind {
            Kind::Link => Ok(before.target == after.target),
            Kind::File => {
                if before.size != after.size {
                    return Ok(false);
                }
                if after.size == 0 {
                    return Ok(true);
                }
                if seen.fd < 0 {
                    return Ok(false);
                }
                let Some(below) = open_low(low, name)? else { return Ok(false) };
                let same = self.has_same_bytes(seen.fd, below, after.size);
                sys::close(below)?;
                same
            }
            Kind::Character | Kind::Block => {
                Ok(low.looked.is_some_and(|looked| looked.node == seen.looked.node))
            }
            Kind::Directory | Kind::Fifo | Kind::Socket => Ok(true),
        }
    }

    fn has_same_bytes(&mut self, one: RawFd, other: RawFd, size: u64) -> Result<bool> {
        let mut offset = 0;
        // No further than it was long: one that grows is read to no end.
        while offset < size {
            // Not beyond the end, where a read says no more than that it is one.
            let most = usize::try_from(size - offset).map_or(PIECE, |left| left.min(PIECE));
            let count = fill(one, &mut self.buffer[..most], offset)?;
            let also = fill(other, &mut self.other[..most], offset)?;
            if count == 0 || self.buffer.get(..count) != self.other.get(..also) {
                return Ok(false);
            }
            offset += count as u64;
        }
        Ok(true)
    }

    fn contents_before(&mut self, low: &Low, name: &Name) -> Result {
        let Contents::Both(most) = self.contents else { return Ok(()) };
        let size = low.looked.map_or(0, |looked| looked.size);
        if size > most {
            return Ok(());
        }
        let Some(fd) = open_low(low, name)? else { return Ok(()) };
        let sent = self.send(true, fd, 0, size);
        sys::close(fd)?;
        sent?;
        Ok(self.sink.end(true)?)
    }

    fn contents_after(&mut self, seen: &Seen) -> Result {
        let size = seen.looked.size;
        match self.contents {
            Contents::Nothing => return Ok(()),
            Contents::Both(most) if size > most => return Ok(()),
            Contents::Both(_) => self.send(false, seen.fd, 0, size)?,
            Contents::After => {
                let mut at = 0;
                while at < size {
                    let begin = match sys::next_data(seen.fd, at) {
                        Err(Errno(libc::ENXIO)) => break,
                        other => other?,
                    };
                    let end = sys::next_hole(seen.fd, begin)?.min(size);
                    if begin >= end {
                        break;
                    }
                    self.send(false, seen.fd, begin, end)?;
                    at = end;
                }
            }
        }
        Ok(self.sink.end(false)?)
    }

    /// Sends the bytes of a file between two places.
    fn send(&mut self, before: bool, fd: RawFd, mut at: u64, end: u64) -> Result {
        while at < end {
            let most = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            let count = fill(fd, &mut self.buffer[..most], at)?;
            if count == 0 {
                return Err(Stop::Moved);
            }
            self.sink.data(before, at, &self.buffer[..count])?;
            at += count as u64;
        }
        Ok(())
    }
}

/// What names take.
fn cost(names: &Names) -> usize {
    names.bytes.len() + names.entries.len() * size_of::<Entry>()
}

fn is(kind: u32, looked: &Looked) -> bool {
    looked.mode & libc::S_IFMT == kind
}

fn is_whiteout(looked: &Looked) -> bool {
    is(libc::S_IFCHR, looked) && looked.node == (0, 0)
}

fn close_all(dirs: &[Dir]) -> sys::Result {
    dirs.iter().try_for_each(|dir| sys::close(dir.fd))
}

/// Opens what was a regular file a moment ago.
fn open_file(dir: RawFd, name: &CStr) -> sys::Result<RawFd> {
    match sys::openat(dir, name, UNSEEN, 0) {
        Err(Errno(libc::EPERM)) => sys::openat(dir, name, FILE, 0),
        other => other,
    }
}

/// The file of the layers; `None` where the caller may not read it, or it is none any more. What
/// the host puts in its place at this moment, a target has not made.
fn open_low(low: &Low, name: &Name) -> Result<Option<RawFd>> {
    match open_file(low.dir, name.get()) {
        Err(Errno(libc::EACCES | libc::EPERM | libc::ENOENT | libc::ELOOP | libc::ENXIO)) => {
            Ok(None)
        }
        other => Ok(Some(other?)),
    }
}

/// Reads until the buffer is full, or the file ends.
fn fill(fd: RawFd, buffer: &mut [u8], offset: u64) -> sys::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match sys::read_at(fd, &mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    /// What was given, and what is done at each piece of a file.
    #[derive(Default)]
    struct Given {
        changes: Vec<(What, String)>,
        bytes: u64,
        grows: Option<PathBuf>,
    }

    impl Sink for Given {
        fn change(&mut self, change: &Change) -> sys::Result {
            let path = String::from_utf8(change.path.clone()).unwrap();
            self.changes.push((change.what, path));
            Ok(())
        }

        fn data(&mut self, _: bool, _: u64, bytes: &[u8]) -> sys::Result {
            self.bytes += bytes.len() as u64;
            if let Some(path) = &self.grows {
                let mut more = fs::read(path).unwrap();
                more.extend_from_within(..);
                fs::write(path, more).unwrap();
            }
            Ok(())
        }

        fn end(&mut self, _: bool) -> sys::Result {
            Ok(())
        }
    }

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let name = format!("stockade-walk-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(path.join("upper")).unwrap();
            fs::create_dir_all(path.join("low")).unwrap();
            Place(path)
        }

        fn walk(&self, contents: Contents, open: usize, given: &mut Given) -> Option<Stopped> {
            let most = Most { open, is_root: false };
            let [upper, low] = ["upper", "low"].map(|name| File::open(self.0.join(name)).unwrap());
            walk(upper.as_raw_fd(), &[low.as_raw_fd()], contents, most, given).err()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_deep_tree_is_walked_with_few_descriptors() {
        let place = Place::new("deep");
        let (mut upper, mut low) = (place.0.join("upper"), place.0.join("low"));
        for _ in 0..100 {
            upper.push("d");
            low.push("d");
            fs::create_dir_all(&upper).unwrap();
            fs::create_dir_all(&low).unwrap();
            fs::write(upper.join("z"), "z").unwrap();
        }
        let mut given = Given::default();
        assert_eq!(place.walk(Contents::Nothing, 8, &mut given), None);
        // The deepest first, as `d` comes before `z`.
        let paths = (1..=100).rev().map(|depth| "d/".repeat(depth) + "z");
        let all: Vec<_> = paths.map(|path| (What::Added, path)).collect();
        assert_eq!(given.changes, all);
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_read_to_its_old_end() {
        let place = Place::new("grows");
        let path = place.0.join("upper/file");
        fs::write(&path, vec![b'a'; PIECE]).unwrap();
        let mut given = Given { grows: Some(path), ..Given::default() };
        assert_eq!(place.walk(Contents::After, 8, &mut given), None);
        assert_eq!((given.bytes, given.changes.len()), (PIECE as u64, 1));
    }

    #[test]
    fn records_of_a_directory_are_read_and_nothing_beyond_them() {
        let record = |name: &[u8], length: u16| {
            let mut record = vec![0; 16];
            record.extend_from_slice(&length.to_ne_bytes());
            record.push(libc::DT_DIR);
            record.extend_from_slice(name);
            record.resize(usize::from(length).max(19 + name.len()), 0);
            record
        };
        let read = |bytes: &[u8]| -> Vec<Vec<u8>> {
            sys::records(bytes).map(|(name, _)| name.to_vec()).collect()
        };
        let two = [record(b".", 24), record(b"a\n", 24), record(b"bc", 24)].concat();
        assert_eq!(read(&two), [b"a\n".to_vec(), b"bc".to_vec()]);
        for length in 0..24 {
            assert!(read(&two[..24 + length]).is_empty(), "{length}");
        }
        // A length of nothing, or beyond the end.
        assert!(read(&record(b"a", 0)).is_empty() && read(&record(b"a", 0)[..19]).is_empty());
        assert!(read(&record(b"a", 24)[..23]).is_empty());
    }
}
