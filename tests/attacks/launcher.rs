//! The end of a sandbox, its time limits and its leftovers, attacked by way of pid 1 and the
//! launcher.

use super::program;
use crate::support::ground::wait_for;
use crate::support::processes::{children_named, has_ended};
use crate::support::{As, Place, patient, processes_with, system, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Output, Stdio};
use std::time::{Duration, Instant};

/// A profile that has `ending.c` beside the usual system, and more sections.
fn profile(place: &Place, more: &str) -> PathBuf {
    let bind = format!("\"/ending\" = {{ bind = \"{}/ending\" }}", place.path.display());
    place.file("profile.toml", &format!("{}{more}", system(&bind)))
}

/// `ending.c` in that sandbox.
fn ending(place: &Place, who: As, more: &str, words: &[&str]) -> Output {
    place
        .stockade(who)
        .arg("run")
        .arg(profile(place, more))
        .arg("/ending")
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Pid 1 looks at the time and at the launcher between signals and between the ends of its
/// children, however many there are.
#[test]
fn a_target_that_keeps_pid_1_busy_meets_its_timeout() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "ending");
        // Signals reach pid 1 where Landlock has no scope for them: before Linux 6.12, or where the
        // profile has none. Without nproc the orphans of 1.5 s, not yet waited for, brought the
        // machine to 32,528 tasks of 32,768 (pid_max), and 71 of 1,396 forks of another process
        // failed (EAGAIN); with it to 2,182, and none failed.
        let open = "[rlimits]\nnproc = 2000\n[landlock]\nscope = []\n";
        let limited = format!("{open}[process]\ntimeout = \"300ms\"\nkill-after = \"200ms\"\n");
        for mode in ["flood", "orphans"] {
            let begun = Instant::now();
            let output = ending(&place, *who, &limited, &[mode, "3000"]);
            assert_eq!(
                (output.status.code(), text(&output.stdout).as_str()),
                (Some(124), ""),
                "{who:?} {mode}: {}",
                text(&output.stderr)
            );
            assert!(
                begun.elapsed() < patient(Duration::from_millis(2500)),
                "{who:?} {mode}: {:?}",
                begun.elapsed()
            );
            // The twin: nothing else ends it.
            let output = ending(&place, *who, open, &[mode, "400"]);
            assert_eq!(
                (output.status.code(), text(&output.stdout).as_str()),
                (Some(0), "there\n"),
                "{who:?} {mode}: {}",
                text(&output.stderr)
            );
        }
    }
}

/// The same, while it runs; its first line has been read.
fn begun(
    place: &Place,
    who: As,
    more: &str,
    words: &[&str],
) -> (Child, BufReader<ChildStdout>, String) {
    let mut command = place.stockade(who);
    command
        .arg("run")
        .arg(profile(place, more))
        .arg("/ending")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (child, output, line)
}

const ITSELF: &str = "[process]\ninit = false\n";

/// The parent-death signal is gone, and the launcher's death ends the target all the same.
#[test]
fn a_target_that_is_pid_1_ends_with_the_launcher() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "ending");
        let needle = format!("outlives-{}-{who:?}", std::process::id());
        let (mut launcher, mut output, line) =
            begun(&place, *who, ITSELF, &["rethread", "30000", &needle]);
        assert_eq!(line, "parent-death signal 0\n", "{who:?}");
        let watcher = children_named(launcher.id(), "stockade-watch");
        assert_eq!(watcher.len(), 1, "{who:?}: {watcher:?}");
        // The twin: while the process that watches is stopped, nothing ends the target.
        kill(Pid::from_raw(watcher[0] as i32), Signal::SIGSTOP).unwrap();
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(processes_with(&needle).len(), 1, "{who:?}");
        kill(Pid::from_raw(watcher[0] as i32), Signal::SIGCONT).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "{who:?}");
        wait_for(|| processes_with(&needle).is_empty().then_some(()));
        // Its new parent reaps it; that may take a while.
        wait_for(|| has_ended(watcher[0]).then_some(()));
    }
}

/// Nothing runs unwatched, and what ends by itself has its own status.
#[test]
fn a_target_that_is_pid_1_does_not_outlive_its_watcher() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "ending");
        let needle = format!("unwatched-{}-{who:?}", std::process::id());
        let (launcher, _output, _) = begun(&place, *who, ITSELF, &["rethread", "30000", &needle]);
        let watcher = children_named(launcher.id(), "stockade-watch");
        kill(Pid::from_raw(watcher[0] as i32), Signal::SIGKILL).unwrap();
        let ended = launcher.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(125), "{who:?}");
        assert!(
            text(&ended.stderr).contains("cannot continue"),
            "{who:?}: {}",
            text(&ended.stderr)
        );
        assert_eq!(processes_with(&needle), Vec::<String>::new(), "{who:?}");
        let output = ending(&place, *who, ITSELF, &["rethread", "50"]);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(0), "parent-death signal 0\nthere\n"),
            "{who:?}"
        );
    }
}

/// 134 and 139 would read as a target that a signal ended.
#[test]
fn a_launcher_without_memory_or_stack_says_125() {
    for who in As::all() {
        let place = Place::new();
        // Long, so that there is memory enough to execute the launcher long before there is enough
        // for it.
        let profile = place.file(
            "profile.toml",
            &system(&format!("\"/text\" = {{ text = \"{}\" }}", "x".repeat(600_000))),
        );
        let limited = |limit: &str| {
            let line = format!("ulimit {limit} && exec \"$0\" run \"$1\" true");
            let launcher = place.path.join("stockade");
            let output = place
                .outside(*who, "sh")
                .args(["-c", &line])
                .arg(launcher)
                .arg(&profile)
                .output()
                .unwrap();
            (output.status.code(), text(&output.stderr))
        };
        let mut found = 0;
        for kilobytes in (1000..100_000).step_by(250) {
            match limited(&format!("-v {kilobytes}")) {
                // The kernel cannot even execute it (execve(2)).
                (None, _) if found == 0 => {}
                // Nor can the C runtime start it.
                (Some(127), error) if error.contains("glibc") => {}
                (Some(125), error) if error.contains("stockade: no ") => found += 1,
                (Some(125), error) if error.contains("cannot") => {}
                (Some(0), _) => break,
                other => panic!("{who:?} {kilobytes}: {other:?}"),
            }
        }
        assert!(found > 0, "{who:?}");
        let (status, error) = limited("-s 32");
        assert!(status == Some(125) && error.contains("ulimit -s"), "{who:?}: {status:?} {error}");
        assert_eq!(limited("-s 8192").0, Some(0), "{who:?}");
    }
}
