//! A text of a profile as it can be drawn: without what drives a terminal, and without lines as
//! long as a file. Places stay right.

use crate::text::bytes;
use crate::text::problem::{is_hostile, is_quiet};

/// U+FEFF, as [`visible`] leaves it at the beginning of a text.
const MARK: &str = "\u{feff}";

/// How much of a line is shown, in bytes: a profile may hold a file in one line.
const LINE_SHOWN: usize = 240;

/// A text whose long lines are cut, and where its places went.
#[derive(Debug)]
pub(super) struct Clipped {
    pub text: String,
    /// For each cut: where the rest of a line began, how long it was.
    cuts: Vec<(usize, usize)>,
}

impl Clipped {
    /// Cuts the lines of a text.
    pub(super) fn new(text: &str) -> Clipped {
        let mut clipped =
            Clipped { text: String::with_capacity(text.len().min(1 << 16)), cuts: vec![] };
        let mut start = 0;
        // The mark that a text may begin with is not drawn.
        let text = match text.strip_prefix(MARK) {
            Some(rest) => {
                clipped.cuts.push((0, MARK.len()));
                start = MARK.len();
                rest
            }
            None => text,
        };
        for line in text.split_inclusive('\n') {
            let body = line.strip_suffix('\n').unwrap_or(line);
            let keep = (0..=LINE_SHOWN.min(body.len()))
                .rev()
                .find(|at| body.is_char_boundary(*at))
                .unwrap_or(0);
            clipped.text.push_str(&body[..keep]);
            if keep < body.len() {
                clipped.cuts.push((start + keep, body.len() - keep));
            }
            clipped.text.push_str(&line[body.len()..]);
            start += line.len();
        }
        clipped
    }

    /// Where a byte of the whole text is in the cut one; what was cut away is at the end of its
    /// line.
    pub(super) fn place(&self, offset: usize) -> usize {
        let gone: usize =
            self.cuts.iter().map(|(from, length)| offset.saturating_sub(*from).min(*length)).sum();
        (offset - gone).min(self.text.len())
    }
}

/// The text with hostile characters replaced by a character of the same length in bytes, so that
/// spans stay right.
pub(super) fn visible(text: &str) -> String {
    if is_quiet(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let body = text.strip_prefix(MARK).unwrap_or(text);
    out.push_str(&text[..text.len() - body.len()]);
    let mut rest = body.chars().peekable();
    while let Some(c) = rest.next() {
        if !is_hostile(c) {
            out.push(c);
        } else if c == '\r' && rest.peek() == Some(&'\n') {
            out.push(' ');
        } else if let Some(byte) = bytes::byte_of(c) {
            out.push_str(&format!("\\x{byte:02x}"));
        } else {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        }
    }
    out
}
