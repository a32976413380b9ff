//! How far an ordinary user may go with limits and priorities.

use std::collections::BTreeMap;

/// What the caller may set for itself, and so for its target: capabilities over a new user
/// namespace give no more (setrlimit(2), setpriority(2), sched(7), proc_pid_oom_score_adj(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The hard limits, by resource.
    pub hard: BTreeMap<u32, u64>,
    /// The least nice value.
    pub nice: i32,
    /// The highest real-time priority; 0: none.
    pub realtime: u64,
    /// The least OOM score adjustment.
    pub oom_score_adj: i32,
}
