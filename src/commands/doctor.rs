//! `stockade doctor`: what this machine can enforce for this user; with a profile, whether that would run here.

use super::{FAILED, Failed, colours, note_line, prepare, print_line};
use crate::cli::{Examined, Format, Given};
use stockade::doctor::judge::{judge, serves};
use stockade::doctor::table::{Paint, table};
use stockade::doctor::{Facts, Line};
use stockade::launch::{Program, rehearse};
use stockade::problem::quiet_json;

/// The status when something is missing that stockade's defaults need.
const LESS: u8 = 1;

/// Examines the machine, or a profile on it.
pub fn doctor(examined: Examined) -> u8 {
    let format = examined.format;
    match examined.given() {
        Some(given) => profile(given, format),
        None => machine(format),
    }
}

fn machine(format: Format) -> u8 {
    let facts = Facts::read();
    let lines = judge(&facts);
    match format {
        Format::Text => {
            let paint = if colours(&std::io::stdout()) { Paint::Colour } else { Paint::Plain };
            print_line(&table(&facts, &lines, paint));
        }
        Format::Json => match serde_json::to_string_pretty(&lines.iter().map(Line::record).collect::<Vec<_>>()) {
            Ok(json) => print_line(&quiet_json(&json)),
            Err(_) => return FAILED,
        },
    }
    if serves(&facts) { 0 } else { LESS }
}

fn profile(given: Given, format: Format) -> u8 {
    let planned = match prepare(given) {
        Ok(planned) => planned,
        Err(failed) => return failed.say(format),
    };
    if let Err(problem) = rehearse(&planned.plan, Program::Sought) {
        return Failed { sources: planned.sources, problems: (*problem).into() }.say(format);
    }
    match format {
        Format::Json => print_line("[]"),
        Format::Text => {
            for note in &planned.plan.notes {
                print_line(&format!("note: {}", note_line(note, &planned.sources)));
            }
            print_line("this profile would run here: its sandbox was built, and taken down again");
        }
    }
    0
}
