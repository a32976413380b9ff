//! `stockade profiles` and `stockade new`: what is listed, what differs, and that each starter
//! runs.

use crate::support::{self, As, Place, is_root, said, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROLES: [&str; 5] = ["command", "build", "service", "parser", "network-client"];

/// A directory of the profiles apart from the working directory, as a target that can write to its
/// profile could widen it.
fn starter(place: &Place, who: As, role: &str) -> PathBuf {
    let folder = place.folder(&format!("profiles-{who:?}"), who);
    let file = folder.join(format!("{role}.toml"));
    let output = place.stockade(who).args(["new", "--role", role]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{who:?}: {role}: {}", said(&output));
    file
}

/// The launcher in a directory that its caller owns.
fn at_work(place: &Place, who: As, words: &[&str], profile: &Path) -> Command {
    let work = place.folder("work", As::User);
    let mut command = place.stockade(who);
    command.current_dir(work).args(words).arg(profile).stdin(Stdio::null());
    command
}

#[test]
fn each_starter_is_good_and_runs() {
    for who in As::all() {
        let place = Place::new();
        let data = place.folder("data", As::User);
        let set = format!("data={}", data.display());
        for role in ROLES {
            let profile = starter(&place, *who, role);
            let flags: &[&str] = if role == "service" { &["run", "--set", &set] } else { &["run"] };
            let output =
                at_work(&place, *who, flags, &profile).args(["echo", "ran"]).output().unwrap();
            assert_eq!(text(&output.stdout), "ran\n", "{who:?}: {role}: {}", said(&output));
            let left = std::fs::read_to_string(&profile).unwrap();
            assert!(
                !["NAME", "FILE", "OPTIONAL", "RESOLV", "PORTS"]
                    .iter()
                    .any(|word| left.contains(word)),
                "{role}: {left}"
            );
        }
        // The grants that the headers speak of.
        let output = at_work(&place, *who, &["run"], &starter_again(&place, *who, "command"))
            .args(["sh", "-c", "echo x > made; ls /home"])
            .output()
            .unwrap();
        assert_eq!(
            (text(&output.stdout).trim(), place.path.join("work/made").exists()),
            ("me", true),
            "{who:?}: {}",
            said(&output)
        );
        let output = at_work(&place, *who, &["run"], &starter_again(&place, *who, "parser"))
            .args(["ls", "/"])
            .output()
            .unwrap();
        let seen = text(&output.stdout);
        assert!(
            output.status.success() && !seen.contains("home") && !seen.contains("bin"),
            "{who:?}: {}",
            said(&output)
        );
    }
}

fn starter_again(place: &Place, who: As, role: &str) -> PathBuf {
    place.path.join(format!("profiles-{who:?}/{role}.toml"))
}

#[test]
fn a_file_is_never_written_over() {
    let place = Place::new();
    for who in As::all() {
        let file = starter(&place, *who, "command");
        let before = std::fs::read(&file).unwrap();
        let output =
            place.stockade(*who).args(["new", "--role", "build"]).arg(&file).output().unwrap();
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("E0006"),
            "{who:?}: {}",
            said(&output)
        );
        assert_eq!(std::fs::read(&file).unwrap(), before);
        for bad in ["a b", "", "x/;y", "x\u{202e}"] {
            let output = place.stockade(*who).args(["new", bad]).output().unwrap();
            assert_eq!(output.status.code(), Some(125), "{who:?}: {bad:?}: {}", said(&output));
            assert!(!text(&output.stderr).contains('\u{202e}'));
        }
    }
}

#[test]
fn a_new_profile_makes_no_name_mean_two() {
    let place = Place::new();
    for who in As::all() {
        for name in ["base", "default"] {
            let output = place.stockade(*who).args(["new", name]).output().unwrap();
            let err = text(&output.stderr);
            assert!(
                output.status.code() == Some(125)
                    && err.contains("new::name [E0005]")
                    && err.contains("built-in profile already"),
                "{}",
                said(&output)
            );
        }
        let output = place.stockade(*who).args(["new", "--", "-x"]).output().unwrap();
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("E0005"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn the_command_that_new_prints_works_where_it_says() {
    for who in As::all() {
        let place = Place::new();
        // Root's own directory, too: there `owner` is needed. Its name is no word of a shell's.
        let (here, work) = (place.folder("he're $x", *who), place.folder("at-work", *who));
        for role in ROLES {
            let output = place
                .stockade(*who)
                .current_dir(&here)
                .args(["new", "--role", role])
                .arg(format!("{role}.toml"))
                .output()
                .unwrap();
            let out = text(&output.stdout);
            let line = out
                .lines()
                .last()
                .unwrap()
                .trim()
                .strip_prefix("stockade ")
                .unwrap_or_else(|| panic!("{}", said(&output)));
            let data = place.folder("data", As::User);
            let line = line.replace("COMMAND", "true").replace("DIR", &data.display().to_string());
            let words = Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {line}")).output();
            let words = text(&words.unwrap().stdout);
            let output =
                place.stockade(*who).current_dir(&work).args(words.lines()).output().unwrap();
            assert!(output.status.success(), "{who:?}: {role}: {line}: {}", said(&output));
        }
    }
}

#[test]
fn the_list_has_the_built_in_ones_and_stays_in_its_columns() {
    let place = Place::new();
    for who in As::all() {
        let list = place.stockade(*who).arg("profiles").output().unwrap();
        let list = text(&list.stdout);
        assert!(
            list.starts_with("built-in:\n") && list.lines().all(|line| line.chars().count() <= 80),
            "{list}"
        );
        let json = place.stockade(*who).args(["profiles", "--format", "json"]).output().unwrap();
        let all: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        for (name, _) in stockade::internals::profile::BUILTIN {
            assert!(
                list.contains(&format!("\n  {name} "))
                    && all.as_array().unwrap().iter().any(|one| one["name"] == *name),
                "{name}: {list}"
            );
            let shown = place.stockade(*who).args(["profiles", "show", name]).output().unwrap();
            assert!(text(&shown.stdout).starts_with(&format!("# {name}: ")), "{}", said(&shown));
        }
    }
}

#[test]
fn what_two_profiles_differ_in_is_told_by_meaning() {
    let place = Place::new();
    let a = place.file("a.toml", &support::system("\"/x\" = { tmpfs = \"1M\" }\n[env]\nA = \"1\""));
    // The same, written otherwise.
    let b = place.file(
        "b.toml",
        &format!("extends = [\"{}/c.toml\"]\nformat = 1\nenv.A = \"1\"\n", place.path.display()),
    );
    place.file("c.toml", &support::system("\"/x\" = { tmpfs = 1048576 }"));
    let d = place.file(
        "d.toml",
        &support::system("\"/x\" = { tmpfs = \"2M\" }\n[capabilities]\nkeep = [\"net-raw\"]"),
    );
    let diff = |first: &Path, second: &Path| {
        let output = place
            .stockade(As::User)
            .args(["profiles", "diff"])
            .args([first, second])
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(diff(&a, &b), (Some(0), String::new()));
    let (status, lines) = diff(&a, &d);
    assert_eq!(status, Some(1));
    for line in
        ["- set A to \"1\"", "+ mount tmpfs on /x: 2M", "- mount tmpfs on /x: 1M", "net-raw"]
    {
        assert!(lines.contains(line), "{line}: {lines}");
    }
    assert!(!lines.contains("/usr"), "{lines}");
    // What no step says: ids, their maps, and what Landlock rules over.
    for (section, difference) in [
        ("[identity]\nuser = 0", "- be user 0"),
        ("[landlock]\nscope = []", "+ deny with Landlock outside: signals"),
        (
            "[landlock]\ntcp-connect = [443]",
            "- deny with Landlock, unless granted: to connect to TCP ports",
        ),
    ] {
        let other = place.file(
            "other.toml",
            &format!(
                "{}\n{section}\n",
                support::system("\"/x\" = { tmpfs = \"1M\" }\n[env]\nA = \"1\"")
            ),
        );
        let (status, lines) = diff(&other, &a);
        assert!(status == Some(1) && lines.contains(difference), "{section}: {lines}");
    }
    // Nor the order of layers, whichever way they are shown.
    for name in ["one", "two"] {
        place.folder(name, As::User);
    }
    for driver in ["overlay", "copy"] {
        let of = |name: &str, layers: [&str; 2]| {
            let [lower, upper] = layers.map(|layer| place.path.join(layer).display().to_string());
            let entry = format!(
                "\"/x\" = {{ layers = [\"{lower}\", \"{upper}\"], driver = \"{driver}\" }}"
            );
            (
                place.file(name, &support::system(&entry)),
                format!("; the lowest first: {lower}, {upper}"),
            )
        };
        let (first, here) = of("first.toml", ["one", "two"]);
        let (second, there) = of("second.toml", ["two", "one"]);
        assert_eq!(diff(&first, &first), (Some(0), String::new()), "{driver}");
        let (status, lines) = diff(&first, &second);
        assert_eq!(status, Some(1), "{driver}: {lines}");
        let [minus, plus] = lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
        assert!(minus.starts_with("- ") && minus.ends_with(&here), "{driver}: {lines}");
        assert!(plus.starts_with("+ ") && plus.ends_with(&there), "{driver}: {lines}");
    }
}

#[test]
fn parameters_are_listed_as_the_flags_that_give_them() {
    let place = Place::new();
    place.file("base.toml", "format = 1\n[params]\njobs = { type = \"integer\", default = 4 }\n");
    let main = "format = 1\nextends = [\"base.toml\"]\n[params]\njobs = 2\nout = \
                { type = \"path\", help = \"where to\" }\n\
                level = { type = \"enum\", values = [\"low\", \"high\"], default = \"low\" }\n\
                key = { type = \"string\", default = \"${env:KEY}\" }\nfine = { type = \"string\", \
                default = \"a\u{1b}b\" }\n";
    let main = place.file("main.toml", &main.replace('\u{1b}', "\\u001b"));
    let list = |flags: &[&str]| {
        place
            .stockade(As::User)
            .arg("params")
            .args(flags)
            .arg(&main)
            .env("KEY", "s3cret")
            .output()
            .unwrap()
    };
    let output = list(&[]);
    let listed = text(&output.stdout);
    for lines in [
        "--set jobs=INTEGER\n    value: 2 (",
        "main.toml:4:8; declared at ",
        "base.toml:3:1)",
        "--set out=PATH\n    where to\n    it must be given (",
        "--set level=low|high\n    default: low (",
        "main.toml:5:1)",
    ] {
        assert!(listed.contains(lines), "{lines}: {}", said(&output));
    }
    assert!(!listed.contains("s3cret") && !listed.contains('\u{1b}'), "{listed}");
    // A value that is given is no default, and its place is not the default's.
    let given = text(&list(&["--set", "level=high"]).stdout);
    assert!(
        given.contains("value: high (by --set; declared at ") && !given.contains("default: high"),
        "{given}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&list(&["--format", "json", "--set", "jobs=7"]).stdout).unwrap();
    let jobs = json.as_array().unwrap().iter().find(|one| one["name"] == "jobs").unwrap();
    assert_eq!(
        (&jobs["value"], &jobs["type"], &jobs["at"]["line"]),
        (&"7".into(), &"integer".into(), &3.into()),
        "{json}"
    );
    assert_eq!(
        (jobs["given"]["file"].as_str(), json[0]["name"].as_str()),
        (Some("--set"), Some("fine")),
        "{json}"
    );
    assert!(json[0]["given"].is_null(), "{json}");
    let output = list(&["--set", "jbos=7"]);
    assert!(
        output.status.code() == Some(125) && text(&output.stderr).contains("did you mean `jobs`?"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_bare_name_goes_where_names_are_looked_up() {
    // The user of these tests has no home, where that directory would be.
    let place = Place::new();
    let output =
        place.outside(As::User, place.path.join("stockade")).args(["new", "x"]).output().unwrap();
    if is_root() {
        assert!(
            output.status.code() == Some(125)
                && text(&output.stderr).contains("/nonexistent/.config/stockade"),
            "{}",
            said(&output)
        );
    }
}
