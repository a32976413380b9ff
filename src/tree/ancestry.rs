//! Which node of a tree is at or above a path: asked for every path that is drawn, so it is
//! worked out once, in about the time that reading all the paths takes. It judges nothing.

use super::Tree;
use crate::language::value::below;

/// The paths of a tree, each with what its reader makes of it and of the next one above it.
#[derive(Debug, Clone)]
pub(crate) struct Ancestry<V> {
    /// Parents before their entries, and the entries of each parent without a gap.
    entries: Vec<Entry<V>>,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    path: String,
    /// The path as [`in_order`] has it.
    key: Vec<u8>,
    /// The next path above it.
    over: Option<usize>,
    value: V,
}

impl<V> Ancestry<V> {
    /// Works it out for a tree: `value` is given the number of a node by which [`Ancestry::path`] knows
    /// it, the node, and the value of the next one above it.
    pub(crate) fn new<N>(
        tree: &Tree<N>,
        value: impl Fn(usize, &N, Option<&V>) -> V,
    ) -> Ancestry<V> {
        let mut nodes: Vec<(Vec<u8>, &String, &N)> =
            tree.iter().map(|(path, node)| (in_order(path), path, node)).collect();
        nodes.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut entries: Vec<Entry<V>> = Vec::with_capacity(nodes.len());
        // The paths above the one at hand, the nearest last.
        let mut above: Vec<usize> = vec![];
        for (index, (key, path, node)) in nodes.into_iter().enumerate() {
            while above.last().is_some_and(|over| below(path, &entries[*over].path).is_none()) {
                above.pop();
            }
            let over = above.last().copied();
            let value = value(index, node, over.map(|over| &entries[over].value));
            entries.push(Entry { path: path.clone(), key, over, value });
            above.push(index);
        }
        Ancestry { entries }
    }

    /// The nearest path at or above one, and its value.
    pub(crate) fn at(&self, path: &str) -> Option<(&str, &V)> {
        // Whatever is above it in the tree is above the last one before it, too.
        let key = in_order(path);
        let before = self.entries.partition_point(|entry| entry.key <= key).checked_sub(1)?;
        let same = shared(&self.entries[before].path, path);
        let mut entry = &self.entries[before];
        // Only a path that is wholly shared can be above; which of those end at a `/` of ours,
        // `below` says.
        while entry.path.len() > same || below(path, &entry.path).is_none() {
            entry = &self.entries[entry.over?];
        }
        Some((&entry.path, &entry.value))
    }

    /// The path of a node, by its number.
    pub(crate) fn path(&self, number: usize) -> &str {
        &self.entries[number].path
    }
}

/// A path as bytes whose order puts `/` before every other byte: no path has a NUL. The root is
/// above `/a`, of which it is a part; nothing else ends with a `/`.
fn in_order(path: &str) -> Vec<u8> {
    let mut key = path.as_bytes().to_vec();
    key.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = 0);
    key
}

/// How many bytes two texts begin with that are the same.
fn shared(a: &str, b: &str) -> usize {
    // Deep paths are alike for thousands of bytes, which memcmp(3) compares by the line.
    const LINE: usize = 64;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let lines =
        a.chunks_exact(LINE).zip(b.chunks_exact(LINE)).take_while(|(a, b)| a == b).count() * LINE;
    lines + a[lines..].iter().zip(&b[lines..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::value::ancestors;

    #[test]
    fn the_nearest_is_what_a_walk_upwards_finds() {
        let paths = ["/", "/a", "/a-b", "/a/b", "/a/b/c", "/a.d/e", "/a/bc", "/é", "/é/x"];
        let mut tree = Tree::new(0);
        tree.extend(paths.iter().zip(0u64..).map(|(path, nth)| ((*path).to_owned(), nth)));
        // The nearest even one, and the sum of all.
        let near =
            Ancestry::new(&tree, |number, node: &u64, over: Option<&(Option<usize>, u64)>| {
                let (even, sum) = over.copied().unwrap_or_default();
                (if node.is_multiple_of(2) { Some(number) } else { even }, sum + node)
            });
        let others = "/b /a/b/c/d/e /a-b/x /a- /ab /a.d /a.d/e/f /é/y /zz /a/a";
        for path in paths.iter().copied().chain(others.split(' ')) {
            let up = || ancestors(path).chain(["/"]).filter_map(|path| tree.get_key_value(path));
            let (found, (even, sum)) = near.at(path).unwrap();
            assert_eq!(Some(found), up().next().map(|(path, _)| path.as_str()), "{path}");
            let first =
                up().find(|(_, node)| node.is_multiple_of(2)).map(|(path, _)| path.as_str());
            assert_eq!(even.map(|number| near.path(number)), first, "{path}");
            let all: std::collections::BTreeMap<_, _> = up().collect();
            assert_eq!(*sum, all.values().copied().sum::<u64>(), "{path}");
        }
        assert!(Ancestry::new(&Tree::new(()), |_, (), _: Option<&()>| ()).at("/x").is_none());
    }
}
