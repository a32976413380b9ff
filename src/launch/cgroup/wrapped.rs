//! The one user of cgroups-rs: freezing, and the device rules of version 1. Each answers with the
//! kernel's own errno; limits are written and read back by one descriptor in [`super::write`].

use crate::kernel::controller::Version;
use crate::kernel::device::Node;
use crate::sys::{Errno, Result};
use cgroups_rs::FreezerState;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::error::Error;
use cgroups_rs::fs::freezer::FreezerController;
use std::error::Error as _;
use std::path::Path;

/// The kernel's error behind one of the crate's.
fn errno_of(error: Error) -> Errno {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    Errno(cause.and_then(std::io::Error::raw_os_error).unwrap_or(libc::EIO))
}

/// Whether a group is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Thawed,
    /// Some of its processes run yet.
    Freezing,
    Frozen,
}

/// What freezes a group.
#[derive(Debug)]
pub(crate) struct Freezer(FreezerController);

impl Freezer {
    pub(super) fn of(group: &Path, version: Version) -> Freezer {
        Freezer(FreezerController::new(group.into(), group.into(), version == Version::V2))
    }

    pub(crate) fn freeze(&self) -> Result {
        self.0.freeze().map_err(errno_of)
    }

    pub(crate) fn thaw(&self) -> Result {
        self.0.thaw().map_err(errno_of)
    }

    pub(crate) fn state(&self) -> Result<State> {
        self.0.state().map_err(errno_of).map(|state| match state {
            FreezerState::Thawed => State::Thawed,
            FreezerState::Freezing => State::Freezing,
            FreezerState::Frozen => State::Frozen,
        })
    }
}

/// Version 1: denies a group every device but these nodes, to read and write.
pub(super) fn allow_devices(group: &str, nodes: &[Node]) -> Result {
    let controller = DevicesController::new(group.into(), group.into());
    let all = DevicePermissions::all();
    controller.deny_device(DeviceType::All, -1, -1, &all).map_err(errno_of)?;
    for node in nodes {
        let kind = if node.block { DeviceType::Block } else { DeviceType::Char };
        let minor = node.minor.map_or(-1, i64::from);
        let permissions = [DevicePermissions::Read, DevicePermissions::Write];
        controller.allow_device(kind, node.major.into(), minor, &permissions).map_err(errno_of)?;
    }
    Ok(())
}
