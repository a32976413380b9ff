//! What a field of a section is: it reads one key of one layer, lies over the same of a weaker
//! layer, and is written.

use crate::language::fill::Fill;
use crate::language::layers::Changes;
use crate::language::read::Node;
use crate::language::reader::Reader;
use crate::language::shape::Shaped;
use crate::language::spelled::Toml;
use crate::text::problem::{Problem, Problems, suggestion};
use crate::text::source::{At, Span};
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// A field of a section: reads one value of one layer, and lies over the same field of a weaker
/// layer.
pub(crate) trait Field: Default + Shaped {
    /// How variables are put into its value.
    const FILL: Fill;
    /// Reads the value of the key.
    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>);
    /// The TOML that sets the same; `None` if the layer does not set it.
    #[cfg_attr(
        face_alone,
        allow(dead_code, reason = "the tests write whole profiles; tools are to")
    )]
    fn spell(&self) -> Option<Toml>;
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
        KeyDoc::of(self.field)
    }

    fn of(field: &str) -> String {
        field.replace('_', "-")
    }
}

/// The entries of a table in the order of the text, or a problem where it is something else.
pub(crate) fn table<'n, 'i>(
    key: At<&str>,
    node: &'n Node<'i>,
    reader: &mut Reader<'_>,
) -> Vec<(At<&'n str>, &'n Node<'i>)> {
    let DeValue::Table(table) = node.get_ref() else {
        let message = format!("cannot read `{}`: a section is a table", key.value);
        reader.problems.push(
            Problem::new("profile::type", node.span().into(), message)
                .help(format!("write it as `[{}]` with keys below it", key.value)),
        );
        return vec![];
    };
    let name = |key: &'n Spanned<DeString<'i>>| At::new(key.get_ref().as_ref(), key.span().into());
    let mut entries: Vec<_> = table.iter().map(|(key, node)| (name(key), node)).collect();
    entries.sort_by_key(|(name, _)| name.at);
    entries
}

/// The keys of a section that say something, a line each.
#[cfg_attr(face_alone, allow(dead_code, reason = "the tests write whole profiles; tools are to"))]
pub(crate) fn spell_section<const N: usize>(keys: [(&str, Option<Toml>); N]) -> Option<Toml> {
    let said: Vec<(String, Toml)> =
        keys.into_iter().filter_map(|(field, value)| Some((KeyDoc::of(field), value?))).collect();
    (!said.is_empty()).then_some(Toml::Section(said))
}

/// What other tools, and habit, call a key: their word and ours.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("cmd", "command"),
    ("exec", "command"),
    ("argv", "command"),
    ("workdir", "cwd"),
    ("directory", "cwd"),
    ("environment", "env"),
    ("environ", "env"),
    ("volumes", "mounts"),
    ("syscalls", "seccomp"),
    ("resources", "limits"),
];

fn by_another_name(word: &str, names: &[String]) -> Option<String> {
    let (_, ours) = OTHER_NAMES.iter().find(|(theirs, _)| *theirs == word)?;
    names.iter().any(|name| name == ours).then(|| format!("did you mean `{ours}`?"))
}

/// The problem of a key that the section does not have.
#[inline(never)]
pub(crate) fn unknown_key(
    name: At<&str>,
    section: &str,
    keys: &[KeyDoc],
    later: &[&str],
    reader: &mut Reader<'_>,
) {
    let of = if section.is_empty() { String::new() } else { format!(" of [{section}]") };
    if later.contains(&name.value) {
        return reader.problems.push(
            Problem::new(
                "profile::not-yet",
                name.at,
                format!("cannot enforce `{}`{of}: it is not built yet", name.value),
            )
            .label("not yet")
            .help("this version refuses it rather than run a sandbox without it; leave it out"),
        );
    }
    let names: Vec<String> = keys.iter().map(KeyDoc::name).collect();
    let known = names.iter().map(String::as_str).chain(later.iter().copied());
    let near = by_another_name(name.value, &names).or_else(|| suggestion(name.value, known));
    // A misspelt section is likelier than a key at the top.
    let elsewhere = match (&near, section) {
        (Some(_), "") => None,
        _ => reader.origin.elsewhere(name.value),
    };
    let help = elsewhere.or(near).unwrap_or_else(|| format!("its keys are {}", names.join(", ")));
    reader.problems.push(
        Problem::new(
            "profile::unknown-key",
            name.at,
            format!("cannot read `{}`{of}: there is no such key", name.value),
        )
        .label("not known")
        .help(help),
    );
}

/// Whether the value is the word `"default"`, which removes an inherited value.
pub(super) fn is_default_word(node: &Node<'_>) -> bool {
    matches!(node.get_ref(), DeValue::String(text) if text == "default")
}

/// The problem of removing what no weaker layer sets.
pub(crate) fn nothing_to_remove<'a>(
    name: &str,
    at: Span,
    set: impl Iterator<Item = &'a str>,
) -> Problem {
    Problem::new("profile::withdraw", at, format!("cannot remove `{name}`: no layer below sets it"))
        .help_maybe(suggestion(name, set))
}
