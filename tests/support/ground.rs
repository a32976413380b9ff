//! Where tests of control groups make theirs: below the group of the test in version 1; in version
//! 2 in a group of the test's own, as its own has processes in it. The same tests run on both.

use super::{Place, is_root, skip, system, v1_folder};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const TOP: &str = "/sys/fs/cgroup";

static GROUNDS: AtomicU32 = AtomicU32::new(0);

/// Held while a killed launcher's groups wait for the next run, and while a test looks for such
/// groups: the look is at all of the machine.
pub fn no_other_kills() -> MutexGuard<'static, ()> {
    static KILLS: Mutex<()> = Mutex::new(());
    KILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Ground {
    /// The group that is named by `parent`, where there is one. It is made empty and must be empty
    /// at the end.
    pub parent: Option<PathBuf>,
}

impl Ground {
    /// Where root can make groups with these controllers, under version 1's names; none where this
    /// machine has them in neither version.
    pub fn find(controllers: &[&str]) -> Option<Ground> {
        if !is_root() {
            skip("it needs root");
            return None;
        }
        let missing: Vec<&&str> =
            controllers.iter().filter(|name| v1_folder(name).is_none()).collect();
        if missing.is_empty() {
            return Some(Ground { parent: None });
        }
        let found = Ground::of_version_2(controllers);
        if found.is_none() {
            skip(&format!(
                "this machine lacks {missing:?} in version 1 of control groups, and has not all of \
                 {controllers:?} in version 2"
            ));
        }
        found
    }

    /// The same in version 1 alone, which has what version 2 does not.
    pub fn of_version_1(controllers: &[&str]) -> Option<Ground> {
        let found = Ground::find(controllers)?;
        if found.is_v2() {
            skip(&format!("{controllers:?} are not in version 1 of control groups"));
            return None;
        }
        Some(found)
    }

    fn of_version_2(controllers: &[&str]) -> Option<Ground> {
        let known = std::fs::read_to_string(format!("{TOP}/cgroup.controllers")).ok()?;
        let named =
            controllers.iter().filter(|name| !["cpuacct", "freezer", "devices"].contains(name));
        for name in named.map(|name| if *name == "blkio" { "io" } else { name }) {
            known.split_whitespace().find(|known| *known == name)?;
            std::fs::write(format!("{TOP}/cgroup.subtree_control"), format!("+{name}")).ok()?;
        }
        let name = format!(
            "stockade-test-{}-{}",
            std::process::id(),
            GROUNDS.fetch_add(1, Ordering::Relaxed)
        );
        let parent = Path::new(TOP).join(name);
        std::fs::create_dir(&parent).ok()?;
        Some(Ground { parent: Some(parent) })
    }

    pub fn is_v2(&self) -> bool {
        self.parent.is_some()
    }

    /// The section, with these limits.
    pub fn limits(&self, limits: &str) -> String {
        let parent = self.parent.as_ref().map_or(String::new(), |folder| {
            format!("parent = \"/{}\"\n", folder.strip_prefix(TOP).unwrap().display())
        });
        format!("[limits]\n{limits}\n{parent}")
    }

    pub fn profile(&self, limits: &str, mounts: &str) -> String {
        format!("{}{}", system(mounts), self.limits(limits))
    }

    /// The directory in which groups with a controller are made.
    pub fn folder(&self, controller: &str) -> PathBuf {
        self.parent.clone().unwrap_or_else(|| v1_folder(controller).unwrap())
    }

    /// The group of a launcher, by its process id.
    pub fn group_of(&self, pid: u32, controller: &str) -> Option<PathBuf> {
        Ground::group_in(&self.folder(controller), pid)
    }

    /// The same, in a directory.
    pub fn group_in(folder: &Path, pid: u32) -> Option<PathBuf> {
        let begin = format!("stockade-{pid}-");
        let groups = std::fs::read_dir(folder).ok()?.flatten();
        groups.map(|entry| entry.path()).find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin))
        })
    }

    /// Freezes or thaws a group, and waits until it is done.
    pub fn freeze(&self, group: &Path, frozen: bool) {
        let (file, text) = match (self.is_v2(), frozen) {
            (true, _) => ("cgroup.freeze", if frozen { "1" } else { "0" }),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        };
        let write = || std::fs::write(group.join(file), text).unwrap();
        write();
        let begun = Instant::now();
        let is_so = || match self.is_v2() {
            true => read(group, "cgroup.events")
                .lines()
                .any(|line| line == if frozen { "frozen 1" } else { "frozen 0" }),
            false => read(group, file).trim() == text,
        };
        wait_for(|| {
            // Version 1 counts a parent in vfork(2), whose child is frozen, as one that moves: once
            // more, at another moment.
            if !self.is_v2() && frozen && begun.elapsed() > Duration::from_secs(1) && !is_so() {
                std::fs::write(group.join(file), "THAWED").unwrap();
                std::thread::sleep(Duration::from_millis(20));
                write();
                std::thread::sleep(Duration::from_millis(100));
            }
            is_so().then_some(())
        });
    }

    /// Groups of launchers that are dead.
    pub fn dead_groups(&self) -> Vec<String> {
        let Some(parent) = &self.parent else { return super::dead_groups() };
        let groups = std::fs::read_dir(parent)
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_type().unwrap().is_dir());
        groups.map(|entry| entry.path().display().to_string()).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(parent) = &self.parent {
            let removed = std::fs::remove_dir(parent);
            if !std::thread::panicking() {
                removed.unwrap();
            }
        }
    }
}

/// A file of a group; empty where it is not there.
pub fn read(group: &Path, file: &str) -> String {
    std::fs::read_to_string(group.join(file)).unwrap_or_default()
}

/// Waits until something is there. Machines whose processors are emulated are slow.
pub fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(Instant::now() < until, "it did not come"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A launcher of root's with a profile, which runs a shell line until it is killed.
pub fn spawn(place: &Place, profile: &str, line: &str) -> std::process::Child {
    let path = place.file("profile.toml", profile);
    let mut command = place.stockade(super::As::Root);
    command
        .arg("run")
        .arg(path)
        .args(["/bin/sh", "-c", line])
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends a launcher without asking it.
pub fn kill(mut child: std::process::Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends a launcher as a terminal would.
pub fn end(mut child: std::process::Child) {
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    child.wait().unwrap();
}
