//! Who makes the groups: stockade itself, or systemd at its request. Pure: the facts and the draft
//! both ask here.
//!
//! A scope is asked for only where no group is available without: what stockade makes below the
//! launcher's own group is bound by the limits of that group, and what systemd makes is not.

use super::Limits;
use super::files::bytes;
use super::place::{has_obstacle, place, wanted_controllers};
use super::values::{Count, Manager};
use crate::host::groups::{Groups, Hierarchy};
use crate::kernel::controller::Version;
use crate::kernel::limit::LimitKey;
use crate::language::value::below;

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Made<'a> {
    /// Stockade makes them; the second is why systemd does not, where that would help.
    Directly(Option<Unable>),
    /// In a scope, which is to be in this hierarchy.
    InScope(&'a Hierarchy),
    /// By nobody.
    Not(Unable),
}

/// Why systemd makes no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unable {
    pub why: String,
    pub help: String,
}

fn manager(limits: &Limits) -> Manager {
    limits.manager.get().map_or(Manager::Auto, |manager| manager.value)
}

/// Whether it matters what systemd could do.
pub(crate) fn asks_systemd(limits: &Limits, groups: &Groups, root: bool) -> bool {
    match manager(limits) {
        Manager::Direct => false,
        Manager::Systemd => is_unified(groups) && limits.parent.get().is_none(),
        Manager::Auto => {
            !root
                && is_unified(groups)
                && limits.parent.get().is_none()
                && lacking(limits, groups) > 0
        }
    }
}

/// Version 1 is delegated to no ordinary user, and systemd's scopes are then in a hierarchy without
/// controllers.
fn is_unified(groups: &Groups) -> bool {
    !groups.hierarchies.is_empty()
        && groups.hierarchies.iter().all(|hierarchy| hierarchy.version == Version::V2)
}

/// How many of the controllers that the limits need are not available.
fn lacking(limits: &Limits, groups: &Groups) -> usize {
    let lacks = |controller: &super::Controller| {
        place(*controller, groups)
            .is_none_or(|index| has_obstacle(&groups.hierarchies[index], *controller))
    };
    wanted_controllers(limits, false).iter().filter(|controller| lacks(controller)).count()
}

/// The groups, with the hierarchy of a scope in place of the launcher's own.
pub(crate) fn in_scope(groups: &Groups, scope: &Hierarchy) -> Groups {
    Groups { hierarchies: vec![scope.clone()], ..groups.clone() }
}

pub(crate) fn choose<'a>(limits: &Limits, groups: &'a Groups, user: &str, root: bool) -> Made<'a> {
    let unreached = |why: String| {
        let start = if root {
            "see that systemd runs: systemctl is-system-running".to_owned()
        } else {
            format!(
                "have the user's systemd started: log in as the user, or as root: loginctl \
                 enable-linger {}",
                crate::text::shell::shell_word(user)
            )
        };
        Unable { why, help: start }
    };
    match (manager(limits), &groups.systemd) {
        (Manager::Direct, _) | (Manager::Auto, None) => Made::Directly(None),
        (Manager::Auto, Some(Err(found))) => Made::Directly(Some(unreached(found.words(root)))),
        (Manager::Auto, Some(Ok(scope)))
            if lacking(limits, &in_scope(groups, scope)) >= lacking(limits, groups) =>
        {
            Made::Directly(None)
        }
        (Manager::Auto, Some(Ok(scope))) => match left_behind(limits, groups, scope) {
            Some((key, directory)) => Made::Directly(Some(Unable {
                why: format!(
                    "a scope of systemd's would leave the limit of {key} that {directory} has"
                ),
                help: format!(
                    "add Delegate=yes to the unit that starts it; or set a `{key}` that is not \
                     above that one; or leave it behind: manager = \"systemd\""
                ),
            })),
            None => Made::InScope(scope),
        },
        (Manager::Systemd, Some(Ok(scope))) => Made::InScope(scope),
        (Manager::Systemd, Some(Err(found))) => Made::Not(unreached(found.words(root))),
        (Manager::Systemd, None) if limits.parent.get().is_some() => Made::Not(Unable {
            why: "systemd chooses the place of its scopes, and `parent` names another".into(),
            help: "leave `parent` out, or `manager`".into(),
        }),
        (Manager::Systemd, None) => Made::Not(Unable {
            why: "control groups are version 1 here, of which systemd gives nothing away".into(),
            help: "leave `manager` out; or boot with systemd.unified_cgroup_hierarchy=1".into(),
        }),
    }
}

/// How a caller comes to a group of its own.
pub(crate) fn scope(root: bool) -> String {
    format!(
        "start it in a group of its own: systemd-run {}--scope -p Delegate=yes stockade run ...",
        if root { "" } else { "--user " }
    )
}

/// A limit on the launcher's group, by its key and directory, that a new scope would escape and
/// that the profile does not set itself.
fn left_behind<'a>(
    limits: &Limits,
    groups: &'a Groups,
    scope: &Hierarchy,
) -> Option<(&'static str, &'a str)> {
    let own = |key: LimitKey| match key {
        LimitKey::Memory => bytes(&limits.memory, scope, groups),
        LimitKey::MemoryHigh => bytes(&limits.memory_high, scope, groups),
        LimitKey::MemorySwap if limits.memory_swap.get().is_none() => {
            limits.memory.get().map(|_| 0)
        }
        LimitKey::MemorySwap => bytes(&limits.memory_swap, scope, groups),
        LimitKey::Cpu => limits.cpu.get().and_then(|cores| cores.value.0),
        _ => limits.pids.get().and_then(|count| {
            if let Count::Number(number) = count.value { Some(number) } else { None }
        }),
    };
    let all = groups.hierarchies.iter().flat_map(|hierarchy| &hierarchy.least);
    let left = all.filter(|(key, (least, directory))| {
        below(&scope.directory, directory).is_none() && own(**key).is_none_or(|own| own > *least)
    });
    left.map(|(key, (_, directory))| (key.word(), directory.as_str())).next()
}
