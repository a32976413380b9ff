//! `[landlock]`: a second protection behind the mounts, derived from them where the profile says nothing
//! else (landlock(7)).
//!
//! Its rules add up from a path to the root, so it holds the union of the grants; what is read-only
//! or hidden below a writable grant is kept by the mounts alone.

mod broad;
mod draft;
mod rights;
mod streams;

use crate::host::Host;
use crate::host::questions::Sought;
use crate::kernel::rights::Rights;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::section::{Key, Set, section};
use crate::language::shape::{Named, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{AbsolutePath, PATH_FORM, Written, bounded, plain_path, words};
use crate::policy::mounts::SOCKETS_ABI;
use crate::policy::namespaces::Nested;
use crate::text::source::{At, Span};
pub(crate) use broad::refuse as refuse_broad;
pub(crate) use draft::{Ruled, note_listening, settle};
use landlock::{ABI, Access, AccessFs, AccessNet, BitFlags, Scope as Bits};
pub(crate) use rights::Granted;
use serde::Serialize;
use std::fmt;
pub(crate) use streams::Asked;
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[landlock]`: what the kernel's Landlock denies besides the mounts; default: whatever they
    /// do not grant.
    pub struct Landlock {
        /// The least ABI that will do (landlock(7) has the table); default: 2.
        min_abi: Key<MinAbi>,
        /// Which files: `"auto"` (the default): as `[mounts]` grants them; `"off"`: all; or rights
        /// by path inside: `{ "/usr" = "rx" }`.
        paths: Key<Paths>,
        /// TCP ports that may be bound; default: all, `[]`: none. A socket that listens without
        /// bind(2) gets a free port, which the kernel does not ask Landlock about.
        tcp_bind: Set<Port>,
        /// TCP ports that may be connected to; default: all, `[]`: none.
        tcp_connect: Set<Port>,
        /// UDP ports that may be bound (Linux 7.2), 0: any free one, which sending takes first;
        /// default: all, `[]`: none.
        udp_bind: Set<Port>,
        /// UDP ports that may be sent to (Linux 7.2); default: all, `[]`: none.
        udp_connect: Set<Port>,
        /// What outside of the sandbox cannot be reached: `"signal"`, `"abstract-unix-socket"`;
        /// default: both, where the kernel can; `[]`: nothing.
        scope: Set<Scope>,
        /// Whether the kernel's audit log records what is denied to the target (Linux 6.15).
        audit: Key<bool>,
    }
}

// ---- table ----

bounded! {
    /// An ABI of Landlock.
    MinAbi(u32) = 0..=u32::MAX as i64, "an ABI number such as 6", "there is no ABI ", ""
}
bounded! {
    /// A port of TCP or UDP. 0 is what bind(2) takes for any free one.
    Port(u16) = 0..=65_535, "a port from 0 to 65535", "", " is not a port: expected 0 to 65535"
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// What of the outside the domain cannot reach.
    Scope {
        /// Processes, by kill(2) and its kin.
        Signal = "signal",
        /// Abstract unix sockets (unix(7)).
        AbstractUnixSocket = "abstract-unix-socket",
    }
}

impl Scope {
    /// The kernel's bit.
    pub fn bit(self) -> u64 {
        match self {
            Scope::Signal => Bits::Signal as u64,
            Scope::AbstractUnixSocket => Bits::AbstractUnixSocket as u64,
        }
    }
}

/// Where the rules for files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paths {
    /// From `[mounts]`.
    Auto,
    /// There are none, and files are not ruled over.
    Off,
    /// From here.
    Table(Vec<(AbsolutePath, At<Granted>)>),
}

words! {
    /// A word of [`Paths`].
    PathsWord {
        /// As `[mounts]` grants them.
        Auto = "auto",
        /// Files are not ruled over.
        Off = "off",
    }
}

impl Shaped for Paths {
    fn shape() -> Shape {
        let table = || {
            let doc = "Rights by path inside; nothing else is granted.";
            Shape::Named(Named {
                doc,
                name: "PATH",
                form: PATH_FORM,
                fills: false,
                value: Box::new(Granted::shape()),
            })
        };
        Shape::either(&[PathsWord::shape, table])
    }
}

impl Read for Paths {
    fn read(node: &Node<'_>) -> Result<Paths, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => match PathsWord::from_text(text) {
                Ok(PathsWord::Auto) => Ok(Paths::Auto),
                Ok(PathsWord::Off) => Ok(Paths::Off),
                Err(_) => Err(Why::of("unknown word `", text.as_ref(), "`")
                    .help("write \"auto\", \"off\" or { \"/usr\" = \"rx\" }")
                    .at(node)),
            },
            DeValue::Table(table) => {
                let (mut paths, mut wrongs) = (vec![], Wrongs::none());
                for (key, value) in table {
                    let path = plain_path(key.get_ref()).map(AbsolutePath);
                    let path = wrongs.take(path.map_err(|why| why.at_place(key.span().into())));
                    paths.extend(path.zip(wrongs.take(Read::read(value))));
                }
                wrongs.or(Paths::Table(paths))
            }
            _ => Err(mismatch(node, "\"auto\", \"off\" or a table such as { \"/usr\" = \"rx\" }")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Paths::Auto => PathsWord::Auto.spell(),
            Paths::Off => PathsWord::Off.spell(),
            Paths::Table(paths) => Toml::Table(
                paths.iter().map(|(path, rights)| (path.0.clone(), rights.spell())).collect(),
            ),
        }
    }
}

/// What the ruleset rules over. What it handles and no rule grants is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    pub abi: u32,
    /// Rights to files that are denied unless granted.
    pub handled: Rights,
    /// Uses of ports that are denied unless granted, as the kernel's bits.
    pub ports: u64,
    /// Signals to, and abstract unix sockets of, processes outside the sandbox, as the kernel's
    /// bits.
    pub scoped: u64,
}

impl Ruleset {
    /// Whether signals to processes outside are denied.
    pub fn scopes_signals(&self) -> bool {
        self.scoped & Scope::Signal.bit() != 0
    }
}

/// The least ABI that serves: below it every rename across directories fails (kernel commit
/// b91c3e4ea756).
pub(crate) const LEAST_ABI: u32 = 2;
/// The first ABI with scopes (Linux 6.12).
const SCOPE_ABI: u32 = 6;
/// The first ABI that logs what a program is denied after it was executed (Linux 6.15).
const AUDIT_ABI: u32 = 7;

/// Whose tree the target sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// One of its own. `[mounts]` has drafted a rule for each grant.
    Own,
    /// The host's, by this line of the profile. `[mounts]` has drafted a rule for each grant, and
    /// no mount covers the files.
    Host(Span),
    /// The same, where `[mounts]` has no entry: without rules nothing is broken that the profile
    /// says.
    Ungranted(Span),
    /// That of a namespace which was joined, of which nothing is known.
    Joined,
}

/// What is denied of processes outside, by the kernel's bit.
pub(crate) fn scope_words(bit: u64) -> &'static str {
    [(Scope::Signal, "signals to processes"), (Scope::AbstractUnixSocket, "abstract unix sockets")]
        .into_iter()
        .find(|(scope, _)| scope.bit() == bit)
        .map_or("an unknown scope", |(_, words)| words)
}

fn abi(number: u32) -> ABI {
    ABI::from(i32::try_from(number).unwrap_or(i32::MAX))
}

/// Whether sockets below a read-only bind are kept from being connected to.
pub(crate) fn holds_sockets(landlock: &Landlock, nested: &Key<Nested>, host: &Host) -> bool {
    let plain = landlock.paths.get().is_none() && nested.get().is_none();
    plain && host.landlock.is_some_and(|abi| abi >= SOCKETS_ABI)
}

/// Asks where the rules that the profile writes lead.
pub(crate) fn ask_inside(landlock: &Landlock, sought: &mut Sought) {
    let Some(Paths::Table(table)) = landlock.paths.get().map(|paths| &paths.value) else { return };
    let rule = |(path, rights): &(AbsolutePath, At<Granted>)| (path.0.clone(), rights.0);
    sought.rules = Some(table.iter().map(rule).collect());
}

/// The ruleset of a process that may use files, ports and sockets of others only as a rule allows:
/// it handles every right that the kernel has, and scopes all but signals.
pub(crate) fn strictest(number: u32) -> Ruleset {
    let ports: BitFlags<AccessNet> = AccessNet::from_all(abi(number));
    let scoped: BitFlags<Bits> = Bits::from_all(abi(number)) & Bits::AbstractUnixSocket;
    Ruleset { abi: number, handled: all(number), ports: ports.bits(), scoped: scoped.bits() }
}

/// Every right to files that a kernel rules over.
fn all(number: u32) -> Rights {
    let handled: BitFlags<AccessFs> = AccessFs::from_all(abi(number));
    Rights(handled.bits())
}

#[cfg(test)]
mod tests;
