//! `stockade check`: everything up to the launch, without it.

use super::{note_line, prepare, print_line};
use crate::cli::{Format, Shown};

/// Says all that is wrong with the profile on this machine.
pub fn check(shown: Shown) -> u8 {
    match prepare(shown.given) {
        Err(failed) => failed.say(shown.format),
        Ok(planned) => {
            match shown.format {
                Format::Json => print_line("[]"),
                Format::Text => {
                    for note in &planned.plan.notes {
                        print_line(&format!("note: {}", note_line(note, &planned.sources)));
                    }
                    print_line("the profile is good, and this machine can enforce it");
                }
            }
            0
        }
    }
}
