//! A command line that cannot be read, said as any other problem is.

use super::meant::{is_installed, no_profile};
use super::{FAILED, Failed, NARROWEST, WIDEST, print_line};
use crate::cli::{Cli, Command, Format, command_of_others, option_like, rewritten, with_dashes};
use crate::sys;
use crate::text::layout::{COLUMNS, Lines, fill};
use crate::text::problem::{Problem, suggestion};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The words with `help COMMAND` and `version` as the options that they mean.
pub(super) fn asked(mut words: Vec<String>) -> Vec<String> {
    match words.get(1).map(String::as_str) {
        Some("help") => {
            words.remove(1);
            words.push("--help".into());
        }
        Some("version") if words.len() == 2 => words[1] = "--version".into(),
        _ => {}
    }
    words
}

/// What is wrong with a command line of `run` that can be read: PROFILE and the target's words
/// follow its options, so an unknown option would become PROFILE.
pub(super) fn check(cli: &Cli, words: &[String]) -> Option<u8> {
    let Command::Run(runs) = &cli.command else { return None };
    let given = runs.given.words();
    let first = given.first()?;
    let words = texts(words);
    let before = words.len().checked_sub(given.len() + 1).and_then(|index| words.get(index));
    let before = before.map_or("", String::as_str);
    if before == "--" {
        return Some(fail(no_profile("run", given)));
    }
    if first.starts_with('-') && first != "-" {
        return Some(fail(unknown(first, &words)));
    }
    // docker's `-v` takes a word with a colon.
    (before == "-v" && first.contains(":/") && !crate::text::bytes::path(first).exists())
        .then(|| fail(unknown("-v", &words)))
}

fn texts(words: &[String]) -> Vec<String> {
    words.iter().skip(1).cloned().collect()
}

/// An option that stockade does not have, and what it is here, where others have it.
fn unknown(option: &str, words: &[String]) -> Problem {
    let option = option.split('=').next().unwrap_or(option);
    let (message, help) = match rewritten(words, &is_installed) {
        Some(line) if option == "-v" => {
            (format!("cannot take a path for `{option}`: it is --verbose here"), Some(line))
        }
        Some(line) => (no_such(option), Some(line)),
        None => (no_such(option), option_like(option)),
    };
    let command = words.first().map_or("run", String::as_str);
    Problem::new("cli::flag", Span::NOWHERE, message)
        .help(help.unwrap_or_else(|| format!("see stockade {command} --help")))
}

fn no_such(option: &str) -> String {
    format!("cannot read `{option}`: there is no such option here")
}

/// Says what is wrong with the words of the command line. Help and the version, which clap takes
/// for errors too, are no failure.
pub(super) fn refuse(error: &clap::Error, words: &[String]) -> u8 {
    if !error.use_stderr() {
        print_line(narrow(&error.to_string()).trim_end());
        return 0;
    }
    match error.kind() {
        // Nothing was asked for: what there is to ask for is the answer.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{}", narrow(&error.to_string()));
            FAILED
        }
        _ => fail(problem(error, words)),
    }
}

/// Help in lines of a page. A continued line is aligned with the words that it continues.
fn narrow(help: &str) -> String {
    let width = sys::terminal_width(libc::STDOUT_FILENO)
        .map_or(COLUMNS, |width| usize::from(width).clamp(NARROWEST, WIDEST));
    help.lines()
        .map(|line| if line.len() > width { broken(line, width) } else { line.to_owned() } + "\n")
        .collect()
}

fn broken(line: &str, width: usize) -> String {
    let body = line.trim_start();
    let margin = line.len() - body.len();
    let gap = body.find("  ").map(|at| at + body[at..].len() - body[at..].trim_start().len());
    let indent = margin + gap.unwrap_or(0);
    fill(&line[..indent], line[indent..].split(' '), Lines { width, indent, end: "" })
}

fn fail(problem: Problem) -> u8 {
    Failed::of(problem).print(Format::Text)
}

fn problem(error: &clap::Error, given: &[String]) -> Problem {
    let of = |kind| error.get(kind).map(words).unwrap_or_default();
    let (argument, value) =
        (of(ContextKind::InvalidArg).join(" "), of(ContextKind::InvalidValue).join(" "));
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => format!(
            "cannot run `{}`: there is no command of that name",
            of(ContextKind::InvalidSubcommand).join(" ")
        ),
        ErrorKind::UnknownArgument => {
            format!("cannot read `{argument}`: there is no such option or argument here")
        }
        ErrorKind::MissingRequiredArgument => {
            let usage = usage(error);
            let words = usage.split_whitespace().skip(1);
            let command: Vec<&str> =
                words.take_while(|word| !word.starts_with(['<', '[', '-'])).collect();
            let missing = of(ContextKind::InvalidArg);
            let missing: Vec<String> = missing.iter().map(|name| bare(name)).collect();
            format!("`{}` needs {}", command.join(" "), missing.join(" and "))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("cannot read `{argument}`: its value is missing")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error)
                .map_or("it is none of its values".to_owned(), ToString::to_string);
            format!("cannot take `{value}` for `{argument}`: {why}")
        }
        ErrorKind::ArgumentConflict => {
            let others = of(ContextKind::PriorArg);
            let twice = others.is_empty() || others == [argument.as_str()];
            if twice {
                format!("cannot take `{argument}` twice")
            } else {
                format!("cannot take `{argument}` together with `{}`", others.join("`, `"))
            }
        }
        // Its first line, without the word before it; none of ours comes so far.
        _ => {
            let text = error.to_string();
            format!(
                "cannot read the command line: {}",
                text.lines().next().unwrap_or_default().trim_start_matches("error: ")
            )
        }
    };
    let command = of(ContextKind::InvalidSubcommand).join(" ");
    let written = texts(given);
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(help) = of_others(&command, &written)
    {
        return Problem::new("cli::flag", Span::NOWHERE, message).help(help);
    }
    let has_profile = ["run", "check", "plan", "why", "params"];
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(name) = written.first().filter(|name| has_profile.contains(&name.as_str()))
    {
        let dashes = written.iter().position(|word| word == "--");
        return no_profile(name, dashes.map_or(&[], |at| &written[at + 1..]));
    }
    if let Some(help) =
        suggestion(&command, Cli::command().get_subcommands().map(clap::Command::get_name))
    {
        return Problem::new("cli::flag", Span::NOWHERE, message).help(help);
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(help) =
            with_dashes(&written, &argument).or_else(|| rewritten(&written, &is_installed))
    {
        return Problem::new("cli::flag", Span::NOWHERE, message).help(help);
    }
    let near =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
            .into_iter()
            .flat_map(of)
            .next();
    let known = of(ContextKind::ValidValue);
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if !known.is_empty() => format!("there are {}", known.join(", ")),
        None => bare(&usage(error)),
    };
    Problem::new("cli::flag", Span::NOWHERE, message).help(help)
}

/// The likely intent of an unknown command.
fn of_others(command: &str, written: &[String]) -> Option<String> {
    let at = written.iter().position(|word| word == command)?;
    // `profiles new` is `new`.
    let is_known =
        at > 0 && Cli::command().get_subcommands().any(|known| known.get_name() == command);
    let line =
        || written[at..].iter().map(|word| format!(" {}", shell_word(word))).collect::<String>();
    if is_known { Some(format!("stockade{}", line())) } else { command_of_others(&written[at..]) }
}

/// The words of a usage without the marks for those that must be given.
fn bare(usage: &str) -> String {
    usage.replace(['<', '>'], "")
}

/// How the command is written, as clap has it.
fn usage(error: &clap::Error) -> String {
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(text))
            if !text.to_string().trim_end().ends_with("<COMMAND>") =>
        {
            text.to_string().trim().trim_start_matches("Usage: ").to_owned()
        }
        _ => "see stockade --help".to_owned(),
    }
}

fn words(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        ContextValue::StyledStr(text) => vec![text.to_string()],
        ContextValue::StyledStrs(texts) => texts.iter().map(ToString::to_string).collect(),
        _ => vec![],
    }
}
