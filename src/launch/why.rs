//! What a failure means here: the step, the kernel's error in words, the cause that this machine
//! shows, and what to do.

use super::Failure;
use super::cgroup::Wrong;
use super::message::OWN;
use crate::kernel::capability::CapabilitySet;
use crate::kernel::controller::Version;
use crate::kernel::name::Name;
use crate::launch::cause::{self, Barriers};
use crate::launch::registry::Refused;
use crate::plan::Plan;
use crate::policy::name::Named;
use crate::step::{Op, Step};
use crate::sys::{self, Errno};
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;

/// A failure that no step stands for.
pub(super) fn own(what: &str, errno: i32) -> Problem {
    Problem::new("launch::failed", Span::NOWHERE, format!("cannot {what}: {}", errno_words(errno)))
}

/// Pid 1 ended without a word.
pub(super) fn pid_one_ended(code: i32) -> Problem {
    Problem::new(
        "launch::pid-1",
        Span::NOWHERE,
        format!("cannot start the sandbox: its pid 1 ended without a report (status {code})"),
    )
}

/// A signal ended pid 1, and it was none of the target's.
pub(super) fn pid_one_killed(signal: i32) -> Problem {
    let problem = Problem::new(
        "launch::pid-1",
        Span::NOWHERE,
        format!("cannot run the sandbox: signal {signal} ended its pid 1"),
    );
    problem.help_maybe(
        (signal == libc::SIGSEGV).then(|| "its stack may be too small: see ulimit -s".into()),
    )
}

/// Nothing would end the target with the launcher any more.
pub(super) fn watcher_ended() -> Problem {
    Problem::new(
        "launch::failed",
        Span::NOWHERE,
        "cannot go on: the process that ends the target when stockade dies has ended itself",
    )
}

/// A step of the control groups failed.
pub(super) fn group_failed(step: &Step, wrong: &Wrong) -> Problem {
    let problem =
        Problem::new("launch::limits", step.at, format!("cannot {}: {}", step.op, wrong.words()))
            .label("asked for here");
    if let (Op::GroupLimit { value, .. }, Wrong::Errno(Errno(libc::EOPNOTSUPP))) = (&step.op, wrong)
    {
        // `blkio.bfq.weight_device` and `io.weight` begin with the numbers of the disk.
        let disk = value.text().split(' ').next().filter(|disk| disk.contains(':'));
        return problem.help_maybe(disk.map(|disk| {
            format!(
                "the disk's scheduler has no weights; as root give it one: echo bfq \
                 >/sys/dev/block/{disk}/queue/scheduler"
            )
        }));
    }
    if let (Op::GroupLimit { file, value, .. }, Wrong::Reads(_)) = (&step.op, wrong) {
        // The kernel counts whole pages.
        let bytes = value
            .text()
            .parse::<u64>()
            .ok()
            .filter(|bytes| *bytes < 4096 && file.to_string().contains("memory"));
        return problem.help(bytes.map_or_else(
            || "write a value that the kernel takes as it is".into(),
            |bytes| {
                format!(
                    "a bare number is in bytes, and less than a page is none: write \"{bytes}M\" \
                     for MiB"
                )
            },
        ));
    }
    let help = match (&step.op, wrong) {
        (Op::Scope { .. }, Wrong::Errno(Errno(libc::ETIMEDOUT))) => {
            "see what systemd is busy with: systemctl --user list-jobs"
        }
        (Op::Scope { .. }, _) => "start it in a unit with Delegate=yes, or as root",
        (
            Op::Group { .. } | Op::StepAside { .. } | Op::SwitchOn { .. },
            Wrong::Errno(Errno(libc::EACCES | libc::EPERM | libc::EROFS)),
        ) => {
            "start it in a group that is yours (systemd-run --user --scope -p Delegate=yes \
             stockade run ...), or as root"
        }
        (Op::SwitchOn { .. }, Wrong::Errno(Errno(libc::EBUSY))) => {
            "a process came into the group meanwhile: name a group without processes with `parent`"
        }
        (Op::GroupLimit { .. }, Wrong::Errno(Errno(libc::ENOENT))) => {
            "this kernel has no such file for a group: leave the key out"
        }
        (Op::GroupLimit { .. }, Wrong::Errno(Errno(libc::EACCES))) => {
            "the group above allows less than that, or the file is not the caller's to write: \
             start stockade as root"
        }
        (Op::DeviceRules { .. }, Wrong::Errno(Errno(libc::EPERM))) => {
            "rules for devices need root: take `devices` out of `controllers`"
        }
        (Op::DeviceRules { .. }, Wrong::Errno(Errno(libc::EINVAL))) => {
            "the kernel has no BPF for control groups: take `devices` out of `controllers`"
        }
        _ => return problem,
    };
    problem.help(help)
}

/// A step failed.
pub(super) fn step_failed(plan: &Plan, index: usize, Errno(errno): Errno) -> Problem {
    let Some(step) = plan.steps.get(index) else {
        let what =
            if index == OWN as usize { "run pid 1 of the sandbox" } else { "start the sandbox" };
        return own(what, errno);
    };
    if let Op::FindProgram { candidates } = &step.op {
        return not_executed(NO_PROGRAM, plan, candidates, errno);
    }
    let words = match (&step.op, errno) {
        (Op::OpenTree { .. }, libc::ESTALE) => {
            "it is not the file that was there when the profile was checked".into()
        }
        (Op::HostFolder { .. }, libc::ESTALE | libc::ELOOP) => {
            "what is at its path was exchanged after the profile was checked".into()
        }
        (Op::Filter, libc::EBUSY) => {
            "a filter around it is told of denied calls already, and the kernel has one listener \
             for all (seccomp(2))"
                .into()
        }
        (Op::Filter, libc::EPIPE) => "the process that answers for denied calls has ended".into(),
        (Op::RestrictSelf { .. } | Op::Filter | Op::CloseDescriptors { .. }, libc::EBADE) => {
            "the kernel says that this is done, and it is not in force".into()
        }
        (Op::ReadBack { .. }, libc::EPERM) => "they are not what was set".into(),
        (Op::WorkingFolder { .. }, libc::EXDEV) => "it lies outside of the sandbox".into(),
        _ => errno_words(errno),
    };
    let message = match (&step.op, attached_at(plan, &step.op)) {
        (Op::OpenTree { source, .. }, Some(path)) if source.text() != path => {
            format!("cannot bind {source} → {path}: {words}")
        }
        (Op::OpenTree { source, .. }, Some(_)) => format!("cannot bind {source}: {words}"),
        (op, _) => format!("cannot {op}: {words}"),
    };
    Problem::new("launch::step", step.at, message)
        .label("asked for here")
        .help_maybe(step_help(&step.op, errno, plan.root))
}

fn attached_at<'a>(plan: &'a Plan, op: &Op) -> Option<&'a str> {
    let Op::OpenTree { slot, .. } = op else { return None };
    plan.steps.iter().find_map(|step| match &step.op {
        Op::Attach { slot: other, path, .. } if other == slot => Some(path.text()),
        _ => None,
    })
}

fn step_help(op: &Op, errno: i32, plan_is_roots: bool) -> Option<String> {
    let help = match (op, errno) {
        (Op::OpenTree { .. }, libc::EPERM | libc::ENOSYS) if plan_is_roots => {
            let why = "this root has no CAP_SYS_ADMIN over the mounts here (a container's, or one \
                       in a user namespace alone)";
            return Some(format!(
                "{why}: start stockade as an ordinary user, or {}",
                without_namespaces()
            ));
        }
        (Op::NewKeyring, libc::EPERM | libc::ENOSYS) => {
            "a system call filter on stockade itself refuses keyctl(2), as that of containers \
             does; to skip it with a warning: optional = [\"keyring\"]"
        }
        (Op::OpenTree { .. }, libc::EINVAL) => {
            "mounts below it are locked together here: leave `recursive` true"
        }
        (Op::OpenTree { .. }, libc::ENOENT | libc::ENOTDIR) => {
            "make it, or let the entry go where it is absent: missing = \"skip\""
        }
        (Op::OpenTree { .. }, libc::ESTALE)
        | (Op::HostFolder { .. }, libc::ESTALE | libc::ELOOP) => {
            "somebody exchanged it meanwhile; run again"
        }
        (Op::OpenTree { .. }, libc::EMFILE) => "raise the limit of open files: ulimit -n 4096",
        (Op::IdMapMount { .. }, libc::EINVAL) => return Some(cause::no_idmap().to_string()),
        (Op::IdMapMount { .. }, libc::EPERM) => return Some(cause::foreign_idmap().to_string()),
        (Op::Proc { only_processes, .. }, libc::EPERM) => {
            return Some(cause::masked_proc(*only_processes).to_string());
        }
        (Op::Sysfs { .. }, libc::EPERM) => return Some(cause::masked_sysfs().to_string()),
        (Op::ForbidNamespaces { .. } | Op::OpenLimit { .. }, libc::EROFS) => {
            return Some(cause::read_only_proc_sys().to_string());
        }
        (Op::Pivot, libc::EINVAL) => return Some(cause::no_pivot().to_string()),
        (Op::TimeNamespace { .. }, libc::ERANGE) => "an offset would make the clock negative",
        (Op::Filter, libc::EBUSY) => {
            "run without --explain, and without `notify` in [seccomp.rules]; or leave them out \
             around this sandbox"
        }
        (Op::WriteOnlyStream { .. }, libc::EACCES) => {
            "the terminal is another user's (su, sudo -u): give the target a pipe: stockade run \
             ... 2>&1 | cat"
        }
        (Op::OomScoreAdj { .. }, libc::EACCES | libc::EPERM) => "only root may lower it",
        (Op::Nice { .. }, libc::EACCES | libc::EPERM) => {
            "only root may lower it, or raise RLIMIT_NICE first"
        }
        (Op::Scheduler { .. }, libc::EPERM) => "real-time policies need root or RLIMIT_RTPRIO",
        (Op::Rlimit { .. }, libc::EPERM) => return Some(cause::hard_limit().to_string()),
        (Op::LandlockRule { path, .. }, libc::EACCES) => {
            let path = shell_word(path.text());
            return Some(format!(
                "the target's user may not search a directory above it: run it where this user may \
                 come (namei -l {path} shows each directory), or name the user whom the closed one \
                 belongs to, with `user` and `group` in [identity]"
            ));
        }
        (Op::WorkingFolder { .. }, _) => "set process.cwd to a directory that the profile grants",
        (Op::Ids { .. } | Op::Groups { .. }, libc::EINVAL) => {
            "a user namespace that is joined has no ids but those of its own map: cat \
             /proc/PID/uid_map of a process in it, and of gid_map"
        }
        (Op::Groups { .. }, libc::EPERM) => {
            "setgroups(2) is denied in the user namespace that is joined: join one that \
             newgidmap(1) mapped, such as a rootless container's"
        }
        (Op::JoinNamespace { .. }, libc::EPERM) => {
            "joining a namespace needs root over the user namespace that owns it"
        }
        // Where the kernel shares out real-time scheduling by groups, a new one has no share
        // (sched-rt-group.rst).
        (Op::EnterGroup { .. }, libc::EINVAL) => {
            "a real-time process cannot enter it: start stockade under the ordinary scheduler \
             (chrt --other 0)"
        }
        (Op::CloseDescriptors { .. }, libc::EBADF) => {
            "name in pass-fds only descriptors that are open when stockade starts"
        }
        (Op::Capabilities { keep, .. }, libc::EPERM) => return lacking(keep.0),
        (Op::PrivateMounts | Op::Root { .. } | Op::HostName { .. }, libc::EPERM | libc::EACCES) => {
            return user_namespace_cause();
        }
        (_, libc::ENOSPC)
            if matches!(op, Op::File { .. } | Op::CoverFile { .. } | Op::Dir { .. }) =>
        {
            "the file system in memory is full: give it a larger size"
        }
        _ => return None,
    };
    Some(help.into())
}

/// The sandbox could not have its name.
pub(super) fn not_named(named: &Named, refused: &Refused) -> Problem {
    let name = &named.name.value;
    let (why, help) = match refused {
        Refused::Taken => (
            "a running sandbox has it".into(),
            format!("give this one another name, or end that one: stockade kill {name}"),
        ),
        Refused::Foreign => (
            format!("{} is not the caller's alone", named.folder),
            format!("see who made it: ls -ld {}", named.folder),
        ),
        Refused::Io(error) => {
            let words = error.raw_os_error().map_or_else(|| error.to_string(), errno_words);
            (
                format!("{}: {words}", named.folder),
                "leave `name` out, or see that the directory can be written".into(),
            )
        }
    };
    Problem::new("launch::name", named.name.at, format!("cannot name the sandbox `{name}`: {why}"))
        .help(help)
}

/// Capabilities that are to be kept, and that this root does not have: a container's, or one of a
/// service with a bounding set.
fn lacking(keep: u64) -> Option<String> {
    let lacks = CapabilitySet(keep & !sys::capget().ok()?.permitted);
    (lacks.0 != 0).then(|| format!("this root does not have them itself: {lacks}"))
}

/// clone3(2) failed: names the cause that this machine shows.
pub(super) fn clone_failed(plan: &Plan, Errno(errno): Errno) -> Problem {
    let group =
        plan.steps.iter().find(|step| matches!(step.op, Op::Group { version: Version::V2, .. }));
    if let (Some(group), libc::EACCES | libc::EBUSY | libc::EOPNOTSUPP) = (group, errno) {
        let message =
            format!("cannot start the sandbox in its control group: {}", errno_words(errno));
        let help = "start it in a group of its own: systemd-run --user --scope -p Delegate=yes \
                    stockade run ...";
        return Problem::new("launch::limits", group.at, message)
            .label("asked for here")
            .help(help);
    }
    let at = plan
        .new
        .iter()
        .map(|kind| plan.choice.at(*kind))
        .find(|at| at.is_somewhere())
        .unwrap_or_default();
    let names: Vec<&str> = plan.new.iter().map(|kind| kind.word()).collect();
    let call = if errno == libc::ENOSYS { "clone3(2): " } else { "" };
    let cause = Barriers::read().of_clone(&plan.new, errno);
    let help = cause.map_or("see clone(2)".into(), |cause| cause.to_string());
    if names.is_empty() {
        return Problem::new(
            "launch::namespaces",
            at,
            format!("cannot make the sandbox's first process: clone(2): {}", errno_words(errno)),
        )
        .help(help);
    }
    let message =
        format!("cannot make the namespaces {}: {call}{}", names.join(", "), errno_words(errno));
    Problem::new("launch::namespaces", at, message)
        .help(format!("{help}; or {}", without_namespaces()))
}

/// The other way, where a machine forbids namespaces.
fn without_namespaces() -> String {
    format!(
        "run it without namespaces, with the network and the names of the host: {}",
        cause::WITHOUT_NAMESPACES
    )
}

fn user_namespace_cause() -> Option<String> {
    Barriers::read().user_namespaces().map(|cause| cause.to_string())
}

/// An id map was refused.
pub(super) fn map_failed(file: &str, Errno(errno): Errno) -> Problem {
    let problem = Problem::new(
        "launch::id-map",
        Span::NOWHERE,
        format!("cannot write {file} of the user namespace: {}", errno_words(errno)),
    );
    problem.help_maybe(user_namespace_cause().or_else(|| {
        let words = || match nix::unistd::geteuid().is_root() {
            true => {
                let effective = sys::capget().map_or(0, |sets| sets.effective);
                cause::no_further_ids(effective, cause::is_in_first_user_namespace()).to_string()
            }
            false => "the ids are not the caller's to map: an ordinary user maps its own id, or \
                      subordinate ranges with \"auto\""
                .into(),
        };
        (errno == libc::EPERM).then(words)
    }))
}

/// The code of a rehearsal that did not find the program.
pub(crate) const NO_PROGRAM: &str = "launch::program";

/// The code of a launch that came as far as execve(2).
pub(super) const NOT_EXECUTED: &str = "launch::exec";

/// The target could not be executed: 127 where it is not there, 126 where it may not be run.
pub(super) fn exec_failed(plan: &Plan, errno: i32) -> Failure {
    let problem = not_executed(NOT_EXECUTED, plan, &plan.exec.candidates, errno);
    let not_found = matches!(errno, libc::ENOENT | libc::ENOTDIR);
    Failure { problem: Box::new(problem), status: if not_found { 127 } else { 126 } }
}

fn not_executed(code: &'static str, plan: &Plan, candidates: &[Name], errno: i32) -> Problem {
    let program = plan.exec.argv.first().map_or("", |word| word.text());
    let problem =
        Problem::new(code, plan.exec.at, format!("cannot run `{program}`: {}", errno_words(errno)))
            .label("the program");
    let help = match errno {
        libc::ENOENT if candidates.len() == 1 => {
            format!(
                "see that the profile grants {} inside, with its interpreter and libraries",
                candidates[0]
            )
        }
        libc::ENOENT | libc::ENOTDIR => {
            let folders: Vec<String> = candidates
                .iter()
                .map(|path| crate::language::value::parent(path.text()).to_owned())
                .collect();
            format!(
                "it was looked for inside in {}; see that the profile grants it, its interpreter \
                 and libraries (extends = [\"base\"] does for most)",
                folders.join(", ")
            )
        }
        libc::EACCES => {
            "it is not executable, lies on a noexec mount, or its loader is not granted".into()
        }
        libc::ENOEXEC => "it is no program: a script needs a first line such as #!/bin/sh".into(),
        libc::E2BIG => "the command and the environment are too long".into(),
        _ => return problem,
    };
    problem.help(help)
}
