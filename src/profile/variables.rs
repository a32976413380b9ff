//! `${...}` in the texts of a profile. What is put in is never parsed again, so a value cannot
//! bring structure with it.

use super::params::{Params, Value};
use crate::host::caller::Caller;
use crate::text::bytes;
use crate::text::problem::{Problem, Problems, suggestion};
use crate::text::source::{Sources, Span};
use std::cell::Cell;

/// The variables that every profile has, and what each is.
pub(crate) const KNOWN: &[(&str, &str)] = &[
    ("HOME", "The caller's home, of the passwd entry"),
    ("CWD", "The caller's working directory"),
    ("PROFILE_DIR", "The directory of the file that says it"),
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
pub(super) enum Piece<'t> {
    Plain(&'t str),
    /// `${name}`, with its offset.
    Variable(&'t str, usize),
}

/// Splits a text into its pieces: `$${x}` is a literal `${x}`, and one that is left open is a
/// literal
/// `${`; a `$` without `{` is itself. The error is where a variable is left open.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, usize> {
    let (mut out, mut rest, mut offset) = (vec![], text, 0);
    while let Some(start) = rest.find("${") {
        let literal = rest[..start].ends_with('$');
        let length = match rest[start..].find('}') {
            Some(length) => length,
            None if literal => rest.len() - start - 1,
            None => return Err(offset + start),
        };
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
#[derive(Clone, Copy)]
pub(super) struct Variables<'a> {
    pub caller: &'a Caller,
    /// The parameters, or `None` in what is read before they are settled.
    pub params: Option<&'a Params>,
    /// The directory of the file.
    pub directory: Option<&'a str>,
    /// How many bytes may still be put in; `None` after the problem that there are too many.
    pub room: &'a Cell<Option<usize>>,
    /// Whether the text is a path, for the default that a help gives to a variable.
    pub paths: bool,
}

/// For how many parameters in one text the place of the value is reported.
const MOST_TOLD: usize = 8;

/// How many bytes variables may bring into a profile: a short text can name a long value a hundred
/// thousand times.
pub(super) const MOST_PUT_IN: usize = 8 << 20;

impl<'a> Variables<'a> {
    /// The same for a text that is a path.
    pub(super) fn of_paths(&self) -> Variables<'a> {
        Variables { paths: true, ..*self }
    }

    /// A text with its variables put in, or `None` where a problem was reported.
    pub(super) fn expand(
        &self,
        text: &str,
        at: Span,
        sources: &Sources,
        problems: &mut Problems,
    ) -> Option<String> {
        self.expand_as(text, at, sources, problems, &str::to_owned, &str::to_owned)
    }

    /// The same, where the text's own pieces and the values of its variables are not taken as they
    /// are.
    pub(super) fn expand_as(
        &self,
        text: &str,
        at: Span,
        sources: &Sources,
        problems: &mut Problems,
        of_text: &dyn Fn(&str) -> String,
        of_value: &dyn Fn(&str) -> String,
    ) -> Option<String> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(offset) => {
                let at = Quoted::new(text, at, sources).part(offset, 2);
                problems.push(
                    Problem::new("variable::open", at, "cannot read the variable: `${` has no `}`")
                        .help("close it"),
                );
                return None;
            }
        };
        let mut out = Some(String::with_capacity(text.len()));
        let mut quoted = None;
        for piece in pieces {
            let value = match piece {
                Piece::Plain(plain) => Some(of_text(plain)),
                // Of a text with hundreds of problems the rest is not reported.
                Piece::Variable(..) if problems.is_full() || self.room.get().is_none() => {
                    return None;
                }
                Piece::Variable(name, offset) => match self.text_of(name, offset == 0) {
                    Ok(value) => value.map(|value| of_value(&value)),
                    Err(problem) => {
                        let at = quoted
                            .get_or_insert_with(|| Quoted::new(text, at, sources))
                            .part(offset, name.len() + 3);
                        problems.push(Problem { at, ..problem });
                        None
                    }
                },
            };
            if !self.charge(value.as_ref().map_or(0, String::len), at, problems) {
                return None;
            }
            out = out.zip(value).map(|(out, value)| out + &value);
        }
        out.map(bytes::plain)
    }

    /// Takes room for what is put in; a problem where there is none.
    pub(super) fn charge(&self, bytes: usize, at: Span, problems: &mut Problems) -> bool {
        let Some(room) = self.room.get() else { return bytes == 0 };
        let left = room.checked_sub(bytes);
        if left.is_none() {
            let message = format!(
                "cannot expand this variable: the profile would grow by more than {} MiB",
                MOST_PUT_IN >> 20
            );
            problems.push(
                Problem::new("variable::size", at, message)
                    .label("with this value")
                    .help("name a long value once, or put it in a file"),
            );
        }
        self.room.set(left);
        left.is_some()
    }

    /// The value of a text that is nothing but one parameter.
    pub(super) fn whole(&self, text: &str) -> Option<&'a Value> {
        match pieces(text).ok()?.as_slice() {
            [Piece::Plain(""), Piece::Variable(name, _), Piece::Plain("")] => {
                self.params?.value(name)?
            }
            _ => None,
        }
    }

    /// Whether a text takes anything from the caller's environment, where secrets are: messages
    /// then show the text, not its value.
    pub(super) fn is_secret(&self, text: &str) -> bool {
        let secret = |name: &str| {
            name.starts_with("env:") || self.params.is_some_and(|params| params.is_secret(name))
        };
        pieces(text).is_ok_and(|pieces| {
            pieces.iter().any(|piece| matches!(piece, Piece::Variable(name, _) if secret(name)))
        })
    }

    /// The parameters in a text, with the places of their values and, where they are no secret, the
    /// values; of a text with many the first.
    pub(super) fn params_in<'t>(&self, text: &'t str) -> Vec<(&'t str, Span, Option<&str>)> {
        let mut found: Vec<(&str, Span, Option<&str>)> = vec![];
        for piece in pieces(text).unwrap_or_default() {
            let Piece::Variable(name, _) = piece else { continue };
            let place = self.params.and_then(|params| params.place(name));
            if let Some(at) = place.filter(|_| {
                found.len() < MOST_TOLD && !found.iter().any(|(known, ..)| *known == name)
            }) {
                found.push((name, at, self.shown(name)));
            }
        }
        found
    }

    /// The value of a parameter that is one text, and no secret.
    fn shown(&self, name: &str) -> Option<&str> {
        match self.params?.value(name)?? {
            Value::Text(text) if !self.params?.is_secret(name) => Some(text),
            _ => None,
        }
    }

    /// The value of a variable; `None` where a problem was reported already.
    fn text_of(&self, name: &str, is_first: bool) -> Result<Option<String>, Problem> {
        if name.contains("${") {
            return Err(problem(
                "variable::nested",
                "cannot read the variable: none can be part of another",
            )
            .help("give a parameter this default, and use that"));
        }
        if let Some(rest) = name.strip_prefix("env:") {
            let example = if self.paths && is_first { "/path" } else { "text" };
            return self.environment(rest, example).map(Some);
        }
        let caller = self.caller;
        let value = match name {
            "HOME" => caller.home.clone(),
            "CWD" => caller.cwd.clone(),
            "PROFILE_DIR" => self.directory.unwrap_or_default().to_owned(),
            "RUNTIME_DIR" => caller.runtime_dir.clone().unwrap_or_default(),
            "UID" => caller.uid.to_string(),
            "GID" => caller.gid.to_string(),
            "USER" => caller.user.clone(),
            "ARGS" => {
                return Err(problem(
                    "variable::args",
                    "cannot expand `${ARGS}`: it is a list of words, so it can only be a whole \
                     item of process.command",
                )
                .help("make it an item of its own in process.command"));
            }
            "COMMAND" => {
                return Err(problem(
                    "variable::command",
                    "cannot expand `${COMMAND}`: it is the program of the command, so it can only be \
                     a whole item of `programs`",
                )
                .help("make it an item of its own in `programs`"));
            }
            _ => return self.param(name),
        };
        let why = match name {
            "PROFILE_DIR" => "this text is no file",
            "RUNTIME_DIR" => "XDG_RUNTIME_DIR is not set to a path",
            "HOME" => "the caller has no home in /etc/passwd",
            "CWD" => "the caller's directory was removed, or has no path",
            _ => "it is empty",
        };
        if value.is_empty() {
            Err(unset(name, why, "write the value itself"))
        } else {
            Ok(Some(value))
        }
    }

    fn environment(&self, rest: &str, example: &str) -> Result<String, Problem> {
        let (name, or) = rest.split_once(":-").map_or((rest, None), |(name, or)| (name, Some(or)));
        if name.is_empty() || name.contains(['=', ':']) {
            return Err(problem(
                "variable::unknown",
                format!("cannot read `${{env:{rest}}}`: it names no variable"),
            )
            .help("write ${env:NAME} or ${env:NAME:-text}"));
        }
        let value = self.caller.env.get(name).filter(|value| !value.is_empty()).cloned();
        value.or(or.map(str::to_owned)).ok_or_else(|| {
            let why = "the caller's environment does not have it, or it is empty";
            unset(
                &format!("env:{name}"),
                why,
                &format!("set it, or give it a default: ${{env:{name}:-{example}}}"),
            )
        })
    }

    fn param(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(params) = self.params else {
            return Err(unknown(name, built_in()).help_maybe(
                name.starts_with(|c: char| c.is_ascii_lowercase())
                    .then(|| "parameters are settled later, so none can be used here".into()),
            ));
        };
        match params.value(name) {
            Some(Some(Value::Text(text) | Value::Bare(text))) if text.is_empty() => {
                Err(unset(name, "it is empty", &format!("give it a value: --set {name}=VALUE")))
            }
            Some(Some(Value::Text(text) | Value::Bare(text))) => Ok(Some(text.clone())),
            Some(Some(Value::List(_))) => Err(problem(
                "variable::list",
                format!(
                    "cannot expand `${{{name}}}`: it is a list, so it can only be a whole item of \
                     a list"
                ),
            )
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
            "there are {}, env:NAME and the profile's parameters; $${{{name}}} is a literal \
             ${{{name}}}",
            built_in().collect::<Vec<_>>().join(", ")
        )
    });
    problem(
        "variable::unknown",
        format!("cannot find the variable `{name}`: there is none of that name"),
    )
    .help(help)
}

fn unset(name: &str, why: &str, help: &str) -> Problem {
    problem("variable::unset", format!("cannot expand `${{{name}}}`: {why}")).help(help)
}

/// A text as its file has it, to point into it. Where the text has escapes, its offsets are not the
/// file's: then the first piece that reads the same is meant, and where there is none, the whole
/// text.
struct Quoted<'t> {
    text: &'t str,
    at: Span,
    quoted: Option<&'t str>,
    start: Option<usize>,
}

impl<'t> Quoted<'t> {
    fn new(text: &'t str, at: Span, sources: &'t Sources) -> Quoted<'t> {
        let quoted = sources.text(at);
        Quoted { text, at, quoted, start: quoted.and_then(|quoted| quoted.find(text)) }
    }

    fn part(&self, offset: usize, length: usize) -> Span {
        let (Some(quoted), Some(needle)) = (self.quoted, self.text.get(offset..offset + length))
        else {
            return self.at;
        };
        let start = self.start.map(|start| start + offset).or_else(|| quoted.find(needle));
        start.map_or(self.at, |start| {
            Span::from(self.at.start as usize + start..self.at.start as usize + start + length)
        })
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
        assert_eq!(
            pieces("ä${B}${C}").unwrap(),
            [Plain("ä"), Variable("B", 2), Plain(""), Variable("C", 6), Plain("")]
        );
    }
}
