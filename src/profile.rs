//! A profile: text in, typed values with their places out. It reads files and nothing else of the
//! machine.

use crate::language::layers::{Changes, Effect, Said};
use crate::language::reader::Reader;
use crate::language::section::{Early, Field, Key, Set, section};
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::{Toml, document};
use crate::policy::capabilities::Capabilities;
use crate::policy::env::Env;
use crate::policy::identity::Identity;
use crate::policy::landlock::Landlock;
use crate::policy::limits::Limits;
use crate::policy::mounts::Mounts;
use crate::policy::name::SandboxName;
use crate::policy::namespaces::Namespaces;
use crate::policy::network::Network;
use crate::policy::optional::Protection;
use crate::policy::process::Process;
use crate::policy::programs::Programs;
use crate::policy::rlimits::Rlimits;
use crate::policy::seccomp::Seccomp;
use crate::text::source::{At, Span};
use params::Declarations;
use std::sync::LazyLock;

section! {
    /// A profile: one field per domain.
    pub struct Profile {
        /// The version of the language; this stockade reads 1. Every file must have it.
        format: Early<Format>,
        /// One line for people.
        description: Key<String>,
        /// A name for the sandbox while it runs, for `ps`, `freeze`, `thaw` and `kill`.
        name: Key<SandboxName>,
        /// What this file is laid over, in this order: names of profiles, or paths from this file's
        /// directory, with a `/` or the ending `.toml`. `builtin:NAME` is the built-in profile of
        /// that name. A file in /etc/stockade or in the user's directory that has the name of a
        /// built-in profile takes its place where it extends that one as `builtin:NAME`; else the
        /// name is ambiguous.
        extends: Early<Bases>,
        /// Protections that are skipped, with a warning, if the machine lacks them. Not inherited.
        optional: Set<Protection>,
        /// Programs by name or absolute path: the file, its interpreter and its libraries are in
        /// the sandbox, read-only, at the same paths. `"${COMMAND}"` is the program of
        /// `process.command`. What a program opens by itself later (plugins, locales, modules) is
        /// not among it.
        programs: Programs,
        /// What the profile leaves to its user.
        params: Early<Declarations>,
        /// What runs, and the state that it starts with.
        process: Process,
        /// The target's environment.
        env: Env,
        /// Who the target is.
        identity: Identity,
        /// Which parts of the kernel's state it has for itself.
        namespaces: Namespaces,
        /// Its file tree.
        mounts: Mounts,
        /// Which of root's powers it keeps.
        capabilities: Capabilities,
        /// What it may ask of the kernel.
        seccomp: Seccomp,
        /// Resource limits of the process.
        rlimits: Rlimits,
        /// What the sandbox as a whole may use.
        limits: Limits,
        /// Its network.
        network: Network,
        /// What Landlock denies besides the mounts.
        landlock: Landlock,
    }
    later { "lsm" }
}

/// How the loader handles keys by name; it knows none itself.
impl Profile {
    /// Reports names in `optional` that are no optional protections.
    fn check(&self, reader: &mut Reader<'_>) {
        for protection in &self.optional.items {
            if let Some(why) = protection.value.refuse() {
                reader.refuse(At::unsaid("optional"), protection.at, why);
            }
        }
    }

    /// Whether its `optional` names limits.
    fn lets_fall(&self) -> bool {
        self.optional.items.iter().any(|name| name.value == "limits")
    }

    /// Makes every limit of this text optional, if `falls`.
    fn let_fall(&mut self, falls: bool) {
        if falls {
            self.limits.let_fall();
        }
    }

    /// Forgets what counts in its own file alone.
    fn keep_back(&mut self, changes: Option<&mut Changes>) {
        let optional = std::mem::take(&mut self.optional);
        let Some(changes) = changes else { return };
        changes.enter("optional");
        let protections = optional.items.iter();
        protections.for_each(|protection| {
            changes.record(Effect::NotInherited, protection.at, Span::NOWHERE)
        });
        changes.leave();
    }

    /// The first word of the command.
    fn program(&self) -> Option<&str> {
        self.process.command.get()?.first().map(|word| word.value.as_str())
    }

    /// Puts the words after PROFILE in the place of the command.
    fn run(&mut self, words: At<Vec<At<String>>>, changes: Option<&mut Changes>) {
        let command = &mut self.process.command;
        if let Some(changes) = changes {
            changes.enter("process");
            changes.lay(Some("command"), Said::Value(words.at), command.at());
            changes.leave();
        }
        *command = Key::Said(words);
    }

    /// How many entries it has, of those that are written one by one.
    fn entries(&self) -> usize {
        self.programs.items.len()
            + self.mounts.map.len()
            + self.env.map.len()
            + self.rlimits.map.len()
    }

    /// A text that says the same, and extends nothing.
    #[cfg_attr(
        face_alone,
        allow(dead_code, reason = "the tests write whole profiles; tools are to")
    )]
    pub fn spelled(&self) -> String {
        let format = ("format".to_owned(), Toml::bare(load::FORMAT));
        let keys = match self.spell() {
            Some(Toml::Section(keys)) => keys,
            _ => vec![],
        };
        let keys: Vec<(String, Toml)> = [format].into_iter().chain(keys).collect();
        document(&keys)
    }
}

/// The version of the language.
#[derive(Debug, Clone)]
pub struct Format;

impl Shaped for Format {
    fn shape() -> Shape {
        Shape::Integer(load::FORMAT, load::FORMAT)
    }
}

/// What a file is laid over.
#[derive(Debug, Clone)]
pub struct Bases;

impl Shaped for Bases {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        Vec::<base::Base>::shape()
    }
}

/// The section of a key of the language, for a file that has it elsewhere: in TOML all keys below a
/// `[section]` belong to it.
pub fn place_of_key(key: &str) -> Option<String> {
    // Every entry of a file can have a wrong name.
    static SHAPE: LazyLock<Shape> = LazyLock::new(Profile::shape);
    let Shape::Table(profile) = &*SHAPE else { return None };
    let is_section = |shape: &Shape| matches!(shape, Shape::Named(_)) || !shape.keys().is_empty();
    if profile.keys.iter().any(|top| top.name == key && !is_section(&top.shape)) {
        return Some(format!("`{key}` belongs to the top of the file, before the first [section]"));
    }
    let has = |shape: &Shape| shape.keys().iter().any(|known| known.name == key);
    let sections: Vec<String> = profile
        .keys
        .iter()
        .filter(|top| has(&top.shape))
        .map(|top| format!("[{}]", top.name))
        .collect();
    (!sections.is_empty()).then(|| format!("`{key}` is a key of {}", sections.join(" and of ")))
}

mod base;
mod builtin;
mod files;
mod fill;
mod installed;
mod layer;
mod load;
mod params;
mod slip;
mod starters;
mod trust;
mod variables;
mod written;

pub use builtin::BUILTIN;
pub(crate) use files::{read_import, text_of, way};
pub(crate) use installed::{Listed, installed};
pub(crate) use load::load_params;
pub use load::{Request, load, load_layers};
pub(crate) use params::Declared;
pub(crate) use starters::{Fit, Role, starter};
pub(crate) use variables::KNOWN as VARIABLES;
pub use written::as_written;
pub(crate) use written::rewritten;
