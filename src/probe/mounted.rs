//! Where paths of the host lie once mounts are looked through: two names of one directory (a bind
//! mount of the host's, or two binds of a profile) have one place. Read for
//! `seccomp.write-execute = false` alone.

use crate::host::mounted::{MountPoint, Mounted, Written};
use crate::policy::process::{Process, Stdio};
use crate::probe::groups::unescape;
use crate::profile::Profile;
use crate::sys;
use std::os::fd::RawFd;

impl Mounted {
    /// Reads what a profile needs that says `write-execute = false`.
    pub fn read(profile: &Profile) -> Option<Mounted> {
        profile.seccomp.write_execute.get().filter(|word| !word.value)?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let written = given(&profile.process).filter_map(|fd| written(fd as RawFd)).collect();
        Some(Mounted { mounts: mounts(&table), written })
    }
}

/// The descriptors that the target gets.
fn given(process: &Process) -> impl Iterator<Item = u32> {
    let streams = [&process.stdin, &process.stdout, &process.stderr].into_iter().zip(0..);
    let streams = streams
        .filter(|(key, _)| key.get().is_none_or(|stdio| stdio.value != Stdio::Null))
        .map(|(_, fd)| fd);
    let passed: Vec<u32> =
        process.pass_fds.get().map_or(vec![], |fds| fds.iter().map(|fd| fd.value).collect());
    streams.chain(passed).collect::<Vec<u32>>().into_iter()
}

fn written(fd: RawFd) -> Option<Written> {
    let regular = sys::describe(fd).is_ok_and(|file| file.mode & libc::S_IFMT == libc::S_IFREG);
    let access = sys::open_flags(fd).ok()? & libc::O_ACCMODE;
    if !regular || access == libc::O_RDONLY {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(Written {
        fd: fd as u32,
        path: path.to_string_lossy().into_owned(),
        read: access == libc::O_RDWR,
    })
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
        let table = "1 0 8:1 / / rw - ext4 d rw\n2 1 8:1 /srv/data /mnt/a\\040b rw - ext4 d rw\n3 \
                     1 8:2 / /home rw - ext4 e rw\n";
        let mounted = Mounted { mounts: mounts(table), written: vec![] };
        let meet = |one: &str, other: &str| {
            mounted
                .spots(one, true)
                .iter()
                .any(|spot| mounted.spots(other, true).iter().any(|other| spot.meets(other)))
        };
        assert!(
            meet("/srv/data", "/mnt/a b")
                && meet("/srv", "/mnt/a b/x")
                && meet("/mnt", "/srv/data/y")
        );
        assert!(
            meet("/home/me", "/home")
                && !meet("/home/me", "/srv")
                && !meet("/srv/other", "/mnt/a b")
                && !meet("/srv/data2", "/srv/data")
        );
        // A mount below is a part of the tree, where the mounts below are bound with it.
        assert!(meet("/", "/home/me") && mounted.spots("/", false).len() == 1);
    }
}
