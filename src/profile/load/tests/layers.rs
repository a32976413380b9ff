//! `extends`, flags, merging and the words after PROFILE.

use super::*;

#[test]
fn problems_of_child_and_base_point_into_their_files() {
    let place = Place::main("extends = [\"base.toml\"]\n[process]\nnise = 3\n");
    place.file("base.toml", "\n[capabilities]\nkeep = [\"net-bind\", \"chowm\"]\n");
    assert_eq!(
        place.problems(),
        [
            "main.toml:4:1: cannot read `nise` of [process]: there is no such key (did you mean \
             `nice`?)",
            "base.toml:4:9: cannot read `keep`: unknown capability `net-bind` (capabilities(7) \
             lists them)",
            "base.toml:4:21: cannot read `keep`: unknown capability `chowm` (did you mean `chown`?)",
        ]
    );
}

#[test]
fn layers_merge_key_by_key_and_the_strongest_wins() {
    let place =
        Place::main("extends = [\"a.toml\", \"b.toml\"]\n[process]\nnice = 3\n[env]\nA = false\n")
            .config("process.umask = '0077'");
    place.file(
        "a.toml",
        "[process]\nnice = 1\numask = '0022'\n[env]\nA = 'a'\nB = 'a'\n[capabilities]\nkeep = \
         ['chown', 'kill']\n",
    );
    place.file(
        "b.toml",
        "[process]\nnice = 2\n[env]\nB = 'b'\n[capabilities]\nkeep = ['!kill', 'fowner']\n",
    );
    let (loaded, sources) = place.try_load();
    let profile = loaded.unwrap();
    assert_eq!(profile.process.nice.get().unwrap().0, 3);
    assert_eq!(sources.place(profile.process.umask.at()).unwrap().to_string(), "--config:1:17");
    assert!(profile.env.get("A").is_none());
    assert_eq!(sources.text(profile.env.get("B").unwrap().at), Some("'b'"));
    let kept: Vec<String> =
        profile.capabilities.keep.items.iter().map(|item| item.value.to_string()).collect();
    assert_eq!(kept, ["chown", "fowner"]);
}

#[test]
fn a_base_that_is_met_twice_is_loaded_once_and_first() {
    let place = Place::main("extends = [\"a.toml\", \"./sub/../b.toml\"]\n");
    std::fs::create_dir(place.path.join("sub")).unwrap();
    place.file("a.toml", "extends = [\"c.toml\"]\n[process]\nnice = 1\n");
    place.file("b.toml", "extends = [\"./c.toml\"]\n");
    place.file("c.toml", "[process]\nnice = 2\n");
    let (loaded, sources) = place.try_load();
    assert_eq!(loaded.unwrap().process.nice.get().unwrap().0, 1);
    assert_eq!(sources.files().count(), 4);
}

#[test]
fn circles_and_endless_chains_are_errors() {
    let place = Place::main("extends = [\"a.toml\"]");
    place.file("a.toml", "\nextends = [\"main.toml\"]");
    assert_eq!(
        place.problem(),
        "a.toml:3:12: cannot load the profile: it extends itself: main.toml → a.toml → main.toml"
    );
    let place = Place::main("extends = [\"0.toml\"]");
    for number in 0..70 {
        place.file(&format!("{number}.toml"), &format!("extends = [\"{}.toml\"]", number + 1));
    }
    assert_eq!(
        place.problem(),
        "62.toml:2:12: cannot load the profile: `extends` goes deeper than 64 files"
    );
    let many: Vec<String> = (0..300).map(|number| format!("'{number}.toml'")).collect();
    let place = Place::main(&format!("extends = [{}]", many.join(",")));
    (0..300).for_each(|number| drop(place.file(&format!("{number}.toml"), "")));
    assert!(place.problems()[0].contains("more than 256 files"));
}

#[test]
fn extends_is_a_list_of_names_and_paths() {
    let place = Place::main("extends = \"base\"");
    assert_eq!(
        place.problem(),
        "main.toml:2:11: cannot read `extends`: it must be a list (put it in `[ ]`: extends = \
         [\"base\"])"
    );
    let place = Place::main(
        "extends = [\"-\", \"\", \"basse\", \"${project}/x\", \"/none.toml\"]\n[params]\nproject = \
         { type = \"path\" }",
    );
    assert_eq!(
        place.problems(),
        [
            "main.toml:2:12: cannot extend `-`: it names no profile (write a name, or a path from \
             this file's directory)",
            "main.toml:2:17: cannot extend ``: it names no profile (write a name, or a path from \
             this file's directory)",
            "main.toml:2:21: cannot find the profile `basse`: there is none of that name (did you \
             mean `base`?)",
            "main.toml:2:31: cannot find the variable `project`: there is none of that name \
             (parameters are settled later, so none can be used here)",
            "main.toml:2:46: cannot read the profile /none.toml: no such file or directory (make \
             it, or extend it where it is there: { profile = \"/none.toml\", missing = \"skip\" })",
        ]
    );
    Place::main("")
        .config("extends = ['base']")
        .problem()
        .strip_prefix("--config:1:1: cannot extend profiles here: a flag is no file")
        .unwrap();
    let place = Place::main("extends = [\"${PROFILE_DIR}/b.toml\"]");
    place.file("b.toml", "description = \"b\"");
    assert_eq!(place.load().description.get().unwrap().value, "b");
}

#[test]
fn the_format_is_said_and_read() {
    let place = Place::new();
    place.raw("main.toml", b"");
    assert_eq!(
        place.problem(),
        "main.toml:1:1: cannot read main.toml: it does not say which version of the language it is \
         in (begin it with: format = 1)"
    );
    let wrong = [
        ("2", "only a newer stockade does"),
        ("0x2", "only a newer stockade does"),
        ("99999999999999999999", "only a newer stockade does"),
        ("0", "no stockade does"),
        ("-1", "no stockade does"),
        ("'1'", "it is not a whole number"),
        ("1.0", "it is not a whole number"),
        ("[1]", "it is not a whole number"),
    ];
    for (wrong, why) in wrong {
        place.raw("main.toml", format!("format = {wrong}").as_bytes());
        let version = env!("CARGO_PKG_VERSION");
        let said = format!(
            "main.toml:1:10: cannot read format `{wrong}`: {why}; this one, {version}, reads \
             format 1 (write format = 1"
        );
        assert!(place.problem().starts_with(&said), "{wrong}: {}", place.problem());
    }
}

#[test]
fn syntax_errors_are_told_one_a_line_and_alone() {
    let place = Place::main("[process]\nnice = = 3\numask = \"0o\nnice = 4\nnice = 5\n");
    let problems = place.problems();
    let lines: Vec<&str> =
        problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert!(lines.len() >= 3 && lines.contains(&"3") && lines.contains(&"4"), "{problems:#?}");
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "{problems:#?}");
    assert!(
        Place::main("[process]\nnice = 4\nnice = 5\n")
            .problem()
            .starts_with("main.toml:4:1: cannot read this TOML: this key is there already")
    );
}

#[test]
fn every_key_misspelt_is_refused() {
    for key in Profile::KEYS.iter().map(|key| key.name()).filter(|key| key != "format") {
        let place = Place::main(&format!("{key}x = 1\n"));
        assert!(
            place.problem().starts_with(&format!(
                "main.toml:2:1: cannot read `{key}x`: there is no such key (did you mean `{key}`?)"
            )),
            "{}",
            place.problem()
        );
    }
}

#[test]
fn a_removal_needs_something_to_remove() {
    let place =
        Place::main("[mounts]\n\"/otp\" = false\n[capabilities]\nkeep = [\"!chown\", \"!*\"]\n")
            .config("env.LNAG = false");
    place.file(
        "main.toml",
        "extends = [\"b.toml\"]\n[mounts]\n\"/otp\" = false\n[capabilities]\nkeep = \
         [\"!chonw\"]\n[env]\nLANG = false\n",
    );
    place.file(
        "b.toml",
        "[mounts]\n\"/opt\" = \"ro\"\n[capabilities]\nkeep = [\"chown\"]\n[env]\nLANG = true\n",
    );
    assert_eq!(
        place.problems(),
        [
            "main.toml:4:1: cannot remove `/otp`: no layer below sets it (did you mean `/opt`?)",
            "main.toml:6:9: cannot remove `chonw`: no layer below sets it (did you mean `chown`?)",
            "--config:1:5: cannot remove `LNAG`: no layer below sets it",
        ]
    );
    assert_eq!(
        Place::main("[env]\nA = false\n").problem(),
        "main.toml:3:1: cannot remove `A`: no layer below sets it"
    );
    assert_eq!(
        Place::main("[capabilities]\nkeep = ['!kill']\n").problem(),
        "main.toml:3:9: cannot remove `kill`: no layer below sets it"
    );
}

#[test]
fn keys_alone_change_the_inherited_entry() {
    let place = Place::main(
        "extends = ['b.toml']\n[mounts]\n'/t' = { exec = true }\n'/w' = { access = 'rw' }\n'/v' = \
         { missing = 'error' }\n",
    )
    .config("mounts.'/w'.exec = false")
    .config("mounts.'/t' = { mode = '0700' }");
    place.file(
        "b.toml",
        "extends = ['a.toml']\n[mounts]\n'/w' = { bind = '/x', missing = 'skip' }\n'/v' = { bind = \
         '/x', missing = 'skip' }\n",
    );
    place.file("a.toml", "[mounts]\n'/t' = 'tmpfs'\n'/w' = 'tmpfs'\n'/v' = 'tmpfs'\n");
    let mounts = place.load().mounts;
    let spelled = |path: &str| mounts.get(path).unwrap().value.kind().spell().to_string();
    assert_eq!(spelled("/t"), "{ tmpfs = \"64M\", mode = \"0700\", exec = true }");
    assert_eq!(
        spelled("/w"),
        "{ bind = \"/x\", access = \"rw\", exec = false, missing = \"skip\" }"
    );
    // What cannot be left out any more has nothing in its place.
    assert!(mounts.map["/w"].under.is_some() && mounts.map["/v"].under.is_none());
    assert_eq!((mounts.map["/w"].amended.len(), mounts.map["/t"].amended.len()), (2, 2));
}

/// `size` is of an upper in memory, and goes with it.
#[test]
fn another_upper_leaves_the_bounds_of_the_inherited_one() {
    let spelled = |upper: &str| {
        let place =
            Place::main(&format!("extends = ['a.toml']\n[mounts]\n'/w' = {{ upper = {upper} }}\n"));
        let all = "upper = 'discard', size = '1M', inodes = 9";
        place.file("a.toml", &format!("[mounts]\n'/w' = {{ layers = ['/x'], {all} }}\n"));
        place.load().mounts.get("/w").unwrap().value.kind().spell().to_string()
    };
    assert_eq!(spelled("'/kept'"), "{ layers = [\"/x\"], upper = \"/kept\" }");
    assert_eq!(
        spelled("'discard'"),
        "{ layers = [\"/x\"], upper = \"discard\", size = \"1M\", inodes = 9 }"
    );
}

#[test]
fn keys_alone_need_an_inherited_entry_that_takes_them() {
    let place = Place::main(
        "extends = ['b.toml']\n[mounts]\n'/tt' = { exec = true }\n'/t' = { sockets = true }\n'/g' = \
         { exec = true }\n",
    );
    place.file("b.toml", "extends = ['a.toml']\n[mounts]\n'/t' = 'tmpfs'\n'/g' = false\n");
    place.file("a.toml", "[mounts]\n'/g' = 'tmpfs'\n");
    let none = "neither this profile nor one that it extends says what that is";
    assert_eq!(
        place.problems(),
        [
            format!("main.toml:4:1: cannot change keys of `/tt`: {none} (did you mean `/t`?)"),
            "main.toml:5:10: cannot read `/t`: `sockets` does not go with `tmpfs` (it takes inodes, \
             mode, exec)"
                .to_owned(),
            format!("main.toml:6:1: cannot change keys of `/g`: {none} (did you mean `/t`?)"),
        ]
    );
}

#[test]
fn an_empty_set_over_an_inherited_one_is_an_error_also_between_flags() {
    let place = Place::main("")
        .config("capabilities.keep = ['kill', 'chown']")
        .config("capabilities.keep = []");
    assert!(place.problem().starts_with("--config:1:21: cannot empty an inherited list"));
    let (loaded, sources) = place.try_load();
    let shown = loaded.unwrap_err().render(&sources, Style::Plain);
    assert!(shown.contains("--config:1:22: inherited from here"), "{shown}");
}

#[test]
fn walls_that_may_fall_are_the_files_own() {
    let place = Place::main("extends = ['b.toml']");
    place.file("b.toml", "optional = ['landlock']");
    assert!(place.load().optional.items.is_empty());
    assert_eq!(Place::main("").config("optional = ['landlock']").load().optional.items.len(), 1);
    place.file("main.toml", "optional = ['landlock']");
    assert_eq!(place.load().optional.items.len(), 1);
    place.file("main.toml", "extends = ['b.toml']");
    place.file("b.toml", "optional = ['lndlock']");
    assert_eq!(
        place.problem(),
        "b.toml:2:13: cannot skip `lndlock`: no such protection is optional (did you mean `landlock`?)"
    );
}

#[test]
fn words_after_the_profile_are_spliced_or_replace_the_command() {
    let spliced = Place::main("[process]\ncommand = ['cargo', '${ARGS}', '--offline']\n");
    assert_eq!(command(&spliced.load()), ["cargo", "--offline"]);
    assert_eq!(
        command(&spliced.args(&["build", "${HOME}", "a b"]).load()),
        ["cargo", "build", "${HOME}", "a b", "--offline"]
    );
    let place = Place::main("[process]\ncommand = ['bash']\n").args(&["ls", "-l"]);
    let (loaded, sources) = place.try_load();
    let profile = loaded.unwrap();
    assert_eq!(command(&profile), ["ls", "-l"]);
    let words = profile.process.command.get().unwrap();
    assert_eq!(sources.place(words[1].at).unwrap().to_string(), "<command line>:1:4");
    assert_eq!(sources.text(words.at), Some("ls -l"));
    // Without [process], and where a stronger layer takes ${ARGS} back.
    assert_eq!(command(&Place::main("").args(&["ls"]).load()), ["ls"]);
    for over in ["process.command = ['sh']", "process.command = 'default'"] {
        let place =
            Place::main("[process]\ncommand = ['cargo', '${ARGS}']\n").config(over).args(&["ls"]);
        assert_eq!(command(&place.load()), ["ls"], "{over}");
    }
    assert!(Place::main("[process]\ncommand = ['bash']\n").load().process.command.get().is_some());
}

#[test]
fn args_stand_nowhere_else() {
    let place = Place::main(
        "[process]\ncommand = ['sh', '-c', 'x ${ARGS}']\n[env]\nA = \
         '${ARGS}'\n[mounts]\n'/${ARGS}' = 'ro'\n",
    );
    let problems = place.problems();
    let places: Vec<&str> =
        problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["main.toml:3:27", "main.toml:5:6", "main.toml:7:3"], "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.contains("`${ARGS}`: it is a list of words")));
}

#[test]
fn a_path_has_one_entry_in_a_file_however_it_is_spelt() {
    let place =
        Place::main("[mounts]\n'/usr//' = 'ro'\n'/a/../b' = 'ro'\n'/./usr' = 'ro'\n'opt' = 'ro'\n");
    assert_eq!(
        place.problems(),
        [
            "main.toml:4:1: cannot mount at this path: `/a/../b` goes up with `..` (write the path \
             that it means)",
            "main.toml:5:1: cannot mount at /usr twice: one file has two entries for it (keep one \
             of the two entries)",
            "main.toml:6:1: cannot mount at this path: `opt` is a relative path (say from where: \
             \"${CWD}/opt\" or \"${PROFILE_DIR}/opt\")",
        ]
    );
    let place = Place::main("extends = ['b.toml']\n[mounts]\n'/x/' = 'rw'\n");
    place.file("b.toml", "[mounts]\n'//x' = 'ro'\n");
    assert_eq!(place.load().mounts.map.len(), 1);
}

#[test]
fn tables_go_no_deeper_than_they_can_be_walked() {
    let key = |dots: usize| "a.".repeat(dots);
    let said = Place::main(&format!("{}a = 1\n", key(70))).problem();
    assert!(
        said.starts_with("main.toml:2:")
            && said.contains("cannot read a value this deep: 64 tables and lists"),
        "{said}"
    );
    assert!(
        Place::main(&format!("[{}a]\n{}a = 1\n", key(40), key(40)))
            .problem()
            .contains("this deep: 64")
    );
    // Dots that are no tables.
    Place::main(&format!(
        "# don't {dots}\ndescription = '''\n\" {dots}\n'''\n",
        dots = ".".repeat(200)
    ))
    .load();
}

#[test]
fn too_much_is_refused_early() {
    let many =
        |what: &dyn Fn(usize) -> String, count: usize| (0..count).map(what).collect::<String>();
    let mounts = many(&|number| format!("'/{number}' = 'dir'\n"), 10_001);
    assert!(
        Place::main(&format!("[mounts]\n{mounts}"))
            .problem()
            .contains("a table of 10001 entries: 10000 are the most")
    );
    let list = many(&|number| format!("'{number}',"), 10_001);
    assert!(
        Place::main(&format!("[capabilities]\nkeep = [{list}]"))
            .problem()
            .contains("a list of 10001")
    );
    let place = Place::main(&format!(
        "extends = ['b.toml']\n[env]\n{}",
        many(&|number| format!("A{number} = 'a'\n"), 6_000)
    ));
    place
        .file("b.toml", &format!("[env]\n{}", many(&|number| format!("B{number} = 'a'\n"), 6_000)));
    assert_eq!(
        place.problem(),
        "main.toml:1:1: cannot load the profile: it has 12000 entries, and 10000 are the most"
    );
}
