//! A socket of the host that the target may connect to.

use super::super::names::PLACE;
use super::further::{Further, Missing};
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::{Node, Read, Why, Wrongs};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::AbsolutePath;
use crate::tree::{Ground, Source, Stack};
use toml::de::DeValue;

pub(super) const WORDS: &[Word] = &[Word {
    word: "socket",
    doc: "The host's socket at the same path, to connect to.",
    meant: &[],
    make: || Mount::Socket(Socket { source: None, missing: Missing::Error }),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// A socket of the host that the target may connect to.
    "socket": Asked = PLACE => |Asked(source)| {
        Mount::Socket(Socket { source: Some(source), missing: Missing::Error })
    }, ["missing"]
}];

/// The path of a socket. A variable that the caller has not set can leave it empty:
/// `"${env:SSH_AUTH_SOCK:-}"`.
struct Asked(AbsolutePath);

impl Shaped for Asked {
    fn shape() -> Shape {
        AbsolutePath::shape()
    }
}

impl Read for Asked {
    fn read(node: &Node<'_>) -> Result<Asked, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) if text.is_empty() => Ok(Asked(AbsolutePath(String::new()))),
            _ => AbsolutePath::read(node).map(Asked),
        }
    }

    fn spell(&self) -> Toml {
        self.0.spell()
    }
}

/// A socket of the host that the target may connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is on the host; default: the same path.
    pub source: Option<AbsolutePath>,
    /// What happens where it is absent.
    pub missing: Missing,
}

impl Socket {
    /// This one.
    pub fn of(source: &str) -> Socket {
        Socket { source: Some(AbsolutePath(source.to_owned())), missing: Missing::Error }
    }

    fn source_at<'a>(&'a self, path: &'a str) -> &'a str {
        self.source.as_ref().map_or(path, |source| source)
    }
}

impl Kind for Socket {
    fn spell(&self) -> Toml {
        match self {
            Socket { source: None, missing: Missing::Error } => Toml::word("socket"),
            Socket { source, missing } => said([
                ("socket", source.spell_key()),
                ("missing", (*missing != Missing::Error).then(|| missing.spell())),
            ]),
        }
    }

    /// Such an entry has no word, so it names its source.
    fn spell_at(&self, path: &str) -> Toml {
        match self {
            Socket { source: None, missing: Missing::Skip | Missing::Create } => {
                Socket { missing: self.missing, ..Socket::of(path) }.spell()
            }
            _ => self.spell(),
        }
    }

    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.missing = further.missing.unwrap_or(self.missing);
        if self.missing == Missing::Create {
            return Err(Why::new("`socket` cannot make what it grants").help("missing = \"skip\""));
        }
        let is_empty = self.source.as_ref().is_some_and(|source| source.is_empty());
        match is_empty && self.missing == Missing::Error {
            true => Err(Why::new("the path of the socket is empty")
                .help("let the entry go where it is: missing = \"skip\"")),
            false => Ok(()),
        }
    }

    fn ground(&self, path: &str) -> Ground {
        let source = Source::new(self.source_at(path));
        Ground::Host(Stack::one(Source { recursive: false, ..source }))
    }

    fn may_be_missing(&self) -> bool {
        self.missing == Missing::Skip
    }

    fn skipped(&self) -> Option<Mount> {
        Some(Mount::Socket(Socket { missing: Missing::Skip, ..self.clone() }))
    }

    fn makes<'a>(&'a self, path: &'a str) -> Makes<'a> {
        Makes::Socket(self.source_at(path))
    }

    fn form(&self) -> &'static str {
        "socket"
    }

    fn what(&self) -> &'static str {
        "a socket"
    }
}
