//! The names in a directory.

use super::{MOST_NAMES, Result, Walk};
use crate::launch::changes::Stop;
use crate::sys;
use std::ffi::CStr;
use std::os::fd::RawFd;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub at: u32,
    pub length: u16,
    pub kind: u8,
    pub is_below_alone: bool,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

fn name(bytes: &[u8], entry: Entry) -> &[u8] {
    let at = entry.at as usize;
    bytes.get(at..at + usize::from(entry.length)).unwrap_or_default()
}

impl Names {
    pub(super) fn of(&self, entry: Entry) -> &[u8] {
        name(&self.bytes, entry)
    }

    pub(super) fn add(&mut self, name: &[u8], kind: u8, is_below_alone: bool) {
        let (at, length) = (self.bytes.len() as u32, name.len() as u16);
        self.entries.push(Entry { at, length, kind, is_below_alone });
        self.bytes.extend_from_slice(name);
    }

    /// In their order, each once.
    pub(super) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|one, other| name(bytes, *one).cmp(name(bytes, *other)));
        self.entries.dedup_by(|one, other| name(bytes, *one) == name(bytes, *other));
    }
}

/// A name with the zero that calls want.
pub(super) struct Name([u8; 256]);

impl Name {
    pub(super) fn new(bytes: &[u8]) -> Name {
        let mut name = [0; 256];
        let length = bytes.len().min(255);
        name[..length].copy_from_slice(&bytes[..length]);
        Name(name)
    }

    pub(super) fn get(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

/// What names take.
pub(super) fn cost(names: &Names) -> usize {
    names.bytes.len() + names.entries.len() * size_of::<Entry>()
}

impl Walk<'_> {
    /// Reads the names of a directory.
    pub(super) fn list(&mut self, fd: RawFd, is_below_alone: bool, names: &mut Names) -> Result {
        // The top's is one with that of the launcher, which may have had it read before.
        sys::rewind(fd)?;
        loop {
            let length = sys::read_directory(fd, &mut self.buffer)?;
            if length == 0 {
                return Ok(());
            }
            for (name, kind) in sys::records(self.buffer.get(..length).unwrap_or_default()) {
                names.add(name, kind, is_below_alone);
            }
            if self.held + cost(names) > MOST_NAMES {
                return Err(Stop::TooMany);
            }
        }
    }
}
