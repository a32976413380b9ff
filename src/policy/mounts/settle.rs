//! Which entries are left in the end: each that its own word leaves out is gone, with a note, and what
//! it replaced is back. And which facts of the host that asks for.

use super::glob::expand;
use super::kinds::{Access, Bind, Broad, Grant};
use super::tree::{
    DATABASES, Node, Tree, all_bound_at, behind, lies_in_layers, of_the_kernel, source_of, tree,
    with_root,
};
use super::{Mounts, beside, checks, follow, links, place, sockets, state};
use crate::host::parts::Brought;
use crate::host::{Fact, FileKind, Host};
use crate::language::value::{ancestors, below, parent};
use crate::text::problem::Note;
use crate::text::source::At;
use crate::tree::HasGround;
use std::borrow::Cow;

/// `[mounts]` on this machine. It is settled once for a command: every draft, and every look at the
/// profile, reads this.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The entries with each pattern replaced by what it matches, and each link that is followed by
    /// what it leads to, where there is any.
    expanded: Option<Mounts>,
    /// Those with what is left out replaced by what it covered, where it did.
    uncovered: Option<Mounts>,
    /// The settled entries, as a tree.
    pub(crate) tree: Tree,
    /// The same and what is implied, where something is.
    whole: Option<Tree>,
    /// A note for each entry that is left out by its own word.
    pub(crate) left_out: Vec<Note>,
}

impl Settled {
    /// Settles these entries.
    #[cfg(not(face_alone))]
    pub fn new(mounts: &Mounts, host: &Host) -> Settled {
        let expanded = expanded(mounts, host);
        let tree = tree(expanded.as_ref().unwrap_or(mounts), &host.brought);
        Settled::of(mounts, expanded, tree, host)
    }

    /// The same, where the patterns are replaced and the tree of all entries is made: it says which
    /// facts are asked for.
    pub(crate) fn of(
        mounts: &Mounts,
        expanded: Option<Mounts>,
        tree: Tree,
        host: &Host,
    ) -> Settled {
        let entries = expanded.as_ref().unwrap_or(mounts);
        let (uncovered, left_out) = match uncover(entries, host) {
            (Cow::Borrowed(_), left_out) => (None, left_out),
            (Cow::Owned(mounts), left_out) => (Some(mounts), left_out),
        };
        let tree = match &uncovered {
            None => tree,
            Some(mounts) => self::tree(mounts, &host.brought),
        };
        let (tree, left_out) = settle(entries, tree, left_out, host);
        Settled { expanded, uncovered, tree, whole: None, left_out }
    }

    /// Adds entries that something else of the profile implies, where no entry is.
    #[must_use]
    pub(crate) fn with(mut self, implied: Tree) -> Settled {
        if !implied.is_empty() {
            let whole = self.whole.get_or_insert_with(|| self.tree.clone());
            for (path, node) in implied {
                whole.entry(path).or_insert(node);
            }
        }
        self
    }

    /// Whether there are merged layers, whose files have many owners.
    pub(crate) fn merges(&self) -> bool {
        super::tree::merges(&self.tree)
    }

    /// The settled entries and the implied ones.
    pub(crate) fn whole(&self) -> &Tree {
        self.whole.as_ref().unwrap_or(&self.tree)
    }

    /// The entries of the profile with each pattern replaced by what it matches.
    pub(crate) fn entries<'a>(&'a self, mounts: &'a Mounts) -> &'a Mounts {
        self.expanded.as_ref().unwrap_or(mounts)
    }

    /// Those with what is left out replaced by what it covered.
    pub(crate) fn uncovered<'a>(&'a self, mounts: &'a Mounts) -> &'a Mounts {
        self.uncovered.as_ref().unwrap_or(self.entries(mounts))
    }
}

/// The entries with each pattern replaced by what it matches, each source that follows links by
/// what they lead to, and the place of each state, where there is any.
pub fn expanded(mounts: &Mounts, host: &Host) -> Option<Mounts> {
    match state::settle(follow::settle(expand(mounts, &host.globs), host), host) {
        Cow::Borrowed(_) => None,
        Cow::Owned(mounts) => Some(mounts),
    }
}

/// The tree without what is left out by its own word, because its source is absent, or too broad;
/// with a note for each.
fn settle(mounts: &Mounts, mut all: Tree, mut out: Vec<Note>, host: &Host) -> (Tree, Vec<Note>) {
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
        all.values_mut().for_each(Node::without_root);
    }
    for (path, note) in left {
        all.remove(&path);
        out.push(note);
    }
    leave_out_within(&mut all, mounts, &out);
    out.extend(without_programs(&mut all, host));
    out.extend(links::extend(&mut all, host));
    out.extend(sockets::hide(&mut all, host));
    out.extend(beside::keep(&mut all, host));
    (all, out)
}

/// What is shown of layers runs no program where the mount of one of them runs none; with a note for
/// each. Of the host's tree at its own path nothing else is expected.
fn without_programs(all: &mut Tree, host: &Host) -> Vec<Note> {
    let mut notes = vec![];
    for (path, node) in all.iter_mut() {
        let Some(layers) = node.mount.layers_mut() else { continue };
        let mut sources = layers.sources(path).into_iter();
        let inert = sources.find(|source| host.noexec.contains(*source)).map(str::to_owned);
        let Some(source) = inert.filter(|_| layers.words.exec) else { continue };
        layers.words.exec = false;
        if source != *path {
            let text = format!(
                "no program in {path} can be run: the layer {source} is on a mount with noexec"
            );
            notes.push(Note::new(node.at, text));
        }
    }
    notes
}

/// The entries, each that is left out and replaces an inherited one with that one in its place;
/// with a note for each.
fn uncover<'m>(mounts: &'m Mounts, host: &Host) -> (Cow<'m, Mounts>, Vec<Note>) {
    let (mut mounts, mut out) = (Cow::Borrowed(mounts), vec![]);
    while mounts.map.values().any(|entry| entry.under.is_some()) {
        let all = tree(&mounts, &host.brought);
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

/// An entry with `broad = "skip"` within one that was left out as too broad is left out as well:
/// alone, it would show a part of it.
fn leave_out_within(all: &mut Tree, mounts: &Mounts, out: &[Note]) {
    if !out.iter().any(|note| note.less) {
        return;
    }
    let is_out = |path: &At<&str>| out.iter().any(|note| note.less && note.at == path.at);
    let skipped: Vec<&str> =
        mounts.iter().filter(|(path, _)| is_out(path)).map(|(path, _)| path.value).collect();
    let goes = |path: &str, node: &Node| {
        node.mount.grant(path).is_some_and(|grant| grant.words.broad == Broad::Skip)
            && skipped.iter().any(|over| below(path, over).is_some())
    };
    all.retain(|path, node| !goes(path, node));
}

fn left_out(all: &Tree, path: &str, node: &Node, host: &Host) -> Option<Note> {
    let note = |less, why: &str| {
        let note = Note::new(node.at, format!("{path} is left out")).because(why);
        Some(Note { left_out: Some(path.to_owned()), less, ..note })
    };
    if node.mount.kind().may_be_missing()
        && let Some(source) = source_of(path, &node.mount)
        && let Fact::Absent(errno) = host.at(source)
    {
        // The draft refuses what is there, for all that is known.
        let is_writable = links::lies_there(all, host, path, source) == Some(true);
        if !place::is_absent(*errno, is_writable) {
            return None;
        }
        let shown = if source == path { "it" } else { source };
        return match source {
            "" => note(false, "its path on the host is empty"),
            _ if place::is_kept_away(*errno) => {
                note(false, &format!("the caller may not look at {shown}"))
            }
            _ => note(false, &format!("{shown} is absent here")),
        };
    }
    let Grant { topmost: source, words: bind, .. } = node.mount.grant(path)?;
    let Fact::Present(file) = host.at(source) else { return None };
    // A link in a tree that is bound is kept there: without the entry, the target could replace it
    // and write to what it leads to.
    let is_kept = matches!(file.kind, FileKind::Link(_))
        && links::lies_there(all, host, path, source).is_some();
    if bind.broad == Broad::Skip
        && !is_kept
        && matches!(file.kind, FileKind::Link(_) | FileKind::Socket)
    {
        return note(true, &format!("it is {}", file.kind.word()));
    }
    // Without a read-only entry the target could write what a writable tree around it holds there:
    // it is refused, not left out.
    if bind.access == Access::ReadOnly && links::lies_there(all, host, path, source) == Some(true) {
        return None;
    }
    let strict = Bind { broad: Broad::Refuse, ..bind.clone() };
    let refused = (bind.broad == Broad::Skip)
        .then(|| {
            checks::check(
                path,
                source,
                &strict,
                file,
                checks::Around { tree: all, host, can_cover: true, fresh: checks::Fresh::ALL },
            )
        })
        .flatten()?;
    note(true, &refused.why)
}

/// Every path of the host whose facts the draft asks for; `tree` is that of these mounts.
pub fn wanted(tree: &Tree, mounts: &Mounts, brought: &Brought) -> Vec<String> {
    let mut wanted = wanted_of(tree);
    wanted.extend(bottom(mounts).iter().flat_map(|mounts| wanted_of(&self::tree(mounts, brought))));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// The host's paths of the directories above an entry in merged layers.
fn above_in_layers(tree: &Tree, path: &str) -> Vec<String> {
    if !lies_in_layers(tree, path) {
        return vec![];
    }
    let over = tree.over(parent(path)).0;
    let above = ancestors(parent(path)).take_while(|above| *above != over);
    above.flat_map(|above| all_bound_at(tree, above)).collect()
}

fn wanted_of(tree: &Tree) -> Vec<String> {
    let mut wanted = vec![];
    for (path, node) in tree {
        wanted.extend(source_of(path, &node.mount).map(str::to_owned));
        let sources = node.mount.grant(path).into_iter().flat_map(Grant::sources);
        wanted.extend(sources.map(str::to_owned));
        wanted.extend(node.mount.kind().asks(path));
        wanted.extend(behind(tree, path));
        wanted.extend(of_the_kernel(tree, path));
        wanted.extend(above_in_layers(tree, path));
        if node.ground().nature().hidden {
            wanted.extend(with_root(tree, path).map(str::to_owned));
        }
    }
    // Generated files cover the host's if /etc is bound.
    wanted.extend(
        DATABASES
            .iter()
            .filter(|path| !tree.contains_key(**path))
            .flat_map(|path| behind(tree, path)),
    );
    wanted
}
