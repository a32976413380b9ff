//! `stockade new`: a commented profile to start from, fit for this machine.

use super::{Failed, place, print_line};
use crate::cli::{Format, New};
use crate::host::caller::Caller;
use crate::language::value::join;
use crate::profile::{Fit, Role, installed, starter};
use crate::text::problem::{Problem, errno_words, escape};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use std::io::Error;

/// Writes it, never over a file that is there. A bare name goes where names are looked up, so that
/// `stockade run NAME` finds it.
pub(super) fn new(new: New) -> u8 {
    match write(&new, &Caller::current()) {
        Ok(said) => {
            print_line(&said);
            0
        }
        Err(problem) => Failed::of(*problem).print(Format::Text),
    }
}

fn write(new: &New, caller: &Caller) -> Result<String, Box<Problem>> {
    let wrong = |code, message: String| Box::new(Problem::new(code, Span::NOWHERE, message));
    let last = new.name.rsplit('/').next().unwrap_or_default();
    let name = last.strip_suffix(".toml").unwrap_or(last);
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if name.is_empty() || name.starts_with('-') || !is_word {
        let why = "a name has letters, digits, `-`, `_` and `.`, and does not begin with `-`";
        return Err(wrong("new::name", format!("cannot name a profile `{name}`: {why}")));
    }
    let is_path = new.name.contains('/') || new.name.ends_with(".toml");
    if !is_path {
        taken(name, caller)?;
    }
    let directory = caller.user_profiles.as_ref().unwrap_or(&caller.system_profiles);
    // The command is tried in another directory than the profile's, from where a relative path
    // would not lead to it.
    let file =
        if is_path { absolute(&new.name, &caller.cwd) } else { format!("{directory}/{name}.toml") };
    let word = if is_path { file.as_str() } else { name };
    if !is_path && let Err(error) = place::make_directory(directory) {
        return Err(wrong(
            "new::file",
            format!("cannot make the directory {directory}: {}", reason(&error)),
        ));
    }
    let fit = Fit { landlock: crate::sys::landlock_abi().ok().filter(|abi| *abi > 0) };
    let text = starter(new.role, name, word, &fit);
    match place::write_new(&file, &text) {
        Ok(()) => Ok(closing(new.role, &file, word, is_path)),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            let problem = wrong("new::file", format!("cannot write {file}: {}", reason(&error)));
            Err(Box::new(problem.help("give another name, or take that one away")))
        }
        Err(error) => Err(wrong("new::file", format!("cannot write {file}: {}", reason(&error)))),
    }
}

/// A name that is found twice starts nothing.
fn taken(name: &str, caller: &Caller) -> Result<(), Box<Problem>> {
    let Some(known) = installed(caller).into_iter().find(|known| known.name == name) else {
        return Ok(());
    };
    let whose = known
        .directory
        .map_or("a built-in profile".to_owned(), |directory| format!("a profile in {directory}"));
    let problem = Problem::new(
        "new::name",
        Span::NOWHERE,
        format!("cannot name a profile `{name}`: it means {whose} already"),
    );
    Err(Box::new(problem.help(format!("give it another: stockade new my-{name}"))))
}

fn absolute(path: &str, cwd: &str) -> String {
    match path.strip_prefix("./").unwrap_or(path) {
        rooted if rooted.starts_with('/') => rooted.to_owned(),
        relative => join(cwd, &format!("/{relative}")),
    }
}

/// What was done, and what to try next.
fn closing(role: Role, file: &str, word: &str, is_path: bool) -> String {
    let set = if role == Role::Service { "--set data=DIR " } else { "" };
    let place = match role {
        Role::Command | Role::Build if is_path => "in the directory that COMMAND works on",
        _ => "see what it does",
    };
    format!(
        "{} is written, for the role {role}; {place}:\n  stockade plan {set}{} COMMAND",
        escape(file),
        escape(&shell_word(word))
    )
}

fn reason(error: &Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), errno_words)
}
