//! The public face: a program that uses nothing else runs a sandbox, and goes on afterwards.

use crate::support::{As, Place, install, skip, text};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program, or says why it cannot be built here.
///
/// Its lock file and its profile are those of the main build, and so is its target directory: what
/// that has built of other crates is not built again.
fn program() -> Result<PathBuf, String> {
    let main = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if Command::new(&cargo).arg("--version").output().is_err() {
        return Err("there is no cargo".into());
    }
    let read = |path: &str| std::fs::read_to_string(main.join(path)).unwrap();
    let manifest = read("Cargo.toml");
    let profile = manifest.split_once("\n[profile.dev]").unwrap().1.split("\n[").next().unwrap();
    let manifest = read("tests/face/Cargo.toml").replace("../..", main.to_str().unwrap());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("face");
    std::fs::create_dir_all(folder.join("src")).unwrap();
    for (name, text) in [
        ("Cargo.toml", format!("{manifest}\n[profile.dev]{profile}")),
        ("Cargo.lock", read("Cargo.lock")),
        ("src/main.rs", read("tests/face/src/main.rs")),
    ] {
        // What is as it was keeps its time, so that nothing is built again for it.
        if std::fs::read_to_string(folder.join(name)).is_ok_and(|there| there == text) {
            continue;
        }
        std::fs::write(folder.join(name), text).unwrap();
    }
    // The whole build's, whether or not a target is named in it.
    let target = folder.ancestors().filter(|path| path.join("CACHEDIR.TAG").exists()).last();
    let built = Command::new(cargo)
        .args(["build", "--offline", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.unwrap())
        .current_dir(main)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    // The main build's directory of this machine's target, where its programs are.
    Ok(Path::new(env!("CARGO_BIN_EXE_stockade")).with_file_name("stockade-face"))
}

#[test]
fn a_program_of_the_face_alone_runs_a_sandbox_and_goes_on() {
    let program = match program() {
        Ok(program) => program,
        Err(why) => return skip(&why),
    };
    for who in As::all() {
        let place = Place::new();
        let own = place.path.join("face");
        install(&program, &own);
        let run = |what: &str, script: &str| {
            let output = place.outside(*who, &own).args([what, script]).output().unwrap();
            let said = format!(
                "{who:?}: {:?}\n{}\n{}",
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            );
            (output.status.code(), text(&output.stdout).to_owned(), said)
        };
        let (status, out, said) = run("run", "echo inside; exit 7");
        assert_eq!(status, Some(7), "{said}");
        assert!(out.contains("execute: sh -c echo inside; exit 7"), "{said}");
        assert!(out.contains("\nexited: 7\n") && !out.contains("changed: "), "{said}");
        assert_eq!(out.lines().filter(|line| *line == "inside").count(), 2, "{said}");
        // Pid 1 is a copy of the program, whose words are not the target's to see.
        let (status, out, said) = run("run", "cat /proc/1/cmdline; : a-secret");
        assert_eq!(status, Some(0), "{said}");
        let (_, after_the_plan) = out.split_once("execute: ").unwrap();
        assert!(!after_the_plan.split_once('\n').unwrap().1.contains("a-secret"), "{said}");
        // What is wrong is told with its status.
        let (status, _, said) = run("threads", "true");
        assert_eq!(status, Some(125), "{said}");
        assert!(
            said.contains(
                "E1207 launch::failed: cannot start a sandbox from here: this process has 2 threads"
            ),
            "{said}"
        );
    }
}
