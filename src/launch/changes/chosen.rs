//! Changes that a caller chooses by paths below the top.

use crate::text::gather::Gather;
use std::collections::BTreeSet;

/// Paths: each stands for itself and for what lies below it. The empty one is the top, with all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen(BTreeSet<Vec<u8>>);

impl FromIterator<Vec<u8>> for Chosen {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(paths: I) -> Chosen {
        Chosen(paths.into_iter().gather())
    }
}

impl Chosen {
    /// One by one, what a path lies in before it.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Whether a path is one of them, or lies below one.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut above = std::iter::once(0).chain(ends).chain([path.len()]);
        above.any(|end| self.0.contains(&path[..end]))
    }

    /// Whether one of them lies below a path.
    pub(crate) fn is_below(&self, path: &[u8]) -> bool {
        if path.is_empty() {
            return self.0.iter().any(|one| !one.is_empty());
        }
        let under = [path, b"/"].concat();
        self.0.range(under.clone()..).next().is_some_and(|next| next.starts_with(&under))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_for_what_is_below_it() {
        let chosen: Chosen =
            ["a/b", "c", "a-b"].map(|path| path.as_bytes().to_vec()).into_iter().collect();
        let has = |path: &str| chosen.has(path.as_bytes());
        assert_eq!(["a/b", "a/b/x/y", "c", "c/d", "a-b"].map(has), [true; 5]);
        assert_eq!(["", "a", "a/bc", "cd", "a/c", "d"].map(has), [false; 6]);
        let is_below = |path: &str| chosen.is_below(path.as_bytes());
        assert_eq!(
            ["", "a", "a/b", "c", "a-", "d"].map(is_below),
            [true, true, false, false, false, false]
        );
        let all: Chosen = [vec![]].into_iter().collect();
        assert!(all.has(b"") && all.has(b"x/y") && !all.is_below(b"") && !all.is_below(b"x"));
    }
}
