//! `[limits]`: what the kernel's files say of the target's group, and what some acts come to.
//! Version 1 or 2, whichever the machine has.

use crate::modes::table::Cell::Possible;
use crate::modes::table::{Act, OTHER, Row, act, plain, watched};

/// An ordinary user without delegated groups, and a machine without the controller, have none of
/// it.
const fn limit(key: &'static str, act: Act) -> Row {
    plain(key, act.line, Possible(act, "limits", "limits"))
}

/// `limit PID CONTROLLER FILE1 FILE2`: the first word of a file of the target's group.
macro_rules! file {
    ($words:literal) => {
        concat!("{P}/watch '{P}/limit $PID ", $words, "'")
    };
}

/// Whether the file says so of the device.
macro_rules! device {
    ($words:literal, $value:literal) => {
        concat!("{P}/watch '{P}/file $PID ", $words, " | grep -cw ", $value, "'")
    };
}

pub const ROWS: &[Row] = &[
    limit(
        "limits.memory",
        watched(
            "limits.memory = \"64M\"",
            file!("memory memory.limit_in_bytes memory.max"),
            "67108864",
            OTHER,
        ),
    ),
    limit(
        "limits.memory-high",
        watched(
            "limits.memory-high = \"64M\"",
            file!("memory none memory.high"),
            "67108864",
            OTHER,
        ),
    ),
    limit(
        "limits.memory-swap",
        watched(
            "limits.memory-swap = \"64M\"",
            file!("memory none memory.swap.max"),
            "67108864",
            OTHER,
        ),
    ),
    limit(
        "limits.memory-low",
        watched(
            "limits.memory-low = \"64M\"",
            file!("memory memory.soft_limit_in_bytes memory.low"),
            "67108864",
            OTHER,
        ),
    ),
    limit(
        "limits.memory-min",
        watched("limits.memory-min = \"64M\"", file!("memory none memory.min"), "67108864", OTHER),
    ),
    limit(
        "limits.oom",
        act(
            "limits.memory = \"32M\"\nlimits.oom = \"kill-all\"",
            "sh -c 'exec tail /dev/zero'; sleep 0.5; echo survived",
            "status 137",
            "survived",
        )
        .against("limits.memory = \"32M\""),
    ),
    limit(
        "limits.pids",
        act(
            "limits.pids = 8",
            "for n in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; echo all",
            "status 2",
            "all",
        ),
    ),
    limit(
        "limits.cpu",
        watched("limits.cpu = 0.5", file!("cpu cpu.cfs_quota_us cpu.max"), "50000", OTHER),
    ),
    limit(
        "limits.cpu-burst",
        watched(
            "limits.cpu = 0.5\nlimits.cpu-burst = \"10ms\"",
            file!("cpu cpu.cfs_burst_us cpu.max.burst"),
            "10000",
            OTHER,
        )
        .against("limits.cpu = 0.5"),
    ),
    limit(
        "limits.cpu-weight",
        watched("limits.cpu-weight = 200", file!("cpu cpu.shares cpu.weight"), "2048|200", OTHER),
    ),
    limit(
        "limits.cpu-set",
        watched("limits.cpu-set = \"0\"", file!("cpuset cpuset.cpus cpuset.cpus"), "0", OTHER),
    ),
    limit(
        "limits.memory-nodes",
        watched(
            "limits.memory-nodes = \"0\"",
            "{P}/watch '{P}/group $PID cpuset; {P}/limit $PID cpuset cpuset.mems cpuset.mems'",
            "own\n0",
            OTHER,
        ),
    ),
    limit(
        "limits.cpu-time",
        act(
            "limits.cpu-time = \"10ms\"",
            "n=0; while [ $n -lt 400000 ]; do n=$((n + 1)); done; echo end",
            "status 124",
            "end",
        ),
    ),
    limit(
        "limits.io",
        watched(
            READ_BYTES,
            device!("blkio blkio.throttle.read_bps_device io.max", "10485760"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io.read-bytes",
        watched(
            READ_BYTES,
            device!("blkio blkio.throttle.read_bps_device io.max", "10485760"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io.write-bytes",
        watched(
            "limits.io = { \"/\" = { write-bytes = \"10M\" } }",
            device!("blkio blkio.throttle.write_bps_device io.max", "10485760"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io.read-ops",
        watched(
            "limits.io = { \"/\" = { read-ops = 777 } }",
            device!("blkio blkio.throttle.read_iops_device io.max", "777"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io.write-ops",
        watched(
            "limits.io = { \"/\" = { write-ops = 777 } }",
            device!("blkio blkio.throttle.write_iops_device io.max", "777"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io.weight",
        watched(
            "limits.io = { \"/\" = { weight = 200 } }",
            device!("blkio blkio.bfq.weight_device io.bfq.weight", "109"),
            "1",
            "0",
        ),
    ),
    limit(
        "limits.io-weight",
        watched(
            "limits.io-weight = 200",
            file!("blkio blkio.bfq.weight io.weight"),
            "109|default",
            OTHER,
        ),
    ),
    limit(
        "limits.hugetlb",
        watched(
            "limits.hugetlb = { \"2M\" = \"64M\" }",
            file!("hugetlb hugetlb.2MB.limit_in_bytes hugetlb.2MB.max"),
            "67108864",
            OTHER,
        ),
    ),
    limit(
        "limits.net-class",
        watched(
            "limits.net-class = \"10:1\"",
            file!("net_cls net_cls.classid none"),
            "1048577",
            OTHER,
        ),
    ),
    limit(
        "limits.raw",
        watched(
            "limits.raw = { \"memory.swappiness\" = \"10\" }",
            file!("memory memory.swappiness none"),
            "10",
            OTHER,
        ),
    ),
    limit(
        "limits.controllers",
        watched(
            "limits.controllers = [\"freezer\"]",
            "{P}/watch '{P}/group $PID freezer'",
            "own",
            "the launcher's",
        ),
    ),
    limit(
        "limits.parent",
        watched(
            "limits.pids = 100\nlimits.parent = \"/{G}\"",
            "{P}/watch 'grep -q {G}/stockade- /proc/$PID/cgroup && echo there || echo elsewhere'",
            "there",
            "elsewhere",
        )
        // The caller's own group may have processes beside it, and then nothing is limited there.
        .against("limits.pids = 100\nlimits.parent = \"/{G}-other\""),
    ),
    limit(
        "limits.manager",
        watched(
            "limits.pids = 100\nlimits.manager = \"direct\"",
            "{P}/watch '{P}/group $PID pids'",
            "own",
            OTHER,
        )
        .against("limits.pids = 100\nlimits.manager = \"systemd\""),
    ),
];

const READ_BYTES: &str = "limits.io = { \"/\" = { read-bytes = \"10M\" } }";
