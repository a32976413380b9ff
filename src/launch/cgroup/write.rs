//! Writing to files of a group, and reading back what became of it.

use super::{Result, Wrong};
use crate::host::groups::{Node, Version};
use crate::policy::limits::Controller;
use crate::policy::limits::values::numbers;
use crate::step::Name;
use crate::sys::{self, Errno};
use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::blkio::BlkIoController;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::net_cls::NetClsController;
use cgroups_rs::fs::pid::PidController;
use std::collections::BTreeSet;
use std::error::Error;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Sets a limit, and looks whether the kernel took it as it was meant: it clips some values without a word.
pub fn limit(group: &str, version: Version, controller: Controller, file: &str, value: &str) -> Result {
    match by_crate(group, version == Version::V2, file, value) {
        Some(outcome) => outcome.map_err(|error| errno_of(&error))?,
        None => text(&format!("{group}/{file}"), value)?,
    }
    let read = match read(&format!("{group}/{file}")) {
        Ok(read) => read,
        // Files that can only be written exist, such as memory.reclaim.
        Err(Errno(libc::EACCES | libc::EINVAL | libc::ENXIO)) if !is_named(file) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if agrees(controller, value, &read) { Ok(()) } else { Err(Wrong::Reads(read.trim().replace('\n', ", "))) }
}

/// Whether a key of the profile has this file, so that it can be read for sure.
fn is_named(file: &str) -> bool {
    ["max", "limit_in_bytes", "cpus", "mems", "quota_us", "period_us", "shares", "weight", "low", "high", "min", "group", "classid"]
        .iter()
        .any(|end| file.ends_with(end))
}

type Direct = cgroups_rs::fs::error::Result<()>;

/// The setters of cgroups-rs that report their failures; `None` for what it has no such setter for.
fn by_crate(group: &str, v2: bool, file: &str, value: &str) -> Option<Direct> {
    let path = || PathBuf::from(group);
    let memory = || MemController::new(path(), path(), v2);
    let cpu = || CpuController::new(path(), path(), v2);
    let number = || value.parse::<u64>().ok();
    let amount = || if value == "max" { Some(-1) } else { value.parse::<i64>().ok() };
    Some(match file {
        "memory.limit_in_bytes" | "memory.max" => memory().set_limit(amount()?),
        "memory.memsw.limit_in_bytes" | "memory.swap.max" => memory().set_memswap_limit(amount()?),
        "memory.soft_limit_in_bytes" | "memory.low" => memory().set_soft_limit(amount()?),
        "pids.max" => {
            let most = if value == "max" { MaxValue::Max } else { MaxValue::Value(value.parse().ok()?) };
            PidController::new(path(), path(), v2).set_pid_max(most)
        }
        "cpu.shares" | "cpu.weight" => cpu().set_shares(number()?),
        "cpu.cfs_period_us" => cpu().set_cfs_period(number()?),
        "cpu.cfs_quota_us" => cpu().set_cfs_quota(value.parse().ok()?),
        "cpuset.cpus" => CpuSetController::new(path(), path(), v2).set_cpus(value),
        "cpuset.mems" => CpuSetController::new(path(), path(), v2).set_mems(value),
        "net_cls.classid" => NetClsController::new(path(), path()).set_class(number()?),
        _ if file.starts_with("hugetlb.") => {
            let page = file.split('.').nth(1)?;
            HugeTlbController::new(path(), path(), v2).set_limit_in_bytes(page, number()?)
        }
        _ => return throttle(&BlkIoController::new(path(), path(), v2), file, value),
    })
}

/// Version 1 has a file for each kind of limit of a device.
fn throttle(io: &BlkIoController, file: &str, value: &str) -> Option<Direct> {
    let kind = file.strip_prefix("blkio.throttle.")?;
    let (device, limit) = value.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let (major, minor, limit) = (major.parse().ok()?, minor.parse().ok()?, limit.parse().ok()?);
    Some(match kind {
        "read_bps_device" => io.throttle_read_bps_for_device(major, minor, limit),
        "write_bps_device" => io.throttle_write_bps_for_device(major, minor, limit),
        "read_iops_device" => io.throttle_read_iops_for_device(major, minor, limit),
        "write_iops_device" => io.throttle_write_iops_for_device(major, minor, limit),
        _ => return None,
    })
}

/// The kernel's error behind one of the crate's.
fn errno_of(error: &cgroups_rs::fs::error::Error) -> Errno {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    Errno(cause.and_then(std::io::Error::raw_os_error).unwrap_or(libc::EIO))
}

/// Whether what a file says is what was written, in the kernel's own way of saying it.
fn agrees(controller: Controller, wanted: &str, read: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let wanted_words = words(wanted);
    let has_all = |line: &str| {
        let line = words(line);
        wanted_words.iter().all(|word| line.contains(word))
    };
    // `cpu.max` takes a quota alone, and tells the period with it.
    if read.lines().any(|line| words(line).starts_with(&wanted_words)) {
        return true;
    }
    let first = wanted_words.first().map_or("", String::as_str);
    match controller {
        // Devices stand one to a line, with more than was asked for.
        Controller::Io if first.contains(':') || first == "default" => {
            read.lines().any(has_all) || read.trim() == wanted_words[wanted_words.len() - 1]
        }
        Controller::Cpuset => list(wanted) == list(read),
        Controller::Memory | Controller::Hugetlb => match (amount(wanted), amount(read)) {
            // Whole pages, downwards but not to none; the largest page of the machine for huge pages.
            (Some(wanted), Some(0)) => wanted == 0,
            (Some(wanted), Some(read)) => read <= wanted && wanted - read < page(controller) || wanted >= UNLIMITED && read >= UNLIMITED,
            _ => false,
        },
        _ => amount(wanted).is_some() && amount(wanted) == amount(read),
    }
}

/// From here on a number of version 1 means no limit.
const UNLIMITED: u64 = 1 << 62;

fn page(controller: Controller) -> u64 {
    if controller == Controller::Hugetlb { 16 << 30 } else { 64 << 10 }
}

/// A number, a size with its unit, or none for no limit.
fn amount(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(u64::MAX),
        text => text.strip_prefix("0x").or(text.strip_prefix("0X")).map_or_else(
            || <crate::value::Size as crate::value::Written>::from_text(text).ok().map(|size| size.0),
            |hex| u64::from_str_radix(hex, 16).ok(),
        ),
    }
}

/// The numbers of a list, sorted.
fn list(text: &str) -> BTreeSet<u32> {
    numbers(text).collect()
}

/// One write to a file that is there.
pub fn text(path: &str, text: &str) -> sys::Result {
    let fd = sys::openat(libc::AT_FDCWD, Name::new(path).as_c_str(), libc::O_WRONLY, 0)?;
    let written = sys::write(fd, text.as_bytes()).and_then(|count| if count == text.len() { Ok(()) } else { Err(Errno(libc::EIO)) });
    written.and(sys::close(fd))
}

/// A file, whole.
pub fn read(path: &str) -> sys::Result<String> {
    sys::read_whole(Name::new(path).as_c_str()).map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// Version 1: nothing but these nodes, to read and write.
pub fn device_rules(group: &str, nodes: &[Node]) -> Result {
    let controller = DevicesController::new(group.into(), group.into());
    let say = |outcome: Direct| outcome.map_err(|error| Wrong::Errno(errno_of(&error)));
    say(controller.deny_device(DeviceType::All, -1, -1, &DevicePermissions::all()))?;
    for node in nodes {
        let kind = if node.block { DeviceType::Block } else { DeviceType::Char };
        let minor = node.minor.map_or(-1, i64::from);
        say(controller.allow_device(kind, node.major.into(), minor, &[DevicePermissions::Read, DevicePermissions::Write]))?;
    }
    // A rule that was not taken would stay silent; the list says what holds.
    let read = read(&format!("{group}/devices.list"))?;
    if read.lines().any(|line| line.starts_with('a')) || read.lines().count() < nodes.len() { Err(Wrong::Reads(read)) } else { Ok(()) }
}

/// Version 1: an eventfd that is readable once the group is out of memory (Documentation/admin-guide/cgroup-v1/memory.rst, 10).
pub fn watch_memory(group: &str) -> Result<RawFd> {
    let event = sys::eventfd()?;
    let control = sys::openat(libc::AT_FDCWD, Name::new(&format!("{group}/memory.oom_control")).as_c_str(), libc::O_RDONLY, 0)?;
    text(&format!("{group}/cgroup.event_control"), &format!("{event} {control}"))?;
    sys::close(control)?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_in_its_own_way_is_what_was_meant() {
        assert!(agrees(Controller::Memory, "1000000", "999424\n"));
        assert!(agrees(Controller::Memory, "-1", "9223372036854771712\n"));
        assert!(agrees(Controller::Io, "8:0 rbps=1000 wiops=5", "8:16 rbps=1 wbps=max\n8:0 rbps=1000 wbps=max riops=max wiops=5\n"));
        assert!(agrees(Controller::Io, "default 50", "default 50\n") && agrees(Controller::Io, "254:0 1048576", "254:0 1048576\n"));
        assert!(agrees(Controller::Cpuset, "0,1,2", "0-2\n") && agrees(Controller::NetClass, "1048577", "1048577\n"));
        assert!(agrees(Controller::Cpu, "150000 100000", "150000 100000\n") && agrees(Controller::Cpu, "5000", "5000 100000\n"));
    }

    #[test]
    fn what_the_kernel_changed_is_seen() {
        assert!(!agrees(Controller::Memory, "1000000", "9223372036854771712\n"));
        assert!(!agrees(Controller::Memory, "1234", "0\n") && !agrees(Controller::Cpu, "5000", "50000 100000\n"));
        assert!(!agrees(Controller::Cpu, "1", "2\n") && !agrees(Controller::Pids, "5", "max\n"));
        assert!(!agrees(Controller::Io, "8:0 1000", "") && !agrees(Controller::Cpuset, "0-1", "0\n"));
    }
}
