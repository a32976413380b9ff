//! A file of the sandbox's own: its text is in the profile, in the caller's environment, or is
//! read from a descriptor or a file of the host.

use super::super::names::PLACE;
use super::further::{Follow, Further, Missing};
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::kernel::name::Name;
use crate::language::fill::Fill;
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, Mode};
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
    form! {
        /// The same with what this file of the host holds at the start, up to 1 MiB. The copy is the
        /// target's, with the permissions of the file where `mode` says no others: what root alone
        /// may read on the host, a target that root starts can read of the copy.
        "file": AbsolutePath = PLACE => |source| of(Content::File(source)),
            ["mode", "missing", "follow"]
    },
];

fn of(content: Content) -> Mount {
    Mount::File(File { content, mode: None, missing: Missing::Error, follow: Follow::No })
}

/// A file of the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where its text comes from.
    pub content: Content,
    /// Its mode; default: 0644, 0400 for what comes from the caller, and that of the host's file.
    pub mode: Option<Mode>,
    /// What happens where the host's file is absent.
    pub missing: Missing,
    /// Whether links are followed to the host's file.
    pub follow: Follow,
}

impl File {
    /// A copy of this file of the host.
    pub(crate) fn copy(source: &str) -> File {
        let content = Content::File(AbsolutePath(source.to_owned()));
        File { content, mode: None, missing: Missing::Error, follow: Follow::No }
    }
}

/// Where the text of a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// An inherited descriptor, read to its end by the launcher.
    Fd(u32),
    /// A variable of the caller's environment.
    Env(String),
    /// A file of the host, copied by the launcher.
    File(AbsolutePath),
}

impl Kind for File {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.mode = further.mode.or(self.mode);
        self.missing = further.missing.unwrap_or(self.missing);
        self.follow.set(further.follow);
        if self.missing == Missing::Create {
            return Err(Why::new("`file` cannot make what it copies").help("missing = \"skip\""));
        }
        Ok(())
    }

    fn spell(&self) -> Toml {
        let (key, value) = match &self.content {
            Content::Text(text) => ("text", text.spell()),
            Content::Fd(fd) => ("fd", fd.spell()),
            Content::Env(name) => ("env", name.spell()),
            Content::File(path) => ("file", path.spell()),
        };
        said([
            (key, Some(value)),
            ("mode", self.mode.spell_key()),
            ("missing", (self.missing != Missing::Error).then(|| self.missing.spell())),
            ("follow", (self.follow != Follow::No).then(|| true.spell())),
        ])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::File(match &self.content {
            Content::Text(text) => step::Content::Text(bytes::bytes(text).into()),
            Content::Fd(fd) => step::Content::Fd(*fd),
            Content::Env(_) => step::Content::Withheld,
            Content::File(path) => step::Content::File(Name::new(self.follow.source(path))),
        }))
    }

    fn follows<'a>(&'a self, _: &'a str) -> Option<&'a str> {
        match &self.content {
            Content::File(path) => (self.follow != Follow::No).then_some(path),
            Content::Text(_) | Content::Fd(_) | Content::Env(_) => None,
        }
    }

    fn of_place(&self, place: &str) -> Option<Mount> {
        self.source()?;
        let content = Content::File(AbsolutePath(place.to_owned()));
        Some(Mount::File(File { content, follow: Follow::No, ..self.clone() }))
    }

    fn lead(&mut self, end: String) {
        self.follow = Follow::To(end);
    }

    fn may_be_missing(&self) -> bool {
        self.missing == Missing::Skip
    }

    fn skipped(&self) -> Option<Mount> {
        self.source().map(|_| Mount::File(File { missing: Missing::Skip, ..self.clone() }))
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::File(self)
    }

    fn form(&self) -> &'static str {
        match self.content {
            Content::Text(_) => "text",
            Content::Fd(_) => "fd",
            Content::Env(_) => "env",
            Content::File(_) => "file",
        }
    }

    fn what(&self) -> &'static str {
        match self.content {
            Content::File(_) => "a copy of a file",
            Content::Text(_) | Content::Fd(_) | Content::Env(_) => "a file of its own",
        }
    }
}

impl File {
    /// The file of the host that it is a copy of.
    pub(crate) fn source(&self) -> Option<&str> {
        match &self.content {
            Content::File(path) => Some(self.follow.source(path)),
            Content::Text(_) | Content::Fd(_) | Content::Env(_) => None,
        }
    }
}
