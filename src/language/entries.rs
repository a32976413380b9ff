//! A table whose keys are the user's own names, merged name by name.

use crate::language::field::{Field, nothing_to_withdraw, table};
use crate::language::fill::{Fill, Names};
use crate::language::layers::{Changes, Said};
use crate::language::read::{Node, Read};
use crate::language::reader::Reader;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::text::problem::Problems;
use crate::text::source::{At, Span};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// A table whose keys are the user's own names; layers merge name by name, `false` withdraws an
/// inherited entry.
#[derive(Debug, Clone)]
pub struct Entries<V> {
    /// What is in it.
    pub map: BTreeMap<String, Entry<V>>,
}

/// The value type of [`Entries`]: it says what the whole table looks like.
pub(crate) trait EntryType {
    /// What its names are, where variables are put into them.
    const NAMES: Option<&'static dyn Names> = None;
    /// A table of the user's own names, or of the names that the domain has.
    fn entries() -> Shape;
    /// Whether the value itself permits that it is left out: then the inherited one takes its
    /// place.
    fn may_be_left_out(&self) -> bool {
        false
    }
    /// Whether the entry of a name stands for another, too.
    fn covers(_name: &str, _other: &str) -> bool {
        false
    }
    /// A name as people write it, where it is kept in another form.
    fn written(name: &str) -> &str {
        name
    }
    /// A name as a profile writes it: read again, it is the same.
    fn spell_name(name: &str) -> String {
        name.to_owned()
    }
}

impl<V: EntryType> Shaped for Entries<V> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        V::entries()
    }
}

#[derive(Debug, Clone)]
pub struct Entry<V> {
    /// Where its name stands.
    pub key: Span,
    /// Its value with the value's place, or `None` where it is withdrawn.
    pub value: Option<At<V>>,
    /// The inherited entry that it replaces, where its value may be left out.
    pub under: Option<Box<Entry<V>>>,
}

impl<V> Default for Entries<V> {
    fn default() -> Entries<V> {
        Entries { map: BTreeMap::new() }
    }
}

impl<V> Entries<V> {
    /// Name and value of every entry that is not withdrawn.
    pub fn iter(&self) -> impl Iterator<Item = (At<&str>, &At<V>)> {
        self.map.iter().filter_map(|(name, entry)| {
            Some((At::new(name.as_str(), entry.key), entry.value.as_ref()?))
        })
    }

    /// The value under a name.
    pub fn get(&self, name: &str) -> Option<&At<V>> {
        self.map.get(name)?.value.as_ref()
    }
}

impl<V: Read + EntryType> Field for Entries<V> {
    const FILL: Fill = Fill { names: V::NAMES, other: Some(&V::FILL), ..Fill::VALUE };

    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>) {
        for (name, node) in table(key, node, reader) {
            if reader.problems.is_full() {
                break;
            }
            let at = Span::from(node.span());
            let value = match node.get_ref() {
                DeValue::Boolean(false) => None,
                _ => match reader.value(name, node) {
                    Some(value) => Some(At::new(value, at)),
                    None => continue,
                },
            };
            self.map.insert(name.value.to_owned(), Entry { key: name.at, value, under: None });
        }
    }

    fn spell(&self) -> Option<Toml> {
        let value = |entry: &Entry<V>| {
            entry.value.as_ref().map_or(Toml::bare(false), |value| value.value.spell())
        };
        let lines: Vec<(String, Toml)> =
            self.map.iter().map(|(name, entry)| (V::spell_name(name), value(entry))).collect();
        (!lines.is_empty()).then_some(Toml::Section(lines))
    }

    fn cover(&mut self, upper: Self, problems: &mut Problems) {
        let covering = |entries: &Self| -> Vec<String> {
            let names = entries.iter().map(|(name, _)| name.value);
            names.filter(|name| V::covers(name, name)).map(str::to_owned).collect()
        };
        let is_taken_from = upper.map.values().any(|entry| entry.value.is_none());
        let all = if is_taken_from { [covering(self), covering(&upper)].concat() } else { vec![] };
        for (name, mut entry) in upper.map {
            let is_covered = || all.iter().any(|other| *other != name && V::covers(other, &name));
            // A misspelt withdrawal would leave the grant that it means.
            if entry.value.is_none()
                && self.get(&name).is_none()
                && !problems.is_full()
                && !is_covered()
            {
                problems.push(nothing_to_withdraw(
                    V::written(&name),
                    entry.key,
                    self.iter().map(|(name, _)| name.value),
                ));
            }
            if entry.value.as_ref().is_some_and(|value| value.value.may_be_left_out()) {
                entry.under =
                    self.map.remove(&name).filter(|under| under.value.is_some()).map(Box::new);
            }
            self.map.insert(name, entry);
        }
    }

    fn trace(&self, upper: &Self, changes: &mut Changes) {
        for (name, entry) in &upper.map {
            let said = entry
                .value
                .as_ref()
                .map_or(Said::Withdrawal(entry.key), |value| Said::Value(value.at));
            changes.lay(Some(name), said, self.get(name).map_or(Span::NOWHERE, |value| value.at));
        }
    }
}
