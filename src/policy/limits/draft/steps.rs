//! The steps of one group: it is made, its files are written, and what is no file is set up.

use super::Group;
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Form, Version};
use crate::kernel::name::Name;
use crate::policy::limits::Limits;
use crate::policy::limits::files::Setting;
use crate::policy::limits::values::Oom;
use crate::step::draft::Draft;
use crate::step::{Directory, GroupOp, ProcessOp, Slot, Stage};
use crate::text::source::Span;

/// The steps of one group.
pub(super) fn steps(
    limits: &Limits,
    groups: &Groups,
    index: usize,
    group: &Group,
    draft: &mut Draft,
) -> Slot {
    let hierarchy = &groups.hierarchies[index];
    let at = group.at;
    let directory = match &hierarchy.scope {
        None => Directory::Path(Name::new(&hierarchy.directory)),
        Some(socket) => {
            draft
                .group(GroupOp::Scope { socket: Name::new(&socket.path), route: socket.route }, at);
            Directory::Scope
        }
    };
    if hierarchy.version == Version::V2 {
        let off: Vec<&'static str> = group
            .controllers
            .iter()
            .filter_map(|controller| match controller.v2() {
                Form::Named(name) if !hierarchy.enabled.iter().any(|known| known == name) => {
                    Some(name)
                }
                _ => None,
            })
            .collect();
        if !off.is_empty() {
            if !hierarchy.top && hierarchy.inside {
                draft.group(GroupOp::StepAside { directory: directory.clone() }, at);
            }
            draft.group(GroupOp::SwitchOn { directory: directory.clone(), controllers: off }, at);
        }
    }
    let slot = draft.slot();
    let controllers: Vec<Controller> = group.controllers.iter().copied().collect();
    draft.group(GroupOp::Group { slot, version: hierarchy.version, controllers, directory }, at);
    let mut limit = |setting: &Setting, at: Span, may_fall: bool| {
        let op = GroupOp::GroupLimit {
            slot,
            controller: setting.controller,
            file: Name::new(&setting.file),
            value: Name::new(&setting.value),
            may_fall,
        };
        draft.group(op, at);
    };
    for setting in inherited_sets(hierarchy, group) {
        limit(&setting, at, false);
    }
    for (setting, wanted) in &group.settings {
        limit(setting, wanted.at, wanted.may_fall);
    }
    extras(limits, groups, hierarchy.version, group, slot, draft);
    if hierarchy.version == Version::V1 {
        draft.step(Stage::Group, ProcessOp::EnterGroup { slot }, at);
    }
    slot
}

/// Each group is memory of the kernel's, and a target that is its group's owner may make any number
/// (cgroup-v2.rst, cgroup.max.descendants). These are enough for a service manager in a container.
const INNER_GROUPS: [(&str, &str); 2] =
    [("cgroup.max.descendants", "1000"), ("cgroup.max.depth", "16")];

pub(super) fn bound_inner_groups(slot: Slot, group: &Group, draft: &mut Draft) {
    let Some(controller) = group.controllers.first().copied() else { return };
    for (file, value) in INNER_GROUPS {
        let op = GroupOp::GroupLimit {
            slot,
            controller,
            file: Name::new(file),
            value: Name::new(value),
            may_fall: false,
        };
        draft.group(op, group.at);
    }
}

/// Operations other than writing a file.
fn extras(
    limits: &Limits,
    groups: &Groups,
    version: Version,
    group: &Group,
    slot: Slot,
    draft: &mut Draft,
) {
    let has = |controller| group.controllers.contains(&controller);
    if has(Controller::Devices) {
        draft.group(GroupOp::DeviceRules { slot, version, nodes: groups.nodes.clone() }, group.at);
    }
    if let (Some(oom), true, Version::V1) = (limits.oom.get(), has(Controller::Memory), version)
        && oom.value == Oom::KillAll
    {
        draft.group(GroupOp::WatchMemory { slot }, oom.at);
    }
    if let (Some(time), true) = (limits.cpu_time.get(), has(Controller::Cpuacct)) {
        draft.group(GroupOp::CpuAccount { slot, version }, time.at);
    }
}

/// A new group of version 1's cpuset has no processor and no node, and takes no process until it
/// has (cpuset(7)).
fn inherited_sets(hierarchy: &Hierarchy, group: &Group) -> Vec<Setting> {
    if hierarchy.version == Version::V2 || !group.controllers.contains(&Controller::Cpuset) {
        return vec![];
    }
    let said = |file: &str| group.settings.iter().any(|(setting, _)| setting.file == file);
    [("cpuset.cpus", &hierarchy.cpus), ("cpuset.mems", &hierarchy.nodes)]
        .into_iter()
        .filter(|(file, _)| !said(file))
        .map(|(file, value)| Setting {
            controller: Controller::Cpuset,
            file: file.into(),
            value: value.clone(),
        })
        .collect()
}
