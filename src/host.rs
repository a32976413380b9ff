//! What is known of the machine: plain data, so that a test can invent a machine. [`crate::probe`]
//! reads it, once, before anything is planned.

pub(crate) mod bounds;
pub(crate) mod caller;
pub(crate) mod globs;
pub(crate) mod groups;
pub(crate) mod inside;
pub(crate) mod joined;
pub(crate) mod keys;
pub(crate) mod layering;
pub(crate) mod mounted;
pub(crate) mod parts;
pub(crate) mod privileged;
pub(crate) mod programs;
pub(crate) mod questions;
pub(crate) mod streams;
pub(crate) mod systemd;
pub(crate) mod trail;
pub(crate) mod upper;

use crate::kernel::name::Inode;
use crate::text::problem::Problem;
use crate::text::source::Span;
use bounds::Bounds;
use caller::Caller;
use globs::Found;
use groups::Groups;
use inside::Inside;
use joined::{Joined, Joins};
use keys::Key;
use layering::{Doubt, NoServer, Part, Unlayered};
use mounted::Mounted;
use parts::Brought;
use privileged::Look;
use programs::Program;
use std::collections::{BTreeMap, BTreeSet};
use streams::{Anew, Owner, Stream};
use trail::{Link, Trail};

/// What is known of the machine and of the caller.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub caller: Caller,
    /// The launcher's process id; read only for root.
    pub pid: u32,
    /// What is where uppers of layers are to be, by the host's path.
    pub uppers: BTreeMap<String, upper::Place>,
    /// The first of 65,536 host ids that no other sandbox has, or why there are none; read only for
    /// root, where layers are merged.
    pub free_ids: Option<Result<u32, String>>,
    /// The NIS domain name (uname(2)).
    pub domain: String,
    /// The host name (uname(2)).
    pub node_name: String,
    /// What /etc/resolv.conf holds, or why that is not known; read only where a sandbox with a tree
    /// of its own shares a network.
    pub resolver: Option<Result<Vec<u8>, String>>,
    /// The same of /etc/hosts.
    pub hosts: Option<Result<Vec<u8>, String>>,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// The highest capability of the kernel, where the profile names one above `LAST_SURE`.
    pub last_capability: Option<u8>,
    /// Why keyctl(2) is refused to this process, where `optional` has `keyring` and it is.
    pub keyctl_refused: Option<i32>,
    /// Whether root has no CAP_SYS_ADMIN, as in a container; read only for a sandbox in the host's
    /// user namespace.
    pub powerless_root: bool,
    /// What is behind the files of namespaces that are joined.
    pub joined: BTreeMap<String, Joined>,
    /// The caller, as far as joining a namespace hangs on it; read only where one is.
    pub joins: Joins,
    /// What is mounted, where `seccomp.write-execute` is false.
    pub mounted: Option<Mounted>,
    /// What is mounted, where layers are merged.
    pub merged: Option<Mounted>,
    /// Whether the kernel has no overlayfs and can load none; read where layers are merged.
    pub no_overlayfs: bool,
    /// The layers on mounts that run no program (`noexec`, mount(8)), by the host's path.
    pub noexec: BTreeSet<String>,
    /// The layers that overlayfs may not take.
    pub doubtful: Vec<Doubt>,
    /// Those of them that it was tried with, and does not, by the host's path.
    pub unlayered: BTreeMap<String, Unlayered>,
    /// What fuse-overlayfs needs, or why there is none for this caller; read where a profile names
    /// it.
    pub server: Option<Result<Vec<Part>, NoServer>>,
    /// Landlock's ABI, where the kernel has it.
    pub landlock: Option<u32>,
    /// Every path that the profile names, by the host's path.
    pub paths: BTreeMap<String, Fact>,
    /// The directories in which a target expects to write, where an ordinary user's may write on top of
    /// layers: those above them may be another's.
    pub expected: Vec<String>,
    /// The directories above what is granted; read where root starts a target in the host's own
    /// tree.
    pub above: BTreeMap<String, File>,
    /// Why an ordinary caller can make nothing in directories where `missing = "create"` is to, by
    /// the host's path.
    pub unwritable: BTreeMap<String, i32>,
    /// The git directories that `.git` files among them name, by the host's path
    /// (gitrepository-layout(5)).
    pub git_directories: BTreeMap<String, String>,
    /// What the patterns among the keys of `[mounts]` match.
    pub globs: BTreeMap<String, Found>,
    /// The links, all root's, that paths of the profile lead through on their way, by the path;
    /// read only for root.
    pub ways: BTreeMap<String, Vec<Link>>,
    /// The files and directories that the launcher is to open, and that are not there; why.
    pub unopened: BTreeMap<String, i32>,
    /// How many bytes each file has that is copied, or why the caller cannot read it, by the host's
    /// path.
    pub copied: BTreeMap<String, Result<u64, i32>>,
    /// Where the links lead that entries of `[mounts]` follow, by the host's path.
    pub followed: BTreeMap<String, Trail>,
    /// Where the links lead that entries of `[mounts]` keep, by the host's path.
    pub trails: BTreeMap<String, Trail>,
    /// Files with privilege in the trees that are granted for writing, by the path inside; read
    /// only for root.
    pub privileged: Vec<(String, Look)>,
    /// What comes with entries of `[mounts]`.
    pub brought: Brought,
    /// The names in directories that a lint looks into; read where it is asked for
    /// ([`Host::look_closer`]).
    pub names: BTreeMap<String, Vec<String>>,
    /// Keys and sessions of the homes of this machine, and the system's; read where it is asked
    /// for.
    pub keys: Vec<Key>,
    /// The files that git reads below granted directories, besides their own `.git`, by the host's
    /// path; read only on request.
    pub repositories: BTreeMap<String, Vec<String>>,
    /// Descriptors 0, 1 and 2.
    pub streams: [Stream; 3],
    /// The name of the terminal that the target keeps, and what is there.
    pub terminal: Option<(String, File)>,
    /// How a terminal on 1 or 2 is opened for writing alone, or why it cannot be; read only where
    /// the target has no terminal as 0.
    pub anew: BTreeMap<u32, Result<Anew, i32>>,
    /// Those that the profile passes, by number.
    pub passed: BTreeMap<u32, Stream>,
    /// Whose the file is that the target reads as its standard input, where the profile names one.
    pub fed: Option<Owner>,
    /// Users that the profile names.
    pub users: BTreeMap<String, u32>,
    /// Groups that the profile names.
    pub groups: BTreeMap<String, u32>,
    /// Subordinate user ids of the caller (subuid(5)).
    pub subuid: Vec<(u32, u32)>,
    /// Subordinate group ids of the caller (subgid(5)).
    pub subgid: Vec<(u32, u32)>,
    /// Host ids in use, as first and count; read only for root.
    pub taken: Vec<(u32, u32)>,
    /// The parts of the profile that came from the caller's environment.
    pub private: Vec<Span>,
    /// What the profile is called: its file in its real place, or the name of a built-in one.
    pub profile: String,
    /// The files that the profile came from, in their real places.
    pub profiles: Vec<String>,
    /// Names by which the next run could find another profile, and which no mount can keep.
    pub loose_profiles: Vec<Loose>,
    /// What each item of `programs` needs, in their order.
    pub programs: Vec<Program>,
    /// What the command finds inside; read only on request ([`Host::look_inside`]).
    pub inside: Option<Inside>,
    /// Control groups; read only where the profile has limits.
    pub control_groups: Groups,
    /// Where each path of `[landlock].paths` leads inside, links followed; or the errno with which
    /// the way ends.
    pub ruled: BTreeMap<String, Result<String, i32>>,
    /// How far the caller may go with limits and priorities, where an ordinary user's profile asks
    /// for any.
    pub bounds: Option<Bounds>,
    /// The supplementary groups of an ordinary caller, if they are known.
    pub groups_of_caller: Option<Vec<u32>>,
    /// Whether the limits of namespaces(7) cannot be written; read only if `optional` names them.
    pub read_only_sysctls: bool,
    /// Whether the directory of sandboxes with a name is another user's, or others may enter it; read
    /// only where the sandbox has one.
    pub foreign_registry: bool,
    /// The text that `[seccomp]` imports, or why there is none.
    pub import: Option<Result<String, Problem>>,
}

/// A name by which a profile is found, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    /// Its place.
    pub path: String,
    /// Whether it is a symbolic link on the way to a profile; else an `extends` names it, and it is
    /// not there.
    pub is_link: bool,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Nothing, or nothing that the caller can see; why.
    Absent(i32),
    Present(File),
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub kind: FileKind,
    pub inode: Inode,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    /// How many names it has (link(2)).
    pub names: u64,
    /// Its place without links, where a directory on the way is a link; with whether all those
    /// links are root's.
    pub real: Option<(String, bool)>,
    /// The magic number of its file system (statfs(2)); read only where it matters.
    pub fs: i64,
    /// Sockets below it, by their path below it, where it is a bound directory that was looked at.
    pub sockets: Vec<String>,
}

/// The kind of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    Directory,
    Regular,
    /// A symbolic link, with its text.
    Link(String),
    Socket,
    /// A character or block device.
    Device,
    /// A FIFO.
    Fifo,
}

impl FileKind {
    /// What people call it.
    pub fn word(&self) -> &'static str {
        match self {
            FileKind::Directory => "a directory",
            FileKind::Regular => "a file",
            FileKind::Link(_) => "a symbolic link",
            FileKind::Socket => "a socket",
            FileKind::Device => "a device",
            FileKind::Fifo => "a FIFO",
        }
    }
}

impl Host {
    /// What is at a host path; a path that was not asked for counts as absent.
    pub fn at(&self, path: &str) -> &Fact {
        const UNASKED: &Fact = &Fact::Absent(libc::ENOENT);
        self.paths.get(path).unwrap_or(UNASKED)
    }

    /// The file at a host path, where there is one.
    pub fn present(&self, path: &str) -> Option<&File> {
        match self.at(path) {
            Fact::Present(file) => Some(file),
            Fact::Absent(_) => None,
        }
    }

    /// Whether a path is known to be a directory without a link on the way to it.
    pub(crate) fn is_plain_directory(&self, path: &str) -> bool {
        matches!(
            self.paths.get(path),
            Some(Fact::Present(File { kind: FileKind::Directory, real: None, .. }))
        )
    }
}
