//! What each key of `[limits]` is as files of the kernel, in both versions (cgroups(7),
//! Documentation/admin-guide/cgroup-v1 and cgroup-v2).

use super::controllers::{bfq_weight_of, shares_of};
use super::values::{Amount, Count, IoLimits, Oom, numbers};
use super::{Limit, Limits};
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Version};
use crate::kernel::limit::LimitKey;
use crate::language::value::{Size, Written, literal};
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

/// The file of a key in a version that has one for it.
fn one(key: LimitKey, version: Version, value: String) -> Vec<Setting> {
    let file = key.controller().zip(key.file(version));
    file.map(|(controller, file)| Setting { controller, file: file.into(), value })
        .into_iter()
        .collect()
}

/// The files of a key in a hierarchy, and the parts of the key that it lacks.
pub(super) fn settings(
    limits: &Limits,
    key: LimitKey,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Result<(Vec<Setting>, Option<Refusal>), Refusal> {
    let v1 = hierarchy.version == Version::V1;
    let one = |value: String| one(key, hierarchy.version, value);
    let files = match key {
        LimitKey::Memory => return memory(limits, hierarchy, groups),
        LimitKey::MemorySwap => swap(limits, hierarchy, groups)?,
        LimitKey::MemoryHigh | LimitKey::MemoryMin if v1 => {
            return refuse(
                format!("version 1 of control groups has no {}", key.word().replace('-', ".")),
                "set memory, or memory-low, or leave it out",
            );
        }
        LimitKey::MemoryHigh => one(amount(&limits.memory_high, hierarchy, groups)),
        LimitKey::MemoryMin => one(size(&limits.memory_min)),
        LimitKey::MemoryLow => one(size(&limits.memory_low)),
        LimitKey::Oom => match limits.oom.get().map(|oom| oom.value) {
            Some(Oom::KillAll) => one("1".into()),
            // It is the kernel's own way.
            Some(Oom::KillOne) | None => vec![],
        },
        LimitKey::Pids => one(limits.pids.get().map_or("max".into(), |count| match count.value {
            Count::Number(number) => number.to_string(),
            Count::Unlimited => "max".into(),
        })),
        LimitKey::Cpu => cpu(limits.cpu.get().and_then(|cores| cores.0), hierarchy.version),
        LimitKey::CpuBurst => one(burst(limits)?),
        LimitKey::CpuWeight => weight(&limits.cpu_weight)
            .map_or(vec![], |weight| one(if v1 { shares_of(weight) } else { weight }.to_string())),
        LimitKey::CpuSet => limits.cpu_set.get().map_or(Ok(vec![]), |list| {
            there("processor", &list.0, &hierarchy.cpus).map(|list| one(list.into()))
        })?,
        LimitKey::MemoryNodes => limits.memory_nodes.get().map_or(Ok(vec![]), |list| {
            there("memory node", &list.0, &hierarchy.nodes).map(|list| one(list.into()))
        })?,
        LimitKey::IoWeight => weight(&limits.io_weight).map_or(vec![], |weight| {
            one(if v1 { bfq_weight_of(weight).to_string() } else { format!("default {weight}") })
        }),
        LimitKey::Io => io(limits, v1, groups)?,
        LimitKey::Hugetlb => huge_pages(limits, v1, &groups.huge_pages)?,
        LimitKey::NetClass => {
            limits.net_class.get().map_or(vec![], |class| one(class.value.0.to_string()))
        }
        // Of the one there is an account alone, and the other names its files.
        LimitKey::CpuTime | LimitKey::Raw => vec![],
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
                .get(&LimitKey::Memory)
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

/// The limit of memory, and with it none of swap, unless `memory-swap` speaks of that.
fn memory(
    limits: &Limits,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Result<(Vec<Setting>, Option<Refusal>), Refusal> {
    let limit = bytes(&limits.memory, hierarchy, groups);
    if limit == Some(0) {
        return refuse("nothing runs without memory", "write a size such as \"512M\"");
    }
    let value = limit.map_or(unlimited(hierarchy), |bytes| bytes.to_string());
    let mut files = one(LimitKey::Memory, hierarchy.version, value);
    let (Some(limit), None) = (limit, limits.memory_swap.get()) else { return Ok((files, None)) };
    if !hierarchy.swap {
        return Ok((files, Some(no_swap_account())));
    }
    let with_swap = match hierarchy.version {
        Version::V1 => limit,
        Version::V2 => 0,
    };
    files.extend(one(LimitKey::MemorySwap, hierarchy.version, with_swap.to_string()));
    Ok((files, None))
}

fn no_swap_account() -> Refusal {
    Refusal {
        why: "this kernel does not account for swap".into(),
        help: "boot with swapaccount=1, or leave swap alone: memory-swap = \"unlimited\", or run \
               without it: optional = [\"limits\"] in the same file"
            .into(),
    }
}

/// Version 1 counts memory and swap in one sum.
fn swap(limits: &Limits, hierarchy: &Hierarchy, groups: &Groups) -> Result<Vec<Setting>, Refusal> {
    let Some(swap) = bytes(&limits.memory_swap, hierarchy, groups) else { return Ok(vec![]) };
    if !hierarchy.swap {
        return Err(no_swap_account());
    }
    let value = match (hierarchy.version, bytes(&limits.memory, hierarchy, groups)) {
        (Version::V2, _) => swap,
        (Version::V1, Some(memory)) => memory.saturating_add(swap),
        (Version::V1, None) => {
            return refuse(
                "version 1 of control groups limits swap together with memory alone",
                "set memory to a size, or leave memory-swap out",
            );
        }
    };
    Ok(one(LimitKey::MemorySwap, hierarchy.version, value.to_string()))
}

fn quota(thousandths: u64) -> u64 {
    thousandths * PERIOD / 1000
}

fn cpu(cores: Option<u64>, version: Version) -> Vec<Setting> {
    let quota = cores.map(|cores| quota(cores).to_string());
    match version {
        Version::V1 => {
            let mut files = vec![Setting {
                controller: Controller::Cpu,
                file: "cpu.cfs_period_us".into(),
                value: PERIOD.to_string(),
            }];
            files.extend(one(LimitKey::Cpu, version, quota.unwrap_or("-1".into())));
            files
        }
        Version::V2 => {
            one(LimitKey::Cpu, version, format!("{} {PERIOD}", quota.unwrap_or("max".into())))
        }
    }
}

fn burst(limits: &Limits) -> Result<String, Refusal> {
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
    Ok(micros.to_string())
}

/// A list of what is there, where that is known.
fn there<'l>(what: &str, list: &'l str, all: &str) -> Result<&'l str, Refusal> {
    match numbers(list)
        .find(|number| !all.is_empty() && !numbers(all).any(|known| known == *number))
    {
        Some(number) => refuse(
            format!("there is no {what} {number} for the launcher"),
            format!("there are {all}"),
        ),
        None => Ok(list),
    }
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
                format!("write such as io = {{ {} = {{ read-bytes = \"10M\" }} }}", literal(path)),
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

/// The kernel counts whole pages, and rounds less than one down to 0. That is a mistake in the
/// profile, which no `optional` excuses.
pub(super) fn less_than_a_page(
    limits: &Limits,
    key: LimitKey,
    hierarchy: &Hierarchy,
    groups: &Groups,
) -> Option<Refusal> {
    let size = |limit: &Limit<Size>| limit.get().map(|size| size.value.0);
    let bytes = match key {
        LimitKey::Memory => bytes(&limits.memory, hierarchy, groups),
        LimitKey::MemoryHigh => bytes(&limits.memory_high, hierarchy, groups),
        // Version 1 counts it together with memory.
        LimitKey::MemorySwap if hierarchy.version == Version::V2 => {
            bytes(&limits.memory_swap, hierarchy, groups)
        }
        LimitKey::MemoryLow => size(&limits.memory_low),
        LimitKey::MemoryMin => size(&limits.memory_min),
        LimitKey::Hugetlb => {
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
        0 => format!("write at least one page: {} = {}", key.word(), groups.page),
        _ => format!("a bare number is in bytes: for MiB write {} = \"{bytes}M\"", key.word()),
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
                "there are {}; or run without them: optional = [\"limits\"] in the same file",
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
        assert!(there("processor", "0-1", "0-3").is_ok());
        assert!(there("processor", "4", "0-3").is_err());
    }

    #[test]
    fn a_quota_is_of_the_kernels_period() {
        assert_eq!(cpu(Some(1500), Version::V2)[0].value, "150000 100000");
        assert_eq!(cpu(None, Version::V1)[1].value, "-1");
    }
}
