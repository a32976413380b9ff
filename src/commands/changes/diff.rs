//! The difference of two files as text. Both are hostile: they have a bound, the comparison has
//! one, and nothing of them reaches a terminal but what is drawn.

use crate::language::value::join;
use crate::launch::changes::{Change, Kind, State, What};
use crate::text::bytes;
use crate::text::problem::{escape, escape_lines};
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::group_diff_ops;
use similar::udiff::UnifiedHunkHeader;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How large a file may be of which the difference is shown.
pub(super) const LARGEST: u64 = 1 << 20;
/// How long a comparison may look for the shortest difference; after that it takes a longer one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many lines that stayed are shown around those that changed.
const AROUND: usize = 3;

/// The bytes before and after a change, where they were read.
#[derive(Debug, Default)]
pub(super) struct Pair {
    before: Side,
    after: Side,
}

#[derive(Debug, Default)]
struct Side {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Pair {
    pub(super) fn add(&mut self, before: bool, bytes: &[u8]) {
        let side = self.side(before);
        let room = (LARGEST as usize).saturating_sub(side.bytes.len());
        side.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn end(&mut self, before: bool) {
        self.side(before).is_whole = true;
    }

    fn side(&mut self, before: bool) -> &mut Side {
        if before { &mut self.before } else { &mut self.after }
    }

    /// The difference; none of what has no bytes. `prefix` comes before the path.
    pub(super) fn text(self, change: &Change, prefix: &str) -> Option<String> {
        let is_file =
            |state: &Option<State>| state.as_ref().is_some_and(|state| state.kind == Kind::File);
        let (was, is) = (is_file(&change.before), is_file(&change.after));
        if change.what == What::Rights || !was && !is {
            return None;
        }
        if was && !self.before.is_whole || is && !self.after.is_whole {
            return Some("(not compared: larger than 1M, or not readable)".into());
        }
        if self.before.bytes.contains(&0) || self.after.bytes.contains(&0) {
            return Some("(binary files differ)".into());
        }
        let name = escape(&join(prefix, &format!("/{}", bytes::text(&change.path))));
        let names = [
            if was { format!("a{name}") } else { "/dev/null".into() },
            if is { format!("b{name}") } else { "/dev/null".into() },
        ];
        let [before, after] = [&self.before.bytes, &self.after.bytes].map(|side| bytes::text(side));
        // Of an empty file that is new there is none.
        Some(escape_lines(&unified(&names, &before, &after))).filter(|text| !text.is_empty())
    }
}

/// In the unified format of diff(1). [`similar::TextDiff`] writes it too, but brings every algorithm of
/// its library for that: a twentieth of the whole program.
fn unified([was, is]: &[String; 2], before: &str, after: &str) -> String {
    let [before, after] =
        [before, after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    // Equal lines have one number, and the numbers are compared.
    let mut numbers = HashMap::new();
    let [old, new] = [&before, &after].map(|lines| {
        let number = |line| {
            let next = numbers.len();
            *numbers.entry(line).or_insert(next)
        };
        lines.iter().copied().map(number).collect::<Vec<_>>()
    });
    let (old, new) = (&old[..], &new[..]);
    let mut found = Compact::new(Replace::new(Capture::new()), old, new);
    let deadline = Some(Instant::now() + PATIENCE);
    let Ok(()) = myers::diff_deadline(&mut found, old, 0..old.len(), new, 0..new.len(), deadline);
    let hunks = group_diff_ops(found.into_inner().into_inner().into_ops(), AROUND);
    let mut text = String::new();
    if !hunks.is_empty() {
        _ = writeln!(text, "--- {was}\n+++ {is}");
    }
    for hunk in hunks {
        _ = writeln!(text, "{}", UnifiedHunkHeader::new(&hunk));
        for line in hunk.iter().flat_map(|part| part.iter_changes(&before[..], &after[..])) {
            let end =
                if line.value().ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
            _ = write!(text, "{}{}{end}", line.tag(), line.value());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use similar::TextDiff;

    fn written(path: &str, bytes: &[u8]) -> Option<String> {
        let after = State {
            kind: Kind::File,
            mode: 0o644,
            owner: None,
            group: None,
            size: bytes.len() as u64,
            allocated: 0,
            inode: (0, 0),
            links: 1,
            changed: (0, 0),
            written: (0, 0),
            target: vec![],
        };
        let (path, what) = (path.as_bytes().to_vec(), What::Added);
        let change =
            Change { path, what, before: None, after: Some(after), unread: false, is_copy: false };
        let mut pair = Pair::default();
        pair.add(false, bytes);
        pair.end(false);
        pair.text(&change, "/etc")
    }

    #[test]
    fn the_names_of_a_run_are_those_inside() {
        let diff = "--- /dev/null\n+++ b/etc/d/new\n@@ -0,0 +1 @@\n+x\n";
        assert_eq!(written("d/new", b"x\n").as_deref(), Some(diff));
        assert_eq!(written("empty", b""), None);
    }

    #[test]
    fn a_difference_is_what_the_library_writes() {
        let names = ["a/f".to_owned(), "b/f".to_owned()];
        let text = |seed: u64, lines: u64| -> String {
            let line = |at: u64| format!("{}\n", (at * at + at / (seed + 2) * 7) % 23);
            (0..lines).map(line).collect()
        };
        let ends = [text(5, 30) + "no end", text(5, 30), String::new(), "\n".into(), "x".into()];
        let texts = (0..12).map(|seed| text(seed, 40 + seed * 3)).chain(ends).collect::<Vec<_>>();
        for before in &texts {
            for after in &texts {
                let expected = TextDiff::from_lines(before.as_str(), after.as_str())
                    .unified_diff()
                    .header(&names[0], &names[1])
                    .to_string();
                assert_eq!(unified(&names, before, after), expected);
            }
        }
    }
}
