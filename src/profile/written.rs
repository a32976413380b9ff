//! Help in the words of the line that it is about: a variable or a parameter there stays one in what is offered in its place, as today's
//! value is another tomorrow, and one of the environment may be a secret. It judges nothing.

use super::variables::{Piece, pieces};
use crate::host::caller::Caller;
use crate::problem::{Problem, Problems};
use crate::source::{Sources, Span};
use crate::value::quoted;

/// Codes that say of a place of the host that it is the wrong one.
const OF_A_PLACE: &[&str] = &["mounts::broad", "mounts::kernel-tree", "mounts::link", "mounts::sockets", "mounts::source"];

/// The problems, with the variables of their lines in their help. Where the place that is wrong is the value of a parameter, another
/// value is the first help: who runs a built-in profile cannot write in it.
pub fn as_written(problems: Problems, caller: &Caller, sources: &Sources) -> Problems {
    let mut out = Problems::default();
    out.extend(problems.into_iter().map(|problem| {
        let param = OF_A_PLACE.contains(&problem.code).then(|| whole(problem.at, sources)).flatten();
        let help = problem.help.as_ref().map(|help| {
            let help = rewritten(help, problem.at, caller, sources);
            param.map_or_else(|| help.clone(), |name| format!("give `{name}` another value with --set {name}=PATH, or {help}"))
        });
        Problem { help, ..problem }
    }));
    out
}

/// The parameter that a line's key or source is, with nothing around it.
fn whole(at: Span, sources: &Sources) -> Option<&str> {
    let is_whole = |name: &str, text: &str| text.trim_matches(['"', '\'']).strip_prefix("${").and_then(|text| text.strip_suffix('}')) == Some(name);
    sources.uses(at).find(|used| sources.text(used.text).is_some_and(|text| is_whole(&used.name, text))).map(|used| used.name.as_str())
}

/// A line for the place of the text at `at`, with what is a variable there.
pub fn rewritten(help: &str, at: Span, caller: &Caller, sources: &Sources) -> String {
    let Some(line) = sources.lines_of(at).filter(|line| line.contains("${")) else { return help.to_owned() };
    let folder = sources.source(at).and_then(|source| source.file.clone());
    let folder = folder.as_deref().map(crate::value::parent);
    let mut known: Vec<(&str, String)> = pieces(line)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Variable(name, _) => Some((name, value(name, caller, folder)?)),
            Piece::Plain(_) => None,
        })
        .chain(sources.uses(at).filter_map(|used| Some((used.name.as_str(), used.means.clone()?))))
        .filter(|(_, value)| value.len() > 1)
        .collect();
    // The longest says most: `${CWD}` rather than `${HOME}/work`.
    known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    known.iter().fold(help.to_owned(), |help, (name, value)| put(&help, value, name))
}

/// The variable in the place of its value, where a text of TOML begins with that.
fn put(help: &str, value: &str, name: &str) -> String {
    let begun = quoted(value);
    let begun = &begun[..begun.len() - 1];
    let mut parts = help.split(begun);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let whole = part.starts_with(['"', '/']);
        out.push_str(&if whole { format!("\"${{{name}}}") } else { begun.to_owned() });
        out.push_str(part);
    }
    out
}

fn value(name: &str, caller: &Caller, folder: Option<&str>) -> Option<String> {
    match name {
        "HOME" => Some(caller.home.clone()),
        "CWD" => Some(caller.cwd.clone()),
        "RUNTIME_DIR" => caller.runtime_dir.clone(),
        "PROFILE_DIR" => folder.map(str::to_owned),
        _ => {
            let (name, or) = name.strip_prefix("env:").map(|rest| rest.split_once(":-").unwrap_or((rest, "")))?;
            caller.env.get(name).filter(|value| !value.is_empty()).cloned().or(Some(or.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_the_beginning_of_a_text_is_its_variable() {
        let help = "say so: \"/w/x\" = { bind = \"/w\", missing = \"skip\" }, not \"/wide\" or /w/x";
        assert_eq!(put(help, "/w", "CWD"), "say so: \"${CWD}/x\" = { bind = \"${CWD}\", missing = \"skip\" }, not \"/wide\" or /w/x");
    }
}
