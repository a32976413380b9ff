//! `[limits]` on the real kernel: every limit holds and every account is right, in version 1 of
//! control groups or 2, whichever the machine has. By root; what an ordinary user may do, and how
//! groups come and go, is in tests/groups.rs.

use crate::support::ground::{Ground, end, kill, no_other_kills, read, spawn, wait_for};
use crate::support::{self, As, Place, limits_hit, skip, system, text};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

/// A run of root's with its report.
fn report(place: &Place, ground: &Ground, limits: &str, line: &str) -> (Output, Value) {
    place.report(As::Root, &ground.profile(limits, ""), line)
}

fn number(record: &Value, section: &str, key: &str) -> u64 {
    record[section][key].as_u64().unwrap_or_else(|| panic!("{section}.{key}: {record}"))
}

#[test]
fn a_memory_hog_is_killed_at_its_limit_and_the_report_says_so() {
    let Some(ground) = Ground::find(&["memory"]) else { return };
    let place = Place::new();
    for oom in ["kill-one", "kill-all"] {
        let (output, record) = report(
            &place,
            &ground,
            &format!("memory = \"32M\"\noom = \"{oom}\""),
            "exec tail /dev/zero",
        );
        assert_eq!(output.status.code(), Some(137), "{oom}: {}", text(&output.stderr));
        assert_eq!(
            (record["cause"].as_str(), record["status"].as_u64()),
            (Some("oom"), Some(137)),
            "{oom}: {record}"
        );
        assert!(limits_hit(&record).contains(&"memory"), "{record}");
        assert!(number(&record, "memory", "oom-kills") > 0, "{record}");
        // Version 2 reports the peak since Linux 5.19.
        assert!(
            record["memory"]["peak"]
                .as_u64()
                .is_none_or(|peak| (16 << 20..=32 << 20).contains(&peak)),
            "{record}"
        );
    }
    // The same without the limit, as far as twice of it: nobody is killed.
    assert_eq!(
        place.sh(As::Root, &system(""), "head -c 64M /dev/zero | tail -c 64M | wc -c"),
        (64 << 20).to_string()
    );
}

#[test]
fn one_process_is_killed_or_all_are() {
    let Some(ground) = Ground::find(&["memory"]) else { return };
    let place = Place::new();
    // In version 1 the launcher ends the others, which takes it a turn of a processor.
    let turn = if ground.is_v2() { "" } else { "sleep 1;" };
    let line = &format!("sh -c 'exec tail /dev/zero'; status=$?; {turn} echo survived $status");
    let (output, record) = report(&place, &ground, "memory = \"32M\"", line);
    assert_eq!(text(&output.stdout).trim(), "survived 137", "{}", text(&output.stderr));
    assert_eq!(
        (record["cause"].as_str(), record["memory"]["oom-kills"].as_u64()),
        (Some("exit"), Some(1)),
        "{record}"
    );
    assert!(limits_hit(&record).contains(&"memory"), "{record}");
    let (output, record) = report(&place, &ground, "memory = \"32M\"\noom = \"kill-all\"", line);
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code(), record["cause"].as_str()),
        ("", Some(137), Some("oom")),
        "{record}"
    );
    // A SIGKILL that is not the memory killer's is not "out of memory". Where it may be either, the
    // record has what is known.
    for (line, kills) in [("kill -9 $$", 0), ("(exec tail /dev/zero); kill -9 $$", 1)] {
        let (_, record) = report(&place, &ground, "memory = \"32M\"", line);
        assert_eq!(
            (record["cause"].as_str(), record["signal"].as_u64()),
            (Some("signal"), Some(9)),
            "{line}: {record}"
        );
        assert_eq!(number(&record, "memory", "oom-kills"), kills, "{line}: {record}");
    }
    let (_, record) =
        report(&place, &ground, "memory = \"32M\"", "(exec tail /dev/zero); exit 137");
    assert_eq!(
        (record["cause"].as_str(), record["status"].as_u64()),
        (Some("exit"), Some(137)),
        "{record}"
    );
}

/// As `stockade kill` does it.
#[test]
fn a_sandbox_that_is_killed_after_a_kill_of_the_memory_killers_is_not_its_victim() {
    let Some(ground) = Ground::find(&["memory"]) else { return };
    let place = Place::new();
    let path = place.file("profile.toml", &ground.profile("memory = \"30M\"", ""));
    let record = place.folder("records", As::Root).join("record.json");
    let mut command = place.stockade(As::Root);
    let launcher = command
        .arg("run")
        .arg("--report")
        .arg(&record)
        .arg(path)
        .args(["/bin/sh", "-c", "tail /dev/zero; sleep 30; :"])
        .spawn()
        .unwrap();
    let file = if ground.is_v2() { "memory.events" } else { "memory.oom_control" };
    wait_for(|| {
        read(&ground.group_of(launcher.id(), "memory")?, file)
            .contains("oom_kill 1\n")
            .then_some(())
    });
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", launcher.id())).unwrap();
    let init = nix::unistd::Pid::from_raw(children.trim().parse().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(launcher.wait_with_output().unwrap().status.code(), Some(137));
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    assert_eq!(
        (record["cause"].as_str(), number(&record, "memory", "oom-kills")),
        (Some("signal"), 1),
        "{record}"
    );
}

/// A group of version 1 with a limit of memory, at the top of its hierarchy.
struct Outer(PathBuf);

impl Outer {
    fn new(limit: &str) -> Outer {
        let folder = PathBuf::from(format!(
            "/sys/fs/cgroup/memory/stockade-test-memory-{}",
            std::process::id()
        ));
        std::fs::create_dir(&folder).unwrap();
        let outer = Outer(folder);
        std::fs::write(outer.0.join("memory.limit_in_bytes"), limit).unwrap();
        // Not every kernel accounts for swap.
        drop(std::fs::write(outer.0.join("memory.memsw.limit_in_bytes"), limit));
        outer
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

/// The kernel signals the event of a group if any group above it is out of memory.
#[test]
fn memory_that_is_out_for_others_above_ends_no_sandbox() {
    let Some(ground) = Ground::of_version_1(&["memory"]) else { return };
    let place = Place::new();
    let outer = Outer::new("48M");
    let name = outer.0.file_name().unwrap().to_str().unwrap();
    let profile =
        ground.profile(&format!("memory = \"32M\"\noom = \"kill-all\"\nparent = \"/{name}\""), "");
    let run = |line: &str| {
        let output = place.report(As::Root, &profile, line);
        (output.0.status.code(), output.1)
    };
    std::thread::scope(|scope| {
        let innocent = scope.spawn(|| run("sleep 3; exit 3"));
        wait_for(|| {
            std::fs::read_dir(&outer.0)
                .unwrap()
                .flatten()
                .any(|entry| entry.file_type().unwrap().is_dir())
                .then_some(())
        });
        let hog = "sleep 1; echo 0 >$0/cgroup.procs && exec tail /dev/zero";
        let hog =
            place.outside(As::Root, "/bin/sh").args(["-c", hog]).arg(&outer.0).output().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&hog.status),
            Some(9),
            "{}",
            text(&hog.stderr)
        );
        let (status, record) = innocent.join().unwrap();
        assert_eq!((status, record["cause"].as_str()), (Some(3), Some("exit")), "{record}");
    });
    // Its own want still ends all of it.
    let (status, record) = run("sh -c 'exec tail /dev/zero'; echo survived; sleep 30");
    assert_eq!((status, record["cause"].as_str()), (Some(137), Some("oom")), "{record}");
}

/// With the host's process numbers a kernel without Landlock's scope refuses, unless it may.
fn scope() -> &'static str {
    if support::landlock_scopes() { "" } else { "optional = [\"landlock.scope\"]\n" }
}

#[test]
fn a_fork_bomb_stops_at_its_limit_and_nothing_is_left() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    for host in [false, true] {
        let profile = ground.profile("pids = 30", "");
        let profile = if host {
            let profile = profile.replacen("format = 1\n", &format!("format = 1\n{}", scope()), 1);
            profile.replace("\"/proc\" = \"proc\"\n", "") + "[namespaces]\npid = \"host\"\n"
        } else {
            profile
        };
        let (output, record) =
            place.report(As::Root, &profile, "b() { b | b & }; b; sleep 0.5; exit 7");
        // The shell itself may be one of those that cannot fork.
        assert!(
            matches!(output.status.code(), Some(7 | 1 | 2)),
            "{:?} {}",
            output.status,
            text(&output.stderr)
        );
        assert!(
            limits_hit(&record).contains(&"pids") && number(&record, "pids", "refused") > 0,
            "{record}"
        );
        assert!(record["pids"]["peak"].as_u64().is_none_or(|peak| peak <= 30), "{record}");
        let _alone = no_other_kills();
        assert_eq!(ground.dead_groups(), Vec::<String>::new());
    }
}

#[test]
fn pid_1_and_the_target_are_two() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    let output = place.run(As::Root, &ground.profile("pids = 1", ""), &["true"]);
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("pids = 2"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        place.run(As::Root, &ground.profile("pids = 2", ""), &["true"]).status.code(),
        Some(0)
    );
    assert_eq!(
        place
            .run(
                As::Root,
                &(ground.profile("pids = 1", "") + "[process]\ninit = false\n"),
                &["true"]
            )
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_spinner_gets_its_quota() {
    let Some(ground) = Ground::find(&["cpu", "cpuacct"]) else { return };
    let place = Place::new();
    let run = |limits: &str| {
        let profile =
            ground.profile(limits, "") + "[process]\ntimeout = \"3s\"\nkill-after = \"1s\"\n";
        let (output, record) = place.report(As::Root, &profile, "while :; do :; done");
        assert_eq!(output.status.code(), Some(124), "{record}");
        let used = number(&record, "cpu", "usage-us");
        (used as f64 / record["wall-us"].as_f64().unwrap(), record)
    };
    let (share, record) = run("cpu = 0.1\ncontrollers = [\"cpuacct\"]");
    assert!((0.02..=0.17).contains(&share), "{share}: {record}");
    assert!(
        limits_hit(&record).contains(&"cpu") && number(&record, "cpu", "throttled-us") > 0,
        "{record}"
    );
    if ground.is_v2() {
        assert!(record["pressure"]["cpu"]["some-us"].as_u64() > Some(0), "{record}");
    } else {
        let each: u64 =
            record["cpu"]["each-us"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
        assert!(each > 0 && each.abs_diff(number(&record, "cpu", "usage-us")) < 1_000, "{record}");
    }
    let (share, record) = run("controllers = [\"cpuacct\"]");
    // How much it gets then is up to the others on the machine.
    assert!(limits_hit(&record) == ["timeout"], "{share}: {record}");
}

#[test]
fn processor_time_of_all_processes_is_limited() {
    let Some(ground) = Ground::find(&["cpuacct"]) else { return };
    let place = Place::new();
    let begun = Instant::now();
    let (output, record) = report(
        &place,
        &ground,
        "cpu-time = \"600ms\"",
        "(while :; do :; done) & while :; do :; done",
    );
    assert_eq!(
        (output.status.code(), record["cause"].as_str()),
        (Some(124), Some("cpu-time")),
        "{record}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20) && limits_hit(&record).contains(&"cpu-time"),
        "{record}"
    );
    let used = number(&record, "cpu", "usage-us");
    // Where processors are emulated, pid 1 may not run for a while as others do.
    let slack = if support::is_emulated() { 500_000 } else { 100_000 };
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    assert!((600_000..=600_000 + slack * processors).contains(&used), "{record}");
    // What sleeps uses none.
    let (output, _) = report(&place, &ground, "cpu-time = \"2s\"", "sleep 3; exit 3");
    assert_eq!(output.status.code(), Some(3));
    let refused = place.run(
        As::Root,
        &(ground.profile("cpu-time = \"1s\"", "") + "[process]\ninit = false\n"),
        &["true"],
    );
    assert!(
        refused.status.code() == Some(125)
            && text(&refused.stderr).contains("pid 1 of the sandbox is not stockade's"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn the_set_of_processors_is_what_nproc_sees() {
    let Some(ground) = Ground::find(&["cpuset"]) else { return };
    let place = Place::new();
    assert_eq!(place.sh(As::Root, &ground.profile("cpu-set = \"0\"", ""), "nproc"), "1");
    assert!(
        place
            .sh(
                As::Root,
                &ground.profile("memory-nodes = \"0\"", ""),
                "grep Mems_allowed_list /proc/self/status"
            )
            .ends_with('0')
    );
    let output = place.run(As::Root, &ground.profile("cpu-set = \"0,5000\"", ""), &["true"]);
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("no processor 5000"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_disk_is_throttled_and_accounted_for() {
    let Some(ground) = Ground::find(&["blkio"]) else { return };
    let place = Place::new();
    let data = place.folder("data", As::User);
    let mounts = format!("\"/data\" = {{ bind = \"{}\", access = \"rw\" }}", data.display());
    let limits = format!("io = {{ \"{}\" = {{ write-bytes = \"1M\" }} }}", data.display());
    let line = "dd if=/dev/zero of=/data/file bs=64K count=64 oflag=direct 2>&1";
    let begun = Instant::now();
    let (output, record) = place.report(As::Root, &ground.profile(&limits, &mounts), line);
    let slow = begun.elapsed();
    if ["Invalid argument", "lies on no block device"]
        .iter()
        .any(|words| text(&output.stdout).contains(words) || text(&output.stderr).contains(words))
    {
        return skip("the temporary folder is not on a disk, or has no direct I/O");
    }
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(
        number(&record, "io", "written-bytes") >= 4 << 20 && number(&record, "io", "writes") > 0,
        "{record}"
    );
    assert!(slow > Duration::from_millis(2_800), "4 MiB at 1 MiB a second took {slow:?}");
    // Without PSI the time of the whole run decides, and the start may be a large part of it.
    assert!(
        limits_hit(&record).contains(&"io") || !ground.is_v2() && support::is_emulated(),
        "{record}"
    );
    let begun = Instant::now();
    let (output, record) =
        place.report(As::Root, &ground.profile("controllers = [\"io\"]", &mounts), line);
    assert!(output.status.success() && !limits_hit(&record).contains(&"io"), "{record}");
    assert!(
        begun.elapsed() + Duration::from_millis(1_500) < slow,
        "without the limit it took {:?}, with it {slow:?}",
        begun.elapsed()
    );
}

#[test]
fn a_disk_is_limited_by_one_key_that_says_something() {
    let Some(ground) = Ground::find(&["blkio"]) else { return };
    let place = Place::new();
    let run = |io: &str| {
        let output =
            place.run(As::Root, &ground.profile(&format!("io = {{ {io} }}"), ""), &["true"]);
        (output.status.code(), support::errors(&output))
    };
    let (status, said) = run("\"/\" = { read-ops = 100000 }");
    if said.contains("lies on no block device") {
        return skip("the root is not on a disk");
    }
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = run("\"/\" = { read-ops = 100000 }, \"/usr\" = { write-ops = 100000 }");
    assert!(status == Some(125) && said.contains("/ and /usr lie on the same disk"), "{said}");
    let (status, said) = run("\"/\" = {}");
    assert!(status == Some(125) && said.contains("nothing is said of /"), "{said}");
}

/// A weight is refused as it is written, where the scheduler of the disk is not BFQ.
#[test]
fn a_weight_that_the_disk_cannot_have_falls_where_it_may() {
    let Some(ground) = Ground::of_version_1(&["blkio"]) else { return };
    let place = Place::new();
    let profile = ground.profile("io = { \"/\" = { weight = 100 } }", "");
    let output = place.run(As::Root, &profile, &["true"]);
    let said = support::errors(&output);
    if !said.contains("operation not supported") {
        return skip("the root's disk has BFQ, or is none");
    }
    assert!(
        output.status.code() == Some(125) && said.contains("echo bfq >/sys/dev/block/"),
        "{said}"
    );
    let optional = profile.replace("format = 1", "format = 1\noptional = [\"limits\"]");
    let (output, record) = place.report(As::Root, &optional, "exit 5");
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(5)
            && said.contains("a limit is not enforced: cannot set blkio.bfq.weight_device"),
        "{said}"
    );
    assert!(record["skipped"][0].as_str().unwrap().contains("blkio.bfq.weight_device"), "{record}");
    // A value that the kernel refuses is never skipped.
    let wrong = ground
        .profile("raw = { \"memory.swappiness\" = \"1000\" }", "")
        .replace("format = 1", "format = 1\noptional = [\"limits\"]");
    assert_eq!(place.run(As::Root, &wrong, &["true"]).status.code(), Some(125));
}

#[test]
fn devices_that_no_mount_grants_cannot_be_used() {
    let Some(ground) = Ground::find(&["devices"]) else { return };
    let place = Place::new();
    let limited = |more: &str| ground.profile("controllers = [\"devices\"]", "") + more;
    let line = "echo x >/dev/null && head -c 1 /dev/zero | wc -c";
    assert_eq!(place.sh(As::Root, &limited(""), line), "1");
    if !ground.is_v2() {
        let child = spawn(&place, &limited(""), "sleep 30");
        let list = wait_for(|| {
            let list = read(&ground.group_of(child.id(), "devices")?, "devices.list");
            (!list.starts_with('a') && list.lines().count() > 10).then_some(list)
        });
        end(child);
        assert!(
            list.contains("c 1:3 rw\n")
                && list.contains("c 136:* rw\n")
                && !list.contains("m\n")
                && !list.contains("10:229"),
            "{list}"
        );
    }
    // By root of the host, without namespaces: the rules alone keep from a node that the host has
    // and no mount grants.
    let bare = format!(
        "format = 1\n{}[namespaces]\nall = \"host\"\n[network]\nmode = \"host\"\n\
         [identity]\nhost = true\nuser = 0\ngroup = 0\n\
         [capabilities]\nkeep = [\"mknod\", \"dac-override\"]\n[landlock]\npaths = \"off\"\n",
        scope()
    );
    let line = "head -c 1 /dev/zero | wc -c; head -c 1 /dev/null | wc -c; mknod \
                /dev/stockade-test-$$ c 1 3 2>&1 && rm /dev/stockade-test-$$";
    let free = place.run(
        As::Root,
        &format!("{bare}{}", ground.limits("controllers = [\"freezer\"]")),
        &["/bin/sh", "-c", line],
    );
    assert_eq!(text(&free.stdout), "1\n0\n", "{}", text(&free.stderr));
    let kept = place.run(
        As::Root,
        &format!("{bare}{}", ground.limits("controllers = [\"devices\"]")),
        &["/bin/sh", "-c", line],
    );
    let said = text(&kept.stdout) + &text(&kept.stderr);
    assert!(
        said.starts_with("0\n0\n")
            && said.to_lowercase().matches("operation not permitted").count() == 3,
        "{said}"
    );
}

#[test]
fn what_is_set_stands_in_the_files_of_the_group() {
    let Some(ground) = Ground::find(&["memory", "pids", "cpu"]) else { return };
    let place = Place::new();
    let both = "memory = \"256M\"\nmemory-low = \"16M\"\nmemory-swap = \"32M\"\npids = 40\ncpu = \
                1.5\ncpu-weight = 50\ncpu-burst = \"20ms\"\n";
    let second = "memory-high = \"200M\"\nmemory-min = \"8M\"\noom = \"kill-all\"\n";
    let child = spawn(
        &place,
        &ground.profile(&format!("{both}{}", if ground.is_v2() { second } else { "" }), ""),
        "sleep 60",
    );
    wait_for(|| {
        ground
            .group_of(child.id(), "pids")
            .filter(|group| read(group, "cgroup.procs").lines().count() >= 2)
    });
    let first = [
        ("memory", "memory.limit_in_bytes", "268435456"),
        ("memory", "memory.soft_limit_in_bytes", "16777216"),
        ("memory", "memory.memsw.limit_in_bytes", "301989888"),
        ("cpu", "cpu.cfs_quota_us", "150000"),
        ("cpu", "cpu.cfs_burst_us", "20000"),
        ("cpu", "cpu.shares", "512"),
    ];
    let second = [
        ("memory", "memory.max", "268435456"),
        ("memory", "memory.low", "16777216"),
        ("memory", "memory.swap.max", "33554432"),
        ("memory", "memory.high", "209715200"),
        ("memory", "memory.min", "8388608"),
        ("memory", "memory.oom.group", "1"),
        ("cpu", "cpu.max", "150000 100000"),
        ("cpu", "cpu.max.burst", "20000"),
        ("cpu", "cpu.weight", "50"),
    ];
    let found = |(controller, file, value): &(&str, &str, &str)| {
        (
            format!(
                "{file} {}",
                read(&ground.group_of(child.id(), controller).unwrap(), file).trim()
            ),
            format!("{file} {value}"),
        )
    };
    let files: Vec<_> = if ground.is_v2() {
        second.iter().map(found).collect()
    } else {
        first.iter().map(found).collect()
    };
    end(child);
    for (is, wanted) in files {
        assert_eq!(is, wanted);
    }
}

#[test]
fn beyond_memory_high_it_is_slowed_down_and_that_is_told() {
    let Some(ground) = Ground::find(&["memory"]) else { return };
    let place = Place::new();
    if !ground.is_v2() {
        let output = place.run(As::Root, &ground.profile("memory-high = \"16M\"", ""), &["true"]);
        return assert!(
            text(&output.stderr).contains("version 1 of control groups has no memory.high"),
            "{}",
            text(&output.stderr)
        );
    }
    // Without swap there is nothing to take from it, so it hardly moves any more.
    let profile = ground.profile("memory-high = \"6M\"\nmemory = \"64M\"", "")
        + "[process]\ntimeout = \"5s\"\nkill-after = \"1s\"\n";
    let (_, record) =
        place.report(As::Root, &profile, "head -c 32M /dev/zero | tail -c 32M | wc -c");
    assert!(limits_hit(&record).contains(&"memory-high") && record["cause"] != "oom", "{record}");
}

#[test]
fn raw_files_are_written_and_read_back() {
    let Some(ground) = Ground::find(&["memory", "pids", "cpu"]) else { return };
    let place = Place::new();
    let run = |raw: &str| {
        let output =
            place.run(As::Root, &ground.profile(&format!("raw = {{ {raw} }}"), ""), &["true"]);
        (output.status.code(), text(&output.stderr))
    };
    let good = if ground.is_v2() {
        "\"memory.oom.group\" = \"1\", \"pids.max\" = \"30\""
    } else {
        "\"memory.swappiness\" = \"10\", \"pids.max\" = \"30\""
    };
    assert_eq!(run(good), (Some(0), String::new()));
    let bad = if ground.is_v2() {
        [
            ("\"memory.oom.group\" = \"7\"", "invalid argument"),
            ("\"memory.max\" = \"1234\"", "the kernel made 0 of it"),
        ]
    } else {
        [
            ("\"memory.swappiness\" = \"1000\"", "invalid argument"),
            ("\"cpu.shares\" = \"1\"", "the kernel made 2 of it"),
        ]
    };
    let of_both = [
        ("\"memory.nothing\" = \"1\"", "this kernel has no memory.nothing for a group"),
        ("\"cgroup.procs\" = \"1\"", "no file of a controller"),
        ("\"memory/../tasks\" = \"1\"", "no file of a controller"),
        ("\"pids.max\" = \"\"", "its value is no line of text"),
        ("\"release_agent\" = \"/bin/x\"", "no file of a controller"),
    ];
    for (raw, words) in bad.into_iter().chain(of_both) {
        let (status, said) = run(raw);
        assert!(status == Some(125) && said.contains(words), "{raw}: {said}");
    }
    // Who leaves the unit out means another.
    for (memory, status) in [("512", 125), ("\"512M\"", 0)] {
        let output =
            place.run(As::Root, &ground.profile(&format!("memory = {memory}"), ""), &["true"]);
        let said = support::errors(&output);
        assert!(
            output.status.code() == Some(status)
                && (status == 0) != said.contains("for MiB write memory = \"512M\""),
            "{memory}: {said}"
        );
    }
    // The same is known before the run; of a value of `raw` the check says that it is not.
    let check = |limits: &str| {
        let path = place.file(
            "profile.toml",
            &ground
                .profile(limits, "")
                .replace("format = 1", "format = 1\noptional = [\"limits\"]"),
        );
        let output = place.stockade(As::Root).arg("check").arg(path).arg("true").output().unwrap();
        (output.status.code(), support::unwrapped(&(text(&output.stdout) + &text(&output.stderr))))
    };
    let (status, said) = check("memory = 512");
    assert!(status == Some(125) && said.contains("makes 0 of 512"), "{said}");
    assert_eq!(check("memory = \"512M\"").0, Some(0));
    let (status, said) = check(&format!("raw = {{ {} }}", bad[0].0));
    assert!(status == Some(0) && said.contains("shows when it is written"), "{said}");
    let output = place.run(
        As::Root,
        &ground.profile("pids = 10\nraw = { \"pids.max\" = \"30\" }", ""),
        &["true"],
    );
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(125)
            && said.contains("cannot set `pids.max` in `raw`: `pids` sets it as well"),
        "{said}"
    );
    let (_, said) = run("\"freezer.state\" = \"FROZEN\"");
    assert!(
        said.contains("controllers = [\"freezer\"]") && !said.contains("did you mean"),
        "{said}"
    );
    if !ground.is_v2() {
        let output = place.run(
            As::Root,
            &ground.profile("memory = \"unlimited\"\nmemory-swap = \"0\"", ""),
            &["true"],
        );
        assert!(
            text(&output.stderr).contains("set memory to a size, or leave memory-swap out"),
            "{}",
            text(&output.stderr)
        );
    }
    // A file that the kernel lacks may be optional; a value that it refuses may not.
    let optional = |raw: &str| {
        let profile = ground
            .profile(&format!("raw = {{ {raw} }}"), "")
            .replace("format = 1", "format = 1\noptional = [\"limits\"]");
        let output = place.run(As::Root, &profile, &["true"]);
        (output.status.code(), text(&output.stderr))
    };
    let (status, said) = optional("\"memory.nothing\" = \"1\"");
    assert!(
        status == Some(0)
            && said.contains("limits are not enforced (raw): this kernel has no memory.nothing"),
        "{said}"
    );
    assert_eq!(optional(bad[0].0).0, Some(125));
    let _alone = no_other_kills();
    assert_eq!(ground.dead_groups(), Vec::<String>::new());
}

#[test]
fn huge_pages_are_limited_and_accounted_for() {
    let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(std::path::Path::new);
    let Some(unified) = unified
        .into_iter()
        .find(|path| read(path, "cgroup.controllers").contains("hugetlb"))
        .filter(|_| support::is_root())
    else {
        return skip("it needs root, and huge pages in version 2 of control groups");
    };
    let ground = if unified.ends_with("unified") {
        Ground { parent: None }
    } else {
        Ground::find(&["hugetlb"]).unwrap()
    };
    let folder = ground.parent.clone().unwrap_or_else(|| unified.to_owned());
    let place = Place::new();
    let child = spawn(&place, &ground.profile("hugetlb = { \"2M\" = \"4M\" }", ""), "sleep 60");
    let group = wait_for(|| Ground::group_in(&folder, child.id()));
    wait_for(|| (read(&group, "hugetlb.2MB.max").trim() == "4194304").then_some(()));
    // Cloned into it: pid 1, and the shell or what it sleeps by.
    wait_for(|| (read(&group, "cgroup.procs").lines().count() >= 2).then_some(()));
    // Frozen in version 2, a killed process ends; with it the group goes.
    std::fs::write(group.join("cgroup.freeze"), "1").unwrap();
    let _alone = no_other_kills();
    kill(child);
    let (output, record) = report(&place, &ground, "hugetlb = { \"2M\" = \"4M\" }", "exit 3");
    assert_eq!(
        (output.status.code(), record["hugetlb"]["2MB"]["last"].as_u64()),
        (Some(3), Some(0)),
        "{record}"
    );
    // A size that the kernel lacks is known before the run, and skipped if it is optional; less
    // than a page of it is not.
    for (word, limits, status, wanted) in [
        (
            "check",
            "\"3M\" = \"12M\"",
            0,
            "limits are not enforced (hugetlb): this kernel has no huge pages of 3MB",
        ),
        ("doctor", "\"3M\" = \"12M\"", 0, "this kernel has no huge pages of 3MB"),
        ("run", "\"3M\" = \"12M\"", 0, "this kernel has no huge pages of 3MB"),
        ("check", "\"2M\" = \"1M\"", 125, "makes 0 of 1048576 bytes"),
    ] {
        let profile = ground
            .profile(&format!("hugetlb = {{ {limits} }}"), "")
            .replace("format = 1", "format = 1\noptional = [\"limits\"]");
        let output = place
            .stockade(As::Root)
            .arg(word)
            .arg(place.file("profile.toml", &profile))
            .arg("true")
            .output()
            .unwrap();
        let said = support::unwrapped(&(text(&output.stdout) + &text(&output.stderr)));
        assert!(
            output.status.code() == Some(status) && said.contains(wanted),
            "{word} {limits}: {:?} {said}",
            output.status
        );
    }
    wait_for(|| (!group.exists()).then_some(()));
}

#[test]
fn the_class_of_packets_is_refused_where_it_cannot_be() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    let output = place.run(As::Root, &ground.profile("net-class = \"10:1\"", ""), &["true"]);
    if support::has_v1(&["net_cls"]) {
        return assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("socket cgroupv2"),
        "{}",
        text(&output.stderr)
    );
}
