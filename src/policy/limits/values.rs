//! The kinds of value of `[limits]`, each parsed once.

use crate::language::read::{Node, Read, Why, Wrongs, float, integer, map, mismatch, spell_map};
use crate::language::shape::{Named, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::{
    Size, Spelled, Written, bounded, plain_path, share, share_shape, words,
};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// A hundredth of what there is, so many times.
    Percent(u64),
    Unlimited,
}

impl Written for Amount {
    const WHAT: &'static str = "a size such as \"512M\", a share such as \"50%\", or \"unlimited\"";
    fn from_text(text: &str) -> Result<Amount, Why> {
        if text == "unlimited" {
            return Ok(Amount::Unlimited);
        }
        if let Some(share) = share(text) {
            return share.map(|percent| Amount::Percent(percent.into()));
        }
        Size::from_text(text).map(|size| Amount::Bytes(size.0))
    }
    fn from_integer(number: i64) -> Option<Result<Amount, Why>> {
        Size::from_integer(number).map(|size| size.map(|size| Amount::Bytes(size.0)))
    }
    fn write(&self) -> Spelled {
        match self {
            Amount::Bytes(bytes) => Size(*bytes).write(),
            Amount::Percent(percent) => Spelled::Text(format!("{percent}%")),
            Amount::Unlimited => Spelled::Text("unlimited".into()),
        }
    }
    fn looks() -> Shape {
        Shape::Either(vec![Size::shape(), share_shape(), Shape::names(["unlimited"])])
    }
}

/// The kernel has no more processes, and takes no greater number (linux/threads.h; pids.c,
/// pids_max_write).
const PID_MAX_LIMIT: u64 = 4_194_304;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Number(u64),
    Unlimited,
}

impl Written for Count {
    const WHAT: &'static str = "a number from 1, or \"unlimited\"";
    fn from_text(text: &str) -> Result<Count, Why> {
        if text == "unlimited" {
            Ok(Count::Unlimited)
        } else {
            Err(Why::not(text, "` is not a number")
                .help("write it without quotes, or \"unlimited\""))
        }
    }
    fn from_integer(number: i64) -> Option<Result<Count, Why>> {
        let good = u64::try_from(number).ok().filter(|number| (1..=PID_MAX_LIMIT).contains(number));
        Some(good.map(Count::Number).ok_or_else(|| {
            let range =
                format!(" is out of range: expected 1 to {PID_MAX_LIMIT}, or \"unlimited\"");
            Why::of("", number.to_string(), range)
        }))
    }
    fn write(&self) -> Spelled {
        match self {
            Count::Number(number) => Spelled::Integer(*number as i64),
            Count::Unlimited => Spelled::Text("unlimited".into()),
        }
    }
    fn looks() -> Shape {
        Shape::Either(vec![Shape::Integer(1, PID_MAX_LIMIT as i64), Shape::names(["unlimited"])])
    }
}

/// Processors, in thousandths; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores(pub Option<u64>);

impl Read for Cores {
    fn read(node: &Node<'_>) -> Result<Cores, Wrongs> {
        const WHAT: &str = "a number of processors such as 1.5, or \"unlimited\"";
        let number = match node.get_ref() {
            DeValue::String(text) if text == "unlimited" => return Ok(Cores(None)),
            DeValue::String(text) => {
                return Err(Why::not(text, "` is not a number of processors")
                    .help("write cpu = 1.5; for certain processors cpu-set = \"0-1\"")
                    .at(node));
            }
            DeValue::Integer(number) => integer(number).map(|number| number as f64),
            DeValue::Float(number) => float(number),
            _ => None,
        };
        let number = number.ok_or_else(|| mismatch(node, WHAT))?;
        // The kernel's least quota is 1ms of each 100ms.
        if (0.01..=10_000.0).contains(&number) {
            return Ok(Cores(Some((number * 1000.0).round() as u64)));
        }
        let range = " processors are out of range: expected 0.01 to 10000";
        Err(Why::of("", number.to_string(), range).at(node))
    }

    fn spell(&self) -> Toml {
        match self.0 {
            None => Toml::word("unlimited"),
            Some(thousandths) => {
                let number = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
                Toml::bare(number.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

bounded! {
    /// A weight on version 2's scale.
    Weight(u64) = 1..=10_000, "a number from 1 to 10000"
}

/// Numbers and ranges of them, as the kernel writes them (cpuset(7), "List format").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberList(pub String);

impl Written for NumberList {
    const WHAT: &'static str = "a list of numbers such as \"0-3,6\"";
    fn from_text(text: &str) -> Result<NumberList, Why> {
        let number = |text: &str| {
            text.parse::<u32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let good = text.split(',').all(|part| match part.split_once('-') {
            Some((first, last)) => {
                number(first).zip(number(last)).is_some_and(|(first, last)| first <= last)
            }
            None => number(part).is_some(),
        });
        if good {
            Ok(NumberList(text.into()))
        } else {
            Err(Why::not(text, "` is not a list of numbers").help("write such as \"0-3,6\""))
        }
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn from_integer(number: i64) -> Option<Result<NumberList, Why>> {
        Some(NumberList::from_text(&number.to_string()))
    }
    fn looks() -> Shape {
        Shape::Either(vec![
            Shape::form(
                "a list of numbers such as `\"0-3,6\"`",
                "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$",
            ),
            Shape::Integer(0, u32::MAX.into()),
        ])
    }
}

/// The numbers of a list, as far as a machine can have them; of what is none, nothing.
pub(crate) fn numbers(list: &str) -> impl Iterator<Item = u32> {
    list.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let ends = first.parse::<u32>().ok().zip(last.parse::<u32>().ok());
        ends.map(|(first, last)| first..=last.min(first.saturating_add(65_536)))
            .into_iter()
            .flatten()
    })
}

words! {
    /// Whom the kernel's memory killer ends.
    Oom {
        /// One process, as the kernel chooses.
        KillOne = "kill-one",
        /// All of the sandbox.
        KillAll = "kill-all",
    }
}
words! {
    /// Who makes the group.
    Manager {
        /// Stockade where it may, else the user's systemd.
        Auto = "auto",
        /// Stockade.
        Direct = "direct",
        /// Systemd.
        Systemd = "systemd",
    }
}

/// The path of a group below the top of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPath(pub String);

impl Written for GroupPath {
    const WHAT: &'static str = "the path of a group such as \"/jobs\"";
    fn from_text(text: &str) -> Result<GroupPath, Why> {
        plain_path(text).map(GroupPath).map_err(|_| {
            Why::not(text, "` is not the path of a group").help(
                "write it from the top of the hierarchy, as /proc/self/cgroup does: \"/jobs\"",
            )
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.clone())
    }
    fn looks() -> Shape {
        Shape::form("the path of a group", "^/")
    }
}

/// A class of network packets, as tc(8) has it: two hexadecimal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassId(pub u32);

impl Written for ClassId {
    const WHAT: &'static str = "a class such as \"10:1\"";
    fn from_text(text: &str) -> Result<ClassId, Why> {
        let half = |text: &str| {
            u16::from_str_radix(text, 16)
                .ok()
                .filter(|_| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let id = text.split_once(':').and_then(|(major, minor)| {
            Some(u32::from(half(major)?) << 16 | u32::from(half(minor)?))
        });
        id.map(ClassId).ok_or_else(|| {
            Why::not(text, "` is not a class")
                .help("write two hexadecimal numbers as tc does, such as \"10:1\"")
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(format!("{:x}:{:x}", self.0 >> 16, self.0 & 0xffff))
    }
    fn looks() -> Shape {
        Shape::form("a class such as `\"10:1\"`", "^[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}$")
    }
}

table! {
    /// What a block device may be asked for in a second.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct IoLimits {
        /// Bytes read.
        pub read_bytes: Option<Size>,
        /// Bytes written.
        pub write_bytes: Option<Size>,
        /// Operations of reading.
        pub read_ops: Option<Rate>,
        /// Operations of writing.
        pub write_ops: Option<Rate>,
        /// The share of it when others want it.
        pub weight: Option<Weight>,
    }
}

/// The kernel counts in 32 bits, of which version 1 drops the rest without a word; all of them set
/// are no limit (blk-throttle.c).
const MOST_OPS: u64 = u32::MAX as u64 - 1;

bounded! {
    /// So many in a second.
    Rate(u64) = 1..=MOST_OPS as i64, "a number from 1", "", " is out of range: expected 1 to 4294967294"
}

/// By block device, or by a path on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoDevices(pub BTreeMap<String, IoLimits>);

/// By the size of a huge page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugePages(pub BTreeMap<String, Size>);

/// By the name of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub BTreeMap<String, String>);

/// Tables of the profile's own names.
macro_rules! maps {
    ($($name:ident),+) => { $(
        impl Read for $name {
            fn read(node: &Node<'_>) -> Result<$name, Wrongs> {
                map(node).map($name)
            }
            fn spell(&self) -> Toml {
                spell_map(&self.0)
            }
        }
    )+ };
}

maps!(IoDevices, HugePages, Raw);

fn named(doc: &'static str, name: &'static str, form: &'static str, value: Shape) -> Shape {
    Shape::Named(Named { doc, name, form, fills: false, value: Box::new(value) })
}

impl Shaped for IoDevices {
    fn shape() -> Shape {
        named("By block device, or by a path on one.", "DEVICE", "^/", IoLimits::shape())
    }
}

impl Shaped for HugePages {
    fn shape() -> Shape {
        named("By the size of a huge page.", "SIZE", "^[0-9]+[KMG]B?$", Size::shape())
    }
}

impl Shaped for Raw {
    fn shape() -> Shape {
        named("By the name of the file.", "FILE", "^[a-z_]+\\.", Shape::Text)
    }
}

impl Shaped for Cores {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Number("0.01", "10000"), Shape::names(["unlimited"])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_refuses_what_the_kernel_would() {
        assert_eq!(Amount::from_text("50%"), Ok(Amount::Percent(50)));
        assert!(
            Amount::from_text("0%").is_err()
                && Amount::from_text("101%").is_err()
                && Amount::from_text("+5%").is_err()
        );
        assert_eq!(Count::from_integer(0).map(|count| count.is_err()), Some(true));
        assert_eq!(Count::from_integer(4_194_305).map(|count| count.is_err()), Some(true));
        assert_eq!(
            [4_294_967_294, 4_294_967_295]
                .map(|rate| Rate::from_integer(rate).map(|rate| rate.is_ok())),
            [Some(true), Some(false)]
        );
        assert!(NumberList::from_text("0-3,6").is_ok());
        assert!(
            ["", "a", "3-1", "1,", "+1", "0- 3"]
                .iter()
                .all(|text| NumberList::from_text(text).is_err())
        );
        assert_eq!(numbers("0-2,5\n").collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(ClassId::from_text("10:1"), Ok(ClassId(0x0010_0001)));
        assert!(ClassId::from_text("+1:1").is_err() && ClassId::from_text("10").is_err());
        assert!(GroupPath::from_text("/a/../b").is_err() && GroupPath::from_text("a").is_err());
    }
}
