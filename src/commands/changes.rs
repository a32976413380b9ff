//! `stockade changes`: what a target changed in a kept upper, and what becomes of it.

mod apply;
mod chosen;
mod diff;
mod discard;
mod later;
mod line;
mod list;
mod on_success;

pub(super) use list::{MOST_KEPT, Row, of_run};
pub(super) use on_success::{end_left, on_success};

use self::chosen::Named;
use self::line::quoted;
use super::{FAILED, Failed, ask, held_by, place, warn};
use crate::cli::{Changed, ChangesCommand};
use crate::launch::changes::{Contents, Kept, Refused, Stop, Stopped, export};
use crate::text::bytes;
use crate::text::problem::{Problem, errno_words, escape};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use std::io::IsTerminal;

type Result<T = ()> = std::result::Result<T, Box<Problem>>;

pub(super) fn changes(changed: Changed) -> u8 {
    let Changed { diff, format, directory, paths, what } = changed;
    let done = match (what, directory) {
        (None, Some(directory)) => {
            list::list(Named { directory: &directory, paths: &paths }, diff, format)
        }
        (Some(ChangesCommand::Apply { yes, run_later, directory, paths }), _) => {
            let named = Named { directory: &directory, paths: &paths };
            apply::apply(named, apply::Agreed { changes: yes, run_later })
        }
        (Some(ChangesCommand::Export { directory, file }), _) => write(&directory, &file),
        (Some(ChangesCommand::Discard { yes, directory, paths }), _) => {
            discard::discard(Named { directory: &directory, paths: &paths }, yes)
        }
        (None, None) => return FAILED,
    };
    match done {
        Ok(()) => 0,
        Err(problem) => Failed::of(*problem).print(format),
    }
}

fn wrong(code: &'static str, message: String) -> Box<Problem> {
    Box::new(Problem::new(code, Span::NOWHERE, message))
}

/// Opens a kept upper to do something with it.
fn open(act: &str, directory: &str) -> Result<Kept> {
    Kept::open(directory).map_err(|why| refused(act, directory, &why))
}

/// The same, and nobody else uses it meanwhile.
fn take(act: &str, directory: &str) -> Result<Kept> {
    let mut kept = open(act, directory)?;
    kept.lock().map_err(|why| refused(act, directory, &why))?;
    Ok(kept)
}

/// Why something is not done with a directory.
fn refused(act: &str, directory: &str, why: &Refused) -> Box<Problem> {
    let cannot = |code, why: &str| wrong(code, format!("cannot {act} `{directory}`: {why}"));
    let shown = shell_word(directory);
    match why {
        Refused::Errno(errno) => cannot("changes::directory", &errno_words(*errno)),
        Refused::NotKept => {
            let problem = cannot("changes::directory", "it is no kept upper");
            problem.help("name the directory that `upper` of an entry with `layers` names").into()
        }
        Refused::NotOurs => {
            let problem = cannot("changes::directory", "it is not the caller's alone");
            problem.help(format!("see who made it: ls -lan {shown}")).into()
        }
        Refused::Unreadable => cannot(
            "changes::directory",
            "this version of stockade does not write what its file `stockade` has",
        ),
        Refused::Held(pid) => {
            let by = pid.map_or(String::new(), |pid| format!(" of the launcher {pid}"));
            let problem = cannot("changes::held", &format!("a running sandbox{by} uses it"));
            problem.help(held_by(pid.as_slice())).into()
        }
        Refused::Layer(path, errno) => {
            let why = format!("its layer `{path}` cannot be opened: {}", errno_words(*errno));
            cannot("changes::layer", &why)
        }
        Refused::Another(path) => {
            let why =
                format!("another directory than the one it was begun over is at `{path}` now");
            cannot("changes::layer", &why)
        }
    }
}

/// Why the reading of it ended early.
fn stopped(act: &str, directory: &str, Stopped { stop, path }: &Stopped) -> Box<Problem> {
    let at = escape(&bytes::text(path));
    let why = match stop {
        Stop::Errno(libc::EPIPE) => "the process that reads it has ended early".to_owned(),
        Stop::Errno(errno) if path.is_empty() => errno_words(*errno),
        Stop::Errno(errno) => format!("`{at}` in it: {}", errno_words(*errno)),
        Stop::Foreign(name) => format!(
            "`{at}` in it has the attribute `{}`, by which another engine means something else",
            bytes::text(name)
        ),
        Stop::TooLong => "a path in it is longer than a mebibyte".to_owned(),
        Stop::TooMany => "a directory in it has more names than are read".to_owned(),
        Stop::Moved => format!("`{at}` in it changed while it was read"),
    };
    let problem = wrong("launch::upper", format!("cannot {act} `{directory}`: {why}"));
    match stop {
        Stop::Moved => problem.help("try it again once no sandbox uses it").into(),
        _ => problem,
    }
}

/// Asks on the terminal; elsewhere nothing is done without the word.
fn ask(act: &str, named: Named, more: &str, question: impl FnOnce() -> String) -> Result<bool> {
    let answer = if std::io::stdin().is_terminal() { ask::ask(&question()) } else { None };
    answer.ok_or_else(|| {
        let why = "nobody can be asked: standard input is no terminal";
        let problem = wrong("changes::ask", format!("cannot {act} `{}`: {why}", named.directory));
        problem.help(named.line(act, &format!("--yes {more}"))).into()
    })
}

/// Whether a file with something in it has that name; `/dev/fd/3` and the like name what is open.
fn is_filled(path: &str) -> bool {
    !path.starts_with("/dev/")
        && !path.starts_with("/proc/")
        && std::fs::symlink_metadata(bytes::path(path))
            .is_ok_and(|found| found.is_file() && found.len() > 0)
}

fn write(directory: &str, file: &str) -> Result {
    let act = "export";
    let kept = take(act, directory)?;
    let layers = kept.layers().map_err(|why| refused(act, directory, &why))?;
    let mut reader =
        kept.read(&layers, Contents::After).map_err(|why| refused(act, directory, &why))?;
    let cannot = |why: String| wrong("changes::file", format!("cannot write {file}: {why}"));
    let reason =
        |error: &std::io::Error| error.raw_os_error().map_or(error.to_string(), errno_words);
    if file == "-" && std::io::stdout().is_terminal() {
        let name = format!("stockade changes export {} changes.tar", shell_word(directory));
        let problem = *cannot("standard output is a terminal".to_owned());
        return Err(problem.help(format!("name a file: {name}")).into());
    }
    // What is there may be another export, or the only copy of something else.
    if is_filled(file) {
        let name = shell_word(file);
        let help = format!("remove it first, `rm {name}`, or name another file");
        return Err(cannot(errno_words(libc::EEXIST)).help(help).into());
    }
    let place = match file {
        "-" => place::Place::output(),
        file => place::Place::find(&bytes::path(file)),
    };
    let place = place.map_err(|error| cannot(reason(&error)))?;
    let mut outcome = Ok(());
    let mut leave = |path: &[u8], why: &str| {
        warn(&format!("stockade: left out {}: {why}\n", quoted(&bytes::text(path))));
    };
    let written = place.fill(|out| {
        outcome = export::export(&mut reader, &kept.record, out, &mut leave);
        match &outcome {
            Err(export::Failed::Writing(error)) => Err(std::io::Error::new(error.kind(), "")),
            Err(export::Failed::Reading(_)) => Err(std::io::Error::other("")),
            Ok(()) => Ok(()),
        }
    });
    match outcome {
        Ok(()) => written.map_err(|error| cannot(reason(&error))),
        Err(export::Failed::Writing(error)) => Err(cannot(reason(&error))),
        Err(export::Failed::Reading(why)) => Err(stopped(act, directory, &why)),
    }
}
