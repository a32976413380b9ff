//! What the keys of `[mounts]` are, and what variables may bring into its values: for the loader,
//! which puts them in.

use super::pattern;
use crate::language::fill::{Fill, Names};
use crate::language::read::{Node, Why};
use crate::language::value::{plain_path, relative};
use crate::text::problem::Problem;
use crate::text::source::Span;
use toml::de::DeValue;

/// A value of an entry: no variable brings a line break into one.
pub(super) const ONE_LINE: Fill = Fill { refuse: Some(lines), ..Fill::VALUE };

/// A place of the host.
pub(super) const PLACE: Fill = Fill { place: true, ..ONE_LINE };

/// What a pattern does not look at: a star that a variable brings would leave out more.
pub(super) const EXCEPT: Fill = Fill { refuse: Some(variables), ..ONE_LINE };

fn variables(_: &str, at: Span) -> Option<Problem> {
    let message = "cannot put a variable into `except`: a star in its value would leave out more";
    Some(Problem::new("mounts::path", at, message).help("write what is meant"))
}

fn lines(value: &str, at: Span) -> Option<Problem> {
    let message =
        "cannot put this variable into a path: its value holds a line break or a NUL byte";
    value
        .contains(['\n', '\0'])
        .then(|| Problem::new("mounts::path", at, message).label("with this value"))
}

/// The paths of mounts, and patterns of such.
pub(super) struct Paths {
    /// Whether a word stands for a whole entry.
    pub is_word: fn(&str) -> bool,
}

impl Names for Paths {
    fn is_plain(&self, written: &str) -> bool {
        written.bytes().all(|byte| byte != b'*' && byte != b'$')
    }

    fn of_text(&self, text: &str) -> String {
        pattern::of_text(text)
    }

    fn of_value(&self, value: &str) -> String {
        pattern::of_value(value)
    }

    fn read(&self, written: &str, filled: &str) -> Result<String, Why> {
        if filled.contains('\n') {
            return Err(Why::new("a path of a mount cannot hold a line break"));
        }
        match filled.starts_with('/') {
            false => Err(relative(filled)),
            true if self.is_plain(written) => plain_path(filled),
            true => pattern::key(filled),
        }
    }

    fn is_pattern(&self, name: &str) -> bool {
        pattern::is_pattern(name)
    }

    fn refuse(&self, at: Span, sentence: &str) -> Problem {
        Problem::new("mounts::path", at, format!("cannot mount at this path: {sentence}"))
    }

    /// A name that is no path, but the key of another place, or of the mounts of another program.
    fn misplaced(
        &self,
        written: &str,
        node: &Node<'_>,
        elsewhere: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        if matches!(node.get_ref(), DeValue::String(word) if (self.is_word)(word)) {
            return None;
        }
        let other = ["type", "src", "source", "dst", "dest", "destination", "target"];
        let entry = || {
            "the key of an entry is the path inside, and `bind` in its value names the path outside"
                .to_owned()
        };
        elsewhere(written).or_else(|| other.contains(&written).then(entry))
    }

    fn twice(&self, at: Span, name: &str, first: Span) -> Problem {
        let message = format!("cannot mount at {name} twice: one file has two entries for it");
        Problem::new("mounts::twice", at, message).label("and here").also(first, "here")
    }

    fn shown<'n>(&self, name: &'n str) -> &'n str {
        pattern::shown(name)
    }
}
