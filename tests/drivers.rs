//! `driver`: layers that overlayfs merges, and layers that are copied.

use crate::merged::own;
use crate::support::ground::Ground;
use crate::support::{
    As, Dice, Place, USER, errors, is_root, kernel, said, skip, system, text, unwrapped,
};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sets what a file's mode is.
fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Makes a whiteout, as overlayfs does.
fn whiteout(path: &Path) {
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::empty());
    nix::sys::stat::mknod(path, kind, mode, 0).unwrap();
}

/// Makes directories opaque, as overlayfs does.
fn opaque(paths: &[PathBuf]) {
    let line =
        "import os, sys\nfor path in sys.argv[1:]: os.setxattr(path, 'user.overlay.opaque', b'y')";
    let set = Command::new("python3").args(["-c", line]).args(paths).status();
    assert!(set.unwrap().success());
}

/// Two layers in which every rule of a union is met.
fn union(place: &Place, who: As) -> String {
    let all = [
        "low/both/low",
        "low/both/same",
        "low/gone/file",
        "low/replaced/old",
        "low/now-file/inside",
        "low/now-directory",
        "low/deep/a/b/c/file",
        "low/program",
        "low/set-id",
        "low/closed",
        "high/both/high",
        "high/both/same",
        "high/replaced/new",
        "high/now-file",
        "high/now-directory/inside",
    ];
    for path in all {
        place.file(path, &format!("{path}\n"));
    }
    let top = &place.path;
    place.file("low/empty", "");
    place.file("low/name\nwith: a, b\\c", "odd\n");
    place.folder("low/nothing", who);
    symlink("both/same", top.join("low/link")).unwrap();
    symlink("nowhere", top.join("high/broken")).unwrap();
    nix::unistd::mkfifo(&top.join("low/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    whiteout(&top.join("high/gone"));
    opaque(&[top.join("high/replaced")]);
    for (path, bits) in [
        ("low/program", 0o755),
        ("low/set-id", 0o4755),
        ("low/closed", 0o600),
        ("high/both", 0o750),
        ("low/nothing", 0o1777),
    ] {
        mode(&top.join(path), bits);
    }
    let sparse = std::fs::File::create(top.join("low/sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", (1 << 30) - 3).unwrap();
    for layer in ["low", "high"] {
        own(&top.join(layer), who);
        // chown(2) takes it.
        if layer == "low" {
            mode(&top.join("low/set-id"), 0o4755);
        }
    }
    format!("[\"{0}/low\", \"{0}/high\"]", top.display())
}

/// Kind, mode but for set-id bits, owner, size, time, link and content of what a shell can see.
const LOOK: &str = "cd /m; find . ! -type p -printf '%P %y %m %u:%g %l %T@\\n' | sed 's/ 4755 / 755 /' | \
                    sort | grep -v '^ d'; find . -type f ! -name sparse -readable | sort | xargs \
                    -d '\\n' cat; stat -c %s sparse; tail -c 3 sparse; [ $(du -k sparse | cut -f1) -lt \
                    100 ] && echo holes";

#[test]
fn a_copy_looks_as_the_overlay_does() {
    for who in As::all() {
        let place = Place::new();
        let layers = union(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        // The time of a FIFO's directory is the same, and no FIFO comes along.
        for upper in [String::new(), format!(", upper = \"discard\"{owner}")] {
            let look = |driver: &str| {
                let entry =
                    format!("\"/m\" = {{ layers = {layers}{upper}, driver = \"{driver}\" }}");
                place.sh(*who, &system(&entry), LOOK)
            };
            let (overlay, copy) = (look("overlay"), look("copy"));
            assert!(overlay.contains("now-file") && overlay.contains("holes"), "{overlay}");
            assert!(!copy.contains("gone") && !copy.contains("old"), "{copy}");
            assert_eq!(overlay, copy, "{who:?} {upper}");
        }
    }
}

#[test]
fn a_copy_is_read_only_or_thrown_away() {
    for who in As::all() {
        let place = Place::new();
        let layers = union(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let disk = place.folder("disk", *who);
        own(&disk, *who);
        std::fs::remove_file(place.path.join("low/sparse")).unwrap();
        let before = crate::merged::state(&place.path.join("low"));
        let uppers = ["\"discard\"".to_owned(), format!("{{ discard = \"{}\" }}", disk.display())];
        for upper in uppers {
            let entry = |driver: &str| {
                system(&format!(
                    "\"/m\" = {{ layers = {layers}, upper = {upper}, driver = \"{driver}\"{owner} }}"
                ))
            };
            let line = "cd /m && rm -r both deep && echo new > empty && mkdir deep && ls deep && mv \
                        nothing renamed && cat empty && stat -f -c %T . && ls -d renamed";
            let out = place.sh(*who, &entry("copy"), line);
            let is_right = out.starts_with("new\n") && out.ends_with("\nrenamed");
            assert!(is_right && !out.contains("overlay"), "{who:?} {upper}: {out}");
            assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "{who:?} {upper}");
        }
        let read_only = system(&format!("\"/m\" = {{ layers = {layers}, driver = \"copy\" }}"));
        let line = "(echo x > /m/empty || rm /m/empty || mkdir /m/new) 2>/dev/null || echo kept";
        assert_eq!(place.sh(*who, &read_only, line), "kept", "{who:?}");
        assert!(crate::merged::state(&place.path.join("low")) == before, "{who:?}");
    }
}

/// What the copy has is no part of what the target may write.
#[test]
fn the_bounds_of_a_copy_are_the_targets() {
    for who in As::all() {
        let place = Place::new();
        let top = place.folder("l", *who);
        std::fs::write(top.join("big"), vec![b'x'; 1_000_000]).unwrap();
        own(&top, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let profile = |bound: &str| {
            system(&format!(
                "\"/m\" = {{ layers = [\"{}\"], upper = \"discard\", driver = \"copy\"{owner}{bound} }}",
                top.display()
            ))
        };
        let fill = "head -c 1000000 /dev/zero > /m/new; stat -c %s /m/new /m/big";
        let quiet = |line: &str| format!("({line}) 2>/dev/null");
        assert_eq!(place.sh(*who, &profile(", size = \"64k\""), &quiet(fill)), "65536\n1000000");
        assert_eq!(place.sh(*who, &profile(""), fill), "1000000\n1000000");
        let make = "cd /m; for i in 1 2 3 4 5 6 7 8 9; do mkdir $i; done; ls | wc -l";
        assert_eq!(place.sh(*who, &profile(", inodes = 8"), &quiet(make)), "9");
        assert_eq!(place.sh(*who, &profile(""), make), "10");
    }
}

#[test]
fn a_copy_has_a_bound_that_is_told_at_its_line() {
    let who = *As::all().last().unwrap();
    let place = Place::new();
    let top = place.folder("l", who);
    let big = std::fs::File::create(top.join("big")).unwrap();
    // Without a hole, and no bytes of the disk.
    nix::fcntl::fallocate(&big, nix::fcntl::FallocateFlags::empty(), 0, 257 << 20).unwrap();
    let disk = place.folder("disk", who);
    own(&disk, who);
    own(&top, who);
    let run = |upper: &str| {
        let entry =
            format!("\"/m\" = {{ layers = [\"{}\"]{upper}, driver = \"copy\" }}", top.display());
        let output = place.run(who, &system(&entry), &["/bin/ls", "-A", "/m"]);
        (output.status.code(), unwrapped(&errors(&output)))
    };
    for upper in [String::new(), format!(", upper = {{ discard = \"{}\" }}", disk.display())] {
        let (status, words) = run(&upper);
        assert_eq!(status, Some(125), "{words}");
        assert!(words.contains("more than 256 MB") && words.contains("\"/m\" ="), "{words}");
        assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "{words}");
    }
    // One byte less than the bound is none too many.
    big.set_len(1 << 20).unwrap();
    assert_eq!(run("").0, Some(0));
    let mut deep = top.clone();
    for _ in 0..129 {
        deep.push("d");
        std::fs::create_dir(&deep).unwrap();
    }
    own(&top, who);
    let (status, words) = run("");
    assert!(status == Some(125) && words.contains("more than 128 deep"), "{words}");
}

/// The memory of a copy is the sandbox's.
#[test]
fn a_copy_beyond_the_memory_that_is_granted_is_told_at_its_line() {
    let Some(ground) = Ground::find(&["memory"]) else { return };
    let place = Place::new();
    let top = place.folder("l", As::Root);
    std::fs::write(top.join("big"), vec![b'x'; 60_000_000]).unwrap();
    let run = |memory: &str| {
        let entry = format!("\"/m\" = {{ layers = [\"{}\"], driver = \"copy\" }}", top.display());
        let profile = ground.profile(&format!("memory = \"{memory}\""), &entry);
        let output = place.run(As::Root, &profile, &["/bin/ls", "/m"]);
        (output.status.code(), unwrapped(&errors(&output)))
    };
    let (status, words) = run("32M");
    let is_told = words.contains("limits.memory counts") && words.contains("\"/m\" =");
    assert!(status == Some(125) && is_told, "{words}");
    let (status, words) = run("256M");
    assert_eq!(status, Some(0), "{words}");
}

/// What is hidden, kept and mounted in the tree is so in a copy.
#[test]
fn entries_below_hold_in_a_copy() {
    for who in As::all() {
        let place = Place::new();
        let layers = union(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        for upper in ["", ", upper = \"discard\""] {
            let profile = system(&format!(
                "\"/m\" = {{ layers = {layers}{upper}{owner}, driver = \"copy\" }}\n\"/m/both/low\" = \"hide\"\n\
                 \"/m/new/a\" = \"tmpfs\"\n\"/m/deep/a/b\" = {{ text = \"over\\n\" }}\n\"/m/both/c\" = {{ \
                 bind = \"/usr/share\" }}"
            ));
            let profile = profile.replace("/m/deep/a/b", "/m/deep/a/t");
            let line = "cd /m; cat both/low || echo absent; ls both; echo x > new/a/x && cat new/a/x \
                        deep/a/t; [ -d both/c/doc ] && echo bound; mv both away || mv deep/a away || mv \
                        new away || rm -rf deep/a || echo kept";
            let out = place.sh(*who, &profile, &format!("({line}) 2>/dev/null"));
            let seen = "absent\nc\nhigh\nsame\nx\nover\nbound\nkept";
            assert_eq!(out, seen, "{who:?} {upper}");
        }
    }
}

/// A file of an owner's in the layer, and a directory of the same owner with one in it.
fn put(place: &Place, (name, owner, bits): (&str, u32, u32)) {
    for (path, bits) in [(format!("l/{name}"), bits), (format!("l/in-{name}/file"), 0o644)] {
        let path = place.file(&path, "secret\n");
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
        mode(&path, bits);
    }
    let directory = place.path.join(format!("l/in-{name}"));
    std::os::unix::fs::chown(&directory, Some(owner), Some(owner)).unwrap();
    mode(&directory, bits | (bits & 0o444) >> 2);
}

/// The process that copies can read more than the target.
#[test]
fn closed_files_stay_closed_in_a_copy() {
    if !is_root() {
        return skip("it needs root");
    }
    for who in As::all() {
        let place = Place::new();
        let top = place.folder("l", *who);
        own(&top, *who);
        for (name, owner, bits) in [
            ("roots", 0, 0o600),
            ("others", 4321, 0o600),
            ("groups", 4321, 0o640),
            ("far", 200_000, 0o600),
            ("open", 4321, 0o644),
            ("own", who.id().unwrap_or(0), 0o600),
        ] {
            put(&place, (name, owner, bits));
        }
        // An access list refuses the target what others may, and lets it where they may not.
        let target = who.id().unwrap_or(1000);
        for (name, bits, entry) in [("refused", 0o644, 0), ("let", 0o640, 4)] {
            let path = place.file(&format!("l/{name}"), "secret\n");
            std::os::unix::fs::chown(&path, Some(4321), Some(4321)).unwrap();
            mode(&path, bits);
            let line = "import os, struct, sys\n\
                        path, user, bits, other = sys.argv[1], *map(int, sys.argv[2:])\n\
                        none = 0xffffffff\n\
                        entries = [(1, 6, none), (2, bits, user), (4, 4, none), (16, 4, none), (32, \
                        other, none)]\n\
                        os.setxattr(path, 'system.posix_acl_access', struct.pack('<I', 2) + \
                        b''.join(struct.pack('<HHI', *entry) for entry in entries))";
            let set = Command::new("python3")
                .args(["-c", line])
                .arg(&path)
                .args([target.to_string(), entry.to_string(), (bits & 7).to_string()])
                .status();
            assert!(set.unwrap().success());
        }
        let ways: &[(&str, &str)] = match who {
            As::Root => &[
                ("", ""),
                (", upper = \"discard\"", ""),
                (", upper = \"discard\", owner = \"root\"", ""),
                ("", "[capabilities]\nkeep = [\"dac-override\"]\n"),
            ],
            As::User => &[("", ""), (", upper = \"discard\"", "")],
        };
        for (further, more) in ways {
            let look = |driver: &str| {
                let entry = format!(
                    "\"/m\" = {{ layers = [\"{}\"]{further}, driver = \"{driver}\" }}",
                    top.display()
                );
                let line = "cd /m; for f in * in-*/file; do [ -f $f ] && cat $f >/dev/null && echo $f; done";
                // What it owns in a copy it may open to itself; nothing is in it then.
                let line =
                    format!("({line}; chmod -R 777 . ; grep -rl secret . | sort) 2>/dev/null");
                let output = place.run(*who, &(system(&entry) + more), &["/bin/sh", "-c", &line]);
                text(&output.stdout).replace("./", "").lines().map(str::to_owned).collect()
            };
            let (overlay, copy): (std::collections::BTreeSet<String>, _) =
                (look("overlay"), look("copy"));
            assert!(copy.contains("open"), "{who:?} {further} {more}: {copy:?}");
            // As the caller the target is refused by the list, in both.
            assert!(*who == As::Root || !overlay.contains("refused"), "{overlay:?}");
            let more_than: Vec<_> =
                std::collections::BTreeSet::difference(&copy, &overlay).collect();
            assert!(more_than.is_empty(), "{who:?} {further} {more}: {more_than:?} {overlay:?}");
            // With a list of another owner's a file is closed.
            let lists = ["refused", "let"];
            let lost = overlay.difference(&copy).filter(|name| !lists.contains(&name.as_str()));
            let lost: Vec<_> = lost.collect();
            assert!(lost.is_empty(), "{who:?} {further} {more}: lost {lost:?}");
        }
    }
}

/// What another user owns is the target's own in a copy; overlayfs copies nothing of it for a change.
#[test]
fn files_of_other_owners_can_be_changed_in_a_copy() {
    if !is_root() {
        return skip("it needs root");
    }
    if !crate::merged::has_upper() {
        return;
    }
    let place = Place::new();
    place.folder("l", As::User);
    for path in ["l/in/file", "l/file"] {
        let path = place.file(path, "old\n");
        for path in [&path, path.parent().unwrap()] {
            std::os::unix::fs::chown(path, Some(4321), Some(4321)).unwrap();
        }
        mode(&path, 0o666);
    }
    let run = |driver: &str| {
        let entry = format!(
            "\"/m\" = {{ layers = [\"{}/l\"], upper = \"discard\", driver = \"{driver}\" }}",
            place.path.display()
        );
        let line = "cd /m; (echo new > file; echo new > in/file; echo new > in/new) 2>&1; cat file in/file";
        place.sh(As::User, &system(&entry), line)
    };
    let overlay = run("overlay");
    assert!(overlay.contains("too large for defined data type"), "{overlay}");
    assert!(overlay.ends_with("old\nold"), "{overlay}");
    assert_eq!(run("copy"), "new\nnew");
}

#[test]
fn what_is_copied_is_said() {
    let who = *As::all().last().unwrap();
    let place = Place::new();
    let layers = union(&place, who);
    let entry = |more: &str| system(&format!("\"/m\" = {{ layers = {layers}{more} }}"));
    let path = place.file("copy.toml", &entry(", upper = \"discard\", driver = \"copy\""));
    let ask = |words: &[&str]| {
        let output = place.stockade(who).args(words).output().unwrap();
        (output.status.code(), unwrapped(&text(&output.stdout)) + &unwrapped(&errors(&output)))
    };
    let path = path.to_str().unwrap();
    let (_, plan) = ask(&["plan", path, "/bin/true"]);
    assert!(plan.contains("layers, copied"), "{plan}");
    let (_, steps) = ask(&["plan", "--steps", path, "/bin/true"]);
    assert!(
        steps.contains("copy 3 layers to /m") || steps.contains("copy 2 layers to /m"),
        "{steps}"
    );
    let (status, why) = ask(&["why", path, "write:/m/empty"]);
    assert!(status == Some(0) && why.contains("a copy of the host's"), "{why}");
    let (status, run) = ask(&["run", "--changes", path, "/bin/true"]);
    assert!(status == Some(125) && run.contains("a copy does not show it"), "{run}");
    // Of a copy nothing is kept.
    let kept = format!(", upper = \"{}/kept\", driver = \"copy\"", place.path.display());
    let output = place.run(who, &entry(&kept), &["/bin/true"]);
    assert!(output.status.code() == Some(125) && errors(&output).contains("nothing is kept"));
    assert!(!place.path.join("kept").exists(), "{}", said(&output));
}

/// Starts stockade where these mounts are, which no other process sees.
fn where_mounted(place: &Place, who: As, mounts: &str, words: &[&str]) -> std::process::Output {
    let ids = match who {
        As::Root => String::new(),
        As::User => format!("setpriv --reuid={USER} --regid={USER} --clear-groups"),
    };
    let line = format!("set -e; {mounts}\nexec {ids} ./stockade \"$@\"");
    place
        .outside(As::Root, "unshare")
        .args(["-m", "sh", "-c", &line, "sh"])
        .args(words)
        // Before Linux 6.6 an ordinary user's upper is there.
        .env("XDG_CACHE_HOME", place.folder("cache", who))
        .output()
        .unwrap()
}

#[test]
fn auto_copies_where_overlayfs_cannot_merge() {
    if !is_root() {
        return skip("it needs root");
    }
    for who in As::all() {
        let place = Place::new();
        for name in ["a", "b", "c", "d", "one", "two", "plain"] {
            place.folder(name, *who);
        }
        place.file("a/file", "file\n");
        place.file("plain/file", "file\n");
        let at = place.path.display().to_string();
        // An overlay on an overlay: a third is one too many.
        let mounts =
            "mount -t overlay o -o lowerdir=a:b one; mount -t overlay o -o lowerdir=one:c two";
        let entry = |layer: &str, more: &str| {
            let more = format!("\"/m\" = {{ layers = [\"{at}/{layer}\"]{more} }}");
            place.file(&format!("{layer}.toml"), &system(&more)).display().to_string()
        };
        let ask = |command: &str, profile: &str, words: &[&str]| {
            let words: Vec<&str> = [command, profile].iter().chain(words).copied().collect();
            let output = where_mounted(&place, *who, mounts, &words);
            let all = unwrapped(&text(&output.stdout)) + &unwrapped(&errors(&output));
            (output.status.code(), all)
        };
        let kind = ["/bin/sh", "-c", "cat /m/file; stat -f -c %T /m"];
        let why = "lies on an overlay on another one";
        // Before Linux 7.0 root cannot map owners on an overlay.
        let maps_overlays = *who == As::User || kernel() >= (7, 0);
        let unmapped = "one lies on overlayfs, which has no idmapped mounts";
        let upper = ", upper = \"discard\"";
        let changed = if maps_overlays { ("overlayfs", None) } else { ("tmpfs", Some(unmapped)) };
        for (layer, more, seen, says) in [
            ("plain", "", "overlayfs", None),
            ("one", "", "overlayfs", None),
            ("one", upper, changed.0, changed.1),
            ("two", "", "tmpfs", Some(why)),
            ("two", upper, "tmpfs", Some(why)),
            ("two", ", driver = \"copy\"", "tmpfs", None),
            ("two", ", upper = \"discard\", driver = \"copy\"", "tmpfs", None),
        ] {
            let profile = entry(layer, more);
            let (status, run) = ask("run", &profile, &kind);
            let is_right = run.contains("file") && run.contains(seen);
            assert!(status == Some(0) && is_right, "{who:?} {layer} {more}: {run}");
            let (_, check) = ask("check", &profile, &["/bin/true"]);
            match says {
                Some(why) => {
                    assert!(check.contains(why) && check.contains("are copied"), "{check}")
                }
                None => assert!(!check.contains("are copied"), "{check}"),
            }
        }
        if !maps_overlays {
            let named = entry("one", ", upper = \"discard\", driver = \"overlay\"");
            let (status, named) = ask("check", &named, &["/bin/true"]);
            let ways = ["identity.host = true", "driver = \"copy\""];
            let is_told = named.contains("E0319") && ways.iter().all(|way| named.contains(way));
            assert!(status != Some(0) && is_told, "{named}");
            // What belongs to an id that is not here is the target's, with what everybody may read.
            let others = "echo open > a/open; chmod 644 a/open; chmod 600 a/file; chown 7:7 a/*; ";
            let mounts = &(others.to_owned() + mounts);
            let profile = entry("one", upper);
            for (question, act, is_allowed) in [
                ("read:/m/open", "cat /m/open", true),
                ("write:/m/open", "echo new > /m/open", true),
                ("write:/m/new", "echo new > /m/new", true),
                ("read:/m/file", "cat /m/file", false),
                ("write:/m/file", "echo new > /m/file", false),
            ] {
                let run = ["run", &profile, "/bin/sh", "-c", act];
                let run = where_mounted(&place, *who, mounts, &run);
                assert_eq!(run.status.success(), is_allowed, "{act}: {}", said(&run));
                let why = where_mounted(&place, *who, mounts, &["why", &profile, question]);
                let says = text(&why.stdout).starts_with("allowed");
                assert_eq!(says, is_allowed, "{question}: {}", said(&why));
            }
        }
        let (_, seen) = ask("why", &entry("two", ""), &["read:/m/file"]);
        assert!(seen.contains("a copy of the host's") && seen.contains(why), "{seen}");
        let (_, seen) = ask("doctor", &entry("two", ""), &["/bin/true"]);
        assert!(seen.contains(why) && seen.contains("would run here"), "{seen}");
        // Named, it is what it was: an error at the line.
        let (status, named) = ask("check", &entry("two", ", driver = \"overlay\""), &["/bin/true"]);
        let is_told = named.contains(why) && named.contains("driver = \"copy\"");
        assert!(status != Some(0) && is_told, "{named}");
        // What is to be kept cannot be in a copy.
        let kept = entry("two", &format!(", upper = \"{at}/kept\""));
        let (status, named) = ask("check", &kept, &["/bin/true"]);
        assert!(status != Some(0) && named.contains("nothing is kept"), "{named}");
        // overlayfs takes no upper on an overlay, and a copy can be there.
        let write = "chmod 777 one; mount -t overlay o -o lowerdir=a,upperdir=b,workdir=c one; chmod 777 one";
        let disk = place.file(
            "disk.toml",
            &system(&format!(
                "\"/m\" = {{ layers = [\"{at}/plain\"], upper = {{ discard = \"{at}/one\" }}, owner = \
                 \"root\" }}"
            )),
        );
        let disk = disk.display().to_string();
        let words =
            ["run", &disk, "/bin/sh", "-c", "stat -f -c %T /m; echo x > /m/new && cat /m/new"];
        let output = where_mounted(&place, *who, write, &words);
        if maps_overlays {
            assert_eq!(text(&output.stdout), "overlayfs\nx\n", "{}", said(&output));
        }
    }
}

/// Files of one file system that can share blocks do, and have no bound.
#[test]
fn a_copy_shares_blocks_where_it_can() {
    if !is_root() {
        return skip("it needs root");
    }
    if !Path::new("/usr/sbin/mkfs.xfs").exists() {
        return skip("mkfs.xfs is absent (xfsprogs)");
    }
    if !Path::new("/dev/loop-control").exists() {
        return skip("a container has no loop devices");
    }
    let place = Place::new();
    let image = std::fs::File::create(place.path.join("image")).unwrap();
    image.set_len(600 << 20).unwrap();
    let made = Command::new("mkfs.xfs").arg("-q").arg(place.path.join("image")).status().unwrap();
    assert!(made.success());
    place.folder("disk", As::Root);
    let at = place.path.display().to_string();
    let mounts = format!(
        "PATH=$PATH:/usr/sbin:/sbin; mount -o loop image disk; mkdir disk/low disk/up; fallocate -l \
                  300000000 disk/low/big; echo x > disk/low/small; chown -R {USER}:{USER} disk"
    );
    for who in As::all() {
        let profile = place.file(
            "reflink.toml",
            &system(&format!(
                "\"/m\" = {{ layers = [\"{at}/disk/low\"], upper = {{ discard = \"{at}/disk/up\" }}, \
                 driver = \"copy\" }}"
            )),
        );
        let profile = profile.display().to_string();
        let line = "stat -f -c %T /m; stat -c %s /m/big; cat /m/small; echo y >> /m/big && stat -c %s /m/big";
        let output =
            where_mounted(&place, *who, &mounts, &["run", &profile, "/bin/sh", "-c", line]);
        let seen = "xfs\n300000000\nx\n300000002\n";
        assert_eq!(text(&output.stdout), seen, "{who:?}: {}", said(&output));
        let made = Command::new("mkfs.xfs").arg("-qf").arg(place.path.join("image")).status();
        assert!(made.unwrap().success());
    }
}

/// What `why` says of a copy is what comes of it.
#[test]
fn why_says_what_is_open_in_a_copy() {
    if !is_root() {
        return skip("it needs root");
    }
    for who in As::all() {
        let place = Place::new();
        let top = place.folder("l", *who);
        own(&top, *who);
        let mine = who.id().unwrap_or(0);
        for (name, owner, bits) in [
            ("own", mine, 0o600),
            ("read-only", mine, 0o444),
            ("others", 4321, 0o600),
            ("open", 4321, 0o644),
            ("far", 200_000, 0o640),
            ("far-open", 200_000, 0o604),
        ] {
            put(&place, (name, owner, bits));
        }
        let root = *who == As::Root;
        let ways = if root {
            ["", ", upper = \"discard\", owner = \"root\""]
        } else {
            ["", ", upper = \"discard\""]
        };
        for further in ways {
            let entry = format!(
                "\"/m\" = {{ layers = [\"{}\"]{further}, driver = \"copy\" }}",
                top.display()
            );
            let profile = place.file("why.toml", &system(&entry));
            // Without an upper nothing can be written.
            let mut questions = vec![];
            for name in ["own", "read-only", "others", "open", "far", "far-open"] {
                for path in [format!("/m/{name}"), format!("/m/in-{name}/file")] {
                    questions.push(match further.is_empty() {
                        true => ("read", path.clone(), format!(": < {path}")),
                        false => ("write", path.clone(), format!(": >> {path}")),
                    });
                }
            }
            // All acts in one sandbox, each by a shell of its own.
            let lines: String = questions
                .iter()
                .map(|(_, _, line)| {
                    format!("(sh -c '{line}') 2>/dev/null && echo yes || echo no\n")
                })
                .collect();
            let does = place.sh(*who, &system(&entry), &lines);
            for ((act, path, _), does) in questions.iter().zip(does.lines()) {
                let question = format!("{act}:{path}");
                let output =
                    place.stockade(*who).arg("why").arg(&profile).arg(&question).output().unwrap();
                let says = text(&output.stdout).starts_with("allowed");
                assert_eq!(says, does == "yes", "{who:?} {further} {question}: {}", said(&output));
            }
        }
    }
}

/// Fills a directory by chance, with names that others have, too.
fn grow(
    at: &Path,
    depth: u32,
    dice: &mut Dice,
    (opaques, modes): (&mut Vec<PathBuf>, &mut Vec<(PathBuf, u32)>),
) {
    for name in ["a", "b", "c", "d"] {
        let path = at.join(name);
        match dice.throw(9) {
            0 | 1 => continue,
            2 => whiteout(&path),
            3 => symlink(dice.pick(&["a", "../b", "/m", "gone"]), &path).unwrap(),
            4 | 5 => {
                std::fs::write(&path, path.display().to_string()).unwrap();
                mode(&path, dice.pick(&[0o644, 0o600, 0o755, 0o444]));
            }
            _ => {
                std::fs::create_dir(&path).unwrap();
                if dice.throw(4) == 0 {
                    opaques.push(path.clone());
                }
                if depth > 0 {
                    grow(&path, depth - 1, dice, (&mut *opaques, &mut *modes));
                }
                // Last: an owner sets no attribute of what it may not write.
                modes.push((path, dice.pick(&[0o755, 0o700, 0o1777, 0o555])));
            }
        }
    }
}

/// Of unions made by chance a copy shows what overlayfs does.
#[test]
fn copies_of_any_union_are_as_overlayfs_merges_it() {
    const UNIONS: usize = 5;
    for (who, seed) in As::all().iter().zip([0x5eed_0001, 0x5eed_0002]) {
        let place = Place::new();
        let (mut dice, mut entries) = (Dice(seed), String::new());
        let (mut opaques, mut modes) = (vec![], vec![]);
        for nth in 0..UNIONS {
            let layers: Vec<String> = (0..2 + dice.throw(3))
                .map(|layer| {
                    let top = place.folder(&format!("u{nth}/l{layer}"), *who);
                    grow(&top, 3, &mut dice, (&mut opaques, &mut modes));
                    format!("\"{}\"", top.display())
                })
                .collect();
            let layers = layers.join(", ");
            let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
            for driver in ["overlay", "copy"] {
                entries += &format!(
                    "\"/{driver}/{nth}\" = {{ layers = [{layers}], driver = \"{driver}\"{owner} }}\n"
                );
            }
        }
        opaque(&opaques);
        modes.iter().for_each(|(path, bits)| mode(path, *bits));
        own(&place.path.join("u0"), *who);
        (1..UNIONS).for_each(|nth| own(&place.path.join(format!("u{nth}")), *who));
        let line = "for driver in overlay copy; do cd /$driver; find . -mindepth 2 -printf '%P %y %m %u:%g %s \
                    %l %T@\\n' | sed -E 's/ d ([0-9]*) ([0-9:a-z]*) [0-9]* / d \\1 \\2 /' | sort; find . -type f \
                    -readable | sort | xargs cat; echo; echo ===; done";
        let out = place.sh(*who, &system(&entries), line);
        let halves: Vec<&str> = out.split("===").map(str::trim).collect();
        let lines = halves[0].lines().count();
        assert!(lines > 40, "{who:?}: {lines}");
        for (overlay, copy) in halves[0].lines().zip(halves[1].lines()) {
            assert_eq!(overlay, copy, "{who:?}");
        }
        assert_eq!(lines, halves[1].lines().count(), "{who:?}");
    }
}
