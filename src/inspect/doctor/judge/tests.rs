//! Invented machines, and the table that they give; `UPDATE=1` rewrites the goldens.

use super::*;
use crate::inspect::doctor::facts::{Cgroups, Layout, Manager, Module, Packages, Subordinate};
use crate::inspect::doctor::table::table;
use crate::launch::cause::Barriers;
use crate::text::layout::Paint;
use std::path::Path;

/// A machine on which nothing is missing, for ann.
fn good() -> Facts {
    let controllers: Vec<String> =
        ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).to_vec();
    Facts {
        uid: 1000,
        user: "ann".into(),
        has_groups: true,
        release: "7.3.4-generic".into(),
        kernel: (7, 3),
        packages: Packages::Apt,
        barriers: Barriers { program: "/usr/bin/stockade".into(), ..Barriers::default() },
        sandbox: Some(Ok(())),
        namespaces: Kind::ALL.map(|kind| (kind, Tried::Works)).to_vec(),
        maps: Tried::Works,
        acts: Act::INSIDE.into_iter().chain(Act::ANYWHERE).map(|act| (act, Tried::Works)).collect(),
        subordinate: Subordinate {
            users: vec![(100_000, 65_536)],
            groups: vec![(100_000, 65_536)],
            free: 165_536,
            helpers: [Helper::Able; 2],
            mapped: Some(Ok(())),
        },
        landlock: Some(Ok(11)),
        seccomp_actions: [
            "kill_process",
            "kill_thread",
            "trap",
            "errno",
            "user_notif",
            "trace",
            "log",
            "allow",
        ]
        .map(str::to_owned)
        .to_vec(),
        idmaps: vec![],
        cgroups: Cgroups {
            layout: Layout::V2,
            group: "/user.slice/user-1000.slice/session-1.scope".into(),
            controllers: controllers.clone(),
            delegated: false,
            read_only: false,
        },
        manager: Manager {
            socket: Some("/run/user/1000/bus".into()),
            reached: Tried::Works,
            controllers,
            booted: true,
        },
        modules: vec![],
        signed_alone: false,
        no_overlayfs: false,
        no_server: None,
        container: None,
        noexec: vec![],
        core_limit: u64::MAX,
    }
}

/// The same for root.
fn good_for_root() -> Facts {
    let mut facts = Facts {
        uid: 0,
        user: "root".into(),
        has_groups: false,
        idmaps: vec![("/".into(), "ext4".into(), Tried::Works)],
        ..good()
    };
    facts.barriers.privileged = true;
    facts.cgroups.delegated = true;
    facts.manager.socket = Some("/run/systemd/private".into());
    facts
}

/// No user namespace, and so nothing that needs one.
fn without_namespaces(facts: Facts, errno: i32) -> Facts {
    let namespaces = Kind::ALL.map(|kind| (kind, Tried::Refused(errno))).to_vec();
    let sandbox =
        Some(Err(("cannot make the namespaces user, mount: operation not permitted".into(), None)));
    let acts = Act::ANYWHERE.map(|act| (act, Tried::Works)).to_vec();
    let subordinate = Subordinate { mapped: None, ..facts.subordinate };
    Facts { namespaces, maps: Tried::Untried, acts, sandbox, subordinate, ..facts }
}

fn set(facts: &mut Facts, act: Act, tried: Tried) {
    facts.acts.iter_mut().filter(|(known, _)| *known == act).for_each(|entry| entry.1 = tried);
}

/// An old kernel, without Landlock.
fn old() -> Facts {
    let sandbox = Some(Err((
        "this kernel is Linux 5.10; stockade needs 5.14".into(),
        Some("boot a newer one".into()),
    )));
    Facts {
        release: "5.10.0-46".into(),
        kernel: (5, 10),
        landlock: Some(Err(libc::ENOSYS)),
        sandbox,
        packages: Packages::Dnf,
        ..good()
    }
}

/// Debian's switch.
fn hardened() -> Facts {
    let mut facts = without_namespaces(good(), libc::EPERM);
    facts.barriers.clone_switch = true;
    facts.modules = vec![Module {
        name: "AppArmor",
        label: "unconfined".into(),
        enforcing: true,
        confined: false,
    }];
    facts
}

/// Ubuntu: namespaces without power in them.
fn ubuntu() -> Facts {
    let mut facts = good();
    facts.barriers.apparmor = true;
    for act in Act::INSIDE {
        set(&mut facts, act, Tried::Refused(libc::EPERM));
    }
    facts.sandbox = Some(Err((
        "cannot make all mounts private: permission denied".into(),
        Some("see AppArmor".into()),
    )));
    facts.modules = vec![Module {
        name: "AppArmor",
        label: "unconfined".into(),
        enforcing: true,
        confined: false,
    }];
    facts
}

/// Root in a container that lets user namespaces through, and masks /proc.
fn container() -> Facts {
    let mut facts = good_for_root();
    facts.container = Some("there is /.dockerenv".into());
    facts.barriers = Barriers { filtered: true, read_only_sysctls: true, ..facts.barriers };
    set(&mut facts, Act::Proc, Tried::Refused(libc::EPERM));
    set(&mut facts, Act::ProcSubset, Tried::Refused(libc::EPERM));
    set(&mut facts, Act::Sysfs, Tried::Refused(libc::EPERM));
    set(&mut facts, Act::ForbidUserNamespaces, Tried::Refused(libc::EROFS));
    set(&mut facts, Act::Listener, Tried::Refused(libc::EBUSY));
    set(&mut facts, Act::Keyring, Tried::Refused(libc::EPERM));
    facts.idmaps = vec![
        ("/".into(), "overlay".into(), Tried::Refused(libc::EPERM)),
        ("/tmp".into(), "tmpfs".into(), Tried::Refused(libc::EPERM)),
    ];
    facts.sandbox = Some(Err((
        "cannot forbid user namespaces inside: read-only file system".into(),
        Some(cause::read_only_proc_sys(&facts.barriers, true).to_string()),
    )));
    facts.modules = vec![Module {
        name: "SELinux",
        label: "system_u:system_r:container_t:s0".into(),
        enforcing: true,
        confined: true,
    }];
    facts.manager = Manager::default();
    facts.cgroups = Cgroups {
        layout: Layout::V1,
        group: "/docker/4711".into(),
        controllers: vec!["memory".into(), "pids".into()],
        delegated: false,
        read_only: true,
    };
    facts
}

/// An ordinary user for whom little was set up.
fn bare() -> Facts {
    let mut facts = good();
    facts.subordinate = Subordinate { free: 100_000, ..Subordinate::default() };
    facts.landlock = Some(Err(libc::EOPNOTSUPP));
    facts.cgroups.layout = Layout::Hybrid;
    facts.manager = Manager { booted: true, ..Manager::default() };
    facts.packages = Packages::Pacman;
    facts.noexec = vec!["/home/ann smith".into()];
    facts.core_limit = 0;
    facts.no_overlayfs = true;
    facts.no_server = Some("there is no /dev/fuse".into());
    facts.sandbox = Some(Err((
        "cannot set rlimit core to 1 (hard 1): operation not permitted".into(),
        Some("raise it".into()),
    )));
    set(&mut facts, Act::Pivot, Tried::Refused(libc::EINVAL));
    facts
}

/// An image whose systemd lets nothing run that is not signed.
fn signed() -> Facts {
    let release = "7.0.9-image".into();
    Facts { release, kernel: (7, 0), landlock: Some(Ok(9)), signed_alone: true, ..good() }
}

type Machine = fn() -> Facts;

const MACHINES: [(&str, Machine); 8] = [
    ("good", good),
    ("good-for-root", good_for_root),
    ("old", old),
    ("hardened", hardened),
    ("ubuntu", ubuntu),
    ("container", container),
    ("bare", bare),
    ("signed", signed),
];

#[test]
fn machines_have_their_tables() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines");
    for (name, machine) in MACHINES {
        let facts = machine();
        let shown = table(&facts, &judge(&facts), Paint::Plain) + "\n";
        let golden = directory.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&golden, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(shown == expected, "{name} differs; UPDATE=1 rewrites it\n{shown}");
        let wide: Vec<&str> =
            shown.lines().filter(|line| line.chars().count() > 80 || line.ends_with(' ')).collect();
        assert!(wide.is_empty(), "{name}: {wide:#?}");
    }
}

#[test]
fn what_is_not_well_says_what_is_lost_and_what_to_do() {
    for (name, machine) in MACHINES {
        for line in judge(&machine()) {
            let whole = line.state == State::Ok || (line.lost.is_some() && line.fix.is_some());
            assert!(whole && !line.value.is_empty(), "{name}: {line:?}");
            assert!(
                line.state != State::Ok || (line.lost.is_none() && line.fix.is_none()),
                "{name}: {line:?}"
            );
        }
    }
}

#[test]
fn every_machine_has_the_same_lines() {
    let names = |facts: &Facts| judge(facts).iter().map(|line| line.name).collect::<Vec<_>>();
    let all = names(&good());
    assert!(MACHINES.iter().all(|(_, machine)| names(&machine()) == all));
    assert_eq!(names(&Facts::default()), all, "also where nothing is known");
}

#[test]
fn nothing_is_well_where_nothing_could_be_tried() {
    let lines = judge(&without_namespaces(good(), libc::EPERM));
    for (name, state) in [
        ("user namespaces", State::Missing),
        ("other namespaces", State::Untried),
        ("file tree", State::Untried),
        ("proc", State::Untried),
        ("subordinate ids", State::Untried),
    ] {
        assert!(lines.iter().any(|line| line.name == name && line.state == state), "{name}");
    }
    let shown = table(&hardened(), &lines, Paint::Plain);
    assert_eq!(shown.matches("as for user namespaces").count(), 1, "{shown}");
    assert!(!serves(&hardened()) && serves(&good()));
}

#[test]
fn the_limit_that_is_zero_is_the_one_to_raise() {
    let mut facts = good();
    facts.barriers.forbidden = vec!["max_net_namespaces".into()];
    facts
        .namespaces
        .iter_mut()
        .filter(|(kind, _)| *kind == Kind::Net)
        .for_each(|entry| entry.1 = Tried::Refused(libc::ENOSPC));
    let line = other_namespaces(&facts);
    assert_eq!(line.fix, Some(Fix::Root("sysctl -w user.max_net_namespaces=15000".into())));
    assert_eq!(line.lost.as_deref(), Some("network.mode = \"none\""));
}

#[test]
fn what_landlock_lacks_is_told_by_abi() {
    let lost = |abi| {
        let line =
            protections::landlock(&Facts { landlock: Some(Ok(abi)), kernel: (6, 1), ..good() });
        (line.state, line.lost.unwrap_or_default())
    };
    assert_eq!(lost(1).0, State::Missing);
    let (state, two) = lost(2);
    assert!(state == State::Limited && two.contains("ABI 3") && two.contains("ABI 9"), "{two}");
    assert!(!lost(6).1.contains("scoped") && lost(5).1.contains("scoped"));
    assert_eq!(lost(9), (State::Ok, String::new()));
}

#[test]
fn what_each_abi_brings_is_what_the_kernel_can_handle_more() {
    use ::landlock::{ABI, Access, AccessFs, AccessNet, Scope};
    let all = |abi: i32| {
        let abi = ABI::from(abi);
        (
            AccessFs::from_all(abi).bits(),
            AccessNet::from_all(abi).bits(),
            Scope::from_all(abi).bits(),
        )
    };
    for abi in 3..=9 {
        let listed = protections::LANDLOCK.iter().any(|(least, ..)| *least == abi as u32);
        assert_eq!(listed, all(abi) != all(abi - 1), "ABI {abi}");
    }
}

/// Layers on a signed device run since Linux 7.2; before, no program on overlayfs does.
#[test]
fn a_restriction_to_signed_programs_says_what_becomes_of_layers() {
    let lost = |kernel| {
        let line = protections::modules(&Facts { kernel, ..signed() });
        (line.state, line.lost.unwrap_or_default())
    };
    let (state, all) = lost((7, 1));
    assert!(state == State::Limited && all.contains("whatever they lie on"), "{all}");
    let (state, others) = lost((7, 2));
    assert!(state == State::Limited && others.contains("of other devices"), "{others}");
    assert_eq!(protections::modules(&good()).state, State::Ok);
}

#[test]
fn hostile_names_are_shown_and_not_sent() {
    let facts = Facts { user: "a\x1b[31m".into(), container: Some("\u{202e}x".into()), ..bare() };
    let shown = table(&facts, &judge(&facts), Paint::Plain);
    assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'), "{shown}");
    assert!(table(&good(), &judge(&good()), Paint::Colour).contains("\x1b[32mok"));
}

#[test]
fn a_helper_without_privilege_is_named() {
    let broken = |helper| {
        let mut facts = good();
        facts.subordinate.helpers[1] = helper;
        facts.subordinate.mapped = None;
        subordinate(&facts).fix.map(|fix| fix.text().to_owned())
    };
    assert_eq!(broken(Helper::Plain).as_deref(), Some("chmod u+s /usr/bin/newgidmap"));
    assert_eq!(broken(Helper::Absent).as_deref(), Some("apt-get install uidmap"));
}
