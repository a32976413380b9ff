//! `stockade doctor` on the real kernel: what it says of a profile is what `run` does, and nothing
//! is left of its looking.

use crate::support::{self, As, Place, processes_with, spawned, system, text};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

fn doctor(place: &Place, who: As, words: &[&str]) -> Output {
    place.stockade(who).arg("doctor").args(words).output().unwrap()
}

#[test]
fn the_table_is_json_too() {
    let place = Place::new();
    for who in As::all() {
        let output = doctor(&place, *who, &["--format", "json"]);
        let records: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let records = records.as_array().unwrap();
        assert!(records.len() >= 20, "{records:#?}");
        for record in records {
            let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["fix", "lost", "name", "state", "value"]);
            assert!(
                ["ok", "limited", "missing", "untried"]
                    .contains(&record["state"].as_str().unwrap()),
                "{record}"
            );
        }
        let sandbox = records.iter().find(|record| record["name"] == "sandbox").unwrap();
        let well = sandbox["state"] == "ok";
        assert_eq!(output.status.code(), Some(if well { 0 } else { 1 }), "{sandbox}");
        // The other tests run sandboxes here, so the machine can.
        assert!(well, "{who:?}: {sandbox}");
        let text = text(&doctor(&place, *who, &[]).stdout);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80)
                && text.contains("stockade works here"),
            "{text}"
        );
        assert!(!text.contains('\x1b'), "no colours where no terminal is");
    }
}

/// What it tries, it tries in children.
#[test]
fn it_finds_the_same_where_the_caller_ignores_children() {
    let place = Place::new();
    for who in As::all() {
        let own = place.path.join("stockade");
        let mut command = place.outside(*who, "env");
        command.arg("--ignore-signal=CHLD").arg(own).args(["doctor", "--format", "json"]);
        let states = |output: Output| -> Vec<(String, String)> {
            let records: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
            let word = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap().into();
            records.iter().map(|record| (word(record, "name"), word(record, "state"))).collect()
        };
        let known = states(doctor(&place, *who, &["--format", "json"]));
        assert_eq!(states(command.output().unwrap()), known, "{who:?}");
    }
}

/// Profiles that would run, and such as would not, each for a reason of its own.
fn profiles(place: &Place, who: As) -> Vec<(&'static str, String, bool)> {
    let work = place.folder(&format!("work-{who:?}"), who);
    let work = work.display();
    let locked = place.folder(&format!("locked-{who:?}"), As::Root);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o555)).unwrap();
    let create = format!(
        "\"/made\" = {{ bind = \"{}/made\", access = \"rw\", missing = \"create\" }}",
        locked.display()
    );
    let mut all = vec![
        ("plain", system(""), true),
        ("writable", system(&format!("\"/work\" = {{ bind = \"{work}\", access = \"rw\", owner = \"root\" }}")), true),
        ("nice", system("[process]\nnice = -20"), false),
        ("pid 1 itself", system("[process]\ninit = false"), true),
        (
            "host pids",
            "format = 1\noptional = [\"landlock.scope\"]\nnamespaces.pid = \
             \"host\"\n[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \
             \"ro\"\n\"/lib64\" = \"ro\"\n".into(),
            true,
        ),
        (
            "Landlock alone",
            "format = 1\noptional = [\"landlock.scope\", \"landlock.truncate\"]\n\
             namespaces.all = \"host\"\nidentity.host = true\nnetwork.mode = \"host\"\n[mounts]\n\"/\" = { bind = \"/\", sockets = true }\n".into(),
            who == As::Root,
        ),
        ("a program of its own", "format = 1\nprograms = [\"/usr/bin/env\", \"true\"]\n".into(), true),
        ("no interpreter", "format = 1\n[mounts]\n\"/usr/bin/env\" = \"ro\"\n".into(), false),
        ("nothing", "format = 1\n".into(), false),
        ("limit", system("[rlimits]\nnofile = 2000000000"), false),
        ("folder", system("[process]\ncwd = \"/nowhere\""), false),
        ("descriptor", system("[process]\npass-fds = [77]"), false),
        ("namespace", system("[network]\nmode = { join = \"/proc/self/ns/mnt\" }"), false),
        ("ids", system("[identity]\nuid-map = [{ inside = 1000, outside = 1, count = 1 }]\nuser = 1000\n"), who == As::Root),
    ];
    if who == As::User {
        all.push(("created", system(&create), false));
    }
    all
}

#[test]
fn what_doctor_says_of_a_profile_is_what_run_does() {
    let place = Place::new();
    for who in As::all() {
        for (name, profile, runs) in profiles(&place, *who) {
            let path = place.file("profile.toml", &profile);
            let path = path.to_str().unwrap();
            let said = doctor(&place, *who, &[path, "/usr/bin/env", "true"]);
            let ran =
                place.stockade(*who).args(["run", path, "/usr/bin/env", "true"]).output().unwrap();
            let well = ran.status.code() == Some(0);
            assert_eq!(well, runs, "{who:?}, {name}: {ran:?}");
            assert_eq!(
                said.status.code(),
                Some(if well { 0 } else { 125 }),
                "{who:?}, {name}: {}\n{}",
                text(&said.stderr),
                text(&ran.stderr)
            );
            let rehearsed =
                text(&said.stderr).replace("launch::program [E1209]", "launch::exec [E1202]");
            let ran = text(&ran.stderr);
            let ran: Vec<&str> =
                ran.lines().filter(|line| !line.starts_with("stockade: ")).collect();
            assert_eq!(rehearsed.lines().collect::<Vec<_>>(), ran, "{who:?}, {name}");
        }
    }
}

#[test]
fn a_rehearsal_runs_nothing_and_leaves_nothing() {
    let place = Place::new();
    for who in As::all() {
        let work = place.folder(&format!("mine-{who:?}"), *who);
        let make = if *who == As::User {
            format!(
                "\"/made\" = {{ bind = \"{}/made\", access = \"rw\", missing = \"create\" }}\n",
                work.display()
            )
        } else {
            String::new()
        };
        let profile = system(&format!(
            "\"/work\" = {{ bind = \"{}\", access = \"rw\", owner = \"root\" \
             }}\n{make}\"/etc/motd\" = {{ fd = 0 }}\n",
            work.display()
        ));
        let path = place.file("profile.toml", &profile);
        let marker = format!("rehearsed-{who:?}-{}", std::process::id());
        let words = ["/bin/sh", "-c", &format!("touch /work/ran; : {marker}")];
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"precious").unwrap();
        drop(writer);
        let mut command = place.stockade(*who);
        let output = command
            .arg("doctor")
            .arg(&path)
            .arg("--")
            .args(words)
            .stdin(reader.try_clone().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
        assert_eq!(
            std::fs::read_dir(&work).unwrap().count(),
            0,
            "{who:?}: the target ran, or a folder was made"
        );
        assert_eq!(
            std::io::read_to_string(reader).unwrap(),
            "precious",
            "{who:?}: a descriptor was read"
        );
        assert_eq!(processes_with(&marker), Vec::<String>::new());
    }
}

#[test]
fn limits_of_the_caller_are_found() {
    let place = Place::new();
    let stockade = place.path.join("stockade");
    let line = format!("ulimit -c 0; exec {} doctor", stockade.display());
    let output = place.outside(As::User, "/bin/sh").args(["-c", &line]).output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("missing  core limit")), "{shown}");
}

#[test]
fn a_profile_with_problems_is_no_rehearsal() {
    let place = Place::new();
    let path = place.file("profile.toml", "format = 1\nnope = 1\n");
    let output = doctor(&place, As::all()[0], &["--format", "json", path.to_str().unwrap()]);
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), problems[0]["line"].as_u64()),
        (Some(125), Some(2)),
        "{problems}"
    );
}

#[test]
fn nothing_outlives_a_doctor_that_is_killed() {
    let place = Place::new();
    let binary = place.path.join("stockade");
    for who in As::all() {
        for nth in 0..20 {
            let mut child =
                spawned(place.stockade(*who).arg("doctor").stdout(std::process::Stdio::null()));
            std::thread::sleep(std::time::Duration::from_micros(700 * nth));
            child.kill().unwrap();
            child.wait().unwrap();
            // The kernel ends them, and takes a moment to.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while !processes_with(binary.to_str().unwrap()).is_empty() {
                assert!(
                    std::time::Instant::now() < deadline,
                    "{who:?}, {nth}: {:?}",
                    processes_with(binary.to_str().unwrap())
                );
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

// ---- containers ----

/// `$1`: a directory; `$2`: what is done in the new root before `$3`, stockade, starts there, by
/// the words after it.
const ROOT: &str = r#"
mount --make-rprivate / && mount -t tmpfs none "$1" && cd "$1" && mkdir usr etc dev proc sys tmp run && cp "$3" stockade
for name in usr etc dev proc sys; do mount --rbind "/$name" "$name"; done
for name in bin sbin lib lib64; do [ -e "/$name" ] && ln -s "usr/$name" "$name"; done
eval "$2"
shift 3
PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec "$@" chroot . /stockade doctor --format json
"#;

/// Each sign is reported by itself: a file that an image left says nothing of the others.
#[test]
fn each_sign_of_a_container_is_told() {
    if !support::is_root() {
        return support::skip("a root of its own takes root");
    }
    let place = Place::new();
    let root = place.folder("root", As::Root);
    let inner = "a user namespace that is not the first";
    let row = |signs: &str, words: &[&str]| {
        let mut command = place.outside(As::Root, "unshare");
        command
            .args(["-m", "sh", "-c", ROOT, "sh"])
            .arg(&root)
            .arg(signs)
            .arg(place.path.join("stockade"));
        let output = command.args(words).output().unwrap();
        let records: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let found = records
            .as_array()
            .unwrap()
            .iter()
            .find(|record| record["name"] == "container")
            .unwrap()
            .clone();
        assert_eq!(found["state"], "ok");
        found["value"].as_str().unwrap().split("; ").next().unwrap().to_owned()
    };
    // The tests themselves may run in a container.
    let first = std::fs::metadata("/proc/self/ns/user")
        .is_ok_and(|namespace| std::os::unix::fs::MetadataExt::ino(&namespace) == 0xEFFF_FFFD);
    let also = |signs: &str| match (signs, first) {
        ("", true) => "no sign of one".to_owned(),
        (signs, true) => signs.to_owned(),
        ("", false) => inner.to_owned(),
        (signs, false) => format!("{signs}, {inner}"),
    };
    assert_eq!(row("", &[]), also(""));
    assert_eq!(row(": > .dockerenv", &[]), also("there is /.dockerenv"));
    assert_eq!(row(": > run/.containerenv", &[]), also("there is /run/.containerenv"));
    assert_eq!(
        row("mkdir run/systemd; echo podman > run/systemd/container", &[]),
        also("podman (/run/systemd/container)")
    );
    assert_eq!(row("", &["unshare", "-r"]), inner);
    assert_eq!(row(": > .dockerenv", &["unshare", "-r"]), format!("there is /.dockerenv, {inner}"));
}
