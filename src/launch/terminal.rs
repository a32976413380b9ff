//! The caller's terminal: how it is saved and put back, and job control on it, as the launcher, the
//! target's process before its exec and pid 1 each take part in it.
//!
//! With it goes what else the target shares with the caller: flags of open file descriptions, and
//! the share of the processors that the session has. All is saved before the target starts, and put
//! back at its end.

use super::message::{BACKGROUND, FOREGROUND, STAY};
use super::signals::gone_is_fine;
use crate::plan::Plan;
use crate::policy::process::Terminal;
use crate::sys::{self, Errno, signal_bit};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;

/// The caller's terminal, where the target keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    /// A descriptor of it.
    fd: RawFd,
    /// Whether the target begins in its foreground.
    foreground: bool,
}

impl Inherited {
    /// The target begins in the foreground only where it reads and writes there and the launcher is
    /// in front. In a pipeline the foreground stays the caller's, as another member (a pager) may
    /// want it; a target that reads is handed the terminal then.
    pub(super) fn of(plan: &Plan) -> Option<Inherited> {
        if plan.watch.terminal != Terminal::Kept {
            return None;
        }
        let front = sys::foreground(0).ok()? == sys::getpgrp();
        Some(Inherited { fd: 0, foreground: front && sys::is_terminal(1) })
    }

    /// The target's process takes its place, as the leader of a group. SIGTTOU is blocked until its
    /// state is fresh.
    pub(super) fn begin(self) -> sys::Result {
        if self.foreground { sys::set_foreground(self.fd, sys::getpid()) } else { Ok(()) }
    }
}

/// What the launcher shares with the target, and job control on its terminal.
pub(super) struct Jobs {
    shared: Shared,
    control: Option<Control>,
}

impl Jobs {
    /// Looks at what there is, before the target starts with the terminal.
    pub(super) fn save(plan: &Plan, terminal: Option<Inherited>) -> Jobs {
        let shared = Shared::save(plan);
        let lent = terminal.is_some_and(|terminal| terminal.foreground);
        let control =
            (plan.watch.terminal == Terminal::Kept).then(|| Control::of(0, lent)).flatten();
        Jobs { shared, control }
    }

    pub(super) fn put_back(&self) {
        self.shared.put_back();
    }

    /// The target stopped. If it needs the terminal and the launcher has it, it gets it; else the
    /// launcher stops by the same signal, so that the caller's shell takes over. `suspended`: a
    /// stop of the launcher's own was passed on before. Returns the answer to pid 1, which reports
    /// no further stop without one.
    pub(super) fn stopped(&self, signal: i32, suspended: bool) -> u8 {
        match &self.control {
            Some(control)
                if matches!(signal, libc::SIGTTIN | libc::SIGTTOU) && control.is_ours() =>
            {
                control.lend();
                FOREGROUND
            }
            control => {
                let modes = control.as_ref().and_then(Control::take_back);
                self.shared.put_terminals_back();
                let stopped = stop_like(signal);
                if !stopped && !suspended && signal == libc::SIGSTOP {
                    return STAY;
                }
                // In the foreground with the terminal as the target had it, or in the background
                // without.
                let front = control.as_ref().is_some_and(|control| control.go_on(modes.as_ref()));
                if front { FOREGROUND } else { BACKGROUND }
            }
        }
    }
}

/// Pid 1's part of job control.
pub(super) struct OfInit {
    kind: Terminal,
    inherited: Option<Inherited>,
    /// Whether the launcher has yet to answer that the target stopped. One stop at a time: a target
    /// that stops over and over would fill the pipe to a stopped launcher, and pid 1, which keeps
    /// the time, would wait in write(2).
    asked: bool,
}

impl OfInit {
    /// It has a descriptor of its own, as it closes 0, 1 and 2.
    pub(super) fn new(plan: &Plan, mut inherited: Option<Inherited>) -> sys::Result<OfInit> {
        if let Some(terminal) = &mut inherited {
            terminal.fd = sys::dup_above(terminal.fd, 3)?;
        }
        Ok(OfInit { kind: plan.watch.terminal, inherited, asked: false })
    }

    /// That descriptor; -1 where there is none.
    pub(super) fn fd(&self) -> RawFd {
        self.inherited.map_or(-1, |terminal| terminal.fd)
    }

    /// Whether it is of interest that the target stopped.
    pub(super) fn has_jobs(&self) -> bool {
        self.kind != Terminal::None
    }

    /// A signal that a terminal sends to a group goes to the target's group, as the returned
    /// signal; any other goes to the target.
    pub(super) fn for_group(&self, signal: i32) -> Option<i32> {
        match signal {
            // The kernel spares the target's session, which has no terminal, a stop by this signal.
            libc::SIGTSTP if self.kind == Terminal::Apart => Some(libc::SIGSTOP),
            libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP | libc::SIGCONT | libc::SIGWINCH => {
                Some(signal)
            }
            _ => None,
        }
    }

    /// The target stopped: whether to report it to the launcher.
    pub(super) fn stopped(&mut self) -> bool {
        !std::mem::replace(&mut self.asked, true)
    }

    /// Obeys the launcher's byte; returns whether the target continues now.
    pub(super) fn obey(&mut self, byte: u8, target: i32) -> sys::Result<bool> {
        if matches!(byte, FOREGROUND | BACKGROUND | STAY) {
            self.asked = false;
        }
        if let (FOREGROUND, Some(terminal)) = (byte, self.inherited) {
            gone_is_fine(sys::set_foreground(terminal.fd, target))?;
        }
        Ok(matches!(byte, FOREGROUND | BACKGROUND))
    }
}

/// The descriptors that the target keeps.
struct Shared {
    /// Each with the flags of its open file description (fcntl(2), F_GETFL).
    flags: Vec<(RawFd, i32)>,
    screens: Vec<TerminalState>,
    /// Where the target stays in the caller's session.
    share: Option<Share>,
}

impl Shared {
    /// Looks at the descriptors that the target keeps.
    fn save(plan: &Plan) -> Shared {
        let (_, passed) = plan.passed();
        let kept = [0, 1, 2].iter().chain(passed).map(|fd| *fd as RawFd);
        let flags = kept.filter_map(|fd| Some((fd, sys::open_flags(fd).ok()?))).collect();
        let screens = plan
            .watch
            .terminals
            .iter()
            .filter_map(|fd| TerminalState::save(*fd as RawFd))
            .collect();
        Shared {
            flags,
            screens,
            share: (plan.watch.terminal == Terminal::Kept).then(Share::save).flatten(),
        }
    }

    /// Puts all of it back. Other processes of the caller have the same open file descriptions:
    /// with O_NONBLOCK left on its output, the next program's write fails.
    fn put_back(&self) {
        self.put_terminals_back();
        for (fd, flags) in &self.flags {
            if sys::open_flags(*fd).is_ok_and(|now| now != *flags) {
                sys::regardless(sys::set_open_flags(*fd, *flags));
            }
        }
    }

    /// The terminals alone, as the caller's shell takes over while the target is stopped.
    fn put_terminals_back(&self) {
        self.screens.iter().for_each(TerminalState::put_back);
        self.share.iter().for_each(Share::put_back);
    }
}

/// The kernel takes a value ten times a second at most, from all ordinary users together
/// (proc_sched_autogroup_set_nice).
const TRIES: u32 = 5;
const BETWEEN_TRIES: i32 = 50;

/// The group of the scheduler that this process's session is, and its nice value.
struct Share {
    /// Opened while this process is dumpable: its files in proc are root's alone from then on.
    file: File,
    nice: i32,
}

impl Share {
    /// None where the kernel has no such groups.
    fn save() -> Option<Share> {
        let file = File::options().read(true).write(true).open("/proc/self/autogroup").ok()?;
        Some(Share { nice: nice_in(&file)?, file })
    }

    /// Any process of a session may lower the share of all of it, and this would outlast the target
    /// (sched(7), the autogroup feature). It is never lowered here: a launcher that started under
    /// another's target has saved what that one puts back.
    fn put_back(&self) {
        for _ in 0..TRIES {
            if nice_in(&self.file).is_none_or(|now| now <= self.nice) {
                return;
            }
            // pwrite(2) is refused there.
            match (&self.file).write_all(self.nice.to_string().as_bytes()) {
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                    sys::regardless(sys::poll([], BETWEEN_TRIES))
                }
                Err(_) => return,
                Ok(()) => {}
            }
        }
    }
}

fn nice_in(file: &File) -> Option<i32> {
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..length]).ok()?.rsplit_once("nice ")?.1.trim().parse().ok()
}

/// A terminal, as it was.
struct TerminalState {
    fd: RawFd,
    modes: libc::termios,
    /// Rows, columns, and both in pixels.
    size: [u16; 4],
    discipline: i32,
    exclusive: bool,
    /// Its permission bits, owner and group.
    access: (u32, u32, u32),
    /// The launcher's process group.
    group: i32,
    /// The group that had the foreground; `None`: the terminal does not control this session.
    front: Option<i32>,
}

/// A window of fewer rows or columns shows nothing to anyone, and none has more.
const ROWS: std::ops::RangeInclusive<u16> = 2..=1000;
const COLUMNS: std::ops::RangeInclusive<u16> = 10..=2000;

/// The line discipline of terminals (ldattach(8)).
const N_TTY: i32 = 0;

impl TerminalState {
    fn save(fd: RawFd) -> Option<TerminalState> {
        Some(TerminalState {
            fd,
            modes: sys::terminal_modes(fd).ok()?,
            size: sys::terminal_size(fd).ok()?,
            discipline: sys::line_discipline(fd).unwrap_or(N_TTY),
            exclusive: sys::is_exclusive(fd).unwrap_or(true),
            access: access(fd)?,
            group: sys::getpgrp(),
            front: sys::foreground(fd).ok(),
        })
    }

    /// SIGTTOU is blocked, so a launcher in the background may do all of this. Output is resumed
    /// first: setting the other modes could wait for it.
    fn put_back(&self) {
        sys::regardless(sys::resume_output(self.fd));
        if sys::line_discipline(self.fd).is_ok_and(|now| now != self.discipline) {
            sys::regardless(sys::set_line_discipline(self.fd, self.discipline));
        }
        if !self.exclusive && sys::is_exclusive(self.fd) == Ok(true) {
            sys::regardless(sys::end_exclusive(self.fd));
        }
        self.put_access_back();
        self.put_size_back();
        let in_front = self.take_front_back();
        if let Ok(now) = sys::terminal_modes(self.fd)
            && !same(&now, &self.modes)
            && (in_front || self.is_broken(&now))
        {
            sys::regardless(sys::set_terminal_modes(self.fd, &self.modes));
        }
    }

    /// A target of the owner's may change who opens the terminal (fchmod(2) takes any
    /// descriptor of it): another user would read what the caller types next. A device that was hung
    /// up meanwhile may be the next user's (vhangup(2)), and is left alone.
    fn put_access_back(&self) {
        let Some(now) = access(self.fd).filter(|now| *now != self.access) else { return };
        if sys::terminal_modes(self.fd).is_err() {
            return;
        }
        let (mut mode, owner, group) = self.access;
        // Only root gives a file to a group that it is not in, and on most systems terminals have
        // such a group. The group that the target chose gets nothing.
        if (now.1, now.2) != (owner, group) && sys::fchown(self.fd, owner, group).is_err() {
            mode &= !0o070;
        }
        sys::regardless(sys::fchmod(self.fd, mode));
    }

    /// The caller may have resized the window meanwhile, and the kernel does not say who did, so a
    /// size that a window can have stays.
    fn put_size_back(&self) {
        let fits = |size: [u16; 4]| ROWS.contains(&size[0]) && COLUMNS.contains(&size[1]);
        if sys::terminal_size(self.fd).is_ok_and(|now| now != self.size && !fits(now)) {
            sys::regardless(sys::set_terminal_size(self.fd, self.size));
        }
    }

    /// Takes the foreground from a group that has ended with the sandbox. Returns whether the
    /// launcher should set the modes: if another process of the caller is in the foreground, they
    /// may be that process's.
    fn take_front_back(&self) -> bool {
        let Some(front) = self.front else { return self.fd == 0 };
        match sys::foreground(self.fd) {
            Ok(now) if now == self.group => true,
            Ok(now) if sys::kill(-now, 0) == Err(Errno(libc::ESRCH)) => {
                sys::set_foreground(self.fd, front).is_ok()
            }
            _ => false,
        }
    }

    /// Whether modes are such that no shell sets them for itself: keys send no signals, or lines
    /// end without a carriage return.
    fn is_broken(&self, now: &libc::termios) -> bool {
        let lost = |was: u32, is: u32, bit: u32| was & bit != 0 && is & bit == 0;
        let same_front = self.front.is_none_or(|front| sys::foreground(self.fd) == Ok(front));
        same_front
            && (lost(self.modes.c_lflag, now.c_lflag, libc::ISIG)
                || lost(self.modes.c_oflag, now.c_oflag, libc::OPOST))
    }
}

/// Permission bits, owner and group.
fn access(fd: RawFd) -> Option<(u32, u32, u32)> {
    let now = sys::describe(fd).ok()?;
    Some((now.mode & 0o7777, now.owner, now.group))
}

fn same(one: &libc::termios, other: &libc::termios) -> bool {
    let flags =
        |modes: &libc::termios| [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
    flags(one) == flags(other) && one.c_cc == other.c_cc
}

/// Job control on the terminal that the target keeps.
struct Control {
    fd: RawFd,
    group: i32,
    /// Whether the target has the foreground from us.
    lent: Cell<bool>,
}

impl Control {
    /// None: the terminal does not control this session, and so has no foreground for us.
    fn of(fd: RawFd, lent: bool) -> Option<Control> {
        sys::foreground(fd).ok()?;
        Some(Control { fd, group: sys::getpgrp(), lent: Cell::new(lent) })
    }

    /// Whether the launcher is in the foreground.
    fn is_ours(&self) -> bool {
        sys::foreground(self.fd) == Ok(self.group)
    }

    /// The target is to have the foreground.
    fn lend(&self) {
        self.lent.set(true);
    }

    /// Takes the foreground back where the target has it from us, and gives the modes that the
    /// target had.
    fn take_back(&self) -> Option<libc::termios> {
        let modes = sys::terminal_modes(self.fd).ok();
        let had = self.lent.replace(false) && !self.is_ours();
        (had && sys::set_foreground(self.fd, self.group).is_ok()).then_some(modes).flatten()
    }

    /// Whether the target continues in the foreground; then with the modes that it had there.
    fn go_on(&self, modes: Option<&libc::termios>) -> bool {
        let front = self.is_ours()
            && modes.is_none_or(|modes| sys::set_terminal_modes(self.fd, modes).is_ok());
        self.lent.set(front);
        front
    }
}

/// Stops this process until SIGCONT, and returns whether it stopped: the kernel does not stop
/// orphaned process groups (setpgid(2)), which no shell would continue. It stops them by SIGSTOP
/// alone, so that signal is not used.
fn stop_like(signal: i32) -> bool {
    let stop = if signal == libc::SIGSTOP { libc::SIGTSTP } else { signal };
    // Unblocked for a moment, with its default action, which is to stop.
    if sys::default_action(stop).and_then(|()| sys::kill(sys::getpid(), stop)).is_ok()
        && sys::set_signal_mask(!signal_bit(stop)).is_ok()
    {
        sys::regardless(sys::set_signal_mask(!0));
    }
    // The stop took away the SIGCONT of before, so one that waits now came after it.
    sys::pending_signals().is_ok_and(|pending| pending & signal_bit(libc::SIGCONT) != 0)
}
