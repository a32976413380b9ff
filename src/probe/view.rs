//! The file tree as it is inside, looked at from outside before it is there: which file of the host
//! stands at a path, and which links lead to it. It reads and never writes.

use crate::language::value::{ancestors, below, join, parent};
use crate::policy::mounts::entry::{Content, Mount};
use crate::policy::mounts::tree::{Tree, source_of};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// The tree, and whether the host is seen where no entry of it is.
pub(super) struct View<'a> {
    tree: &'a Tree,
    host_shows: bool,
    seen: BTreeMap<String, Seen>,
    /// The length of all paths in it.
    weight: usize,
}

/// What is at a path inside.
enum Spot {
    /// What the host has at `source`.
    Host {
        source: String,
        granted: bool,
        exec: bool,
    },
    /// A link of the profile's.
    Link(String),
    /// A file with a text of the profile's.
    Text(String),
    /// A directory of the sandbox's own.
    Folder,
    Nothing,
    /// What only the running sandbox knows: proc, devices, files from a descriptor.
    Unknown,
}

/// What the host has at a path.
#[derive(Debug, Clone)]
enum Seen {
    Absent(i32),
    Folder,
    Link { text: String, roots: bool },
    File { uid: u32, mode: u32 },
    Other,
}

/// A path followed to its end.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Its real path inside.
    pub path: String,
    pub what: What,
    /// The links on the way that no entry shows: path and text.
    pub links: Vec<(String, String)>,
    /// Folders that the way goes through and leaves by `..`, where no entry shows them.
    pub folders: Vec<String>,
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
    Folder,
    Other,
    /// What only the running sandbox knows.
    Unknown,
}

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// How much text the paths have that are looked at in one run.
const MOST_SEEN: usize = 8 << 20;

impl<'a> View<'a> {
    /// A view of a tree.
    pub(super) fn new(tree: &'a Tree, host_shows: bool) -> View<'a> {
        View { tree, host_shows, seen: BTreeMap::new(), weight: 0 }
    }

    /// Whether an entry of the tree is at a path, or above it, and not only the root.
    pub(super) fn is_entry(&self, path: &str) -> bool {
        ancestors(path).any(|over| self.tree.contains_key(over))
    }

    /// Whether a directory of the host is at the same path inside.
    pub(super) fn shows(&self, path: &str) -> bool {
        matches!(self.spot(path), Spot::Host { source, granted: true, .. } if source == path)
    }

    /// Follows an absolute path to its end; the error is the kernel's.
    pub(super) fn follow(&mut self, path: &str) -> Result<Found, i32> {
        let mut found = Found {
            path: "/".into(),
            what: What::Folder,
            links: vec![],
            folders: vec![],
            foreign: None,
        };
        let mut names: Vec<String> = names_of(path);
        let mut links = 0;
        while let Some(name) = names.pop() {
            if !matches!(found.what, What::Folder) {
                return if matches!(found.what, What::Unknown) {
                    Ok(found)
                } else {
                    Err(libc::ENOTDIR)
                };
            }
            if name == ".." {
                self.leave(&mut found);
                continue;
            }
            let here = join(&found.path, &format!("/{name}"));
            if here.len() > 4095 || self.weight > MOST_SEEN {
                return Err(libc::ENAMETOOLONG);
            }
            let (link, granted, roots) = match self.spot(&here) {
                Spot::Nothing => return Err(libc::ENOENT),
                Spot::Unknown => (Err(What::Unknown), true, true),
                Spot::Folder => (Err(What::Folder), true, true),
                Spot::Text(text) => (Err(What::Text(text)), true, true),
                Spot::Link(text) => (Ok(text), true, true),
                Spot::Host { source, granted, exec } => match self.look(&source) {
                    Seen::Absent(errno) => return Err(errno),
                    Seen::Folder => (Err(What::Folder), granted, true),
                    Seen::Other => (Err(What::Other), granted, true),
                    Seen::File { uid, mode } => {
                        (Err(What::File { source, granted, exec, uid, mode }), granted, true)
                    }
                    Seen::Link { text, roots } => (Ok(text), granted, roots),
                },
            };
            match link {
                Err(what) => (found.path, found.what) = (here, what),
                Ok(_) if links == MOST_LINKS => return Err(libc::ELOOP),
                Ok(text) => {
                    links += 1;
                    names.extend(names_of(&text));
                    if text.starts_with('/') {
                        found.path = "/".into();
                    }
                    if !granted {
                        found.foreign = found.foreign.or((!roots).then(|| here.clone()));
                        found.links.push((here, text));
                    }
                }
            }
        }
        Ok(found)
    }

    /// Names below a directory inside, for a suggestion.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let Spot::Host { source, .. } = self.spot(folder) else { return vec![] };
        let Ok(entries) = std::fs::read_dir(source) else { return vec![] };
        entries
            .take(8_192)
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// `..`: what was left must be there inside, too.
    fn leave(&self, found: &mut Found) {
        if found.path != "/"
            && !matches!(self.spot(&found.path), Spot::Folder | Spot::Host { granted: true, .. })
        {
            found.folders.push(found.path.clone());
        }
        found.path = parent(&found.path).to_owned();
    }

    fn spot(&self, path: &str) -> Spot {
        let Some((over, node)) = ancestors(path).find_map(|over| self.tree.get_key_value(over))
        else {
            return self.ground(path);
        };
        let (exact, tail) = (over == path, below(path, over).unwrap_or_default());
        match &node.mount {
            Mount::Bind(bind) => Spot::Host {
                source: join(source_of(over, &node.mount).unwrap_or(over), tail),
                granted: true,
                exec: bind.exec,
            },
            Mount::Tmpfs(_) | Mount::Dir { .. } if exact => Spot::Folder,
            Mount::Tmpfs(_) | Mount::Dir { .. } => self.ground(path),
            Mount::Hide { .. } | Mount::Dev { .. } if exact => Spot::Folder,
            Mount::Symlink(text) if exact => Spot::Link(text.clone()),
            Mount::File { content: Content::Text(text), .. } if exact => Spot::Text(text.clone()),
            Mount::Symlink(_)
            | Mount::File { content: Content::Text(_), .. }
            | Mount::Hide { .. } => Spot::Nothing,
            Mount::Proc { .. }
            | Mount::Dev { .. }
            | Mount::Device { .. }
            | Mount::Socket(_)
            | Mount::Sysfs
            | Mount::Mqueue
            | Mount::File { .. } => Spot::Unknown,
        }
    }

    /// The sandbox's own ground: directories on the way to entries, and what is found on the host
    /// at the same path.
    fn ground(&self, path: &str) -> Spot {
        let under = format!("{path}/");
        if self
            .tree
            .range(under.clone()..)
            .next()
            .is_some_and(|(entry, _)| entry.starts_with(&under))
        {
            return Spot::Folder;
        }
        // What these have is the host's own state, not a file of the system.
        let kernels = ["/proc", "/sys", "/dev"].iter().any(|of| below(path, of).is_some());
        match self.host_shows && !kernels {
            true => Spot::Host { source: path.to_owned(), granted: false, exec: true },
            false => Spot::Nothing,
        }
    }

    fn look(&mut self, path: &str) -> Seen {
        if let Some(seen) = self.seen.get(path) {
            return seen.clone();
        }
        self.weight += path.len();
        self.seen.entry(path.to_owned()).or_insert(look(path)).clone()
    }
}

fn look(path: &str) -> Seen {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => return Seen::Absent(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    let kind = meta.file_type();
    if kind.is_symlink() {
        return super::link_text(path)
            .map_or_else(Seen::Absent, |text| Seen::Link { text, roots: meta.uid() == 0 });
    }
    match (kind.is_dir(), kind.is_file()) {
        (true, _) => Seen::Folder,
        (_, true) => Seen::File { uid: meta.uid(), mode: meta.permissions().mode() & 0o7777 },
        _ => Seen::Other,
    }
}

/// The names of a path, the last first.
fn names_of(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .rev()
        .map(str::to_owned)
        .collect()
}
