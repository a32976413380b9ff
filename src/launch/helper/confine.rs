//! How a fork of the launcher becomes a process that may do nothing but its work: it leaves the
//! launcher's session, signals, words and descriptors, its ids and capabilities, has Landlock and a
//! filter of its own calls.

use super::End;
use crate::policy::landlock;
use crate::policy::seccomp::{self, Compare, Filter, Rule, Test, Verdict, Width};
use crate::sys::{self, Program, Sets};
use std::ffi::CStr;
use std::os::fd::RawFd;

/// What differs from helper to helper.
#[derive(Debug)]
pub struct Confinement {
    /// The user and group that it becomes, where root starts the sandbox; it has no other groups.
    pub ids: Option<(u32, u32)>,
    /// The capabilities that it keeps, of those that it has (bits of capabilities(7)).
    pub capabilities: u64,
    /// The one directory below which it may read files.
    pub reads: Option<&'static CStr>,
    /// Whether it restricts itself in its work, for which it needs more until then.
    pub is_later: bool,
}

/// System calls, each with when it is allowed.
pub type Calls = Vec<(&'static str, Rule)>;

/// The first part, while it may do anything: what it has of the launcher goes, but these
/// descriptors. It gives a descriptor of the directory that it reads, or -1.
pub(in crate::launch) fn leave_the_launcher(
    name: &CStr,
    confinement: &Confinement,
    keep: &mut [RawFd],
) -> sys::Result<RawFd> {
    // Out of the terminal's sight, so that its signals go to the launcher and the target alone.
    sys::setsid()?;
    sys::set_signal_mask(!0)?;
    sys::wipe_strings(b"");
    sys::prctl(libc::PR_SET_NAME, name.as_ptr() as u64, 0)?;
    sys::close_all_but(keep)?;
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    confinement.reads.map_or(Ok(-1), |path| sys::openat(libc::AT_FDCWD, path, flags, 0))
}

/// The second part: its rights go. It gives the descriptor of the directory again; -1 where there
/// is no Landlock to keep it to that one.
pub(super) fn give_up_rights(
    confinement: &Confinement,
    end: End,
    directory: RawFd,
) -> sys::Result<RawFd> {
    drop_rights(confinement, end)?;
    let trees = Some(directory).filter(|fd| *fd >= 0);
    let is_restricted = restrict_to(trees, ::landlock::AccessFs::ReadFile as u64)?;
    Ok(if is_restricted { directory } else { -1 })
}

/// Its ids and capabilities go, and no other process may look into it.
pub(in crate::launch) fn drop_rights(confinement: &Confinement, end: End) -> sys::Result {
    if let Some((user, group)) = confinement.ids {
        sys::setgroups(&[])?;
        sys::setresgid(group)?;
        sys::setresuid(user)?;
    }
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    let kept = match confinement.capabilities {
        0 => 0,
        wanted => sys::capget()?.permitted & wanted,
    };
    sys::capset(Sets { effective: kept, permitted: kept, inheritable: 0 })?;
    if end == End::ByItself {
        // A change of ids would take it away again (prctl(2)). A launcher that has died before this
        // has closed its end of the records, and the first record fails.
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    }
    Ok(())
}

/// Landlock, where this kernel has it, which it says: files are used below some directories as
/// `access` says, and none beside them. A process of a domain cannot look into one outside of it
/// (ptrace(2)), so the files of `/proc` that show memory, environment or descriptors stay shut.
pub(in crate::launch) fn restrict_to(
    directories: impl IntoIterator<Item = RawFd>,
    access: u64,
) -> sys::Result<bool> {
    let Ok(abi) = sys::landlock_abi() else { return Ok(false) };
    let all = landlock::strictest(abi);
    let ruleset = sys::landlock_ruleset(all.handled.0, all.ports, all.scoped)?;
    for directory in directories {
        sys::landlock_allow(ruleset, directory, access)?;
    }
    sys::landlock_restrict(ruleset, abi, false)?;
    sys::close(ruleset)?;
    Ok(true)
}

/// The last part.
pub(in crate::launch) fn filter(calls: Calls) -> sys::Result {
    let program = Box::leak(Program::empty());
    program.fill(seccomp::compile(&Filter::only(calls)));
    sys::seccomp_filter(program)
}

/// A call with any arguments.
pub fn any(name: &'static str) -> (&'static str, Rule) {
    (name, Rule::always(Verdict::Allow))
}

/// A call with arguments that are each among some. The kernel reads the low half of each.
pub fn with(name: &'static str, arguments: &[(u8, &[i64])]) -> (&'static str, Rule) {
    let tests = arguments.iter().map(|(argument, values)| Test {
        argument: *argument,
        width: Width::Low,
        compare: Compare::OneOf {
            mask: u64::MAX,
            values: values.iter().map(|value| u64::from(*value as u32)).collect(),
        },
    });
    (name, Rule::always(Verdict::KillProcess).case(tests.collect::<Vec<_>>(), Verdict::Allow))
}
