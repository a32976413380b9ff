//! Chance: layers, names, bytes and changes, the same for the same seed.

use super::model::{Attributes, Leaf, Low, LowDirectory, Name, Node, Path, Tree, What};
use super::op::Op;
use crate::support;

/// What throws of it give.
pub struct Dice(support::Dice);

/// What is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Whether modes leave the owner all rights.
    pub open: bool,
    pub fifos: bool,
    /// Whether files of layers have extended attributes.
    pub dressed: bool,
    /// Whether changes set some.
    pub attributes: bool,
    /// Whether layers have whiteouts and opaque directories.
    pub marks: bool,
    /// Whether files and directories of layers are another owner's.
    pub foreign: bool,
}

const NAMES: [&[u8]; 12] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"n\nl",
    b"c:o,m\\a",
    b"\xff\xfe\xc3",
    b" lead",
    b"-dash",
    "\u{e9}\u{301}".as_bytes(),
    &[b'l'; 255],
];
const MODES: [u32; 7] = [0o644, 0o600, 0o755, 0o700, 0o640, 0o777, 0o751];
const CLOSED: [u32; 6] = [0o444, 0o555, 0o400, 0o000, 0o300, 0o500];
const ATTRIBUTES: [&[u8]; 4] = [b"user.a", b"user.b", b"user.overlay.opaque", b"user.overlay.mine"];

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(support::Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        for _ in 0..8 {
            dice.throw(2);
        }
        dice
    }

    pub fn throw(&mut self, sides: usize) -> usize {
        self.0.throw(sides)
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        self.0.pick(of)
    }

    pub fn name(&mut self) -> Name {
        let odd = self.throw(4) == 0;
        let names = if odd { &NAMES[5..] } else { &NAMES[..5] };
        self.one(names).to_vec()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.throw(8) {
            0 => 0,
            1 => 5000 + self.throw(3000),
            _ => 1 + self.throw(20),
        };
        let from = self.throw(256);
        (0..length).map(|nth| (from + nth * 7) as u8).collect()
    }

    /// Where nothing is.
    fn text(&mut self) -> Vec<u8> {
        let mut text = b"/nowhere/".to_vec();
        text.extend(self.name());
        text
    }

    fn mode(&mut self, bounds: Bounds) -> u32 {
        match self.throw(5) {
            0 if !bounds.open => self.one(&CLOSED),
            _ => self.one(&MODES),
        }
    }

    fn mode_of_directory(&mut self, bounds: Bounds) -> u32 {
        match self.throw(8) {
            0 if !bounds.open => self.one(&CLOSED),
            1 => 0o1777,
            // What is closed to others is passed over.
            _ if bounds.foreign => self.one(&[0o755, 0o775]),
            _ => self.one(&[0o755, 0o700, 0o711, 0o775]),
        }
    }

    fn attributes(&mut self, bounds: Bounds) -> Attributes {
        let count = if bounds.dressed && self.throw(4) == 0 { 1 + self.throw(2) } else { 0 };
        (0..count)
            .map(|_| (self.one(&ATTRIBUTES[..2]).to_vec(), self.bytes_of_attribute()))
            .collect()
    }

    fn bytes_of_attribute(&mut self) -> Vec<u8> {
        let length = self.throw(30);
        (0..length).map(|nth| b'a' + nth as u8).collect()
    }

    /// A layer: few names, so that several have the same.
    pub fn layer(&mut self, bounds: Bounds) -> LowDirectory {
        let mut files = vec![];
        let mut top = self.low_directory(bounds, &mut vec![], &mut files);
        top.mode = self.one(&[0o755, 0o700, 0o711]);
        (top.is_opaque, top.is_foreign) = (false, false);
        // The merged one is the upper's, with the mode of the highest layer's alone.
        top.attributes.clear();
        top
    }

    fn low_directory(
        &mut self,
        bounds: Bounds,
        path: &mut Path,
        files: &mut Vec<(Path, Leaf)>,
    ) -> LowDirectory {
        let mut directory = LowDirectory {
            mode: self.mode_of_directory(bounds),
            attributes: self.attributes(bounds),
            is_opaque: bounds.marks && self.throw(5) == 0,
            is_foreign: bounds.foreign && self.throw(2) == 0,
            ..LowDirectory::default()
        };
        if bounds.marks {
            // A whiteout in a directory that one layer alone has is listed, and shows as what it is
            // to those who may look.
            directory.mode |= 0o100;
        }
        for _ in 0..self.throw(if path.is_empty() { 12 } else { 6 }) {
            let name = self.name();
            if directory.names.contains_key(&name) {
                continue;
            }
            path.push(name.clone());
            let low = match self.throw(16) {
                0..=4 if path.len() < 3 => Low::Directory(self.low_directory(bounds, path, files)),
                5 => {
                    let leaf = Leaf::new(What::Link(self.text()), 0);
                    Low::Leaf(self.owned(leaf, bounds))
                }
                6 if bounds.fifos => {
                    let leaf = Leaf::new(What::Fifo, self.mode(bounds));
                    Low::Leaf(self.owned(leaf, bounds))
                }
                7 if bounds.marks => Low::Whiteout,
                8 if !files.is_empty() => {
                    let (old, leaf) = files[self.throw(files.len())].clone();
                    Low::Again(old, leaf)
                }
                _ => {
                    let what = What::File(self.bytes());
                    let attributes = self.attributes(bounds);
                    let leaf = Leaf { attributes, ..Leaf::new(what, self.mode(bounds)) };
                    let leaf = self.owned(leaf, bounds);
                    files.push((path.clone(), leaf.clone()));
                    Low::Leaf(leaf)
                }
            };
            path.pop();
            directory.names.insert(name, low);
        }
        directory
    }

    fn owned(&mut self, mut leaf: Leaf, bounds: Bounds) -> Leaf {
        if bounds.foreign && self.throw(2) == 0 {
            leaf.is_foreign = true;
            leaf.mode = self.one(&[0o644, 0o666, 0o640, 0o444]);
        }
        leaf
    }

    /// A tree that all may read; whether its mode or its mount is asked first, is a kernel's.
    pub fn read_only(&mut self, is_foreign: bool) -> LowDirectory {
        let directory = || LowDirectory { mode: 0o755, is_foreign, ..LowDirectory::default() };
        let mut top = directory();
        for _ in 0..2 + self.throw(3) {
            let leaf = Leaf { is_foreign, ..Leaf::new(What::File(self.bytes()), 0o666) };
            top.names.insert(self.name(), Low::Leaf(leaf));
        }
        let leaf = Leaf { is_foreign, ..Leaf::new(What::Link(self.text()), 0) };
        let mut inner = directory();
        inner.names.insert(self.name(), Low::Leaf(leaf));
        top.names.insert(self.name(), Low::Directory(inner));
        top
    }

    /// A change, or several that belong together.
    pub fn ops(&mut self, tree: &Tree, bounds: Bounds) -> Vec<Op> {
        let path = tree.some_path(self);
        let one = match self.throw(24) {
            0..=2 => Op::Create(path, self.mode(bounds), self.bytes()),
            3 => Op::Write(path, self.one(&[0, 1, 10, 4096, 70_000]), self.bytes()),
            4 => Op::Append(path, self.bytes()),
            5 => Op::Overwrite(path, self.bytes()),
            6 => Op::Open(path),
            7 => Op::Truncate(path, self.one(&[0, 1, 5, 5000, 200_000])),
            8 | 9 => Op::Mkdir(path, self.mode_of_directory(bounds)),
            10 => Op::Rmdir(path),
            11 | 12 => Op::Unlink(path),
            13 => Op::Symlink(path, self.text()),
            14 | 15 => Op::Link(path, tree.some_path(self)),
            16..=18 => {
                let flags = self.one(&[0, 0, 0, libc::RENAME_EXCHANGE, libc::RENAME_NOREPLACE]);
                Op::Rename(path, tree.some_path(self), flags)
            }
            19 => return self.turned(tree, &path, bounds),
            20 if bounds.attributes => {
                let name = self.one(&ATTRIBUTES).to_vec();
                match self.throw(3) {
                    0 => Op::Unset(path, name),
                    _ => Op::Set(path, name, self.bytes_of_attribute()),
                }
            }
            21 if bounds.fifos => Op::Fifo(path, self.mode(bounds)),
            _ => {
                let path = if self.throw(20) == 0 { vec![] } else { path };
                let leaf = tree.node(&path).and_then(|node| tree.leaf(node));
                if leaf.is_some_and(|leaf| leaf.is_split) {
                    return vec![];
                }
                let mode = match tree.directory(&path) {
                    Some(_) if path.is_empty() => self.one(&[0o755, 0o700, 0o777]),
                    Some(_) => self.mode_of_directory(bounds),
                    None => self.mode(bounds),
                };
                Op::Chmod(path, mode)
            }
        };
        vec![one]
    }

    /// A directory becomes a file, or one with other things in it; and what is none a directory.
    fn turned(&mut self, tree: &Tree, path: &Path, bounds: Bounds) -> Vec<Op> {
        let mut ops = vec![];
        match tree.node(path) {
            Some(Node::Directory(directory)) => {
                let mut below = vec![];
                super::model::walk(directory, &mut path.clone(), &mut |path, node| {
                    let path = path.to_vec();
                    below.push(match node {
                        Node::Leaf(_) => Op::Unlink(path),
                        Node::Directory(_) => Op::Rmdir(path),
                    });
                });
                ops.extend(below.into_iter().rev());
                ops.push(Op::Rmdir(path.clone()));
            }
            Some(Node::Leaf(_)) => ops.push(Op::Unlink(path.clone())),
            None => {}
        }
        if self.throw(3) == 0 {
            ops.push(Op::Create(path.clone(), self.mode(bounds), self.bytes()));
        } else {
            ops.push(Op::Mkdir(path.clone(), 0o755));
            for _ in 0..self.throw(3) {
                let mut inner = path.clone();
                inner.push(self.name());
                ops.push(Op::Create(inner, self.mode(bounds), self.bytes()));
            }
        }
        ops
    }
}
