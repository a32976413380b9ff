//! The system call filter: words of `[seccomp]` that open more than they say.

use super::program;
use crate::support::{As, Place, USER, is_root, probe, said, skip, spawned, system, text};
use std::os::unix::process::CommandExt;
use std::process::Output;

/// Runs an act of tests/probe.c behind a profile, with a terminal of its own as descriptor 0 and as
/// controlling terminal.
fn on_terminal(place: &Place, who: As, profile: &str, act: &str) -> Output {
    let path = place.file("profile.toml", profile);
    let mut launcher = place.outside(who, place.path.join("probe"));
    launcher.arg("pty").arg(place.path.join("stockade")).arg("run").arg(path).args(["/probe", act]);
    launcher.output().unwrap()
}

/// A group's rule that lets its calls through, whatever its verdict, opens no input for the
/// caller's shell (TIOCSTI).
#[test]
fn a_rule_for_a_group_pushes_no_input_into_the_terminal() {
    let place = Place::new();
    let inside = system(&format!("\"/probe\" = {{ bind = \"{}\" }}", probe(&place).display()));
    for who in As::all() {
        for verdict in ["allow", "log", "trace"] {
            let profile = format!(
                "{inside}[seccomp.rules]\n\"@system-service\" = \"{verdict}\"\nexecve = \
                 \"allow\"\nexit_group = \"allow\"\n"
            );
            let output = on_terminal(&place, *who, &profile, "tiocsti");
            // Without a tracer, every call with the verdict `trace` fails with ENOSYS: then the
            // probe says nothing.
            let refused = output.status.code() != Some(0)
                && (verdict == "trace" || text(&output.stdout).contains("EPERM"));
            assert!(
                refused,
                "{who:?}, {verdict}: {:?} {}{}",
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            );
            if verdict != "trace" {
                let output = on_terminal(&place, *who, &profile, "tiocgwinsz");
                assert!(output.status.success(), "{who:?}, {verdict}: {}", text(&output.stderr));
            }
        }
        // The twin: by its own name the call is open, and the kernel answers.
        let profile = format!("{inside}[seccomp.rules]\nioctl = \"allow\"\n");
        let output = on_terminal(&place, *who, &profile, "tiocsti");
        if std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
            .is_ok_and(|allowed| allowed.trim() == "0")
        {
            skip(
                "this kernel has TIOCSTI for nobody without CAP_SYS_ADMIN (dev.tty.legacy_tiocsti \
                 = 0)",
            );
        } else {
            assert!(
                output.status.success(),
                "{who:?}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            );
        }
    }
}

// ---- processes and IPC that are not the target's ----

fn inside(place: &Place, more: &str) -> String {
    system(&format!("\"/reach\" = {{ bind = \"{}\" }}\n{more}", place.path.join("reach").display()))
}

/// All of the acts that were tried were refused with this errno.
#[track_caller]
fn all_refused(output: &Output, errno: &str) {
    let acts = text(&output.stdout);
    assert!(output.status.code() == Some(1) && !acts.is_empty(), "{}", said(output));
    assert!(acts.lines().all(|act| act.ends_with(errno)), "{}", said(output));
}

/// Pid 1 keeps the time. As SCHED_IDLE, or on a processor that others keep busy, it would be late
/// by a second for each of them.
#[test]
fn pid_1_keeps_its_priority_and_its_processors() {
    let place = Place::new();
    let reach = program(&place, "reach");
    for who in As::all() {
        let profile = inside(&place, "");
        all_refused(&place.run(*who, &profile, &["/reach", "schedule", "1"]), "EPERM");
        all_refused(&place.run(*who, &profile, &["/reach", "schedule-many"]), "EPERM");
        assert!(
            place.run(*who, &profile, &["/reach", "schedule-self"]).status.success(),
            "{who:?}"
        );
        // The twin: a child of the target's own; and without a sandbox, of a user who has no other
        // processes.
        let output = place.run(
            *who,
            &profile,
            &["/bin/sh", "-c", "sleep 9 & /reach schedule $!; echo $?; kill $!"],
        );
        assert!(
            text(&output.stdout).lines().filter(|act| act.ends_with(": done")).count() == 6,
            "{who:?}: {}",
            said(&output)
        );
        if *who == As::User && is_root() {
            let nobody_s = USER + 1;
            let twin = std::process::Command::new(&reach)
                .arg("schedule-many")
                .uid(nobody_s)
                .gid(nobody_s)
                .process_group(0)
                .output()
                .unwrap();
            assert!(
                text(&twin.stdout).lines().take(3).all(|act| act.ends_with(": done")),
                "{}",
                said(&twin)
            );
        }
    }
}

/// Where the process numbers are the host's, the caller's other processes are of the same user.
#[test]
fn other_processes_keep_theirs_where_process_numbers_are_the_hosts() {
    let place = Place::new();
    program(&place, "reach");
    let profile =
        inside(&place, "[namespaces]\npid = \"host\"").replace("\"/proc\" = \"proc\"\n", "");
    let profile = profile.replacen("format = 1", "format = 1\noptional = [\"landlock.scope\"]", 1);
    for who in As::all().iter().copied() {
        let mut other = spawned(place.outside(who, "/bin/sleep").arg("60"));
        let pid = other.id().to_string();
        let before = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        all_refused(&place.run(who, &profile, &["/reach", "schedule", &pid]), "EPERM");
        all_refused(&place.run(who, &profile, &["/reach", "schedule-many"]), "EPERM");
        assert!(place.run(who, &profile, &["/reach", "schedule-self"]).status.success());
        let scheduling = |stat: &str| {
            stat.split(' ')
                .enumerate()
                .filter(|(nth, _)| [17, 18, 39, 40].contains(nth))
                .map(|(_, f)| f.to_owned())
                .collect::<Vec<_>>()
        };
        let after = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert_eq!(scheduling(&before), scheduling(&after), "{who:?}");
        let twin =
            place.outside(who, place.path.join("reach")).args(["schedule", &pid]).output().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(twin.status.success(), "{}", said(&twin));
    }
}

/// Landlock alone shares the host's IPC, for which it has no rule: only a line that names it opens
/// it.
#[test]
fn the_host_s_ipc_takes_a_line_of_its_own() {
    if !crate::support::landlock_scopes() {
        return skip("it takes a sandbox with Landlock alone, and a Landlock that keeps signals");
    }
    let place = Place::new();
    let reach = program(&place, "reach");
    for who in As::all() {
        let identity = if *who == As::Root {
            format!("[identity]\nhost = true\nuser = {USER}\ngroup = {USER}\n")
        } else {
            String::new()
        };
        let profile = |ipc: &str| {
            let dev = "\"/dev\" = \"dev\"\n";
            format!(
                "format = 1\n[namespaces]\nall = \"host\"\n{ipc}[network]\nmode = \
                 \"host\"\n{identity}[mounts]\n\"{}\" = \"ro\"\n{dev}",
                place.path.display()
            )
        };
        let act = [reach.to_str().unwrap(), "ipc", "0", "/stockade-none"];
        all_refused(&place.run(*who, &profile(""), &act), "EPERM");
        assert!(
            place
                .run(*who, &profile(""), &[reach.to_str().unwrap(), "schedule-self"])
                .status
                .success(),
            "{who:?}"
        );
        // The twin: the line that asks for it. What it makes is taken away again.
        let output = place.run(*who, &profile("ipc = \"host\"\n"), &act);
        assert!(
            output.status.success() && text(&output.stdout).contains("shmget: done"),
            "{who:?}: {}",
            said(&output)
        );
        remove_ipc(*who);
    }
}

/// Takes away the System V objects of the tests' user.
fn remove_ipc(who: As) {
    let user = USER.to_string();
    let owner = if is_root() { user.clone() } else { nix::unistd::geteuid().to_string() };
    for (table, place, flag) in [("shm", 7, "-m"), ("sem", 4, "-s"), ("msg", 7, "-q")] {
        let text = std::fs::read_to_string(format!("/proc/sysvipc/{table}")).unwrap_or_default();
        for fields in text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()) {
            if fields.get(place) == Some(&owner.as_str())
                && fields.get(1).is_some_and(|id| id.parse::<u32>().is_ok())
            {
                let removed = std::process::Command::new("ipcrm").args([flag, fields[1]]).status();
                assert!(
                    removed.is_ok_and(|status| status.success()),
                    "{who:?}: ipcrm {flag} {}",
                    fields[1]
                );
            }
        }
    }
}

/// Root's target has an id that no other process has, but for stockade's own inside, which keeps
/// its time.
#[test]
fn what_keeps_the_time_cannot_be_stopped_where_process_numbers_are_the_hosts() {
    let place = Place::new();
    let profile = |more: &str| {
        let mounts = "[process]\ntimeout = \"600ms\"\nkill-after = \"200ms\"\n[namespaces]\npid = \
                      \"host\"\n";
        format!("{}{more}", system(mounts).replace("\"/proc\" = \"proc\"\n", ""))
    };
    for who in As::all() {
        let refused = place.run(*who, &profile("[landlock]\nscope = []\n"), &["true"]);
        let error = text(&refused.stderr);
        assert!(
            refused.status.code() == Some(125) && error.contains("landlock::scope"),
            "{who:?}: {error}"
        );
        if !crate::support::landlock_scopes() {
            skip("the kernel's Landlock keeps no signals");
            let refused = place.run(*who, &profile(""), &["true"]);
            assert!(
                text(&refused.stderr).contains("landlock::scope"),
                "{who:?}: {}",
                said(&refused)
            );
            continue;
        }
        let stop = "kill -STOP $PPID; echo $?; sleep 5; kill -CONT $PPID";
        let begin = std::time::Instant::now();
        let output = place.run(*who, &profile(""), &["/bin/sh", "-c", stop]);
        assert!(
            output.status.code() == Some(124) && text(&output.stdout).trim() == "1",
            "{who:?}: {}",
            said(&output)
        );
        assert!(
            begin.elapsed() < crate::support::patient(std::time::Duration::from_secs(4)),
            "{who:?}"
        );
        // The twin, with permission: it is reported, and the target stops its parent, which keeps
        // the time.
        let leave = profile("[landlock]\nscope = []\n").replacen(
            "format = 1",
            "format = 1\noptional = [\"landlock.scope\"]",
            1,
        );
        let output = place.run(
            *who,
            &leave,
            &["/bin/sh", "-c", "kill -STOP $PPID; echo $?; sleep 1.2; kill -CONT $PPID; sleep 9"],
        );
        assert!(
            text(&output.stdout).trim() == "0"
                && text(&output.stderr).contains("stop what keeps its time"),
            "{who:?}: {}",
            said(&output)
        );
    }
}
