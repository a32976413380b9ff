//! The words of `[landlock].paths` for access rights. It decides nothing.

use crate::kernel::rights::{Rights, bits};
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::unknown_word;
use landlock::AccessFs;
use toml::de::DeValue;

/// The rights that `[landlock].paths` gives by name. One letter is one right, so that letters can
/// be combined.
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

impl Read for Granted {
    fn read(node: &Node<'_>) -> Result<Granted, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => letters(text)
                .or_else(|| named(text))
                .map(Granted)
                .ok_or_else(|| unknown(text).at(node)),
            DeValue::Array(items) => {
                let (mut all, mut wrongs) = (vec![], Wrongs::none());
                for item in items.iter() {
                    if wrongs.is_full() {
                        break;
                    }
                    let name = String::read(item);
                    let right =
                        name.and_then(|name| named(&name).ok_or_else(|| unknown(&name).at(node)));
                    all.extend(wrongs.take(right));
                }
                wrongs.or(Granted(unite(all)))
            }
            _ => Err(mismatch(node, "rights such as \"rx\" or [\"r\", \"make\", \"remove\"]")),
        }
    }

    fn spell(&self) -> Toml {
        let within = |part: Rights, whole: Rights| part != whole && whole.and(part) == whole;
        let names: Vec<_> =
            NAMES.iter().filter(|(_, right)| self.0.and(*right) == self.0).collect();
        // `r` says `list`, too.
        let needed =
            names.iter().filter(|(_, right)| !names.iter().any(|(_, all)| within(*right, *all)));
        let words: Vec<&str> = needed.map(|(name, _)| *name).collect();
        if !words.is_empty() && words.iter().all(|name| name.len() == 1) {
            return Toml::Text(words.concat());
        }
        Toml::List(words.into_iter().map(Toml::word).collect())
    }
}

/// Combined letters.
fn letters(text: &str) -> Option<Rights> {
    let all: Option<Vec<Rights>> =
        text.chars().map(|letter| named(letter.encode_utf8(&mut [0; 4]))).collect();
    all.filter(|rights| !rights.is_empty()).map(unite)
}

fn unite(rights: Vec<Rights>) -> Rights {
    rights.into_iter().fold(Rights(0), Rights::and)
}

fn named(name: &str) -> Option<Rights> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, rights)| *rights)
}

fn unknown(name: &str) -> Why {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    unknown_word("right", &names, "there are ", name)
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
