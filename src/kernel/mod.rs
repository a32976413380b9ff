//! Words of the kernel, with their numbers and names. No policy, and nothing is asked of a machine
//! here.

pub mod asks;
pub mod attrs;
pub mod capability;
pub mod controller;
pub mod device;
pub mod name;
pub mod namespace;
pub mod proc;
pub mod rights;
pub mod syscalls;
