//! Landlock as the profile words it, and as the only protection if the sandbox has no file tree of
//! its own.

use crate::support::{
    self, As, Place, USER, lacking, landlock_abi as abi, probe, said, skip, system, text,
};

/// Most tests are of restrictions that such a kernel lacks.
fn has_landlock() -> bool {
    if abi() == 0 {
        skip("the kernel has no Landlock, or it is switched off");
    }
    abi() > 0
}

/// What the probe says of an act: `ok`, or the name of the errno.
fn act(place: &Place, who: As, profile: &str, program: &str, words: &[&str]) -> String {
    let all: Vec<&str> = [program].iter().chain(words).copied().collect();
    let output = place.run(who, profile, &all);
    match output.status.code() {
        Some(0) => "ok".into(),
        Some(1) if !output.stdout.is_empty() => text(&output.stdout).trim().to_owned(),
        _ => panic!("{who:?}: {words:?}: {}", said(&output)),
    }
}

fn inside(place: &Place, more: &str) -> String {
    system(&format!("\"/probe\" = {{ bind = \"{}\" }}\n{more}", place.path.join("probe").display()))
}

// ---- the section ----

#[test]
fn rights_by_name_and_path() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let data = place.folder(&format!("data-{who:?}"), *who);
        let file = place.file(&format!("data-{who:?}/file"), "text");
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        let owner = if *who == As::Root { ", owner = \"root\"" } else { "" };
        let mounts =
            format!("\"/data\" = {{ bind = \"{}\", access = \"rw\"{owner} }}", data.display());
        let optional = format!("optional = {:?}\n[mounts]", lacking());
        let with = |paths: &str| {
            format!(
                "{}[landlock]\npaths = {paths}\n",
                inside(&place, &mounts).replacen("[mounts]", &optional, 1)
            )
        };
        let rest = "\"/probe\" = \"rx\", \"/usr\" = \"rx\"";
        let acts = |paths: &str| {
            let profile = with(paths);
            drop(std::fs::remove_dir(data.join("new")));
            place.folder(&format!("data-{who:?}/old"), *who);
            let attempts: [&[&str]; 4] = [
                &["read", "/data/file"],
                &["mkdir", "/data/new", "0755"],
                &["rmdir", "/data/old"],
                &["open-w", "/data/file"],
            ];
            attempts.map(|words| act(&place, *who, &profile, "/probe", words))
        };
        let refused = "EACCES";
        assert_eq!(acts("\"off\""), ["ok"; 4], "{who:?}: the twin");
        assert_eq!(acts("\"auto\""), ["ok"; 4], "{who:?}");
        assert_eq!(acts(&format!("{{ {rest} }}")), [refused; 4], "{who:?}");
        assert_eq!(
            acts(&format!("{{ {rest}, \"/data\" = \"r\" }}")),
            ["ok", refused, refused, refused],
            "{who:?}"
        );
        assert_eq!(
            acts(&format!("{{ {rest}, \"/data\" = [\"make\", \"w\"] }}")),
            [refused, "ok", refused, "ok"],
            "{who:?}"
        );
        assert_eq!(
            acts(&format!("{{ {rest}, \"/data\" = [\"remove\", \"list\"] }}")),
            [refused, refused, "ok", refused],
            "{who:?}"
        );
    }
}

#[test]
fn a_rule_stands_where_a_link_leads() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let data = place.folder(&format!("linked-{who:?}"), *who);
        place.file(&format!("linked-{who:?}/real/file"), "text");
        std::os::unix::fs::symlink("real", data.join("link")).unwrap();
        let mounts = format!("\"/data\" = {{ bind = \"{}\" }}", data.display());
        let with = |paths: &str| {
            let optional = format!("optional = {:?}\n[mounts]", lacking());
            format!(
                "{}[landlock.paths]\n\"/probe\" = \"rx\"\n{paths}\n",
                inside(&place, &mounts).replacen("[mounts]", &optional, 1)
            )
        };
        let read =
            |paths: &str| act(&place, *who, &with(paths), "/probe", &["read", "/data/real/file"]);
        assert_eq!(read("\"/lib64\" = \"rx\"\n\"/data/link\" = \"r\""), "ok", "{who:?}");
        assert_eq!(read("\"/usr\" = \"rx\""), "EACCES", "{who:?}: the twin");
        let output = place.run(*who, &with("\"/data/nowhere\" = \"r\""), &["/probe"]);
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(125)
                && said.contains("E1105")
                && said.contains("\"/data/nowhere\" = \"r\""),
            "{who:?}: {said}"
        );
        // That the command is not among what may be executed is known before.
        let profile = place.file("check.toml", &with("\"/data\" = \"r\""));
        let output = place
            .stockade(*who)
            .arg("check")
            .arg(profile)
            .args(["cat", "/data/real/file"])
            .output()
            .unwrap();
        assert!(
            text(&output.stdout)
                .contains("no rule of landlock.paths lets /usr/bin/cat be executed"),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn ports_and_the_ways_round_them() {
    if !has_landlock() {
        return;
    }
    if abi() < 4 {
        return skip("the kernel's Landlock has no rules for ports");
    }
    let place = Place::new();
    probe(&place);
    for who in As::all() {
        let with = |lines: &str| format!("{}[landlock]\n{lines}\n", inside(&place, ""));
        let at = |lines: &str, words: &[&str]| act(&place, *who, &with(lines), "/probe", words);
        // Nobody listens: what reaches the port is refused by it.
        let reached = "ECONNREFUSED";
        assert_eq!(at("", &["tcp-connect", "8099"]), reached, "{who:?}: the twin");
        assert_eq!(at("tcp-connect = [8099]", &["tcp-connect", "8099"]), reached, "{who:?}");
        assert_eq!(at("tcp-connect = [8098]", &["tcp-connect", "8099"]), "EACCES", "{who:?}");
        assert_eq!(at("tcp-connect = []", &["tcp-connect", "8099"]), "EACCES", "{who:?}");
        assert_eq!(at("", &["tcp-bind", "8099"]), "ok", "{who:?}: the twin");
        assert_eq!(at("tcp-bind = [8099]", &["tcp-bind", "8099"]), "ok", "{who:?}");
        assert_eq!(at("tcp-bind = [8098]", &["tcp-bind", "8099"]), "EACCES", "{who:?}");
        for way in ["fastopen-sendto", "fastopen-sendmsg", "fastopen-sendmmsg"] {
            assert_eq!(at("", &[way, "8099"]), reached, "{who:?}: {way}, the twin");
            assert_eq!(at("tcp-connect = []", &[way, "8099"]), "EOPNOTSUPP", "{who:?}: {way}");
        }
        assert_eq!(
            at("tcp-connect = []", &["mptcp-connect", "8099"]),
            "EPROTONOSUPPORT",
            "{who:?}"
        );
    }
}

#[test]
fn ports_of_udp() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    probe(&place);
    if abi() < 10 {
        // Most kernels of today: the restriction is refused, never left out silently.
        let output = place.run(
            As::User,
            &format!("{}[landlock]\nudp-bind = []\n", inside(&place, "")),
            &["/probe", "udp-bind", "8099"],
        );
        return assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("UDP"),
            "{}",
            said(&output)
        );
    }
    let ways = ["udp-connect", "udp-send", "udp-send-unspec", "udp-sendmsg", "udp-sendmmsg"];
    for who in As::all() {
        let with = |lines: &str| format!("{}[landlock]\n{lines}\n", inside(&place, ""));
        let at = |lines: &str, words: &[&str]| act(&place, *who, &with(lines), "/probe", words);
        for way in ways {
            assert_eq!(at("", &[way, "8099"]), "ok", "{who:?}: {way}, the twin");
            assert_eq!(at("udp-connect = [8099]", &[way, "8099"]), "ok", "{who:?}: {way}");
            assert_eq!(at("udp-connect = [8098]", &[way, "8099"]), "EACCES", "{who:?}: {way}");
            assert_eq!(at("udp-connect = []", &[way, "8099"]), "EACCES", "{who:?}: {way}");
            // The kernel binds a socket that sends first to a free port, which is port 0 of the
            // rules.
            assert_eq!(
                at("udp-bind = []", &[way, "8099"]),
                "EACCES",
                "{who:?}: {way} from a free port"
            );
            assert_eq!(
                at("udp-bind = [0]", &[way, "8099"]),
                "ok",
                "{who:?}: {way} from a free port"
            );
        }
        assert_eq!(
            at("udp-bind = [8097]\nudp-connect = [8099]", &["udp-send", "8099", "8097"]),
            "ok",
            "{who:?}"
        );
        assert_eq!(at("", &["udp-bind", "8099"]), "ok", "{who:?}: the twin");
        assert_eq!(at("udp-bind = [8099]", &["udp-bind", "8099"]), "ok", "{who:?}");
        assert_eq!(at("udp-bind = [8098]", &["udp-bind", "8099"]), "EACCES", "{who:?}");
        assert_eq!(at("udp-bind = []", &["udp-bind", "8099"]), "EACCES", "{who:?}");
        // Neither rules over the other protocol.
        assert_eq!(at("udp-bind = []\nudp-connect = []", &["tcp-bind", "8099"]), "ok", "{who:?}");
        assert_eq!(at("tcp-bind = []\ntcp-connect = []", &["udp-bind", "8099"]), "ok", "{who:?}");
        assert_eq!(at("tcp-bind = []\ntcp-connect = []", &["udp-send", "8099"]), "ok", "{who:?}");
    }
}

#[test]
fn the_twin_of_mptcp_goes_round_landlock() {
    if !has_landlock() {
        return;
    }
    // Outside of every sandbox it reaches the port, so the refusal inside is stockade's.
    let place = Place::new();
    let probe = probe(&place);
    for who in As::all() {
        let output = place.outside(*who, &probe).args(["mptcp-connect", "8099"]).output().unwrap();
        match text(&output.stdout).trim() {
            "ECONNREFUSED" => {}
            other => return skip(&format!("the kernel has no MPTCP ({other})")),
        }
    }
}

#[test]
fn what_the_kernel_lacks_is_an_error_unless_it_may_fall() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    let profile = |lines: &str, optional: &str| {
        format!(
            "format = 1\noptional = [{optional}]\n[landlock]\n{lines}\n{}",
            system("").split_once('\n').unwrap().1
        )
    };
    for who in As::all() {
        let output = place.run(*who, &profile("min-abi = 99", ""), &["true"]);
        assert!(
            output.status.code() == Some(125)
                && text(&output.stderr).contains("this kernel has ABI"),
            "{who:?}: {}",
            said(&output)
        );
        let output = place.run(*who, &profile("min-abi = 99", "\"landlock\""), &["true"]);
        assert!(
            output.status.code() == Some(0) && text(&output.stderr).contains("not enforced"),
            "{who:?}: {}",
            said(&output)
        );
        if abi() < 10 {
            let output =
                place.run(*who, &profile("udp-bind = []", "\"landlock.scope\""), &["true"]);
            assert!(
                output.status.code() == Some(125) && text(&output.stderr).contains("UDP"),
                "{who:?}: {}",
                said(&output)
            );
        }
    }
}

#[test]
fn rules_for_files_do_not_go_with_nested() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    let profile =
        |lines: &str| format!("{}[namespaces]\nnested = true\n[landlock]\n{lines}\n", system(""));
    for who in As::all() {
        let output = place.run(*who, &profile("paths = { \"/usr\" = \"rx\" }"), &["true"]);
        assert!(
            output.status.code() == Some(125) && text(&output.stderr).contains("landlock::nested"),
            "{who:?}: {}",
            said(&output)
        );
        // Without "mount" both hold.
        let kinds = profile("paths = { \"/\" = \"rwx\" }")
            .replace("nested = true", "nested = [\"user\", \"pid\"]");
        let kinds =
            kinds.replacen("format = 1", &format!("format = 1\noptional = {:?}", lacking()), 1);
        assert_eq!(place.sh(*who, &kinds, "unshare -Urpf sh -c 'echo $$'"), "1", "{who:?}");
        // Scopes stay, and mounts can be made.
        let line = "unshare -Urm sh -c 'mount -t tmpfs none /tmp && echo mounted'";
        assert_eq!(place.sh(*who, &profile(""), line), "mounted", "{who:?}");
    }
}

/// On such a kernel, and where the question for Landlock fails as it does there.
#[test]
fn a_kernel_without_landlock_starts_nothing_unless_it_may_fall() {
    let place = Place::new();
    let run = |who: As, profile: &str, errno: &str, word: &str| {
        let path = place.file("p.toml", profile);
        let mut command = place.stockade(who);
        if abi() > 0 {
            command = place.outside(who, "strace");
            command
                .args(["-f", "-qq", "-o", "/dev/null", "-e"])
                .arg(format!("inject=landlock_create_ruleset:error={errno}"))
                .arg(place.path.join("stockade"));
        }
        command.args(["run", "--report-fd", "1"]).arg(path).args(["sh", "-c", "exit 7"]);
        let output = command.output().unwrap();
        // The record has the sentence in one line.
        assert!(said(&output).contains(word), "{who:?}: {}", said(&output));
        output
    };
    let plain = system("");
    let optional = plain.replacen("format = 1", "format = 1\noptional = [\"landlock\"]", 1);
    for who in As::all() {
        // By landlock_create_ruleset(2): the kernel was built without it, or it was switched off at
        // boot.
        for errno in ["ENOSYS", "EOPNOTSUPP"] {
            assert_eq!(
                run(*who, &plain, errno, "this kernel has no Landlock").status.code(),
                Some(125)
            );
            let output = run(*who, &optional, errno, "Landlock is not enforced");
            let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(
                output.status.code() == Some(7)
                    && record["skipped"][0].as_str().unwrap().contains("Landlock"),
                "{record}"
            );
        }
        // The same if only Landlock protects the files.
        let alone = alone(*who, "");
        assert_eq!(
            run(*who, &alone, "ENOSYS", "this kernel has no Landlock").status.code(),
            Some(125),
            "{who:?}"
        );
    }
}

// ---- Landlock alone ----

/// No namespace at all: what is left are rights, the filter, limits and the environment.
fn alone(who: As, mounts: &str) -> String {
    let identity = if who == As::Root {
        format!("[identity]\nhost = true\nuser = {USER}\ngroup = {USER}\n")
    } else {
        String::new()
    };
    format!(
        "format = 1\noptional = {:?}\n[namespaces]\nall = \"host\"\n[network]\nmode = \
         \"host\"\n{identity}[mounts]\n\"/usr\" = \"ro\"\n\"/bin\" = \"ro\"\n\
         \"/lib\" = \"ro\"\n\"/lib64\" = {{ bind = \"/lib64\", missing = \"skip\" }}\n\"/etc\" = \
         \"ro\"\n\"/dev\" = \"dev\"\n{mounts}\n",
        lacking()
    )
}

#[test]
fn landlock_alone_grants_what_the_mounts_say() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let (open, closed) = (place.folder("open", As::User), place.folder("closed", As::User));
        place.file("closed/secret", "secret");
        let (open, closed) = (open.display(), closed.display());
        let line = format!(
            "echo x > {open}/f && cat {open}/f; cat {closed}/secret; echo y > {closed}/g; ls \
             {closed} /tmp; echo z > /usr/zz; kill -0 {}; echo null > /dev/null && grep -E \
             '^(NoNewPrivs|Seccomp):' /usr/share/none {open}/none; head -c 4 /etc/passwd",
            std::process::id()
        );
        let run = |profile: &str| {
            let output = place.run(*who, profile, &["/bin/sh", "-c", &line]);
            (text(&output.stdout), text(&output.stderr))
        };
        let (out, err) = run(&alone(*who, &format!("\"{open}\" = \"rw\"")));
        assert_eq!(out, "x\nroot", "{who:?}: {err}");
        for denied in [
            "secret: Permission denied",
            "closed/g: Permission denied",
            "/usr/zz: Permission denied",
            "'/tmp': Permission denied",
        ] {
            assert!(err.contains(denied), "{who:?}: not {denied}: {err}");
        }
        if abi() >= 6 {
            assert!(err.contains("kill: ") && err.contains("not permitted"), "{who:?}: {err}");
        }
        let profile = alone(*who, "");
        let bare =
            format!("{}[landlock]\npaths = \"off\"\n", profile.split_once("[mounts]").unwrap().0);
        let (out, _) = run(&bare);
        assert!(out.contains("x\nsecret") && out.contains("root"), "{who:?}, the twin: {out}");
    }
}

#[test]
fn landlock_alone_keeps_files_whole() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let probe = probe(&place);
        let probe = probe.to_str().unwrap();
        let file = place.file("folder/file", "text");
        // The target's own, so that its mode protects nothing.
        if support::is_root() {
            std::os::unix::fs::chown(&file, Some(USER), Some(USER)).unwrap();
        }
        let folder = file.parent().unwrap().display();
        let profile = |access: &str| {
            alone(*who, &format!("\"{probe}\" = \"ro\"\n\"{folder}\" = \"{access}\""))
        };
        let file = file.to_str().unwrap();
        for way in ["truncate", "open-truncate"] {
            if abi() >= 3 {
                assert_eq!(
                    act(&place, *who, &profile("ro"), probe, &[way, file]),
                    "EACCES",
                    "{who:?}: {way}"
                );
                assert_eq!(std::fs::read_to_string(file).unwrap(), "text", "{who:?}: {way}");
            } else {
                let all = format!("optional = {:?}", lacking());
                let rest: Vec<_> =
                    lacking().into_iter().filter(|wall| *wall != "landlock.truncate").collect();
                let output = place.run(
                    *who,
                    &profile("ro").replacen(&all, &format!("optional = {rest:?}"), 1),
                    &["true"],
                );
                assert!(
                    output.status.code() == Some(125)
                        && text(&output.stderr).contains("truncate(2)"),
                    "{who:?}: {}",
                    said(&output)
                );
            }
            std::fs::write(file, "text").unwrap();
            assert_eq!(
                act(&place, *who, &profile("rw"), probe, &[way, file]),
                "ok",
                "{who:?}: {way}, the twin"
            );
            assert_eq!(std::fs::read_to_string(file).unwrap(), "", "{who:?}: {way}, the twin");
            std::fs::write(file, "text").unwrap();
        }
    }
}

#[test]
fn landlock_alone_and_socket_files() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let probe = probe(&place);
        let probe = probe.to_str().unwrap();
        place.folder("closed", As::User);
        let socket = place.path.join("closed/socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let socket = socket.to_str().unwrap();
        let profile = |more: &str| alone(*who, &format!("\"{probe}\" = \"ro\"\n{more}"));
        let granted = profile(&format!("\"{socket}\" = {{ socket = \"{socket}\" }}"));
        assert_eq!(act(&place, *who, &granted, probe, &["connect-unix", socket]), "ok", "{who:?}");
        let output = place.run(*who, &profile(""), &[probe, "connect-unix", socket]);
        let warned = text(&output.stderr).contains("socket file");
        let expected = if abi() >= 9 { ("EACCES", false) } else { ("", true) };
        assert_eq!((text(&output.stdout).trim(), warned), expected, "{who:?}: {}", said(&output));
    }
}

#[test]
fn what_landlock_alone_cannot_say_is_an_error() {
    if !has_landlock() {
        return;
    }
    for who in As::all() {
        let place = Place::new();
        let open = place.folder("open", As::User);
        place.folder("open/below", As::User);
        let open = open.display();
        let entries = [
            format!("\"{open}\" = \"rw\"\n\"{open}/below\" = \"ro\""),
            format!("\"{open}\" = \"rw\"\n\"{open}/below\" = {{ hide = true }}"),
            "\"/tmp\" = \"tmpfs\"".into(),
            "\"/x\" = { text = \"y\" }".into(),
            "\"/x\" = { symlink = \"/usr\" }".into(),
            "\"/x\" = { dir = \"0755\" }".into(),
            "\"/proc\" = { proc = { hidepid = \"invisible\" } }".into(),
            format!("\"{open}\" = {{ bind = \"{open}\", exec = false }}"),
            format!("\"/x\" = {{ bind = \"{open}\" }}"),
            format!("\"{open}\" = {{ bind = \"{open}\", recursive = false }}"),
        ];
        for entry in entries {
            let output = place.run(*who, &alone(*who, &entry), &["true"]);
            let error = text(&output.stderr);
            let told = error.contains("namespaces::mount") || error.contains("landlock::narrower");
            assert!(
                output.status.code() == Some(125) && told,
                "{who:?}: {entry}: {}",
                said(&output)
            );
        }
        // Wider below narrower can be said.
        let output = place.run(
            *who,
            &alone(*who, &format!("\"{open}\" = \"ro\"\n\"{open}/below\" = \"rw\"")),
            &["touch", &format!("{open}/below/f")],
        );
        assert!(output.status.success(), "{who:?}: {}", said(&output));
    }
}

/// The help of an entry that takes a file tree of the sandbox's own is followed, by each caller.
#[test]
fn what_takes_a_tree_of_its_own_says_how_this_caller_has_one() {
    // Below ABI 3 the built-in profile does not start.
    if abi() < 3 {
        return skip("Landlock cannot rule over truncate(2) here");
    }
    let place = Place::new();
    let work = place.folder("work", As::User);
    for (who, line) in
        [(As::Root, "namespaces.mount = \"new\""), (As::User, "namespaces.all = \"new\"")]
    {
        if !As::all().contains(&who) {
            skip("what root is told takes root");
            continue;
        }
        let run = |more: &[&str]| {
            let mut command = place.stockade(who);
            command.args(["run", "--config", "mounts.\"/etc/default\" = \"hide\""]);
            if who == As::Root {
                command.args(["--config", "identity.host = true"]);
            }
            command.args(more.iter().flat_map(|line| ["--config", line]));
            command
                .args(["landlock", "--", "ls", "-A", "/etc/default"])
                .current_dir(&work)
                .output()
                .unwrap()
        };
        let output = run(&[]);
        let err = support::errors(&output);
        assert!(
            output.status.code() == Some(125) && err.contains("E0802") && err.contains(line),
            "{who:?}: {}",
            said(&output)
        );
        let output = run(&[line]);
        assert!(output.status.success() && output.stdout.is_empty(), "{who:?}: {}", said(&output));
    }
    // Where two lines say so, both are named.
    let both = [
        "namespaces.user = \"host\"",
        "namespaces.mount = \"host\"",
        "mounts.\"/etc/default\" = \"hide\"",
    ];
    let mut command = place.stockade(As::User);
    command.arg("check").args(both.iter().flat_map(|line| ["--config", line]));
    let output = command.args(["landlock", "--", "true"]).current_dir(&work).output().unwrap();
    let all = support::unwrapped(&said(&output));
    assert!(all.contains("\"new\" for both namespaces.user and namespaces.mount"), "{all}");
}
