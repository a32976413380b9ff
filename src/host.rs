//! Facts about the machine, read once, before anything is planned. Plain data, so that a test can invent a machine.
//!
//! It reads and never writes; what it read may change, so [`crate::launch`] checks again on the descriptors that it opens.

pub mod groups;

use crate::exposure::keys::Key;
use crate::kernel::capability::LAST_SURE;
use crate::kernel::name::Inode;
use crate::kernel::namespace::Kind;
use crate::policy::env::Variable;
use crate::policy::identity::Id;
use crate::policy::landlock::Paths;
use crate::policy::mounts::entry::{Bind, Missing, Mount};
use crate::policy::mounts::glob::Found;
use crate::policy::namespaces::Namespace;
use crate::policy::privilege::{self, Look};
use crate::policy::process::Keyring;
use crate::policy::{mounts, namespaces};
use crate::problem::Problem;
use crate::profile::{Caller, Profile, read_import};
use crate::source::Sources;
use crate::sys;
use groups::Groups;
use mounted::Mounted;
use nix::unistd::AccessFlags;
use programs::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use trail::{Last, Trail};

mod bounds;
mod closer;
pub mod elf;
mod inside;
mod loader;
pub mod mounted;
pub mod nodes;
mod privileged;
pub mod programs;
pub mod script;
mod search;
mod sockets;
mod streams;
pub mod systemd;
pub mod trail;
mod view;
mod walk;

pub use bounds::Bounds;
pub use inside::Inside;
pub use privileged::given;
pub use streams::{Anew, Owner, Socket, Stream, Unix, open_anew};

/// What is known of the machine and of the caller.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Who called.
    pub caller: Caller,
    /// The launcher's process id; read only for root.
    pub pid: u32,
    /// The NIS domain name (uname(2)).
    pub domain: String,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// The highest capability of the kernel, where the profile names one above [`LAST_SURE`].
    pub last_capability: Option<u8>,
    /// Why keyctl(2) is refused to this process, where `optional` has `keyring` and it is.
    pub keyctl_refused: Option<i32>,
    /// Whether root has no CAP_SYS_ADMIN, as in a container; read only for a sandbox in the host's user namespace.
    pub powerless_root: bool,
    /// What is mounted, where `seccomp.write-execute` is false.
    pub mounted: Option<Mounted>,
    /// Landlock's ABI, where the kernel has it.
    pub landlock: Option<u32>,
    /// Every path that the profile names, by the host's path.
    pub paths: BTreeMap<String, Fact>,
    /// Why an ordinary caller can make nothing in directories where `missing = "create"` is to, by the host's path.
    pub unwritable: BTreeMap<String, i32>,
    /// What the patterns among the keys of `[mounts]` match.
    pub globs: BTreeMap<String, Found>,
    /// The links, all root's, that paths of the profile lead through on their way, by the path; read only for root.
    pub ways: BTreeMap<String, Vec<trail::Link>>,
    /// Where the links lead that entries of `[mounts]` keep, by the host's path.
    pub trails: BTreeMap<String, Trail>,
    /// Files with privilege in the trees that are granted for writing, by the path inside; read only for root.
    pub privileged: BTreeMap<String, Look>,
    /// The names in the folder that becomes `/`, where one does.
    pub root_names: Vec<String>,
    /// The names in folders that a lint looks into; read where it is asked for ([`Host::look_closer`]).
    pub names: BTreeMap<String, Vec<String>>,
    /// Keys and sessions of the homes of this machine, and the system's; read where it is asked for.
    pub keys: Vec<Key>,
    /// What git reads below granted directories, besides their own `.git`, by the host's path; read where it is asked for.
    pub repositories: BTreeMap<String, Vec<String>>,
    /// Descriptors 0, 1 and 2.
    pub streams: [Stream; 3],
    /// How a terminal on 1 or 2 is opened for writing alone, or why it cannot be; read only where the target has no terminal as 0.
    pub anew: BTreeMap<u32, Result<Anew, i32>>,
    /// Those that the profile passes, by number.
    pub passed: BTreeMap<u32, Stream>,
    /// Users that the profile names.
    pub users: BTreeMap<String, u32>,
    /// Groups that the profile names.
    pub groups: BTreeMap<String, u32>,
    /// Subordinate user ids of the caller (subuid(5)).
    pub subuid: Vec<(u32, u32)>,
    /// Subordinate group ids of the caller (subgid(5)).
    pub subgid: Vec<(u32, u32)>,
    /// Host ids that somebody has, as first and count; read only for root.
    pub taken: Vec<(u32, u32)>,
    /// The files that the profile came from, in their real places.
    pub profiles: Vec<String>,
    /// What each item of `programs` needs, in their order.
    pub programs: Vec<Program>,
    /// What the command finds inside; read where it is asked for ([`Host::look_inside`]).
    pub inside: Option<Inside>,
    /// Control groups; read only where the profile has limits.
    pub control_groups: Groups,
    /// Where each path of `[landlock].paths` leads inside, links followed; or the errno with which the way ends.
    pub ruled: BTreeMap<String, Result<String, i32>>,
    /// How far the caller may go with limits and priorities, where an ordinary user's profile asks for any.
    pub bounds: Option<Bounds>,
    /// The caller's supplementary groups, where a command asked for them.
    pub groups_of_caller: Option<Vec<u32>>,
    /// Whether the limits of namespaces(7) cannot be written; read only where the profile lets them fall.
    pub read_only_sysctls: bool,
    /// The text that `[seccomp]` imports, or why there is none.
    pub import: Option<Result<String, Problem>>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Nothing, or nothing that the caller can see; why.
    Absent(i32),
    /// Something.
    Present(File),
}

/// A file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: FileKind,
    /// Which it is.
    pub inode: Inode,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// How many names it has (link(2)).
    pub names: u64,
    /// Its place without links, where a folder on the way is a link; with whether all those links are root's.
    pub real: Option<(String, bool)>,
    /// The magic number of its file system (statfs(2)); read only where it matters.
    pub fs: i64,
    /// Sockets below it, by their path below it, where it is a bound directory that was looked at.
    pub sockets: Vec<String>,
}

/// The kind of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A regular file.
    Regular,
    /// A symbolic link, with its text.
    Link(String),
    /// A socket.
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
            FileKind::Folder => "a directory",
            FileKind::Regular => "a file",
            FileKind::Link(_) => "a symbolic link",
            FileKind::Socket => "a socket",
            FileKind::Device => "a device",
            FileKind::Fifo => "a FIFO",
        }
    }
}

impl Host {
    /// Reads what `profile` needs to know.
    pub fn probe(profile: &Profile, caller: Caller, sources: &Sources) -> Host {
        let mut host = Host {
            pid: if caller.uid == 0 { std::process::id() } else { 0 },
            landlock: sys::landlock_abi().ok().filter(|abi| *abi > 0),
            streams: [0, 1, 2].map(streams::look),
            passed: profile.process.passed().map(|fd| (fd, streams::look(fd as i32))).collect(),
            profiles: sources.files().map(str::to_owned).collect(),
            ..Host::default()
        };
        for fd in profile.process.outputs_taken_anew(&host) {
            host.anew.insert(fd, streams::anew(fd as i32));
        }
        if let Ok(name) = nix::sys::utsname::uname() {
            host.kernel = version(&name.release().to_string_lossy());
            host.domain = name.domainname().to_string_lossy().into_owned();
        }
        if let Some(root) = mounts::bound_root(&profile.mounts) {
            host.root_names = names_in(root);
        }
        host.read_ids(profile, &caller);
        host.globs = walk::globs(&profile.mounts, &host.root_names, caller.uid);
        let entries = mounts::glob::expand(&profile.mounts, &host.globs);
        if profile.limits.is_used() {
            host.control_groups = Groups::probe(&profile.limits, &entries, profile.name.get().is_some(), &caller);
        }
        let tree = mounts::tree::tree(&entries, &host.root_names);
        let mut wanted = mounts::wanted(&tree, &entries, &host.root_names);
        // Where nothing covers what is hidden, its real place tells whether a rule grants it.
        if *profile.namespaces.tree() == Namespace::Host {
            wanted.extend(mounts::hidden(&entries));
        }
        let with_fs = caller.uid == 0;
        for path in wanted {
            let fact = look(&path, host.is_plain_folder(crate::value::parent(&path)), with_fs);
            host.read_way(&path, &fact);
            host.paths.insert(path, fact);
        }
        if caller.uid == 0 {
            for (_, variable) in profile.env.iter() {
                let Variable::File(path) = &variable.value else { continue };
                host.read_way(path, &look(path, false, false));
            }
        }
        if caller.uid != 0 {
            host.unwritable = unwritable(&entries);
        }
        host.read_trails(&tree, with_fs);
        host.read_sockets(profile, &tree, &caller.home);
        if profile.capabilities.named().any(|cap| cap.0 > LAST_SURE) {
            host.last_capability = last_capability();
        }
        host.mounted = Mounted::read(profile);
        host.keyctl_refused = refused_keyctl(profile);
        if caller.uid == 0 && *profile.namespaces.whose(Kind::User) == Namespace::Host {
            host.powerless_root = sys::capget().is_ok_and(|sets| sets.effective & CAP_SYS_ADMIN == 0);
        }
        if profile.optional.items.iter().any(|name| name.value == namespaces::SECOND_LOCK) {
            let flags = nix::sys::statvfs::statvfs("/proc/sys/user").map(|fs| fs.flags());
            host.read_only_sysctls = flags.is_ok_and(|flags| flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
        }
        if caller.uid != 0 {
            host.bounds = Bounds::read(&profile.process, &profile.rlimits);
        }
        if privilege::is_looked_for(profile, &caller) {
            host.caller = caller.clone();
            let (tree, _) = mounts::tree::settle(&entries, &host);
            host.privileged = privileged::look(&tree, &host, profile.seccomp.set_id.get().is_some_and(|set_id| set_id.value));
        }
        host.import = profile.seccomp.import.get().map(|path| read_import(path, &caller, path.at));
        host.caller = caller;
        if !profile.programs.items.is_empty() {
            host.read_programs(profile, with_fs);
        }
        if let Some(Paths::Table(table)) = profile.landlock.paths.get().map(|paths| &paths.value) {
            host.read_ruled(profile, table.iter().map(|(path, _)| path.as_ref()));
        }
        host
    }

    /// What is at a host path; a path that nobody asked for counts as absent.
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

    /// Whether a path is known to be a folder without a link on the way to it.
    fn is_plain_folder(&self, path: &str) -> bool {
        matches!(self.paths.get(path), Some(Fact::Present(File { kind: FileKind::Folder, real: None, .. })))
    }

    fn read_ids(&mut self, profile: &Profile, caller: &Caller) {
        let identity = &profile.identity;
        let named = |id: &Id| match id {
            Id::Name(name) => Some(name.clone()),
            Id::Number(_) => None,
        };
        let user_names: BTreeSet<String> = identity.user.get().and_then(|id| named(id)).into_iter().collect();
        let group_names: BTreeSet<String> = identity.group.get().into_iter().chain(&identity.groups.items).filter_map(|id| named(id)).collect();
        let root = caller.uid == 0;
        if root || !user_names.is_empty() {
            let users = read_database("/etc/passwd");
            self.taken.extend(users.iter().map(|(_, id)| (*id, 1)));
            self.users = users.into_iter().filter(|(name, _)| user_names.contains(name)).collect();
        }
        if root || !group_names.is_empty() {
            let groups = read_database("/etc/group");
            self.taken.extend(groups.iter().map(|(_, id)| (*id, 1)));
            self.groups = groups.into_iter().filter(|(name, _)| group_names.contains(name)).collect();
        }
        if root || identity.uid_map.get().is_some() || identity.gid_map.get().is_some() {
            for (file, own) in [("/etc/subuid", &mut self.subuid), ("/etc/subgid", &mut self.subgid)] {
                for (name, first, count) in read_subordinate(file) {
                    self.taken.push((first, count));
                    if name == caller.user || name == caller.uid.to_string() {
                        own.push((first, count));
                    }
                }
            }
        }
    }
}

/// The highest capability that this kernel knows, where it tells (capabilities(7)).
fn last_capability() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok()?.trim().parse().ok()
}

/// The capability of capabilities(7), as a bit.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// The filters of containers refuse the call itself, so that there is no keyring to be had, for the target as well.
fn refused_keyctl(profile: &Profile) -> Option<i32> {
    let may_skip = profile.optional.items.iter().any(|name| name.value == "keyring");
    if !may_skip || profile.process.keyring.or(Keyring::New).value != Keyring::New {
        return None;
    }
    match sys::session_keyring() {
        Err(sys::Errno(errno @ (libc::EPERM | libc::ENOSYS))) => Some(errno),
        _ => None,
    }
}

/// What is at `path`. A final link is not followed; links on the way are, and reported; `plain` is whether it is known that there are none.
fn look(path: &str, plain: bool, with_fs: bool) -> Fact {
    let walked = if plain { Ok(()) } else { open_without_links(path) };
    let (real, meta) = match walked {
        Ok(()) => (None, std::fs::symlink_metadata(path)),
        Err(libc::ELOOP) => {
            let trail = trail::walk(path, Last::Kept);
            if let Some(errno) = trail.errno {
                return Fact::Absent(errno);
            }
            let (roots, meta) = (trail.is_roots(), std::fs::symlink_metadata(&trail.end));
            (Some((trail.end, roots)), meta)
        }
        Err(errno) => return Fact::Absent(errno),
    };
    let meta = match meta {
        Ok(meta) => meta,
        Err(error) => return Fact::Absent(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    let place = real.as_ref().map_or(path, |(real, _)| real);
    let kind = match meta.file_type() {
        kind if kind.is_dir() => FileKind::Folder,
        kind if kind.is_symlink() => match link_text(place) {
            Ok(text) => FileKind::Link(text),
            Err(errno) => return Fact::Absent(errno),
        },
        kind if kind.is_socket() => FileKind::Socket,
        kind if kind.is_char_device() || kind.is_block_device() => FileKind::Device,
        kind if kind.is_fifo() => FileKind::Fifo,
        _ => FileKind::Regular,
    };
    let fs = if with_fs { nix::sys::statfs::statfs(place).map_or(0, |fs| fs.filesystem_type().0) } else { 0 };
    Fact::Present(File {
        kind,
        inode: Inode { dev: meta.dev(), ino: meta.ino() },
        uid: meta.uid(),
        gid: meta.gid(),
        mode: meta.permissions().mode() & 0o7777,
        names: meta.nlink(),
        real,
        fs,
        sockets: vec![],
    })
}

/// The text of a link. Links of proc can be seen by all and read by few (proc_pid_root(5)).
pub fn link_text(path: &str) -> Result<String, i32> {
    let text = std::fs::read_link(path).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    text.into_os_string().into_string().map_err(|_| libc::EILSEQ)
}

/// Whether the path can be walked without following a link before its last name.
fn open_without_links(path: &str) -> Result<(), i32> {
    // One name below the root has nothing on the way.
    if path.matches('/').count() < 2 {
        return Ok(());
    }
    let name = crate::kernel::name::Name::new(path);
    let opened = sys::open_without_links(name.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW).and_then(sys::close);
    opened.map_err(|errno| errno.0)
}

/// The directories where something is to be made and this process may not (access(2)).
fn unwritable(entries: &mounts::Mounts) -> BTreeMap<String, i32> {
    let made = entries.iter().filter_map(|(path, mount)| match &mount.value {
        Mount::Bind(Bind { missing: Missing::Create, source, .. }) => {
            Some(crate::value::parent(source.as_ref().map_or(path.value, |source| source)).to_owned())
        }
        _ => None,
    });
    let how = AccessFlags::W_OK | AccessFlags::X_OK;
    made.filter_map(|above| Some((above.clone(), nix::unistd::access(above.as_str(), how).err()? as i32))).collect()
}

fn names_in(path: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![] };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Major and minor version of a release such as `6.1.0-18-amd64`.
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Name and id of each line of /etc/passwd or /etc/group (passwd(5), group(5)). A static binary has no NSS modules, so it reads the files.
fn read_database(path: &str) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// Name, first id and count of each line (subuid(5)).
pub fn read_subordinate(path: &str) -> Vec<(String, u32, u32)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, first, count) = (fields.next()?.to_owned(), fields.next()?.parse::<u32>().ok()?, fields.next()?.parse().ok()?);
            // A range that goes past the last id is none.
            first.checked_add(count).map(|_| (name, first, count))
        })
        .collect()
}
