//! Directories that are kept between runs, by their names.

use crate::support::{As, Place, errors, is_root, said, skip, system, text};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the states of a caller are. Root's are the machine's, so that each test has names of its
/// own, and removes what it made.
pub struct States {
    pub place: Place,
    pub who: As,
    pub name: String,
}

static NAMES: AtomicU32 = AtomicU32::new(0);

impl States {
    pub fn new(who: As) -> States {
        let place = Place::new();
        place.folder("home", who);
        let count = NAMES.fetch_add(1, Ordering::Relaxed);
        States { place, who, name: format!("test-{}-{count}", std::process::id()) }
    }

    fn base(&self) -> PathBuf {
        match self.who {
            As::Root => "/var/lib/stockade/state".into(),
            As::User => self.place.path.join("home/stockade"),
        }
    }

    pub fn directory(&self) -> PathBuf {
        self.base().join(&self.name)
    }

    pub fn stockade(&self, words: &[&str]) -> Command {
        let mut command = self.place.stockade(self.who);
        // Root's environment does not count.
        command.env("XDG_STATE_HOME", self.place.path.join("home")).args(words);
        command.stdin(Stdio::null());
        command
    }

    pub fn profile(&self) -> String {
        system(&format!("\"/m\" = {{ state = \"{}\" }}", self.name))
    }

    fn run(&self, profile: &str, line: &str) -> Output {
        let path = self.place.file("profile.toml", profile);
        let path = path.to_str().unwrap();
        self.stockade(&["run", path, "/bin/sh", "-c", line]).output().unwrap()
    }

    pub fn sh(&self, profile: &str, line: &str) -> String {
        let output = self.run(profile, line);
        assert!(output.status.success(), "{:?} {line}: {}", self.who, said(&output));
        text(&output.stdout).trim_end().to_owned()
    }

    #[track_caller]
    fn refused(&self, profile: &str, words: &[&str]) {
        let output = self.run(profile, "true");
        let why = errors(&output);
        let has_all = words.iter().all(|word| why.contains(word));
        assert!(output.status.code() == Some(125) && has_all, "{words:?}: {}", said(&output));
    }

    fn remove(&self) -> Output {
        self.stockade(&["state", "remove", "--yes", &self.name]).output().unwrap()
    }

    /// What `state list` says of it.
    fn listed(&self) -> Option<serde_json::Value> {
        let output = self.stockade(&["state", "list", "--format", "json"]).output().unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        rows.into_iter().find(|row| row["name"] == *self.name)
    }

    /// A run that has it until its standard input ends.
    fn waiting(&self) -> (Child, BufReader<ChildStdout>) {
        let path = self.place.file("waiting.toml", &self.profile());
        let line = "echo there; read x; true";
        let mut command = self.stockade(&["run", path.to_str().unwrap(), "/bin/sh", "-c", line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        out.read_line(&mut text).unwrap();
        assert_eq!(text, "there\n");
        (child, out)
    }
}

impl Drop for States {
    fn drop(&mut self) {
        if self.who == As::Root {
            self.remove();
            // One whose directory the test has removed itself.
            drop(fs::remove_file(self.base().join(format!(".{}.lock", self.name))));
        }
    }
}

#[test]
fn what_is_written_is_there_in_the_next_run() {
    for who in As::all() {
        let states = States::new(*who);
        let profile = states.profile();
        let path = states.place.file("profile.toml", &profile);
        // Who only looks makes nothing.
        for words in [&["check"][..], &["plan"], &["doctor"]] {
            let output = states.stockade(words).arg(&path).arg("/bin/true").output().unwrap();
            assert!(output.status.success(), "{who:?} {words:?}: {}", said(&output));
            assert!(!states.directory().exists(), "{who:?} {words:?}");
        }
        let set_id = "cp /bin/true /m/tool && chmod 4755 /m/tool && echo made";
        let output = states.run(&profile, &format!("stat -c '%a %u' /m && {set_id}; chmod 0 /m"));
        let id = states.sh(&profile, "id -u");
        // Of root's state nobody makes set-id files; an ordinary user's own are that user's matter.
        let made = if *who == As::Root { "" } else { "made\n" };
        assert_eq!(text(&output.stdout), format!("700 {id}\n{made}"), "{who:?}: {}", said(&output));
        let is_refused = errors(&output).contains("Operation not permitted");
        assert_eq!(is_refused, *who == As::Root, "{}", said(&output));
        // A target that closes its top does not close the next run out.
        assert_eq!(states.sh(&profile, "ls /m; stat -c '%a %u' /m"), format!("tool\n700 {id}"));
        let owner = who.id().unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        for path in [states.base(), states.directory(), states.directory().join("tool")] {
            let found = fs::metadata(&path).unwrap();
            assert_eq!(found.uid(), owner, "{}", path.display());
            let is_closed = path.ends_with("tool") || found.mode() & 0o7777 == 0o700;
            assert!(is_closed, "{} {:o}", path.display(), found.mode());
        }
        // The twin keeps nothing.
        let twin = system("\"/m\" = \"tmpfs\"");
        assert_eq!(states.sh(&twin, "touch /m/tool; echo ok"), "ok");
        assert_eq!(states.sh(&twin, "ls /m"), "");
        let row = states.listed().unwrap();
        assert_eq!(row["directory"], states.directory().to_str().unwrap());
        assert!(row["size"].as_u64() > Some(1000) && row["size-is-whole"] == true, "{row}");
        assert!(row["last-use"].as_u64() > Some(0) && row["launchers"] == serde_json::json!([]));
        let output = states.remove();
        assert!(output.status.success(), "{}", said(&output));
        assert!(!states.directory().exists() && states.listed().is_none());
        assert!(!states.base().join(format!(".{}.lock", states.name)).exists());
    }
}

#[test]
fn what_another_could_have_put_in_its_place_is_refused() {
    for who in As::all() {
        let states = States::new(*who);
        let (profile, directory) = (states.profile(), states.directory());
        states.sh(&profile, "true");
        let secret = states.place.folder("secret", *who);
        states.place.file("secret/key", "key\n");
        fs::remove_dir(&directory).unwrap();
        symlink(&secret, &directory).unwrap();
        who.id().into_iter().for_each(|id| lchown(&directory, Some(id), Some(id)).unwrap());
        states.refused(&profile, &["is a symbolic link"]);
        // A bind that follows links shows what is behind it.
        let bound = format!("\"/m\" = {{ bind = \"{}\", follow = true }}", directory.display());
        assert_eq!(states.sh(&system(&bound), "cat /m/key"), "key");
        let output = states.remove();
        assert!(!output.status.success() && secret.join("key").exists(), "{}", said(&output));
        fs::remove_file(&directory).unwrap();
        fs::write(&directory, "").unwrap();
        states.refused(&profile, &["is a file"]);
        fs::remove_file(&directory).unwrap();
        if is_root() {
            fs::create_dir(&directory).unwrap();
            chown(&directory, Some(4321), Some(4321)).unwrap();
            states.refused(&profile, &["belongs to the user 4321", "chown -R"]);
            fs::remove_dir(&directory).unwrap();
        }
        // The machine's own is not opened for a test.
        if *who == As::User {
            fs::set_permissions(states.base(), PermissionsExt::from_mode(0o750)).unwrap();
            states.refused(&profile, &["other users may enter", "chmod 700"]);
            fs::set_permissions(states.base(), PermissionsExt::from_mode(0o700)).unwrap();
            fs::rename(states.base(), states.place.path.join("home/real")).unwrap();
            symlink("real", states.base()).unwrap();
            states.refused(&profile, &["is a symbolic link"]);
            if is_root() {
                fs::remove_file(states.base()).unwrap();
                fs::create_dir(states.base()).unwrap();
                states.refused(&profile, &["belongs to the user 0"]);
            }
        }
    }
}

#[test]
fn a_state_is_not_removed_while_a_sandbox_has_it() {
    for who in As::all() {
        let states = States::new(*who);
        let (mut one, _out) = states.waiting();
        // Another one has it at the same time.
        assert_eq!(states.sh(&states.profile(), "echo two > /m/two; ls /m"), "two");
        let pid = one.id().to_string();
        let output = states.remove();
        let why = errors(&output);
        assert!(output.status.code() == Some(125) && why.contains("uses it"), "{}", said(&output));
        let help = format!("wait until its launcher, process {pid}, has ended");
        assert!(why.contains(&help), "{pid}: {why}");
        assert_eq!(states.listed().unwrap()["launchers"], serde_json::json!([one.id()]));
        assert_eq!(fs::read_to_string(states.directory().join("two")).unwrap(), "two\n");
        // Without a terminal nobody is asked, and near names are named.
        let near = format!("{}x", states.name);
        for (words, expected) in
            [(&[states.name.as_str()][..], "--yes"), (&[&near], "did you mean")]
        {
            let output = states.stockade(&["state", "remove"]).args(words).output().unwrap();
            assert!(errors(&output).contains(expected), "{}", said(&output));
        }
        one.kill().unwrap();
        one.wait().unwrap();
        // Pid 1 ends a moment after its launcher, and has the lock until then.
        let removed = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            states.remove().status.success()
        });
        assert!(removed && !states.directory().exists(), "{who:?}");
    }
}

/// What a target leaves that is hard to remove.
const HOSTILE: &str = "cd /m && mkdir -p deep/a && chmod 0 deep/a && chmod 0 deep && mkfifo fifo && \
                       ln -s / link && mkdir one && cd one && i=0; while [ $i -lt 140 ]; do mkdir \
                       a-name-that-is-long-enough && cd a-name-that-is-long-enough; i=$((i+1)); done";

#[test]
fn whatever_a_target_left_is_removed() {
    for who in As::all() {
        let states = States::new(*who);
        states.sh(&states.profile(), HOSTILE);
        assert_eq!(states.listed().unwrap()["size-is-whole"], false, "{who:?}");
        let output = states.remove();
        assert!(output.status.success() && !states.directory().exists(), "{}", said(&output));
    }
}

/// The lines of /etc/subuid are those of a mount namespace of the test's own.
#[test]
fn files_of_subordinate_ids_are_removed_and_those_of_others_named() {
    let helper = Path::new("/usr/bin/newuidmap").exists();
    let Some(id) = As::User.id().filter(|_| helper) else {
        return skip("only root writes lines of /etc/subuid, for newuidmap(1)");
    };
    let states = States::new(As::User);
    let more = "[identity]\nuid-map = \"auto\"\ngid-map = \"auto\"\nuser = 0\ngroup = 0\n\
                [capabilities]\nkeep = [\"chown\"]\n";
    states.place.file("profile.toml", &(states.profile() + more));
    states.place.file("ranges", "stranger:300000:65536\n");
    let users = format!("root:x:0:0::/:/bin/sh\nstranger:x:{id}:{id}::/:/bin/sh\n");
    states.place.file("users", &users);
    let start = "mount --bind users /etc/passwd && mount --bind ranges /etc/subuid && \
                 mount --bind ranges /etc/subgid && exec setpriv --reuid $0 --regid $0 --clear-groups \
                 sh -ec \"$1\" $2";
    let within = |line: &str| {
        let arguments = [id.to_string(), line.to_owned(), states.name.clone()];
        let mut command = states.place.outside(As::Root, "unshare");
        command.env("XDG_STATE_HOME", states.place.path.join("home"));
        command.args(["-m", "sh", "-c", start]).args(arguments).output().unwrap()
    };
    let fill = "./stockade run profile.toml /bin/sh -c \
                'mkdir /m/theirs && echo x > /m/theirs/x && chown -R 5:5 /m/theirs'";
    let output = within(&format!("{fill}; ./stockade state remove --yes $0"));
    assert!(output.status.success() && !states.directory().exists(), "{}", said(&output));
    let output = within(fill);
    assert!(output.status.success(), "{}", said(&output));
    // Who has the range no longer cannot.
    let output = states.remove();
    let why = errors(&output);
    let is_said = why.contains("`theirs") && why.contains("belongs to the user 300004");
    assert!(!output.status.success() && is_said && why.contains("rm -rf"), "{}", said(&output));
    assert!(states.directory().join("theirs").exists());
}
