//! Running sandboxes that have a name: what `ps` lists, what `freeze`, `thaw`, `stop` and `kill` do, and
//! what is left of a launcher that was killed.

use crate::support::ground::Ground;
use crate::support::{self, As, Place, USER, errors, is_root, spawned, system, text};
use serde_json::Value;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use stockade::internals::launch::registry::plan_of;
use stockade::internals::step::Content;

/// A runtime directory of `who`; for root it is the machine's, so every name must be one of this
/// test's own.
struct Running {
    place: Place,
    who: As,
    runtime: PathBuf,
}

impl Running {
    fn new(who: As) -> Running {
        let place = Place::new();
        let runtime = place.folder("run", who);
        std::fs::set_permissions(&runtime, PermissionsExt::from_mode(0o700)).unwrap();
        Running { place, who, runtime }
    }

    /// A name that no other test has.
    fn name(&self, end: &str) -> String {
        format!("{}-{end}", self.place.path.file_name().unwrap().to_str().unwrap())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.stockade(self.who);
        command.env("XDG_RUNTIME_DIR", &self.runtime).args(words);
        command
    }

    fn stockade(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn folder(&self) -> PathBuf {
        if self.who == As::Root { "/run/stockade".into() } else { self.runtime.join("stockade") }
    }

    /// Starts a sandbox, and waits until it has its name.
    fn start(&self, name: &str, more: &str, line: &str) -> Child {
        let profile = self
            .place
            .file(&format!("{name}.toml"), &format!("name = \"{name}\"\n{}{more}", system("")));
        let mut command = self.command(&["run"]);
        let child = command
            .arg(profile)
            .args(["/bin/sh", "-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until(|| self.row(name).is_some());
        child
    }

    fn row(&self, name: &str) -> Option<Value> {
        let output = self.stockade(&["ps", "--format", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        rows.into_iter().find(|row| row["name"] == name)
    }
}

#[track_caller]
fn until(mut good: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !good() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lives(pid: i64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_sandbox_with_a_name_is_listed_and_ended() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("listed");
        let mut child = run.start(&name, "", "sleep 600 & sleep 600");
        let row = run.row(&name).unwrap();
        assert_eq!(
            (&row["state"], &row["launcher"]),
            (&"running".into(), &child.id().into()),
            "{row}"
        );
        assert!(row["profile"].as_str().unwrap().ends_with(&format!("{name}.toml")), "{row}");
        let listed = text(&run.stockade(&["ps"]).stdout);
        assert!(listed.starts_with("NAME") && listed.contains(&name), "{listed}");
        let completed = text(&run.stockade(&["complete", "--", "kill", &name[..3]]).stdout);
        assert!(
            completed.lines().any(|line| line.split('\t').next() == Some(name.as_str())),
            "{completed}"
        );
        let new = text(&run.stockade(&["complete", "--", "new", &name[..3]]).stdout);
        assert!(!new.contains(&name), "a new profile is no running sandbox: {new}");
        // The name is taken.
        let second = run.stockade(&[
            "run",
            run.place.path.join(format!("{name}.toml")).to_str().unwrap(),
            "true",
        ]);
        assert!(
            second.status.code() == Some(125)
                && errors(&second).contains("a running sandbox has it"),
            "{}",
            text(&second.stderr)
        );
        assert!(child.try_wait().unwrap().is_none(), "the first one runs on");
        let pid = row["pid"].as_i64().unwrap();
        assert!(lives(pid));
        let killed = run.stockade(&["kill", &name]);
        assert!(killed.status.success(), "{who:?}: {}", text(&killed.stderr));
        assert!(!lives(pid) && run.row(&name).is_none(), "{who:?}: kill waits until it is gone");
        assert_eq!(child.wait().unwrap().code(), Some(137), "{who:?}");
        assert!(!run.folder().join(format!("{name}.json")).exists());
        let again = run.stockade(&["kill", &name]);
        assert!(
            again.status.code() == Some(125)
                && errors(&again).contains("no sandbox of that name runs"),
            "{}",
            text(&again.stderr)
        );
    }
}

/// The stop signal first; and the end where the target does not heed it.
#[test]
fn a_sandbox_is_asked_to_end_and_then_ended() {
    let polite = "trap 'exit 7' USR1; while :; do sleep 0.01; done";
    let alone = "trap 'exit 9' TERM; while :; do sleep 0.01; done";
    let stubborn = "trap '' TERM; while :; do sleep 0.01; done";
    // Pid 1 passes this one on to nobody by itself.
    let other = "trap 'exit 8' ABRT; while :; do sleep 0.01; done";
    for who in As::all() {
        let run = Running::new(*who);
        for (end, keys, line, status) in [
            ("polite", "stop-signal = \"USR1\"\n", polite, 7),
            ("alone", "init = false\n", alone, 9),
            ("other", "stop-signal = \"ABRT\"\n", other, 8),
            ("stubborn", "kill-after = \"100ms\"\n", stubborn, 137),
        ] {
            let name = run.name(end);
            let mut child = run.start(&name, &format!("[process]\n{keys}"), line);
            let ready = run.row(&name).unwrap()["pid"].as_i64().unwrap();
            // The trap is set once the shell has a child.
            until(|| has_child(ready));
            let stopped = run.stockade(&["stop", &name]);
            assert!(stopped.status.success(), "{who:?} {end}: {}", text(&stopped.stderr));
            assert_eq!(child.wait().unwrap().code(), Some(status), "{who:?} {end}");
            assert!(run.row(&name).is_none(), "{who:?} {end}: it waits until it is gone");
        }
        let again = run.stockade(&["stop", &run.name("polite")]);
        assert!(errors(&again).contains("no sandbox of that name runs"), "{}", text(&again.stderr));
    }
}

/// Whether `sleep` runs below a process, or below its first child.
fn has_child(pid: i64) -> bool {
    let children = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
    };
    let mut left = vec![pid.to_string()];
    while let Some(pid) = left.pop() {
        if std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
        {
            return true;
        }
        left.extend(children(&pid).split_whitespace().map(str::to_owned));
    }
    false
}

/// Without XDG_RUNTIME_DIR an ordinary user's names are in a directory of /tmp, which another user
/// may have made first.
#[test]
fn names_have_a_place_without_a_runtime_directory() {
    if !is_root() {
        return support::skip("it takes a user whose directories no other test has");
    }
    let ids = [61_201, 61_202];
    let place = |id: u32| PathBuf::from(format!("/tmp/stockade-{id}"));
    let away = || ids.iter().for_each(|id| drop(std::fs::remove_dir_all(place(*id))));
    away();
    let run = Running::new(As::Root);
    let profile = run.place.file("p.toml", &format!("name = \"lonely\"\n{}", system("")));
    let command = |words: &[&str]| {
        let mut command = run.place.outside_with(Some(ids[0]), run.place.path.join("stockade"));
        command.env_remove("XDG_RUNTIME_DIR").args(words);
        command
    };
    let output = |words: &[&str]| command(words).output().unwrap();
    let profile = profile.to_str().unwrap();
    let checked = output(&["check", profile, "true"]);
    let note = "is entered in /tmp/stockade-61201, as XDG_RUNTIME_DIR is not set";
    assert!(text(&checked.stdout).contains(note), "{}", support::said(&checked));
    assert!(!place(ids[0]).exists(), "a look makes nothing");
    let mut child =
        command(&["run", profile, "/bin/sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
    until(|| text(&output(&["ps"]).stdout).contains("lonely"));
    let mode = std::fs::symlink_metadata(place(ids[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert!(output(&["stop", "lonely"]).status.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // Another's directory, one that others may enter, and a link to one of the user's own.
    let own = |path: &Path, id: u32| std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    let hostile: [(&str, &dyn Fn()); 3] = [
        ("another's", &|| own(&place(ids[0]), ids[1])),
        ("open", &|| {
            own(&place(ids[0]), ids[0]);
            std::fs::set_permissions(place(ids[0]), PermissionsExt::from_mode(0o755)).unwrap();
        }),
        ("a link", &|| {
            std::fs::rename(place(ids[0]), place(ids[1])).unwrap();
            std::fs::set_permissions(place(ids[1]), PermissionsExt::from_mode(0o700)).unwrap();
            symlink(place(ids[1]), place(ids[0])).unwrap();
            own(&place(ids[0]), ids[0]);
        }),
    ];
    for (what, make) in hostile {
        make();
        for words in [
            &["check", profile, "true"][..],
            &["run", profile, "true"],
            &["ps"],
            &["stop", "lonely"],
        ] {
            let refused = output(words);
            let said = support::unwrapped(&support::said(&refused));
            let words_said = "/tmp/stockade-61201 is not the caller's alone";
            assert!(
                refused.status.code() == Some(125) && said.contains(words_said),
                "{what} {words:?}: {said}"
            );
        }
        // Root follows no link of a user's in a shared directory (fs.protected_symlinks).
        let real = std::fs::read_link(place(ids[0])).unwrap_or_else(|_| place(ids[0]));
        assert_eq!(std::fs::read_dir(real).unwrap().count(), 0, "{what}");
    }
    drop(std::fs::remove_file(place(ids[0])));
    away();
}

#[test]
fn the_name_is_free_again_when_the_target_ends() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("ends");
        let profile = run.place.file("p.toml", &format!("name = \"{name}\"\n{}", system("")));
        for _ in 0..3 {
            let output =
                run.stockade(&["run", profile.to_str().unwrap(), "/bin/sh", "-c", "exit 3"]);
            assert_eq!(output.status.code(), Some(3), "{who:?}: {}", text(&output.stderr));
        }
        // Nor does one that never ran keep it.
        let output = run.stockade(&["run", profile.to_str().unwrap(), "/no/such"]);
        assert_eq!(output.status.code(), Some(127), "{who:?}: {}", text(&output.stderr));
        assert!(run.row(&name).is_none());
        assert!(!run.folder().join(format!("{name}.json")).exists());
    }
}

/// Proof that it is frozen: a counter that does not move. Its twin, before and after, moves.
#[test]
fn a_frozen_sandbox_stands_still() {
    let Some(ground) = Ground::find(&["freezer", "pids"]) else { return };
    let run = Running::new(As::Root);
    let name = run.name("frozen");
    let out = run.place.folder("out", As::Root);
    let mount = format!(
        "\"/out\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}\n{}",
        out.display(),
        ground.limits("pids = 64")
    );
    let mut child = run.start(
        &name,
        &mount,
        "i=0; while :; do i=$((i+1)); echo $i > /out/new; mv /out/new /out/count; sleep 0.01; done",
    );
    let count = || {
        std::fs::read_to_string(out.join("count"))
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    let moves = || {
        let before = count();
        until(|| count() > before + 3);
    };
    moves();
    for _ in 0..2 {
        assert!(run.stockade(&["freeze", &name]).status.success());
        assert_eq!(run.row(&name).unwrap()["state"], "frozen");
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), before);
        assert!(run.stockade(&["thaw", &name]).status.success());
        assert_eq!(run.row(&name).unwrap()["state"], "running");
        moves();
    }
    let row = run.row(&name).unwrap();
    assert!(row["cpu-us"].as_u64().unwrap() > 0, "{row}");
    // One that is frozen can be ended, and its groups go.
    assert!(run.stockade(&["freeze", &name]).status.success());
    let killed = run.stockade(&["kill", &name]);
    assert!(killed.status.success(), "{}", text(&killed.stderr));
    assert_eq!(child.wait().unwrap().code(), Some(137));
    let left = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("stockade-{}-*", child.id())])
        .output()
        .unwrap();
    assert_eq!(text(&left.stdout), "");
}

#[test]
fn without_a_group_nothing_can_be_frozen() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("groupless");
        let mut child = run.start(&name, "", "sleep 600");
        for deed in ["freeze", "thaw"] {
            let output = run.stockade(&[deed, &name]);
            let said = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && said.contains("it has no control group that freezes")
                    && said.contains("limits.controllers"),
                "{said}"
            );
        }
        assert!(run.stockade(&["kill", &name]).status.success());
        child.wait().unwrap();
    }
}

#[test]
fn what_a_killed_launcher_leaves_is_swept() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("swept");
        let mut child = run.start(&name, "", "sleep 600");
        let pid = run.row(&name).unwrap()["pid"].as_i64().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        until(|| !lives(pid));
        let file = run.folder().join(format!("{name}.json"));
        // Root's directory is the machine's: another test may have swept it meanwhile.
        assert!(*who == As::Root || file.exists(), "the twin: it is left");
        assert!(run.row(&name).is_none() && !file.exists(), "{who:?}");
        // And the name is free at once, also where nobody looked before.
        let mut child = run.start(&name, "", "sleep 600");
        child.kill().unwrap();
        child.wait().unwrap();
        let mut again = run.start(&name, "", "sleep 600");
        assert!(run.stockade(&["kill", &name]).status.success());
        assert_eq!(again.wait().unwrap().code(), Some(137));
    }
}

/// What a launcher leaves that is killed before its file has its name; one of a process that lives
/// stays.
#[test]
fn what_had_no_name_yet_is_swept() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("draft");
        let killed = || {
            let mut launcher = run.start(&name, "", "sleep 600");
            launcher.kill().unwrap();
            launcher.wait().unwrap();
        };
        killed();
        let (dead, alive) =
            (run.folder().join(".4194303"), run.folder().join(format!(".{}", std::process::id())));
        [&dead, &alive].iter().for_each(|draft| std::fs::write(draft, "{").unwrap());
        killed();
        assert!(!dead.exists() && alive.exists(), "{who:?}");
        std::fs::remove_file(alive).unwrap();
    }
}

/// A forged entry with the pid of another user's process: nothing is done to that process.
#[test]
fn no_other_process_is_ended() {
    let run = Running::new(As::User);
    let folder = run.place.folder("run/stockade", As::User);
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    let mut other = spawned(run.place.outside(As::User, "sleep").arg("600"));
    let file = folder.join("liar.json");
    let number = other.id();
    let lie = |launcher: u32| {
        format!(
            "{{\"launcher\":{launcher},\"init\":{},\"profile\":\"p\",\"begun\":{},\"leaves\":[{{\"kind\":\"group\",\"version\":\"v2\",\"path\":\"/sys/fs/cgroup\"}}]}}",
            number,
            u64::MAX >> 1
        )
    };
    // Held by a lock, as a living launcher's is: of nobody, of init, and of a process that the
    // caller may end.
    for launcher in [std::process::id() + 1_000_000, 1, number] {
        std::fs::write(&file, lie(launcher)).unwrap();
        std::os::unix::fs::chown(&file, is_root().then_some(USER), is_root().then_some(USER))
            .unwrap();
        let held = std::fs::File::open(&file).unwrap();
        held.lock().unwrap();
        let output = run.stockade(&["kill", "liar"]);
        assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("liar"), "{}", text(&output.stderr));
        assert!(other.try_wait().unwrap().is_none());
    }
    other.kill().unwrap();
    other.wait().unwrap();
}

/// A target that writes entries chooses whom `stockade kill` and the next run end.
#[test]
fn no_target_writes_entries() {
    for who in As::all() {
        let run = Running::new(*who);
        if *who == As::User {
            let folder = run.place.folder("run/stockade", As::User);
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
        } else {
            // The machine's is there once a sandbox had a name.
            let mut child = run.start(&run.name("made"), "", "sleep 600");
            assert!(run.stockade(&["kill", &run.name("made")]).status.success());
            child.wait().unwrap();
        }
        let (folder, owner) = match who {
            As::Root => (run.folder(), ", owner = \"root\""),
            As::User => (run.folder(), ""),
        };
        let check = |source: &Path, access: &str, more: &str| {
            let line = format!(
                "\"/r\" = {{ bind = \"{}\", access = \"{access}\"{more}{owner} }}\n",
                source.display()
            );
            let profile = run.place.file("bind.toml", &system(&line));
            let output = run.stockade(&["check", profile.to_str().unwrap(), "true"]);
            support::unwrapped(&text(&output.stdout))
        };
        let above = folder.parent().unwrap();
        for source in [&folder, above] {
            let refused = check(source, "rw", ", sockets = true");
            let words = "it holds the records of running sandboxes";
            assert!(refused.contains(words), "{who:?} {}: {refused}", source.display());
            // The twins.
            let granted = check(source, "rw", ", sockets = true, broad = true");
            assert!(!granted.contains(words), "{who:?}: {granted}");
        }
        let beside = run.place.folder("run-beside", *who);
        assert!(!check(&beside, "rw", "").contains("it holds"), "{who:?}");
    }
}

#[test]
fn a_folder_that_others_could_write_is_refused() {
    let run = Running::new(As::User);
    let profile = run.place.file("p.toml", &format!("name = \"x\"\n{}", system("")));
    let refused = |words: &str| {
        let output = run.stockade(&["run", profile.to_str().unwrap(), "true"]);
        assert!(
            output.status.code() == Some(125) && errors(&output).contains(words),
            "{words}: {}",
            errors(&output)
        );
        let listed = run.stockade(&["ps"]);
        assert!(
            listed.status.code() == Some(125) && errors(&listed).contains(words),
            "{words}: {}",
            errors(&listed)
        );
    };
    let folder = run.place.folder("run/stockade", As::User);
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o770)).unwrap();
    refused("is not the caller's alone");
    std::fs::remove_dir(&folder).unwrap();
    let elsewhere = run.place.folder("elsewhere", As::User);
    std::fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o700)).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    refused("is not the caller's alone");
    std::fs::remove_file(&folder).unwrap();
    if is_root() {
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
        // Root's directory in place of the user's.
        let output = run.stockade(&["run", profile.to_str().unwrap(), "true"]);
        assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    }
}

#[test]
fn names_that_are_paths_are_no_names() {
    let run = Running::new(As::all()[0]);
    for bad in ["../x", "a/b", "", ".x", "-x", "a b", &"x".repeat(65)] {
        let output = run.stockade(&[
            "run",
            run.place
                .file("p.toml", &format!("name = \"{bad}\"\n{}", system("")))
                .to_str()
                .unwrap(),
            "true",
        ]);
        assert!(
            output.status.code() == Some(125) && errors(&output).contains("is not a name"),
            "{bad}: {}",
            errors(&output)
        );
        if !bad.starts_with('-') && !bad.is_empty() {
            assert_eq!(run.stockade(&["kill", bad]).status.code(), Some(125));
        }
    }
}

/// Without a pid namespace the kernel ends nobody with pid 1: all end nevertheless.
#[test]
fn one_among_the_hosts_processes_is_ended_whole() {
    for who in As::all() {
        let run = Running::new(*who);
        let name = run.name("host");
        let profile = system("").replace("\"/proc\" = \"proc\"\n", "").replacen(
            "format = 1",
            "format = 1\noptional = [\"landlock.scope\"]",
            1,
        );
        let path = run.place.file(
            "host.toml",
            &format!("name = \"{name}\"\n{profile}[namespaces]\npid = \"host\"\n"),
        );
        let mark = format!("{}.125", 70_000 + std::process::id() % 10_000);
        let line = format!("setsid sleep {mark} & setsid sleep {mark} & sleep {mark}");
        let mut child = run
            .command(&["run"])
            .arg(path)
            .args(["/bin/sh", "-c", &line])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let running = || {
            text(
                &Command::new("pgrep")
                    .args(["-f", "-x", &format!("sleep {mark}")])
                    .output()
                    .unwrap()
                    .stdout,
            )
            .lines()
            .count()
        };
        until(|| running() == 3 && run.row(&name).is_some());
        let killed = run.stockade(&["kill", &name]);
        assert!(killed.status.success(), "{who:?}: {}", text(&killed.stderr));
        assert_eq!((child.wait().unwrap().code(), running()), (Some(137), 0), "{who:?}");
    }
}

#[test]
fn a_stopped_launcher_is_named_and_ends_its_sandbox_once_it_goes_on() {
    let run = Running::new(As::User);
    let name = run.name("stopped");
    let mut child = run.start(&name, "", "sleep 600");
    let signal = |signal: &str| {
        assert!(
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        )
    };
    signal("-STOP");
    let output = run.stockade(&["kill", &name]);
    assert!(
        output.status.code() == Some(125) && errors(&output).contains("its launcher is stopped"),
        "{}",
        text(&output.stderr)
    );
    signal("-CONT");
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

/// Its groups may be where no other run looks.
#[test]
fn what_a_killed_launcher_leaves_elsewhere_ends_with_its_entry() {
    let Some(ground) = Ground::find(&["freezer", "pids"]) else { return };
    if ground.is_v2() {
        return support::skip("version 2 ends what is frozen");
    }
    let run = Running::new(As::Root);
    let name = run.name("elsewhere");
    let parents = ["freezer", "pids", "cpuacct"]
        .map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&name));
    parents.iter().for_each(|parent| std::fs::create_dir(parent).unwrap());
    let limits =
        format!("[limits]\npids = 50\ncontrollers = [\"freezer\"]\nparent = \"/{name}\"\n");
    let mut child = run.start(&name, &limits, "sleep 600");
    let pid = run.row(&name).unwrap()["pid"].as_i64().unwrap();
    assert!(run.stockade(&["freeze", &name]).status.success());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lives(pid), "the twin: it stands, and nobody has looked");
    assert!(run.row(&name).is_none());
    until(|| !lives(pid));
    parents.iter().for_each(|parent| std::fs::remove_dir(parent).unwrap());
}

/// What `enter` and `inspect` will read. A file that was changed is no plan, and its sandbox is
/// listed all the same.
#[test]
fn an_entry_holds_the_plan_without_what_is_private() {
    let run = Running::new(if is_root() { As::Root } else { As::User });
    let name = run.name("kept");
    let token = "s3cr3t-0f-th3-c4ll3r";
    let more = "[env]\nTOKEN = true\nMADE = \"a${env:TOKEN}b\"\nPLAIN = \"pl41n\"\n";
    let profile = run
        .place
        .file(&format!("{name}.toml"), &format!("name = \"{name}\"\n{}{more}", system("")));
    let mut child = spawned(
        run.command(&["run"])
            .arg(profile)
            .args(["/bin/sh", "-c", "sleep 600"])
            .env("TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    until(|| run.row(&name).is_some());
    let folder = run.folder();
    let plan = || plan_of(folder.to_str().unwrap(), &name);
    let file = folder.join(format!("{name}.json"));
    let bytes = std::fs::read(&file).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("pl41n") && !holds(token));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = plan().unwrap().expect("it is small");
    assert!(kept.exec.argv.iter().any(|word| word.text() == "sleep 600"));
    let of = |name: &str| kept.exec.env.iter().find(|setting| setting.name.text() == name);
    assert_eq!(of("TOKEN").unwrap().value, Content::Withheld);
    assert_eq!(of("MADE").unwrap().value, Content::Withheld);
    assert_eq!(of("PLAIN").unwrap().value, Content::Text("pl41n".into()));
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let other_mark = {
        let mut other = bytes.clone();
        other[line] ^= 1;
        other
    };
    for changed in
        [&bytes[..bytes.len() - 1], &bytes[..line], &[&bytes[..], b"more"].concat(), &other_mark]
    {
        std::fs::write(&file, changed).unwrap();
        let error = plan().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(run.row(&name).is_some());
    }
    std::fs::write(&file, &bytes).unwrap();
    assert!(plan().unwrap().is_some(), "the twin");
    assert!(run.stockade(&["kill", &name]).status.success());
    child.wait().unwrap();
    assert!(plan().unwrap().is_none());
}

/// The runtime directory is in memory: a plan that would fill it is left out, and the sandbox runs
/// as any other.
#[test]
fn a_plan_that_is_too_large_is_not_kept() {
    let run = Running::new(if is_root() { As::Root } else { As::User });
    let name = run.name("large");
    // No file of a profile is as large, but what its parameters make of it can be.
    let more = format!(
        "\"/tmp/large\" = {{ text = \"${{x}}${{x}}${{x}}\" }}\n\
         [params]\nx = {{ type = \"string\", default = \"{}\" }}\n",
        "a".repeat(400_000)
    );
    let mut child = run.start(&name, &more, "sleep 600");
    let folder = run.folder();
    let file = folder.join(format!("{name}.json"));
    assert!(std::fs::metadata(&file).unwrap().len() < 64 << 10);
    assert!(plan_of(folder.to_str().unwrap(), &name).unwrap().is_none());
    assert!(run.stockade(&["kill", &name]).status.success());
    child.wait().unwrap();
}
