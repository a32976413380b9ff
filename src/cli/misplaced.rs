//! Words of the command line at a place where they mean something else, and how the line is
//! written.

use super::Cli;
use crate::text::problem::did_you_mean;
use crate::text::shell::shell_word;

/// The commands that have this option, or an option of any that is spelt much like it.
pub(crate) fn option_like(word: &str) -> Option<String> {
    const MOST_NAMED: usize = 4;
    let command = Cli::built();
    let name = word.trim_start_matches('-').split('=').next()?;
    let has = |command: &&clap::Command| {
        command.get_arguments().any(|argument| argument.get_long() == Some(name))
    };
    let having: Vec<&str> =
        command.get_subcommands().filter(has).map(clap::Command::get_name).collect();
    if !having.is_empty() {
        let more = if having.len() > MOST_NAMED { " and others" } else { "" };
        let named = having.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
        return Some(format!("it is an option of {named}{more}"));
    }
    let options = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_long);
    let near = did_you_mean(name, options)?;
    Some(format!("did you mean `--{near}`?"))
}

/// How the value of an option is written, of which this word is one: behind a blank it was taken for
/// the profile.
pub(crate) fn behind_a_blank(word: &str) -> Option<String> {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let command = Cli::built();
    let options = command.find_subcommand(words.get(1)?)?.get_arguments();
    let is_value = |arg: &&clap::Arg| {
        let mut values = arg.get_possible_values().into_iter();
        arg.is_require_equals_set() && values.any(|value| value.matches(word, false))
    };
    let mut named = options.filter(is_value).filter_map(clap::Arg::get_long);
    let is_before = |name: &&str| {
        let option = format!("--{name}");
        words.windows(2).any(|pair| pair[0] == option && pair[1] == word)
    };
    let name = named.find(is_before)?;
    Some(format!("the value of `--{name}` comes after `=`: --{name}={word}"))
}

/// The command line with the options of `run` moved before PROFILE; after it they are words of the
/// target.
pub(super) fn in_order(profile: &str, words: &[String]) -> String {
    let command = Cli::built();
    let run = command.find_subcommand("run");
    let option = |word: &str| {
        let name = word.strip_prefix("--")?.split('=').next()?;
        run?.get_arguments().find(|arg| arg.get_long() == Some(name))
    };
    let mut taken = 0;
    while let Some(arg) = words.get(taken).and_then(|word| option(word)) {
        let takes_word = arg.get_action().takes_values()
            && !arg.is_require_equals_set()
            && !words[taken].contains('=');
        taken += if takes_word { 2 } else { 1 };
    }
    let (options, rest) = words.split_at(taken.min(words.len()));
    let quoted = |words: &[String]| {
        words.iter().map(|word| format!(" {}", shell_word(word))).collect::<String>()
    };
    let profile = shell_word(profile);
    match options {
        [] if ["--help", "-h"].contains(&rest[0].as_str()) => {
            format!(
                "for help: stockade run --help; for a program of that name: stockade run {profile} \
                 --{}",
                quoted(rest)
            )
        }
        [] => format!("for a program of that name: stockade run {profile} --{}", quoted(rest)),
        options => format!(
            "options come before PROFILE: stockade run{} {profile}{}",
            quoted(options),
            quoted(rest)
        ),
    }
}

/// The command line with `--` before an option of the target's, in a command that takes its own
/// options after PROFILE too.
pub(crate) fn with_dashes(words: &[String], unknown: &str) -> Option<String> {
    let (command, words) = words.split_first()?;
    let known = Cli::built();
    let known = known
        .find_subcommand(command)
        .filter(|_| ["check", "plan", "doctor"].contains(&command.as_str()))?;
    let takes_word = |word: &str| {
        let named = |arg: &&clap::Arg| {
            word.strip_prefix("--").is_some_and(|name| arg.get_long() == Some(name))
        };
        known
            .get_arguments()
            .find(named)
            .is_some_and(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set())
    };
    let mut profile = 0;
    while words.get(profile)?.starts_with('-') && words[profile] != "-" {
        profile += if takes_word(&words[profile]) { 2 } else { 1 };
    }
    let (before, after) = words.split_at_checked(profile + 1)?;
    if after.first()?.starts_with('-')
        || after.iter().any(|word| word == "--")
        || !after.iter().any(|word| word.starts_with(unknown))
    {
        return None;
    }
    let quoted = |words: &[String]| {
        words.iter().map(|word| format!(" {}", shell_word(word))).collect::<String>()
    };
    Some(format!(
        "the target's options come after `--`: stockade {command}{} --{}",
        quoted(before),
        quoted(after)
    ))
}
