//! How far the kernel lets an ordinary user go with limits and priorities. Read only where the
//! profile asks for any of them.

use crate::host::bounds::Bounds;
use crate::policy::process::Process;
use crate::policy::rlimits::{Rlimits, resources};
use crate::sys;

impl Bounds {
    /// Those of this process, where the profile goes to any of them.
    pub fn read(process: &Process, rlimits: &Rlimits) -> Option<Bounds> {
        let of_process = process.nice.get().is_some()
            || process.scheduler.get().is_some()
            || process.oom_score_adj.get().is_some();
        let asked = of_process || process.ioprio.get().is_some() || rlimits.iter().next().is_some();
        asked.then(|| {
            let limit = |resource| sys::get_rlimit(resource).unwrap_or_default();
            let hard = resources(rlimits).map(|resource| (resource, limit(resource).1)).collect();
            if !of_process {
                return Bounds { hard, ..Bounds::default() };
            }
            let number = |path: &str, field: usize| {
                let text = std::fs::read_to_string(path).ok()?;
                // The second field of stat is a name in parentheses, which may hold blanks
                // (proc_pid_stat(5)).
                text.rsplit(')').next()?.split_whitespace().nth(field)?.parse::<i32>().ok()
            };
            let by_limit = 20 - i32::try_from(limit(libc::RLIMIT_NICE).0.min(40)).unwrap_or(40);
            Bounds {
                hard,
                nice: by_limit.min(number("/proc/self/stat", 16).unwrap_or(0)),
                realtime: limit(libc::RLIMIT_RTPRIO).0,
                oom_score_adj: number("/proc/self/oom_score_adj", 0).unwrap_or(0).min(0),
            }
        })
    }
}
