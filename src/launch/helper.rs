//! Helpers: processes of the launcher that do what it must not do itself, such as reading what the
//! target writes, or must not die with it.
//!
//! A helper is one file: a type that implements [`Helper`]. Its process is a fork of the launcher
//! that restricts itself ([`self::confine`]), has the descriptors that it was given and no others, and
//! reports by records of one size ([`records`]), whose pipe is one more source of the launcher's
//! poll table. The launcher believes numbers alone: a helper that is killed, stopped, or taken over
//! by what it reads can report nonsense, and no more. Nor does one see another's descriptors.

pub(crate) mod answer;
pub(crate) mod confine;
pub(crate) mod denial;
pub(super) mod handover;
mod inside;
pub(crate) mod records;
pub(crate) mod server;
pub(super) mod watcher;

use super::{Failure, own};
use crate::sys::{self, Errno};
use crate::text::problem::Problem;
use confine::Confinement;
use denial::{Denial, Denials};
pub use inside::Inside;
use records::{Record, confined};
use std::ffi::CStr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// One helper, on both sides of the fork: what it was made with is there in both.
pub trait Helper {
    /// What it is and has.
    fn about(&self) -> About;

    /// The system calls of its work, beside those by which every helper waits, reports and ends.
    /// Whatever else it calls ends it.
    fn calls(&self, inside: &Inside) -> confine::Calls;

    /// Its work, restricted. It ends with it. Memory is taken before, when it is made.
    fn serve(&mut self, inside: &mut Inside) -> sys::Result;

    /// Takes a record in, in the launcher; `tell` gets each denial that was not reported yet.
    fn take(&mut self, record: &Record, tell: &mut dyn FnMut(&Denial)) -> Next;

    /// Why the sandbox must end when the helper has ended or reports no more; `None` if it need
    /// not.
    fn ended(&self) -> Option<Problem> {
        None
    }

    /// What it has reported as denied.
    fn denials(&mut self) -> Denials {
        Denials::default()
    }
}

/// What a helper is and has.
#[derive(Debug)]
pub struct About {
    /// How it is called in lists of processes, in 15 bytes at most.
    pub name: &'static CStr,
    /// How it is called in messages: `the process that ...`.
    pub what: &'static str,
    /// The launcher's descriptors that it keeps.
    pub given: Vec<RawFd>,
    /// Whether the first process of the sandbox hands it a descriptor, before the target runs.
    pub is_handed: bool,
    /// How many records are kept for a launcher that does not read them yet.
    pub most_kept: usize,
    pub confinement: Confinement,
    pub end: End,
}

/// How a helper ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, after its last records, once the sandbox has ended; at once if the launcher dies.
    ByItself,
    /// By the launcher. It outlives a launcher that dies, and sees by itself what is to be done.
    ByTheLauncher,
}

/// What the launcher does after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    GoOn,
    EndTheSandbox,
}

/// A helper's process, as the launcher has it.
struct Running<'t> {
    helper: Box<dyn Helper + 't>,
    name: &'static CStr,
    end: End,
    pid: i32,
    pidfd: RawFd,
    /// The socket through which the first process of the sandbox hands it a descriptor; -1 if it
    /// hands over none, and after the clone, when only that process has it.
    socket: RawFd,
    /// -1 once it has nothing more to report.
    records: RawFd,
}

/// Those of one launch.
pub(super) struct Helpers<'t> {
    running: Vec<Running<'t>>,
    tell: &'t mut dyn FnMut(&Denial),
}

/// How long one may take to be restricted, and to answer for what it is handed: one that is stopped
/// meanwhile would be waited for without an end, and by whom no signal ends.
pub(super) const START: Duration = Duration::from_secs(10);

/// How long all of them together may take to end once the sandbox has.
const GRACE: Duration = Duration::from_secs(2);

impl<'t> Helpers<'t> {
    pub(super) fn new(tell: &'t mut dyn FnMut(&Denial)) -> Helpers<'t> {
        Helpers { running: vec![], tell }
    }

    /// Starts one, and waits until it is restricted.
    pub(super) fn start(&mut self, mut helper: Box<dyn Helper + 't>) -> Result<(), Failure> {
        let About { name, what, given, is_handed, most_kept, confinement, end } = helper.about();
        let failed = |errno| own(&format!("start {what}"), errno);
        let (socket, its_socket) =
            if is_handed { sys::socket_pair().map_err(failed)? } else { (-1, -1) };
        if is_handed {
            sys::limit_wait(socket, START.as_secs()).map_err(failed)?;
        }
        let (records, its_records) = sys::pipe().map_err(failed)?;
        let mut pidfd = -1;
        let pid = match sys::clone_process(0, &mut pidfd, None).map_err(failed)? {
            0 => {
                let ends = inside::Ends { socket: its_socket, records: its_records, given };
                inside::run(helper.as_mut(), name, &confinement, end, most_kept, ends)
            }
            pid => pid,
        };
        self.running.push(Running { helper, name, end, pid, pidfd, socket, records });
        // Its ends are its own: the end of its process is the end of the file.
        for fd in [its_socket, its_records].into_iter().filter(|fd| *fd >= 0) {
            sys::close(fd).map_err(failed)?;
        }
        wait_for_first(records).map_err(failed)?;
        match records::receive(records).map(|record| record.and_then(|record| confined(&record))) {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(errno))) | Err(errno) => {
                Err(own(&format!("restrict {what}"), errno).into())
            }
            Ok(None) => Err(failed(Errno(libc::EPIPE)).into()),
        }
    }

    /// The socket of the helper of that name, if there is one.
    pub(super) fn socket_of(&self, name: &CStr) -> Option<RawFd> {
        self.running.iter().find(|running| running.name == name).map(|running| running.socket)
    }

    /// Those of all helpers of that name, in the order in which they were started.
    pub(super) fn sockets_of(&self, name: &CStr) -> impl DoubleEndedIterator<Item = RawFd> {
        self.running.iter().filter(move |one| one.name == name).map(|one| one.socket)
    }

    /// Closes this process's copies of the sockets that the first process of the sandbox has
    /// inherited, so that the end of a start that failed is seen.
    pub(super) fn leave_the_sockets(&mut self) {
        for running in &mut self.running {
            close(&mut running.socket);
        }
    }

    /// Ends every server of layers: calls on what they show fail, and who makes them can end.
    pub(super) fn end_servers(&self) {
        for server in self.running.iter().filter(|one| one.name == server::NAME) {
            // One that has ended already needs no end.
            sys::regardless(sys::signal_pidfd(server.pidfd, libc::SIGKILL));
        }
    }

    /// What to wait for, each with the place of its helper. A negative descriptor is never ready.
    pub(super) fn sources(&self) -> impl Iterator<Item = (usize, RawFd)> {
        self.running.iter().map(|running| running.records).enumerate()
    }

    /// Takes in one record of one of them; the error says why the sandbox must end.
    pub(super) fn receive(&mut self, place: usize) -> Result<Next, Failure> {
        let Some(running) = self.running.get_mut(place) else { return Ok(Next::GoOn) };
        if let Ok(Some(record)) = records::receive(running.records) {
            return Ok(running.helper.take(&record, self.tell));
        }
        close(&mut running.records);
        running.helper.ended().map_or(Ok(Next::GoOn), |problem| Err(problem.into()))
    }

    /// Reads their last records, waits for their end, and returns what they have reported as
    /// denied.
    pub(super) fn finish(mut self) -> Denials {
        self.leave_the_sockets();
        let until = Instant::now() + GRACE;
        let mut denials = Denials::default();
        for place in 0..self.running.len() {
            // One that reports without an end has its time, too.
            while self.running[place].has_last_words() {
                let left = until.saturating_duration_since(Instant::now());
                match sys::poll([self.running[place].records], left.as_millis() as i32) {
                    Ok([true]) if !left.is_zero() => drop(self.receive(place)),
                    Ok(_) | Err(_) => break,
                }
            }
            let running = &mut self.running[place];
            // One that has ended already is waited for all the same. One that was not sent the
            // signal would be waited for without an end: it is our child, and no other process can
            // have its number.
            if sys::signal_pidfd(running.pidfd, libc::SIGKILL).is_err() {
                sys::regardless(sys::kill(running.pid, libc::SIGKILL));
            }
            sys::regardless(sys::wait_for(running.pid));
            denials.add(running.helper.denials());
        }
        denials
    }
}

impl Running<'_> {
    fn has_last_words(&self) -> bool {
        self.end == End::ByItself && self.records >= 0
    }
}

/// Waits for the first record of one, or for its end.
fn wait_for_first(records: RawFd) -> sys::Result {
    let until = Instant::now() + START;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match sys::poll([records], left.as_millis() as i32)? {
            [true] => return Ok(()),
            [false] if left.is_zero() => return Err(Errno(libc::ETIMEDOUT)),
            [false] => {}
        }
    }
}

fn close(fd: &mut RawFd) {
    if *fd >= 0 {
        sys::regardless(sys::close(std::mem::replace(fd, -1)));
    }
}
