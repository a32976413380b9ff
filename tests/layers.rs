//! `stockade plan --layers`: which layer sets, replaces, widens and removes what. `UPDATE=1 cargo
//! test --test all layers::` rewrites the golden.

use crate::support::{As, Place, text};
use std::path::Path;

const BASE: &str = "format = 1
optional = [\"landlock\"]
[params]
project = { type = \"path\", default = \"${CWD}\", help = \"the crate\" }
jobs = { type = \"integer\", default = 4 }
[process]
command = [\"make\", \"-j\", \"${jobs}\"]
timeout = \"10m\"
nice = 5
[env]
LANG = true
TOKEN = { pass = true }
[mounts]
\"/usr\" = \"ro\"
\"/work\" = { bind = \"${project}\", access = \"rw\" }
\"/etc/hosts\" = { text = \"\"\"
127.0.0.1 localhost
\"\"\" }
[capabilities]
keep = [\"chown\", \"kill\"]
";

const MID: &str = "format = 1
extends = [\"./base.toml\"]
[mounts]
\"/etc/hosts\" = { mode = \"0600\" }
[capabilities]
keep = [\"fowner\", \"chown\"]
";

const MAIN: &str = "format = 1
description = \"Build it\"
extends = [\"mid.toml\"]
optional = [\"landlock\"]
[params]
project = \"/src\"
[process]
timeout = \"5m\"
nice = \"default\"
[env]
LANG = \"C\"
TOKEN = false
[mounts]
\"/usr/\" = false
\"/work/**/.env\" = { hide = true, missing = \"skip\" }
[capabilities]
keep = [\"!kill\", \"setuid\"]
";

fn place() -> Place {
    let place = Place::new();
    for (name, text) in [("main.toml", MAIN), ("mid.toml", MID), ("base.toml", BASE)] {
        place.file(name, text);
    }
    place
}

/// What a command prints, without the directory of this run.
fn printed(place: &Place, args: &[&str]) -> String {
    let output = place.stockade(As::all()[0]).env("TOKEN", "hunter2").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).replace(&format!("{}/", place.path.display()), "")
}

const FLAGS: &[&str] = &[
    "--set",
    "jobs=8",
    "--config",
    "process.timeout = \"1m\"",
    "--config",
    "env.A = \"\\u001b[31m\"",
];

#[test]
fn each_layer_says_what_it_does() {
    let place = place();
    let words: Vec<&str> = ["plan", "--layers"]
        .iter()
        .chain(FLAGS)
        .chain(&["./main.toml", "--", "ls", "-l"])
        .copied()
        .collect();
    let said = printed(&place, &words);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layers/all.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(&golden).unwrap_or_default(), "UPDATE=1 rewrites it");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "a line is longer than 80 columns:\n{said}"
    );
    assert!(!said.contains("hunter2") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn the_value_of_a_flag_for_a_variable_is_not_repeated() {
    let place = Place::new();
    for args in [
        &["plan", "--layers", "--env", "TOKEN=hunter2", "base", "true"][..],
        &["plan", "--layers", "--format", "json", "--env", "TOKEN=hunter2", "base", "true"],
        &["check", "--env", "A*=hunter2", "base", "true"],
        &["check", "--env", "A*=hunter2\"\\é\nhunter2", "base", "true"],
    ] {
        let output = place.stockade(As::all()[0]).args(args).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains("--env") && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_changed_key_is_in_force() {
    let place = Place::new();
    for who in As::all() {
        for (mounts, status) in [("", 126), ("[mounts]\n\"/tmp\" = { exec = true }\n", 0)] {
            let profile = format!("format = 1\nextends = [\"base\"]\n{mounts}");
            let line = "cp /bin/true /tmp/true; exec /tmp/true";
            let output = place.run(*who, &profile, &["sh", "-c", line]);
            assert_eq!(output.status.code(), Some(status), "{who:?}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn programs_get_every_change_with_its_places() {
    let place = place();
    let words: Vec<&str> = ["plan", "--layers", "--format", "json"]
        .iter()
        .chain(FLAGS)
        .chain(&["./main.toml", "ls"])
        .copied()
        .collect();
    let layers: serde_json::Value = serde_json::from_str(&printed(&place, &words)).unwrap();
    let names: Vec<&str> =
        layers.as_array().unwrap().iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["base.toml", "mid.toml", "./main.toml", "--config", "--config", "--set", "<command line>"]
    );
    assert_eq!(layers[0]["extended_at"]["file"], "mid.toml");
    assert_eq!(
        (&layers[2]["kind"], &layers[2]["extended_at"]),
        (&"profile".into(), &serde_json::Value::Null)
    );
    let change = |layer: usize, key: &[&str], value: &str| {
        let changes = layers[layer]["changes"].as_array().unwrap();
        let found = changes
            .iter()
            .find(|change| change["key"] == serde_json::json!(key) && change["value"] == value);
        found.unwrap_or_else(|| panic!("{key:?} = {value} of layer {layer}: {layers:#}")).clone()
    };
    let replaced = change(2, &["process", "timeout"], "\"5m\"");
    assert_eq!(
        (&replaced["effect"], &replaced["line"], &replaced["column"]),
        (&"replaced".into(), &8.into(), &11.into())
    );
    assert_eq!(
        (&replaced["before"]["file"], &replaced["before"]["line"], &replaced["before"]["value"]),
        (&"base.toml".into(), &8.into(), &"\"10m\"".into())
    );
    assert_eq!(change(1, &["capabilities", "keep"], "\"fowner\"")["effect"], "widened");
    assert_eq!(change(2, &["capabilities", "keep"], "\"!kill\"")["effect"], "removed");
    assert_eq!(change(2, &["mounts", "/usr"], "\"/usr/\"")["effect"], "removed");
    assert_eq!(change(2, &["process", "nice"], "\"default\"")["before"]["value"], "5");
    assert_eq!(change(0, &["optional"], "\"landlock\"")["effect"], "not-inherited");
    assert_eq!(
        change(0, &["params", "jobs"], "{ type = \"integer\", default = 4 }")["effect"],
        "declared"
    );
    assert_eq!(change(5, &["params", "jobs"], "8")["before"]["value"], "4");
    assert_eq!(change(6, &["process", "command"], "ls")["effect"], "replaced");
}

#[test]
fn a_profile_that_is_wrong_has_no_layers_to_show() {
    let place = Place::new();
    place.file("main.toml", "format = 1\n[env]\nA = false\n");
    let output =
        place.stockade(As::all()[0]).args(["plan", "--layers", "./main.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        output.stdout.is_empty() && text(&output.stderr).contains("cannot remove `A`"),
        "{}",
        text(&output.stderr)
    );
}
