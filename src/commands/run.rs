//! `stockade run`: the whole pipeline.

use super::{explain, note_line, prepare, print_problems, warn};
use crate::cli::{Format, Given};

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
