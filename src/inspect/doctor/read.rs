//! Reads the facts: files of the machine, and what [`crate::launch::tries`] finds out. It judges
//! nothing and changes nothing.

use crate::host::caller::Caller;
use crate::inspect::doctor::facts::{
    Cgroups, Facts, Helper, Layout, Manager, Module, Packages, Subordinate, Tried,
};
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::launch::cause::{Barriers, FIRST_USER_NAMESPACE};
use crate::launch::{Program, maps::HELPERS, rehearse, tries};
use crate::probe;
use crate::probe::groups::directory_of_manager;
use crate::probe::systemd;
use crate::profile::{Request, load};
use crate::sys;
use crate::text::problem::Problems;
use crate::text::source::Sources;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

impl Facts {
    /// Looks at this machine. At its end a whole sandbox is built and taken down, which leaves this
    /// process with its signals blocked.
    pub(crate) fn read() -> Facts {
        let caller = Caller::current();
        tries::reap_children();
        let user = tries::namespaces(&[Kind::User]);
        let alone = caller.uid == 0 && user != Tried::Works;
        let namespaces: Vec<(Kind, Tried)> = Kind::ALL
            .into_iter()
            .map(|kind| match kind {
                Kind::User => (kind, user),
                kind if alone => (kind, tries::namespaces(&[kind])),
                kind => (kind, tries::namespaces(&[Kind::User, kind])),
            })
            .collect();
        let kinds: Vec<Kind> = namespaces
            .iter()
            .filter(|(_, tried)| *tried == Tried::Works)
            .map(|(kind, _)| *kind)
            .collect();
        let (maps, mut acts) = tries::acts(&kinds, caller.uid, caller.gid);
        acts.extend(tries::acts_anywhere());
        let release = nix::sys::utsname::uname()
            .map_or(String::new(), |name| name.release().to_string_lossy().into_owned());
        Facts {
            uid: caller.uid,
            user: caller.user.clone(),
            has_groups: caller.uid != 0 && has_groups(caller.gid),
            kernel: probe::version(&release),
            release,
            packages: packages(&text("/etc/os-release")),
            barriers: Barriers::read(),
            maps,
            acts,
            subordinate: subordinate(&caller, maps),
            landlock: Some(sys::landlock_abi().map_err(|errno| errno.0)),
            seccomp_actions: words("/proc/sys/kernel/seccomp/actions_avail"),
            idmaps: if caller.uid == 0 && maps == Tried::Works { idmaps(&caller) } else { vec![] },
            cgroups: cgroups(&caller),
            manager: manager(&caller),
            modules: modules(),
            signed_alone: signed_alone(),
            no_overlayfs: probe::lacks_overlayfs(),
            no_server: probe::server(caller.uid == 0).err().map(|none| none.why),
            container: container(),
            noexec: noexec(&caller),
            core_limit: sys::get_rlimit(libc::RLIMIT_CORE).map_or(u64::MAX, |(_, hard)| hard),
            namespaces,
            sandbox: Some(build(caller)),
        }
    }
}

fn has_groups(own: u32) -> bool {
    sys::groups().is_ok_and(|groups| groups.iter().any(|group| *group != own))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn words(path: &str) -> Vec<String> {
    text(path).split_whitespace().map(str::to_owned).collect()
}

/// The built-in profile that nearly all others extend, with a command that is not looked up.
fn build(caller: Caller) -> Result<(), (String, Option<String>)> {
    // A profile of the same name would make it ambiguous.
    let caller = Caller { system_profiles: "/nonexistent".into(), user_profiles: None, ..caller };
    let mut sources = Sources::default();
    let request =
        Request { profile: "base".into(), args: vec!["true".into()], ..Request::default() };
    let first = |problems: Problems| {
        problems
            .into_iter()
            .next()
            .map(|problem| (problem.message, problem.help))
            .unwrap_or_default()
    };
    let profile = load(&request, &caller, &mut sources).map_err(first)?;
    let (host, settled) = probe::probe(&profile, caller, &sources);
    let plan = crate::plan::plan_settled(&profile, &host, &settled).map_err(first)?;
    rehearse(&plan, Program::Ignored).map_err(|problem| (problem.message, problem.help))
}

/// By ID and ID_LIKE of os-release(5).
fn packages(release: &str) -> Packages {
    let of = |word: &str| match word {
        "debian" | "ubuntu" => Some(Packages::Apt),
        "fedora" | "rhel" | "centos" => Some(Packages::Dnf),
        "alpine" => Some(Packages::Apk),
        "arch" => Some(Packages::Pacman),
        "suse" | "opensuse" | "sles" => Some(Packages::Zypper),
        _ => None,
    };
    let values = ["ID=", "ID_LIKE="]
        .iter()
        .filter_map(|key| release.lines().find_map(|line| line.strip_prefix(key)));
    values.flat_map(|value| value.trim_matches('"').split(' ')).find_map(of).unwrap_or_default()
}

fn subordinate(caller: &Caller, maps: Tried) -> Subordinate {
    let (users, groups) =
        (probe::read_subordinate("/etc/subuid"), probe::read_subordinate("/etc/subgid"));
    let own = |all: &[(String, u32, u32)]| {
        let ours =
            all.iter().filter(|(name, ..)| *name == caller.user || *name == caller.uid.to_string());
        ours.map(|(_, first, count)| (*first, *count)).collect::<Vec<_>>()
    };
    let taken = users
        .iter()
        .chain(&groups)
        .map(|(_, first, count)| first + count)
        .filter(|end| *end < 0x7000_0000);
    let mut found = Subordinate {
        users: own(&users),
        groups: own(&groups),
        free: taken.max().unwrap_or(0).max(100_000),
        helpers: HELPERS.map(helper),
        mapped: None,
    };
    let asked = caller.uid != 0
        && maps == Tried::Works
        && !found.users.is_empty()
        && !found.groups.is_empty();
    if asked && !found.helpers.contains(&Helper::Absent) {
        found.mapped =
            Some(tries::subordinate(&found.users, &found.groups, caller.uid, caller.gid));
    }
    found
}

fn helper(path: &str) -> Helper {
    let Ok(meta) = std::fs::metadata(path) else { return Helper::Absent };
    let real = std::fs::canonicalize(path)
        .ok()
        .and_then(|path| path.to_str().map(str::to_owned))
        .unwrap_or(path.into());
    let set_id = meta.permissions().mode() & 0o4000 != 0 && meta.uid() == 0;
    let capable =
        sys::attribute_length(Name::new(&real).as_c_str(), c"security.capability").is_ok();
    match statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID)) {
        true => Helper::NoSuid,
        false if set_id || capable => Helper::Able,
        false => Helper::Plain,
    }
}

/// Directories that are likely to be granted for writing; one of each file system.
fn idmaps(caller: &Caller) -> Vec<(String, String, Tried)> {
    let mut seen = vec![];
    let mut found = vec![];
    for path in ["/", "/home", "/srv", "/var/lib", "/tmp", &caller.cwd] {
        let Some(device) =
            std::fs::metadata(path).ok().filter(|meta| meta.is_dir()).map(|meta| meta.dev())
        else {
            continue;
        };
        if !seen.contains(&device) {
            seen.push(device);
            found.push((path.to_owned(), file_system(path), tries::idmap(path)));
        }
    }
    found
}

/// The type of the file system at a path, by the last mount that lies above it
/// (proc_pid_mountinfo(5)).
fn file_system(path: &str) -> String {
    let table = text("/proc/self/mountinfo");
    let mounts = table.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        Some((mount.split(' ').nth(4)?, rest.split(' ').next()?))
    });
    let above = mounts.filter(|(at, _)| {
        *at == "/" || path == *at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
    });
    above
        .max_by_key(|(at, _)| at.len())
        .map_or_else(|| "unknown".into(), |(_, kind)| kind.to_owned())
}

fn cgroups(caller: &Caller) -> Cgroups {
    let table = text("/proc/self/mountinfo");
    let mounted = |kind: &str, option: &str| {
        table.lines().find_map(|line| {
            let (mount, rest) = line.split_once(" - ")?;
            let mut rest = rest.split(' ');
            let right = rest.next() == Some(kind)
                && (option.is_empty()
                    || rest
                        .nth(1)
                        .is_some_and(|options| options.split(',').any(|word| word == option)));
            let mut fields = mount.split(' ').skip(3);
            right.then(|| Some((fields.next()?.to_owned(), fields.next()?.to_owned())))?
        })
    };
    let own = text("/proc/self/cgroup");
    let group = |controller: &str| {
        let lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines
            .filter(|(names, _)| names.split(',').any(|name| name == controller))
            .map(|(_, path)| path.to_owned())
            .next()
    };
    let (v2, v1) = (
        mounted("cgroup2", ""),
        mounted("cgroup", "memory")
            .or_else(|| mounted("cgroup", "pids"))
            .or_else(|| mounted("cgroup", "")),
    );
    let (layout, place, controller) = match (v2, v1) {
        (Some(v2), None) => (Layout::V2, v2, ""),
        (Some(_), Some(v1)) => (Layout::Hybrid, v1, "memory"),
        (None, Some(v1)) => (Layout::V1, v1, "memory"),
        (None, None) => return Cgroups::default(),
    };
    let group = group(controller).unwrap_or("/".into());
    // The mount may show a group below the top, as containers have it.
    let (root, at) = place;
    let below = group.strip_prefix(root.trim_end_matches('/')).unwrap_or(&group);
    let directory = format!("{at}{}", below.trim_end_matches('/'));
    let may_write = |name: &str| access(format!("{directory}{name}").as_str(), AccessFlags::W_OK);
    let writable = |name: &str| may_write(name).is_ok();
    let controllers = match layout {
        // Root can give a group whatever the top has.
        Layout::V2 if caller.uid == 0 => words(&format!("{at}/cgroup.controllers")),
        Layout::V2 => words(&format!("{directory}/cgroup.controllers")),
        _ => {
            let names = own
                .lines()
                .filter_map(|line| line.split(':').nth(1))
                .flat_map(|names| names.split(','));
            names
                .filter(|name| !name.is_empty() && !name.contains('='))
                .map(str::to_owned)
                .collect()
        }
    };
    let subtree = layout != Layout::V2 || writable("/cgroup.subtree_control");
    Cgroups {
        layout,
        group,
        controllers,
        delegated: writable("/") && writable("/cgroup.procs") && subtree,
        read_only: may_write("/") == Err(nix::errno::Errno::EROFS),
    }
}

/// The systemd that takes the caller's orders, looked for as `[limits]` does.
fn manager(caller: &Caller) -> Manager {
    let booted = std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|meta| meta.is_dir());
    match systemd::find(caller.uid, caller.runtime_dir.as_deref()) {
        Ok(found) => {
            let directory = directory_of_manager(found.pid).map(|hierarchy| hierarchy.directory);
            let controllers = directory
                .map(|directory| words(&format!("{directory}/cgroup.controllers")))
                .unwrap_or_default();
            Manager { socket: Some(found.socket.path), reached: Tried::Works, controllers, booted }
        }
        Err(unreached) => Manager {
            socket: unreached.socket,
            reached: Tried::Refused(unreached.errno),
            controllers: vec![],
            booted,
        },
    }
}

fn modules() -> Vec<Module> {
    let label = |path: &str| text(path).trim_end_matches(['\0', '\n']).to_owned();
    let mut found = vec![];
    if text("/sys/module/apparmor/parameters/enabled").trim() == "Y" {
        let own = Some(label("/proc/self/attr/apparmor/current"))
            .filter(|label| !label.is_empty())
            .unwrap_or_else(|| label("/proc/self/attr/current"));
        let free = own.is_empty() || own == "unconfined" || own.ends_with("(unconfined)");
        found.push(Module {
            name: "AppArmor",
            enforcing: !own.ends_with("(complain)"),
            confined: !free,
            label: own,
        });
    }
    if let Ok(mode) = std::fs::read_to_string("/sys/fs/selinux/enforce") {
        let own = label("/proc/self/attr/current");
        let domain = own.split(':').nth(2).unwrap_or("").to_owned();
        let free = domain.contains("unconfined") || domain == "initrc_t";
        found.push(Module {
            name: "SELinux",
            enforcing: mode.trim() == "1",
            confined: !free,
            label: own,
        });
    }
    found
}

/// Where systemd looks for its settings, from the weakest directory.
const OF_SYSTEMD: &[&str] =
    &["/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"];

/// Whether RestrictFileSystemAccess= is in force. systemd sets it only where the kernel insists on
/// signatures of dm-verity.
fn signed_alone() -> bool {
    let insists = text("/sys/module/dm_verity/parameters/require_signatures");
    if !["Y", "1"].contains(&insists.trim()) {
        return false;
    }
    let main = OF_SYSTEMD.iter().rev().map(|place| text(&format!("{place}/system.conf")));
    let main = main.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    // Of one name the strongest directory's counts, and names are read in their order.
    let mut more = BTreeMap::new();
    for place in OF_SYSTEMD {
        let entries = std::fs::read_dir(format!("{place}/system.conf.d")).into_iter().flatten();
        let files =
            entries.flatten().filter(|entry| entry.path().extension() == Some("conf".as_ref()));
        more.extend(files.map(|entry| (entry.file_name(), entry.path())));
    }
    let more = more.into_values().filter_map(|path| std::fs::read_to_string(path).ok());
    let files: Vec<String> = std::iter::once(main).chain(more).collect();
    restricts(&files, &text("/proc/cmdline"))
}

/// What the last setting says; the kernel's command line is stronger than the files.
fn restricts(files: &[String], command_line: &str) -> bool {
    let words = command_line.split_whitespace();
    let on_line =
        words.rev().find_map(|word| word.strip_prefix("systemd.restrict_filesystem_access="));
    let lines = files.iter().flat_map(|text| text.lines());
    let pairs = lines.filter_map(|line| line.split_once('='));
    let in_files = pairs.rev().find(|(key, _)| key.trim() == "RestrictFileSystemAccess");
    let value = on_line.or(in_files.map(|(_, value)| value.trim())).unwrap_or_default();
    !["", "no", "n", "false", "f", "off", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// Every sign of a container: what engines leave behind (podman, docker, systemd's
/// CONTAINER_INTERFACE), and a user namespace that is not the first. A file alone stays where an
/// image became a machine of its own, so none stands for the others.
fn container() -> Option<String> {
    let there = |path: &str| std::fs::symlink_metadata(path).is_ok();
    let named = text("/run/systemd/container");
    let named = Some(named.trim())
        .filter(|name| !name.is_empty())
        .map(|name| format!("{name} (/run/systemd/container)"));
    let files = ["/run/.containerenv", "/.dockerenv"]
        .into_iter()
        .filter(|file| there(file))
        .map(|file| format!("there is {file}"));
    let inner = std::fs::metadata("/proc/self/ns/user")
        .ok()
        .and_then(|namespace| not_the_first(namespace.ino()));
    let signs: Vec<String> = named.into_iter().chain(files).chain(inner).collect();
    (!signs.is_empty()).then(|| signs.join(", "))
}

/// A map of all ids onto themselves is not the first namespace's alone: a manager that has all can
/// give it to another.
fn not_the_first(inode: u64) -> Option<String> {
    (inode != FIRST_USER_NAMESPACE).then(|| "a user namespace that is not the first".into())
}

/// A bind keeps the noexec of the mount that it copies.
fn noexec(caller: &Caller) -> Vec<String> {
    let mut directories: Vec<&str> = vec!["/usr", &caller.home, &caller.cwd];
    directories.sort_unstable();
    directories.dedup();
    let is_noexec =
        |path: &&str| statvfs(*path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC));
    directories
        .into_iter()
        .filter(|path| path.starts_with('/'))
        .filter(is_noexec)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_their_kin() {
        assert_eq!(packages("NAME=x\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Packages::Apt);
        assert_eq!(packages("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Packages::Dnf);
        assert_eq!(packages("ID=void\n"), Packages::Unknown);
    }

    /// linux/proc_ns.h: PROC_USER_INIT_INO. A namespace that is made later has an inode of another
    /// range (proc_alloc_inum).
    #[test]
    fn the_first_user_namespace_is_known_by_its_inode() {
        assert_eq!(not_the_first(0xEFFF_FFFD), None);
        assert!(
            [0xF000_0000, 4_026_532_000, 0xEFFF_FFFC, 0]
                .into_iter()
                .all(|inode| not_the_first(inode).is_some())
        );
    }

    #[test]
    fn the_last_setting_of_systemd_counts_and_the_command_line_over_all() {
        let files =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let on = "[Manager]\nRestrictFileSystemAccess = yes\n";
        let off = "[Manager]\nRestrictFileSystemAccess=No\n";
        for (texts, line, restricted) in [
            (vec![], "", false),
            (vec!["[Manager]\n#RestrictFileSystemAccess=yes\n"], "quiet", false),
            (vec![on], "", true),
            (vec![on, off], "", false),
            (vec![off, on], "", true),
            (vec![on], "ro systemd.restrict_filesystem_access=0", false),
            (vec![off], "systemd.restrict_filesystem_access=1 quiet", true),
            (vec![on, "[Manager]\nRestrictFileSystemAccess=\n"], "", false),
        ] {
            assert_eq!(restricts(&files(&texts), line), restricted, "{texts:?} {line}");
        }
    }

    #[test]
    fn the_file_system_of_a_path_is_found() {
        assert_eq!(
            (file_system("/proc/self").as_str(), file_system("/sys").as_str()),
            ("proc", "sysfs")
        );
    }
}
