//! `stockade plan`: what `run` would make; with `--steps` what it would do, in its order, each step
//! with the line that asked for it.

use super::{Planned, in_locale, prepare_and_lint, print_line, print_problems};
use crate::cli::{Format, Planning};
use crate::inspect::access::World;
use crate::inspect::access::facts::HostFs;
use crate::inspect::access::stays::{self, Stays};
use crate::inspect::view::{self, Notes};
use crate::step::{Shown, Stage};
use crate::text::gather::Gather;
use crate::text::layout::Paint;
use crate::text::problem::{Problems, quiet_json};
use crate::text::source::Place;
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) fn plan(planning: Planning) -> u8 {
    let (format, notes) = (planning.shown.format, planning.loudness.notes());
    let mut warnings = Problems::default();
    match prepare_and_lint("plan", planning.shown.given.into(), &mut warnings) {
        Err(mut failed) => {
            failed.add(warnings);
            failed.print(format)
        }
        Ok(mut planned) => {
            // Keys and hooks count for the exposure, and change no plan.
            planned.host.look_closer(&planned.profile, &planned.settled);
            let Planned { sources, profile, host, settled, plan } = &planned;
            let world = World::new(plan, profile);
            let stays = || stays::stays(&world, &HostFs::here());
            match format {
                Format::Text if planning.steps => {
                    print_line(&in_locale(view::steps::text(plan, sources).trim_end().to_owned()))
                }
                Format::Text => print_line(&in_locale(view::plan::text(
                    profile,
                    (host, settled),
                    (&world, &stays()),
                    sources,
                    Paint::of(&std::io::stdout()),
                    notes,
                ))),
                Format::Json => {
                    print_line(&quiet_json(json(&planned, (&world, stays()), &warnings)))
                }
            }
            if format == Format::Text && notes != Notes::None {
                print_problems(&warnings, sources);
            }
            0
        }
    }
}

#[derive(Serialize)]
struct Record<'a, W> {
    namespaces: &'a [crate::kernel::namespace::Kind],
    maps: &'a Option<crate::kernel::idmap::Maps>,
    steps: Vec<StepRecord<'a>>,
    exec: &'a crate::policy::process::Exec,
    watch: &'a crate::policy::process::Watch,
    landlock: &'a Option<crate::policy::landlock::Ruleset>,
    seccomp: &'a crate::policy::seccomp::Filter,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    seccomp_of: BTreeMap<&'static str, &'a crate::policy::seccomp::Table>,
    notes: Vec<NoteRecord<'a>>,
    tree: Vec<view::tree::Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stays: Option<Stays>,
    protections: Vec<view::protections::Record>,
    not_granted: String,
    exposure: view::plan::Record,
    warnings: W,
}

#[derive(Serialize)]
struct StepRecord<'a> {
    stage: Stage,
    #[serde(flatten)]
    op: Shown<'a>,
    at: Option<Place>,
}

#[derive(Serialize)]
struct NoteRecord<'a> {
    text: &'a str,
    less: bool,
    at: Option<Place>,
}

fn json(
    Planned { sources, profile, host, settled, plan }: &Planned,
    (world, stays): (&World<'_>, Stays),
    warnings: &Problems,
) -> String {
    let record = Record {
        namespaces: &plan.new,
        maps: &plan.ids.maps,
        steps: plan
            .shown()
            .map(|step| StepRecord { stage: step.stage, op: step.op, at: sources.place(step.at) })
            .collect(),
        exec: &plan.exec,
        watch: &plan.watch,
        landlock: &plan.landlock,
        seccomp: &plan.filter,
        seccomp_of: plan.filter.others.iter().map(|table| (table.abi.word(), table)).gather(),
        notes: plan
            .notes
            .iter()
            .map(|note| NoteRecord {
                text: &note.text,
                less: note.less,
                at: sources.place(note.at),
            })
            .collect(),
        tree: view::tree::records(world, profile, sources),
        stays: Some(stays).filter(|stays| !stays.directories.is_empty()),
        protections: view::protections::records(world),
        not_granted: format!("not granted: {}", view::protections::not_granted(world)),
        exposure: view::plan::record(profile, (host, settled), world, sources),
        warnings: warnings.records(sources),
    };
    serde_json::to_string_pretty(&record)
        .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}
