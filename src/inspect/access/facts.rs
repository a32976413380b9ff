//! Facts of the host that a question about a path needs and a plan does not: modes, owners and
//! links on the way, and what a program says runs it. It reads and never writes; what it read may
//! change.

use crate::host::FileKind;
use crate::host::privileged::Given;
use crate::host::upper::Written;
use crate::kernel::attrs::Attrs;
use crate::kernel::name::{Inode, Name};
use crate::probe::elf::Program;
use crate::probe::groups::unescape;
use crate::probe::written;
use crate::sys;
use crate::text::bytes;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// A file of the host, by the path that leads to it without a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub kind: FileKind,
    pub inode: Inode,
    /// Its owner on disk.
    pub uid: u32,
    /// Its group on disk.
    pub gid: u32,
    pub mode: u32,
    /// The restrictions of its own mount; a bind keeps them.
    pub attrs: Attrs,
    /// Whether it has an access list (acl(5)), which this model does not read.
    pub list: bool,
}

/// How the model looks at the host. Plain functions and values, so that a test can invent a
/// machine.
#[derive(Debug, Clone)]
pub(crate) struct HostFs {
    /// What is at a path; a final link is not followed.
    pub see: fn(&str) -> Result<Seen, i32>,
    /// What a file is to execve(2).
    pub program: fn(&str) -> Result<Program, i32>,
    /// What a program's file of this mode gives to a user who runs it outside.
    pub given: fn(&str, u32) -> Option<Given>,
    /// Where a path leads on the host, once every link is followed.
    pub real: fn(&str) -> Option<String>,
    /// The names of the directories in one.
    pub directories: fn(&str) -> Vec<String>,
    /// The supplementary groups of the caller.
    pub groups: Vec<u32>,
    /// Where something is mounted on the host.
    pub mounts: Vec<String>,
    /// Whether links in shared sticky directories are followed for their owner alone
    /// (proc_sys_fs(5), `protected_symlinks`).
    pub guarded_links: bool,
    /// The first port that every user may bind in the host's network (ip(7)).
    pub first_free_port: u32,
    /// A setting of the kernel, by its path below /proc/sys.
    pub sysctl: fn(&str) -> Option<i64>,
    /// What a kept upper, by its directory, has at a path below its top.
    pub written: fn(&str, &str) -> Option<Written>,
}

impl HostFs {
    /// This machine.
    pub(crate) fn here() -> HostFs {
        let number = |path: &str| {
            std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok())
        };
        HostFs {
            see,
            program,
            given: crate::probe::given,
            real: |path| std::fs::canonicalize(bytes::path(path)).ok().map(bytes::of),
            directories,
            groups: crate::sys::groups().unwrap_or_default(),
            mounts: mount_points(&bytes::text(
                &std::fs::read("/proc/self/mountinfo").unwrap_or_default(),
            )),
            guarded_links: number("/proc/sys/fs/protected_symlinks").unwrap_or(0) != 0,
            first_free_port: number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
                .unwrap_or(1024),
            sysctl: |name| {
                std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok()
            },
            written: written::look,
        }
    }
}

fn see(path: &str) -> Result<Seen, i32> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let meta = std::fs::symlink_metadata(bytes::path(path)).map_err(errno)?;
    let kind = crate::probe::kind_of(&meta, path)?;
    let link = matches!(kind, FileKind::Link(_));
    let flags = if link {
        FsFlags::empty()
    } else {
        statvfs(&*bytes::path(path)).map_or(FsFlags::empty(), |fs| fs.flags())
    };
    let attrs = Attrs(0)
        .and_if(flags.contains(FsFlags::ST_RDONLY), Attrs::READ_ONLY)
        .and_if(flags.contains(FsFlags::ST_NOEXEC), Attrs::NO_EXEC)
        .and_if(flags.contains(FsFlags::ST_NODEV), Attrs::NO_DEV);
    Ok(Seen {
        list: !link && sys::has_attribute(Name::new(path).as_c_str(), c"system.posix_acl_access"),
        kind,
        inode: Inode { dev: meta.dev(), ino: meta.ino() },
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.permissions().mode() & 0o7777,
        attrs,
    })
}

/// Not more than a text of some lines could name.
fn directories(path: &str) -> Vec<String> {
    const MOST: usize = 10_000;
    let Ok(entries) = std::fs::read_dir(bytes::path(path)) else { return vec![] };
    let entries = entries.flatten().take(MOST);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| bytes::of(entry.file_name())).collect()
}

fn program(path: &str) -> Result<Program, i32> {
    let file = std::fs::File::open(bytes::path(path))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(crate::probe::elf::read(&file))
}

/// The mount points of a mountinfo text (proc_pid_mountinfo(5)): the fifth field, with blanks in
/// octal.
fn mount_points(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(mount_points("1 2 0:1 / /a\\040b rw - tmpfs x rw\n"), ["/a b"]);
    }
}
