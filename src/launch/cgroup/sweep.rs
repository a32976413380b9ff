//! Groups of launchers that are dead: what a SIGKILL of a launcher leaves, the next run removes.

use super::remove::{kill_all, processes, remove, tree};
use super::{ASIDE, Group, PREFIX};
use crate::kernel::controller::Version;
use crate::kernel::name::Name;
use crate::launch::stat;
use crate::sys;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How long, in milliseconds, dead launchers' processes are given to end, and their groups to be
/// empty: a run waits for it.
const PATIENCE: u32 = 1_000;

/// Scopes of systemd's that launchers asked for: each ends with its last process, but one that is
/// frozen may not learn that its launcher is dead.
pub(super) fn scopes(directory: &str) -> Vec<String> {
    names(directory)
        .filter(|name| name.ends_with(".scope"))
        .map(|name| format!("{directory}/{name}"))
        .collect()
}

/// Names of other launchers' groups in a directory.
fn names(directory: &str) -> impl Iterator<Item = String> {
    let own = format!("{PREFIX}{}-", sys::getpid());
    let names = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(move |name| name.starts_with(PREFIX) && !name.starts_with(&own))
}

/// The groups of other launchers in these directories, which have so many groups of ours.
pub(super) fn of_others<'a>(directories: impl Iterator<Item = (&'a str, u64)>) -> Vec<Group> {
    let mut found = vec![];
    for (directory, ours) in directories {
        // A directory of control groups has a link for each group in it (kernfs, as other file
        // systems): one look instead of a list.
        if std::fs::metadata(directory).is_ok_and(|meta| meta.nlink() == 2 + ours) {
            continue;
        }
        let mut version = None;
        for name in names(directory) {
            let version = *version.get_or_insert_with(|| version_of(directory));
            found.push(Group { version, path: format!("{directory}/{name}") });
        }
    }
    found
}

/// The version of the hierarchy that a directory is in.
fn version_of(directory: &str) -> Version {
    let in_all_of_v2 = Path::new(directory).join("cgroup.controllers");
    if in_all_of_v2.exists() { Version::V2 } else { Version::V1 }
}

/// Ends what runs in the groups whose launcher is dead, and removes them.
pub(crate) fn reap(groups: Vec<Group>) {
    let mut by_name: BTreeMap<String, Vec<Group>> = BTreeMap::new();
    for group in groups {
        by_name.entry(group.name().to_owned()).or_default().push(group);
    }
    for (name, groups) in by_name.iter().filter(|(name, _)| is_of_the_dead(name)) {
        // Three proofs: no process with this pid began before the group, no process holds its lock,
        // and only processes in it are killed.
        let Some(locks) = lock_all(groups) else { continue };
        if !name.ends_with(ASIDE) {
            end(groups);
        }
        for Group { path, .. } in groups {
            sys::regardless(remove(path, PATIENCE, || {}));
        }
        locks.into_iter().for_each(|lock| sys::regardless(sys::close(lock)));
    }
}

/// Kills every process left, until the groups are empty or it takes too long.
fn end(groups: &[Group]) {
    for _ in 0..PATIENCE {
        let empty = |path: PathBuf| processes(&path).is_ok_and(|text| text.is_empty());
        if groups.iter().flat_map(|group| tree(&group.path)).all(empty) {
            return;
        }
        kill_all(groups);
        sys::regardless(sys::poll([], 1));
    }
}

/// Whether the launcher whose pid is in a name is gone: the pid is free, or a later process has it.
fn is_of_the_dead(name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).unwrap_or("").split('-');
    let (Some(pid), Some(made)) = (parts.next().and_then(number), parts.next().and_then(number))
    else {
        return false;
    };
    match stat::of(pid) {
        // A zombie holds nothing, and no lock.
        Ok(Some(process)) => process.ended || process.began > made,
        Ok(None) => true,
        Err(_) => false,
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

/// Locks each against other launchers that sweep, or none: a launcher in another pid namespace has
/// a lock of its own on them while it lives.
fn lock_all(groups: &[Group]) -> Option<Vec<i32>> {
    let mut locks = vec![];
    for Group { path, .. } in groups {
        let opened = sys::openat(
            libc::AT_FDCWD,
            Name::new(path).as_c_str(),
            libc::O_RDONLY | libc::O_DIRECTORY,
            0,
        );
        locks.extend(opened.ok());
        let free =
            opened.and_then(|dir| sys::lock(dir).and_then(|()| sys::is_locked_by_process(dir)));
        if free != Ok(false) {
            locks.into_iter().for_each(|lock| sys::regardless(sys::close(lock)));
            return None;
        }
    }
    Some(locks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A launcher's lock ends with it, though a child of it has the descriptor.
    #[test]
    fn a_lock_is_a_living_launchers() {
        let directory = std::env::temp_dir().join(format!("stockade-lock-{}", sys::getpid()));
        std::fs::create_dir(&directory).unwrap();
        let groups = [Group { version: Version::V2, path: directory.to_str().unwrap().into() }];
        let program = "import fcntl, os, sys, time\nfd = os.open(sys.argv[1], \
                       os.O_RDONLY)\nfcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)\n\
                       child = os.fork()\nif child == 0: time.sleep(600)\nprint(child, \
                       flush=True)\nsys.stdin.read()";
        let mut launcher = std::process::Command::new("python3")
            .args(["-c", program])
            .arg(&directory)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(launcher.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let child: i32 = line.trim().parse().unwrap();
        assert_eq!(lock_all(&groups), None);
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        let locks = lock_all(&groups).expect("the child has the descriptor, and no lock");
        // Of two that sweep, one does.
        assert_eq!(lock_all(&groups), None);
        locks.into_iter().for_each(|lock| sys::close(lock).unwrap());
        sys::kill(child, libc::SIGKILL).unwrap();
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn only_names_of_dead_launchers_are_of_the_dead() {
        let own = sys::getpid();
        let now = sys::boot_ticks().unwrap();
        assert!(!is_of_the_dead(&format!("stockade-{own}-{now}")));
        // A process that began after the group was made is another one.
        assert!(is_of_the_dead(&format!("stockade-{own}-1")));
        assert!(
            is_of_the_dead("stockade-4194399-1-launcher")
                && !is_of_the_dead("stockade-x")
                && !is_of_the_dead("other")
        );
    }
}
