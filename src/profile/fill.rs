//! Puts variables into one parsed text: values and the keys of mounts. A value stays one value, whatever is in it.

use super::params::Value;
use super::variables::Variables;
use crate::policy::programs::COMMAND;
use crate::problem::{Problem, Problems};
use crate::section::Node;
use crate::source::{At, Sources, Span};
use crate::value::plain_path;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// How many entries a table or a list may have, and a profile once it is merged.
pub const MOST_ENTRIES: usize = 10_000;

/// Puts variables into one layer. Where a text has none, because a problem was reported, the value of its section's key is left
/// out, so that no second problem follows from the first.
pub struct Filling<'a, 'i> {
    /// What they mean here.
    pub variables: Variables<'i>,
    /// The words after PROFILE.
    pub words: &'a [At<String>],
    /// Where problems point.
    pub sources: &'a Sources,
    /// What is wrong.
    pub problems: &'a mut Problems,
    /// Whether this layer's command takes the words after PROFILE; `None` where it does not speak of the command.
    pub takes_args: Option<bool>,
    /// Texts that took something from the caller's environment: the value, and the text to show in its place.
    pub secrets: Vec<(String, String)>,
}

impl<'i> Filling<'_, 'i> {
    /// Puts variables into a value; `path` is the keys that lead to it.
    pub fn fill(&mut self, node: Node<'i>, path: &mut Vec<String>) -> Option<Node<'i>> {
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
        let word = |value: &DeValue<'_>| matches!(value, DeValue::String(word) if word == "default");
        // In these tables the word is a text like any other.
        let free = path.first().is_some_and(|section| ["env", "mounts", "rlimits"].contains(&section.as_str()));
        if word(&value) && path.len() <= 2 && !free {
            self.problems.push(structure(at));
            return None;
        }
        Some(value)
    }

    /// A text with its variables put in; one that is nothing but a parameter takes its type, but where only text makes sense.
    fn text(&mut self, text: &str, at: Span, path: &[String]) -> Option<DeValue<'i>> {
        if let Some(Value::Bare(bare)) = self.variables.whole(text).filter(|_| !wants_text(path)) {
            return DeValue::parse(bare).ok().map(Spanned::into_inner);
        }
        let value = self.expand(text, at)?;
        if path.first().is_some_and(|section| section == "mounts") && path.last().is_some_and(|key| key != "text") && value.contains(['\n', '\0']) {
            self.problems.push(Problem::new("mounts::path", at, "a variable brings a line break or a NUL byte into a path").label("with this value"));
            return None;
        }
        Some(DeValue::String(value.into()))
    }

    fn expand(&mut self, text: &str, at: Span) -> Option<String> {
        let value = self.variables.expand(text, at, self.sources, self.problems)?;
        if self.variables.is_secret(text) {
            self.secrets.push((value.clone(), text.to_owned()));
        }
        Some(value)
    }

    fn list(&mut self, array: DeArray<'i>, at: Span, path: &mut Vec<String>) -> Option<DeValue<'i>> {
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
                    for word in self.words {
                        out.push(Spanned::new(word.at.start as usize..word.at.end as usize, DeValue::String(word.value.clone().into())));
                    }
                }
                DeValue::String(text) if is_programs(path) && (text == COMMAND || text.strip_prefix('!') == Some(COMMAND)) => out.push(node),
                DeValue::String(text) if text.contains("${") => match self.elements(text, span.clone().into(), path) {
                    Some(values) => values.into_iter().for_each(|value| out.push(Spanned::new(span.clone(), value))),
                    None => complete = false,
                },
                _ => match self.fill(node, path) {
                    Some(node) => out.push(node),
                    None => complete = false,
                },
            }
        }
        complete.then_some(DeValue::Array(out))
    }

    /// What a text with variables becomes in a list: one value, or those of a parameter that is a list.
    fn elements(&mut self, text: &str, at: Span, path: &[String]) -> Option<Vec<DeValue<'i>>> {
        let values = match self.variables.whole(text) {
            Some(Value::List(items)) => items.iter().map(|item| DeValue::String(item.as_str().into())).collect(),
            _ => vec![self.text(text, at, path)?],
        };
        // `!` is an ordinary character in a command; in a set it withdraws, and what to withdraw is for the profile to say.
        let withdraws = |value: &DeValue<'_>| match value {
            DeValue::String(value) => value == "!*" || (value.starts_with('!') && !text.starts_with('!')),
            _ => false,
        };
        if !is_command(path) && values.iter().any(withdraws) {
            self.problems.push(structure(at));
            return None;
        }
        Some(values)
    }

    fn table(&mut self, table: DeTable<'i>, at: Span, path: &mut Vec<String>) -> Option<DeValue<'i>> {
        if table.len() > MOST_ENTRIES {
            self.problems.push(too_many("table", table.len(), at));
            return None;
        }
        let is_mounts = path.as_slice() == ["mounts"];
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let (mut out, mut complete) = (DeTable::new(), true);
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for (key, node) in entries {
            let name = if is_mounts { self.mount_path(key.get_ref(), key.span().into(), &mut seen) } else { Some(key.get_ref().to_string()) };
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
        // The text and its sections go on without the key; what is deeper is one value, and a part of it would be another.
        (complete || path.len() < 2).then_some(DeValue::Table(out))
    }

    /// The plain path of a mount's key; the same path twice in one file is an error, however it is spelt.
    fn mount_path(&mut self, key: &str, at: Span, seen: &mut BTreeMap<String, Span>) -> Option<String> {
        let expanded = self.expand(key, at)?;
        let path = match plain_path(&expanded) {
            Ok(_) if expanded.contains('\n') => Err("a path of a mount cannot hold a line break".into()),
            other => other,
        };
        match path {
            Ok(path) => {
                if let Some(first) = seen.insert(path.clone(), at) {
                    let message = format!("{} has two entries in one file", if self.variables.is_secret(key) { key } else { &path });
                    self.problems.push(Problem::new("mounts::twice", at, message).label("and here").also(first, "here"));
                    return None;
                }
                Some(path)
            }
            Err(why) => {
                let why = if self.variables.is_secret(key) { why.replace(&expanded, key) } else { why };
                let (message, help) = why.split_once("\nhelp: ").map_or((why.as_str(), None), |(message, help)| (message, Some(help.to_owned())));
                self.problems.push(Problem::new("mounts::path", at, message).help_maybe(help));
                None
            }
        }
    }
}

/// Replaces values of the caller's environment by the texts that name them: terminals and logs are no place for a token.
pub fn hide(problem: Problem, secrets: &[(String, String)]) -> Problem {
    let clean = |mut text: String| {
        for (value, written) in secrets {
            // A short value would be found in ordinary words, so of these only what is quoted is replaced.
            if value.len() > 6 {
                text = text.replace(value.as_str(), written);
            }
            text = text.replace(&format!("`{value}`"), &format!("`{written}`")).replace(&format!("{value:?}"), &format!("{written:?}"));
        }
        text
    };
    let Problem { code, message, at, label, also, help } = problem;
    Problem { code, message: clean(message), at, label, also, help: help.map(clean) }
}

/// A value that was put in says what a thing is, never what becomes of other layers.
fn structure(at: Span) -> Problem {
    Problem::new("variable::structure", at, "the value of this variable is a word that withdraws what is inherited")
        .help("write the word itself if that is meant")
}

fn too_many(what: &str, count: usize, at: Span) -> Problem {
    Problem::new("profile::size", at, format!("a {what} of {count}: {MOST_ENTRIES} entries are the most"))
}

/// Which command it is can be said only of all layers together, so the word stays.
fn is_programs(path: &[String]) -> bool {
    path == ["programs"]
}

fn is_command(path: &[String]) -> bool {
    path == ["process", "command"]
}

/// Where a number or a truth value of a parameter is put in as text, as the place takes nothing else.
fn wants_text(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(path.as_slice(), ["description"] | ["env", _] | ["env", _, "or"] | ["process", "command" | "arg0"] | ["mounts", _, "text" | "symlink"])
}
