//! The process that ends a target which is pid 1 itself (`process.init = false`) when the launcher
//! dies.
//!
//! The parent-death signal belongs to a thread: execve(2) from another thread leaves the target
//! without one (prctl(2), PR_SET_PDEATHSIG). This process holds the life pipe, whose other end is
//! the launcher's alone, and the target's pidfd. It is a fork of the launcher, outside of the
//! sandbox's pid namespace and of the launcher's session, so no signal of the target reaches it. It
//! has Landlock without a rule, no capability but CAP_KILL where root starts the sandbox, and a
//! filter of four calls.

use super::answer::leave_the_launcher;
use super::{Failure, own};
use crate::policy::landlock;
use crate::policy::seccomp::{self, Compare, Filter, Rule, Test, Verdict, Width};
use crate::sys::{self, Errno, Sets};
use std::os::fd::RawFd;

/// That process, as the launcher sees it.
#[derive(Debug)]
pub(super) struct Watcher {
    pid: i32,
    /// The launcher's end of the pipe.
    life: RawFd,
    /// Readable once it has ended.
    pub pidfd: RawFd,
}

/// The descriptors that it keeps.
#[derive(Debug, Clone, Copy)]
struct Ends {
    life: RawFd,
    target: RawFd,
    ready: RawFd,
}

impl Watcher {
    /// Starts it, and waits until it is restricted. The target does not run yet: it waits for the
    /// launcher's byte.
    pub(super) fn start(target: RawFd, life: (RawFd, RawFd)) -> Result<Watcher, Failure> {
        let failed = |errno| own("start the process that ends the target with the launcher", errno);
        let ready = sys::pipe().map_err(failed)?;
        let mut pidfd = -1;
        let pid = match sys::clone_process(0, &mut pidfd, None).map_err(failed)? {
            0 => run(life.1, Ends { life: life.0, target, ready: ready.1 }),
            pid => pid,
        };
        let watcher = Watcher { pid, life: life.1, pidfd };
        let closed = sys::close(ready.1);
        match closed.and_then(|()| receive(ready.0)) {
            Ok(()) => Ok(watcher),
            Err(errno) => {
                watcher.finish();
                Err(failed(errno).into())
            }
        }
    }

    /// Ends it, once the sandbox has ended.
    pub(super) fn finish(self) {
        // Each of the two ends it, and one that has ended already is waited for all the same.
        sys::regardless(sys::close(self.life));
        sys::regardless(sys::signal_pidfd(self.pidfd, libc::SIGKILL));
        sys::regardless(sys::wait_for(self.pid));
    }
}

/// What it says once it is restricted: the errno that kept it from that, or 0.
fn receive(ready: RawFd) -> sys::Result {
    let mut errno = [0; 4];
    match sys::read(ready, &mut errno)? {
        4 if errno == [0; 4] => sys::close(ready),
        4 => Err(Errno(i32::from_ne_bytes(errno))),
        _ => Err(Errno(libc::EPIPE)),
    }
}

fn run(others_end: RawFd, ends: Ends) -> ! {
    let _ends_here = sys::NoWayBack;
    // A life pipe that this process can write to itself would never end.
    let restricted = sys::close(others_end).and_then(|()| restrict(ends));
    let errno = restricted.map_or_else(|Errno(errno)| errno, |()| 0);
    // A launcher that is dead hears nothing; the end of its pipe says so.
    sys::regardless(sys::write_all(ends.ready, &errno.to_ne_bytes()));
    if errno != 0 {
        sys::exit(125);
    }
    loop {
        match sys::wait_for_hangup(ends.life) {
            Ok(()) => break,
            Err(Errno(libc::EINTR)) => {}
            // The launcher sees this process end, and ends the sandbox.
            Err(_) => sys::exit(125),
        }
    }
    // A target that has ended needs no end.
    sys::regardless(sys::signal_pidfd(ends.target, libc::SIGKILL));
    sys::exit(0)
}

const CAP_KILL: u64 = 1 << 5;

fn restrict(ends: Ends) -> sys::Result {
    leave_the_launcher(c"stockade-watch", &mut [ends.life, ends.target, ends.ready])?;
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    // A target of root's in the host's user namespace may have other ids by a capability that it
    // keeps (kill(2)).
    let kill = sys::capget()?.permitted & CAP_KILL;
    sys::capset(Sets { effective: kill, permitted: kill, inheritable: 0 })?;
    if let Ok(abi) = sys::landlock_abi() {
        let all = landlock::strictest(abi);
        let ruleset = sys::landlock_ruleset(all.handled.0, all.ports, all.scoped)?;
        sys::landlock_restrict(ruleset, abi, false)?;
        sys::close(ruleset)?;
    }
    let program = Box::leak(sys::Program::empty());
    program.fill(seccomp::compile(&own_filter(ends)));
    sys::seccomp_filter(program)
}

/// What it calls from here on.
fn own_filter(ends: Ends) -> Filter {
    let is = |argument, value: i32| Test {
        argument,
        width: Width::Low,
        compare: Compare::OneOf { mask: u64::MAX, values: vec![value as u64] },
    };
    let when = |tests: Vec<Test>| Rule::always(Verdict::KillProcess).case(tests, Verdict::Allow);
    Filter::only(vec![
        ("ppoll", Rule::always(Verdict::Allow)),
        ("exit_group", Rule::always(Verdict::Allow)),
        ("write", when(vec![is(0, ends.ready)])),
        ("pidfd_send_signal", when(vec![is(0, ends.target), is(1, libc::SIGKILL)])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_make_four_calls() {
        let filter = own_filter(Ends { life: 3, target: 4, ready: 5 });
        let allowed = |name: &str, arguments| {
            filter.judge(crate::kernel::syscalls::number(name).unwrap(), &arguments)
                == Verdict::Allow
        };
        assert!(
            allowed("pidfd_send_signal", [4, libc::SIGKILL as u64, 0, 0, 0, 0])
                && allowed("write", [5, 0, 4, 0, 0, 0])
        );
        assert!(
            !allowed("pidfd_send_signal", [3, libc::SIGKILL as u64, 0, 0, 0, 0])
                && !allowed("write", [3, 0, 4, 0, 0, 0])
        );
        assert!(!allowed("pidfd_send_signal", [4, libc::SIGTERM as u64, 0, 0, 0, 0]));
        for refused in
            ["read", "openat", "execve", "clone", "mmap", "socket", "kill", "ptrace", "prlimit64"]
        {
            assert!(!allowed(refused, [0; 6]), "{refused}");
        }
    }
}
