//! `stockade schema`: the language as a JSON Schema, for editors. Made of the shapes that the
//! parser's own types give; it knows no key.
//!
//! Draft 7, not 2020-12: the TOML language servers read that one in full. A schema is no narrower
//! than the parser. What it cannot say (a name that is looked up, a relation between two sections)
//! `stockade check` says.

use super::print_line;
use crate::language::shape::{KeyShape, Named, Need, Shape, Shaped, Table, plain};
use crate::profile::Profile;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

pub(super) fn schema() -> u8 {
    let profile = Profile::shape();
    let mut all = BTreeMap::new();
    named_parts(&profile, &mut all);
    // Without descriptions: an editor would show them beside those of every key.
    let forms = [
        (VARIABLE, r"\$\{[^}]+\}"),
        (DEFAULT, "^default$"),
        (VARIABLE_OR_DEFAULT, r"\$\{[^}]+\}|^default$"),
        (REMOVAL, "^!"),
    ];
    let form = |(name, form)| (name, Json::object([("type", "string".into()), ("pattern", form)]));
    let part = |(name, part)| (name, Json::Object(members(part, "", true)));
    let forms = forms.map(|(name, form)| (name, form.into()));
    let definitions = forms.into_iter().map(form).chain(all.into_iter().map(part));
    let mut json = vec![
        member("$schema", "http://json-schema.org/draft-07/schema#"),
        member("title", "stockade profile"),
    ];
    if let Shape::Table(table) = &profile {
        json.extend(closed(table, true));
    }
    json.push(member("definitions", Json::object(definitions)));
    print_line(&serde_json::to_string_pretty(&Json::Object(json)).unwrap_or_default());
    0
}

const VARIABLE: &str = "variable";
const DEFAULT: &str = "default";
const VARIABLE_OR_DEFAULT: &str = "variable-or-default";
const REMOVAL: &str = "withdrawal";

/// The parts that are used in many places, by their names. Each of those places takes variables.
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

/// A value whose members keep the order of their declaration.
enum Json {
    Text(String),
    Whole(i64),
    Number(f64),
    Truth(bool),
    List(Vec<Json>),
    Object(Vec<Member>),
}

type Member = (String, Json);

impl Json {
    fn object<'n>(members: impl IntoIterator<Item = (&'n str, Json)>) -> Json {
        Json::Object(members.into_iter().map(|(name, value)| member(name, value)).collect())
    }

    /// A list of texts.
    fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Json {
        Json::List(texts.into_iter().map(Json::from).collect())
    }

    /// A number as it is written.
    fn number(text: &str) -> Json {
        match text.parse() {
            Ok(whole) => Json::Whole(whole),
            Err(_) => Json::Number(text.parse().unwrap_or_default()),
        }
    }
}

fn member(name: &str, value: impl Into<Json>) -> Member {
    (name.to_owned(), value.into())
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Text(text) => serializer.serialize_str(text),
            Json::Whole(number) => serializer.serialize_i64(*number),
            Json::Number(number) => serializer.serialize_f64(*number),
            Json::Truth(value) => serializer.serialize_bool(*value),
            Json::List(items) => serializer.collect_seq(items),
            Json::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// One thing that may stand for a value.
enum Alternative<'s> {
    Shape(&'s Shape),
    /// A definition of the schema.
    Definition(&'static str),
    /// `false`, which removes an inherited entry.
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

/// Whether a text with variables needs an alternative of its own here: free text already matches
/// it, and no variable gives a table or a list.
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
/// shows the description of each alternative, other editors that of the whole, so both have `doc`.
fn members(shape: &Shape, doc: &str, fills: bool) -> Vec<Member> {
    let mut all = vec![];
    let fills = alternatives(shape, fills, &mut all);
    let mut out = described(doc);
    match all.as_slice() {
        // Keywords beside `$ref` are ignored.
        [Alternative::Definition(name)] if !doc.is_empty() => {
            out.push(member("allOf", Json::List(vec![Json::Object(vec![refer(name)])])));
        }
        [one] => out.extend(alternative(one, "", fills)),
        all => {
            let docs = std::iter::once(doc).chain(std::iter::repeat(""));
            let any =
                all.iter().zip(docs).map(|(one, doc)| Json::Object(alternative(one, doc, fills)));
            out.push(member("anyOf", Json::List(any.collect())));
        }
    }
    out
}

fn described(doc: &str) -> Vec<Member> {
    if doc.is_empty() { vec![] } else { vec![member("description", doc)] }
}

fn alternative(one: &Alternative<'_>, doc: &str, fills: bool) -> Vec<Member> {
    let shape = match one {
        Alternative::Definition(name) => return vec![refer(name)],
        Alternative::False => return vec![member("const", Json::Truth(false))],
        Alternative::Shape(shape) => shape,
    };
    let of_type = |name: &str| member("type", name);
    let mut out = described(doc);
    match shape {
        Shape::Text => out.push(of_type("string")),
        Shape::Form(what, form) => out.extend([
            member("title", plain(what).as_str()),
            of_type("string"),
            member("pattern", form.as_str()),
        ]),
        Shape::Integer(low, high) if low == high => out.push(member("const", Json::Whole(*low))),
        Shape::Integer(low, high) => {
            out.push(of_type("integer"));
            out.extend((*low != i64::MIN).then(|| member("minimum", Json::Whole(*low))));
            out.extend((*high != i64::MAX).then(|| member("maximum", Json::Whole(*high))));
        }
        Shape::Number(low, high) => out.extend([
            of_type("number"),
            member("minimum", Json::number(low)),
            member("maximum", Json::number(high)),
        ]),
        Shape::Boolean => out.push(of_type("boolean")),
        Shape::True => out.push(member("const", Json::Truth(true))),
        Shape::Words(words) => {
            out.push(member("enum", Json::texts(words.iter().map(|word| word.word.as_str()))));
            if words.iter().any(|word| !word.doc.is_empty()) {
                let docs: Vec<String> = words.iter().map(|word| plain(word.doc)).collect();
                let docs = Json::texts(docs.iter().map(String::as_str));
                let docs = Json::object([("docs", Json::object([("enumValues", docs)]))]);
                out.push(member("x-taplo", docs));
            }
        }
        Shape::Sequence(item) => out.extend(list(Json::Object(members(item, "", fills)))),
        Shape::Set(item) => {
            let any = [members(item, "", fills), vec![refer(REMOVAL)]].map(Json::Object);
            out.extend(list(Json::object([("anyOf", Json::List(any.into()))])));
        }
        Shape::Table(table) => out.extend(closed(table, fills)),
        Shape::Named(named) => out.extend(free(named, fills)),
        // They are taken apart above.
        Shape::Either(_) | Shape::Key(_) | Shape::Entry(_) | Shape::Early(_) | Shape::Part(..) => {}
    }
    out
}

fn refer(name: &str) -> Member {
    member("$ref", format!("#/definitions/{name}").as_str())
}

fn list(items: Json) -> [Member; 2] {
    [member("type", "array"), member("items", items)]
}

fn closed(table: &Table, fills: bool) -> Vec<Member> {
    let key = |key: &KeyShape| {
        member(&key.name, Json::Object(members(&key.shape, &plain(key.doc), fills)))
    };
    let mut out = vec![
        member("type", "object"),
        member("properties", Json::Object(table.keys.iter().map(key).collect())),
        member("additionalProperties", Json::Truth(false)),
    ];
    let names = |need: Need| -> Vec<&str> {
        table.keys.iter().filter(|key| key.need == need).map(|key| key.name.as_str()).collect()
    };
    let (required, kinds) = (names(Need::Required), names(Need::Kind));
    if !required.is_empty() {
        out.push(member("required", Json::texts(required)));
    }
    // Further keys alone: they change an entry that another layer has.
    let alone = || Json::object([("not", Json::object([("anyOf", one_of(&kinds))]))]);
    let or_alone = |names: &[&str]| match (one_of(names), table.amends) {
        (Json::List(some), true) => Json::List(some.into_iter().chain([alone()]).collect()),
        (some, _) => some,
    };
    if !kinds.is_empty() {
        out.push(member("oneOf", or_alone(&kinds)));
    }
    if table.amends {
        out.push(member("minProperties", Json::Whole(1)));
    }
    let dependent = table.keys.iter().filter_map(|key| match &key.need {
        Need::With(others) => Some(member(&key.name, Json::object([("anyOf", or_alone(others))]))),
        Need::Optional | Need::Required | Need::Kind => None,
    });
    let dependent: Vec<Member> = dependent.collect();
    if !dependent.is_empty() {
        out.push(member("dependencies", Json::Object(dependent)));
    }
    out
}

/// One of these keys is there.
fn one_of(names: &[&str]) -> Json {
    Json::List(
        names.iter().map(|name| Json::object([("required", Json::texts([*name]))])).collect(),
    )
}

fn free(named: &Named, fills: bool) -> [Member; 3] {
    let form =
        if named.fills { format!(r"{}|\$\{{[^}}]+\}}", named.form) } else { named.form.to_owned() };
    [
        member("type", "object"),
        member("propertyNames", Json::object([("pattern", form.as_str().into())])),
        member("additionalProperties", Json::Object(members(&named.value, "", fills))),
    ]
}
