//! Which one line of TOML could change an answer: candidates, the narrowest first. Nothing here
//! knows whether a line does it; who asks lays each over the profile, and takes the first that
//! changes the answer.

mod paths;

use crate::inspect::walls::World;
use crate::inspect::walls::facts::Eyes;
use crate::inspect::walls::path::Walker;
use crate::inspect::walls::query::{Port, Protocol, Query, Says};
use crate::inspect::walls::why::Answer;
use crate::kernel::asks::{self, Over as Power};
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::kernel::syscalls;
use crate::language::section::Set;
use crate::language::value::{Written, literal};
use crate::policy::landlock::Port as PortRule;
use crate::policy::namespaces::Nested;
use crate::policy::seccomp::Calls;
use crate::profile::Profile;
use crate::text::source::Span;

/// One line for a section, or two that go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The section, without brackets.
    pub section: &'static str,
    /// The line below it.
    pub text: String,
    /// What the profile says there already.
    pub over: Over,
    /// The one that has to go with it: what the filter lets through, the kernel may ask a
    /// capability for.
    pub also: Option<Box<Line>>,
}

/// How a line goes with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nothing is said yet.
    Nothing,
    /// It takes the place of this.
    Replaces(Span),
    /// It joins a list, or takes something out of it.
    Joins(Span),
}

impl Line {
    fn new(section: &'static str, text: impl Into<String>, over: Over) -> Line {
        Line { section, text: text.into(), over, also: None }
    }

    /// Itself, and the one that goes with it.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Line> {
        std::iter::once(self).chain(self.also.as_deref())
    }

    /// As `--config` takes it, without the one that goes with it.
    pub(crate) fn config(&self) -> String {
        format!("{}.{}", self.section, self.text)
    }

    /// Whether it lists kinds of namespace that the target may make.
    pub(crate) fn is_nested(&self) -> bool {
        self.section == "namespaces" && self.text.starts_with("nested = ")
    }
}

/// Lines that could change an answer.
pub(crate) fn candidates(
    query: &Query,
    answer: &Answer,
    profile: &Profile,
    world: &World<'_>,
    eyes: &Eyes,
) -> Vec<Line> {
    let asked = Asked {
        profile,
        world,
        walker: Walker::new(world, eyes),
        eyes,
        denied: answer.verdict == Says::Denies,
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
    eyes: &'a Eyes,
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
        let namespaces = &self.profile.namespaces;
        let replaces =
            |at: Span| if at.is_somewhere() { Over::Replaces(at) } else { Over::Nothing };
        let nested = |value: Nested| {
            Line::new("namespaces", format!("nested = {value}"), replaces(namespaces.nested.at()))
        };
        let seccomp = &self.profile.seccomp;
        let joins =
            |set: &Set<Calls>| set.items.first().map_or(Over::Nothing, |item| Over::Joins(item.at));
        if !self.denied {
            return vec![
                Line::new("seccomp", format!("deny = [{}]", literal(name)), joins(&seccomp.deny)),
                nested(Nested::NONE),
            ];
        }
        let denying = seccomp.deny.items.iter().filter(|calls| calls.members().contains(name));
        let mut lines: Vec<Line> = denying
            .map(|calls| {
                Line::new(
                    "seccomp",
                    format!("deny = [\"!{}\"]", calls.value),
                    Over::Joins(calls.at),
                )
            })
            .collect();
        if let Some(rule) = seccomp.rules.map.get(name) {
            // Without its conditions what the policy keeps closed stays so; the word opens all.
            if rule.value.as_ref().is_some_and(|spec| !spec.value.cases.is_empty()) {
                lines.push(Line::new(
                    "seccomp.rules",
                    format!("{name} = false"),
                    Over::Replaces(rule.key),
                ));
            }
            lines.push(Line::new(
                "seccomp.rules",
                format!("{name} = \"allow\""),
                Over::Replaces(rule.key),
            ));
        } else if seccomp
            .rules
            .iter()
            .any(|(group, _)| Calls(group.value.to_owned()).members().contains(name))
        {
            lines.push(Line::new("seccomp.rules", format!("{name} = \"allow\""), Over::Nothing));
        }
        lines.extend([
            Line::new("seccomp", format!("allow = [{}]", literal(name)), joins(&seccomp.allow)),
            Line::new("rlimits", "core = 1", Over::Nothing),
            Line::new("process", "init = true", replaces(self.profile.process.init.at())),
            Line::new("namespaces", "pid = \"new\"", replaces(namespaces.pid.at())),
            Line::new("namespaces", "ipc = \"host\"", replaces(namespaces.ipc.at())),
            Line::new("seccomp", "set-id = true", replaces(seccomp.set_id.at())),
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
        self.capability(capability).into_iter().find(|line| line.text.starts_with("ambient"))
    }

    fn connect(&self, port: &Port) -> Vec<Line> {
        let host =
            if port.host.contains(':') { format!("[{}]", port.host) } else { port.host.clone() };
        let udp = port.protocol == Protocol::Udp;
        let allow = format!(
            "allow = [{}]",
            literal(&format!("{host}:{}{}", port.port, if udp { "/udp" } else { "" }))
        );
        let allow = self.denied.then(|| Line::new("network", allow, Over::Nothing));
        let landlock = &self.profile.landlock;
        let set = if udp {
            ("udp-connect", &landlock.udp_connect)
        } else {
            ("tcp-connect", &landlock.tcp_connect)
        };
        self.port(set, port.port).into_iter().chain(allow).chain([self.network()]).collect()
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
        let at = self.profile.network.mode.at();
        let over = if at.is_somewhere() { Over::Replaces(at) } else { Over::Nothing };
        Line::new(
            "network",
            format!("mode = {}", literal(if self.denied { "host" } else { "none" })),
            over,
        )
    }

    /// A rule of Landlock's for a port, one more or one less.
    fn port(&self, (key, set): (&str, &Set<PortRule>), port: u16) -> Option<Line> {
        let said = set.said()?;
        let text = if self.denied {
            format!("{key} = [{port}]")
        } else {
            format!("{key} = [\"!{port}\"]")
        };
        Some(Line::new("landlock", text, Over::Joins(said)))
    }

    fn capability(&self, capability: Capability) -> Vec<Line> {
        let sets = [
            ("keep", &self.profile.capabilities.keep),
            ("ambient", &self.profile.capabilities.ambient),
        ];
        let line = |(key, set): (&str, &Set<Capability>)| {
            let own = set.items.iter().find(|item| item.value == capability);
            let over = own.or(set.items.first()).map_or(Over::Nothing, |item| Over::Joins(item.at));
            match (self.denied, own) {
                (true, _) => {
                    Some(Line::new("capabilities", format!("{key} = [\"{capability}\"]"), over))
                }
                (false, Some(_)) => {
                    Some(Line::new("capabilities", format!("{key} = [\"!{capability}\"]"), over))
                }
                (false, None) => None,
            }
        };
        sets.into_iter().filter_map(line).collect()
    }

    fn variable(&self, name: &str) -> Vec<Line> {
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let key = if bare { name.to_owned() } else { literal(name) };
        let over =
            self.profile.env.map.get(name).map_or(Over::Nothing, |entry| Over::Replaces(entry.key));
        let values: &[&str] = if self.denied { &["true", "\"\""] } else { &["false"] };
        values.iter().map(|value| Line::new("env", format!("{key} = {value}"), over)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_for_toml() {
        assert_eq!(literal("/a \"b\"\\\n${x}"), "\"/a \\\"b\\\"\\\\\\n$${x}\"");
    }
}
