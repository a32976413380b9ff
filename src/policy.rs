//! One file per domain of the profile, each in the same four paragraphs: section, table, draft,
//! tests.
//!
//! A *section* is what the profile may say, a *table* what is known of the domain, and *draft*
//! turns the section and the facts of the machine into steps. Nothing here acts.

pub(crate) mod bounds;
pub(crate) mod capabilities;
pub(crate) mod env;
pub(crate) mod identity;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod name;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod optional;
pub(crate) mod privilege;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod rlimits;
pub(crate) mod seccomp;
pub(crate) mod unnested;
pub(crate) mod write_execute;
