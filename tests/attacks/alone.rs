//! `namespaces.mount = "host"`: where Landlock is all that keeps the files, a line that it cannot hold is refused.

use crate::support::{As, Place, USER, is_root, skip, text, unwrapped};
use std::path::Path;
use std::process::Output;

/// No namespace at all, and the system's programs. `more` stands in [mounts], and may open further sections.
fn alone(who: As, top: &str, mounts: &str) -> String {
    let identity = if who == As::Root { format!("[identity]\nhost = true\nuser = {USER}\ngroup = {USER}\n") } else { String::new() };
    format!("format = 1\n{top}\n[namespaces]\nall = \"host\"\n[network]\nmode = \"host\"\n{identity}[mounts]\n{mounts}\n")
}

const SYSTEM: &str = "\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\"/lib\" = \"ro\"\n\"/lib64\" = { bind = \"/lib64\", missing = \"skip\" }\n\
                      \"/dev\" = \"dev\"";

fn system(who: As, mounts: &str) -> String {
    alone(who, "", &format!("{SYSTEM}\n{mounts}"))
}

/// Most of this is about a kernel's Landlock that keeps signals (ABI 6), as the profiles ask for.
fn has_landlock() -> bool {
    let has = stockade::sys::landlock_abi().is_ok_and(|abi| abi >= 6);
    if !has {
        skip("the kernel's Landlock has no scopes, or it is switched off");
    }
    has
}

fn said(output: &Output) -> String {
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// The profile does not start, and this is said of it; `check` says the same.
#[track_caller]
fn refused(place: &Place, who: As, profile: &str, code: &str, words: &str) {
    let output = place.run(who, profile, &["true"]);
    let error = unwrapped(&text(&output.stderr));
    assert!(output.status.code() == Some(125) && error.contains(code) && error.contains(words), "{who:?}: {}", said(&output));
    let checked = place.stockade(who).arg("check").arg(place.path.join("profile.toml")).arg("true").output().unwrap();
    assert!(checked.status.code() == Some(125) && text(&checked.stderr).contains(code), "{who:?}: {}", said(&checked));
}

fn of_the_user(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

#[test]
fn without_rules_for_files_nothing_starts() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let open = place.folder("open", As::User);
        let secret = place.file("secret", "NOT-GRANTED");
        of_the_user(&secret);
        let grant = format!("\"{}\" = \"rw\"", open.display());
        // The ordinary act, and that the secret is kept.
        let line = format!("echo x > {0}/out && cat {0}/out; cat {1}; true", open.display(), secret.display());
        assert_eq!(place.sh(*who, &system(*who, &grant), &line), "x", "{who:?}");
        let with = |section: &str| system(*who, &format!("{grant}\n{section}"));
        refused(&place, *who, &with("[landlock]\npaths = \"off\""), "E1106", "switches its rules for files off");
        let nested = system(*who, &grant).replacen("all = \"host\"", "all = \"host\"\nnested = true", 1);
        refused(&place, *who, &nested, "E1106", "`nested`");
        refused(&place, *who, &nested.replacen("format = 1", "format = 1\noptional = [\"landlock\"]", 1), "E1106", "`nested`");
        // The twin, which says so of itself: no entry, no rules, and all files of the caller.
        let bare = alone(*who, "", "[landlock]\npaths = \"off\"");
        assert_eq!(place.sh(*who, &bare, &line), "x\nNOT-GRANTED", "{who:?}");
        let output = place.run(*who, &bare, &["true"]);
        for command in ["check", "plan"] {
            let other = place.stockade(*who).arg(command).arg(place.path.join("profile.toml")).arg("true").output().unwrap();
            let told = unwrapped(&said(&other)).replace('\n', " ");
            assert!(told.contains("the target has all files of the caller"), "{who:?}: {command}: {}", said(&other));
        }
        assert!(text(&output.stderr).contains("the target has all files of the caller"), "{who:?}: {}", said(&output));
    }
}

/// As of a kernel that was built without Landlock, or booted so.
#[test]
fn no_word_lets_landlock_alone_start_without_landlock() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let optional = "optional = [\"landlock\", \"landlock.scope\", \"landlock.truncate\"]";
        let path = place.file("profile.toml", &alone(*who, optional, SYSTEM));
        let run = |inject: &[&str]| {
            let mut command = place.outside(*who, "strace");
            command.args(["-f", "-qq", "-o", "/dev/null"]).args(inject);
            command.arg(place.path.join("stockade")).arg("run").arg(&path).args(["sh", "-c", "exit 7"]).output().unwrap()
        };
        assert_eq!(run(&["-e", "trace=none"]).status.code(), Some(7), "{who:?}: the ordinary act");
        let output = run(&["-e", "inject=landlock_create_ruleset:error=EOPNOTSUPP"]);
        assert!(output.status.code() == Some(125) && text(&output.stderr).contains("E1106"), "{who:?}: {}", said(&output));
    }
}

/// A grant of devices is for writing, and a hidden name is kept by no rule.
#[test]
fn what_an_entry_says_is_held_or_refused() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let work = place.folder("work", As::User);
        let file = place.file("work/file", "text");
        of_the_user(&file);
        of_the_user(place.file("work/.real/config", "text").parent().unwrap());
        std::os::unix::fs::symlink(".real", work.join(".git")).unwrap();
        std::os::unix::fs::symlink(&work, place.path.join("link")).unwrap();
        let (work, file, top) = (work.display(), file.display(), place.path.display());
        let refuse = |mounts: &str, code: &str, words: &str| refused(&place, *who, &system(*who, mounts), code, words);
        refuse(&format!("\"{file}\" = \"device\""), "E0309", "it is a file");
        refuse(&format!("\"{work}\" = \"device\""), "E0309", "only folders below /dev");
        refuse(&format!("\"{file}\" = {{ socket = \"{file}\" }}"), "E0312", "it is a file");
        let extra = system(*who, "").replace("\"/dev\" = \"dev\"", &format!("\"/dev\" = {{ dev = [\"{file}\"] }}"));
        refused(&place, *who, &extra, "E0309", "it is a file");
        // A link, or a name with one on its way, is no way round what the grant around it has.
        refuse(&format!("\"{work}\" = \"rw\"\n\"{work}/.git\" = \"ro\""), "E1102", "read-only");
        refuse(&format!("\"{work}\" = \"rw\"\n\"{top}/link/file\" = \"hide\""), "E0802", "a cover");
        refuse("\"/dev/null\" = \"hide\"", "E0802", "a cover");
        refuse("\"/usr/bin/su\" = \"hide\"", "E0802", "a cover");
        refuse(&format!("[landlock.paths]\n\"/\" = \"rx\"\n\"{work}\" = \"rw\"\n\"{work}/file\" = \"r\""), "E1102", "takes nothing back");
        // What is kept within a grant may be skipped by its own word, and that is reported.
        let kept = format!("{SYSTEM}\n\"{work}\" = \"rw\"\n\"{work}/.git\" = \"ro\"");
        let output = place.run(*who, &alone(*who, "optional = [\"mounts.kept\"]", &kept), &["sh", "-c", &format!("echo x > {work}/.git/hook")]);
        let told = text(&output.stderr).contains(".git is not kept read-only");
        assert!(output.status.success() && told, "{who:?}: {}", said(&output));
    }
}
