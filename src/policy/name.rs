//! `name`: by which the caller finds a running sandbox again.

use crate::host::Host;
use crate::language::read::Why;
use crate::language::section::Key;
use crate::language::shape::Shape;
use crate::language::value::{Spelled, Written};
use crate::step::OutsideOp;
use crate::step::draft::Draft;
use crate::text::problem::Problem;

/// The most characters of a name: it is the name of a file, with an ending.
const LONGEST: usize = 64;

/// The name of a running sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxName(pub String);

impl Written for SandboxName {
    const WHAT: &'static str = "a name such as \"web-1\"";
    fn from_text(text: &str) -> Result<SandboxName, Why> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = text.bytes().all(plain)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.len() <= LONGEST;
        let why = || {
            let rule = format!(
                "` is not a name: a letter or digit, then at most {} letters, digits, `.`, `_` and \
                 `-`",
                LONGEST - 1
            );
            Why::not(text, rule)
        };
        if fits { Ok(SandboxName(text.into())) } else { Err(why()) }
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn looks() -> Shape {
        Shape::form(
            "a name of at most 64 letters, digits, `.`, `_` and `-`",
            "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        )
    }
}

/// Drafts where the sandbox is entered, to be found while it runs.
pub(crate) fn draft(name: &Key<SandboxName>, host: &Host, draft: &mut Draft) {
    let Some(name) = name.get() else { return };
    let caller = &host.caller;
    let directory = caller.registry();
    if host.foreign_registry {
        let message = format!(
            "cannot name the sandbox `{}`: {directory} is not the caller's alone",
            name.value.0
        );
        let help = if caller.uid == 0 || caller.runtime_dir.is_some() {
            format!("see who made it: ls -ld {directory}")
        } else {
            format!(
                "see who made it (ls -ld {directory}), and set XDG_RUNTIME_DIR to a directory of \
                 your own, of mode 0700"
            )
        };
        return draft.problem(Problem::new("name::directory", name.at, message).help(help));
    }
    if caller.uid != 0 && caller.runtime_dir.is_none() {
        let text =
            format!("the sandbox's name is entered in {directory}, as XDG_RUNTIME_DIR is not set");
        draft.note(name.at, text);
    }
    let profile = host.profile.clone();
    draft.outside(OutsideOp::EnterName { name: name.value.0.clone(), directory, profile }, name.at);
}
