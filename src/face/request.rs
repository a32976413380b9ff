//! What is asked for: a profile, and what is laid over it.

use crate::profile;
use crate::text::bytes;
use std::ffi::OsString;

/// Which profile, and what is laid over it, as the command line of `stockade run` says it.
///
/// # Examples
///
/// ```
/// use stockade::Request;
///
/// let project = "/srv/project";
/// let request = Request::new("build")
///     .set("project", project)
///     .config("limits.memory = \"2G\"")
///     .args(["make", "-j4"]);
/// # drop(request);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it is a question, which `load` answers"]
pub struct Request(pub(crate) profile::Request);

impl Request {
    /// Asks for a profile by its name (`default`), or by the path of its file, which has a `/` or
    /// ends in `.toml`. `-` is standard input.
    ///
    /// A name is that of a built-in profile, or of a file in /etc/stockade or, for an ordinary
    /// user, $XDG_CONFIG_HOME/stockade (~/.config/stockade). `builtin:NAME` is the built-in one. A path that is not absolute is taken from the current directory.
    pub fn new(profile: impl Into<String>) -> Request {
        Request(profile::Request { profile: profile.into(), ..profile::Request::default() })
    }

    /// Asks for a profile by its text, of at most 1 MiB. Problems call it `name`.
    ///
    /// It has no directory: its `extends` takes names and absolute paths, and `${PROFILE_DIR}` is
    /// not set.
    pub fn text(name: impl Into<String>, toml: impl Into<String>) -> Request {
        let text = Some(toml.into());
        Request(profile::Request { text, ..Request::new(name).0 })
    }

    /// Gives a parameter of the profile its value, as `--set NAME=VALUE` does.
    /// [`load`](crate::load) reports a value that is wrong.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Request {
        self.0.params.push((name.into(), value.into()));
        self
    }

    /// Lays lines of TOML over the profile, as `--config TOML` does. The lines of all calls are one
    /// layer: the same key twice is a problem.
    pub fn config(mut self, toml: impl Into<String>) -> Request {
        self.0.config.push(("--config".to_owned(), toml.into()));
        self
    }

    /// Appends words for the target. They take the place of `${ARGS}` in the profile's command;
    /// without `${ARGS}` there, or without a command, they are the command. Bytes that are not
    /// UTF-8 reach the target as they are.
    pub fn args(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Request {
        self.0.args.extend(words.into_iter().map(|word| bytes::of(word.into())));
        self
    }
}
