//! One order to systemd: a scope with the launcher in it (systemd.scope(5)). Reached only where a
//! plan asks for it.
//!
//! The other end is the caller's own manager, or claims to be: everything that it sends has a bound, and
//! so has the time that it takes. That the launcher is in the scope is believed when the kernel
//! says so.

use super::dbus::{self, Call, ERROR, FIXED, Head, MOST, Message, RETURN, SIGNAL};
use super::{NAMES, Result, Wrong};
use crate::host::systemd::Route;
use crate::probe::groups;
use crate::probe::systemd::connect;
use crate::sys::{self, Errno};
use crate::text::problem::escape;
use std::os::fd::{AsRawFd, OwnedFd};

/// How long all of it may take, in milliseconds: as long as a call of sd-bus(3) may.
const PATIENCE: u64 = 25_000;
/// The longest line of the handshake (D-Bus specification, "Authentication Protocol").
const LONGEST_LINE: usize = 1024;
/// How much of an error's text is reported.
const LONGEST_REASON: usize = 200;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const BUS: &str = "org.freedesktop.DBus";
const MATCH: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// Enters a scope with this name, or one like it where that is taken; gives its directory.
pub(super) fn enter(socket: &str, route: Route, name: &str) -> Result<String> {
    let (uid, _) = sys::ids_at_start();
    let (fd, _) = connect(socket, uid)?;
    let unit =
        Talk { fd: sys::owned(fd), read: vec![], until: sys::now_ms()? + PATIENCE, serial: 0 }
            .ask(route, uid, name)?;
    let here = groups::unified("/proc/self/cgroup")
        .map(|hierarchy| hierarchy.directory)
        .unwrap_or_default();
    if here.rsplit('/').next() == Some(unit.as_str()) {
        return Ok(here);
    }
    let here = if here.is_empty() { "a group that cannot be seen here" } else { &here };
    Err(Wrong::Says(format!("it says that {unit} was started, and the launcher is in {here}")))
}

/// A connection.
struct Talk {
    fd: OwnedFd,
    read: Vec<u8>,
    until: u64,
    serial: u32,
}

impl Talk {
    fn ask(&mut self, route: Route, uid: u32, name: &str) -> Result<String> {
        // EXTERNAL by the uid, which the other end has from SO_PEERCRED anyway; the first byte is
        // zero.
        let hex: String = uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        self.send(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes())?;
        let line = self.line()?;
        if !line.starts_with("OK ") {
            return Err(Wrong::Says(format!("it answers `{}`", shortened(&line))));
        }
        if route == Route::Bus {
            let call = |member, signature, body| Call {
                destination: Some(BUS),
                path: "/org/freedesktop/DBus",
                interface: BUS,
                member,
                signature,
                body,
            };
            self.call(&call("Hello", "", vec![]))?;
            self.call(&call("AddMatch", "s", dbus::one_string(MATCH)))?;
        }
        for more in 0..NAMES {
            let unit =
                if more == 0 { format!("{name}.scope") } else { format!("{name}-{more}.scope") };
            if self.start(route, &unit)? {
                return Ok(unit);
            }
        }
        Err(Errno(libc::EEXIST).into())
    }

    /// Whether it was started; not where the name is taken.
    fn start(&mut self, route: Route, unit: &str) -> Result<bool> {
        self.call(&Call {
            // The manager itself has no names.
            destination: (route == Route::Bus).then_some(SYSTEMD),
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member: "StartTransientUnit",
            signature: dbus::SCOPE,
            body: dbus::scope(unit),
        })?;
        let serial = self.serial;
        loop {
            let Some((head, rest)) = self.message()? else { continue };
            let message = Message::read(&head, &rest).ok_or(Errno(libc::EBADMSG))?;
            match (message.kind, message.strings()[..].as_ref()) {
                (SIGNAL, [_, of, result]) if message.member == "JobRemoved" && *of == unit => {
                    // It has no result but this with which there is a scope.
                    return if *result == "done" {
                        Ok(true)
                    } else {
                        Err(Wrong::Says(format!("its job ended as `{}`", shortened(result))))
                    };
                }
                (ERROR, _)
                    if message.error == "org.freedesktop.systemd1.UnitExists"
                        && message.reply_to == Some(serial) =>
                {
                    return Ok(false);
                }
                // An order before this one is not answered but with an error.
                (ERROR, texts) => {
                    let reason = texts.first().copied().unwrap_or(message.error);
                    return Err(Wrong::Says(format!("it says `{}`", shortened(reason))));
                }
                (RETURN | SIGNAL, _) => {}
                _ => return Err(Errno(libc::EBADMSG).into()),
            }
        }
    }

    fn call(&mut self, call: &Call<'_>) -> Result {
        self.serial += 1;
        self.send(&call.bytes(self.serial))
    }

    /// The message fits into the buffer of a socket that only this process writes to.
    fn send(&self, bytes: &[u8]) -> Result {
        let sent = sys::send(self.fd.as_raw_fd(), bytes)?;
        if sent == bytes.len() { Ok(()) } else { Err(Errno(libc::EMSGSIZE).into()) }
    }

    /// Reads what has come, or waits for it.
    fn more(&mut self) -> Result {
        loop {
            let left = self.until.saturating_sub(sys::now_ms()?);
            if left == 0 {
                return Err(Errno(libc::ETIMEDOUT).into());
            }
            let mut bytes = [0; 4096];
            match sys::read(self.fd.as_raw_fd(), &mut bytes) {
                Ok(0) => return Err(Errno(libc::ECONNRESET).into()),
                Ok(count) => {
                    self.read.extend(&bytes[..count]);
                    return Ok(());
                }
                Err(Errno(libc::EAGAIN)) => {
                    let left = i32::try_from(left).unwrap_or(i32::MAX);
                    sys::poll([self.fd.as_raw_fd()], left)?;
                }
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.read[..end]).into_owned();
                self.read.drain(..end + 2);
                return Ok(line);
            }
            if self.read.len() > LONGEST_LINE {
                return Err(Errno(libc::EBADMSG).into());
            }
            self.more()?;
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.read.len() < count {
            self.more()?;
        }
        let rest = self.read.split_off(count);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    /// The next message; none where it is longer than any that matters.
    fn message(&mut self) -> Result<Option<(Head, Vec<u8>)>> {
        let fixed: [u8; FIXED] = self.take(FIXED)?.try_into().map_err(|_| Errno(libc::EBADMSG))?;
        let head = Head::read(&fixed).ok_or(Errno(libc::EBADMSG))?;
        let mut left = head.rest();
        if left <= MOST {
            let rest = self.take(left)?;
            return Ok(Some((head, rest)));
        }
        while left > 0 {
            let count = left.min(4096);
            self.take(count)?;
            left -= count;
        }
        Ok(None)
    }
}

/// Text of the other end's, for people.
fn shortened(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_REASON).collect();
    escape(&short)
}

#[cfg(test)]
mod tests;
