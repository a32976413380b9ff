//! Controllers of control groups: the profile's word and the kernel's names in both versions
//! (cgroups(7)).

use crate::language::value::words;

/// The version of the kernel's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// A hierarchy for each controller, or for a few.
    V1,
    /// One hierarchy for all.
    #[default]
    V2,
}

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

/// How a version of the kernel's interface has a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Named(&'static str),
    /// Every group has it.
    BuiltIn,
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

    /// The controller of a file, by its name up to the first dot.
    pub fn of_file(file: &str) -> Option<Controller> {
        let (prefix, _) = file.split_once('.')?;
        let all = [
            Controller::Cpu,
            Controller::Cpuacct,
            Controller::Cpuset,
            Controller::Memory,
            Controller::Io,
            Controller::Pids,
        ];
        all.into_iter()
            .chain([Controller::Hugetlb, Controller::NetClass])
            .find(|controller| prefix == controller.v1() || prefix == controller.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_whose_it_is() {
        assert_eq!(Controller::of_file("blkio.bfq.weight"), Some(Controller::Io));
        assert_eq!(Controller::of_file("cgroup.procs"), None);
    }
}
