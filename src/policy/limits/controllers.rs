//! The table of controllers: the profile's word, the kernel's names in both versions, and which files are theirs.

use crate::{words, written};

words! {
    /// A controller of control groups.
    Controller {
        /// Processor time: quota and weight.
        Cpu = "cpu",
        /// Its account (version 1; a part of every group in version 2).
        Cpuacct = "cpuacct",
        /// Processors and memory nodes.
        Cpuset = "cpuset",
        /// Memory.
        Memory = "memory",
        /// Block devices.
        Io = "io",
        /// Processes.
        Pids = "pids",
        /// Huge pages.
        Hugetlb = "hugetlb",
        /// The class of network packets (version 1).
        NetClass = "net-class",
        /// Device nodes (version 1; a BPF program in version 2).
        Devices = "devices",
        /// Freezing (version 1; a part of every group in version 2).
        Freezer = "freezer",
    }
}

written!(Controller);

/// How a version of the kernel's interface has a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Under this name.
    Named(&'static str),
    /// Every group has it.
    BuiltIn,
    /// It has none.
    None,
}

impl Controller {
    /// Its name in version 1, which is also how its files begin.
    pub fn v1(self) -> &'static str {
        match self {
            Controller::Io => "blkio",
            Controller::NetClass => "net_cls",
            other => other.word(),
        }
    }

    /// Its form in version 2.
    pub fn v2(self) -> Form {
        match self {
            Controller::Cpuacct | Controller::Devices | Controller::Freezer => Form::BuiltIn,
            Controller::NetClass => Form::None,
            other => Form::Named(other.word()),
        }
    }

    /// Whose file it is, by what stands before the first dot.
    pub fn of_file(file: &str) -> Option<Controller> {
        let (prefix, _) = file.split_once('.')?;
        let all = [Controller::Cpu, Controller::Cpuacct, Controller::Cpuset, Controller::Memory, Controller::Io, Controller::Pids];
        all.into_iter().chain([Controller::Hugetlb, Controller::NetClass]).find(|controller| prefix == controller.v1() || prefix == controller.word())
    }
}

/// Version 1's scale of processor shares: 1024 is what version 2 calls 100.
pub fn shares_of(weight: u64) -> u64 {
    (weight * 1024 / 100).max(2)
}

/// Version 1's scale of the BFQ scheduler, 1 to 1000 with the same middle.
pub fn bfq_weight_of(weight: u64) -> u64 {
    if weight <= 100 { weight } else { 100 + (weight - 100) * 900 / 9_900 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_middle_and_their_ends() {
        assert_eq!((shares_of(100), shares_of(1)), (1024, 10));
        assert_eq!((bfq_weight_of(1), bfq_weight_of(100), bfq_weight_of(10_000)), (1, 100, 1000));
        assert_eq!(Controller::of_file("blkio.bfq.weight"), Some(Controller::Io));
        assert_eq!(Controller::of_file("cgroup.procs"), None);
    }
}
