//! What is known of a machine, for one user: plain data, so that a test can invent a machine.
//! [`super::read`] and [`crate::launch::tries`] fill it, [`super::judge`] makes lines of it.

use crate::kernel::namespace::Kind;
use crate::launch::cause::{Barriers, Cause};
pub(crate) use crate::launch::tries::{Act, Tried};

/// How packages are installed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Packages {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Fedora, RHEL and their kin.
    Dnf,
    /// Alpine.
    Apk,
    /// Arch.
    Pacman,
    /// SUSE.
    Zypper,
    #[default]
    Unknown,
}

/// A set-id helper of shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Helper {
    /// It has the privilege that it needs.
    Able,
    /// It is there, without set-id bit and file capabilities.
    Plain,
    /// It lies on a file system that is mounted nosuid.
    NoSuid,
    /// It is not there.
    #[default]
    Absent,
}

/// Subordinate ids (subuid(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subordinate {
    /// The caller's ranges of users.
    pub users: Vec<(u32, u32)>,
    /// The caller's ranges of groups.
    pub groups: Vec<(u32, u32)>,
    /// The first id above all that are in use.
    pub free: u32,
    /// newuidmap and newgidmap.
    pub helpers: [Helper; 2],
    /// What the helpers said when they were to map the ranges; `None` where they were not asked.
    pub mapped: Option<Result<(), String>>,
}

/// Which hierarchies of control groups there are (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Layout {
    #[default]
    Absent,
    /// Version 1 alone.
    V1,
    /// Version 1 with the controllers, and version 2 without.
    Hybrid,
    /// Version 2 alone.
    V2,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cgroups {
    pub layout: Layout,
    /// The caller's group: of version 2, or of the memory controller of version 1.
    pub group: String,
    pub controllers: Vec<String>,
    /// Whether the caller may make groups below it, and move itself into them.
    pub delegated: bool,
    /// Whether it may not because the hierarchy is mounted read-only.
    pub read_only: bool,
}

/// The systemd that takes orders of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manager {
    /// Its bus or private socket.
    pub socket: Option<String>,
    /// Whether it could be connected to.
    pub reached: Tried,
    /// The controllers that it may give to groups below it.
    pub controllers: Vec<String>,
    /// Whether the machine was booted by systemd (sd_booted(3)).
    pub booted: bool,
}

/// A mandatory access control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// What it is called.
    pub name: &'static str,
    /// The caller's label or profile.
    pub label: String,
    /// Whether it denies, and does not only report.
    pub enforcing: bool,
    /// Whether the caller is confined by it.
    pub confined: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub uid: u32,
    pub user: String,
    /// Whether an ordinary user has supplementary groups, besides the user's own group.
    pub has_groups: bool,
    /// The kernel's release, as uname(2) has it.
    pub release: String,
    /// Its major and minor version.
    pub kernel: (u32, u32),
    /// How packages are installed.
    pub packages: Packages,
    /// What files say of namespaces.
    pub barriers: Barriers,
    /// Whether a whole sandbox could be built; the problem and its help where not.
    pub sandbox: Option<Result<(), (String, Option<String>)>>,
    /// Each kind of namespace, in a new user namespace; without one where root cannot have one.
    pub namespaces: Vec<(Kind, Tried)>,
    /// The id maps of a new user namespace.
    pub maps: Tried,
    /// What a process in new namespaces can do.
    pub acts: Vec<(Act, Tried)>,
    pub subordinate: Subordinate,
    /// Landlock's ABI, or the kernel's error.
    pub landlock: Option<Result<u32, i32>>,
    /// Actions of seccomp filters.
    pub seccomp_actions: Vec<String>,
    /// For root: directories, their file systems, and whether owners can be mapped there.
    pub idmaps: Vec<(String, String, Tried)>,
    pub cgroups: Cgroups,
    pub manager: Manager,
    /// Mandatory access controls that are on.
    pub modules: Vec<Module>,
    /// Whether systemd lets nothing run but what lies on a signed dm-verity device
    /// (RestrictFileSystemAccess= of systemd-system.conf(5), since version 261).
    pub signed_alone: bool,
    /// Whether the kernel has no overlayfs and can load none.
    pub no_overlayfs: bool,
    /// Why fuse-overlayfs cannot show layers for the caller, if it cannot.
    pub no_server: Option<String>,
    /// Signs of a container around all this.
    pub container: Option<String>,
    /// Directories that the caller works in and that are mounted noexec.
    pub noexec: Vec<String>,
    /// The hard limit of core files.
    pub core_limit: u64,
}

impl Facts {
    /// The result of an act.
    pub(crate) fn act(&self, act: Act) -> Tried {
        self.acts
            .iter()
            .find(|(known, _)| *known == act)
            .map_or(Tried::Untried, |(_, tried)| *tried)
    }

    /// The result of making a kind of namespace.
    pub(crate) fn namespace(&self, kind: Kind) -> Tried {
        self.namespaces
            .iter()
            .find(|(known, _)| *known == kind)
            .map_or(Tried::Untried, |(_, tried)| *tried)
    }

    /// Whether the caller is root, of the machine or of a container.
    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Why user namespaces are not to be had, or mean nothing, where that is so.
    pub(crate) fn user_namespace_cause(&self) -> Option<Cause> {
        match (self.namespace(Kind::User), self.maps, self.act(Act::HostName)) {
            (Tried::Refused(errno), ..) => self.barriers.of_clone(&[Kind::User], errno),
            (_, Tried::Refused(_), _) | (_, _, Tried::Refused(_)) => {
                self.barriers.user_namespaces()
            }
            _ => None,
        }
    }
}
