//! What a target writes on top of layers, on disk: in directories that are kept, and in those of one
//! run.

use crate::support::processes::stat;
use crate::support::{As, Place, errors, is_root, said, skip, system, text, unwrapped};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

/// A layer of a user's with a file and a directory, and where uppers can be made.
struct Trees {
    place: Place,
    layer: PathBuf,
    state: PathBuf,
    who: As,
}

impl Trees {
    fn new(who: As) -> Trees {
        let place = Place::new();
        let layer = place.folder("layer", who);
        place.folder("layer/sub", who);
        for name in ["layer/file", "layer/sub/inner"] {
            let path = place.file(name, "layer\n");
            who.id().into_iter().for_each(|id| chown(&path, Some(id), Some(id)).unwrap());
        }
        let state = place.folder("states", who).join("state");
        Trees { place, layer, state, who }
    }

    fn profile(&self, upper: &str) -> String {
        let owner = if self.who == As::Root { ", owner = \"root\"" } else { "" };
        let layer = self.layer.display();
        system(&format!("\"/m\" = {{ layers = [\"{layer}\"], upper = {upper}{owner} }}"))
    }

    fn kept(&self) -> String {
        self.profile(&format!("\"{}\"", self.state.display()))
    }

    fn discarded(&self) -> String {
        self.profile(&format!("{{ discard = \"{}\" }}", self.state.parent().unwrap().display()))
    }

    fn sh(&self, profile: &str, line: &str) -> String {
        self.place.sh(self.who, profile, line)
    }

    /// The names where uppers are made.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.state.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A run that writes a line once it is there, and then waits for one.
    fn waiting(&self, profile: &str, line: &str) -> (Child, BufReader<std::process::ChildStdout>) {
        let path = self.place.file("waiting.toml", profile);
        let mut child = self
            .place
            .stockade(self.who)
            .arg("run")
            .arg(path)
            .args(["/bin/sh", "-c", &format!("{line}; echo there; read x; true")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        out.read_line(&mut text).unwrap();
        assert_eq!(text, "there\n");
        (child, out)
    }
}

const CHANGE: &str =
    "cd /m && echo new > file && rm -r sub && mkdir sub && echo own > sub/own && ls -R";

#[test]
fn what_is_kept_is_there_in_the_next_run() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.kept();
        assert_eq!(trees.sh(&profile, CHANGE), ".:\nfile\nsub\n\n./sub:\nown", "{who:?}");
        for _ in 0..2 {
            let seen = trees.sh(
                &profile,
                "cd /m && cat file sub/own; ls sub; stat -c %u file sub/own . | uniq",
            );
            let id = trees.sh(&profile, "id -u");
            assert_eq!(seen, format!("new\nown\nown\n{id}"), "{who:?}");
        }
        // The layer is as it was, and what was written is nobody's but the caller's.
        assert_eq!(fs::read_to_string(trees.layer.join("sub/inner")).unwrap(), "layer\n");
        assert_eq!(fs::metadata(&trees.state).unwrap().mode() & 0o7777, 0o700, "{who:?}");
        let record = fs::read_to_string(trees.state.join("stockade")).unwrap();
        assert!(record.contains("\"pid\":0") && record.contains("\"path\":\"/m\""), "{record}");
        // On disk a file has the id that its owner has inside.
        let on_disk = fs::metadata(trees.state.join("upper/file")).unwrap().uid();
        let expected = match who {
            As::Root => 1000,
            As::User => who.owner().0,
        };
        assert_eq!(on_disk, expected, "{who:?}");
        assert_eq!(trees.names(), ["state"]);
    }
}

#[test]
fn the_doctor_makes_no_upper_and_takes_none() {
    let trees = Trees::new(*As::all().last().unwrap());
    let doctor = |profile: &str| {
        let path = trees.place.file("profile.toml", profile);
        let words = ["doctor", path.to_str().unwrap(), "/bin/true"];
        let output = trees.place.stockade(trees.who).args(words).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    };
    doctor(&trees.kept());
    doctor(&trees.discarded());
    assert!(trees.names().is_empty(), "{:?}", trees.names());
    let (mut child, _out) = trees.waiting(&trees.kept(), "true");
    doctor(&trees.kept());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(trees.names(), ["state"]);
}

/// Root may make a directory there as far as modes say.
#[test]
fn a_file_system_of_the_kernels_takes_no_upper() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.profile("\"/proc/upper\"");
        let path = trees.place.file("checked.toml", &profile);
        let output =
            trees.place.stockade(*who).arg("check").arg(path).arg("true").output().unwrap();
        let said = said(&output);
        let why = if *who == As::Root { "proc cannot take it" } else { "permission denied" };
        assert!(output.status.code() == Some(125) && said.contains(why), "{who:?}: {said}");
    }
}

#[test]
fn a_kept_upper_is_for_its_layers_and_its_caller() {
    let who = *As::all().last().unwrap();
    let trees = Trees::new(who);
    trees.sh(&trees.kept(), "true");
    let other = trees.place.folder("other", who);
    let refused = |profile: &str, words: &[&str]| {
        let output = trees.place.run(who, profile, &["/bin/true"]);
        let why = errors(&output);
        let told = words.iter().all(|word| why.contains(word));
        assert!(output.status.code() == Some(125) && told, "{words:?}: {}", said(&output));
    };
    let (layer, state) = (trees.layer.display().to_string(), trees.state.display().to_string());
    let entry = |layers: &str, upper: &str| {
        format!("\"/m\" = {{ layers = [{layers}], upper = \"{upper}\" }}\n")
    };
    let more = format!("\"{layer}\", \"{}\"", other.display());
    refused(&system(&entry(&more, &state)), &["other layers", &layer, "states"]);
    // A directory that is not stockade's, or that others may enter, is not taken.
    trees.place.file("other/mine", "");
    let quoted = format!("\"{layer}\"");
    fs::set_permissions(&other, PermissionsExt::from_mode(0o700)).unwrap();
    // What another mode does not change is said before the mode.
    for mode in [0o700, 0o755] {
        fs::set_permissions(&other, PermissionsExt::from_mode(mode)).unwrap();
        refused(&system(&entry(&quoted, &other.display().to_string())), &["it holds files"]);
    }
    refused(&system(&entry(&quoted, &layer)), &["it is the layer", "/var/tmp/layer"]);
    fs::set_permissions(&trees.state, PermissionsExt::from_mode(0o750)).unwrap();
    refused(&trees.kept(), &["other users may enter it", "chmod 700"]);
    fs::set_permissions(&trees.state, PermissionsExt::from_mode(0o700)).unwrap();
    trees.sh(&trees.kept(), "true");
    if is_root() {
        chown(&trees.state, Some(4321), Some(4321)).unwrap();
        refused(&trees.kept(), &["another user"]);
        chown(&trees.state, who.id(), who.id()).unwrap();
    }
    let absent = format!("{}/absent/state", trees.place.path.display());
    refused(&system(&entry(&quoted, &absent)), &["mkdir -p"]);
    // Nothing else may change it, and no layer.
    let inside = format!("{layer}/state");
    refused(&system(&entry(&quoted, &inside)), &["it is in the layer", "/var/tmp/state"]);
    let states = trees.state.parent().unwrap().display();
    let bound = format!("\"/other\" = {{ bind = \"{states}\", access = \"rw\" }}");
    refused(&system(&(entry(&quoted, &state) + &bound)), &["can write to it by /other"]);
    let twice = format!("\"/n\" = {{ layers = [\"{}\"], upper = \"{state}\" }}", other.display());
    refused(&system(&(entry(&quoted, &state) + &twice)), &["keeps there"]);
    let link = trees.place.path.join("link");
    std::os::unix::fs::symlink(trees.state.parent().unwrap(), &link).unwrap();
    who.id()
        .into_iter()
        .for_each(|id| std::os::unix::fs::lchown(&link, Some(id), Some(id)).unwrap());
    refused(&system(&entry(&quoted, &format!("{}/state", link.display()))), &["symbolic link"]);
}

#[test]
fn one_sandbox_at_a_time_has_a_kept_upper() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.kept();
        let (mut child, _out) = trees.waiting(&profile, "echo one > /m/new");
        let output = trees.place.run(*who, &profile, &["/bin/true"]);
        let why = errors(&output);
        let pid = child.id().to_string();
        assert!(
            output.status.code() == Some(125) && why.contains("another sandbox has it"),
            "{who:?}: {}",
            said(&output)
        );
        assert!(why.contains(&pid), "{who:?} {pid}: {why}");
        // Its end by SIGKILL leaves an upper that the next run uses, at once.
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = until(|| {
            let output = trees.place.run(*who, &profile, &["/bin/cat", "/m/new"]);
            output.status.success().then(|| text(&output.stdout))
        });
        assert_eq!(seen, "one\n", "{who:?}");
    }
}

#[test]
fn an_upper_in_use_is_told_before_a_run() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.kept();
        let asked = |act: &str| {
            let path = trees.place.file("asked.toml", &profile);
            let output =
                trees.place.stockade(*who).arg(act).arg(path).arg("/bin/true").output().unwrap();
            assert!(output.status.success(), "{who:?}: {act}: {}", said(&output));
            unwrapped(&text(&output.stdout))
        };
        let note = "a run is refused: wait until its launcher, process";
        let (mut child, _out) = trees.waiting(&profile, "true");
        for act in ["check", "doctor"] {
            let told = asked(act);
            let pid = format!("{note} {}, has ended", child.id());
            assert!(told.contains(&pid), "{who:?}: {act}: {told}");
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "{who:?}");
        // The twin: it is free, and nothing is said.
        for act in ["check", "doctor"] {
            assert!(!asked(act).contains(note), "{who:?}: {act}");
        }
    }
}

/// The base has the entry, and a layer above the upper of it; another changes a key of the entry again.
#[test]
fn an_upper_of_a_stronger_layer_is_refused_at_its_line() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let base = trees.place.file("base.toml", &trees.profile("\"discard\""));
        let extends = |path: &Path| format!("format = 1\nextends = [\"{}\"]\n", path.display());
        let named = extends(&base)
            + &format!("[mounts.\"/m\"]\nexec = true\nupper = \"{}\"\n", trees.state.display());
        let named = trees.place.file("named.toml", &named);
        let last = extends(&named) + "[mounts]\n\"/m\" = { exec = false }\n";
        let (mut child, _out) = trees.waiting(&last, "true");
        let refused = |why: &str, code: &str| {
            let output = trees.place.run(*who, &last, &["/bin/true"]);
            let said = errors(&output);
            let is_told = said.contains(why) && said.contains(code);
            assert!(output.status.code() == Some(125) && is_told, "{who:?}: {said}");
            assert!(said.contains("named.toml:5:1]"), "{who:?}: {said}");
            said
        };
        refused("another sandbox has it", "E1201");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "{who:?}");
        fs::set_permissions(&trees.state, PermissionsExt::from_mode(0o750)).unwrap();
        let said = refused("other users may enter it", "E0327");
        assert!(said.contains("profile.toml:4:1: its keys are changed here"), "{who:?}: {said}");
        // The twin: where nobody has it and nobody may enter it, it is taken.
        fs::set_permissions(&trees.state, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(trees.sh(&last, "cat /m/file"), "layer", "{who:?}");
    }
}

/// What comes of something within some seconds: pid 1 ends a moment after its launcher.
fn until<T>(mut what: impl FnMut() -> Option<T>) -> T {
    for _ in 0..100 {
        if let Some(found) = what() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it does not come");
}

/// What a target leaves that is hard to remove.
const HOSTILE: &str = "cd /m && mkdir -p deep/a && chmod 0 deep/a && chmod 0 deep && mkfifo fifo && ln -s / link \
                       && mkdir one && cd one && i=0; while [ $i -lt 140 ]; do mkdir \
                       a-name-that-is-long-enough && cd a-name-that-is-long-enough; i=$((i+1)); done";

#[test]
fn a_directory_of_one_run_is_removed_at_its_end() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.discarded();
        let (mut child, _out) = trees.waiting(&profile, HOSTILE);
        let there = trees.names();
        assert!(there.len() == 1 && there[0].starts_with("stockade-upper-"), "{there:?}");
        let made = trees.state.parent().unwrap().join(&there[0]);
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o700);
        assert!(Path::new(&made).join("upper/one").exists(), "{who:?}: it is on disk");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(trees.names().is_empty(), "{who:?}: {:?}", trees.names());
        // After SIGKILL the next run removes it, and not one that is in use.
        let (mut killed, _out) = trees.waiting(&profile, HOSTILE);
        let (mut other, _out) = trees.waiting(&profile, "true");
        assert_eq!(trees.names().len(), 2);
        killed.kill().unwrap();
        killed.wait().unwrap();
        until(|| {
            assert_eq!(trees.sh(&profile, "cat /m/file"), "layer");
            (trees.names().len() == 1).then_some(())
        });
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success(), "{who:?}: its upper was taken away");
        assert!(trees.names().is_empty(), "{who:?}: {:?}", trees.names());
    }
}

/// A launcher makes its directory and the file in it before it has the lock: another that begins at this
/// moment does not take the two for what a dead one has left.
#[test]
fn a_directory_that_is_being_made_is_not_swept() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let pid = std::process::id();
        let began: u64 = stat(pid, 22).unwrap().parse().unwrap();
        let name = |began: u64| format!("stockade-upper-{pid}-{began}-0");
        let made = [name(began + 1), name(began - 1)];
        for name in &made {
            let directory = trees.state.parent().unwrap().join(name);
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, PermissionsExt::from_mode(0o700)).unwrap();
            fs::write(directory.join("stockade"), "").unwrap();
            for path in [directory.join("stockade"), directory] {
                who.id().into_iter().for_each(|id| chown(&path, Some(id), Some(id)).unwrap());
            }
        }
        trees.sh(&trees.discarded(), "true");
        // The second is of an earlier process with that number.
        assert_eq!(trees.names(), [made[0].as_str()], "{who:?}");
    }
}

/// A user may give a directory the name of one that a dead launcher left. Root removes nothing in it
/// that this user could not.
#[test]
fn a_directory_of_another_user_is_not_swept() {
    let Some(id) = As::User.id() else {
        return skip("only root makes directories of another user");
    };
    let trees = Trees::new(As::Root);
    let places = trees.state.parent().unwrap();
    fs::set_permissions(places, PermissionsExt::from_mode(0o1777)).unwrap();
    for (name, owner, mode) in [("1-1-0", id, 0o700), ("1-1-1", 0, 0o755), ("1-1-2", 0, 0o700)] {
        let planted = places.join(format!("stockade-upper-{name}"));
        fs::create_dir_all(planted.join("roots")).unwrap();
        fs::write(planted.join("roots/file"), "root's").unwrap();
        fs::set_permissions(&planted, PermissionsExt::from_mode(mode)).unwrap();
        chown(&planted, Some(owner), Some(owner)).unwrap();
    }
    trees.sh(&trees.discarded(), "true");
    // The last one is as a launcher leaves it.
    assert_eq!(trees.names(), ["stockade-upper-1-1-0", "stockade-upper-1-1-1"]);
    assert_eq!(
        fs::read_to_string(places.join("stockade-upper-1-1-0/roots/file")).unwrap(),
        "root's"
    );
}

/// Where nothing ran, nothing of it is left, asked for changes or not.
#[test]
fn a_start_that_fails_leaves_no_directory() {
    for who in As::all() {
        let trees = Trees::new(*who);
        for flags in [&["run"][..], &["run", "--changes"]] {
            let path = trees.place.file("fails.toml", &trees.discarded());
            let output =
                trees.place.stockade(*who).args(flags).arg(path).arg("/m/file").output().unwrap();
            assert_eq!(output.status.code(), Some(126), "{who:?}: {}", said(&output));
            assert!(trees.names().is_empty(), "{who:?} {flags:?}: {:?}", trees.names());
        }
    }
}

/// Two commands of a user who has subordinate ids: a run of this profile and line, where root inside may
/// give files to the others, and what follows it. The lines of /etc/subuid are those of a mount
/// namespace of the test's own.
fn with_subordinate_ids(trees: &Trees, profile: &str, line: &str, next: &str) -> Option<Output> {
    let helper = Path::new("/usr/bin/newuidmap").exists();
    let Some(id) = As::User.id().filter(|_| helper) else {
        skip("only root writes lines of /etc/subuid, for newuidmap(1)");
        return None;
    };
    let more = "[identity]\nuid-map = \"auto\"\ngid-map = \"auto\"\nuser = 0\ngroup = 0\n\
                [capabilities]\nkeep = [\"chown\"]\n";
    let profile = trees.place.file("profile.toml", &(profile.to_owned() + more));
    let ranges = trees.place.file("ranges", "stranger:300000:65536\n");
    let users = format!("root:x:0:0::/:/bin/sh\nstranger:x:{id}:{id}::/:/bin/sh\n");
    let users = trees.place.file("users", &users);
    let (users, ranges) = (users.display(), ranges.display());
    let stockade = trees.place.path.join("stockade").display().to_string();
    let begin = format!(
        "set -e; mount --bind {users} /etc/passwd; mount --bind {ranges} /etc/subuid; mount --bind \
         {ranges} /etc/subgid; as='setpriv --reuid {id} --regid {id} --clear-groups {stockade}'; \
         $as run {} /bin/sh -c '{line}'; {}",
        profile.display(),
        next,
    );
    let mut outside = trees.place.outside(As::Root, "unshare");
    Some(outside.args(["-m", "sh", "-c", &begin]).output().unwrap())
}

/// The launcher has no rights over a subordinate id: such files are removed in the user namespace that
/// has it.
#[test]
fn files_of_subordinate_ids_are_removed_too() {
    let trees = Trees::new(As::User);
    let line = "mkdir /m/theirs && echo x > /m/theirs/x && chown -R 5:5 /m/theirs && stat -c %u /m/theirs/x";
    let output = with_subordinate_ids(&trees, &trees.discarded(), line, "true");
    let Some(output) = output else { return };
    assert_eq!(text(&output.stdout), "5\n", "{}", said(&output));
    assert!(trees.names().is_empty(), "{:?}", trees.names());
}

/// So are they where some paths of a kept upper are discarded, and where all of it is.
#[test]
fn files_of_subordinate_ids_are_discarded_too() {
    let trees = Trees::new(As::User);
    let line = "mkdir /m/one /m/two && echo x > /m/one/x && echo x > /m/two/x && chown -R 5:5 /m/one /m/two";
    let state = trees.state.display();
    let next = format!(
        "$as changes discard --yes {state} one; ls {state}/upper; \
         $as changes discard --yes {state}; ls -d {state} 2>&1 | grep -c 'No such file'"
    );
    let Some(output) = with_subordinate_ids(&trees, &trees.kept(), line, &next) else { return };
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    let of = |has: &str| lines.iter().any(|line| line.contains(has));
    assert!(output.status.success() && of("discarded"), "{}", said(&output));
    assert_eq!(lines.iter().filter(|line| *line == "two").count(), 1, "{lines:?}");
    assert!(!lines.contains(&"one".to_owned()) && lines.last().unwrap() == "1", "{lines:?}");
}

#[test]
fn an_upper_on_disk_takes_no_bound_of_memory() {
    let trees = Trees::new(*As::all().last().unwrap());
    for (profile, word) in [(trees.kept(), "state\""), (trees.discarded(), "}")] {
        let profile =
            profile.replacen(&format!("{word} }}"), &format!("{word}, size = \"1M\" }}"), 1);
        let output = trees.place.run(trees.who, &profile, &["/bin/true"]);
        let why = errors(&output);
        assert!(
            output.status.code() == Some(125) && why.contains("bound memory"),
            "{profile}: {why}"
        );
    }
}

/// What `run --changes` says, as people read it.
fn changes(trees: &Trees, profile: &str, how: &str, line: &str) -> String {
    let path = trees.place.file("changes.toml", profile);
    let output = trees
        .place
        .stockade(trees.who)
        .args(["run", how, "-q"])
        .arg(path)
        .args(["/bin/sh", "-c", line])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    errors(&output)
}

#[test]
fn a_run_lists_what_its_target_changed() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let mut profiles = vec![trees.discarded(), trees.kept()];
        if crate::support::kernel() >= (6, 6) {
            profiles.push(trees.profile("\"discard\""));
        }
        for profile in profiles {
            let told = changes(&trees, &profile, "--changes", "true");
            assert_eq!(told, "stockade: nothing was changed in /m\n", "{who:?}");
            let line = "cd /m && echo new > file && rm -r sub && mkdir -p made/below && chmod 0 made/below \
                        && touch \"$(printf 'a\\033b')\"";
            let told = changes(&trees, &profile, "--changes", line);
            let told: Vec<&str> = told.lines().collect();
            assert_eq!(
                told,
                [
                    "A  \"/m/a\\u{1b}b\"",
                    "M  /m/file",
                    "A  /m/made/",
                    "A  /m/made/below/",
                    "D  /m/sub/"
                ],
                "{who:?} {profile}"
            );
        }
        let (output, record) = trees.place.report_with(
            *who,
            &trees.discarded(),
            &["--changes=diff"],
            "echo new > /m/file",
        );
        assert!(errors(&output).contains("-layer\n+new\n"), "{}", said(&output));
        let changes = &record["changes"][0];
        assert_eq!(changes["path"], "/m");
        assert_eq!(changes["changes"][0]["path"], "file", "{record}");
        assert_eq!(changes["changes"].as_array().unwrap().len(), 1, "{record}");
        let id: u32 = trees.sh(&trees.discarded(), "id -u").parse().unwrap();
        assert_eq!(changes["changes"][0]["after"]["owner"], id, "{record}");
    }
}

/// The launcher holds what was written though all processes of the sandbox were killed.
#[test]
fn changes_outlive_a_target_that_is_killed() {
    let trees = Trees::new(*As::all().last().unwrap());
    let upper = if crate::support::kernel() >= (6, 6) {
        trees.profile("\"discard\"")
    } else {
        trees.discarded()
    };
    let path = trees.place.file("changes.toml", &upper);
    let output = trees
        .place
        .stockade(trees.who)
        .args(["run", "--changes"])
        .arg(path)
        .args(["/bin/sh", "-c", "echo x > /m/new; kill -9 $$"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(137));
    assert!(errors(&output).contains("A  /m/new"), "{}", said(&output));
}

/// What is hidden lies in a layer below the upper, and a directory that the target has made in the
/// place of a layer's can be renamed: what an earlier run left undoes neither.
#[test]
fn what_an_earlier_run_left_undoes_no_entry() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let kept = trees.kept();
        let quiet = |line: &str| format!("cd /m; ({line}) 2>/dev/null");
        let with = |entry: &str, line: &str| trees.sh(&format!("{kept}{entry}\n"), &quiet(line));
        let none = "cat sub/inner || echo none";
        assert_eq!(with("", "chmod 640 sub/inner; cat sub/inner"), "layer", "{who:?}");
        assert_eq!(with("\"/m/sub/inner\" = \"hide\"", none), "none", "{who:?}");
        assert_eq!(with("\"/m/sub\" = \"hide\"", "cat sub/inner || ls sub"), "", "{who:?}");
        assert_eq!(with("", none), "layer", "{who:?}");
        // Nor in a directory that no layer has.
        assert_eq!(with("", "mkdir made; echo x > made/key; cat made/key"), "x", "{who:?}");
        let skip = "\"/m/made/key\" = { hide = true, missing = \"skip\" }";
        assert_eq!(with(skip, "cat made/key || echo none"), "none", "{who:?}");
        let renamed = "mv made to || echo kept; cat */key || true";
        assert_eq!(with(skip, renamed), "kept", "{who:?}");
        assert_eq!(with(skip, "cat */key || echo none"), "none", "{who:?}");
        // Where nothing is covered, nothing is held.
        let beside = "\"/m/made/none\" = { hide = true, missing = \"skip\" }";
        assert_eq!(with(beside, "mv made to && mv to made && cat made/key"), "x", "{who:?}");
        assert_eq!(with("", "mkdir made/a; echo y > made/a/key; cat made/a/key"), "y", "{who:?}");
        let both = format!("{skip}\n\"/m/made/a/key\" = {{ hide = true, missing = \"skip\" }}");
        let renamed = "mv made/a made/b || echo kept; cat */key */*/key || true";
        assert_eq!(with(&both, renamed), "kept", "{who:?}");
        // And what is held is the target's.
        let told = changes(&trees, &format!("{kept}{both}\n"), "--changes", "echo b > /m/made/b");
        assert!(told.starts_with("A  /m/made/b\n"), "{who:?} {told}");
        let own = "rm -r sub; mkdir sub; echo own > sub/inner; mv sub to; mv to sub; cat sub/inner";
        assert_eq!(with("", own), "own", "{who:?}");
        let away = "mv sub away || echo kept; cat sub/inner";
        let ours = "\"/m/sub/inner\" = { text = \"ours\" }";
        assert_eq!(with(ours, away), "kept\nours", "{who:?}");
        // What is gone, and what is no directory any more, hides nothing.
        assert_eq!(with("", "rm -r sub; echo file > sub; cat sub"), "file", "{who:?}");
        assert_eq!(with("\"/m/sub/inner\" = \"hide\"", "cat sub"), "file", "{who:?}");
        assert_eq!(with("\"/m/sub\" = \"hide\"", "cat sub || echo none"), "none", "{who:?}");
    }
}

/// A cover in a kept upper is of the kind that is hidden.
#[test]
fn a_plan_names_the_kind_of_what_is_hidden_in_a_kept_upper() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let kept = trees.kept();
        assert_eq!(trees.sh(&kept, "cd /m; echo x > sub/inner; cat sub/inner"), "x", "{who:?}");
        for (hidden, kind) in [("/m/sub/inner", "file"), ("/m/sub", "directory")] {
            let path = trees.place.file("hidden.toml", &format!("{kept}\"{hidden}\" = \"hide\"\n"));
            let plan = |more: &[&str]| {
                let mut stockade = trees.place.stockade(*who);
                unwrapped(&said(
                    &stockade.arg("plan").args(more).arg(&path).arg("true").output().unwrap(),
                ))
            };
            let (tree, steps) = (plan(&[]), plan(&["--steps"]));
            assert!(tree.contains(&format!("hidden: an empty {kind}")), "{who:?}: {tree}");
            let step = format!("hide {hidden} behind an empty {kind}");
            assert!(steps.contains(&step), "{who:?}: {steps}");
        }
    }
}

/// What an entry below is over, and an earlier target removed or replaced, is named with what keeps that.
#[test]
fn what_an_earlier_run_removed_below_an_entry_is_told_at_its_line() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let kept = trees.kept();
        let own = trees.place.file("own", "own\n");
        let bound = format!("{{ bind = \"{}\" }}", own.display());
        let hide = "\"hide\"".to_owned();
        for (removed, entry, sees, (part, code)) in [
            ("mkdir /m/sub", &bound, "own", ("sub/inner", "E0307")),
            ("echo file > /m/sub", &bound, "own", ("sub", "E0307")),
            ("mkdir /m/sub; mkdir /m/sub/inner", &bound, "own", ("sub/inner", "E0307")),
            ("mkdir -p /m/to; ln -s to /m/sub", &hide, "none", ("sub", "E0315")),
        ] {
            let entry = format!("{kept}\"/m/sub/inner\" = {entry}\n");
            let read = "cat /m/sub/inner 2>/dev/null || echo none";
            assert_eq!(trees.sh(&entry, read), sees, "{who:?}");
            trees.sh(&kept, &format!("rm -r /m/sub; {removed}"));
            let path = trees.place.file("profile.toml", &entry);
            let of = |command: &str| {
                let mut command_line = trees.place.stockade(*who);
                command_line.arg(command).arg(&path).arg("/bin/true").output().unwrap()
            };
            let output = of("run");
            let why = errors(&output);
            assert_eq!(output.status.code(), Some(125), "{who:?}: {why}");
            assert!(why.contains(code) && why.contains("\"/m/sub/inner\""), "{who:?}: {why}");
            let check = of("check");
            assert!(text(&check.stdout).contains(code), "{who:?}: {}", said(&check));
            assert_eq!(check.status.code(), Some(125), "{who:?}");
            let flat = why.replace('│', "").split_whitespace().collect::<Vec<_>>().join(" ");
            let help = "an earlier run removed or replaced it, or a directory above it";
            let discard = format!("stockade changes discard {} {part}", trees.state.display());
            assert!(flat.contains(help) && flat.contains(&discard), "{who:?}: {why}");
            let mut command = trees.place.stockade(*who);
            command.args(["changes", "discard", "--yes"]).arg(&trees.state).arg(part);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            assert_eq!(trees.sh(&entry, read), sees, "{who:?}");
        }
    }
}

/// The next run begins with what an earlier one left, and a question about it is answered so.
#[test]
fn a_question_knows_what_a_kept_upper_has() {
    for who in As::all() {
        let trees = Trees::new(*who);
        let profile = trees.kept();
        let path = trees.place.file("kept.toml", &profile);
        let ask = |question: &str| {
            let mut command = trees.place.stockade(*who);
            let output = command.arg("why").arg(&path).arg(question).output().unwrap();
            let said = unwrapped(&text(&output.stdout));
            (said.split(':').next().unwrap().to_owned(), said)
        };
        let questions = [
            "read:/m/file",
            "read:/m/new",
            "list:/m/sub",
            "read:/m/sub/inner",
            "write:/m/sub/x",
            "write:/m/made/x",
            "read:/m/link/x",
            "write:/m/file",
        ];
        let of = || questions.map(|question| ask(question).0);
        let plain =
            ["allowed", "denied", "allowed", "allowed", "allowed", "denied", "denied", "allowed"];
        assert_eq!(of(), plain, "{who:?}");
        // A run that changes something else changes no answer.
        trees.sh(&profile, "echo 1 > /m/sub/other");
        assert_eq!(of(), plain, "{who:?}");
        trees.sh(
            &profile,
            "cd /m; rm file; echo 2 > new; rm -r sub; mkdir sub; mkdir made; ln -s /etc link",
        );
        let changed =
            ["denied", "unknown", "allowed", "denied", "allowed", "unknown", "unknown", "unknown"];
        assert_eq!(of(), changed, "{who:?}");
        let state = trees.state.display();
        for (question, words) in [
            (
                "read:/m/file",
                format!("at /m/file the upper in {state}, of earlier runs, has removed the"),
            ),
            ("read:/m/sub/inner", format!("at /m/sub/inner the upper in {state}")),
            (
                "read:/m/link/x",
                format!("at /m/link the upper in {state}, of earlier runs, has its own"),
            ),
        ] {
            let said = ask(question).1;
            assert!(said.contains(&words), "{who:?}: {question}: {said}");
        }
        trees.sh(&profile, "chmod 700 /m/sub");
        assert_eq!(ask("list:/m/sub").0, "unknown", "{who:?}");
    }
}
