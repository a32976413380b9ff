//! What a merged tree shows, and what each change does to it, for a target that owns all of it and
//! has no capability: overlayfs as it is without `redirect_dir` and `index`.

use super::dice::Dice;
use super::op::Op;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

pub type Name = Vec<u8>;
/// Names below the top; empty for the top itself.
pub type Path = Vec<Name>;
pub type Attributes = BTreeMap<Name, Vec<u8>>;

pub fn joined(path: &[Name]) -> Vec<u8> {
    if path.is_empty() { b".".to_vec() } else { path.join(&b'/') }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Link(Vec<u8>),
    Fifo,
}

/// Something that is no directory. It can have several names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub what: What,
    pub mode: u32,
    pub attributes: Attributes,
    /// Whether it is a layer's that has got another name: the kernel may look each name up as a file
    /// of its own then, with a mode that a change at the other name does not change.
    pub is_split: bool,
    /// Whether its owner is none of the sandbox's: overlayfs copies nothing of it for a change.
    pub is_foreign: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Directory {
    pub mode: u32,
    pub attributes: Attributes,
    pub names: BTreeMap<Name, Node>,
    /// Whether a layer has it, too: such a one cannot be renamed.
    pub is_low: bool,
    /// Whether something is mounted on it, which is read-only, and is what the directory is here.
    pub is_mount: bool,
    /// Whether it is a mount of itself, so that nothing moves it away.
    pub is_pin: bool,
    pub is_foreign: bool,
}

#[derive(Debug, Clone)]
pub enum Node {
    /// Its number in the tree.
    Leaf(usize),
    Directory(Directory),
}

#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub top: Directory,
    pub leaves: Vec<Leaf>,
}

/// What is in a layer.
#[derive(Debug, Clone)]
pub enum Low {
    Directory(LowDirectory),
    Leaf(Leaf),
    /// Another name of a file of the same layer.
    Again(Path, Leaf),
    Whiteout,
}

#[derive(Debug, Clone, Default)]
pub struct LowDirectory {
    pub mode: u32,
    pub attributes: Attributes,
    pub is_opaque: bool,
    pub is_foreign: bool,
    pub names: BTreeMap<Name, Low>,
}

impl Directory {
    fn is_busy(&self) -> bool {
        self.is_mount || self.is_pin
    }
}

type Outcome<T = ()> = Result<T, i32>;

const READ: u32 = 0o400;
const WRITE: u32 = 0o200;
const SEARCH: u32 = 0o100;

fn may(mode: u32, bits: u32) -> Outcome {
    if mode & bits == bits { Ok(()) } else { Err(libc::EACCES) }
}

/// What the mode of another owner's file gives, where an own one's gives it.
fn given(mode: u32, is_foreign: bool) -> u32 {
    if is_foreign { (mode & 0o7) << 6 } else { mode }
}

/// The owner of another's file, as it is printed.
fn owner(is_foreign: bool) -> &'static str {
    if is_foreign { " (is of 65534:65534)" } else { "" }
}

impl Tree {
    /// The layers, the lowest first, merged.
    pub fn merged(layers: &[LowDirectory]) -> Tree {
        let mut tree = Tree::default();
        let all: Vec<&LowDirectory> = layers.iter().rev().collect();
        tree.top = merge(&all, &mut tree.leaves);
        tree
    }

    pub fn leaf(&self, node: &Node) -> Option<&Leaf> {
        match node {
            Node::Leaf(number) => Some(&self.leaves[*number]),
            Node::Directory(_) => None,
        }
    }

    pub fn node(&self, path: &[Name]) -> Option<&Node> {
        let (last, above) = path.split_last()?;
        self.directory(above)?.names.get(last)
    }

    pub fn directory(&self, path: &[Name]) -> Option<&Directory> {
        path.iter().try_fold(&self.top, |directory, name| match directory.names.get(name)? {
            Node::Directory(inner) => Some(inner),
            Node::Leaf(_) => None,
        })
    }

    pub fn directory_mut(&mut self, path: &[Name]) -> Option<&mut Directory> {
        path.iter().try_fold(&mut self.top, |directory, name| {
            match directory.names.get_mut(name)? {
                Node::Directory(inner) => Some(inner),
                Node::Leaf(_) => None,
            }
        })
    }

    /// Which mount a directory is in: how many names lead to the place of it, 0 for the tree's own.
    fn mount(&self, directory: &[Name]) -> usize {
        let is_place =
            |count: &usize| self.directory(&directory[..*count]).is_some_and(Directory::is_busy);
        (1..=directory.len()).rev().find(is_place).unwrap_or(0)
    }

    /// Whether a directory can be written to, but for its mode.
    fn is_writable(&self, directory: &[Name]) -> Outcome {
        match self.directory(&directory[..self.mount(directory)]) {
            Some(place) if place.is_mount => Err(libc::EROFS),
            _ => Ok(()),
        }
    }

    pub fn is_link(&self, path: &[Name]) -> bool {
        let leaf = self.node(path).and_then(|node| self.leaf(node));
        leaf.is_some_and(|leaf| matches!(leaf.what, What::Link(_)))
    }

    /// Hides what is at a path by a layer above: the directories above it are that layer's, then, and
    /// have its attributes, which are none.
    pub fn hide(&mut self, path: &[Name]) {
        self.remove(path);
        for end in 1..path.len() {
            self.directory_mut(&path[..end]).unwrap().attributes.clear();
        }
    }

    /// Mounts a tree at a path, read-only, and pins the directories above it.
    pub fn mounted(&mut self, path: &[Name], low: &LowDirectory, is_pinned: bool) {
        for end in 1..path.len() {
            self.directory_mut(&path[..end]).unwrap().is_pin = is_pinned;
        }
        let mut directory = merge(&[low], &mut self.leaves);
        directory.is_mount = true;
        self.put(path, Node::Directory(directory));
    }

    pub fn remove(&mut self, path: &[Name]) {
        if let Some((last, above)) = path.split_last()
            && let Some(directory) = self.directory_mut(above)
        {
            directory.names.remove(last);
        }
    }

    /// Every path but the top's.
    pub fn paths(&self) -> Vec<Path> {
        let mut found = vec![];
        walk(&self.top, &mut vec![], &mut |path, _| found.push(path.to_vec()));
        found
    }

    /// What of the walk to a path comes before its last name.
    fn parent<'p>(&self, path: &'p [Name]) -> Outcome<(&Directory, &'p Name)> {
        let (last, above) = path.split_last().ok_or(libc::EBUSY)?;
        let mut directory = &self.top;
        for name in above {
            may(directory.mode, SEARCH)?;
            directory = match directory.names.get(name) {
                Some(Node::Directory(inner)) => inner,
                // Links lead to where nothing is.
                Some(leaf) if matches!(self.leaf(leaf).unwrap().what, What::Link(_)) => {
                    return Err(libc::ENOENT);
                }
                Some(_) => return Err(libc::ENOTDIR),
                None => return Err(libc::ENOENT),
            };
        }
        may(directory.mode, SEARCH)?;
        Ok((directory, last))
    }

    fn found(&self, path: &[Name]) -> Outcome<&Node> {
        let (directory, last) = self.parent(path)?;
        directory.names.get(last).ok_or(libc::ENOENT)
    }

    /// A place where something new can be.
    fn free(&self, path: &[Name]) -> Outcome {
        let (directory, last) = self.parent(path)?;
        if directory.names.contains_key(last) {
            return Err(libc::EEXIST);
        }
        self.is_writable(&path[..path.len() - 1])?;
        may(directory.mode, WRITE)
    }

    fn put(&mut self, path: &[Name], node: Node) {
        let (last, above) = path.split_last().unwrap();
        self.directory_mut(above).unwrap().names.insert(last.clone(), node);
    }

    fn new_leaf(&mut self, path: &[Name], what: What, mode: u32) -> Outcome {
        self.free(path)?;
        self.leaves.push(Leaf::new(what, mode));
        self.put(path, Node::Leaf(self.leaves.len() - 1));
        Ok(())
    }

    /// The bytes of a file that is opened for writing, and cut.
    fn opened(&mut self, path: &[Name], bits: u32, is_cut: bool) -> Outcome<&mut Vec<u8>> {
        let number = match self.found(path)? {
            Node::Directory(_) => return Err(libc::EISDIR),
            Node::Leaf(number) => *number,
        };
        let writable = self.is_writable(&path[..path.len() - 1]);
        let leaf = &mut self.leaves[number];
        let mode = given(leaf.mode, leaf.is_foreign);
        match &mut leaf.what {
            What::Link(_) => Err(libc::ELOOP),
            What::Fifo => {
                may(mode, bits)?;
                Err(libc::ENXIO)
            }
            What::File(bytes) => {
                if is_cut {
                    writable?;
                }
                may(mode, bits)?;
                writable?;
                if leaf.is_foreign { Err(libc::EOVERFLOW) } else { Ok(bytes) }
            }
        }
    }

    /// Mode and attributes of something that a call finds, its own links followed or not.
    fn inner(
        &mut self,
        path: &[Name],
        follows: bool,
    ) -> Outcome<(&mut u32, &mut Attributes, bool)> {
        if path.is_empty() {
            return Ok((&mut self.top.mode, &mut self.top.attributes, false));
        }
        let number = match self.found(path)? {
            Node::Leaf(number) => *number,
            Node::Directory(_) => {
                self.is_writable(path)?;
                let directory = self.directory_mut(path).unwrap();
                return Ok((&mut directory.mode, &mut directory.attributes, false));
            }
        };
        if follows && matches!(self.leaves[number].what, What::Link(_)) {
            return Err(libc::ENOENT);
        }
        self.is_writable(&path[..path.len() - 1])?;
        let leaf = &mut self.leaves[number];
        match leaf.what {
            What::Link(_) | What::Fifo if !follows => Err(libc::EPERM),
            _ => Ok((&mut leaf.mode, &mut leaf.attributes, leaf.is_foreign)),
        }
    }

    /// Does one change; what its call gives.
    pub fn act(&mut self, op: &Op) -> i32 {
        self.try_to(op).err().unwrap_or(0)
    }

    fn try_to(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Create(path, mode, bytes) => self.new_leaf(path, What::File(bytes.clone()), *mode),
            Op::Fifo(path, mode) => self.new_leaf(path, What::Fifo, *mode),
            Op::Symlink(path, text) => self.new_leaf(path, What::Link(text.clone()), 0),
            Op::Write(path, at, bytes) => {
                let old = self.opened(path, WRITE, false)?;
                let end = at + bytes.len();
                if !bytes.is_empty() {
                    old.resize(old.len().max(end), 0);
                    old[*at..end].copy_from_slice(bytes);
                }
                Ok(())
            }
            Op::Append(path, bytes) => {
                self.opened(path, WRITE, false)?.extend_from_slice(bytes);
                Ok(())
            }
            Op::Overwrite(path, bytes) => {
                self.opened(path, WRITE, true)?.clone_from(bytes);
                Ok(())
            }
            Op::Open(path) => match self.opened(path, READ | WRITE, false) {
                // A FIFO that is opened for both waits for nobody.
                Err(libc::ENXIO) => Ok(()),
                other => other.map(drop),
            },
            Op::Truncate(path, length) => {
                let number = match self.found(path)? {
                    Node::Directory(_) => return Err(libc::EISDIR),
                    Node::Leaf(number) => *number,
                };
                let writable = self.is_writable(&path[..path.len() - 1]);
                let leaf = &mut self.leaves[number];
                match &mut leaf.what {
                    What::Link(_) => Err(libc::ENOENT),
                    What::Fifo => Err(libc::EINVAL),
                    What::File(bytes) => {
                        writable?;
                        may(given(leaf.mode, leaf.is_foreign), WRITE)?;
                        if leaf.is_foreign {
                            return Err(libc::EOVERFLOW);
                        }
                        bytes.resize(*length, 0);
                        Ok(())
                    }
                }
            }
            Op::Mkdir(path, mode) => {
                self.free(path)?;
                let new = Directory { mode: mode & 0o1777, ..Directory::default() };
                self.put(path, Node::Directory(new));
                Ok(())
            }
            Op::Rmdir(path) => {
                let (parent, last) = self.parent(path)?;
                self.is_writable(&path[..path.len() - 1])?;
                let node = parent.names.get(last).ok_or(libc::ENOENT)?;
                may(parent.mode, WRITE)?;
                match node {
                    Node::Leaf(_) => Err(libc::ENOTDIR),
                    Node::Directory(directory) if directory.is_busy() => Err(libc::EBUSY),
                    Node::Directory(directory) if !directory.names.is_empty() => {
                        Err(libc::ENOTEMPTY)
                    }
                    Node::Directory(_) => {
                        self.remove(path);
                        Ok(())
                    }
                }
            }
            Op::Unlink(path) => {
                let (parent, last) = self.parent(path)?;
                self.is_writable(&path[..path.len() - 1])?;
                let node = parent.names.get(last).ok_or(libc::ENOENT)?;
                may(parent.mode, WRITE)?;
                if matches!(node, Node::Directory(_)) {
                    return Err(libc::EISDIR);
                }
                self.remove(path);
                Ok(())
            }
            Op::Link(old, new) => {
                let node = self.found(old)?.clone();
                let free = self.free(new);
                if matches!(free, Err(errno) if errno != libc::EACCES) || self.parent(new).is_err()
                {
                    return free;
                }
                if self.mount(old) != self.mount(&new[..new.len() - 1]) {
                    return Err(libc::EXDEV);
                }
                match node {
                    Node::Directory(_) => {
                        free?;
                        return Err(libc::EPERM);
                    }
                    Node::Leaf(number) => {
                        let leaf = &mut self.leaves[number];
                        // Where links are protected (proc_sys_fs(5)), as they are by default.
                        let is_safe = matches!(leaf.what, What::File(_))
                            && given(leaf.mode, leaf.is_foreign) & (READ | WRITE) == READ | WRITE;
                        if leaf.is_foreign && !is_safe {
                            return Err(libc::EPERM);
                        }
                        free?;
                        if leaf.is_foreign {
                            return Err(libc::EOVERFLOW);
                        }
                        leaf.is_split = true;
                    }
                }
                self.put(new, node);
                Ok(())
            }
            Op::Chmod(path, mode) => {
                let (old, _, is_foreign) = self.inner(path, true)?;
                if is_foreign {
                    return Err(libc::EPERM);
                }
                *old = *mode;
                Ok(())
            }
            Op::Set(path, name, value) => {
                let (mode, attributes, is_foreign) = self.inner(path, false)?;
                may(given(*mode, is_foreign), WRITE)?;
                if is_foreign {
                    return Err(libc::EOVERFLOW);
                }
                attributes.insert(name.clone(), value.clone());
                Ok(())
            }
            Op::Unset(path, name) => {
                let (mode, attributes, is_foreign) = self.inner(path, false)?;
                may(given(*mode, is_foreign), WRITE)?;
                if is_foreign && attributes.contains_key(name) {
                    return Err(libc::EOVERFLOW);
                }
                attributes.remove(name).map(drop).ok_or(libc::ENODATA)
            }
            Op::Rename(old, new, flags) => self.rename(old, new, *flags),
        }
    }

    /// In the order of do_renameat2, vfs_rename and ovl_rename. A negative error is that, or none.
    fn rename(&mut self, old: &[Name], new: &[Name], flags: u32) -> Outcome {
        let (old_parent, old_last) = self.parent(old)?;
        let (new_parent, new_last) = self.parent(new)?;
        let (above, new_above) = (&old[..old.len() - 1], &new[..new.len() - 1]);
        if self.mount(above) != self.mount(new_above) {
            return Err(libc::EXDEV);
        }
        self.is_writable(above)?;
        let source = old_parent.names.get(old_last).ok_or(libc::ENOENT)?;
        let target = new_parent.names.get(new_last);
        let exchange = flags == libc::RENAME_EXCHANGE;
        if flags == libc::RENAME_NOREPLACE && target.is_some() {
            return Err(libc::EEXIST);
        }
        if exchange && target.is_none() {
            return Err(libc::ENOENT);
        }
        if new_above.starts_with(old) {
            return Err(libc::EINVAL);
        }
        if above.starts_with(new) {
            return Err(if exchange { libc::EINVAL } else { libc::ENOTEMPTY });
        }
        match (source, target) {
            _ if old == new => return Ok(()),
            // Two names of one file: nothing to do, or what the kernel says where overlayfs has looked up
            // each by itself.
            (Node::Leaf(one), Some(Node::Leaf(other))) if one == other => {
                let may = may(old_parent.mode, WRITE).and(may(new_parent.mode, WRITE));
                return Err(-may.err().unwrap_or(libc::ESTALE));
            }
            _ => {}
        }
        fn directory(node: &Node) -> Option<&Directory> {
            match node {
                Node::Directory(directory) => Some(directory),
                Node::Leaf(_) => None,
            }
        }
        let (from, to) = (directory(source), target.and_then(directory));
        may(old_parent.mode, WRITE)?;
        may(new_parent.mode, WRITE)?;
        if let Some(target) = target
            && !exchange
        {
            match (from, directory(target)) {
                (Some(_), None) => return Err(libc::ENOTDIR),
                (None, Some(_)) => return Err(libc::EISDIR),
                _ => {}
            }
        }
        if above != new_above {
            from.map_or(Ok(()), |from| may(from.mode, WRITE))?;
            to.filter(|_| exchange).map_or(Ok(()), |to| may(to.mode, WRITE))?;
        }
        if from.into_iter().chain(to).any(Directory::is_busy) {
            return Err(libc::EBUSY);
        }
        if from.is_some_and(|from| from.is_low) || exchange && to.is_some_and(|to| to.is_low) {
            return Err(libc::EXDEV);
        }
        let is_foreign = |node: &Node| self.leaf(node).is_some_and(|leaf| leaf.is_foreign);
        if is_foreign(source) || exchange && target.is_some_and(is_foreign) {
            return Err(libc::EOVERFLOW);
        }
        if to.is_some_and(|to| !exchange && !to.names.is_empty()) {
            return Err(libc::ENOTEMPTY);
        }
        let (source, target) = (source.clone(), target.cloned());
        match target.filter(|_| exchange) {
            Some(target) => self.put(old, target),
            None => self.remove(old),
        }
        self.put(new, source);
        Ok(())
    }

    /// The lines that tests/union.c prints of it.
    pub fn dump(&self) -> Vec<String> {
        self.seen_with(0)
    }

    /// The lines that it prints of it to root.
    pub fn seen_by_root(&self) -> Vec<String> {
        self.seen_with(READ | SEARCH)
    }

    /// The same to one who has these rights everywhere.
    fn seen_with(&self, rights: u32) -> Vec<String> {
        let mut lines = vec![];
        let top = &self.top;
        let attributes = listed(&top.attributes, top.mode | rights);
        lines.push(format!("2e {:o}{attributes}", libc::S_IFDIR | top.mode));
        self.dump_below(top, &mut vec![], rights, &mut lines);
        lines.sort();
        lines
    }

    fn dump_below(
        &self,
        directory: &Directory,
        path: &mut Path,
        rights: u32,
        lines: &mut Vec<String>,
    ) {
        for (name, node) in &directory.names {
            path.push(name.clone());
            let mut line = hex(&joined(path));
            match node {
                _ if (directory.mode | rights) & SEARCH == 0 => line += " ?13",
                Node::Leaf(number) => line += &self.leaves[*number].line(rights),
                Node::Directory(inner) => {
                    let mode = libc::S_IFDIR | inner.mode;
                    let may = given(inner.mode, inner.is_foreign) | rights;
                    let (owner, attributes) =
                        (owner(inner.is_foreign), listed(&inner.attributes, may));
                    write!(line, " {mode:o}{owner}{attributes}").unwrap();
                    if may & READ == 0 {
                        line += " ?13";
                    } else {
                        self.dump_below(inner, path, rights, lines);
                    }
                }
            }
            lines.push(line);
            path.pop();
        }
    }

    /// One of what is there, or of the places where something can be.
    pub fn some_path(&self, dice: &mut Dice) -> Path {
        let all = self.paths();
        match dice.throw(10) {
            0..=5 if !all.is_empty() => all[dice.throw(all.len())].clone(),
            9 => (0..=dice.throw(3)).map(|_| dice.name()).collect(),
            _ => {
                let is_directory = |path: &Path| self.directory(path).is_some() && path.len() < 4;
                let mut above: Vec<Path> = all.into_iter().filter(is_directory).collect();
                above.push(vec![]);
                let mut path = above[dice.throw(above.len())].clone();
                path.push(dice.name());
                path
            }
        }
    }
}

/// Visits all below a directory.
pub fn walk(directory: &Directory, path: &mut Path, visit: &mut dyn FnMut(&[Name], &Node)) {
    for (name, node) in &directory.names {
        path.push(name.clone());
        visit(path, node);
        if let Node::Directory(inner) = node {
            walk(inner, path, visit);
        }
        path.pop();
    }
}

fn listed(attributes: &Attributes, mode: u32) -> String {
    attributes.iter().fold(String::new(), |mut text, (name, value)| {
        let name = String::from_utf8_lossy(name);
        let value = match hex(value) {
            _ if mode & READ == 0 => "?13".into(),
            empty if empty.is_empty() => "-".into(),
            value => value,
        };
        write!(text, " {name}={value}").unwrap();
        text
    })
}

impl Leaf {
    pub fn new(what: What, mode: u32) -> Leaf {
        Leaf { what, mode, attributes: Attributes::new(), is_split: false, is_foreign: false }
    }

    fn line(&self, rights: u32) -> String {
        let may = given(self.mode, self.is_foreign) | rights;
        let (owner, attributes) = (owner(self.is_foreign), listed(&self.attributes, may));
        match &self.what {
            What::Fifo => format!(" {:o}{owner}{attributes}", libc::S_IFIFO | self.mode),
            What::Link(text) => format!(" {:o}{owner} {}", libc::S_IFLNK, hex(text)),
            What::File(bytes) => {
                let mode = libc::S_IFREG | self.mode;
                if may & READ == 0 {
                    return format!(" {mode:o}{owner} ?13{attributes}");
                }
                let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
                });
                format!(" {mode:o}{owner} {} {sum:016x}{attributes}", bytes.len())
            }
        }
    }
}

/// Merges directories of layers, the highest first.
fn merge(all: &[&LowDirectory], leaves: &mut Vec<Leaf>) -> Directory {
    let names: BTreeSet<&Name> = all.iter().flat_map(|one| one.names.keys()).collect();
    let mut directory = Directory {
        mode: all[0].mode,
        attributes: all[0].attributes.clone(),
        is_low: true,
        is_foreign: all[0].is_foreign,
        ..Directory::default()
    };
    for name in names {
        let mut here = all.iter().filter_map(|one| one.names.get(name));
        let node = match here.next().unwrap() {
            Low::Whiteout => continue,
            Low::Leaf(leaf) | Low::Again(_, leaf) => {
                leaves.push(leaf.clone());
                Node::Leaf(leaves.len() - 1)
            }
            Low::Directory(first) => {
                let mut merged = vec![first];
                while let Some(last) = merged.last()
                    && !last.is_opaque
                    && let Some(Low::Directory(next)) = here.next()
                {
                    merged.push(next);
                }
                Node::Directory(merge(&merged, leaves))
            }
        };
        directory.names.insert(name.clone(), node);
    }
    directory
}
