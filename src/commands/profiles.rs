//! `stockade profiles`: which profiles a name can mean, what one says, and in what two differ.

use super::{Failed, Planned, prepare, print_line};
use crate::cli::{Flags, Format, Profiles, ProfilesCommand};
use crate::host::caller::Caller;
use crate::kernel::idmap::Maps;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::port_words;
use crate::plan::Plan;
use crate::policy::identity::Ids;
use crate::policy::landlock::{Ruleset, scope_words};
use crate::policy::namespaces::Namespace;
use crate::policy::process::Exec;
use crate::policy::seccomp::{Filter, Notifications};
use crate::profile::{Listed, installed, text_of};
use crate::step::{Content, OutsideOp, Slot, Step, TreeOp};
use crate::text::layout::{COLUMNS, Lines, fill};
use crate::text::problem::{escape, escape_lines, quiet_json};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// Does one of them.
pub(super) fn profiles(profiles: Profiles) -> u8 {
    match profiles.what {
        None => list(profiles.format),
        Some(ProfilesCommand::Show { name }) => show(&name),
        Some(ProfilesCommand::Diff { first, second, given }) => {
            diff(*given, first, second, profiles.format)
        }
    }
}

/// Where descriptions begin.
const INDENT: usize = 16;

fn list(format: Format) -> u8 {
    let all = installed(&Caller::current());
    if format == Format::Json {
        print_line(&quiet_json(serde_json::to_string_pretty(&all).unwrap_or_default()));
        return 0;
    }
    let mut directory = None;
    for listed in &all {
        if directory != Some(&listed.directory) {
            let head = listed.directory.as_deref().map_or("built-in".into(), escape);
            print_line(&format!("{}{head}:", if directory.is_some() { "\n" } else { "" }));
            directory = Some(&listed.directory);
        }
        print_line(&entry(listed));
    }
    0
}

fn entry(Listed { name, description, .. }: &Listed) -> String {
    let words = description.as_deref().map_or("(no description)".into(), escape);
    let first = format!("  {:<1$} ", escape(name), INDENT - 3);
    let page = Lines { width: COLUMNS, indent: INDENT, end: "" };
    fill(&first, words.split_whitespace(), page)
}

/// The text as it is; on a terminal, what would drive it is made visible.
fn show(name: &str) -> u8 {
    match text_of(name, &Caller::current()) {
        Ok(text) => {
            print_line(
                if std::io::stdout().is_terminal() { escape_lines(&text) } else { text }.trim_end(),
            );
            0
        }
        Err(problem) => Failed::of(problem).print(Format::Text),
    }
}

#[derive(Serialize)]
struct Difference {
    /// Of which profile it is.
    profile: String,
    /// An operation of this one that the other lacks.
    does: String,
}

/// By meaning: what a run of each would do here, whichever way its text says so.
fn diff(flags: Flags, first: String, second: String, format: Format) -> u8 {
    let mut operations = vec![];
    for profile in [&first, &second] {
        match prepare("check", flags.clone().of(profile)) {
            Ok(planned) => operations.push(operations_of(&planned)),
            Err(failed) => return failed.print(format),
        }
    }
    let only = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
        let more = |operation: &String, count: &usize| {
            count.saturating_sub(other.get(operation).copied().unwrap_or(0))
        };
        one.iter()
            .flat_map(|(operation, count)| {
                std::iter::repeat_n(operation.clone(), more(operation, count))
            })
            .collect()
    };
    let sides = [
        (first, "-", only(&operations[0], &operations[1])),
        (second, "+", only(&operations[1], &operations[0])),
    ];
    if format == Format::Json {
        let all: Vec<Difference> = sides
            .iter()
            .flat_map(|(profile, _, operations)| {
                operations
                    .iter()
                    .map(|does| Difference { profile: profile.clone(), does: does.clone() })
            })
            .collect();
        print_line(&quiet_json(serde_json::to_string_pretty(&all).unwrap_or_default()));
    } else {
        for (_, sign, operations) in &sides {
            operations
                .iter()
                .for_each(|operation| print_line(&format!("{sign} {}", escape(operation))));
        }
    }
    // As diff(1): 1 where they differ.
    u8::from(sides.iter().any(|(.., operations)| !operations.is_empty()))
}

/// Everything that a plan does, as text, without places in the profile. Every field is named: a
/// field that is left out here would never show as a difference, and a reader of the comparison
/// relies on that.
fn operations_of(Planned { plan, .. }: &Planned) -> BTreeMap<String, usize> {
    // `new` is of `choice`, `root` of the caller, `slots` of the steps; notes are words about the
    // rest.
    let Plan {
        groups,
        steps,
        outside,
        new: _,
        choice,
        ids,
        root: _,
        landlock,
        filter,
        exec,
        watch,
        closed_streams,
        slots: _,
        notes: _,
        notifications,
        grouped,
        private: _,
        profiles: _,
    } = plan;
    let mut all = operations_of_steps(steps);
    all.extend(groups.iter().map(|step| step.op.to_string()));
    // The maps are printed with the ids.
    let is_map = |op: &OutsideOp| matches!(op, OutsideOp::MapIds(_));
    all.extend(outside.iter().filter(|step| !is_map(&step.op)).map(|step| step.op.to_string()));
    all.extend(Kind::ALL.into_iter().map(|kind| match choice.of(kind) {
        Namespace::New => format!("have a new {} namespace", kind.word()),
        Namespace::Host => format!("stay in the host's {} namespace", kind.word()),
        Namespace::Join(path) => format!("join the {} namespace of {}", kind.word(), path.0),
    }));
    all.extend(identity(ids));
    all.extend(landlock.iter().flat_map(ruled));
    all.extend(answers(filter));
    all.extend(executed(exec));
    all.extend(fields("watch with", serde_json::to_value(watch)));
    all.push(format!("report refusals: {}", words_of_notifications(*notifications)));
    all.extend(closed_streams.then(|| "put /dev/null where 0, 1 or 2 is closed".to_owned()));
    // The groups themselves are steps.
    all.extend(grouped.cpu_time_ms.map(|time| format!("end it after {time} ms of processors")));
    let mut operations = BTreeMap::new();
    for operation in all {
        *operations.entry(operation).or_insert(0) += 1;
    }
    operations
}

/// The steps, of which those that open a tree and attach it are one grant.
fn operations_of_steps(steps: &[Step]) -> Vec<String> {
    let attached =
        |step: &Step| step.tree().and_then(|op| op.facets().attached).map(|(slot, _)| slot);
    let opened = |step: &Step| step.tree().and_then(|op| op.facets().source).map(|(slot, _)| slot);
    let opened_at = |slot: Slot| {
        let mut sources = steps.iter().filter_map(|step| step.tree()?.facets().source);
        sources.find(|(other, _)| *other == slot).map(|(_, name)| name.text())
    };
    let words = steps.iter().filter_map(|step| {
        let layers = step.tree().map_or(&[][..], |op| op.facets().layers);
        if !layers.is_empty() {
            // In which order is no operation of its own.
            let names: Vec<_> = layers.iter().rev().filter_map(|slot| opened_at(*slot)).collect();
            return Some(format!("{}; the lowest first: {}", step_words(step), names.join(", ")));
        }
        if opened(step).is_some_and(|slot| steps.iter().any(|one| attached(one) == Some(slot))) {
            return None;
        }
        let words = step_words(step);
        let source = attached(step)
            .and_then(|slot| steps.iter().find(|one| opened(one) == Some(slot)).map(step_words));
        let grant = source
            .as_deref()
            .and_then(|source| source.strip_prefix("open "))
            .zip(words.strip_prefix("attach it "));
        Some(grant.map_or(words.clone(), |(source, place)| format!("bind {source} {place}")))
    });
    words.collect()
}

fn step_words(step: &Step) -> String {
    match step.tree().and_then(TreeOp::content) {
        Some(Content::Text(text) | Content::OfHost(text)) => {
            format!("{}: {}", step.op, shown(text))
        }
        Some(Content::Secret(_) | Content::Withheld | Content::Fd(_))
        | Some(Content::File(_) | Content::Copy(..))
        | None => step.op.to_string(),
    }
}

fn identity(ids: &Ids) -> Vec<String> {
    let Ids {
        user,
        group,
        groups,
        host_user,
        host_group,
        maps,
        needs_idmap,
        // What is mapped by them is listed with the steps.
        reads_all: _,
        held: _,
        single: _,
        groups_stay: _,
        home: _,
        at: _,
    } = ids;
    let mut all = vec![
        format!("be user {user}, on the host {host_user}"),
        format!("be group {group}, on the host {host_group}"),
    ];
    all.extend(groups.iter().map(|group| format!("be in group {group}")));
    all.extend(needs_idmap.then(|| "map the owners of writable binds".to_owned()));
    if let Some(Maps { uid, gid, helpers, deny_setgroups }) = maps {
        all.extend(uid.iter().map(|extent| format!("map users {extent}")));
        all.extend(gid.iter().map(|extent| format!("map groups {extent}")));
        all.extend(helpers.then(|| "map ids with newuidmap and newgidmap".to_owned()));
        all.extend(deny_setgroups.then(|| "deny setgroups".to_owned()));
    }
    all
}

fn ruled(ruleset: &Ruleset) -> Vec<String> {
    let Ruleset { abi, handled, ports, scoped } = *ruleset;
    let files =
        (handled.0 != 0).then(|| format!("deny with Landlock on files, unless granted: {handled}"));
    let uses = bits(ports)
        .map(|bit| format!("deny with Landlock, unless granted: to {} ports", port_words(bit)));
    let scopes =
        bits(scoped).map(|bit| format!("deny with Landlock outside: {}", scope_words(bit)));
    [format!("rule with Landlock, ABI {abi}")]
        .into_iter()
        .chain(files)
        .chain(uses)
        .chain(scopes)
        .collect()
}

fn bits(set: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|nth| 1 << nth).filter(move |bit| set & bit != 0)
}

fn answers(Filter { native, others }: &Filter) -> Vec<String> {
    let tables = [native].into_iter().chain(others);
    let calls = tables.flat_map(|table| {
        table.rules().map(|(number, rule)| {
            format!("answer {} of {} with: {rule}", table.call_name(number), table.abi.word())
        })
    });
    calls.collect()
}

fn words_of_notifications(notifications: Notifications) -> &'static str {
    match notifications {
        Notifications::Nothing => "none",
        Notifications::Notified => "those of rules that notify",
        Notifications::Everything => "all",
    }
}

fn executed(Exec { candidates, argv, env, at: _ }: &Exec) -> Vec<String> {
    let words = |names: &[Name]| names.iter().map(Name::text).collect::<Vec<_>>().join(" ");
    let environment = env.iter().map(|setting| match &setting.value {
        Content::Text(text) => format!("set {} to {}", setting.name, shown(text)),
        other => format!("set {} to {other}", setting.name),
    });
    environment
        .chain([
            format!("execute {}", words(argv)),
            format!("look for the program at {}", words(candidates)),
        ])
        .collect()
}

fn fields(verb: &str, record: serde_json::Result<Value>) -> Vec<String> {
    match record {
        Ok(Value::Object(fields)) => {
            fields.iter().map(|(name, value)| format!("{verb} {name}: {value}")).collect()
        }
        _ => vec![],
    }
}

fn shown(text: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(text).escape_debug())
}
