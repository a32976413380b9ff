//! stockade: a TOML profile becomes a sandbox, and the target runs in it.
//!
//! The three stages are [`profile::load`], [`plan::plan`] and [`launch::launch`]; data flows one
//! way through them:
//!
//! ```text
//! profile text ──load──▶ Profile ──plan──▶ Plan ──launch──▶ Outcome
//!                           Host ────▲
//! ```
//!
//! `check`, `plan` and `run` of the command line are three prefixes of this one pipeline.
//!
//! Each directory is a room, and a room imports only what stands before it (`tests/house.rs` holds
//! that):
//!
//! - [`text`]: text with its places, and what is said about it; [`language`]: how a section is
//!   declared and read
//! - [`kernel`]: words of the kernel; [`sys`]: its calls, and all that is unsafe
//! - [`host`]: what is known of a machine; [`step`]: what a plan is made of
//! - [`policy`]: one domain of the profile each; [`profile`]: from text to a typed profile
//! - [`probe`]: reads the machine; [`mod@plan`]: settles everything; [`launch`]: acts
//! - [`inspect`]: questions about profiles, plans and machines; `commands`: parse, call, print

mod cli;
mod commands;
pub mod host;
pub mod inspect;
pub mod kernel;
pub mod language;
pub mod launch;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod profile;
pub mod step;
pub mod sys;
pub mod text;

pub use commands::run;
#[doc(hidden)]
pub use commands::start;
