//! The ground: text with its places, and what is said about it. It knows no sandbox.

pub mod explain;
pub mod problem;
pub mod shell;
pub mod source;
