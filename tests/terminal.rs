//! Job control on a real terminal: an interactive shell starts the launcher, and keys are typed.
//!
//! Nothing waits for a fixed time where a word on the screen can be waited for; the few short waits
//! let a program get to its read.

use crate::support::{self, As, Place, USER, is_root, patient, processes_with, skip, system, text};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What keys send.
const INTERRUPT: &str = "\x03";
const SUSPEND: &str = "\x1a";
const END: &str = "\x04";

/// A terminal with a shell on it.
struct Screen {
    master: Option<PtyMaster>,
    device: String,
    shell: Child,
    /// Everything that was shown.
    shown: String,
    /// Up to where it was looked at.
    looked: usize,
    place: Place,
}

impl Screen {
    /// An outer shell, its prompt `O> `. `run` in it starts the launcher on the profile whose
    /// command is given.
    fn new(who: As, process: &str) -> Screen {
        let place = Place::new();
        let words = "PS1 = \"I> \"\nTERM = \"dumb\"\nHISTFILE = \"/dev/null\"\n";
        let profile = place
            .file("profile.toml", &format!("{}[env]\n{words}[process]\n{process}\n", system("")));
        let run = place.path.join("run");
        let launcher = place.path.join("stockade");
        std::fs::write(
            &run,
            format!("#!/bin/sh\nexec {} run {} \"$@\"\n", launcher.display(), profile.display()),
        )
        .unwrap();
        std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let device = ptsname_r(&master).unwrap();
        let side = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY)
            .open(&device)
            .unwrap();
        // setsid gives the shell a session of its own, with this as its terminal.
        let mut shell = Command::new("setsid");
        shell.args(["-c", "bash", "--norc", "-i"]).env_clear().current_dir(&place.path);
        shell
            .env("PATH", format!("{}:/usr/bin:/bin", place.path.display()))
            .env("PS1", "O> ")
            .env("TERM", "dumb")
            .env("HISTFILE", "/dev/null");
        shell.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
        if is_root() && who == As::User {
            std::os::unix::fs::chown(&device, Some(USER), Some(USER)).unwrap();
            shell.uid(USER).gid(USER);
        }
        let shell = shell.spawn().unwrap();
        let mut screen =
            Screen { master: Some(master), device, shell, shown: String::new(), looked: 0, place };
        screen.see("O> ");
        screen
    }

    fn each(process: &str, test: impl Fn(Screen)) {
        As::all().iter().for_each(|who| test(Screen::new(*who, process)));
    }

    fn press(&mut self, keys: &str) {
        self.master.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a text after what was seen last, and gives what came before it.
    fn see(&mut self, expected: &str) -> String {
        let until = Instant::now() + patient(Duration::from_secs(10));
        loop {
            if let Some(at) = self.shown[self.looked..].find(expected) {
                let before = self.shown[self.looked..self.looked + at].to_owned();
                self.looked += at + expected.len();
                return before;
            }
            assert!(
                Instant::now() < until,
                "`{expected}` does not come after {} bytes of\n{}",
                self.looked,
                self.shown
            );
            self.take(50);
        }
    }

    fn take(&mut self, millis: u16) {
        let master = self.master.as_mut().unwrap();
        let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(millis)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let count = master
                .read(&mut bytes)
                .unwrap_or_else(|error| panic!("{error}; shown:\n{}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Types a line at the outer prompt and gives what it prints, up to the next prompt.
    fn line(&mut self, line: &str) -> String {
        self.press(&format!("{line}\n"));
        // The terminal echoes what is typed.
        self.see(line);
        self.see("O> ")
    }

    /// The status of the last command of the outer shell.
    fn status(&mut self) -> i32 {
        let printed = self.line("echo status=$?=");
        let number = printed.split('=').nth(1).and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no status in `{printed}`; shown:\n{}", self.shown))
    }

    /// Runs a program on the terminal's device, from outside.
    fn stty(&self, words: &[&str]) -> String {
        let output = Command::new("stty").arg("-F").arg(&self.device).args(words).output().unwrap();
        assert!(output.status.success(), "stty: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Lets a program come to where it waits.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Without its master a terminal hangs up. A shell that has ended cannot be killed, which is
        // what is wanted.
        self.master = None;
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

const SHELL: &str = "command = [\"bash\", \"--norc\", \"-i\"]";

#[test]
fn an_interrupt_reaches_the_inner_shells_job_alone() {
    Screen::each(SHELL, |mut screen| {
        screen.press("run\n");
        screen.see("I> ");
        screen.press("echo go; sleep 100\n");
        screen.see("go\r\n");
        screen.settle();
        screen.press(INTERRUPT);
        screen.see("I> ");
        screen.press("echo inner=$?\n");
        screen.see("inner=130");
        // At its prompt as well: the shell stays.
        screen.see("I> ");
        screen.settle();
        screen.press(INTERRUPT);
        screen.see("I> ");
        screen.press("exit 3\n");
        screen.see("O> ");
        assert_eq!(screen.status(), 3);
    });
}

#[test]
fn the_inner_shell_has_job_control() {
    Screen::each(SHELL, |mut screen| {
        screen.press("run\n");
        assert!(!screen.see("I> ").contains("no job control"), "{}", screen.shown);
        screen.press("echo go; sleep 100\n");
        screen.see("go\r\n");
        screen.settle();
        screen.press(SUSPEND);
        screen.see("Stopped");
        screen.see("I> ");
        screen.press("bg\n");
        screen.see("I> ");
        screen.press("jobs\n");
        screen.see("Running");
        screen.see("I> ");
        screen.press("fg\n");
        screen.see("sleep 100\r\n");
        screen.settle();
        screen.press(INTERRUPT);
        screen.see("I> ");
        screen.press("echo inner=$?\n");
        screen.see("inner=130");
        screen.press("exit 4\n");
        screen.see("O> ");
        assert_eq!(screen.status(), 4);
        assert_eq!(screen.line("jobs"), "\r\n");
    });
}

#[test]
fn a_stopped_target_gives_the_outer_shell_back() {
    Screen::each("command = [\"sh\", \"-c\", \"echo go; exec sleep 100\"]", |mut screen| {
        screen.press("run\n");
        screen.see("go\r\n");
        screen.settle();
        screen.press(SUSPEND);
        screen.see("Stopped");
        screen.see("O> ");
        assert_eq!(screen.status(), 148);
        screen.line("bg");
        assert!(screen.line("jobs").contains("Running"), "{}", screen.shown);
        screen.settle();
        assert!(screen.line("jobs").contains("Running"), "{}", screen.shown);
        // And once more, so that nothing is used up.
        for _ in 0..2 {
            screen.press("fg\n");
            screen.see("run\r\n");
            screen.settle();
            screen.press(SUSPEND);
            screen.see("Stopped");
            screen.see("O> ");
        }
        screen.press("fg\n");
        screen.see("run\r\n");
        screen.settle();
        screen.press(INTERRUPT);
        screen.see("O> ");
        assert_eq!(screen.status(), 130);
    });
}

#[test]
fn the_inner_shell_can_suspend_itself_and_come_back() {
    Screen::each(SHELL, |mut screen| {
        screen.press("run\n");
        screen.see("I> ");
        screen.press("suspend\n");
        screen.see("O> ");
        screen.line("true");
        screen.press("fg\n");
        screen.see("I> ");
        screen.press("echo still=$((20+3))\n");
        screen.see("still=23");
        screen.press("exit 5\n");
        screen.see("O> ");
        assert_eq!(screen.status(), 5);
    });
}

/// Bash loses a signal that comes while the trap of the one before it runs; python does not.
fn has_python() -> bool {
    let has = std::path::Path::new("/usr/bin/python3").exists();
    if !has {
        support::skip("python3 is not installed");
    }
    has
}

#[test]
fn the_size_of_the_window_is_followed() {
    // os.write, because a print within a print is an error.
    let script = "import os, signal, time\\ndef say(*_): os.write(1, b'size %d %d.' % \
                  os.get_terminal_size()[::-1])\\n\
                  signal.signal(signal.SIGWINCH, say)\\nos.write(1, b'go.')\\nwhile True: \
                  time.sleep(1)";
    if !has_python() {
        return;
    }
    Screen::each(&format!("command = [\"python3\", \"-c\", \"{script}\"]"), |mut screen| {
        screen.press("run\n");
        screen.see("go.");
        for (rows, columns) in [("33", "77"), ("44", "88"), ("20", "60")] {
            screen.stty(&["rows", rows, "cols", columns]);
            screen.see(&format!("size {rows} {columns}."));
        }
        screen.press(INTERRUPT);
        screen.see("O> ");
        assert_ne!(screen.status(), 0);
    });
}

/// The launcher and pid 1 are in the group that the terminal signals, and the target gets one
/// signal for one key.
#[test]
fn in_a_pipeline_an_interrupt_comes_once() {
    let script = "import signal, time\\ncount = 0\\ndef more(*_):\\n global count\\n count += \
                  1\\nsignal.signal(signal.SIGINT, more)\\n\
                  print('go', flush=True)\\nend = time.time() + 1.5\\nwhile time.time() < end: \
                  time.sleep(0.01)\\nprint('count=%d.' % count)";
    if !has_python() {
        return;
    }
    Screen::each(&format!("command = [\"python3\", \"-c\", \"{script}\"]"), |mut screen| {
        screen.press("run | (trap '' INT; cat)\n");
        screen.see("go\r\n");
        for _ in 0..3 {
            screen.settle();
            screen.press(INTERRUPT);
        }
        screen.see("count=3.");
    });
}

#[test]
fn the_terminal_is_as_before_when_the_target_is_killed() {
    Screen::each(
        "command = [\"bash\", \"-c\", \"stty -echo -icanon -isig min 3; echo raw; kill -9 $$\"]",
        |mut screen| {
            let before = screen.line("stty -g");
            screen.press("run\n");
            screen.see("raw");
            screen.see("O> ");
            assert_eq!(screen.status(), 137);
            assert_eq!(screen.line("stty -g"), before);
        },
    );
}

#[test]
fn the_terminal_is_as_before_while_the_target_is_stopped_and_as_the_target_had_it_after() {
    // The target looks as soon as it continues: the modes and the foreground must be its own before
    // that.
    let look = "kill -TSTP $$; stty -a | grep -o -e '-*echo ' | head -1";
    let script =
        format!("stty -echo; echo go; {look}; {look}; {look}; {look}; stty echo; echo end");
    Screen::each(&format!("command = [\"bash\", \"-c\", \"{script}\"]"), |mut screen| {
        let before = screen.line("stty -g");
        screen.press("run\n");
        screen.see("go");
        screen.see("Stopped");
        screen.see("O> ");
        for _ in 0..3 {
            assert_eq!(screen.line("stty -g"), before);
            screen.press("fg\n");
            let shown = screen.see("O> ");
            assert!(shown.contains("-echo") && shown.contains("Stopped"), "{shown}");
        }
        screen.press("fg\n");
        assert!(screen.see("end").contains("-echo"), "{}", screen.shown);
        screen.see("O> ");
        assert_eq!(screen.status(), 0);
    });
}

/// The session is one group of the scheduler, whose share any of its processes may lower: the
/// caller's shell would stay slow.
#[test]
fn the_session_has_its_share_of_the_processors_back() {
    if !Path::new("/proc/self/autogroup").exists() {
        return skip("the kernel has no autogroups");
    }
    // Of all ordinary users together the kernel takes ten values a second.
    let lower = "until echo 19 2>/dev/null >/proc/self/autogroup; do sleep 0.05; done; cat \
                 /proc/self/autogroup";
    Screen::each(
        &format!("command = [\"bash\", \"--norc\", \"-c\", \"{lower}; kill -STOP $$; {lower}\"]"),
        |mut screen| {
            // The twin: nobody puts back what the shell does itself.
            screen.line("until echo 5 2>/dev/null >/proc/self/autogroup; do sleep 0.05; done");
            let nice = |screen: &mut Screen| {
                screen
                    .line("cat /proc/self/autogroup")
                    .split("nice ")
                    .nth(1)
                    .unwrap()
                    .trim()
                    .to_owned()
            };
            assert_eq!(nice(&mut screen), "5");
            let stopped = screen.line("run");
            assert!(stopped.contains("nice 19") && stopped.contains("Stopped"), "{stopped}");
            assert_eq!(nice(&mut screen), "5");
            let ended = screen.line("fg");
            assert!(ended.contains("nice 19"), "{ended}");
            assert_eq!(nice(&mut screen), "5");
        },
    );
}

/// A launcher that starts under another's target finds 19, and that one's end puts 0 back: what was
/// found is not.
#[test]
fn a_larger_share_than_at_the_start_stays() {
    if !Path::new("/proc/self/autogroup").exists() {
        return skip("the kernel has no autogroups");
    }
    let to = |nice: u32| {
        format!("until echo {nice} 2>/dev/null >/proc/self/autogroup; do sleep 0.05; done")
    };
    Screen::each(
        &format!(
            "command = [\"bash\", \"--norc\", \"-c\", \"{}; cat /proc/self/autogroup\"]",
            to(0)
        ),
        |mut screen| {
            screen.line(&to(19));
            let before = screen.line("cat /proc/self/autogroup");
            assert!(before.contains("nice 19"), "{before}");
            let ended = screen.line("run");
            assert!(ended.contains("nice 0"), "{ended}");
            let after = screen.line("cat /proc/self/autogroup");
            assert!(after.contains("nice 0"), "{after}");
        },
    );
}

#[test]
fn the_terminal_works_after_the_launcher_is_killed() {
    As::all().iter().for_each(|who| {
        let needle = format!("terminal-killed-{}-{who:?}", std::process::id());
        let mut screen = Screen::new(
            *who,
            &format!("command = [\"bash\", \"-c\", \"echo go; sleep 100; :\", \"{needle}\"]"),
        );
        screen.press("run\n");
        screen.see("go\r\n");
        let launcher = format!("{}/stockade", screen.place.path.display());
        let pid = processes_with(&launcher)
            .first()
            .and_then(|line| line.split(':').next()?.parse().ok())
            .unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        screen.see("Killed");
        screen.see("O> ");
        assert_eq!(screen.status(), 137);
        let until = Instant::now() + patient(Duration::from_secs(2));
        while !processes_with(&needle).is_empty() {
            assert!(Instant::now() < until, "{:?}", processes_with(&needle));
        }
    });
}

#[test]
fn in_a_pipeline_the_target_writes_reads_and_is_interrupted() {
    Screen::each(
        "command = [\"sh\", \"-c\", \"echo go; read word; echo got $word; sleep 100\"]",
        |mut screen| {
            screen.press("run | cat\n");
            screen.see("go\r\n");
            screen.settle();
            screen.press("hello\n");
            screen.see("got hello");
            screen.settle();
            screen.press(INTERRUPT);
            screen.see("O> ");
            assert_eq!(screen.line("echo =${PIPESTATUS[0]}=").split('=').nth(1), Some("130"));
            assert_eq!(screen.line("jobs"), "\r\n");
            // Fed by a pipe, its output on the terminal.
            screen.press("echo fed | run\n");
            screen.see("got fed");
            screen.settle();
            screen.press(INTERRUPT);
            screen.see("O> ");
            assert_eq!(screen.status(), 130);
        },
    );
}

#[test]
fn in_the_background_a_target_writes_and_stops_at_its_read() {
    Screen::each(
        "command = [\"sh\", \"-c\", \"echo go; read word; echo got $word\"]",
        |mut screen| {
            screen.press("run &\n");
            screen.see("go\r\n");
            screen.settle();
            screen.press("\n");
            screen.see("O> ");
            assert!(screen.line("jobs").contains("Stopped"), "{}", screen.shown);
            screen.press("fg\n");
            screen.see("run\r\n");
            screen.settle();
            screen.press("hello\n");
            screen.see("got hello");
            screen.see("O> ");
            assert_eq!(screen.status(), 0);
        },
    );
}

#[test]
fn in_the_background_a_target_that_wants_nothing_ends_by_itself() {
    Screen::each("command = [\"sh\", \"-c\", \"sleep 0.2; exit 6\"]", |mut screen| {
        screen.line("run &");
        screen.line("wait %1");
        assert_eq!(screen.status(), 6);
    });
}

#[test]
fn the_end_of_input_is_the_targets() {
    Screen::each("command = [\"cat\"]", |mut screen| {
        screen.press("run\n");
        screen.settle();
        screen.press("word\n");
        screen.see("word\r\nword\r\n");
        screen.press(END);
        screen.see("O> ");
        assert_eq!(screen.status(), 0);
    });
}

#[test]
fn a_terminal_that_hangs_up_ends_all() {
    As::all().iter().for_each(|who| {
        let needle = format!("terminal-hangs-{}-{who:?}", std::process::id());
        let mut screen = Screen::new(
            *who,
            &format!("command = [\"bash\", \"-c\", \"echo go; sleep 100; :\", \"{needle}\"]"),
        );
        screen.press("run\n");
        screen.see("go\r\n");
        assert!(!processes_with(&needle).is_empty());
        screen.master = None;
        let until = Instant::now() + patient(Duration::from_secs(3));
        while !processes_with(&needle).is_empty() {
            assert!(Instant::now() < until, "{:?}", processes_with(&needle));
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn without_a_terminal_the_target_has_none_and_can_be_interrupted() {
    let script = "(: < /dev/tty) 2> /dev/null && echo has || echo none; echo go; exec sleep 100";
    Screen::each(
        &format!("tty = \"none\"\ncommand = [\"bash\", \"-c\", \"{script}\"]"),
        |mut screen| {
            screen.press("run\n");
            screen.see("none");
            screen.see("go\r\n");
            screen.settle();
            screen.press(INTERRUPT);
            screen.see("O> ");
            assert_eq!(screen.status(), 130);
        },
    );
}

/// TIOCSTI and TIOCLINUX push input into the caller's terminal (CVE-2017-5226, CVE-2023-28100).
#[test]
fn the_target_cannot_type() {
    // The third has bits above the 32 that the kernel reads; a filter that compares 64 bits lets it
    // by.
    let script = "import fcntl\\nfor call in (0x5412, 0x541C):\\n for fd in (0, 1, 2):\\n  try: \
                  fcntl.ioctl(fd, call, b'\\\\x0a'); print('typed')\\n\
                  \\x20 except OSError as error: print('errno', error.errno)\\nimport \
                  ctypes\\nprint('long', ctypes.CDLL(None).syscall(16, 0, \
                  ctypes.c_ulong(0x7700005412), b'\\\\x0a'))\\nprint('end')";
    if !has_python() {
        return;
    }
    Screen::each(&format!("command = [\"python3\", \"-c\", \"{script}\"]"), |mut screen| {
        screen.press("run\n");
        let printed = screen.see("end");
        assert!(
            printed.matches("errno 1\r").count() == 6
                && printed.contains("long -1")
                && !printed.contains("typed"),
            "{printed}"
        );
        screen.see("O> ");
    });
}

/// The name opens what descriptor 0 is, and changes nothing of the node.
#[test]
fn a_kept_terminal_has_a_name() {
    if !has_python() {
        return;
    }
    let script = "import os\\nprint('named', os.ttyname(0))\\ntry: os.chmod('/dev/console', 0o666); \
                  print('changed')\\nexcept OSError as error: print('errno', \
                  error.errno)\\nprint(os.path.samefile('/dev/console', \
                  '/proc/self/fd/0'))\\nprint('end')";
    let command = format!("command = [\"python3\", \"-c\", \"{script}\"]");
    Screen::each(&command, |mut screen| {
        screen.press("run\n");
        let printed = screen.see("end\r");
        assert!(printed.contains("named /dev/console") && printed.contains("True"), "{printed}");
        assert!(!printed.contains("changed"), "{printed}");
        screen.see("O> ");
        screen.press("run < /dev/null\n");
        // The twin: none that is no standard input.
        screen.see("Inappropriate ioctl");
        screen.see("O> ");
    });
}
