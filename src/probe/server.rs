//! Looks whether fuse-overlayfs can show layers here: the device, and the program with what it needs in
//! order to start. It is executed for a target, so it must be root's, and so must be the way to it.

use super::elf::{self, Program as Head};
use super::search::Search;
use super::view::{Bare, View};
use crate::host::layering::{LIBRARIES, NoServer, PROGRAM, Part, START};
use crate::host::programs::{Piece, Program};
use crate::language::value::{ancestors, parent};
use crate::policy::mounts::tree::empty;
use crate::text::bytes;
use crate::text::problem::errno_words;
use nix::unistd::{AccessFlags, access};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// Never the caller's PATH.
const DIRECTORIES: &[&str] = &["/usr/bin", "/usr/local/bin"];
const NAME: &str = "fuse-overlayfs";
const DEVICE: &str = "/dev/fuse";

/// What the program needs, or why it cannot show layers for a caller that is root or not.
pub(crate) fn look(is_root: bool) -> Result<Vec<Part>, NoServer> {
    let parts = parts()?;
    device(is_root)?;
    Ok(parts)
}

fn no(why: impl Into<String>, help: Option<&str>) -> NoServer {
    NoServer { why: why.into(), help: help.map(str::to_owned) }
}

/// A sandbox of root's has other ids than root, and opens it by the rights of others.
fn device(is_root: bool) -> Result<(), NoServer> {
    let load = "load the module as root: modprobe fuse";
    let open = "let all users of the machine open it, as root: chmod 0666 /dev/fuse";
    match std::fs::metadata(DEVICE) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            Err(no("there is no /dev/fuse", Some(load)))
        }
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            Err(no(format!("/dev/fuse: {}", errno_words(errno)), None))
        }
        Ok(found) if !found.file_type().is_char_device() => {
            Err(no("/dev/fuse is no device", Some(load)))
        }
        Ok(found) if is_root && found.permissions().mode() & 0o006 != 0o006 => {
            Err(no("/dev/fuse is closed to all but root, and so to root's sandbox", Some(open)))
        }
        Ok(_) => match access(DEVICE, AccessFlags::R_OK | AccessFlags::W_OK) {
            Err(_) if !is_root => Err(no("/dev/fuse is closed to the caller", Some(open))),
            Ok(()) | Err(_) => Ok(()),
        },
    }
}

fn parts() -> Result<Vec<Part>, NoServer> {
    let tree = empty();
    let directories = DIRECTORIES.iter().map(|directory| (*directory).to_owned()).collect();
    let program = Search::new(View::new(&tree, Bare::System), directories, None).need(NAME, None);
    let install = "install fuse-overlayfs";
    if program.pieces.is_empty() {
        return Err(no("there is no fuse-overlayfs in /usr/bin or /usr/local/bin", Some(install)));
    }
    if !program.lacks.is_empty() {
        return Err(no("fuse-overlayfs lacks a library here", Some("install it anew")));
    }
    let found = DIRECTORIES.iter().find_map(|directory| real(&format!("{directory}/{NAME}")));
    let found = found.ok_or_else(|| no("there is no fuse-overlayfs", Some(install)))?;
    let head = File::open(bytes::path(&found)).map(|file| elf::read(&file));
    let Ok(Head::Elf(elf)) = head else {
        return Err(no(format!("{found} is no program"), Some("install it anew")));
    };
    let loader = elf.interpreter.as_deref().and_then(real);
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut files: Vec<(&String, &String, _)> = program.pieces.iter().filter_map(file).collect();
    // Builds of a library for newer processors lie deeper.
    files.sort_by_key(|(path, ..)| path.len());
    for (path, source, inode) in files {
        if let Some(place) = not_roots(source) {
            let why = format!("{place}, by which it starts, is not root's alone");
            return Err(no(why, Some("install fuse-overlayfs from the distribution")));
        }
        let names = match source {
            source if *source == found && loader.is_some() => vec![PROGRAM.to_owned()],
            source if *source == found || loader.as_ref() == Some(source) => vec![START.to_owned()],
            _ => names(path, &program),
        };
        for name in names {
            let part = Part { name: name.clone(), source: source.clone(), inode };
            parts.entry(name).or_insert(part);
        }
    }
    Ok(parts.into_values().collect())
}

fn file<'p>(
    (path, piece): (&'p String, &'p Piece),
) -> Option<(&'p String, &'p String, crate::kernel::name::Inode)> {
    match piece {
        Piece::File { source, inode } => Some((path, source, *inode)),
        Piece::Link(_) | Piece::Directory | Piece::Proc => None,
    }
}

fn real(path: &str) -> Option<String> {
    std::fs::canonicalize(bytes::path(path)).ok().map(bytes::of)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The names by which a library is looked for: those of the links that lead to it, else its own.
fn names(path: &str, program: &Program) -> Vec<String> {
    let mut names = BTreeSet::from([last(path)]);
    loop {
        let leads = |(link, piece): (&'_ String, &'_ Piece)| match piece {
            Piece::Link(text) => names.contains(last(text)) && !names.contains(last(link)),
            Piece::File { .. } | Piece::Directory | Piece::Proc => false,
        };
        let next = program.pieces.iter().find(|(link, piece)| leads((link, piece)));
        let Some((link, _)) = next else { break };
        names.insert(last(link));
    }
    if names.len() > 1 {
        names.remove(last(path));
    }
    names.into_iter().map(|name| format!("{LIBRARIES}/{name}")).collect()
}

/// What of a file, or of a directory above it, another than root could change.
fn not_roots(source: &str) -> Option<String> {
    let all = std::iter::once(source).chain(ancestors(parent(source))).chain(["/"]);
    let is_open = |path: &&str| {
        std::fs::symlink_metadata(bytes::path(path))
            .is_ok_and(|found| found.uid() != 0 || found.permissions().mode() & 0o022 != 0)
    };
    all.into_iter().find(is_open).map(str::to_owned)
}
