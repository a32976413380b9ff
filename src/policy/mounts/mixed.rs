//! No mixed roots: under a `/` that is not the host's own, an entry that means the host's file at
//! the same path must name it where the root has that path itself. `"/usr" = "ro"` over an image
//! would exchange its programs and libraries for those of another system. It reads facts, and
//! decides nothing about steps.

use super::kinds::{Bind, Layers, Makes, Mount};
use super::tree::{Node, Tree, all_bound_at, behind, real, with_root};
use super::written;
use crate::host::{FileKind, Host};
use crate::language::value::{AbsolutePath, ancestors, parent};
use crate::text::problem::Problem;

/// The root, where it is made of the host's directories and is not the host's own.
pub(crate) fn foreign<'t>(tree: &'t Tree, host: &Host) -> Option<&'t Node> {
    let root = tree.root();
    let is_foreign = root.mount.grant("/")?.sources().any(|source| real(host, source) != "/");
    is_foreign.then_some(root)
}

/// The entries that take the place of what the root has with something of the host's, without a
/// word that says so.
pub(super) fn problems(tree: &Tree, host: &Host) -> Vec<Problem> {
    let Some(root) = foreign(tree, host) else { return vec![] };
    // A bound root has entries of its own.
    let others = tree.iter().filter(|(path, node)| *path != "/" && node.at != root.at);
    let mixed = others.filter_map(|(path, node)| {
        let named = named(path, &node.mount)?;
        let own = of_root(tree, root, host, path)?;
        let message = format!("cannot show the host's {path}: the root has its own, {own}");
        let help = format!(
            "leave the entry out, or say that the host's is meant: {}",
            written::line(path, &named)
        );
        Some(
            Problem::new("mounts::mixed", node.at, message)
                .also(root.at, "this is the root")
                .help(help),
        )
    });
    mixed.collect()
}

/// An entry that means the host's file at its own path, with that path in it; none of another.
fn named(path: &str, mount: &Mount) -> Option<Mount> {
    match mount.kind().makes(path) {
        Makes::Bind(Bind { source: Some(_), .. }) => None,
        Makes::Bind(bind) => {
            let source = Some(AbsolutePath(path.to_owned()));
            Some(Mount::Bind(Bind { source, ..bind.clone() }))
        }
        Makes::Layers(Layers { layers: Some(_), .. }) => None,
        Makes::Layers(layers) => Some(Mount::Layers(layers.at(path))),
        // Single nodes, and services.
        Makes::Devices(_) | Makes::Device(_) | Makes::Socket(_) => None,
        Makes::FileSystem(_)
        | Makes::Directory(_)
        | Makes::Link(_)
        | Makes::File(_)
        | Makes::Cover(_) => None,
    }
}

/// The host's path of what the root shows where an entry is, if it shows anything there.
fn of_root(tree: &Tree, root: &Node, host: &Host, path: &str) -> Option<String> {
    if let Some(source) = with_root(tree, path) {
        return Some(source.to_owned());
    }
    let is_link = |place: &String| {
        host.present(place).is_some_and(|file| matches!(file.kind, FileKind::Link(_)))
    };
    let is_behind_link =
        || ancestors(parent(path)).any(|above| all_bound_at(tree, above).iter().any(is_link));
    // What lies in another entry covers nothing of the root's; an entry behind a link is refused.
    if tree.over(parent(path)).1.at != root.at || is_behind_link() {
        return None;
    }
    behind(tree, path).find(|place| host.present(place).is_some())
}
