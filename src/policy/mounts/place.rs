//! Where a path inside leads when links are followed, and what a path of the host is called inside:
//! for help that names the right line. Its results are advice; the kernel's own walk decides.

use super::tree::{Node, Tree, real};
use crate::host::{Fact, File, FileKind, Host};
use crate::step::Kernel;
use crate::text::shell::shell_word;
use crate::tree::Source;
use crate::tree::walk::{Facts, Halt, Kind, Last, Looked, Position, walk};
use std::cmp::Reverse;

/// What to do where the source of an entry cannot be used; `skip` is the entry for one that may
/// be absent.
pub(super) fn absent_help(source: &str, errno: i32, skip: Option<String>) -> String {
    let (first, may_go) = match is_kept_away(errno) {
        true => {
            let path = shell_word(source);
            let first = format!("the caller may not look at it: `namei -l {path}` shows why");
            (first, "leave the entry out there")
        }
        false if !is_absent(errno, false) => return "start it again".to_owned(),
        false => ("make it".to_owned(), "let the entry go where it is absent"),
    };
    match skip {
        Some(line) => format!("{first}, or {may_go}: {line}"),
        None => format!("{first}, or leave the entry out"),
    }
}

/// Whether a path cannot be looked at, so that nothing is known of what is there.
pub(super) fn is_kept_away(errno: i32) -> bool {
    matches!(errno, libc::EACCES | libc::EPERM)
}

/// Whether there is nothing at a path for the target: what the launcher may not look at it may not
/// either, but where it can change the mode of a directory above. Any other errno is of the look.
pub(super) fn is_absent(errno: i32, is_writable: bool) -> bool {
    match errno {
        libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => true,
        errno => is_kept_away(errno) && !is_writable,
    }
}

/// Where a path leads, if an entry on its way, or at its end, is a link.
pub(crate) fn behind_links(tree: &Tree, host: &Host, path: &str) -> Option<String> {
    let walk = walk(tree, &mut Entries(host), path, Last::Followed);
    let is_led = !walk.links.is_empty();
    walk.end().ok().map(|end| end.path).filter(|place| is_led && place != path)
}

/// The facts of entries alone: some are links. Everything else counts as a directory, as it was not
/// looked up.
struct Entries<'h>(&'h Host);

const DIRECTORY: Looked<(), ()> = Ok((Kind::File(FileKind::Directory), ()));

impl Facts<Node> for Entries<'_> {
    type File = ();
    type Stop = ();

    fn host(&mut self, position: Position<'_, Node>, _: &Source, place: &str) -> Looked<(), ()> {
        match self.0.at(place) {
            Fact::Present(File { kind: kind @ FileKind::Link(_), .. })
                if position.path == position.over
                    && position.node.mount.grant(position.over).is_some() =>
            {
                Ok((Kind::File(kind.clone()), ()))
            }
            _ => DIRECTORY,
        }
    }

    fn is_opaque(&mut self, _: &str) -> Result<bool, Halt<()>> {
        Ok(false)
    }

    fn kernel(&mut self, _: Position<'_, Node>, _: &Kernel) -> Looked<(), ()> {
        DIRECTORY
    }

    fn own(&mut self, _: Position<'_, Node>, _: &FileKind) {}

    fn bare(&mut self, _: Position<'_, Node>) -> Looked<(), ()> {
        DIRECTORY
    }
}

/// The path inside at which a bind shows a place of the host: by the bind that is nearest to it.
pub(crate) fn shown_at(tree: &Tree, host: &Host, place: &str) -> Option<String> {
    let found = tree.showing(place, |source| real(host, source));
    let binds = found.filter(|(_, over, node)| node.mount.grant(over).is_some());
    // The nearer the source, the less is below it.
    let tail = |(inside, over, _): &(String, &str, &Node)| inside.len() - over.len();
    binds.max_by_key(|shown| Reverse(tail(shown))).map(|(inside, ..)| inside)
}
