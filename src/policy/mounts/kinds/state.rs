//! A directory of stockade's own that is kept between runs: a writable bind whose source the caller
//! decides, and which is made at its first use.

use super::further::{Access, Further, Missing, Sockets};
use super::{Bind, Form, Kind, Makes, Mount, Word, form, said};
use crate::language::read::{Read, Why};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, join};
use crate::policy::name::SandboxName;
use crate::tree::Ground;

pub(super) const WORDS: &[Word] = &[];

pub(super) const FORMS: &[Form] = &[form! {
    /// A directory of stockade's own that is kept between runs, by this name. It is made at its first
    /// use, the target may write to it, and every profile that has the name shows the same one.
    "state": SandboxName => |name| Mount::State(State::new(name.0)),
    ["exec"]
}];

/// A directory that is kept between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: String,
    /// The bind that it is: all rules of binds hold.
    pub bind: Bind,
}

impl State {
    fn new(name: String) -> State {
        // Until the caller is known.
        let source = AbsolutePath(join("/var/lib/stockade/state", &format!("/{name}")));
        let bind = Bind {
            // Nothing is mounted in it, and mounts that others put there do not come along.
            recursive: false,
            missing: Missing::Create,
            // Those in it are of runs that had it.
            sockets: Sockets::Allow,
            // Root's is in a directory that root alone may enter.
            owner_root: true,
            ..Bind::new(Some(source), Access::ReadWrite)
        };
        State { name, bind }
    }

    /// Takes the directory that it is in.
    pub(crate) fn lies_in(&mut self, directory: &str) {
        self.bind.source = Some(AbsolutePath(join(directory, &format!("/{}", self.name))));
    }
}

impl Kind for State {
    fn take(&mut self, further: &Further) -> Result<(), Why> {
        self.bind.exec = further.exec.unwrap_or(self.bind.exec);
        Ok(())
    }

    fn spell(&self) -> Toml {
        said([
            ("state", Some(Toml::word(&self.name))),
            ("exec", (!self.bind.exec).then(|| self.bind.exec.spell())),
        ])
    }

    fn ground(&self, path: &str) -> Ground {
        self.bind.ground(path)
    }

    fn asks(&self, path: &str) -> Vec<String> {
        self.bind.asks(path)
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::Bind(&self.bind)
    }

    fn form(&self) -> &'static str {
        "state"
    }

    fn what(&self) -> &'static str {
        "a state"
    }
}
