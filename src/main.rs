//! The C entry of the launcher. All else is the library's: start reading at its page, `src/lib.rs`.
#![no_main]

use std::ffi::{c_char, c_int};

/// The C entry. Rust's own start would ask the kernel twenty things that a launcher never uses (a
/// guard page and a signal stack for overflows, the descriptors, SIGPIPE); without it SIGPIPE also
/// keeps its default action, as `stockade plan | head` needs.
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
    unsafe { stockade::note_strings(argv, envp) };
    stockade::start()
}
