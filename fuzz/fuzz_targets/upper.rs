//! What of an upper is read outside of the process that reads it, and how that one reads the
//! attributes there: `cargo +nightly fuzz run upper`. The corpus is tests/fuzz/upper.txt, a line of
//! hexadecimal digits for each file.
#![no_main]

#[path = "../../tests/fuzz/upper.rs"]
mod upper;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| upper::try_bytes(bytes));
