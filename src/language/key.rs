//! A key of a section that a stronger layer replaces whole, and one that the loader reads by
//! itself.

use crate::language::field::{Field, is_default_word};
use crate::language::fill::Fill;
use crate::language::layers::{Changes, Said};
use crate::language::read::{Node, Read};
use crate::language::reader::Reader;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::text::problem::Problems;
use crate::text::source::{At, Span};
use std::marker::PhantomData;

/// A value that a stronger layer replaces whole; the word `"default"` removes it.
#[derive(Debug, Clone, Default)]
pub enum Key<T> {
    /// No layer speaks of it.
    #[default]
    Unsaid,
    /// Removed by `"default"`.
    Default(Span),
    /// Set, with the place of the value.
    Said(At<T>),
}

impl<T> Key<T> {
    /// The value, if one is set.
    pub fn get(&self) -> Option<&At<T>> {
        match self {
            Key::Said(value) => Some(value),
            Key::Unsaid | Key::Default(_) => None,
        }
    }

    /// Where it is set, or nowhere.
    pub fn at(&self) -> Span {
        self.get().map_or(Span::NOWHERE, |value| value.at)
    }

    /// The value, or stockade's own.
    pub fn or(&self, unsaid: T) -> At<T>
    where
        T: Clone,
    {
        self.get().cloned().unwrap_or(At::unsaid(unsaid))
    }
}

impl<T: Shaped> Shaped for Key<T> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        Shape::within(Shape::Key, T::shape)
    }
}

impl<T: Read> Field for Key<T> {
    const FILL: Fill = T::FILL.of_key();

    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>) {
        let at = Span::from(node.span());
        if is_default_word(node) {
            *self = Key::Default(at);
        } else if let Some(value) = reader.value(key, node) {
            *self = Key::Said(At::new(value, at));
        }
    }

    fn spell(&self) -> Option<Toml> {
        match self {
            Key::Unsaid => None,
            Key::Default(_) => Some(Toml::word("default")),
            Key::Said(value) => Some(value.value.spell()),
        }
    }

    fn cover(&mut self, upper: Self, _: &mut Problems) {
        if !matches!(upper, Key::Unsaid) {
            *self = upper;
        }
    }

    fn trace(&self, upper: &Self, changes: &mut Changes) {
        let said = match upper {
            Key::Unsaid => Said::Nothing,
            Key::Default(at) => Said::Removal(*at),
            Key::Said(value) => Said::Value(value.at),
        };
        changes.lay(None, said, self.at());
    }
}

/// A key that the loader reads by itself, before the layers are merged. It is declared among the
/// others for suggestions, schema and reference.
#[derive(Debug, Clone)]
pub struct Early<T>(PhantomData<T>);

impl<T> Default for Early<T> {
    fn default() -> Early<T> {
        Early(PhantomData)
    }
}

impl<T: Shaped> Shaped for Early<T> {
    const NEED: Need = T::NEED;
    fn shape() -> Shape {
        Shape::within(Shape::Early, T::shape)
    }
}

impl<T: Shaped> Field for Early<T> {
    const FILL: Fill = Fill::VALUE;

    fn read(&mut self, _: At<&str>, _: &Node<'_>, _: &mut Reader<'_>) {}
    fn spell(&self) -> Option<Toml> {
        None
    }
    fn cover(&mut self, _: Self, _: &mut Problems) {}
}
