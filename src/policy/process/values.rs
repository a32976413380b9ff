//! Values of `[process]` with a form of their own.

use crate::language::read::Why;
use crate::language::shape::Shape;
use crate::language::value::{Spelled, Written};
use serde::Serialize;
use std::fmt;

/// A signal by name, with or without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub nix::sys::signal::Signal);

impl Written for Signal {
    const WHAT: &'static str = "a signal name such as \"TERM\"";
    fn from_text(text: &str) -> Result<Signal, Why> {
        let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
        name.parse().map(Signal).map_err(|_| {
            Why::not(text, "` is not a signal").help("write its name, such as \"TERM\" or \"INT\"")
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.as_str().trim_start_matches("SIG").to_owned())
    }
    fn looks() -> Shape {
        let names = || {
            nix::sys::signal::Signal::iterator()
                .map(|signal| signal.as_str().trim_start_matches("SIG"))
        };
        let long = format!("^SIG({})$", names().collect::<Vec<_>>().join("|"));
        Shape::Either(vec![
            Shape::names(names()),
            Shape::form("the same with `SIG` before it", long),
        ])
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An I/O priority as ioprio_set(2) takes it: class in the high bits, level in the low 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority(pub u16);

impl Written for IoPriority {
    const WHAT: &'static str = "an I/O priority such as \"best-effort:4\" or \"idle\"";
    fn from_text(text: &str) -> Result<IoPriority, Why> {
        let (class, level) = text.split_once(':').unwrap_or((text, "0"));
        let level = level.parse::<u16>().ok().filter(|level| *level < 8);
        let class = match class {
            "realtime" => Some(1),
            "best-effort" => Some(2),
            "idle" => Some(3),
            _ => None,
        };
        let priority = class.zip(level).filter(|(class, _)| *class != 3 || !text.contains(':'));
        priority.map(|(class, level)| IoPriority(class << 13 | level)).ok_or_else(|| {
            Why::not(text, "` is not an I/O priority")
                .help("write \"idle\", or \"best-effort:0\" to \":7\", or \"realtime:0\" to \":7\"")
        })
    }
    fn write(&self) -> Spelled {
        let class = ["", "realtime", "best-effort", "idle"][usize::from(self.0 >> 13 & 3)];
        let level = self.0 & 7;
        Spelled::Text(if class == "idle" { class.to_owned() } else { format!("{class}:{level}") })
    }
    fn looks() -> Shape {
        Shape::form(
            "an I/O priority such as `\"idle\"` or `\"best-effort:4\"`",
            "^(idle|(best-effort|realtime)(:[0-7])?)$",
        )
    }
}

/// A scheduling policy with its priority, as sched_setscheduler(2) takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: i32,
    /// 1 to 99 for `fifo` and `rr`, else 0.
    pub priority: i32,
}

impl Written for Scheduler {
    const WHAT: &'static str = "a scheduling policy such as \"batch\" or \"fifo:10\"";
    fn from_text(text: &str) -> Result<Scheduler, Why> {
        let (policy, priority) = match text.split_once(':') {
            Some((policy, priority)) => (
                policy,
                priority.parse::<i32>().ok().filter(|priority| (1..=99).contains(priority)),
            ),
            None => (text, Some(0)),
        };
        let found = match (policy, priority) {
            ("other", Some(0)) => Some((libc::SCHED_OTHER, 0)),
            ("batch", Some(0)) => Some((libc::SCHED_BATCH, 0)),
            ("idle", Some(0)) => Some((libc::SCHED_IDLE, 0)),
            ("fifo", Some(priority)) if priority > 0 => Some((libc::SCHED_FIFO, priority)),
            ("rr", Some(priority)) if priority > 0 => Some((libc::SCHED_RR, priority)),
            _ => None,
        };
        found.map(|(policy, priority)| Scheduler { policy, priority }).ok_or_else(|| {
            Why::not(text, "` is not a scheduling policy").help(
                "write \"other\", \"batch\", \"idle\", or \"fifo:1\" to \":99\", or \"rr:1\" to \
                 \":99\"",
            )
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(match self.policy {
            libc::SCHED_BATCH => "batch".into(),
            libc::SCHED_IDLE => "idle".into(),
            libc::SCHED_FIFO => format!("fifo:{}", self.priority),
            libc::SCHED_RR => format!("rr:{}", self.priority),
            _ => "other".into(),
        })
    }
    fn looks() -> Shape {
        Shape::form(
            "a scheduling policy such as `\"batch\"` or `\"fifo:10\"`",
            "^(other|batch|idle|(fifo|rr):[1-9][0-9]?)$",
        )
    }
}
