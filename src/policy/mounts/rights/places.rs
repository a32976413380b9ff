//! The grants of the host's tree, by host path.

use super::super::draft::{DEVICE_RIGHTS, bind_rights};
use super::super::kinds::{Access, Bind, Makes, Missing, NODE_PATHS};
use super::super::tree::{Tree, source_of};
use crate::host::{Fact, File, FileKind, Host};
use crate::kernel::rights::Rights;
use crate::language::value::parent;
use crate::text::source::Span;
use crate::tree::{Ground as TreeGround, HasGround, Source, Stack};

/// The grant of an entry, by host path.
pub(super) struct Grant<'a> {
    pub(super) path: &'a str,
    pub(super) rights: Rights,
    pub(super) writable: bool,
    pub(super) at: Span,
}

/// A place that entries grant.
pub(super) struct Granted<'a> {
    ground: TreeGround,
    pub(super) grants: Vec<Grant<'a>>,
}

impl HasGround for Granted<'_> {
    fn ground(&self) -> &TreeGround {
        &self.ground
    }
}

/// The host's tree, which the sandbox sees as it is, with the grant of each path.
pub(super) type Places<'a> = crate::tree::Tree<Granted<'a>>;

/// Every grant of a tree or file, and of devices. That of a bound `/` is in the names below it,
/// which are entries of their own.
pub(super) fn places<'a>(tree: &'a Tree, host: &'a Host) -> Places<'a> {
    let whole = TreeGround::Host(Stack::one(Source::new("/")));
    let mut places = Places::new(Granted { ground: whole, grants: vec![] });
    let mut grant = |place: &str, grant: Grant<'a>| {
        let nothing_yet = || Granted { ground: TreeGround::Same, grants: vec![] };
        places.entry(place.to_owned()).or_insert_with(nothing_yet).grants.push(grant);
    };
    for (path, node) in tree.iter().filter(|(path, _)| *path != "/") {
        let (rights, writable) = match node.mount.kind().makes(path) {
            Makes::Bind(bind) => (bind_rights(bind, true), bind.access == Access::ReadWrite),
            Makes::Device(_) => (DEVICE_RIGHTS, true),
            Makes::Devices(_) => {
                for name in NODE_PATHS {
                    grant(name, Grant { path, rights: DEVICE_RIGHTS, writable: true, at: node.at });
                }
                continue;
            }
            // A socket has no files below it; the others grant nothing of the host's.
            Makes::Socket(_)
            | Makes::Layers(_)
            | Makes::FileSystem(_)
            | Makes::Directory(_)
            | Makes::Link(_)
            | Makes::File(_)
            | Makes::Cover(_) => continue,
        };
        // A link grants nothing: what it leads to has an entry of its own, or none.
        if let Fact::Present(file) = host.at(source_of(path, &node.mount).unwrap_or(path))
            && !matches!(file.kind, FileKind::Link(_))
        {
            grant(place(path, file), Grant { path, rights, writable, at: node.at });
        }
    }
    places
}

/// Where a path lies once the links on the way are followed.
pub(super) fn place<'a>(path: &'a str, file: &'a File) -> &'a str {
    file.real.as_ref().map_or(path, |(real, _)| real)
}

/// The grant of the same place, or of one around it, that has more than these rights.
pub(super) fn wider<'p>(
    places: &'p Places<'_>,
    path: &str,
    place: &str,
    rights: Rights,
) -> Option<&'p Grant<'p>> {
    let mut around = places.up(place).flat_map(|(_, granted)| &granted.grants);
    around.find(|grant| grant.path != path && !rights.holds(grant.rights))
}

/// The grant by which the target could have a kept link lead elsewhere: what its way leads through
/// can be renamed, or its end is granted.
pub(super) fn redirected<'p>(
    places: &'p Places<'_>,
    path: &str,
    bind: &Bind,
    host: &Host,
) -> Option<&'p Grant<'p>> {
    let trail = host.trails.get(path)?;
    // Where the entry may be left out, a note reports an end that is not there.
    let has_end =
        trail.errno.is_none_or(|errno| errno != libc::ELOOP && bind.missing != Missing::Skip);
    let way = trail.links.iter().map(|link| &link.place).chain(&trail.left);
    let ends = way.map(|place| parent(place)).chain(has_end.then_some(trail.end.as_str()));
    let around = ends.flat_map(|place| places.up(place));
    let mut around = around.flat_map(|(_, granted)| &granted.grants);
    around.find(|grant| grant.path != path && grant.writable)
}
