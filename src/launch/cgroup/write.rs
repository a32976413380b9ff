//! Writing to files of a group, and reading back what became of it.

use super::{Result, Wrong, wrapped};
use crate::kernel::controller::Controller;
use crate::kernel::device::Node;
use crate::kernel::name::Name;
use crate::policy::limits::values::numbers;
use crate::sys::{self, Errno};
use crate::text::gather::Gather;
use std::collections::BTreeSet;
use std::os::fd::RawFd;

/// Sets a limit, and looks whether the kernel took it as it was meant: it clips some values without
/// a word.
///
/// By one descriptor for both: the setters of cgroups-rs open the file for each alone, which takes
/// half as long again.
pub(super) fn limit(group: RawFd, controller: Controller, file: &Name, value: &str) -> Result {
    let (fd, readable) = match sys::openat(group, file.as_c_str(), libc::O_RDWR, 0) {
        // Files that can only be written exist, such as memory.reclaim; none that a key of the
        // profile has.
        Err(Errno(libc::EACCES | libc::EINVAL)) => {
            (sys::openat(group, file.as_c_str(), libc::O_WRONLY, 0)?, false)
        }
        opened => (opened?, true),
    };
    let outcome = write_and_read(fd, controller, value, readable);
    sys::close(fd)?;
    outcome
}

fn write_and_read(fd: RawFd, controller: Controller, value: &str, readable: bool) -> Result {
    if sys::write(fd, value.as_bytes())? != value.len() {
        return Err(Errno(libc::EIO).into());
    }
    if !readable {
        return Ok(());
    }
    let mut text = [0; 4096];
    let length = sys::read_again(fd, &mut text)?;
    let read = String::from_utf8_lossy(&text[..length]);
    if agrees(controller, value, &read) {
        Ok(())
    } else {
        Err(Wrong::Reads(read.trim().replace('\n', ", ")))
    }
}

/// Whether what a file says is what was written, in the kernel's own way of saying it.
fn agrees(controller: Controller, wanted: &str, read: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let wanted_words = words(wanted);
    let has_all = |line: &str| {
        let line = words(line);
        wanted_words.iter().all(|word| line.contains(word))
    };
    // `cpu.max` takes a quota alone, and shows the period with it.
    if read.lines().any(|line| words(line).starts_with(&wanted_words)) {
        return true;
    }
    let first = wanted_words.first().map_or("", String::as_str);
    match controller {
        // Each device has a line of its own, with more keys than were written.
        Controller::Io if first.contains(':') || first == "default" => {
            read.lines().any(has_all) || read.trim() == wanted_words[wanted_words.len() - 1]
        }
        Controller::Cpuset => list(wanted) == list(read),
        Controller::Memory | Controller::Hugetlb => match (amount(wanted), amount(read)) {
            // Whole pages, downwards but not to none; the largest page of the machine for huge
            // pages.
            (Some(wanted), Some(0)) => wanted == 0,
            (Some(wanted), Some(read)) => {
                read <= wanted && wanted - read < page(controller)
                    || wanted >= UNLIMITED && read >= UNLIMITED
            }
            _ => false,
        },
        Controller::Cpu
        | Controller::Cpuacct
        | Controller::Io
        | Controller::Pids
        | Controller::NetClass
        | Controller::Devices
        | Controller::Freezer => amount(wanted).is_some() && amount(wanted) == amount(read),
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
            || {
                <crate::language::value::Size as crate::language::value::Written>::from_text(text)
                    .ok()
                    .map(|size| size.0)
            },
            |hex| u64::from_str_radix(hex, 16).ok(),
        ),
    }
}

/// The numbers of a list, sorted.
fn list(text: &str) -> BTreeSet<u32> {
    numbers(text).gather()
}

/// One write to a file that is there.
pub(super) fn text(path: &str, text: &str) -> sys::Result {
    let fd = sys::openat(libc::AT_FDCWD, Name::new(path).as_c_str(), libc::O_WRONLY, 0)?;
    let written = sys::write(fd, text.as_bytes())
        .and_then(|count| if count == text.len() { Ok(()) } else { Err(Errno(libc::EIO)) });
    written.and(sys::close(fd))
}

/// A file, whole.
pub(super) fn read(path: &str) -> sys::Result<String> {
    sys::read_generated(Name::new(path).as_c_str())
        .map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// Version 1: nothing but these nodes, to read and write.
pub(super) fn device_rules(group: &str, nodes: &[Node]) -> Result {
    wrapped::allow_devices(group, nodes)?;
    // A rule that was not taken would stay silent; the list says what holds.
    let read = read(&format!("{group}/devices.list"))?;
    if read.lines().any(|line| line.starts_with('a')) || read.lines().count() < nodes.len() {
        Err(Wrong::Reads(read))
    } else {
        Ok(())
    }
}

/// Version 1: an eventfd that is readable once the group is out of memory
/// (Documentation/admin-guide/cgroup-v1/memory.rst, 10).
pub(super) fn watch_memory(group: &str) -> Result<RawFd> {
    let event = sys::eventfd()?;
    let control = sys::openat(
        libc::AT_FDCWD,
        Name::new(&format!("{group}/memory.oom_control")).as_c_str(),
        libc::O_RDONLY,
        0,
    )?;
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
        assert!(agrees(
            Controller::Io,
            "8:0 rbps=1000 wiops=5",
            "8:16 rbps=1 wbps=max\n8:0 rbps=1000 wbps=max riops=max wiops=5\n"
        ));
        assert!(
            agrees(Controller::Io, "default 50", "default 50\n")
                && agrees(Controller::Io, "254:0 1048576", "254:0 1048576\n")
        );
        assert!(
            agrees(Controller::Cpuset, "0,1,2", "0-2\n")
                && agrees(Controller::NetClass, "1048577", "1048577\n")
        );
        assert!(
            agrees(Controller::Cpu, "150000 100000", "150000 100000\n")
                && agrees(Controller::Cpu, "5000", "5000 100000\n")
        );
    }

    #[test]
    fn what_the_kernel_changed_is_seen() {
        assert!(!agrees(Controller::Memory, "1000000", "9223372036854771712\n"));
        assert!(
            !agrees(Controller::Memory, "1234", "0\n")
                && !agrees(Controller::Cpu, "5000", "50000 100000\n")
        );
        assert!(!agrees(Controller::Cpu, "1", "2\n") && !agrees(Controller::Pids, "5", "max\n"));
        assert!(
            !agrees(Controller::Io, "8:0 1000", "") && !agrees(Controller::Cpuset, "0-1", "0\n")
        );
    }
}
