//! `[landlock]`: a second wall behind the mounts, derived from them where the profile says nothing else (landlock(7)).
//!
//! Its rules add up from a path to the root, so it holds the union of the grants; what is read-only or hidden below a writable
//! grant is kept by the mounts alone.

mod broad;
mod rights;
mod streams;

use crate::draft::Draft;
use crate::host::Host;
use crate::policy::namespaces::Nested;
use crate::problem::{Problem, errno_words};
use crate::section;
use crate::section::{Key, Set};
use crate::shape::{Named, Shape, Shaped};
use crate::source::{At, Span};
use crate::step::{Inode, Name, Op, Stage};
use crate::value::{AbsolutePath, PATH_FORM, Written, plain_path};
pub use broad::refuse as refuse_broad;
use landlock::{ABI, Access, AccessFs, AccessNet, BitFlags, Scope as Bits};
pub use rights::{Granted, Rights};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt;

// ---- section ----

section! {
    /// `[landlock]`: what the kernel's Landlock denies besides the mounts; unsaid: whatever they do not grant.
    pub struct Landlock {
        /// The least ABI that will do (landlock(7) has the table); unsaid: 2.
        min_abi: Key<MinAbi>,
        /// Which files: `"auto"` (unsaid): as `[mounts]` grants them; `"off"`: all; or rights by path inside: `{ "/usr" = "rx" }`.
        paths: Key<Paths>,
        /// TCP ports that may be bound; unsaid: all, `[]`: none. A socket that listens without bind(2) gets a free port, which the kernel does not ask Landlock about.
        tcp_bind: Set<Port>,
        /// TCP ports that may be connected to; unsaid: all, `[]`: none.
        tcp_connect: Set<Port>,
        /// UDP ports that may be bound (Linux 7.2), 0: any free one, which sending takes first; unsaid: all, `[]`: none.
        udp_bind: Set<Port>,
        /// UDP ports that may be sent to (Linux 7.2); unsaid: all, `[]`: none.
        udp_connect: Set<Port>,
        /// What outside of the sandbox cannot be reached: `"signal"`, `"abstract-unix-socket"`; unsaid: both, where the kernel can; `[]`: nothing.
        scope: Set<Scope>,
        /// Whether the kernel's audit log tells what is denied to the target (Linux 6.15).
        audit: Key<bool>,
    }
}

// ---- table ----

/// An ABI of Landlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinAbi(pub u32);

impl Written for MinAbi {
    const WHAT: &'static str = "an ABI number such as 6";
    fn from_text(text: &str) -> Result<MinAbi, String> {
        Err(format!("`{text}` must be a number, without quotes"))
    }
    fn from_integer(number: i64) -> Option<Result<MinAbi, String>> {
        Some(u32::try_from(number).map(MinAbi).map_err(|_| format!("there is no ABI {number}")))
    }
    fn looks() -> Shape {
        u32::shape()
    }
}

/// A port of TCP or UDP. 0 is what bind(2) takes for any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub u16);

impl Written for Port {
    const WHAT: &'static str = "a port from 0 to 65535";
    fn from_text(text: &str) -> Result<Port, String> {
        Err(format!("`{text}` must be a number, without quotes"))
    }
    fn from_integer(number: i64) -> Option<Result<Port, String>> {
        Some(u16::try_from(number).map(Port).map_err(|_| format!("{number} is not a port: expected 0 to 65535")))
    }
    fn looks() -> Shape {
        Shape::Integer(0, i64::from(u16::MAX))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::words! {
    /// What of the outside the domain cannot reach.
    Scope {
        /// Processes, by kill(2) and its kin.
        Signal = "signal",
        /// Abstract unix sockets (unix(7)).
        AbstractUnixSocket = "abstract-unix-socket",
    }
}

crate::written!(MinAbi, Port, Scope);

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

crate::words! {
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
            Shape::Named(Named { doc, name: "PATH", form: PATH_FORM, fills: false, value: Box::new(Granted::shape()) })
        };
        Shape::either(&[PathsWord::shape, table])
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Paths, D::Error> {
        struct PathsVisitor;
        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", \"off\" or a table such as { \"/usr\" = \"rx\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Paths, E> {
                match PathsWord::from_text(text) {
                    Ok(PathsWord::Auto) => Ok(Paths::Auto),
                    Ok(PathsWord::Off) => Ok(Paths::Off),
                    Err(_) => Err(E::custom(format!("unknown word `{text}`\nhelp: write \"auto\", \"off\" or {{ \"/usr\" = \"rx\" }}"))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Paths, A::Error> {
                let mut paths = vec![];
                while let Some(path) = map.next_key::<String>()? {
                    let path = plain_path(&path).map_err(de::Error::custom)?;
                    paths.push((AbsolutePath(path), map.next_value()?));
                }
                Ok(Paths::Table(paths))
            }
        }
        deserializer.deserialize_any(PathsVisitor)
    }
}

/// What the ruleset rules over. What it handles and no rule grants is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// The kernel's ABI.
    pub abi: u32,
    /// Rights to files that are denied unless granted.
    pub handled: Rights,
    /// Uses of ports that are denied unless granted, as the kernel's bits.
    pub ports: u64,
    /// Signals to, and abstract unix sockets of, processes outside the sandbox, as the kernel's bits.
    pub scoped: u64,
}

impl Ruleset {
    /// Whether signals to processes outside are denied.
    pub fn scopes_signals(&self) -> bool {
        self.scoped & Scope::Signal.bit() != 0
    }
}

/// The least ABI that serves: below it every rename across folders fails (kernel commit b91c3e4ea756).
pub const LEAST_ABI: u32 = 2;
/// The first ABI with scopes (Linux 6.12).
const SCOPE_ABI: u32 = 6;
/// The first ABI that logs what a program is denied after it was executed (Linux 6.15).
const AUDIT_ABI: u32 = 7;

/// Walls that may fall by their names in `optional`: those of this section, and every limit of the file that says so.
pub const OPTIONAL: &[&str] = &[
    "limits",
    "keyring",
    "landlock",
    "landlock.truncate",
    "landlock.tcp",
    "landlock.udp",
    "landlock.scope",
    "landlock.audit",
    "mounts.kept",
    "mounts.set-id",
    "namespaces.nested",
];

crate::written!(Wall);

/// The name of a wall that may fall; the loader checks it, so that it has a code of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall(pub String);

impl Written for Wall {
    const WHAT: &'static str = "the name of a wall";
    fn from_text(text: &str) -> Result<Wall, String> {
        Ok(Wall(text.into()))
    }
    fn looks() -> Shape {
        Shape::names(OPTIONAL.iter().copied())
    }
}

impl Wall {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Wall {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// ---- draft ----

/// Whose tree the target sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// One of its own. `[mounts]` has drafted a rule for each grant.
    Own,
    /// The host's, by this line of the profile. `[mounts]` has drafted a rule for each grant, and no mount stands before the files.
    Host(Span),
    /// The same, where `[mounts]` has no entry: without rules nothing is broken that the profile says.
    Ungranted(Span),
    /// That of a namespace which was joined, of which nothing is known.
    Joined,
}

struct Drafting<'a> {
    landlock: &'a Landlock,
    optional: &'a Set<Wall>,
    host: &'a Host,
    draft: &'a mut Draft,
    abi: u32,
}

/// Drafts the ruleset and its rules; what falls is said. Steps carry the rights that `[mounts]` grants; those of a kernel that lacks them go.
pub fn draft(landlock: &Landlock, optional: &Set<Wall>, nested: &Key<Nested>, sight: Sight, host: &Host, draft: &mut Draft) -> Option<Ruleset> {
    let mut drafting = Drafting { landlock, optional, host, draft, abi: 0 };
    let ruleset = drafting.ruleset(nested, sight, host.landlock);
    let handled = ruleset.map_or(Rights(0), |ruleset| ruleset.handled);
    // The kernel refuses rights that the ruleset does not handle, and empty rules.
    for step in &mut draft.steps {
        if let Some(rights) = step.op.rights_mut() {
            *rights = rights.within(handled);
        }
    }
    draft.steps.retain(|step| !matches!(step.op, Op::LandlockRule { rights: Rights(0), .. }));
    let ruleset = ruleset.filter(|ruleset| (ruleset.handled.0, ruleset.ports, ruleset.scoped) != (0, 0, 0))?;
    if handled != Rights(0) {
        streams::rules(host, handled, draft);
    }
    let audit = landlock.audit.get().is_some_and(|audit| audit.value) && ruleset.abi >= AUDIT_ABI;
    draft.step(Stage::Landlock, Op::RestrictSelf { audit }, landlock.audit.at());
    Some(ruleset)
}

impl Drafting<'_> {
    fn ruleset(&mut self, nested: &Key<Nested>, sight: Sight, abi: Option<u32>) -> Option<Ruleset> {
        // Without "mount" every call that mounts stays refused, so that rules for files take nothing from it (landlock(7)).
        let nested = nested.get().filter(|nested| nested.value.mounts()).map(|nested| nested.at);
        let switched_off = matches!(self.landlock.paths.get().map(|paths| &paths.value), Some(Paths::Off));
        let table = matches!(self.landlock.paths.get().map(|paths| &paths.value), Some(Paths::Table(_)));
        match (sight, nested) {
            _ if switched_off => self.without_rules(sight),
            (Sight::Host(alone) | Sight::Ungranted(alone), Some(nested)) if !table => {
                let why = "a process under rules for files can make no mounts, which `nested` lets the target make";
                self.alone(alone, nested, why, "leave \"mount\" out of `nested`, or namespaces.mount new");
            }
            _ => {}
        }
        let off = switched_off || nested.is_some() || sight == Sight::Joined;
        let ports = [&self.landlock.tcp_bind, &self.landlock.tcp_connect, &self.landlock.udp_bind, &self.landlock.udp_connect];
        let asked = !off || ports.iter().any(|set| set.said().is_some()) || self.landlock.scope.said().is_some();
        self.abi = match abi.filter(|abi| *abi >= LEAST_ABI) {
            Some(abi) => abi,
            // Scopes that nobody asked for are a gift.
            None if !asked => return None,
            None => return self.absent(if switched_off { Sight::Own } else { sight }, abi),
        };
        self.check_abi();
        let handled = self.paths(nested, sight);
        self.check_truncate(handled, sight);
        let ports = self.ports();
        let scoped = self.scope();
        self.check_audit();
        Some(Ruleset { abi: self.abi, handled, ports, scoped })
    }

    fn may_fall(&self, wall: &str) -> bool {
        self.optional.items.iter().any(|name| name.value == "landlock" || name.value == wall)
    }

    /// A wall that this kernel does not have: a problem, or a note where it may fall.
    fn lacks(&mut self, wall: &str, at: Span, what: &str, why: &str) {
        if self.may_fall(wall) {
            self.draft.note_less(at, format!("{what} not enforced: {why}"));
        } else {
            self.refuse_lacking(wall, at, what.trim_end_matches(" is").trim_end_matches(" are"), why);
        }
    }

    fn refuse_lacking(&mut self, wall: &str, at: Span, what: &str, why: &str) {
        let message = format!("cannot enforce {what}: {why}");
        let help = format!("boot a newer kernel, or let it fall: optional = [\"{wall}\"]");
        self.draft.problem(Problem::new("landlock::absent", at, message).help(help));
    }

    fn absent(&mut self, sight: Sight, abi: Option<u32>) -> Option<Ruleset> {
        let why = match abi {
            Some(abi) => format!("this kernel's Landlock has ABI {abi}, under which every rename between folders fails; {LEAST_ABI} is needed"),
            None => "this kernel has no Landlock, or it is switched off".into(),
        };
        if let Sight::Host(at) | Sight::Ungranted(at) = sight {
            self.alone(at, Span::NOWHERE, &why, "boot a kernel with Landlock (lsm=landlock, Linux 5.19), or leave namespaces.mount new");
        } else if self.may_fall("landlock") {
            self.draft.note_less(Span::NOWHERE, format!("Landlock is not enforced: {why}"));
        } else {
            let help = "boot with landlock in lsm=, or let it fall: optional = [\"landlock\"]";
            self.draft.problem(Problem::new("landlock::absent", Span::NOWHERE, format!("cannot enforce Landlock: {why}")).help(help));
        }
        None
    }

    fn check_abi(&mut self) {
        if let Some(least) = self.landlock.min_abi.get().filter(|least| least.0 > self.abi) {
            let (least, at) = (least.0, least.at);
            self.lacks("landlock", at, &format!("Landlock's ABI {least} is"), &format!("this kernel has ABI {}", self.abi));
        }
    }

    /// The rules for files; gives what is ruled over.
    fn paths(&mut self, nested: Option<Span>, sight: Sight) -> Rights {
        let (said, at) = (self.landlock.paths.get().map(|paths| &paths.value), self.landlock.paths.at());
        match (said, nested) {
            (Some(Paths::Off), _) => Rights(0),
            (Some(Paths::Table(_)), Some(nested)) => {
                let message = "cannot enforce `paths` where the target makes mount namespaces: a process under rules for files can mount nothing";
                let help = "remove one of them: landlock.paths = \"off\", or name the kinds without `mount`: namespaces.nested = [\"user\", \"pid\", \"net\"]";
                self.draft.problem(Problem::new("landlock::nested", at, message).also(nested, "because of this").help(help));
                Rights(0)
            }
            (None | Some(Paths::Auto), Some(nested)) => {
                self.draft
                    .note(nested, "Landlock does not rule over files: a process under such rules can mount nothing, also in namespaces of its own");
                Rights(0)
            }
            (None | Some(Paths::Auto), None) if sight == Sight::Joined => {
                self.draft
                    .note_less(at, "the target sees the tree of the namespace that it joins, without Landlock: this sandbox does not protect files");
                Rights(0)
            }
            (None | Some(Paths::Auto), None) => all(self.abi),
            (Some(Paths::Table(table)), None) => {
                self.draft.steps.retain(|step| step.stage != Stage::Rules);
                self.draft.steps.iter_mut().filter_map(|step| step.op.rights_mut()).for_each(|rights| *rights = Rights(0));
                let place = |path: &'_ AbsolutePath| self.host.ruled.get(&path.0).and_then(|place| place.as_ref().ok()).unwrap_or(&path.0).clone();
                let places: Vec<String> = table.iter().map(|(path, _)| place(path)).collect();
                for ((path, rights), place) in table.iter().zip(&places) {
                    let around = |(other, _): &(&(AbsolutePath, At<Granted>), &String)| other.0 != *path;
                    let wider = table
                        .iter()
                        .zip(&places)
                        .filter(around)
                        .find(|((_, wider), around)| crate::value::below(place, around).is_some() && !rights.0.holds(wider.0));
                    if let Some(((over, wider), _)) = wider {
                        self.draft.problem(refuse_narrower(path, rights.at, over, wider.at));
                    }
                    match self.host.ruled.get(&path.0) {
                        Some(Err(errno)) => self.draft.problem(refuse_path(path, *errno, rights.at)),
                        _ => {
                            let op = Op::LandlockRule { path: Name::new(place), rights: rights.0, inode: Inode::default() };
                            self.draft.step(Stage::Rules, op, rights.at);
                        }
                    }
                }
                all(self.abi)
            }
        }
    }

    /// `paths = "off"`: in the host's tree the profile then grants nothing by `[mounts]`, and keeps nothing.
    fn without_rules(&mut self, sight: Sight) {
        let at = self.landlock.paths.at();
        match sight {
            Sight::Host(alone) => {
                let help = "take the entries out of [mounts]: then the sandbox does not protect files, and `run` says so; or leave `paths` out";
                self.alone(alone, at, "`paths` switches its rules for files off", help);
            }
            Sight::Ungranted(alone) => {
                self.draft.note_less(at.or(alone), "the target has all files of the caller: it sees the host's tree, and landlock.paths is \"off\"")
            }
            Sight::Own | Sight::Joined => {}
        }
    }

    /// In the host's tree nothing but Landlock's rules keeps the files, so there is no sandbox of files without them.
    fn alone(&mut self, alone: Span, at: Span, why: &str, help: &str) {
        let message = format!("cannot keep files: Landlock alone protects them in the host's tree, and {why}");
        self.draft.problem(Problem::new("landlock::alone", at.or(alone), message).also(alone, "because of this").help(help));
    }

    /// Where no mount is read-only, who may only read a file could still empty it, by truncate(2) or open(2) with O_TRUNC.
    fn check_truncate(&mut self, handled: Rights, sight: Sight) {
        let at = match (self.landlock.paths.get().map(|paths| &paths.value), sight) {
            (Some(Paths::Table(_)), _) => self.landlock.paths.at(),
            (_, Sight::Host(why) | Sight::Ungranted(why)) => why,
            _ => return,
        };
        if handled != Rights(0) && self.abi < ABI::V3 as u32 {
            let why = format!("they need Landlock's ABI 3 (Linux 6.2), and this kernel has {}", self.abi);
            // In the host's tree every file of the user's could be emptied: only its own word skips that.
            match sight {
                Sight::Host(_) | Sight::Ungranted(_) if !self.optional.items.iter().any(|name| name.value == "landlock.truncate") => {
                    self.refuse_lacking("landlock.truncate", at, "rules for truncate(2)", &why);
                }
                _ => self.lacks("landlock.truncate", at, "rules for truncate(2) are", &why),
            }
        }
    }

    /// The rules for ports; gives the uses that are ruled over.
    fn ports(&mut self) -> u64 {
        let Landlock { tcp_bind, tcp_connect, udp_bind, udp_connect, .. } = self.landlock;
        let table = [
            (AccessNet::BindTcp, tcp_bind, "landlock.tcp", "rules for TCP ports are", ABI::V4),
            (AccessNet::ConnectTcp, tcp_connect, "landlock.tcp", "rules for TCP ports are", ABI::V4),
            (AccessNet::BindUdp, udp_bind, "landlock.udp", "rules for UDP ports are", ABI::V10),
            (AccessNet::ConnectSendUdp, udp_connect, "landlock.udp", "rules for UDP ports are", ABI::V10),
        ];
        let mut handled = 0;
        for (access, set, wall, what, since) in table {
            let Some(at) = set.said() else { continue };
            if self.abi < since as u32 {
                self.lacks(wall, at, what, &format!("they need Landlock's ABI {}, and this kernel has {}", since as u32, self.abi));
                continue;
            }
            handled |= access as u64;
            for port in &set.items {
                self.draft.step(Stage::Rules, Op::LandlockPort { access: access as u64, port: port.0 }, port.at);
            }
        }
        handled
    }

    fn scope(&mut self) -> u64 {
        let scope = &self.landlock.scope;
        let wanted = scope.items.iter().fold(0, |bits, scope| bits | scope.bit());
        match scope.said() {
            None => {
                let known: BitFlags<Bits> = Bits::from_all(abi(self.abi));
                known.bits()
            }
            Some(at) if wanted != 0 && self.abi < SCOPE_ABI => {
                self.lacks("landlock.scope", at, "`scope` is", &format!("it needs Landlock's ABI {SCOPE_ABI}, and this kernel has {}", self.abi));
                0
            }
            Some(_) => wanted,
        }
    }

    fn check_audit(&mut self) {
        if let Some(audit) = self.landlock.audit.get().filter(|audit| audit.value && self.abi < AUDIT_ABI) {
            let at = audit.at;
            self.lacks("landlock.audit", at, "`audit` is", &format!("it needs Landlock's ABI {AUDIT_ABI}, and this kernel has {}", self.abi));
        }
    }
}

/// A rule stands on a file that is there: on none it could not be made, and what appeared there later would be without it.
fn refuse_path(path: &AbsolutePath, errno: i32, at: Span) -> Problem {
    Problem::new("landlock::path", at, format!("cannot rule over {path}: {}", errno_words(errno)))
        .help("name what the tree shows, or leave it out: a path that no rule names is denied")
}

/// Rules add up from a path to the root, so a part of a grant cannot have less.
fn refuse_narrower(path: &AbsolutePath, at: Span, over: &AbsolutePath, wider: Span) -> Problem {
    Problem::new("landlock::narrower", at, format!("cannot grant less at {path} below {over}: a rule of Landlock takes nothing back"))
        .also(wider, "this grants more")
        .help("grant the folders beside it one by one, or leave this out")
}

/// listen(2) on a socket that is not bound takes a free port (ip(7), "ephemeral"), and Landlock has no hook there; of a socket the filter
/// sees its number alone.
pub fn note_listening(landlock: &Landlock, draft: &mut Draft) {
    if let Some(at) = landlock.tcp_bind.said() {
        draft.note(at, "`tcp-bind` does not keep from listening: a TCP socket that listens without bind(2) gets a free port of the host");
    }
}

/// What a use of ports is called.
pub fn port_words(access: u64) -> &'static str {
    const USES: [(AccessNet, &str); 4] = [
        (AccessNet::BindTcp, "bind TCP"),
        (AccessNet::ConnectTcp, "connect to TCP"),
        (AccessNet::BindUdp, "bind UDP"),
        (AccessNet::ConnectSendUdp, "send to UDP"),
    ];
    USES.iter().find(|(bit, _)| *bit as u64 == access).map_or("use", |(_, words)| *words)
}

/// What is denied of processes outside, by the kernel's bit.
pub fn scope_words(bit: u64) -> &'static str {
    [(Scope::Signal, "signals to processes"), (Scope::AbstractUnixSocket, "abstract unix sockets")]
        .into_iter()
        .find(|(scope, _)| scope.bit() == bit)
        .map_or("an unknown scope", |(_, words)| words)
}

fn abi(number: u32) -> ABI {
    ABI::from(i32::try_from(number).unwrap_or(i32::MAX))
}

/// The ruleset of a process that does nothing with files, ports and sockets of others but what a rule allows: all that a kernel
/// rules over, but for signals.
pub fn strictest(number: u32) -> Ruleset {
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
