//! `stockade completions`, and what its scripts ask for: which words fit next, by the declaration
//! of the command line and the loader's own table of names. This file knows no option and no
//! profile. A value that the declaration calls PROFILE is a profile.

use super::print_line;
use super::reference::words_of;
use crate::cli::{Cli, Shell};
use crate::host::caller::Caller;
use crate::inspect::access::query::WORDS;
use crate::profile::{Declared, Listed, Request, installed, load_params};
use crate::text::problem::escape;
use crate::text::source::Sources;
use clap::{Arg, Command};

/// Prints the script for a shell.
pub(super) fn completions(shell: Shell) -> u8 {
    print_line(
        match shell {
            Shell::Bash => include_str!("completions/stockade.bash"),
            Shell::Zsh => include_str!("completions/stockade.zsh"),
            Shell::Fish => include_str!("completions/stockade.fish"),
        }
        .trim_end(),
    );
    0
}

/// Prints what fits after the words of a command line, of which the last is begun: a line each,
/// with its explanation after a tab. `:files`, `:directories` and `:programs` are for the shell to look up.
pub(super) fn complete(words: &[String]) -> u8 {
    let (begun, before) =
        words.split_last().map_or(("", &[][..]), |(begun, before)| (begun.as_str(), before));
    let command = Cli::built();
    // bash splits `--format=json` into three words, and completes the last.
    let parted = match (begun, before) {
        ("=", [.., option]) => Some((option, "")),
        (value, [.., option, equals]) if equals == "=" => Some((option, value)),
        _ => None,
    };
    let before: Vec<&str> = before.iter().map(String::as_str).filter(|word| *word != "=").collect();
    if let (Some((option, value)), [before @ .., _]) = (parted, before.as_slice())
        && option.starts_with('-')
    {
        let whole = format!("{option}={value}");
        for fitting in fitting(&command, before, &whole) {
            let prefix = format!("{option}=");
            print_line(fitting.strip_prefix(&prefix).unwrap_or(&fitting));
        }
        return 0;
    }
    for fitting in fitting(&command, &before, begun) {
        print_line(&fitting);
    }
    0
}

/// What is expected at a position of the command line.
enum Wanted<'c> {
    /// An option, or the value of this argument that has no name.
    Any(Option<&'c Arg>),
    /// A value of this option.
    Value(&'c Arg),
    /// A word of the target's: its program, or what follows.
    Target { first: bool },
}

fn fitting(command: &Command, before: &[&str], begun: &str) -> Vec<String> {
    if !command.has_subcommands() {
        let may_be_option = takes_options_anywhere(command) && !before.contains(&"--");
        if let Some(options) = begun_option(command, begun)
            .filter(|_| may_be_option && !matches!(wanted(command, before), Wanted::Value(_)))
        {
            return options;
        }
        return match wanted(command, before) {
            // Where no target's words are expected, those after PROFILE are questions.
            Wanted::Target { .. } if command.get_name() == "why" && !before.contains(&"--") => {
                offered(questions(), begun)
            }
            Wanted::Target { first: true } => vec![":programs".into()],
            Wanted::Target { first: false } => vec![":files".into()],
            Wanted::Value(arg) if is(arg, "--set") => parameters(command, before, begun),
            Wanted::Value(arg) => values(arg, begun),
            Wanted::Any(arg) => begun_option(command, begun).unwrap_or_else(|| match arg {
                Some(arg) => values(arg, begun),
                None => offered(options(command), begun),
            }),
        };
    }
    let (mut words, mut is_given) = (before.iter(), false);
    while let Some(word) = words.next() {
        if let Some(found) = command.get_subcommands().find(|known| known.get_name() == *word) {
            return fitting(found, words.as_slice(), begun);
        }
        match command.get_arguments().find(|arg| is(arg, word)) {
            Some(option) if option.get_action().takes_values() && words.next().is_none() => {
                return values(option, begun);
            }
            Some(_) => {}
            // A command that takes a value of its own in the place of a further word.
            None if command.get_positionals().next().is_some() => is_given = true,
            None => return vec![],
        }
    }
    begun_option(command, begun).unwrap_or_else(|| match command.get_positionals().next() {
        Some(_) if is_given => offered(options(command), begun),
        own => {
            let own = own.map_or(vec![], |own| values(own, begun));
            [offered(subcommands(command), begun), own].concat()
        }
    })
}

/// Completions of a word that is an option, or an option and the beginning of its value.
fn begun_option(command: &Command, begun: &str) -> Option<Vec<String>> {
    if !begun.starts_with('-') {
        return None;
    }
    let Some((option, value)) = begun.split_once('=') else {
        return Some(offered(options(command), begun));
    };
    let arg = command.get_arguments().find(|arg| is(arg, option));
    Some(
        arg.map_or(vec![], |arg| values(arg, value))
            .into_iter()
            // A word for the shell to complete is no value.
            .filter(|value| !value.starts_with(':'))
            .map(|value| format!("{option}={value}"))
            .collect(),
    )
}

/// Where the words lead.
fn wanted<'c>(command: &'c Command, words: &[&str]) -> Wanted<'c> {
    let mut positionals = command.get_positionals();
    let looked = takes_options_anywhere(command);
    let mut of_target = None;
    let mut current = positionals.next();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if looked && *word == "--" {
            return Wanted::Target { first: words.as_slice().is_empty() };
        }
        if word.starts_with('-') && *word != "-" {
            let Some(option) = command.get_arguments().find(|arg| is(arg, word)) else { continue };
            // An option that takes its value only after `=` takes no further word.
            let takes_word = option.get_action().takes_values() && !option.is_require_equals_set();
            if takes_word && words.as_slice().is_empty() {
                return Wanted::Value(option);
            }
            if takes_word {
                words.next();
            }
            continue;
        }
        if current.is_some_and(Arg::is_trailing_var_arg_set) {
            let target = words.as_slice();
            return Wanted::Target { first: target.is_empty() || target == ["--"] };
        }
        if looked {
            of_target = Some(of_target.map_or(0, |count| count + 1));
            continue;
        }
        current = positionals.next();
    }
    of_target.map_or(Wanted::Any(current), |count| Wanted::Target { first: count == 0 })
}

/// A command that looks at a profile takes its own options anywhere before `--`, `run` those before
/// PROFILE alone.
fn takes_options_anywhere(command: &Command) -> bool {
    command.get_positionals().any(Arg::is_last_set)
}

fn is(arg: &Arg, word: &str) -> bool {
    arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
}

type Offer = (String, String);

fn subcommands(command: &Command) -> impl Iterator<Item = Offer> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| {
        (
            command.get_name().to_owned(),
            command.get_about().map(ToString::to_string).unwrap_or_default(),
        )
    })
}

fn options(command: &Command) -> impl Iterator<Item = Offer> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| {
        Some((
            format!("--{}", arg.get_long()?),
            arg.get_help().map(ToString::to_string).unwrap_or_default(),
        ))
    })
}

/// The values of an argument, by its name: a PROFILE is a name or a path.
fn values(arg: &Arg, begun: &str) -> Vec<String> {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let help = |value: &clap::builder::PossibleValue| {
            value.get_help().map(ToString::to_string).unwrap_or_default()
        };
        return offered(
            possible.iter().map(|value| (value.get_name().to_owned(), help(value))),
            begun,
        );
    }
    match arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str()) {
        "PROFILE" => profiles(begun),
        // By number: bash ends a word at a colon.
        "CODE" => offered(
            crate::text::explain::all().map(|one| (one.number.to_owned(), one.code.to_owned())),
            begun,
        ),
        "SANDBOX" => {
            let running =
                super::registry().ok().flatten().map_or(vec![], |registry| registry.list());
            offered(running.into_iter().map(|live| (live.name, live.entry.profile)), begun)
        }
        "STATE" => {
            let (path, kept) = super::state::kept();
            let names = kept.ok().flatten().and_then(|kept| kept.names().ok()).unwrap_or_default();
            let offer = |name: String| (name.clone(), escape(&format!("{path}/{name}")));
            offered(names.into_iter().map(offer), begun)
        }
        // A change, of which the working directory has none.
        "PATH" if arg.is_positional() => vec![],
        "PATH" | "PATH[:INSIDE]" | "FILE" => vec![":files".into()],
        "DIR" => vec![":directories".into()],
        "NAME[=VALUE]" => offered(
            std::env::vars_os()
                .filter_map(|(name, _)| Some((name.into_string().ok()?, String::new()))),
            begun,
        ),
        "MODE" => offered(words_of("network.mode").into_iter(), begun),
        _ => vec![],
    }
}

/// The parameters of the profile that the line already names; with `run` it follows the options.
fn parameters(command: &Command, before: &[&str], begun: &str) -> Vec<String> {
    let mut words = before.iter();
    while let Some(word) = words.next() {
        match command.get_arguments().find(|arg| is(arg, word)) {
            Some(option) if option.get_action().takes_values() => drop(words.next()),
            Some(_) => {}
            // Standard input is the shell's.
            None if word.starts_with('-') => {}
            None => {
                let request = Request { profile: (*word).to_owned(), ..Request::default() };
                let known = load_params(&request, &Caller::current(), &mut Sources::default());
                let offer = |one: Declared| {
                    (format!("{}=", one.name), escape(&one.help.unwrap_or_default()))
                };
                return offered(known.unwrap_or_default().into_iter().map(offer), begun);
            }
        }
    }
    vec![]
}

/// How a question of `why` begins.
fn questions() -> impl Iterator<Item = Offer> {
    WORDS.iter().map(|word| (format!("{word}:"), String::new()))
}

fn profiles(begun: &str) -> Vec<String> {
    let help = |known: &Listed| match (&known.description, &known.directory) {
        (Some(description), _) => description.clone(),
        (None, Some(directory)) => directory.clone(),
        (None, None) => String::new(),
    };
    let found = offered(
        installed(&Caller::current())
            .iter()
            .map(|known| (known.name.clone(), escape(&help(known)))),
        begun,
    );
    // A name shows no file; a path, and what is begun as no name has it, does.
    if found.is_empty() { vec![":files".into()] } else { found }
}

/// The lines of what begins so. A file may have any name: one with a control character is not
/// offered.
fn offered(all: impl Iterator<Item = Offer>, begun: &str) -> Vec<String> {
    let fits = |(word, _): &Offer| {
        word.starts_with(begun) && escape(word) == *word && !word.starts_with(':')
    };
    all.filter(fits).map(|(word, help)| format!("{word}\t{help}")).collect()
}
