//! `stockade plan`: what `run` would make; with `--steps` what it would do, in its order, each step
//! with the line that asked for it.

use super::{Planned, note_line, paint, prepare_and_lint, print_line, print_problems};
use crate::cli::{Format, Planning};
use crate::inspect::view;
use crate::inspect::walls::World;
use crate::plan::{ORDER, Plan};
use crate::policy::seccomp::Rule;
use crate::step::{Op, Stage};
use crate::text::problem::{Problems, escape, quiet_json};
use crate::text::source::{Place, Sources};
use serde::Serialize;
use std::collections::BTreeMap;

/// Shows the plan.
pub fn plan(planning: Planning) -> u8 {
    let format = planning.shown.format;
    let mut warnings = Problems::default();
    match prepare_and_lint(planning.shown.given.into(), &mut warnings) {
        Err(mut failed) => {
            failed.add(warnings);
            failed.say(format)
        }
        Ok(mut planned) => {
            // What is there of keys and hooks counts for the exposure, and changes no plan.
            planned.host.look_closer(&planned.profile);
            let Planned { sources, profile, host, plan } = &planned;
            match format {
                Format::Text if planning.steps => print_line(text(plan, sources).trim_end()),
                Format::Text => print_line(&view::plan::text(
                    profile,
                    host,
                    &World::new(plan, profile),
                    sources,
                    paint(),
                )),
                Format::Json => print_line(&quiet_json(&json(&planned, &warnings))),
            }
            if format == Format::Text {
                print_problems(&warnings, sources);
            }
            0
        }
    }
}

fn text(plan: &Plan, sources: &Sources) -> String {
    let mut out = String::new();
    let mut line = |text: String| out.push_str(&(text.trim_end().to_owned() + "\n"));
    line(format!(
        "namespaces: {}",
        plan.new.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
    ));
    if let Some(maps) = &plan.ids.maps {
        for (name, extents) in [("users", &maps.uid), ("groups", &maps.gid)] {
            let extents: Vec<String> = extents
                .iter()
                .map(|e| {
                    format!(
                        "{}–{} are {}–{} of the host",
                        e.inside,
                        e.inside + (e.count - 1),
                        e.outside,
                        e.outside + (e.count - 1)
                    )
                })
                .collect();
            line(format!("{name}: {}", extents.join("; ")));
        }
    }
    let mut stage = None;
    for step in &plan.steps {
        if stage != Some(step.stage) {
            stage = Some(step.stage);
            let reason = ORDER
                .iter()
                .find(|(known, ..)| *known == step.stage)
                .map_or("", |(.., reason)| reason);
            line(format!("\n{} ({reason})", step.stage.word()));
        }
        let place = sources.place(step.at).map_or(String::new(), |place| place.to_string());
        line(format!("  {:<70} {}", escape(&step.op.to_string()), escape(&place)));
    }
    let words: Vec<&str> = plan.exec.argv.iter().map(|word| word.text()).collect();
    line(String::new());
    line(format!("execute: {}", escape(&words.join(" "))));
    let names: Vec<&str> = plan.exec.env.iter().map(|setting| setting.name.text()).collect();
    line(format!("environment: {}", escape(&names.join(" "))));
    system_calls(plan, sources).into_iter().for_each(&mut line);
    for note in &plan.notes {
        line(format!("note: {}", note_line(note, sources)));
    }
    out
}

/// How many calls have which answer, and under it what the profile's own words decided.
fn system_calls(plan: &Plan, sources: &Sources) -> Vec<String> {
    let table = &plan.filter.native;
    let count = |wanted: fn(&Rule) -> bool| table.rules().filter(|(_, rule)| wanted(rule)).count();
    let allowed = count(|rule| rule.cases.is_empty() && !rule.otherwise.refuses());
    let refused = count(|rule| rule.cases.is_empty() && rule.otherwise.refuses());
    let by_arguments = count(|rule| !rule.cases.is_empty());
    let others: String =
        plan.filter.others.iter().map(|table| format!("; with {}", table.abi.word())).collect();
    let mut lines = vec![format!(
        "system calls: {allowed} allowed, {by_arguments} by their arguments, {refused} \
         refused{others}"
    )];
    for ((source, at), numbers) in table.sources() {
        let place = sources.place(at).map_or(String::new(), |place| place.to_string());
        let names: Vec<String> = numbers.iter().map(|number| table.call_name(*number)).collect();
        let rule = numbers
            .first()
            .and_then(|first| table.rule(*first))
            .filter(|rule| !rule.cases.is_empty());
        let rule = rule.map_or(String::new(), |rule| format!(": {rule}"));
        lines.push(format!(
            "  {:<70} {}",
            format!(
                "by {source}: {}{}",
                names.join(" "),
                if names.len() == 1 { rule } else { String::new() }
            ),
            escape(&place)
        ));
    }
    lines
}

#[derive(Serialize)]
struct Record<'a, W> {
    namespaces: &'a [crate::kernel::namespace::Kind],
    maps: &'a Option<crate::policy::identity::Maps>,
    steps: Vec<StepRecord<'a>>,
    exec: &'a crate::policy::process::Exec,
    watch: &'a crate::policy::process::Watch,
    landlock: &'a Option<crate::policy::landlock::Ruleset>,
    seccomp: &'a crate::policy::seccomp::Filter,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    seccomp_of: BTreeMap<&'static str, &'a crate::policy::seccomp::Table>,
    notes: Vec<NoteRecord<'a>>,
    tree: Vec<view::tree::Record<'a>>,
    walls: Vec<view::walls::Record>,
    not_granted: String,
    exposure: view::plan::Record,
    warnings: W,
}

#[derive(Serialize)]
struct StepRecord<'a> {
    stage: Stage,
    #[serde(flatten)]
    op: &'a Op,
    at: Option<Place>,
}

#[derive(Serialize)]
struct NoteRecord<'a> {
    text: &'a str,
    less: bool,
    at: Option<Place>,
}

fn json(Planned { sources, profile, host, plan }: &Planned, warnings: &Problems) -> String {
    let world = World::new(plan, profile);
    let record = Record {
        namespaces: &plan.new,
        maps: &plan.ids.maps,
        steps: plan
            .steps
            .iter()
            .map(|step| StepRecord { stage: step.stage, op: &step.op, at: sources.place(step.at) })
            .collect(),
        exec: &plan.exec,
        watch: &plan.watch,
        landlock: &plan.landlock,
        seccomp: &plan.filter,
        seccomp_of: plan.filter.others.iter().map(|table| (table.abi.word(), table)).collect(),
        notes: plan
            .notes
            .iter()
            .map(|note| NoteRecord {
                text: &note.text,
                less: note.less,
                at: sources.place(note.at),
            })
            .collect(),
        tree: view::tree::records(&world, profile, sources),
        walls: view::walls::records(&world),
        not_granted: format!("not granted: {}", view::walls::not_granted(&world)),
        exposure: view::plan::record(profile, host, &world, sources),
        warnings: warnings.records(sources),
    };
    serde_json::to_string_pretty(&record)
        .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}
