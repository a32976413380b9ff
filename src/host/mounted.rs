//! Where paths of the host lie once mounts are looked through: two names of one directory (a bind mount of the host's, or two binds of a
//! profile) have one place. Read for `seccomp.write-execute = false` alone.

use super::groups::unescape;
use crate::policy::process::{Process, Stdio};
use crate::profile::Profile;
use crate::sys;
use crate::value::{below, join};
use std::os::fd::RawFd;

/// What is mounted, and what the target is given by descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounted {
    /// Every mount of the host.
    pub mounts: Vec<MountPoint>,
    /// Regular files that the target has open for writing.
    pub written: Vec<Written>,
}

/// A mount (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The device of its file system.
    pub device: String,
    /// The directory of that file system which is mounted.
    pub root: String,
    /// Where.
    pub at: String,
}

/// A regular file that is open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The descriptor.
    pub fd: u32,
    /// Its path on the host.
    pub path: String,
    /// Whether it can be read, and so mapped, by this descriptor.
    pub read: bool,
}

/// A part of a file system, and the host's path where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The device of the file system.
    pub device: String,
    /// The path in it.
    pub within: String,
    /// The path of the host.
    pub path: String,
}

impl Spot {
    /// Whether one holds the other.
    pub fn meets(&self, other: &Spot) -> bool {
        self.device == other.device && (below(&self.within, &other.within).is_some() || below(&other.within, &self.within).is_some())
    }
}

impl Mounted {
    /// Reads what a profile needs that says `write-execute = false`.
    pub fn read(profile: &Profile) -> Option<Mounted> {
        profile.seccomp.write_execute.get().filter(|word| !word.value)?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let written = given(&profile.process).filter_map(|fd| written(fd as RawFd)).collect();
        Some(Mounted { mounts: mounts(&table), written })
    }

    /// What a tree of the host is made of: its own place, and those of the mounts below it.
    pub fn spots(&self, path: &str, recursive: bool) -> Vec<Spot> {
        let own = self.mounts.iter().enumerate().filter(|(_, mount)| below(path, &mount.at).is_some());
        // Of several mounts at one place the last one is seen.
        let (device, within) = match own.max_by_key(|(index, mount)| (mount.at.len(), *index)) {
            Some((_, mount)) => (mount.device.clone(), join(&mount.root, below(path, &mount.at).unwrap_or_default())),
            // Without a /proc to read, names are all that is known.
            None => (String::new(), path.to_owned()),
        };
        let own = Spot { device, within, path: path.to_owned() };
        let under = self.mounts.iter().filter(|mount| recursive && mount.at != path && below(&mount.at, path).is_some());
        std::iter::once(own)
            .chain(under.map(|mount| Spot { device: mount.device.clone(), within: mount.root.clone(), path: mount.at.clone() }))
            .collect()
    }
}

/// The descriptors that the target gets.
fn given(process: &Process) -> impl Iterator<Item = u32> {
    let streams = [&process.stdin, &process.stdout, &process.stderr].into_iter().zip(0..);
    let streams = streams.filter(|(key, _)| key.get().is_none_or(|stdio| stdio.value != Stdio::Null)).map(|(_, fd)| fd);
    let passed: Vec<u32> = process.pass_fds.get().map_or(vec![], |fds| fds.iter().map(|fd| fd.value).collect());
    streams.chain(passed).collect::<Vec<u32>>().into_iter()
}

fn written(fd: RawFd) -> Option<Written> {
    let regular = sys::describe(fd).is_ok_and(|file| file.mode & libc::S_IFMT == libc::S_IFREG);
    let access = sys::open_flags(fd).ok()? & libc::O_ACCMODE;
    if !regular || access == libc::O_RDONLY {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(Written { fd: fd as u32, path: path.to_string_lossy().into_owned(), read: access == libc::O_RDWR })
}

fn mounts(table: &str) -> Vec<MountPoint> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (device, root, at) = (fields.next()?, fields.next()?, fields.next()?);
            Some(MountPoint { device: device.to_owned(), root: unescape(root), at: unescape(at) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_folder_meet() {
        let table = "1 0 8:1 / / rw - ext4 d rw\n2 1 8:1 /srv/data /mnt/a\\040b rw - ext4 d rw\n3 1 8:2 / /home rw - ext4 e rw\n";
        let mounted = Mounted { mounts: mounts(table), written: vec![] };
        let meet =
            |one: &str, other: &str| mounted.spots(one, true).iter().any(|spot| mounted.spots(other, true).iter().any(|other| spot.meets(other)));
        assert!(meet("/srv/data", "/mnt/a b") && meet("/srv", "/mnt/a b/x") && meet("/mnt", "/srv/data/y"));
        assert!(meet("/home/me", "/home") && !meet("/home/me", "/srv") && !meet("/srv/other", "/mnt/a b") && !meet("/srv/data2", "/srv/data"));
        // A mount below is a part of the tree, where the mounts below are bound with it.
        assert!(meet("/", "/home/me") && mounted.spots("/", false).len() == 1);
    }
}
