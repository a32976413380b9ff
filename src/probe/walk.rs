//! Finds what the patterns of `[mounts]` match: each directory is listed once for all of them, no
//! link is followed, and the names are bounded.
//!
//! A pattern that hides is walked in the tree as it will be inside, where a directory may be a bind
//! of another; one that grants is walked on the host. It reads directories, and decides nothing:
//! [`crate::policy::mounts::glob`] says what becomes of what is found.

use crate::host::globs::{Found, Match, Stop};
use crate::host::parts::Brought;
use crate::language::value::{ancestors, below, join};
use crate::policy::mounts::glob::{MOST_NAMES, dots_of, source_base};
use crate::policy::mounts::kinds::Mount;
use crate::policy::mounts::pattern::{Dots, Pattern, Progress, is_pattern};
use crate::policy::mounts::tree::{Tree, all_bound_at, tree};
use crate::policy::mounts::{MOST_ENTRIES, Mounts};
use crate::text::bytes;
use crate::text::gather::Gather;
use nix::unistd::{AccessFlags, access};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{DirEntry, symlink_metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

/// How many names are kept for the patterns that follow: some 10 MB.
const MOST_KEPT: usize = 100_000;

/// What each pattern matches. Where the profile has none, nothing is read.
pub(super) fn globs(mounts: &Mounts, brought: &Brought, uid: u32) -> BTreeMap<String, Found> {
    within(MOST_NAMES, mounts, brought, uid)
}

/// The same, with so many names to look at for all patterns together.
fn within(
    mut names: usize,
    mounts: &Mounts,
    brought: &Brought,
    uid: u32,
) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    let mut entries = MOST_ENTRIES.saturating_sub(mounts.map.len());
    let mut written = None;
    let is_shared = mounts.iter().filter(|(key, _)| is_pattern(key.value)).nth(1).is_some();
    let mut lists = Lists { room: if is_shared { MOST_KEPT } else { 0 }, kept: BTreeMap::new() };
    for (key, value) in mounts.iter().filter(|(key, _)| is_pattern(key.value)) {
        let Some(dots) = dots_of(&value.value) else { continue };
        let pattern = Pattern::new(key.value);
        let view = match &value.value {
            mount @ (Mount::Bind(_) | Mount::Device(_)) => match source_base(&pattern, mount) {
                Some(source) => View::Host { base: pattern.base.clone(), source },
                None => continue,
            },
            _ => View::Inside(written.get_or_insert_with(|| {
                let mut plain = mounts.clone();
                plain.map.retain(|key, _| !is_pattern(key));
                (tree(&plain, brought), plain)
            })),
        };
        let except = value.value.kind().except();
        let except = except.iter().map(|below| Pattern::beneath(&below.0)).collect();
        let (pattern, lists, found_here) = (&pattern, &mut lists, Found::default());
        let mut walk =
            Walk { pattern, except, dots, view, uid, names, entries, lists, found: found_here };
        walk.found.stop = walk.run().err();
        walk.found.looked_at = names - walk.names;
        (names, entries) = (walk.names, walk.entries);
        found.insert(key.value.to_owned(), walk.found);
    }
    found
}

/// What is behind a path inside.
enum View<'a> {
    /// The directory `source` of the host, for what is below `base`.
    Host { base: String, source: String },
    /// The tree of the profile's other entries: all of them, and those that are written.
    Inside(&'a (Tree, Mounts)),
}

impl View<'_> {
    /// The host's paths behind a path inside, if there are some.
    fn behind(&self, path: &str) -> Vec<String> {
        match self {
            View::Host { base, source } => {
                below(path, base).map(|tail| join(source, tail)).into_iter().collect()
            }
            View::Inside((tree, _)) => all_bound_at(tree, path),
        }
    }

    /// The path of the entry that a path inside lies in.
    fn over<'p>(&'p self, path: &'p str) -> &'p str {
        match self {
            View::Host { base, .. } => base,
            View::Inside((tree, _)) => tree.over(path).0,
        }
    }

    /// The names below a directory that entries alone bring: on the sandbox's own ground nothing
    /// else is there.
    fn entries_in(&self, directory: &str) -> BTreeSet<String> {
        let View::Inside((tree, _)) = self else { return BTreeSet::new() };
        let prefix = join(directory, "/").replace("//", "/");
        let below = tree
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix));
        below
            .filter_map(|path| path[prefix.len()..].split('/').next())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .gather()
    }

    /// Whether the profile itself has an entry at a path.
    fn is_written(&self, path: &str) -> bool {
        matches!(self, View::Inside((_, written)) if written.map.contains_key(path))
    }

    fn is_hidden(&self, path: &str) -> bool {
        matches!(self, View::Inside((tree, _)) if tree.get(path).is_some_and(|node| matches!(node.mount, Mount::Hide(_))))
    }
}

/// The names in directories of the host that a pattern has looked at, for the next.
struct Lists {
    kept: BTreeMap<String, List>,
    /// How many names more may be kept.
    room: usize,
}

type List = Result<Rc<[Name]>, i32>;

/// A name in a directory.
struct Name {
    name: OsString,
    what: What,
}

impl Lists {
    /// The names in a directory, and one more than `most` at most.
    fn list(&mut self, host: &str, most: usize) -> List {
        if let Some(list) = self.kept.get(host) {
            return list.clone();
        }
        let list = read(host, most.saturating_add(1));
        let size = list.as_ref().map_or(1, |names| names.len() + 1);
        // A list that the bound cut short is the last that is searched.
        if let Some(room) = self.room.checked_sub(size) {
            self.room = room;
            self.kept.insert(host.to_owned(), list.clone());
        }
        list
    }
}

fn read(host: &str, most: usize) -> List {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let names = std::fs::read_dir(bytes::path(host)).map_err(errno)?.take(most);
    names
        .map(|entry| {
            let entry = entry.map_err(errno)?;
            Ok(Name { what: what(&entry), name: entry.file_name() })
        })
        .collect()
}

/// How far the names so far have come in a pattern, and in those of what it does not look at.
#[derive(Clone)]
struct Reached {
    progress: Progress,
    except: Vec<Progress>,
}

struct Walk<'a> {
    pattern: &'a Pattern,
    except: Vec<Pattern>,
    dots: Dots,
    view: View<'a>,
    uid: u32,
    /// How many names may still be looked at.
    names: usize,
    /// How many matches there may still be.
    entries: usize,
    lists: &'a mut Lists,
    found: Found,
}

/// What a name is, as far as a walk cares.
enum What {
    Directory,
    Link,
    Other,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        self.check_base()?;
        // Not by recursion: a tree may be as deep as a path is long.
        let except = self.except.iter().map(Pattern::start).collect();
        let start = Reached { progress: self.pattern.start(), except };
        let mut open = vec![(self.pattern.base.clone(), start)];
        while let Some((directory, reached)) = open.pop() {
            let behind = self.view.behind(&directory);
            if behind.is_empty() {
                self.own_ground(&directory, &reached, &mut open)?;
            }
            let mut further = vec![];
            for host in &behind {
                self.list(&directory, host, &reached, &mut further)?;
            }
            // Of several sources more than one may have a name.
            if behind.len() > 1 {
                further.sort_by(|(one, _), (other, _)| one.cmp(other));
                further.dedup_by(|(one, _), (other, _)| one == other);
            }
            open.extend(further);
        }
        Ok(())
    }

    /// What a pattern hides must not depend on a link: a user who can write to the tree could point
    /// it elsewhere.
    fn check_base(&self) -> Result<(), Stop> {
        if self.view.behind(&self.pattern.base).is_empty() {
            return Ok(());
        }
        let over = self.view.over(&self.pattern.base);
        let mut on_the_way: Vec<&str> =
            ancestors(&self.pattern.base).take_while(|directory| *directory != over).collect();
        on_the_way.reverse();
        let is_link =
            |host: &String| symlink_metadata(bytes::path(host)).is_ok_and(|meta| meta.is_symlink());
        for directory in on_the_way {
            if self.view.behind(directory).iter().any(is_link) {
                return Err(Stop::Link(directory.to_owned()));
            }
        }
        Ok(())
    }

    /// The names in a directory of the host.
    fn list(
        &mut self,
        directory: &str,
        host: &str,
        reached: &Reached,
        open: &mut Vec<(String, Reached)>,
    ) -> Result<(), Stop> {
        let names = match self.lists.list(host, self.names) {
            Ok(names) => names,
            Err(errno) => return self.unlisted(directory, host, errno),
        };
        for Name { name, what } in names.iter() {
            self.names = self.names.checked_sub(1).ok_or(Stop::Names)?;
            let Some(next) = self.step(reached, name.as_bytes()) else { continue };
            let path = join(directory, &format!("/{}", bytes::of(name.clone())));
            if self.pattern.accepts(next.progress) && !self.view.is_written(&path) {
                let link = matches!(what, What::Link)
                    .then(|| std::fs::read_link(bytes::path(host).join(name)).ok())
                    .flatten();
                self.take(path, link.map(bytes::of))?;
            } else if !self.view.is_hidden(&path)
                && (matches!(what, What::Directory) || self.view.is_written(&path))
            {
                open.push((path, next));
            }
        }
        Ok(())
    }

    /// What entries bring to a directory that no directory of the host is behind. A name that a
    /// bound `/` implies can be hidden, too.
    fn own_ground(
        &mut self,
        directory: &str,
        reached: &Reached,
        open: &mut Vec<(String, Reached)>,
    ) -> Result<(), Stop> {
        for name in self.view.entries_in(directory) {
            self.names = self.names.checked_sub(1).ok_or(Stop::Names)?;
            let Some(next) = self.step(reached, &bytes::bytes(&name)) else { continue };
            let path = join(directory, &format!("/{name}"));
            let implied = matches!(&self.view, View::Inside((tree, written)) if tree.contains_key(&path) && !written.map.contains_key(&path));
            if self.pattern.accepts(next.progress) && implied {
                self.take(path, None)?;
            } else if !self.view.is_hidden(&path) {
                open.push((path, next));
            }
        }
        Ok(())
    }

    /// After one more name; `None` where nothing can match from there, or is not looked at.
    fn step(&mut self, reached: &Reached, name: &[u8]) -> Option<Reached> {
        let progress = self.pattern.step(reached.progress, name, self.dots);
        if progress.is_dead() {
            return None;
        }
        let except: Vec<Progress> = self
            .except
            .iter()
            .zip(&reached.except)
            .map(|(pattern, progress)| pattern.step(*progress, name, Dots::Matched))
            .collect();
        if self.except.iter().zip(&except).any(|(pattern, progress)| pattern.accepts(*progress)) {
            self.found.excepted += 1;
            return None;
        }
        Some(Reached { progress, except })
    }

    fn take(&mut self, path: String, link: Option<String>) -> Result<(), Stop> {
        self.entries = self.entries.checked_sub(1).ok_or(Stop::Matches)?;
        self.found.matches.push(Match { path, link });
        Ok(())
    }

    /// A directory that is gone, or no directory, has no names. One that the caller can neither
    /// list nor walk hides its names by itself, unless it is the caller's own, whose modes the
    /// target can change; another one would keep what is to be hidden in sight.
    fn unlisted(&mut self, directory: &str, host: &str, errno: i32) -> Result<(), Stop> {
        if matches!(errno, libc::ENOENT | libc::ENOTDIR) {
            return Ok(());
        }
        let closed = || {
            symlink_metadata(host).is_ok_and(|meta| meta.uid() != self.uid)
                && access(&*bytes::path(host), AccessFlags::X_OK).is_err()
        };
        match self.dots {
            Dots::Matched if errno == libc::EACCES && closed() => Ok(()),
            Dots::Matched => Err(Stop::Unreadable(directory.to_owned(), errno)),
            Dots::PassedOver => {
                self.found.unread.get_or_insert((directory.to_owned(), 0)).1 += 1;
                Ok(())
            }
        }
    }
}

fn what(entry: &DirEntry) -> What {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => What::Link,
        Ok(kind) if !kind.is_dir() => What::Other,
        // An unknown kind is searched as a directory.
        Ok(_) | Err(_) => What::Directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::section::Entry;
    use crate::policy::mounts::kinds::{Access, Hide};
    use crate::text::source::{At, Span};

    #[test]
    fn the_bound_on_names_is_one_for_all_patterns() {
        let place = std::env::temp_dir().join(format!("stockade-walk-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        (0..10).for_each(|name| std::fs::write(place.join(name.to_string()), "").unwrap());
        let at = place.to_str().unwrap();
        let mut mounts = Mounts::default();
        let mut put = |key: String, mount: Mount| {
            let value = Some(At::new(mount, Span::NOWHERE));
            mounts.map.insert(key, Entry::new(Span::NOWHERE, value));
        };
        put(at.to_owned(), Mount::here(Access::ReadOnly));
        let patterns = ["1*/", "2*/"].map(|name| format!("{at}/{name}"));
        patterns.iter().for_each(|key| put(key.clone(), Mount::Hide(Hide::PLAIN)));
        let stops = |names| {
            let found = within(names, &mounts, &Brought::default(), 0);
            patterns.clone().map(|key| found[&key].stop.clone())
        };
        let found = [stops(9), stops(19), stops(20)];
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!(found[0], [Some(Stop::Names), Some(Stop::Names)]);
        assert_eq!(found[1], [None, Some(Stop::Names)]);
        assert_eq!(found[2], [None, None]);
    }

    #[test]
    fn a_directory_is_listed_once_where_there_is_room() {
        let place = std::env::temp_dir().join(format!("stockade-lists-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        (0..3).for_each(|name| std::fs::write(place.join(name.to_string()), "").unwrap());
        let at = place.to_str().unwrap();
        let mut lists = Lists { room: 4, kept: BTreeMap::new() };
        let count = |lists: &mut Lists| lists.list(at, 9).map(|names| names.len());
        let first = count(&mut lists);
        std::fs::write(place.join("later"), "").unwrap();
        let seen = [first, count(&mut lists), count(&mut Lists { room: 3, kept: BTreeMap::new() })];
        let cut = Lists { room: 0, kept: BTreeMap::new() }.list(at, 1).map(|names| names.len());
        std::fs::remove_dir_all(&place).unwrap();
        assert_eq!((seen, cut), ([Ok(3), Ok(3), Ok(4)], Ok(2)));
        assert_eq!((lists.list("/absent", 9).err(), lists.room), (Some(libc::ENOENT), 0));
    }
}
