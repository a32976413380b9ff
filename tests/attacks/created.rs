//! `missing = "create"`: what is at the names is exchanged at one certain moment, between two calls
//! of the launcher's.

use super::program;
use crate::support::{As, Place, USER, errors, is_root, system, text};
use std::path::Path;
use std::process::Output;

/// Directories of a user's, who exchanges them: `top/p/build`, in which `out` is to be made, and
/// the same names elsewhere.
fn grown() -> Place {
    let place = Place::new();
    for directory in [
        "top",
        "top/p",
        "top/p/build",
        "top/other",
        "top/other/build",
        "victim",
        "victim/out",
        "victim/build",
        "victim/build/out",
    ] {
        place.folder(directory, As::User);
    }
    // Of root's, in the user's directory.
    place.folder("top/p/build/roots", As::Root);
    program(&place, "between");
    place
}

/// What the user does at that moment.
fn line(place: &Place, who: As, act: &str) -> String {
    let user = if who == As::Root {
        format!("setpriv --reuid {USER} --regid {USER} --clear-groups ")
    } else {
        String::new()
    };
    format!("{user}sh -c 'cd {}/top && {act}'", place.path.display())
}

/// A command with the act done when it is about to make this call, for the last of so many times;
/// after none it is only counted.
fn between(
    place: &Place,
    who: As,
    (call, path): (&str, &str),
    times: i32,
    act: &str,
    command: &[&str],
) -> Output {
    let mut between = place.outside(who, place.path.join("between"));
    between
        .args([call, path, &times.to_string(), &line(place, who, act), "--"])
        .args(command)
        .output()
        .unwrap()
}

/// Where something of another tree was made, or written.
fn is_broken(place: &Place) -> bool {
    ["out/file", "build/out/file"].iter().any(|name| place.path.join("victim").join(name).exists())
}

/// What happens; what the user does for it; and when.
const ACTS: &[(&str, &str, When)] = &[
    (
        "the name becomes a link after the directory was made",
        "mv p/build/out p/build/away && ln -s ../../../victim/out p/build/out",
        When::Made,
    ),
    (
        "the name is another file after the directory was made",
        "mv p/build/out p/build/away && echo x > p/build/out",
        When::Made,
    ),
    ("a directory of root's is at the name after root made one", ROOTS, When::Made),
    (
        "a name below becomes a link after the directory was made",
        "mv p/build/out/deep p/build/away && ln -s ../../../../victim/out p/build/out/deep",
        When::MadeBelow,
    ),
    (
        "the directory above becomes a link",
        "mv p/build away && ln -s ../../victim p/build",
        When::Opened,
    ),
    ("the directory above that becomes a link", "mv p away && ln -s ../victim p", When::Opened),
    (
        "another directory is in the place of the one above",
        "mv p/build away && mv other/build p/build",
        When::Opened,
    ),
    (
        "another directory is in the place of the one above that",
        "mv p away && mv other p",
        When::Opened,
    ),
];

/// A directory whose owner also owns its parents belongs to that user as much as the one that was
/// made, whichever user starts the launcher: a user who can move it there has the right to both.
const ROOTS: &str = "mv p/build/out p/build/away && mv p/build/roots p/build/out";

#[derive(Clone, Copy, PartialEq)]
enum When {
    /// Before the directory above is opened.
    Opened,
    /// Between mkdirat(2) and openat(2).
    Made,
    /// The same, for the directory in that one.
    MadeBelow,
}

#[test]
fn a_name_that_is_exchanged_while_a_directory_is_made_is_not_granted() {
    for who in As::all() {
        for (what, act, when) in ACTS.iter().filter(|(_, act, _)| *act != ROOTS || *who == As::Root)
        {
            let place = grown();
            let build = place.path.join("top/p/build");
            let (build, out) = (build.to_str().unwrap(), format!("{}/out", build.display()));
            let last = format!("{out}/deep/last");
            let bind = format!(
                "\"/work\" = \"tmpfs\"\n\"/work/out\" = {{ bind = \"{last}\", access = \"rw\", \
                 missing = \"create\" }}"
            );
            let profile = place.file("profile.toml", &system(&bind));
            let stockade = place.path.join("stockade");
            let command = [
                stockade.to_str().unwrap(),
                "run",
                profile.to_str().unwrap(),
                "/bin/sh",
                "-c",
                "ls -d /work/out; echo x > /work/out/file; true",
            ];
            let moment = match when {
                When::Made => ("openat", "out"),
                When::MadeBelow => ("openat", "deep"),
                When::Opened => ("openat2", build),
            };
            // Nothing is done: it is made, and the calls are counted. The last of them is the one
            // that acts, those before it look.
            let output = between(&place, *who, moment, 0, "true", &command);
            let times = output.status.code().unwrap();
            assert!(
                (1..10).contains(&times) && text(&output.stdout) == "/work/out\n",
                "{who:?}: {output:?}"
            );
            std::fs::remove_dir_all(&out).unwrap();
            let output = between(&place, *who, moment, times, act, &command);
            let said = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && said.contains("was exchanged after the profile was checked"),
                "{who:?}: {what}: {said}"
            );
            assert!(!is_broken(&place) && text(&output.stdout).is_empty(), "{who:?}: {what}");
            assert!(!Path::new(&last).exists(), "{who:?}: {what}");
            // In a directory that was not looked at nothing is made either.
            let elsewhere = ["top/p/build/out", "top/p/out"]
                .map(|name| place.path.join(name))
                .into_iter()
                .find(|path| path.is_dir());
            assert!(
                *when != When::Opened || elsewhere.is_none() || act.contains("victim"),
                "{who:?}: {what}: {elsewhere:?}"
            );
        }
    }
}

/// What is made is granted where it went, too: the next directory is made in the one before, and not
/// at its path.
#[test]
fn a_directory_is_made_in_the_one_before_wherever_that_is_moved() {
    for who in As::all() {
        let place = grown();
        let top = place.path.join("top/p/build/out");
        let profile = place.file(
            "profile.toml",
            &system(&format!(
                "\"/work\" = {{ bind = \"{}/build/out\", access = \"rw\", missing = \"create\" }}",
                top.display()
            )),
        );
        let stockade = place.path.join("stockade");
        let command = [
            stockade.to_str().unwrap(),
            "run",
            profile.to_str().unwrap(),
            "/bin/sh",
            "-c",
            "echo x > /work/file",
        ];
        let act = "mv p/build/out p/build/away && ln -s ../../../victim p/build/out";
        let output = between(&place, *who, ("openat", "build"), 1, act, &command);
        assert!(output.status.success() && !is_broken(&place), "{who:?}: {output:?}");
        let moved = place.path.join("top/p/build/away/build/out/file");
        assert!(moved.exists(), "{who:?}");
    }
}

/// The twin: what goes by the path is led into the other tree, or into the other directory.
#[test]
fn by_its_path_the_same_exchanges_are_followed() {
    for (what, act, _) in ACTS
        .iter()
        .filter(|(_, act, when)| !act.contains("echo") && *act != ROOTS && *when != When::MadeBelow)
    {
        let place = grown();
        let who = if is_root() { As::User } else { As::all()[0] };
        let out = place.path.join("top/p/build/out");
        let file = out.join("file");
        let write = format!("mkdir {0}; echo x > {0}/file", out.display());
        // Where only the directories above are exchanged, the same name is there in the other one.
        std::fs::create_dir_all(place.path.join("top/other/build/out")).unwrap();
        std::fs::create_dir_all(place.path.join("top/other/build")).unwrap();
        own(&place.path.join("top/other/build/out"));
        let output = between(
            &place,
            who,
            ("openat", file.to_str().unwrap()),
            1,
            act,
            &["/bin/sh", "-c", &write],
        );
        let other = place.path.join("top/away").exists() && file.exists();
        assert!(output.status.success() && (is_broken(&place) || other), "{what}: {output:?}");
    }
}

fn own(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}
