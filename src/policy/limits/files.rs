//! What each key of `[limits]` is as files of the kernel, in both versions (cgroups(7),
//! Documentation/admin-guide/cgroup-v1 and cgroup-v2).

use super::controllers::{bfq_weight_of, shares_of};
use super::values::{Amount, Count, IoLimits, Oom, numbers};
use super::{Limit, Limits};
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Version};
use crate::language::value::{Size, Written};
use crate::text::problem::errno_words;
use std::collections::BTreeMap;

/// A file of a group, and what it is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Whose file it is.
    pub controller: Controller,
    pub file: String,
    pub value: String,
}

/// Why a limit cannot be enforced here, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub why: String,
    /// A command or TOML.
    pub help: String,
}

fn refuse<T>(why: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: why.into(), help: help.into() })
}

/// The period of a CPU quota, in microseconds: the kernel's own.
const PERIOD: u64 = 100_000;

/// The files of a key in a hierarchy; with it, what of the key cannot be had there.
pub(super) fn settings(
    limits: &Limits,
    key: &str,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Result<(Vec<Setting>, Option<Refusal>), Refusal> {
    let v1 = hierarchy.version == Version::V1;
    let one = |controller: Controller, first: &str, second: &str, value: String| {
        vec![Setting { controller, file: if v1 { first } else { second }.to_owned(), value }]
    };
    let files = match key {
        "memory" => return memory(limits, hierarchy, groups),
        "memory-swap" => swap(limits, hierarchy, groups)?,
        "memory-high" | "memory-min" if v1 => {
            return refuse(
                format!("version 1 of control groups has no {}", key.replace('-', ".")),
                "set memory, or memory-low, or leave it out",
            );
        }
        "memory-high" => one(
            Controller::Memory,
            "",
            "memory.high",
            amount(&limits.memory_high, hierarchy, groups),
        ),
        "memory-min" => one(Controller::Memory, "", "memory.min", size(&limits.memory_min)),
        "memory-low" => one(
            Controller::Memory,
            "memory.soft_limit_in_bytes",
            "memory.low",
            size(&limits.memory_low),
        ),
        "oom" if !v1 && limits.oom.get().is_some_and(|oom| oom.value == Oom::KillAll) => {
            one(Controller::Memory, "", "memory.oom.group", "1".into())
        }
        "pids" => one(
            Controller::Pids,
            "pids.max",
            "pids.max",
            limits.pids.get().map_or("max".into(), |count| match count.value {
                Count::Number(number) => number.to_string(),
                Count::Unlimited => "max".into(),
            }),
        ),
        "cpu" => cpu(limits.cpu.get().and_then(|cores| cores.0), v1),
        "cpu-burst" => burst(limits, v1)?,
        "cpu-weight" => weight(&limits.cpu_weight).map_or(vec![], |weight| {
            one(
                Controller::Cpu,
                "cpu.shares",
                "cpu.weight",
                if v1 { shares_of(weight) } else { weight }.to_string(),
            )
        }),
        "cpu-set" => set(
            "cpuset.cpus",
            "processor",
            limits.cpu_set.get().map(|list| list.0.as_str()),
            &hierarchy.cpus,
        )?,
        "memory-nodes" => set(
            "cpuset.mems",
            "memory node",
            limits.memory_nodes.get().map(|list| list.0.as_str()),
            &hierarchy.nodes,
        )?,
        "io-weight" => weight(&limits.io_weight).map_or(vec![], |weight| {
            one(
                Controller::Io,
                "blkio.bfq.weight",
                "io.weight",
                if v1 { bfq_weight_of(weight).to_string() } else { format!("default {weight}") },
            )
        }),
        "io" => io(limits, v1, groups)?,
        "hugetlb" => huge_pages(limits, v1, &groups.huge_pages)?,
        "net-class" => limits.net_class.get().map_or(vec![], |class| {
            one(Controller::NetClass, "net_cls.classid", "", class.value.0.to_string())
        }),
        // `oom = "kill-one"` is the kernel's own way; of cpu-time there is an account alone.
        _ => vec![],
    };
    Ok((files, None))
}

fn weight(limit: &Limit<super::values::Weight>) -> Option<u64> {
    limit.get().map(|weight| weight.value.0)
}

fn size(limit: &Limit<Size>) -> String {
    limit.get().map_or(String::new(), |size| size.value.0.to_string())
}

/// Bytes, or none for no limit. A share is of the machine's memory, or of what a group above
/// allows, where that is less.
pub(super) fn bytes(limit: &Limit<Amount>, hierarchy: &Hierarchy, groups: &Groups) -> Option<u64> {
    match limit.get()?.value {
        Amount::Bytes(bytes) => Some(bytes),
        Amount::Percent(percent) => {
            let all = hierarchy
                .least
                .get("memory")
                .map_or(groups.ram, |(least, _)| groups.ram.min(*least));
            // The kernel counts pages.
            Some((u128::from(all) * u128::from(percent) / 100) as u64 & !0xffff)
        }
        Amount::Unlimited => None,
    }
}

fn amount(limit: &Limit<Amount>, hierarchy: &Hierarchy, groups: &Groups) -> String {
    bytes(limit, hierarchy, groups).map_or(unlimited(hierarchy), |bytes| bytes.to_string())
}

fn unlimited(hierarchy: &Hierarchy) -> String {
    if hierarchy.version == Version::V1 { "-1" } else { "max" }.into()
}

fn of_memory(file: &str, value: String) -> Setting {
    Setting { controller: Controller::Memory, file: file.into(), value }
}

/// The limit of memory, and with it none of swap, unless `memory-swap` speaks of that.
fn memory(
    limits: &Limits,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Result<(Vec<Setting>, Option<Refusal>), Refusal> {
    let v1 = hierarchy.version == Version::V1;
    let limit = bytes(&limits.memory, hierarchy, groups);
    if limit == Some(0) {
        return refuse("nothing runs without memory", "write a size such as \"512M\"");
    }
    let file = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
    let mut files =
        vec![of_memory(file, limit.map_or(unlimited(hierarchy), |bytes| bytes.to_string()))];
    let (Some(limit), None) = (limit, limits.memory_swap.get()) else { return Ok((files, None)) };
    if !hierarchy.swap {
        return Ok((files, Some(no_swap_account())));
    }
    files.push(if v1 {
        of_memory("memory.memsw.limit_in_bytes", limit.to_string())
    } else {
        of_memory("memory.swap.max", "0".into())
    });
    Ok((files, None))
}

fn no_swap_account() -> Refusal {
    Refusal {
        why: "this kernel does not account for swap".into(),
        help: "boot with swapaccount=1, or leave swap alone: memory-swap = \"unlimited\", or let \
               it fall: optional = [\"limits\"] in the same file"
            .into(),
    }
}

/// Version 1 counts memory and swap in one sum.
fn swap(limits: &Limits, hierarchy: &Hierarchy, groups: &Groups) -> Result<Vec<Setting>, Refusal> {
    let Some(swap) = bytes(&limits.memory_swap, hierarchy, groups) else { return Ok(vec![]) };
    if !hierarchy.swap {
        return Err(no_swap_account());
    }
    if hierarchy.version == Version::V2 {
        return Ok(vec![of_memory("memory.swap.max", swap.to_string())]);
    }
    match bytes(&limits.memory, hierarchy, groups) {
        Some(memory) => Ok(vec![of_memory(
            "memory.memsw.limit_in_bytes",
            memory.saturating_add(swap).to_string(),
        )]),
        None => refuse(
            "version 1 of control groups limits swap together with memory alone",
            "set memory to a size, or leave memory-swap out",
        ),
    }
}

fn of_cpu(file: &str, value: String) -> Setting {
    Setting { controller: Controller::Cpu, file: file.into(), value }
}

fn quota(thousandths: u64) -> u64 {
    thousandths * PERIOD / 1000
}

fn cpu(cores: Option<u64>, v1: bool) -> Vec<Setting> {
    let quota = cores.map(|cores| quota(cores).to_string());
    if v1 {
        return vec![
            of_cpu("cpu.cfs_period_us", PERIOD.to_string()),
            of_cpu("cpu.cfs_quota_us", quota.unwrap_or("-1".into())),
        ];
    }
    vec![of_cpu("cpu.max", format!("{} {PERIOD}", quota.unwrap_or("max".into())))]
}

fn burst(limits: &Limits, v1: bool) -> Result<Vec<Setting>, Refusal> {
    let micros = limits
        .cpu_burst
        .get()
        .map_or(0, |time| u64::try_from(time.value.0.as_micros()).unwrap_or(u64::MAX));
    let Some(cores) = limits.cpu.get().and_then(|cores| cores.0) else {
        return refuse("without a quota there is nothing to save up", "set cpu, too");
    };
    if micros > quota(cores) {
        return refuse(
            format!("the kernel lets at most {}ms be saved up", quota(cores) / 1000),
            "write a shorter time",
        );
    }
    Ok(vec![of_cpu(if v1 { "cpu.cfs_burst_us" } else { "cpu.max.burst" }, micros.to_string())])
}

fn set(file: &str, what: &str, list: Option<&str>, all: &str) -> Result<Vec<Setting>, Refusal> {
    let Some(list) = list else { return Ok(vec![]) };
    if let Some(number) =
        numbers(list).find(|number| !all.is_empty() && !numbers(all).any(|known| known == *number))
    {
        return refuse(
            format!("there is no {what} {number} for the launcher"),
            format!("there are {all}"),
        );
    }
    Ok(vec![Setting { controller: Controller::Cpuset, file: file.into(), value: list.into() }])
}

fn io(limits: &Limits, v1: bool, groups: &Groups) -> Result<Vec<Setting>, Refusal> {
    let mut files = vec![];
    let mut known = BTreeMap::new();
    let of_io = |file: &str, value: String| Setting {
        controller: Controller::Io,
        file: file.into(),
        value,
    };
    for (path, limit) in limits.io.get().into_iter().flat_map(|devices| &devices.0) {
        let (major, minor) = match groups.blocks.get(path) {
            Some(Ok(device)) => *device,
            Some(Err(libc::ENOTBLK)) | None => {
                return refuse(
                    format!("{path} lies on no block device"),
                    "name the disk, such as \"/dev/sda\"",
                );
            }
            Some(Err(errno)) => {
                return refuse(
                    format!("{path}: {}", errno_words(*errno)),
                    "name the disk, such as \"/dev/sda\"",
                );
            }
        };
        // The kernel has one line for a disk: the last that is written.
        if let Some(other) = known.insert((major, minor), path) {
            return refuse(
                format!("{other} and {path} lie on the same disk, {major}:{minor}"),
                "say it once, for one of them",
            );
        }
        let IoLimits { read_bytes, write_bytes, read_ops, write_ops, weight } = limit;
        if weight.is_none()
            && read_bytes.or(*write_bytes).is_none()
            && read_ops.or(*write_ops).is_none()
        {
            return refuse(
                format!("nothing is said of {path}"),
                format!("write such as io = {{ \"{path}\" = {{ read-bytes = \"10M\" }} }}"),
            );
        }
        let all = [
            ("read_bps", "rbps", read_bytes.map(|size| size.0)),
            ("write_bps", "wbps", write_bytes.map(|size| size.0)),
        ]
        .into_iter()
        .chain([
            ("read_iops", "riops", read_ops.map(|rate| rate.0)),
            ("write_iops", "wiops", write_ops.map(|rate| rate.0)),
        ])
        .filter_map(|(first, second, value)| value.map(|value| (first, second, value)));
        if all.clone().any(|(.., value)| value == 0) {
            return refuse("the kernel takes 0 for no limit", "write at least 1");
        }
        if v1 {
            files.extend(all.map(|(name, _, value)| {
                of_io(&format!("blkio.throttle.{name}_device"), format!("{major}:{minor} {value}"))
            }));
        } else if let words @ [_, ..] =
            &all.map(|(_, name, value)| format!("{name}={value}")).collect::<Vec<_>>()[..]
        {
            files.push(of_io("io.max", format!("{major}:{minor} {}", words.join(" "))));
        }
        if let Some(weight) = weight {
            let (file, weight) = if v1 {
                ("blkio.bfq.weight_device", bfq_weight_of(weight.0))
            } else {
                ("io.weight", weight.0)
            };
            files.push(of_io(file, format!("{major}:{minor} {weight}")));
        }
    }
    Ok(files)
}

/// The kernel counts whole pages, and makes 0 of less than one. That is a slip of whoever wrote it,
/// which no `optional` lets fall.
pub(super) fn less_than_a_page(
    limits: &Limits,
    key: &str,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Option<Refusal> {
    let size = |limit: &Limit<Size>| limit.get().map(|size| size.value.0);
    let bytes = match key {
        "memory" => bytes(&limits.memory, hierarchy, groups),
        "memory-high" => bytes(&limits.memory_high, hierarchy, groups),
        // Version 1 counts it together with memory.
        "memory-swap" if hierarchy.version == Version::V2 => {
            bytes(&limits.memory_swap, hierarchy, groups)
        }
        "memory-low" => size(&limits.memory_low),
        "memory-min" => size(&limits.memory_min),
        "hugetlb" => {
            let pages = limits.hugetlb.get().into_iter().flat_map(|pages| &pages.0);
            let (page, limit) = pages
                .filter_map(|(page, limit)| Some((page_size(page)?, limit.0)))
                .find(|(page, limit)| (1..*page).contains(limit))?;
            let why = format!(
                "the kernel counts pages of {}, and makes 0 of {limit} bytes",
                of_page(page)
            );
            return Some(Refusal { why, help: format!("write at least {}", of_page(page)) });
        }
        _ => None,
    };
    let bytes = bytes.filter(|bytes| (1..groups.page).contains(bytes))?;
    // Whole KiB were written with their unit.
    let help = match bytes % 1024 {
        0 => format!("write at least one page: {key} = {}", groups.page),
        _ => format!("a bare number is in bytes: for MiB write {key} = \"{bytes}M\""),
    };
    Some(Refusal {
        why: format!("the kernel counts pages of {} bytes, and makes 0 of {bytes}", groups.page),
        help,
    })
}

/// The bytes of a huge page, as a profile names it.
fn page_size(page: &str) -> Option<u64> {
    Size::from_text(page.trim_end_matches('B')).ok().map(|Size(bytes)| bytes)
}

/// `there` are the sizes that the kernel has; none where that is not known.
fn huge_pages(limits: &Limits, v1: bool, there: &[u64]) -> Result<Vec<Setting>, Refusal> {
    let mut files = vec![];
    for (page, limit) in limits.hugetlb.get().into_iter().flat_map(|pages| &pages.0) {
        let Some(bytes) = page_size(page) else {
            return refuse(
                format!("`{page}` is not the size of a huge page"),
                "write such as hugetlb = { \"2M\" = \"64M\" }",
            );
        };
        if !there.is_empty() && !there.contains(&bytes) {
            let sizes: Vec<String> = there.iter().map(|size| of_page(*size)).collect();
            let help = format!(
                "there are {}; or let them fall: optional = [\"limits\"] in the same file",
                sizes.join(", ")
            );
            return refuse(format!("this kernel has no huge pages of {}", of_page(bytes)), help);
        }
        let file =
            format!("hugetlb.{}.{}", of_page(bytes), if v1 { "limit_in_bytes" } else { "max" });
        files.push(Setting { controller: Controller::Hugetlb, file, value: limit.0.to_string() });
    }
    Ok(files)
}

/// The kernel's own spelling (hugetlb_cgroup.c, mem_fmt).
fn of_page(bytes: u64) -> String {
    match bytes {
        1_073_741_824.. => format!("{}GB", bytes >> 30),
        1_048_576.. => format!("{}MB", bytes >> 20),
        _ => format!("{}KB", bytes >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_checked_against_what_there_is() {
        assert!(set("cpuset.cpus", "processor", Some("0-1"), "0-3").is_ok());
        assert!(set("cpuset.cpus", "processor", Some("4"), "0-3").is_err());
    }

    #[test]
    fn a_quota_is_of_the_kernels_period() {
        assert_eq!(cpu(Some(1500), false)[0].value, "150000 100000");
        assert_eq!(cpu(None, true)[1].value, "-1");
    }
}
