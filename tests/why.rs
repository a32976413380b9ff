//! `stockade why` says what a probe inside the real sandbox gets; and the line that it names
//! changes that.

use crate::support::{self, As, Dice, Place, USER, is_root, text};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use stockade::internals::kernel::capability::Capability;
use stockade::internals::kernel::syscalls;

// ---- questions ----

/// A question as `why` takes it, and as the probe takes it.
#[derive(Clone)]
struct Question {
    why: String,
    probe: String,
}

fn on_path(act: &str, path: &str) -> Question {
    let probe = if act == "connect" { "connect-path" } else { act };
    Question { why: format!("{act}:{path}"), probe: format!("{probe} {path}") }
}

fn call(number: u32, arguments: &[u64]) -> Question {
    let name = syscalls::name(number).unwrap();
    let words: Vec<String> = arguments.iter().map(u64::to_string).collect();
    Question {
        why: format!("syscall:{name}:{}", words.join(",")),
        probe: format!("call {number} {}", words.join(" ")),
    }
}

/// Arguments on both sides of every test that the filter makes.
const ARGUMENTS: &[[u64; 6]] = &[
    [0; 6],
    [1, 1, 1, 1, 1, 1],
    [2, 1, 6, 0, 0, 0],
    [2, 3, 0, 0, 0, 0],
    [2, 0x8_0001, 0, 0, 0, 0],
    [16, 3, 0, 0, 0, 0],
    [16, 3, 9, 0, 0, 0],
    [40, 1, 0, 0, 0, 0],
    [u64::MAX; 6],
    [0x1000_0000, 0x5412, 0x10_0000, 0, 0, 0],
    [0x1_0000_0001, 0x1_0000_5412, 0x1000, 0o6755, 0, 0],
    [0, 4, 1, 0, 0, 0],
    [35, 0o4755, 0o4755, 0o4755, 0, 0],
    [0, 0x41, 0o4755, 0o2755, 0, 0],
    [0, 0, 0x41, 0o4755, 0, 0],
    [0x8_0000, 0x4b40, 0, 0, 0, 0],
];

/// Every call that a filter is asked about: the kernel's own uprobes pass it by (Linux 6.14).
fn known() -> impl Iterator<Item = u32> {
    syscalls::known()
        .filter(|(_, name)| !["uprobe", "uretprobe"].contains(name))
        .map(|(number, _)| number)
}

/// Calls with a rule that looks at arguments, in some policy.
const LOOKED_AT: &[&str] = &[
    "chmod",
    "clone",
    "clone3",
    "creat",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "ioctl",
    "ioprio_set",
    "mknod",
    "mknodat",
    "open",
    "openat",
    "openat2",
    "personality",
    "prctl",
    "prlimit64",
    "setpriority",
    "setrlimit",
    "socket",
    "socketpair",
    "unshare",
];

fn all_calls() -> Vec<Question> {
    let full = std::env::var_os("FULL").is_some();
    let sets = |number: &u32| {
        let all = full || LOOKED_AT.contains(&syscalls::name(*number).unwrap());
        if all { ARGUMENTS } else { &ARGUMENTS[..2] }
    };
    let known: Vec<u32> = known().collect();
    known
        .iter()
        .flat_map(|number| sets(number).iter().map(|arguments| call(*number, arguments)))
        .collect()
}

/// A hundred calls and more, without arguments.
fn some_calls() -> Vec<Question> {
    known().step_by(3).map(|number| call(number, &[0; 6])).collect()
}

fn of_the_process() -> Vec<Question> {
    let capability = |number: u8| Question {
        why: format!("cap:{}", Capability(number)),
        probe: format!("cap {number}"),
    };
    let variable =
        |name: &str| Question { why: format!("env:{name}"), probe: format!("env {name}") };
    let address = |act: &str, address: &str, port: u16| Question {
        why: format!("{act}:{address}:{port}"),
        probe: format!("{act} {address} {port}"),
    };
    let mut all: Vec<Question> = (0..41).map(capability).collect();
    all.extend(["HOME", "PATH", "LANG", "TOKEN", "STRAY", "LC_ALL"].map(variable));
    all.extend(
        [("127.0.0.1", 9), ("127.0.0.2", 65_000), ("198.51.100.7", 9)]
            .map(|(to, port)| address("connect", to, port)),
    );
    all.extend(
        [("127.0.0.1", 0), ("0.0.0.0", 47_123), ("127.0.0.1", 81), ("198.51.100.7", 47_123)]
            .map(|(on, port)| address("bind", on, port)),
    );
    all
}

// ---- a tree with all sorts of files ----

/// Files of the caller's, and of others', in every mode that matters.
fn grow(place: &Place, who: As) -> PathBuf {
    let data = place.folder("data", who);
    let own = |path: &Path| {
        if is_root() && who == As::User {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    };
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    let write = |name: &str, bytes: &[u8], bits: u32| {
        let path = data.join(name);
        std::fs::write(&path, bytes).unwrap();
        own(&path);
        mode(&path, bits);
    };
    let folder = |name: &str, bits: u32| {
        let path = data.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("in"), "x").unwrap();
        own(&path);
        own(&path.join("in"));
        mode(&path, bits);
    };
    write("open", b"x", 0o644);
    write("secret", b"x", 0o600);
    write("shut", b"x", 0);
    write("sealed", b"x", 0o444);
    write("everybody", b"x", 0o666);
    write("script", b"#!/bin/sh\nexit 0\n", 0o755);
    write("orphan", b"#!/absent/interpreter\n", 0o755);
    write("chained", format!("#!{}/script\n", "/data").as_bytes(), 0o755);
    write("nonsense", b"neither machine code nor a script", 0o755);
    write("unread", b"#!/bin/sh\nexit 0\n", 0o111);
    folder("sub", 0o755);
    folder("sub/deep", 0o755);
    folder("closed", 0);
    folder("unlisted", 0o311);
    folder("unwalked", 0o644);
    folder("fixed", 0o555);
    folder("shared", 0o1777);
    for (name, to) in [
        ("near", "open"),
        ("up", "sub/../sub/in"),
        ("out", "/etc/hostname"),
        ("away", "/outside"),
        ("dangling", "sub/nothing"),
        ("loop", "loop"),
        ("folder", "sub"),
        ("shared/link", "../open"),
        // Such a text leads to a directory, or nowhere.
        ("slash", "open/"),
        ("dot", "open/."),
        ("folder-slash", "sub/"),
        ("new-slash", "sub/new/"),
        ("dots", "closed/../open"),
    ] {
        symlink(to, data.join(name)).unwrap();
    }
    // A process listens: Landlock is asked only if there is a socket behind the file (unix_find_bsd
    // of af_unix.c), and without one every connect is ECONNREFUSED.
    let listener = UnixListener::bind(data.join("socket")).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    own(&data.join("socket"));
    nix::unistd::mkfifo(&data.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .unwrap();
    own(&data.join("fifo"));
    mode(&data.join("socket"), 0o666);
    // A static program, without the system's loader; a file of its own, for the probe's own is
    // being executed.
    assert!(
        Command::new("cp")
            .arg(place.path.join("probe"))
            .arg(data.join("tool"))
            .status()
            .unwrap()
            .success()
    );
    own(&data.join("tool"));
    if is_root() {
        for (name, uid, gid, bits) in [
            ("roots", 0, 0, 0o640),
            ("roots-all", 0, 0, 0o666),
            ("groups", 0, USER, 0o660),
            ("others", 4242, 4242, 0o606),
        ] {
            write(name, b"x", bits);
            chown(data.join(name), Some(uid), Some(gid)).unwrap();
        }
        for (name, uid, bits) in [("roots-folder", 0, 0o750), ("roots-open-folder", 0, 0o777)] {
            folder(name, bits);
            chown(data.join(name), Some(uid), Some(0)).unwrap();
        }
        for (name, link) in [("foreign", "open"), ("foreign-out", "/etc/hostname")] {
            let path = data.join("shared").join(name);
            symlink(link, &path).unwrap();
            std::os::unix::fs::lchown(&path, Some(4242), Some(4242)).unwrap();
        }
    }
    data
}

/// What is asked of every tree.
const PATHS: &[&str] = &[
    "/",
    "/absent",
    "/absent/deeper",
    "/absent/deeper/",
    "/bin",
    "/bin/true",
    "/bin/true/",
    "/bin/sh",
    "/usr",
    "/usr/bin/env",
    "/usr/share",
    "/usr/share/doc",
    "/usr/lib/os-release",
    "/usr/bin/absent",
    "/etc",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/hosts",
    "/etc/hosts/",
    "/etc/hosts/.",
    "/etc/hosts/below",
    "/etc/hostname",
    "/etc/os-release",
    "/root",
    "/home",
    "/tmp",
    "/tmp/new",
    "/tmp/new/deeper",
    "/dev",
    "/dev/null",
    "/dev/zero",
    "/dev/shm",
    "/dev/pts",
    "/dev/ptmx",
    "/dev/kmsg",
    "/dev/stdout/x",
    "/proc",
    "/proc/self/status",
    "/proc/self/environ",
    "/proc/self/mem",
    "/proc/self/comm",
    "/proc/self/cwd",
    "/proc/self/root/etc",
    "/proc/1",
    "/proc/1/status",
    "/proc/1/environ",
    "/proc/1/fd",
    "/proc/meminfo",
    "/proc/kcore",
    "/proc/keys",
    "/proc/acpi",
    "/proc/sys",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/proc/mounts",
    "/proc/net/dev",
    "/sys",
    "/sys/kernel",
    "/sys/power",
    "/var",
    "/var/tmp/new",
    "/probe",
];

/// Below each place where a part of the tree of [`grow`] is shown.
const NAMES: &[&str] = &[
    "",
    "open",
    "secret",
    "shut",
    "sealed",
    "everybody",
    "script",
    "orphan",
    "chained",
    "nonsense",
    "unread",
    "tool",
    "sub",
    "sub/in",
    "sub/deep",
    "sub/deep/in",
    "sub/new",
    "closed",
    "closed/in",
    "unlisted",
    "unlisted/in",
    "unwalked",
    "unwalked/in",
    "fixed",
    "fixed/new",
    "shared",
    "shared/link",
    "near",
    "up",
    "out",
    "away",
    "dangling",
    "loop",
    "folder",
    "folder/in",
    "open/",
    "open/.",
    "sub/",
    "sub/.",
    "closed/.",
    "near/",
    "folder/",
    "slash",
    "dot",
    "folder-slash",
    "folder-slash/in",
    "new-slash",
    "dots",
    "open/below",
    "socket",
    "fifo",
    "new",
    "new/deeper",
    "roots",
    "roots-all",
    "groups",
    "others",
    "roots-folder",
    "roots-folder/in",
    "roots-open-folder",
    "roots-open-folder/in",
    "roots-open-folder/new",
    "shared/foreign",
    "shared/foreign-out",
];

fn of_paths(tops: &[&str]) -> Vec<Question> {
    let below = |top: &str| {
        NAMES
            .iter()
            .map(move |name| if name.is_empty() { top.to_owned() } else { format!("{top}/{name}") })
            .collect::<Vec<_>>()
    };
    let paths: Vec<String> = PATHS
        .iter()
        .map(|path| (*path).to_owned())
        .chain(tops.iter().flat_map(|top| below(top)))
        .collect();
    // The probe itself runs again and reads questions; a program of the system may want a terminal.
    let harmless = |path: &str| !path.ends_with("/sh") && path != "/probe";
    let mut all = vec![];
    for path in &paths {
        all.extend(["read", "list"].map(|act| on_path(act, path)));
        // What can only be a directory is asked about by these words alone.
        if path != "/" && path.ends_with(['/', '.']) {
            continue;
        }
        all.push(on_path("write", path));
        if harmless(path) {
            all.push(on_path("exec", path));
        }
        if path.ends_with("/socket") {
            all.push(on_path("connect", path));
        }
    }
    // Opened for reading or writing a socket is no file, and the probe itself is being executed.
    all.retain(|question| {
        question.why.starts_with("connect")
            || !(question.why.ends_with("/socket") || question.why == "write:/probe")
    });
    all
}

// ---- both answers ----

/// What `why` says: the verdict, and the answers of the restrictions.
fn said(
    place: &Place,
    who: As,
    options: &[&str],
    profile: &str,
    probe: &Path,
    questions: &[Question],
) -> Vec<(String, String)> {
    let mut command = place.stockade(who);
    command
        .env("LANG", "C")
        .env("STRAY", "x")
        .args(["why", "--no-change", "--format", "json"])
        .args(options)
        .arg(profile);
    let output = command
        .args(questions.iter().map(|question| &question.why))
        .arg("--")
        .arg(probe)
        .output()
        .unwrap();
    let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let Some(records) = records
        .as_array()
        .filter(|records| records.len() == questions.len() && records[0]["verdict"].is_string())
    else {
        panic!(
            "{who:?}: why {options:?} {profile}: {:?}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    };
    records
        .iter()
        .map(|record| {
            (record["verdict"].as_str().unwrap().to_owned(), record["protections"].to_string())
        })
        .collect()
}

/// What the probe gets.
fn got(
    place: &Place,
    who: As,
    options: &[&str],
    profile: &str,
    probe: &Path,
    questions: &[Question],
) -> Vec<String> {
    let mut command = place.stockade(who);
    command.env("LANG", "C").env("STRAY", "x").arg("run").args(options).arg(profile).arg(probe);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = questions.iter().map(|question| format!("{}\n", question.probe)).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    let got: Vec<String> = text(&stdout).lines().map(str::to_owned).collect();
    assert!(
        status.success() && got.len() == questions.len(),
        "{who:?}: {options:?} {profile}: {status:?}, {} of {}: {}",
        got.len(),
        questions.len(),
        text(&stderr)
    );
    got
}

/// Both give the same answer to every question; returns how many had an answer.
fn agree(place: &Place, who: As, options: &[&str], profile: &str, questions: &[Question]) -> usize {
    agree_with(place, who, options, profile, Path::new("/probe"), questions)
}

/// The same, where the probe is elsewhere.
fn agree_with(
    place: &Place,
    who: As,
    options: &[&str],
    profile: &str,
    probe: &Path,
    questions: &[Question],
) -> usize {
    let said = said(place, who, options, profile, probe, questions);
    let got = got(place, who, options, profile, probe, questions);
    let mut wrong = vec![];
    let mut told = 0;
    for ((question, (verdict, walls)), got) in questions.iter().zip(&said).zip(&got) {
        let same = match verdict.as_str() {
            "allowed" => ["ok", "empty"].contains(&got.as_str()),
            // Nothing is done, and the call returns 0.
            "denied" if walls.contains("does nothing and answers 0") => got == "ok",
            // The kernel reads the arguments first, and the probe's are none: EFAULT comes before
            // EPERM.
            "denied"
                if walls.contains("in a user namespace that it makes first")
                    && !walls.contains("with these arguments") =>
            {
                continue;
            }
            // The probe asks the filter alone, and the kernel is behind it; other tests make such
            // calls.
            "denied"
                if walls.contains("\"the kernel requires ")
                    && question.probe.starts_with("call ") =>
            {
                got == "ok"
            }
            // A hidden directory can be listed, and a hidden file be read by some; they hold
            // nothing.
            "denied" => {
                got != "ok" && (got != "empty" || walls.contains("hidden behind an empty cover"))
            }
            "unknown" => continue,
            other => panic!("{other}"),
        };
        told += 1;
        if !same {
            wrong
                .push(format!("{}: {verdict}, and the probe got {got}\n    {walls}", question.why));
        }
    }
    let text = if profile.contains('/') {
        std::fs::read_to_string(profile).unwrap()
    } else {
        profile.into()
    };
    assert!(wrong.is_empty(), "{who:?}: {options:?}\n{text}\n{}", wrong.join("\n"));
    told
}

fn with_probe(place: &Place) {
    let probe = place.program("why");
    std::fs::rename(probe, place.path.join("probe")).unwrap();
}

/// The flags that put the probe, and a tree, into a profile.
fn flags(place: &Place, lines: &[String]) -> Vec<String> {
    let probe =
        format!("mounts.\"/probe\" = {{ bind = \"{}\" }}", place.path.join("probe").display());
    lines.iter().cloned().chain([probe]).flat_map(|line| ["--config".into(), line]).collect()
}

fn check(place: &Place, who: As, lines: &[String], profile: &str, questions: &[Question]) {
    let flags = flags(place, lines);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let told = agree(place, who, &flags, profile, questions);
    assert!(
        told * 20 > questions.len() * 19,
        "{who:?}: {lines:?} {profile}: only {told} of {} can be told",
        questions.len()
    );
}

// ---- tests ----

#[test]
fn of_the_built_in_profiles() {
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let data = grow(&place, *who);
        let bind = |access: &str| {
            format!(
                "mounts.\"/data\" = {{ bind = \"{}\", sockets = true{access} }}",
                data.display()
            )
        };
        let writable = bind(", access = \"rw\", owner = \"root\"");
        for (profile, line) in [
            ("base", bind("")),
            ("default", writable.clone()),
            ("strict", bind(", exec = false")),
            ("build", writable),
        ] {
            let mut questions = of_paths(&["/data"]);
            questions.extend(of_the_process());
            questions.extend(some_calls());
            let lines = if profile == "build" {
                vec![line, format!("params.project = \"{}\"", data.display())]
            } else {
                vec![line]
            };
            let lines: Vec<String> =
                lines.into_iter().filter(|line| !line.starts_with("params")).collect();
            check(&place, *who, &lines, profile, &questions);
        }
    }
}

#[test]
fn of_every_system_call() {
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let data = place.folder("data", As::Root);
        let roots = format!(
            "mounts.\"/data\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}",
            data.display()
        );
        let mut profiles = vec![
            vec![],
            vec!["namespaces.nested = true".into()],
            vec!["namespaces.nested = [\"user\", \"pid\", \"net\"]".into()],
            vec!["rlimits.core = 1".into()],
            vec!["process.init = false".into()],
        ];
        if *who == As::Root {
            profiles.push(vec![roots]);
        }
        for lines in profiles {
            check(&place, *who, &lines, "strict", &all_calls());
        }
    }
}

#[test]
fn of_capabilities_ids_and_networks() {
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let data = grow(&place, *who);
        let lines: &[&[&str]] = &[
            &["capabilities.keep = [\"net-raw\", \"chown\"]"],
            &["capabilities.ambient = [\"net-bind-service\", \"kill\"]"],
            &["capabilities.ambient = [\"dac-override\"]"],
            &["capabilities.ambient = [\"dac-read-search\"]"],
            &["capabilities.keep = [\"dac-override\", \"net-bind-service\"]", "identity.user = 0"],
            &["identity.user = 0", "identity.group = 0"],
            &["network.mode = \"host\""],
            &["env.TOKEN = \"x\"", "env.LANG = false", "env.STRAY = true"],
            &["landlock"],
            &[
                "landlock.paths = { \"/usr\" = \"rx\", \"/probe\" = \"rx\", \"/data/sub\" = \"rw\" }",
            ],
            &["landlock.paths = \
               { \"/usr\" = \"r\", \"/probe\" = \"rx\", \"/data\" = [\"r\", \"make\"], \"/tmp\" = \"rw\" }"],
            &["landlock.paths = \"off\""],
            &["landlock.tcp-connect = [9, 443]", "landlock.tcp-bind = [81]"],
            &["landlock.tcp-bind = []", "network.mode = \"host\""],
        ];
        let mut questions = of_the_process();
        questions.retain(|question| !question.why.contains("198.51.100.7"));
        questions.extend(of_paths(&["/data"]));
        for lines in lines {
            let bind = format!(
                "mounts.\"/data\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\", sockets = \
                 true }}",
                data.display()
            );
            if lines == &["landlock"] && *who == As::Root {
                // Where root maps a writable bind, no mount namespace is made inside.
                continue;
            }
            if lines[0].contains("tcp-") && support::landlock_abi() < 4 {
                support::skip("Landlock cannot rule over ports here");
                continue;
            }
            let nested = if lines == &["landlock"] {
                vec!["namespaces.nested = true".into()]
            } else {
                vec![]
            };
            let lacking = (lines[0].contains("paths =") && support::landlock_abi() < 3)
                .then(|| "optional = [\"landlock.truncate\"]".to_owned());
            let lines =
                lines.iter().filter(|line| **line != "landlock").map(|line| (*line).to_owned());
            check(
                &place,
                *who,
                &lines.chain([bind]).chain(nested).chain(lacking).collect::<Vec<_>>(),
                "base",
                &questions,
            );
        }
    }
}

#[test]
fn with_landlock_alone() {
    let place = Place::new();
    with_probe(&place);
    let data = grow(&place, As::User);
    let probe = place.path.join("probe");
    let text = |more: &str| {
        format!(
            "format = 1\noptional = {:?}\n[namespaces]\nall = \"host\"\n[network]\nmode = \
             \"host\"\n[process]\ncommand = [\"{probe}\"]\ntty = \"none\"\n[mounts]\n\"/usr\" = \
             \"ro\"\n\"/dev\" = \"dev\"\n\"{probe}\" = \"ro\"\n{more}",
            support::lacking(),
            probe = probe.display()
        )
    };
    let data = data.to_str().unwrap();
    let mut questions = of_paths(&[data]);
    questions.extend(
        of_the_process().into_iter().filter(|question| !question.why.contains("198.51.100.7")),
    );
    questions.retain(|question| {
        !question.why.starts_with("exec:/bin") || question.why.ends_with("true")
    });
    let bind = |more: &str| format!("\"{data}\" = {{ bind = \"{data}\", sockets = true{more} }}\n");
    for more in [
        "",
        &bind(""),
        &format!("{}[landlock]\ntcp-connect = [9]\n", bind(", access = \"rw\"")),
        &format!("\"{data}/sub\" = \"rw\"\n\"/etc\" = \"ro\"\n"),
    ] {
        if more.contains("tcp-") && support::landlock_abi() < 4 {
            support::skip("Landlock cannot rule over ports here");
            continue;
        }
        let profile = place.file("alone.toml", &text(more));
        let told = agree_with(&place, As::User, &[], profile.to_str().unwrap(), &probe, &questions);
        assert!(told * 20 > questions.len() * 19, "only {told} of {} can be told", questions.len());
    }
}

/// Entries that lie beside, below and over one another; DATA is the tree of [`grow`].
const ENTRIES: &[&str] = &[
    "\"/\" = \"tmpfs\"",
    "\"/\" = { tmpfs = \"8M\", exec = true }",
    "\"/usr\" = \"ro\"",
    "\"/usr\" = { bind = \"/usr\", exec = false }",
    "\"/usr/share\" = \"hide\"",
    "\"/usr/share/doc\" = \"tmpfs\"",
    "\"/usr/lib/os-release\" = { text = \"x\" }",
    "\"/bin\" = \"ro\"",
    "\"/lib\" = \"ro\"",
    "\"/lib64\" = { bind = \"/lib64\", missing = \"skip\" }",
    "\"/etc\" = \"ro\"",
    "\"/etc/passwd\" = { text = \"x\", mode = \"0600\" }",
    "\"/etc/hosts\" = { text = \"x\", mode = \"0000\" }",
    "\"/etc/hostname\" = \"ro\"",
    "\"/tmp\" = \"tmpfs\"",
    "\"/tmp\" = { tmpfs = \"1M\", exec = true, mode = \"0700\" }",
    "\"/tmp/data\" = { bind = \"DATA\", sockets = true }",
    "\"/tmp/made\" = { dir = \"0555\" }",
    "\"/tmp/tool\" = { bind = \"DATA/tool\" }",
    "\"/proc\" = \"proc\"",
    "\"/proc\" = { proc = { hidepid = \"invisible\" } }",
    "\"/proc/meminfo\" = { hide = true, missing = \"skip\" }",
    "\"/sys\" = \"sysfs\"",
    "\"/dev\" = \"dev\"",
    "\"/dev/null\" = \"device\"",
    "\"/dev/mqueue\" = \"mqueue\"",
    "\"/data\" = { bind = \"DATA\", access = \"rw\", owner = \"root\", sockets = true }",
    "\"/data\" = { bind = \"DATA\", sockets = true }",
    "\"/data\" = { bind = \"DATA\", exec = false, sockets = true }",
    "\"/data/sub\" = { bind = \"DATA/sub\" }",
    "\"/data/sub\" = \"hide\"",
    "\"/data/sub/deep\" = { bind = \"DATA/sub/deep\", access = \"rw\", owner = \"root\" }",
    "\"/data/sub/deep\" = \"hide\"",
    "\"/data/shared\" = \"tmpfs\"",
    "\"/data/secret\" = \"hide\"",
    "\"/data/open\" = { bind = \"DATA/sealed\" }",
    "\"/data/script\" = { bind = \"DATA/script\", exec = false }",
    "\"/data/fixed\" = { bind = \"DATA/sub\", access = \"rw\", owner = \"root\" }",
    "\"/again\" = { bind = \"DATA\", access = \"rw\", owner = \"root\", sockets = true }",
    "\"/again/sub\" = { bind = \"DATA/sub\" }",
    "\"/outside\" = { bind = \"DATA/open\" }",
    "\"/run/socket\" = { socket = \"DATA/socket\" }",
    "\"/opt/a/b\" = { text = \"#!/bin/sh\\n\", mode = \"0755\" }",
    "\"/opt/link\" = { symlink = \"../data/sub\" }",
    "\"/opt/tool\" = { bind = \"DATA/tool\" }",
];

#[test]
fn of_generated_file_trees() {
    let tries: u64 = std::env::var("TRIES").map_or(24, |tries| tries.parse().unwrap());
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let data = grow(&place, *who);
        let mut dice = Dice(0x5eed + u64::from(*who == As::Root));
        let mut questions = of_paths(&["/data", "/again", "/tmp/data"]);
        for path in [
            "/run/socket",
            "/opt",
            "/opt/a",
            "/opt/a/b",
            "/opt/link/in",
            "/opt/link/deep/in",
            "/opt/tool",
            "/outside",
            "/tmp/tool",
            "/tmp/made",
            "/tmp/made/new",
            "/dev/mqueue",
        ] {
            questions.extend(
                ["read", "write", "list", "exec", "connect"]
                    .map(|act| on_path(act, path))
                    .into_iter()
                    .filter(|question| {
                        question.why == "connect:/run/socket"
                            || (!question.why.starts_with("connect")
                                && !question.why.ends_with(":/run/socket"))
                    }),
            );
        }
        let (mut good, mut tried) = (0, 0);
        while good < tries && tried < tries * 20 {
            tried += 1;
            let mut keys = vec![];
            let lines: Vec<String> = ENTRIES
                .iter()
                .filter(|_| dice.throw(2) == 0)
                .filter(|line| {
                    let key = line.split(" = ").next().unwrap();
                    !keys.contains(&key) && {
                        keys.push(key);
                        true
                    }
                })
                .map(|line| line.replace("DATA", data.to_str().unwrap()))
                .collect();
            let probe =
                format!("\"/probe\" = {{ bind = \"{}\" }}", place.path.join("probe").display());
            let profile = place.file(
                "generated.toml",
                &format!("format = 1\n[mounts]\n{probe}\n{}\n", lines.join("\n")),
            );
            let profile = profile.to_str().unwrap();
            let checked = place.stockade(*who).args(["check", profile, "/probe"]).output().unwrap();
            if checked.status.success() {
                good += 1;
                agree(&place, *who, &[], profile, &questions);
            }
        }
        assert_eq!(good, tries, "{who:?}: too few of {tried} profiles are good");
    }
}

/// What a question gets with one more flag, by `why` and by the probe.
fn with_flag(
    place: &Place,
    who: As,
    flags: &[String],
    line: Option<&str>,
    question: &Question,
) -> (String, String) {
    // A line takes the place of the flag that sets the same key: a command line is one layer.
    let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
    let replaced = |flag: &[String]| line.is_some_and(|line| key(line) == key(&flag[1]));
    let all = flags.len();
    let mut flags: Vec<&str> =
        flags.chunks(2).filter(|flag| !replaced(flag)).flatten().map(String::as_str).collect();
    // What removes a flag's entry is the line without that flag.
    let removes = |line: &&str| line.ends_with(" = false") && flags.len() < all;
    let line = line.filter(|line| !removes(line));
    flags.extend(line.iter().flat_map(|line| ["--config", line]));
    let questions = std::slice::from_ref(question);
    let verdict = said(place, who, &flags, "base", Path::new("/probe"), questions).remove(0).0;
    (verdict, got(place, who, &flags, "base", Path::new("/probe"), questions).remove(0))
}

#[test]
fn the_line_that_is_named_changes_what_the_probe_gets() {
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let data = grow(&place, *who);
        let data = data.to_str().unwrap();
        let flags = flags(&place, &["mounts.\"/usr/share\" = \"hide\"".into()]);
        let name = |act: &str, name: &str| on_path(act, &format!("{data}/{name}"));
        let questions = vec![
            name("read", "open"),
            name("write", "open"),
            name("write", "sub/new"),
            name("exec", "tool"),
            name("exec", "script"),
            name("connect", "socket"),
            name("list", "sub"),
            on_path("write", "/opt/new"),
            on_path("write", "/new"),
            on_path("read", "/usr/share/doc"),
            on_path("read", "/sys/kernel"),
            on_path("read", "/usr/bin/env"),
            on_path("exec", "/usr/bin/env"),
            on_path("list", "/usr"),
            on_path("write", "/tmp/new"),
            on_path("read", "/etc/profile"),
            on_path("read", "/proc/meminfo"),
            call(syscalls::number("unshare").unwrap(), &[0x5000_0000, 0, 0, 0, 0, 0]),
            call(syscalls::number("unshare").unwrap(), &[0x1000_0000, 0, 0, 0, 0, 0]),
            Question { why: "cap:net-raw".into(), probe: "cap 13".into() },
            Question { why: "env:STRAY".into(), probe: "env STRAY".into() },
            Question { why: "env:LANG".into(), probe: "env LANG".into() },
            Question { why: "bind:127.0.0.1:81".into(), probe: "bind 127.0.0.1 81".into() },
        ];
        for question in &questions {
            let mut command = place.stockade(*who);
            command
                .env("LANG", "C")
                .env("STRAY", "x")
                .args(["why", "--format", "json"])
                .args(&flags);
            let output = command.args(["base", &question.why]).output().unwrap();
            let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let (verdict, line) =
                (records[0]["verdict"].as_str().unwrap(), records[0]["change"]["config"].as_str());
            let line = line.unwrap_or_else(|| {
                panic!("{who:?}: no line for {}: {}", question.why, text(&output.stdout))
            });
            let status = if verdict == "allowed" { 0 } else { 1 };
            assert_eq!(output.status.code(), Some(status), "{}", question.why);
            let before = with_flag(&place, *who, &flags, None, question);
            let after = with_flag(&place, *who, &flags, Some(line), question);
            let open = |(verdict, got): &(String, String)| {
                (verdict == "allowed", ["ok", "empty"].contains(&got.as_str()))
            };
            let hidden = line.ends_with("\"hide\"") && after.1 == "empty";
            assert_eq!(
                open(&before),
                (verdict == "allowed", verdict == "allowed"),
                "{}",
                question.why
            );
            let opened = verdict != "allowed";
            assert_eq!(
                open(&after),
                (opened, opened || hidden),
                "{who:?}: {} with {line}",
                question.why
            );
        }
    }
}

/// The text for people, and the status.
fn asked(place: &Place, words: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        place.stockade(As::all()[0]).arg("why").args(words).output().unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn the_answer_names_walls_lines_and_what_changes_it() {
    let place = Place::new();
    let profile = place.file("p.toml", "format = 1\n[mounts]\n\"/usr\" = \"ro\"\n");
    let profile = profile.to_str().unwrap();
    let (status, out, _) = asked(&place, &[profile, "write:/usr/bin"]);
    assert_eq!(status, Some(1));
    assert!(
        out.starts_with(
            "denied: write /usr/bin\n  mounts deny it: /usr is the host's /usr, read-only\n"
        ),
        "{out}"
    );
    assert!(out.contains("p.toml:3: \"/usr\" = \"ro\""), "{out}");
    // Control characters are escaped, and variables are shown as written.
    let (status, out, _) = asked(
        &place,
        &["--config", "env.X = \"a\\u001b[31m\u{202e}\"", profile, "env:X", "env:PATH"],
    );
    assert!(
        status == Some(0)
            && out.starts_with("allowed: ")
            && out.contains("\\u{202e}")
            && !out.contains(['\u{1b}', '\u{202e}']),
        "{out}"
    );
    let (status, out, _) =
        asked(&place, &["--config", "env.X = \"${env:PATH}\"", profile, "env:X"]);
    assert!(
        status == Some(0) && out.contains("env.X = \"${env:PATH}\"") && !out.contains("/usr/bin:"),
        "{out}"
    );
    let (status, out, _) =
        asked(&place, &[profile, "connect:10.0.0.1:443", "ptrace", "/usr/bin/env"]);
    assert!(
        status == Some(1) && out.contains("to allow it, below [network]:\n    mode = \"host\"\n"),
        "{out}"
    );
    for (words, why) in [
        (&[profile][..], "no question"),
        (&[profile, "reed:/x"], "did you mean `read`?"),
        (&[profile, "syscall:ptrce"], "did you mean `ptrace`?"),
        (&["/nonexistent.toml", "/x"], "nonexistent"),
    ] {
        let (status, _, err) = asked(&place, words);
        assert!(status == Some(125) && err.contains(why), "{words:?}: {status:?} {err}");
    }
    // What is not known is no answer.
    let (status, out, _) = asked(&place, &["base", "/proc/self/fd/0"]);
    assert!(status == Some(125) && out.starts_with("unknown: "), "{out}");
}

#[test]
fn an_entry_that_a_stronger_layer_changes_is_answered_by_that_line() {
    let place = Place::new();
    let who = As::all()[0];
    let tree = place.folder("tree", who);
    let whole = |access: &str| {
        let tree = tree.display();
        format!("\"/w\" = {{ bind = \"{tree}\", access = \"{access}\", owner = \"root\" }}")
    };
    let weaker =
        format!("format = 1\n[mounts]\n{}\n\"/opt\" = {{ dir = \"0755\" }}\n", whole("rw"));
    place.file("weaker.toml", &weaker);
    let change = "\"/w\" = { access = \"ro\" }";
    let text = format!(
        "format = 1\nextends = [\"./weaker.toml\"]\n[mounts]\n{change}\n\"/opt\" = false\n"
    );
    let profile = place.file("p.toml", &text);
    let profile = profile.to_str().unwrap();
    let (_, out, err) = asked(&place, &[profile, "write:/w/x"]);
    let [first, second, last] = ["weaker.toml:3: ", "p.toml:4: ", "  in the place of "]
        .map(|words| out.find(words).unwrap_or_else(|| panic!("{words}: {out}{err}")));
    assert!(first < second && out[last..].contains("p.toml:4\n"), "{out}");
    // The line that is named does it in the place of the one that is named with it.
    let line = out.split("below [mounts]:\n    ").nth(1).unwrap().lines().next().unwrap();
    let pasted = place.file("pasted.toml", &text.replace(change, line));
    let (status, out, err) = asked(&place, &[pasted.to_str().unwrap(), "write:/w/x"]);
    assert_eq!(status, Some(0), "{line}: {out}{err}");
    // Programs get both places.
    let (_, out, _) = asked(&place, &["--format", "json", profile, "write:/w/x"]);
    let record: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(record[0]["protections"][0]["changed"][0]["line"], 4, "{out}");
    // What a stronger layer removes is absent because of that line.
    let (status, out, _) = asked(&place, &[profile, "read:/opt/x"]);
    assert!(
        status == Some(1) && out.contains("/opt is removed") && out.contains("p.toml:5: "),
        "{out}"
    );
}

#[test]
fn a_question_is_asked_in_the_words_of_a_shell() {
    let place = Place::new();
    let asked = |question: &str| {
        let output = place
            .stockade(As::all()[0])
            .current_dir(&place.path)
            .args(["why", "--no-change", "base", question])
            .output()
            .unwrap();
        text(&output.stdout) + &text(&output.stderr)
    };
    let here = place.path.display();
    for (question, begin) in [
        ("./x", format!("denied: read {here}/x\n")),
        ("write:./a/b", format!("denied: write {here}/a/b\n")),
        ("list:.", format!("denied: list {here}\n")),
        ("exec:env", "allowed: exec /usr/bin/env\n".into()),
        ("exec:no-such-program", "denied: exec /usr/local/bin/no-such-program\n".into()),
    ] {
        let said = asked(question);
        // The root of a place may be the name of a link.
        assert!(said.starts_with(&begin), "{question}: {said}");
    }
    let home = asked("read:~/x");
    assert!(home.starts_with("denied: read /") && home.lines().next().unwrap().ends_with("/x"));
}

#[test]
fn advice_to_read_what_is_roots_alone_is_a_copy() {
    if !crate::support::is_root() {
        return crate::support::skip("files of root's are made as root");
    }
    let place = Place::new();
    let key = place.file("key", "KEY\n");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let entry = |line: &str| crate::support::system(&format!("\"/run/key\" = {line}\n"));
    let bound = format!("{{ bind = \"{}\" }}", key.display());
    let profile = place.file("p.toml", &entry(&bound));
    let output = place
        .stockade(As::Root)
        .args(["check"])
        .arg(&profile)
        .args(["--", "true"])
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let line = format!("{{ file = \"{}\" }}", key.display());
    assert!(said.contains("mounts::unreadable") && said.contains(&line), "{said}");
    let output =
        place.stockade(As::Root).arg("why").arg(&profile).arg("/run/key").output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains(&line) && !said.contains("access"), "{said}");
    // The twin: bound, it is not read; the line that is named gives it to the target.
    let cat = ["/bin/cat", "/run/key"];
    assert_eq!(text(&place.run(As::Root, &entry(&bound), &cat).stdout), "");
    assert_eq!(text(&place.run(As::Root, &entry(&line), &cat).stdout), "KEY\n");
    // An entry below a directory that pid 1 may not search is refused before the run.
    let closed = place.folder("closed", As::Root);
    place.folder("closed/below", As::Root);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let lines = format!("\"/c\" = {{ bind = \"{}\" }}\n\"/c/below\" = \"tmpfs\"", closed.display());
    let profile = place.file("p.toml", &crate::support::system(&lines));
    let check = || {
        let mut command = place.stockade(As::Root);
        text(&command.arg("check").arg(&profile).args(["--", "true"]).output().unwrap().stdout)
    };
    let said = check();
    assert!(said.contains("mounts::no-mount-point") && said.contains("chmod o+x "), "{said}");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o701)).unwrap();
    assert!(!check().contains("mounts::no-mount-point"));
    assert!(place.run(As::Root, &crate::support::system(&lines), &["/bin/true"]).status.success());
}

#[test]
fn nothing_is_left_and_nothing_is_changed() {
    let place = Place::new();
    let data = place.folder("data", As::Root);
    let line = format!(
        "mounts.\"/made\" = {{ bind = \"{}/made\", access = \"rw\", missing = \"create\" }}",
        data.display()
    );
    let output = place
        .stockade(As::all()[0])
        .args(["why", "--config", &line, "base", "write:/made/x", "/made"])
        .output()
        .unwrap();
    assert!(
        Command::new("ls").arg(&data).output().unwrap().stdout.is_empty(),
        "{}",
        text(&output.stderr)
    );
}

/// A set that restricts stays closed when its last item is removed; `"default"` opens it.
#[test]
fn removing_the_last_of_a_set_that_restricts_leaves_nothing() {
    if crate::support::landlock_abi() < 4 {
        return support::skip("the kernel's Landlock has no rules for ports");
    }
    let place = Place::new();
    let path = place.file(
        "p.toml",
        &format!(
            "{}[seccomp]\nfamilies = [\"AF_UNIX\", \"AF_INET\"]\n[landlock]\ntcp-bind = [8123]\n",
            support::system("")
        ),
    );
    let status = |config: &[&str], question: &str| {
        let mut command = place.stockade(As::User);
        command.arg("why");
        for line in config {
            command.args(["--config", line]);
        }
        command.arg(&path).arg(question).output().unwrap().status.code()
    };
    let (allowed, denied) = (Some(0), Some(1));
    assert_eq!((status(&[], "bind:8123"), status(&[], "bind:8124")), (allowed, denied));
    for removal in ["landlock.tcp-bind=[\"!8123\"]", "landlock.tcp-bind=[\"!*\"]"] {
        assert_eq!(
            (status(&[removal], "bind:8123"), status(&[removal], "bind:8124")),
            (denied, denied),
            "{removal}"
        );
    }
    assert_eq!(status(&["landlock.tcp-bind=\"default\""], "bind:8124"), allowed);
    assert_eq!(
        (status(&[], "syscall:socket:2,1,0"), status(&[], "syscall:socket:16,3,0")),
        (allowed, denied)
    );
    for removal in ["seccomp.families=[\"!*\"]", "seccomp.families=[\"!AF_INET\",\"!AF_UNIX\"]"] {
        assert_eq!(status(&[removal], "syscall:socket:2,1,0"), denied, "{removal}");
        assert_eq!(status(&[removal], "syscall:socket:1,1,0"), denied, "{removal}");
    }
}

/// Of a rule with conditions only what meets them is the rule's; and what is offered first opens
/// nothing else.
#[test]
fn a_rule_answers_for_what_meets_its_conditions_alone() {
    let place = Place::new();
    let path = place.file(
        "p.toml",
        &format!(
            "{}[seccomp.rules]\nioctl = {{ deny-if = [{{ arg1 = \"FIONREAD\" }}] }}\n\"@keyring\" \
             = \"kill\"\n",
            support::system("")
        ),
    );
    let ask = |more: &[&str], question: &str| {
        let output = place
            .stockade(As::User)
            .arg("why")
            .args(more)
            .arg(&path)
            .arg(question)
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout))
    };
    let (allowed, denied) = (Some(0), Some(1));
    let own = ask(&[], "syscall:ioctl:0,0x541b");
    assert!(
        own.0 == denied
            && own.1.contains("`rules` of [seccomp] answers EPERM")
            && own.1.contains("p.toml:"),
        "{}",
        own.1
    );
    assert!(own.1.contains("\n    ioctl = false\n"), "{}", own.1);
    // TIOCSTI, which the policy keeps closed, and FIOCLEX, which nobody does.
    let other = ask(&[], "syscall:ioctl:0,0x5412");
    assert!(
        other.0 == denied && other.1.contains("the default policy answers EPERM"),
        "{}",
        other.1
    );
    let open = ask(&[], "syscall:ioctl:0,0x5451");
    assert!(open.0 == allowed && open.1.contains("the default policy allows it"), "{}", open.1);
    let taken = ["--config", "seccomp.rules.ioctl=false"];
    assert_eq!(
        (ask(&taken, "syscall:ioctl:0,0x541b").0, ask(&taken, "syscall:ioctl:0,0x5412").0),
        (allowed, denied)
    );
    // A rule for a group is gone past by one for the call.
    let group = ask(&[], "syscall:keyctl");
    assert!(group.0 == denied && group.1.contains("\n    keyctl = \"allow\"\n"), "{}", group.1);
}

/// The kernel does what is logged: `why` says so, and so does the call. With `deny` in its place
/// both say the other thing.
#[test]
fn what_is_logged_is_allowed() {
    let ids = syscalls::number("getpid").unwrap();
    let questions = [
        call(ids, &[0; 6]),
        call(syscalls::number("socket").unwrap(), &[2, 1, 0, 0, 0, 0]),
        call(syscalls::number("ioctl").unwrap(), &[0; 6]),
        call(syscalls::number("prctl").unwrap(), &[1, 0, 0, 0, 0, 0]),
        Question { why: "connect:127.0.0.1:9".into(), probe: "connect 127.0.0.1 9".into() },
        Question { why: "bind:127.0.0.1:0".into(), probe: "bind 127.0.0.1 0".into() },
    ];
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let said = |rule: &str, question: &str| {
            let output = place
                .stockade(*who)
                .args(["why", "--config", rule, "base", question])
                .output()
                .unwrap();
            (output.status.code(), text(&output.stdout))
        };
        let (status, out) = said("seccomp.rules.getpid = \"log\"", "getpid");
        assert!(
            status == Some(0)
                && out.contains("allows it, and the kernel logs it")
                && !out.contains("to allow it"),
            "{who:?}: {out}"
        );
        // A rule that looks at its arguments, asked about without any.
        let (status, out) = said("seccomp.rules.\"@system-service\" = \"log\"", "socket");
        assert!(status == Some(0) && out.starts_with("allowed: "), "{who:?}: {out}");
        for (rule, allowed) in [
            ("getpid = \"log\"", true),
            ("\"@system-service\" = \"log\"", true),
            ("getpid = \"deny\"", false),
        ] {
            let lines = [format!("seccomp.rules.{rule}")];
            let flags = flags(&place, &lines);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            assert_eq!(agree(&place, *who, &flags, "base", &questions), questions.len());
            let verdict = said_of(&place, *who, &flags, &questions[0]);
            assert_eq!(
                verdict,
                if allowed {
                    ("allowed".into(), "ok".into())
                } else {
                    ("denied".to_owned(), "EPERM".to_owned())
                },
                "{who:?}: {rule}"
            );
        }
    }
}

/// What `why` says of one question, and what the probe gets.
fn said_of(place: &Place, who: As, flags: &[&str], question: &Question) -> (String, String) {
    let question = std::slice::from_ref(question);
    let probe = Path::new("/probe");
    (
        said(place, who, flags, "base", probe, question).remove(0).0,
        got(place, who, flags, "base", probe, question).remove(0),
    )
}

/// Each row of the kernel's table: the call as the probe makes it (`@N` is a page of zeros behind a
/// byte), and the capability that it asks for. A row with `free` is its twin: other arguments,
/// which ask for none.
struct Made {
    call: &'static str,
    arguments: &'static [&'static str],
    free: bool,
}

const fn asks(call: &'static str, arguments: &'static [&'static str]) -> Made {
    Made { call, arguments, free: false }
}

const fn free(call: &'static str, arguments: &'static [&'static str]) -> Made {
    Made { call, arguments, free: true }
}

const MADE: &[Made] = &[
    asks("chroot", &["/usr"]),
    asks("reboot", &["0"]),
    asks("socket", &["17", "3", "0"]),
    asks("socket", &["2", "3", "1"]),
    asks("socket", &["10", "3", "1"]),
    free("socket", &["2", "1", "0"]),
    asks("acct", &["0"]),
    asks("clock_settime", &["0", "@"]),
    asks("settimeofday", &["0", "0"]),
    asks("lookup_dcookie", &["0", "@", "10"]),
    asks("swapoff", &["/usr"]),
    asks("swapon", &["/usr", "0"]),
    asks("delete_module", &["/usr", "0"]),
    asks("finit_module", &["0", "/usr", "0"]),
    asks("init_module", &["@", "0", "/usr"]),
    asks("kexec_file_load", &["0", "0", "0", "0", "0"]),
    asks("kexec_load", &["0", "0", "0", "0"]),
    asks("vhangup", &[]),
    asks("ioperm", &["128", "1", "1"]),
    free("ioperm", &["128", "1", "0"]),
    asks("iopl", &["3"]),
    free("iopl", &["0"]),
    asks("syslog", &["2", "@", "10"]),
    asks("syslog", &["8", "0", "7"]),
    asks("fanotify_init", &["0", "0"]),
    asks("fanotify_init", &["0x210", "0"]),
    asks("fanotify_init", &["0x204", "0"]),
    asks("fanotify_init", &["0x300", "0"]),
    asks("fanotify_init", &["0x280", "0"]),
    free("fanotify_init", &["0x200", "0"]),
    asks("open_by_handle_at", &["0xffffff9c", "@8", "0"]),
    asks("userfaultfd", &["0"]),
    free("userfaultfd", &["1"]),
    asks("prctl", &["35", "1", "0", "0", "0"]),
    free("prctl", &["35", "15", "@", "0", "0"]),
    asks("mknod", &["/tmp/a", "0o20600", "259"]),
    asks("mknod", &["/tmp/b", "0o60600", "0"]),
    free("mknod", &["/tmp/c", "0o20600", "0"]),
    free("mknod", &["/tmp/d", "0o100600", "259"]),
    asks("mknodat", &["0xffffff9c", "/tmp/e", "0o20600", "259"]),
    free("mknodat", &["0xffffff9c", "/tmp/f", "0o10600", "0"]),
    asks("mbind", &["0", "0", "0", "0", "0", "4"]),
    free("mbind", &["0", "0", "0", "0", "0", "0"]),
    asks("move_pages", &["0", "0", "0", "0", "0", "4"]),
    free("move_pages", &["0", "0", "0", "0", "0", "0"]),
    asks("_sysctl", &["0"]),
    asks("create_module", &["0"]),
    asks("nfsservctl", &["0"]),
    asks("vserver", &["0"]),
];

impl Made {
    /// As both take it; `why` reads addresses as `*`. None where this architecture has no such
    /// call.
    fn question(&self) -> Option<Question> {
        let octal = |word: &&str| {
            word.strip_prefix("0o").map_or((*word).to_owned(), |digits| {
                u64::from_str_radix(digits, 8).unwrap().to_string()
            })
        };
        let words: Vec<String> = self.arguments.iter().map(octal).collect();
        let known: Vec<&str> = words
            .iter()
            .map(|word| if word.starts_with(['/', '@']) { "*" } else { word.as_str() })
            .collect();
        let number = syscalls::number(self.call)?;
        Some(Question {
            why: format!("syscall:{}:{}", self.call, known.join(",")),
            probe: format!("make {number} {}", words.join(" ")),
        })
    }
}

/// Behind an open filter the kernel asks for capabilities: `why` knows which, and whether one of
/// the sandbox's own user namespace counts. Each call is made inside, without the capability and
/// with it. A kernel that has no such call says so itself.
#[test]
fn what_the_kernel_asks_behind_the_filter_is_known() {
    let rows: Vec<(&Made, Question)> =
        MADE.iter().filter_map(|made| Some((made, made.question()?))).collect();
    let questions: Vec<Question> = rows.iter().map(|(_, question)| question.clone()).collect();
    for ask in stockade::internals::kernel::asks::ASKS.iter().filter(|ask| ask.capability.is_some())
    {
        // A question cannot give what is behind a pointer.
        const HIDDEN: &[&str] =
            &["adjtimex", "bpf", "clock_adjtime", "perf_event_open", "quotactl", "quotactl_fd"];
        let untried = ask.calls.iter().find(|call| {
            !HIDDEN.contains(call) && !MADE.iter().any(|made| made.call == **call && !made.free)
        });
        assert_eq!(untried, None);
    }
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        for granted in [false, true] {
            let mut lines = vec!["seccomp.policy = \"off\"".to_owned()];
            if granted {
                let names: Vec<&str> = stockade::internals::kernel::asks::ASKS
                    .iter()
                    .filter_map(|ask| ask.capability)
                    .filter(|name| *name != "sys-admin")
                    .collect();
                lines.push(format!("capabilities.ambient = {names:?}"));
            }
            let flags = flags(&place, &lines);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let said = said(&place, *who, &flags, "base", Path::new("/probe"), &questions);
            let got = got(&place, *who, &flags, "base", Path::new("/probe"), &questions);
            let mut lacking = 0;
            for (((made, question), (verdict, walls)), got) in rows.iter().zip(&said).zip(&got) {
                let case =
                    format!("{who:?}, granted {granted}: {} got {got}: {walls}", question.why);
                let own = granted && ["chroot", "reboot", "socket"].contains(&made.call);
                assert_eq!(verdict, if made.free || own { "allowed" } else { "denied" }, "{case}");
                lacking += u32::from(got == "ENOSYS");
                match (verdict.as_str(), got.as_str()) {
                    (_, "ENOSYS") => {}
                    // The magic numbers are not there, which the kernel looks at behind the
                    // capability.
                    ("allowed", "EINVAL") if made.call == "reboot" => {}
                    ("allowed", got) => assert_eq!(got, "ok", "{case}"),
                    (_, got) => assert_eq!(got, "EPERM", "{case}"),
                }
            }
            assert!(lacking < 20, "{got:?}");
        }
    }
}

/// What is offered works: for chroot(2) two lines, which are laid over the profile; for a clock of
/// the host's none, and it is said why.
#[test]
fn advice_behind_the_filter_permits_the_call_or_is_not_given() {
    for who in As::all() {
        let place = Place::new();
        with_probe(&place);
        let with = flags(&place, &[]);
        let ask = |question: &str| {
            let output = place
                .stockade(*who)
                .arg("why")
                .args(&with)
                .args(["base", question])
                .output()
                .unwrap();
            text(&output.stdout)
        };
        let explained = |more: &[&str], words: &str| {
            let mut command = place.stockade(*who);
            command
                .args(["run", "--explain"])
                .args(&with)
                .args(more)
                .args(["base", "/probe"])
                .stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(format!("make {words}\n").as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            (text(&output.stdout).trim().to_owned(), text(&output.stderr))
        };
        let number = |name: &str| syscalls::number(name).unwrap();
        let (allow, ambient) = ("allow = [\"chroot\"]", "ambient = [\"sys-chroot\"]");
        for question in ["chroot", "syscall:chroot:*"] {
            let out = ask(question);
            let both = format!(
                "to allow it, below [seccomp]:\n    {allow}\nand below [capabilities]:\n    \
                 {ambient}\n"
            );
            assert!(out.contains(&both) && !out.contains("nested"), "{who:?}: {out}");
        }
        let chroot = format!("{} /usr", number("chroot"));
        let (got, error) = explained(&[], &chroot);
        let advice = "to permit it, add \"chroot\" to [seccomp].allow and write below \
                      [capabilities]: ambient = [\"sys-chroot\"]";
        assert!(got == "EPERM" && error.contains(advice), "{who:?}: {got} {error}");
        let (allow, ambient) = (format!("seccomp.{allow}"), format!("capabilities.{ambient}"));
        assert_eq!(explained(&["--config", &allow], &chroot).0, "EPERM", "one line is too few");
        assert_eq!(explained(&["--config", &allow, "--config", &ambient], &chroot).0, "ok");
        for (name, words) in
            [("settimeofday", "0 0"), ("acct", "0"), ("swapon", "/usr 0"), ("vhangup", "")]
        {
            let (got, error) = explained(&[], &format!("{} {words}", number(name)));
            let none = "no line permits it: the kernel requires ";
            assert!(
                got == "EPERM" && error.contains(none) && !error.contains("[seccomp]"),
                "{who:?}: {name}: {error}"
            );
            let out = ask(name);
            assert!(out.contains(none) && !out.contains("to allow it"), "{who:?}: {out}");
            let allow = format!("seccomp.allow = [\"{name}\"]");
            assert_eq!(
                explained(&["--config", &allow], &format!("{} {words}", number(name))).0,
                "EPERM",
                "{name}"
            );
        }
        // Reading a clock's state is free, setting it is not, and which is asked is behind a
        // pointer.
        let (_, error) = explained(&[], &format!("{} @", number("adjtimex")));
        let doubt = "to permit it in part, add \"adjtimex\" to [seccomp].allow (then the kernel \
                     decides: reading the clock's state";
        assert!(error.contains(doubt), "{who:?}: {error}");
        assert_eq!(
            explained(
                &["--config", "seccomp.allow = [\"adjtimex\"]"],
                &format!("{} @", number("adjtimex"))
            )
            .0,
            "ok"
        );
        let out = ask("syscall:adjtimex:*");
        assert!(
            out.contains(
                "to let the filter pass it, below [seccomp]:\n    allow = [\"adjtimex\"]\n  then \
                 the kernel decides: "
            ),
            "{who:?}: {out}"
        );
    }
}
