//! What lies on what: every entry with the nearest entry above it, and the host's path that stands
//! behind it.

use super::entry::{Access, Bind, Missing, Mount, TMPFS};
use super::{Mounts, dev};
use crate::host::programs::Piece;
use crate::host::{Fact, FileKind, Host};
use crate::language::value::{ancestors, below, join, parent};
use crate::text::source::Span;
use std::collections::BTreeMap;

/// One entry of the tree, written or implied by a bound `/`.
#[derive(Debug, Clone)]
pub struct Node {
    pub mount: Mount,
    /// The line that says so.
    pub at: Span,
}

/// Every entry by its path inside. A parent comes before what is below it, as its path is a prefix.
pub(crate) type Tree = BTreeMap<String, Node>;

/// What an entry lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// A file system of the sandbox's own.
    Own {
        /// Whether the target can write there.
        writable: bool,
    },
    /// A tree of the host.
    Host {
        /// Where the entry is on the host.
        source: String,
        /// Whether the target can write there.
        writable: bool,
    },
    /// proc or sysfs.
    Kernel,
    /// Something that holds nothing.
    Nothing { what: &'static str },
}

/// Names below a bound `/` that are not bound with it: they speak of the host's processes, devices
/// and services, and every socket in them can be connected to, read-only or not.
pub(crate) const NOT_WITH_ROOT: &[&str] = &["proc", "sys", "dev", "run", "tmp"];

/// The host's directory that becomes `/`, where the profile binds one.
pub fn bound_root(mounts: &Mounts) -> Option<&str> {
    match &mounts.get("/")?.value {
        Mount::Bind(Bind { source, .. }) => Some(source.as_ref().map_or("/", |source| source)),
        _ => None,
    }
}

/// The whole tree: the profile's entries, and for a bound `/` one for each name in it.
pub fn tree(mounts: &Mounts, root_names: &[String]) -> Tree {
    let mut tree = Tree::new();
    for (path, value) in mounts.iter() {
        let Mount::Bind(bind) = &value.value else { continue };
        if path.value != "/" {
            continue;
        }
        let source = bind.source.as_ref().map_or("/", |source| source);
        for name in root_names {
            let from = join(source, &format!("/{name}"));
            if source != "/" || !NOT_WITH_ROOT.contains(&name.as_str()) {
                let source = (source != "/").then_some(crate::language::value::AbsolutePath(from));
                // A link at the first level is made again as that link, whichever root it comes
                // from.
                tree.insert(
                    format!("/{name}"),
                    Node {
                        mount: Mount::Bind(Bind { source, missing: Missing::Skip, ..bind.clone() }),
                        at: path.at,
                    },
                );
            }
        }
    }
    tree.extend(mounts.iter().map(|(path, value)| {
        (path.value.to_owned(), Node { mount: value.value.clone(), at: path.at })
    }));
    tree
}

/// The host's path that an entry grants, if it grants one.
pub(crate) fn source_of<'a>(path: &'a str, mount: &'a Mount) -> Option<&'a str> {
    match mount {
        Mount::Bind(Bind { source, .. }) | Mount::Device { source } => {
            Some(source.as_ref().map_or(path, |source| source))
        }
        Mount::Socket(source) => Some(source),
        _ => None,
    }
}

/// The paths that entries hide.
pub(crate) fn hidden(mounts: &Mounts) -> impl Iterator<Item = String> {
    mounts
        .iter()
        .filter(|(_, mount)| matches!(mount.value, Mount::Hide { .. }))
        .map(|(path, _)| path.value.to_owned())
}

/// The host's path under an entry, where the nearest entry above it binds a part of the host.
pub(super) fn behind(tree: &Tree, path: &str) -> Option<String> {
    let (over, node) = above(tree, path)?;
    let tail = below(path, over)?;
    match &node.mount {
        Mount::Bind(_) => Some(join(source_of(over, &node.mount)?, tail)),
        _ => None,
    }
}

/// The nearest entry above a path, not counting `/`.
pub(crate) fn above<'a>(tree: &'a Tree, path: &'a str) -> Option<(&'a str, &'a Node)> {
    ancestors(parent(path))
        .find_map(|path| tree.get_key_value(path))
        .map(|(path, node)| (path.as_str(), node))
}

/// What a path lies on. `tree` holds no entry that was skipped.
pub(crate) fn base(tree: &Tree, host: &Host, path: &str) -> Base {
    let Some((over, node)) = above(tree, path) else {
        return Base::Own { writable: root_is_writable(tree) };
    };
    match &node.mount {
        Mount::Tmpfs(_) => Base::Own { writable: true },
        Mount::Dir { .. } => base(tree, host, over),
        Mount::Dev { .. } => Base::Own { writable: false },
        Mount::Proc { .. } | Mount::Sysfs => Base::Kernel,
        Mount::Bind(bind) => {
            let from = source_of(over, &node.mount).unwrap_or(over);
            match host.at(from) {
                Fact::Present(file) if file.kind != FileKind::Folder => {
                    Base::Nothing { what: file.kind.word() }
                }
                _ => Base::Host {
                    source: join(from, below(path, over).unwrap_or("")),
                    writable: bind.access == Access::ReadWrite,
                },
            }
        }
        Mount::Device { .. } => Base::Nothing { what: "a device" },
        Mount::Socket(_) => Base::Nothing { what: "a socket" },
        Mount::Mqueue => Base::Nothing { what: "the message queues" },
        Mount::Symlink(_) => Base::Nothing { what: "a symbolic link" },
        Mount::File { .. } => Base::Nothing { what: "a file" },
        Mount::Hide { .. } => Base::Nothing { what: "hidden" },
    }
}

/// What a `hide` covers on the sandbox's own ground: the entry took the place of what would be
/// there without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Covered {
    /// A name that comes with the bound root: this path of the host.
    OfRoot(String),
    /// A file of stockade's own making, or one that a program brings.
    File,
    /// A directory of stockade's own making.
    Folder,
    /// A link, which is then not made.
    Link,
}

/// Names in the minimal /dev that are directories.
const DEV_FOLDERS: &[&str] = &["pts", "shm"];
/// What stockade writes where the profile has no such entry.
pub(crate) const DATABASES: &[&str] = &["/etc/passwd", "/etc/group"];

/// What an entry at `path` covers, where [`base`] says that it lies on the sandbox's own ground;
/// none: nothing would be there.
pub(crate) fn covered(tree: &Tree, host: &Host, path: &str) -> Option<Covered> {
    if let Some(source) = with_root(tree, &host.root_names, path) {
        return Some(Covered::OfRoot(source));
    }
    if let Some((over, Node { mount: Mount::Dev { extra }, .. })) = above(tree, path) {
        let tail = below(path, over)?.trim_start_matches('/');
        let is_extra = extra.iter().any(|node| {
            below(&node.0, "/dev").map(|name| &name[1.min(name.len())..]) == Some(tail)
        });
        return match tail {
            _ if dev::NODES.contains(&tail) || is_extra => Some(Covered::File),
            _ if dev::LINKS.iter().any(|(name, _)| *name == tail) => Some(Covered::Link),
            _ if DEV_FOLDERS.contains(&tail) => Some(Covered::Folder),
            _ => None,
        };
    }
    match host.programs.iter().find_map(|program| program.pieces.get(path)) {
        Some(Piece::File { .. }) => return Some(Covered::File),
        Some(Piece::Link(_)) => return Some(Covered::Link),
        Some(Piece::Folder | Piece::Proc) => return Some(Covered::Folder),
        None => {}
    }
    DATABASES.contains(&path).then_some(Covered::File)
}

/// The host's path behind a name that comes with the bound root.
pub(crate) fn with_root(tree: &Tree, root_names: &[String], path: &str) -> Option<String> {
    let root = tree.get("/").filter(|_| path != "/" && parent(path) == "/")?;
    let Mount::Bind(bind) = &root.mount else { return None };
    let (source, name) = (bind.source.as_ref().map_or("/", |source| source), &path[1..]);
    let comes = root_names.iter().any(|known| known == name)
        && (source != "/" || !NOT_WITH_ROOT.contains(&name));
    comes.then(|| join(source, path))
}

/// Whether the profile made the root a file system that the target may write to. Unsaid, the root
/// is empty and read-only.
pub(crate) fn root_is_writable(tree: &Tree) -> bool {
    matches!(tree.get("/").map(|node| &node.mount), Some(Mount::Tmpfs(_)))
}

/// The size of the root: the profile's, or stockade's own.
pub(crate) fn root_tmpfs(tree: &Tree) -> super::entry::Tmpfs {
    match tree.get("/").map(|node| &node.mount) {
        Some(Mount::Tmpfs(tmpfs)) => tmpfs.clone(),
        _ => TMPFS,
    }
}
