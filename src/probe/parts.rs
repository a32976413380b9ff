//! Takes the trees of the host apart that are overlays at their own paths. A directory with a mount
//! below it is no layer of an ordinary user's (its mounts are locked together,
//! mount_namespaces(7)), and of root's it is one without them.

use crate::host::caller::Caller;
use crate::host::mounted::Mounted;
use crate::host::parts::{Left, Part, Parts, Shown};
use crate::host::upper::PREFIX;
use crate::language::value::{ancestors, below, join};
use crate::policy::mounts::Mounts;
use crate::policy::mounts::kinds::Mount;
use crate::policy::mounts::tree::{NOT_WITH_ROOT, thrown_to};
use crate::sys::{self, Errno};
use crate::text::bytes;
use crate::text::gather::Gather;
use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

/// The most parts of one tree: each has descriptors of its own.
const MOST_PARTS: usize = 400;

/// File systems with files of the kernel's, not of the host's.
pub(super) const KERNELS: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// File systems whose directories overlayfs takes as layers.
const TAKEN: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "fuse", "fuseblk", "nfs", "nfs4",
    "overlay", "ramfs", "squashfs", "tmpfs", "xfs", "zfs",
];

/// Where this process lacks something, nothing is known of the tree.
const LACKS: [i32; 3] = [libc::ENOMEM, libc::EMFILE, libc::ENFILE];

/// The parts of the trees that these entries show by overlays at their own paths.
pub(super) fn parts(
    mounts: &Mounts,
    mounted: &mut Option<Mounted>,
    (caller, kernel): (&Caller, (u32, u32)),
) -> BTreeMap<String, Parts> {
    let mut found = BTreeMap::new();
    for (path, value) in mounts.iter() {
        let Mount::Layers(layers) = &value.value else { continue };
        if layers.sources(path.value) != [path.value] || !is_directory(path.value) {
            continue;
        }
        let mounted = mounted.get_or_insert_with(|| Mounted::read(&[], &[]));
        let apart = thrown_to(path.value, layers, (caller, kernel)).map(|directory| {
            let real = std::fs::canonicalize(bytes::path(&directory));
            real.map_or(directory, bytes::of)
        });
        let mut mounts = Points::of(mounted);
        if let Some(apart) = apart.as_deref().filter(|apart| below(apart, path.value).is_some()) {
            mounts.0.insert(apart, APART);
        }
        if path.value == "/" || !mounts.below(path.value).is_empty() {
            found.insert(path.value.to_owned(), mounts.take_apart(path.value, caller.uid));
        }
    }
    found
}

/// Whether it is a directory that no link leads to.
fn is_directory(path: &str) -> bool {
    std::fs::canonicalize(bytes::path(path)).is_ok_and(|real| bytes::of(real) == path)
        && std::fs::metadata(bytes::path(path)).is_ok_and(|meta| meta.is_dir())
}

/// In the place of a file system: the directory that takes what is written on top of a tree. It is
/// no layer of that, and inside there is an empty one.
const APART: &str = "";

/// The file systems by where they are mounted. Of several at one place the last one is seen.
struct Points<'m>(BTreeMap<&'m str, &'m str>);

impl<'m> Points<'m> {
    fn of(mounted: &'m Mounted) -> Points<'m> {
        Points(mounted.mounts.iter().map(|mount| (&*mount.at, &*mount.kind)).gather())
    }

    /// The mounts below a directory, each before those in it.
    fn below(&self, path: &str) -> Vec<(&'m str, &'m str)> {
        let is_within = |at: &str| below(at, path).is_some_and(|tail| !tail.is_empty());
        self.0.iter().map(|(at, kind)| (*at, *kind)).filter(|(at, _)| is_within(at)).collect()
    }

    /// The file system that a path lies in.
    fn around(&self, path: &str) -> &'m str {
        let over = ancestors(path).find_map(|over| self.0.get(over));
        over.or_else(|| self.0.get("/")).copied().unwrap_or_default()
    }

    fn take_apart(&self, path: &str, uid: u32) -> Parts {
        let is_apart = self.below(path).iter().any(|(_, kind)| *kind == APART);
        let mut parts = Parts::default();
        if uid == 0 && !is_apart {
            let name = crate::kernel::name::Name::new(path);
            let mount = sys::open_tree(libc::AT_FDCWD, name.as_c_str(), false);
            // Mounts that are locked together are not opened one by one.
            match mount.and_then(sys::close) {
                Ok(()) => parts.whole = true,
                Err(Errno(errno)) if LACKS.contains(&errno) => {
                    parts.unseen = Some((path.to_owned(), errno));
                }
                Err(_) => {}
            }
        }
        if parts.whole && is_taken(self.around(path)) {
            self.mounts(path, &mut parts);
        } else {
            parts.whole = false;
            self.directory(path, self.around(path), &mut parts);
        }
        parts
    }

    /// Each mount below an overlay.
    fn mounts(&self, top: &str, parts: &mut Parts) {
        for name in NOT_WITH_ROOT.iter().filter(|_| top == "/") {
            let path = format!("/{name}");
            let file = std::fs::symlink_metadata(bytes::path(&path));
            if file.err().and_then(|error| error.raw_os_error()) != Some(libc::ENOENT) {
                parts.parts.push(Part { path, shown: Shown::Hidden });
            }
        }
        let mut left: Vec<&str> = vec![];
        for (at, kind) in self.below(top) {
            let is_within = |over: &&str| below(at, over).is_some();
            let is_hidden = parts
                .parts
                .iter()
                .any(|part| part.shown == Shown::Hidden && below(at, &part.path).is_some());
            if is_hidden || left.iter().any(is_within) {
                continue;
            }
            let before = parts.left.len();
            match self.mount(at, kind, parts) {
                // What is under it is not shown in its place.
                None if parts.left.len() > before && !parts.add(at, Shown::Hidden) => return,
                None => left.push(at),
                Some(shown) if !parts.add(at, shown) => return,
                Some(Shown::Bound) => left.push(at),
                Some(_) => {}
            }
        }
    }

    /// How a mount is shown, if it is.
    fn mount(&self, at: &str, kind: &str, parts: &mut Parts) -> Option<Shown> {
        let leave = |parts: &mut Parts, kernel| {
            parts.left.push(Left { path: at.to_owned(), kernel });
            None
        };
        if KERNELS.contains(&kind) {
            return leave(parts, Some(kind.to_owned()));
        }
        match std::fs::symlink_metadata(bytes::path(at)) {
            // One that is not there is under another mount, whose directory it was.
            Err(error) => {
                parts.missed(at, &error);
                None
            }
            Ok(meta) if meta.is_dir() && is_taken(kind) => Some(Shown::Merged),
            Ok(meta) if meta.is_dir() || meta.is_file() => Some(Shown::Bound),
            Ok(_) => None,
        }
    }

    /// What is in a directory with a mount below it, which lies in this file system.
    fn directory(&self, path: &str, kind: &str, parts: &mut Parts) {
        // One that is made anew is the target's: what root may look into, others may not.
        let is_open = |mode: u32| sys::ids_at_start().0 != 0 || mode & 0o005 == 0o005;
        let entries = std::fs::read_dir(bytes::path(path)).and_then(Iterator::collect);
        let entries: Vec<DirEntry> = match entries {
            Ok(entries) => entries,
            Err(error) => return parts.missed(path, &error),
        };
        let mut names: Vec<String> =
            entries.into_iter().map(|entry| bytes::of(entry.file_name())).collect();
        names.sort_unstable();
        for name in names {
            // What another run writes is no part of the host's tree, and is gone at its end.
            let is_of_a_run = name.starts_with(PREFIX);
            if is_of_a_run || path == "/" && NOT_WITH_ROOT.contains(&name.as_str()) {
                continue;
            }
            let child = join(path, &format!("/{name}"));
            let own = self.0.get(child.as_str()).copied();
            if own == Some(APART) {
                if !parts.add(&child, Shown::Made(mode(&child).unwrap_or(0o700))) {
                    return;
                }
                continue;
            }
            let shown = match own {
                Some(own) => self.mount(&child, own, parts),
                None => self.child(&child, kind, parts),
            };
            let Some(shown) = shown else { continue };
            let kind = own.unwrap_or(kind);
            let shown = match shown {
                Shown::Merged if !self.below(&child).is_empty() => match listed(&child) {
                    Ok(mode) if is_open(mode) => Shown::Made(mode),
                    // What the caller cannot list is as it is there.
                    Ok(_) => Shown::Bound,
                    Err(error) if error.raw_os_error() == Some(libc::EACCES) => Shown::Bound,
                    Err(error) => {
                        parts.missed(&child, &error);
                        continue;
                    }
                },
                shown => shown,
            };
            if !parts.add(&child, shown) {
                return;
            }
            if let Shown::Made(_) = shown {
                self.directory(&child, kind, parts);
            }
        }
    }

    /// How a name in a directory is shown, if it is: without its service a socket is of no use, and
    /// a device is none.
    fn child(&self, path: &str, kind: &str, parts: &mut Parts) -> Option<Shown> {
        let file = std::fs::symlink_metadata(bytes::path(path));
        let file = file.inspect_err(|error| parts.missed(path, error)).ok()?.file_type();
        if file.is_socket() || file.is_fifo() || file.is_block_device() || file.is_char_device() {
            return None;
        }
        Some(if file.is_dir() && is_taken(kind) { Shown::Merged } else { Shown::Bound })
    }
}

impl Parts {
    /// Takes note of what could not be looked at: what is gone meanwhile is not there, and a mount
    /// whose server is gone is left out.
    fn missed(&mut self, path: &str, error: &std::io::Error) {
        match error.raw_os_error().unwrap_or(libc::EIO) {
            libc::ENOENT => {}
            errno if LACKS.contains(&errno) => {
                self.unseen = Some((path.to_owned(), errno));
            }
            _ => self.left.push(Left { path: path.to_owned(), kernel: None }),
        }
    }

    /// Adds one, if there is room for it.
    fn add(&mut self, path: &str, shown: Shown) -> bool {
        self.too_many |= self.parts.len() >= MOST_PARTS;
        if !self.too_many {
            self.parts.push(Part { path: path.to_owned(), shown });
        }
        !self.too_many
    }
}

/// The mode of a directory that the caller can list.
fn listed(path: &str) -> std::io::Result<u32> {
    std::fs::read_dir(bytes::path(path))?;
    mode(path)
}

fn mode(path: &str) -> std::io::Result<u32> {
    Ok(std::fs::metadata(bytes::path(path))?.permissions().mode() & 0o7777)
}

pub(super) fn is_taken(kind: &str) -> bool {
    TAKEN.contains(&kind) || kind.starts_with("fuse.")
}
