//! What is wrong with a value, as data: where, a sentence in which the profile's own words are
//! marked, and what to do. The code that makes a problem of it parses no sentence.

use crate::language::spelled::quoted;
use crate::text::problem::escape;
use crate::text::source::Span;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::DeValue;

/// A value of the document, with its span in the common offset space.
pub(crate) type Node<'i> = Spanned<DeValue<'i>>;

/// Which problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The value is none that its key takes.
    Value,
    /// It is of the language, and this version refuses it.
    NotYet,
    /// A table has a key that it does not know: the sentence says which, and of what.
    UnknownKey,
    /// The problem of this code, of which the sentence says by itself what cannot be done.
    Whole(&'static str),
}

/// Why a value is refused, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    kind: Kind,
    said: Said,
    help: Option<Said>,
    /// Whether the help has parts of the value that it does not mark.
    tells: bool,
}

/// A part of a value that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The part's place: a value, or a key.
    pub at: Span,
    pub why: Why,
}

/// All that is wrong with a value: one thing, or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrongs(Vec<Wrong>);

/// A sentence of which some parts are the profile's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Ours(Cow<'static, str>),
    /// Words of the profile, in a place that marks them.
    Quote(String),
    /// The same as Rust writes a text, with its quotes.
    Text(String),
    /// The same between the quotes of TOML.
    Toml(String),
}

impl Said {
    /// The text; `hidden` is what is shown in the place of the profile's words, where those are not
    /// to be shown.
    fn show(&self, hidden: Option<&str>) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Ours(text) => text.to_string(),
            Part::Quote(text) => in_one_line(hidden.unwrap_or(text)),
            Part::Text(text) => format!("{:?}", hidden.unwrap_or(text)),
            Part::Toml(text) => {
                let quoted = quoted(hidden.unwrap_or(text));
                quoted[1..quoted.len() - 1].to_owned()
            }
        });
        parts.collect()
    }
}

impl Why {
    /// A sentence of our own words.
    pub(crate) fn new(sentence: impl Into<Cow<'static, str>>) -> Why {
        let said = Said(vec![Part::Ours(sentence.into())]);
        Why { kind: Kind::Value, said, help: None, tells: false }
    }

    /// A sentence with words of the profile in it.
    pub(crate) fn of(
        before: impl Into<Cow<'static, str>>,
        quote: impl Into<String>,
        after: impl Into<Cow<'static, str>>,
    ) -> Why {
        Why::new(before).and(quote, after)
    }

    /// More of the sentence.
    pub(crate) fn and(
        mut self,
        quote: impl Into<String>,
        after: impl Into<Cow<'static, str>>,
    ) -> Why {
        self.said.0.extend([Part::Quote(quote.into()), Part::Ours(after.into())]);
        self
    }

    /// The text as Rust writes one, with its quotes, at the end of the sentence.
    pub(crate) fn and_text(mut self, text: &str) -> Why {
        self.said.0.push(Part::Text(text.to_owned()));
        self
    }

    /// `` `text` is not.. ``
    pub(crate) fn not(text: &str, after: impl Into<Cow<'static, str>>) -> Why {
        Why::of("`", text, after)
    }

    /// A key that a table does not know; `after` closes the quote, and may say what the table is.
    pub(crate) fn unknown_key(key: &str, after: &'static str) -> Why {
        Why { kind: Kind::UnknownKey, ..Why::of("`", key, after) }
    }

    /// The sentence says by itself what cannot be done; the problem has a code of its own.
    pub(crate) fn whole(self, code: &'static str) -> Why {
        Why { kind: Kind::Whole(code), ..self }
    }

    /// The same of what is not built yet.
    pub(crate) fn not_yet(self) -> Why {
        Why { kind: Kind::NotYet, ..self }
    }

    /// What to do.
    pub(crate) fn help(self, help: impl Into<Cow<'static, str>>) -> Why {
        Why { help: Some(Said(vec![Part::Ours(help.into())])), ..self }
    }

    /// More of what to do: words of the profile between the quotes of TOML, and what follows.
    pub(crate) fn and_toml(mut self, text: &str, after: &'static str) -> Why {
        let help = self.help.get_or_insert(Said(vec![]));
        help.0.extend([Part::Toml(text.to_owned()), Part::Ours(after.into())]);
        self
    }

    /// What to do, made of the value.
    pub(crate) fn help_of_value(self, help: impl Into<Cow<'static, str>>) -> Why {
        Why { tells: true, ..self.help(help) }
    }

    /// At the place of a value.
    pub(crate) fn at(self, node: &Node<'_>) -> Wrongs {
        self.at_place(node.span().into())
    }

    /// At the place of a key.
    pub(crate) fn at_place(self, at: Span) -> Wrongs {
        Wrongs(vec![Wrong { at, why: self }])
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence; `hidden` is what is shown in the place of the profile's words, where those are
    /// not to be shown.
    pub(crate) fn sentence(&self, hidden: Option<&str>) -> String {
        self.said.show(hidden)
    }

    /// The help, if it shows no hidden value.
    pub(crate) fn help_text(&self, hidden: Option<&str>) -> Option<String> {
        let help = self.help.as_ref().filter(|_| !(hidden.is_some() && self.tells));
        help.map(|help| help.show(hidden))
    }

    /// The sentence as it is, and what to do.
    pub(crate) fn plain(&self) -> (String, Option<String>) {
        (self.sentence(None), self.help_text(None))
    }
}

#[cfg(test)]
impl Why {
    /// Whether the sentence, or what to do, has these words.
    pub(crate) fn says(&self, words: &str) -> bool {
        let (sentence, help) = self.plain();
        sentence.contains(words) || help.is_some_and(|help| help.contains(words))
    }
}

/// A text in which a line break cannot be taken for the end of one of ours.
pub(crate) fn in_one_line(text: &str) -> String {
    if text.contains('\n') { escape(text) } else { text.to_owned() }
}

/// The most problems that are reported for one value.
const MOST_WRONG: usize = 16;

impl Wrongs {
    /// None, so far.
    pub(crate) fn none() -> Wrongs {
        Wrongs(vec![])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Wrong> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether further problems are dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MOST_WRONG
    }

    /// Takes what was read, or takes note of what is wrong with it.
    pub(crate) fn take<T>(&mut self, read: Result<T, Wrongs>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.add(wrong);
                None
            }
        }
    }

    #[inline(never)]
    pub(crate) fn add(&mut self, more: Wrongs) {
        self.0.extend(more.0);
    }

    /// `Err(self)` where anything is wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Wrongs> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}
