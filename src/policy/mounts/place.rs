//! Where a path inside leads when links are followed, and what a path of the host is called inside:
//! for help that names the right line. What it says is advice; the kernel's own walk decides.

use super::entry::Mount;
use super::tree::{Tree, source_of};
use crate::host::{Fact, FileKind, Host};
use crate::language::value::{ancestors, below, join, parent};

/// How many links a path may have (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where a path leads, if an entry at or above it is a link; the path itself is not looked up.
pub(crate) fn behind_links(tree: &Tree, host: &Host, path: &str) -> Option<String> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        let found = ancestors(&place).find_map(|over| Some((over, link_text(tree, host, over)?)));
        let Some((over, text)) = found else {
            return (place != path).then_some(place);
        };
        let tail = below(&place, over).unwrap_or_default();
        place = format!("{}{tail}", follow(parent(over), text));
    }
    None
}

/// The text of the link that an entry is.
fn link_text<'t>(tree: &'t Tree, host: &'t Host, path: &str) -> Option<&'t str> {
    let (path, node) = tree.get_key_value(path)?;
    match &node.mount {
        Mount::Symlink(text) => Some(text),
        Mount::Bind(_) => match host.at(source_of(path, &node.mount)?) {
            Fact::Present(file) => {
                if let FileKind::Link(text) = &file.kind {
                    Some(text)
                } else {
                    None
                }
            }
            Fact::Absent(_) => None,
        },
        _ => None,
    }
}

/// The place that the text of a link in `folder` names, with `..` taken out.
pub(crate) fn follow(folder: &str, text: &str) -> String {
    let whole = if text.starts_with('/') { text.to_owned() } else { format!("{folder}/{text}") };
    let mut names: Vec<&str> = vec![];
    for name in whole.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The path inside at which a bind shows a place of the host: by the bind that is nearest to it.
pub(crate) fn shown_at(tree: &Tree, host: &Host, place: &str) -> Option<String> {
    let binds = tree.iter().filter(|(_, node)| matches!(node.mount, Mount::Bind(_)));
    let found = binds.filter_map(|(path, node)| {
        let source = source_of(path, &node.mount)?;
        let Fact::Present(file) = host.at(source) else { return None };
        let real = file.real.as_ref().map_or(source, |(real, _)| real);
        Some((real.len(), join(path, below(place, real)?)))
    });
    found.max_by_key(|(length, _)| *length).map(|(_, inside)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_on_from_their_folder() {
        assert_eq!(follow("/", "usr/bin"), "/usr/bin");
        assert_eq!(follow("/a/b", "../c/./d"), "/a/c/d");
        assert_eq!(follow("/a", "/x//y/"), "/x/y");
        assert_eq!(follow("/a", "../../.."), "/");
    }
}
