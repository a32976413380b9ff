//! `[process]` on a real kernel: how a run ends, signals, pid 1, the end of the sandbox, and the
//! state that the target starts with.

use crate::support::{self, As, Place, is_root, patient, processes_with, skip, system, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The system's programs, with `lines` in `[process]` and further sections after them.
fn profile(lines: &str) -> String {
    format!("{}[process]\n{lines}\n", system(""))
}

/// A number that no other run of these tests has in a command line.
fn needle(name: &str, who: As) -> String {
    format!("needle-{name}-{}-{who:?}", std::process::id())
}

/// Another program than the launcher, started by who starts the launcher.
fn start_as(command: &mut Command, who: As) {
    if is_root() && who == As::User {
        command.uid(support::USER).gid(support::USER);
    }
}

fn within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + patient(limit);
    while !done() {
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A launcher whose target has printed `ready`.
struct Running {
    child: Child,
    out: Receiver<String>,
    _place: Place,
}

impl Running {
    fn new(who: As, profile: &str, line: &str) -> Running {
        Running::with(who, profile, &["/bin/sh", "-c", line])
    }

    fn with(who: As, profile: &str, words: &[&str]) -> Running {
        let place = Place::new();
        let path = place.file("profile.toml", profile);
        let mut command = place.stockade(who);
        command.arg("run").arg(path).args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, out) = channel();
        // Read beside the test, so that one which waits for a line in vain fails rather than hangs.
        // It ends with the target.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        let running = Running { out, child, _place: place };
        assert_eq!(running.line(), "ready", "{who:?}");
        running
    }

    fn line(&self) -> String {
        self.out.recv_timeout(Duration::from_secs(10)).expect("a line of the target")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    fn send(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The status, within a time that no test needs.
    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        within(Duration::from_secs(10), "the launcher ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A launcher that ended already cannot be killed, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

// ---- how a run ends ----

#[test]
fn the_status_is_the_targets_own() {
    for who in As::all() {
        let place = Place::new();
        for code in [0, 1, 3, 124, 125, 255] {
            assert_eq!(
                place.run(*who, &profile(""), &["sh", "-c", &format!("exit {code}")]).status.code(),
                Some(code),
                "{who:?}"
            );
        }
        for (signal, status) in
            [("TERM", 143), ("KILL", 137), ("SEGV", 139), ("HUP", 129), ("RTMIN+3", 165)]
        {
            let output = place.run(
                *who,
                &profile(""),
                &["bash", "-c", &format!("kill -{signal} $$; sleep 5")],
            );
            assert_eq!(
                output.status.code(),
                Some(status),
                "{who:?} {signal}: {}",
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn a_timeout_is_124() {
    for who in As::all() {
        let place = Place::new();
        let start = Instant::now();
        let output = place.run(*who, &profile("timeout = \"200ms\""), &["sleep", "100"]);
        assert_eq!(output.status.code(), Some(124), "{who:?}: {}", text(&output.stderr));
        assert!(
            (Duration::from_millis(200)..patient(Duration::from_secs(3)))
                .contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
        // A target that ends by itself in answer to the signal has timed out all the same.
        let polite = "trap 'echo asked; exit 9' USR1; while :; do sleep 0.02; done";
        let timeout = patient(Duration::from_millis(200)).as_millis();
        let output = place.run(
            *who,
            &profile(&format!("timeout = \"{timeout}ms\"\nstop-signal = \"USR1\"")),
            &["sh", "-c", polite],
        );
        assert_eq!(
            (output.status.code(), text(&output.stdout).trim()),
            (Some(124), "asked"),
            "{who:?}"
        );
        // One that ends in time has not.
        assert_eq!(
            place.run(*who, &profile("timeout = \"20s\""), &["sh", "-c", "exit 5"]).status.code(),
            Some(5),
            "{who:?}"
        );
    }
}

#[test]
fn a_target_that_ignores_the_stop_signal_is_killed_after_the_grace() {
    for who in As::all() {
        let place = Place::new();
        let start = Instant::now();
        let deaf = "trap '' TERM; while :; do sleep 0.02; done";
        let output = place.run(
            *who,
            &profile("timeout = \"200ms\"\nkill-after = \"300ms\""),
            &["sh", "-c", deaf],
        );
        assert_eq!(output.status.code(), Some(124), "{who:?}");
        assert!(
            (Duration::from_millis(500)..patient(Duration::from_secs(4)))
                .contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
        // A stopped one cannot hold out either.
        let output = place.run(
            *who,
            &profile("timeout = \"200ms\"\nkill-after = \"300ms\""),
            &["sh", "-c", "trap '' TERM; kill -STOP $$; sleep 100"],
        );
        assert_eq!(output.status.code(), Some(124), "{who:?}");
    }
}

#[test]
fn a_stopped_launcher_does_not_stop_the_timeout() {
    for who in As::all() {
        let name = needle("stopped", *who);
        let mut running = Running::with(
            *who,
            &profile("timeout = \"400ms\""),
            &["sh", "-c", "echo ready; sleep 100; :", &name],
        );
        running.send(Signal::SIGSTOP);
        // The launcher itself has the words too, so what counts is what lives inside.
        let launcher = running.pid().to_string();
        within(Duration::from_secs(3), "the target ends", || {
            processes_with(&name).iter().all(|line| line.starts_with(&format!("{launcher}:")))
        });
        running.send(Signal::SIGCONT);
        assert_eq!(running.end().code(), Some(124), "{who:?}");
    }
}

#[test]
fn a_failure_of_the_launcher_is_125_and_says_so() {
    for who in As::all() {
        let place = Place::new();
        let bad = place.run(*who, "format = 1\n[proces]\n", &["true"]);
        assert!(
            bad.status.code() == Some(125) && text(&bad.stderr).contains("process"),
            "{who:?}: {}",
            text(&bad.stderr)
        );
        for words in [
            &["run"][..],
            &["run", "/nowhere/profile.toml"],
            &["run", "--no-such-option", "base"],
            &["no-such-command"],
            &[],
        ] {
            let output = place.stockade(*who).args(words).output().unwrap();
            assert!(
                output.status.code() == Some(125)
                    && !output.stderr.is_empty()
                    && output.stdout.is_empty(),
                "{who:?} {words:?}: {output:?}"
            );
        }
        for words in [&["--help"][..], &["run", "--help"], &["--version"]] {
            let output = place.stockade(*who).args(words).output().unwrap();
            assert!(
                output.status.success() && !output.stdout.is_empty(),
                "{who:?} {words:?}: {output:?}"
            );
        }
        // A launch that fails in the child: a working directory that does not exist.
        let lost = place.run(*who, &profile("cwd = \"/nowhere\""), &["echo", "ran"]);
        assert!(lost.status.code() == Some(125) && lost.stdout.is_empty(), "{who:?}: {lost:?}");
        assert!(text(&lost.stderr).contains("/nowhere"), "{who:?}: {}", text(&lost.stderr));
    }
}

#[test]
fn what_cannot_be_run_is_126_and_what_is_not_there_127() {
    for who in As::all() {
        let place = Place::new();
        let at = place.path.display();
        place.file("plain", "#!/bin/sh\n");
        for (name, text) in [("lost", "#!/nowhere/interpreter\n"), ("nothing", "no program at all")]
        {
            place.script(name, text);
        }
        let profile = system(&format!(
            "\"/here\" = {{ bind = \"{at}\" }}\n\"/noexec\" = {{ bind = \"/usr/bin\", exec = false \
             }}"
        ));
        let cases = [
            ("/here/plain", 126),
            ("/usr", 126),
            ("/noexec/true", 126),
            ("/here/nothing", 126),
            ("/here/lost", 127),
            ("/nowhere", 127),
            ("no-such-program", 127),
        ];
        for (program, status) in cases {
            let output = place.run(*who, &profile, &[program]);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{who:?} {program}: {}",
                text(&output.stderr)
            );
            assert!(
                text(&output.stderr).contains(program),
                "{who:?} {program}: {}",
                text(&output.stderr)
            );
        }
        // execvp(3)'s rule: a file without the right to run is passed over for a later one.
        let path = format!("{profile}[env]\nPATH = \"/here:/usr/bin\"\n");
        place.file("true", "not this one");
        assert_eq!(place.run(*who, &path, &["true"]).status.code(), Some(0), "{who:?}");
    }
}

// ---- signals ----

#[test]
fn signals_to_the_launcher_reach_the_target() {
    for who in As::all() {
        for (signal, name) in [
            (Signal::SIGTERM, "TERM"),
            (Signal::SIGHUP, "HUP"),
            (Signal::SIGUSR1, "USR1"),
            (Signal::SIGUSR2, "USR2"),
            (Signal::SIGINT, "INT"),
            (Signal::SIGQUIT, "QUIT"),
            (Signal::SIGALRM, "ALRM"),
            (Signal::SIGCONT, "CONT"),
            (Signal::SIGWINCH, "WINCH"),
        ] {
            let script =
                format!("trap 'echo got; exit 7' {name}; echo ready; while :; do sleep 0.02; done");
            let mut running = Running::with(*who, &profile(""), &["bash", "-c", &script]);
            running.send(signal);
            assert_eq!(
                (running.line().as_str(), running.end().code()),
                ("got", Some(7)),
                "{who:?} {name}"
            );
        }
        for (signal, status) in
            [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)]
        {
            let mut running = Running::new(*who, &profile(""), "echo ready; exec sleep 100");
            running.send(signal);
            assert_eq!(running.end().code(), Some(status), "{who:?} {signal}");
        }
    }
}

#[test]
fn a_signal_is_forwarded_each_time() {
    for who in As::all() {
        // Neither bash, which loses a trap about once in five hundred between its child's start and
        // its wait, nor a handler in python, which does not run when its signal comes between the
        // look at the flag and pause(2).
        let script = "import os, signal, sys\n\
            both = (signal.SIGUSR1, signal.SIGTERM)\n\
            signal.pthread_sigmask(signal.SIG_BLOCK, both)\n\
            print('ready', flush=True)\n\
            while signal.sigwait(both) == signal.SIGUSR1: os.write(1, b'got\\n')\n\
            sys.exit(7)";
        if !PathBuf::from("/usr/bin/python3").exists() {
            return skip("python3 is not installed");
        }
        let mut running = Running::with(*who, &profile(""), &["/usr/bin/python3", "-c", script]);
        for _ in 0..50 {
            running.send(Signal::SIGUSR1);
            assert_eq!(running.line(), "got", "{who:?}");
        }
        running.send(Signal::SIGTERM);
        assert_eq!(running.end().code(), Some(7), "{who:?}");
    }
}

#[test]
fn what_the_caller_ignores_or_blocks_is_fresh_inside() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file(
            "profile.toml",
            &profile("command = [\"grep\", \"-E\", \"Sig(Blk|Ign)\", \"/proc/self/status\"]"),
        );
        let launcher = place.path.join("stockade");
        // Python sets what a shell cannot: ignored and blocked signals, by number, over exec.
        let script = "import os, signal, sys\n\
            for n in (1, 2, 3, 10, 13, 15, 20, 34, 64): signal.signal(n, signal.SIG_IGN)\n\
            signal.pthread_sigmask(signal.SIG_BLOCK, {1, 12, 14, 17, 40})\n\
            os.execv(sys.argv[1], sys.argv[1:])";
        let mut command = Command::new("/usr/bin/python3");
        if !PathBuf::from("/usr/bin/python3").exists() {
            return skip("python3 is not installed");
        }
        command.args(["-c", script]).arg(&launcher).arg("run").arg(path).stdin(Stdio::null());
        start_as(&mut command, *who);
        let output = command.output().unwrap();
        assert_eq!(
            text(&output.stdout).split_whitespace().collect::<Vec<_>>(),
            ["SigBlk:", "0000000000000000", "SigIgn:", "0000000000000000"],
            "{who:?}: {}",
            text(&output.stderr)
        );
    }
}

/// A child whose end its parent ignores leaves no status, and sends no signal (wait(2)).
#[test]
fn the_end_is_heard_where_the_caller_ignores_children() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file("profile.toml", &profile("command = [\"sh\", \"-c\", \"exit 7\"]"));
        let mut command = Command::new("env");
        command.arg("--ignore-signal=CHLD").arg(place.path.join("stockade")).arg("run").arg(path);
        start_as(command.stdin(Stdio::null()), *who);
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + patient(Duration::from_secs(10));
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // One that has ended is not hurt by it.
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7), "{who:?}");
    }
}

// ---- pid 1 ----

#[test]
fn pid_1_reaps_what_the_target_does_not() {
    for who in As::all() {
        let place = Place::new();
        // Each inner shell ends at once, so its sleep becomes pid 1's child.
        let script =
            "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & :'; done; sleep 0.5; cat /proc/[0-9]*/stat";
        let seen = place.sh(*who, &profile(""), script);
        let names: Vec<&str> = seen.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert!(names.contains(&"(stockade)") && names.contains(&"(sh)"), "{who:?}: {seen}");
        assert!(!names.contains(&"(sleep)") && !seen.contains(" Z "), "{who:?}: {seen}");
    }
}

#[test]
fn the_sandbox_ends_with_the_target() {
    for who in As::all() {
        let place = Place::new();
        let name = needle("daemon", *who);
        let daemon = format!(
            "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done; : {name}' </dev/null \
             >/dev/null 2>&1 &"
        );
        // The daemon's own words, less those of the shell that started it: its line begins with
        // them.
        let look = "for line in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$line; echo; done | grep -q \
                    '^sh -c trap'";
        let script = format!("{daemon} until {look}; do sleep 0.02; done");
        place.sh(*who, &profile("timeout = \"10s\""), &script);
        within(Duration::from_secs(2), "the daemon is gone", || processes_with(&name).is_empty());
    }
}

/// The descendants of a process, by what cannot be taken for another: number and start time.
fn family(pid: Pid) -> Vec<(String, String)> {
    let mut all = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields: Vec<String> =
            stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect();
        all.push((
            entry.file_name().to_string_lossy().into_owned(),
            fields[1].clone(),
            fields[19].clone(),
        ));
    }
    let mut family: Vec<(String, String)> = vec![];
    let mut parents = vec![pid.to_string()];
    while let Some(parent) = parents.pop() {
        for (child, _, start) in all.iter().filter(|(_, of, _)| *of == parent) {
            parents.push(child.clone());
            family.push((child.clone(), start.clone()));
        }
    }
    family
}

fn lives((pid, start): &(String, String)) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(19) == Some(start.as_str())
            && !stat.contains(") Z ")
    })
}

#[test]
fn the_sandbox_dies_with_the_launcher() {
    for who in As::all() {
        for init in ["", "init = false"] {
            let script = "trap '' TERM HUP INT; setsid sleep 1000 & sleep 1000 & echo ready; while \
                          :; do sleep 1; done";
            let mut running = Running::new(*who, &profile(init), script);
            let family = family(running.pid());
            assert!(family.len() >= 3, "{who:?}: {family:?}");
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            within(Duration::from_secs(2), "all are gone", || !family.iter().any(lives));
        }
    }
}

#[test]
fn the_target_can_be_pid_1() {
    for who in As::all() {
        let place = Place::new();
        assert_eq!(place.sh(*who, &profile("init = false"), "echo $$"), "1", "{who:?}");
        let spaces = "for kind in cgroup ipc mnt net pid time user uts; do readlink \
                      /proc/self/ns/$kind; done";
        let inside = place.sh(*who, &profile("init = false"), spaces);
        let outside = place.outside(*who, "sh").args(["-c", spaces]).output().unwrap();
        assert!(
            text(&outside.stdout).lines().count() == 8
                && text(&outside.stdout).lines().all(|own| !inside.contains(own)),
            "{who:?}: {inside}"
        );
        assert_eq!(
            place.run(*who, &profile("init = false"), &["sh", "-c", "exit 9"]).status.code(),
            Some(9),
            "{who:?}"
        );
        assert_eq!(
            place.run(*who, &profile("init = false"), &["no-such-program"]).status.code(),
            Some(127),
            "{who:?}"
        );
        let late = place.run(*who, &profile("init = false\ntimeout = \"1s\""), &["true"]);
        assert!(
            late.status.code() == Some(125) && text(&late.stderr).contains("timeout"),
            "{who:?}: {}",
            text(&late.stderr)
        );
        // The kernel gives pid 1 only signals that it handles (pid_namespaces(7)).
        let mut running = Running::new(
            *who,
            &profile("init = false"),
            "trap 'exit 8' TERM; echo ready; while :; do sleep 0.02; done",
        );
        running.send(Signal::SIGTERM);
        assert_eq!(running.end().code(), Some(8), "{who:?}");
    }
}

#[test]
fn the_targets_parent_is_pid_1_and_its_group_its_own() {
    for who in As::all() {
        let place = Place::new();
        let seen = place.sh(*who, &profile(""), "cut -d' ' -f4,5,6 /proc/$$/stat; echo $$");
        let numbers: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(numbers, ["1", "2", "2", "2"], "{who:?}: parent, group, session, own number");
    }
}

// ---- the state that the target starts with ----

#[test]
fn streams_can_be_null() {
    for who in As::all() {
        let place = Place::new();
        let link = |fd: u32| format!("readlink /proc/self/fd/{fd}");
        for (key, fd) in [("stdin", 0), ("stderr", 2)] {
            assert_eq!(
                place.sh(*who, &profile(&format!("{key} = \"null\"")), &link(fd)),
                "/dev/null",
                "{who:?} {key}"
            );
        }
        let output = place.run(
            *who,
            &profile("stdout = \"null\""),
            &["sh", "-c", "echo lost; echo kept >&2"],
        );
        assert_eq!(
            (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
            ("", "kept\n"),
            "{who:?}"
        );
        // Without a /dev inside as well.
        let bare = profile("stdin = \"null\"").replace("\"/dev\" = \"dev\"\n", "");
        assert_eq!(
            place.sh(*who, &bare, "test ! -e /dev/null && cat && echo end"),
            "end",
            "{who:?}"
        );
    }
}

#[test]
fn closed_streams_become_null() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file(
            "profile.toml",
            &profile("command = [\"sh\", \"-c\", \"readlink /proc/self/fd/0; ls /proc/self/fd\"]"),
        );
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "exec \"$0\" run \"$1\" <&-"])
            .arg(place.path.join("stockade"))
            .arg(path)
            .env_clear();
        start_as(&mut shell, *who);
        let output = shell.output().unwrap();
        assert_eq!(
            text(&output.stdout),
            "/dev/null\n0\n1\n2\n3\n",
            "{who:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn descriptors_pass_only_by_name() {
    for who in As::all() {
        let place = Place::new();
        place.file("five", "five");
        let command = "command = [\"sh\", \"-c\", \"ls /proc/self/fd; cat <&5\"]";
        for (line, list, code) in [
            ("", "0\n1\n2\n3\n", 2),
            ("pass-fds = [5]\n", "0\n1\n2\n3\n5\nfive", 0),
            ("pass-fds = [9, 5]\n", "0\n1\n2\n3\n5\n9\nfive", 0),
        ] {
            let path = place.file("profile.toml", &profile(&format!("{line}{command}")));
            let mut shell = Command::new("/bin/sh");
            shell
                .args(["-c", "exec \"$0\" run \"$1\" 5<five 7<five 9<five"])
                .arg(place.path.join("stockade"))
                .arg(path);
            shell.env_clear().current_dir(&place.path).stdin(Stdio::null());
            start_as(&mut shell, *who);
            let output = shell.output().unwrap();
            assert_eq!(
                (text(&output.stdout).as_str(), output.status.code()),
                (list, Some(code)),
                "{who:?} {line}: {}",
                text(&output.stderr)
            );
        }
        let none = place.run(*who, &profile("pass-fds = [77]"), &["echo", "ran"]);
        assert!(none.status.code() == Some(125) && none.stdout.is_empty(), "{who:?}: {none:?}");
        assert!(text(&none.stderr).contains("pass-fds"), "{who:?}: {}", text(&none.stderr));
    }
}

#[test]
fn the_working_folder_is_the_callers_where_it_is_in_sight() {
    for who in As::all() {
        let place = Place::new();
        let at = place.path.display().to_string();
        // The caller is in the place's directory.
        let bound = format!("{}\"{at}\" = \"ro\"\n", system(""));
        assert_eq!(place.sh(*who, &bound, "pwd -P"), at, "{who:?}");
        assert_eq!(place.sh(*who, &system(""), "pwd -P"), "/", "{who:?}");
        let above = format!("{}\"{at}/in/it\" = \"tmpfs\"\n", system(""));
        assert_eq!(place.sh(*who, &above, "pwd -P; ls"), format!("{at}\nin"), "{who:?}: above one");
        let empty = format!("{}\"{at}\" = \"tmpfs\"\n", system(""));
        assert_eq!(place.sh(*who, &empty, "pwd -P; ls"), at, "{who:?}: made empty");
        let other = format!("{}\"{at}\" = {{ bind = \"/usr/lib\" }}\n", system(""));
        assert_eq!(
            place.sh(*who, &other, "pwd -P"),
            "/",
            "{who:?}: the same path, another directory"
        );
        assert_eq!(place.sh(*who, &profile("cwd = \"/usr/bin\""), "pwd -P"), "/usr/bin", "{who:?}");
    }
}

#[test]
fn umask_nice_score_and_name_are_as_said() {
    for who in As::all() {
        let place = Place::new();
        assert_eq!(place.sh(*who, &profile(""), "umask"), "0022", "{who:?}");
        assert_eq!(
            place.sh(*who, &profile("umask = \"0027\""), "umask; touch /tmp/f; stat -c %a /tmp/f"),
            "0027\n640",
            "{who:?}"
        );
        assert_eq!(
            place.sh(*who, &profile("nice = 7"), "cut -d' ' -f19 /proc/self/stat"),
            "7",
            "{who:?}"
        );
        assert_eq!(
            place.sh(*who, &profile("oom-score-adj = 700"), "cat /proc/self/oom_score_adj"),
            "700",
            "{who:?}"
        );
        assert_eq!(
            place.sh(*who, &profile("scheduler = \"batch\""), "cut -d' ' -f41 /proc/self/stat"),
            "3",
            "{who:?}"
        );
        assert_eq!(
            place.sh(*who, &profile("ioprio = \"best-effort:6\""), "ionice"),
            "best-effort: prio 6",
            "{who:?}"
        );
        let named = place.run(
            *who,
            &profile("arg0 = \"other\""),
            &["sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline"],
        );
        assert!(text(&named.stdout).starts_with("other -c "), "{who:?}: {named:?}");
        let environment = place.run(*who, &profile(""), &["env"]);
        assert_eq!(text(&environment.stdout), "PATH=/usr/local/bin:/usr/bin:/bin\n", "{who:?}");
    }
}

#[test]
fn what_an_ordinary_user_may_not_have_is_an_error_at_its_line() {
    let place = Place::new();
    for line in ["nice = -5", "scheduler = \"fifo:10\"", "oom-score-adj = -900"] {
        let output = place.run(As::User, &profile(line), &["echo", "ran"]);
        let error = text(&output.stderr);
        let key = line.split(' ').next().unwrap();
        assert!(
            output.status.code() == Some(125) && output.stdout.is_empty() && error.contains(key),
            "{line}: {:?}\n{error}",
            output.status
        );
    }
}

#[test]
fn all_sixteen_limits_are_set() {
    let limits = [
        ("as", "\"8G\"", "Max address space", "8589934592"),
        ("core", "4096", "Max core file size", "4096"),
        ("cpu", "\"1000s\"", "Max cpu time", "1000"),
        ("data", "\"2G\"", "Max data size", "2147483648"),
        ("fsize", "\"1G\"", "Max file size", "1073741824"),
        ("locks", "100", "Max file locks", "100"),
        ("memlock", "\"32K\"", "Max locked memory", "32768"),
        ("msgqueue", "8192", "Max msgqueue size", "8192"),
        ("nice", "0", "Max nice priority", "0"),
        ("nofile", "64", "Max open files", "64"),
        ("nproc", "500", "Max processes", "500"),
        ("rss", "\"3G\"", "Max resident set", "3221225472"),
        ("rtprio", "0", "Max realtime priority", "0"),
        ("rttime", "\"5s\"", "Max realtime timeout", "5000000"),
        ("sigpending", "100", "Max pending signals", "100"),
        ("stack", "\"4M\"", "Max stack size", "4194304"),
    ];
    for who in As::all() {
        let place = Place::new();
        let lines: String =
            limits.iter().map(|(word, value, ..)| format!("{word} = {value}\n")).collect();
        let seen =
            place.sh(*who, &format!("{}[rlimits]\n{lines}", system("")), "cat /proc/self/limits");
        for (word, _, label, value) in limits {
            let line = seen.lines().find(|line| line.starts_with(label)).unwrap();
            let found: Vec<&str> = line[label.len()..].split_whitespace().take(2).collect();
            assert_eq!(found, [value, value], "{who:?} {word}: {line}");
        }
        let two = place.sh(
            *who,
            &format!("{}[rlimits]\nnofile = {{ soft = 50, hard = 70 }}\n", system("")),
            "ulimit -Sn; ulimit -Hn",
        );
        assert_eq!(two, "50\n70", "{who:?}");
        assert_eq!(place.sh(*who, &system(""), "ulimit -c"), "0", "{who:?}: one byte is no block");
    }
}

#[test]
fn clocks_and_names_are_the_sandboxs_own() {
    for who in As::all() {
        let place = Place::new();
        let uptime = |text: &str| text.split(['.', ' ']).next().unwrap().parse::<i64>().unwrap();
        let outside = uptime(&std::fs::read_to_string("/proc/uptime").unwrap());
        let moved = format!(
            "{}[namespaces]\ntime-offsets = {{ monotonic = \"1d\", boottime = \"2d\" }}\n",
            system("")
        );
        let inside = uptime(&place.sh(*who, &moved, "cat /proc/uptime"));
        assert!((0..60).contains(&(inside - outside - 2 * 86_400)), "{who:?}: {inside} {outside}");
        let offsets = place.sh(*who, &moved, "cat /proc/self/timens_offsets");
        assert_eq!(
            offsets.split_whitespace().collect::<Vec<_>>(),
            ["monotonic", "86400", "0", "boottime", "172800", "0"],
            "{who:?}"
        );
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let names = format!(
            "{}[namespaces]\nhostname = \"build-7\"\ndomainname = \"example\"\n",
            system("")
        );
        assert_eq!(
            place.sh(*who, &names, "uname -n; cat /proc/sys/kernel/domainname"),
            "build-7\nexample",
            "{who:?}"
        );
        assert_eq!(place.sh(*who, &system(""), "uname -n"), "stockade", "{who:?}");
        assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
    }
}

#[test]
fn a_timeout_counts_the_time_that_passes_whatever_the_clocks_inside() {
    for who in As::all() {
        let place = Place::new();
        let moved = format!(
            "{}[namespaces]\ntime-offsets = {{ monotonic = \"1d\", boottime = \"-1s\" }}\n",
            profile("timeout = \"300ms\"")
        );
        let start = Instant::now();
        assert_eq!(place.run(*who, &moved, &["sleep", "50"]).status.code(), Some(124), "{who:?}");
        let bounds = Duration::from_millis(300)..patient(Duration::from_secs(3));
        assert!(bounds.contains(&start.elapsed()), "{who:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_network_namespace_is_joined_by_its_path() {
    if !is_root() {
        return skip("it needs root");
    }
    let place = Place::new();
    let mut holder = Command::new("unshare").args(["-n", "sleep", "100"]).spawn().unwrap();
    let link = || std::fs::read_link(format!("/proc/{}/ns/net", holder.id())).unwrap();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    within(Duration::from_secs(5), "the namespace is there", || link() != own);
    let joined =
        format!("{}[network]\nmode = {{ join = \"/proc/{}/ns/net\" }}\n", system(""), holder.id());
    let seen = place.sh(As::Root, &joined, "readlink /proc/self/ns/net");
    let (expected, absent) =
        (link(), format!("{}[network]\nmode = {{ join = \"/nowhere/net\" }}\n", system("")));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(PathBuf::from(seen), expected);
    let output = place.run(As::Root, &absent, &["echo", "ran"]);
    assert!(output.status.code() == Some(125) && output.stdout.is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains("/nowhere/net"), "{}", text(&output.stderr));
}

// ---- ways to start ----

#[test]
fn a_profile_comes_from_standard_input() {
    for who in As::all() {
        let place = Place::new();
        let mut child = place
            .stockade(*who)
            .args(["run", "-", "echo", "from", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(system("").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (text(&output.stdout).as_str(), output.status.code()),
            ("from -\n", Some(0)),
            "{who:?}"
        );
    }
}

#[test]
fn a_profile_can_be_a_program() {
    for who in As::all() {
        let place = Place::new();
        let launcher = place.path.join("stockade");
        let script = place.script(
            "script",
            &format!(
                "#!/usr/bin/env -S {} run\n{}[process]\ncommand = [\"echo\", \"ran\", \
                 \"${{ARGS}}\"]\n",
                launcher.display(),
                system("")
            ),
        );
        let mut command = Command::new(&script);
        command.args(["--flag", "-x", "two words"]).env_clear().env("PATH", "/usr/bin:/bin");
        start_as(&mut command, *who);
        let output = command.output().unwrap();
        assert_eq!(
            (text(&output.stdout).as_str(), output.status.code()),
            ("ran --flag -x two words\n", Some(0)),
            "{who:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn the_command_line_is_the_last_layer() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file(
            "profile.toml",
            &format!("{}[rlimits]\nnofile = 100\n[namespaces]\nhostname = \"file\"\n", system("")),
        );
        let mut command = place.stockade(*who);
        command
            .args([
                "run",
                "--config",
                "rlimits.nofile = 50",
                "--config",
                "process.umask = \"0077\"",
            ])
            .arg(&path);
        let output = command.args(["sh", "-c", "ulimit -n; umask; uname -n"]).output().unwrap();
        assert_eq!(text(&output.stdout), "50\n0077\nfile\n", "{who:?}: {}", text(&output.stderr));
        let wrong = place
            .stockade(*who)
            .args(["run", "--config", "rlimits.nofiles = 50"])
            .arg(&path)
            .arg("true")
            .output()
            .unwrap();
        let error = text(&wrong.stderr);
        assert!(
            wrong.status.code() == Some(125)
                && error.contains("nofile")
                && error.contains("--config"),
            "{who:?}: {error}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_the_targets_matter() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file("profile.toml", &profile("command = [\"yes\"]"));
        let mut shell = Command::new("/bin/bash");
        shell
            .args(["-c", "\"$0\" run \"$1\" | head -1; echo ${PIPESTATUS[0]}"])
            .arg(place.path.join("stockade"))
            .arg(path)
            .env_clear();
        shell.env("PATH", "/usr/bin:/bin");
        start_as(&mut shell, *who);
        // 141: SIGPIPE, which Rust's own start would have left ignored.
        assert_eq!(text(&shell.output().unwrap().stdout), "y\n141\n", "{who:?}");
    }
}

#[test]
fn a_descriptor_that_is_not_open_cannot_be_passed() {
    // The launcher's own pipes get the lowest free numbers: none of them may be what the target is
    // given under a number of the profile.
    for who in As::all() {
        let place = Place::new();
        // One that these tests were started with is inherited, and open.
        for fd in (3..16).filter(|fd| !PathBuf::from(format!("/proc/self/fd/{fd}")).exists()) {
            let output =
                place.run(*who, &profile(&format!("pass-fds = [{fd}]\ncommand = [\"true\"]")), &[]);
            assert_eq!(output.status.code(), Some(125), "{who:?}: descriptor {fd}");
            assert!(
                text(&output.stderr).contains("bad file number"),
                "{who:?}: {}",
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn the_file_tree_can_be_the_host_s() {
    for who in As::all() {
        let place = Place::new();
        let command = "command = [\"sh\", \"-c\", \"pwd; readlink /proc/self/ns/mnt; grep Seccomp: \
                       /proc/self/status\"]";
        let profile = format!(
            "format = 1\n[namespaces]\nmount = \"host\"\n[landlock]\npaths = \
             \"off\"\n[process]\n{command}\n"
        );
        let output = place.run(*who, &profile, &[]);
        let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
        assert_eq!(
            text(&output.stdout),
            format!("{}\n{}\nSeccomp:\t2\n", place.path.display(), own.display()),
            "{who:?}"
        );
        let refused = place.run(*who, &format!("{profile}[mounts]\n\"/tmp\" = \"tmpfs\"\n"), &[]);
        assert!(
            refused.status.code() == Some(125)
                && text(&refused.stderr).contains("namespaces::mount"),
            "{who:?}"
        );
    }
}

#[test]
fn a_low_limit_of_open_files_is_enough_and_is_the_target_s_again() {
    for who in As::all() {
        let place = Place::new();
        // Many file systems in memory, and many binds: each opens descriptors while the world is
        // built.
        let entry = |index: usize| match index % 2 {
            0 => format!("\"/m/{index}\" = {{ tmpfs = \"4K\" }}\n"),
            _ => format!("\"/m/{index}\" = {{ bind = \"/usr/share\" }}\n"),
        };
        let mounts: String = (0..200).map(entry).collect();
        let path = place.file(
            "profile.toml",
            &format!(
                "{}[process]\ncommand = [\"sh\", \"-c\", \"ulimit -n; ulimit -Hn\"]\n",
                system(&mounts)
            ),
        );
        for (soft, hard) in [(40, 4096), (200, 200)] {
            let mut shell = Command::new("/bin/sh");
            shell
                .args([
                    "-c",
                    &format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$0\" run \"$1\""),
                ])
                .arg(place.path.join("stockade"))
                .arg(&path);
            start_as(&mut shell, *who);
            let output = shell.output().unwrap();
            assert_eq!(
                text(&output.stdout),
                format!("{soft}\n{hard}\n"),
                "{who:?}: {}",
                text(&output.stderr)
            );
        }
    }
}
