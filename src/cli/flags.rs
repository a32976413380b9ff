//! The short flags: each is another spelling of one line of `--config`, and no more than that.
//!
//! What a shell hands over is meant as it is. A path with `${`, `*` or quotes in it is that path: no
//! variable is put into it, and no star is a pattern.

use crate::language::spelled::{Toml, name};
use crate::text::paths::{from_directory as absolute, plain};
use crate::text::problem::{Problem, escape};
use crate::text::shell::shell_word;
use crate::text::source::Span;

/// What a flag grants or hides of the host's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
    Hidden,
}

impl Access {
    fn flag(self) -> &'static str {
        match self {
            Access::ReadOnly => "--ro",
            Access::ReadWrite => "--rw",
            Access::Hidden => "--hide",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
            Access::Hidden => "hide",
        }
    }
}

/// A layer that a flag makes: what it is called, and its line of TOML.
pub(super) type Layer = (String, String);

type Read = Result<Layer, Box<Problem>>;

/// `--ro`, `--rw` and `--hide`. A colon parts two paths where a `/` follows it, the last such one:
/// a path inside is absolute.
pub(super) fn mount(access: Access, word: &str, directory: &str) -> Read {
    let (flag, refuse) =
        (access.flag(), |why: &str, help: String| refused(access.flag(), word, why, help));
    let (outside, inside) = match word.rfind(":/") {
        Some(colon) if access != Access::Hidden => (&word[..colon], Some(&word[colon + 1..])),
        _ => (word, None),
    };
    if outside.is_empty() {
        let help = match access {
            Access::Hidden => format!("{flag} PATH"),
            _ => format!("{flag} PATH, or {flag} PATH:INSIDE"),
        };
        return Err(refuse("it names no path", help));
    }
    // A colon and no `/` behind it are of the path itself; docker's third part is meant here.
    for (end, right) in [(":ro", "--ro"), (":rw", "--rw")] {
        if access != Access::Hidden
            && let Some(path) = word.strip_suffix(end)
        {
            let help = format!("{right} {}", shell_word(path));
            return Err(refuse(&format!("the flag says the access, not `{end}`"), help));
        }
    }
    if outside == "~" || outside.starts_with("~/") {
        let help = format!("{flag} \"$HOME{}\"", &word[1..]);
        return Err(refuse("the shell did not replace `~` here", help));
    }
    let outside = match absolute(outside, directory) {
        Some(path) => path,
        None => {
            let why = "it is relative, and the caller's directory was removed or has no path";
            return Err(refuse(why, format!("{flag} /PATH")));
        }
    };
    let inside = inside.map_or_else(|| outside.clone(), plain);
    let value = if inside == outside {
        Toml::word(access.word())
    } else {
        Toml::Table(vec![
            ("bind".into(), Toml::word(outside)),
            ("access".into(), Toml::word(access.word())),
        ])
    };
    // In a key a star is a pattern but for `\*`, and any other `\` is itself.
    let key = Toml::Text(inside.replace('*', "\\*"));
    Ok((called(flag, word), format!("mounts.{key} = {value}")))
}

/// `--env NAME`, which passes the caller's, and `--env NAME=VALUE`. Messages do not repeat the
/// value: it may be a secret.
pub(super) fn env(word: &str) -> Read {
    let (variable, value) = match word.split_once('=') {
        Some((variable, value)) => (variable, Toml::word(value)),
        None => (word, Toml::bare(true)),
    };
    if variable.is_empty() {
        let help = "--env NAME, or --env NAME=VALUE".into();
        return Err(refused("--env", word, "it names no variable", help));
    }
    Ok((called("--env", variable), format!("env.{} = {value}", name(variable))))
}

/// A flag whose word is the value of one key.
pub(super) fn key(flag: &str, key: &str, word: &str) -> Layer {
    (called(flag, word), format!("{key} = {}", Toml::word(word)))
}

/// `--memory`: bytes are a number in TOML.
pub(super) fn memory(word: &str) -> Layer {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits && !word.starts_with('0') { Toml::bare(word) } else { Toml::word(word) };
    (called("--memory", word), format!("limits.memory = {value}"))
}

/// `--cwd`, from the caller's directory as other paths are.
pub(super) fn cwd(word: &str, directory: &str) -> Read {
    let path = if word.is_empty() { None } else { absolute(word, directory) };
    let Some(path) = path else {
        let why = "it is no absolute path, and the caller's directory is none";
        return Err(refused("--cwd", word, why, "--cwd /DIR".into()));
    };
    Ok((called("--cwd", word), format!("process.cwd = {}", Toml::word(path))))
}

/// What messages and `plan --layers` call the layer: the words of the user.
fn called(flag: &str, word: &str) -> String {
    format!("{flag} {}", shell_word(word))
}

fn refused(flag: &str, word: &str, why: &str, help: String) -> Box<Problem> {
    let message = format!("cannot read `{flag} {}`: {why}", escape(word));
    Box::new(Problem::new("cli::flag", Span::NOWHERE, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ro(word: &str) -> String {
        mount(Access::ReadOnly, word, "/home/me").map_or_else(|why| why.message, |(_, toml)| toml)
    }

    #[test]
    fn a_path_is_meant_as_it_is() {
        assert_eq!(ro("/data"), "mounts.\"/data\" = \"ro\"");
        assert_eq!(ro("/data:/data"), "mounts.\"/data\" = \"ro\"");
        assert_eq!(ro("./x"), "mounts.\"/home/me/x\" = \"ro\"");
        assert_eq!(ro("../you/./x"), "mounts.\"/home/you/x\" = \"ro\"");
        assert_eq!(ro("../../.."), "mounts.\"/\" = \"ro\"");
        assert_eq!(ro("x/../y"), "mounts.\"/home/me/x/../y\" = \"ro\"");
        assert_eq!(ro("/a:b:/c"), "mounts.\"/c\" = { bind = \"/a:b\", access = \"ro\" }");
        assert_eq!(ro("//a/./b*/"), "mounts.\"/a/b\\\\*\" = \"ro\"");
        assert_eq!(ro("/a:b"), "mounts.\"/a:b\" = \"ro\"");
        assert_eq!(ro("/${x}*"), "mounts.\"/$${x}\\\\*\" = \"ro\"");
        assert_eq!(ro("/a*:/b"), "mounts.\"/b\" = { bind = \"/a*\", access = \"ro\" }");
        assert_eq!(ro("/é\"\n"), "mounts.\"/é\\\"\\n\" = \"ro\"");
        assert!(ro("").contains("names no path") && ro(":/x").contains("names no path"));
        assert!(ro("/opt:/opt:ro").contains("not `:ro`"));
        assert!(ro("~/x").contains("did not replace `~`"));
        assert_eq!(
            mount(Access::Hidden, "/a:/b", "/").unwrap().1,
            "mounts.\"/a:/b\" = \"hide\"",
            "what is hidden has one path"
        );
    }

    #[test]
    fn a_layer_is_called_as_it_was_typed_but_for_the_value_of_a_variable() {
        assert_eq!(mount(Access::ReadOnly, "./a b", "/").unwrap().0, "--ro './a b'");
        assert_eq!(
            env("TOKEN=hunter2").unwrap(),
            ("--env TOKEN".into(), "env.TOKEN = \"hunter2\"".into())
        );
        assert_eq!(env("LANG").unwrap().1, "env.LANG = true");
        assert_eq!(env("A=${B}").unwrap().1, "env.A = \"$${B}\"");
        assert_eq!(memory("512M").1, "limits.memory = \"512M\"");
        assert_eq!(memory("4096").1, "limits.memory = 4096");
        assert_eq!(cwd("sub", "/w").unwrap().1, "process.cwd = \"/w/sub\"");
    }
}
