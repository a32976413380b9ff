//! The system call filter: words of `[seccomp]` that open more than they say.

use super::support::{As, Place, probe, skip, system, text};
use std::process::Output;

/// Runs an act of tests/probe.c behind a profile, with a terminal of its own as descriptor 0 and as controlling terminal.
fn on_terminal(place: &Place, who: As, profile: &str, act: &str) -> Output {
    let path = place.file("profile.toml", profile);
    let mut launcher = place.outside(who, place.path.join("probe"));
    launcher.arg("pty").arg(place.path.join("stockade")).arg("run").arg(path).args(["/probe", act]);
    launcher.output().unwrap()
}

/// A group's rule that lets its calls through, whatever its verdict, opens no input for the caller's shell (TIOCSTI).
#[test]
fn a_rule_for_a_group_pushes_no_input_into_the_terminal() {
    let place = Place::new();
    let inside = system(&format!("\"/probe\" = {{ bind = \"{}\" }}", probe(&place).display()));
    for who in As::all() {
        for verdict in ["allow", "log", "trace"] {
            let profile = format!("{inside}[seccomp.rules]\n\"@system-service\" = \"{verdict}\"\nexecve = \"allow\"\nexit_group = \"allow\"\n");
            let output = on_terminal(&place, *who, &profile, "tiocsti");
            // Without a tracer, all that gets through to `trace` fails with ENOSYS: then the probe says nothing.
            let refused = output.status.code() != Some(0) && (verdict == "trace" || text(&output.stdout).contains("EPERM"));
            assert!(refused, "{who:?}, {verdict}: {:?} {}{}", output.status, text(&output.stdout), text(&output.stderr));
            if verdict != "trace" {
                let output = on_terminal(&place, *who, &profile, "tiocgwinsz");
                assert!(output.status.success(), "{who:?}, {verdict}: {}", text(&output.stderr));
            }
        }
        // The twin: by its own name the call is open, and the kernel answers.
        let profile = format!("{inside}[seccomp.rules]\nioctl = \"allow\"\n");
        let output = on_terminal(&place, *who, &profile, "tiocsti");
        if std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").is_ok_and(|allowed| allowed.trim() == "0") {
            skip("this kernel has TIOCSTI for nobody without CAP_SYS_ADMIN (dev.tty.legacy_tiocsti = 0)");
        } else {
            assert!(output.status.success(), "{who:?}: {}{}", text(&output.stdout), text(&output.stderr));
        }
    }
}
