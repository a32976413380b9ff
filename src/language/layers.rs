//! What each layer of a profile does to each key, to show where a value comes from. It is recorded
//! only on request.
//!
//! [`crate::language::section::Field::trace`] records, [`crate::profile::load_layers`] asks.
//! Nothing here merges anything.

use crate::text::source::{At, Span};
use serde::Serialize;
use std::collections::BTreeSet;

/// What a layer does to a key, or to an item of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It declares a parameter.
    Declared,
    /// It gives the value, and no weaker layer did.
    Set,
    /// Its value takes the place of a weaker layer's, whole.
    Replaced,
    /// It changes keys of a weaker layer's entry.
    Amended,
    /// It adds an item to an inherited set.
    Widened,
    /// It takes back what a weaker layer said.
    Removed,
    /// Its value counts only in its own file.
    NotInherited,
    /// It names a profile to extend that is not there, and need not be.
    Skipped,
}

impl Effect {
    /// What people call it.
    pub fn word(self) -> &'static str {
        match self {
            Effect::Declared => "declared",
            Effect::Set => "set",
            Effect::Replaced => "replaced",
            Effect::Amended => "changed",
            Effect::Widened => "widened",
            Effect::Removed => "removed",
            Effect::NotInherited => "kept back",
            Effect::Skipped => "skipped",
        }
    }
}

/// One change, with its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The names that lead to the key.
    pub key: Vec<String>,
    pub effect: Effect,
    /// The value, or the word that removes.
    pub at: Span,
    /// The weaker layer's value that this one replaces or removes.
    pub before: Span,
}

/// What a layer says at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Nothing,
    /// A value, there.
    Value(Span),
    /// A word that removes, at its place.
    Removal(Span),
}

/// The changes of one profile in the order in which its layers merge.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The key that is being looked at.
    key: Vec<String>,
    all: Vec<Change>,
}

impl Changes {
    /// Later records belong to a key of the present one, by the name of its field.
    #[inline(never)]
    pub fn enter(&mut self, field: &str) {
        self.key.push(field.replace('_', "-"));
    }

    /// Back to the key above.
    #[inline(never)]
    pub fn leave(&mut self) {
        self.key.pop();
    }

    /// Records a change of the present key.
    #[inline(never)]
    pub fn record(&mut self, effect: Effect, at: Span, before: Span) {
        self.all.push(Change { key: self.key.clone(), effect, at, before });
    }

    /// Records what a value, or a word that removes, does to the present key or to an entry of it.
    #[inline(never)]
    pub fn lay(&mut self, entry: Option<&str>, said: Said, before: Span) {
        self.key.extend(entry.map(str::to_owned));
        match said {
            Said::Nothing => {}
            Said::Removal(at) => self.record(Effect::Removed, at, before),
            Said::Value(at) if before.is_somewhere() => self.record(Effect::Replaced, at, before),
            Said::Value(at) => self.record(Effect::Set, at, before),
        }
        if entry.is_some() {
            self.key.pop();
        }
    }

    /// Records keys that change an inherited entry.
    #[inline(never)]
    pub fn amend(&mut self, entry: &str, at: Span, before: Span) {
        self.key.push(entry.to_owned());
        self.record(Effect::Amended, at, before);
        self.key.pop();
    }

    /// Records what items and removals do to an inherited set, each by its name.
    #[inline(never)]
    pub fn unite(
        &mut self,
        inherited: &[At<String>],
        removed: &[At<String>],
        items: &[At<String>],
    ) {
        let mut kept = BTreeSet::new();
        for item in inherited {
            match removed.iter().find(|name| name.value == "*" || name.value == item.value) {
                Some(name) => self.record(Effect::Removed, name.at, item.at),
                None => drop(kept.insert(item.value.as_str())),
            }
        }
        let effect = if kept.is_empty() { Effect::Set } else { Effect::Widened };
        for item in items.iter().filter(|item| !kept.contains(item.value.as_str())) {
            self.record(effect, item.at, Span::NOWHERE);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.all.iter()
    }
}

/// What a text is to the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What the profile extends.
    Extended,
    /// PROFILE itself.
    Profile,
    /// A flag of the command line.
    Flag,
}

#[derive(Debug, Clone)]
pub struct Layer {
    /// What it is to the profile.
    pub kind: Kind,
    /// The first byte of its text.
    pub start: Span,
}

/// The layers of a profile, the weakest first, and what they do.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The files and the `--config` texts.
    pub layers: Vec<Layer>,
    /// What they do, and what `--set` and the words after PROFILE do.
    pub changes: Changes,
}
