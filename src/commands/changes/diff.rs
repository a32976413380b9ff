//! The difference of two files as text. Both are hostile: they have a bound, the comparison has
//! one, and nothing of them reaches a terminal but what is drawn.

use crate::launch::changes::{Change, Kind, State, What};
use crate::text::bytes;
use crate::text::problem::{escape, escape_lines};
use similar::TextDiff;
use std::time::Duration;

/// How large a file may be of which the difference is shown.
pub(super) const LARGEST: u64 = 1 << 20;
/// How long a comparison may look for the shortest difference; after that it takes a longer one.
const PATIENCE: Duration = Duration::from_millis(500);

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

    /// The difference; none of what has no bytes.
    pub(super) fn text(self, change: &Change) -> Option<String> {
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
        let name = escape(&bytes::text(&change.path));
        let names = [
            if was { format!("a/{name}") } else { "/dev/null".into() },
            if is { format!("b/{name}") } else { "/dev/null".into() },
        ];
        let [before, after] = [&self.before.bytes, &self.after.bytes].map(|side| bytes::text(side));
        let diff =
            TextDiff::configure().timeout(PATIENCE).diff_lines(before.as_str(), after.as_str());
        let text = diff.unified_diff().header(&names[0], &names[1]).to_string();
        Some(escape_lines(&text))
    }
}
