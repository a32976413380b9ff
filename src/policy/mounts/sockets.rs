//! Sockets of the host below a bind: what an entry says of them, and the covers of those that were
//! found. A read-only mount does not stop connect(2), and a socket is the service behind it.

use super::kinds::{Access, Bind, Hidden, Hide, Missing, Mount, Sockets};
use super::system;
use super::tree::{Node, Tree};
use crate::host::{Fact, File, FileKind, Host};
use crate::language::value::{ancestors, below, join};
use crate::text::problem::Note;
use crate::text::source::Span;

/// The sockets that were found below a bind and that no nearer entry decides about, by their path
/// below it.
pub(crate) fn shown<'a>(
    tree: &'a Tree,
    path: &'a str,
    file: &'a File,
) -> impl Iterator<Item = &'a str> {
    file.sockets.iter().map(String::as_str).filter(move |socket| {
        let inside = join(path, &format!("/{socket}"));
        ancestors(&inside).find(|over| tree.contains_key(*over)).unwrap_or("/") == path
    })
}

/// Adds a cover for each socket below an entry that hides them; with a note for each such entry.
pub(crate) fn hide(tree: &mut Tree, host: &Host) -> Vec<Note> {
    let (mut covers, mut notes) = (vec![], vec![]);
    for (path, node) in tree.iter() {
        let Some(grant) = node.mount.grant(path) else { continue };
        if grant.words.sockets != Sockets::Hide {
            continue;
        }
        let mount =
            Mount::Hide(Hide { missing: Missing::Skip, known: Hidden::File, ..Hide::PLAIN });
        let named = grant
            .sources()
            .filter_map(|source| host.present(source))
            .flat_map(|file| shown(tree, path, file));
        let found: Vec<String> = named.map(|socket| join(path, &format!("/{socket}"))).collect();
        if let Some(first) = found.first() {
            let text = format!(
                "sockets below {path} are covered ({}, such as {first}); sockets deeper than \
                 {DEEP} levels, or made later, can be reached",
                found.len()
            );
            notes.push(Note::new(node.at, text));
        }
        let cover = |inside: String| {
            let node = Node::new(&inside, mount.clone(), node.at);
            (inside, node)
        };
        covers.extend(found.into_iter().map(cover));
    }
    tree.extend(covers);
    notes
}

/// How deep the names are that are looked at, in words: [`crate::host`] counts them.
const DEEP: &str = "three";

/// A note for each bind that may have further sockets: the search goes a few levels deep, and is
/// done once, at the start.
pub(crate) fn deeper(tree: &Tree, host: &Host, held: bool) -> Vec<Note> {
    let mut reported: Vec<(&str, Span)> = vec![];
    for (path, node) in tree {
        let Some(grant) = node.mount.grant(path) else { continue };
        let bind = grant.words;
        let is_deep = |source: &str| {
            host.present(source).is_some_and(|file| {
                // The note of [`hide`] says it.
                let hides = bind.sockets == Sockets::Hide && !file.sockets.is_empty();
                file.kind == FileKind::Directory
                    && !hides
                    && reach(source, file, bind, held) == Some(Reach::Deep)
            })
        };
        let known = reported.iter().any(|(over, at)| *at == node.at || below(path, over).is_some());
        if !known && bind.sockets != Sockets::Allow && grant.sources().any(is_deep) {
            reported.push((path, node.at));
        }
    }
    let note = |(path, at): (&str, Span)| {
        let text = format!(
            "sockets deeper than {DEEP} levels below {path}, or made later, can be reached"
        );
        Note::new(at, text)
    };
    reported.into_iter().map(note).collect()
}

/// The part of an entry that is searched for sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The names in it.
    Top,
    /// The directories below it, too.
    Deep,
}

/// The binds that are looked at for sockets: the host's path, what the entry says of sockets, and
/// how far. `held` says whether Landlock keeps a read-only bind's from being connected to; where
/// they are granted, it does not.
pub(crate) fn looked_at<'t>(
    tree: &'t Tree,
    host: &'t Host,
    held: bool,
) -> impl Iterator<Item = (&'t str, Sockets, Reach)> {
    let grants = tree.iter().filter_map(|(path, node)| node.mount.grant(path));
    let grants = grants.filter(|grant| !grant.merged);
    let sources = grants.flat_map(|grant| {
        let bind = grant.words;
        grant.sources().map(move |source| (source, bind))
    });
    sources.filter_map(move |(source, bind)| {
        let Fact::Present(file) = host.at(source) else { return None };
        Some((source, bind.sockets, reach(source, file, bind, held)?))
    })
}

fn reach(source: &str, file: &File, bind: &Bind, held: bool) -> Option<Reach> {
    let place = file.real.as_ref().map_or(source, |(real, _)| real);
    let held = held && bind.access == Access::ReadOnly && bind.sockets != Sockets::Allow;
    match system::is_of_the_system(place) {
        true => None,
        false if held || system::lies_in_the_system(place) => Some(Reach::Top),
        false => Some(Reach::Deep),
    }
}
