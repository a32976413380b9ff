//! What the launcher does after the clone, while pid 1 waits for its byte.

use super::cgroup::Groups;
use super::helper::Helpers;
use super::helper::watcher::Watcher;
use super::leftover::{self, Leftover};
use super::registry::{Entry, LockedEntry, Registry};
use super::{Failure, Pipes, idmap, maps, message, own, why};
use crate::kernel::name::Name;
use crate::plan::Plan;
use crate::policy::identity::block_of;
use crate::probe::LOCKS;
use crate::step::{OutsideOp, Step};
use crate::sys::{self, Errno};
use std::os::fd::RawFd;

/// The sandbox's first process, as the launcher has it.
pub(super) struct Outside<'a, 't> {
    /// Our own child, which waits and is not waited for, so that no other process can have its
    /// number.
    pub pid: i32,
    /// It, as a descriptor.
    pub pidfd: RawFd,
    /// The pipes to it.
    pub pipes: Pipes,
    pub plan: &'a Plan,
    pub groups: &'a Groups,
    /// The name, once it is entered.
    pub held: &'a mut Option<LockedEntry>,
    pub helpers: &'a mut Helpers<'t>,
    /// The maps of mounts.
    pub made: idmap::Made,
}

impl<'t> Outside<'_, 't> {
    pub(super) fn apply(&mut self, step: &Step<OutsideOp>, slots: &[RawFd]) -> Result<(), Failure> {
        match &step.op {
            OutsideOp::IdMapMount { slot, map, .. } => self
                .made
                .map(slots[slot.0], map)
                .map_err(|errno| why::mount_not_mapped(step, errno).into()),
            OutsideOp::HoldIds { first, directory } => {
                hold_ids(*first, directory).map_err(|errno| why::ids_not_held(step, errno).into())
            }
            OutsideOp::Watch => {
                let watcher = Watcher { life: self.pipes.life.0, target: self.pidfd };
                self.helpers.start(Box::new(watcher))
            }
            OutsideOp::EnterName { name, directory, profile } => {
                *self.held = Some(self.enter(name, directory, profile, step)?);
                Ok(())
            }
            OutsideOp::MapIds(maps) => maps::write(maps, self.pid),
            OutsideOp::Undumpable => sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)
                .map(drop)
                .map_err(|errno| own("make the launcher undumpable", errno).into()),
            OutsideOp::Go => sys::write_all(self.pipes.life.1, &[message::GO])
                .map_err(|errno| own("start pid 1", errno).into()),
            OutsideOp::Sweep { directories } => {
                let found = self.groups.of_others(directories);
                leftover::sweep(found.into_iter().map(Leftover::Group));
                Ok(())
            }
        }
    }

    /// Gives the sandbox its name, which others know it by from here on.
    fn enter(
        &self,
        name: &str,
        directory: &str,
        profile: &str,
        step: &Step<OutsideOp>,
    ) -> Result<LockedEntry, Failure> {
        let entry = Entry {
            launcher: sys::getpid(),
            init: self.pid,
            profile: profile.to_owned(),
            begun: sys::boot_ticks().map_err(|errno: Errno| own("read the clock", errno))?,
            leaves: self.groups.entries().into_iter().map(Leftover::Group).collect(),
            plan: None,
        };
        Registry::open(directory, sys::ids_at_start().0, true)
            .and_then(|registry| registry.enter(name, entry, self.plan))
            .map_err(|refused| why::not_named(name, directory, step.at, &refused).into())
    }
}

/// The descriptor stays open: the lock is held as long as the launcher lives.
fn hold_ids(first: u32, directory: &str) -> sys::Result {
    match sys::mkdirat(libc::AT_FDCWD, Name::new(directory).as_c_str(), 0o700) {
        Ok(()) | Err(Errno(libc::EEXIST)) => {}
        Err(errno) => return Err(errno),
    }
    let path = Name::new(&format!("{directory}/{LOCKS}"));
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW;
    let file = sys::openat(libc::AT_FDCWD, path.as_c_str(), flags, 0o600)?;
    sys::lock_byte(file, block_of(first))
}
