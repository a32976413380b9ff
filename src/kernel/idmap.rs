//! Id maps of user namespaces (user_namespaces(7)).

use crate::language::table::table;
use serde::Serialize;
use std::fmt;

/// How many ids a sandbox has that root starts on trees with many owners: as many as programs
/// of Linux count with.
pub(crate) const MANY_IDS: u32 = 1 << 16;

table! {
    /// One line of `/proc/PID/uid_map` (user_namespaces(7)).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct Extent {
        /// The first id inside.
        pub inside: u32,
        /// The first id outside.
        pub outside: u32,
        /// How many.
        pub count: u32,
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

/// How a mount shows owners (mount_setattr(2), MOUNT_ATTR_IDMAP): what is inside of an extent is the
/// id on disk, what is outside the host's. An id that no extent has is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountMap {
    /// Of users.
    pub uid: Vec<Extent>,
    /// Of groups.
    pub gid: Vec<Extent>,
}

impl MountMap {
    /// One owner on disk is shown as one of the host's.
    pub fn pair(disk: (u32, u32), shown: (u32, u32)) -> MountMap {
        let one = |inside, outside| vec![Extent { inside, outside, count: 1 }];
        MountMap { uid: one(disk.0, shown.0), gid: one(disk.1, shown.1) }
    }

    /// The owner on disk and the one that it is shown as, where there are no others.
    pub fn as_pair(&self) -> Option<((u32, u32), (u32, u32))> {
        match (self.uid.as_slice(), self.gid.as_slice()) {
            ([user @ Extent { count: 1, .. }], [group @ Extent { count: 1, .. }]) => {
                Some(((user.inside, group.inside), (user.outside, group.outside)))
            }
            _ => None,
        }
    }

    /// The user and the group of the host that an owner on disk is shown as.
    pub fn shows(&self, (user, group): (u32, u32)) -> (Option<u32>, Option<u32>) {
        (outside(&self.uid, user), outside(&self.gid, group))
    }
}

/// The map of a mount whose owners on disk are the ids of a sandbox with these extents, but for the
/// ids that the target has: what is theirs on disk is another's, and not the target's. `owner` on
/// disk shows as `user`, and `user` on disk as that owner.
pub(crate) fn shifted(extents: &[Extent], own: &[u32], owner: Option<(u32, u32)>) -> Vec<Extent> {
    let taken: Vec<u32> = own.iter().copied().chain(owner.map(|(disk, _)| disk)).collect();
    let mut shown: Vec<Extent> =
        taken.iter().fold(extents.to_vec(), |left, id| without(&left, *id));
    let mut add = |disk, inside| {
        let outside = outside(extents, inside);
        shown.extend(outside.map(|outside| Extent { inside: disk, outside, count: 1 }));
    };
    if let Some((disk, user)) = owner {
        add(disk, user);
        if disk != user && !own.contains(&disk) {
            add(user, disk);
        }
    }
    shown
}

/// The same extents without this id inside.
fn without(extents: &[Extent], id: u32) -> Vec<Extent> {
    let parts = |extent: &Extent| {
        let Extent { inside, outside, count } = *extent;
        match id.checked_sub(inside).filter(|before| *before < count) {
            None => [Some(*extent), None],
            Some(before) => {
                let (next, after) = (before + 1, count - before - 1);
                let rest = |next| (inside.checked_add(next), outside.checked_add(next));
                let rest = match rest(next) {
                    (Some(inside), Some(outside)) if after > 0 => {
                        Some(Extent { inside, outside, count: after })
                    }
                    _ => None,
                };
                [(before > 0).then_some(Extent { inside, outside, count: before }), rest]
            }
        }
    };
    extents.iter().flat_map(parts).flatten().collect()
}

/// The id of the host that a map has for one inside.
pub(crate) fn outside(extents: &[Extent], id: u32) -> Option<u32> {
    let holds = |extent: &&Extent| id >= extent.inside && id - extent.inside < extent.count;
    extents.iter().find(holds).map(|extent| extent.outside + (id - extent.inside))
}

/// The id inside that a map has for one of the host.
pub(crate) fn inside(extents: &[Extent], id: u32) -> Option<u32> {
    let holds = |extent: &&Extent| id >= extent.outside && id - extent.outside < extent.count;
    extents.iter().find(holds).map(|extent| extent.inside + (id - extent.outside))
}

/// The maps of a new user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Maps {
    /// `/proc/PID/uid_map`.
    pub uid: Vec<Extent>,
    /// `/proc/PID/gid_map`.
    pub gid: Vec<Extent>,
    /// Whether newuidmap(1) and newgidmap(1) write them, for ranges that the caller may not map
    /// alone.
    pub helpers: bool,
    /// Whether setgroups(2) is denied, as the kernel asks where an ordinary user maps one group
    /// (user_namespaces(7)).
    pub deny_setgroups: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(extents: Vec<Extent>) -> Vec<String> {
        extents.iter().map(Extent::to_string).collect()
    }

    #[test]
    fn the_owner_of_a_tree_and_the_target_change_places() {
        let all = [Extent { inside: 0, outside: 600_000, count: MANY_IDS }];
        let map = |own: &[u32], owner| lines(shifted(&all, own, owner));
        // The target's own id on disk is nobody's.
        assert_eq!(map(&[1000], None), ["0 600000 1000", "1001 601001 64535"]);
        assert_eq!(
            map(&[1000], Some((0, 1000))),
            ["1 600001 999", "1001 601001 64535", "0 601000 1", "1000 600000 1"]
        );
        assert_eq!(
            map(&[1000], Some((1000, 1000))),
            ["0 600000 1000", "1001 601001 64535", "1000 601000 1"]
        );
        // An owner that the sandbox has no id for, and one that is a further group of the target's.
        assert_eq!(map(&[0], Some((100_000, 0))), ["1 600001 65535", "100000 600000 1"]);
        assert_eq!(
            map(&[5, 65_535], Some((65_535, 5))),
            ["0 600000 5", "6 600006 65529", "65535 600005 1"]
        );
    }
}
