//! What is where inside: one model of the file tree, and one walker through it.
//!
//! A [`Tree`] has a node for each path at which something is decided. What is below a node and has
//! none of its own is the node's: the names of a directory of the host, or of several that are
//! merged, what the kernel shows, or nothing. [`mod@walk`] follows a path through it, as the kernel
//! does. Neither looks at the machine: a reader brings the facts ([`walk::Facts`]).

#![deny(clippy::wildcard_enum_match_arm)]

pub(crate) mod ancestry;
mod facts;
pub(crate) mod ground;
pub(crate) mod walk;

use crate::language::value::{ancestors, below, join, parent};
pub(crate) use ground::Top;
pub use ground::{Ground, Own, Source, Stack};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// A node: what is there, besides what its reader needs to know of it.
pub trait HasGround {
    /// What is there.
    fn ground(&self) -> &Ground;
}

/// Every node by its path inside. A parent comes before what is below it, as its path is a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree<N> {
    nodes: BTreeMap<String, N>,
    /// The root, where no node is put there.
    root: N,
}

impl<N> Tree<N> {
    /// A tree with nothing but its root.
    pub fn new(root: N) -> Tree<N> {
        Tree { nodes: BTreeMap::new(), root }
    }

    /// The nearest node at or above a path: at the latest the root.
    pub fn over<'p>(&self, path: &'p str) -> (&'p str, &N) {
        self.up(path).next().unwrap_or_else(|| ("/", self.root()))
    }

    /// The nodes at a path and above it, up to the root.
    pub(crate) fn up<'t, 'p>(
        &'t self,
        path: &'p str,
    ) -> impl Iterator<Item = (&'p str, &'t N)> + use<'t, 'p, N> {
        let nodes = ancestors(path).filter_map(|over| Some((over, self.nodes.get(over)?)));
        nodes.chain(std::iter::once(("/", self.root())))
    }

    /// The node of the root.
    pub fn root(&self) -> &N {
        self.nodes.get("/").unwrap_or(&self.root)
    }
}

impl<N: HasGround> Tree<N> {
    /// The nearest node at or above a path that shows something of its own.
    pub(crate) fn nearest<'p>(&self, path: &'p str) -> (&'p str, &N) {
        let (mut over, mut node) = self.over(path);
        while *node.ground() == Ground::Same && over != "/" {
            (over, node) = self.over(parent(over));
        }
        (over, node)
    }

    /// The paths inside at which a place of the host is shown, each with the node that shows it.
    /// `real` has the place without links of a source.
    pub(crate) fn showing<'t>(
        &'t self,
        place: &'t str,
        real: impl Fn(&'t str) -> &'t str + 't,
    ) -> impl Iterator<Item = (String, &'t str, &'t N)> + 't {
        let stacks = self.nodes.iter().filter_map(|(over, node)| match node.ground() {
            Ground::Host(stack) => Some((over, node, stack)),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
        });
        let sources = stacks.flat_map(|(over, node, stack)| {
            stack.topmost_first().map(move |source| (over, node, source))
        });
        sources.filter_map(move |(over, node, source)| {
            let inside = join(over, below(place, real(&source.path))?);
            let decides = self.nearest(&inside).0 == over;
            decides.then_some((inside, over.as_str(), node))
        })
    }

    /// Whether any node lies below a path: on the sandbox's own ground the directories above a node
    /// are made.
    pub(crate) fn is_way(&self, path: &str) -> bool {
        let prefix = join(path, "/");
        let below = self.nodes.range(prefix.clone()..);
        below
            .take_while(|(node, _)| node.starts_with(&prefix))
            .any(|(node, value)| node != "/" && *value.ground() != Ground::Same)
    }
}

/// The nodes, without the implied root.
impl<N> Deref for Tree<N> {
    type Target = BTreeMap<String, N>;

    fn deref(&self) -> &BTreeMap<String, N> {
        &self.nodes
    }
}

impl<N> DerefMut for Tree<N> {
    fn deref_mut(&mut self) -> &mut BTreeMap<String, N> {
        &mut self.nodes
    }
}

impl<N> IntoIterator for Tree<N> {
    type Item = (String, N);
    type IntoIter = std::collections::btree_map::IntoIter<String, N>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.into_iter()
    }
}

impl<'t, N> IntoIterator for &'t Tree<N> {
    type Item = (&'t String, &'t N);
    type IntoIter = std::collections::btree_map::Iter<'t, String, N>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasGround for Ground {
        fn ground(&self) -> &Ground {
            self
        }
    }

    #[test]
    fn a_place_is_shown_by_every_source_of_a_stack() {
        let layers = ["/srv/base", "/srv/app"].map(Source::new).to_vec();
        let mut tree = Tree::new(Ground::Own(Own::Root));
        tree.insert("/app".into(), Ground::Host(Stack::lowest_first(layers).unwrap()));
        tree.insert("/app/covered".into(), Ground::Own(Own::Directory));
        tree.insert("/one".into(), Ground::Host(Stack::one(Source::new("/srv"))));
        let shown = |place| {
            let all = tree.showing(place, |source| source);
            all.map(|(inside, ..)| inside).collect::<Vec<_>>()
        };
        assert_eq!(shown("/srv/app/x"), ["/app/x", "/one/app/x"]);
        assert_eq!(shown("/srv/base/x"), ["/app/x", "/one/base/x"]);
        assert_eq!(shown("/srv/base/covered/x"), ["/one/base/covered/x"]);
        assert_eq!(shown("/srv/other"), ["/one/other"]);
    }
}
