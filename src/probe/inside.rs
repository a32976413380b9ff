//! The finished tree, looked at from outside: what the profile's programs need of the host, and
//! what the command would find.

use crate::host::inside::Inside;
use crate::host::privileged::Useless;
use crate::host::programs::Piece;
use crate::host::questions::Sought;
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::rights::Rights;
use crate::language::value::{below, join};
use crate::policy::mounts::kinds::{Missing, Mount};
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::{Covered, Tree, covered};
use crate::policy::namespaces::Namespace;
use crate::probe::search::Search;
use crate::probe::view::{Found, View, What};
use crate::probe::{ask, look, privileged};
use crate::profile::Profile;
use crate::text::bytes;
use crate::text::source::At;
use std::collections::BTreeMap;

impl Host {
    /// Looks at the finished tree from outside: is the command there, with its loader and
    /// libraries? `run` does without, and asks when the target did not start.
    pub fn look_inside(&mut self, profile: &Profile, settled: &Settled) {
        let sought = ask::sought(profile, &self.caller);
        let tree = settled.whole();
        let mut search = search(&sought, tree, false);
        let cwd = sought.cwd.as_ref().is_none_or(|cwd| {
            matches!(
                search.view().follow(cwd).map(|found| found.what),
                Ok(What::Directory | What::Unknown)
            )
        });
        let start = self.working_directory(&sought, tree);
        let word = sought.command.as_ref();
        let command = word.map(|word| search.need(word, start.as_deref())).unwrap_or_default();
        let links = tree.iter().filter_map(|(path, node)| match &node.mount {
            Mount::Symlink(link) => Some((path, link.text.clone(), node.at)),
            mount => match self.at(mount.grant(path)?.topmost) {
                Fact::Present(File { kind: FileKind::Link(text), .. }) => {
                    Some((path, text.clone(), node.at))
                }
                _ => None,
            },
        });
        let dangling = links
            .filter(|(path, ..)| search.view().follow(path).is_err())
            .map(|(path, text, at)| (path.clone(), text, at))
            .collect();
        let mut place_of = |word: &str| place_of(word, start.as_deref(), &sought, search.view());
        let unruled = word
            .and_then(|word| place_of(word))
            .map(|place| place.path)
            .filter(|place| !self.lets_execute(&sought, place));
        let items = sought.programs.iter().flatten().map(|item| (item.at, item.value.as_str()));
        let useless =
            word.map(|word| (word.at, word.value.as_str())).into_iter().chain(items).filter_map(
                |(at, word)| {
                    let Found { path, what: What::File { source, mode, .. }, .. } = place_of(word)?
                    else {
                        return None;
                    };
                    Some(Useless { at, path, given: privileged::given(&source, mode)? })
                },
            );
        let useless = useless.collect();
        let paths = sought.cwd.iter().chain(word.map(|word| &word.value));
        let is_nowhere = |path: &&String| {
            path.starts_with('/')
                && matches!(look(path, false, false), Fact::Absent(libc::ENOENT | libc::ENOTDIR))
        };
        let nowhere = paths.filter(is_nowhere).cloned().collect();
        self.inside = Some(Inside { command, cwd, nowhere, dangling, unruled, useless });
    }

    /// Reads what the profile's programs need, and the facts of those files.
    pub(super) fn read_programs(&mut self, sought: &Sought, tree: &Tree, with_fs: bool) {
        if sought.programs.is_empty() {
            return;
        }
        let mut search = search(sought, tree, true);
        let start = self.working_directory(sought, tree);
        let need = |word: &Option<At<String>>| {
            word.as_ref().map(|word| search.need(word, start.as_deref())).unwrap_or_default()
        };
        self.programs = sought.programs.iter().map(need).collect();
        for piece in self.programs.iter().flat_map(|program| program.pieces.values()) {
            let Piece::File { source, inode: read } = piece else { continue };
            let mut fact = look(source, false, with_fs);
            if let Fact::Present(File { inode, .. }) = &mut fact {
                // The file that was read is the one that is shown: one that was put there since is
                // refused at the launch.
                *inode = *read;
            }
            self.paths.insert(source.clone(), fact);
        }
    }

    /// Whether the rules that the profile writes itself, if it does, let a file be executed: they
    /// add up from it to the root.
    fn lets_execute(&self, sought: &Sought, path: &str) -> bool {
        let Some(rules) = &sought.rules else { return true };
        let holds = |rule: &str| {
            self.ruled
                .get(rule)
                .is_none_or(|place| place.as_ref().is_ok_and(|place| below(path, place).is_some()))
        };
        let rights = rules
            .iter()
            .filter(|(rule, _)| holds(rule))
            .fold(Rights(0), |rights, (_, granted)| rights.and(*granted));
        rights.holds(Rights::EXECUTE)
    }

    /// Where the paths of Landlock's own rules lead: a rule is made on the file itself, never on a
    /// link to it.
    pub(super) fn read_ruled<'p>(
        &mut self,
        whose: &Namespace,
        settled: &Settled,
        paths: impl Iterator<Item = &'p str>,
    ) {
        let mut ruled = BTreeMap::new();
        match whose {
            Namespace::New => {
                let tree = settled.whole();
                let mut view = View::new(tree, false);
                for path in paths {
                    ruled.insert(path.to_owned(), self.place_inside(tree, &mut view, path));
                }
            }
            Namespace::Host => {
                for path in paths {
                    let real = std::fs::canonicalize(bytes::path(path))
                        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
                    ruled.insert(path.to_owned(), real.map(bytes::of));
                }
            }
            // Nothing is known of that tree.
            Namespace::Join(_) => {}
        }
        self.ruled = ruled;
    }

    fn place_inside(&self, tree: &Tree, view: &mut View<'_>, path: &str) -> Result<String, i32> {
        let found = match view.follow(path) {
            Ok(found) => found,
            // What is made first, or written where the profile has nothing.
            Err(libc::ENOENT) if is_made(tree, self, path) => return Ok(path.to_owned()),
            Err(errno) => return Err(errno),
        };
        let unknown = matches!(found.what, What::Unknown);
        Ok(if unknown && below(path, &found.path).is_some() { path.to_owned() } else { found.path })
    }

    /// Where a relative command begins: the profile's directory, or the caller's where an entry
    /// shows it.
    fn working_directory(&self, sought: &Sought, tree: &Tree) -> Option<String> {
        match &sought.cwd {
            Some(cwd) => Some(cwd.clone()),
            None => View::new(tree, false).shows(&self.caller.cwd).then(|| self.caller.cwd.clone()),
        }
    }
}

/// Where the program of a command is inside.
fn place_of(
    word: &str,
    start: Option<&str>,
    sought: &Sought,
    view: &mut View<'_>,
) -> Option<Found> {
    let places = match (word.starts_with('/'), word.contains('/')) {
        (true, _) => vec![word.to_owned()],
        (false, true) => start.iter().map(|start| join(start, &format!("/{word}"))).collect(),
        (false, false) => {
            sought.directories.iter().map(|directory| format!("{directory}/{word}")).collect()
        }
    };
    places
        .iter()
        .filter_map(|place| view.follow(place).ok())
        .find(|found| matches!(found.what, What::File { .. }))
}

fn search<'t>(sought: &Sought, tree: &'t Tree, host_shows: bool) -> Search<'t> {
    let view = View::new(tree, host_shows);
    Search::new(view, sought.directories.clone(), sought.libraries.clone())
}

/// Whether stockade makes what is at a path: a directory of `missing = "create"`, or a file that it
/// writes where no entry is.
fn is_made(tree: &Tree, host: &Host, path: &str) -> bool {
    match tree.get(path) {
        Some(node) => {
            node.mount.grant(path).is_some_and(|grant| grant.words.missing == Missing::Create)
        }
        None => matches!(covered(tree, host, path), Some(Covered::File | Covered::Directory)),
    }
}
