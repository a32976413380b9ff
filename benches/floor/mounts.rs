//! The floor's file tree, by the new mount API, and its network interface.

use super::{call, close};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null;

const AT_RECURSIVE: c_int = 0x8000;
/// `OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`.
const CLONE_TREE: c_int = 1 | libc::O_CLOEXEC;
/// `MOVE_MOUNT_F_EMPTY_PATH`.
const FROM_DESCRIPTOR: c_int = 4;
const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEV: u64 = 4;
const NO_EXEC: u64 = 8;

const BINDS: [&CStr; 6] = [c"usr", c"lib", c"lib64", c"bin", c"sbin", c"etc"];
const NODES: [&CStr; 6] = [c"null", c"zero", c"full", c"random", c"urandom", c"tty"];
const LINKS: [(&CStr, &CStr); 5] = [
    (c"dev/fd", c"/proc/self/fd"),
    (c"dev/stdin", c"/proc/self/fd/0"),
    (c"dev/stdout", c"/proc/self/fd/1"),
    (c"dev/stderr", c"/proc/self/fd/2"),
    (c"dev/ptmx", c"pts/ptmx"),
];
const PROC_READ_ONLY: [&CStr; 5] = [c"proc/sys", c"proc/sysrq-trigger", c"proc/irq", c"proc/bus", c"proc/fs"];
const PROC_HIDDEN: [&CStr; 4] = [c"proc/interrupts", c"proc/kcore", c"proc/keys", c"proc/timer_list"];
const PROC_HIDDEN_FOLDERS: [&CStr; 1] = [c"proc/acpi"];
const COVER: &CStr = c".cover";
const COVER_FOLDER: &CStr = c".covers";

/// Builds the tree and makes it the root. All descriptors are closed at the end, by one call.
pub fn build() {
    call!(SYS_mount, null::<c_char>(), c"/".as_ptr(), null::<c_char>(), libc::MS_REC | libc::MS_PRIVATE, null::<c_void>());
    let sources = BINDS.map(Source::open);
    // It covers the old /proc while it is filled; a folder of the old tree must be covered, as a detached tree takes no mounts before Linux 6.15.
    let root = fsmount(c"tmpfs", &[(c"mode", c"0755")], NO_SUID | NO_DEV);
    attach(root, libc::AT_FDCWD, c"/proc");
    for (path, source) in BINDS.iter().zip(sources) {
        source.place(root, path);
    }
    folder(root, c"tmp", 0o1777);
    mount(root, c"tmp", c"tmpfs", &[(c"mode", c"1777"), (c"size", c"64M"), (c"nr_inodes", c"64k")], NO_SUID | NO_DEV | NO_EXEC);
    dev(root);
    proc(root);
    seal(root, c"", libc::AT_EMPTY_PATH);
    pivot(root);
    call!(SYS_close_range, 3u32, u32::MAX, 0u32);
}

/// What a bind becomes: a symbolic link is made again, anything else is bound.
enum Source {
    Link(CString),
    Tree(c_int),
}

impl Source {
    fn open(path: &CStr) -> Source {
        let path: Vec<u8> = [b"/", path.to_bytes_with_nul()].concat();
        let mut text = [0u8; 256];
        // SAFETY: `path` ends in NUL, `text` is valid for writes of its length.
        let length = unsafe { libc::readlink(path.as_ptr().cast(), text.as_mut_ptr().cast(), text.len()) };
        if length > 0 {
            return Source::Link(CString::new(&text[..length as usize]).unwrap_or_default());
        }
        let tree = clone_tree(libc::AT_FDCWD, path.as_ptr().cast(), AT_RECURSIVE);
        set_attributes(tree, c"", READ_ONLY | NO_SUID | NO_DEV, libc::AT_EMPTY_PATH | AT_RECURSIVE);
        Source::Tree(tree)
    }

    fn place(self, root: c_int, path: &CStr) {
        match self {
            Source::Link(text) => link(root, path, &text),
            Source::Tree(tree) => {
                folder(root, path, 0o755);
                attach(tree, root, path);
            }
        }
    }
}

/// The minimal /dev.
fn dev(root: c_int) {
    folder(root, c"dev", 0o755);
    mount(root, c"dev", c"tmpfs", &[(c"mode", c"0755")], NO_SUID | NO_DEV | NO_EXEC);
    for node in NODES {
        let host = CString::new([b"/dev/", node.to_bytes()].concat()).unwrap_or_default();
        let inside = CString::new([b"dev/", node.to_bytes()].concat()).unwrap_or_default();
        file(root, &inside, 0o644);
        let tree = clone_tree(libc::AT_FDCWD, host.as_ptr(), 0);
        set_attributes(tree, c"", NO_SUID | NO_EXEC, libc::AT_EMPTY_PATH);
        attach(tree, root, &inside);
    }
    for (path, text) in LINKS {
        link(root, path, text);
    }
    folder(root, c"dev/pts", 0o755);
    mount(root, c"dev/pts", c"devpts", &[(c"ptmxmode", c"0666"), (c"mode", c"0620")], NO_SUID | NO_EXEC);
    folder(root, c"dev/shm", 0o1777);
    mount(root, c"dev/shm", c"tmpfs", &[(c"mode", c"1777"), (c"size", c"64M")], NO_SUID | NO_DEV | NO_EXEC);
    seal(root, c"dev", 0);
}

/// A new proc, with what steers or tells of the host read-only or covered; not every kernel has all of it.
fn proc(root: c_int) {
    folder(root, c"proc", 0o555);
    mount(root, c"proc", c"proc", &[], NO_SUID | NO_DEV | NO_EXEC);
    for path in PROC_READ_ONLY {
        over(root, path, path);
    }
    file(root, COVER, 0);
    folder(root, COVER_FOLDER, 0o555);
    for path in PROC_HIDDEN {
        over(root, COVER, path);
    }
    for path in PROC_HIDDEN_FOLDERS {
        over(root, COVER_FOLDER, path);
    }
    call!(SYS_unlinkat, root, COVER.as_ptr(), 0);
    call!(SYS_unlinkat, root, COVER_FOLDER.as_ptr(), libc::AT_REMOVEDIR);
}

/// Binds `source` read-only over `path`, both below `root`, where they exist.
fn over(root: c_int, source: &CStr, path: &CStr) {
    // SAFETY: `source` ends in NUL.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, root, source.as_ptr(), CLONE_TREE) } as c_int;
    if tree < 0 {
        return;
    }
    set_attributes(tree, c"", READ_ONLY | NO_SUID | NO_DEV | NO_EXEC, libc::AT_EMPTY_PATH);
    // SAFETY: both paths end in NUL. A failure means that nothing is there to be covered.
    unsafe { libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), root, path.as_ptr(), FROM_DESCRIPTOR) };
}

/// pivot_root(2) as its page has it for a root without a place for the old one.
fn pivot(root: c_int) {
    call!(SYS_fchdir, root);
    call!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr());
    call!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH);
    call!(SYS_chdir, c"/".as_ptr());
}

fn folder(root: c_int, path: &CStr, mode: u32) {
    call!(SYS_mkdirat, root, path.as_ptr(), mode);
}

fn file(root: c_int, path: &CStr, mode: u32) {
    call!(SYS_mknodat, root, path.as_ptr(), libc::S_IFREG | mode, 0);
}

fn link(root: c_int, path: &CStr, text: &CStr) {
    call!(SYS_symlinkat, text.as_ptr(), root, path.as_ptr());
}

fn clone_tree(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    call!(SYS_open_tree, folder, path, CLONE_TREE | flags) as c_int
}

fn set_attributes(folder: c_int, path: &CStr, set: u64, flags: c_int) {
    // struct mount_attr: set, clear, propagation, userns_fd.
    let attributes = [set, 0, 0, 0];
    call!(SYS_mount_setattr, folder, path.as_ptr(), flags, attributes.as_ptr(), size_of_val(&attributes));
}

/// One mount alone becomes read-only.
fn seal(root: c_int, path: &CStr, flags: c_int) {
    set_attributes(root, path, READ_ONLY, flags);
}

fn attach(tree: c_int, folder: c_int, path: &CStr) {
    call!(SYS_move_mount, tree, c"".as_ptr(), folder, path.as_ptr(), FROM_DESCRIPTOR);
}

/// A new file system, mounted nowhere yet.
fn fsmount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) -> c_int {
    let (cloexec, set_string, create) = (1, 1, 6);
    let context = call!(SYS_fsopen, kind.as_ptr(), cloexec) as c_int;
    for (key, value) in options {
        call!(SYS_fsconfig, context, set_string, key.as_ptr(), value.as_ptr(), 0);
    }
    call!(SYS_fsconfig, context, create, null::<c_char>(), null::<c_void>(), 0);
    call!(SYS_fsmount, context, cloexec, attributes) as c_int
}

/// A new file system at `path`.
fn mount(root: c_int, path: &CStr, kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) {
    let tree = fsmount(kind, options, attributes);
    attach(tree, root, path);
}

/// `lo` up (netdevice(7)).
pub fn loopback() {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) as c_int;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    call!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut request);
    close(socket);
}
