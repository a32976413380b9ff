//! `[limits]`: what the sandbox as a whole may use, by control groups (cgroups(7)), version 1 or 2,
//! whichever the machine has.
//!
//! [`values`] are the kinds of value, [`controllers`] is the table of the kernel's files,
//! [`mod@draft`] makes steps of it.

pub(crate) mod controllers;
mod draft;
mod files;
pub(crate) mod manager;
pub(crate) mod place;
mod refusals;
pub(crate) mod values;

use crate::kernel::controller::Controller;
use crate::kernel::limit::LimitKey;
use crate::language::fill::Fill;
use crate::language::layers::{Changes, Said};
use crate::language::read::{Node, Read};
use crate::language::reader::Reader;
use crate::language::section::{Field, Set, nothing_to_remove, section};
use crate::language::shape::{Need, Shape, Shaped};
use crate::language::spelled::Toml;
use crate::language::value::{Size, Time};
use crate::text::problem::Problems;
use crate::text::source::{At, Span};
pub(crate) use draft::{Asked, Grouped, draft};
use toml::de::DeValue;
use values::{
    Amount, ClassId, Cores, Count, GroupPath, HugePages, IoDevices, Manager, NumberList, Oom, Raw,
    Weight,
};

section! {
    /// `[limits]`: what the sandbox as a whole may use. Each key goes with `false` in a stronger
    /// layer.
    pub struct Limits {
        /// The most memory: a size, a share of what there is such as `"50%"`, or `"unlimited"`. It
        /// means no swap, unless `memory-swap` says so.
        memory: Limit<Amount>,
        /// From where on the target is slowed down and its memory reclaimed (version 2).
        memory_high: Limit<Amount>,
        /// The most swap, by itself; default with `memory`: none.
        memory_swap: Limit<Amount>,
        /// What is taken from it last when memory is short (version 1:
        /// `memory.soft_limit_in_bytes`).
        memory_low: Limit<Size>,
        /// What is never taken from it (version 2).
        memory_min: Limit<Size>,
        /// Whom the kernel's memory killer ends at the limit: `"kill-one"` process (the default),
        /// or `"kill-all"` of the sandbox.
        oom: Limit<Oom>,
        /// The most processes and threads; stockade's pid 1 is one of them.
        pids: Limit<Count>,
        /// Processor time for each time that passes: `1.5` is one processor and a half.
        cpu: Limit<Cores>,
        /// How much of that may be saved up: a time on one processor, at most what `cpu` gives in
        /// 100ms.
        cpu_burst: Limit<Time>,
        /// The share of the processors when others want them, 1 to 10000; the kernel's is 100.
        cpu_weight: Limit<Weight>,
        /// The processors, such as `"0-3,6"`.
        cpu_set: Limit<NumberList>,
        /// The memory nodes, such as `"0"`.
        memory_nodes: Limit<NumberList>,
        /// The most processor time of all processes together; then the sandbox is ended with status
        /// 124.
        cpu_time: Limit<Time>,
        /// By block device, or by any path on it:
        /// `{ read-bytes = "10M", write-bytes = "5M", read-ops = 100, write-ops = 50, weight = 200 }`,
        /// each for a second.
        io: Limit<IoDevices>,
        /// The share of the disks when others want them, 1 to 10000; the kernel's is 100.
        io_weight: Limit<Weight>,
        /// Huge pages, by their size: `{ "2M" = "64M" }`.
        hugetlb: Limit<HugePages>,
        /// The class of network packets, such as `"10:1"` (version 1).
        net_class: Limit<ClassId>,
        /// Any other file of a controller: `{ "memory.swappiness" = "10" }`.
        raw: Limit<Raw>,
        /// Further controllers to be in: for their accounts, `"freezer"` to be frozen, `"devices"`
        /// to use no node that `[mounts]` does not grant.
        controllers: Set<Controller>,
        /// The group that the sandbox's is made in, as a path in the hierarchies; default: the
        /// launcher's own.
        parent: Limit<GroupPath>,
        /// Who makes the group: stockade (`"direct"`), systemd on request (`"systemd"`: the user's
        /// own, root's is the system's), or, by default, `"auto"`: stockade where it may, else the
        /// user's systemd.
        manager: Limit<Manager>,
    }
}

/// Every limit by its key, but for what is no limit: `controllers`, `parent`, `manager`.
macro_rules! all {
    ($limits:ident $(, $mutable:tt)?) => {
        all!(@ $limits ($($mutable)?) Memory memory, MemoryHigh memory_high, MemorySwap memory_swap,
            MemoryLow memory_low, MemoryMin memory_min, Oom oom, Pids pids, Cpu cpu,
            CpuBurst cpu_burst, CpuWeight cpu_weight, CpuSet cpu_set, MemoryNodes memory_nodes,
            CpuTime cpu_time, Io io, IoWeight io_weight, Hugetlb hugetlb, NetClass net_class,
            Raw raw)
    };
    (@ $limits:ident () $($key:ident $field:ident),+) => {
        [$((LimitKey::$key, &$limits.$field as &dyn AnyLimit)),+]
    };
    (@ $limits:ident (mut) $($key:ident $field:ident),+) => {
        [$((LimitKey::$key, &mut $limits.$field as &mut dyn AnyLimit)),+]
    };
}

impl Limits {
    /// Whether the profile speaks of it at all. Where it does not, nothing of the machine is read.
    pub fn is_used(&self) -> bool {
        !self.controllers.items.is_empty() || self.wanted().next().is_some()
    }

    /// Each limit that is set, by its key, with its place and whether it is optional.
    pub fn wanted(&self) -> impl Iterator<Item = (LimitKey, Wanted)> {
        all!(self).into_iter().filter_map(|(key, limit)| {
            limit
                .said()
                .map(|(at, may_fall)| (key, Wanted { what: What::Limit(key), at, may_fall }))
        })
    }

    /// Makes every limit of one file optional, as its `optional` says.
    pub fn let_fall(&mut self) {
        for (_, limit) in all!(self, mut) {
            limit.let_fall();
        }
    }
}

/// What the profile needs of a control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Limit(LimitKey),
    /// To be in the group of a controller.
    Controller(Controller),
}

impl What {
    /// The profile's word.
    pub fn word(self) -> &'static str {
        match self {
            What::Limit(key) => key.word(),
            What::Controller(controller) => controller.word(),
        }
    }
}

/// A limit that the profile sets, or a controller that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub what: What,
    pub at: Span,
    /// Whether the file that sets it says that it is optional.
    pub may_fall: bool,
}

/// What all limits have in common, whatever their value.
trait AnyLimit {
    fn said(&self) -> Option<(Span, bool)>;
    fn let_fall(&mut self);
}

impl<T> AnyLimit for Limit<T> {
    fn said(&self) -> Option<(Span, bool)> {
        self.get().map(|value| (value.at, self.may_fall))
    }
    fn let_fall(&mut self) {
        self.may_fall = true;
    }
}

/// A limit: replaced whole by a stronger layer, removed by `false`.
#[derive(Debug, Clone)]
pub struct Limit<T> {
    value: Option<At<T>>,
    removed: Option<Span>,
    may_fall: bool,
}

impl<T> Default for Limit<T> {
    fn default() -> Limit<T> {
        Limit { value: None, removed: None, may_fall: false }
    }
}

impl<T> Limit<T> {
    /// The value, where one is set.
    pub fn get(&self) -> Option<&At<T>> {
        self.value.as_ref()
    }

    /// Where it is set, or nowhere.
    pub fn at(&self) -> Span {
        self.get().map_or(Span::NOWHERE, |value| value.at)
    }
}

impl<T: Shaped> Shaped for Limit<T> {
    const NEED: Need = Need::Optional;
    fn shape() -> Shape {
        Shape::within(Shape::Entry, T::shape)
    }
}

impl<T: Read> Field for Limit<T> {
    const FILL: Fill = T::FILL.of_key();

    fn read(&mut self, key: At<&str>, node: &Node<'_>, reader: &mut Reader<'_>) {
        let at = Span::from(node.span());
        if matches!(node.get_ref(), DeValue::Boolean(false)) {
            self.removed = Some(at);
        } else {
            self.value = reader.value(key, node).map(|value| At::new(value, at));
        }
    }

    fn spell(&self) -> Option<Toml> {
        let removed = self.removed.map(|_| Toml::bare(false));
        self.get().map(|value| value.value.spell()).or(removed)
    }

    fn cover(&mut self, upper: Self, problems: &mut Problems) {
        match (upper.value, upper.removed) {
            (Some(value), _) => {
                *self = Limit { value: Some(value), removed: None, may_fall: upper.may_fall }
            }
            (None, Some(at)) if self.value.is_none() => {
                problems.push(nothing_to_remove("the limit", at, [].into_iter()))
            }
            (None, Some(_)) => *self = Limit::default(),
            (None, None) => {}
        }
    }

    fn trace(&self, upper: &Self, changes: &mut Changes) {
        let said = match (upper.get(), upper.removed) {
            (Some(value), _) => Said::Value(value.at),
            (None, Some(at)) => Said::Removal(at),
            (None, None) => Said::Nothing,
        };
        changes.lay(None, said, self.at());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_row() {
        let mut limits = Limits::default();
        let rows: Vec<&str> = all!(limits, mut).iter().map(|(key, _)| key.word()).collect();
        let mut keys: Vec<String> = Limits::KEYS.iter().map(|key| key.name()).collect();
        keys.retain(|key| !["controllers", "parent", "manager"].contains(&key.as_str()));
        assert_eq!(rows, keys);
    }
}
