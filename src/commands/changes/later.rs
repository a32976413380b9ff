//! Which changes are of what the host runs later: by their names, by links of the host's that lead to
//! them, and by being in a repository.

use crate::host::caller::Caller;
use crate::host::upper::Upper;
use crate::inspect::homes;
use crate::inspect::lint::{REPOSITORY, RUN_LATER, STOCKADE};
use crate::launch::changes::apply::{Half, Planned};
use crate::launch::changes::{Change, Kept, Kind, State};
use crate::text::bytes;
use crate::text::gather::Gather;
use crate::text::paths::{ancestors, below, join};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many directories are looked into for links, besides those above the tree and homes: two
/// levels of the tree, and those in which something changed.
const MOST_NEAR: usize = 256;
const MOST_CHANGED: usize = 10_000;
/// How many names of each are looked at.
const MOST_NAMES: usize = 10_000;
/// How deep a directory of the tree is one of the near ones.
const LEVELS: usize = 2;
/// The kernel follows as many (path_resolution(7)).
const MOST_LINKS: usize = 40;

type Why = &'static str;
/// The names of the table by their first parts.
type Table = BTreeMap<&'static str, Vec<(&'static str, Why)>>;

/// What the host runs later of one tree.
pub(super) struct Later {
    /// The path of the tree.
    tree: String,
    /// Where links lead that have a name of the table, or lie on the way of one: below the tree,
    /// without a `/` before it.
    led_to: BTreeMap<String, Why>,
    /// Directories that are repositories once all is applied.
    repositories: BTreeSet<String>,
}

impl Later {
    /// What becomes of changes.
    pub(super) fn look(kept: &Kept, planned: &Planned) -> Later {
        // What is not applied the host has as it is.
        let after = planned.applied().chain(planned.meanwhile());
        let after = after.map(|change| (bytes::text(&change.path), change.after.is_some()));
        Later::at(&kept.record, &after.gather())
    }

    /// The same of what an apply has left half done; why its end is more than `--yes` agrees to.
    pub(super) fn of_half(kept: &Kept, half: &Half) -> Option<(String, Why)> {
        let places: Vec<String> = half
            .places()
            .into_iter()
            .filter(|place| place.gets)
            .map(|place| bytes::text(&place.path))
            .collect();
        let after = places.iter().map(|path| (path.clone(), true));
        let later = Later::at(&kept.record, &after.gather());
        // What kind of file it is only the tree says.
        places.into_iter().find_map(|path| later.of(&path, true).map(|why| (path, why)))
    }

    /// Looks at the host's tree and at homes, whose links may lead into it. `changed` says of each path
    /// whether something is there after it.
    fn at(record: &Upper, changed: &BTreeMap<String, bool>) -> Later {
        let tree = record.path.as_str();
        let directories: BTreeSet<&str> =
            changed.keys().flat_map(|path| above(path).skip(1)).gather();
        let mut later =
            Later { tree: tree.to_owned(), led_to: BTreeMap::new(), repositories: BTreeSet::new() };
        let is_repository = |directory: &&&str| later.is_repository(directory, changed);
        let repositories = directories.iter().filter(is_repository).map(|d| (*d).to_owned());
        later.repositories = repositories.gather();
        let mut names: Table = BTreeMap::new();
        for (name, why) in RUN_LATER {
            let first = name.split('/').next().unwrap_or(name);
            names.entry(first).or_default().push((name, why));
        }
        let mut places: BTreeSet<String> = homes(&Caller::current().home);
        places.extend(ancestors(tree).map(str::to_owned));
        places.extend(near(tree));
        // The kernel opens no longer path, and all of a deep tree take its square.
        let short = directories.iter().filter(|tail| tail.len() < libc::PATH_MAX as usize);
        places.extend(short.take(MOST_CHANGED).map(|tail| place(tree, tail)));
        places.iter().for_each(|directory| later.look_into(directory, &names));
        let caller = Caller::current();
        let own = [caller.states(), caller.registry(), caller.system_profiles.clone()];
        let own = own.into_iter().chain(caller.user_profiles.clone());
        let read = record.profiles.iter().cloned().chain(own);
        read.for_each(|path| later.note_read(&path));
        later
    }

    /// Takes note of what stockade reads.
    fn note_read(&mut self, path: &str) {
        let real =
            |path: &str| std::fs::canonicalize(bytes::path(path)).map_or(path.into(), bytes::of);
        let tree = real(&self.tree);
        for place in [path.to_owned(), real(path)] {
            if below(&tree, &place).is_some() {
                self.led_to.insert(String::new(), STOCKADE);
            } else if let Some(tail) = below(&place, &tree).or_else(|| below(&place, &self.tree)) {
                self.led_to.insert(tail.trim_start_matches('/').to_owned(), STOCKADE);
            }
        }
    }

    /// Why a program of the host runs what is at a path, or would run what was, without being asked.
    /// What is removed goes back with what it was moved to: to apply the one without the other would
    /// leave neither.
    pub(super) fn why(&self, change: &Change) -> Option<Why> {
        let path = bytes::text(&change.path);
        let is_link = |state: &State| state.kind == Kind::Link;
        let after = change.after.as_ref().and_then(|after| self.of(&path, is_link(after)));
        after.or_else(|| {
            let before = change.before.as_ref().filter(|_| change.removes())?;
            self.of(&path, is_link(before))
                .or_else(|| (before.kind == Kind::Directory).then(|| self.within(&path))?)
        })
    }

    /// The same of what the host has in a directory.
    fn within(&self, path: &str) -> Option<Why> {
        let last =
            |name: &'static str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let names: BTreeSet<String> = RUN_LATER.iter().map(|(name, _)| last(name)).gather();
        let mut next = vec![path.to_owned()];
        while let Some(directory) = next.pop() {
            let Ok(entries) = std::fs::read_dir(bytes::path(&place(&self.tree, &directory))) else {
                continue;
            };
            if self.is_repository(&directory, &BTreeMap::new()) {
                return Some(REPOSITORY);
            }
            for entry in entries.flatten() {
                let name = bytes::of(entry.file_name());
                let (path, kind) = (format!("{directory}/{name}"), entry.file_type().ok());
                let is_asked =
                    names.contains(&name.to_ascii_lowercase()) || self.led_to.contains_key(&path);
                let is_link = kind.is_some_and(|kind| kind.is_symlink());
                if let Some(why) = is_asked.then(|| self.of(&path, is_link)).flatten() {
                    return Some(why);
                }
                if kind.is_some_and(|kind| kind.is_dir()) {
                    next.push(path);
                }
            }
        }
        None
    }

    fn of(&self, path: &str, is_link: bool) -> Option<Why> {
        let named = RUN_LATER.iter().find(|(name, _)| self.is_named(path, name, is_link));
        named.map(|(_, why)| *why).or_else(|| self.led_to(path, is_link)).or_else(|| {
            let is_in = above(path).skip(1).any(|over| self.repositories.contains(over));
            is_in.then_some(REPOSITORY)
        })
    }

    /// Whether a name of the table is a part of a path, wherever that begins; or whether a link is in
    /// the place of what such a name lies in, and leads to another one.
    fn is_named(&self, path: &str, name: &str, is_link: bool) -> bool {
        let all = place(&self.tree, path);
        let split = |path: &str| -> Vec<String> {
            let parts = path.split('/').filter(|part| !part.is_empty());
            // There are directories that compare names without regard to case.
            parts.map(str::to_ascii_lowercase).collect()
        };
        let (parts, name, top) = (split(&all), split(name), split(&self.tree).len());
        // It ends below the top: what the top itself lies in was there before.
        let ends = |begin: usize| begin + name.len() > top;
        parts.windows(name.len()).enumerate().any(|(begin, part)| ends(begin) && part == name)
            // All of it lies in the top, or the top in it.
            || parts[..top].windows(name.len()).any(|part| part == name)
            || is_link && (1..name.len()).any(|count| parts.ends_with(&name[..count]))
    }

    fn led_to(&self, path: &str, is_link: bool) -> Option<Why> {
        let at = above(path).find_map(|over| self.led_to.get(over));
        let under = format!("{path}/");
        let below = || {
            let mut below = self.led_to.range(under.clone()..);
            below
                .next()
                .filter(|(place, _)| is_link && place.starts_with(&under))
                .map(|(_, why)| why)
        };
        at.or_else(below).copied()
    }

    /// Whether git takes a directory for a repository (`is_git_directory` of its setup.c): it has
    /// HEAD, objects and refs, or says with `commondir` where the last two are. Git looks no further
    /// than at their names either.
    fn is_repository(&self, directory: &str, changed: &BTreeMap<String, bool>) -> bool {
        let has = |name: &str| {
            let path =
                if directory.is_empty() { name.into() } else { format!("{directory}/{name}") };
            changed.get(&path).copied().unwrap_or_else(|| {
                bytes::path(&place(&self.tree, &path)).symlink_metadata().is_ok()
            })
        };
        has("HEAD") && (has("commondir") || has("objects") && has("refs"))
    }

    /// Follows links in a directory that have a name of the table, or lie on the way of one.
    fn look_into(&mut self, directory: &str, table: &Table) {
        let Ok(names) = std::fs::read_dir(bytes::path(directory)) else { return };
        for entry in names.take(MOST_NAMES).flatten() {
            let first = bytes::of(entry.file_name());
            for (name, why) in table.get(&*first).into_iter().flatten() {
                let (links, end) = follow(&join(directory, &format!("/{name}")));
                let Some(last) = links.last() else { continue };
                // The tree may lie in what a link leads to.
                if below(&self.tree, &end).is_some() && below(last, &self.tree).is_none() {
                    self.led_to.insert(String::new(), why);
                }
                for place in links.iter().chain([&end]) {
                    if let Some(tail) = below(place, &self.tree).filter(|tail| !tail.is_empty()) {
                        self.led_to.insert(tail.trim_start_matches('/').to_owned(), why);
                    }
                }
            }
        }
    }
}

/// A path of the host.
fn place(tree: &str, tail: &str) -> String {
    if tail.is_empty() { tree.to_owned() } else { join(tree, &format!("/{tail}")) }
}

/// A path below a top, the directories that it lies in, and the top.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rsplit_once('/') {
        Some((over, _)) => Some(over),
        None => (!path.is_empty()).then_some(""),
    })
}

/// The directories of a tree that are near to its top.
fn near(tree: &str) -> Vec<String> {
    let mut found = vec![];
    let mut next = VecDeque::from([(tree.to_owned(), 0)]);
    while let Some((directory, level)) = next.pop_front().filter(|_| found.len() < MOST_NEAR) {
        if level < LEVELS
            && let Ok(names) = std::fs::read_dir(bytes::path(&directory))
        {
            let names = names.take(MOST_NAMES).flatten();
            let inner = names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let inner =
                inner.map(|entry| join(&directory, &format!("/{}", bytes::of(entry.file_name()))));
            next.extend(inner.map(|inner| (inner, level + 1)));
        }
        found.push(directory);
    }
    found
}

/// Where a path leads, and the links on its way. What is not there is taken for a directory or file:
/// a target could make it.
fn follow(path: &str) -> (Vec<String>, String) {
    let (mut links, mut here) = (vec![], String::new());
    let mut rest: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    while let Some(part) = rest.pop() {
        match &*part {
            "" | "." => {}
            ".." => here.truncate(here.rfind('/').unwrap_or(0)),
            part => {
                let next = format!("{here}/{part}");
                match bytes::path(&next).read_link() {
                    Ok(target) if links.len() < MOST_LINKS => {
                        let target = bytes::of(target);
                        if target.starts_with('/') {
                            here.clear();
                        }
                        rest.extend(target.rsplit('/').map(str::to_owned));
                        links.push(next);
                    }
                    _ => here = next,
                }
            }
        }
    }
    (links, if here.is_empty() { "/".into() } else { here })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_of_a_home_lead_into_a_tree() {
        let top = std::env::temp_dir().join(format!("stockade-later-{}", std::process::id()));
        let [home, tree] = ["home", "tree"].map(|name| bytes::of(top.join(name)));
        std::fs::create_dir_all(format!("{home}/.config")).unwrap();
        std::fs::create_dir_all(format!("{tree}/conf")).unwrap();
        symlink("../tree/loop", format!("{home}/.zshrc")).unwrap();
        symlink("loop", format!("{tree}/loop")).unwrap();
        symlink("../tree/./none/../rc", format!("{home}/.bashrc")).unwrap();
        symlink(format!("{tree}/conf/nvim"), format!("{home}/.config/nvim")).unwrap();
        symlink("../tree", format!("{home}/plain")).unwrap();
        let all = RUN_LATER.iter().map(|(name, why)| (*name, vec![(*name, *why)]));
        let mut table: Table = all.collect();
        table.insert(".config", vec![(".config/nvim", "an editor runs it")]);
        let later = |tree: &str| {
            let (led_to, repositories) = (BTreeMap::new(), BTreeSet::new());
            let mut later = Later { tree: tree.to_owned(), led_to, repositories };
            later.look_into(&home, &table);
            later.led_to.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(later(&tree), ["conf/nvim", "loop", "rc"]);
        // A tree in what a link leads to is that as a whole.
        assert_eq!(later(&format!("{tree}/conf/nvim/lua")), [""]);
        assert_eq!(later("/elsewhere"), [""; 0]);
        std::fs::remove_dir_all(&top).unwrap();
    }
}
