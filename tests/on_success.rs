//! `run --changes=apply-on-success`: what a target wrote over the host's tree is put there if it
//! succeeds.

use crate::support::{As, Place, errors, kernel, said, skip, system, text, unwrapped};
use std::io::{BufRead, BufReader, Write};
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
            assert!(why.contains(&format!("kept back in {top}:\n  A  .git/x: ")), "{why}");
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
            let line = "echo 1 > ../other/new; echo there; read x; echo mine > file";
            let mut command = tree.command(&tree.profile(&upper, &more), line);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut first = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
            assert_eq!(first, "there\n");
            tree.sh("echo the host > file");
            child.stdin.take().unwrap().write_all(b"\n").unwrap();
            let output = child.wait_with_output().unwrap();
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
