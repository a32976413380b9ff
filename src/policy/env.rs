//! `[env]`: the target's environment, by name. It starts empty, but for PATH.

use crate::section::Entries;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::fmt;

// ---- section ----

/// `[env]`: text sets a variable, `true` passes the caller's where it is set, `false` withdraws an inherited entry.
pub type Env = Entries<Variable>;

/// Where the value of a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The profile's own text.
    Text(String),
    /// The caller's, where it is set.
    Pass {
        /// Whether it must be set.
        required: bool,
        /// The value where it is not.
        or: Option<String>,
    },
    /// The text of a file, read by the launcher, less one closing newline.
    File(String),
    /// The text read from an inherited descriptor, less one closing newline.
    Fd(u32),
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Variable, D::Error> {
        deserializer.deserialize_any(VariableVisitor)
    }
}

struct VariableVisitor;

const KEYS: &[&str] = &["file", "fd", "pass", "required", "or"];

impl<'de> Visitor<'de> for VariableVisitor {
    type Value = Variable;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, true, false, or a table with `file`, `fd` or `pass`")
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Variable, E> {
        // `false` never reaches a value: it withdraws the entry.
        Ok(Variable::Pass { required: false, or: None })
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Variable, E> {
        Ok(Variable::Text(text.into()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
        let (mut source, mut required, mut or) = (None, false, None);
        while let Some(key) = map.next_key::<String>()? {
            let chosen = match key.as_str() {
                "file" => Variable::File(map.next_value()?),
                "fd" => Variable::Fd(map.next_value()?),
                "pass" if map.next_value::<bool>()? => Variable::Pass { required: false, or: None },
                "pass" => return Err(de::Error::custom("`pass` can only be true\nhelp: leave the entry out, or withdraw it with `false`")),
                "required" => {
                    required = map.next_value()?;
                    continue;
                }
                "or" => {
                    or = Some(map.next_value()?);
                    continue;
                }
                _ => return Err(de::Error::unknown_field(&key, KEYS)),
            };
            if source.replace(chosen).is_some() {
                return Err(de::Error::custom("say one of `file`, `fd` and `pass`"));
            }
        }
        match source {
            Some(Variable::Pass { .. }) if required && or.is_some() => Err(de::Error::custom("`required` and `or` exclude each other")),
            Some(Variable::Pass { .. }) => Ok(Variable::Pass { required, or }),
            Some(source) if !required && or.is_none() => Ok(source),
            Some(_) => Err(de::Error::custom("`required` and `or` go with `pass` only")),
            None => Err(de::Error::custom("say where the value comes from: `file`, `fd` or `pass`")),
        }
    }
}
