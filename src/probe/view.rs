//! The file tree as it is inside, looked at from outside before it is there: which file of the host
//! is at a path, and which links lead to it. It reads and never writes; the way is the walker's
//! ([`crate::tree::walk`]).

use crate::host::FileKind;
use crate::language::value::{below, parent};
use crate::policy::mounts::kinds::Missing;
use crate::policy::mounts::tree::{Node, Tree, bound_at};
use crate::step::{Content, Kernel};
use crate::text::bytes;
use crate::tree::walk::{Facts, Halt, Kind, Last, Looked, Position, Step, meant, walk};
use crate::tree::{Ground, HasGround, Own, Source};
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

/// The tree, and what of the host is seen where no entry of it is.
pub(super) struct View<'a> {
    tree: &'a Tree,
    bare: Bare,
    seen: BTreeMap<String, Result<Seen, i32>>,
    /// The length of all paths in it.
    weight: usize,
}

/// What of the host is seen where the tree has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bare {
    Nothing,
    /// Its files, and not its own state.
    System,
    /// All: the tree is the host's.
    Whole,
}

/// Directories that hold the state of the host or of a process, not files of the system.
const STATE: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What the host has at a path.
#[derive(Debug, Clone)]
struct Seen {
    kind: Kind,
    uid: u32,
    mode: u32,
}

/// What a walk remembers of what it comes by.
pub(super) struct Known {
    what: What,
    /// Whether an entry shows it, or stockade makes it.
    granted: bool,
    /// Whether it is root's.
    roots: bool,
}

/// A path followed to its end.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Its real path inside.
    pub path: String,
    pub what: What,
    /// The links on the way that no entry shows: path and text.
    pub links: Vec<(String, String)>,
    /// Directories that the way goes through and leaves by `..`, where no entry shows them.
    pub directories: Vec<String>,
    /// The first link on the way that is not root's, where no entry shows it.
    pub foreign: Option<String>,
}

/// What is at the end of a path.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A regular file of the host.
    File {
        /// Where it is on the host.
        source: String,
        /// Whether an entry of the profile shows it.
        granted: bool,
        /// Whether it may be executed from there.
        exec: bool,
        uid: u32,
        mode: u32,
    },
    /// A file of the profile's.
    Text(String),
    Directory,
    Other,
    /// What only the running sandbox knows.
    Unknown,
}

/// How much text the paths have that are looked at in one run.
const MOST_SEEN: usize = 8 << 20;

impl<'a> View<'a> {
    /// A view of a tree.
    pub(super) fn new(tree: &'a Tree, bare: Bare) -> View<'a> {
        View { tree, bare, seen: BTreeMap::new(), weight: 0 }
    }

    /// Whether an entry of the tree is at a path, or above it, and not only the root.
    pub(super) fn is_entry(&self, path: &str) -> bool {
        self.tree.over(path).0 != "/"
    }

    /// Follows an absolute path to its end; the error is the kernel's.
    pub(super) fn follow(&mut self, path: &str) -> Result<Found, i32> {
        let mut walk = walk(self.tree, self, path, Last::Followed);
        let granted = |known: &Known| known.granted;
        let links = walk.links.iter().filter(|link| !granted(&link.file));
        let foreign = links.clone().find(|link| !link.file.roots).map(|link| link.path.clone());
        let text = |link: &Step<'_, Node, Known>| link.kind.link().map(str::to_owned);
        let links = links.filter_map(|link| Some((link.path.clone(), text(link)?))).collect();
        let left = walk.left.iter().filter(|directory| !granted(&directory.file));
        let directories = left.map(|directory| directory.path.clone()).collect();
        match (walk.halt.take(), walk.way.pop()) {
            (Some(Halt::Errno(errno)), _) => Err(errno),
            (None, Some(end)) => {
                Ok(Found { path: end.path, what: end.file.what, links, directories, foreign })
            }
            (None, None) => Err(libc::ENOENT),
        }
    }

    /// Names below a directory inside, for a suggestion.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let (over, node) = self.tree.over(directory);
        let bare = || {
            let is_made = over == directory || self.tree.is_way(directory);
            let own = matches!(node.ground(), Ground::Own(own) if has_bare_ground(own));
            (own && !is_made && self.shows_host(directory)).then(|| directory.to_owned())
        };
        let Some(source) = bound_at(self.tree, directory).or_else(bare) else { return vec![] };
        let Ok(entries) = std::fs::read_dir(bytes::path(&source)) else { return vec![] };
        entries.take(8_192).flatten().map(|entry| bytes::of(entry.file_name())).collect()
    }

    /// The symbolic link that a bind shows at a path, and where it leads.
    pub(super) fn link(&self, path: &str) -> Option<(String, String)> {
        let whole = || (self.bare == Bare::Whole).then(|| path.to_owned());
        let text = crate::probe::link_text(&bound_at(self.tree, path).or_else(whole)?).ok()?;
        Some((path.to_owned(), meant(parent(path), &text).0))
    }

    /// Whether what the host has at a path is looked at where the tree has nothing.
    fn shows_host(&self, path: &str) -> bool {
        self.bare != Bare::Nothing && !is_of_state(path)
    }

    fn look(&mut self, inside: &str, path: &str) -> Result<Seen, Halt<Never>> {
        if inside.len() >= libc::PATH_MAX as usize || self.weight > MOST_SEEN {
            return Err(Halt::Errno(libc::ENAMETOOLONG));
        }
        let seen = match self.seen.get(path) {
            Some(seen) => seen.clone(),
            None => {
                self.weight += path.len();
                self.seen.entry(path.to_owned()).or_insert(look(path)).clone()
            }
        };
        seen.map_err(Halt::Errno)
    }
}

fn is_of_state(path: &str) -> bool {
    STATE.iter().any(|of| below(path, of).is_some())
}

/// A walk here is stopped by nothing but an errno.
pub(super) enum Never {}

/// Whether the host may be seen below it, where nothing else is.
fn has_bare_ground(own: &Own) -> bool {
    match own {
        Own::Root | Own::Memory { .. } | Own::Directory => true,
        Own::Devices(_) | Own::Link(_) | Own::File(_) => false,
        Own::Hidden(_) | Own::Whiteout => false,
    }
}

fn unknown() -> Looked<Known, Never> {
    Ok((Kind::Unknown, Known { what: What::Unknown, granted: true, roots: true }))
}

impl Seen {
    fn known(self, source: &str, granted: bool, exec: bool) -> (Kind, Known) {
        let Seen { kind, uid, mode } = self;
        let what = match &kind {
            Kind::File(FileKind::Directory) => What::Directory,
            Kind::File(FileKind::Regular) => {
                What::File { source: source.to_owned(), granted, exec, uid, mode }
            }
            Kind::File(_) | Kind::Whiteout | Kind::Unknown => What::Other,
        };
        (kind, Known { what, granted, roots: uid == 0 })
    }
}

impl Facts<Node> for View<'_> {
    type File = Known;
    type Stop = Never;

    fn host(
        &mut self,
        position: Position<'_, Node>,
        _: &Source,
        place: &str,
    ) -> Looked<Known, Never> {
        match position.node.mount.grant(position.over) {
            Some(grant) => match self.look(position.path, place) {
                // It is made before it is bound.
                Err(Halt::Errno(libc::ENOENT))
                    if position.path == position.over && grant.words.missing == Missing::Create =>
                {
                    let kind = FileKind::Directory;
                    Ok((Kind::File(kind.clone()), self.own(position, &kind)))
                }
                seen => Ok(seen?.known(place, true, grant.words.exec)),
            },
            None => unknown(),
        }
    }

    fn is_opaque(&mut self, place: &str) -> Result<bool, Halt<Never>> {
        Ok(super::is_opaque(place))
    }

    fn kernel(&mut self, _: Position<'_, Node>, _: &Kernel) -> Looked<Known, Never> {
        unknown()
    }

    fn own(&mut self, position: Position<'_, Node>, kind: &FileKind) -> Known {
        let what = match (kind, position.node.ground()) {
            (FileKind::Directory, _) => What::Directory,
            (FileKind::Regular, Ground::Own(Own::File(content))) => match content {
                Content::Text(text) | Content::OfHost(text) => What::Text(bytes::text(text)),
                Content::Secret(_) | Content::Withheld | Content::Fd(_) => What::Unknown,
                Content::File(_) | Content::Copy(..) => What::Unknown,
            },
            _ => What::Other,
        };
        Known { what, granted: true, roots: true }
    }

    fn bare(&mut self, position: Position<'_, Node>) -> Looked<Known, Never> {
        // What a device is good for, the running sandbox knows.
        if matches!(position.node.ground(), Ground::Own(Own::Devices(_))) {
            return unknown();
        }
        match self.bare {
            // The launcher's own processes and descriptors are not the target's.
            Bare::Whole if is_of_state(position.path) => return unknown(),
            Bare::Whole | Bare::System if self.shows_host(position.path) => {}
            Bare::Whole | Bare::System | Bare::Nothing => return Err(Halt::Errno(libc::ENOENT)),
        }
        Ok(self.look(position.path, position.path)?.known(position.path, false, true))
    }
}

fn look(path: &str) -> Result<Seen, i32> {
    let meta = std::fs::symlink_metadata(bytes::path(path))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    let kind = if meta.file_type().is_char_device() && meta.rdev() == 0 {
        Kind::Whiteout
    } else {
        Kind::File(super::kind_of(&meta, path)?)
    };
    Ok(Seen { kind, uid: meta.uid(), mode: meta.permissions().mode() & 0o7777 })
}
