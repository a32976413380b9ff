//! Which files are profiles, and where names are looked up.

use super::*;

#[test]
fn what_others_can_write_is_refused() {
    let place = Place::main("");
    let main = place.path.join("main.toml");
    let mode = |path: &PathBuf, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    mode(&main, 0o664);
    assert_eq!(
        place.problem(),
        "cannot trust the profile main.toml: it can be written by others (mode 0664) (chmod go-w \
         main.toml)"
    );
    mode(&main, 0o646);
    assert!(place.problem().contains("it can be written by others (mode 0646)"));
    mode(&main, 0o644);
    mode(&place.path, 0o777);
    assert!(place.problem().contains("its directory can be written by others (mode 0777)"));
    mode(&place.path, 0o1777);
    place.load();
    mode(&place.path, 0o775);
    assert!(place.problem().contains("its directory can be written by others (mode 0775)"));
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let mut place = Place::main("");
    let main = place.path.join("main.toml");
    if place.caller.uid == 0 {
        chown(&main, Some(61_184), None).unwrap();
        assert_eq!(
            place.problem(),
            "cannot trust the profile main.toml: it belongs to user 61184, not to root (read it, \
             and make it root's: chown root main.toml)"
        );
        place.caller.uid = 61_184;
        place.load();
        place.caller.uid = 61_185;
        assert!(place.problem().contains("it belongs to user 61184, not to root or the caller"));
        chown(&main, Some(0), None).unwrap();
        place.load();
        chown(&place.path, Some(61_184), None).unwrap();
        place.caller.uid = 0;
        assert!(place.problem().contains("its directory belongs to user 61184, not to root"));
    } else {
        place.caller.uid += 1;
        assert!(place.problem().contains("not to root or the caller"));
        place.caller.uid = 0;
        assert!(place.problem().contains("not to root"));
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
    place.file("system/strict.toml", "");
    place.request.profile = "strict".into();
    assert!(place.problem().contains("system/strict.toml and built in"));
    // A link to nowhere is there: the built-in profile does not take its place.
    std::fs::remove_file(place.path.join("system/strict.toml")).unwrap();
    symlink("/nowhere", place.path.join("system/strict.toml")).unwrap();
    assert!(place.problem().contains("ambiguous"));
}

#[test]
fn every_profile_that_comes_along_loads() {
    let mut place = Place::new();
    for (name, _) in super::super::super::BUILTIN {
        place.request.profile = (*name).to_owned();
        place.load();
    }
}
