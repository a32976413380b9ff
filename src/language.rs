//! How a section of a profile is declared and read. It knows no domain.

mod entries;
mod field;
pub(crate) mod fill;
mod key;
pub(crate) mod layers;
mod meant;
pub(crate) mod read;
pub(crate) mod reader;
pub(crate) mod section;
mod set;
pub(crate) mod shape;
pub(crate) mod spelled;
pub(crate) mod table;
pub(crate) mod value;
mod why;
