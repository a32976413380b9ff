//! Words of the kernel, with their numbers and names. No policy, and nothing is asked of a machine
//! here.

pub(crate) mod asks;
pub(crate) mod attrs;
pub(crate) mod capability;
pub(crate) mod controller;
pub(crate) mod device;
pub(crate) mod idmap;
pub(crate) mod limit;
pub(crate) mod name;
pub(crate) mod namespace;
pub(crate) mod proc;
pub(crate) mod rights;
pub(crate) mod syscalls;
