//! Directories of other users, made in an upper before it is merged: overlayfs takes such a one for
//! the merged directory, and what lies directly in it can be changed. Part of what runs between clone
//! and exec: raw system calls and nothing else (see [`super::child`]).

use crate::sys::{self, Errno, Result};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// How many directories are made for one entry.
const MOST: u32 = 1 << 16;
/// How deep they lie.
const DEEPEST: u32 = 256;

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
/// The same of one that is not to be read.
const WAY: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;

/// The longest name of a file, with the NUL.
pub(super) const LONGEST: usize = 256;

/// A name with a NUL at its end, on the stack.
pub(super) fn ended<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST]) -> Result<&'b CStr> {
    let room = buffer.get_mut(..name.len()).ok_or(Errno(libc::ENAMETOOLONG))?;
    room.copy_from_slice(name);
    *buffer.get_mut(name.len()).ok_or(Errno(libc::ENAMETOOLONG))? = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno(libc::EINVAL))
}

/// Makes the way to `tail`, and all directories below it where these are asked for. What is not there,
/// or is no directory, or closed to the caller, is passed over.
pub(super) fn copy_up(lower: RawFd, upper: RawFd, (tail, with_all): (&CStr, bool)) -> Result {
    let (mut below, mut above) = (sys::openat(lower, c".", WAY, 0)?, upper);
    for name in tail.to_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        let mut buffer = [0; LONGEST];
        let name = ended(name, &mut buffer)?;
        let next = step(below, above, name, WAY)?.map(|(next, _)| next);
        let made = next.map_or(Ok(None), |_| Above::Named(above, name).open())?;
        sys::close(below)?;
        if above != upper {
            sys::close(above)?;
        }
        match (next, made) {
            (Some(next), Some(made)) => (below, above) = (next, made),
            (Some(next), None) => return sys::close(next),
            (None, _) => return Ok(()),
        }
    }
    let listed = if with_all { sys::openat(below, c".", DIRECTORY, 0) } else { Ok(below) };
    match listed {
        Ok(listed) if with_all => {
            let is_counted = sys::counts_directories(listed)?;
            all(listed, Above::Open(above), DEEPEST, &mut Bounds { left: MOST, is_counted })?;
        }
        // What nobody may list has nothing to be made below it.
        Ok(_) | Err(Errno(libc::EACCES)) => sys::close(above)?,
        Err(errno) => return Err(errno),
    }
    sys::close(below)
}

/// Makes one directory, and gives what it is made after, opened so, with the count of its links; none:
/// it is passed over.
fn step(below: RawFd, above: RawFd, name: &CStr, how: i32) -> Result<Option<(RawFd, u64)>> {
    let found = match sys::openat(below, name, how, 0) {
        Ok(found) => found,
        Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EACCES)) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let look = sys::describe(found)?;
    let is_passed = is_open(&look) || how == WAY && leads_on(found, &look);
    if !is_passed {
        sys::close(found)?;
        return Ok(None);
    }
    match sys::mkdirat(above, name, look.mode & 0o1777) {
        // What is made in it has its group; mkdir(2) passes over that bit.
        Ok(()) if look.mode & libc::S_ISGID != 0 => {
            sys::chmod_at(above, name, look.mode & (libc::S_ISGID | 0o1777))?;
        }
        // A run before has made it, or the target.
        Ok(()) | Err(Errno(libc::EEXIST)) => {}
        Err(errno) => return Err(errno),
    }
    Ok(Some((found, look.links)))
}

/// A directory of the upper, which is opened once something is made in it.
#[derive(Clone, Copy)]
enum Above<'n> {
    Open(RawFd),
    Named(RawFd, &'n CStr),
}

impl Above<'_> {
    /// Opens it; none: the target has put something else there in a run before.
    fn open(self) -> Result<Option<RawFd>> {
        let (parent, name) = match self {
            Above::Open(fd) => return Ok(Some(fd)),
            Above::Named(parent, name) => (parent, name),
        };
        match sys::openat(parent, name, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno(libc::ENOTDIR | libc::ELOOP | libc::ENOENT)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn close(self) -> Result {
        match self {
            Above::Open(fd) => sys::close(fd),
            Above::Named(..) => Ok(()),
        }
    }
}

/// Whether everybody may look into a directory, or this process owns it. It has every capability over
/// the ids of its namespace here, and the target is to own what it makes: one that is closed to the
/// target must stay so.
fn is_open(look: &sys::Described) -> bool {
    const TO_LOOK: u32 = 0o005;
    look.mode & TO_LOOK == TO_LOOK || sys::ids().is_ok_and(|[_, user, ..]| look.owner == user)
}

/// Whether everybody may go through a directory that not even this process may list: what it cannot
/// read overlayfs does not read for the target, whatever the mode of the one that is made.
fn leads_on(found: RawFd, look: &sys::Described) -> bool {
    const TO_PASS: u32 = 0o001;
    if look.mode & TO_PASS == 0 {
        return false;
    }
    match sys::openat(found, c".", DIRECTORY, 0) {
        Ok(listed) => {
            sys::regardless(sys::close(listed));
            false
        }
        Err(errno) => errno.0 == libc::EACCES,
    }
}

/// What holds for all directories below one.
struct Bounds {
    /// How many more can be made.
    left: u32,
    /// Whether the links of one say how many are in it.
    is_counted: bool,
}

/// Makes all directories below. What is called for each is called thousands of times: most have none
/// below them, and are not read where their links say so.
fn all(below: RawFd, mut above: Above<'_>, depth: u32, bounds: &mut Bounds) -> Result {
    let mut buffer = [0; 2048];
    'listed: loop {
        let length = sys::read_directory(below, &mut buffer)?;
        if length == 0 {
            break;
        }
        for (name, kind) in sys::records(&buffer[..length]) {
            if ![libc::DT_DIR, libc::DT_UNKNOWN].contains(&kind) {
                continue;
            }
            let Some(place) = above.open()? else { break 'listed };
            above = Above::Open(place);
            let mut buffer = [0; LONGEST];
            let name = ended(name, &mut buffer)?;
            let Some((inner, links)) = step(below, place, name, DIRECTORY)? else { continue };
            let depth = depth.checked_sub(1).ok_or(Errno(libc::E2BIG))?;
            bounds.left = bounds.left.checked_sub(1).ok_or(Errno(libc::E2BIG))?;
            if bounds.is_counted && links == 2 {
                sys::close(inner)?;
            } else {
                all(inner, Above::Named(place, name), depth, bounds)?;
            }
        }
    }
    sys::close(below)?;
    above.close()
}
