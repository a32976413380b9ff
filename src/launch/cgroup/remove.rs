//! The end of a group: every process left in it is killed, and it is removed.

use super::wrapped::{Freezer, State};
use super::{Group, Groups, Made, write};
use crate::kernel::controller::{Controller, Version};
use crate::kernel::name::Name;
use crate::sys::{self, Errno};
use crate::text::problem::errno_words;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long, in milliseconds, a group is asked to be empty.
const PATIENCE: u32 = 5_000;
/// How often an error that cannot be is asked again.
const TRIES: u32 = 5;

impl Groups {
    /// Removes every group; gives what is left, which the next run removes.
    pub(crate) fn remove(&mut self) -> Vec<String> {
        let groups = self.entries();
        let mut left = vec![];
        for made in self.made.drain(..) {
            if let Err(Errno(errno)) = remove(&made.path, PATIENCE, || kill_all(&groups)) {
                left.push(format!("{}: {}", made.path, errno_words(errno)));
            }
        }
        // The launcher is in the scope, and with it the scope goes, and all groups in it.
        if let Some(aside) = self.aside.take().filter(|_| self.scope.is_none()) {
            // The controllers go first, as no process may be beside groups that have some.
            let words: Vec<String> =
                aside.switched_on.iter().map(|name| format!("-{name}")).collect();
            sys::regardless(write::text(
                &format!("{}/cgroup.subtree_control", aside.directory),
                &words.join(" "),
            ));
            sys::regardless(write::text(&format!("{}/cgroup.procs", aside.directory), "0"));
            if let Err(Errno(errno)) = remove(&aside.path, PATIENCE, || {}) {
                left.push(format!("{}: {}", aside.path, errno_words(errno)));
            }
        }
        left
    }

    /// Thaws a frozen sandbox so that it can end: version 1 holds back even SIGKILL.
    pub(crate) fn thaw(&self) {
        if let Some(Made { path, .. }) =
            self.with(Controller::Freezer).filter(|made| made.version == Version::V1)
        {
            thaw(path, Version::V1);
        }
    }
}

/// How many groups of the target's own are looked at.
const MOST_INNER: usize = 10_000;

/// A group and those that the target made in it, the deepest first. A target with nested namespaces
/// may own its cgroup, and so make groups in it.
pub(super) fn tree(path: &str) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(path)];
    let mut next = 0;
    while let (Some(directory), true) = (all.get(next), all.len() < MOST_INNER) {
        next += 1;
        // A directory of control groups has a link for each group in it: one look instead of a
        // list, which nearly all would be empty.
        if std::fs::metadata(directory).is_ok_and(|meta| meta.nlink() == 2) {
            continue;
        }
        let inner = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let inner: Vec<PathBuf> = inner
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        all.extend(inner);
    }
    all.reverse();
    all
}

/// rmdir(2) until it is gone. A process that was waited for may still hold its group for a moment.
pub(super) fn remove(path: &str, patience: u32, kill: impl Fn()) -> sys::Result {
    let name = Name::new(path);
    let mut failures = 0;
    for waited in 0..patience {
        match sys::rmdir(name.as_c_str()) {
            Ok(()) | Err(Errno(libc::ENOENT)) => return Ok(()),
            Err(Errno(libc::EBUSY)) if waited > 0 => {
                kill();
                let inner = tree(path);
                // The last is the group itself. A name may be any bytes but NUL.
                let names = inner
                    .iter()
                    .take(inner.len() - 1)
                    .filter_map(|inner| CString::new(inner.as_os_str().as_bytes()).ok());
                names.for_each(|inner| sys::regardless(sys::rmdir(&inner)));
            }
            Err(Errno(libc::EBUSY)) => {}
            Err(errno) => {
                failures += 1;
                if failures == TRIES {
                    return Err(errno);
                }
            }
        }
        sys::regardless(sys::poll([], 1));
    }
    Err(Errno(libc::EBUSY))
}

/// Kills every process in the groups of one sandbox: at once in version 2 (`cgroup.kill`, Linux
/// 5.14), else while frozen, so that none can fork meanwhile.
pub(super) fn kill_all(groups: &[Group]) {
    for Group { path, .. } in groups.iter().filter(|group| group.version == Version::V2) {
        sys::regardless(write::text(&format!("{path}/cgroup.kill"), "1"));
    }
    let freezer =
        groups.iter().find(|group| group.version == Version::V1 && has_freezer(&group.path));
    if let Some(group) = freezer {
        // Whether it froze or not, each round kills whom it finds.
        sys::regardless(Freezer::of(Path::new(&group.path), group.version).freeze());
    }
    for path in groups.iter().flat_map(|group| tree(&group.path)) {
        for pid in
            processes(&path).unwrap_or_default().lines().filter_map(|line| line.parse::<i32>().ok())
        {
            // 0 is a process that has no number here, and kill(2) would take it for our own group.
            if pid > 1 && pid != sys::getpid() {
                sys::regardless(sys::kill(pid, libc::SIGKILL));
            }
        }
    }
    if let Some(group) = freezer {
        thaw(&group.path, group.version);
    }
}

/// The numbers of those in a group, a line each.
pub(super) fn processes(group: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(group.join("cgroup.procs"))
}

fn has_freezer(path: &str) -> bool {
    ["freezer.state", "cgroup.freeze"]
        .iter()
        .any(|file| std::path::Path::new(&format!("{path}/{file}")).exists())
}

/// What freezes the groups of one sandbox.
pub(crate) fn freezer_of(groups: &[Group]) -> Option<Freezer> {
    let group = groups.iter().find(|group| has_freezer(&group.path))?;
    Some(Freezer::of(Path::new(&group.path), group.version))
}

/// Thaws all of them.
pub(crate) fn thaw_all(groups: &[Group]) {
    groups
        .iter()
        .filter(|group| has_freezer(&group.path))
        .for_each(|group| thaw(&group.path, group.version));
}

/// Thaws a group and those in it.
fn thaw(path: &str, version: Version) {
    tree(path).iter().rev().for_each(|path| thaw_one(path, version));
}

/// However often it takes: one that is not thawed is not ended.
fn thaw_one(path: &Path, version: Version) {
    let freezer = Freezer::of(path, version);
    for _ in 0..TRIES {
        if freezer.thaw().is_ok() && freezer.state() == Ok(State::Thawed) {
            return;
        }
    }
}
