//! On most machines the host's mounts are shared: what is mounted in one namespace appears in the
//! others. Not here, in either direction.

use crate::support::{As, Place, USER, is_root, skip, system, text};
use std::process::Command;

/// A namespace of its own whose mounts are shared, as systemd has them, so that the test cannot
/// touch the machine's. `$1` is the place, the rest starts the launcher.
const SCRIPT: &str = r#"
cd "$1" && shift
mount --bind tree twin
"$@" &
launcher=$!
while [ ! -e rw/ready ] && kill -0 $launcher; do sleep 0.01; done
echo "over: $(findmnt -rno TARGET | grep -c -e tree/hidden -e tree/file -e tree/pinned)"
mount -t tmpfs none tree/late
touch tree/late/seen rw/go
wait $launcher
echo "status: $?"
echo "twin: $(ls twin/late)"
"#;

#[test]
fn no_mount_gets_out_and_none_gets_in() {
    if !is_root() {
        return skip("only root can make a namespace with shared mounts");
    }
    for who in As::all() {
        let place = Place::new();
        for folder in ["tree/hidden", "tree/late", "tree/pinned/deep", "twin", "rw"] {
            place.folder(folder, As::User);
        }
        place.folder("tree", As::User);
        place.file("tree/file", "shown");
        let at = place.path.display();
        let mounts = format!(
            "\"/tree\" = {{ bind = \"{at}/tree\", access = \"rw\" }}\n\"/tree/hidden\" = {{ hide = \
             true }}\n\"/tree/pinned/deep\" = {{ hide = true }}\n\
             \"/tree/file\" = {{ text = \"covered\" }}\n\"/rw\" = {{ bind = \"{at}/rw\", access = \
             \"rw\" }}"
        );
        let profile = place.file("profile.toml", &system(&mounts));
        let target = "echo > /rw/ready; while [ ! -e /rw/go ]; do sleep 0.01; done; echo \"inside: \
                      $(cat /tree/file) $(ls /tree/late)\"";
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            "mount --make-rshared /; exec sh -c \"$0\" sh \"$@\"",
            SCRIPT,
        ]);
        command.arg(&place.path);
        if *who == As::User {
            command.args([
                "setpriv",
                &format!("--reuid={USER}"),
                &format!("--regid={USER}"),
                "--clear-groups",
            ]);
        }
        command.arg(place.path.join("stockade")).arg("run").arg(profile).args(["sh", "-c", target]);
        let output = command.output().unwrap();
        // The twin, another mount of the same tree, is what a shared mount does.
        let wanted = "over: 0\ninside: covered \nstatus: 0\ntwin: seen\n";
        assert_eq!(text(&output.stdout), wanted, "{who:?}: {}", text(&output.stderr));
    }
}
