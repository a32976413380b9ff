//! Nothing is left behind: after the launcher's death at any point of its work, after many
//! launches, in a row and at once, and when a file system in memory is full.
//!
//! `FULL=1` launches a thousand times in a row instead of two hundred.

use crate::support::ground::wait_for;
use crate::support::processes::{children, children_named, has_ended, state};
use crate::support::{
    self, As, Place, is_root, kernel, mounts_of, processes_with, skip, system, text,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Statuses of `faults.c`: see there.
const LEFT: i32 = 202;
const KILLED: i32 = 128 + 9;

/// The `faults` tool in a place, where a compiler is.
fn tool(place: &Place) -> Option<PathBuf> {
    if Command::new("gcc").arg("--version").output().is_err() {
        skip("gcc is not installed");
        return None;
    }
    Some(place.program("faults"))
}

/// The tool, on a run with these words.
fn run_tool(place: &Place, who: As, words: &[&str], run: &[&Path]) -> Output {
    let mut command = place.outside(who, place.path.join("faults"));
    command.args(words).arg("--").arg(place.path.join("stockade")).arg("run").args(run);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Files in the directories that all users may write to, but for those of these tests (root's list
/// of names among them: no sandbox here has a name); and all below the place.
fn files(place: &Place) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["/tmp", "/var/tmp", "/dev/shm", "/run"] {
        let names = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(
            names
                .filter(|name| name.contains("stockade") && !name.starts_with("stockade-"))
                .map(|name| format!("{folder}/{name}"))
                .filter(|path| path != "/run/stockade"),
        );
    }
    let mut folders = vec![place.path.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            found.insert(entry.path().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

/// A sandbox with something to leave: binds for reading and writing, hidden and new files, a
/// control of its clocks.
fn profile(place: &Place, command: &str, mounts: &str) -> PathBuf {
    place.folder("data", As::User);
    place.file("sub/file", "text");
    let at = place.path.display();
    let is_whole = mounts.contains("\"/\" = \"overlay\"");
    // It would be a part of what is merged.
    let data = match is_whole {
        true => String::new(),
        false => format!("\"/data\" = {{ bind = \"{at}/data\", access = \"rw\" }}\n"),
    };
    let mounts = format!(
        "\"/hidden\" = {{ bind = \"{at}/sub\" }}\n\"/hidden/file\" = {{ hide = true }}\n{data}\
         \"/text\" = {{ text = \"x\" }}\n{mounts}"
    );
    let process = format!("stdin = {{ file = \"{at}/sub/file\" }}\ncommand = {command}\n");
    let base = match (is_whole, mounts.contains("\"/\" = ")) {
        (true, _) => format!("format = 1\n[mounts]\n\"/proc\" = \"proc\"\n{mounts}"),
        (_, true) => {
            let usr = "\"/usr\" = { bind = \"/usr\" }";
            format!("format = 1\n[mounts]\n\"/proc\" = \"proc\"\n{usr}\n{mounts}")
        }
        _ => system(&mounts),
    };
    place.file("profile.toml", &format!("{base}[process]\n{process}"))
}

#[test]
fn a_launcher_killed_at_any_call_leaves_nothing() {
    killed_at_any_call("", |_| String::new());
}

/// The same with a process that answers for denied calls.
#[test]
fn one_that_tells_of_denials_and_is_killed_at_any_call_leaves_nothing() {
    killed_at_any_call("[seccomp.rules]\nsync = \"notify\"\n", |_| String::new());
}

/// The same with a process that ends a target which is pid 1 itself.
#[test]
fn one_with_a_target_that_is_pid_1_and_is_killed_at_any_call_leaves_nothing() {
    killed_at_any_call("init = false\n", |_| String::new());
}

/// The same with directories on disk for what is written on top of layers: one is removed by the next
/// run, and that uses the one that is kept.
#[test]
fn one_that_writes_to_disk_and_is_killed_at_any_call_leaves_nothing_to_the_next_run() {
    killed_at_any_call("", |place| {
        let uppers = place.folder("uppers", As::User);
        if is_root() {
            std::os::unix::fs::chown(&uppers, Some(0), Some(0)).unwrap();
        }
        let layers = format!("layers = [\"{}/sub\"]", place.path.display());
        let uppers = uppers.display();
        format!(
            "\"/thrown\" = {{ {layers}, upper = {{ discard = \"{uppers}\" }} }}\n\"/kept\" = {{ {layers}, \
             upper = \"{uppers}/kept\" }}\n\"/copied\" = {{ {layers}, upper = {{ discard = \"{uppers}\" \
             }}, driver = \"copy\" }}\n"
        )
    });
}

/// The same with the host's whole tree, and with a root of layers whose directories are made before, in
/// memory: what is written is listed.
#[test]
fn one_that_lists_changes_and_is_killed_at_any_call_leaves_nothing() {
    if kernel() < (6, 6) {
        return skip("there is no upper in memory for ordinary users before Linux 6.6");
    }
    killed_with(&["--changes"], "", |_| "\"/\" = \"overlay\"\n".to_owned());
    killed_with(&["--changes"], "", |place| {
        let layers =
            place.folder("layers/deep/er", As::User).ancestors().nth(2).unwrap().to_owned();
        for name in ["bin", "lib", "lib64"].iter().filter(|name| !layers.join(name).is_symlink()) {
            std::os::unix::fs::symlink(format!("usr/{name}"), layers.join(name)).unwrap();
        }
        let layers = layers.display();
        format!("\"/\" = {{ layers = [\"{layers}\"], upper = \"discard\", copy-up = [\"/\"] }}\n")
    });
}

/// How many calls the launcher makes. What it waits for may come together or one by one, so runs
/// differ by a call: the least counts.
fn calls_of_the_launcher(place: &Place, who: As, run: &[&Path]) -> usize {
    let list = place.folder("traces", who).join("list");
    let counts = (0..3).map(|_| {
        let traced = run_tool(place, who, &["trace", list.to_str().unwrap()], run);
        assert_eq!(traced.status.code(), Some(0), "{who:?}: {}", text(&traced.stderr));
        let lines = std::fs::read_to_string(&list).unwrap();
        lines.lines().filter(|line| line.starts_with("call 0 ")).count()
    });
    counts.min().unwrap()
}

/// A run whose launcher is killed at a call. One that ends before it is no trial, so there is
/// another.
fn killed_at(place: &Place, who: As, run: &[&Path], ordinal: usize) -> Output {
    let mut output = run_tool(place, who, &["kill", &ordinal.to_string()], run);
    for _ in 0..20 {
        if output.status.code() != Some(0) {
            break;
        }
        output = run_tool(place, who, &["kill", &ordinal.to_string()], run);
    }
    output
}

/// Without FULL every eleventh call of a profile with further mounts.
fn killed_at_any_call(more: &str, mounts: fn(&Place) -> String) {
    killed_with(&[], more, mounts);
}

fn killed_with(flags: &[&str], more: &str, mounts: fn(&Place) -> String) {
    for who in As::all() {
        let place = Place::new();
        if tool(&place).is_none() {
            return;
        }
        let mounts = mounts(&place);
        let uppers = place.path.join("uppers");
        if let (true, Some(id)) = (uppers.exists(), who.id()) {
            std::os::unix::fs::chown(&uppers, Some(id), Some(id)).unwrap();
        }
        let is_whole = mounts.is_empty() || std::env::var_os("FULL").is_some();
        let profile = profile(&place, &format!("[\"sleep\", \"0.02\"]\n{more}"), &mounts);
        let run: Vec<&Path> = flags.iter().map(Path::new).chain([&*profile]).collect();
        let count = calls_of_the_launcher(&place, *who, &run);
        assert!(count > 60, "{count}");
        let (before, mounted) = (files(&place), mounts_of(&place));
        let next = AtomicUsize::new(1);
        std::thread::scope(|scope| {
            // One sandbox at a time has a directory that is kept.
            for _ in 0..if mounts.is_empty() { 4 } else { 1 } {
                scope.spawn(|| {
                    loop {
                        let ordinal = next.fetch_add(1, Ordering::Relaxed);
                        if ordinal > count {
                            return;
                        }
                        if !is_whole && !ordinal.is_multiple_of(11) {
                            continue;
                        }
                        let output = killed_at(&place, *who, &run, ordinal);
                        let status = output.status.code();
                        // Of the host's tree there may be less to look at by now.
                        if status == Some(0) && !flags.is_empty() && ordinal > count - count / 10 {
                            continue;
                        }
                        assert_ne!(
                            status,
                            Some(LEFT),
                            "{who:?}: killed at call {ordinal} it leaves a process"
                        );
                        assert_eq!(
                            status,
                            Some(KILLED),
                            "{who:?}: call {ordinal}: {}",
                            text(&output.stderr)
                        );
                    }
                });
            }
        });
        if !mounts.is_empty() {
            let next = place.stockade(*who).arg("run").arg(&profile).output().unwrap();
            assert_eq!(next.status.code(), Some(0), "{who:?}: {}", text(&next.stderr));
        }
        assert_eq!(files(&place), before, "{who:?}");
        assert_eq!(mounts_of(&place), mounted, "{who:?}");
    }
}

#[test]
fn a_launcher_killed_at_any_call_leaves_no_group_to_the_next_run() {
    let controllers = ["memory", "pids", "cpu", "devices", "freezer"];
    if !is_root() || !support::has_v1(&controllers) {
        return skip("it needs root, and the classic controllers in version 1 of control groups");
    }
    let place = Place::new();
    if tool(&place).is_none() {
        return;
    }
    let limits = "[limits]\nmemory = \"64M\"\npids = 30\ncpu = 2.0\ncontrollers = [\"devices\", \
                  \"freezer\"]\n";
    let profile = place.file(
        "limited.toml",
        &format!("{}[process]\ncommand = [\"sleep\", \"0.02\"]\n{limits}", system("")),
    );
    let count = calls_of_the_launcher(&place, As::Root, &[&profile]);
    let _alone = support::ground::no_other_kills();
    let mut left_at_all = 0;
    for ordinal in 1..=count {
        let output = killed_at(&place, As::Root, &[&profile], ordinal);
        assert_eq!(output.status.code(), Some(KILLED), "call {ordinal}: {}", text(&output.stderr));
        left_at_all += support::dead_groups().len();
    }
    // Some of these deaths leave groups, or this would prove nothing; the next run removes the last
    // of them.
    assert!(left_at_all > 0);
    assert!(place.stockade(As::Root).arg("run").arg(&profile).output().unwrap().status.success());
    assert_eq!(support::dead_groups(), Vec::<String>::new());
}

/// The first process of the sandbox, while it waits for the launcher's word and is stopped. It sees
/// no end of a pipe then, and where it is not pid 1 of a namespace of its own nothing else ends it.
#[test]
fn a_launcher_that_is_killed_before_the_start_leaves_no_stopped_process() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    for who in As::all() {
        for pid in ["new", "host"] {
            let place = Place::new();
            // The host's processes cannot be shown.
            let text = system("").replace("\"/proc\" = \"proc\"\n", "");
            let more = format!("[process]\ncommand = [\"true\"]\n[namespaces]\npid = \"{pid}\"\n");
            let profile = place.file("profile.toml", &(text + &more));
            // The launcher makes itself undumpable after the clone: here it takes its time for it.
            let mut tracer = place
                .outside(*who, "strace")
                .args(["-qq", "-o", "/dev/null", "-e", "trace=prctl", "-e"])
                .arg("inject=prctl:delay_enter=20000000")
                .arg(place.path.join("stockade"))
                .arg("run")
                .arg(&profile)
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let launcher = wait_for(|| children_named(tracer.id(), "stockade").pop());
            let child = wait_for(|| children(launcher).into_iter().next());
            // It waits, having done what it does before.
            wait_for(|| (state(child) == Some('S')).then_some(()));
            std::thread::sleep(std::time::Duration::from_millis(50));
            let signal = |pid: u32, signal| kill(Pid::from_raw(pid as i32), signal).unwrap();
            signal(child, Signal::SIGSTOP);
            // The twin: that alone does not end it.
            wait_for(|| (state(child) == Some('T')).then_some(()));
            signal(launcher, Signal::SIGKILL);
            tracer.kill().unwrap();
            tracer.wait().unwrap();
            wait_for(|| has_ended(child).then_some(()));
        }
    }
}

/// By a signal that a program may await: it waits from the first group on.
#[test]
fn a_launcher_that_is_asked_to_end_leaves_no_group() {
    let controllers = ["memory", "pids"];
    if !is_root() || !support::has_v1(&controllers) {
        return skip("it needs root, and the classic controllers in version 1 of control groups");
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let place = Place::new();
    let limits = "[limits]\nmemory = \"64M\"\npids = 30\n";
    let profile = place.file(
        "limited.toml",
        &format!("{}[process]\ncommand = [\"sleep\", \"50\"]\n{limits}", system("")),
    );
    let _alone = support::ground::no_other_kills();
    for nth in 1..=2 {
        for (signal, status) in [("TERM", 143), ("INT", 130)] {
            let output = place
                .outside(As::Root, "strace")
                .args(["-qq", "-o", "/dev/null", "-e", "trace=mkdirat,mkdir", "-e"])
                .arg(format!("inject=mkdirat,mkdir:signal={signal}:when={nth}"))
                .arg(place.path.join("stockade"))
                .arg("run")
                .arg(&profile)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(status), "{signal} {nth}: {output:?}");
            assert_eq!(support::dead_groups(), Vec::<String>::new(), "{signal} {nth}");
        }
    }
}

#[test]
fn launch_after_launch_none_fails_and_nothing_is_left() {
    let rounds = if std::env::var_os("FULL").is_some() { 1000 } else { 200 };
    for who in As::all() {
        let place = Place::new();
        let needle = format!("leftover-row-{}-{who:?}", std::process::id());
        let profile = profile(
            &place,
            &format!("[\"sh\", \"-c\", \"sleep 1000 & exit 7\", \"{needle}\"]"),
            "",
        );
        let (before, mounted) = (files(&place), mounts_of(&place));
        for round in 0..rounds {
            let output = place
                .stockade(*who)
                .arg("run")
                .arg(&profile)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(
                output.status.code(),
                Some(7),
                "{who:?}, launch {round}: {}",
                text(&output.stderr)
            );
        }
        assert!(processes_with(&needle).is_empty(), "{:?}", processes_with(&needle));
        assert_eq!(files(&place), before, "{who:?}");
        assert_eq!(mounts_of(&place), mounted, "{who:?}");
    }
}

#[test]
fn a_hundred_at_once_none_fails_and_nothing_is_left() {
    for who in As::all() {
        let place = Place::new();
        let needle = format!("leftover-many-{}-{who:?}", std::process::id());
        let profile =
            profile(&place, &format!("[\"sh\", \"-c\", \"sleep 1; exit 7\", \"{needle}\"]"), "");
        let (before, mounted) = (files(&place), mounts_of(&place));
        let start = || {
            place
                .stockade(*who)
                .arg("run")
                .arg(&profile)
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..100).map(|_| start()).collect();
        for (index, child) in children.into_iter().enumerate() {
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(7),
                "{who:?}, launch {index}: {}",
                text(&output.stderr)
            );
        }
        assert!(processes_with(&needle).is_empty(), "{:?}", processes_with(&needle));
        assert_eq!(files(&place), before, "{who:?}");
        assert_eq!(mounts_of(&place), mounted, "{who:?}");
    }
}

/// What a process holds while the target runs: the pipes, the process's descriptor, the signals;
/// nothing for each mount or file.
#[test]
fn no_descriptor_leaks_into_the_target_or_pid_1() {
    for who in As::all() {
        let place = Place::new();
        let needle = format!("leftover-fd-{}-{who:?}", std::process::id());
        let profile = profile(
            &place,
            &format!(
                "[\"sh\", \"-c\", \"ls -l /proc/self/fd >&2; echo ready; sleep 20; :\", \
                 \"{needle}\"]"
            ),
            "",
        );
        let mut child = place
            .stockade(*who)
            .arg("run")
            .arg(&profile)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The shell holds no descriptors of its own once it has said so.
        assert_eq!(
            child.stdout.as_mut().unwrap().read(&mut [0; 6]).unwrap(),
            6,
            "the target did not start"
        );
        let target = processes_with(&needle).first().unwrap().split(':').next().unwrap().to_owned();
        let status = std::fs::read_to_string(format!("/proc/{target}/status")).unwrap();
        let init =
            status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
        let held = |pid: &str| -> Option<Vec<String>> {
            let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            Some(
                entries
                    .flatten()
                    .map(|entry| {
                        std::fs::read_link(entry.path()).unwrap_or_default().display().to_string()
                    })
                    .collect(),
            )
        };
        // Only root may look at processes that are not dumpable.
        if let Some(held) = held(&target) {
            assert_eq!(held.len(), 3, "{who:?}: {held:?}");
        }
        // Pid 1 continues once the target has executed, and closes what it does not need: on a busy
        // machine a little later.
        let begun = std::time::Instant::now();
        while held(&init).is_some_and(|held| held.len() > 3) && begun.elapsed().as_secs() < 5 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        if let Some(held) = held(&init) {
            let kinds = |word: &str| held.iter().filter(|link| link.contains(word)).count();
            assert!(
                held.len() == 3 && kinds("pipe:") == 2 && kinds("signalfd") == 1,
                "{who:?}: {held:?}"
            );
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let list = text(&output.stderr);
        // `ls` itself opens the directory that it lists.
        assert_eq!(list.lines().filter(|line| line.contains(" -> ")).count(), 4, "{who:?}: {list}");
    }
}

#[test]
fn a_full_file_system_in_memory_is_an_error_at_its_line() {
    for who in As::all() {
        let place = Place::new();
        let text_of = |line: &str, count: usize| {
            format!(
                "\"/small\" = {{ tmpfs = \"4K\" }}\n\"/small/large\" = {{ text = \"\"\"{}\"\"\" }}",
                line.repeat(count)
            )
        };
        for mounts in
            [text_of("a line of the file\n", 50_000), text_of("a line without an end ", 40_000)]
        {
            let output = place.run(*who, &system(&mounts), &["true"]);
            let error = support::errors(&output);
            let shown = &error[..error.len().min(2000)];
            assert_eq!(output.status.code(), Some(125), "{who:?}: {shown}");
            assert!(
                error.contains("no space left on device") && error.contains("larger size"),
                "{who:?}: {shown}"
            );
            // The line is named, and not printed whole.
            assert!(
                error.contains("profile.toml:13") && error.len() < 4000,
                "{who:?}: {} bytes: {shown}",
                error.len()
            );
        }
    }
}
