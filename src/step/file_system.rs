//! The file systems that a sandbox mounts anew: THE ONE TABLE of what each is to the kernel, to
//! Landlock and to the reader of a plan.
//!
//! One more is one variant here. Whatever else has to be said of it does not compile until it is.

use crate::kernel::attrs::Attrs;
use crate::kernel::proc::HidePid;
use crate::kernel::rights::Rights;
use crate::language::value::{Mode, Room};
use serde::Serialize;
use std::ffi::CStr;
use std::fmt;

/// A new file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FileSystem {
    /// An empty one in memory (tmpfs(5)). How it may be used is its entry's matter.
    Tmpfs {
        /// How much it holds.
        size: Room,
        /// How many files and directories.
        inodes: u64,
        /// The mode of its top.
        mode: Mode,
    },
    /// One that the kernel fills.
    #[serde(untagged)]
    Kernel(Kernel),
}

/// File systems of the kernel's: what is in them, it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Kernel {
    /// The processes of the sandbox (proc(5)).
    Proc {
        /// Whether other users' processes are shown.
        #[serde(serialize_with = "super::as_text")]
        hidepid: HidePid,
        /// Whether only processes are shown (`subset=pid`).
        only_processes: bool,
    },
    /// Its own terminals.
    Devpts,
    /// Its own message queues: those of the IPC namespace.
    Mqueue,
    /// Devices and kernel objects.
    Sysfs,
}

/// Properties of a file system of the kernel's that do not depend on who mounts it.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    /// Its name for fsopen(2).
    name: &'static CStr,
    /// How it may be used.
    pub attrs: Attrs,
    /// The mode of its top.
    pub mode: Mode,
    /// What the target may do there.
    pub rights: Rights,
    /// It shows processes.
    pub processes: bool,
    /// The kernel alone makes files in it.
    pub fixed: bool,
    /// What it is, in words.
    pub words: &'static str,
}

/// The value of an option. It becomes text where it is handed to the kernel, as nothing is
/// allocated between clone and exec.
#[derive(Clone, Copy)]
pub(crate) enum Setting {
    Text(&'static CStr),
    Decimal(u64),
    Octal(u32),
    Room(Room),
}

/// Options for fsconfig(2).
pub(crate) type Options = [Option<(&'static CStr, Setting)>; 3];

const NO_PROGRAMS: Attrs = Attrs::NO_SUID.and(Attrs::NO_EXEC);
const INERT: Attrs = NO_PROGRAMS.and(Attrs::NO_DEV);

impl Kernel {
    /// The table.
    pub(crate) fn facts(&self) -> Facts {
        match self {
            Kernel::Proc { .. } => Facts {
                name: c"proc",
                attrs: INERT,
                mode: Mode(0o555),
                // Processes write their own comm, oom_score_adj, and the like.
                rights: Rights::READ.and(Rights::WRITE),
                processes: true,
                fixed: true,
                words: "proc, with the sandbox's processes",
            },
            Kernel::Devpts => Facts {
                name: c"devpts",
                attrs: NO_PROGRAMS,
                mode: Mode(0o755),
                // The rule of /dev covers it.
                rights: Rights(0),
                processes: false,
                fixed: true,
                words: "the sandbox's own terminals",
            },
            Kernel::Mqueue => Facts {
                name: c"mqueue",
                attrs: INERT,
                mode: Mode(0o1777),
                rights: Rights::READ.and(Rights::WRITE).and(Rights::CHANGE),
                processes: false,
                fixed: false,
                words: "the sandbox's own message queues",
            },
            Kernel::Sysfs => Facts {
                name: c"sysfs",
                attrs: INERT.and(Attrs::READ_ONLY),
                mode: Mode(0o555),
                rights: Rights::READ,
                processes: false,
                fixed: true,
                words: "sysfs, read-only",
            },
        }
    }

    fn options(&self) -> Options {
        match self {
            Kernel::Proc { hidepid, only_processes } => {
                let hidepid = match hidepid {
                    HidePid::Off => None,
                    HidePid::NoAccess => Some(c"noaccess"),
                    HidePid::Invisible => Some(c"invisible"),
                };
                [
                    hidepid.map(|word| (c"hidepid", Setting::Text(word))),
                    only_processes.then_some((c"subset", Setting::Text(c"pid"))),
                    None,
                ]
            }
            Kernel::Devpts => [Some((c"ptmxmode", Setting::Text(c"0666"))), None, None],
            Kernel::Mqueue | Kernel::Sysfs => [None; 3],
        }
    }

    /// Its name.
    pub(crate) fn word(&self) -> &'static str {
        self.facts().name.to_str().unwrap_or_default()
    }
}

/// The mode that a tmpfs has by itself (tmpfs(5)).
pub(crate) const TMPFS_MODE: Mode = Mode(0o1777);

/// How a tmpfs is made; without limits it has those of the kernel.
pub(crate) fn tmpfs(limits: Option<(Room, u64)>, mode: Mode) -> (&'static CStr, Options) {
    let options = [
        limits.map(|(size, _)| (c"size", Setting::Room(size))),
        limits.map(|(_, inodes)| (c"nr_inodes", Setting::Decimal(inodes))),
        (mode != TMPFS_MODE).then_some((c"mode", Setting::Octal(mode.0))),
    ];
    (c"tmpfs", options)
}

impl FileSystem {
    /// Its name for fsopen(2), and its options for fsconfig(2).
    pub(crate) fn made(&self) -> (&'static CStr, Options) {
        match self {
            FileSystem::Tmpfs { size, inodes, mode } => tmpfs(Some((*size, *inodes)), *mode),
            FileSystem::Kernel(kernel) => (kernel.facts().name, kernel.options()),
        }
    }

    /// The mode of its top.
    pub(crate) fn mode(&self) -> Mode {
        match self {
            FileSystem::Tmpfs { mode, .. } => *mode,
            FileSystem::Kernel(kernel) => kernel.facts().mode,
        }
    }

    /// Whether it shows processes.
    pub(crate) fn shows_processes(&self) -> bool {
        match self {
            FileSystem::Tmpfs { .. } => false,
            FileSystem::Kernel(kernel) => kernel.facts().processes,
        }
    }

    /// How `plan` shows that it is mounted on a path, so that it may be used in this way.
    pub(super) fn show(
        &self,
        path: &impl fmt::Display,
        attrs: Attrs,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        match self {
            FileSystem::Tmpfs { size, inodes, mode } => {
                write!(f, "mount tmpfs on {path}: {size}, {inodes} inodes, {mode} ({attrs})")
            }
            FileSystem::Kernel(kernel) => {
                write!(f, "mount {} on {path}", kernel.word())?;
                for (index, option) in kernel.options().into_iter().flatten().enumerate() {
                    write!(f, "{}{}", if index == 0 { ": " } else { ", " }, Shown(option))?;
                }
                write!(f, " ({attrs})")
            }
        }
    }
}

/// An option as mount(8) writes it.
struct Shown((&'static CStr, Setting));

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown((name, setting)) = self;
        write!(f, "{}=", name.to_str().unwrap_or_default())?;
        match setting {
            Setting::Text(text) => f.write_str(text.to_str().unwrap_or_default()),
            Setting::Decimal(number) => number.fmt(f),
            Setting::Octal(mode) => write!(f, "{mode:04o}"),
            Setting::Room(room) => room.fmt(f),
        }
    }
}

/// Its name, and the options that it is mounted with.
impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        self.options().into_iter().flatten().try_for_each(|option| write!(f, ", {}", Shown(option)))
    }
}
