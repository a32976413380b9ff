//! `layers`: directories of the host, merged, and what the target writes on top of them.

use crate::overlay_root::{asked_with_mounts, with_mounts};
use crate::support::{As, Place, errors, is_root, kernel, said, skip, system, text, unwrapped};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Whether a user's overlayfs can have an upper in memory here: a tmpfs has its attributes since
/// Linux 6.6.
pub fn has_upper() -> bool {
    let has = kernel() >= (6, 6);
    if !has {
        skip("an upper in memory needs Linux 6.6");
    }
    has
}

/// Two layers, as a user makes them: names that both have, a directory that both have, and one name
/// with the characters that separate names elsewhere.
fn two(place: &Place, who: As) -> [String; 2] {
    let all = ["low", "high: a,b\\c"].map(|name| {
        let top = place.folder(name, who);
        for directory in ["", "both"] {
            place.folder(&format!("{name}/{directory}"), who);
            place.file(&format!("{name}/{directory}/{name}"), &format!("{name}\n"));
            place.file(&format!("{name}/{directory}/same"), &format!("{name}\n"));
        }
        own(&top, who);
        top.display().to_string()
    });
    all.map(|path| path.replace('\\', "\\\\"))
}

/// Gives a tree to a user.
pub fn own(top: &Path, who: As) {
    let Some(id) = who.id() else { return };
    for path in walk(top) {
        std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
    }
}

fn walk(top: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![top.to_owned()];
    if std::fs::symlink_metadata(top).unwrap().is_dir() {
        for entry in std::fs::read_dir(top).unwrap() {
            found.extend(walk(&entry.unwrap().path()));
        }
    }
    found
}

/// What a tree is: kind, mode, owner, links, times and bytes of each file.
pub fn state(top: &Path) -> BTreeMap<String, String> {
    let of = |path: std::path::PathBuf| {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let bytes = if meta.is_file() { std::fs::read(&path).unwrap() } else { vec![] };
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let what = format!(
            "{:o} {}:{} {} {times:?} {bytes:?}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink()
        );
        (path.display().to_string(), what)
    };
    walk(top).into_iter().map(of).collect()
}

#[test]
fn directories_are_merged_the_lowest_first() {
    for who in As::all() {
        let place = Place::new();
        let [low, high] = two(&place, *who);
        let profile = system(&format!("\"/m\" = {{ layers = [\"{low}\", \"{high}\"] }}"));
        let line = "cd /m; ls; cat same low both/low both/high* both/same; touch new || rm low || \
                    echo kept";
        let out = place.sh(*who, &profile, &format!("({line}) 2>/dev/null"));
        let high = "high: a,b\\c";
        let seen = format!("both\n{high}\nlow\nsame\n{high}\nlow\nlow\n{high}\n{high}\nkept");
        assert_eq!(out, seen, "{who:?}");
    }
}

#[test]
fn what_is_written_is_thrown_away_and_the_layers_stay() {
    for who in As::all() {
        let place = Place::new();
        let [low, high] = two(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let entry = |upper: &str| {
            system(&format!("\"/m\" = {{ layers = [\"{low}\", \"{high}\"]{upper} }}"))
        };
        let before = state(&place.path.join("low"));
        let line = "cd /m && echo new > same && rm low && rm -r both && mkdir both && ls both && \
                    chmod 700 . && ln same link && mv link moved && cat moved && stat -c %a .";
        let profile = entry(&format!(", upper = \"discard\"{owner}"));
        assert_eq!(place.sh(*who, &profile, line), "new\n700", "{who:?}");
        assert!(state(&place.path.join("low")) == before, "{who:?}: a layer has changed");
        // The next run begins anew; and without an upper nothing of it can be done.
        assert_eq!(place.sh(*who, &profile, "cat /m/both/low"), "low", "{who:?}");
        let output = place.run(*who, &entry(""), &["/bin/sh", "-c", line]);
        assert!(!output.status.success(), "{who:?}: {}", said(&output));
    }
}

#[test]
fn what_is_written_has_a_bound() {
    if !has_upper() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let [low, _] = two(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let profile = |bound: &str| {
            system(&format!(
                "\"/m\" = {{ layers = [\"{low}\"], upper = \"discard\"{owner}{bound} }}"
            ))
        };
        let run = |bound: &str, line: &str| {
            let (output, record) = place.report(*who, &profile(bound), line);
            let hit: Vec<String> =
                crate::support::limits_hit(&record).into_iter().map(str::to_owned).collect();
            (text(&output.stdout).trim_end().to_owned(), hit)
        };
        // The record names the bound that was met at the end.
        let hit = |key: &str| vec![format!("mounts.\"/m\".{key}")];
        let fill = "(head -c 1000000 /dev/zero > /m/big; stat -c %s /m/big) 2>/dev/null";
        assert_eq!(run(", size = \"64k\"", fill), ("65536".into(), hit("size")), "{who:?}");
        assert_eq!(run("", fill), ("1000000".into(), vec![]), "{who:?}");
        let make = "cd /m; for i in 1 2 3 4 5 6 7 8 9; do mkdir $i 2>/dev/null; done; [ -e 9 ] && \
                    echo all || echo some";
        assert_eq!(run(", inodes = 8", make), ("some".into(), hit("inodes")), "{who:?}");
        assert_eq!(run("", make), ("all".into(), vec![]), "{who:?}");
        // And so does a line, with what gives it more.
        let line =
            |bound: &str| text(&place.run(*who, &profile(bound), &["/bin/sh", "-c", fill]).stderr);
        let said = line(", size = \"64k\"");
        assert!(
            said.contains("stockade: full at the end: mounts.\"/m\".size = 64K (")
                && said.contains("; size = \"128K\" beside `upper` gives it more"),
            "{who:?}: {said}"
        );
        assert_eq!(line(", size = \"2M\""), "", "{who:?}");
        // A copy without an upper is as full as it can be, and has no bound to be met.
        let copy = system(&format!("\"/m\" = {{ layers = [\"{low}\"], driver = \"copy\" }}"));
        let (_, record) = place.report(*who, &copy, "ls /m");
        assert!(crate::support::limits_hit(&record).is_empty(), "{who:?}: {record}");
        // With the place of the layer that says it.
        place.file("lower.toml", &profile(", size = \"2M\""));
        let upper = "format = 1\nextends = [\"./lower.toml\"]\n[mounts]\n\"/m\" = { exec = false,\n\
                     size = \"64k\" }\n";
        let said = text(&place.run(*who, upper, &["/bin/sh", "-c", fill]).stderr);
        let expected = "profile.toml:5); size = \"128K\" there gives it more";
        assert!(said.contains(expected), "{who:?}: {said}");
        let room = format!("{fill}; rm /m/big");
        assert_eq!(run(", size = \"64k\"", &room), ("65536".into(), vec![]), "{who:?}");
    }
}

/// As tmpfs(5) takes it.
#[test]
fn a_share_of_the_memory_is_a_size() {
    let memory = text(&std::fs::read("/proc/meminfo").unwrap());
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let total: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    for who in As::all() {
        let place = Place::new();
        let mounts = "\"/t\" = { tmpfs = \"10%\" }\n\"/s\" = { tmpfs = \"20%\" }";
        let sizes = place.sh(*who, &system(mounts), "stat -f -c '%b %S' /t /s");
        let size = |line: &str| {
            let (blocks, size) = line.split_once(' ').unwrap();
            blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap() / 1024
        };
        for (line, tenths) in sizes.lines().zip([1, 2]) {
            let (size, expected) = (size(line), total * tenths / 10);
            assert!(size.abs_diff(expected) <= expected / 50, "{who:?}: {size} {expected}");
        }
    }
}

#[test]
fn the_word_overlay_is_the_hosts_tree_at_its_own_path() {
    for who in As::all() {
        let place = Place::new();
        let [low, _] = two(&place, *who);
        let entry = match who {
            As::Root => format!(
                "\"{low}\" = {{ layers = [\"{low}\"], upper = \"discard\", owner = \"root\" }}"
            ),
            As::User => format!("\"{low}\" = \"overlay\""),
        };
        let line = format!("rm {low}/same && echo x > {low}/new && ls {low}");
        let before = state(Path::new(&low));
        assert_eq!(place.sh(*who, &system(&entry), &line), "both\nlow\nnew", "{who:?}");
        assert!(state(Path::new(&low)) == before, "{who:?}");
    }
}

#[test]
fn as_many_layers_are_merged_as_the_kernel_takes() {
    for who in As::all() {
        let place = Place::new();
        let layers: Vec<String> = (0..500)
            .map(|nth| {
                let path = place.folder(&format!("l{nth}"), *who);
                place.file(&format!("l{nth}/f{nth}"), "");
                place.file(&format!("l{nth}/top"), &nth.to_string());
                format!("\"{}\"", path.display())
            })
            .collect();
        let profile = system(&format!("\"/m\" = {{ layers = [{}] }}", layers.join(", ")));
        assert_eq!(place.sh(*who, &profile, "cat /m/top; ls /m | wc -l"), "499501", "{who:?}");
    }
}

#[test]
fn why_names_the_layer_that_has_a_file() {
    for who in As::all() {
        let place = Place::new();
        let [low, high] = two(&place, *who);
        let profile = system(&format!("\"/m\" = {{ layers = [\"{low}\", \"{high}\"] }}"));
        let path = place.file("asked.toml", &profile);
        for (name, says) in [
            ("low", format!("of /m/low, the host's {low}/low, lets")),
            ("both/low", format!("of /m/both/low, the host's {low}/both/low, lets")),
            ("none", "no layer of /m has /m/none".to_owned()),
        ] {
            let question = format!("read:/m/{name}");
            let output = place.stockade(*who).arg("why").arg(&path).arg(question).output().unwrap();
            let said = unwrapped(&text(&output.stdout));
            assert!(said.contains(&says), "{who:?}: {said}");
        }
    }
}

/// The line that lets the target write makes no layer writable, and its act succeeds.
#[test]
fn why_lets_an_upper_take_what_is_written_over_layers() {
    for who in As::all() {
        let place = Place::new();
        let [low, high] = two(&place, *who);
        let entry = format!("\"/m\" = {{ layers = [\"{low}\", \"{high}\"] }}");
        let path = place.file("asked.toml", &system(&entry));
        for name in ["new", "both/new", "low"] {
            let act = format!("echo x > /m/{name} && cat /m/{name}");
            assert!(!place.run(*who, &system(&entry), &["/bin/sh", "-c", &act]).status.success());
            let mut command = place.stockade(*who);
            command.arg("why").arg(&path).arg(format!("write:/m/{name}"));
            let said = text(&command.output().unwrap().stdout);
            let line = said.lines().find_map(|line| line.trim().strip_prefix("\"/m\" = "));
            let Some(line) = line.filter(|line| line.contains("upper = \"discard\"")) else {
                panic!("{who:?} {name}: {said}");
            };
            let profile = system(&format!("\"/m\" = {line}"));
            assert_eq!(place.sh(*who, &profile, &act), "x", "{who:?} {name}: {profile}");
            let is_there = |top: &str| std::fs::read(format!("{top}/{name}"));
            let found = [is_there(&low), is_there(&high)];
            assert!(found.iter().flatten().all(|text| text != b"x\n"), "{who:?} {name}");
        }
    }
}

#[test]
fn a_layer_more_than_the_kernel_merges_is_refused_and_a_newline_is_a_name_as_any() {
    let place = Place::new();
    let name = place.folder("one\ntwo", As::all()[0]).display().to_string().replace('\n', "\\n");
    place.file("one\ntwo/file", "its\n");
    let all = vec![format!("\"{name}\""); 501].join(", ");
    let profile = system(&format!("\"/m\" = {{ layers = [{all}] }}"));
    let output = place.run(As::all()[0], &profile, &["/bin/true"]);
    let why = unwrapped(&errors(&output));
    assert!(why.contains("501 layers are too many: the kernel merges 500"), "{why}");
    for who in As::all() {
        let profile = system(&format!("\"/m\" = {{ layers = [\"{name}\"] }}"));
        assert_eq!(place.sh(*who, &profile, "cat /m/file"), "its", "{who:?}");
    }
}

/// What the host mounted `noexec` runs nothing, whichever of the layers it is.
#[test]
fn a_layer_mounted_without_programs_brings_none() {
    if !is_root() {
        return skip("only root mounts a file system for others");
    }
    for who in As::all() {
        let place = Place::new();
        let [low, high] = ["low", "high"].map(|name| {
            let top = place.folder(name, *who).display().to_string();
            std::fs::copy("/bin/true", format!("{top}/true")).unwrap();
            own(Path::new(&top), *who);
            top
        });
        let profile = system(&format!("\"/m\" = {{ layers = [\"{low}\", \"{high}\"] }}"));
        for (mounted, runs) in [(None, 0), (Some(&low), 126), (Some(&high), 126)] {
            let mount = mounted.map_or(String::new(), |at| {
                format!("mount --bind {at} {at}\nmount -o remount,bind,noexec {at}")
            });
            let output = with_mounts(&place, *who, &mount, &profile, "/m/true");
            assert_eq!(output.status.code(), Some(runs), "{who:?}: {mounted:?}: {}", said(&output));
            // Which is known before.
            let path = place.file("asked.toml", &profile).display().to_string();
            let ask = |words: &[&str]| said(&asked_with_mounts(&place, *who, &mount, words));
            let why = ask(&["why", &path, "exec:/m/true"]);
            let check = unwrapped(&ask(&["check", &path, "/m/true"]));
            let is_known = |yes: bool| yes == mounted.is_some();
            assert!(is_known(why.contains("denied: exec /m/true")), "{who:?} {mounted:?}: {why}");
            assert!(is_known(why.contains("it is mounted noexec")), "{who:?} {mounted:?}: {why}");
            let note = "no program in /m can be run: the layer";
            assert!(is_known(check.contains(note)), "{who:?} {mounted:?}: {check}");
            assert!(is_known(check.contains("W0501")), "{who:?} {mounted:?}: {check}");
        }
    }
}

/// A layer may be anybody's: what it brings has no privilege inside.
#[test]
fn set_id_files_and_programs_of_a_layer_gain_nothing() {
    for who in As::all() {
        let place = Place::new();
        let top = place.folder("l", *who);
        let id = top.join("id");
        std::fs::copy("/usr/bin/id", &id).unwrap();
        std::fs::set_permissions(&id, PermissionsExt::from_mode(0o4755)).unwrap();
        let layer = top.display();
        let profile = system(&format!("\"/m\" = {{ layers = [\"{layer}\"] }}"));
        let same = place.sh(*who, &profile, "[ $(/m/id -u) = $(id -u) ] && echo same");
        assert_eq!(same, "same", "{who:?}");
        let profile = system(&format!("\"/m\" = {{ layers = [\"{layer}\"], exec = false }}"));
        let output = place.run(*who, &profile, &["/m/id"]);
        assert_eq!(output.status.code(), Some(126), "{who:?}: {}", said(&output));
    }
}

/// Entries below cover in the merged tree, whichever layer has the place; and what they hide is
/// absent, whatever becomes of it on the host.
#[test]
fn entries_below_hide_and_cover_in_the_merged_tree() {
    for who in As::all() {
        let place = Place::new();
        let [low, high] = two(&place, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let profile = |upper: &str| {
            system(&format!(
                "\"/m\" = {{ layers = [\"{low}\", \"{high}\"]{upper} }}\n\"/m/both/low\" = \"hide\"\n\
                 \"/m/both/high: a,b\\\\c\" = \"hide\"\n\"/m/low\" = {{ text = \"profile\\n\" }}"
            ))
        };
        let line =
            "cd /m; cat both/low || echo absent; ls both; cat same low; mv low gone || echo kept";
        let seen = "absent\nsame\nhigh: a,b\\c\nprofile\nkept";
        let quiet = |line: &str| format!("({line}) 2>/dev/null");
        assert_eq!(place.sh(*who, &profile(""), &quiet(line)), seen, "{who:?}");
        // What is closed to others its owner may look into.
        let closed = place.path.join("high: a,b\\c");
        std::fs::set_permissions(closed, PermissionsExt::from_mode(0o700)).unwrap();
        let upper = format!(", upper = \"discard\"{owner}");
        // The target may make its own, and what was hidden does not come back with its end.
        let own =
            "cd /m; echo own > both/low && cat both/low; rm both/low; cat both/low || echo absent";
        assert_eq!(place.sh(*who, &profile(&upper), &quiet(line)), seen, "{who:?}");
        assert_eq!(place.sh(*who, &profile(&upper), &quiet(own)), "own\nabsent", "{who:?}");
        // Its name counts, whichever file has it: the host exchanges it while the target runs.
        let exchange = "cat /m/both/low || echo absent; echo go > /go/now; while [ -e /go/now ]; do sleep \
                        0.1; done; cat /m/both/low || echo absent; ls /m/both";
        let go = place.folder("go", *who);
        let with_go = format!(
            "{}\n\"/go\" = {{ bind = \"{}\", access = \"rw\"{owner} }}",
            profile(&upper).trim_end(),
            go.display()
        );
        let path = place.file("exchange.toml", &with_go);
        let child = place
            .stockade(*who)
            .arg("run")
            .arg(path)
            .args(["/bin/sh", "-c", &quiet(exchange)])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        while !go.join("now").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        place.file("low/both/other", "other\n");
        std::fs::rename(place.path.join("low/both/other"), place.path.join("low/both/low"))
            .unwrap();
        std::fs::remove_file(go.join("now")).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stdout), "absent\nabsent\nsame\n", "{who:?}: {}", said(&output));
    }
}

/// A whiteout at a link would leave what the link leads to in sight.
#[test]
fn a_link_is_not_hidden_in_the_place_of_what_it_leads_to() {
    let who = *As::all().last().unwrap();
    let place = Place::new();
    let [low, _] = two(&place, who);
    std::os::unix::fs::symlink("both", place.path.join("low/way")).unwrap();
    std::os::unix::fs::symlink("both/low", place.path.join("low/end")).unwrap();
    for (name, refused) in [("way/low", true), ("end", true), ("both/low", false)] {
        let profile =
            system(&format!("\"/m\" = {{ layers = [\"{low}\"] }}\n\"/m/{name}\" = \"hide\""));
        let line = "cat /m/both/low 2>/dev/null || echo absent";
        let output = place.run(who, &profile, &["/bin/sh", "-c", line]);
        let said = errors(&output);
        match refused {
            true => assert!(
                output.status.code() == Some(125) && said.contains("symbolic link"),
                "{name}: {}",
                crate::support::said(&output)
            ),
            false => assert_eq!(text(&output.stdout), "absent\n", "{name}: {said}"),
        }
    }
}

/// A mount point that no layer has is made in one of stockade's own, and nothing on the host.
#[test]
fn mount_points_that_no_layer_has_are_made() {
    for who in As::all() {
        let place = Place::new();
        let [low, _] = two(&place, *who);
        let before = state(Path::new(&low));
        let uppers = if kernel() >= (6, 6) { &["", ", upper = \"discard\""][..] } else { &[""] };
        for upper in uppers {
            let profile = system(&format!(
                "\"/m\" = {{ layers = [\"{low}\"]{upper} }}\n\"/m/new/a\" = \"tmpfs\"\n\"/m/new/b\" = {{ \
                 text = \"made\" }}\n\"/m/both/c\" = {{ bind = \"/usr/share\" }}\n\"/m/both/low\" = {{ text \
                 = \"over\" }}"
            ));
            let line = "cd /m && echo x > new/a/x && cat new/b both/low && ls new && ls both && [ -d \
                        both/c/doc ] && (mv new/b away || mv new away || rm -r both || echo kept) \
                        2>/dev/null";
            let seen = "madeovera\nb\nc\nlow\nsame\nkept";
            assert_eq!(place.sh(*who, &profile, line), seen, "{who:?} {upper}");
        }
        assert!(state(Path::new(&low)) == before, "{who:?}");
    }
}

#[test]
fn what_cannot_be_a_layer_is_told_at_its_line() {
    let place = Place::new();
    let who = *As::all().last().unwrap();
    let [low, high] = two(&place, who);
    place.file("file", "");
    let at = place.path.display().to_string();
    let check = |mounts: &str| {
        let path = place.file("profile.toml", &system(mounts));
        let output = place.stockade(who).arg("check").arg(path).arg("/bin/true").output().unwrap();
        (output.status.success(), errors(&output) + &unwrapped(&text(&output.stdout)))
    };
    for (layers, why) in [
        (format!("[\"{low}\", \"{at}/absent\"]"), "no such file or directory"),
        (format!("[\"{at}/file\"]"), "it is a file"),
        ("[\"/\"]".into(), "is mounted in it"),
        ("[\"/proc\"]".into(), "/proc"),
    ] {
        let (good, said) = check(&format!("\"/m\" = {{ layers = {layers} }}"));
        assert!(!good && said.contains(why), "{layers}: {said}");
    }
    let skip = format!("[\"{low}\", {{ path = \"{at}/absent\", missing = \"skip\" }}]");
    let (good, said) = check(&format!("\"/m\" = {{ layers = {skip} }}"));
    assert!(good && said.contains("is left out"), "{said}");
    // A layer that the target can write to by another name.
    let also = |inside: &str| {
        check(&format!(
            "\"/m\" = {{ layers = [\"{low}\", \"{high}\"] }}\n\"{inside}\" = {{ bind = \"{low}/both\", \
             access = \"rw\" }}"
        ))
    };
    let (good, said) = also("/m/both");
    assert!(good, "{said}");
    // The writable tree around it shows it at its own path, and the merged tree covers that.
    let (good, said) = check(&format!(
        "\"{at}/low\" = {{ bind = \"{low}\", access = \"rw\" }}\n\"{at}/low/both\" = {{ layers = \
         [\"{low}/both\"] }}"
    ));
    assert!(good, "{said}");
    std::os::unix::fs::symlink(&low, place.path.join("link")).unwrap();
    for (layers, why) in [
        (format!("[\"{low}\", \"{low}\"]"), format!("{low} is named twice")),
        (format!("[\"{low}/both\", \"{high}\", \"{low}\"]"), format!("{low}/both is in {low}")),
        (format!("[\"{low}\", \"{low}/both\"]"), format!("{low}/both is in {low}")),
        (format!("[\"{high}\", \"{at}/link\"]"), format!("layers = [\"{high}\", \"{low}\"]")),
    ] {
        let (good, said) = check(&format!("\"/m\" = {{ layers = {layers} }}"));
        let told = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!good && told.contains(&why), "{why}: {said}");
    }
    let (good, said) = also("/other");
    assert!(!good && said.contains("is granted for writing here"), "{said}");
}

/// What `why` says of a change is what comes of it.
#[test]
fn why_says_what_can_be_changed() {
    for who in As::all() {
        let place = Place::new();
        let [low, _] = two(&place, *who);
        // Another user's.
        let foreign = place.file("low/foreign", "");
        std::fs::set_permissions(&foreign, PermissionsExt::from_mode(0o666)).unwrap();
        if crate::support::is_root() {
            std::os::unix::fs::chown(&foreign, Some(4321), Some(4321)).unwrap();
        }
        // Its own file in a directory of another user's.
        let far = place.file("low/far/own", "");
        if crate::support::is_root() {
            std::os::unix::fs::chown(far.parent().unwrap(), Some(4321), Some(4321)).unwrap();
        }
        std::fs::set_permissions(far.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
        own(&far, *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        for upper in [format!(", upper = \"discard\"{owner}"), String::new()] {
            let profile = system(&format!(
                "\"/m\" = {{ layers = [\"{low}\"]{upper} }}\n\"/m/both/low\" = \"hide\""
            ));
            let path = place.file("profile.toml", &profile);
            let read = place.stockade(*who).arg("why").arg(&path).arg("read:/m/both/low").output();
            let read = text(&read.unwrap().stdout);
            assert!(read.starts_with("denied") && read.contains("\"hide\""), "{who:?}: {read}");
            for name in ["same", "foreign", "both/low", "both/same", "new", "both/new", "far/own"] {
                let question = format!("write:/m/{name}");
                let output =
                    place.stockade(*who).arg("why").arg(&path).arg(&question).output().unwrap();
                let says = text(&output.stdout).starts_with("allowed");
                let line = format!(": >> /m/{name}");
                let does = place.run(*who, &profile, &["/bin/sh", "-c", &line]).status.success();
                assert_eq!(says, does, "{who:?} {upper} {name}: {}", said(&output));
                if says {
                    continue;
                }
                // A file that is not written to may give way to another one.
                let says = said(&output).contains("it can be replaced");
                let line = format!("rm /m/{name} && : > /m/{name}");
                let does = place.run(*who, &profile, &["/bin/sh", "-c", &line]).status.success();
                assert_eq!(says, does, "{who:?} {upper} {name}: {}", said(&output));
            }
        }
    }
}

/// Started by root, a layer that is only read shows no more than a read-only bind of it; and no more
/// than its owner could do with it where it is written on top of.
#[test]
fn a_layer_gives_a_target_of_roots_no_more_than_a_bind() {
    if !crate::support::is_root() {
        return skip("only root gives the target other ids than its own");
    }
    let place = Place::new();
    let [low, _] = two(&place, As::User);
    let user = As::User.id().unwrap();
    let secret = place.path.join("low/same");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let reads = |entry: &str, name: &str| {
        let line = format!("cat /m/{name} >/dev/null 2>&1 && echo read || echo kept");
        place.sh(As::Root, &system(&format!("\"/m\" = {entry}")), &line)
    };
    assert_eq!(reads(&format!("{{ bind = \"{low}\" }}"), "same"), "kept");
    assert_eq!(reads(&format!("{{ layers = [\"{low}\"] }}"), "same"), "kept");
    let upper = |word: &str| format!("{{ layers = [\"{low}\"], upper = \"discard\"{word} }}");
    assert_eq!(reads(&upper(""), "same"), "read");
    // The group is the host root's: its files are not given away with the directory.
    std::os::unix::fs::chown(&low, Some(user), Some(0)).unwrap();
    let group = place.file("low/group", "");
    std::fs::set_permissions(&group, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(reads(&upper(""), "group"), "kept");
    assert_eq!(reads(&upper(", owner = \"root\""), "group"), "read");
}

/// Started by root, each owner in a layer has its own id inside, and the owner of its top and the target
/// have changed places.
#[test]
fn owners_of_a_layer_are_the_sandboxs_own_ids() {
    if !crate::support::is_root() {
        return skip("only root gives the target other ids than its own");
    }
    let place = Place::new();
    let owned = |name: &str, id: u32, mode: u32| {
        let path = place.file(&format!("low/{name}"), name);
        std::os::unix::fs::chown(&path, Some(id), Some(id)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    for (name, id, mode) in
        [("root", 0, 0o600), ("top", 2000, 0o600), ("target", 1000, 0o600), ("other", 3000, 0o644)]
    {
        owned(name, id, mode);
    }
    owned("far", 100_000, 0o644);
    let low = place.path.join("low");
    std::os::unix::fs::chown(&low, Some(2000), Some(2000)).unwrap();
    let shown = |words: &str, more: &str| {
        let entry = format!("\"/m\" = {{ layers = [\"{}\"]{words} }}", low.display());
        let line = "cd /m; for f in . root top target other far; do stat -c %u:%g $f; [ -d $f ] || cat $f \
                    >/dev/null 2>&1 && echo read || echo kept; done | paste -sd' '";
        place.run(As::Root, &(system(&entry) + more), &["/bin/sh", "-c", line])
    };
    let seen = |words: &str, more: &str| {
        let output = shown(words, more);
        assert!(output.status.success(), "{}", said(&output));
        text(&output.stdout).trim_end().to_owned()
    };
    // The mount shows root's files as root's, and the target's id on disk as nobody's.
    let read_only = seen("", "");
    let nobody = "65534:65534";
    assert_eq!(
        read_only,
        format!(
            "2000:2000 read 0:0 kept 2000:2000 kept {nobody} kept 3000:3000 read {nobody} read"
        )
    );
    let swapped = format!(
        "1000:1000 read 0:0 kept 1000:1000 read 2000:2000 kept 3000:3000 read {nobody} read"
    );
    let uppers: &[&str] = match kernel() >= (6, 6) {
        true => &[", owner = \"root\"", ", upper = \"discard\""],
        false => &[", owner = \"root\""],
    };
    for words in uppers {
        assert_eq!(seen(words, ""), swapped, "{words}");
    }
    // As root inside it is root of the layer where the entry says so; with capabilities over files it
    // would read them all.
    let root = "[identity]\nuser = 0\ngroup = 0\n";
    let keep = format!("{root}[capabilities]\nkeep = [\"chown\", \"dac-override\"]\n");
    let others = "3000:3000 read";
    let as_root = seen("", root);
    assert!(as_root.starts_with(&format!("2000:2000 read {nobody} kept")), "{as_root}");
    let upper = ", upper = \"discard\"";
    let swapped = format!("0:0 read 2000:2000 kept 0:0 read 1000:1000 kept {others} {nobody} read");
    assert_eq!(seen(upper, root), swapped);
    let output = shown(upper, &keep);
    let why = errors(&output);
    assert!(output.status.code() == Some(125) && why.contains("capability over files"), "{why}");
    let said = format!("{upper}, owner = \"root\"");
    assert_eq!(seen(&said, &keep), swapped.replace("kept", "read"));
    // What is changed is a copy with the owner that it had.
    let entry = format!("\"/m\" = {{ layers = [\"{}\"]{said} }}", low.display());
    let line = "cd /m && echo x >> other && chown 3000:4000 top && stat -c %u:%g other top";
    assert_eq!(place.sh(As::Root, &(system(&entry) + &keep), line), "3000:3000\n3000:4000");
}

/// No two sandboxes have the same ids of the host at a time.
#[test]
fn host_ids_are_held_while_a_sandbox_runs() {
    if !crate::support::is_root() {
        return skip("only root gives the target other ids than its own");
    }
    let place = Place::new();
    let [low, _] = two(&place, As::User);
    let profile = system(&format!("\"/m\" = {{ layers = [\"{low}\"] }}"));
    let path = place.file("profile.toml", &profile);
    let begun = |words: &[&str]| {
        place
            .stockade(As::Root)
            .arg("run")
            .arg(&path)
            .args(words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut all: Vec<_> =
        (0..2).map(|_| begun(&["/bin/sh", "-c", "cat /proc/self/uid_map; cat"])).collect();
    let maps: Vec<String> = all
        .iter_mut()
        .map(|child| {
            let mut line = String::new();
            let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
            std::io::BufRead::read_line(&mut out, &mut line).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    let first = |map: &str| map.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(maps.iter().all(|map| map.starts_with("0 ") && map.ends_with(" 65536")), "{maps:?}");
    assert!(first(&maps[0]).abs_diff(first(&maps[1])) >= 65_536, "{maps:?}");
    // One that is to take the ids of another, by a process id that begins at its place, looks on.
    let locked = std::fs::read_to_string("/proc/locks").unwrap();
    let locks = std::fs::metadata("/run/stockade/host-ids").unwrap().ino().to_string();
    let held = |first: u32| {
        let byte = (first - 0x8_0000) / 65_536;
        locked.lines().any(|line| {
            line.contains("OFDLCK") && line.contains(&format!(":{locks} {byte} {byte}"))
        })
    };
    assert!(maps.iter().all(|map| held(first(map))), "{maps:?}\n{locked}");
    for mut child in all {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

/// A directory of root's that others may not enter stays closed where stockade has one in its place:
/// above a hidden name, and as the top.
#[test]
fn a_closed_directory_stays_closed() {
    if !crate::support::is_root() {
        return skip("only root has a layer whose owner is shown");
    }
    let place = Place::new();
    place.file("l/closed/kept", "secret");
    place.file("l/closed/hidden", "");
    let close = |mode| {
        let closed = place.path.join("l/closed");
        std::fs::set_permissions(closed, PermissionsExt::from_mode(mode)).unwrap();
    };
    let at = place.path.join("l").display().to_string();
    let uppers = ["", ", upper = \"discard\""];
    for (layer, kept, hidden) in [
        (at.clone(), "/m/closed/kept", "/m/closed/hidden"),
        (format!("{at}/closed"), "/m/kept", "/m/hidden"),
    ] {
        for upper in uppers {
            for hide in [String::new(), format!("\"{hidden}\" = \"hide\"")] {
                let profile =
                    system(&format!("\"/m\" = {{ layers = [\"{layer}\"]{upper} }}\n{hide}"));
                let line = format!(
                    "(chmod 777 {0}; cat {kept}) 2>/dev/null || echo closed",
                    &kept[..kept.len() - 5]
                );
                let reads = |mode| {
                    close(mode);
                    place.sh(As::Root, &profile, &line)
                };
                assert_eq!(reads(0o755), "secret", "{upper} {hide}");
                assert_eq!(reads(0o700), "closed", "{upper} {hide}");
            }
        }
    }
}

/// For an ordinary user a directory of another's can be changed once it is made in the upper; without,
/// overlayfs would have to copy it, and cannot.
#[test]
fn directories_of_others_can_be_changed_where_they_are_made_in_the_upper() {
    if !crate::support::is_root() {
        return skip("only root makes directories of another user");
    }
    let place = Place::new();
    let top = place.folder("tree", As::User);
    for name in ["tree/etc/app/deep/conf", "tree/etc/conf", "tree/usr/share/doc"] {
        let path = place.file(name, "layer\n");
        // What root makes here is root's, with mode 0755.
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().uid(), 0);
    }
    std::os::unix::fs::symlink("/etc", top.join("etc/link")).unwrap();
    let before = state(&top);
    let profile = |more: &str| {
        let tree = top.display();
        system(&format!("\"/m\" = {{ layers = [\"{tree}\"], upper = \"discard\"{more} }}"))
    };
    let line = "cd /m/etc; for d in . app app/deep ../usr; do touch $d/new && rm -f $d/conf && echo made || \
                echo kept; done 2>/dev/null; ls app/deep; stat -c %a app";
    let run = |more: &str| place.sh(As::User, &profile(more), line);
    assert_eq!(run(""), "kept\nkept\nkept\nkept\nconf\n755");
    let copied = run(", copy-up = [\"/m/etc\"]");
    assert_eq!(copied, "made\nmade\nmade\nkept\nnew\n755");
    // The way to one can be changed, too; one that is not there is passed over.
    assert_eq!(
        run(", copy-up = [\"/m/etc/app\", \"/m/absent\"]"),
        "made\nmade\nmade\nkept\nnew\n755"
    );
    assert!(state(&top) == before);
    // `why` says the same.
    for more in ["", ", copy-up = [\"/m/etc/app\"]"] {
        let path = place.file("asked.toml", &profile(more));
        for name in ["etc/new", "etc/app/new", "etc/app/deep/new", "usr/new", "etc/app/deep/conf"] {
            let question = format!("write:/m/{name}");
            let output =
                place.stockade(As::User).arg("why").arg(&path).arg(&question).output().unwrap();
            let says = text(&output.stdout).starts_with("allowed");
            let line = format!(": >> /m/{name}");
            let does = place.run(As::User, &profile(more), &["/bin/sh", "-c", &line]);
            assert_eq!(says, does.status.success(), "{more} {name}: {}", said(&output));
        }
    }
    // As deep as it is said; one level more is an error, and not passed over.
    let chain = |count: usize| format!("deep{count}/{}", vec!["d"; count - 1].join("/"));
    for (count, is_made) in [(257, true), (258, false)] {
        let chain = chain(count);
        place.file(&format!("tree/{chain}/conf"), "");
        let profile = profile(&format!(", copy-up = [\"/m/deep{count}\"]"));
        let line = format!("touch /m/{chain}/new && echo made");
        let output = place.run(As::User, &profile, &["/bin/sh", "-c", &line]);
        let said = unwrapped(&errors(&output));
        assert_eq!(text(&output.stdout) == "made\n", is_made, "{count}: {said}");
        assert!(is_made || said.contains("65536, 256 deep: name those that are needed"), "{said}");
        std::fs::remove_dir_all(top.join(format!("deep{count}"))).unwrap();
    }
    // What is made beforehand is no change.
    let path = place.file("copied.toml", &profile(", copy-up = [\"/m\"]"));
    let output = place
        .stockade(As::User)
        .args(["run", "--changes", "-q"])
        .arg(&path)
        .args(["/bin/sh", "-c", "touch /m/etc/app/one"])
        .output()
        .unwrap();
    assert_eq!(errors(&output), "A  /m/etc/app/one\n", "{}", said(&output));
    let refused = |more: &str, why: &str| {
        let output = place.run(As::User, &profile(more), &["/bin/true"]);
        let told = errors(&output);
        assert!(output.status.code() == Some(125) && told.contains(why), "{told}");
    };
    refused(", copy-up = [\"/other\"]", "it is not in the tree");
    refused(", copy-up = [\"/m/etc\"], inodes = 7", "inodes");
}

/// A directory that is closed to the target stays so, though the process that makes them may look into
/// it: started by root it has power over all ids of the layer.
#[test]
fn a_closed_directory_is_not_opened_by_copy_up() {
    if !crate::support::is_root() {
        return skip("only root's sandbox has ids over the files of others");
    }
    let place = Place::new();
    let top = place.folder("tree", As::Root);
    for (name, mode) in [("closed", 0o700), ("open", 0o755)] {
        place.file(&format!("tree/etc/{name}/file"), "secret\n");
        let directory = top.join("etc").join(name);
        std::fs::set_permissions(directory, PermissionsExt::from_mode(mode)).unwrap();
    }
    let profile = |more: &str| {
        let tree = top.display();
        system(&format!("\"/m\" = {{ layers = [\"{tree}\"], upper = \"discard\"{more} }}"))
    };
    let line = "cd /m/etc; for d in open closed; do cat $d/file || echo kept; touch $d/new && echo made || \
                echo kept; done 2>/dev/null";
    let run = |more: &str| place.sh(As::Root, &profile(more), line);
    assert_eq!(run(""), "secret\nkept\nkept\nkept");
    assert_eq!(run(", copy-up = [\"/m\"]"), "secret\nmade\nkept\nkept");
    assert_eq!(run(", copy-up = [\"/m/etc/closed\"]"), "secret\nkept\nkept\nkept");
}

/// A layer of another owner is as if it were read-only, but for names directly in its top.
#[test]
fn what_others_own_in_a_layer_is_told_with_the_line_that_opens_it() {
    if !has_upper() {
        return;
    }
    if !is_root() {
        return skip("only root makes files of others");
    }
    let place = Place::new();
    let layer = place.folder("layer", As::Root);
    for (name, mode) in [("sub", 0o755), ("all", 0o1777)] {
        let directory = place.folder(&format!("layer/{name}"), As::Root);
        std::fs::set_permissions(directory, PermissionsExt::from_mode(mode)).unwrap();
    }
    for (name, mode) in [("sub/file", 0o644), ("sub/open", 0o666)] {
        let path = place.file(&format!("layer/{name}"), "x");
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let check = |profile: &str| {
        let path = place.file("others.toml", profile);
        let output = place.stockade(As::User).arg("check").arg(path).arg("true").output().unwrap();
        unwrapped(&said(&output))
    };
    let at = layer.display();
    let entry =
        |more: &str| format!("\"/m\" = {{ layers = [\"{at}\"], upper = \"discard\"{more} }}");
    let note = "what other users own stays as it is, but for names directly in /m";
    let open = entry(", copy-up = [\"/m\"]");
    let told = check(&system(&entry("")));
    assert!(told.contains(note) && told.contains(&open), "{told}");
    let line = "cd /m; echo x > new && echo made; export LC_ALL=C; for act in 'echo x > sub/new' 'echo x > sub/file' \
                'rm -f sub/file' 'chmod 600 sub/file' 'echo x > sub/open' 'echo x > all/new'; do \
                sh -c \"$act\" 2>&1 && echo done || true; done";
    let words = |profile: &str| {
        let told = place.sh(As::User, &system(profile), line);
        let last = |line: &str| line.rsplit(": ").next().unwrap_or_default().to_owned();
        told.lines().map(last).collect::<Vec<_>>()
    };
    let (denied, overflow) = ("Permission denied", "Value too large for defined data type");
    assert_eq!(
        words(&entry("")),
        ["made", denied, denied, denied, "Operation not permitted", overflow, overflow]
    );
    // The line of the note lets names be made and removed; a file in place stays.
    assert_eq!(words(&open)[..4], ["made", "done", denied, "done"]);
    assert!(check(&system(&open)).contains(&format!("{note}, and in directories of /m")));
    // The twins: root's own, and the caller's.
    let own = place.folder("own", As::User);
    let own = format!("\"/m\" = {{ layers = [\"{}\"], upper = \"discard\" }}", own.display());
    assert!(!check(&system(&own)).contains(note));
}
