//! The exposure of sandboxes on the real machine: sockets that listen, links, keys and repositories
//! as the program itself reads them.

use crate::support::{self, As, Place, is_root, text, unwrapped};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::access::World;
use stockade::internals::inspect::exposure::{Exposure, weigh};
use stockade::internals::inspect::lint::lint;
use stockade::internals::plan::{Plan, plan, settle};
use stockade::internals::probe::probe;
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::source::Sources;

/// A profile with the facts of this machine, for a caller whose home is in the test's directory.
struct Made(Profile, Host, Plan);

impl Made {
    fn new(place: &Place, lines: &str) -> Made {
        let text = format!(
            "format = 1\noptional = [\"landlock\"]\n[process]\ncommand = [\"true\"]\n{lines}\n"
        );
        let path = place.file("weighed.toml", &text);
        let caller = Caller { home: below(place, "home"), ..Caller::current() };
        let mut sources = Sources::default();
        let profile = load(
            &Request { profile: path.to_str().unwrap().into(), ..Request::default() },
            &caller,
            &mut sources,
        );
        let profile = profile.unwrap_or_else(|problems| panic!("{lines}: {problems:?}"));
        let (mut host, settled) = probe(&profile, caller, &sources);
        let plan = plan(&profile, &host).unwrap_or_else(|problems| panic!("{lines}: {problems:?}"));
        host.look_closer(&profile, &settled);
        Made(profile, host, plan)
    }

    fn weigh(&self) -> Exposure {
        weigh(&self.0, &self.1, &settle(&self.0, &self.1), &World::new(&self.2, &self.0))
    }

    /// What counts as a cost of this name.
    fn costs(&self, name: &str) -> Vec<String> {
        self.weigh()
            .points
            .into_iter()
            .filter(|point| point.cost.name == name)
            .map(|point| point.what)
            .collect()
    }

    /// What W0306 says.
    fn run_later(&self) -> Vec<String> {
        lint(&self.0, &self.1, &settle(&self.0, &self.1))
            .into_iter()
            .filter(|warning| warning.code == "mounts::run-later")
            .map(|warning| warning.message)
            .collect()
    }
}

fn below(place: &Place, name: &str) -> String {
    place.path.join(name).to_str().unwrap().to_owned()
}

fn costs(place: &Place, name: &str, lines: &str) -> Vec<String> {
    Made::new(place, lines).costs(name)
}

#[test]
fn sockets_that_listen_count_where_they_are_granted() {
    let place = Place::new();
    for directory in ["services/deep", "empty", "covered"] {
        place.folder(directory, As::User);
    }
    let _listeners = ["services/a.sock", "services/deep/b.sock", "covered/c.sock"]
        .map(|name| UnixListener::bind(place.path.join(name)).unwrap());
    let paid = |lines: &str| {
        costs(
            &place,
            "socket",
            &format!("[mounts]\n{}", lines.replace('@', place.path.to_str().unwrap())),
        )
    };
    assert_eq!(
        paid("\"/s\" = { bind = \"@/services\", sockets = true }"),
        ["/s holds sockets of the host (a.sock)"]
    );
    assert_eq!(
        paid("\"/s\" = { bind = \"@/services/deep\", access = \"rw\", sockets = true }"),
        ["/s holds sockets of the host (b.sock)"]
    );
    assert_eq!(paid("\"/s\" = { bind = \"@/empty\", sockets = true }"), [""; 0]);
    assert_eq!(paid("\"/s\" = { bind = \"@/services\", sockets = \"hide\" }"), [""; 0]);
    assert_eq!(
        paid("\"/s\" = { bind = \"@/covered\", sockets = true }\n\"/s/c.sock\" = \"hide\""),
        [""; 0],
        "what is covered is not granted"
    );
}

/// `/run` with an engine's socket in it.
#[test]
fn the_services_of_run_count() {
    if !is_root() {
        return support::skip("only root makes a socket in /run");
    }
    let place = Place::new();
    let socket = format!("/run/stockade-test-{}.sock", std::process::id());
    let listener = UnixListener::bind(&socket).unwrap();
    let found = costs(&place, "socket", "[mounts]\n\"/run\" = { bind = \"/run\", sockets = true }");
    std::fs::remove_file(&socket).unwrap();
    drop(listener);
    assert!(
        matches!(&found[..], [one] if one.starts_with("/run holds sockets of the host (")),
        "{found:?}"
    );
}

#[test]
fn a_link_that_is_kept_is_as_open_as_its_end() {
    let place = Place::new();
    place.folder("work", As::User);
    place.folder("work/.real/hooks", As::User);
    place.folder("other", As::User);
    symlink(".real", place.path.join("work/.git")).unwrap();
    let work = below(&place, "work");
    let later = |lines: &str| {
        costs(
            &place,
            "run-later",
            &format!("[mounts]\n\"{work}\" = \"rw\"\n{}", lines.replace('@', &work)),
        )
    };
    assert_eq!(later("\"@/.git\" = \"ro\"\n\"@/.real\" = \"ro\""), [""; 0]);
    assert_eq!(later("\"@/.git\" = \"ro\""), [""; 0], "what the link leads to is kept with it");
    assert_eq!(later("").len(), 1, "a link that nothing holds is replaced");
}

#[test]
fn repositories_below_a_writable_directory_count_and_are_warned_of() {
    let place = Place::new();
    let git = "git runs its hooks, and commands that its settings name";
    for directory in [
        "nested",
        "deep",
        "led",
        "plain",
        "nested/a/b/.git",
        "deep/a/b/c/.git",
        "led/.real/hooks",
        "plain/src",
    ] {
        place.folder(directory, As::User);
    }
    place.file("led/.git", "gitdir: .real\n");
    let made = |name: &str, more: &str| {
        let path = below(&place, name);
        Made::new(
            &place,
            &format!(
                "[mounts]\n\"/w\" = {{ bind = \"{path}\", access = \"rw\" }}\n{}",
                more.replace('@', &path)
            ),
        )
    };
    let kept = "\"/w/.git\" = { bind = \"@/.git\" }";
    for (name, more, found) in [("nested", "", "a/b/.git"), ("led", kept, ".real")] {
        let made = made(name, more);
        assert_eq!(made.costs("run-later"), [format!("/w/{found} can be written: {git}")]);
        assert_eq!(
            made.run_later(),
            [format!(
                "/w lets the target write what runs outside of the sandbox later: `{found}` ({git})"
            )]
        );
    }
    for (name, more) in
        [("plain", ""), ("deep", ""), ("nested", "\"/w/a/b/.git\" = { bind = \"@/a/b/.git\" }")]
    {
        let made = made(name, more);
        assert_eq!((made.costs("run-later"), made.run_later()), (vec![], vec![]), "{name}");
    }
}

#[test]
fn keys_count_by_their_place_and_in_variables() {
    let place = Place::new();
    for directory in ["home/dot/ssh", "home/plain"] {
        place.folder(directory, As::User);
    }
    place.file("home/dot/ssh/id", "a key");
    place.file("home/plain/token", "no key that is known");
    symlink("dot/ssh", place.path.join("home/.ssh")).unwrap();
    let home = below(&place, "home");
    let keys = |lines: &str| costs(&place, "read-keys", &lines.replace('@', &home));
    assert_eq!(
        keys("[mounts]\n\"/d\" = { bind = \"@/dot\" }"),
        ["/d/ssh can be read: keys or sessions"]
    );
    assert_eq!(
        keys("[mounts]\n\"/d\" = { bind = \"@/dot/ssh\", access = \"rw\" }"),
        ["/d can be read: keys or sessions"]
    );
    assert_eq!(keys("[mounts]\n\"/d\" = { bind = \"@/plain\" }"), [""; 0]);
    for name in [".ssh", "dot/ssh"] {
        let found = keys(&format!("[env]\nX = {{ file = \"@/{name}/id\" }}"));
        assert!(
            matches!(&found[..], [one] if *one == format!("X holds {home}/{name}/id: keys or sessions")),
            "{found:?}"
        );
    }
    let token = "[env]\nX = { file = \"@/plain/token\" }".replace('@', &home);
    assert_eq!(costs(&place, "variable", &token), [format!("X holds {home}/plain/token")]);
}

#[test]
fn files_of_the_systems_keys_count_for_root() {
    if !is_root() || !Path::new("/etc/shadow").exists() {
        return support::skip("only root reads /etc/shadow");
    }
    let place = Place::new();
    let keys = |line: &str| costs(&place, "read-keys", &format!("[mounts]\n{line}")).len();
    assert_eq!(keys("\"/etc/shadow\" = \"ro\""), 1);
    assert_eq!(keys("\"/etc\" = { bind = \"/etc\", owner = \"root\" }"), 1);
    assert_eq!(keys("\"/etc/passwd\" = \"ro\""), 0);
}

/// Root's runs reach the keys of every user in passwd(5).
#[test]
fn keys_of_another_user_count() {
    if !is_root() {
        return support::skip("only root has a list of users of its own, in a mount namespace");
    }
    let place = Place::new();
    place.file("ann/.ssh/id", "a key");
    let ann = below(&place, "ann");
    let passwd = place
        .file("passwd", &format!("root:x:0:0::/root:/bin/sh\nann:x:1234:1234::{ann}:/bin/sh\n"));
    let profile = place.file(
        "profile.toml",
        &format!(
            "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n\"/k\" = {{ bind = \
             \"{ann}/.ssh\" }}\n"
        ),
    );
    let line = |before: &str| {
        format!("{before} exec {}/stockade plan {}", place.path.display(), profile.display())
    };
    let shown = |line: &str| {
        let output =
            place.outside(As::Root, "unshare").args(["-m", "sh", "-c", line]).output().unwrap();
        text(&output.stdout)
    };
    let known = shown(&line(&format!("mount --bind {} /etc/passwd;", passwd.display())));
    assert!(known.contains("/k can be read: keys or sessions"), "{known}");
    // The twin: to nobody's home that is no directory of keys.
    let unknown = shown(&line(""));
    assert!(unknown.contains("exposure") && !unknown.contains("keys or sessions"), "{unknown}");
}

#[test]
fn an_entry_that_is_left_out_counts_nothing() {
    let place = Place::new();
    let made =
        Made::new(&place, "[mounts]\n\"/\" = { bind = \"/\", access = \"rw\", broad = \"skip\" }");
    assert!(
        made.2.notes.iter().any(|note| note.text.starts_with("/ is left out: ")),
        "{:?}",
        made.2.notes
    );
    assert!(made.weigh().tenths < 10, "{:#?}", made.weigh().points);
}

#[test]
fn the_hosts_own_tree_is_no_device() {
    if support::landlock_abi() == 0 {
        return support::skip("the kernel has no Landlock");
    }
    let place = Place::new();
    let output = place.stockade(As::User).args(["plan", "landlock", "true"]).output().unwrap();
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(shown.contains("\n  ---  /  ") && !shown.contains("device"), "{shown}");
}

#[test]
fn plans_say_where_sockets_are_not_looked_for() {
    let place = Place::new();
    place.folder("tree", As::User);
    let _listener = UnixListener::bind(place.path.join("tree/a.sock")).unwrap();
    place.folder("bare", As::User);
    let notes = |more: &str, name: &str| {
        let lines = format!(
            "[mounts]\n\"/usr\" = \"ro\"\n\"/t\" = {{ bind = \"{}\", access = \"rw\"{more} }}",
            below(&place, name)
        );
        let made = Made::new(&place, &lines);
        assert!(made.2.notes.iter().all(|note| !note.less), "no line of every run");
        made.2
            .notes
            .into_iter()
            .map(|note| note.text)
            .filter(|text| text.contains("sockets"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        notes("", "bare"),
        ["sockets deeper than three levels below /t, or made later, can be reached"]
    );
    let hidden = "sockets below /t are covered (1, such as /t/a.sock); sockets deeper than three \
                  levels, or made later, can be reached";
    assert_eq!(notes(", sockets = \"hide\"", "tree"), [hidden]);
    assert_eq!(notes(", sockets = true", "tree"), [""; 0]);
}

#[test]
fn a_long_path_is_shortened_and_the_verdict_stays() {
    let place = Place::new();
    let long = format!("a-directory-with-a-long-name/{}", "x".repeat(60));
    for directory in [long.clone(), format!("{long}/.git")] {
        place.folder(&directory, As::User);
    }
    let profile = place.file(
        "p.toml",
        &format!(
            "format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n\"{0}\" = \"rw\"\n",
            below(&place, &long)
        ),
    );
    let output = place.stockade(As::all()[0]).arg("plan").arg(profile).output().unwrap();
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.starts_with("   3.0  ") || line.starts_with("   0.5  "))
        .collect();
    assert!(
        lines.len() >= 2
            && lines.iter().all(|line| line.contains(" can be written") && line.contains('…')),
        "{}",
        unwrapped(&shown)
    );
    assert!(lines[0].contains("/.git can be written: "), "{shown}");
}
