//! Help in the words of the line that it is about: a variable or a parameter there stays one in
//! what is offered in its place, as today's value is another tomorrow, and one of the environment
//! may be a secret. It judges nothing.

use super::variables::{Piece, pieces};
use crate::host::caller::Caller;
use crate::language::spelled::quoted;
use crate::text::problem::{Problem, Problems};
use crate::text::shell::shell_word;
use crate::text::source::{Source, Sources, Span};

/// Codes that say of a place of the host that it is the wrong one.
const OF_A_PLACE: &[&str] =
    &["mounts::broad", "mounts::kernel-tree", "mounts::link", "mounts::sockets", "mounts::source"];

/// What gives a protection up, as [`crate::policy::mounts`] spells it.
const GIVES_UP: &[&str] = &["broad = true", "sockets = true", "owner = \"root\""];

/// Keys whose text is a place of the host.
const SOURCES: &[&str] = &["bind =", "socket =", "device ="];

/// The problems, with the variables of their lines in their help. If the wrong place is the value
/// of a parameter, another value is the first help: a user of a built-in profile cannot edit it.
pub fn as_written(problems: Problems, caller: &Caller, sources: &Sources) -> Problems {
    let mut out = Problems::default();
    out.extend(mixed(problems, sources).into_iter().map(|problem| {
        let problem = unguessed(problem, sources);
        let param =
            OF_A_PLACE.contains(&problem.code).then(|| whole(problem.at, sources)).flatten();
        let help = problem.help.as_ref().map(|help| {
            let help = &for_flag(help, problem.at, sources);
            let help = match unshown(help, problem.at, caller, sources)
                .filter(|_| gives_up(help, problem.at, sources))
            {
                Some(name) => format!(
                    "write the path itself in the place of `${{{name}}}`, and `check` again says \
                     what can be done"
                ),
                None => rewritten(help, problem.at, caller, sources),
            };
            param.map_or_else(
                || help.clone(),
                |name| format!("give `{name}` another value with --set {name}=PATH, or {help}"),
            )
        });
        let help = help.map(|help| or_flag(help, problem.at, sources));
        Problem { help, ..problem }
    }));
    out
}

/// A built-in profile that brings the host's system to another root is one mistake, of the line that
/// extends it, whatever each of its entries comes to there.
fn mixed(problems: Problems, sources: &Sources) -> Problems {
    const MIXED: &str = "mounts::mixed";
    let text = |at: Span| sources.source(at).filter(|source| source.is_built_in());
    let base = |at: Span| text(at).map(|source| source.base);
    let mixing: Vec<u32> = problems
        .iter()
        .filter(|problem| problem.code == MIXED)
        .filter_map(|problem| base(problem.at))
        .collect();
    let (mut out, mut said) = (Problems::default(), vec![]);
    for problem in problems {
        if problem.code == "mounts::over-overlay" {
            covering(problem, sources).into_iter().for_each(|problem| out.push(problem));
            continue;
        }
        match base(problem.at).filter(|base| mixing.contains(base)) {
            Some(base) if problem.code == MIXED && !said.contains(&base) => {
                said.push(base);
                out.push(of_the_system(problem, sources));
            }
            // Without that system there are no such entries.
            Some(_)
                if [MIXED, "mounts::no-mount-point", "mounts::below"].contains(&problem.code) => {}
            _ => out.push(problem),
        }
    }
    out
}

/// The problem of an entry of a built-in profile, for the line that extends that.
fn of_the_system(problem: Problem, sources: &Sources) -> Problem {
    let message = "cannot mix two systems: the root is another one, and the host's is inherited";
    let by = "the host's, by this line";
    let Some(word) = sources.extended_by(problem.at) else {
        let help =
            "name `minimal` in the place of the profile: it brings nothing of the host's system";
        return Problem { message: message.into(), ..problem }.label(by).help(help);
    };
    let help = minimal(word, sources);
    let at = problem.at;
    Problem { at: word, message: message.into(), ..problem }
        .label("it brings the host's system")
        .also(at, by)
        .help(help)
}

/// The help to extend the built-in profile without the host's system, in the line of this word.
fn minimal(word: Span, sources: &Sources) -> String {
    // The other words of that list stay.
    let line = || {
        let (line, old) = (sources.lines_of(word)?, sources.text(word)?);
        let line = &line[..=line.find(']')?];
        line.starts_with("extends").then(|| line.replace(old, "\"minimal\""))
    };
    let line = line().unwrap_or_else(|| "extends = [\"minimal\"]".into());
    format!("extend what brings nothing of the host's system: {line}")
}

/// The warning that an entry covers an overlay of the whole host, for the line by which it is
/// inherited; none for a line of the author's, who means it.
fn covering(problem: Problem, sources: &Sources) -> Option<Problem> {
    sources.source(problem.at).filter(|source| source.is_built_in())?;
    let word = sources.extended_by(problem.at)?;
    let own = problem.help.as_deref().unwrap_or_default();
    let help = format!("{}; or {own}", minimal(word, sources));
    let at = problem.at;
    Some(
        Problem { at: word, ..problem }
            .label("it brings that entry")
            .also(at, "by this line")
            .help(help),
    )
}

/// A line that a profile is to say, as a flag where the profile is a built-in one: nobody can write
/// in that.
fn or_flag(help: String, at: Span, sources: &Sources) -> String {
    const SAY: &str = "say so in [";
    if !sources.source(at).is_some_and(Source::is_built_in) {
        return help;
    }
    let parts = || {
        let (before, rest) = help.split_once(SAY)?;
        let (section, rest) = rest.split_once("]: ")?;
        let (line, after) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (key, value) = line.split_once(" = ")?;
        let flag = shell_word(&format!("{section}.{key}={value}"));
        Some(format!("{before}say so on the command line: --config {flag}{after}"))
    };
    parts().unwrap_or(help)
}

/// The help of what a flag asks for: there is no line to edit, so that it is a flag, too.
fn for_flag(help: &str, at: Span, sources: &Sources) -> String {
    if !sources.is_flag(at) {
        return help.to_owned();
    }
    let optional = "optional = [\"limits\"] in the same file";
    let help = help.replace(optional, "--config 'optional = [\"limits\"]'");
    let Some(source) = sources.source(at) else { return help };
    let (name, section) = (&source.name, source.text.split('.').next().unwrap_or_default());
    let is_mount = ["--ro ", "--rw "].iter().any(|flag| name.starts_with(flag));
    let Some((begin, end)) = entry(&help).filter(|_| is_mount) else { return help };
    let line = shell_word(&format!("{section}.{}", &help[begin..end]));
    let before = help[..begin].trim_end().trim_end_matches(':');
    format!("{before}, in the place of {name}: --config {line}{}", &help[end..])
}

/// The place of an entry of `[mounts]` in a text, where it is a table.
fn entry(help: &str) -> Option<(usize, usize)> {
    let middle = help.find("\" = { ")?;
    let begin = help[..middle].rfind(" \"").map_or(0, |at| at + 1);
    let mut quoted = false;
    let end = help[middle + 1..].char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '}' && !quoted
    })?;
    help[begin..].starts_with('"').then_some((begin, middle + 2 + end.0))
}

/// The line with the variable must not show its value, which may be a secret.
fn unguessed(problem: Problem, sources: &Sources) -> Problem {
    match problem.guess {
        Some(at) if sources.is_filled(at) => Problem { help: None, guess: None, ..problem },
        _ => problem,
    }
}

/// The parameter that the place of a line is, with nothing around it.
fn whole(at: Span, sources: &Sources) -> Option<&str> {
    let is_whole = |name: &str, text: &str| {
        text.trim_matches(['"', '\'']).strip_prefix("${").and_then(|text| text.strip_suffix('}'))
            == Some(name)
    };
    let mut places = sources.uses(at).filter(|used| used.is_place);
    places
        .find(|used| sources.text(used.text).is_some_and(|text| is_whole(&used.name, text)))
        .map(|used| used.name.as_str())
}

/// Whether a line that is offered gives up a protection that the one at `at` has. A variable there
/// would give it up for every value.
fn gives_up(help: &str, at: Span, sources: &Sources) -> bool {
    let bare = |text: &str| text.replace([' ', '\t'], "");
    let line = sources.lines_of(at).map(bare).unwrap_or_default();
    GIVES_UP.iter().any(|word| help.contains(word) && !line.contains(&bare(word)))
}

/// The variable of a line whose value is offered and may be a secret.
fn unshown<'s>(help: &str, at: Span, caller: &Caller, sources: &'s Sources) -> Option<&'s str> {
    let of_line =
        pieces(sources.lines_of(at)?).unwrap_or_default().into_iter().find_map(
            |piece| match piece {
                Piece::Variable(name, _) if name.starts_with("env:") => {
                    value(name, caller, None).filter(|value| help.contains(value)).map(|_| name)
                }
                _ => None,
            },
        );
    of_line.or_else(|| {
        sources
            .uses(at)
            .find(|used| used.is_place && used.means.is_none())
            .map(|used| used.name.as_str())
    })
}

/// A line for the place of the text at `at`, with what is a variable there. One that gives up a
/// protection names today's place alone.
pub(crate) fn rewritten(help: &str, at: Span, caller: &Caller, sources: &Sources) -> String {
    let Some(line) = sources.lines_of(at).filter(|line| line.contains("${")) else {
        return help.to_owned();
    };
    if gives_up(help, at, sources) {
        return help.to_owned();
    }
    let directory = sources.source(at).and_then(|source| source.file.clone());
    let directory = directory.as_deref().map(crate::language::value::parent);
    let mut known: Vec<(&str, String)> = pieces(line)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Variable(name, _) => Some((name, value(name, caller, directory)?)),
            Piece::Plain(_) => None,
        })
        .chain(sources.uses(at).filter_map(|used| Some((used.name.as_str(), used.means.clone()?))))
        .filter(|(_, value)| value.len() > 1)
        .collect();
    // The longest says most: `${CWD}` rather than `${HOME}/work`.
    known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    known.iter().fold(help.to_owned(), |help, (name, value)| put(&help, value, name))
}

/// The variable in the place of its value, where a path begins with that: one that is a key, or the
/// source of an entry. Variables of the environment are put back everywhere.
fn put(help: &str, value: &str, name: &str) -> String {
    let begun = quoted(value);
    let begun = &begun[..begun.len() - 1];
    let mut parts = help.split(begun);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let whole = part.starts_with(['"', '/']);
        let is_key = || part.split_once('"').is_some_and(|(_, rest)| rest.starts_with(" = "));
        let is_source = || SOURCES.iter().any(|key| out.trim_end().ends_with(key));
        let is_place =
            name.starts_with("env:") || (value.starts_with('/') && (is_key() || is_source()));
        out.push_str(&if whole && is_place { format!("\"${{{name}}}") } else { begun.to_owned() });
        out.push_str(part);
    }
    out
}

fn value(name: &str, caller: &Caller, directory: Option<&str>) -> Option<String> {
    match name {
        "HOME" => Some(caller.home.clone()),
        "CWD" => Some(caller.cwd.clone()),
        "RUNTIME_DIR" => caller.runtime_dir.clone(),
        "PROFILE_DIR" => directory.map(str::to_owned),
        _ => {
            let (name, or) = name
                .strip_prefix("env:")
                .map(|rest| rest.split_once(":-").unwrap_or((rest, "")))?;
            caller.env.get(name).filter(|value| !value.is_empty()).cloned().or(Some(or.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_the_beginning_of_a_text_is_its_variable() {
        let help =
            "say so: \"/w/x\" = { bind = \"/w\", missing = \"skip\" }, not \"/wide\" or /w/x";
        assert_eq!(
            put(help, "/w", "CWD"),
            "say so: \"${CWD}/x\" = { bind = \"${CWD}\", missing = \"skip\" }, not \"/wide\" or \
             /w/x"
        );
    }

    #[test]
    fn a_word_that_is_no_place_stays() {
        let help = "\"/x\" = { bind = \"/w\", access = \"rw\" }, cwd = \"/w\", [\"/w\"]";
        assert_eq!(put(help, "rw", "access"), help);
        assert_eq!(put(help, "/w", "p"), help.replace("bind = \"/w\"", "bind = \"${p}\""));
        assert_eq!(put(help, "rw", "env:A"), help.replace("\"rw\"", "\"${env:A}\""));
    }
}
