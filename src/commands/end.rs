//! Which limit of the profile ended a run, in one line with its place.

use super::Planned;
use crate::inspect::view::place_words;
use crate::language::spelled::name;
use crate::language::value::Room;
use crate::launch::{Ended, Full, Outcome};
use crate::policy::rlimits::Value;
use crate::text::source::Span;
use std::time::Duration;

/// A shell's status for a command that a signal ended.
const OF_A_SHELL: u8 = 128;

/// Which key ended the run, and where it is set.
pub(super) fn limit(ended: &Ended, planned: &Planned) -> Option<(&'static str, Span)> {
    let profile = &planned.profile;
    match ended.outcome {
        Outcome::TimedOut => Some(("process.timeout", profile.process.timeout.at())),
        Outcome::CpuTimeOver => Some(("limits.cpu-time", profile.limits.cpu_time.at())),
        Outcome::OutOfMemory => Some(("limits.memory", profile.limits.memory.at())),
        Outcome::Killed(signal) => of_a_signal(signal, ended, planned),
        // A shell gives the status of what it ran.
        Outcome::Exited(status) => {
            of_a_signal(i32::from(status.checked_sub(OF_A_SHELL)?), ended, planned)
        }
    }
}

/// setrlimit(2): SIGXCPU and SIGXFSZ come from these limits, and hardly from anything else. At the
/// hard limit of `cpu` the signal is SIGKILL, which others send too: it counts where the processor
/// time is that limit's.
fn of_a_signal(signal: i32, ended: &Ended, planned: &Planned) -> Option<(&'static str, Span)> {
    let rlimit = |name| planned.profile.rlimits.get(name);
    match signal {
        libc::SIGXCPU => rlimit("cpu").map(|limit| ("rlimits.cpu", limit.at)),
        libc::SIGXFSZ => rlimit("fsize").map(|limit| ("rlimits.fsize", limit.at)),
        libc::SIGKILL => {
            let limit = rlimit("cpu")?;
            let hard = match limit.hard {
                Value::Number(seconds) => Duration::from_secs(seconds),
                Value::Time(time) => time.0,
                _ => return None,
            };
            let used = Duration::from_micros(ended.usage.user + ended.usage.system);
            let is_near = used >= hard && used < hard + Duration::from_secs(1);
            is_near.then_some(("rlimits.cpu", limit.at))
        }
        _ => None,
    }
}

/// The entry of a bound that is met.
struct Met<'p> {
    path: &'p str,
    room: (Room, u64),
    at: Span,
    /// Where a stronger layer says the bound.
    said: Option<Span>,
}

fn entry<'p>(full: &Full, planned: &'p Planned) -> Option<Met<'p>> {
    let mut entries = planned.profile.mounts.map.iter();
    entries.find_map(|(path, entry)| {
        let value = entry.value.as_ref()?;
        let is_it = entry.key == full.at || value.at == full.at;
        // A copy without an upper has the room that its files take.
        let layers = value.value.layers().filter(|layers| is_it && layers.upper.is_some())?;
        let said = entry.said.get(full.key).copied();
        Some(Met { path, room: layers.room(), at: value.at, said })
    })
}

/// The bounds of entries that are met: `mounts."/work".size`.
pub(super) fn full(ended: &Ended, planned: &Planned) -> impl Iterator<Item = String> {
    ended.full.iter().filter_map(|full| {
        let Met { path, .. } = entry(full, planned)?;
        Some(format!("mounts.{}.{}", name(path), full.key))
    })
}

/// A line for each, with what gives it more.
pub(super) fn of_full(ended: &Ended, planned: &Planned) -> Vec<String> {
    let is_counted = planned.profile.limits.memory.get().is_some();
    let counts = if is_counted { ", which `limits.memory` counts" } else { "" };
    let line = |full: &Full| {
        let Met { path, room: (room, inodes), at, said } = entry(full, planned)?;
        let (has, more) = match (full.key, room) {
            ("inodes", _) => (inodes.to_string(), inodes.saturating_mul(2).to_string()),
            (_, Room::Bytes(bytes)) => {
                (room.to_string(), format!("\"{}\"", Room::Bytes(bytes.saturating_mul(2))))
            }
            (_, Room::Percent(share)) => {
                let more = Room::Percent(share.saturating_mul(2).min(100));
                (room.to_string(), format!("\"{more}\""))
            }
        };
        let more = format!("{} = {more}", full.key);
        let word = planned.sources.text(at).is_some_and(|text| text.starts_with(['"', '\'']));
        let path = name(path);
        let help = match word {
            _ if said.is_some() => format!("{more} there"),
            true => format!("{path} = {{ layers = [{path}], upper = \"discard\", {more} }}"),
            false => format!("{more} beside `upper`"),
        };
        let place = place(said.unwrap_or(at), planned);
        Some(format!(
            "full at the end: mounts.{path}.{} = {has}{place}; {help} gives it more{counts}",
            full.key
        ))
    };
    ended.full.iter().filter_map(line).collect()
}

/// The line.
pub(super) fn of(ended: &Ended, planned: &Planned) -> Option<String> {
    let (key, at) = limit(ended, planned)?;
    Some(format!("ended after {}: {key}{}", short(ended.wall), place(at, planned)))
}

/// Where a key is set, in parentheses.
fn place(at: Span, planned: &Planned) -> String {
    match at.is_somewhere() {
        true => format!(" ({})", place_words(at, &planned.sources)),
        false => String::new(),
    }
}

/// A time in the unit that people would take.
pub(super) fn short(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1_000 => format!("{millis}ms"),
        millis @ 1_000..10_000 if millis % 1_000 >= 100 => {
            format!("{}.{}s", millis / 1_000, millis % 1_000 / 100)
        }
        millis @ 0..60_000 => format!("{}s", millis / 1_000),
        millis @ 0..3_600_000 => format!("{}m{:02}s", millis / 60_000, millis / 1_000 % 60),
        millis => format!("{}h{:02}m", millis / 3_600_000, millis / 60_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_short() {
        let shown = |millis| short(Duration::from_millis(millis));
        let all = [999, 1_004, 1_540, 59_999, 61_000, 3_720_000].map(shown);
        assert_eq!(all, ["999ms", "1s", "1.5s", "59s", "1m01s", "1h02m"]);
    }
}
