//! What a value of a profile looks like, as data. Every type that a profile can write says it of
//! itself; the JSON Schema, the reference and the man page are made of it. Nothing here says what a
//! profile may say.

use crate::text::source::At;

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
    /// The value of a key: the word `"default"` is allowed too, and removes what is inherited.
    Key(Box<Shape>),
    /// An entry of a table that merges name by name: `false` is allowed too, and removes an
    /// inherited entry.
    Entry(Box<Shape>),
    /// A shape that is used in many places: its name, under which the schema has it once, and a
    /// description, where its parts are too many to list.
    Part(&'static str, &'static str, Box<Shape>),
    /// What the loader reads before everything else: no variable and no `"default"` is allowed
    /// there.
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
    /// Whether one without a key of the sort [`Need::Kind`] changes keys of an inherited one.
    pub amends: bool,
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
    /// The value of each name.
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

    /// The keys of a table, through the shapes around it.
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
        Table { doc, keys: vec![], amends: false }
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

/// The key that a Rust field is.
pub(crate) fn key_name(field: &str) -> String {
    bare(field).replace('_', "-")
}

fn bare(field: &str) -> &str {
    field.trim_start_matches("r#").trim_start_matches('_')
}

/// Whether a profile's key is the one that a Rust field is. Each key is compared with many fields.
pub(crate) fn is_key_of(key: &str, field: &str) -> bool {
    let field = match field.as_bytes() {
        [b'r', b'#', rest @ ..] | [b'_', rest @ ..] => rest,
        all => all,
    };
    key.len() == field.len()
        && key.bytes().zip(field).all(|(key, field)| match field {
            b'_' => key == b'-',
            field => key == *field,
        })
}
