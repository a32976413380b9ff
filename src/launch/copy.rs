//! Layers copied into one directory, where overlayfs is not to merge them: a name is copied from the
//! highest layer that has it, and directories of one name are merged, as overlayfs does it
//! (overlayfs of the kernel). Part of what runs between clone and exec: raw system calls and nothing
//! else (see [`super::child`]); what it needs memory for is made before.
//!
//! This process has every capability over the ids of its namespace, so that it may read more than
//! the target. A file whose owner the copy has reads as it did, by its mode. One whose owner it
//! cannot have becomes the target's, which then decides itself who reads it: it has its content only
//! where everybody may read it, or where this process reads as the target will.

use super::copy_up::{LONGEST, ended};
use super::digits::decimal;
use crate::language::value::Room;
use crate::plan::Plan;
use crate::sys::{self, Errno, Looked, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// How many bytes are copied in all; messages and pages say these three numbers. What shares its blocks with a layer is not.
const MOST_BYTES: u64 = 256 << 20;
/// How many files, directories and links.
const MOST_NAMES: u32 = 1 << 16;
/// How deep they lie.
const DEEPEST: u32 = 128;
/// How many directories of layers are open at a time.
const MOST_OPEN: usize = 4096;
/// How much of a file is read at a time: more than an attribute can have (XATTR_SIZE_MAX).
const PIECE: usize = 64 << 10;

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
/// One that became a FIFO meanwhile does not keep this process waiting.
const FILE: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
const NEW: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;

/// The id of each owner that a user namespace does not have (`overflowuid`, user_namespaces(7)).
const NOBODY: u32 = 65534;

/// Why two file systems share no blocks.
const CANNOT_SHARE: [i32; 4] = [libc::EOPNOTSUPP, libc::EXDEV, libc::ENOTTY, libc::ENOSYS];

const ACCESS_LIST: &CStr = c"system.posix_acl_access";

/// What is needed for all copies of a launch.
pub(super) struct Copying {
    /// The open directories of layers, those of one name beside one another, the topmost first.
    open: Vec<RawFd>,
    piece: Vec<u8>,
    bytes: u64,
    names: u32,
}

impl Copying {
    /// For a plan that copies layers.
    pub(super) fn of(plan: &Plan) -> Option<Box<Copying>> {
        plan.tree().any(|(op, _)| op.facets().because.is_some()).then(|| {
            Box::new(Copying {
                open: Vec::with_capacity(MOST_OPEN),
                piece: vec![0; PIECE],
                bytes: MOST_BYTES,
                names: MOST_NAMES,
            })
        })
    }

    fn push(&mut self, fd: RawFd) -> Result {
        if self.open.len() == self.open.capacity() {
            return Err(Errno(libc::EMFILE));
        }
        self.open.push(fd);
        Ok(())
    }
}

/// Where layers are copied to.
pub(super) struct To {
    /// The directory that has the copy, which is the top of its file system where that is in memory.
    pub place: RawFd,
    /// How much the target may write there, and how many files, where it is in memory.
    pub room: Option<(Room, u64)>,
    /// Whether what this process can open the target may read.
    pub as_caller: bool,
}

/// Copies layers, the topmost first, into a directory of that name.
pub(super) fn copy(
    copying: &mut Copying,
    layers: impl Iterator<Item = RawFd>,
    to: &To,
    name: &CStr,
) -> Result {
    let top = sys::openat(to.place, name, DIRECTORY, 0)?;
    let room = to.room.map(|(size, files)| match size {
        Room::Bytes(bytes) => Ok((bytes, files)),
        // A share is what the whole tmpfs has so far.
        Room::Percent(_) => sys::capacity(to.place).map(|bytes| (bytes, files)),
    });
    let room = room.transpose()?;
    if room.is_some() {
        let most = MOST_BYTES + u64::from(MOST_NAMES) * sys::page_size();
        resize(to.place, (most, MOST_NAMES.into()))?;
    }
    for layer in layers {
        copying.push(sys::openat(layer, c".", DIRECTORY, 0)?)?;
    }
    let written = copying.open.first().map(|first| sys::look(*first, c"")).transpose()?;
    let shares = room.is_none();
    Copy { with: copying, as_caller: to.as_caller, shares }.directory(0, top, DEEPEST)?;
    if let Some(looked) = written {
        sys::set_written(top, looked.written)?;
    }
    sys::close(top)?;
    room.map_or(Ok(()), |room| resize(to.place, room))
}

/// Leaves so much room in a tmpfs beyond what it has.
fn resize(place: RawFd, (bytes, files): (u64, u64)) -> Result {
    let (has, names) = sys::used(place)?;
    let context = sys::fspick(place)?;
    let mut digits = [0; 24];
    // 0 would be no limit.
    let bytes = has.saturating_add(bytes).max(1);
    sys::fsconfig_string(context, c"size", decimal(&mut digits, bytes))?;
    let files = names.saturating_add(files);
    sys::fsconfig_string(context, c"nr_inodes", decimal(&mut digits, files))?;
    sys::reconfigure(context)?;
    sys::close(context)
}

struct Copy<'c> {
    with: &'c mut Copying,
    as_caller: bool,
    /// Whether files may share blocks.
    shares: bool,
}

/// What a copy is to have.
struct Kept {
    mode: u32,
    /// Whether it has what its source has.
    is_shown: bool,
    /// Whether its source has an access list.
    has_list: bool,
}

impl Copy<'_> {
    /// Copies what is in the directories that are open from this place on, and closes them.
    fn directory(&mut self, first: usize, to: RawFd, depth: u32) -> Result {
        let end = self.with.open.len();
        let mut buffer = [0; 2048];
        for place in first..end {
            loop {
                let length = sys::read_directory(self.with.open[place], &mut buffer)?;
                if length == 0 {
                    break;
                }
                for (name, _) in sys::records(&buffer[..length]) {
                    let mut room = [0; LONGEST];
                    self.name((first, place, end), to, ended(name, &mut room)?, depth)?;
                }
            }
        }
        for place in first..end {
            sys::close(self.with.open[place])?;
        }
        self.with.open.truncate(first);
        Ok(())
    }

    /// Copies a name of one of several directories, if none above has it.
    fn name(
        &mut self,
        (first, place, end): (usize, usize, usize),
        to: RawFd,
        name: &CStr,
        depth: u32,
    ) -> Result {
        for above in (first..place).map(|above| self.with.open[above]).chain([to]) {
            match sys::look(above, name) {
                Err(Errno(libc::ENOENT)) => {}
                // One that may not be searched may have it.
                Ok(_) | Err(Errno(libc::EACCES)) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        let from = self.with.open[place];
        let looked = match sys::look(from, name) {
            Ok(looked) => looked,
            Err(Errno(libc::ENOENT | libc::EACCES)) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let kind = looked.mode & libc::S_IFMT;
        // A whiteout says that nothing is there; of the rest nothing works in a copy.
        if ![libc::S_IFREG, libc::S_IFDIR, libc::S_IFLNK].contains(&kind) {
            return Ok(());
        }
        self.with.names = self.with.names.checked_sub(1).ok_or(Errno(libc::E2BIG))?;
        match kind {
            libc::S_IFREG => self.file(from, to, name, &looked),
            libc::S_IFLNK => self.link(from, to, name, &looked),
            _ => self.inner((place, end), to, name, depth),
        }
    }

    fn file(&mut self, from: RawFd, to: RawFd, name: &CStr, looked: &Looked) -> Result {
        let (source, looked) = match sys::openat(from, name, FILE, 0) {
            Ok(source) => (source, sys::look(source, c"")?),
            Err(Errno(libc::EACCES)) => (-1, *looked),
            Err(Errno(errno)) if is_gone(errno) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        // It became another kind of file meanwhile.
        if looked.mode & libc::S_IFMT != libc::S_IFREG {
            return sys::close(source);
        }
        let made = sys::openat(to, name, NEW, 0o600)?;
        let kept = self.keep(source, made, &looked, 0o4)?;
        if kept.is_shown {
            self.content(source, made, &looked)?;
        }
        self.finish(source, made, &looked, &kept)
    }

    fn link(&mut self, from: RawFd, to: RawFd, name: &CStr, looked: &Looked) -> Result {
        let length = match sys::read_link_at(from, name, &mut self.with.piece) {
            Ok(length) => length,
            Err(Errno(errno)) if errno == libc::EINVAL || is_gone(errno) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let room = self.with.piece.get_mut(length).ok_or(Errno(libc::ENAMETOOLONG))?;
        *room = 0;
        let text = CStr::from_bytes_until_nul(&self.with.piece).map_err(|_| Errno(libc::EINVAL))?;
        sys::symlinkat(text, to, name)?;
        // Whose a link is says nothing of what it leads to: an owner that the copy cannot have, or
        // a time that it does not take, leaves it the target's.
        sys::regardless(sys::own_at(to, name, looked.owner, looked.group));
        sys::regardless(sys::set_written_at(to, name, looked.written));
        Ok(())
    }

    /// A directory in others, merged with those of its name below.
    fn inner(
        &mut self,
        (place, end): (usize, usize),
        to: RawFd,
        name: &CStr,
        depth: u32,
    ) -> Result {
        let from = self.with.open[place];
        let (source, looked) = match sys::openat(from, name, DIRECTORY, 0) {
            Ok(source) => (source, sys::look(source, c"")?),
            Err(Errno(libc::EACCES)) => (-1, sys::look(from, name)?),
            Err(Errno(errno)) if is_gone(errno) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let depth = depth.checked_sub(1).ok_or(Errno(libc::ELOOP))?;
        sys::mkdirat(to, name, 0o700)?;
        let made = sys::openat(to, name, DIRECTORY, 0)?;
        let kept = self.keep(source, made, &looked, 0o5)?;
        if kept.is_shown {
            let first = self.with.open.len();
            self.with.push(sys::dup_above(source, 3)?)?;
            self.merged((place, end), source, name)?;
            self.directory(first, made, depth)?;
        }
        self.finish(source, made, &looked, &kept)
    }

    /// Opens the directories of a name in the layers below one that has it.
    fn merged(&mut self, (place, end): (usize, usize), source: RawFd, name: &CStr) -> Result {
        let mut last = source;
        for below in place + 1..end {
            if is_opaque(last)? {
                break;
            }
            let below = self.with.open[below];
            match sys::look(below, name) {
                Err(Errno(libc::ENOENT)) => continue,
                // A whiteout, or a file: nothing further below is seen.
                Ok(looked) if looked.mode & libc::S_IFMT != libc::S_IFDIR => break,
                Ok(_) => {}
                Err(Errno(libc::EACCES)) => break,
                Err(errno) => return Err(errno),
            }
            match sys::openat(below, name, DIRECTORY, 0) {
                Ok(opened) => self.with.push(opened)?,
                Err(Errno(libc::EACCES)) => break,
                Err(Errno(errno)) if is_gone(errno) => break,
                Err(errno) => return Err(errno),
            }
            last = *self.with.open.last().unwrap_or(&last);
        }
        Ok(())
    }

    /// Gives a copy the owner of its source, as far as it can have that, and says what else it is to
    /// have. `bits` are those by which others may read it.
    fn keep(&mut self, source: RawFd, made: RawFd, looked: &Looked, bits: u32) -> Result<Kept> {
        let new = sys::describe(made)?;
        let own = |is: u32, to_be: u32, owner: u32, group: u32| {
            // The id of nobody stands for each that is not here (overflowuid, user_namespaces(7)).
            to_be != NOBODY && (is == to_be || sys::fchown(made, owner, group).is_ok())
        };
        const SAME: u32 = u32::MAX;
        let has_group = own(new.group, looked.group, SAME, looked.group);
        let has_owner = own(new.owner, looked.owner, looked.owner, SAME);
        let has_list = source >= 0 && self.list(source)?.is_some();
        let mut mode = looked.mode & 0o1777;
        let is_shown = source >= 0
            && (has_owner && has_group
                || self.as_caller
                || !has_list && (has_owner || mode & bits == bits));
        if !has_group && !self.as_caller {
            mode &= !0o070;
        }
        if !has_owner {
            // The target owns it now: what it reads and runs as another it does as its owner.
            mode |= (mode & 0o7) << 6 | bits << 6;
        }
        Ok(Kept { mode: if is_shown { mode } else { 0 }, is_shown, has_list })
    }

    /// How long the access list of an open file is, which is in the piece then (acl(5)).
    fn list(&mut self, file: RawFd) -> Result<Option<usize>> {
        match sys::attribute_of(file, ACCESS_LIST, &mut self.with.piece) {
            Ok(length) => Ok(Some(length)),
            Err(Errno(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a copy its rights and its time, and closes both.
    fn finish(&mut self, source: RawFd, made: RawFd, looked: &Looked, kept: &Kept) -> Result {
        sys::fchmod(made, kept.mode)?;
        if kept.is_shown && kept.has_list {
            let length = self.list(source)?.unwrap_or_default();
            // Without it neither the group's bits nor the others' say who may read.
            if sys::set_attribute_of(made, ACCESS_LIST, &self.with.piece[..length]).is_err() {
                sys::fchmod(made, kept.mode & 0o1700)?;
            }
        }
        sys::set_written(made, looked.written)?;
        sys::close(made)?;
        if source >= 0 { sys::close(source) } else { Ok(()) }
    }

    /// Copies the bytes of a file, but its holes.
    fn content(&mut self, from: RawFd, to: RawFd, looked: &Looked) -> Result {
        let size = looked.size;
        if size == 0 {
            return Ok(());
        }
        if self.shares {
            match sys::share_blocks(from, to) {
                Ok(()) => return Ok(()),
                Err(Errno(errno)) if CANNOT_SHARE.contains(&errno) => self.shares = false,
                // This file cannot, such as one that is in use as swap.
                Err(_) => {}
            }
        }
        let is_dense = looked.blocks.saturating_mul(512) >= size;
        if is_dense && size > self.with.bytes {
            return Err(Errno(libc::EFBIG));
        }
        let mut at = 0;
        // No further than it was long: one that grows is read to no end.
        while at < size {
            let mut end = size;
            if !is_dense {
                at = match sys::next_data(from, at) {
                    Err(Errno(libc::ENXIO)) => break,
                    other => other?,
                };
                end = sys::next_hole(from, at)?.min(size);
            }
            if !self.bytes(from, to, (at, end))? {
                break;
            }
            at = end;
        }
        if is_dense { Ok(()) } else { sys::set_length(to, size) }
    }

    /// Copies bytes between two places; whether they were all there.
    fn bytes(&mut self, from: RawFd, to: RawFd, (mut at, end): (u64, u64)) -> Result<bool> {
        let with = &mut self.with;
        while at < end {
            let most = usize::try_from(end - at).map_or(PIECE, |left| left.min(PIECE));
            let count = match sys::read_at(from, &mut with.piece[..most], at) {
                Err(Errno(libc::EINTR)) => continue,
                other => other?,
            };
            if count == 0 {
                return Ok(false);
            }
            with.bytes = with.bytes.checked_sub(count as u64).ok_or(Errno(libc::EFBIG))?;
            let mut done = 0;
            while done < count {
                match sys::write_at(to, &with.piece[done..count], at + done as u64) {
                    Err(Errno(libc::EINTR)) => {}
                    other => done += other?,
                }
            }
            at += count as u64;
        }
        Ok(true)
    }
}

/// Whether a directory hides what lower layers have of it.
fn is_opaque(directory: RawFd) -> Result<bool> {
    let mut value = [0; 2];
    match sys::attribute_of(directory, c"user.overlay.opaque", &mut value) {
        Ok(length) => Ok(length == 1 && value[0] == b'y'),
        // It is longer, and so another one.
        Err(Errno(libc::ENODATA | libc::EOPNOTSUPP | libc::ERANGE)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether this error says that a name went away, or became another kind of file.
fn is_gone(errno: i32) -> bool {
    [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::ENXIO, libc::ESTALE].contains(&errno)
}
