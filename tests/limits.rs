//! `[limits]` on the real kernel: every limit holds, every account is right, nothing is left. Where the machine has the controllers in
//! version 1 (a hybrid machine), as root; as an ordinary user in a group that root has given away.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use support::{As, Place, USER, dead_groups, is_root, limits_hit, skip, system, text, v1_folder};

/// Whether these tests can run here: as root, with these controllers in version 1.
fn have(controllers: &[&str]) -> bool {
    let missing: Vec<&&str> = controllers.iter().filter(|name| v1_folder(name).is_none()).collect();
    if !is_root() {
        skip("it needs root");
    } else if !missing.is_empty() {
        skip(&format!("this machine has no {missing:?} in version 1 of control groups"));
    }
    is_root() && missing.is_empty()
}

fn profile(limits: &str, mounts: &str) -> String {
    format!("{}[limits]\n{limits}\n", system(mounts))
}

/// A run with its report.
fn report(place: &Place, who: As, limits: &str, line: &str) -> (Output, Value) {
    place.report(who, &profile(limits, ""), line)
}

#[test]
fn a_memory_hog_is_killed_at_its_limit_and_the_report_says_so() {
    if !have(&["memory"]) {
        return;
    }
    let place = Place::new();
    for oom in ["kill-one", "kill-all"] {
        let (output, record) = report(&place, As::Root, &format!("memory = \"32M\"\noom = \"{oom}\""), "exec tail /dev/zero");
        assert_eq!(output.status.code(), Some(137), "{oom}: {}", text(&output.stderr));
        assert_eq!((record["cause"].as_str(), record["status"].as_u64()), (Some("oom"), Some(137)), "{oom}: {record}");
        assert!(limits_hit(&record).contains(&"memory"), "{record}");
        let peak = record["memory"]["peak"].as_u64().unwrap();
        assert!((16 << 20..=32 << 20).contains(&peak), "{record}");
    }
    // The same without the limit, as far as twice of it: nobody is killed.
    assert_eq!(place.sh(As::Root, &system(""), "head -c 64M /dev/zero | tail -c 64M | wc -c"), (64 << 20).to_string());
}

#[test]
fn one_process_is_killed_or_all_are() {
    if !have(&["memory"]) {
        return;
    }
    let place = Place::new();
    let line = "sh -c 'exec tail /dev/zero'; echo survived $?";
    let (output, record) = report(&place, As::Root, "memory = \"32M\"", line);
    assert_eq!(text(&output.stdout).trim(), "survived 137", "{}", text(&output.stderr));
    assert_eq!((record["cause"].as_str(), record["memory"]["oom-kills"].as_u64()), (Some("exit"), Some(1)), "{record}");
    let (output, record) = report(&place, As::Root, "memory = \"32M\"\noom = \"kill-all\"", line);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(137)), "{record}");
}

#[test]
fn a_fork_bomb_stops_at_its_limit_and_nothing_is_left() {
    if !have(&["pids"]) {
        return;
    }
    let place = Place::new();
    for (namespaces, mounts) in [("", ""), ("[namespaces]\npid = \"host\"\n", "\"/proc\" = false")] {
        let profile = profile("pids = 30", "") + namespaces;
        let profile = if mounts.is_empty() { profile } else { profile.replace("\"/proc\" = \"proc\"\n", "") };
        let (output, record) = place.report(As::Root, &profile, "b() { b | b & }; b; sleep 0.5; exit 7");
        // The shell itself may be one of those that cannot fork.
        assert!(matches!(output.status.code(), Some(7 | 1 | 2)), "{:?} {}", output.status, text(&output.stderr));
        assert!(limits_hit(&record).contains(&"pids") && record["pids"]["refused"].as_u64() > Some(0), "{record}");
        assert!(record["pids"]["peak"].as_u64().is_some_and(|peak| peak <= 30), "{record}");
        assert_eq!(dead_groups(), Vec::<String>::new());
    }
}

#[test]
fn a_spinner_gets_its_quota() {
    if !have(&["cpu", "cpuacct"]) {
        return;
    }
    let place = Place::new();
    let profile = profile("cpu = 0.1\ncontrollers = [\"cpuacct\"]", "") + "[process]\ntimeout = \"3s\"\nkill-after = \"1s\"\n";
    let (output, record) = place.report(As::Root, &profile, "while :; do :; done");
    assert_eq!(output.status.code(), Some(124), "{record}");
    let used = record["cpu"]["user-us"].as_u64().unwrap() + record["cpu"]["system-us"].as_u64().unwrap();
    let share = used as f64 / record["wall-us"].as_u64().unwrap() as f64;
    assert!((0.02..=0.17).contains(&share), "{share}: {record}");
    assert!(limits_hit(&record).contains(&"cpu") && record["cpu"]["throttled-us"].as_u64() > Some(0), "{record}");
}

#[test]
fn processor_time_of_all_processes_is_limited() {
    if !have(&["cpuacct"]) {
        return;
    }
    let place = Place::new();
    let begun = Instant::now();
    let (output, record) = report(&place, As::Root, "cpu-time = \"600ms\"", "(while :; do :; done) & while :; do :; done");
    assert_eq!((output.status.code(), record["cause"].as_str()), (Some(124), Some("cpu-time")), "{record}");
    assert!(begun.elapsed() < Duration::from_secs(20) && limits_hit(&record).contains(&"cpu-time"), "{record}");
    let used = record["cpu"]["user-us"].as_u64().unwrap() + record["cpu"]["system-us"].as_u64().unwrap();
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    assert!((600_000..=600_000 + 100_000 * processors).contains(&used), "{record}");
    // What sleeps uses none.
    let (output, _) = report(&place, As::Root, "cpu-time = \"600ms\"", "sleep 1; exit 3");
    assert_eq!(output.status.code(), Some(3));
    let refused = place.run(As::Root, &(profile("cpu-time = \"1s\"", "") + "[process]\ninit = false\n"), &["true"]);
    assert!(refused.status.code() == Some(125) && text(&refused.stderr).contains("needs pid 1"), "{}", text(&refused.stderr));
}

#[test]
fn the_set_of_processors_is_what_nproc_sees() {
    if !have(&["cpuset"]) {
        return;
    }
    let place = Place::new();
    assert_eq!(place.sh(As::Root, &profile("cpu-set = \"0\"", ""), "nproc"), "1");
    assert!(place.sh(As::Root, &profile("memory-nodes = \"0\"", ""), "grep Mems_allowed_list /proc/self/status").ends_with('0'));
    let output = place.run(As::Root, &profile("cpu-set = \"0,5000\"", ""), &["true"]);
    assert!(output.status.code() == Some(125) && text(&output.stderr).contains("no processor 5000"), "{}", text(&output.stderr));
}

#[test]
fn a_disk_is_throttled_and_accounted_for() {
    if !have(&["blkio"]) {
        return;
    }
    let place = Place::new();
    let data = place.folder("data", As::User);
    let mounts = format!("\"/data\" = {{ bind = \"{}\", access = \"rw\" }}", data.display());
    let limits = format!("io = {{ \"{}\" = {{ write-bytes = \"1M\" }} }}", data.display());
    let line = "dd if=/dev/zero of=/data/file bs=64K count=64 oflag=direct 2>&1";
    let begun = Instant::now();
    let (output, record) = place.report(As::Root, &profile(&limits, &mounts), line);
    let slow = begun.elapsed();
    if text(&output.stdout).contains("Invalid argument") {
        return skip("the file system of the temporary folder has no direct I/O");
    }
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(record["io"]["written-bytes"].as_u64() >= Some(4 << 20) && record["io"]["writes"].as_u64() > Some(0), "{record}");
    assert!(slow > Duration::from_millis(2_800), "4 MiB at 1 MiB a second took {slow:?}");
    let begun = Instant::now();
    assert!(place.run(As::Root, &profile("controllers = [\"io\"]", &mounts), &["/bin/sh", "-c", line]).status.success());
    assert!(begun.elapsed() < slow / 2, "without the limit it took {:?}, with it {slow:?}", begun.elapsed());
}

#[test]
fn devices_that_no_mount_grants_cannot_be_used() {
    if !have(&["devices"]) {
        return;
    }
    let place = Place::new();
    // Bound as any file, a node is unusable for the mount's sake (nodev), so the rules are looked at themselves.
    let line = "echo x >/dev/null && head -c 1 /dev/zero | wc -c && : </dev/tty";
    let group = |profile: &str| {
        let path = place.file("profile.toml", profile);
        let mut child = place.stockade(As::Root).arg("run").arg(path).args(["sleep", "5"]).stdin(Stdio::null()).spawn().unwrap();
        let list = wait_for(|| {
            let name = group_of(child.id(), "devices")?;
            std::fs::read_to_string(name.join("devices.list")).ok().filter(|list| !list.starts_with('a') && list.lines().count() > 10)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        list
    };
    let list = group(&profile("controllers = [\"devices\"]", ""));
    assert!(list.contains("c 1:3 rw\n") && list.contains("c 136:* rw\n") && !list.contains("m\n") && !list.contains("10:229"), "{list}");
    let output = place.run(As::Root, &profile("controllers = [\"devices\"]", ""), &["/bin/sh", "-c", line]);
    assert_eq!(text(&output.stdout).trim(), "1", "{}", text(&output.stderr));
    // The rule itself: with host ids and the capability, making a node is refused by it alone.
    let mknod = "mknod /tmp/node c 1 3 && echo made || echo refused";
    let root = "[identity]\nhost = true\nuser = 0\ngroup = 0\n[capabilities]\nkeep = [\"mknod\"]\n[namespaces]\nuser = \"host\"\n";
    let with = place.run(As::Root, &(profile("controllers = [\"devices\"]", "") + root), &["/bin/sh", "-c", mknod]);
    assert_eq!(text(&with.stdout).trim(), "refused", "{}", text(&with.stderr));
}

/// The group of a launcher, by its process id.
fn group_of(pid: u32, controller: &str) -> Option<PathBuf> {
    let begin = format!("stockade-{pid}-");
    let groups = std::fs::read_dir(v1_folder(controller)?).ok()?.flatten();
    groups.map(|entry| entry.path()).find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin)))
}

/// Waits until something is there.
fn wait_for<T>(look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match look() {
            Some(found) => return found,
            None => assert!(Instant::now() < until, "it did not come"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sandbox_can_be_frozen_and_ends_nevertheless() {
    if !have(&["freezer", "pids"]) {
        return;
    }
    let place = Place::new();
    let data = place.folder("data", As::User);
    let mounts = format!("\"/data\" = {{ bind = \"{}\", access = \"rw\" }}", data.display());
    let path = place.file("profile.toml", &profile("pids = 50\ncontrollers = [\"freezer\"]", &mounts));
    let count = || std::fs::read_to_string(data.join("count")).ok().and_then(|text| text.lines().count().checked_sub(1));
    let line = "while :; do echo x >>/data/count; sleep 0.02; done";
    let mut child = place.stockade(As::Root).arg("run").arg(path).args(["/bin/sh", "-c", line]).stdin(Stdio::null()).spawn().unwrap();
    let group = wait_for(|| group_of(child.id(), "freezer"));
    wait_for(|| count().filter(|count| *count > 3));
    let state = group.join("freezer.state");
    std::fs::write(&state, "FROZEN").unwrap();
    wait_for(|| std::fs::read_to_string(&state).ok().filter(|state| state.trim() == "FROZEN"));
    let frozen = count();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(count(), frozen);
    std::fs::write(&state, "THAWED").unwrap();
    wait_for(|| (count() > frozen).then_some(()));
    // Frozen again, and its launcher killed: what is frozen cannot end, and the next run ends it.
    std::fs::write(&state, "FROZEN").unwrap();
    wait_for(|| std::fs::read_to_string(&state).ok().filter(|state| state.trim() == "FROZEN"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(group.exists());
    assert!(place.run(As::Root, &profile("pids = 50", ""), &["true"]).status.success());
    wait_for(|| (!group.exists()).then_some(()));
}

#[test]
fn the_next_run_removes_what_a_killed_launcher_left() {
    if !have(&["memory", "pids", "cpu"]) {
        return;
    }
    let place = Place::new();
    let limits = "memory = \"64M\"\npids = 20\ncpu = 1.0";
    let path = place.file("profile.toml", &profile(limits, ""));
    let mut child = place.stockade(As::Root).arg("run").arg(&path).args(["sleep", "60"]).stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let procs = wait_for(|| group_of(pid, "pids")).join("cgroup.procs");
    wait_for(|| std::fs::read_to_string(&procs).ok().filter(|text| text.lines().count() >= 2));
    // A run beside it leaves a living one alone.
    assert!(place.run(As::Root, &profile(limits, ""), &["true"]).status.success());
    assert!(group_of(pid, "pids").is_some() && group_of(pid, "memory").is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    // One that uses another controller sweeps all hierarchies.
    assert!(place.run(As::Root, &profile("controllers = [\"cpuacct\"]", ""), &["true"]).status.success());
    for controller in ["memory", "pids", "cpu"] {
        assert_eq!(group_of(pid, controller), None);
    }
}

#[test]
fn a_hundred_at_once_with_limits_none_fails_and_nothing_is_left() {
    if !have(&["memory", "pids", "cpu"]) {
        return;
    }
    let place = Place::new();
    let path = place.file("profile.toml", &profile("memory = \"64M\"\npids = 20\ncpu = 1.0", ""));
    let start = || {
        place.stockade(As::Root).arg("run").arg(&path).args(["/bin/sh", "-c", "sleep 1; exit 7"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()
    };
    let children: Vec<_> = (0..100).map(|_| start().unwrap()).collect();
    for (index, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "launch {index}: {}", text(&output.stderr));
    }
    assert_eq!(dead_groups(), Vec::<String>::new());
}

#[test]
fn the_target_sees_its_group_as_the_top_and_cannot_leave_it() {
    if !have(&["memory", "pids"]) {
        return;
    }
    let place = Place::new();
    let limits = profile("memory = \"64M\"\npids = 20", "");
    let groups = place.sh(As::Root, &limits, "cat /proc/self/cgroup");
    assert!(groups.lines().all(|line| line.ends_with(":/")), "{groups}");
    // No file system of control groups is there, and none can be mounted.
    assert_eq!(place.sh(As::Root, &limits, "grep -c cgroup /proc/self/mountinfo || true"), "0");
    let mount = "mount -t cgroup -o pids none /tmp 2>/dev/null || mount -t cgroup2 none /tmp 2>/dev/null || echo refused";
    assert_eq!(place.sh(As::Root, &limits, mount), "refused");
    let writable = profile("pids = 20", "\"/sys/fs/cgroup\" = { bind = \"/sys/fs/cgroup\", access = \"rw\", owner = \"root\" }");
    let output = place.run(As::Root, &writable, &["true"]);
    assert!(output.status.code() == Some(125) && text(&output.stderr).contains("could leave its own"), "{}", text(&output.stderr));
}

#[test]
fn the_target_is_in_its_groups_from_its_first_instruction() {
    if !have(&["pids"]) {
        return;
    }
    // Two are the shell and pid 1: a third process is refused, however early it is made.
    let place = Place::new();
    for _ in 0..20 {
        let output = place.run(As::Root, &profile("pids = 2", ""), &["/bin/sh", "-c", "/bin/true & wait"]);
        assert!(text(&output.stderr).to_lowercase().contains("fork"), "{:?}: {}", output.status, text(&output.stderr));
    }
}

#[test]
fn raw_files_are_written_and_read_back() {
    if !have(&["memory", "pids", "cpu"]) {
        return;
    }
    let place = Place::new();
    let run = |raw: &str| {
        let output = place.run(As::Root, &profile(&format!("raw = {{ {raw} }}"), ""), &["true"]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(run("\"memory.swappiness\" = \"10\", \"pids.max\" = \"30\"").0, Some(0));
    for (raw, words) in [
        ("\"memory.swappiness\" = \"1000\"", "invalid argument"),
        ("\"memory.nothing\" = \"1\"", "cannot set memory.nothing to 1"),
        ("\"cpu.shares\" = \"1\"", "the kernel made 2 of it"),
        ("\"cgroup.procs\" = \"1\"", "no file of a controller"),
        ("\"memory/../tasks\" = \"1\"", "no file of a controller"),
        ("\"release_agent\" = \"/bin/x\"", "no file of a controller"),
    ] {
        let (status, said) = run(raw);
        assert!(status == Some(125) && said.contains(words), "{raw}: {said}");
    }
    assert_eq!(dead_groups(), Vec::<String>::new());
}

#[test]
fn a_limit_of_a_group_above_is_told() {
    if !have(&["pids"]) {
        return;
    }
    let place = Place::new();
    let outer = v1_folder("pids").unwrap().join(format!("stockade-test-{}", std::process::id()));
    std::fs::create_dir(&outer).unwrap();
    std::fs::write(outer.join("pids.max"), "40").unwrap();
    let name = outer.strip_prefix("/sys/fs/cgroup/pids").unwrap().display().to_string();
    let path = place.file("profile.toml", &profile(&format!("pids = 100\nparent = \"/{name}\""), ""));
    let output = place.stockade(As::Root).arg("check").arg(path).args(["true"]).output().unwrap();
    assert!(text(&output.stdout).contains("allows less: pids is 40"), "{}{}", text(&output.stdout), text(&output.stderr));
    // A named parent: the group is made there, and is gone.
    let inside = place.run(As::Root, &profile(&format!("pids = 100\nparent = \"/{name}\""), ""), &["true"]);
    let empty = std::fs::read_dir(&outer).unwrap().flatten().all(|entry| entry.file_type().unwrap().is_file());
    std::fs::remove_dir(&outer).unwrap();
    assert!(inside.status.success() && empty, "{}", text(&inside.stderr));
    let absent = place.run(As::Root, &profile(&format!("pids = 100\nparent = \"/{name}\""), ""), &["true"]);
    assert!(text(&absent.stderr).contains("mkdir"), "{}", text(&absent.stderr));
}

#[test]
fn an_ordinary_user_needs_a_group_of_its_own() {
    if !have(&["pids"]) {
        return;
    }
    let place = Place::new();
    let refused = place.run(As::User, &profile("pids = 30", ""), &["true"]);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(125) && said.contains("permission denied") && said.contains("optional = [\"limits\"]"), "{said}");
    // With leave it runs without, and says so.
    let (output, record) = place.report(As::User, &profile("pids = 30", "").replace("format = 1", "format = 1\noptional = [\"limits\"]"), "exit 5");
    assert!(output.status.code() == Some(5) && text(&output.stderr).contains("limits are not enforced (pids)"), "{}", text(&output.stderr));
    assert!(record["skipped"][0].as_str().unwrap().contains("pids") && record["pids"].is_null(), "{record}");
    // In a group that root has given away, it is limited, and the launcher need not be in it.
    let given = v1_folder("pids").unwrap().join(format!("stockade-test-user-{}", std::process::id()));
    std::fs::create_dir(&given).unwrap();
    std::os::unix::fs::chown(&given, Some(USER), Some(USER)).unwrap();
    let name = given.strip_prefix("/sys/fs/cgroup/pids").unwrap().display().to_string();
    let (output, record) = report(&place, As::User, &format!("pids = 10\nparent = \"/{name}\""), "b() { b | b & }; b; sleep 0.2; exit 7");
    let empty = std::fs::read_dir(&given).unwrap().flatten().all(|entry| entry.file_type().unwrap().is_file());
    std::fs::remove_dir(&given).unwrap();
    assert!(matches!(output.status.code(), Some(7 | 1 | 2)) && empty, "{}", text(&output.stderr));
    assert!(limits_hit(&record).contains(&"pids"), "{record}");
}

#[test]
fn huge_pages_of_version_2_are_limited_on_a_hybrid_machine() {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let has = std::fs::read_to_string(unified.join("cgroup.controllers")).is_ok_and(|text| text.contains("hugetlb"));
    if !is_root() || !has {
        return skip("it needs root, and huge pages in version 2 beside version 1");
    }
    let place = Place::new();
    let path = place.file("profile.toml", &profile("hugetlb = { \"2M\" = \"4M\" }", ""));
    let mut child = place.stockade(As::Root).arg("run").arg(path).args(["sleep", "20"]).stdin(Stdio::null()).spawn().unwrap();
    let begin = format!("stockade-{}-", child.id());
    let group = wait_for(|| {
        let mut groups = std::fs::read_dir(unified).unwrap().flatten().map(|entry| entry.path());
        groups.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin)))
    });
    wait_for(|| std::fs::read_to_string(group.join("hugetlb.2MB.max")).ok().filter(|text| text.trim() == (4 << 20).to_string()));
    // Cloned into it: pid 1 and the target.
    wait_for(|| std::fs::read_to_string(group.join("cgroup.procs")).ok().filter(|text| text.lines().count() == 2));
    // Frozen in version 2, a killed process ends; with it the group goes.
    std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.run(As::Root, &profile("hugetlb = { \"2M\" = \"4M\" }", ""), &["true"]).status.success());
    wait_for(|| (!group.exists()).then_some(()));
}

/// A base may let its own limits fall, and no other file's.
#[test]
fn limits_fall_by_the_word_of_their_own_file_alone() {
    if !have(&["pids"]) {
        return;
    }
    let place = Place::new();
    place.file("base.toml", &format!("optional = [\"limits\"]\n{}", profile("pids = 30", "")));
    let run = |more: &str| place.run(As::User, &format!("format = 1\nextends = [\"./base.toml\"]\n{more}"), &["true"]);
    assert_eq!(run("").status.code(), Some(0));
    assert_eq!(run("[limits]\nmemory = \"1G\"\n").status.code(), Some(125));
    assert_eq!(run("[limits]\npids = false\n").status.code(), Some(0));
}
