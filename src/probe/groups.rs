//! Facts about control groups: which hierarchies there are, where the launcher is in each, and what
//! it may do there.
//!
//! Found, never assumed: `/proc/self/cgroup` says which groups the launcher is in,
//! `/proc/self/mountinfo` where they can be seen. Read only for profiles with `[limits]`. It reads
//! and never writes.

use crate::host::caller::Caller;
use crate::host::groups::{Groups, Hierarchy};
use crate::host::systemd::Unreached;
use crate::kernel::controller::{Controller, Version};
use crate::kernel::limit::LimitKey;
use crate::kernel::name::Name;
use crate::language::value::{below, join, parent};
use crate::policy::limits::Limits;
use crate::policy::limits::manager::asks_systemd;
use crate::policy::limits::place::{place, wanted_controllers};
use crate::policy::mounts::Mounts;
use crate::probe::nodes::{block_device, nodes};
use crate::probe::systemd;
use crate::sys;
use crate::text::gather::Gather;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

impl Groups {
    /// Reads what the limits of a profile need to know.
    pub fn probe(limits: &Limits, mounts: &Mounts, named: bool, caller: &Caller) -> Groups {
        let mounts_of_groups = mounts_of_groups(&read("/proc/self/mountinfo"));
        let hierarchies = find(&read("/proc/self/cgroup"), &mounts_of_groups);
        let mut groups = Groups {
            hierarchies,
            points: mounts_of_groups.into_iter().map(|mount| mount.point).collect(),
            ..Groups::default()
        };
        let parent = limits.parent.get().map(|path| path.value.0.as_str());
        let wanted = wanted_controllers(limits, named);
        // Version 1 names its controllers in /proc/self/cgroup; the other one is asked for what is
        // not among them.
        let all_in_v1 = wanted.iter().all(|controller| {
            place(*controller, &groups)
                .is_some_and(|index| groups.hierarchies[index].version == Version::V1)
        });
        for hierarchy in &mut groups.hierarchies {
            if let Some(path) = parent {
                hierarchy.directory = join(&hierarchy.mount, if path == "/" { "" } else { path });
            }
            if hierarchy.version == Version::V2 && !all_in_v1 {
                // For an absent group the root group is read, so that its absence is the reported
                // problem.
                let there = Path::new(&hierarchy.directory).exists();
                hierarchy.controllers = words(
                    if there { &hierarchy.directory } else { &hierarchy.mount },
                    "cgroup.controllers",
                );
            }
        }
        let mut looked: Vec<usize> =
            wanted.into_iter().filter_map(|controller| place(controller, &groups)).collect();
        looked.sort_unstable();
        looked.dedup();
        for index in looked {
            groups.hierarchies[index].look();
            if limits.sets_rare_files() {
                groups.hierarchies[index].files = groups.hierarchies[index].files_of_a_group();
            }
        }
        groups.systemd = asks_systemd(limits, &groups, caller.uid == 0)
            .then(|| Hierarchy::through_systemd(caller));
        if limits.wants_share() {
            groups.ram = sys::total_memory().unwrap_or(0);
        }
        groups.page = sys::page_size();
        if limits.hugetlb.get().is_some() {
            groups.huge_pages = huge_pages();
        }
        for path in limits.io.get().into_iter().flat_map(|devices| devices.0.keys()) {
            groups.blocks.insert(path.clone(), block_device(path));
        }
        if limits.controllers.items.iter().any(|controller| controller.value == Controller::Devices)
        {
            groups.nodes = nodes(mounts);
        }
        groups
    }
}

/// The kernel's list of them: one directory for each, such as `hugepages-2048kB`
/// (Documentation/admin-guide/mm/hugetlbpage.rst).
fn huge_pages() -> Vec<u64> {
    let names = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let size = |name: &str| {
        Some(name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()? << 10)
    };
    let mut sizes: Vec<u64> = names.filter_map(|entry| size(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes
}

impl Hierarchy {
    /// What a scope would find: no other process in it, no controller enabled, and the limits of
    /// the manager's group and of those above it.
    fn through_systemd(caller: &Caller) -> Result<Hierarchy, Unreached> {
        let found = systemd::find(caller.uid, caller.runtime_dir.as_deref())?;
        let directory = directory_of_manager(found.pid)
            .ok_or(Unreached { socket: Some(found.socket.path.clone()), errno: libc::ENOTSUP })?;
        let mut hierarchy = Hierarchy {
            controllers: words(&directory.directory, "cgroup.controllers"),
            ..directory
        };
        hierarchy.look();
        Ok(Hierarchy {
            refused: 0,
            scope: Some(found.socket),
            enabled: vec![],
            top: false,
            others: 0,
            inside: true,
            barred: None,
            ..hierarchy
        })
    }

    /// Reads everything that the plan asks of a hierarchy that it uses.
    fn look(&mut self) {
        let writable = |file: &str| {
            nix::unistd::access(Path::new(file), nix::unistd::AccessFlags::W_OK)
                .err()
                .map_or(0, |errno| errno as i32)
        };
        self.refused = writable(&self.directory);
        if self.version == Version::V2 {
            if self.refused == 0 {
                self.refused = writable(&format!("{}/cgroup.procs", self.directory));
            }
            self.enabled = words(&self.directory, "cgroup.subtree_control");
            self.top = !Path::new(&format!("{}/cgroup.type", self.directory)).exists();
            let own = std::process::id().to_string();
            let processes = read(&format!("{}/cgroup.procs", self.directory));
            self.inside = processes.lines().any(|pid| pid == own);
            self.others = processes.lines().count() - usize::from(self.inside);
            let above = common(&self.own, &self.directory);
            self.barred =
                (writable(&format!("{above}/cgroup.procs")) != 0).then(|| above.to_owned());
        }
        let has = |name: &str| self.controllers.iter().any(|known| known == name);
        if has("memory") {
            self.swap = match self.version {
                Version::V1 => {
                    Path::new(&format!("{}/memory.memsw.limit_in_bytes", self.directory)).exists()
                }
                // The top has no such file, and says nothing.
                Version::V2 => {
                    self.top || Path::new(&format!("{}/memory.swap.max", self.directory)).exists()
                }
            };
        }
        if has("cpuset") {
            let names = if self.version == Version::V1 {
                ["effective_cpus", "effective_mems"]
            } else {
                ["cpus.effective", "mems.effective"]
            };
            let [cpus, nodes] =
                names.map(|name| words(&self.directory, &format!("cpuset.{name}")).join(""));
            (self.cpus, self.nodes) = (cpus, nodes);
        }
        self.least = self.least();
    }

    /// What a group has: the launcher's own, or where that is the top, which has few, any other.
    fn files_of_a_group(&self) -> BTreeSet<String> {
        let names = |directory: &str| -> BTreeSet<String> {
            fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .gather()
        };
        let own = names(&self.directory);
        let top =
            if self.version == Version::V1 { own.contains("release_agent") } else { self.top };
        if !top {
            return own;
        }
        // Only directories of groups have this file.
        own.iter()
            .map(|name| names(&join(&self.directory, &format!("/{name}"))))
            .find(|files| files.contains("cgroup.procs"))
            .unwrap_or_default()
    }

    /// The least limits from the group up to the top of the hierarchy.
    fn least(&self) -> BTreeMap<LimitKey, (u64, String)> {
        let mut least: BTreeMap<LimitKey, (u64, String)> = BTreeMap::new();
        let mut directory = self.directory.as_str();
        loop {
            let is_here = |key: &LimitKey| {
                key.controller()
                    .is_some_and(|of| self.controllers.iter().any(|known| known == of.word()))
            };
            for key in LimitKey::FROM_ABOVE.into_iter().filter(is_here) {
                if let Some(limit) = self
                    .limit_of(directory, key)
                    .filter(|limit| least.get(&key).is_none_or(|(had, _)| limit < had))
                {
                    least.insert(key, (limit, directory.to_owned()));
                }
            }
            if directory.len() <= self.mount.len() {
                return least;
            }
            directory = parent(directory);
        }
    }

    /// What a group's own file says of a limit.
    fn limit_of(&self, directory: &str, key: LimitKey) -> Option<u64> {
        let number =
            |name: &str| words(directory, name).first().and_then(|word| word.parse::<u64>().ok());
        let v1 = self.version == Version::V1;
        match key {
            // Version 1 counts it with memory.
            LimitKey::MemorySwap if v1 => None,
            LimitKey::Cpu if v1 => Some(
                number("cpu.cfs_quota_us")? * 1000
                    / number("cpu.cfs_period_us").filter(|period| *period > 0)?,
            ),
            LimitKey::Cpu => match &words(directory, "cpu.max")[..] {
                [quota, period] => Some(
                    quota.parse::<u64>().ok()? * 1000
                        / period.parse::<u64>().ok().filter(|period| *period > 0)?,
                ),
                _ => None,
            },
            // Version 1 writes a number near 2^63 for none.
            _ => number(key.file(self.version)?).filter(|limit| !v1 || *limit < 1 << 62),
        }
    }
}

/// The group that a manager of systemd's makes its units in; it is in one of them itself.
pub(crate) fn directory_of_manager(pid: i32) -> Option<Hierarchy> {
    let mut hierarchy = unified(&format!("/proc/{pid}/cgroup"))?;
    if let Some(directory) = hierarchy.directory.strip_suffix("/init.scope") {
        hierarchy.directory = directory.to_owned();
    }
    hierarchy.own = hierarchy.directory.clone();
    Some(hierarchy)
}

/// The hierarchy of version 2, and the group in it that a file of `/proc` names.
pub(crate) fn unified(file: &str) -> Option<Hierarchy> {
    find(&read(file), &mounts_of_groups(&read("/proc/self/mountinfo")))
        .into_iter()
        .find(|hierarchy| hierarchy.version == Version::V2)
}

/// Whether a path lies below a mount of a hierarchy.
pub(crate) fn lies_in_groups(path: &str) -> bool {
    mounts_of_groups(&read("/proc/self/mountinfo"))
        .iter()
        .any(|mount| below(path, &mount.point).is_some_and(|name| !name.is_empty()))
}

/// The deepest directory that both are in, or are.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let mut directory = one;
    while below(other, directory).is_none() && directory != "/" {
        directory = parent(directory);
    }
    directory
}

/// The words of a file of one line, which the kernel gives at once; none where it is not there.
fn words(directory: &str, name: &str) -> Vec<String> {
    let text =
        sys::read_whole(Name::new(&format!("{directory}/{name}")).as_c_str()).unwrap_or_default();
    String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect()
}

/// A file of the kernel's with many lines; empty where it is not there.
fn read(path: &str) -> String {
    sys::read_generated(Name::new(path).as_c_str())
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .unwrap_or_default()
}

/// A mount of a hierarchy.
struct Mounted {
    version: Version,
    /// Which group is at its top.
    root: String,
    point: String,
    /// Version 1: its controllers, among other options.
    options: Vec<String>,
}

fn mounts_of_groups(mountinfo: &str) -> Vec<Mounted> {
    mountinfo.lines().filter_map(mounted).collect()
}

/// Pairs the groups of a process with the mounts where they can be seen (cgroups(7),
/// proc_pid_mountinfo(5)).
fn find(groups: &str, mounts: &[Mounted]) -> Vec<Hierarchy> {
    let mut found = vec![];
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let version = if number == "0" && names.is_empty() { Version::V2 } else { Version::V1 };
        let names: Vec<String> =
            names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // `name=systemd` has no controller.
        if names.iter().any(|name| name.starts_with("name=")) {
            continue;
        }
        let here = mounts.iter().find_map(|mount| {
            let same =
                mount.version == version && names.iter().all(|name| mount.options.contains(name));
            let inside = below(path, &mount.root).filter(|_| same && !path.contains("/.."))?;
            Some((mount, join(&mount.point, if inside == "/" { "" } else { inside })))
        });
        if let Some((mount, directory)) = here {
            let delegates = mount.options.iter().any(|option| option == "nsdelegate");
            let mount = mount.point.clone();
            found.push(Hierarchy {
                version,
                controllers: names,
                mount,
                own: directory.clone(),
                directory,
                delegates,
                ..Hierarchy::default()
            });
        }
    }
    found
}

fn mounted(line: &str) -> Option<Mounted> {
    // Most lines are of other file systems.
    let (before, after) = line.split_once(" - cgroup")?;
    let (version, after) = match after.strip_prefix('2') {
        Some(rest) => (Version::V2, rest),
        None => (Version::V1, after),
    };
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let options = after.trim().split(' ').next_back()?.split(',').map(str::to_owned).collect();
    Some(Mounted { version, root, point, options })
}

/// Blanks and the like are octal there.
pub(crate) fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte.into());
                out.push_str(&part[3..]);
            }
            None => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / \
                          /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                          35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 \
                          0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn a_hybrid_machine_has_both_versions() {
        let found = find(
            "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice\n",
            &mounts_of_groups(HYBRID),
        );
        let seen: Vec<(Version, &str)> = found
            .iter()
            .map(|hierarchy| (hierarchy.version, hierarchy.directory.as_str()))
            .collect();
        let wanted = [
            (Version::V1, "/sys/fs/cgroup/memory/a/b"),
            (Version::V1, "/sys/fs/cgroup/cpu,cpuacct"),
            (Version::V2, "/sys/fs/cgroup/unified/user.slice"),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn the_group_above_two_is_found() {
        let [a, b] = ["/c/user/app/x", "/c/user/other"];
        assert_eq!(
            (common(a, b), common(a, a), common(a, "/c/user/app/x/y"), common(a, "/d")),
            ("/c/user", a, a, "/")
        );
        assert_eq!(common("/c/ab", "/c/a"), "/c");
    }

    #[test]
    fn a_container_sees_its_part_alone() {
        let mounts = "40 30 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n41 \
                      30 0:38 / /mnt/with\\040blank rw - cgroup2 c rw\n";
        let found = find("4:memory:/docker/ab\n0::/\n", &mounts_of_groups(mounts));
        assert_eq!(
            (found[0].directory.as_str(), found[1].directory.as_str()),
            ("/sys/fs/cgroup/memory", "/mnt/with blank")
        );
        // A group that is not below what is mounted cannot be seen.
        assert!(find("4:memory:/docker/cd\n0::/../x\n", &mounts_of_groups(mounts)).is_empty());
    }
}
