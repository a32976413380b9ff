//! Makes problems of what is wrong with the values of one text: it names the key, and shows nothing
//! that the text itself does not show.

use crate::language::meant::{meant, with_text};
use crate::language::read::{Read, date_in};
use crate::language::why::{Kind, Node, Why, Wrong, in_one_line};
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Span};

/// Where the values of a text came from, which its loader knows.
pub(crate) trait Origin {
    /// The text as written where a value of the caller's environment was put in: that value may be
    /// a secret.
    fn hidden(&self, at: Span) -> Option<&str>;
    /// Whether a variable brought any part of the value: of it nothing is guessed.
    fn is_filled(&self, at: Span) -> bool;
    /// The text of a value as it was written.
    fn written(&self, at: Span) -> Option<&str>;
    /// The section that has a key of this name, for a key that is unknown at its place.
    fn elsewhere(&self, key: &str) -> Option<String>;
}

/// A text without variables, whose values are as written.
pub(crate) struct AsWritten;

impl Origin for AsWritten {
    fn hidden(&self, _: Span) -> Option<&str> {
        None
    }
    fn is_filled(&self, _: Span) -> bool {
        false
    }
    fn written(&self, _: Span) -> Option<&str> {
        None
    }
    fn elsewhere(&self, _: &str) -> Option<String> {
        None
    }
}

/// Reads values of one text, and keeps what is wrong.
pub(crate) struct Reader<'a> {
    pub origin: &'a dyn Origin,
    pub problems: &'a mut Problems,
}

impl Reader<'_> {
    /// Reads the value of a key.
    pub(crate) fn value<T: Read>(&mut self, key: At<&str>, node: &Node<'_>) -> Option<T> {
        self.part(key, Some(key.value), node)
    }

    /// The same for an item of a list, which has no key of its own.
    pub(crate) fn item<T: Read>(&mut self, key: At<&str>, node: &Node<'_>) -> Option<T> {
        self.part(key, None, node)
    }

    fn part<T: Read>(&mut self, key: At<&str>, own: Option<&str>, node: &Node<'_>) -> Option<T> {
        match T::read(node) {
            Ok(value) => Some(value),
            Err(wrongs) => {
                let wrongs = date_in(node).unwrap_or(wrongs);
                let left = wrongs.len();
                let takes = |node: &Node<'_>| T::read(node).map_or_else(|wrong| wrong.len(), |_| 0);
                for wrong in wrongs.iter() {
                    self.refuse_part(key, own, node, wrong, &|node| takes(node) < left);
                }
                None
            }
        }
    }

    /// Refuses a value that its type takes, and its key does not.
    pub(crate) fn refuse(&mut self, key: At<&str>, at: Span, why: Why) {
        let problem = self.problem(key, &Wrong { at, why });
        self.problems.push(problem);
    }

    /// Refuses a part of a value that its type does not take; `takes` is whether it takes another.
    #[inline(never)]
    fn refuse_part(
        &mut self,
        key: At<&str>,
        own: Option<&str>,
        node: &Node<'_>,
        wrong: &Wrong,
        takes: &dyn Fn(&Node<'_>) -> bool,
    ) {
        let (problem, at) = (self.problem(key, wrong), wrong.at);
        self.problems.push(match meant(node, at, own, takes) {
            // A line must not show the value of its variable.
            Some(guess) if self.origin.is_filled(at) => {
                let written = self.origin.written(at);
                Problem { help: None, ..problem }
                    .help_maybe(written.and_then(|written| with_text(node, at, &guess, written)))
            }
            guess => problem.guess(at, guess),
        });
    }

    fn problem(&self, key: At<&str>, Wrong { at, why }: &Wrong) -> Problem {
        let hidden = self.origin.hidden(*at);
        let sentence = why.sentence(hidden);
        let key = self.origin.hidden(key.at).unwrap_or(key.value);
        let (code, message) = match why.kind() {
            Kind::Value => ("profile::value", format!("cannot read `{key}`: {sentence}")),
            Kind::NotYet => ("profile::not-yet", format!("cannot read `{key}`: {sentence}")),
            Kind::UnknownKey => {
                ("profile::value", format!("cannot read {sentence}: there is no such key"))
            }
            Kind::Whole(code) => (code, sentence),
        };
        let help = why.help_text(hidden).map(|help| in_one_line(&help));
        Problem::new(code, *at, message).help_maybe(help)
    }

    /// What a value of the wrong type most likely means, judged by the text alone.
    pub(crate) fn guess(
        &self,
        key: At<&str>,
        node: &Node<'_>,
        takes: &dyn Fn(&Node<'_>) -> bool,
    ) -> Option<String> {
        let at = Span::from(node.span());
        if self.origin.is_filled(at) {
            return None;
        }
        meant(node, at, Some(key.value), takes)
    }
}
