//! The terminal that the target shares with its caller: its input, the state that it is left in,
//! and stops.

use super::program;
use crate::support::{As, Place, USER, is_root, patient, skip, text};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A terminal of 24 rows and 80 columns, on which a shell runs one line as the leader of the
/// session.
struct Line {
    place: Place,
    master: PtyMaster,
    device: String,
    /// Its permission bits at the start.
    mode: u32,
    shell: Child,
    shown: String,
}

impl Line {
    /// In the line, SANDBOX stands for `stockade run` of a profile with these lines of `[process]`,
    /// RAW for the program outside of one.
    fn new(who: As, process: &str, more: &str, line: &str) -> Line {
        let place = Place::new();
        let target = program(&place, "terminal");
        let profile = format!(
            "format = 1\n[mounts]\n\"/rt\" = {{ bind = \"{}\" }}\n\"/proc\" = \"proc\"\n\"/dev\" = \
             \"dev\"\n[process]\n{process}\n{more}\n",
            target.display()
        );
        let profile = place.file("profile.toml", &profile);
        let launcher = place.path.join("stockade");
        let sandbox = format!("{} run {} /rt", launcher.display(), profile.display());
        let line = line.replace("SANDBOX", &sandbox).replace("RAW", &target.display().to_string());
        place.folder("out", who);
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
        stty(&device, &["rows", "24", "cols", "80"]);
        let mut shell = Command::new("setsid");
        shell
            .args(["-c", "bash", "--norc", "-m", "-c", &line])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(place.path.join("out"));
        shell.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
        if is_root() && who == As::User {
            std::os::unix::fs::chown(&device, Some(USER), Some(USER)).unwrap();
            shell.uid(USER).gid(USER);
        }
        let mode = mode(&device);
        let shell = shell.spawn().unwrap();
        Line { place, master, device, mode, shell, shown: String::new() }
    }

    fn take(&mut self, millis: u16) {
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(millis)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            // Without a process on it a terminal gives EIO.
            match self.master.read(&mut bytes) {
                Ok(count) => self.shown.push_str(&text(&bytes[..count])),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Whether the shell ends in time.
    fn ends(&mut self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if self.shell.try_wait().unwrap().is_some() {
                self.take(0);
                return true;
            }
            self.take(20);
        }
        false
    }

    /// What went to the file that the line names.
    fn heard(&self) -> String {
        std::fs::read_to_string(self.heard_file()).unwrap_or_default()
    }

    fn heard_file(&self) -> PathBuf {
        self.place.path.join("out/heard")
    }

    /// Whether the shell came to its end, and the terminal is as it was.
    fn is_whole(&mut self) -> bool {
        self.is_whole_within(SECONDS(5))
    }

    fn is_whole_within(&mut self, within: Duration) -> bool {
        let ended = self.ends(within);
        let all = stty(&self.device, &["-a"]);
        let words: Vec<&str> = all.split([' ', ';', '\n']).collect();
        let has = |word: &str| words.contains(&word);
        ended
            && self.shown.contains("shell=0")
            && all.contains("rows 24; columns 80")
            && all.contains("line = 0")
            && has("isig")
            && has("echo")
            && has("opost")
            && mode(&self.device) == self.mode
    }
}

fn mode(device: &str) -> u32 {
    std::fs::metadata(device).unwrap().permissions().mode()
}

fn stty(device: &str, words: &[&str]) -> String {
    let output = Command::new("stty").arg("-F").arg(device).args(words).output().unwrap();
    assert!(output.status.success(), "stty {words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

impl Drop for Line {
    fn drop(&mut self) {
        // A frozen terminal would keep its shell waiting.
        drop(
            Command::new("python3")
                .args([
                    "-c",
                    "import sys, termios; termios.tcflow(open(sys.argv[1], 'wb'), termios.TCOON)",
                    &self.device,
                ])
                .status(),
        );
        // A shell that has ended cannot be killed, which is what is wanted.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

const SECONDS: fn(u64) -> Duration = |seconds| patient(Duration::from_secs(seconds));

/// What is typed while a process with no input of its own has the terminal as its output.
fn typed(who: As, process: &str, line: &str) -> String {
    let mut line = Line::new(who, process, "", line);
    for _ in 0..5 {
        line.take(100);
        line.master.write_all(b"SECRET\n").unwrap();
    }
    assert!(line.ends(SECONDS(8)), "{who:?} {process}: {}", line.shown);
    assert!(line.shown.contains("shell=0"), "{who:?} {process}: {}", line.shown);
    line.heard()
}

#[test]
fn an_output_that_is_the_terminal_gives_no_input() {
    for who in As::all() {
        assert!(
            typed(*who, "", "setsid -w RAW listen < /dev/null 2> heard & wait $!; echo shell=$?")
                .contains("SECRET"),
            "the twin hears"
        );
        for (process, act) in [
            ("tty = \"none\"", "listen"),
            ("tty = \"none\"\nstdin = \"null\"", "steal"),
            ("tty = \"auto\"", "steal"),
        ] {
            let from = if process.contains("stdin") { "" } else { "< /dev/null" };
            let heard = typed(
                *who,
                process,
                &format!("SANDBOX {act} {from} 2> heard & wait $!; echo shell=$?"),
            );
            assert!(!heard.contains("SECRET"), "{who:?} {process}: {heard}");
        }
    }
}

/// The target's own words reach the terminal all the same, and a target that has it as its input
/// reads.
#[test]
fn an_output_that_is_the_terminal_is_written() {
    for who in As::all() {
        let bash = "[env]\nPATH = \"/usr/bin:/bin\"\n[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \
                    \"ro\"\n\"/lib\" = \"ro\"\n\
                    \"/lib64\" = { bind = \"/lib64\", missing = \"skip\" }\n\"/proc\" = \
                    \"proc\"\n\"/dev\" = \"dev\"\n";
        let place = Place::new();
        let profile = place.file("profile.toml", &format!("format = 1\n{bash}"));
        let run =
            format!("{} run {} bash -c", place.path.join("stockade").display(), profile.display());
        let mut line = Line::new(
            *who,
            "",
            "",
            &format!(
                "{run} '[ -t 1 ] && stty size <&1; echo out; echo err >&2' < /dev/null; echo \
                 shell=$?"
            ),
        );
        assert!(line.is_whole(), "{who:?}: {}", line.shown);
        assert!(
            line.shown.contains("out\r\n")
                && line.shown.contains("err\r\n")
                && line.shown.contains("24 80"),
            "{who:?}: {}",
            line.shown
        );
        let mut line = Line::new(
            *who,
            "",
            "",
            &format!("{run} 'read -r word; echo got=$word'; echo shell=$?"),
        );
        line.take(300);
        line.master.write_all(b"typed\n").unwrap();
        assert!(line.is_whole(), "{who:?}: {}", line.shown);
        assert!(line.shown.contains("got=typed"), "{who:?}: {}", line.shown);
    }
}

/// Root's terminal, and a user's target (sudo -u, su, setpriv): its device opens to root alone,
/// /dev/tty to everybody.
#[test]
fn an_output_that_is_the_terminal_of_another_user_gives_no_input() {
    if !is_root() {
        return skip("only root gives its terminal to another user");
    }
    let user = format!("setpriv --reuid={USER} --regid={USER} --clear-groups");
    let line = |command: &str| format!("{command} 2> heard & wait $!; echo shell=$?");
    let heard =
        |command: &str| typed(As::Root, "", &line(&format!("{user} {command} < /dev/null")));
    assert!(heard("setsid -w RAW listen").contains("SECRET"), "the twin hears");
    for act in ["listen", "steal"] {
        let heard = heard(&format!("SANDBOX {act}"));
        assert!(!heard.contains("SECRET"), "{act}: {heard}");
    }
    let place = Place::new();
    let profile = place.file("profile.toml", "format = 1\nextends = [\"base\"]\n");
    let (launcher, profile) =
        (place.path.join("stockade").display().to_string(), profile.display().to_string());
    let script = "read -r word; echo got=$word; echo err >&2; [ ! -t 1 ] || stty size <&1";
    let run = format!("{launcher} run {profile} bash -c '{script}'");
    let shows = |command: &str| {
        let mut line = Line::new(As::Root, "", "", &format!("{command}; echo shell=$?"));
        assert!(line.is_whole(), "{command}: {}", line.shown);
        line.shown.clone()
    };
    let shown = shows(&format!("echo word | {user} {run}"));
    assert!(
        shown.contains("got=word\r\n") && shown.contains("err\r\n") && shown.contains("24 80"),
        "{shown}"
    );
    // In a session without a terminal there is no /dev/tty, and the way of the help keeps the
    // input.
    for command in [format!("{launcher} check {profile}"), run.clone()] {
        let shown = shows(&format!("echo word | setsid -w {user} {command}; [ $? != 0 ]"));
        assert!(
            shown.contains("E0508") && shown.contains("2>&1 | cat") && !shown.contains("got="),
            "{shown}"
        );
    }
    let shown = shows(&format!("echo word | setsid -w {user} {run} 2>&1 | cat"));
    assert!(shown.contains("got=word\r\n") && shown.contains("err\r\n"), "{shown}");
}

#[test]
fn the_terminal_is_left_as_it_was() {
    for who in As::all() {
        for act in ["freeze", "shrink", "raw", "publish"] {
            let mut twin = Line::new(*who, "", "", &format!("RAW {act}; echo shell=$?"));
            assert!(!twin.is_whole_within(SECONDS(1)), "{who:?} {act}: the twin does no harm");
            for process in ["tty = \"auto\"", "tty = \"none\"", "stdin = \"null\""] {
                if process.contains("null") && act != "publish" {
                    continue;
                }
                let mut line =
                    Line::new(*who, process, "", &format!("SANDBOX {act}; echo shell=$?"));
                assert!(line.is_whole(), "{who:?} {act} {process}: {}", line.shown);
            }
        }
        for process in ["tty = \"auto\"", "tty = \"none\""] {
            let mut line =
                Line::new(*who, process, "", "SANDBOX raw < /dev/null & wait $!; echo shell=$?");
            assert!(line.is_whole(), "{who:?} raw from the background, {process}: {}", line.shown);
        }
        let mut line = Line::new(
            *who,
            "pass-fds = [5]",
            "",
            "exec 5<> /dev/tty; SANDBOX raw-passed < /dev/null > /dev/null 2>&1; echo shell=$?",
        );
        assert!(line.is_whole(), "{who:?} a terminal that is passed: {}", line.shown);
    }
}

/// The default policy refuses both calls; without it they are put back.
#[test]
fn without_a_filter_the_terminal_is_left_as_it_was() {
    for who in As::all() {
        for act in ["exclusive", "discipline"] {
            let refused = Line::new(
                *who,
                "",
                "",
                &format!("SANDBOX {act} 2> heard; [ $? = 2 ]; echo shell=$?"),
            )
            .is_whole();
            assert!(refused, "{who:?} {act}: not refused");
            let off = "[seccomp]\npolicy = \"off\"";
            let mut line = Line::new(
                *who,
                "",
                off,
                &format!("SANDBOX {act}; echo shell=$?; exec 7<> {}", "$(tty)"),
            );
            let whole = line.is_whole();
            if act == "discipline" && line.shown.contains("shell=2") {
                skip("the kernel has no line discipline that does nothing");
                continue;
            }
            assert!(whole && !line.shown.contains("busy"), "{who:?} {act}: {}", line.shown);
        }
    }
}

/// A size that the caller gave its window meanwhile is not the target's doing.
#[test]
fn a_window_that_was_resized_meanwhile_keeps_its_size() {
    let mut line = Line::new(As::all()[0], "", "", "SANDBOX wait; echo shell=$?");
    line.take(500);
    stty(&line.device, &["rows", "40", "cols", "132"]);
    assert!(line.ends(SECONDS(5)) && line.shown.contains("shell=0"), "{}", line.shown);
    assert!(stty(&line.device, &["-a"]).contains("rows 40; columns 132"), "{}", line.shown);
}

/// Each stop is reported to the launcher, which is stopped itself; pid 1 keeps the time all the
/// same.
#[test]
fn a_target_that_stops_over_and_over_meets_its_timeout() {
    for who in As::all() {
        let timeout = "timeout = \"800ms\"\nkill-after = \"200ms\"";
        // The shell takes over as the launcher stops; the sandbox ends by itself.
        let mut line =
            Line::new(*who, timeout, "", "SANDBOX flood 2000 2> heard; sleep 2; fg; true");
        assert!(line.ends(SECONDS(9)), "{who:?}: {}", line.shown);
        assert!(ended_by_timeout(&line.heard()), "{who:?}: {} {}", line.heard(), line.shown);
        let mut twin = Line::new(*who, "", "", "set +m; SANDBOX flood 1000 2> heard; true");
        assert!(twin.ends(SECONDS(9)), "{who:?}: {}", twin.shown);
        assert_eq!(twin.heard(), "late\n", "{who:?}: {}", twin.shown);
    }
}

/// On a terminal without job control nobody would continue a stopped launcher (script(1), docker
/// run -t).
#[test]
fn without_job_control_a_stopped_target_meets_its_timeout() {
    for who in As::all() {
        let process = "timeout = \"700ms\"\nkill-after = \"300ms\"";
        let mut line = Line::new(*who, process, "", "set +m; exec SANDBOX flood 3000 2> heard");
        assert!(line.ends(SECONDS(6)), "{who:?}: {}", line.shown);
        assert_eq!(line.shell.wait().unwrap().code(), Some(124), "{who:?}: {}", line.shown);
        assert!(ended_by_timeout(&line.heard()), "{who:?}: {}", line.heard());
    }
}

/// Only the launcher has written there, and says why the run ended.
fn ended_by_timeout(heard: &str) -> bool {
    heard.starts_with("stockade: ended after ")
        && heard.contains(": process.timeout (")
        && heard.lines().count() == 1
}

/// The launcher takes part in job control for a target that is in a session of its own.
#[test]
fn a_target_apart_stops_and_goes_on_with_the_launcher() {
    for who in As::all() {
        let line = "SANDBOX wait < /dev/null; echo stopped=$?; ps -o stat= -C terminal; fg > \
                    /dev/null; echo shell=$?";
        let mut line = Line::new(*who, "", "", line);
        line.take(400);
        std::thread::sleep(Duration::from_millis(400));
        line.master.write_all(b"\x1a").unwrap();
        assert!(line.is_whole(), "{who:?}: {}", line.shown);
        assert!(line.shown.contains("stopped=148"), "{who:?}: {}", line.shown);
    }
}
