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

/// Removes from a directory of an upper what holds nothing that is left. `removed` are those paths
/// that the layer has, and that are not to show. Where that cannot be said name by name, as in a
/// directory of another id, it stays whole.
pub(super) fn prune(
    directory: RawFd,
    (begin, depth): (usize, usize),
    left: &[&[u8]],
    (layer, removed): (RawFd, &BTreeSet<&[u8]>),
) -> sys::Result {
    let path = left.first().and_then(|path| path.get(..begin.saturating_sub(1)));
    let is_whole = path.is_none_or(|path| merge(directory, path, &[layer], removed).is_err());
    if depth > DEEPEST || is_whole {
        return Ok(());
    }
    for name in names_of(directory)? {
        let below = at(left, begin, name.to_bytes());
        let end = begin + name.to_bytes().len();
        let Some(first) = below.first() else {
            remove(directory, &name)?;
            continue;
        };
        if first.len() > end {
            let inner = (end + 1, depth + 1);
            entered(directory, &name, &mut |open| prune(open, inner, below, (layer, removed)))?;
        }
    }
    Ok(())
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
