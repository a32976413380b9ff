//! A file of the sandbox's own: its text is in the profile, in the caller's environment, or is
//! read from a descriptor.

use super::further::Further;
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::fill::Fill;
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::Mode;
use crate::step;
use crate::text::bytes;
use crate::tree::{Ground, Own};

pub(super) const WORDS: &[Word] = &[];

pub(super) const FORMS: &[Form] = &[
    form! {
        /// A file of the sandbox's own with this text.
        "text": String = Fill::TEXT => |text| of(Content::Text(text)), ["mode"]
    },
    form! {
        /// The same with what an inherited descriptor gives, read to its end by the launcher.
        "fd": u32 => |fd| of(Content::Fd(fd)), ["mode"]
    },
    form! {
        /// The same with the value of a variable of the caller's environment.
        "env": String => |name| of(Content::Env(name)), ["mode"]
    },
];

fn of(content: Content) -> Mount {
    Mount::File(File { content, mode: None })
}

/// A file of the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where its text comes from.
    pub content: Content,
    /// Its mode; default: 0644, and 0400 for what does not stand in the profile.
    pub mode: Option<Mode>,
}

/// Where the text of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// An inherited descriptor, read to its end by the launcher.
    Fd(u32),
    /// A variable of the caller's environment.
    Env(String),
}

impl Kind for File {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.mode = further.mode;
        Ok(())
    }

    fn spell(&self) -> Toml {
        let (key, value) = match &self.content {
            Content::Text(text) => ("text", text.spell()),
            Content::Fd(fd) => ("fd", fd.spell()),
            Content::Env(name) => ("env", name.spell()),
        };
        said([(key, Some(value)), ("mode", self.mode.spell_key())])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::File(match &self.content {
            Content::Text(text) => step::Content::Text(bytes::bytes(text).into()),
            Content::Fd(fd) => step::Content::Fd(*fd),
            Content::Env(_) => step::Content::Withheld,
        }))
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        let unsaid = match self.content {
            Content::Text(_) => Mode(0o644),
            Content::Fd(_) | Content::Env(_) => Mode(0o400),
        };
        Makes::File(&self.content, self.mode.unwrap_or(unsaid))
    }

    fn what(&self) -> &'static str {
        "a file of its own"
    }
}
