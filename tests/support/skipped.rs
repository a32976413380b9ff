//! Skipped cases are counted, and listed by name when the tests have run. The tests of the library
//! and those of the whole program share it.

#![allow(unreachable_pub, reason = "in the library it is private")]

use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// What was skipped: the test, or the place where it has no name, and why.
static SKIPPED: Mutex<Vec<(String, String)>> = Mutex::new(vec![]);

/// Skips a test, or a case of one: it is listed when all tests have run, whatever became of them.
/// With REQUIRE in the environment a skip is a failure.
#[track_caller]
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("REQUIRE").is_none(),
        "REQUIRE is set, and this test would be skipped: {why}"
    );
    let place = std::panic::Location::caller().to_string();
    // With one thread for all tests, that is the program's own.
    let name = std::thread::current().name().map(str::to_owned);
    let name = name.filter(|name| name != "main").unwrap_or(place);
    let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if skipped.is_empty() {
        list_at_exit();
    }
    skipped.push((name, why.to_owned()));
}

#[allow(unsafe_code)]
fn list_at_exit() {
    extern "C" fn list() {
        let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.sort();
        skipped.dedup();
        let mut text = format!("\nskipped cases: {}\n", skipped.len());
        for (name, why) in skipped.iter() {
            text += &format!("SKIPPED {name}: {why}\n");
        }
        // Nothing is left to report a failed write to.
        drop(std::io::stderr().write_all(text.as_bytes()));
    }
    // SAFETY: a function that takes nothing and does not unwind (atexit(3)).
    assert_eq!(unsafe { libc::atexit(list) }, 0);
}
