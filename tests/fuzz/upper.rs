//! What foreign bytes of an upper are read as. `tests/fuzz.rs` and `fuzz/` share it; a failure is a
//! panic.

use stockade::internals::host::upper::Upper;
use stockade::internals::launch::changes::{attributes, understood};

/// The first byte says what the others are: the record of a kept upper (r), which is read again as it
/// is written; names of attributes (a); what the process that reads an upper reports (w).
pub fn try_bytes(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'r', rest)) => {
            if let Some(record) = Upper::parse(rest) {
                assert_eq!(Upper::parse(record.line().as_bytes()), Some(record));
            }
        }
        Some((b'a', rest)) => {
            let read = attributes(rest);
            assert!(read.foreign.is_none_or(|name| name.len() <= rest.len()));
        }
        Some((b'w', rest)) => assert!(understood(rest) <= rest.len()),
        _ => {}
    }
}
