//! Attacks that once succeeded. Each is attempted in the sandbox and fails; its twin succeeds
//! without the protection, and the ordinary act beside it (a build writes its output, a shell gets
//! its terminal back) ends with status 0. As root and as an ordinary user. One file for each place
//! where stockade was attacked; what an attack runs inside is C, `tests/attacks/NAME.c`.

mod alone;
mod created;
mod dots;
mod filter;
mod followed;
mod launcher;
mod nested;
mod owner;
mod paths;
mod streams;
mod stuffed;
mod terminal;

use crate::support::Place;
use std::path::PathBuf;

/// `tests/attacks/NAME.c`, put into a place.
fn program(place: &Place, name: &str) -> PathBuf {
    place.program(&format!("attacks/{name}"))
}
