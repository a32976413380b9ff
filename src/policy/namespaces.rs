//! `[namespaces]`: which parts of the kernel's state the target has for itself.

mod join;
mod nested;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::questions::Questions;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::section::{Key, Set, section};
use crate::language::shape::{Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{AbsolutePath, Spelled, Time, Written, words};
use crate::policy::optional::Protection;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::Span;
use nested::SECOND_LOCK;
pub(crate) use nested::{Nested, forbid};
use std::time::Duration;
use toml::de::DeValue;

// ---- section ----

section! {
    /// `[namespaces]`: each is `"new"` (the default), `"host"` or `{ join = PATH }`. The network
    /// has a section of its own.
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
        /// The host name inside; default: `stockade`.
        hostname: Key<HostName>,
        /// The NIS domain name inside; default: `(none)`.
        domainname: Key<HostName>,
        /// What the clocks inside are moved by: `{ monotonic = "1d", boottime = "-1h" }`.
        time_offsets: Key<TimeOffsets>,
        /// The kinds of namespace that the target may make itself: `false` (the default),
        /// `["user", "pid", "net"]`: these, `true`: all. Each needs `"user"`. With `"mount"`
        /// nothing can be kept or hidden below a writable bind of the host.
        nested: Key<Nested>,
    }
}

// ---- table ----

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

impl Namespace {
    /// The file of one that is joined.
    pub fn joined(&self) -> Option<&AbsolutePath> {
        match self {
            Namespace::Join(file) => Some(file),
            Namespace::New | Namespace::Host => None,
        }
    }
}

words! {
    /// The words for a namespace.
    Whose {
        /// One of its own.
        New = "new",
        /// The launcher's.
        Host = "host",
    }
}

table! {
    /// The namespace that is behind a file.
    pub(crate) struct Join {
        /// A file such as `/proc/PID/ns/ipc` or `/run/netns/NAME`.
        pub join: AbsolutePath,
    }
}

impl Shaped for Namespace {
    fn shape() -> Shape {
        Shape::either(&[Whose::shape, Join::shape])
    }
}

impl Read for Namespace {
    fn read(node: &Node<'_>) -> Result<Namespace, Wrongs> {
        match node.get_ref() {
            DeValue::String(text) => match Whose::from_text(text) {
                Ok(Whose::New) => Ok(Namespace::New),
                Ok(Whose::Host) => Ok(Namespace::Host),
                Err(_) => Err(Why::of("unknown word `", text.as_ref(), "`")
                    .help("write \"new\", \"host\" or { join = PATH }")
                    .at(node)),
            },
            DeValue::Table(_) => Join::read(node).map(|table| Namespace::Join(table.join)),
            _ => Err(mismatch(node, "\"new\", \"host\" or { join = PATH }")),
        }
    }

    fn spell(&self) -> Toml {
        match self {
            Namespace::New => Whose::New.spell(),
            Namespace::Host => Whose::Host.spell(),
            Namespace::Join(join) => Join { join: join.clone() }.spell(),
        }
    }
}

/// A host or domain name: at most 64 bytes (`__NEW_UTS_LEN`, linux/utsname.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub String);

impl Written for HostName {
    const WHAT: &'static str = "a name of at most 64 bytes";
    fn from_text(text: &str) -> Result<HostName, Why> {
        let fits = !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(HostName(text.into()))
        } else {
            Err(Why::not(text, "` is not a host name: 1 to 64 printable characters"))
        }
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn looks() -> Shape {
        Shape::form("a name of 1 to 64 printable characters", "^[!-~]{1,64}$")
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

table! {
    /// What the clocks inside are moved by.
    struct RawOffsets {
        /// What `CLOCK_MONOTONIC` is moved by.
        monotonic: Option<Offset>,
        /// What `CLOCK_BOOTTIME` is moved by.
        boottime: Option<Offset>,
    }
}

/// The keys of `time-offsets`.
#[cfg(not(face_alone))]
pub const CLOCKS: &[&str] = RawOffsets::FIELDS;

/// A time with a sign, in milliseconds.
struct Offset(i64);

impl Written for Offset {
    const WHAT: &'static str = "a time such as \"1d\" or \"-1h\"";
    fn from_text(text: &str) -> Result<Offset, Why> {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let millis = Time::from_text(digits).map_err(|_| Time::refuse(text))?.0.as_millis();
        i64::try_from(millis)
            .map(|millis| Offset(sign * millis))
            .map_err(|_| Why::new("the offset is too large"))
    }
    fn write(&self) -> Spelled {
        let time = Time(Duration::from_millis(self.0.unsigned_abs()));
        Spelled::Text(if self.0 < 0 { format!("-{time}") } else { time.to_string() })
    }
    fn looks() -> Shape {
        Shape::form("a time such as `\"1d\"` or `\"-1h\"`", "^-?[0-9]+(ms|s|m|min|h|d)$")
    }
}

impl Shaped for TimeOffsets {
    fn shape() -> Shape {
        RawOffsets::shape()
    }
}

impl Read for TimeOffsets {
    fn read(node: &Node<'_>) -> Result<TimeOffsets, Wrongs> {
        let RawOffsets { monotonic, boottime } = RawOffsets::read(node)?;
        let millis = |offset: Option<Offset>| offset.map_or(0, |Offset(millis)| millis);
        Ok(TimeOffsets { monotonic: millis(monotonic), boottime: millis(boottime) })
    }

    fn spell(&self) -> Toml {
        let offset = |millis: i64| (millis != 0).then_some(Offset(millis));
        RawOffsets { monotonic: offset(self.monotonic), boottime: offset(self.boottime) }.spell()
    }
}

// ---- draft ----

impl Namespaces {
    /// What the target may make.
    pub fn made_inside(&self) -> Nested {
        self.nested.get().map_or(Nested::NONE, |nested| nested.value)
    }

    /// Whose file tree the target sees.
    pub fn tree(&self) -> &Namespace {
        self.whose(Kind::Mount)
    }

    /// Whose namespace of a kind the target is in; the network is `[network]`'s.
    pub fn whose(&self, kind: Kind) -> &Namespace {
        let key = match kind {
            Kind::User => &self.user,
            Kind::Mount => &self.mount,
            Kind::Pid => &self.pid,
            Kind::Ipc => &self.ipc,
            Kind::Uts => &self.uts,
            Kind::Cgroup => &self.cgroup,
            Kind::Time => &self.time,
            Kind::Net => &self.all,
        };
        key.get().or(self.all.get()).map_or(&Namespace::New, |said| &said.value)
    }
}

/// Whose namespace the target is in, for each kind, with the line that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(Vec<(Kind, Namespace, Span)>);

impl Choice {
    /// Settles every kind; `net` is what `[network]` says.
    pub fn new(namespaces: &Namespaces, net: Namespace, net_at: Span) -> Choice {
        let all = &namespaces.all;
        let of = |key: &Key<Namespace>| {
            let chosen = key.get().or(all.get());
            chosen
                .map_or((Namespace::New, Span::NOWHERE), |chosen| (chosen.value.clone(), chosen.at))
        };
        let choose = |kind| match kind {
            Kind::User => of(&namespaces.user),
            Kind::Mount => of(&namespaces.mount),
            Kind::Pid => of(&namespaces.pid),
            Kind::Ipc => of(&namespaces.ipc),
            Kind::Uts => of(&namespaces.uts),
            Kind::Cgroup => of(&namespaces.cgroup),
            Kind::Time => of(&namespaces.time),
            Kind::Net => (net.clone(), net_at),
        };
        Choice(
            Kind::ALL
                .map(|kind| (kind, choose(kind)))
                .into_iter()
                .map(|(kind, (namespace, at))| (kind, namespace, at))
                .collect(),
        )
    }

    /// A choice that was made before, of every kind.
    #[cfg_attr(face_alone, allow(dead_code, reason = "for what reads a plan back"))]
    pub(crate) fn of_all(all: Vec<(Kind, Namespace, Span)>) -> Choice {
        Choice(all)
    }

    pub fn of(&self, kind: Kind) -> &Namespace {
        self.0
            .iter()
            .find(|(known, ..)| *known == kind)
            .map_or(&Namespace::New, |(_, namespace, _)| namespace)
    }

    /// The line that says so.
    pub fn at(&self, kind: Kind) -> Span {
        self.0.iter().find(|(known, ..)| *known == kind).map_or(Span::NOWHERE, |(.., at)| *at)
    }

    /// Whether the target has one of its own.
    pub fn is_new(&self, kind: Kind) -> bool {
        *self.of(kind) == Namespace::New
    }
}

/// What gives the sandbox a file tree of its own: an ordinary user may make a mount namespace only
/// in a user namespace (user_namespaces(7)).
pub(crate) fn own_tree(choice: &Choice, host: &Host) -> &'static str {
    if host.caller.uid == 0 || choice.is_new(Kind::User) {
        "namespaces.mount = \"new\""
    } else if choice.at(Kind::User) == choice.at(Kind::Mount) {
        "namespaces.all = \"new\""
    } else {
        "\"new\" for both namespaces.user and namespaces.mount"
    }
}

/// Asks which power root has here, and whether an optional lock can be set.
pub(crate) fn ask(
    namespaces: &Namespaces,
    optional: &Set<Protection>,
    caller: &Caller,
    asks: &mut Questions,
) {
    asks.root_power = caller.uid == 0 && *namespaces.whose(Kind::User) == Namespace::Host;
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Net);
    let joined = kinds.filter_map(|kind| namespaces.whose(kind).joined());
    asks.joined.extend(joined.map(|path| path.0.clone()));
    asks.sysctls = optional.items.iter().any(|name| name.value == SECOND_LOCK);
}

/// Drafts what is joined, and what is set in the new ones.
pub(crate) fn draft(namespaces: &Namespaces, choice: &Choice, host: &Host, draft: &mut Draft) {
    let root = host.caller.uid == 0;
    for kind in Kind::ALL {
        if let Namespace::Join(path) = choice.of(kind) {
            draft.step(
                Stage::Join,
                ProcessOp::JoinNamespace { kind, path: Name::new(path) },
                choice.at(kind),
            );
        }
    }
    if !root
        && *choice.of(Kind::User) == Namespace::Host
        && let Some(kind) = Kind::ALL.into_iter().find(|kind| choice.is_new(*kind))
    {
        let message = format!(
            "cannot make a namespace of kind {}: an ordinary user needs a user namespace for it",
            kind.word()
        );
        draft.problem(
            Problem::new("namespaces::user", choice.at(Kind::User), message)
                .help("write namespaces.user = \"new\", or start stockade as root"),
        );
    }
    if choice.is_new(Kind::Net) {
        draft.step(Stage::World, ProcessOp::Loopback, choice.at(Kind::Net));
    }
    join::check(choice, host, draft);
    nested::check(namespaces, draft);
    uts(namespaces, choice, host, draft);
    time(namespaces, choice, draft);
}

fn uts(namespaces: &Namespaces, choice: &Choice, host: &Host, draft: &mut Draft) {
    if choice.is_new(Kind::Uts) {
        let hostname = namespaces.hostname.or(HostName("stockade".into()));
        draft.step(Stage::World, ProcessOp::HostName { name: Name::new(&hostname.0) }, hostname.at);
        let domain = namespaces.domainname.or(HostName("(none)".into()));
        // A new namespace begins with the host's name.
        if domain.0 != host.domain {
            draft.step(
                Stage::World,
                ProcessOp::DomainName { name: Name::new(&domain.0) },
                domain.at,
            );
        }
        return;
    }
    for (word, name) in [("hostname", &namespaces.hostname), ("domainname", &namespaces.domainname)]
    {
        if let Some(name) = name.get() {
            draft.problem(
                Problem::new(
                    "namespaces::uts",
                    name.at,
                    format!("cannot set `{word}`: the sandbox has no uts namespace of its own"),
                )
                .also(choice.at(Kind::Uts), "because of this"),
            );
        }
    }
}

fn time(namespaces: &Namespaces, choice: &Choice, draft: &mut Draft) {
    let offsets = namespaces.time_offsets.get();
    if choice.is_new(Kind::Time) {
        // Without offsets the clone makes it, like the others.
        if let Some(offsets) = offsets {
            let TimeOffsets { monotonic, boottime } = offsets.value;
            draft.step(Stage::Enter, ProcessOp::TimeNamespace { monotonic, boottime }, offsets.at);
        }
    } else if let Some(offsets) = offsets {
        draft.problem(
            Problem::new(
                "namespaces::time",
                offsets.at,
                "cannot move the clocks: the sandbox has no time namespace of its own",
            )
            .also(choice.at(Kind::Time), "because of this"),
        );
    }
}
