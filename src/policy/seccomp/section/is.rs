//! What a condition says of an argument: a value, a list of values, or a table with a comparison.

use super::super::condition::Is;
use crate::kernel::syscalls::constants;
use crate::language::read::{Node, Read, Why, Wrongs, entries, mismatch, place_of};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use toml::de::DeValue;

/// One number: an integer, or a constant such as `"PROT_WRITE|PROT_EXEC"`.
pub(super) struct Number(u64);

impl Shaped for Number {
    fn shape() -> Shape {
        super::shapes::number()
    }
}

impl Read for Number {
    fn read(node: &Node<'_>) -> Result<Number, Wrongs> {
        number(node, "a number or a constant such as \"AF_UNIX\"").map(Number)
    }

    /// In 64 bits; those with the highest bit set are the negative ones.
    fn spell(&self) -> Toml {
        Toml::bare(self.0 as i64)
    }
}

fn number(node: &Node<'_>, what: &str) -> Result<u64, Wrongs> {
    match node.get_ref() {
        DeValue::String(text) => constants::value(text).map_err(|why| why.at(node)),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            i64::from_str_radix(digits, radix)
                .map(|number| number as u64)
                .or_else(|_| u64::from_str_radix(digits, radix))
                .map_err(|_| mismatch(node, what))
        }
        _ => Err(mismatch(node, what)),
    }
}

const KEYS: &[&str] =
    &["is", "not", "mask", "any-bit", "no-bit", "less", "at-most", "greater", "at-least"];

const WHAT: &str = "a number, a constant such as \"AF_UNIX\", a list of them, or a table such as \
                    { not = 0 }";

impl Shaped for Is {
    fn shape() -> Shape {
        super::shapes::is()
    }
}

impl Read for Is {
    fn read(node: &Node<'_>) -> Result<Is, Wrongs> {
        match node.get_ref() {
            DeValue::Array(items) => {
                let (mut values, mut wrongs) = (vec![], Wrongs::none());
                for item in items.iter() {
                    if wrongs.is_full() {
                        break;
                    }
                    values.extend(wrongs.take(Number::read(item)).map(|Number(value)| value));
                }
                if items.is_empty() {
                    return Err(Why::new("an empty list is never true").at(node));
                }
                wrongs.or(Is::OneOf(None, values))
            }
            DeValue::Table(_) => comparison(node),
            _ => Ok(Is::OneOf(None, vec![number(node, WHAT)?])),
        }
    }

    fn spell(&self) -> Toml {
        let mask = |mask: &Option<u64>| mask.map(|mask| ("mask", Number(mask).spell()));
        let keys: Vec<(&str, Toml)> = match self {
            Is::OneOf(None, values) => return spell_values(values),
            Is::OneOf(under, values) => {
                [("is", spell_values(values))].into_iter().chain(mask(under)).collect()
            }
            Is::NoneOf(under, values) => {
                [("not", spell_values(values))].into_iter().chain(mask(under)).collect()
            }
            Is::AnyBit(bits) => vec![("any-bit", Number(*bits).spell())],
            Is::Between(least, most) => {
                vec![("at-least", Number(*least).spell()), ("at-most", Number(*most).spell())]
            }
        };
        Toml::Table(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

fn spell_values(values: &[u64]) -> Toml {
    match values {
        [value] => Number(*value).spell(),
        values => Toml::List(values.iter().map(|value| Number(*value).spell()).collect()),
    }
}

/// One number or some.
fn numbers(node: &Node<'_>) -> Result<Vec<u64>, Wrongs> {
    match Is::read(node)? {
        Is::OneOf(None, values) => Ok(values),
        _ => Err(Why::new("expected a number, a constant, or a list of them").at(node)),
    }
}

fn comparison(node: &Node<'_>) -> Result<Is, Wrongs> {
    let (mut mask, mut values, mut bits) = (None, None, None);
    let mut range: Option<(u64, u64)> = None;
    let nothing = || Why::new("no number is so").at(node);
    for (key, value) in entries(node, "a table")? {
        let (least, most) = range.unwrap_or((0, u64::MAX));
        let one = || Number::read(value).map(|Number(number)| number);
        let key = key.get_ref().as_ref();
        match key {
            "mask" => mask = Some(one()?),
            "is" | "not" if values.is_none() => values = Some((key == "is", numbers(value)?)),
            "any-bit" | "no-bit" if bits.is_none() => bits = Some((key == "any-bit", one()?)),
            "less" => range = Some((least, one()?.checked_sub(1).ok_or_else(nothing)?)),
            "at-most" => range = Some((least, one()?)),
            "greater" => range = Some((one()?.checked_add(1).ok_or_else(nothing)?, most)),
            "at-least" => range = Some((one()?, most)),
            "is" | "not" | "any-bit" | "no-bit" => {
                return Err(Why::new("two comparisons in one condition").at(node));
            }
            unknown => {
                let known: Vec<String> = KEYS.iter().map(|key| format!("`{key}`")).collect();
                let known = format!("`, expected one of {}", known.join(", "));
                return Err(Why::of("unknown field `", unknown, known).at(node));
            }
        }
    }
    let wrong = |sentence: &'static str| Err(Why::new(sentence).at(node));
    match (mask, values, bits, range) {
        (mask, Some((true, values)), None, None) => Ok(Is::OneOf(mask, values)),
        (mask, Some((false, values)), None, None) => Ok(Is::NoneOf(mask, values)),
        (None, None, Some((_, 0)), None) => wrong("0 has no bits"),
        (None, None, Some((true, bits)), None) => Ok(Is::AnyBit(bits)),
        (None, None, Some((false, bits)), None) => Ok(Is::OneOf(Some(bits), vec![0])),
        (None, None, None, Some((least, most))) if least <= most => Ok(Is::Between(least, most)),
        (None, None, None, Some(_)) => Err(nothing()),
        (Some(_), None, None, None) => {
            Err(Why::new("`mask` needs `is` or `not` beside it").at_place(place_of(node, "mask")))
        }
        _ => Err(Why::new("a condition is one comparison")
            .help("write `is` or `not` (with `mask` or not), `any-bit`, `no-bit`, or bounds")
            .at(node)),
    }
}
