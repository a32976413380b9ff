//! One program, ready to run, and what a run of it costs.
#![allow(unsafe_code)]

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::{fcntl::OFlag, sys::stat::Mode};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// A command line, ready for posix_spawn(3), which shares the caller's memory as vfork(2) does: the
/// spawn costs all programs the same, and little.
pub struct Program {
    name: &'static str,
    words: Vec<CString>,
    environment: [CString; 1],
    streams: PosixSpawnFileActions,
    attributes: PosixSpawnAttr,
}

/// What one run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// From before the spawn until it was waited for.
    pub wall: Duration,
    /// The largest resident set of the program and what it waited for, in KiB. It is never less
    /// than this process's own (getrusage(2)).
    pub peak_kib: i64,
}

impl Program {
    /// A program whose streams are /dev/null.
    pub fn new<W: AsRef<OsStr>>(
        name: &'static str,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Program, String> {
        let words: Result<Vec<CString>, _> =
            words.into_iter().map(|word| CString::new(word.as_ref().as_bytes())).collect();
        let mut streams = PosixSpawnFileActions::init().map_err(|errno| errno.to_string())?;
        for fd in 0..3 {
            streams
                .add_open(fd, c"/dev/null", OFlag::O_RDWR, Mode::empty())
                .map_err(|errno| errno.to_string())?;
        }
        Ok(Program {
            name,
            words: words.map_err(|error| error.to_string())?,
            environment: [c"PATH=/usr/bin:/bin".to_owned()],
            streams,
            attributes: PosixSpawnAttr::init().map_err(|errno| errno.to_string())?,
        })
    }

    /// What people call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it once. Anything but status 0 is an error that quotes it.
    pub fn run(&self) -> Result<Cost, String> {
        let before = Instant::now();
        let pid = posix_spawn(
            self.words[0].as_c_str(),
            &self.streams,
            &self.attributes,
            &self.words,
            &self.environment,
        )
        .map_err(|errno| format!("cannot run {}: {errno}", self.name))?;
        let (status, peak_kib) = wait(pid.as_raw());
        let cost = Cost { wall: before.elapsed(), peak_kib };
        reap_orphans();
        if status == 0 { Ok(cost) } else { Err(self.explain()) }
    }

    /// Runs it `runs` times.
    pub fn repeat(&self, runs: usize) -> Result<Vec<Cost>, String> {
        (0..runs).map(|_| self.run()).collect()
    }

    /// Runs it once more, for what it says.
    fn explain(&self) -> String {
        let words: Vec<&OsStr> =
            self.words.iter().map(|word| OsStr::from_bytes(word.to_bytes())).collect();
        match Command::new(words[0]).args(&words[1..]).output() {
            Ok(output) => format!(
                "{} failed ({}): {}",
                self.name,
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            Err(error) => format!("{} failed: {error}", self.name),
        }
    }
}

/// What a launcher leaves behind at its end becomes this process's child (PR_SET_CHILD_SUBREAPER),
/// so that it is neither measured with the next run nor left to a pid 1 that may not reap:
/// bubblewrap's is.
pub fn adopt_orphans() -> Result<(), String> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| errno.to_string())
}

/// Waits until no child is left.
fn reap_orphans() {
    while nix::sys::wait::wait().is_ok() {}
}

/// wait4(2): the raw status, and the largest resident set.
fn wait(pid: i32) -> (i32, i64) {
    let mut status = 0;
    // SAFETY: all zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for writes.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } != pid {}
    (status, usage.ru_maxrss)
}

/// Wall times in milliseconds.
pub fn millis(costs: &[Cost]) -> Vec<f64> {
    costs.iter().map(|cost| cost.wall.as_secs_f64() * 1e3).collect()
}

/// The value below which `share` of the values lie; between two values, the weighted mean.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * share;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The median of the ratios of runs made in the same round, which cancels what slowed the whole
/// round.
pub fn paired_ratio(of: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    median(&ratios)
}
