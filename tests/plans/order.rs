//! What holds of the order of every plan, whatever the profile and the machine.

use std::collections::{BTreeMap, BTreeSet};
use stockade::internals::kernel::controller::Version;
use stockade::internals::kernel::namespace::Kind;
use stockade::internals::language::value::{ancestors, below, parent};
use stockade::internals::plan::{ORDER, Plan};
use stockade::internals::step::{Ground, Op, Stage, Step};

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
        Op::Dir { path, .. }
        | Op::Symlink { path, .. }
        | Op::File { path, .. }
        | Op::MountPoint { path } => Deed::Makes(path.text()),
        Op::Tmpfs { path, ground, .. }
        | Op::Proc { path, ground, .. }
        | Op::Mqueue { path, ground }
        | Op::Sysfs { path, ground } => Deed::Mounts(path.text(), *ground),
        Op::Attach { path, ground, .. } => Deed::Mounts(path.text(), *ground),
        Op::Devpts { path } => Deed::Mounts(path.text(), Ground::Own),
        Op::ReadOnly { path, .. } | Op::Hide { path, .. } | Op::CoverFile { path, .. } => {
            Deed::Masks(path.text())
        }
        Op::Pin { path } | Op::HoldLink { path, .. } => Deed::Pins(path.text()),
        Op::Seal { path, .. } => Deed::Seals(path.text()),
        Op::SealRoot => Deed::Seals("/"),
        _ => Deed::Other,
    }
}

/// Every property of the order; `name` is told where one does not hold.
pub fn holds(plan: &Plan, name: &str) {
    stages(plan, name);
    world(plan, name);
    pins(plan, name);
    sources(plan, name);
}

fn stages(plan: &Plan, name: &str) {
    let steps = &plan.steps;
    assert!(
        steps.windows(2).all(|pair| pair[0].stage <= pair[1].stage),
        "{name}: the stages are out of order"
    );
    assert!(ORDER.windows(2).all(|pair| pair[0].0 < pair[1].0), "the table is out of order");
    let place = |op: &Op| {
        let mut found =
            steps.iter().enumerate().filter(|(_, step)| step.op == *op).map(|(place, _)| place);
        (found.next(), found.next())
    };
    let last = steps.len() - 1;
    assert_eq!(place(&Op::Filter), (Some(last), None), "{name}: seccomp is not last");
    let landlock = if plan.landlock.is_some() { Some(last - 1) } else { None };
    assert_eq!(
        place(&Op::RestrictSelf { audit: false }),
        (landlock, None),
        "{name}: Landlock is not just before seccomp"
    );
    let (Some(pivot), None) = place(&Op::Pivot) else { panic!("{name}: not one pivot") };
    let (Some(no_new_privs), None) = place(&Op::NoNewPrivs) else {
        panic!("{name}: not one no_new_privs")
    };
    assert!(pivot < no_new_privs, "{name}");
    for (step, nth) in steps.iter().zip(0..) {
        match step.stage {
            Stage::Terminal
            | Stage::Limits
            | Stage::Join
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
    let read_back = steps.iter().position(|step| matches!(step.op, Op::ReadBack { .. })).unwrap();
    assert!(no_new_privs < read_back, "{name}: what is set is read back before it is set");
}

fn world(plan: &Plan, name: &str) {
    // Names that are there, and mounts, in the order of the steps. The root is a mount.
    let (mut made, mut mounted): (BTreeSet<&str>, BTreeSet<&str>) =
        (BTreeSet::new(), BTreeSet::from(["/"]));
    let (mut sealed, mut root, mut private) = (false, false, plan.new.contains(&Kind::User));
    for Step { op, .. } in plan.steps.iter().filter(|step| step.stage == Stage::World) {
        assert!(
            !sealed || matches!(op, Op::Seal { .. } | Op::SealRoot),
            "{name}: {op} after a seal"
        );
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
                assert!(
                    made.contains(folder) || mounted.contains(folder),
                    "{name}: {op}, and {folder} is not there"
                );
                nothing_covers_it_later(plan, op, path, name);
            }
            Deed::Mounts(path, ground) => {
                assert!(
                    ground == Ground::Bound || made.contains(path),
                    "{name}: {op}, and there is no mount point"
                );
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

/// Between a writable tree of the host and what is mounted or masked below it, every folder is a
/// mount of its own.
fn pins(plan: &Plan, name: &str) {
    let writable: BTreeMap<usize, bool> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::OpenTree { slot, attrs, .. } | Op::HostFolder { slot, attrs, .. } => {
                Some((slot.0, !attrs.has(stockade::internals::kernel::attrs::Attrs::READ_ONLY)))
            }
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
                assert!(
                    held.contains(folder),
                    "{name}: {}, and {folder} in the writable {over} is not pinned",
                    step.op
                );
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

/// Every slot is opened once, before it is mapped and attached, and attached once; a control group
/// is made before it is limited and entered.
fn sources(plan: &Plan, name: &str) {
    let mut state = vec![0; plan.slots];
    for step in &plan.steps {
        match &step.op {
            Op::OpenTree { slot, .. } | Op::HostFolder { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 1), 0, "{name}: {}", step.op);
            }
            Op::IdMapMount { slot, .. } => assert_eq!(state[slot.0], 1, "{name}: {}", step.op),
            Op::Attach { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 2), 1, "{name}: {}", step.op)
            }
            // The clone itself enters a group of version 2.
            Op::Group { slot, version: Version::V2, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 2), 0, "{name}: {}", step.op)
            }
            Op::Group { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 1), 0, "{name}: {}", step.op)
            }
            Op::GroupLimit { slot, .. }
            | Op::DeviceRules { slot, .. }
            | Op::WatchMemory { slot }
            | Op::CpuAccount { slot, .. } => {
                assert_ne!(state[slot.0], 0, "{name}: {}", step.op);
            }
            Op::OpenLimit { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 1), 0, "{name}: {}", step.op)
            }
            Op::WriteLimit { slot, .. } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 2), 1, "{name}: {}", step.op)
            }
            Op::EnterGroup { slot } => {
                assert_eq!(std::mem::replace(&mut state[slot.0], 2), 1, "{name}: {}", step.op)
            }
            _ => {}
        }
    }
    assert!(state.iter().all(|state| *state == 2), "{name}: a source is opened and not attached");
}
