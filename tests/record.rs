//! The record of a run, with and without limits: `--report`, `--report-fd`, `--stats`.

use crate::support::{self, As, Place, USER, is_root, limits_hit, system, text};
use serde_json::Value;

#[test]
fn without_limits_the_report_tells_what_wait_tells() {
    for who in As::all() {
        let place = Place::new();
        let (output, record) = place.report(
            *who,
            &system(""),
            "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; kill -TERM $$",
        );
        assert_eq!(output.status.code(), Some(143), "{record}");
        assert_eq!(
            (record["cause"].as_str(), record["signal"].as_u64()),
            (Some("signal"), Some(15)),
            "{record}"
        );
        assert!(
            record["used"]["user-us"].as_u64() > Some(1_000)
                && record["used"]["max-rss"].as_u64() > Some(100_000),
            "{record}"
        );
        assert!(record["wall-us"].as_u64() > Some(1_000) && record["memory"].is_null(), "{record}");
        let profile = system("") + "[process]\ntimeout = \"100ms\"\n";
        assert_eq!(place.report(*who, &profile, "sleep 5").1["cause"], "timeout");
        let (output, record) = place.report(*who, "format = 1\n[mounts]\n\"/x\" = 1\n", "");
        assert_eq!(
            (output.status.code(), record["cause"].as_str()),
            (Some(125), Some("launcher")),
            "{record}"
        );
        assert_eq!(record["problems"][0]["code"], "profile::value", "{record}");
        let (output, record) = place.report(*who, &system(""), "exit 0; #");
        assert_eq!(
            (output.status.code(), record["cause"].as_str(), limits_hit(&record).len()),
            (Some(0), Some("exit"), 0),
            "{record}"
        );
    }
}

#[test]
fn the_report_goes_to_a_descriptor_which_the_target_never_has() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file("profile.toml", &system(""));
        let script = format!(
            "exec {} run --report-fd 3 {} /bin/sh -c 'ls /proc/self/fd' 3>&1 >&2",
            place.path.join("stockade").display(),
            path.display()
        );
        let output = place.outside(*who, "/bin/sh").arg("-c").arg(script).output().unwrap();
        assert!(
            serde_json::from_slice::<Value>(&output.stdout)
                .is_ok_and(|record| record["cause"] == "exit"),
            "{}",
            text(&output.stdout)
        );
        assert_eq!(
            text(&output.stderr).split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{who:?}"
        );
        let closed = place
            .stockade(*who)
            .args(["run", "--report-fd", "77"])
            .arg(&path)
            .arg("true")
            .output()
            .unwrap();
        assert!(
            closed.status.code() == Some(125) && support::errors(&closed).contains("descriptor 77"),
            "{}",
            text(&closed.stderr)
        );
        let stats =
            place.stockade(*who).args(["run", "--stats"]).arg(&path).arg("true").output().unwrap();
        assert!(
            text(&stats.stderr).contains("exited with status 0 after "),
            "{}",
            text(&stats.stderr)
        );
    }
}

/// A target writes to the directory of the report.
#[test]
fn what_a_target_puts_under_the_reports_name_is_not_followed_and_does_not_stay() {
    for who in As::all() {
        let place = Place::new();
        let out = place.folder("out", *who);
        let precious = place.folder("precious", *who).join("file");
        std::fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::chown(&precious, Some(owner(*who)), Some(owner(*who))).unwrap();
        let root = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let profile = system(&format!(
            "\"/out\" = {{ bind = \"{}\", access = \"rw\"{root} }}",
            out.display()
        ));
        let path = place.file("profile.toml", &profile);
        let report = out.join("run.json");
        let run = |line: &str| {
            place
                .stockade(*who)
                .arg("run")
                .arg("--report")
                .arg(&report)
                .arg(&path)
                .args(["/bin/sh", "-c", line])
                .output()
                .unwrap()
        };
        let record =
            || serde_json::from_str::<Value>(&std::fs::read_to_string(&report).unwrap()).unwrap();
        let forged = "{\\\"report\\\":1,\\\"status\\\":0,\\\"forged\\\":true}";
        for line in [
            "exit 7",
            &format!("rm -f /out/run.json; echo \"{forged}\" > /out/run.json; exit 7"),
            &format!(
                "printf '%4000s' '' > /out/run.json; echo \"{forged}\" >> /out/run.json; exit 7"
            ),
            &format!("ln -sf {} /out/run.json; exit 7", precious.display()),
        ] {
            let output = run(line);
            assert!(output.status.code() == Some(7), "{who:?}: {line}: {}", text(&output.stderr));
            let record = record();
            assert!(
                record["status"] == 7 && record["forged"].is_null() && !report.is_symlink(),
                "{who:?}: {line}: {record}"
            );
        }
        // One that lies there before the run: of an earlier target.
        std::fs::remove_file(&report).unwrap();
        std::os::unix::fs::symlink(&precious, &report).unwrap();
        let output = run("exit 7");
        assert!(
            output.status.code() == Some(125)
                && support::errors(&output).contains("it is a symbolic link"),
            "{who:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious", "{who:?}");
        // Nor on the way there.
        std::os::unix::fs::symlink(precious.parent().unwrap(), out.join("link")).unwrap();
        let output = place
            .stockade(*who)
            .arg("run")
            .arg("--report")
            .arg(out.join("link/file"))
            .arg(&path)
            .args(["/bin/true"])
            .output()
            .unwrap();
        let said = support::errors(&output);
        assert!(
            output.status.code() == Some(125)
                && said.contains("a directory on the way is a symbolic link"),
            "{who:?}: {said}"
        );
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious", "{who:?}");
        std::fs::remove_file(out.join("link")).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&out).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["run.json"], "{who:?}: nothing is left beside it");
    }
}

fn owner(who: As) -> u32 {
    if is_root() && who == As::User { USER } else { nix::unistd::getuid().as_raw() }
}

#[test]
fn the_report_goes_where_shells_lead_it() {
    for who in As::all() {
        let place = Place::new();
        let path = place.file("profile.toml", &system(""));
        let folder = place.folder("out", *who);
        let launcher = place.path.join("stockade");
        let script = format!(
            "cd {}; L='{} run --report'; P='{} /bin/true'; $L /dev/stderr $P 2> err; echo before > \
             log; $L /dev/stdout $P >> log; $L name $P; echo old > name; $L name $P; mkfifo pipe; \
             cat pipe > got & $L pipe $P; wait; $L /dev/fd/3 $P 3>&1 | cat > piped; ls",
            folder.display(),
            launcher.display(),
            path.display()
        );
        let output = place.outside(*who, "/bin/sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            text(&output.stdout).split_whitespace().collect::<Vec<_>>(),
            ["err", "got", "log", "name", "pipe", "piped"],
            "{who:?}"
        );
        for name in ["err", "log", "name", "got", "piped"] {
            let said = std::fs::read_to_string(folder.join(name)).unwrap();
            let record: Value = serde_json::from_str(said.trim_start_matches("before\n"))
                .unwrap_or_else(|error| panic!("{name}: {error}: {said}"));
            assert_eq!(record["cause"], "exit", "{who:?}: {name}");
        }
        assert!(std::fs::read_to_string(folder.join("log")).unwrap().starts_with("before\n"));
        let closed = place.folder("closed", As::Root);
        let refused = place
            .stockade(*who)
            .arg("run")
            .arg("--report")
            .arg(closed.join("no/file"))
            .arg(&path)
            .arg("true")
            .output()
            .unwrap();
        assert!(
            refused.status.code() == Some(125)
                && support::errors(&refused).contains("no such file"),
            "{}",
            text(&refused.stderr)
        );
    }
}
