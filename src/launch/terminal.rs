//! What the target shares with the caller, as it was: flags of open file descriptions, terminals,
//! and with a terminal the share of the processors that its session has. Saved before the target
//! starts, put back at its end.

use crate::plan::Plan;
use crate::policy::process::Terminal;
use crate::sys::{self, Errno};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;

/// The descriptors that the target keeps.
pub(super) struct Shared {
    /// Each with the flags of its open file description (fcntl(2), F_GETFL).
    flags: Vec<(RawFd, i32)>,
    screens: Vec<Screen>,
    /// Where the target stays in the caller's session.
    share: Option<Share>,
}

impl Shared {
    /// Looks at the descriptors that the target keeps.
    pub(super) fn save(plan: &Plan) -> Shared {
        let (_, passed) = plan.passed();
        let kept = [0, 1, 2].iter().chain(passed).map(|fd| *fd as RawFd);
        let flags = kept.filter_map(|fd| Some((fd, sys::open_flags(fd).ok()?))).collect();
        let screens =
            plan.watch.terminals.iter().filter_map(|fd| Screen::save(*fd as RawFd)).collect();
        Shared {
            flags,
            screens,
            share: (plan.watch.terminal == Terminal::Kept).then(Share::save).flatten(),
        }
    }

    /// Puts all of it back. Other processes of the caller have the same open file descriptions:
    /// with O_NONBLOCK left on its output, the next program's write fails.
    pub(super) fn put_back(&self) {
        self.put_terminals_back();
        for (fd, flags) in &self.flags {
            if sys::open_flags(*fd).is_ok_and(|now| now != *flags) {
                sys::regardless(sys::set_open_flags(*fd, *flags));
            }
        }
    }

    /// The terminals alone, as the caller's shell takes over while the target is stopped.
    pub(super) fn put_terminals_back(&self) {
        self.screens.iter().for_each(Screen::put_back);
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
                    sys::regardless(sys::poll([-1; 4], BETWEEN_TRIES))
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
struct Screen {
    fd: RawFd,
    modes: libc::termios,
    /// Rows, columns, and both in pixels.
    size: [u16; 4],
    discipline: i32,
    exclusive: bool,
    /// The launcher's process group.
    group: i32,
    /// Who had the foreground; none: the terminal does not control this session.
    front: Option<i32>,
}

/// A window of fewer rows or columns shows nothing to anyone, and none has more.
const ROWS: std::ops::RangeInclusive<u16> = 2..=1000;
const COLUMNS: std::ops::RangeInclusive<u16> = 10..=2000;

/// The line discipline of terminals (ldattach(8)).
const N_TTY: i32 = 0;

impl Screen {
    fn save(fd: RawFd) -> Option<Screen> {
        Some(Screen {
            fd,
            modes: sys::terminal_modes(fd).ok()?,
            size: sys::terminal_size(fd).ok()?,
            discipline: sys::line_discipline(fd).unwrap_or(N_TTY),
            exclusive: sys::is_exclusive(fd).unwrap_or(true),
            group: sys::getpgrp(),
            front: sys::foreground(fd).ok(),
        })
    }

    /// SIGTTOU is blocked, so a launcher in the background may do all of this. Output goes on
    /// first: what else is set could wait.
    fn put_back(&self) {
        sys::regardless(sys::resume_output(self.fd));
        if sys::line_discipline(self.fd).is_ok_and(|now| now != self.discipline) {
            sys::regardless(sys::set_line_discipline(self.fd, self.discipline));
        }
        if !self.exclusive && sys::is_exclusive(self.fd) == Ok(true) {
            sys::regardless(sys::end_exclusive(self.fd));
        }
        self.put_size_back();
        let in_front = self.take_front_back();
        if let Ok(now) = sys::terminal_modes(self.fd)
            && !same(&now, &self.modes)
            && (in_front || self.is_broken(&now))
        {
            sys::regardless(sys::set_terminal_modes(self.fd, &self.modes));
        }
    }

    /// The caller may have resized the window meanwhile, and the kernel does not say who did, so a
    /// size that a window can have stays.
    fn put_size_back(&self) {
        let fits = |size: [u16; 4]| ROWS.contains(&size[0]) && COLUMNS.contains(&size[1]);
        if sys::terminal_size(self.fd).is_ok_and(|now| now != self.size && !fits(now)) {
            sys::regardless(sys::set_terminal_size(self.fd, self.size));
        }
    }

    /// Takes the foreground from a group that has ended with the sandbox. Whether the modes are now
    /// for the launcher to set: where another process of the caller is in front, they may be that
    /// one's.
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

fn same(one: &libc::termios, other: &libc::termios) -> bool {
    let flags =
        |modes: &libc::termios| [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
    flags(one) == flags(other) && one.c_cc == other.c_cc
}

/// Job control on the terminal that the target keeps.
pub(super) struct Control {
    fd: RawFd,
    group: i32,
    /// Whether the target has the foreground from us.
    lent: Cell<bool>,
}

impl Control {
    /// None: the terminal does not control this session, and so has no foreground for us.
    pub(super) fn of(fd: RawFd, lent: bool) -> Option<Control> {
        sys::foreground(fd).ok()?;
        Some(Control { fd, group: sys::getpgrp(), lent: Cell::new(lent) })
    }

    /// Whether the launcher is in the foreground.
    pub(super) fn is_ours(&self) -> bool {
        sys::foreground(self.fd) == Ok(self.group)
    }

    /// The target is to have the foreground.
    pub(super) fn lend(&self) {
        self.lent.set(true);
    }

    /// Takes the foreground back where the target has it from us, and gives the modes that the
    /// target had.
    pub(super) fn take_back(&self) -> Option<libc::termios> {
        let modes = sys::terminal_modes(self.fd).ok();
        let had = self.lent.replace(false) && !self.is_ours();
        (had && sys::set_foreground(self.fd, self.group).is_ok()).then_some(modes).flatten()
    }

    /// Whether the target goes on in the foreground; then with the modes that it had there.
    pub(super) fn go_on(&self, modes: Option<&libc::termios>) -> bool {
        let front = self.is_ours()
            && modes.is_none_or(|modes| sys::set_terminal_modes(self.fd, modes).is_ok());
        self.lent.set(front);
        front
    }
}
