//! What a profile has to know of the machine, as data: each domain asks, and [`crate::probe`]
//! answers. Only what a domain asks for is read.

use crate::kernel::rights::Rights;
use crate::language::value::AbsolutePath;
use crate::text::source::At;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// What the descriptors above 2 are that the target gets.
    pub passed: Vec<u32>,
    /// The ids of these users.
    pub users: BTreeSet<String>,
    /// The ids of these groups.
    pub groups: BTreeSet<String>,
    /// Which ids are in use.
    pub taken: bool,
    /// The caller's subordinate ids.
    pub subordinate: bool,
    /// The highest capability of the kernel.
    pub last_capability: bool,
    /// Whether root's capabilities are root's.
    pub root_power: bool,
    /// Whether the limits of namespaces can be written.
    pub sysctls: bool,
    /// The files of the namespaces that are joined.
    pub joined: BTreeSet<String>,
    /// Whether a session keyring can be made.
    pub keyring: bool,
    /// The caller's own hard limits on these resources (`RLIMIT_*`).
    pub resources: Option<Vec<u32>>,
    /// The caller's own bounds of priorities.
    pub priorities: bool,
    /// What is mounted, and which of these descriptors are files that are open for writing.
    pub written: Option<Vec<u32>>,
    /// How names are looked up.
    pub names: bool,
    /// The files of the host that the target writes by 1 and 2.
    pub outputs: Vec<(u32, String)>,
    /// The text of this policy of system calls.
    pub import: Option<At<AbsolutePath>>,
    /// The links on the way to these files, which the launcher opens.
    pub opened: Vec<String>,
}

/// The files to look for in the finished tree, and the settings of the search.
#[derive(Debug, Default)]
pub(crate) struct Sought {
    /// What each item of `programs` names, with its line; nothing where it is the command's, and
    /// there is none.
    pub programs: Vec<Option<At<String>>>,
    /// The program's word of the command.
    pub command: Option<At<String>>,
    /// Where a program without `/` is looked for.
    pub directories: Vec<String>,
    /// `LD_LIBRARY_PATH` inside.
    pub libraries: Option<String>,
    /// The working directory inside; none is the caller's, where that is in sight.
    pub cwd: Option<String>,
    /// Landlock's rules, where the profile writes them.
    pub rules: Option<Vec<(String, Rights)>>,
}
