//! Whether the target may do a thing, which walls say so, and by which line. It asks the model and
//! the host's facts; it tries nothing.
//!
//! What it does not know: security modules, immutable files, routes and packet filters, binary
//! formats of binfmt_misc.

use crate::host::FileKind;
use crate::inspect::walls::facts::Eyes;
use crate::inspect::walls::path::{Need, Thing, Walk, Walker};
use crate::inspect::walls::query::{Act, Port, Protocol, Query, Reason, Says, Wall};
use crate::inspect::walls::{Entry, World};
use crate::kernel::attrs::Attrs;
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::{Rights, port_words};
use crate::kernel::{asks, syscalls};
use crate::policy::namespaces::Namespace;
use crate::policy::seccomp::{Source, Verdict};
use crate::probe::elf::{Elf, Program};
use crate::probe::script::Script;
use crate::profile::Profile;
use crate::step::Content;
use crate::text::source::Span;
use crate::tree::{Ground, Own};
use landlock::{AccessFs, AccessNet};
use std::net::IpAddr;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What all walls together say.
    pub verdict: Says,
    /// What each says, as far as it has a say.
    pub reasons: Vec<Reason>,
}

impl Answer {
    fn new(reasons: Vec<Reason>) -> Answer {
        // One wall that stops it is enough; one that is not known leaves it open.
        Answer {
            verdict: reasons.iter().map(|reason| reason.says).max().unwrap_or(Says::CannotTell),
            reasons,
        }
    }
}

impl Answer {
    /// The first reason that says this.
    pub(crate) fn reason(&self, says: Says) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.says == says)
    }

    /// Whether another is known, and is not the same.
    pub(crate) fn is_changed_by(&self, after: &Answer) -> bool {
        after.verdict != Says::CannotTell && after.verdict != self.verdict
    }

    /// Why the kernel denies a call that the filter permits, where no line of a profile makes it do
    /// that.
    pub(crate) fn behind_an_open_filter(&self, query: &Query) -> Option<String> {
        let Query::Call { number, .. } = query else { return None };
        // Of a limit, or of a power over the sandbox's own, a line may be found that goes with the
        // profile once another is out of it.
        asks::of(syscalls::name(*number)?).filter(|ask| ask.over == asks::Over::Host)?;
        let open = self
            .reasons
            .iter()
            .any(|reason| reason.wall == Wall::Seccomp && reason.says == Says::Allows);
        self.reason(Says::Denies).filter(|_| open).map(|reason| reason.words.clone())
    }
}

pub(crate) fn answer(query: &Query, profile: &Profile, world: &World<'_>, eyes: &Eyes) -> Answer {
    let asked = Asked { profile, world, walker: Walker::new(world, eyes), eyes };
    Answer::new(match query {
        Query::Path(act, path) => asked.path(*act, path).unwrap_or_else(|reason| vec![reason]),
        Query::Call { number, arguments } => asked.call(*number, arguments.as_ref()),
        Query::Connect(peer) => asked.connect(peer),
        Query::Bind(port) => asked.bind(port),
        Query::Capability(capability) => vec![asked.capability(*capability)],
        Query::Variable(name) => vec![asked.variable(name)],
    })
}

pub(super) struct Asked<'a> {
    pub(super) profile: &'a Profile,
    pub(super) world: &'a World<'a>,
    walker: Walker<'a>,
    pub(super) eyes: &'a Eyes,
}

/// How many programs may run one another: the kernel stops at five (execve(2)).
const MOST_INTERPRETERS: usize = 5;

const READ_FILE: Rights = Rights(AccessFs::ReadFile as u64);
const WRITE_FILE: Rights = Rights(AccessFs::WriteFile as u64);
const MAKE_FILE: Rights = Rights(AccessFs::MakeReg as u64);

impl Asked<'_> {
    // ---- paths ----

    fn path(&self, act: Act, path: &str) -> Result<Vec<Reason>, Reason> {
        let walk = self.walker.walk(path)?;
        let Some(thing) = walk.way.last() else { return Ok(vec![]) };
        if !walk.missing.is_empty() {
            return if act == Act::Write {
                self.make(&walk, thing)
            } else {
                Ok(vec![self.absent(path, &walk, thing)])
            };
        }
        let mut reasons = match (act, &thing.kind) {
            (Act::Write, FileKind::Folder) => return self.make(&walk, thing),
            (Act::Read | Act::List, FileKind::Folder) => {
                self.judge(&walk, thing, Need::Read, Rights::LIST)
            }
            (Act::List, kind) => {
                vec![wrong(thing, format!("it is {}, not a directory", kind.word()))]
            }
            (Act::Read, FileKind::Socket) => {
                vec![wrong(thing, format!("it is a socket: ask connect:{path}"))]
            }
            (Act::Read, _) => self.judge(&walk, thing, Need::Read, READ_FILE),
            (Act::Write, FileKind::Socket) | (Act::Connect, FileKind::Socket) => {
                self.judge(&walk, thing, Need::Write, Rights::CONNECT)
            }
            (Act::Connect, kind) => {
                vec![wrong(thing, format!("it is {}, not a socket", kind.word()))]
            }
            (Act::Write, _) => self.judge(&walk, thing, Need::Write, WRITE_FILE),
            (Act::Execute, FileKind::Regular) => {
                self.judge(&walk, thing, Need::Search, Rights::EXECUTE.and(READ_FILE))
            }
            (Act::Execute, kind) => {
                vec![wrong(thing, format!("it is {}, not a program", kind.word()))]
            }
        };
        if act == Act::Execute && reasons.iter().all(|reason| reason.says == Says::Allows) {
            reasons.push(self.runs(thing, MOST_INTERPRETERS));
            let given = thing.host.as_deref().and_then(|host| (self.eyes.given)(host, thing.mode));
            let useless = |given| {
                Reason::new(
                    Wall::File,
                    Says::Allows,
                    format!("without {given}, which it has outside (no_new_privs)"),
                    thing.at,
                )
            };
            reasons.extend(given.map(useless));
        }
        Ok(reasons)
    }

    /// A file is to be made in a directory that is there; open(2) makes none between.
    fn make(&self, walk: &Walk, folder: &Thing) -> Result<Vec<Reason>, Reason> {
        let over = self.world.tree.get(&folder.over);
        if folder.over == "/proc" || over.is_some_and(|entry| entry.ground.nature().fixed) {
            return Ok(vec![wrong(folder, format!("nothing can be made in {}", folder.path))]);
        }
        let mut reasons = self.judge(walk, folder, Need::Make, MAKE_FILE.and(WRITE_FILE));
        if let [between, _, ..] = walk.missing.as_slice() {
            let parent = format!("{}/{between}", folder.path.trim_end_matches('/'));
            reasons.push(Reason::new(
                Wall::File,
                Says::Denies,
                format!("there is no directory {parent}: ask write:{parent}"),
                folder.at,
            ));
        }
        Ok(reasons)
    }

    fn absent(&self, path: &str, walk: &Walk, folder: &Thing) -> Reason {
        let from = walk.links.last().map_or(String::new(), |(link, text)| {
            format!(", where the link {link} leads ({text})")
        });
        let missing = format!("{}/{}", folder.path.trim_end_matches('/'), walk.missing.join("/"));
        let what = if missing == path { path.to_owned() } else { missing };
        match (&folder.host, self.world.tree.get(&folder.over)) {
            (Some(host), _) => Reason::new(
                Wall::File,
                Says::Denies,
                format!("the host's {host} has no {}{from}", walk.missing.join("/")),
                folder.at,
            ),
            (None, Some(entry)) => {
                let words =
                    format!("nothing is at {what}{from}: {} is {}", folder.over, words(entry));
                Reason::new(Wall::Mounts, Says::Denies, words, folder.at)
            }
            (None, None) => Reason::new(
                Wall::Mounts,
                Says::Denies,
                format!("nothing is at {what}{from}"),
                folder.at,
            ),
        }
    }

    /// What each wall says of something that is there.
    fn judge(&self, walk: &Walk, thing: &Thing, need: Need, rights: Rights) -> Vec<Reason> {
        let mut reasons = vec![self.mounts(walk, thing, need)];
        if thing.hidden {
            return reasons;
        }
        reasons.push(self.walker.refuses(thing, need).unwrap_or_else(|| {
            let words = format!("mode {:04o} of {} lets the target's ids", thing.mode, thing.path);
            Reason::new(Wall::Permissions, Says::Allows, words, Span::NOWHERE)
        }));
        reasons.extend(self.landlock(walk, thing, rights));
        reasons
    }

    fn mounts(&self, walk: &Walk, thing: &Thing, need: Need) -> Reason {
        let entry = self.world.tree.get(&thing.over);
        let shows =
            entry.map_or(String::new(), |entry| format!("{} is {}", thing.over, words(entry)));
        let from = walk
            .links
            .iter()
            .map(|(link, text)| format!("; {link} is a link to {text}"))
            .collect::<String>();
        let deny = |why: &str, at: Span| {
            Reason::new(Wall::Mounts, Says::Denies, format!("{shows}{why}{from}"), at)
        };
        // The nearest mount may say more than what shows the file: a part of /proc that is
        // read-only.
        let mount = self.world.mount(&thing.path);
        let at = mount.map_or(thing.at, |(_, mount)| mount.at);
        let special = !matches!(thing.kind, FileKind::Regular | FileKind::Folder);
        let by_host = |attr: Attrs| {
            if mount.is_some_and(|(_, mount)| mount.attrs.has(attr)) { "" } else { " on the host" }
        };
        match need {
            _ if thing.hidden => deny("", at),
            Need::Write | Need::Make if thing.attrs.has(Attrs::READ_ONLY) && !special => {
                let why = match mount {
                    Some((path, _)) if path != thing.over => format!("; {path} is read-only"),
                    _ if by_host(Attrs::READ_ONLY).is_empty() => "".into(),
                    _ => "; its file system is read-only on the host".into(),
                };
                deny(&why, at)
            }
            Need::Search if thing.attrs.has(Attrs::NO_EXEC) => {
                deny(&format!("; it is mounted noexec{}", by_host(Attrs::NO_EXEC)), at)
            }
            Need::Read | Need::Write
                if thing.kind == FileKind::Device && thing.attrs.has(Attrs::NO_DEV) =>
            {
                deny(&format!("; it is mounted nodev{}", by_host(Attrs::NO_DEV)), at)
            }
            Need::Read | Need::Write | Need::Search | Need::Make => {
                Reason::new(Wall::Mounts, Says::Allows, format!("{shows}{from}"), thing.at)
            }
        }
    }

    fn landlock(&self, walk: &Walk, thing: &Thing, needed: Rights) -> Option<Reason> {
        let ruleset = self.world.plan.landlock?;
        let needed = needed.within(ruleset.handled);
        if needed == Rights(0) {
            return None;
        }
        let (granted, at) = self.walker.rights(&walk.way);
        let lacking = Rights(needed.0 & !granted.0);
        Some(if lacking == Rights(0) {
            Reason::new(
                Wall::Landlock,
                Says::Allows,
                format!("its rules allow {} at {}", granted.within(ruleset.handled), thing.path),
                at,
            )
        } else {
            Reason::new(
                Wall::Landlock,
                Says::Denies,
                format!("no rule allows to {lacking} at {}", thing.path),
                at,
            )
        })
    }

    /// Whether the kernel finds what runs the program, and may run that.
    fn runs(&self, thing: &Thing, left: usize) -> Reason {
        let reason = |says, words: String| Reason::new(Wall::File, says, words, thing.at);
        let text = self.world.tree.get(&thing.over).and_then(|entry| entry.ground.text());
        let program = match (&thing.host, text) {
            (Some(host), _) => match (self.eyes.program)(host) {
                Ok(program) => program,
                // Who may not read it may run it.
                Err(_) => {
                    return reason(
                        Says::CannotTell,
                        format!("{host} cannot be read here, so what runs it is not known"),
                    );
                }
            },
            (None, Some(text)) => Script::read(text).map_or(Program::Other, Program::Script),
            (None, None) => {
                return reason(
                    Says::CannotTell,
                    format!("what {} holds is not known before the run", thing.path),
                );
            }
        };
        let (through, is_script) = match program {
            Program::Elf(elf) if !elf.machine.runs_here() => {
                return reason(
                    Says::Denies,
                    format!("{} is for {}", thing.path, elf.machine.word()),
                );
            }
            Program::Elf(Elf { interpreter: None, .. }) => {
                return reason(Says::Allows, format!("{} is machine code", thing.path));
            }
            Program::Elf(Elf { interpreter: Some(loader), .. }) => (loader, false),
            Program::Script(script) => (script.interpreter, true),
            Program::Other => {
                return reason(
                    Says::Denies,
                    format!("{} is neither machine code nor a script", thing.path),
                );
            }
        };
        let denied = |why: String| {
            reason(
                Says::Denies,
                format!("{} is run by {through}, which cannot run: {why}", thing.path),
            )
        };
        let Some(left) = left.checked_sub(1) else {
            return denied("too many programs run one another".into());
        };
        if !through.starts_with('/') {
            return reason(
                Says::CannotTell,
                format!(
                    "{} is run by {through}, whose place depends on the working directory",
                    thing.path
                ),
            );
        }
        match self
            .interpreter(&through, is_script.then_some(left))
            .into_iter()
            .max_by_key(|reason| reason.says)
        {
            Some(Reason { says: Says::Denies, words, .. }) => denied(words),
            Some(Reason { says: Says::CannotTell, words, .. }) => reason(Says::CannotTell, words),
            _ => reason(Says::Allows, format!("{} is run by {through}", thing.path)),
        }
    }

    /// What each wall says of an interpreter; that of a script may have one of its own.
    fn interpreter(&self, path: &str, left: Option<usize>) -> Vec<Reason> {
        let walk = match self.walker.walk(path) {
            Ok(walk) => walk,
            Err(reason) => return vec![reason],
        };
        let Some(last) = walk.way.last() else { return vec![] };
        if !walk.missing.is_empty() || last.kind != FileKind::Regular {
            return vec![self.absent(path, &walk, last)];
        }
        let mut reasons = self.judge(&walk, last, Need::Search, Rights::EXECUTE.and(READ_FILE));
        if let (true, Some(left)) = (reasons.iter().all(|reason| reason.says == Says::Allows), left)
        {
            reasons.push(self.runs(last, left));
        }
        reasons
    }

    // ---- calls ----

    fn call(&self, number: u32, arguments: Option<&[u64; 6]>) -> Vec<Reason> {
        let filter = &self.world.plan.filter;
        let name = syscalls::name(number).unwrap_or_default();
        let nested = self.profile.namespaces.nested.get().filter(|nested| nested.value.opens(name));
        // A rule decides about what meets its conditions; the rest may be the policy's.
        let left = |arguments| {
            self.profile.seccomp.rules.get(name).is_some_and(|rule| {
                rule.value.leaves_the_rest() && !rule.value.is_met(name, arguments)
            })
        };
        let because = filter
            .native
            .because(number)
            .filter(|(source, _)| *source != Source::Rules || !arguments.is_some_and(left));
        let nested_at = nested.map_or(Span::NOWHERE, |nested| nested.at);
        let at = because.map_or(nested_at, |(_, at)| at);
        let topic = syscalls::ALLOWED
            .iter()
            .find(|(_, calls)| calls.contains(&name))
            .map(|(topic, _)| *topic);
        let rule = filter.rule(number);
        let says = |verdict: Verdict| if verdict.permits() { Says::Allows } else { Says::Denies };
        let policy = match because {
            Some((source, _)) => format!("`{source}` of [seccomp]"),
            None if nested_at.is_somewhere() => "the policy for nested sandboxes".to_owned(),
            None => self.profile.seccomp.policy_in_words().to_owned(),
        };
        let topic = topic.filter(|_| because.is_none());
        let (says, words) = match (rule, arguments) {
            (Some(rule), None) if !rule.cases.is_empty() => {
                let any = rule.otherwise.permits()
                    || rule.cases.iter().any(|case| case.verdict.permits());
                let says = if any { Says::Allows } else { Says::Denies };
                (says, format!("{policy} looks at its arguments: {rule}"))
            }
            (rule, arguments) => {
                let verdict = filter.judge(number, arguments.unwrap_or(&[0; 6]));
                let of = topic
                    .filter(|_| rule.is_some_and(|rule| rule.cases.is_empty()))
                    .map_or(String::new(), |topic| format!(" ({topic})"));
                let with = if arguments.is_some() && rule.is_some_and(|rule| !rule.cases.is_empty())
                {
                    " with these arguments"
                } else {
                    ""
                };
                match verdict {
                    Verdict::Allow => (says(verdict), format!("{policy} allows it{with}{of}")),
                    Verdict::Log => (
                        says(verdict),
                        format!("{policy} allows it{with}{of}, and the kernel logs it"),
                    ),
                    Verdict::Errno(0) => (
                        says(verdict),
                        format!("{policy} does nothing and answers 0{with}, as if it were done"),
                    ),
                    Verdict::Trace
                    | Verdict::Notify
                    | Verdict::Errno(_)
                    | Verdict::Trap
                    | Verdict::KillThread
                    | Verdict::KillProcess => {
                        (says(verdict), format!("{policy} answers {verdict}{with}"))
                    }
                }
            }
        };
        let mut reasons = vec![Reason::new(Wall::Seccomp, says, words, at)];
        if says == Says::Allows {
            reasons.extend(self.behind_the_filter(name, arguments, at));
        }
        reasons
    }

    // ---- the network ----

    fn connect(&self, peer: &Port) -> Vec<Reason> {
        let (network, at) = self.world.network();
        let mut reasons = vec![self.may_call("connect", peer)];
        reasons.push(match network {
            Namespace::New if peer.is_loopback() => Reason::new(
                Wall::Network,
                Says::Allows,
                "it is the sandbox's own loopback, where the target alone listens",
                at,
            ),
            Namespace::New => Reason::new(
                Wall::Network,
                Says::Denies,
                "the sandbox has a network of its own, with loopback alone",
                at,
            ),
            Namespace::Host => Reason::new(
                Wall::Network,
                Says::Allows,
                "the network is the host's; its routes and filters apply",
                at,
            ),
            Namespace::Join(path) => Reason::new(
                Wall::Network,
                Says::Allows,
                format!("the network is that of {}; its routes apply", path.0),
                at,
            ),
        });
        let access = if peer.protocol == Protocol::Tcp {
            AccessNet::ConnectTcp
        } else {
            AccessNet::ConnectSendUdp
        };
        reasons.extend(self.ruled_port(access, peer.port));
        reasons
    }

    fn bind(&self, port: &Port) -> Vec<Reason> {
        let (network, at) = self.world.network();
        let host = &port.host;
        let mut reasons = vec![self.may_call("bind", port)];
        let own = port.is_loopback();
        reasons.push(match network {
            Namespace::New if own => Reason::new(
                Wall::Network,
                Says::Allows,
                "the network is the sandbox's own: nobody outside reaches it",
                at,
            ),
            Namespace::New => Reason::new(
                Wall::Network,
                Says::Denies,
                format!("the sandbox's own network has no address {host}"),
                at,
            ),
            Namespace::Host if own => Reason::new(
                Wall::Network,
                Says::Allows,
                "the network is the host's: whoever reaches the host reaches it",
                at,
            ),
            Namespace::Host => Reason::new(
                Wall::Network,
                Says::Allows,
                format!("the network is the host's, as far as {host} is its address"),
                at,
            ),
            Namespace::Join(path) => Reason::new(
                Wall::Network,
                Says::Allows,
                format!("the network is that of {}", path.0),
                at,
            ),
        });
        let access =
            if port.protocol == Protocol::Tcp { AccessNet::BindTcp } else { AccessNet::BindUdp };
        reasons.extend(self.ruled_port(access, port.port));
        reasons.extend(self.low_port(network, port.port));
        reasons
    }

    /// Landlock's rules for ports, where there are any.
    fn ruled_port(&self, access: AccessNet, port: u16) -> Option<Reason> {
        let (allowed, at) = self.world.port(access as u64, port)?;
        let to = port_words(access as u64);
        Some(if allowed {
            Reason::new(
                Wall::Landlock,
                Says::Allows,
                format!("a rule allows to {to} port {port}"),
                at,
            )
        } else {
            Reason::new(
                Wall::Landlock,
                Says::Denies,
                format!("no rule allows to {to} port {port}"),
                self.ports_at(access),
            )
        })
    }

    fn ports_at(&self, access: AccessNet) -> Span {
        let landlock = &self.profile.landlock;
        let set = match access {
            AccessNet::BindTcp => &landlock.tcp_bind,
            AccessNet::ConnectTcp => &landlock.tcp_connect,
            AccessNet::BindUdp => &landlock.udp_bind,
            // The library's enumeration may grow; these four are all that a port is asked about.
            AccessNet::ConnectSendUdp | _ => &landlock.udp_connect,
        };
        set.said().unwrap_or_default()
    }

    /// Ports below `net.ipv4.ip_unprivileged_port_start` want CAP_NET_BIND_SERVICE over the network
    /// (ip(7)); a new network begins with 1024.
    fn low_port(&self, network: &Namespace, port: u16) -> Option<Reason> {
        const NET_BIND_SERVICE: u8 = 10;
        let first = if *network == Namespace::New { 1024 } else { self.eyes.first_free_port };
        if port == 0 || u32::from(port) >= first {
            return None;
        }
        let has = self.world.capabilities().has(NET_BIND_SERVICE);
        let over = *network == Namespace::New || self.world.is_host_user();
        let reason = |says, words: String| {
            Some(Reason::new(
                Wall::Capabilities,
                says,
                words,
                self.capability_at(Capability(NET_BIND_SERVICE)),
            ))
        };
        if has && over {
            return reason(Says::Allows, "the target has net-bind-service".into());
        }
        match network {
            Namespace::Join(_) => reason(
                Says::CannotTell,
                format!("whether port {port} is free for all there is not known"),
            ),
            Namespace::New | Namespace::Host if has => reason(
                Says::Denies,
                format!(
                    "port {port} wants net-bind-service over the host's network, not over the \
                     sandbox's"
                ),
            ),
            Namespace::New | Namespace::Host => {
                reason(Says::Denies, format!("ports below {first} want net-bind-service"))
            }
        }
    }

    /// socket(2), and what is done with it.
    fn may_call(&self, name: &str, port: &Port) -> Reason {
        let six = port.host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let family = if six { libc::AF_INET6 } else { libc::AF_INET };
        let kind =
            if port.protocol == Protocol::Tcp { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
        let judge = |name, arguments: [u64; 6]| {
            let verdict = syscalls::number(name).map_or(Verdict::KillProcess, |number| {
                self.world.plan.filter.judge(number, &arguments)
            });
            (name, verdict)
        };
        let calls =
            [judge("socket", [family as u64, kind as u64, 0, 0, 0, 0]), judge(name, [0; 6])];
        match calls.iter().find(|(_, verdict)| !verdict.permits()) {
            Some((name, verdict)) => Reason::new(
                Wall::Seccomp,
                Says::Denies,
                format!("the filter answers {name} with {verdict}"),
                Span::NOWHERE,
            ),
            None => Reason::new(
                Wall::Seccomp,
                Says::Allows,
                format!("the filter allows socket and {name}"),
                Span::NOWHERE,
            ),
        }
    }

    // ---- capabilities and environment ----

    pub(super) fn capability_at(&self, capability: Capability) -> Span {
        let sets = &self.profile.capabilities;
        let mut items = sets.ambient.items.iter().chain(&sets.keep.items);
        items.find(|item| item.value == capability).map_or(Span::NOWHERE, |item| item.at)
    }

    fn capability(&self, capability: Capability) -> Reason {
        let at = self.capability_at(capability);
        let sets = self.world.capabilities();
        let reason = |says, words: String| Reason::new(Wall::Capabilities, says, words, at);
        if sets.has(capability.0) {
            let over = match self.world.plan.choice.of(Kind::User) {
                Namespace::New => {
                    "over what the sandbox's own user namespace owns, and nothing of the host's"
                }
                Namespace::Host => "over the host",
                Namespace::Join(_) => "over what the joined user namespace owns",
            };
            return reason(Says::Allows, format!("the target has {capability}, {over}"));
        }
        if sets.kept.0 & capability.bit() != 0 {
            let words = format!(
                "{capability} is kept, and a target that is not root inside loses it when it is \
                 executed; `ambient` keeps it then"
            );
            return reason(Says::Denies, words);
        }
        reason(
            Says::Denies,
            format!("{capability} leaves every set, and nothing inside can give it back"),
        )
    }

    fn variable(&self, name: &str) -> Reason {
        let entry = self.profile.env.map.get(name);
        let at = entry.map_or(Span::NOWHERE, |entry| {
            entry.value.as_ref().map_or(entry.key, |value| value.at)
        });
        let Some(setting) =
            self.world.plan.exec.env.iter().find(|setting| setting.name.text() == name)
        else {
            let why = match entry.map(|entry| entry.value.is_some()) {
                Some(true) => "the caller has none, so none is passed",
                Some(false) => "it is withdrawn",
                None => "the profile does not name it, and the environment starts empty",
            };
            return Reason::new(Wall::Environment, Says::Denies, why, at);
        };
        let words = match &setting.value {
            // Its text may hold a variable of the caller's.
            Content::Text(_) => "it is set".into(),
            Content::Secret(_) | Content::Withheld => "it is the caller's, and passed".into(),
            Content::Fd(fd) => format!("it is read from descriptor {fd}"),
            Content::File(path) => format!("it is read from {path}"),
        };
        Reason::new(Wall::Environment, Says::Allows, words, at)
    }
}

fn wrong(thing: &Thing, words: String) -> Reason {
    Reason::new(Wall::File, Says::Denies, format!("{}: {words}", thing.path), thing.at)
}

/// What an entry is, in words.
pub(crate) fn words(entry: &Entry) -> String {
    let access = if entry.attrs.has(Attrs::READ_ONLY) { "read-only" } else { "writable" };
    match &entry.ground {
        Ground::Own(Own::Root) => "the sandbox's own empty root, read-only".into(),
        Ground::Own(Own::Memory { size, .. }) => format!("in memory, {size}, {access}"),
        Ground::Host(stack) if stack.topmost().path == "/" => format!("the host's tree, {access}"),
        Ground::Host(stack) => format!("the host's {}, {access}", stack.topmost().path),
        Ground::Kernel(kernel) => kernel.facts().words.into(),
        Ground::Own(Own::Folder | Own::Devices(_)) => {
            format!("a directory of stockade's, {access}")
        }
        Ground::Own(Own::Link(text)) => format!("a link to {text}"),
        Ground::Own(Own::File(_)) => format!("a file of the profile's, {access}"),
        Ground::Own(Own::Hidden(_)) => "hidden behind an empty cover".into(),
        Ground::Same => access.into(),
    }
}
