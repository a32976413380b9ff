//! `stockade run`: the whole pipeline.

use super::{Planned, note_line, prepare, print_problems, warn};
use crate::cli::{Format, Given};
use stockade::host::Host;
use stockade::policy::programs::unseen;
use stockade::problem::Problem;
use stockade::profile::Caller;

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
        Ok(outcome) => outcome.status(),
        Err(failure) => {
            let status = failure.status;
            print_problems(&explain(*failure.problem, status, &planned).into(), &planned.sources);
            status
        }
    }
}

/// execve(2) says ENOENT also where the loader or the interpreter is what is missing: what the tree lacks is looked for now.
fn explain(problem: Problem, status: u8, planned: &Planned) -> Problem {
    if status != 126 && status != 127 {
        return problem;
    }
    let mut host = Host::probe(&planned.profile, Caller::current(), &planned.sources);
    host.look_inside(&planned.profile);
    let cause = unseen(&planned.profile.process, &host).into_iter().find(|cause| cause.at == planned.plan.exec.at);
    match cause {
        Some(cause) => Problem { message: cause.text, ..problem }.help_maybe(cause.help),
        None => problem,
    }
}
