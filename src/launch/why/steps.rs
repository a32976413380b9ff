//! A step that failed: what it means of each operation, and what to do.
//!
//! Every operation is named, so that a new one is thought of here.

use super::{MORE_FILES, NO_PROGRAM, not_executed, own, user_namespace_cause};
use crate::host::upper::{RECORD, Upper, made_again};
use crate::kernel::capability::CapabilitySet;
use crate::kernel::name::Name;
use crate::language::value::below;
use crate::launch::cause::{self, Barriers};
use crate::launch::cgroup::Wrong;
use crate::launch::message::OWN;
use crate::plan::Plan;
use crate::probe::written;
use crate::step::{GroupOp, Op, OutsideOp, ProcessOp, Step, TreeOp};
use crate::sys::{self, Errno};
use crate::text::bytes;
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use std::path::Path;

/// A step of the control groups failed.
pub(crate) fn group_failed(step: &Step<GroupOp>, wrong: &Wrong) -> Problem {
    let message = format!("cannot {}: {}", step.op, wrong.words());
    Problem::new("launch::limits", step.at, message)
        .label("asked for here")
        .help_maybe(group_help(&step.op, wrong))
}

fn group_help(op: &GroupOp, wrong: &Wrong) -> Option<String> {
    let errno = match wrong {
        Wrong::Errno(Errno(errno)) => *errno,
        Wrong::Reads(_) | Wrong::Says(_) => 0,
    };
    let not_ours = matches!(errno, libc::EACCES | libc::EPERM | libc::EROFS);
    let help = match op {
        GroupOp::Scope { .. } if errno == libc::ETIMEDOUT => {
            "see what systemd is busy with: systemctl --user list-jobs"
        }
        GroupOp::Scope { .. } => "start it in a unit with Delegate=yes, or as root",
        GroupOp::Group { .. } | GroupOp::StepAside { .. } | GroupOp::SwitchOn { .. }
            if not_ours =>
        {
            "start it in a group that is yours (systemd-run --user --scope -p Delegate=yes \
             stockade run ...), or as root"
        }
        GroupOp::SwitchOn { .. } if errno == libc::EBUSY => {
            "a process came into the group meanwhile: name a group without processes with `parent`"
        }
        GroupOp::GroupLimit { file, value, .. } => {
            return limit_help(file.text(), value.text(), wrong);
        }
        GroupOp::DeviceRules { .. } if errno == libc::EPERM => {
            "rules for devices need root: take `devices` out of `controllers`"
        }
        GroupOp::DeviceRules { .. } if errno == libc::EINVAL => {
            "the kernel has no BPF for control groups: take `devices` out of `controllers`"
        }
        GroupOp::Group { .. }
        | GroupOp::StepAside { .. }
        | GroupOp::SwitchOn { .. }
        | GroupOp::DeviceRules { .. }
        | GroupOp::WatchMemory { .. }
        | GroupOp::CpuAccount { .. } => return None,
    };
    Some(help.into())
}

fn limit_help(file: &str, value: &str, wrong: &Wrong) -> Option<String> {
    let help = match wrong {
        // The kernel counts whole pages.
        Wrong::Reads(_) => {
            let bytes = value.parse::<u64>().ok();
            let bytes = bytes.filter(|bytes| *bytes < 4096 && file.contains("memory"));
            return Some(bytes.map_or_else(
                || "write a value that the kernel takes as it is".into(),
                |bytes| {
                    format!(
                        "a bare number is in bytes, and less than a page is none: write \
                         \"{bytes}M\" for MiB"
                    )
                },
            ));
        }
        Wrong::Errno(Errno(libc::EOPNOTSUPP)) => {
            // `blkio.bfq.weight_device` and `io.weight` begin with the numbers of the disk.
            let disk = value.split(' ').next().filter(|disk| disk.contains(':'))?;
            return Some(format!(
                "the disk's scheduler has no weights; as root give it one: echo bfq \
                 >/sys/dev/block/{disk}/queue/scheduler"
            ));
        }
        Wrong::Errno(Errno(libc::ENOENT)) => {
            "this kernel has no such file for a group: leave the key out"
        }
        Wrong::Errno(Errno(libc::EACCES)) => {
            "the group above allows less than that, or the file is not the caller's to write: \
             start stockade as root"
        }
        Wrong::Errno(_) | Wrong::Says(_) => return None,
    };
    Some(help.into())
}

/// The owner of a mount could not be mapped.
pub(crate) fn mount_not_mapped(step: &Step<OutsideOp>, Errno(errno): Errno) -> Problem {
    let help = match errno {
        libc::EINVAL => Some(cause::no_idmap().to_string()),
        libc::EPERM => Some(cause::foreign_idmap().to_string()),
        _ => None,
    };
    Problem::new("launch::step", step.at, format!("cannot {}: {}", step.op, errno_words(errno)))
        .label("asked for here")
        .help_maybe(help)
}

/// Other sandboxes have the host ids, or nothing says that they have not.
pub(crate) fn ids_not_held(step: &Step<OutsideOp>, Errno(errno): Errno) -> Problem {
    let (why, help) = match errno {
        libc::EAGAIN | libc::EACCES => (
            "another sandbox has taken them meanwhile".to_owned(),
            "start it again: it looks for others",
        ),
        errno => (errno_words(errno), "choose ids: identity.host-ids = FIRST"),
    };
    Problem::new("launch::step", step.at, format!("cannot {}: {why}", step.op)).help(help)
}

/// A step of raw system calls failed: the one at this place in the plan.
pub(crate) fn step_failed(plan: &Plan, index: usize, Errno(errno): Errno) -> Problem {
    let Some(step) = plan.steps.get(index) else {
        let what =
            if index == OWN as usize { "run pid 1 of the sandbox" } else { "start the sandbox" };
        return own(what, errno);
    };
    let (message, help) = match &step.op {
        Op::Process(ProcessOp::FindProgram { candidates }) => {
            return not_executed(NO_PROGRAM, plan, candidates, errno);
        }
        Op::Tree(op) => {
            let (words, help) = tree_means(op, errno, plan.root);
            let words = words.map_or_else(|| errno_words(errno), str::to_owned);
            (tree_message(plan, op, &words), help.or_else(|| unmade(plan, op, errno)))
        }
        Op::Process(op) => {
            let (words, help) = process_means(plan, op, errno);
            let words = words.map_or_else(|| errno_words(errno), str::to_owned);
            (format!("cannot {op}: {words}"), help)
        }
    };
    Problem::new("launch::step", step.at, message).label("asked for here").help_maybe(help)
}

fn tree_message(plan: &Plan, op: &TreeOp, words: &str) -> String {
    match plan.binds(op) {
        Some((source, path)) if source != path => {
            format!("cannot bind {source} → {path}: {words}")
        }
        Some((source, _)) => format!("cannot bind {source}: {words}"),
        None => match op.facets().because.and(op.rights()) {
            Some((path, _)) => format!("cannot copy the layers of {}: {words}", path.text()),
            None => format!("cannot {op}: {words}"),
        },
    }
}

/// What is mounted over was removed or replaced by an earlier target, and its upper is kept.
fn unmade(plan: &Plan, op: &TreeOp, errno: i32) -> Option<String> {
    let path = op.rights().map(|(path, _)| path).or(op.facets().held)?;
    let directory = plan.kept_around(path)?;
    let is_gone = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP].contains(&errno);
    is_gone.then(|| made_again(directory.text(), taken_out(directory, path).as_deref()))
}

/// The path, below the top of a kept upper, that hides the layers' at another.
fn taken_out(directory: &Name, path: &Name) -> Option<String> {
    let over = recorded(directory)?.path;
    let written = written::look(directory.text(), below(path.text(), &over)?)?;
    written.hides().map(str::to_owned)
}

fn recorded(directory: &Name) -> Option<Upper> {
    let record = std::fs::read(bytes::path(directory.text()).join(RECORD));
    record.ok().and_then(|record| Upper::parse(&record))
}

/// Another sandbox has a kept upper: its record says whose.
fn held(directory: &Name) -> Means {
    let pid = recorded(directory).map(|record| record.pid);
    let who = match pid.filter(|pid| *pid > 0) {
        Some(pid) => format!("wait until its launcher, process {pid}, has ended"),
        None => "wait until it has ended".to_owned(),
    };
    (Some("another sandbox has it"), Some(format!("{who}; or name another directory")))
}

/// What an error means here, where errno(3)'s own words would mislead; and what to do.
type Means = (Option<&'static str>, Option<String>);

fn tree_means(op: &TreeOp, errno: i32, is_root: bool) -> Means {
    let exchanged =
        |words| (Some(words), Some("another process changed that meanwhile; run again".into()));
    let help = match op {
        TreeOp::OpenTree { .. } => match errno {
            libc::EPERM | libc::ENOSYS if is_root => Some(powerless_root(&Barriers::read())),
            libc::EINVAL => {
                Some("mounts below it are locked together here: leave `recursive` true".into())
            }
            libc::ENOENT | libc::ENOTDIR => {
                return exchanged("it was there when the profile was checked, and is gone");
            }
            libc::ESTALE => {
                return exchanged("it is not the file that was there when the profile was checked");
            }
            libc::EMFILE => Some(MORE_FILES.into()),
            _ => None,
        },
        TreeOp::HostDirectory { .. } => match errno {
            libc::ESTALE | libc::ELOOP => {
                return exchanged(
                    "what is at its path was exchanged after the profile was checked",
                );
            }
            libc::EEXIST => {
                let words = "another process made it after the profile was checked";
                return (Some(words), Some("run again: what is there is granted".into()));
            }
            libc::EACCES | libc::EPERM if is_root => Some(
                "root makes it by the rights of the owner of the directory above: let that owner \
                 make it"
                    .into(),
            ),
            _ => None,
        },
        TreeOp::HoldUpper { directory, kept, .. } => match errno {
            libc::ESTALE | libc::ELOOP | libc::ENOTDIR => {
                return exchanged("it is not the directory that the profile was checked with");
            }
            libc::EAGAIN if *kept => return held(directory),
            _ => None,
        },
        TreeOp::HoldState { directory, .. } => match errno {
            libc::ESTALE | libc::ELOOP | libc::ENOTDIR => {
                return exchanged("it is not the directory that the profile was checked with");
            }
            libc::EAGAIN => {
                let name = directory.text().rsplit('/').next().unwrap_or_default();
                let help = format!("wait until `stockade state remove {name}` has ended");
                return (Some("it is being removed"), Some(help));
            }
            _ => None,
        },
        TreeOp::OpenState { .. } | TreeOp::OpenUpper { .. } => match errno {
            libc::ESTALE | libc::ELOOP | libc::ENOTDIR => {
                return exchanged("another directory has its path");
            }
            _ => None,
        },
        TreeOp::Lay { .. } if [libc::ENOENT, libc::ENOTDIR].contains(&errno) => {
            return exchanged("it was there when the profile was checked, and is gone");
        }
        TreeOp::OpenMade { .. } | TreeOp::Lay { .. } | TreeOp::Upper { .. } => None,
        TreeOp::UpperInRoot { .. } => None,
        TreeOp::CopyUp { .. } => match errno {
            libc::E2BIG => {
                let words = "there are too many directories in it, or too deep ones";
                return (
                    Some(words),
                    Some("there can be 65536, 256 deep: name those that are needed".into()),
                );
            }
            libc::ENOSPC => Some("there are more directories than inodes: give the upper more, inodes = 131072".into()),
            _ => None,
        },
        TreeOp::Serve { .. } => return serve_means(errno),
        TreeOp::CopyLayers { room, .. } => return copy_means(errno, room.is_some()),
        TreeOp::OwnLayer { .. } | TreeOp::InLayer { .. } | TreeOp::UpperDirectories { .. } => None,
        TreeOp::Merge { upper, .. } => match errno {
            libc::ENODEV => Some(
                "load overlayfs as root: modprobe overlay; or let the layers be copied, by `driver`"
                    .into(),
            ),
            // The kernel says why in its own log alone.
            libc::EINVAL => Some(
                "a layer may be a file system that overlayfs refuses, and the kernel's log says \
                 which (dmesg | tail): let the layers be copied, by `driver`"
                    .into(),
            ),
            libc::EOPNOTSUPP if upper.is_some() => Some(
                "the upper's file system has no attributes user.*, which overlayfs writes: name a \
                 directory on ext4, xfs or btrfs"
                    .into(),
            ),
            libc::EROFS if upper.is_some() => {
                Some("overlayfs could not make its working directory: dmesg | tail".into())
            }
            _ => None,
        },
        TreeOp::Mount { fs, .. } => {
            let cause = if errno == libc::EPERM { cause::refused_mount(fs) } else { None };
            cause.map(|cause| cause.to_string())
        }
        TreeOp::Pivot => (errno == libc::EINVAL).then(|| cause::no_pivot().to_string()),
        TreeOp::PrivateMounts | TreeOp::Root { .. } => match errno {
            libc::EPERM | libc::EACCES => user_namespace_cause(),
            _ => None,
        },
        TreeOp::LandlockRule { path, .. }
        | TreeOp::Attach { path, .. }
        | TreeOp::Hide { path, .. }
        | TreeOp::ReadOnly { path, .. }
        | TreeOp::Pin { path, .. } => (errno == libc::EACCES).then(|| {
            let path = shell_word(path.text());
            format!(
                "the target's user may not search a directory above it: run it where this user may \
                 come (namei -l {path} shows each directory), or name the user whom the closed one \
                 belongs to, with `user` and `group` in [identity]"
            )
        }),
        TreeOp::File { .. } | TreeOp::CoverFile { .. } | TreeOp::Dir { .. } => (errno
            == libc::ENOSPC)
            .then(|| "the file system in memory is full: give it a larger size".into()),
        TreeOp::Symlink { .. }
        | TreeOp::MountPoint { .. }
        | TreeOp::HoldLink { .. }
        | TreeOp::SealRoot
        | TreeOp::Seal { .. } => None,
    };
    (None, help)
}

/// A server of layers kept pid 1 waiting at a step, or the target before its program ran
/// ([`OWN`]): the nearest one around the path, or else the last.
pub(crate) fn unanswered(plan: &Plan, step: u32) -> Problem {
    let op = |index: usize| plan.steps.get(index).and_then(Step::tree);
    let path = |op: &TreeOp| op.rights().map(|(path, _)| path.text().to_owned());
    let at = op(step as usize).and_then(path).unwrap_or_default();
    let begun = plan.served().filter(|index| *index <= step as usize);
    let is_around = |index: usize| {
        let around = op(index).and_then(path).unwrap_or_default();
        if Path::new(&at).starts_with(&around) { around.len() } else { 0 }
    };
    // Of equal ones the last.
    let server = begun.max_by_key(|index| is_around(*index));
    step_failed(plan, server.unwrap_or(OWN as usize), Errno(libc::ETIMEDOUT))
}

/// What keeps fuse-overlayfs from showing layers.
fn serve_means(errno: i32) -> Means {
    let copy = || Some("let the layers be copied: driver = \"copy\"".to_owned());
    match errno {
        libc::ENOTCONN => (Some("it ended before it answered"), copy()),
        libc::ETIMEDOUT => (Some("it does not answer"), copy()),
        libc::EPIPE => (Some("the process that would become it has ended"), copy()),
        libc::ENODEV => (None, Some("load the module as root: modprobe fuse".into())),
        _ => (None, copy()),
    }
}

/// Whether a file that this process writes may not have any size (setrlimit(2)).
fn is_file_size_bounded() -> bool {
    sys::get_rlimit(libc::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft != libc::RLIM_INFINITY)
}

/// What copying layers ran into.
fn copy_means(errno: i32, in_memory: bool) -> Means {
    let narrow = "name the directories in it that are needed";
    let (words, help) = match errno {
        libc::EFBIG if is_file_size_bounded() => {
            ("they have more than 256 MB, or a file larger than `ulimit -f`", narrow.into())
        }
        libc::EFBIG => ("they have more than 256 MB", narrow.into()),
        libc::E2BIG => ("they have more than 65536 files and directories", narrow.into()),
        libc::ELOOP => ("directories lie more than 128 deep in one another", narrow.into()),
        libc::ENOSPC if in_memory => {
            ("memory has no room for the copy", "let it go to disk, by an upper there".into())
        }
        libc::EMFILE => return (None, Some(MORE_FILES.into())),
        _ => return (None, None),
    };
    (Some(words), Some(help))
}

fn powerless_root(barriers: &Barriers) -> String {
    let place = if barriers.filtered || barriers.read_only_sysctls {
        format!(" in a container with {}", barriers.container_options())
    } else {
        String::new()
    };
    format!(
        "this root has no CAP_SYS_ADMIN over the mounts here (a container's, or one in a user \
         namespace alone): start stockade as an ordinary user{place}, or {}",
        cause::without_namespaces()
    )
}

const NOT_IN_FORCE: &str = "the kernel says that this is done, and it is not in force";

fn process_means(plan: &Plan, op: &ProcessOp, errno: i32) -> Means {
    let denied = [libc::EACCES, libc::EPERM].contains(&errno);
    let help = match op {
        ProcessOp::NewKeyring => [libc::EPERM, libc::ENOSYS].contains(&errno).then_some(
            "a system call filter on stockade itself refuses keyctl(2), as that of containers \
             does; to skip it with a warning: optional = [\"keyring\"]",
        ),
        ProcessOp::ForbidNamespaces { .. } | ProcessOp::OpenLimit { .. } => {
            let cause = (errno == libc::EROFS)
                .then(|| cause::read_only_proc_sys(&Barriers::read(), plan.mounts_proc()));
            return (None, cause.map(|cause| cause.to_string()));
        }
        ProcessOp::TimeNamespace { .. } => {
            (errno == libc::ERANGE).then_some("an offset would make the clock negative")
        }
        ProcessOp::Filter => match errno {
            libc::EBUSY => {
                let words = "a filter around it supervises denied calls already, and the kernel \
                             has one listener for all (seccomp(2))";
                let help = "run without --explain, and without `notify` in [seccomp.rules]; or \
                            leave them out around this sandbox";
                return (Some(words), Some(help.into()));
            }
            libc::EPIPE => {
                return (Some("the process that answers for denied calls has ended"), None);
            }
            libc::ETIMEDOUT => {
                return (Some("the process that answers for denied calls does not answer"), None);
            }
            libc::EBADE => return (Some(NOT_IN_FORCE), None),
            _ => None,
        },
        ProcessOp::RestrictSelf { .. } => {
            return ((errno == libc::EBADE).then_some(NOT_IN_FORCE), None);
        }
        ProcessOp::CloseDescriptors { .. } => match errno {
            libc::EBADE => return (Some(NOT_IN_FORCE), None),
            libc::EBADF => {
                Some("name in pass-fds only descriptors that are open when stockade starts")
            }
            _ => None,
        },
        ProcessOp::ReadBack { .. } => {
            return ((errno == libc::EPERM).then_some("they are not what was set"), None);
        }
        ProcessOp::WriteOnlyStream { .. } => (errno == libc::EACCES).then_some(
            "the terminal is another user's (su, sudo -u): give the target a pipe: stockade run \
             ... 2>&1 | cat",
        ),
        ProcessOp::OomScoreAdj { .. } => denied.then_some("only root may lower it"),
        ProcessOp::Nice { .. } => {
            denied.then_some("only root may lower it, or raise RLIMIT_NICE first")
        }
        ProcessOp::Scheduler { .. } => {
            (errno == libc::EPERM).then_some("real-time policies need root or RLIMIT_RTPRIO")
        }
        ProcessOp::Rlimit { .. } => {
            let cause = (errno == libc::EPERM).then(cause::hard_limit);
            return (None, cause.map(|cause| cause.to_string()));
        }
        ProcessOp::WorkingDirectory { .. } => {
            let words = (errno == libc::EXDEV).then_some("it lies outside of the sandbox");
            let help = match errno {
                libc::EACCES => {
                    "the target's user may not search it: set process.cwd to a directory that it \
                     may, such as \"/\""
                }
                _ => "set process.cwd to a directory that the profile grants",
            };
            return (words, Some(help.into()));
        }
        ProcessOp::Groups { .. } if errno == libc::EPERM => Some(
            "setgroups(2) is denied in the user namespace that is joined: join one that \
             newgidmap(1) mapped, such as a rootless container's",
        ),
        ProcessOp::Ids { .. } | ProcessOp::Groups { .. } => (errno == libc::EINVAL).then_some(
            "a user namespace that is joined has no ids but those of its own map: cat \
             /proc/PID/uid_map of a process in it, and of gid_map",
        ),
        ProcessOp::JoinNamespace { .. } => (errno == libc::EPERM)
            .then_some("joining a namespace needs root over the user namespace that owns it"),
        // Where the kernel shares out real-time scheduling by groups, a new one has no share
        // (sched-rt-group.rst).
        ProcessOp::EnterGroup { .. } => (errno == libc::EINVAL).then_some(
            "a real-time process cannot enter it: start stockade under the ordinary scheduler \
             (chrt --other 0)",
        ),
        ProcessOp::Capabilities { keep, .. } => {
            return (None, if errno == libc::EPERM { lacking(keep.0) } else { None });
        }
        ProcessOp::HostName { .. } => {
            return (None, if denied { user_namespace_cause() } else { None });
        }
        ProcessOp::CgroupNamespace
        | ProcessOp::WriteLimit { .. }
        | ProcessOp::FileIds { .. }
        | ProcessOp::Loopback
        | ProcessOp::DomainName { .. }
        | ProcessOp::Bounding { .. }
        | ProcessOp::KeepCapabilities
        | ProcessOp::NoNewPrivs
        | ProcessOp::Session { .. }
        | ProcessOp::NullStream { .. }
        | ProcessOp::FileStream { .. }
        | ProcessOp::Umask { .. }
        | ProcessOp::IoPriority { .. }
        | ProcessOp::FreshState
        | ProcessOp::LandlockPort { .. }
        | ProcessOp::LandlockStream { .. }
        | ProcessOp::FindProgram { .. } => None,
    };
    (None, help.map(Into::into))
}

/// Capabilities that are to be kept, and that this root does not have: a container's, or one of a
/// service with a bounding set.
fn lacking(keep: u64) -> Option<String> {
    let lacks = CapabilitySet(keep & !sys::capget().ok()?.permitted);
    (lacks.0 != 0).then(|| format!("this root does not have them itself: {lacks}"))
}
