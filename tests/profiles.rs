//! The built-in profiles on real programs, as root and as an ordinary user: what each grants works,
//! what it does not grant is not there.

use crate::support::{As, Place, USER, errors, is_root, skip, text, unwrapped};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROFILES: [&str; 4] = ["base", "build", "default", "strict"];

/// `nobody`: an ordinary user that is in /etc/passwd, whose home is not there.
const NOBODY: u32 = 65_534;

/// The launcher, started by `who` in a directory of theirs.
struct Caller {
    place: Place,
    who: As,
    folder: PathBuf,
}

impl Caller {
    fn new(who: As) -> Caller {
        let place = Place::new();
        let folder = place.folder("work", who);
        if is_root() && who == As::User {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Caller { place, who, folder }
    }

    fn stockade(&self, cwd: &Path) -> Command {
        let id = self.who.id().map(|_| NOBODY);
        let mut command = self.place.outside_with(id, self.place.path.join("stockade"));
        command.current_dir(cwd).stdin(Stdio::null());
        command
    }

    fn run(&self, profile: &str, words: &[&str]) -> Output {
        self.stockade(&self.folder)
            .arg("run")
            .args(with_tools(profile))
            .arg(profile)
            .args(words)
            .output()
            .unwrap()
    }

    /// What a line of bash prints inside, less the closing newline; it must succeed.
    fn sh(&self, profile: &str, line: &str) -> String {
        let output = self.run(profile, &["bash", "-ec", line]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{:?}, {profile}: `{line}` gave {:?}\n{out}\n{err}",
            self.who,
            output.status
        );
        out.trim_end().to_owned()
    }

    /// That a line of bash fails inside, for the reason that its standard error gives.
    fn fails(&self, profile: &str, line: &str, reason: &str) {
        let output = self.run(profile, &["bash", "-ec", line]);
        let err = text(&output.stderr);
        assert!(
            !output.status.success() && err.contains(reason),
            "{:?}, {profile}: `{line}` gave {:?}\n{err}",
            self.who,
            output.status
        );
    }

    /// Asserts that a file in the directory belongs to the user who starts the launcher.
    fn owns(&self, name: &str) {
        let (file, folder) = (
            std::fs::metadata(self.folder.join(name)).unwrap(),
            std::fs::metadata(&self.folder).unwrap(),
        );
        assert_eq!(
            (file.uid(), file.gid()),
            (folder.uid(), folder.gid()),
            "{:?}: {name}",
            self.who
        );
    }
}

/// `strict` shows one program; what the shell lines of these tests call is named.
fn with_tools(profile: &str) -> &'static [&'static str] {
    match profile {
        "strict" => &[
            "--config",
            "programs = [\"cat\", \"find\", \"head\", \"ls\", \"sed\", \"sort\", \"wc\"]",
        ],
        _ => &[],
    }
}

fn each(test: impl Fn(Caller)) {
    As::all().iter().for_each(|who| test(Caller::new(*who)));
}

/// Whether a program is there; a test without it is skipped, loudly.
fn has(program: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

// ---- all of them ----

#[test]
fn every_profile_takes_privilege_and_network_away() {
    each(|caller| {
        for profile in PROFILES {
            let status = caller.sh(profile, "cat /proc/self/status");
            let field = |name: &str| {
                status
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(field(set), "0000000000000000", "{:?}, {profile}: {set}", caller.who);
            }
            assert_eq!(
                (field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()),
                ("1", "2"),
                "{:?}, {profile}",
                caller.who
            );
            assert_ne!(caller.sh(profile, "echo $UID"), "0", "{:?}, {profile}", caller.who);
            let interfaces =
                caller.sh(profile, "sed -n 's/^ *\\([a-z0-9]*\\):.*/\\1/p' /proc/net/dev");
            assert_eq!(interfaces, "lo", "{:?}, {profile}", caller.who);
            assert_eq!(
                caller.sh(profile, "cat /proc/sys/kernel/hostname"),
                "stockade",
                "{:?}, {profile}",
                caller.who
            );
        }
    });
}

#[test]
fn no_profile_passes_the_callers_environment() {
    each(|caller| {
        for profile in PROFILES {
            let output = caller
                .stockade(&caller.folder)
                .env("TOKEN", "secret")
                .env("LANG", "C")
                .args(["run", profile, "env"])
                .output()
                .unwrap();
            let env = text(&output.stdout);
            assert!(
                output.status.success() && env.contains("LANG=C\n") && !env.contains("secret"),
                "{:?}, {profile}: {env}",
                caller.who
            );
        }
    });
}

#[test]
fn no_profile_shows_another_file_of_the_host() {
    each(|caller| {
        let secret = caller.place.file("secret", "secret\n");
        let secret = secret.to_str().unwrap();
        assert!(std::fs::read(secret).is_ok());
        for profile in PROFILES {
            caller.fails(profile, &format!("cat {secret}"), "No such file or directory");
            caller.fails(profile, "ls /root", "No such file or directory");
            caller.fails(profile, "cat /etc/shadow", "No such file or directory");
        }
    });
}

#[test]
fn no_profile_lets_the_system_be_written() {
    each(|caller| {
        for profile in PROFILES {
            for path in ["/usr/bin/x", "/etc/x", "/x", "/proc/sys/kernel/hostname", "/dev/x"] {
                let output = caller.run(profile, &["bash", "-c", &format!("echo > {path}")]);
                let err = text(&output.stderr);
                let refused =
                    ["Read-only file system", "Permission denied", "No such file or directory"]
                        .iter()
                        .any(|words| err.contains(words));
                assert!(
                    !output.status.success() && refused,
                    "{:?}, {profile}: {path}: {err}",
                    caller.who
                );
            }
        }
    });
}

#[test]
fn curl_reaches_nothing() {
    if !has("curl") {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            use std::io::Write;
            stream.unwrap().write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        }
    });
    let outside = Command::new("curl").args(["-sS", "--noproxy", "*", &url]).output().unwrap();
    assert_eq!(text(&outside.stdout), "hi");
    each(|caller| {
        for profile in PROFILES {
            // 7: cannot connect; 6: cannot resolve.
            let output = caller.run(profile, &["curl", "-sS", "--noproxy", "*", &url]);
            assert_eq!(
                output.status.code(),
                Some(7),
                "{:?}, {profile}: {}",
                caller.who,
                text(&output.stderr)
            );
            let output = caller.run(profile, &["curl", "-sS", "http://example.com/"]);
            assert_eq!(
                output.status.code(),
                Some(6),
                "{:?}, {profile}: {}",
                caller.who,
                text(&output.stderr)
            );
        }
    });
}

// ---- base ----

#[test]
fn base_has_neither_the_folder_nor_a_home() {
    each(|caller| {
        assert_eq!(caller.sh("base", "pwd; echo ~; echo x > /tmp/x; cat /tmp/x"), "/\n/\nx");
        caller.fails(
            "base",
            &format!("ls {}", caller.folder.display()),
            "No such file or directory",
        );
    });
}

// ---- default ----

#[test]
fn default_writes_the_folder_and_nothing_else() {
    each(|caller| {
        caller.place.file("beside", "");
        let pwd = caller.sh("default", "pwd; echo made > made; mkdir -p a/b; mv made a/b/; ls ..");
        assert_eq!(pwd, format!("{}\nwork", caller.folder.display()));
        assert_eq!(std::fs::read_to_string(caller.folder.join("a/b/made")).unwrap(), "made\n");
        caller.owns("a/b/made");
    });
}

#[test]
fn default_has_an_empty_home_and_a_tmp_of_its_own() {
    each(|caller| {
        assert_eq!(caller.sh("default", "cd; pwd; ls -A; echo x > x; cat x"), "/home/sandbox\nx");
        assert_eq!(caller.sh("default", "ls -A ~"), "", "the home of the run before");
        let name = format!("/tmp/private-{}", std::process::id());
        assert_eq!(caller.sh("default", &format!("echo x > {name}; cat {name}")), "x");
        assert!(!Path::new(&name).exists());
    });
}

#[test]
fn default_runs_python_and_git() {
    if !has("python3") || !has("git") {
        return;
    }
    each(|caller| {
        assert_eq!(
            caller.sh(
                "default",
                "python3 -c 'import json, ssl, sqlite3; open(\"f\", \
                 \"w\").write(json.dumps([1]))'; cat f"
            ),
            "[1]"
        );
        let line = "git init -q . && git add f && git -c user.name=n -c user.email=e commit -qm \
                    first && git log --format=%s && git status --short";
        assert_eq!(caller.sh("default", line), "first");
        caller.owns(".git/HEAD");
    });
}

#[test]
fn default_serves_a_user_without_an_entry_in_passwd() {
    let place = Place::new();
    let folder = place.folder("work", As::User);
    let output = place
        .stockade(As::User)
        .current_dir(&folder)
        .args(["run", "default", "sh", "-c", "echo x > x; cat x"])
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "x\n", "{}", text(&output.stderr));
}

#[test]
fn default_has_bash_with_pipes_jobs_and_here_documents() {
    each(|caller| {
        assert_eq!(
            caller.sh("default", "cat <<< a | tr a b; (sleep 0.1; echo c) & wait; cat <(echo d)"),
            "b\nc\nd"
        );
    });
}

#[test]
fn default_leaves_out_a_folder_that_is_too_broad_and_says_so() {
    each(|caller| {
        let home = if caller.who == As::Root { "/root" } else { "/home" };
        // Entries of the user's home are below it.
        let above = if caller.who == As::Root { "/" } else { home };
        for (folder, why, pwd) in [
            (home, "it is a home, or holds one", above),
            ("/", "it is the whole tree", "/"),
            ("/sys", "it shows the host, not the sandbox", "/"),
            ("/usr/lib", "it belongs to the system", "/usr/lib"),
            ("/usr", "it belongs to the system", "/usr"),
            // The directory above entries.
            ("/etc", "it belongs to the system", "/etc"),
        ] {
            let output = caller
                .stockade(Path::new(folder))
                .args(["run", "default", "pwd"])
                .output()
                .unwrap();
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(
                output.status.success() && err.contains(&format!("{folder} is left out: {why}")),
                "{:?}, {folder}: {err}",
                caller.who
            );
            assert_eq!(out.trim_end(), pwd, "{:?}, {folder}", caller.who);
            let output = caller
                .stockade(Path::new(folder))
                .args(["run", "default", "touch", &format!("{folder}/x")])
                .output()
                .unwrap();
            assert!(
                !output.status.success() && !Path::new(folder).join("x").exists(),
                "{:?}, {folder}",
                caller.who
            );
        }
    });
}

/// `check` ends with a verdict, which names what the command would start without.
#[test]
fn the_verdict_names_a_project_that_is_left_out_for_a_socket_in_it() {
    if (1..3).contains(&crate::support::landlock_abi()) {
        return skip("Landlock cannot rule over truncate(2) here");
    }
    each(|caller| {
        let host = if caller.who == As::Root { "identity.host = true" } else { "" };
        let verdict = || {
            let output = caller
                .stockade(&caller.folder)
                .args(["check", "--config", host, "landlock", "--", "true"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
            text(&output.stdout)
                .lines()
                .find(|line| line.starts_with("the profile is good"))
                .unwrap()
                .to_owned()
        };
        let said =
            format!(". Left out, so that the target cannot use it: {}", caller.folder.display());
        assert!(!verdict().contains("Left out"), "{}", verdict());
        let _listener =
            std::os::unix::net::UnixListener::bind(caller.folder.join("socket")).unwrap();
        assert!(verdict().ends_with(&said), "{}", verdict());
    });
}

/// What root grants its target in the host's own tree, the target opens as the user that it is.
#[test]
fn a_directory_above_that_is_closed_to_the_target_is_named() {
    if !is_root() {
        return skip("root alone starts a target as another user");
    }
    if (1..3).contains(&crate::support::landlock_abi()) {
        return skip("Landlock cannot rule over truncate(2) here");
    }
    let place = Place::new();
    let (above, folder) =
        (place.folder("closed", As::Root), place.folder("closed/project", As::User));
    std::os::unix::fs::chown(&folder, Some(1000), Some(1000)).unwrap();
    let go = |word: &str, mode: u32, identity: &str| {
        std::fs::set_permissions(&above, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
        let mut command = place.stockade(As::Root);
        let output = command
            .current_dir(&folder)
            .args([word, "--config", identity, "landlock", "--", "touch", "made"])
            .output()
            .unwrap();
        (output.status.code(), unwrapped(&(text(&output.stdout) + &text(&output.stderr))))
    };
    let note = format!(
        "the target cannot reach anything below {}: it belongs to 0:0 (mode 0700)",
        above.display()
    );
    let (status, said) = go("check", 0o700, "identity.host = true");
    assert!(status == Some(125) && said.contains(&note) && said.contains("[W0502]"), "{said}");
    let (status, said) = go("run", 0o700, "identity.host = true");
    assert!(
        status == Some(125)
            && said.contains(&note)
            && said.contains("E1201")
            && said.contains("namei -l"),
        "{said}"
    );
    // What the note and the help say is done: the directory lets it through, or the target is who
    // may come there.
    let (status, said) = go("run", 0o711, "identity.host = true");
    assert!(
        status == Some(0) && folder.join("made").exists() && !said.contains("cannot reach"),
        "{said}"
    );
    std::fs::remove_file(folder.join("made")).unwrap();
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
    let (status, said) = go("run", 0o700, "identity = { host = true, user = 0, group = 0 }");
    assert!(status == Some(0) && !said.contains("cannot reach"), "{said}");
}

/// A user's profile goes by its name where XDG_CONFIG_HOME says; a relative one counts as none, and
/// root has no such directory.
#[test]
fn a_user_s_profile_goes_by_its_name() {
    let place = Place::new();
    for who in As::all() {
        let config = place.folder(&format!("config-{who:?}"), *who);
        let directory = place.folder(&format!("config-{who:?}/stockade"), *who);
        let profile = directory.join("of-this-test.toml");
        std::fs::write(&profile, "format = 1\nextends = [\"base\"]\nenv.MINE = \"yes\"\n").unwrap();
        if is_root() && *who == As::User {
            std::os::unix::fs::chown(&profile, Some(USER), Some(USER)).unwrap();
        }
        let run = |home: Option<&std::ffi::OsStr>| {
            let mut command = place.stockade(*who);
            command.envs(home.map(|home| ("XDG_CONFIG_HOME", home))).current_dir(&place.path);
            command.args(["run", "of-this-test", "sh", "-c", "echo $MINE"]).output().unwrap()
        };
        let found = run(Some(config.as_os_str()));
        let expected = if *who == As::Root { (Some(125), "") } else { (Some(0), "yes\n") };
        assert_eq!(
            (found.status.code(), text(&found.stdout).as_str()),
            expected,
            "{who:?}: {}",
            text(&found.stderr)
        );
        for home in [None, config.file_name()] {
            assert_eq!(run(home).status.code(), Some(125), "{who:?}: {home:?}");
        }
    }
}

#[test]
fn what_is_left_out_uncovers_what_is_inherited() {
    each(|caller| {
        let run = |cwd: &str, profile: &str, line: &str| {
            let output = caller
                .stockade(Path::new(cwd))
                .args(["run", profile, "sh", "-c", line])
                .output()
                .unwrap();
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(
                output.status.success() && err.contains(&format!("{cwd} is left out")),
                "{:?}, {profile} in {cwd}: {err}",
                caller.who
            );
            out
        };
        assert_eq!(
            run("/usr", "default", "ls /usr/bin/env; ! touch /usr/x 2>&-"),
            "/usr/bin/env\n"
        );
        assert_eq!(run("/tmp", "default", "ls -A /tmp; echo x >/tmp/x; cat /tmp/x"), "x\n");
        assert_eq!(
            run("/dev", "default", "ls /dev/null; echo x >/dev/null; ! ls /dev/kmsg 2>&-"),
            "/dev/null\n"
        );
        // Alone, what is kept within a directory that is left out would show a part of it.
        assert!(!run("/", "default", "! ls -d /.git /root 2>&-; ls /").contains("root"));
        // Root of the host takes no profile that leaves it the host's ids.
        if caller.who == As::User {
            // Below Landlock's ABI 3 files could be cut short, and it does not start.
            if (1..3).contains(&crate::support::landlock_abi()) {
                skip("Landlock cannot rule over truncate(2) here");
            } else {
                for cwd in ["/usr", "/etc", "/opt", "/dev"] {
                    assert_eq!(
                        run(cwd, "landlock", "ls /usr/bin/env; ! touch $PWD/x 2>&-"),
                        "/usr/bin/env\n"
                    );
                }
            }
        }
        // A source that is absent does the same.
        let config = "mounts.\"/usr\" = { bind = \"/nonexistent\", missing = \"skip\" }";
        let output = caller
            .stockade(&caller.folder)
            .args(["run", "--config", config, "base", "ls", "/usr/bin/env"])
            .output()
            .unwrap();
        assert_eq!(
            text(&output.stdout),
            "/usr/bin/env\n",
            "{:?}: {}",
            caller.who,
            text(&output.stderr)
        );
    });
}

/// Control groups, which are below `/` and `/sys`, are no reason to refuse what is left out, and no
/// help opens what root alone may read.
#[test]
fn no_help_grants_the_whole_host_as_roots() {
    if !is_root() {
        return skip("it takes root");
    }
    let caller = Caller::new(As::Root);
    // E1401: in a group of version 2 with other processes nothing is made, so that nothing need be
    // kept from the target.
    let base =
        "format = 1\nextends = [\"base\"]\nlimits.pids = 9\nidentity.user = 1000\n[mounts]\n";
    for (line, words) in [
        ("\"/\" = { bind = \"/\", access = \"rw\", broad = true, sockets = true }", "E1404|E1401"),
        ("\"/\" = { bind = \"/\", access = \"rw\", sockets = true, owner = \"root\" }", "E0301"),
        ("\"/w\" = { bind = \"/etc\", access = \"rw\", broad = true }", "mounts::owner"),
    ] {
        let profile = caller.place.file("wide.toml", &format!("{base}{line}\n"));
        let output = caller
            .stockade(&caller.folder)
            .arg("check")
            .arg(&profile)
            .arg("true")
            .output()
            .unwrap();
        let err = text(&output.stderr) + &text(&output.stdout);
        let help = err.split("help:").skip(1).collect::<String>();
        let adds = !line.contains("owner") && help.contains("owner =");
        assert!(words.split('|').any(|word| err.contains(word)) && !adds, "{line}\n{err}");
        assert!(!words.contains("E0301") || !err.contains("E1404"), "{err}");
    }
}

// ---- build ----

#[test]
fn build_compiles_and_runs_c() {
    if !has("gcc") {
        return;
    }
    each(|caller| {
        std::fs::write(
            caller.folder.join("hello.c"),
            "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
        )
        .unwrap();
        assert_eq!(caller.sh("build", "gcc -o hello hello.c && ./hello"), "hello");
        caller.owns("hello");
        assert_eq!(
            caller.sh(
                "build",
                "gcc -o /tmp/hello hello.c && /tmp/hello; gcc -o ~/hello hello.c && ~/hello"
            ),
            "hello\nhello"
        );
    });
}

#[test]
fn build_runs_make_on_another_project() {
    if !has("make") {
        return;
    }
    each(|caller| {
        std::fs::write(caller.folder.join("Makefile"), "all:\n\t@printf '%s' made > made; pwd\n")
            .unwrap();
        let set = format!("project={}", caller.folder.display());
        let output = caller
            .stockade(Path::new("/"))
            .args(["run", "--set", &set, "build", "make"])
            .output()
            .unwrap();
        assert_eq!(
            text(&output.stdout).trim_end(),
            caller.folder.to_str().unwrap(),
            "{:?}: {}",
            caller.who,
            text(&output.stderr)
        );
        caller.owns("made");
    });
}

#[test]
fn build_refuses_a_project_that_is_too_broad() {
    each(|caller| {
        let output =
            caller.stockade(Path::new("/usr/lib")).args(["run", "build", "true"]).output().unwrap();
        let err = text(&output.stderr);
        assert!(
            output.status.code() == Some(125) && err.contains("it belongs to the system"),
            "{:?}: {err}",
            caller.who
        );
    });
}

/// Who runs a built-in profile cannot write in it: what works is another project.
#[test]
fn build_says_to_name_another_project_and_takes_it() {
    each(|caller| {
        for folder in ["/", "/usr", "/etc", "/home", "/tmp", "/run", "/proc", "/sys", "/dev"] {
            let output =
                caller.stockade(Path::new(folder)).args(["run", "build", "true"]).output().unwrap();
            let err = errors(&output);
            assert!(
                output.status.code() == Some(125) && err.contains("give `project` another value"),
                "{:?}, {folder}: {err}",
                caller.who
            );
            assert!(err.contains("--set project=PATH"), "{:?}, {folder}: {err}", caller.who);
            assert_eq!(
                err.matches("E0301").count(),
                usize::from(err.contains("E0301")),
                "{:?}, {folder}: {err}",
                caller.who
            );
            let set = format!("project={}", caller.folder.display());
            let output = caller
                .stockade(Path::new(folder))
                .args(["run", "--set", &set, "build", "pwd"])
                .output()
                .unwrap();
            assert_eq!(
                text(&output.stdout).trim_end(),
                caller.folder.to_str().unwrap(),
                "{:?}, {folder}: {}",
                caller.who,
                text(&output.stderr)
            );
        }
    });
}

#[test]
fn build_makes_no_set_id_files_in_a_folder_of_roots() {
    if !is_root() {
        return skip("it takes root");
    }
    let caller = Caller::new(As::Root);
    caller.fails("build", "cp /usr/bin/env . && chmod u+s env", "not permitted");
    caller.fails("build", "chmod g+s .", "not permitted");
}

/// With the caller's tool chain, which `nobody` has not.
#[test]
fn build_runs_cargo_offline() {
    let caller = Caller::new(As::all()[0]);
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().dir;
    if !home.join(".cargo/bin/cargo").exists() && !Path::new("/usr/bin/cargo").exists() {
        return skip("cargo is neither in the caller's .cargo/bin nor in /usr/bin");
    }
    let write = |name: &str, text: &str| std::fs::write(caller.folder.join(name), text).unwrap();
    std::fs::create_dir(caller.folder.join("src")).unwrap();
    write("Cargo.toml", "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    write("src/main.rs", "fn main() { println!(\"{}\", 6 * 7); }\n#[test]\nfn holds() {}\n");
    assert_eq!(caller.sh("build", "cargo build --offline --quiet && target/debug/tiny"), "42");
    assert!(caller.sh("build", "cargo test --offline 2>&1").contains("1 passed"));
    caller.fails("build", "touch ~/.cargo/registry/x ~/.cargo/bin/x", "Read-only file system");
    caller.fails("build", "cat ~/.cargo/credentials.toml", "No such file or directory");
}

// ---- strict ----

#[test]
fn strict_filters_standard_input() {
    let filters: [(&[&str], &str); 4] = [
        (&["cat"], "b\na\n"),
        (&["sort"], "a\nb\n"),
        (&["sed", "s/a/c/"], "b\nc\n"),
        (&["awk", "{ n++ } END { print n }"], "2\n"),
    ];
    each(|caller| {
        for (words, expected) in filters {
            assert_eq!(
                pipe(&caller, &[], words, "b\na\n"),
                expected,
                "{:?}: {words:?}",
                caller.who
            );
        }
        if has("python3") {
            // Its modules are what it opens by itself.
            let python = std::fs::canonicalize("/usr/bin/python3").unwrap();
            let modules = format!(
                "mounts.\"/usr/lib/{}\" = \"ro\"",
                python.file_name().unwrap().to_str().unwrap()
            );
            let words =
                ["/usr/bin/python3", "-c", "import json, sys; print(json.load(sys.stdin)['a'])"];
            assert_eq!(pipe(&caller, &["--config", &modules], &words, "{\"a\": 1}"), "1\n");
        }
        if Path::new("/usr/bin/jq").exists() {
            assert_eq!(pipe(&caller, &[], &["jq", ".a"], "{\"a\": 1}"), "1\n");
        }
    });
}

/// What a filter makes of a text. The text is in a file, so that the test cannot wait for a pipe.
fn pipe(caller: &Caller, options: &[&str], words: &[&str], input: &str) -> String {
    let input = std::fs::File::open(caller.place.file("input", input)).unwrap();
    let output = caller
        .stockade(&caller.folder)
        .arg("run")
        .args(options)
        .arg("strict")
        .args(words)
        .stdin(input)
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}: {words:?}: {}", caller.who, text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn strict_has_less_of_the_system() {
    each(|caller| {
        let output = caller
            .stockade(&caller.folder)
            .args(["run", "strict", "find", "/", "-type", "f", "!", "-path", "/proc/*"])
            .output()
            .unwrap();
        let files = text(&output.stdout);
        assert!(
            files.contains("/usr/bin/find\n") && files.contains("/libc.so"),
            "{files}{}",
            text(&output.stderr)
        );
        let known = |path: &str| {
            let own = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf"];
            own.contains(&path)
                || ["/usr/bin/find", "/dev/null", "/dev/urandom"].contains(&path)
                || path.contains(".so")
                || path.starts_with("/usr/lib/locale/")
        };
        let others: Vec<&str> = files.lines().filter(|path| !known(path)).collect();
        assert!(others.is_empty(), "{others:?}");
        let output = caller
            .stockade(&caller.folder)
            .args(["run", "strict", "bash", "-c", "cat /etc/passwd"])
            .output()
            .unwrap();
        assert!(
            output.status.code() == Some(127)
                && text(&output.stderr).contains("cat: command not found"),
            "{}",
            text(&output.stderr)
        );
        caller.fails("strict", "ls /usr/share", "No such file or directory");
        caller.fails("strict", "ls /sbin/", "No such file or directory");
        assert_eq!(
            caller.sh("strict", "find /dev ! -type d ! -type l | sort"),
            "/dev/null\n/dev/urandom"
        );
        assert_eq!(
            caller.sh("strict", "head -c 4 /dev/urandom | wc -c; echo gone > /dev/null"),
            "4"
        );
        for node in ["/dev/tty", "/dev/ptmx", "/dev/shm", "/dev/zero"] {
            caller.fails("strict", &format!("ls {node}"), "No such file or directory");
        }
        caller.fails(
            "strict",
            &format!("ls {}", caller.folder.display()),
            "No such file or directory",
        );
    });
}
