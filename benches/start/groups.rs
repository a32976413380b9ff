//! The control groups that root gives to the user who measures: one in each hierarchy of the limits
//! job, by the stage's name.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

const TOP: &str = "/sys/fs/cgroup";
/// The controllers of version 1, each with a hierarchy of its own.
const V1: [&str; 3] = ["memory", "pids", "cpu"];
/// The hierarchy of version 2 on a hybrid machine, and the controller that is left to it.
const V2: (&str, &str) = ("unified", "hugetlb");
/// What is to be the user's for processes to be moved about below it (cgroups(7), delegation).
const DELEGATED: [&str; 3] = ["", "cgroup.procs", "cgroup.subtree_control"];

/// Which hierarchies have groups of this name.
pub struct There {
    /// All of version 1.
    pub v1: bool,
    /// That of version 2.
    pub v2: bool,
}

/// Looks for them.
pub fn there(name: &Path) -> There {
    let has = |hierarchy: &str| Path::new(TOP).join(hierarchy).join(name).exists();
    There { v1: V1.into_iter().all(has), v2: has(V2.0) }
}

/// The groups; they are removed with it.
pub struct Given {
    folders: Vec<PathBuf>,
    /// The file by which this process goes back to where it was in version 2.
    back: Option<PathBuf>,
}

impl Given {
    /// Makes them, where the machine has such hierarchies. This process itself enters that of
    /// version 2, as a user may not bring processes in from outside.
    pub fn give(user: u32, name: &str) -> io::Result<Given> {
        let mut given = Given { folders: vec![], back: None };
        if V1.iter().all(|controller| Path::new(TOP).join(controller).join("tasks").exists()) {
            for controller in V1 {
                let folder = given.make(Path::new(TOP).join(controller).join(name))?;
                chown(folder, Some(user), Some(user))?;
            }
        }
        let unified = Path::new(TOP).join(V2.0);
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let enabled =
            fs::read_to_string(unified.join("cgroup.subtree_control")).unwrap_or_default();
        if let Some(own) =
            own.filter(|_| enabled.split_whitespace().any(|controller| controller == V2.1))
        {
            let folder = given.make(unified.join(name))?;
            for file in DELEGATED {
                chown(folder.join(file), Some(user), Some(user))?;
            }
            fs::write(folder.join("cgroup.subtree_control"), format!("+{}", V2.1))?;
            let inside = given.make(folder.join("bench"))?;
            given.back = Some(unified.join(own).join("cgroup.procs"));
            fs::write(inside.join("cgroup.procs"), "0")?;
        }
        Ok(given)
    }

    fn make(&mut self, folder: PathBuf) -> io::Result<PathBuf> {
        fs::create_dir(&folder)?;
        self.folders.push(folder.clone());
        Ok(folder)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let back = self.back.iter().map(|file| (file, fs::write(file, "0")));
        let left = back
            .collect::<Vec<_>>()
            .into_iter()
            .chain(self.folders.iter().rev().map(|folder| (folder, fs::remove_dir(folder))));
        for (path, outcome) in left {
            if let Err(error) = outcome {
                eprintln!("start bench: {} is left: {error}", path.display());
            }
        }
    }
}
