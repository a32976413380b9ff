//! Reads profiles, machines and plans, and changes nothing.

pub mod doctor;
pub mod exposure;
pub mod lint;
pub mod view;
pub mod walls;
