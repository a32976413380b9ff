//! Finds files with privilege in the trees that root's sandbox can write: each directory is listed
//! once, no link is followed, and the names are bounded. It reads, and decides nothing:
//! [`crate::policy::privilege`] says what becomes of what is found.

use crate::host::privileged::{Given, Look, Power, Privileged, Stop};
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::name::Name;
use crate::language::value::join;
use crate::policy::mounts::kinds::Bind;
use crate::policy::mounts::system::lies_in_the_system;
use crate::policy::mounts::tree::Tree;
use crate::policy::privilege::MOST_NAMES;
use crate::sys;
use crate::text::bytes;
use std::ffi::CString;
use std::fs::Metadata;
use std::io::Error;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How many files are named.
const MOST_FOUND: usize = 100;

/// Looks through the sources of each writable grant, by the path inside. With `set_id = true` files
/// of others than root may stay so.
pub(super) fn look(tree: &Tree, host: &Host, set_id: bool) -> Vec<(String, Look)> {
    let mut names = MOST_NAMES;
    let mut looks = vec![];
    let written = tree.iter().filter_map(|(path, node)| {
        Some((path, node.mount.grant(path).filter(|grant| grant.written.is_some())?))
    });
    // A file of a lower source is copied to the topmost, with its mode, when it is written to.
    let sources = written.flat_map(|(path, grant)| {
        let bind = grant.words;
        grant.sources().map(move |source| (path, bind, source))
    });
    for (path, bind, source) in sources {
        let Fact::Present(file) = host.at(source) else { continue };
        let source = file.real.as_ref().map_or(source, |(real, _)| real);
        // A user who can write there is root in effect.
        let is_roots = source == "/" || lies_in_the_system(source);
        if is_roots || (set_id && file.uid != 0 && file.gid != 0) {
            continue;
        }
        let mut walk = Walk {
            tree,
            top: file,
            bind,
            names,
            look: Look { top: source.to_owned(), ..Look::default() },
        };
        walk.look.stop = match file.kind {
            FileKind::Directory => walk.run(path, source).err(),
            FileKind::Regular => {
                std::fs::symlink_metadata(bytes::path(source))
                    .iter()
                    .for_each(|meta| walk.judge(&bytes::path(source), meta));
                None
            }
            _ => continue,
        };
        walk.look.names = names - walk.names;
        names = walk.names;
        looks.push((path.clone(), walk.look));
    }
    looks
}

/// What a program's file would give outside.
pub(crate) fn given(source: &str, mode: u32) -> Option<Given> {
    // The largest is struct vfs_ns_cap_data.
    let mut value = [0; 24];
    let length = sys::attribute(Name::new(source).as_c_str(), c"security.capability", &mut value);
    Given::of(mode, length.ok().and_then(|length| value.get(..length)))
}

struct Walk<'a> {
    tree: &'a Tree,
    /// Its owner is the one that the target stands for.
    top: &'a File,
    bind: &'a Bind,
    /// How many names may still be looked at.
    names: usize,
    look: Look,
}

impl Walk<'_> {
    fn run(&mut self, path: &str, source: &str) -> Result<(), Stop> {
        // Not by recursion: a tree may be as deep as a path is long.
        let mut open = vec![(path.to_owned(), bytes::path(source).into_owned())];
        while let Some((inside, directory)) = open.pop() {
            let unread = |error: Error| {
                Stop::Unreadable(bytes::of(&directory), error.raw_os_error().unwrap_or(libc::EIO))
            };
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                // It is gone, or is no directory any more.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) =>
                {
                    continue;
                }
                Err(error) => return Err(unread(error)),
            };
            for entry in entries {
                let entry = entry.map_err(unread)?;
                self.names = self.names.checked_sub(1).ok_or(Stop::Names)?;
                let Ok(kind) = entry.file_type() else { continue };
                if !kind.is_dir() && !kind.is_file() {
                    continue;
                }
                let inside = join(&inside, &format!("/{}", bytes::of(entry.file_name())));
                // What an entry covers the target does not reach; the entry is looked at by itself.
                if self.tree.contains_key(&inside) {
                    continue;
                }
                if kind.is_file() {
                    entry.metadata().iter().for_each(|meta| self.judge(&entry.path(), meta));
                } else if self.bind.recursive
                    || entry.metadata().is_ok_and(|meta| meta.dev() == self.top.inode.dev)
                {
                    open.push((inside, entry.path()));
                }
            }
        }
        Ok(())
    }

    /// Only what the target can open for writing counts: files of its owner, whose modes it can
    /// change, and those that others may write.
    fn judge(&mut self, place: &Path, meta: &Metadata) {
        if meta.uid() != self.top.uid && meta.mode() & 0o022 == 0 {
            return;
        }
        let set_id = match (meta.mode() & libc::S_ISUID != 0, meta.mode() & libc::S_ISGID != 0) {
            (true, _) => Some(Power::User),
            (_, true) => Some(Power::Group),
            _ => None,
        };
        let capable = || {
            CString::new(place.as_os_str().as_bytes())
                .is_ok_and(|place| sys::attribute_length(&place, c"security.capability").is_ok())
        };
        let Some(power) = set_id.or_else(|| capable().then_some(Power::Capabilities)) else {
            return;
        };
        self.look.count += 1;
        if self.look.found.len() < MOST_FOUND {
            self.look.found.push(Privileged { path: bytes::of(place), power });
        }
    }
}
