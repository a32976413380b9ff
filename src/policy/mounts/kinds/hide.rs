//! Nothing: a cover over what is there.

use super::further::{Beneath, Further, Missing, exceptions, or_word};
use super::{Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::step::Cover;
use crate::tree::{Ground, Own};

pub(super) const WORDS: &[Word] = &[Word {
    word: "hide",
    doc: "Nothing: an empty read-only directory, or an empty file of mode 0, covers what is here.",
    meant: &["hidden", "mask", "none", "deny"],
    make: || Mount::Hide(Hide::PLAIN),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// Nothing: an empty read-only directory, or an empty file of mode 0, covers what is here.
    /// `"file"` says that it is a file, and that it is known to show again where a program of the
    /// host replaces it by rename.
    "hide": Hidden => |known| Mount::Hide(Hide { known, ..Hide::PLAIN }), ["missing", "except"]
}];

/// Nothing is here: an empty read-only directory, or an empty file of mode 0, covers what was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hide {
    /// Whether the entry may be left out where nothing is there.
    pub missing: Missing,
    /// What the profile knows of it.
    pub known: Hidden,
    /// Where a pattern does not look.
    pub except: Vec<Beneath>,
}

impl Hide {
    /// A cover that must have something to cover.
    pub const PLAIN: Hide = Hide { missing: Missing::Error, known: Hidden::Unsaid, except: vec![] };
}

or_word! {
    /// The kind of the hidden file, as far as the profile gives it.
    Hidden {
        /// Nothing.
        Unsaid = true,
    } or {
        /// It is a file, and it is known that it shows again where a program of the host replaces
        /// it by rename.
        File = "file",
    }
}

impl Kind for Hide {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        if further.missing == Some(Missing::Create) {
            return Err(Why::new("`hide` cannot make what it hides").help("missing = \"skip\""));
        }
        self.missing = further.missing.unwrap_or(self.missing);
        if further.except.is_some() {
            self.except = exceptions(further)?;
        }
        Ok(())
    }

    fn spell(&self) -> Toml {
        if *self == Hide::PLAIN {
            return Toml::word("hide");
        }
        let Hide { missing, known, except } = self;
        said([
            ("hide", Some(known.spell())),
            ("missing", (*missing != Missing::Error).then(|| missing.spell())),
            ("except", (!except.is_empty()).then(|| except.spell())),
        ])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Own(Own::Hidden(match self.known {
            Hidden::Unsaid => Cover::Directory,
            Hidden::File => Cover::File,
        }))
    }

    /// A file in a file system of the kernel's exists on the host as well.
    fn asks(&self, path: &str) -> Vec<String> {
        let kernels = path.starts_with("/proc/") || path.starts_with("/sys/");
        kernels.then(|| path.to_owned()).into_iter().collect()
    }

    fn except(&self) -> &[Beneath] {
        &self.except
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Cover(self)
    }

    fn form(&self) -> &'static str {
        "hide"
    }

    fn what(&self) -> &'static str {
        "a cover"
    }
}
