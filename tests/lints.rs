//! Warnings: which profile gets which, what `check` and `plan` make of them, and what the built-in
//! profiles keep from being run later.

use crate::plans::machine;
use crate::support::{self, As, Place, USER, is_root, said, skip, system, text};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::lint::{RUN_LATER, lint};
use stockade::internals::plan::settle;
use stockade::internals::profile::{Request, load};
use stockade::internals::text::source::Sources;

// ---- which ----

/// Code, line and first words of each warning on the invented machine.
fn warnings(more: &str) -> Vec<(&'static str, u32, String)> {
    let place = Place::new();
    let profile = place.file("p.toml", &format!("format = 1\n{more}")).display().to_string();
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let mut sources = Sources::default();
    let profile = load(
        &Request { profile, args: vec!["true".into()], ..Request::default() },
        &caller,
        &mut sources,
    );
    let profile = profile.unwrap_or_else(|problems| panic!("{}", problems.json(&sources)));
    let mut host = machine::for_user(&profile);
    machine::look_closer(&mut host, &profile);
    let found = lint(&profile, &host, &settle(&profile, &host));
    found
        .iter()
        .map(|found| {
            (
                found.code,
                sources.place(found.at).map_or(0, |place| place.line),
                found.message.clone(),
            )
        })
        .collect()
}

#[track_caller]
fn warns(more: &str, expected: &[(&str, u32, &str)]) {
    let found = warnings(more);
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            (found.0, found.1) == (expected.0, expected.1) && found.2.contains(expected.2)
        });
    assert!(same, "{more}\n{found:#?}");
}

#[test]
fn one_call_refused_of_some_that_do_the_same() {
    let left = |words| [("seccomp::other-calls", 3, words)];
    warns(
        "[seccomp]\ndeny = ['symlink']\n",
        &left("`deny` of `symlink` leaves what does the same: `symlinkat`"),
    );
    warns("[seccomp]\ndeny = ['symlink', 'symlinkat']\n", &[]);
    warns(
        "[seccomp]\ndeny = ['open', 'mkdir']\nrules.openat = 'kill'\nrules.mkdirat = 'kill'\n",
        &left("`creat`, `openat2`"),
    );
    // Absent by default, until the profile opens it.
    warns("[seccomp]\ndeny = ['clone', 'fork']\nrules.vfork = 'deny'\n", &[]);
    warns("[seccomp]\ndeny = ['clone', 'fork', 'vfork']\nallow = ['clone3']\n", &left("`clone3`"));
    warns("[seccomp]\ndeny = ['@file-system']\n", &[]);
    warns("[seccomp.rules]\nunlink = 'errno:EROFS'\n", &left("the rule for `unlink` leaves"));
    warns("[seccomp.rules]\nunlink = { deny-if = [{ arg0 = 0 }] }\n", &[]);
    warns(
        "[seccomp]\npolicy = 'none'\nallow = ['@default', 'mkdir']\ndeny = ['mkdirat']\n",
        &left("`mkdir`").map(|(code, _, words)| (code, 5, words)),
    );
    warns("[seccomp]\ndefault = 'log'\n", &[("seccomp::logged", 3, "let through")]);
    warns("[seccomp]\ndefault = 'kill'\n", &[]);
    warns(
        "[seccomp]\npolicy = 'off'\ndefault = 'kill'\n",
        &[("seccomp::never", 4, "refuses nothing")],
    );
}

#[test]
fn names_that_nobody_answers_for() {
    let open = "[network]\nmode = 'host'\n";
    let entry = |line: &str| format!("{open}[mounts]\n'/etc/resolv.conf' = {line}\n");
    let none = [("network::no-names", 5, "names cannot be looked up: /etc/resolv.conf is")];
    warns(&entry("'dir'"), &none);
    warns(&entry("{ tmpfs = '1M' }"), &none);
    warns(&entry("{ text = '' }"), &[]);
    warns(&format!("{}[env]\n", entry("'dir'").replace("'host'", "'none'")), &[]);
    warns(&entry("'dir'").replace("'host'", "'host'\ndns = 'none'"), &[]);
    warns(open, &[]);
    let deaf = |words| [("network::no-server", 3, words)];
    warns("[network]\ndns = ['10.9.1.1']\n", &deaf("has loopback alone"));
    warns("[network]\ndns = ['10.9.1.1', '127.0.0.1']\n", &[]);
    warns("[network]\nmode = { join = '/run/netns/x' }\n", &deaf("127.0.0.53 is asked"));
    warns("[network]\nmode = { join = '/run/netns/x' }\ndns = ['10.9.1.1']\n", &[]);
}

#[test]
fn a_grant_within_one_that_is_as_wide() {
    let redundant = |line| [("mounts::redundant", line, "adds nothing")];
    warns("[mounts]\n'/srv/data' = 'ro'\n'/srv/data/sub' = 'ro'\n", &redundant(4));
    warns(
        "[mounts]\n'/d' = { bind = '/srv/data' }\n'/d/sub' = { bind = '/srv/data/sub' }\n",
        &redundant(4),
    );
    warns("[mounts]\n'/' = 'ro'\n'/usr' = 'ro'\n'/home' = 'hide'\n", &redundant(4));
    warns("[mounts]\n'/dev' = 'dev'\n'/dev/null' = 'device'\n", &redundant(4));
    // Each of these is more, less, or something else.
    for other in [
        "'/srv/data' = 'ro'\n'/srv/data/sub' = 'rw'",
        "'/srv/data' = 'rw'\n'/srv/data/sub' = 'ro'",
        "'/srv/data' = 'ro'\n'/srv/data/sub' = { bind = '/srv/data/sub', exec = false }",
        "'/srv/data' = 'ro'\n'/srv/data/sub' = { bind = '/srv/data/sub', sockets = true }",
        "'/srv/data' = { bind = '/srv/data', recursive = false }\n'/srv/data/sub' = 'ro'",
        "'/srv/data' = 'ro'\n'/srv/data/sub' = { bind = '/usr' }",
        "'/' = 'ro'\n'/run' = { bind = '/srv/data' }",
        "'/dev' = 'dev'\n'/dev/fuse' = 'device'",
        "'/dev' = 'dev'\n'/dev/null' = { device = '/dev/fuse' }",
    ] {
        let found = warnings(&format!("[mounts]\n{other}\n"));
        assert!(found.iter().all(|(code, ..)| *code != "mounts::redundant"), "{other}: {found:?}");
    }
}

#[test]
fn a_folder_of_which_nothing_is_seen() {
    warns(
        "[mounts]\n'/srv/shelf' = 'ro'\n'/srv/shelf/one' = 'hide'\n",
        &[("mounts::shadowed", 3, "/srv/shelf")],
    );
    warns("[mounts]\n'/srv/rootfs' = 'ro'\n'/srv/rootfs/usr' = 'hide'\n", &[]);
    warns("[mounts]\n'/srv/shelf' = 'rw'\n'/srv/shelf/one' = 'hide'\n", &[]);
}

#[test]
fn covers_that_cover_nothing_or_not_for_long() {
    warns(
        "[mounts]\n'/srv/data' = 'hide'\n",
        &[("mounts::hides-nothing", 3, "no entry shows anything")],
    );
    warns(
        "[mounts]\n'/home/ann/work' = 'ro'\n'/home/ann/work/.env' = 'hide'\n",
        &[("mounts::hidden-file", 4, "by rename")],
    );
    warns(
        "[mounts]\n'/home/ann/work' = 'ro'\n'/home/ann/work/cache' = 'hide'\n'/home/ann/work/no' = \
         { hide = true, missing = 'skip' }\n",
        &[],
    );
    warns("[mounts]\n'/home/ann/work' = 'ro'\n'/home/ann/work/.env' = { hide = 'file' }\n", &[]);
    warns("[mounts]\n'/proc' = 'proc'\n'/proc/kallsyms' = 'hide'\n", &[]);
    // What would be there without the entry: names of a bound root, the nodes of /dev, stockade's
    // own files, pieces of programs.
    for hides in [
        "[mounts]\n'/' = 'ro'\n'/home' = 'hide'\n",
        "[mounts]\n'/' = { bind = '/srv/rootfs' }\n'/etc' = 'hide'\n",
        "[mounts]\n'/dev' = 'dev'\n'/dev/null' = 'hide'\n'/dev/shm' = 'hide'\n'/dev/stdin' = \
         'hide'\n",
        "[mounts]\n'/etc/passwd' = 'hide'\n",
        "programs = ['true']\n[mounts]\n'/usr/lib64/libtool.so.1.2' = 'hide'\n",
    ] {
        let found = warnings(hides);
        assert!(
            found.iter().all(|(code, ..)| *code != "mounts::hides-nothing"),
            "{hides}: {found:?}"
        );
    }
    for nothing in ["'/' = 'ro'\n'/nowhere'", "'/' = 'ro'\n'/proc'", "'/dev' = 'dev'\n'/dev/kvm'"] {
        let home = if nothing.starts_with("'/' ") { "'/home' = 'hide'\n" } else { "" };
        warns(
            &format!("[mounts]\n{nothing} = 'hide'\n{home}"),
            &[("mounts::hides-nothing", 4, "no entry shows anything")],
        );
    }
    let alone =
        "[namespaces]\nall = 'host'\n[network]\nmode = 'host'\n[mounts]\n'/srv/data' = 'hide'\n";
    warns(alone, &[("mounts::hides-nothing", 7, "no entry shows anything")]);
}

#[test]
fn a_root_of_the_host_that_shows_the_home() {
    let whole = |line| [("mounts::whole-host", line, "the home directory")];
    warns("[mounts]\n'/' = 'ro'\n", &whole(3));
    warns("[mounts]\n'/usr' = 'ro'\n'/host' = { bind = '/' }\n", &whole(4));
    for told in
        ["'/home' = 'hide'", "'/home/ann' = 'tmpfs'", "'/home/ann' = 'ro'", "'${HOME}' = 'hide'"]
    {
        warns(&format!("[mounts]\n'/' = 'ro'\n{told}\n"), &[]);
    }
    warns("[mounts]\n'/' = { bind = '/srv/rootfs' }\n", &[]);
}

#[test]
fn covers_that_another_name_undoes() {
    let work = "[mounts]\n'/a' = { bind = '/home/ann/work' }\n'/b' = \
                { bind = '/home/ann/work' }\n'/a/cache' = 'hide'\n";
    warns(work, &[("mounts::alias", 5, "/b/cache shows the same")]);
    warns(&format!("{work}'/b/cache' = 'hide'\n"), &[]);
    warns(&format!("{work}'/b/cache' = 'tmpfs'\n"), &[]);
}

#[test]
fn what_the_host_runs_later() {
    let git = |line| [("mounts::run-later", line, "`.git`")];
    warns("[mounts]\n'/home/ann/work' = 'rw'\n", &git(3));
    warns(
        "[mounts]\n'/w' = { bind = '/home/ann/work', access = 'rw' }\n'/w/.git/hooks' = \
         { bind = '/home/ann/work/.git/hooks' }\n",
        &git(3),
    );
    for meant in [
        "",
        "'/home/ann/work/.git' = 'ro'",
        "'/home/ann/work/.git' = 'hide'",
        "'/home/ann/work/.git' = 'tmpfs'",
        "'/home/ann/work/.git' = 'rw'",
    ] {
        let access = if meant.is_empty() { "ro" } else { "rw" };
        warns(&format!("[mounts]\n'/home/ann/work' = '{access}'\n{meant}\n"), &[]);
    }
    // A directory beside it, and the directory itself.
    warns("[mounts]\n'/home/ann/work/cache' = 'rw'\n", &[]);
    warns("[mounts]\n'/home/ann/work/.git' = 'rw'\n", &[]);
    assert!(
        RUN_LATER
            .iter()
            .all(|(name, why)| !name.starts_with('/') && !name.ends_with('/') && !why.is_empty())
    );
}

#[test]
fn what_tools_and_services_run_later_has_a_row_each() {
    let place = Place::new();
    let who = As::all()[0];
    let check = |line: &str| {
        let profile = place.file("rows.toml", &system(line));
        let output =
            place.stockade(who).arg("check").arg(profile).arg("/bin/true").output().unwrap();
        support::unwrapped(&(text(&output.stderr) + &text(&output.stdout)))
    };
    for (name, file) in [
        (".hg", ".hg/hgrc"),
        (".envrc", ".envrc"),
        (".devcontainer", ".devcontainer/x.json"),
        (".travis.yml", ".travis.yml"),
    ] {
        let folder = place.folder(&format!("row{name}"), who);
        let bind = format!(
            "\"/w\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" }}\n",
            folder.display()
        );
        assert!(!check(&bind).contains("W0306"), "{name}");
        place.file(&format!("row{name}/{file}"), "");
        let said = check(&bind);
        assert!(said.contains("W0306") && said.contains(&format!("`{name}`")), "{name}: {said}");
    }
    for (path, why) in [
        ("/var/lib", "it belongs to the system"),
        ("/var/spool/cron", "cron runs what is in it"),
        ("/var/spool/cron/crontabs", "cron runs what is in it"),
    ] {
        // Where it is absent, what would be made there is as broad.
        if !Path::new(path).parent().unwrap().exists() {
            continue;
        }
        let line = |access: &str| {
            format!(
                "\"/w\" = {{ bind = \"{path}\", access = \"{access}\", missing = \"create\", \
                 sockets = \"hide\" }}\n"
            )
        };
        let said = check(&line("rw"));
        assert!(said.contains("E0301") && said.contains(why), "{path}: {said}");
        assert!(!check(&line("ro")).contains("E0301"), "{path}");
    }
}

#[test]
fn capabilities_over_what_is_not_the_sandboxs() {
    let none = |line| ("capabilities::no-effect", line, "has no effect");
    warns("[identity]\nuser = 0\n[capabilities]\nkeep = ['net-admin', 'net-bind-service']\n", &[]);
    warns("[capabilities]\nambient = ['net-admin']\n", &[]);
    warns(
        "[capabilities]\nkeep = ['net-admin']\n",
        &[("capabilities::no-effect", 3, "loses it when it is executed")],
    );
    warns("[capabilities]\nkeep = ['net-admin']\n[network]\nmode = 'host'\n", &[none(3)]);
    warns(
        "[capabilities]\nambient = ['sys-time']\nkeep = ['chown', 'setuid']\n[identity]\nuser = 0\n",
        &[none(3)],
    );
    warns("[capabilities]\nkeep = ['sys-boot']\n[namespaces]\npid = 'host'\n", &[none(3)]);
    warns(
        "[namespaces]\nall = 'host'\n[network]\nmode = 'host'\n[capabilities]\nkeep = \
         ['sys-time']\n",
        &[],
    );
}

#[test]
fn words_for_the_filter_that_decide_nothing() {
    let never = |line| ("seccomp::never", line, "never decides");
    warns("[seccomp]\nallow = ['ptrace']\ndeny = ['@debug']\n", &[never(3)]);
    warns("[seccomp]\ndeny = ['kill']\n[seccomp.rules]\nkill = 'allow'\n", &[never(5)]);
    warns(
        "[seccomp]\nallow = ['kill']\n[seccomp.rules]\nkill = { allow-if = [{ arg1 = 0 }] }\n",
        &[never(3)],
    );
    warns(
        "[seccomp]\nallow = ['@debug', 'ptrace']\n",
        &[("seccomp::redundant", 3, "`ptrace` adds nothing")],
    );
    // The policy's own words about arguments hold for a call of a group, and not for one that is
    // named.
    warns("[seccomp]\nallow = ['@process', 'unshare']\n", &[]);
    warns(
        "[seccomp.rules]\nkill = { deny-if = [{ arg1 = { mask = 1, is = 2 } }] }\n",
        &[("seccomp::never", 3, "never holds")],
    );
    warns("[seccomp.rules]\nkill = { deny-if = [{ arg1 = { mask = 3, is = [2, 4] } }] }\n", &[]);
    // A rule of refusals leaves the rest to `allow`.
    warns(
        "[seccomp]\nallow = ['kill']\n[seccomp.rules]\nkill = { kill-if = [{ arg1 = 9 }] }\n",
        &[],
    );
    warns("[seccomp]\nallow = ['@debug']\ndeny = ['ptrace']\n", &[]);
}

#[test]
fn a_good_profile_has_none() {
    warns("", &[]);
    warns("extends = ['base']\n", &[]);
    warns("programs = ['sh']\n[mounts]\n'/dev/null' = 'device'\n", &[]);
}

// ---- what comes of them ----

#[test]
fn check_and_plan_show_them_run_does_not() {
    let place = Place::new();
    for who in As::all() {
        let profile = place
            .file("p.toml", &system("\"/no\" = \"hide\"\n[capabilities]\nkeep = [\"sys-time\"]"));
        let stockade = |words: &[&str]| {
            place.stockade(*who).args(words).arg(&profile).arg("true").output().unwrap()
        };
        let both = |bytes: &[u8]| {
            let said = text(bytes);
            said.contains("mounts::hides-nothing [W0303]") && said.contains("\n2 warnings\n")
        };
        let check = stockade(&["check"]);
        assert!(
            check.status.code() == Some(0)
                && both(&check.stdout)
                && text(&check.stdout).contains("the profile is good")
                && check.stderr.is_empty(),
            "{who:?}: {}",
            said(&check)
        );
        let plan = stockade(&["plan"]);
        assert!(plan.status.code() == Some(0) && both(&plan.stderr), "{who:?}: {}", said(&plan));
        let denied = stockade(&["check", "--deny-warnings"]);
        assert!(
            denied.status.code() == Some(125) && both(&denied.stdout),
            "{who:?}: {}",
            said(&denied)
        );
        let run = stockade(&["run"]);
        assert!(run.status.code() == Some(0) && run.stderr.is_empty(), "{who:?}: {}", said(&run));
        let json: serde_json::Value =
            serde_json::from_slice(&stockade(&["check", "--format", "json"]).stdout).unwrap();
        let all = json.as_array().unwrap().iter().filter(|one| one["severity"] != "note");
        let codes: Vec<(&str, &str)> = all
            .map(|one| (one["severity"].as_str().unwrap(), one["number"].as_str().unwrap()))
            .collect();
        assert_eq!(codes, [("warning", "W0303"), ("warning", "W0901")], "{who:?}");
        let json: serde_json::Value =
            serde_json::from_slice(&stockade(&["plan", "--format", "json"]).stdout).unwrap();
        assert_eq!(json["warnings"].as_array().map(Vec::len), Some(2), "{who:?}");
    }
}

#[test]
fn they_stand_beside_errors_but_not_on_their_lines() {
    let place = Place::new();
    let profile = place.file(
        "p.toml",
        "format = 1\n[mounts]\n\"/no\" = \"hide\"\n\"/x\" = \"rw\"\n[process]\ncwd = \"/nowhere\"\n",
    );
    let output = place
        .stockade(As::all()[0])
        .args(["check", "--format", "json"])
        .arg(profile)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<&str> =
        json.as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(
        (output.status.code(), codes),
        (
            Some(125),
            vec![
                "mounts::source",
                "process::command",
                "mounts::hides-nothing",
                "process::unseen-directory"
            ]
        )
    );
    let drawn = place
        .stockade(As::all()[0])
        .args(["check"])
        .arg(place.path.join("p.toml"))
        .output()
        .unwrap();
    assert!(text(&drawn.stdout).ends_with("2 problems and 2 warnings\n"), "{}", said(&drawn));
}

/// What `check` says of a profile, and what a run of it does.
struct Start {
    profile: String,
    /// The code of the warning, where the target does not start.
    code: &'static str,
    /// The status of the run.
    status: i32,
}

/// Profiles of which some start. Of each protection there is one with it and one without.
fn starts(tree: &Path, who: As) -> Vec<Start> {
    let tree = tree.display();
    let of = |code, status, profile: String| Start { profile, code, status };
    let inside = |more: &str| {
        format!(
            "format = 1\nextends = [\"base\"]\n{more}\n[mounts]\n\"/w\" = {{ bind = \"{tree}\" }}\n\
             \"/w/dir/covered\" = \"hide\"\n\"/a/b/c\" = \"dir\"\n\"/made\" = {{ bind = \
             \"{tree}/made\", access = \"rw\", missing = \"create\", owner = \"root\" }}\n"
        )
    };
    let cwd =
        |path: &str| inside(&format!("process = {{ command = [\"true\"], cwd = \"{path}\" }}"));
    let command = |path: &str| inside(&format!("process.command = [\"{path}\"]"));
    let (directory, program) = ("process::unseen-directory", "process::unseen-program");
    let lost = ["none", "file", "file/x", "link", "closed", "dir/covered/x"];
    let mut all: Vec<Start> =
        lost.iter().map(|path| of(directory, 125, cwd(&format!("/w/{path}")))).collect();
    all.extend(["/proc/none", "/dev/null"].map(|path| of(directory, 125, cwd(path))));
    let there = ["/", "/w/dir", "/w/dir/covered", "/a/b", "/a/b/c", "/made", "/proc/self", "/tmp"];
    all.extend(there.map(|path| of("", 0, cwd(path))));
    all.push(of(program, 127, command("no-such-program")));
    all.push(of(program, 126, command("/w/file")));
    all.push(of(program, 126, command("/w/only-root")));
    all.push(of("", 0, command("/w/program")));
    // In the host's own tree there is nothing to mount, and Landlock says what may be executed.
    if who == As::User {
        let host = |more: &str| {
            let grants = format!(
                "\"/usr\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = {{ access = \"ro\", bind = \"/lib64\", missing = \"skip\" }}\n\"/bin\" = \"ro\"\n\"{tree}/dir\" = \"ro\"\n"
            );
            format!(
                "format = 1\nnamespaces.all = \"host\"\nnetwork.mode = \"host\"\n{more}\n[mounts]\n{grants}"
            )
        };
        let cwd = |path: &str| {
            host(&format!("process = {{ command = [\"/usr/bin/true\"], cwd = \"{tree}/{path}\" }}"))
        };
        let command = |path: &str| host(&format!("process.command = [\"{path}\"]"));
        all.push(of(directory, 125, cwd("none")));
        all.push(of(directory, 125, cwd("file")));
        all.push(of("", 0, cwd("dir")));
        all.push(of(program, 127, command("no-such-program")));
        all.push(of(program, 126, command(&format!("{tree}/program"))));
        all.push(of("", 0, command("true")));
    }
    all
}

/// Where a run does not start the target, `check` does not call the profile good: it names the line
/// and ends with 125, as the run does.
#[test]
fn check_fails_where_the_target_does_not_start() {
    let place = Place::new();
    for who in As::all() {
        let tree = place.folder(&format!("tree-{who:?}"), *who);
        let name = |name: &str| format!("tree-{who:?}/{name}");
        place.file(&name("file"), "");
        place.folder(&name("dir/covered/x"), *who);
        let closed = place.folder(&name("closed"), *who);
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
        mode(&closed, 0o000).unwrap();
        std::os::unix::fs::symlink("/none", tree.join("link")).unwrap();
        place.script(&name("program"), "#!/bin/sh\n");
        let only = place.script(&name("only-root"), "#!/bin/sh\n");
        mode(&only, 0o600).unwrap();
        for Start { profile, code, status } in starts(&tree, *who) {
            let path = place.file("start.toml", &profile);
            let of = |command: &str| place.stockade(*who).arg(command).arg(&path).output().unwrap();
            let (run, check, plan) = (of("run"), of("check"), of("plan"));
            let out = text(&check.stdout);
            let last = out.lines().last().unwrap_or_default();
            let wanted = if code.is_empty() { 0 } else { 125 };
            assert!(
                run.status.code() == Some(status) && check.status.code() == Some(wanted),
                "{who:?}: {profile}\n{}\n{}",
                said(&run),
                said(&check)
            );
            let agrees = match code {
                "" => last.starts_with("the profile is good, and this machine can enforce it"),
                code => {
                    let shown = text(&plan.stderr);
                    last.starts_with("the profile is good, but its target does not start here (W05")
                        && out.contains(code)
                        && shown.contains(code)
                        && out.contains("help: ")
                }
            };
            assert!(
                agrees && plan.status.code() == Some(0),
                "{who:?}: {profile}\n{}",
                said(&check)
            );
        }
        mode(&closed, 0o755).unwrap();
    }
}

// ---- the built-in profiles ----

/// A directory of a user's with a repository in it and files of other tools.
fn repository(place: &Place, who: As) -> PathBuf {
    let folder = place.folder(&format!("work-{who:?}"), who);
    for (name, text) in [
        (".git/config", "[core]\n"),
        (".git/hooks/pre-commit", ""),
        (".github/workflows/ci.yml", ""),
        (".vscode/tasks.json", ""),
        ("Jenkinsfile", ""),
    ] {
        let path = place.file(&format!("work-{who:?}/{name}"), text);
        for path in path.ancestors().take_while(|path| *path != folder) {
            if is_root() && who == As::User {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
    }
    folder
}

fn inside(place: &Place, who: As, folder: &Path, words: &[&str]) -> Output {
    place.stockade(who).current_dir(folder).args(words).output().unwrap()
}

#[test]
fn shipped_profiles_have_none_in_a_repository() {
    let place = Place::new();
    for who in As::all() {
        let folder = repository(&place, *who);
        for profile in ["base", "default", "build", "strict"] {
            let output =
                inside(&place, *who, &folder, &["check", "--deny-warnings", profile, "ls"]);
            // Where no control group can be made, the limits of these profiles are skipped, and
            // that counts.
            let out = text(&output.stdout);
            let less = "the profile is refused by --deny-warnings: limits are not enforced";
            let good = output.status.success() || out.contains(less);
            let quiet = output.stderr.is_empty() && !out.contains(" [W");
            assert!(good && quiet, "{who:?}, {profile}: {}", said(&output));
        }
    }
}

#[test]
fn default_and_build_keep_what_the_host_runs_later() {
    let place = Place::new();
    for who in As::all() {
        let folder = repository(&place, *who);
        for profile in ["default", "build"] {
            let sh =
                |line: &str| inside(&place, *who, &folder, &["run", profile, "sh", "-c", line]);
            let free = sh("echo x > made && rm made && mkdir other && rmdir other");
            // If the user can make no control group, the limits of the profile are skipped with a
            // warning.
            let told = text(&free.stderr)
                .lines()
                .filter(|line| !line.contains("limits are not enforced"))
                .count();
            assert!(free.status.success() && told == 0, "{who:?}, {profile}: {}", said(&free));
            for line in [
                "echo x >> .git/config",
                "echo ../other > .git/commondir",
                "echo x > .git/hooks/post-checkout",
                "mv .git elsewhere",
                "rm -rf .git/hooks/pre-commit",
                "echo x > .github/workflows/new.yml",
                "mv .vscode other",
                "echo x > Jenkinsfile",
                "rm -f Jenkinsfile",
            ] {
                let output = sh(line);
                let err = text(&output.stderr);
                assert!(
                    !output.status.success()
                        && (err.contains("Read-only")
                            || err.contains("busy")
                            || err.contains("Permission denied")),
                    "{who:?}, {profile}: `{line}`: {}",
                    said(&output)
                );
            }
            // By the same way as before, where it is named.
            let named = format!(
                "mounts.\"{0}/.git\" = {{ bind = \"{0}/.git\", access = \"rw\", owner = \"root\" }}",
                folder.display()
            );
            let output = inside(
                &place,
                *who,
                &folder,
                &[
                    "run",
                    "--config",
                    &named,
                    profile,
                    "sh",
                    "-c",
                    "echo x > .git/made && rm .git/made",
                ],
            );
            assert!(output.status.success(), "{who:?}, {profile}: {}", said(&output));
        }
    }
}

#[test]
fn git_reads_a_repository_that_is_kept() {
    if !Path::new("/usr/bin/git").exists() {
        return skip("git is not installed");
    }
    let place = Place::new();
    for who in As::all() {
        let folder = place.folder(&format!("git-{who:?}"), *who);
        let git = |words: &[&str]| {
            let output = place
                .outside(*who, "/usr/bin/git")
                .current_dir(&folder)
                .args(["-c", "user.name=n", "-c", "user.email=e"])
                .args(words)
                .output()
                .unwrap();
            assert!(output.status.success(), "{who:?}: {words:?}: {}", said(&output));
        };
        git(&["init", "-q", "."]);
        git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        let output = inside(
            &place,
            *who,
            &folder,
            &[
                "run",
                "default",
                "sh",
                "-c",
                "echo x > f && git status --short && git log --format=%s && git describe --always",
            ],
        );
        assert!(
            output.status.success() && text(&output.stdout).starts_with("?? f\nfirst\n"),
            "{who:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_link_in_its_place_stops_nothing_and_is_kept() {
    let place = Place::new();
    for who in As::all() {
        let folder = place.folder(&format!("links-{who:?}"), *who);
        std::os::unix::fs::symlink("/etc", folder.join(".git")).unwrap();
        nix::unistd::mkfifo(&folder.join(".idea"), nix::sys::stat::Mode::from_bits_truncate(0o600))
            .unwrap();
        std::os::unix::net::UnixListener::bind(folder.join("Jenkinsfile")).map(drop).unwrap();
        for profile in ["default", "build"] {
            // The socket is a matter of the directory itself.
            let output = inside(&place, *who, &folder, &["run", profile, "true"]);
            let words = text(&output.stderr);
            assert!(
                words.contains("sockets") || output.status.success(),
                "{who:?}, {profile}: {}",
                said(&output)
            );
        }
        std::fs::remove_file(folder.join("Jenkinsfile")).unwrap();
        for profile in ["default", "build"] {
            let output = inside(
                &place,
                *who,
                &folder,
                &["run", profile, "sh", "-c", "! rm .git && readlink .git"],
            );
            assert!(
                output.status.success() && text(&output.stdout) == "/etc\n",
                "{who:?}, {profile}: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_folder_that_is_too_broad_takes_its_repository_with_it() {
    let place = Place::new();
    // A directory that holds a link to the profile of the run is too broad; its .git would show
    // what the directory does not.
    let who = As::all()[0];
    let folder = place.folder("broad", who);
    place.file("broad/.git/config", "secret");
    place.file("mine.toml", "format = 1\nextends = [\"default\"]\n");
    std::os::unix::fs::symlink("../mine.toml", folder.join("mine.toml")).unwrap();
    if is_root() && who == As::User {
        return skip("the profile must be the caller's");
    }
    let output = inside(
        &place,
        who,
        &folder,
        &["run", "./mine.toml", "sh", "-c", &format!("ls -d {0} {0}/.git", folder.display())],
    );
    let words = text(&output.stderr);
    assert!(
        !output.status.success()
            && words.contains("is left out")
            && words.contains(
                "found its profile, and which the target could replace; the command runs in /"
            )
            && text(&output.stdout).is_empty(),
        "{}",
        said(&output)
    );
}

/// The tests above need a shell with the tools that they name.
#[test]
fn the_tools_are_there() {
    assert!(
        Command::new("/bin/sh")
            .args(["-c", "command -v mv rm mkdir rmdir ls"])
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// no_new_privs is always on: what a set-user-id program or one with file capabilities does outside
/// it does not do inside.
#[test]
fn privilege_that_has_no_effect() {
    let place = Place::new();
    let (set_id, capable) = (place.path.join("set-id"), place.path.join("capable"));
    for program in [&set_id, &capable] {
        // A copy: support::install would make a second name of the system's own.
        assert!(Command::new("cp").arg("/bin/true").arg(program).status().unwrap().success());
    }
    std::fs::set_permissions(&set_id, std::os::unix::fs::PermissionsExt::from_mode(0o4755))
        .unwrap();
    let has_caps = support::is_root()
        && Command::new("setcap")
            .arg("cap_net_raw,cap_net_bind_service+ep")
            .arg(&capable)
            .status()
            .is_ok_and(|status| status.success());
    for who in As::all() {
        let check = |more: &str, program: &Path| {
            let mounts = format!("\"{0}\" = {{ bind = \"{0}\" }}\n", place.path.display());
            let path = place.file("profile.toml", &format!("{}{more}", support::system(&mounts)));
            let output = place
                .stockade(*who)
                .arg("check")
                .arg(&path)
                .arg("--")
                .arg(program)
                .output()
                .unwrap();
            let why = place
                .stockade(*who)
                .arg("why")
                .arg(&path)
                .arg(format!("exec:{}", program.display()))
                .output()
                .unwrap();
            (support::unwrapped(&text(&output.stdout)), support::unwrapped(&text(&why.stdout)))
        };
        let (checked, why) = check("", &set_id);
        assert!(
            checked.contains("process::no-privilege [W0503]") && checked.contains("set-user-id of"),
            "{checked}"
        );
        assert!(
            why.contains("without set-user-id, which it has outside (no_new_privs)")
                && why.contains("allowed"),
            "{why}"
        );
        let (checked, _) = check("", Path::new("/bin/true"));
        assert!(!checked.contains("W0503"), "{checked}");
        if !has_caps {
            support::skip("it takes root and setcap");
            continue;
        }
        let (checked, why) = check("", &capable);
        assert!(checked.contains("ambient = [\"net-bind-service\", \"net-raw\"]"), "{checked}");
        assert!(why.contains("without the file capabilities (net-bind-service net-raw)"), "{why}");
        // The help, pasted.
        let (checked, _) =
            check("[capabilities]\nambient = [\"net-bind-service\", \"net-raw\"]\n", &capable);
        assert!(!checked.contains("W0503"), "{checked}");
    }
}

/// An entry of `base` keeps the target from changing what the overlay of the whole host is for; one of
/// the author's is meant. Each help, pasted, ends the warning.
#[test]
fn what_is_inherited_covers_an_overlay_of_the_host() {
    let place = Place::new();
    let check = |extends: &str, more: &str| {
        let profile = format!(
            "format = 1\nextends = [\"{extends}\"]\n[mounts]\n\"/\" = \"overlay\"\n\"${{HOME}}\" = \
             \"hide\"\n{more}"
        );
        let path = place.file("p.toml", &profile);
        let output = place.stockade(As::User).arg("check").arg(&path).arg("true").output().unwrap();
        said(&output)
    };
    let warned = check("base", "");
    assert!(warned.contains("/usr stays read-only, as it lies on the overlay at /"), "{warned}");
    let helps = ["extends = [\"minimal\"]", "\"/usr\" = \"ro\""];
    assert!(helps.iter().all(|help| warned.contains(help)), "{warned}");
    for good in [check("minimal", ""), check("base", helps[1])] {
        assert!(!good.contains("W0311"), "{good}");
    }
}

/// Started in the home, `${CWD}` is the home.
#[test]
fn a_home_that_is_not_named_is_told() {
    let caller = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    let Some(home) = caller.map(|user| user.dir).filter(|home| home.is_dir()) else {
        return skip("this user has no home");
    };
    let place = Place::new();
    let other = place.folder("project", As::Root);
    let check = |entry: &str, cwd: &Path| {
        let profile = place.file("home.toml", &system(entry));
        let mut command = place.stockade(As::Root);
        let output = command.arg("check").arg(profile).arg("true").current_dir(cwd).output();
        said(&output.unwrap())
    };
    let ids = "owner = \"root\"";
    for (own, named) in [
        ("\"${CWD}\" = \"ro\"".to_owned(), "\"${HOME}\" = \"ro\""),
        ("\"/work\" = { bind = \"${CWD}\" }".to_owned(), "\"/work\" = { bind = \"${HOME}\" }"),
        (
            format!("\"${{CWD}}\" = {{ layers = [\"${{CWD}}\"], upper = \"discard\", {ids} }}"),
            "\"${HOME}\" = { layers = [\"${HOME}\"], upper = \"discard\", owner = \"root\" }",
        ),
    ] {
        let told = crate::support::unwrapped(&check(&own, &home));
        assert!(told.contains("W0308") && told.contains(named), "{own}: {told}");
        // The twins: elsewhere, and the line of the help.
        for (entry, cwd) in [(own.as_str(), &other), (named, &home)] {
            let told = check(entry, cwd);
            assert!(
                told.contains("the profile is good") && !told.contains("W0308"),
                "{entry}: {told}"
            );
        }
    }
}
