//! Links that entries follow, files that they copy, and mounts on a link: whose links count, who
//! reads, and that neither can be undone.

use crate::support::{As, Place, USER, errors, is_root, skip, system, text};
use nix::sys::stat::Mode;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

/// A link of `who`'s in a directory of `who`'s.
fn link(place: &Place, who: As, name: &str, to: &str) -> String {
    let path = place.folder(&format!("of-{who:?}"), who).join(name);
    symlink(to, &path).unwrap();
    if is_root() && who == As::User {
        lchown(&path, Some(USER), Some(USER)).unwrap();
    }
    path.display().to_string()
}

#[test]
fn a_link_is_followed_where_no_target_and_no_other_user_could_put_it() {
    let place = Place::new();
    place.file("real", "real\n");
    for who in As::all() {
        let top = place.folder(&format!("of-{who:?}"), *who).display().to_string();
        let link = link(&place, *who, "link", "../real");
        for word in ["file", "bind"] {
            let entry = format!("\"/made\" = {{ {word} = \"{link}\", follow = true }}");
            let run = |more: &str| {
                let mounts = format!("{entry}\n{more}");
                place.run(*who, &system(&mounts), &["/bin/cat", "/made"])
            };
            let output = run("");
            assert_eq!(text(&output.stdout), "real\n", "{who:?} {word}: {}", errors(&output));
            let output =
                run(&format!("\"/w\" = {{ bind = \"{top}\", access = \"rw\", owner = \"root\" }}"));
            let words = errors(&output);
            assert!(
                output.status.code() == Some(125) && words.contains("an earlier target could"),
                "{who:?} {word}: {words}"
            );
            if is_root() {
                let owner = std::fs::symlink_metadata(&link).unwrap();
                lchown(&link, Some(4321), None).unwrap();
                let output = run("");
                let words = errors(&output);
                assert!(
                    output.status.code() == Some(125) && words.contains("a link of user 4321's"),
                    "{who:?} {word}: {words}"
                );
                lchown(&link, Some(std::os::unix::fs::MetadataExt::uid(&owner)), None).unwrap();
            }
            let mounts = format!("\"/made\" = {{ {word} = \"/proc/self/exe\", follow = true }}");
            let words = errors(&place.run(*who, &system(&mounts), &["/bin/true"]));
            assert!(words.contains("leads each process elsewhere"), "{who:?} {word}: {words}");
        }
    }
}

#[test]
fn a_mount_on_a_link_of_a_bound_tree_stays_there() {
    let place = Place::new();
    for who in As::all() {
        let act = "cd $1; rm conf; mv conf away; ln -sfn mine conf; cat conf; true";
        for (name, entry, is_held) in [
            ("twin", "", false),
            ("held", "\"@/conf\" = { text = \"kept\\n\" }", true),
            ("copied", "\"@/conf\" = { file = \"@/../kept\" }", true),
        ] {
            place.file("kept", "kept\n");
            let top = place.folder(&format!("of-{who:?}/{name}"), *who).display().to_string();
            let link = link(&place, *who, &format!("{name}/conf"), "gone/conf");
            let entry = entry.replace("@/../", &format!("{}/", place.path.display()));
            let mounts = format!(
                "\"{top}\" = {{ bind = \"{top}\", access = \"rw\", owner = \"root\" }}\n{}",
                entry.replace('@', &top)
            );
            let output = place.run(*who, &system(&mounts), &["/bin/sh", "-c", act, "sh", &top]);
            let (seen, words) = (text(&output.stdout), errors(&output));
            let now = std::fs::read_link(&link).unwrap();
            assert_eq!(seen == "kept\n", is_held, "{who:?} {name}: {words}");
            assert_eq!(now == Path::new("gone/conf"), is_held, "{who:?} {name}: {words}");
            assert_eq!(
                words.matches("Device or resource busy").count() >= 2,
                is_held,
                "{who:?} {name}: {words}"
            );
        }
    }
}

#[test]
fn a_copy_is_read_by_who_starts_the_sandbox_and_is_the_targets() {
    let place = Place::new();
    let secret = place.file("secret", "secret\n");
    let mode = |mode: u32| {
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(mode)).unwrap();
    };
    let path = secret.display().to_string();
    let run = |who: As, kind: &str, line: &str| {
        let mounts = format!("\"/s\" = {{ {kind} = \"{path}\" }}");
        place.run(who, &system(&mounts), &["/bin/sh", "-c", line])
    };
    if is_root() {
        mode(0o4600);
        let output = run(As::Root, "bind", "cat /s");
        assert!(errors(&output).contains("Permission denied"), "{}", errors(&output));
        let output = run(As::Root, "file", "cat /s; stat -c '%a' /s; test -O /s && echo own");
        assert_eq!(text(&output.stdout), "secret\n600\nown\n", "{}", errors(&output));
        let output = run(As::User, "file", "true");
        assert_eq!(output.status.code(), Some(125));
        assert!(errors(&output).contains("[E0324]"), "{}", errors(&output));
    } else {
        skip("one user alone cannot have a file that another cannot read");
    }
    mode(0o644);
    for who in As::all() {
        let output = run(*who, "file", "cat /s");
        assert_eq!(text(&output.stdout), "secret\n", "{who:?}: {}", errors(&output));
        // Nobody writes into it, and nothing waits.
        let fifo = place.path.join(format!("fifo-{who:?}"));
        nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o644)).unwrap();
        let large = place.file("large", &"x".repeat((1 << 20) + 1));
        for (path, why) in [(&fifo, "it is a FIFO"), (&large, "1 MiB")] {
            let mounts = format!("\"/s\" = {{ file = \"{}\" }}", path.display());
            let output = place.run(*who, &system(&mounts), &["/bin/true"]);
            let words = errors(&output);
            assert!(output.status.code() == Some(125) && words.contains(why), "{who:?}: {words}");
        }
    }
}
