//! What is done and in which order: golden plans of typical profiles, and what holds of the order of every plan.
//!
//! The machine is invented, so the goldens are the same everywhere. `UPDATE=1 cargo test --test plans` rewrites them.

#[path = "plans/machine.rs"]
mod machine;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use stockade::host::Host;
use stockade::plan::{ORDER, Plan, plan};
use stockade::policy::namespaces::Kind;
use stockade::profile::{Caller, Profile, Request, load};
use stockade::source::Sources;
use stockade::step::{Ground, Op, Stage, Step};
use stockade::value::{ancestors, below, parent};
use support::Place;

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

/// As `stockade plan` prints it, with places that do not depend on this run.
fn text(plan: &Plan, sources: &Sources, place: &Place) -> String {
    let folder = format!("{}/", place.path.display());
    let at = |at| sources.place(at).map_or(String::new(), |place| place.to_string().replace(&folder, ""));
    let mut out = format!("namespaces: {}\n", plan.new.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" "));
    if let Some(maps) = &plan.ids.maps {
        let words = |extents: &[stockade::policy::identity::Extent]| extents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        writeln!(out, "users: {}\ngroups: {}", words(&maps.uid), words(&maps.gid)).unwrap();
    }
    let mut stage = None;
    for step in &plan.steps {
        if stage != Some(step.stage) {
            stage = Some(step.stage);
            writeln!(out, "\n{:?} ({:?})", step.stage, plan.actor(step.stage)).unwrap();
        }
        writeln!(out, "{}", format!("  {:<80} {}", step.op.to_string(), at(step.at)).trim_end()).unwrap();
    }
    let argv: Vec<&str> = plan.exec.argv.iter().map(|word| word.text()).collect();
    let candidates: Vec<&str> = plan.exec.candidates.iter().map(|path| path.text()).collect();
    writeln!(out, "\nexecute: {} (of {})", argv.join(" "), candidates.join(", ")).unwrap();
    for setting in &plan.exec.env {
        writeln!(out, "environment: {} = {}", setting.name, setting.value).unwrap();
    }
    writeln!(out, "watch: {:?}", plan.watch).unwrap();
    for note in &plan.notes {
        writeln!(out, "{}: {}{}", if note.less { "less" } else { "note" }, note.text, format!("  {}", at(note.at)).trim_end()).unwrap();
    }
    out
}

#[test]
fn plans_are_as_the_goldens_have_them() {
    let place = Place::new();
    let mut wrong = vec![];
    let mut names: Vec<String> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
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
    assert!(wrong.is_empty(), "not as the golden files have it; UPDATE=1 rewrites them:\n{}", wrong.join("\n"));
}

// ---- what holds of every plan ----

/// What a step of the world does to a path inside.
enum Deed<'a> {
    /// It makes a name.
    Makes(&'a str),
    /// It puts a mount over a name.
    Mounts(&'a str, Ground),
    /// It covers what is there.
    Masks(&'a str),
    Pins(&'a str),
    Seals(&'a str),
    Other,
}

fn deed(op: &Op) -> Deed<'_> {
    match op {
        Op::Dir { path, .. } | Op::Symlink { path, .. } | Op::File { path, .. } | Op::MountPoint { path } => Deed::Makes(path.text()),
        Op::Tmpfs { path, ground, .. } | Op::Proc { path, ground, .. } | Op::Mqueue { path, ground } | Op::Sysfs { path, ground } => {
            Deed::Mounts(path.text(), *ground)
        }
        Op::Attach { path, ground, .. } => Deed::Mounts(path.text(), *ground),
        Op::Devpts { path } => Deed::Mounts(path.text(), Ground::Own),
        Op::ReadOnly { path, .. } | Op::Hide { path, .. } | Op::CoverFile { path, .. } => Deed::Masks(path.text()),
        Op::Pin { path } => Deed::Pins(path.text()),
        Op::Seal { path, .. } => Deed::Seals(path.text()),
        Op::SealRoot => Deed::Seals("/"),
        _ => Deed::Other,
    }
}

/// Every property of the order.
fn holds(plan: &Plan, name: &str) {
    stages(plan, name);
    world(plan, name);
    pins(plan, name);
    sources(plan, name);
}

fn stages(plan: &Plan, name: &str) {
    let steps = &plan.steps;
    assert!(steps.windows(2).all(|pair| pair[0].stage <= pair[1].stage), "{name}: the stages are out of order");
    assert!(ORDER.windows(2).all(|pair| pair[0].0 < pair[1].0), "the table is out of order");
    let place = |op: &Op| {
        let mut found = steps.iter().enumerate().filter(|(_, step)| step.op == *op).map(|(place, _)| place);
        (found.next(), found.next())
    };
    let last = steps.len() - 1;
    assert_eq!(place(&Op::Filter), (Some(last), None), "{name}: seccomp is not last");
    let landlock = if plan.landlock.is_some() { Some(last - 1) } else { None };
    assert_eq!(place(&Op::RestrictSelf { audit: false }), (landlock, None), "{name}: Landlock is not just before seccomp");
    let (Some(pivot), None) = place(&Op::Pivot) else { panic!("{name}: not one pivot") };
    let (Some(no_new_privs), None) = place(&Op::NoNewPrivs) else { panic!("{name}: not one no_new_privs") };
    assert!(pivot < no_new_privs, "{name}");
    for (step, nth) in steps.iter().zip(0..) {
        match step.stage {
            Stage::Join | Stage::Sources | Stage::Enter | Stage::Ids | Stage::World => assert!(nth < pivot, "{name}: {} after the pivot", step.op),
            Stage::Pivot => {}
            _ => assert!(nth > pivot, "{name}: {} before the pivot", step.op),
        }
    }
    let read_back = steps.iter().position(|step| matches!(step.op, Op::ReadBack { .. })).unwrap();
    assert!(no_new_privs < read_back, "{name}: what is set is read back before it is set");
}

fn world(plan: &Plan, name: &str) {
    // Names that are there, and mounts, in the order of the steps. The root is a mount.
    let (mut made, mut mounted): (BTreeSet<&str>, BTreeSet<&str>) = (BTreeSet::new(), BTreeSet::from(["/"]));
    let (mut sealed, mut root, mut private) = (false, false, plan.new.contains(&Kind::User));
    for Step { op, .. } in plan.steps.iter().filter(|step| step.stage == Stage::World) {
        assert!(!sealed || matches!(op, Op::Seal { .. } | Op::SealRoot), "{name}: {op} after a seal");
        private |= *op == Op::PrivateMounts;
        if matches!(op, Op::Root { .. }) {
            assert!(private && !root, "{name}: the root");
            root = true;
        }
        let deed = deed(op);
        assert!(root || matches!(deed, Deed::Other), "{name}: {op} before the root");
        match deed {
            Deed::Makes(path) => {
                assert!(made.insert(path), "{name}: {op} twice");
                let folder = parent(path);
                assert!(made.contains(folder) || mounted.contains(folder), "{name}: {op}, and {folder} is not there");
                nothing_covers_it_later(plan, op, path, name);
            }
            Deed::Mounts(path, ground) => {
                assert!(ground == Ground::Bound || made.contains(path), "{name}: {op}, and there is no mount point");
                assert!(mounted.insert(path), "{name}: {op} over another mount");
                nothing_covers_it_later(plan, op, path, name);
            }
            Deed::Masks(path) | Deed::Pins(path) => nothing_covers_it_later(plan, op, path, name),
            Deed::Seals(path) => {
                assert!(mounted.contains(path), "{name}: {op}, which is no mount");
                sealed = true;
            }
            Deed::Other => {}
        }
    }
}

/// A mount or a pin on a folder above hides what was done below it before.
fn nothing_covers_it_later(plan: &Plan, op: &Op, path: &str, name: &str) {
    let after = plan.steps.iter().skip_while(|step| step.op != *op).skip(1);
    for step in after {
        if let Deed::Mounts(over, _) | Deed::Pins(over) = deed(&step.op) {
            assert!(over == path || below(path, over).is_none(), "{name}: {} after {op}", step.op);
        }
    }
}

/// Between a writable tree of the host and what is mounted or masked below it, every folder is a mount of its own.
fn pins(plan: &Plan, name: &str) {
    let writable: BTreeMap<usize, bool> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::OpenTree { slot, attrs, .. } => Some((slot.0, !attrs.has(stockade::step::Attrs::READ_ONLY))),
            _ => None,
        })
        .collect();
    // What lies on what: the nearest mount above, and whether it is a writable tree of the host.
    let mut trees: BTreeMap<&str, bool> = BTreeMap::new();
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for step in &plan.steps {
        let path = match deed(&step.op) {
            Deed::Mounts(path, _) => path,
            Deed::Masks(path) => path,
            Deed::Pins(path) => {
                held.insert(path);
                continue;
            }
            _ => continue,
        };
        let over = ancestors(parent(path)).find(|folder| trees.contains_key(folder));
        if let Some(over) = over.filter(|over| trees[over]) {
            for folder in ancestors(parent(path)).take_while(|folder| *folder != over) {
                assert!(held.contains(folder), "{name}: {}, and {folder} in the writable {over} is not pinned", step.op);
            }
        }
        held.insert(path);
        let of_the_host = match &step.op {
            Op::Attach { slot, .. } => writable[&slot.0],
            _ => false,
        };
        trees.insert(path, of_the_host);
    }
}

/// Every slot is opened once, before it is mapped and attached, and attached once.
fn sources(plan: &Plan, name: &str) {
    let mut state = vec![0; plan.slots];
    for step in &plan.steps {
        match &step.op {
            Op::OpenTree { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 1), 0, "{name}: {}", step.op);
            }
            Op::IdMapMount { slot, .. } => assert_eq!(state[slot.0], 1, "{name}: {}", step.op),
            Op::Attach { slot, .. } => assert_eq!(std::mem::replace(&mut state[slot.0], 2), 1, "{name}: {}", step.op),
            _ => {}
        }
    }
    assert!(state.iter().all(|state| *state == 2), "{name}: a source is opened and not attached");
}

// ---- generated profiles ----

/// A generator of numbers (xorshift), so that every run tries the same.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.throw(last + 1));
        }
    }
}

/// Lines of each section; any of them go together, but of those with one key only one is taken.
const LINES: &[(&str, &[&str])] = &[
    (
        "process",
        &["cwd = \"/tmp\"", "umask = \"0077\"", "nice = 5", "timeout = \"1m\"", "stdin = \"null\"", "oom-score-adj = 100", "keyring = \"inherit\""],
    ),
    ("env", &["A = \"a\"", "HOME = \"/home/x\"", "TOKEN = true", "LANG = { pass = true, or = \"C\" }"]),
    ("identity", &["user = 1000", "user = \"daemon\"", "group = 1000", "uid-map = \"auto\"", "gid-map = \"auto\""]),
    ("namespaces", &["hostname = \"x\"", "nested = true", "cgroup = \"host\"", "ipc = \"host\"", "time-offsets = { monotonic = \"1d\" }"]),
    ("rlimits", &["nofile = 64", "cpu = \"5s\"", "stack = { soft = \"8M\", hard = \"unlimited\" }", "core = 0"]),
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
            let mut lines: Vec<&str> = lines.iter().copied().filter(|_| dice.throw(2) == 0).collect();
            dice.shuffle(&mut lines);
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
    (text, plan(&profile, &host).ok())
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
        dice.shuffle(&mut sections);
        sections.iter_mut().for_each(|(_, lines)| dice.shuffle(lines));
        let (shuffled, second) = try_plan(&place, &sections, root);
        let deeds = |plan: &Option<Plan>| {
            let plan = plan.as_ref()?;
            Some(plan.steps.iter().map(|step| (step.stage, step.op.clone())).collect::<Vec<_>>())
        };
        assert_eq!(deeds(&first), deeds(&second), "the order of the lines changes the plan:\n{text}\n{shuffled}");
        let rest = |plan: &Option<Plan>| {
            let Plan { ids, filter, watch, landlock, exec, .. } = plan.clone()?;
            Some((ids, filter, watch, landlock, exec.argv, exec.env))
        };
        assert_eq!(rest(&first), rest(&second), "the order of the lines changes the plan:\n{text}\n{shuffled}");
    }
    assert!(good.iter().all(|good| good * 10 > tries), "only {good:?} of {tries} profiles are good");
}

#[test]
fn an_entry_below_dev_has_its_mount_point() {
    let place = Place::new();
    for line in ["\"/dev/shm\" = { tmpfs = \"4M\" }", "\"/dev/pts\" = \"tmpfs\"", "\"/dev/null\" = \"device\"", "\"/dev/fd\" = { symlink = \"/x\" }"]
    {
        let (text, plan) = try_plan(&place, &vec![("process", vec![]), ("mounts", vec!["\"/dev\" = { dev = [\"/dev/null\"] }", line])], false);
        holds(&plan.unwrap(), &text);
    }
}

/// What is wrong with one line of `[mounts]`, as codes.
fn refused(place: &Place, line: &str, root: bool) -> Vec<&'static str> {
    place.file("refused.toml", &format!("format = 1\n[process]\ncommand = [\"true\"]\n[mounts]\n{line}\n"));
    let (profile, _) = loaded(place, "refused.toml");
    let host = if root { machine::for_root(&profile) } else { machine::for_user(&profile) };
    plan(&profile, &host).err().map_or(vec![], |problems| problems.iter().map(|problem| problem.code).collect())
}

#[test]
fn a_grant_is_judged_by_its_place() {
    let place = Place::new();
    assert_eq!(refused(&place, "\"/x\" = { bind = \"/run/user\" }", false), ["mounts::sockets"]);
    assert_eq!(refused(&place, "\"/x\" = { bind = \"/var/run/user\" }", false), ["mounts::sockets"]);
    assert_eq!(refused(&place, "\"/x\" = { bind = \"/var/alias/etc\", access = \"rw\" }", false), ["mounts::broad"]);
}

#[test]
fn groups_are_a_set() {
    let place = Place::new();
    let plan = |groups: &str| {
        place.file("groups.toml", &format!("format = 1\n[process]\ncommand = [\"true\"]\n[identity]\ngroups = {groups}\n"));
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
