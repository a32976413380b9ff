//! What the caller's descriptors are that the target has.

use crate::host::streams::{Anew, Owner, Socket, Stream, Unix};
use crate::host::{Fact, File};
use crate::sys;
use crate::text::bytes;
use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;

/// The major number of `/dev/null`, `/dev/zero` and so on (null(4)).
const MEMORY_DEVICES: u32 = 1;
/// `/dev/ptmx`, the master side of a terminal (pts(4)).
const PTMX: u64 = libc::makedev(5, 2);

/// Looks at a descriptor of this process.
pub(super) fn look(fd: i32) -> Stream {
    let described = match sys::describe(fd) {
        Ok(described) => described,
        Err(sys::Errno(libc::EBADF)) => return Stream::Closed,
        Err(sys::Errno(errno)) => return Stream::Unknown(errno),
    };
    let kind = described.mode & libc::S_IFMT;
    match kind {
        libc::S_IFDIR => return Stream::Directory,
        libc::S_IFSOCK => return socket(fd),
        // Opened anew, this would be another terminal's.
        libc::S_IFCHR if described.node == PTMX => return Stream::Other,
        libc::S_IFIFO
            if is_nameless(fd)
                && sys::open_flags(fd)
                    .is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY) =>
        {
            return Stream::PipeEnd;
        }
        libc::S_IFREG | libc::S_IFCHR | libc::S_IFBLK => {}
        _ => return Stream::Other,
    }
    let access = match sys::open_flags(fd) {
        Ok(flags) => flags & libc::O_ACCMODE,
        Err(sys::Errno(errno)) => return Stream::Unknown(errno),
    };
    let (read, write) = (access != libc::O_WRONLY, access != libc::O_RDONLY);
    // /dev/null and its kin are no terminals.
    if kind == libc::S_IFCHR && libc::major(described.node) == MEMORY_DEVICES {
        return Stream::File { read, write, owner: Owner::Nobody };
    }
    if kind == libc::S_IFCHR && sys::is_terminal(fd) {
        return Stream::Terminal { read };
    }
    let owner = Owner::User { uid: described.owner, mode: described.mode & 0o777 };
    if described.links == 0 && is_memory(fd) {
        Stream::Memory { write, owner }
    } else {
        Stream::File { read, write, owner }
    }
}

/// The name and the node of the terminal on 0, where that is open for reading and writing: a name
/// gives both to whatever may open it. Only terminals of devpts: the kernel makes a new node for
/// each of them, where `/dev/tty1` is the next user's terminal after a while.
pub(super) fn terminal() -> Option<(String, File)> {
    let name = std::fs::read_link("/proc/self/fd/0").ok()?.to_str()?.to_owned();
    let is_whole = sys::open_flags(0).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDWR);
    let inode = sys::describe(0).ok()?.inode;
    match super::look(&name, false, false) {
        Fact::Present(file)
            if is_whole
                && name.starts_with("/dev/pts/")
                && (file.inode.dev, file.inode.ino) == inode =>
        {
            Some((name, file))
        }
        Fact::Present(_) | Fact::Absent(_) => None,
    }
}

/// Whose a file is that the launcher will open; it looks again then.
pub(super) fn owner(path: &str) -> Option<Owner> {
    let found = std::fs::symlink_metadata(bytes::path(path)).ok()?;
    Some(Owner::User { uid: found.uid(), mode: found.mode() & 0o777 })
}

/// A file of memory has no name in any tree, and its link in /proc says so.
fn is_memory(fd: i32) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|text| text.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"))
}

/// A pipe without a name is in no tree, and its link in /proc says so (proc_pid_fd(5)).
fn is_nameless(fd: i32) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .is_ok_and(|text| text.as_os_str().as_encoded_bytes().starts_with(b"pipe:"))
}

fn socket(fd: i32) -> Stream {
    let option = |name| sys::socket_option(fd, name);
    let read = || {
        let family = option(libc::SO_DOMAIN)?;
        if family == libc::AF_UNIX {
            return Ok(unix(fd)?.map_or(Stream::Other, |unix| Stream::Socket(Socket::Unix(unix))));
        }
        let (kind, protocol) = (option(libc::SO_TYPE)?, option(libc::SO_PROTOCOL)?);
        let internet = matches!(family, libc::AF_INET | libc::AF_INET6);
        Ok(Stream::Socket(match (kind, protocol) {
            (libc::SOCK_STREAM, libc::IPPROTO_TCP) if internet => Socket::Tcp,
            (libc::SOCK_DGRAM, libc::IPPROTO_UDP) if internet => Socket::Udp,
            _ => Socket::Other { family, protocol },
        }))
    };
    read().unwrap_or_else(|sys::Errno(errno)| Stream::Unknown(errno))
}

fn unix(fd: i32) -> sys::Result<Option<Unix>> {
    if sys::socket_option(fd, libc::SO_TYPE)? == libc::SOCK_DGRAM {
        return Ok(Some(if sys::has_address(fd)? { Unix::NamedDatagram } else { Unix::Datagram }));
    }
    // A peer that is gone is still the peer.
    let is_tied = sys::has_peer(fd)? || sys::socket_option(fd, libc::SO_ACCEPTCONN)? == 1;
    Ok((!is_tied).then_some(Unix::Unconnected))
}

/// How the terminal on a descriptor can be opened for writing alone, or why it cannot.
pub(super) fn anew(fd: i32) -> Result<Anew, i32> {
    let can = |by| open_anew(fd, by).and_then(sys::close);
    let Err(sys::Errno(errno)) = can(Anew::Device) else { return Ok(Anew::Device) };
    can(Anew::Controlling).map(|()| Anew::Controlling).map_err(|_| errno)
}

/// Opens the terminal on a descriptor for writing alone. Neither waits for a serial line's carrier,
/// nor makes the terminal that of this session (open(2)).
pub(crate) fn open_anew(fd: i32, by: Anew) -> sys::Result<i32> {
    let open = |path| {
        sys::openat(
            libc::AT_FDCWD,
            path,
            libc::O_WRONLY | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC,
            0,
        )
    };
    match by {
        Anew::Device => {
            let mut path = *b"/proc/self/fd/0\0";
            path[14] += fd as u8;
            open(CStr::from_bytes_with_nul(&path).map_err(|_| sys::Errno(libc::EINVAL))?)
        }
        Anew::Controlling => {
            // A process has one controlling terminal at most, and TIOCGSID knows no other
            // (ioctl_tty(2)): both are the same.
            sys::check_controlling(fd)?;
            let anew = open(c"/dev/tty")?;
            if let Err(errno) = sys::check_controlling(anew) {
                sys::close(anew)?;
                return Err(errno);
            }
            Ok(anew)
        }
    }
}
