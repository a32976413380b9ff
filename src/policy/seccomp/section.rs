//! `[seccomp]` as it is written: words, rules and conditions. What they come to is drafted in
//! [`mod@super::draft`].

mod is;
mod refusal;
mod rule;
mod shapes;

pub(crate) use refusal::Refusal;
pub(crate) use rule::{Condition, Otherwise, Spec};

use super::filter::{EPERM, Verdict};
use crate::kernel::syscalls::{self, Abi, constants, groups};
use crate::language::read::Why;
use crate::language::section::{Entries, Key, Set, section};
use crate::language::shape::Shape;
use crate::language::value::{AbsolutePath, Spelled, Written, word_of};
use crate::text::gather::Gather;
use crate::text::problem::suggestion;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fmt;

section! {
    /// `[seccomp]`: what the target may ask of the kernel. `deny` beats `rules`, `rules` beat
    /// `allow`, `allow` beats `policy`.
    pub struct Seccomp {
        /// What the other keys change: `default`; `none` refuses every call, `off` allows every
        /// call. Default: `default`.
        policy: Key<Base>,
        /// Seccomp policy of docker or podman (OCI JSON) in the place of `policy`.
        import: Key<AbsolutePath>,
        /// What becomes of a call that `policy` refuses: `errno:NAME`, `kill` (the process dies) or
        /// `log` (the kernel does it and logs it). Default: `errno:EPERM`. Calls that the default
        /// policy has as absent stay ENOSYS, and so do those that this version does not know:
        /// programs have a way without them. `log` opens nothing that only the name of a call in
        /// `allow` opens, and no arguments.
        default: Key<Refusal>,
        /// Calls and groups that are permitted. Through a group a call keeps what the default
        /// policy says of its arguments.
        allow: Set<Calls>,
        /// Calls and groups that are refused.
        deny: Set<Calls>,
        /// By call or group: an action, or actions with conditions on the arguments.
        rules: Entries<Spec>,
        /// Address families that sockets may have; `[]`: none. Default: AF_UNIX, AF_INET, AF_INET6,
        /// AF_NETLINK for routes.
        families: Set<Family>,
        /// Whether memory may be written and then executed; `false` breaks most just-in-time
        /// compilers. Default: true.
        write_execute: Key<bool>,
        /// Whether the execution domain (personality(2)) may be changed, as far as the policy has
        /// it. Default: true.
        personality: Key<bool>,
        /// Whether real-time scheduling may be asked for. Default: true.
        realtime: Key<bool>,
        /// Whether files may be made set-user-id and set-group-id. Default: true, and false where
        /// root starts the sandbox and it writes to files of the host, or where a descriptor is a
        /// file of the caller's and the host's only one; `true` is refused where those can be the
        /// host root's.
        set_id: Key<bool>,
        /// Architectures besides the machine's own whose programs may run: `x86`, `x32`.
        architectures: Set<Architecture>,
    }
}

impl Seccomp {
    /// Whether the profile lets files be made set-id.
    pub fn lifts_set_id(&self) -> bool {
        self.set_id.get().is_some_and(|set_id| set_id.value)
    }

    /// What decides about calls that no other word is about.
    pub fn policy_in_words(&self) -> &'static str {
        match (self.import.get(), self.policy.get().map(|policy| policy.value)) {
            (Some(_), _) => "the imported policy",
            (None, None | Some(Base::Default)) => "the default policy",
            (None, Some(Base::None)) => "the policy `none`",
            (None, Some(Base::Off)) => "the policy `off`",
        }
    }

    /// Whether the profile leaves all of it to stockade.
    pub fn is_unsaid(&self) -> bool {
        let Seccomp {
            policy,
            import,
            default,
            allow,
            deny,
            rules,
            families,
            write_execute,
            personality,
            realtime,
            set_id,
            architectures,
        } = self;
        let flags = [write_execute, personality, realtime, set_id];
        let sets = allow.items.is_empty()
            && deny.items.is_empty()
            && families.said().is_none()
            && architectures.items.is_empty();
        let rules = rules.iter().next().is_none();
        policy.get().is_none()
            && import.get().is_none()
            && default.get().is_none()
            && sets
            && rules
            && flags.iter().all(|flag| flag.get().is_none())
    }
}

/// The word of a value.
fn word<T: PartialEq>(words: &[(&str, T)], value: &T) -> Spelled {
    let found = words.iter().find(|(_, known)| known == value);
    Spelled::Text(found.map_or_else(String::new, |(word, _)| (*word).to_owned()))
}

/// The verdict of a call that no key mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// stockade's own policy.
    Default,
    /// Everything is refused.
    None,
    /// Everything is allowed.
    Off,
}

const BASES: &[(&str, Base)] =
    &[("default", Base::Default), ("none", Base::None), ("off", Base::Off)];

impl Written for Base {
    const WHAT: &'static str = "`default`, `none` or `off`";
    fn from_text(text: &str) -> Result<Base, Why> {
        word_of("policy", BASES, text)
    }
    fn write(&self) -> Spelled {
        word(BASES, self)
    }
    fn looks() -> Shape {
        let docs = ["stockade's own policy.", "Every call is refused.", "Every call is allowed."];
        Shape::words(&["default", "none", "off"], &docs)
    }
}

/// A call or a group of calls, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls(pub String);

impl Written for Calls {
    const WHAT: &'static str = "a system call such as \"mount\", or a group such as \"@debug\"";
    fn from_text(text: &str) -> Result<Calls, Why> {
        let is_group = text.starts_with('@');
        let known = if is_group {
            groups::names().any(|name| name == text)
        } else {
            syscalls::known_name(text).is_some()
        };
        if known {
            return Ok(Calls(text.into()));
        }
        let (what, help) = if is_group {
            ("group", suggestion(text, groups::names()))
        } else {
            ("system call", suggestion(text, syscalls::names()))
        };
        let help = help.unwrap_or_else(|| {
            "groups are under systemd's names: systemd-analyze syscall-filter lists them".into()
        });
        Err(Why::of(format!("unknown {what} `"), text, "`").help(help))
    }
    fn looks() -> Shape {
        shapes::call()
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
}

impl Calls {
    /// Whether it is a group.
    pub fn is_group(&self) -> bool {
        self.0.starts_with('@')
    }

    /// The calls that it means.
    pub fn members(&self) -> BTreeSet<&'static str> {
        groups::members(&self.0)
            .unwrap_or_else(|| syscalls::known_name(&self.0).into_iter().gather())
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address family, by its constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    name: String,
    pub number: u64,
}

impl Written for Family {
    const WHAT: &'static str = "an address family such as \"AF_UNIX\"";
    fn from_text(text: &str) -> Result<Family, Why> {
        let families = || constants::names().filter(|name| name.starts_with("AF_"));
        if families().any(|name| name == text) {
            return Ok(Family { name: text.into(), number: constants::value(text)? });
        }
        let long = format!("AF_{}", text.to_ascii_uppercase());
        let help =
            families().find(|known| *known == long).map(|known| format!("did you mean `{known}`?"));
        let help = help
            .or_else(|| suggestion(text, families()))
            .unwrap_or_else(|| "address_families(7) lists them".into());
        Err(Why::of("unknown address family `", text, "`").help(help))
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.name.clone())
    }
    fn looks() -> Shape {
        Shape::form("an address family such as `\"AF_UNIX\"`", "^AF_[A-Z0-9_]+$")
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An architecture that the machine runs besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture(pub Abi);

impl Written for Architecture {
    const WHAT: &'static str = "`x86` or `x32`";
    fn from_text(text: &str) -> Result<Architecture, Why> {
        word_of("architecture", &[("x86", Abi::X86), ("x32", Abi::X32)], text).map(Architecture)
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.word().into())
    }
    fn looks() -> Shape {
        Shape::words(
            &["x86", "x32"],
            &[
                "The 32-bit programs of x86.",
                "Those of x86_64 with 32-bit addresses; few kernels run them.",
            ],
        )
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

/// What becomes of a call, as a profile says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action(pub Verdict);

const ACTIONS: &[(&str, Verdict)] = &[
    ("allow", Verdict::Allow),
    ("deny", EPERM),
    ("kill", Verdict::KillProcess),
    ("kill-thread", Verdict::KillThread),
    ("trap", Verdict::Trap),
    ("log", Verdict::Log),
    ("trace", Verdict::Trace),
    ("notify", Verdict::Notify),
];

/// The same in words.
const ACTION_DOCS: [&str; 8] = [
    "The call is allowed.",
    "The call fails with EPERM.",
    "The process dies of SIGSYS.",
    "The thread dies.",
    "The thread gets SIGSYS, which it may handle.",
    "The call is allowed, and the kernel logs it.",
    "A tracer decides (PTRACE_O_TRACESECCOMP); without one the call fails with ENOSYS.",
    "The call fails with EPERM, and the end of the run says who made it.",
];

impl Action {
    /// The word of one that is no errno.
    fn word(self) -> &'static str {
        ACTIONS.iter().find(|(_, verdict)| *verdict == self.0).map_or("deny", |(word, _)| *word)
    }
}

impl Written for Action {
    const WHAT: &'static str =
        "an action such as \"allow\", \"deny\", \"errno:ENOSYS\" or \"kill\"";
    fn from_text(text: &str) -> Result<Action, Why> {
        if let Some(name) = text.strip_prefix("errno:") {
            return errno(name).map(|errno| Action(Verdict::Errno(errno)));
        }
        word_of("action", ACTIONS, text).map(Action)
    }
    fn write(&self) -> Spelled {
        match self.0 {
            Verdict::Errno(number) if self.0 != EPERM => Spelled::Text(format!("errno:{number}")),
            _ => Spelled::Text(self.word().into()),
        }
    }
    fn looks() -> Shape {
        shapes::action(&[])
    }
}

/// The last errno of Linux (errno.h: EHWPOISON).
const LAST_ERRNO: i32 = 133;

/// The number of an errno, by name or number. 0 makes a call that does nothing seem to succeed.
pub(super) fn errno(name: &str) -> Result<i32, Why> {
    if let Ok(number) = name.parse::<i32>() {
        // The kernel cuts what is above (seccomp(2)).
        return if (0..=4095).contains(&number) {
            Ok(number)
        } else {
            Err(Why::of("", number.to_string(), " is not an errno: 0 to 4095"))
        };
    }
    let same = [("EWOULDBLOCK", "EAGAIN"), ("ENOTSUP", "EOPNOTSUPP"), ("EDEADLOCK", "EDEADLK")];
    let plain = same.iter().find(|(other, _)| *other == name).map_or(name, |(_, plain)| plain);
    let names = || (1..=LAST_ERRNO).map(|number| format!("{:?}", Errno::from_raw(number)));
    names()
        .zip(1..)
        .find(|(known, _)| known == plain && known != "UnknownErrno")
        .map(|(_, number)| number)
        .ok_or_else(|| {
            let names: Vec<String> = names().collect();
            let help = suggestion(name, names.iter().map(String::as_str))
                .unwrap_or_else(|| "errno(3) lists them".into());
            Why::of("unknown errno `", name, "`").help(help)
        })
}
