//! The filter in words, for `plan` and messages, and as JSON. It decides nothing.

use super::filter::{Compare, Filter, Rule, Source, Table, Test, Verdict, Width};
use crate::kernel::syscalls::Abi;
use nix::errno::Errno;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allow => f.write_str("allow"),
            Verdict::Log => f.write_str("log"),
            Verdict::Trace => f.write_str("trace"),
            Verdict::Notify => f.write_str("notify"),
            Verdict::Errno(errno) => match Errno::from_raw(*errno) {
                Errno::UnknownErrno => write!(f, "errno {errno}"),
                known => write!(f, "{known:?}"),
            },
            Verdict::Trap => f.write_str("trap"),
            Verdict::KillThread => f.write_str("kill-thread"),
            Verdict::KillProcess => f.write_str("kill"),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Policy => "policy",
            Source::Families => "families",
            Source::Allow => "allow",
            Source::Rules => "rules",
            Source::Deny => "deny",
        })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argument = match self.width {
            Width::Low => format!("u32(arg{})", self.argument),
            Width::Full => format!("arg{}", self.argument),
        };
        let masked = |mask: &u64| {
            if *mask == u64::MAX { argument.clone() } else { format!("{argument} & {mask:#x}") }
        };
        let listed = |values: &[u64]| {
            values.iter().map(|value| format!("{value:#x}")).collect::<Vec<_>>().join(", ")
        };
        match &self.compare {
            Compare::AnyBit { bits: u64::MAX } => write!(f, "{argument} != 0"),
            Compare::AnyBit { bits } => write!(f, "{argument} & {bits:#x} != 0"),
            Compare::OneOf { mask, values } if values.len() == 1 => {
                write!(f, "{} == {}", masked(mask), listed(values))
            }
            Compare::OneOf { mask, values } => {
                write!(f, "{} in {{{}}}", masked(mask), listed(values))
            }
            Compare::NoneOf { mask, values } if values.len() == 1 => {
                write!(f, "{} != {}", masked(mask), listed(values))
            }
            Compare::NoneOf { mask, values } => {
                write!(f, "{} not in {{{}}}", masked(mask), listed(values))
            }
            Compare::Between { low, high } => write!(f, "{argument} in {low:#x}..={high:#x}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let tests: Vec<String> = case.tests.iter().map(Test::to_string).collect();
            write!(f, "{} if {}; ", case.verdict, tests.join(" and "))?;
        }
        write!(f, "{}{}", if self.cases.is_empty() { "" } else { "else " }, self.otherwise)
    }
}

impl Table {
    /// The name of a number, or the number where it has none.
    pub fn call_name(&self, number: u32) -> String {
        self.abi.name(number).map_or_else(|| number.to_string(), str::to_owned)
    }
}

/// One line for each rule with tests, and a list for each verdict.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain: BTreeMap<Verdict, Vec<String>> = BTreeMap::new();
        for (number, rule) in self.rules() {
            match rule.cases.as_slice() {
                [] => plain.entry(rule.otherwise).or_default().push(self.call_name(number)),
                _ => writeln!(f, "{}: {rule}", self.call_name(number))?,
            }
        }
        for (verdict, mut names) in plain {
            names.sort_unstable();
            writeln!(f, "{verdict}: {}", names.join(" "))?;
        }
        write!(f, "{}: any other number", self.unknown())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.native)?;
        for table in &self.others {
            write!(f, "\n{}:\n{table}", table.abi.word())?;
        }
        if self.table(Abi::X32).is_none() && cfg!(target_arch = "x86_64") {
            f.write_str("\nENOSYS: x32")?;
        }
        f.write_str("\nkill: any other architecture")
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rules().map(|(number, rule)| (self.call_name(number), rule)))
    }
}

/// The native table, call by call; other architectures have a record of their own (see `plan
/// --format json`).
impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.native.serialize(serializer)
    }
}
