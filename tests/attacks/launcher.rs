//! The end of a sandbox, its time limits and its leftovers, attacked by way of pid 1 and the launcher.

use crate::program;
use crate::support::{As, Place, system, text};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// A profile that has `ending.c` beside the usual system, and more sections.
fn profile(place: &Place, more: &str) -> PathBuf {
    let bind = format!("\"/ending\" = {{ bind = \"{}/ending\" }}", place.path.display());
    place.file("profile.toml", &format!("{}{more}", system(&bind)))
}

/// `ending.c` in that sandbox.
fn ending(place: &Place, who: As, more: &str, words: &[&str]) -> Output {
    place.stockade(who).arg("run").arg(profile(place, more)).arg("/ending").args(words).stdin(Stdio::null()).output().unwrap()
}

/// Pid 1 looks at the time and at the launcher between signals and between the ends of its children, however many there are.
#[test]
fn a_target_that_keeps_pid_1_busy_meets_its_timeout() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "ending");
        // Signals reach pid 1 where Landlock has no scope for them: before Linux 6.12, or where the profile has none.
        let open = "[landlock]\nscope = []\n";
        let limited = format!("{open}[process]\ntimeout = \"300ms\"\nkill-after = \"200ms\"\n");
        for mode in ["flood", "orphans"] {
            let begun = Instant::now();
            let output = ending(&place, *who, &limited, &[mode, "3000"]);
            assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(124), ""), "{who:?} {mode}: {}", text(&output.stderr));
            assert!(begun.elapsed() < Duration::from_millis(2500), "{who:?} {mode}: {:?}", begun.elapsed());
            // The twin: nothing else ends it.
            let output = ending(&place, *who, open, &[mode, "400"]);
            assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "there\n"), "{who:?} {mode}: {}", text(&output.stderr));
        }
    }
}
