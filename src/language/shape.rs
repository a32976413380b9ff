//! What a value of a profile looks like, as data. Every type that a profile can write says it of
//! itself; the JSON Schema, the reference and the man page are made of it. Nothing here says what a
//! profile may say.

use crate::text::problem::suggestion;
use crate::text::source::At;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Visitor};
use std::fmt;

/// What a value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// A text of a certain form: what it is in words, and the form as a regular expression of JSON
    /// Schema.
    Form(&'static str, String),
    /// One of these words.
    Words(Vec<Word>),
    /// A number within bounds.
    Integer(i64, i64),
    /// A number within bounds, with or without a fraction; the bounds as they are written.
    Number(&'static str, &'static str),
    /// `true` or `false`.
    Boolean,
    /// `true` alone.
    True,
    /// A list that a stronger layer replaces whole.
    Sequence(Box<Shape>),
    /// A list that is united over layers.
    Set(Box<Shape>),
    /// A table whose keys the language names.
    Table(Table),
    /// A table whose keys are the user's own names.
    Named(Named),
    Either(Vec<Shape>),
    /// The value of a key: the word `"default"` stands there too, and withdraws what is inherited.
    Key(Box<Shape>),
    /// An entry of a table that merges name by name: `false` stands there too, and withdraws an
    /// inherited entry.
    Entry(Box<Shape>),
    /// A shape that stands in many places: its name, by which the schema has it once, and what it
    /// is in words, where its parts are too many to list.
    Part(&'static str, &'static str, Box<Shape>),
    /// What the loader reads before everything else: no variable and no `"default"` stands there.
    Early(Box<Shape>),
}

/// A word and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it is written.
    pub word: String,
    /// Its words; empty for names of the kernel's.
    pub doc: &'static str,
}

/// A table whose keys the language names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub doc: &'static str,
    /// Its keys, in the order of their declaration.
    pub keys: Vec<KeyShape>,
}

/// A table whose keys are the user's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub doc: &'static str,
    /// What a name is, for the reference.
    pub name: &'static str,
    /// What a name looks like, as a regular expression.
    pub form: &'static str,
    /// Whether variables are put into names.
    pub fills: bool,
    /// What stands under each name.
    pub value: Box<Shape>,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShape {
    /// As a profile writes it.
    pub name: String,
    pub doc: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// When it is there.
    pub need: Need,
}

/// When a key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Where the profile speaks of it.
    Optional,
    Required,
    /// Exactly one of the keys of this sort is there: it says what the table is.
    Kind,
    /// Only together with one of these.
    With(Vec<&'static str>),
}

/// A type that a profile can write.
pub trait Shaped {
    /// When a key of this type is there.
    const NEED: Need = Need::Required;
    /// What its values look like.
    fn shape() -> Shape;
}

// These take functions, not types, and are never inlined: the launcher carries the code of every
// shape, and a run uses none of it.
impl Shape {
    /// A text of a certain form.
    pub fn form(what: &'static str, form: impl Into<String>) -> Shape {
        Shape::Form(what, form.into())
    }

    /// One of some words that need no explanation.
    pub fn names(words: impl IntoIterator<Item = impl Into<String>>) -> Shape {
        Shape::Words(words.into_iter().map(|word| Word { word: word.into(), doc: "" }).collect())
    }

    /// One of some words, each with what it means.
    #[inline(never)]
    pub fn words(words: &[&'static str], docs: &[&'static str]) -> Shape {
        Shape::Words(
            words
                .iter()
                .zip(docs)
                .map(|(word, doc)| Word { word: (*word).to_owned(), doc })
                .collect(),
        )
    }

    /// Any of some shapes.
    #[inline(never)]
    pub fn either(shapes: &[fn() -> Shape]) -> Shape {
        Shape::Either(shapes.iter().map(|shape| shape()).collect())
    }

    /// One shape in another.
    #[inline(never)]
    pub fn within(outer: fn(Box<Shape>) -> Shape, inner: fn() -> Shape) -> Shape {
        outer(Box::new(inner()))
    }

    /// The keys of a table, through what stands round it.
    pub fn keys(&self) -> &[KeyShape] {
        match self {
            Shape::Table(table) => &table.keys,
            Shape::Key(shape) | Shape::Early(shape) | Shape::Entry(shape) => shape.keys(),
            _ => &[],
        }
    }

    /// The same, to narrow what a declaration says of all.
    pub fn keys_mut(&mut self) -> &mut [KeyShape] {
        match self {
            Shape::Table(table) => &mut table.keys,
            _ => &mut [],
        }
    }
}

impl Table {
    /// A table without keys.
    pub fn new(doc: &'static str) -> Table {
        Table { doc, keys: vec![] }
    }

    /// Adds a key, by the name of its Rust field.
    #[inline(never)]
    pub fn add(&mut self, field: &str, doc: &'static str, shape: fn() -> Shape, need: Need) {
        self.keys.push(KeyShape { name: key_name(field), doc, shape: shape(), need });
    }
}

impl<T: Shaped> Shaped for Option<T> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Shaped> Shaped for At<T> {
    const NEED: Need = T::NEED;
    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Shaped> Shaped for Vec<T> {
    fn shape() -> Shape {
        Shape::within(Shape::Sequence, T::shape)
    }
}

impl Shaped for String {
    fn shape() -> Shape {
        Shape::Text
    }
}

impl Shaped for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }
}

impl Shaped for u32 {
    fn shape() -> Shape {
        Shape::Integer(0, i64::from(u32::MAX))
    }
}

impl Shaped for u64 {
    fn shape() -> Shape {
        Shape::Integer(0, i64::MAX)
    }
}

/// The words of a doc comment as one line.
pub fn flat(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same without the marks of code, for a reader that shows text as it is.
pub(crate) fn plain(doc: &str) -> String {
    flat(doc).replace('`', "")
}

/// The place of a key of a [`table!`]: an `Option` may stay empty.
pub(crate) trait Slot: Sized {
    /// What is read.
    type Value: DeserializeOwned;
    /// What becomes of what was read; `None` where it is missing.
    fn settle(read: Option<Self::Value>) -> Option<Self>;
}

impl<T: DeserializeOwned> Slot for Option<T> {
    type Value = T;
    fn settle(read: Option<T>) -> Option<Option<T>> {
        Some(read)
    }
}

impl<T: DeserializeOwned> Slot for At<T> {
    type Value = At<T>;
    fn settle(read: Option<At<T>>) -> Option<At<T>> {
        read
    }
}

impl Slot for u32 {
    type Value = u32;
    fn settle(read: Option<u32>) -> Option<u32> {
        read
    }
}

/// The key that a Rust field is.
fn key_name(field: &str) -> String {
    field.trim_start_matches("r#").trim_start_matches('_').replace('_', "-")
}

/// Why a table without a key is none.
#[inline(never)]
pub(crate) fn missing_key(field: &str) -> String {
    let name = key_name(field);
    format!("the key `{name}` is missing")
}

/// Reads a key: which of these fields it is. A key that is none is an error at its own place, so it
/// is read by a seed.
pub(crate) struct Fields<'f>(pub &'f [&'f str]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Fields<'_> {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<usize, E> {
        let names: Vec<String> = self.0.iter().map(|field| key_name(field)).collect();
        names.iter().position(|name| name == key).ok_or_else(|| {
            let names = || names.iter().map(String::as_str);
            let help = suggestion(key, names())
                .unwrap_or_else(|| format!("write {}", names().collect::<Vec<_>>().join(", ")));
            E::custom(format!("unknown key `{key}`\nhelp: {help}"))
        })
    }
}

/// Declares a small table that stands as a value: gives its struct, its parser and its shape. After
/// a field's type, `= Need::..` says when the key is there, where the type does not.
///
/// The parser is no derived one: with suggestions it has half the code, and the launcher is to stay
/// small.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $(#[derive($($derive:path),+ $(,)?)])?
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field_vis:vis $field:ident: $type:ty $(= $need:expr)?, )+
        }
    ) => {
        $(#[doc = $doc])+
        $(#[derive($($derive),+)])?
        $vis struct $name {
            $( $(#[doc = $field_doc])+ $field_vis $field: $type, )+
        }

        impl $name {
            /// Its keys, by the names of the fields.
            $vis const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];

            /// Reads the table from inside a visitor.
            #[allow(unused_assignments, reason = "the last field's number is not followed by another")]
            $vis fn read<'de, A: serde::de::MapAccess<'de>>(mut map: A) -> Result<$name, A::Error> {
                $( let mut $field: Option<<$type as $crate::language::shape::Slot>::Value> = None; )+
                while let Some(found) = map.next_key_seed($crate::language::shape::Fields(Self::FIELDS))? {
                    let mut number = 0;
                    $(
                        if number == found {
                            $field = Some(map.next_value()?);
                        }
                        number += 1;
                    )+
                }
                Ok($name { $( $field: match $crate::language::shape::Slot::settle($field) {
                    Some(value) => value,
                    None => return Err(serde::de::Error::custom($crate::language::shape::missing_key(stringify!($field)))),
                }, )+ })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct TableVisitor;
                impl<'de> serde::de::Visitor<'de> for TableVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a table")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::read(map)
                    }
                }
                deserializer.deserialize_any(TableVisitor)
            }
        }

        impl $crate::language::shape::Shaped for $name {
            fn shape() -> $crate::language::shape::Shape {
                let mut table = $crate::language::shape::Table::new(concat!($($doc, "\n"),+));
                $( {
                    let need = <$type as $crate::language::shape::Shaped>::NEED;
                    $( let need = { drop(need); $need }; )?
                    table.add(stringify!($field), concat!($($field_doc, "\n"),+), <$type as $crate::language::shape::Shaped>::shape, need);
                } )+
                $crate::language::shape::Shape::Table(table)
            }
        }
    };
}
pub(crate) use table;
