//! What another process of the caller does to a running sandbox: freeze it, let it go on, end it, ask what it uses.

use super::cgroup::{freezer_of, thaw_all};
use crate::host::groups::Version;
use crate::registry::{Entry, Group, Live};
use crate::stat;
use crate::sys::{self, Errno};
use cgroups_rs::FreezerState;
use std::os::fd::RawFd;

/// How long, in milliseconds, a sandbox may take to freeze, or to be gone.
const PATIENCE: u64 = 10_000;

/// Why a command could not do it.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// The sandbox has no control group that can be frozen.
    NoGroup,
    /// It did not come to be in time.
    Late,
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
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Microseconds of processors.
    pub cpu: Option<u64>,
    /// Whether it is frozen, where that can be.
    pub frozen: Option<bool>,
}

/// Those of its groups that are a launcher's by their names: nothing else is ever written to.
fn groups(entry: &Entry) -> Vec<(Version, String)> {
    let known = |group: &&Group| {
        let name = group.path.rsplit('/').next().unwrap_or("");
        group.path.starts_with("/sys/fs/cgroup/") && name.starts_with(&format!("stockade-{}-", entry.launcher)) && !group.path.contains("/../")
    };
    let version = |group: &Group| if group.version == 1 { Version::V1 } else { Version::V2 };
    entry.groups.iter().filter(known).map(|group| (version(group), group.path.clone())).collect()
}

/// Reads what its groups tell.
pub fn usage(entry: &Entry) -> Usage {
    let groups = groups(entry);
    let text = |file: &str| groups.iter().find_map(|(_, path)| std::fs::read_to_string(format!("{path}/{file}")).ok());
    let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
    let in_stat = || text("cpu.stat")?.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok();
    Usage {
        memory: number("memory.usage_in_bytes").or_else(|| number("memory.current")),
        cpu: number("cpuacct.usage").map(|nanos| nanos / 1000).or_else(in_stat),
        frozen: freezer_of(&groups).and_then(|freezer| freezer.state().ok()).map(|state| !matches!(state, FreezerState::Thawed)),
    }
}

/// Stops every process of it, and waits until all stand.
pub fn freeze(live: &Live) -> Result<(), Denied> {
    let groups = groups(&live.entry);
    let freezer = freezer_of(&groups).ok_or(Denied::NoGroup)?;
    alive(live)?;
    freezer.freeze().map_err(|_| Denied::Gone)?;
    until(|| match freezer.state() {
        Ok(FreezerState::Frozen) => Some(Ok(())),
        Ok(_) => None,
        Err(_) => Some(Err(Denied::Gone)),
    })
}

/// Lets it go on.
pub fn go_on(live: &Live) -> Result<(), Denied> {
    let groups = groups(&live.entry);
    freezer_of(&groups).ok_or(Denied::NoGroup)?;
    alive(live)?;
    thaw_all(&groups);
    Ok(())
}

/// Ends its pid 1, and with it all of it, and waits until its launcher has put all away.
pub fn kill(live: &Live) -> Result<(), Denied> {
    let pidfd = sys::open_pidfd(live.entry.init)?;
    // While the launcher lives, its child is its child. What has the number now and another parent is somebody else.
    let ours = stat::of(live.entry.init as u64)?.is_some_and(|process| process.parent == live.entry.launcher) && live.still_lives();
    let ended = if ours { sys::signal_pidfd(pidfd, libc::SIGKILL).map_err(Denied::from) } else { Err(Denied::Gone) };
    sys::regardless(sys::close(pidfd));
    ended?;
    // What is frozen dies when it goes on.
    thaw_all(&groups(&live.entry));
    until(|| (!live.still_lives()).then_some(Ok(())))
}

fn alive(live: &Live) -> Result<(), Denied> {
    if live.still_lives() { Ok(()) } else { Err(Denied::Gone) }
}

fn until(mut done: impl FnMut() -> Option<Result<(), Denied>>) -> Result<(), Denied> {
    const NOTHING: [RawFd; 4] = [-1; 4];
    for _ in 0..PATIENCE / 2 {
        if let Some(result) = done() {
            return result;
        }
        sys::regardless(sys::poll(NOTHING, 2));
    }
    Err(Denied::Late)
}
