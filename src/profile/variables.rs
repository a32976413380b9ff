//! `${...}` in the texts of a profile. What is put in is never parsed again, so a value cannot bring structure with it.

use super::Caller;
use super::params::{Params, Value};
use crate::problem::{Problem, Problems, suggestion};
use crate::source::{Sources, Span};

/// The variables that every profile has, and what each is.
pub const KNOWN: &[(&str, &str)] = &[
    ("HOME", "The caller's home, of the passwd entry"),
    ("CWD", "The caller's working folder"),
    ("PROFILE_DIR", "The folder of the file that says it"),
    ("RUNTIME_DIR", "The caller's XDG_RUNTIME_DIR"),
    ("UID", "The caller's user id"),
    ("GID", "The caller's group id"),
    ("USER", "The caller's name"),
];

fn built_in<'k>() -> impl Iterator<Item = &'k str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'t> {
    /// As it is.
    Plain(&'t str),
    /// `${name}`, with its offset.
    Variable(&'t str, usize),
}

/// Splits a text into its pieces: `$${x}` is a literal `${x}`, a `$` without `{` is itself. The error is where a `${` is left open.
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
    /// The parameters, or `None` in what is read before they are settled.
    pub params: Option<&'a Params>,
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
                problems.push(Problem::new("variable::open", at, "`${` without `}`").help("close it"));
                return None;
            }
        };
        let mut out = Some(String::with_capacity(text.len()));
        for piece in pieces {
            let value = match piece {
                Piece::Plain(plain) => Some(plain.to_owned()),
                Piece::Variable(name, offset) => match self.text_of(name) {
                    Ok(value) => value,
                    Err(problem) => {
                        problems.push(Problem { at: within(text, at, offset, name.len() + 3, sources), ..problem });
                        None
                    }
                },
            };
            out = out.zip(value).map(|(out, value)| out + &value);
        }
        out
    }

    /// The value of a text that is nothing but one parameter.
    pub fn whole(&self, text: &str) -> Option<&'a Value> {
        match pieces(text).ok()?.as_slice() {
            [Piece::Plain(""), Piece::Variable(name, _), Piece::Plain("")] => self.params?.value(name)?,
            _ => None,
        }
    }

    /// Whether a text takes anything from the caller's environment, where secrets are: messages then show the text, not its value.
    pub fn is_secret(&self, text: &str) -> bool {
        let secret = |name: &str| name.starts_with("env:") || self.params.is_some_and(|params| params.is_secret(name));
        pieces(text).is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Variable(name, _) if secret(name))))
    }

    /// The value of a variable; `None` where a problem was reported already.
    fn text_of(&self, name: &str) -> Result<Option<String>, Problem> {
        if name.contains("${") {
            return Err(problem("variable::nested", "a variable cannot stand in a variable").help("give a parameter this default, and use that"));
        }
        if let Some(rest) = name.strip_prefix("env:") {
            return self.environment(rest).map(Some);
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
                return Err(problem("variable::args", "${ARGS} is many words, so it can only be a whole word of process.command")
                    .help("command = [\"program\", \"${ARGS}\"]"));
            }
            "COMMAND" => {
                return Err(problem("variable::command", "${COMMAND} is the program of the command, so it can only be a whole word of programs")
                    .help("programs = [\"${COMMAND}\"]"));
            }
            _ => return self.param(name),
        };
        let why = match name {
            "PROFILE_DIR" => "this text is no file",
            "RUNTIME_DIR" => "XDG_RUNTIME_DIR is not set to a path",
            "HOME" => "the caller has no home in /etc/passwd",
            "CWD" => "the caller's folder was removed, or has no path",
            _ => "it is empty",
        };
        if value.is_empty() { Err(unset(name, why, "write the value itself")) } else { Ok(Some(value)) }
    }

    fn environment(&self, rest: &str) -> Result<String, Problem> {
        let (name, or) = rest.split_once(":-").map_or((rest, None), |(name, or)| (name, Some(or)));
        if name.is_empty() || name.contains(['=', ':']) {
            return Err(problem("variable::unknown", format!("`${{env:{rest}}}` names no variable")).help("write ${env:NAME} or ${env:NAME:-text}"));
        }
        let value = self.caller.env.get(name).filter(|value| !value.is_empty()).cloned();
        value.or(or.map(str::to_owned)).ok_or_else(|| {
            let why = "the caller's environment does not have it, or it is empty or not UTF-8";
            unset(&format!("env:{name}"), why, &format!("set it, or give it a default: ${{env:{name}:-text}}"))
        })
    }

    fn param(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(params) = self.params else {
            return Err(unknown(name, built_in()).help_maybe(
                name.starts_with(|c: char| c.is_ascii_lowercase()).then(|| "parameters are settled later, so none can stand here".into()),
            ));
        };
        match params.value(name) {
            Some(Some(Value::Text(text) | Value::Bare(text))) if text.is_empty() => {
                Err(unset(name, "it is empty", &format!("give it a value: --set {name}=VALUE")))
            }
            Some(Some(Value::Text(text) | Value::Bare(text))) => Ok(Some(text.clone())),
            Some(Some(Value::List(_))) => Err(problem("variable::list", format!("`{name}` is a list, so it can only be a whole element of a list"))
                .help(format!("[\"${{{name}}}\"]"))),
            Some(None) => Ok(None),
            None => Err(unknown(name, built_in().chain(["ARGS", "COMMAND"]).chain(params.names()))),
        }
    }
}

/// A problem whose place the caller knows.
fn problem(code: &'static str, message: impl Into<String>) -> Problem {
    Problem::new(code, Span::NOWHERE, message)
}

fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Problem {
    let help = suggestion(name, known).unwrap_or_else(|| {
        format!(
            "there are {}, env:NAME and the profile's parameters; $${{{name}}} is a literal ${{{name}}}",
            built_in().collect::<Vec<_>>().join(", ")
        )
    });
    problem("variable::unknown", format!("unknown variable `{name}`")).help(help)
}

fn unset(name: &str, why: &str, help: &str) -> Problem {
    problem("variable::unset", format!("`${{{name}}}` has no value: {why}")).help(help)
}

/// The span of a piece of a text that stands at `at`. Where the text has escapes, its offsets are not the file's: then the first
/// piece that reads the same is meant, and where there is none, the whole text.
fn within(text: &str, at: Span, offset: usize, length: usize, sources: &Sources) -> Span {
    let (Some(quoted), Some(needle)) = (sources.text(at), text.get(offset..offset + length)) else { return at };
    let start = match quoted.find(text) {
        Some(start) => Some(start + offset),
        None => quoted.find(needle),
    };
    start.map_or(at, |start| Span::from(at.start as usize + start..at.start as usize + start + length))
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
        assert_eq!(pieces("ä${B}${C}").unwrap(), [Plain("ä"), Variable("B", 2), Plain(""), Variable("C", 6), Plain("")]);
    }
}
