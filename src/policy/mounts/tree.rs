//! What lies on what: every entry with the nearest entry above it, and the host's path that stands
//! behind it.

use super::entry::{Access, Bind, Broad, Missing, Mount, TMPFS};
use super::{Mounts, checks, dev, links, sockets};
use crate::host::programs::Piece;
use crate::host::{Fact, FileKind, Host};
use crate::language::value::{ancestors, below, join, parent};
use crate::text::problem::Note;
use crate::text::source::{At, Span};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One entry of the tree, written or implied by a bound `/`.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is there.
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
    Nothing {
        /// What it is.
        what: &'static str,
    },
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

/// The tree without what is left out by its own word, because its source is absent, or too broad;
/// with a note for each.
pub(crate) fn settle(mounts: &Mounts, host: &Host) -> (Tree, Vec<Note>) {
    let (uncovered, mut out) = uncover(mounts, host);
    let mut all = tree(&uncovered, &host.root_names);
    let root = all.get("/").and_then(|node| left_out(&all, "/", node, host));
    let root_at = root.as_ref().map(|note| note.at);
    let others = all.iter().filter(|(path, node)| *path != "/" && root_at != Some(node.at));
    let left: Vec<(String, Note)> = others
        .filter_map(|(path, node)| Some((path.clone(), left_out(&all, path, node, host)?)))
        .collect();
    if let Some(note) = root {
        out.push(note);
        // And with it each name of it.
        all.retain(|_, node| Some(node.at) != root_at);
    }
    for (path, note) in left {
        all.remove(&path);
        out.push(note);
    }
    leave_out_within(&mut all, mounts, &out);
    out.extend(links::extend(&mut all, host));
    out.extend(sockets::hide(&mut all, host));
    (all, out)
}

/// The entries, each that is left out and replaces an inherited one with that one in its place;
/// with a note for each.
pub(crate) fn uncover<'m>(mounts: &'m Mounts, host: &Host) -> (Cow<'m, Mounts>, Vec<Note>) {
    let (mut mounts, mut out) = (Cow::Borrowed(mounts), vec![]);
    while mounts.map.values().any(|entry| entry.under.is_some()) {
        let all = tree(&mounts, &host.root_names);
        let covering =
            mounts.map.iter().filter(|(_, entry)| entry.under.is_some()).map(|(path, _)| path);
        let found: Vec<(String, Note)> = covering
            .filter_map(|path| Some((path.clone(), left_out(&all, path, all.get(path)?, host)?)))
            .collect();
        if found.is_empty() {
            break;
        }
        for (path, note) in found {
            if let Some(entry) = mounts.to_mut().map.get_mut(&path)
                && let Some(under) = entry.under.take()
            {
                *entry = *under;
            }
            out.push(note);
        }
    }
    (mounts, out)
}

/// The entries that all those that may be left out would uncover; `None` where there are none.
fn bottom(mounts: &Mounts) -> Option<Mounts> {
    let mut mounts =
        mounts.map.values().any(|entry| entry.under.is_some()).then(|| mounts.clone())?;
    for entry in mounts.map.values_mut() {
        while let Some(under) = entry.under.take() {
            *entry = *under;
        }
    }
    Some(mounts)
}

/// What says `broad = "skip"` and lies in an entry that was left out as too broad goes with it:
/// alone, it would show a part of that.
fn leave_out_within(all: &mut Tree, mounts: &Mounts, out: &[Note]) {
    if !out.iter().any(|note| note.less) {
        return;
    }
    let is_out = |path: &At<&str>| out.iter().any(|note| note.less && note.at == path.at);
    let skipped: Vec<&str> =
        mounts.iter().filter(|(path, _)| is_out(path)).map(|(path, _)| path.value).collect();
    let goes = |path: &str, node: &Node| {
        matches!(&node.mount, Mount::Bind(Bind { broad: Broad::Skip, .. }))
            && skipped.iter().any(|over| below(path, over).is_some())
    };
    all.retain(|path, node| !goes(path, node));
}

fn left_out(all: &Tree, path: &str, node: &Node, host: &Host) -> Option<Note> {
    let (Mount::Bind(bind), Some(source)) = (&node.mount, source_of(path, &node.mount)) else {
        return None;
    };
    if bind.missing == Missing::Skip && matches!(host.at(source), Fact::Absent(_)) {
        return Some(Note {
            at: node.at,
            text: format!("{path} is left out: {source} is absent here"),
            less: false,
        });
    }
    let Fact::Present(file) = host.at(source) else { return None };
    // A link in a tree that is bound is kept there: without the entry, the target could replace it
    // and write to what it leads to.
    let is_kept = matches!(file.kind, FileKind::Link(_))
        && links::lies_there(all, host, path, source).is_some();
    if bind.broad == Broad::Skip
        && !is_kept
        && matches!(file.kind, FileKind::Link(_) | FileKind::Socket)
    {
        return Some(Note {
            at: node.at,
            text: format!("{path} is left out: it is {}", file.kind.word()),
            less: true,
        });
    }
    // Without a read-only entry the target could write what a writable tree around it holds there:
    // it is refused, not left out.
    if bind.access == Access::ReadOnly && links::lies_there(all, host, path, source) == Some(true) {
        return None;
    }
    let strict = Bind { broad: Broad::Refuse, ..bind.clone() };
    let problem = (bind.broad == Broad::Skip)
        .then(|| {
            checks::check(
                path,
                source,
                &strict,
                file,
                checks::Around { tree: all, host, can_cover: true },
                node.at,
            )
        })
        .flatten()?;
    let why = problem.message.split_once(": ").map_or(problem.message.as_str(), |(_, why)| why);
    Some(Note { at: node.at, text: format!("{path} is left out: {why}"), less: true })
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

/// Every path of the host whose facts the draft asks for; `tree` is that of these mounts.
pub fn wanted(tree: &Tree, mounts: &Mounts, root_names: &[String]) -> Vec<String> {
    let mut wanted = wanted_of(tree, root_names);
    wanted.extend(
        bottom(mounts)
            .iter()
            .flat_map(|mounts| wanted_of(&self::tree(mounts, root_names), root_names)),
    );
    wanted.sort();
    wanted.dedup();
    wanted
}

fn wanted_of(tree: &Tree, root_names: &[String]) -> Vec<String> {
    let mut wanted = vec![];
    for (path, node) in tree {
        wanted.extend(source_of(path, &node.mount).map(str::to_owned));
        // A directory that is to be made is judged by the one that it will be in.
        if let Mount::Bind(Bind { missing: Missing::Create, .. }) = &node.mount {
            wanted.extend(source_of(path, &node.mount).map(|source| parent(source).to_owned()));
        }
        if let Mount::Dev { extra } = &node.mount {
            wanted.extend(extra.iter().map(|path| path.0.clone()));
        }
        let hidden_kernel = matches!(node.mount, Mount::Hide { .. })
            && (path.starts_with("/proc/") || path.starts_with("/sys/"));
        if hidden_kernel {
            wanted.push(path.clone());
        }
        wanted.extend(behind(tree, path));
        if matches!(node.mount, Mount::Hide { .. }) {
            wanted.extend(with_root(tree, root_names, path));
        }
    }
    // The generated passwd and group cover the host's where /etc is bound.
    wanted.extend(
        DATABASES
            .iter()
            .filter(|path| !tree.contains_key(**path))
            .filter_map(|path| behind(tree, path)),
    );
    wanted
}

/// The paths that entries hide.
pub(crate) fn hidden(mounts: &Mounts) -> impl Iterator<Item = String> {
    mounts
        .iter()
        .filter(|(_, mount)| matches!(mount.value, Mount::Hide { .. }))
        .map(|(path, _)| path.value.to_owned())
}

/// The host's path under an entry, where the nearest entry above it binds a part of the host.
fn behind(tree: &Tree, path: &str) -> Option<String> {
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
