//! A profile of this run that lies in a writable grant: it is kept read-only there, as the next run
//! reads it again. If nothing can protect it, the grant is refused ([`super::checks`]).

use super::kinds::{Bind, Broad, Mount};
use super::links::writable_at;
use super::tree::{Node, Tree};
use crate::host::{FileKind, Host};
use crate::text::problem::Note;

/// Whether an entry over a profile keeps it. A second name of the file (link(2)) can be anywhere in
/// what the target may write.
pub(crate) fn can_be_kept(profile: &str, host: &Host) -> bool {
    host.present(profile).is_some_and(|file| file.kind == FileKind::Regular && file.names == 1)
}

/// The paths inside at which the target could write to a profile of this run.
pub(crate) fn writable<'t>(
    tree: &'t Tree,
    host: &'t Host,
) -> impl Iterator<Item = (String, &'t str, &'t str)> {
    host.profiles.iter().flat_map(move |profile| {
        let there = writable_at(tree, host, profile).filter(|(inside, over)| inside != over);
        there.map(move |(inside, over)| (inside, over, profile.as_str()))
    })
}

/// Adds a read-only entry for each of them, with a note; but where the grant gives that up.
pub(crate) fn keep(tree: &mut Tree, host: &Host) -> Vec<Note> {
    let (mut more, mut notes) = (vec![], vec![]);
    for (inside, over, profile) in writable(tree, host) {
        let Some(node) = tree.get(over) else { continue };
        let Some(grant) = node.mount.grant(over) else { continue };
        if grant.words.broad == Broad::Allow || !can_be_kept(profile, host) {
            continue;
        }
        let bind = Bind { exec: grant.words.exec, ..Bind::of(profile) };
        let text = format!("{inside} is a profile of this run, and is kept read-only");
        notes.push(Note::new(node.at, text));
        more.push((inside.clone(), Node::new(&inside, Mount::Bind(bind), node.at)));
    }
    for (path, node) in more {
        tree.entry(path).or_insert(node);
    }
    notes
}
