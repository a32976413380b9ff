//! One file per domain of the profile, each in the same four paragraphs: section, table, draft,
//! tests.
//!
//! A *section* is what the profile may say, a *table* what is known of the domain, and *draft*
//! turns the section and the facts of the machine into steps. Nothing here acts.

pub mod bounds;
pub mod capabilities;
pub mod env;
pub mod identity;
pub mod landlock;
pub mod limits;
pub mod mounts;
pub mod name;
pub mod namespaces;
pub mod network;
pub mod optional;
pub mod privilege;
pub mod process;
pub mod programs;
pub mod rlimits;
pub mod seccomp;
pub mod unnested;
pub mod write_execute;
