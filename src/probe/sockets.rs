//! Looks for sockets below a directory of the host: breadth first, so that those that are near are
//! found, no link followed, the names and directories bounded, so that a home with many names does
//! not slow a start. A socket that no process has any more is none: connect(2) is refused. It reads
//! directories, and decides nothing.

use crate::host::{Fact, FileKind, Host};
use crate::kernel::name::Name;
use crate::language::value::{below, join};
use crate::policy::landlock::holds_sockets;
use crate::policy::mounts::kinds::Sockets;
use crate::policy::mounts::sockets::{Reach, looked_at};
use crate::policy::mounts::tree::Tree;
use crate::probe::look;
use crate::profile::Profile;
use crate::sys;
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

impl Host {
    /// Looks for sockets below what is bound, but for what grants them: it stops no run, so that
    /// [`Host::read_granted_sockets`] is for `check` and `plan` alone. A rule of Landlock for a
    /// read-only bind keeps from those, where there are such rules.
    pub(super) fn read_sockets(&mut self, profile: &Profile, tree: &Tree, home: &str) {
        self.look_for_sockets(profile, tree, home, |sockets| sockets != Sockets::Allow);
    }

    /// The same below what grants them.
    pub(crate) fn read_granted_sockets(&mut self, profile: &Profile, tree: &Tree) {
        let home = self.caller.home.clone();
        self.look_for_sockets(profile, tree, &home, |sockets| sockets == Sockets::Allow);
    }

    fn look_for_sockets(
        &mut self,
        profile: &Profile,
        tree: &Tree,
        home: &str,
        asked: fn(Sockets) -> bool,
    ) {
        let held = holds_sockets(&profile.landlock, &profile.namespaces.nested, self);
        let looked_at: BTreeMap<String, _> = looked_at(tree, self, held)
            .filter(|(_, sockets, _)| asked(*sockets))
            .map(|(source, _, reach)| (source.to_owned(), reach))
            .gather();
        let mut budget = Budget::new();
        for (source, reach) in looked_at {
            let Some(Fact::Present(file)) = self.paths.get_mut(&source) else { continue };
            if file.kind != FileKind::Directory {
                continue;
            }
            let place = file.real.as_ref().map_or(&source, |(real, _)| real);
            file.sockets = find(place, home, reach, &mut budget);
            let found: Vec<String> =
                file.sockets.iter().map(|socket| join(&source, &format!("/{socket}"))).collect();
            for path in found {
                let fact = look(&path, false, false);
                self.paths.entry(path).or_insert(fact);
            }
        }
    }
}

/// How much may still be looked at in a run.
pub(super) struct Budget {
    names: usize,
    directories: usize,
}

impl Budget {
    /// For all the binds of a profile.
    pub(super) fn new() -> Budget {
        Budget { names: 8 * NAMES, directories: 8 * DIRECTORIES }
    }
}

/// How many names are looked at below one bind.
const NAMES: usize = 2_000;
/// How many directories are opened below one bind: each costs about 10 µs.
const DIRECTORIES: usize = 128;
/// How deep the names are that are looked at: `a/b/c`.
pub(super) const LEVELS: usize = 3;

/// Directories of a home in which programs keep sockets, however deep they are.
const IN_HOME: &[&str] = &[
    ".gnupg",
    ".ssh",
    ".ssh/agent",
    ".1password",
    ".docker/run",
    ".docker/desktop",
    ".colima/default",
    ".local/share/containers/podman/machine",
];
/// The same of the system.
const IN_SYSTEM: &[&str] = &[
    "/var/lib/mysql",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/snap/lxd/common/lxd",
    "/var/spool/postfix/private",
];

/// The sockets below a directory, by their path below it.
pub(super) fn find(place: &str, home: &str, reach: Reach, budget: &mut Budget) -> Vec<String> {
    let (most_names, most_directories) =
        (NAMES.min(budget.names), DIRECTORIES.min(budget.directories));
    let mut search = Search {
        place,
        reach,
        names: most_names,
        directories: most_directories,
        found: vec![],
        next: VecDeque::new(),
    };
    if reach == Reach::Deep {
        let tails = known(place, home).map(|tail| bytes::path(&tail).as_os_str().to_owned());
        search.next.extend(tails.map(|tail| (tail, LEVELS)));
    }
    search.next.push_back((OsString::new(), 1));
    while let Some((directory, level)) = search.next.pop_front().filter(|_| search.names > 0) {
        let Some(left) = search.directories.checked_sub(1) else { break };
        search.directories = left;
        // Once more where it fails: no single failing call leaves a socket uncovered. What fails
        // twice cannot be listed.
        if search.list(&directory, level).is_err() {
            drop(search.list(&directory, level));
        }
    }
    budget.names -= most_names - search.names;
    budget.directories -= most_directories - search.directories;
    search.found.iter().map(bytes::of).collect()
}

/// The directories below a place in which sockets are known to be kept, where they are there and no
/// link leads to them.
fn known(place: &str, home: &str) -> impl Iterator<Item = String> {
    let all = IN_HOME
        .iter()
        .map(move |name| format!("{home}/{name}"))
        .chain(IN_SYSTEM.iter().map(|path| (*path).to_owned()));
    let below =
        all.filter_map(move |known| Some(below(&known, place)?.trim_start_matches('/').to_owned()));
    let is_there = |tail: &String| {
        let path = join(place, &format!("/{tail}"));
        !tail.is_empty()
            && std::fs::canonicalize(bytes::path(&path))
                .is_ok_and(|real| real == *bytes::path(&path))
    };
    let there: Vec<String> = below.filter(is_there).collect();
    there.into_iter()
}

struct Search<'a> {
    place: &'a str,
    reach: Reach,
    names: usize,
    directories: usize,
    found: Vec<OsString>,
    /// The directories that are still to be listed, with their level.
    next: VecDeque<(OsString, usize)>,
}

impl Search<'_> {
    fn list(&mut self, directory: &OsStr, level: usize) -> std::io::Result<()> {
        for entry in std::fs::read_dir(bytes::path(self.place).join(directory))? {
            let entry = entry?;
            let Some(left) = self.names.checked_sub(1) else { break };
            self.names = left;
            let kind = entry.file_type()?;
            let is_open = kind.is_dir() && level < LEVELS && self.reach == Reach::Deep;
            if !is_open && !kind.is_socket() {
                continue;
            }
            let tail = Path::new(directory).join(entry.file_name()).into_os_string();
            if is_open {
                self.next.push_back((tail, level + 1));
            } else if !self.found.contains(&tail) && self.is_bound(&tail) {
                self.found.push(tail);
            }
        }
        Ok(())
    }

    /// Whether there may be a service behind a socket. One whose name does not fit into an address
    /// (unix(7)) counts as such.
    fn is_bound(&self, tail: &OsStr) -> bool {
        let path = bytes::path(self.place).join(tail);
        sys::is_bound(Name::new(&bytes::of(path.as_os_str())).as_c_str())
    }
}
