//! The reference of the language, `stockade.toml(5)`: what the shapes of the parser's types say,
//! and what holds for all of them. It knows no key.

use super::page::{Block, Page, markdown};
use super::print_line;
use crate::language::shape::{KeyShape, Named, Need, Shape, Shaped, Table, Word, flat};
use crate::profile::{Profile, VARIABLES};

/// Prints the reference as Markdown.
pub(super) fn reference() -> u8 {
    print_line(markdown(&page()).trim_end());
    0
}

pub(super) fn page() -> Page {
    let mut blocks = vec![
        Block::heading(1, "Description"),
        Block::text(
            "A profile declares a sandbox: what it does not grant, the sandbox does not have. It \
             says what is true inside, never in which order to do it: the order of its lines means \
             nothing. It is TOML 1.0. A key that this stockade does not know is an error.",
        ),
        Block::heading(1, "Example"),
        Block::Code(EXAMPLE.into()),
    ];
    let whole = Profile::shape();
    blocks.push(Block::heading(1, "Top of the file"));
    blocks.push(Block::text("These come before the first section."));
    let mut known = Known::default();
    for key in whole.keys().iter().filter(|key| !is_section(&key.shape)) {
        explain_key(key, 0, &mut known, &mut blocks);
    }
    for key in whole.keys().iter().filter(|key| is_section(&key.shape)) {
        section(key, &mut blocks);
    }
    blocks.extend(common());
    Page {
        name: "stockade.toml",
        section: 5,
        what: "A profile of stockade: a sandbox, declared",
        blocks,
    }
}

/// What the reference says of one key.
pub(super) struct Entry {
    /// Its path, such as `limits.memory`.
    pub key: String,
    pub blocks: Vec<Block>,
}

/// The entries of a key, by its path or by its name in any section.
pub(super) fn entries(name: &str) -> Vec<Entry> {
    let wanted = name.trim_start_matches('[').trim_end_matches(']');
    let whole = Profile::shape();
    let mut all = vec![];
    keys_below(&whole, "", &mut all);
    let ends = |path: &str| path == wanted || path.ends_with(&format!(".{wanted}"));
    let exact = all.iter().any(|(path, _)| path == wanted);
    all.into_iter()
        .filter(|(path, _)| if exact { path == wanted } else { ends(path) || ends(&fixed(path)) })
        .map(|(path, key)| {
            let mut blocks = vec![];
            if !path.contains('.') && is_section(&key.shape) {
                section(key, &mut blocks);
            } else {
                explain_key(key, 0, &mut Known::default(), &mut blocks);
            }
            Entry { key: path, blocks }
        })
        .collect()
}

/// A path without the names that the profile chooses: `mounts.upper` of `mounts.PATH.upper`.
fn fixed(path: &str) -> String {
    let is_chosen = |part: &&str| part.bytes().all(|byte| byte.is_ascii_uppercase());
    path.split('.').filter(|part| !is_chosen(part)).collect::<Vec<_>>().join(".")
}

/// Every key of a shape with its path; a name that the profile chooses is in capitals.
fn keys_below<'s>(shape: &'s Shape, path: &str, found: &mut Vec<(String, &'s KeyShape)>) {
    let below = |name: &str| if path.is_empty() { name.into() } else { format!("{path}.{name}") };
    match shape {
        Shape::Table(table) => {
            for key in &table.keys {
                let path = below(&key.name);
                // Alternatives of one table share keys.
                if found.iter().all(|(known, _)| *known != path) {
                    found.push((path.clone(), key));
                }
                keys_below(&key.shape, &path, found);
            }
        }
        Shape::Named(named) => keys_below(&named.value, &below(named.name), found),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| keys_below(shape, path, found)),
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner)
        | Shape::Part(_, _, inner) => keys_below(inner, path, found),
        _ => {}
    }
}

/// The words that a key takes, each with what it means.
pub(super) fn words_of(key: &str) -> Vec<(String, String)> {
    let words = words_below(&Profile::shape(), "", &|path, _| path == key);
    words.into_iter().map(|(_, Word { word, doc })| (word, flat(doc))).collect()
}

/// The keys that take a word, each with what it means there.
pub(super) fn keys_of(word: &str) -> Vec<(String, String)> {
    let is_it = |_: &str, of: &Word| of.word == word && !of.doc.is_empty();
    let mut keys: Vec<(String, String)> = vec![];
    for (path, Word { doc, .. }) in words_below(&Profile::shape(), "", &is_it) {
        let means = (path, flat(doc));
        if !keys.contains(&means) {
            keys.push(means);
        }
    }
    keys
}

/// The words of a shape that are wanted, each with the path of its key.
fn words_below(
    shape: &Shape,
    path: &str,
    is_wanted: &dyn Fn(&str, &Word) -> bool,
) -> Vec<(String, Word)> {
    let below = |name: &str| if path.is_empty() { name.into() } else { format!("{path}.{name}") };
    match shape {
        Shape::Words(words) => {
            let wanted = words.iter().filter(|word| is_wanted(path, word));
            wanted.map(|word| (path.to_owned(), word.clone())).collect()
        }
        Shape::Table(table) => {
            let keys = table.keys.iter();
            keys.flat_map(|key| words_below(&key.shape, &below(&key.name), is_wanted)).collect()
        }
        Shape::Named(named) => words_below(&named.value, &below(named.name), is_wanted),
        Shape::Either(shapes) => {
            shapes.iter().flat_map(|shape| words_below(shape, path, is_wanted)).collect()
        }
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner)
        | Shape::Part(_, _, inner) => words_below(inner, path, is_wanted),
        Shape::Text
        | Shape::Form(..)
        | Shape::Integer(..)
        | Shape::Number(..)
        | Shape::Boolean
        | Shape::True => vec![],
    }
}

const EXAMPLE: &str = r#"#:schema stockade.schema.json
format = 1
description = "Build a crate offline"
extends = ["base"]

[params]
project = { type = "path", default = "${CWD}", help = "the crate" }

[process]
command = ["cargo", "build", "${ARGS}"]
timeout = "10m"

[mounts]
"${project}" = { bind = "${project}", access = "rw" }"#;

/// Shapes that were explained, each with the key that did.
#[derive(Default)]
struct Known(Vec<(Shape, String)>);

impl Known {
    /// The key that explained a shape already; else this one does, where there is something to
    /// explain.
    fn earlier(&mut self, shape: &Shape, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == shape).map(|(_, name)| name.clone());
        if found.is_none() && has_parts(shape) {
            self.0.push((shape.clone(), name.to_owned()));
        }
        found
    }
}

fn is_section(shape: &Shape) -> bool {
    match shape {
        Shape::Table(_) | Shape::Named(_) => true,
        Shape::Early(inner) => is_section(inner),
        _ => false,
    }
}

fn section(key: &KeyShape, blocks: &mut Vec<Block>) {
    let name = &key.name;
    blocks.push(Block::heading(1, format!("[{name}]")));
    let mut known = Known::default();
    let inner = if let Shape::Early(inner) = &key.shape { inner } else { &key.shape };
    match inner {
        Shape::Table(table) => {
            // A section's own words begin with its name, which is the heading here.
            let doc = flat(table.doc);
            let doc = doc.strip_prefix(&format!("`[{name}]`: ")).unwrap_or(&doc);
            blocks.push(Block::text(capital(doc)));
            table.keys.iter().for_each(|key| explain_key(key, 0, &mut known, blocks));
        }
        Shape::Named(Named { doc, name, value, .. }) => {
            blocks.push(Block::text(flat(doc)));
            blocks.push(Block::item(0, format!("`{name}`"), capital(&format!("{}.", kind(value)))));
            parts(value, 1, &mut known, blocks);
        }
        _ => {}
    }
}

/// A key: what its value is, its words, and what its words and tables mean.
fn explain_key(key: &KeyShape, depth: u8, known: &mut Known, blocks: &mut Vec<Block>) {
    let earlier = known.earlier(&key.shape, &key.name);
    let looks = match &earlier {
        Some(name) => format!("as for `{name}`"),
        None => kind(&key.shape),
    };
    let need = match &key.need {
        Need::Optional | Need::Kind => String::new(),
        Need::Required => " Required.".into(),
        Need::With(others) => {
            format!(" With {}.", either(others.iter().map(|name| format!("`{name}`")).collect()))
        }
    };
    blocks.push(Block::item(
        depth,
        format!("`{}`", key.name),
        format!("{} ({looks}){need}", flat(key.doc)),
    ));
    if earlier.is_none() {
        parts(&key.shape, depth + 1, known, blocks);
    }
}

fn has_parts(shape: &Shape) -> bool {
    match shape {
        // So many words are worth a reference to them.
        Shape::Words(words) => words.len() > 4 || words.iter().any(|word| !word.doc.is_empty()),
        Shape::Table(_) | Shape::Named(_) => true,
        Shape::Either(shapes) => shapes.iter().any(has_parts),
        Shape::Part(_, what, inner) => what.is_empty() && has_parts(inner),
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner) => has_parts(inner),
        _ => false,
    }
}

/// The words and keys of which a value is made, each with what it means.
fn parts(shape: &Shape, depth: u8, known: &mut Known, blocks: &mut Vec<Block>) {
    match shape {
        Shape::Words(words) => {
            let explained = words.iter().filter(|word| !word.doc.is_empty());
            blocks.extend(
                explained.map(|Word { word, doc }| {
                    Block::item(depth, format!("`\"{word}\"`"), flat(doc))
                }),
            );
        }
        Shape::Table(Table { keys, .. }) => {
            keys.iter().for_each(|key| explain_key(key, depth, known, blocks))
        }
        Shape::Named(Named { doc, name, value, .. }) => {
            blocks.push(Block::item(
                depth,
                format!("`{name}`"),
                format!("{} ({})", flat(doc), kind(value)),
            ));
            parts(value, depth + 1, known, blocks);
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| parts(shape, depth, known, blocks)),
        Shape::Part(_, "", inner) => parts(inner, depth, known, blocks),
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner) => {
            parts(inner, depth, known, blocks);
        }
        _ => {}
    }
}

/// What a value is, in words.
fn kind(shape: &Shape) -> String {
    either(kinds(shape))
}

/// The words for each thing that a value may be.
fn kinds(shape: &Shape) -> Vec<String> {
    let one = |text: String| vec![text];
    match shape {
        Shape::Text => one("a text".into()),
        Shape::Form(what, _) => one((*what).into()),
        Shape::Words(words) => words.iter().map(|word| format!("`\"{}\"`", word.word)).collect(),
        Shape::Integer(low, high) if low == high => one(format!("`{low}`")),
        Shape::Integer(0, i64::MAX) => one("a number".into()),
        Shape::Integer(i64::MIN, i64::MAX) => one("a whole number".into()),
        Shape::Integer(low, high) => one(format!("a number from {low} to {high}")),
        Shape::Number(low, high) => {
            one(format!("a number from {low} to {high}, with or without a fraction"))
        }
        Shape::Boolean => vec!["`true`".into(), "`false`".into()],
        Shape::True => one("`true`".into()),
        Shape::Sequence(item) => one(format!("a sequence; each: {}", kind(item))),
        Shape::Set(item) => one(format!("a set; each: {}", kind(item))),
        Shape::Table(table) if table.keys.len() > 3 => one("a table".into()),
        Shape::Table(table) => one(format!("a table with {}", key_names(table))),
        Shape::Named(_) => one("a table".into()),
        Shape::Either(shapes) => shapes.iter().flat_map(kinds).collect(),
        Shape::Part(_, what, _) if !what.is_empty() => one((*what).into()),
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Part(_, _, inner) => kinds(inner),
    }
}

/// The keys of a small table.
fn key_names(table: &Table) -> String {
    let keys: Vec<String> = table.keys.iter().map(|key| format!("`{}`", key.name)).collect();
    keys.join(" and ")
}

fn either(mut all: Vec<String>) -> String {
    match all.pop() {
        Some(last) if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    first.to_ascii_uppercase() + rest
}

/// What holds for every section.
fn common() -> Vec<Block> {
    let mut blocks = vec![
        Block::heading(1, "Values"),
        Block::item(
            0,
            "size",
            "Digits and `K`, `M`, `G` or `T` (powers of 1024), or a number of bytes.",
        ),
        Block::item(0, "time", "Digits and `ms`, `s`, `m`, `h` or `d`; never a bare number."),
        Block::item(0, "mode", "Octal digits in quotes."),
        Block::item(
            0,
            "path",
            "Absolute, without `..`; write `${PROFILE_DIR}/x` or `${CWD}/x` for one that begins \
             elsewhere.",
        ),
        Block::heading(1, "Layers"),
        Block::text(
            "From the weakest: each file of `extends` in its order (one that is met twice is \
             loaded once), the file itself, and the command line: `--config` and the short flags \
             are one layer, whose order means nothing. Sections merge key by key; the value of a key is replaced whole, never mixed.",
        ),
        Block::item(
            0,
            "set",
            "United over layers; order and repeats mean nothing. `\"!x\"` removes an inherited \
             `x`, `\"!*\"` all of them; one that loses its last item is empty, which is not its default.",
        ),
        Block::item(0, "sequence", "Replaced whole; order and repeats are kept."),
        Block::item(
            0,
            "`false`",
            "Removes an inherited entry of `[mounts]`, `[env]` and `[rlimits]`.",
        ),
        Block::item(0, "`\"default\"`", "Removes the inherited value of any other key."),
        Block::heading(1, "Variables"),
        Block::text(
            "They are used in texts, and in the paths of `[mounts]`. A text that is nothing but one \
             parameter takes its type: it may be used where a number or `true` is wanted; a list \
             is used as an element of a list and is spliced in. What is put in is never parsed \
             again. An unset or empty variable is an error.",
        ),
    ];
    blocks.extend(
        VARIABLES
            .iter()
            .map(|(name, doc)| Block::item(0, format!("`${{{name}}}`"), format!("{doc}."))),
    );
    blocks.extend([
        Block::item(
            0,
            "`${env:NAME}`",
            "A variable of the caller's environment; `${env:NAME:-text}` has a default.",
        ),
        Block::item(0, "`${name}`", "A parameter of `[params]`."),
        Block::item(0, "`${ARGS}`", "In `process.command` alone: the words after PROFILE."),
        Block::item(0, "`${COMMAND}`", "In `programs` alone: the program of `process.command`."),
        Block::item(0, "`$${x}`", "The text `${x}` itself."),
        Block::heading(1, "Editors"),
        Block::text(
            "`stockade schema > stockade.schema.json` writes a JSON Schema of this language. \
             Editors with the Taplo language server complete and check by it in a file whose first \
             line is `#:schema` with the path of the schema.",
        ),
        Block::heading(1, "See also"),
        Block::text("`stockade(1)`"),
    ]);
    blocks
}
