//! `[seccomp]`: the filter is the process's own, so no mode takes anything from it. What it needs
//! besides is in the cells.

use crate::modes::table::Cell::Refused;
use crate::modes::table::Column::{Alone, Host, Joined, Nested};
use crate::modes::table::{Cell, Row, act, row};

/// What is written in a file cannot be kept from being executed.
const FILES: Cell = Refused("seccomp::write-execute");

pub const ROWS: &[Row] = &[
    row(
        "seccomp.policy",
        act("seccomp.policy = \"off\"", "{P}/probe kcmp && echo ok", "ok", "EPERM status 1"),
    ),
    row(
        "seccomp.import",
        act("seccomp.import = \"{P}/import.json\"", "uname", "status 1", "Linux"),
    ),
    row(
        "seccomp.default",
        act(
            "seccomp.default = \"errno:ENOENT\"",
            "{P}/probe kcmp && echo ok",
            "ENOENT status 1",
            "EPERM status 1",
        ),
    ),
    row(
        "seccomp.allow",
        act("seccomp.allow = [\"kcmp\"]", "{P}/probe kcmp && echo ok", "ok", "EPERM status 1"),
    ),
    row("seccomp.deny", act("seccomp.deny = [\"uname\"]", "uname", "status 1", "Linux")),
    row(
        "seccomp.rules",
        act("seccomp.rules.uname = \"errno:ENOSYS\"", "uname", "status 1", "Linux"),
    ),
    row(
        "seccomp.rules.@GROUP",
        act(
            "seccomp.rules.\"@network-io\" = \"errno:ENOSYS\"",
            "{P}/probe socket 2 1 0 && echo ok",
            "ENOSYS status 1",
            "ok",
        ),
    ),
    row(
        "seccomp.families",
        act(
            "seccomp.families = [\"AF_UNIX\"]",
            "{P}/probe socket 2 1 0 && echo ok",
            "EAFNOSUPPORT status 1",
            "ok",
        ),
    ),
    row(
        "seccomp.write-execute",
        act("seccomp.write-execute = false", "{P}/act write-execute", "EPERM", "ok"),
    )
    .but(Host, FILES)
    .but(Alone, FILES)
    .but(Joined, FILES)
    .but(Nested, FILES),
    row(
        "seccomp.personality",
        act(
            "seccomp.personality = false",
            "{P}/probe personality 8 && echo ok",
            "EPERM status 1",
            "ok",
        ),
    ),
    row("seccomp.realtime", act("seccomp.realtime = false", "{P}/act fifo", "EPERM", "EINVAL")),
    row(
        "seccomp.set-id",
        act(
            "seccomp.set-id = false",
            "mkfifo {W}/{id} && chmod 4755 {W}/{id} && echo ok",
            "status 1",
            "ok",
        )
        .against("seccomp.set-id = true"),
    )
    .root(Nested, Refused("mounts::overlay")),
    row(
        "seccomp.architectures",
        act("seccomp.architectures = [\"x86\"]", "{P}/probe int80 && echo ok", "ok", "status 159"),
    ),
];
