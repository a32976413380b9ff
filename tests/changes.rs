//! Kept uppers: what a target changed in one is listed, exported and thrown away. Each is made by a
//! real overlayfs, mounted in a namespace of mounts of its own as stockade mounts it; what no target
//! could make there is put into it by hand.

use crate::support::ground::wait_for;
use crate::support::processes::{children, name, status};
use crate::support::{
    As, Place, USER, errors, is_root, said, skip, spawned, system, text, unwrapped,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// A kept upper in a place, with one layer.
struct Kept<'p> {
    place: &'p Place,
    who: As,
}

impl Kept<'_> {
    /// Makes the layer by one shell line, and changes what is merged by another.
    fn new<'p>(place: &'p Place, who: As, before: &str, changes: &str) -> Kept<'p> {
        let kept = Kept { place, who };
        let top = place.folder("kept", who);
        let record = format!(
            r#"{{"format":1,"path":"{0}/low","layers":["{0}/low"],"pid":0}}"#,
            top.display()
        );
        let line = format!(
            "set -e; umask 022; mkdir -p low mnt state/upper state/work; chmod 700 state; \
             echo '{record}' > state/stockade; (cd low; {before}\n); \
             chmod --reference=low state/upper"
        );
        kept.sh(&line);
        kept.change(changes);
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path.join("kept").join(name)
    }

    /// A shell line outside of every sandbox.
    fn sh(&self, line: &str) -> String {
        self.outside("sh", &["-c", line])
    }

    /// A shell line in the merged tree; what it prints.
    fn change(&self, line: &str) -> String {
        let line = format!(
            "set -e; mount -t overlay overlay -o \
             userxattr,lowerdir=low,upperdir=state/upper,workdir=state/work mnt; cd mnt; {line}\n"
        );
        let how = if self.who == As::Root && is_root() { "-m" } else { "-Urm" };
        self.outside("unshare", &[how, "sh", "-c", &line])
    }

    fn outside(&self, program: &str, words: &[&str]) -> String {
        let mut command = self.place.outside(self.who, program);
        let output = command.args(words).current_dir(self.path("")).output().unwrap();
        assert!(output.status.success(), "{:?}: {}", self.who, said(&output));
        text(&output.stdout)
    }

    /// `stockade changes` with words.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = self.place.stockade(self.who);
        command.arg("changes").args(words).current_dir(self.path("")).output().unwrap()
    }

    /// What it prints where it succeeds.
    fn changes(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{:?}: {}", self.who, said(&output));
        text(&output.stdout)
    }
}

/// A layer and what is done on it, with each kind of change.
const BEFORE: &str = "printf 'one\\ntwo\\nthree\\n' > same; echo gone > gone; mkdir -p doc/deep both; \
    echo x > doc/a; echo y > doc/deep/b; echo keep > both/keep; ln -s same link; \
    printf 'a\\0b' > bin; echo t > touched; echo m > mode; echo p > moved; mkdir plain";
const CHANGES: &str = "printf 'one\\n2\\nthree\\n' > same; rm gone; rm -r doc; mkdir doc; \
    echo new > doc/new; mkdir doc/deep; echo y > doc/deep/b; : >> touched; chmod 755 mode; \
    ln -sf other link; printf 'a\\0c' > bin; rm both/keep; rmdir both; echo file > both; \
    mkdir -p added/sub; echo 1 > added/sub/f; mv moved plain/moved; mkfifo fifo";

#[test]
fn changes_are_listed() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, BEFORE, CHANGES);
        let listed = "A  added/\nA  added/sub/\nA  added/sub/f\nM  bin\nT  both (was a directory)\n\
                      D  doc/a\nA  doc/new\nA  fifo (fifo)\nD  gone\nM  link -> other\n\
                      M  mode (mode 0755, was 0644)\nD  moved\nA  plain/moved\nM  same\n";
        assert_eq!(kept.changes(&["state"]), listed, "{who:?}");
        let json: serde_json::Value =
            serde_json::from_str(&kept.changes(&["--format", "json", "state"])).unwrap();
        let changes = json["changes"].as_array().unwrap();
        assert_eq!(changes.len(), listed.lines().count());
        let of = |path: &str| changes.iter().find(|change| change["path"] == path).unwrap();
        let id = who.id().unwrap_or(nix::unistd::geteuid().as_raw());
        let mode = of("mode");
        assert_eq!((&mode["change"], &mode["after"]["mode"]), (&"mode".into(), &"0755".into()));
        assert_eq!(
            (&mode["before"]["mode"], &mode["before"]["owner"]),
            (&"0644".into(), &id.into())
        );
        assert_eq!(of("both")["before"]["kind"], "directory");
        assert_eq!((&of("gone")["after"], &of("gone")["before"]["size"]), (&().into(), &5.into()));
        assert_eq!(of("link")["after"]["target"], "other");
        assert_eq!(json["held-by"], serde_json::Value::Null);
        // The layer alone is no change; and the directory stays what it was.
        kept.sh("rm -r state/upper; mkdir state/upper");
        assert_eq!(kept.changes(&["state"]), "");
    }
}

#[test]
fn paths_are_listed_alone() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, BEFORE, &(CHANGES.to_owned() + "; rm -r plain"));
        let inside = kept.path("low/doc/").display().to_string();
        assert_eq!(
            kept.changes(&["state", "added/sub", &inside]),
            "A  added/sub/\nA  added/sub/f\nD  doc/a\nA  doc/new\n"
        );
        // What went with a directory, or in the place of one.
        assert_eq!(kept.changes(&["state", "plain/x"]), "D  plain/\n");
        assert_eq!(kept.changes(&["state", "both/keep"]), "T  both (was a directory)\n");
        let diff = kept.changes(&["--diff", "state", "same"]);
        assert!(
            diff.starts_with("M  same\n") && diff.contains("+2\n") && !diff.contains("M  bin"),
            "{diff}"
        );
        let json = kept.changes(&["--format", "json", "state", "gone"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let changes = json["changes"].as_array().unwrap();
        assert_eq!((changes.len(), &changes[0]["path"]), (1, &"gone".into()));
        for (word, why) in [
            ("touched", "nothing is changed there"),
            ("/etc", "does not lie in"),
            ("", "names nothing"),
        ] {
            let output = kept.run(&["state", "gone", word]);
            let said = said(&output);
            assert!(output.status.code() == Some(125) && said.contains(why), "{word}: {said}");
            assert!(said.contains(": stockade changes state\n"), "{word}: {said}");
            // Programs get all of it or nothing.
            let output = kept.run(&["--format", "json", "state", "gone", word]);
            assert!(!text(&output.stdout).contains("\"gone\""), "{word}");
        }
        // A word of its own is none behind the directory.
        let output = kept.run(&["state", "discard"]);
        let said = said(&output);
        assert!(said.contains("`discard` of `state`: nothing is changed there"), "{said}");
        assert!(said.contains("it comes first: stockade changes discard state"), "{said}");
        assert!(kept.path("state/upper").exists());
    }
}

/// What another id of a sandbox with several has closed is listed, and not taken for nothing.
#[test]
fn what_is_closed_to_the_caller_is_listed_without_a_look() {
    if !is_root() {
        return skip("only root gives a directory to another id");
    }
    let place = Place::new();
    let kept = Kept::new(&place, As::User, BEFORE, "mkdir new; touch new/a plain/b; echo x > file");
    let close = |name: &str| {
        let path = kept.path("state/upper").join(name);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&path, Some(100_000), Some(100_000)).unwrap();
    };
    for name in ["new", "plain", "file"] {
        close(name);
    }
    let closed = "(closed to you: what is in it is not listed)";
    let owner = USER;
    let listed = format!(
        "A  file\nA  new/ {closed}\nM  plain/ {closed} (mode 0700, was 0755; owner ?:?, was \
         {owner}:{owner})\n"
    );
    assert_eq!(kept.changes(&["state"]), listed);
    let output = kept.run(&["export", "state", "out.tar"]);
    let left = errors(&output);
    assert!(output.status.success() && left.matches("it is not readable").count() == 3, "{left}");
    assert_eq!(kept.sh("tar -tf out.tar"), "");
    let output = kept.run(&["apply", "--yes", "state"]);
    let words = text(&output.stdout) + &errors(&output);
    assert!(words.matches("it is not readable").count() == 3, "{words}");
    assert_eq!(kept.sh("ls low/plain low/new low/file 2>/dev/null || true"), "low/plain:\n");
    // An owner that has no number there is nobody, and not root.
    let upper = kept.path("state/upper");
    for name in ["new", "plain", "file"] {
        std::fs::set_permissions(upper.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    kept.changes(&["export", "state", "new.tar"]);
    let owners = kept.sh("tar --numeric-owner -tvf new.tar | awk '{print $2, $6}'");
    let expected = format!(
        "65534/65534 file\n65534/65534 new/\n{owner}/{owner} new/a\n{owner}/{owner} plain/b\n"
    );
    assert_eq!(owners, expected);
}

#[test]
fn differences_of_text_are_shown_and_drive_no_terminal() {
    for who in As::all() {
        let place = Place::new();
        let more = "; printf 'a\\033]0;x\\007b\\377\\n' > esc; : > zero; chmod 0 zero; \
                    truncate -s 2M large";
        let kept = Kept::new(&place, *who, BEFORE, &(CHANGES.to_owned() + more));
        let diff = kept.changes(&["--diff", "state"]);
        for part in [
            "M  same\n--- a/same\n+++ b/same\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n",
            "D  gone\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n",
            "M  bin\n(binary files differ)\n",
            "A  esc\n--- /dev/null\n+++ b/esc\n@@ -0,0 +1 @@\n+a\\u{1b}]0;x\\u{7}b\\xff\n",
            "A  large\n(not compared: larger than 1M, or not readable)\n",
            "A  zero\n",
        ] {
            assert!(diff.contains(part), "{who:?}: {part}\nin:\n{diff}");
        }
    }
}

/// What lies in an upper is the target's, and worse.
#[test]
fn a_hostile_upper_is_read_and_leads_nowhere() {
    for who in As::all() {
        // Longer than a path can be (PATH_MAX). Landlock looks at each directory above one that is
        // opened, so more levels take long.
        let depth = 600;
        let place = Place::new();
        let kept = Kept::new(&place, *who, "mkdir d; echo l > d/f; echo h > hard", "true");
        kept.sh("cd state/upper; mkfifo fifo; ln -s /etc dir; ln -s ../../../.. d; \
             printf x > \"$(printf 'n\\nA  fake\\033[31m')\"; echo h > one; ln one two; \
             mkdir -m 0 shut; touch .hidden");
        kept.outside(
            "python3",
            &[
                "-c",
                "import os, socket, sys\nos.chdir('state/upper')\n\
              socket.socket(socket.AF_UNIX).bind('socket')\n\
              fd = os.open('huge', os.O_CREAT | os.O_WRONLY)\nos.ftruncate(fd, 1 << 42)\n\
              os.mkdir('deep')\nos.chdir('deep')\n\
              for _ in range(int(sys.argv[1])):\n  os.mkdir('deeper-d')\n  os.chdir('deeper-d')\nopen('end', 'w')\n",
                &depth.to_string(),
            ],
        );
        let listed = kept.changes(&["state"]);
        let deep = format!("A  deep/{}end", "deeper-d/".repeat(depth));
        let (deepest, rest): (Vec<&str>, Vec<&str>) =
            listed.lines().partition(|line| line.starts_with("A  deep/"));
        assert!(
            deepest.len() == depth + 2 && deepest.last() == Some(&&*deep),
            "{who:?}: {}",
            deepest.len()
        );
        let seen = [
            "A  .hidden",
            "T  d -> ../../../.. (was a directory)",
            "A  dir -> /etc",
            "A  fifo (fifo)",
            "A  huge",
            "A  \"n\\nA  fake\\u{1b}[31m\"",
            "A  one",
            "A  shut/",
            "A  socket (socket)",
            "A  two",
        ];
        assert_eq!(rest, seen, "{who:?}");
        // As a layer: what none can have is left out, the rest is there.
        let output = kept.run(&["export", "state", "out.tar"]);
        let errors = errors(&output);
        assert!(
            output.status.success()
                && errors.contains("left out huge: more than 1G of it are holes")
                && errors.contains("left out socket: "),
            "{who:?}: {}",
            said(&output)
        );
        let names = kept.sh("tar -tf out.tar --quoting-style=c | grep -v deep/");
        let names: Vec<&str> = names.lines().collect();
        assert!(
            names.contains(&"\"n\\nA  fake\\033[31m\"") && names.contains(&"\"two\""),
            "{names:?}"
        );
        assert!(kept.sh("tar -tvf out.tar two").ends_with(" link to one\n"));
        assert_eq!(kept.sh("tar -tf out.tar | grep -c 'd/end$'"), "1\n");
        kept.changes(&["discard", "--yes", "state"]);
        assert!(!kept.path("state").exists() && kept.path("low/d/f").exists());
    }
}

#[test]
fn an_upper_of_another_engine_is_refused() {
    let mut attributes =
        vec!["user.overlay.redirect", "user.overlay.metacopy", "user.fuseoverlayfs.x"];
    for who in As::all() {
        if *who == As::Root && is_root() {
            attributes.push("trusted.overlay.redirect");
        }
        let place = Place::new();
        let kept = Kept::new(&place, *who, "mkdir d", "echo x > d/f");
        for attribute in &attributes {
            let set = |how: &str| {
                let line = format!("import os\nos.{how}");
                kept.outside("python3", &["-c", &line]);
            };
            set(&format!("setxattr('state/upper/d', '{attribute}', b'/d')"));
            let output = kept.run(&["state"]);
            let said = unwrapped(&errors(&output));
            assert!(
                output.status.code() == Some(125)
                    && said.contains(&format!("`d` in it has the attribute `{attribute}`")),
                "{who:?}: {said}"
            );
            set(&format!("removexattr('state/upper/d', '{attribute}')"));
        }
        attributes.retain(|name| name.starts_with("user."));
        // One that a target sets in its tree is its own.
        kept.change("python3 -c 'import os; os.setxattr(\"d/f\", \"user.mine\", b\"x\")'");
        assert_eq!(kept.changes(&["state"]), "A  d/f\n");
    }
}

#[test]
fn changes_are_exported_as_a_layer() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, BEFORE, CHANGES);
        // What a reader of the layer would take for a removal is left out with all that is in it.
        let set_id = "mkdir .wh.gone; echo x > .wh.gone/in; cp /bin/true suid; chmod 4755 suid; chmod 700 .; \
                      printf a > holes; truncate -s 100K holes; printf b >> holes; \
                      n=$(printf '%0200d' 0); echo long > $n; ln -s $n$n longlink";
        kept.change(set_id);
        assert_eq!(kept.changes(&["export", "state", "layer.tar"]), "");
        let same = kept.run(&["export", "state", "-"]).stdout;
        assert!(same == std::fs::read(kept.path("layer.tar")).unwrap(), "{who:?}: not the same");
        kept.sh("mkdir out; tar -xf layer.tar -C out");
        let found = kept.sh("cd out; find . | sort");
        let n = "0".repeat(200);
        let expected = format!(
            ".\n./.wh.gone\n./.wh.moved\n./{n}\n./added\n./added/sub\n./added/sub/f\n./bin\n./both\n\
             ./doc\n./doc/.wh.a\n./doc/new\n./fifo\n./holes\n./link\n./longlink\n./mode\n./plain\n\
             ./plain/moved\n./same\n./suid\n"
        );
        assert_eq!(found, expected, "{who:?}");
        let out = kept.path("out");
        let mode = |name: &str| out.join(name).symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("suid"), mode("mode"), mode("")), (0o755, 0o755, 0o700));
        assert_eq!(std::fs::read_to_string(out.join("mode")).unwrap(), "m\n");
        assert_eq!(std::fs::read_link(out.join("longlink")).unwrap(), Path::new(&(n.clone() + &n)));
        let holes = std::fs::read(out.join("holes")).unwrap();
        let is_right = |(at, byte): (usize, &u8)| {
            *byte
                == match at {
                    0 => b'a',
                    102_400 => b'b',
                    _ => 0,
                }
        };
        assert!(holes.len() == 102_401 && holes.iter().enumerate().all(is_right));
    }
}

#[test]
fn a_kept_upper_is_discarded_whole_and_nothing_else() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, BEFORE, CHANGES);
        kept.sh("ln -s ../../low state/upper/out; mkdir -m 0 -p state/upper/shut; \
                 ln -s state name; chmod 0 state/work/work");
        // By another name, what that leads to is emptied, and the link stays.
        let low = kept.path("low").display().to_string();
        let done = format!("discarded the changes to {low}\n");
        assert_eq!(kept.changes(&["discard", "--yes", "state"]), done);
        assert!(!kept.path("state").exists() && kept.path("low/same").exists(), "{who:?}");
        let output = kept.run(&["discard", "--yes", "state"]);
        assert_eq!(output.status.code(), Some(125), "{}", said(&output));
    }
}

#[test]
fn only_a_kept_upper_of_the_callers_own_is_used() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, "true", "echo x > new");
        let refused = |words: &[&str], why: &str| {
            let output = kept.run(words);
            let said = unwrapped(&errors(&output));
            assert!(output.status.code() == Some(125) && said.contains(why), "{who:?}: {said}");
        };
        refused(&["low"], "it is no kept upper");
        kept.sh("chmod 755 state");
        refused(&["state"], "it is not the caller's alone");
        kept.sh("chmod 700 state; mv state/stockade r; ln -s ../r state/stockade");
        refused(&["discard", "state"], "it is no kept upper");
        kept.sh("rm state/stockade; echo '{}' > state/stockade");
        refused(&["state"], "this version of stockade does not write");
        kept.sh("rm state/stockade; mv r state/stockade");
        // While a sandbox uses it, it can be looked at alone.
        let file = std::fs::File::open(kept.path("state/stockade")).unwrap();
        file.lock().unwrap();
        for act in ["discard", "export"] {
            let mut words = vec![act, "state"];
            words.extend((act == "export").then_some("out.tar"));
            refused(&words, "a running sandbox uses it");
        }
        let output = kept.run(&["state"]);
        assert_eq!(text(&output.stdout), "A  new\n");
        assert!(errors(&output).contains("note: a running sandbox uses it"), "{}", said(&output));
        // A process that another test starts at this moment has a copy of the descriptor.
        file.unlock().unwrap();
        kept.changes(&["discard", "--yes", "state"]);
    }
    if is_root() {
        let place = Place::new();
        let kept = Kept::new(&place, As::User, "true", "echo x > new");
        let other = Kept { place: &place, who: As::Root };
        let output = other.run(&["state"]);
        assert!(errors(&output).contains("it is not the caller's alone"), "{}", said(&output));
        assert_eq!(kept.changes(&["state"]), "A  new\n");
    }
}

#[test]
fn what_entries_of_mounts_cover_is_listed_apart() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(
            &place,
            *who,
            "true",
            "mkdir -p point/below; echo x > point/below/f; echo y > new",
        );
        let low = kept.path("low").display().to_string();
        kept.sh(&format!(
            "echo '{{\"format\":1,\"path\":\"{low}\",\"layers\":[\"{low}\"],\"pid\":0,\
             \"mounts\":[\"{low}/point/below\"]}}' > state/stockade"
        ));
        let listed = "A  new\nKept back, as entries of [mounts] cover them:\n  \
                      A  point/below/\n  A  point/below/f\n";
        assert_eq!(kept.changes(&["state"]), listed);
        let output = kept.run(&["export", "state", "out.tar"]);
        assert!(errors(&output).contains("left out point/below/f: an entry of [mounts] covers it"));
    }
}

/// A file that is there is another export, or something else that has no copy.
#[test]
fn an_export_overwrites_nothing() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, "true", "echo x > new");
        kept.sh("echo mine > 'out of it.tar'; : > empty");
        let words = ["export", "state", "out of it.tar"];
        let output = kept.run(&words);
        let said = errors(&output);
        assert!(output.status.code() == Some(125) && said.contains("E1604"), "{who:?}: {said}");
        assert_eq!(kept.sh("cat 'out of it.tar'"), "mine\n");
        // Its help works.
        let remove = "rm 'out of it.tar'";
        assert!(unwrapped(&said).contains(remove), "{said}");
        kept.sh(remove);
        kept.changes(&words);
        // The twin: a file that mktemp(1) made has nothing to lose.
        kept.changes(&["export", "state", "empty"]);
        kept.sh("cmp 'out of it.tar' empty");
    }
}

/// In a directory of the tree a path is meant from there; it is one from the top.
#[test]
fn a_path_from_the_working_directory_is_told_from_the_top() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, "mkdir sub", "echo x > sub/new");
        let run = |words: &str| {
            let mut command = place.stockade(*who);
            command.arg("changes").args(words.split(' ')).current_dir(kept.path("low/sub"));
            command.output().unwrap()
        };
        for act in ["", "discard --yes ", "apply --yes "] {
            let output = run(&format!("{act}../../state new"));
            let said = unwrapped(&errors(&output));
            let act = act.replace("--yes ", "");
            let line = format!("stockade changes {act}../../state sub/new");
            assert!(said.contains("E1609") && said.contains(&line), "{who:?}: {said}");
        }
        // What is changed at neither place gets no such help, and the line works.
        let said = unwrapped(&errors(&run("../../state no")));
        assert!(said.contains("E1609") && !said.contains("sub/no"), "{who:?}: {said}");
        assert_eq!(text(&run("../../state sub/new").stdout), "A  sub/new\n");
    }
}

/// An upper over the host's tree at its own path, as `apply` takes it: `low`. What is there by now
/// is older.
fn own_tree<'p>(place: &'p Place, who: As, before: &str, changes: &str, mounts: &str) -> Kept<'p> {
    let kept = Kept::new(place, who, before, "true");
    kept.begin("$(date -d '+1 minute' +%s%N)", mounts);
    kept.change(changes);
    kept
}

impl Kept<'_> {
    /// Writes the record of an upper over the host's tree, begun at a time as a shell has it.
    fn begin(&self, begun: &str, mounts: &str) {
        let low = self.path("low").display().to_string();
        self.sh(&format!(
            "echo '{{\"format\":1,\"path\":\"{low}\",\"layers\":[\"{low}\"],\"pid\":0,\
             \"begun\":'{begun}',\"mounts\":[{mounts}]}}' > state/stockade"
        ));
    }
}

/// What a tree is, but for times.
const STATE: &str = "find . -printf '%p %y %m %l %U:%G\n' | sort; find . -type f ! -perm 0 | sort | \
                     xargs -d '\n' md5sum";

#[test]
fn changes_are_applied_to_the_tree_that_they_are_of() {
    for who in As::all() {
        let place = Place::new();
        let more = "; mkdir -p new/a/b; echo deep > new/a/b/c; chmod 500 new/a; ln -s /etc new/out; \
                    : > zero; chmod 0 zero; rm plain/moved; rmdir plain 2>/dev/null || true; \
                    mkdir -m 1777 sticky; truncate -s 1M sparse; rm fifo; rm bin; mkdir bin; \
                    echo in > bin/in; touch -d @1000000000 same";
        let kept = own_tree(&place, *who, BEFORE, &(CHANGES.to_owned() + more), "");
        // What the merged tree is, the tree becomes.
        let how = if *who == As::Root && is_root() { "-m" } else { "-Urm" };
        let merged = format!(
            "mount -t overlay overlay -o userxattr,lowerdir=low,upperdir=state/upper,\
             workdir=state/work mnt; cd mnt; {STATE}"
        );
        let merged = kept.outside("unshare", &[how, "sh", "-c", &merged]);
        let (user, group) = who.owner();
        let id = format!("{user}:{group}");
        let merged =
            if how == "-m" { merged } else { merged.replace(" 0:0\n", &format!(" {id}\n")) };
        let listed = kept.changes(&["state"]);
        let applied = kept.changes(&["apply", "--yes", "state"]);
        let count = listed.lines().count();
        let low = kept.path("low");
        let last = format!("{listed}applied {count} changes to {}\n", low.display());
        assert_eq!(applied, last, "{who:?}");
        assert_eq!(kept.sh(&format!("cd low; {STATE}")), merged, "{who:?}");
        assert_eq!(std::fs::metadata(low.join("same")).unwrap().mtime(), 1_000_000_000);
        let blocks = std::fs::metadata(low.join("sparse")).unwrap().blocks();
        assert!(blocks < 64, "{blocks}");
        // Nothing is left over, and the upper can be used again.
        assert_eq!(kept.changes(&["state"]), "");
        assert_eq!(kept.changes(&["apply", "--yes", "state"]), "nothing to apply\n");
        assert_eq!(
            kept.sh("ls -A state/upper state/work | grep -v :; ls state"),
            "\nstockade\nupper\nwork\n"
        );
    }
}

#[test]
fn what_a_target_must_not_decide_is_kept_back() {
    for who in As::all() {
        let place = Place::new();
        let low = place.path.join("kept/low").display().to_string();
        let kept = own_tree(
            &place,
            *who,
            "mkdir -p .git/hooks sub point; echo x > file; echo y > exec",
            "mkfifo fifo; echo e > suid; chmod 6755 suid; chmod 4644 file; echo h > .git/hooks/pre-commit; \
             mkdir -p sub/.git/hooks; echo h > sub/.git/hooks/post-commit; mkdir -p point/x; \
             echo m > point/x/y; mkdir -p made/by/us; echo t > made/by/us/t; echo o > made/o; \
             python3 -c 'import os; os.setxattr(\"exec\", \"user.mine\", b\"x\"); open(\"exec\", \"a\").write(\"z\")'",
            &format!("\"{low}/point/x\",\"{low}/made/by\""),
        );
        let said = kept.changes(&["apply", "--yes", "state"]);
        let expected = "M  exec\nA  suid\nRun later by the host, without being asked to:\n  \
            A  .git/hooks/pre-commit: git runs its hooks, and commands that its settings name\n  \
            A  sub/.git/: git runs its hooks, and commands that its settings name\n  \
            A  sub/.git/hooks/: git runs its hooks, and commands that its settings name\n  \
            A  sub/.git/hooks/post-commit: git runs its hooks, and commands that its settings name\n\
            Without the set-id bits that the target gave: suid\n\
            Kept back:\n  A  fifo (fifo): it is no file, directory or link\n  \
            M  file (mode 4644, was 0644): no owner and no set-id bit is applied\n  \
            A  made/: an entry of [mounts] lies below it\n  \
            A  made/by/: an entry of [mounts] covers it\n  \
            A  made/by/us/: an entry of [mounts] covers it\n  \
            A  made/by/us/t: an entry of [mounts] covers it\n  \
            A  made/o: its directory is kept back\n  \
            A  point/x/: an entry of [mounts] covers it\n  \
            A  point/x/y: an entry of [mounts] covers it\n";
        let also = "kept back 4 changes of what the host runs later: stockade changes apply --yes --run-later \
                    state\n";
        let expected = format!("{expected}applied 2 changes to {low}\n{also}");
        assert_eq!(said, expected, "{who:?}");
        let found = kept.sh("cd low; find . | sort; stat -c '%a %s' exec suid file");
        assert_eq!(
            found,
            ".\n./.git\n./.git/hooks\n./exec\n./file\n./point\n./sub\n./suid\n644 3\n755 2\n644 2\n"
        );
        let names = "import os; print(os.listxattr('low/exec'))";
        assert_eq!(kept.outside("python3", &["-c", names]), "[]\n");
        // What was applied is no change any more; the rest waits for its word.
        let listed = kept.changes(&["state"]);
        assert!(!listed.contains("suid") && listed.contains("A  fifo (fifo)\n"), "{listed}");
        let said = kept.changes(&["apply", "--yes", "--run-later", "state"]);
        assert!(said.contains("applied 4 changes"), "{said}");
        assert_eq!(kept.sh("cat low/.git/hooks/pre-commit"), "h\n");
    }
}

/// A changed file is a new one, but what the host gave to it stays: without its access list, whose
/// mask the bits of its group are, the group had what was another's. And other names of a file, which
/// the target did not see, are none of a change.
#[test]
fn what_the_host_gave_to_a_file_stays_with_it() {
    for who in As::all() {
        let place = Place::new();
        let id = nix::unistd::geteuid().as_raw().to_le_bytes();
        let entries = [(1, 6, None), (2, 6, Some(id)), (4, 0, None), (16, 6, None), (32, 0, None)];
        let list: String = entries
            .iter()
            .flat_map(|(tag, rights, id)| {
                [*tag, 0, *rights, 0].into_iter().chain(id.unwrap_or([255; 4]))
            })
            .fold("02000000".into(), |list, byte| format!("{list}{byte:02x}"));
        let before = format!(
            "echo old > file; echo o > twice; ln twice ../outside; python3 -c 'import os\n\
             os.setxattr(\"file\", \"system.posix_acl_access\", bytes.fromhex(\"{list}\"))\n\
             os.setxattr(\"file\", \"user.host\", b\"h\")'"
        );
        let what = "echo new > file; chmod 600 twice; python3 -c 'import os\n\
                    os.setxattr(\"file\", \"user.mine\", b\"m\")'";
        let kept = own_tree(&place, *who, &before, what, "");
        assert_eq!(kept.changes(&["state"]), "M  file\nM  twice (mode 0600, was 0644)\n");
        kept.changes(&["apply", "--yes", "state"]);
        let names = "import os; print(sorted(os.listxattr('low/file')), \
                     os.getxattr('low/file', 'system.posix_acl_access').hex())";
        let found = kept.outside("python3", &["-c", names]);
        let expected = format!("['system.posix_acl_access', 'user.host'] {list}\n");
        assert_eq!(found, expected, "{who:?}");
        let modes = kept.sh("stat -c %a low/file low/twice outside; cat low/twice outside");
        assert_eq!(modes, "660\n600\n644\no\no\n", "{who:?}");
        assert_eq!(kept.changes(&["state"]), "");
    }
}

/// Directories that their owner may not write to, or not enter by now, are changed all the same, and
/// have their modes at the end.
#[test]
fn closed_directories_are_changed_and_stay_closed() {
    for who in As::all() {
        let place = Place::new();
        let kept = own_tree(
            &place,
            *who,
            "mkdir -p shut/in ro/in; echo a > shut/a; echo b > shut/in/b; echo c > ro/c; echo d > ro/in/d; \
             echo x > x; chmod 555 ro/in ro",
            "rm shut/a; echo 2 > shut/in/b; chmod 0 shut/in shut; chmod 755 ro ro/in; rm ro/c; \
             echo 2 > ro/in/d; mkfifo ro/in/fifo; chmod 500 ro/in; chmod 555 ro; rm x; mkdir x",
            "",
        );
        let state = "cd low; chmod -R u+rwx shut 2>/dev/null; find . -printf '%p %y %m\\n' | sort; cat \
                     shut/in/b ro/in/d";
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains("applied 8 changes"), "{who:?}: {said}");
        assert_eq!(kept.sh("stat -c %a low/shut low/ro"), "0\n555\n", "{who:?}");
        let found = kept.sh(state);
        let expected = ". d 755\n./ro d 555\n./ro/in d 500\n./ro/in/d f 644\n./shut d 700\n./shut/in d \
                        700\n./shut/in/b f 744\n./x d 755\n2\n2\n";
        assert_eq!(found, expected, "{who:?}");
        // What was applied is out of the upper, and a later change of it can be applied.
        let listed = kept.changes(&["state"]);
        assert_eq!(listed, "A  ro/in/fifo (fifo)\n", "{who:?}");
    }
}

/// Uppers over trees of the host that are older than they, each with these changes: copies of one.
fn older_trees<'p>(places: &'p [Place], who: As, changes: &str) -> Vec<Kept<'p>> {
    let first = Kept::new(&places[0], who, BEFORE, "true");
    let others: Vec<String> =
        places[1..].iter().map(|place| place.folder("kept", who).display().to_string()).collect();
    let others = others.join(" ");
    first.sh(&format!("for d in {others}; do cp -a low mnt $d; done"));
    first.begin("$(date +%s%N)", "");
    first.change(changes);
    first.sh(&format!(
        "for d in {others}; do cp -a state $d; sed s,$PWD/low,$d/low,g state/stockade > \
         $d/state/stockade; done"
    ));
    places.iter().map(|place| Kept { place, who }).collect()
}

#[test]
fn what_the_host_changed_meanwhile_refuses_all() {
    let all = ["echo more >> same", "touch doc/deep/b", "chmod 600 mode", "echo z > both/z"];
    let what = "echo 2 > same; rm -r doc; rm -r both; chmod 700 mode; echo n > new";
    let trees: Vec<(As, [Place; 4])> =
        As::all().iter().map(|who| (*who, all.map(|_| Place::new()))).collect();
    let trees = trees.iter().flat_map(|(who, places)| older_trees(places, *who, what));
    for (kept, meanwhile) in trees.zip(all.iter().cycle()) {
        let before = kept.sh(&format!("cd low; {meanwhile}; {STATE}"));
        let output = kept.run(&["apply", "--yes", "state"]);
        let said = unwrapped(&errors(&output));
        assert!(
            output.status.code() == Some(125) && said.contains("since"),
            "{:?}: {meanwhile}: {said}",
            kept.who
        );
        assert_eq!(kept.sh(&format!("cd low; {STATE}")), before);
    }
}

/// What a help names works as it is, and ends a conflict.
#[test]
fn a_conflict_has_ways_out() {
    for who in As::all() {
        let place = Place::new();
        let before = "echo 1 > same; mkdir -p doc/deep old; echo a > doc/a; echo b > doc/b; echo x > \
                      old/x; ln same linked";
        let kept = Kept::new(&place, *who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change(
            "echo 2 > same; rm doc/a; echo 2 > doc/b; mkdir -p new/in; echo 1 > new/in/f; rm -r old",
        );
        kept.sh("cd low; echo host > same; echo host > old/y");
        let conflict = || {
            let output = kept.run(&["apply", "--yes", "state"]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(125), "{who:?}: {said}");
            assert!(said.contains("it since, and 1 more"), "{who:?}: {said}");
            said
        };
        let helped = |said: &str, act: &str| {
            let line = said.lines().find_map(|line| line.split_once(act)).expect(said).1;
            kept.sh(&format!(
                "{}/{}",
                place.path.display(),
                line.trim().trim_end_matches('│').trim()
            ))
        };
        let said = conflict();
        let compared = helped(&said, "the two: ");
        assert!(compared.starts_with("D  old/\nM  same\n"), "{compared}");
        // What is not in a conflict.
        let applied = helped(&said.replace("changes apply", "changes apply --yes"), "alone: ");
        assert!(applied.contains("applied 5 changes"), "{who:?}: {applied}");
        assert_eq!(
            kept.sh("cd low; cat same old/y doc/b new/in/f; ls doc"),
            "host\nhost\n2\n1\nb\ndeep\n"
        );
        assert_eq!(kept.changes(&["state"]), "D  old/\nM  same\n", "{who:?}");
        // Later times do not hide what it was.
        let said = conflict();
        assert!(!said.contains("alone"), "{said}");
        helped(&said.replace("changes discard", "changes discard --yes"), "stay: ");
        assert_eq!(kept.changes(&["state"]), "", "{who:?}");
        assert_eq!(kept.change("cat same old/y; echo 3 > same; rm -r old"), "host\nhost\n");
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains("applied 2 changes"), "{who:?}: {said}");
        assert_eq!(kept.sh("cd low; cat same linked; ls"), "3\nhost\ndoc\nlinked\nnew\nsame\n");
        assert_eq!(kept.sh("ls state"), "stockade\nupper\nwork\n");
    }
}

/// What was applied in a directory that the target had made anew is the host's from then on.
#[test]
fn what_is_applied_in_a_directory_made_anew_is_no_change_any_more() {
    for who in As::all() {
        let place = Place::new();
        let before = "mkdir -p d/old; echo 1 > d/a; echo 1 > d/b; echo 1 > d/old/f";
        let anew =
            "rm -r d; mkdir d; mkfifo d/fifo; echo 2 > d/x; mkdir d/in d/old; echo 2 > d/in/y";
        let kept = Kept::new(&place, *who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change(anew);
        let shown = || kept.change("find d | sort");
        let all = "d\nd/fifo\nd/in\nd/in/y\nd/old\nd/x\n";
        // Some of it: what is not, stays as the target sees it.
        kept.changes(&["apply", "--yes", "state", "d/x", "d/a"]);
        assert_eq!(shown(), all, "{who:?}");
        let left = "D  d/b\nA  d/fifo (fifo)\nA  d/in/\nA  d/in/y\nD  d/old/f\n";
        assert_eq!(kept.changes(&["state"]), left, "{who:?}");
        kept.changes(&["apply", "--yes", "state"]);
        assert_eq!(shown(), all, "{who:?}");
        assert_eq!(kept.changes(&["state"]), "A  d/fifo (fifo)\n", "{who:?}");
        // What the host does there later shows, and does not come back.
        kept.sh("cd low/d; rm x; echo host > host");
        assert_eq!(shown(), "d\nd/fifo\nd/host\nd/in\nd/in/y\nd/old\n", "{who:?}");
        assert_eq!(kept.changes(&["state"]), "A  d/fifo (fifo)\n", "{who:?}");
    }
}

/// What is applied in a directory goes out of the upper, also where the mode of that is left.
#[test]
fn a_mode_that_is_left_keeps_nothing_that_is_applied() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, "mkdir d; echo 1 > d/a; echo 1 > d/gone", "true");
        kept.begin("$(date +%s%N)", "");
        kept.change("chmod g+s d; echo 2 > d/a; rm d/gone; mkfifo d/fifo");
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains("applied 2 changes"), "{who:?}: {said}");
        assert_eq!(kept.sh("ls state/upper/d"), "fifo\n", "{who:?}");
        kept.sh("echo host > low/d/a; echo host > low/d/gone");
        assert_eq!(kept.change("cat d/a d/gone; stat -c %a d"), "host\nhost\n2755\n", "{who:?}");
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains("nothing to apply"), "{who:?}: {said}");
    }
}

/// What the target removed of a directory that the caller may pass and not list is not known: it is said,
/// and nothing in it is applied, taken out or shown again.
#[test]
fn a_directory_made_anew_over_one_that_cannot_be_listed_stays_whole() {
    if !is_root() {
        return skip("only root makes directories of another user");
    }
    let place = Place::new();
    let before = "mkdir -p way/d; echo 1 > way/d/a; echo 1 > way/d/b";
    let kept = Kept::new(&place, As::User, before, "true");
    kept.begin("$(date +%s%N)", "");
    kept.change("rm -r way; mkdir -p way/d; echo 2 > way/d/new; echo 2 > way/new");
    let low = kept.path("low/way/d");
    let own = |owner, mode| {
        std::os::unix::fs::chown(&low, Some(owner), Some(owner)).unwrap();
        std::fs::set_permissions(&low, PermissionsExt::from_mode(mode)).unwrap();
    };
    own(0, 0o711);
    let closed = "way/d/ (closed to you: what is in it is not listed)";
    let listed = kept.changes(&["state"]);
    assert!(listed.starts_with(&format!("M  {closed}")), "{listed}");
    assert!(listed.ends_with("\nA  way/new\n") && listed.lines().count() == 2, "{listed}");
    let applied = kept.changes(&["apply", "--yes", "state"]);
    assert!(applied.contains(closed) && applied.contains("applied 1 change to"), "{applied}");
    let output = kept.run(&["discard", "--yes", "state", "way/d/new"]);
    let why = said(&output);
    let is_refused = output.status.code() == Some(125) && why.contains("`way/d` is closed to you");
    assert!(is_refused, "{why}");
    assert_eq!(
        kept.sh("ls state/upper/way state/upper/way/d"),
        "state/upper/way:\nd\n\nstate/upper/way/d:\nnew\n"
    );
    // The twin: it can be listed.
    own(USER, 0o755);
    assert_eq!(kept.changes(&["state"]), "D  way/d/a\nD  way/d/b\nA  way/d/new\n");
    kept.changes(&["discard", "--yes", "state", "way/d/new", "way/d/a"]);
    assert_eq!(kept.change("ls way/d"), "a\n");
}

/// What the target changed and the host has removed since does not come back without a word.
#[test]
fn what_the_host_has_removed_is_a_conflict() {
    for (who, host) in
        As::all().iter().flat_map(|who| [(*who, "true"), (*who, "rm edited; rm -r d")])
    {
        let place = Place::new();
        let before =
            "mkdir -p d/in e; echo 1 > edited; echo 1 > moved; echo 1 > d/in/f; echo other > e/f";
        let kept = Kept::new(&place, who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change("echo 2 > edited; mv moved e/to; echo 2 > d/in/f; echo new > new; rm e/f");
        kept.sh(&format!("cd low; {host}"));
        let apply =
            |paths: &[&str]| said(&kept.run(&[&["apply", "--yes", "state"], paths].concat()));
        let has = |name: &str| kept.path("low").join(name).exists();
        let all = apply(&[]);
        // The twin: a file that the target has moved is a copy, too.
        if host == "true" {
            assert!(all.contains("applied 6 changes"), "{who:?}: {all}");
            assert_eq!(kept.sh("cd low; cat edited e/to d/in/f"), "2\n1\n2\n");
            continue;
        }
        assert!(all.contains("`d`: the host has removed it since, and 3 more"), "{who:?}: {all}");
        assert!(!has("edited") && !has("d") && !has("new"), "{who:?}");
        let alone = apply(&["new", "moved", "e/to"]);
        assert!(alone.contains("applied 3 changes"), "{who:?}: {alone}");
        // What an apply makes beside it hides nothing of it.
        let again = apply(&[]);
        assert!(again.contains("the host has changed it since, and 4 more"), "{who:?}: {again}");
        kept.changes(&["discard", "--yes", "state", "d", "edited", "e/f"]);
        assert_eq!(kept.changes(&["state"]), "", "{who:?}");
        assert!(!has("edited") && !has("d") && has("e/to") && has("new"), "{who:?}");
    }
}

/// What lies in a directory that the host has moved to another's name has old times, and is not what the
/// target changed. A name that the host has made beside it is no reason.
#[test]
fn what_the_host_has_moved_there_is_a_conflict() {
    let moves = [
        (
            "mv a gone; mv b a",
            "`a/f`: the host may have moved another directory to",
            "cat a/f a/r a/n",
        ),
        // Where the target has made one of that name, or had it removed before.
        ("mv b out", "`out/n`: the host may have moved", "cat out/f out/r out/n"),
        ("mv old gone; mv b old", "`old/f`: the host may have moved", "cat old/f old/r old/n"),
        (
            "mv up gone; mkdir up; mv b up/in; mv up/in up/a",
            "`up/a/f`: the",
            "cat up/a/f up/a/r up/a/n",
        ),
        ("echo 1 > a/host; echo 1 > host", "applied 8 changes", "cat a/host host; test ! -e a/r"),
    ];
    for who in As::all() {
        for (host, expected, there) in moves {
            let place = Place::new();
            let before = "mkdir -p a b old up/a; for f in f r n; do echo host > b/$f; done; \
                          for d in a old up/a; do echo 1 > $d/f; echo 1 > $d/r; done";
            let kept = Kept::new(&place, *who, before, "true");
            kept.begin("$(date +%s%N)", "");
            kept.change(
                "echo 2 > a/f; rm a/r; rm -r old; mkdir old; echo 2 > old/n; mkdir out; echo 2 > out/n; \
                 echo 2 > up/a/f",
            );
            kept.sh(&format!("cd low; {host}"));
            let output = said(&kept.run(&["apply", "--yes", "state"]));
            assert!(output.contains(expected), "{who:?}: {host}: {output}");
            let there = kept.sh(&format!("cd low; {there}"));
            let is_twin = expected.starts_with("applied");
            assert_eq!(there, if is_twin { "1\n1\n" } else { "host\nhost\nhost\n" }, "{host}");
        }
    }
}

/// To apply a part changes the directories of the rest, which is no act of the host's.
#[test]
fn what_an_apply_makes_beside_the_rest_is_no_conflict() {
    for who in As::all() {
        let place = Place::new();
        let before = "mkdir old a; echo 1 > old/f; echo 1 > old/g; echo 1 > a/f";
        let changes = "rm -r old; mkdir old; echo 2 > old/f; echo 2 > old/n; echo 2 > a/f; \
                       echo 2 > a/n; echo 2 > n";
        let kept = Kept::new(&place, *who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change(changes);
        kept.changes(&["apply", "--yes", "state", "n", "old/n", "a/n"]);
        assert!(!kept.path("state/meanwhile").exists());
        let rest = kept.changes(&["apply", "--yes", "state"]);
        assert!(rest.contains("applied 3 changes"), "{who:?}: {rest}");
        assert_eq!(kept.sh("cd low; cat old/f a/f; ls old"), "2\n2\nf\nn\n");
    }
}

/// A file that was moved is known from one that the host has removed; where it is not, neither it nor
/// its removal is offered alone, and its content stays in one place at least.
#[test]
fn a_file_that_was_moved_is_not_lost_by_a_conflict() {
    for who in As::all() {
        // It is as it was, or written to; the host makes a name beside it, and sets the time back.
        for (change, is_told) in [("true", true), ("echo more >> d/b", false)] {
            let place = Place::new();
            let kept = Kept::new(&place, *who, "mkdir d; echo precious > d/a; echo 1 > x", "true");
            kept.begin("$(date +%s%N)", "");
            kept.change(&format!("mv d/a d/b; {change}; echo 2 > x"));
            kept.sh("touch -r low/d when; echo host > low/d/host; touch -r when low/d");
            let output = kept.run(&["apply", "--yes", "state"]);
            let why = said(&output);
            if is_told {
                assert!(why.contains("applied 3 changes"), "{who:?}: {why}");
                assert_eq!(kept.sh("cd low/d; ls; cat b"), "b\nhost\nprecious\n");
                continue;
            }
            assert_eq!(output.status.code(), Some(125), "{who:?}: {why}");
            assert!(why.contains("changes discard state d/a d/b"), "{who:?}: {why}");
            assert!(why.contains("changes apply state x\n"), "{who:?}: {why}");
            kept.changes(&["apply", "--yes", "state", "x"]);
            kept.changes(&["discard", "--yes", "state", "d/a", "d/b"]);
            assert_eq!(kept.sh("cd low; cat d/a x; ls d"), "precious\n2\na\nhost\n");
        }
    }
}

/// What the host has changed is not forgotten where the target puts something else at the path, above or
/// below it, once others were applied.
#[test]
fn a_conflict_is_not_forgotten_by_what_the_target_does_next() {
    let who = As::all()[0];
    // What the target does first and then, and which conflict there is: none in the twins.
    for (first, then, conflict) in [
        ("echo t > d/x", "rm -r d", Some("d")),
        ("rm -r d", "mkdir d; echo evil > d/x", Some("d/x")),
        ("rm d/x; mkfifo d/x", "rm d/x; echo evil > d/x", Some("d/x")),
        ("echo t > d/x", "rm d/x; mkfifo d/x", Some("d/x")),
        ("echo t > y", "rm y; mkdir y; echo t > y/d", None),
        ("echo t > d/y", "echo 2 > d/y; mkdir d/z", None),
    ] {
        let place = Place::new();
        let before = "mkdir d; echo h > d/x; echo o > o; echo o > p; sleep .02";
        let kept = Kept::new(&place, who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change(&format!("{first}; echo t > o; echo t > p"));
        if conflict.is_some() {
            kept.sh("echo \"HOST'S WORK\" > low/d/x");
        }
        kept.changes(&["apply", "--yes", "state", "o"]);
        kept.change(then);
        // Another that is applied does not make it forgotten either.
        kept.changes(&["apply", "--yes", "state", "p"]);
        if then.contains("mkfifo") {
            kept.changes(&["apply", "--yes", "state"]);
            kept.change("rm d/x; echo evil > d/x");
        }
        let output = kept.run(&["apply", "--yes", "state"]);
        let said = unwrapped(&errors(&output));
        match conflict {
            Some(path) => {
                assert_eq!(output.status.code(), Some(125), "{first}; {then}");
                assert!(said.contains(&format!("`{path}`: the host has changed")), "{said}");
                assert_eq!(kept.sh("cat low/d/x"), "HOST'S WORK\n", "{first}; {then}");
                kept.changes(&["discard", "--yes", "state", path]);
                assert_eq!(kept.change("cat d/x; echo 3 > d/x"), "HOST'S WORK\n");
                kept.changes(&["apply", "--yes", "state"]);
                assert_eq!(kept.sh("cat low/d/x; ls state"), "3\nstockade\nupper\nwork\n");
            }
            None => assert!(output.status.success(), "{first}; {then}: {said}"),
        }
    }
}

/// What is kept back is no conflict where the host has changed it, and its removal is kept back as it
/// is: what it was moved to is, too.
#[test]
fn what_is_kept_back_is_no_conflict_and_is_not_removed() {
    for who in As::all() {
        let place = Place::new();
        let before = "mkdir -p .git/hooks sub/deep plain bare/objects bare/refs; echo i > .git/index; \
                      echo h > .git/hooks/pre-commit; echo e > sub/deep/.envrc; echo f > file; \
                      echo plain > plain/p; echo c > bare/HEAD";
        let kept = Kept::new(&place, *who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change("echo 2 > file; echo 2 > .git/index; echo x > .git/x");
        kept.sh("echo host > low/.git/index");
        let said = kept.changes(&["apply", "--yes", "state"]);
        let index = "M  .git/index: the host runs it later, and has changed it since\n";
        assert!(said.contains(index) && said.contains("applied 1 change "), "{who:?}: {said}");
        // That it was changed is not forgotten.
        let refused = kept.run(&["apply", "--yes", "--run-later", "state"]);
        assert_eq!(refused.status.code(), Some(125), "{}", text(&refused.stdout));
        assert!(text(&refused.stderr).contains("`.git/index`: the host has changed it since"));
        kept.changes(&["discard", "--yes", "state", ".git"]);

        kept.change("mv sub moved; rm -r plain; mv bare other; rm .git/hooks/pre-commit");
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains("D  sub/: direnv runs it\n"), "{who:?}: {said}");
        assert!(said.contains("D  bare/: git runs its hooks"), "{who:?}: {said}");
        let found = kept.sh("cd low; find . | sort");
        let all = "./bare/HEAD\n./bare/objects\n./bare/refs\n./file\n./moved\n./moved/deep\n./other\n./sub\n\
                   ./sub/deep\n./sub/deep/.envrc\n";
        assert!(found.ends_with(all) && found.contains("./.git/hooks/pre-commit\n"), "{found}");
        kept.changes(&["apply", "--yes", "--run-later", "state"]);
        let found = kept.sh("cd low; find . -type f | sort");
        assert_eq!(found, "./.git/index\n./file\n./moved/deep/.envrc\n./other/HEAD\n", "{who:?}");
    }
}

/// Paths that are taken out show the layers' again, and nothing else becomes another.
#[test]
fn paths_are_taken_out_of_an_upper() {
    for who in As::all() {
        let place = Place::new();
        let before = "mkdir -p doc/deep/er plain; echo a > doc/a; echo b > doc/b; echo c > doc/deep/c; \
                      echo e > doc/deep/er/e; echo f > doc/file; echo p > plain/p; echo k > kind";
        let changes = "rm -r doc; mkdir -p doc/deep/er doc/file; echo new > doc/new; echo 2 > doc/deep/d; \
                       chmod 500 doc/deep; echo 2 > plain/p; mkdir only; echo 1 > only/x; echo 2 > only/y; \
                       rm kind; mkdir kind; echo 1 > kind/x; echo 1 > ./-x";
        // Over the host's tree, and over layers elsewhere.
        for of_the_host in [true, false] {
            let place = if of_the_host { &place } else { &Place::new() };
            let kept = Kept::new(place, *who, before, changes);
            if of_the_host {
                kept.begin("$(date -d '+1 minute' +%s%N)", "");
            }
            let discard =
                |paths: &[&str]| kept.changes(&[&["discard", "--yes", "state"], paths].concat());
            let all = [
                "",
                "/-x",
                "/doc",
                "/doc/a",
                "/doc/deep",
                "/doc/deep/c",
                "/doc/deep/d",
                "/doc/deep/er",
                "/doc/file",
                "/doc/new",
                "/kind",
                "/kind/x",
                "/only",
                "/only/y",
                "/plain",
                "/plain/p",
            ]
            .map(|path| format!(".{path}\n"))
            .concat();
            let low = kept.path("low").display().to_string();
            let said = discard(&["doc/a", &format!("{low}/doc/deep/c"), "only/x/"]);
            assert!(said.starts_with("D  doc/a\nD  doc/deep/c\nA  only/x\ndiscarded 3 "), "{said}");
            assert_eq!(
                kept.change("find . | LC_ALL=C sort; cat doc/a doc/deep/c"),
                format!("{all}a\nc\n")
            );
            assert_eq!(kept.change("stat -c %a doc/deep; cat doc/deep/d"), "500\n2\n");
            let listed = "A  -x\nD  doc/b\nM  doc/deep/ (mode 0500, was 0755)\nA  doc/deep/d\nD  \
                          doc/deep/er/e\nT  doc/file/ (was a file)\nA  doc/new\nT  kind/ (was a file)\n\
                          A  kind/x\nA  only/\nA  only/y\nM  plain/p\n";
            assert_eq!(kept.changes(&["state"]), listed, "{who:?}");
            discard(&["plain", "doc/deep/er", "./-x", "kind", "doc/file", "only"]);
            let listed =
                "D  doc/b\nM  doc/deep/ (mode 0500, was 0755)\nA  doc/deep/d\nA  doc/new\n";
            assert_eq!(kept.changes(&["state"]), listed, "{who:?}");
            discard(&["doc", "doc/new"]);
            assert_eq!(kept.changes(&["state"]), "");
            assert_eq!(kept.change("find . | sort"), kept.sh("cd low; find . | sort"));
            assert_eq!(kept.sh("ls state"), "stockade\nupper\nwork\n");
        }
    }
}

/// Each step shows the same files, but for the path.
#[test]
fn a_discard_of_paths_that_is_killed_is_ended_by_the_next() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    let calls =
        ["mknodat", "fsetxattr", "fremovexattr", "renameat2", "unlinkat", "syncfs", "fsync"];
    for call in calls {
        let place = Place::new();
        let before =
            "mkdir -p doc/a/in doc/deep; echo a > doc/a/x; echo b > doc/b; echo c > doc/deep/c";
        let changes = "rm -r doc; mkdir -p doc/a doc/deep; echo 2 > doc/a/x; echo new > doc/new";
        let kept = own_tree(&place, who, before, changes, "");
        let rest = "find . -path ./doc/a -prune -o -exec test -e {} \\; -print | LC_ALL=C sort";
        let at = "find doc/a | LC_ALL=C sort";
        let as_it_was = kept.change(rest);
        let mut command = place.outside(who, "/usr/bin/strace");
        let fault = format!("inject={call}:signal=KILL:when=1");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(place.path.join("stockade"));
        command.args(["changes", "discard", "--yes", "state", "doc/a"]).current_dir(kept.path(""));
        assert_eq!(command.output().unwrap().status.code(), None, "{call}");
        assert_eq!(kept.change(rest), as_it_was, "{call}");
        let is_begun = kept.path("state/discarded").exists();
        let again = kept.run(&["discard", "--yes", "state", "doc/a", "doc/new"]);
        if !again.status.success() {
            assert!(!is_begun, "{call}: {}", said(&again));
            assert!(
                errors(&again).contains("nothing is changed there"),
                "{call}: {}",
                said(&again)
            );
            kept.changes(&["discard", "--yes", "state", "doc/new"]);
        }
        assert_eq!(kept.change(at), "doc/a\ndoc/a/in\ndoc/a/x\n", "{call}");
        assert_eq!(kept.changes(&["state"]), "D  doc/b\nD  doc/deep/c\n", "{call}");
        assert_eq!(kept.sh("ls state; cat low/doc/a/x"), "stockade\nupper\nwork\na\n", "{call}");
    }
}

#[test]
fn paths_that_mean_nothing_are_refused_and_new_directories_come_along() {
    let who = As::all()[0];
    let place = Place::new();
    let before = "mkdir old; echo 1 > old/x; echo k > kind; echo 1 > notes";
    let changes = "rm -r old; rm kind; mkdir kind; echo 1 > kind/x; mkdir -p new/in; echo 1 > new/in/f; echo 2 \
                   > new/g; mkdir -p repo/.git; echo 1 > repo/.git/config; echo 2 > notes";
    let kept = own_tree(&place, who, before, changes, "");
    for (path, why, help) in [
        ("note", "nothing is changed there", "did you mean `notes`?"),
        ("xyzzy", "nothing is changed there", "see what is: stockade changes state"),
        ("/elsewhere/x", "it does not lie in /", "see what is"),
        ("old/x", "`old` is removed with everything in it", "ACT state old"),
        ("", "an empty word names nothing", "without paths it is all: stockade changes ACT state"),
    ] {
        for act in ["apply", "discard"] {
            let output = kept.run(&[act, "--yes", "state", "notes", path]);
            let said = unwrapped(&errors(&output));
            let help = help.replace("ACT", act);
            let is_said = said.contains(why) && said.contains(&*help);
            assert!(output.status.code() == Some(125) && is_said, "{act} {path}: {said}");
        }
    }
    // Nobody waits for a FIFO.
    kept.sh("mkfifo state/meanwhile");
    assert_eq!(kept.run(&["apply", "--yes", "state", "notes"]).status.code(), Some(125));
    kept.sh("rm state/meanwhile");
    let said = unwrapped(&errors(&kept.run(&["discard", "--yes", "state", "."])));
    assert!(said.contains("discard it whole: stockade changes discard state"), "{said}");
    // By the way of a question the paths stay named.
    let said = unwrapped(&errors(&kept.run(&["apply", "state", "notes", "new/in"])));
    assert!(said.contains("stockade changes apply --yes state notes new/in"), "{said}");
    // What is not named is neither applied nor shown.
    let said = kept.changes(&["apply", "--yes", "state", "new/in", "repo"]);
    assert!(said.contains("A  new/\nA  new/in/\nA  new/in/f\nA  repo/\nRun later"), "{said}");
    assert!(!said.contains("notes") && said.contains("applied 4 changes"), "{said}");
    // A file is not replaced by a directory that was not named.
    let said = kept.changes(&["apply", "--yes", "state", "kind/x"]);
    assert!(
        said.contains("  A  kind/x: its directory takes the place of")
            && said.contains("nothing to apply"),
        "{said}"
    );
    assert_eq!(kept.sh("cd low; find . -type f | sort"), "./kind\n./new/in/f\n./notes\n./old/x\n");
    let listed = "T  kind/ (was a file)\nA  kind/x\nA  new/g\nM  notes\nD  old/\nA  repo/.git/\nA  repo/.git/config\n";
    assert_eq!(kept.changes(&["state"]), listed);
    let said = kept.changes(&["apply", "--yes", "--run-later", "state", "."]);
    assert!(said.contains("applied 7 changes"), "{said}");
}

/// What could not be removed once its place is switched is found before anything is; and an apply that
/// ended there hinders no other.
#[test]
fn what_holds_files_of_another_is_not_removed() {
    if !is_root() {
        return skip("only root makes files of another user");
    }
    let place = Place::new();
    let before = "mkdir -p d/own/its e; echo m > d/own/mine; echo e > e/f; echo f > f";
    let kept = own_tree(&place, As::User, before, "rm -r e; echo 2 > f", "");
    kept.sh("mknod state/upper/d c 0 0");
    let its = kept.path("low/d/own/its");
    std::fs::write(its.join("f"), "root's").unwrap();
    std::os::unix::fs::chown(&its, Some(0), Some(0)).unwrap();
    let output = kept.run(&["apply", "--yes", "state"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("D  d/: the caller may not remove what is in it\n"), "{said}");
    assert_eq!(kept.sh("cat low/f; ls -A low"), "f\nd\ne\nf\n");

    // As if it had been switched.
    let other = ".stockade-0123456789abcdef-0";
    kept.sh(&format!(
        "mv low/d low/{other}; echo '{{\"stage\":\"done\",\"prefix\":\".stockade-0123456789abcdef-\",\
         \"units\":[{{\"path\":\"d\",\"act\":\"remove\",\"new\":0,\"old\":'$(stat -c %i low/{other})',\
         \"written\":[0,0],\"made\":[0,0]}}]}}' > state/journal"
    ));
    let output = kept.run(&["apply", "--yes", "state"]);
    let said = text(&output.stderr);
    let stays = format!("and stays:\n  {other}: ");
    assert!(output.status.success() && said.contains(&stays), "{said}");
    assert_eq!(kept.sh("cat low/f; ls state"), "2\nstockade\nupper\nwork\n");

    // The twin: where that holds nothing, it goes.
    let place = Place::new();
    let kept = own_tree(&place, As::User, before, "rm -r e", "");
    kept.sh("mknod state/upper/d c 0 0");
    std::os::unix::fs::chown(kept.path("low/d/own/its"), Some(0), Some(0)).unwrap();
    kept.changes(&["apply", "--yes", "state"]);
    assert_eq!(kept.sh("ls -A low"), "f\n");
}

/// Below a directory that the caller may pass and not list, changes are what they are elsewhere.
#[test]
fn below_a_directory_that_is_passed_and_not_listed_changes_are_found() {
    if !is_root() {
        return skip("only root makes a directory of another user");
    }
    let place = Place::new();
    let before = "mkdir -p home/stk; echo a > home/stk/a; echo b > home/stk/b";
    let kept = own_tree(&place, As::User, before, "echo evil > home/stk/a; rm home/stk/b", "");
    kept.sh("chmod 711 low/home state/upper/home");
    std::os::unix::fs::chown(kept.path("low/home"), Some(0), Some(0)).unwrap();
    assert_eq!(kept.changes(&["state"]), "M  home/stk/a\nD  home/stk/b\n");
    kept.changes(&["apply", "--yes", "state"]);
    assert_eq!(kept.sh("cd low/home/stk; cat a; ls"), "evil\na\n");
}

/// While a question waits, the host changes more; what was not chosen does not lose that.
#[test]
fn what_the_host_changes_while_it_is_asked_stays_a_conflict() {
    let who = As::all()[0];
    for act in ["apply", "discard"] {
        let place = Place::new();
        // `same` is in the upper, and no change.
        let before = "for name in a b c e f same; do echo 1 > $name; done; mkdir d; echo 1 > d/x";
        let kept = Kept::new(&place, who, before, "true");
        kept.begin("$(sleep 0.02; date +%s%N)", "");
        kept.change(
            "echo 2 > a; echo 2 > b; echo 2 > n; rm -r d; echo 2 > c; echo 2 > e; echo 2 > f; \
             echo 2 > same; echo 1 > same",
        );
        let line = format!("script -qec \"$0 changes {act} state a\" /dev/null");
        let launcher = place.path.join("stockade");
        let mut command = place.outside(who, "sh");
        command.args(["-c", &line, launcher.to_str().unwrap()]).current_dir(kept.path(""));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawned(&mut command);
        let (mut out, mut said) = (child.stdout.take().unwrap(), vec![0; 1]);
        while !text(&said).contains("[y/N]") {
            let mut byte = [0];
            assert_eq!(out.read(&mut byte).unwrap(), 1, "{}", text(&said));
            said.push(byte[0]);
        }
        // The same size and time, and the mode alone, too.
        kept.sh(
            "cd low; echo host > b; echo host > n; echo host > d/y; touch -r e ../e; echo h > e; \
             touch -r ../e e; chmod 600 f; echo host > same",
        );
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"y\n").unwrap();
        out.read_to_end(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{}", text(&said));
        let past = if act == "apply" { "applied 1 change" } else { "discarded 1 change" };
        assert!(text(&said).contains(past), "{}", text(&said));
        let output = kept.run(&["apply", "--yes", "state"]);
        let said = unwrapped(&errors(&output));
        // An apply takes what is no change out of the upper.
        let (count, all) = match act {
            "apply" => (4, "b d e f n"),
            _ => (5, "b d e f n same"),
        };
        let more = format!("`b`: the host has changed it since, and {count} more");
        assert!(said.contains(&more), "{act}: {said}");
        let discard = format!("stockade changes discard state {all}");
        assert!(said.contains(&discard) && said.contains("apply state c"), "{act}: {said}");
        let a = if act == "apply" { "2" } else { "1" };
        assert_eq!(
            kept.sh("cd low; cat a b c e n d/y same; stat -c %a f"),
            format!("{a}\nhost\n1\nh\nhost\nhost\nhost\n600\n"),
            "{act}"
        );
    }
}

/// Where it is killed, and where the disk is full: each path is old or new, and the next goes back.
#[test]
fn an_apply_that_fails_is_undone_and_one_that_is_killed_too() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    // Who is not root opens and closes directories, too.
    let who = *As::all().last().unwrap();
    let what = "echo 2 > same; rm -r doc; chmod 700 mode; echo n > plain/n; chmod 500 plain; \
                mkdir new; echo n > new/n; rm gone; ln -sf other link";
    let calls = [
        ("renameat2", 1..10),
        ("fchmodat", 1..3),
        ("syncfs", 1..3),
        ("fsync", 1..6),
        ("pwrite64", 1..2),
        ("unlinkat", 1..4),
    ];
    let faults: Vec<String> = calls
        .into_iter()
        .flat_map(|(call, times)| times.map(move |when| (call, when)))
        .flat_map(|(call, when)| {
            ["error=ENOSPC", "signal=KILL"].map(|how| format!("inject={call}:{how}:when={when}"))
        })
        .collect();
    let places: Vec<Place> = faults.iter().map(|_| Place::new()).collect();
    let (mut undone, mut killed) = (0, 0);
    let trees = older_trees(&places, who, what);
    let before = trees[0].sh(&format!("cd low; {STATE}"));
    for (kept, fault) in trees.iter().zip(&faults) {
        let mut command = kept.place.outside(who, "/usr/bin/strace");
        command.args(["-o", "/dev/null", "-e", fault]).arg(kept.place.path.join("stockade"));
        command.args(["changes", "apply", "--yes", "state"]).current_dir(kept.path(""));
        let output = command.output().unwrap();
        let said = format!("{fault}: {}", said(&output));
        if output.status.code() == Some(125) {
            undone += 1;
            assert_eq!(kept.sh(&format!("cd low; {STATE}")), before, "{said}");
        }
        killed += u32::from(output.status.code().is_none());
        // Each place is old or new.
        let read = |name: &str| std::fs::read_to_string(kept.path(name)).unwrap_or_default();
        let link = || std::fs::read_link(kept.path("low/link")).unwrap();
        assert!(["one\ntwo\nthree\n", "2\n"].contains(&&*read("low/same")), "{said}");
        assert!(["same", "other"].contains(&link().to_str().unwrap()), "{said}");
        assert!(["", "n\n"].contains(&&*read("low/new/n")), "{said}");
        // Whatever it was, the next one leads to the end, and nothing is left over.
        let again = kept.run(&["apply", "--yes", "state"]);
        assert!(again.status.success(), "{said}\n{}", crate::support::said(&again));
        let read = ["low/same", "low/new/n", "low/plain/n"].map(read);
        assert_eq!(
            (read, link()),
            (["2\n", "n\n", "n\n"].map(Into::into), "other".into()),
            "{said}"
        );
        let mode = |name: &str| kept.path(name).metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("low/mode"), mode("low/plain")), (0o700, 0o500), "{said}");
        let names = |name: &str| {
            let names = std::fs::read_dir(kept.path(name)).unwrap();
            let mut names: Vec<_> =
                names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names("low"), "bin both link mode moved new plain same touched", "{said}");
        assert_eq!(
            (&*names("low/plain"), &*names("state")),
            ("n", "stockade upper work"),
            "{said}"
        );
    }
    assert!(undone > 10 && killed > 10, "{undone} {killed}");
}

/// What the host puts in the place of what a killed apply had switched stays, and so does the file that was
/// there before, under a name that is said; the next apply comes to its end.
#[test]
fn what_the_host_does_after_a_killed_apply_is_not_lost() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    let (mut named, mut recreated) = (0, 0);
    for when in 1..8 {
        let place = Place::new();
        let before = "for name in f g r; do echo old > $name; done";
        let kept = Kept::new(&place, who, before, "true");
        kept.begin("$(date +%s%N)", "");
        kept.change("echo 2 > f; echo 2 > g; rm r");
        let mut command = kept.place.outside(who, "/usr/bin/strace");
        let fault = format!("inject=renameat2:signal=KILL:when={when}");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(kept.place.path.join("stockade"));
        command.args(["changes", "apply", "--yes", "state"]).current_dir(kept.path(""));
        command.output().unwrap();
        let was_removed = !kept.path("low/r").exists();
        recreated += u32::from(was_removed);
        kept.sh("cd low; echo host > new; mv new f; rm -f g; [ -e r ] || echo host > r");
        let first = crate::support::said(&kept.run(&["apply", "--yes", "state"]));
        let left = kept.sh("cd low; ls -A | grep '^.stockade-' || true");
        for name in left.lines() {
            assert!(first.contains(name), "{when}: {name}: {first}");
            assert_eq!(kept.sh(&format!("cat low/{name}")), "old\n", "{when}: {first}");
            named += 1;
        }
        assert_eq!(kept.sh("cat low/f"), "host\n", "{when}: {first}");
        if was_removed {
            assert_eq!(kept.sh("cat low/r"), "host\n", "{when}: {first}");
        }
        let second = crate::support::said(&kept.run(&["apply", "--yes", "state"]));
        assert!(!second.contains("E1216"), "{when}: {first}\n{second}");
    }
    assert!(named > 3 && recreated > 0, "{named} {recreated}");
}

/// What is done at one name of a file changes the time of the others (ctime), which is no work of the
/// host's.
#[test]
fn names_of_one_file_are_applied_together() {
    for who in As::all() {
        let place = Place::new();
        let before = "mkdir d e; echo 1 > a; for name in b c d/x e/x; do ln a $name; done";
        let changes = "rm a; chmod 640 b; echo 2 >> c; rm -r d; mv e/x e/y";
        let kept = own_tree(&place, *who, before, changes, "");
        kept.changes(&["apply", "--yes", "state"]);
        let seen = kept
            .sh("cd low; ls -R . | xargs; cat b c e/y | xargs; stat -c '%a %h' b c e/y | xargs");
        assert_eq!(seen, ".: b c e ./e: y\n1 1 2 1\n640 1 644 1 644 1\n", "{who:?}");
    }
}

#[test]
fn what_is_not_agreed_to_is_not_applied() {
    let who = As::all()[0];
    let place = Place::new();
    let kept = own_tree(&place, who, BEFORE, "echo 2 > same", "");
    let mut command = place.stockade(who);
    command.args(["changes", "apply", "state"]).current_dir(kept.path("")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = unwrapped(&errors(&output));
    assert!(
        output.status.code() == Some(125)
            && said.contains("standard input is no terminal")
            && said.contains("stockade changes apply --yes state"),
        "{said}"
    );
    // On a terminal; anything but yes is no.
    for (answer, applied) in
        [("", "nothing was applied"), ("n", "nothing was applied"), ("y", "applied 1 ")]
    {
        let line =
            format!("printf '{answer}\n' | script -qec \"$0 changes apply state\" /dev/null");
        let stockade = place.path.join("stockade");
        let output = kept.outside("sh", &["-c", &line, stockade.to_str().unwrap()]);
        assert!(output.contains(applied) && output.contains("M  same"), "{answer}: {output}");
    }
    // Nor is anything thrown away, or an archive written to a terminal.
    let on_terminal = |input: &str, words: &str| {
        let line = format!("printf '{input}' | script -qc \"$0 changes {words} state\" /dev/null");
        kept.outside("sh", &["-c", &line, place.path.join("stockade").to_str().unwrap()])
    };
    let output = kept.run(&["discard", "state"]);
    let said = unwrapped(&errors(&output));
    assert!(said.contains("cannot discard `state`: nobody can be asked"), "{said}");
    assert!(said.contains("stockade changes discard --yes state"), "{said}");
    let line = "printf '' | script -qc \"$0 changes export state -\" /dev/null";
    let launcher = place.path.join("stockade").display().to_string();
    let said = kept.outside("sh", &["-c", line, &launcher]);
    assert!(said.contains("standard output is a terminal"), "{said}");
    let said = on_terminal("n\n", "discard");
    assert!(said.contains("Remove state, in which nothing of "), "{said}");
    kept.change("mkdir more; head -c 9000 /dev/zero > more/x");
    for (answer, is_there) in [("n\n", true), ("y\n", false)] {
        let said = on_terminal(answer, "discard");
        assert!(said.contains("Remove state with the changes to "), "{said}");
        assert!(said.contains(" in it (2 files and directories, 1"), "{said}");
        assert_eq!(kept.path("state").exists(), is_there, "{answer}: {said}");
    }
}

/// A target that can write where a journal lies can write one. It is listed and asked for, what the
/// host runs later apart, and nothing but `apply` ends it.
#[test]
fn a_journal_that_is_found_is_asked_for() {
    let who = *As::all().last().unwrap();
    let place = Place::new();
    let before = "mkdir -p .git/hooks; echo good > .git/hooks/x; echo old > file";
    let kept = own_tree(&place, who, before, "true", "");
    let own = ".stockade-0123456789abcdef-";
    kept.sh(&format!("cd low; mkdir .git/{own}0; echo evil > .git/{own}0/x; echo other > {own}1"));
    let unit = |path: &str, other: &str| {
        let numbers = kept.sh(&format!("cd low; stat -c %i {path} {other}"));
        let (new, old) = numbers.trim().split_once('\n').unwrap();
        format!(
            r#"{{"path":"{path}","act":"replace","new":{new},"old":{old},"written":[0,0],"made":[0,0]}}"#
        )
    };
    let plant = |units: &[String]| {
        let units = units.join(",");
        kept.sh(&format!(
            r#"echo '{{"stage":"made","prefix":"{own}","units":[{units}]}}' > state/journal"#
        ));
    };
    let refused = |words: &[&str], why: &str| {
        let output = kept.run(words);
        let said = unwrapped(&errors(&output));
        assert!(output.status.code() == Some(125) && said.contains(why), "{words:?}: {said}");
        assert_eq!(kept.sh("cd low; cat .git/hooks/x file"), "good\nold\n", "{said}");
    };
    let both = [unit(".git/hooks", &format!(".git/{own}0")), unit("file", &format!("{own}1"))];
    plant(&both);
    refused(&["discard", "--yes", "state"], "end it first: stockade changes apply state");
    refused(&["apply", "state"], "standard input is no terminal");
    refused(&["apply", "--yes", "state"], "stockade changes apply --yes --run-later state");
    let stockade = place.path.join("stockade");
    let line = "echo n | script -qec \"$0 changes apply state\" /dev/null";
    let output = kept.outside("sh", &["-c", line, stockade.to_str().unwrap()]);
    for part in ["  .git/hooks: it is what it was", "  file: it is what", "nothing was applied"] {
        assert!(output.contains(part), "{output}");
    }
    assert_eq!(kept.sh("cd low; cat .git/hooks/x file"), "good\nold\n", "{output}");
    // Where it is agreed to, that is what it does.
    kept.changes(&["apply", "--yes", "--run-later", "state"]);
    assert_eq!(
        kept.sh("cd low; cat .git/hooks/x file; ls ../state"),
        "evil\nother\nstockade\nupper\nwork\n"
    );
}

/// The owner of a directory above the tree can put another directory in its place.
#[test]
fn another_directory_than_the_tree_is_not_changed() {
    for who in As::all() {
        for is_known in [true, false] {
            let place = Place::new();
            let kept =
                own_tree(&place, *who, "echo old > file", "echo new > file; echo x > run", "");
            if is_known {
                kept.sh(
                    "sed -i \"s/\\\"begun\\\"/\\\"number\\\":$(stat -c %i low),&/\" state/stockade",
                );
            }
            kept.sh("mv low aside; mkdir low; cp -a aside/file low; touch -d @1 low/file");
            let output = kept.run(&["apply", "--yes", "state"]);
            let why = unwrapped(&errors(&output));
            assert_eq!(output.status.success(), !is_known, "{who:?}: {why}");
            assert_eq!(kept.path("low/run").exists(), !is_known, "{who:?}: {why}");
            if is_known {
                assert!(why.contains("another directory than the one it was begun over"), "{why}");
                // What the help says works.
                assert!(why.contains("stockade changes export state changes.tar"), "{why}");
                kept.changes(&["export", "state", "changes.tar"]);
                let names = kept.sh("tar tf changes.tar");
                assert!(names.contains("run") && names.contains("file"), "{names}");
                kept.sh("rm -r low; mv aside low");
                kept.changes(&["apply", "--yes", "state"]);
            }
        }
    }
}

/// What sandboxes leave in uppers of their own making.
#[test]
fn what_sandboxes_changed_is_listed_and_applied() {
    for who in As::all() {
        let place = Place::new();
        let tree = place.folder("tree", *who);
        let state = place.folder("kept", *who).join("state");
        let kept = Kept { place: &place, who: *who };
        kept.sh(
            "cd ../tree; mkdir sub .git; echo old > file; echo inner > sub/inner; echo s > stays",
        );
        let owner = if *who == As::Root && is_root() { ", owner = \"root\"" } else { "" };
        let (tree, state) = (tree.display(), state.display());
        let profile = system(&format!(
            "\"{tree}\" = {{ layers = [\"{tree}\"], upper = \"{state}\"{owner} }}\n\
             \"{tree}/sub/point\" = \"tmpfs\""
        ));
        let line = format!(
            "cd {tree} && echo new > file && : >> stays && rm sub/inner && mkdir more && \
             echo m > more/m && echo n > sub/new && chmod 700 more"
        );
        place.sh(*who, &profile, &line);
        let listed = kept.changes(&["state"]);
        assert_eq!(listed, "M  file\nA  more/\nA  more/m\nD  sub/inner\nA  sub/new\n", "{who:?}");
        // The numbers of an overlay's directories are none to go by.
        let number = kept.sh("stat -c %i ../tree; stat -f -c %t ../tree");
        let (number, fs) = number.trim().split_once('\n').unwrap();
        let record = kept.sh("cat state/stockade");
        assert_eq!(record.contains(&format!("\"number\":{number},")), fs != "794c7630", "{record}");
        // Another run begins where that one ended, and the host's tree is as it was.
        place.sh(
            *who,
            &profile,
            &format!("cd {tree} && cat sub/new && rm stays && echo h > .git/x"),
        );
        assert_eq!(kept.sh("cat ../tree/file; ls ../tree"), "old\nfile\nstays\nsub\n");
        let said = kept.changes(&["apply", "--yes", "state"]);
        let done = format!("applied 6 changes to {tree}\nkept back 1 change of what the host runs");
        assert!(said.contains(&done), "{who:?}: {said}");
        assert_eq!(
            kept.sh("cd ../tree; cat file more/m; find . | sort; stat -c %U:%G . file more/m"),
            format!(
                "new\nm\n.\n./.git\n./file\n./more\n./more/m\n./sub\n./sub/new\n{}",
                kept.sh("stat -c %U:%G ../tree").repeat(3)
            ),
            "{who:?}"
        );
        assert_eq!(kept.changes(&["state"]), "A  .git/x\n");
        // And the next, which changes what was applied.
        place.sh(
            *who,
            &profile,
            &format!("cd {tree} && echo again > file && cat more/m && ls sub"),
        );
        let said = kept.changes(&["apply", "--yes", "state"]);
        assert!(said.contains(&format!("applied 1 change to {tree}\n")), "{who:?}: {said}");
        assert_eq!(kept.sh("cat ../tree/file"), "again\n");
        kept.changes(&["discard", "--yes", "state"]);
        place.sh(*who, &profile, &format!("cd {tree} && cat file"));
    }
}

/// A run may end between the look at a directory and its lock: what counts is what its record says then.
#[test]
fn the_record_is_read_again_once_it_is_locked() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    for who in As::all() {
        let place = Place::new();
        let kept = own_tree(&place, *who, "true", "echo 1 > file; echo 1 > other", "");
        let mut command = place.outside(*who, "/usr/bin/strace");
        command.args(["-o", "/dev/null", "-e", "inject=flock:signal=STOP:when=1"]);
        command.arg(place.path.join("stockade")).args(["changes", "apply", "--yes", "state"]);
        command.current_dir(kept.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = spawned(&mut command);
        // The signal waits for the end of the call that takes the lock.
        let number = kept.path("state/stockade").metadata().unwrap().ino();
        let launcher = wait_for(|| {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            let taken =
                |line: &&str| line.contains(&format!(":{number} ")) && line.contains("FLOCK");
            locks.lines().find(taken)?.split_whitespace().nth(4)?.parse::<i32>().ok()
        });
        kept.begin(
            "$(date -d '+1 minute' +%s%N)",
            &format!("\"{}/file\"", kept.path("low").display()),
        );
        kill(Pid::from_raw(launcher), Signal::SIGCONT).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{who:?}: {said}");
        assert!(said.contains("A  file: an entry of [mounts] covers it"), "{who:?}: {said}");
        // The twin, which the record says nothing of.
        assert_eq!(kept.sh("ls low"), "other\n", "{who:?}");
    }
}

/// The lines of /etc/subuid are those of a mount namespace of the test's own.
#[test]
fn what_other_ids_of_a_sandbox_closed_is_taken_out() {
    let Some(id) = As::User.id().filter(|_| Path::new("/usr/bin/newuidmap").exists()) else {
        return skip("only root writes lines of /etc/subuid, for newuidmap(1)");
    };
    let place = Place::new();
    let kept = Kept { place: &place, who: As::User };
    let tree = place.folder("kept", As::User);
    kept.sh("mkdir low; echo low > low/stays; mkdir low/theirs");
    let more = "[identity]\nuid-map = \"auto\"\ngid-map = \"auto\"\nuser = 0\ngroup = 0\n\
                [capabilities]\nkeep = [\"chown\"]\n";
    let tree = tree.display();
    let entry = format!("\"/m\" = {{ layers = [\"{tree}/low\"], upper = \"{tree}/state\" }}\n");
    place.file("profile.toml", &(system(&entry) + more));
    place.file("ranges", "stranger:300000:65536\n");
    place.file("users", &format!("root:x:0:0::/:/bin/sh\nstranger:x:{id}:{id}::/:/bin/sh\n"));
    let start = "mount --bind users /etc/passwd && mount --bind ranges /etc/subuid && \
                 mount --bind ranges /etc/subgid && exec setpriv --reuid $0 --regid $0 --clear-groups \
                 sh -ec \"$1\"";
    let within = |line: &str| {
        let mut command = place.outside(As::Root, "unshare");
        command.args(["-m", "sh", "-c", start]).args([&id.to_string(), line]).output().unwrap()
    };
    let fill = "./stockade run profile.toml /bin/sh -c 'mkdir /m/new && echo x > /m/new/x && \
                echo y > /m/theirs/y && echo z > /m/z && chmod 700 /m/new /m/theirs && \
                chown -R 5:5 /m/new /m/theirs'";
    let output = within(fill);
    assert!(output.status.success(), "{}", said(&output));
    let closed = "(closed to you: what is in it is not listed)";
    let listed = kept.changes(&["state"]);
    assert!(listed.starts_with(&format!("A  new/ {closed}\nM  theirs/ {closed}")), "{listed}");
    // Who has the range no longer cannot.
    let words = ["discard", "--yes", "state", "new", "theirs"];
    let output = kept.run(&words);
    let why = said(&output);
    assert!(output.status.code() == Some(125) && why.contains("permission denied"), "{why}");
    let output =
        within(&format!("./stockade changes {}", words.join(" ").replace("state", "kept/state")));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(kept.changes(&["state"]), "A  z\n");
    assert_eq!(
        kept.sh("ls state state/upper"),
        "state:\nstockade\nupper\nwork\n\nstate/upper:\nz\n"
    );
}

/// The process that reads what a target left has no more than it needs.
#[test]
fn the_reader_has_nothing_that_it_does_not_need() {
    for who in As::all() {
        let place = Place::new();
        let kept = Kept::new(&place, *who, "true", "true");
        // Names of one file: to make as many takes longest.
        let many = "import os; os.chdir('state/upper'); open('0', 'w')\nfor i in range(1, 3000): \
                    os.link('0', f'{i}-a-name-that-fills-the-pipes-of-both-processes')";
        kept.outside("python3", &["-c", many]);
        let mut command = place.stockade(*who);
        // Nobody reads its list, so that it stops in the middle.
        command.arg("changes").arg(kept.path("state"));
        command.stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = spawned(&mut command);
        let launcher = child.id();
        let found = || {
            children(launcher)
                .into_iter()
                .find(|pid| name(*pid).as_deref() == Some("stockade-reader"))
        };
        let until = Instant::now() + Duration::from_secs(20);
        let mut seen = None;
        while seen.is_none() && Instant::now() < until && child.try_wait().unwrap().is_none() {
            seen = found()
                .map(|pid| ["Seccomp", "NoNewPrivs", "CapPrm"].map(|line| status(pid, line)));
            seen.take_if(|[seccomp, ..]| seccomp != "2");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert!(child.wait().unwrap().success());
        let Some([_, privileges, capabilities]) = seen else {
            skip("the reader had ended before it was looked at");
            continue;
        };
        // CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN: without calls that need more than the first.
        assert_eq!((privileges.as_str(), capabilities.as_str()), ("1", "0000000000200004"));
    }
}

/// How long a list of 10,000 changes takes is printed; `cargo test` builds without optimisation.
#[test]
fn ten_thousand_changes_are_listed_soon() {
    let who = As::all()[0];
    let place = Place::new();
    let kept = Kept::new(&place, who, "true", "true");
    // Names of one file: to make as many takes longest.
    let many = "import os
for top, byte in ('low', 'x'), ('state/upper', 'y'):
  for d in range(100):
    os.mkdir(f'{top}/{d}')
    open(f'{top}/0/0', 'w').write(byte)
    for f in range(100): d + f and os.link(f'{top}/0/0', f'{top}/{d}/{f}')";
    kept.outside("python3", &["-c", many]);
    let begun = Instant::now();
    let listed = kept.changes(&["state"]);
    println!("10,000 changes: {:?}", begun.elapsed());
    assert_eq!(listed.lines().count(), 10_000);
    assert!(std::fs::metadata(kept.path("state")).unwrap().permissions().mode() & 0o77 == 0);
}
