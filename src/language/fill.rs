//! What a declaration says of the variables in a value: the loader puts them in, and asks for each
//! key what it takes. It knows no key and no section.

use crate::language::shape::is_key_of;
use crate::language::why::{Node, Why};
use crate::text::problem::Problem;
use crate::text::source::Span;
use toml::de::DeValue;

/// How many entries a table or a list may have.
pub(crate) const MOST_ENTRIES: usize = 10_000;

/// How variables are put into a value.
#[derive(Clone, Copy)]
pub(crate) struct Fill {
    /// It is free text: a number or a truth value of a parameter is put in as text. Elsewhere a
    /// text that is nothing but one parameter takes that one's type.
    pub text: bool,
    /// The word `"default"` removes an inherited value there, so no variable may bring it.
    pub removes: bool,
    /// `"${ARGS}"` takes the words after PROFILE, and `!` is an ordinary character.
    pub args: bool,
    /// An item of a list that stays as it is, with or without `!`.
    pub keeps: Option<&'static str>,
    /// It names a place of the host that the entry grants.
    pub place: bool,
    /// It is an absolute path.
    pub path: bool,
    /// It is a pattern where the name of its table is one.
    pub pattern: bool,
    /// Checks what its variables bring.
    pub refuse: Option<fn(&str, Span) -> Option<Problem>>,
    /// How to read the names of a table whose names hold variables.
    pub names: Option<&'static dyn Names>,
    /// The keys of a table.
    pub keys: &'static [(&'static str, Fill)],
    /// Every other key of it.
    pub other: Option<&'static Fill>,
}

impl Fill {
    /// A value of its type.
    pub(crate) const VALUE: Fill = Fill {
        text: false,
        removes: false,
        args: false,
        keeps: None,
        place: false,
        path: false,
        pattern: false,
        refuse: None,
        names: None,
        keys: &[],
        other: None,
    };

    /// Free text.
    pub(crate) const TEXT: Fill = Fill { text: true, ..Fill::VALUE };

    /// The same as the value of a key that can be removed.
    pub(crate) const fn of_key(self) -> Fill {
        Fill { removes: true, ..self }
    }

    /// What it says of the value at a key.
    pub(crate) fn at(&self, key: &str) -> &'static Fill {
        let known = self.keys.iter().find(|(field, _)| is_key_of(key, field));
        known.map(|(_, fill)| fill).or(self.other).unwrap_or(&Fill::VALUE)
    }

    /// Whether a table says by itself which place of the host it grants: where not, its name does.
    pub(crate) fn names_place(&self, node: &Node<'_>) -> bool {
        let is_place =
            |key: &str| self.keys.iter().any(|(field, fill)| fill.place && *field == key);
        matches!(node.get_ref(), DeValue::Table(table) if table.keys().any(|key| is_place(key.get_ref())))
    }
}

/// Names of a table into which variables are put.
pub(crate) trait Names: Sync {
    /// Whether a name is what it is written as.
    fn is_plain(&self, written: &str) -> bool;
    /// A piece of the text of a name.
    fn of_text(&self, text: &str) -> String;
    /// The value of a variable in a name.
    fn of_value(&self, value: &str) -> String;
    /// The name that a text with its variables put in is.
    fn read(&self, written: &str, filled: &str) -> Result<String, Why>;
    /// Whether many things have this name.
    fn is_pattern(&self, name: &str) -> bool;
    /// The problem of a text that is no name.
    fn refuse(&self, at: Span, sentence: &str) -> Problem;
    /// The help for a key that may belong elsewhere: `elsewhere` names its section.
    fn misplaced(
        &self,
        written: &str,
        node: &Node<'_>,
        elsewhere: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String>;
    /// The problem of a name that a text has twice.
    fn twice(&self, at: Span, name: &str, first: Span) -> Problem;
    /// A name as people write it.
    fn shown<'n>(&self, name: &'n str) -> &'n str;
}
