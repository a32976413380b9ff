//! Who the target is on this machine, and what forbids that.

use super::{Id, Identity, Ids, is_mapped, maps};
use crate::host::Host;
use crate::kernel::idmap::{Maps, outside};
use crate::kernel::namespace::Kind;
use crate::policy::namespaces::{Choice, Namespace};
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::gather::Gather;
use crate::text::problem::Problem;
use crate::text::source::{At, Span};
use std::collections::{BTreeMap, BTreeSet};

/// The user, and the group, of a sandbox that root starts, where the profile says none.
pub(crate) const UNSAID_FOR_ROOT: u32 = 1000;

/// Settles ids and maps. The user namespace comes with the line that chose it. `many` is whether the
/// target sees trees of many owners, which root's sandbox needs ids for.
pub(crate) fn draft(
    identity: &Identity,
    (user_ns, user_ns_at): (&Namespace, Span),
    many: bool,
    host: &Host,
    draft: &mut Draft,
) -> Ids {
    let root = host.caller.uid == 0;
    let (mut ids, places) = numbers(identity, host, draft);
    let real = identity.host.get().filter(|real| real.value);
    if let (Some(real), false) = (real, root) {
        draft.problem(
            Problem::new(
                "identity::host",
                real.at,
                "cannot take host ids: only root can choose them",
            )
            .help("leave `host` out: an ordinary user's sandbox has that user's own id"),
        );
    }
    if let (Some(first), true) = (identity.host_ids.get(), !root || *user_ns != Namespace::New) {
        let message =
            "cannot choose host ids: only root does, for a user namespace of the sandbox's own";
        draft.problem(
            Problem::new("identity::range", first.at, message).help("leave `host-ids` out"),
        );
    }
    if *user_ns != Namespace::New {
        in_another(identity, (user_ns, user_ns_at), (&ids, places), host, draft);
        return ids;
    }
    let maps = if root {
        maps::for_root(identity, &ids, real.is_some(), many, host, draft)
    } else {
        maps::for_user(identity, &ids, host, draft)
    };
    refuse_unmapped(identity, &maps, (&ids, places), draft);
    ids.host_user = outside(&maps.uid, ids.user).unwrap_or(ids.user);
    ids.host_group = outside(&maps.gid, ids.group).unwrap_or(ids.group);
    ids.single = maps.uid.len() == 1 && maps.uid[0].count == 1;
    ids.needs_idmap = is_mapped(identity, &host.caller);
    ids.groups_stay = maps::groups_stay(&maps, host);
    ids.maps = Some(maps);
    ids
}

/// Supplementary groups inside, each with its line.
type Places = Vec<(Span, u32)>;

/// Who the target is inside; outside it is the same until a map says otherwise.
fn numbers(identity: &Identity, host: &Host, draft: &mut Draft) -> (Ids, Places) {
    let own = |id: u32| if host.caller.uid == 0 { UNSAID_FOR_ROOT } else { id };
    let mut resolve = |id: Option<&At<Id>>,
                       names: &BTreeMap<String, u32>,
                       unsaid: u32,
                       what: &str| match id {
        None => unsaid,
        Some(At { value: Id::Number(number), .. }) => *number,
        Some(At { value: Id::Name(name), at }) => names.get(name).copied().unwrap_or_else(|| {
            draft.problem(
                Problem::new(
                    "identity::name",
                    *at,
                    format!("cannot find the {what} `{name}`: the host has none of that name"),
                )
                .help("write its number"),
            );
            unsaid
        }),
    };
    let user = resolve(identity.user.get(), &host.users, own(host.caller.uid), "user");
    let group = resolve(identity.group.get(), &host.groups, own(host.caller.gid), "group");
    let places: Places = identity
        .groups
        .items
        .iter()
        .map(|id| (id.at, resolve(Some(id), &host.groups, 0, "group")))
        .collect();
    let groups: BTreeSet<u32> = places.iter().map(|(_, id)| *id).gather();
    let at = (
        identity.user.at().or(identity.group.at()),
        places.first().map_or(Span::NOWHERE, |(at, _)| *at),
    );
    let ids = Ids {
        user,
        group,
        groups: groups.into_iter().collect(),
        host_user: user,
        host_group: group,
        at,
        ..Ids::default()
    };
    (ids, places)
}

/// In a user namespace that is not the sandbox's own, ids are what they are there.
fn in_another(
    identity: &Identity,
    (user_ns, user_ns_at): (&Namespace, Span),
    (ids, places): (&Ids, Places),
    host: &Host,
    draft: &mut Draft,
) {
    let root = host.caller.uid == 0;
    let (user, group) = (ids.user, ids.group);
    let real = identity.host.get().filter(|real| real.value);
    if root && real.is_none() && *user_ns == Namespace::Host {
        let at = identity.host.at().or(user_ns_at);
        if host.powerless_root {
            let text = format!(
                "this root has no CAP_SYS_ADMIN, so the target has ids of this container's: user \
                 {user}, group {group}"
            );
            draft.note(at, text);
            return without_user_namespace(identity, draft);
        }
        draft.problem(
            Problem::new(
                "identity::host",
                at,
                "cannot share the user namespace: the target would have ids of the host",
            )
            .help(format!(
                "say so in [identity]: host = true; it runs then as the host's user {user} and \
                 group {group} (root names others with `user` and `group`); or leave \
                 namespaces.user new"
            )),
        );
    }
    without_user_namespace(identity, draft);
    if let (Some(real), Namespace::Join(_)) = (real.filter(|_| root), user_ns) {
        draft.problem(
            Problem::new(
                "identity::host",
                real.at,
                "cannot take host ids: the ids are those of the user namespace that the sandbox \
                 joins",
            )
            .also(user_ns_at, "because of this")
            .help("leave `host` out"),
        );
    }
    if *user_ns == Namespace::Host && !root {
        keep_own_ids(identity, ids, host, (user_ns_at, places), draft);
    }
}

/// Every id that the target has must be in the map.
fn refuse_unmapped(
    identity: &Identity,
    maps: &Maps,
    (ids, places): (&Ids, Places),
    draft: &mut Draft,
) {
    let (user_at, group_at) = (
        identity.user.at().or(identity.uid_map.at()),
        identity.group.at().or(identity.gid_map.at()),
    );
    for (at, extents, id, kind) in
        [(user_at, &maps.uid, ids.user, "user"), (group_at, &maps.gid, ids.group, "group")]
    {
        if outside(extents, id).is_none() && draft.problems.is_empty() {
            draft.problem(
                Problem::new(
                    "identity::unmapped",
                    at,
                    format!("cannot become {kind} {id}: it is not in the {kind} map"),
                )
                .help("add a range that holds it"),
            );
        }
    }
    for (at, id) in places {
        if outside(&maps.gid, id).is_none() {
            draft.problem(
                Problem::new(
                    "identity::unmapped",
                    at,
                    format!("cannot join group {id}: it is not in the group map"),
                )
                .help("an ordinary user needs gid-map = \"auto\" for further groups"),
            );
        }
    }
}

/// Maps belong to a new user namespace.
fn without_user_namespace(identity: &Identity, draft: &mut Draft) {
    for (name, map) in [("uid-map", &identity.uid_map), ("gid-map", &identity.gid_map)] {
        if let Some(map) = map.get() {
            draft.problem(Problem::new(
                "identity::map",
                map.at,
                format!("cannot write `{name}`: the sandbox has no user namespace of its own"),
            ));
        }
    }
}

/// An ordinary user without a user namespace has its own ids, and cannot change them (setresuid(2),
/// setgroups(2)).
fn keep_own_ids(
    identity: &Identity,
    ids: &Ids,
    host: &Host,
    (why, groups): (Span, Vec<(Span, u32)>),
    draft: &mut Draft,
) {
    let mut refuse = |at, what: String, help: &str| {
        let message = format!(
            "cannot {what}: an ordinary user has its own ids alone without a user namespace"
        );
        draft.problem(
            Problem::new("identity::unmapped", at, message).also(why, "because of this").help(help),
        );
    };
    let own = [
        (identity.user.at(), ids.user, host.caller.uid, "user"),
        (identity.group.at(), ids.group, host.caller.gid, "group"),
    ];
    for (at, id, _, kind) in own.into_iter().filter(|(_, id, own, _)| id != own) {
        refuse(
            at,
            format!("become {kind} {id}"),
            "leave it out, or let the sandbox have one: namespaces.user = \"new\"",
        );
    }
    for (at, id) in groups {
        refuse(at, format!("join group {id}"), "leave it out: the caller's own groups stay");
    }
}

/// The process that builds the world owns what it makes, so it takes the target's ids first.
pub(crate) fn become_owner(choice: &Choice, ids: &Ids, draft: &mut Draft) {
    match &ids.maps {
        // One's own ids alone are mapped, and the child has them.
        Some(Maps { deny_setgroups: true, helpers: false, .. }) => {}
        Some(Maps { deny_setgroups: true, .. }) => {
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0)
        }
        Some(_) => {
            draft.step(Stage::Ids, ProcessOp::Groups { groups: ids.groups.clone() }, ids.at.1);
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0);
        }
        None if *choice.of(Kind::User) == Namespace::Host => {
            draft.step(
                Stage::Ids,
                ProcessOp::FileIds { user: ids.user, group: ids.group },
                ids.at.0,
            );
        }
        None => {}
    }
}
