//! `[params]`: what a profile leaves to its user, by name and type.

use crate::language::layers::{Changes, Deed};
use crate::language::read::{Node, Read, Why, Wrongs};
use crate::language::reader::{AsWritten, Reader};
use crate::language::section::table;
use crate::language::shape::{Named, Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{Size, Time, Written, plain_path, words};
use crate::text::problem::{Problem, Problems, suggestion};
use crate::text::source::{At, Sources, Span};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use toml::de::DeValue;

words! {
    /// The type of a parameter.
    Type {
        /// Any text.
        Text = "string",
        /// An absolute path; a relative one is taken from the caller's directory on the command
        /// line.
        Path = "path",
        /// A whole number.
        Integer = "integer",
        /// A size such as "64M".
        Size = "size",
        /// A time such as "30s".
        Duration = "duration",
        /// true or false.
        Boolean = "boolean",
        /// One of `values`.
        Enum = "enum",
        /// A list of texts.
        List = "list",
    }
}
/// A declared parameter with its value.
#[derive(Debug, Clone)]
pub(super) struct Param {
    kind: Type,
    values: Vec<String>,
    help: Option<String>,
    declared: Span,
    value: Option<At<Value>>,
    /// A problem was reported: that there is no value follows from it and is no second one.
    reported: bool,
    /// The value comes from the caller's environment.
    secret: bool,
    /// The value is another's than the declaration's own.
    given: bool,
}

/// A parameter, for those who ask what a profile leaves to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Declared {
    pub name: String,
    /// The word of its type.
    pub r#type: &'static str,
    /// What the type `enum` lets choose from.
    pub values: Vec<String>,
    /// What it is where nothing more is said, as `--set` would write it; none where it must be
    /// given. What the caller's environment holds is not shown.
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

/// A value, as text: what TOML would need is made of it when it is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// A number in decimal, or `true`, or `false`: TOML as it is.
    Bare(String),
    /// A list of texts.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Bare(text) => f.write_str(text),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// The parameters of all layers.
#[derive(Debug, Default)]
pub(super) struct Params {
    map: BTreeMap<String, Param>,
    /// Who declared and who gave, where somebody asks: name, deed, place, and the value before.
    history: Option<Vec<(String, Deed, Span, Span)>>,
}

table! {
    /// The declaration of a parameter.
    struct Declaration {
        /// Its type.
        r#type: At<Type>,
        /// The words of the type `enum`.
        values: Option<Vec<String>>,
        /// Its value where nothing gives another; without a default it must be given.
        _default: Option<Given>,
        /// What it is for, for people.
        help: Option<String>,
    }
}

/// A value of any type of parameter. The declaration's other keys say which, so it is read apart
/// from them.
struct Given(Toml);

impl Read for Given {
    fn read(node: &Node<'_>) -> Result<Given, Wrongs> {
        Ok(Given(Toml::of(node.get_ref())))
    }
    fn spell(&self) -> Toml {
        self.0.clone()
    }
}

impl Shaped for Given {
    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Text,
            Shape::Integer(i64::MIN, i64::MAX),
            Shape::Boolean,
            Vec::<String>::shape(),
        ])
    }
}

/// `[params]`.
#[derive(Debug, Clone)]
pub struct Declarations;

impl Shaped for Declarations {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        let doc = "A table declares a parameter; any other value gives an inherited one its value. \
                   `--set NAME=VALUE` is stronger than both.";
        let value = Shape::either(&[Declaration::shape, Given::shape]);
        Shape::Named(Named {
            doc,
            name: "NAME",
            form: "^[a-z][a-z0-9-]*$",
            fills: false,
            value: Box::new(value),
        })
    }
}

impl Params {
    /// None, yet; `told` is whether somebody will ask who gave what.
    pub(super) fn new(told: bool) -> Params {
        Params { map: BTreeMap::new(), history: told.then(Vec::new) }
    }

    /// Says who declared and who gave.
    pub(super) fn tell(&self, changes: &mut Changes) {
        for (name, deed, at, before) in self.history.iter().flatten() {
            changes.enter("params");
            changes.enter(name);
            changes.record(*deed, *at, *before);
            changes.leave();
            changes.leave();
        }
    }

    fn record(&mut self, name: &str, deed: Deed, at: Span, before: Span) {
        if let Some(history) = &mut self.history {
            history.push((name.to_owned(), deed, at, before));
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
                if let (Some(Given(_)), DeValue::Table(table)) = (_default, node.get_ref()) {
                    let default = table.get("default");
                    default.iter().for_each(|node| param.take(name.value, node, expand, problems));
                }
            }
        }
        self.record(name.value, Deed::Declared, whole, Span::NOWHERE);
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
                    "it has none".into()
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
            true => param.read_text(&format!("{cwd}/{text}")),
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
                format!("cannot settle the parameter `{name}`: it has no value"),
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
fn given(before: Span) -> Deed {
    if before.is_somewhere() { Deed::Replaced } else { Deed::Set }
}

impl Param {
    /// Where it has its value from.
    fn at(&self) -> Span {
        self.value.as_ref().map_or(Span::NOWHERE, |value| value.at)
    }

    /// Takes a value of a profile, if it is of the type; else the value that it had stays.
    fn take(
        &mut self,
        name: &str,
        node: &Node<'_>,
        expand: &mut dyn FnMut(&str, Span) -> Option<String>,
        problems: &mut Problems,
    ) {
        let at = Span::from(node.span());
        let secret = mentions_environment(node);
        match self.check(name, node, expand, problems) {
            Some(Ok(value)) => {
                self.value = Some(At::new(value, at));
                self.secret = secret;
            }
            Some(Err(why)) => {
                self.reported = true;
                problems.push(self.refuse(name, why.as_ref().filter(|_| !secret), at));
            }
            None => self.reported = true,
        }
    }

    /// `None` where a problem was reported.
    fn check(
        &self,
        name: &str,
        node: &Node<'_>,
        expand: &mut dyn FnMut(&str, Span) -> Option<String>,
        problems: &mut Problems,
    ) -> Option<Result<Value, Option<Why>>> {
        Some(match (node.get_ref(), self.kind) {
            (DeValue::Array(_), Type::List) => {
                let mut reader = Reader { origin: &AsWritten, problems };
                let items: Vec<At<String>> = reader.value(At::unsaid(name), node)?;
                let items: Vec<Option<String>> =
                    items.iter().map(|item| expand(item, item.at)).collect();
                Ok(Value::List(items.into_iter().collect::<Option<_>>()?))
            }
            (DeValue::String(text), kind) if kind != Type::List => {
                self.read_text(&expand(text, node.span().into())?).map_err(Some)
            }
            (DeValue::Integer(number), Type::Integer | Type::Size) if number.radix() == 10 => {
                self.read_text(number.as_str()).map_err(Some)
            }
            (DeValue::Integer(_), Type::Integer | Type::Size) => {
                Err(Some(Why::new("write the number in decimal")))
            }
            (DeValue::Boolean(value), Type::Boolean) => Ok(Value::Bare(value.to_string())),
            _ => Err(None),
        })
    }

    fn refuse(&self, name: &str, why: Option<&Why>, at: Span) -> Problem {
        let because = why.map(|why| format!(": {}", why.sentence(None))).unwrap_or_default();
        let problem = Problem::new(
            "params::type",
            at,
            format!("cannot give `{name}` this value: it is of type `{}`{because}", self.kind),
        )
        .also(self.declared, "declared here");
        if self.kind == Type::Enum {
            problem.help(format!("one of {}", self.values.join(", ")))
        } else {
            problem
        }
    }

    fn read_text(&self, text: &str) -> Result<Value, Why> {
        match self.kind {
            Type::Text => Ok(Value::Text(text.into())),
            Type::Path if text.contains('\n') => {
                Err(Why::new("a path with a line break is refused"))
            }
            Type::Path => plain_path(text).map(Value::Text),
            Type::Integer => text
                .parse::<i64>()
                .map(|number| Value::Bare(number.to_string()))
                .map_err(|_| Why::not(text, "` is not a whole number")),
            Type::Size => Size::from_text(text).map(|size| Value::Text(size.to_string())),
            Type::Duration => Time::from_text(text).map(|time| Value::Text(time.to_string())),
            Type::Boolean if text == "true" || text == "false" => Ok(Value::Bare(text.into())),
            Type::Boolean => Err(Why::not(text, "` is neither true nor false")),
            Type::Enum if self.values.iter().any(|value| value == text) => {
                Ok(Value::Text(text.into()))
            }
            Type::Enum => Err(Why::not(text, "` is not one of its values")),
            Type::List => Ok(Value::List(
                text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect(),
            )),
        }
    }
}

fn mentions_environment(node: &Node<'_>) -> bool {
    match node.get_ref() {
        DeValue::String(text) => text.contains("${env:"),
        DeValue::Array(items) => items.iter().any(mentions_environment),
        _ => false,
    }
}
