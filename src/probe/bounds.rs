//! How far the kernel lets an ordinary user go with limits and priorities. Read only where the
//! profile asks for any of them.

use crate::host::bounds::Bounds;
use crate::host::questions::Questions;
use crate::sys;
use crate::text::gather::Gather;

impl Bounds {
    /// Those of this process that are asked for.
    pub(super) fn read(asks: &Questions) -> Option<Bounds> {
        if asks.resources.is_none() && !asks.priorities {
            return None;
        }
        let limit = |resource| sys::get_rlimit(resource).unwrap_or_default();
        let resources = asks.resources.iter().flatten();
        let hard = resources.map(|resource| (*resource, limit(*resource).1)).gather();
        if !asks.priorities {
            return Some(Bounds { hard, ..Bounds::default() });
        }
        let number = |path: &str, field: usize| {
            let text = std::fs::read_to_string(path).ok()?;
            // The second field of stat is a name in parentheses, which may hold blanks
            // (proc_pid_stat(5)).
            text.rsplit(')').next()?.split_whitespace().nth(field)?.parse::<i32>().ok()
        };
        let by_limit = 20 - i32::try_from(limit(libc::RLIMIT_NICE).0.min(40)).unwrap_or(40);
        Some(Bounds {
            hard,
            nice: by_limit.min(number("/proc/self/stat", 16).unwrap_or(0)),
            realtime: limit(libc::RLIMIT_RTPRIO).0,
            oom_score_adj: number("/proc/self/oom_score_adj", 0).unwrap_or(0).min(0),
        })
    }
}
