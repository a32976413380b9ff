//! What the target shares with its launcher keeps that from its work: a standard error that is
//! full, and streams that are closed.

use crate::support::ground::wait_for;
use crate::support::{As, Place, processes_with, system, text};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};

/// A run whose target has begun and waits for a line, and whose standard error is full.
struct Stuffed {
    launcher: Child,
    /// Part of the target's command line.
    needle: String,
    /// Read by nobody.
    _errors: PipeReader,
}

/// Fills a pipe to its last byte.
fn fill(pipe: &mut PipeWriter) {
    let flags = OFlag::from_bits_retain(fcntl(&*pipe, FcntlArg::F_GETFL).unwrap());
    fcntl(&*pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    for size in [4096, 1] {
        while pipe.write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl(&*pipe, FcntlArg::F_SETFL(flags)).unwrap();
}

impl Stuffed {
    fn new(place: &Place, who: As, flags: &[&str], line: &str) -> Stuffed {
        let (errors, mut full) = std::io::pipe().unwrap();
        let needle = format!("stuffed-{}-{who:?}-{}", std::process::id(), flags.len());
        let profile =
            place.file("p.toml", &format!("{}[seccomp.rules]\nsync = \"notify\"\n", system("")));
        let mut launcher = place
            .stockade(who)
            .arg("run")
            .args(flags)
            .arg(profile)
            .args(["sh", "-c", &format!("echo begun; read line; {line}"), &needle])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(full.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut begun = String::new();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut begun).unwrap();
        assert_eq!(begun, "begun\n", "{who:?}");
        fill(&mut full);
        launcher.stdin.take().unwrap().write_all(b"on\n").unwrap();
        Stuffed { launcher, needle, _errors: errors }
    }

    fn targets(&self) -> usize {
        let all = processes_with(&self.needle);
        // The launcher has the words, too.
        all.iter().filter(|process| !process.contains(" run ")).count()
    }

    /// Waits until the launcher has waited for all its processes and sleeps: in a write to the
    /// pipe. Its user may not ask in which call, as it cannot be traced.
    fn is_written_to(&self) {
        let folder = format!("/proc/{}", self.launcher.id());
        wait_for(|| {
            let children = format!("{folder}/task/{}/children", self.launcher.id());
            let alone = std::fs::read_to_string(children).ok()?.is_empty();
            let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
            (alone && stat.contains(") S ")).then_some(())
        });
    }

    /// The launcher's end by SIGTERM. One that comes while it waits for the target is the target's.
    fn end(mut self) -> ExitStatus {
        let launcher = RefCell::new(&mut self.launcher);
        wait_for(|| {
            let mut launcher = launcher.borrow_mut();
            kill(Pid::from_raw(launcher.id() as i32), Signal::SIGTERM).unwrap();
            launcher.try_wait().unwrap()
        })
    }
}

/// `--explain=live` reports a denial while the target runs, but not to a full pipe: the launcher
/// would block there, and handle neither a signal nor the end of a timeout.
#[test]
fn a_target_that_fills_standard_error_is_ended_all_the_same() {
    for who in As::all() {
        let place = Place::new();
        // The twin: without a denial nothing is to be written.
        for (flags, line) in [(&["--explain=live"][..], "sync; sleep 50; :"), (&[], "sleep 50; :")]
        {
            let run = Stuffed::new(&place, *who, flags, line);
            wait_for(|| (run.targets() == 1).then_some(()));
            // Long enough for the call to be reported.
            std::thread::sleep(std::time::Duration::from_millis(300));
            kill(Pid::from_raw(run.launcher.id() as i32), Signal::SIGTERM).unwrap();
            wait_for(|| (run.targets() == 0).then_some(()));
            run.end();
        }
    }
}

/// The last words of a launcher may wait for their reader, as those of any program; a signal ends
/// that.
#[test]
fn a_launcher_that_nobody_reads_can_be_ended() {
    for who in As::all() {
        let place = Place::new();
        let run = Stuffed::new(&place, *who, &[], "kill -SYS $$");
        run.is_written_to();
        assert_eq!(run.end().signal(), Some(libc::SIGTERM), "{who:?}");
    }
}

/// The place of the report takes no number of a standard stream: the next file that the target
/// opens would be its standard error.
#[test]
fn a_closed_stream_is_null_beside_a_report() {
    for who in As::all() {
        let place = Place::new();
        let data = place.folder("data", As::User);
        let bind = format!("\"/data\" = {{ bind = \"{}\", access = \"rw\" }}", data.display());
        let profile = place.file("p.toml", &system(&bind));
        let report = place.folder("records", *who).join("report");
        let said = data.join("said");
        for closed in ["0<&-", "1>&-", "2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"] {
            for flag in ["", "--report \"$2\"", "--report /dev/fd/9 9>\"$2\""] {
                let output = place
                    .outside(*who, "/bin/sh")
                    .arg("-c")
                    .arg(format!(
                        "exec \"$0\" run {flag} \"$1\" sh -c 'cd /proc/$$/fd; of=$(readlink 0 1 \
                         2); echo \"$of\" >/data/said' {closed}"
                    ))
                    .arg(place.path.join("stockade"))
                    .args([&profile, &report])
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                assert_eq!(output.status.code(), Some(0), "{who:?} {closed} {flag}: {output:?}");
                let streams = std::fs::read_to_string(&said).unwrap();
                let streams: Vec<&str> = streams.lines().collect();
                assert_eq!(streams.len(), 3, "{who:?} {closed} {flag}: {streams:?}");
                for (number, stream) in streams.iter().enumerate() {
                    let is_closed = closed.contains(&format!("{number}>&-"))
                        || closed.contains(&format!("{number}<&-"));
                    assert_eq!(
                        *stream == "/dev/null",
                        is_closed || number == 0,
                        "{who:?} {closed} {flag}: {streams:?}"
                    );
                }
            }
        }
        assert!(text(&std::fs::read(report).unwrap()).contains("\"cause\""));
    }
}
