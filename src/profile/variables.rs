//! `${...}` in the texts of a profile. What is put in is never parsed again, so a value cannot bring structure with it.

use super::Caller;
use super::params::{Params, Value};
use crate::problem::{Problem, Problems, suggestion};
use crate::source::{Sources, Span};

/// The variables that every profile has.
const KNOWN: &[&str] = &["HOME", "CWD", "PROFILE_DIR", "RUNTIME_DIR", "UID", "GID", "USER"];

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// As it is.
    Plain(&'t str),
    /// `${name}`, with its offset.
    Variable(&'t str, usize),
}

/// Splits a text into its pieces: `$${x}` is a literal `${x}`, a `$` without `{` is itself.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, usize> {
    let (mut out, mut rest, mut offset) = (vec![], text, 0);
    while let Some(start) = rest.find("${") {
        let literal = rest[..start].ends_with('$');
        let Some(length) = rest[start..].find('}') else { return Err(offset + start) };
        if literal {
            out.push(Piece::Plain(&rest[..start - 1]));
            out.push(Piece::Plain(&rest[start..start + length + 1]));
        } else {
            out.push(Piece::Plain(&rest[..start]));
            out.push(Piece::Variable(&rest[start + 2..start + length], offset + start));
        }
        offset += start + length + 1;
        rest = &rest[start + length + 1..];
    }
    out.push(Piece::Plain(rest));
    Ok(out)
}

/// What the variables of one file mean.
pub struct Variables<'a> {
    /// Who called.
    pub caller: &'a Caller,
    /// The parameters, once they are settled.
    pub params: &'a Params,
    /// The folder of the file.
    pub folder: Option<&'a str>,
}

impl<'a> Variables<'a> {
    /// A text with its variables put in, or `None` where a problem was reported.
    pub fn expand(&self, text: &str, at: Span, sources: &Sources, problems: &mut Problems) -> Option<String> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(offset) => {
                let at = within(text, at, offset, 2, sources);
                problems.push(Problem::new("variable::open", at, "`${` without `}`").help("close it, or write $${ for a literal ${"));
                return None;
            }
        };
        let mut out = String::with_capacity(text.len());
        for piece in pieces {
            match piece {
                Piece::Plain(plain) => out.push_str(plain),
                Piece::Variable(name, offset) => match self.text_of(name) {
                    Ok(Some(value)) => out.push_str(&value),
                    Ok(None) => return None,
                    Err(problem) => {
                        problems.push(Problem { at: within(text, at, offset, name.len() + 3, sources), ..problem });
                        return None;
                    }
                },
            }
        }
        Some(out)
    }

    /// The value of a text that is nothing but one parameter.
    pub fn whole(&self, text: &str) -> Option<&'a Value> {
        match pieces(text).ok()?.as_slice() {
            [Piece::Plain(""), Piece::Variable(name, _), Piece::Plain("")] => self.params.value(name)?,
            _ => None,
        }
    }

    fn text_of(&self, name: &str) -> Result<Option<String>, Problem> {
        if let Some(rest) = name.strip_prefix("env:") {
            let (name, or) = rest.split_once(":-").map_or((rest, None), |(name, or)| (name, Some(or)));
            return match (self.caller.env.get(name).filter(|value| !value.is_empty()), or) {
                (Some(value), _) => Ok(Some(value.clone())),
                (None, Some(or)) => Ok(Some(or.into())),
                (None, None) => Err(unset(
                    &format!("env:{name}"),
                    "the caller's environment has no such variable, or it is empty",
                    &format!("give it a default: ${{env:{name}:-text}}"),
                )),
            };
        }
        let caller = self.caller;
        let value = match name {
            "HOME" => caller.home.clone(),
            "CWD" => caller.cwd.clone(),
            "PROFILE_DIR" => self.folder.unwrap_or_default().to_owned(),
            "RUNTIME_DIR" => caller.runtime_dir.clone().unwrap_or_default(),
            "UID" => caller.uid.to_string(),
            "GID" => caller.gid.to_string(),
            "USER" => caller.user.clone(),
            "ARGS" => {
                return Err(Problem::new(
                    "variable::args",
                    Span::NOWHERE,
                    "${ARGS} is many words, so it can only be a whole word of process.command",
                )
                .help("command = [\"program\", \"${ARGS}\"]"));
            }
            _ => return self.param(name),
        };
        let why = match name {
            "PROFILE_DIR" => "this text is no file",
            "RUNTIME_DIR" => "XDG_RUNTIME_DIR is not set to a path",
            "HOME" => "the caller has no home in /etc/passwd",
            _ => "it is empty",
        };
        if value.is_empty() { Err(unset(name, why, "write the path itself")) } else { Ok(Some(value)) }
    }

    fn param(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.params.value(name) {
            Some(Some(Value::Text(text) | Value::Bare(text))) if text.is_empty() => Err(unset(name, "it is empty", "give it a value: --set")),
            Some(Some(Value::Text(text) | Value::Bare(text))) => Ok(Some(text.clone())),
            Some(Some(Value::List(_))) => {
                Err(Problem::new("variable::list", Span::NOWHERE, format!("`{name}` is a list, so it can only be a whole element of a list"))
                    .help(format!("[\"${{{name}}}\"]")))
            }
            Some(None) => Ok(None),
            None => {
                let known = KNOWN.iter().copied().chain(["ARGS"]).chain(self.params.names());
                let help = suggestion(name, known)
                    .unwrap_or_else(|| format!("there are {}, env:NAME and the profile's parameters; $${{x}} is a literal ${{x}}", KNOWN.join(", ")));
                Err(Problem::new("variable::unknown", Span::NOWHERE, format!("unknown variable `{name}`")).help(help))
            }
        }
    }
}

fn unset(name: &str, why: &str, help: &str) -> Problem {
    Problem::new("variable::unset", Span::NOWHERE, format!("`${{{name}}}` has no value: {why}")).help(help)
}

/// The span of a piece inside a text's span: exact where the text stands in its file as it is, else the whole text's.
fn within(text: &str, at: Span, offset: usize, length: usize, sources: &Sources) -> Span {
    // The place of the text between its quotes, if it has no escapes.
    match sources.text(at).and_then(|quoted| quoted.find(text)) {
        Some(start) if !text.is_empty() => Span::from(at.start as usize + start + offset..at.start as usize + start + offset + length),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_split_at_their_variables() {
        use Piece::{Plain, Variable};
        assert_eq!(pieces("a${B}c").unwrap(), [Plain("a"), Variable("B", 1), Plain("c")]);
        assert_eq!(pieces("$${x}$y").unwrap(), [Plain(""), Plain("${x}"), Plain("$y")]);
        assert_eq!(pieces("x${y"), Err(1));
    }
}
