//! `namespaces.mount = "host"`: where only Landlock protects the files, a line that it cannot
//! enforce is refused.

use crate::support::{As, Place, USER, errors, is_root, said, skip, spawned, text, unwrapped};
use std::path::Path;

/// No namespace at all, and the system's programs. `mounts` has lines of [mounts], and may open
/// further sections.
fn alone(who: As, top: &str, mounts: &str) -> String {
    let identity = if who == As::Root {
        format!("[identity]\nhost = true\nuser = {USER}\ngroup = {USER}\n")
    } else {
        String::new()
    };
    format!(
        "format = 1\n{top}\n[namespaces]\nall = \"host\"\n[network]\nmode = \
         \"host\"\n{identity}[mounts]\n{mounts}\n"
    )
}

const SYSTEM: &str = "\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = \
                      { bind = \"/lib64\", missing = \"skip\" }\n\
                      \"/dev\" = \"dev\"";

pub fn system(who: As, mounts: &str) -> String {
    alone(who, "", &format!("{SYSTEM}\n{mounts}"))
}

/// Most of this is about a kernel's Landlock that keeps signals (ABI 6), as the profiles ask for.
pub fn has_landlock() -> bool {
    let has = crate::support::landlock_abi() >= 6;
    if !has {
        skip("the kernel's Landlock has no scopes, or it is switched off");
    }
    has
}

/// The profile does not start, and this is said of it; `check` says the same.
#[track_caller]
fn refused(place: &Place, who: As, profile: &str, code: &str, words: &str) {
    let output = place.run(who, profile, &["true"]);
    let error = errors(&output);
    assert!(
        output.status.code() == Some(125) && error.contains(code) && error.contains(words),
        "{who:?}: {}",
        said(&output)
    );
    let checked = place
        .stockade(who)
        .arg("check")
        .arg(place.path.join("profile.toml"))
        .arg("true")
        .output()
        .unwrap();
    assert!(
        checked.status.code() == Some(125) && text(&checked.stdout).contains(code),
        "{who:?}: {}",
        said(&checked)
    );
}

fn of_the_user(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

#[test]
fn without_rules_for_files_nothing_starts() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let open = place.folder("open", As::User);
        let secret = place.file("secret", "NOT-GRANTED");
        of_the_user(&secret);
        let grant = format!("\"{}\" = \"rw\"", open.display());
        // The ordinary act, and that the secret is kept.
        let line = format!(
            "echo x > {0}/out && cat {0}/out; cat {1}; true",
            open.display(),
            secret.display()
        );
        assert_eq!(place.sh(*who, &system(*who, &grant), &line), "x", "{who:?}");
        let with = |section: &str| system(*who, &format!("{grant}\n{section}"));
        refused(
            &place,
            *who,
            &with("[landlock]\npaths = \"off\""),
            "E1106",
            "switches its rules for files off",
        );
        let nested =
            system(*who, &grant).replacen("all = \"host\"", "all = \"host\"\nnested = true", 1);
        refused(&place, *who, &nested, "E1106", "`nested`");
        refused(
            &place,
            *who,
            &nested.replacen("format = 1", "format = 1\noptional = [\"landlock\"]", 1),
            "E1106",
            "`nested`",
        );
        // The twin, which says so of itself: no entry, no rules, and all files of the caller.
        let bare = alone(*who, "", "[landlock]\npaths = \"off\"");
        assert_eq!(place.sh(*who, &bare, &line), "x\nNOT-GRANTED", "{who:?}");
        let output = place.run(*who, &bare, &["true"]);
        for command in ["check", "plan"] {
            let other = place
                .stockade(*who)
                .arg(command)
                .arg(place.path.join("profile.toml"))
                .arg("true")
                .output()
                .unwrap();
            let told = unwrapped(&said(&other)).replace('\n', " ");
            assert!(
                told.contains("the target has all files of the caller"),
                "{who:?}: {command}: {}",
                said(&other)
            );
        }
        assert!(
            text(&output.stderr).contains("the target has all files of the caller"),
            "{who:?}: {}",
            said(&output)
        );
    }
}

/// As of a kernel that was built without Landlock, or booted so.
#[test]
fn no_word_lets_landlock_alone_start_without_landlock() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let optional = "optional = [\"landlock\", \"landlock.scope\", \"landlock.truncate\"]";
        let path = place.file("profile.toml", &alone(*who, optional, SYSTEM));
        let run = |inject: &[&str]| {
            let mut command = place.outside(*who, "strace");
            command.args(["-f", "-qq", "-o", "/dev/null"]).args(inject);
            command
                .arg(place.path.join("stockade"))
                .arg("run")
                .arg(&path)
                .args(["sh", "-c", "exit 7"])
                .output()
                .unwrap()
        };
        assert_eq!(run(&["-e", "trace=none"]).status.code(), Some(7), "{who:?}: the ordinary act");
        let output = run(&["-e", "inject=landlock_create_ruleset:error=EOPNOTSUPP"]);
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("E1106"),
            "{who:?}: {}",
            said(&output)
        );
    }
}

/// A grant of devices is for writing, and a hidden name is kept by no rule.
#[test]
fn what_an_entry_says_is_held_or_refused() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let work = place.folder("work", As::User);
        let file = place.file("work/file", "text");
        of_the_user(&file);
        of_the_user(place.file("work/.real/config", "text").parent().unwrap());
        std::os::unix::fs::symlink(".real", work.join(".git")).unwrap();
        std::os::unix::fs::symlink(&work, place.path.join("link")).unwrap();
        let (work, file, top) = (work.display(), file.display(), place.path.display());
        let refuse = |mounts: &str, code: &str, words: &str| {
            refused(&place, *who, &system(*who, mounts), code, words)
        };
        refuse(&format!("\"{file}\" = \"device\""), "E0309", "it is a file");
        refuse(&format!("\"{work}\" = \"device\""), "E0309", "only directories below /dev");
        refuse(&format!("\"{file}\" = {{ socket = \"{file}\" }}"), "E0312", "it is a file");
        let extra = system(*who, "")
            .replace("\"/dev\" = \"dev\"", &format!("\"/dev\" = {{ dev = [\"{file}\"] }}"));
        refused(&place, *who, &extra, "E0309", "it is a file");
        // A link, or a name with one on its way, is no way round what the grant around it has.
        refuse(&format!("\"{work}\" = \"rw\"\n\"{work}/.git\" = \"ro\""), "E1102", "read-only");
        refuse(&format!("\"{work}\" = \"rw\"\n\"{top}/link/file\" = \"hide\""), "E0802", "a cover");
        refuse("\"/dev/null\" = \"hide\"", "E0802", "a cover");
        refuse("\"/usr/bin/su\" = \"hide\"", "E0802", "a cover");
        refuse(
            &format!(
                "[landlock.paths]\n\"/\" = \"rx\"\n\"{work}\" = \"rw\"\n\"{work}/file\" = \"r\""
            ),
            "E1102",
            "takes nothing back",
        );
        refuse("[landlock.paths]\n\"/usr\" = \"rx\"\n\"/home\" = \"rw\"", "E0301", "it is a home");
        // What is kept within a grant may be skipped by its own word, and that is reported.
        let kept = format!("{SYSTEM}\n\"{work}\" = \"rw\"\n\"{work}/.git\" = \"ro\"");
        let output = place.run(
            *who,
            &alone(*who, "optional = [\"mounts.kept\"]", &kept),
            &["sh", "-c", &format!("echo x > {work}/.git/hook")],
        );
        let told = text(&output.stderr).contains(".git is not kept read-only");
        assert!(output.status.success() && told, "{who:?}: {}", said(&output));
    }
}

// ---- ports ----

/// Only the kernel decides here (landlock(7) has no rule for listen(2)): a note reports it where it
/// applies.
#[test]
fn listening_without_bind_is_told() {
    if !has_landlock() {
        return;
    }
    let words = "a TCP socket that listens without bind(2) gets a free port";
    crate::support::a_page_says(words);
    for who in As::all() {
        let place = Place::new();
        let profile = |mode: &str| {
            crate::support::system(&format!(
                "[network]\nmode = \"{mode}\"\n[landlock]\ntcp-bind = []"
            ))
        };
        let told = |mode: &str, command: &str| {
            let path = place.file("p.toml", &profile(mode));
            let output = place.stockade(*who).arg(command).arg(path).arg("true").output().unwrap();
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            unwrapped(&said(&output))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .contains(words)
        };
        assert_eq!(["check", "plan"].map(|command| told("host", command)), [true; 2], "{who:?}");
        assert!(!told("none", "check"), "{who:?}: in a network of its own nobody else is there");
        // bind(2) itself is held.
        let bind = "import socket\ntry: socket.socket().bind((\"\", 0)); print(\"bound\")\nexcept \
                    PermissionError: print(\"refused\")";
        assert_eq!(
            place.sh(*who, &profile("host"), &format!("python3 -c '{bind}'")),
            "refused",
            "{who:?}"
        );
        let twin = profile("host").replace("tcp-bind = []", "");
        assert_eq!(place.sh(*who, &twin, &format!("python3 -c '{bind}'")), "bound", "{who:?}");
        // listen(2) without it is not, as docs/language.md says: a connection comes in.
        assert_eq!(
            place.sh(*who, &profile("host"), &format!("python3 -c '{LISTEN}'")),
            "reached",
            "{who:?}"
        );
    }
}

/// Listens without bind(2), and is reached by way of the host's loopback.
const LISTEN: &str = "import socket\ns = socket.socket(); s.listen(); s.settimeout(10)\n\
                      c = socket.create_connection((\"127.0.0.1\", s.getsockname()[1])); \
                      print(s.accept() and \"reached\")";

/// Makes a socket in the caller's network for descriptor 7, starts a sandbox with it, and connects
/// to the port that is printed.
const PASSED: &str = r#"
import socket, os, subprocess, sys
s = socket.socket(); os.dup2(s.fileno(), 7)
child = subprocess.Popen(sys.argv[1:], pass_fds=[7], stdout=subprocess.PIPE, text=True)
port = child.stdout.readline().strip()
if port.isdigit():
    port = socket.create_connection(("127.0.0.1", int(port)), 10) and "reached"
print(port, child.wait())
"#;

/// What the threat model says of a TCP socket that is passed into a network of the sandbox's own.
#[test]
fn a_passed_socket_listens_in_the_callers_network_on_a_port_of_the_kernels() {
    if !has_landlock() {
        return;
    }
    crate::support::a_page_says(
        "it can still listen in the caller's network on a port that the kernel picks",
    );
    for who in As::all() {
        let place = Place::new();
        let profile = place.file("p.toml", &crate::support::system("[process]\npass-fds = [7]"));
        let act = |first: &str, launcher: &[&str]| {
            let inside = format!(
                "import socket\ns = socket.socket(fileno=7); \
                 s.settimeout(10)\n{first}\nprint(s.getsockname()[1], flush=True); s.accept()"
            );
            let mut command = place.outside(*who, "python3");
            command.args(["-c", PASSED]).args(launcher).args(["python3", "-c", &inside]);
            let output = command.output().unwrap();
            (text(&output.stdout).trim().to_owned(), text(&output.stderr))
        };
        let stockade = place.path.join("stockade");
        let launcher = [stockade.to_str().unwrap(), "run", profile.to_str().unwrap()];
        let (printed, words) = act("s.listen()", &launcher);
        assert_eq!(printed, "reached 0", "{who:?}: {words}");
        // A port of its own choice is refused it, and without the sandbox it is not.
        let bind = "s.bind((\"127.0.0.1\", 0)); s.listen()";
        assert_eq!(act(bind, &[]).0, "reached 0", "{who:?}: the twin");
        let (printed, words) = act(bind, &launcher);
        assert!(printed == "1" && words.contains("PermissionError"), "{who:?}: {printed} {words}");
    }
}

// ---- what is written is not executed ----

/// What a target tries: to copy a program to where it may write, and to have it run from where it
/// may be read.
fn copy_and_run(write: &str, run: &str) -> String {
    format!("cp /usr/bin/id {write}/id && {run} >/dev/null && echo EXECUTED; true")
}

/// The dynamic loader runs the file that its arguments name, by read(2) and mmap(2) alone.
const LOADER: &str = "$(ls /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1 2>/dev/null)";

#[test]
fn landlock_alone_does_not_part_writing_from_executing() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let open = place.folder("open", As::User);
        let open = open.display();
        let with =
            |access: &str, more: &str| system(*who, &format!("\"{open}\" = {access}\n{more}"));
        let no_exec = format!("{{ bind = \"{open}\", access = \"rw\", exec = false }}");
        refused(
            &place,
            *who,
            &with("\"rw\"", "[seccomp]\nwrite-execute = false"),
            "E1309",
            "Landlock does not rule over mmap(2)",
        );
        refused(&place, *who, &with(&no_exec, ""), "E1102", "Landlock does not rule over mmap(2)");
        // The twins: so it would be executed.
        for run in [format!("{open}/id"), format!("{LOADER} {open}/id")] {
            assert_eq!(
                place.sh(*who, &with("\"rw\"", ""), &copy_and_run(&open.to_string(), &run)),
                "EXECUTED",
                "{who:?}"
            );
        }
        // Where nothing can be written, both words are held: memory by the filter.
        let reads = with("\"ro\"", "[seccomp]\nwrite-execute = false");
        assert_eq!(
            place.sh(*who, &reads, &copy_and_run(&open.to_string(), &format!("{open}/id"))),
            "",
            "{who:?}"
        );
    }
}

#[test]
fn no_second_name_lets_what_was_written_be_executed() {
    // docs/seccomp.md says so: a second bind is noexec too, and what is kept in the writable tree is
    // not.
    crate::support::a_page_says(
        "Read-write mounts become noexec, and so does a second bind of the same files",
    );
    for who in As::all() {
        let place = Place::new();
        let (open, owner) =
            (place.folder("open", *who), if *who == As::Root { ", owner = \"root\"" } else { "" });
        let open = open.display();
        place.folder("open/below", *who);
        let word = "[seccomp]\nwrite-execute = false";
        let profile = |writes: &str, reads: &str, word: &str| {
            crate::support::system(&format!(
                "\"/w\" = {{ bind = \"{writes}\", access = \"rw\"{owner} }}\n\"/x\" = {{ bind = \
                 \"{reads}\" }}\n{word}"
            ))
        };
        let (top, below) = (open.to_string(), format!("{open}/below"));
        for (writes, reads, run) in
            [(&top, &top, "/x/id"), (&below, &top, "/x/below/id"), (&top, &below, "/x/id")]
        {
            let line = if writes == &top && reads == &below {
                copy_and_run("/w/below", run)
            } else {
                copy_and_run("/w", run)
            };
            for line in [line.clone(), line.replace(run, &format!("{LOADER} {run}"))] {
                assert_eq!(
                    place.sh(*who, &profile(writes, reads, ""), &line),
                    "EXECUTED",
                    "{who:?}: the twin: {writes} {reads}"
                );
                assert_eq!(
                    place.sh(*who, &profile(writes, reads, word), &line),
                    "",
                    "{who:?}: {writes} {reads}"
                );
            }
        }
        // The ordinary act: a tool that is kept in the writable tree runs, and the output is
        // written beside it.
        let kept = format!(
            "\"{open}\" = {{ bind = \"{open}\", access = \"rw\"{owner} }}\n\"{open}/below\" = {{ \
             bind = \"{open}/below\"{owner} }}\n{word}"
        );
        drop(std::fs::remove_file(format!("{below}/id")));
        crate::support::install(Path::new("/usr/bin/id"), Path::new(&format!("{below}/id")));
        let line = format!(
            "{below}/id -u > {open}/out && test -s {open}/out && echo written; cp /usr/bin/id \
             {below}/id 2>/dev/null && echo REPLACED; true"
        );
        assert_eq!(place.sh(*who, &crate::support::system(&kept), &line), "written", "{who:?}");
    }
}

#[test]
fn no_descriptor_and_no_mount_of_its_own_lets_what_was_written_be_executed() {
    for who in As::all() {
        let place = Place::new();
        let open = place.folder("open", *who);
        let bind = format!("\"/x\" = {{ bind = \"{}\" }}\n", open.display());
        let profile = |word: &str| crate::support::system(&format!("{bind}{word}"));
        let word = "[seccomp]\nwrite-execute = false";
        // Standard output is a file in a directory that is granted for reading.
        let run = |profile: &str, read: bool| {
            let path = place.file("profile.toml", profile);
            let out = std::fs::OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .read(read)
                .open(open.join("out"))
                .unwrap();
            let line = format!("cat /usr/bin/id; {LOADER} /x/out >&2");
            place
                .stockade(*who)
                .arg("run")
                .arg(path)
                .args(["sh", "-c", &line])
                .stdout(out)
                .output()
                .unwrap()
        };
        let output = run(&profile(""), false);
        assert!(text(&output.stderr).contains("uid="), "{who:?}: the twin: {}", said(&output));
        for (read, words) in [(false, "/x lets it be executed"), (true, "can be mapped by it")] {
            let output = run(&profile(word), read);
            assert!(
                output.status.code() == Some(125) && errors(&output).contains(words),
                "{who:?}: {}",
                said(&output)
            );
        }
        let unruled = crate::support::system(&format!("{word}\n[landlock]\npaths = \"off\""));
        let output = run(&unruled, false);
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("/proc/self/fd"),
            "{who:?}: {}",
            said(&output)
        );
        // Where the file is shown nowhere, the output is written.
        let path = place.file("profile.toml", &crate::support::system(word));
        let out = std::fs::File::create(open.join("out")).unwrap();
        let status = place
            .stockade(*who)
            .arg("run")
            .arg(path)
            .args(["echo", "x"])
            .stdout(out)
            .status()
            .unwrap();
        assert!(
            status.success() && std::fs::read_to_string(open.join("out")).unwrap() == "x\n",
            "{who:?}"
        );
        // A file system of the target's own would have no noexec.
        let nested =
            |word: &str| crate::support::system(&format!("[namespaces]\nnested = true\n{word}"));
        let line = "unshare -Urm sh -c 'mount -t tmpfs none /tmp && cp /usr/bin/id /tmp/id && \
                    /tmp/id >/dev/null && echo EXECUTED'";
        assert_eq!(place.sh(*who, &nested(""), line), "EXECUTED", "{who:?}: the twin");
        refused(&place, *who, &nested(word), "E1309", "mount a file system of its own");
    }
}

// ---- ways round the rules ----

/// Each is a line of Python that fails with an OSError if its act is denied.
const WAYS: [(&str, &str); 8] = [
    (
        "a hard link from a read-only grant into a writable one",
        "os.link(top + '/read/f', top + '/open/l'); open(top + '/open/l', 'w')",
    ),
    ("a rename from a read-only grant", "os.rename(top + '/read/f', top + '/open/m')"),
    ("a directory passed by descriptor", "os.open('secret', os.O_RDONLY, dir_fd=9)"),
    ("a working directory that is not granted", "open('secret')"),
    (
        "a link of the target's own",
        "os.symlink(top + '/closed/secret', top + '/open/s'); open(top + '/open/s')",
    ),
    ("a descriptor of another process", "open('/proc/%s/fd/0' % other)"),
    ("the environment of another process", "open('/proc/%s/environ' % other).read()"),
    ("the root of another process", "open('/proc/%s/root%s/closed/secret' % (other, top))"),
];

#[test]
fn ways_round_the_rules_lead_nowhere() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let top = place.path.display();
        for name in ["open", "read", "closed"] {
            place.folder(name, As::User);
        }
        for name in ["read/f", "closed/secret"] {
            of_the_user(&place.file(name, "NOT-GRANTED"));
        }
        // Another process of the user that the target is.
        let mut other = spawned(
            place
                .outside(As::User, "sleep")
                .arg("60")
                .stdin(std::fs::File::open(place.path.join("closed/secret")).unwrap()),
        );
        let granted =
            format!("\"/proc\" = \"proc\"\n\"{top}/open\" = \"rw\"\n\"{top}/read\" = \"ro\"");
        let process = "[process]\npass-fds = [9]\n";
        let walled = format!("{}\n{process}", system(*who, &granted));
        let bare = alone(
            *who,
            "optional = [\"landlock.scope\"]",
            &format!("[landlock]\npaths = \"off\"\nscope = []\n{process}"),
        );
        let run = |profile: &str, way: &str| {
            ["l", "m", "s"]
                .iter()
                .for_each(|made| drop(std::fs::remove_file(place.path.join("open").join(made))));
            of_the_user(&place.file("read/f", "NOT-GRANTED"));
            let script = format!(
                "import os\ntop, other = '{top}', '{}'\ntry: {way}\n\
                 except OSError as e: print('KEPT' if e.errno in (1, 13, 18) else e)\nelse: \
                 print('DONE')\n",
                other.id()
            );
            let (profile, script) =
                (place.file("profile.toml", profile), place.file("open/way.py", &script));
            let line = format!(
                "exec 9<{top}/closed && cd {top}/closed && exec {top}/stockade run {} python3 {}",
                profile.display(),
                script.display()
            );
            let output = place.outside(*who, "sh").args(["-c", &line]).output().unwrap();
            let out = text(&output.stdout).trim().to_owned();
            assert!(
                output.status.success() && ["KEPT", "DONE"].contains(&&*out),
                "{who:?}: {way}: {}",
                said(&output)
            );
            out
        };
        for (what, way) in WAYS {
            assert_eq!(run(&walled, way), "KEPT", "{who:?}: {what}");
            // Without a domain nothing of this is kept; what is behind a process then hangs on its
            // user alone.
            assert_eq!(run(&bare, way), "DONE", "{who:?}: the twin: {what}");
        }
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

/// What E0308 and E0802 advise ends in a profile that starts.
#[test]
fn the_helps_for_proc_and_sys_are_followed_to_a_start() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        refused(&place, *who, &system(*who, "\"/proc\" = \"ro\""), "E0308", "\"/proc\" = \"proc\"");
        assert_eq!(
            place.sh(*who, &system(*who, "\"/proc\" = \"proc\""), "cat /proc/sys/kernel/ostype"),
            "Linux",
            "{who:?}"
        );
        let settings = "\"/proc\" = { proc = { hidepid = \"invisible\" } }";
        refused(&place, *who, &system(*who, settings), "E0802", "write \"/proc\" = \"proc\"");
        refused(
            &place,
            *who,
            &system(*who, "\"/sys\" = \"ro\""),
            "E0308",
            "\"/sys/devices/system/cpu\" = \"ro\"",
        );
        assert_eq!(
            place.sh(
                *who,
                &system(*who, "\"/sys/devices/system/cpu\" = \"ro\""),
                "head -c 1 /sys/devices/system/cpu/online"
            ),
            "0",
            "{who:?}"
        );
    }
}
