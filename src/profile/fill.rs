//! Puts variables into one parsed text: values and the keys of mounts. A value stays one value,
//! whatever is in it.

use super::params::Value;
use super::variables::{Piece, Variables, pieces};
use crate::language::value::Node;
use crate::language::value::{plain_path, relative};
use crate::policy::mounts::{self, MOST_ENTRIES, pattern};
use crate::policy::programs::COMMAND;
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
    /// Whether it stands in a list: the tables of `[[mounts]]` have no paths for keys.
    in_list: bool,
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
            in_list: false,
        }
    }

    /// Puts variables into a value; `path` is the keys that lead to it.
    pub(super) fn fill(&mut self, node: Node<'i>, path: &mut Vec<String>) -> Option<Node<'i>> {
        let span = node.span();
        let value = match node.into_inner() {
            DeValue::String(text) => self.scalar(text, span.clone().into(), path)?,
            DeValue::Array(array) => self.list(array, span.clone().into(), path)?,
            DeValue::Table(table) => self.table(table, span.clone().into(), path)?,
            other => other,
        };
        Some(Spanned::new(span, value))
    }

    fn scalar(&mut self, text: DeString<'i>, at: Span, path: &[String]) -> Option<DeValue<'i>> {
        if !text.contains("${") {
            return Some(DeValue::String(text));
        }
        let value = self.text(&text, at, path)?;
        let word =
            |value: &DeValue<'_>| matches!(value, DeValue::String(word) if word == "default");
        // In these tables the word is a text like any other.
        let free = path
            .first()
            .is_some_and(|section| ["env", "mounts", "rlimits"].contains(&section.as_str()));
        if word(&value) && path.len() <= 2 && !free {
            self.problems.push(structure(at));
            return None;
        }
        Some(value)
    }

    /// A text with its variables put in; one that is nothing but a parameter takes its type, but
    /// where only text makes sense.
    fn text(&mut self, text: &str, at: Span, path: &[String]) -> Option<DeValue<'i>> {
        if let Some(Value::Bare(bare)) = self.variables.whole(text).filter(|_| !wants_text(path)) {
            self.note_uses(text, at, false);
            self.note_secret(text, at, bare);
            return DeValue::parse(bare).ok().map(Spanned::into_inner);
        }
        let value = if is_source_of_pattern(path) {
            self.expand_pattern(text, at, true)?
        } else {
            self.expand(text, at, is_source(path))?
        };
        if path.first().is_some_and(|section| section == "mounts")
            && path.last().is_some_and(|key| key != "text")
            && value.contains(['\n', '\0'])
        {
            self.problems.push(
                Problem::new(
                    "mounts::path",
                    at,
                    "cannot put this variable into a path: its value holds a line break or a NUL byte",
                )
                .label("with this value"),
            );
            return None;
        }
        Some(DeValue::String(value.into()))
    }

    fn expand(&mut self, text: &str, at: Span, is_place: bool) -> Option<String> {
        let value = self.variables.expand(text, at, self.sources, self.problems);
        self.note(text, at, value, is_place)
    }

    /// The same for a text in which stars stand for other characters.
    fn expand_pattern(&mut self, text: &str, at: Span, is_place: bool) -> Option<String> {
        let value = self.variables.expand_as(
            text,
            at,
            self.sources,
            self.problems,
            pattern::of_text,
            pattern::of_value,
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
        self.note_secret(text, at, &value);
        Some(value)
    }

    fn note_secret(&mut self, text: &str, at: Span, value: &str) {
        if self.variables.is_secret(text) {
            self.private.extend([at, self.entry]);
            self.secrets.push(Secret::new(value, text));
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
                means,
                is_place,
            });
        }
    }

    fn list(
        &mut self,
        array: DeArray<'i>,
        at: Span,
        path: &mut Vec<String>,
    ) -> Option<DeValue<'i>> {
        if array.len() > MOST_ENTRIES {
            self.problems.push(too_many("list", array.len(), at));
            return None;
        }
        let mut out = DeArray::new();
        let mut complete = true;
        for node in array {
            let span = node.span();
            match node.get_ref() {
                DeValue::String(text) if is_command(path) && text == "${ARGS}" => {
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
                    if is_programs(path)
                        && (text == COMMAND || text.strip_prefix('!') == Some(COMMAND)) =>
                {
                    out.push(node)
                }
                DeValue::String(text) if text.contains("${") => {
                    match self.elements(text, span.clone().into(), path) {
                        Some(values) => values
                            .into_iter()
                            .for_each(|value| out.push(Spanned::new(span.clone(), value))),
                        None => complete = false,
                    }
                }
                _ => {
                    let outer = std::mem::replace(&mut self.in_list, true);
                    let node = self.fill(node, path);
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
    fn elements(&mut self, text: &str, at: Span, path: &[String]) -> Option<Vec<DeValue<'i>>> {
        let values = match self.variables.whole(text) {
            Some(Value::List(items)) => {
                self.note_uses(text, at, false);
                if self.variables.is_secret(text) {
                    self.private.extend([at, self.entry]);
                    self.secrets.extend(items.iter().map(|item| Secret::new(item, text)));
                }
                if !self.variables.charge(
                    items.iter().map(|item| item.len() + COST_OF_ITEM).sum(),
                    at,
                    self.problems,
                ) {
                    return None;
                }
                items.iter().map(|item| DeValue::String(item.as_str().into())).collect()
            }
            _ => vec![self.text(text, at, path)?],
        };
        // `!` is an ordinary character in a command; in a set it withdraws, and what to withdraw is
        // for the profile to say.
        let withdraws = |value: &DeValue<'_>| match value {
            DeValue::String(value) => {
                value == "!*" || (value.starts_with('!') && !text.starts_with('!'))
            }
            _ => false,
        };
        if !is_command(path) && values.iter().any(withdraws) {
            self.problems.push(structure(at));
            return None;
        }
        Some(values)
    }

    fn table(
        &mut self,
        table: DeTable<'i>,
        at: Span,
        path: &mut Vec<String>,
    ) -> Option<DeValue<'i>> {
        if table.len() > MOST_ENTRIES {
            self.problems.push(too_many("table", table.len(), at));
            return None;
        }
        let is_mounts = path.as_slice() == ["mounts"] && !self.in_list;
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let (mut out, mut complete) = (DeTable::new(), true);
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for (key, node) in entries {
            if path.len() == 1 {
                self.entry = key.span().into();
            }
            let name = if is_mounts {
                self.mount_path(key.get_ref(), key.span().into(), &node, &mut seen)
            } else {
                Some(key.get_ref().to_string())
            };
            if is_mounts && key.get_ref().contains("${") {
                self.filled.push(node.span().into());
            }
            path.push(name.clone().unwrap_or_default());
            if is_command(path) {
                self.takes_args = Some(false);
            }
            let node = self.fill(node, path);
            path.pop();
            match name.zip(node) {
                Some((name, node)) => {
                    out.insert(Spanned::new(key.span(), name.into()), node);
                }
                None => complete = false,
            }
        }
        // The text and its sections go on without the key; what is deeper is one value, and a part
        // of it would be another.
        (complete || path.len() < 2).then_some(DeValue::Table(out))
    }

    /// The plain path of a mount's key; the same path twice in one file is an error, however it is
    /// spelt.
    fn mount_path(
        &mut self,
        key: &str,
        at: Span,
        node: &Node<'_>,
        seen: &mut BTreeMap<String, Span>,
    ) -> Option<String> {
        // Most keys have neither variables nor stars.
        let expanded = match key.contains(['*', '$']) {
            true => self.expand_pattern(key, at, !has_source(node))?,
            false => key.to_owned(),
        };
        let path = if expanded.contains('\n') {
            Err("a path of a mount cannot hold a line break".into())
        } else {
            path_of(key, &expanded)
        };
        match path {
            Ok(path) => {
                if let Some(first) = seen.insert(path.clone(), at) {
                    let message = format!(
                        "cannot mount at {} twice: one file has two entries for it",
                        if self.variables.is_secret(key) { key } else { pattern::shown(&path) }
                    );
                    let other = self.sources.text(first).unwrap_or_default();
                    let help = self.apart(&[key, other]);
                    self.problems.push(
                        Problem::new("mounts::twice", at, message)
                            .label("and here")
                            .also(first, "here")
                            .help(help),
                    );
                    return None;
                }
                Some(path)
            }
            Err(why) => {
                let why =
                    if self.variables.is_secret(key) { why.replace(&expanded, key) } else { why };
                let (message, help) =
                    why.rsplit_once("\nhelp: ").map_or((why.as_str(), None), |(message, help)| {
                        (message, Some(help.to_owned()))
                    });
                let help = misplaced(key, node).or(help);
                self.problems.push(
                    Problem::new(
                        "mounts::path",
                        at,
                        format!("cannot mount at this path: {message}"),
                    )
                    .help_maybe(help),
                );
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

/// A value of the caller's environment, and the text of the profile that is shown in its place.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    value: String,
    /// As serde's messages have it, with escapes.
    quoted: String,
    written: String,
}

impl Secret {
    fn new(value: &str, written: &str) -> Secret {
        Secret {
            value: value.to_owned(),
            quoted: format!("{value:?}"),
            written: written.to_owned(),
        }
    }

    /// A number is quoted by nobody.
    fn hide_words(&self, text: String) -> String {
        let signs = [':', ',', ';'];
        let word = |word: &str| {
            if word.trim_end_matches(signs) == self.value {
                word.replace(&self.value, &self.written)
            } else {
                word.to_owned()
            }
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    fn hide(&self, text: String) -> String {
        let Secret { value, quoted, written } = self;
        if !text.contains(value.as_str()) && !text.contains(quoted.as_str()) {
            return text;
        }
        // A short value would be found in ordinary words, so of these only what is quoted is
        // replaced.
        let text = if value.len() > 6 { text.replace(value.as_str(), written) } else { text };
        text.replace(&format!("`{value}`"), &format!("`{written}`"))
            .replace(quoted.as_str(), &format!("{written:?}"))
    }
}

/// Replaces values of the caller's environment by the texts that name them: terminals and logs are
/// no place for a token.
pub(super) fn hide(problem: Problem, secrets: &[Secret], sources: &Sources) -> Problem {
    let clean = |text: String| secrets.iter().fold(text, |text, secret| secret.hide(text));
    let Problem { code, message, at, label, also, help, guess, in_lines } = problem;
    // A short value could be any word of the help: of a text with variables it is left out then.
    let shows = |help: &str| {
        sources.is_filled(at) && secrets.iter().any(|secret| help.contains(secret.value.trim()))
    };
    let numbers = || {
        secrets.iter().filter(|secret| sources.is_filled(at) && secret.value.parse::<i64>().is_ok())
    };
    let message = numbers().fold(clean(message), |message, secret| secret.hide_words(message));
    Problem {
        code,
        message,
        at,
        label,
        also,
        help: help.map(clean).filter(|help| !shows(help)),
        guess,
        in_lines,
    }
}

/// A value that was put in says what a thing is, never what becomes of other layers.
fn structure(at: Span) -> Problem {
    Problem::new(
        "variable::structure",
        at,
        "cannot put in this variable: its value is a word that withdraws what is inherited",
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

/// Which command it is can be said only of all layers together, so the word stays.
fn is_programs(path: &[String]) -> bool {
    path == ["programs"]
}

/// The plain path, or the pattern, of a mount's key.
fn path_of(key: &str, expanded: &str) -> Result<String, String> {
    match expanded.starts_with('/') {
        false => Err(relative(expanded)),
        true if key.contains(['*', '$']) => pattern::key(expanded),
        true => plain_path(expanded),
    }
}

/// A name that is no path, but the key of another place, or of the mounts of another program.
fn misplaced(key: &str, node: &Node<'_>) -> Option<String> {
    if matches!(node.get_ref(), DeValue::String(word) if mounts::is_word(word)) {
        return None;
    }
    let other = ["type", "src", "source", "dst", "dest", "destination", "target"].contains(&key);
    let entry = || {
        "the key of an entry is the path inside, and `bind` in its value names the path outside"
            .to_owned()
    };
    super::place_of_key(key).or_else(|| other.then(entry))
}

/// The source of an entry whose key is a pattern is one, too.
fn is_source_of_pattern(path: &[String]) -> bool {
    matches!(path, [section, key, last] if section == "mounts" && last == "bind" && pattern::is_pattern(key))
}

/// Keys of an entry of `[mounts]` that name a place of the host.
const OF_SOURCES: &[&str] = &["bind", "socket", "device"];

fn is_source(path: &[String]) -> bool {
    matches!(path, [section, _, key] if section == "mounts" && OF_SOURCES.contains(&key.as_str()))
}

/// Whether an entry names its source: its key is the path inside then, and that outside, too, where
/// not.
fn has_source(node: &Node<'_>) -> bool {
    matches!(node.get_ref(), DeValue::Table(table) if table.keys().any(|key| OF_SOURCES.contains(&key.get_ref().as_ref())))
}

fn is_command(path: &[String]) -> bool {
    path == ["process", "command"]
}

/// Where a number or a truth value of a parameter is put in as text, as the place takes nothing
/// else.
fn wants_text(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["description"]
            | ["env", _]
            | ["env", _, "or"]
            | ["process", "command" | "arg0"]
            | ["mounts", _, "text" | "symlink"]
    )
}
