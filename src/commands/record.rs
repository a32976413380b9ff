//! How a run ended and what it used: one line of JSON for programs (`--report`, `--report-fd`), a
//! few lines for people (`--stats`).

use super::changes::Row;
use super::denials::{self, Denied};
use super::place::Place;
use super::{FAILED, Failed, Planned, end, warn};
use crate::launch::{Account, Ended, Outcome};
use crate::text::problem::{errno_words, escape, quiet_json};
use nix::sys::signal::Signal;
use serde::Serialize;
use std::borrow::Cow;
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

    /// Whether a record is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.stats || self.place.is_some()
    }

    /// Whether it is written down.
    pub(super) fn is_written(&self) -> bool {
        self.place.is_some()
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
    /// The problems, as `check --format json` prints them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<serde_json::Value>,
    /// Microseconds from the start of the launch to its end.
    wall_us: u64,
    /// What the processes used.
    used: Used,
    /// What the control groups report.
    #[serde(flatten)]
    account: Account,
    /// Optional protections and grants that were skipped.
    skipped: Vec<String>,
    /// The system calls that were denied, where an option asks for them or a rule says `notify`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<Denied>,
    /// What was changed in trees of layers, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Changed>>,
    /// Where what was written is not in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_listed: Vec<NotListed>,
}

/// The changes of a run alone, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed<'r> {
    changes: &'r [Changed],
    not_listed: &'r [NotListed],
}

/// A place at which a target wrote, or could, what no list of changes has.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NotListed {
    pub path: String,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Why {
    /// A writable grant: it is in the host's own files.
    Grant,
    /// A directory that is made anew: what is directly in it.
    MadeAnew,
}

/// The changes at one entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Changed {
    /// The entry's path.
    pub path: String,
    /// The host's paths of its layers, the lowest first.
    pub layers: Vec<String>,
    /// Nobody uses it any more: as `stockade changes` has it.
    pub held_by: Option<i32>,
    /// One by one.
    pub changes: Vec<Row>,
    /// Why these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// How many of them are in the host's tree now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<usize>,
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
    pub(super) fn ended(ended: &Ended, planned: &Planned, skipped: Vec<String>) -> Record {
        let (cause, signal) = match ended.outcome {
            Outcome::Exited(_) => (Cause::Exit, None),
            Outcome::Killed(signal) => (Cause::Signal, Some(signal)),
            Outcome::TimedOut => (Cause::Timeout, None),
            Outcome::CpuTimeOver => (Cause::CpuTime, None),
            Outcome::OutOfMemory => (Cause::Oom, Some(9)),
        };
        let mut account = ended.account.clone().unwrap_or_default();
        match (cause, end::limit(ended, planned)) {
            (Cause::Oom, _) => account.limits_hit.insert("memory".into()),
            (Cause::CpuTime, _) => account.limits_hit.insert("cpu-time".into()),
            (Cause::Timeout, _) => account.limits_hit.insert("timeout".into()),
            (_, Some((key, _))) => account.limits_hit.insert(key.into()),
            _ => false,
        };
        account.limits_hit.extend(end::full(ended, planned).map(Cow::from));
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
            denied: denials::records(&ended.denials, &planned.plan),
            changes: None,
            not_listed: vec![],
        }
    }

    /// Of one that did not begin.
    pub(super) fn failed(failed: &Failed, skipped: Vec<String>) -> Record {
        let problems = serde_json::to_value(failed.problems.records(&failed.sources));
        let problems = problems.ok().and_then(|all| all.as_array().cloned());
        let account = Account { limits_hit: BTreeSet::new(), ..Account::default() };
        Record {
            report: 1,
            cause: Cause::Launcher,
            status: failed.status,
            signal: None,
            problems: problems.unwrap_or_default(),
            wall_us: 0,
            used: Used::default(),
            account,
            skipped,
            denied: vec![],
            changes: None,
            not_listed: vec![],
        }
    }

    /// The changes in one line, where they were asked for.
    pub(super) fn listed(&self) -> Option<String> {
        let listed = Listed { changes: self.changes.as_deref()?, not_listed: &self.not_listed };
        Some(quiet_json(serde_json::to_string(&listed).unwrap_or_default()) + "\n")
    }

    /// How it ended, in words.
    fn end(&self) -> String {
        let why = match (self.cause, self.signal) {
            (Cause::Exit, _) => return format!("exited with status {}", self.status),
            (Cause::Signal, Some(signal)) => {
                let name = Signal::try_from(signal).map_or("", Signal::as_str);
                return format!("killed by signal {signal} {name}").trim_end().to_owned();
            }
            (Cause::Launcher, _) => return format!("did not run (status {})", self.status),
            (Cause::Oom, _) => "limits.memory",
            (Cause::CpuTime, _) => "limits.cpu-time",
            (Cause::Signal | Cause::Timeout, _) => "process.timeout",
        };
        format!("ended by {why} (status {})", self.status)
    }

    fn text(&self) -> String {
        if self.cause == Cause::Launcher {
            return format!("stockade: {}\n", self.end());
        }
        let mega = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let cpu = self.account.cpu.clone().unwrap_or_default();
        let (user, system) = (
            cpu.user_us.unwrap_or(self.used.user_us),
            cpu.system_us.unwrap_or(self.used.system_us),
        );
        let mut lines = vec![
            format!("{} after {}", self.end(), seconds(self.wall_us)),
            format!(
                "CPU: {} (user {}, system {})",
                seconds(user + system),
                seconds(user),
                seconds(system)
            ),
        ];
        match self.account.memory {
            Some(memory) => lines.push(format!(
                "memory: peak {}, {} killed for lack of it",
                memory.peak.map_or("unknown".into(), mega),
                processes(memory.oom_kills)
            )),
            None => lines.push(format!("memory: largest process {}", mega(self.used.max_rss))),
        }
        if let Some(throttled) = cpu.throttled_us {
            lines.push(format!("CPU limit: held back for {}", seconds(throttled)));
        }
        if let Some(pids) = self.account.pids {
            lines.push(format!(
                "processes: peak {}, {} refused",
                pids.peak.map_or("unknown".into(), |peak| peak.to_string()),
                pids.refused
            ));
        }
        if let Some(io) = self.account.io {
            lines.push(format!(
                "disks: {} read in {} operations, {} written in {}",
                mega(io.read_bytes),
                io.reads,
                mega(io.written_bytes),
                io.writes
            ));
        }
        if !self.account.limits_hit.is_empty() {
            lines.push(format!(
                "limits hit: {}",
                self.account.limits_hit.iter().map(|key| &**key).collect::<Vec<_>>().join(", ")
            ));
        }
        lines.iter().map(|line| format!("stockade: {line}\n")).collect()
    }
}

fn processes(count: u64) -> String {
    format!("{count} process{}", if count == 1 { "" } else { "es" })
}

/// In milliseconds below one second.
fn seconds(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
