//! From texts to a plan on an invented machine: `cargo +nightly fuzz run profile`.
//!
//! An input is up to six texts with a line `---` between them: PROFILE, `base.toml`, `other.toml`,
//! `--config`, `--set` and the words after PROFILE. What is checked, and how, is that of
//! `tests/fuzz.rs`.
#![no_main]

#[path = "../../tests/fuzz/case.rs"]
mod case;
#[path = "../../tests/plans/machine.rs"]
mod machine;
#[path = "../../tests/plans/order.rs"]
mod order;

use case::{Case, Dice, try_case};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The texts must be files of the caller's own, in a folder that nobody else can write.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("stockade-fuzz-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    folder
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The machine is another for other texts, and the same for the same.
    let seed = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    try_case(&Case::of(bytes), &FOLDER, &mut Dice(seed | 1));
});
