//! From limits and facts to steps: which groups are made where, what is written into them, and what
//! falls.

use super::files::{Refusal, Setting, less_than_a_page, settings};
use super::manager::{Made, Unable, choose, in_scope};
use super::place::{OF_THE_NAMED, place};
use super::refusals::{absent, check_place, check_sets, is_there, raw_help, say};
use super::values::Count;
use super::{Limits, Wanted, What};
use crate::host::Host;
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::{Controller, Form, Version};
use crate::kernel::limit::LimitKey;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::language::value::below;
use crate::policy::mounts::checks::why_broad;
use crate::policy::mounts::kinds::{Access, Bind, Broad, Grant, Mount};
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::Tree;
use crate::policy::mounts::{Mounts, written};
use crate::policy::namespaces::Choice;
use crate::step::draft::Draft;
use crate::step::{Directory, GroupOp, ProcessOp, Slot, Stage};
use crate::text::problem::Problem;
use crate::text::source::{At, Span};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Whether the profile itself, besides the file of each limit, lets limits fall.
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
    say(fallen, refused, draft);
    let cpu_time = limits
        .cpu_time
        .get()
        .filter(|_| made.values().any(|group| group.controllers.contains(&Controller::Cpuacct)));
    if let (Some(time), false) = (cpu_time, init.value) {
        draft.problem(
            Problem::new(
                "limits::init",
                time.at,
                "cannot limit `cpu-time`: pid 1 of the sandbox is not stockade's",
            )
            .also(init.at, "because of this"),
        );
    }
    let has_pids = made.values().any(|group| group.controllers.contains(&Controller::Pids));
    if let (Some(pids), true, true) =
        (limits.pids.get().filter(|pids| pids.value == Count::Number(1)), init.value, has_pids)
    {
        let message = "cannot limit `pids` to 1: stockade's pid 1 and the target are 2";
        draft.problem(Problem::new("limits::init", pids.at, message).help("set pids = 2"));
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
    let directories = groups
        .hierarchies
        .iter()
        .filter(|hierarchy| hierarchy.scope.is_none())
        .map(|hierarchy| Name::new(&hierarchy.directory))
        .collect();
    Grouped { group: true, directories, cpu_time_ms }
}

struct Planner<'a> {
    limits: &'a Limits,
    /// Whether the profile itself lets its limits fall: the items of `controllers` may come from
    /// several files.
    optional: bool,
    nested: bool,
    root: bool,
    groups: &'a Groups,
    /// Why systemd makes no group, where it could be asked.
    no_systemd: Option<Unable>,
    /// Why nobody makes one.
    nobody: Option<Unable>,
    made: BTreeMap<usize, Group>,
    fallen: Vec<(Wanted, Refusal)>,
    refused: Vec<(Wanted, Refusal)>,
}

impl Planner<'_> {
    fn gather(&mut self, draft: &mut Draft) {
        for (key, wanted) in self.limits.wanted() {
            match key.controller() {
                Some(controller) => self.key(key, wanted, controller, draft),
                None => self.raw(wanted, draft),
            }
        }
        for controller in &self.limits.controllers.items {
            let what = What::Controller(controller.value);
            let wanted = Wanted { what, at: controller.at, may_fall: self.optional };
            if let Err(refusal) = self.join(controller.value, controller.at) {
                self.refuse(wanted, refusal);
            }
        }
    }

    fn key(&mut self, key: LimitKey, wanted: Wanted, controller: Controller, draft: &mut Draft) {
        let written = self.join(controller, wanted.at).and_then(|index| {
            let hierarchy = &self.groups.hierarchies[index];
            if let Some(refusal) = less_than_a_page(self.limits, key, hierarchy, self.groups) {
                self.refused.push((wanted, refusal));
                return Ok((index, (vec![], None)));
            }
            let found = settings(self.limits, key, hierarchy, self.groups)?;
            found.0.iter().try_for_each(|setting| is_there(setting, hierarchy))?;
            Ok((index, found))
        });
        match written {
            Err(refusal) => self.refuse(wanted, refusal),
            Ok((index, (settings, fallen))) => {
                if let Some(refusal) = fallen {
                    self.refuse(wanted, refusal);
                }
                self.note_less_above(key, wanted.at, index, &settings, draft);
                let Some(group) = self.made.get_mut(&index) else { return };
                group.settings.extend(settings.into_iter().map(|setting| (setting, wanted)));
            }
        }
    }

    fn raw(&mut self, wanted: Wanted, draft: &mut Draft) {
        for (file, value) in self.limits.raw.get().into_iter().flat_map(|raw| &raw.0) {
            let Some(controller) = Controller::of_file(file).filter(|_| is_plain(file)) else {
                let help = raw_help(file);
                draft.problem(
                    Problem::new(
                        "limits::raw",
                        wanted.at,
                        format!(
                            "cannot set `{file}`: it is no file of a controller that is a limit"
                        ),
                    )
                    .help(help),
                );
                continue;
            };
            if !is_line(value) {
                let message = format!("cannot set `{file}`: its value is no line of text");
                draft.problem(Problem::new("limits::raw", wanted.at, message).help(format!(
                    "write what the kernel shall read, such as \"{file}\" = \"10\""
                )));
                continue;
            }
            if let Some(other) = self.set_by(file, wanted) {
                let message = format!(
                    "cannot set `{file}` in `raw`: `{}` sets it as well",
                    other.what.word()
                );
                draft.problem(
                    Problem::new("limits::raw", wanted.at, message)
                        .also(other.at, "set here")
                        .help("leave one of them out"),
                );
                continue;
            }
            let setting = Setting { controller, file: file.clone(), value: value.clone() };
            let joined = self.join(controller, wanted.at);
            match joined.and_then(|index| {
                is_there(&setting, &self.groups.hierarchies[index]).map(|()| index)
            }) {
                Err(refusal) => self.refuse(wanted, refusal),
                Ok(index) => {
                    draft.note(
                        wanted.at,
                        format!(
                            "whether the kernel takes \"{value}\" for {file} shows when it is written"
                        ),
                    );
                    self.made.entry(index).or_default().settings.push((setting, wanted));
                }
            }
        }
    }

    /// The key of the profile that sets a file.
    fn set_by(&self, file: &str, raw: Wanted) -> Option<Wanted> {
        let mut settings = self.made.values().flat_map(|group| &group.settings);
        settings
            .find(|(setting, wanted)| setting.file == file && wanted.what != raw.what)
            .map(|(_, wanted)| *wanted)
    }

    /// Without a pid namespace that ends with its first process, a group of version 1 is ended
    /// while it is frozen: what forks faster than it is killed would not end.
    fn freeze_to_end(&mut self) {
        if let Some(at) = self.made.values().map(|group| group.at).next() {
            // Where there is no freezer, killing goes round by round.
            drop(self.join(Controller::Freezer, at));
        }
    }

    fn refuse(&mut self, wanted: Wanted, refusal: Refusal) {
        if wanted.may_fall {
            self.fallen.push((wanted, refusal))
        } else {
            self.refused.push((wanted, refusal))
        }
    }

    /// Takes a controller into the group of its hierarchy.
    fn join(&mut self, controller: Controller, at: Span) -> Result<usize, Refusal> {
        if let Some(Unable { why, help }) = &self.nobody {
            return Err(Refusal {
                why: why.clone(),
                help: format!("{help}\nor let them fall: optional = [\"limits\"] in the same file"),
            });
        }
        let Some(index) = place(controller, self.groups) else {
            return Err(absent(controller, self.groups));
        };
        if controller == Controller::Devices && !self.root {
            // Version 1 asks for CAP_SYS_ADMIN (device_cgroup.c), version 2 for CAP_NET_ADMIN and
            // CAP_BPF (bpf(2)).
            let help = "take `devices` out of `controllers`, or start it as root; or let them \
                        fall: optional = [\"limits\"] in the same file";
            return Err(Refusal {
                why: "the kernel takes rules for devices from root alone".into(),
                help: help.into(),
            });
        }
        let hierarchy = &self.groups.hierarchies[index];
        check_place(hierarchy, controller, self.limits, self.root, self.no_systemd.as_ref())?;
        check_sets(hierarchy, controller)?;
        if self.nested && !self.root && !hierarchy.delegates {
            // In namespaces of its own it mounts the hierarchy, with its group as the top: the
            // group's files are those of the user that it is.
            let help = "leave \"mount\" or \"cgroup\" out of `nested`, or start it as root; or let \
                        them fall: optional = [\"limits\"] in the same file";
            return Err(Refusal {
                why: "the target may make mount and cgroup namespaces (`nested`), and could lift \
                      in them what this user sets"
                    .into(),
                help: help.into(),
            });
        }
        let group = self.made.entry(index).or_default();
        group.controllers.insert(controller);
        group.at = group.at.or(at);
        Ok(index)
    }

    /// A limit of a group above holds as well, whatever the profile says.
    fn note_less_above(
        &self,
        key: LimitKey,
        at: Span,
        index: usize,
        settings: &[Setting],
        draft: &mut Draft,
    ) {
        let hierarchy = &self.groups.hierarchies[index];
        let Some((least, directory)) = hierarchy.least.get(&key) else { return };
        let own = match key {
            LimitKey::Cpu => self.limits.cpu.get().and_then(|cores| cores.0),
            _ => settings.first().and_then(|setting| setting.value.parse().ok()),
        };
        if own.is_none_or(|own| *least < own) {
            let least = if key == LimitKey::Cpu {
                format!("{} processors", *least as f64 / 1000.0)
            } else {
                least.to_string()
            };
            draft.note(
                at,
                format!("the group {directory} allows less: {} is {least} there", key.word()),
            );
        }
    }
}

/// A name in the directory of a group.
fn is_plain(file: &str) -> bool {
    !file.is_empty() && file.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Text that a file of the kernel takes as one line. It takes none at all for nothing to do
/// (kernfs, write(2) of 0 bytes).
fn is_line(value: &str) -> bool {
    !value.trim().is_empty() && !value.contains(['\0', '\n', '/'])
}

/// The steps of one group.
fn steps(limits: &Limits, groups: &Groups, index: usize, group: &Group, draft: &mut Draft) -> Slot {
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

fn bound_inner_groups(slot: Slot, group: &Group, draft: &mut Draft) {
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

/// What is no file to write.
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
        && oom.value == super::values::Oom::KillAll
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

/// What can be granted of the hierarchy: the kernel's own tree has a kind of its own.
fn read_only(path: &str, source: &str, bind: &Bind) -> String {
    if below(source, "/sys").is_some() {
        return "leave it out: the launcher sets the limits, and the target needs no group".into();
    }
    // Without the words for writing: `owner` would show the target what root alone may read.
    let bind =
        Bind { access: Access::ReadOnly, broad: Broad::Refuse, owner_root: false, ..bind.clone() };
    format!("grant it read-only: {}", written::line(path, &Mount::Bind(bind)))
}

/// A target that can write to the hierarchy could raise its limits, or leave its group.
fn guard_groups<'a>(
    mounts: &Mounts,
    tree: &Tree,
    groups: &Groups,
    used: impl Iterator<Item = &'a usize>,
    host: &Host,
    draft: &mut Draft,
) {
    // However often a hierarchy is mounted, and whatever part of it.
    let used = used.map(|index| &groups.hierarchies[*index].mount);
    let points: Vec<&String> = groups.points.iter().chain(used).collect();
    // An entry that is left out, as too broad, grants nothing; one that is refused as too broad is
    // reported once.
    for (path, mount) in mounts.iter().filter(|(path, _)| tree.contains_key(path.value)) {
        let Some(Grant { written: Some(source), words: bind, .. }) = mount.value.grant(path.value)
        else {
            continue;
        };
        let over = points
            .iter()
            .find(|point| below(source, point).is_some() || below(point, source).is_some());
        let refused = bind.broad != Broad::Allow && why_broad(source, host).is_some();
        if let (Some(point), false) = (over, refused) {
            let message = format!(
                "cannot grant {source} for writing: the control groups of {point} are in it, and \
                 the target could leave its own"
            );
            draft.problem(
                Problem::new("limits::mount", mount.at, message)
                    .help(read_only(path.value, source, bind)),
            );
        }
    }
}
