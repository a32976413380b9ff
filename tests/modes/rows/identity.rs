//! `[identity]`.

use crate::modes::table::Cell::{Held, Helped, Refused, Same};
use crate::modes::table::Column::{Alone, Host, Joined, Listed, Nested, Own, Without};
use crate::modes::table::{Act, Cell, OTHER, Row, act, row, watched};

/// The launcher does not know which ids a user namespace has that it joins.
const UNKNOWN: Cell = Refused("launch::step");

pub const ROWS: &[Row] = &[
    row("identity.user", act("identity.user = 7", "id -u", "7", OTHER))
        .user(Alone, Refused("identity::unmapped"))
        .user(Joined, UNKNOWN),
    row("identity.group", act("identity.group = 8", "id -g", "8", OTHER))
        .user(Alone, Refused("identity::unmapped"))
        .user(Joined, UNKNOWN),
    for_root(
        row(
            "identity.groups",
            act("identity.groups = [9]", "id -G | grep -cw 9", "1", "0 status 1"),
        ),
        Refused("identity::unmapped"),
    )
    .user(Joined, UNKNOWN),
    map("identity.uid-map", UID_MAP),
    map("identity.gid-map", GID_MAP),
    for_root(
        row("identity.host", watched("identity.host = true", UIDS, "1000 1000 1", OTHER)),
        Refused("identity::host"),
    )
    .root(
        Alone,
        Held(
            act("identity.host = true\nidentity.user = 7", "id -u", "7", "1000")
                .against("identity.host = true"),
        ),
    ),
    for_root(
        row(
            "identity.host-ids",
            watched("identity.host-ids = 1342177280", UIDS, "1000 1342177280 1", OTHER),
        ),
        Refused("identity::range"),
    )
    .root(Alone, Refused("identity::range")),
];

const UIDS: &str = "{P}/watch 'echo $(cat /proc/$PID/uid_map)'";
const GIDS: &str = "{P}/watch 'echo $(cat /proc/$PID/gid_map)'";
const UID_MAP: Act = watched(
    "identity.uid-map = [{ inside = 5, outside = 61184, count = 1 }]\nidentity.user = 5",
    UIDS,
    "5 61184 1",
    OTHER,
)
.against("identity.user = 5");
const GID_MAP: Act = watched(
    "identity.gid-map = [{ inside = 5, outside = 61184, count = 1 }]\nidentity.group = 5",
    GIDS,
    "5 61184 1",
    OTHER,
)
.against("identity.group = 5");

/// A user maps subordinate ids, and its own, through newuidmap(1).
const fn map(key: &'static str, by_root: Act) -> Row {
    let auto = match key.as_bytes()[9] {
        b'u' => watched(
            "identity.uid-map = \"auto\"",
            "{P}/watch 'wc -l </proc/$PID/uid_map'",
            OTHER,
            "1",
        ),
        _ => watched(
            "identity.gid-map = \"auto\"",
            "{P}/watch 'wc -l </proc/$PID/gid_map'",
            OTHER,
            "1",
        ),
    };
    let helped = Helped(auto);
    row(key, by_root)
        .user(Own, helped)
        .user(Host, helped)
        .user(Nested, helped)
        .user(Listed, helped)
        .user(Without, Same(Own))
        .but(Alone, Refused("identity::map"))
        .user(Joined, Refused("identity::map"))
}

/// A key that an ordinary user cannot have.
const fn for_root(row: Row, cell: Cell) -> Row {
    row.user(Own, cell)
        .user(Host, cell)
        .user(Alone, cell)
        .user(Joined, cell)
        .user(Nested, cell)
        .user(Listed, cell)
        .user(Without, cell)
}
