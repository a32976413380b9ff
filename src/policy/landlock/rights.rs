//! The words of `[landlock].paths` for access rights. It decides nothing.

use crate::kernel::rights::{Rights, bits};
use crate::language::shape::{Shape, Shaped};
use crate::text::problem::suggestion;
use landlock::AccessFs;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// The rights that `[landlock].paths` gives by name. One letter is one right, so that letters can
/// stand together.
const NAMES: &[(&str, Rights)] = &[
    ("r", Rights::READ),
    ("w", Rights::WRITE),
    ("x", Rights::EXECUTE),
    ("list", Rights::LIST),
    ("make", Rights::MAKE),
    ("remove", Rights::REMOVE),
    ("refer", bits(&[AccessFs::Refer])),
    ("truncate", bits(&[AccessFs::Truncate])),
    ("ioctl-dev", Rights::IOCTL),
    ("connect", Rights::CONNECT),
];

/// Rights as a profile writes them: letters of `r`, `w` and `x` in one text, or a list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted(pub Rights);

impl Shaped for Granted {
    fn shape() -> Shape {
        let names = Shape::names(NAMES.iter().map(|(name, _)| *name));
        let letters = Shape::form("letters of `r`, `w` and `x`", "^[rwx]+$");
        Shape::Either(vec![letters, names.clone(), Shape::Sequence(Box::new(names))])
    }
}

impl<'de> Deserialize<'de> for Granted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Granted, D::Error> {
        struct GrantedVisitor;
        impl<'de> Visitor<'de> for GrantedVisitor {
            type Value = Granted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rights such as \"rx\" or [\"r\", \"make\", \"remove\"]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Granted, E> {
                let letters = text.chars().map(|letter| named(&letter.to_string()));
                let all: Option<Vec<Rights>> = letters.collect();
                all.filter(|rights| !rights.is_empty())
                    .map(unite)
                    .or_else(|| named(text).map(Granted))
                    .ok_or_else(|| E::custom(unknown(text)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Granted, A::Error> {
                let mut all = vec![];
                while let Some(name) = list.next_element::<String>()? {
                    all.push(named(&name).ok_or_else(|| de::Error::custom(unknown(&name)))?);
                }
                Ok(unite(all))
            }
        }
        deserializer.deserialize_any(GrantedVisitor)
    }
}

fn unite(rights: Vec<Rights>) -> Granted {
    Granted(rights.into_iter().fold(Rights(0), Rights::and))
}

fn named(name: &str) -> Option<Rights> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, rights)| *rights)
}

fn unknown(name: &str) -> String {
    let names = || NAMES.iter().map(|(name, _)| *name);
    let help = suggestion(name, names())
        .unwrap_or_else(|| format!("there are {}", names().collect::<Vec<_>>().join(", ")));
    format!("unknown right `{name}`\nhelp: {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_have_words() {
        assert_eq!(Rights::READ.and(Rights::EXECUTE).to_string(), "read, execute");
        assert_eq!(Rights::LIST.to_string(), "list");
        assert_eq!(Rights::CHANGE.to_string(), "change");
        assert_eq!(Rights::MAKE.to_string(), "make");
    }
}
