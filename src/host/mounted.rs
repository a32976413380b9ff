//! What is mounted, and which files the target has open for writing.

use crate::language::value::{below, join};

/// What is mounted, and what the target is given by descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Every mount of the host.
    pub mounts: Vec<MountPoint>,
    /// Regular files that the target has open for writing.
    pub written: Vec<Written>,
    /// Why the mounts are not known.
    pub unread: Option<i32>,
}

/// A mount (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The device of its file system.
    pub device: String,
    /// The directory of that file system which is mounted.
    pub root: String,
    pub at: String,
    /// The file system's word.
    pub kind: String,
}

/// A regular file that is open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub fd: u32,
    /// Its path on the host.
    pub path: String,
    /// Whether it can be read, and so mapped, by this descriptor.
    pub read: bool,
}

/// A part of a file system, and the host's path where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The device of the file system.
    pub device: String,
    /// The path in it.
    pub within: String,
    /// The path of the host.
    pub path: String,
}

impl Region {
    /// Whether one holds the other.
    pub fn meets(&self, other: &Region) -> bool {
        self.device == other.device
            && (below(&self.within, &other.within).is_some()
                || below(&other.within, &self.within).is_some())
    }
}

impl Mounted {
    /// What a tree of the host is made of: its own place, and those of the mounts below it.
    pub fn regions(&self, path: &str, recursive: bool) -> Vec<Region> {
        let own =
            self.mounts.iter().enumerate().filter(|(_, mount)| below(path, &mount.at).is_some());
        // Of several mounts at one place the last one is seen.
        let (device, within) = match own.max_by_key(|(index, mount)| (mount.at.len(), *index)) {
            Some((_, mount)) => (
                mount.device.clone(),
                join(&mount.root, below(path, &mount.at).unwrap_or_default()),
            ),
            // Without a /proc to read, names are all that is known.
            None => (String::new(), path.to_owned()),
        };
        let own = Region { device, within, path: path.to_owned() };
        let under = self
            .mounts
            .iter()
            .filter(|mount| recursive && mount.at != path && below(&mount.at, path).is_some());
        std::iter::once(own)
            .chain(under.map(|mount| Region {
                device: mount.device.clone(),
                within: mount.root.clone(),
                path: mount.at.clone(),
            }))
            .collect()
    }
}
