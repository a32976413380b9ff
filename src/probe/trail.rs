//! A path of the host walked name by name on descriptors: which links it leads through, their
//! owners, and where it ends. It reads and decides nothing.
//!
//! Links within links count as well: a link of root's into another user's directory leads wherever
//! that user chooses.

use crate::host::trail::{Link, Trail};
use crate::host::{Fact, File, Host};
use crate::kernel::name::Name;
use crate::language::value::{join, parent};
use crate::policy::mounts::links::kept;
use crate::policy::mounts::tree::Tree;
use crate::probe::look;
use crate::sys;
use crate::text::bytes;
use crate::text::gather::Gather;
use crate::tree::walk::{Last, MOST_LINKS, names_of};
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

impl Host {
    /// Remembers the links on the way to a path, where they could be followed because they are
    /// root's.
    pub(super) fn read_way(&mut self, path: &str, fact: &Fact) {
        if let Fact::Present(File { real: Some((_, true)), .. }) = fact {
            self.ways.insert(path.to_owned(), walk(path, Last::Kept).links);
        }
    }

    /// Follows the links that entries keep, with the facts of every place on the way.
    pub(super) fn read_trails(&mut self, tree: &Tree, with_fs: bool) {
        let sources: BTreeSet<String> =
            kept(tree, self).iter().map(|kept| kept.source.to_owned()).gather();
        for source in sources {
            let trail = walk(&source, Last::Followed);
            let end = trail.errno.is_none().then_some(&trail.end);
            for place in trail.links.iter().map(|link| &link.place).chain(end) {
                self.paths.entry(place.clone()).or_insert_with(|| look(place, false, with_fs));
            }
            self.trails.insert(source, trail);
        }
    }
}

/// Walks a path from the root.
pub(crate) fn walk(path: &str, last: Last) -> Trail {
    open(path, last).map_or_else(confirmed, |(_, trail)| trail)
}

/// A way that stopped is believed where another call meets the same: what a kept link leads to must
/// not pass for absent because one call failed.
fn confirmed(stopped: Trail) -> Trail {
    let again = std::fs::symlink_metadata(bytes::path(&stopped.end))
        .err()
        .and_then(|error| error.raw_os_error());
    let is_sure = stopped.errno == Some(libc::ELOOP) || again == stopped.errno;
    Trail { errno: if is_sure { stopped.errno } else { Some(libc::EAGAIN) }, ..stopped }
}

/// The same, with a descriptor (O_PATH) of its end; the error is the way as far as it went.
pub(crate) fn open(path: &str, last: Last) -> Result<(OwnedFd, Trail), Trail> {
    let mut trail = Trail { end: "/".into(), ..Trail::default() };
    let mut left: Vec<String> = names(path).collect();
    let mut here = match at(libc::AT_FDCWD, "/") {
        Ok(root) => root,
        Err(errno) => return Err(Trail { errno: Some(errno), ..trail }),
    };
    while let Some(name) = left.pop() {
        let place = if name == ".." {
            parent(&trail.end).to_owned()
        } else {
            join(&trail.end, &format!("/{name}"))
        };
        let stop =
            |trail: Trail, errno| Err(Trail { end: place.clone(), errno: Some(errno), ..trail });
        let (next, owner, is_link) = match at(here.as_raw_fd(), &name)
            .and_then(|fd| kind_of(&fd).map(|(owner, link)| (fd, owner, link)))
        {
            Ok(found) => found,
            Err(errno) => return stop(trail, errno),
        };
        if name == ".." && !trail.left.contains(&trail.end) {
            trail.left.push(trail.end.clone());
        }
        if !is_link || (left.is_empty() && last == Last::Kept) {
            (here, trail.end) = (next, place);
            continue;
        }
        if trail.links.len() == MOST_LINKS {
            return stop(trail, libc::ELOOP);
        }
        let text = match text_of(&next) {
            Ok(text) => text,
            Err(errno) => return stop(trail, errno),
        };
        left.extend(names(&text));
        if text.starts_with('/') {
            here = match at(libc::AT_FDCWD, "/") {
                Ok(root) => root,
                Err(errno) => return stop(trail, errno),
            };
            trail.end = "/".into();
        }
        trail.links.push(Link { place, text, owner });
    }
    Ok((here, trail))
}

/// What has a name in a directory, not followed where it is a link.
fn at(directory: RawFd, name: &str) -> Result<OwnedFd, i32> {
    let opened =
        sys::openat(directory, Name::new(name).as_c_str(), libc::O_PATH | libc::O_NOFOLLOW, 0);
    opened.map(sys::owned).map_err(|errno| errno.0)
}

/// Its owner, and whether it is a link.
fn kind_of(fd: &OwnedFd) -> Result<(u32, bool), i32> {
    let described = sys::describe(fd.as_raw_fd()).map_err(|errno| errno.0)?;
    Ok((described.owner, described.mode & libc::S_IFMT == libc::S_IFLNK))
}

fn text_of(link: &OwnedFd) -> Result<String, i32> {
    let mut text = [0; libc::PATH_MAX as usize];
    let length = sys::read_link(link.as_raw_fd(), &mut text).map_err(|errno| errno.0)?;
    Ok(bytes::text(&text[..length]))
}

/// The names of a path, the last first; the kind of its end does not matter.
fn names(path: &str) -> impl Iterator<Item = String> {
    names_of(path).into_iter().filter(|name| !["", "."].contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_walked_through_every_link() {
        let top = std::env::temp_dir()
            .canonicalize()
            .unwrap()
            .join(format!("stockade-trail-{}", std::process::id()));
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        symlink("b/../b", top.join("a/one")).unwrap();
        symlink(top.join("a/one"), top.join("two")).unwrap();
        symlink("gone/x", top.join("three")).unwrap();
        symlink("four", top.join("four")).unwrap();
        let path = |name: &str| format!("{}/{name}", top.display());
        let trail = walk(&path("two"), Last::Followed);
        let places: Vec<String> = trail.links.iter().map(|link| link.place.clone()).collect();
        assert_eq!(
            (places, trail.end.as_str(), trail.errno),
            (vec![path("two"), path("a/one")], path("a/b").as_str(), None)
        );
        assert_eq!(trail.left, [path("a/b")]);
        let trail = walk(&path("two"), Last::Kept);
        assert_eq!(
            (trail.links.len(), trail.end.as_str(), trail.errno),
            (0, path("two").as_str(), None)
        );
        let trail = walk(&path("three"), Last::Followed);
        assert_eq!((trail.end.as_str(), trail.errno), (path("gone").as_str(), Some(libc::ENOENT)));
        let trail = walk(&path("four"), Last::Followed);
        assert_eq!((trail.links.len(), trail.errno), (MOST_LINKS, Some(libc::ELOOP)));
        std::fs::remove_dir_all(top).unwrap();
    }
}
