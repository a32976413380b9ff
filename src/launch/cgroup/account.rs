//! What a sandbox used, as its groups report at its end. Read only where the caller asked for it.

use super::io::{self, Io};
use super::{Groups, Made, write};
use crate::kernel::controller::{Controller, Version};
use crate::kernel::limit::LimitKey;
use crate::text::gather::Gather;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The accounts of all groups; what no group accounts for is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Account {
    /// Processor time of all processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// Block devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<Io>,
    /// Huge pages by their size, as the kernel writes it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hugetlb: BTreeMap<String, HugePages>,
    /// Seconds in which some process waited for `cpu`, `memory` or `io` (version 2, and a kernel
    /// with PSI).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pressure: BTreeMap<&'static str, Pressure>,
    /// Limits that were met, by the profile's keys.
    pub limits_hit: BTreeSet<Cow<'static, str>>,
}

/// Processor time, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cpu {
    /// All together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_us: Option<u64>,
    /// In programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_us: Option<u64>,
    /// In the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_us: Option<u64>,
    /// Both together on each processor (version 1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each_us: Vec<u64>,
    /// In how many periods it was held back by `cpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods_throttled: Option<u64>,
    /// For how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_us: Option<u64>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Memory {
    /// The most; the kernel has it since Linux 5.19 in version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Memory left at the end: caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Processes that the memory killer ended.
    pub oom_kills: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pids {
    /// The most at a time; the kernel has it since Linux 6.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// How often one more was refused.
    pub refused: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct HugePages {
    /// The most (version 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// What is left at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How often one more was refused.
    pub refused: u64,
}

/// Waiting, in microseconds (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pressure {
    /// While at least one process waited.
    pub some_us: u64,
    /// While all did.
    pub full_us: u64,
}

impl Made {
    fn text(&self, file: &str) -> Option<String> {
        write::read(&format!("{}/{file}", self.path)).ok()
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.trim().parse().ok()
    }

    /// The number behind a word of a file such as `cpu.stat`.
    fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(&self.text(file)?, key)
    }

    fn v1(&self) -> bool {
        self.version == Version::V1
    }
}

fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

impl Groups {
    /// How many processes the memory killer has ended, where memory is accounted for.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let made = self.with(Controller::Memory)?;
        made.keyed(if made.v1() { "memory.oom_control" } else { "memory.events" }, "oom_kill")
    }

    pub(crate) fn account(&self) -> Account {
        let mut hit = BTreeSet::new();
        let account = Account {
            cpu: self.cpu(&mut hit),
            memory: self.memory(&mut hit),
            pids: self.pids(&mut hit),
            io: self.io(&mut hit),
            hugetlb: self.huge_pages(&mut hit),
            pressure: self.pressure(),
            limits_hit: BTreeSet::new(),
        };
        Account { limits_hit: hit, ..account }
    }

    fn v2(&self) -> Option<&Made> {
        self.made.iter().find(|made| !made.v1())
    }

    fn cpu(&self, hit: &mut BTreeSet<Cow<'static, str>>) -> Option<Cpu> {
        let mut cpu = Cpu::default();
        if let Some(made) = self.with(Controller::Cpuacct).filter(|made| made.v1()) {
            cpu.usage_us = made.number("cpuacct.usage").map(|nanos| nanos / 1000);
            cpu.user_us = made.number("cpuacct.usage_user").map(|nanos| nanos / 1000);
            cpu.system_us = made.number("cpuacct.usage_sys").map(|nanos| nanos / 1000);
            let each = made.text("cpuacct.usage_percpu").unwrap_or_default();
            cpu.each_us = each
                .split_whitespace()
                .filter_map(|nanos| Some(nanos.parse::<u64>().ok()? / 1000))
                .collect();
        } else if let Some(made) = self.v2() {
            // Every group of version 2 has this file, whatever its controllers.
            cpu.usage_us = made.keyed("cpu.stat", "usage_usec");
            cpu.user_us = made.keyed("cpu.stat", "user_usec");
            cpu.system_us = made.keyed("cpu.stat", "system_usec");
        }
        if let Some(made) = self.with(Controller::Cpu) {
            cpu.periods_throttled = made.keyed("cpu.stat", "nr_throttled");
            cpu.throttled_us = if made.v1() {
                made.keyed("cpu.stat", "throttled_time").map(|nanos| nanos / 1000)
            } else {
                made.keyed("cpu.stat", "throttled_usec")
            };
            if cpu.periods_throttled.is_some_and(|periods| periods > 0) {
                hit.insert(LimitKey::Cpu.word().into());
            }
        }
        (cpu != Cpu::default()).then_some(cpu)
    }

    fn memory(&self, hit: &mut BTreeSet<Cow<'static, str>>) -> Option<Memory> {
        let made = self.with(Controller::Memory)?;
        let met = if made.v1() {
            made.number("memory.failcnt")
        } else {
            made.keyed("memory.events", "max")
        };
        let oom_kills = self.oom_kills().unwrap_or(0);
        // With a limit of both together that is the same, version 1 counts at that one alone
        // (memcontrol.c, try_charge).
        if oom_kills > 0 || met.is_some_and(|times| times > 0) {
            hit.insert(LimitKey::Memory.word().into());
        }
        if made.keyed("memory.events", "high").is_some_and(|times| times > 0) {
            hit.insert(LimitKey::MemoryHigh.word().into());
        }
        let (peak, last) = if made.v1() {
            ("memory.max_usage_in_bytes", "memory.usage_in_bytes")
        } else {
            ("memory.peak", "memory.current")
        };
        Some(Memory { peak: made.number(peak), last: made.number(last), oom_kills })
    }

    fn pids(&self, hit: &mut BTreeSet<Cow<'static, str>>) -> Option<Pids> {
        let made = self.with(Controller::Pids)?;
        let refused = made.keyed("pids.events", "max").unwrap_or(0);
        if refused > 0 {
            hit.insert(LimitKey::Pids.word().into());
        }
        Some(Pids { peak: made.number("pids.peak"), refused })
    }

    fn io(&self, hit: &mut BTreeSet<Cow<'static, str>>) -> Option<Io> {
        let made = self.with(Controller::Io)?;
        let used = if made.v1() {
            io::of_v1(
                &made.text("blkio.throttle.io_service_bytes")?,
                &made.text("blkio.throttle.io_serviced")?,
            )
        } else {
            io::of_v2(&made.text("io.stat")?)
        };
        let limits = if made.v1() {
            let files = ["read_bps", "write_bps", "read_iops", "write_iops"];
            io::limits_of_v1(files.map(|name| {
                made.text(&format!("blkio.throttle.{name}_device")).unwrap_or_default()
            }))
        } else {
            io::limits_of_v2(&made.text("io.max").unwrap_or_default())
        };
        // Where the kernel reports how long processes waited, that time counts.
        let waited = made
            .text("io.pressure")
            .and_then(|text| Some(Duration::from_micros(pressure(&text)?.some_us)));
        if io::was_limited(&used, &limits, waited.unwrap_or_else(|| self.begun.elapsed())) {
            hit.insert(LimitKey::Io.word().into());
        }
        Some(io::sum(&used))
    }

    fn huge_pages(&self, hit: &mut BTreeSet<Cow<'static, str>>) -> BTreeMap<String, HugePages> {
        let Some(made) = self.with(Controller::Hugetlb) else { return BTreeMap::new() };
        let end = if made.v1() { ".usage_in_bytes" } else { ".current" };
        let names = std::fs::read_dir(&made.path)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        // `hugetlb.2MB.rsvd.current` counts what is only reserved.
        let sizes = names.filter_map(|name| {
            name.strip_prefix("hugetlb.")?
                .strip_suffix(end)
                .filter(|size| !size.contains('.'))
                .map(str::to_owned)
        });
        let account = |size: String| {
            let file = |end: &str| format!("hugetlb.{size}.{end}");
            let pages = if made.v1() {
                let number = |end: &str| made.number(&file(end));
                HugePages {
                    peak: number("max_usage_in_bytes"),
                    last: number("usage_in_bytes"),
                    refused: number("failcnt").unwrap_or(0),
                }
            } else {
                HugePages {
                    peak: None,
                    last: made.number(&file("current")),
                    refused: made.keyed(&file("events"), "max").unwrap_or(0),
                }
            };
            (size, pages)
        };
        let pages: BTreeMap<String, HugePages> = sizes.map(account).gather();
        if pages.values().any(|pages| pages.refused > 0) {
            hit.insert(LimitKey::Hugetlb.word().into());
        }
        pages
    }

    fn pressure(&self) -> BTreeMap<&'static str, Pressure> {
        let Some(made) = self.v2() else { return BTreeMap::new() };
        let of = |name: &'static str, file: &str| Some((name, pressure(&made.text(file)?)?));
        [of("cpu", "cpu.pressure"), of("memory", "memory.pressure"), of("io", "io.pressure")]
            .into_iter()
            .flatten()
            .gather()
    }
}

fn pressure(text: &str) -> Option<Pressure> {
    let total = |kind: &str| {
        let line = text.lines().find(|line| line.starts_with(kind))?;
        line.split_whitespace().find_map(|word| word.strip_prefix("total=")?.parse().ok())
    };
    Some(Pressure { some_us: total("some")?, full_us: total("full").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel_are_read_and_strange_ones_are_no_panic() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.00 \
                    avg300=0.00 total=7\n";
        assert_eq!(pressure(text), Some(Pressure { some_us: 12, full_us: 7 }));
        assert_eq!(
            (pressure(""), keyed("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill")),
            (None, Some(3))
        );
    }
}
