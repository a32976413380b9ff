//! Which one line of TOML could change an answer: candidates, the narrowest first. Nothing here
//! knows whether a line does it; the caller lays each over the profile, and takes the first that
//! changes the answer.

mod paths;

use crate::inspect::access::World;
use crate::inspect::access::facts::HostFs;
use crate::inspect::access::path::Walker;
use crate::inspect::access::query::{Decision, Port, Protocol, Query};
use crate::inspect::access::why::Answer;
use crate::kernel::asks::{self, Over as Power};
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::kernel::syscalls;
use crate::language::read::Read;
use crate::language::section::{Entries, EntryType, Key, Set, spell_removed};
use crate::language::spelled::{self, Toml};
use crate::language::value::Written;
use crate::policy::env::Variable;
use crate::policy::landlock::Port as PortRule;
use crate::policy::namespaces::{Namespace, Nested};
use crate::policy::network::Mode;
use crate::policy::rlimits::{Rlimit, Value};
use crate::policy::seccomp::{Calls, Spec, Verdict};
use crate::profile::Profile;
use crate::text::source::Span;

/// One line for a section, or two that go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The section, without brackets.
    pub section: &'static str,
    /// The name of the key in it.
    pub key: String,
    /// What it does to the key.
    pub edit: Edit,
    /// The line below the section.
    pub text: String,
    /// What the profile says there already.
    pub over: Over,
    /// The one that has to go with it: what the filter lets through, the kernel may ask a
    /// capability for.
    pub also: Option<Box<Line>>,
}

/// What a line does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    /// It gives it a value.
    Sets,
    /// It says `false`.
    Clears,
    /// It adds this item to a list.
    Adds(Toml),
    /// It takes this item out of a list.
    Removes(Toml),
}

/// How a line goes with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The key is not set yet.
    Nothing,
    /// It takes the place of this.
    Replaces(Span),
    /// It joins a list, or takes something out of it.
    Joins(Span),
}

impl Line {
    /// A key has this value.
    fn set<T: Read>(section: &'static str, key: &str, now: &Key<T>, value: T) -> Line {
        let over = now.get().map_or(Over::Nothing, |now| Over::Replaces(now.at));
        Line::valued(section, key.to_owned(), value.spell(), over)
    }

    /// The entry of a name is this, or `false`.
    fn entry<T: Read + EntryType>(
        section: &'static str,
        name: &str,
        now: &Entries<T, T::Keys>,
        value: Option<T>,
    ) -> Line {
        // In the place of a line that a stronger one changes it would be changed as well.
        let over = now.map.get(name).map_or(Over::Nothing, |entry| {
            Over::Replaces(entry.amended.last().copied().unwrap_or(entry.key))
        });
        let value = value.map_or(Toml::bare(false), |value| value.spell());
        Line::valued(section, T::spell_name(name), value, over)
    }

    fn valued(section: &'static str, key: String, value: Toml, over: Over) -> Line {
        let edit = if value == Toml::bare(false) { Edit::Clears } else { Edit::Sets };
        Line::new(section, key, edit, value, over)
    }

    /// A list has one item more.
    fn add<T>(section: &'static str, key: &str, now: &Set<T>, item: &T) -> Line
    where
        T: Read + PartialEq,
    {
        let edit = Edit::Adds(item.spell());
        Line::new(section, key.to_owned(), edit, Toml::List(vec![item.spell()]), joins(now, item))
    }

    /// A list has one item less.
    fn remove<T>(section: &'static str, key: &str, now: &Set<T>, item: &T) -> Line
    where
        T: Read + ToString + PartialEq,
    {
        let (edit, gone) = (Edit::Removes(item.spell()), spell_removed::<T>(&item.to_string()));
        Line::new(section, key.to_owned(), edit, Toml::List(vec![gone]), joins(now, item))
    }

    fn new(section: &'static str, key: String, edit: Edit, value: Toml, over: Over) -> Line {
        let text = format!("{} = {value}", spelled::name(&key));
        Line { section, key, edit, text, over, also: None }
    }

    /// Itself, and the one that goes with it.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Line> {
        std::iter::once(self).chain(self.also.as_deref())
    }

    /// As `--config` takes it, without the one that goes with it.
    pub(crate) fn config(&self) -> String {
        format!("{}.{}", self.section, self.text)
    }

    /// Whether it is about a key.
    pub(crate) fn is(&self, section: &str, key: &str) -> bool {
        self.section == section && self.key == key
    }

    /// Whether it lists kinds of namespace that the target may make.
    pub(crate) fn is_nested(&self) -> bool {
        self.is("namespaces", "nested")
    }
}

/// The item where it is in the list, or the list.
fn joins<T: PartialEq>(now: &Set<T>, item: &T) -> Over {
    let own = now.items.iter().find(|own| own.value == *item).map(|own| own.at);
    own.or(now.said()).map_or(Over::Nothing, Over::Joins)
}

/// Lines that could change an answer.
pub(crate) fn candidates(
    query: &Query,
    answer: &Answer,
    profile: &Profile,
    world: &World<'_>,
    host_fs: &HostFs,
) -> Vec<Line> {
    let asked = Asked {
        profile,
        world,
        walker: Walker::new(world, host_fs),
        host_fs,
        denied: answer.verdict == Decision::Denies,
    };
    let mut lines = match query {
        Query::Path(act, path) => asked.path(*act, path, answer),
        Query::Call { number, arguments } => asked.call(*number, arguments.as_ref()),
        Query::Connect(port) => asked.connect(port),
        Query::Bind(port) => asked.bind(port),
        Query::Capability(capability) => asked.capability(*capability),
        Query::Variable(name) => asked.variable(name),
    };
    let mut seen = vec![];
    lines.retain(|line| {
        !seen.contains(&(line.text.clone(), line.also.is_some())) && {
            seen.push((line.text.clone(), line.also.is_some()));
            true
        }
    });
    lines
}

/// The same act by a program that makes a user namespace first, in which it has every capability:
/// for what no line permits as it is. The line that this takes is among the candidates.
pub(crate) fn inside_its_own(query: &Query) -> Option<Query> {
    let Query::Call { number, arguments: Some(arguments) } = query else { return None };
    let name = syscalls::name(*number)?;
    let arguments = match name {
        "clone" | "unshare" => {
            let mut arguments = *arguments;
            arguments[0] |= Kind::User.flag();
            Some(arguments)
        }
        _ => None,
    };
    Some(Query::Call { number: *number, arguments })
}

struct Asked<'a> {
    profile: &'a Profile,
    world: &'a World<'a>,
    walker: Walker<'a>,
    host_fs: &'a HostFs,
    denied: bool,
}

impl Asked<'_> {
    /// The kinds of namespace without which a call is refused, besides those that are listed.
    fn nested_for(&self, name: &str, arguments: Option<&[u64; 6]>) -> Option<Nested> {
        let nested = self.profile.namespaces.made_inside();
        let flags = match (name, arguments) {
            ("clone" | "unshare", Some([flags, ..])) => {
                super::behind::flags_of(name, *flags).flags()
            }
            ("setns", Some([_, flags, ..])) => *flags,
            ("clone" | "unshare" | "setns", None) => return None,
            _ => {
                let opens = |kind: &Kind| syscalls::opened_by(kind.word()).contains(&name);
                return Kind::ALL
                    .into_iter()
                    .find(opens)
                    .map(|kind| nested.and(Kind::User).and(kind));
            }
        };
        let asked = Kind::ALL.into_iter().filter(|kind| flags & kind.flag() != 0);
        let all = asked.fold(nested, Nested::and);
        (all != nested).then(|| all.and(Kind::User))
    }

    fn call(&self, number: u32, arguments: Option<&[u64; 6]>) -> Vec<Line> {
        let Some(name) = syscalls::name(number) else { return vec![] };
        let Profile { namespaces, seccomp, process, rlimits, .. } = self.profile;
        let call = Calls(name.to_owned());
        let nested = |value| Line::set("namespaces", "nested", &namespaces.nested, value);
        if !self.denied {
            return vec![Line::add("seccomp", "deny", &seccomp.deny, &call), nested(Nested::NONE)];
        }
        let denying = seccomp.deny.items.iter().filter(|calls| calls.members().contains(name));
        let mut lines: Vec<Line> = denying
            .map(|calls| Line::remove("seccomp", "deny", &seccomp.deny, &calls.value))
            .collect();
        let rule = |value| Line::entry("seccomp.rules", name, &seccomp.rules, value);
        let own = seccomp.rules.map.get(name);
        let is_ruled = || {
            seccomp.rules.iter().any(|(of, _)| Calls(of.value.to_owned()).members().contains(name))
        };
        // Without its conditions what the policy keeps closed stays so; the word opens all.
        if own.and_then(|own| own.value.as_ref()).is_some_and(|spec| !spec.value.cases.is_empty()) {
            lines.push(rule(None));
        }
        if own.is_some() || is_ruled() {
            lines.push(rule(Some(Spec::always(Verdict::Allow))));
        }
        let one = Value::Number(1);
        lines.extend([
            Line::add("seccomp", "allow", &seccomp.allow, &call),
            Line::entry("rlimits", "core", rlimits, Some(Rlimit { soft: one, hard: one })),
            Line::set("process", "init", &process.init, true),
            Line::set("namespaces", "pid", &namespaces.pid, Namespace::New),
            Line::set("namespaces", "ipc", &namespaces.ipc, Namespace::Host),
            Line::set("seccomp", "set-id", &seccomp.set_id, true),
        ]);
        let power = self.power(name);
        // A namespace opens no other call, and no rule is lifted for it. A capability grants less.
        let nested = self.nested_for(name, arguments).map(nested);
        match &power {
            None => lines.splice(0..0, nested).for_each(drop),
            Some(power) => {
                let opening = lines.iter().filter(|line| line.section.starts_with("seccomp"));
                let both = opening
                    .map(|line| Line { also: Some(Box::new(power.clone())), ..line.clone() })
                    .collect::<Vec<_>>();
                lines.insert(0, power.clone());
                lines.extend(both.into_iter().chain(nested));
            }
        }
        lines
    }

    /// The capability that the kernel asks for a call, where one of the target's can be it.
    fn power(&self, name: &str) -> Option<Line> {
        let ask =
            asks::of(name).filter(|ask| ask.over != Power::Host || self.world.is_host_user())?;
        let capability = Capability::from_text(ask.capability?).ok()?;
        self.capability(capability).into_iter().find(|line| line.key == "ambient")
    }

    fn connect(&self, port: &Port) -> Vec<Line> {
        let landlock = &self.profile.landlock;
        let set = if port.protocol == Protocol::Udp {
            ("udp-connect", &landlock.udp_connect)
        } else {
            ("tcp-connect", &landlock.tcp_connect)
        };
        self.port(set, port.port).into_iter().chain([self.network()]).collect()
    }

    fn bind(&self, port: &Port) -> Vec<Line> {
        let landlock = &self.profile.landlock;
        let set = if port.protocol == Protocol::Udp {
            ("udp-bind", &landlock.udp_bind)
        } else {
            ("tcp-bind", &landlock.tcp_bind)
        };
        let low = if port.port < 1024 { self.capability(Capability(10)) } else { vec![] };
        self.port(set, port.port).into_iter().chain(low).chain([self.network()]).collect()
    }

    fn network(&self) -> Line {
        let mode = if self.denied { Mode::Host } else { Mode::None };
        Line::set("network", "mode", &self.profile.network.mode, mode)
    }

    /// A rule of Landlock's for a port, one more or one less.
    fn port(&self, (key, set): (&str, &Set<PortRule>), port: u16) -> Option<Line> {
        set.said()?;
        let line = if self.denied { Line::add } else { Line::remove };
        Some(line("landlock", key, set, &PortRule(port)))
    }

    fn capability(&self, capability: Capability) -> Vec<Line> {
        let sets = &self.profile.capabilities;
        let line = |(key, set): (&str, &Set<Capability>)| {
            let own = set.items.iter().any(|item| item.value == capability);
            match (self.denied, own) {
                (true, _) => Some(Line::add("capabilities", key, set, &capability)),
                (false, true) => Some(Line::remove("capabilities", key, set, &capability)),
                (false, false) => None,
            }
        };
        [("keep", &sets.keep), ("ambient", &sets.ambient)].into_iter().filter_map(line).collect()
    }

    fn variable(&self, name: &str) -> Vec<Line> {
        let values = if self.denied {
            vec![
                Some(Variable::Pass { required: false, or: None }),
                Some(Variable::Text(String::new())),
            ]
        } else {
            vec![None]
        };
        let line = |value| Line::entry("env", name, &self.profile.env, value);
        values.into_iter().map(line).collect()
    }
}
