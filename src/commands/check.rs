//! `stockade check`: everything up to the launch, without it.

use super::{FAILED, note_line, prepare_and_lint, print_line, print_problems};
use crate::cli::{Checked, Format};
use stockade::problem::Problems;

/// Says all that is wrong with the profile on this machine, and what looks like a mistake.
pub fn check(checked: Checked) -> u8 {
    let format = checked.shown.format;
    let mut warnings = Problems::default();
    match prepare_and_lint(checked.shown.given.into(), &mut warnings) {
        Err(mut failed) => {
            failed.add(warnings);
            failed.say(format)
        }
        Ok(planned) => {
            match format {
                Format::Json => print_line(&warnings.json_with(&planned.plan.notes, &planned.sources)),
                Format::Text => {
                    print_problems(&warnings, &planned.sources);
                    for note in &planned.plan.notes {
                        print_line(&format!("note: {}", note_line(note, &planned.sources)));
                    }
                    print_line("the profile is good, and this machine can enforce it");
                }
            }
            if checked.deny_warnings && !warnings.is_empty() { FAILED } else { 0 }
        }
    }
}
