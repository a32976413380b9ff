//! The floor's file tree, by the new mount API, and its network interface.

use super::{call, close};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null;

const AT_RECURSIVE: c_int = 0x8000;
/// `OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`.
const CLONE_TREE: c_int = 1 | libc::O_CLOEXEC;
/// `MOVE_MOUNT_F_EMPTY_PATH`.
const FROM_DESCRIPTOR: c_int = 4;
/// `MOVE_MOUNT_T_EMPTY_PATH`.
const INTO_DESCRIPTOR: c_int = 0x40;
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
const PROC_HIDDEN: [&CStr; 2] = [c"proc/interrupts", c"proc/keys"];
const PROC_HIDDEN_FOLDERS: [&CStr; 1] = [c"proc/acpi"];
const COVER: &CStr = c"file";
const COVER_FOLDER: &CStr = c"folder";

/// Builds the tree and makes it the root. All descriptors are closed at the end, by one call.
pub fn build() {
    let sources = BINDS.map(Source::open);
    // It covers the old /proc while it is filled; a directory of the old tree must be covered, as a
    // detached tree takes no mounts before Linux 6.15.
    let context = context(c"tmpfs", &[]);
    let backstage = fsmount(context, NO_SUID | NO_DEV);
    attach(backstage, libc::AT_FDCWD, c"/proc");
    folder(backstage, c"root", 0o755);
    let root = clone_tree(backstage, c"root".as_ptr(), 0);
    attach(root, backstage, c"");
    for (path, source) in BINDS.iter().zip(sources) {
        source.place(root, path);
    }
    folder(root, c"tmp", 0o1777);
    mount(
        root,
        c"tmp",
        c"tmpfs",
        &[(c"size", c"64M"), (c"nr_inodes", c"64k")],
        NO_SUID | NO_DEV | NO_EXEC,
    );
    dev(root);
    proc(root, backstage);
    let (set_flag, reconfigure) = (0, 7);
    call!(SYS_fsconfig, context, set_flag, c"ro".as_ptr(), null::<c_void>(), 0);
    call!(SYS_fsconfig, context, reconfigure, null::<c_char>(), null::<c_void>(), 0);
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
        let length =
            unsafe { libc::readlink(path.as_ptr().cast(), text.as_mut_ptr().cast(), text.len()) };
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
    for node in NODES {
        let host = CString::new([b"/dev/", node.to_bytes()].concat()).unwrap_or_default();
        let inside = CString::new([b"dev/", node.to_bytes()].concat()).unwrap_or_default();
        file(root, &inside, 0o644);
        attach(clone_tree(libc::AT_FDCWD, host.as_ptr(), 0), root, &inside);
    }
    for (path, text) in LINKS {
        link(root, path, text);
    }
    folder(root, c"dev/pts", 0o755);
    mount(root, c"dev/pts", c"devpts", &[(c"ptmxmode", c"0666")], NO_SUID | NO_EXEC);
    folder(root, c"dev/shm", 0o1777);
    mount(
        root,
        c"dev/shm",
        c"tmpfs",
        &[(c"size", c"64M"), (c"nr_inodes", c"64k")],
        NO_SUID | NO_DEV | NO_EXEC,
    );
}

/// A new proc, with what steers or tells of the host read-only or covered; not every kernel has all
/// of it.
fn proc(root: c_int, backstage: c_int) {
    folder(root, c"proc", 0o555);
    mount(root, c"proc", c"proc", &[], NO_SUID | NO_DEV | NO_EXEC);
    let sys = clone_tree(root, c"proc/sys".as_ptr(), 0);
    set_attributes(sys, c"", READ_ONLY, libc::AT_EMPTY_PATH);
    attach(sys, root, c"proc/sys");
    file(backstage, COVER, 0);
    folder(backstage, COVER_FOLDER, 0o555);
    for (cover, paths) in [(COVER, &PROC_HIDDEN[..]), (COVER_FOLDER, &PROC_HIDDEN_FOLDERS)] {
        for path in paths {
            let tree = clone_tree(backstage, cover.as_ptr(), 0);
            // SAFETY: both paths end in NUL. A failure means that nothing is there to be covered.
            unsafe {
                libc::syscall(
                    libc::SYS_move_mount,
                    tree,
                    c"".as_ptr(),
                    root,
                    path.as_ptr(),
                    FROM_DESCRIPTOR,
                )
            };
        }
    }
}

/// pivot_root(2) as its page has it for a root without a place for the old one.
fn pivot(root: c_int) {
    call!(SYS_fchdir, root);
    call!(SYS_pivot_root, c".".as_ptr(), c".".as_ptr());
    call!(SYS_umount2, c".".as_ptr(), libc::MNT_DETACH);
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
    let attributes = [set, 0, libc::MS_PRIVATE, 0];
    call!(
        SYS_mount_setattr,
        folder,
        path.as_ptr(),
        flags,
        attributes.as_ptr(),
        size_of_val(&attributes)
    );
}

fn attach(tree: c_int, folder: c_int, path: &CStr) {
    call!(
        SYS_move_mount,
        tree,
        c"".as_ptr(),
        folder,
        path.as_ptr(),
        FROM_DESCRIPTOR | INTO_DESCRIPTOR
    );
}

/// A file system to be made.
fn context(kind: &CStr, options: &[(&CStr, &CStr)]) -> c_int {
    let (cloexec, set_string) = (1, 1);
    let context = call!(SYS_fsopen, kind.as_ptr(), cloexec) as c_int;
    for (key, value) in options {
        call!(SYS_fsconfig, context, set_string, key.as_ptr(), value.as_ptr(), 0);
    }
    context
}

/// A new file system, mounted nowhere yet.
fn fsmount(context: c_int, attributes: u64) -> c_int {
    let (cloexec, create) = (1, 6);
    call!(SYS_fsconfig, context, create, null::<c_char>(), null::<c_void>(), 0);
    call!(SYS_fsmount, context, cloexec, attributes) as c_int
}

/// A new file system at `path`.
fn mount(root: c_int, path: &CStr, kind: &CStr, options: &[(&CStr, &CStr)], attributes: u64) {
    let tree = fsmount(context(kind, options), attributes);
    attach(tree, root, path);
}

/// `lo` up (netdevice(7)).
pub fn loopback() {
    let socket =
        call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) as c_int;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    call!(SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut request);
    close(socket);
}
