//! `missing = "create"`: what is made on the host, whose it is, and where it is granted.

use crate::support::{As, Place, USER, errors, is_root, system, text};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Who starts it, and in whose directory; the words that root needs in one of its own.
fn cases() -> Vec<(As, As, &'static str)> {
    let mut all: Vec<(As, As, &str)> = As::all().iter().map(|who| (*who, *who, "")).collect();
    all.iter_mut().filter(|(who, ..)| *who == As::Root).for_each(|case| case.2 = OWNER);
    if is_root() {
        all.push((As::Root, As::User, ""));
    }
    all
}

const OWNER: &str = ", owner = \"root\"";

/// What is at a path: mode and owner.
fn is_at(path: &Path) -> (u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    (meta.permissions().mode() & 0o7777, meta.uid())
}

/// One line that binds it below a tree that is bound, and one elsewhere, in a parent that is made
/// for both.
#[test]
fn directories_are_made_with_all_above_them_also_below_a_bound_tree() {
    for (nth, (who, whose, owner)) in cases().into_iter().enumerate() {
        let place = Place::new();
        let top = place.folder(&format!("tree-{nth}"), whose);
        let at = top.display();
        let made = |path: &str| {
            format!("{{ bind = \"{at}/{path}\", access = \"rw\", missing = \"create\"{owner} }}")
        };
        for access in ["ro", "rw"] {
            let owner = if access == "rw" { owner } else { "" };
            let profile = system(&format!(
                "\"{at}\" = {{ bind = \"{at}\", access = \"{access}\"{owner} }}\n\"{at}/new/a/b\" = \
                 {}\n\"/elsewhere\" = {}",
                made("new/a/b"),
                made("new/c")
            ));
            // `check` and `doctor` make nothing, and find nothing wrong.
            let path = place.file("profile.toml", &profile);
            for command in ["check", "doctor"] {
                let output =
                    place.stockade(who).arg(command).arg(&path).arg("/bin/true").output().unwrap();
                assert!(
                    output.status.success() && !top.join("new").exists(),
                    "{command} {who:?} {whose:?}: {} {}",
                    text(&output.stdout),
                    errors(&output)
                );
            }
            let act = format!(
                "echo 1 > {at}/new/a/b/file && echo 2 > /elsewhere/file && cat {at}/new/c/file && \
                 mv {at}/new/a {at}/new/away 2>/dev/null || echo kept"
            );
            assert_eq!(place.sh(who, &profile, &act), "2\nkept", "{who:?} {whose:?} {access}");
            let id =
                if whose == As::User && is_root() { USER } else { nix::unistd::geteuid().as_raw() };
            for name in ["new", "new/a", "new/a/b", "new/a/b/file", "new/c/file"] {
                let mode = if name.ends_with("file") { 0o644 } else { 0o755 };
                assert_eq!(is_at(&top.join(name)), (mode, id), "{who:?} {whose:?} {name}");
            }
            // What is there by now is bound as it is.
            assert_eq!(place.sh(who, &profile, "cat /elsewhere/file"), "2");
            std::fs::remove_dir_all(top.join("new")).unwrap();
            // The twin: nothing else is made in a tree of the host.
            let profile = profile.replace("/new/a/b\" =", "/new/a/x\" =");
            let output = place.run(who, &profile, &["/bin/true"]);
            assert!(errors(&output).contains("mounts::no-mount-point"), "{}", errors(&output));
            assert!(!top.join("new").exists());
        }
    }
}

/// The caller's umask takes from the mode, but not from that of what root's target walks through.
#[test]
fn the_umask_holds_for_what_is_made() {
    for (nth, (who, whose, owner)) in cases().into_iter().enumerate() {
        let place = Place::new();
        let top = place.folder(&format!("tree-{nth}"), whose);
        let at = top.display();
        let profile = place.file(
            "profile.toml",
            &system(&format!(
                "\"{at}\" = \"ro\"\n\"{at}/a/b\" = {{ bind = \"{at}/a/b\", access = \"rw\", missing \
                 = \"create\"{owner} }}"
            )),
        );
        let line = format!(
            "umask 077; exec {} run {} /bin/sh -c 'echo x > {at}/a/b/file'",
            place.path.join("stockade").display(),
            profile.display()
        );
        let output = place.outside(who, "/bin/sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{who:?} {whose:?}: {}", errors(&output));
        let on_the_way = if who == As::Root { 0o755 } else { 0o700 };
        assert_eq!(is_at(&top.join("a")).0, on_the_way, "{who:?} {whose:?}");
        assert_eq!(is_at(&top.join("a/b")).0, 0o700, "{who:?} {whose:?}");
    }
}

/// Root makes nothing where the owner of the directory could not.
#[test]
fn root_makes_a_directory_by_the_rights_of_the_owner_above() {
    if !is_root() {
        return crate::support::skip("it takes two users");
    }
    let place = Place::new();
    let top = place.folder("tree", As::User);
    let entry = format!(
        "\"/w\" = {{ bind = \"{}/a\", access = \"rw\", missing = \"create\" }}",
        top.display()
    );
    std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o555)).unwrap();
    let output = place.run(As::Root, &system(&entry), &["/bin/true"]);
    assert!(
        output.status.code() == Some(125) && errors(&output).contains("permission denied"),
        "{}",
        errors(&output)
    );
    assert!(!top.join("a").exists());
    // The twin: root by itself makes it.
    std::fs::create_dir(top.join("a")).unwrap();
}
