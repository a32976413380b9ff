//! Access rights of Landlock to files, as the kernel's bits and as words. It decides nothing.

use crate::problem::suggestion;
use crate::shape::{Shape, Shaped};
use landlock::AccessFs;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// Access rights below a path, as the kernel's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u64);

const fn bits(rights: &[AccessFs]) -> Rights {
    let (mut all, mut index) = (0, 0);
    while index < rights.len() {
        all |= rights[index] as u64;
        index += 1;
    }
    Rights(all)
}

impl Rights {
    /// Files and directories may be read.
    pub const READ: Rights = bits(&[AccessFs::ReadFile, AccessFs::ReadDir]);
    /// Names may be listed.
    pub const LIST: Rights = bits(&[AccessFs::ReadDir]);
    /// Programs may be run.
    pub const EXECUTE: Rights = bits(&[AccessFs::Execute]);
    /// Files that exist may be written.
    pub const WRITE: Rights = bits(&[AccessFs::WriteFile, AccessFs::Truncate]);
    /// Files of every kind may be made.
    pub const MAKE: Rights = bits(&[
        AccessFs::MakeChar,
        AccessFs::MakeDir,
        AccessFs::MakeReg,
        AccessFs::MakeSock,
        AccessFs::MakeFifo,
        AccessFs::MakeBlock,
        AccessFs::MakeSym,
    ]);
    /// Files and directories may be removed.
    pub const REMOVE: Rights = bits(&[AccessFs::RemoveDir, AccessFs::RemoveFile]);
    /// Both, and moved between directories. Without `Refer` every rename across directories is EXDEV.
    pub const CHANGE: Rights = Rights::MAKE.and(Rights::REMOVE).and(bits(&[AccessFs::Refer]));
    /// Device nodes may be controlled.
    pub const IOCTL: Rights = bits(&[AccessFs::IoctlDev]);
    /// Sockets may be connected to by their path.
    pub const CONNECT: Rights = bits(&[AccessFs::ResolveUnix]);
    /// The rights that a file, not a directory, can have; the kernel refuses others for it.
    pub const OF_FILES: Rights =
        bits(&[AccessFs::Execute, AccessFs::WriteFile, AccessFs::ReadFile, AccessFs::Truncate, AccessFs::IoctlDev, AccessFs::ResolveUnix]);

    /// Both.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// `other` where `yes`.
    pub const fn and_if(self, yes: bool, other: Rights) -> Rights {
        if yes { self.and(other) } else { self }
    }

    /// Whether all of `other` is in it.
    pub const fn holds(self, other: Rights) -> bool {
        other.0 & !self.0 == 0
    }

    /// What both have.
    pub const fn within(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

const WORDS: &[(Rights, &str)] = &[
    (Rights::READ, "read"),
    (Rights::LIST, "list"),
    (Rights::WRITE, "write"),
    (Rights::CHANGE, "change"),
    (Rights::MAKE, "make"),
    (Rights::REMOVE, "remove"),
    (bits(&[AccessFs::Refer]), "refer"),
    (Rights::EXECUTE, "execute"),
    (Rights::IOCTL, "ioctl-dev"),
    (Rights::CONNECT, "connect"),
];

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        let mut words = vec![];
        for (rights, word) in WORDS {
            // Some rights of a word may be unknown to this kernel, or not a file's; reading is named only where files are read.
            let names = if *rights == Rights::READ { AccessFs::ReadFile as u64 } else { rights.0 };
            let whole = *rights != Rights::CHANGE || left & names == names;
            if whole && left & names != 0 {
                words.push(*word);
                left &= !rights.0;
            }
        }
        f.write_str(&words.join(", "))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The rights that `[landlock].paths` gives by name. One letter is one right, so that letters can stand together.
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
                all.filter(|rights| !rights.is_empty()).map(unite).or_else(|| named(text).map(Granted)).ok_or_else(|| E::custom(unknown(text)))
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
    let help = suggestion(name, names()).unwrap_or_else(|| format!("there are {}", names().collect::<Vec<_>>().join(", ")));
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
