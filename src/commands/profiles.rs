//! `stockade profiles`: which profiles a name can mean, what one says, and in what two differ.

use super::{Failed, Planned, prepare, print_line};
use crate::cli::{Flags, Format, Profiles, ProfilesCommand};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use stockade::problem::{escape, quiet_json};
use stockade::profile::{Caller, Listed, installed, text_of};
use stockade::source::Sources;
use stockade::step::{Content, Op};

/// Does one of them.
pub fn profiles(profiles: Profiles) -> u8 {
    match profiles.what {
        None => list(profiles.format),
        Some(ProfilesCommand::Show { name }) => show(&name),
        Some(ProfilesCommand::Diff { first, second, given }) => diff(given, first, second, profiles.format),
    }
}

/// How wide a line may be.
const WIDTH: usize = 80;
/// Where descriptions begin.
const INDENT: usize = 16;

fn list(format: Format) -> u8 {
    let all = installed(&Caller::current());
    if format == Format::Json {
        print_line(&quiet_json(&serde_json::to_string_pretty(&all).unwrap_or_default()));
        return 0;
    }
    let mut folder = None;
    for listed in &all {
        if folder != Some(&listed.folder) {
            let head = listed.folder.as_deref().map_or("built-in".into(), escape);
            print_line(&format!("{}{head}:", if folder.is_some() { "\n" } else { "" }));
            folder = Some(&listed.folder);
        }
        print_line(&entry(listed));
    }
    0
}

fn entry(Listed { name, description, .. }: &Listed) -> String {
    let words = description.as_deref().map_or("(no description)".into(), escape);
    let mut lines = vec![format!("  {:<1$}", escape(name), INDENT - 3)];
    for word in words.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].chars().count() + 1 + word.chars().count() > WIDTH && lines[last].trim() != "" {
            lines.push(" ".repeat(INDENT - 1));
        }
        let last = lines.len() - 1;
        lines[last].push(' ');
        lines[last].push_str(word);
    }
    lines.join("\n")
}

/// The text as it is; on a terminal, what would drive it is made visible.
fn show(name: &str) -> u8 {
    match text_of(name, &Caller::current()) {
        Ok(text) => {
            print_line(if std::io::stdout().is_terminal() { escape(&text) } else { text }.trim_end());
            0
        }
        Err(problem) => Failed { sources: Sources::default(), problems: problem.into() }.say(Format::Text),
    }
}

#[derive(Serialize)]
struct Difference {
    /// Of which profile it is.
    profile: String,
    /// What that one does, and the other does not.
    does: String,
}

/// By meaning: what a run of each would do here, whichever way its text says so.
fn diff(flags: Flags, first: String, second: String, format: Format) -> u8 {
    let mut deeds = vec![];
    for profile in [&first, &second] {
        match prepare(flags.clone().of(profile)) {
            Ok(planned) => deeds.push(deeds_of(&planned)),
            Err(failed) => return failed.say(format),
        }
    }
    let only = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
        let more = |deed: &String, count: &usize| count.saturating_sub(other.get(deed).copied().unwrap_or(0));
        one.iter().flat_map(|(deed, count)| std::iter::repeat_n(deed.clone(), more(deed, count))).collect()
    };
    let sides = [(first, "-", only(&deeds[0], &deeds[1])), (second, "+", only(&deeds[1], &deeds[0]))];
    if format == Format::Json {
        let all: Vec<Difference> = sides
            .iter()
            .flat_map(|(profile, _, deeds)| deeds.iter().map(|does| Difference { profile: profile.clone(), does: does.clone() }))
            .collect();
        print_line(&quiet_json(&serde_json::to_string_pretty(&all).unwrap_or_default()));
    } else {
        for (_, sign, deeds) in &sides {
            deeds.iter().for_each(|deed| print_line(&format!("{sign} {}", escape(deed))));
        }
    }
    // As diff(1): 1 where they differ.
    u8::from(sides.iter().any(|(.., deeds)| !deeds.is_empty()))
}

/// Everything that a plan does, by its words; places in the profile are not among them.
fn deeds_of(Planned { plan, .. }: &Planned) -> BTreeMap<String, usize> {
    let steps = plan.steps.iter().map(|step| match &step.op {
        Op::File { content: Content::Text(text), .. } | Op::CoverFile { content: Content::Text(text), .. } => format!("{}: {}", step.op, shown(text)),
        op => op.to_string(),
    });
    let namespaces = plan.new.iter().map(|kind| format!("have a new {} namespace", kind.word()));
    let environment = plan.exec.env.iter().map(|setting| match &setting.value {
        Content::Text(text) => format!("set {} to {}", setting.name, shown(text)),
        other => format!("set {} to {other}", setting.name),
    });
    let words: Vec<&str> = plan.exec.argv.iter().map(|word| word.text()).collect();
    let tables = [&plan.filter.native].into_iter().chain(&plan.filter.others);
    let calls = tables
        .flat_map(|table| table.rules().map(|(number, rule)| format!("answer {} of {} with: {rule}", table.call_name(number), table.abi.word())));
    let watch = match serde_json::to_value(&plan.watch) {
        Ok(Value::Object(fields)) => fields.iter().map(|(name, value)| format!("watch with {name}: {value}")).collect(),
        _ => vec![],
    };
    let mut deeds = BTreeMap::new();
    for deed in steps.chain(namespaces).chain(environment).chain(calls).chain(watch).chain([format!("execute {}", words.join(" "))]) {
        *deeds.entry(deed).or_insert(0) += 1;
    }
    deeds
}

fn shown(text: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(text).escape_debug())
}
