//! stockade: a TOML profile becomes a sandbox, and the target runs in it.
//!
//! The three stages are [`profile::load`], [`plan::plan`] and [`launch::launch`]; data flows one way through them:
//!
//! ```text
//! profile text ──load──▶ Profile ──plan──▶ Plan ──launch──▶ Outcome
//!                           Host ────▲
//! ```
//!
//! `check`, `plan` and `run` of the command line are three prefixes of this one pipeline.

pub mod cause;
pub mod doctor;
pub mod draft;
pub mod explain;
pub mod exposure;
pub mod host;
pub mod kernel;
pub mod launch;
pub mod layers;
pub mod lint;
mod meant;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod problem;
pub mod profile;
pub mod registry;
pub mod section;
pub mod shape;
pub mod shell;
pub mod source;
mod stat;
pub mod step;
pub mod sys;
pub mod value;
pub mod view;
pub mod walls;
