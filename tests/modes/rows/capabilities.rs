//! `[capabilities]`.

use crate::modes::table::Cell::Refused;
use crate::modes::table::Column::Alone;
use crate::modes::table::{Row, act, plain, row};

pub const ROWS: &[Row] = &[
    row(
        "capabilities.keep",
        act("capabilities.keep = [\"net-bind-service\"]", "{P}/act bounding 10", "1", "0"),
    )
    .user(Alone, Refused("capabilities::none")),
    row(
        "capabilities.ambient",
        act("capabilities.ambient = [\"net-bind-service\"]", "{P}/act ambient 10", "1", "0"),
    )
    .user(Alone, Refused("capabilities::none")),
    // Bit 5, locked keep-caps, is not among those that are set by default.
    row(
        "capabilities.securebits",
        act("capabilities.securebits = [\"keep-caps-locked\"]", "{P}/act securebits", "32", "207"),
    )
    .user(Alone, Refused("capabilities::none")),
    plain(
        "capabilities.no-new-privs",
        "capabilities.no-new-privs = false",
        Refused("capabilities::no-new-privs"),
    ),
];
