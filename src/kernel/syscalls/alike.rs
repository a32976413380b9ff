//! Calls that do the same, so that refusing one of them refuses little: mostly an old one, one that
//! takes a directory, and one that takes flags.

/// Each family, in the order of the alphabet.
#[rustfmt::skip]
pub(crate) const ALIKE: &[&[&str]] = &[
    &["accept", "accept4"],
    &["access", "faccessat", "faccessat2"],
    &["chmod", "fchmod", "fchmodat", "fchmodat2"],
    &["chown", "fchown", "fchownat", "lchown"],
    &["clone", "clone3", "fork", "vfork"],
    &["creat", "open", "openat", "openat2"],
    &["epoll_create", "epoll_create1"],
    &["eventfd", "eventfd2"],
    &["execve", "execveat"],
    &["fremovexattr", "lremovexattr", "removexattr", "removexattrat"],
    &["fsetxattr", "lsetxattr", "setxattr", "setxattrat"],
    &["ftruncate", "truncate"],
    &["futimesat", "utime", "utimensat", "utimes"],
    &["getdents", "getdents64"],
    &["inotify_init", "inotify_init1"],
    &["link", "linkat"],
    &["mkdir", "mkdirat"],
    &["mknod", "mknodat"],
    &["pipe", "pipe2"],
    &["readlink", "readlinkat"],
    &["rename", "renameat", "renameat2"],
    &["rmdir", "unlinkat"],
    &["setgid", "setregid", "setresgid"],
    &["setuid", "setresuid", "setreuid"],
    &["signalfd", "signalfd4"],
    &["symlink", "symlinkat"],
    &["unlink", "unlinkat"],
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::syscalls::find;

    #[test]
    fn every_name_is_a_call() {
        assert!(ALIKE.is_sorted());
        for name in ALIKE.iter().copied().flatten() {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
