//! Denied calls as data, and the records in which the process that answers for them tells the
//! launcher.
//!
//! A record has numbers and a name of at most 16 bytes. The name is the target's word (prctl(2),
//! PR_SET_NAME), so whoever shows it escapes it.

use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// A kind of denied call: the same call with the same arguments, as far as they decide, by
/// processes of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denial {
    /// AUDIT_ARCH_* of the call.
    pub architecture: u32,
    /// Its number there.
    pub number: u32,
    /// The registers of the first.
    pub arguments: [u64; 6],
    /// Who made the first.
    pub who: Who,
    /// What became of whoever made it.
    pub then: Then,
    /// How many there were.
    pub count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    /// The kernel's name of it, filled up with zeroes; empty where it is not known.
    pub name: [u8; 16],
    /// Its number in its own pid namespace; 0 where it is not known.
    pub inside: u32,
    /// The number of the thread outside; 0 where it is not seen there.
    pub outside: u32,
}

/// What follows a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The call failed with the policy's errno.
    Failed,
    /// The process was ended, as the policy has it.
    Killed,
    /// The process was to be ended, and could not be: the sandbox ends.
    Unkillable,
}

impl Who {
    /// Nothing is known but the number.
    pub(crate) fn unknown(outside: u32) -> Who {
        Who { name: [0; 16], inside: 0, outside }
    }

    /// The name, less the zeroes.
    pub(crate) fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// All that was denied in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denials {
    /// Each kind, in the order of the first of it.
    pub kinds: Vec<Denial>,
    /// Calls of kinds beyond [`MOST`].
    pub more: u64,
    /// Whether the counts are those at the end of the run; else the process that answers ended
    /// before it, and the counts are at least that.
    pub complete: bool,
}

impl Default for Denials {
    /// Of a run in which nobody was told of any.
    fn default() -> Denials {
        Denials { kinds: vec![], more: 0, complete: true }
    }
}

/// How many kinds are kept.
pub(super) const MOST: usize = 128;

/// What the process that answers tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// It is behind its walls, or this stopped it.
    Walled(Result<(), Errno>),
    /// A kind of denial, by its place in the list.
    Denied(u32, Denial),
    /// The end: so many calls are in no kind.
    Done(u64),
}

const LENGTH: usize = 104;
const WALLED: u32 = 1;
const DENIED: u32 = 2;
const DONE: u32 = 3;

impl Then {
    const ALL: [Then; 3] = [Then::Failed, Then::Killed, Then::Unkillable];

    fn code(self) -> u32 {
        match self {
            Then::Failed => 0,
            Then::Killed => 1,
            Then::Unkillable => 2,
        }
    }
}

impl Record {
    /// Sends it. It is shorter than PIPE_BUF, so it arrives whole (pipe(7)).
    pub(crate) fn send(&self, pipe: RawFd) -> sys::Result {
        sys::write_all(pipe, &self.bytes())
    }

    /// The next one, or `None` at the end of the file, and for what is no record.
    pub(crate) fn receive(pipe: RawFd) -> sys::Result<Option<Record>> {
        let mut bytes = [0; LENGTH];
        loop {
            match sys::read(pipe, &mut bytes) {
                Err(Errno(libc::EINTR)) => {}
                Ok(LENGTH) => return Ok(Record::of(&bytes)),
                other => return other.map(|_| None),
            }
        }
    }

    fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        match self {
            Record::Walled(result) => {
                put(&mut bytes, &[WALLED, result.err().map_or(0, |Errno(errno)| errno as u32)], &[])
            }
            Record::Done(more) => put(&mut bytes, &[DONE], &[*more]),
            Record::Denied(place, denial) => {
                let Denial { architecture, number, arguments, who, then, count } = denial;
                let [a, b, c, d, e, f] = *arguments;
                let short =
                    [DENIED, *place, *architecture, *number, who.inside, who.outside, then.code()];
                put(&mut bytes, &short, &[*count, a, b, c, d, e, f]);
                bytes[LENGTH - 16..].copy_from_slice(&who.name);
            }
        }
        bytes
    }

    fn of(bytes: &[u8; LENGTH]) -> Option<Record> {
        let short = |place: usize| {
            bytes[place * 4..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let long = |place: usize| {
            bytes[SHORT * 4 + place * 8..]
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
        };
        match short(0) {
            WALLED => Some(Record::Walled(if short(1) == 0 {
                Ok(())
            } else {
                Err(Errno(short(1) as i32))
            })),
            DONE => Some(Record::Done(long(0))),
            DENIED => {
                let name = *bytes.last_chunk()?;
                let who = Who { name, inside: short(4), outside: short(5) };
                let then = Then::ALL.into_iter().find(|then| then.code() == short(6))?;
                let arguments = [1, 2, 3, 4, 5, 6].map(long);
                let denial = Denial {
                    architecture: short(2),
                    number: short(3),
                    arguments,
                    who,
                    then,
                    count: long(0),
                };
                Some(Record::Denied(short(1), denial))
            }
            _ => None,
        }
    }
}

/// Numbers of four bytes, before those of eight.
const SHORT: usize = 8;

fn put(bytes: &mut [u8; LENGTH], short: &[u32], long: &[u64]) {
    let (first, second) = bytes.split_at_mut(SHORT * 4);
    first
        .chunks_exact_mut(4)
        .zip(short)
        .for_each(|(place, number)| place.copy_from_slice(&number.to_ne_bytes()));
    second
        .chunks_exact_mut(8)
        .zip(long)
        .for_each(|(place, number)| place.copy_from_slice(&number.to_ne_bytes()));
}

impl Denials {
    /// Takes a record in. A place that is out of order is none of ours.
    pub(crate) fn take(&mut self, record: Record) {
        match record {
            Record::Denied(place, denial) => {
                let place = place as usize;
                if let Some(known) = self.kinds.get_mut(place) {
                    *known = denial;
                } else if place == self.kinds.len() && place < MOST {
                    self.kinds.push(denial);
                }
            }
            Record::Done(more) => (self.more, self.complete) = (more, true),
            Record::Walled(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(count: u64) -> Denial {
        let who = Who { name: *b"0123456789abcde\0", inside: 7, outside: 4711 };
        Denial {
            architecture: 0xc000_003e,
            number: 83,
            arguments: [1, 2, u64::MAX, 4, 5, 6],
            who,
            then: Then::Killed,
            count,
        }
    }

    #[test]
    fn records_arrive_as_they_were_sent() {
        let (reader, writer) = sys::pipe().unwrap();
        let sent = [
            Record::Walled(Ok(())),
            Record::Walled(Err(Errno(38))),
            Record::Denied(3, denial(1 << 40)),
            Record::Done(9),
        ];
        for record in sent {
            record.send(writer).unwrap();
        }
        for record in sent {
            assert_eq!(Record::receive(reader), Ok(Some(record)));
        }
        sys::write_all(writer, b"short").unwrap();
        sys::close(writer).unwrap();
        assert_eq!((Record::receive(reader), Record::receive(reader)), (Ok(None), Ok(None)));
        assert_eq!(denial(1).who.name(), b"0123456789abcde");
    }

    #[test]
    fn a_list_has_no_holes_and_an_end() {
        let mut denials = Denials { complete: false, ..Denials::default() };
        denials.take(Record::Denied(1, denial(1)));
        assert!(denials.kinds.is_empty());
        (0..MOST as u32 + 5).for_each(|place| denials.take(Record::Denied(place, denial(1))));
        denials.take(Record::Denied(2, denial(70)));
        assert_eq!(
            (denials.kinds.len(), denials.kinds[2].count, denials.complete),
            (MOST, 70, false)
        );
        denials.take(Record::Done(5));
        assert_eq!((denials.more, denials.complete), (5, true));
    }
}
