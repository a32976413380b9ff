//! What a failure means here: the step, the kernel's error in words, the cause that this machine shows, and what to do.

use super::Failure;
use super::child::OWN;
use crate::plan::Plan;
use crate::policy::namespaces::Kind;
use crate::problem::{Problem, errno_words};
use crate::source::Span;
use crate::step::Op;
use crate::sys::Errno;

/// A failure that no step stands for.
pub fn own(what: &str, errno: i32) -> Problem {
    Problem::new("launch::failed", Span::NOWHERE, format!("cannot {what}: {}", errno_words(errno)))
}

/// Pid 1 ended without a word.
pub fn pid_one_ended(code: i32) -> Problem {
    Problem::new("launch::pid-1", Span::NOWHERE, format!("pid 1 of the sandbox ended without a report (status {code})"))
}

/// A step failed.
pub fn step_failed(plan: &Plan, index: usize, Errno(errno): Errno) -> Problem {
    let Some(step) = plan.steps.get(index) else {
        let what = if index == OWN as usize { "run pid 1 of the sandbox" } else { "start the sandbox" };
        return own(what, errno);
    };
    let words = match (&step.op, errno) {
        (Op::OpenTree { .. }, libc::ESTALE) => "it is not the file that was there when the profile was checked".into(),
        (Op::ReadBack { .. }, libc::EPERM) => "they are not what was set".into(),
        (Op::WorkingFolder { .. }, libc::EXDEV) => "it lies outside of the sandbox".into(),
        _ => errno_words(errno),
    };
    let message = match (&step.op, attached_at(plan, &step.op)) {
        (Op::OpenTree { source, .. }, Some(path)) if source.text() != path => format!("cannot bind {source} → {path}: {words}"),
        (Op::OpenTree { source, .. }, Some(_)) => format!("cannot bind {source}: {words}"),
        (op, _) => format!("cannot {op}: {words}"),
    };
    Problem::new("launch::step", step.at, message).label("asked for here").help_maybe(step_help(&step.op, errno, plan.root))
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
        (Op::OpenTree { .. }, libc::EPERM) if plan_is_roots => {
            "this root has no CAP_SYS_ADMIN over the mounts here (a container's, or one in a user namespace alone): start stockade as an ordinary user"
        }
        (Op::OpenTree { .. }, libc::EINVAL) => "mounts below it are locked together here: leave `recursive` true",
        (Op::OpenTree { .. }, libc::ENOENT | libc::ENOTDIR) => "make it, or let the entry go where it is absent: missing = \"skip\"",
        (Op::OpenTree { .. }, libc::ESTALE) => "somebody exchanged it meanwhile; run again",
        (Op::OpenTree { .. }, libc::EMFILE) => "raise the limit of open files: ulimit -n 4096",
        (Op::IdMapMount { .. }, libc::EINVAL) => {
            "its file system, or one mounted below it, has no idmapped mounts on this kernel: identity.host = true, or access = \"ro\""
        }
        (Op::IdMapMount { .. }, libc::EPERM) => "root of a container cannot map owners: identity.host = true, or access = \"ro\"",
        (Op::Proc { .. }, libc::EPERM) => {
            "this container masks /proc: run it unmasked (podman and docker: --security-opt systempaths=unmasked), or write proc = { subset = \"pid\" } (Linux 7.3 can), or leave /proc out"
        }
        (Op::Sysfs { .. }, libc::EPERM) => "a new sysfs needs a network namespace of the sandbox's own, and an unmasked /sys outside",
        (Op::Pivot, libc::EINVAL) => "the launcher's root is not a mount point (a chroot, or an initramfs): start it from a real root",
        (Op::TimeNamespace { .. }, libc::ERANGE) => "an offset would make the clock negative",
        (Op::OomScoreAdj { .. }, libc::EACCES | libc::EPERM) => "only root may lower it",
        (Op::Nice { .. }, libc::EACCES | libc::EPERM) => "only root may lower it, or raise RLIMIT_NICE first",
        (Op::Scheduler { .. }, libc::EPERM) => "real-time policies need root or RLIMIT_RTPRIO",
        (Op::Rlimit { .. }, libc::EPERM) => "a hard limit cannot be raised above the caller's without root",
        (Op::WorkingFolder { .. }, _) => "set process.cwd to a folder that the profile grants",
        (Op::JoinNamespace { .. }, libc::EPERM) => "joining a namespace needs root over the user namespace that owns it",
        (Op::CloseDescriptors { .. }, libc::EBADF) => "name in pass-fds only descriptors that are open when stockade starts",
        (Op::PrivateMounts | Op::Root { .. } | Op::HostName { .. }, libc::EPERM | libc::EACCES) => return user_namespace_cause(),
        (_, libc::ENOSPC) if matches!(op, Op::File { .. } | Op::CoverFile { .. } | Op::Dir { .. }) => {
            "the file system in memory is full: give it a larger size"
        }
        _ => return None,
    };
    Some(help.into())
}

/// clone3(2) failed: names the cause that this machine shows.
pub fn clone_failed(plan: &Plan, Errno(errno): Errno) -> Problem {
    let at = plan.new.iter().map(|kind| plan.choice.at(*kind)).find(|at| at.is_somewhere()).unwrap_or_default();
    let names: Vec<&str> = plan.new.iter().map(|kind| kind.word()).collect();
    let message = format!("cannot make the namespaces {}: {}", names.join(", "), errno_words(errno));
    let help = match errno {
        libc::ENOSPC | libc::EUSERS => exhausted_limit(plan).unwrap_or_else(|| "namespaces are nested as deep as the kernel allows".into()),
        libc::EPERM | libc::EACCES | libc::ENOSYS => {
            user_namespace_cause().unwrap_or_else(|| "the kernel, or a security module, forbids it here; see its log".into())
        }
        libc::EAGAIN => "no more processes for this user: see ulimit -u, and pids.max of the control group".into(),
        libc::EINVAL => "this kernel is built without one of them".into(),
        _ => "see clone(2)".into(),
    };
    Problem::new("launch::namespaces", at, message).help(help)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn exhausted_limit(plan: &Plan) -> Option<String> {
    let file = |kind: &Kind| match kind {
        Kind::Mount => "max_mnt_namespaces".to_owned(),
        kind => format!("max_{}_namespaces", kind.word()),
    };
    let zero = plan.new.iter().map(file).find(|file| read(&format!("/proc/sys/user/{file}")).as_deref() == Some("0"));
    zero.map(|file| format!("they are forbidden here: sysctl user.{file} is 0; as root: sysctl user.{file}=15000"))
        .or_else(|| Some("a limit of /proc/sys/user is used up: see sysctl user".into()))
}

/// Why an ordinary user cannot have a user namespace here: the first cause that the machine shows.
fn user_namespace_cause() -> Option<String> {
    let status = read("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let chroot = std::fs::metadata("/").ok().zip(std::fs::metadata("/proc/1/root/.").ok()).is_some_and(|(own, first)| {
        use std::os::unix::fs::MetadataExt;
        (own.dev(), own.ino()) != (first.dev(), first.ino())
    });
    let cause = if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        "sysctl user.max_user_namespaces is 0; as root: sysctl user.max_user_namespaces=15000"
    } else if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        "sysctl kernel.unprivileged_userns_clone is 0; as root: sysctl kernel.unprivileged_userns_clone=1"
    } else if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1): give stockade a profile with `userns,`, or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if chroot {
        "the launcher is in a chroot, where the kernel makes no user namespace: start it outside"
    } else if field("Seccomp:") == Some("2") {
        "a system call filter is on the launcher itself (an outer container's): run that container with a filter that allows user namespaces"
    } else {
        return None;
    };
    Some(cause.into())
}

/// An id map was refused.
pub fn map_failed(file: &str, Errno(errno): Errno) -> Problem {
    let problem = Problem::new("launch::id-map", Span::NOWHERE, format!("cannot write {file} of the user namespace: {}", errno_words(errno)));
    problem.help_maybe(user_namespace_cause().or_else(|| {
        (errno == libc::EPERM)
            .then(|| "the ids are not the caller's to map: an ordinary user maps its own id, or subordinate ranges with \"auto\"".into())
    }))
}

/// The target could not be executed: 127 where it is not there, 126 where it may not be run.
pub fn exec_failed(plan: &Plan, errno: i32) -> Failure {
    let program = plan.exec.argv.first().map_or("", |word| word.text());
    let at = plan.exec.at;
    let not_found = matches!(errno, libc::ENOENT | libc::ENOTDIR);
    let mut problem = Problem::new("launch::exec", at, format!("cannot run `{program}`: {}", errno_words(errno))).label("the program");
    let help = match errno {
        libc::ENOENT if plan.exec.candidates.len() == 1 => {
            format!("see that the profile grants {} inside, with its interpreter and libraries", plan.exec.candidates[0])
        }
        libc::ENOENT | libc::ENOTDIR => {
            let folders: Vec<String> = plan.exec.candidates.iter().map(|path| crate::value::parent(path.text()).to_owned()).collect();
            format!(
                "it was looked for inside in {}; see that the profile grants it, its interpreter and libraries (extends = [\"base\"] does for most)",
                folders.join(", ")
            )
        }
        libc::EACCES => "it is not executable, lies on a noexec mount, or its loader is not granted".into(),
        libc::ENOEXEC => "it is no program: a script needs a first line such as #!/bin/sh".into(),
        libc::E2BIG => "the command and the environment are too long".into(),
        _ => String::new(),
    };
    if !help.is_empty() {
        problem = problem.help(help);
    }
    Failure { problem: Box::new(problem), status: if not_found { 127 } else { 126 } }
}
