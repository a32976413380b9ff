//! What a user reads when a profile is wrong: each file of tests/problems is a typical mistake,
//! beside it the problems as they are drawn.
//!
//! The machine is invented, so the goldens are the same everywhere.
//! `UPDATE=1 cargo test --test all problems::` rewrites them.

use crate::plans::machine;
use crate::support::{self, Place, text};
use std::path::{Path, PathBuf};
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::lint::lint;
use stockade::internals::plan::{plan, settle};
use stockade::internals::profile::{Request, as_written, load};
use stockade::internals::text::problem::Style;
use stockade::internals::text::source::Sources;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/problems")
}

/// What `stockade check` says of a profile in the working directory, on the invented machine.
fn check(name: &str) -> String {
    let mut sources = Sources::default();
    // A profile must belong to its reader, so the caller of the loader has this process's id.
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let request = Request { profile: name.into(), ..Request::default() };
    let found = load(&request, &caller, &mut sources).and_then(|profile| {
        let host: Host = machine::for_name(name, &profile);
        plan(&profile, &host)?;
        let mut closer = host;
        machine::look_closer(&mut closer, &profile);
        lint(&profile, &closer, &settle(&profile, &closer)).or(())
    });
    match found {
        Ok(()) => "nothing is wrong\n".into(),
        Err(problems) => as_written(problems, &caller, &sources).render(&sources, Style::Plain),
    }
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    assert!(names.len() >= 25, "only {} mistakes in {:?}", names.len(), folder());
    let mut wrong = vec![];
    for name in names {
        place.file(&name, &std::fs::read_to_string(folder().join(&name)).unwrap());
        // The names in messages are then those of the goldens, without the directory of this run.
        let said = support::in_directory(&place.path, || check(&name));
        assert_ne!(said, "nothing is wrong\n", "{name}");
        let golden = folder().join(Path::new(&name).with_extension("txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &said).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{name}:\n{said}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as the golden files have it; UPDATE=1 rewrites them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn programs_get_line_column_and_code() {
    let place = Place::new();
    let path = place.file("profile.toml", "format = 1\n[process]\n  timeuot = \"1s\"\n");
    let output = place
        .stockade(support::As::all()[0])
        .args(["check", "--format", "json"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problems.as_array().map(Vec::len), Some(1), "{problems}");
    let problem = &problems[0];
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64(), problem["length"].as_u64()),
        (Some(3), Some(3), Some(7))
    );
    assert_eq!(
        (problem["number"].as_str(), problem["severity"].as_str()),
        (Some("E0113"), Some("error"))
    );
    assert_eq!(
        (problem["code"].as_str(), problem["help"].as_str()),
        (Some("profile::unknown-key"), Some("did you mean `timeout`?"))
    );
    assert!(
        problem["file"].as_str().is_some_and(|file| file.ends_with("/profile.toml")),
        "{problem}"
    );
}
