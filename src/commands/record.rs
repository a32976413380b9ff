//! How a run ended and what it used: one line of JSON for programs (`--report`, `--report-fd`), a
//! few lines for people (`--stats`).

use super::denials::{self, Denied};
use super::place::Place;
use super::{FAILED, warn};
use crate::launch::{Account, Ended, Outcome};
use crate::plan::Plan;
use crate::text::problem::{errno_words, escape, quiet_json};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Where the record goes.
pub(super) struct Sink {
    place: Option<Place>,
    stats: bool,
}

impl Sink {
    /// Finds the place, so that what cannot be written is known before the target runs.
    pub(super) fn open(
        report: Option<&Path>,
        report_fd: Option<i32>,
        stats: bool,
    ) -> Result<Sink, String> {
        let place = match (report, report_fd) {
            (Some(path), _) => {
                let say = |error: io::Error| {
                    format!(
                        "cannot write the report to {}: {}",
                        escape(&path.display().to_string()),
                        words(&error)
                    )
                };
                Some(Place::find(path).map_err(say)?)
            }
            (None, Some(fd)) => Some(Place::Open(given(fd)?)),
            (None, None) => None,
        };
        Ok(Sink { place, stats })
    }

    /// Whether anybody reads a record.
    pub(super) fn is_wanted(&self) -> bool {
        self.stats || self.place.is_some()
    }

    /// Writes the record; gives the status of the run, or ours where the report could not be
    /// written.
    pub(super) fn put(self, record: &Record, status: u8) -> u8 {
        if self.stats {
            warn(&record.text());
        }
        let Some(place) = self.place else { return status };
        let line = quiet_json(serde_json::to_string(record).unwrap_or_else(|_| "{}".into())) + "\n";
        match place.put(line.as_bytes()) {
            Ok(()) => status,
            Err(error) => {
                warn(&format!("stockade: cannot write the report: {}\n", words(&error)));
                FAILED
            }
        }
    }
}

fn words(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno_words)
}

/// A descriptor of the caller's. A copy is written to, which no target is given.
fn given(fd: i32) -> Result<File, String> {
    let say = |why: &str| format!("cannot write the report to descriptor {fd}: {why}");
    if fd < 0 {
        return Err(say("there is no such descriptor"));
    }
    let copy = crate::sys::dup_above(fd, 3).map_err(|errno| say(&errno_words(errno.0)))?;
    Ok(File::from(crate::sys::owned(copy)))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// The version of this record.
    report: u32,
    /// What ended the run.
    cause: Cause,
    /// The status of stockade.
    status: u8,
    /// The signal that ended the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    /// Microseconds from the start of the launch to its end.
    wall_us: u64,
    /// What the processes used.
    used: Used,
    /// What the control groups tell.
    #[serde(flatten)]
    account: Account,
    /// What is less than the profile says, with its leave.
    skipped: Vec<String>,
    /// Which system calls were denied, where somebody asked for it or a rule says `notify`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<Denied>,
}

/// By wait4(2), with or without control groups.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Used {
    user_us: u64,
    system_us: u64,
    max_rss: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Cause {
    Exit,
    Signal,
    Timeout,
    Oom,
    CpuTime,
    Launcher,
}

impl Record {
    /// Of a run that came to its end.
    pub(super) fn ended(ended: &Ended, plan: &Plan, skipped: Vec<String>) -> Record {
        let (cause, signal) = match ended.outcome {
            Outcome::Exited(_) => (Cause::Exit, None),
            Outcome::Killed(signal) => (Cause::Signal, Some(signal)),
            Outcome::TimedOut => (Cause::Timeout, None),
            Outcome::CpuTimeOver => (Cause::CpuTime, None),
            Outcome::OutOfMemory => (Cause::Oom, Some(9)),
        };
        let mut account = ended.account.clone().unwrap_or_default();
        match cause {
            Cause::Oom => account.limits_hit.insert("memory"),
            Cause::CpuTime => account.limits_hit.insert("cpu-time"),
            Cause::Timeout => account.limits_hit.insert("timeout"),
            _ => false,
        };
        Record {
            report: 1,
            cause,
            status: ended.outcome.status(),
            signal,
            problems: vec![],
            wall_us: micros(ended.wall),
            used: Used {
                user_us: ended.usage.user,
                system_us: ended.usage.system,
                max_rss: ended.usage.max_rss * 1024,
            },
            account,
            skipped,
            denied: denials::records(&ended.denials, plan),
        }
    }

    /// Of one that did not begin.
    pub(super) fn failed(status: u8, problems: Vec<String>, skipped: Vec<String>) -> Record {
        let account = Account { limits_hit: BTreeSet::new(), ..Account::default() };
        Record {
            report: 1,
            cause: Cause::Launcher,
            status,
            signal: None,
            problems,
            wall_us: 0,
            used: Used::default(),
            account,
            skipped,
            denied: vec![],
        }
    }

    fn text(&self) -> String {
        let seconds = |micros: u64| format!("{:.2} s", micros as f64 / 1e6);
        let mega = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let cpu = self.account.cpu.clone().unwrap_or_default();
        let (user, system) = (
            cpu.user_us.unwrap_or(self.used.user_us),
            cpu.system_us.unwrap_or(self.used.system_us),
        );
        let mut lines = vec![
            format!(
                "ended by {} with status {}",
                serde_json::to_string(&self.cause).unwrap_or_default().trim_matches('"'),
                self.status
            ),
            format!(
                "time {}, processors {} (programs {}, kernel {})",
                seconds(self.wall_us),
                seconds(user + system),
                seconds(user),
                seconds(system)
            ),
        ];
        match self.account.memory {
            Some(memory) => lines.push(format!(
                "memory at most {}, ended for want of it: {}",
                memory.peak.map_or("unknown".into(), mega),
                memory.oom_kills
            )),
            None => {
                lines.push(format!("memory of the largest process {}", mega(self.used.max_rss)))
            }
        }
        if let Some(throttled) = cpu.throttled_us {
            lines.push(format!("held back by the limit of processors {}", seconds(throttled)));
        }
        if let Some(pids) = self.account.pids {
            lines.push(format!(
                "processes at most {}, refused {}",
                pids.peak.map_or("unknown".into(), |peak| peak.to_string()),
                pids.refused
            ));
        }
        if let Some(io) = self.account.io {
            lines.push(format!(
                "disks: read {} in {}, written {} in {}",
                mega(io.read_bytes),
                io.reads,
                mega(io.written_bytes),
                io.writes
            ));
        }
        if !self.account.limits_hit.is_empty() {
            lines.push(format!(
                "limits met: {}",
                self.account.limits_hit.iter().copied().collect::<Vec<_>>().join(", ")
            ));
        }
        lines.iter().map(|line| format!("stockade: {line}\n")).collect()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
