//! The floor: the bare system calls of the sandbox that this bench measures, and nothing else.
//!
//! It reads no profile, checks nothing and explains nothing, so no launcher of the same sandbox can
//! be much faster; it is no sandbox to rely on. It takes stockade's way: one clone3 for all
//! namespaces, the id maps by the parent, the new mount API, a pid 1 that shares its memory with
//! the target until that has exec'ed. Being part of the bench it is a static Rust program, as
//! stockade is: the runtime's start is in both.
#![allow(unsafe_code)]

mod groups;
mod mounts;
mod walls;

pub use groups::Groups;

use std::ffi::{CString, OsString, c_char, c_int, c_long, c_void};
use std::io::Error;
use std::os::unix::ffi::OsStringExt;
use std::process::exit;

/// One system call; a failure ends the process.
macro_rules! call {
    ($number:ident $(, $arg:expr)* $(,)?) => {
        // SAFETY: the arguments are integers, or pointers to values that live until the call
        // returns, of the type that the kernel's prototype of this call names.
        $crate::floor::must(stringify!($number), unsafe { libc::syscall(libc::$number $(, $arg)*) })
    };
}
use call;

/// Ends the process when a call failed.
fn must(name: &str, value: c_long) -> c_long {
    if value < 0 {
        eprintln!("floor: {name}: {}", Error::last_os_error());
        exit(125);
    }
    value
}

fn close(fd: c_int) {
    call!(SYS_close, fd);
}

/// Who the target is: its id inside, the id that this is on the host, and whether the caller is
/// root.
#[derive(Clone, Copy)]
struct Ids {
    inside: (u32, u32),
    host: (u32, u32),
    root: bool,
}

impl Ids {
    /// An ordinary user stays who it is; root becomes 1000 on an id that nothing else uses.
    fn choose() -> Ids {
        let own = (call!(SYS_getuid) as u32, call!(SYS_getgid) as u32);
        if own.0 != 0 {
            return Ids { inside: own, host: own, root: false };
        }
        let unused = 0x7000_0000 + std::process::id() * 16;
        Ids { inside: (1000, 1000), host: (unused, unused), root: true }
    }

    /// Writes the maps of process `pid` (user_namespaces(7)): for a user, only after setgroups is
    /// denied.
    fn map(self, pid: i32) {
        if !self.root {
            write(&format!("/proc/{pid}/setgroups"), "deny");
        }
        write(&format!("/proc/{pid}/uid_map"), &format!("{} {} 1", self.inside.0, self.host.0));
        write(&format!("/proc/{pid}/gid_map"), &format!("{} {} 1", self.inside.1, self.host.1));
    }

    /// Root's child is nobody in its namespace until it takes the mapped ids.
    fn take(self) {
        if self.root {
            call!(SYS_setgroups, 0usize, std::ptr::null::<u32>());
            call!(SYS_setresgid, self.inside.1, self.inside.1, self.inside.1);
            call!(SYS_setresuid, self.inside.0, self.inside.0, self.inside.0);
        }
    }
}

fn write(path: &str, text: &str) {
    if let Err(error) = std::fs::write(path, text) {
        eprintln!("floor: {path}: {error}");
        exit(125);
    }
}

/// Runs the program `command` in the sandbox, in these groups; gives its exit status.
pub fn run(command: &[OsString], groups: Groups) -> i32 {
    let target = Target::new(command);
    let ids = Ids::choose();
    let mut pipe = [0 as c_int; 2];
    call!(SYS_pipe2, pipe.as_mut_ptr(), libc::O_CLOEXEC);
    let pid = clone_all(&groups);
    if pid == 0 {
        close(pipe[1]);
        init(&target, ids, pipe[0], &groups);
    }
    close(pipe[0]);
    ids.map(pid);
    call!(SYS_write, pipe[1], [1u8].as_ptr(), 1usize);
    let status = wait(pid);
    groups.remove();
    status
}

/// clone3(2) with every namespace but that of the control groups, which begins where pid 1 is by
/// then.
fn clone_all(groups: &Groups) -> i32 {
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    const CLONE_NEWTIME: u64 = 0x80;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let group = groups.to_clone_into();
    let flags = namespaces as u64 | CLONE_NEWTIME | group.map_or(0, |_| CLONE_INTO_CGROUP);
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    // set_tid, set_tid_size, cgroup.
    let args: [u64; 11] =
        [flags, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0, 0, 0, group.map_or(0, |fd| fd as u64)];
    call!(SYS_clone3, args.as_ptr(), size_of_val(&args)) as i32
}

/// Pid 1: builds the sandbox, starts the target, reaps.
fn init(target: &Target, ids: Ids, go: c_int, groups: &Groups) -> ! {
    let mut byte = 0u8;
    if call!(SYS_read, go, &raw mut byte, 1usize) != 1 {
        exit(125);
    }
    groups.enter();
    ids.take();
    mounts::loopback();
    mounts::build();
    walls::drop_capabilities();
    call!(SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
    call!(SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    exit(wait(target.spawn()))
}

/// Waits until `pid` ends, reaping whoever else does; gives its status as a shell has it.
fn wait(pid: i32) -> i32 {
    loop {
        let mut status = 0;
        let ended = call!(SYS_wait4, -1, &raw mut status, 0, std::ptr::null_mut::<c_void>()) as i32;
        if ended == pid {
            return if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
        }
    }
}

/// The program to run, as execve(2) takes it.
struct Target {
    words: Vec<CString>,
    argv: Vec<*const c_char>,
}

impl Target {
    fn new(command: &[OsString]) -> Target {
        let words: Vec<CString> =
            command.iter().filter_map(|word| CString::new(word.clone().into_vec()).ok()).collect();
        let argv = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        Target { words, argv }
    }

    /// clone(2) with a shared address space and a stack of its own; returns once the target has
    /// exec'ed.
    fn spawn(&self) -> i32 {
        let mut stack = vec![0u8; 64 << 10];
        let end = stack.as_mut_ptr_range().end;
        let top = end.wrapping_sub(end as usize % 16);
        let data = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: `stack` is ours alone and outlives the child's use of it, as CLONE_VFORK suspends
        // this thread until the child has exec'ed or ended; `data` is a valid `Target`, which the
        // child only reads.
        let pid = unsafe {
            libc::clone(start, top.cast(), libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, data)
        };
        must("clone", pid.into()) as i32
    }
}

/// The target's side of [`Target::spawn`]. It ends in exec or exit.
extern "C" fn start(data: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes a `Target` that lives until this process has exec'ed.
    let target = unsafe { &*data.cast::<Target>() };
    call!(SYS_setpgid, 0, 0);
    walls::landlock();
    walls::seccomp();
    let environment = [c"PATH=/usr/local/bin:/usr/bin:/bin".as_ptr(), std::ptr::null()];
    call!(SYS_execve, target.words[0].as_ptr(), target.argv.as_ptr(), environment.as_ptr());
    125
}
