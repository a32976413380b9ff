//! `stockade plan --steps`: what `run` does, in its order, each step with the line that asked for
//! it.

use crate::inspect::view::note_line;
use crate::plan::{ORDER, Plan};
use crate::policy::seccomp::Rule;
use crate::text::problem::escape;
use crate::text::source::Sources;

pub fn text(plan: &Plan, sources: &Sources) -> String {
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
    for step in plan.shown() {
        if stage != Some(step.stage) {
            stage = Some(step.stage);
            let (.., reason) = ORDER[step.stage as usize];
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
