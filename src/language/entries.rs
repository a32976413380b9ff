//! A table whose keys are the user's own names, merged name by name.

use crate::language::field::{Field, nothing_to_remove, table};
use crate::language::fill::{Fill, Names};
use crate::language::layers::{Changes, Said};
use crate::language::read::{Node, Read, Wrongs};
use crate::language::reader::Reader;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::text::problem::{Problem, Problems, suggestion};
use crate::text::source::{At, Span};
use std::collections::BTreeMap;
use std::convert::Infallible;
use toml::de::DeValue;

/// A table whose keys are the user's own names; layers merge name by name, `false` removes an
/// inherited entry. `K` are keys of an inherited value that a layer can change alone.
#[derive(Debug, Clone)]
pub struct Entries<V, K = Infallible> {
    /// What is in it.
    pub map: BTreeMap<String, Entry<V, K>>,
}

/// The value type of [`Entries`]: it says what the whole table looks like.
pub(crate) trait EntryType: Clone {
    /// Keys of an inherited value, which take the place of its own.
    type Keys;
    /// Takes what says a few keys and not what the entry is; none where it is a whole value, or wrong.
    fn keys(_: &Node<'_>) -> Option<Self::Keys> {
        None
    }
    /// These keys, as a profile writes them.
    fn spell_keys(_: &Self::Keys) -> Toml {
        Toml::Table(vec![])
    }
    /// How an entry says what it is.
    fn whole() -> Option<String> {
        None
    }
    /// A whole entry that has these keys, where one is most likely meant.
    fn made(_name: &str, _: &Self::Keys) -> Option<String> {
        None
    }
    /// Their names, each with its place.
    fn said(_: &Self::Keys) -> Vec<At<&'static str>> {
        vec![]
    }
    /// The value with these keys in the place of its own.
    fn with_keys(&self, _: &Self::Keys) -> Result<Self, Wrongs> {
        Ok(self.clone())
    }
    /// What its names are, where variables are put into them.
    const NAMES: Option<&'static dyn Names> = None;
    /// A table of the user's own names, or of the names that the domain has.
    fn entries() -> Shape;
    /// Whether the value itself permits that it is left out: then the inherited one takes its
    /// place.
    fn may_be_left_out(&self) -> bool {
        false
    }
    /// Takes note of the inherited value that it replaces whole.
    fn replaces(&mut self, _inherited: &Self) {}
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

impl<V: EntryType, K> Shaped for Entries<V, K> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        V::entries()
    }
}

#[derive(Debug, Clone)]
pub struct Entry<V, K = Infallible> {
    /// The place of its name.
    pub key: Span,
    /// Its value with the value's place, or `None` if it is removed.
    pub value: Option<At<V>>,
    /// Keys that change the inherited value, until the layers merge.
    pub(crate) keys: Option<At<K>>,
    /// The names of stronger layers' entries that changed keys of the value.
    pub amended: Vec<Span>,
    /// Where the strongest of them says a key.
    pub(crate) said: BTreeMap<&'static str, Span>,
    /// The inherited entry that it replaces, where its value may be left out.
    pub under: Option<Box<Entry<V, K>>>,
}

impl<V, K> Entry<V, K> {
    /// One that says all of itself.
    pub(crate) fn new(key: Span, value: Option<At<V>>) -> Entry<V, K> {
        Entry { key, value, keys: None, amended: vec![], said: BTreeMap::new(), under: None }
    }
}

impl<V, K> Default for Entries<V, K> {
    fn default() -> Entries<V, K> {
        Entries { map: BTreeMap::new() }
    }
}

impl<V, K> Entries<V, K> {
    /// Name and value of every entry that is not removed.
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

impl<V: Read + EntryType> Field for Entries<V, V::Keys> {
    const FILL: Fill = Fill { names: V::NAMES, other: Some(&V::FILL), ..Fill::VALUE };

    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>) {
        for (name, node) in table(key, node, reader) {
            if reader.problems.is_full() {
                break;
            }
            let at = Span::from(node.span());
            let entry = match (node.get_ref(), V::keys(node)) {
                (DeValue::Boolean(false), _) => Entry::new(name.at, None),
                (_, Some(keys)) => {
                    Entry { keys: Some(At::new(keys, at)), ..Entry::new(name.at, None) }
                }
                (_, None) => match reader.value(name, node) {
                    Some(value) => Entry::new(name.at, Some(At::new(value, at))),
                    None => continue,
                },
            };
            self.map.insert(name.value.to_owned(), entry);
        }
    }

    fn spell(&self) -> Option<Toml> {
        let value = |entry: &Entry<V, V::Keys>| match (&entry.value, &entry.keys) {
            (Some(value), _) => value.value.spell(),
            (None, Some(keys)) => V::spell_keys(&keys.value),
            (None, None) => Toml::bare(false),
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
        let is_taken_from =
            upper.map.values().any(|entry| entry.value.is_none() && entry.keys.is_none());
        let all = if is_taken_from { [covering(self), covering(&upper)].concat() } else { vec![] };
        for (name, mut entry) in upper.map {
            if let Some(keys) = entry.keys.take() {
                amend(self, At::new(&name, entry.key), &keys, problems);
                continue;
            }
            let is_covered = || all.iter().any(|other| *other != name && V::covers(other, &name));
            // A misspelt removal would leave the grant that it means to remove.
            if entry.value.is_none()
                && self.get(&name).is_none()
                && !problems.is_full()
                && !is_covered()
            {
                problems.push(nothing_to_remove(
                    V::written(&name),
                    entry.key,
                    self.iter().map(|(name, _)| name.value),
                ));
            }
            if let (Some(value), Some(inherited)) = (&mut entry.value, self.get(&name)) {
                value.value.replaces(&inherited.value);
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
            if let (Some(keys), Some(value)) = (&entry.keys, self.get(name)) {
                changes.amend(name, keys.at, value.at);
                continue;
            }
            let said = entry
                .value
                .as_ref()
                .map_or(Said::Removal(entry.key), |value| Said::Value(value.at));
            changes.lay(Some(name), said, self.get(name).map_or(Span::NOWHERE, |value| value.at));
        }
    }
}

/// Puts keys of a stronger layer in the place of the inherited value's own.
fn amend<V: EntryType>(
    all: &mut Entries<V, V::Keys>,
    At { value: name, at: key }: At<&str>,
    keys: &At<V::Keys>,
    problems: &mut Problems,
) {
    if problems.is_full() {
        return;
    }
    let inherited = all.map.get_mut(name).and_then(|entry| Some((entry.value.take()?, entry)));
    let Some((value, entry)) = inherited else {
        let near = suggestion(name, all.iter().map(|(name, _)| name.value));
        let message = format!(
            "cannot change keys of `{}`: neither this profile nor one that it extends says what \
             that is",
            V::written(name)
        );
        let help = near.or_else(|| V::made(name, &keys.value)).or_else(V::whole);
        return problems.push(Problem::new("profile::amend", key, message).help_maybe(help));
    };
    match value.value.with_keys(&keys.value) {
        Ok(changed) => {
            if !changed.may_be_left_out() {
                entry.under = None;
            }
            entry.value = Some(At::new(changed, value.at));
            entry.amended.push(key);
            entry.said.extend(V::said(&keys.value).iter().map(|key| (key.value, key.at)));
        }
        Err(wrongs) => {
            for wrong in wrongs.iter() {
                let message =
                    format!("cannot read `{}`: {}", V::written(name), wrong.why.sentence(None));
                problems.push(
                    Problem::new("profile::value", wrong.at, message)
                        .also(entry.key, "the entry that it changes")
                        .help_maybe(wrong.why.help_text(None)),
                );
            }
            entry.value = Some(value);
        }
    }
}
