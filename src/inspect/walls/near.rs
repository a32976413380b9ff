//! Which entry of the tree stands at or above a path: asked for every path that is drawn, so it is
//! worked out once, in about the time that reading all the paths takes. It judges nothing.

use crate::inspect::walls::{Entry, Shows};
use crate::kernel::rights::Rights;
use crate::language::value::below;
use crate::text::source::Span;
use std::collections::BTreeMap;

/// The paths of a tree, each with what is nearest to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Near {
    /// Parents before what lies in them, and all that lies in one without a gap.
    spots: Vec<Spot>,
}

#[derive(Debug, Clone)]
pub(super) struct Spot {
    path: String,
    /// The path as [`in_order`] has it.
    key: Vec<u8>,
    /// The next path above it.
    over: Option<usize>,
    shown: Option<usize>,
    mount: Option<usize>,
    /// What Landlock's rules allow here, and the line of the nearest.
    pub rights: (Rights, Span),
}

impl Spot {
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Near {
    /// Works it out for a tree.
    pub(super) fn new(tree: &BTreeMap<String, Entry>) -> Near {
        let mut entries: Vec<(Vec<u8>, &String, &Entry)> =
            tree.iter().map(|(path, entry)| (in_order(path), path, entry)).collect();
        entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut spots: Vec<Spot> = Vec::with_capacity(entries.len());
        // The paths above the one at hand, the nearest last.
        let mut above: Vec<usize> = vec![];
        for (index, (key, path, entry)) in entries.into_iter().enumerate() {
            while above.last().is_some_and(|over| below(path, &spots[*over].path).is_none()) {
                above.pop();
            }
            let over = above.last().copied();
            let of = |get: fn(&Spot) -> Option<usize>, own: bool| {
                if own { Some(index) } else { over.and_then(|over| get(&spots[over])) }
            };
            let (rights, at) = over.map_or((Rights(0), Span::NOWHERE), |over| spots[over].rights);
            let rights = match entry.rights {
                Rights(0) => (rights, at),
                own => (rights.and(own), entry.at.or(at)),
            };
            let shown = of(|spot| spot.shown, entry.shows != Shows::Same);
            let mount = of(|spot| spot.mount, entry.mount);
            spots.push(Spot { path: path.clone(), key, over, shown, mount, rights });
            above.push(index);
        }
        Near { spots }
    }

    /// The nearest path at or above one.
    pub(super) fn at(&self, path: &str) -> Option<&Spot> {
        // Whatever is above it in the tree is above the last one before it, too.
        let key = in_order(path);
        let before = self.spots.partition_point(|spot| spot.key <= key).checked_sub(1)?;
        let same = shared(&self.spots[before].path, path);
        let mut spot = &self.spots[before];
        // Only a path that is wholly shared can be above; which of those end at a `/` of ours,
        // `below` says.
        while spot.path.len() > same || below(path, &spot.path).is_none() {
            spot = &self.spots[spot.over?];
        }
        Some(spot)
    }

    /// The path of the nearest entry that shows something of its own.
    pub(super) fn shown(&self, path: &str) -> Option<&str> {
        self.at(path)?.shown.map(|index| self.spots[index].path.as_str())
    }

    /// The path of the nearest mount.
    pub(super) fn mount(&self, path: &str) -> Option<&str> {
        self.at(path)?.mount.map(|index| self.spots[index].path.as_str())
    }
}

/// A path as bytes whose order puts `/` before every other byte: no path has a NUL. The root is
/// above `/a`, of which it is a part; nothing else ends with a `/`.
fn in_order(path: &str) -> Vec<u8> {
    let mut key = path.as_bytes().to_vec();
    key.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = 0);
    key
}

/// How many bytes two texts begin with that are the same.
fn shared(a: &str, b: &str) -> usize {
    // Deep paths are alike for thousands of bytes, which memcmp(3) compares by the line.
    const LINE: usize = 64;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let lines =
        a.chunks_exact(LINE).zip(b.chunks_exact(LINE)).take_while(|(a, b)| a == b).count() * LINE;
    lines + a[lines..].iter().zip(&b[lines..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attrs::Attrs;
    use crate::language::value::ancestors;

    fn entry(shows: Shows, mount: bool, rights: u64) -> Entry {
        Entry {
            shows,
            mode: None,
            mount,
            attrs: Attrs(0),
            rights: Rights(rights),
            at: Span { start: rights as u32, end: rights as u32 + 1 },
        }
    }

    #[test]
    fn the_nearest_is_what_a_walk_upwards_finds() {
        let paths = ["/", "/a", "/a-b", "/a/b", "/a/b/c", "/a.d/e", "/a/bc", "/é", "/é/x"];
        let kinds = paths.iter().zip(0u64..).map(|(path, nth)| {
            let shows = if nth % 2 == 0 { Shows::Folder } else { Shows::Same };
            (
                (*path).to_owned(),
                entry(shows, nth % 3 == 0, if nth % 4 == 1 { 1 << nth } else { 0 }),
            )
        });
        let tree: BTreeMap<String, Entry> = kinds.collect();
        let near = Near::new(&tree);
        for path in paths.iter().copied().chain([
            "/a/",
            "/b",
            "/a/b/c/d/e",
            "/a-b/x",
            "/a-",
            "/ab",
            "/a.d",
            "/a.d/e/f",
            "/é/y",
            "/zz",
        ]) {
            let path = if path == "/a/" { "/a/a" } else { path };
            let up = || ancestors(path).chain(["/"]).filter_map(|path| tree.get_key_value(path));
            let first = |good: &dyn Fn(&Entry) -> bool| {
                up().find(|(_, entry)| good(entry)).map(|(path, _)| path.as_str())
            };
            assert_eq!(near.shown(path), first(&|entry| entry.shows != Shows::Same), "{path}");
            assert_eq!(near.mount(path), first(&|entry| entry.mount), "{path}");
            let rules = up().filter(|(_, entry)| entry.rights != Rights(0));
            let rights = rules.fold((Rights(0), Span::NOWHERE), |(rights, at), (_, entry)| {
                (rights.and(entry.rights), at.or(entry.at))
            });
            assert_eq!(near.at(path).unwrap().rights, rights, "{path}");
        }
        assert!(Near::default().at("/x").is_none());
    }
}
