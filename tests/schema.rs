//! Descriptions of the language and the command line: the JSON Schema against an independent
//! validator and the loader itself, the reference and manual pages against the declarations, the
//! completions in real shells.

use crate::support::{self, As, Place, skip, text};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use stockade::internals::host::caller::Caller;
use stockade::internals::language::shape::{Shape, Shaped, flat};
use stockade::internals::profile::{BUILTIN, Profile, Request, load};
use stockade::internals::text::source::Sources;

/// What a command prints; it must succeed.
fn said(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stockade")).args(words).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{words:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Whether a program is there; a test without it is skipped, loudly.
fn has(program: &str) -> bool {
    let found = ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

// ---- the schema ----

/// Python's own TOML parser and JSON Schema validator: neither shares code with stockade. Reads
/// texts as a JSON list, and prints for each the number of its errors.
const VALIDATOR: &str = r#"
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for name, text in json.load(sys.stdin):
    errors = sorted(validator.iter_errors(tomllib.loads(text)), key=str)
    print(json.dumps([name, [error.message[:300] for error in errors]]))
"#;

/// What the validator says of each text, or nothing where it is not installed.
fn validate(texts: &[(String, String)]) -> Option<Vec<(String, Vec<String>)>> {
    let python = || {
        let mut command = Command::new("/usr/bin/python3");
        command.env_clear();
        command
    };
    if !python()
        .args(["-c", "import tomllib, jsonschema"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skip("python3 with tomllib and jsonschema is not installed");
        return None;
    }
    let place = Place::new();
    let schema = place.file("schema.json", &said(&["schema"]));
    let mut child = python()
        .args(["-c", VALIDATOR])
        .arg(schema)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(serde_json::to_string(texts).unwrap().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines: Vec<(String, Vec<String>)> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), texts.len());
    Some(lines)
}

fn with_format(texts: &[&str]) -> Vec<(String, String)> {
    texts.iter().map(|text| ((*text).to_owned(), format!("format = 1\n{text}\n"))).collect()
}

/// Whether `stockade check` takes a profile as it is written: what it says of the machine does not
/// count.
fn check(text: &str) -> Result<(), String> {
    let place = Place::new();
    let path = place.file("p.toml", text);
    let output = place
        .stockade(As::all()[0])
        .args(["check", "--format", "json"])
        .arg(path)
        .arg("true")
        .output()
        .unwrap();
    let out = support::text(&output.stdout);
    // That an empty sandbox has no program is a warning.
    if out.contains("\"severity\": \"error\"") || output.stdout.is_empty() {
        Err(out)
    } else {
        Ok(())
    }
}

/// Whether the loader takes a text.
fn loads(text: &str) -> Result<(), String> {
    let place = Place::new();
    let path = place.file("p.toml", text);
    let caller = Caller {
        uid: nix::unistd::geteuid().as_raw(),
        home: "/home/ann".into(),
        cwd: "/work".into(),
        user: "ann".into(),
        runtime_dir: Some("/run/user/1000".into()),
        session_dir: None,
        env: [("X".to_owned(), "x".to_owned())].into(),
        system_profiles: "/nonexistent".into(),
        ..Caller::default()
    };
    let mut sources = Sources::default();
    let request = Request { profile: path.to_str().unwrap().into(), ..Request::default() };
    match load(&request, &caller, &mut sources) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.json(&sources)),
    }
}

/// Every profile of the repository.
fn profiles(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            profiles(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "toml") {
            found.push(entry);
        }
    }
}

#[test]
fn every_profile_of_the_repository_fits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    ["profiles", "examples", "tests/plans"]
        .iter()
        .for_each(|folder| profiles(&root.join(folder), &mut paths));
    assert!(paths.len() > 25, "{paths:?}");
    let read =
        |path: &PathBuf| (path.display().to_string(), std::fs::read_to_string(path).unwrap());
    let texts: Vec<(String, String)> = paths.iter().map(read).collect();
    for (name, errors) in validate(&texts).unwrap_or_default() {
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// What is rare and right: the schema must not be narrower than the loader.
const RIGHT: &[&str] = &[
    "description = \"default\"",
    "extends = [\"base\"]\noptional = [\"landlock\"]",
    "optional = \"default\"",
    "[params]\nn = { type = \"integer\", default = 3 }\n[process]\nnice = \"${n}\"",
    "[params]\nb = { type = \"boolean\", default = true }\n[process]\ninit = \"${b}\"",
    "[params]\nn = { type = \"integer\", default = 3 }\n[process]\ntimeout = \"${n}m\"\nkill-after \
     = \"1500ms\"",
    "[params]\nl = { type = \"list\", default = [\"chown\"] }\n[capabilities]\nkeep = [\"${l}\", \
     \"kill\", 7]",
    "[params]\ne = \
     { type = \"enum\", values = [\"null\"], default = \"null\", help = \"h\" }\n[process]\nstdin \
     = \"${e}\"",
    "extends = [\"build\"]\n[params]\nproject = \"/srv\"",
    "extends = [\"base\"]\n[mounts]\n\"/bin\" = false\n[env]\nLANG = false",
    "[process]\ncommand = [\"a\", \"${ARGS}\"]\nstop-signal = \"SIGINT\"\numask = \"22\"\nioprio = \
     \"realtime:3\"\nscheduler = \"rr:99\"",
    "[process]\nnice = \"default\"\npass-fds = \"default\"\nstdin = \"default\"",
    "[identity]\nuser = \"nobody\"\ngroup = \"1000\"\ngroups = [5, \"audio\", \"${GID}\"]",
    "[identity]\nuid-map = [{ inside = 0, outside = 1000, count = 1 }]",
    "[namespaces]\nipc = { join = \"/proc/1/ns/ipc\" }\nuts = \"host\"\ntime-offsets = \
     { boottime = \"-250ms\" }\nnested = true",
    "[namespaces]\nnested = [\"user\", \"pid\", \"net\"]",
    "[network]\nmode = { join = \"/run/netns/a\" }",
    "[mounts]\n\"${HOME}/x\" = \"ro\"\n\"//usr/./lib/\" = \"ro\"\n\"/\" = { bind = \
     \"${PROFILE_DIR}/root\" }",
    "[mounts]\n\"/a\" = \
     { bind = \"/a..b\", access = \"rw\", exec = false, recursive = false, missing = \"create\", broad = \"skip\", sockets = true }",
    "[mounts]\n\"/a\" = { tmpfs = 4096, inodes = 10, mode = \"01777\" }\n\"/b\" = \
     { env = \"X\", mode = \"0400\" }\n\"/c\" = { hide = true, missing = \"skip\" }",
    "[params]\nm = { type = \"string\", default = \"rw\" }\n[mounts]\n\"/a\" = \"${m}\"\n\"/b\" = \
     { bind = \"/b\", access = \"${m}\" }",
    "[env]\nA = \"\"\nB = true\nC = { pass = true, required = true }\nD = { fd = 4 }\n\"a.b\" = { \
     file = \"${RUNTIME_DIR}/t\" }",
    "[rlimits]\nnofile = \"unlimited\"\nas = { soft = \"1G\", hard = 2147483648 }\ncpu = \
     { soft = \"1m\", hard = \"unlimited\" }",
    "[capabilities]\nkeep = \"default\"\nsecurebits = [\"noroot\"]\nno-new-privs = false",
    "[env]\nA = \"$${x}\"",
    "programs = [\"${COMMAND}\", \"sh\", \"/usr/bin/env\", \"${HOME}/bin/x\"]\n[process]\ncommand \
     = [\"sh\"]",
    "optional = [\"landlock.scope\"]\n[landlock]\nmin-abi = 6\nscope = []\ntcp-bind = [0, \
     80]\naudit = true",
    "[landlock]\npaths = { \"/usr\" = \"rx\", \"/a\" = [\"r\", \"make\"], \"/b\" = \"list\" }",
    "[landlock]\npaths = \"off\"",
];

#[test]
fn what_is_rare_and_right_fits() {
    for text in RIGHT {
        loads(&format!("format = 1\n{text}\n"))
            .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    }
    for (text, errors) in validate(&with_format(RIGHT)).unwrap_or_default() {
        assert!(errors.is_empty(), "{text}: {errors:#?}");
    }
}

/// What is wrong, and can be seen without the machine.
const WRONG: &[&str] = &[
    // An unknown key in each section, and in each table.
    "formt = 1",
    "[procss]",
    "[process]\ncomand = [\"a\"]",
    "[identity]\nusr = 0",
    "[namespaces]\nnet = \"new\"",
    "[capabilities]\ndrop = [\"kill\"]",
    "[network]\nmod = \"none\"",
    "[rlimits]\nnofiles = 3",
    "[params]\nx = { type = \"string\", defualt = \"\" }",
    "[env]\nA = { flie = \"/x\" }",
    "[mounts]\n\"/a\" = { bind = \"/a\", acess = \"rw\" }",
    "[mounts]\n\"/a\" = { proc = { hidepd = \"off\" } }",
    "[identity]\nuid-map = [{ inside = 0, outside = 0, count = 1, more = 1 }]",
    "[namespaces]\nipc = { jion = \"/x\" }",
    "[namespaces]\ntime-offsets = { monotnic = \"1d\" }",
    "[rlimits]\nnofile = { soft = 1, hard = 2, firm = 3 }",
    // The spelling of the Rust field.
    "[process]\noom_score_adj = 3",
    // Keys and words that are not built yet.
    "[seccomp]\npolicy = \"nothing\"",
    "[seccomp]\nallow = [\"mkdri\"]",
    "[seccomp]\ndeny = [\"@keyrin\"]",
    "[network]\nallow = [\"a:1\"]",
    "[network]\nmode = \"relay\"",
    "[process]\nnotify = true",
    "[mounts]\n\"/x\" = { layers = [\"/a\"], upper = true }",
    "[mounts]\n\"/a\" = \"cgroup\"",
    // A wrong type.
    "description = 3",
    "extends = \"base\"",
    "process = 3",
    "[process]\ncommand = \"a b\"",
    "[process]\ninit = \"yes\"",
    "[process]\nnice = \"5\"",
    "[process]\npass-fds = [\"three\"]",
    "[process]\numask = 22",
    "[capabilities]\nkeep = \"kill\"",
    "[env]\nA = 3",
    "[mounts]\n\"/a\" = true",
    "[mounts]\n\"/a\" = [\"ro\"]",
    "[identity]\nhost = 1",
    // A wrong word.
    "optional = [\"lndlock\"]",
    "[process]\nstdin = \"nul\"",
    "[process]\nstop-signal = \"TERMINATE\"",
    "[process]\nkeyring = \"old\"",
    "[capabilities]\nkeep = [\"chonw\"]",
    "[capabilities]\nsecurebits = [\"root\"]",
    "[namespaces]\nuser = \"old\"",
    "[network]\nmode = \"nat\"",
    "[mounts]\n\"/a\" = \"read-only\"",
    "[mounts]\n\"/a\" = { bind = \"/a\", access = \"wr\" }",
    "[mounts]\n\"/a\" = { bind = \"/a\", owner = \"ann\" }",
    "[params]\nx = { type = \"text\" }",
    "[landlock]\nscope = [\"signals\"]",
    "[landlock]\npaths = { \"/usr\" = [\"rx\"] }",
    "[landlock]\npath = \"auto\"",
    // A wrong unit, number or form.
    "[landlock]\ntcp-bind = [65536]",
    "[landlock]\nmin-abi = \"6\"",
    "programs = [\"bin/sh\"]",
    "programs = [\"..\"]",
    "[process]\ntimeout = 30",
    "[process]\ntimeout = \"30 s\"",
    "[process]\ntimeout = \"1w\"",
    "[process]\nnice = 20",
    "[process]\nscheduler = \"fifo\"",
    "[process]\nioprio = \"idle:3\"",
    "[process]\numask = \"8\"",
    "[process]\ncwd = \"work\"",
    "[process]\ncwd = \"/work/..\"",
    "[rlimits]\nnofile = \"30s\"",
    "[rlimits]\nas = \"30s\"",
    "[rlimits]\ncpu = 30",
    "[rlimits]\nnproc = -1",
    "[mounts]\n\"/a\" = { tmpfs = \"64X\" }",
    "[mounts]\n\"a\" = \"ro\"",
    "[identity]\nuser = -1",
    "[identity]\nuser = \"0x0\"",
    "[namespaces]\nhostname = \"a b\"",
    // What does not go together, or is not whole.
    "[mounts]\n\"/a\" = {}",
    "[mounts]\n\"/a\" = { accesss = \"rw\" }",
    "[mounts]\n\"/a\" = { bind = \"/a\", tmpfs = \"1M\" }",
    "[mounts]\n\"/a\" = { tmpfs = \"1M\", access = \"rw\" }",
    "[mounts]\n\"/a\" = { hide = false }",
    "[env]\nA = { file = \"/x\", required = true }",
    "[env]\nA = { or = \"x\" }",
    "[rlimits]\nnofile = { soft = 1 }",
    "[identity]\nuid-map = [{ inside = 0, outside = 0 }]",
    "[params]\nx = { help = \"h\" }",
    "[params]\nX = { type = \"string\" }",
];

#[test]
fn what_is_wrong_does_not_fit() {
    // Nothing but the line itself is wrong.
    assert_eq!(check("format = 1\n"), Ok(()));
    for text in WRONG {
        assert!(
            check(&format!("format = 1\n{text}\n")).is_err(),
            "stockade check takes it: {text}"
        );
    }
    let mut texts = with_format(WRONG);
    // The format itself.
    texts.extend(
        ["", "format = 2", "format = \"1\""].map(|text| (text.to_owned(), text.to_owned())),
    );
    for (text, errors) in validate(&texts).unwrap_or_default() {
        assert!(!errors.is_empty(), "the schema takes it: {text}");
    }
}

/// Values as TOML that a shape says are right, and some that it says are wrong: its words, and the
/// ends of its numbers.
fn samples(shape: &Shape, right: &mut Vec<String>, wrong: &mut Vec<String>) {
    match shape {
        Shape::Words(words) => right.extend(words.iter().map(|word| format!("{:?}", word.word))),
        Shape::Boolean => right.extend(["true".into(), "false".into()]),
        Shape::True => right.push("true".into()),
        Shape::Integer(low, high) => {
            right.extend([low.to_string(), high.to_string()]);
            wrong.extend(
                [low.checked_sub(1), high.checked_add(1)]
                    .into_iter()
                    .flatten()
                    .map(|number| number.to_string()),
            );
        }
        Shape::Sequence(item) | Shape::Set(item) => {
            let (mut good, mut bad) = (vec![], vec![]);
            samples(item, &mut good, &mut bad);
            right.extend(good.iter().map(|item| format!("[{item}]")));
            wrong.extend(bad.iter().map(|item| format!("[{item}]")));
        }
        Shape::Either(shapes) => shapes.iter().for_each(|shape| samples(shape, right, wrong)),
        Shape::Key(inner) | Shape::Entry(inner) => samples(inner, right, wrong),
        _ => {}
    }
}

#[test]
fn every_word_and_bound_is_the_parsers() {
    let mut tried = 0;
    let mut each = |section: &str, name: &str, shape: &Shape| {
        let (mut right, mut wrong) = (vec![], vec![]);
        samples(shape, &mut right, &mut wrong);
        tried += right.len() + wrong.len();
        let profile = |value: &String| format!("format = 1\n{section}\n{name} = {value}\n");
        for value in right {
            loads(&profile(&value))
                .unwrap_or_else(|problems| panic!("{section} {name} = {value}\n{problems}"));
        }
        for value in wrong {
            assert!(loads(&profile(&value)).is_err(), "{section} {name} = {value}");
        }
    };
    for key in Profile::shape().keys() {
        match &key.shape {
            Shape::Table(table) => table
                .keys
                .iter()
                .for_each(|inner| each(&format!("[{}]", key.name), &inner.name, &inner.shape)),
            Shape::Named(named) => each(
                &format!("[{}]", key.name),
                if named.form.starts_with("^(/") { "\"/a\"" } else { "A" },
                &named.value,
            ),
            shape => each("", &key.name, shape),
        }
    }
    assert!(tried > 200, "{tried}");
}

// ---- the declarations ----

/// Every key below a shape, with the words of each and the way to it.
fn keys(shape: &Shape, path: &str, found: &mut Vec<(String, String, &'static str)>) {
    match shape {
        Shape::Table(table) => {
            for key in &table.keys {
                let path = format!("{path}/{}", key.name);
                found.push((path.clone(), key.name.clone(), key.doc));
                keys(&key.shape, &path, found);
            }
        }
        Shape::Named(named) => keys(&named.value, &format!("{path}/*"), found),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| keys(shape, path, found)),
        Shape::Key(inner)
        | Shape::Entry(inner)
        | Shape::Early(inner)
        | Shape::Sequence(inner)
        | Shape::Set(inner) => keys(inner, path, found),
        _ => {}
    }
}

/// Every property below a schema, by the same way.
fn properties(schema: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        properties(schema, &path, found);
        found.insert(path);
    }
    schema["anyOf"]
        .as_array()
        .into_iter()
        .flatten()
        .for_each(|schema| properties(schema, path, found));
    if schema["items"].is_object() {
        properties(&schema["items"], path, found);
    }
    if schema["additionalProperties"].is_object() {
        properties(&schema["additionalProperties"], &format!("{path}/*"), found);
    }
}

#[test]
fn every_key_has_words_and_stands_in_schema_reference_and_manual() {
    let mut all = vec![];
    keys(&Profile::shape(), "", &mut all);
    assert!(all.len() > 90, "{}", all.len());
    for key in Profile::KEYS {
        assert!(all.iter().any(|(path, ..)| *path == format!("/{}", key.name())), "{}", key.name());
    }
    let (mut in_schema, schema) =
        (BTreeSet::new(), serde_json::from_str(&said(&["schema"])).unwrap());
    properties(&schema, "", &mut in_schema);
    let (reference, manual) = (said(&["reference"]), said(&["man", "5"]));
    for (path, name, doc) in &all {
        assert!(!flat(doc).is_empty(), "{path} has no words");
        assert!(in_schema.contains(path), "{path} is not in the schema");
        let section =
            path.matches('/').count() == 1 && reference.contains(&format!("## [{name}]\n"));
        assert!(
            section || reference.contains(&format!("- `{name}`: {}", flat(doc))),
            "{path} is not in the reference"
        );
        let in_manual = format!("\\fB{}\\fR\n", name.replace('-', "\\-"));
        assert!(
            manual.contains(&in_manual) || manual.contains(&format!(".SH [{name}]\n")),
            "{path} is not in the manual"
        );
    }
    let paths: BTreeSet<String> = all.iter().map(|(path, ..)| path.clone()).collect();
    assert_eq!(paths, in_schema, "the schema has keys that the parser's types do not have");
    for later in Profile::LATER {
        assert!(!in_schema.contains(&format!("/{later}")), "{later} is not built yet");
    }
}

#[test]
fn every_option_stands_in_the_manual() {
    let (manual, help) = (said(&["man", "1"]), said(&["--help"]));
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .collect();
    assert!(commands.len() >= 7, "{help}");
    let commands = commands.iter().filter(|line| !line.starts_with("   "));
    for command in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(manual.contains(&format!("\\fBstockade {command}")), "{command}");
        let help = said(&[command, "--help"]);
        for option in help
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("--"))
            .filter(|word| !word.is_empty())
        {
            let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
            assert!(
                ["help", "version"].contains(&option)
                    || manual.contains(&format!("\\-\\-{}\\fR", option.replace('-', "\\-"))),
                "{command} --{option}"
            );
        }
    }
}

#[test]
fn manuals_are_clean() {
    if !has("mandoc") {
        return;
    }
    let place = Place::new();
    for page in ["1", "5"] {
        let path = place.file(&format!("stockade.{page}"), &said(&["man", page]));
        let output = place
            .outside(As::all()[0], "/usr/bin/mandoc")
            .args(["-T", "lint"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(text(&output.stdout), "");
        let shown = place
            .outside(As::all()[0], "/usr/bin/mandoc")
            .args(["-T", "ascii", "-O", "width=78"])
            .arg(&path)
            .output()
            .unwrap();
        // Bold letters are struck twice on paper.
        let shown = text(&shown.stdout).replace('\u{8}', "");
        assert!(!shown.contains('`') && !shown.contains("\\f"), "a mark was left over");
    }
}

// ---- completions ----

/// What fits after words, by the program itself.
fn fitting(words: &[&str]) -> Vec<String> {
    let all = said(&[&["complete", "--"], words].concat());
    all.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn what_fits_next_is_said() {
    assert!(
        fitting(&["ru"]) == ["run"]
            && fitting(&[""]).contains(&"completions".to_owned())
            && !fitting(&[""]).contains(&"complete".to_owned())
    );
    let builtin: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    let names = fitting(&["run", ""]);
    assert!(builtin.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
    assert_eq!(fitting(&["check", "stri"]), ["strict"]);
    assert_eq!(fitting(&["run", "--se"]), ["--set"]);
    assert_eq!(fitting(&["run", "--config", "a = 1", "defa"]), ["default"]);
    assert_eq!(fitting(&["check", "--format", "j"]), ["json"]);
    assert_eq!(fitting(&["check", "--format=j"]), ["--format=json"]);
    assert_eq!(fitting(&["check", "--format", "=", "j"]), ["json"]);
    assert_eq!(fitting(&["run", "--set", "a"]), [""; 0]);
    assert_eq!(fitting(&["check", "build", "--set", "proj"]), ["project="]);
    assert_eq!(fitting(&["run", "--explain="]), ["--explain=end", "--explain=live"]);
    assert_eq!(fitting(&["run", "--explain", "=", ""]), ["end", "live"]);
    assert_eq!(fitting(&["run", "--explain", "="]), ["end", "live"]);
    assert_eq!(fitting(&["run", "--net", "ho"]), ["host"]);
    assert_eq!(fitting(&["run", "--ro", "x"]), [":files"]);
    assert_eq!(fitting(&["run", "--ro", "x", "defa"]), ["default"]);
    assert!(fitting(&["check", "--env", "PAT"]).contains(&"PATH".to_owned()));
    assert_eq!(fitting(&["run", "./x"]), [":files"]);
    assert_eq!(fitting(&["run", "default", "l"]), [":programs"]);
    assert_eq!(fitting(&["run", "default", "--", "l"]), [":programs"]);
    assert_eq!(fitting(&["run", "default", "ls", "--se"]), [":files"]);
    assert!(fitting(&["run", "-"]).contains(&"--config".to_owned()));
    assert_eq!(fitting(&["profiles", "s"]), ["show"]);
    assert_eq!(fitting(&["profiles", "show", "stri"]), ["strict"]);
    assert_eq!(fitting(&["profiles", "--format", "json", "diff", "base", "stri"]), ["strict"]);
    assert_eq!(fitting(&["profiles", "--format", "t"]), ["text"]);
    assert!(
        said(&["complete", "--", "run", "stric"]).starts_with("strict\tThe command's own program"),
        "a profile's own words stand beside its name"
    );
    assert_eq!(fitting(&["why", "default", "sys"]), ["syscall:"]);
    assert_eq!(fitting(&["why", "default", "/etc", "write"]), ["write:"]);
    assert_eq!(fitting(&["why", "default", "/etc", "--", "l"]), [":programs"]);
    // What looks at a profile takes its own options behind it, too.
    assert_eq!(fitting(&["check", "default", "--deny"]), ["--deny-warnings"]);
    assert_eq!(fitting(&["check", "default", "--format", "j"]), ["json"]);
    assert_eq!(fitting(&["check", "default", "l"]), [":programs"]);
    assert_eq!(fitting(&["check", "default", "ls", "x"]), [":files"]);
    assert_eq!(fitting(&["check", "default", "--", "--deny"]), [":programs"]);
    assert!(said(&["complete", "--", "explain", "E030"]).contains("E0301\tmounts::broad"));
    assert_eq!(fitting(&["completions", ""]), ["bash", "zsh", "fish"]);
    // A command that has further words takes a directory in their place.
    assert_eq!(fitting(&["changes", ""]), ["apply", "export", "discard", ":directories"]);
    assert_eq!(fitting(&["changes", "./x"]), [":directories"]);
    assert_eq!(fitting(&["changes", "--diff", "x"]), [":directories"]);
    assert_eq!(fitting(&["changes", "x", "--d"]), ["--diff"]);
    assert_eq!(fitting(&["changes", "apply", "--yes", ""]), [":directories"]);
    assert_eq!(fitting(&["changes", "apply", "x", ""]), [""; 0]);
    assert_eq!(fitting(&["changes", "export", "x", "y"]), [":files"]);
    assert_eq!(fitting(&["nothing", ""]), [""; 0]);
}

#[test]
fn scripts_are_right_for_their_shells() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let path = place.file(shell, &said(&["completions", shell]));
        if has(shell) {
            let output = place.outside(As::all()[0], shell).arg("-n").arg(path).output().unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{shell}: {}",
                text(&output.stderr)
            );
        }
    }
}

/// What a shell offers at the end of a command line.
fn offered(place: &Place, shell: &str, script: &str) -> Vec<String> {
    let path = format!("{}:/usr/bin:/bin", place.path.display());
    let output = place
        .outside(As::all()[0], shell)
        .args(["-c", script])
        .env("PATH", path)
        .env("HOME", &place.path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn bash_completes_the_names_of_profiles() {
    let place = Place::new();
    place.file("data.toml", "");
    let complete = |words: &str, index: usize| {
        let script = format!(
            "source <(stockade completions bash); complete -p stockade >/dev/null || exit 1\n\
             COMP_WORDS=({words}); COMP_CWORD={index}; _stockade stockade; printf '%s\\n' \
             \"${{COMPREPLY[@]}}\""
        );
        offered(&place, "bash", &script)
    };
    assert_eq!(complete("stockade run def", 2), ["default"]);
    // bash takes `=` for a word of its own.
    assert_eq!(complete("stockade check --format = js", 4), ["json"]);
    assert_eq!(complete("stockade check ./da", 2), ["./data.toml"]);
    std::fs::create_dir(place.path.join("data")).unwrap();
    assert_eq!(complete("stockade changes ./da", 2), ["./data"]);
    assert!(complete("stockade run default tru", 3).contains(&"true".to_owned()));
}

/// Completing `./stockade` in a directory of another user's must not run that file.
#[test]
fn completion_runs_no_file_that_the_line_names() {
    let place = Place::new();
    let ran = place.path.join("ran");
    let hostile =
        place.file("there/stockade", &format!("#!/bin/sh\necho ran >> {}\n", ran.display()));
    std::fs::set_permissions(&hostile, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let there = hostile.parent().unwrap().display().to_string();
    for (shell, script) in [
        (
            "bash",
            "COMP_WORDS=(./stockade run def); COMP_CWORD=2; _stockade ./stockade run def; printf \
             '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        ("fish", "complete -C './stockade run def'"),
        (
            "zsh",
            "words=(./stockade run def); CURRENT=3; _describe() { print -l $fitting; }; _stockade; \
             true",
        ),
    ] {
        if !has(shell) {
            continue;
        }
        // A PATH with a relative directory is no better than the name itself.
        for (path, found) in [("$PATH", true), (".:$PATH", false)] {
            let load = if shell == "fish" {
                "stockade completions fish | source"
            } else {
                &format!("eval \"$(stockade completions {shell})\"")
            };
            let path = path.replace("$PATH", if shell == "fish" { "$PATH" } else { "${PATH}" });
            let path = if shell == "fish" {
                format!("set -x PATH {}", path.replace(':', " "))
            } else {
                format!("PATH={path}")
            };
            let compdef = if shell == "zsh" { "compdef() { :; }; " } else { "" };
            let offered =
                offered(&place, shell, &format!("{compdef}{load}; cd {there}; {path}; {script}"));
            assert!(!ran.exists(), "{shell}: the file of the directory ran");
            assert_eq!(
                offered.iter().any(|word| word.starts_with("default")),
                found,
                "{shell}: {offered:?}"
            );
        }
    }
}

#[test]
fn fish_completes_the_names_of_profiles() {
    if !has("fish") {
        return;
    }
    let place = Place::new();
    place.file("data.toml", "");
    let complete = |line: &str| {
        offered(
            &place,
            "fish",
            &format!("stockade completions fish | source; complete -C '{line}'"),
        )
    };
    assert_eq!(complete("stockade run def"), ["default"]);
    assert_eq!(complete("stockade check --format j"), ["json"]);
    assert_eq!(complete("stockade check ./da"), ["./data.toml"]);
}
