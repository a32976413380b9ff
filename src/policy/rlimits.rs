//! `[rlimits]`: the sixteen limits of getrlimit(2), soft and hard.

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::questions::Questions;
use crate::language::read::{Node, Read, Why, Wrongs, mismatch};
use crate::language::section::{Entries, EntryType};
use crate::language::shape::{Need, Shape, Shaped, Table};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{Size, Spelled, Time, Written};
use crate::policy::bounds;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::{Problem, suggestion};
use crate::text::source::Span;
use toml::de::DeValue;

// ---- section ----

/// `[rlimits]`: a number, a size, a time or `"unlimited"` for both limits, or
/// `{ soft = .., hard = .. }`.
pub(crate) type Rlimits = Entries<Rlimit>;

/// A soft and a hard limit in the kernel's unit; [`u64::MAX`] is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rlimit {
    /// What is in force; the target may raise it up to `hard`.
    pub soft: Value,
    pub hard: Value,
}

// ---- table ----

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things, or a priority.
    Count,
    Bytes,
    /// Time, in the kernel's unit: seconds for `cpu`, microseconds for `rttime`.
    Time {
        /// Microseconds in one of the kernel's.
        micros: u64,
    },
}

/// Keys of `[limits]`, which hold for all processes together, and what comes near them here.
const OF_GROUPS: &[(&str, &str)] = &[
    ("memory", "`as`, of its address space"),
    ("pids", "`nproc`, of all processes of the user"),
    ("cpu-time", "`cpu`"),
];

/// Every limit: the profile's word, `RLIMIT_*`, its unit, and what it bounds.
pub const TABLE: &[(&str, u32, Unit, &str)] = &[
    ("as", libc::RLIMIT_AS, Unit::Bytes, "The whole address space."),
    (
        "core",
        libc::RLIMIT_CORE,
        Unit::Bytes,
        "A core file; 1 by default, as 0 does not stop a helper of the host's.",
    ),
    (
        "cpu",
        libc::RLIMIT_CPU,
        Unit::Time { micros: 1_000_000 },
        "Time on processors; then XCPU, at the hard limit KILL.",
    ),
    ("data", libc::RLIMIT_DATA, Unit::Bytes, "The data segment."),
    ("fsize", libc::RLIMIT_FSIZE, Unit::Bytes, "A file that is written."),
    ("locks", libc::RLIMIT_LOCKS, Unit::Count, "File locks (kernels before 2.4.25)."),
    ("memlock", libc::RLIMIT_MEMLOCK, Unit::Bytes, "Memory locked into RAM."),
    ("msgqueue", libc::RLIMIT_MSGQUEUE, Unit::Bytes, "POSIX message queues of the user."),
    ("nice", libc::RLIMIT_NICE, Unit::Count, "The ceiling of the nice value, as 20 minus it."),
    ("nofile", libc::RLIMIT_NOFILE, Unit::Count, "The number of descriptors, plus one."),
    ("nproc", libc::RLIMIT_NPROC, Unit::Count, "Processes of the user."),
    ("rss", libc::RLIMIT_RSS, Unit::Bytes, "Resident memory (kernels before 2.4.30)."),
    ("rtprio", libc::RLIMIT_RTPRIO, Unit::Count, "The ceiling of the real-time priority."),
    (
        "rttime",
        libc::RLIMIT_RTTIME,
        Unit::Time { micros: 1 },
        "Time on a processor without a blocking call, under a real-time policy.",
    ),
    ("sigpending", libc::RLIMIT_SIGPENDING, Unit::Count, "Queued signals of the user."),
    ("stack", libc::RLIMIT_STACK, Unit::Bytes, "The stack of the first thread."),
];

/// A limit as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A bare number, in the kernel's unit.
    Number(u64),
    Size(Size),
    Time(Time),
    Unlimited,
}

impl Written for Value {
    const WHAT: &'static str = "a number, a size, a time or \"unlimited\"";
    fn from_text(text: &str) -> Result<Value, Why> {
        match text {
            "unlimited" => Ok(Value::Unlimited),
            _ => Time::from_text(text)
                .map(Value::Time)
                .or_else(|_| Size::from_text(text).map(Value::Size))
                .map_err(|_| {
                    Why::not(text, "` is not a limit")
                        .help("write a number, \"64M\", \"30s\" or \"unlimited\"")
                }),
        }
    }
    fn from_integer(number: i64) -> Option<Result<Value, Why>> {
        Some(
            u64::try_from(number)
                .map(Value::Number)
                .map_err(|_| Why::new("a limit cannot be negative")),
        )
    }
    fn write(&self) -> Spelled {
        match self {
            Value::Number(number) => match i64::try_from(*number) {
                Ok(number) => Spelled::Integer(number),
                Err(_) => Spelled::Text(number.to_string()),
            },
            Value::Size(size) => size.write(),
            Value::Time(time) => time.write(),
            Value::Unlimited => Spelled::Text("unlimited".into()),
        }
    }
    fn looks() -> Shape {
        Shape::Either(vec![Shape::names(["unlimited"]), Size::shape(), Time::shape()])
    }
}

/// A limit in the kernel's unit, as people read it.
pub(crate) fn shown(name: &str, raw: u64) -> String {
    let unit = TABLE.iter().find(|(known, ..)| *known == name).map(|(_, _, unit, _)| *unit);
    match unit {
        _ if raw == libc::RLIM_INFINITY => "unlimited".into(),
        Some(Unit::Bytes) => Size(raw).to_string(),
        Some(Unit::Time { micros }) => {
            Time(std::time::Duration::from_micros(raw.saturating_mul(micros))).to_string()
        }
        Some(Unit::Count) | None => raw.to_string(),
    }
}

impl Value {
    /// In the kernel's unit, or why it does not fit the limit.
    pub fn raw(self, unit: Unit) -> Result<u64, &'static str> {
        match (self, unit) {
            (Value::Unlimited, _) => Ok(libc::RLIM_INFINITY),
            (Value::Number(number), Unit::Count | Unit::Bytes) => Ok(number),
            (Value::Size(size), Unit::Bytes) => Ok(size.0),
            (Value::Time(time), Unit::Time { micros }) => {
                Ok(u64::try_from(time.0.as_micros()).unwrap_or(u64::MAX).div_ceil(micros))
            }
            (_, Unit::Count) => Err("it is a count, so write a bare number"),
            (_, Unit::Bytes) => Err("it is an amount of memory, so write a size such as \"64M\""),
            (_, Unit::Time { .. }) => {
                Err("it is a time, so write it with its unit, such as \"30s\"")
            }
        }
    }
}

impl Rlimit {
    /// The same limit in the unit that it has, where that is certain.
    fn meant(&self, unit: Unit) -> Option<String> {
        let one = |value: Value| match (value, unit) {
            (Value::Size(size), Unit::Count) => Some(size.0.to_string()),
            (Value::Number(number), Unit::Time { micros: 1_000_000 }) => {
                Some(format!("\"{number}s\""))
            }
            // `m` is for minutes.
            (Value::Time(time), Unit::Bytes) => {
                time.to_string().strip_suffix('m').map(|number| format!("\"{number}M\""))
            }
            (value, unit) => value.raw(unit).ok().map(|_| value.spell().to_string()),
        };
        let (soft, hard) = (one(self.soft)?, one(self.hard)?);
        Some(if soft == hard { soft } else { format!("{{ soft = {soft}, hard = {hard} }}") })
    }
}

table! {
    /// Two limits.
    struct Pair {
        /// What is in force; the target may raise it up to `hard`.
        soft: Value,
        /// The ceiling.
        hard: Value,
    }
}

impl Unit {
    /// What an entry in this unit looks like.
    fn shape(self) -> fn() -> Shape {
        match self {
            Unit::Count => || entry(u64::shape()),
            Unit::Bytes => || entry(Size::shape()),
            Unit::Time { .. } => || entry(Time::shape()),
        }
    }
}

/// One limit, or the pair of them.
fn entry(value: Shape) -> Shape {
    let value = vec![value, Shape::names(["unlimited"])];
    let mut pair = Pair::shape();
    pair.keys_mut().iter_mut().for_each(|key| key.shape = Shape::Either(value.clone()));
    Shape::Entry(Box::new(Shape::Either(value.into_iter().chain([pair]).collect())))
}

/// In any unit: which one it is, the name says.
impl Shaped for Rlimit {
    fn shape() -> Shape {
        Shape::either(&[Value::shape, Pair::shape])
    }
}

impl EntryType for Rlimit {
    type Keys = std::convert::Infallible;
    fn entries() -> Shape {
        let mut table = Table::new("One value for both limits, or the two.");
        for (name, _, unit, doc) in TABLE {
            table.add(name, doc, unit.shape(), Need::Optional);
        }
        Shape::Table(table)
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Size(size) => serializer.collect_str(size),
            Value::Time(time) => serializer.collect_str(time),
            Value::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

impl Read for Rlimit {
    fn read(node: &Node<'_>) -> Result<Rlimit, Wrongs> {
        const WHAT: &str = "a number, a size, a time, \"unlimited\", or { soft = .., hard = .. }";
        match node.get_ref() {
            DeValue::Table(_) => {
                Pair::read(node).map(|pair| Rlimit { soft: pair.soft, hard: pair.hard })
            }
            DeValue::String(_) | DeValue::Integer(_) => {
                Value::read_as(node, WHAT).map(|value| Rlimit { soft: value, hard: value })
            }
            _ => Err(mismatch(node, WHAT)),
        }
    }

    fn spell(&self) -> Toml {
        let Rlimit { soft, hard } = *self;
        if soft == hard { soft.spell() } else { Pair { soft, hard }.spell() }
    }
}

// ---- draft ----

/// What is set where the profile is silent. RLIMIT_CORE is 1, not 0: with a piped core_pattern the
/// kernel runs the host's helper at 0, and neither helper nor file at 1 (kernel commit
/// 725eae32df77; tried on 6.1 and 7.3).
const UNSAID: &[(&str, u64)] = &[("core", 1)];

/// Asks how far the caller may go.
pub(crate) fn ask(rlimits: &Rlimits, caller: &Caller, asks: &mut Questions) {
    if caller.uid != 0 && rlimits.iter().next().is_some() {
        asks.resources.get_or_insert_default().extend(resources(rlimits));
    }
}

/// The kernel's numbers of the limits that are set.
fn resources(rlimits: &Rlimits) -> impl Iterator<Item = u32> {
    rlimits
        .iter()
        .filter_map(|(name, _)| TABLE.iter().find(|(known, ..)| *known == name.value))
        .map(|(_, resource, ..)| *resource)
}

pub(crate) fn draft(rlimits: &Rlimits, host: &Host, draft: &mut Draft) {
    let names = || TABLE.iter().map(|(name, ..)| *name);
    for (name, limit) in rlimits.iter() {
        let Some((word, resource, unit, _)) = TABLE.iter().find(|(known, ..)| *known == name.value)
        else {
            let of_groups =
                OF_GROUPS.iter().find(|(known, _)| *known == name.value).map(|(word, own)| {
                    format!("`{word}` is a key of [limits]; for each process alone: {own}")
                });
            let help = of_groups.or_else(|| suggestion(name.value, names())).unwrap_or_else(|| {
                format!("the limits are {}", names().collect::<Vec<_>>().join(", "))
            });
            draft.problem(
                Problem::new(
                    "rlimits::unknown",
                    name.at,
                    format!("cannot set `{}`: there is no limit of that name", name.value),
                )
                .help(help),
            );
            continue;
        };
        let (soft, hard) = match (limit.soft.raw(*unit), limit.hard.raw(*unit)) {
            (Ok(soft), Ok(hard)) => (soft, hard),
            (Err(why), _) | (_, Err(why)) => {
                let guess = limit.meant(*unit).map(|value| format!("write {word} = {value}"));
                draft.problem(
                    Problem::new("rlimits::unit", limit.at, format!("cannot set `{word}`: {why}"))
                        .guess(limit.at, guess),
                );
                continue;
            }
        };
        if soft > hard {
            draft.problem(Problem::new(
                "rlimits::soft",
                limit.at,
                format!("cannot set `{word}`: the soft limit is above the hard one"),
            ));
            continue;
        }
        let op = ProcessOp::Rlimit { name: word, resource: *resource, soft, hard };
        bounds::step(Stage::Process, op, limit.at, host, draft);
    }
    for (word, value) in UNSAID {
        if let (None, Some((word, resource, ..))) =
            (rlimits.get(word), TABLE.iter().find(|(known, ..)| known == word))
        {
            let (soft, hard) = (*value, *value);
            let op = ProcessOp::Rlimit { name: word, resource: *resource, soft, hard };
            bounds::step(Stage::Process, op, Span::NOWHERE, host, draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_limits_own() {
        assert_eq!(
            Value::Time(Time::from_text("1500ms").unwrap()).raw(Unit::Time { micros: 1_000_000 }),
            Ok(2)
        );
        assert!(Value::Number(3).raw(Unit::Time { micros: 1 }).is_err());
        assert_eq!(Value::Unlimited.raw(Unit::Count), Ok(u64::MAX));
        assert_eq!(TABLE.len(), 16);
    }
}
