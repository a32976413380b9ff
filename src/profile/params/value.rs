//! A parameter with its value, which must be of the declared type.

use super::declaration::Type;
use crate::language::read::{Node, Why};
use crate::language::reader::{AsWritten, Reader};
use crate::language::value::{Size, Time, Written, plain_path};
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Span};
use std::fmt;
use toml::de::DeValue;

/// A value, as text: what TOML would need is made of it when it is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::profile) enum Value {
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

/// A declared parameter with its value.
#[derive(Debug, Clone)]
pub(super) struct Param {
    pub(super) kind: Type,
    pub(super) values: Vec<String>,
    pub(super) help: Option<String>,
    pub(super) declared: Span,
    pub(super) value: Option<At<Value>>,
    /// A problem was reported: that there is no value follows from it and is no second one.
    pub(super) reported: bool,
    /// The value comes from the caller's environment.
    pub(super) secret: bool,
    /// The value is another's than the declaration's own.
    pub(super) given: bool,
}

impl Param {
    /// Where it has its value from.
    pub(super) fn at(&self) -> Span {
        self.value.as_ref().map_or(Span::NOWHERE, |value| value.at)
    }

    /// Takes a value of a profile, if it is of the type; else the value that it had stays.
    pub(super) fn take(
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

    pub(super) fn refuse(&self, name: &str, why: Option<&Why>, at: Span) -> Problem {
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

    pub(super) fn read_text(&self, text: &str) -> Result<Value, Why> {
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
