//! Attacks that once succeeded. Each is attempted in the sandbox and fails; its twin succeeds
//! without the protection, and the ordinary act beside it (a build writes its output, a shell gets
//! its terminal back) ends with status 0. As root and as an ordinary user. One file for each place
//! where stockade was attacked; what an attack runs inside is C, `tests/attacks/NAME.c`.

mod alone;
mod created;
mod dots;
mod filter;
mod launcher;
mod nested;
mod owner;
mod paths;
mod streams;
mod stuffed;
mod terminal;

use crate::support::{Place, compile, install};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// `tests/attacks/NAME.c`, built once, and put into a place.
fn program(place: &Place, name: &'static str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&'static str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap();
    let binary = built.entry(name).or_insert_with(|| {
        let binary =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        compile(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/attacks/{name}.c")),
            &binary,
        );
        binary
    });
    let path = place.path.join(name);
    install(binary, &path);
    path
}
