//! `stockade check`: everything up to the launch, without it.

use super::{FAILED, Planned, prepare_and_lint, print_line, print_problems};
use crate::cli::{Checked, Format};
use crate::inspect::view::note_line;
use crate::plan::Plan;
use crate::step::GroupOp;
use crate::text::problem::{Note, Problems, escape};

/// Says all that is wrong with the profile on this machine, and what looks like a mistake.
pub(super) fn check(checked: Checked) -> u8 {
    let format = checked.shown.format;
    let mut warnings = Problems::default();
    match prepare_and_lint(checked.shown.given.into(), &mut warnings) {
        Err(mut failed) => {
            failed.add(warnings);
            failed.say(format)
        }
        Ok(planned) => {
            match format {
                Format::Json => {
                    print_line(&warnings.json_with(&planned.plan.notes, &planned.sources))
                }
                Format::Text => {
                    print_problems(&warnings, &planned.sources);
                    for note in &planned.plan.notes {
                        print_line(&format!("note: {}", note_line(note, &planned.sources)));
                    }
                    print_line(&verdict(&planned));
                }
            }
            let less = skipped(&planned.plan).next().is_some();
            if checked.deny_warnings && (less || !warnings.is_empty()) { FAILED } else { 0 }
        }
    }
}

/// Protections that the profile names and that are skipped here.
fn skipped(plan: &Plan) -> impl Iterator<Item = &Note> {
    plan.notes.iter().filter(|note| note.is_of_a_protection())
}

fn verdict(planned: &Planned) -> String {
    let mut heads: Vec<&str> = skipped(&planned.plan).map(Note::what).collect();
    heads.dedup();
    let but = if heads.is_empty() {
        String::new()
    } else {
        format!(", but for: {}", escape(&heads.join("; ")))
    };
    let without: Vec<&str> = planned
        .plan
        .notes
        .iter()
        .filter(|note| note.less)
        .filter_map(|note| note.left_out.as_deref())
        .collect();
    let without = if without.is_empty() {
        String::new()
    } else {
        format!(". Left out, so that the target cannot use it: {}", escape(&without.join(", ")))
    };
    // A file of a control group can refuse its value, and no look tells before it is written.
    let limits =
        if planned.plan.groups.iter().any(|step| matches!(step.op, GroupOp::GroupLimit { .. })) {
            "\nwhether the kernel takes each limit shows when the groups are made: stockade doctor \
         PROFILE tries it"
        } else {
            ""
        };
    format!("the profile is good, and this machine can enforce it{but}{without}{limits}")
}
