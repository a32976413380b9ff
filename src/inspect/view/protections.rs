//! The protections of a sandbox, one paragraph for each domain, and what it does not grant.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::inspect::access::World;
use crate::inspect::view::flat;
use crate::kernel::idmap::Extent;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::kernel::syscalls;
use crate::language::value::{below, parent};
use crate::plan::Plan;
use crate::policy::env::Setting;
use crate::policy::namespaces::Namespace;
use crate::policy::rlimits;
use crate::step::{GroupOp, ProcessOp, Stage};
use crate::text::gather::Gather;
use crate::text::layout::{Paint, Tone, width, wrap};
use crate::tree::{Ground, Stack};
use landlock::Scope;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// Its word in the profile.
    pub domain: &'static str,
    pub text: String,
}

/// Every domain, in the order in which the restrictions are set.
pub(crate) fn records(world: &World<'_>) -> Vec<Record> {
    let plan = world.plan;
    let record = |domain, text| Record { domain, text };
    vec![
        record("namespaces", namespaces(plan)),
        record("identity", identity(plan)),
        record("capabilities", capabilities(world)),
        record("landlock", landlock(plan)),
        record("seccomp", seccomp(plan)),
        record("network", network(plan)),
        record("rlimits", rlimits(plan)),
        record("limits", limits(plan)),
        record("process", process(plan)),
        record("env", env(plan)),
    ]
}

pub(crate) fn text(world: &World<'_>, paint: Paint) -> String {
    let one = |Record { domain, text }: Record| {
        let label = format!("  {domain:<14}");
        let plain = wrap(&label, &text, width(&label));
        plain.replacen(domain, &paint.tone(Tone::Head, domain), 1)
    };
    records(world).into_iter().map(one).collect()
}

fn namespaces(plan: &Plan) -> String {
    let of = |good: fn(&Namespace) -> bool| {
        let words: Vec<&str> = Kind::ALL
            .into_iter()
            .filter(|kind| good(plan.choice.of(*kind)))
            .map(Kind::word)
            .collect();
        words.join(" ")
    };
    let parts = [
        ("new", of(|namespace| *namespace == Namespace::New)),
        ("the host's", of(|namespace| *namespace == Namespace::Host)),
        ("joined", of(|namespace| namespace.joined().is_some())),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, kinds)| !kinds.is_empty())
        .map(|(whose, kinds)| format!("{whose}: {kinds}"))
        .collect();
    parts.join("; ")
}

fn identity(plan: &Plan) -> String {
    let ids = &plan.ids;
    let mut text = format!("user {}, group {}", ids.user, ids.group);
    if ids.maps.is_some() {
        text += &format!("; on the host user {}, group {}", ids.host_user, ids.host_group);
    }
    if let Some(maps) = &ids.maps {
        let count =
            |extents: &[Extent]| extents.iter().map(|extent| u64::from(extent.count)).sum::<u64>();
        if count(&maps.uid) > 1 || count(&maps.gid) > 1 {
            text +=
                &format!("; {} users and {} groups are mapped", count(&maps.uid), count(&maps.gid));
        }
        if ids.groups_stay {
            text += "; the caller's supplementary groups stay";
        }
    }
    if !ids.groups.is_empty() {
        text += &format!(
            "; groups {}",
            ids.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
        );
    }
    text
}

fn capabilities(world: &World<'_>) -> String {
    let sets = world.capabilities();
    let over = if world.is_host_user() { " over the host" } else { "" };
    match (sets.effective.0, sets.kept.0) {
        (_, 0) => "none, and no program can gain any (no_new_privs)".into(),
        (0, _) => {
            format!("kept: {}; in force: none, since the target is not root inside", sets.kept)
        }
        _ => format!("kept: {}; in force{over}: {}", sets.kept, sets.effective),
    }
}

fn landlock(plan: &Plan) -> String {
    let Some(ruleset) = &plan.landlock else { return "not enforced".into() };
    let of_files = plan
        .tree()
        .filter_map(|(op, _)| op.rights())
        .filter(|(_, rights)| *rights != Rights(0))
        .count();
    let of_ports = plan.process().filter(|(op, _)| op.facets().port.is_some()).count();
    let rules = of_files + of_ports;
    let files = if ruleset.handled.0 == 0 { "; files are not ruled over" } else { "" };
    let ports = if ruleset.ports == 0 { "" } else { "; ports too" };
    let scopes =
        [(Scope::Signal, "signals to"), (Scope::AbstractUnixSocket, "abstract sockets of")];
    let scopes: Vec<&str> = scopes
        .into_iter()
        .filter(|(scope, _)| ruleset.scoped & *scope as u64 != 0)
        .map(|(_, words)| words)
        .collect();
    let scoped = if scopes.is_empty() {
        String::new()
    } else {
        format!("; no {} processes outside", scopes.join(", no "))
    };
    format!("ABI {}, {rules} rules{files}{ports}{scoped}", ruleset.abi)
}

fn seccomp(plan: &Plan) -> String {
    let table = &plan.filter.native;
    let plain = |refuses: bool| {
        table
            .rules()
            .filter(|(_, rule)| rule.cases.is_empty() && rule.otherwise.refuses() == refuses)
            .count()
    };
    let asked: Vec<&str> = table
        .rules()
        .filter(|(_, rule)| !rule.cases.is_empty())
        .filter_map(|(number, _)| syscalls::name(number))
        .collect();
    let newer = if table.unknown().refuses() { ", and all that are newer" } else { "" };
    let others: String = plan
        .filter
        .others
        .iter()
        .map(|table| format!("; programs of {} too", table.abi.word()))
        .collect();
    format!(
        "{} calls allowed; by their arguments: {}; {} refused{newer}{others}",
        plain(false),
        asked.join(" "),
        plain(true)
    )
}

fn network(plan: &Plan) -> String {
    match plan.choice.of(Kind::Net) {
        Namespace::New => "its own, loopback alone".into(),
        Namespace::Host => "the host's".into(),
        Namespace::Join(path) => format!("that of {}", flat(&path.0)),
    }
}

fn rlimits(plan: &Plan) -> String {
    let words: Vec<String> =
        plan.process().filter_map(|(op, _)| words_of(op)?.of("rlimits")).collect();
    words.join(", ") + "; the rest is the caller's"
}

/// The words of a paragraph for an operation.
struct Words {
    domain: &'static str,
    text: String,
}

impl Words {
    fn of(self, domain: &str) -> Option<String> {
        (self.domain == domain).then_some(self.text)
    }
}

/// The one list of the words for operations in the paragraphs on rlimits and the process.
/// Operations of other paragraphs, or that the whole plan describes better, have none here.
fn words_of(op: &ProcessOp) -> Option<Words> {
    let process = |text: String| Some(Words { domain: "process", text });
    match op {
        ProcessOp::Rlimit { name, soft, hard, .. } => {
            let limit = |raw: &u64| rlimits::shown(name, *raw);
            let to = if soft == hard { String::new() } else { format!(" to {}", limit(hard)) };
            let unit = if *name == "core" { " (bytes of a core dump)" } else { "" };
            Some(Words { domain: "rlimits", text: format!("{name} {}{to}{unit}", limit(soft)) })
        }
        ProcessOp::WorkingDirectory { path } => process(format!("in {}", flat(path.text()))),
        ProcessOp::Umask { mask } => process(format!("umask {mask}")),
        ProcessOp::Session { new: true } => process("a session without terminal".into()),
        ProcessOp::Session { new: false } => process("the caller's terminal".into()),
        ProcessOp::WriteOnlyStream { fd, .. } => {
            process(format!("descriptor {fd} is the terminal, for writing alone"))
        }
        ProcessOp::NullStream { fd } => process(format!("descriptor {fd} is /dev/null")),
        ProcessOp::FileStream { fd, path, made } => {
            let edit = match made {
                None => "is read from",
                Some(made) if made.append => "appends to",
                Some(_) => "writes",
            };
            process(format!("descriptor {fd} {edit} {}", flat(path.text())))
        }
        ProcessOp::CloseDescriptors { keep } if !keep.is_empty() => {
            process(format!("descriptors passed: {keep:?}"))
        }
        ProcessOp::Nice { .. } | ProcessOp::IoPriority { .. } | ProcessOp::Scheduler { .. } => {
            process(op.to_string())
        }
        ProcessOp::EnterGroup { .. }
        | ProcessOp::CgroupNamespace
        | ProcessOp::JoinNamespace { .. }
        | ProcessOp::TimeNamespace { .. }
        | ProcessOp::OomScoreAdj { .. }
        | ProcessOp::ForbidNamespaces { .. }
        | ProcessOp::OpenLimit { .. }
        | ProcessOp::WriteLimit { .. }
        | ProcessOp::Groups { .. }
        | ProcessOp::Ids { .. }
        | ProcessOp::FileIds { .. }
        | ProcessOp::Loopback
        | ProcessOp::HostName { .. }
        | ProcessOp::DomainName { .. }
        | ProcessOp::Bounding { .. }
        | ProcessOp::KeepCapabilities
        | ProcessOp::Capabilities { .. }
        | ProcessOp::NoNewPrivs
        | ProcessOp::NewKeyring
        | ProcessOp::FreshState
        | ProcessOp::CloseDescriptors { .. }
        | ProcessOp::ReadBack { .. }
        | ProcessOp::LandlockPort { .. }
        | ProcessOp::LandlockStream { .. }
        | ProcessOp::RestrictSelf { .. }
        | ProcessOp::Filter
        | ProcessOp::FindProgram { .. } => None,
    }
}

fn limits(plan: &Plan) -> String {
    let mut words = vec![];
    for step in &plan.groups {
        match &step.op {
            GroupOp::GroupLimit { file, value, .. } => {
                words.push(format!("{} {}", flat(file.text()), flat(value.text())))
            }
            GroupOp::DeviceRules { nodes, .. } => {
                words.push(format!("{} device nodes", nodes.len()))
            }
            GroupOp::Scope { .. }
            | GroupOp::StepAside { .. }
            | GroupOp::Group { .. }
            | GroupOp::SwitchOn { .. }
            | GroupOp::WatchMemory { .. }
            | GroupOp::CpuAccount { .. } => {}
        }
    }
    if let Some(time) = plan.grouped.cpu_time_ms {
        words.push(format!(
            "processor time {}",
            crate::language::value::Time(std::time::Duration::from_millis(time))
        ));
    }
    match (plan.grouped.group, words.is_empty()) {
        (false, _) => "none".into(),
        (true, true) => "accounts alone".into(),
        (true, false) => words.join(", "),
    }
}

fn process(plan: &Plan) -> String {
    let words: Vec<&str> = plan.exec.argv.iter().map(|word| word.text()).collect();
    let mut parts = vec![flat(&words.join(" "))];
    let steps =
        plan.steps.iter().filter(|step| matches!(step.stage, Stage::Terminal | Stage::Process));
    parts.extend(steps.filter_map(|step| words_of(step.process()?)?.of("process")));
    if let Some(timeout) = plan.watch.timeout_ms {
        parts.push(format!(
            "at most {}",
            crate::language::value::Time(std::time::Duration::from_millis(timeout))
        ));
    }
    parts.join("; ")
}

fn env(plan: &Plan) -> String {
    let settings = &plan.exec.env;
    let own = settings.iter().filter(|setting| setting.by.is_none());
    let mut parts = vec![names(own)];
    let prefixes: BTreeSet<&String> =
        settings.iter().filter_map(|setting| setting.by.as_ref()).gather();
    for prefix in prefixes {
        let passed = settings.iter().filter(|setting| setting.by.as_ref() == Some(prefix));
        parts.push(format!("by {}: {}", flat(prefix), names(passed)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn names<'s>(settings: impl Iterator<Item = &'s Setting>) -> String {
    settings.map(|setting| flat(setting.name.text())).collect::<Vec<_>>().join(" ")
}

/// What the sandbox does not have, by words: the widest first.
pub(crate) fn not_granted(world: &World<'_>) -> String {
    let plan = world.plan;
    let new = |kind| plan.choice.is_new(kind);
    let homes = Homes::shown(world);
    let refused = |name: &str| {
        syscalls::number(name).is_some_and(|number| !plan.filter.judge(number, &[0; 6]).permits())
    };
    let facts = [
        (new(Kind::Net), "network"),
        (homes == Homes::None, "homes"),
        (homes == Homes::Parts, "the rest of the homes"),
        (new(Kind::Pid), "other processes"),
        (world.capabilities().kept.0 == 0, "capabilities"),
        (refused("ptrace"), "ptrace"),
        (refused("mount"), "mounts"),
        (new(Kind::Ipc), "IPC"),
        (refused("keyctl"), "keys"),
        (true, "set-id"),
    ];
    let words: Vec<&str> =
        facts.into_iter().filter(|(not, _)| *not).map(|(_, word)| word).collect();
    words.join(", ")
}

/// What the sandbox shows of homes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Homes {
    None,
    /// Files in a home.
    Parts,
    /// At least one whole.
    Whole,
}

impl Homes {
    fn shown(world: &World<'_>) -> Homes {
        // Without a tree of its own the sandbox sees what Landlock's rules grant.
        let trees = world.tree.iter().flat_map(|(path, entry)| {
            let of_stack = match &entry.ground {
                Ground::Host(stack) if world.has_tree() => Some(stack),
                Ground::Host(_) | Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
            };
            let granted = !world.has_tree() && (entry.rights != Rights(0) || !world.is_ruled());
            let sources = of_stack.into_iter().flat_map(Stack::topmost_first);
            sources.map(|source| source.path.as_str()).chain(granted.then_some(path.as_str()))
        });
        let of = |source: &str| match source {
            "/" | "/home" | "/root" => Homes::Whole,
            _ if parent(source) == "/home" => Homes::Whole,
            _ if ["/home", "/root"].iter().any(|homes| below(source, homes).is_some()) => {
                Homes::Parts
            }
            _ => Homes::None,
        };
        trees.map(of).max().unwrap_or(Homes::None)
    }
}
