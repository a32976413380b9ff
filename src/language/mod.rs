//! How a section of a profile is declared and read. It knows no domain.

pub mod layers;
mod meant;
pub mod section;
pub mod shape;
pub mod value;
