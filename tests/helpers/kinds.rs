//! The helpers that there are, each with a launch that has it.

use crate::support::ground::wait_for;
use crate::support::processes::{children, children_named, has_ended, stat, state};
use crate::support::{As, Place, example, install, patient, skip, spawned, system, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A helper, and a sandbox that has it.
pub struct Kind {
    /// Its name in lists of processes.
    pub name: &'static str,
    /// The launcher, and the words before the profile.
    pub launcher: &'static [&'static str],
    /// Lines of the profile.
    pub profile: &'static str,
    /// What of the shell has it work, often.
    pub work: &'static str,
    /// What of the shell comes last. Without it the launcher waits 2 seconds for a helper that
    /// still could be spoken to.
    pub last: &'static str,
    /// What it has open, as the links of /proc/PID/fd begin.
    pub open: &'static [&'static str],
    /// Whether it is there to outlive the launcher.
    pub outlives: bool,
    /// The capabilities that it keeps where root launches.
    pub of_root: &'static str,
    /// The status of a run whose target ends with 7, and whose helper was killed before.
    pub without: i32,
}

pub const NONE: &str = "0000000000000000";

pub const KINDS: [Kind; 3] = [
    Kind {
        name: "stockade-answer",
        launcher: &["stockade", "run", "--explain"],
        profile: "[process]\ntimeout = \"60s\"\n[seccomp.rules]\n\
                  ioctl = { deny-if = { arg1 = { at-least = 0x7000, at-most = 0x7fff } } }\n",
        work: "/denials kinds 4000",
        last: ":",
        open: &["/proc", "anon_inode:seccomp notify", "pipe:"],
        outlives: false,
        of_root: NONE,
        without: 7,
    },
    Kind {
        name: "stockade-watch",
        launcher: &["stockade", "run"],
        profile: "[process]\ninit = false\n",
        work: ":",
        last: ":",
        open: &["anon_inode:[pidfd]", "pipe:", "pipe:"],
        outlives: true,
        of_root: "0000000000000020",
        without: 125,
    },
    Kind {
        name: "stockade-echo",
        launcher: &["echo", "plain"],
        profile: "[process]\ntimeout = \"60s\"\n",
        work: "i=0; while [ $i -lt 400 ]; do echo x >&FD; read -r y <&FD; i=$((i+1)); done",
        last: "echo . >&FD",
        open: &["pipe:", "socket:"],
        outlives: false,
        of_root: NONE,
        without: 7,
    },
];

/// A run whose target has begun, and whose helper is there.
pub struct Run {
    pub launcher: Launcher,
    pub input: ChildStdin,
    pub output: BufReader<ChildStdout>,
    pub helper: u32,
    /// All processes of the run but the launcher.
    pub others: Vec<u32>,
}

/// A launcher, of which a test that fails leaves no more than one that passes. One that does not
/// end is ended.
pub struct Launcher(pub Child, Arc<AtomicBool>);

impl Launcher {
    fn new(child: Child) -> Launcher {
        let (ended, pid) = (Arc::new(AtomicBool::new(false)), Pid::from_raw(child.id() as i32));
        let known = ended.clone();
        std::thread::spawn(move || {
            let until = Instant::now() + patient(Duration::from_secs(60));
            while !known.load(Ordering::SeqCst) {
                if Instant::now() > until {
                    assert!(kill(pid, Signal::SIGKILL).is_ok());
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Launcher(child, ended)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it has said when it has ended.
    fn error(&mut self) -> String {
        let mut said = vec![];
        self.0.stderr.take().unwrap().read_to_end(&mut said).unwrap();
        text(&said)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Kind {
    /// Starts a run. The target says `begun`, and continues with each line.
    pub fn start(&self, place: &Place, who: As, script: &str) -> Run {
        let denials = format!("\"/denials\" = {{ bind = \"{}/denials\" }}", place.path.display());
        let profile = place.file("profile.toml", &format!("{}{}", system(&denials), self.profile));
        let [program, words @ ..] = self.launcher else { panic!("no launcher") };
        let mut command = place.outside(who, place.path.join(program));
        command.args(words).arg(profile);
        let last = self.last;
        let script = format!("trap '{last}; exit 143' TERM; echo begun; read line; {script}");
        match *program {
            "echo" => command.arg(script),
            _ => command.args(["sh", "-c", &script]),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut launcher = Launcher::new(spawned(&mut command));
        let input = launcher.0.stdin.take().unwrap();
        let mut output = BufReader::new(launcher.0.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n", "{}: {who:?}: {}", self.name, launcher.error());
        let [helper] = children_named(launcher.id(), self.name)[..] else {
            panic!("{}: {who:?}: {:?}", self.name, children(launcher.id()))
        };
        let mut others = children(launcher.id());
        others.extend(others.clone().into_iter().flat_map(children));
        Run { launcher, input, output, helper, others }
    }
}

impl Kind {
    /// A run whose helper is stopped as soon as it is seen: its status, and what it says. None where
    /// the target ran all the same.
    pub fn stopped_early(&self, place: &Place, who: As) -> Option<(Option<i32>, String)> {
        let (output, _) = self.stopped_early_and(place, who, |_, _| ());
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        (!out.contains("ran")).then(|| (output.status.code(), error))
    }

    /// What a run says whose helper is stopped as soon as it is seen, and what `then` gives, which
    /// knows the launcher and the helper.
    pub fn stopped_early_and<T>(
        &self,
        place: &Place,
        who: As,
        then: impl Fn(u32, u32) -> T,
    ) -> (Output, Option<T>) {
        let profile = place.file("early.toml", &format!("{}{}", system(""), self.profile));
        let [program, words @ ..] = self.launcher else { panic!("no launcher") };
        let mut command = place.outside(who, place.path.join(program));
        command.args(words).arg(profile);
        match *program {
            "echo" => command.arg("echo ran"),
            _ => command.args(["sh", "-c", "echo ran"]),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let launcher = spawned(&mut command);
        // It has its name once it has left the launcher's session.
        let mut seen = None;
        while !has_ended(launcher.id()) && seen.is_none() {
            if let [helper] = children_named(launcher.id(), self.name)[..]
                && kill(Pid::from_raw(helper as i32), Signal::SIGSTOP).is_ok()
            {
                seen = Some(then(launcher.id(), helper));
            }
        }
        (launcher.wait_with_output().unwrap(), seen)
    }
}

impl Run {
    /// Lets the target continue.
    pub fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    /// Lets the target end, where the run does not end because of what happened to its helper.
    pub fn go_on_without(&mut self, kind: &Kind) {
        if kind.without == 7 {
            self.go_on();
        }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    pub fn signal(&self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(pid as i32), signal).unwrap();
    }

    /// Stops a process, and waits until it is.
    pub fn stop(&self, pid: u32) {
        self.signal(pid, Signal::SIGSTOP);
        wait_for(|| (state(pid) == Some('T')).then_some(()));
    }

    /// The status, standard output and standard error; all other processes have ended by then.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let mut out = String::new();
        self.output.read_to_string(&mut out).unwrap();
        let error = self.launcher.error();
        let status = self.launcher.0.wait().unwrap();
        for pid in self.others {
            assert!(has_ended(pid), "{pid} is left: {:?}", stat(pid, 3));
        }
        (status.code(), out, error)
    }
}

/// A place with the launchers. Where the one with the additional helper cannot be built, the others
/// are tried.
pub fn place() -> Place {
    let place = Place::new();
    match example("echo") {
        Ok(echo) => install(&echo, &place.path.join("echo")),
        Err(why) => skip(&why),
    }
    place.program("denials");
    place.program("poke");
    place
}

impl Kind {
    pub fn is_in(&self, place: &Place) -> bool {
        place.path.join(self.launcher[0]).exists()
    }
}

/// Tries something on each helper, for each who launches.
pub fn each(act: impl Fn(&Place, As, &Kind) + Sync) {
    for_each_caller(|place, who| {
        for kind in KINDS.iter().filter(|kind| kind.is_in(place)) {
            eprintln!("{who:?}: {}", kind.name);
            act(place, who, kind);
        }
    });
}

/// Does something for each who launches, side by side: much of it waits.
pub fn for_each_caller(act: impl Fn(&Place, As) + Sync) {
    std::thread::scope(|scope| {
        for who in As::all() {
            scope.spawn(|| act(&place(), *who));
        }
    });
}
