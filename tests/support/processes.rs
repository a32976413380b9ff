//! What /proc says of other processes.

/// The children of a process, by number.
pub fn children(pid: u32) -> Vec<u32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split(' ').filter_map(|pid| pid.trim().parse().ok()).collect()
}

/// The name of a process; none once it is gone.
pub fn name(pid: u32) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// The children of a process that have a name.
pub fn children_named(parent: u32, wanted: &str) -> Vec<u32> {
    let mut found = children(parent);
    found.retain(|pid| name(*pid).as_deref() == Some(wanted));
    found
}

/// A field of `/proc/PID/stat` by its number there, from the third on (proc_pid_stat(5)).
pub fn stat(pid: u32, number: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have any byte in it.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(number - 3).map(str::to_owned)
}

/// Its state, as ps(1) has it: `S` sleeps, `T` is stopped, `Z` has ended; none once it is gone.
pub fn state(pid: u32) -> Option<char> {
    stat(pid, 3)?.chars().next()
}

/// Whether it has ended.
pub fn has_ended(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

/// A line of `/proc/PID/status`, with one blank between its words; empty where there is none.
pub fn status(pid: u32, line: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = text.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(':'));
    found.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
