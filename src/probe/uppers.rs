//! What is where an upper of layers is to be: the record of one that is kept, and whether the caller
//! can make one there.

use super::written;
use crate::host::upper::{LARGEST, Place, RECORD, Upper, Written};
use crate::host::{Fact, FileKind};
use crate::language::value::{below, parent};
use crate::policy::mounts::kinds::{Makes, Upper as Said};
use crate::policy::mounts::tree::Tree;
use crate::text::bytes;
use crate::text::gather::Gather;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

/// Of each upper on disk, by the path that the profile names.
pub(super) fn look(tree: &Tree, paths: &BTreeMap<String, Fact>) -> BTreeMap<String, Place> {
    let uppers = tree.iter().filter_map(|(path, node)| match node.mount.kind().makes(path) {
        Makes::Layers(layers) => Some((path, node, layers.upper.as_ref()?)),
        _ => None,
    });
    let mut found = BTreeMap::new();
    for (path, node, upper) in uppers {
        let (directory, above) = match upper {
            Said::Discard => continue,
            Said::DiscardIn(directory) => (directory, &**directory),
            Said::Kept(directory) => (directory, parent(directory)),
        };
        let is_there = matches!(
            paths.get(&**directory),
            Some(Fact::Present(file)) if file.kind == FileKind::Directory
        );
        let above = if is_there { &**directory } else { above };
        let (record, is_empty) = if is_there { read(directory) } else { (None, true) };
        let refused = access(&*bytes::path(above), AccessFlags::W_OK | AccessFlags::X_OK).err();
        let place = Place {
            record,
            is_empty,
            fs: nix::sys::statfs::statfs(&*bytes::path(above))
                .map_or(0, |fs| fs.filesystem_type().0),
            refused: refused.map(|errno| errno as i32),
            over: match upper {
                Said::Kept(_) if is_there && node.whole.is_none() => over(tree, path, directory),
                Said::Kept(_) | Said::Discard | Said::DiscardIn(_) => BTreeMap::new(),
            },
        };
        found.insert(directory.to_string(), place);
    }
    found
}

/// What an upper has at or above the entries that lie in its tree.
fn over(tree: &Tree, path: &str, directory: &str) -> BTreeMap<String, Written> {
    let inside = tree.keys().filter(|inside| inside.as_str() != path);
    let here = inside.filter(|inside| tree.over(parent(inside)).0 == path);
    let looked = here.filter_map(|inside| {
        Some((inside.clone(), written::look(directory, below(inside, path)?)?))
    });
    looked.gather()
}

/// The record of a directory, and whether nothing is in it.
fn read(directory: &str) -> (Option<Upper>, bool) {
    let path = bytes::path(directory);
    let is_empty = std::fs::read_dir(&*path).is_ok_and(|mut names| names.next().is_none());
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path.join(RECORD));
    let mut text = vec![];
    let read = file.and_then(|file| file.take(LARGEST).read_to_end(&mut text));
    (read.ok().and_then(|_| Upper::parse(&text)), is_empty)
}
