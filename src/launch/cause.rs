//! Why a machine forbids what a sandbox needs: THE ONE TABLE of causes, each with its fix. A failed
//! launch names one of them, and `stockade doctor` the same one before. The look at the machine is
//! [`Barriers::read`]; all else is judgment of plain data. It is one file, as it is one table.

use crate::kernel::namespace::Kind;
use crate::step::{FileSystem, Kernel};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fmt;

/// What prevents it, as far as files of the machine show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Barriers {
    /// There is no /proc to look at.
    pub no_proc: bool,
    /// Whether the caller has CAP_SYS_ADMIN, which most of the switches do not touch.
    pub privileged: bool,
    /// `user.max_*_namespaces` that are 0, as the names of their files.
    pub forbidden: Vec<String>,
    /// `kernel.unprivileged_userns_clone` (Debian) is 0.
    pub clone_switch: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu) is 1.
    pub apparmor: bool,
    /// The caller's root is not that of its mount namespace.
    pub chroot: bool,
    /// A system call filter is on the caller itself: `Seccomp: 2` (proc_pid_status(5)).
    pub filtered: bool,
    /// /proc/sys is mounted read-only, as containers and units have it.
    pub read_only_sysctls: bool,
    /// SELinux is enforcing.
    pub selinux: bool,
    /// This program's own file, for fixes that name it.
    pub program: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// A command for root's shell.
    Root(String),
    /// No command does it: what to do instead.
    Words(String),
}

impl Fix {
    /// The text to paste, or the advice.
    pub(crate) fn text(&self) -> &str {
        match self {
            Fix::Root(text) | Fix::Words(text) => text,
        }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fix::Root(command) => write!(f, "as root: {command}"),
            Fix::Words(text) => f.write_str(text),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The fact.
    pub says: String,
    pub fix: Fix,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.says, self.fix)
    }
}

fn cause(says: impl Into<String>, fix: Fix) -> Cause {
    Cause { says: says.into(), fix }
}

/// A row of the table: when it holds, and what it says.
type Row = (fn(&Barriers) -> bool, fn(&Barriers) -> Cause);

/// What forbids user namespaces, or takes their power: the first that holds is named (clone(2),
/// user_namespaces(7)).
const USER_NAMESPACES: &[Row] = &[
    (
        |b| b.no_proc,
        |_| {
            let fix = Fix::Root("mount -t proc proc /proc".into());
            cause("/proc is not mounted here, as in a bare chroot", fix)
        },
    ),
    (|b| b.forbids(Kind::User), |_| exhausted("max_user_namespaces")),
    (
        |b| !b.privileged && b.clone_switch,
        |_| {
            let fix = Fix::Root("sysctl -w kernel.unprivileged_userns_clone=1".into());
            cause("sysctl kernel.unprivileged_userns_clone is 0", fix)
        },
    ),
    (
        |b| !b.privileged && b.apparmor,
        |b| {
            let file = "/etc/apparmor.d/stockade";
            let profile = format!("profile stockade {} flags=(unconfined) {{", b.program);
            let lines = ["abi <abi/4.0>,", &profile, "userns,", "}"]
                .map(|line| format!("'{}'", line.replace('\'', r"'\''")))
                .join(" ");
            let fix = format!(r"printf '%s\n' {lines} > {file} && apparmor_parser -r {file}");
            cause(
                "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns \
                 is 1)",
                Fix::Root(fix),
            )
        },
    ),
    (
        |b| b.chroot,
        |_| {
            let fix = Fix::Words("start stockade outside of the chroot".into());
            cause("stockade is in a chroot, where the kernel makes no user namespace", fix)
        },
    ),
    (|b| b.filtered, filtered),
];

fn filtered(barriers: &Barriers) -> Cause {
    let options = barriers.container_options();
    let fix = format!(
        "let it pass new namespaces; podman and docker: {options}; a unit: RestrictNamespaces=no"
    );
    cause(
        "a system call filter is on stockade itself (an outer container's, or a unit's)",
        Fix::Words(fix),
    )
}

/// The other way, where a machine forbids namespaces.
pub(crate) fn without_namespaces() -> String {
    format!(
        "run it without namespaces, with the network and the names of the host: \
         {WITHOUT_NAMESPACES}"
    )
}

/// What works where no namespace can be made: Landlock alone, which grants the network and the
/// names of the host.
pub(crate) const WITHOUT_NAMESPACES: &str = "stockade run landlock -- make test";

impl Barriers {
    /// Looks at the machine.
    pub(crate) fn read() -> Barriers {
        let status = text("/proc/self/status");
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is = |path: &str, value: &str| text(path).trim() == value;
        let effective =
            field("CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let limits = Kind::ALL.iter().map(|kind| limit_file(*kind));
        Barriers {
            // Without free descriptors it is there, and cannot be opened.
            no_proc: std::fs::metadata("/proc/self/status").is_err(),
            privileged: effective & CAP_SYS_ADMIN != 0,
            forbidden: limits.filter(|file| is(&format!("/proc/sys/user/{file}"), "0")).collect(),
            clone_switch: is("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            apparmor: is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            chroot: is_chroot(),
            filtered: field("Seccomp:") == Some("2"),
            read_only_sysctls: statvfs("/proc/sys")
                .is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY)),
            selinux: is("/sys/fs/selinux/enforce", "1"),
            program: std::env::current_exe()
                .ok()
                .and_then(|path| path.to_str().map(str::to_owned))
                .unwrap_or("/usr/bin/stockade".into()),
        }
    }

    /// Whether the limit of this kind is 0.
    pub(crate) fn forbids(&self, kind: Kind) -> bool {
        self.forbidden.contains(&limit_file(kind))
    }

    /// The options of podman and docker that together let sandboxes be made: one alone leads from
    /// the one refusal to the other.
    pub(crate) fn container_options(&self) -> &'static str {
        match (self.filtered, self.read_only_sysctls) {
            (true, true) => {
                "--security-opt seccomp=unconfined --security-opt systempaths=unconfined"
            }
            (true, false) => "--security-opt seccomp=unconfined",
            (false, _) => "--security-opt systempaths=unconfined",
        }
    }

    /// What forbids user namespaces here.
    pub(crate) fn user_namespaces(&self) -> Option<Cause> {
        USER_NAMESPACES.iter().find(|(holds, _)| holds(self)).map(|(_, says)| says(self))
    }

    /// Why clone3(2) gave this error for new namespaces of these kinds.
    pub(crate) fn of_clone(&self, kinds: &[Kind], errno: i32) -> Option<Cause> {
        let words = |says: &str, fix: &str| Some(cause(says, Fix::Words(fix.into())));
        match errno {
            libc::ENOSPC | libc::EUSERS => match kinds.iter().find(|kind| self.forbids(**kind)) {
                Some(kind) => Some(exhausted(&limit_file(*kind))),
                None => words(
                    "a limit of /proc/sys/user is used up, or namespaces are nested as deep as the \
                     kernel allows",
                    "see sysctl user",
                ),
            },
            // The class user_namespace of SELinux's policies denies with this error alone.
            libc::EACCES if self.selinux => {
                let fix = Fix::Root(
                    "ausearch -m AVC -ts recent | audit2allow -M stockade && semodule -i stockade.pp"
                        .into(),
                );
                Some(cause("SELinux forbids user namespaces to this domain", fix))
            }
            // The kernel has had clone3(2) since Linux 5.3.
            libc::ENOSYS if self.filtered => Some(filtered(self)),
            libc::EPERM | libc::EACCES | libc::ENOSYS => self.user_namespaces().or_else(|| {
                words(
                    "nothing that shows forbids it: a chroot, a security module or an outer \
                     container may",
                    "see the kernel's log: dmesg | tail",
                )
            }),
            libc::EAGAIN => words(
                "no more processes for this user",
                "see ulimit -u, and pids.max of the control group",
            ),
            libc::EINVAL => words(
                "this kernel is built without one of them",
                "boot a kernel that has CONFIG_USER_NS and the others",
            ),
            _ => None,
        }
    }
}

/// A limit of namespaces(7) that is 0.
fn exhausted(file: &str) -> Cause {
    cause(format!("sysctl user.{file} is 0"), Fix::Root(format!("sysctl -w user.{file}=15000")))
}

/// The name of a kind's limit (namespaces(7)).
fn limit_file(kind: Kind) -> String {
    let path = kind.limit().to_string_lossy();
    path[path.rfind('/').map_or(0, |slash| slash + 1)..].to_owned()
}

/// How a container is started whose /proc and /sys are neither masked nor, below /proc, read-only.
/// The word is the same for both.
const UNMASKED: &str = "podman and docker: --security-opt systempaths=unconfined";

/// What forbids mounting a new file system (EPERM).
pub(crate) fn refused_mount(fs: &FileSystem) -> Option<Cause> {
    match fs {
        FileSystem::Kernel(Kernel::Proc { only_processes, .. }) => {
            Some(masked_proc(*only_processes))
        }
        FileSystem::Kernel(Kernel::Sysfs) => Some(masked_sysfs()),
        FileSystem::Tmpfs { .. } | FileSystem::Kernel(Kernel::Devpts | Kernel::Mqueue) => None,
    }
}

/// A new proc is refused where something is mounted over the one that is seen (mount_too_revealing
/// of fs/namespace.c).
pub(crate) fn masked_proc(only_processes: bool) -> Cause {
    let less = if only_processes {
        ""
    } else {
        ", or write \"/proc\" = { proc = { subset = \"pid\" } } (Linux 7.3 can)"
    };
    cause(
        "this container masks /proc",
        Fix::Words(format!("run the container unmasked ({UNMASKED}){less}, or leave /proc out")),
    )
}

/// A new sysfs is refused likewise.
pub(crate) fn masked_sysfs() -> Cause {
    let fix = Fix::Words(format!("leave sysfs out, or run the container unmasked ({UNMASKED})"));
    cause(
        "a new sysfs needs a network namespace of the sandbox's own, and an unmasked /sys outside",
        fix,
    )
}

/// The limit that keeps the target from user namespaces of its own is a file that containers mount
/// read-only. To skip it helps neither where a new proc is wanted, as what is mounted below /proc
/// forbids that, too, nor where a container's filter refuses what comes next (sethostname(2)).
pub(crate) fn read_only_proc_sys(barriers: &Barriers, new_proc: bool) -> Cause {
    let other = if new_proc || barriers.filtered {
        without_namespaces()
    } else {
        "let the filter keep them alone: optional = [\"namespaces.nested\"]".into()
    };
    let options = barriers.container_options();
    let fix = format!("podman and docker: {options}; a unit: ProtectKernelTunables=no; or {other}");
    cause("/proc/sys is read-only here, as in a container", Fix::Words(fix))
}

/// pivot_root(2) needs a root that is a mount point, and not the initial one.
pub(crate) fn no_pivot() -> Cause {
    let fix = Fix::Words("start stockade from a real root".into());
    cause("stockade's root is not a mount point (a chroot, or an initramfs)", fix)
}

/// mount_setattr(2) with MOUNT_ATTR_IDMAP is a matter of the file system.
pub(crate) fn no_idmap() -> Cause {
    let fix = Fix::Words("identity.host = true, or access = \"ro\"".into());
    cause("its file system, or one mounted below it, has no idmapped mounts on this kernel", fix)
}

/// The same, where CAP_SYS_ADMIN is not over the file system.
pub(crate) fn foreign_idmap() -> Cause {
    cause(
        "root of a container cannot map owners",
        Fix::Words("identity.host = true, or access = \"ro\"".into()),
    )
}

/// The ids behind a target that root starts are of no user (`identity.host-ids`): a rootless
/// container's root does not have them, and a root without the capabilities for ids may not map
/// them (user_namespaces(7)).
pub(crate) fn no_further_ids(effective: u64, is_first: bool) -> Cause {
    let lacks: Vec<&str> =
        OF_IDS.iter().filter(|(_, bit)| effective & bit == 0).map(|(name, _)| *name).collect();
    if !lacks.is_empty() {
        let fix = if is_first {
            "let what starts stockade leave it these: a unit's CapabilityBoundingSet=, or setpriv \
             --bounding-set"
        } else {
            "let the container keep them (podman and docker: --cap-add), or start stockade as an \
             ordinary user"
        };
        return cause(format!("this root lacks {}", lacks.join(" and ")), Fix::Words(fix.into()));
    }
    if is_first {
        let fix = Fix::Words("see the kernel's log: dmesg | tail".into());
        return cause(
            "this root has the capabilities for it, so a security module may forbid it",
            fix,
        );
    }
    let fix = "start stockade as an ordinary user, or let the target have ids of the container: \
               identity.host = true";
    cause(
        "this root is one in a user namespace, which does not have the ids that are behind the \
         target",
        Fix::Words(fix.into()),
    )
}

/// The capabilities that writing a map of several ids needs in the namespace above
/// (capabilities(7)).
const OF_IDS: &[(&str, u64)] = &[("CAP_SETGID", 1 << 6), ("CAP_SETUID", 1 << 7)];

/// The inode of the user namespace that the kernel begins with (PROC_USER_INIT_INO of
/// linux/proc_ns.h).
pub(crate) const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Whether this process is in the first user namespace.
pub(crate) fn is_in_first_user_namespace() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/user")
        .is_ok_and(|namespace| namespace.ino() == FIRST_USER_NAMESPACE)
}

/// A hard limit can be raised by root alone (getrlimit(2)).
pub(crate) fn hard_limit() -> Cause {
    let fix = Fix::Words(
        "ask for less in [rlimits], or start stockade where the hard limit is higher (ulimit -H, a \
         unit's Limit lines)"
            .into(),
    );
    cause("a hard limit cannot be raised above the caller's without root", fix)
}

/// CAP_SYS_ADMIN of capabilities(7).
const CAP_SYS_ADMIN: u64 = 1 << 21;

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// By the root of the machine's first process, which root alone may look at; else by a root that is
/// no mount point. A chroot into a mount of its own does not show.
fn is_chroot() -> bool {
    use std::os::unix::fs::MetadataExt;
    let (own, first) = (std::fs::metadata("/"), std::fs::metadata("/proc/1/root/."));
    let another = own
        .ok()
        .zip(first.ok())
        .is_some_and(|(own, first)| (own.dev(), own.ino()) != (first.dev(), first.ino()));
    let mounts = text("/proc/self/mountinfo");
    another
        || (!mounts.is_empty() && !mounts.lines().any(|line| line.split(' ').nth(4) == Some("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_is_named() {
        let all = Barriers {
            forbidden: vec!["max_user_namespaces".into()],
            clone_switch: true,
            apparmor: true,
            ..Barriers::default()
        };
        let says = |barriers: &Barriers| {
            barriers.user_namespaces().map(|cause| cause.to_string()).unwrap_or_default()
        };
        assert_eq!(
            says(&all),
            "sysctl user.max_user_namespaces is 0; as root: sysctl -w \
             user.max_user_namespaces=15000"
        );
        assert!(
            says(&Barriers { clone_switch: true, apparmor: true, ..Barriers::default() })
                .contains("kernel.unprivileged_userns_clone=1")
        );
        assert_eq!(
            Barriers {
                privileged: true,
                clone_switch: true,
                apparmor: true,
                ..Barriers::default()
            }
            .user_namespaces(),
            None
        );
    }

    #[test]
    fn a_root_that_may_not_map_ids_is_told_what_it_lacks() {
        let all = OF_IDS.iter().fold(0, |all, (_, bit)| all | bit);
        let says = |effective, is_first| no_further_ids(effective, is_first).to_string();
        assert!(
            says(all & !(1 << 7), true)
                .starts_with("this root lacks CAP_SETUID; let what starts stockade")
        );
        assert!(
            says(0, false).starts_with(
                "this root lacks CAP_SETGID and CAP_SETUID; let the container keep them"
            )
        );
        assert!(
            says(all, false).contains("identity.host = true")
                && !says(all, true).contains("identity.host")
        );
    }

    #[test]
    fn a_limit_of_another_kind_is_named_by_its_own_file() {
        let barriers =
            Barriers { forbidden: vec!["max_mnt_namespaces".into()], ..Barriers::default() };
        let fix =
            barriers.of_clone(&[Kind::User, Kind::Mount], libc::ENOSPC).map(|cause| cause.fix);
        assert_eq!(fix, Some(Fix::Root("sysctl -w user.max_mnt_namespaces=15000".into())));
    }
}
