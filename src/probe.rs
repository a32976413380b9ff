//! Reads the machine, once, before anything is planned.
//!
//! It reads and never writes; what it read may change, so [`mod@crate::launch`] checks again on the
//! descriptors that it opens.

mod ask;
mod bounds;
mod caller;
pub(crate) mod elf;
pub(crate) mod groups;
mod ids;
mod inside;
mod joined;
mod layering;
mod loader;
mod mounted;
mod names;
mod nodes;
mod parts;
mod privileged;
pub(crate) mod script;
mod search;
mod server;
mod sockets;
mod streams;
pub(crate) mod systemd;
pub(crate) mod trail;
mod uppers;
mod view;
mod walk;
pub(crate) mod written;

use crate::host::bounds::Bounds;
use crate::host::caller::Caller;
use crate::host::groups::Groups;
use crate::host::mounted::Mounted;
use crate::host::questions::Questions;
use crate::host::{Fact, File, FileKind, Host, Loose};
use crate::kernel::name::Inode;
use crate::language::value::{ancestors, parent};
use crate::policy::landlock::Paths;
use crate::policy::mounts::Mounts;
use crate::policy::mounts::kinds::Missing;
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::Tree;
use crate::policy::namespaces::Namespace;
use crate::policy::network::names::{HOSTS, RESOLVER};
use crate::policy::programs::implied;
use crate::policy::{identity, mounts, privilege};
use crate::profile::{Profile, read_import, way};
use crate::sys;
use crate::text::bytes;
use crate::text::gather::Gather;
use crate::text::source::Sources;
use crate::tree::walk::{Last, meant};
pub(crate) use ids::LOCKS;
pub(crate) use layering::lacks_overlayfs;
use nix::unistd::AccessFlags;
pub(crate) use privileged::given;
pub(crate) use server::look as server;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
pub(crate) use streams::open_anew;

/// Reads what `profile` needs to know, and settles its `[mounts]` on the way: what programs need is
/// found by looking through the tree.
pub fn probe(profile: &Profile, caller: Caller, sources: &Sources) -> (Host, Settled) {
    let with_fs = caller.uid == 0;
    let mut host = Host {
        profile: sources.main().to_owned(),
        profiles: sources.files().map(str::to_owned).collect(),
        loose_profiles: sources
            .loose()
            .map(|(path, is_link)| Loose { path: path.to_owned(), is_link })
            .collect(),
        private: sources.private(),
        caller: caller.clone(),
        ..Host::default()
    };
    let asks = ask::questions(profile, &caller);
    // An imported policy decides as much about the sandbox as the profile does.
    if let Some(path) = &asks.import {
        let (place, links) = way(path, &caller.cwd);
        host.profiles.push(place);
        host.loose_profiles.extend(links.into_iter().map(|path| Loose { path, is_link: true }));
    }
    host.read_process(profile, &asks, &caller);
    if profile.name.get().is_some() {
        let alone = caller::is_alone(&caller.registry(), caller.uid);
        host.foreign_registry =
            alone.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    }
    host.read_ids(&asks, &caller);
    let (expanded, tree) = host.read_mounts(profile, &caller);
    host.read_rest(&asks, &caller);
    let mut settled = Settled::of(&profile.mounts, expanded, tree, &host);
    if privilege::is_looked_for(&profile.identity, &profile.namespaces, &host.caller) {
        let set_id = profile.seccomp.set_id.get().is_some_and(|set_id| set_id.value);
        host.privileged = privileged::look(&settled.tree, &host, set_id);
    }
    let paths = profile.landlock.paths.get();
    let is_ruled = matches!(paths.map(|paths| &paths.value), Some(Paths::Table(_)));
    if is_ruled || !profile.programs.items.is_empty() {
        let sought = ask::sought(profile, &host.caller);
        host.read_programs(&sought, &settled.tree, with_fs);
        settled = settled.with(implied(&profile.programs, &profile.process, &host));
        let rules = sought.rules.iter().flatten();
        let paths = rules.map(|(path, _)| path.as_str());
        host.read_ruled(profile.namespaces.tree(), &settled, paths);
    }
    (host, settled)
}

impl Host {
    /// The kernel, and what the target has from its caller.
    fn read_process(&mut self, profile: &Profile, asks: &Questions, caller: &Caller) {
        self.pid = if caller.uid == 0 { std::process::id() } else { 0 };
        if caller.uid != 0 {
            self.groups_of_caller = sys::groups().ok();
        }
        self.landlock = sys::landlock_abi().ok().filter(|abi| *abi > 0);
        self.streams = [0, 1, 2].map(streams::look);
        self.passed = asks.passed.iter().map(|fd| (*fd, streams::look(*fd as i32))).gather();
        self.fed = profile.process.file(0).and_then(|file| streams::owner(file.path));
        self.terminal = profile.process.keeps_terminal(self).then(streams::terminal).flatten();
        for fd in profile.process.outputs_taken_anew(self) {
            self.anew.insert(fd, streams::anew(fd as i32));
        }
        if let Ok(name) = nix::sys::utsname::uname() {
            self.kernel = version(&name.release().to_string_lossy());
            self.domain = name.domainname().to_string_lossy().into_owned();
            self.node_name = name.nodename().to_string_lossy().into_owned();
        }
    }

    /// What the entries of `[mounts]` ask for. Returns the entries, if any are patterns, and the
    /// tree of all.
    fn read_mounts(&mut self, profile: &Profile, caller: &Caller) -> (Option<Mounts>, Tree) {
        if let Some(root) = mounts::bound_root(&profile.mounts) {
            self.brought.root_names = names_in(root);
        }
        let mut mounted = None;
        self.brought.trees = parts::parts(&profile.mounts, &mut mounted, (caller, self.kernel));
        self.globs = walk::globs(&profile.mounts, &self.brought, caller.uid);
        let expanded = mounts::glob::expand(&profile.mounts, &self.globs);
        for path in mounts::follow::wanted(&expanded) {
            let trail = trail::walk(&path, Last::Followed);
            self.followed.insert(path, trail);
        }
        let expanded = mounts::settle::expanded(&profile.mounts, self);
        let entries = expanded.as_ref().unwrap_or(&profile.mounts);
        if profile.limits.is_used() {
            self.control_groups =
                Groups::probe(&profile.limits, entries, profile.name.get().is_some(), caller);
        }
        if expanded.is_some() {
            self.brought.trees = parts::parts(entries, &mut mounted, (caller, self.kernel));
        }
        let tree = mounts::tree::tree(entries, &self.brought);
        let mut wanted = mounts::wanted(&tree, entries, &self.brought);
        // If no mount covers a hidden path, its real path decides whether a rule grants it.
        if *profile.namespaces.tree() == Namespace::Host {
            wanted.extend(mounts::hidden(entries));
        }
        let with_fs = caller.uid == 0;
        for path in wanted {
            let fact = look(&path, self.is_plain_directory(parent(&path)), with_fs);
            self.read_way(&path, &fact);
            if path.ends_with("/.git")
                && let Fact::Present(File { kind: FileKind::Regular, .. }) = &fact
                && let Some(directory) = git_directory(&path)
            {
                self.git_directories.insert(path.clone(), directory);
            }
            self.paths.insert(path, fact);
        }
        let is_merged = |(path, node): (&String, &mounts::tree::Node)| {
            node.mount.grant(path).is_some_and(|grant| grant.merged)
        };
        if tree.iter().any(is_merged) {
            self.merged = mounted.or_else(|| Some(Mounted::read(&[], &[])));
        }
        if identity::is_mapped(&profile.identity, caller)
            && profile.identity.host_ids.get().is_none()
            && mounts::tree::merges(&tree)
        {
            self.free_ids = Some(ids::free(&caller.registry(), self.pid, &self.taken));
        }
        self.read_layering(&tree);
        self.uppers = uppers::look(&tree, &self.paths);
        if caller.uid != 0 && mounts::tree::merges(&tree) {
            self.expected = ask::expected(profile, caller);
            mounts::look_at_expected(self, &tree, |path| look(path, false, false));
        }
        self.read_profiles(&tree, with_fs);
        if caller.uid == 0 && *profile.namespaces.tree() == Namespace::Host {
            self.read_above();
        }
        if caller.uid != 0 {
            self.unwritable = unwritable(entries, &self.paths);
        }
        for path in mounts::tree::copied(&tree) {
            self.copied.insert(path.to_owned(), readable(path));
        }
        self.read_trails(&tree, with_fs);
        self.read_sockets(profile, &tree, &caller.home);
        (expanded, tree)
    }

    /// The profile's own files, where the target may write to them, and what is behind the entries
    /// that keep them.
    fn read_profiles(&mut self, tree: &Tree, with_fs: bool) {
        let there: Vec<String> = mounts::profiles_beside(tree, self)
            .flat_map(|(inside, _, profile)| {
                let behind: Vec<String> = mounts::tree::behind(tree, &inside).collect();
                behind.into_iter().chain([profile.to_owned()])
            })
            .filter(|path| !self.paths.contains_key(path))
            .collect();
        for path in there {
            let fact = look(&path, false, with_fs);
            self.read_way(&path, &fact);
            self.paths.insert(path, fact);
        }
    }

    /// What single keys ask for. Every question is listed here, so one without an answer does not
    /// compile.
    fn read_rest(&mut self, asks: &Questions, caller: &Caller) {
        let Questions {
            // Of the process.
            passed: _,
            // Of ids.
            users: _,
            groups: _,
            taken: _,
            subordinate: _,
            // Of bounds.
            resources: _,
            priorities: _,
            last_capability: asks_capability,
            root_power,
            sysctls,
            joined,
            keyring,
            written,
            names,
            outputs,
            import,
            opened,
        } = asks;
        for path in opened {
            let fact = look(path, false, false);
            if let Fact::Absent(errno) = fact {
                self.unopened.insert(path.clone(), errno);
            }
            // What an earlier target planted is root's where root started it.
            if self.caller.uid == 0 {
                self.read_way(path, &fact);
            }
        }
        if *asks_capability {
            self.last_capability = last_capability();
        }
        self.mounted = written.as_ref().map(|fds| Mounted::read(fds, outputs));
        if !joined.is_empty() {
            self.joins = joined::caller();
            let look = |path: &String| (path.clone(), joined::look(path, self.joins.inode));
            self.joined = joined.iter().map(look).gather();
        }
        if *keyring {
            self.keyctl_refused = refused_keyctl();
        }
        if *root_power {
            self.powerless_root =
                sys::capget().is_ok_and(|sets| sets.effective & CAP_SYS_ADMIN == 0);
        }
        if *sysctls {
            let flags = nix::sys::statvfs::statvfs("/proc/sys/user").map(|fs| fs.flags());
            self.read_only_sysctls =
                flags.is_ok_and(|flags| flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
        }
        if *names {
            let [hosts, resolver] = [HOSTS, RESOLVER].map(|path| names::read(path, caller.uid));
            (self.hosts, self.resolver) = (Some(hosts), Some(resolver));
        }
        self.bounds = Bounds::read(asks);
        self.import = import.as_ref().map(|path| read_import(path, caller, path.at));
    }

    /// The target opens what it is granted by its path, as a user who may have less than root.
    fn read_above(&mut self) {
        let places = self.paths.iter().filter_map(|(path, fact)| match fact {
            Fact::Present(file) => Some(file.real.as_ref().map_or(path.as_str(), |(real, _)| real)),
            Fact::Absent(_) => None,
        });
        let above: BTreeSet<&str> = places.flat_map(|place| ancestors(parent(place))).gather();
        let read = |path: &str| match look(path, true, false) {
            Fact::Present(file) => Some((path.to_owned(), file)),
            Fact::Absent(_) => None,
        };
        self.above = above.into_iter().filter_map(read).gather();
    }

    fn read_ids(&mut self, asks: &Questions, caller: &Caller) {
        if asks.taken || !asks.users.is_empty() {
            let users = read_database("/etc/passwd");
            self.taken.extend(users.iter().map(|(_, id)| (*id, 1)));
            self.users = users.into_iter().filter(|(name, _)| asks.users.contains(name)).gather();
        }
        if asks.taken || !asks.groups.is_empty() {
            let groups = read_database("/etc/group");
            self.taken.extend(groups.iter().map(|(_, id)| (*id, 1)));
            self.groups =
                groups.into_iter().filter(|(name, _)| asks.groups.contains(name)).gather();
        }
        if asks.subordinate {
            for (file, own) in
                [("/etc/subuid", &mut self.subuid), ("/etc/subgid", &mut self.subgid)]
            {
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

/// The highest capability that this kernel knows, if `/proc` shows it (capabilities(7)).
fn last_capability() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok()?.trim().parse().ok()
}

/// The capability of capabilities(7), as a bit.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// The filters of containers refuse the call itself, so that there is no keyring to be had, for the
/// target as well.
fn refused_keyctl() -> Option<i32> {
    match sys::session_keyring() {
        Err(sys::Errno(errno @ (libc::EPERM | libc::ENOSYS))) => Some(errno),
        _ => None,
    }
}

/// What is at `path`. A final link is not followed; links on the way are, and reported; `plain` is
/// whether it is known that there are none.
pub(crate) fn look(path: &str, plain: bool, with_fs: bool) -> Fact {
    let walked = if plain { Ok(()) } else { open_without_links(path) };
    let (real, meta) = match walked {
        Ok(()) => (None, std::fs::symlink_metadata(bytes::path(path))),
        Err(libc::ELOOP) => {
            let trail = trail::walk(path, Last::Kept);
            if let Some(errno) = trail.errno {
                return Fact::Absent(errno);
            }
            let (roots, meta) =
                (trail.is_roots(), std::fs::symlink_metadata(bytes::path(&trail.end)));
            (Some((trail.end, roots)), meta)
        }
        Err(errno) => return Fact::Absent(errno),
    };
    let meta = match meta {
        Ok(meta) => meta,
        Err(error) => return Fact::Absent(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    let place = real.as_ref().map_or(path, |(real, _)| real);
    let kind = match kind_of(&meta, place) {
        Ok(kind) => kind,
        Err(errno) => return Fact::Absent(errno),
    };
    let fs = if with_fs {
        nix::sys::statfs::statfs(&*bytes::path(place)).map_or(0, |fs| fs.filesystem_type().0)
    } else {
        0
    };
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

/// What a file is, where a final link was not followed.
pub(crate) fn kind_of(meta: &std::fs::Metadata, path: &str) -> Result<FileKind, i32> {
    Ok(match meta.file_type() {
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Link(link_text(path)?),
        kind if kind.is_socket() => FileKind::Socket,
        kind if kind.is_char_device() || kind.is_block_device() => FileKind::Device,
        kind if kind.is_fifo() => FileKind::Fifo,
        _ => FileKind::Regular,
    })
}

/// Whether a directory of a layer hides what lower layers have of it, by the mark of an overlay
/// that was mounted with `userxattr`, as all of ours are.
pub(crate) fn is_opaque(path: &str) -> bool {
    let name = crate::kernel::name::Name::new(path);
    sys::attribute_is(name.as_c_str(), c"user.overlay.opaque", b'y')
}

/// The text of a link. Links of proc can be seen by all and read by few (proc_pid_root(5)).
pub(crate) fn link_text(path: &str) -> Result<String, i32> {
    let text = std::fs::read_link(bytes::path(path))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(bytes::of(text))
}

/// Whether the path can be walked without following a link before its last name.
fn open_without_links(path: &str) -> Result<(), i32> {
    // One name below the root has nothing on the way.
    if path.matches('/').count() < 2 {
        return Ok(());
    }
    let name = crate::kernel::name::Name::new(path);
    let opened = sys::open_without_links(name.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW)
        .and_then(sys::close);
    opened.map_err(|errno| errno.0)
}

/// Where the `.git` file of a worktree or a submodule leads: the whole of git's directory, which
/// holds `worktrees` and `modules`. The author of the file may have named any directory, so only
/// this form counts.
fn git_directory(path: &str) -> Option<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    const LARGEST: u64 = 4_096;
    // It may be a FIFO or a link by now.
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let mut open = std::fs::OpenOptions::new();
    let file = open.read(true).custom_flags(flags).open(bytes::path(path)).ok()?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    let target = text.lines().next()?.strip_prefix("gitdir:")?.trim();
    let (place, is_sure) = meant(parent(path), target);
    let end = ["/.git/worktrees/", "/.git/modules/"].iter().find_map(|of| place.find(of))?;
    is_sure.then(|| format!("{}/.git", &place[..end]))
}

/// The directories where something is to be made and this process may not (access(2)): of those
/// above it the nearest that is there.
fn unwritable(entries: &Mounts, paths: &BTreeMap<String, Fact>) -> BTreeMap<String, i32> {
    let is_there = |path: &&str| matches!(paths.get(*path), Some(Fact::Present(_)));
    let grants = entries.iter().filter_map(|(path, mount)| mount.value.grant(path.value));
    let made = grants
        .filter(|grant| grant.words.missing == Missing::Create)
        .filter_map(|grant| ancestors(parent(grant.topmost)).find(is_there))
        .map(str::to_owned);
    let how = AccessFlags::W_OK | AccessFlags::X_OK;
    made.filter_map(|above| {
        Some((above.clone(), nix::unistd::access(&*bytes::path(&above), how).err()? as i32))
    })
    .gather()
}

/// How large a file is that this process may read (access(2)).
fn readable(path: &str) -> Result<u64, i32> {
    nix::unistd::access(&*bytes::path(path), AccessFlags::R_OK).map_err(|errno| errno as i32)?;
    let meta = std::fs::metadata(bytes::path(path));
    meta.map(|meta| meta.len()).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

pub(crate) fn names_in(path: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(bytes::path(path)) else { return vec![] };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| bytes::of(entry.file_name())).collect();
    names.sort_unstable();
    names
}

/// Major and minor version of a release such as `6.1.0-18-amd64`.
pub(crate) fn version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Name and id of each line of /etc/passwd or /etc/group (passwd(5), group(5)). A static binary has
/// no NSS modules, so it reads the files.
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
pub(crate) fn read_subordinate(path: &str) -> Vec<(String, u32, u32)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, first, count) = (
                fields.next()?.to_owned(),
                fields.next()?.parse::<u32>().ok()?,
                fields.next()?.parse().ok()?,
            );
            // A range that goes past the last id is none.
            first.checked_add(count).map(|_| (name, first, count))
        })
        .collect()
}
