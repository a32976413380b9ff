//! The bytes of files: compared, and given.

use super::look::{Low, Seen, open_file};
use super::names::Name;
use super::{PIECE, Result, Walk};
use crate::launch::changes::{Contents, Stop};
use crate::sys::{self, Errno};
use std::os::fd::RawFd;

impl Walk<'_> {
    pub(super) fn has_same_bytes(&mut self, one: RawFd, other: RawFd, size: u64) -> Result<bool> {
        let (mut offset, mut end) = (0, 0);
        // No further than it was long: one that grows is read to no end.
        while offset < size {
            if offset == end {
                // What is a hole in both is the same: a target makes one of any size from nothing.
                let begin = data(one, offset, size).min(data(other, offset, size));
                if begin == size {
                    // Beyond the end of one that shrank meanwhile is a hole, too.
                    let length = |fd| sys::look(fd, c"").map(|looked| looked.size);
                    return Ok(length(one)? >= size && length(other)? >= size);
                }
                offset = begin;
                end = hole(one, begin, size).max(hole(other, begin, size));
            }
            // Not beyond the end, where a read says no more than that it is one.
            let most = usize::try_from(end - offset).map_or(PIECE, |left| left.min(PIECE));
            let count = fill(one, &mut self.buffer[..most], offset)?;
            let also = fill(other, &mut self.other[..most], offset)?;
            if count == 0 || self.buffer.get(..count) != self.other.get(..also) {
                return Ok(false);
            }
            offset += count as u64;
        }
        Ok(true)
    }

    pub(super) fn contents_before(&mut self, low: &Low, name: &Name) -> Result {
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

    pub(super) fn contents_after(&mut self, seen: &Seen) -> Result {
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
    pub(super) fn send(&mut self, before: bool, fd: RawFd, mut at: u64, end: u64) -> Result {
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

/// The file of the layers; `None` where the caller may not read it, or it is none any more. What
/// the host puts in its place at this moment, a target has not made.
pub(super) fn open_low(low: &Low, name: &Name) -> Result<Option<RawFd>> {
    match open_file(low.dir, name.get()) {
        Err(Errno(libc::EACCES | libc::EPERM | libc::ENOENT | libc::ELOOP | libc::ENXIO)) => {
            Ok(None)
        }
        other => Ok(Some(other?)),
    }
}

/// Where the next data of a file are, or its end. Where a file system does not say, they are here.
fn data(fd: RawFd, offset: u64, size: u64) -> u64 {
    match sys::next_data(fd, offset) {
        Err(Errno(libc::ENXIO)) => size,
        at => at.unwrap_or(offset).clamp(offset, size),
    }
}

/// Where data end that begin at a place; the place itself, where there are none.
fn hole(fd: RawFd, offset: u64, size: u64) -> u64 {
    match sys::next_hole(fd, offset) {
        Err(Errno(libc::ENXIO)) => offset,
        at => at.unwrap_or(size).clamp(offset, size),
    }
}

/// Reads until the buffer is full, or the file ends.
pub(super) fn fill(fd: RawFd, buffer: &mut [u8], offset: u64) -> sys::Result<usize> {
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
