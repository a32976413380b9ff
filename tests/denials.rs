//! Denied calls are reported, on the running kernel: the call, the process, the count, the errno,
//! and the line that permits it; and the report does not weaken the filter. As root and as an
//! ordinary user.

use crate::support::processes::{children, children_named, name};
use crate::support::{self, As, Place, is_root, patient, skip, system, text};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use stockade::internals::kernel::syscalls::Abi;

const SIGSYS: i32 = 128 + libc::SIGSYS;
const SIGKILL: i32 = 128 + libc::SIGKILL;

/// What a run gave.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// The lines about denials, without stockade's name.
    fn denials(&self) -> Vec<&str> {
        self.err
            .lines()
            .filter_map(|line| line.strip_prefix("stockade: "))
            .filter(|line| line.starts_with("denied: "))
            .collect()
    }
}

fn place() -> Place {
    let place = Place::new();
    for name in ["denials", "calls"] {
        place.program(name);
    }
    place.file("list", "");
    place
}

/// A profile with the tools, and further sections.
fn profile(place: &Place, more: &str) -> String {
    let at = place.path.display();
    let tools = ["denials", "calls", "list"]
        .map(|name| format!("\"/{name}\" = {{ bind = \"{at}/{name}\" }}\n"))
        .concat();
    system(&format!("{tools}{more}"))
}

fn run(place: &Place, who: As, explain: &[&str], profile: &str, words: &[&str]) -> Ran {
    start(place, who, explain, profile, words).output().unwrap().into()
}

fn start(place: &Place, who: As, explain: &[&str], profile: &str, words: &[&str]) -> Command {
    let path = place.file("profile.toml", profile);
    let mut command = place.stockade(who);
    command.arg("run").args(explain).arg(path).args(words).stdin(Stdio::null());
    command
}

const EXPLAIN: &[&str] = &["--explain"];
const PLAINLY: &[&str] = &[];
const EIO: &str = "[seccomp.rules]\nsync = \"errno:EIO\"\n";

#[test]
fn a_denial_is_told_with_its_count_and_the_line_that_permits_it() {
    let place = place();
    for who in As::all() {
        let text = profile(
            &place,
            "[seccomp]\npolicy = \"off\"\n[seccomp.rules]\nmkdir = \"deny\"\nmkdirat = \"deny\"\n",
        );
        let ran =
            run(&place, *who, EXPLAIN, &text, &["sh", "-c", "mkdir /tmp/a; mkdir /tmp/a; exit 0"]);
        let call = if cfg!(target_arch = "x86_64") { "mkdir" } else { "mkdirat" };
        let [line] = ran.denials()[..] else { panic!("{who:?}: {ran:?}") };
        assert!(
            line.starts_with(&format!("denied: {call} in mkdir (pid "))
                && line.contains("), 2 times: to permit it, write below [seccomp.rules]: "),
            "{line}"
        );
        // The default policy, and the line that it takes.
        let ran = run(
            &place,
            *who,
            EXPLAIN,
            &profile(&place, ""),
            &["/denials", "raw", &number("ptrace"), "16"],
        );
        assert_eq!((ran.status, ran.out.as_str()), (Some(0), "errno 1\n"), "{ran:?}");
        let line = ran.denials()[0].to_owned();
        assert_eq!(
            line,
            "denied: ptrace in denials (pid 2): to permit it, add \"ptrace\" to [seccomp].allow",
            "{who:?}"
        );
        // `why` takes the line as it is, with stockade's name too, and the line of the profile
        // makes it so.
        for (more, verdict) in [("", Some(1)), ("[seccomp]\nallow = [\"ptrace\"]\n", Some(0))] {
            let path = place.file("asked.toml", &profile(&place, more));
            for question in [line.clone(), format!("stockade: {line}"), "syscall:ptrace".into()] {
                let answer: Ran = place
                    .stockade(*who)
                    .arg("why")
                    .arg(&path)
                    .arg(&question)
                    .output()
                    .unwrap()
                    .into();
                assert_eq!(answer.status, verdict, "{who:?}: {question}: {answer:?}");
                assert!(answer.out.contains("call ptrace"), "{answer:?}");
            }
        }
        let allowed = run(
            &place,
            *who,
            EXPLAIN,
            &profile(&place, "[seccomp]\nallow = [\"ptrace\"]\n"),
            &["/denials", "raw", &number("ptrace"), "16"],
        );
        assert!(
            allowed.denials().is_empty()
                && allowed.err.contains("the filter denied no system call"),
            "{who:?}: {allowed:?}"
        );
    }
}

/// What the kernel does and logs is no denial, and is among what is granted.
#[test]
fn what_is_logged_is_not_told_as_denied() {
    let place = place();
    for who in As::all() {
        for (rule, out, denials) in [("log", "success 0\n", 0), ("deny", "errno 1\n", 1)] {
            let text = profile(&place, &format!("[seccomp.rules]\nsync = \"{rule}\"\n"));
            let ran = run(&place, *who, EXPLAIN, &text, &["/denials", "raw", &number("sync")]);
            assert_eq!((ran.out.as_str(), ran.denials().len()), (out, denials), "{who:?}: {ran:?}");
        }
        // `plan` lists what is not granted: a call that is logged is.
        for (rule, granted) in [("log", true), ("deny", false)] {
            let path = place.file(
                "logged.toml",
                &profile(&place, &format!("[seccomp.rules]\nptrace = \"{rule}\"\n")),
            );
            let plan: Ran =
                place.stockade(*who).arg("plan").arg(path).arg("/denials").output().unwrap().into();
            let not = plan.out.split("not granted").nth(1).unwrap_or_else(|| panic!("{plan:?}"));
            assert_eq!(!not.contains("ptrace"), granted, "{who:?}: {plan:?}");
        }
    }
}

/// The page's sample is what is printed, but for how often a version of strace tries.
#[test]
fn the_sample_of_the_page_is_printed() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let page = crate::support::page("docs/why.md");
    let sample = page
        .split("```console\n")
        .find(|block| block.starts_with("$ stockade run --explain default sh -c '"))
        .unwrap();
    let script = sample.split('\'').nth(1).unwrap();
    let wanted: Vec<&str> = sample
        .split("```")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("stockade: denied"))
        .collect();
    for who in As::all() {
        let place = Place::new();
        let project = place.folder("project", *who);
        let mut command = place.stockade(*who);
        let output = command
            .current_dir(project)
            .args(["run", "--explain", "default", "sh", "-c", script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = text(&output.stderr);
        let once = |line: &str| {
            let (before, after) = line
                .split_once(" times")
                .map_or((line, ""), |(before, after)| (before.rsplit_once(", ").unwrap().0, after));
            format!("{before}{after}")
        };
        let found: Vec<String> = printed
            .lines()
            .filter(|line| line.starts_with("stockade: denied: ") && !line.contains("clone3"))
            .map(once)
            .collect();
        assert_eq!(found, wanted, "{who:?}: {printed}");
    }
}

/// What a rule's conditions deny goes with the rule: the word that allows all of the call would
/// open what the policy keeps closed.
#[test]
fn a_rule_with_conditions_is_taken_out_before_all_is_opened() {
    let place = place();
    for who in As::all() {
        let rule = "[seccomp.rules]\nioctl = { deny-if = [{ arg1 = \"FIONREAD\" }] }\n";
        let act = |profile: &str, request: &str| {
            run(
                &place,
                *who,
                EXPLAIN,
                profile,
                &["/denials", "raw", &number("ioctl"), "0", request],
            )
        };
        let (fionread, tiocsti) = ("21531", "21522");
        let ran = act(&profile(&place, rule), fionread);
        let line = ran.denials()[0];
        assert!(
            line.starts_with("denied: ioctl(0, 0x541b")
                && line.contains("to permit it, take its rule out of [seccomp.rules]: "),
            "{who:?}: {ran:?}"
        );
        let ran = act(&profile(&place, rule), tiocsti);
        assert!(
            ran.denials()[0].contains(
                "to permit it with any arguments, write below [seccomp.rules]: ioctl = \"allow\""
            ),
            "{who:?}: {ran:?}"
        );
        assert!(act(&profile(&place, ""), fionread).denials().is_empty(), "{who:?}");
        assert_eq!(
            act(&profile(&place, ""), tiocsti).denials().len(),
            1,
            "{who:?}: without the rule it stays closed"
        );
    }
}

#[test]
fn the_report_has_the_denials() {
    let place = place();
    let report = ["--explain", "--report-fd", "1"];
    for who in As::all() {
        let ran = run(
            &place,
            *who,
            &report,
            &profile(&place, EIO),
            &["/bin/sh", "-c", "sync; sync; true"],
        );
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
        let record: Value = serde_json::from_str(&ran.out).unwrap();
        let denied = record["denied"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["call"] == "sync")
            .unwrap_or_else(|| panic!("{record}"));
        assert_eq!(
            (&denied["process"], &denied["with"], &denied["count"]),
            (&"sync".into(), &"EIO".into(), &2.into()),
            "{record}"
        );
        let plain = run(
            &place,
            *who,
            &report[1..],
            &profile(&place, EIO),
            &["/bin/sh", "-c", "sync; true"],
        );
        assert!(!plain.out.contains("denied"), "the twin: {plain:?}");
    }
}

fn number(name: &str) -> String {
    Abi::Native.number(name).expect(name).to_string()
}

#[test]
fn arguments_that_decide_are_told_as_the_kernel_reads_them() {
    let place = place();
    let (socket, prctl) = (number("socket"), number("prctl"));
    let rule = "[seccomp.rules]\nprctl = { deny-if = [{ arg0 = 22, errno = \"ENOENT\" }] }\n";
    for who in As::all() {
        let text = profile(&place, rule);
        let ran = run(
            &place,
            *who,
            EXPLAIN,
            &text,
            &["/denials", "raw", &socket, "0x100000011", "3", "-1"],
        );
        let line = ran.denials()[0];
        assert_eq!(
            line,
            "denied: socket(17, 3, -1) in denials (pid 2), with EAFNOSUPPORT: to permit it with \
             any arguments, add \"socket\" to [seccomp].allow and write below [capabilities]: \
             ambient = [\"net-raw\"]"
        );
        assert_eq!(ran.out, format!("errno {}\n", libc::EAFNOSUPPORT));
        let path = place.file("asked.toml", &text);
        let answer: Ran =
            place.stockade(*who).arg("why").arg(path).arg(line).output().unwrap().into();
        assert!(
            answer.status == Some(1) && answer.out.contains("EAFNOSUPPORT with these arguments"),
            "{who:?}: {answer:?}"
        );
        let ran = run(&place, *who, EXPLAIN, &text, &["/denials", "raw", &prctl, "22", "2"]);
        assert!(ran.denials()[0].starts_with("denied: prctl(22, 2, "), "{ran:?}");
        assert_eq!(ran.out, format!("errno {}\n", libc::ENOENT));
    }
}

/// What the plan refuses whatever the arguments, and some that hang on them; numbers that nobody
/// knows; x32.
fn attempts(place: &Place, who: As, profile: &str) -> Vec<String> {
    let path = place.file("plan.toml", profile);
    let output = place
        .stockade(who)
        .args(["plan", "--format", "json"])
        .arg(path)
        .arg("/calls")
        .output()
        .unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = |way: &str, number: u32, arguments: [u64; 6]| {
        let arguments: Vec<String> =
            arguments.iter().map(|argument| format!("{argument:x}")).collect();
        format!("{way} {number} {}\n", arguments.join(" "))
    };
    let useless = [u64::MAX; 6];
    let mut lines = vec![];
    for (name, rule) in plan["seccomp"].as_object().unwrap() {
        if rule["cases"].as_array().unwrap().is_empty() && rule["otherwise"] != "allow" {
            lines.push(line("native", Abi::Native.number(name).expect(name), useless));
        }
    }
    let native = |name| Abi::Native.number(name).unwrap();
    lines.push(line("native", native("clone"), [0x1000_0000, 0, 0, 0, 0, 0]));
    lines.push(line("native", native("socket"), [40, 1, 0, 0, 0, 0]));
    lines.push(line("native", native("ioctl"), [0, 0x5412, 0, 0, 0, 0]));
    lines.push(line("native", native("personality"), [0x4_0000, 0, 0, 0, 0, 0]));
    lines.extend((473..500).map(|number| line("native", number, useless)));
    if cfg!(target_arch = "x86_64") {
        lines.extend((0..548).step_by(7).map(|number| line("x32", number, useless)));
        lines.extend((0..400).step_by(40).map(|number| line("int80", number, useless)));
    }
    lines
}

#[test]
fn the_target_sees_the_same_with_and_without() {
    let place = place();
    let strict = "[seccomp]\npolicy = \"none\"\nallow = [\"@default\", \"@basic-io\", \
                  \"@file-system\", \"@process\", \"@signal\"]\n\
                  [seccomp.rules]\nuname = \"errno:0\"\numask = \"errno:4095\"\ngetuid = \
                  \"notify\"\n";
    for more in ["", strict, "process.init = false\n"] {
        for who in As::all() {
            let text = profile(&place, "");
            let text =
                if more.starts_with("process") { format!("{more}{text}") } else { text + more };
            let lines = attempts(&place, *who, &text);
            assert!(lines.len() > 80);
            place.file("list", &lines.concat());
            let (with, without) = (
                run(&place, *who, EXPLAIN, &text, &["/calls", "/list"]),
                run(&place, *who, PLAINLY, &text, &["/calls", "/list"]),
            );
            assert_eq!(
                (with.status, without.status),
                (Some(0), Some(0)),
                "{who:?}: {with:?}{without:?}"
            );
            assert_eq!(with.out.lines().count(), lines.len());
            let differ: Vec<_> = lines
                .iter()
                .zip(with.out.lines().zip(without.out.lines()))
                .filter(|(_, (with, without))| with != without)
                .collect();
            assert!(differ.is_empty(), "{who:?}: {more}: {differ:?}");
            assert!(
                !with.denials().is_empty() && !with.err.contains("ended before"),
                "{who:?}: {with:?}"
            );
        }
    }
}

/// Where `kill` ends a process, it ends with --explain too, by the same signal where it has no
/// handler for it, and one line says why.
#[test]
fn a_death_by_the_filter_is_told_and_is_the_same_death() {
    let place = place();
    let kill = "[seccomp.rules]\nsync = \"kill\"\n";
    for who in As::all() {
        let text = profile(&place, kill);
        for explain in [EXPLAIN, PLAINLY] {
            let ran = run(&place, *who, explain, &text, &["/denials", "flood", "5"]);
            assert_eq!((ran.status, ran.out.as_str()), (Some(SIGSYS), ""), "{who:?}: {ran:?}");
            if explain.is_empty() {
                assert!(
                    ran.err.contains("the target died of SIGSYS")
                        && ran.err.contains("`stockade run --explain` says which"),
                    "{ran:?}"
                );
            } else {
                assert!(
                    ran.denials()[0].starts_with(
                        "denied: sync in denials (pid 2), which was killed for it: to permit it, \
                         write below [seccomp.rules]: sync = \"allow\", in the place of "
                    ),
                    "{ran:?}"
                );
                assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
            }
            // Not the main process: the shell continues, and its status is 159.
            let ran = run(&place, *who, explain, &text, &["sh", "-c", "/denials flood 1; exit $?"]);
            assert_eq!(ran.status, Some(SIGSYS), "{who:?}: {ran:?}");
            assert!(ran.err.contains(if explain.is_empty() {
                "status 159 is how a shell says"
            } else {
                "denied: sync in denials (pid 3), which was killed"
            }));
        }
        // A handler does not save it: SIGKILL then.
        let ran = run(&place, *who, EXPLAIN, &text, &["/denials", "survive"]);
        assert_eq!(ran.status, Some(SIGKILL), "{who:?}: {ran:?}");
        assert!(ran.denials()[0].contains("which was killed for it"), "{ran:?}");
        // Nor does being pid 1, which the kernel shields from signals.
        let ran = run(
            &place,
            *who,
            EXPLAIN,
            &format!("process.init = false\n{text}"),
            &["/denials", "flood", "1"],
        );
        assert_eq!(ran.status, Some(SIGKILL), "{who:?}: {ran:?}");
        assert!(
            ran.denials()[0].starts_with("denied: sync in denials (pid 1), which was killed"),
            "{ran:?}"
        );
    }
}

/// The process that answers is the target's user, and no more: another user of the sandbox it may
/// not kill, so all of the sandbox ends.
#[test]
fn what_cannot_be_killed_for_a_call_ends_with_its_sandbox() {
    if !is_root() {
        return skip("it needs root");
    }
    let place = place();
    let map = "[{ inside = 1000, outside = 1879300000, count = 10 }]";
    let identity = format!(
        "[identity]\nuser = 1000\ngroup = 1000\nuid-map = {map}\ngid-map = \
         {map}\n[capabilities]\nambient = [\"setuid\"]\n"
    );
    let rule = format!("{identity}[seccomp.rules]\nsync = \"kill\"\n");
    let text = profile(&place, &rule);
    let ran =
        run(&place, As::Root, EXPLAIN, &text, &["sh", "-c", "/denials as 1001; echo survived"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(SIGKILL), ""), "{ran:?}");
    assert!(
        ran.denials()[0].contains(", which could not be killed for it: the sandbox was ended: "),
        "{ran:?}"
    );
    // As its own user it is killed alone.
    let ran =
        run(&place, As::Root, EXPLAIN, &text, &["sh", "-c", "/denials as 1000; echo survived"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), "survived\n"), "{ran:?}");
}

#[test]
fn a_call_of_another_architecture_is_named_by_its_table() {
    if !cfg!(target_arch = "x86_64") {
        return skip("x32 and int 0x80 are of x86_64");
    }
    let place = place();
    for who in As::all() {
        // 39: mkdir of x86, getpid of x86_64. 520 is execve of x32.
        place.file("list", "int80 39 0 0 0 0 0 0\nx32 520 0 0 0 0 0 0\nnative 520 0 0 0 0 0 0\n");
        let ran = run(&place, *who, EXPLAIN, &profile(&place, ""), &["/calls", "/list"]);
        assert_eq!(
            ran.out,
            format!("signal {}\nerrno {}\nerrno {}\n", libc::SIGSYS, libc::ENOSYS, libc::ENOSYS),
            "{who:?}"
        );
        let mut denials = ran.denials();
        denials.retain(|line| !line.contains("clone3"));
        let [mkdir, execve, unknown] = denials[..] else { panic!("{who:?}: {ran:?}") };
        assert!(
            mkdir.starts_with(
                "denied: mkdir of x86 in calls (pid 3), which was killed for it: to permit it, \
                 grant its architecture: "
            ),
            "{mkdir}"
        );
        assert!(
            execve.starts_with(
                "denied: execve of x32 in calls (pid 2), with ENOSYS: programs do without it"
            ),
            "{execve}"
        );
        assert!(
            unknown.starts_with(
                "denied: call 520 in calls (pid 2), with ENOSYS: this version of stockade does not \
                 know it"
            ),
            "{unknown}"
        );
        let granted = profile(&place, "[seccomp]\narchitectures = [\"x86\"]\ndeny = [\"mkdir\"]\n");
        let ran = run(&place, *who, EXPLAIN, &granted, &["/calls", "/list"]);
        if ran.out.starts_with(&format!("signal {}", libc::SIGSEGV)) {
            skip("this kernel runs no 32-bit calls");
        } else {
            assert!(
                ran.denials().iter().any(|line| line.starts_with(
                    "denied: mkdir of x86 in calls (pid 3): to permit it, take \"mkdir\" out of \
                     [seccomp].deny: "
                )),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn a_flood_is_told_in_one_line_and_the_target_goes_on() {
    let place = place();
    for who in As::all() {
        let text = profile(&place, EIO);
        let begun = Instant::now();
        let ran = run(&place, *who, &["--explain=live"], &text, &["/denials", "flood", "100000"]);
        let took = begun.elapsed();
        assert_eq!((ran.status, ran.out.as_str()), (Some(0), "5: 100000\n"), "{who:?}: {ran:?}");
        let [first, all] = ran.denials()[..] else { panic!("{ran:?}") };
        assert!(
            first == "denied: sync in denials (pid 2), with EIO"
                && all.starts_with("denied: sync in denials (pid 2), 100000 times, with EIO: ")
        );
        eprintln!("{who:?}: 100000 denials in {took:?}");
        // Each of another kind: the list is bounded, and what is beyond it is counted.
        let text = profile(
            &place,
            "[seccomp.rules]\nioctl = { deny-if = { arg1 = { at-least = 0x7000, at-most = 0x7fff } \
             } }\n",
        );
        let ran = run(&place, *who, &["--explain=live"], &text, &["/denials", "kinds", "4000"]);
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
        assert_eq!(ran.denials().len(), 2 * 128 + 1, "{who:?}");
        assert_eq!(*ran.denials().last().unwrap(), "denied: 3872 more calls, of further kinds");
        assert!(ran.denials()[0].starts_with("denied: ioctl(0, 0x7000, 0) in denials"), "{ran:?}");
    }
}

#[test]
fn the_names_of_processes_cannot_write_to_the_terminal() {
    let place = place();
    let cases: [(&str, &str); 5] = [
        // An escape sequence, and a bell.
        ("1b 5b 32 4a 07 78", r#"in "\u{1b}[2J\u{7}x" (pid 2)"#),
        // A line of its own.
        ("61 0a 73 74 6f 63 6b", r#"in "a\nstock" (pid 2)"#),
        // Right to left: U+202E.
        ("e2 80 ae 61 62 63", r#"in "\u{202e}abc" (pid 2)"#),
        // No text at all; a backslash and quotes.
        ("ff fe 5c 22 27", "in \"\u{fffd}\u{fffd}\\\\\\\"'\" (pid 2)"),
        ("70 79 74 68 6f 6e 33", "in python3 (pid 2)"),
    ];
    for who in As::all() {
        for (bytes, shown) in cases {
            let mut words = vec!["/denials", "name"];
            words.extend(bytes.split(' '));
            let ran = run(&place, *who, &["--explain=live"], &profile(&place, EIO), &words);
            assert_eq!(ran.status, Some(0), "{ran:?}");
            assert_eq!(ran.denials().len(), 2, "{who:?}: {ran:?}");
            assert!(
                ran.denials().iter().all(|line| line.contains(shown)),
                "{who:?}: {shown}: {ran:?}"
            );
            assert!(!ran.err.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{ran:?}");
        }
    }
}

#[test]
fn threads_and_signals_see_the_errno_and_nothing_else() {
    let place = place();
    for who in As::all() {
        let text = profile(&place, EIO);
        let ran = run(&place, *who, EXPLAIN, &text, &["/denials", "threads", "16", "500", "5"]);
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
        assert!(
            ran.denials()[0].starts_with("denied: sync in denials (pid 2), 8000 times, with EIO"),
            "{ran:?}"
        );
        let ran = run(&place, *who, EXPLAIN, &text, &["/denials", "alarms", "5000", "5"]);
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
    }
}

/// A run whose target makes a denied call every millisecond, once it does.
fn endless(
    place: &Place,
    who: As,
    explain: &[&str],
) -> (Child, BufReader<std::process::ChildStdout>) {
    let text = profile(place, EIO);
    let mut child = start(place, who, explain, &text, &["/denials", "until", "5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n", "{who:?}");
    (child, out)
}

fn answerer_of(child: &Child) -> u32 {
    children_named(child.id(), "stockade-answer").pop().expect("a process that answers")
}

#[test]
fn without_the_process_that_answers_calls_stay_denied() {
    let place = place();
    for who in As::all() {
        let (child, mut out) = endless(&place, *who, EXPLAIN);
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(answerer_of(&child) as i32),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        // ENOSYS, as seccomp_unotify(2) has it.
        assert_eq!(rest, format!("{}\n", libc::ENOSYS), "{who:?}");
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(
            ran.denials()[0].starts_with("denied: sync in denials (pid 2), with EIO"),
            "{who:?}: {ran:?}"
        );
        assert!(
            ran.err.contains("the process that answers for denied calls ended before the run did"),
            "{who:?}: {ran:?}"
        );
    }
}

#[test]
fn the_process_that_answers_is_walled() {
    let place = place();
    for who in As::all() {
        let (mut child, _out) = endless(&place, *who, EXPLAIN);
        let pid = answerer_of(&child);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{who:?}: {set}");
        }
        assert_eq!(
            (
                field("NoNewPrivs:").as_str(),
                field("Seccomp:").as_str(),
                field("Seccomp_filters:").as_str()
            ),
            ("1", "2", "1"),
            "{who:?}"
        );
        let ids = field("Uid:");
        assert!(
            ids.split(' ').all(|id| id != "0" && Some(id) == ids.split(' ').next()),
            "{who:?}: {ids}"
        );
        if is_root() {
            assert_eq!(
                std::fs::read(format!("/proc/{pid}/environ"))
                    .unwrap_or_default()
                    .iter()
                    .filter(|byte| **byte != 0)
                    .count(),
                0,
                "{who:?}"
            );
            let links = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            let links = links.filter_map(|link| std::fs::read_link(link.path()).ok());
            let mut open: Vec<String> = links.map(|link| link.display().to_string()).collect();
            // Of whom it answers at this moment, and that alone.
            let is_asked = |name: &str| {
                let pid = name.strip_prefix("/proc/").and_then(|name| name.strip_suffix("/status"));
                pid.is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
            };
            assert!(open.iter().filter(|name| is_asked(name)).count() < 2, "{open:?}");
            open.retain(|name| !is_asked(name));
            open.sort();
            assert!(
                matches!(&open[..], [proc, listener, pipe] if proc == "/proc" && listener.contains("seccomp notify") && pipe.starts_with("pipe:")),
                "{open:?}"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_launcher_that_is_killed_leaves_nothing() {
    let place = place();
    for who in As::all() {
        let (mut child, mut out) = endless(&place, *who, EXPLAIN);
        let mut all = children(child.id());
        let grandchildren: Vec<u32> = all.iter().flat_map(|pid| children(*pid)).collect();
        all.extend(grandchildren);
        assert_eq!(all.len(), 3, "the process that answers, pid 1 and the target");
        child.kill().unwrap();
        child.wait().unwrap();
        out.read_to_string(&mut String::new()).unwrap();
        let begun = Instant::now();
        let lives = |pid: &u32| {
            let ours = ["stockade", "stockade-answer", "denials"];
            name(*pid).is_some_and(|name| ours.contains(&name.as_str()))
        };
        while all.iter().any(lives) {
            assert!(begun.elapsed() < patient(Duration::from_secs(5)), "{who:?}: {all:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn live_is_at_once() {
    let place = place();
    for who in As::all() {
        let (mut child, _out) = endless(&place, *who, &["--explain=live"]);
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "stockade: denied: sync in denials (pid 2), with EIO\n", "{who:?}");
        assert_eq!(child.try_wait().unwrap(), None, "{who:?}: it still runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn the_action_notify_tells_without_being_asked() {
    let place = place();
    let rules = "[seccomp]\ndeny = [\"getpgid\"]\n[seccomp.rules]\nsync = \"notify\"\ndup = { \
                 notify-if = { arg0 = 77 } }\n";
    for who in As::all() {
        let text = profile(&place, rules);
        let ran = run(&place, *who, PLAINLY, &text, &["/denials", "flood", "3"]);
        assert_eq!((ran.status, ran.out.as_str()), (Some(0), "1: 3\n"), "{who:?}: {ran:?}");
        assert!(
            ran.denials()[0].starts_with(
                "denied: sync in denials (pid 2), 3 times: to permit it, write below \
                 [seccomp.rules]: sync = \"allow\", in the place of "
            ),
            "{ran:?}"
        );
        let ran = run(&place, *who, PLAINLY, &text, &["/denials", "raw", &number("dup"), "77"]);
        assert!(
            ran.out == "errno 1\n" && ran.denials()[0].starts_with("denied: dup(77) in denials"),
            "{who:?}: {ran:?}"
        );
        // What is not its action's is the kernel's alone.
        let ran = run(&place, *who, PLAINLY, &text, &["/denials", "raw", &number("getpgid"), "0"]);
        assert!(ran.out == "errno 1\n" && ran.err.is_empty(), "{who:?}: {ran:?}");
    }
}

/// The calls by which the listener is handed over may be denied themselves: they are made all the
/// same, and are denied to the target.
#[test]
fn a_policy_that_denies_the_hand_over_is_explained_and_stays() {
    let place = place();
    let none = "[seccomp]\npolicy = \"none\"\nallow = [\"execve\", \"exit_group\", \"write\", \
                \"brk\", \"arch_prctl\", \"set_tid_address\", \"mprotect\", \"newfstatat\"]\n\
                deny = [\"sendmsg\", \"read\", \"seccomp\"]\n";
    for who in As::all() {
        let text = profile(&place, none);
        for (call, explain) in ["sendmsg", "read", "seccomp"]
            .into_iter()
            .flat_map(|call| [(call, EXPLAIN), (call, PLAINLY)])
        {
            // The descriptors and addresses of the hand-over are not known here: none near it
            // opens.
            for fd in ["0", "5", "7", "9"] {
                let ran = run(
                    &place,
                    *who,
                    explain,
                    &text,
                    &["/denials", "raw", &number(call), fd, "0", "1"],
                );
                assert_eq!(
                    (ran.status, ran.out.as_str()),
                    (Some(0), "errno 1\n"),
                    "{who:?}: {call} {explain:?}: {ran:?}"
                );
                if !explain.is_empty() {
                    let told = format!(
                        "denied: {call} in denials (pid 2): to permit it, take it out of [seccomp].deny: "
                    );
                    assert!(
                        ran.denials().iter().any(|line| line.starts_with(&told)),
                        "{who:?}: {ran:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_second_listener_is_a_clear_error() {
    let place = place();
    for who in As::all() {
        let path = place.file("profile.toml", &profile(&place, ""));
        let run = |explain: &[&str]| -> Ran {
            let mut command = place.outside(*who, place.path.join("denials"));
            command
                .arg("listener")
                .arg(place.path.join("stockade"))
                .arg("run")
                .args(explain)
                .arg(&path)
                .arg("true")
                .output()
                .unwrap()
                .into()
        };
        let failed = run(EXPLAIN);
        assert_eq!(failed.status, Some(125), "{who:?}: {failed:?}");
        assert!(
            support::unwrapped(&failed.err).contains(
                "cannot enforce the system call filter: a filter around it supervises denied calls \
                 already"
            ),
            "{failed:?}"
        );
        assert!(failed.err.contains("run without --explain"), "{failed:?}");
        let ran = run(PLAINLY);
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
    }
}

/// Who does not ask pays nothing: no call of the launch is for it.
#[test]
fn without_it_a_launch_makes_no_call_for_it() {
    let place = place();
    place.program("faults");
    let path = place.file("profile.toml", &profile(&place, "[process]\ncommand = [\"true\"]\n"));
    for who in As::all() {
        let list = place.folder("traces", *who).join("list");
        let calls = |explain: &[&str]| -> Vec<u32> {
            let mut command = place.outside(*who, place.path.join("faults"));
            command
                .arg("trace")
                .arg(&list)
                .arg("--")
                .arg(place.path.join("stockade"))
                .arg("run")
                .args(explain)
                .arg(&path);
            let ran: Ran = command.stdin(Stdio::null()).output().unwrap().into();
            assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
            let text = std::fs::read_to_string(&list).unwrap();
            std::fs::remove_file(&list).unwrap();
            text.lines()
                .filter(|line| line.starts_with("call "))
                .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
                .collect()
        };
        let (with, without) = (calls(EXPLAIN), calls(PLAINLY));
        let count = |calls: &[u32], name| {
            calls.iter().filter(|call| Abi::Native.number(name) == Some(**call)).count()
        };
        for (name, least) in [("socketpair", 1), ("sendmsg", 1), ("recvmsg", 1), ("setsid", 1)] {
            assert!(count(&with, name) >= least, "{who:?}: {name}");
        }
        for name in ["socketpair", "sendmsg", "recvmsg"] {
            assert_eq!(count(&without, name), 0, "{who:?}: {name}");
        }
        assert_eq!((count(&without, "seccomp"), count(&with, "seccomp")), (1, 2), "{who:?}");
        assert_eq!((count(&without, "pipe2"), count(&with, "pipe2")), (2, 3), "{who:?}");
    }
}

/// Whatever the launcher has allocated before, the process that answers needs no more memory.
#[test]
fn the_built_in_profiles_are_explained() {
    let place = Place::new();
    for who in As::all() {
        for name in ["default", "strict", "build"] {
            for padding in [0, 30_000, 90_000] {
                let config = format!("env.PADDING = \"{}\"", "x".repeat(padding));
                let folder = place.folder("work", As::User);
                let mut command = place.stockade(*who);
                let ran: Ran = command
                    .current_dir(folder)
                    .args([
                        "run",
                        "--explain",
                        "--config",
                        &config,
                        name,
                        "/bin/sh",
                        "-c",
                        "exit 7",
                    ])
                    .output()
                    .unwrap()
                    .into();
                assert!(
                    ran.status == Some(7) && !ran.err.contains("ended before"),
                    "{who:?}: {name}: {ran:?}"
                );
            }
        }
    }
}

/// A profile from standard input is read once, and never again from what is the target's.
#[test]
fn a_profile_from_standard_input_is_explained() {
    let place = place();
    for who in As::all() {
        let text = profile(&place, EIO);
        let mut command = place.stockade(*who);
        command
            .args(["run", "--explain", "-", "/denials", "flood", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!(ran.status, Some(0), "{who:?}: {ran:?}");
        assert!(
            ran.denials()[0].starts_with(
                "denied: sync in denials (pid 2), 2 times, with EIO: to permit it, change its \
                 rule: <stdin>:"
            ),
            "{ran:?}"
        );
    }
}

#[test]
fn what_does_not_run_says_why_as_ever() {
    let place = place();
    for who in As::all() {
        let text = profile(&place, "");
        let ran = run(&place, *who, EXPLAIN, &text, &["/no/such/program"]);
        assert!(
            ran.status == Some(127) && ran.err.contains("cannot run `/no/such/program`"),
            "{who:?}: {ran:?}"
        );
        let ran = run(&place, *who, EXPLAIN, &text, &["false"]);
        assert!(
            ran.status == Some(1)
                && ran.err.contains("is not seen from here: ask stockade why PROFILE /PATH"),
            "{who:?}: {ran:?}"
        );
    }
}
