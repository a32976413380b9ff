//! `stockade state`: what sandboxes keep between runs, by its names.

use super::{FAILED, Failed, ask, held_by, print_line, ps};
use crate::cli::{Format, Listing, StateCommand};
use crate::host::caller::Caller;
use crate::language::value::{Size, join};
use crate::launch::states::{Kept, Refused, State};
use crate::text::problem::{Problem, Problems, errno_words, escape, quiet_json, suggestion};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use serde::Serialize;
use std::time::SystemTime;

type Result<T = ()> = std::result::Result<T, Box<Problem>>;

pub(super) fn state(what: StateCommand) -> u8 {
    let (format, done) = match what {
        StateCommand::List(Listing { format }) => (format, list(format)),
        StateCommand::Remove { yes, names } => return remove(yes, &names),
    };
    done.map_or_else(|problem| Failed::of(*problem).print(format), |()| 0)
}

/// Where the caller's states are, and those that are there.
pub(super) fn kept() -> (String, std::result::Result<Option<Kept>, Refused>) {
    let path = Caller::current().states();
    let kept = Kept::open(&path);
    (path, kept)
}

fn wrong(code: &'static str, message: String) -> Box<Problem> {
    Box::new(Problem::new(code, Span::NOWHERE, message))
}

/// Why something is not done with states, or with one.
fn refused(what: &str, path: &str, why: Refused) -> Box<Problem> {
    let cannot = |code, why: &str| wrong(code, format!("cannot {what}: {why}"));
    match why {
        Refused::Errno(errno) => cannot("launch::state", &errno_words(errno)),
        Refused::NotOurs => {
            let problem = cannot("launch::state", &format!("{path} is not the caller's alone"));
            problem.help(format!("see who made it: ls -ld {}", shell_word(path))).into()
        }
        Refused::Held(launchers) => {
            let list: Vec<String> = launchers.iter().map(i32::to_string).collect();
            let by = match list.as_slice() {
                [] => String::new(),
                [one] => format!(" of the launcher {one}"),
                list => format!(" of the launchers {}", list.join(", ")),
            };
            let problem = cannot("launch::state-held", &format!("a running sandbox{by} uses it"));
            problem.help(held_by(&launchers)).into()
        }
        Refused::Left(file, user) => {
            let why = format!("`{}` in it belongs to the user {user}", escape(&file));
            let remove = format!("as root: rm -rf {}", shell_word(path));
            cannot("launch::state", &why).help(remove).into()
        }
    }
}

fn list(format: Format) -> Result {
    let (path, kept) = kept();
    let cannot = |why| refused("list states", &path, why);
    let kept = kept.map_err(cannot)?;
    let states: Vec<State> = match &kept {
        Some(kept) => kept.names().map_err(cannot)?.iter().map(|name| kept.look(name)).collect(),
        None => vec![],
    };
    let rows: Vec<Row> = states.into_iter().map(|state| Row::of(state, &path)).collect();
    match format {
        Format::Json => {
            print_line(&quiet_json(serde_json::to_string_pretty(&rows).unwrap_or_default()));
        }
        Format::Text => {
            let head = ["NAME", "SIZE", "LAST USE", "DIRECTORY"].map(String::from);
            let lines: Vec<[String; 4]> =
                std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
            ps::columns(&lines);
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    /// Bytes on disk.
    size: u64,
    /// Whether that is all: what another user keeps from the caller is not counted.
    size_is_whole: bool,
    /// When a run last began to use it, in seconds since 1970.
    last_use: Option<u64>,
    /// The launchers that use it now.
    launchers: Vec<i32>,
    directory: String,
}

impl Row {
    fn of(state: State, path: &str) -> Row {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        Row {
            directory: join(path, &format!("/{}", state.name)),
            name: state.name,
            size: state.size.0,
            size_is_whole: state.size.1,
            last_use: state.used.and_then(since).map(|since| since.as_secs()),
            launchers: state.launchers,
        }
    }

    fn cells(&self) -> [String; 4] {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let used = match (self.launchers.as_slice(), self.last_use) {
            ([], Some(used)) => format!("{} ago", ps::age(now.saturating_sub(used))),
            ([], None) => "-".to_owned(),
            ([_, ..], _) => "in use".to_owned(),
        };
        let size = Size(self.size >> 10 << 10);
        let more = if self.size_is_whole { "" } else { "+" };
        [escape(&self.name), format!("{size}{more}"), used, escape(&self.directory)]
    }
}

/// Removes each, and reports every one that it does not.
fn remove(yes: bool, names: &[String]) -> u8 {
    let mut problems = Problems::default();
    let (path, kept) = kept();
    match kept {
        Err(why) => problems.push(*refused("remove states", &path, why)),
        Ok(kept) => {
            for name in names {
                if let Err(problem) = remove_one(name, &path, kept.as_ref(), yes) {
                    problems.push(*problem);
                }
            }
        }
    }
    if problems.is_empty() {
        return 0;
    }
    super::print_problems(&problems, &Default::default());
    FAILED
}

fn remove_one(name: &str, path: &str, kept: Option<&Kept>, yes: bool) -> Result {
    let what = format!("remove the state `{}`", escape(name));
    let cannot = |why| refused(&what, &join(path, &format!("/{name}")), why);
    let names = kept.map_or(Ok(vec![]), Kept::names).map_err(cannot)?;
    let Some(kept) = kept.filter(|_| names.iter().any(|known| known == name)) else {
        let message = format!("cannot {what}: there is none of that name in {path}");
        let near = suggestion(name, names.iter().map(String::as_str));
        let list = || "those that are there: stockade state list".to_owned();
        let help = near.unwrap_or_else(list);
        return Err(Box::new(wrong("launch::state", message).help(help)));
    };
    if !yes && !may(kept, name)? {
        return Ok(());
    }
    kept.remove(name).map_err(cannot)
}

/// Asks on a terminal; elsewhere nothing is removed without the word.
fn may(kept: &Kept, name: &str) -> Result<bool> {
    let (bytes, whole) = kept.look(name).size;
    let more = if whole { "" } else { " or more" };
    let size = Size(bytes >> 10 << 10);
    let question = format!("Remove the state {name} ({size}{more}) with all that is in it?");
    ask::ask(&question).ok_or_else(|| {
        let why = "nobody can be asked: standard input is no terminal";
        let problem = wrong("launch::state", format!("cannot remove the state `{name}`: {why}"));
        problem.help(format!("stockade state remove --yes {}", shell_word(name))).into()
    })
}
