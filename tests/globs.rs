//! Patterns in the keys of `[mounts]`, on the real kernel: what is hidden, what is granted, what is
//! refused.

use crate::support::{self, As, Place, is_root, system, text};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A tree of a project, with secrets at several depths, and the profile that shows it at /work.
fn project(place: &Place, who: As) -> String {
    for name in [
        "tree/.env",
        "tree/a/.env",
        "tree/a/b/c/.env",
        "tree/a/.env.shared",
        "tree/a/code",
        "tree/.git/config",
        "tree/key.pem",
        "tree/a/other.pem",
    ] {
        place.folder(std::path::Path::new(name).parent().unwrap().to_str().unwrap(), who);
        place.file(name, "secret\n");
    }
    let owner = if who == As::Root { ", owner = \"root\"" } else { "" };
    format!("\"/work\" = {{ bind = \"{}/tree\", access = \"rw\"{owner} }}\n", place.path.display())
}

const READ: &str = "find /work -type f | sort | while read f; do if [ -s \"$f\" ] && cat \"$f\" \
                    >/dev/null 2>&1; then echo \"${f#/work/}\"; fi; done";

/// If root starts it, a writable bind of the temporary directory may not be idmappable; read-only
/// shows the same.
fn shown(place: &Place, who: As, more: &str) -> Vec<String> {
    let mounts =
        project(place, who).replace(", access = \"rw\"", "").replace(", owner = \"root\"", "");
    place.sh(who, &system(&(mounts + more)), READ).lines().map(str::to_owned).collect()
}

#[test]
fn what_a_pattern_matches_is_hidden_at_every_depth() {
    for who in As::all() {
        let place = Place::new();
        let all = [
            ".env",
            ".git/config",
            "a/.env",
            "a/.env.shared",
            "a/b/c/.env",
            "a/code",
            "a/other.pem",
            "key.pem",
        ];
        assert_eq!(shown(&place, *who, ""), all);
        assert_eq!(
            shown(&place, *who, "\"/work/**/.env\" = \"hide\"\n"),
            [".git/config", "a/.env.shared", "a/code", "a/other.pem", "key.pem"]
        );
        assert_eq!(
            shown(&place, *who, "\"/work/**/*.pem\" = \"hide\"\n\"/work/*/.env*\" = \"hide\"\n"),
            [".env", ".git/config", "a/b/c/.env", "a/code"]
        );
        // A star also hides names that begin with a dot, and a directory with everything in it.
        assert_eq!(shown(&place, *who, "\"/work/*\" = \"hide\"\n"), [""; 0]);
        // What is not looked at stays in sight, and is relative to what comes before the stars.
        let except = |except: &str| {
            let line = "\"/work/**/.env\" = { hide = true, except = [";
            let found = shown(&place, *who, &format!("{line}{except}] }}\n"));
            found.into_iter().filter(|name| name.ends_with(".env")).collect::<Vec<_>>()
        };
        assert_eq!(except("\"**/c\""), ["a/b/c/.env"]);
        assert_eq!(except("\"b\", \"a/b/*\""), ["a/b/c/.env"]);
        // An entry of its own wins.
        let own = format!(
            "\"/work/**/.env\" = \"hide\"\n\"/work/a/.env\" = {{ bind = \"{}/tree/a/.env\" }}\n",
            place.path.display()
        );
        assert!(shown(&place, *who, &own).contains(&"a/.env".to_owned()));
        // The tree is the one inside: what is bound below it is walked where it comes from.
        place.folder("other", *who);
        place.file("other/.env", "secret\n");
        place.file("other/code", "code\n");
        let below = format!(
            "\"/work/a/b\" = {{ bind = \"{}/other\" }}\n\"/work/**/.env\" = \"hide\"\n",
            place.path.display()
        );
        assert_eq!(
            shown(&place, *who, &below),
            [".git/config", "a/.env.shared", "a/b/code", "a/code", "a/other.pem", "key.pem"]
        );
    }
}

#[test]
fn what_a_pattern_hides_in_a_writable_tree_cannot_be_moved_into_sight() {
    let place = Place::new();
    let who = As::User;
    let mounts = project(&place, who) + "\"/work/**/.env\" = \"hide\"\n";
    let line = "mv /work/a/b/c /work/a/moved 2>/dev/null; mv /work/a /work/moved 2>/dev/null; mv \
                /work/a/.env /work/x 2>/dev/null; find /work -name '.env' -size +0; cat \
                /work/moved/.env /work/a/.env /work/x 2>/dev/null; echo done";
    assert_eq!(place.sh(who, &system(&mounts), line), "done");
}

/// What is pinned is a mount of its own, and so is a file that is granted by itself.
#[test]
fn what_a_mount_of_its_own_refuses_is_said() {
    let place = Place::new();
    let who = As::User;
    let tree = project(&place, who);
    let own = format!(
        "\"/work/key.pem\" = {{ bind = \"{}/tree/key.pem\", access = \"rw\" }}\n",
        place.path.display()
    );
    let line = "cd /work && touch a/new && ln a/new linked 2>&1 | grep -c cross-device; rm -f \
                key.pem 2>&1 | grep -c busy; rm -f a/new linked; ls";
    let mounts = format!("{tree}\"/work/**/.env\" = \"hide\"\n{own}");
    assert_eq!(place.sh(who, &system(&mounts), line), "1\n1\na\nkey.pem");
    let (_, said) = check(&place, who, &mounts);
    for words in [
        "3 directories are pinned for this, such as /work/a: rename and link",
        "the target can write /work/key.pem, and not replace it",
    ] {
        assert!(said.contains(words), "{said}");
    }
    // The twin: nothing is hidden, and nothing granted by itself.
    assert_eq!(place.sh(who, &system(&tree), line), "0\n0\na");
    let (_, said) = check(&place, who, &tree);
    assert!(!said.contains("pinned") && !said.contains("replace"), "{said}");
}

#[test]
fn a_pattern_grants_read_only_and_no_dotfiles() {
    for who in As::all() {
        let place = Place::new();
        project(&place, *who);
        let tree = format!("{}/tree", place.path.display());
        let profile = |entry: &str| system(&format!("\"/show/{entry}\n"));
        let list = "cd /show && find . -mindepth 1 | sort | tr '\\n' ' '; touch /show/a/new \
                    /show/key.pem 2>&1 | grep -c -i 'read-only\\|denied'";
        let said = place.sh(*who, &profile(&format!("*\" = {{ bind = \"{tree}/*\" }}")), list);
        assert!(
            said.starts_with("./a ./a/.env")
                && said.contains("./key.pem")
                && !said.contains("./.env ")
                && !said.contains("./.git"),
            "{said}"
        );
        assert!(said.ends_with('2'), "{said}");
        let said = place.sh(
            *who,
            &profile(&format!("**/*.pem\" = {{ bind = \"{tree}/**/*.pem\" }}")),
            list,
        );
        assert!(said.starts_with("./a ./a/other.pem ./key.pem "), "{said}");
        // Of the host's own tree, and a link is made again as that link.
        symlink("key.pem", place.path.join("tree/link.pem")).unwrap();
        let own = format!("\"{tree}/*.pem\" = \"ro\"\n");
        assert_eq!(
            place.sh(
                *who,
                &system(&own),
                &format!("cd {tree}; ls; readlink link.pem; cat link.pem")
            ),
            "key.pem\nlink.pem\nkey.pem\nsecret"
        );
    }
}

#[test]
fn a_pattern_grants_devices() {
    for who in As::all() {
        let place = Place::new();
        let read = "for f in /d/*; do echo \"$f $(head -c 2 $f 2>/dev/null | wc -c)\"; done";
        // The host has one such node everywhere, which `dev` does not show.
        let entry =
            |line: &str| place.sh(*who, &system(&format!("\"/x\" = \"tmpfs\"\n{line}\n")), read);
        assert_eq!(entry("\"/d/ful*\" = { device = \"/dev/ful*\" }"), "/d/full 2", "{who:?}");
        // The twins: what matches nothing, and nothing at all.
        let none = "{ device = \"/dev/no-such*\", missing = \"skip\" }";
        for line in [format!("\"/d/no-such*\" = {none}"), String::new()] {
            assert_eq!(entry(&line), "/d/* 0", "{who:?}");
        }
        let (status, said) = check(&place, *who, "\"/dev/no-such*\" = \"device\"\n");
        let line = "\"/dev/no-such*\" = { device = \"/dev/no-such*\", missing = \"skip\" }";
        assert!(status == Some(125) && said.contains(line), "{said}");
        let (status, said) = check(&place, *who, &format!("{line}\n"));
        assert!(status == Some(0) && said.contains("/dev/no-such* is left out"), "{said}");
        // An earlier target can have made the directories that would match elsewhere.
        let line = format!("\"/d/*\" = {{ device = \"{}/*\" }}\n", place.path.display());
        let (status, said) = check(&place, *who, &line);
        assert!(status == Some(125) && said.contains("begins with /dev"), "{said}");
    }
}

/// A link that leads to the sandbox's own ground shows nothing of the host, by an entry or a
/// pattern.
#[test]
fn a_link_to_hide_that_leads_to_the_sandbox_s_own_is_no_way() {
    for who in As::all() {
        let place = Place::new();
        let secret = place.file("secret/.env", "secret\n");
        place.folder("tree", *who);
        symlink(&secret, place.path.join("tree/.env")).unwrap();
        let (top, d) = (place.path.display(), "secret/.env");
        for key in ["/work/.env", "/work/**/.env"] {
            let lines = |more: &str| {
                format!(
                    "\"/work\" = {{ bind = \"{top}/tree\" }}\n\"{key}\" = {{ hide = \"file\" }}\n{more}"
                )
            };
            let own = lines(&format!("\"{top}\" = \"tmpfs\"\n"));
            let out = place.sh(*who, &system(&own), "cat /work/.env 2>/dev/null || echo absent");
            assert_eq!(out, "absent", "{who:?} {key}");
            // The twin: what it leads to is shown.
            let shown = lines(&format!("\"{top}/secret\" = \"ro\"\n"));
            let (status, said) = check(&place, *who, &shown);
            assert!(status == Some(125) && said.contains(d), "{who:?} {key}: {said}");
        }
    }
}

/// What `check` says, and its status.
fn check(place: &Place, who: As, more: &str) -> (Option<i32>, String) {
    let path =
        place.file("profile.toml", &system(&format!("{more}[process]\ncommand = [\"true\"]\n")));
    let output = place.stockade(who).arg("check").arg(path).output().unwrap();
    let said = text(&output.stderr) + &text(&output.stdout);
    (
        output.status.code(),
        said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" "),
    )
}

#[test]
fn what_cannot_be_a_pattern_is_refused_with_a_reason() {
    let place = Place::new();
    let who = As::all()[0];
    let tree = format!("{}/tree", place.path.display());
    let work =
        project(&place, who).replace(", access = \"rw\"", "").replace(", owner = \"root\"", "");
    let refused = |more: &str, words: &str| {
        let (status, said) = check(&place, who, &format!("{work}{more}\n"));
        assert!(
            status == Some(125) && said.contains("mounts::") && said.contains(words),
            "{more}: {said}"
        );
    };
    refused("\"/work/*\" = \"rw\"", "cannot grant for writing: an earlier target");
    refused(
        &format!("\"/x/*\" = {{ bind = \"{tree}/*\", access = \"rw\" }}"),
        "cannot grant for writing",
    );
    refused("\"/work/*\" = \"tmpfs\"", "a pattern can hide, or grant read-only");
    refused(&format!("\"/x/*\" = {{ bind = \"{tree}\" }}"), "`bind` does not end as the key does");
    refused(
        &format!("\"/x/*.a\" = {{ bind = \"{tree}/*.b\" }}"),
        "`bind` does not end as the key does",
    );
    refused("\"/work/**x\" = \"hide\"", "`**` is a whole name between two");
    refused("\"/work/**/.nev\" = \"hide\"", "nothing matches it");
    refused("\"/nowhere/*\" = \"ro\"", "nothing matches it");
    refused("\"/work/a\" = { hide = true, except = [\"b\"] }", "it is no pattern");
    refused(
        "\"/work/**/.env\" = { hide = true, except = [\"${USER}*\"] }",
        "cannot put a variable into `except`",
    );
    let absolute = format!("{work}\"/work/**/.env\" = {{ hide = true, except = [\"/work/a\"] }}\n");
    let (status, said) = check(&place, who, &absolute);
    assert!(status == Some(125) && said.contains("is relative to"), "{said}");
    symlink("a", place.path.join("tree/link")).unwrap();
    refused(
        "\"/work/link/*\" = { hide = true, missing = \"skip\" }",
        "is a symbolic link, and a pattern follows none",
    );
    // A link that a pattern hides would lead to what is still in sight, unless that is hidden, too.
    symlink(".env.shared", place.path.join("tree/a/b/.env")).unwrap();
    std::fs::rename(place.path.join("tree/a/b/.env"), place.path.join("tree/a/linked.env"))
        .unwrap();
    refused("\"/work/**/linked.env\" = \"hide\"", "is a symbolic link to .env.shared");
    let (status, said) = check(
        &place,
        who,
        &format!("{work}\"/work/**/linked.env\" = \"hide\"\n\"/work/a/.env.shared\" = \"hide\"\n"),
    );
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_matches_is_counted_and_a_pattern_without_a_match_may_be_allowed() {
    let place = Place::new();
    let who = As::all()[0];
    let work =
        project(&place, who).replace(", access = \"rw\"", "").replace(", owner = \"root\"", "");
    let (status, said) = check(&place, who, &format!("{work}\"/work/**/.env\" = \"hide\"\n"));
    assert!(status == Some(0) && said.contains("/work/**/.env matches 3 paths among "), "{said}");
    assert_eq!(
        said.matches("shows again where a program of the host replaces it").count(),
        1,
        "{said}"
    );
    let (status, said) = check(
        &place,
        who,
        &format!("{work}\"/work/**/.nev\" = {{ hide = true, missing = \"skip\" }}\n"),
    );
    assert!(status == Some(0) && said.contains("/work/**/.nev matches 0 paths"), "{said}");
}

#[test]
fn a_star_that_a_variable_brings_is_a_star() {
    let place = Place::new();
    let who = As::all()[0];
    for name in ["x*y/.env", "xay/.env"] {
        place.file(name, "secret\n");
    }
    let folder = place.path.display();
    let profile = format!(
        "{}[params]\nname = {{ type = \"string\", default = \"x*y\" }}\n",
        system(&format!(
            "\"/work\" = {{ bind = \"{folder}\" }}\n\"/work/${{name}}/*\" = \"hide\"\n"
        ))
    );
    assert_eq!(
        place.sh(
            who,
            &profile,
            "cat /work/xay/.env; cat '/work/x*y/.env' 2>&1 | grep -c secret || true"
        ),
        "secret\n0"
    );
}

#[test]
fn what_patterns_match_has_a_bound() {
    let place = Place::new();
    let who = As::all()[0];
    // A thousand files, shown at a hundred and one places.
    let many = place.folder("many", who);
    (0..1_000).for_each(|name| drop(std::fs::File::create(many.join(name.to_string())).unwrap()));
    let work: String = (0..101)
        .map(|nth| format!("\"/work/{nth}\" = {{ bind = \"{}\" }}\n", many.display()))
        .collect();
    let (status, said) = check(
        &place,
        who,
        &format!("{work}\"/work/*/2*\" = {{ hide = true, missing = \"skip\" }}\n"),
    );
    assert!(status == Some(125) && said.contains("more than 10000 entries"), "{said}");
    let (status, said) = check(
        &place,
        who,
        &format!("{work}\"/work/1*/7\" = \"hide\"\n\"/work/2*/999\" = \"hide\"\n"),
    );
    assert!(status == Some(0) && said.contains("/work/2*/999 matches 11 paths"), "{said}");
}

/// A directory that the caller may search but not list can hold a file to hide; one that the caller
/// may not search shows nothing anyway.
#[test]
fn a_folder_that_cannot_be_listed_is_no_hole() {
    if !is_root() {
        return support::skip("only root can make a directory of another user");
    }
    let place = Place::new();
    place.file("tree/open/.env", "secret\n");
    let closed = place.folder("tree/closed", As::Root);
    place.file("tree/closed/.env", "secret\n");
    let work = format!(
        "\"/work\" = {{ bind = \"{}/tree\" }}\n\"/work/**/.env\" = \"hide\"\n",
        place.path.display()
    );
    let mode = |mode| std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o711);
    let (status, said) = check(&place, As::User, &work);
    assert!(
        status == Some(125)
            && said.contains("/work/closed: permission denied")
            && said.contains("\"/work/closed\" = \"hide\""),
        "{said}"
    );
    let (status, said) = check(&place, As::User, &format!("{work}\"/work/closed\" = \"hide\"\n"));
    assert_eq!(status, Some(0), "{said}");
    mode(0o700);
    let (status, said) = check(&place, As::User, &work);
    assert_eq!(status, Some(0), "{said}");
    let line = "cat /work/closed/.env /work/open/.env 2>/dev/null; echo done";
    assert_eq!(place.sh(As::User, &system(&work), line), "done");
    // A target could make its own directory readable again.
    std::os::unix::fs::chown(&closed, Some(support::USER), None).unwrap();
    mode(0o000);
    let (status, said) = check(&place, As::User, &work);
    assert!(status == Some(125) && said.contains("permission denied"), "{said}");
}
