//! One text of a profile, and its tree with the places of all its values. It merges nothing.

use crate::language::layers::Kind;
use crate::language::read::Node;
use crate::language::spelled::quoted;
use crate::profile::slip::{Slip, slip};
use crate::text::problem::{Problem, Problems};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// How deep `extends` may go, and tables in tables.
pub(super) const DEEPEST: usize = 64;
/// How many syntax errors of a text are reported.
const MOST_ERRORS: usize = 100;
/// How many tokens (words, signs, spaces) all texts may have: a tree of them takes some hundred
/// bytes for each. An entry with all its options has twenty.
pub(super) const MOST_TOKENS: usize = 250_000;
/// A text with fewer bytes cannot have many, and need not be counted.
const SMALL: usize = 64 << 10;

/// One text of the profile, the weakest first.
pub(super) struct Layer {
    /// What messages call it.
    pub name: String,
    pub text: String,
    /// Where it begins in the common space.
    pub base: usize,
    /// The directory that `${PROFILE_DIR}` means.
    pub directory: Option<String>,
    /// What it is to the profile.
    pub kind: Kind,
}

/// How much of it there is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub bytes: usize,
    /// Not counted in small texts.
    pub tokens: usize,
}

impl Size {
    pub(super) fn of(text: &str) -> Size {
        let tokens = if text.len() > SMALL {
            toml_parser::Source::new(text).lex().take(MOST_TOKENS + 1).count()
        } else {
            0
        };
        Size { bytes: text.len(), tokens }
    }
}

pub(super) type Document<'i> = DeTable<'i>;

impl Layer {
    /// Parses the text; its spans become places in the common space.
    pub(super) fn parse(&self, problems: &mut Problems) -> Option<Document<'_>> {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        let document = DeValue::Table(document.into_inner());
        if let Some(span) = too_deep(&document) {
            let at = Span::from(span.start + self.base..span.end + self.base);
            problems.push(Problem::new(
                "profile::depth",
                at,
                format!("cannot read a value this deep: {DEEPEST} tables and lists are the most"),
            ));
            dismantle(document);
            return None;
        }
        let mut lines = vec![];
        for error in errors.iter().take(MOST_ERRORS) {
            let span = error.span().unwrap_or_else(|| self.deepest_line());
            // One mistake makes the parser stumble several times; the first of each line says it.
            let line = self.text.get(..span.start).unwrap_or("").matches('\n').count();
            if !lines.contains(&line) {
                lines.push(line);
                let first = self.text.get(span.start..).and_then(|rest| rest.chars().next());
                let end = span.end.max(span.start + first.map_or(1, char::len_utf8));
                problems.push(self.syntax(span.start..end, error.message()));
            }
        }
        match shift(Spanned::new(0..0, document), self.base).into_inner() {
            DeValue::Table(table) if errors.is_empty() => Some(table),
            _ => None,
        }
    }

    /// A problem of what is no TOML, in plain words where it is known what is meant.
    fn syntax(&self, span: std::ops::Range<usize>, words: &str) -> Problem {
        let Slip { sentence, at, first, help } = slip(&self.text, span, words);
        let place =
            |at: std::ops::Range<usize>| Span::from(at.start + self.base..at.end + self.base);
        let sentence = sentence.unwrap_or_else(|| words.to_owned());
        let message = format!("cannot read this TOML: {sentence}");
        let mut problem = Problem::new("profile::syntax", place(at), message);
        if let Some(first) = first {
            problem = problem.also(place(first), "given here first");
        }
        // What is meant by a flag needs the quotes of the shell, too.
        let of_flag = || with_quotes(&self.text);
        match help {
            _ if self.kind == Kind::Flag => problem.help_maybe(of_flag()),
            Some(help) => problem.help_lines(&help),
            None => problem,
        }
    }

    /// The line with the most levels: where the parser gives up at a key of thousands of names, it
    /// gives no place.
    fn deepest_line(&self) -> std::ops::Range<usize> {
        let mut start = 0;
        let lines = self.text.split_inclusive('\n').map(|line| {
            start += line.len();
            (start - line.len(), line)
        });
        let (start, line) = lines
            .max_by_key(|(start, line)| (line.matches(['.', '[', '{']).count(), usize::MAX - start))
            .unwrap_or_default();
        start..start + line.trim_end().len()
    }

    /// The first byte, for what is wrong with the whole.
    pub(super) fn start(&self) -> Span {
        Span::from(self.base..self.base + 1)
    }
}

/// A line of `--config` whose value is a bare word: TOML has quotes there, and a shell takes them
/// away.
fn with_quotes(text: &str) -> Option<String> {
    let (key, value) = text.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']);
    if value.is_empty() || value.starts_with(['[', '{']) || text.contains('\n') {
        return None;
    }
    let line = format!("{} = {}", key.trim(), quoted(value));
    let reads = DeTable::parse(&line).is_ok();
    reads.then(|| format!("--config {}", shell_word(&line)))
}

/// Where a document goes too deep, if it does. The parser bounds each key and each value by itself,
/// but a long key in a table in a long key makes thousands of levels, and tables are walked and
/// freed by recursion.
fn too_deep(document: &DeValue<'_>) -> Option<std::ops::Range<usize>> {
    let mut open = vec![(document, 0..0, 0)];
    while let Some((value, span, depth)) = open.pop() {
        if depth > DEEPEST {
            return Some(span);
        }
        match value {
            DeValue::Array(items) => {
                open.extend(items.iter().map(|item| (item.get_ref(), item.span(), depth + 1)))
            }
            DeValue::Table(table) => {
                open.extend(table.values().map(|item| (item.get_ref(), item.span(), depth + 1)))
            }
            _ => {}
        }
    }
    None
}

/// Frees a document of any depth without recursion.
fn dismantle(document: DeValue<'_>) {
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            DeValue::Array(items) => open.extend(items.into_iter().map(Spanned::into_inner)),
            DeValue::Table(table) => {
                open.extend(table.into_iter().map(|(_, item)| item.into_inner()))
            }
            _ => {}
        }
    }
}

fn shift(node: Node<'_>, base: usize) -> Node<'_> {
    let moved = |span: std::ops::Range<usize>| span.start + base..span.end + base;
    let span = moved(node.span());
    let value = match node.into_inner() {
        DeValue::Array(array) => {
            let mut out = DeArray::new();
            array.into_iter().for_each(|item| out.push(shift(item, base)));
            DeValue::Array(out)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    (Spanned::new(moved(key.span()), key.into_inner()), shift(value, base))
                })
                .collect(),
        ),
        other => other,
    };
    Spanned::new(span, value)
}
