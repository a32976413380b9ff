//! Where paths of the host lie once mounts are looked through: two names of one directory (a bind
//! mount of the host's, or two binds of a profile) have one place. Read for
//! `seccomp.write-execute = false` and for layers.

use crate::host::mounted::{MountPoint, Mounted, Written};
use crate::language::value::{join, parent};
use crate::probe::groups::unescape;
use crate::probe::trail;
use crate::sys;
use crate::text::bytes;
use crate::tree::walk::Last;
use std::os::fd::RawFd;

impl Mounted {
    /// Reads what is mounted, and which of these descriptors are open for writing; these files will
    /// be.
    pub(super) fn read(fds: &[u32], outputs: &[(u32, String)]) -> Mounted {
        let read = std::fs::read("/proc/self/mountinfo");
        let unread = read.as_ref().err().map(|error| error.raw_os_error().unwrap_or(libc::EIO));
        let table = bytes::text(&read.unwrap_or_default());
        let opened = outputs.iter().map(|(fd, path)| {
            let end = trail::walk(parent(path), Last::Followed).end;
            let name = path.rsplit('/').next().unwrap_or_default();
            Written { fd: *fd, path: join(&end, &format!("/{name}")), read: false }
        });
        let written = fds.iter().filter_map(|fd| written(*fd as RawFd)).chain(opened).collect();
        Mounted { mounts: mounts(&table), written, unread }
    }
}

fn written(fd: RawFd) -> Option<Written> {
    let regular = sys::describe(fd).is_ok_and(|file| file.mode & libc::S_IFMT == libc::S_IFREG);
    let access = sys::open_flags(fd).ok()? & libc::O_ACCMODE;
    if !regular || access == libc::O_RDONLY {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(Written { fd: fd as u32, path: bytes::of(path), read: access == libc::O_RDWR })
}

fn mounts(table: &str) -> Vec<MountPoint> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (device, root, at) = (fields.next()?, fields.next()?, fields.next()?);
            let kind = fields.skip_while(|field| *field != "-").nth(1)?.to_owned();
            let (device, root, at) = (device.to_owned(), unescape(root), unescape(at));
            Some(MountPoint { device, root, at, kind })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_directory_meet() {
        let table = "1 0 8:1 / / rw - ext4 d rw\n2 1 8:1 /srv/data /mnt/a\\040b rw - ext4 d rw\n3 \
                     1 8:2 / /home rw - ext4 e rw\n";
        let mounted = Mounted { mounts: mounts(table), ..Mounted::default() };
        let meet = |one: &str, other: &str| {
            mounted
                .regions(one, true)
                .iter()
                .any(|region| mounted.regions(other, true).iter().any(|other| region.meets(other)))
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
        assert!(meet("/", "/home/me") && mounted.regions("/", false).len() == 1);
    }
}
