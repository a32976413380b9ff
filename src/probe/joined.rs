//! What is behind the files of namespaces that a profile joins, as the kernel says without anyone
//! entering them (ioctl_nsfs(2)). What is no namespace is not opened.

use crate::host::joined::{Behind, Joined, Joins, UserNamespace};
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::probe::CAP_SYS_ADMIN;
use crate::sys::{self, Errno};
use crate::text::bytes;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// `NSFS_MAGIC` (linux/magic.h).
const NSFS: i64 = 0x6e73_6673;

/// User namespaces are nested 32 deep at most (user_namespaces(7)).
const DEEPEST: usize = 34;

/// The caller, as setns(2) looks at it.
pub(super) fn caller() -> Joins {
    Joins {
        inode: inode("/proc/self/ns/user").unwrap_or(0),
        is_admin: sys::capget().is_ok_and(|sets| sets.effective & CAP_SYS_ADMIN != 0),
    }
}

fn inode(path: &str) -> Option<u64> {
    std::fs::metadata(bytes::path(path)).ok().map(|meta| meta.ino())
}

/// What is behind a file, up to the caller's own user namespace.
pub(super) fn look(path: &str, own: u64) -> Joined {
    match nix::sys::statfs::statfs(&*bytes::path(path)) {
        Err(errno) => return Joined::Closed(errno as i32),
        Ok(fs) if fs.filesystem_type().0 != NSFS => return Joined::Other,
        Ok(_) => {}
    }
    let opened = sys::openat(
        libc::AT_FDCWD,
        Name::new(path).as_c_str(),
        libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC,
        0,
    );
    let file = match opened.map(sys::owned) {
        Ok(file) => file,
        Err(Errno(errno)) => return Joined::Closed(errno),
    };
    let flag = sys::namespace_flag(file.as_raw_fd()).ok();
    let kind = flag.and_then(|flag| Kind::ALL.into_iter().find(|kind| kind.flag() == flag));
    let chain = match kind {
        Some(Kind::User) => chain(Some(file), own),
        _ => chain(sys::owner_of_namespace(file.as_raw_fd()).ok().map(sys::owned), own),
    };
    // /proc/PID/ns/KIND
    let process = path.rsplit_once("/ns/").map(|(process, _)| process);
    let process = process.filter(|process| process.starts_with("/proc/"));
    let owner_file = process.map(|process| format!("{process}/ns/user")).filter(|file| {
        let owner = chain.first().map(|first| first.inode);
        owner.is_some() && inode(file) == owner
    });
    let setgroups =
        process.map(|process| std::fs::read(bytes::path(&format!("{process}/setgroups"))));
    let groups_denied = owner_file.is_some()
        && setgroups.is_some_and(|text| text.is_ok_and(|text| text.starts_with(b"deny")));
    Joined::Behind(Behind { kind, chain, owner_file, groups_denied })
}

/// A user namespace and those above it, up to the caller's.
fn chain(first: Option<OwnedFd>, own: u64) -> Vec<UserNamespace> {
    let (mut chain, mut next) = (vec![], first);
    while let Some(namespace) = next.take().filter(|_| chain.len() < DEEPEST) {
        let fd = namespace.as_raw_fd();
        let Ok(found) = sys::describe(fd) else { break };
        let inode = found.inode.1;
        chain.push(UserNamespace { inode, owner: sys::maker_of_user_namespace(fd).ok() });
        if inode != own {
            next = sys::parent_of_namespace(fd).ok().map(sys::owned);
        }
    }
    chain
}
