//! A helper's process, from its first call to its last.

use super::confine::{self, Calls, Confinement};
use super::records::{Writer, of_confinement};
use super::{End, Helper};
use crate::sys::{self, FdMessage, NoWayBack};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The launcher's descriptors that are its own.
pub(super) struct Ends {
    pub socket: RawFd,
    pub records: RawFd,
    pub given: Vec<RawFd>,
}

/// The descriptors and limits that it works with.
pub struct Inside {
    pub records: Writer,
    /// The directory whose files it may read; -1 where there is none, or no Landlock.
    pub directory: RawFd,
    letter: Box<FdMessage>,
    socket: RawFd,
}

/// Becomes that process.
pub(super) fn run(
    helper: &mut dyn Helper,
    name: &CStr,
    confinement: &Confinement,
    end: End,
    most_kept: usize,
    ends: Ends,
) -> ! {
    let _ends_here = NoWayBack;
    // All memory is taken before the filter, which has no call to ask for more, nor to give any
    // back.
    let mut inside = Inside::new(ends.socket, ends.records, most_kept);
    let confined = restrict(helper, name, confinement, end, ends.given, &mut inside);
    let reported = inside.records.send_and_wait(&of_confinement(confined));
    let served = confined.and(reported).and_then(|()| helper.serve(&mut inside));
    sys::exit(if served.is_ok() { 0 } else { 125 })
}

fn restrict(
    helper: &dyn Helper,
    name: &CStr,
    confinement: &Confinement,
    end: End,
    mut keep: Vec<RawFd>,
    inside: &mut Inside,
) -> sys::Result {
    keep.extend([inside.socket, inside.records.pipe()]);
    let directory = confine::leave_the_launcher(name, confinement, &mut keep)?;
    inside.records.never_wait()?;
    if confinement.is_later {
        return Ok(());
    }
    inside.directory = confine::give_up_rights(confinement, end, directory)?;
    confine::filter(inside.filter(helper))
}

impl Inside {
    fn new(socket: RawFd, records: RawFd, most_kept: usize) -> Inside {
        let records = Writer::new(records, most_kept);
        Inside { records, directory: -1, letter: FdMessage::empty(), socket }
    }

    /// What it calls from here on: its work's calls, and those by which it reports and ends.
    pub(super) fn filter(&self, helper: &dyn Helper) -> Calls {
        let written = [self.records.pipe(), self.socket];
        let written: Vec<i64> = written.into_iter().filter(|fd| *fd >= 0).map(i64::from).collect();
        let mut calls = vec![
            confine::any("ppoll"),
            confine::any("exit_group"),
            confine::with("write", &[(0, &written)]),
        ];
        calls.extend(helper.calls(self));
        calls
    }

    /// One of several descriptors that it is handed; `None` where there was no sandbox in the end.
    pub(super) fn next(&mut self) -> sys::Result<Option<RawFd>> {
        self.letter.receive(self.socket)
    }

    /// Says that it has them.
    pub(super) fn has_all(&mut self) -> sys::Result {
        sys::write_all(self.socket, b"A")
    }

    /// The descriptor that it is handed, once it arrives, and says so; `None` where there was no
    /// sandbox in the end.
    pub fn receive(&mut self) -> sys::Result<Option<RawFd>> {
        let Some(handed) = self.letter.receive(self.socket)? else { return Ok(None) };
        sys::write_all(self.socket, b"A")?;
        // The launcher no longer reads it.
        sys::regardless(sys::close(self.socket));
        Ok(Some(handed))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernel::syscalls;
    use crate::policy::seccomp::{Filter, Verdict};

    /// Whether a helper may make a call. Its socket is 3, its records go to 4, and it reads files
    /// below 5.
    pub(in super::super) fn may(helper: &dyn Helper, name: &str, arguments: [i64; 6]) -> bool {
        let inside = Inside { directory: 5, ..Inside::new(3, 4, 0) };
        let number = syscalls::number(name).unwrap();
        let verdict =
            Filter::only(inside.filter(helper)).judge(number, &arguments.map(|n| n as u64));
        verdict == Verdict::Allow
    }

    /// How many calls it may make in any way.
    pub(in super::super) fn calls(helper: &dyn Helper) -> usize {
        Inside { directory: 5, ..Inside::new(3, 4, 0) }.filter(helper).len()
    }
}
