//! What `stockade changes` must list, export and apply of two trees.

use super::disk;
use super::model::{Attributes, Directory, Leaf, Name, Node, Path, Tree, What, hex, joined, walk};
use std::collections::BTreeMap;
use std::io::Read;

fn side(tree: &Tree, node: &Node) -> String {
    match node {
        Node::Directory(directory) => format!("directory {:04o}", directory.mode),
        Node::Leaf(number) => {
            let Leaf { what, mode, .. } = &tree.leaves[*number];
            match what {
                What::File(bytes) => format!("file {mode:04o} {}", bytes.len()),
                What::Link(text) => format!("link {}", hex(text)),
                What::Fifo => format!("fifo {mode:04o}"),
            }
        }
    }
}

fn kind(text: &str) -> &str {
    text.split(' ').next().unwrap()
}

/// Lines of what is another in the second tree.
pub fn changes(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = vec![];
    if before.top.mode != after.top.mode {
        let tops = [before, after].map(|tree| format!("directory {:04o}", tree.top.mode));
        lines.push(format!("2e mode {} | {}", tops[0], tops[1]));
    }
    let mut both = Both { before, after, lines };
    both.below(Some(&before.top), &after.top, &mut vec![]);
    both.lines.sort();
    both.lines
}

struct Both<'t> {
    before: &'t Tree,
    after: &'t Tree,
    lines: Vec<String>,
}

impl Both<'_> {
    fn line(&mut self, path: &[Name], what: &str, sides: [Option<&str>; 2]) {
        let [before, after] = sides.map(|side| side.unwrap_or("-"));
        self.lines.push(format!("{} {what} {before} | {after}", hex(&joined(path))));
    }

    fn below(&mut self, old: Option<&Directory>, new: &Directory, path: &mut Path) {
        let (before, after) = (self.before, self.after);
        for (name, node) in old.into_iter().flat_map(|old| &old.names) {
            if !new.names.contains_key(name) {
                path.push(name.clone());
                self.line(path, "removed", [Some(&side(before, node)), None]);
                path.pop();
            }
        }
        for (name, node) in &new.names {
            path.push(name.clone());
            let was = old.and_then(|old| old.names.get(name));
            let is = side(after, node);
            let shown = was.map(|was| side(before, was));
            match &shown {
                None => self.line(path, "added", [None, Some(&is)]),
                Some(was) if kind(was) != kind(&is) => {
                    self.line(path, "replaced", [Some(was), Some(&is)]);
                }
                Some(text) => {
                    let leaves = was.and_then(|was| before.leaf(was)).zip(after.leaf(node));
                    if leaves.is_some_and(|(was, is)| was.what != is.what) {
                        self.line(path, "changed", [Some(text), Some(&is)]);
                    } else if *text != is {
                        self.line(path, "mode", [Some(text), Some(&is)]);
                    }
                }
            }
            if let Node::Directory(inner) = node {
                let was = match was {
                    Some(Node::Directory(was)) => Some(was),
                    _ => None,
                };
                self.below(was, inner, path);
            }
            path.pop();
        }
    }
}

/// The same lines of what is listed, each but its owners.
pub fn listed(json: &str) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let side = |side: &serde_json::Value| {
        let (kind, mode) = (side["kind"].as_str()?, side["mode"].as_str().unwrap());
        Some(match kind {
            "link" => {
                format!("link {}", hex(&disk::bytes(side["target"].as_str().unwrap())))
            }
            "file" => format!("file {mode} {}", side["size"]),
            kind => format!("{kind} {mode}"),
        })
    };
    let line = |change: &serde_json::Value| {
        let (path, what) = (change["path"].as_str().unwrap(), change["change"].as_str().unwrap());
        let sides = [&change["before"], &change["after"]];
        let ids = sides.map(|side| (&side["owner"], &side["group"]));
        assert!(ids[0] == ids[1] || sides.iter().any(|side| side.is_null()), "{change}");
        let [before, after] = sides.map(|one| side(one).unwrap_or_else(|| "-".into()));
        format!("{} {what} {before} | {after}", disk::path(path))
    };
    // What is hidden is no part of the tree.
    let all = json["changes"].as_array().unwrap().iter();
    let mut lines: Vec<String> =
        all.filter(|change| change["kept-back"] != true).map(line).collect();
    lines.sort();
    lines
}

/// A tree without extended attributes.
pub fn without_attributes(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    tree.leaves.iter_mut().for_each(|leaf| leaf.attributes.clear());
    each_directory(&mut tree.top, &mut |directory| directory.attributes.clear());
    tree
}

pub fn each_directory(directory: &mut Directory, act: &mut dyn FnMut(&mut Directory)) {
    act(directory);
    for node in directory.names.values_mut() {
        if let Node::Directory(inner) = node {
            each_directory(inner, act);
        }
    }
}

/// What the next run sees where the first tree is the layer by now: what was not applied is still in
/// the upper. None where that is in a new directory: how much of it stays there is the kernel's, which
/// makes one opaque or not.
pub fn shown(layer: &Tree, after: &Tree) -> Option<Tree> {
    let mut tree = layer.clone();
    each_directory(&mut tree.top, &mut |directory| directory.is_low = true);
    let (mut left, mut numbers) = (Vec::<Path>::new(), BTreeMap::new());
    walk(&after.top, &mut vec![], &mut |path, node| {
        if is_fifo(after, node) {
            left.push(path.to_vec());
        }
    });
    for path in left {
        let (last, above) = path.split_last().unwrap();
        let Some(Node::Leaf(number)) = after.node(&path) else { continue };
        if !after.directory(above).unwrap().is_low {
            return None;
        }
        // With the names that it has together with others.
        let number = *numbers.entry(*number).or_insert_with(|| {
            tree.leaves.push(after.leaves[*number].clone());
            tree.leaves.len() - 1
        });
        tree.directory_mut(above).unwrap().names.insert(last.clone(), Node::Leaf(number));
    }
    Some(tree)
}

/// What `apply` makes of a layer: FIFOs are kept back, and what takes the place of something of the
/// same kind has its attributes.
pub fn applied(before: &Tree, after: &Tree) -> Tree {
    let mut tree = Tree { top: before.top.clone(), leaves: vec![] };
    tree.top.mode = after.top.mode;
    let names = applied_below([before, after], [&before.top, &after.top], &mut tree.leaves);
    tree.top.names = names;
    tree
}

fn is_fifo(tree: &Tree, node: &Node) -> bool {
    tree.leaf(node).is_some_and(|leaf| leaf.what == What::Fifo)
}

fn copied(tree: &Tree, node: &Node, leaves: &mut Vec<Leaf>) -> Node {
    match node {
        Node::Leaf(number) => {
            leaves.push(tree.leaves[*number].clone());
            Node::Leaf(leaves.len() - 1)
        }
        Node::Directory(directory) => {
            let names = directory
                .names
                .iter()
                .map(|(name, node)| (name.clone(), copied(tree, node, leaves)))
                .collect();
            Node::Directory(Directory { names, ..directory.clone() })
        }
    }
}

fn applied_below(
    [before, after]: [&Tree; 2],
    [old, new]: [&Directory; 2],
    leaves: &mut Vec<Leaf>,
) -> BTreeMap<Name, Node> {
    let mut names = BTreeMap::new();
    let empty = Directory::default();
    for (name, node) in &new.names {
        let was = old.names.get(name);
        let node = match (node, was) {
            (node, Some(was)) if is_fifo(after, node) => copied(before, was, leaves),
            (node, None) if is_fifo(after, node) => continue,
            (Node::Leaf(_), was) => {
                let node = copied(after, node, leaves);
                let was = was.and_then(|was| before.leaf(was));
                let leaf = leaves.last_mut().unwrap();
                leaf.attributes = match was {
                    Some(was) if matches!(leaf.what, What::File(_)) => was.attributes.clone(),
                    _ => Attributes::new(),
                };
                node
            }
            (Node::Directory(inner), was) => {
                let was = match was {
                    Some(Node::Directory(was)) => was,
                    _ => &empty,
                };
                let names = applied_below([before, after], [was, inner], leaves);
                let attributes = was.attributes.clone();
                Node::Directory(Directory { names, attributes, ..inner.clone() })
            }
        };
        names.insert(name.clone(), node);
    }
    names
}

/// A layer of an image, unpacked over a tree (image-spec, layer.md): whiteouts act on what was below.
pub fn unpacked(before: &Tree, hidden_there: &[Path], bytes: &[u8]) -> Tree {
    let mut tree = without_attributes(before);
    let mut entries = vec![];
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut contents = vec![];
        entry.read_to_end(&mut contents).unwrap();
        let link = entry.link_name_bytes().map(|link| link.to_vec()).unwrap_or_default();
        let path = entry.path_bytes().to_vec();
        let mode = entry.header().mode().unwrap();
        entries.push((names(&path), entry.header().entry_type(), mode, link, contents));
    }
    for (path, ..) in &entries {
        if let Some((last, above)) = path.split_last()
            && let Some(hidden) = last.strip_prefix(b".wh.")
        {
            let mut gone = above.to_vec();
            gone.push(hidden.to_vec());
            let is_there = tree.node(&gone).is_some() || hidden_there.contains(&gone);
            assert!(is_there, "nothing to be removed: {gone:?}");
            tree.remove(&gone);
        }
    }
    for (path, kind, mode, link, contents) in entries {
        let Some((last, above)) = path.split_last() else {
            tree.top.mode = mode;
            continue;
        };
        if last.starts_with(b".wh.") {
            continue;
        }
        let mut leaf = |what| {
            tree.leaves.push(Leaf::new(what, mode));
            Node::Leaf(tree.leaves.len() - 1)
        };
        let node = match kind {
            tar::EntryType::Directory => {
                let old = tree.directory(&path).cloned().unwrap_or_default();
                Node::Directory(Directory { mode, ..old })
            }
            tar::EntryType::Symlink => leaf(What::Link(link)),
            tar::EntryType::Fifo => leaf(What::Fifo),
            tar::EntryType::Link => tree.node(&names(&link)).unwrap().clone(),
            _ => leaf(What::File(contents)),
        };
        tree.directory_mut(above).unwrap().names.insert(last.clone(), node);
    }
    tree
}

fn names(path: &[u8]) -> Path {
    let part = |part: &&[u8]| !part.is_empty() && *part != b".";
    path.split(|byte| *byte == b'/').filter(part).map(<[u8]>::to_vec).collect()
}
