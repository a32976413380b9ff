//! A short flag is a line of `--config` in other words, whatever is in its words.

use crate::support::{As, Place, errors, said, text, unwrapped};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a command prints with these flags before `base`. Ids of a root's sandbox are of the run, so
/// it is an ordinary user's where there is one.
fn json(place: &Place, command: &[&str], flags: &[&str]) -> Value {
    let output = place
        .stockade(*As::all().last().unwrap())
        .args(command)
        .args(["--format", "json"])
        .args(flags)
        .args(["base", "--", "true"])
        .env("LANG", "C")
        .current_dir(&place.path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{flags:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same without the places of the command line.
fn without_places(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let is_flag = map
                .get("file")
                .is_some_and(|file| file.as_str().is_some_and(|name| name.starts_with("--")));
            if is_flag && map.contains_key("column") {
                return Value::Null;
            }
            map.into_iter().map(|(key, value)| (key, without_places(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_places).collect(),
        Value::String(text) if text.contains("--") => {
            Value::String(text.split("--").next().unwrap_or_default().to_owned())
        }
        other => other,
    }
}

#[test]
fn each_short_flag_is_its_line_of_config() {
    let place = Place::new();
    place.file("data/hidden", "");
    let here = place.path.display().to_string();
    let data = format!("{here}/data");
    for (flags, line) in [
        (vec!["--ro", &data], format!("mounts.\"{data}\" = \"ro\"")),
        (vec!["--ro", "./data"], format!("mounts.\"{data}\" = \"ro\"")),
        (vec!["--rw=data"], format!("mounts.\"{data}\" = \"rw\"")),
        (
            vec!["--rw", "data:/work"],
            format!("mounts.\"/work\" = {{ bind = \"{data}\", access = \"rw\" }}"),
        ),
        (
            vec!["--ro", "data", "--hide", "data/hidden"],
            format!("mounts = {{ \"{data}\" = \"ro\", \"{data}/hidden\" = \"hide\" }}"),
        ),
        (vec!["--env", "A=${B}"], "env.A = \"$${B}\"".into()),
        (vec!["--env", "LANG"], "env.LANG = true".into()),
        (vec!["--net", "host"], "network.mode = \"host\"".into()),
        (vec!["--timeout", "30s"], "process.timeout = \"30s\"".into()),
        (vec!["--cwd", "/usr"], "process.cwd = \"/usr\"".into()),
    ] {
        let plan = |flags: &[&str]| without_places(json(&place, &["plan"], flags));
        let (short, long) = (plan(&flags), plan(&["--config", &line]));
        assert!(short == long, "{flags:?} is not {line}:\n{short:#}\n{long:#}");
        let layers = json(&place, &["plan", "--layers"], &flags);
        let names: Vec<&str> = layers
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["name"].as_str().unwrap())
            .collect();
        assert!(
            names.iter().any(|name| name.starts_with(flags[0].split('=').next().unwrap())),
            "{names:?}"
        );
    }
    // Where no group can be made, or no name kept, both are refused in the same words.
    let check = |flags: &[&str]| {
        let output = place
            .stockade(*As::all().last().unwrap())
            .args(["check", "--format", "json"])
            .args(flags)
            .args(["base", "--", "true"])
            .output()
            .unwrap();
        without_places(serde_json::from_slice(&output.stdout).unwrap())
    };
    assert_eq!(check(&["--memory", "64M"]), check(&["--config", "limits.memory = \"64M\""]));
    assert_eq!(check(&["--name", "box"]), check(&["--config", "name = \"box\""]));
}

#[test]
fn words_of_the_shell_stay_what_they_are() {
    let strange = "q\"uo'te ${HOME} *é\\*[x]";
    for who in As::all() {
        let place = Place::new();
        place.file(&format!("{strange}/a"), "here\n");
        place.file("qx/a", "not this one\n");
        let run = |flags: &[&str], line: &str| {
            let output = place
                .stockade(*who)
                .current_dir(&place.path)
                .arg("run")
                .args(flags)
                .args(["base", "--", "sh", "-c", line])
                .output()
                .unwrap();
            (text(&output.stdout), said(&output))
        };
        let (out, said) = run(
            &["--ro", strange, "--cwd", strange],
            "cat a; touch b 2>/dev/null || echo read-only",
        );
        assert_eq!(out, "here\nread-only\n", "{who:?}: {said}");
        let inside = format!("{strange}:/in*");
        let value = format!("V={strange}");
        let flags =
            ["--ro", &inside, "--env", &value, "--cwd", "/", "--timeout", "1m", "--net=none"];
        let (out, said) = run(&flags, "cat '/in*/a'; printf %s \"$V\"");
        assert_eq!(out, format!("here\n{strange}"), "{who:?}: {said}");
        // Without the flag it is not there.
        assert_eq!(run(&[], "cat '/in*/a' 2>/dev/null || echo none").0, "none\n");
    }
}

#[test]
fn a_relative_path_is_the_callers_where_its_directory_is_not_utf_8() {
    for who in As::all() {
        let place = Place::new();
        let here = place.path.join(OsStr::from_bytes(b"caf\xe9"));
        std::fs::create_dir_all(here.join("data")).unwrap();
        std::fs::write(here.join("data/a"), "here\n").unwrap();
        let run = |flags: &[&str]| {
            let output = place
                .stockade(*who)
                .current_dir(&here)
                .arg("run")
                .args(flags)
                .args(["base", "--", "sh", "-c", "cat /in/a 2>/dev/null || echo none"])
                .output()
                .unwrap();
            (text(&output.stdout), said(&output))
        };
        let (out, said) = run(&["--ro", "data:/in"]);
        assert_eq!(out, "here\n", "{who:?}: {said}");
        assert_eq!(run(&[]).0, "none\n");
    }
}

#[test]
fn what_is_wrong_with_a_flag_is_said_in_its_words() {
    let place = Place::new();
    place.file("data/a", "");
    for (flags, words) in [
        (&["--ro", "./none"][..], &["--ro ./none:1:"][..]),
        (&["--ro", "data", "--rw", "./data"], &["E0009", "--rw ./data:1:", "--ro data:1:"]),
        (&["--net", "host", "--config", "network.mode = \"none\""], &["E0009", "network.mode"]),
        (&["--config", "env.A = false", "--env", "A=secret"], &["E0009", "--env A:1:"]),
        (&["--config", "env.A = \"1\"", "--config", "env.A = \"2\""], &["E0009"]),
        (&["--timeout", "30"], &["--timeout 30:1:", "30s"]),
        (&["--net", "hostt"], &["--net hostt:1:", "\"host\""]),
        (&["--ro", "data:"], &["data:"]),
        (&["--config", "network.mode=host"], &["--config 'network.mode = \"host\"'"]),
        (&["--set", "out"], &["it takes NAME=VALUE", "the profile has no parameters"]),
        (&["--ro", ""], &["names no path", "--ro PATH"]),
        (&["--ro", "~/x"], &["did not replace `~`", "--ro \"$HOME/x\""]),
        (&["--env", "=1"], &["names no variable"]),
        (&["--ro", "data/../x"], &["--ro data/../x:1:", ".."]),
    ] {
        let output = place
            .stockade(As::all()[0])
            .current_dir(&place.path)
            .arg("check")
            .args(flags)
            .args(["base", "--", "true"])
            .output()
            .unwrap();
        let err = unwrapped(&said(&output));
        assert!(
            output.status.code() == Some(125) && words.iter().all(|word| err.contains(word)),
            "{flags:?}: {err}"
        );
    }
}

/// The flags are one layer: what one of them makes optional is optional for all.
#[test]
fn the_order_of_flags_means_nothing() {
    let place = Place::new();
    let flags = [
        "--config=seccomp.allow = [\"@debug\"]",
        "--config=env.A = \"1\"",
        "--env=B=2",
        "--config=seccomp.allow = [\"@keyring\"]",
    ];
    let mut turned = flags;
    turned.reverse();
    let plan = |flags: &[&str]| without_places(json(&place, &["plan"], flags));
    assert_eq!(plan(&flags), plan(&turned));
}

#[test]
fn what_one_flag_lets_fall_falls_for_all() {
    let place = Place::new();
    // The caller has no group of its own, whatever there is on this machine.
    let check = |flags: &[&str]| {
        let output = place
            .stockade(*As::all().last().unwrap())
            .arg("check")
            .args(["--config", "limits.manager = \"direct\""])
            .args(flags)
            .args(["base", "--", "true"])
            .output()
            .unwrap();
        output.status.success()
    };
    let falls = ["--config", "optional = [\"limits\"]"];
    assert!(check(&[&["--memory", "64M"], &falls[..]].concat()));
    assert!(check(&[&falls[..], &["--memory", "64M"]].concat()));
}

/// What others say, pasted as stockade says it, runs.
#[test]
fn words_of_other_tools_lead_to_a_line_that_runs() {
    for who in As::all() {
        let place = Place::new();
        place.file("data/a", "here\n");
        let data = place.path.join("data").display().to_string();
        let volume = format!("{data}:/in:ro");
        let stockade = |words: &[&str]| {
            place.stockade(*who).current_dir(&place.path).args(words).output().unwrap()
        };
        for words in [
            &["run", "--ro-bind", &data, "/in", "--unshare-all", "base", "cat", "/in/a"][..],
            &["run", "-v", &volume, "--network=none", "base", "cat", "/in/a"],
            &["run", "--ro", &volume[..volume.len() - 3], "-w", "/in", "base", "cat", "a"],
            &["start", "--ro", &volume[..volume.len() - 3], "base", "cat", "/in/a"],
            &["run", "--ro-bind", &data, "/in", "cat", "/in/a"],
        ] {
            let output = stockade(words);
            assert_eq!(output.status.code(), Some(125), "{words:?}: {}", said(&output));
            let err = text(&output.stderr);
            let line = err.lines().find_map(|line| Some(line.split_once("stockade run ")?.1));
            let line = line.unwrap_or_else(|| panic!("{words:?}: {err}"));
            let again = place
                .outside(*who, "sh")
                .current_dir(&place.path)
                .args(["-c", &format!("./stockade run {line}")])
                .output()
                .unwrap();
            assert_eq!(text(&again.stdout), "here\n", "{words:?}: {line}: {}", said(&again));
        }
        for (words, help) in [
            (&["run", "cat", "-n", "x"][..], "stockade run default -- cat -n x"),
            (&["run", "--", "ls"], "stockade run default -- ls"),
            (&["run"], "profiles: base, build, default"),
            (&["ls", "-a"], "stockade ps"),
            (&["rm", "box"], "stockade kill box"),
            (&["profiles", "new", "x"], "stockade new x"),
            (&["exec", "box", "sh"], "no command joins a running sandbox yet"),
            (&["run", "--dry-run", "base", "true"], "stockade plan base -- true"),
        ] {
            let output = stockade(words);
            assert!(
                output.status.code() == Some(125) && errors(&output).contains(help),
                "{words:?}: {}",
                said(&output)
            );
        }
        // What lies in the directory is offered, and not taken.
        place.file("stockade.toml", "format = 1\nextends = [\"base\"]\n");
        let output = stockade(&["run", "--", "true"]);
        assert!(
            output.status.code() == Some(125)
                && errors(&output).contains("stockade run ./stockade.toml -- true"),
            "{}",
            said(&output)
        );
        for words in [&["help", "run"][..], &["help"], &["version"], &["-V"], &["-h"]] {
            assert!(stockade(words).status.success(), "{words:?}");
        }
    }
}

#[test]
fn a_run_says_what_ended_it_and_is_quiet_where_asked() {
    for who in As::all() {
        let place = Place::new();
        let run = |quiet: bool, flags: &[&str], line: &str| {
            let mut command = place.stockade(*who);
            if quiet {
                command.env("STOCKADE_QUIET", "1");
            }
            command.arg("run").args(flags).args(["base", "--", "sh", "-c", line]).output().unwrap()
        };
        let slow = ["--timeout", "100ms"];
        let output = run(false, &slow, "sleep 9");
        let err = text(&output.stderr);
        assert!(
            output.status.code() == Some(124)
                && err.contains("stockade: ended after ")
                && err.contains(": process.timeout (--timeout 100ms)"),
            "{who:?}: {err}"
        );
        for (quiet, flags) in [(true, &slow[..]), (false, &["-q", "--timeout", "100ms"])] {
            let output = run(quiet, flags, "sleep 9");
            assert_eq!(text(&output.stderr), "", "{who:?}");
            assert_eq!(output.status.code(), Some(124), "{who:?}");
        }
        // setrlimit(2): a file beyond the limit is SIGXFSZ.
        let files = ["--config", "rlimits.fsize = 1000", "--config", "mounts.\"/tmp\" = \"tmpfs\""];
        let report = place.folder("out", *who).join("report");
        let report = report.display().to_string();
        let flags = [&files[..], &["--report", &report]].concat();
        let output = run(false, &flags, "head -c 9999 /dev/zero > /tmp/x");
        let record: Value =
            serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
        assert!(
            text(&output.stderr).contains("rlimits.fsize (--config:1)")
                && record["limits-hit"] == serde_json::json!(["rlimits.fsize"]),
            "{who:?}: {record} {}",
            said(&output)
        );
    }
}

#[test]
fn notes_of_built_in_profiles_are_one_line() {
    let place = Place::new();
    let check = |words: &[&str]| {
        let output = place
            .stockade(As::all()[0])
            .current_dir(&place.path)
            .args(words)
            .args(["default", "--", "true"])
            .output()
            .unwrap();
        text(&output.stdout)
    };
    for command in ["check", "plan", "doctor"] {
        let short = check(&[command]);
        assert_eq!(short.matches("absent here").count(), 1, "{short}");
        assert!(unwrapped(&short).contains("-v lists them"), "{short}");
        let all = check(&[command, "-v"]);
        assert!(all.matches("is left out").count() > 5 && !all.contains("-v lists"), "{all}");
        assert!(!check(&[command, "--quiet"]).contains("absent"));
    }
    let json = check(&["check", "--format", "json"]);
    assert!(json.matches("is left out").count() > 5, "{json}");
    assert_eq!(check(&["check", "-q"]), "");
    // A file of one's own is another matter.
    let own = place.file(
        "own.toml",
        "format = 1\nextends = [\"base\"]\n[mounts]\n\"/none\" = { bind = \"/none\", missing = \"skip\" }\n",
    );
    let output = place.stockade(As::all()[0]).arg("check").arg(own).arg("true").output().unwrap();
    assert!(text(&output.stdout).contains("/none is left out"), "{}", said(&output));
}

#[test]
fn keys_and_parts_of_codes_are_explained() {
    let place = Place::new();
    let explain = |name: &str| {
        let output = place.stockade(As::all()[0]).args(["explain", name]).output().unwrap();
        (output.status.code(), said(&output))
    };
    for (name, words) in [
        ("limits.memory", &["The most memory"][..]),
        ("limits", &["[limits]", "E1401  limits::place"]),
        ("[mounts]", &["[mounts]", "mounts::broad"]),
        ("mounts", &["E0301  mounts::broad"]),
        ("network.mode", &["network.mode", "host"]),
        ("301", &["E0301  mounts::broad", "W0301  "]),
        ("MOUNTS::BROAD", &["mounts::broad", "Good:"]),
        ("e301", &["Good:"]),
        ("broad", &["mounts::broad"]),
        ("memory", &["limits.memory"]),
    ] {
        let (status, said) = explain(name);
        assert!(
            status == Some(0) && words.iter().all(|word| said.contains(word)),
            "{name}: {said}"
        );
    }
    assert_eq!(explain("nothing-like-it").0, Some(125));
}
