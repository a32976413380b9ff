//! A root directory that is not the host's: it needs nothing more than `minimal` adds, and nothing of
//! the host's system comes over it without a word.

use crate::support::{As, Place, said, skip, text};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A root directory of another system, as debootstrap makes them, with one program: a busybox that
/// needs no library.
pub fn tiny(place: &Place) -> Option<PathBuf> {
    let Some(busybox) = ["/usr/bin/busybox", "/bin/busybox"].iter().find(|path| is_static(path))
    else {
        skip("busybox-static is not installed");
        return None;
    };
    let root = place.path.join("root");
    for directory in ["usr/bin", "usr/share", "etc", "proc", "dev", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy(busybox, root.join("usr/bin/busybox")).unwrap();
    for name in ["sh", "ls", "cat"] {
        symlink("busybox", root.join("usr/bin").join(name)).unwrap();
    }
    symlink("usr/bin", root.join("bin")).unwrap();
    std::fs::write(root.join("etc/os-release"), "ID=tiny\n").unwrap();
    Some(root)
}

/// Whether a program has no interpreter (`PT_INTERP` of elf(5)).
fn is_static(path: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| {
        let loader = b"/ld-linux";
        !bytes[..bytes.len().min(4096)].windows(loader.len()).any(|part| part == loader)
    })
}

/// The ways to make it the root: alone, and as a layer under another.
fn entries(place: &Place, root: &Path) -> [String; 2] {
    let top = place.folder("top", As::Root);
    [
        format!("{{ bind = \"{}\" }}", root.display()),
        format!("{{ layers = [\"{}\", \"{}\"] }}", root.display(), top.display()),
    ]
}

/// A profile over that root.
fn over(root: &str, base: &str, mounts: &str) -> String {
    format!("format = 1\nextends = [\"{base}\"]\n[mounts]\n\"/\" = {root}\n{mounts}\n")
}

#[test]
fn minimal_is_all_that_another_root_needs() {
    for who in As::all() {
        let place = Place::new();
        let Some(root) = tiny(&place) else { return };
        let line = "cat /etc/os-release; ls /usr/bin; cat /proc/self/comm; echo x > /tmp/x; \
                    cat /tmp/x; echo gone > /dev/null; echo $TERM; echo x 2>/dev/null > /usr/x || \
                    echo kept";
        for root in entries(&place, &root) {
            let profile = over(&root, "minimal", "[env]\nTERM = \"vt100\"");
            let seen = "ID=tiny\nbusybox\ncat\nls\nsh\ncat\nx\nvt100\nkept";
            assert_eq!(place.sh(*who, &profile, line), seen, "{who:?}: {root}");
            // The twin: without it there is no /proc and nothing that can be written.
            let bare = profile.replace("extends = [\"minimal\"]\n", "");
            let output = place.run(*who, &bare, &["/bin/sh", "-c", "cat /proc/self/comm"]);
            assert!(!output.status.success(), "{who:?}: {root}: {}", said(&output));
        }
    }
}

/// A name at the top of a merged root is looked at as any other is: what a link leads to would still
/// be seen.
#[test]
fn a_link_at_the_top_of_a_merged_root_is_not_hidden() {
    for who in As::all() {
        let place = Place::new();
        let Some(root) = tiny(&place) else { return };
        for root in entries(&place, &root) {
            let hidden = over(&root, "minimal", "\"/bin\" = \"hide\"");
            let output = place.run(*who, &hidden, &["/usr/bin/sh", "-c", "true"]);
            let said = said(&output);
            assert!(
                said.contains("cannot hide /bin: it is a symbolic link"),
                "{who:?}: {root}: {said}"
            );
        }
    }
}

/// The caller's directory has a namesake in the root: it is another one, so the command begins in `/`.
#[test]
fn a_namesake_of_the_callers_directory_is_another_one() {
    for who in As::all() {
        let place = Place::new();
        let Some(root) = tiny(&place) else { return };
        let here = place.folder("here", *who);
        std::fs::create_dir_all(root.join(here.strip_prefix("/").unwrap())).unwrap();
        let bind = |source: &Path| format!("\"/\" = {{ bind = \"{}\" }}", source.display());
        let start = |mounts: String| {
            let profile = format!("format = 1\n[mounts]\n{mounts}\n");
            let profile = place.file("namesake.toml", &profile);
            let mut command = place.stockade(*who);
            let output =
                command.current_dir(&here).arg("run").arg(profile).args(["/bin/sh", "-c", "pwd"]);
            let output = output.output().unwrap();
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            text(&output.stdout)
        };
        assert_eq!(start(bind(&root)), "/\n", "{who:?}");
        // The twin: that directory itself is there.
        let path = here.display().to_string();
        let own = format!("{}\n\"{path}\" = {{ bind = \"{path}\" }}", bind(&root));
        assert_eq!(start(own), format!("{path}\n"), "{who:?}");
    }
}

#[test]
fn the_hosts_system_is_not_mixed_into_another_root() {
    for who in As::all() {
        let place = Place::new();
        let Some(root) = tiny(&place) else { return };
        let words = ["/bin/sh", "-c", "cat /etc/os-release; ls /usr/share; ls -d /opt; true"];
        let refused = |profile: &str, code: &str, help: &str| {
            let output = place.run(*who, profile, &words);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(125), "{who:?}: {said}");
            let all = [code, help, "this is the root"];
            assert!(all.iter().all(|part| said.contains(part)), "{who:?}: {said}");
        };
        let runs = |profile: &str| {
            let output = place.run(*who, profile, &words);
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            text(&output.stdout)
        };
        for root in entries(&place, &root) {
            // Each help, pasted, runs.
            let base = over(&root, "base", "");
            let help = "extends = [\"minimal\"]";
            refused(&base, "[E0328]", help);
            assert_eq!(runs(&base.replace("extends = [\"base\"]", help)), "ID=tiny\n", "{who:?}");
            let share = over(&root, "minimal", "\"/usr/share\" = \"ro\"");
            let help = "\"/usr/share\" = { bind = \"/usr/share\" }";
            refused(&share, "[E0328]", help);
            let seen = runs(&share.replace("\"/usr/share\" = \"ro\"", help));
            assert!(seen.lines().count() > 3, "{who:?}: {seen}");
            let programs =
                over(&root, "minimal", "").replace("[mounts]", "programs = [\"sh\"]\n[mounts]");
            let help = "programs = [\"!*\"]";
            refused(&programs, "[E0410]", help);
            assert_eq!(
                runs(&programs.replace("programs = [\"sh\"]", help)),
                "ID=tiny\n",
                "{who:?}"
            );
            // No help for a program that is not there leads to one of these.
            let path = place.file("absent.toml", &over(&root, "minimal", ""));
            let mut command = place.stockade(*who);
            let output = command.arg("check").arg(&path).arg("awk").output().unwrap();
            let words = said(&output);
            let is_right = words.contains("[W0501]") && words.contains("the root directory has");
            assert!(is_right && !words.contains("programs ="), "{who:?}: {words}");
            // What the root does not have is the host's, as the word says.
            let opt = over(&root, "minimal", "\"/opt\" = \"ro\"");
            assert_eq!(runs(&opt), "ID=tiny\n/opt\n", "{who:?}");
        }
        // Nothing changes under a root that is the host's own, or empty.
        for own in ["\"/\" = \"ro\"", "\"/\" = \"tmpfs\""] {
            let profile = format!("format = 1\nextends = [\"base\"]\n[mounts]\n{own}\n");
            let output = place.run(*who, &profile, &["/bin/true"]);
            assert!(output.status.success(), "{who:?}: {}", said(&output));
        }
    }
}

/// A root directory with the shell, and its libraries at the places that `ldd` gives: no link, and no
/// cache.
fn by_ldd(place: &Place) -> PathBuf {
    let root = place.path.join("root");
    let copy = |path: &str| {
        let to = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    };
    let listed = std::process::Command::new("ldd").arg("/bin/sh").output().unwrap();
    let listed = text(&listed.stdout);
    let paths: Vec<&str> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert!(paths.len() > 1, "{listed}");
    paths.iter().for_each(|path| copy(path));
    copy("/bin/sh");
    root
}

#[test]
fn libraries_lie_where_their_loader_has_them_built_in() {
    for who in As::all() {
        let place = Place::new();
        let root = by_ldd(&place);
        let check = |profile: &str| {
            let path = place.file("checked.toml", profile);
            place.stockade(*who).arg("check").arg(&path).arg("sh").output().unwrap()
        };
        for entry in entries(&place, &root) {
            let profile = over(&entry, "minimal", "");
            let output = check(&profile);
            assert!(output.status.success(), "{who:?}: {entry}: {}", said(&output));
            assert_eq!(place.sh(*who, &profile, "echo ran"), "ran", "{who:?}: {entry}");
        }
        // The twin: without the library neither the check nor the run is good.
        let library = find(&root, "libc.so.6");
        std::fs::rename(&library, root.join("libc.so.6")).unwrap();
        for entry in entries(&place, &root) {
            let profile = over(&entry, "minimal", "");
            let checked = said(&check(&profile));
            let named = checked.contains("[W0501]") && checked.contains("libc.so.6");
            assert!(named, "{who:?}: {entry}: {checked}");
            let output = place.run(*who, &profile, &["sh", "-c", "echo ran"]);
            assert!(!output.status.success(), "{who:?}: {entry}: {}", said(&output));
        }
    }
}

/// The file of a name in a directory or below it.
fn find(directory: &Path, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() { Some(find(&path, name)) } else { path.ends_with(name).then_some(path) }
    };
    entries.filter_map(below).find(|path| path.ends_with(name)).unwrap_or_default()
}
