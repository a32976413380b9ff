//! Codes, their texts and the program stay in step: each code that the source uses is explained,
//! each example does what it says.

use crate::plans::machine;
use crate::support::{As, Place, text};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use stockade::internals::host::bounds::Bounds;
use stockade::internals::host::caller::Caller;
use stockade::internals::host::joined::{Behind, Joined, Joins, UserNamespace};
use stockade::internals::host::privileged::{Given, Look, Power, Privileged, Useless};
use stockade::internals::host::programs::Lack;
use stockade::internals::host::streams::{Owner, Socket, Stream};
use stockade::internals::host::{Fact, File, Host};
use stockade::internals::inspect::lint::lint;
use stockade::internals::kernel::namespace::Kind;
use stockade::internals::plan::{plan, settle};
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::explain::{Explanation, all};
use stockade::internals::text::problem::{Problem, Problems, Severity};
use stockade::internals::text::source::Sources;

// ---- the table and the source ----

/// Every string of the source that has the form of a code.
fn codes_of_source() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                found.extend(source.split('"').filter(|piece| is_code(piece)).map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    // Words of unit tests: a code of their own, and an address.
    found.retain(|code| code != "t::x" && code != "connect::80");
    found
}

fn is_code(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.split_once("::").is_some_and(|(domain, name)| word(domain) && word(name))
}

#[test]
fn every_code_is_explained_and_every_explanation_has_its_code() {
    let used = codes_of_source();
    let explained: BTreeSet<String> = all().map(|one| one.code.to_owned()).collect();
    assert!(used.len() > 90, "{used:?}");
    assert_eq!(
        used.difference(&explained).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "without an explanation in src/explain"
    );
    assert_eq!(
        explained.difference(&used).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "explained, and used nowhere"
    );
}

#[test]
fn numbers_are_unique_and_texts_are_short() {
    let mut numbers = BTreeSet::new();
    for Explanation { number, code, why, bad, good } in all() {
        let digits = number.strip_prefix(['E', 'W']).unwrap_or_else(|| panic!("{number}"));
        assert!(
            digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()),
            "{number}"
        );
        assert!(numbers.insert(number), "{number} is twice there");
        assert!(all().filter(|one| one.code == code).count() == 1, "{code} is twice there");
        let sentences = why.matches(['.', ':']).count();
        assert!(
            (24..700).contains(&why.len()) && why.ends_with('.') && sentences < 12,
            "{code}: {why}"
        );
        assert!(
            !bad.text.trim().is_empty() && !good.trim().is_empty() && bad.text != good
                || bad.on.is_some(),
            "{code}"
        );
        assert!(
            bad.text.lines().chain(good.lines()).all(|line| line.chars().count() <= 76),
            "{code}: an example is wider than a page"
        );
    }
}

// ---- the examples ----

/// An example taken apart: the files, and the command lines.
struct Example {
    files: Vec<(String, String)>,
    lines: Vec<String>,
}

fn taken_apart(text: &str) -> Example {
    let (mut files, mut lines) = (vec![("p.toml".to_owned(), String::new())], vec![]);
    for line in text.lines() {
        match (
            line.strip_prefix("$ "),
            line.strip_prefix("# ").filter(|name| name.ends_with(".toml") && !name.contains(' ')),
        ) {
            (Some(command), _) => lines.push(command.to_owned()),
            (_, Some("p.toml")) => {}
            (_, Some(name)) => files.push((name.to_owned(), String::new())),
            _ => files.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    for (_, text) in &mut files {
        if !text.contains("format = ") {
            text.insert_str(0, "format = 1\n");
        }
    }
    Example { files, lines }
}

/// What an example asks for: that of its command line, or the profile with a command behind it.
fn request(lines: &[String], profile: String, has_command: bool) -> Request {
    let Some(line) = lines.first() else {
        let args = if has_command { vec![] } else { vec!["true".into()] };
        return Request { profile, args, ..Request::default() };
    };
    let mut words = line.split_whitespace().skip(2);
    let mut request = Request::default();
    while let Some(word) = words.next() {
        match word {
            "--set" => request.params.extend(
                words
                    .next()
                    .unwrap()
                    .split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            _ => {
                request.profile =
                    if word.ends_with(".toml") { profile.clone() } else { word.to_owned() };
                request.args = words.by_ref().map(str::to_owned).collect();
            }
        }
    }
    request
}

/// The machine that an example is about.
fn machine(on: Option<&str>, profile: &Profile) -> Host {
    let lacking = |lack: Lack| {
        let mut host = machine::for_user(profile);
        host.programs.iter_mut().for_each(|program| {
            (program.pieces, program.lacks) = (Default::default(), vec![lack.clone()])
        });
        host
    };
    let path = || "/usr/bin/sh".to_owned();
    match on {
        None => {
            let mut host = machine::for_user(profile);
            if profile.mounts.get("/usr").is_some() {
                host.programs.iter_mut().for_each(|program| program.pieces.clear());
            }
            host
        }
        Some("where the machine is no x86_64") => machine::for_user(profile),
        Some("on Linux 5.10") => machine::for_name("old-", profile),
        Some("on Linux 6.1") => machine::for_name("older-", profile),
        Some("without Landlock") => machine::for_name("bare-", profile),
        Some("started by root") => machine::for_root(profile),
        Some("started by root where /srv/roots/tool is set-user-id") => {
            let found = vec![Privileged { path: "/srv/roots/tool".into(), power: Power::User }];
            let look = Look { top: "/srv/roots".into(), found, count: 1, names: 1, stop: None };
            Host {
                privileged: [("/opt/x".to_owned(), look)].into_iter().collect(),
                ..machine::for_root(profile)
            }
        }
        Some("started by root where the source is on nfs") => {
            let mut host = machine::for_root(profile);
            for fact in host.paths.values_mut() {
                if let stockade::internals::host::Fact::Present(file) = fact {
                    file.fs = 0x6969;
                }
            }
            host
        }
        Some("where the file has two names") => {
            let mut host = machine::for_user(profile);
            for fact in host.paths.values_mut() {
                if let stockade::internals::host::Fact::Present(file) = fact {
                    file.names = 2;
                }
            }
            host
        }
        Some("started by root where a user has the id 1879116064") => {
            let mut host = machine::for_root(profile);
            host.taken.push((1_879_116_064, 1));
            host
        }
        Some("where /etc/subuid has no line for the user") => {
            Host { subuid: vec![], ..machine::for_user(profile) }
        }
        Some("where the caller has the usual limits") => {
            Host { bounds: Some(Bounds::default()), ..machine::for_user(profile) }
        }
        Some("where root made the namespace") => {
            let chain = vec![UserNamespace { inode: 1, owner: Some(0) }];
            let (kind, owner_file) = (Some(Kind::Ipc), None);
            let behind = Behind { kind, chain, owner_file, groups_denied: false };
            Host {
                joined: [("/proc/1/ns/ipc".to_owned(), Joined::Behind(behind))].into(),
                joins: Joins { inode: 1, is_admin: false },
                ..machine::for_user(profile)
            }
        }
        Some("where /srv/nowhere is absent") => Host {
            ruled: [("/srv/nowhere".to_owned(), Err(libc::ENOENT))].into_iter().collect(),
            ..machine::for_user(profile)
        },
        Some("where another user has made /tmp/stockade-UID") => {
            let mut host = machine::for_user(profile);
            host.caller.runtime_dir = None;
            Host { foreign_registry: true, ..host }
        }
        Some("started by root where the file has mode 0600") => {
            let mut host = machine::for_root(profile);
            let Fact::Present(file) = machine::fact("/root/key") else { panic!("no key") };
            let file = File { mode: 0o600, ..file };
            host.paths.insert("/root/key".into(), Fact::Present(file));
            host
        }
        Some("where other users may enter ~/.local/state/stockade") => {
            let mut host = machine::for_user(profile);
            host.paths.insert(host.caller.states(), machine::fact("/srv/data"));
            host
        }
        Some("where descriptor 5 is a UDP socket") => {
            Host { passed: [(5, Stream::Socket(Socket::Udp))].into(), ..machine::for_user(profile) }
        }
        Some("where standard input is a file of the caller's") => {
            let owner = Owner::User { uid: machine::caller().uid, mode: 0o600 };
            Host {
                streams: [
                    Stream::File { read: true, write: false, owner },
                    Stream::Other,
                    Stream::Other,
                ],
                ..machine::for_user(profile)
            }
        }
        Some("where nothing opens the terminal") => {
            let streams = [Stream::Other, Stream::Terminal { read: true }, Stream::Other];
            Host { streams, anew: [(1, Err(libc::EACCES))].into(), ..machine::for_user(profile) }
        }
        Some("where standard input is a directory") => Host {
            streams: [Stream::Directory, Stream::Other, Stream::Other],
            ..machine::for_user(profile)
        },
        Some("where its file is set-user-id") => machine::for_user(profile),
        Some("where its mode is 0644") => {
            lacking(Lack::NotExecutable { path: path(), mount: false })
        }
        Some("where the file is a text without #!") => lacking(Lack::NoProgram(path())),
        Some("where the file is built for arm") => {
            lacking(Lack::Machine { path: path(), machine: "arm" })
        }
        Some("where its mode is 0711") => {
            lacking(Lack::Unreadable { path: path(), errno: libc::EACCES })
        }
        Some("where its first line is #!/no/such") => {
            lacking(Lack::Interpreter { path: "/no/such".into(), of: path(), errno: libc::ENOENT })
        }
        Some("where a library is not installed") => {
            lacking(Lack::Library { name: "libx.so.1".into(), of: path() })
        }
        Some("where another user's link leads to it") => {
            lacking(Lack::Foreign { path: path(), by: "/tmp/link".into() })
        }
        Some("where its script leads to scripts without end") => lacking(Lack::TooMany(path())),
        Some(other) => panic!("no machine for an example \"{other}\""),
    }
}

/// What `check` says of an example on the invented machine.
fn said(place: &Place, text: &str, on: Option<&str>) -> Vec<Problem> {
    let Example { files, lines } = taken_apart(text);
    for (name, text) in &files {
        place.file(name, text);
    }
    let installed = place.folder("etc", As::all()[0]);
    let mut on = on;
    if on == Some("where /etc/stockade has a base.toml of its own") {
        place.file("etc/base.toml", "format = 1\n");
        on = None;
    }
    let caller = Caller {
        uid: nix::unistd::geteuid().as_raw(),
        system_profiles: installed.display().to_string(),
        ..machine::caller()
    };
    let request = request(
        &lines,
        place.path.join("p.toml").display().to_string(),
        text.contains("command = "),
    );
    let mut sources = Sources::default();
    let profile = match load(&request, &caller, &mut sources) {
        Ok(profile) => profile,
        Err(problems) => return problems.into_iter().collect(),
    };
    let mut host = machine(on, &profile);
    let mut found: Problems = plan(&profile, &host).err().unwrap_or_default();
    let settled = settle(&profile, &host);
    host.look_inside(&profile, &settled);
    if let (Some("where its file is set-user-id"), Some(inside)) = (on, &mut host.inside) {
        let at = profile.process.command.at();
        inside.useless.push(Useless { at, path: "/usr/bin/sh".into(), given: Given::User });
    }
    machine::look_closer(&mut host, &profile);
    found.extend(lint(&profile, &host, &settled));
    found.into_iter().collect()
}

/// Most examples do not show their command, and what the invented machine's programs need is not on
/// this one.
fn matters(problem: &Problem, of: &Explanation) -> bool {
    problem.code == of.code
        || !["process::unseen-program", "mounts::dangling"].contains(&problem.code)
}

#[test]
fn bad_examples_are_bad_and_good_ones_are_good() {
    let wrong: Vec<String> = all()
        .filter_map(|one| {
            bad_is_bad(&one)
                .or_else(|| good_is_good(&one))
                .map(|why| format!("{}: {why}", one.code))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Why the bad example is not one, if it is not.
fn bad_is_bad(one: &Explanation) -> Option<String> {
    match one.bad.on {
        // Only a launch fails so; other tests make it fail.
        Some("while it runs") => {
            (!one.code.starts_with("launch::")).then(|| "it can be shown before it runs".into())
        }
        Some("where the machine is no x86_64") if cfg!(target_arch = "x86_64") => None,
        Some("on the command line") => {
            let said = on_the_command_line(one.bad.text);
            (!said.contains(&format!("{} [{}]", one.code, one.number))).then_some(said)
        }
        on => {
            let found = said(&Place::new(), one.bad.text, on);
            let severity =
                if one.number.starts_with('W') { Severity::Warning } else { Severity::Error };
            let same = found
                .iter()
                .any(|problem| problem.code == one.code && problem.severity() == severity);
            (!same).then(|| format!("the bad example gives {found:?}"))
        }
    }
}

fn good_is_good(one: &Explanation) -> Option<String> {
    let example = taken_apart(one.good);
    let commands: Vec<&String> = example
        .lines
        .iter()
        .filter(|line| line.starts_with("stockade check") || line.starts_with("stockade explain"))
        .collect();
    match (example.lines.first(), commands.is_empty()) {
        (Some(_), false) => {
            let said = on_the_command_line(one.good);
            said.contains('×').then_some(said)
        }
        // What is run is not checked here.
        (Some(line), true) if !line.contains(" p.toml") || one.number == "E0001" => None,
        _ => {
            let found: Vec<Problem> = said(&Place::new(), one.good, None)
                .into_iter()
                .filter(|problem| matters(problem, one))
                .collect();
            (!found.is_empty()).then(|| format!("the good example gives {found:?}"))
        }
    }
}

/// What a shell says of the command lines of an example, with the real program on its PATH.
fn on_the_command_line(example: &str) -> String {
    let place = Place::new();
    place.file("p.toml", "format = 1\n");
    let lines = taken_apart(example).lines;
    assert!(!lines.is_empty(), "{example}");
    let path = format!("{}:/usr/bin:/bin", place.path.display());
    let output = Command::new("/bin/sh")
        .args(["-c", &lines.join("\n")])
        .current_dir(&place.path)
        .env_clear()
        .env("PATH", path)
        // Where an ordinary user's named sandboxes are.
        .env("XDG_RUNTIME_DIR", place.folder("run", As::all()[0]))
        .output()
        .unwrap();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

// ---- the program ----

#[test]
fn a_code_is_explained_by_either_name_on_one_page() {
    let place = Place::new();
    let explain = |words: &[&str]| {
        let output = place.stockade(As::all()[0]).arg("explain").args(words).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (status, by_words) = explain(&["mounts::broad"]);
    assert_eq!((status, &by_words), (Some(0), &explain(&["E0301"]).1));
    assert!(
        by_words.starts_with("E0301 mounts::broad\n\n")
            && by_words.contains("\nBad:\n\n    [mounts]\n")
            && by_words.contains("\nGood:\n\n")
    );
    let (status, listed) = explain(&[]);
    assert_eq!((status, listed.lines().count()), (Some(0), all().count()));
    for one in all() {
        let (_, page) = explain(&[one.number]);
        assert!(
            page.lines().all(|line| line.chars().count() <= 80) && !page.contains('\x1b'),
            "{page}"
        );
    }
    // A key of an entry, with the word for the entry's name and without.
    for key in ["mounts.PATH.upper", "mounts.upper", "upper"] {
        let (status, page) = explain(&[key]);
        assert!(status == Some(0) && page.starts_with("mounts.PATH.upper\n"), "{page}");
    }
    // A word of a value, with the codes that speak of it.
    let (status, page) = explain(&["overlay"]);
    let means = "mounts.PATH = \"overlay\"\n  What the host has at the same path, writable";
    assert!(status == Some(0) && page.starts_with(means) && page.contains("\nE0323"), "{page}");
    let (status, page) = explain(&["none"]);
    assert!(status == Some(0) && page.contains("network.mode = \"none\"\n  "), "{page}");
    let (status, refused) = explain(&["mounts::brod"]);
    assert!(
        status == Some(125)
            && refused.contains("cannot explain `mounts::brod`")
            && refused.contains("did you mean `mounts::broad`?"),
        "{refused}"
    );
    let (_, json) = explain(&["--format", "json", "W0306"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["code"], "mounts::run-later");
}
