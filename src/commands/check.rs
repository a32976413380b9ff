//! `stockade check`: everything up to the launch, without it. Its findings are its result, so all
//! of them go to standard output.

use super::{FAILED, Planned, in_use, prepare_and_lint, print_line, print_notes, print_report};
use crate::cli::{Checked, Format};
use crate::inspect::start;
use crate::inspect::view::Notes;
use crate::plan::Plan;
use crate::step::GroupOp;
use crate::text::explain::number;
use crate::text::gather::Gather;
use crate::text::problem::{Note, Problems, escape};
use std::collections::BTreeSet;

/// Says all that is wrong with the profile on this machine, and what looks like a mistake.
pub(super) fn check(checked: Checked) -> u8 {
    let (format, notes) = (checked.shown.format, checked.loudness.notes());
    let mut warnings = Problems::default();
    match prepare_and_lint("check", checked.shown.given.into(), &mut warnings) {
        Err(mut failed) => {
            failed.add(warnings);
            failed.report(format)
        }
        Ok(mut planned) => {
            let used = in_use(&planned.plan);
            planned.plan.notes.extend(used);
            let less = skipped(&planned.plan).next().is_some();
            let denied = checked.deny_warnings && (less || !warnings.is_empty());
            let stops: BTreeSet<&str> =
                start::stops(&warnings).filter_map(|stop| number(stop.code)).gather();
            let failed = denied || !stops.is_empty();
            match format {
                Format::Json => {
                    print_line(&warnings.json_with(&planned.plan.notes, &planned.sources))
                }
                Format::Text => {
                    // A failure always shows its reason.
                    if notes != Notes::None || failed {
                        print_report(&warnings, &planned.sources);
                    }
                    print_notes(notes, &planned.plan.notes, &planned.sources);
                    if denied {
                        print_line(&refusal(&planned, warnings.iter().count()));
                    } else if failed {
                        let numbers = Vec::from_iter(stops).join(", ");
                        print_line(&format!(
                            "the profile is good, but its target does not start here ({numbers})"
                        ));
                    } else if notes != Notes::None {
                        print_line(&verdict(&planned));
                    }
                }
            }
            if failed { FAILED } else { 0 }
        }
    }
}

/// Protections that the profile names and that are skipped here.
fn skipped(plan: &Plan) -> impl Iterator<Item = &Note> {
    plan.notes.iter().filter(|note| note.is_of_a_protection())
}

/// Why `--deny-warnings` fails.
fn refusal(planned: &Planned, warnings: usize) -> String {
    let mut heads: Vec<&str> = skipped(&planned.plan).map(Note::what).collect();
    heads.dedup();
    let mut why = vec![];
    match warnings {
        0 => {}
        1 => why.push("there is a warning".to_owned()),
        count => why.push(format!("there are {count} warnings")),
    }
    why.extend((!heads.is_empty()).then(|| escape(&heads.join("; "))));
    format!("the profile is refused by --deny-warnings: {}", why.join(", and "))
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
    // A file of a control group can refuse its value, and only writing it shows that.
    let limits =
        if planned.plan.groups.iter().any(|step| matches!(step.op, GroupOp::GroupLimit { .. })) {
            "\nwhether the kernel takes each limit shows when the groups are made: stockade doctor \
         PROFILE tries it"
        } else {
            ""
        };
    format!("the profile is good, and this machine can enforce it{but}{without}{limits}")
}
