//! From limits and facts to steps: which groups are made where, what is written into them, and what
//! is skipped.

mod guard;
mod planner;
mod steps;

use super::files::Setting;
use super::manager::{Made, choose, in_scope};
use super::place::OF_THE_NAMED;
use super::refusals::report;
use super::values::Count;
use super::{Limits, Wanted};
use crate::host::Host;
use crate::host::groups::Groups;
use crate::kernel::controller::{Controller, Version};
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::policy::mounts::Mounts;
use crate::policy::mounts::settle::Settled;
use crate::policy::namespaces::Choice;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::Problem;
use crate::text::source::{At, Span};
use guard::guard_groups;
use planner::Planner;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use steps::{bound_inner_groups, steps};

/// What a launch must know of the limits besides the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Grouped {
    /// Whether the sandbox has a control group.
    pub group: bool,
    /// The directories where groups of launchers that are dead may be, in every hierarchy.
    pub directories: Vec<Name>,
    /// The most processor time of all processes together, in milliseconds.
    pub cpu_time_ms: Option<u64>,
}

/// A group in the making.
#[derive(Default)]
struct Group {
    controllers: BTreeSet<Controller>,
    settings: Vec<(Setting, Wanted)>,
    at: Span,
}

/// What of a profile the groups come from.
pub(crate) struct Asked<'a> {
    pub limits: &'a Limits,
    /// Whether limits are optional by the profile itself, besides the file of each limit.
    pub optional: bool,
    /// Where device rules come from, and what must not lead to the groups.
    pub mounts: &'a Mounts,
    pub settled: &'a Settled,
    /// Whose namespaces the target has.
    pub choice: &'a Choice,
    /// Whether the sandbox has a name.
    pub named: bool,
    /// Whether pid 1 is stockade's.
    pub init: At<bool>,
    /// Whether the target can mount its hierarchy in namespaces of its own.
    pub nested: bool,
}

pub(crate) fn draft(asked: &Asked<'_>, host: &Host, draft: &mut Draft) -> Grouped {
    let Asked { limits, optional, mounts, settled, choice, named, init, nested } = asked;
    if !limits.is_used() {
        return Grouped::default();
    }
    let root = host.caller.uid == 0;
    let (groups, no_systemd, nobody) =
        match choose(limits, &host.control_groups, &host.caller.user, root) {
            Made::Directly(unable) => (Cow::Borrowed(&host.control_groups), unable, None),
            Made::InScope(scope) => (Cow::Owned(in_scope(&host.control_groups, scope)), None, None),
            Made::Not(unable) => (Cow::Borrowed(&host.control_groups), None, Some(unable)),
        };
    let mut planner = Planner {
        limits,
        optional: *optional,
        nested: *nested,
        root,
        groups: &groups,
        no_systemd,
        nobody,
        made: BTreeMap::new(),
        fallen: vec![],
        refused: vec![],
    };
    planner.gather(draft);
    if let (true, Some(at)) = (*named, planner.made.values().map(|group| group.at).next()) {
        OF_THE_NAMED.into_iter().for_each(|controller| drop(planner.join(controller, at)));
    }
    if !choice.is_new(Kind::Pid) {
        planner.freeze_to_end();
    }
    let Planner { made, fallen, refused, .. } = planner;
    report(fallen, refused, draft);
    let has = |controller| made.values().any(|group| group.controllers.contains(&controller));
    let cpu_time = limits.cpu_time.get().filter(|_| has(Controller::Cpuacct));
    if let (Some(time), false) = (cpu_time, init.value) {
        draft.problem(unwatched(time.at, init.at));
    }
    if init.value && has(Controller::Pids) {
        draft.problems.extend(no_room_for_two(limits));
    }
    for (index, group) in &made {
        let slot = steps(limits, &groups, *index, group, draft);
        if *nested && groups.hierarchies[*index].version == Version::V2 {
            bound_inner_groups(slot, group, draft);
        }
    }
    if made.is_empty() {
        return Grouped::default();
    }
    guard_groups(settled.uncovered(mounts), &settled.tree, &groups, made.keys(), host, draft);
    if choice.is_new(Kind::Cgroup) {
        draft.step(Stage::Group, ProcessOp::CgroupNamespace, choice.at(Kind::Cgroup));
    }
    let cpu_time_ms =
        cpu_time.map(|time| u64::try_from(time.value.0.as_millis()).unwrap_or(u64::MAX));
    Grouped { group: true, directories: directories(&groups), cpu_time_ms }
}

/// Where groups of launchers that are dead may be.
fn directories(groups: &Groups) -> Vec<Name> {
    let own = groups.hierarchies.iter().filter(|hierarchy| hierarchy.scope.is_none());
    own.map(|hierarchy| Name::new(&hierarchy.directory)).collect()
}

/// The time is held by pid 1, if that is stockade's.
fn unwatched(at: Span, init: Span) -> Problem {
    let message = "cannot limit `cpu-time`: pid 1 of the sandbox is not stockade's";
    Problem::new("limits::init", at, message).also(init, "because of this")
}

/// Why pid 1 and the target do not fit into `pids`, if they do not.
fn no_room_for_two(limits: &Limits) -> Option<Problem> {
    let pids = limits.pids.get().filter(|pids| pids.value == Count::Number(1))?;
    let message = "cannot limit `pids` to 1: stockade's pid 1 and the target are 2";
    Some(Problem::new("limits::init", pids.at, message).help("set pids = 2"))
}
