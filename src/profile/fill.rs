//! Puts variables and the words after PROFILE into one layer, and makes the keys of `[mounts]` plain.
//!
//! What is put in never decides what becomes of other layers, and a mistake leaves its entry out, so that no second one follows from it.

use super::params::Value;
use super::variables::Variables;
use crate::problem::{Problem, Problems};
use crate::section::Node;
use crate::source::{At, Sources, Span};
use crate::value::plain_path;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

/// Whether a value is a text of the user's own, where no word withdraws: an environment variable, or what stands inside of an entry or list.
fn is_free_text(path: &[String]) -> bool {
    path.first().is_some_and(|section| section == "env") || path.len() > 2
}

/// Puts variables into one layer.
pub struct Filling<'a, 'i> {
    /// What they mean here.
    pub variables: Variables<'i>,
    /// The words after PROFILE.
    pub words: &'a [At<String>],
    /// Where the texts are.
    pub sources: &'a Sources,
    /// What is wrong.
    pub problems: &'a mut Problems,
    /// Whether this layer's command takes the words after PROFILE; `None` where it has no command.
    pub args: Option<bool>,
}

impl<'i> Filling<'_, 'i> {
    /// The value with its variables put in, or `None` where a problem was reported, so that no second one follows from it.
    pub fn fill(&mut self, node: Node<'i>, path: &mut Vec<String>) -> Option<Node<'i>> {
        let span = node.span();
        let value = match node.into_inner() {
            DeValue::String(text) => self.text(text, span.clone().into(), path)?,
            DeValue::Array(array) => self.list(array, path)?,
            DeValue::Table(table) => self.table(table, path)?,
            other => other,
        };
        Some(Spanned::new(span, value))
    }

    fn text(&mut self, text: DeString<'i>, at: Span, path: &[String]) -> Option<DeValue<'i>> {
        if !text.contains("${") {
            if path == ["process", "command"] {
                // The word "default" withdraws the command, and with it the place of the words after PROFILE.
                self.args = Some(false);
            }
            return Some(DeValue::String(text));
        }
        if let Some(Value::Bare(bare)) = self.variables.whole(&text)
            && let Ok(value) = DeValue::parse(bare)
        {
            return Some(value.into_inner());
        }
        let expanded = self.variables.expand(&text, at, self.sources, self.problems)?;
        if expanded == "default" && !is_free_text(path) {
            self.refuse_structure(at, "withdraws what is inherited");
            return None;
        }
        Some(DeValue::String(expanded.into()))
    }

    /// A value that was put in says what a thing is, never what becomes of other layers.
    fn refuse_structure(&mut self, at: Span, what: &str) {
        let problem = Problem::new("variable::structure", at, format!("the value of this variable is a word that {what}"));
        self.problems.push(problem.help("write the word itself if that is meant"));
    }

    fn list(&mut self, array: DeArray<'i>, path: &mut Vec<String>) -> Option<DeValue<'i>> {
        let is_command = path.as_slice() == ["process", "command"];
        if is_command {
            self.args = Some(false);
        }
        let (mut out, mut whole) = (DeArray::new(), true);
        for node in array {
            let span = node.span();
            let text = match node.get_ref() {
                DeValue::String(text) => text.clone().into_owned(),
                _ => String::new(),
            };
            match self.variables.whole(&text) {
                _ if is_command && text == "${ARGS}" => {
                    self.args = Some(true);
                    for word in self.words {
                        out.push(Spanned::new(word.at.start as usize..word.at.end as usize, DeValue::String(word.value.clone().into())));
                    }
                }
                Some(Value::List(items)) if !is_command && items.iter().any(|item| item.starts_with('!')) => {
                    self.refuse_structure(span.into(), "withdraws what is inherited");
                    whole = false;
                }
                Some(Value::List(items)) => items.iter().for_each(|item| out.push(Spanned::new(span.clone(), DeValue::String(item.clone().into())))),
                // A word is a text, also where a number was given.
                Some(Value::Bare(bare)) if is_command => out.push(Spanned::new(span, DeValue::String(bare.clone().into()))),
                _ => {
                    let Some(node) = self.fill_item(node, path) else {
                        whole = false;
                        continue;
                    };
                    let withdraws = matches!(node.get_ref(), DeValue::String(filled) if filled.starts_with('!') && !text.starts_with('!'));
                    if withdraws && !is_command {
                        self.refuse_structure(span.into(), "withdraws what is inherited");
                        whole = false;
                        continue;
                    }
                    out.push(node);
                }
            }
        }
        whole.then_some(DeValue::Array(out))
    }

    fn fill_item(&mut self, node: Node<'i>, path: &mut Vec<String>) -> Option<Node<'i>> {
        path.push("[]".into());
        let filled = self.fill(node, path);
        path.pop();
        filled
    }

    fn table(&mut self, table: DeTable<'i>, path: &mut Vec<String>) -> Option<DeValue<'i>> {
        let is_mounts = path.as_slice() == ["mounts"];
        let (mut out, mut whole) = (DeTable::new(), true);
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        let mut entries: Vec<_> = table.into_iter().collect();
        // In the order of the text, so that of two entries the second is the problem.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, node) in entries {
            let at = Span::from(key.span());
            let name = if is_mounts {
                let Some(name) = self.mount_path(key.get_ref(), at, &mut seen) else { continue };
                name
            } else {
                key.get_ref().to_string()
            };
            path.push(name.clone());
            let node = self.fill(node, path);
            path.pop();
            match node {
                Some(node) => drop(out.insert(Spanned::new(key.span(), name.into()), node)),
                None => whole = false,
            }
        }
        // An entry that lacks a part would only seem to be another mistake; a section without one of its keys is whole.
        (whole || path.len() < 2).then_some(DeValue::Table(out))
    }

    /// The plain path of a mount's key; the same path twice in one file is an error, however it is spelt.
    fn mount_path(&mut self, key: &str, at: Span, seen: &mut BTreeMap<String, Span>) -> Option<String> {
        let expanded = self.variables.expand(key, at, self.sources, self.problems)?;
        if expanded.contains('\n') {
            self.problems.push(Problem::new("mounts::path", at, "a path of a mount cannot hold a line break"));
            return None;
        }
        match plain_path(&expanded) {
            Ok(path) => {
                if let Some(first) = seen.insert(path.clone(), at) {
                    self.problems.push(Problem::new("mounts::twice", at, format!("{path} has two entries")).label("and here").also(first, "here"));
                }
                Some(path)
            }
            Err(why) => {
                let (message, help) = why.split_once("\nhelp: ").map_or((why.as_str(), None), |(message, help)| (message, Some(help.to_owned())));
                self.problems.push(Problem::new("mounts::path", at, message).help_maybe(help));
                None
            }
        }
    }
}
