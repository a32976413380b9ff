//! The ground: text with its places, and what is said about it. It knows no sandbox.

pub(crate) mod bytes;
pub(crate) mod explain;
pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod paths;
pub(crate) mod problem;
pub(crate) mod shell;
pub(crate) mod source;
