//! What a failure means here: the step, the kernel's error in words, the cause that this machine
//! shows, and what to do.

mod steps;

use super::Failure;
use crate::kernel::name::Name;
use crate::launch::cause::{self, Barriers};
use crate::launch::registry::Refused;
use crate::plan::Plan;
use crate::sys::{self, Errno};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
pub(super) use steps::{group_failed, ids_not_held, mount_not_mapped, step_failed, unanswered};

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
pub(super) fn pid_one_killed(plan: &Plan, signal: i32) -> Problem {
    // The memory killer takes the process that fills it.
    let copied = plan.tree().find(|(op, _)| signal == libc::SIGKILL && op.facets().fills_memory);
    let problem = Problem::new(
        "launch::pid-1",
        copied.map_or(Span::NOWHERE, |(_, at)| at),
        format!("cannot run the sandbox: signal {signal} ended its pid 1"),
    );
    let help = match signal {
        libc::SIGSEGV => Some("its stack may be too small: see ulimit -s"),
        _ => copied.map(|_| {
            "limits.memory counts what is copied into memory: it may be too small for these layers"
        }),
    };
    problem.help_maybe(help.map(str::to_owned))
}

/// Nothing would end the target with the launcher any more.
pub(super) fn watcher_ended() -> Problem {
    Problem::new(
        "launch::failed",
        Span::NOWHERE,
        "cannot continue: the process that ends the target when stockade dies has ended itself",
    )
}

/// The sandbox could not have its name.
pub(super) fn not_named(name: &str, directory: &str, at: Span, refused: &Refused) -> Problem {
    let (why, help) = match refused {
        Refused::Taken => (
            "a running sandbox has it".into(),
            format!("give this one another name, or end that one: stockade kill {name}"),
        ),
        Refused::Foreign => (
            format!("{directory} is not the caller's alone"),
            format!("see who made it: ls -ld {directory}"),
        ),
        Refused::Io(error) => {
            let words = error.raw_os_error().map_or_else(|| error.to_string(), errno_words);
            (
                format!("{directory}: {words}"),
                "leave `name` out, or see that the directory can be written".into(),
            )
        }
    };
    Problem::new("launch::name", at, format!("cannot name the sandbox `{name}`: {why}")).help(help)
}

/// clone3(2) failed: names the cause that this machine shows.
pub(super) fn clone_failed(plan: &Plan, Errno(errno): Errno) -> Problem {
    if let (Some(at), libc::EACCES | libc::EBUSY | libc::EOPNOTSUPP) =
        (plan.group_of_clone(), errno)
    {
        let message =
            format!("cannot start the sandbox in its control group: {}", errno_words(errno));
        let help = "start it in a group of its own: systemd-run --user --scope -p Delegate=yes \
                    stockade run ...";
        return Problem::new("launch::limits", at, message).label("asked for here").help(help);
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
        .help(format!("{help}; or {}", cause::without_namespaces()))
}

/// What to do where the launcher has no descriptor left: nothing of what it would look at can be
/// opened.
pub(super) const MORE_FILES: &str = "raise the limit of open files: ulimit -n 4096";

fn user_namespace_cause() -> Option<String> {
    let cause = Barriers::read().user_namespaces();
    cause.map(|cause| format!("{cause}; or {}", cause::without_namespaces()))
}

/// An id map was refused.
pub(super) fn map_failed(file: &str, Errno(errno): Errno) -> Problem {
    let problem = Problem::new(
        "launch::id-map",
        Span::NOWHERE,
        format!("cannot write {file} of the user namespace: {}", errno_words(errno)),
    );
    if errno == libc::EMFILE {
        return problem.help(MORE_FILES);
    }
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
            let directories: Vec<String> = candidates
                .iter()
                .map(|path| crate::language::value::parent(path.text()).to_owned())
                .collect();
            format!(
                "it was looked for inside in {}; see that the profile grants it, its interpreter \
                 and libraries (extends = [\"base\"] does for most)",
                directories.join(", ")
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
