//! Changes as a layer of an OCI image: a tar file in which `.wh.NAME` says that NAME is removed
//! (image-spec, layer.md). It writes and never reads one.

use super::{Change, Item, Kind, Reader, State, Stop, Stopped, What};
use crate::host::upper::{Cover, Upper};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tar::{EntryType, Header};

/// How many bytes of holes a file may have: a tar file has them as zeros, and a target makes a file
/// of any size from nothing.
const MOST_HOLES: u64 = 1 << 30;
/// How many bytes the paths have of files with more names that are remembered. Another is there once
/// more at each of its names.
const MOST_LINKED: usize = 64 << 20;
/// What begins the name of a whiteout.
const WHITEOUT: &[u8] = b".wh.";

/// What failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Reading(Stopped),
    Writing(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Writing(error)
    }
}

/// Writes all changes of a reader that gives contents; `leave` gets what is left out, and why.
pub(crate) fn export(
    reader: &mut Reader,
    record: &Upper,
    out: &mut dyn Write,
    leave: &mut dyn FnMut(&[u8], &'static str),
) -> Result<(), Failed> {
    let mut tar = Tar { out, leave, linked: BTreeMap::new(), linked_length: 0 };
    while let Some(item) = reader.next().map_err(Failed::Reading)? {
        // Bytes of what is left out go by.
        let Item::Change(change) = item else { continue };
        if record.cover(&change.path) == Cover::Covered {
            tar.leave(&change, "an entry of [mounts] covers it");
            continue;
        }
        tar.change(reader, &change)?;
    }
    // The end of a tar file: two blocks of zeros.
    tar.out.write_all(&[0; 1024])?;
    tar.out.flush()?;
    Ok(())
}

struct Tar<'o> {
    out: &'o mut dyn Write,
    leave: &'o mut dyn FnMut(&[u8], &'static str),
    /// The first path of a file that has more names.
    linked: BTreeMap<(u64, u64), Vec<u8>>,
    linked_length: usize,
}

impl Tar<'_> {
    fn leave(&mut self, change: &Change, why: &'static str) {
        (self.leave)(&change.path, why);
    }

    fn change(&mut self, reader: &mut Reader, change: &Change) -> Result<(), Failed> {
        let (parent, name) = split(&change.path);
        if change.path.split(|byte| *byte == b'/').any(|part| part.starts_with(WHITEOUT)) {
            self.leave(change, "a layer has names with `.wh.` for what is removed");
            return Ok(());
        }
        let Some(after) = &change.after else {
            self.entry(&whiteout(parent, name), &mut header(EntryType::Regular, None))?;
            return Ok(());
        };
        if change.unread {
            self.leave(change, "it is not readable");
            return Ok(());
        }
        if change.what == What::Replaced && after.kind == Kind::Directory {
            // A reader that merges would take the file that was there for the directory's parent.
            self.entry(&whiteout(parent, name), &mut header(EntryType::Regular, None))?;
        }
        match after.kind {
            Kind::Directory => {
                let path = if change.path.is_empty() { b"./".to_vec() } else { with(&change.path) };
                self.entry(&path, &mut header(EntryType::Directory, Some(after)))?;
            }
            Kind::Link => {
                let mut header = header(EntryType::Symlink, Some(after));
                self.linked_entry(&change.path, &mut header, &after.target)?;
            }
            Kind::Fifo => {
                self.entry(&change.path, &mut header(EntryType::Fifo, Some(after)))?;
            }
            Kind::File => return self.file(reader, change, after),
            Kind::Socket | Kind::Character | Kind::Block => {
                self.leave(change, "a layer has no sockets, and none of a target's devices");
            }
        }
        Ok(())
    }

    fn file(&mut self, reader: &mut Reader, change: &Change, after: &State) -> Result<(), Failed> {
        if after.size.saturating_sub(after.allocated) > MOST_HOLES {
            self.leave(change, "more than 1G of it are holes");
            return Ok(());
        }
        if after.links > 1 {
            if let Some(first) = self.linked.get(&after.inode).cloned() {
                let mut header = header(EntryType::Link, Some(after));
                self.linked_entry(&change.path, &mut header, &first)?;
                return Ok(());
            }
            let length = change.path.len() + 64;
            if self.linked_length + length <= MOST_LINKED {
                self.linked_length += length;
                self.linked.insert(after.inode, change.path.clone());
            }
        }
        let mut header = header(EntryType::Regular, Some(after));
        header.set_size(after.size);
        self.entry(&change.path, &mut header)?;
        let mut at = 0;
        loop {
            match reader.next().map_err(Failed::Reading)? {
                Some(Item::Data { before: false, offset, bytes })
                    if offset >= at && offset + bytes.len() as u64 <= after.size =>
                {
                    zeros(self.out, offset - at)?;
                    self.out.write_all(&bytes)?;
                    at = offset + bytes.len() as u64;
                }
                Some(Item::End { before: false }) => break,
                _ => {
                    let path = change.path.clone();
                    return Err(Failed::Reading(Stopped { stop: Stop::Moved, path }));
                }
            }
        }
        zeros(self.out, after.size - at)?;
        zeros(self.out, after.size.next_multiple_of(512) - after.size)?;
        Ok(())
    }

    /// An entry without bytes, or before them.
    fn entry(&mut self, path: &[u8], header: &mut Header) -> io::Result<()> {
        self.linked_entry(path, header, b"")
    }

    /// The same with the text of a link. What is too long for its field goes before it
    /// (GNU tar's LongLink).
    fn linked_entry(&mut self, path: &[u8], header: &mut Header, link: &[u8]) -> io::Result<()> {
        if !link.is_empty() && !put_link(header, link) {
            self.long(b'K', link)?;
        }
        if !put_path(header, path) {
            self.long(b'L', path)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn long(&mut self, kind: u8, text: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        put_path(&mut header, b"././@LongLink");
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(text.len() as u64 + 1);
        header.set_entry_type(EntryType::new(kind));
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(text)?;
        let length = text.len() as u64 + 1;
        zeros(self.out, 1 + length.next_multiple_of(512) - length)
    }
}

/// Puts a path into its field, as bytes: whatever the crate thinks of its names. One that is too
/// long is there in part.
fn put_path(header: &mut Header, path: &[u8]) -> bool {
    put(&mut header.as_old_mut().name, path)
}

fn put_link(header: &mut Header, link: &[u8]) -> bool {
    put(&mut header.as_old_mut().linkname, link)
}

fn put(field: &mut [u8; 100], text: &[u8]) -> bool {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    length == text.len()
}

/// Who stands for an owner without a number (kernel.overflowuid).
const NOBODY: u32 = 65_534;

fn header(kind: EntryType, state: Option<&State>) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    // A set-id bit of a target's making goes nowhere.
    header.set_mode(state.map_or(0o644, |state| state.mode & 0o1777));
    // Another of the sandbox's ids, which the reader cannot know, is not root's.
    header.set_uid(state.map_or(0, |state| state.owner.unwrap_or(NOBODY)).into());
    header.set_gid(state.map_or(0, |state| state.group.unwrap_or(NOBODY)).into());
    header.set_mtime(state.map_or(0, |state| u64::try_from(state.written.0).unwrap_or(0)));
    header.set_size(0);
    header
}

/// The directory of a path, with a `/` behind it, and its last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let name = Path::new(std::ffi::OsStr::from_bytes(path)).file_name();
    let name = name.map_or(&b""[..], OsStrExt::as_bytes);
    path.split_at(path.len() - name.len())
}

fn whiteout(parent: &[u8], name: &[u8]) -> Vec<u8> {
    [parent, WHITEOUT, name].concat()
}

fn with(path: &[u8]) -> Vec<u8> {
    [path, b"/"].concat()
}

fn zeros(out: &mut dyn Write, mut count: u64) -> io::Result<()> {
    let none = [0; 4096];
    while count > 0 {
        let part = count.min(none.len() as u64);
        out.write_all(&none[..part as usize])?;
        count -= part;
    }
    Ok(())
}
