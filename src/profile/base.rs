//! An item of `extends`.

use crate::language::read::{Node, Read, Wrongs, mismatch};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::words;
use toml::de::DeValue;

words! {
    /// What is done where there is no such profile.
    Missing {
        /// It is an error; the default.
        Error = "error",
        /// It is left out. A file that is there and cannot be read, or that others can write, is an
        /// error all the same.
        Skip = "skip",
    }
}

table! {
    /// A profile that need not be there.
    #[derive(Debug, Clone)]
    struct OptionalBase {
        /// Its name or path.
        profile: String,
        /// What to do if the profile does not exist: `"error"`, the default, or `"skip"`.
        missing: Option<Missing>,
    }
}

/// What a file is laid over: a name or a path.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub word: String,
    /// Whether it is left out where it is not there.
    pub is_optional: bool,
}

impl Read for Base {
    fn read(node: &Node<'_>) -> Result<Base, Wrongs> {
        match node.get_ref() {
            DeValue::String(word) => Ok(Base { word: word.to_string(), is_optional: false }),
            DeValue::Table(_) => {
                let OptionalBase { profile, missing } = OptionalBase::read(node)?;
                Ok(Base { word: profile, is_optional: missing == Some(Missing::Skip) })
            }
            _ => Err(mismatch(node, "a string, or a table with `profile`")),
        }
    }

    fn spell(&self) -> Toml {
        match self.is_optional {
            false => self.word.spell(),
            true => {
                OptionalBase { profile: self.word.clone(), missing: Some(Missing::Skip) }.spell()
            }
        }
    }
}

impl Shaped for Base {
    fn shape() -> Shape {
        Shape::either(&[String::shape, OptionalBase::shape])
    }
}
