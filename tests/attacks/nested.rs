//! `namespaces.nested`: what a target does with namespaces of its own.

use super::program;
use crate::support::ground::{Ground, end, read, spawn, wait_for};
use crate::support::{As, Place, USER, errors, is_root, said, skip, system, text, unwrapped};
use std::path::{Path, PathBuf};
use std::process::Output;

/// What chromium needs: no mount namespaces, so that all masks, pins and Landlock's rules for files
/// stay.
const KINDS: &str = "nested = [\"user\", \"pid\", \"net\"]";
const ALL: &str = "nested = true";

/// The system's programs, this program at /nested, and a line of `[namespaces]`. `mounts` may open
/// further sections.
fn profile(place: &Place, top: &str, nested: &str, mounts: &str) -> String {
    let inside = system(&format!(
        "\"/nested\" = {{ bind = \"{}\" }}\n{mounts}",
        place.path.join("nested").display()
    ));
    format!(
        "{}\n[namespaces]\n{nested}\n",
        inside.replacen("format = 1", &format!("format = 1\n{top}"), 1)
    )
}

fn act(place: &Place, who: As, profile: &str, words: &str) -> Output {
    let words: Vec<&str> = std::iter::once("/nested").chain(words.split(' ')).collect();
    place.run(who, profile, &words)
}

/// The act was tried inside and refused with one of these.
#[track_caller]
fn refused(place: &Place, who: As, profile: &str, words: &str, errnos: &[&str]) {
    let output = act(place, who, profile, words);
    let found = text(&output.stdout);
    assert!(
        output.status.code() == Some(1) && errnos.contains(&found.trim()),
        "{who:?}: `{words}` wants {errnos:?}: {}",
        said(&output)
    );
}

#[track_caller]
fn done(place: &Place, who: As, profile: &str, words: &str) -> String {
    let output = act(place, who, profile, words);
    assert!(output.status.success(), "{who:?}: `{words}`: {}", said(&output));
    text(&output.stdout)
}

/// The profile is refused with this code; gives its words in one line.
#[track_caller]
fn problem(place: &Place, who: As, profile: &str, code: &str) -> String {
    let output = place.run(who, profile, &["true"]);
    let error = errors(&output);
    assert!(
        output.status.code() == Some(125) && error.contains(code),
        "{who:?}: {}",
        said(&output)
    );
    error
}

/// A directory of root's own with a file in it, and the grant of it.
fn tree_of_root(place: &Place) -> (PathBuf, String) {
    let tree = place.folder("tree", As::Root);
    let grant = format!(
        "\"/tree\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}",
        tree.display()
    );
    (tree, grant)
}

const CALLS: [&str; 4] = ["setxattr", "lsetxattr", "fsetxattr", "setxattrat"];

/// Started by root, in a tree of root's: a file's capabilities would be root's on the host, for any
/// local user who runs the file.
#[test]
fn no_file_of_root_s_gets_capabilities() {
    if !is_root() {
        return skip("it needs root");
    }
    let place = Place::new();
    program(&place, "nested");
    let (tree, grant) = tree_of_root(&place);
    let kept = "[capabilities]\nambient = [\"setfcap\"]";
    for (who, nested, more, how) in [
        ("its own namespace", KINDS, "", " own"),
        ("its own namespace, no filter", KINDS, "[seccomp]\npolicy = \"off\"", " own"),
        (
            "its own namespace, the calls by name",
            KINDS,
            "[seccomp]\nallow = [\"setxattr\", \"lsetxattr\", \"fsetxattr\", \"setxattrat\"]",
            " own",
        ),
        ("what it keeps", "nested = false", kept, ""),
        (
            "what it keeps, no filter",
            "nested = false",
            &format!("{kept}\n[seccomp]\npolicy = \"off\""),
            "",
        ),
    ] {
        let profile = profile(&place, "", nested, &format!("{grant}\n{more}"));
        // The ordinary act: a build writes its output, and copies with all attributes.
        let built = place.run(
            As::Root,
            &profile,
            &[
                "sh",
                "-c",
                "cd /tree && echo x > out && cp -a out copy && chmod 755 copy && cat copy",
            ],
        );
        assert!(built.status.success() && text(&built.stdout) == "x\n", "{who}: {}", said(&built));
        for call in CALLS {
            refused(
                &place,
                As::Root,
                &profile,
                &format!("capability /tree/out {call}{how}"),
                &["EOPNOTSUPP"],
            );
        }
        std::fs::remove_file(tree.join("copy")).unwrap();
    }
    // An overlay of the target's own would copy a set-id file there with its bits, past every
    // filter.
    let error = problem(&place, As::Root, &profile(&place, "", ALL, &grant), "mounts::overlay");
    assert!(
        error.contains(
            "nested = [\"user\", \"ipc\", \"uts\", \"net\", \"cgroup\", \"time\", \"pid\"]"
        ),
        "{error}"
    );
    // The twin: outside, the same acts succeed.
    let out = tree.join("out");
    for call in CALLS {
        let twin = place
            .outside(As::Root, place.path.join("nested"))
            .args(["capability", out.to_str().unwrap(), call])
            .output()
            .unwrap();
        // Linux 6.13 has setxattrat.
        let absent = call == "setxattrat" && text(&twin.stdout).trim() == "ENOSYS";
        assert!(twin.status.success() || absent, "{call}: {}", said(&twin));
    }
    // An ordinary user's sandbox may have them: on the host they hold for that user's own
    // namespaces alone.
    let mine = place.folder("mine", As::User);
    let grant = format!("\"/tree\" = {{ bind = \"{}\", access = \"rw\" }}", mine.display());
    let profile = profile(&place, "", KINDS, &grant);
    assert!(place.run(As::User, &profile, &["sh", "-c", "echo x > /tree/out"]).status.success());
    done(&place, As::User, &profile, "capability /tree/out setxattr own");
}

/// What the target can see of a place where parts are kept and hidden, by way of a namespace in
/// which nothing is mounted there.
#[test]
fn what_is_kept_and_hidden_below_a_writable_bind_holds() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        let work = place.folder("work", As::User);
        for (name, content) in [("secret", "HIDDEN"), ("kept/hook", "KEPT")] {
            let path = place.folder("work/kept", As::User).parent().unwrap().join(name);
            std::fs::write(&path, content).unwrap();
            own(&path);
        }
        let bind = |rest: &str, access: &str| {
            format!("{{ bind = \"{}{rest}\", access = \"{access}\" }}", work.display())
        };
        let mounts = format!(
            "\"/work\" = {}\n\"/work/kept\" = {}\n\"/work/secret\" = {{ hide = \"file\" }}",
            bind("", "rw"),
            bind("/kept", "ro")
        );
        // The filter, the limit behind it, and Landlock behind both: each holds alone.
        for (more, errnos) in [
            ("", &["EPERM"][..]),
            ("[seccomp]\npolicy = \"off\"", &["ENOSPC"]),
            ("[landlock]\npaths = \"off\"", &["EPERM"]),
            ("[seccomp]\npolicy = \"off\"\n[landlock]\npaths = \"off\"", &["ENOSPC"]),
        ] {
            let profile = profile(&place, "", KINDS, &format!("{mounts}\n{more}"));
            let built = place.run(
                *who,
                &profile,
                &[
                    "sh",
                    "-c",
                    "echo x > /work/out && cat /work/kept/hook && ! cat /work/secret && ! echo x > \
                     /work/kept/hook",
                ],
            );
            assert!(
                built.status.success() && text(&built.stdout) == "KEPT",
                "{who:?}: {more}: {}",
                said(&built)
            );
            for name in ["secret", "kept"] {
                refused(&place, *who, &profile, &format!("bare /work {name}"), errnos);
            }
            done(&place, *who, &profile, "root");
        }
        // With mount namespaces it cannot hold. Both lines are named, and a list that is enough.
        // Where root starts it, the target could make set-id files of the owner's, by an overlay of
        // its own.
        let mounts =
            if *who == As::Root { format!("{mounts}\n[seccomp]\nset-id = true") } else { mounts };
        let all = profile(&place, "", ALL, &mounts);
        let error = problem(&place, *who, &all, "mounts::kept");
        for words in [
            "cannot keep /work/kept, nor one more entry",
            "/work is writable",
            "nested = [\"user\", \"ipc\", \"uts\", \"net\", \"cgroup\", \"time\", \"pid\"]",
        ] {
            assert!(error.contains(words), "{who:?}: {words}: {error}");
        }
        // The twin, and that every run reports it.
        let skipped = profile(&place, "optional = [\"mounts.kept\"]", ALL, &mounts);
        let output = act(&place, *who, &skipped, "bare /work secret");
        assert!(
            output.status.success() && text(&output.stdout) == "HIDDEN",
            "{who:?}: {}",
            said(&output)
        );
        let error = errors(&output);
        assert!(
            error.contains("can undo what is kept or hidden at /work/kept, /work/secret"),
            "{who:?}: {error}"
        );
        // Nothing is kept where the same place is granted as widely, or on the sandbox's own
        // ground.
        let same = format!(
            "\"/work\" = {}\n\"/work/kept\" = {}\n\"/top\" = \"tmpfs\"\n\"/top/x\" = \"tmpfs\"",
            bind("", "rw"),
            bind("/kept", "rw")
        );
        let same =
            if *who == As::Root { format!("{same}\n[seccomp]\nset-id = true") } else { same };
        done(&place, *who, &profile(&place, "", ALL, &same), "unshare 10020000");
    }
}

/// The same in layers that the target may write on: what a mount covers there, and what a kept upper
/// has at a hidden name.
#[test]
fn what_is_covered_in_merged_layers_holds() {
    if !crate::merged::has_upper() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        let layer = place.folder("layer", *who);
        for (name, content) in [("covered", "COVERED"), ("hidden", "HIDDEN"), ("tree/file", "TREE")]
        {
            place.file(&format!("layer/{name}"), content);
        }
        place.folder("states", *who);
        crate::merged::own(&layer, *who);
        let (top, at) = (place.path.display(), layer.display());
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let layers = |upper: &str| {
            format!("\"/m\" = {{ layers = [\"{at}\"], upper = {upper}{owner}, exec = false }}")
        };
        let (memory, kept) = (layers("\"discard\""), layers(&format!("\"{top}/states/kept\"")));
        let hide = "\"/m/hidden\" = \"hide\"";
        let covers =
            format!("{hide}\n\"/m/covered\" = {{ text = \"x\" }}\n\"/m/tree\" = \"tmpfs\"");
        // What a whiteout hides is not there, and an entry for the same place takes nothing away.
        let same =
            format!("{memory}\n{hide}\n\"/m/tree\" = {{ bind = \"{at}/tree\", exec = false }}");
        refused(&place, *who, &profile(&place, "", ALL, &same), "bare /m hidden", &["ENOENT"]);
        // An earlier run copies up what is hidden now.
        place.sh(*who, &system(&kept), "echo more >> /m/hidden");
        for (layers, covered) in [(&memory, "covered"), (&kept, "covered"), (&kept, "hidden")] {
            let mounts = format!("{layers}\n{covers}");
            let error = problem(&place, *who, &profile(&place, "", ALL, &mounts), "mounts::kept");
            assert!(error.contains("/m is writable"), "{who:?}: {error}");
            let act = format!("bare /m {covered}");
            refused(&place, *who, &profile(&place, "", KINDS, &mounts), &act, &["EPERM"]);
            // The twin.
            let skipped = profile(&place, "optional = [\"mounts.kept\"]", ALL, &mounts);
            let shown = done(&place, *who, &skipped, &act);
            assert!(shown.starts_with(&covered.to_uppercase()), "{who:?}: {act}: {shown}");
        }
    }
}

fn own(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// Each kind's flag; the first is CLONE_NEWUSER.
const FLAGS: [(&str, &str); 8] = [
    ("user", "10000000"),
    ("mount", "20000"),
    ("pid", "20000000"),
    ("net", "40000000"),
    ("ipc", "8000000"),
    ("uts", "4000000"),
    ("cgroup", "2000000"),
    ("time", "80"),
];

/// Exactly the kinds that are listed can be made: by the filter, and without it by the limit of the
/// sandbox's user namespace.
#[test]
fn only_the_listed_kinds_are_made() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        let off = "[seccomp]\npolicy = \"off\"";
        let (filtered, limited) = (profile(&place, "", KINDS, ""), profile(&place, "", KINDS, off));
        let all = profile(&place, "", ALL, "");
        for (kind, flag) in FLAGS {
            for call in
                ["unshare", "clone"].into_iter().filter(|call| *call == "unshare" || kind != "time")
            {
                let words = format!("{call} {flag}");
                if KINDS.contains(kind) {
                    done(&place, *who, &filtered, &words);
                } else {
                    refused(&place, *who, &filtered, &words, &["EPERM"]);
                    refused(&place, *who, &limited, &words, &["ENOSPC"]);
                }
                done(&place, *who, &all, &words);
            }
        }
        done(&place, *who, &filtered, "setns 10000000");
        for flag in ["0", "20000", "10020000"] {
            refused(&place, *who, &filtered, &format!("setns {flag}"), &["EPERM"]);
        }
        refused(&place, *who, &all, "setns 0", &["EPERM"]);
        // Without "mount" nothing mounts, also where mount namespaces are made without CLONE_NEWNS
        // (Linux 7.0).
        done(&place, *who, &filtered, "mounts 60000000");
        let mounts = act(&place, *who, &all, "mounts 20000");
        assert!(mounts.status.code() == Some(1), "{who:?}: {}", said(&mounts));
        // No kind at all.
        refused(
            &place,
            *who,
            &profile(&place, "", "nested = []", ""),
            "unshare 10000000",
            &["EPERM"],
        );
        refused(
            &place,
            *who,
            &profile(&place, "", "nested = []", off),
            "unshare 10000000",
            &["ENOSPC"],
        );
    }
}

#[test]
fn a_list_says_what_it_takes() {
    let place = Place::new();
    program(&place, "nested");
    for (list, words) in [
        ("[\"usr\"]", ["profile::value", "unknown kind of namespace `usr`"]),
        ("[\"pid\"]", ["namespaces::nested", "nested = [\"user\", \"pid\"]"]),
        ("\"user\"", ["profile::value", "expected true, false or a list of kinds"]),
    ] {
        let error = problem(
            &place,
            As::all()[0],
            &profile(&place, "", &format!("nested = {list}"), ""),
            words[0],
        );
        assert!(error.contains(words[1]), "{list}: {error}");
    }
}

/// A whole new proc shows what `subset` keeps away.
#[test]
fn no_whole_proc_beside_one_of_processes() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        for proc in ["\"proc\"", "{ proc = { subset = \"pid\" } }"] {
            let profile = profile(&place, "", ALL, "")
                .replace("\"/proc\" = \"proc\"", &format!("\"/proc\" = {proc}"));
            let output = place.run(
                *who,
                &profile,
                &["sh", "-c", "test -r /proc/self/status && test -e /proc/1/comm"],
            );
            assert!(output.status.success(), "{who:?}: {proc}: {}", said(&output));
            refused(&place, *who, &profile, "proc", &["EPERM"]);
        }
        if *who == As::User
            && std::fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .filter(|line| line.contains(" /proc/"))
                .count()
                > 0
        {
            skip("this machine's own proc is covered in part");
            continue;
        }
        let twin = place.outside(*who, place.path.join("nested")).arg("proc").output().unwrap();
        assert!(twin.status.success(), "{who:?}: {}", said(&twin));
    }
}

/// The limits of a sandbox cannot be written in a container with a read-only /proc/sys. The filter
/// alone is let do only by its own word.
#[test]
fn a_missing_limit_is_skipped_by_its_own_word_alone() {
    if !is_root() {
        return skip("it needs root, for a mount namespace");
    }
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        let run = |top: &str, nested: &str| {
            let text = profile(&place, top, nested, "").replace("\"/proc\" = \"proc\"\n", "");
            let path = place.file("profile.toml", &text);
            let id = if *who == As::User { USER } else { 0 };
            let script = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys \
                          && exec setpriv --reuid \"$1\" --regid \"$1\" --clear-groups \"$2\" run \
                          \"$3\" /nested unshare 10020000";
            let mut command = place.outside(As::Root, "unshare");
            command
                .args(["--mount", "sh", "-c", script, "sh", &id.to_string()])
                .arg(place.path.join("stockade"))
                .arg(path)
                .output()
                .unwrap()
        };
        for nested in ["nested = false", KINDS] {
            let output = run("", nested);
            let error = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && error.contains("optional = [\"namespaces.nested\"]"),
                "{who:?}: {}",
                said(&output)
            );
            assert!(!error.contains("nested = true"), "{who:?}: {error}");
            let output = run("optional = [\"namespaces.nested\"]", nested);
            let error = errors(&output);
            assert!(
                error.contains("the system call filter alone keeps the target from namespaces"),
                "{who:?}: {}",
                said(&output)
            );
            assert!(
                output.status.code() == Some(1) && text(&output.stdout).trim() == "EPERM",
                "{who:?}: {}",
                said(&output)
            );
        }
    }
    // Where the limit can be written the word changes nothing.
    let place = Place::new();
    program(&place, "nested");
    let profile =
        profile(&place, "optional = [\"namespaces.nested\"]", KINDS, "[seccomp]\npolicy = \"off\"");
    let output = act(&place, As::Root, &profile, "unshare 20000");
    assert!(
        text(&output.stdout).trim() == "ENOSPC" && !text(&output.stderr).contains("filter alone"),
        "{}",
        said(&output)
    );
}

/// `--explain` and `why` name the line that helps: in the filter alone, unshare would end with
/// ENOSPC.
#[test]
fn advice_for_a_namespace_is_tried_to_its_end() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        let plain = profile(&place, "", "", "");
        let path = place.file("plain.toml", &plain);
        let explained = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let output = place
                .stockade(*who)
                .args(["run", "--explain"])
                .arg(&path)
                .arg("/nested")
                .args(words)
                .output()
                .unwrap();
            text(&output.stderr)
        };
        for (words, advice) in [
            ("unshare 10000000", "write below [namespaces]: nested = [\"user\"]"),
            ("clone 50000000", "write below [namespaces]: nested = [\"user\", \"net\"]"),
        ] {
            let error = explained(words);
            assert!(
                error.contains(advice) && !error.contains("seccomp"),
                "{who:?}: {words}: {error}"
            );
            assert!(
                !error.contains("is not seen from here"),
                "{who:?}: something was denied, and is the reason: {error}"
            );
            let list = &advice[advice.find("nested").unwrap()..];
            done(&place, *who, &profile(&place, "", list, ""), words);
        }
        for (question, line) in [
            ("syscall:unshare:0x10000000", "nested = [\"user\"]"),
            ("syscall:unshare:0x70000000", "nested = [\"user\", \"net\", \"pid\"]"),
            ("mount", "nested = [\"user\", \"mount\"]"),
            ("pivot_root", "nested = [\"user\", \"mount\"]"),
            ("umount2", "nested = [\"user\", \"mount\"]"),
        ] {
            let output = place.stockade(*who).arg("why").arg(&path).arg(question).output().unwrap();
            let answer = text(&output.stdout);
            assert!(
                answer.contains(&format!("below [namespaces]:\n    {line}\n")),
                "{who:?}: {question}: {}",
                said(&output)
            );
        }
        // What takes a capability first: no line permits the call as it is, and `why` names the
        // way.
        for question in
            ["syscall:unshare:0x40000000", "syscall:setns:3,0x40000000", "syscall:mount:0,0,0,0,0"]
        {
            let kind = if question.contains("mount") { "mount" } else { "net" };
            let line = format!(
                "with nested = [\"user\", \"{kind}\"] below [namespaces] a program that makes a \
                 user namespace first"
            );
            let listed = place.file(
                "listed.toml",
                &profile(&place, "", &format!("nested = [\"user\", \"{kind}\"]"), ""),
            );
            for (path, words) in [
                (&path, line.as_str()),
                (
                    &listed,
                    "sys-admin, which the target has only in a user namespace that it makes first",
                ),
            ] {
                let output =
                    place.stockade(*who).arg("why").arg(path).arg(question).output().unwrap();
                let answer = text(&output.stdout);
                let is_right = answer.contains(words) && !answer.contains("to allow it");
                assert!(
                    output.status.code() == Some(1) && is_right,
                    "{who:?}: {question}: {}",
                    said(&output)
                );
            }
        }
        // Opened in the filter, it is still denied, and `why` says by what.
        let opened = place.file(
            "opened.toml",
            &profile(&place, "", "", "[seccomp]\nallow = [\"unshare\", \"mount\"]"),
        );
        for (question, words) in [
            (
                "syscall:unshare:0x10000000",
                "the limit of the sandbox's user namespace on user namespaces is 0",
            ),
            ("mount", "sys-admin"),
        ] {
            let output =
                place.stockade(*who).arg("why").arg(&opened).arg(question).output().unwrap();
            assert!(
                output.status.code() == Some(1) && text(&output.stdout).contains(words),
                "{who:?}: {question}: {}",
                said(&output)
            );
        }
    }
}

/// unshare(1) as people use it, alone and with a list that does not suffice: a line that is offered
/// permits the very same words when it is laid over the profile, and where there is none, the words
/// of the way that is named do.
#[test]
fn advice_for_unshare_permits_the_same_words() {
    for who in As::all() {
        let place = Place::new();
        program(&place, "nested");
        for (tree, kept) in [("plain", false), ("checkout", true)] {
            let folder = place.folder(tree, *who);
            std::fs::create_dir_all(folder.join(if kept { ".git/hooks" } else { "src" })).unwrap();
            let grant = format!(
                "\"{0}\" = {{ bind = \"{0}\", access = \"rw\", owner = \"root\" }}",
                folder.display()
            );
            for before in ["", "nested = [\"user\"]", "nested = [\"user\", \"net\"]"] {
                let path = place.file("p.toml", &profile(&place, "", before, &grant));
                let run = |config: &[&str], words: &[&str]| {
                    let mut command = place.stockade(*who);
                    command
                        .args(["run", "--explain"])
                        .args(config)
                        .arg(&path)
                        .arg("unshare")
                        .args(words)
                        .arg("true");
                    let output = command.output().unwrap();
                    (output.status.success(), errors(&output))
                };
                for words in [&["-n"][..], &["-m"], &["-Ur"], &["-Urm"], &["-Urn"], &["-Urmn"]] {
                    let (done, error) = run(&[], words);
                    let case = format!("{who:?}: {tree}, {before}: {words:?}: {error}");
                    let line = error
                        .split_once("nested = ")
                        .and_then(|(_, rest)| rest.split_once(']'))
                        .map(|(list, _)| list);
                    let config = line.map(|list| format!("namespaces.nested = {list}]"));
                    assert!(!error.contains("[seccomp]"), "{case}");
                    match config {
                        _ if done => {}
                        Some(config) if error.contains("write below [namespaces]") => {
                            assert!(run(&["--config", &config], words).0, "{config}: {case}");
                        }
                        Some(config) => {
                            assert!(
                                error.contains("no line permits it as it is: it takes sys-admin"),
                                "{case}"
                            );
                            let first: Vec<&str> = ["-Ur"].iter().chain(words).copied().collect();
                            assert!(
                                !run(&["--config", &config], words).0
                                    && run(&["--config", &config], &first).0,
                                "{config}: {case}"
                            );
                        }
                        // Listed already, so that the kernel alone refuses it; or a tree that holds
                        // the list back.
                        None => assert!(
                            error.contains("denied no system call")
                                || error.contains("no single line permits it"),
                            "{case}"
                        ),
                    }
                }
            }
        }
    }
}

/// The target of a user with a control group of its own could make any number of groups in it. Root
/// makes them here, for whom the bound is the same: the group is root's, and the target may make
/// none. A user's target tries it in tests/vm/suites/systemd.
#[test]
fn inner_groups_have_a_bound() {
    // Version 1 has no such bound. Where both are mounted, version 2 has no controller that is used
    // by version 1.
    let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let Some(top) = tops
        .into_iter()
        .find(|top| read(top, "cgroup.controllers").contains("hugetlb"))
        .filter(|_| is_root())
    else {
        return skip("it needs root, and huge pages in version 2 of control groups");
    };
    let ground = if top.ends_with("unified") {
        Ground { parent: None }
    } else {
        Ground::find(&["hugetlb"]).unwrap()
    };
    let folder = ground.parent.clone().unwrap_or_else(|| top.to_owned());
    let place = Place::new();
    program(&place, "nested");
    for (nested, descendants) in [(ALL, "1000"), (KINDS, "max")] {
        let profile = format!(
            "{}{}",
            profile(&place, "", nested, ""),
            ground.limits("hugetlb = { \"2M\" = \"4M\" }")
        );
        let child = spawn(&place, &profile, "sleep 30");
        let group = wait_for(|| Ground::group_in(&folder, child.id()));
        wait_for(|| (read(&group, "cgroup.max.descendants").trim() == descendants).then_some(()));
        wait_for(|| (read(&group, "cgroup.procs").lines().count() >= 2).then_some(()));
        let deep: Vec<PathBuf> =
            (1..=17).map(|depth| group.join(vec!["x"; depth].join("/"))).collect();
        let wide: Vec<PathBuf> =
            (0..=1000 - 16).map(|number| group.join(number.to_string())).collect();
        let made = deep.iter().chain(&wide).map(|path| (path, std::fs::create_dir(path)));
        let refused: Vec<_> =
            made.filter_map(|(path, made)| Some((path, made.err()?.raw_os_error()))).collect();
        // With all that is in it, the group goes.
        end(child);
        wait_for(|| (!group.exists()).then_some(()));
        let beyond = [&deep[16], &wide[1000 - 16]].map(|path| (path, Some(libc::EAGAIN))).to_vec();
        assert_eq!(refused, if nested == ALL { beyond } else { vec![] }, "{nested}");
    }
}

/// The kernel's limit: without a control group of its own the launcher's is the top that it mounts.
#[test]
fn names_of_the_host_s_groups_are_reported() {
    let place = Place::new();
    program(&place, "nested");
    let says = "With `\"mount\"` and `\"cgroup\"`, and without `[limits]`, the target can list the \
                names of the host's control groups";
    crate::support::a_page_says(says);
    for who in As::all() {
        for (nested, told) in [(ALL, true), (KINDS, false)] {
            let path = place.file("names.toml", &profile(&place, "", nested, ""));
            for command in ["plan", "check"] {
                let mut launcher = place.stockade(*who);
                launcher
                    .arg(command)
                    .args(if command == "plan" { &["--steps"][..] } else { &[] })
                    .arg(&path)
                    .arg("/nested");
                let output = launcher.output().unwrap();
                let is_told = unwrapped(&text(&output.stdout))
                    .contains("can list the names of the host's control groups");
                assert!(
                    output.status.success() && is_told == told,
                    "{who:?} {command}: {}",
                    said(&output)
                );
            }
        }
    }
}
