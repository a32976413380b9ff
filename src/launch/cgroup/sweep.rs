//! Groups of launchers that are dead: what a SIGKILL of a launcher leaves, the next run removes.

use super::remove::{kill_all, processes, remove, tree};
use super::{ASIDE, PREFIX};
use crate::kernel::controller::Version;
use crate::kernel::name::Name;
use crate::launch::stat;
use crate::sys;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How long, in milliseconds, dead launchers' processes are given to end, and their groups to be
/// empty: a run waits for it.
const PATIENCE: u32 = 1_000;

/// Scopes of systemd's that launchers asked for: each ends with its last process, but one that is
/// frozen may not learn that its launcher is dead.
pub(super) fn scopes(folder: &str) -> Vec<String> {
    names(folder)
        .filter(|name| name.ends_with(".scope"))
        .map(|name| format!("{folder}/{name}"))
        .collect()
}

/// What is in a directory under another launcher's name.
fn names(folder: &str) -> impl Iterator<Item = String> {
    let own = format!("{PREFIX}{}-", sys::getpid());
    let names = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(move |name| name.starts_with(PREFIX) && !name.starts_with(&own))
}

/// Removes the groups of dead launchers in these directories, which have so many groups of ours.
/// What cannot be removed stays for a later run; nothing here is told.
pub(super) fn sweep<'a>(folders: impl Iterator<Item = (&'a str, u64)>) {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (folder, ours) in folders {
        // A directory of control groups has a link for each group in it (kernfs, as other file
        // systems): one look instead of a list.
        if std::fs::metadata(folder).is_ok_and(|meta| meta.nlink() == 2 + ours) {
            continue;
        }
        for name in names(folder) {
            let path = format!("{folder}/{name}");
            found.entry(name).or_default().push(path);
        }
    }
    found.iter().for_each(|(name, paths)| bury(name, paths));
}

/// Ends and removes the groups of one name, where its launcher is dead.
pub(crate) fn bury(name: &str, paths: &[String]) {
    if !is_of_the_dead(name) {
        return;
    }
    let groups: Vec<(Version, String)> =
        paths.iter().map(|path| (version(path), path.clone())).collect();
    // Three proofs: no process with this number began before the group, nobody holds its lock, and
    // what is killed is in it.
    let Some(locks) = lock_all(&groups) else { return };
    if !name.ends_with(ASIDE) {
        end(&groups);
    }
    for (_, path) in &groups {
        sys::regardless(remove(path, PATIENCE, || {}));
    }
    locks.into_iter().for_each(|lock| sys::regardless(sys::close(lock)));
}

fn version(path: &str) -> Version {
    if std::path::Path::new(&format!("{path}/cgroup.type")).exists() {
        Version::V2
    } else {
        Version::V1
    }
}

/// Kills whoever is left, until the groups are empty or it takes too long.
fn end(groups: &[(Version, String)]) {
    for _ in 0..PATIENCE {
        let empty = |path: PathBuf| processes(&path).is_ok_and(|text| text.is_empty());
        if groups.iter().flat_map(|(_, path)| tree(path)).all(empty) {
            return;
        }
        kill_all(groups);
        sys::regardless(sys::poll([-1; 4], 1));
    }
}

/// Whether the launcher that a name tells of is gone: its number is free, or somebody's who came
/// later.
fn is_of_the_dead(name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).unwrap_or("").split('-');
    let (Some(pid), Some(made)) = (parts.next().and_then(number), parts.next().and_then(number))
    else {
        return false;
    };
    match stat::of(pid) {
        // One that nobody has waited for yet holds nothing, and no lock.
        Ok(Some(process)) => process.ended || process.began > made,
        Ok(None) => true,
        Err(_) => false,
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

/// Locks each against others who sweep, or none: a launcher in another pid namespace has a lock of
/// its own on them while it lives.
fn lock_all(groups: &[(Version, String)]) -> Option<Vec<i32>> {
    let mut locks = vec![];
    for (_, path) in groups {
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
        let folder = std::env::temp_dir().join(format!("stockade-lock-{}", sys::getpid()));
        std::fs::create_dir(&folder).unwrap();
        let groups = [(Version::V2, folder.to_str().unwrap().to_owned())];
        let program = "import fcntl, os, sys, time\nfd = os.open(sys.argv[1], \
                       os.O_RDONLY)\nfcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)\n\
                       child = os.fork()\nif child == 0: time.sleep(600)\nprint(child, \
                       flush=True)\nsys.stdin.read()";
        let mut launcher = std::process::Command::new("python3")
            .args(["-c", program])
            .arg(&folder)
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
        // Of two who sweep, one does.
        assert_eq!(lock_all(&groups), None);
        locks.into_iter().for_each(|lock| sys::close(lock).unwrap());
        sys::kill(child, libc::SIGKILL).unwrap();
        std::fs::remove_dir(&folder).unwrap();
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
