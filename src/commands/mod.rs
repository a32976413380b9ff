//! The commands: thin. They load, plan and launch, and they print.

mod check;
mod layers;
mod plan;
mod run;

use crate::cli::{Cli, Command, Format, Given};
use std::io::{IsTerminal, Write};
use stockade::draft::Note;
use stockade::host::Host;
use stockade::plan::Plan;
use stockade::problem::{Problem, Problems, Style, escape};
use stockade::profile::{Caller, Profile, load};
use stockade::source::Sources;

/// The status when the profile or the launcher failed.
pub const FAILED: u8 = 125;

/// Runs a command.
pub fn dispatch(cli: Cli) -> u8 {
    match cli.command {
        Command::Run(given) => run::run(given),
        Command::Check(shown) => check::check(shown),
        Command::Plan(planned) if planned.layers => layers::layers(planned.shown),
        Command::Plan(planned) => plan::plan(planned.shown),
    }
}

/// A launcher that is set-id, or has file capabilities, would lend its privilege to whoever starts it, with a profile of their
/// choice (CVE-2016-10122 and CVE-2026-41163 are such cases in peers): it refuses to be one.
pub fn refuse_privilege() -> Result<(), &'static str> {
    if stockade::sys::is_privileged() {
        return Err("refusing to run set-id or with file capabilities: remove them (chmod u-s,g-s; setcap -r)");
    }
    Ok(())
}

/// What went wrong before a plan was there: the texts, and the problems in them.
struct Failed {
    sources: Sources,
    problems: Problems,
}

/// A plan with the texts that it came from.
struct Planned {
    sources: Sources,
    profile: Profile,
    plan: Plan,
}

/// The pipeline up to the plan.
fn prepare(given: Given) -> Result<Planned, Failed> {
    let mut sources = Sources::default();
    let request = match given.request() {
        Ok(request) => request,
        Err(message) => return Err(Failed { sources, problems: Problem::new("cli::flag", Default::default(), message).into() }),
    };
    let caller = Caller::current();
    let profile = match load(&request, &caller, &mut sources) {
        Ok(profile) => profile,
        Err(problems) => return Err(Failed { sources, problems }),
    };
    let host = Host::probe(&profile, caller, &sources);
    match stockade::plan::plan(&profile, &host) {
        Ok(plan) => Ok(Planned { sources, profile, plan }),
        Err(problems) => Err(Failed { sources, problems }),
    }
}

impl Failed {
    /// Says what is wrong: to people on standard error, to programs on standard output.
    fn say(&self, format: Format) -> u8 {
        match format {
            Format::Text => print_problems(&self.problems, &self.sources),
            Format::Json => print_line(&self.problems.json(&self.sources)),
        }
        FAILED
    }
}

/// Problems for people, on standard error.
fn print_problems(problems: &Problems, sources: &Sources) {
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let ascii = utf8.is_some_and(|locale| !locale.to_ascii_lowercase().contains("utf"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = match (colour, ascii) {
        (_, true) => Style::Ascii,
        (true, false) => Style::Colour,
        (false, false) => Style::Plain,
    };
    warn(&problems.render(sources, style));
}

/// Text on standard error. That nobody reads it changes nothing of what is done.
fn warn(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// A line on standard output; a reader that has gone away (`| head`) is no failure of ours.
fn print_line(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// A note with its place, as one line.
fn note_line(note: &Note, sources: &Sources) -> String {
    let place = sources.place(note.at).map_or(String::new(), |place| format!("{place}: "));
    escape(&format!("{place}{}", note.text))
}
