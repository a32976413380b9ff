//! The limits of control groups: the profile's word, the controller, and the file in each version
//! of the kernel's interface (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).

use crate::kernel::controller::{Controller, Version};

/// A limit of `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKey {
    Memory,
    MemoryHigh,
    MemorySwap,
    MemoryLow,
    MemoryMin,
    Oom,
    Pids,
    Cpu,
    CpuBurst,
    CpuWeight,
    CpuSet,
    MemoryNodes,
    CpuTime,
    Io,
    IoWeight,
    Hugetlb,
    NetClass,
    Raw,
}

/// All that is known of a limit.
struct Row {
    word: &'static str,
    controller: Option<Controller>,
    /// Its file in version 1; none: that has no such limit, or more than one file for it.
    v1: Option<&'static str>,
    v2: Option<&'static str>,
}

impl LimitKey {
    /// Limits that a group above may have lower.
    pub const FROM_ABOVE: [LimitKey; 5] = [
        LimitKey::Memory,
        LimitKey::MemoryHigh,
        LimitKey::MemorySwap,
        LimitKey::Pids,
        LimitKey::Cpu,
    ];

    fn row(self) -> Row {
        use Controller::{Cpu, Cpuacct, Cpuset, Hugetlb, Io, Memory, NetClass, Pids};
        let row = |word, controller, v1, v2| Row { word, controller: Some(controller), v1, v2 };
        match self {
            LimitKey::Memory => {
                row("memory", Memory, Some("memory.limit_in_bytes"), Some("memory.max"))
            }
            LimitKey::MemoryHigh => row("memory-high", Memory, None, Some("memory.high")),
            // Version 1 has the sum of both.
            LimitKey::MemorySwap => row(
                "memory-swap",
                Memory,
                Some("memory.memsw.limit_in_bytes"),
                Some("memory.swap.max"),
            ),
            LimitKey::MemoryLow => {
                row("memory-low", Memory, Some("memory.soft_limit_in_bytes"), Some("memory.low"))
            }
            LimitKey::MemoryMin => row("memory-min", Memory, None, Some("memory.min")),
            LimitKey::Oom => row("oom", Memory, None, Some("memory.oom.group")),
            LimitKey::Pids => row("pids", Pids, Some("pids.max"), Some("pids.max")),
            LimitKey::Cpu => row("cpu", Cpu, Some("cpu.cfs_quota_us"), Some("cpu.max")),
            LimitKey::CpuBurst => {
                row("cpu-burst", Cpu, Some("cpu.cfs_burst_us"), Some("cpu.max.burst"))
            }
            LimitKey::CpuWeight => row("cpu-weight", Cpu, Some("cpu.shares"), Some("cpu.weight")),
            LimitKey::CpuSet => row("cpu-set", Cpuset, Some("cpuset.cpus"), Some("cpuset.cpus")),
            LimitKey::MemoryNodes => {
                row("memory-nodes", Cpuset, Some("cpuset.mems"), Some("cpuset.mems"))
            }
            // There is an account alone.
            LimitKey::CpuTime => row("cpu-time", Cpuacct, None, None),
            LimitKey::Io => row("io", Io, None, Some("io.max")),
            LimitKey::IoWeight => row("io-weight", Io, Some("blkio.bfq.weight"), Some("io.weight")),
            // A file for each size.
            LimitKey::Hugetlb => row("hugetlb", Hugetlb, None, None),
            LimitKey::NetClass => row("net-class", NetClass, Some("net_cls.classid"), None),
            LimitKey::Raw => Row { word: "raw", controller: None, v1: None, v2: None },
        }
    }

    /// The profile's word.
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// Whose files it is written to; those of `raw` name theirs.
    pub fn controller(self) -> Option<Controller> {
        self.row().controller
    }

    /// Its file, where it has one in that version.
    pub fn file(self, version: Version) -> Option<&'static str> {
        match version {
            Version::V1 => self.row().v1,
            Version::V2 => self.row().v2,
        }
    }
}
