//! Links, races and sockets: paths that an earlier target or another user prepared.

use super::program;
use crate::support::ground::{Ground, end, spawn, wait_for};
use crate::support::{As, Place, errors, is_root, skip, system, text, unwrapped};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn own(path: &Path, who: As) {
    if is_root() && who == As::User {
        std::os::unix::fs::lchown(path, Some(crate::support::USER), Some(crate::support::USER))
            .unwrap();
    }
}

/// A project of `who`, whose `.git` is a link along these links to the directory at the end.
fn project(place: &Place, who: As, name: &str, links: &[(&str, &str)], end: &str) -> String {
    let top = place.folder(name, who);
    for directory in [format!("{name}/sub"), format!("{name}/{end}"), format!("{name}/{end}/hooks")]
    {
        place.folder(&directory, who);
    }
    for (link, to) in links {
        symlink(to, top.join(link)).unwrap();
        own(&top.join(link), who);
    }
    top.display().to_string()
}

/// Everything that would have a program of the host run a hook that the target wrote; then the
/// ordinary act, whose status it is.
const PLANT: &str = "cd $1; h=hooks/post-checkout
    for d in .git .real sub/.real sub/deep/.real; do echo x > $d/$h; done
    mv .real .away; mv sub/.real .away; mv sub sub2; rmdir .real/hooks
    mkdir -p new/hooks; echo x > new/$h; rm -f .git .one sub/two; mv .git .away; mv -T new .git; mv .one .away; ln -sfn new .git; ln -sfn ../new sub/two
    echo built > out";

fn plant(place: &Place, who: As, mounts: &str, top: &str) -> Output {
    place.run(who, &system(mounts), &["/bin/sh", "-c", PLANT, "sh", top])
}

/// Whether git of the host would find a hook by `.git`.
fn is_planted(top: &str) -> bool {
    Path::new(top).join(".git/hooks/post-checkout").exists()
}

fn writable(path: &str, source: &str) -> String {
    format!("\"{path}\" = {{ bind = \"{source}\", access = \"rw\", owner = \"root\" }}")
}

/// Layouts of a link: the links, and the directory at their end.
type Layout = (&'static str, &'static [(&'static str, &'static str)], &'static str);
const LAYOUTS: &[Layout] = &[
    ("plain", &[(".git", ".real")], ".real"),
    ("chain", &[(".git", ".one"), (".one", "sub/two"), ("sub/two", "../.real")], ".real"),
    ("deep", &[(".git", "sub/../sub/.real/.")], "sub/.real"),
];

#[test]
fn a_link_that_is_kept_is_kept_with_what_it_leads_to() {
    let place = Place::new();
    for who in As::all() {
        for (layout, links, end) in LAYOUTS {
            let make =
                |name: &str| project(&place, *who, &format!("{layout}-{name}-{who:?}"), links, end);
            let twin = make("twin");
            let output = plant(&place, *who, &writable(&twin, &twin), &twin);
            assert!(
                output.status.success() && is_planted(&twin),
                "{who:?} {layout}: {}",
                text(&output.stderr)
            );
            for (name, entry) in [
                ("word", "\"@/.git\" = \"ro\""),
                ("bind", "\"@/.git\" = { bind = \"@/.git\", owner = \"root\" }"),
                (
                    "skip",
                    "\"@/.git\" = { bind = \"@/.git\", missing = \"skip\", broad = \"skip\" }",
                ),
                ("pattern", "\"@/**/.git\" = \"ro\""),
            ] {
                let top = make(name);
                let mounts = format!("{}\n{}", writable(&top, &top), entry.replace('@', &top));
                let output = plant(&place, *who, &mounts, &top);
                let words = text(&output.stderr);
                assert!(output.status.success(), "{who:?} {layout} {name}: {words}");
                assert!(
                    !is_planted(&top) && words.contains("Device or resource busy"),
                    "{who:?} {layout} {name}: {words}"
                );
                assert_eq!(std::fs::read_to_string(format!("{top}/out")).unwrap(), "built\n");
            }
            let top = make("elsewhere");
            let mounts = format!(
                "{}\n\"/work/.git\" = {{ bind = \"{top}/.git\" }}",
                writable("/work", &top)
            );
            let output = plant(&place, *who, &mounts, "/work");
            assert!(
                output.status.success() && !is_planted(&top),
                "{who:?} {layout}: {}",
                text(&output.stderr)
            );
        }
    }
}

/// Layouts in which a link's way leaves a directory by `..`, most of them with the end in a place
/// that the target cannot write to.
const LEFT: &[Layout] = &[
    ("left", &[(".git", "sub/../realgit")], "realgit"),
    ("out", &[(".git", "sub/../../shared/realgit")], "realgit"),
    ("dots", &[(".git", "./sub//deep/./../../realgit/.")], "realgit"),
    ("chain", &[(".git", "one"), ("one", "sub/deep/../../realgit")], "realgit"),
    ("link", &[(".git", "lnk/../realgit"), ("lnk", "sub/deep")], "sub/realgit"),
    ("whole", &[(".git", "@/sub/deep/../../realgit")], "realgit"),
];

/// Puts links in the places of directories that are left by `..`; then the ordinary act.
const LEAD: &str = "cd $1; for d in o o/a o/a/b o/shared; do mkdir -p $d/realgit/hooks; echo x > $d/realgit/hooks/post-checkout; done; mkdir o/a/b/deep
    mv sub/deep sub/away && ln -s ../o/a/b sub/deep; mv sub away && ln -s o/a/b sub; [ -L sub ] || rmdir sub/deep sub; mv lnk l && ln -s o/a/b/deep lnk
    echo built > out";

#[test]
fn a_directory_that_a_kept_link_leaves_again_is_held() {
    let place = Place::new();
    for directory in ["shared", "shared/realgit", "shared/realgit/hooks"] {
        place.folder(directory, As::Root);
    }
    for who in As::all() {
        for (layout, links, end) in LEFT {
            let make = |name: &str| {
                let name = format!("{layout}-{name}-{who:?}");
                let whole =
                    |to: &str| to.replace('@', &place.path.join(&name).display().to_string());
                let links: Vec<(&str, String)> =
                    links.iter().map(|(link, to)| (*link, whole(to))).collect();
                let links: Vec<(&str, &str)> =
                    links.iter().map(|(link, to)| (*link, to.as_str())).collect();
                let top = project(&place, *who, &name, &links, end);
                place.folder(&format!("{name}/sub/deep"), *who);
                top
            };
            let lead = |mounts: &str, top: &str| {
                place.run(*who, &system(mounts), &["/bin/sh", "-c", LEAD, "sh", top])
            };
            let twin = make("twin");
            let output = lead(&writable(&twin, &twin), &twin);
            assert!(
                output.status.success() && is_planted(&twin),
                "{who:?} {layout}: {}",
                text(&output.stderr)
            );
            for (name, entry) in
                [("word", "\"@/.git\" = \"ro\""), ("pattern", "\"@/**/.git\" = \"ro\"")]
            {
                let top = make(name);
                let output =
                    lead(&format!("{}\n{}", writable(&top, &top), entry.replace('@', &top)), &top);
                let words = text(&output.stderr);
                assert!(
                    output.status.success() && words.contains("'sub': Device or resource busy"),
                    "{who:?} {layout} {name}: {words}"
                );
                assert!(!is_planted(&top), "{who:?} {layout} {name}: {words}");
                assert_eq!(std::fs::read_to_string(format!("{top}/out")).unwrap(), "built\n");
            }
            // By another name of the same tree, in a bind that comes later.
            let top = make("twice");
            let twice = format!(
                "{}\n{}\n\"/a/.git\" = {{ bind = \"{top}/.git\" }}",
                writable("/a", &top),
                writable("/z", &top)
            );
            let output = lead(&twice, "/z");
            let words = text(&output.stderr);
            assert!(
                output.status.success() && !is_planted(&top) && words.contains("'sub'"),
                "{who:?} {layout}: {words}"
            );
        }
    }
}

#[test]
fn a_kept_link_is_held_by_each_name_and_against_a_writable_link_on_its_way() {
    let place = Place::new();
    for who in As::all() {
        let make = |name: &str| {
            project(
                &place,
                *who,
                &format!("{name}-{who:?}"),
                &[(".git", "one"), ("one", ".real")],
                ".real",
            )
        };
        for (name, entry, planted) in
            [("twin", "", true), ("held", "\"/a/.git\" = { bind = \"@/.git\" }", false)]
        {
            let top = make(name);
            let mounts = format!(
                "{}\n{}\n{}",
                writable("/a", &top),
                writable("/z", &top),
                entry.replace('@', &top)
            );
            let output = plant(&place, *who, &mounts, "/z");
            assert!(
                output.status.success() && is_planted(&top) == planted,
                "{who:?} {name}: {}",
                text(&output.stderr)
            );
        }
        let top = make("granted");
        let mounts =
            format!("{}\n\"{top}/.git\" = \"ro\"\n\"{top}/one\" = \"rw\"", writable(&top, &top));
        let output = plant(&place, *who, &mounts, &top);
        let words = errors(&output);
        assert!(
            output.status.code() == Some(125)
                && words.contains("[E0311]")
                && words.contains("by way of"),
            "{who:?}: {words}"
        );
        // A target that makes mount namespaces undoes what holds a link, also of one that leads out
        // of the grant.
        place.folder("outside", As::Root);
        let top =
            project(&place, *who, &format!("nested-{who:?}"), &[(".git", "../outside")], ".real");
        let nested = "[namespaces]\nnested = [\"user\", \"mount\"]";
        for (entry, refused) in [("", false), ("\"@/.git\" = \"ro\"", true)] {
            let bind = format!(
                "\"{top}\" = {{ bind = \"{top}\", access = \"rw\", owner = \"root\" \
                 }}\n{}\n{nested}",
                entry.replace('@', &top)
            );
            let output = place.run(*who, &system(&bind), &["/bin/true"]);
            let words = text(&output.stderr);
            assert_eq!(words.contains("mounts::kept"), refused, "{who:?}: {words}");
        }
        if *who == As::User {
            // Root's bind is mapped to the target, and does not go with mounts of the target's.
            let entries: String = (0..22).map(|n| format!("\"{top}/{n}\" = \"hide\"\n")).collect();
            (0..22).for_each(|n| std::fs::write(format!("{top}/{n}"), "").unwrap());
            let profile = system(&format!("{}\n{entries}{nested}", writable(&top, &top)));
            let profile = profile.replace("format = 1", "format = 1\noptional = [\"mounts.kept\"]");
            let words = unwrapped(&text(&place.run(*who, &profile, &["/bin/true"]).stderr));
            assert!(words.contains("and 2 more: it makes mount namespaces"), "{words}");
        }
    }
}

#[test]
fn the_built_in_profiles_keep_links() {
    let place = Place::new();
    for who in As::all() {
        for profile in ["default", "build"] {
            let top = project(
                &place,
                *who,
                &format!("{profile}-{who:?}"),
                &[(".git", ".real"), (".vscode", "sub")],
                ".real",
            );
            let line =
                format!("{PLANT}; ! rm .vscode && ! touch .vscode/tasks.json && echo more > sub2");
            let output = place
                .stockade(*who)
                .current_dir(&top)
                .args(["run", profile, "sh", "-c", &line, "sh", "."])
                .output()
                .unwrap();
            assert!(
                output.status.success() && !is_planted(&top),
                "{who:?} {profile}: {}",
                text(&output.stderr)
            );
            assert_eq!(std::fs::read_to_string(format!("{top}/out")).unwrap(), "built\n");
        }
    }
}

#[test]
fn a_link_out_of_the_grant_stays_and_a_link_that_cannot_be_kept_is_refused() {
    let place = Place::new();
    for who in As::all() {
        let keep = |top: &str| format!("{}\n\"{top}/.git\" = \"ro\"", writable(top, top));
        place.folder(&format!("outside-{who:?}"), *who);
        let to = format!("../outside-{who:?}");
        let top = project(&place, *who, &format!("out-{who:?}"), &[(".git", &to)], ".real");
        let output = plant(&place, *who, &keep(&top), &top);
        assert!(output.status.success() && !is_planted(&top), "{who:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read_link(format!("{top}/.git")).unwrap(), Path::new(&to));
        for (name, to, why) in [
            ("dangling", ".gone", "which is not there, and which the target could make"),
            ("itself", ".", "grants for writing"),
            ("above", "sub/..", "grants for writing"),
        ] {
            let top = project(&place, *who, &format!("{name}-{who:?}"), &[(".git", to)], ".real");
            let output = plant(&place, *who, &keep(&top), &top);
            let words = errors(&output);
            assert!(
                output.status.code() == Some(125)
                    && words.contains("[E0311]")
                    && words.contains(why),
                "{who:?} {name}: {words}"
            );
        }
        // Where the entry may be left out the link is kept, and the rest is reported.
        let top = project(&place, *who, &format!("loose-{who:?}"), &[(".git", ".gone")], ".real");
        let mounts = format!(
            "{}\n\"{top}/.git\" = {{ bind = \"{top}/.git\", missing = \"skip\" }}",
            writable(&top, &top)
        );
        let output = plant(&place, *who, &mounts, &top);
        let words = text(&output.stderr);
        assert!(
            output.status.success()
                && words.contains("the link is kept, and what appears there is not"),
            "{who:?}: {words}"
        );
        assert_eq!(std::fs::read_link(format!("{top}/.git")).unwrap(), Path::new(".gone"));
        // A directory on the way is a link: refused, as for every other entry.
        let top = project(
            &place,
            *who,
            &format!("way-{who:?}"),
            &[(".git", ".real"), ("a", ".")],
            ".real",
        );
        let output = plant(
            &place,
            *who,
            &format!("{}\n\"{top}/a/.git\" = \"ro\"", writable(&top, &top)),
            &top,
        );
        assert_eq!(output.status.code(), Some(125), "{who:?}: {}", text(&output.stderr));
    }
}

#[test]
fn landlock_alone_and_hide_refuse_a_link_at_its_line() {
    let place = Place::new();
    for who in As::all() {
        let top = project(&place, *who, &format!("alone-{who:?}"), &[(".git", ".real")], ".real");
        let alone = format!(
            "format = 1\n[namespaces]\nall = \"host\"\n[network]\nmode = \
             \"host\"\n[mounts]\n\"/usr\" = \"ro\"\n{}\n\"{top}/.git\" = \"ro\"\n",
            writable(&top, &top)
        );
        // The link is in a tree that is kept, and leads through a writable one and out of it.
        let through = project(
            &place,
            *who,
            &format!("through-{who:?}"),
            &[(".git", "w/sub/../../.real")],
            ".real",
        );
        for directory in ["w", "w/sub"] {
            place.folder(&format!("through-{who:?}/{directory}"), *who);
        }
        let through = format!(
            "{}\n\"{through}\" = \"ro\"\n\"{through}/.git\" = \"ro\"\n\"{through}/w\" = \"rw\"\n",
            alone.split(&format!("\"{top}\"")).next().unwrap()
        );
        let hide = system(&format!("{}\n\"{top}/.git\" = \"hide\"", writable(&top, &top)));
        for (profile, code) in
            [(alone, "landlock::narrower"), (through, "landlock::narrower"), (hide, "mounts::hide")]
        {
            let output = place.run(*who, &profile, &["/bin/true"]);
            let words = text(&output.stderr);
            assert!(
                output.status.code() == Some(125) && words.matches(code).count() == 1,
                "{who:?}: {words}"
            );
        }
    }
}

/// Exchanges two names until the end of `during`.
fn while_exchanged<T>(one: &Path, two: &Path, during: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat2(AT_FDCWD, one, AT_FDCWD, two, RenameFlags::RENAME_EXCHANGE).unwrap();
                std::thread::sleep(Duration::from_micros(700));
            }
        });
        let result = during();
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// The directories are a user's, who exchanges them while that user or root starts the launcher.
#[test]
fn a_directory_is_made_where_it_was_looked_for_or_not_at_all() {
    for who in [As::User, As::Root] {
        if who == As::Root && !is_root() {
            skip("root's launch takes root");
            continue;
        }
        made_or_not_at_all(who, "x/y/last");
        made_or_not_at_all(who, "");
    }
}

fn made_or_not_at_all(who: As, more: &str) {
    let act = "echo x > /work/out/file";
    let place = Place::new();
    for directory in ["p", "p/build", "victim"] {
        place.folder(directory, As::User);
    }
    let path = |name: &str| place.path.join(name);
    let victim = path("victim/out");
    let profile = system(&format!(
        "\"/work\" = \"tmpfs\"\n\"/work/out\" = {{ bind = \"{}/{more}\", access = \"rw\", missing = \
         \"create\" }}",
        path("p/build/out").display()
    ));
    let run = || place.run(who, &profile, &["/bin/sh", "-c", act]);
    // The ordinary act: the directory is made, and the caller's.
    let output = run();
    assert!(
        output.status.success() && path("p/build/out").join(more).join("file").is_file(),
        "{who:?}: {}",
        text(&output.stderr)
    );
    std::fs::remove_dir_all(path("p/build/out")).unwrap();
    symlink(path("victim"), path("p/link")).unwrap();
    own(&path("p/link"), As::User);
    let clear = || {
        [path("p/build/out"), path("p/link/out"), victim.clone()]
            .iter()
            .for_each(|path| drop(std::fs::remove_dir_all(path)))
    };
    // The twin: by its path it is made elsewhere.
    while_exchanged(&path("p/build"), &path("p/link"), || {
        for _ in 0..2_000 {
            clear();
            drop(std::fs::create_dir(path("p/build/out")));
            if victim.exists() {
                return;
            }
        }
        panic!("the race was never won");
    });
    while_exchanged(&path("p/build"), &path("p/link"), || {
        for _ in 0..15 {
            clear();
            let output = run();
            assert!(!victim.exists(), "{who:?}: {}", text(&output.stderr));
        }
    });
}

/// `check` knows it, too: what the caller may not make is not good.
#[test]
fn what_cannot_be_made_is_a_problem_before_the_run() {
    let place = Place::new();
    let (closed, open) = (place.folder("closed", As::Root), place.folder("open", As::User));
    let who = As::User;
    if !is_root() {
        std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o500))
            .unwrap();
    }
    for (top, good) in [(closed, false), (open, true)] {
        let line = format!(
            "\"/w\" = {{ bind = \"{}/x\", access = \"rw\", missing = \"create\" }}",
            top.display()
        );
        let profile = place.file("profile.toml", &system(&line));
        for command in ["check", "plan", "run"] {
            let output =
                place.stockade(who).arg(command).arg(&profile).arg("/bin/true").output().unwrap();
            let said = crate::support::unwrapped(&crate::support::said(&output));
            assert_eq!(output.status.success(), good, "{command}: {said}");
            assert!(
                good || said.contains("mounts::create") && said.contains("permission denied"),
                "{command}: {said}"
            );
        }
    }
}

#[test]
fn a_variable_is_read_from_the_file_that_is_named() {
    let place = Place::new();
    for who in As::all() {
        let top = place.folder(&format!("env-{who:?}"), *who);
        let private = place.folder(&format!("env-{who:?}/private"), *who);
        for name in ["token", "private/token"] {
            std::fs::write(top.join(name), format!("{name}\n")).unwrap();
            own(&top.join(name), *who);
        }
        let shown = |path: &Path| {
            let profile =
                format!("{}[env]\nTOKEN = {{ file = \"{}\" }}\n", system(""), path.display());
            place.run(*who, &profile, &["/bin/sh", "-c", "echo \"$TOKEN\""])
        };
        let output = shown(&top.join("token"));
        assert!(
            output.status.success() && text(&output.stdout) == "token\n",
            "{who:?}: {}",
            text(&output.stderr)
        );
        // What an earlier target may have put there.
        symlink("private/token", top.join("last")).unwrap();
        // In another user's directory, as the launcher's caller may be root.
        let user = place.folder(&format!("env-{who:?}/user"), As::User);
        symlink(&private, user.join("way")).unwrap();
        [top.join("last"), user.join("way")].iter().for_each(|link| own(link, As::User));
        nix::unistd::mkfifo(&top.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666))
            .unwrap();
        own(&top.join("fifo"), *who);
        for (name, why) in [
            ("last", "it is a symbolic link"),
            ("user/way/token", "is a symbolic link that is not root's"),
            ("fifo", "it is a FIFO"),
            ("private", "it is not a regular file"),
        ] {
            // The twin: what opens the path gets the other file.
            let twin = || place.outside(*who, "/bin/cat").arg(top.join(name)).output().unwrap();
            assert!(
                !name.contains(['l', 'w']) || text(&twin().stdout) == "private/token\n",
                "{who:?} {name}"
            );
            let output = shown(&top.join(name));
            let words = errors(&output);
            assert!(
                output.status.code() == Some(125) && words.contains(why),
                "{who:?} {name}: {words}"
            );
        }
    }
}

#[test]
fn a_link_of_roots_is_not_followed_through_somebody_elses() {
    if !is_root() {
        return crate::support::skip("it takes two users");
    }
    let place = Place::new();
    let path = |name: &str| place.path.join(name).display().to_string();
    place.folder("user", As::User);
    place.folder("deep/www/x", As::Root);
    place.folder("plain/x", As::Root);
    for (link, to, owner) in [
        ("user/home", path("deep"), As::User),
        ("www", path("user/home/www"), As::Root),
        ("one", path("www"), As::Root),
        ("good", path("plain"), As::Root),
    ] {
        symlink(to, path(link)).unwrap();
        own(Path::new(&path(link)), owner);
    }
    for (source, held) in
        [("user/home/www/x", true), ("www/x", true), ("one/x", true), ("good/x", false)]
    {
        // The twin: the kernel follows each.
        assert!(Path::new(&path(source)).is_dir());
        let output = place.run(
            As::Root,
            &system(&format!("\"/d\" = {{ bind = \"{}\" }}", path(source))),
            &["/bin/ls", "/d"],
        );
        let words = text(&output.stderr);
        assert_eq!(
            output.status.code() == Some(125) && words.contains("mounts::link"),
            held,
            "{source}: {words}"
        );
        assert_eq!(output.status.success(), !held, "{source}: {words}");
    }
}

#[test]
fn a_link_that_a_target_of_roots_left_is_not_followed() {
    if !is_root() {
        return crate::support::skip("it takes root");
    }
    let place = Place::new();
    place.file("secret/key", "KEY\n");
    place.file("co/cfg/key", "token\n");
    let path = |name: &str| place.path.join(name).display().to_string();
    let profile = |granted: &str, entries: &str| {
        system(&format!("{granted}\n{entries}")).replace("@", &path("co/cfg/key"))
    };
    let grant = writable("/work", &path("co"));
    let bind = "\"/x\" = { bind = \"@\" }";
    let env = "[env]\nK = { file = \"@\" }";
    let shown = |granted: &str, entries: &str| {
        place.run(
            As::Root,
            &profile(granted, entries),
            &["/bin/sh", "-c", "cat /x 2>/dev/null; echo $K"],
        )
    };
    for entries in [bind, env] {
        assert!(text(&shown(&grant, entries).stdout).contains("token"), "{entries}");
    }
    let line = format!("rm -r /work/cfg; ln -s {} /work/cfg", path("secret"));
    assert!(place.run(As::Root, &profile(&grant, ""), &["/bin/sh", "-c", &line]).status.success());
    for entries in [bind, env] {
        // The twin: where the profile grants no tree with the link in it, root's link is followed.
        assert!(text(&shown("", entries).stdout).contains("KEY"), "{entries}");
        let output = shown(&grant, entries);
        let words = text(&output.stderr);
        assert!(
            output.status.code() == Some(125) && words.contains("mounts::link"),
            "{entries}: {words}"
        );
    }
}

#[test]
fn a_socket_deep_in_a_bound_directory_is_refused_or_covered() {
    let place = Place::new();
    let connect = program(&place, "connect").display().to_string();
    for who in As::all() {
        for socket in ["top", "run/agent", "a/b/agent"] {
            let top = place.folder(&format!("sockets-{who:?}-{}", socket.len()), *who);
            for directory in ["run", "a", "a/b"] {
                place.folder(&format!("{}/{directory}", top.file_name().unwrap().display()), *who);
            }
            let path = top.join(socket);
            let listener = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            std::thread::spawn(move || {
                listener.incoming().flatten().for_each(|mut stream| drop(stream.write(b"A")))
            });
            for access in ["ro", "rw"] {
                let run = |word: &str, line: &str| {
                    let entry = format!(
                        "\"/d\" = {{ bind = \"{}\", access = \"{access}\", owner = \"root\"{word} }}",
                        top.display()
                    );
                    let program = format!("\"/connect\" = {{ bind = \"{connect}\" }}");
                    place.run(
                        *who,
                        &system(&format!("{entry}\n{program}")),
                        &["/bin/sh", "-c", line],
                    )
                };
                let line = format!("/connect /d/{socket}");
                // The twin: with the word that grants it, the service answers.
                let output = run(", sockets = true", &line);
                assert_eq!(
                    text(&output.stdout),
                    "A\n",
                    "{who:?} {socket} {access}: {}",
                    text(&output.stderr)
                );
                if access == "ro" && socket.contains('/') && crate::support::landlock_abi() >= 9 {
                    // Landlock refuses it, so nobody looks so deep.
                    assert_eq!(
                        text(&run("", &format!("! {line} && echo kept")).stdout),
                        "kept\n",
                        "{who:?} {socket}"
                    );
                    continue;
                }
                let words = text(&run("", &line).stderr);
                assert!(
                    words.contains("mounts::sockets") && words.contains("sockets = \"hide\""),
                    "{who:?} {socket} {access}: {words}"
                );
                let line = format!(
                    "! {line} && ! mv /d/{socket} /d/x && {{ [ {access} = ro ] || echo built > \
                     /d/out; }} && echo done"
                );
                let output = run(", sockets = \"hide\"", &line);
                assert_eq!(
                    text(&output.stdout),
                    "done\n",
                    "{who:?} {socket} {access}: {}",
                    text(&output.stderr)
                );
            }
        }
    }
}

/// What redis, postgres or ssh-agent leave when they are killed stops no next start: connect(2) is
/// refused. Any socket that a process has still stops it, and no service sees that it was looked at.
#[test]
fn a_socket_that_no_process_has_stops_no_run() {
    use std::os::unix::net::UnixDatagram;
    let place = Place::new();
    for who in As::all() {
        let top = place.folder(&format!("left-{who:?}"), *who);
        drop(UnixListener::bind(top.join("stream")).unwrap());
        drop(UnixDatagram::bind(top.join("datagrams")).unwrap());
        for name in ["stream", "datagrams"] {
            own(&top.join(name), *who);
        }
        let lines = system(&writable(&top.display().to_string(), &top.display().to_string()));
        let line = format!("cd {} && rm stream datagrams && echo built > out", top.display());
        let output = place.run(*who, &lines, &["/bin/sh", "-c", &line]);
        assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read_to_string(top.join("out")).unwrap(), "built\n");
        // The twins: a process has them.
        let refused = |case: &str| {
            let output = place.run(*who, &lines, &["/bin/true"]);
            let words = text(&output.stderr);
            let told = words.contains("mounts::sockets") && words.contains(&format!("({case})"));
            assert!(told, "{who:?}: {words}");
        };
        let listener = UnixListener::bind(top.join("service")).unwrap();
        own(&top.join("service"), *who);
        refused("service");
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        drop(listener);
        let log = UnixDatagram::bind(top.join("log")).unwrap();
        own(&top.join("log"), *who);
        refused("log");
        log.set_nonblocking(true).unwrap();
        assert_eq!(log.recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_socket_whose_path_is_not_utf8_is_covered() {
    let place = Place::new();
    let connect = program(&place, "connect").display().to_string();
    for who in As::all() {
        // As the name itself, as that of a directory, and beside a file with the name that stands
        // for such bytes.
        for (case, socket, decoy) in [
            ("name", &b"a\xff"[..], None),
            ("directory", b"\xfe/agent", None),
            ("decoy", b"a\xff", Some("a\u{fffd}")),
        ] {
            let top = place.folder(&format!("bytes-{case}-{who:?}"), *who);
            let path = top.join(std::ffi::OsStr::from_bytes(socket));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            decoy.iter().for_each(|name| std::fs::write(top.join(name), "").unwrap());
            let listener = UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .unwrap();
            std::thread::spawn(move || {
                listener.incoming().flatten().for_each(|mut stream| drop(stream.write(b"A")))
            });
            let run = |word: &str| {
                let entry = format!(
                    "\"/d\" = {{ bind = \"{}\", sockets = {word} }}\n\"/connect\" = {{ bind = \
                     \"{connect}\" }}",
                    top.display()
                );
                place.run(
                    *who,
                    &system(&entry),
                    &[
                        "/bin/sh",
                        "-c",
                        "cd /d; for s in * */*; do [ -S \"$s\" ] && /connect \"$s\"; done",
                    ],
                )
            };
            assert_eq!(text(&run("true").stdout), "A\n", "{who:?} {case}");
            for word in ["\"hide\"", "false"] {
                let output = run(word);
                // Refused for its socket as any other is, or covered, or refused by Landlock.
                let refused = output.status.code() == Some(125);
                assert!(
                    !text(&output.stdout).contains('A') && (word == "false" || !refused),
                    "{who:?} {case} {word}: {}",
                    errors(&output)
                );
            }
        }
    }
}

#[test]
fn a_report_below_dev_follows_no_link_of_somebody_elses() {
    if !is_root() || !Path::new("/dev/shm").is_dir() {
        return crate::support::skip("it takes two users and /dev/shm");
    }
    let place = Place::new();
    let target = place.file("target", "before\n");
    let profile = place.file("profile.toml", &system(""));
    let shared = |name: &str| {
        Path::new("/dev/shm").join(format!("stockade-test-{}-{name}", std::process::id()))
    };
    let report = |path: &Path| {
        place
            .stockade(As::Root)
            .arg("run")
            .arg("--report")
            .arg(path)
            .arg(&profile)
            .arg("/bin/true")
            .output()
            .unwrap()
    };
    let (link, fifo, fresh) = (shared("link"), shared("fifo"), shared("new"));
    symlink(&target, &link).unwrap();
    own(&link, As::User);
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    own(&fifo, As::User);
    let outputs = [report(&link), report(&fifo), report(&fresh)];
    let made = std::fs::read_to_string(&fresh);
    // The twin: the name leads to the file, where the kernel does not guard links in shared
    // directories (proc_sys_fs(5)).
    assert_eq!(std::fs::canonicalize(&link).unwrap(), std::fs::canonicalize(&target).unwrap());
    [link, fifo, fresh].iter().for_each(|path| drop(std::fs::remove_file(path)));
    assert_eq!(
        outputs.each_ref().map(|output| output.status.code()),
        [Some(125), Some(125), Some(0)],
        "{}",
        text(&outputs[2].stderr)
    );
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "before\n");
    assert!(made.unwrap().contains("\"report\""));
}

/// Users of a directory are in no file that the launcher reads.
#[test]
fn the_host_ids_are_reported_before_the_run() {
    let place = Place::new();
    for who in As::all() {
        for (line, ids) in [
            ("", "the target has the host ids "),
            ("[identity]\nhost-ids = 1342177280\n", "the host ids 1342177280 to 1342177295"),
        ] {
            if *who == As::User && !line.is_empty() {
                continue;
            }
            let profile = place.file("profile.toml", &format!("{}{line}", system("")));
            let output = place
                .stockade(*who)
                .arg("plan")
                .arg("--steps")
                .arg(&profile)
                .arg("/bin/true")
                .output()
                .unwrap();
            let said = crate::support::unwrapped(&(text(&output.stdout) + &text(&output.stderr)));
            let told = said.contains(ids) && said.contains("identity.host-ids");
            assert!(output.status.success() && told == (*who == As::Root), "{who:?}: {said}");
        }
    }
    crate::support::a_page_says(
        "users of a directory (FreeIPA, SSSD: 200000 to 2000200000) are in none of them",
    );
    crate::support::a_page_says(
        "`identity.host-ids = FIRST` chooses the 16; sandboxes with the same FIRST share them",
    );
}

#[test]
fn the_host_ids_of_a_sandbox_of_roots_can_be_chosen() {
    if !is_root() {
        return crate::support::skip("it needs root");
    }
    let place = Place::new();
    let (first, other) = (1_342_177_280, 1_342_177_296);
    place.folder("homes", As::Root);
    for id in [first, other] {
        let file = place.file(&format!("homes/{id}"), "private\n");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        std::os::unix::fs::chown(&file, Some(id), Some(id)).unwrap();
    }
    let homes = format!("\"/homes\" = {{ bind = \"{}\" }}", place.path.join("homes").display());
    let cat = |ids: &str, id: u32| {
        let output = place.run(
            As::Root,
            &format!("{}[identity]\n{ids}", system(&homes)),
            &["/bin/cat", &format!("/homes/{id}")],
        );
        assert!(output.status.code() != Some(125), "{}", text(&output.stderr));
        output.status.success()
    };
    // The twin: who has the ids of a sandbox is read by its target.
    assert!(
        cat(&format!("host-ids = {first}"), first) && !cat(&format!("host-ids = {first}"), other)
    );
    assert!(
        cat(&format!("host-ids = {other}"), other) && !cat(&format!("host-ids = {other}"), first)
    );
    for (who, ids) in [
        (As::Root, "host-ids = 1000"),
        (As::Root, "host-ids = 4294967290"),
        (As::User, "host-ids = 1342177280"),
    ] {
        let output = place.run(who, &format!("{}[identity]\n{ids}", system("")), &["/bin/true"]);
        let words = text(&output.stderr);
        assert!(
            output.status.code() == Some(125) && words.contains("identity::range"),
            "{who:?} {ids}: {words}"
        );
    }
}

/// Each version of control groups that this machine has: a line of `[limits]`, where groups are
/// made, and a file in them.
#[test]
fn other_users_cannot_lock_a_group() {
    if !is_root() {
        return crate::support::skip("it takes two users");
    }
    let v1 = crate::support::v1_folder("pids")
        .map(|folder| ("[limits]\npids = 20\n".to_owned(), folder, "pids.max"));
    let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let has_huge = |top: &&Path| {
        std::fs::read_to_string(top.join("cgroup.controllers"))
            .is_ok_and(|known| known.contains("hugetlb"))
    };
    let ground = tops.into_iter().find(has_huge).and_then(|top| match top.ends_with("unified") {
        true => Some((Ground { parent: None }, top)),
        false => Some((Ground::find(&["hugetlb"])?, top)),
    });
    let v2 = ground.as_ref().map(|(ground, top)| {
        let folder = ground.parent.clone().unwrap_or_else(|| top.to_path_buf());
        (ground.limits("hugetlb = { \"2M\" = \"4M\" }"), folder, "cgroup.procs")
    });
    if v1.is_none() && v2.is_none() {
        return crate::support::skip("it takes control groups");
    }
    for (limits, folder, file) in v1.into_iter().chain(v2) {
        let place = Place::new();
        let launcher = spawn(&place, &format!("{}{limits}", system("")), "sleep 20");
        let group = wait_for(|| Ground::group_in(&folder, launcher.id()));
        let opens = |what: &Path| {
            place
                .outside(As::User, "/bin/sh")
                .args(["-c", "exec 9< \"$1\"", "sh"])
                .arg(what)
                .output()
                .unwrap()
                .status
                .success()
        };
        // The twin: a directory of the usual mode is opened, and so can be locked. Files in the
        // group are reached by their names.
        let seen = [opens(&folder), opens(&group.join(file)), opens(&group)];
        end(launcher);
        assert_eq!(seen, [true, true, false], "{}", group.display());
    }
}

#[test]
fn a_hidden_file_with_another_name_is_reported() {
    let place = Place::new();
    for who in As::all() {
        let top = place.folder(&format!("names-{who:?}"), *who);
        for name in ["token", "alone"] {
            std::fs::write(top.join(name), "secret\n").unwrap();
            own(&top.join(name), *who);
        }
        std::fs::hard_link(top.join("token"), top.join("other")).unwrap();
        let d = top.display();
        let hide = |name: &str| {
            format!(
                "{}\n\"{d}/{name}\" = {{ hide = \"file\" }}",
                writable(&d.to_string(), &d.to_string())
            )
        };
        // The kernel's limit: by the other name it is read. `check` says so.
        let output = place.run(*who, &system(&hide("token")), &["/bin/cat", &format!("{d}/other")]);
        assert_eq!(text(&output.stdout), "secret\n", "{who:?}: {}", text(&output.stderr));
        let output = place.run(*who, &system(&hide("token")), &["/bin/cat", &format!("{d}/token")]);
        assert!(!output.status.success() && output.stdout.is_empty());
        for (name, told) in [("token", true), ("alone", false)] {
            let profile = place.file("profile.toml", &system(&hide(name)));
            let output =
                place.stockade(*who).arg("check").arg(profile).arg("/bin/true").output().unwrap();
            let words = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(words.contains("mounts::hard-links"), told, "{who:?} {name}: {words}");
        }
    }
}

/// Opens the descriptor that the launcher reads between its plan and its launch, once it waits there.
fn meanwhile(place: &Place, who: As, profile: &Path, act: impl FnOnce()) -> Output {
    let fifo = place.path.join(format!("fifo-{}", profile.file_stem().unwrap().display()));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    own(&fifo, who);
    let line = format!("exec \"$0\" run \"$1\" 9< {}", fifo.display());
    let mut command = place.outside(who, "/bin/sh");
    command.args(["-c", &line]).arg(place.path.join("stockade")).arg(profile);
    let child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let waits = format!("/proc/{}/wchan", child.id());
    wait_for(|| {
        std::fs::read_to_string(&waits).is_ok_and(|at| at.contains("pipe_read")).then_some(())
    });
    act();
    writer.write_all(b"on").unwrap();
    drop(writer);
    child.wait_with_output().unwrap()
}

/// The same file by a link is not the same way to it: whose link it is was judged before.
#[test]
fn a_directory_that_becomes_a_link_during_the_start_is_not_followed() {
    let place = Place::new();
    for who in As::all() {
        for (at, source, file) in [("file", "data", "/x"), ("tree", "below", "/x/data")] {
            let name = format!("{who:?}-{at}");
            let top = place.folder(&name, *who);
            for directory in ["real", "real/below"] {
                place.folder(&format!("{name}/{directory}"), *who);
            }
            for data in ["real/data", "real/below/data"] {
                place.file(&format!("{name}/{data}"), "the data\n");
            }
            let mounts = format!("\"/x\" = {{ bind = \"{}/real/{source}\" }}", top.display());
            let profile = format!(
                "{}[env]\nON = {{ fd = 9 }}\n[process]\ncommand = [\"cat\", \"{file}\"]\n",
                system(&mounts)
            );
            let twin =
                meanwhile(&place, *who, &place.file(&format!("t{name}.toml"), &profile), || {});
            assert!(text(&twin.stdout) == "the data\n", "{name}: {}", text(&twin.stderr));
            let path = place.file(&format!("p{name}.toml"), &profile);
            let output = meanwhile(&place, *who, &path, || {
                std::fs::rename(top.join("real"), top.join("away")).unwrap();
                symlink("away", top.join("real")).unwrap();
                own(&top.join("real"), *who);
            });
            assert!(
                output.status.code() == Some(125)
                    && errors(&output).contains("another process changed that meanwhile"),
                "{name}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            );
        }
    }
}
