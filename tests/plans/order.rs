//! What holds of the order of every plan, whatever the profile and the machine.

use std::collections::{BTreeMap, BTreeSet};
use stockade::internals::kernel::controller::Version;
use stockade::internals::kernel::namespace::Kind;
use stockade::internals::language::value::{ancestors, below, parent};
use stockade::internals::plan::{Actor, ORDER, Plan};
use stockade::internals::step::{
    Ground, GroupOp, Op, OutsideOp, ProcessOp, Shown, Slot, Stage, Step, TreeOp,
};

/// What a step of the world does to a path inside.
enum Act<'a> {
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

fn act(op: &Op) -> Act<'_> {
    let Op::Tree(op) = op else { return Act::Other };
    match op {
        TreeOp::Dir { path, .. }
        | TreeOp::Symlink { path, .. }
        | TreeOp::File { path, .. }
        | TreeOp::MountPoint { path } => Act::Makes(path.text()),
        TreeOp::Mount { path, ground, .. }
        | TreeOp::Attach { path, ground, .. }
        | TreeOp::CopyLayers { path, ground, .. }
        | TreeOp::Serve { path, ground, .. }
        | TreeOp::Merge { path, ground, .. } => Act::Mounts(path.text(), *ground),
        TreeOp::ReadOnly { path, .. }
        | TreeOp::Hide { path, .. }
        | TreeOp::CoverFile { path, .. } => Act::Masks(path.text()),
        TreeOp::Pin { path, .. } | TreeOp::HoldLink { path, .. } => Act::Pins(path.text()),
        TreeOp::Seal { path, .. } => Act::Seals(path.text()),
        TreeOp::SealRoot => Act::Seals("/"),
        TreeOp::OpenTree { .. }
        | TreeOp::HostDirectory { .. }
        | TreeOp::OpenMade { .. }
        | TreeOp::Lay { .. }
        | TreeOp::OwnLayer { .. }
        | TreeOp::InLayer { .. }
        | TreeOp::HoldState { .. }
        | TreeOp::OpenState { .. }
        | TreeOp::HoldUpper { .. }
        | TreeOp::OpenUpper { .. }
        | TreeOp::Upper { .. }
        | TreeOp::UpperInRoot { .. }
        | TreeOp::UpperDirectories { .. }
        | TreeOp::CopyUp { .. }
        | TreeOp::PrivateMounts
        | TreeOp::Root { .. }
        | TreeOp::Pivot
        | TreeOp::LandlockRule { .. } => Act::Other,
    }
}

/// Every property of the order; a failure prints `name`.
pub fn holds(plan: &Plan, name: &str) {
    stages(plan, name);
    world(plan, name);
    pins(plan, name);
    sources(plan, name);
}

fn stages(plan: &Plan, name: &str) {
    let steps = &plan.steps;
    assert!(ORDER.windows(2).all(|pair| pair[0].0 < pair[1].0), "the table is out of order");
    // Who does it comes before what it is: where root opens the sources, the launcher does so
    // before the clone.
    let shown: Vec<(Actor, Stage)> =
        plan.shown().map(|step| (plan.actor(step.stage), step.stage)).collect();
    assert!(shown.is_sorted(), "{name}: the stages are out of order: {shown:?}");
    assert_eq!(shown.len(), plan.groups.len() + steps.len() + plan.outside.len(), "{name}");
    let goes: Vec<bool> = plan.outside.iter().map(|step| step.op == OutsideOp::Go).collect();
    let (last, before) = goes.split_last().unwrap();
    assert!(*last && !before.contains(&true), "{name}: pid 1 does not begin last: {goes:?}");
    let place = |op: Op| {
        let mut found =
            steps.iter().enumerate().filter(|(_, step)| step.op == op).map(|(place, _)| place);
        (found.next(), found.next())
    };
    let last = steps.len() - 1;
    assert_eq!(place(ProcessOp::Filter.into()), (Some(last), None), "{name}: seccomp is not last");
    let landlock = if plan.landlock.is_some() { Some(last - 1) } else { None };
    assert_eq!(
        place(ProcessOp::RestrictSelf { audit: false }.into()),
        (landlock, None),
        "{name}: Landlock is not just before seccomp"
    );
    let (Some(pivot), None) = place(TreeOp::Pivot.into()) else { panic!("{name}: not one pivot") };
    let (Some(no_new_privs), None) = place(ProcessOp::NoNewPrivs.into()) else {
        panic!("{name}: not one no_new_privs")
    };
    assert!(pivot < no_new_privs, "{name}");
    for (step, nth) in steps.iter().zip(0..) {
        match step.stage {
            Stage::Aside | Stage::Limits | Stage::Outside => {
                panic!("{name}: {} is none of raw calls", step.op)
            }
            Stage::Terminal
            | Stage::Join
            | Stage::Uppers
            | Stage::Group
            | Stage::Sources
            | Stage::Enter
            | Stage::Ids
            | Stage::World => {
                assert!(nth < pivot, "{name}: {} after the pivot", step.op)
            }
            Stage::Pivot => {}
            _ => assert!(nth > pivot, "{name}: {} before the pivot", step.op),
        }
    }
    let read_back = steps
        .iter()
        .position(|step| matches!(step.process(), Some(ProcessOp::ReadBack { .. })))
        .unwrap();
    assert!(no_new_privs < read_back, "{name}: what is set is read back before it is set");
}

fn world(plan: &Plan, name: &str) {
    // Names that are there, and mounts, in the order of the steps. The root is a mount.
    let (mut made, mut mounted): (BTreeSet<&str>, BTreeSet<&str>) =
        (BTreeSet::new(), BTreeSet::from(["/"]));
    let (mut sealed, mut root, mut private) = (false, false, plan.new.contains(&Kind::User));
    for Step { op, .. } in plan.steps.iter().filter(|step| step.stage == Stage::World) {
        assert!(
            !sealed || matches!(op, Op::Tree(TreeOp::Seal { .. } | TreeOp::SealRoot)),
            "{name}: {op} after a seal"
        );
        private |= *op == Op::Tree(TreeOp::PrivateMounts);
        if matches!(op, Op::Tree(TreeOp::Root { .. })) {
            assert!(private && !root, "{name}: the root");
            root = true;
        }
        let act = act(op);
        assert!(root || matches!(act, Act::Other), "{name}: {op} before the root");
        match act {
            Act::Makes(path) => {
                assert!(made.insert(path), "{name}: {op} twice");
                assert!(!mounted.contains(path), "{name}: {op}, where a mount is");
                let folder = parent(path);
                assert!(
                    made.contains(folder) || mounted.contains(folder),
                    "{name}: {op}, and {folder} is not there"
                );
                nothing_covers_it_later(plan, op, path, name);
            }
            // Merged layers become the root before anything is in it.
            Act::Mounts("/", _) => assert!(made.is_empty() && mounted.len() == 1, "{name}: {op}"),
            Act::Mounts(path, ground) => {
                assert!(
                    ground == Ground::Bound || made.contains(path),
                    "{name}: {op}, and there is no mount point"
                );
                assert!(mounted.insert(path), "{name}: {op} over another mount");
                nothing_covers_it_later(plan, op, path, name);
            }
            Act::Masks(path) | Act::Pins(path) => nothing_covers_it_later(plan, op, path, name),
            Act::Seals(path) => {
                assert!(mounted.contains(path), "{name}: {op}, which is no mount");
                sealed = true;
            }
            Act::Other => {}
        }
    }
}

/// A mount or a pin on a directory above hides what was done below it before.
fn nothing_covers_it_later(plan: &Plan, op: &Op, path: &str, name: &str) {
    let after = plan.steps.iter().skip_while(|step| step.op != *op).skip(1);
    for step in after {
        if let Act::Mounts(over, _) | Act::Pins(over) = act(&step.op) {
            assert!(over == path || below(path, over).is_none(), "{name}: {} after {op}", step.op);
        }
    }
}

/// Between a writable tree of the host and what is mounted or masked below it, every directory is a
/// mount of its own.
fn pins(plan: &Plan, name: &str) {
    let writable: BTreeMap<usize, bool> = plan
        .tree()
        .filter_map(|(op, _)| match op {
            TreeOp::OpenTree { slot, attrs, .. }
            | TreeOp::OpenMade { slot, attrs, .. }
            | TreeOp::OpenState { slot, attrs, .. } => {
                Some((slot.0, !attrs.has(stockade::internals::kernel::attrs::Attrs::READ_ONLY)))
            }
            _ => None,
        })
        .collect();
    // What lies on what: the nearest mount above, and whether it is a writable tree of the host.
    let mut trees: BTreeMap<&str, bool> = BTreeMap::new();
    let mut held: BTreeSet<&str> = BTreeSet::new();
    for step in &plan.steps {
        let path = match act(&step.op) {
            Act::Mounts(path, _) => path,
            Act::Masks(path) => path,
            Act::Pins(path) => {
                held.insert(path);
                continue;
            }
            _ => continue,
        };
        let over = ancestors(parent(path)).find(|folder| trees.contains_key(folder));
        if let Some(over) = over.filter(|over| trees[over]) {
            for folder in ancestors(parent(path)).take_while(|folder| *folder != over) {
                assert!(
                    held.contains(folder),
                    "{name}: {}, and {folder} in the writable {over} is not pinned",
                    step.op
                );
            }
        }
        held.insert(path);
        let of_the_host = match &step.op {
            Op::Tree(TreeOp::Attach { slot, .. }) => writable[&slot.0],
            _ => false,
        };
        trees.insert(path, of_the_host);
    }
}

/// Every slot is opened once, before it is mapped and attached, and attached once; a control group
/// is made before it is limited and entered.
fn sources(plan: &Plan, name: &str) {
    let mut state = vec![0; plan.slots];
    // Uppers on disk that are opened, and not used yet.
    let mut on_disk = std::collections::BTreeSet::new();
    let mut goes = |slot: Slot, from: i32, to: i32, what: &dyn std::fmt::Display| {
        assert_eq!(std::mem::replace(&mut state[slot.0], to), from, "{name}: {what}");
    };
    for Step { op, .. } in plan.shown() {
        match op {
            Shown::Group(GroupOp::Group { slot, version, .. }) => {
                // The clone itself enters a group of version 2.
                goes(*slot, 0, if *version == Version::V2 { 2 } else { 1 }, &op)
            }
            Shown::Group(GroupOp::GroupLimit { slot, .. })
            | Shown::Group(GroupOp::DeviceRules { slot, .. })
            | Shown::Group(GroupOp::WatchMemory { slot })
            | Shown::Group(GroupOp::CpuAccount { slot, .. }) => {
                let made =
                    plan.groups.iter().take_while(|step| step.op != *group(op)).any(
                        |step| matches!(&step.op, GroupOp::Group { slot: of, .. } if of == slot),
                    );
                assert!(made, "{name}: {op}");
            }
            Shown::Outside(OutsideOp::IdMapMount { slot, .. }) => goes(*slot, 1, 1, &op),
            Shown::Raw(Op::Tree(TreeOp::HostDirectory { slot, made, .. })) => {
                made.iter().for_each(|made| goes(*made, 2, 2, &op));
                goes(*slot, 0, 2, &op);
            }
            Shown::Raw(Op::Tree(TreeOp::OpenMade { slot, made, .. })) => {
                goes(*made, 2, 2, &op);
                goes(*slot, 0, 1, &op);
            }
            Shown::Raw(Op::Tree(TreeOp::HoldState { slot, .. })) => goes(*slot, 0, 2, &op),
            Shown::Raw(Op::Tree(TreeOp::OpenState { slot, held, .. })) => {
                goes(*held, 2, 2, &op);
                goes(*slot, 0, 1, &op);
            }
            Shown::Raw(Op::Tree(TreeOp::OpenTree { slot, .. }))
            | Shown::Raw(Op::Process(ProcessOp::OpenLimit { slot, .. })) => goes(*slot, 0, 1, &op),
            Shown::Raw(Op::Tree(TreeOp::OwnLayer { slot, .. })) => goes(*slot, 0, 1, &op),
            // Several merged trees may share one.
            Shown::Raw(Op::Tree(TreeOp::Upper { slot, .. } | TreeOp::UpperInRoot { slot })) => {
                goes(*slot, 0, 2, &op)
            }
            Shown::Raw(Op::Tree(TreeOp::Lay { slot, .. } | TreeOp::InLayer { slot, .. })) => {
                goes(*slot, 1, 1, &op)
            }
            Shown::Raw(Op::Tree(TreeOp::HoldUpper { slot, .. })) => goes(*slot, 0, 2, &op),
            Shown::Raw(Op::Tree(TreeOp::OpenUpper { slot, held, .. })) => {
                goes(*held, 2, 2, &op);
                goes(*slot, 0, 1, &op);
                on_disk.insert(slot.0);
            }
            Shown::Raw(Op::Tree(TreeOp::UpperDirectories { upper, .. })) => {
                let is_first = on_disk.remove(&upper.slot.0);
                goes(upper.slot, if is_first { 1 } else { 2 }, 2, &op)
            }
            Shown::Raw(Op::Tree(TreeOp::Merge { mask, layers, lowest, upper, .. })) => {
                let all = layers.iter().chain(mask).chain(lowest);
                all.for_each(|slot| goes(*slot, 1, 2, &op));
                upper.iter().for_each(|upper| goes(upper.slot, 2, 2, &op));
            }
            Shown::Raw(Op::Tree(TreeOp::CopyLayers { mask, layers, lowest, upper, .. })) => {
                let all = layers.iter().chain(mask).chain(lowest);
                all.for_each(|slot| goes(*slot, 1, 2, &op));
                goes(upper.slot, 2, 2, &op);
            }
            Shown::Raw(Op::Tree(TreeOp::Serve {
                mask,
                layers,
                lowest,
                upper,
                root,
                files,
                ..
            })) => {
                goes(*root, 0, 2, &op);
                let files = files.iter().map(|(slot, _)| slot);
                let all = layers.iter().chain(mask).chain(lowest).chain(files);
                all.for_each(|slot| goes(*slot, 1, 2, &op));
                upper.iter().for_each(|upper| goes(upper.slot, 2, 2, &op));
            }
            Shown::Raw(Op::Tree(TreeOp::Attach { slot, .. }))
            | Shown::Raw(Op::Process(
                ProcessOp::WriteLimit { slot, .. } | ProcessOp::EnterGroup { slot },
            )) => goes(*slot, 1, 2, &op),
            _ => {}
        }
    }
    assert!(state.iter().all(|state| *state == 2), "{name}: a source is opened and not attached");
}

fn group(op: Shown<'_>) -> &GroupOp {
    match op {
        Shown::Group(op) => op,
        _ => unreachable!(),
    }
}
