//! What `stockade plan` shows people: goldens at 80 columns, the same for any profile; and the
//! exposure, which no grant lowers.
//!
//! The machine is invented, so the goldens are the same everywhere.
//! `UPDATE=1 cargo test --test all view::` rewrites them.

use crate::plans::machine;
use crate::support::{self, As, Place, text as utf8};
use std::path::{Path, PathBuf};
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::access::Stays;
use stockade::internals::inspect::access::World;
use stockade::internals::inspect::exposure::{COSTS, Exposure, weigh};
use stockade::internals::inspect::view::plan::text;
use stockade::internals::inspect::view::{COLUMNS, Notes, Paint, width};
use stockade::internals::plan::{Plan, plan, settle};
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::source::Sources;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A profile by its path, on an invented machine.
fn planned(path: &str, host: impl Fn(&Profile) -> Host) -> Option<(Profile, Host, Plan, Sources)> {
    let mut sources = Sources::default();
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let profile =
        load(&Request { profile: path.into(), ..Request::default() }, &caller, &mut sources)
            .ok()?;
    let mut host = host(&profile);
    let plan = plan(&profile, &host).ok()?;
    machine::look_closer(&mut host, &profile);
    Some((profile, host, plan, sources))
}

fn shown((profile, host, plan, sources): &(Profile, Host, Plan, Sources), paint: Paint) -> String {
    let settled = settle(profile, host);
    let world = World::new(plan, profile);
    text(profile, (host, &settled), (&world, &Stays::default()), sources, paint, Notes::Short)
}

/// No line is wider than 80 columns, and nothing that a terminal would obey is in it.
fn fits(text: &str, name: &str) {
    for line in text.lines() {
        assert!(width(line) <= COLUMNS, "{name}: {} columns: {line}", width(line));
        assert!(!line.chars().any(char::is_control) && line.trim_end() == line, "{name}: {line:?}");
    }
    let last = text.lines().rev().find(|line| !line.starts_with(' '));
    assert!(last.is_some_and(|line| line.starts_with("not granted: ")), "{name}: {text}");
}

// ---- goldens ----

#[test]
fn plans_for_people_are_as_the_goldens_have_them() {
    let place = Place::new();
    let mut names: Vec<String> = std::fs::read_dir(folder().join("plans"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    let mut wrong = vec![];
    for name in &names {
        place.file(name, &std::fs::read_to_string(folder().join("plans").join(name)).unwrap());
        // The names of the profiles are in the text, so they must not depend on this run.
        let text = support::in_directory(&place.path, || {
            let made = planned(name, |profile| machine::for_name(name, profile))
                .unwrap_or_else(|| panic!("{name} has no plan"));
            shown(&made, Paint::Plain)
        });
        fits(&text, name);
        // An inherited profile has its whole path.
        let text = text.replace(&format!("{}/", place.path.display()), "");
        let golden = folder().join("views").join(Path::new(name).with_extension("txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, text + "\n").unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text.clone() + "\n" {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    assert!(names.len() >= 19, "{names:?}");
    if !cfg!(target_arch = "x86_64") {
        return support::skip("the golden files count the system calls of x86_64");
    }
    assert!(
        wrong.is_empty(),
        "not as the golden files have it; UPDATE=1 rewrites them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn long_wide_and_hostile_names_fit_too() {
    let place = Place::new();
    let (long, wide) = ("x".repeat(200), "日本語".repeat(20));
    let lines = [
        format!("description = \"{}\"", "words and words ".repeat(20)),
        "[process]".into(),
        format!("command = [\"true\", \"{long}\", \"a\\u001b[31mb\\nc\"]"),
        "[env]".into(),
        format!("\"{long}\" = \"x\"\n\"A\\u202eB\" = \"x\""),
        "[mounts]".into(),
        format!("\"/{long}/{long}/{wide}\" = {{ bind = \"/srv/data\", access = \"rw\" }}"),
        format!("\"/{wide}/deep/er\" = {{ symlink = \"{long}\" }}"),
        "\"/a\\u001b]0;x\\u0007/a\\ttab\" = { text = \"x\" }".into(),
        "\"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z\" = \"tmpfs\"".into(),
    ];
    let profile = place.file("long.toml", &format!("format = 1\n{}\n", lines.join("\n")));
    let made = planned(profile.to_str().unwrap(), machine::for_user).expect("the profile is good");
    let text = shown(&made, Paint::Plain);
    fits(&text, "long.toml");
    assert!(text.contains("\\u{1b}") && text.contains("a\\ttab") && text.contains('…'), "{text}");
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let place = Place::new();
    let profile = place.file(
        "p.toml",
        "format = 1\nextends = [\"base\"]\n[process]\ncommand = [\"true\"]\n[mounts]\n\"/work\" = \
         { bind = \"/home/ann/work\", access = \"rw\" }\n",
    );
    let made = planned(profile.to_str().unwrap(), machine::for_user).unwrap();
    let (plain, mut colour) = (shown(&made, Paint::Plain), shown(&made, Paint::Colour));
    assert!(
        colour.contains("\u{1b}[31mrwx\u{1b}[0m"),
        "a writable tree of the host stands out: {colour}"
    );
    while let Some(start) = colour.find('\u{1b}') {
        let end = start + colour[start..].find('m').unwrap();
        colour.replace_range(start..=end, "");
    }
    assert_eq!(plain, colour);
}

// ---- the exposure ----

/// Grants, each of a key of its own, and what each needs to be weighed: a section and a line.
const GRANTS: &[(&str, &str)] = &[
    ("process", "keyring = \"inherit\""),
    ("process", "pass-fds = [5, 6]"),
    ("env", "TOKEN = true"),
    ("env", "EMPTY = true"),
    ("env", "A = \"a\""),
    ("env", "KEY = { file = \"/home/ann/.ssh/id\" }"),
    ("identity", "uid-map = \"auto\""),
    ("landlock", "scope = []"),
    ("namespaces", "nested = true"),
    ("namespaces", "nested = [\"user\", \"pid\", \"net\"]"),
    ("namespaces", "pid = \"host\""),
    ("namespaces", "ipc = \"host\""),
    ("namespaces", "uts = \"host\""),
    ("namespaces", "cgroup = \"host\""),
    ("namespaces", "time = \"host\""),
    ("capabilities", "keep = [\"net-raw\", \"chown\"]"),
    ("capabilities", "ambient = [\"kill\", \"setuid\"]"),
    ("network", "mode = \"host\""),
    ("namespaces", "mount = \"host\""),
    ("landlock", "paths = \"off\""),
    ("seccomp", "allow = [\"ptrace\", \"mount\", \"@debug\"]"),
    ("seccomp", "policy = \"off\""),
    (
        "seccomp",
        "families = [\"AF_UNIX\", \"AF_INET\", \"AF_INET6\", \"AF_NETLINK\", \"AF_VSOCK\"]",
    ),
    ("seccomp", "architectures = [\"x86\"]"),
    ("mounts", "\"/\" = \"ro\""),
    ("mounts", "\"/usr\" = \"ro\""),
    ("mounts", "\"/bin\" = \"ro\""),
    ("mounts", "\"/etc\" = \"ro\""),
    ("mounts", "\"/etc/ssl/certs\" = \"ro\""),
    ("mounts", "\"/opt\" = \"ro\""),
    ("mounts", "\"/home\" = \"ro\""),
    ("mounts", "\"/keys\" = { bind = \"/home/ann/.ssh\" }"),
    ("mounts", "\"/home/ann\" = { bind = \"/home/ann\", access = \"rw\", broad = true }"),
    ("mounts", "\"/home/ann/work\" = { bind = \"/home/ann/work\", access = \"rw\" }"),
    ("mounts", "\"/work\" = { bind = \"/home/ann/work\", access = \"rw\" }"),
    ("mounts", "\"/work/cache\" = { tmpfs = \"1M\", exec = true }"),
    ("mounts", "\"/data\" = { bind = \"/srv/data\" }"),
    ("mounts", "\"/data2\" = { bind = \"/srv/data\", access = \"rw\" }"),
    ("mounts", "\"/data3\" = { bind = \"/srv/data/sub\", access = \"rw\" }"),
    ("mounts", "\"/data4\" = { bind = \"/srv/data\", access = \"rw\" }"),
    ("mounts", "\"/services\" = { bind = \"/srv/services\", sockets = true }"),
    ("mounts", "\"/run/agent\" = { socket = \"/run/agent.sock\" }"),
    (
        "mounts",
        "\"/made\" = { bind = \"/home/ann/work/made\", access = \"rw\", missing = \"create\" }",
    ),
    ("mounts", "\"/tmp\" = { tmpfs = \"1M\", exec = true }"),
    ("mounts", "\"/proc\" = \"proc\""),
    ("mounts", "\"/sys\" = \"sysfs\""),
    ("mounts", "\"/dev\" = { dev = [\"/dev/fuse\"] }"),
    ("mounts", "\"/dev/dri\" = \"device\""),
    ("mounts", "\"/dev/mqueue\" = \"mqueue\""),
    ("mounts", "\"/x/token\" = { env = \"TOKEN\" }"),
];

fn weighed(place: &Place, grants: &[(&str, &str)], root: bool) -> Option<Exposure> {
    let mut text = "format = 1\noptional = [\"landlock\"]\n".to_owned();
    for section in [
        "process",
        "env",
        "identity",
        "namespaces",
        "capabilities",
        "network",
        "landlock",
        "seccomp",
        "mounts",
    ] {
        let lines: Vec<&str> =
            grants.iter().filter(|(of, _)| *of == section).map(|(_, line)| *line).collect();
        let command = if section == "process" { "command = [\"true\"]\n" } else { "" };
        text += &format!("[{section}]\n{command}{}\n", lines.join("\n"));
    }
    let path = place.file("weighed.toml", &text);
    let host = |profile: &Profile| {
        if root { machine::for_root(profile) } else { machine::for_user(profile) }
    };
    let (profile, host, plan, _) = planned(path.to_str().unwrap(), host)?;
    Some(weigh(&profile, &host, &settle(&profile, &host), &World::new(&plan, &profile)))
}

/// Sandboxes from the strictest to the one that keeps least, each with the reason for its place,
/// and within which bounds it lies.
const IN_ORDER: &[(&str, &str, u32, u32, &str)] = &[
    ("nothing", "", 0, 5, "no file, no program, no network"),
    (
        "a program",
        "programs = [\"/usr/bin/tool\"]",
        0,
        5,
        "three files of the system, which everybody has",
    ),
    (
        "the system",
        "extends = [\"base\"]",
        1,
        9,
        "what everybody on the machine reads: it tells what runs there",
    ),
    (
        "a project to read",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann/work\" = \"ro\"",
        2,
        15,
        "one directory of the user's; nothing can be sent",
    ),
    (
        "a project to write",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann/work\" = \"rw\"\n\"/home/ann/work/.git\" = \
         \"ro\"",
        5,
        20,
        "its files change, and somebody starts them on purpose",
    ),
    (
        "a project whose .git is a link, both kept",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann/linked\" = \"rw\"\n\"/home/ann/linked/.git\" \
         = \"ro\"",
        5,
        20,
        "the link stays, and what it leads to is read-only: no more than a plain .git",
    ),
    (
        "the network",
        "extends = [\"base\"]\n[network]\nmode = \"host\"",
        25,
        35,
        "services on the loopback, and a way to send what is read",
    ),
    (
        "all but the home",
        "[mounts]\n\"/\" = \"ro\"\n\"${HOME}\" = \"hide\"",
        30,
        45,
        "settings and data of services, and of other users where modes let them be read",
    ),
    (
        "a project and the network",
        "extends = [\"base\"]\n[network]\nmode = \"host\"\n[mounts]\n\"/home/ann/work\" = \
         \"rw\"\n\"/home/ann/work/.git\" = \"ro\"",
        30,
        45,
        "the project can be sent away, and the loopback's services act",
    ),
    (
        "a writable .git",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann/work\" = \"rw\"",
        35,
        55,
        "the next `git status` runs what the target wrote, as the user, outside",
    ),
    (
        "a home without its keys",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann\" = \"ro\"\n\"/home/ann/.ssh\" = \"hide\"",
        60,
        75,
        "histories, mail and tokens in places that no list knows",
    ),
    (
        "the keys",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann/.ssh\" = \"ro\"",
        80,
        89,
        "the target is the user on every machine that takes the key",
    ),
    (
        "the whole host to read",
        "[mounts]\n\"/\" = \"ro\"",
        85,
        95,
        "the keys, and all else that the user reads",
    ),
    (
        "a home to write",
        "extends = [\"base\"]\n[mounts]\n\"/home/ann\" = \
         { bind = \"/home/ann\", access = \"rw\", broad = true }",
        100,
        100,
        "the keys are read, and the next shell runs what the target wrote",
    ),
];

#[test]
fn the_exposure_puts_sandboxes_in_the_order_of_what_they_keep() {
    let place = Place::new();
    let mut last = (0, "");
    for (name, text, least, most, reason) in IN_ORDER {
        let section =
            if text.starts_with('[') { 0 } else { text.find("\n[").unwrap_or(text.len()) };
        let (top, rest) = text.split_at(section);
        let path = place.file(
            "one.toml",
            &format!("format = 1\n{top}\n[process]\ncommand = [\"/usr/bin/tool\"]\n{rest}\n"),
        );
        let made = planned(path.to_str().unwrap(), machine::for_user)
            .unwrap_or_else(|| panic!("{name} has no plan"));
        let exposure =
            weigh(&made.0, &made.1, &settle(&made.0, &made.1), &World::new(&made.2, &made.0));
        assert!(
            (*least..=*most).contains(&exposure.tenths),
            "{name} ({reason}): {:#?}",
            exposure.points
        );
        assert!(
            last.0 <= exposure.tenths,
            "{name} ({reason}) is below {}: {:#?}",
            last.1,
            exposure.points
        );
        last = (exposure.tenths, name);
    }
}

/// docs/exposure.md has the table as the program has it; `UPDATE=1` writes it anew.
#[test]
fn the_page_has_every_cost() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/exposure.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once("| grant |").expect("the page has a table");
    let tenths = |tenths: u32| format!("{}.{}", tenths / 10, tenths % 10);
    let rows = COSTS.iter().map(|cost| {
        format!(
            "| `{}` | {} | {} | {} |\n",
            cost.name,
            tenths(cost.each),
            tenths(cost.most),
            cost.reason
        )
    });
    let table: String = ["| grant | each | at most | why |\n|---|---|---|---|\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect();
    let whole = format!("{head}{table}");
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(page, whole, "UPDATE=1 cargo test --test all view:: writes it");
}

#[test]
fn one_grant_more_never_lowers_the_exposure() {
    let place = Place::new();
    let mut dice = 0x0dd_ba11_u64;
    let mut throw = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let (mut compared, mut raised) = (0, 0);
    for nth in 0..60 {
        let root = nth % 2 == 0;
        let some: Vec<(&str, &str)> = GRANTS.iter().copied().filter(|_| throw(4) == 0).collect();
        let Some(before) = weighed(&place, &some, root) else { continue };
        assert_eq!(
            before.tenths,
            before.points.iter().map(|point| point.tenths).sum::<u32>().min(100),
            "{some:?}"
        );
        for grant in GRANTS.iter().filter(|grant| !some.contains(grant)) {
            let more: Vec<(&str, &str)> = some.iter().chain([grant]).copied().collect();
            let Some(after) = weighed(&place, &more, root) else { continue };
            compared += 1;
            raised += usize::from(after.tenths > before.tenths);
            assert!(
                after.tenths >= before.tenths,
                "{grant:?} over {some:?}: {} to {}\n{:?}\n{:?}",
                before.tenths,
                after.tenths,
                before.points,
                after.points
            );
        }
    }
    assert!(compared > 500 && raised * 4 > compared, "{compared} compared, {raised} raised");
}

#[test]
fn each_cost_is_met_and_the_ends_of_the_scale_are_reached() {
    let place = Place::new();
    let nothing = weighed(&place, &[], true).unwrap();
    assert_eq!((nothing.tenths, nothing.word()), (0, "very small"), "{:?}", nothing.points);
    let mut met: Vec<&str> = vec![];
    for grant in GRANTS {
        for root in [true, false] {
            met.extend(
                weighed(&place, &[*grant], root)
                    .iter()
                    .flat_map(|exposure| &exposure.points)
                    .map(|point| point.cost.name),
            );
        }
    }
    let host = [
        ("identity", "host = true"),
        ("identity", "user = 0"),
        ("namespaces", "user = \"host\""),
        ("capabilities", "keep = [\"chown\"]"),
    ];
    let host = weighed(&place, &host, true).unwrap();
    met.extend(host.points.iter().map(|point| point.cost.name));
    let tree = [("namespaces", "mount = \"host\""), ("landlock", "paths = \"off\"")];
    met.extend(weighed(&place, &tree, false).unwrap().points.iter().map(|point| point.cost.name));
    met.extend(
        weighed(&place, &[("network", "mode = { join = \"/run/netns/x\" }")], true)
            .unwrap()
            .points
            .iter()
            .map(|point| point.cost.name),
    );
    // These two hang on the machine: a terminal, and a kernel without Landlock.
    met.extend(["terminal", "no-landlock"]);
    if !cfg!(target_arch = "x86_64") {
        // Only x86_64 has calls of another architecture to grant.
        met.push("architecture");
    }
    let unmet: Vec<&str> =
        COSTS.iter().map(|cost| cost.name).filter(|name| !met.contains(name)).collect();
    assert!(unmet.is_empty(), "no profile pays for {unmet:?}");
    let all = [
        ("namespaces", "mount = \"host\""),
        ("landlock", "paths = \"off\""),
        ("namespaces", "pid = \"host\""),
        ("namespaces", "user = \"host\""),
        ("network", "mode = \"host\""),
        ("identity", "host = true"),
        ("identity", "user = 0"),
        ("capabilities", "keep = [\"chown\", \"kill\"]"),
    ];
    assert_eq!(weighed(&place, &all, true).unwrap().tenths, 100);
}

/// To make and to remove changes a tree of the host, whether files in it can be written to or not.
#[test]
fn a_tree_where_files_can_be_made_is_marked_as_writable() {
    if crate::support::landlock_abi() == 0 {
        return support::skip("the kernel has no Landlock");
    }
    let place = Place::new();
    let work = place.folder("work", As::User);
    let marks = |rights: &str| {
        let profile = format!(
            "{}[landlock]\npaths = {{ \"/usr\" = \"rx\", \"/work\" = {rights} }}\n",
            support::system(&format!(
                "\"/work\" = {{ bind = \"{}\", access = \"rw\" }}",
                work.display()
            ))
        );
        let path = place.file("marks.toml", &profile);
        let output = place
            .stockade(As::User)
            .args(["plan", "--format", "json"])
            .arg(path)
            .arg("true")
            .output()
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", utf8(&output.stderr)));
        let entry = json["tree"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["path"] == "/work")
            .unwrap()
            .clone();
        entry["access"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        [
            marks("[\"r\", \"make\"]"),
            marks("[\"r\", \"remove\"]"),
            marks("[\"r\", \"w\"]"),
            marks("\"rx\"")
        ]
        .map(|marks| marks.contains('w')),
        [true, true, true, false]
    );
}

// ---- the command ----

#[test]
fn the_command_shows_it_and_the_steps_and_both_as_json() {
    let place = Place::new();
    let who = As::all()[0];
    let plan = |flags: &[&str]| {
        let output =
            place.stockade(who).arg("plan").args(flags).args(["base", "true"]).output().unwrap();
        assert!(output.status.success(), "{}", utf8(&output.stderr));
        utf8(&output.stdout)
    };
    let people = plan(&[]);
    fits(people.trim_end(), "base");
    assert!(!people.contains('\u{1b}') && people.contains("\nexposure  "), "{people}");
    assert!(plan(&["--steps"]).contains("pivot to the new root"));
    let json: serde_json::Value = serde_json::from_str(&plan(&["--format", "json"])).unwrap();
    let usr =
        json["tree"].as_array().unwrap().iter().find(|entry| entry["path"] == "/usr").unwrap();
    assert_eq!(
        (&usr["shows"], &usr["access"], &usr["source"]),
        (&"bind".into(), &"r-x".into(), &"/usr".into())
    );
    assert_eq!(usr["at"]["file"], "<base>");
    assert!(
        json["exposure"]["tenths"].is_number()
            && json["exposure"]["points"][0]["reason"].is_string(),
        "{json}"
    );
    assert!(
        json["protections"].as_array().unwrap().len() > 5
            && json["steps"].is_array()
            && json["not_granted"].is_string()
    );
}
