//! Which ids of the host are behind those inside: the maps of a new user namespace.

use super::{IdMap, Identity, Ids};
use crate::host::Host;
use crate::kernel::idmap::{Extent, MANY_IDS, Maps};
use crate::language::section::Key;
use crate::step::draft::Draft;
use crate::text::problem::Problem;
use crate::text::source::Span;

/// The first host id for sandboxes that root starts. systemd's table of ids leaves 0x70000000 to
/// 0x7FFDFFFF unused (systemd's UIDS-GIDS.md); a process id, unique while its process lives, picks
/// 16 of them, so no file and no lock is needed.
const FIRST_HOST_ID: u32 = 0x7000_0000;

/// How many ids a launcher has for itself.
const IDS_PER_LAUNCHER: u32 = 16;

/// The first of the host ids that a launcher started by root has for its sandbox.
pub(crate) fn unused_host_id(launcher: u32) -> u32 {
    FIRST_HOST_ID + launcher.wrapping_mul(IDS_PER_LAUNCHER) % 0x0FFD_0000
}

/// The last of the host ids that a sandbox with [`MANY_IDS`] of them may have.
const LAST_OF_MANY: u32 = 0x6FFF_FFFF;

/// The blocks of [`MANY_IDS`] host ids that sandboxes can have, by the first id of each.
pub(crate) fn blocks() -> std::iter::StepBy<std::ops::RangeInclusive<u32>> {
    (LEAST_HOST_ID..=LAST_OF_MANY - (MANY_IDS - 1)).step_by(MANY_IDS as usize)
}

/// The place of the block that begins with this id.
pub(crate) fn block_of(first: u32) -> u64 {
    u64::from(first.saturating_sub(LEAST_HOST_ID) / MANY_IDS)
}

/// The first host id that no system user, container's `nobody` or service of systemd's has
/// (UIDS-GIDS.md of systemd).
const LEAST_HOST_ID: u32 = 0x8_0000;

/// Why a sandbox that root starts cannot have so many host ids from this on, if it cannot. `unused`
/// is whether they are mapped at all.
fn cannot_take(
    identity: &Identity,
    (base, count): (u32, u32),
    unused: bool,
    host: &Host,
) -> Option<Problem> {
    let (at, end) = (identity.host_ids.at(), base.saturating_add(count - 1));
    let refuse = |why: &str, help: &str| {
        Some(
            Problem::new(
                "identity::range",
                at,
                format!("cannot take the host ids {base} to {end}: {why}"),
            )
            .help(help),
        )
    };
    let is_chosen = identity.host_ids.get().is_some();
    if is_chosen && !unused {
        return refuse("`uid-map` or `host` says which ids the target has", "leave `host-ids` out");
    }
    if is_chosen && (base < LEAST_HOST_ID || end - base < count - 1 || end == u32::MAX) {
        return refuse("users of the system may have them", "begin at 524288 or later");
    }
    let taken = host
        .taken
        .iter()
        .any(|(first, count)| base < first.saturating_add(*count) && *first <= end);
    let help = match is_chosen {
        true => "begin where no line of /etc/passwd, /etc/group, /etc/subuid and /etc/subgid does",
        false => "choose others: identity.host-ids = FIRST; or give uid-map and gid-map",
    };
    (taken && unused).then(|| refuse("they belong to another user", help)).flatten()
}

/// Root writes any map itself.
pub(super) fn for_root(
    identity: &Identity,
    ids: &Ids,
    real: bool,
    many: bool,
    host: &Host,
    draft: &mut Draft,
) -> Maps {
    let count = if many { MANY_IDS } else { IDS_PER_LAUNCHER };
    let base = identity.host_ids.get().map_or_else(
        || match (many, &host.free_ids) {
            (true, Some(Ok(first))) => *first,
            (true, Some(Err(why))) => {
                let message =
                    format!("cannot have {MANY_IDS} host ids for the owners of layers: {why}");
                let problem = Problem::new("identity::range", identity.host_ids.at(), message);
                draft.problem(problem.help("choose them: identity.host-ids = FIRST"));
                LEAST_HOST_ID
            }
            (true, None) => LEAST_HOST_ID,
            (false, _) => unused_host_id(host.pid),
        },
        |first| first.value,
    );
    let unused = identity.uid_map.get().is_none() && !real;
    if let Some(problem) = cannot_take(identity, (base, count), unused, host) {
        draft.problem(problem);
    }
    if ids.groups.len() >= IDS_PER_LAUNCHER as usize && unused && !many {
        draft.problem(
            Problem::new(
                "identity::groups",
                identity.groups.items[0].at,
                "cannot map more than 15 supplementary groups: a launcher has 16 ids for itself",
            )
            .help("give gid-map the ranges that they need"),
        );
    }
    if unused && identity.gid_map.get().is_none() {
        let end = base.saturating_add(count - 1);
        let how = match identity.host_ids.get() {
            Some(_) => "sandboxes with the same `identity.host-ids` share them",
            None => "identity.host-ids = FIRST chooses others",
        };
        let text = format!(
            "the target has the host ids {base} to {end}; whether users of LDAP or SSSD have them \
             is not known: {how}"
        );
        draft.note(identity.host_ids.at(), text);
    }
    let one = |inside: u32, nth: u32| Extent {
        inside,
        outside: if real { inside } else { base + nth },
        count: 1,
    };
    let block = || (many && unused).then(|| vec![Extent { inside: 0, outside: base, count }]);
    let mut all_groups = vec![ids.group];
    all_groups.extend(ids.groups.iter().filter(|group| **group != ids.group));
    let uid = chosen(&identity.uid_map, &host.subuid, ids.user, None, draft)
        .or_else(block)
        .unwrap_or_else(|| vec![one(ids.user, 0)]);
    let gid = chosen(&identity.gid_map, &host.subgid, ids.group, None, draft)
        .or_else(block)
        .unwrap_or_else(|| {
            all_groups.iter().zip(0..).map(|(group, nth)| one(*group, nth)).collect()
        });
    Maps { uid, gid, helpers: false, deny_setgroups: false }
}

/// An ordinary user maps its own id alone, and ranges of /etc/subuid through the set-id helpers.
pub(super) fn for_user(identity: &Identity, ids: &Ids, host: &Host, draft: &mut Draft) -> Maps {
    let own = |inside: u32, outside: u32| vec![Extent { inside, outside, count: 1 }];
    let (uid, gid) = (host.caller.uid, host.caller.gid);
    let uid_map = chosen(&identity.uid_map, &host.subuid, ids.user, Some(uid), draft);
    let gid_map = chosen(&identity.gid_map, &host.subgid, ids.group, Some(gid), draft);
    let helpers = uid_map.is_some() || gid_map.is_some();
    // newgidmap(1) denies setgroups(2) itself where it maps the caller's own group alone
    // (CVE-2018-7169).
    let alone = |extents: &Vec<Extent>| {
        extents.iter().all(|extent| (extent.outside, extent.count) == (gid, 1))
    };
    let deny_setgroups = gid_map.as_ref().is_none_or(alone);
    let maps = Maps {
        uid: uid_map.unwrap_or_else(|| own(ids.user, uid)),
        gid: gid_map.unwrap_or_else(|| own(ids.group, gid)),
        helpers,
        deny_setgroups,
    };
    if groups_stay(&maps, host) {
        draft.note(
            Span::NOWHERE,
            "the caller's supplementary groups stay: the kernel lets an ordinary user drop them \
             only with gid-map = \"auto\"",
        );
    }
    maps
}

/// Whether the target has groups of the caller's that no line gives it.
pub(super) fn groups_stay(maps: &Maps, host: &Host) -> bool {
    let more = |groups: &Vec<u32>| groups.iter().any(|group| *group != host.caller.gid);
    maps.deny_setgroups && host.groups_of_caller.as_ref().is_none_or(more)
}

/// The map that the profile chooses: as written, or the caller's own id (if any) amid the
/// subordinate ranges.
fn chosen(
    map: &Key<IdMap>,
    ranges: &[(u32, u32)],
    id: u32,
    own: Option<u32>,
    draft: &mut Draft,
) -> Option<Vec<Extent>> {
    let map = map.get()?;
    match &map.value {
        IdMap::Extents(extents) => Some(extents.clone()),
        IdMap::Auto if ranges.is_empty() => {
            let who = if own.is_some() { "$USER" } else { "root" };
            draft.problem(
                Problem::new(
                    "identity::subordinate",
                    map.at,
                    "cannot map \"auto\": this user has no subordinate ids in /etc/subuid and \
                     /etc/subgid",
                )
                .help(format!(
                    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {who}"
                )),
            );
            None
        }
        IdMap::Auto => Some(spread(ranges, id, own)),
    }
}

/// Lays the subordinate ranges over 0, 1, 2, …, but for the place of the caller's own id.
fn spread(ranges: &[(u32, u32)], id: u32, own: Option<u32>) -> Vec<Extent> {
    let mut extents: Vec<Extent> =
        own.map(|outside| Extent { inside: id, outside, count: 1 }).into_iter().collect();
    let mut next = 0u32;
    for &(first, count) in ranges {
        let (mut outside, mut left) = (first, count);
        while left > 0 {
            if own.is_some() && next == id {
                next += 1;
            }
            let until_own = if own.is_some() && next < id { id - next } else { left };
            let count = left.min(until_own).min(u32::MAX - next);
            if count == 0 {
                break;
            }
            extents.push(Extent { inside: next, outside, count });
            next += count;
            outside = outside.saturating_add(count);
            left -= count;
        }
    }
    extents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ranges_leave_room_for_the_callers_id() {
        let map = spread(&[(100_000, 65_536)], 1000, Some(1001));
        let lines: Vec<String> = map.iter().map(Extent::to_string).collect();
        assert_eq!(lines, ["1000 1001 1", "0 100000 1000", "1001 101000 64536"]);
        let root: Vec<String> =
            spread(&[(100_000, 10)], 0, Some(1001)).iter().map(Extent::to_string).collect();
        assert_eq!(root, ["0 1001 1", "1 100000 10"]);
    }
}
