//! Which files are profiles, and where names are looked up.

use super::*;

fn mode(path: &PathBuf, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
}

#[test]
fn what_others_can_write_is_refused() {
    let place = Place::main("");
    let main = place.path.join("main.toml");
    mode(&main, 0o646);
    assert_eq!(
        place.problem(),
        "cannot trust the profile main.toml: it can be written by others (mode 0646) (chmod go-w \
         main.toml)"
    );
    mode(&place.path, 0o777);
    let both = place.problem();
    let reasons = "it can be written by others (mode 0646), and its directory can be written by \
                   others (mode 0777) (chmod go-w main.toml /";
    assert!(both.contains(reasons), "{both}");
    mode(&main, 0o644);
    assert!(place.problem().contains("its directory can be written by others (mode 0777)"));
    mode(&place.path, 0o1777);
    place.load();
}

/// The groups of this machine: root's own, if no other user has it, and one with a member.
#[test]
fn what_a_group_can_write_is_refused_but_for_the_owners_own() {
    let place = Place::main("");
    let main = place.path.join("main.toml");
    let database = |file: &str| std::fs::read_to_string(file).unwrap();
    let (passwd, group) = (database("/etc/passwd"), database("/etc/group"));
    let uid = place.caller.uid;
    let own = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields[2] == uid.to_string()).then(|| fields[3].parse::<u32>().unwrap())
    });
    let own =
        own.filter(|gid| super::super::super::trust::shared(uid, *gid, &passwd, &group).is_none());
    match own {
        Some(gid) => {
            [&main, &place.path].iter().for_each(|path| chown(path, None, Some(gid)).unwrap());
            mode(&main, 0o664);
            mode(&place.path, 0o775);
            place.load();
        }
        None => eprintln!("SKIP: the caller has no group of its own"),
    }
    if uid != 0 {
        return;
    }
    // The group of all users, and one without known members.
    for gid in [100, 61_184] {
        chown(&main, None, Some(gid)).unwrap();
        mode(&main, 0o664);
        mode(&place.path, 0o755);
        let why = format!("(mode 0664: group {gid} is not the owner's primary group");
        assert!(place.problem().contains(&why), "{}", place.problem());
        mode(&main, 0o644);
        place.load();
    }
}

#[test]
fn a_list_of_further_users_is_no_group_of_the_owners_own() {
    let place = Place::main("");
    let main = place.path.join("main.toml");
    mode(&main, 0o664);
    let granted =
        std::process::Command::new("setfacl").args(["-m", "u:12345:rw"]).arg(&main).status();
    if !granted.is_ok_and(|status| status.success()) {
        return eprintln!("SKIP: no setfacl, or no access control lists here");
    }
    assert!(place.problem().contains("with an access control list"), "{}", place.problem());
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let mut place = Place::main("");
    let main = place.path.join("main.toml");
    if place.caller.uid == 0 {
        chown(&main, Some(61_184), None).unwrap();
        assert_eq!(
            place.problem(),
            "cannot trust the profile main.toml: it belongs to user 61184, who could change it \
             before root reads it (read it, copy it, and run the copy by its name, `main`: install \
             -D -o root -g root -m 644 main.toml system/main.toml)"
        );
        place.file("system/main.toml", "");
        place.caller.env.insert("SUDO_UID".into(), "61184".into());
        assert!(place.problem().contains("`main-2`: sudo install -D"), "{}", place.problem());
        place.caller.uid = 61_184;
        place.load();
        place.caller.uid = 61_185;
        assert!(place.problem().contains("it belongs to user 61184, not to root or the caller"));
        chown(&main, Some(0), None).unwrap();
        place.load();
        chown(&place.path, Some(61_184), None).unwrap();
        place.caller.uid = 0;
        assert!(place.problem().contains("its directory belongs to user 61184, who"));
    } else {
        place.caller.uid += 1;
        assert!(place.problem().contains("not to root or the caller"));
        place.caller.uid = 0;
        assert!(place.problem().contains("who could change it"));
    }
}

#[test]
fn a_base_is_trusted_no_more_than_the_profile() {
    let place = Place::main("extends = [\"./base.toml\"]");
    let base = place.file("base.toml", "");
    std::fs::set_permissions(&base, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(
        place.problem(),
        "main.toml:2:12: cannot trust the profile base.toml: it can be written by others (mode \
         0666) (chmod go-w base.toml)"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_and_nothing_waits() {
    let mut place = Place::new();
    let path = |name: &str| place.path.join(name).to_str().unwrap().to_owned();
    let (fifo, directory, socket) =
        (path("fifo.toml"), path("directory.toml"), path("socket.toml"));
    nix::unistd::mkfifo(fifo.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    std::fs::create_dir(&directory).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [fifo, directory, "/dev/null".into()] {
        place.request.profile = path;
        assert!(
            place.problem().contains("it is not a regular file (stockade run - reads"),
            "{}",
            place.problem()
        );
    }
    place.request.profile = socket;
    assert!(place.problem().contains("cannot read the profile socket.toml"));
    place.request.profile = place.path.join("none.toml").to_str().unwrap().to_owned();
    assert_eq!(place.problem(), "cannot read the profile none.toml: no such file or directory");
    place.request.profile = "".into();
    assert!(place.problem().starts_with("cannot find the profile: none is given"));
    place.request.profile = "/x\0.toml".into();
    assert_eq!(place.problems().len(), 1);
}

#[test]
fn a_large_file_is_refused() {
    let place = Place::new();
    place.raw("main.toml", &vec![b'#'; (1 << 20) + 1]);
    assert_eq!(place.problem(), "cannot read the profile main.toml: it is larger than 1 MiB");
}

#[test]
fn a_link_leads_to_the_file_that_is_checked() {
    let place = Place::new();
    place.file("real/it.toml", "[mounts]\n\"/x\" = { bind = \"${PROFILE_DIR}/x\" }");
    symlink("real/it.toml", place.path.join("main.toml")).unwrap();
    assert_eq!(source_of(&place.load(), "/x"), place.path.join("real/x").to_str().unwrap());
    std::fs::set_permissions(place.path.join("real"), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(place.problem().contains("its directory can be written by others"));
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let place = Place::new();
    place.raw("main.toml", b"format = 1\nx = '\xff'\n");
    assert_eq!(
        place.problem(),
        "main.toml:2:6: cannot read the byte 0xff: it is not UTF-8, and a profile is"
    );
    place.raw("main.toml", b"format = 1\ndescription = 'a\0b'\n");
    assert!(place.problems()[0].starts_with("main.toml:2:1"), "{:?}", place.problems());
}

#[test]
fn a_byte_order_mark_and_carriage_returns_move_nothing() {
    let place = Place::new();
    place.raw("main.toml", b"\xef\xbb\xbfformat = 2\r\n[process]\r\nnise = 1\r\n");
    let problems = place.problems();
    assert!(problems[0].ends_with(
        "reads format 1 (write format = 1, or use the stockade that the profile was written for)"
    ));
    assert!(
        problems[1]
            .starts_with("main.toml:3:1: cannot read `nise` of [process]: there is no such key"),
        "{problems:?}"
    );
    place.raw("main.toml", b"#!/usr/bin/env -S stockade run\nformat = 1\n");
    place.load();
}

#[test]
fn a_name_is_never_a_file_of_the_current_directory() {
    let mut place = Place::new();
    place.file("planted.toml", "");
    place.caller.cwd = place.path.to_str().unwrap().to_owned();
    place.request.profile = "planted".into();
    assert_eq!(
        place.problem(),
        "cannot find the profile `planted`: there is none of that name (for the file in this \
         directory write ./planted.toml)"
    );
}

#[test]
fn a_name_is_looked_up_and_ambiguity_is_an_error() {
    let mut place = Place::new();
    place.request.profile = "web".into();
    place.file("system/web.toml", "description = \"of the machine\"");
    assert_eq!(place.load().description.get().unwrap().value, "of the machine");
    place.file("user/web.toml", "");
    assert_eq!(
        place.problem(),
        "cannot find the profile `web`: the name is ambiguous: system/web.toml and user/web.toml \
         (give the path of the one that is meant, or rename one)"
    );
    place.caller.user_profiles = None;
    place.load();
    place.request.profile = "wbe".into();
    assert_eq!(
        place.problem(),
        "cannot find the profile `wbe`: there is none of that name (did you mean `web`?)"
    );
    // A link to nowhere is there: the built-in profile does not take its place.
    symlink("/nowhere", place.path.join("system/strict.toml")).unwrap();
    place.request.profile = "strict".into();
    assert!(place.problem().starts_with("cannot read the profile system/strict.toml"));
    place.request.profile = "builtin:strict".into();
    place.load();
    place.request.profile = "builtin:stric".into();
    assert_eq!(
        place.problem(),
        "cannot find the profile `stric`: none of that name is built in (did you mean `strict`?)"
    );
}

#[test]
fn a_file_takes_the_place_of_a_built_in_profile_where_it_says_so() {
    let mut place = Place::new();
    place.request.profile = "default".into();
    let built_in = place.load();
    assert!(!built_in.rlimits.map.contains_key("nofile"));
    place.file("user/default.toml", "");
    assert_eq!(
        place.problem(),
        "cannot find the profile `default`: the name is ambiguous: user/default.toml and built in \
         (give the path of the file, or builtin:default; the file takes the place of the built-in \
         profile where it has extends = [\"builtin:default\"])"
    );
    // A mention is none, nor is another profile, nor the bare name, which would be the file's own.
    for text in [
        "# extends = [\"builtin:default\"]",
        "extends = [\"builtin:base\"]",
        "extends = [\"default\"]",
        "description = \"builtin:default\"",
    ] {
        place.file("user/default.toml", text);
        assert!(place.problem().contains("ambiguous"), "{text}: {}", place.problem());
    }
    place.file("user/default.toml", "extends = [\"builtin:default\"]\n[rlimits]\nnofile = 77");
    let has = |place: &Place| place.load().rlimits.map.contains_key("nofile");
    assert!(has(&place));
    // The bare word means the same in another profile's `extends`.
    place.file("main.toml", "extends = [\"default\"]");
    place.request.profile = place.path.join("main.toml").to_str().unwrap().into();
    assert!(has(&place));
    place.file("main.toml", "extends = [\"builtin:default\"]");
    assert!(!has(&place));
    // What a built-in profile extends is built in.
    place.file("user/base.toml", "extends = [\"builtin:base\"]\n[rlimits]\nnofile = 77");
    assert!(!has(&place));
    place.request.profile = "base".into();
    assert!(has(&place));
    // Two files are two.
    place.file("system/base.toml", "extends = [\"builtin:base\"]");
    assert!(place.problem().contains("system/base.toml and user/base.toml"));
    place.request.profile = "builtin:base".into();
    assert!(!has(&place));
    // Root's caller sees no user's.
    place.caller.user_profiles = None;
    place.request.profile = "default".into();
    assert!(!has(&place));
}

#[test]
fn a_file_that_takes_a_place_is_trusted_no_more_than_others() {
    let mut place = Place::new();
    place.request.profile = "default".into();
    let file = place.file("user/default.toml", "extends = [\"builtin:default\"]");
    mode(&file, 0o666);
    assert!(place.problem().starts_with("cannot trust the profile user/default.toml"));
}

#[test]
fn an_optional_base_is_skipped_only_where_it_is_not_there() {
    let optional = |word: &str| {
        format!(
            "extends = [{{ profile = \"{word}\", missing = \"skip\" }}]\n[mounts]\n\"/a\" = \"dir\""
        )
    };
    let place = Place::main(&optional("./site.toml"));
    place.load();
    place.file("site.toml", "[rlimits]\nnofile = 77");
    assert!(place.load().rlimits.map.contains_key("nofile"));
    mode(&place.path.join("site.toml"), 0o666);
    assert!(place.problem().contains("main.toml:2:12: cannot trust the profile site.toml"));
    // A link to nowhere is there.
    std::fs::remove_file(place.path.join("site.toml")).unwrap();
    symlink("/nowhere", place.path.join("site.toml")).unwrap();
    assert!(place.problem().contains("cannot read the profile site.toml"));
    std::fs::remove_file(place.path.join("site.toml")).unwrap();
    // What is not there can have been removed by a user who can write in its directory.
    place.file("main.toml", &optional("./sites/one.toml"));
    place.load();
    std::fs::create_dir(place.path.join("sites")).unwrap();
    place.load();
    mode(&place.path.join("sites"), 0o777);
    assert!(place.problem().contains("its directory can be written by others"));
    // A name.
    place.file("main.toml", &optional("site"));
    place.load();
    place.file("user/site.toml", "[rlimits]\nnofile = 77");
    assert!(place.load().rlimits.map.contains_key("nofile"));
    // Without the word it is an error.
    place.file("main.toml", "extends = [{ profile = \"./none.toml\" }]");
    assert!(place.problem().contains("cannot read the profile none.toml: no such file"));
    place.file("main.toml", "extends = [{ profile = \"./none.toml\", missing = \"create\" }]");
    assert!(place.problem().contains("`create`"), "{}", place.problem());
}

#[test]
fn every_profile_that_comes_along_loads() {
    let mut place = Place::new();
    for (name, _) in super::super::super::BUILTIN {
        place.request.profile = (*name).to_owned();
        place.load();
    }
}
