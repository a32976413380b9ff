//! What a condition says of an argument: a value, a list of values, or a table with a comparison.

use super::super::condition::Is;
use crate::kernel::syscalls::constants;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One number: an integer, or a constant such as `"PROT_WRITE|PROT_EXEC"`.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a constant such as \"AF_UNIX\"")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as u64))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                constants::value(text).map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// One number or some.
struct Numbers(Vec<u64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        match Is::deserialize(deserializer)? {
            Is::OneOf(None, values) => Ok(Numbers(values)),
            _ => Err(de::Error::custom("expected a number, a constant, or a list of them")),
        }
    }
}

const KEYS: &[&str] =
    &["is", "not", "mask", "any-bit", "no-bit", "less", "at-most", "greater", "at-least"];

impl<'de> Deserialize<'de> for Is {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Is, D::Error> {
        struct IsVisitor;
        impl<'de> Visitor<'de> for IsVisitor {
            type Value = Is;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number, a constant such as \"AF_UNIX\", a list of them, or a table such as \
                     { not = 0 }",
                )
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Is, E> {
                Ok(Is::OneOf(None, vec![number as u64]))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Is, E> {
                Ok(Is::OneOf(None, vec![number]))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Is, E> {
                Ok(Is::OneOf(None, vec![constants::value(text).map_err(E::custom)?]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Is, A::Error> {
                let mut values = vec![];
                while let Some(Number(value)) = seq.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    Err(de::Error::custom("an empty list is never true"))
                } else {
                    Ok(Is::OneOf(None, values))
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Is, A::Error> {
                comparison(map)
            }
        }
        deserializer.deserialize_any(IsVisitor)
    }
}

fn comparison<'de, A: MapAccess<'de>>(mut map: A) -> Result<Is, A::Error> {
    let (mut mask, mut values, mut bits) = (None, None, None);
    let mut range: Option<(u64, u64)> = None;
    let nothing = || de::Error::custom("no number is so");
    while let Some(key) = map.next_key::<String>()? {
        let (least, most) = range.unwrap_or((0, u64::MAX));
        match key.as_str() {
            "mask" => mask = Some(map.next_value::<Number>()?.0),
            "is" | "not" if values.is_none() => {
                values = Some((key == "is", map.next_value::<Numbers>()?.0))
            }
            "any-bit" | "no-bit" if bits.is_none() => {
                bits = Some((key == "any-bit", map.next_value::<Number>()?.0))
            }
            "less" => {
                range =
                    Some((least, map.next_value::<Number>()?.0.checked_sub(1).ok_or_else(nothing)?))
            }
            "at-most" => range = Some((least, map.next_value::<Number>()?.0)),
            "greater" => {
                range =
                    Some((map.next_value::<Number>()?.0.checked_add(1).ok_or_else(nothing)?, most))
            }
            "at-least" => range = Some((map.next_value::<Number>()?.0, most)),
            "is" | "not" | "any-bit" | "no-bit" => {
                return Err(de::Error::custom("two comparisons in one condition"));
            }
            _ => return Err(de::Error::unknown_field(&key, KEYS)),
        }
    }
    match (mask, values, bits, range) {
        (mask, Some((true, values)), None, None) => Ok(Is::OneOf(mask, values)),
        (mask, Some((false, values)), None, None) => Ok(Is::NoneOf(mask, values)),
        (None, None, Some((_, 0)), None) => Err(de::Error::custom("0 has no bits")),
        (None, None, Some((true, bits)), None) => Ok(Is::AnyBit(bits)),
        (None, None, Some((false, bits)), None) => Ok(Is::OneOf(Some(bits), vec![0])),
        (None, None, None, Some((least, most))) if least <= most => Ok(Is::Between(least, most)),
        (None, None, None, Some(_)) => Err(nothing()),
        (Some(_), None, None, None) => {
            Err(de::Error::custom("`mask` needs `is` or `not` beside it"))
        }
        _ => Err(de::Error::custom(
            "a condition is one comparison\nhelp: write `is` or `not` (with `mask` or not), \
             `any-bit`, `no-bit`, or bounds",
        )),
    }
}
