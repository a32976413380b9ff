//! `[namespaces]`: which parts of the kernel's state the target has for itself.

use crate::section::Key;
use crate::value::{AbsolutePath, Time, plain_path};
use crate::section;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

// ---- section ----

section! {
    /// `[namespaces]`: each is `"new"` (unsaid), `"host"` or `{ join = PATH }`. The network has a section of its own.
    pub struct Namespaces {
        /// What those not named are.
        all: Key<Namespace>,
        /// Ids and capabilities (user_namespaces(7)).
        user: Key<Namespace>,
        /// The file tree (mount_namespaces(7)).
        mount: Key<Namespace>,
        /// Process numbers (pid_namespaces(7)).
        pid: Key<Namespace>,
        /// System V IPC and POSIX message queues (ipc_namespaces(7)).
        ipc: Key<Namespace>,
        /// Host and domain name (uts_namespaces(7)).
        uts: Key<Namespace>,
        /// The view of control groups (cgroup_namespaces(7)).
        cgroup: Key<Namespace>,
        /// Monotonic and boot clocks (time_namespaces(7)).
        time: Key<Namespace>,
        /// The host name inside; unsaid: `stockade`.
        hostname: Key<HostName>,
        /// The NIS domain name inside; unsaid: `(none)`.
        domainname: Key<HostName>,
        /// What the clocks inside are moved by: `{ monotonic = "1d", boottime = "-1h" }`.
        time_offsets: Key<TimeOffsets>,
        /// Whether the target may make namespaces of its own: `false` (unsaid), `true`.
        nested: Key<Nested>,
    }
}

// ---- table ----

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ids and capabilities.
    User,
    /// The file tree.
    Mount,
    /// Process numbers.
    Pid,
    /// The network.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host and domain name.
    Uts,
    /// The view of control groups.
    Cgroup,
    /// Monotonic and boot clocks.
    Time,
}

impl Kind {
    /// Every kind, in the order in which they are joined: the user namespace first, as it may own the others, the mount namespace
    /// last, as entering it moves root and working folder (setns(2)).
    pub const ALL: [Kind; 8] = [Kind::User, Kind::Ipc, Kind::Uts, Kind::Net, Kind::Cgroup, Kind::Time, Kind::Pid, Kind::Mount];

    /// The `CLONE_NEW*` flag.
    pub fn flag(self) -> u64 {
        (match self {
            Kind::User => libc::CLONE_NEWUSER,
            Kind::Mount => libc::CLONE_NEWNS,
            Kind::Pid => libc::CLONE_NEWPID,
            Kind::Net => libc::CLONE_NEWNET,
            Kind::Ipc => libc::CLONE_NEWIPC,
            Kind::Uts => libc::CLONE_NEWUTS,
            Kind::Cgroup => libc::CLONE_NEWCGROUP,
            Kind::Time => CLONE_NEWTIME,
        }) as u64
    }

    /// The profile's word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Mount => "mount",
            Kind::Pid => "pid",
            Kind::Net => "net",
            Kind::Ipc => "ipc",
            Kind::Uts => "uts",
            Kind::Cgroup => "cgroup",
            Kind::Time => "time",
        }
    }
}

/// `CLONE_NEWTIME` (linux/sched.h); libc has it not for every target.
const CLONE_NEWTIME: i32 = 0x80;

/// Whose namespace the target is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// One of its own.
    New,
    /// The launcher's.
    Host,
    /// The one behind a file such as `/proc/PID/ns/ipc` or `/run/netns/NAME`.
    Join(AbsolutePath),
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Namespace, D::Error> {
        struct NamespaceVisitor;
        impl<'de> Visitor<'de> for NamespaceVisitor {
            type Value = Namespace;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"new\", \"host\" or { join = PATH }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Namespace, E> {
                match text {
                    "new" => Ok(Namespace::New),
                    "host" => Ok(Namespace::Host),
                    _ => Err(E::custom(format!("unknown word `{text}`\nhelp: write \"new\", \"host\" or {{ join = PATH }}"))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Namespace, A::Error> {
                join_path(map).map(Namespace::Join)
            }
        }
        deserializer.deserialize_any(NamespaceVisitor)
    }
}

/// The path of `{ join = PATH }`.
pub fn join_path<'de, A: MapAccess<'de>>(mut map: A) -> Result<AbsolutePath, A::Error> {
    let mut path = None;
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "join" => path = Some(plain_path(&map.next_value::<String>()?).map_err(de::Error::custom)?),
            _ => return Err(de::Error::unknown_field(&key, &["join"])),
        }
    }
    path.map(AbsolutePath).ok_or_else(|| de::Error::missing_field("join"))
}

crate::written!(HostName);

/// A host or domain name: at most 64 bytes (`__NEW_UTS_LEN`, linux/utsname.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub String);

impl crate::value::Written for HostName {
    const WHAT: &'static str = "a name of at most 64 bytes";
    fn from_text(text: &str) -> Result<HostName, String> {
        let fits = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(HostName(text.into())) } else { Err(format!("`{text}` is not a host name: 1 to 64 printable characters")) }
    }
}

/// Offsets of the clocks, in seconds and nanoseconds as the kernel takes them (time_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeOffsets {
    /// Milliseconds that `CLOCK_MONOTONIC` is moved by.
    pub monotonic: i64,
    /// Milliseconds that `CLOCK_BOOTTIME` is moved by.
    pub boottime: i64,
}

impl<'de> Deserialize<'de> for TimeOffsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeOffsets, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            #[serde(default)]
            monotonic: Option<String>,
            #[serde(default)]
            boottime: Option<String>,
        }
        let signed = |text: Option<String>| -> Result<i64, D::Error> {
            let Some(text) = text else { return Ok(0) };
            let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
            let time = <Time as crate::value::Written>::from_text(digits).map_err(de::Error::custom)?;
            i64::try_from(time.0.as_millis()).map(|millis| sign * millis).map_err(|_| de::Error::custom("the offset is too large"))
        };
        let raw = Raw::deserialize(deserializer)?;
        Ok(TimeOffsets { monotonic: signed(raw.monotonic)?, boottime: signed(raw.boottime)? })
    }
}

/// Whether the target may make namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nested(pub bool);

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Nested, D::Error> {
        struct NestedVisitor;
        impl<'de> Visitor<'de> for NestedVisitor {
            type Value = Nested;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Nested, E> {
                Ok(Nested(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Nested, A::Error> {
                Err(de::Error::custom("`nested` as a list of kinds is not built yet\nhelp: write true or false"))
            }
        }
        deserializer.deserialize_any(NestedVisitor)
    }
}
