//! A profile that lies in what its target may write: it stays what it is, as root and as an
//! ordinary user.

use crate::support::{As, Place, USER, is_root, said, system, text, unwrapped};
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

/// What would give the next run another profile; then the ordinary act, whose status it is.
const REPLACE: &str = "cd $1
    echo x >> conf/p.toml; echo x > conf/new; mv -f conf/new conf/p.toml; ln -f conf/new conf/p.toml
    rm -f conf/p.toml; mv conf/p.toml conf/old; mv conf away; rm -rf conf
    mkdir -p conf; [ -e conf/p.toml ] || echo planted > conf/p.toml
    echo built > out";

/// A project of `who`, with a profile in it.
struct Project {
    place: Place,
    who: As,
    top: PathBuf,
}

impl Project {
    fn new(who: As, more: &str) -> Project {
        let place = Place::new();
        let top = place.folder("project", who);
        place.folder("project/conf", who);
        let project = Project { place, who, top };
        project.write("conf/p.toml", more);
        project
    }

    fn write(&self, name: &str, more: &str) {
        let grant = format!(
            "\"{}\" = {{ bind = \"${{CWD}}\", access = \"rw\", owner = \"root\"{more} }}",
            self.top.display()
        );
        let file = self.place.file(&format!("project/{name}"), &system(&grant));
        self.own(&file);
    }

    fn own(&self, path: &Path) {
        if is_root() && self.who == As::User {
            lchown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    fn profile(&self) -> PathBuf {
        self.top.join("conf/p.toml")
    }

    fn stockade(&self, words: &[&str]) -> Output {
        let mut command = self.place.stockade(self.who);
        command.current_dir(&self.top).args(words).output().unwrap()
    }

    fn replace(&self) -> Output {
        let top = self.top.to_str().unwrap();
        self.stockade(&["run", "conf/p.toml", "/bin/sh", "-c", REPLACE, "sh", top])
    }
}

#[test]
fn the_target_cannot_change_the_profile_beside_its_project() {
    for who in As::all() {
        let project = Project::new(*who, "");
        let before = std::fs::read(project.profile()).unwrap();
        let planned = text(&project.stockade(&["check", "conf/p.toml", "true"]).stdout);
        let note = "/conf/p.toml is a profile of this run, and is kept read-only";
        assert!(planned.contains(note), "{who:?}: {planned}");
        let output = project.replace();
        assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read(project.profile()).unwrap(), before, "{who:?}");
        assert_eq!(std::fs::read(project.top.join("out")).unwrap(), b"built\n", "{who:?}");
        // The twin.
        let open = Project::new(*who, ", broad = true");
        let output = open.replace();
        assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read(open.profile()).unwrap(), b"planted\n", "{who:?}");
    }
}

/// What a profile extends is as much of it as its own text.
#[test]
fn the_target_cannot_change_what_its_profile_extends() {
    for who in As::all() {
        let project = Project::new(*who, "");
        let main =
            project.place.file("main.toml", "format = 1\nextends = [\"./project/conf/p.toml\"]\n");
        project.own(&main);
        let before = std::fs::read(project.profile()).unwrap();
        let (main, top) = (main.to_str().unwrap(), project.top.to_str().unwrap());
        let output = project.stockade(&["run", main, "/bin/sh", "-c", REPLACE, "sh", top]);
        assert!(output.status.success(), "{who:?}: {}", text(&output.stderr));
        assert_eq!(std::fs::read(project.profile()).unwrap(), before, "{who:?}");
    }
}

/// What no entry can keep is refused.
#[test]
fn a_profile_with_another_way_to_it_is_refused_in_a_writable_directory() {
    let who = As::all()[0];
    let project = Project::new(who, "");
    let refused = |words: &str| {
        let output = project.stockade(&["check", "conf/p.toml", "true"]);
        let said = unwrapped(&said(&output));
        assert!(output.status.code() == Some(125) && said.contains(words), "{words}: {said}");
    };
    // A second name, through which the target could write.
    std::fs::hard_link(project.profile(), project.top.join("second")).unwrap();
    refused("of which there is another hard link");
    std::fs::remove_file(project.top.join("second")).unwrap();
    // A link that the target could replace.
    let real = project.place.path.join("real.toml");
    std::fs::rename(project.profile(), &real).unwrap();
    symlink(&real, project.profile()).unwrap();
    project.own(&project.profile());
    refused("/conf/p.toml, by which this run found its profile");
    let output = project.stockade(&["check", real.to_str().unwrap(), "true"]);
    assert!(output.status.success(), "the twin: {}", text(&output.stderr));
    std::fs::remove_file(project.profile()).unwrap();
    // A link on the way.
    project.write("conf/p.toml", "");
    std::fs::rename(project.top.join("conf"), project.top.join("real")).unwrap();
    symlink("real", project.top.join("conf")).unwrap();
    project.own(&project.top.join("conf"));
    refused("/project/conf, by which this run found its profile");
    std::fs::remove_file(project.top.join("conf")).unwrap();
    std::fs::rename(project.top.join("real"), project.top.join("conf")).unwrap();
    // One that is not there yet.
    let text = std::fs::read_to_string(project.profile()).unwrap();
    let optional = "format = 1\nextends = [{ profile = \"./site.toml\", missing = \"skip\" }]";
    std::fs::write(project.profile(), text.replacen("format = 1", optional, 1)).unwrap();
    refused("it has room for");
    project.write("conf/site.toml", "");
    let output = project.stockade(&["check", "conf/p.toml", "true"]);
    assert!(output.status.success(), "the twin: {}", said(&output));
}

#[test]
fn what_cannot_keep_a_profile_refuses_it() {
    let who = As::all()[0];
    let project = Project::new(who, "");
    let check = |config: &str| {
        let words = ["check", "--config", config, "conf/p.toml", "true"];
        unwrapped(&said(&project.stockade(&words)))
    };
    let nested = check("namespaces.nested = [\"user\", \"mount\"]");
    assert!(nested.contains("makes mount namespaces, in which it undoes that"), "{nested}");
    if crate::support::landlock_abi() > 0 {
        let text = format!(
            "format = 1\n[identity]\nhost = true\n[namespaces]\nall = \"host\"\n[mounts]\n\"{}\" = \"rw\"\n",
            project.top.display()
        );
        std::fs::write(project.profile(), text).unwrap();
        let alone = check("process.umask = \"0022\"");
        assert!(alone.contains("it holds a profile of this run"), "{alone}");
    }
}
