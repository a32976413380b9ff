//! What another process of the caller does to a running sandbox: freeze it, let it continue, ask it
//! to end, end it, ask what it uses.

use super::cgroup::{Group, State, freezer_of, thaw_all};
use super::supervise::{ask_to_end, ask_to_stop};
use crate::launch::registry::{Entry, Live};
use crate::launch::stat;
use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// How long, in milliseconds, a sandbox may take to freeze, or to be gone.
const PATIENCE: u64 = 10_000;

/// After how many looks a freeze that does not come is tried again.
const AGAIN: u32 = 200;

/// Why a command could not do it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The sandbox has no control group that can be frozen.
    NoGroup,
    /// It did not come to be in time.
    Late,
    /// Its launcher is stopped.
    Stopped,
    /// It ended meanwhile.
    Gone,
    /// The kernel's reason.
    Errno(i32),
}

impl From<Errno> for Denied {
    fn from(Errno(errno): Errno) -> Denied {
        Denied::Errno(errno)
    }
}

/// What it uses; `None` where no group accounts for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Microseconds of processors.
    pub cpu: Option<u64>,
    /// Whether it is frozen, where that can be.
    pub frozen: Option<bool>,
}

/// Reads what its groups report.
pub(crate) fn usage(entry: &Entry) -> Usage {
    let groups = entry.groups();
    let text = |file: &str| {
        groups
            .iter()
            .find_map(|Group { path, .. }| std::fs::read_to_string(format!("{path}/{file}")).ok())
    };
    let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
    let in_stat = || {
        text("cpu.stat")?.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()
    };
    Usage {
        memory: number("memory.usage_in_bytes").or_else(|| number("memory.current")),
        cpu: number("cpuacct.usage").map(|nanos| nanos / 1000).or_else(in_stat),
        frozen: freezer_of(&groups)
            .and_then(|freezer| freezer.state().ok())
            .map(|state| state != State::Thawed),
    }
}

/// Freezes every process of it, and waits until all are frozen.
pub(crate) fn freeze(live: &Live) -> Result<(), Denied> {
    let groups = live.entry.groups();
    let freezer = freezer_of(&groups).ok_or(Denied::NoGroup)?;
    alive(live)?;
    freezer.freeze().map_err(|_| Denied::Gone)?;
    let mut looks = 0;
    until(|| {
        looks += 1;
        // Version 1 counts a parent in vfork(2), whose child is frozen, as one that moves: once
        // more, at another moment.
        if looks % AGAIN == 0 {
            thaw_all(&groups);
            sys::regardless(freezer.freeze());
        }
        match freezer.state() {
            Ok(State::Frozen) => Some(Ok(())),
            Ok(_) => None,
            Err(_) => Some(Err(Denied::Gone)),
        }
    })
}

/// Thaws it.
pub(crate) fn go_on(live: &Live) -> Result<(), Denied> {
    let groups = live.entry.groups();
    freezer_of(&groups).ok_or(Denied::NoGroup)?;
    alive(live)?;
    thaw_all(&groups);
    Ok(())
}

/// Has its launcher send the stop signal, and ends all of it where it still runs when its
/// kill-after is over. One whose plan is not kept has the time that a profile has by default.
pub(crate) fn stop(live: &mut Live) -> Result<(), Denied> {
    let plan = live.plan().ok().flatten();
    let grace = plan.map_or(PATIENCE, |plan| plan.watch.kill_after_ms);
    ask(live, ask_to_stop)?;
    let ended = until_over(grace, || (!live.still_lives()).then_some(Ok(())));
    match ended {
        // It may end by itself meanwhile.
        Err(Denied::Late) => match kill(live) {
            Err(Denied::Gone) => Ok(()),
            killed => killed,
        },
        ended => ended,
    }
}

/// Asks the launcher of a sandbox, and thaws it: what is frozen takes no signal.
fn ask(live: &Live, how: fn(RawFd) -> sys::Result) -> Result<(), Denied> {
    let launcher = sys::open_pidfd(live.entry.launcher)?;
    // While its lock is held, the number is the launcher's.
    let asked =
        if live.still_lives() { how(launcher).map_err(Denied::from) } else { Err(Denied::Gone) };
    sys::regardless(sys::close(launcher));
    asked?;
    thaw_all(&live.entry.groups());
    Ok(())
}

/// Has its launcher end all of it, and waits until that has put all away.
pub(crate) fn kill(live: &Live) -> Result<(), Denied> {
    ask(live, ask_to_end)?;
    until(|| (!live.still_lives()).then_some(Ok(()))).map_err(|denied| {
        match stat::of(live.entry.launcher as u64) {
            Ok(Some(process)) if process.stopped => Denied::Stopped,
            _ => denied,
        }
    })
}

fn alive(live: &Live) -> Result<(), Denied> {
    if live.still_lives() { Ok(()) } else { Err(Denied::Gone) }
}

fn until(done: impl FnMut() -> Option<Result<(), Denied>>) -> Result<(), Denied> {
    until_over(PATIENCE, done)
}

/// The same with another time, in milliseconds.
fn until_over(
    time: u64,
    mut done: impl FnMut() -> Option<Result<(), Denied>>,
) -> Result<(), Denied> {
    for _ in 0..time / 2 {
        if let Some(result) = done() {
            return result;
        }
        sys::regardless(sys::poll([], 2));
    }
    Err(Denied::Late)
}
