//! All of the crate's `unsafe`: one system call per function. Nothing here decides, allocates or
//! formats.
//!
//! What runs between clone and exec calls these alone. A failing call gives its [`Errno`]; no
//! result is thrown away here.
//!
//! It is one file, however long: the fence around what is unsafe has one gate.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A kernel error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What a system call gives.
pub type Result<T = ()> = std::result::Result<T, Errno>;

fn check(value: c_long) -> Result<c_long> {
    if value >= 0 {
        return Ok(value);
    }
    // SAFETY: the location is this thread's errno, always valid.
    Err(Errno(unsafe { *libc::__errno_location() }))
}

fn done(value: c_long) -> Result {
    check(value).map(drop)
}

fn fd(value: c_long) -> Result<RawFd> {
    check(value).map(|fd| fd as RawFd)
}

/// For a call whose failure changes nothing of what follows; each use says why.
pub(crate) fn regardless<T>(_: Result<T>) {}

macro_rules! call {
    ($number:expr $(, $arg:expr)* $(,)?) => {
        // SAFETY: the arguments are integers, or pointers to values that live until the call
        // returns, of the type that the kernel's prototype of this call names; the enclosing
        // function's signature sees to that.
        unsafe { libc::syscall($number $(, $arg)*) }
    };
}

// ---- processes ----

/// `struct clone_args` (clone(2)).
#[repr(C, align(8))]
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct CloneArgs {
    /// `CLONE_*`.
    pub flags: u64,
    /// Where the pidfd goes (`int *`).
    pub pidfd: u64,
    /// Unused here.
    pub child_tid: u64,
    /// Unused here.
    pub parent_tid: u64,
    /// The signal at its end.
    pub exit_signal: u64,
    /// Unused here: a copy of the address space keeps its stack.
    pub stack: u64,
    /// Unused here.
    pub stack_size: u64,
    /// Unused here.
    pub tls: u64,
    /// Unused here.
    pub set_tid: u64,
    /// Unused here.
    pub set_tid_size: u64,
    /// The group of version 2 that the child begins in, by a descriptor of its directory, with
    /// CLONE_INTO_CGROUP.
    pub cgroup: u64,
}

/// `CLONE_INTO_CGROUP` (linux/sched.h, Linux 5.7).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The bits of clone(2)'s flags that are the signal at the child's end. CLONE_NEWTIME is one of
/// them, so clone3(2) alone makes that.
const CSIGNAL: u64 = 0xff;

/// clone3(2) with a copied address space: `Ok(0)` in the child, `Ok(pid)` in the parent, whose
/// `pidfd` is set.
///
/// A filter cannot look at the flags of clone3(2), so those of containers have it absent, or refuse
/// it; clone(2) takes the same flags.
pub(crate) fn clone_process(flags: u64, pidfd: &mut RawFd, group: Option<RawFd>) -> Result<i32> {
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64 | group.map_or(0, |_| CLONE_INTO_CGROUP),
        cgroup: group.map_or(0, |fd| fd as u64),
        pidfd: std::ptr::from_mut(pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // Without CLONE_VM the child gets its own copy of everything; the launcher has one thread, so
    // no lock is held in the copy.
    match check(call!(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>())) {
        Err(Errno(libc::ENOSYS | libc::EPERM)) if group.is_none() && flags & CSIGNAL == 0 => {
            // The pidfd goes to where the third argument leads (CLONE_PIDFD), on every
            // architecture.
            let flags = (args.flags | libc::SIGCHLD as u64) as c_long;
            check(call!(libc::SYS_clone, flags, 0, std::ptr::from_mut(pidfd), 0, 0))
                .map(|pid| pid as i32)
        }
        made => made.map(|pid| pid as i32),
    }
}

/// The memory of a child until it executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The caller's: what the child writes to its data is seen there.
    Shared,
    /// A copy of its own.
    Copied,
}

/// clone(2) with a stack of its own; returns once the child has exec'ed or ended. `run` must end in
/// exec or [`exit`], take no lock and never unwind.
pub(crate) fn spawn<T>(memory: Memory, run: fn(&mut T) -> !, data: &mut T) -> Result<i32> {
    struct Call<'a, T> {
        run: fn(&mut T) -> !,
        data: &'a mut T,
    }
    extern "C" fn enter<T>(call: *mut c_void) -> c_int {
        // SAFETY: the pointer is to the caller's `Call`, which lives and is not touched until this
        // child executes or ends.
        let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
        (call.run)(call.data)
    }
    let mut call = Call { run, data };
    // Untouched, so that it costs nothing but the pages that the child comes to.
    let mut stack = [MaybeUninit::<u8>::uninit(); 64 << 10];
    let top = stack.as_mut_ptr_range().end;
    // The ABIs of x86_64 and aarch64 want a stack pointer that 16 divides.
    let top = top.wrapping_sub(top as usize % 16);
    let shared = if memory == Memory::Shared { libc::CLONE_VM } else { 0 };
    let flags = shared | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `stack` and `call` outlive the child's use of them, because CLONE_VFORK suspends this
    // thread until the child is done.
    done_pid(unsafe { libc::clone(enter::<T>, top.cast(), flags, (&raw mut call).cast()) })
}

fn done_pid(pid: c_int) -> Result<i32> {
    check(pid.into()).map(|pid| pid as i32)
}

/// `_exit(2)`: no destructor, no flush.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Held by a copy of this process that must not come back: a panic would unwind into the program
/// that launches, and run it a second time.
pub(crate) struct NoWayBack;

impl Drop for NoWayBack {
    fn drop(&mut self) {
        exit(125);
    }
}

/// execve(2). Returns only on failure. The arrays end in null.
pub(crate) fn execve(path: &CStr, argv: &[*const c_char], envp: &[*const c_char]) -> Errno {
    // The caller's arrays end in null pointers, which `debug_assert` states.
    debug_assert!(
        argv.last().is_some_and(|last| last.is_null())
            && envp.last().is_some_and(|last| last.is_null())
    );
    match done(call!(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), envp.as_ptr())) {
        Err(errno) => errno,
        Ok(()) => Errno(0),
    }
}

/// Whether execve(2) would take this file: faccessat(2), and where the kernel has it (Linux 6.14)
/// execveat(2) with AT_EXECVE_CHECK, which asks the security modules and executes nothing. An older
/// kernel refuses the flag before it looks at the file.
pub(crate) fn may_execute(path: &CStr) -> Result {
    done(call!(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::X_OK))?;
    let words: [*const c_char; 2] = [path.as_ptr(), std::ptr::null()];
    match done(call!(
        libc::SYS_execveat,
        libc::AT_FDCWD,
        path.as_ptr(),
        words.as_ptr(),
        words[1..].as_ptr(),
        0x1_0000
    )) {
        Err(Errno(libc::EINVAL | libc::ENOSYS)) => Ok(()),
        other => other,
    }
}

/// Whether names can be made in a directory, by its mode and its mount (faccessat2(2)).
pub(crate) fn may_make_in(directory: RawFd) -> Result {
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    let needed = libc::W_OK | libc::X_OK;
    done(call!(libc::SYS_faccessat2, directory, c"".as_ptr(), needed, flags))
}

/// What wait4(2) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waited {
    pub pid: i32,
    /// Its raw status.
    pub status: i32,
}

/// wait4(2) for any child without blocking; `None` when no child has news.
pub(crate) fn wait_any(untraced: bool) -> Result<Option<Waited>> {
    let mut status = 0;
    let flags = libc::WNOHANG | if untraced { libc::WUNTRACED | libc::WCONTINUED } else { 0 };
    let pid =
        check(call!(libc::SYS_wait4, -1, &raw mut status, flags, std::ptr::null_mut::<c_void>()))?;
    Ok((pid > 0).then_some(Waited { pid: pid as i32, status }))
}

/// wait4(2) for one child, blocking.
pub(crate) fn wait_for(pid: i32) -> Result<i32> {
    loop {
        let mut status = 0;
        match check(call!(libc::SYS_wait4, pid, &raw mut status, 0, std::ptr::null_mut::<c_void>()))
        {
            Err(Errno(libc::EINTR)) => {}
            other => return other.map(|_| status),
        }
    }
}

/// What a process and those that it waited for used: wait4(2) reports it at no extra cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Microseconds in programs.
    pub user: u64,
    /// Microseconds in the kernel.
    pub system: u64,
    /// The most memory that one process had, in KiB.
    pub max_rss: u64,
}

/// wait4(2) for one child, blocking, with what it used.
pub(crate) fn wait_with_usage(pid: i32) -> Result<(i32, Usage)> {
    // SAFETY: all zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    loop {
        match check(call!(libc::SYS_wait4, pid, &raw mut status, 0, &raw mut usage)) {
            Err(Errno(libc::EINTR)) => {}
            other => {
                let micros =
                    |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
                let used = Usage {
                    user: micros(usage.ru_utime),
                    system: micros(usage.ru_stime),
                    max_rss: usage.ru_maxrss as u64,
                };
                return other.map(|_| (status, used));
            }
        }
    }
}

/// kill(2).
pub(crate) fn kill(pid: i32, signal: i32) -> Result {
    done(call!(libc::SYS_kill, pid, signal))
}

/// pidfd_send_signal(2).
pub(crate) fn signal_pidfd(pidfd: RawFd, signal: i32) -> Result {
    done(call!(libc::SYS_pidfd_send_signal, pidfd, signal, std::ptr::null::<c_void>(), 0))
}

/// The same with a number beside it, as sigqueue(3) sends it.
pub(crate) fn queue_pidfd(pidfd: RawFd, signal: i32, number: i32) -> Result {
    // siginfo_t of 64-bit machines: signal, errno, code; from byte 16 on the sender's ids, then the
    // number.
    let mut info = [0u32; 32];
    (info[0], info[2], info[6]) = (signal as u32, libc::SI_QUEUE as u32, number as u32);
    done(call!(libc::SYS_pidfd_send_signal, pidfd, signal, info.as_ptr(), 0))
}

/// getpid(2), not cached.
pub(crate) fn getpid() -> i32 {
    call!(libc::SYS_getpid) as i32
}

/// pidfd_open(2) of a process, by the number of its first thread.
pub(crate) fn open_pidfd(pid: i32) -> Result<RawFd> {
    fd(call!(libc::SYS_pidfd_open, pid, 0u32))
}

// ---- descriptors to another process ----

/// A message of one byte and one descriptor (SCM_RIGHTS of unix(7)), all of it at addresses that
/// are known before it is sent.
#[derive(Debug)]
pub(crate) struct FdMessage {
    /// `struct user_msghdr`.
    header: [u64; 7],
    /// `struct iovec`.
    part: [u64; 2],
    /// `struct cmsghdr`, and the descriptor.
    control: [u64; 3],
    text: u64,
}

impl FdMessage {
    /// An empty one. It points at itself, so it stays where it is.
    pub(crate) fn empty() -> Box<FdMessage> {
        Box::new(FdMessage { header: [0; 7], part: [0; 2], control: [0; 3], text: 0 })
    }

    fn point_at_itself(&mut self) {
        self.part = [&raw mut self.text as u64, 1];
        self.header = [
            0,
            0,
            &raw mut self.part as u64,
            1,
            &raw mut self.control as u64,
            size_of::<[u64; 3]>() as u64,
            0,
        ];
    }

    /// The arguments of the call that sends it through a socket.
    pub(crate) fn arguments(&self, socket: RawFd) -> [u64; 3] {
        [socket as u64, &raw const self.header as u64, libc::MSG_NOSIGNAL as u64]
    }

    /// sendmsg(2) of a descriptor.
    pub(crate) fn send(&mut self, socket: RawFd, fd: RawFd) -> Result {
        self.point_at_itself();
        // Length, level and type, then the number.
        self.control = [20, libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32, fd as u64];
        let [_, header, flags] = self.arguments(socket);
        done(call!(libc::SYS_sendmsg, socket, header, flags))
    }

    /// recvmsg(2) of one, close-on-exec; `None` at the end of the file.
    pub(crate) fn receive(&mut self, socket: RawFd) -> Result<Option<RawFd>> {
        self.point_at_itself();
        let [_, header, _] = self.arguments(socket);
        if check(call!(libc::SYS_recvmsg, socket, header, libc::MSG_CMSG_CLOEXEC))? == 0 {
            return Ok(None);
        }
        let [length, what, fd] = self.control;
        let is_descriptor =
            length == 20 && what == libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32;
        if is_descriptor { Ok(Some(fd as u32 as RawFd)) } else { Err(Errno(libc::EBADMSG)) }
    }
}

/// socketpair(2) of stream sockets, close-on-exec.
pub(crate) fn socket_pair() -> Result<(RawFd, RawFd)> {
    let mut ends = [0; 2];
    done(call!(
        libc::SYS_socketpair,
        libc::AF_UNIX,
        libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
        0,
        ends.as_mut_ptr()
    ))?;
    Ok((ends[0], ends[1]))
}

/// How long a read from a socket may wait (SO_RCVTIMEO, socket(7)): then it fails with EAGAIN.
pub(crate) fn limit_wait(socket: RawFd, seconds: u64) -> Result {
    let time = libc::timeval { tv_sec: seconds as libc::time_t, tv_usec: 0 };
    done(call!(
        libc::SYS_setsockopt,
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVTIMEO,
        &raw const time,
        size_of::<libc::timeval>()
    ))
}

// ---- namespaces ----

/// setns(2).
pub(crate) fn setns(fd: RawFd, flag: u64) -> Result {
    done(call!(libc::SYS_setns, fd, flag as c_int))
}

/// unshare(2).
pub(crate) fn unshare(flags: u64) -> Result {
    done(call!(libc::SYS_unshare, flags))
}

/// sethostname(2).
pub(crate) fn sethostname(name: &[u8]) -> Result {
    done(call!(libc::SYS_sethostname, name.as_ptr(), name.len()))
}

/// setdomainname(2).
pub(crate) fn setdomainname(name: &[u8]) -> Result {
    done(call!(libc::SYS_setdomainname, name.as_ptr(), name.len()))
}

/// IFF_UP for `lo` of the present network namespace (netdevice(7)).
pub(crate) fn loopback_up() -> Result {
    let socket =
        fd(call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // The socket goes with all other descriptors before the target runs.
    done(call!(libc::SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw mut request))
}

// ---- sockets ----

/// A stream socket that is connected to a path (unix(7)). It does not block, so that a listener
/// with a full queue is EAGAIN.
pub(crate) fn connect_unix(path: &CStr) -> Result<RawFd> {
    connect_to(path, libc::SOCK_STREAM)
}

/// Whether any process has the socket that is at a path (unix(7)): connect(2) by a datagram socket
/// finds it, and is EPROTOTYPE where it is of another kind, so that no service sees it. A file whose
/// socket is closed is ECONNREFUSED for ever, as bind(2) makes each anew.
pub(crate) fn is_bound(path: &CStr) -> bool {
    match connect_to(path, libc::SOCK_DGRAM) {
        Ok(socket) => {
            regardless(close(socket));
            true
        }
        Err(Errno(errno)) => errno != libc::ECONNREFUSED,
    }
}

fn connect_to(path: &CStr, kind: c_int) -> Result<RawFd> {
    // SAFETY: all zeroes is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let bytes = path.to_bytes_with_nul();
    if bytes.len() > address.sun_path.len() {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as c_char;
    }
    let socket = fd(call!(
        libc::SYS_socket,
        libc::AF_UNIX,
        kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        0
    ))?;
    let connected =
        done(call!(libc::SYS_connect, socket, &raw const address, size_of::<libc::sockaddr_un>()));
    connected.map(|()| socket).inspect_err(|_| regardless(close(socket)))
}

/// SO_PEERCRED: the process that listens at the other end, 0 where it has no number here, and its
/// user.
pub(crate) fn peer(socket: RawFd) -> Result<(i32, u32)> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    done(call!(
        libc::SYS_getsockopt,
        socket,
        libc::SOL_SOCKET,
        libc::SO_PEERCRED,
        &raw mut peer,
        &raw mut length
    ))?;
    Ok((peer.pid, peer.uid))
}

/// send(2), without the signal that a closed end sends.
pub(crate) fn send(socket: RawFd, bytes: &[u8]) -> Result<usize> {
    check(call!(
        libc::SYS_sendto,
        socket,
        bytes.as_ptr(),
        bytes.len(),
        libc::MSG_NOSIGNAL,
        0usize,
        0usize
    ))
    .map(|count| count as usize)
}

// ---- files ----

/// open(2) relative to a directory, or to the working directory with `AT_FDCWD`. Always
/// close-on-exec.
pub(crate) fn openat(dir: RawFd, path: &CStr, flags: c_int, mode: u32) -> Result<RawFd> {
    fd(call!(libc::SYS_openat, dir, path.as_ptr(), flags | libc::O_CLOEXEC, mode))
}

/// openat2(2): below `dir`, following no symbolic link at all.
pub(crate) fn open_below(dir: RawFd, path: &CStr, flags: c_int) -> Result<RawFd> {
    // RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH (openat2(2)).
    open_how(dir, path, flags, 0x02 | 0x04 | 0x08)
}

fn open_how(dir: RawFd, path: &CStr, flags: c_int, resolve: u64) -> Result<RawFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve };
    fd(call!(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size_of::<OpenHow>()))
}

/// openat2(2) from the working directory, following no link before the last name.
pub(crate) fn open_without_links(path: &CStr, flags: c_int) -> Result<RawFd> {
    match open_how(libc::AT_FDCWD, path, flags, 0x04) {
        // Filters cannot see the modes behind its pointer, so those of containers and stockade's
        // own refuse the call.
        Err(Errno(libc::ENOSYS | libc::EPERM)) => walk_without_links(path, flags),
        other => other,
    }
}

/// The same name by name, by openat(2).
fn walk_without_links(path: &CStr, flags: c_int) -> Result<RawFd> {
    let start = if path.to_bytes().starts_with(b"/") { c"/" } else { c"." };
    let mut here = openat(libc::AT_FDCWD, start, libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let mut names =
        path.to_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_none() { flags } else { libc::O_PATH };
        let next = open_name(here, name, flags | libc::O_NOFOLLOW);
        close(here)?;
        here = next?;
        if names.peek().is_some() && describe(here)?.mode & libc::S_IFMT == libc::S_IFLNK {
            close(here)?;
            return Err(Errno(libc::ELOOP));
        }
    }
    Ok(here)
}

/// openat(2) of one name, which is copied for the zero at its end.
fn open_name(dir: RawFd, name: &[u8], flags: c_int) -> Result<RawFd> {
    let mut buffer = [0; libc::NAME_MAX as usize + 1];
    let room = buffer.get_mut(..name.len()).ok_or(Errno(libc::ENAMETOOLONG))?;
    room.copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno(libc::ENAMETOOLONG))?;
    openat(dir, name, flags, 0)
}

/// readlinkat(2) of a descriptor that was opened with O_PATH | O_NOFOLLOW: the text of the link
/// that it is.
pub(crate) fn read_link(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_readlinkat, fd, c"".as_ptr(), buffer.as_mut_ptr(), buffer.len()))
        .map(|count| count as usize)
}

/// What an open descriptor is: mode, device number of a node, and which file (fstat(2)).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    /// `st_mode`.
    pub mode: u32,
    /// `st_rdev`.
    pub node: u64,
    /// `st_dev` and `st_ino`.
    pub inode: (u64, u64),
    /// `st_nlink`.
    pub links: u64,
    /// `st_uid`.
    pub owner: u32,
    /// `st_gid`.
    pub group: u32,
}

/// fstat(2).
pub(crate) fn describe(fd: RawFd) -> Result<Described> {
    // SAFETY: all zeroes is a valid stat.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is valid for writes.
    done(unsafe { libc::fstat(fd, &raw mut stat) }.into())?;
    Ok(Described {
        mode: stat.st_mode,
        node: stat.st_rdev,
        inode: (stat.st_dev, stat.st_ino),
        links: stat.st_nlink as u64,
        owner: stat.st_uid,
        group: stat.st_gid,
    })
}

/// What a name in a directory is (statx(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Looked {
    /// `stx_mode`.
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
    pub size: u64,
    /// `stx_blocks`, of 512 bytes.
    pub blocks: u64,
    /// Major and minor number of a node.
    pub node: (u32, u32),
    /// The file system's number, and the file's in it.
    pub inode: (u64, u64),
    /// `stx_nlink`.
    pub links: u32,
    /// `stx_mnt_id`.
    pub mount: u64,
    /// `stx_ctime`: seconds and nanoseconds.
    pub changed: (i64, u32),
    /// `stx_mtime`.
    pub written: (i64, u32),
    /// Whether it is immutable or append-only (chattr(1)).
    pub sealed: bool,
}

const SEALED: u64 = (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND) as u64;

/// statx(2) of a name in a directory, links not followed; of the descriptor itself where the name
/// is empty.
pub(crate) fn look(dir: RawFd, name: &CStr) -> Result<Looked> {
    // SAFETY: all zeroes is a valid statx.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH;
    let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    done(call!(libc::SYS_statx, dir, name.as_ptr(), flags, mask, &raw mut stat))?;
    let device = |major: u32, minor: u32| u64::from(major) << 32 | u64::from(minor);
    Ok(Looked {
        mode: stat.stx_mode.into(),
        owner: stat.stx_uid,
        group: stat.stx_gid,
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        node: (stat.stx_rdev_major, stat.stx_rdev_minor),
        inode: (device(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
        links: stat.stx_nlink,
        mount: stat.stx_mnt_id,
        changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        written: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        sealed: stat.stx_attributes & SEALED != 0,
    })
}

/// getdents64(2): records of an open directory, as the kernel writes them; 0 at its end.
pub(crate) fn read_directory(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len()))
        .map(|count| count as usize)
}

/// The names in records of a directory (struct linux_dirent64: inode, offset, length, kind, name),
/// each with its kind.
pub(crate) fn records(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], u8)> {
    let next = move || {
        let length = usize::from(u16::from_ne_bytes([*rest.get(16)?, *rest.get(17)?]));
        let (record, more) =
            rest.split_at_checked(length).filter(|(record, _)| record.len() > 19)?;
        rest = more;
        let name = record.get(19..)?.split(|byte| *byte == 0).next().unwrap_or_default();
        Some((name, record[18]))
    };
    std::iter::from_fn(next)
        .filter(|(name, _)| ![&b""[..], b".", b".."].contains(name) && name.len() < 256)
}

/// readlinkat(2) of a name in a directory.
pub(crate) fn read_link_at(dir: RawFd, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_readlinkat, dir, name.as_ptr(), buffer.as_mut_ptr(), buffer.len()))
        .map(|count| count as usize)
}

/// The names of an open file's extended attributes, each with a zero at its end (flistxattr(2)).
pub(crate) fn attribute_names(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_flistxattr, fd, buffer.as_mut_ptr(), buffer.len()))
        .map(|count| count as usize)
}

/// An extended attribute of an open file (fgetxattr(2)); how long it is.
pub(crate) fn attribute_of(fd: RawFd, name: &CStr, value: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_fgetxattr, fd, name.as_ptr(), value.as_mut_ptr(), value.len()))
        .map(|length| length as usize)
}

/// Gives an open file an extended attribute (fsetxattr(2)).
pub(crate) fn set_attribute(fd: RawFd, name: &CStr, value: &[u8]) -> Result {
    done(call!(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), value.len(), 0))
}

/// unlinkat(2) of a name in a directory, or of a directory that is empty.
pub(crate) fn unlink_at(dir: RawFd, name: &CStr, is_directory: bool) -> Result {
    let flags = if is_directory { libc::AT_REMOVEDIR } else { 0 };
    done(call!(libc::SYS_unlinkat, dir, name.as_ptr(), flags))
}

/// renameat2(2).
pub(crate) fn rename_at(from: RawFd, old: &CStr, to: RawFd, new: &CStr, flags: u32) -> Result {
    done(call!(libc::SYS_renameat2, from, old.as_ptr(), to, new.as_ptr(), flags))
}

/// chmod(2) of a name in a directory. It follows a link.
pub(crate) fn chmod_at(directory: RawFd, name: &CStr, mode: u32) -> Result {
    done(call!(libc::SYS_fchmodat, directory, name.as_ptr(), mode))
}

/// chmod(2) of what a descriptor of O_PATH names, by its name in /proc.
pub(crate) fn chmod_held(fd: RawFd, mode: u32) -> Result {
    let mut name = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let (mut left, mut digits) = (fd.max(0), [0; 10]);
    let mut count = 0;
    while count == 0 || left > 0 {
        digits[count] = b'0' + (left % 10) as u8;
        left /= 10;
        count += 1;
    }
    for (place, digit) in name[14..].iter_mut().zip(digits[..count].iter().rev()) {
        *place = *digit;
    }
    done(call!(libc::SYS_fchmodat, libc::AT_FDCWD, name.as_ptr(), mode))
}

/// fsync(2).
pub(crate) fn sync(fd: RawFd) -> Result {
    done(call!(libc::SYS_fsync, fd))
}

/// syncfs(2): all of the file system that a descriptor is of.
pub(crate) fn sync_all_of(fd: RawFd) -> Result {
    done(call!(libc::SYS_syncfs, fd))
}

/// fchownat(2) of what a descriptor of O_PATH names, a link itself among them.
pub(crate) fn own_held(fd: RawFd, owner: u32, group: u32) -> Result {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    done(call!(libc::SYS_fchownat, fd, c"".as_ptr(), owner, group, flags))
}

/// fchownat(2) of a name, a link itself among them.
pub(crate) fn own_at(above: RawFd, name: &CStr, owner: u32, group: u32) -> Result {
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    done(call!(libc::SYS_fchownat, above, name.as_ptr(), owner, group, flags))
}

/// Sets when an open file was last written, in seconds and nanoseconds (utimensat(2)).
pub(crate) fn set_written(fd: RawFd, (seconds, nanoseconds): (i64, u32)) -> Result {
    let times = [[0, libc::UTIME_OMIT], [seconds, i64::from(nanoseconds)]];
    done(call!(libc::SYS_utimensat, fd, std::ptr::null::<c_char>(), times.as_ptr(), 0))
}

/// The same of a name, a link itself among them.
pub(crate) fn set_written_at(
    dir: RawFd,
    name: &CStr,
    (seconds, nanoseconds): (i64, u32),
) -> Result {
    let times = [[0, libc::UTIME_OMIT], [seconds, i64::from(nanoseconds)]];
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    done(call!(libc::SYS_utimensat, dir, name.as_ptr(), times.as_ptr(), flags))
}

/// ioctl_ficlone(2): a file shares the blocks of another, which are copied when one is written.
pub(crate) fn share_blocks(from: RawFd, to: RawFd) -> Result {
    done(call!(libc::SYS_ioctl, to, libc::FICLONE, from))
}

/// fremovexattr(2).
pub(crate) fn remove_attribute_of(fd: RawFd, name: &CStr) -> Result {
    done(call!(libc::SYS_fremovexattr, fd, name.as_ptr()))
}

/// ioctl(2), FS_IOC_GETFLAGS: whether a directory compares names without regard to case
/// (FS_CASEFOLD_FL).
pub(crate) fn folds_case(fd: RawFd) -> bool {
    let mut flags: libc::c_int = 0;
    done(call!(libc::SYS_ioctl, fd, libc::FS_IOC_GETFLAGS, &raw mut flags)).is_ok()
        && flags & 0x4000_0000 != 0
}

/// ftruncate(2).
pub(crate) fn set_length(fd: RawFd, length: u64) -> Result {
    done(call!(libc::SYS_ftruncate, fd, length))
}

/// pwrite(2).
pub(crate) fn write_at(fd: RawFd, bytes: &[u8], offset: u64) -> Result<usize> {
    check(call!(libc::SYS_pwrite64, fd, bytes.as_ptr(), bytes.len(), offset))
        .map(|count| count as usize)
}

/// fsetxattr(2).
pub(crate) fn set_attribute_of(fd: RawFd, name: &CStr, value: &[u8]) -> Result {
    done(call!(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), value.len(), 0))
}

/// lseek(2): a directory from its beginning.
pub(crate) fn rewind(fd: RawFd) -> Result {
    done(call!(libc::SYS_lseek, fd, 0, libc::SEEK_SET))
}

/// pread(2).
pub(crate) fn read_at(fd: RawFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    check(call!(libc::SYS_pread64, fd, buffer.as_mut_ptr(), buffer.len(), offset))
        .map(|count| count as usize)
}

/// lseek(2), SEEK_DATA: where the next bytes of a file begin that are no hole; ENXIO: none do.
pub(crate) fn next_data(fd: RawFd, offset: u64) -> Result<u64> {
    check(call!(libc::SYS_lseek, fd, offset, libc::SEEK_DATA)).map(|offset| offset as u64)
}

/// lseek(2), SEEK_HOLE: where they end.
pub(crate) fn next_hole(fd: RawFd, offset: u64) -> Result<u64> {
    check(call!(libc::SYS_lseek, fd, offset, libc::SEEK_HOLE)).map(|offset| offset as u64)
}

/// An option of a socket that is an `int` (getsockopt(2), SOL_SOCKET).
pub(crate) fn socket_option(fd: RawFd, name: c_int) -> Result<i32> {
    let (mut value, mut size): (i32, libc::socklen_t) = (0, 4);
    done(call!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, name, &raw mut value, &raw mut size))?;
    Ok(value)
}

/// Whether a unix socket has a peer (getpeername(2)).
pub(crate) fn has_peer(fd: RawFd) -> Result<bool> {
    let (mut address, mut size) = (
        MaybeUninit::<libc::sockaddr_un>::uninit(),
        size_of::<libc::sockaddr_un>() as libc::socklen_t,
    );
    match done(call!(libc::SYS_getpeername, fd, address.as_mut_ptr(), &raw mut size)) {
        Err(Errno(libc::ENOTCONN)) => Ok(false),
        result => result.map(|()| true),
    }
}

/// Whether a unix socket has an address: without one, getsockname(2) gives its family alone
/// (unix(7)).
pub(crate) fn has_address(fd: RawFd) -> Result<bool> {
    let (mut address, mut size) = (
        MaybeUninit::<libc::sockaddr_un>::uninit(),
        size_of::<libc::sockaddr_un>() as libc::socklen_t,
    );
    done(call!(libc::SYS_getsockname, fd, address.as_mut_ptr(), &raw mut size))?;
    Ok(size as usize > size_of::<libc::sa_family_t>())
}

/// The flags that a descriptor was opened with (fcntl(2), F_GETFL).
pub(crate) fn open_flags(fd: RawFd) -> Result<i32> {
    check(call!(libc::SYS_fcntl, fd, libc::F_GETFL)).map(|flags| flags as i32)
}

/// Sets the flags of the open file description, as far as they can change (fcntl(2), F_SETFL).
pub(crate) fn set_open_flags(fd: RawFd, flags: i32) -> Result {
    done(call!(libc::SYS_fcntl, fd, libc::F_SETFL, flags))
}

/// Whether a descriptor is a terminal (isatty(3)).
pub(crate) fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: `termios` is valid for writes.
    unsafe { libc::isatty(fd) == 1 }
}

/// How many columns a terminal has (ioctl_tty(2)); none: it is no terminal, or does not say.
pub(crate) fn terminal_width(fd: RawFd) -> Option<u16> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is a winsize and valid for writes.
    let answers = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) == 0 };
    (answers && size.ws_col > 0).then_some(size.ws_col)
}

/// Whether a file has an extended attribute (getxattr(2)). The last link is followed.
pub(crate) fn has_attribute(path: &CStr, name: &CStr) -> bool {
    // SAFETY: both are C strings, and a size of 0 writes nothing.
    unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

/// Whether an attribute of a file is this one byte (getxattr(2)).
pub(crate) fn attribute_is(path: &CStr, name: &CStr, byte: u8) -> bool {
    let mut value = [0u8; 2];
    // SAFETY: both are C strings, and as much is written as there is room for.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    length == 1 && value[0] == byte
}

/// close(2).
pub(crate) fn close(fd: RawFd) -> Result {
    done(call!(libc::SYS_close, fd))
}

/// read(2).
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_read, fd, buffer.as_mut_ptr(), buffer.len())).map(|count| count as usize)
}

/// pread(2) from the beginning: a file of /proc, anew.
pub(crate) fn read_again(fd: RawFd, buffer: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_pread64, fd, buffer.as_mut_ptr(), buffer.len(), 0u64))
        .map(|count| count as usize)
}

/// A file that the kernel writes as it is read (/proc, control groups): to its end, as any read may
/// give less.
pub(crate) fn read_generated(path: &CStr) -> Result<Vec<u8>> {
    read_until(path, |read, _| read == 0)
}

/// A small file, whole, by three calls where std takes seven: a regular one gives less than was
/// asked for at its end alone (read(2)), and one of the kernel's that is a single record gives it
/// whole (seq_file).
pub(crate) fn read_whole(path: &CStr) -> Result<Vec<u8>> {
    read_until(path, |read, asked| read < asked)
}

/// Reads until `is_end` says so of how much was read of how much was asked for.
fn read_until(path: &CStr, is_end: fn(usize, usize) -> bool) -> Result<Vec<u8>> {
    let fd = openat(libc::AT_FDCWD, path, libc::O_RDONLY, 0)?;
    let (mut text, mut length) = (vec![0; 8192], 0);
    let outcome = loop {
        if length == text.len() {
            text.resize(length * 2, 0);
        }
        let asked = text.len() - length;
        match read(fd, &mut text[length..]) {
            Ok(count) => {
                length += count;
                if is_end(count, asked) {
                    break Ok(());
                }
            }
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => break Err(errno),
        }
    };
    close(fd)?;
    outcome?;
    text.truncate(length);
    Ok(text)
}

/// How long an extended attribute of a file is, links not followed (lgetxattr(2)).
pub(crate) fn attribute_length(path: &CStr, name: &CStr) -> Result<usize> {
    check(call!(
        libc::SYS_lgetxattr,
        path.as_ptr(),
        name.as_ptr(),
        std::ptr::null_mut::<c_void>(),
        0usize
    ))
    .map(|length| length as usize)
}

/// An extended attribute of a file, links not followed (lgetxattr(2)); how long it is.
pub(crate) fn attribute(path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize> {
    check(call!(libc::SYS_lgetxattr, path.as_ptr(), name.as_ptr(), value.as_mut_ptr(), value.len()))
        .map(|length| length as usize)
}

/// Asks the allocator to take memory from the kernel in large pieces, so that a launch takes it
/// once (mallopt(3)).
pub(crate) fn take_memory_in_large_pieces() {
    // SAFETY: sets a number of the allocator.
    unsafe { libc::mallopt(libc::M_TOP_PAD, 1 << 20) };
}

/// A signal stack for a thread that has no room left on its own. The kernel needs at most 11 KiB
/// (AT_MINSIGSTKSZ of getauxval(3)).
static mut SIGNAL_STACK: [u8; SIGNAL_STACK_SIZE] = [0; SIGNAL_STACK_SIZE];
const SIGNAL_STACK_SIZE: usize = 32 << 10;

/// Has this process end with `status` where memory or stack is out, instead of by SIGABRT, as the
/// allocator ends it, or by SIGSEGV: a caller would take 128+n for the target's. Handlers go at
/// exec.
pub(crate) fn end_by_status<const STATUS: i32>() {
    extern "C" fn end<const STATUS: i32>(signal: c_int) {
        let why: &[u8] = match signal {
            libc::SIGSEGV => {
                b"stockade: no room for its stack (ulimit -s), or a fault of its own\n"
            }
            _ => b"stockade: no memory (ulimit -v), or a fault of its own: see above\n",
        };
        regardless(write(libc::STDERR_FILENO, why));
        exit(STATUS)
    }
    // SAFETY: the array is the kernel's alone; the handler makes two system calls; all zeroes is a
    // valid sigaction. A call that fails leaves what was.
    unsafe {
        let stack = libc::stack_t {
            ss_sp: (&raw mut SIGNAL_STACK).cast(),
            ss_flags: 0,
            ss_size: SIGNAL_STACK_SIZE,
        };
        libc::sigaltstack(&raw const stack, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = end::<STATUS> as extern "C" fn(c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
        for signal in [libc::SIGABRT, libc::SIGSEGV] {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// write(2).
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    check(call!(libc::SYS_write, fd, bytes.as_ptr(), bytes.len())).map(|count| count as usize)
}

/// write(2) until all is written.
pub(crate) fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => return Err(Errno(libc::EIO)),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes as much as is possible without waiting. Pipes and sockets take RWF_NOWAIT for this write
/// (pwritev2(2)); other files (terminals) are polled just before it.
pub(crate) fn write_at_once(fd: RawFd, bytes: &[u8]) -> Result<usize> {
    let mut polled = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: `polled` is one of them.
    if check(unsafe { libc::poll(&raw mut polled, 1, 0) }.into())? == 0 {
        return Err(Errno(libc::EAGAIN));
    }
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // The file's own position, in both halves of the offset.
    let here = (-1 as c_long, -1 as c_long);
    let at_once =
        call!(libc::SYS_pwritev2, fd, &raw const part, 1usize, here.0, here.1, libc::RWF_NOWAIT);
    match check(at_once) {
        Err(Errno(libc::EOPNOTSUPP)) => write(fd, bytes),
        written => written.map(|count| count as usize),
    }
}

/// mkdirat(2).
pub(crate) fn mkdirat(dir: RawFd, path: &CStr, mode: u32) -> Result {
    done(call!(libc::SYS_mkdirat, dir, path.as_ptr(), mode))
}

/// symlinkat(2).
pub(crate) fn symlinkat(target: &CStr, dir: RawFd, path: &CStr) -> Result {
    done(call!(libc::SYS_symlinkat, target.as_ptr(), dir, path.as_ptr()))
}

/// fchmod(2).
pub(crate) fn fchmod(fd: RawFd, mode: u32) -> Result {
    done(call!(libc::SYS_fchmod, fd, mode))
}

/// fchown(2).
pub(crate) fn fchown(fd: RawFd, owner: u32, group: u32) -> Result {
    done(call!(libc::SYS_fchown, fd, owner, group))
}

/// Whether a file has an access list (acl(5)).
pub(crate) fn has_access_list(fd: RawFd) -> bool {
    let name = c"system.posix_acl_access";
    check(call!(libc::SYS_fgetxattr, fd, name.as_ptr(), std::ptr::null_mut::<u8>(), 0)).is_ok()
}

/// A lock of this process's on a whole file that is open for writing (fcntl(2), F_SETLK). It ends
/// with the process, or when that closes any descriptor of the file.
pub(crate) fn lock_for_process(fd: RawFd) -> Result {
    let lock = WHOLE;
    done(call!(libc::SYS_fcntl, fd, libc::F_SETLK, &raw const lock))
}

/// The process that has such a lock (F_GETLK); 0 where it has no number here.
pub(crate) fn locking_process(fd: RawFd) -> Result<Option<i32>> {
    let mut lock = WHOLE;
    done(call!(libc::SYS_fcntl, fd, libc::F_GETLK, &raw mut lock))?;
    Ok((lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock.l_pid))
}

/// From the first byte to the last.
const WHOLE: libc::flock = libc::flock {
    l_type: libc::F_WRLCK as libc::c_short,
    l_whence: libc::SEEK_SET as libc::c_short,
    l_start: 0,
    l_len: 0,
    l_pid: 0,
};

/// dup3(2) onto a number, without close-on-exec.
pub(crate) fn dup_onto(from: RawFd, to: RawFd) -> Result {
    done(call!(libc::SYS_dup3, from, to, 0))
}

/// A copy with a number of at least `least`, close-on-exec.
pub(crate) fn dup_above(from: RawFd, least: RawFd) -> Result<RawFd> {
    fd(call!(libc::SYS_fcntl, from, libc::F_DUPFD_CLOEXEC, least))
}

/// Whether a descriptor is close-on-exec.
pub(crate) fn closes_on_exec(fd: RawFd) -> Result<bool> {
    check(call!(libc::SYS_fcntl, fd, libc::F_GETFD, 0))
        .map(|flags| flags & c_long::from(libc::FD_CLOEXEC) != 0)
}

/// Takes close-on-exec off.
pub(crate) fn keep_over_exec(fd: RawFd) -> Result {
    done(call!(libc::SYS_fcntl, fd, libc::F_SETFD, 0))
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC.
pub(crate) fn close_on_exec_from(first: u32) -> Result {
    done(call!(libc::SYS_close_range, first, u32::MAX, 4))
}

/// close_range(2).
pub(crate) fn close_from_to(first: u32, last: u32) -> Result {
    done(call!(libc::SYS_close_range, first, last, 0))
}

/// Closes every descriptor but these, which it sorts; a negative number is none.
pub(crate) fn close_all_but(keep: &mut [RawFd]) -> Result {
    keep.sort_unstable();
    let mut next = 0;
    for fd in keep.iter().filter(|fd| **fd >= 0) {
        let fd = *fd as u32;
        if fd > next {
            close_from_to(next, fd - 1)?;
        }
        next = fd + 1;
    }
    close_from_to(next, u32::MAX)
}

/// pipe2(2) with close-on-exec: read end, write end.
pub(crate) fn pipe() -> Result<(RawFd, RawFd)> {
    let mut ends = [0; 2];
    done(call!(libc::SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC))?;
    Ok((ends[0], ends[1]))
}

/// chdir(2).
pub(crate) fn chdir(path: &CStr) -> Result {
    done(call!(libc::SYS_chdir, path.as_ptr()))
}

/// fchdir(2).
pub(crate) fn fchdir(fd: RawFd) -> Result {
    done(call!(libc::SYS_fchdir, fd))
}

/// The first byte of getcwd(2): `/` for a directory below the root; `(unreachable)` begins
/// otherwise (CVE-2024-21626 is such a case in runc).
pub(crate) fn cwd_is_below_root() -> Result<bool> {
    let mut buffer = [0u8; 4096];
    check(call!(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()))?;
    Ok(buffer[0] == b'/')
}

/// umask(2): the one before.
pub(crate) fn umask(mask: u32) -> Result<u32> {
    // The kernel's never fails; that of a filter around the launcher may, and leaves the caller's
    // mask.
    check(call!(libc::SYS_umask, mask)).map(|before| before as u32)
}

// ---- mounts ----

const AT_RECURSIVE: c_int = 0x8000;
const AT_NO_AUTOMOUNT: c_int = 0x800;
const OPEN_TREE_CLONE: c_int = 1;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MS_REC | MS_PRIVATE` on `/`.
pub(crate) fn make_private() -> Result {
    done(call!(
        libc::SYS_mount,
        c"none".as_ptr(),
        c"/".as_ptr(),
        std::ptr::null::<c_char>(),
        libc::MS_REC | libc::MS_PRIVATE,
        std::ptr::null::<c_void>()
    ))
}

/// mknodat(2) of a character device 0:0, which a user namespace may make, as it opens none.
pub(crate) fn make_whiteout(dir: RawFd, path: &CStr) -> Result {
    done(call!(libc::SYS_mknodat, dir, path.as_ptr(), libc::S_IFCHR, 0))
}

/// mount(2) of overlayfs on a directory, by a name in the current one; its mount is opened. What the
/// kernel reads of the options ends with their NUL.
pub(crate) fn mount_overlay(place: &CStr, options: &CStr) -> Result<RawFd> {
    done(call!(
        libc::SYS_mount,
        c"overlay".as_ptr(),
        place.as_ptr(),
        c"overlay".as_ptr(),
        libc::MS_NOSUID | libc::MS_NODEV,
        options.as_ptr()
    ))?;
    openat(libc::AT_FDCWD, place, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

/// umount2(2) with MNT_DETACH.
pub(crate) fn unmount(place: &CStr) -> Result {
    done(call!(libc::SYS_umount2, place.as_ptr(), libc::MNT_DETACH))
}

/// statfs(2) as the kernel fills it; libc keeps the flags to itself.
#[repr(C)]
struct FileSystemState {
    /// Type, size of a block, blocks, free ones, free ones for users, files, free ones.
    counts: [u64; 7],
    id: [i32; 2],
    longest_name: u64,
    fragment: u64,
    /// `ST_*` of statvfs(3), and one that says that they are there.
    flags: u64,
    spare: [u64; 4],
}

fn file_system_state(fd: RawFd) -> Result<FileSystemState> {
    let mut found = std::mem::MaybeUninit::<FileSystemState>::zeroed();
    done(call!(libc::SYS_fstatfs, fd, found.as_mut_ptr()))?;
    // SAFETY: plain integers, all zero or written by the kernel.
    Ok(unsafe { found.assume_init() })
}

/// fstatfs(2): how a mount may be used (`ST_*` of statvfs(3)).
pub(crate) fn mount_flags(fd: RawFd) -> Result<u64> {
    Ok(file_system_state(fd)?.flags)
}

/// fstatfs(2): whether the file system is one of which it is known that a directory has a link for
/// each directory in it: ext4, xfs and tmpfs, by their numbers in linux/magic.h.
pub(crate) fn counts_directories(fd: RawFd) -> Result<bool> {
    let [kind, ..] = file_system_state(fd)?.counts;
    Ok([0xef53, 0x5846_5342, 0x0102_1994].contains(&kind))
}

/// fstatfs(2): how many bytes a file system has room for.
pub(crate) fn capacity(fd: RawFd) -> Result<u64> {
    let [_, block, blocks, ..] = file_system_state(fd)?.counts;
    Ok(blocks.saturating_mul(block))
}

/// fstatfs(2): how many bytes and how many files a file system holds.
pub(crate) fn used(fd: RawFd) -> Result<(u64, u64)> {
    let [_, block, blocks, free, _, files, free_files] = file_system_state(fd)?.counts;
    Ok((blocks.saturating_sub(free).saturating_mul(block), files.saturating_sub(free_files)))
}

/// fstatfs(2): how many blocks and how many files a file system still takes.
pub(crate) fn room(fd: RawFd) -> Result<(u64, u64)> {
    let [_, _, _, free, _, _, free_files] = file_system_state(fd)?.counts;
    Ok((free, free_files))
}

/// open_tree(2) with OPEN_TREE_CLONE; a final symbolic link is not followed. An empty path means
/// `dir` itself.
pub(crate) fn open_tree(dir: RawFd, path: &CStr, recursive: bool) -> Result<RawFd> {
    let flags = OPEN_TREE_CLONE
        | libc::O_CLOEXEC
        | AT_NO_AUTOMOUNT
        | libc::AT_SYMLINK_NOFOLLOW
        | libc::AT_EMPTY_PATH;
    fd(call!(
        libc::SYS_open_tree,
        dir,
        path.as_ptr(),
        flags | if recursive { AT_RECURSIVE } else { 0 }
    ))
}

/// mount_setattr(2) on a mount and all below it, which also leave their peer groups: the clone of a
/// shared mount is shared, so what the sandbox mounts on it would appear on the host, and what the
/// host mounts would appear inside (mount_namespaces(7)).
pub(crate) fn set_mount_attrs(fd: RawFd, attrs: u64) -> Result {
    let attr = MountAttr { set: attrs, clear: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    done(call!(
        libc::SYS_mount_setattr,
        fd,
        c"".as_ptr(),
        libc::AT_EMPTY_PATH | AT_RECURSIVE,
        &raw const attr,
        size_of::<MountAttr>()
    ))
}

/// mount_setattr(2) on one mount alone, by path.
pub(crate) fn seal_mount(dir: RawFd, path: &CStr, attrs: u64) -> Result {
    let attr = MountAttr { set: attrs, clear: 0, propagation: 0, userns_fd: 0 };
    done(call!(
        libc::SYS_mount_setattr,
        dir,
        path.as_ptr(),
        libc::AT_EMPTY_PATH,
        &raw const attr,
        size_of::<MountAttr>()
    ))
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP, on a detached mount and all below it.
pub(crate) fn idmap_mount(fd: RawFd, userns: RawFd) -> Result {
    let attr = MountAttr { set: 0x0010_0000, clear: 0, propagation: 0, userns_fd: userns as u64 };
    done(call!(
        libc::SYS_mount_setattr,
        fd,
        c"".as_ptr(),
        libc::AT_EMPTY_PATH | AT_RECURSIVE,
        &raw const attr,
        size_of::<MountAttr>()
    ))
}

/// move_mount(2) of a detached mount onto `path` below `dir`; an empty path means `dir` itself.
/// Links are not followed.
pub(crate) fn move_mount(mount: RawFd, dir: RawFd, path: &CStr) -> Result {
    // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    done(call!(libc::SYS_move_mount, mount, c"".as_ptr(), dir, path.as_ptr(), 0x04 | 0x40))
}

/// fsopen(2).
pub(crate) fn fsopen(kind: &CStr) -> Result<RawFd> {
    fd(call!(libc::SYS_fsopen, kind.as_ptr(), 1))
}

/// fsconfig(2), FSCONFIG_SET_STRING: the value is one value, whatever commas are in it.
pub(crate) fn fsconfig_string(fs: RawFd, key: &CStr, value: &CStr) -> Result {
    done(call!(libc::SYS_fsconfig, fs, 1, key.as_ptr(), value.as_ptr(), 0))
}

/// fsconfig(2), FSCONFIG_SET_FLAG.
pub(crate) fn fsconfig_flag(fs: RawFd, key: &CStr) -> Result {
    let none = std::ptr::null::<c_void>();
    done(call!(libc::SYS_fsconfig, fs, 0, key.as_ptr(), none, 0))
}

/// fspick(2) of the file system of a mount, by the mount's own descriptor.
pub(crate) fn fspick(mount: RawFd) -> Result<RawFd> {
    // FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH
    fd(call!(libc::SYS_fspick, mount, c"".as_ptr(), 0x01 | 0x04 | 0x08))
}

/// fsconfig(2), FSCONFIG_CMD_RECONFIGURE.
pub(crate) fn reconfigure(fs: RawFd) -> Result {
    let none = std::ptr::null::<c_char>();
    done(call!(libc::SYS_fsconfig, fs, 7, none, std::ptr::null::<c_void>(), 0))
}

/// fsconfig(2), FSCONFIG_CMD_CREATE, then fsmount(2) with attributes.
pub(crate) fn fsmount(fs: RawFd, attrs: u64) -> Result<RawFd> {
    done(call!(
        libc::SYS_fsconfig,
        fs,
        6,
        std::ptr::null::<c_char>(),
        std::ptr::null::<c_void>(),
        0
    ))?;
    fd(call!(libc::SYS_fsmount, fs, 1, attrs))
}

/// fsconfig(2), the flag `ro` and FSCONFIG_CMD_RECONFIGURE: the file system itself becomes
/// read-only, wherever it is mounted.
pub(crate) fn reconfigure_read_only(fs: RawFd) -> Result {
    done(call!(libc::SYS_fsconfig, fs, 0, c"ro".as_ptr(), std::ptr::null::<c_void>(), 0))?;
    done(call!(
        libc::SYS_fsconfig,
        fs,
        7,
        std::ptr::null::<c_char>(),
        std::ptr::null::<c_void>(),
        0
    ))
}

/// `pivot_root(".", ".")`, then the old root, which lies over the new one, is unmounted.
pub(crate) fn pivot_here() -> Result {
    done(call!(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
    done(call!(libc::SYS_umount2, c".".as_ptr(), libc::MNT_DETACH))
}

// ---- control groups ----

/// rmdir(2).
pub(crate) fn rmdir(path: &CStr) -> Result {
    done(call!(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_ptr(), libc::AT_REMOVEDIR))
}

/// flock(2), exclusive, at once or not at all. It ends with the last copy of the descriptor.
pub(crate) fn lock(fd: RawFd) -> Result {
    done(call!(libc::SYS_flock, fd, libc::LOCK_EX | libc::LOCK_NB))
}

/// A lock of this process on a whole file (fcntl(2), advisory record locking): shared, as a
/// directory can be opened for reading alone. It ends with the process, even if a child inherits
/// the descriptor, and with the first descriptor of the file that the process closes.
pub(crate) fn lock_of_process(fd: RawFd) -> Result {
    let lock = whole_file(libc::F_RDLCK);
    done(call!(libc::SYS_fcntl, fd, libc::F_SETLK, &raw const lock))
}

/// Whether another process has such a lock.
pub(crate) fn is_locked_by_process(fd: RawFd) -> Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    done(call!(libc::SYS_fcntl, fd, libc::F_GETLK, &raw mut lock))?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

/// A lock of the open file on one byte of it, exclusive, at once or not at all (fcntl(2),
/// F_OFD_SETLK). It ends with the last copy of the descriptor, which must be open for writing.
pub(crate) fn lock_byte(fd: RawFd, at: u64) -> Result {
    let lock = libc::flock { l_start: at as i64, l_len: 1, ..whole_file(libc::F_WRLCK) };
    done(call!(libc::SYS_fcntl, fd, libc::F_OFD_SETLK, &raw const lock))
}

/// Whether another open file has a lock on this byte.
pub(crate) fn is_byte_locked(fd: RawFd, at: u64) -> Result<bool> {
    let mut lock = libc::flock { l_start: at as i64, l_len: 1, ..whole_file(libc::F_WRLCK) };
    done(call!(libc::SYS_fcntl, fd, libc::F_OFD_GETLK, &raw mut lock))?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn whole_file(kind: c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// eventfd2(2).
pub(crate) fn eventfd() -> Result<RawFd> {
    fd(call!(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD (bpf(2)); the kernel takes what is not there for
/// zero.
#[repr(C)]
struct BpfLoad {
    kind: u32,
    length: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// bpf(2), BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE.
pub(crate) fn load_device_program(instructions: &[u64]) -> Result<RawFd> {
    let attr = BpfLoad {
        kind: 15,
        length: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    fd(call!(libc::SYS_bpf, 5, &raw const attr, size_of::<BpfLoad>()))
}

/// bpf(2), BPF_PROG_ATTACH for BPF_CGROUP_DEVICE: it holds besides those of the groups above
/// (BPF_F_ALLOW_MULTI).
pub(crate) fn attach_device_program(group: RawFd, program: RawFd) -> Result {
    let attr: [u32; 4] = [group as u32, program as u32, 6, 2];
    done(call!(libc::SYS_bpf, 8, attr.as_ptr(), size_of_val(&attr)))
}

/// How many processors there are.
pub(crate) fn processors() -> u64 {
    // SAFETY: asks for a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(1).max(1)
}

/// CLOCK_BOOTTIME in hundredths of a second, the unit of a process's start time (proc_pid_stat(5)).
pub(crate) fn boot_ticks() -> Result<u64> {
    let mut time = [0i64; 2];
    done(call!(libc::SYS_clock_gettime, libc::CLOCK_BOOTTIME, time.as_mut_ptr()))?;
    Ok(time[0] as u64 * 100 + time[1] as u64 / 10_000_000)
}

// ---- privileges ----

/// prctl(2) with integers.
pub(crate) fn prctl(option: c_int, two: u64, three: u64) -> Result<i32> {
    check(call!(libc::SYS_prctl, option, two, three, 0u64, 0u64)).map(|value| value as i32)
}

/// setgroups(2) for this thread.
pub(crate) fn setgroups(groups: &[u32]) -> Result {
    done(call!(libc::SYS_setgroups, groups.len(), groups.as_ptr()))
}

/// setresgid(2) for this thread.
pub(crate) fn setresgid(id: u32) -> Result {
    done(call!(libc::SYS_setresgid, id, id, id))
}

/// setresuid(2) for this thread.
pub(crate) fn setresuid(id: u32) -> Result {
    done(call!(libc::SYS_setresuid, id, id, id))
}

/// setfsgid(2) and setfsuid(2), read back, as they report no error.
pub(crate) fn setfsids(user: u32, group: u32) -> Result {
    call!(libc::SYS_setfsgid, group);
    call!(libc::SYS_setfsuid, user);
    let now =
        (call!(libc::SYS_setfsuid, u32::MAX) as u32, call!(libc::SYS_setfsgid, u32::MAX) as u32);
    if now == (user, group) { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

/// getresuid(2) and getresgid(2): real, effective and saved ids of users, then of groups.
pub(crate) fn ids() -> Result<[u32; 6]> {
    let mut ids = [u32::MAX; 6];
    let [ruid, euid, suid, rgid, egid, sgid] = &mut ids;
    done(call!(libc::SYS_getresuid, &raw mut *ruid, &raw mut *euid, &raw mut *suid))?;
    done(call!(libc::SYS_getresgid, &raw mut *rgid, &raw mut *egid, &raw mut *sgid))?;
    Ok(ids)
}

/// Effective user and group id at this process's start: AT_EUID and AT_EGID of getauxval(3), which
/// asks no kernel.
pub(crate) fn ids_at_start() -> (u32, u32) {
    // SAFETY: reads the auxiliary vector.
    unsafe { (libc::getauxval(libc::AT_EUID) as u32, libc::getauxval(libc::AT_EGID) as u32) }
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// The three sets that capset(2) takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

/// capset(2).
pub(crate) fn capset(sets: Sets) -> Result {
    let header = CapHeader { version: 0x2008_0522, pid: 0 };
    let half = |set: u64, high: bool| if high { (set >> 32) as u32 } else { set as u32 };
    let data = [false, true].map(|high| {
        [half(sets.effective, high), half(sets.permitted, high), half(sets.inheritable, high)]
    });
    done(call!(libc::SYS_capset, &raw const header, data.as_ptr()))
}

/// capget(2).
pub(crate) fn capget() -> Result<Sets> {
    let header = CapHeader { version: 0x2008_0522, pid: 0 };
    let mut data = [[0u32; 3]; 2];
    done(call!(libc::SYS_capget, &raw const header, data.as_mut_ptr()))?;
    let whole = |index: usize| u64::from(data[0][index]) | u64::from(data[1][index]) << 32;
    Ok(Sets { effective: whole(0), permitted: whole(1), inheritable: whole(2) })
}

/// The supplementary groups (getgroups(2)). nix asks /proc/sys how many there can be, which takes
/// longer than the call.
pub(crate) fn groups() -> Result<Vec<u32>> {
    let count = check(call!(libc::SYS_getgroups, 0, std::ptr::null_mut::<u32>()))?;
    let mut groups = vec![0u32; count as usize];
    let count = check(call!(libc::SYS_getgroups, groups.len(), groups.as_mut_ptr()))?;
    groups.truncate(count as usize);
    Ok(groups)
}

/// ioctl(NS_GET_NSTYPE): the `CLONE_NEW*` flag of a namespace (ioctl_nsfs(2)).
pub(crate) fn namespace_flag(fd: RawFd) -> Result<u64> {
    check(call!(libc::SYS_ioctl, fd, NS_GET_NSTYPE)).map(|flag| flag as u64)
}

/// ioctl(NS_GET_USERNS): a descriptor of the user namespace that owns a namespace.
pub(crate) fn owner_of_namespace(fd: RawFd) -> Result<RawFd> {
    check(call!(libc::SYS_ioctl, fd, NS_GET_USERNS)).map(|fd| fd as RawFd)
}

/// ioctl(NS_GET_PARENT): a descriptor of the namespace above a user or pid namespace.
pub(crate) fn parent_of_namespace(fd: RawFd) -> Result<RawFd> {
    check(call!(libc::SYS_ioctl, fd, NS_GET_PARENT)).map(|fd| fd as RawFd)
}

/// ioctl(NS_GET_OWNER_UID): the user who made a user namespace.
pub(crate) fn maker_of_user_namespace(fd: RawFd) -> Result<u32> {
    let mut uid = 0u32;
    done(call!(libc::SYS_ioctl, fd, NS_GET_OWNER_UID, &raw mut uid))?;
    Ok(uid)
}

/// Requests of linux/nsfs.h.
const NS_GET_USERNS: u64 = 0xb701;
const NS_GET_PARENT: u64 = 0xb702;
const NS_GET_NSTYPE: u64 = 0xb703;
const NS_GET_OWNER_UID: u64 = 0xb704;

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL).
pub(crate) fn new_session_keyring() -> Result {
    done(call!(libc::SYS_keyctl, 1, std::ptr::null::<c_char>()))
}

/// keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), which changes nothing: whether the
/// call is there to be made.
pub(crate) fn session_keyring() -> Result {
    done(call!(libc::SYS_keyctl, 0, -3, 0))
}

/// setpriority(PRIO_PROCESS, 0, value).
pub(crate) fn set_nice(value: i32) -> Result {
    done(call!(libc::SYS_setpriority, 0, 0, value))
}

/// ioprio_set(IOPRIO_WHO_PROCESS, 0, value).
pub(crate) fn set_io_priority(value: u16) -> Result {
    done(call!(libc::SYS_ioprio_set, 1, 0, c_long::from(value)))
}

/// sched_setscheduler(2) for this thread.
pub(crate) fn set_scheduler(policy: i32, priority: i32) -> Result {
    done(call!(libc::SYS_sched_setscheduler, 0, policy, &raw const priority))
}

/// prlimit64(2) on this process: sets, and gives what was.
pub(crate) fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result {
    let new = [soft, hard];
    done(call!(libc::SYS_prlimit64, 0, resource, new.as_ptr(), std::ptr::null_mut::<c_void>()))
}

/// prlimit64(2) on this process: soft and hard.
pub(crate) fn get_rlimit(resource: u32) -> Result<(u64, u64)> {
    let mut old = [0u64; 2];
    done(call!(libc::SYS_prlimit64, 0, resource, std::ptr::null::<c_void>(), old.as_mut_ptr()))?;
    Ok((old[0], old[1]))
}

/// personality(2) of a plain Linux process, without ADDR_NO_RANDOMIZE and the like.
pub(crate) fn reset_personality() -> Result {
    done(call!(libc::SYS_personality, 0u64))
}

// ---- Landlock and seccomp ----

/// The Landlock ABI of the kernel (landlock(7)).
pub(crate) fn landlock_abi() -> Result<u32> {
    check(call!(libc::SYS_landlock_create_ruleset, std::ptr::null::<c_void>(), 0usize, 1u32))
        .map(|abi| abi as u32)
}

/// landlock_create_ruleset(2): what is handled of files and of ports, and what is scoped. An older
/// kernel knows a shorter struct.
pub(crate) fn landlock_ruleset(files: u64, ports: u64, scoped: u64) -> Result<RawFd> {
    let ruleset = [files, ports, scoped];
    let size = match ruleset {
        [_, 0, 0] => 8usize,
        [_, _, 0] => 16,
        _ => 24,
    };
    fd(call!(libc::SYS_landlock_create_ruleset, ruleset.as_ptr(), size, 0u32))
}

/// landlock_add_rule(2), LANDLOCK_RULE_PATH_BENEATH.
pub(crate) fn landlock_allow(ruleset: RawFd, parent: RawFd, access: u64) -> Result {
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }
    let rule = PathBeneath { allowed_access: access, parent_fd: parent };
    done(call!(libc::SYS_landlock_add_rule, ruleset, 1, &raw const rule, 0u32))
}

/// landlock_add_rule(2), LANDLOCK_RULE_NET_PORT.
pub(crate) fn landlock_allow_port(ruleset: RawFd, port: u16, access: u64) -> Result {
    let rule = [access, u64::from(port)];
    done(call!(libc::SYS_landlock_add_rule, ruleset, 2, rule.as_ptr(), 0u32))
}

/// landlock_restrict_self(2). From ABI 7 on the kernel logs what is denied: not what this program
/// tries before it executes another (LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF); with `audit`, what
/// that one is (LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON).
pub(crate) fn landlock_restrict(ruleset: RawFd, abi: u32, audit: bool) -> Result {
    let flags = match abi {
        0..7 => 0u32,
        _ => 1 | if audit { 2 } else { 0 },
    };
    done(call!(libc::SYS_landlock_restrict_self, ruleset, flags))
}

/// `struct sock_fprog`: a program as seccomp(2) takes it, at an address that is known before it is
/// filled.
#[repr(C)]
#[derive(Debug)]
pub struct Program {
    length: u16,
    filter: *const seccompiler::sock_filter,
    /// The target of the pointer, which has no further pointers.
    instructions: seccompiler::BpfProgram,
}

impl Program {
    /// An empty one, which the kernel does not take.
    pub fn empty() -> Box<Program> {
        Box::new(Program { length: 0, filter: std::ptr::null(), instructions: vec![] })
    }

    /// Fills it. The kernel takes no more than 4096 instructions; one that is longer than the
    /// number can say stays empty.
    pub fn fill(&mut self, instructions: seccompiler::BpfProgram) {
        self.length = u16::try_from(instructions.len()).unwrap_or(0);
        self.instructions = instructions;
        self.filter = self.instructions.as_ptr();
    }

    /// The arguments of the call that sets it.
    pub fn arguments(&self) -> [u64; 3] {
        [SECCOMP_SET_MODE_FILTER.into(), 0, std::ptr::from_ref(self) as u64]
    }
}

const SECCOMP_SET_MODE_FILTER: u32 = 1;

/// seccomp(2), SECCOMP_SET_MODE_FILTER.
pub fn seccomp_filter(program: &Program) -> Result {
    done(call!(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0u32, std::ptr::from_ref(program)))
}

/// The same with SECCOMP_FILTER_FLAG_NEW_LISTENER, whose descriptor is given, close-on-exec; and
/// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV where the kernel has it (Linux 5.19): a signal then waits
/// for the answer, and no call fails with EINTR for being asked about.
pub(crate) fn seccomp_listener(program: &Program) -> Result<RawFd> {
    let set = |flags: u32| {
        fd(call!(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(program)))
    };
    match set(8 | 32) {
        Err(Errno(libc::EINVAL)) => set(8),
        other => other,
    }
}

/// A call that the kernel asks about: `struct seccomp_notif` (seccomp_unotify(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The question, for the answer.
    pub id: u64,
    /// The thread, as it is called in the reader's pid namespace; 0 where it is not seen there.
    pub thread: u32,
    /// AUDIT_ARCH_*.
    pub architecture: u32,
    /// The number there.
    pub number: u32,
    /// The registers. The memory that they point at may change at any time, and is never read.
    pub arguments: [u64; 6],
}

/// The next call that is asked about (SECCOMP_IOCTL_NOTIF_RECV); ENOENT where its process ended
/// meanwhile.
pub(crate) fn next_asked(listener: RawFd) -> Result<Asked> {
    // The kernel requires zeroes. Ten words are the struct; the rest is room for that of a newer
    // kernel.
    let mut notif = [0u64; 64];
    done(call!(libc::SYS_ioctl, listener, NOTIF_RECV, notif.as_mut_ptr()))?;
    let [id, thread, call, _, first, second, third, fourth, fifth, sixth, ..] = notif;
    let arguments = [first, second, third, fourth, fifth, sixth];
    // Both architectures are little-endian: of two numbers in a word the first is the low half.
    Ok(Asked {
        id,
        thread: thread as u32,
        architecture: (call >> 32) as u32,
        number: call as u32,
        arguments,
    })
}

/// Answers with an errno (SECCOMP_IOCTL_NOTIF_SEND); 0 is a call that did nothing and gave 0.
/// SECCOMP_USER_NOTIF_FLAG_CONTINUE, by which the kernel would do the call after all, cannot be
/// said.
pub(crate) fn answer_errno(listener: RawFd, id: u64, errno: i32) -> Result {
    let answer = [id, 0u64, u64::from(errno.wrapping_neg() as u32)];
    done(call!(libc::SYS_ioctl, listener, NOTIF_SEND, answer.as_ptr()))
}

/// Whether a question still waits, and its thread's number means that thread
/// (SECCOMP_IOCTL_NOTIF_ID_VALID).
pub(crate) fn still_asks(listener: RawFd, id: u64) -> Result {
    done(call!(libc::SYS_ioctl, listener, NOTIF_ID_VALID, &raw const id))
}

/// Has the asked and the asker change places on one processor (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
/// Linux 6.6).
pub(crate) fn wake_in_turn(listener: RawFd) -> Result {
    done(call!(libc::SYS_ioctl, listener, NOTIF_SET_FLAGS, 1u64))
}

/// SECCOMP_IOCTL_NOTIF_RECV.
pub(crate) const NOTIF_RECV: u32 = 0xc050_2100;
/// SECCOMP_IOCTL_NOTIF_SEND.
pub(crate) const NOTIF_SEND: u32 = 0xc018_2101;
/// SECCOMP_IOCTL_NOTIF_ID_VALID.
pub(crate) const NOTIF_ID_VALID: u32 = 0x4008_2102;
/// SECCOMP_IOCTL_NOTIF_SET_FLAGS.
pub(crate) const NOTIF_SET_FLAGS: u32 = 0x4008_2104;

/// What a listener or another descriptor waits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// There is something to read.
    Something,
    /// There will be nothing any more.
    End,
    /// The time is over.
    Nothing,
}

/// ppoll(2) on one descriptor; no time: without end.
pub(crate) fn wait_on(fd: RawFd, time_ms: Option<u32>) -> Result<Waiting> {
    let mut polled = [to_read(fd)];
    let time = time_ms.map(|time| [i64::from(time / 1000), i64::from(time % 1000) * 1_000_000]);
    let pointer = time.as_ref().map_or(std::ptr::null(), |time| time.as_ptr());
    let count = check(call!(
        libc::SYS_ppoll,
        polled.as_mut_ptr(),
        polled.len(),
        pointer,
        std::ptr::null::<c_void>(),
        8usize
    ))?;
    Ok(if count == 0 { Waiting::Nothing } else { waiting(polled[0].revents) })
}

fn waiting(events: i16) -> Waiting {
    match events {
        0 => Waiting::Nothing,
        _ if events & libc::POLLIN != 0 => Waiting::Something,
        _ => Waiting::End,
    }
}

/// ppoll(2) until there is something to read from the one, where it is a descriptor, or room to
/// write to the other: the state of the first, and whether the other has room or has lost its
/// reader.
pub(crate) fn wait_for_room(from: RawFd, to: RawFd) -> Result<(Waiting, bool)> {
    let mut polled = [to_read(from), libc::pollfd { fd: to, events: libc::POLLOUT, revents: 0 }];
    done(call!(
        libc::SYS_ppoll,
        polled.as_mut_ptr(),
        polled.len(),
        std::ptr::null::<c_void>(),
        std::ptr::null::<c_void>(),
        8usize
    ))?;
    Ok((waiting(polled[0].revents), polled[1].revents != 0))
}

/// ppoll(2) until the other end of a pipe is closed, whatever there is to read.
pub(crate) fn wait_for_hangup(fd: RawFd) -> Result {
    let mut polled = libc::pollfd { fd, events: 0, revents: 0 };
    done(call!(
        libc::SYS_ppoll,
        &raw mut polled,
        1,
        std::ptr::null::<c_void>(),
        std::ptr::null::<c_void>(),
        8usize
    ))
}

/// seccomp(2) with a filter that allows everything: to see whether filters can be set here, and
/// whether one can have a listener (SECCOMP_FILTER_FLAG_NEW_LISTENER), whose descriptor is given.
/// Needs no_new_privs.
pub(crate) fn seccomp_allow_all(listener: bool) -> Result<RawFd> {
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const libc::sock_filter,
    }
    let filter = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    }];
    let program = Program { len: 1, filter: filter.as_ptr() };
    fd(call!(libc::SYS_seccomp, 1u32, if listener { 8u32 } else { 0 }, &raw const program))
}

// ---- signals, time, waiting ----

/// A kernel signal set: signal n is bit n-1.
pub(crate) type SignalSet = u64;

/// The bit of a signal.
pub(crate) const fn signal_bit(signal: i32) -> SignalSet {
    1 << (signal - 1)
}

/// rt_sigprocmask(2), SIG_SETMASK: gives the mask that was.
pub(crate) fn set_signal_mask(mask: SignalSet) -> Result<SignalSet> {
    let mut old: SignalSet = 0;
    done(call!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        &raw const mask,
        &raw mut old,
        8usize
    ))?;
    Ok(old)
}

/// rt_sigprocmask(2) that changes nothing: the mask that is.
pub(crate) fn signal_mask() -> Result<SignalSet> {
    let mut mask: SignalSet = 0;
    let none = std::ptr::null::<SignalSet>();
    done(call!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, none, &raw mut mask, 8usize))?;
    Ok(mask)
}

/// rt_sigpending(2): the blocked signals that wait.
pub(crate) fn pending_signals() -> Result<SignalSet> {
    let mut pending: SignalSet = 0;
    done(call!(libc::SYS_rt_sigpending, &raw mut pending, 8usize))?;
    Ok(pending)
}

/// `struct sigaction` as the kernel has it: handler, flags, restorer, mask. All zeroes is SIG_DFL.
pub(crate) type Action = [u64; 4];

/// rt_sigaction(2), SIG_DFL.
pub(crate) fn default_action(signal: i32) -> Result {
    set_action(signal, &[0; 4])
}

/// rt_sigaction(2): what a signal does. It is for [`set_action`] alone.
pub(crate) fn action(signal: i32) -> Result<Action> {
    let mut action: Action = [0; 4];
    let none = std::ptr::null::<c_void>();
    done(call!(libc::SYS_rt_sigaction, signal, none, action.as_mut_ptr(), 8usize))?;
    Ok(action)
}

/// rt_sigaction(2), with what [`action`] gave.
pub(crate) fn set_action(signal: i32, action: &Action) -> Result {
    let none = std::ptr::null_mut::<c_void>();
    done(call!(libc::SYS_rt_sigaction, signal, action.as_ptr(), none, 8usize))
}

/// signalfd4(2), non-blocking.
pub(crate) fn signalfd(mask: SignalSet) -> Result<RawFd> {
    fd(call!(
        libc::SYS_signalfd4,
        -1,
        &raw const mask,
        8usize,
        libc::SFD_CLOEXEC | libc::SFD_NONBLOCK
    ))
}

/// What a signalfd reports of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signalled {
    pub signal: i32,
    /// `si_code`: positive when the kernel sent it.
    pub code: i32,
    /// The value sent with it, if `si_code` is SI_QUEUE.
    pub number: i32,
}

/// The next signal of a signalfd, if there is one.
pub(crate) fn next_signal(fd: RawFd) -> Result<Option<Signalled>> {
    let mut record = [0u8; 128];
    match read(fd, &mut record) {
        Ok(128) => {
            let int = |at: usize| {
                i32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
            };
            Ok(Some(Signalled { signal: int(0), code: int(8), number: int(44) }))
        }
        Ok(_) | Err(Errno(libc::EAGAIN | libc::EINTR)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Waits until one of a few descriptors is ready; a negative descriptor never is. Gives which are.
pub(crate) fn poll<const N: usize>(fds: [RawFd; N], timeout_ms: i32) -> Result<[bool; N]> {
    let mut polled = fds.map(to_read);
    poll_all(&mut polled, timeout_ms)?;
    Ok(polled.map(|polled| polled.revents != 0))
}

/// A descriptor that is waited for until there is something to read, or nothing any more.
pub(crate) fn to_read(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// poll(2), which looks at them in their order. Interrupted by a signal, none is ready.
pub(crate) fn poll_all(polled: &mut [libc::pollfd], timeout_ms: i32) -> Result {
    let count = polled.len() as libc::nfds_t;
    // SAFETY: `polled` is an array of so many.
    match done(unsafe { libc::poll(polled.as_mut_ptr(), count, timeout_ms) }.into()) {
        // The kernel has written nothing.
        Err(Errno(libc::EINTR)) => {
            polled.iter_mut().for_each(|polled| polled.revents = 0);
            Ok(())
        }
        other => other,
    }
}

/// CLOCK_MONOTONIC in milliseconds, by the kernel's own count of this namespace.
pub(crate) fn now_ms() -> Result<u64> {
    let mut time = [0i64; 2];
    done(call!(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, time.as_mut_ptr()))?;
    Ok(time[0] as u64 * 1000 + time[1] as u64 / 1_000_000)
}

/// sysconf(3): bytes of a page of memory; 0 where it is not said.
pub(crate) fn page_size() -> u64 {
    // SAFETY: no pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0)
}

/// sysinfo(2): bytes of memory.
pub(crate) fn total_memory() -> Result<u64> {
    // SAFETY: all zeroes is a valid sysinfo.
    let mut info: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is valid for writes.
    done(unsafe { libc::sysinfo(&raw mut info) }.into())?;
    Ok(info.totalram.saturating_mul(info.mem_unit.into()))
}

// ---- terminals ----

/// setsid(2).
pub(crate) fn setsid() -> Result {
    done(call!(libc::SYS_setsid))
}

/// Whether a terminal is the controlling one of this process: TIOCGSID fails for any other with
/// ENOTTY (ioctl_tty(2)).
pub(crate) fn check_controlling(tty: RawFd) -> Result {
    let mut session = 0i32;
    done(call!(libc::SYS_ioctl, tty, libc::TIOCGSID, &raw mut session))
}

/// setpgid(2).
pub(crate) fn setpgid(pid: i32, group: i32) -> Result {
    done(call!(libc::SYS_setpgid, pid, group))
}

/// The foreground process group of a terminal (tcgetpgrp(3)).
pub(crate) fn foreground(tty: RawFd) -> Result<i32> {
    let mut group: i32 = 0;
    done(call!(libc::SYS_ioctl, tty, libc::TIOCGPGRP, &raw mut group))?;
    Ok(group)
}

/// Makes a process group the terminal's foreground (tcsetpgrp(3)). SIGTTOU must be blocked.
pub(crate) fn set_foreground(tty: RawFd, group: i32) -> Result {
    done(call!(libc::SYS_ioctl, tty, libc::TIOCSPGRP, &raw const group))
}

// ---- secrets ----

/// Where the strings of `argv` and the environment lie that the kernel put on the stack: first and
/// last byte, and one more; where they are known apart, the environment's after those of `argv`.
static STRINGS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

/// Takes note of the arrays that the C runtime gave to `main`.
///
/// # Safety
///
/// Both are arrays of strings that end in null, as the kernel made them (execve(2)).
pub unsafe fn note_strings(argv: *const *const c_char, envp: *const *const c_char) {
    let mut bounds: Option<(usize, usize)> = None;
    for mut next in [argv, envp] {
        // SAFETY: the caller's word; null is where it ends.
        while let Some(text) = unsafe { next.read().as_ref() } {
            // SAFETY: as above: a string.
            let length = unsafe { CStr::from_ptr(text) }.count_bytes() + 1;
            let start = std::ptr::from_ref(text) as usize;
            bounds = Some((bounds.map_or(start, |(first, _)| first), start + length));
            // SAFETY: the null is not reached yet.
            next = unsafe { next.add(1) };
        }
    }
    let (start, end) = bounds.unwrap_or_default();
    STRINGS[0].store(start, Ordering::Relaxed);
    STRINGS[1].store(end, Ordering::Relaxed);
}

/// Takes note of them by /proc/self/stat (proc_pid_stat(5)), in a process whose `main` is
/// another's; and gives how many threads it has.
pub(crate) fn note_strings_of_stat() -> Result<usize> {
    let mut text = [0; 1024];
    let fd = openat(libc::AT_FDCWD, c"/proc/self/stat", libc::O_RDONLY, 0)?;
    let length = read(fd, &mut text);
    close(fd)?;
    // The name, in parentheses, may have any byte in it; the third field comes after it.
    let fields = text[..length?].rsplit(|byte| *byte == b')').next().unwrap_or_default();
    let fields = std::str::from_utf8(fields).map_err(|_| Errno(libc::EILSEQ))?;
    let field = |number: usize| {
        let field = fields.split_ascii_whitespace().nth(number - 3);
        field.and_then(|field| field.parse().ok()).ok_or(Errno(libc::ENODATA))
    };
    for (place, number) in STRINGS.iter().zip(48..) {
        place.store(field(number)?, Ordering::Relaxed);
    }
    field(20)
}

/// Overwrites the strings that were taken note of, which `/proc/PID/cmdline` and `environ` show, and
/// leaves this name there where it has room.
///
/// Only for a process that never looks at its arguments or environment again: pid 1 of the sandbox.
pub(crate) fn wipe_strings(name: &[u8]) {
    for range in STRINGS.chunks(2) {
        let [start, end] = [&range[0], &range[1]].map(|bound| bound.load(Ordering::Relaxed));
        if start != 0 && end > start {
            // SAFETY: the kernel puts these strings one behind the other on the stack, which is
            // writable; no reference of ours points there any more.
            unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) }
        }
    }
    let [start, end] = [&STRINGS[0], &STRINGS[1]].map(|bound| bound.load(Ordering::Relaxed));
    if start != 0 && end > start && end - start > name.len() {
        // SAFETY: as above, and the last byte stays a null.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), start as *mut u8, name.len()) }
    }
}

/// A descriptor that no other code closes.
pub(crate) fn owned(fd: RawFd) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: callers hand over a descriptor that they have just been given by the kernel and keep
    // no copy of.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }
}

/// mknodat(2) of an empty regular file.
pub(crate) fn mkfile(dir: RawFd, path: &CStr, mode: u32) -> Result {
    done(call!(libc::SYS_mknodat, dir, path.as_ptr(), libc::S_IFREG | mode, 0u64))
}

/// getppid(2).
pub(crate) fn getppid() -> i32 {
    call!(libc::SYS_getppid) as i32
}

/// TIOCSTI of a NUL (ioctl_tty(2)).
pub(crate) fn push_input(fd: RawFd) -> Result {
    done(call!(libc::SYS_ioctl, fd, libc::TIOCSTI, c"".as_ptr()))
}

/// getpgrp(2).
pub(crate) fn getpgrp() -> i32 {
    call!(libc::SYS_getpgid, 0) as i32
}

/// tcgetattr(3).
pub(crate) fn terminal_modes(fd: RawFd) -> Result<libc::termios> {
    // SAFETY: all zeroes is a valid termios.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: `modes` is valid for writes.
    done(unsafe { libc::tcgetattr(fd, &raw mut modes) }.into())?;
    Ok(modes)
}

/// tcsetattr(3), at once: on a serial line whose other end holds it up, waiting for what was
/// written may last for ever.
pub(crate) fn set_terminal_modes(fd: RawFd, modes: &libc::termios) -> Result {
    // SAFETY: `modes` is valid for reads.
    done(unsafe { libc::tcsetattr(fd, libc::TCSANOW, modes) }.into())
}

/// TIOCGWINSZ: rows, columns, and both in pixels.
pub(crate) fn terminal_size(fd: RawFd) -> Result<[u16; 4]> {
    let mut size = [0u16; 4];
    done(call!(libc::SYS_ioctl, fd, libc::TIOCGWINSZ, size.as_mut_ptr()))?;
    Ok(size)
}

/// TIOCSWINSZ.
pub(crate) fn set_terminal_size(fd: RawFd, size: [u16; 4]) -> Result {
    done(call!(libc::SYS_ioctl, fd, libc::TIOCSWINSZ, size.as_ptr()))
}

/// TCXONC with TCOON: resumes output that TCOOFF suspended; no key of the terminal does that.
pub(crate) fn resume_output(fd: RawFd) -> Result {
    done(call!(libc::SYS_ioctl, fd, libc::TCXONC, libc::TCOON))
}

/// TIOCGETD: the number of the terminal's line discipline.
pub(crate) fn line_discipline(fd: RawFd) -> Result<i32> {
    let mut number: i32 = 0;
    done(call!(libc::SYS_ioctl, fd, libc::TIOCGETD, &raw mut number))?;
    Ok(number)
}

/// TIOCSETD.
pub(crate) fn set_line_discipline(fd: RawFd, number: i32) -> Result {
    done(call!(libc::SYS_ioctl, fd, libc::TIOCSETD, &raw const number))
}

/// TIOCGEXCL: whether the terminal can be opened only with CAP_SYS_ADMIN.
pub(crate) fn is_exclusive(fd: RawFd) -> Result<bool> {
    let mut exclusive: i32 = 0;
    done(call!(libc::SYS_ioctl, fd, libc::TIOCGEXCL, &raw mut exclusive))?;
    Ok(exclusive != 0)
}

/// TIOCNXCL.
pub(crate) fn end_exclusive(fd: RawFd) -> Result {
    done(call!(libc::SYS_ioctl, fd, libc::TIOCNXCL, 0))
}

/// Whether the kernel gave this process privilege at exec: AT_SECURE of getauxval(3).
pub(crate) fn is_privileged() -> bool {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
