//! Layers, and the host's whole tree under a throw-away top, as the root.

use crate::merged::{has_upper, own, state};
use crate::support::{As, Place, errors, said, skip, text};
use std::os::unix::fs::symlink;
use std::path::Path;

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
        if has_upper() {
            let profile = of_layers(&layers, &format!(", upper = \"discard\"{owner}"), &more);
            assert_eq!(place.sh(*who, &profile, line), seen, "{who:?}");
            assert_eq!(place.sh(*who, &profile, change), "", "{who:?}");
            // Programs that the target brings are run, unless the entry says otherwise.
            let run = "cat /bin/busybox > /sh; /bin/busybox chmod 755 /sh; /sh -c 'echo ran'";
            assert_eq!(place.sh(*who, &profile, run), "ran", "{who:?}");
        }
        let after = [&layers[0], &layers[1]].map(|layer| state(Path::new(layer)));
        assert!(before == after, "{who:?}: a layer has changed");
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
