//! What every helper promises, tried once for all: on the two that there are, and on one more that
//! is not shipped (`helpers/echo.rs`), each beside a launch of a real sandbox. A new helper is one
//! more row of `helpers/kinds.rs`.

mod kinds;

use crate::support::ground::wait_for;
use crate::support::processes::{children, has_ended, name, stat, state, status};
use crate::support::{As, Place, is_root, landlock_abi, patient, skip, spawned, text};
use kinds::{KINDS, Kind, NONE, each, for_each_caller, place};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use stockade::internals::kernel::syscalls::Abi;

#[test]
fn a_helper_has_nothing_that_it_does_not_need() {
    each(|place, who, kind| {
        let mut run = kind.start(place, who, &format!("{}; exit 7", kind.last));
        let of = |line| status(run.helper, line);
        let kept = if is_root() && who == As::Root { kind.of_root } else { NONE };
        assert_eq!((of("CapPrm"), of("CapEff")), (kept.to_owned(), kept.to_owned()));
        assert_eq!((of("CapInh"), of("CapAmb")), (NONE.to_owned(), NONE.to_owned()));
        assert_eq!((of("NoNewPrivs"), of("Seccomp")), ("1".to_owned(), "2".to_owned()));
        // All but SIGKILL and SIGSTOP.
        assert_eq!(of("SigBlk"), "fffffffffffbfeff");
        let ids = [of("Uid"), of("Gid")];
        if kept == NONE {
            let own = |id: &String| !id.split(' ').any(|id| id == "0");
            assert!(ids.iter().all(own) && (who == As::User || of("Groups").is_empty()), "{ids:?}");
        }
        // A session of its own, without a terminal.
        let session = (stat(run.helper, 6), stat(run.helper, 7));
        assert_eq!(session, (Some(run.helper.to_string()), Some("0".to_owned())));
        if is_root() {
            for file in ["environ", "cmdline"] {
                let bytes = std::fs::read(format!("/proc/{}/{file}", run.helper)).unwrap();
                assert!(bytes.iter().all(|byte| *byte == 0), "{file}: {}", text(&bytes));
            }
            let open = || {
                let mut open: Vec<String> = descriptors(run.helper).map(|(_, link)| link).collect();
                open.sort();
                open
            };
            let is_right = |open: &[String]| {
                let begin = |(link, begin): (&String, &&str)| link.starts_with(begin);
                open.len() == kind.open.len() && open.iter().zip(kind.open).all(begin)
            };
            // It closes the socket of the hand-over when the target may have begun already.
            let until = Instant::now() + patient(Duration::from_secs(5));
            while !is_right(&open()) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(is_right(&open()), "{:?}", open());
        }
        run.go_on();
        assert_eq!(run.end().0, Some(7), "{}", kind.name);
    });
}

/// The descriptors of a process, with their links. Only root may look at one that is not dumpable.
fn descriptors(pid: u32) -> impl Iterator<Item = (u32, String)> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries.filter_map(|entry| {
        // It may have been closed meanwhile.
        let link = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().to_str().unwrap().parse().unwrap(), link.display().to_string()))
    })
}

/// What came of a call that a process was made to make: see poke.c.
pub fn poke(place: &Place, pid: u32, call: &str, arguments: &[&str]) -> String {
    let output = poked(place, pid, call, arguments);
    assert!(output.status.success(), "{call}: {output:?}");
    text(&output.stdout).trim_end().to_owned()
}

/// The same where the call may bring the process to its end, under its tracer's hands.
fn poked(place: &Place, pid: u32, call: &str, arguments: &[&str]) -> Output {
    let number = Abi::Native.number(call).unwrap().to_string();
    let mut command = Command::new(place.path.join("poke"));
    command.arg(pid.to_string()).arg(number).args(arguments).output().unwrap()
}

/// A process of who launches, which restricts itself in nothing.
fn unrestricted(place: &Place, who: As) -> Child {
    let child = spawned(place.outside(who, "sleep").arg("60"));
    wait_for(|| (state(child.id()) == Some('S')).then_some(()));
    child
}

#[test]
fn a_helper_that_was_taken_over_may_call_nothing_else() {
    if !is_root() {
        return skip("it needs root, which may trace any process");
    }
    let acts: [(&str, &[&str]); 8] = [
        ("openat", &["-100", "@/etc/passwd", "0"]),
        ("execve", &["@/bin/true", "0", "0"]),
        ("socket", &["1", "1", "0"]),
        ("mmap", &["0", "4096", "7", "0x22", "-1", "0"]),
        ("prlimit64", &["0", "4", "0", "0"]),
        ("unshare", &["0"]),
        ("prctl", &["3"]),
        ("getpid", &[]),
    ];
    let killed = format!("signal {}", libc::SIGSYS);
    each(|place, who, kind| {
        for (call, arguments) in acts {
            let mut run = kind.start(place, who, "exit 7");
            assert_eq!(poke(place, run.helper, call, arguments), killed, "{}: {call}", kind.name);
            run.go_on_without(kind);
            assert_eq!(run.end().0, Some(kind.without));
            // The twin.
            let mut other = unrestricted(place, who);
            let done = poke(place, other.id(), call, arguments);
            assert!(done.starts_with("success "), "{who:?}: {call}: {done}");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    });
}

/// A call that its filter lets through is refused by Landlock behind it.
#[test]
fn a_helper_that_was_taken_over_has_no_rights_either() {
    if !is_root() {
        return skip("it needs root, which may trace any process");
    }
    if landlock_abi() == 0 {
        return skip("this kernel has no Landlock");
    }
    let refused = |errno: i32| format!("errno {errno}");
    let wide = Kind { launcher: &["echo", "wide"], ..KINDS[2] };
    let place = place();
    if !wide.is_in(&place) {
        return skip("the additional helper is not built");
    }
    for who in As::all() {
        // The files of the host, which every user may read and execute.
        let mut run = wide.start(&place, *who, &format!("{}; exit 7", wide.last));
        let mut other = unrestricted(&place, *who);
        let mut acts: Vec<(&str, &[&str], i32)> = vec![
            ("openat", &["-100", "@/etc/passwd", "0"], libc::EACCES),
            ("execve", &["@/bin/true", "0", "0"], libc::EACCES),
        ];
        let launcher = run.launcher.id().to_string();
        let of_root: [(&str, &[&str], i32); 2] = [
            ("kill", &[&launcher, "0"], libc::EPERM),
            ("setresuid", &["0", "0", "0"], libc::EPERM),
        ];
        if *who == As::Root {
            acts.splice(0..0, of_root);
        }
        for (call, arguments, errno) in acts {
            assert_eq!(poke(&place, run.helper, call, arguments), refused(errno), "{who:?} {call}");
            let done = poke(&place, other.id(), call, arguments);
            assert!(done.starts_with("success "), "the twin: {who:?} {call}: {done}");
        }
        other.kill().unwrap();
        other.wait().unwrap();
        run.go_on();
        assert_eq!(run.end().0, Some(7));
    }
}

/// The one that reads files reads those of /proc, and not what shows memory or environment.
#[test]
fn a_helper_that_was_taken_over_reads_no_other_files() {
    if !is_root() {
        return skip("it needs root, which may trace any process");
    }
    if landlock_abi() == 0 {
        return skip("this kernel has no Landlock");
    }
    let refused = format!("errno {}", libc::EACCES);
    let place = place();
    for who in As::all() {
        let mut run = KINDS[0].start(&place, *who, "exit 7");
        let flags = libc::O_CLOEXEC.to_string();
        let (proc, _) = descriptors(run.helper).find(|(_, link)| link == "/proc").unwrap();
        let open =
            |path: &str| poke(&place, run.helper, "openat", &[&proc.to_string(), path, &flags]);
        assert_eq!(open("@../etc/passwd"), refused, "{who:?}");
        assert_eq!(open(&format!("@{}/environ", run.launcher.id())), refused);
        assert!(open("@self/status").starts_with("success "), "the twin: {who:?}");
        run.go_on();
        assert_eq!(run.end().0, Some(7));
    }
}

#[test]
fn a_helper_that_is_killed_takes_nothing_down_that_can_do_without() {
    each(|place, who, kind| {
        let mut run = kind.start(place, who, "exit 7");
        run.signal(run.helper, Signal::SIGKILL);
        wait_for(|| has_ended(run.helper).then_some(()));
        run.go_on_without(kind);
        let (status, _, error) = run.end();
        assert_eq!(status, Some(kind.without), "{error}");
    });
}

/// Those that outlive the launcher act then, as `attacks::launcher` has it.
#[test]
fn a_launcher_that_is_killed_leaves_no_helper() {
    each(|place, who, kind| {
        for stopped in [false, true].into_iter().filter(|stopped| !kind.outlives || !stopped) {
            let mut run = kind.start(place, who, "sleep 1000");
            if stopped {
                // The twin: that alone ends nothing.
                run.stop(run.helper);
            }
            assert!(!run.others.iter().any(|pid| has_ended(*pid)));
            run.launcher.0.kill().unwrap();
            for pid in &run.others {
                wait_for(|| has_ended(*pid).then_some(()));
            }
            assert_eq!(run.end().0, None);
        }
    });
}

#[test]
fn a_helper_that_is_stopped_keeps_no_sandbox_from_its_end() {
    each(|place, who, kind| {
        let mut run = kind.start(place, who, "exit 7");
        run.stop(run.helper);
        let begun = Instant::now();
        run.go_on();
        let (status, _, error) = run.end();
        assert_eq!(status, Some(7), "{error}");
        assert!(begun.elapsed() < patient(Duration::from_secs(6)), "{:?}", begun.elapsed());
    });
}

/// Stopped before it is restricted, or before it has taken what it is handed: then nobody runs yet
/// whom a signal would end.
#[test]
fn a_helper_that_is_stopped_before_the_target_runs_stops_the_run() {
    for_each_caller(|place, who| {
        // The additional one is handed nothing, and nearly always there before it is seen.
        for kind in &KINDS[..2] {
            let (status, error) = (0..50).find_map(|_| kind.stopped_early(place, who)).unwrap();
            assert_eq!(status, Some(125), "{who:?}: {}: {error}", kind.name);
            let words = ["timed out", "does not answer"];
            assert!(words.iter().any(|words| error.contains(words)), "{}: {error}", kind.name);
        }
    });
}

/// A wait for the helper continues after the waiting process was stopped, as by a ^Z: a socket with
/// a timeout gives EINTR then (signal(7)).
#[test]
fn a_stop_while_the_helper_is_waited_for_ends_no_run() {
    for_each_caller(|place, who| {
        // The child of pid 1 sleeps: it waits for the helper, which is continued by small steps
        // until then.
        let waiting = |launcher: u32, helper: u32| {
            let others = children(launcher).into_iter().filter(|pid| *pid != helper);
            let mut targets = others.flat_map(children);
            targets.find(|pid| name(*pid).as_deref() != Some("sh") && state(*pid) == Some('S'))
        };
        let stop_and_go = |launcher: u32, helper: u32| {
            let send = |pid: u32, signal| {
                let _ended = kill(Pid::from_raw(pid as i32), signal);
            };
            let found = (0..1000).find_map(|_| {
                send(helper, Signal::SIGCONT);
                send(helper, Signal::SIGSTOP);
                waiting(launcher, helper)
            });
            // Not what was caught between two sleeps.
            std::thread::sleep(Duration::from_millis(20));
            let found = found.filter(|pid| waiting(launcher, helper) == Some(*pid));
            for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
                found.iter().for_each(|pid| send(*pid, signal));
                std::thread::sleep(Duration::from_millis(20));
            }
            send(helper, Signal::SIGCONT);
            found
        };
        let met = (0..50).any(|_| {
            let (output, found) = KINDS[0].stopped_early_and(place, who, stop_and_go);
            assert_eq!(text(&output.stdout), "ran\n", "{who:?}: {}", text(&output.stderr));
            found.flatten().is_some()
        });
        assert!(met, "{who:?}: the helper was never stopped in time");
    });
}

/// While the launcher is stopped it reads nothing, and the pipe of the records holds 39 of them.
#[test]
fn a_slow_reader_keeps_no_helper_from_its_work() {
    each(|place, who, kind| {
        for full in [false, true].into_iter().filter(|full| is_root() || !full) {
            let mut run =
                kind.start(place, who, &format!("{}; echo used; {}; exit 7", kind.work, kind.last));
            if full {
                shrink_pipes(run.helper);
            }
            run.stop(run.launcher.id());
            run.go_on();
            assert_eq!(run.line(), "used\n", "{}", kind.name);
            run.signal(run.launcher.id(), Signal::SIGCONT);
            let (status, out, error) = run.end();
            assert_eq!(status, Some(7), "{error}");
            match kind.name {
                // Its list is complete, whatever it could not report at once.
                "stockade-answer" => {
                    let lines = error.lines().filter(|line| line.contains("denied: ioctl(0, 0x7"));
                    assert_eq!(lines.count(), 128, "{error}");
                    assert!(error.contains("denied: 3872 more calls, of further kinds"), "{error}");
                }
                // 400 messages and the last. Beyond the 39 records and the 16 that are kept they
                // are counted; one or two come when the launcher reads again.
                "stockade-echo" if full => {
                    let numbers: Vec<u32> = out
                        .split(|c: char| !c.is_ascii_digit())
                        .filter_map(|digits| digits.parse().ok())
                        .collect();
                    let [heard, lost] = numbers[..] else { panic!("{out}") };
                    assert!((55..60).contains(&heard) && heard + lost == 401, "{out}");
                }
                "stockade-echo" => assert_eq!(out, "heard 401, lost 0\n"),
                _ => {}
            }
        }
    });
}

/// Each pipe of a process to one page.
fn shrink_pipes(pid: u32) {
    for (fd, link) in descriptors(pid) {
        if link.starts_with("pipe:") {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
            let pipe = options.open(format!("/proc/{pid}/fd/{fd}")).unwrap();
            assert_eq!(fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)), Ok(4096));
        }
    }
}

/// A launcher that gets records without an end follows signals all the same, and sees the end.
#[test]
fn a_flood_of_records_keeps_no_launcher_from_its_work() {
    let floods =
        Kind { launcher: &["echo", "floods"], work: "echo x >&FD; read -r y <&FD", ..KINDS[2] };
    for_each_caller(|place, who| {
        for kind in KINDS.iter().chain([&floods]).filter(|kind| kind.is_in(place)) {
            let endless = format!("{}; echo used; while :; do {}; done", kind.work, kind.work);
            for (script, signal, wanted) in
                [(&endless, true, 143), (&format!("{}; echo used; exit 7", kind.work), false, 7)]
            {
                let mut run = kind.start(place, who, script);
                run.go_on();
                assert_eq!(run.line(), "used\n", "{}", kind.name);
                let begun = Instant::now();
                if signal {
                    run.signal(run.launcher.id(), Signal::SIGTERM);
                }
                let (status, _, error) = run.end();
                assert_eq!(status, Some(wanted), "{who:?}: {}: {error}", kind.name);
                let took = begun.elapsed();
                assert!(took < patient(Duration::from_secs(6)), "{}: {took:?}", kind.name);
            }
        }
    });
}

/// One that was taken over can write to its pipe.
#[test]
fn what_is_no_record_ends_the_listening_and_nothing_else() {
    if !is_root() {
        return skip("it needs root, which may trace any process");
    }
    each(|place, who, kind| {
        let mut run = kind.start(place, who, "exit 7");
        let pipes = descriptors(run.helper).filter(|(_, link)| link.starts_with("pipe:"));
        // The watcher's other pipe is for reading.
        let pipe = pipes.map(|(fd, _)| fd).find(|fd| {
            let flags =
                std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", run.helper)).unwrap();
            flags.lines().any(|line| line.starts_with("flags:") && line.ends_with('1'))
        });
        let written =
            poked(place, run.helper, "write", &[&pipe.unwrap().to_string(), "@short", "5"]);
        // The launcher may end it at once, while it is traced: then only the end of the run shows
        // it.
        let is_written = ["success 5\n", "signal 9\n"].contains(&&*text(&written.stdout));
        let is_gone = kind.without != 7 && text(&written.stderr).ends_with("No such process\n");
        assert!(is_written || is_gone, "{}: {written:?}", kind.name);
        run.go_on_without(kind);
        let (status, _, error) = run.end();
        assert_eq!(status, Some(kind.without), "{}: {error}", kind.name);
    });
}
