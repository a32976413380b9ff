//! stockade reads a TOML profile, checks it, builds the sandbox that it declares and executes the
//! target in it.
//!
//! The architecture is a compiler's, in one direction (see the library's page): `load` makes a
//! typed profile of text, `plan` makes steps of the profile and the facts of the machine, `launch`
//! walks the steps. Every error is a [`Problem`](stockade::text::problem::Problem) with its line;
//! status 125 means that stockade failed, not the target.
#![no_main]

mod cli;
mod commands;

use clap::Parser;
use std::ffi::{c_char, c_int};

/// The C entry. Rust's own start would ask the kernel twenty things that a launcher never uses (a
/// guard page and a signal stack for overflows, the descriptors, SIGPIPE); without it SIGPIPE also
/// keeps its default action, as `stockade plan | head` wants.
///
/// # Safety
///
/// The C runtime alone calls it, with the arrays that the kernel made.
// SAFETY: the one `main` of the program, with the C runtime's own signature.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(
    _: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> c_int {
    // SAFETY: the caller's word.
    unsafe { stockade::sys::note_strings(argv, envp) };
    stockade::sys::end_by_status::<{ commands::FAILED as i32 }>();
    stockade::sys::take_memory_in_large_pieces();
    c_int::from(run())
}

fn run() -> u8 {
    if let Err(message) = commands::refuse_privilege() {
        eprintln!("stockade: {message}");
        return commands::FAILED;
    }
    match cli::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli),
        Err(error) => commands::refuse(&error),
    }
}
