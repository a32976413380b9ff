//! `[params]`: what a profile leaves to its user, by name and type.

mod declaration;
mod value;

use crate::language::layers::{Changes, Effect};
use crate::language::read::{Node, Why};
use crate::language::reader::{AsWritten, Reader};
use crate::language::section::table;
use crate::text::paths::from_directory;
use crate::text::problem::{Problem, Problems, suggestion};
use crate::text::source::{At, Sources, Span};
pub(super) use declaration::Declarations;
use declaration::{Declaration, Type};
use serde::Serialize;
use std::collections::BTreeMap;
use toml::de::DeValue;
use value::Param;
pub(super) use value::Value;

/// A parameter that a profile declares, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Declared {
    pub name: String,
    /// The word of its type.
    pub r#type: &'static str,
    /// What the type `enum` lets choose from.
    pub values: Vec<String>,
    /// Its default, as `--set` would write it; `None` if it must be given. Values of the caller's
    /// environment are not shown.
    pub value: Option<String>,
    /// What it is for.
    pub help: Option<String>,
    /// Where it is declared.
    #[serde(skip)]
    pub at: Span,
    /// Where the value is given, if it is not the declaration's own.
    #[serde(skip)]
    pub given: Option<Span>,
}

/// The parameters of all layers.
#[derive(Debug, Default)]
pub(super) struct Params {
    map: BTreeMap<String, Param>,
    /// Which layers declared and gave each, if it is recorded: name, change, place, and the value
    /// before.
    history: Option<Vec<(String, Effect, Span, Span)>>,
}

impl Params {
    /// No parameters yet; `recorded` is whether to record which layer gave what.
    pub(super) fn new(recorded: bool) -> Params {
        Params { map: BTreeMap::new(), history: recorded.then(Vec::new) }
    }

    /// Records which layers declared and gave each.
    pub(super) fn record_changes(&self, changes: &mut Changes) {
        for (name, effect, at, before) in self.history.iter().flatten() {
            changes.enter("params");
            changes.enter(name);
            changes.record(*effect, *at, *before);
            changes.leave();
            changes.leave();
        }
    }

    fn record(&mut self, name: &str, effect: Effect, at: Span, before: Span) {
        if let Some(history) = &mut self.history {
            history.push((name.to_owned(), effect, at, before));
        }
    }

    /// All of them, by name.
    pub(super) fn declared(&self) -> Vec<Declared> {
        let all = self.map.iter().map(|(name, param)| Declared {
            name: name.clone(),
            r#type: param.kind.word(),
            values: param.values.clone(),
            value: param.value.as_ref().map(|value| {
                if param.secret { "${env:..}".into() } else { value.value.to_string() }
            }),
            help: param.help.clone(),
            at: param.declared,
            given: param.given.then(|| param.at()),
        });
        all.collect()
    }

    /// Where a parameter has its value from.
    pub(super) fn place(&self, name: &str) -> Option<Span> {
        Some(self.map.get(name)?.value.as_ref()?.at)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// The value of a parameter; `None` for an unknown name, and `Some(None)` where a problem was
    /// reported already.
    pub(super) fn value(&self, name: &str) -> Option<Option<&Value>> {
        self.map.get(name).map(|param| param.value.as_ref().map(|value| &value.value))
    }

    /// Whether the value of a parameter comes from the caller's environment.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|param| param.secret)
    }

    /// Reads `[params]` of one layer: a table declares, anything else gives an inherited parameter
    /// its value. `expand` puts variables into a text.
    pub(super) fn read(
        &mut self,
        key: At<&str>,
        node: &Node<'_>,
        expand: &mut dyn FnMut(&str, Span) -> Option<String>,
        problems: &mut Problems,
    ) {
        let entries = table(key, node, &mut Reader { origin: &AsWritten, problems });
        for (name, node) in entries {
            let well_named = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !well_named {
                problems.push(
                    Problem::new(
                        "params::name",
                        name.at,
                        format!(
                            "cannot declare the parameter `{}`: a name is lower case, digits and `-`",
                            name.value
                        ),
                    )
                    .help("such as: project = { type = \"path\" }"),
                );
                continue;
            }
            match node.get_ref() {
                DeValue::Table(_) => self.declare(name, node, expand, problems),
                _ => self.give(name, node, expand, problems),
            }
        }
    }

    fn declare(
        &mut self,
        name: At<&str>,
        node: &Node<'_>,
        expand: &mut dyn FnMut(&str, Span) -> Option<String>,
        problems: &mut Problems,
    ) {
        let whole = Span::from(node.span());
        let mut param = Param {
            kind: Type::Text,
            values: vec![],
            help: None,
            declared: name.at,
            value: None,
            reported: true,
            secret: false,
            given: false,
        };
        let mut reader = Reader { origin: &AsWritten, problems };
        if let Some(Declaration { r#type, values, _default, help }) = reader.value(name, node) {
            let values = values.unwrap_or_default();
            if (r#type.value == Type::Enum) == values.is_empty() {
                problems.push(Problem::new(
                    "params::values",
                    r#type.at,
                    format!(
                        "cannot declare the parameter `{}`: `values` goes with the type `enum`, \
                         and must be there for it",
                        name.value
                    ),
                ));
            } else {
                param = Param { kind: r#type.value, values, help, reported: false, ..param };
                if let (Some(_), DeValue::Table(table)) = (_default, node.get_ref()) {
                    let default = table.get("default");
                    default.iter().for_each(|node| param.take(name.value, node, expand, problems));
                }
            }
        }
        self.record(name.value, Effect::Declared, whole, Span::NOWHERE);
        self.map.insert(name.value.to_owned(), param);
    }

    fn give(
        &mut self,
        name: At<&str>,
        node: &Node<'_>,
        expand: &mut dyn FnMut(&str, Span) -> Option<String>,
        problems: &mut Problems,
    ) {
        let Some(param) = self.map.get_mut(name.value) else {
            let help =
                suggestion(name.value, self.map.keys().map(String::as_str)).unwrap_or_else(|| {
                    format!("to declare it: {} = {{ type = \"string\" }}", name.value)
                });
            problems.push(
                Problem::new(
                    "params::unknown",
                    name.at,
                    format!(
                        "cannot set the parameter `{}`: no layer below declares it",
                        name.value
                    ),
                )
                .help(help),
            );
            return;
        };
        let (before, at) = (param.at(), Span::from(node.span()));
        param.take(name.value, node, expand, problems);
        param.given |= param.at() == at;
        self.record(name.value, given(before), at, before);
    }

    /// `--set NAME=VALUE`, the strongest.
    pub(super) fn set(
        &mut self,
        name: &str,
        text: &str,
        cwd: &str,
        sources: &mut Sources,
        problems: &mut Problems,
    ) {
        let base = sources.add("--set", &format!("{name}={text}")) as usize;
        let name_at = Span::from(base..base + name.len());
        let value_at = Span::from(base + name.len() + 1..base + name.len() + 1 + text.len());
        let Some(param) = self.map.get_mut(name) else {
            let help = suggestion(name, self.map.keys().map(String::as_str)).unwrap_or_else(|| {
                if self.map.is_empty() {
                    "it has no parameters: leave `--set` out".into()
                } else {
                    format!("it has {}", self.map.keys().cloned().collect::<Vec<_>>().join(", "))
                }
            });
            problems.push(
                Problem::new(
                    "params::unknown",
                    name_at,
                    format!("cannot set the parameter `{name}`: the profile has none of that name"),
                )
                .help(help),
            );
            return;
        };
        let relative = param.kind == Type::Path && !text.starts_with('/') && !text.is_empty();
        let checked = match relative {
            true if cwd.is_empty() => {
                let why = "it is relative, and the caller's directory was removed or has no path";
                Err(Why::new(why))
            }
            true => param.read_text(&from_directory(text, cwd).unwrap_or_else(|| text.to_owned())),
            false => param.read_text(text),
        };
        param.secret = false;
        let before = param.at();
        match checked {
            Ok(value) => {
                param.value = Some(At::new(value, value_at));
                param.given = true;
                self.record(name, given(before), value_at, before);
            }
            Err(why) => {
                param.reported = true;
                problems.push(param.refuse(name, Some(&why), value_at));
            }
        }
    }

    /// Every parameter must have a value by now.
    pub(super) fn settle(&self, words: &[String], problems: &mut Problems) {
        let is_behind = |name: &str| {
            let gives = |word: &str| word.split_once('=').is_some_and(|(given, _)| given == name);
            words.windows(2).any(|pair| pair[0] == "--set" && gives(&pair[1]))
                || words.iter().any(|word| word.strip_prefix("--set=").is_some_and(gives))
        };
        for (name, param) in
            self.map.iter().filter(|(_, param)| param.value.is_none() && !param.reported)
        {
            let problem = Problem::new(
                "params::missing",
                param.declared,
                format!("the parameter `{name}` has no value"),
            );
            let help = if is_behind(name) {
                format!(
                    "words behind PROFILE are the target's: stockade run --set {name}=VALUE PROFILE"
                )
            } else {
                format!("give it one: --set {name}=VALUE, or declare a default")
            };
            problems.push(problem.label("declared here").help(help));
        }
    }
}

/// What a value does over another, or over none.
fn given(before: Span) -> Effect {
    if before.is_somewhere() { Effect::Replaced } else { Effect::Set }
}
