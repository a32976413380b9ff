//! An entry that keeps what is at a symbolic link in a bound tree: the link itself must stay, and
//! so must what it leads to, or the host would meet by the link what the target wrote by the other
//! name. It reads facts, and decides nothing about steps.

use super::kinds::{Access, Bind, Grant, Missing, Mount};
use super::tree::{Base, Node, Tree, base, real};
use crate::host::trail::Trail;
use crate::host::{Fact, File, FileKind, Host};
use crate::language::value::{AbsolutePath, below};
use crate::text::problem::Note;
use crate::text::source::Span;

/// An entry at a link in a tree of the host that it keeps read-only.
pub(crate) struct Kept<'t> {
    /// Its path inside.
    pub path: &'t str,
    /// Where the link is on the host.
    pub source: &'t str,
    pub node: &'t Node,
    pub bind: &'t Bind,
}

/// The entries that keep a link.
pub(crate) fn kept<'t>(tree: &'t Tree, host: &Host) -> Vec<Kept<'t>> {
    let keeps = |(path, node): (&'t String, &'t Node)| {
        let Grant { topmost: source, words: bind, .. } = node.mount.grant(path)?;
        let is_kept = bind.access == Access::ReadOnly
            && is_link(host, source)
            && lies_there(tree, host, path, source).is_some();
        is_kept.then_some(Kept { path, source, node, bind })
    };
    tree.iter().filter_map(keeps).collect()
}

fn is_link(host: &Host, source: &str) -> bool {
    matches!(host.at(source), Fact::Present(File { kind: FileKind::Link(_), .. }))
}

/// Whether the tree around an entry shows at its path what the entry binds; and whether the target
/// can write there.
pub(crate) fn lies_there(tree: &Tree, host: &Host, path: &str, source: &str) -> Option<bool> {
    match base(tree, host, path) {
        Base::Host { source: around, writable } => (around == source).then_some(writable),
        _ => None,
    }
}

/// The paths inside at which the target could write to a place of the host: a writable entry shows
/// it, and no nearer one decides.
pub(crate) fn writable_at<'t>(
    tree: &'t Tree,
    host: &'t Host,
    place: &'t str,
) -> impl Iterator<Item = (String, &'t str)> {
    tree.showing(place, |source| real(host, source)).filter_map(move |(inside, over, node)| {
        // Of several sources one alone is written to.
        let written = node.mount.grant(over)?.written?;
        below(place, real(host, written)).map(|_| (inside, over))
    })
}

/// Adds an entry for each place that a kept link leads through or to, where the target could write
/// to it; with a note for each.
pub(crate) fn extend(tree: &mut Tree, host: &Host) -> Vec<Note> {
    let (mut more, mut notes) = (vec![], vec![]);
    for Kept { path, source, node, bind } in kept(tree, host) {
        let Some(trail) = host.trails.get(source) else { continue };
        for place in places(trail) {
            for (inside, over) in writable_at(tree, host, place) {
                // The grant itself is the profile's word, and the draft refuses the two together.
                if inside == over {
                    continue;
                }
                let bind = Bind { source: Some(AbsolutePath(place.to_owned())), ..bind.clone() };
                let node_there = Node::new(&inside, Mount::Bind(bind), node.at);
                more.push((inside.clone(), node_there));
                let text = match place == source {
                    true => {
                        format!("{inside} shows the symbolic link at {path}, and is kept as well")
                    }
                    false => format!(
                        "{path} is a symbolic link, and leads to {inside}, which is kept as well"
                    ),
                };
                notes.push(Note::new(node.at, text));
            }
        }
        if bind.missing == Missing::Skip
            && let Some(place) = loose_end(tree, host, trail)
        {
            let what = format!("{path} is a symbolic link to {place}, which is not there");
            let why = "the link is kept, and what appears there is not";
            notes.push(Note::new(node.at, what).because(why).less());
        }
    }
    for (path, node) in more {
        tree.entry(path).or_insert(node);
    }
    notes
}

/// The links that a link leads through, itself among them as another bind may show it too, and its
/// end.
fn places(trail: &Trail) -> impl Iterator<Item = &str> {
    let end = trail.errno.is_none().then_some(trail.end.as_str());
    trail.links.iter().map(|link| link.place.as_str()).chain(end)
}

/// A directory that a kept link leaves by `..`, and that the target could rename: with a link of
/// the target's in its place, `..` leads from the end of that link.
pub(crate) struct Left {
    /// Where it is inside.
    pub inside: String,
    /// The writable entry that shows it there.
    pub over: String,
    /// The line of the entry that keeps the link.
    pub at: Span,
    /// The path inside of that entry.
    pub path: String,
}

/// All of them that are no mounts of their own.
pub(crate) fn left(tree: &Tree, host: &Host) -> Vec<Left> {
    let trails =
        kept(tree, host).into_iter().filter_map(|kept| Some((host.trails.get(kept.source)?, kept)));
    let all = trails.flat_map(|(trail, Kept { path, node, .. })| {
        let shown = trail
            .left
            .iter()
            .flat_map(|place| writable_at(tree, host, place))
            .filter(|(inside, over)| inside != over);
        shown.map(|(inside, over)| Left {
            inside,
            over: over.to_owned(),
            at: node.at,
            path: path.to_owned(),
        })
    });
    all.collect()
}

/// The place at which a link ends with nothing, where the target could put something there. Links
/// that lead in a circle end nowhere.
pub(crate) fn loose_end<'t>(tree: &Tree, host: &Host, trail: &'t Trail) -> Option<&'t str> {
    let ends = trail.errno.is_some_and(|errno| errno != libc::ELOOP);
    (ends && writable_at(tree, host, &trail.end).next().is_some()).then_some(trail.end.as_str())
}
