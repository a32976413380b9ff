//! What a process of a launch does to itself: namespaces, ids, capabilities, limits, streams,
//! Landlock, the filter.
//!
//! Part of what runs between clone and exec: raw system calls and nothing else (see
//! [`super::child`]).

use super::digits::decimal;
use super::prepare::Prepared;
use super::program;
use super::proof::NOT_IN_FORCE;
use super::terminal::Inherited;
use crate::host::streams::Anew;
use crate::kernel::capability::LAST_SURE;
use crate::kernel::namespace::Kind;
use crate::probe::open_anew;
use crate::step::ProcessOp;
use crate::sys::{self, Errno, Result, Sets};
use std::ffi::CStr;
use std::os::fd::RawFd;

pub(super) fn apply(op: &ProcessOp, prepared: &mut Prepared) -> Result {
    match op {
        ProcessOp::JoinNamespace { kind, path } => {
            // setns(2) refuses other files; opening a FIFO would wait for a writer before that.
            let fd = sys::openat(
                libc::AT_FDCWD,
                path.as_c_str(),
                libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY,
                0,
            )?;
            sys::setns(fd, kind.flag())?;
            prepared.done_with(fd)
        }
        ProcessOp::EnterGroup { slot } => {
            // The one thread of this process moves itself: `tasks` takes no lock of all thread
            // groups, as `cgroup.procs` does.
            sys::write_all(prepared.slots[slot.0], b"0")?;
            prepared.done_with(prepared.slots[slot.0])
        }
        ProcessOp::CgroupNamespace => sys::unshare(Kind::Cgroup.flag()),
        ProcessOp::TimeNamespace { monotonic, boottime } => time_namespace(*monotonic, *boottime),
        ProcessOp::OomScoreAdj { score } => {
            write_number(c"/proc/self/oom_score_adj", i64::from(*score))
        }
        ProcessOp::ForbidNamespaces { kind } => write_number(kind.limit(), 0),
        ProcessOp::OpenLimit { slot, kind } => {
            prepared.slots[slot.0] = sys::openat(libc::AT_FDCWD, kind.limit(), libc::O_WRONLY, 0)?;
            Ok(())
        }
        ProcessOp::WriteLimit { slot, .. } => {
            sys::write_all(prepared.slots[slot.0], b"0")?;
            prepared.done_with(prepared.slots[slot.0])
        }
        ProcessOp::Groups { groups } => sys::setgroups(groups),
        ProcessOp::Ids { user, group } => {
            sys::setresgid(*group).and_then(|()| sys::setresuid(*user))
        }
        ProcessOp::FileIds { user, group } => sys::setfsids(*user, *group),
        ProcessOp::Loopback => sys::loopback_up(),
        ProcessOp::HostName { name } => sys::sethostname(name.as_c_str().to_bytes()),
        ProcessOp::DomainName { name } => sys::setdomainname(name.as_c_str().to_bytes()),
        ProcessOp::LandlockStream { fd, rights } => {
            sys::landlock_allow(prepared.ruleset, *fd as RawFd, rights.0)
        }
        ProcessOp::LandlockPort { access, port } => {
            sys::landlock_allow_port(prepared.ruleset, *port, *access)
        }
        ProcessOp::RestrictSelf { audit } => {
            let (landlocked, abi) = prepared.landlocked;
            sys::landlock_restrict(prepared.ruleset, abi, *audit)?;
            landlocked.prove(prepared.backstage)
        }
        ProcessOp::Filter => {
            match &mut prepared.handover {
                None => sys::seccomp_filter(&prepared.program)?,
                Some(handover) => handover.hand_over(&prepared.program)?,
            }
            prepared.filtered.prove()
        }
        ProcessOp::Bounding { keep } => drop_bounding(keep.0),
        ProcessOp::KeepCapabilities => sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop),
        ProcessOp::Capabilities { keep, ambient, bits, raise } => {
            limit_capabilities(keep.0, ambient.0, *bits, *raise)
        }
        ProcessOp::NoNewPrivs => sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop),
        ProcessOp::Session { new: true } => sys::setsid(),
        ProcessOp::Session { new: false } => {
            sys::setpgid(0, 0)?;
            prepared.terminal.map_or(Ok(()), Inherited::begin)
        }
        ProcessOp::WriteOnlyStream { fd, by } => take_input(*fd as RawFd, *by),
        ProcessOp::NullStream { fd } => sys::dup_onto(prepared.null, *fd as RawFd),
        ProcessOp::FileStream { fd, .. } => {
            sys::dup_onto(prepared.streams[*fd as usize], *fd as RawFd)
        }
        ProcessOp::NewKeyring => sys::new_session_keyring(),
        ProcessOp::Umask { mask } => sys::umask(mask.0).map(drop),
        ProcessOp::Nice { value } => sys::set_nice(*value),
        ProcessOp::IoPriority { value } => sys::set_io_priority(*value),
        ProcessOp::Scheduler { policy, priority } => sys::set_scheduler(*policy, *priority),
        ProcessOp::WorkingDirectory { path } => {
            sys::chdir(path.as_c_str())?;
            if sys::cwd_is_below_root()? { Ok(()) } else { Err(Errno(libc::EXDEV)) }
        }
        ProcessOp::FindProgram { candidates } => program::find(candidates),
        ProcessOp::Rlimit { resource, soft, hard, .. } => sys::set_rlimit(*resource, *soft, *hard),
        ProcessOp::FreshState => fresh_state(prepared),
        ProcessOp::CloseDescriptors { keep } => {
            sys::keep_over_exec(prepared.spare)?;
            sys::close_on_exec_from(3)?;
            if !sys::closes_on_exec(prepared.spare)? {
                return Err(NOT_IN_FORCE);
            }
            for fd in keep {
                sys::keep_over_exec(*fd as RawFd)?;
            }
            Ok(())
        }
        ProcessOp::ReadBack { keep, ambient, no_new_privs, ids } => {
            read_back(keep.0, ambient.0, *no_new_privs, *ids)
        }
    }
}

fn take_input(fd: RawFd, by: Anew) -> Result {
    let flags = sys::open_flags(fd)?;
    let anew = open_anew(fd, by)?;
    sys::set_open_flags(anew, flags)?;
    sys::dup_onto(anew, fd)?;
    sys::close(anew)
}

fn time_namespace(monotonic: i64, boottime: i64) -> Result {
    // A child that clone3 puts into a new time namespace finds its offsets frozen, so the namespace
    // is unshared (time_namespaces(7)).
    sys::unshare(Kind::Time.flag())?;
    let fd = sys::openat(libc::AT_FDCWD, c"/proc/self/timens_offsets", libc::O_WRONLY, 0)?;
    for (clock, millis) in [(c"monotonic ", monotonic), (c"boottime ", boottime)] {
        let mut line = [0u8; 64];
        let mut digits = [0; 24];
        let mut length = 0;
        let mut push = |bytes: &[u8]| {
            line[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        push(clock.to_bytes());
        if millis.div_euclid(1000) < 0 {
            push(b"-");
        }
        push(decimal(&mut digits, millis.div_euclid(1000).unsigned_abs()).to_bytes());
        push(b" ");
        push(decimal(&mut digits, millis.rem_euclid(1000) as u64 * 1_000_000).to_bytes());
        push(b"\n");
        sys::write_all(fd, &line[..length])?;
    }
    sys::close(fd)
}

fn write_number(path: &CStr, number: i64) -> Result {
    let fd = sys::openat(libc::AT_FDCWD, path, libc::O_WRONLY, 0)?;
    let mut digits = [0; 24];
    if number < 0 {
        digits[0] = b'-';
    }
    let mut rest = [0; 24];
    let text = decimal(&mut rest, number.unsigned_abs()).to_bytes();
    let sign = usize::from(number < 0);
    digits[sign..sign + text.len()].copy_from_slice(text);
    // The descriptor goes with all others before the target runs.
    sys::write_all(fd, &digits[..sign + text.len()])
}

/// Drops all but `keep`, up to the last that the kernel knows, so that a capability newer than any
/// table goes as well.
fn drop_bounding(keep: u64) -> Result {
    for cap in 0..64 {
        if keep & 1 << cap != 0 {
            continue;
        }
        match sys::prctl(libc::PR_CAPBSET_DROP, cap, 0) {
            Ok(_) => {}
            // The end of the kernel's list, confirmed by another call, lest a single failing one
            // pass for it.
            Err(Errno(libc::EINVAL))
                if cap > u64::from(LAST_SURE)
                    && sys::prctl(libc::PR_CAPBSET_READ, cap, 0) == Err(Errno(libc::EINVAL)) =>
            {
                return Ok(());
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

const CAP_SETPCAP: u64 = 1 << 8;

fn limit_capabilities(keep: u64, ambient: u64, securebits: u32, raise: bool) -> Result {
    if raise {
        let meanwhile = keep | CAP_SETPCAP;
        sys::capset(Sets { effective: meanwhile, permitted: meanwhile, inheritable: keep })?;
        sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
        for cap in (0..64).filter(|cap| ambient & 1 << cap != 0) {
            sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, cap)?;
        }
    }
    sys::prctl(libc::PR_SET_SECUREBITS, u64::from(securebits), 0)?;
    // A capability that is neither permitted nor inheritable leaves the ambient set as well
    // (capabilities(7)).
    sys::capset(Sets { effective: keep, permitted: keep, inheritable: keep })
}

/// Signal actions, mask and personality of a fresh process. Handlers go at exec by themselves; what
/// is ignored would stay.
fn fresh_state(prepared: &Prepared) -> Result {
    for signal in (1..=64).filter(|signal| prepared.ignored & sys::signal_bit(*signal) != 0) {
        sys::default_action(signal)?;
    }
    sys::reset_personality()?;
    if prepared.file_limit_raised {
        sys::set_rlimit(libc::RLIMIT_NOFILE, prepared.file_limit.0, prepared.file_limit.1)?;
    }
    sys::set_signal_mask(0).map(drop)
}

fn read_back(keep: u64, ambient: u64, no_new_privs: bool, ids: (u32, u32)) -> Result {
    let sure = |right: bool| if right { Ok(()) } else { Err(Errno(libc::EPERM)) };
    sure(sys::capget()? == Sets { effective: keep, permitted: keep, inheritable: keep })?;
    for cap in (0..64).filter(|cap| ambient & 1 << cap != 0) {
        sure(sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as u64, cap)? == 1)?;
    }
    sure(sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == i32::from(no_new_privs))?;
    let (user, group) = ids;
    sure(sys::ids()? == [user, user, user, group, group, group])
}
