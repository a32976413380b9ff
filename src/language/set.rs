//! A list that is united over the layers of a profile.

use crate::language::field::{Field, is_default_word, nothing_to_remove};
use crate::language::fill::Fill;
use crate::language::layers::Changes;
use crate::language::read::{Node, Read};
use crate::language::reader::Reader;
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::text::gather::Gather;
use crate::text::problem::{Problem, Problems};
use crate::text::source::{At, Span};
use toml::Spanned;
use toml::de::DeValue;

/// A list whose order and repeats mean nothing; layers are united, `"!x"` removes an inherited `x`,
/// `"!*"` all of them.
#[derive(Debug, Clone)]
pub struct Set<T> {
    /// What is in it, each with its place.
    pub items: Vec<At<T>>,
    removed: Vec<At<String>>,
    /// The place that empties it: `[]`, or the removal of the last item.
    emptied: Option<Span>,
    /// Whether `"default"` resets it, as if no layer had set it.
    unsaid: bool,
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set { items: vec![], removed: vec![], emptied: None, unsaid: false }
    }
}

impl<T> Set<T> {
    /// The place that sets it, also as empty; `None` if no layer sets it.
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

impl<T: Read + ToString> Field for Set<T> {
    const FILL: Fill = T::FILL.of_key();

    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>) {
        let at = Span::from(node.span());
        if is_default_word(node) {
            self.removed.push(At::new("*".into(), at));
            self.unsaid = true;
            return;
        }
        let DeValue::Array(array) = node.get_ref() else {
            let problem = Problem::new(
                "profile::type",
                at,
                format!("cannot read `{}`: it must be a list", key.value),
            );
            let guess = reader.guess(key, node, &|node| Vec::<T>::read(node).is_ok());
            return reader.problems.push(problem.help("put it in `[ ]`").guess(at, guess));
        };
        if array.is_empty() {
            self.emptied = Some(at);
        }
        let mut had = Names::default();
        for node in array.iter() {
            if reader.problems.is_full() {
                break;
            }
            let at = Span::from(node.span());
            let removal = match node.get_ref() {
                DeValue::String(text) => text.strip_prefix('!').map(str::to_owned),
                _ => None,
            };
            match removal {
                Some(name) => self.removed.push(At::new(name, at)),
                None => {
                    let item: Option<T> = reader.item(key, node);
                    self.items.extend(
                        item.filter(|item| had.insert(item.to_string()))
                            .map(|item| At::new(item, at)),
                    );
                }
            }
        }
    }

    fn spell(&self) -> Option<Toml> {
        if self.unsaid {
            return Some(Toml::word("default"));
        }
        let removed = self.removed.iter().map(|name| spell_removed::<T>(&name.value));
        let items: Vec<Toml> =
            removed.chain(self.items.iter().map(|item| item.value.spell())).collect();
        (!items.is_empty() || self.emptied.is_some()).then_some(Toml::List(items))
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
                .help("write [\"!*\"] to remove everything that is inherited"),
            );
        }
        self.emptied = self.emptied.or(upper.emptied);
        if !upper.removed.is_empty() {
            let (had, last) = (!self.items.is_empty(), upper.removed.last().map(|name| name.at));
            let gone = remove_names(&self.names(), upper.removed, problems);
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
        changes.unite(&self.named(), &upper.removed, &upper.named());
    }
}

/// The item that removes an inherited item, named as it is written.
pub(crate) fn spell_removed<T: Read>(name: &str) -> Toml {
    let node = Spanned::new(0..0, DeValue::String(name.into()));
    match T::read(&node).map(|item| item.spell()) {
        Ok(Toml::Raw(raw)) => Toml::Raw(format!("!{raw}")),
        _ => Toml::Text(format!("!{name}")),
    }
}

/// The items of a set by what they are written as, which tells them apart: a list may have ten
/// thousand, too many to compare each with all.
type Names = std::collections::BTreeSet<String>;

impl<T: ToString> Set<T> {
    fn names(&self) -> Names {
        self.items.iter().map(|item| item.value.to_string()).gather()
    }

    fn named(&self) -> Vec<At<String>> {
        self.items.iter().map(|item| At::new(item.value.to_string(), item.at)).collect()
    }
}

/// Removes the names; a problem for each that was not inherited.
fn remove_names(had: &Names, removed: Vec<At<String>>, problems: &mut Problems) -> Names {
    for name in removed.iter().filter(|name| name.value != "*" && !had.contains(&name.value)) {
        if problems.is_full() {
            break;
        }
        problems.push(nothing_to_remove(&name.value, name.at, had.iter().map(String::as_str)));
    }
    removed.into_iter().map(|name| name.value).gather()
}
