//! `[namespaces]` and `[network]`: whose namespaces the target is in is asked of /proc, outside.

use crate::modes::table::Cell::{Held, Nothing, Refused, RefusedLine};
use crate::modes::table::Column::{Alone, Host, Joined, Listed, Nested, Own, Root, Without};
use crate::modes::table::{Act, Cell, OTHER, Row, act, plain, row, watched};

/// A namespace that is joined: an ordinary user needs the user namespace that owns it.
macro_rules! join {
    ($key:literal, $kind:literal) => {
        row(
            concat!($key, ".join"),
            watched(
                concat!($key, " = { join = \"/proc/{H}/ns/", $kind, "\" }"),
                concat!(
                    "{P}/watch '[ $(readlink /proc/$PID/ns/",
                    $kind,
                    ") = $(readlink /proc/$HOLDER/ns/",
                    $kind,
                    ") ] && echo joined'"
                ),
                "joined",
                "",
            ),
        )
        .user(Own, JOIN)
        .user(Host, JOIN)
        .user(Alone, JOIN)
        .user(Nested, JOIN)
        .user(Listed, JOIN)
        .user(Without, JOIN)
    };
}

const JOIN: Cell = Refused("namespaces::join");

pub const ROWS: &[Row] = &[
    plain("namespaces.all", "", Held(ALL))
        .but(Host, Held(SHARED_IPC))
        .but(Joined, Held(SHARED_IPC))
        .but(Alone, Nothing("it makes this mode")),
    plain("namespaces.user", "namespaces.user = \"host\"", Refused("namespaces::user"))
        .root(Root, Held(USERS))
        .root(Host, Held(USERS))
        .root(Nested, Held(USERS))
        .root(Listed, Held(USERS))
        .root(Without, Held(USERS))
        .root(Joined, Held(USERS))
        .user(Joined, Nothing("it makes this mode"))
        .but(Alone, Held(watched("namespaces.user = \"new\"", USER, "another", "the host's"))),
    plain("namespaces.mount", "", Nothing("it makes the modes")),
    kind("namespaces.pid", PIDS, watched("namespaces.pid = \"new\"", PID, "another", "the host's"))
        .but(Host, Held(SHARED_PID))
        .but(Joined, Held(SHARED_PID)),
    kind(
        "namespaces.ipc",
        SHARED_IPC,
        watched("namespaces.ipc = \"new\"", IPC, "another", "the host's"),
    ),
    kind(
        "namespaces.uts",
        watched("namespaces.uts = \"host\"", UTS, "the host's", "another"),
        watched("namespaces.uts = \"new\"", UTS, "another", "the host's"),
    ),
    kind(
        "namespaces.cgroup",
        watched("namespaces.cgroup = \"host\"", CGROUP, "the host's", "another"),
        watched("namespaces.cgroup = \"new\"", CGROUP, "another", "the host's"),
    ),
    kind(
        "namespaces.time",
        watched("namespaces.time = \"host\"", TIME, "the host's", "another"),
        watched("namespaces.time = \"new\"", TIME, "another", "the host's"),
    ),
    row(
        "namespaces.hostname",
        act("namespaces.hostname = \"inside\"", "uname -n", "inside", "stockade"),
    )
    .but(Alone, Refused("namespaces::uts")),
    row(
        "namespaces.domainname",
        act("namespaces.domainname = \"inside\"", "{P}/act domainname", "inside", "(none)"),
    )
    .but(Alone, Refused("namespaces::uts")),
    clock(
        "namespaces.time-offsets",
        act(
            "namespaces.time-offsets = { monotonic = \"5000d\", boottime = \"5000d\" }",
            BOOTTIME,
            "moved",
            "status 1",
        ),
    ),
    clock(
        "namespaces.time-offsets.monotonic",
        act("namespaces.time-offsets = { monotonic = \"5000d\" }", MONOTONIC, "moved", "status 1"),
    ),
    clock(
        "namespaces.time-offsets.boottime",
        act("namespaces.time-offsets = { boottime = \"5000d\" }", BOOTTIME, "moved", "status 1"),
    ),
    row(
        "namespaces.nested",
        act("namespaces.nested = [\"user\", \"pid\"]", TWO_KINDS, "two", "status 1"),
    )
    .but(
        Nested,
        Held(
            act("namespaces.nested = [\"user\", \"pid\"]", TWO_KINDS, "two", "status 1")
                .against("namespaces.nested = true"),
        ),
    )
    .but(
        Listed,
        Held(
            act("namespaces.nested = false", TWO_KINDS, "status 1", "two")
                .against("namespaces.nested = [\"user\", \"pid\"]"),
        ),
    ),
    row("namespaces.nested = true", NESTED)
        .but(Host, Refused("landlock::alone"))
        .but(Alone, Refused("landlock::alone")),
    kind(
        "network.mode",
        watched("network.mode = \"host\"", NET, "the host's", "another"),
        watched("network.mode = \"none\"", NET, "another", "the host's"),
    ),
    row(
        "network.dns",
        act("network.dns = [\"10.9.8.7\"]", "grep -c 10.9.8.7 /etc/resolv.conf", "1", OTHER),
    )
    .but(Host, Refused("network::no-tree"))
    .but(Alone, Refused("network::no-tree"))
    .but(Joined, Refused("network::no-tree")),
    row(
        "network.hosts",
        act(
            "network.hosts.db = \"10.9.8.7\"",
            "grep -c '10.9.8.7 db' /etc/hosts",
            "1",
            "0 status 1",
        ),
    )
    .but(Host, Refused("network::no-tree"))
    .but(Alone, Refused("network::no-tree"))
    .but(Joined, Refused("network::no-tree")),
    // The filter is open: the kernel's limit on user namespaces is what holds.
    row(
        "namespaces.nested, seccomp.policy = \"off\"",
        act(
            "namespaces.nested = false\nseccomp.policy = \"off\"",
            "unshare -U true && echo made",
            "status 1",
            OTHER,
        )
        .against("namespaces.nested = true\nseccomp.policy = \"off\""),
    )
    .but(Alone, Refused("namespaces::open"))
    .user(Joined, Refused("namespaces::open")),
    join!("namespaces.ipc", "ipc"),
    join!("namespaces.uts", "uts"),
    join!("namespaces.cgroup", "cgroup"),
    join!("namespaces.time", "time"),
    join!("network.mode", "net"),
];

const TWO_KINDS: &str = "unshare -Up true && ! unshare -Un true 2> /dev/null && echo two";
const NESTED: Act = act(
    "namespaces.nested = true\nseccomp.set-id = true",
    "unshare -Urm true && echo made",
    "made",
    "status 1",
)
.against("namespaces.nested = false\nseccomp.set-id = true");
const BOOTTIME: &str = "[ $({P}/act boottime) -ge 5000 ] && echo moved";
const MONOTONIC: &str = "[ $({P}/act monotonic) -ge 5000 ] && echo moved";

const fn clock(key: &'static str, moved: Act) -> Row {
    row(key, moved).but(Alone, Refused("namespaces::time"))
}

/// Shared where the others are new; new where the others are shared, which takes a user namespace
/// or root.
const fn kind(key: &'static str, shared: Act, new: Act) -> Row {
    row(key, shared).but(Alone, Held(new)).user(Alone, RefusedLine(new.line, "namespaces::user"))
}

/// Whether the target is in the namespace of this shell.
macro_rules! same {
    ($kind:literal) => {
        concat!(
            "{P}/watch '[ $(readlink /proc/$PID/ns/",
            $kind,
            ") = $(readlink /proc/$$/ns/",
            $kind,
            ") ] && echo the host\\'\\''s || echo another'"
        )
    };
}
const USER: &str = same!("user");
const PID: &str = same!("pid");
const IPC: &str = same!("ipc");
const UTS: &str = same!("uts");
const CGROUP: &str = same!("cgroup");
const TIME: &str = same!("time");
const NET: &str = same!("net");

const SHARED_PID: Act = watched("namespaces.pid = \"host\"", PID, "the host's", "another");
const SHARED_IPC: Act = watched("namespaces.ipc = \"host\"", IPC, "the host's", "another");
/// Where the process numbers are the host's there is no proc to mount.
const PIDS: Act = watched(
    "namespaces.pid = \"host\"\nmounts.\"/proc\" = { dir = \"0755\" }",
    PID,
    "the host's",
    "another",
);
const ALL: Act = watched(
    "namespaces.all = \"host\"\nnamespaces.user = \"new\"\nnamespaces.mount = \
     \"new\"\nmounts.\"/proc\" = { dir = \"0755\" }",
    IPC,
    "the host's",
    "another",
);
const USERS: Act =
    watched("namespaces.user = \"host\"\nidentity.host = true", USER, "the host's", "another");
