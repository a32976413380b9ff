//! `run --changes=apply-on-success`: what a target wrote over the host's tree is put there if it
//! succeeds.

use crate::support::{As, Place, errors, is_emulated, kernel, said, skip, system, text, unwrapped};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A tree of a user's, and where uppers and journals can be made.
struct Tree {
    place: Place,
    who: As,
    top: PathBuf,
}

impl Tree {
    fn new(who: As) -> Tree {
        let place = Place::new();
        let top = place.folder("tree", who);
        for folder in ["uppers", "home"] {
            place.folder(folder, who);
        }
        let tree = Tree { place, who, top };
        tree.sh("mkdir sub .git; echo old > file; echo inner > sub/inner; echo gone > gone");
        tree
    }

    /// A shell line outside of every sandbox.
    fn sh(&self, line: &str) -> String {
        let mut command = self.place.outside(self.who, "sh");
        let output = command.args(["-c", line]).current_dir(&self.top).output().unwrap();
        assert!(output.status.success(), "{line}: {}", said(&output));
        text(&output.stdout)
    }

    fn uppers(&self) -> PathBuf {
        self.place.path.join("uppers")
    }

    /// Each kind of upper.
    fn kinds(&self) -> Vec<String> {
        let uppers = self.uppers();
        let mut all = vec![
            format!("{{ discard = \"{}\" }}", uppers.display()),
            format!("\"{}/kept\"", uppers.display()),
        ];
        all.extend((kernel() >= (6, 6)).then(|| "\"discard\"".to_owned()));
        all
    }

    fn profile(&self, upper: &str, more: &str) -> String {
        let owner = if self.who == As::Root { ", owner = \"root\"" } else { "" };
        let top = self.top.display();
        system(&format!("\"{top}\" = {{ layers = [\"{top}\"], upper = {upper}{owner} }}\n{more}"))
    }

    fn command(&self, profile: &str, line: &str) -> Command {
        let path = self.place.file("profile.toml", profile);
        let mut command = self.place.stockade(self.who);
        self.with_words(&mut command, &path, line);
        command
    }

    fn with_words(&self, command: &mut Command, profile: &Path, line: &str) {
        let line = format!("cd {} && {line}", self.top.display());
        command.env("XDG_STATE_HOME", self.place.path.join("home"));
        command.args(["run", "--changes=apply-on-success"]).arg(profile);
        command.args(["/bin/sh", "-c", &line]);
    }

    fn run(&self, profile: &str, line: &str) -> Output {
        self.command(profile, line).output().unwrap()
    }

    /// A run whose target does something after the host has done something else.
    fn meanwhile(&self, profile: &str, line: &str, host: impl FnOnce(&Tree)) -> Output {
        let mut command = self.command(profile, &format!("echo there; read x; {line}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "there\n");
        host(self);
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        child.wait_with_output().unwrap()
    }

    /// Directories of journals that this user's runs have left.
    fn journals(&self) -> Vec<String> {
        let home = self.place.path.join("home/stockade");
        let all = std::fs::read_dir(home).into_iter().flatten();
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const WORK: &str = "echo new > file && rm gone && rm sub/inner && mkdir more && echo m > more/m && \
                    chmod 700 more && echo h > .git/x";

#[test]
fn what_a_target_changed_is_applied_if_it_succeeds() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            let tree = Tree::new(*who);
            let upper = &tree.kinds()[kind];
            let profile = tree.profile(upper, "");
            let before = tree.sh("find . | sort; cat file");
            let output = tree.run(&profile, "echo bad > file; exit 3");
            let why = errors(&output);
            assert_eq!(output.status.code(), Some(3), "{why}");
            assert!(why.contains("M  ") && why.contains("nothing was applied, as"), "{why}");
            assert_eq!(tree.sh("find . | sort; cat file"), before, "{who:?} {upper}");

            let output = tree.run(&profile, WORK);
            let why = errors(&output);
            assert!(output.status.success(), "{who:?} {upper}: {why}");
            let top = tree.top.display();
            assert!(why.contains(&format!("applied 5 changes to {top}\n")), "{upper}: {why}");
            // What the host runs later is not agreed to.
            let back = match upper.contains("kept") {
                true => format!("kept back in {top}:"),
                false => format!(
                    "not applied to {top}, and thrown away with the run (`upper = DIR` would keep it):"
                ),
            };
            assert!(why.contains(&format!("stockade: {back}\n  A  .git/x: ")), "{why}");
            let owner = tree.sh("stat -c %U:%G .");
            assert_eq!(
                tree.sh(
                    "find . | sort; cat file more/m; stat -c '%a %U:%G' more; stat -c %U:%G file"
                ),
                format!(".\n./.git\n./file\n./more\n./more/m\n./sub\nnew\nm\n700 {owner}{owner}"),
                "{who:?} {upper}"
            );
            // A second run begins with what the first one applied.
            let line = "cat more/m && echo again > file && touch sub/new";
            let output = tree.run(&profile, line);
            assert!(output.status.success(), "{}", said(&output));
            assert_eq!(tree.sh("cat file; ls sub"), "again\nnew\n", "{who:?} {upper}");
            assert_eq!(tree.journals(), [""; 0]);
        }
    }
}

/// What is moved to where it is not applied stays where it was: nothing else has it once the run is over.
/// One line for all trees, of those that were changed; what git has is not listed file by file.
#[test]
fn what_was_applied_is_said_in_a_line() {
    for who in As::all() {
        let tree = Tree::new(*who);
        tree.sh("mkdir sub/.git");
        for name in ["one", "two", "three"] {
            tree.place.folder(name, *who);
        }
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let (path, uppers) = (tree.place.path.display(), tree.uppers());
        let entry = |name: &str| {
            let (at, upper) = (format!("{path}/{name}"), uppers.display());
            format!(
                "\"{at}\" = {{ layers = [\"{at}\"], upper = {{ discard = \"{upper}\" }}{owner} }}\n"
            )
        };
        let profile = system(&["tree", "one", "two", "three"].map(entry).concat());
        let run = |line: &str| {
            let output = tree.run(&profile, line);
            assert!(output.status.success(), "{who:?}: {}", said(&output));
            errors(&output)
        };
        let applied = |said: &str| -> Vec<String> {
            said.lines().filter(|line| line.contains("applied")).map(str::to_owned).collect()
        };
        let said = run("touch ../one/a ../three/a ../three/b");
        let mut line =
            vec![format!("stockade: applied 1 change to {path}/one, 2 changes to {path}/three")];
        assert_eq!(applied(&said), line, "{who:?}");
        let said = run("true");
        assert!(
            applied(&said).is_empty() && said.contains("nothing was changed"),
            "{who:?}: {said}"
        );
        let said = run(
            "mkdir .git/d; touch new .git/a .git/d/b .git/c .git/e sub/.git/a sub/.git/b sub/.git/c",
        );
        let why = "the host runs it later";
        let back = format!(
            "  5 names below .git/: {why}\n  A  sub/.git/a: {why}\n  A  sub/.git/b: {why}\n  A  sub/.git/c: {why}\n"
        );
        assert!(said.contains(&back), "{who:?}: {said}");
        line = vec![
            format!(
                "stockade: not applied to {path}/tree, and thrown away with the run (`upper = DIR` would keep it):"
            ),
            format!("stockade: applied 1 change to {path}/tree"),
        ];
        assert_eq!(applied(&said), line, "{who:?}");
    }
}

#[test]
fn what_is_moved_is_in_one_place_at_least() {
    for who in As::all() {
        for upper in Tree::new(*who).kinds() {
            let tree = Tree::new(*who);
            tree.sh("mkdir .git/refs .git/objects src; echo h > .git/HEAD; echo e > src/.envrc");
            let line = "mv .git git2; mv src new; rm gone";
            let output = tree.run(&tree.profile(&upper, ""), line);
            let why = errors(&output);
            assert!(output.status.success(), "{who:?} {upper}: {why}");
            assert!(why.contains("D  .git/: the host runs it later"), "{upper}: {why}");
            let found = tree.sh("cat .git/HEAD src/.envrc; ls");
            assert_eq!(found, "h\ne\nfile\ngit2\nnew\nsrc\nsub\n", "{who:?} {upper}: {why}");
        }
    }
}

/// The other way round: to where it is not applied, and may be thrown away.
#[test]
fn what_is_moved_to_what_is_kept_back_stays_where_it_was() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            let tree = Tree::new(*who);
            let upper = &tree.kinds()[kind];
            tree.sh("mkdir data; echo d > data/d; echo a > plain; echo b > other");
            let line =
                "mkdir .idea; mv data plain .idea; mv other .idea/o; echo n > other; echo 2 > file";
            let output = tree.run(&tree.profile(upper, ""), line);
            let why = errors(&output);
            assert!(output.status.success(), "{who:?} {upper}: {why}");
            let found = tree.sh("cat data/d plain other file; ls -d .idea 2>&1 || true");
            assert!(found.starts_with("d\na\nb\n2\n"), "{who:?} {upper}: {found} {why}");
            assert_eq!(
                why.matches("it may have been moved to what is kept back").count(),
                3,
                "{why}"
            );
            if upper.contains("kept") {
                let mut command = tree.place.stockade(*who);
                command.args(["changes", "apply", "--yes", "--run-later"]);
                let output = command.arg(tree.uppers().join("kept")).output().unwrap();
                assert!(output.status.success(), "{}", said(&output));
                let found = tree.sh("ls; cat other .idea/data/d .idea/plain .idea/o file");
                assert_eq!(found, "file\ngone\nother\nsub\nn\nd\na\nb\n2\n", "{}", said(&output));
            }
        }
    }
}

/// What takes the place of such a file may have been moved there itself, and so on.
#[test]
fn what_is_moved_to_the_place_of_what_stays_stays_too() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            let tree = Tree::new(*who);
            let upper = &tree.kinds()[kind];
            tree.sh("echo a > a; echo bb > b; echo ccccc > c; mkdir e; echo ddddddd > e/e");
            let line = "mv a .envrc; mv b a; mkdir b; mv c b/c; mv e/e c; rmdir e; echo 2 > file";
            let output = tree.run(&tree.profile(upper, ""), line);
            let why = errors(&output);
            assert!(output.status.success(), "{who:?} {upper}: {why}");
            let found = tree.sh("cat a b c e/e file");
            assert_eq!(found, "a\nbb\nccccc\nddddddd\n2\n", "{who:?} {upper}: {why}");
            if upper.contains("kept") {
                let mut command = tree.place.stockade(*who);
                command.args(["changes", "apply", "--yes", "--run-later"]);
                let output = command.arg(tree.uppers().join("kept")).output().unwrap();
                assert!(output.status.success(), "{}", said(&output));
                let found = tree.sh("cat .envrc a b/c c; ls -d e 2> /dev/null || true");
                assert_eq!(found, "a\nbb\nccccc\nddddddd\n", "{}", said(&output));
            }
        }
    }
}

#[test]
fn the_report_says_how_much_was_applied() {
    let tree = Tree::new(As::all()[0]);
    let profile = tree.profile(&tree.kinds()[0], "");
    let flags = ["--changes=apply-on-success"];
    let line = format!("cd {} && {WORK}", tree.top.display());
    let (output, record) = tree.place.report_with(tree.who, &profile, &flags, &line);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(record["changes"][0]["applied"], 5, "{record}");
    assert_eq!(record["changes"][0]["changes"].as_array().unwrap().len(), 6, "{record}");
}

/// All or nothing, at every path of a run.
/// The last line of JSON is stockade's own: not one that the target has begun, and, in a file, not one
/// that it wrote behind the place that both have in common.
#[test]
fn the_last_line_is_not_the_targets() {
    let tree = Tree::new(As::all()[0]);
    let profile = tree.place.file("profile.toml", &tree.profile(&tree.kinds()[0], ""));
    let command = |line: &str| {
        let mut command = tree.place.stockade(tree.who);
        command.args(["run", "--changes", "--format", "json"]).arg(&profile);
        let line = format!("cd {} && {line}", tree.top.display());
        command.args(["/bin/sh", "-c", &line]);
        command
    };
    let is_listed = |said: &str| {
        let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let changes = &last["changes"][0]["changes"];
        assert_eq!(changes[0]["path"], "evil", "{said}");
    };
    let line = "echo e > evil; printf '{\"changes\":[]} ' >&2";
    is_listed(&text(&command(line).output().unwrap().stderr));
    let said = tree.place.path.join("said");
    for line in ["printf '%4000s\\n{\"changes\":[]}\\n' '' >&2", "true"] {
        let mut file = std::fs::File::create(&said).unwrap();
        let mut command = command(&format!("echo e > evil; {line}; echo there; read x"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        // As the target can: the place is that of all who have the file from one another.
        std::io::Seek::rewind(&mut file).unwrap();
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(child.wait().unwrap().success());
        let said = std::fs::read_to_string(&said).unwrap();
        is_listed(&said);
        assert!(line != "true" || said.starts_with('{'), "{said}");
    }
}

#[test]
fn what_the_host_changes_meanwhile_lets_nothing_be_applied() {
    for who in As::all() {
        let tree = Tree::new(*who);
        let other = tree.place.folder("other", *who);
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let upper = format!("{{ discard = \"{}\" }}", tree.uppers().display());
        let more =
            format!("\"{0}\" = {{ layers = [\"{0}\"], upper = {upper}{owner} }}", other.display());
        for upper in tree.kinds() {
            let line = "echo 1 > ../other/new; echo mine > file";
            let output = tree.meanwhile(&tree.profile(&upper, &more), line, |tree| {
                tree.sh("echo the host > file");
            });
            let why = unwrapped(&errors(&output));
            assert_eq!(output.status.code(), Some(125), "{why}");
            assert!(why.contains("`file`: the host has changed it since"), "{why}");
            assert_eq!(tree.sh("cat file; ls ../other"), "the host\n", "{who:?} {upper}");
            assert_eq!(tree.journals(), [""; 0]);
        }
    }
}

#[test]
fn where_nothing_can_be_applied_nothing_is_run() {
    let tree = Tree::new(As::all()[0]);
    let elsewhere =
        format!("\"/m\" = {{ layers = [\"{}\"], upper = \"discard\" }}", tree.top.display());
    for mounts in [elsewhere.as_str(), ""] {
        let output = tree.run(&system(mounts), "echo ran");
        let why = unwrapped(&errors(&output));
        assert_eq!(output.status.code(), Some(125), "{why}");
        assert!(
            text(&output.stdout).is_empty() && why.contains("no entry with an upper is"),
            "{why}"
        );
    }
    // Of a copy nobody knows what was changed.
    let copied = tree.profile("\"discard\", driver = \"copy\"", "");
    let output = tree.run(&copied, "echo ran");
    let why = unwrapped(&errors(&output));
    assert!(
        text(&output.stdout).is_empty()
            && why.contains("its layers are copied")
            && why.contains("driver"),
        "{why}"
    );
}

/// Each place is old or new, and the next run goes back before it begins.
#[test]
fn a_run_that_is_killed_while_it_applies_is_ended_by_the_next() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    let mut killed = 0;
    for when in 1..8 {
        let tree = Tree::new(who);
        let profile = tree.place.file("profile.toml", &tree.profile(&tree.kinds()[0], ""));
        let mut command = tree.place.outside(who, "/usr/bin/strace");
        let fault = format!("inject=renameat2:signal=KILL:when={when}");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(tree.place.path.join("stockade"));
        tree.with_words(&mut command, &profile, WORK);
        let output = command.output().unwrap();
        let said = format!("{when}: {}", said(&output));
        if when == 4 {
            give_up(tree);
            continue;
        }
        if output.status.code().is_some() {
            break;
        }
        killed += 1;
        assert!(["old\n", "new\n"].contains(&&*tree.sh("cat file")), "{said}");
        assert_eq!(tree.journals().len(), 1, "{said}");
        let output = tree.run(&tree.profile(&tree.kinds()[0], ""), "cat file; ls -A");
        assert!(output.status.success(), "{said}: {}", crate::support::said(&output));
        let seen = text(&output.stdout);
        let (before, after) = ("old\n.git\nfile\ngone\nsub\n", "new\n.git\nfile\nmore\nsub\n");
        assert!([before, after].contains(&&*seen), "{said}: {seen}");
        assert_eq!(tree.journals(), [""; 0], "{said}");
        assert!(!tree.sh("ls -A . sub").contains(".stockade-"), "{said}");
    }
    assert!(killed > 4, "{killed}");
}

/// All is applied, and what was there before is removed by the next run.
#[test]
fn what_a_run_could_not_remove_is_removed_by_the_next() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    let mut left = 0;
    for when in 1..8 {
        let tree = Tree::new(who);
        let profile = tree.place.file("profile.toml", &tree.profile(&tree.kinds()[0], ""));
        let mut command = tree.place.outside(who, "/usr/bin/strace");
        let fault = format!("inject=unlinkat:error=EIO:when={when}");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(tree.place.path.join("stockade"));
        tree.with_words(&mut command, &profile, WORK);
        let output = command.output().unwrap();
        let said = format!("{who:?} {when}: {}", said(&output));
        let names = || tree.sh("find . -name '.stockade-*'");
        if names().is_empty() {
            continue;
        }
        left += 1;
        assert!(output.status.success() && said.contains("applied 5 changes"), "{said}");
        assert_eq!(tree.sh("cat file more/m; ls"), "new\nm\nfile\nmore\nsub\n", "{said}");
        assert_eq!(tree.journals().len(), 1, "{said}");
        let output = tree.run(&tree.profile(&tree.kinds()[0], ""), "true");
        assert!(output.status.success(), "{said}: {}", errors(&output));
        assert!(
            errors(&output).contains("that did not come to its end was brought to one"),
            "{said}"
        );
        assert_eq!((&*names(), tree.journals()), ("", vec![]), "{said}");
        assert_eq!(tree.sh("cat file more/m; ls"), "new\nm\nfile\nmore\nsub\n", "{said}");
    }
    // Each of the three that were replaced or removed.
    assert_eq!(left, 3);
}

/// The owner of the directory that the tree lies in decides what has its name.
#[test]
fn another_tree_of_that_name_gets_nothing() {
    for who in As::all() {
        for exchange in ["ln -s ../victim ../tree", "mv ../victim ../tree && mkdir ../victim"] {
            let tree = Tree::new(*who);
            tree.place.folder("victim", *who);
            std::os::unix::fs::chown(&tree.place.path, who.id(), who.id()).unwrap();
            let profile = tree.profile(&tree.kinds()[0], "");
            let output = tree.meanwhile(&profile, "echo mine > made", |tree| {
                tree.sh(&format!("mv ../tree ../old && {exchange}"));
            });
            let why = errors(&output);
            assert_eq!(output.status.code(), Some(125), "{who:?}: {why}");
            let made = |top: &str| tree.place.path.join(top).join("made").exists();
            assert!(!made("victim") && !made("tree") && !made("old"), "{who:?}: {why}");
        }
        // What is kept is what the run had, and not what has its name by now.
        let tree = Tree::new(*who);
        std::os::unix::fs::chown(tree.uppers(), who.id(), who.id()).unwrap();
        let profile = tree.profile(&format!("\"{}/kept\"", tree.uppers().display()), "");
        let path = tree.place.file("first.toml", &profile);
        let line = format!("echo unseen > {}/unseen", tree.top.display());
        let mut command = tree.place.stockade(*who);
        command.arg("run").arg(path).args(["/bin/sh", "-c", &line]);
        assert!(command.output().unwrap().status.success());
        tree.sh("mv ../uppers/kept ../uppers/other");
        let output = tree.meanwhile(&profile, "echo mine > made", |tree| {
            tree.sh("cd ../uppers; mv kept away; ln -s other kept");
        });
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(tree.sh("ls; ls ../uppers/other/upper"), "file\ngone\nmade\nsub\nunseen\n");
    }
}

/// What a target can put among the states is no journal: it changes nothing outside of its tree, and
/// gives nobody more.
#[test]
fn a_planted_journal_does_nothing() {
    let who = *As::all().last().unwrap();
    let tree = Tree::new(who);
    let states = tree.place.folder("home/stockade", who);
    std::fs::set_permissions(&states, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let precious = tree.place.folder("precious", who);
    tree.sh("echo key > ../precious/key; chmod 600 ../precious/key; echo evil > ../precious/evil0");
    let number = tree.sh("stat -c %i ../precious/key ../precious/evil0");
    let (key, evil) = number.trim().split_once('\n').unwrap();
    let mode = |act: &str, new: u32, old: u32| {
        format!(
            r#"{{"path":"key","act":{{"{act}":{{"new":{new},"old":{old}}}}},"new":0,"old":{key},"written":[0,0],"made":[0,0]}}"#
        )
    };
    let own = ".stockade-0123456789abcdef-";
    let journals = [
        (
            "made",
            "evil",
            r#"{"path":"x","act":"add","new":0,"old":0,"written":[0,0],"made":[0,0]}"#.to_owned(),
        ),
        (
            "made",
            "../tree/fil",
            r#"{"path":"x","act":"add","new":0,"old":0,"written":[0,0],"made":[0,0]}"#.into(),
        ),
        (
            "made",
            own,
            r#"{"path":"../tree","act":"add","new":0,"old":0,"written":[0,0],"made":[0,0]}"#.into(),
        ),
        (
            "made",
            "evil",
            format!(
                r#"{{"path":"key","act":"replace","new":{key},"old":{evil},"written":[0,0],"made":[0,0]}}"#
            ),
        ),
        ("switched", own, mode("mode", 0o600, 0o666)),
        ("switched", own, mode("open", 0o600, 0o666)),
        ("closing", own, mode("close", 0o666, 0o600)),
    ];
    for (nth, (stage, prefix, unit)) in journals.iter().enumerate() {
        let path = precious.display();
        let journal = format!(r#"{{"stage":"{stage}","prefix":"{prefix}","units":[{unit}]}}"#);
        let record = format!(r#"{{"format":1,"path":"{path}","layers":["{path}"],"pid":0}}"#);
        tree.sh(&format!(
            "umask 077; cd ../home/stockade; mkdir -p .apply-1-{nth}/upper; cd .apply-1-{nth}; echo \
             '{record}' > stockade; echo '{journal}' > journal"
        ));
    }
    tree.place.folder("aside", who);
    tree.sh("mkdir -m 700 ../aside/upper; touch ../aside/stockade; chmod 700 ../aside; ln -s ../../aside ../home/stockade/.apply-2-0");
    let output = tree.run(&tree.profile(&tree.kinds()[0], ""), "true");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        tree.sh("cat ../precious/*; stat -c %a ../precious/key; ls ../tree ../aside"),
        "evil\nkey\n600\n../aside:\nstockade\nupper\n\n../tree:\nfile\ngone\nsub\n",
        "{}",
        said(&output)
    );
}

/// What a target wrote over an entry of its run it wrote without seeing what the host has there: a run
/// without that entry does not apply it.
#[test]
fn what_an_entry_covered_in_an_earlier_run_is_not_applied() {
    for who in As::all() {
        let tree = Tree::new(*who);
        let [upper, top] = [tree.kinds()[1].clone(), tree.top.display().to_string()];
        let hides = tree.profile(&upper, &format!("\"{top}/sub\" = \"hide\""));
        let output = tree.run(&hides, "echo mine > sub; echo new > new; exit 3");
        assert_eq!(output.status.code(), Some(3), "{who:?}: {}", errors(&output));
        // One that executes nothing is a run, too.
        let plain = tree.profile(&upper, "");
        let path = tree.place.file("profile.toml", &plain);
        let mut command = tree.place.stockade(*who);
        let output = command.arg("run").arg(path).arg("/no/program").output().unwrap();
        assert_eq!(output.status.code(), Some(127), "{who:?}: {}", errors(&output));
        let output = tree.run(&plain, "true");
        let why = errors(&output);
        assert!(
            output.status.success()
                && why.contains("(was a directory): an entry of [mounts] covers it"),
            "{why}"
        );
        assert_eq!(tree.sh("cat sub/inner new"), "inner\nnew\n", "{who:?}: {why}");
    }
}

/// What the target writes or removes at, below or over a hidden name is not applied, of no kind of upper,
/// whether the host has something there or not.
#[test]
fn what_is_hidden_is_neither_written_nor_removed() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            for is_hidden in [true, false] {
                let tree = Tree::new(*who);
                tree.sh("mkdir -p dir/deep; echo k > dir/deep/k; echo secret > secret");
                let top = tree.top.display().to_string();
                let hides = ["sub", "secret", "dir/deep", "env", "far/env"].map(|name| {
                    format!("\"{top}/{name}\" = {{ hide = true, missing = \"skip\" }}\n")
                });
                let more = if is_hidden { hides.concat() } else { String::new() };
                let line = "rm -rf sub; echo 1 > sub; echo 1 > secret; rm -r dir; mkdir dir; echo 1 > \
                            dir/new; echo 1 > env; mkdir far; echo 1 > far/env; echo 1 > plain";
                let profile = tree.profile(&tree.kinds()[kind], &more);
                let output = tree.run(&profile, line);
                let why = errors(&output);
                let found =
                    tree.sh("find . -path ./.git -prune -o -type f -print | sort | xargs grep .");
                let plain = "./dir/new:1\n./env:1\n./far/env:1\n./file:old\n./gone:gone\n./plain:1\n\
                             ./secret:1\n./sub:1\n";
                let hidden = "./dir/deep/k:k\n./dir/new:1\n./file:old\n./gone:gone\n./plain:1\n./secret:secret\n\
                              ./sub/inner:inner\n";
                assert!(output.status.success(), "{who:?} {kind}: {why}");
                let expected = if is_hidden { hidden } else { plain };
                assert_eq!(found, expected, "{who:?} {kind}: {why}");
                let is_said = why.contains("secret: an entry of [mounts] covers it");
                assert_eq!(is_said, is_hidden, "{who:?} {kind}: {why}");
            }
        }
    }
}

/// A target closes the top of what it wrote to its owner: that hides nothing, and is a change itself.
#[test]
fn a_closed_top_hides_no_change() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            let tree = Tree::new(*who);
            let profile = tree.profile(&tree.kinds()[kind], "");
            let output = tree.run(&profile, "rm gone; chmod 0 .; exit 3");
            let why = errors(&output);
            assert!(why.contains(&format!("D  {}/gone", tree.top.display())), "{who:?}: {why}");
            assert!(why.contains("(mode 0700, was 0755)") || *who == As::Root, "{who:?}: {why}");
            if kind == 1 {
                let kept = tree.place.path.join("uppers/kept");
                let mut command = tree.place.stockade(*who);
                let output =
                    command.args(["changes", "discard", "--yes"]).arg(&kept).output().unwrap();
                assert!(output.status.success() && !kept.exists(), "{who:?}: {}", said(&output));
            }
        }
    }
}

/// `copy-up` is no change of the target's, and a directory of the host's keeps the bit by which what is
/// made in it has its group.
#[test]
fn a_set_group_id_bit_of_a_directory_stays() {
    for who in As::all() {
        let tree = Tree::new(*who);
        tree.sh("chmod 2775 sub; mkdir -m 2755 more");
        let top = tree.top.display().to_string();
        let upper = format!("{}, copy-up = [\"{top}\"]", tree.kinds()[0]);
        let output = tree.run(&tree.profile(&upper, ""), "true");
        let why = errors(&output);
        let nothing = format!("nothing was changed in {top}");
        assert!(output.status.success() && why.contains(&nothing), "{who:?}: {why}");
        assert_eq!(tree.sh("stat -c %a sub more"), "2775\n2755\n", "{who:?}: {why}");
        let plain = tree.profile(&tree.kinds()[0], "");
        let output = tree.run(&plain, "chmod g-s more; chmod o-rx sub");
        assert!(output.status.success(), "{who:?}: {}", errors(&output));
        assert_eq!(tree.sh("stat -c %a sub more"), "2770\n2755\n", "{who:?}: {why}");
    }
}

/// A link in the place of a directory with what the host runs later leads to another such directory.
#[test]
fn a_link_to_what_the_host_runs_is_kept_back() {
    let tree = Tree::new(*As::all().last().unwrap());
    tree.sh("mkdir -p .config/git");
    let line = "mkdir -p conf/autostart && rm -r .config && ln -s conf .config && ln -s conf plain";
    let output = tree.run(&tree.profile(&tree.kinds()[0], ""), line);
    let why = errors(&output);
    assert!(output.status.success() && why.contains("  T  .config -> conf"), "{why}");
    assert_eq!(tree.sh("readlink plain; ls -d .config/git"), "conf\n.config/git\n", "{why}");
}

/// What a link of the host's leads to is run as what the link is called, whether its end is there or
/// not; and git takes a directory for a repository by what is in it.
#[test]
fn what_the_host_runs_by_links_and_in_repositories_is_kept_back() {
    let tree = Tree::new(*As::all().last().unwrap());
    tree.sh("mkdir dots dots/v1 conf host.git host.git/objects host.git/refs; ln -s v1 dots/now; \
         ln -s dots/now/bashrc .bashrc; echo 1 > dots/v1/bashrc; ln -s conf .config; \
         ln -s \"$PWD/dots/none/zshrc\" .zshrc; echo r > host.git/HEAD; mkdir sub/in; \
         ln -s ../../hooks sub/in/.husky");
    let later = [
        "dots/v1/bashrc",
        "dots/none/zshrc",
        "conf/autostart/x",
        "hooks/pre-push",
        "host.git/config",
        "bare/HEAD",
        "bare/config",
        "work/HEAD",
        "work/config",
        ".GIT/config",
        ".npmrc",
        ".mcp.json",
        ".bash_aliases",
        ".local/share/systemd/user/x",
        "new/.claude/settings.json",
    ];
    let plain =
        ["dots/v1/other", "conf/plain", "head/HEAD", "head/config", "bin/x", ".gitattributes"];
    let all = later.iter().chain(&plain);
    let all = all.map(|name| format!("mkdir -p $(dirname {name}); echo evil > {name}"));
    let line = all.collect::<Vec<_>>().join("; ")
        + "; mkdir bare/objects bare/refs; echo x > work/commondir; mkdir v2; ln -sfn ../v2 dots/now; \
           echo evil > v2/bashrc";
    let output = tree.run(&tree.profile(&tree.kinds()[0], ""), &line);
    let why = errors(&output);
    assert!(output.status.success(), "{why}");
    let evil = tree.sh("grep -rl evil . | sort");
    let mut expected = plain.map(|name| format!("./{name}\n"));
    expected.sort();
    // What a link leads to that was not made is nothing.
    assert_eq!(evil, expected.concat() + "./v2/bashrc\n", "{why}");
    assert_eq!(tree.sh("readlink dots/now; cat dots/v1/bashrc"), "v1\n1\n", "{why}");
}

/// A target that succeeds all the same leaves files that are cut.
#[test]
fn what_was_written_into_a_full_upper_is_not_applied() {
    for who in As::all() {
        if kernel() < (6, 6) {
            return skip("there is no upper in memory for ordinary users before Linux 6.6");
        }
        let tree = Tree::new(*who);
        let line = "head -c 3M /dev/zero > file; true";
        let output = tree.run(&tree.profile("\"discard\", size = \"1M\"", ""), line);
        let why = unwrapped(&said(&output));
        assert_eq!(output.status.code(), Some(125), "{who:?}: {why}");
        assert!(why.contains("an upper is full") && why.contains("full at the end"), "{why}");
        assert_eq!(tree.sh("cat file"), "old\n", "{who:?}");
        // The twin.
        let output = tree.run(&tree.profile("\"discard\", size = \"8M\"", ""), line);
        assert!(output.status.success(), "{who:?}: {}", said(&output));
        assert_eq!(tree.sh("stat -c %s file"), "3145728\n", "{who:?}");
    }
}

/// What says what a sandbox is, the target would widen for the next run: the profile, what it extends or
/// would extend, links to it, and profiles with a name. Another file of the kind is plain.
#[test]
fn what_stockade_reads_at_the_next_run_is_kept_back() {
    for who in As::all() {
        for kind in 0..Tree::new(*who).kinds().len() {
            let tree = Tree::new(*who);
            let upper = &tree.kinds()[kind];
            let extends = "extends = [\"./conf/more.toml\", { profile = \"./late.toml\", missing = \
                           \"skip\" }]\n[";
            let profile = tree.profile(upper, "").replacen('[', extends, 1);
            tree.place.file("tree/main.toml", &profile);
            tree.place.file("tree/conf/more.toml", "format = 1\n");
            tree.place.file("tree/conf/plain.toml", "format = 1\n");
            let top = tree.top.display().to_string();
            if let Some(id) = who.id() {
                let chown =
                    Command::new("chown").args(["-R", &format!("{id}:{id}"), &top]).status();
                assert!(chown.unwrap().success());
            }
            tree.sh("ln -s main.toml link.toml");
            let before = tree.sh("cat main.toml conf/more.toml; readlink link.toml");
            let mut command = tree.place.stockade(*who);
            let line = "for f in main.toml conf/more.toml late.toml conf/plain.toml; do echo '# evil' >> $f; \
                        done; ln -sf conf/plain.toml link.toml; mkdir -p .config/stockade; \
                        echo '# evil' > .config/stockade/named.toml";
            tree.with_words(&mut command, &tree.top.join("link.toml"), line);
            let output = command.output().unwrap();
            let why = errors(&output);
            assert!(output.status.success(), "{who:?} {upper}: {why}");
            let later = "the host runs it later";
            assert_eq!(why.matches(later).count(), 6, "{who:?} {upper}: {why}");
            let evil = || tree.sh("grep -rl evil . | sort");
            assert_eq!(evil(), "./conf/plain.toml\n", "{who:?} {upper}: {why}");
            let now = tree.sh("cat main.toml conf/more.toml; readlink link.toml");
            assert_eq!(now, before, "{who:?} {upper}");
            if upper.contains("kept") {
                // A later run with another profile changes nothing of that.
                assert!(tree.run(&tree.profile(upper, ""), "true").status.success());
                let apply = |how: &[&str]| {
                    let mut command = tree.place.stockade(*who);
                    command.args(["changes", "apply", "--yes"]).args(how);
                    command.arg(tree.uppers().join("kept")).output().unwrap()
                };
                let output = apply(&[]);
                let reads = "stockade reads it at the next run";
                assert_eq!(said(&output).matches(reads).count(), 6, "{}", said(&output));
                assert_eq!(evil(), "./conf/plain.toml\n", "{who:?}: {}", said(&output));
                // The twin.
                let output = apply(&["--run-later"]);
                assert!(output.status.success(), "{}", said(&output));
                assert_eq!(evil().lines().count(), 5, "{who:?}: {}", said(&output));
            }
        }
    }
}

/// What is new is copied first, which takes its time: the host's work of that time is not lost.
#[test]
fn what_the_host_writes_while_it_is_applied_is_not_lost() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    // As long as the test needs to see it.
    let seconds = if is_emulated() { 30 } else { 1 };
    for meanwhile in ["echo host >> file", "echo host > sub/host"] {
        let tree = Tree::new(who);
        let profile = tree.place.file("profile.toml", &tree.profile(&tree.kinds()[0], ""));
        let mut command = tree.place.outside(who, "/usr/bin/strace");
        let fault = format!("inject=syncfs:delay_enter={seconds}000000:when=1");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(tree.place.path.join("stockade"));
        // A target's file can be of any time, and its directories closed and of any depth: they are
        // taken back all the same.
        let line = "echo mine > file; rm -r sub; echo n > new; touch -d 2040-01-01 file new
            mkdir -p evil/closed evil/$(printf 'd/%.0s' $(seq 300)); echo n > evil/new
            chmod 0 evil/closed; rm gone; mkdir -p gone/closed; chmod 0 gone/closed";
        tree.with_words(&mut command, &profile, line);
        // A pipe that nobody reads would keep the list from its end.
        let list = tree.place.path.join("list");
        command.stdout(Stdio::null()).stderr(std::fs::File::create(&list).unwrap());
        let mut child = command.spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60 * seconds);
        while !tree.sh("ls -A").contains(".stockade-") {
            assert!(std::time::Instant::now() < until, "nothing is applied");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        tree.sh(meanwhile);
        let status = child.wait().unwrap();
        let why = std::fs::read_to_string(list).unwrap();
        let why =
            why.lines().filter(|line| !line.contains("d/d/d/d")).collect::<Vec<_>>().join("\n");
        assert_eq!(status.code(), Some(125), "{meanwhile}: {why}");
        let host = if meanwhile.contains("file") { "old\nhost\n" } else { "old\n" };
        assert_eq!(tree.sh("cat file"), host, "{why}");
        assert_eq!(tree.sh("ls -A; cat gone"), ".git\nfile\ngone\nsub\ngone\n", "{why}");
        assert_eq!(tree.sh("ls sub").contains("host"), meanwhile.contains("sub"), "{why}");
    }
}

/// Where the tree is gone, each run says so, and how to end that.
fn give_up(tree: Tree) {
    std::fs::rename(&tree.top, tree.place.path.join("gone")).unwrap();
    let top = tree.place.folder("other", tree.who);
    let other = Tree { place: tree.place, who: tree.who, top };
    let profile = other.profile(&other.kinds()[0], "");
    let why = errors(&other.run(&profile, "true"));
    assert!(why.contains("cannot be opened: no such file"), "{why}");
    let (_, line) = why.split_once("to give that up: ").unwrap();
    assert_eq!(other.journals().len(), 1, "{why}");
    other.sh(line.lines().next().unwrap());
    assert_eq!(other.journals(), [""; 0]);
    assert!(!errors(&other.run(&profile, "true")).contains("give that up"));
}

/// What was applied and worked on before the next run ends the apply stays.
#[test]
fn work_on_what_a_killed_run_had_applied_stays() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let who = *As::all().last().unwrap();
    let mut worked_on = 0;
    for when in 3..8 {
        let tree = Tree::new(who);
        let text = tree.profile(&tree.kinds()[0], "");
        let profile = tree.place.file("profile.toml", &text);
        let mut command = tree.place.outside(who, "/usr/bin/strace");
        let fault = format!("inject=renameat2:signal=KILL:when={when}");
        command.args(["-o", "/dev/null", "-e", &fault]).arg(tree.place.path.join("stockade"));
        tree.with_words(&mut command, &profile, WORK);
        command.output().unwrap();
        let mut at_work = vec![];
        for (name, before) in [("file", "new\n"), ("more/m", "m\n")] {
            let there = tree.sh(&format!("cat {name} 2>/dev/null || true"));
            if there == before && !tree.journals().is_empty() {
                tree.sh(&format!("echo work >> {name}"));
                at_work.push((name, format!("{before}work\n")));
            }
        }
        worked_on += at_work.len();
        let output = tree.run(&text, "true");
        assert!(output.status.success(), "{when}: {}", said(&output));
        for (name, after) in at_work {
            assert_eq!(tree.sh(&format!("cat {name}")), after, "{when} {name}");
        }
    }
    assert!(worked_on > 2, "{worked_on}");
}

#[test]
fn runs_at_once_apply_each_its_own() {
    let who = *As::all().last().unwrap();
    let tree = Tree::new(who);
    // A kept one has one sandbox at a time.
    let upper = &tree.kinds()[0];
    let profile = tree.profile(upper, "");
    let runs = 0..8;
    let children: Vec<_> = runs
        .clone()
        .map(|nth| {
            let mut command = tree.command(&profile, &format!("echo {nth} > made-{nth}"));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    for nth in runs {
        assert_eq!(tree.sh(&format!("cat made-{nth}")), format!("{nth}\n"));
    }
    assert_eq!(tree.journals(), [""; 0]);
}

/// Directories that their owner may not write to, as of Go's module cache, are no descriptors each:
/// neither beside one another nor one in another.
#[test]
fn many_closed_directories_are_made_with_few_descriptors() {
    let who = *As::all().last().unwrap();
    let tree = Tree::new(who);
    let profile = tree.place.file("profile.toml", &tree.profile(&tree.kinds()[0], ""));
    let line = "mkdir mod && cd mod && mkdir -m 555 $(seq 200) && mkdir -p $(printf 'd/%.0s' $(seq 150)) \
                && echo f > d/f && chmod -R u-w d && chmod 500 d/d && chmod 555 . && mkdir -m 700 ../z";
    let mut command = tree.place.outside(who, "/bin/sh");
    command.args(["-c", "ulimit -Sn 128; exec \"$@\"", "sh"]);
    command.arg(tree.place.path.join("stockade"));
    tree.with_words(&mut command, &profile, line);
    let output = command.output().unwrap();
    let found = tree.sh(
        "find mod z -type d -printf '%m\n' | sort | uniq -c; stat -c %a mod/d/d mod/d/d/d mod/d/f z; \
         chmod -R u+w mod",
    );
    assert!(output.status.success(), "{}", said(&output));
    let found: Vec<&str> = found.split_whitespace().collect();
    assert_eq!(found.join(" "), "1 500 350 555 1 700 500 555 444 700");
    assert_eq!(tree.journals(), [""; 0]);
}

/// Two megabytes with a thousand names are no two gigabytes in the host's tree; a file with two names is
/// two files there.
#[test]
fn a_file_with_many_names_does_not_fill_the_disk() {
    let who = *As::all().last().unwrap();
    let tree = Tree::new(who);
    let many = "mkdir -p t/0 && head -c 2M /dev/zero > t/0/a && echo f > f && ln f g && \
                for i in 1 2 3 4 5 6 7 8 9 10; do cp -rl t/0 u && mv u t/0/$i || exit 1; done";
    let profile = tree.profile(&tree.kinds()[0], "");
    let before = tree.sh("find . | sort");
    let output = tree.run(&profile, many);
    let why = unwrapped(&errors(&output));
    assert_eq!(output.status.code(), Some(125), "{why}");
    let words = "files in it with several names would take 2.0G more than they do, as each name becomes \
                 a file of its own";
    assert!(why.contains(words), "{why}");
    assert_eq!(tree.sh("find . | sort"), before);
    let output = tree.run(&profile, &format!("{many}; rm -r t"));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(tree.sh("cat f g; stat -c %h f g; ls"), "f\nf\n1\n1\nf\nfile\ng\ngone\nsub\n");
}

/// What the host does not let the caller change is known before anything is applied, in any tree.
#[test]
fn what_the_caller_may_not_write_lets_nothing_be_applied() {
    if !crate::support::is_root() {
        return skip("only root makes directories of another user");
    }
    let tree = Tree::new(As::User);
    let roots = tree.place.folder("roots", As::Root);
    for name in ["roots/shared/its", "roots/plain"] {
        tree.place.file(name, "root's\n");
    }
    let shared = roots.join("shared");
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o1777)).unwrap();
    let (own, roots, site) = (tree.top.display(), roots.display(), tree.uppers());
    let entry = |path: &dyn std::fmt::Display, upper: &str| {
        format!("\"{path}\" = {{ layers = [\"{path}\"], upper = {upper} }}\n")
    };
    let kept = format!("\"{}/state\"", site.display());
    let profile = |upper: &str| {
        let shared = format!("{roots}/shared");
        let all = entry(&own, upper) + &entry(&shared, upper);
        system(&(all + &entry(&roots, &kept)))
    };
    let discard = &tree.kinds()[0];
    let run = |line: &str| tree.run(&profile(discard), line);
    let before = tree.sh(&format!("find . {roots} | sort; cat file"));
    for line in [format!("touch {roots}/new"), format!("rm {roots}/shared/its")] {
        let output = run(&format!("echo new > file && touch {roots}/shared/mine && {line}"));
        let why = errors(&output);
        let refused = why.contains("[E1216]") && why.contains("1 change; nothing was applied");
        assert!(output.status.code() == Some(125) && refused, "{line}: {why}");
        assert!(why.contains("directory\n") || why.contains("(sticky)\n"), "{line}: {why}");
        assert_eq!(tree.sh(&format!("find . {roots} | sort; cat file")), before, "{line}: {why}");
        // The kept one is applied by itself, without what is refused.
        let mut command = tree.place.stockade(As::User);
        let state = site.join("state");
        let output = command.args(["changes", "discard", "--yes"]).arg(&state).output().unwrap();
        assert!(output.status.success() || line.starts_with("rm"), "{}", said(&output));
    }
    // Nor is anything where chattr(1) keeps a directory as it is.
    tree.sh("mkdir log");
    let seal = |flag: &str| {
        let mut how = std::process::Command::new("chattr");
        how.args([flag, "log"]).current_dir(&tree.top).status().is_ok_and(|how| how.success())
    };
    if seal("+a") {
        let output = run(&format!("echo new > file && touch {roots}/shared/mine log/new"));
        let (after, why) = (tree.sh("ls log; cat file"), errors(&output));
        assert!(seal("-a"));
        let refused = why.contains("[E1216]") && why.contains("append-only (lsattr)\n");
        assert!(output.status.code() == Some(125) && refused, "{why}");
        assert!(!after.contains("new") && !shared.join("mine").exists(), "{after}");
    } else {
        skip("the file system takes no such attribute, or chattr is not installed");
    }
    // The twin: what the caller may write is applied.
    let output = run(&format!("echo new > file && touch {roots}/shared/mine log/new"));
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(
        tree.sh(&format!("cat file; ls log {roots}/shared | grep ^[mn]")),
        "new\nmine\nnew\n"
    );
}
