//! What a start costs: stockade against bubblewrap and against the bare system calls, on one
//! sandbox, in turns.
//!
//! `cargo bench --bench start [-- JOB...]`, where a job is `start`, `growth`, `check`, `limits`,
//! `layers` or `facts`; unsaid: all. It measures as an ordinary user, also when root starts it. Ratios and
//! counts have gates, and the times of `check` wide ones, as times depend on the machine; a missed
//! gate fails the run only where `STOCKADE_BENCH_GATE=1` asks for it. Other variables:
//! `STOCKADE_BENCH_RUNS` (100), `STOCKADE_BENCH_UID` (61184), `STOCKADE_BIN`.
#![allow(unreachable_pub)]

#[path = "start/check.rs"]
mod check;
#[path = "start/contest.rs"]
mod contest;
#[path = "start/facts.rs"]
mod facts;
#[path = "floor/mod.rs"]
mod floor;
#[path = "start/gates.rs"]
mod gates;
#[path = "start/groups.rs"]
mod groups;
#[path = "start/growth.rs"]
mod growth;
#[path = "start/layers.rs"]
mod layers;
#[path = "start/limits.rs"]
mod limits;
#[path = "start/measure.rs"]
mod measure;
#[path = "start/sandbox.rs"]
mod sandbox;

use gates::Gates;
use sandbox::Stage;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

const JOBS: [&str; 6] = ["start", "growth", "check", "limits", "layers", "facts"];

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let words: Vec<OsString> = args.by_ref().skip(1).collect();
    match words.first().and_then(|word| word.to_str()) {
        Some("--floor") => exit_code(floor::run(&words[1..], floor::Groups::none())),
        Some("--limited-floor") => exit_code(floor::run(
            &words[3..],
            floor::Groups::make(words[1] == "v2", &words[2].to_string_lossy()),
        )),
        Some("--staged") => report(run(Path::new(&words[1]), &words[2..])),
        _ => report(prepare(&words)),
    }
}

/// Sets the stage, and starts this program again on it as an ordinary user.
fn prepare(words: &[OsString]) -> Result<ExitCode, String> {
    let jobs = choose(words)?;
    let stage = Stage::set().map_err(|error| format!("cannot set the stage: {error}"))?;
    let mut again = Command::new(stage.bench());
    again.arg("--staged").arg(stage.path()).args(jobs).current_dir("/");
    if let Some(id) = stage.user() {
        again.uid(id).gid(id);
    }
    let status = again
        .status()
        .map_err(|error| format!("cannot run {}: {error}", stage.bench().display()))?;
    Ok(exit_code(status.code().unwrap_or(1)))
}

/// The jobs that the command line names. Options are cargo's (`--bench`).
fn choose(words: &[OsString]) -> Result<Vec<OsString>, String> {
    let named: Vec<OsString> =
        words.iter().filter(|word| !word.as_encoded_bytes().starts_with(b"-")).cloned().collect();
    match named.iter().find(|word| !JOBS.iter().any(|job| *word == job)) {
        Some(unknown) => {
            Err(format!("no job is called {}; there are {}", unknown.display(), JOBS.join(", ")))
        }
        None if named.is_empty() => Ok(JOBS.map(OsString::from).to_vec()),
        None => Ok(named),
    }
}

/// Runs the jobs, on the stage.
fn run(stage: &Path, jobs: &[OsString]) -> Result<ExitCode, String> {
    let stage = Stage::enter(stage);
    measure::adopt_orphans()?;
    let mut gates = Gates::default();
    println!("stockade bench, {}", sandbox::machine());
    for job in jobs {
        println!();
        match job.to_str() {
            Some("start") => contest::run(&stage, &mut gates)?,
            Some("growth") => growth::run(&stage, &mut gates)?,
            Some("limits") => limits::run(&stage, &mut gates)?,
            Some("layers") => layers::run(&stage, &mut gates)?,
            Some("check") => check::run(&stage, &mut gates)?,
            _ => facts::run(&stage, &mut gates)?,
        }
    }
    println!("\n{gates}");
    Ok(gates.exit_code())
}

fn report(outcome: Result<ExitCode, String>) -> ExitCode {
    outcome.unwrap_or_else(|message| {
        eprintln!("start bench: {message}");
        ExitCode::FAILURE
    })
}

fn exit_code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}
