//! Which hierarchy a controller is used in. Pure: the facts and the draft both ask here.

use super::{Limits, values::Amount};
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Form, Version};
use crate::text::gather::Gather;
use std::collections::BTreeSet;

/// Where a controller is: version 1 has it where it is mounted there; else version 2.
pub(crate) fn place(controller: Controller, groups: &Groups) -> Option<usize> {
    let find = |version: Version, has: &dyn Fn(&[String]) -> bool| {
        groups
            .hierarchies
            .iter()
            .position(|hierarchy| hierarchy.version == version && has(&hierarchy.controllers))
    };
    let named = |name: &'static str| {
        move |controllers: &[String]| controllers.iter().any(|known| known == name)
    };
    find(Version::V1, &named(controller.v1())).or_else(|| match controller.v2() {
        Form::Named(name) => find(Version::V2, &named(name)),
        Form::BuiltIn => find(Version::V2, &|_| true),
        Form::None => None,
    })
}

/// Further controllers of a sandbox with a name, if they are available: the first freezes it, and
/// `ps` reads the second.
pub(crate) const OF_THE_NAMED: [Controller; 2] = [Controller::Freezer, Controller::Cpuacct];

/// What keeps a group with a controller from being made in a hierarchy that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle<'a> {
    /// Nothing can be made there.
    Refused(i32),
    /// No process may be moved there through this group.
    Barred(&'a str),
    /// So many processes besides the launcher are there.
    Shared(usize),
}

/// The first obstacle.
pub(crate) fn obstacle(hierarchy: &Hierarchy, controller: Controller) -> Option<Obstacle<'_>> {
    if hierarchy.refused != 0 {
        return Some(Obstacle::Refused(hierarchy.refused));
    }
    if let Some(above) = &hierarchy.barred {
        return Some(Obstacle::Barred(above));
    }
    let Form::Named(name) = controller.v2() else { return None };
    let on = hierarchy.version == Version::V1
        || hierarchy.top
        || hierarchy.others == 0
        || hierarchy.enabled.iter().any(|known| known == name);
    (!on).then_some(Obstacle::Shared(hierarchy.others))
}

/// Whether there is one.
pub(crate) fn has_obstacle(hierarchy: &Hierarchy, controller: Controller) -> bool {
    obstacle(hierarchy, controller).is_some()
}

/// Every controller that a profile's limits need.
pub(crate) fn wanted_controllers(limits: &Limits, named: bool) -> BTreeSet<Controller> {
    let own = limits.controllers.items.iter().map(|controller| controller.value);
    let raw = limits
        .raw
        .get()
        .into_iter()
        .flat_map(|raw| raw.0.keys().filter_map(|file| Controller::of_file(file)));
    limits
        .wanted()
        .filter_map(|(key, _)| key.controller())
        .chain(own)
        .chain(raw)
        .chain(OF_THE_NAMED.into_iter().filter(|_| named))
        .gather()
}

impl Limits {
    /// Whether a file is set that kernels lack by their version or configuration.
    pub fn sets_rare_files(&self) -> bool {
        self.io_weight.get().is_some()
            || self.cpu_burst.get().is_some()
            || self.hugetlb.get().is_some()
            || self.raw.get().is_some()
    }

    /// Whether the memory of the machine is asked for: a share of it is set, or what a profile gives
    /// shares of it to is held against the limit.
    pub fn wants_share(&self) -> bool {
        self.memory.get().is_some()
            || [&self.memory_high, &self.memory_swap]
                .iter()
                .any(|limit| matches!(limit.get().map(|at| at.value), Some(Amount::Percent(_))))
    }
}
