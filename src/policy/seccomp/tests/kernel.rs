//! The filter on the running kernel.
#![allow(unsafe_code)]

use super::*;

/// Runs `act` in a child under the filter, and gives the child's exit status: 255 where the filter
/// could not be installed.
fn under(filter: &Filter, act: fn() -> i32) -> i32 {
    #[repr(C)]
    struct Fprog {
        len: u16,
        filter: *const sock_filter,
    }
    let program = compile(filter);
    let fprog = Fprog { len: program.len() as u16, filter: program.as_ptr() };
    // SAFETY: the child calls nothing but system calls and `act`, which allocates nothing, and ends
    // by _exit(2).
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: `fprog` and the program that it points to live until the end of this function.
        let status = unsafe {
            let privileges = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            match libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const fprog,
            ) {
                0 if privileges == 0 => act(),
                _ => 255,
            }
        };
        // SAFETY: _exit(2) ends the child; no destructor of the test runs twice.
        unsafe { libc::_exit(status) }
    }
    assert!(child > 0, "fork failed");
    let mut status = 0;
    // SAFETY: `status` is valid for writing, and the child is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1000 + libc::WTERMSIG(status) }
}

/// The errno of a system call, or 0.
fn try_call(number: i64, arguments: [u64; 3]) -> i32 {
    // SAFETY: the callers below pass numbers, and pointers that are NULL; what the filter lets
    // through changes nothing in memory.
    let result =
        unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2], 0, 0, 0) };
    // SAFETY: errno is this thread's own.
    if result == -1 { unsafe { *libc::__errno_location() } } else { 0 }
}

#[test]
fn the_kernel_does_as_the_filter_says() {
    let filter = default(&Needs { core_guard: true, ..Needs::default() });
    let failed = under(&filter, || {
        let high = 0xffff_ffff_0000_0000;
        let tries = [
            (libc::SYS_getpid, [0, 0, 0], 0),
            (libc::SYS_io_uring_setup, [1, 0, 0], libc::ENOSYS),
            (libc::SYS_ptrace, [0, 0, 0], libc::EPERM),
            (libc::SYS_clone3, [0, 0, 0], libc::ENOSYS),
            (libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0], libc::EPERM),
            (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0], 0),
            (
                libc::SYS_clone,
                [high | libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64, 0, 0],
                libc::EPERM,
            ),
            (libc::SYS_ioctl, [0, high | libc::TIOCSTI, 0], libc::EPERM),
            (libc::SYS_ioctl, [u64::MAX, high | libc::TIOCGWINSZ, 0], libc::EBADF),
            // Only the filter answers: the family is refused before the kernel sees it, and nothing
            // is ever connected.
            (libc::SYS_socket, [high | libc::AF_VSOCK as u64, 1, 0], libc::EAFNOSUPPORT),
            (libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 15], libc::EPROTONOSUPPORT),
            (libc::SYS_socket, [libc::AF_UNIX as u64, 1, 0], 0),
            (libc::SYS_personality, [0x4_0000, 0, 0], libc::EPERM),
            // An address that the kernel could not read: the filter alone says 0.
            (libc::SYS_prlimit64, [0, u64::from(libc::RLIMIT_CORE), 8], 0),
            (libc::SYS_setrlimit, [u64::from(libc::RLIMIT_CORE), 8, 0], 0),
            (libc::SYS_prlimit64, [0, u64::from(libc::RLIMIT_CORE), 0], 0),
            (libc::SYS_mount, [0, 0, 0], libc::EPERM),
            (499, [0, 0, 0], libc::ENOSYS),
            (i64::from(Abi::X32_BIT) | 39, [0, 0, 0], libc::ENOSYS),
        ];
        let wrong = tries
            .iter()
            .position(|(number, arguments, errno)| try_call(*number, *arguments) != *errno);
        wrong.map_or(0, |index| index as i32 + 1)
    });
    assert_eq!(failed, 0, "the number of the try whose errno was another, from 1");
}

/// `int $0x80` reaches the 32-bit table, whose numbers mean other calls.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_call_kills() {
    let status = under(&default(&Needs::default()), || {
        let result: i64;
        // SAFETY: 20 is getpid of i386, which touches no memory.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        i32::from(result > 0)
    });
    assert!([1000 + libc::SIGSYS, 1000 + libc::SIGSEGV].contains(&status), "{status}");
}
