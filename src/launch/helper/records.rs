//! The pipe by which a helper reports to the launcher: records of one size.
//!
//! A helper never waits for a launcher that reads slowly or is stopped, as the process that waits for the
//! helper would: a record that finds no room in the pipe is kept, as many as were agreed on. Nor
//! does the launcher wait for a helper that stops in the middle of a record: a record arrives whole
//! or not at all, as it is shorter than PIPE_BUF (pipe(7)).

use crate::sys::{self, Errno, Waiting};
use std::collections::VecDeque;
use std::os::fd::RawFd;

/// The size of a record.
const LENGTH: usize = 8 * 4 + 7 * 8 + 16;

/// A record. The first number is its kind; what the others mean is its sender's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    pub short: [u32; 8],
    pub long: [u64; 7],
    pub text: [u8; 16],
}

/// The kind of the first record of every helper. Its own are of other kinds.
const CONFINED: u32 = 1;

/// The record of a helper that is restricted, or that this has kept from it.
pub(super) fn of_confinement(result: sys::Result) -> Record {
    let errno = result.err().map_or(0, |Errno(errno)| errno as u32);
    Record { short: [CONFINED, errno, 0, 0, 0, 0, 0, 0], ..Record::default() }
}

/// The content of such a record; `None` for another.
pub(super) fn confined(record: &Record) -> Option<sys::Result> {
    match record.short {
        [CONFINED, 0, ..] => Some(Ok(())),
        [CONFINED, errno, ..] => Some(Err(Errno(errno as i32))),
        _ => None,
    }
}

impl Record {
    fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let short = self.short.iter().flat_map(|number| number.to_ne_bytes());
        let long = self.long.iter().flat_map(|number| number.to_ne_bytes());
        let all = short.chain(long).chain(self.text);
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    fn of(bytes: &[u8; LENGTH]) -> Record {
        let (mut record, mut rest) = (Record::default(), &bytes[..]);
        for number in &mut record.short {
            let (first, others) = rest.split_at(4);
            *number = first.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            rest = others;
        }
        for number in &mut record.long {
            let (first, others) = rest.split_at(8);
            *number = first.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            rest = others;
        }
        record.text.copy_from_slice(rest);
        record
    }
}

/// The launcher's end: the next record, or `None` at the end of the file, and for what is none.
pub(super) fn receive(pipe: RawFd) -> sys::Result<Option<Record>> {
    let mut bytes = [0; LENGTH];
    loop {
        match sys::read(pipe, &mut bytes) {
            Err(Errno(libc::EINTR)) => {}
            Ok(LENGTH) => return Ok(Some(Record::of(&bytes))),
            other => return other.map(|_| None),
        }
    }
}

/// The helper's end.
#[derive(Debug)]
pub struct Writer {
    pipe: RawFd,
    kept: VecDeque<Record>,
    most: usize,
}

impl Writer {
    /// Takes all the memory that it will need.
    pub(super) fn new(pipe: RawFd, most: usize) -> Writer {
        Writer { pipe, kept: VecDeque::with_capacity(most), most }
    }

    /// From here on the pipe fails where it would wait.
    pub(super) fn never_wait(&self) -> sys::Result {
        sys::set_open_flags(self.pipe, sys::open_flags(self.pipe)? | libc::O_NONBLOCK)
    }

    pub(super) fn pipe(&self) -> RawFd {
        self.pipe
    }

    /// Sends one, or keeps it until there is room; `false` where there is no room to keep it.
    pub fn send(&mut self, record: &Record) -> sys::Result<bool> {
        if self.send_kept()? && self.write(record)? {
            return Ok(true);
        }
        let fits = self.kept.len() < self.most;
        if fits {
            self.kept.push_back(*record);
        }
        Ok(fits)
    }

    /// Sends one after all that are kept. It waits for room, so no process may wait for this one.
    pub fn send_and_wait(&mut self, record: &Record) -> sys::Result {
        while !self.send_kept()? || !self.write(record)? {
            again(sys::wait_for_room(-1, self.pipe))?;
        }
        Ok(())
    }

    /// Waits until a descriptor has something to read, or has none any more. Kept records are sent
    /// meanwhile, as there is room.
    pub fn wait_on(&mut self, fd: RawFd) -> sys::Result<Waiting> {
        loop {
            let to = if self.kept.is_empty() { -1 } else { self.pipe };
            let Some((waiting, room)) = again(sys::wait_for_room(fd, to))? else { continue };
            if room {
                self.send_kept()?;
            }
            if waiting != Waiting::Nothing {
                return Ok(waiting);
            }
        }
    }

    /// Whether nothing is kept any more.
    fn send_kept(&mut self) -> sys::Result<bool> {
        while let Some(record) = self.kept.front() {
            if !self.write(record)? {
                return Ok(false);
            }
            self.kept.pop_front();
        }
        Ok(true)
    }

    /// Whether there was room.
    fn write(&self, record: &Record) -> sys::Result<bool> {
        loop {
            match sys::write(self.pipe, &record.bytes()) {
                Ok(LENGTH) => return Ok(true),
                Ok(_) => return Err(Errno(libc::EIO)),
                Err(Errno(libc::EAGAIN)) => return Ok(false),
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// `None` where a signal came in between.
fn again<T>(result: sys::Result<T>) -> sys::Result<Option<T>> {
    match result {
        Err(Errno(libc::EINTR)) => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> Record {
        Record {
            short: [2, number, 0, 0, 0, 0, 0, 9],
            long: [1, 2, 3, 4, 5, 6, u64::MAX],
            text: *b"0123456789abcdef",
        }
    }

    #[test]
    fn records_arrive_as_they_were_sent() {
        let (reader, pipe) = sys::pipe().unwrap();
        let mut writer = Writer::new(pipe, 0);
        for sent in [record(1), of_confinement(Ok(())), of_confinement(Err(Errno(38)))] {
            assert_eq!(writer.send(&sent), Ok(true));
            assert_eq!(receive(reader), Ok(Some(sent)));
        }
        assert_eq!(confined(&of_confinement(Err(Errno(38)))), Some(Err(Errno(38))));
        assert_eq!((confined(&of_confinement(Ok(()))), confined(&record(1))), (Some(Ok(())), None));
        sys::write_all(pipe, b"short").unwrap();
        sys::close(pipe).unwrap();
        assert_eq!((receive(reader), receive(reader)), (Ok(None), Ok(None)));
    }

    #[test]
    fn a_full_pipe_keeps_nobody_waiting() {
        let (reader, pipe) = sys::pipe().unwrap();
        let mut writer = Writer::new(pipe, 3);
        writer.never_wait().unwrap();
        let mut sent = 0;
        while writer.kept.is_empty() {
            assert_eq!(writer.send(&record(sent)), Ok(true));
            sent += 1;
        }
        // Of those that find no room, as many are kept as were agreed on; and no memory is taken.
        let capacity = writer.kept.capacity();
        assert_eq!(
            [0, 1, 2].map(|more| writer.send(&record(sent + more))),
            [Ok(true), Ok(true), Ok(false)]
        );
        assert_eq!((writer.kept.len(), writer.kept.capacity()), (3, capacity));
        // With a reader they are sent, in their order, while the writer waits for something else.
        let (question, asked) = sys::pipe().unwrap();
        let others = std::thread::spawn(move || {
            for number in 0..sent + 2 {
                assert_eq!(receive(reader), Ok(Some(record(number))));
            }
            sys::write_all(asked, b"?").unwrap();
            assert_eq!(receive(reader), Ok(Some(record(7))));
            sys::close(reader).unwrap();
        });
        assert_eq!(writer.wait_on(question), Ok(Waiting::Something));
        assert!(writer.kept.is_empty());
        assert_eq!(writer.send_and_wait(&record(7)), Ok(()));
        others.join().unwrap();
        assert_eq!(writer.send(&record(8)), Err(Errno(libc::EPIPE)));
    }
}
