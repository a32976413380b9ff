//! Links on the way to a grant that an earlier target could have put there.

use super::links::writable_at;
use super::tree::{Tree, source_of};
use crate::host::Host;
use crate::policy::env::Setting;
use crate::step::Content;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

/// Refuses a path of the host that leads through a link in a tree which the profile grants for
/// writing. Such a link is root's where root started the run that left it there: what the target
/// writes into a tree of root's belongs to root. In the same way it is the caller's, where an entry
/// follows links of the caller's. `tree` has the settled entries: one that is left out grants
/// nothing. `streams` are the ways to the files in the place of standard streams.
pub(crate) fn refuse_planted(
    tree: &Tree,
    (settings, streams): (&[Setting], &[(&str, Span)]),
    host: &Host,
    draft: &mut Draft,
) {
    if host.ways.is_empty() && host.followed.is_empty() {
        return;
    }
    // If an entry follows links, all of them count, whatever their owner.
    let sources = tree.iter().filter_map(|(path, node)| {
        let written = node.mount.kind().follows(path).or_else(|| source_of(path, &node.mount))?;
        Some((written, node.at))
    });
    let files = settings.iter().filter_map(|setting| match &setting.value {
        Content::File(path) => Some((path.text(), setting.at)),
        _ => None,
    });
    for (path, at) in sources.chain(files).chain(streams.iter().copied()) {
        let followed = host.followed.get(path).map(|trail| &trail.links);
        let planted = followed
            .or_else(|| host.ways.get(path))
            .into_iter()
            .flatten()
            .find_map(|link| Some((link, writable_at(tree, host, &link.place).next()?.1)));
        if let Some((link, over)) = planted {
            let granted = tree.get(over).map_or(Span::NOWHERE, |node| node.at);
            let message = format!(
                "cannot follow {path}: {} on the way is a symbolic link, which an earlier target \
                 could have put there",
                link.place
            );
            let problem = Problem::new("mounts::link", at, message)
                .also(granted, "that tree is granted for writing");
            draft.problem(
                problem.help("name the real place, once you have looked where the link leads"),
            );
        }
    }
}
