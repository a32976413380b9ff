//! Facts that `check` and `plan` read in addition, and `run` does without: they change no plan. It
//! only reads, and each read is bounded.

use crate::host::keys::Key;
use crate::host::{Fact, FileKind, Host};
use crate::inspect::exposure::keys;
use crate::inspect::lint;
use crate::language::value::{below, join, parent};
use crate::policy::mounts::settle::Settled;
use crate::probe::{look, names_in};
use crate::profile::Profile;
use crate::text::bytes;
use crate::text::gather::Gather;
use nix::unistd::{AccessFlags, access};
use std::collections::{BTreeSet, VecDeque};

impl Host {
    /// What the command finds inside, and what the lints and the exposure ask for.
    pub fn look_closer(&mut self, profile: &Profile, settled: &Settled) {
        self.look_inside(profile, settled);
        self.read_granted_sockets(profile, &settled.tree);
        for path in lint::wanted(settled) {
            let plain = self.is_plain_directory(parent(&path));
            self.paths.entry(path.clone()).or_insert_with(|| look(&path, plain, false));
        }
        for directory in lint::looked_into(settled, self) {
            let names = names_in(&directory);
            self.names.insert(directory, names);
        }
        self.read_keys();
        let mut directories = MOST_DIRECTORIES;
        for source in lint::granted(settled, self) {
            let found = repositories(&source, &mut directories);
            if !found.is_empty() {
                self.repositories.insert(source, found);
            }
        }
    }

    /// The keys of every home: root's runs reach those of all users.
    fn read_keys(&mut self) {
        let homes = homes(&self.caller.home);
        let homes: BTreeSet<&str> = homes.iter().map(String::as_str).gather();
        for path in keys::wanted(homes) {
            if access(&*bytes::path(&path), AccessFlags::R_OK).is_err() {
                continue;
            }
            let Ok(place) = std::fs::canonicalize(bytes::path(&path)).map(bytes::of) else {
                continue;
            };
            self.paths.entry(path.clone()).or_insert_with(|| look(&path, false, false));
            self.keys.push(Key { path, place });
        }
    }
}

/// The homes in passwd(5) that the caller may enter, and the caller's own.
pub(crate) fn homes(own: &str) -> BTreeSet<String> {
    let passwd = bytes::text(&std::fs::read("/etc/passwd").unwrap_or_default());
    let homes = passwd.lines().filter_map(|line| line.split(':').nth(5)).chain([own]);
    let homes = homes.filter(|home| {
        home.starts_with('/') && access(&*bytes::path(home), AccessFlags::X_OK).is_ok()
    });
    homes.map(str::to_owned).gather()
}

/// How many directories are opened for [`repositories`] in all, each about 10 µs.
const MOST_DIRECTORIES: usize = 256;
/// How many names of each are looked at.
const MOST_NAMES: usize = 500;
/// How deep a `.git` is looked for: `a/b/.git`.
const LEVELS: usize = 2;
/// The largest `.git` file that is read: it holds one path (gitrepository-layout(5)).
const LARGEST: u64 = 8192;

/// What git reads below a directory besides its own `.git`: a `.git` one or two levels below, and
/// where a `.git` file leads.
fn repositories(source: &str, directories: &mut usize) -> Vec<String> {
    let mut found = vec![];
    let mut next = VecDeque::from([(String::new(), 0)]);
    while let Some((tail, level)) = next.pop_front() {
        let name =
            |name: &str| if tail.is_empty() { name.to_owned() } else { format!("{tail}/{name}") };
        let git = name(".git");
        match look(&join(source, &format!("/{git}")), false, false) {
            Fact::Present(file) => {
                if file.kind == FileKind::Regular {
                    found.extend(led_to(source, &tail));
                }
                if level > 0 {
                    found.push(git);
                }
            }
            Fact::Absent(_) => {}
        }
        let Some(left) = directories.checked_sub(1).filter(|_| level < LEVELS) else { continue };
        *directories = left;
        let place =
            if tail.is_empty() { source.to_owned() } else { join(source, &format!("/{tail}")) };
        let Ok(entries) = std::fs::read_dir(bytes::path(&place)) else { continue };
        let directories = entries
            .take(MOST_NAMES)
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names =
            directories.map(|entry| bytes::of(entry.file_name())).filter(|name| name != ".git");
        next.extend(names.map(|directory| (name(&directory), level + 1)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Where the `.git` file of a directory leads (gitrepository-layout(5)), where that lies in the
/// grant.
fn led_to(source: &str, tail: &str) -> Option<String> {
    use std::io::Read;
    let directory =
        if tail.is_empty() { source.to_owned() } else { join(source, &format!("/{tail}")) };
    let mut read = vec![];
    let directory = bytes::path(&directory);
    std::fs::File::open(directory.join(".git")).ok()?.take(LARGEST).read_to_end(&mut read).ok()?;
    let text = bytes::text(&read);
    let target = text.lines().next()?.strip_prefix("gitdir:")?.trim();
    let place = std::fs::canonicalize(directory.join(bytes::path(target))).ok()?;
    let source = std::fs::canonicalize(bytes::path(source)).ok()?;
    Some(below(&bytes::of(place), &bytes::of(source))?.trim_start_matches('/').to_owned())
        .filter(|tail| !tail.is_empty())
}
