//! stockade where a container's filter lets no namespace be made: in podman's containers, under its
//! filter and docker's, and under docker's alone. The built-in profile `landlock` starts there,
//! works, and keeps files; what does not start names it.

use crate::pasting::offers::{offers, pasted};
use crate::support::{self, As, Place, USER, errors, is_root, skip, text, unwrapped};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The user that the target is where root of a container starts it.
const ROOTS_TARGET: u32 = 1000;

/// What is built: as a user does it, with make and cc.
const MAKEFILE: &str = "answer: answer.c\n\tcc -o answer answer.c\n";
const SOURCE: &str = "#include <stdio.h>\nint main(void) { return !puts(\"built\"); }\n";

/// docker's policy, from Debian's package of its source: installed, or fetched and unpacked beside
/// the other things of the tests.
fn policy_of_docker() -> Option<PathBuf> {
    const PACKAGE: &str = "golang-github-docker-docker-dev";
    const FILE: &str =
        "usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/policies").join(PACKAGE);
    let places = [Path::new("/").join(FILE), folder.join(FILE)];
    if let Some(place) = places.iter().find(|place| place.exists()) {
        return Some(place.clone());
    }
    std::fs::create_dir_all(&folder).ok()?;
    let line = format!("apt-get -q download {PACKAGE} && dpkg-deb -x *.deb .");
    let fetched = Command::new("sh")
        .args(["-c", &line])
        .current_dir(&folder)
        .output()
        .is_ok_and(|output| output.status.success());
    if !fetched {
        skip("docker's policy is not there, and could not be fetched");
    }
    fetched.then(|| places[1].clone())
}

fn has(programs: &[&str]) -> bool {
    let lacks = programs.iter().find(|name| {
        !["/usr/bin", "/usr/sbin", "/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(name).exists())
    });
    if let Some(name) = lacks {
        skip(&format!("{name} is not installed"));
    }
    lacks.is_none() && support::landlock_scopes()
}

fn project(place: &Place, name: &str, owner: u32) -> PathBuf {
    for (file, text) in [("Makefile", MAKEFILE), ("answer.c", SOURCE)] {
        place.file(&format!("{name}/{file}"), text);
    }
    let folder = place.path.join(name);
    if is_root() {
        chown(&folder, Some(owner), Some(owner)).unwrap();
    }
    folder
}

// ---- docker's filter alone ----

#[test]
fn under_dockers_filter_landlock_alone_builds_and_keeps() {
    if !has(&["make", "cc"]) {
        return;
    }
    let Some(policy) = policy_of_docker() else { return };
    for who in As::all() {
        let place = Place::new();
        let policy = place.file("docker.json", &std::fs::read_to_string(&policy).unwrap());
        let folder = project(&place, "project", USER);
        place.file("secret", "NOT-GRANTED");
        let outer = format!(
            "format = 1\nextends = [\"base\"]\n[identity]\nuser = {USER}\ngroup = \
             {USER}\n[process]\nkeyring = \"inherit\"\n[seccomp]\nimport = \"{}\"\n\
             [mounts]\n\"{}\" = \"ro\"\n\"{}\" = \"rw\"\n",
            policy.display(),
            place.path.display(),
            folder.display()
        );
        let outer = place.file("outer.toml", &outer);
        let inner = place.path.join("stockade");
        let run = |words: &[&str]| {
            let mut command = place.stockade(*who);
            let output =
                command.current_dir(&folder).arg("run").arg(&outer).args(words).output().unwrap();
            (output.status.code(), text(&output.stdout), errors(&output))
        };
        let inner = inner.to_str().unwrap();
        let (status, out, err) = run(&[
            inner,
            "run",
            "landlock",
            "--",
            "sh",
            "-c",
            "make >&2 && ./answer; cat ../secret; echo x > ../planted",
        ]);
        assert!(
            out == "built\n"
                && err.contains("secret: Permission denied")
                && err.contains("keyctl(2) is refused here"),
            "{who:?}: {status:?} {err}"
        );
        assert!(folder.join("answer").exists() && !place.path.join("planted").exists(), "{who:?}");
        // The twins: without the sandbox the file is read, and without its word the keyring stops
        // the run.
        assert_eq!(run(&["cat", "../secret"]).1, "NOT-GRANTED", "{who:?}");
        let (status, _, err) =
            run(&[inner, "run", "--config", "optional = [\"!keyring\"]", "landlock", "--", "true"]);
        assert!(
            status == Some(125)
                && err.contains("keyctl(2)")
                && err.contains("optional = [\"keyring\"]"),
            "{who:?}: {err}"
        );
        let (status, _, err) = run(&[inner, "run", "base", "--", "true"]);
        let told = err.contains("E1203")
            && err.contains("clone3(2)")
            && err.contains("stockade run landlock -- make test");
        assert!(status == Some(125) && told, "{who:?}: {status:?} {err}");
        assert!(run(&[inner, "doctor"]).1.contains("landlock -- make"), "{who:?}");
    }
}

// ---- containers ----

/// The groups that podman makes for itself and leaves.
fn left_by_podman() -> Vec<PathBuf> {
    let tops = std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("libpod_parent"));
    tops.filter(|group| group.is_dir()).collect()
}

/// How many containers of these tests there are, which run side by side, and what podman had left
/// before the first of them.
static STANDING: Mutex<(usize, Vec<PathBuf>)> = Mutex::new((0, vec![]));

fn standing() -> MutexGuard<'static, (usize, Vec<PathBuf>)> {
    // A test that fails poisons nothing: the count is right.
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes one of podman's groups, with the one in it; what has processes in it stays (cgroups(7)).
fn remove(group: &Path) -> bool {
    drop(std::fs::remove_dir(group.join("conmon")));
    std::fs::remove_dir(group).is_ok() || !group.exists()
}

/// A root of podman's: the host's programs, and what else a container has.
struct Container {
    place: Place,
}

impl Container {
    fn new() -> Container {
        let place = Place::new();
        for name in ["usr", "etc", "proc", "sys", "dev", "tmp", "run"] {
            std::fs::create_dir_all(place.path.join("root").join(name)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), place.path.join("root").join(name)).unwrap();
        }
        support::install(&place.path.join("stockade"), &place.path.join("root/stockade"));
        place.file("root/secret", "NOT-GRANTED");
        project(&place, "root/of-root", ROOTS_TARGET);
        project(&place, "root/of-user", USER);
        let mut standing = standing();
        if standing.0 == 0 {
            standing.1 = left_by_podman();
        }
        standing.0 += 1;
        Container { place }
    }

    /// What a shell line prints in a container. Where both versions of control groups are mounted,
    /// podman takes neither.
    fn sh(&self, options: &[&str], line: &str) -> String {
        self.sh_on("root", options, line)
    }

    /// The same on another root; with `:O` it is an overlay on one.
    fn sh_on(&self, root: &str, options: &[&str], line: &str) -> String {
        let top = self.place.path.display();
        let podman = format!(
            "umount -l /sys/fs/cgroup/unified 2>/dev/null; mount --make-rprivate / && exec podman \
             --root {top}/storage --runroot {top}/run --storage-driver vfs --runtime crun \
             --cgroup-manager cgroupfs --events-backend none run --rm --network none --ulimit \
             nofile=1024:1024 --ulimit nproc=1000:1000 -v /usr:/usr:ro -v /etc:/etc:ro \"$@\""
        );
        let mut command = self.place.outside(As::Root, "timeout");
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["120", "unshare", "-m", "sh", "-c", &podman, "podman"])
            .args(options);
        let output = command
            .arg("--rootfs")
            .arg(self.place.path.join(root))
            .args(["/bin/sh", "-c", line])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{options:?}: {line}: {:?}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut standing = standing();
        standing.0 -= 1;
        if standing.0 > 0 {
            return;
        }
        let new = || left_by_podman().into_iter().filter(|group| !standing.1.contains(group));
        // podman's last process may be on its way out of the group. Groups with processes of
        // another podman stay.
        let gone = (0..100).any(|_| {
            let gone = new().filter(|group| !remove(group)).count() == 0;
            if !gone {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            gone
        });
        if !gone {
            eprintln!(
                "podman's groups are left, with somebody in them: {:?}",
                new().collect::<Vec<_>>()
            );
        }
    }
}

/// Each line of the answer: a name, and what came of it.
const IN_A_CONTAINER: &str = r#"
try() { name=$1; shift; "$@" >/tmp/out 2>/tmp/err </dev/null; echo "$name $? $(tr '\n' ' ' </tmp/out)| $(tr -s '\n ' ' ' </tmp/err)"; }
cd /of-OWNER
try twin cat /secret
try build START /stockade run landlock -- sh -c 'make >&2 && ./answer'
try secret START /stockade run landlock -- cat /secret
try plant START /stockade run landlock -- sh -c 'echo x > /planted'
try default START /stockade run default -- true
"#;

#[test]
fn in_podmans_containers_landlock_alone_builds_and_keeps() {
    if !is_root() {
        return skip("podman is tried as root");
    }
    if !has(&["podman", "crun", "make", "cc", "setpriv"]) {
        return;
    }
    let Some(policy) = policy_of_docker() else { return };
    let container = Container::new();
    let docker = format!("seccomp={}", policy.display());
    for options in [&[][..], &["--security-opt", &docker]] {
        for (owner, start) in [
            ("root", ""),
            ("user", &*format!("setpriv --reuid {USER} --regid {USER} --clear-groups")),
        ] {
            drop(std::fs::remove_file(
                container.place.path.join(format!("root/of-{owner}/answer")),
            ));
            let said = container
                .sh(options, &IN_A_CONTAINER.replace("OWNER", owner).replace("START", start));
            let line = |name: &str| {
                said.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default()
            };
            let case = format!("{options:?} {owner}\n{said}");
            assert!(line("twin").starts_with("twin 0 NOT-GRANTED"), "{case}");
            assert!(line("build").starts_with("build 0 built |"), "{case}");
            assert!(
                line("secret").starts_with("secret 1 |")
                    && line("secret").contains("secret: Permission denied"),
                "{case}"
            );
            assert!(
                !line("plant").starts_with("plant 0")
                    && !container.place.path.join("root/planted").exists(),
                "{case}"
            );
            // podman's own filter lets a user make namespaces, and its /proc/sys is read-only.
            let cause = if owner == "user" && options.is_empty() {
                "/proc/sys is read-only here"
            } else {
                "stockade run landlock -- make test"
            };
            assert!(
                line("default").starts_with("default 125") && line("default").contains(cause),
                "{case}"
            );
            assert_eq!(
                line("build").contains("keyctl(2) is refused here"),
                !options.is_empty(),
                "{case}"
            );
        }
    }
}

/// Where the container lets namespaces be made, its /proc/sys is read-only: the limit that is the
/// second lock on them cannot be set.
#[test]
fn in_an_unconfined_container_the_second_lock_is_skipped_by_its_own_word_alone() {
    if !is_root() {
        return skip("podman is tried as root");
    }
    if !has(&["podman", "crun", "setpriv", "unshare"]) {
        return;
    }
    let container = Container::new();
    let mounts = "[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = \
                  \"ro\"\n\"/dev\" = \"dev\"\n";
    container.place.file("root/both.toml", &format!("format = 1\n{mounts}"));
    container.place.file(
        "root/one.toml",
        &format!("format = 1\noptional = [\"namespaces.nested\"]\n{mounts}"),
    );
    let script = r#"
try() { name=$1; shift; "$@" >/tmp/out 2>/tmp/err </dev/null; echo "$name $? $(tr '\n' ' ' </tmp/out)| $(tr -s '\n ' ' ' </tmp/err)"; }
try twin START unshare -Ur true
try both START /stockade run /both.toml true
try one START /stockade run /one.toml sh -c 'echo runs; unshare -Ur true'
"#;
    let start = format!("setpriv --reuid {USER} --regid {USER} --clear-groups");
    let said =
        container.sh(&["--security-opt", "seccomp=unconfined"], &script.replace("START", &start));
    let line = |name: &str| {
        said.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default()
    };
    assert!(line("twin").starts_with("twin 0 "), "{said}");
    let help = line("both").contains("optional = [\"namespaces.nested\"]")
        && !line("both").contains("nested = true");
    assert!(line("both").starts_with("both 125 ") && help, "{said}");
    assert!(
        line("one").starts_with("one 1 runs |")
            && line("one").contains("unshare failed: Operation not permitted"),
        "{said}"
    );
    assert!(
        line("one").contains("the system call filter alone keeps the target from namespaces"),
        "{said}"
    );
}

/// In a container whose root is an overlay: layers are one more, and where a third would be needed
/// they are copied. Each line of the answer: a name, and what came of it.
const LAYERS_IN_A_CONTAINER: &str = r#"
try() { name=$1; shift; "$@" >/tmp/out 2>/tmp/err </dev/null; echo "$name $? $(tr '\n' ' ' </tmp/out)| $(tr -s '\n ' ' ' </tmp/err)"; }
mkdir -p /srv/low/d && echo low > /srv/low/d/f && mv /*.toml /srv && chown -R OWNER:OWNER /srv
change='cat m/d/f && rm m/d/f && echo x > m/d/new && ls m/d && stat -f -c %T m'
whole='cat srv/low/d/f && rm srv/low/d/f && echo x > srv/low/d/new && ls srv/low/d && stat -f -c %T srv/low'
try root stat -f -c %T /
try layers START /stockade run /srv/layers.toml sh -c "$change"
try whole START /stockade run /srv/whole.toml sh -c "$whole"
try third START /stockade run /srv/whole.toml /stockade run /srv/inner.toml sh -c "$change"
try overlay START /stockade run /srv/whole.toml /stockade check /srv/overlay.toml true
try check START /stockade run /srv/whole.toml /stockade check /srv/inner.toml true
try whole-third START /stockade run /srv/whole.toml /stockade run /srv/whole-inner.toml sh -c "$whole"
try after find /srv/low -type f
"#;

#[test]
fn layers_are_merged_in_a_container_and_copied_on_a_third_overlay() {
    if !is_root() {
        return skip("podman is tried as root");
    }
    if !crate::merged::has_upper() || !has(&["podman", "crun", "setpriv"]) {
        return;
    }
    let system = "\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = \"ro\"\n";
    // No filter, rule or limit is in the way of the sandbox inside.
    let open =
        "[namespaces]\nnested = true\n[landlock]\npaths = \"off\"\n[seccomp]\npolicy = \"off\"\n";
    let profile = |mounts: &str, more: &str| {
        format!("format = 1\n[mounts]\n\"/tmp\" = \"tmpfs\"\n\"/dev\" = \"dev\"\n{mounts}{more}")
    };
    for (who, owner, start) in [
        (As::User, USER, &*format!("setpriv --reuid {USER} --regid {USER} --clear-groups")),
        (As::Root, 0, ""),
    ] {
        let container = Container::new();
        // overlayfs has no idmapped mounts before Linux 7.3: root's target is the container's root.
        let (words, identity) = match who {
            As::Root => (", owner = \"root\"", "[identity]\nhost = true\nuser = 0\ngroup = 0\n"),
            As::User => ("", ""),
        };
        let layers = |driver: &str| {
            format!(
                "{system}\"/m\" = {{ layers = [\"/srv/low\"], upper = \"discard\"{driver}{words} }}\n"
            )
        };
        let whole = format!("\"/\" = {{ layers = [\"/\"], upper = \"discard\"{words} }}\n");
        let proc = "\"/proc\" = \"proc\"\n";
        for (name, text) in [
            ("layers", profile(&layers(""), identity)),
            ("whole", profile(&format!("{whole}{proc}"), &format!("{identity}{open}"))),
            ("inner", profile(&layers(""), open)),
            ("overlay", profile(&layers(", driver = \"overlay\""), open)),
            ("whole-inner", profile(&whole, open)),
        ] {
            container.place.file(&format!("root/{name}.toml"), &text);
        }
        let unconfined = &[
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "systempaths=unconfined",
        ][..];
        let options = if who == As::Root { &["--privileged"] } else { unconfined };
        let script =
            LAYERS_IN_A_CONTAINER.replace("OWNER", &owner.to_string()).replace("START", start);
        let said = container.sh_on("root:O", options, &script);
        let line = |name: &str| {
            said.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default()
        };
        assert!(line("root").starts_with("root 0 overlayfs"), "{who:?}: {said}");
        for name in ["layers", "whole"] {
            let changed = format!("{name} 0 low new overlayfs |");
            assert!(line(name).starts_with(&changed), "{who:?}: {name}: {said}");
        }
        let why = "the kernel stacks no third";
        assert!(
            line("overlay").starts_with("overlay 125") && line("overlay").contains(why),
            "{said}"
        );
        // Root of the sandbox has no capability, with which it would start one of its own.
        if who == As::User {
            assert!(line("third").starts_with("third 0 low new tmpfs |"), "{said}");
            assert!(line("whole-third").starts_with("whole-third 0 low new tmpfs |"), "{said}");
            let copied = line("check").contains("the layers of /m are copied");
            assert!(copied && line("check").contains(why), "{said}");
        }
        assert!(line("after").starts_with("after 0 /srv/low/d/f |"), "{who:?}: {said}");
    }
}

// ---- what a help says is done ----

/// The host's programs, as a container has them.
const PROGRAMS: &str = "[process]\ncommand = [\"true\"]\n[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \
                        \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = \"ro\"\n";

/// The options of a help, all of them: with these the profile runs.
const WHOLE: &str = "--security-opt";

/// How stockade is started in a container.
#[derive(Debug, Clone)]
struct Start {
    options: Vec<String>,
    user: bool,
    profile: String,
}

impl Start {
    /// Its status, and what it says: one line for the error and its place, one for the help.
    fn run(&self, container: &Container) -> (i32, String, String) {
        let path = container.place.file("root/p.toml", &self.profile);
        // A profile, and its directory, belong to the container's root.
        let root = if self.options.iter().any(|option| option.starts_with("--uidmap")) {
            100_000
        } else {
            0
        };
        for path in [path, container.place.path.join("root")] {
            chown(path, Some(root), Some(root)).unwrap();
        }
        let user = if self.user {
            format!("setpriv --reuid {USER} --regid {USER} --clear-groups")
        } else {
            String::new()
        };
        let line = format!(
            "said=$({user} /stockade run /p.toml 2>&1 </dev/null); echo $?; echo \"$said\""
        );
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let said = unwrapped(&container.sh(&options, &line));
        let (status, said) = said.split_once('\n').unwrap();
        let (error, help) = said.split_once("  help: ").unwrap_or((said, ""));
        let sentence = error
            .lines()
            .find_map(|line| line.split_once('×'))
            .map_or("", |(_, sentence)| sentence.trim());
        (
            status.parse().unwrap(),
            sentence.to_owned(),
            help.split_whitespace().collect::<Vec<_>>().join(" "),
        )
    }

    /// The same, with each thing done that a help says, by what is done.
    fn after(&self, help: &str, line: &str) -> Vec<(String, Vec<Start>)> {
        let at = self.profile.find(line).unwrap();
        let with = |profile: String| Start { profile, ..self.clone() };
        let lines = offers(help).into_iter().map(|offer| {
            let ways = pasted(&self.profile, &offer, help, at..at + line.len())
                .into_iter()
                .map(with)
                .collect();
            (format!("{offer:?}"), ways)
        });
        let mut all: Vec<(String, Vec<Start>)> = lines.collect();
        let user = help.contains("as an ordinary user");
        let mut options: Vec<&str> = help
            .split("--security-opt ")
            .skip(1)
            .filter_map(|rest| rest.split([';', ')', ',', ' ']).next())
            .collect();
        options.dedup();
        if !options.is_empty() {
            let mut other = Start { user: user || self.user, ..self.clone() };
            for option in options {
                let option = format!("--security-opt={option}");
                let key = option.rsplit_once('=').map_or("", |(key, _)| key);
                other.options.retain(|old| !old.starts_with(key));
                other.options.push(option);
            }
            all.push((WHOLE.into(), vec![other]));
        } else if user {
            all.push(("ordinary user".into(), vec![Start { user: true, ..self.clone() }]));
        }
        if help.contains("leave ") {
            all.push(("left out".into(), vec![with(self.profile.replace(line, ""))]));
        }
        if help.contains("stockade run landlock -- make test") {
            let alone = with(
                "format = 1\nextends = [\"landlock\"]\n[process]\ncommand = [\"true\"]\n".into(),
            );
            all.push(("landlock".into(), vec![alone]));
        }
        all
    }
}

/// What the help of a failed start says is done, thing by thing: each of them gets past the error.
#[test]
fn what_the_help_of_a_failed_start_says_gets_past_it() {
    if !is_root() {
        return skip("podman is tried as root");
    }
    if !has(&["podman", "crun", "setpriv"]) {
        return;
    }
    let Some(policy) = policy_of_docker() else { return };
    let container = Container::new();
    let docker = format!("--security-opt=seccomp={}", policy.display());
    let (docker, unconfined) = (&[&*docker][..], &["--security-opt=seccomp=unconfined"][..]);
    let open = &["--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"][..];
    let rootless = &["--privileged", "--uidmap=0:100000:65536", "--gidmap=0:100000:65536"][..];
    let skips = "optional = [\"namespaces.nested\"]\n";
    let alone = "[namespaces]\nall = \"host\"\n[network]\nmode = \"host\"\n";
    let kernel = support::kernel();
    let one = "\"/usr\" = \"ro\"\n";
    for (options, user, top, mount, error, ways) in [
        (
            unconfined,
            true,
            "",
            "",
            "cannot forbid user namespaces inside: read-only file system",
            2,
        ),
        (unconfined, true, skips, "\"/proc\" = \"proc\"\n", "cannot mount proc on /proc", 3),
        (
            unconfined,
            true,
            skips,
            "\"/proc\" = { proc = { subset = \"pid\" } }\n",
            "cannot mount proc on /proc",
            2,
        ),
        (unconfined, true, skips, "\"/sys\" = \"sysfs\"\n", "cannot mount sysfs on /sys", 2),
        (unconfined, false, skips, "", "cannot bind /usr: operation not permitted", 2),
        (docker, true, "", "", "cannot make the namespaces", 2),
        (docker, false, "", "", "cannot bind /usr: operation not permitted", 2),
        (docker, true, alone, "", "keyring", 1),
        (&[], true, "", "", "cannot forbid user namespaces inside: read-only file system", 2),
        (&[], true, "", "\"/proc\" = \"proc\"\n", "cannot forbid user namespaces inside", 2),
        (&[], true, skips, "", "cannot set the host name", 2),
        (rootless, false, "", "", "cannot write uid_map of the user namespace", 2),
    ] {
        let profile = format!("format = 1\n{top}{PROGRAMS}{mount}");
        let start = Start {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            user,
            profile,
        };
        if mount.contains("subset") && kernel >= (7, 3) {
            continue;
        }
        let (status, sentence, help) = start.run(&container);
        assert!(status == 125 && sentence.contains(error), "{start:?}: {status} {sentence} {help}");
        let done = start.after(&help, if mount.is_empty() { one } else { mount });
        assert_eq!(done.len(), ways, "{sentence}: {help}: {done:?}");
        for (what, others) in done {
            let found: Vec<(i32, String, String)> =
                others.iter().map(|other| other.run(&container)).collect();
            let newer =
                what.contains("subset") && help.contains("(Linux 7.3 can)") && kernel < (7, 3);
            let past = found.iter().any(|(status, now, _)| {
                *status == 0 || (*status == 125 && !now.is_empty() && !now.contains(error))
            });
            assert!(past != newer, "{sentence}: {help}: {what}: {found:?}");
            let runs = found.iter().any(|(status, ..)| *status == 0);
            assert!(runs || what != WHOLE, "{sentence}: {help}: {what}: {found:?}");
        }
    }
    // The twin: nothing of it is there by itself, and all of it together starts.
    let start = Start {
        options: open.iter().map(|option| (*option).to_owned()).collect(),
        user: true,
        profile: format!("format = 1\n{PROGRAMS}\"/proc\" = \"proc\"\n"),
    };
    let (status, sentence, _) = start.run(&container);
    assert_eq!((status, &*sentence), (0, ""));
}
