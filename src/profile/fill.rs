//! Puts variables into one parsed text. A value stays one value, whatever is in it.
//!
//! What a key takes its declaration says ([`Fill`]): no section has a name here.

use super::params::Value;
use super::variables::{Piece, Variables, pieces};
use crate::language::fill::{Fill, MOST_ENTRIES, Names};
use crate::language::read::Node;
use crate::text::bytes;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Sources, Span, Use};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// What one more item of a list takes besides its text.
const COST_OF_ITEM: usize = 64;

/// Puts variables into one layer. Where a text has none, because a problem was reported, the value
/// of its section's key is left out, so that no second problem follows from the first.
pub(super) struct Filling<'a, 'i> {
    /// What they mean here.
    pub variables: Variables<'i>,
    /// The words after PROFILE.
    pub words: &'a [At<String>],
    /// Where problems point.
    pub sources: &'a Sources,
    pub problems: &'a mut Problems,
    /// Whether this layer's command takes the words after PROFILE; `None` where it does not speak
    /// of the command.
    pub takes_args: Option<bool>,
    /// Texts that took something from the caller's environment.
    pub secrets: Vec<Secret>,
    /// Where they are, and the keys of their entries.
    pub private: Vec<Span>,
    /// Texts with variables, and the values of keys with such: of them nothing is guessed.
    pub filled: Vec<Span>,
    /// Where parameters were put in.
    pub uses: Vec<Use>,
    /// The key of the section's entry that is being filled.
    entry: Span,
    /// How many keys lead to what is being filled.
    depth: usize,
    /// Whether it is in a list: the tables of `[[x]]` have no names of `[x]` for keys.
    in_list: bool,
    /// What the name above it is, where that is a pattern.
    pattern: Option<&'static dyn Names>,
}

impl<'a, 'i> Filling<'a, 'i> {
    /// Nothing is filled yet.
    pub(super) fn new(
        variables: Variables<'i>,
        words: &'a [At<String>],
        sources: &'a Sources,
        problems: &'a mut Problems,
    ) -> Filling<'a, 'i> {
        Filling {
            variables,
            words,
            sources,
            problems,
            takes_args: None,
            secrets: vec![],
            private: vec![],
            filled: vec![],
            uses: vec![],
            entry: Span::NOWHERE,
            depth: 0,
            in_list: false,
            pattern: None,
        }
    }

    /// Puts variables into a value, as its declaration says.
    pub(super) fn fill(&mut self, node: Node<'i>, fill: &'static Fill) -> Option<Node<'i>> {
        let span = node.span();
        let value = match node.into_inner() {
            DeValue::String(text) => self.scalar(text, span.clone().into(), fill)?,
            DeValue::Array(array) => self.list(array, span.clone().into(), fill)?,
            DeValue::Table(table) => self.table(table, span.clone().into(), fill)?,
            other => other,
        };
        Some(Spanned::new(span, value))
    }

    fn scalar(&mut self, text: DeString<'i>, at: Span, fill: &'static Fill) -> Option<DeValue<'i>> {
        if !text.contains("${") {
            return Some(DeValue::String(bytes::plain(text.into_owned()).into()));
        }
        let value = self.text(&text, at, fill)?;
        if fill.removes && matches!(&value, DeValue::String(word) if word == "default") {
            self.problems.push(structure(at));
            return None;
        }
        Some(value)
    }

    /// A text with its variables put in; one that is nothing but a parameter takes its type, but
    /// where only text makes sense.
    fn text(&mut self, text: &str, at: Span, fill: &'static Fill) -> Option<DeValue<'i>> {
        if let Some(Value::Bare(bare)) = self.variables.whole(text).filter(|_| !fill.text) {
            self.note_uses(text, at, false);
            self.note_secret(text, at);
            return DeValue::parse(bare).ok().map(Spanned::into_inner);
        }
        let value = match self.pattern.filter(|_| fill.pattern) {
            Some(names) => self.expand_name(text, at, names, fill.place)?,
            None => self.expand(text, at, fill)?,
        };
        if let Some(refuse) = fill.refuse
            && refuse(&value, at).is_some()
        {
            // It is about what the variables bring, and not about the text around them.
            let (nothing, whole) = (|_: &str| String::new(), str::to_owned);
            let variables = self.variables.of_paths();
            let brought =
                variables.expand_as(text, at, self.sources, self.problems, &nothing, &whole)?;
            if let Some(problem) = refuse(&brought, at) {
                self.problems.push(problem);
                return None;
            }
        }
        Some(DeValue::String(value.into()))
    }

    fn expand(&mut self, text: &str, at: Span, fill: &Fill) -> Option<String> {
        let variables =
            if fill.path || fill.place { self.variables.of_paths() } else { self.variables };
        let value = variables.expand(text, at, self.sources, self.problems);
        self.note(text, at, value, fill.place)
    }

    /// The same for a text that is a name, or a part of one.
    fn expand_name(
        &mut self,
        text: &str,
        at: Span,
        names: &dyn Names,
        is_place: bool,
    ) -> Option<String> {
        let value = self.variables.of_paths().expand_as(
            text,
            at,
            self.sources,
            self.problems,
            &|text| names.of_text(text),
            &|value| names.of_value(value),
        );
        self.note(text, at, value, is_place)
    }

    /// Takes note of where a value came from.
    fn note(
        &mut self,
        text: &str,
        at: Span,
        value: Option<String>,
        is_place: bool,
    ) -> Option<String> {
        self.note_uses(text, at, is_place);
        let value = value?;
        self.note_secret(text, at);
        Some(value)
    }

    fn note_secret(&mut self, text: &str, at: Span) {
        if self.variables.is_secret(text) {
            self.private.extend([at, self.entry]);
            self.secrets.push(Secret { at, written: text.to_owned() });
        }
    }

    fn note_uses(&mut self, text: &str, at: Span, is_place: bool) {
        self.filled.push(at);
        for (name, value, means) in self.variables.params_in(text) {
            // No path is so long, and each use holds a copy.
            let means = means.filter(|means| means.len() < libc::PATH_MAX as usize);
            self.uses.push(Use {
                text: at,
                entry: self.entry,
                name: name.to_owned(),
                value,
                means: means.map(str::to_owned),
                is_place,
            });
        }
    }

    fn list(&mut self, array: DeArray<'i>, at: Span, fill: &'static Fill) -> Option<DeValue<'i>> {
        if array.len() > MOST_ENTRIES {
            self.problems.push(too_many("list", array.len(), at));
            return None;
        }
        let mut out = DeArray::new();
        let mut complete = true;
        for node in array {
            let span = node.span();
            match node.get_ref() {
                DeValue::String(text) if fill.args && text == "${ARGS}" => {
                    self.takes_args = Some(true);
                    if !self.variables.charge(
                        self.words.iter().map(|word| word.len() + COST_OF_ITEM).sum(),
                        span.clone().into(),
                        self.problems,
                    ) {
                        return None;
                    }
                    for word in self.words {
                        out.push(Spanned::new(
                            word.at.start as usize..word.at.end as usize,
                            DeValue::String(word.value.clone().into()),
                        ));
                    }
                }
                DeValue::String(text)
                    if fill.keeps.is_some()
                        && fill.keeps == Some(text.strip_prefix('!').unwrap_or(text)) =>
                {
                    out.push(node)
                }
                DeValue::String(text) if text.contains("${") => {
                    match self.elements(text, span.clone().into(), fill) {
                        Some(values) => values
                            .into_iter()
                            .for_each(|value| out.push(Spanned::new(span.clone(), value))),
                        None => complete = false,
                    }
                }
                _ => {
                    let outer = std::mem::replace(&mut self.in_list, true);
                    let node = self.fill(node, fill);
                    self.in_list = outer;
                    match node {
                        Some(node) => out.push(node),
                        None => complete = false,
                    }
                }
            }
        }
        complete.then_some(DeValue::Array(out))
    }

    /// What a text with variables becomes in a list: one value, or those of a parameter that is a
    /// list.
    fn elements(&mut self, text: &str, at: Span, fill: &'static Fill) -> Option<Vec<DeValue<'i>>> {
        let values = match self.variables.whole(text) {
            Some(Value::List(items)) => {
                self.note_uses(text, at, false);
                self.note_secret(text, at);
                if !self.variables.charge(
                    items.iter().map(|item| item.len() + COST_OF_ITEM).sum(),
                    at,
                    self.problems,
                ) {
                    return None;
                }
                items.iter().map(|item| DeValue::String(item.as_str().into())).collect()
            }
            _ => vec![self.text(text, at, fill)?],
        };
        // `!` is an ordinary character in a command; in a set it removes an item, and only the
        // profile's own text may remove.
        let removes = |value: &DeValue<'_>| match value {
            DeValue::String(value) => {
                value == "!*" || (value.starts_with('!') && !text.starts_with('!'))
            }
            _ => false,
        };
        if !fill.args && values.iter().any(removes) {
            self.problems.push(structure(at));
            return None;
        }
        Some(values)
    }

    fn table(&mut self, table: DeTable<'i>, at: Span, fill: &'static Fill) -> Option<DeValue<'i>> {
        if table.len() > MOST_ENTRIES {
            self.problems.push(too_many("table", table.len(), at));
            return None;
        }
        let names = fill.names.filter(|_| !self.in_list);
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let (mut out, mut complete) = (DeTable::new(), true);
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for (key, node) in entries {
            if self.depth == 1 {
                self.entry = key.span().into();
            }
            let fill = fill.at(key.get_ref());
            let name = match names {
                Some(names) => {
                    if key.get_ref().contains("${") {
                        self.filled.push(node.span().into());
                    }
                    self.name(key.get_ref(), key.span().into(), &node, (names, fill), &mut seen)
                }
                None => Some(key.get_ref().to_string()),
            };
            if fill.args {
                self.takes_args = Some(false);
            }
            let is_pattern =
                |names: &&dyn Names| name.as_ref().is_some_and(|name| names.is_pattern(name));
            let outer = self.pattern;
            if names.is_some() {
                self.pattern = names.filter(is_pattern);
            }
            self.depth += 1;
            let node = self.fill(node, fill);
            self.depth -= 1;
            self.pattern = outer;
            match name.zip(node) {
                Some((name, node)) => {
                    out.insert(Spanned::new(key.span(), name.into()), node);
                }
                None => complete = false,
            }
        }
        // The text and its sections are read without the key; a deeper table is one value, and
        // without a key it would be another value.
        (complete || self.depth < 2).then_some(DeValue::Table(out))
    }

    /// What a name is with its variables put in; the same twice in one file is an error, however it
    /// is spelt.
    fn name(
        &mut self,
        key: &str,
        at: Span,
        node: &Node<'_>,
        (names, fill): (&'static dyn Names, &Fill),
        seen: &mut BTreeMap<String, Span>,
    ) -> Option<String> {
        let filled = match names.is_plain(key) {
            false => self.expand_name(key, at, names, !fill.names_place(node))?,
            true => bytes::plain(key.to_owned()),
        };
        let hidden = || self.variables.is_secret(key).then_some(key);
        match names.read(key, &filled) {
            Ok(name) => {
                if let Some(first) = seen.insert(name.clone(), at) {
                    let shown = hidden().unwrap_or(names.shown(&name));
                    let problem = names.twice(at, shown, first);
                    let other = self.sources.text(first).unwrap_or_default();
                    self.problems.push(problem.help(self.apart(&[key, other])));
                    return None;
                }
                Some(name)
            }
            Err(why) => {
                let hidden = hidden();
                let help =
                    names.misplaced(key, node, &super::place_of_key).or(why.help_text(hidden));
                self.problems.push(names.refuse(at, &why.sentence(hidden)).help_maybe(help));
                None
            }
        }
    }

    /// What to do where two keys are one path: another value for the variable that brings them
    /// together, if there is one.
    fn apart(&self, keys: &[&str; 2]) -> String {
        let pieces: Vec<Piece<'_>> =
            keys.iter().flat_map(|key| pieces(key).unwrap_or_default()).collect();
        let names = || {
            pieces.iter().filter_map(|piece| {
                if let Piece::Variable(name, _) = piece { Some(*name) } else { None }
            })
        };
        if let Some(name) = names()
            .find(|name| self.variables.params.is_some_and(|params| params.value(name).is_some()))
        {
            return format!("give `{name}` another value: --set {name}=PATH");
        }
        match names().next() {
            Some("CWD") => "start stockade in another directory, such as one below this".into(),
            Some(name) => {
                format!("`${{{name}}}` is a part of that path today: keep one of the two entries")
            }
            None => "keep one of the two entries".into(),
        }
    }
}

/// Where a value of the caller's environment was put in, and the text of the profile that is shown
/// in its place: terminals and logs are no place for a token.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub at: Span,
    pub written: String,
}

/// A value that was put in can set something, never remove what other layers set.
fn structure(at: Span) -> Problem {
    Problem::new(
        "variable::structure",
        at,
        "cannot expand this variable: its value is a word that removes what is inherited",
    )
    .help("write the word itself if that is meant")
}

fn too_many(what: &str, count: usize, at: Span) -> Problem {
    Problem::new(
        "profile::size",
        at,
        format!("cannot read a {what} of {count} entries: {MOST_ENTRIES} are the most"),
    )
}
