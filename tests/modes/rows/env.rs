//! `[env]`: where a value comes from. A text and `true` have no key of their own.

use crate::modes::table::Cell::Refused;
use crate::modes::table::{Row, act, plain, row, watched};

pub const ROWS: &[Row] = &[
    row("env.NAME", act("env.GIVEN = \"text\"", "echo $GIVEN", "text", "")),
    row(
        "env.PREFIX*",
        act(
            "env = { \"CALL*\" = true, \"L*\" = true, \"CALLE_*\" = false }",
            "echo $CALLER $LD_BIND_NOW",
            "the caller's",
            "",
        ),
    ),
    row("env.pass", act("env.CALLER = { pass = true }", "echo $CALLER", "the caller's", "")),
    plain(
        "env.required",
        "env.ABSENT = { pass = true, required = true }",
        Refused("env::required"),
    ),
    row(
        "env.or",
        act("env.ABSENT = { pass = true, or = \"another\" }", "echo $ABSENT", "another", ""),
    ),
    row("env.file", act("env.TOKEN = { file = \"{P}/token\" }", "echo $TOKEN", "token", "")),
    row(
        "env.fd",
        watched("env.TOKEN = { fd = 7 }", "$RUN sh -c 'echo $TOKEN' 7<{P}/token", "token", ""),
    ),
];
