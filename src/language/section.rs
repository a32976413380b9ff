//! One declaration of a section of the profile gives its struct, its parser, its merge rule, its
//! shape and its words.
//!
//! A field's type says how layers merge: [`Key`] is replaced whole, [`Set`] is united, [`Entries`]
//! merge name by name. Values are parsed by serde on a tree whose spans are already offsets into
//! [`crate::text::source::Sources`], so every error keeps its place.

use crate::language::layers::{Changes, Said};
use crate::language::meant::meant;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::value::Node;
use crate::text::problem::{Problem, Problems, escape, suggestion};
use crate::text::source::{At, Span};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use toml::de::{DeValue, ValueDeserializer};

/// A field of a section: reads one value of one layer, and lies over the same field of a weaker
/// layer.
pub(crate) trait Field: Default + Shaped {
    /// Reads the value of the key.
    fn read(&mut self, key: &At<String>, node: Node<'_>, problems: &mut Problems);
    /// Merges a stronger layer over this one.
    fn cover(&mut self, upper: Self, problems: &mut Problems);
    /// Records what [`Field::cover`] is about to do. `run` never asks; what is settled before the
    /// layers merge has its own record.
    fn trace(&self, _upper: &Self, _changes: &mut Changes) {}
}

/// One key of a section, for suggestions.
#[derive(Debug, Clone, Copy)]
pub struct KeyDoc {
    /// The Rust field's name; [`KeyDoc::name`] is what a profile writes.
    pub field: &'static str,
}

impl KeyDoc {
    /// The TOML key: kebab-case.
    pub fn name(&self) -> String {
        self.field.replace('_', "-")
    }
}

/// Declares a section. `later { .. }` lists the keys of the language that are not built yet: they
/// are refused, never ignored.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $kind:ty, )*
        }
        $( later { $($later:literal),* $(,)? } )?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name {
            $( $(#[doc = $field_doc])+ pub $field: $kind, )*
        }

        impl $name {
            /// Every key.
            pub const KEYS: &'static [$crate::language::section::KeyDoc] = &[
                $( $crate::language::section::KeyDoc { field: stringify!($field) }, )*
            ];
            /// Keys of the language that this version refuses as not built yet.
            pub const LATER: &'static [&'static str] = &[$($($later),*)?];
        }

        impl $crate::language::shape::Shaped for $name {
            const NEED: $crate::language::shape::Need = $crate::language::shape::Need::Optional;
            fn shape() -> $crate::language::shape::Shape {
                let mut table = $crate::language::shape::Table::new(concat!($($doc, "\n"),*));
                $( table.add(
                    stringify!($field),
                    concat!($($field_doc, "\n"),+),
                    <$kind as $crate::language::shape::Shaped>::shape,
                    <$kind as $crate::language::shape::Shaped>::NEED,
                ); )*
                $crate::language::shape::Shape::Table(table)
            }
        }

        impl $crate::language::section::Field for $name {
            fn read(&mut self, key: &$crate::text::source::At<String>, node: $crate::language::value::Node<'_>, problems: &mut $crate::text::problem::Problems) {
                for (name, node) in $crate::language::section::table(key, node, problems) {
                    match name.value.replace('-', "_").as_str() {
                        $( stringify!($field) if !name.value.contains('_') => {
                            $crate::language::section::Field::read(&mut self.$field, &name, node, problems);
                        } )*
                        _ => problems.push($crate::language::section::unknown_key(&name, &key.value, Self::KEYS, Self::LATER)),
                    }
                }
            }

            fn cover(&mut self, upper: Self, problems: &mut $crate::text::problem::Problems) {
                $( $crate::language::section::Field::cover(&mut self.$field, upper.$field, problems); )*
            }

            fn trace(&self, upper: &Self, changes: &mut $crate::language::layers::Changes) {
                $(
                    changes.enter(stringify!($field));
                    $crate::language::section::Field::trace(&self.$field, &upper.$field, changes);
                    changes.leave();
                )*
            }
        }
    };
}
pub(crate) use section;

/// The entries of a table in the order of the text, or a problem where it is something else.
pub(crate) fn table<'i>(
    key: &At<String>,
    node: Node<'i>,
    problems: &mut Problems,
) -> Vec<(At<String>, Node<'i>)> {
    let at = Span::from(node.span());
    let DeValue::Table(table) = node.into_inner() else {
        let message = format!("cannot read `{}`: a section is a table", key.value);
        problems.push(
            Problem::new("profile::type", at, message)
                .help(format!("write it as `[{}]` with keys below it", key.value)),
        );
        return vec![];
    };
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(name, node)| (At::new(name.get_ref().to_string(), name.span().into()), node))
        .collect();
    entries.sort_by_key(|(name, _)| name.at);
    entries
}

/// The problem of a key that the section does not have.
pub(crate) fn unknown_key(
    name: &At<String>,
    section: &str,
    keys: &[KeyDoc],
    later: &[&str],
) -> Problem {
    let of = if section.is_empty() { String::new() } else { format!(" of [{section}]") };
    if later.contains(&name.value.as_str()) {
        return Problem::new(
            "profile::not-yet",
            name.at,
            format!("cannot enforce `{}`{of}: it is not built yet", name.value),
        )
        .label("not yet")
        .help("this version refuses it rather than run a sandbox without it; leave it out");
    }
    let names: Vec<String> = keys.iter().map(KeyDoc::name).collect();
    let known = names.iter().map(String::as_str).chain(later.iter().copied());
    let help = suggestion(&name.value, known)
        .unwrap_or_else(|| format!("its keys are {}", names.join(", ")));
    Problem::new(
        "profile::unknown-key",
        name.at,
        format!("cannot read `{}`{of}: there is no such key", name.value),
    )
    .label("not known")
    .help(help)
}

/// Deserializes the value of a key; the error becomes a problem at its own span.
pub(crate) fn parse<T: DeserializeOwned>(
    key: &str,
    node: Node<'_>,
    problems: &mut Problems,
) -> Option<T> {
    parse_part(key, Some(key), node, problems)
}

/// The same for an item of a list, which has no key of its own.
fn parse_item<T: DeserializeOwned>(
    key: &str,
    node: Node<'_>,
    problems: &mut Problems,
) -> Option<T> {
    parse_part(key, None, node, problems)
}

fn parse_part<T: DeserializeOwned>(
    key: &str,
    own: Option<&str>,
    node: Node<'_>,
    problems: &mut Problems,
) -> Option<T> {
    let mut hostile = vec![];
    if let Some(at) = collect_hostile(&node, &mut hostile) {
        let message =
            format!("cannot read `{key}`: a date or a time of day is no value of this language");
        problems.push(
            Problem::new("profile::value", at, message).help("put it in quotes if it is a text"),
        );
        return None;
    }
    match deserialize(node.clone()) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(unread(key, own, &node, &error, &hostile, &|node| {
                deserialize::<T>(node).is_ok()
            }));
            None
        }
    }
}

/// Never inlined: each type's parser would stand in the binary twice.
#[inline(never)]
fn deserialize<T: DeserializeOwned>(node: Node<'_>) -> Result<T, toml::de::Error> {
    T::deserialize(ValueDeserializer::from(node))
}

/// The problem of a value that its type does not take; `takes` is whether it takes another.
fn unread(
    key: &str,
    own: Option<&str>,
    node: &Node<'_>,
    error: &toml::de::Error,
    hostile: &[String],
    takes: &dyn Fn(Node<'_>) -> bool,
) -> Problem {
    let wrong = error.span().unwrap_or(node.span());
    let at = named(error.message(), &keys_of(node)).unwrap_or(wrong.clone().into());
    // A text of the profile's with such a line in it would forge our help.
    let said = hostile
        .iter()
        .fold(error.message().to_owned(), |said, text| said.replace(text.as_str(), &escape(text)));
    let (message, help) = match said.rsplit_once("\nhelp: ") {
        Some((message, help)) => (message, Some(help.to_owned())),
        None => (said.as_str(), None),
    };
    let guess = meant(node, wrong.clone(), own, takes);
    let code =
        if message.contains("not built yet") { "profile::not-yet" } else { "profile::value" };
    let sentence = match message.strip_prefix("unknown key ") {
        Some(unknown) => format!("cannot read {unknown}: there is no such key"),
        None => format!("cannot read `{key}`: {}", plain(message)),
    };
    Problem::new(code, at, sentence).help_maybe(help).guess(wrong.into(), guess)
}

/// Texts and keys of a value that hold a line break: no message of ours quotes them as they are.
/// Gives the place of a date, which the parser would hand on under a name of its own.
fn collect_hostile(node: &Node<'_>, found: &mut Vec<String>) -> Option<Span> {
    match node.get_ref() {
        DeValue::Datetime(_) => return Some(node.span().into()),
        DeValue::String(text) if text.contains('\n') => found.push(text.to_string()),
        DeValue::Array(items) => return items.iter().find_map(|item| collect_hostile(item, found)),
        DeValue::Table(table) => {
            for (name, value) in table {
                if name.get_ref().contains('\n') {
                    found.push(name.get_ref().to_string());
                }
                if let Some(date) = collect_hostile(value, found) {
                    return Some(date);
                }
            }
        }
        _ => {}
    }
    None
}

/// The keys of the tables in a value, each with its place: serde places what is wrong with a key at
/// the whole table.
fn keys_of(node: &Node<'_>) -> Vec<(String, Span)> {
    match node.get_ref() {
        DeValue::Table(table) => {
            let own =
                table.iter().map(|(name, _)| (name.get_ref().to_string(), Span::from(name.span())));
            own.chain(table.iter().flat_map(|(_, value)| keys_of(value))).collect()
        }
        DeValue::Array(items) => items.iter().flat_map(keys_of).collect(),
        _ => vec![],
    }
}

/// Where the key stands that a sentence begins with, if there is one of that name alone.
fn named(sentence: &str, keys: &[(String, Span)]) -> Option<Span> {
    let name = sentence
        .strip_prefix("unknown key ")
        .or(Some(sentence))?
        .strip_prefix('`')?
        .split('`')
        .next()?;
    let mut found = keys.iter().filter(|(key, _)| key == name).map(|(_, at)| *at);
    found.next().filter(|_| found.next().is_none())
}

/// serde's own sentences in our order of words.
fn plain(message: &str) -> String {
    let mismatch =
        message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    match mismatch.and_then(|rest| rest.split_once(", expected ")) {
        Some((found, expected)) => {
            let expected = expected.replace("a sequence", "a list").replace("a map", "a table");
            let expected = if ["u32", "u64", "i64"].contains(&expected.as_str()) {
                "a whole number"
            } else {
                &expected
            };
            let found = found
                .replace("floating point", "number")
                .replace("` as i128", "`")
                .replace("` as u128", "`");
            let found = match found.as_str() {
                "sequence" => "a list",
                "map" => "a table",
                other => other,
            };
            format!("expected {expected}, found {found}")
        }
        None => message.into(),
    }
}

/// Whether the value is the word `"default"`, which withdraws an inherited value.
fn is_default_word(node: &Node<'_>) -> bool {
    matches!(node.get_ref(), DeValue::String(text) if text == "default")
}

/// A value that a stronger layer replaces whole; the word `"default"` withdraws it.
#[derive(Debug, Clone, Default)]
pub enum Key<T> {
    /// No layer speaks of it.
    #[default]
    Unsaid,
    /// Withdrawn by `"default"`.
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

impl<T: DeserializeOwned + Shaped> Field for Key<T> {
    fn read(&mut self, key: &At<String>, node: Node<'_>, problems: &mut Problems) {
        let at = Span::from(node.span());
        if is_default_word(&node) {
            *self = Key::Default(at);
        } else if let Some(value) = parse(key, node, problems) {
            *self = Key::Said(At::new(value, at));
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
            Key::Default(at) => Said::Withdrawal(*at),
            Key::Said(value) => Said::Value(value.at),
        };
        changes.lay(None, said, self.at());
    }
}

/// A key that the loader reads by itself, before the layers are merged. It stands among the others
/// for suggestions, schema and reference.
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
    fn read(&mut self, _: &At<String>, _: Node<'_>, _: &mut Problems) {}
    fn cover(&mut self, _: Self, _: &mut Problems) {}
}

/// A list whose order and repeats mean nothing; layers are united, `"!x"` withdraws an inherited
/// `x`, `"!*"` all of them.
#[derive(Debug, Clone)]
pub struct Set<T> {
    /// What is in it, each with its place.
    pub items: Vec<At<T>>,
    withdrawn: Vec<At<String>>,
    /// Where it is said that nothing is in it, or the last item was withdrawn.
    emptied: Option<Span>,
    /// Whether it is to be as if no layer had spoken of it.
    unsaid: bool,
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set { items: vec![], withdrawn: vec![], emptied: None, unsaid: false }
    }
}

impl<T> Set<T> {
    /// Where it is said, be it to say that it is empty; nothing where no layer speaks of it.
    pub fn said(&self) -> Option<Span> {
        self.items.first().map(|item| item.at).or(self.emptied)
    }
}

impl<T: Shaped> Shaped for Set<T> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        Shape::within(Shape::Key, || Shape::within(Shape::Set, T::shape))
    }
}

impl<T: DeserializeOwned + ToString + Shaped> Field for Set<T> {
    fn read(&mut self, key: &At<String>, node: Node<'_>, problems: &mut Problems) {
        let at = Span::from(node.span());
        if is_default_word(&node) {
            self.withdrawn.push(At::new("*".into(), at));
            self.unsaid = true;
            return;
        }
        if !matches!(node.get_ref(), DeValue::Array(_)) {
            let guess = meant(&node, node.span(), Some(&key.value), &|node| {
                deserialize::<Vec<T>>(node).is_ok()
            });
            let problem = Problem::new(
                "profile::type",
                at,
                format!("cannot read `{}`: it must be a list", key.value),
            );
            problems.push(problem.help("put it in `[ ]`").guess(at, guess));
            return;
        }
        let DeValue::Array(array) = node.into_inner() else { return };
        if array.is_empty() {
            self.emptied = Some(at);
        }
        let mut had = Names::default();
        for node in array {
            if problems.is_full() {
                break;
            }
            let at = Span::from(node.span());
            let withdrawal = match node.get_ref() {
                DeValue::String(text) => text.strip_prefix('!').map(str::to_owned),
                _ => None,
            };
            match withdrawal {
                Some(name) => self.withdrawn.push(At::new(name, at)),
                None => {
                    let item: Option<T> = parse_item(key, node, problems);
                    self.items.extend(
                        item.filter(|item| had.insert(item.to_string()))
                            .map(|item| At::new(item, at)),
                    );
                }
            }
        }
    }

    fn cover(&mut self, upper: Self, problems: &mut Problems) {
        if let (Some(at), Some(had)) = (upper.emptied, self.items.first()) {
            problems.push(
                Problem::new(
                    "profile::empty-set",
                    at,
                    "cannot empty an inherited list by `[]`: lists of this sort are united",
                )
                .also(had.at, "inherited from here")
                .help("write [\"!*\"] to withdraw all that is inherited"),
            );
        }
        self.emptied = self.emptied.or(upper.emptied);
        if !upper.withdrawn.is_empty() {
            let (had, last) = (!self.items.is_empty(), upper.withdrawn.last().map(|name| name.at));
            let gone = withdraw(&self.names(), upper.withdrawn, problems);
            self.items
                .retain(|item| !gone.contains("*") && !gone.contains(&item.value.to_string()));
            // A set that restricts would open where its last item goes, so it stays said; the word
            // `default` alone takes that back.
            if upper.unsaid {
                self.emptied = None;
            } else if had && self.items.is_empty() {
                self.emptied = last;
            }
        }
        if !upper.items.is_empty() {
            let mut had = self.names();
            self.items
                .extend(upper.items.into_iter().filter(|item| had.insert(item.value.to_string())));
        }
    }

    fn trace(&self, upper: &Self, changes: &mut Changes) {
        changes.unite(&self.named(), &upper.withdrawn, &upper.named());
    }
}

/// The items of a set by what they are written as, which tells them apart: a list may have ten
/// thousand, too many to compare each with all.
type Names = std::collections::BTreeSet<String>;

impl<T: ToString> Set<T> {
    fn names(&self) -> Names {
        self.items.iter().map(|item| item.value.to_string()).collect()
    }

    fn named(&self) -> Vec<At<String>> {
        self.items.iter().map(|item| At::new(item.value.to_string(), item.at)).collect()
    }
}

/// The names that are withdrawn; a problem for each that is not there.
fn withdraw(had: &Names, withdrawn: Vec<At<String>>, problems: &mut Problems) -> Names {
    for name in withdrawn.iter().filter(|name| name.value != "*" && !had.contains(&name.value)) {
        if problems.is_full() {
            break;
        }
        problems.push(nothing_to_withdraw(&name.value, name.at, had.iter().map(String::as_str)));
    }
    withdrawn.into_iter().map(|name| name.value).collect()
}

/// The problem of a withdrawal of what no weaker layer sets.
pub(crate) fn nothing_to_withdraw<'a>(
    name: &str,
    at: Span,
    set: impl Iterator<Item = &'a str>,
) -> Problem {
    Problem::new(
        "profile::withdraw",
        at,
        format!("cannot withdraw `{name}`: no layer below sets it"),
    )
    .help_maybe(suggestion(name, set))
}

/// A table whose keys are the user's own names; layers merge name by name, `false` withdraws an
/// inherited entry.
#[derive(Debug, Clone)]
pub struct Entries<V> {
    /// What is in it.
    pub map: BTreeMap<String, Entry<V>>,
}

/// The value type of [`Entries`]: it says what the whole table looks like.
pub trait EntryType {
    /// A table of the user's own names, or of the names that the domain has.
    fn entries() -> Shape;
    /// Whether the value itself permits that it is left out: then the inherited one takes its
    /// place.
    fn may_be_left_out(&self) -> bool {
        false
    }
    /// A name as people write it, where it is kept in another form.
    fn written(name: &str) -> &str {
        name
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

impl<V: DeserializeOwned + EntryType> Field for Entries<V> {
    fn read(&mut self, key: &At<String>, node: Node<'_>, problems: &mut Problems) {
        for (name, node) in table(key, node, problems) {
            if problems.is_full() {
                break;
            }
            let at = Span::from(node.span());
            let value = match node.get_ref() {
                DeValue::Boolean(false) => None,
                _ => match parse(&name, node, problems) {
                    Some(value) => Some(At::new(value, at)),
                    None => continue,
                },
            };
            self.map.insert(name.value, Entry { key: name.at, value, under: None });
        }
    }

    fn cover(&mut self, upper: Self, problems: &mut Problems) {
        for (name, mut entry) in upper.map {
            // A misspelt withdrawal would leave the grant that it means.
            if entry.value.is_none() && self.get(&name).is_none() && !problems.is_full() {
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
