//! A helper that nobody ships: it gives the target back what the target writes, and reports each
//! message. It shows what a helper takes, which is this file, and is one more for the tests of what
//! all helpers promise (`tests/helpers.rs`).
//!
//! `echo MODE PROFILE SCRIPT` launches `sh -c SCRIPT` beside it, by the library's own launch. In
//! the script `FD` stands for the target's end of the socket. A message that begins with a dot is
//! the last.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use stockade::internals::face::launch_beside;
use stockade::internals::launch::helper::confine::{Calls, Confinement, any, with};
use stockade::internals::launch::helper::denial::Denial;
use stockade::internals::launch::helper::records::Record;
use stockade::internals::launch::helper::{About, End, Helper, Inside, Next};
use stockade::internals::sys::{Errno, Result};
use stockade::{Problems, Request};

struct Echo {
    socket: UnixStream,
    mode: Mode,
    /// How many messages were reported, and how many could not be.
    heard: Rc<Cell<(u64, u64)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    /// It reports without an end, from the first message on.
    Floods,
    /// It may call what is refused to it by more than its filter.
    Wide,
}

/// Its records: of a message, and the last.
const MESSAGE: u32 = 2;
const LAST: u32 = 3;

impl Helper for Echo {
    fn about(&self) -> About {
        About {
            name: c"stockade-echo",
            what: "the process that echoes",
            given: vec![self.socket.as_raw_fd()],
            is_handed: false,
            most_kept: 16,
            confinement: Confinement {
                ids: nix::unistd::geteuid().is_root().then_some((65_534, 65_534)),
                capabilities: 0,
                reads: None,
                is_later: false,
            },
            end: End::ByItself,
        }
    }

    fn calls(&self, _: &Inside) -> Calls {
        let socket = &[i64::from(self.socket.as_raw_fd())];
        let mut calls = ["recvfrom", "sendto"].map(|name| with(name, &[(0, socket)])).to_vec();
        if self.mode == Mode::Wide {
            calls.extend(["openat", "execve", "setresuid", "kill"].map(any));
        }
        calls
    }

    fn serve(&mut self, inside: &mut Inside) -> Result {
        let (mut bytes, mut lost) = ([0; 64], 0);
        loop {
            inside.records.wait_on(self.socket.as_raw_fd())?;
            let count = self.socket.read(&mut bytes).map_err(errno)?;
            self.socket.write_all(&bytes[..count]).map_err(errno)?;
            lost += u64::from(!inside.records.send(&record(MESSAGE, 0))?);
            if self.mode == Mode::Floods {
                loop {
                    inside.records.send_and_wait(&record(MESSAGE, 0))?;
                }
            }
            if matches!(bytes[..count], [] | [b'.', ..]) {
                return inside.records.send_and_wait(&record(LAST, lost));
            }
        }
    }

    fn take(&mut self, record: &Record, _: &mut dyn FnMut(&Denial)) -> Next {
        let (heard, lost) = self.heard.get();
        self.heard.set((heard + u64::from(record.short[0] == MESSAGE), lost + record.long[0]));
        Next::GoOn
    }
}

fn record(kind: u32, number: u64) -> Record {
    let mut record = Record::default();
    (record.short[0], record.long[0]) = (kind, number);
    record
}

fn errno(error: std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or_default())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, profile, script] = &words[..] else { panic!("{words:?}") };
    let mode = match mode.as_str() {
        "floods" => Mode::Floods,
        "wide" => Mode::Wide,
        _ => Mode::Plain,
    };
    let heard = Rc::new(Cell::new((0, 0)));
    let status = run(mode, profile, script, heard.clone());
    println!("heard {}, lost {}", heard.get().0, heard.get().1);
    match status {
        Ok(status) => status.into(),
        Err(problems) => {
            eprintln!("{problems}");
            problems.status().into()
        }
    }
}

fn run(
    mode: Mode,
    profile: &str,
    script: &str,
    heard: Rc<Cell<(u64, u64)>>,
) -> std::result::Result<u8, Problems> {
    let (socket, target) = UnixStream::pair().expect("a pair of sockets");
    let fd = target.as_raw_fd();
    let request = Request::new(profile).config(format!("process.pass-fds = [{fd}]")).args([
        "sh",
        "-c",
        &script.replace("FD", &fd.to_string()),
    ]);
    let plan = stockade::plan(stockade::load(&request)?)?;
    Ok(launch_beside(&plan, Some(Box::new(Echo { socket, mode, heard })))?.outcome().status())
}
