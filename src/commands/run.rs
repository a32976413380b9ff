//! `stockade run`: the whole pipeline.

use super::{explain, note_line, prepare, print_problems, warn};
use crate::cli::{Format, Given};
use stockade::launch::Outcome;
use stockade::plan::Plan;
use stockade::policy::syscalls::Abi;

/// Runs the profile; the status is the target's own, or stockade's.
pub fn run(given: Given) -> u8 {
    let planned = match prepare(given) {
        Ok(planned) => planned,
        Err(failed) => return failed.say(Format::Text),
    };
    for note in planned.plan.notes.iter().filter(|note| note.less) {
        warn(&format!("stockade: {}\n", note_line(note, &planned.sources)));
    }
    match stockade::launch::launch(&planned.plan) {
        Ok(outcome) => {
            if outcome == Outcome::Killed(libc::SIGSYS as u8) {
                warn(&format!("stockade: {}\n", killed_by_the_filter(&planned.plan)));
            }
            outcome.status()
        }
        Err(failure) => {
            let status = failure.status;
            print_problems(&explain(*failure.problem, status, &planned).into(), &planned.sources);
            status
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
