//! What a command line names: the directory of a kept upper, and paths in it.

use super::{Result, wrong};
use crate::cli::Cli;
use crate::launch::changes::apply::{Fate, Judged, Planned};
use crate::launch::changes::{Change, Chosen, Kept, What};
use crate::text::bytes;
use crate::text::paths::{ancestors, below};
use crate::text::problem::{Problem, escape, suggestion};
use crate::text::shell::shell_word;

/// How many paths a help names, and how long they may be together.
const MOST_NAMED: usize = 8;
const LONGEST: usize = 1_000;

/// What a list is in a message.
pub(super) const LIST: &str = "read the changes of";
const NOTHING: &str = "nothing is changed there";

/// The directory, and the paths; none: all that is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'w> {
    pub directory: &'w str,
    pub paths: &'w [String],
}

impl Named<'_> {
    /// The command line that does something with them.
    pub(super) fn line(&self, act: &str, flags: &str) -> String {
        line(act, flags, self.directory, self.paths.iter().map(String::as_str))
    }

    /// The changes that the paths mean. One that means none is refused: it may have an error. `may_be_gone`
    /// says that it may have been one a moment ago.
    pub(super) fn choose(
        &self,
        act: &str,
        kept: &Kept,
        planned: &Planned,
        may_be_gone: bool,
    ) -> Result<Chosen> {
        let mut chosen = vec![];
        for word in self.paths {
            let path = self.meant(act, word, kept, planned)?;
            let one = Chosen::from_iter([path.clone()]);
            let is_there =
                |one: &Chosen| planned.changes.iter().any(|known| one.has(&known.change.path));
            if !may_be_gone && !is_there(&one) {
                let here = from_here(word, kept).filter(|here| is_there(&only(here)));
                return Err(self.none(act, word, NOTHING, planned, here.as_deref()));
            }
            chosen.push(path);
        }
        Ok(chosen.into_iter().collect())
    }

    /// The path below the top that a word of the command line means.
    fn meant(&self, act: &str, word: &str, kept: &Kept, planned: &Planned) -> Result<Vec<u8>> {
        if word.is_empty() {
            let why = "an empty word names nothing";
            let message = format!("cannot {act} a path of `{}`: {why}", self.directory);
            let all = match act {
                LIST => list(self.directory),
                act => line(act, "", self.directory, []),
            };
            let problem = wrong("changes::path", message);
            return Err(problem.help(format!("without paths it is all: {all}")).into());
        }
        let top = &kept.record.path;
        let tail = tail(word, top).ok_or_else(|| {
            self.none(act, word, &format!("it does not lie in {}", escape(top)), planned, None)
        });
        Ok(bytes::bytes(&tail?).into_owned())
    }

    /// `here` is the path that has changes where the word is one from the working directory.
    fn none(
        &self,
        act: &str,
        word: &str,
        why: &str,
        planned: &Planned,
        here: Option<&str>,
    ) -> Box<Problem> {
        let named = escape(word);
        let cannot = |why: &str| {
            let message = format!("cannot {act} `{named}` of `{}`: {why}", self.directory);
            wrong("changes::path", message)
        };
        if let Some(here) = here {
            let named = match act {
                LIST => list(self.directory) + &path_word(here),
                act => line(act, "", self.directory, [here]),
            };
            return cannot(why).help(format!("paths begin at the top of the tree: {named}")).into();
        }
        let whole = planned.changes.iter().map(|one| &one.change).find(|change| {
            let is_inside = Chosen::from_iter([change.path.clone()]).has(&bytes::bytes(word));
            (change.what == What::Removed || change.unread) && is_inside
        });
        if let Some(change) = whole {
            let whole = bytes::text(&change.path);
            let what = if change.unread { "closed to you" } else { "removed" };
            let why = format!("`{}` is {what} with everything in it", escape(&whole));
            let named = line(act, "", self.directory, [&*whole]);
            return cannot(&why).help(format!("name that: {named}")).into();
        }
        if act == LIST && commands().iter().any(|known| known == word) {
            let list = line(word, "", self.directory, []);
            return cannot(why).help(format!("as a command it comes first: {list}")).into();
        }
        let texts: Vec<String> =
            planned.changes.iter().map(|one| bytes::text(&one.change.path)).collect();
        let near = suggestion(word, texts.iter().map(String::as_str));
        let all = || format!("see what is: {}", list(self.directory));
        cannot(why).help(near.unwrap_or_else(all)).into()
    }
}

/// What is listed of all changes, read one by one.
pub(super) struct Wanted<'w> {
    named: Named<'w>,
    paths: Vec<Sought>,
}

/// A path of a list.
struct Sought {
    /// What it means.
    one: Chosen,
    is_found: bool,
    /// What it would be from the working directory, and whether a change was found there.
    here: Option<(String, bool)>,
}

impl<'w> Wanted<'w> {
    pub(super) fn new(named: Named<'w>, kept: &Kept) -> Result<Wanted<'w>> {
        let one = |word: &String| {
            let path = named.meant(LIST, word, kept, &Planned::default())?;
            let here = from_here(word, kept).map(|here| (here, false));
            Ok(Sought { one: Chosen::from_iter([path]), is_found: false, here })
        };
        let paths = named.paths.iter().map(one).collect::<Result<_>>()?;
        Ok(Wanted { named, paths })
    }

    /// Whether a change is at one of the paths or below it, or takes what lies there with it.
    pub(super) fn has(&mut self, change: &Change) -> bool {
        let is_whole = change.removes() || change.unread;
        let mut has = self.paths.is_empty();
        let is_at = |one: &Chosen| one.has(&change.path) || is_whole && one.is_below(&change.path);
        for Sought { one, is_found, here } in &mut self.paths {
            let is_in = is_at(one);
            *is_found |= is_in;
            has |= is_in;
            if let Some((here, is_there)) = here {
                *is_there |= is_at(&only(here));
            }
        }
        has
    }

    pub(super) fn all_found(&self) -> Result {
        let mut words = self.named.paths.iter().zip(&self.paths);
        match words.find(|(_, sought)| !sought.is_found) {
            Some((word, sought)) => {
                let here = sought.here.as_ref().filter(|(_, is_there)| *is_there);
                let here = here.map(|(here, _)| here.as_str());
                Err(self.named.none(LIST, word, NOTHING, &Planned::default(), here))
            }
            None => Ok(()),
        }
    }
}

fn commands() -> Vec<String> {
    let cli = Cli::built();
    let changes = cli.find_subcommand("changes").into_iter();
    let all = changes.flat_map(clap::Command::get_subcommands);
    all.map(|known| known.get_name().to_owned()).collect()
}

/// What is wrong where the first of several words is the name of no kept upper, and may have been meant
/// as a command.
pub(super) fn no_command(named: Named) -> Option<Box<Problem>> {
    let (first, second) = (named.directory, named.paths.first()?);
    let (shown, known) = (escape(first), commands());
    let cannot =
        |message: String, help: String| Some(wrong("cli::flag", message).help(help).into());
    if known.iter().any(|known| known == first) {
        let message = format!("cannot {LIST} `{shown}`: it is no kept upper");
        return cannot(message, line(first, "", second, []));
    }
    let help = match first {
        "list" | "ls" | "show" | "status" => format!("to list them: {}", list(second)),
        "diff" => format!("to see them: stockade changes --diff {}", shell_word(second)),
        "undo" | "revert" | "rollback" => format!(
            "what was applied stays, and nothing takes it back; to remove what was not: {}",
            line("discard", "", second, [])
        ),
        first => suggestion(first, known.iter().map(String::as_str))?,
    };
    cannot(format!("cannot run `changes {shown}`: there is no command of that name"), help)
}

/// The command line that lists all.
fn list(directory: &str) -> String {
    format!("stockade changes {}", shell_word(directory))
}

/// A command line of `changes`; a path is none of its options.
fn line<'p>(
    act: &str,
    flags: &str,
    directory: &str,
    paths: impl IntoIterator<Item = &'p str>,
) -> String {
    let paths: String = paths.into_iter().map(path_word).collect();
    format!("stockade changes {act} {flags}{}{paths}", shell_word(directory))
}

fn path_word(path: &str) -> String {
    let dot = if path.starts_with('-') { "./" } else { "" };
    format!(" {}", shell_word(&format!("{dot}{path}")))
}

/// The path below the top that a word means, as the list of a kept upper has it or as it is inside.
fn tail(word: &str, top: &str) -> Option<String> {
    let plain = |text: &str| {
        let parts = text.split('/').filter(|part| !["", "."].contains(part));
        parts.collect::<Vec<_>>().join("/")
    };
    match word.starts_with('/') {
        true => below(&format!("/{}", plain(word)), top).map(plain),
        false => Some(plain(word)),
    }
}

fn only(path: &str) -> Chosen {
    Chosen::from_iter([bytes::bytes(path).into_owned()])
}

/// The path below the top that a word would be from a directory of the tree, where that is the host's.
fn from_here(word: &str, kept: &Kept) -> Option<String> {
    let record = &kept.record;
    let cwd = bytes::of(std::env::current_dir().ok()?);
    let within = below(&cwd, &record.path).filter(|within| !within.is_empty())?;
    let is_one = record.is_of_the_host() && !word.starts_with('/');
    is_one.then(|| tail(format!("{within}/{word}").trim_start_matches('/'), &record.path)).flatten()
}

/// What can be done where the host has changed something meanwhile.
pub(super) fn ways_out(named: Named, planned: &Planned) -> String {
    let is_meanwhile = |fate: &Fate| matches!(fate, Fate::Meanwhile(_) | Fate::Shut(_));
    let is_shut = planned.changes.iter().any(|one| matches!(one.fate, Fate::Shut(_)));
    let of = |is_meant: &dyn Fn(&Fate) -> bool| -> Vec<&Change> {
        let meant = planned.changes.iter().filter(|one| is_meant(&one.fate));
        meant.map(|Judged { change, .. }| change).collect()
    };
    let conflicts: Vec<String> =
        of(&is_meanwhile).iter().map(|change| bytes::text(&change.path)).collect();
    let directory = named.directory;
    let some = few(&conflicts);
    let compare = || {
        let all = format!("compare the two: stockade changes --diff {}", shell_word(directory));
        some.iter().fold(all, |line, path| line + &path_word(path))
    };
    let mut ways: Vec<String> = (!is_shut).then(compare).into_iter().collect();
    if !some.is_empty() {
        let discard = line("discard", "", directory, some.iter().copied());
        ways.push(format!("let the host's stay: {discard}"));
    }
    let others = others(&of(&|fate| *fate == Fate::Applied), &conflicts);
    if !others.is_empty() && few(&others).len() == others.len() {
        let apply = line("apply", "", directory, others.iter().map(String::as_str));
        ways.push(format!("apply the others alone: {apply}"));
    }
    ways.join("\n")
}

/// As many of some paths as a command line takes that is read.
fn few(paths: &[String]) -> Vec<&str> {
    let mut length = 0;
    let fits = |path: &&String| {
        length += path.len();
        length <= LONGEST && !path.is_empty()
    };
    paths.iter().take(MOST_NAMED).take_while(fits).map(String::as_str).collect()
}

/// The largest trees of changes in which no conflict lies, and which lie in none; not many more than
/// can be shown.
fn others(applied: &[&Change], conflicts: &[String]) -> Vec<String> {
    let conflicts: Chosen = conflicts.iter().map(|path| bytes::bytes(path).into_owned()).collect();
    let mut others: Vec<String> = vec![];
    for change in applied {
        let path = format!("/{}", bytes::text(&change.path));
        let is_known = others.last().is_some_and(|last| below(&path[1..], last).is_some());
        if is_known || conflicts.has(&change.path) {
            continue;
        }
        let is_free = |above: &&str| {
            let above = bytes::bytes(&above[1..]);
            !conflicts.has(&above) && !conflicts.is_below(&above)
        };
        let largest = ancestors(&path).take_while(is_free).last();
        // A directory above both has its own mode to be applied.
        others.extend(largest.map(|path| path[1..].to_owned()));
        if others.len() > MOST_NAMED {
            break;
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_a_path_of_the_list_or_inside() {
        for (word, top, meant) in [
            ("a/b", "/w", Some("a/b")),
            ("a/b/", "/w", Some("a/b")),
            ("./-x", "/w", Some("-x")),
            ("/w/a//b/", "/w", Some("a/b")),
            ("/w", "/w", Some("")),
            (".", "/w", Some("")),
            ("/etc/x", "/", Some("etc/x")),
            ("/wa", "/w", None),
            ("../x", "/w", Some("../x")),
        ] {
            assert_eq!(tail(word, top).as_deref(), meant, "{word}");
        }
        assert_eq!(
            line("apply", "--yes ", "my state", ["-x", "a\nb"]),
            r"stockade changes apply --yes 'my state' ./-x $'a\x0ab'"
        );
    }

    #[test]
    fn the_others_are_the_largest_trees_without_a_conflict() {
        let change = |path: &str| Change {
            path: path.into(),
            what: What::Added,
            before: None,
            after: None,
            unread: false,
            is_copy: false,
        };
        let all = ["", "a/b/x", "a/b/y", "a/c", "d/e/f", "d/e/g", "z"].map(change);
        let all: Vec<&Change> = all.iter().collect();
        let of = |conflicts: &[&str]| {
            let conflicts: Vec<String> = conflicts.iter().map(|path| (*path).into()).collect();
            others(&all, &conflicts)
        };
        assert_eq!(of(&["a/c/d", "d/e"]), ["a/b", "z"]);
        assert_eq!(of(&["d/e/h"]), ["a", "d/e/f", "d/e/g", "z"]);
    }
}
