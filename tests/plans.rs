//! What is done and in which order: golden plans of typical profiles, and what holds of the order
//! of every plan.
//!
//! The machine is invented, so the goldens are the same everywhere.
//! `UPDATE=1 cargo test --test all plans::` rewrites them.

pub mod machine;
pub mod order;

use crate::stored::is_read_back;
use crate::support::{Dice, Place, skip};
use order::holds;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use stockade::internals::host::Host;
use stockade::internals::host::caller::Caller;
use stockade::internals::inspect::view::steps;
use stockade::internals::plan::{Plan, plan};
use stockade::internals::policy::mounts::KINDS;
use stockade::internals::profile::{Profile, Request, load};
use stockade::internals::text::source::Sources;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

/// A profile in a place, and the texts that it came from.
fn loaded(place: &Place, name: &str) -> (Profile, Sources) {
    let mut sources = Sources::default();
    // A profile must belong to its reader, so the caller of the loader has this process's id.
    let caller = Caller { uid: nix::unistd::geteuid().as_raw(), ..machine::caller() };
    let profile = place.path.join(name).to_str().unwrap().to_owned();
    let profile = load(&Request { profile, ..Request::default() }, &caller, &mut sources);
    let profile = profile.unwrap_or_else(|problems| panic!("{name}: {}", problems.json(&sources)));
    (profile, sources)
}

fn planned(profile: &Profile, host: &Host, sources: &Sources) -> Plan {
    plan(profile, host).unwrap_or_else(|problems| panic!("{}", problems.json(sources)))
}

// ---- goldens ----

/// As `stockade plan --steps` prints it, with places that do not depend on this run; and what that
/// leaves out.
fn text(plan: &Plan, sources: &Sources, place: &Place) -> String {
    let folder = format!("{}/", place.path.display());
    let mut out = steps::text(plan, sources).replace(&folder, "");
    let candidates: Vec<&str> = plan.exec.candidates.iter().map(|path| path.text()).collect();
    writeln!(out, "\nexecute one of: {}", candidates.join(", ")).unwrap();
    for setting in &plan.exec.env {
        writeln!(out, "set: {} = {}", setting.name, setting.value).unwrap();
    }
    writeln!(out, "watch: {:?}", plan.watch).unwrap();
    let mut stages: Vec<_> = plan.shown().map(|step| step.stage).collect();
    stages.dedup();
    for stage in stages {
        writeln!(out, "walked by {:?}: {stage:?}", plan.actor(stage)).unwrap();
    }
    for note in plan.notes.iter().filter(|note| note.less) {
        writeln!(out, "less: {}", note.text).unwrap();
    }
    out
}

#[test]
fn plans_are_as_the_goldens_have_them() {
    let place = Place::new();
    let mut wrong = vec![];
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.ends_with(".toml"));
    names.sort();
    assert!(names.len() >= 8, "only {} profiles in {:?}", names.len(), folder());
    for name in names {
        place.file(&name, &std::fs::read_to_string(folder().join(&name)).unwrap());
        let (profile, sources) = loaded(&place, &name);
        let plan = planned(&profile, &machine::for_name(&name, &profile), &sources);
        holds(&plan, &name);
        let text = text(&plan, &sources, &place);
        let golden = folder().join(Path::new(&name).with_extension("txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &text).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    if !cfg!(target_arch = "x86_64") {
        return skip("the golden files count the system calls of x86_64");
    }
    assert!(
        wrong.is_empty(),
        "not as the golden files have it; UPDATE=1 rewrites them:\n{}",
        wrong.join("\n")
    );
}

/// A kind of mount has its golden, the steps that it becomes.
#[test]
fn every_kind_of_mount_has_a_golden() {
    let text = std::fs::read_to_string(folder().join("kinds.toml")).unwrap();
    let has = |word: &str| {
        text.lines().filter_map(|line| line.split_once(" = ")).any(|(_, value)| {
            value == format!("\"{word}\"") || value.starts_with(&format!("{{ {word} = "))
        })
    };
    let none: Vec<&str> = KINDS.iter().map(|form| form.word).filter(|word| !has(word)).collect();
    assert!(none.is_empty(), "tests/plans/kinds.toml has no entry of {none:?}");
}

// ---- generated profiles ----

fn shuffle<T>(dice: &mut Dice, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, dice.throw(last + 1));
    }
}

/// Lines of each section; any of them go together, but of those with one key only one is taken.
const LINES: &[(&str, &[&str])] = &[
    (
        "process",
        &[
            "cwd = \"/tmp\"",
            "umask = \"0077\"",
            "nice = 5",
            "timeout = \"1m\"",
            "stdin = \"null\"",
            "oom-score-adj = 100",
            "keyring = \"inherit\"",
        ],
    ),
    (
        "env",
        &["A = \"a\"", "HOME = \"/home/x\"", "TOKEN = true", "LANG = { pass = true, or = \"C\" }"],
    ),
    (
        "identity",
        &[
            "user = 1000",
            "user = \"daemon\"",
            "group = 1000",
            "uid-map = \"auto\"",
            "gid-map = \"auto\"",
        ],
    ),
    (
        "namespaces",
        &[
            "hostname = \"x\"",
            "nested = true",
            "nested = [\"user\", \"net\"]",
            "cgroup = \"host\"",
            "ipc = \"host\"",
            "time-offsets = { monotonic = \"1d\" }",
        ],
    ),
    (
        "rlimits",
        &[
            "nofile = 64",
            "cpu = \"5s\"",
            "stack = { soft = \"8M\", hard = \"unlimited\" }",
            "core = 0",
        ],
    ),
    ("capabilities", &["keep = [\"net-raw\", \"chown\"]", "ambient = [\"kill\"]"]),
    ("network", &["mode = \"host\""]),
    (
        "mounts",
        &[
            "\"/\" = \"tmpfs\"",
            "\"/\" = \"ro\"",
            "\"/\" = { bind = \"/srv/rootfs\" }",
            "\"/usr\" = \"ro\"",
            "\"/usr\" = { bind = \"/usr\", exec = false }",
            "\"/usr/share\" = \"hide\"",
            "\"/usr/local\" = { tmpfs = \"1M\" }",
            "\"/bin\" = \"ro\"",
            "\"/lib64\" = { bind = \"/lib64\", missing = \"skip\" }",
            "\"/absent\" = { bind = \"/absent\", missing = \"skip\" }",
            "\"/etc\" = \"ro\"",
            "\"/etc/passwd\" = { text = \"x:x:0:0::/:/bin/sh\\n\" }",
            "\"/tmp\" = \"tmpfs\"",
            "\"/tmp/a/b\" = { bind = \"/srv/data\" }",
            "\"/tmp/a/b/sub\" = \"hide\"",
            "\"/tmp/a\" = { dir = \"0700\" }",
            "\"/tmp-x\" = { tmpfs = \"1M\", exec = true }",
            "\"/proc\" = \"proc\"",
            "\"/proc\" = { proc = { subset = \"pid\" } }",
            "\"/proc/kallsyms\" = { hide = true, missing = \"skip\" }",
            "\"/sys\" = \"sysfs\"",
            "\"/dev\" = \"dev\"",
            "\"/dev\" = { dev = [\"/dev/fuse\"] }",
            "\"/dev/null\" = \"device\"",
            "\"/dev/shm\" = { tmpfs = \"4M\" }",
            "\"/dev/mqueue\" = \"mqueue\"",
            "\"/dev/dri\" = \"device\"",
            "\"/work\" = { bind = \"/home/ann/work\", access = \"rw\" }",
            "\"/work/.git/hooks\" = \"hide\"",
            "\"/work/.git/hooks\" = { bind = \"/home/ann/work/.git/hooks\" }",
            "\"/work/.env\" = \"hide\"",
            "\"/work/deep/er/secret\" = \"hide\"",
            "\"/work/cache\" = { tmpfs = \"1M\" }",
            "\"/work/cache/x/y\" = { bind = \"/srv/data\", access = \"rw\" }",
            "\"/work/absent\" = { hide = true, missing = \"skip\" }",
            "\"/made\" = { bind = \"/home/ann/work/made\", access = \"rw\", missing = \"create\" }",
            "\"/run/agent\" = { socket = \"/run/agent.sock\" }",
            "\"/run/empty\" = \"dir\"",
            "\"/opt/link\" = { symlink = \"../usr\" }",
            "\"/opt/token\" = { env = \"TOKEN\" }",
            "\"/opt/a/b/c\" = { text = \"c\" }",
            "\"/opt/a\" = { dir = \"0711\" }",
        ],
    ),
];

/// Sections with their lines.
type Sections = Vec<(&'static str, Vec<&'static str>)>;

fn some_sections(dice: &mut Dice) -> Sections {
    let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
    LINES
        .iter()
        .map(|(section, lines)| {
            let mut lines: Vec<&str> =
                lines.iter().copied().filter(|_| dice.throw(2) == 0).collect();
            shuffle(dice, &mut lines);
            let mut seen = BTreeSet::new();
            lines.retain(|line| seen.insert(key(line)));
            (*section, lines)
        })
        .collect()
}

fn profile_text(sections: &Sections) -> String {
    let mut text = "format = 1\n".to_owned();
    for (section, lines) in sections {
        writeln!(text, "[{section}]\n{}", lines.join("\n")).unwrap();
    }
    text
}

/// A profile with a command, and its plan on an invented machine, if it has one.
fn try_plan(place: &Place, sections: &Sections, root: bool) -> (String, Option<Plan>) {
    let text = profile_text(sections).replace("[process]\n", "[process]\ncommand = [\"true\"]\n");
    place.file("generated.toml", &text);
    let (profile, _) = loaded(place, "generated.toml");
    let host = if root { machine::for_root(&profile) } else { machine::for_user(&profile) };
    let plan = plan(&profile, &host).ok();
    if let Some(plan) = &plan {
        is_read_back(plan, &text);
    }
    (text, plan)
}

#[test]
fn the_order_holds_of_generated_profiles_and_is_not_that_of_the_lines() {
    let place = Place::new();
    let mut dice = Dice(0x0dd_ba11);
    let tries = std::env::var("TRIES").map_or(400, |tries| tries.parse().unwrap());
    let mut good = [0, 0];
    for nth in 0..tries {
        let root = nth % 2 == 0;
        let mut sections = some_sections(&mut dice);
        let (text, first) = try_plan(&place, &sections, root);
        if let Some(plan) = &first {
            good[usize::from(root)] += 1;
            holds(plan, &text);
        }
        shuffle(&mut dice, &mut sections);
        sections.iter_mut().for_each(|(_, lines)| shuffle(&mut dice, lines));
        let (shuffled, second) = try_plan(&place, &sections, root);
        let deeds = |plan: &Option<Plan>| {
            let plan = plan.as_ref()?;
            Some(plan.steps.iter().map(|step| (step.stage, step.op.clone())).collect::<Vec<_>>())
        };
        assert_eq!(
            deeds(&first),
            deeds(&second),
            "the order of the lines changes the plan:\n{text}\n{shuffled}"
        );
        let rest = |plan: &Option<Plan>| {
            let Plan { ids, filter, watch, landlock, exec, .. } = plan.clone()?;
            Some((ids, filter, watch, landlock, exec.argv, exec.env))
        };
        assert_eq!(
            rest(&first),
            rest(&second),
            "the order of the lines changes the plan:\n{text}\n{shuffled}"
        );
    }
    assert!(
        good.iter().all(|good| good * 10 > tries),
        "only {good:?} of {tries} profiles are good"
    );
}

#[test]
fn an_entry_below_dev_has_its_mount_point() {
    let place = Place::new();
    for line in [
        "\"/dev/shm\" = { tmpfs = \"4M\" }",
        "\"/dev/pts\" = \"tmpfs\"",
        "\"/dev/null\" = \"device\"",
        "\"/dev/fd\" = { symlink = \"/x\" }",
    ] {
        let (text, plan) = try_plan(
            &place,
            &vec![
                ("process", vec![]),
                ("mounts", vec!["\"/dev\" = { dev = [\"/dev/null\"] }", line]),
            ],
            false,
        );
        holds(&plan.unwrap(), &text);
    }
}

/// What is wrong with one line of `[mounts]`, as codes.
fn refused(place: &Place, line: &str, root: bool) -> Vec<&'static str> {
    place.file(
        "refused.toml",
        &format!("format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n{line}\n"),
    );
    let (profile, _) = loaded(place, "refused.toml");
    let host = if root { machine::for_root(&profile) } else { machine::for_user(&profile) };
    plan(&profile, &host)
        .err()
        .map_or(vec![], |problems| problems.iter().map(|problem| problem.code).collect())
}

#[test]
fn a_grant_is_judged_by_its_place() {
    let place = Place::new();
    assert_eq!(refused(&place, "\"/x\" = { bind = \"/run/user\" }", false), ["mounts::sockets"]);
    assert_eq!(
        refused(&place, "\"/x\" = { bind = \"/var/run/user\" }", false),
        ["mounts::sockets"]
    );
    assert_eq!(
        refused(&place, "\"/x\" = { bind = \"/var/alias/etc\", access = \"rw\" }", false),
        ["mounts::broad"]
    );
}

#[test]
fn groups_are_a_set() {
    let place = Place::new();
    let plan = |groups: &str| {
        place.file(
            "groups.toml",
            &format!(
                "format = 1\n[process]\ncommand = [\"true\"]\n[identity]\ngroups = {groups}\n"
            ),
        );
        let (profile, sources) = loaded(&place, "groups.toml");
        planned(&profile, &machine::for_root(&profile), &sources).ids
    };
    assert_eq!(plan("[27, \"adm\"]"), plan("[4, 27, \"adm\"]"));
}

#[test]
fn a_text_with_nul_is_refused() {
    let place = Place::new();
    for text in [
        "[process]\ncommand = [\"true\"]\narg0 = \"a\\u0000b\"\n",
        "[process]\ncommand = [\"true\"]\n[env]\nX = { pass = true, or = \"a\\u0000b\" }\n",
    ] {
        place.file("nul.toml", &format!("format = 1\n{text}"));
        let (profile, _) = loaded(&place, "nul.toml");
        assert!(plan(&profile, &machine::for_user(&profile)).is_err(), "{text}");
    }
}
