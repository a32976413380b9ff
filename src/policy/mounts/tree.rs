//! The entries of `[mounts]` as the nodes of the one tree ([`crate::tree`]): every entry says what
//! is at its path, and the tree what an entry lies on.

use super::Mounts;
use super::kinds::{Access, Bind, Dir, Follow, Hide, Layers, Makes, Missing, Mount, Tmpfs, Upper};
use crate::host::caller::Caller;
use crate::host::parts::{Brought, Part, Parts, Shown};
use crate::host::programs::Piece;
use crate::host::{Fact, File, FileKind, Host};
use crate::language::value::{AbsolutePath, Mode, below, join, parent};
use crate::policy::network::names;
use crate::step::Kernel;
use crate::step::file_system::Facts;
use crate::text::source::Span;
use crate::tree::{Ground, HasGround, Own, Stack};

/// One entry of the tree, written or implied by a bound `/`.
#[derive(Debug, Clone)]
pub struct Node {
    pub mount: Mount,
    /// The line that says so.
    pub at: Span,
    /// Where a stronger layer names the upper.
    pub upper: Option<Span>,
    ground: Ground,
    /// What a wider entry brings there, where the entry took the place of that.
    under: Option<Ground>,
    /// The overlay that is shown in parts, this one among them.
    pub whole: Option<String>,
}

impl Node {
    /// The node of an entry.
    pub(crate) fn new(path: &str, mount: Mount, at: Span) -> Node {
        let ground = match &mount {
            Mount::Tmpfs(_) | Mount::Layers(_) => mount.kind().ground(path),
            // Of a bound root each name is an entry.
            _ if path == "/" => Ground::Own(Own::Root),
            _ => mount.kind().ground(path),
        };
        Node { ground, mount, at, upper: None, under: None, whole: None }
    }

    /// Forgets what a bound `/` would bring there.
    pub(super) fn without_root(&mut self) {
        self.under = None;
    }
}

impl HasGround for Node {
    fn ground(&self) -> &Ground {
        &self.ground
    }
}

/// Every entry by its path inside.
pub(crate) type Tree = crate::tree::Tree<Node>;

/// A tree without entries: the root is empty and read-only.
pub(crate) fn empty() -> Tree {
    Tree::new(Node::new("/", Mount::Dir(Dir::PLAIN), Span::NOWHERE))
}

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
        Mount::Bind(bind) => Some(bind.source_at("/")),
        _ => None,
    }
}

/// The whole tree: the profile's entries, for a bound `/` one for each name in it, and for an overlay
/// with mounts in it one for each of its parts.
pub fn tree(mounts: &Mounts, brought: &Brought) -> Tree {
    let mut tree = empty();
    for (path, value) in mounts.iter() {
        let Mount::Bind(bind) = &value.value else { continue };
        if path.value != "/" {
            continue;
        }
        let source = bind.source_at("/");
        for name in &brought.root_names {
            let from = join(source, &format!("/{name}"));
            if source != "/" || !NOT_WITH_ROOT.contains(&name.as_str()) {
                let source = (source != "/").then_some(AbsolutePath(from));
                // A link at the first level is made again as that link, whichever root it comes
                // from.
                let mount = Mount::Bind(Bind {
                    source,
                    missing: Missing::Skip,
                    follow: Follow::No,
                    ..bind.clone()
                });
                let inside = format!("/{name}");
                tree.insert(inside.clone(), Node::new(&inside, mount, path.at));
            }
        }
    }
    // A wider entry comes before those in it.
    for (path, value) in mounts.iter() {
        let mut node = Node::new(path.value, value.value.clone(), path.at);
        node.under = tree.get(path.value).map(|implied| implied.ground.clone());
        node.upper = mounts.map.get(path.value).and_then(|entry| entry.said.get("upper").copied());
        if !brought.trees.is_empty() {
            // What a part of a wider overlay would show below goes with the part.
            let goes = |at: &String| below(at, path.value).is_some_and(|tail| !tail.is_empty());
            tree.retain(|at, node| !(node.whole.is_some() && goes(at)));
        }
        if let Mount::Layers(layers) = &value.value
            && let Some(parts) = in_parts(path.value, layers, brought)
        {
            node.whole = Some(path.value.to_owned());
            if !parts.whole {
                let (size, inodes) = layers.room();
                node.ground = Ground::Own(match layers.upper {
                    Some(_) => Own::Memory { size, inodes },
                    None => Own::Root,
                });
            }
            for part in &parts.parts {
                let mount = mount_of(part, layers, mounts);
                let whole = node.whole.clone();
                let node = Node { whole, ..Node::new(&part.path, mount, path.at) };
                tree.insert(part.path.clone(), node);
            }
        }
        tree.insert(path.value.to_owned(), node);
    }
    tree
}

/// The parts of an overlay at its own path, where it is shown in parts. Directories above mounts are
/// made in memory, so without an upper there are none but those in the root.
pub(crate) fn in_parts<'b>(path: &str, layers: &Layers, brought: &'b Brought) -> Option<&'b Parts> {
    let parts = brought.trees.get(path).filter(|_| layers.sources(path) == [path])?;
    (parts.whole || layers.upper.is_some() || path == "/").then_some(parts)
}

/// The directories of trees in parts that are made anew, where the target may write to them.
pub(crate) fn made_anew(tree: &Tree) -> impl Iterator<Item = &str> {
    let is_written = |whole: &String| {
        let mount = tree.get(whole).map(|node| &node.mount);
        matches!(mount, Some(Mount::Layers(layers)) if layers.upper.is_some())
    };
    let is_made = move |(path, node): &(&String, &Node)| {
        let is_own = matches!(node.ground, Ground::Own(_));
        let is_part = matches!(node.mount, Mount::Dir(_)) || node.whole.as_ref() == Some(*path);
        node.whole.as_ref().is_some_and(is_written) && is_own && is_part
    };
    tree.iter().filter(is_made).map(|(path, _)| path.as_str())
}

/// Entries in a tree with an upper through which the target writes to the host's own files.
pub(crate) fn written_through(tree: &Tree) -> impl Iterator<Item = &str> {
    let has_upper = |node: &Node| matches!(&node.mount, Mount::Layers(l) if l.upper.is_some());
    let is_in_one = move |path: &str| {
        let wider = |(at, node): (&String, &Node)| {
            below(path, at).is_some_and(|tail| !tail.is_empty()) && has_upper(node)
        };
        tree.iter().any(wider)
    };
    let writes = |path: &str, node: &Node| {
        let grant = node.mount.grant(path);
        grant.is_some_and(|grant| grant.written.is_some() && !grant.merged)
    };
    let found = tree.iter().filter(move |(path, node)| writes(path, node) && is_in_one(path));
    found.map(|(path, _)| path.as_str())
}

/// The first Linux on which a tmpfs has overlayfs's attributes for a user's mount. Before, a
/// directory of a layer that is removed comes to EIO.
pub(crate) const MEMORY: (u32, u32) = (6, 6);

/// The directory on disk in which a directory is made for what is written on top of layers and
/// thrown away; none: that is in memory, or it stays.
pub(crate) fn thrown_to(
    path: &str,
    layers: &Layers,
    (caller, kernel): (&Caller, (u32, u32)),
) -> Option<String> {
    match layers.upper.as_ref()? {
        Upper::DiscardIn(directory) => Some(directory.to_string()),
        Upper::Discard if kernel < MEMORY => {
            let cache = caller.cache();
            // It would be made anew inside, with all above it: no loss of a temporary directory.
            let is_own = layers.sources(path) == [path] && below(&cache, path).is_some();
            Some(if is_own { "/var/tmp".to_owned() } else { cache })
        }
        Upper::Discard | Upper::Kept(_) => None,
    }
}

/// What is made for a part of an overlay.
fn mount_of(part: &Part, layers: &Layers, mounts: &Mounts) -> Mount {
    let path = &part.path;
    match part.shown {
        Shown::Made(mode) => Mount::Dir(Dir { mode: Some(Mode(mode)) }),
        Shown::Merged => Mount::Layers(layers.part(path)),
        Shown::Bound => {
            let words = layers.words.clone();
            Mount::Bind(Bind { missing: Missing::Skip, recursive: true, ..words })
        }
        // Where an entry lies in it, its directory is there, and nothing of the host's in it.
        Shown::Hidden if mounts.iter().any(|(entry, _)| below(entry.value, path).is_some()) => {
            Mount::Tmpfs(Tmpfs::PLAIN)
        }
        Shown::Hidden => Mount::Hide(Hide { missing: Missing::Skip, ..Hide::PLAIN }),
    }
}

/// The host's path that an entry grants, if it grants one.
pub(crate) fn source_of<'a>(path: &'a str, mount: &'a Mount) -> Option<&'a str> {
    mount.kind().makes(path).source(path)
}

/// The host's path of a name in a file system of the kernel's, where every mount of that has the
/// names that the host's has.
pub(super) fn of_the_kernel(tree: &Tree, path: &str) -> Option<String> {
    let (over, node) = tree.over(parent(path));
    let tail = below(path, over)?;
    let top = match &node.ground {
        Ground::Kernel(Kernel::Sysfs) => "/sys",
        Ground::Kernel(Kernel::Proc { .. }) => "/proc",
        Ground::Kernel(Kernel::Devpts | Kernel::Mqueue) => return None,
        Ground::Own(_) | Ground::Host(_) | Ground::Same => return None,
    };
    // Processes have other numbers inside.
    let first = tail.split('/').nth(1).unwrap_or_default();
    let of_a_process =
        first.starts_with(|c: char| c.is_ascii_digit()) || ["self", "thread-self"].contains(&first);
    (top == "/sys" || !of_a_process).then(|| join(top, tail))
}

/// The host's files that are copied.
pub(crate) fn copied(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.values().filter_map(|node| match &node.mount {
        Mount::File(file) => file.source(),
        _ => None,
    })
}

/// Where a source lies on the host once the links on the way are followed.
pub(super) fn real<'h>(host: &'h Host, source: &'h str) -> &'h str {
    match host.present(source) {
        Some(File { real: Some((real, _)), .. }) => real,
        _ => source,
    }
}

/// The paths that entries hide.
pub(crate) fn hidden(mounts: &Mounts) -> impl Iterator<Item = String> {
    mounts
        .iter()
        .filter(|(_, mount)| matches!(mount.value, Mount::Hide(_)))
        .map(|(path, _)| path.value.to_owned())
}

/// The host's paths under an entry, where the nearest entry above it grants a part of the host.
pub(crate) fn behind(tree: &Tree, path: &str) -> impl Iterator<Item = String> {
    // With its `/`, also where the directory above it is the root.
    let name = &path[path.rfind('/').unwrap_or(0)..];
    all_bound_at(tree, parent(path)).into_iter().map(move |around| join(&around, name))
}

/// The host's path that a bind shows at a path, by the nearest entry at or above it.
pub(crate) fn bound_at(tree: &Tree, path: &str) -> Option<String> {
    all_bound_at(tree, path).into_iter().next()
}

/// Whether a directory of the host is there inside at its own path: an entry shows it, makes a
/// directory there, or is below it. Another of the host's directories at that path is another one.
pub(crate) fn is_there(tree: &Tree, path: &str) -> bool {
    let (over, node) = tree.nearest(path);
    match node.ground() {
        Ground::Own(Own::Memory { .. } | Own::Directory | Own::Devices(_)) if over == path => true,
        Ground::Own(Own::Link(_) | Own::File(_)) => false,
        Ground::Host(stack) if shown(stack, over, path).next().is_some_and(|at| at == path) => true,
        Ground::Own(_) | Ground::Host(_) | Ground::Kernel(_) | Ground::Same => tree.is_way(path),
    }
}

/// The host's paths that can be shown at a path, the topmost first, by the nearest entry at or
/// above it.
pub(crate) fn all_bound_at(tree: &Tree, path: &str) -> Vec<String> {
    let (over, node) = tree.over(path);
    match &node.ground {
        Ground::Host(stack) if node.mount.grant(over).is_some() => {
            shown(stack, over, path).collect()
        }
        Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same => vec![],
    }
}

/// The host paths that a path below the mount at `over` can have, the topmost first.
fn shown<'s>(stack: &'s Stack, over: &str, path: &'s str) -> impl Iterator<Item = String> + 's {
    let tail = below(path, over).unwrap_or_default();
    stack.topmost_first().map(move |source| join(&source.path, tail))
}

/// The nearest entry above a path, not counting `/`, but where layers are merged there.
pub(crate) fn above<'a>(tree: &'a Tree, path: &'a str) -> Option<(&'a str, &'a Node)> {
    Some(tree.over(parent(path))).filter(|(over, _)| *over != "/" || root_is_merged(tree))
}

/// Whether there are merged layers.
pub(crate) fn merges(tree: &Tree) -> bool {
    tree.iter().any(|(path, node)| matches!(node.mount.kind().makes(path), Makes::Layers(_)))
}

/// Whether a path lies in merged layers.
pub(crate) fn lies_in_layers(tree: &Tree, path: &str) -> bool {
    let (over, node) = tree.over(parent(path));
    node.mount.grant(over).is_some_and(|grant| grant.merged)
}

/// What a path lies on. `tree` holds no entry that was skipped.
pub(crate) fn base(tree: &Tree, host: &Host, path: &str) -> Base {
    let (over, node) = tree.over(parent(path));
    let nothing = |what| Base::Nothing { what };
    match &node.ground {
        Ground::Own(own) => match own {
            // On disk what is made once would be there at the next run.
            Own::Memory { .. } if is_merged_alone(node) => {
                Base::Host { source: String::new(), writable: false }
            }
            Own::Memory { .. } => Base::Own { writable: true },
            Own::Directory => base(tree, host, over),
            Own::Root | Own::Devices(_) => Base::Own { writable: false },
            Own::Link(_) => nothing("a symbolic link"),
            Own::File(_) => nothing("a file"),
            Own::Hidden(_) | Own::Whiteout => nothing("hidden"),
        },
        // Where the kernel alone makes files there are names to mount on.
        Ground::Kernel(kernel) => match kernel.facts() {
            Facts { fixed: true, .. } => Base::Kernel,
            Facts { words, .. } => nothing(words),
        },
        Ground::Same => base(tree, host, over),
        Ground::Host(stack) => match node.mount.grant(over) {
            None => nothing(node.mount.kind().what()),
            Some(grant) => match host.at(&stack.topmost().path) {
                Fact::Present(file) if file.kind != FileKind::Directory => {
                    nothing(file.kind.word())
                }
                _ => Base::Host {
                    // Where no source has it, the place in the topmost stands for it.
                    source: shown(stack, over, path)
                        .find(|place| host.present(place).is_some())
                        .or_else(|| shown(stack, over, path).next())
                        .unwrap_or_default(),
                    writable: grant.words.access == Access::ReadWrite,
                },
            },
        },
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
    Directory,
    /// A link, which is then not made.
    Link,
    /// A part of an overlay, which is then not made.
    Part,
}

/// Files that stockade writes if the profile has no entry for them.
pub(crate) const DATABASES: &[&str] =
    &["/etc/passwd", "/etc/group", names::HOSTS, names::RESOLVER, names::SWITCH];

/// What an entry at `path` covers, where [`base`] says that it lies on the sandbox's own ground;
/// none: nothing would be there.
pub(crate) fn covered(tree: &Tree, host: &Host, path: &str) -> Option<Covered> {
    match tree.get(path).and_then(|node| node.under.as_ref()) {
        Some(Ground::Host(stack)) if stack.is_merged() => return Some(Covered::Part),
        Some(Ground::Own(Own::Directory)) => return Some(Covered::Part),
        Some(Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same) | None => {}
    }
    if let Some(source) = with_root(tree, path) {
        return Some(Covered::OfRoot(source.to_owned()));
    }
    let (over, node) = tree.over(parent(path));
    if let Ground::Own(Own::Devices(names)) = &node.ground {
        let ground = names.get(below(path, over)?.trim_start_matches('/'))?;
        return Some(match ground {
            Ground::Host(_) => Covered::File,
            Ground::Own(Own::Link(_)) => Covered::Link,
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => Covered::Directory,
        });
    }
    match host.programs.iter().find_map(|program| program.pieces.get(path)) {
        Some(Piece::File { .. }) => return Some(Covered::File),
        Some(Piece::Link(_)) => return Some(Covered::Link),
        Some(Piece::Directory | Piece::Proc) => return Some(Covered::Directory),
        None => {}
    }
    DATABASES.contains(&path).then_some(Covered::File)
}

/// The host's path behind a name that comes with the bound root, where an entry took its place.
pub(crate) fn with_root<'t>(tree: &'t Tree, path: &str) -> Option<&'t str> {
    match tree.get(path)?.under.as_ref()? {
        Ground::Host(stack) => Some(&stack.topmost().path),
        Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
    }
}

/// Whether the profile made the root a file system that the target may write to. By default the
/// root is empty and read-only.
pub(crate) fn root_is_writable(tree: &Tree) -> bool {
    matches!(tree.root().ground, Ground::Own(Own::Memory { .. }))
}

/// Whether it is an upper on disk, with no layer but stockade's under it.
fn is_merged_alone(node: &Node) -> bool {
    let Mount::Layers(layers) = &node.mount else { return false };
    node.whole.is_none() && !layers.is_memory_alone()
}

/// Whether the root is merged layers.
pub(crate) fn root_is_merged(tree: &Tree) -> bool {
    let root = tree.root();
    matches!(root.ground, Ground::Host(_)) || is_merged_alone(root)
}

/// The size of the root: the profile's, or stockade's own.
pub(crate) fn root_tmpfs(tree: &Tree) -> Tmpfs {
    match tree.get("/").map(|node| &node.mount) {
        Some(Mount::Tmpfs(tmpfs)) => tmpfs.clone(),
        Some(Mount::Layers(layers)) => layers.empty(),
        _ => Tmpfs::PLAIN,
    }
}
