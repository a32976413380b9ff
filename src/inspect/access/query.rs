//! A question, and the words of an answer. It parses text and knows nothing of a sandbox.

use crate::kernel::capability::Capability;
use crate::kernel::syscalls;
use crate::language::read::Why;
use crate::language::value::{Written, plain_path};
use crate::text::problem::suggestion;
use crate::text::source::Span;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// A question: may the target do this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    /// Something with a path.
    Path(Act, String),
    /// Call the kernel. Without arguments: with any.
    Call {
        number: u32,
        /// Its arguments; those that are not given are 0.
        arguments: Option<[u64; 6]>,
    },
    /// Reach a port of some address.
    Connect(Port),
    /// Take a port.
    Bind(Port),
    /// Use a power of root's.
    Capability(Capability),
    /// See a variable.
    Variable(String),
}

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Open it for reading; of a directory, list it.
    Read,
    /// Open it for writing; of a directory, make a file in it; where nothing is, make it.
    Write,
    /// Execute it.
    Execute,
    /// List a directory.
    List,
    /// Connect to the socket there.
    Connect,
}

/// A port of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// An address or a name.
    pub host: String,
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// The protocols that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Port {
    /// Whether it is the sandbox's own loopback, where that is a network of its own.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} port {}{}",
            self.host,
            self.port,
            if self.protocol == Protocol::Udp { "/udp" } else { "" }
        )
    }
}

const ACTS: &[(&str, Act)] =
    &[("read", Act::Read), ("write", Act::Write), ("exec", Act::Execute), ("list", Act::List)];

/// What a question may begin with.
pub(crate) const WORDS: &[&str] =
    &["read", "write", "exec", "list", "syscall", "connect", "bind", "cap", "env"];

impl Act {
    /// The word of a question.
    pub(crate) fn word(self) -> &'static str {
        ACTS.iter().find(|(_, act)| *act == self).map_or("connect", |(word, _)| word)
    }
}

/// Whether a path leads to a directory or nowhere (path_resolution(7)).
fn ends_in_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.")
}

impl Query {
    /// Reads a question.
    pub(crate) fn parse(text: &str) -> Result<Query, Why> {
        let path = |act: Act, text: &str| {
            let path = plain_path(text)?;
            // Such a path names a directory, or nothing (path_resolution(7)).
            match act {
                _ if path == "/" || !ends_in_directory(text) => Ok(Query::Path(act, path)),
                Act::Read | Act::List => Ok(Query::Path(Act::List, path)),
                Act::Write | Act::Execute | Act::Connect => {
                    Err(Why::not(text, "` can only be a directory")
                        .help(format!("ask {}:{path}, or list:{path}", act.word())))
                }
            }
        };
        if text.starts_with('/') {
            return path(Act::Read, text);
        }
        // What a run says: `stockade: denied: mkdir in python3 (pid 12): ...`.
        if let Some(denial) =
            text.strip_prefix("stockade: ").unwrap_or(text).strip_prefix("denied:")
        {
            return denied(denial.trim_start());
        }
        let Some((word, rest)) = text.split_once(':') else {
            return call(text).map_err(|error| {
                let kind = suggestion(text, WORDS.iter().copied())
                    .map(|help| format!("{help} It is followed by a colon."));
                kind.map_or(error, |help| {
                    Why::of("cannot read the question `", text, "`: it says nothing to ask about")
                        .whole("why::question")
                        .help(help)
                })
            });
        };
        match word {
            "syscall" => call(rest),
            "connect" if rest.starts_with('/') => path(Act::Connect, rest),
            "connect" => port(rest, None).map(Query::Connect),
            "bind" => port(rest, Some("0.0.0.0")).map(Query::Bind),
            "cap" => Capability::from_text(rest).map(Query::Capability),
            "env" if rest.is_empty() || rest.contains(['=', '\0']) => {
                Err(Why::not(rest, "` is not the name of a variable"))
            }
            "env" => Ok(Query::Variable(rest.into())),
            word => match ACTS.iter().find(|(known, _)| *known == word) {
                // A program by its name is looked for in the target's PATH.
                Some((_, Act::Execute)) if !rest.is_empty() && !rest.contains('/') => {
                    Ok(Query::Path(Act::Execute, rest.into()))
                }
                Some((_, act)) => path(*act, rest),
                None => {
                    let help = suggestion(word, WORDS.iter().copied()).unwrap_or_else(|| {
                        format!("a question begins with a path or one of {}", WORDS.join(", "))
                    });
                    Err(Why::of("cannot read the question `", text, "`: it begins with `")
                        .and(word, "`")
                        .whole("why::question")
                        .help(help))
                }
            },
        }
    }
}

/// The call of a denial. The text after it has words of the target's in it, and is not read.
fn denied(text: &str) -> Result<Query, Why> {
    let text = text.strip_prefix("call ").unwrap_or(text);
    let name = text.split([' ', ':', '(']).next().unwrap_or_default();
    let rest = text.strip_prefix(name).unwrap_or_default();
    let (arguments, rest) = rest
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map_or((None, rest), |(inner, rest)| (Some(inner), rest));
    if let Some(abi) = rest.strip_prefix(" of ").and_then(|rest| rest.split(' ').next()) {
        let rule = format!(": questions are about those of {}", std::env::consts::ARCH);
        return Err(Why::of("cannot answer for a call of ", abi, rule)
            .whole("why::question")
            .help(format!("what [seccomp] says of a name holds for both: ask syscall:{name}")));
    }
    match arguments {
        Some(arguments) => call(&format!("{name}({arguments})")),
        None => call(name),
    }
}

/// An address of which nothing is known but that it is not null.
const SOME_ADDRESS: u64 = 0x1000;

/// `NAME`, `NUMBER`, `NAME(1, 2)` or `NAME:1,2`; `*` is some address.
fn call(text: &str) -> Result<Query, Why> {
    let (name, given) = match text.split_once(['(', ':']) {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(')'))),
        None => (text, None),
    };
    let number = syscalls::number(name).or_else(|| name.parse().ok()).ok_or_else(|| {
        let help = suggestion(name, syscalls::known().map(|(_, name)| name));
        Why::of("unknown system call `", name, "`").help(
            help.unwrap_or_else(|| "syscalls(2) lists them; a path begins with / or ./".into()),
        )
    })?;
    let mut arguments = [0; 6];
    let Some(given) = given else { return Ok(Query::Call { number, arguments: None }) };
    let words: Vec<&str> =
        given.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.len() > arguments.len() {
        return Err(Why::new("a system call has at most 6 arguments"));
    }
    for (place, word) in arguments.iter_mut().zip(words) {
        let plain = || {
            word.strip_prefix("0x")
                .map_or_else(|| word.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
        };
        let parsed = if word == "*" { Some(SOME_ADDRESS) } else { plain() };
        let negative = || word.parse::<i64>().ok().map(|number| number as u64);
        *place = parsed
            .or_else(negative)
            .ok_or_else(|| Why::not(word, "` is not a number").help("write it as 16 or 0x10"))?;
    }
    Ok(Query::Call { number, arguments: Some(arguments) })
}

/// `[ADDRESS:]PORT[/tcp|/udp]`; an address of IPv6 is in brackets. `any` is the address where none
/// is written.
fn port(text: &str, any: Option<&str>) -> Result<Port, Why> {
    let (bare, protocol) = match (text.strip_suffix("/udp"), text.strip_suffix("/tcp")) {
        (Some(bare), _) => (bare, Protocol::Udp),
        (None, bare) => (bare.unwrap_or(text), Protocol::Tcp),
    };
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) => {
            (Some(host.trim_start_matches('[').trim_end_matches(']').to_owned()), port)
        }
        None => (any.map(str::to_owned), bare),
    };
    let port = port.parse().map_err(|_| {
        Why::not(port, "` is not a port: 0 to 65535")
            .help("write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")
    })?;
    match host {
        Some(host) if !host.is_empty() => Ok(Port { host, port, protocol }),
        Some(_) => Err(Why::of("cannot read the address `", text, "`")
            .whole("why::question")
            .help("write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")),
        None => Err(Why::of("cannot read the address `", text, "`")
            .whole("why::question")
            .help("write connect:ADDRESS:PORT")),
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |number: u32| syscalls::name(number).map_or_else(|| number.to_string(), str::to_owned);
        match self {
            Query::Path(act, path) => write!(f, "{} {path}", act.word()),
            Query::Call { number, arguments: None } => write!(f, "call {}", name(*number)),
            Query::Call { number, arguments: Some(arguments) } => {
                let last = arguments
                    .iter()
                    .rposition(|argument| *argument != 0)
                    .map_or(0, |last| last + 1);
                let words: Vec<String> =
                    arguments[..last].iter().map(|argument| format!("{argument:#x}")).collect();
                write!(f, "call {}({})", name(*number), words.join(", "))
            }
            Query::Connect(port) => write!(f, "connect to {port}"),
            Query::Bind(port) => write!(f, "bind {port}"),
            Query::Capability(capability) => write!(f, "use {capability}"),
            Query::Variable(name) => write!(f, "see the variable {name}"),
        }
    }
}

/// The restriction that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mechanism {
    /// What is mounted, and how.
    Mounts,
    /// Modes and owners of files, as the target's ids meet them.
    Permissions,
    Landlock,
    /// The file itself: mode, owner and kind.
    File,
    /// The system call filter.
    Seccomp,
    Capabilities,
    /// The limits of the sandbox's user namespace.
    Namespaces,
    Network,
    Environment,
    /// Which process it is.
    Processes,
    /// The kernel's configuration.
    Kernel,
}

impl Mechanism {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Mechanism::Mounts => "mounts",
            Mechanism::Permissions => "permissions",
            Mechanism::Landlock => "landlock",
            Mechanism::File => "file",
            Mechanism::Seccomp => "seccomp",
            Mechanism::Capabilities => "capabilities",
            Mechanism::Namespaces => "namespaces",
            Mechanism::Network => "network",
            Mechanism::Environment => "environment",
            Mechanism::Processes => "processes",
            Mechanism::Kernel => "kernel",
        }
    }
}

/// The answer of a restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    /// It lets it pass.
    Allows,
    /// This model does not know.
    Unknown,
    Denies,
}

impl Decision {
    /// As the verdict of all restrictions.
    pub(crate) fn verdict(self) -> &'static str {
        match self {
            Decision::Allows => "allowed",
            Decision::Unknown => "unknown",
            Decision::Denies => "denied",
        }
    }
}

/// One wall's word, and the line that it has it from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub mechanism: Mechanism,
    pub says: Decision,
    pub words: String,
    /// The line; nowhere: by default.
    pub at: Span,
    /// The lines of stronger layers that changed keys of it.
    pub changed: Vec<Span>,
}

impl Reason {
    pub(crate) fn new(
        mechanism: Mechanism,
        says: Decision,
        words: impl Into<String>,
        at: Span,
    ) -> Reason {
        Reason { mechanism, says, words: words.into(), at, changed: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_strictly() {
        assert_eq!(Query::parse("/etc//shadow/"), Ok(Query::Path(Act::List, "/etc/shadow".into())));
        assert_eq!(Query::parse("read:/etc/shadow/"), Query::parse("list:/etc/shadow"));
        assert_eq!(
            Query::parse("denied: call 499 in a (pid 2): x"),
            Ok(Query::Call { number: 499, arguments: None })
        );
        assert_eq!(Query::parse("exec:/bin/sh"), Ok(Query::Path(Act::Execute, "/bin/sh".into())));
        assert_eq!(
            Query::parse("denied: mkdir in python3 (pid 12): x"),
            Query::parse("syscall:mkdir")
        );
        assert_eq!(
            Query::parse("stockade: denied: mkdir (process 9 outside): x"),
            Query::parse("mkdir")
        );
        assert_eq!(
            Query::parse("denied: socket(17, -1) in \"a) of b\" (pid 12), 3 times: x"),
            Query::parse("syscall:socket:17,-1")
        );
        assert_eq!(
            Query::parse("denied: prctl(4, *, 0) in a (pid 1)"),
            Query::parse("syscall:prctl:4,0x1000")
        );
        assert_eq!(Query::parse("denied: mkdir in \" of x\" (pid 12)"), Query::parse("mkdir"));
        assert_eq!(Query::parse("ptrace"), Query::parse("syscall:ptrace"));
        assert_eq!(Query::parse("syscall:socket(1, 0x2)"), Query::parse("syscall:socket:1,2"));
        assert_eq!(
            Query::parse("connect:[::1]:53/udp"),
            Ok(Query::Connect(Port { host: "::1".into(), port: 53, protocol: Protocol::Udp }))
        );
        assert_eq!(
            Query::parse("bind:8080"),
            Ok(Query::Bind(Port { host: "0.0.0.0".into(), port: 8080, protocol: Protocol::Tcp }))
        );
        assert_eq!(Query::parse("cap:net-raw"), Ok(Query::Capability(Capability(13))));
        for (bad, help) in [
            ("etc/shadow", "unknown system call"),
            ("/a/../b", "`..`"),
            ("reed:/x", "read"),
            ("denied: mount of x86 in a (pid 2): x", "a call of x86"),
            ("write:/etc/", "can only be a directory"),
            ("denied: ", "unknown system call ``"),
            ("syscall:ptrce", "ptrace"),
            ("connect:10.0.0.1", "not a port"),
            ("connect:80", "write connect:ADDRESS:PORT"),
            ("connect::80", "cannot read the address"),
            ("cap:net-rwa", "net-raw"),
            ("env:", "variable"),
            ("syscall:read:x", "not a number"),
            ("syscall:read:1,2,3,4,5,6,7", "at most 6"),
        ] {
            assert!(Query::parse(bad).unwrap_err().says(help), "{bad}: {:?}", Query::parse(bad));
        }
    }
}
