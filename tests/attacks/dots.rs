//! `..`: neither out of what is bound, nor into what is hidden, by a path, a link or a working
//! directory.

use super::alone;
use crate::support::{As, Place, system, text};
use std::path::Path;
use std::time::Duration;

/// A user's tree: `in` is granted, `outside` is not.
fn tree(place: &Place) -> String {
    for directory in
        ["tree", "tree/in", "tree/in/sub", "tree/in/sub/deep", "tree/in/hidden", "tree/outside"]
    {
        place.folder(directory, As::User);
    }
    place.file("tree/in/hidden/file", "SECRET\n");
    place.file("tree/outside/file", "SECRET\n");
    place.path.join("tree").display().to_string()
}

fn writable(path: &str, source: &str) -> String {
    format!("\"{path}\" = {{ bind = \"{source}\", access = \"rw\" }}\n")
}

/// Ways from `$1`, a directory in which the target may write, to a file at `$2` from there, which
/// has `..` in it.
const WAYS: &str = r#"cd "$1"
cat "$1/$2"; cat "./$2"; cat "sub/../$2"; cat "sub/deep/../../$2"; cat "sub/deep/../.././$2"
ln -sfn "$2" link; cat link; ln -sfn "$(dirname "$2")" way; cat way/file; cat sub/../way/file
ln -sfn "../$2" sub/link; cat sub/link; ln -sfn .. sub/up; cat "sub/up/$2"; cat "sub/up/sub/up/$2"
cat "/proc/self/cwd/$2"; cat "/proc/self/root/$1/$2"
(cd sub/deep && cat "../../$2"); (cd -P "$(dirname "$2")" && cat file)
exec 9<sub; cat "/proc/self/fd/9/../$2"; cat "/dev/fd/9/../$2"
mv sub/deep moved && (cd moved && cat "../$2")
true"#;

/// What the ways print, whatever their errors.
fn walked(place: &Place, who: As, profile: &str, top: &str, to: &str) -> String {
    let output = place.run(who, profile, &["/bin/sh", "-c", WAYS, "sh", top, to]);
    assert!(output.status.success(), "{who:?}: {output:?}");
    drop(std::fs::rename(place.path.join("tree/in/moved"), place.path.join("tree/in/sub/deep")));
    text(&output.stdout)
}

#[test]
fn dots_do_not_lead_out_of_a_bind() {
    for who in As::all() {
        let place = Place::new();
        let tree = tree(&place);
        let inside = format!("{tree}/in");
        // Where it is bound at its own path, and where at another.
        for (top, to) in [
            (&*inside, "../outside/file"),
            ("/b", "../outside/file"),
            ("/b", &*format!("../..{tree}/outside/file")),
        ] {
            assert_eq!(
                walked(&place, *who, &system(&writable(top, &inside)), top, to),
                "",
                "{who:?}: {top}"
            );
        }
        // The twin: with all of the tree each way leads there.
        let said =
            walked(&place, *who, &system(&writable("/b", &tree)), "/b/in", "../outside/file");
        assert!(said.matches("SECRET").count() >= 16, "{who:?}: {said}");
    }
}

#[test]
fn dots_do_not_lead_into_what_is_hidden() {
    for who in As::all() {
        let place = Place::new();
        let tree = tree(&place);
        let bind = writable("/b", &format!("{tree}/in"));
        for to in [
            "hidden/file",
            "hidden/../hidden/file",
            "hidden/.././hidden/file",
            "sub/deep/../../hidden/file",
        ] {
            for cover in [
                "\"/b/hidden\" = \"hide\"",
                "\"/b/hidden/file\" = \"hide\"",
                "\"/b/hidden\" = \"tmpfs\"",
            ] {
                assert_eq!(
                    walked(&place, *who, &system(&format!("{bind}{cover}")), "/b", to),
                    "",
                    "{who:?}: {cover}: {to}"
                );
            }
            let said = walked(&place, *who, &system(&bind), "/b", to);
            assert!(said.matches("SECRET").count() >= 12, "{who:?}: the twin: {to}: {said}");
        }
    }
}

/// With Landlock alone the host's directories are on the way, and their names are not the target's
/// to read.
#[test]
fn dots_do_not_lead_out_of_a_rule() {
    if !alone::has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let tree = tree(&place);
        let inside = format!("{tree}/in");
        let alone = |path: &str| alone::system(*who, &writable(path, path));
        assert_eq!(
            walked(&place, *who, &alone(&inside), &inside, "../outside/file"),
            "",
            "{who:?}"
        );
        let said = walked(&place, *who, &alone(&tree), &inside, "../outside/file");
        assert!(said.matches("SECRET").count() >= 14, "{who:?}: the twin: {said}");
    }
}

/// The host moves the target's working directory out of what is bound: `..` leads from there to no
/// directory of the host.
#[test]
fn a_working_directory_that_is_moved_out_leads_nowhere() {
    for who in As::all() {
        for (granted, at, leads) in [("tree/in", "/b/sub", false), ("tree", "/b/in/sub", true)] {
            let place = Place::new();
            let tree = tree(&place);
            let profile = system(&writable("/b", place.path.join(granted).to_str().unwrap()));
            let path = place.file("profile.toml", &profile);
            let line = format!(
                "cd {at} && touch deep/ready && until [ -e gone ]; do sleep 0.01; done; cat \
                 ../file ../../outside/file; ls -a ..; true"
            );
            let mut command = place.stockade(*who);
            let child = command
                .arg("run")
                .arg(path)
                .args(["sh", "-c", &line])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let sub = Path::new(&tree).join("in/sub");
            let ready = (0..4_000).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                sub.join("deep/ready").exists()
            });
            assert!(ready, "{who:?}: {granted}");
            std::fs::rename(&sub, Path::new(&tree).join("outside/sub")).unwrap();
            place.file("tree/outside/sub/gone", "");
            let output = child.wait_with_output().unwrap();
            let said = text(&output.stdout);
            assert_eq!(
                (said.contains("SECRET"), said.contains("file")),
                (leads, leads),
                "{who:?}: {granted}: {output:?}"
            );
        }
    }
}
