//! Reads profiles, machines and plans, and changes nothing.

pub(crate) mod access;
mod closer;
pub(crate) mod doctor;
pub(crate) mod exposure;
pub(crate) mod lint;
pub(crate) mod start;
pub(crate) mod view;

pub(crate) use closer::homes;
