//! `stockade schema`: the language as a JSON Schema, for editors. Made of the shapes that the
//! parser's own types give; it knows no key.
//!
//! Draft 7, not 2020-12: the TOML language servers read that one in full. A schema is no narrower
//! than the parser. What it cannot say (a name that is looked up, a relation between two sections)
//! `stockade check` says.

use super::print_line;
use crate::language::shape::{Named, Need, Shape, Shaped, Table, plain};
use crate::profile::Profile;
use std::collections::BTreeMap;

pub(super) fn schema() -> u8 {
    let profile = Profile::shape();
    let mut json = Json::default();
    json.open('{');
    json.text("$schema", "http://json-schema.org/draft-07/schema#");
    json.text("title", "stockade profile");
    if let Shape::Table(table) = &profile {
        closed(table, true, &mut json);
    }
    json.name("definitions");
    json.open('{');
    // Without descriptions: an editor would show them beside those of every key.
    let definitions = [
        (VARIABLE, r"\$\{[^}]+\}"),
        (DEFAULT, "^default$"),
        (VARIABLE_OR_DEFAULT, r"\$\{[^}]+\}|^default$"),
        (WITHDRAWAL, "^!"),
    ];
    for (name, form) in definitions {
        json.name(name);
        json.open('{');
        json.text("type", "string");
        json.text("pattern", form);
        json.close('}');
    }
    let mut all = BTreeMap::new();
    named_parts(&profile, &mut all);
    for (name, part) in all {
        json.name(name);
        json.open('{');
        members(part, "", true, &mut json);
        json.close('}');
    }
    json.close('}');
    json.close('}');
    print_line(&json.out);
    0
}

const VARIABLE: &str = "variable";
const DEFAULT: &str = "default";
const VARIABLE_OR_DEFAULT: &str = "variable-or-default";
const WITHDRAWAL: &str = "withdrawal";

/// The parts that stand in many places, by their names. Variables are put in wherever they stand.
fn named_parts<'s>(shape: &'s Shape, all: &mut BTreeMap<&'static str, &'s Shape>) {
    match shape {
        Shape::Part(name, _, inner) => {
            if all.insert(name, inner).is_none() {
                named_parts(inner, all);
            }
        }
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner) => named_parts(inner, all),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| named_parts(shape, all)),
        Shape::Table(table) => table.keys.iter().for_each(|key| named_parts(&key.shape, all)),
        Shape::Named(named) => named_parts(&named.value, all),
        Shape::Text
        | Shape::Form(..)
        | Shape::Words(_)
        | Shape::Integer(..)
        | Shape::Number(..)
        | Shape::Boolean
        | Shape::True => {}
    }
}

/// A JSON text in the making. A tree of values, or serde's, would cost the launcher more bytes than
/// the schema has.
#[derive(Default)]
struct Json {
    out: String,
    depth: usize,
    /// Whether something stands before on the same level.
    more: bool,
}

impl Json {
    fn line(&mut self) {
        if self.more {
            self.out.push(',');
        }
        if self.depth > 0 && !self.out.ends_with(": ") {
            self.out.push('\n');
            (0..self.depth).for_each(|_| self.out.push_str("  "));
        }
        self.more = true;
    }

    fn quote(&mut self, text: &str) {
        // A text is always JSON.
        self.out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }

    /// The name of the member that follows.
    fn name(&mut self, name: &str) {
        self.line();
        self.quote(name);
        self.out.push_str(": ");
        self.more = false;
    }

    fn open(&mut self, bracket: char) {
        self.line();
        self.out.push(bracket);
        self.depth += 1;
        self.more = false;
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        let empty = !self.more;
        self.more = false;
        if !empty {
            self.line();
        }
        self.out.push(bracket);
        self.more = true;
    }

    fn value(&mut self, text: &str) {
        self.line();
        self.quote(text);
    }

    /// A member that is a text.
    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.value(text);
    }

    /// A member that is no text.
    fn bare(&mut self, name: &str, value: &str) {
        self.name(name);
        self.line();
        self.out.push_str(value);
    }

    /// A member that is a list of texts.
    fn texts<'t>(&mut self, name: &str, texts: impl Iterator<Item = &'t str>) {
        self.name(name);
        self.open('[');
        texts.for_each(|text| self.value(text));
        self.close(']');
    }
}

/// One thing that may stand for a value.
enum Alternative<'s> {
    Shape(&'s Shape),
    /// A definition of the schema.
    Definition(&'static str),
    /// `false`, which withdraws.
    False,
}

/// Everything that may stand for a shape, and whether variables are put in there.
fn alternatives<'s>(shape: &'s Shape, fills: bool, all: &mut Vec<Alternative<'s>>) -> bool {
    match shape {
        Shape::Key(inner) => {
            let texts = takes_text(inner);
            let filled = alternatives(inner, fills, all);
            match all.last_mut() {
                Some(Alternative::Definition(name)) if *name == VARIABLE => {
                    *name = VARIABLE_OR_DEFAULT
                }
                _ if !texts => all.push(Alternative::Definition(DEFAULT)),
                _ => {}
            }
            filled
        }
        Shape::Entry(inner) => {
            let filled = alternatives(inner, fills, all);
            all.push(Alternative::False);
            filled
        }
        Shape::Early(inner) => alternatives(inner, false, all),
        _ => {
            bare(shape, all);
            if fills && is_filled(shape) {
                all.push(Alternative::Definition(VARIABLE));
            }
            fills
        }
    }
}

fn bare<'s>(shape: &'s Shape, all: &mut Vec<Alternative<'s>>) {
    match shape {
        Shape::Either(shapes) => shapes.iter().for_each(|shape| bare(shape, all)),
        Shape::Part(name, ..) => all.push(Alternative::Definition(name)),
        _ => all.push(Alternative::Shape(shape)),
    }
}

/// Whether a text with variables is a value of its own kind here: where free text may stand it is
/// one already, and a table or a list cannot come of a variable.
fn is_filled(shape: &Shape) -> bool {
    match shape {
        Shape::Form(..)
        | Shape::Words(_)
        | Shape::Integer(..)
        | Shape::Number(..)
        | Shape::Boolean
        | Shape::True => true,
        Shape::Either(shapes) => !takes_text(shape) && shapes.iter().any(is_filled),
        _ => false,
    }
}

fn takes_text(shape: &Shape) -> bool {
    match shape {
        Shape::Text => true,
        Shape::Either(shapes) => shapes.iter().any(takes_text),
        _ => false,
    }
}

/// The members of the schema of a value: of the one thing that it may be, or of several. Taplo
/// shows the words of each of several, and others those of the whole, so `doc` stands at both.
fn members(shape: &Shape, doc: &str, fills: bool, json: &mut Json) {
    let mut all = vec![];
    let fills = alternatives(shape, fills, &mut all);
    if !doc.is_empty() {
        json.text("description", doc);
    }
    match all.as_slice() {
        // What stands beside a reference does not count.
        [Alternative::Definition(name)] if !doc.is_empty() => {
            json.name("allOf");
            json.open('[');
            json.open('{');
            refer(name, json);
            json.close('}');
            return json.close(']');
        }
        [one] => return alternative(one, "", fills, json),
        _ => {}
    }
    json.name("anyOf");
    json.open('[');
    let mut doc = doc;
    for one in &all {
        json.open('{');
        alternative(one, doc, fills, json);
        json.close('}');
        doc = "";
    }
    json.close(']');
}

fn alternative(one: &Alternative<'_>, doc: &str, fills: bool, json: &mut Json) {
    let shape = match one {
        Alternative::Definition(name) => return refer(name, json),
        Alternative::False => return json.bare("const", "false"),
        Alternative::Shape(shape) => shape,
    };
    if !doc.is_empty() {
        json.text("description", doc);
    }
    match shape {
        Shape::Text => json.text("type", "string"),
        Shape::Form(what, form) => {
            json.text("title", &plain(what));
            json.text("type", "string");
            json.text("pattern", form);
        }
        Shape::Integer(low, high) if low == high => json.bare("const", &low.to_string()),
        Shape::Integer(low, high) => {
            json.text("type", "integer");
            if *low != i64::MIN {
                json.bare("minimum", &low.to_string());
            }
            if *high != i64::MAX {
                json.bare("maximum", &high.to_string());
            }
        }
        Shape::Number(low, high) => {
            json.text("type", "number");
            json.bare("minimum", low);
            json.bare("maximum", high);
        }
        Shape::Boolean => json.text("type", "boolean"),
        Shape::True => json.bare("const", "true"),
        Shape::Words(words) => {
            json.texts("enum", words.iter().map(|word| word.word.as_str()));
            if words.iter().any(|word| !word.doc.is_empty()) {
                let docs: Vec<String> = words.iter().map(|word| plain(word.doc)).collect();
                json.name("x-taplo");
                json.open('{');
                json.name("docs");
                json.open('{');
                json.texts("enumValues", docs.iter().map(String::as_str));
                json.close('}');
                json.close('}');
            }
        }
        Shape::Sequence(item) => list(item, fills, false, json),
        Shape::Set(item) => list(item, fills, true, json),
        Shape::Table(table) => closed(table, fills, json),
        Shape::Named(named) => free(named, fills, json),
        // They are taken apart above.
        Shape::Either(_) | Shape::Key(_) | Shape::Entry(_) | Shape::Early(_) | Shape::Part(..) => {}
    }
}

fn refer(name: &str, json: &mut Json) {
    json.text("$ref", &format!("#/definitions/{name}"));
}

fn list(item: &Shape, fills: bool, set: bool, json: &mut Json) {
    json.text("type", "array");
    json.name("items");
    json.open('{');
    if set {
        json.name("anyOf");
        json.open('[');
        json.open('{');
    }
    members(item, "", fills, json);
    if set {
        json.close('}');
        json.open('{');
        refer(WITHDRAWAL, json);
        json.close('}');
        json.close(']');
    }
    json.close('}');
}

fn closed(table: &Table, fills: bool, json: &mut Json) {
    json.text("type", "object");
    json.name("properties");
    json.open('{');
    for key in &table.keys {
        json.name(&key.name);
        json.open('{');
        members(&key.shape, &plain(key.doc), fills, json);
        json.close('}');
    }
    json.close('}');
    json.bare("additionalProperties", "false");
    let names = |need: Need| {
        table.keys.iter().filter(move |key| key.need == need).map(|key| key.name.as_str())
    };
    if names(Need::Required).next().is_some() {
        json.texts("required", names(Need::Required));
    }
    if names(Need::Kind).next().is_some() {
        one_of("oneOf", names(Need::Kind), json);
    }
    let dependent = table.keys.iter().filter_map(|key| {
        if let Need::With(others) = &key.need { Some((&key.name, others)) } else { None }
    });
    let dependent: Vec<_> = dependent.collect();
    if dependent.is_empty() {
        return;
    }
    json.name("dependencies");
    json.open('{');
    for (name, others) in dependent {
        json.name(name);
        json.open('{');
        one_of("anyOf", others.iter().copied(), json);
        json.close('}');
    }
    json.close('}');
}

/// One of these keys is there.
fn one_of<'n>(how: &str, names: impl Iterator<Item = &'n str>, json: &mut Json) {
    json.name(how);
    json.open('[');
    for name in names {
        json.open('{');
        json.texts("required", std::iter::once(name));
        json.close('}');
    }
    json.close(']');
}

fn free(named: &Named, fills: bool, json: &mut Json) {
    json.text("type", "object");
    json.name("propertyNames");
    json.open('{');
    let form =
        if named.fills { format!(r"{}|\$\{{[^}}]+\}}", named.form) } else { named.form.to_owned() };
    json.text("pattern", &form);
    json.close('}');
    json.name("additionalProperties");
    json.open('{');
    members(&named.value, "", fills, json);
    json.close('}');
}
