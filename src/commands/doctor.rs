//! `stockade doctor`: what this machine can enforce for this user; with a profile, whether that
//! would run here.

use super::{FAILED, Planned, in_use, prepare, print_line, print_notes};
use crate::cli::{Examined, Format, Given};
use crate::inspect::doctor::judge::{judge, serves};
use crate::inspect::doctor::table::table;
use crate::inspect::doctor::{Facts, Line};
use crate::inspect::view::Notes;
use crate::launch::{Failure, NO_PROGRAM, Program, rehearse};
use crate::text::layout::Paint;
use crate::text::problem::{Note, quiet_json};

/// The status when something is missing that stockade's defaults need.
const LESS: u8 = 1;

/// The status of a run whose program was not found.
const NOT_FOUND: u8 = 127;

/// Examines the machine, or a profile on it.
pub(super) fn doctor(examined: Examined) -> u8 {
    let (format, notes) = (examined.format, examined.loudness.notes());
    match examined.given() {
        Some(given) => profile(given, format, notes),
        None => machine(format, notes),
    }
}

fn machine(format: Format, notes: Notes) -> u8 {
    let facts = Facts::read();
    let lines = judge(&facts);
    match format {
        // Whether something is missing is the status.
        Format::Text if notes == Notes::None => {}
        Format::Text => {
            let paint = Paint::of(&std::io::stdout());
            print_line(&table(&facts, &lines, paint));
        }
        Format::Json => {
            match serde_json::to_string_pretty(&lines.iter().map(Line::record).collect::<Vec<_>>())
            {
                Ok(json) => print_line(&quiet_json(json)),
                Err(_) => return FAILED,
            }
        }
    }
    if serves(&facts) { 0 } else { LESS }
}

fn profile(given: Given, format: Format, notes: Notes) -> u8 {
    let planned = match prepare("doctor", given) {
        Ok(planned) => planned,
        Err(failed) => return failed.print(format),
    };
    if let Err(problem) = rehearse(&planned.plan, Program::Sought) {
        let status = if problem.code == NO_PROGRAM { NOT_FOUND } else { FAILED };
        return planned.failed(Failure { problem, status }).print(format);
    }
    match format {
        Format::Json => print_line("[]"),
        Format::Text => {
            let all: Vec<Note> =
                [planned.plan.notes.clone(), in_use(&planned.plan), lacking(&planned)].concat();
            print_notes(notes, &all, &planned.sources);
            if notes == Notes::None {
                return 0;
            }
            print_line("this profile would run here: its sandbox was built, and taken down again");
        }
    }
    0
}

/// What only the program itself would find: its loader ends it where a library is missing, and the
/// sandbox has nothing to do with it.
fn lacking(planned: &Planned) -> Vec<Note> {
    let found = planned.look_inside().into_iter().filter(|lack| lack.at == planned.plan.exec.at);
    found.map(|lack| Note::new(lack.at, lack.text).less()).collect()
}
