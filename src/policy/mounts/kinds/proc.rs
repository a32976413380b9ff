//! The processes of the sandbox.

use super::{Form, Kind, Makes, Mount, New, Part, Word, form, said};
use crate::kernel::proc::HidePid;
use crate::language::read::Read;
use crate::language::spelled::Toml;
use crate::language::table::table;
use crate::language::value::words;
use crate::step::{Cover, Kernel};
use crate::tree::Ground;

pub(super) const WORDS: &[Word] = &[Word {
    word: "proc",
    doc: "The processes of the sandbox (proc(5)).",
    meant: &["procfs"],
    make: || Mount::Proc(Proc::PLAIN),
}];

pub(super) const FORMS: &[Form] = &[form! {
    /// The processes of the sandbox (proc(5)).
    "proc": ProcOptions => |proc| Mount::Proc(Proc {
        hidepid: proc.hidepid.unwrap_or(HidePid::Off),
        only_processes: proc.subset.is_some(),
    }), []
}];

table! {
    /// What proc shows.
    struct ProcOptions {
        /// How much is shown of other users' processes; default: `off`.
        hidepid: Option<HidePid>,
        /// Whether only processes are shown.
        subset: Option<Subset>,
    }
}

/// The keys of `proc`.
#[cfg(not(face_alone))]
pub const PROC_KEYS: &[&str] = ProcOptions::FIELDS;

words! {
    /// A part of proc.
    Subset {
        /// Processes, without the kernel's own files (`subset=pid`).
        Pid = "pid",
    }
}

/// The processes of the sandbox (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proc {
    /// How much is shown of other users' processes.
    pub hidepid: HidePid,
    /// Whether only processes are shown (`subset=pid`).
    pub only_processes: bool,
}

impl Proc {
    /// Everything that proc shows.
    pub const PLAIN: Proc = Proc { hidepid: HidePid::Off, only_processes: false };
    /// The sandbox's processes and nothing else.
    pub const PROCESSES: Proc = Proc { hidepid: HidePid::Off, only_processes: true };

    fn kernel(self) -> Kernel {
        Kernel::Proc { hidepid: self.hidepid, only_processes: self.only_processes }
    }
}

impl Kind for Proc {
    fn spell(&self) -> Toml {
        let Proc { hidepid, only_processes } = *self;
        if *self == Proc::PLAIN {
            return Toml::word("proc");
        }
        let options = said([
            ("hidepid", (hidepid != HidePid::Off).then(|| hidepid.spell())),
            ("subset", only_processes.then(|| Subset::Pid.spell())),
        ]);
        said([("proc", Some(options))])
    }

    fn ground(&self, _: &str) -> Ground {
        Ground::Kernel(self.kernel())
    }

    fn makes<'a>(&'a self, _: &'a str) -> Makes<'a> {
        Makes::FileSystem(New::of(self.kernel(), if self.only_processes { &[] } else { PARTS }))
    }

    fn form(&self) -> &'static str {
        "proc"
    }

    fn what(&self) -> &'static str {
        "a proc of its own"
    }
}

/// Parts of /proc through which the host's kernel is steered (CVE-2025-31133 shows what a writable
/// core_pattern is worth) are made read-only; those that show facts of the host are covered. Some
/// can be written, or read, by the host's root alone: for another target no cover is needed.
const PARTS: &[Part] = &[
    Part::read_only("sys"),
    Part::read_only("sysrq-trigger").of_root(),
    Part::read_only("irq").of_root(),
    Part::read_only("bus").of_root(),
    Part::read_only("fs").of_root(),
    Part::covered("acpi", Cover::Directory),
    Part::covered("asound", Cover::Directory),
    Part::covered("interrupts", Cover::File),
    Part::covered("kcore", Cover::File).of_root(),
    Part::covered("keys", Cover::File),
    Part::covered("latency_stats", Cover::File),
    Part::covered("sched_debug", Cover::File).of_root(),
    Part::covered("scsi", Cover::Directory),
    Part::covered("timer_list", Cover::File).of_root(),
    Part::covered("timer_stats", Cover::File).of_root(),
];
