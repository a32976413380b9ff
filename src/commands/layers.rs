//! `stockade plan --layers`: which layer of the profile sets, replaces, widens or removes what,
//! and where. It asks nothing of the machine.

use super::{Failed, print_line, request};
use crate::cli::{Format, Given, Shown};
use crate::host::caller::Caller;
use crate::language::layers::{Change, Effect, Kind, Layers};
use crate::language::spelled;
use crate::policy::mounts::pattern;
use crate::profile::load_layers;
use crate::text::problem::{escape, quiet_json};
use crate::text::source::{Place, Sources, Span};
use serde::Serialize;

pub(super) fn layers(shown: Shown) -> u8 {
    let mut sources = Sources::default();
    let request = match request(Given::from(shown.given)) {
        Ok(request) => request,
        Err(failed) => return failed.print(shown.format),
    };
    let loaded = load_layers(&request, &Caller::current(), &mut sources);
    match loaded {
        Err(problems) => Failed::new(problems, sources).print(shown.format),
        Ok((_, layers)) => {
            let texts = texts(&layers, &sources);
            match shown.format {
                Format::Text => print_line(text(&texts).trim_end()),
                Format::Json => print_line(&quiet_json(json(&texts))),
            }
            0
        }
    }
}

/// One text, and what it does. A base that says nothing that matters has an empty list.
#[derive(Serialize)]
struct Text {
    name: String,
    kind: Kind,
    /// The word of `extends` that brought it in.
    extended_at: Option<Place>,
    changes: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    key: Vec<String>,
    effect: Effect,
    /// As the text has it: a value of the caller's environment is not shown.
    value: String,
    #[serde(flatten)]
    place: Option<Place>,
    /// The value of a weaker layer that it replaces or removes.
    before: Option<Before>,
}

#[derive(Serialize)]
struct Before {
    value: String,
    #[serde(flatten)]
    place: Option<Place>,
}

/// The texts in the order in which they merge, then `--set` and the words after PROFILE, each with
/// its changes in its own order.
fn texts(layers: &Layers, sources: &Sources) -> Vec<Text> {
    let start_of = |at: Span| sources.source(at).map_or(0, |source| source.base);
    // Every text says its format, for itself.
    let changes: Vec<(u32, &Change)> = layers
        .changes
        .iter()
        .filter(|change| change.key != ["format"])
        .map(|change| (start_of(change.at), change))
        .collect();
    let mut starts: Vec<(Kind, u32)> =
        layers.layers.iter().map(|layer| (layer.kind, layer.start.start)).collect();
    for (start, _) in &changes {
        if starts.iter().all(|(_, known)| known != start) {
            starts.push((Kind::Flag, *start));
        }
    }
    let text = |(kind, start): (Kind, u32)| {
        let source = sources.source(Span { start, end: start });
        let mut mine: Vec<&Change> =
            changes.iter().filter(|(of, _)| *of == start).map(|(_, change)| *change).collect();
        mine.sort_by_key(|change| change.at);
        Text {
            name: source.map_or(String::new(), |source| source.name.to_string()),
            kind,
            extended_at: source.and_then(|source| sources.place(source.brought)),
            changes: mine.into_iter().map(|change| line(change, sources)).collect(),
        }
    };
    starts.into_iter().map(text).collect()
}

fn line(change: &Change, sources: &Sources) -> Line {
    let value = |at: Span| sources.text(at).unwrap_or_default().to_owned();
    let mut key = change.key.clone();
    if let [section, path] = key.as_mut_slice()
        && section == "mounts"
    {
        *path = pattern::shown(path).to_owned();
    }
    Line {
        key,
        effect: change.effect,
        value: value(change.at),
        place: sources.place(change.at),
        before: change
            .before
            .is_somewhere()
            .then(|| Before { value: value(change.before), place: sources.place(change.before) }),
    }
}

// ---- for people ----

/// How much of a value is shown.
const VALUE_SHOWN: usize = 40;

fn text(texts: &[Text]) -> String {
    let mut out = String::from(
        "Profiles that make it up, the weakest first: each is laid over those above it.\n",
    );
    for (nth, text) in texts.iter().enumerate() {
        let how = match (text.kind, &text.extended_at) {
            (Kind::Extended, Some(place)) => format!("extended at {place}"),
            (Kind::Extended, None) => "extended".into(),
            (Kind::Profile, _) => "the profile".into(),
            (Kind::Flag, _) => "the command line".into(),
        };
        out.push_str(&format!("\n{}\n", escape(&format!("{}. {}, {how}", nth + 1, text.name))));
        if text.changes.is_empty() {
            out.push_str("  nothing that is in force or was\n");
        }
        for line in &text.changes {
            let place = line
                .place
                .as_ref()
                .map_or(String::new(), |place| format!("{}:{}", place.line, place.column));
            let said = said(line);
            out.push_str(&format!(
                "{}\n",
                escape(&format!("  {place:>7}  {:<9}  {said}", line.effect.word()))
            ));
            let before =
                line.before.as_ref().and_then(|before| Some((before, before.place.as_ref()?)));
            if let Some((before, place)) = before {
                out.push_str(&format!(
                    "{}\n",
                    escape(&format!("{:22}was {} at {place}", "", clipped(&before.value)))
                ));
            }
        }
    }
    out
}

/// The key, as TOML has it, and its change.
fn said(line: &Line) -> String {
    let key = line.key.iter().map(|name| spelled::name(name)).collect::<Vec<_>>().join(".");
    match line.effect {
        Effect::Declared | Effect::Set | Effect::Replaced => {
            format!("{key} = {}", clipped(&line.value))
        }
        Effect::Widened | Effect::Amended => format!("{key} with {}", clipped(&line.value)),
        Effect::Removed => key,
        Effect::Skipped => format!("{key} {}: it is not there", clipped(&line.value)),
        Effect::NotInherited => {
            format!("{key} = {}: it counts in its own file alone", clipped(&line.value))
        }
    }
}

/// The first line of a value, and not too much of it.
fn clipped(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    let short: String = line.chars().take(VALUE_SHOWN).collect();
    if short.len() < value.len() { short + "…" } else { short }
}

fn json(texts: &[Text]) -> String {
    serde_json::to_string_pretty(&texts)
        .unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}
