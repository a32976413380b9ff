//! A plan as bytes, to be read back by another process: the registry's entry of a running sandbox
//! holds it.
//!
//! The bytes mean what the plan means, but for texts that came from the caller's environment: those
//! become [`Content::Withheld`]. What is read is taken for no more than bytes: whatever is wrong
//! with them, there is no plan.
//!
//! Names of variants are spelled out. The first line names what each type is made of, so bytes of
//! another version, in which that is different, are none of ours.
//!
//! It is one file, so that each type that a plan is made of is named once, in one list.

use super::Plan;
use crate::host::streams::Anew;
use crate::host::systemd::Route;
use crate::kernel::attrs::Attrs;
use crate::kernel::capability::CapabilitySet;
use crate::kernel::controller::{Controller, Version};
use crate::kernel::device::Node;
use crate::kernel::idmap::{Extent, Maps, MountMap};
use crate::kernel::name::{Inode, Name};
use crate::kernel::namespace::Kind;
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::kernel::syscalls::Abi;
use crate::language::value::{AbsolutePath, Mode, Room};
use crate::policy::env::Setting;
use crate::policy::identity::Ids;
use crate::policy::landlock::Ruleset;
use crate::policy::limits::Grouped;
use crate::policy::namespaces::{Choice, Namespace};
use crate::policy::process::{Exec, Terminal, Watch};
use crate::policy::rlimits;
use crate::policy::seccomp::{
    Case, Compare, Filter, Notifications, Rule, Source, Table, Test, Verdict, Width,
};
use crate::step::{
    Content, Cover, Directory, FileSystem, Ground, GroupOp, InLayer, Kernel, Made, Op, OutsideOp,
    Owned, ProcessOp, Slot, Stage, Step, TreeOp, UpperPlace,
};
use crate::text::gather::Gather;
use crate::text::problem::Note;
use crate::text::source::Span;
use std::collections::BTreeMap;

/// The plan as bytes.
pub fn store(plan: &Plan) -> Vec<u8> {
    let bytes = Vec::with_capacity(16 << 10);
    let mut out = Output { bytes, private: &plan.private, is_private: false };
    STAMP.store(&mut out);
    plan.store(&mut out);
    out.bytes
}

/// The plan that these bytes are, if they are one of this version's.
pub fn restore(bytes: &[u8]) -> Option<Plan> {
    let mut from = Input(bytes);
    if u64::restore(&mut from)? != STAMP {
        return None;
    }
    let plan = Plan::restore(&mut from)?;
    from.0.is_empty().then_some(plan)
}

/// What is written so far.
struct Output<'p> {
    bytes: Vec<u8>,
    /// The parts of the profile that came from the caller's environment.
    private: &'p [Span],
    /// Whether a line of these asks for what is written now.
    is_private: bool,
}

impl Output<'_> {
    /// What a line asks for.
    fn of_line(&mut self, at: Span, store: impl FnOnce(&mut Self)) {
        self.is_private = self.private.iter().any(|private| private.meets(at));
        store(self);
        self.is_private = false;
    }
}

/// What is left to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::restore(self)?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

trait Stored: Sized {
    fn store(&self, out: &mut Output<'_>);
    fn restore(from: &mut Input<'_>) -> Option<Self>;
}

// ---- numbers, texts, lists ----

impl Stored for u64 {
    /// Seven bits to a byte, the lowest first.
    fn store(&self, out: &mut Output<'_>) {
        let mut left = *self;
        while left > 0x7f {
            out.bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.bytes.push(left as u8);
    }

    fn restore(from: &mut Input<'_>) -> Option<u64> {
        // Almost all take one byte.
        if let [byte @ ..=0x7f, rest @ ..] = from.0 {
            from.0 = rest;
            return Some(u64::from(*byte));
        }
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(*from.take(1)?.first()?);
            let bits = byte & 0x7f;
            number |= bits << shift;
            if bits << shift >> shift != bits {
                return None;
            }
            if byte <= 0x7f {
                return Some(number);
            }
        }
        None
    }
}

/// Numbers that are written as another type, in which every one of theirs has a place.
macro_rules! as_other {
    ($($number:ty as $other:ty),+) => {
        $(impl Stored for $number {
            fn store(&self, out: &mut Output<'_>) {
                (*self as $other).store(out);
            }
            fn restore(from: &mut Input<'_>) -> Option<$number> {
                let wide = <$other>::restore(from)?;
                let number = wide as $number;
                (number as $other == wide).then_some(number)
            }
        })+
    };
}
as_other!(u8 as u64, u16 as u64, u32 as u64, usize as u64, i32 as i64, i64 as u64);

impl Stored for bool {
    fn store(&self, out: &mut Output<'_>) {
        out.bytes.push(u8::from(*self));
    }

    fn restore(from: &mut Input<'_>) -> Option<bool> {
        match from.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

impl Stored for String {
    fn store(&self, out: &mut Output<'_>) {
        store_text(self, out);
    }

    fn restore(from: &mut Input<'_>) -> Option<String> {
        from.text().map(str::to_owned)
    }
}

fn store_text(text: &str, out: &mut Output<'_>) {
    text.len().store(out);
    out.bytes.extend(text.as_bytes());
}

impl Stored for Name {
    fn store(&self, out: &mut Output<'_>) {
        store_text(self.text(), out);
    }

    fn restore(from: &mut Input<'_>) -> Option<Name> {
        from.text().filter(|text| !text.contains('\0')).map(Name::new)
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn store(&self, out: &mut Output<'_>) {
        self.len().store(out);
        self.iter().for_each(|item| item.store(out));
    }

    /// Every item takes a byte at least, so a count that lies ends with the bytes.
    fn restore(from: &mut Input<'_>) -> Option<Vec<T>> {
        let mut items = vec![];
        for _ in 0..usize::restore(from)? {
            items.push(T::restore(from)?);
        }
        Some(items)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn store(&self, out: &mut Output<'_>) {
        self.is_some().store(out);
        self.iter().for_each(|value| value.store(out));
    }

    fn restore(from: &mut Input<'_>) -> Option<Option<T>> {
        if bool::restore(from)? { T::restore(from).map(Some) } else { Some(None) }
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn store(&self, out: &mut Output<'_>) {
        self.0.store(out);
        self.1.store(out);
    }

    fn restore(from: &mut Input<'_>) -> Option<(A, B)> {
        Some((A::restore(from)?, B::restore(from)?))
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn store(&self, out: &mut Output<'_>) {
        self.len().store(out);
        for (key, value) in self {
            key.store(out);
            value.store(out);
        }
    }

    fn restore(from: &mut Input<'_>) -> Option<BTreeMap<K, V>> {
        Vec::<(K, V)>::restore(from).map(|pairs| pairs.into_iter().gather())
    }
}

// ---- what a plan is made of ----

/// Lists what types are made of. The compiler holds each list against its type: nothing can be left
/// out, or added.
macro_rules! stored {
    ($(
        $sort:ident $name:ident {
            $($item:ident $({ $($field:ident),* $(,)? })? $(( $($part:ident),* ))?),* $(,)?
        }
    )+) => {
        /// What the types are made of, and the version that says what that means.
        const STAMP: u64 = stamp(concat!(
            env!("CARGO_PKG_VERSION"),
            $(stringify!($name), " ",
                $(stringify!($item), $($("/", stringify!($field),)*)? $($("/", stringify!($part),)*)? " ",)*
            )+
        ).as_bytes());

        $(stored! { @ $sort $name {
            $($item $({ $($field),* })? $(( $($part),* ))?),*
        } })+
    };
    (@ structure $name:ident { $($field:ident),* }) => {
        impl Stored for $name {
            fn store(&self, out: &mut Output<'_>) {
                let $name { $($field),* } = self;
                $($field.store(out);)*
            }
            fn restore(from: &mut Input<'_>) -> Option<$name> {
                Some($name { $($field: Stored::restore(from)?),* })
            }
        }
    };
    (@ number $name:ident { $value:ident }) => {
        impl Stored for $name {
            fn store(&self, out: &mut Output<'_>) {
                let $name($value) = self;
                $value.store(out);
            }
            fn restore(from: &mut Input<'_>) -> Option<$name> {
                Stored::restore(from).map($name)
            }
        }
    };
    (@ choice $name:ident {
        $($variant:ident $({ $($field:ident),* })? $(( $($part:ident),* ))?),*
    }) => {
        impl Stored for $name {
            fn store(&self, out: &mut Output<'_>) {
                match self {
                    $($name::$variant $({ $($field),* })? $(( $($part),* ))? => {
                        store_text(stringify!($variant), out);
                        $($($field.store(out);)*)?
                        $($($part.store(out);)*)?
                    })*
                }
            }
            fn restore(from: &mut Input<'_>) -> Option<$name> {
                match from.text()? {
                    $(stringify!($variant) => Some($name::$variant
                        $({ $($field: Stored::restore(from)?),* })?
                        $(( $({ let $part = Stored::restore(from)?; $part }),* ))?
                    ),)*
                    _ => None,
                }
            }
        }
    };
}

/// FNV-1a.
const fn stamp(bytes: &[u8]) -> u64 {
    let (mut hash, mut index) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}

stored! {
    structure Plan {
        groups, steps, outside, new, choice, ids, root, landlock, filter, notifications, exec, watch, grouped,
        closed_streams, slots, notes, private, profiles,
    }
    structure Ids {
        user, group, groups, host_user, host_group, maps, needs_idmap, reads_all, held, single, groups_stay, home, at,
    }
    structure Maps { uid, gid, helpers, deny_setgroups }
    structure Extent { inside, outside, count }
    structure Owned { mode, owner }
    structure MountMap { uid, gid }
    structure Ruleset { abi, handled, ports, scoped }
    structure Filter { native, others }
    structure Rule { cases, otherwise }
    structure Case { tests, verdict }
    structure Test { argument, width, compare }
    structure Exec { candidates, argv, env, at }
    structure Watch { init, terminal, terminals, timeout_ms, kill_after_ms, stop_signal }
    structure Grouped { group, directories, cpu_time_ms }
    structure Note { less, left_out, counts, text, what, at }
    structure Span { start, end }
    structure Made { mode, append }
    structure Inode { dev, ino }
    structure UpperPlace { slot, upper, work, volatile }
    structure Node { block, major, minor }
    number AbsolutePath { path }
    number Attrs { bits }
    number CapabilitySet { bits }
    number Mode { bits }
    number Rights { bits }
    number Slot { place }
    choice Room { Bytes(bytes), Percent(percent) }
    choice Stage {
        Aside, Limits, Terminal, Join, Uppers, Outside, Group, Sources, Enter, Ids, World, Pivot, Rules,
        Identity, Process, Landlock, Seccomp,
    }
    choice Kind { User, Mount, Pid, Net, Ipc, Uts, Cgroup, Time }
    choice Namespace { New, Host, Join(file) }
    choice Abi { Native, X86, X32 }
    choice Verdict { Allow, Log, Trace, Notify, Errno(errno), Trap, KillThread, KillProcess }
    choice Width { Low, Full }
    choice Compare {
        AnyBit { bits },
        OneOf { mask, values },
        NoneOf { mask, values },
        Between { low, high },
    }
    choice Source { Policy, Families, Allow, Rules, Deny }
    choice Notifications { Nothing, Notified, Everything }
    choice Terminal { None, Kept, Apart }
    choice Version { V1, V2 }
    choice Controller {
        Cpu, Cpuacct, Cpuset, Memory, Io, Pids, Hugetlb, NetClass, Devices, Freezer,
    }
    choice Route { Private, Bus }
    choice Anew { Device, Controlling }
    choice HidePid { Off, NoAccess, Invisible }
    choice Ground { Own, Bound }
    choice Cover { Directory, File }
    choice Directory { Path(path), Scope }
    choice FileSystem { Tmpfs { size, inodes, mode }, Kernel(kernel) }
    choice Kernel { Proc { hidepid, only_processes }, Devpts, Mqueue, Sysfs }
    choice Op { Tree(op), Process(op) }
    choice GroupOp {
        Scope { socket, route },
        Group { slot, version, controllers, directory },
        StepAside { directory },
        SwitchOn { directory, controllers },
        GroupLimit { slot, controller, file, value, may_fall },
        DeviceRules { slot, version, nodes },
        WatchMemory { slot },
        CpuAccount { slot, version },
    }
    choice InLayer {
        Directory(owned),
        File,
        Whiteout,
    }
    choice OutsideOp {
        IdMapMount { slot, source, map },
        HoldIds { first, directory },
        Watch,
        EnterName { name, directory, profile },
        MapIds(maps),
        Undumpable,
        Go,
        Sweep { directories },
    }
    choice TreeOp {
        OpenTree { slot, source, inode, recursive, attrs },
        HostDirectory { slot, path, parent, made, name, inode, owner, masked },
        OpenMade { slot, made, path, attrs },
        HoldState { slot, directory, parent, owner },
        OpenState { slot, held, directory, attrs },
        PrivateMounts,
        Root { limits, attrs },
        Dir { path, mode },
        Symlink { path, target },
        File { path, content, mode },
        MountPoint { path },
        Mount { fs, path, attrs, ground, rights },
        Attach { slot, path, ground, rights },
        Lay { slot, source },
        OwnLayer { slot, top },
        InLayer { slot, path, what },
        Upper { slot, size, inodes },
        UpperInRoot { slot },
        UpperDirectories { upper, top, kept },
        CopyUp { path, tail, all, mask, layers, lowest, upper },
        HoldUpper { slot, directory, kept, path, layers, mounts },
        OpenUpper { slot, held, directory },
        Merge { path, mask, layers, lowest, upper, attrs, ground, rights },
        CopyLayers { path, mask, layers, lowest, upper, room, as_caller, attrs, ground, rights, because },
        Serve { path, mask, layers, lowest, upper, top, root, files, owner, attrs, ground, rights },
        Pin { path, only_with },
        HoldLink { path, text },
        ReadOnly { path, ground, if_present },
        Hide { path, cover, if_present },
        CoverFile { path, ground, content, mode },
        SealRoot,
        Seal { path, attrs },
        Pivot,
        LandlockRule { path, rights, inode },
    }
    choice ProcessOp {
        EnterGroup { slot },
        CgroupNamespace,
        JoinNamespace { kind, path },
        TimeNamespace { monotonic, boottime },
        OomScoreAdj { score },
        ForbidNamespaces { kind },
        OpenLimit { slot, kind },
        WriteLimit { slot, kind },
        Groups { groups },
        Ids { user, group },
        FileIds { user, group },
        Loopback,
        HostName { name },
        DomainName { name },
        Bounding { keep },
        KeepCapabilities,
        Capabilities { bits, keep, ambient, raise },
        NoNewPrivs,
        Session { new },
        NullStream { fd },
        FileStream { fd, path, made },
        WriteOnlyStream { fd, by },
        NewKeyring,
        Umask { mask },
        Nice { value },
        IoPriority { value },
        Scheduler { policy, priority },
        WorkingDirectory { path },
        Rlimit { name, resource, soft, hard },
        FreshState,
        CloseDescriptors { keep },
        ReadBack { keep, ambient, no_new_privs, ids },
        LandlockPort { access, port },
        LandlockStream { fd, rights },
        RestrictSelf { audit },
        Filter,
        FindProgram { candidates },
    }
}

impl<O: Stored> Stored for Step<O> {
    fn store(&self, out: &mut Output<'_>) {
        let Step { stage, op, at } = self;
        stage.store(out);
        out.of_line(*at, |out| op.store(out));
        at.store(out);
    }

    fn restore(from: &mut Input<'_>) -> Option<Step<O>> {
        let (stage, op) = (Stored::restore(from)?, Stored::restore(from)?);
        Some(Step { stage, op, at: Stored::restore(from)? })
    }
}

impl Stored for Setting {
    fn store(&self, out: &mut Output<'_>) {
        let Setting { name, value, by, at } = self;
        name.store(out);
        out.of_line(*at, |out| value.store(out));
        by.store(out);
        at.store(out);
    }

    fn restore(from: &mut Input<'_>) -> Option<Setting> {
        let (name, value) = (Stored::restore(from)?, Stored::restore(from)?);
        let by = Stored::restore(from)?;
        Some(Setting { name, value, by, at: Stored::restore(from)? })
    }
}

/// Values of the caller's environment are not written.
impl Stored for Content {
    fn store(&self, out: &mut Output<'_>) {
        match self {
            Content::Secret(_) | Content::Withheld => store_text("Withheld", out),
            Content::Text(_) | Content::OfHost(_) if out.is_private => store_text("Withheld", out),
            Content::Text(text) => {
                store_text("Text", out);
                text.store(out);
            }
            Content::OfHost(text) => {
                store_text("OfHost", out);
                text.store(out);
            }
            Content::Fd(fd) => {
                store_text("Fd", out);
                fd.store(out);
            }
            Content::File(path) => {
                store_text("File", out);
                path.store(out);
            }
            Content::Copy(path, inode) => {
                store_text("Copy", out);
                path.store(out);
                inode.store(out);
            }
        }
    }

    fn restore(from: &mut Input<'_>) -> Option<Content> {
        match from.text()? {
            "Withheld" => Some(Content::Withheld),
            "Text" => Stored::restore(from).map(Content::Text),
            "OfHost" => Stored::restore(from).map(Content::OfHost),
            "Fd" => Stored::restore(from).map(Content::Fd),
            "File" => Stored::restore(from).map(Content::File),
            "Copy" => Some(Content::Copy(Stored::restore(from)?, Stored::restore(from)?)),
            _ => None,
        }
    }
}

impl Stored for Choice {
    fn store(&self, out: &mut Output<'_>) {
        for kind in Kind::ALL {
            self.of(kind).store(out);
            self.at(kind).store(out);
        }
    }

    fn restore(from: &mut Input<'_>) -> Option<Choice> {
        let one = |kind| Some((kind, Stored::restore(from)?, Stored::restore(from)?));
        Kind::ALL.into_iter().map(one).collect::<Option<Vec<_>>>().map(Choice::of_all)
    }
}

impl Stored for Table {
    fn store(&self, out: &mut Output<'_>) {
        let (abi, numbers, rules, because) = self.parts();
        abi.store(out);
        numbers.to_vec().store(out);
        rules.to_vec().store(out);
        because.store(out);
    }

    fn restore(from: &mut Input<'_>) -> Option<Table> {
        let (abi, numbers) = (Stored::restore(from)?, Vec::restore(from)?);
        Table::of_parts(abi, numbers, Stored::restore(from)?, Stored::restore(from)?)
    }
}

/// Names of the kernel and of the profile that a plan has without a copy.
impl Stored for &'static str {
    fn store(&self, out: &mut Output<'_>) {
        store_text(self, out);
    }

    fn restore(from: &mut Input<'_>) -> Option<&'static str> {
        let text = from.text()?;
        let limits = rlimits::TABLE.iter().map(|(word, ..)| *word);
        Controller::WORDS.iter().copied().chain(limits).find(|known| *known == text)
    }
}
