//! stockade builds a sandbox from a TOML profile, and runs a program in it.
//!
//! The profile says what the sandbox has: files, environment, ids, namespaces, capabilities, system
//! calls, limits, network. What it does not grant, the sandbox does not have. There is no daemon
//! and no set-id program; whatever the kernel lets an ordinary user do works without root. It needs
//! Linux 5.14 or newer, on x86_64 or aarch64. `stockade man 5` describes the language of profiles.
//!
//! The command `stockade` is made of this library. Three functions are its pipeline, and data flows
//! one way through them:
//!
//! ```text
//! Request ──load──▶ Profile ──plan──▶ Plan ──launch──▶ Ended
//!           reads files      reads the          builds the sandbox, runs
//!                            machine            the target, waits
//! ```
//!
//! [`load`] and [`plan()`] change nothing, so a program can say what is wrong with a profile,
//! or show what a run would do, before anything happens; [`launch()`] does what the plan
//! says, and decides nothing. [`run`] is the whole command line.
//!
//! # Examples
//!
//! What a run would do:
//!
//! ```
//! use stockade::{Problems, Request};
//!
//! fn main() -> Result<(), Problems> {
//!     let request = Request::text(
//!         "greeting",
//!         r#"
//!             format = 1
//!             optional = ["landlock", "landlock.scope", "landlock.truncate"]
//!             programs = ["${COMMAND}"]
//!             [process]
//!             command = ["echo", "hello"]
//!         "#,
//!     );
//!     let plan = stockade::plan(stockade::load(&request)?)?;
//!     let steps = plan.to_string();
//!     assert!(steps.contains("execute: echo hello"));
//!     Ok(())
//! }
//! ```
//!
//! The run itself, in a program that ends as its target does:
//!
//! ```no_run
//! use stockade::{Problems, Request};
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let request = Request::new("default").args(["make", "test"]);
//!     match sandboxed(&request) {
//!         Ok(status) => status.into(),
//!         Err(problems) => {
//!             eprintln!("{problems}");
//!             problems.status().into()
//!         }
//!     }
//! }
//!
//! fn sandboxed(request: &Request) -> Result<u8, Problems> {
//!     let plan = stockade::plan(stockade::load(request)?)?;
//!     for skipped in plan.skipped() {
//!         eprintln!("warning: {skipped}");
//!     }
//!     Ok(stockade::launch(&plan)?.outcome().status())
//! }
//! ```
//!
//! # Failure
//!
//! Each of the three functions fails with [`Problems`]: everything that is wrong, each with its
//! line of the profile, a code for programs and what to do. What cannot be enforced on this machine
//! is such a problem, before the target starts. Only what the profile names in `optional` is
//! skipped instead, and then it is reported: [`Plan::skipped`], [`Ended::skipped`].
//!
//! # Stability
//!
//! The codes and numbers of problems keep their meaning. The text of a [`Plan`], and of problems,
//! is for people and can change in every version.

// Docs are asked for what a program of the face can reach, and for nothing else: the other public
// items are there for the tests.
#![cfg_attr(face_alone, warn(missing_docs))]

// The map of the source, for readers of the code. Each directory is a room, and a room imports only
// what comes before it (`tests/house.rs` checks that):
//
//   text      text with its places, and what is said about it
//   language  how a section is declared and read; it knows no domain
//   kernel    words of the kernel: namespaces, capabilities, rights, system calls
//   sys       the calls, and what is unsafe
//   host      what is known of a machine, as data
//   step      what a plan is made of
//   tree      what is where inside: one model, and one walker
//   policy    one domain of the profile each
//   profile   load: from text to a typed profile
//   probe     reads the machine
//   plan      settles everything; THE ORDER of the steps
//   launch    builds a sandbox as the plan says, and sees it to its end
//   inspect   questions about profiles, plans and machines
//   face      the pipeline as a Rust program sees it
//   commands  parse, call, print

mod cli;
mod commands;
mod face;
mod host;
mod inspect;
#[cfg(not(face_alone))]
#[doc(hidden)]
pub mod internals;
mod kernel;
mod language;
mod launch;
mod plan;
mod policy;
mod probe;
mod profile;
// Shared with the tests of the whole program.
#[cfg(test)]
#[path = "../tests/support/skipped.rs"]
mod skipped;
mod step;
mod sys;
mod text;
mod tree;

pub use commands::run;
#[doc(hidden)]
pub use commands::start;
pub use face::{Ended, Place, Plan, Problem, Problems, Profile, Request, launch, load, plan};
pub use launch::Outcome;
#[doc(hidden)]
pub use sys::note_strings;
