//! How a section of a profile is declared and read. It knows no domain.

pub(crate) mod layers;
mod meant;
pub(crate) mod section;
pub(crate) mod shape;
pub(crate) mod value;
