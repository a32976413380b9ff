//! How the reader's process says what it finds: a stream through a pipe, without an end to its
//! length and with a bound to each part.
//!
//! The other side believes no more than that bytes are bytes: whatever is wrong with them ends the
//! reading.

use super::walk::{LONGEST, PIECE, Sink};
use super::{Change, Kind, State, Stop, Stopped, What};
use crate::sys::{self, Errno};
use std::io::{self, BufRead, Read};
use std::os::fd::RawFd;

/// One part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Change(Box<Change>),
    /// Bytes of the file of the last change: of what was before, or of what is there now.
    Data {
        before: bool,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// All of that file were given.
    End {
        before: bool,
    },
}

/// The kinds of parts.
const CHANGE: u8 = 1;
const DATA: u8 = 2;
const END: u8 = 3;
const DONE: u8 = 4;
const STOPPED: u8 = 5;

/// How much is gathered before it is written.
const GATHERED: usize = 64 << 10;

const KINDS: [Kind; 7] = [
    Kind::File,
    Kind::Directory,
    Kind::Link,
    Kind::Fifo,
    Kind::Socket,
    Kind::Character,
    Kind::Block,
];
const WHATS: [What; 5] = [What::Added, What::Changed, What::Removed, What::Replaced, What::Rights];

/// The reader's end.
pub(super) struct Writer {
    pipe: RawFd,
    gathered: Vec<u8>,
}

impl Writer {
    pub(super) fn new(pipe: RawFd) -> Writer {
        Writer { pipe, gathered: Vec::with_capacity(2 * GATHERED) }
    }

    fn number(&mut self, number: u64) {
        self.gathered.extend_from_slice(&number.to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.gathered.extend_from_slice(bytes);
    }

    fn state(&mut self, state: Option<&State>) {
        let Some(state) = state else { return self.gathered.push(0) };
        let kind = KINDS.iter().position(|kind| *kind == state.kind).unwrap_or(0);
        self.gathered.push(1 + kind as u8);
        let id = |id: Option<u32>| id.map_or(u64::MAX, u64::from);
        for number in [
            u64::from(state.mode),
            id(state.owner),
            id(state.group),
            state.size,
            state.allocated,
            state.inode.0,
            state.inode.1,
            u64::from(state.links),
            state.changed.0 as u64,
            u64::from(state.changed.1),
            state.written.0 as u64,
            u64::from(state.written.1),
        ] {
            self.number(number);
        }
        self.bytes(&state.target);
    }

    fn sent(&mut self) -> sys::Result {
        if self.gathered.len() < GATHERED { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> sys::Result {
        sys::write_all(self.pipe, &self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// The last word.
    pub(super) fn finish(&mut self, outcome: Result<(), Stopped>) -> sys::Result {
        match outcome {
            Ok(()) => self.gathered.push(DONE),
            Err(Stopped { stop, path }) => {
                self.gathered.push(STOPPED);
                let (kind, number, name) = match stop {
                    Stop::Errno(errno) => (0, errno as u64, vec![]),
                    Stop::Foreign(name) => (1, 0, name),
                    Stop::TooLong => (2, 0, vec![]),
                    Stop::TooMany => (3, 0, vec![]),
                    Stop::Moved => (4, 0, vec![]),
                };
                self.gathered.push(kind);
                self.number(number);
                self.bytes(&name);
                self.bytes(&path);
            }
        }
        self.flush()
    }
}

impl Sink for Writer {
    fn change(&mut self, change: &Change) -> sys::Result {
        let what = WHATS.iter().position(|what| *what == change.what).unwrap_or(0);
        let flags = [change.unread, change.is_copy].map(u8::from);
        self.gathered.extend_from_slice(&[CHANGE, what as u8]);
        self.gathered.extend_from_slice(&flags);
        self.bytes(&change.path);
        self.state(change.before.as_ref());
        self.state(change.after.as_ref());
        self.sent()
    }

    fn data(&mut self, before: bool, offset: u64, bytes: &[u8]) -> sys::Result {
        self.gathered.extend_from_slice(&[DATA, u8::from(before)]);
        self.number(offset);
        self.bytes(bytes);
        self.sent()
    }

    fn end(&mut self, before: bool) -> sys::Result {
        self.gathered.extend_from_slice(&[END, u8::from(before)]);
        self.sent()
    }
}

/// The launcher's end: the next part, `None` after the last.
pub(super) fn next(from: &mut impl BufRead) -> Result<Option<Item>, Stopped> {
    let bad = |_: io::Error| Stopped { stop: Stop::Errno(libc::EPIPE), path: vec![] };
    let kind = byte(from).map_err(bad)?;
    match kind {
        CHANGE => change(from).map(|change| Some(Item::Change(Box::new(change)))).map_err(bad),
        DATA => data(from).map(Some).map_err(bad),
        END => Ok(Some(Item::End { before: byte(from).map_err(bad)? == 1 })),
        DONE => Ok(None),
        STOPPED => Err(stopped(from).map_err(bad)?),
        _ => Err(bad(wrong())),
    }
}

/// How many parts some bytes are, as far as they are understood.
#[cfg(not(face_alone))]
pub fn understood(mut bytes: &[u8]) -> usize {
    std::iter::from_fn(|| next(&mut bytes).ok().flatten()).count()
}

fn wrong() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

fn bytes(from: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let length = usize::try_from(number(from)?).ok().filter(|length| *length <= most);
    let mut bytes = vec![0; length.ok_or_else(wrong)?];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn data(from: &mut impl Read) -> io::Result<Item> {
    let before = byte(from)? == 1;
    Ok(Item::Data { before, offset: number(from)?, bytes: bytes(from, PIECE)? })
}

fn change(from: &mut impl Read) -> io::Result<Change> {
    let what = *WHATS.get(usize::from(byte(from)?)).ok_or_else(wrong)?;
    let (unread, is_copy) = (byte(from)? == 1, byte(from)? == 1);
    let path = bytes(from, LONGEST)?;
    // A path is names, and leads nowhere else.
    let is_name = |name: &[u8]| ![&b""[..], b".", b".."].contains(&name) && !name.contains(&0);
    if !path.is_empty() && !path.split(|byte| *byte == b'/').all(is_name) {
        return Err(wrong());
    }
    let (before, after) = (state(from)?, state(from)?);
    let fits = match what {
        What::Added => before.is_none() && after.is_some(),
        What::Removed => before.is_some() && after.is_none(),
        What::Changed | What::Replaced | What::Rights => before.is_some() && after.is_some(),
    };
    if fits { Ok(Change { path, what, before, after, unread, is_copy }) } else { Err(wrong()) }
}

fn state(from: &mut impl Read) -> io::Result<Option<State>> {
    let kind = match byte(from)? {
        0 => return Ok(None),
        kind => *KINDS.get(usize::from(kind) - 1).ok_or_else(wrong)?,
    };
    let mut numbers = [0; 12];
    for place in &mut numbers {
        *place = number(from)?;
    }
    let [mode, owner, group, size, allocated, device, inode, links, changed, nano, written, n] =
        numbers;
    let id = |id: u64| u32::try_from(id).ok();
    Ok(Some(State {
        kind,
        mode: mode as u32 & 0o7777,
        owner: id(owner),
        group: id(group),
        size,
        allocated,
        inode: (device, inode),
        links: links as u32,
        changed: (changed as i64, nano as u32),
        written: (written as i64, n as u32),
        target: bytes(from, libc::PATH_MAX as usize)?,
    }))
}

fn stopped(from: &mut impl Read) -> io::Result<Stopped> {
    let (kind, errno) = (byte(from)?, number(from)?);
    let name = bytes(from, PIECE)?;
    let stop = match kind {
        0 => Stop::Errno(errno as i32),
        1 => Stop::Foreign(name),
        2 => Stop::TooLong,
        3 => Stop::TooMany,
        4 => Stop::Moved,
        _ => return Err(wrong()),
    };
    // The path that is too long is longer than others by a name.
    Ok(Stopped { stop, path: bytes(from, LONGEST + 256)? })
}

/// What the pipe itself refuses.
impl From<Errno> for Stopped {
    fn from(Errno(errno): Errno) -> Stopped {
        Stopped { stop: Stop::Errno(errno), path: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(kind: Kind) -> State {
        State {
            kind,
            mode: 0o4755,
            owner: Some(7),
            group: None,
            size: u64::MAX,
            allocated: 512,
            inode: (1, 2),
            links: 3,
            changed: (-1, 999_999_999),
            written: (1 << 40, 0),
            target: b"/etc\n\xff".to_vec(),
        }
    }

    /// What is written as these parts, as it is read.
    fn through(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let (reader, pipe) = sys::pipe().unwrap();
        let mut writer = Writer::new(pipe);
        write(&mut writer);
        sys::close(pipe).unwrap();
        let mut bytes = vec![];
        std::fs::File::from(sys::owned(reader)).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_found_arrives_as_it_was_sent_and_nothing_else_is_taken_for_it() {
        let change = Change {
            path: b"a/b\nc\xff".to_vec(),
            what: What::Replaced,
            before: Some(state(Kind::Link)),
            after: Some(state(Kind::Fifo)),
            unread: true,
            is_copy: true,
        };
        let stopped = Stopped { stop: Stop::Foreign(b"x".to_vec()), path: b"a".to_vec() };
        let all = through(|writer| {
            writer.change(&change).unwrap();
            writer.data(true, 5, b"bytes").unwrap();
            writer.end(false).unwrap();
            writer.finish(Err(stopped.clone())).unwrap();
        });
        let mut from = &all[..];
        assert_eq!(next(&mut from), Ok(Some(Item::Change(Box::new(change.clone())))));
        let data = Item::Data { before: true, offset: 5, bytes: b"bytes".to_vec() };
        assert_eq!(next(&mut from), Ok(Some(data)));
        assert_eq!(next(&mut from), Ok(Some(Item::End { before: false })));
        assert_eq!(next(&mut from), Err(stopped));
        assert!(from.is_empty());
        assert_eq!(next(&mut &[DONE][..]), Ok(None));
        // A stream that ends anywhere has no other meaning.
        let ended = Err(Stopped { stop: Stop::Errno(libc::EPIPE), path: vec![] });
        let one = through(|writer| {
            writer.change(&change).unwrap();
            writer.flush().unwrap();
        });
        for length in 0..one.len() {
            assert_eq!(next(&mut &one[..length]), ended, "{length}");
        }
        for path in [&b"/etc"[..], b"a//b", b"..", b"a/../b", b"a/", b"./a", b"a\0"] {
            let odd = Change { path: path.to_vec(), ..change.clone() };
            let odd = through(|writer| {
                writer.change(&odd).unwrap();
                writer.flush().unwrap();
            });
            assert_eq!(next(&mut &odd[..]), ended, "{path:?}");
        }
    }
}
