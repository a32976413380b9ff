//! Every example is run: what we show works.

use crate::roots::tiny;
use crate::support::{self, As, Place, is_root, kernel, skip, text};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `nobody`: the ordinary user of these tests, where root starts them; unlike that of the other
/// tests it is in /etc/passwd, as the profile `build` needs.
const NOBODY: u32 = 65_534;

/// A copy of one directory of examples, where only root, or the user who tests, can write.
struct Example {
    place: Place,
    folder: PathBuf,
}

impl Example {
    fn new(name: &str) -> Example {
        let place = Place::new();
        let folder = place.path.join("example");
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(repository().join("examples").join(name)).unwrap().flatten()
        {
            let copy = folder.join(entry.file_name());
            support::copy(&entry.path(), &copy);
            // A checkout may be writable for a group; an installed profile may not.
            let mode = entry.metadata().unwrap().permissions().mode();
            std::fs::set_permissions(
                &copy,
                PermissionsExt::from_mode(if mode & 0o100 != 0 { 0o755 } else { 0o644 }),
            )
            .unwrap();
        }
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        Example { place, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// A line of shell, as a user would type it in `cwd`, with `stockade` on the PATH.
    fn shell(&self, who: As, cwd: &Path, line: &str) -> Command {
        let mut command = self.place.outside_with(nobody(who), "/bin/sh");
        command.env("PATH", format!("{}:/usr/bin:/bin", self.place.path.display()));
        command.args(["-ec", line]).current_dir(cwd).stdin(Stdio::null());
        command
    }

    fn stockade(&self, who: As) -> Command {
        self.place.outside_with(nobody(who), self.place.path.join("stockade"))
    }

    /// A directory of the user who starts the launcher.
    fn folder(&self, name: &str, owner: As) -> PathBuf {
        let folder = self.place.folder(name, owner);
        if is_root() && owner == As::User {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        folder
    }
}

/// The id to start a command with: of a user whom the machine knows.
fn nobody(who: As) -> Option<u32> {
    who.id().map(|_| NOBODY)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn each(name: &str, test: impl Fn(&Example, As)) {
    As::all().iter().for_each(|who| test(&Example::new(name), *who));
}

/// What a command prints; it must succeed.
fn good(who: As, mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{who:?}: {command:?} gave {:?}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        !["/usr/local/bin", "/usr/bin", "/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    });
    if let Some(missing) = missing {
        skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

// ---- each directory ----

#[test]
fn every_example_has_a_test() {
    let mut names: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "filter",
            "github",
            "gitlab",
            "kept-home",
            "landlock-alone",
            "offline-build",
            "other-root",
            "review",
            "shell",
            "systemd",
            "throwaway-host",
            "try-upgrade",
            "untrusted-script"
        ]
    );
}

#[test]
fn every_example_profile_is_checked() {
    for (folder, file, set, program) in [
        ("offline-build", "profile.toml", Some("out=OUT"), "make"),
        ("shell", "scratch.toml", None, "bash"),
        ("systemd", "stockade-demo.toml", Some("site=OUT"), "python3"),
        ("untrusted-script", "profile.toml", None, "bash"),
    ] {
        // A check says that a target does not start.
        if !has(&[program]) {
            continue;
        }
        each(folder, |example, who| {
            let out = example.folder("out", who);
            let set = set.map(|set| set.replace("OUT", out.to_str().unwrap()));
            let flags = set.iter().flat_map(|set| ["--set", set.as_str()]);
            let mut command = example.stockade(who);
            command.arg("check").args(flags).arg(example.path(file));
            assert!(good(who, command).contains("the profile is good"), "{folder}");
        });
    }
}

#[test]
fn the_untrusted_script_gets_nowhere() {
    if !has(&["bash", "timeout"]) {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    each("untrusted-script", |example, who| {
        let home = example.folder("home", who);
        example.place.file("home/.ssh/id_ed25519", "a key\n");
        let words = ["127.0.0.1", &port, home.to_str().unwrap()];
        // Outside, the same tries work, or the test would show nothing.
        let outside = Command::new(example.path("nosy.sh"))
            .env_clear()
            .env("HOME", &home)
            .env("PATH", "/usr/bin:/bin")
            .args(words)
            .output()
            .unwrap();
        let said = text(&outside.stdout);
        for what in [
            format!("read {}/.ssh/id_ed25519", home.display()),
            format!("connect to 127.0.0.1 port {port}"),
            "write beside".into(),
            "see the process".into(),
        ] {
            assert!(said.contains(&format!("WORKED   {what}")), "{what}\n{said}");
        }
        let mut command = example.stockade(who);
        command.args(["run", &example.path("profile.toml")]).args(words);
        let said = good(who, command);
        assert!(!said.contains("WORKED") && said.lines().count() >= 8, "{who:?}: {said}");
    });
}

#[test]
fn landlock_alone_keeps_files_from_an_ordinary_user_s_target() {
    each("landlock-alone", |example, who| {
        let home = example.folder("home", who);
        example.folder("home/project", who);
        example.place.file("home/secret", "a secret\n");
        let mut command = example.stockade(who);
        command.current_dir(home.join("project")).arg("run");
        if !support::landlock_scopes() {
            // What the example says of older kernels.
            command.args([
                "--config",
                "optional = ['landlock.scope', 'landlock.tcp', 'landlock.truncate']",
            ]);
        }
        command.args([&example.path("profile.toml"), "sh", "-c"]);
        command.arg("cat ../secret; echo no > ../planted; echo yes > made && cat made");
        if who == As::Root {
            // Without namespaces the target would be a user of the host, whom root has to name.
            let output = command.output().unwrap();
            return assert!(text(&output.stderr).contains("identity::host"), "{output:?}");
        }
        assert_eq!(good(who, command), "yes\n");
        assert!(home.join("project/made").exists() && !home.join("planted").exists());
    });
}

#[test]
fn the_offline_build_builds() {
    if !has(&["make", "gcc", "cc"]) {
        return;
    }
    each("offline-build", |example, who| {
        let out = example.folder("out", who);
        let line = format!(
            "stockade run --set out={} {} check",
            out.display(),
            example.path("profile.toml")
        );
        let said = good(who, example.shell(who, &example.place.path, &line));
        assert!(said.contains("the check passed"), "{who:?}: {said}");
        assert!(out.join("primes").exists());
    });
}

#[test]
fn the_home_is_there_again() {
    each("kept-home", |example, who| {
        let home = example.folder("states", who);
        let states = format!("XDG_STATE_HOME={} stockade", home.display());
        let profile = example.path("profile.toml");
        let work = example.folder("work", who);
        let sh = |line: &str| good(who, example.shell(who, &work, line));
        let run = |line: &str| sh(&format!("{states} run {profile} sh -c '{line}'"));
        run("touch ~/kept");
        assert_eq!(run("pwd; ls"), "/home/me\nkept\n", "{who:?}");
        assert!(sh(&format!("{states} state list")).contains("kept-home  "), "{who:?}");
        sh(&format!("{states} state remove --yes kept-home"));
    });
}

#[test]
fn changes_are_read_before_they_are_made() {
    each("review", |example, who| {
        example.folder("work", who);
        let project = example.folder("work/project", who);
        let tools = example.folder("tools", who);
        for path in [project.join("file"), tools.join("bin/mine")] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "#!/bin/sh\necho before\n").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            if is_root() && who == As::User {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let profile = example.path("profile.toml");
        let sh = |line: &str| good(who, example.shell(who, &project, line));
        let run = |line: &str| {
            sh(&format!("stockade run --set tools={} {profile} sh -c '{line}'", tools.display()))
        };
        assert_eq!(run("mine; echo x > new; echo after > file"), "before\n", "{who:?}");
        assert_eq!(run("cat new file"), "x\nafter\n", "{who:?}");
        assert_eq!(sh("ls"), "file\n", "{who:?}");
        assert_eq!(sh("stockade changes \"$PWD.changes\""), "M  file\nA  new\n", "{who:?}");
        assert!(sh("stockade changes --diff \"$PWD.changes\"").contains("\n+after\n"), "{who:?}");
        sh("stockade changes apply --yes \"$PWD.changes\"");
        assert_eq!(sh("cat new file"), "x\nafter\n", "{who:?}");
    });
}

#[test]
fn what_is_changed_of_the_host_is_listed_and_thrown_away() {
    if kernel() < (6, 6) {
        return skip("a tmpfs has room for overlayfs's attributes since 6.6");
    }
    each("throwaway-host", |example, who| {
        let work = example.folder("work", who);
        let profile = example.path("profile.toml");
        let line = "echo x > /etc/stockade-new; rm /etc/passwd; echo y > own; ls /etc/stockade-new";
        let run = format!("stockade run --changes {profile} sh -c '{line}' 2>&1");
        let said = good(who, example.shell(who, &work, &run));
        let has = |line: &str| said.lines().any(|one| one == line);
        assert!(has("/etc/stockade-new") && has("A  /etc/stockade-new"), "{who:?}: {said}");
        assert!(said.contains("is in the host's own files, and not listed\n"), "{who:?}: {said}");
        assert!(!Path::new("/etc/stockade-new").exists() && Path::new("/etc/passwd").exists());
        assert_eq!(std::fs::read_to_string(work.join("own")).unwrap(), "y\n");
    });
}

#[test]
fn the_other_root_is_all_that_its_command_sees() {
    each("other-root", |example, who| {
        let Some(root) = tiny(&example.place) else { return };
        let work = example.folder("work", who);
        let profile = example.path("profile.toml");
        let run = |line: &str| {
            let run = format!("stockade run --set root={} {profile}", root.display());
            good(who, example.shell(who, &work, &format!("{run} /bin/sh -c '{line}' 2>&1")))
        };
        let said = run(
            "pwd; cat /etc/os-release; ls /usr/bin; echo made > file; echo no > /usr/no || ls /",
        );
        let seen = "/work\nID=tiny\nbusybox\ncat\nls\nsh\n/bin/sh: can't create /usr/no: ";
        assert!(said.starts_with(seen), "{who:?}: {said}");
        assert!(said.ends_with("\nbin\ndev\netc\nproc\nrun\ntmp\nusr\nwork\n"), "{who:?}: {said}");
        assert_eq!(std::fs::read_to_string(work.join("file")).unwrap(), "made\n");
    });
}

#[test]
fn a_package_is_tried_and_is_gone() {
    if !is_root() || !has(&["dpkg-deb"]) {
        return skip("only root installs a package, with dpkg");
    }
    if support::kernel() < (6, 6) {
        return skip("an upper in memory needs Linux 6.6");
    }
    let example = Example::new("try-upgrade");
    let package = example.place.path.join("package");
    let tool = example.place.file("package/usr/bin/stockade-tried", "#!/bin/sh\necho version 2\n");
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let control = "Package: stockade-tried\nVersion: 2\nArchitecture: all\nMaintainer: a \
                   <a@example>\nDescription: a test\n";
    example.place.file("package/DEBIAN/control", control);
    let site = example.place.folder("site", As::Root);
    let line = format!("dpkg-deb --root-owner-group --build {} it.deb", package.display());
    good(As::Root, example.shell(As::Root, &site, &line));
    let line = format!("stockade run {} ./it.deb stockade-tried", example.path("profile.toml"));
    let said = good(As::Root, example.shell(As::Root, &site, &line));
    assert_eq!(said, "version 2\n");
    assert!(!Path::new("/usr/bin/stockade-tried").exists());
}

#[test]
fn the_filter_has_two_files_and_no_more() {
    each("filter", |example, who| {
        let home = example.folder("home", who);
        example.place.file("home/in", "b 2\na 1\n");
        let settings = format!("--set input={0}/in --set output={0}/out", home.display());
        let acts = format!("sort; ls {} || true; cat /proc/self/fd/1 || true", home.display());
        let filter =
            format!("stockade run {settings} {} sh -c '{acts}'", example.path("profile.toml"));
        let said = good(who, example.shell(who, &home, &format!("{filter} 2>&1")));
        assert_eq!(std::fs::read_to_string(home.join("out")).unwrap(), "a 1\nb 2\n");
        assert!(said.matches("No such file").count() == 1 && said.contains("Permission"), "{said}");
        // Outside, the program sees both directories.
        let twin = format!("cat in | (ls {})", home.display());
        assert!(good(who, example.shell(who, &home, &twin)).contains("out"));
    });
}

#[test]
fn the_profile_with_a_first_line_is_a_program() {
    if !has(&["bash", "env"]) {
        return;
    }
    each("shell", |example, who| {
        let line = format!(
            "{} -c 'echo hello > f; cat f; hostname; pwd; ls -A /home'",
            example.path("scratch.toml")
        );
        let said = good(who, example.shell(who, &example.place.path, &line));
        assert_eq!(said, "hello\nscratch\n/home/sandbox\nsandbox\n", "{who:?}");
    });
}

// ---- systemd ----

/// The words of `ExecStart=`, with this machine's paths and port in the place of the installed
/// ones.
fn exec_start(example: &Example, site: &Path, port: u16) -> Vec<String> {
    let unit = std::fs::read_to_string(example.path("stockade-demo.service")).unwrap();
    let lines: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    let [line] = lines.as_slice() else { panic!("one ExecStart=: {lines:?}") };
    let words = line.split_whitespace().map(|word| {
        word.replace(
            "/usr/local/bin/stockade",
            example.place.path.join("stockade").to_str().unwrap(),
        )
        .replace("/etc/stockade", example.folder.to_str().unwrap())
        .replace("site=/srv/site", &format!("site={}", site.display()))
        .replace("port=8080", &format!("port={port}"))
    });
    words.collect()
}

/// What the server answers, once it is there.
fn get(port: u16, path: &str, server: &mut Child) -> String {
    let start = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            return answer;
        }
        if let Some(status) = server.try_wait().unwrap() {
            let mut err = String::new();
            server.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            panic!("the server ended: {status:?}\n{err}");
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the server does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_unit_serves_files_and_stops() {
    if !has(&["python3"]) {
        return;
    }
    each("systemd", |example, who| {
        let site = example.place.path.join("site");
        example
            .place
            .file("site/index.html", &std::fs::read_to_string(example.path("index.html")).unwrap());
        let port = free_port();
        let words = exec_start(example, &site, port);
        assert!(words[0].ends_with("/stockade"), "{words:?}");
        let mut command = example.stockade(who);
        // The words after the program; systemd starts a service in `/` with no standard input.
        command
            .args(&words[1..])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let answer = get(port, "/index.html", &mut server);
        assert!(answer.contains("Served from a sandbox"), "{who:?}: {answer}");
        let pid = nix::unistd::Pid::from_raw(server.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        // 143 is what SuccessExitStatus= of the unit says.
        assert_eq!(server.wait().unwrap().code(), Some(143), "{who:?}");
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "{who:?}: the server is still there"
        );
    });
}

#[test]
fn systemd_takes_the_unit() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return skip("systemd-analyze is not installed");
    }
    let example = Example::new("systemd");
    let unit = std::fs::read_to_string(example.path("stockade-demo.service")).unwrap();
    let unit = unit
        .replace("/usr/local/bin/stockade", example.place.path.join("stockade").to_str().unwrap());
    let path = example.place.file("stockade-demo.service", &unit);
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = text(&output.stderr);
    // Other units of the machine may have faults of their own.
    assert!(!said.contains("stockade-demo"), "{said}");
}

// ---- CI jobs ----

/// The commands of `- run:` (GitHub) or below `script:` (GitLab).
fn script(text: &str) -> Vec<String> {
    let (mut lines, mut inside) = (vec![], false);
    for line in text.lines() {
        let word = line.trim();
        if let Some(command) = word.strip_prefix("run: ") {
            lines.push(command.to_owned());
        } else if word == "script:" {
            inside = true;
        } else if let (true, Some(command)) = (inside, word.strip_prefix("- ")) {
            lines.push(command.to_owned());
        } else {
            inside = false;
        }
    }
    lines
}

/// Runs the commands of a CI job on a checkout, which is a copy of the offline build.
fn run_job(file: &str) {
    if !has(&["make", "gcc", "cc"]) {
        return;
    }
    let commands = script(&std::fs::read_to_string(repository().join(file)).unwrap());
    assert!(commands.iter().any(|command| command.starts_with("stockade run ")), "{commands:?}");
    each("offline-build", |example, who| {
        let checkout = example.folder("checkout", who);
        for name in ["Makefile", "primes.c"] {
            std::fs::copy(example.path(name), checkout.join(name)).unwrap();
        }
        for command in &commands {
            let mut job = example.shell(who, &checkout, command);
            // What CI services set, and what must not reach the build.
            job.env("CI", "true").env("CI_JOB_TOKEN", "secret").env("GITHUB_TOKEN", "secret");
            good(who, job);
        }
        assert!(checkout.join("build/primes").exists(), "{who:?}");
        let mut job = example.shell(who, &checkout, "stockade run build -- env");
        job.env("CI_JOB_TOKEN", "secret");
        assert!(!good(who, job).contains("secret"), "{who:?}");
    });
}

#[test]
fn the_github_job_runs() {
    run_job("examples/github/workflow.yml");
}

#[test]
fn the_gitlab_job_runs() {
    run_job("examples/gitlab/.gitlab-ci.yml");
}
