//! `stockade run`: the whole pipeline, and the record of how it ended.

use super::record::{Record, Sink};
use super::{FAILED, Planned, explain, note_line, prepare, print_problems, warn};
use crate::cli::{Format, Runs};
use stockade::launch::{Ask, Failure, Outcome, find_passed, launch};
use stockade::plan::Plan;
use stockade::policy::syscalls::Abi;

/// Runs the profile; the status is the target's own, or stockade's.
pub fn run(runs: Runs) -> u8 {
    let Runs { report, report_fd, stats, given } = runs;
    let prepared = prepare(given);
    // Descriptors that the caller passes are looked at before the report's takes a number.
    let passed = prepared.as_ref().map_or(Ok(()), |planned| find_passed(&planned.plan));
    let sink = match Sink::open(report.as_deref(), report_fd, stats) {
        Ok(sink) => sink,
        Err(message) => {
            warn(&format!("stockade: {message}\n"));
            return FAILED;
        }
    };
    match prepared {
        Ok(planned) => run_plan(&planned, passed, sink),
        Err(failed) => {
            let messages = failed.problems.iter().map(|problem| problem.message.clone()).collect();
            let status = failed.say(Format::Text);
            sink.put(&Record::failed(status, messages, vec![]), status)
        }
    }
}

fn run_plan(planned: &Planned, passed: Result<(), Failure>, sink: Sink) -> u8 {
    let skipped: Vec<String> = planned.plan.notes.iter().filter(|note| note.less).map(|note| note_line(note, &planned.sources)).collect();
    for note in &skipped {
        warn(&format!("stockade: {note}\n"));
    }
    let ask = if sink.is_wanted() { Ask::Accounts } else { Ask::Nothing };
    match passed.and_then(|()| launch(&planned.plan, ask)) {
        Ok(ended) => {
            for left in &ended.left {
                warn(&format!("stockade: a control group could not be removed, the next run does it: {left}\n"));
            }
            if ended.outcome == Outcome::Killed(libc::SIGSYS as u8) {
                warn(&format!("stockade: {}\n", killed_by_the_filter(&planned.plan)));
            }
            let status = ended.outcome.status();
            sink.put(&Record::ended(&ended, skipped), status)
        }
        Err(failure) => {
            let status = failure.status;
            let problem = explain(*failure.problem, status, planned);
            let record = Record::failed(status, vec![problem.message.clone()], skipped);
            print_problems(&problem.into(), &planned.sources);
            sink.put(&record, status)
        }
    }
}

/// What SIGSYS means here.
fn killed_by_the_filter(plan: &Plan) -> String {
    let foreign = match plan.filter.table(Abi::X86) {
        None if cfg!(target_arch = "x86_64") => "; a 32-bit program needs [seccomp] architectures = [\"x86\"]",
        _ => "",
    };
    format!("the target died of SIGSYS: the filter kills for calls of an architecture that is not granted, and where a rule says so{foreign}")
}
