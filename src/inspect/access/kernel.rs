//! What proc and sysfs show, as far as it is known before the run: names and modes are the same in
//! every one of this kernel.

use crate::host::FileKind;
use crate::inspect::access::path::{ResolvedFile, Walker};
use crate::inspect::access::query::{Decision, Mechanism, Reason};
use crate::kernel::idmap::{Extent, outside};
use crate::kernel::namespace::Kind;
use crate::kernel::proc::HidePid;
use crate::text::source::Span;

/// A name of /proc/PID that only a process that may trace the other can open (proc(5)).
const GUARDED: &[&str] = &[
    "auxv",
    "cwd",
    "environ",
    "exe",
    "fd",
    "fdinfo",
    "io",
    "map_files",
    "maps",
    "mem",
    "mountinfo",
    "mounts",
    "mountstats",
    "ns",
    "numa_maps",
    "pagemap",
    "personality",
    "root",
    "smaps",
    "smaps_rollup",
    "stack",
    "syscall",
    "timens_offsets",
    "timers",
    "timerslack_ns",
];

impl Walker<'_> {
    /// Whether a file is one of proc's.
    pub(super) fn is_of_proc(&self, thing: &ResolvedFile) -> bool {
        self.world.tree.get(&thing.over).is_some_and(|entry| entry.ground.nature().proc)
    }

    /// proc(5). The launcher's own /proc/self stands for the target's: the same names and modes.
    pub(super) fn proc(
        &self,
        thing: ResolvedFile,
        tail: &str,
        hidepid: HidePid,
        only_processes: bool,
    ) -> Result<Option<ResolvedFile>, Reason> {
        let cannot_tell = |words: &str| {
            Err(Reason::new(Mechanism::Processes, Decision::Unknown, words, thing.at))
        };
        let mut names = tail.split('/').skip(1);
        let Some(first) = names.next() else { return Ok(Some(thing)) };
        let rest: Vec<&str> = names.collect();
        let plan = self.world.plan;
        let number: Option<u32> = first.parse().ok();
        let own = ["self", "thread-self"].contains(&first)
            || (number == Some(1) && plan.has_own_pids() && !plan.watch.init);
        if own {
            return self.own_process(thing, &rest);
        }
        let Some(number) = number else {
            let hidden = only_processes;
            return if hidden {
                Ok(None)
            } else {
                Ok(self.see_kernel(thing, &format!("/proc{tail}")))
            };
        };
        if !plan.has_own_pids() {
            let guarded = rest.first().is_some_and(|name| GUARDED.contains(name));
            return if guarded {
                cannot_tell("whose process it is decides")
            } else {
                Ok(self.see_kernel(thing, &format!("/proc{tail}")))
            };
        }
        if number != 1 {
            return cannot_tell("which process has that number is not known before the run");
        }
        if hidepid != HidePid::Off {
            let words = format!("processes of others are not shown (hidepid = \"{hidepid}\")");
            return Err(Reason::new(Mechanism::Mounts, Decision::Denies, words, thing.at));
        }
        // Not dumpable, and outside of the target's Landlock domain (ptrace(2)).
        if rest.first().is_some_and(|name| GUARDED.contains(name)) {
            return Err(Reason::new(
                Mechanism::Processes,
                Decision::Denies,
                "pid 1 is stockade's own, and cannot be traced",
                Span::NOWHERE,
            ));
        }
        if rest.is_empty() {
            Ok(Some(thing))
        } else {
            Ok(self.see_kernel(thing, &format!("/proc/self/{}", rest.join("/"))))
        }
    }

    fn own_process(
        &self,
        thing: ResolvedFile,
        rest: &[&str],
    ) -> Result<Option<ResolvedFile>, Reason> {
        let ids = &self.world.plan.ids;
        let thing = ResolvedFile { owner: (Some(ids.host_user), Some(ids.host_group)), ..thing };
        let link = |text: &str| {
            Ok(Some(ResolvedFile { kind: FileKind::Link(text.into()), ..thing.clone() }))
        };
        let cwd = self.world.plan.cwd();
        match rest {
            [] => Ok(Some(thing)),
            ["cwd"] => link(cwd.unwrap_or("/")),
            ["root"] => link("/"),
            ["exe"] | ["fd", _] | ["map_files", _] | ["ns", _] | ["task", ..] => Err(Reason::new(
                Mechanism::Processes,
                Decision::Unknown,
                "the running process decides what is there",
                thing.at,
            )),
            _ => {
                let path = format!("/proc/self/{}", rest.join("/"));
                // The files of a network are its owner's root's, where the user namespace has one.
                let root = |extents: &[Extent]| outside(extents, 0).unwrap_or(0);
                let owner = match (rest, &ids.maps) {
                    (["net", ..], Some(maps)) if self.world.plan.choice.is_new(Kind::Net) => {
                        (Some(root(&maps.uid)), Some(root(&maps.gid)))
                    }
                    (["net", ..], _) => (Some(0), Some(0)),
                    _ => thing.owner,
                };
                Ok((self.host_fs.see)(&path).ok().map(|seen| ResolvedFile {
                    kind: seen.kind,
                    mode: seen.mode,
                    owner,
                    ..thing
                }))
            }
        }
    }

    pub(super) fn sysfs(
        &self,
        thing: ResolvedFile,
        tail: &str,
    ) -> Result<Option<ResolvedFile>, Reason> {
        if tail.split('/').any(|name| name == "net") {
            let words = "it shows the sandbox's network, which is not known before the run";
            return Err(Reason::new(Mechanism::Network, Decision::Unknown, words, thing.at));
        }
        Ok(self.see_kernel(thing, &format!("/sys{tail}")))
    }

    /// Files of root's that every proc, or sysfs, of this kernel shows alike.
    fn see_kernel(&self, thing: ResolvedFile, path: &str) -> Option<ResolvedFile> {
        let seen = (self.host_fs.see)(path).ok()?;
        Some(ResolvedFile { kind: seen.kind, mode: seen.mode, ..thing })
    }
}
