//! The finished tree, looked at from outside: what the profile's programs need of the host, and
//! what the command would find.

use crate::host::inside::{Inside, NoEntry};
use crate::host::privileged::Useless;
use crate::host::programs::Piece;
use crate::host::questions::Sought;
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::rights::Rights;
use crate::language::value::{below, join, parent};
use crate::policy::mounts::kinds::Mount;
use crate::policy::mounts::mixed::foreign;
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::{Covered, Tree, covered, empty, is_there};
use crate::policy::namespaces::Namespace;
use crate::probe::search::Search;
use crate::probe::view::{Bare, Found, View, What};
use crate::probe::{ask, look, privileged};
use crate::profile::Profile;
use crate::text::bytes;
use crate::text::source::At;
use crate::tree::{Ground, HasGround, Own};
use std::collections::BTreeMap;

impl Host {
    /// Looks at the finished tree from outside: is the command there, with its loader and
    /// libraries? `run` does without, and asks when the target did not start.
    pub fn look_inside(&mut self, profile: &Profile, settled: &Settled) {
        let sought = ask::sought(profile, &self.caller);
        let whose = profile.namespaces.tree();
        let none = empty();
        let (tree, bare) = match whose {
            Namespace::New => (settled.whole(), Bare::Nothing),
            Namespace::Host => (&none, Bare::Whole),
            // Nothing is known of that tree.
            Namespace::Join(_) => return,
        };
        let mut search = search(&sought, tree, bare);
        let cwd = sought.cwd.as_ref();
        let cwd = cwd.and_then(|cwd| no_entry(search.view(), tree, bare, cwd));
        // An entry that is left out here is in the profile, so that no other can be written.
        let cwd = cwd.map(|no_entry| match &sought.cwd {
            Some(path) if profile.mounts.get(path).is_some() => no_entry.without_entry(),
            _ => no_entry,
        });
        // Where it is not in sight, the command begins in the root.
        let start = match whose {
            Namespace::Host => sought.cwd.clone().or_else(|| Some(self.caller.cwd.clone())),
            Namespace::New | Namespace::Join(_) => {
                self.working_directory(&sought, tree).or_else(|| Some("/".into()))
            }
        };
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
        let is_nowhere = |path: &&String| {
            path.starts_with('/')
                && matches!(look(path, false, false), Fact::Absent(libc::ENOENT | libc::ENOTDIR))
        };
        let nowhere =
            word.map(|word| &word.value).into_iter().filter(is_nowhere).cloned().collect();
        let of_host = bare == Bare::Whole;
        let is_foreign = foreign(tree, self).is_some();
        self.inside =
            Some(Inside { of_host, is_foreign, command, cwd, nowhere, dangling, unruled, useless });
    }

    /// Reads what the profile's programs need, and the facts of those files.
    pub(super) fn read_programs(&mut self, sought: &Sought, tree: &Tree, with_fs: bool) {
        if sought.programs.is_empty() {
            return;
        }
        let mut search = search(sought, tree, Bare::System);
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
                let mut view = View::new(tree, Bare::Nothing);
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
            // What is written where the profile has nothing.
            Err(libc::ENOENT) if is_written(tree, self, path) => return Ok(path.to_owned()),
            Err(errno) => return Err(errno),
        };
        let unknown = matches!(found.what, What::Unknown);
        Ok(if unknown && below(path, &found.path).is_some() { path.to_owned() } else { found.path })
    }

    /// Where a relative command begins: the profile's directory, or the caller's where it is inside.
    fn working_directory(&self, sought: &Sought, tree: &Tree) -> Option<String> {
        match &sought.cwd {
            Some(cwd) => Some(cwd.clone()),
            None => is_there(tree, &self.caller.cwd).then(|| self.caller.cwd.clone()),
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

fn search<'t>(sought: &Sought, tree: &'t Tree, bare: Bare) -> Search<'t> {
    let view = View::new(tree, bare);
    Search::new(view, sought.directories.clone(), sought.libraries.clone())
}

/// Whether stockade writes a file at a path where no entry is.
fn is_written(tree: &Tree, host: &Host, path: &str) -> bool {
    tree.get(path).is_none()
        && matches!(covered(tree, host, path), Some(Covered::File | Covered::Directory))
}

/// Why a directory cannot be entered, where the tree itself says so. Which directories the target's
/// ids may search is asked of the plan.
fn no_entry(view: &mut View<'_>, tree: &Tree, bare: Bare, path: &str) -> Option<NoEntry> {
    let errno = match view.follow(path) {
        Ok(Found { what: What::Directory | What::Unknown, .. }) => return None,
        Ok(_) => libc::ENOTDIR,
        Err(errno) => errno,
    };
    let (over, node) = tree.over(path);
    match (errno, node.ground()) {
        (libc::ENOENT, Ground::Own(Own::Hidden(_))) => Some(NoEntry::Hidden(over.to_owned())),
        (libc::ENOTDIR, _) => {
            let above = view.follow(parent(path)).ok();
            let is_directory = above.is_some_and(|above| matches!(above.what, What::Directory));
            Some(NoEntry::NotDirectory(is_directory.then(|| parent(path).to_owned())))
        }
        (libc::ENOENT, ground) => {
            if let Some((_, to)) = view.link(path) {
                return Some(NoEntry::Dangling(to));
            }
            let own =
                matches!(ground, Ground::Own(Own::Root | Own::Memory { .. } | Own::Directory));
            Some(match look(path, false, false) {
                _ if bare == Bare::Whole || !own => NoEntry::Lost,
                Fact::Present(File { kind: FileKind::Directory, .. }) => NoEntry::Unshown,
                Fact::Present(File { kind: FileKind::Link(_), .. }) => NoEntry::Lost,
                Fact::Present(_) | Fact::Absent(libc::ENOENT | libc::ENOTDIR) => NoEntry::Absent,
                Fact::Absent(_) => NoEntry::Lost,
            })
        }
        // It may be there.
        _ => None,
    }
}
