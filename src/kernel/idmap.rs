//! Id maps of user namespaces (user_namespaces(7)).

use crate::language::table::table;
use serde::Serialize;
use std::fmt;

table! {
    /// One line of `/proc/PID/uid_map` (user_namespaces(7)).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Extent {
        /// The first id inside.
        pub inside: u32,
        /// The first id outside.
        pub outside: u32,
        /// How many.
        pub count: u32,
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

/// The maps of a new user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Maps {
    /// `/proc/PID/uid_map`.
    pub uid: Vec<Extent>,
    /// `/proc/PID/gid_map`.
    pub gid: Vec<Extent>,
    /// Whether newuidmap(1) and newgidmap(1) write them, for ranges that the caller may not map
    /// alone.
    pub helpers: bool,
    /// Whether setgroups(2) is denied, as the kernel asks where an ordinary user maps one group
    /// (user_namespaces(7)).
    pub deny_setgroups: bool,
}
