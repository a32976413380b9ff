//! Every file of a profile in one space of offsets, so that a span alone says which file, line and
//! column a value came from.
//!
//! It holds text and answers questions about it. It opens nothing: [`crate::profile`] reads the
//! files.

use serde::{Serialize, Serializer};
use std::sync::{Arc, OnceLock};
use std::{fmt, ops::Deref};

/// A range of bytes in the one offset space of all [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of what no text asked for: a built-in default.
    pub const NOWHERE: Span = Span { start: 0, end: 0 };

    /// Whether both have some text.
    pub(crate) fn meets(self, other: Span) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether there is a text behind it.
    pub fn is_somewhere(self) -> bool {
        self != Span::NOWHERE
    }

    /// This span, or `other` where this one is [`Span::NOWHERE`].
    pub fn or(self, other: Span) -> Span {
        if self.is_somewhere() { self } else { other }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Span {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: clamp(range.start), end: clamp(range.end) }
    }
}

/// Where a profile says something. Two values are the same wherever they are said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Where(pub Span);

impl PartialEq for Where {
    fn eq(&self, _: &Where) -> bool {
        true
    }
}

impl Eq for Where {}

/// A value and the text that it came from.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct At<T> {
    pub value: T,
    pub at: Span,
}

impl<T> At<T> {
    /// A value with its place.
    pub fn new(value: T, at: Span) -> At<T> {
        At { value, at }
    }

    /// A value that stockade chose because the profile was silent.
    pub fn unsaid(value: T) -> At<T> {
        At { value, at: Span::NOWHERE }
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// One text: a file, a built-in profile, standard input or a flag of the command line.
#[derive(Debug, Clone)]
pub struct Source {
    /// What messages call it.
    pub name: Arc<str>,
    pub text: Arc<str>,
    /// The offset of its first byte in the common space.
    pub base: u32,
    /// The real path, where it is a file.
    pub file: Option<Arc<str>>,
    /// The word of `extends` that brought it in, where one did.
    pub brought: Span,
    /// Where its lines begin, found at the first use.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// Whether it is a profile that comes with the binary. Standard input and the words after
    /// PROFILE have a name in `<>`, too.
    pub(crate) fn is_built_in(&self) -> bool {
        self.file.is_none()
            && self.name.starts_with('<')
            && !["<stdin>", "<command line>"].contains(&&*self.name)
    }

    /// Where the lines begin. A plan has thousands of places in one text, so it is walked once for
    /// all of them.
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let ends =
                self.text.bytes().zip(1..).filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next);
            [0].into_iter().chain(ends).collect()
        })
    }
}

/// A text of the profile with a parameter in it: what is wrong with it may be wrong with the
/// parameter's value.
#[derive(Debug, Clone)]
pub struct Use {
    pub text: Span,
    /// The key of the entry that it belongs to, which is what problems of a plan point at.
    pub entry: Span,
    pub name: String,
    /// Where that has its value.
    pub value: Span,
    /// The value, where it is a text of the profile: what comes from the environment may be a
    /// secret.
    pub means: Option<String>,
    /// Whether the text names the place of the host that the entry grants.
    pub is_place: bool,
}

impl Use {
    /// Whether a problem at `span` may be one of the value.
    fn concerns(&self, span: Span) -> bool {
        span == self.entry || (span.start < self.text.end && self.text.start < span.end)
    }
}

/// What variables brought to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    /// A part of the value.
    Value,
    /// Something of the caller's environment, to the value or to the entry that this is the key of.
    Private,
}

/// All texts of one profile.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
    uses: Vec<Use>,
    brought: Vec<(Span, Brought)>,
    loose: Vec<(String, bool)>,
}

/// How many words of a chain of `extends` are printed.
const MOST_LINKS: usize = 8;

/// A place in a text, for people. It is shown as `FILE:LINE:COLUMN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What the text is called: the path of the file as it was given, a built-in profile's name in
    /// `<>`, or the flag of the command line.
    pub file: Arc<str>,
    /// Its line, counted from 1.
    pub line: u32,
    /// Its column, counted from 1 in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Sources {
    /// Adds a text and gives the offset that its spans are moved by. Offset 0 stays free, as it
    /// means "nowhere".
    pub fn add(&mut self, name: &str, text: &str) -> u32 {
        self.add_file(name, text, None)
    }

    /// The same for the text of a file, by its real path.
    pub fn add_file(&mut self, name: &str, text: &str, file: Option<&str>) -> u32 {
        let base = self.files.last().map_or(1, |last| last.base + last.text.len() as u32 + 1);
        self.files.push(Source {
            name: name.into(),
            text: text.into(),
            base,
            file: file.map(Arc::from),
            brought: Span::NOWHERE,
            lines: OnceLock::new(),
        });
        base
    }

    /// Says which word of `extends` brought the last text in.
    pub fn brought_by(&mut self, word: Span) {
        if let Some(last) = self.files.last_mut() {
            last.brought = word;
        }
    }

    /// Takes note of a name that another file could be found by: a symbolic link on the way to a
    /// text, or else a file that is not there.
    pub fn found_by(&mut self, name: String, is_link: bool) {
        self.loose.push((name, is_link));
    }

    /// Those names, and whether each is a link.
    pub fn loose(&self) -> impl Iterator<Item = (&str, bool)> {
        self.loose.iter().map(|(name, is_link)| (name.as_str(), *is_link))
    }

    /// Takes note of where parameters were put in.
    pub fn used(&mut self, uses: Vec<Use>) {
        self.uses.extend(uses);
    }

    /// Takes note of the texts that had variables.
    pub fn filled(&mut self, texts: Vec<Span>) {
        self.brought.extend(texts.into_iter().map(|at| (at, Brought::Value)));
    }

    /// Takes note of what came from the caller's environment.
    pub(crate) fn add_private(&mut self, texts: Vec<Span>) {
        self.brought.extend(texts.into_iter().map(|at| (at, Brought::Private)));
    }

    /// The texts that took something from the caller's environment, and the keys of their entries.
    pub fn private(&self) -> Vec<Span> {
        let private = self.brought.iter().filter(|(_, what)| *what == Brought::Private);
        private.map(|(at, _)| *at).collect()
    }

    /// Whether a variable brought any part of the value at `span`.
    pub fn is_filled(&self, span: Span) -> bool {
        self.brought.iter().any(|(text, what)| *what == Brought::Value && text.meets(span))
    }

    /// The parameters in the text at `span`, or in the entry that it is the key of.
    pub fn uses(&self, span: Span) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |used| span.is_somewhere() && used.concerns(span))
    }

    /// How the value at `span` came to be there, each place with its words: what gave its
    /// parameters their values, and the words of `extends` through which it is inherited, the
    /// nearest first.
    pub fn trail(&self, span: Span) -> Vec<(Span, String)> {
        let mut trail: Vec<(Span, String)> = vec![];
        if !span.is_somewhere() {
            return trail;
        }
        for used in self.uses(span).filter(|used| used.value != span) {
            if !trail.iter().any(|(at, _)| *at == used.value) {
                trail.push((used.value, format!("`{}` has its value from here", used.name)));
            }
        }
        let word = |at: Span| {
            self.source(at).map(|source| source.brought).filter(|word| word.is_somewhere())
        };
        let mut links: Vec<Span> = std::iter::successors(word(span), |at| word(*at)).collect();
        if links.len() > MOST_LINKS {
            // The one in PROFILE is what the reader has written.
            links.drain(MOST_LINKS - 1..links.len() - 1);
        }
        trail.extend(
            links
                .into_iter()
                .map(|at| (at, format!("inherited through {}", self.text(at).unwrap_or_default()))),
        );
        trail
    }

    /// The word of `extends` in a text of the user's by which a line of a built-in profile is
    /// inherited.
    pub(crate) fn extended_by(&self, at: Span) -> Option<Span> {
        let word = |at: Span| self.source(at).map(|source| source.brought);
        let mut words = std::iter::successors(word(at), |at| word(*at));
        words.find(|at| self.source(*at).is_some_and(|source| !source.is_built_in()))
    }

    /// Where PROFILE's own text speaks of a section, or its first line: the place of what it does
    /// not say.
    pub fn where_missing(&self, section: &str) -> Span {
        let Some(profile) = self.files.first().filter(|file| !file.text.is_empty()) else {
            return Span::NOWHERE;
        };
        let head = format!("[{section}]");
        let lines = profile.text.split_inclusive('\n').scan(0, |start, line| {
            *start += line.len();
            Some((*start - line.len(), line))
        });
        let found = lines
            .clone()
            .find(|(_, line)| line.trim_start().starts_with(&head))
            .or(lines.into_iter().next());
        let (start, line) = found.unwrap_or_default();
        let start = profile.base + start as u32;
        Span { start, end: start + line.trim_end().len().max(1) as u32 }
    }

    /// The real paths of those that are files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|source| source.file.as_deref())
    }

    /// What the profile itself is called: its real path, or its name without `<>`.
    pub(crate) fn main(&self) -> &str {
        let source = self.files.iter().find(|source| source.file.is_some() || source.is_built_in());
        source.map_or("stdin", |source| match &source.file {
            Some(file) => file,
            None => source.name.trim_matches(['<', '>']),
        })
    }

    /// The text that holds `span`.
    pub fn source(&self, span: Span) -> Option<&Source> {
        self.files.iter().rev().find(|file| span.is_somewhere() && file.base <= span.start)
    }

    /// Whether a flag of the command line says it.
    pub(crate) fn is_flag(&self, span: Span) -> bool {
        self.source(span)
            .is_some_and(|source| source.file.is_none() && source.name.starts_with("--"))
    }

    /// File, line and column of the first byte of `span`.
    pub fn place(&self, span: Span) -> Option<Place> {
        let source = self.source(span)?;
        let offset = ((span.start - source.base) as usize).min(source.text.len());
        let line = source.lines().partition_point(|start| *start as usize <= offset);
        let start = source.lines()[line - 1] as usize;
        let before = String::from_utf8_lossy(&source.text.as_bytes()[start..offset]);
        // The mark at the beginning of a text is no character of it (TOML 1.0 lets it be there).
        let before = before.strip_prefix('\u{feff}').filter(|_| start == 0).unwrap_or(&before);
        Some(Place {
            file: source.name.clone(),
            line: line as u32,
            column: before.chars().count() as u32 + 1,
        })
    }

    /// The whole lines that a span lies in.
    pub fn lines_of(&self, at: Span) -> Option<&str> {
        let file = self.source(at)?;
        let (start, end) = ((at.start - file.base) as usize, (at.end - file.base) as usize);
        let first = file.text.get(..start)?.rfind('\n').map_or(0, |place| place + 1);
        let last = file.text.get(end..)?.find('\n').map_or(file.text.len(), |place| end + place);
        file.text.get(first..last)
    }

    /// The bytes that `span` covers. The span of a problem at the end of a text may go past it, and
    /// is cut there.
    pub fn text(&self, span: Span) -> Option<&str> {
        let source = self.source(span)?;
        let offset = |at: u32| ((at - source.base) as usize).min(source.text.len());
        source.text.get(offset(span.start)..offset(span.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_finds_its_file_line_and_column() {
        let mut sources = Sources::default();
        let first = sources.add("a.toml", "x = 1\n");
        let second = sources.add("b.toml", "y = 2\nzä = 3");
        assert_eq!(
            sources.place(Span { start: first, end: first + 1 }).unwrap().to_string(),
            "a.toml:1:1"
        );
        let three = Span { start: second + 12, end: second + 13 };
        assert_eq!(sources.text(three), Some("3"));
        assert_eq!(sources.place(three).unwrap().to_string(), "b.toml:2:6");
        let marked = sources.add("c.toml", "\u{feff}y = 2\n");
        assert_eq!(
            sources.place(Span { start: marked + 3, end: marked + 4 }).unwrap().to_string(),
            "c.toml:1:1"
        );
        assert_eq!(
            sources.place(sources.where_missing("process")).unwrap().to_string(),
            "a.toml:1:1"
        );
        let mut with = Sources::default();
        with.add("d.toml", "format = 1\n[process]\ncwd = '/'\n");
        assert_eq!(with.text(with.where_missing("process")), Some("[process]"));
        assert_eq!(sources.place(Span::NOWHERE), None);
    }
}
