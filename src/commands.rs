//! The commands: thin. They load, plan and launch, and they print.

mod ask;
mod changes;
mod check;
mod completions;
mod control;
mod denials;
mod doctor;
mod end;
mod explain;
mod layers;
mod man;
mod meant;
mod new;
mod page;
mod pager;
mod params;
mod place;
mod plan;
mod profiles;
mod ps;
mod record;
mod reference;
mod run;
mod schema;
mod state;
mod usage;
mod why;

use crate::cli::{Cli, Command, Format, Given};
use crate::face::{Plan as Planned, Problems as Failed, Profile};
use crate::host::caller::Caller;
use crate::inspect::access::World;
use crate::inspect::access::facts::HostFs;
use crate::inspect::lint::lint_of_own_lines;
use crate::inspect::start;
use crate::inspect::view::{Notes, note_line};
use crate::launch::FAILED;
use crate::launch::registry::{Refused, Registry};
use crate::launch::uppers;
use crate::plan::Plan;
use crate::profile::{Request, as_written};
use crate::step::TreeOp;
use crate::sys;
use crate::text::bytes;
use crate::text::layout::{COLUMNS, Paint};
use crate::text::problem::{Note, Problem, Problems, Style, errno_words};
use crate::text::source::{Sources, Span};
use clap::Parser;
use control::Action;
use std::ffi::{OsString, c_int};
use std::io::{IsTerminal, Write};
use std::os::fd::AsRawFd;

/// [`run()`] for a process that is the launcher's alone, by its C entry.
pub fn start() -> c_int {
    sys::end_by_status::<{ FAILED as i32 }>();
    sys::take_memory_in_large_pieces();
    c_int::from(run(std::env::args_os()))
}

/// Does what the program `stockade` does with these words, of which the first is its own name, and
/// returns the exit status.
///
/// It reads standard input and prints as the program does. If standard output cannot be written, it
/// ends this process. A launcher that is set-id, or has file capabilities, would lend its privilege
/// to any user who starts it, with a profile of their choice (CVE-2016-10122 and CVE-2026-41163 are
/// such cases in peers): it refuses to be one. What [`launch()`](crate::launch()) says of the
/// calling process holds for `stockade run`, but nothing is put back: it is for a process that ends
/// with what it was called for.
///
/// # Examples
///
/// ```
/// assert_eq!(stockade::run(["stockade", "explain", "E0301"]), 0);
/// assert_eq!(stockade::run(["stockade", "check", "no-such-profile"]), 125);
/// ```
pub fn run(words: impl IntoIterator<Item = impl Into<OsString>>) -> u8 {
    if sys::is_privileged() {
        eprintln!(
            "stockade: refusing to run set-id or with file capabilities: remove them (chmod \
             u-s,g-s; setcap -r)"
        );
        return FAILED;
    }
    let words = words.into_iter().map(|word| bytes::of(word.into()));
    let words = usage::asked(words.collect());
    match Cli::try_parse_from(&words) {
        Ok(cli) => usage::check(&cli, &words).unwrap_or_else(|| dispatch(cli)),
        Err(error) => usage::refuse(&error, &words),
    }
}

fn dispatch(cli: Cli) -> u8 {
    match cli.command {
        Command::Run(runs) => run::run(runs),
        Command::Check(checked) => check::check(checked),
        Command::Explain(explained) => explain::explain(explained),
        Command::Profiles(what) => profiles::profiles(what),
        Command::Params(asked) => params::params(asked),
        Command::Ps(listing) => ps::ps(listing),
        Command::Freeze(running) => control::control(Action::Freeze, running),
        Command::Thaw(running) => control::control(Action::Thaw, running),
        Command::Stop(running) => control::control(Action::Stop, running),
        Command::Kill(running) => control::control(Action::Kill, running),
        Command::Changes(what) => changes::changes(what),
        Command::State(what) => state::state(what),
        Command::New(what) => new::new(what),
        Command::Schema => schema::schema(),
        Command::Reference => reference::reference(),
        Command::Man { page } => man::man(page),
        Command::Completions { shell } => completions::completions(shell),
        Command::Complete { words } => completions::complete(&words),
        Command::Doctor(examined) => doctor::doctor(examined),
        Command::Plan(planning) if planning.layers => layers::layers(planning.shown),
        Command::Plan(planning) => plan::plan(planning),
        Command::Why(asking) => why::why(asking),
    }
}

/// The pipeline up to the plan.
fn prepare(command: &str, given: Given) -> Result<Planned, Failed> {
    let request = request(given)?;
    settle(&request, Caller::current()).map_err(|failed| {
        meant::with_command(meant::program_or(failed, &request, command), &request, command)
    })
}

/// The same, with warnings, also if there are problems. The plan does not depend on them.
fn prepare_and_lint(
    command: &str,
    given: Given,
    warnings: &mut Problems,
) -> Result<Planned, Failed> {
    let request = request(given)?;
    let loaded = Profile::load(&request, Caller::current())
        .map_err(|failed| meant::program_or(failed, &request, command))?;
    let planned = loaded.plan(|profile, host, settled, sources| {
        let mut host = host.clone();
        host.look_closer(profile, settled);
        let found = lint_of_own_lines(profile, &host, settled, sources);
        *warnings = as_written(found, &host.caller, sources);
    });
    let planned = planned.map_err(|failed| meant::with_command(failed, &request, command))?;
    if start::stops(warnings).next().is_none() {
        let world = World::new(&planned.plan, &planned.profile);
        let found = start::stopped(&request.profile, &planned.profile, &world, &HostFs::here());
        let found = found.map_or_else(Problems::default, Problems::from);
        warnings.extend(as_written(found, &planned.host.caller, &planned.sources));
    }
    Ok(planned)
}

/// The kept uppers that another sandbox uses at this moment.
fn in_use(plan: &Plan) -> Vec<Note> {
    let kept = plan.steps.iter().filter_map(|step| match step.tree()? {
        TreeOp::HoldUpper { directory, kept: true, .. } => Some((directory, step.at)),
        _ => None,
    });
    let used = kept.filter_map(|(directory, at)| {
        let pid = uppers::user(directory.text())?;
        let text = format!("a sandbox uses the upper {directory}, and a run is refused");
        Some(Note::new(at, text).because(&held_by(&[pid])))
    });
    used.collect()
}

/// What the command line asks for.
fn request(given: Given) -> Result<Request, Failed> {
    let wrong = given.without_value().map(str::to_owned);
    let request = given.request().and_then(|request| match wrong {
        Some(wrong) => Err(meant::parameters(&request, &wrong)),
        None => Ok(request),
    });
    request.map_err(|problems| Failed::new(problems, Sources::default()))
}

/// The same of what the command line asks for.
fn settle(request: &Request, caller: Caller) -> Result<Planned, Failed> {
    Profile::load(request, caller)?.plan(|_, _, _, _| {})
}

impl Failed {
    /// Adds warnings, but for lines that an error is about.
    fn add(&mut self, warnings: Problems) {
        let wrong: Vec<Span> = self.problems.iter().map(|problem| problem.at).collect();
        self.problems.extend(warnings.into_iter().filter(|warning| !wrong.contains(&warning.at)));
    }

    /// The same where what is wrong is what was asked for: all of it on standard output.
    fn report(&self, format: Format) -> u8 {
        match format {
            // A problem of the command line is no answer.
            _ if self.problems.iter().any(|problem| problem.code.starts_with("cli::")) => {
                return self.print(format);
            }
            Format::Text => print_report(&self.problems, &self.sources),
            Format::Json => print_line(&self.problems.json(&self.sources)),
        }
        FAILED
    }

    /// Says what is wrong: to people on standard error, to programs on standard output.
    fn print(&self, format: Format) -> u8 {
        match format {
            Format::Text => print_problems(&self.problems, &self.sources),
            Format::Json => print_line(&self.problems.json(&self.sources)),
        }
        FAILED
    }
}

/// How wide problems are drawn at most, and at least.
const WIDEST: usize = 100;
const NARROWEST: usize = 40;

/// Problems for people, on standard error.
fn print_problems(problems: &Problems, sources: &Sources) {
    warn(&drawn(problems, sources, &std::io::stderr()));
}

/// The same on standard output, where they are a part of what was asked for.
fn print_report(problems: &Problems, sources: &Sources) {
    let text = drawn(problems, sources, &std::io::stdout());
    if !text.is_empty() {
        print_line(text.trim_end_matches('\n'));
    }
}

/// Problems as the stream shows them.
fn drawn(problems: &Problems, sources: &Sources, stream: &(impl IsTerminal + AsRawFd)) -> String {
    let style = match (Paint::of(stream) == Paint::Colour, is_ascii()) {
        (_, true) => Style::Ascii,
        (true, false) => Style::Colour,
        (false, false) => Style::Plain,
    };
    let width = sys::terminal_width(stream.as_raw_fd())
        .map_or(COLUMNS, |width| usize::from(width).clamp(NARROWEST, WIDEST));
    problems.render_within(sources, style, width)
}

/// Whether the locale (locale(7)) has no more signs than ASCII.
fn is_ascii() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| !locale.to_ascii_lowercase().contains("utf"))
}

/// A drawing in the signs of the locale.
fn in_locale(text: String) -> String {
    if !is_ascii() {
        return text;
    }
    let signs = [
        ("├── ", "|-- "),
        ("└── ", "`-- "),
        ("│", "|"),
        ("→", "->"),
        ("–", "-"),
        ("…", "..."),
        ("·", "."),
    ];
    signs.iter().fold(text, |text, (sign, ascii)| text.replace(sign, ascii))
}

/// Notes for people, on standard output.
fn print_notes(which: Notes, all: &[Note], sources: &Sources) {
    let (notes, others) = which.of(all, sources);
    for line in notes.into_iter().map(|note| note_line(note, sources)).chain(others) {
        print_line(&format!("note: {line}"));
    }
}

/// Text on standard error. A failed write changes nothing.
fn warn(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// The caller's running sandboxes that have a name; `None` where none ever had one. They are where
/// a run of this environment enters them, and nowhere else: only that place is kept from targets.
fn registry() -> Result<Option<Registry>, Box<Problem>> {
    let caller = Caller::current();
    let cannot = |why: &str| {
        Box::new(Problem::new(
            "launch::registry",
            Span::NOWHERE,
            format!("cannot list running sandboxes: {why}"),
        ))
    };
    let directory = caller.registry();
    match Registry::open(&directory, caller.uid, false) {
        Ok(registry) => Ok(Some(registry)),
        Err(Refused::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(Refused::Io(error)) => Err(cannot(&format!(
            "{directory}: {}",
            error.raw_os_error().map_or_else(|| error.to_string(), errno_words)
        ))),
        Err(_) => {
            let problem = cannot(&format!("{directory} is not the caller's alone"));
            Err(Box::new(problem.help(format!("see who made it: ls -ld {directory}"))))
        }
    }
}

/// The help where running sandboxes use something: those without a name are in no list.
fn held_by(launchers: &[i32]) -> String {
    match launchers {
        [] => "wait until that has ended; those with a name: stockade ps".to_owned(),
        [one] => format!("wait until its launcher, process {one}, has ended"),
        some => {
            let list: Vec<String> = some.iter().map(i32::to_string).collect();
            format!("wait until their launchers, processes {}, have ended", list.join(", "))
        }
    }
}

/// A line on standard output; a reader that has gone away (`| head`) is no failure of ours. A full
/// disk is: a reader of the file would take a part for the whole.
fn print_line(text: &str) {
    let mut out = std::io::stdout();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Some(error) =
        written.err().filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
    {
        let reason = error.raw_os_error().map_or_else(|| error.to_string(), errno_words);
        warn(&format!("stockade: cannot write to standard output: {reason}\n"));
        std::process::exit(i32::from(FAILED));
    }
}
