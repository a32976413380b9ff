//! Layers, and the host's whole tree under a throw-away top, as the root.

use crate::merged::{own, state};
use crate::support::{As, Place, errors, kernel, said, skip, text, unwrapped};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

const BUSYBOX: &str = "/usr/bin/busybox";

/// A root directory of static programs, in two layers; none where there are no such programs.
fn root_directory(place: &Place, who: As) -> Option<[String; 2]> {
    let program = std::fs::read(BUSYBOX).ok();
    // Of a static program the loader is named nowhere.
    let is_static = program.is_some_and(|bytes| !bytes.windows(8).any(|name| name == b"/ld-linu"));
    if !is_static {
        skip("busybox-static is not installed");
        return None;
    }
    let [base, app] = ["base", "app"].map(|name| place.folder(name, who));
    for directory in ["base/bin", "base/etc", "base/keep", "app/srv", "app/etc"] {
        place.folder(directory, who);
    }
    // A copy: it is given away.
    let copied = std::process::Command::new("cp").arg(BUSYBOX).arg(base.join("bin")).status();
    assert!(copied.unwrap().success());
    for name in ["sh", "cat", "ls", "rm", "mkdir", "mv", "stat", "grep", "id", "touch"] {
        symlink("busybox", base.join("bin").join(name)).unwrap();
    }
    symlink("bin", base.join("sbin")).unwrap();
    for (name, words) in
        [("base/etc/conf", "base"), ("app/etc/conf", "app"), ("base/etc/own", "own")]
    {
        place.file(name, words);
    }
    for name in ["app/srv/app", "app/srv/secret", "base/keep/it"] {
        place.file(name, name);
    }
    own(&base, who);
    own(&app, who);
    Some([base, app].map(|path| path.display().to_string()))
}

/// A root of layers, with proc, dev and tmp, and further lines.
fn of_layers(layers: &[String], words: &str, more: &str) -> String {
    let layers: Vec<String> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
    format!(
        "format = 1\n[mounts]\n\"/\" = {{ layers = [{}]{words} }}\n\"/proc\" = \"proc\"\n\"/dev\" = \
         \"dev\"\n\"/tmp\" = \"tmpfs\"\n{more}\n",
        layers.join(", ")
    )
}

#[test]
fn layers_are_the_root() {
    for who in As::all() {
        let place = Place::new();
        let Some(layers) = root_directory(&place, *who) else { return };
        let before = [&layers[0], &layers[1]].map(|layer| state(Path::new(layer)));
        let more = format!(
            "\"/etc/conf\" = {{ text = \"profile\" }}\n\"/srv/secret\" = \"hide\"\n\"/new/point\" = \
             \"tmpfs\"\n\"/keep\" = {{ bind = \"{}/keep\" }}",
            layers[0]
        );
        // What can be seen, and what cannot be changed, with an upper or without.
        let line = "cat /etc/conf /etc/own /srv/app; ls /srv /new; (touch /keep/new || mv /keep /away || \
                    mv /etc /away || rm /etc/conf || cat /srv/secret || echo kept) 2>/dev/null; grep -c \
                    ' / / [a-z]*,nosuid,nodev,' /proc/self/mountinfo";
        let seen = "profileownapp/srv/app/new:\npoint\n\n/srv:\napp\nkept\n1";
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        assert_eq!(place.sh(*who, &of_layers(&layers, "", &more), line), seen, "{who:?}");
        let change = "rm /etc/own /srv/app && rm -r /srv && mkdir /srv /made && echo x > /file && echo y > \
                      /bin/new && rm /sbin && ls /srv";
        let read_only = of_layers(&layers, "", &more);
        let output = place.run(*who, &read_only, &["/bin/sh", "-c", change]);
        assert!(!output.status.success(), "{who:?}: {}", said(&output));
        let profile = of_layers(&layers, &format!(", upper = \"discard\"{owner}"), &more);
        assert_eq!(place.sh(*who, &profile, line), seen, "{who:?}");
        assert_eq!(place.sh(*who, &profile, change), "", "{who:?}");
        // Programs that the target brings are run, unless the entry says otherwise.
        let run = "cat /bin/busybox > /sh; /bin/busybox chmod 755 /sh; /sh -c 'echo ran'";
        assert_eq!(place.sh(*who, &profile, run), "ran", "{who:?}");
        let after = [&layers[0], &layers[1]].map(|layer| state(Path::new(layer)));
        assert!(before == after, "{who:?}: a layer has changed");
    }
}

/// Without a layer, too, an upper on disk has its mount points elsewhere, and is there at the next run.
#[test]
fn a_root_without_layers_is_kept() {
    for who in As::all() {
        let place = Place::new();
        let Some(layers) = root_directory(&place, *who) else { return };
        let site = place.folder("site", *who);
        let bin = format!(
            "\"/bin\" = {{ bind = \"{}/bin\" }}\n\"/etc/it\" = {{ text = \"x\" }}",
            layers[0]
        );
        let profile = of_layers(&[], &format!(", upper = \"{}/state\"", site.display()), &bin);
        for lines in ["1", "1\n1"] {
            let line = "echo 1 >> /kept && cat /kept /etc/it";
            assert_eq!(place.sh(*who, &profile, line), format!("{lines}\nx"), "{who:?}");
        }
        let names = std::fs::read_dir(site.join("state/upper")).unwrap().count();
        assert_eq!(names, 1, "{who:?}");
        // And the host's whole tree is several overlays, of which none is kept.
        if *who == As::User {
            let whole = "\"/\" = { layers = [\"/\"], upper = \"/var/tmp/stockade-none\" }";
            let profile = format!("format = 1\n[mounts]\n{whole}\n");
            let said = errors(&place.run(*who, &profile, &["/bin/true"]));
            assert!(said.contains("more than one overlay"), "{said}");
        }
    }
}

#[test]
fn no_layer_at_all_is_an_empty_root() {
    for who in As::all() {
        let place = Place::new();
        let Some(layers) = root_directory(&place, *who) else { return };
        let bin = format!("\"/bin\" = {{ bind = \"{}/bin\" }}", layers[0]);
        let profile = of_layers(&[], ", upper = \"discard\", size = \"1M\"", &bin);
        let line = "ls /; echo x > /file && mkdir /etc/more && ls -d /etc/more; (cat /bin/busybox \
                    /bin/busybox > /big) 2>/dev/null || echo full";
        let seen = "bin\ndev\netc\nproc\ntmp\n/etc/more\nfull";
        assert_eq!(place.sh(*who, &profile, line), seen, "{who:?}");
    }
}

/// A link of a layer's leads where the layer says: nothing is mounted behind it.
#[test]
fn a_mount_point_behind_a_link_is_told_with_its_place() {
    let who = *As::all().last().unwrap();
    let place = Place::new();
    let Some(layers) = root_directory(&place, who) else { return };
    let profile = of_layers(&layers, "", "\"/sbin/more\" = \"tmpfs\"");
    let output = place.run(who, &profile, &["/bin/sh", "-c", "true"]);
    let said = errors(&output);
    assert!(said.contains("/sbin is a symbolic link"), "{said}");
    assert!(said.contains("\"/bin/more\" = \"tmpfs\""), "{said}");
    assert_eq!(text(&output.stdout), "");
}

/// The host's whole tree under a throw-away top, with what is below it.
fn of_host(who: As, more: &str) -> String {
    let overlay = |path: &str| match who {
        As::Root => format!("{{ layers = [\"{path}\"], upper = \"discard\", owner = \"root\" }}"),
        As::User => "\"overlay\"".to_owned(),
    };
    format!(
        "format = 1\n[mounts]\n\"/\" = {}\n\"/proc\" = \"proc\"\n\"/dev\" = \"dev\"\n\"/tmp\" = {}\n{more}\n",
        overlay("/"),
        overlay("/tmp")
    )
}

/// A file right in /etc of which nothing here depends.
fn of_etc() -> String {
    let found = std::fs::read_dir("/etc").unwrap().flatten().find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = ["passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "ld.so.cache"];
        entry.file_type().unwrap().is_file() && !kept.contains(&name.as_str())
    });
    found.unwrap().path().display().to_string()
}

#[test]
fn the_hosts_tree_is_changed_inside_and_stays_outside() {
    for who in As::all() {
        let place = Place::new();
        let own_tree = place.folder("own", *who);
        for name in ["own/it", "own/.secret", "own/deep/er"] {
            place.file(name, name);
        }
        own(&own_tree, *who);
        let (at, removed) = (own_tree.display(), of_etc());
        let before = state(&own_tree);
        let profile = of_host(*who, &format!("\"{at}/.secret\" = \"hide\""));
        let line = format!(
            "rm {removed} && echo x > /etc/stockade-new && mkdir /stockade-made && cd {at} && cat it && \
             rm -r deep it && mkdir deep && mv /etc/stockade-new deep/new && ls -A . deep && \
             mv deep /stockade-made/ && ls /stockade-made && (cat .secret || ls -d /sys /run || echo \
             absent) 2>/dev/null"
        );
        let seen = "own/it.:\ndeep\n\ndeep:\nnew\ndeep\nabsent";
        assert_eq!(place.sh(*who, &profile, &line), seen, "{who:?}");
        assert!(state(&own_tree) == before, "{who:?}: the host's files have changed");
        for path in [removed.as_str(), "/etc/stockade-new", "/stockade-made"] {
            assert_eq!(Path::new(path).exists(), path == removed, "{who:?} {path}");
        }
    }
}

/// The directory that takes what is written is no layer, and inside there is an empty one.
#[test]
fn the_hosts_tree_is_changed_on_disk() {
    for who in As::all() {
        let place = Place::new();
        let uppers = PathBuf::from(format!("/var/tmp/stockade-uppers-{}", std::process::id()));
        std::fs::create_dir(&uppers).unwrap();
        std::fs::write(uppers.join("kept"), "").unwrap();
        // What another run writes beside them is not shown, and may go at any time.
        let another = format!("/var/tmp/stockade-upper-{}", std::process::id());
        std::fs::create_dir(&another).unwrap();
        for name in ["tree/uppers", "tree/sub"] {
            place.folder(name, *who);
        }
        let in_tree = ["tree", "tree/sub", "tree/uppers"].map(|name| place.path.join(name));
        let owned: Vec<PathBuf> = [uppers.clone()].into_iter().chain(in_tree).collect();
        for path in &owned {
            std::os::unix::fs::chown(path, who.id(), who.id()).unwrap();
        }
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let of = |path: &str, uppers: &Path| {
            let upper = format!("upper = {{ discard = \"{}\" }}", uppers.display());
            format!("\"{path}\" = {{ layers = [\"{path}\"], {upper}{owner} }}\n")
        };
        // At its own path, and in the whole.
        let top = place.path.join("tree").display().to_string();
        let entries = of(&top, &owned[3]) + &of("/", &uppers);
        let profile = format!("format = 1\n[mounts]\n{entries}\"/proc\" = \"proc\"\n");
        let (removed, made) = (of_etc(), format!("{top}/sub/made"));
        let line = format!(
            "rm {removed} && echo x > /etc/stockade-new && mkdir {made} && cat /etc/stockade-new && \
             ls -A {} {top}/uppers && ls -d {}; test ! -e {another} && echo alone",
            uppers.display(),
            uppers.display()
        );
        let path = place.file("disk.toml", &profile);
        let mut command = place.stockade(*who);
        command.args(["run", "-q", "--changes"]).arg(path).args(["/bin/sh", "-c", &line]);
        let output = command.output().unwrap();
        let empty = format!("x\n{top}/uppers:\n\n{0}:\n{0}\nalone\n", uppers.display());
        assert_eq!(text(&output.stdout), empty, "{who:?}: {}", said(&output));
        let changed = errors(&output);
        for line in [format!("D  {removed}"), "A  /etc/stockade-new".into(), format!("A  {made}/")]
        {
            assert!(changed.contains(&line), "{who:?}: {line}: {changed}");
        }
        // What the target left as it was is no change, the directories with set-id bits too. Of what
        // is made anew there is no list.
        let anew = changed.contains("stockade: what is made directly in / and ")
            || changed.contains("stockade: what is made directly in /, ");
        assert!(anew && changed.ends_with(" is never listed\n"), "{who:?}: {changed}");
        assert_eq!(changed.lines().count(), 4, "{who:?}: {changed}");
        let kept = |path: &str| Path::new(path).exists();
        assert!(kept(&removed) && !kept("/etc/stockade-new") && !kept(&made), "{who:?}");
        assert_eq!(std::fs::read_dir(&uppers).unwrap().count(), 1, "{who:?}");
        std::fs::remove_dir_all(&uppers).unwrap();
        std::fs::remove_dir(&another).unwrap();
    }
}

/// A writable grant is at its own place inside; by any other it would change a layer.
#[test]
fn a_writable_grant_is_at_its_own_place_of_the_merged_tree() {
    for who in As::all() {
        let place = Place::new();
        let written = place.folder("written", *who);
        let (at, owner) =
            (written.display(), if *who == As::Root { ", owner = \"root\"" } else { "" });
        let grant = |path: &str| {
            of_host(*who, &format!("\"{path}\" = {{ bind = \"{at}\", access = \"rw\"{owner} }}"))
        };
        let here = grant(&at.to_string());
        assert_eq!(place.sh(*who, &here, &format!("echo x > {at}/new; ls {at}")), "new", "{who:?}");
        assert!(written.join("new").exists(), "{who:?}");
        // It is in no list, which is said.
        let (output, record) =
            place.report_with(*who, &here, &["--changes"], &format!("echo y > {at}/other"));
        let said = errors(&output);
        assert!(!said.contains("A  "), "{who:?}: {said}");
        let line = format!(
            "stockade: what was written to {at} is in the host's own files, and not listed"
        );
        assert!(said.contains(&line), "{who:?}: {said}");
        let granted = serde_json::json!({ "path": at.to_string(), "why": "grant" });
        assert_eq!(record["not-listed"][0], granted, "{who:?}: {record}");
        // For programs: the last line, and no other of a list.
        let path = place.file("json.toml", &here);
        let mut command = place.stockade(*who);
        command.args(["run", "-q", "--changes=diff", "--format", "json"]).arg(path);
        let written = place.folder("beside", *who).join("new");
        let line = format!("echo out; echo err >&2; echo new > {}", written.display());
        let output = command.args(["/bin/sh", "-c", &line]).output().unwrap();
        let said = errors(&output);
        assert_eq!(text(&output.stdout), "out\n", "{who:?}: {said}");
        let (before, last) = said.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(before.trim_end(), "err", "{who:?}");
        let json: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(json["not-listed"][0], granted, "{who:?}: {json}");
        let all = json["changes"].as_array().unwrap();
        let found = all.iter().flat_map(|one| {
            assert!(one["held-by"].is_null() && one["layers"].is_array(), "{one}");
            one["changes"].as_array().unwrap().iter().map(move |row| (one, row))
        });
        let mut found = found.filter(|(_, row)| row["change"] == "added");
        let (one, row) = found.next().expect(last);
        let at = format!(
            "{}/{}",
            one["path"].as_str().unwrap().trim_end_matches('/'),
            row["path"].as_str().unwrap()
        );
        assert_eq!(at, written.display().to_string(), "{who:?}: {json}");
        let diff = format!("--- /dev/null\n+++ b{at}\n@@ -0,0 +1 @@\n+new\n");
        assert_eq!(row["diff"].as_str().unwrap(), diff, "{who:?}");
        assert!(!written.exists(), "{who:?}");
        let output = place.run(*who, &grant("/elsewhere"), &["/bin/true"]);
        let said = errors(&output);
        assert!(output.status.code() == Some(125) && said.contains("is in use"), "{who:?}: {said}");
    }
}

/// The launcher, started by `who` where further file systems are mounted.
pub fn with_mounts(place: &Place, who: As, mounts: &str, profile: &str, line: &str) -> Output {
    let path = place.file("profile.toml", profile).display().to_string();
    asked_with_mounts(place, who, mounts, &["run", &path, "/bin/sh", "-c", line])
}

/// The same of another command.
pub fn asked_with_mounts(place: &Place, who: As, mounts: &str, words: &[&str]) -> Output {
    let inner = place.stockade(who);
    let program = [inner.get_program()].into_iter().chain(inner.get_args());
    let mut command = place.outside(As::Root, "/usr/bin/unshare");
    command.args(["-m", "/bin/sh", "-ec", &format!("{mounts}\nexec \"$@\""), "sh"]).args(program);
    command.args(words).output().unwrap()
}

/// A mount whose server is gone is left out, with a word, and stops nothing.
#[test]
fn a_mount_whose_server_is_gone_is_left_out() {
    if !crate::support::is_root() || !Path::new("/dev/fuse").exists() {
        return skip("only root mounts for others, and there is no /dev/fuse");
    }
    let place = Place::new();
    place.file("data/file", "data\n");
    place.folder("data/dead", As::User);
    own(&place.path.join("data"), As::User);
    let (at, id) = (place.path.join("data").display().to_string(), As::User.id().unwrap_or(0));
    let mounts = format!(
        "exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id={id},group_id={id} none \
         {at}/dead; exec 9>&-"
    );
    let profile = crate::support::system(&format!("\"{at}\" = \"overlay\""));
    let line = format!("cat {at}/file; ls {at}");
    let output = with_mounts(&place, As::User, &mounts, &profile, &line);
    assert_eq!(text(&output.stdout), "data\nfile\n", "{}", said(&output));
    let why = unwrapped(&errors(&output));
    assert!(why.contains(&format!("{at}/dead is left out: the caller cannot look there")), "{why}");
}

/// The mounts below a tree at its own path come along, one overlay each; the kernel's do not.
#[test]
fn mounts_below_come_along() {
    if !crate::support::is_root() {
        return skip("only root mounts a file system for others");
    }
    for who in As::all() {
        let place = Place::new();
        for name in [
            "data/plain/old",
            "data/file",
            "data/far/on/disk/under",
            "data/far/kernel/x",
            "data/in/x",
        ] {
            place.file(name, name);
        }
        std::os::unix::fs::symlink("plain", place.path.join("data/link")).unwrap();
        own(&place.path.join("data"), *who);
        let at = place.path.join("data").display().to_string();
        let mounts = format!(
            "mount -t tmpfs -o mode=755,uid={0},gid={0} none {at}/far/on/disk\necho disk > \
             {at}/far/on/disk/own\nchown {0}:{0} {at}/far/on/disk/own\nmount -t mqueue none \
             {at}/far/kernel\n\
             mount -t tmpfs -o mode=755,uid={0},gid={0} none {at}/in\nmkdir {at}/in/in\n\
             mount -t tmpfs -o mode=755,uid={0},gid={0} none {at}/in/in\necho in > {at}/in/in/own",
            who.id().unwrap_or(0)
        );
        let entry = |path: &str| match who {
            As::Root => {
                format!(
                    "\"{path}\" = {{ layers = [\"{at}\"], upper = \"discard\", owner = \"root\" }}"
                )
            }
            As::User => format!("\"{path}\" = {{ layers = [\"{at}\"], upper = \"discard\" }}"),
        };
        let line = format!(
            "cd {at} && ls . far link far/on/disk && rm -r plain/old far/on/disk/own && echo x > \
             far/on/disk/new && mkdir top far/on/more && (ls far/kernel || echo absent) \
             2>/dev/null && cat in/in/own && echo x > in/in/new && ls in in/in"
        );
        let seen = ".:\nfar\nfile\nin\nlink\nplain\n\nfar:\non\n\nfar/on/disk:\nown\n\nlink:\nold\nabsent\n\
             in\nin:\nin\n\nin/in:\nnew\nown\n";
        let profile = crate::support::system(&entry(&at));
        let output = with_mounts(&place, *who, &mounts, &profile, &line);
        assert!(output.status.success(), "{who:?}: {}", said(&output));
        assert_eq!(text(&output.stdout), seen, "{who:?}");
        // Under another path they are no layer.
        let profile = crate::support::system(&entry("/other"));
        let output = with_mounts(&place, *who, &mounts, &profile, "true");
        assert!(errors(&output).contains("is mounted in it"), "{who:?}: {}", said(&output));
        assert!(place.path.join("data/far/on/disk/under").exists());
    }
}

/// What a package manager does: with the owners that it expects, and nothing is left on the host.
#[test]
fn a_package_is_installed_and_is_gone() {
    if !crate::support::is_root() || !Path::new("/usr/bin/dpkg-deb").exists() {
        return skip("only root installs a package, and dpkg is not everywhere");
    }
    let place = Place::new();
    place.file("package/usr/share/stockade-test/file", "installed\n");
    let control = "Package: stockade-test\nVersion: 1\nArchitecture: all\nMaintainer: a \
                   <a@example>\nDescription: a test\n";
    place.file("package/DEBIAN/control", control);
    let package = place.path.join("it.deb");
    let build = |command: &mut std::process::Command| {
        command
            .args(["--root-owner-group", "--build"])
            .arg(place.path.join("package"))
            .arg(&package);
        command.output().unwrap()
    };
    let built = build(&mut place.outside(As::Root, "/usr/bin/dpkg-deb"));
    assert!(built.status.success(), "{}", said(&built));
    let words = "[identity]\nuser = 0\ngroup = 0\n[env]\nPATH = \"/usr/sbin:/usr/bin:/sbin:/bin\"\n\
                 [capabilities]\nkeep = [\"chown\", \"dac-override\", \"fowner\", \"setuid\", \"setgid\"]";
    let line = format!(
        "dpkg -i {} >/dev/null && cat /usr/share/stockade-test/file && stat -c %u:%g \
         /usr/share/stockade-test/file && dpkg -s stockade-test | grep ^Status",
        package.display()
    );
    let seen = "installed\n0:0\nStatus: install ok installed";
    assert_eq!(place.sh(As::Root, &of_host(As::Root, words), &line), seen);
    assert!(!Path::new("/usr/share/stockade-test").exists());
}

/// A sandbox in it has the same again: the kernel stacks two.
#[test]
fn a_sandbox_in_it_has_an_overlay_of_its_own() {
    if kernel() < (6, 6) {
        return skip("before Linux 6.6 its upper lies on disk, which here is an overlay");
    }
    let who = As::User;
    let place = Place::new();
    place.folder("own", who);
    let words = "[namespaces]\nnested = true\n[landlock]\npaths = \"off\"\n[seccomp]\npolicy = \
                 \"off\"";
    // A proc of its own needs one that is not covered.
    let inner = of_host(who, words).replace("\"/proc\" = \"proc\"\n", "");
    let inner = place.file("own/inner.toml", &inner);
    own(&place.path.join("own"), who);
    let launcher = place.path.join("stockade").display().to_string();
    // Right in a directory without a mount below: those above one are made anew inside.
    let new = "/srv/stockade-new";
    let line = format!(
        "echo outer > {new} && {launcher} run {} /bin/sh -c 'cat {new} && rm {new} && echo inner > \
         /stockade-inner && cat /stockade-inner'; cat {new}; ls /stockade-inner 2>/dev/null || echo \
         gone",
        inner.display()
    );
    let output = place.run(who, &of_host(who, words), &["/bin/sh", "-c", &line]);
    assert_eq!(text(&output.stdout), "outer\ninner\nouter\ngone\n", "{}", said(&output));
}

/// What `why` says of a change is what comes of it.
#[test]
fn why_says_what_can_be_changed_of_the_host() {
    for who in As::all() {
        let place = Place::new();
        let own_tree = place.folder("own", *who);
        place.file("own/deep/it", "");
        place.file("foreign/it", "");
        own(&own_tree, *who);
        let (at, profile) = (place.path.display(), of_host(*who, ""));
        let path = place.file("profile.toml", &profile);
        let paths = [
            "/stockade-new",
            "/etc/stockade-new",
            "/usr/bin/stockade-new",
            "/var/tmp/stockade-new",
        ];
        let paths = paths.map(str::to_owned).into_iter();
        let more =
            ["own/new", "own/deep/it", "foreign/it", "new"].map(|name| format!("{at}/{name}"));
        for file in paths.chain(more) {
            let question = format!("write:{file}");
            let output =
                place.stockade(*who).arg("why").arg(&path).arg(&question).output().unwrap();
            let says = text(&output.stdout).starts_with("allowed");
            let line = format!(": >> {file}");
            let does = place.run(*who, &profile, &["/bin/sh", "-c", &line]).status.success();
            assert_eq!(says, does, "{who:?} {file}: {}", said(&output));
            // A bind would be the host's own, which the run is not to change.
            let help = said(&output);
            assert!(!help.contains("access ="), "{who:?} {file}: {help}");
            let is_owned = *who == As::Root && !says && file.starts_with("/etc");
            assert!(!is_owned || help.contains("owner = \"root\""), "{who:?} {file}: {help}");
            // It takes the place of the whole line.
            let whole =
                "\"/\" = { layers = [\"/\"], upper = \"discard\", copy-up = [\"/usr/bin\"] }";
            let is_users = *who == As::User && !says && file.starts_with("/usr/bin/");
            assert!(!is_users || help.contains(whole), "{who:?} {file}: {help}");
        }
    }
}

/// What an ordinary caller owns can be changed below directories of others that lead to the home, the
/// working directory and those for temporary files; and nothing else of that is seen.
#[test]
fn what_is_the_callers_can_be_changed_below_directories_of_others() {
    if !crate::support::is_root() {
        return skip("only root makes directories of another user");
    }
    for who in As::all() {
        let place = Place::new();
        let top = place.folder("top", As::Root);
        for name in ["way/in/cwd", "shut/home", "other/mine"] {
            let mine = place.file(&format!("top/{name}/it"), "it\n");
            own(mine.parent().unwrap(), *who);
        }
        let mode = |name: &str, mode| {
            std::fs::set_permissions(top.join(name), PermissionsExt::from_mode(mode)).unwrap();
        };
        mode("way", 0o6755);
        mode("shut", 0o711);
        let before = state(&top);
        let (at, site) = (top.display(), place.folder("site", *who));
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let entry = |upper: &str| {
            let entry = format!("\"{at}\" = {{ layers = [\"{at}\"], upper = {upper}{owner} }}");
            format!(
                "{}\n[process]\ncwd = \"{at}/way/in/cwd\"\n[env]\nHOME = \"{at}/shut/home\"\n",
                of_host(*who, &entry)
            )
        };
        let kept = format!("\"{}/state\"", site.display());
        let line = format!(
            "for d in {at}/way/in/cwd {at}/shut/home {at}/other/mine /var/tmp; do (echo x >> $d/it && \
             rm $d/it && mkdir $d/new && rmdir $d/new && echo made || echo kept) 2>/dev/null; done; \
             stat -c %a {at}/way {at}/shut /var/tmp; ls {at}/shut 2>/dev/null || echo shut"
        );
        // Root's target has the ids of the owners. The twin is a directory that nothing leads to.
        let (twin, way, list) = match who {
            As::Root => ("made", "6755", "home"),
            As::User => ("kept", "2755", "shut"),
        };
        let seen = format!("made\nmade\n{twin}\nmade\n{way}\n711\n1777\n{list}");
        for upper in ["\"discard\"", &kept, &kept] {
            let path = place.file("profile.toml", &entry(upper));
            let mut command = place.stockade(*who);
            command.args(["run", "-q", "--changes"]).arg(&path).args(["/bin/sh", "-c", &line]);
            let output = command.output().unwrap();
            let why = said(&output);
            assert_eq!(text(&output.stdout).trim_end(), seen, "{who:?} {upper}: {why}");
            let changed = errors(&output);
            assert!(!changed.contains("way\n") && !changed.contains("R  "), "{who:?}: {why}");
        }
        assert!(state(&top) == before, "{who:?}: a layer has changed");
        // `why` says the same.
        let profile = entry("\"discard\"");
        let path = place.file("profile.toml", &profile);
        // And `plan` says where nothing can be changed, by directory.
        let stays = |path: &Path| {
            let mut command = place.stockade(*who);
            let output = command.args(["plan", "--format", "json"]).arg(path).arg("true").output();
            let plan: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
            let all = plan["stays"]["directories"].as_array().cloned().unwrap_or_default();
            let here = all.into_iter().filter(|one| one["path"] == *top.display().to_string());
            here.map(|one| (one["each"].as_bool(), one["names"].to_string())).collect::<Vec<_>>()
        };
        let expected = |each: bool, names: &str| match who {
            As::Root => vec![],
            As::User => vec![(Some(each), names.to_owned())],
        };
        assert_eq!(stays(&path), expected(false, "[\"other\"]"), "{who:?}");
        let plain = of_host(
            *who,
            &format!("\"{at}\" = {{ layers = [\"{at}\"], upper = \"discard\"{owner} }}"),
        );
        let plain = place.file("plain.toml", &plain);
        assert_eq!(stays(&plain), expected(true, "[\"other\",\"shut\",\"way\"]"), "{who:?}");
        let names =
            ["way/new", "way/in/cwd/it", "shut/new", "shut/home/it", "other/mine/it", "other/new"];
        let files = names.map(|name| format!("{at}/{name}")).into_iter();
        for file in files.chain(["/var/new".to_owned(), "/var/tmp/new".to_owned()]) {
            let question = format!("write:{file}");
            let output =
                place.stockade(*who).arg("why").arg(&path).arg(&question).output().unwrap();
            let says = text(&output.stdout).starts_with("allowed");
            let line = format!(": >> {file}");
            let does = place.run(*who, &profile, &["/bin/sh", "-c", &line]).status.success();
            assert_eq!(says, does, "{who:?} {file}: {}", said(&output));
        }
    }
}

/// `copy-up` of what is no directory is reported, also directly in a directory that is made anew, and no
/// other note claims that names there can be changed.
#[test]
fn copy_up_that_opens_nothing_is_reported() {
    for who in As::all() {
        let place = Place::new();
        let up = "\"/nosuch\", \"/etc/nosuch\", \"/etc/hostname\", \"/etc\"";
        let path = place.file(
            "copied.toml",
            &format!(
                "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n\
                 \"/\" = {{ layers = [\"/\"], upper = \"discard\", copy-up = [{up}] }}\n"
            ),
        );
        let said =
            unwrapped(&said(&place.stockade(*who).arg("check").arg(&path).output().unwrap()));
        for (directory, why) in [
            ("/nosuch", "no layer has it"),
            ("/etc/nosuch", "no layer has it"),
            ("/etc/hostname", "it is a file, and no directory"),
        ] {
            let note = format!("copy-up of {directory} is without effect: {why}");
            assert_eq!(said.matches(&note).count(), 1, "{who:?} {directory}: {said}");
        }
        assert!(!said.contains("copy-up of /etc is"), "{who:?}: {said}");
        let claim = "and in directories of ";
        assert_eq!(said.contains(claim), *who == As::User, "{who:?}: {said}");
        assert!(!said.contains(claim) || said.contains("and in directories of /etc:"), "{said}");
    }
}
