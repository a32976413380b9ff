//! How a value of a profile is read, and how it is written: [`Read`] is the one trait of a type
//! that can be a value.

use crate::language::fill::Fill;
use crate::language::shape::Shaped;
use crate::language::spelled::Toml;
pub(crate) use crate::language::why::{Kind, Node, Why, Wrongs};
use crate::text::source::{At, Span};
use std::collections::BTreeMap;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// A type that a profile can write as a value.
pub(crate) trait Read: Shaped + Sized {
    /// How variables are put into it.
    const FILL: Fill = Fill::VALUE;
    /// Takes a value, or says all that is wrong with it.
    fn read(node: &Node<'_>) -> Result<Self, Wrongs>;
    /// The value as a profile writes it: read again, it is the same.
    fn spell(&self) -> Toml;

    /// What it is in a table without its key, where that may be missing.
    fn absent() -> Option<Self> {
        None
    }
    /// The value of its key in a table, if the key must be written.
    fn spell_key(&self) -> Option<Toml> {
        Some(self.spell())
    }
}

const DATE: &str = "a date or a time of day is no value of this language";

/// A date somewhere in a value: no value has one, so whatever else is wrong may follow from it.
pub(crate) fn date_in(node: &Node<'_>) -> Option<Wrongs> {
    match node.get_ref() {
        DeValue::Datetime(_) => Some(mismatch(node, "")),
        DeValue::Array(items) => items.iter().find_map(date_in),
        DeValue::Table(table) => table.values().find_map(date_in),
        _ => None,
    }
}

/// A value of another type than the expected.
#[inline(never)]
pub(crate) fn mismatch(node: &Node<'_>, expected: &str) -> Wrongs {
    let expected = |found: &str| Why::new(format!("expected {expected}, found {found}"));
    let quoted = |what: &str, found: String| expected(what).and(found, "`");
    let why = match node.get_ref() {
        DeValue::Datetime(_) => Why::new(DATE).help("put it in quotes if it is a text"),
        DeValue::String(text) => expected("string ").and_text(text),
        DeValue::Integer(number) => match decimal(number) {
            Some(digits) => quoted("integer `", digits),
            None => Why::new("integer number overflowed"),
        },
        DeValue::Float(number) => match float(number) {
            Some(number) => quoted("number `", with_point(number)),
            None => Why::new("floating-point number overflowed"),
        },
        DeValue::Boolean(value) => quoted("boolean `", value.to_string()),
        DeValue::Array(_) => expected("a list"),
        DeValue::Table(_) => expected("a table"),
    };
    why.at(node)
}

/// An integer as digits, whatever base it is written in.
fn decimal(number: &DeInteger<'_>) -> Option<String> {
    let (digits, radix) = (number.as_str(), number.radix());
    let signed = i128::from_str_radix(digits, radix).ok().map(|number| number.to_string());
    signed.or_else(|| u128::from_str_radix(digits, radix).ok().map(|number| number.to_string()))
}

/// A number that is written with a point.
pub(crate) fn float(number: &DeFloat<'_>) -> Option<f64> {
    let text = number.as_str();
    text.parse::<f64>().ok().filter(|number| !number.is_infinite() || text.contains("inf"))
}

fn with_point(number: f64) -> String {
    let text = number.to_string();
    if number.is_finite() && !text.contains('.') { text + ".0" } else { text }
}

/// An integer, where it is one that 64 bits with a sign hold.
pub(crate) fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

// ---- values of the standard library ----

impl<T: Read> Read for Option<T> {
    const FILL: Fill = T::FILL;
    fn read(node: &Node<'_>) -> Result<Option<T>, Wrongs> {
        T::read(node).map(Some)
    }
    fn spell(&self) -> Toml {
        self.spell_key().unwrap_or(Toml::Table(vec![]))
    }
    fn absent() -> Option<Option<T>> {
        Some(None)
    }
    fn spell_key(&self) -> Option<Toml> {
        self.as_ref().map(T::spell)
    }
}

impl<T: Read> Read for At<T> {
    const FILL: Fill = T::FILL;
    fn read(node: &Node<'_>) -> Result<At<T>, Wrongs> {
        Ok(At::new(T::read(node)?, node.span().into()))
    }
    fn spell(&self) -> Toml {
        self.value.spell()
    }
}

impl<T: Read> Read for Vec<T> {
    const FILL: Fill = T::FILL;
    fn read(node: &Node<'_>) -> Result<Vec<T>, Wrongs> {
        list(node, "a list")
    }
    fn spell(&self) -> Toml {
        Toml::List(self.iter().map(T::spell).collect())
    }
}

/// The items of a list.
pub(crate) fn list<T: Read>(node: &Node<'_>, expected: &str) -> Result<Vec<T>, Wrongs> {
    let DeValue::Array(items) = node.get_ref() else { return Err(mismatch(node, expected)) };
    let (mut out, mut wrongs) = (Vec::with_capacity(items.len()), Wrongs::none());
    for item in items.iter() {
        if wrongs.is_full() {
            break;
        }
        out.extend(wrongs.take(T::read(item)));
    }
    wrongs.or(out)
}

/// The entries of a table, each with the place of its name.
pub(crate) fn entries<'n, 'i>(
    node: &'n Node<'i>,
    expected: &str,
) -> Result<&'n DeTable<'i>, Wrongs> {
    match node.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err(mismatch(node, expected)),
    }
}

/// The place of a key of a table, or of the table itself if it has no such key.
#[inline(never)]
pub(crate) fn place_of(node: &Node<'_>, name: &str) -> Span {
    let DeValue::Table(table) = node.get_ref() else { return node.span().into() };
    let key = table.keys().find(|key| key.get_ref() == name);
    key.map_or(node.span(), |key| key.span()).into()
}

/// A table of the profile's own names.
pub(crate) fn map<T: Read>(node: &Node<'_>) -> Result<BTreeMap<String, T>, Wrongs> {
    let (mut out, mut wrongs) = (BTreeMap::new(), Wrongs::none());
    for (name, value) in entries(node, "a table")? {
        if wrongs.is_full() {
            break;
        }
        if let Some(value) = wrongs.take(T::read(value)) {
            out.insert(name.get_ref().to_string(), value);
        }
    }
    wrongs.or(out)
}

/// The same as it is written.
pub(crate) fn spell_map<T: Read>(map: &BTreeMap<String, T>) -> Toml {
    Toml::Table(map.iter().map(|(name, value)| (name.clone(), value.spell())).collect())
}

impl Read for String {
    const FILL: Fill = Fill::TEXT;
    fn read(node: &Node<'_>) -> Result<String, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(mismatch(node, "a string")),
        }
    }
    fn spell(&self) -> Toml {
        Toml::Text(self.clone())
    }
}

impl Read for bool {
    fn read(node: &Node<'_>) -> Result<bool, Wrongs> {
        match node.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(mismatch(node, "a boolean")),
        }
    }
    fn spell(&self) -> Toml {
        Toml::Bare(self.to_string())
    }
}

impl Read for u32 {
    fn read(node: &Node<'_>) -> Result<u32, Wrongs> {
        whole(node).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| not_whole(node))
    }
    fn spell(&self) -> Toml {
        Toml::Bare(self.to_string())
    }
}

impl Read for u64 {
    fn read(node: &Node<'_>) -> Result<u64, Wrongs> {
        whole(node).ok_or_else(|| not_whole(node))
    }
    fn spell(&self) -> Toml {
        Toml::Bare(self.to_string())
    }
}

fn whole(node: &Node<'_>) -> Option<u64> {
    match node.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn not_whole(node: &Node<'_>) -> Wrongs {
    mismatch(node, "a whole number")
}
