//! `programs` on the real kernel: real programs, each with a piece of work, in a sandbox that holds
//! nothing else; and what keeps one from being shown.

use crate::support::{As, Place, USER, is_root, skip, system, text};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether all of these are where the sandbox looks; a test without one is skipped, loudly.
fn has(programs: &[&str]) -> bool {
    let is_there = |program: &str| {
        ["/usr/local/bin", "/usr/bin", "/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    let missing = programs.iter().find(|program| !program.contains('/') && !is_there(program));
    missing.inspect(|program| skip(&format!("{program} is not installed"))).is_none()
}

/// A profile with programs and further lines.
fn only(programs: &[&str], more: &str) -> String {
    format!("format = 1\nprograms = {programs:?}\n{more}\n")
}

/// What a command makes of an input, as everybody; it must succeed.
fn works(place: &Place, profile: &str, words: &[&str], input: &[u8], expected: &str) {
    for who in As::all() {
        let path = place.file("profile.toml", profile);
        let mut command = place.stockade(*who);
        command
            .arg("run")
            .arg(path)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Small enough for the pipe, so that nobody waits.
        assert!(input.len() < 4096);
        drop(child.stdin.take().unwrap().write_all(input));
        let output = child.wait_with_output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && out == expected,
            "{who:?}: {words:?} gave {:?}\n{out}\n{err}",
            output.status
        );
    }
}

/// What the launcher says where it refuses a profile.
fn refused(place: &Place, who: As, profile: &str, words: &[&str], why: &str) {
    let output = place.run(who, profile, words);
    let refused = output.status.code() == Some(125) && says(&output.stderr, why);
    assert!(refused, "{who:?}: {:?}, not `{why}`:\n{}", output.status, text(&output.stderr));
}

/// Whether a message says something, wherever its lines were broken.
fn says(err: &[u8], words: &str) -> bool {
    let joined = |text: &str| text.replace(|c: char| c.is_whitespace() || c == '│', "");
    joined(&text(err)).contains(&joined(words))
}

fn outside(words: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}");
    output.stdout
}

// ---- Debian's programs ----

#[test]
fn coreutils_and_filters_work_alone() {
    let place = Place::new();
    let cases: &[(&[&str], &str, &str)] = &[
        (&["ls", "/usr/bin"], "", "ls\n"),
        (&["cat"], "a\nb\n", "a\nb\n"),
        (&["grep", "-c", "a"], "a\nb\na\n", "2\n"),
        (&["sed", "s/a/b/"], "a\n", "b\n"),
        (&["mawk", "{ n += $1 } END { print n }"], "40\n2\n", "42\n"),
        (&["sort", "-u"], "b\na\nb\n", "a\nb\n"),
        (&["find", "/usr/bin", "-type", "f"], "", "/usr/bin/find\n"),
        (&["bash", "-c", "echo $((6 * 7))"], "", "42\n"),
        (&["sh", "-c", "read x; echo $x$x"], "a\n", "aa\n"),
        (&["jq", ".a"], "{\"a\": 42}", "42\n"),
        (&["sqlite3", ":memory:", "select 6 * 7"], "", "42\n"),
        (&["busybox", "wc", "-c"], "1234", "4\n"),
    ];
    for (words, input, expected) in cases {
        if has(&words[..1]) {
            works(&place, &only(&[words[0]], ""), words, input.as_bytes(), expected);
        }
    }
}

#[test]
fn packers_unpack() {
    let place = Place::new();
    if !has(&["tar", "gzip", "xz"]) {
        return;
    }
    works(
        &place,
        &only(&["gzip"], ""),
        &["gzip", "-dc"],
        &outside(&["gzip", "-c"], b"hello"),
        "hello",
    );
    works(&place, &only(&["xz"], ""), &["xz", "-dc"], &outside(&["xz", "-c"], b"hello"), "hello");
    place.file("in/name", "hello");
    let folder = place.path.join("in");
    let archive = outside(&["tar", "-C", folder.to_str().unwrap(), "-czf", "-", "name"], b"");
    works(&place, &only(&["tar", "gzip"], ""), &["tar", "-xzOf", "-"], &archive, "hello");
}

#[test]
fn larger_programs_work() {
    let place = Place::new();
    if has(&["openssl"]) {
        let expected = text(&outside(&["openssl", "dgst", "-sha256", "-r"], b"hello"));
        works(
            &place,
            &only(&["openssl"], ""),
            &["openssl", "dgst", "-sha256", "-r"],
            b"hello",
            &expected,
        );
    }
    if has(&["curl"]) {
        let mounts = "[mounts]\n\"/page\" = { text = \"hello\" }";
        works(&place, &only(&["curl"], mounts), &["curl", "-s", "file:///page"], b"", "hello");
    }
    if has(&["git"]) {
        // It opens /dev/null before anything else.
        let mounts = "[mounts]\n\"/dev/null\" = \"device\"";
        works(
            &place,
            &only(&["git"], mounts),
            &["git", "hash-object", "--stdin"],
            b"hello",
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0\n",
        );
    }
    if has(&["perl"]) {
        let mounts = "[mounts]\n\"/dev/null\" = \"device\"";
        works(&place, &only(&["perl"], mounts), &["perl", "-e", "print 6 * 7"], b"", "42");
    }
    if has(&["make"]) {
        // The shell is named by its path, which leads through a link of the root.
        let mounts = "[mounts]\n\"/Makefile\" = { text = \"all:\\n\\t@read x; echo $$x\\n\" }";
        works(&place, &only(&["make", "/bin/sh"], mounts), &["make"], b"made\n", "made\n");
    }
    if has(&["python3"]) {
        // Its modules are what it opens by itself, so they are an entry of their own.
        let python = std::fs::canonicalize("/usr/bin/python3").unwrap();
        let name = python.file_name().unwrap().to_str().unwrap();
        let mounts = format!("[mounts]\n\"/usr/lib/{name}\" = \"ro\"");
        works(
            &place,
            &only(&["/usr/bin/python3"], &mounts),
            &["/usr/bin/python3", "-c", "print(6 * 7)"],
            b"",
            "42\n",
        );
    }
}

/// Every file that `ldd` names for many programs is shown, and no others than those and the caches
/// that lead to them.
#[test]
fn the_closure_is_that_of_the_loader() {
    let place = Place::new();
    let is_dynamic = |path: &PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF\x02\x01"))
    };
    let mut programs: Vec<PathBuf> = std::fs::read_dir("/usr/bin")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.is_symlink())
        .collect();
    programs.retain(is_dynamic);
    programs.sort();
    let every = programs.len() / 40 + 1;
    let programs: Vec<&str> =
        programs.iter().step_by(every).map(|path| path.to_str().unwrap()).collect();
    assert!(programs.len() >= 10, "{programs:?}");
    for program in programs {
        let ldd = Command::new("ldd").arg(program).output().unwrap();
        let (out, mut expected) =
            (text(&ldd.stdout), BTreeSet::from([std::fs::canonicalize(program).unwrap()]));
        if !out.contains("not found") && ldd.status.success() {
            let paths = out
                .lines()
                .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
            expected.extend(paths.map(|path| std::fs::canonicalize(path).unwrap()));
        } else if !out.contains("statically linked") && !text(&ldd.stderr).contains("not a dynamic")
        {
            continue;
        }
        let profile = place.file("closure.toml", &only(&[program], ""));
        let output = place
            .stockade(As::User)
            .args(["plan", "--format", "json"])
            .arg(profile)
            .arg(program)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let steps = plan["steps"].as_array().unwrap();
        let mut shown: BTreeSet<PathBuf> =
            steps.iter().filter_map(|step| step["source"].as_str()).map(PathBuf::from).collect();
        if shown.remove(Path::new("/etc/ld.so.cache")) {
            // Builds for newer processors come with what only the cache leads to.
            shown.retain(|path| !path.to_string_lossy().contains("glibc-hwcaps"));
            expected.retain(|path| !path.to_string_lossy().contains("glibc-hwcaps"));
        }
        assert_eq!(shown, expected, "{program}");
    }
}

// ---- compiled here ----

/// Compiles a C text, with further words.
fn gcc(place: &Place, compiler: &str, out: &str, source: &str, words: &[&str]) -> PathBuf {
    let (into, from) = (place.path.join(out), place.file(&format!("{out}.c"), source));
    let status = Command::new(compiler)
        .current_dir(&place.path)
        .arg("-o")
        .arg(&into)
        .arg(&from)
        .args(words)
        .status()
        .unwrap();
    assert!(status.success(), "{compiler} {out}");
    into
}

const ASKS: &str = "int one(void); int main(void) { return one() == 42 ? 0 : 9; }";

/// A program that needs libone, which needs libtwo. `one` and `two` are the words for the linker
/// that say where they are.
fn chain(place: &Place, one: &[&str], two: &[&str]) -> PathBuf {
    std::fs::create_dir_all(place.path.join("lib/deep")).unwrap();
    gcc(
        place,
        "gcc",
        "lib/deep/libtwo.so.1.2",
        "int two(void) { return 42; }",
        &["-shared", "-fPIC", "-Wl,-soname,libtwo.so.1"],
    );
    symlink("libtwo.so.1.2", place.path.join("lib/deep/libtwo.so.1")).unwrap();
    let words =
        [&["-shared", "-fPIC", "-Wl,-soname,libone.so", "lib/deep/libtwo.so.1"], two].concat();
    gcc(place, "gcc", "lib/libone.so", "int two(void); int one(void) { return two(); }", &words);
    std::fs::create_dir_all(place.path.join("bin")).unwrap();
    gcc(
        place,
        "gcc",
        "bin/asks",
        ASKS,
        &[&["lib/libone.so", "-Llib/deep", "-Wl,-rpath-link,lib/deep"], one].concat(),
    )
}

fn runs(place: &Place, program: &Path) {
    let program = program.to_str().unwrap();
    works(place, &only(&[program], ""), &[program], b"", "");
}

#[test]
fn a_static_program_is_all_that_it_needs() {
    if !has(&["gcc"]) {
        return;
    }
    let place = Place::new();
    let program = gcc(
        &place,
        "gcc",
        "alone",
        "#include <stdio.h>\nint main(void) { return !puts(\"alone\"); }",
        &["-static"],
    );
    works(
        &place,
        &only(&[program.to_str().unwrap()], ""),
        &[program.to_str().unwrap()],
        b"",
        "alone\n",
    );
}

#[test]
fn an_rpath_from_its_own_place_serves_the_libraries_of_its_libraries() {
    if !has(&["gcc"]) {
        return;
    }
    let place = Place::new();
    runs(
        &place,
        &chain(&place, &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/deep"], &[]),
    );
}

#[test]
fn a_runpath_serves_one_object_alone() {
    if !has(&["gcc"]) {
        return;
    }
    let place = Place::new();
    runs(
        &place,
        &chain(
            &place,
            &["-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib"],
            &["-Wl,--enable-new-dtags,-rpath,${ORIGIN}/deep"],
        ),
    );
    let place = Place::new();
    let program =
        chain(&place, &["-Wl,--enable-new-dtags,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/deep"], &[]);
    let program = program.to_str().unwrap();
    refused(&place, As::User, &only(&[program], ""), &[program], "the library libtwo.so.1, which");
    let env = format!("[env]\nLD_LIBRARY_PATH = \"{}\"", place.path.join("lib/deep").display());
    works(&place, &only(&[program], &env), &[program], b"", "");
}

#[test]
fn musls_loader_has_rules_of_its_own() {
    if !has(&["musl-gcc"]) {
        return;
    }
    let place = Place::new();
    gcc(
        &place,
        "musl-gcc",
        "libone.so",
        "int one(void) { return 42; }",
        &["-shared", "-fPIC", "-Wl,-soname,libone.so"],
    );
    runs(&place, &gcc(&place, "musl-gcc", "asks", ASKS, &["libone.so", "-Wl,-rpath,$ORIGIN"]));
}

#[test]
fn scripts_bring_their_interpreters() {
    let place = Place::new();
    let script = |name: &str, body: &str| place.script(name, body).to_str().unwrap().to_owned();
    let plain = script("plain", "#!/bin/sh -e\necho $(( 6 * 7 ))\n");
    let env = script("by-env", "#!/usr/bin/env perl\nprint 6 * 7;\n");
    let split = script("split", "#!/usr/bin/env -S mawk -f\nBEGIN { print 6 * 7 }\n");
    let chained = script("chained", &format!("#!{plain}\n"));
    // Only root's script may name another.
    if is_root() {
        works(&place, &only(&[&chained], ""), &[&chained], b"", "42\n");
    } else {
        refused(&place, As::User, &only(&[&chained], ""), &[&chained], "which is not root's");
    }
    for (program, expected) in [(&plain, "42\n"), (&env, "42"), (&split, "42\n")] {
        works(&place, &only(&[program], ""), &[program], b"", expected);
    }
    // A script whose text is in the profile, and the word for the command.
    let mounts = "[mounts]\n\"/run.sh\" = { text = \"#!/bin/sh\\necho in\\n\", mode = \"0755\" }";
    works(&place, &only(&["${COMMAND}"], mounts), &["/run.sh"], b"", "in\n");
    let circle = script("circle", &format!("#!{}\n", place.path.join("circle").display()));
    let why = if is_root() { "more scripts or libraries" } else { "which is not root's" };
    refused(&place, As::User, &only(&[&circle], ""), &[&circle], why);
}

// ---- with other entries ----

#[test]
fn explicit_entries_stand_before_implied_ones() {
    if !has(&["git", "gcc"]) {
        return;
    }
    let place = Place::new();
    // All of it is shown already.
    let profile = place.file(
        "p.toml",
        &format!(
            "{}\n",
            system("").replace("format = 1\n", "format = 1\nprograms = [\"ls\", \"git\"]\n")
        ),
    );
    let output = place
        .stockade(As::User)
        .args(["plan", "--format", "json"])
        .arg(profile)
        .arg("ls")
        .output()
        .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let implied: Vec<&serde_json::Value> =
        steps.iter().filter(|step| step["at"]["line"] == 2).collect();
    assert!(implied.is_empty(), "{implied:?}");
    // A tree that lies elsewhere inside, with its own libraries.
    let program =
        chain(&place, &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/deep"], &[]);
    let place_of = program.parent().unwrap().parent().unwrap().display();
    let more = format!(
        "[env]\nPATH = \"/opt/tools/bin\"\n[mounts]\n\"/opt/tools\" = {{ bind = \"{place_of}\" }}"
    );
    works(&place, &only(&["asks"], &more), &["asks"], b"", "");
    let more = format!(
        "[env]\nPATH = \"/opt/tools/bin\"\n[mounts]\n\"/opt/tools\" = {{ bind = \"{place_of}\", \
         exec = false }}"
    );
    refused(&place, As::User, &only(&["asks"], &more), &["asks"], "lies on a mount with noexec");
    // What is hidden stays hidden.
    refused(
        &place,
        As::User,
        &only(&["/usr/bin/ls"], "[mounts]\n\"/usr/bin\" = \"hide\""),
        &["ls"],
        "there is no /usr/bin/ls",
    );
}

#[test]
fn a_program_stays_read_only() {
    let place = Place::new();
    for who in As::all() {
        let err = text(
            &place
                .run(
                    *who,
                    &only(&["bash"], ""),
                    &["bash", "-c", "echo > /usr/bin/bash; exec -a x bash -c 'echo ran >&2'"],
                )
                .stderr,
        );
        let denied =
            ["Read-only file system", "Permission denied"].iter().any(|words| err.contains(words));
        assert!(denied && err.contains("ran"), "{who:?}: {err}");
    }
}

#[test]
fn layers_unite_and_remove_programs() {
    let place = Place::new();
    place.file("base.toml", &only(&["cat", "nothing-like-it"], ""));
    let profile =
        "format = 1\nextends = [\"./base.toml\"]\nprograms = [\"sh\", \"!nothing-like-it\"]\n";
    works(&place, profile, &["sh", "-c", "cat"], b"both", "both");
    let profile = "format = 1\nextends = [\"strict\"]\n[process]\ncommand = \
                   [\"cat\"]\n[params]\ntools = { type = \"list\", default = [\"cat\"] }\n";
    works(&place, profile, &[], b"of the profile", "of the profile");
    let profile = profile.replacen('\n', "\nprograms = [\"!${COMMAND}\", \"${tools}\"]\n", 1);
    works(&place, &profile, &["cat"], b"of the list", "of the list");
    let output = place.run(As::User, &profile, &["ls"]);
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
}

// ---- what cannot be shown ----

#[test]
fn what_is_missing_is_named() {
    let place = Place::new();
    let who = As::User;
    refused(&place, who, &only(&["bsah"], ""), &["bash"], "did you mean `bash`?");
    refused(&place, who, &only(&["bsah"], ""), &["bash"], "in /usr/local/bin, /usr/bin, /bin");
    refused(&place, who, &only(&["/no/where"], ""), &["x"], "there is no /no/where");
    refused(&place, who, &only(&["${COMMAND}"], ""), &["./x"], "begins in the working directory");
    refused(
        &place,
        who,
        &only(&["x${COMMAND}"], ""),
        &["x"],
        "can only be a whole item of `programs`",
    );
    let plain = place.file("plain", "hello\n");
    let plain = plain.to_str().unwrap();
    refused(&place, who, &only(&[plain], ""), &[plain], "may not be executed");
    std::fs::set_permissions(plain, PermissionsExt::from_mode(0o755)).unwrap();
    refused(&place, who, &only(&[plain], ""), &[plain], "neither an ELF file nor a script");
    let script = place.file("script", "#!/no/interpreter\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    refused(
        &place,
        who,
        &only(&[script], ""),
        &[script],
        "is run by /no/interpreter: no such file or directory",
    );
}

#[test]
fn another_machines_program_and_a_lost_library_are_refused() {
    if !has(&["gcc"]) {
        return;
    }
    let place = Place::new();
    let program =
        chain(&place, &["-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/deep"], &[]);
    let mut bytes = std::fs::read(&program).unwrap();
    // e_machine: SPARC V9.
    bytes[18..20].copy_from_slice(&43_u16.to_le_bytes());
    let foreign = place.path.join("foreign");
    std::fs::write(&foreign, bytes).unwrap();
    std::fs::set_permissions(&foreign, PermissionsExt::from_mode(0o755)).unwrap();
    let foreign = foreign.to_str().unwrap();
    refused(&place, As::User, &only(&[foreign], ""), &[foreign], "is for another machine");
    std::fs::remove_file(place.path.join("lib/deep/libtwo.so.1.2")).unwrap();
    let program = program.to_str().unwrap();
    refused(&place, As::User, &only(&[program], ""), &[program], "the library libtwo.so.1, which");
}

/// An earlier target that could write to the directory has replaced the program by a link to a
/// script of the caller's own.
#[test]
fn a_link_that_is_not_roots_shows_no_script() {
    let place = Place::new();
    let folder = place.folder("work", As::User);
    let script = place.file("private", "#!/bin/sh\necho secret\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let tool = folder.join("tool");
    symlink(&script, &tool).unwrap();
    if is_root() {
        std::os::unix::fs::lchown(&tool, Some(USER), Some(USER)).unwrap();
    }
    let tool = tool.to_str().unwrap();
    for who in As::all() {
        refused(&place, *who, &only(&[tool], ""), &[tool], "which is not root's");
    }
    // A file that is none of a program is shown by no link.
    let secret = place.file("secret", "secret");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_file(tool).unwrap();
    symlink(&secret, tool).unwrap();
    refused(&place, As::User, &only(&[tool], ""), &[tool], "neither an ELF file nor a script");
}

#[test]
fn a_target_without_its_loader_is_explained() {
    let place = Place::new();
    for who in As::all() {
        for (program, why) in [
            ("ls", "/usr/bin/ls is run by /"),
            ("ls", "inside"),
            ("sl-not-there", "cannot run `sl-not-there`: no `sl-not-there` is in"),
        ] {
            let output =
                place.run(*who, "format = 1\n[mounts]\n\"/usr/bin\" = \"ro\"\n", &[program]);
            assert!(
                output.status.code() == Some(127) && says(&output.stderr, why),
                "{who:?}: not `{why}`:\n{}",
                text(&output.stderr)
            );
        }
    }
}

/// The facts for lints: each file that the finished tree lacks, at its own line.
#[test]
fn what_is_not_visible_inside_is_listed() {
    use stockade::internals::policy::programs::unseen;
    use stockade::internals::probe::probe;
    use stockade::internals::profile;
    use stockade::internals::text::source::Sources;
    let place = Place::new();
    let lines = |profile: &str| {
        let path = place.file("profile.toml", profile);
        let mut sources = Sources::default();
        let request =
            profile::Request { profile: path.to_str().unwrap().into(), ..Default::default() };
        let caller = stockade::internals::host::caller::Caller::current();
        let loaded = profile::load(&request, &caller, &mut sources)
            .unwrap_or_else(|problems| panic!("{}", problems.json(&sources)));
        let (mut host, settled) = probe(&loaded, caller, &sources);
        host.look_inside(&loaded, &settled);
        let found = unseen(&loaded.process, &host).into_iter();
        found
            .map(|unseen| format!("{}: {}", sources.place(unseen.at).unwrap().line, unseen.text))
            .collect::<Vec<_>>()
    };
    let command = "format = 1\n[process]\ncommand = [\"cat\"]\n";
    let rest = "cwd = \"/no/where\"\n[mounts]\n\"/proc\" = \"proc\"\n\"/l\" = \
                { symlink = \"x/y\" }\n\"/in\" = { symlink = \"/proc/self/fd\" }\n";
    let said = lines(&format!("{command}{rest}\"/usr/bin\" = \"ro\"\n"));
    assert!(
        said.len() == 3 && said[0].starts_with("3: cannot run `cat`: /usr/bin/cat is run by /lib"),
        "{said:?}"
    );
    assert_eq!(
        said[1..],
        [
            "4: cannot enter /no/where: it is not there inside",
            "7: cannot follow the link /l: /x/y is not there inside"
        ]
    );
    let said = lines(command);
    assert!(
        said.len() == 1 && said[0].contains("no `cat` is in /usr/local/bin, /usr/bin, /bin inside"),
        "{said:?}"
    );
    // The loader is there, the C library is not.
    let loader =
        text(&outside(&["sh", "-c", "readlink -f $(ldd /bin/cat | grep -o '/.*/ld-[^ ]*')"], b""));
    let named = text(&outside(&["sh", "-c", "ldd /bin/cat | grep -o '/.*/ld-[^ ]*'"], b""));
    let mounts = format!(
        "[mounts]\n\"/usr/bin/cat\" = \"ro\"\n{:?} = {{ bind = {:?} }}\n",
        named.trim(),
        loader.trim()
    );
    let said = lines(&format!("{command}{mounts}"));
    assert!(
        said.len() == 1
            && said[0]
                .contains("the library libc.so.6, which /usr/bin/cat needs, is not found inside"),
        "{said:?}"
    );
    assert_eq!(lines(&command.replacen('\n', "\nprograms = [\"cat\"]\n", 1)), [] as [String; 0]);
    let base = command.replacen('\n', "\nextends = [\"base\"]\n", 1);
    assert!(lines(&base).iter().all(|line| !line.contains("cannot run")), "{:?}", lines(&base));
}

#[test]
fn the_profile_of_the_page_holds_git() {
    let page = crate::support::page("docs/programs.md");
    let profile = page
        .split("```toml\n")
        .filter_map(|block| block.split("```").next())
        .find(|block| block.contains("\nprograms = "))
        .unwrap();
    if has(&["git"]) {
        let place = Place::new();
        works(&place, profile, &["wc", "-c"], b"hello", "5\n");
        works(
            &place,
            profile,
            &["sh", "-c", "git hash-object --stdin"],
            b"hello",
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0\n",
        );
    }
}

#[test]
fn a_link_out_of_what_is_granted_is_named_with_where_it_leads() {
    let place = Place::new();
    for who in As::all() {
        let tree = place.folder(&format!("tree-{who:?}"), *who);
        let program = place.path.join("program");
        std::fs::copy("/usr/bin/true", &program).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        symlink(&program, tree.join("tool")).unwrap();
        let profile = |top: &str| {
            let at = tree.display();
            format!(
                "{top}{}\"{at}\" = \"ro\"\n[process]\ncwd = \"{at}\"\n[env]\nPATH = \"/usr/bin:{at}\"\n",
                system("")
            )
        };
        let tool = tree.join("tool").display().to_string();
        for word in ["tool", "./tool", &tool] {
            let said = crate::support::errors(&place.run(*who, &profile(""), &[word]));
            let leads = format!("{tool} is a symbolic link to {}", program.display());
            let said: String = said.split_whitespace().filter(|word| *word != "│").collect();
            let flat = |text: &str| text.split_whitespace().collect::<String>();
            assert!(said.contains(&flat(&leads)), "{who:?} {word}: {said}");
            assert!(said.contains(&flat(&format!("programs = [\"{tool}\"]"))), "{who:?}: {said}");
            // The help works.
            let brought = profile("").replacen(
                "format = 1\n",
                &format!("format = 1\nprograms = [\"{tool}\"]\n"),
                1,
            );
            let output = place.run(*who, &brought, &[word]);
            assert!(output.status.success(), "{who:?} {word}: {}", text(&output.stderr));
        }
    }
}

/// The note names the line; a file that names another place than git's makes no line of it.
#[test]
fn a_git_file_that_points_out_of_the_grant_is_noted() {
    let place = Place::new();
    for who in As::all() {
        let name = format!("tree-{who:?}");
        let tree = place.folder(&name, *who);
        let hub = place.folder("hub/.git/worktrees/x", *who);
        let git = place.path.join("hub/.git").display().to_string();
        let at = tree.display();
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let entries = format!(
            "\"{at}\" = {{ bind = \"{at}\", access = \"rw\"{owner} }}\n\"{at}/.git\" = \"ro\"\n"
        );
        let note = |entries: &str| text(&place.run(*who, &system(entries), &["/bin/true"]).stderr);
        let said = "git's directory is not there inside";
        for target in [hub.display().to_string(), "../hub/.git/modules/a/b".into()] {
            place.file(&format!("{name}/.git"), &format!("gitdir: {target}\n"));
            let words = note(&entries);
            let line = format!("mounts.\"{git}\" = \"ro\"");
            assert!(words.contains(said) && words.contains(&line), "{who:?} {target}: {words}");
            let granted = note(&format!("{entries}\"{git}\" = \"ro\"\n"));
            assert!(!granted.contains(said), "{who:?} {target}: {granted}");
        }
        for target in ["/home/x/.ssh", "a/../../hub/.git/worktrees/x", ""] {
            place.file(&format!("{name}/.git"), &format!("gitdir: {target}\n"));
            let words = note(&entries);
            assert!(!words.contains(said), "{who:?} {target}: {words}");
        }
    }
}
