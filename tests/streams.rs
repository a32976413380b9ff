//! `[process]`: files of the host's as standard streams. The target has what they were opened for
//! and no more, and no link leads the launcher elsewhere.

use crate::support::{As, Place, errors, is_root, said, skip, system, text, unwrapped};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn profile(lines: &str) -> String {
    format!("{}[process]\n{lines}\n", system(""))
}

/// `/bin/sh -c` of a line in the sandbox.
fn run(place: &Place, who: As, lines: &str, line: &str) -> Output {
    place.run(who, &profile(lines), &["/bin/sh", "-c", line])
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn refused(output: &Output, words: &str) {
    assert!(
        output.status.code() == Some(125)
            && errors(output).contains("E1214")
            && errors(output).contains(words),
        "{words}: {}",
        said(output)
    );
}

#[test]
fn a_file_is_made_emptied_and_appended_to() {
    let place = Place::new();
    for who in As::all() {
        let out = place.folder(&format!("{who:?}"), *who).join("out");
        let lines = format!("stdout = {{ file = {out:?}, mode = \"0666\" }}");
        let check = |command: &str, lines: &str| {
            let path = place.file("check.toml", &profile(lines));
            let output = place.stockade(*who).arg(command).arg(path).arg("/bin/true").output();
            done(&output.unwrap());
        };
        for command in ["check", "plan", "doctor"] {
            check(command, &lines);
        }
        assert!(!out.exists());
        done(&run(&place, *who, &lines, "echo a long first text"));
        let is = std::fs::metadata(&out).unwrap();
        assert_eq!((read(&out).as_str(), is.mode() & 0o777), ("a long first text\n", 0o644));
        for command in ["check", "plan", "doctor"] {
            check(command, &lines);
        }
        assert_eq!(read(&out), "a long first text\n");
        done(&run(&place, *who, &lines, "echo second"));
        assert_eq!(read(&out), "second\n");
        let both = format!(
            "stdout = {{ file = {out:?}, append = true }}\nstderr = {{ file = {out:?}, append = \
             true }}"
        );
        done(&run(&place, *who, &both, "echo third; echo fourth >&2"));
        assert_eq!(read(&out), "second\nthird\nfourth\n");
        // One open file description: without it the second text would lie over the first.
        let both = format!("stdout = {{ file = {out:?} }}\nstderr = {{ file = {out:?} }}");
        done(&run(&place, *who, &both, "echo one; echo two >&2; echo three"));
        assert_eq!(read(&out), "one\ntwo\nthree\n");
    }
}

#[test]
fn a_target_opens_its_streams_for_nothing_more() {
    let place = Place::new();
    for who in As::all() {
        let home = place.folder(&format!("{who:?}"), *who);
        let (input, out) = (home.join("in"), home.join("out"));
        let fill = format!("echo fed > {}; echo secret > {}", input.display(), out.display());
        done(&place.outside(*who, "/bin/sh").args(["-c", &fill]).output().unwrap());
        let acts =
            "(echo over > /proc/self/fd/0) && echo WROTE\ncat < /proc/self/fd/1 && echo READ";
        // The shell's own redirection opens both as widely as the mode lets it.
        let twin = format!(
            "{{ {} ; }} < {} >> {}",
            acts.replace('\n', ";").replace("cat < /proc/self/fd/1", "head -c1 /proc/self/fd/1"),
            input.display(),
            out.display()
        );
        done(&place.outside(*who, "/bin/sh").args(["-c", &twin]).output().unwrap());
        assert!(
            read(&input) == "over\n" && read(&out).contains("WROTE") && read(&out).contains("READ"),
            "{who:?}: {} {}",
            read(&input),
            read(&out)
        );
        done(&place.outside(*who, "/bin/sh").args(["-c", &fill]).output().unwrap());
        let lines =
            format!("stdin = {{ file = {input:?} }}\nstdout = {{ file = {out:?}, append = true }}");
        let output = run(&place, *who, &lines, &format!("{acts}\ncat; true"));
        done(&output);
        assert_eq!((read(&input).as_str(), read(&out).as_str()), ("fed\n", "secret\nfed\n"));
        assert!(text(&output.stderr).contains("Permission denied"), "{}", said(&output));
    }
}

#[test]
fn no_link_and_no_other_file_is_opened() {
    let place = Place::new();
    for who in As::all() {
        let home = place.folder(&format!("{who:?}"), *who);
        let path = |name: &str| home.join(name);
        let shell = |line: &str| {
            let line = format!("cd {} && {line}", home.display());
            done(&place.outside(*who, "/bin/sh").args(["-c", &line]).output().unwrap());
        };
        shell("echo kept > victim; ln -s victim link; ln victim second; mkdir d; mkfifo fifo");
        let out = |name: &str| format!("stdout = {{ file = {:?} }}", path(name));
        // The twin: the shell follows the link, and empties the file behind the second name.
        shell("echo lost > link && grep -q lost second && echo kept > second");
        refused(&run(&place, *who, &out("link"), "echo lost"), "it is a symbolic link");
        refused(&run(&place, *who, &out("second"), "echo lost"), "it has 2 names");
        refused(&run(&place, *who, &out("fifo"), "echo lost"), "it is not a regular file");
        refused(&run(&place, *who, &out("d"), "echo lost"), "it is a directory");
        refused(&run(&place, *who, &out("no/such"), "echo lost"), "no such file or directory");
        refused(
            &run(&place, *who, &format!("stdin = {{ file = {:?} }}", path("link")), "cat"),
            "it is a symbolic link",
        );
        refused(
            &run(&place, *who, &format!("stdin = {{ file = {:?} }}", path("fifo")), "cat"),
            "it is a FIFO",
        );
        // An input that cannot be opened leaves the outputs as they are.
        let both = format!("stdin = {{ file = \"/no/such\" }}\n{}", out("fresh"));
        refused(&run(&place, *who, &both, "true"), "no such file or directory");
        assert!(read(&path("victim")) == "kept\n" && !path("fresh").exists());
        if *who == As::User {
            // A link on the way is root's alone.
            symlink(&home, place.path.join("way")).unwrap();
            let line = format!("stdout = {{ file = \"{}/way/x\" }}", place.path.display());
            let output = run(&place, *who, &line, "echo x");
            match is_root() {
                true => done(&output),
                false => refused(&output, "is a symbolic link that is not root's"),
            }
            shell("ln -s d by");
            refused(
                &run(&place, *who, &out("by/x"), "echo x"),
                "is a symbolic link that is not root's",
            );
        }
    }
}

#[test]
fn root_writes_where_root_alone_can() {
    if !is_root() {
        return skip("it is about root's files");
    }
    let place = Place::new();
    let theirs = place.folder("theirs", As::User);
    let line = format!("stdout = {{ file = \"{}/x\" }}", theirs.display());
    refused(&run(&place, As::Root, &line, "echo x"), "others than root can write to");
    let check = place.file("check.toml", &profile(&line));
    let output =
        place.stockade(As::Root).arg("doctor").arg(check).arg("/bin/true").output().unwrap();
    assert!(said(&output).contains("can write to"), "{}", said(&output));
    // A user's file in a directory that all write to, as in /tmp.
    let all = place.folder("all", As::Root);
    std::fs::set_permissions(&all, PermissionsExt::from_mode(0o1777)).unwrap();
    let planted = all.join("log");
    std::fs::write(&planted, "theirs").unwrap();
    std::os::unix::fs::chown(&planted, Some(crate::support::USER), None).unwrap();
    let line = format!("stdout = {{ file = {planted:?} }}");
    refused(&run(&place, As::Root, &line, "echo x"), "it is another user's");
    assert!(read(&planted) == "theirs" && !theirs.join("x").exists());
    // One of root's that a user moved there: from a directory of theirs, which is no matter to
    // rename(2), nor to the twin.
    let moved = all.join("moved");
    let line = format!("stdout = {{ file = {moved:?}, mode = \"0600\" }}");
    for (mode, group) in [(0o604, 0), (0o620, 0), (0o600, 0)] {
        let made = theirs.join("made");
        std::fs::write(&made, "kept").unwrap();
        std::fs::set_permissions(&made, PermissionsExt::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&made, Some(0), Some(group)).unwrap();
        let act = format!("mv {} {}", made.display(), moved.display());
        done(&place.outside(As::User, "/bin/sh").args(["-c", &act]).output().unwrap());
        let output = run(&place, As::Root, &line, "echo x");
        if mode == 0o600 {
            done(&output);
            assert_eq!(read(&moved), "x\n");
            break;
        }
        refused(&output, "it gives others more than a file that is made anew");
        assert_eq!(read(&moved), "kept");
        std::fs::remove_file(&moved).unwrap();
    }
    // A file of the user's group, with the bits that the line has.
    std::fs::set_permissions(&moved, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&moved, Some(0), Some(crate::support::USER)).unwrap();
    let line = format!("stdout = {{ file = {moved:?}, mode = \"0640\" }}");
    refused(&run(&place, As::Root, &line, "echo y"), "it gives others more");
    std::os::unix::fs::chown(&moved, Some(0), Some(0)).unwrap();
    done(&run(&place, As::Root, &line, "echo y"));
}

#[test]
fn a_file_that_is_not_there_is_found_by_check() {
    let place = Place::new();
    for who in As::all() {
        let home = place.folder(&format!("{who:?}"), *who);
        let at = home.display();
        let lines = format!(
            "stdin = {{ file = \"{at}/in\" }}\nstdout = {{ file = \"{at}/new/out\" }}\n\
             [env]\nTOKEN = {{ file = \"{at}/in\" }}"
        );
        let path = place.file("absent.toml", &profile(&lines));
        let check = || {
            let output = place.stockade(*who).arg("check").arg(&path).arg("/bin/true").output();
            let output = output.unwrap();
            (output.status.code(), unwrapped(&text(&output.stdout)))
        };
        let (status, found) = check();
        assert_eq!(status, Some(125), "{found}");
        for words in [
            &format!("cannot read {at}/in as standard input: no such file or directory"),
            &format!("cannot write {at}/new/out as standard output: no such file or directory"),
            &format!("make its directory: mkdir -p {at}/new"),
            &format!("cannot read {at}/in: no such file or directory"),
        ] {
            assert!(found.contains(words.as_str()), "{words}: {found}");
        }
        let fill = format!("mkdir {at}/new; echo text > {at}/in");
        done(&place.outside(*who, "/bin/sh").args(["-c", &fill]).output().unwrap());
        assert_eq!(check().0, Some(0), "the twin");
        done(&place.stockade(*who).arg("run").arg(&path).arg("/bin/true").output().unwrap());
    }
}
