//! A value as a profile writes it. Reading it gives the same value: texts are escaped, so that they
//! hold no variable.

use crate::text::problem::is_hostile;
use std::fmt;
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// A value in TOML, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Toml {
    /// A text that means itself.
    Text(String),
    /// A text in which a variable stays one.
    Raw(String),
    /// A number or a truth value.
    Bare(String),
    List(Vec<Toml>),
    /// Keys in the order in which they are written. No variable is put into them.
    Table(Vec<(String, Toml)>),
    /// The same as a section, whose keys follow its heading.
    #[cfg_attr(
        face_alone,
        allow(dead_code, reason = "the tests write whole profiles; tools are to")
    )]
    Section(Vec<(String, Toml)>),
}

impl Toml {
    /// A word of the language.
    pub(crate) fn word(word: impl Into<String>) -> Toml {
        Toml::Text(word.into())
    }

    /// A number, or `true`, or `false`.
    pub(crate) fn bare(value: impl ToString) -> Toml {
        Toml::Bare(value.to_string())
    }

    /// A value as it is written in a text, with its variables.
    pub(crate) fn of(value: &DeValue<'_>) -> Toml {
        match value {
            DeValue::String(text) => Toml::Raw(text.to_string()),
            DeValue::Integer(number) => Toml::bare(number),
            DeValue::Float(number) => Toml::bare(number),
            DeValue::Boolean(value) => Toml::bare(value),
            DeValue::Datetime(date) => Toml::bare(date),
            DeValue::Array(items) => {
                Toml::List(items.iter().map(|item| Toml::of(item.get_ref())).collect())
            }
            DeValue::Table(table) => {
                let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
                    (key.get_ref().to_string(), Toml::of(value.get_ref()))
                };
                Toml::Table(table.iter().map(entry).collect())
            }
        }
    }
}

impl fmt::Display for Toml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Toml::Text(text) => f.write_str(&literal(text)),
            Toml::Raw(text) => f.write_str(&quoted(text)),
            Toml::Bare(text) => f.write_str(text),
            Toml::List(items) => {
                let items: Vec<String> = items.iter().map(Toml::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Toml::Table(keys) | Toml::Section(keys) if keys.is_empty() => f.write_str("{}"),
            Toml::Table(keys) | Toml::Section(keys) => {
                let keys: Vec<String> =
                    keys.iter().map(|(key, value)| format!("{} = {value}", name(key))).collect();
                write!(f, "{{ {} }}", keys.join(", "))
            }
        }
    }
}

/// A text of lines: keys, then each section below its heading.
#[cfg_attr(face_alone, allow(dead_code, reason = "the tests write whole profiles; tools are to"))]
pub(crate) fn document(keys: &[(String, Toml)]) -> String {
    let mut out = String::new();
    lines("", keys, &mut out);
    out
}

#[cfg_attr(face_alone, allow(dead_code, reason = "the tests write whole profiles; tools are to"))]
fn lines(heading: &str, keys: &[(String, Toml)], out: &mut String) {
    let (sections, keys): (Vec<_>, Vec<_>) =
        keys.iter().partition(|(_, value)| matches!(value, Toml::Section(_)));
    if !heading.is_empty() && !keys.is_empty() {
        out.push_str(&format!("\n[{heading}]\n"));
    }
    keys.iter().for_each(|(key, value)| out.push_str(&format!("{} = {value}\n", name(key))));
    for (key, value) in sections {
        let Toml::Section(keys) = value else { continue };
        let dot = if heading.is_empty() { "" } else { "." };
        lines(&format!("{heading}{dot}{}", name(key)), keys, out);
    }
}

/// A key: bare where it can be.
pub(crate) fn name(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML: what TOML has no plain spelling for, and what would drive the reader's
/// terminal, is escaped as TOML does it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hostile(c) && u32::from(c) <= 0xffff => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c if is_hostile(c) => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text as TOML has it, with nothing in it that would be put in as a variable.
pub(crate) fn literal(text: &str) -> String {
    quoted(&without_variables(text))
}

/// The text in which what reads as a variable is itself: `$${x}` is a literal `${x}`, up to the
/// first `}`.
pub(crate) fn without_variables(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("${") {
        let end = rest[start..].find('}').map_or(rest.len(), |length| start + length + 1);
        out.push_str(&rest[..start]);
        out.push('$');
        out.push_str(&rest[start..end]);
        rest = &rest[end..];
    }
    out + rest
}
