//! The restrictions as the target sees them: its state read from inside, its file tree, and
//! attempts to get round either.

use crate::support::{self, As, Place, USER, errors, is_root, probe, said, skip, system, text};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A profile with the system and the probe.
fn with_probe(place: &Place, more: &str) -> String {
    system(&format!("\"/probe\" = {{ bind = \"{}\" }}\n{more}", place.path.join("probe").display()))
}

fn run_probe(place: &Place, who: As, profile: &str, act: &str) -> Output {
    let words: Vec<&str> = std::iter::once("/probe").chain(act.split_whitespace()).collect();
    place.run(who, profile, &words)
}

/// The act is refused inside, with one of these errnos.
fn refused(place: &Place, who: As, profile: &str, act: &str, errnos: &[&str]) {
    let output = run_probe(place, who, profile, act);
    assert!(
        output.status.code() == Some(1) && errnos.contains(&text(&output.stdout).trim()),
        "{who:?}: `{act}`, not {errnos:?}: {}",
        said(&output)
    );
}

fn granted(place: &Place, who: As, profile: &str, act: &str) {
    let output = run_probe(place, who, profile, act);
    assert!(output.status.success(), "{who:?}: `{act}` must succeed: {}", said(&output));
}

/// The launcher refuses the profile, with this code of problem.
fn stopped(output: &Output, code: &str) {
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains(code),
        "{code}: {}",
        said(output)
    );
}

/// Every file of a tree with kind, mode, owner, size and link text: what must not change.
fn tree_of(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content =
            if meta.is_file() { text(&std::fs::read(&path).unwrap()) } else { String::new() };
        let link = std::fs::read_link(&path).unwrap_or_default();
        if meta.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(
            path,
            format!(
                "{:o} {}:{} {} {} {content}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.ino(),
                link.display()
            ),
        );
    }
    found
}

/// Reads `KEY:\tVALUE` lines.
fn fields(status: &str) -> BTreeMap<String, String> {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The host's ids of the one who starts the launcher.
fn host_id(who: As) -> u32 {
    match who {
        As::Root => 0,
        As::User if is_root() => USER,
        As::User => nix::unistd::geteuid().as_raw(),
    }
}

// ---- the process ----

#[test]
fn the_status_of_the_target() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let profile = with_probe(&place, "");
        let status = fields(&place.sh(*who, &profile, "cat /proc/self/status"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{who:?}: {set}");
        }
        let id = if *who == As::Root { 1000 } else { host_id(*who) }.to_string();
        let all_ids = [&*id; 4].join("\t");
        assert_eq!(
            (&*status["NoNewPrivs"], &*status["Seccomp"], &*status["Umask"]),
            ("1", "2", "0022"),
            "{who:?}"
        );
        assert_eq!((&*status["Uid"], &*status["Gid"]), (&*all_ids, &*all_ids), "{who:?}");
        assert_eq!(
            (&*status["SigBlk"], &*status["SigIgn"], &*status["TracerPid"]),
            ("0000000000000000", "0000000000000000", "0"),
            "{who:?}"
        );
        if *who == As::Root {
            assert_eq!(status["Groups"], "", "no supplementary group of root's is kept");
        }
        // NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, each locked.
        let output = run_probe(&place, *who, &profile, "securebits");
        assert_eq!(text(&output.stdout).trim(), "0xcf", "{who:?}");
    }
}

#[test]
fn what_the_caller_ignores_and_blocks_is_not_inherited() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &with_probe(&place, ""));
    for who in As::all() {
        let mut command = place.outside(*who, &binary);
        command.args(["ignoring", "13"]).arg(place.path.join("stockade")).arg("run").arg(&path);
        let output = command
            .args(["/bin/cat", "/proc/self/status", "/proc/self/personality"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{who:?}: {}", said(&output));
        let status = fields(&text(&output.stdout));
        let state = (&*status["SigBlk"], &*status["SigIgn"], &*status["Umask"]);
        assert_eq!(state, ("0000000000000000", "0000000000000000", "0022"), "{who:?}");
        assert_eq!(
            text(&output.stdout).lines().last(),
            Some("00000000"),
            "{who:?}: the personality"
        );
        // The twin: they are inherited by any other child.
        let twin = place
            .outside(*who, &binary)
            .args(["ignoring", "13", "/bin/cat", "/proc/self/status"])
            .output()
            .unwrap();
        assert_ne!(fields(&text(&twin.stdout))["SigIgn"], "0000000000000000");
    }
}

#[test]
fn ids_are_mapped_to_nobody_elses() {
    let place = Place::new();
    for who in As::all() {
        for (file, kind) in [("uid_map", "user"), ("gid_map", "group")] {
            let map = place.sh(*who, &system(""), &format!("cat /proc/self/{file}"));
            let numbers: Vec<u32> =
                map.split_whitespace().map(|number| number.parse().unwrap()).collect();
            let [inside, outside, 1] = numbers[..] else {
                panic!("{who:?}: one {kind} is mapped, not `{map}`")
            };
            match who {
                // 0x70000000 to 0x7FFDFFFF belong to nobody.
                As::Root => assert!(
                    inside == 1000 && (0x7000_0000..0x7FFE_0000).contains(&outside),
                    "{map}"
                ),
                As::User => assert_eq!((inside, outside), (host_id(*who), host_id(*who))),
            }
        }
    }
}

#[test]
fn two_sandboxes_of_root_have_different_ids() {
    if !is_root() {
        return skip("an ordinary user has one id for all");
    }
    let place = Place::new();
    let one = place.sh(As::Root, &system(""), "cat /proc/self/uid_map");
    assert_ne!(one, place.sh(As::Root, &system(""), "cat /proc/self/uid_map"));
}

#[test]
fn every_namespace_is_new() {
    let place = Place::new();
    let kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];
    for who in As::all() {
        let inside =
            place.sh(*who, &system(""), &format!("cd /proc/self/ns; readlink {}", kinds.join(" ")));
        for (kind, link) in kinds.iter().zip(inside.lines()) {
            let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert!(
                link.starts_with(kind) && Path::new(link) != host,
                "{who:?}: {link} is the host's"
            );
        }
        assert_eq!(inside.lines().count(), 8);
        assert_eq!(place.sh(*who, &system(""), "cat /proc/sys/kernel/hostname"), "stockade");
        assert_eq!(
            place.sh(*who, &system(""), "cat /proc/net/dev | wc -l"),
            "3",
            "{who:?}: two lines of heading and lo"
        );
        // The twin: what the profile leaves to the host is the host's.
        let shared = format!("{}[namespaces]\nuts = \"host\"\n", system(""));
        assert_eq!(
            Path::new(&place.sh(*who, &shared, "readlink /proc/self/ns/uts")),
            std::fs::read_link("/proc/self/ns/uts").unwrap()
        );
    }
}

#[test]
fn limits_guard_the_core_helper() {
    let place = Place::new();
    for who in As::all() {
        let limits = place.sh(*who, &system(""), "cat /proc/self/limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let values: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
        // At 0 the kernel still runs a helper of core_pattern, at 1 it does not (core(5)).
        assert_eq!(values, ["1", "1"], "{who:?}");
        let own = place.sh(
            *who,
            &format!("{}[rlimits]\nnofile = 100\ncore = 0\n", system("")),
            "ulimit -n; ulimit -Hn; ulimit -c",
        );
        assert_eq!(own, "100\n100\n0", "{who:?}");
    }
}

#[test]
fn the_environment_is_the_profiles() {
    let place = Place::new();
    let profile = |env: &str| format!("{}[env]\n{env}", system(""));
    for who in As::all() {
        let run = |env: &str| {
            let path = place.file("profile.toml", &profile(env));
            let mut command = place.stockade(*who);
            command
                .env("SECRET_TOKEN", "hidden")
                .env("LD_PRELOAD", "/none.so")
                .env("LANG", "xx_YY");
            let output = command
                .arg("run")
                .arg(path)
                .args(["/bin/cat", "/proc/self/environ"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            let mut found: Vec<String> =
                text(&output.stdout).split_terminator('\0').map(str::to_owned).collect();
            found.sort();
            found
        };
        assert_eq!(run(""), ["PATH=/usr/local/bin:/usr/bin:/bin"], "{who:?}");
        assert_eq!(
            run("LANG = true\nA = \"b\"\nABSENT = true\n"),
            ["A=b", "LANG=xx_YY", "PATH=/usr/local/bin:/usr/bin:/bin"],
            "{who:?}"
        );
    }
}

#[test]
fn pid_1_says_nothing_of_the_host() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        assert_eq!(
            place.sh(*who, &system(""), "tr -d '\\0' < /proc/1/cmdline; cat /proc/1/comm"),
            "stockadestockade",
            "{who:?}"
        );
        // The command line of the launcher holds the profile's place; nothing that can be read
        // inside may.
        let needle = place.path.file_name().unwrap().to_str().unwrap();
        let line = format!(
            "cat /proc/1/cmdline /proc/1/status /proc/1/stat /proc/1/mountinfo /proc/1/environ \
             2>/dev/null | grep -c {needle} || true"
        );
        assert_eq!(place.sh(*who, &system(""), &line), "0", "{who:?}");
        // The target may be faster than pid 1 is with what it does after the start.
        for _ in 0..20 {
            let output = run_probe(&place, *who, &with_probe(&place, ""), "print /proc/1/cmdline");
            assert!(
                output.status.success()
                    && text(&output.stdout).trim_end_matches('\0') == "stockade",
                "{who:?}: {}",
                said(&output)
            );
        }
        assert_eq!(
            place.sh(*who, &system(""), "set -- /proc/[0-9]*; echo $#"),
            "2",
            "{who:?}: pid 1 and the shell"
        );
    }
}

#[test]
fn the_keyring_is_new() {
    // keyctl(2) is closed inside, and /proc/keys hidden, so the kernel's call is watched from
    // outside.
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return skip("strace is not here");
    }
    let place = Place::new();
    let path = place.file("profile.toml", &system(""));
    let trace = place.path.join("trace");
    let launcher = place.path.join("stockade");
    let output = Command::new("strace")
        .args(["-f", "-e", "trace=keyctl", "-o"])
        .arg(&trace)
        .arg(launcher)
        .arg("run")
        .arg(path)
        .arg("/bin/true")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let calls = std::fs::read_to_string(&trace).unwrap();
    let joined = calls
        .lines()
        .filter(|line| line.contains("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL) = "))
        .count();
    assert_eq!(joined, 1, "{calls}");
}

// ---- descriptors ----

#[test]
fn inherited_descriptors_are_closed() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &with_probe(&place, ""));
    for who in As::all() {
        let mut command = place.outside(*who, &binary);
        command
            .args(["with", "3,7,1500", "/etc/passwd"])
            .arg(place.path.join("stockade"))
            .arg("run")
            .arg(&path)
            .args(["/probe", "fds"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(
            text(&output.stdout),
            "0 null\n1 other\n2 other\n",
            "{who:?}: {}",
            said(&output)
        );
        // The twin: the launcher did get them.
        let kept = place.file("kept.toml", &with_probe(&place, "[process]\npass-fds = [7, 1500]"));
        let mut command = place.outside(*who, &binary);
        command
            .args(["with", "3,7,1500", "/etc/passwd"])
            .arg(place.path.join("stockade"))
            .arg("run")
            .arg(&kept)
            .args(["/probe", "fds"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(
            text(&output.stdout),
            "0 null\n1 other\n2 other\n7 other\n1500 other\n",
            "{who:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn closed_standard_descriptors_are_dev_null() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &with_probe(&place, ""));
    for who in As::all() {
        for (closed, expected) in
            [("0", "0 null\n1 other\n2 other\n"), ("0,2", "0 null\n1 other\n2 null\n")]
        {
            let mut command = place.outside(*who, &binary);
            command
                .args(["without", closed])
                .arg(place.path.join("stockade"))
                .arg("run")
                .arg(&path)
                .args(["/probe", "fds"]);
            let output = command.output().unwrap();
            assert_eq!(text(&output.stdout), expected, "{who:?}: {closed}: {}", said(&output));
        }
        // With 1 closed nothing can be read, but what is printed must not go into a file that took
        // its number.
        let mut command = place.outside(*who, &binary);
        command
            .args(["without", "0,1,2"])
            .arg(place.path.join("stockade"))
            .arg("run")
            .arg(&path)
            .args(["/bin/sh", "-c"]);
        let output = command
            .arg("echo lost && echo lost >&2 && test /dev/null -ef /proc/self/fd/1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{who:?}: {}", said(&output));
    }
}

#[test]
fn a_folder_as_standard_stream_is_refused() {
    let place = Place::new();
    let profile = system("");
    let path = place.file("profile.toml", &profile);
    for who in As::all() {
        let folder = std::fs::File::open("/").unwrap();
        let output = place
            .stockade(*who)
            .arg("run")
            .arg(&path)
            .arg("/bin/true")
            .stdin(folder)
            .output()
            .unwrap();
        stopped(&output, "process::stream");
        let null = place.file("null.toml", &format!("{profile}[process]\nstdin = \"null\"\n"));
        let folder = std::fs::File::open("/").unwrap();
        let output = place
            .stockade(*who)
            .arg("run")
            .arg(&null)
            .arg("/bin/true")
            .stdin(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{who:?}: {}", said(&output));
    }
}

#[test]
fn a_file_as_stdin_is_not_opened_wider() {
    let place = Place::new();
    let binary = probe(&place);
    let path = place.file("profile.toml", &with_probe(&place, ""));
    let input = place.file("input", "line\n");
    // Every user may write to it, so that only Landlock protects it.
    std::fs::set_permissions(&input, PermissionsExt::from_mode(0o666)).unwrap();
    for who in As::all() {
        let run = |words: &[&str]| {
            let stdin = std::fs::File::open(&input).unwrap();
            place.stockade(*who).arg("run").arg(&path).args(words).stdin(stdin).output().unwrap()
        };
        assert_eq!(text(&run(&["/bin/cat", "/dev/stdin"]).stdout), "line\n", "{who:?}");
        for act in ["open-w", "open-rw"] {
            let output = run(&["/probe", act, "/proc/self/fd/0"]);
            assert!(
                output.status.code() == Some(1) && text(&output.stdout) == "EACCES\n",
                "{who:?}: {act}: {}",
                said(&output)
            );
            let stdin = std::fs::File::open(&input).unwrap();
            let twin = place
                .outside(*who, &binary)
                .args([act, "/proc/self/fd/0"])
                .stdin(stdin)
                .output()
                .unwrap();
            assert!(twin.status.success(), "{who:?}: {}", said(&twin));
        }
        // A file that was opened for writing alone cannot be read.
        let output_file = std::fs::OpenOptions::new().append(true).open(&input).unwrap();
        let output = place
            .stockade(*who)
            .arg("run")
            .arg(&path)
            .args(["/probe", "read", "/proc/self/fd/2"])
            .stderr(output_file)
            .output()
            .unwrap();
        assert!(
            output.status.code() == Some(1) && text(&output.stdout) == "EACCES\n",
            "{who:?}: {}",
            said(&output)
        );
    }
}

// ---- mounts ----

#[test]
fn read_only_means_the_mounts_below_too() {
    if !is_root() {
        return skip("making a mount below the bind needs root");
    }
    let place = Place::new();
    probe(&place);
    place.folder("tree/below", As::User);
    let tree = place.path.join("tree");
    let profile = with_probe(&place, &format!("\"/tree\" = {{ bind = \"{}\" }}", tree.display()));
    let path = place.file("profile.toml", &profile);
    let writable = with_probe(
        &place,
        &format!(
            "\"/tree\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}",
            tree.display()
        ),
    );
    let writable = place.file("writable.toml", &writable);
    let alone = format!(
        "\"/tree\" = {{ bind = \"{}\", access = \"ro\", recursive = false }}",
        tree.display()
    );
    let alone = place.file("alone.toml", &with_probe(&place, &alone));
    let run = |profile: &Path, line: &str| {
        // In mounts of its own, so that nothing is left where the test is killed.
        let mount = format!(
            "mount -t tmpfs -o mode=777 none {}/below && echo deep > {0}/below/file && exec {} run \
             {} {line}",
            tree.display(),
            place.path.join("stockade").display(),
            profile.display()
        );
        Command::new("unshare").args(["-m", "sh", "-c", &mount]).output().unwrap()
    };
    let output = run(&path, "/bin/cat /tree/below/file");
    assert_eq!(text(&output.stdout), "deep\n", "{}", said(&output));
    let output = run(&path, "/probe create /tree/below/x 644");
    assert!(
        output.status.code() == Some(1) && text(&output.stdout) == "EROFS\n",
        "{}",
        said(&output)
    );
    let output = run(&writable, "/probe create /tree/below/x 644");
    if support::tmpfs_can_be_mapped() {
        assert!(output.status.success(), "the twin: {}", said(&output));
    } else {
        assert!(
            output.status.code() == Some(125)
                && text(&output.stderr).contains("no idmapped mounts"),
            "the twin: {}",
            said(&output)
        );
    }
    let output = run(&alone, "/probe read /tree/below/file");
    assert!(
        output.status.code() == Some(1) && text(&output.stdout) == "ENOENT\n",
        "{}",
        said(&output)
    );
}

#[test]
fn attributes_of_the_mounts() {
    let place = Place::new();
    place.folder("rw", As::User);
    for who in As::all() {
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let folder = place.folder(if *who == As::Root { "of-root" } else { "rw" }, *who);
        let more = format!(
            "\"/work\" = {{ bind = \"{}\", access = \"rw\", exec = false{owner} }}",
            folder.display()
        );
        let info = place.sh(*who, &system(&more), "cat /proc/self/mountinfo");
        let mut seen = 0;
        let fields: Vec<Vec<&str>> = info.lines().map(|line| line.split(' ').collect()).collect();
        let root = fields.iter().find(|words| words[4] == "/").unwrap()[2];
        for (line, words) in info.lines().zip(&fields) {
            let (point, options): (&str, Vec<&str>) = (words[4], words[5].split(',').collect());
            seen += 1;
            if words[2] == root {
                // The root and the covers: the file system itself is read-only, wherever it is
                // mounted.
                assert!(
                    words[9].starts_with("ro,")
                        && options.contains(&"nosuid")
                        && options.contains(&"nodev"),
                    "{who:?}: {line}"
                );
                continue;
            }
            if point.strip_prefix("/dev/").is_some_and(|name| !["pts", "shm"].contains(&name)) {
                // A single device node of the host's: nothing is on it that a set-id bit or a
                // program could be.
                continue;
            }
            assert!(options.contains(&"nosuid"), "{who:?}: {line}");
            assert!(options.contains(&"nodev") || point.starts_with("/dev"), "{who:?}: {line}");
            let writable = ["/tmp", "/proc", "/dev/pts", "/dev/shm", "/work"].contains(&point);
            assert_eq!(options.contains(&"ro"), !writable, "{who:?}: {line}");
            let runs = ["/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc"].contains(&point);
            // A mount of the host's below a tree of programs runs them if it did.
            if !["/usr/", "/bin/", "/lib/", "/lib64/", "/sbin/"]
                .iter()
                .any(|tree| point.starts_with(tree))
            {
                assert_eq!(options.contains(&"noexec"), !runs, "{who:?}: {line}");
            }
            // No field of propagation: nothing goes to the host or comes from it.
            assert_eq!(words[6], "-", "{who:?}: {line}");
        }
        assert!(seen > 10, "{info}");
    }
}

#[test]
fn a_program_on_a_noexec_mount_does_not_run() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let profile = with_probe(&place, "\"/run-here\" = { tmpfs = \"16M\", exec = true }");
        let copy = |to: &str| {
            place.run(
                *who,
                &profile,
                &["/bin/sh", "-c", &format!("cp /probe {to}/p && {to}/p fds")],
            )
        };
        let output = copy("/tmp");
        assert_eq!(output.status.code(), Some(126), "{who:?}: {}", said(&output));
        let output = copy("/run-here");
        assert!(output.status.success(), "{who:?}: {}", said(&output));
    }
}

#[test]
fn hidden_is_empty_and_stays_so() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let name = format!("tree-{who:?}");
        let tree = place.folder(&name, *who);
        place.folder(&format!("{name}/dir"), *who);
        let file = place.file(&format!("{name}/dir/file"), "secret");
        place.file(&format!("{name}/key"), "secret");
        if *who == As::User && is_root() {
            for path in [&file, &tree.join("key")] {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
        let more = format!(
            "\"/t\" = {{ bind = \"{}\" }}\n\"/t/dir\" = \"hide\"\n\"/t/key\" = {{ hide = true }}",
            tree.display()
        );
        let profile = with_probe(&place, &more);
        assert_eq!(
            place.sh(*who, &profile, "ls -A /t/dir; ls /t; stat -c '%a %s' /t/key"),
            "dir\nkey\n0 0",
            "{who:?}"
        );
        for act in ["read /t/key", "open-w /t/key", "chmod /t/key 644", "chmod /t/dir 755"] {
            refused(&place, *who, &profile, act, &["EACCES", "EROFS"]);
        }
        // The cover has no name any more, and the kernel makes nothing in a removed directory.
        refused(&place, *who, &profile, "create /t/dir/x 644", &["ENOENT", "EROFS"]);
        refused(&place, *who, &profile, "read /t/dir/file", &["ENOENT"]);
    }
}

/// A writable bind at /w of a tree `a/b/secret` and `a/other`, with `secret` hidden, as directory
/// or as file.
struct Masked {
    place: Place,
    who: As,
    profile: String,
}

impl Masked {
    fn new(who: As, folder: bool) -> Masked {
        let place = Place::new();
        probe(&place);
        let tree = place.folder("w", who);
        for path in ["w/a", "w/a/b", "w/other"] {
            place.folder(path, who);
        }
        if folder {
            place.folder("w/a/b/secret", who);
            place.file("w/a/b/secret/token", "token");
        } else {
            place.file("w/a/b/secret", "token");
        }
        for path in ["w/a/b/secret", "w/a/b/secret/token"] {
            if is_root() && who == As::User && tree.parent().unwrap().join(path).exists() {
                chown(place.path.join(path), Some(USER), Some(USER)).unwrap();
            }
        }
        let owner = if who == As::Root { ", owner = \"root\"" } else { "" };
        let more = format!(
            "\"/w\" = {{ bind = \"{}\", access = \"rw\"{owner} }}\n\"/w/a/b/secret\" = \"hide\"",
            tree.display()
        );
        let profile = with_probe(&place, &more);
        Masked { place, who, profile }
    }
}

#[test]
fn a_mask_cannot_be_walked_round() {
    for who in As::all() {
        for folder in [true, false] {
            let Masked { place, who, profile } = Masked::new(*who, folder);
            // EBUSY is a mount point's, EXDEV what the link or the rename over its edge gives.
            let walled: &[&str] = &["EBUSY", "EXDEV", "EACCES", "EROFS"];
            for path in ["/w/a/b/secret", "/w/a/b", "/w/a"] {
                refused(&place, who, &profile, &format!("rename {path} /w/moved"), walled);
                refused(&place, who, &profile, &format!("exchange {path} /w/other"), walled);
                refused(&place, who, &profile, &format!("exchange /w/other {path}"), walled);
                refused(
                    &place,
                    who,
                    &profile,
                    &format!("rename /w/other {path}"),
                    &["EBUSY", "EXDEV", "EACCES", "EROFS", "ENOTDIR", "ENOTEMPTY"],
                );
                refused(
                    &place,
                    who,
                    &profile,
                    &format!("rmdir {path}"),
                    &["EBUSY", "ENOTDIR", "ENOTEMPTY", "EACCES"],
                );
            }
            refused(&place, who, &profile, "unlink /w/a/b/secret", &["EBUSY", "EISDIR"]);
            refused(
                &place,
                who,
                &profile,
                "link /w/a/b/secret /w/linked",
                &["EXDEV", "EPERM", "EACCES"],
            );
            let token = if folder { "/w/a/b/secret/token" } else { "/w/a/b/secret" };
            refused(&place, who, &profile, &format!("read {token}"), &["ENOENT", "EACCES"]);
            // The twin: without the mask each of them moves.
            let open = profile.replace("\"/w/a/b/secret\" = \"hide\"", "");
            granted(&place, who, &open, &format!("read {token}"));
            granted(&place, who, &open, "exchange /w/a/b/secret /w/other");
            granted(&place, who, &open, "exchange /w/other /w/a/b/secret");
            granted(&place, who, &open, "rename /w/a/b /w/moved");
            granted(&place, who, &open, "exchange /w/a /w/other");
        }
    }
}

#[test]
fn the_deepest_entry_wins() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let name = format!("tree-{who:?}");
        let tree = place.folder(&name, *who);
        for path in ["a", "a/b", "a/b/c"] {
            place.folder(&format!("{name}/{path}"), *who);
        }
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let bind = |inside: &str, below: &str, access: &str| {
            let owner = if access == "rw" { owner } else { "" };
            format!(
                "\"/t{inside}\" = {{ bind = \"{}{below}\", access = \"{access}\"{owner} }}\n",
                tree.display()
            )
        };
        // Writable, read-only in it, writable in that.
        let profile = with_probe(
            &place,
            &(bind("", "", "rw") + &bind("/a", "/a", "ro") + &bind("/a/b", "/a/b", "rw")),
        );
        granted(&place, *who, &profile, "create /t/x 644");
        refused(&place, *who, &profile, "create /t/a/x 644", &["EROFS"]);
        granted(&place, *who, &profile, "create /t/a/b/x 644");
        granted(&place, *who, &profile, "create /t/a/b/c/x 644");
        // Hidden, and a hole in the cover is refused rather than left out.
        let output = place.run(
            *who,
            &with_probe(
                &place,
                &(bind("", "", "ro") + "\"/t/a\" = \"hide\"\n" + &bind("/a/b", "/a/b", "ro")),
            ),
            &["/probe", "fds"],
        );
        stopped(&output, "mounts::below");
        // A tmpfs over a bound directory, and a bound directory in that.
        let profile = with_probe(
            &place,
            &(bind("", "", "ro") + "\"/t/a\" = \"tmpfs\"\n" + &bind("/a/deep/b", "/a/b", "ro")),
        );
        assert_eq!(
            place.sh(*who, &profile, "ls /t/a /t/a/deep/b | tr '\\n' ' '"),
            "/t/a: deep  /t/a/deep/b: c x",
            "{who:?}"
        );
        for path in ["x", "a/b/x", "a/b/c/x"] {
            std::fs::remove_file(tree.join(path)).unwrap();
        }
    }
}

#[test]
fn the_order_of_lines_means_nothing() {
    let place = Place::new();
    let tree = place.folder("tree/a/b", As::User);
    let top = tree.parent().unwrap().parent().unwrap();
    let mut lines = vec![
        format!("\"/t\" = {{ bind = \"{}\" }}", top.display()),
        "\"/t/a\" = \"tmpfs\"".into(),
        format!("\"/t/a/z\" = {{ bind = \"{}\" }}", tree.display()),
        "\"/usr\" = \"ro\"".into(),
        "\"/bin\" = \"ro\"".into(),
        "\"/proc\" = \"proc\"".into(),
        "\"/proc/uptime\" = \"hide\"".into(),
        "\"/dev\" = \"dev\"".into(),
        "\"/\" = \"tmpfs\"".into(),
        "\"/tmp\" = \"tmpfs\"".into(),
        "\"/etc/hosts\" = { text = \"127.0.0.1 localhost\\n\" }".into(),
        "\"/x/y\" = { symlink = \"../usr\" }".into(),
        "\"/x\" = { dir = \"0700\" }".into(),
    ];
    let plan = |lines: &[String]| {
        let path = place.file(
            "profile.toml",
            &format!(
                "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n{}\n",
                lines.join("\n")
            ),
        );
        let output =
            place.stockade(As::Root).args(["plan", "--format", "json"]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let mut value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        forget(&mut value);
        value
    };
    let first = plan(&lines);
    assert!(first["steps"].as_array().unwrap().len() > 20);
    // Every rotation, forwards and backwards: each line is at each place once.
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        assert_eq!(plan(&lines), first, "{lines:#?}");
        let backwards: Vec<String> = lines.iter().rev().cloned().collect();
        assert_eq!(plan(&backwards), first, "{backwards:#?}");
    }
    lines.pop();
    assert_ne!(plan(&lines), first, "the twin: a line less is another plan");
}

/// Takes out what differs from run to run: the place of a line, lists in the order of lines, and
/// the host ids that a process id chose, as numbers and in words.
fn forget(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for key in ["at", "outside", "maps", "protections", "warnings"] {
                map.remove(key);
            }
            map.values_mut().for_each(forget);
        }
        serde_json::Value::String(text) if text.starts_with("the target has the host ids ") => {
            text.clear()
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(forget),
        _ => {}
    }
}

#[test]
fn a_link_in_a_bound_tree_is_not_followed() {
    let place = Place::new();
    for who in As::all() {
        let tree = place.folder(&format!("tree-{who:?}"), *who);
        let canary = place.folder(&format!("canary-{who:?}"), *who);
        place.file(&format!("canary-{who:?}/file"), "untouched");
        symlink("/etc", tree.join("etc")).unwrap();
        symlink(&canary, tree.join("out")).unwrap();
        symlink(format!("../canary-{who:?}"), tree.join("up")).unwrap();
        let before = (tree_of(&canary), tree_of(&tree));
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        for access in ["rw", "ro"] {
            let owner = if access == "rw" { owner } else { "" };
            for below in [
                "\"/t/etc/x\" = \"tmpfs\"",
                "\"/t/etc/hosts\" = { text = \"x\" }",
                "\"/t/out/file\" = { text = \"x\" }",
                "\"/t/up/file\" = { text = \"x\" }",
                "\"/t/out\" = \"tmpfs\"",
                "\"/t/out/file\" = \"hide\"",
                "\"/t/up\" = \"hide\"",
                "\"/t/up\" = { bind = \"/usr\" }",
                "\"/t/etc\" = { bind = \"/usr\", access = \"ro\" }",
            ] {
                let more = format!(
                    "\"/t\" = {{ bind = \"{}\", access = \"{access}\"{owner} }}\n{below}",
                    tree.display()
                );
                let output = place.run(*who, &system(&more), &["/bin/true"]);
                assert_eq!(
                    output.status.code(),
                    Some(125),
                    "{who:?}: {access}: {below}: {}",
                    said(&output)
                );
            }
        }
        assert_eq!((tree_of(&canary), tree_of(&tree)), before, "{who:?}");
    }
}

#[test]
fn a_link_that_is_not_root_s_is_no_source() {
    // An earlier target may have put it there.
    let place = Place::new();
    for who in As::all() {
        let tree = place.folder(&format!("tree-{who:?}"), As::User);
        let real = place.folder(&format!("real-{who:?}/below"), *who);
        symlink(real.parent().unwrap(), tree.join("link")).unwrap();
        if is_root() {
            std::os::unix::fs::lchown(tree.join("link"), Some(USER), Some(USER)).unwrap();
        }
        for (source, code) in [("link", "mounts::link"), ("link/below", "mounts::link")] {
            let more = format!("\"/t\" = {{ bind = \"{}/{source}\" }}", tree.display());
            stopped(&place.run(*who, &system(&more), &["/bin/true"]), code);
        }
    }
}

#[test]
fn nothing_is_made_in_a_tree_of_the_host() {
    let place = Place::new();
    for who in As::all() {
        let tree = place.folder(&format!("tree-{who:?}"), *who);
        place.folder(&format!("tree-{who:?}/there"), *who);
        place.file(&format!("tree-{who:?}/file"), "text");
        let before = tree_of(&tree);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let grant = |below: &str| {
            system(&format!(
                "\"/t\" = {{ bind = \"{}\", access = \"rw\"{owner} }}\n{below}",
                tree.display()
            ))
        };
        for (below, code) in [
            ("\"/t/absent\" = \"tmpfs\"", "mounts::no-mount-point"),
            ("\"/t/absent/deep\" = { bind = \"/usr\" }", "mounts::no-mount-point"),
            ("\"/t/absent\" = { text = \"x\" }", "mounts::no-mount-point"),
            ("\"/t/absent\" = \"hide\"", "mounts::hide"),
            ("\"/t/absent\" = { dir = \"0755\" }", "mounts::below"),
            ("\"/t/absent\" = { symlink = \"x\" }", "mounts::below"),
            ("\"/t/there\" = { text = \"x\" }", "mounts::no-mount-point"),
            ("\"/t/file\" = \"tmpfs\"", "mounts::no-mount-point"),
            ("\"/t/file/below\" = \"tmpfs\"", "mounts::no-mount-point"),
        ] {
            let output = place.run(*who, &grant(below), &["/bin/true"]);
            assert!(
                output.status.code() == Some(125) && text(&output.stderr).contains(code),
                "{who:?}: {below}: {}",
                said(&output)
            );
            assert_eq!(tree_of(&tree), before, "{who:?}: {below}");
        }
        // What is there is covered, and comes back.
        let covered = "\"/t/there\" = \"tmpfs\"\n\"/t/file\" = { text = \"other\" }";
        assert_eq!(
            place.sh(*who, &grant(covered), "cat /t/file; echo x > /t/there/x; ls /t/there"),
            "otherx",
            "{who:?}"
        );
        assert_eq!(tree_of(&tree), before, "{who:?}");
    }
}

// ---- owners ----

#[test]
fn what_the_target_writes_belongs_to_the_tree_s_owner() {
    let place = Place::new();
    probe(&place);
    let tree = place.folder("tree", As::User);
    let owner = tree.metadata().unwrap().uid();
    let profile = with_probe(
        &place,
        &format!("\"/t\" = {{ bind = \"{}\", access = \"rw\" }}", tree.display()),
    );
    for who in As::all() {
        place.sh(
            *who,
            &profile,
            "echo x > /t/file && mkdir /t/dir && ln -s x /t/link && echo y > /t/dir/file",
        );
        for name in ["file", "dir", "link", "dir/file"] {
            let meta = tree.join(name).symlink_metadata().unwrap();
            assert_eq!(
                (meta.uid(), meta.gid()),
                (owner, tree.metadata().unwrap().gid()),
                "{who:?}: {name}"
            );
        }
        // It is the target's own inside.
        let id = place.sh(*who, &profile, "id -u");
        assert_eq!(place.sh(*who, &profile, "stat -c %u /t /t/file | sort -u"), id, "{who:?}");
        place.sh(*who, &profile, "rm -r /t/*");
        if is_root() {
            // Of another owner it is nobody's, and closed by its mode.
            let other = place.file("tree/other", "other");
            chown(&other, Some(0), Some(0)).unwrap();
            std::fs::set_permissions(&other, PermissionsExt::from_mode(0o600)).unwrap();
            assert_eq!(place.sh(*who, &profile, "stat -c %u /t/other"), "65534", "{who:?}");
            refused(&place, *who, &profile, "read /t/other", &["EACCES"]);
            refused(&place, *who, &profile, "open-w /t/other", &["EACCES"]);
            std::fs::remove_file(other).unwrap();
        }
    }
}

#[test]
fn a_tree_of_root_s_needs_a_word() {
    if !is_root() {
        return skip("only root's sandboxes are mapped");
    }
    let place = Place::new();
    probe(&place);
    let tree = place.folder("tree", As::Root);
    let grant = |owner: &str, more: &str| {
        with_probe(
            &place,
            &format!(
                "\"/t\" = {{ bind = \"{}\", access = \"rw\"{owner} }}\n{more}",
                tree.display()
            ),
        )
    };
    stopped(&place.run(As::Root, &grant("", ""), &["/probe", "fds"]), "mounts::owner");
    let set_id: &[&str] = &["EPERM"];
    for ids in ["", "[identity]\nuser = 0\ngroup = 0"] {
        let profile = grant(", owner = \"root\"", ids);
        place.sh(
            As::Root,
            &profile,
            "echo '#!/bin/sh' > /t/file && chmod 755 /t/file && mkdir /t/dir",
        );
        for name in ["file", "dir"] {
            let meta = tree.join(name).metadata().unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, 0, 0o755), "{name}");
        }
        for act in [
            "chmod /t/file 4755",
            "chmod /t/file 2755",
            "fchmod /t/file 4755",
            "fchmodat2 /t/file 4755",
            "chmod /t/dir 2755",
            "create /t/new 4755",
            "create /t/new 2755",
            "creat /t/new 4755",
            "mknod-mode /t/new 4755",
            "mkfifo-mode /t/new 4755",
        ] {
            let act = act.replace("mkfifo-mode", "mknod-mode");
            refused(&place, As::Root, &profile, &act, set_id);
        }
        // openat2 keeps its mode behind a pointer, so the filter has it absent; programs turn to
        // openat.
        refused(&place, As::Root, &profile, "openat2 /t/new 4755", &["ENOSYS"]);
        refused(&place, As::Root, &profile, "mknod /t/node", &["EPERM"]);
        // mkdir cannot set them but sticky, which is harmless; a set-group-id folder's children
        // take the bit by themselves.
        granted(&place, As::Root, &profile, "mkdir /t/plain 755");
        granted(&place, As::Root, &profile, "create /t/plain/file 755");
        granted(&place, As::Root, &profile, "mkfifo /t/fifo");
        let found = tree_of(&tree);
        assert!(
            !found
                .values()
                .any(|line| u32::from_str_radix(line.split(' ').next().unwrap(), 8).unwrap()
                    & 0o6000
                    != 0),
            "{found:#?}"
        );
        assert!(!tree.join("new").exists());
        place.sh(As::Root, &profile, "rm -r /t/*");
    }
    // The twin: on a tree of another owner the bit is that owner's, where a word says so.
    let theirs = place.folder("theirs", As::User);
    let profile = with_probe(
        &place,
        &format!(
            "\"/t\" = {{ bind = \"{}\", access = \"rw\" }}\n[seccomp]\nset-id = true",
            theirs.display()
        ),
    );
    granted(&place, As::Root, &profile, "create /t/new 4755");
}

#[test]
fn file_capabilities_cannot_be_written() {
    if !is_root() {
        return skip("the tree must be root's");
    }
    let place = Place::new();
    let tree = place.folder("tree", As::Root);
    let profile = system(&format!(
        "\"/t\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}\n[identity]\nuser = \
         0\ngroup = 0",
        tree.display()
    ));
    let line = "cp /bin/true /t/true && ! setfattr -n security.capability -v \
                0x0100000200200000000000000000000000000000 /t/true 2>/dev/null && ! \
                /usr/sbin/setcap cap_sys_admin+ep /t/true 2>/dev/null; echo done";
    place.sh(As::Root, &profile, line);
    let output = Command::new("python3")
        .args(["-c", "import os, sys; print(os.listxattr(sys.argv[1]))"])
        .arg(tree.join("true"))
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout).trim(), "[]");
    let attempt = "import os; os.setxattr('/t/true', 'security.capability', \
                   bytes.fromhex('0100000200200000000000000000000000000000'))";
    let output = place.run(As::Root, &profile, &["/usr/bin/python3", "-c", attempt]);
    assert!(
        !output.status.success() && text(&output.stderr).contains("PermissionError"),
        "{}",
        said(&output)
    );
}

// ---- files ----

#[test]
fn secrets_of_the_host_are_unreadable() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let profile = with_probe(&place, "");
        // /etc is bound here; the owner of the file is not the target.
        refused(&place, *who, &profile, "read /etc/shadow", &["EACCES"]);
        refused(
            &place,
            *who,
            &format!("{profile}[identity]\nuser = 0\ngroup = 0\n"),
            "read /etc/shadow",
            &["EACCES"],
        );
        refused(&place, *who, &profile, "read /root/.bashrc", &["ENOENT", "EACCES"]);
        refused(&place, *who, &profile, "inode /home", &["ENOENT", "EACCES"]);
        let empty = format!(
            "format = 1\n[mounts]\n\"/probe\" = {{ bind = \"{}\" }}\n",
            place.path.join("probe").display()
        );
        for path in ["/etc/hostname", "/usr/bin", "/proc/self/status", "/dev/null", "/sys/kernel"] {
            refused(&place, *who, &empty, &format!("inode {path}"), &["ENOENT"]);
        }
        refused(&place, *who, &empty, "create /x 644", &["EROFS", "EACCES"]);
    }
}

#[test]
fn passwd_and_group_know_the_target_alone() {
    let place = Place::new();
    for who in As::all() {
        let passwd = place.sh(
            *who,
            &system("[env]\nHOME = \"/tmp/home\""),
            "cat /etc/passwd; echo; cat /etc/group; echo; id -un; id -gn",
        );
        if *who == As::User && !is_root() {
            return skip("the name is that of the one who runs this test");
        }
        // USER is in no passwd, so its number is its name.
        let (name, id) =
            if *who == As::Root { ("user".to_owned(), 1000) } else { (USER.to_string(), USER) };
        let expected = format!(
            "{name}:x:{id}:{id}:{name}:/tmp/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n\n{name}:x:{id}:\nnogroup:x:65534:\n\n{name}\n{name}"
        );
        assert_eq!(passwd, expected, "{who:?}");
        // A bound /etc is the host's but for these.
        let host = std::fs::read_to_string("/etc/passwd").unwrap();
        assert!(!passwd.contains(host.lines().next().unwrap()));
    }
}

#[test]
fn a_secret_is_a_file_in_memory() {
    let place = Place::new();
    probe(&place);
    let path = place
        .file("profile.toml", &with_probe(&place, "\"/run/secrets/token\" = { env = \"TOKEN\" }"));
    for who in As::all() {
        let run = |words: &[&str]| {
            place
                .stockade(*who)
                .env("TOKEN", "s3cr3t-value")
                .arg("run")
                .arg(&path)
                .args(words)
                .output()
                .unwrap()
        };
        let output = run(&[
            "/bin/sh",
            "-c",
            "cat /run/secrets/token; stat -c ' %a' /run/secrets/token; grep -c TOKEN \
             /proc/self/environ",
        ]);
        assert_eq!(text(&output.stdout), "s3cr3t-value 400\n0\n", "{who:?}: {}", said(&output));
        let output = run(&["/bin/stat", "-f", "-c", "%T", "/run/secrets/token"]);
        assert_eq!(text(&output.stdout), "tmpfs\n", "{who:?}: {}", said(&output));
        let output = run(&["/probe", "open-w", "/run/secrets/token"]);
        assert_eq!(output.status.code(), Some(1), "{who:?}: {}", said(&output));
        // It is not shown where the plan is.
        for format in [&["plan"][..], &["plan", "--format", "json"], &["check"]] {
            let output = place
                .stockade(*who)
                .env("TOKEN", "s3cr3t-value")
                .args(format)
                .arg(&path)
                .arg("/bin/true")
                .output()
                .unwrap();
            assert!(!said(&output).contains("s3cr3t-value"), "{format:?}: {}", said(&output));
        }
        let output = place.stockade(*who).arg("run").arg(&path).arg("/bin/true").output().unwrap();
        stopped(&output, "mounts::env");
    }
}

#[test]
fn proc_tells_little_of_the_host() {
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let profile = with_probe(&place, "");
        for name in ["kcore", "keys", "timer_list", "interrupts", "sched_debug", "latency_stats"] {
            if Path::new("/proc").join(name).exists() {
                refused(&place, *who, &profile, &format!("read /proc/{name}"), &["EACCES"]);
            }
        }
        for name in ["acpi", "scsi", "asound"] {
            if Path::new("/proc").join(name).exists() {
                assert_eq!(
                    place.sh(*who, &profile, &format!("ls -A /proc/{name}")),
                    "",
                    "{who:?}: {name}"
                );
            }
        }
        granted(&place, *who, &profile, "read /proc/uptime");
    }
}

#[test]
fn the_host_s_kernel_trees_are_not_bound() {
    let place = Place::new();
    for who in As::all() {
        for (entry, code) in [
            ("\"/p\" = { bind = \"/proc\" }", "mounts::kernel-tree"),
            ("\"/p\" = { bind = \"/proc/sys\" }", "mounts::kernel-tree"),
            ("\"/d\" = { bind = \"/dev\" }", "mounts::kernel-tree"),
            ("\"/d\" = { bind = \"/dev/null\" }", "mounts::device"),
            ("\"/r\" = { bind = \"/run\" }", "mounts::sockets"),
            ("\"/e\" = { bind = \"/usr\", access = \"rw\" }", "mounts::broad"),
            ("\"/e\" = { bind = \"/\", access = \"rw\", sockets = true }", "mounts::broad"),
        ] {
            let output = place.run(*who, &system(entry), &["/bin/true"]);
            assert!(
                output.status.code() == Some(125) && text(&output.stderr).contains(code),
                "{who:?}: {entry}: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_whole_root_is_read_only_and_without_the_host_s_processes() {
    let place = Place::new();
    let binary = probe(&place);
    for who in As::all() {
        let profile = "format = 1\n[mounts]\n\"/\" = \"ro\"\n\"/proc\" = \"proc\"\n\"/dev\" = \
                       \"dev\"\n\"/tmp\" = \"tmpfs\"\n";
        let profile = format!("{profile}\"/probe\" = {{ bind = \"{}\" }}\n", binary.display());
        refused(&place, *who, &profile, "create /etc/x 644", &["EROFS", "EACCES"]);
        refused(&place, *who, &profile, "create /x 644", &["EROFS", "EACCES"]);
        assert_eq!(
            place.sh(
                *who,
                &profile,
                "ls /tmp; set -- /proc/[0-9]*; echo $#; cat /etc/shadow 2>/dev/null || echo closed"
            ),
            "2\nclosed",
            "{who:?}"
        );
    }
}

#[test]
fn the_host_s_device_nodes_keep_their_modes() {
    if !is_root() {
        return skip("only a target that is the host's root owns them");
    }
    let place = Place::new();
    probe(&place);
    // A node of the test's own stands for one of the host's.
    let node = place.path.join("node");
    assert!(
        Command::new("mknod")
            .args(["-m", "666"])
            .arg(&node)
            .args(["c", "1", "3"])
            .status()
            .unwrap()
            .success()
    );
    let more = format!(
        "\"/node\" = {{ device = \"{}\" }}\n[identity]\nuser = 0\ngroup = 0\n",
        node.display()
    );
    for (ids, errno) in [("", "EPERM"), ("host = true\n", "EROFS")] {
        let profile = with_probe(&place, &format!("{more}{ids}"));
        refused(&place, As::Root, &profile, "chmod /node 600", &["EROFS"]);
        granted(&place, As::Root, &profile, "open-rw /node");
        // The same mode as before, so that a missing protection does no harm.
        refused(&place, As::Root, &profile, "chmod /dev/null 666", &[errno]);
    }
    assert_eq!(node.metadata().unwrap().mode() & 0o777, 0o666);
}

#[test]
fn nothing_is_left() {
    let place = Place::new();
    let before = support::mounts_of(&place);
    for who in As::all() {
        // A process that would live on, in a session of its own.
        let name = format!("41{}{}", std::process::id(), u8::from(*who == As::Root));
        let output = place.run(
            *who,
            &system(""),
            &["/bin/sh", "-c", &format!("setsid sleep {name} </dev/null >/dev/null 2>&1 & exit 7")],
        );
        assert_eq!(output.status.code(), Some(7), "{who:?}: {}", said(&output));
        assert_eq!(support::processes_with(&format!("sleep {name}")), [""; 0], "{who:?}");
    }
    assert_eq!(support::mounts_of(&place), before);
}

#[test]
fn the_target_has_a_group_of_its_own() {
    let place = Place::new();
    let path = place.file("profile.toml", &system(""));
    for who in As::all() {
        let output = place
            .stockade(*who)
            .process_group(0)
            .arg("run")
            .arg(&path)
            .args(["/bin/sh", "-c", "ps -o pgid= -p $$ | tr -d ' '; echo $$"])
            .output()
            .unwrap();
        let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        assert!(lines.len() == 2 && lines[0] == lines[1], "{who:?}: {}", said(&output));
    }
}

#[test]
fn a_folder_that_is_absent_is_made_for_the_caller_where_the_entry_says_so() {
    let place = Place::new();
    let folder = place.folder("made", As::User);
    let source = folder.join("new").display().to_string();
    let profile = system(&format!(
        "\"/w\" = {{ bind = \"{source}\", access = \"rw\", missing = \"create\" }}"
    ));
    place.sh(As::User, &profile, "echo x > /w/f");
    assert_eq!(std::fs::read_to_string(format!("{source}/f")).unwrap(), "x\n");
    // It is there now, and is taken as it is.
    place.sh(As::User, &profile, "rm /w/f");
    assert!(!Path::new(&format!("{source}/f")).exists());
}

#[test]
fn a_folder_is_not_made_where_a_target_could_have_led() {
    // A link that an earlier target put into a writable directory must not decide where the next
    // run makes and grants a directory.
    let place = Place::new();
    let writable = place.folder("writable", As::User);
    let elsewhere = place.folder("elsewhere", As::User);
    let below = place.folder("elsewhere/below", As::User);
    let link = writable.join("build");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    if support::is_root() {
        std::os::unix::fs::lchown(&link, Some(support::USER), Some(support::USER)).unwrap();
    }
    for (source, code) in [
        (link.join("out").display().to_string(), "mounts::create"),
        (link.join("below/out").display().to_string(), "mounts::link"),
        (link.join("none/out").display().to_string(), "mounts::create"),
        ("/usr/stockade-test-out".into(), "mounts::broad"),
    ] {
        let profile = system(&format!(
            "\"/w\" = {{ bind = \"{source}\", access = \"rw\", missing = \"create\" }}"
        ));
        let output = place.run(As::User, &profile, &["/bin/true"]);
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains(code),
            "{source}: {}",
            text(&output.stderr)
        );
    }
    assert_eq!(
        std::fs::read_dir(&elsewhere).unwrap().count(),
        1,
        "a folder was made through the link"
    );
    assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0, "a folder was made through the link");
}

/// A target that closes a directory in a writable tree could open it again in the next run, and come
/// to what is hidden or read-only there. Root looks everywhere.
#[test]
fn what_the_caller_may_not_look_at_is_not_left_out_of_a_writable_tree() {
    let place = Place::new();
    let tree = place.folder("tree", As::User);
    let closed = place.folder("tree/closed", As::User);
    place.folder("tree/closed/hooks", As::User);
    let at = tree.display();
    let run = |access: &str, hooks: &str, mode: u32| {
        let bind = format!("\"/w\" = {{ bind = \"{at}\", access = \"{access}\" }}\n");
        let entry = format!("\"/w/closed/hooks\" = {{ {hooks}, missing = \"skip\" }}\n");
        let line = "chmod 700 /w/closed; touch /w/closed/hooks/new && echo written";
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
        place.run(As::User, &system(&(bind + &entry)), &["sh", "-c", line])
    };
    for hooks in ["hide = true".to_owned(), format!("bind = \"{at}/closed/hooks\"")] {
        // The twins: it can be looked at, or nobody can open it inside.
        for (access, mode) in [("rw", 0o700), ("ro", 0)] {
            let output = run(access, &hooks, mode);
            assert_eq!(output.status.code(), Some(1), "{hooks} {access}: {}", errors(&output));
        }
        let output = run("rw", &hooks, 0);
        let said = errors(&output);
        let is_told = said.contains("hooks: permission denied") && said.contains("profile.toml:13");
        assert!(output.status.code() == Some(125) && is_told, "{hooks}: {said}");
    }
}
