//! `stockade ps`: the caller's running sandboxes that have a name.

use super::{FAILED, print_line, print_problems, registry};
use crate::cli::{Format, Listing};
use crate::language::value::Size;
use crate::launch::registry::Live;
use crate::launch::usage;
use crate::text::problem::{escape, quiet_json};
use crate::text::source::Sources;
use serde::Serialize;

pub(super) fn ps(listing: Listing) -> u8 {
    let live = match registry() {
        Ok(registry) => registry.map_or(vec![], |registry| registry.list()),
        Err(problem) => {
            print_problems(&(*problem).into(), &Sources::default());
            return FAILED;
        }
    };
    let rows: Vec<Row> = live.iter().map(Row::of).collect();
    match listing.format {
        Format::Json => {
            print_line(&quiet_json(serde_json::to_string_pretty(&rows).unwrap_or_default()))
        }
        Format::Text => table(&rows),
    }
    0
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    /// Pid 1 inside, as the host counts.
    pid: i32,
    launcher: i32,
    /// `running` or `frozen`.
    state: &'static str,
    age_seconds: u64,
    /// Bytes; none where no control group counts them.
    memory: Option<u64>,
    cpu_us: Option<u64>,
    profile: String,
}

impl Row {
    fn of(live: &Live) -> Row {
        let used = usage(&live.entry);
        let now = crate::sys::boot_ticks().unwrap_or(live.entry.begun);
        Row {
            name: live.name.clone(),
            pid: live.entry.init,
            launcher: live.entry.launcher,
            state: if used.frozen == Some(true) { "frozen" } else { "running" },
            age_seconds: now.saturating_sub(live.entry.begun) / 100,
            memory: used.memory,
            cpu_us: used.cpu,
            profile: live.entry.profile.clone(),
        }
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |text: Option<String>| text.unwrap_or("-".into());
        [
            escape(&self.name),
            self.pid.to_string(),
            self.state.into(),
            age(self.age_seconds),
            or_dash(self.memory.map(|bytes| Size(bytes >> 10 << 10).to_string())),
            or_dash(self.cpu_us.map(|us| format!("{}.{:02}s", us / 1_000_000, us / 10_000 % 100))),
            escape(&self.profile),
        ]
    }
}

/// The two largest units.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn table(rows: &[Row]) {
    let head = ["NAME", "PID", "STATE", "AGE", "MEMORY", "CPU", "PROFILE"].map(String::from);
    let lines: Vec<[String; 7]> =
        std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    columns(&lines);
}

/// Prints lines, the cells of each below those of the others.
pub(super) fn columns<const N: usize>(lines: &[[String; N]]) {
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        print_line(padded.join("  ").trim_end());
    }
}
