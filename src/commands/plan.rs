//! `stockade plan`: what `run` would do, in its order, each step with the line that asked for it.

use super::{note_line, prepare, print_line};
use crate::cli::{Format, Shown};
use serde::Serialize;
use stockade::plan::{ORDER, Plan};
use stockade::problem::{escape, quiet_json};
use stockade::source::{Place, Sources};
use stockade::step::{Op, Stage};

/// Shows the plan.
pub fn plan(shown: Shown) -> u8 {
    match prepare(shown.given) {
        Err(failed) => failed.say(shown.format),
        Ok(planned) => {
            match shown.format {
                Format::Text => print_line(text(&planned.plan, &planned.sources).trim_end()),
                Format::Json => print_line(&quiet_json(&json(&planned.plan, &planned.sources))),
            }
            0
        }
    }
}

fn text(plan: &Plan, sources: &Sources) -> String {
    let mut out = String::new();
    let mut line = |text: String| out.push_str(&(text.trim_end().to_owned() + "\n"));
    line(format!("namespaces: {}", plan.new.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")));
    if let Some(maps) = &plan.ids.maps {
        for (name, extents) in [("users", &maps.uid), ("groups", &maps.gid)] {
            let extents: Vec<String> = extents
                .iter()
                .map(|e| format!("{}–{} are {}–{} of the host", e.inside, e.inside + (e.count - 1), e.outside, e.outside + (e.count - 1)))
                .collect();
            line(format!("{name}: {}", extents.join("; ")));
        }
    }
    let mut stage = None;
    for step in &plan.steps {
        if stage != Some(step.stage) {
            stage = Some(step.stage);
            let reason = ORDER.iter().find(|(known, ..)| *known == step.stage).map_or("", |(.., reason)| reason);
            line(format!("\n{:?} ({reason})", step.stage));
        }
        let place = sources.place(step.at).map_or(String::new(), |place| place.to_string());
        line(format!("  {:<70} {}", escape(&step.op.to_string()), escape(&place)));
    }
    let words: Vec<&str> = plan.exec.argv.iter().map(|word| word.text()).collect();
    line(format!("\nexecute: {}", escape(&words.join(" "))));
    let names: Vec<&str> = plan.exec.env.iter().map(|setting| setting.name.text()).collect();
    line(format!("environment: {}", escape(&names.join(" "))));
    line(format!("system calls: {} rules", plan.filter.rules.len()));
    for note in &plan.notes {
        line(format!("note: {}", note_line(note, sources)));
    }
    out
}

#[derive(Serialize)]
struct Record<'a> {
    namespaces: &'a [stockade::policy::namespaces::Kind],
    maps: &'a Option<stockade::policy::identity::Maps>,
    steps: Vec<StepRecord<'a>>,
    exec: &'a stockade::policy::process::Exec,
    watch: &'a stockade::policy::process::Watch,
    landlock: &'a Option<stockade::policy::landlock::Ruleset>,
    seccomp: &'a stockade::policy::seccomp::Filter,
    notes: Vec<NoteRecord<'a>>,
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

fn json(plan: &Plan, sources: &Sources) -> String {
    let record = Record {
        namespaces: &plan.new,
        maps: &plan.ids.maps,
        steps: plan.steps.iter().map(|step| StepRecord { stage: step.stage, op: &step.op, at: sources.place(step.at) }).collect(),
        exec: &plan.exec,
        watch: &plan.watch,
        landlock: &plan.landlock,
        seccomp: &plan.filter,
        notes: plan.notes.iter().map(|note| NoteRecord { text: &note.text, less: note.less, at: sources.place(note.at) }).collect(),
    };
    serde_json::to_string_pretty(&record).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}
