//! What a layer has now goes out of the upper.

use crate::launch::changes::discard::names_of;
use crate::launch::changes::discard::remove;
use crate::launch::changes::doors::entered;
use crate::launch::changes::journal::DEEPEST;
use crate::launch::changes::take_out::merge;
use crate::sys;
use std::collections::BTreeSet;
use std::os::fd::RawFd;

/// Puts paths into the order that [`prune`] needs: that of their names, one after the other.
pub(super) fn sort(left: &mut [&[u8]]) {
    let is_slash = |byte: &u8| *byte == b'/';
    left.sort_by(|one, other| one.split(is_slash).cmp(other.split(is_slash)));
}

/// Those of sorted paths that lead to a name or through it, in a directory whose own paths have so
/// many bytes before their next name.
fn at<'l, 'p>(left: &'l [&'p [u8]], begin: usize, name: &[u8]) -> &'l [&'p [u8]] {
    let next = |path: &&'p [u8]| {
        let rest = path.get(begin..).unwrap_or_default();
        rest.split(|byte| *byte == b'/').next().unwrap_or_default()
    };
    let left = &left[left.partition_point(|path| next(path) < name)..];
    &left[..left.partition_point(|path| next(path) == name)]
}

/// Removes from a directory of an upper what holds nothing that is left. Where that cannot
/// be said name by name, as in a directory of another id, it stays whole.
pub(super) fn prune(
    directory: RawFd,
    path: &[u8],
    (left, depth): (&[&[u8]], usize),
    keeps: &Keeps<'_>,
) -> sys::Result {
    if depth > DEEPEST || merge(directory, path, &[keeps.layer], &keeps.removed).is_err() {
        return Ok(());
    }
    let begin = if path.is_empty() { 0 } else { path.len() + 1 };
    for name in names_of(directory)? {
        let below = at(left, begin, name.to_bytes());
        let Some(first) = below.first() else {
            remove(directory, &name)?;
            continue;
        };
        let inner = [path, &b"/"[..usize::from(begin > 0)], name.to_bytes()].concat();
        let is_itself = *first == inner;
        if !is_itself || keeps.modes.contains(first) {
            let below = (&below[usize::from(is_itself)..], depth + 1);
            entered(directory, &name, &mut |open| prune(open, &inner, below, keeps))?;
        }
    }
    Ok(())
}

/// What a layer and the changes that are left say of what stays.
pub(super) struct Keeps<'p> {
    pub layer: RawFd,
    /// What the layer has, and is not to show.
    pub removed: BTreeSet<&'p [u8]>,
    /// Directories of which the mode alone is left.
    pub modes: BTreeSet<&'p [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_at_a_name_is_found_among_all() {
        let mut left: Vec<&[u8]> =
            vec![b"b/c", b"a-b", b"a/c/d", b"a/b", b"a", b"", b"a/c-/d", b"a/b/x", b"ab"];
        sort(&mut left);
        let all: Vec<&str> = left.iter().map(|path| std::str::from_utf8(path).unwrap()).collect();
        assert_eq!(all, ["", "a", "a/b", "a/b/x", "a/c/d", "a/c-/d", "a-b", "ab", "b/c"]);
        let found = |left: &[&[u8]], begin, name: &str| at(left, begin, name.as_bytes()).len();
        let names = ["a", "a-b", "ab", "b", "c", ""].map(|name| found(&left, 0, name));
        assert_eq!(names, [5, 1, 1, 1, 0, 1]);
        let inner = &left[1..6];
        assert_eq!(["b", "c", "c-", "d"].map(|name| found(inner, 2, name)), [2, 1, 1, 0]);
        assert_eq!(at(inner, 2, b"c"), [b"a/c/d"]);
    }
}
