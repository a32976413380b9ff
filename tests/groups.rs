//! Control groups on the real kernel: how they come and go, and who may have them. What each limit
//! does is in tests/limits.rs.

use crate::support::ground::{Ground, kill, no_other_kills, read, spawn, wait_for};
use crate::support::{self, As, Place, USER, limits_hit, text};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

#[test]
fn a_sandbox_can_be_frozen_and_ends_nevertheless() {
    let Some(ground) = Ground::find(&["freezer", "pids"]) else { return };
    let place = Place::new();
    let data = place.folder("data", As::User);
    let mounts = format!("\"/data\" = {{ bind = \"{}\", access = \"rw\" }}", data.display());
    let profile = ground.profile("pids = 50\ncontrollers = [\"freezer\"]", &mounts);
    let count = || read(&data, "count").lines().count();
    let child = spawn(&place, &profile, "while :; do echo x >>/data/count; sleep 0.02; done");
    let group = wait_for(|| ground.group_of(child.id(), "freezer"));
    wait_for(|| (count() > 3).then_some(()));
    ground.freeze(&group, true);
    let frozen = count();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(count(), frozen);
    ground.freeze(&group, false);
    wait_for(|| (count() > frozen).then_some(()));
    // Frozen again, and its launcher killed: what is frozen cannot end in version 1, and the next
    // run ends it.
    ground.freeze(&group, true);
    let _alone = no_other_kills();
    kill(child);
    assert!(group.exists());
    assert!(place.run(As::Root, &ground.profile("pids = 50", ""), &["true"]).status.success());
    wait_for(|| (!group.exists()).then_some(()));
}

#[test]
fn the_next_run_removes_what_a_killed_launcher_left() {
    let Some(ground) = Ground::find(&["memory", "pids", "cpu"]) else { return };
    let place = Place::new();
    let limits = "memory = \"64M\"\npids = 20\ncpu = 1.0";
    let child = spawn(&place, &ground.profile(limits, ""), "sleep 60");
    let pid = child.id();
    wait_for(|| {
        ground
            .group_of(pid, "pids")
            .filter(|group| read(group, "cgroup.procs").lines().count() >= 2)
    });
    // A run beside it leaves a living one alone.
    assert!(place.run(As::Root, &ground.profile(limits, ""), &["true"]).status.success());
    assert!(ground.group_of(pid, "pids").is_some() && ground.group_of(pid, "memory").is_some());
    let _alone = no_other_kills();
    kill(child);
    // One that uses another controller sweeps all hierarchies.
    assert!(
        place
            .run(As::Root, &ground.profile("controllers = [\"cpuacct\"]", ""), &["true"])
            .status
            .success()
    );
    for controller in ["memory", "pids", "cpu"] {
        assert_eq!(ground.group_of(pid, controller), None);
    }
}

#[test]
fn a_hundred_at_once_with_limits_none_fails_and_nothing_is_left() {
    let Some(ground) = Ground::find(&["memory", "pids", "cpu"]) else { return };
    let place = Place::new();
    let path =
        place.file("profile.toml", &ground.profile("memory = \"64M\"\npids = 20\ncpu = 1.0", ""));
    let start = || {
        let mut command = place.stockade(As::Root);
        command
            .arg("run")
            .arg(&path)
            .args(["/bin/sh", "-c", "sleep 1; exit 7"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    };
    let children: Vec<_> = (0..100).map(|_| start().unwrap()).collect();
    for (index, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(7), "launch {index}: {}", text(&output.stderr));
    }
    let _alone = no_other_kills();
    assert_eq!(ground.dead_groups(), Vec::<String>::new());
}

#[test]
fn the_target_sees_its_group_as_the_top_and_cannot_leave_it() {
    let Some(ground) = Ground::find(&["memory", "pids"]) else { return };
    let place = Place::new();
    let limits = ground.profile("memory = \"64M\"\npids = 20", "");
    let groups = place.sh(As::Root, &limits, "cat /proc/self/cgroup");
    assert!(groups.lines().all(|line| line.ends_with(":/")), "{groups}");
    // No file system of control groups is there, and none can be mounted.
    assert_eq!(place.sh(As::Root, &limits, "grep -c cgroup /proc/self/mountinfo || true"), "0");
    let mount = "mount -t cgroup -o pids none /tmp 2>/dev/null || mount -t cgroup2 none /tmp \
                 2>/dev/null || echo refused";
    assert_eq!(place.sh(As::Root, &limits, mount), "refused");
    let writable = ground.profile(
        "pids = 20",
        "\"/sys/fs/cgroup\" = { bind = \"/sys/fs/cgroup\", access = \"rw\", owner = \"root\" }",
    );
    let output = place.run(As::Root, &writable, &["true"]);
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("could leave its own"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_target_is_in_its_groups_from_its_first_instruction() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    // Two are the shell and pid 1: a third process is refused, however early it is made.
    let place = Place::new();
    for _ in 0..20 {
        let output = place.run(
            As::Root,
            &ground.profile("pids = 2", ""),
            &["/bin/sh", "-c", "/bin/true & wait"],
        );
        assert!(
            text(&output.stderr).to_lowercase().contains("fork"),
            "{:?}: {}",
            output.status,
            text(&output.stderr)
        );
    }
}

/// A group for a test, at the top of the hierarchy of `pids`, with the path by which a profile
/// names it.
struct Outer {
    folder: PathBuf,
    name: String,
}

impl Outer {
    fn new(ground: &Ground, what: &str) -> Outer {
        let folder =
            ground.folder("pids").join(format!("stockade-test-{what}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let top = if ground.is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
        let name = format!("/{}", folder.strip_prefix(top).unwrap().display());
        if let Some(parent) = &ground.parent {
            std::fs::write(parent.join("cgroup.subtree_control"), "+pids").unwrap();
        }
        Outer { folder, name }
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.folder)
            .unwrap()
            .flatten()
            .all(|entry| entry.file_type().unwrap().is_file())
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.folder));
    }
}

fn within(limits: &str, outer: &Outer) -> String {
    format!("{}[limits]\n{limits}\nparent = \"{}\"\n", support::system(""), outer.name)
}

#[test]
fn a_limit_of_a_group_above_is_told() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    let outer = Outer::new(&ground, "above");
    std::fs::write(outer.folder.join("pids.max"), "40").unwrap();
    let path = place.file("profile.toml", &within("pids = 100", &outer));
    let output = place.stockade(As::Root).arg("check").arg(path).args(["true"]).output().unwrap();
    assert!(
        text(&output.stdout).contains("allows less: pids is 40"),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    // A named parent: the group is made there, and is gone.
    let inside = place.run(As::Root, &within("pids = 100", &outer), &["true"]);
    assert!(inside.status.success() && outer.is_empty(), "{}", text(&inside.stderr));
    std::fs::remove_dir(&outer.folder).unwrap();
    let absent = place.run(As::Root, &within("pids = 100", &outer), &["true"]);
    assert!(text(&absent.stderr).contains("mkdir"), "{}", text(&absent.stderr));
}

#[test]
fn an_ordinary_user_needs_a_group_of_its_own() {
    let Some(_ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    let plain = format!("{}[limits]\npids = 30\n", support::system(""));
    let refused = place.run(As::User, &plain, &["true"]);
    let said = support::errors(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        refused.status.code() == Some(125)
            && said.contains("permission denied")
            && said.contains("optional = [\"limits\"]"),
        "{said}"
    );
    // With leave it runs without, and says so.
    let (output, record) = place.report(
        As::User,
        &plain.replace("format = 1", "format = 1\noptional = [\"limits\"]"),
        "exit 5",
    );
    assert!(
        output.status.code() == Some(5)
            && text(&output.stderr).contains("limits are not enforced (pids)"),
        "{}",
        text(&output.stderr)
    );
    assert!(
        record["skipped"][0].as_str().unwrap().contains("pids") && record["pids"].is_null(),
        "{record}"
    );
    let devices =
        place.run(As::User, &plain.replace("pids = 30", "controllers = [\"devices\"]"), &["true"]);
    assert!(text(&devices.stderr).contains("from root alone"), "{}", text(&devices.stderr));
}

/// A new group of version 1's cpuset has no processors, so none in it can have any.
#[test]
fn a_parent_without_processors_is_refused_with_help_that_fills_it() {
    let Some(_ground) = Ground::of_version_1(&["cpuset"]) else { return };
    let place = Place::new();
    let name = format!("stockade-test-cpuset-{}", std::process::id());
    let folder = Path::new("/sys/fs/cgroup/cpuset").join(&name);
    std::fs::create_dir(&folder).unwrap();
    let run = || {
        place.run(
            As::Root,
            &format!("{}[limits]\ncpu-set = \"0\"\nparent = \"/{name}\"\n", support::system("")),
            &["nproc"],
        )
    };
    let refused = run();
    let said = text(&refused.stderr);
    let help = said.split_once("the group above:").map_or("", |(_, commands)| commands);
    let pasted = place.outside(As::Root, "/bin/sh").args(["-ec", help]).output().unwrap();
    let filled = run();
    std::fs::remove_dir(&folder).unwrap();
    assert!(
        refused.status.code() == Some(125) && help.contains("cat") && pasted.status.success(),
        "{said}{}",
        text(&pasted.stderr)
    );
    assert_eq!(text(&filled.stdout).trim(), "1", "{}", text(&filled.stderr));
}

/// Gives a group to the ordinary user, as systemd delegates one.
fn give(folder: &Path) {
    for path in ["", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"]
        .map(|file| folder.join(file))
    {
        if path.exists() {
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
        }
    }
}

const BOMB: &str = "b() { b | b & }; b; sleep 0.2; exit 7";

#[test]
fn an_ordinary_user_is_limited_in_a_group_that_root_gave_away() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    let outer = Outer::new(&ground, "user");
    give(&outer.folder);
    if ground.is_v2() {
        // Version 2 lets a user move nobody into a group from outside of it (cgroups(7), delegation
        // containment): the launcher must be there.
        let outside = place.run(As::User, &within("pids = 10", &outer), &["true"]);
        let said = text(&outside.stderr);
        assert!(outside.status.code() == Some(125) && said.contains("Delegate=yes"), "{said}");
    } else {
        let (output, record) = place.report(As::User, &within("pids = 10", &outer), BOMB);
        assert!(
            matches!(output.status.code(), Some(7 | 1 | 2)) && outer.is_empty(),
            "{}",
            text(&output.stderr)
        );
        assert!(limits_hit(&record).contains(&"pids"), "{record}");
    }
    assert!(outer.is_empty());
    // From within: the launcher alone is in the group, and steps aside.
    let record = place.folder("records", As::User).join("record.json");
    let parent =
        if ground.is_v2() { String::new() } else { format!("parent = \"{}\"\n", outer.name) };
    let profile = place
        .file("profile.toml", &format!("{}[limits]\npids = 10\n{parent}", support::system("")));
    let mut command = place.outside(As::Root, "/bin/sh");
    command.args([
        "-c",
        "echo 0 >$0/cgroup.procs && exec setpriv --reuid $1 --regid $1 --clear-groups $2 run \
         --report $3 $4 /bin/sh -c \"$5\"",
    ]);
    command
        .arg(&outer.folder)
        .arg(USER.to_string())
        .arg(place.path.join("stockade"))
        .arg(&record)
        .arg(&profile)
        .arg(BOMB);
    let output = command.output().unwrap();
    assert!(
        matches!(output.status.code(), Some(7 | 1 | 2)) && outer.is_empty(),
        "{:?} {}",
        output.status,
        text(&output.stderr)
    );
    let record = serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    assert!(limits_hit(&record).contains(&"pids"), "{record}");
    // The controllers that it switched on are off again.
    assert_eq!(read(&outer.folder, "cgroup.subtree_control").trim(), "");
}

/// A base may make its own limits optional, and no other file's.
#[test]
fn limits_fall_by_the_word_of_their_own_file_alone() {
    let Some(_ground) = Ground::find(&["pids"]) else { return };
    let place = Place::new();
    place.file(
        "base.toml",
        &format!("optional = [\"limits\"]\n{}[limits]\npids = 30\n", support::system("")),
    );
    let run = |more: &str| {
        place.run(As::User, &format!("format = 1\nextends = [\"./base.toml\"]\n{more}"), &["true"])
    };
    assert_eq!(run("").status.code(), Some(0));
    assert_eq!(run("[limits]\nmemory = \"1G\"\n").status.code(), Some(125));
    assert_eq!(run("[limits]\npids = false\n").status.code(), Some(0));
}

/// In namespaces of its own a target could mount the hierarchy, where its group is the top and this
/// user's.
#[test]
fn an_ordinary_user_has_no_limits_that_a_nested_target_could_lift() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    if ground.is_v2()
        && std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains("nsdelegate")
    {
        return support::skip(
            "version 2 with nsdelegate keeps the files of a namespace's top from it",
        );
    }
    let place = Place::new();
    let outer = Outer::new(&ground, "nested");
    give(&outer.folder);
    let profile = within("pids = 10", &outer);
    let nested = format!("{profile}[namespaces]\nnested = true\n");
    let run = |profile: &str| place.run(As::User, profile, &["true"]);
    let refused = run(&nested);
    let said = support::text(&refused.stderr);
    assert!(refused.status.code() == Some(125) && said.contains("could lift"), "{said}");
    assert!(run(&profile).status.success(), "the twin");
    assert!(
        place.run(As::Root, &nested, &["true"]).status.success(),
        "root's groups are no target's"
    );
    let (output, record) = place.report(
        As::User,
        &nested.replace("format = 1", "format = 1\noptional = [\"limits\"]"),
        "exit 5",
    );
    assert!(
        output.status.code() == Some(5)
            && record["skipped"][0].as_str().unwrap().contains("could lift"),
        "{record}"
    );
}

/// What a target did with its group as if it were root's: a group in it, frozen, with one of its
/// processes.
#[test]
fn groups_in_a_group_end_with_it() {
    let Some(ground) = Ground::find(&["freezer", "pids"]) else { return };
    let place = Place::new();
    let profile = ground.profile("pids = 50\ncontrollers = [\"freezer\"]", "");
    let _alone = no_other_kills();
    for killed in [false, true] {
        let child = spawn(&place, &profile, "sleep 600 & sleep 600");
        let group = wait_for(|| ground.group_of(child.id(), "freezer"));
        // Not a child of vfork(2) that has yet to execute: while that is frozen, the shell takes no
        // SIGTERM.
        let sleeps = |pid: &&str| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
        };
        let last =
            wait_for(|| read(&group, "cgroup.procs").lines().rfind(sleeps).map(str::to_owned));
        // A name may be any bytes.
        let inner = group.join(std::ffi::OsStr::from_bytes(b"inner\xff"));
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("cgroup.procs"), &last).unwrap();
        ground.freeze(&inner, true);
        if killed {
            kill(child);
            assert!(
                place.run(As::Root, &ground.profile("pids = 50", ""), &["true"]).status.success()
            );
        } else {
            support::ground::end(child);
        }
        wait_for(|| (!group.exists()).then_some(()));
        assert!(!Path::new(&format!("/proc/{last}")).exists());
    }
    assert_eq!(ground.dead_groups(), Vec::<String>::new());
}

#[test]
fn a_launcher_that_nobody_has_waited_for_is_dead() {
    let Some(ground) = Ground::find(&["freezer", "pids"]) else { return };
    let place = Place::new();
    let mut child =
        spawn(&place, &ground.profile("pids = 50\ncontrollers = [\"freezer\"]", ""), "sleep 600");
    let group = wait_for(|| {
        ground
            .group_of(child.id(), "freezer")
            .filter(|group| read(group, "cgroup.procs").lines().count() >= 2)
    });
    ground.freeze(&group, true);
    child.kill().unwrap();
    wait_for(|| {
        std::fs::read_to_string(format!("/proc/{}/stat", child.id()))
            .unwrap()
            .contains(") Z ")
            .then_some(())
    });
    assert!(place.run(As::Root, &ground.profile("pids = 50", ""), &["true"]).status.success());
    // Where another test's launcher is at the same group, that one removes it.
    wait_for(|| (!group.exists()).then_some(()));
    child.wait().unwrap();
}

/// A hierarchy may be mounted in several places.
#[test]
fn no_mount_of_the_groups_is_granted_for_writing() {
    let Some(ground) = Ground::find(&["pids"]) else { return };
    if ground.is_v2() {
        return support::skip("it mounts a hierarchy of version 1 once more");
    }
    let place = Place::new();
    let folder = place.folder("once/more", As::Root);
    let grant = |source: &Path| {
        ground.profile(
            "pids = 50",
            &format!(
                "\"/groups\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}",
                source.display()
            ),
        )
    };
    for source in [folder.as_path(), folder.parent().unwrap()] {
        let path = place.file("profile.toml", &grant(source));
        let check = |mount: &str| {
            let line = format!("{mount}exec \"$0\" check \"$1\" true");
            let mut command = place.outside(As::Root, "unshare");
            command
                .args(["-m", "/bin/sh", "-c", &line])
                .arg(place.path.join("stockade"))
                .arg(&path)
                .output()
                .unwrap()
        };
        let refused = check(&format!("mount -t cgroup -o pids none {} && ", folder.display()));
        let said = support::unwrapped(&text(&refused.stdout));
        assert!(
            refused.status.code() == Some(125) && said.contains("the target could leave its own"),
            "{said}"
        );
        let twin = check("");
        assert!(twin.status.success(), "{}", text(&twin.stderr));
    }
}
