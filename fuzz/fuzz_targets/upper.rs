//! What marks a kept upper, and the attributes of what lies in one: `cargo +nightly fuzz run upper`.
//! A record that is read is read again as it is written.
#![no_main]

use stockade::internals::host::upper::Upper;
use stockade::internals::launch::changes::attributes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(record) = Upper::parse(bytes) {
        assert_eq!(Upper::parse(record.line().as_bytes()), Some(record));
    }
    attributes(bytes);
});
