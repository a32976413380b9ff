//! Privilege on files: if root starts the sandbox and the target's ids map to owners of host files,
//! it makes no set-id file and rewrites none.

use super::program;
use crate::support::{As, Place, USER, errors, is_root, said, skip, system, text};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

fn place_with_reach() -> Option<Place> {
    if !is_root() {
        skip("only root's launch stands for others");
        return None;
    }
    let place = Place::new();
    program(&place, "reach");
    Some(place)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// The system, the program of these tests, and a tree for writing at /w, in which the target is;
/// `more` may open further sections.
fn profile(place: &Place, tree: &Path, words: &str, more: &str) -> String {
    let reach = place.path.join("reach");
    let mounts = format!(
        "\"/reach\" = {{ bind = \"{}\" }}\n\"/w\" = {{ bind = \"{}\", access = \"rw\"{words} }}",
        reach.display(),
        tree.display()
    );
    format!("{}[process]\ncwd = \"/w\"\n{more}\n", system(&mounts))
}

/// A tree that belongs to a user and a group, with a file of theirs.
fn tree(place: &Place, name: &str, user: u32, group: u32) -> PathBuf {
    let tree = place.folder(name, As::Root);
    for path in [tree.join("old"), tree.clone()] {
        if path != tree {
            std::fs::write(&path, "old\n").unwrap();
        }
        chown(&path, Some(user), Some(group)).unwrap();
    }
    tree
}

/// Files of a tree with a set-id bit.
fn with_set_id(tree: &Path) -> Vec<String> {
    let all = std::fs::read_dir(tree)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .chain([tree.to_owned()]);
    all.filter(|path| mode(path) & 0o6000 != 0).map(|path| path.display().to_string()).collect()
}

/// Each way to a set-id file, and what a build does beside it.
#[track_caller]
fn makes_no_set_id_file(place: &Place, tree: &Path, profile: &str) {
    for bits in ["4755", "2755"] {
        let output = place.run(As::Root, profile, &["/reach", "set-id", "old", bits]);
        let acts = text(&output.stdout);
        assert!(
            output.status.code() == Some(1) && acts.lines().all(|act| act.ends_with("EPERM")),
            "{bits}: {}",
            said(&output)
        );
    }
    assert_eq!(with_set_id(tree), Vec::<String>::new());
    place.sh(
        As::Root,
        profile,
        "echo out > out && chmod 755 out && mkdir dir && chmod 1775 dir && rm -r out dir",
    );
}

/// The same with the word that lifts it.
#[track_caller]
fn makes_set_id_files(place: &Place, profile: &str) {
    for bits in ["4755", "2755"] {
        let output = place.run(As::Root, profile, &["/reach", "set-id", "old", bits]);
        assert!(
            output.status.success() && text(&output.stdout).contains("chmod: done"),
            "{bits}: {}",
            said(&output)
        );
        place.sh(As::Root, profile, "chmod 755 . && rm -f new-*");
    }
}

/// A set-group-id file in a directory of group shadow, docker or disk is that group to anyone.
#[test]
fn no_file_becomes_set_id_whoever_owns_the_tree() {
    let Some(place) = place_with_reach() else { return };
    for (name, user, group) in
        [("roots", 0, 0), ("theirs", USER, USER), ("group", USER, 42), ("root-group", USER, 0)]
    {
        let tree = tree(&place, name, user, group);
        let owner = if user == 0 { ", owner = \"root\"" } else { "" };
        makes_no_set_id_file(&place, &tree, &profile(&place, &tree, owner, ""));
        let lifted = profile(&place, &tree, owner, "[seccomp]\nset-id = true");
        if user == 0 || group == 0 {
            let output = place.run(As::Root, &lifted, &["true"]);
            assert!(
                output.status.code() == Some(125)
                    && text(&output.stderr).contains("seccomp::set-id"),
                "{name}: {}",
                said(&output)
            );
        } else {
            makes_set_id_files(&place, &lifted);
        }
    }
}

/// With the host's own ids nothing is mapped, and the files are as much somebody's; a policy that
/// lets all through, and the calls by which io_uring makes files whose mode no filter sees, change
/// nothing.
#[test]
fn no_file_becomes_set_id_under_host_ids_or_any_policy() {
    let Some(place) = place_with_reach() else { return };
    let ids = |user: u32| format!("[identity]\nhost = true\nuser = {user}\ngroup = {user}\n");
    for (name, user) in [("roots", 0), ("theirs", USER)] {
        let tree = tree(&place, name, user, user);
        makes_no_set_id_file(&place, &tree, &profile(&place, &tree, "", &ids(user)));
        let lifted = profile(&place, &tree, "", &format!("{}[seccomp]\nset-id = true", ids(user)));
        let output = place.run(As::Root, &lifted, &["true"]);
        if user == 0 {
            assert!(
                output.status.code() == Some(125)
                    && text(&output.stderr).contains("seccomp::set-id"),
                "{}",
                said(&output)
            );
        } else {
            makes_set_id_files(&place, &lifted);
        }
        let tree = self::tree(&place, &format!("{name}-ring"), user, user);
        let owner = if user == 0 { ", owner = \"root\"" } else { "" };
        let open = "policy = \"off\"\nallow = [\"io_uring_setup\", \"io_uring_enter\"]\n";
        let profile =
            |more: &str| profile(&place, &tree, owner, &format!("[seccomp]\n{open}{more}"));
        makes_no_set_id_file(&place, &tree, &profile(""));
        let output = place.run(As::Root, &profile(""), &["/reach", "ring", "new", "4755"]);
        assert!(
            output.status.code() == Some(1)
                && text(&output.stdout).contains("io_uring_setup: ENOSYS"),
            "{}",
            said(&output)
        );
        if user != 0
            && std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
                .is_ok_and(|off| off.trim() == "0")
        {
            let output = place.run(
                As::Root,
                &profile("set-id = true\n"),
                &["/reach", "ring", "new", "4755"],
            );
            assert!(
                output.status.success() && mode(&tree.join("new")) & 0o4000 != 0,
                "the twin: {}",
                said(&output)
            );
        }
    }
}

/// Landlock has no right for modes, so in the host's own tree every file of root's could become
/// set-id.
#[test]
fn no_file_of_root_s_becomes_set_id_behind_landlock_alone() {
    if !crate::support::landlock_scopes() {
        return skip("it takes a Landlock that keeps signals");
    }
    let Some(place) = place_with_reach() else { return };
    let tree = tree(&place, "tree", 0, 0);
    let other = tree.join("old");
    let profile = |more: &str| {
        let granted = place.path.display();
        format!(
            "format = 1\n[identity]\nhost = true\nuser = 0\ngroup = 0\n[namespaces]\nall = \
             \"host\"\n[network]\nmode = \"host\"\n{more}[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \
             \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = {{ bind = \"/lib64\", missing = \"skip\" }}\n\
             \"/dev\" = \"dev\"\n\"{granted}/reach\" = \"ro\"\n\"{granted}/out\" = \"rw\"\n"
        )
    };
    let out = place.folder("out", As::Root);
    for bits in ["4755", "2755", "6755"] {
        let output = place.run(
            As::Root,
            &profile(""),
            &["/bin/sh", "-c", &format!("chmod {bits} {}", other.display())],
        );
        assert!(
            !output.status.success()
                && text(&output.stderr).contains("not permitted")
                && mode(&other) & 0o6000 == 0,
            "{}",
            said(&output)
        );
    }
    place.sh(
        As::Root,
        &profile(""),
        &format!("echo out > {0}/file && chmod 755 {0}/file", out.display()),
    );
    let output = place.run(As::Root, &profile("[seccomp]\nset-id = true\n"), &["true"]);
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("seccomp::set-id"),
        "{}",
        said(&output)
    );
    // The twin: without the sandbox root's program does it.
    assert!(
        Command::new("chmod").arg("4755").arg(&other).status().unwrap().success()
            && mode(&other) & 0o4000 != 0
    );
}

// ---- what is there already ----

/// Gives a file one of the powers, and asks whether it has it.
const POWERS: [(&str, u32); 3] =
    [("is set-user-id", 0o4755), ("is set-group-id", 0o2755), ("is with file capabilities", 0)];

fn empower(path: &Path, bits: u32) -> bool {
    match bits {
        0 => Command::new("setcap")
            .arg("cap_net_raw+ep")
            .arg(path)
            .status()
            .is_ok_and(|status| status.success()),
        bits => {
            set_mode(path, bits);
            true
        }
    }
}

/// A store to a file's memory leaves its set-id bits and capabilities, so a tree with such a file
/// is refused by its name; the help, pasted into a shell, is enough.
#[test]
fn a_file_with_privilege_is_not_there_to_be_rewritten() {
    let Some(place) = place_with_reach() else { return };
    for (owner, user) in [(", owner = \"root\"", 0), ("", USER)] {
        for (words, bits) in POWERS {
            let tree = tree(&place, &format!("tree-{user}-{bits}"), user, user);
            let deep = tree.join("node_modules/a b/bin");
            std::fs::create_dir_all(&deep).unwrap();
            let tool = deep.join("tool");
            std::fs::write(&tool, "#!/bin/sh\n").unwrap();
            chown(&tool, Some(user), Some(user)).unwrap();
            if !empower(&tool, bits) {
                skip("setcap is missing");
                continue;
            }
            let plain = profile(&place, &tree, owner, "");
            let output = place.run(As::Root, &plain, &["true"]);
            let error = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && error.contains("mounts::set-id")
                    && error.contains(words),
                "{}",
                said(&output)
            );
            // The twin, with permission: it is reported, and the bits stay.
            let leave =
                plain.replacen("format = 1", "format = 1\noptional = [\"mounts.set-id\"]", 1);
            let output =
                place.run(As::Root, &leave, &["/reach", "rewrite", "node_modules/a b/bin/tool"]);
            assert!(
                output.status.success() && text(&output.stderr).contains("tool"),
                "{}",
                said(&output)
            );
            assert!(
                std::fs::read(&tool).unwrap().starts_with(b"MINE")
                    && (bits == 0 || mode(&tool) == bits),
                "{words}"
            );
            // What the help says, and the ordinary act.
            let help = error.split("take it away: ").nth(1).unwrap().lines().next().unwrap();
            assert!(
                Command::new("/bin/sh").args(["-c", help]).status().unwrap().success(),
                "{help}"
            );
            place.sh(As::Root, &plain, "echo out > out && chmod 755 out");
            let output =
                place.run(As::Root, &plain, &["/reach", "rewrite", "node_modules/a b/bin/tool"]);
            assert!(output.status.success() && mode(&tool) & 0o6000 == 0, "{}", said(&output));
        }
    }
}

/// Bits without use count too: an access list makes a file writable, or executable, and the kernel
/// leaves its set-id bits.
#[test]
fn an_access_list_brings_set_id_bits_to_life() {
    let Some(place) = place_with_reach() else { return };
    for bits in [0o4444, 0o4644, 0o2644] {
        let tree = tree(&place, &format!("tree-{bits:o}"), 0, 0);
        set_mode(&tree.join("old"), bits);
        let plain = profile(&place, &tree, ", owner = \"root\"", "");
        let output = place.run(As::Root, &plain, &["true"]);
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("mounts::set-id"),
            "{}",
            said(&output)
        );
        let leave = plain.replacen("format = 1", "format = 1\noptional = [\"mounts.set-id\"]", 1);
        let output = place.run(As::Root, &leave, &["/reach", "access-list", "old"]);
        if text(&output.stdout).contains("EOPNOTSUPP") {
            return skip("this file system has no access lists");
        }
        let alive = bits & 0o6000 | 0o755;
        assert!(
            output.status.success() && mode(&tree.join("old")) == alive,
            "the twin: {:o}, {}",
            mode(&tree.join("old")),
            said(&output)
        );
    }
}

/// What the target cannot write does not stop it: what an entry covers, what is another owner's,
/// and what is granted for reading. Nor does a link to such a file outside.
#[test]
fn files_with_privilege_that_are_out_of_reach_are_no_matter() {
    let Some(place) = place_with_reach() else { return };
    let tree = tree(&place, "tree", USER, USER);
    let covered = tree.join("covered");
    std::fs::create_dir(&covered).unwrap();
    for file in [covered.join("tool"), tree.join("another-s")] {
        std::fs::write(&file, "x").unwrap();
        set_mode(&file, 0o4755);
    }
    chown(covered.join("tool"), Some(USER), Some(USER)).unwrap();
    set_mode(&covered.join("tool"), 0o4755);
    std::os::unix::fs::symlink("/usr/bin", tree.join("link")).unwrap();
    let cover = format!("[mounts.\"/w/covered\"]\nbind = \"{}\"\n", covered.display());
    place.sh(
        As::Root,
        &profile(&place, &tree, "", &cover),
        "echo out > out && ! echo x > covered/tool && ! echo x > another-s",
    );
    let output = place.run(As::Root, &profile(&place, &tree, "", ""), &["true"]);
    assert!(text(&output.stderr).contains("covered/tool"), "the twin: {}", said(&output));
}

// ---- what is kept from being written ----

/// `default` and `build` keep what the host runs later, in the owner's name. The owner of the
/// directory can give a file of root's that name, which only root can read.
#[test]
fn a_kept_file_of_another_owner_stays_that_owner_s() {
    let Some(place) = place_with_reach() else { return };
    let project = place.folder("project", As::User);
    for (name, user) in [("Jenkinsfile", 0), (".gitlab-ci.yml", USER)] {
        let file = project.join(name);
        std::fs::write(&file, "SECRET\n").unwrap();
        set_mode(&file, 0o600);
        chown(&file, Some(user), Some(user)).unwrap();
    }
    let run = |profile: &str, line: &str| {
        let mut launcher = place.stockade(As::Root);
        launcher
            .current_dir(&project)
            .args(["run", profile, "--", "sh", "-c", line])
            .output()
            .unwrap()
    };
    for built_in in ["default", "build"] {
        let output = run(built_in, "cat Jenkinsfile; echo out > out");
        assert!(
            output.status.success() && !text(&output.stdout).contains("SECRET"),
            "{built_in}: {}",
            said(&output)
        );
        // The twin: what is the owner's of the directory is the target's to read, as the directory
        // is.
        let output = run(built_in, "cat .gitlab-ci.yml && ! echo x > .gitlab-ci.yml");
        assert!(
            output.status.success() && text(&output.stdout).contains("SECRET"),
            "{built_in}: {}",
            said(&output)
        );
    }
}
