//! `[landlock]`, and the words of `optional`.

use crate::modes::table::Cell::{Held, Lacking, Nothing, Possible, Refused, Skipped};
use crate::modes::table::Column::{Alone, Host, Joined, Listed, Nested, Own, Without};
use crate::modes::table::{Cell, Kernel, OTHER, Row, act, plain, row, watched};

const READ: &str = "[ -n \"$(head -c 4 /etc/passwd)\" ] && echo read";
const USR_ALONE: &str = "landlock.paths = { \"/usr\" = \"rx\", \"/lib64\" = \"rx\" }";
const OFF: &str = "landlock.paths = \"off\"";
const ABSENT: Cell = Skipped("landlock::absent", "landlock");

pub const ROWS: &[Row] = &[
    plain("landlock.min-abi", "landlock.min-abi = 99", ABSENT),
    row("landlock.paths", act(USR_ALONE, READ, "status 1", "read"))
        .but(Without, ABSENT)
        .but(Nested, Refused("landlock::nested")),
    plain("landlock.paths = \"auto\"", "landlock.paths = \"auto\"", Nothing("it is the default"))
        .but(Joined, Refused("namespaces::mount")),
    // What the twin cannot have, it is refused for, or it cannot read: either shows that `off` is
    // what lets it.
    row("landlock.paths = \"off\"", act(OFF, READ, "read", OTHER).against(USR_ALONE))
        .but(Host, Refused("landlock::alone"))
        .but(Alone, Refused("landlock::alone"))
        .but(
            Without,
            Held(
                act("landlock.paths = \"off\"\noptional = []", READ, "read", "status 125").against(
                    "landlock.paths = { \"/usr\" = \"rx\", \"/lib64\" = \"rx\" }\noptional = []",
                ),
            ),
        ),
    row(
        "landlock.tcp-bind",
        act("landlock.tcp-bind = []", "{P}/probe tcp-bind 0 && echo ok", "EACCES status 1", "ok"),
    )
    .but(Without, ABSENT),
    row(
        "landlock.tcp-connect",
        act(
            "landlock.tcp-connect = []",
            "{P}/probe tcp-connect 9 && echo ok",
            "EACCES status 1",
            "ECONNREFUSED status 1",
        ),
    )
    .but(Without, ABSENT),
    udp("landlock.udp-bind", "landlock.udp-bind = []", "{P}/probe udp-bind 0 && echo ok"),
    udp("landlock.udp-connect", "landlock.udp-connect = []", "{P}/probe udp-connect 9 && echo ok"),
    row(
        "landlock.scope",
        act(
            "network.mode = \"host\"\nlandlock.scope = [\"signal\", \"abstract-unix-socket\"]",
            "{P}/probe connect-abstract {A} && echo ok",
            "EPERM status 1",
            "ok",
        )
        .against("network.mode = \"host\"\nlandlock.scope = [\"signal\"]"),
    )
    .but(
        Without,
        Lacking(
            "landlock.scope = [\"signal\"]",
            Kernel::Landlock(0),
            "landlock::absent",
            "landlock",
        ),
    ),
    row(
        "landlock.audit",
        watched(
            "landlock.audit = true",
            "strace -f -e trace=landlock_restrict_self $RUN true 2>&1 | grep -o \
             'landlock_restrict_self([0-9]*, [^)]*'",
            OTHER,
            OTHER,
        ),
    )
    .but(Without, ABSENT),
];

const fn udp(key: &'static str, line: &'static str, inside: &'static str) -> Row {
    let cell =
        Possible(act(line, inside, "EACCES status 1", "ok"), "landlock::absent", "landlock.udp");
    plain(key, line, cell).but(Without, ABSENT)
}

const GIFT: Cell = Nothing(
    "the one thing that Landlock does there, by default, is to keep signals and abstract sockets \
     inside, where the kernel can",
);

/// What a kernel of this ABI lacks of a line.
const fn lacking(key: &'static str, line: &'static str, abi: u32, word: &'static str) -> Row {
    plain(key, "", Lacking(line, Kernel::Landlock(abi), "landlock::absent", word))
        .but(Without, Nothing("`landlock` is the word for all of it"))
}

const PATHS: &str = "landlock.paths = \
                     { \"/usr\" = \"rx\", \"/lib64\" = \"rx\", \"/bin\" = \"rx\", \"/lib\" = \"rx\" }";

/// A tree in which a file is set-user-id.
const INSTALLED: &str = "mounts.\"{P}/installed\" = \"rw\"";

const ORDINARY: Cell =
    Nothing("an ordinary user may rewrite and make such files of its own anyway");

pub const OPTIONAL: &[Row] = &[
    plain("optional.limits", "", Nothing("see the rows of `[limits]`")),
    plain(
        "optional.landlock",
        "",
        Lacking("", Kernel::Landlock(0), "landlock::absent", "landlock"),
    )
    .but(Host, Lacking("", Kernel::Landlock(0), "landlock::alone", ""))
    .but(Alone, Lacking("", Kernel::Landlock(0), "landlock::alone", ""))
    .but(Joined, GIFT)
    .but(Nested, GIFT),
    lacking("optional.landlock.truncate", PATHS, 2, "landlock.truncate")
        .but(Nested, Nothing("there are no rules for files")),
    lacking("optional.landlock.tcp", "landlock.tcp-bind = []", 3, "landlock.tcp"),
    lacking("optional.landlock.udp", "landlock.udp-bind = []", 9, "landlock.udp"),
    lacking("optional.landlock.scope", "landlock.scope = [\"signal\"]", 5, "landlock.scope"),
    lacking("optional.landlock.audit", "landlock.audit = true", 6, "landlock.audit"),
    plain("optional.mounts.set-id", INSTALLED, Skipped("mounts::set-id", "mounts.set-id"))
        .but(Own, ORDINARY)
        .user(Listed, ORDINARY)
        .user(Without, ORDINARY)
        .user(Host, ORDINARY)
        .user(Alone, ORDINARY)
        .root(
            Alone,
            Nothing(
                "with `identity.host` the target is a user, who may rewrite its own files anyway; \
                 root's are refused",
            ),
        )
        .root(Host, Nothing("the target has ids of no user, and owns no file there"))
        .but(Joined, Refused("namespaces::mount"))
        .user(Nested, ORDINARY)
        .root(Nested, Nothing("the mode's `seccomp.set-id` lifts the protection")),
    plain(
        "optional.mounts.size",
        "",
        Nothing("an upper in memory is bounded from Linux 6.6 on; before, it is on disk"),
    ),
    plain("optional.keyring", "", Lacking("", Kernel::WithoutKeyctl, "launch::step", "keyring")),
    row(
        "optional.mounts.kept",
        act("mounts.\"{W}/kept\" = \"ro\"", "touch {W}/kept/{id} && echo ok", "status 1", "ok"),
    )
    .but(Host, Skipped("landlock::narrower", "mounts.kept"))
    .but(Alone, Skipped("landlock::narrower", "mounts.kept"))
    .but(Joined, Refused("namespaces::mount"))
    .but(Nested, Skipped("mounts::kept", "mounts.kept")),
    plain(
        "optional.namespaces.nested",
        "",
        Lacking(NO_PROC, Kernel::ReadOnlySysctls, "launch::step", "namespaces.nested"),
    )
    .but(Host, Lacking("", Kernel::ReadOnlySysctls, "launch::step", "namespaces.nested"))
    .but(Without, Nothing("Landlock has no part in it"))
    .but(Joined, Nothing("the limits are found in the tree that is joined"))
    .but(Alone, Nothing("there is no user namespace in which the target could make others"))
    .but(Nested, Nothing("no kind is forbidden")),
    row(
        "optional.network.passed-sockets",
        watched(
            "optional = [\"network.passed-sockets\"]\nprocess.pass-fds = [7]",
            PASSED,
            "ran",
            "status 125",
        )
        .against("process.pass-fds = [7]"),
    )
    .but(Alone, Nothing("the network is the caller's"))
    .but(
        Without,
        Held(
            watched(
                "optional = [\"landlock\", \"network.passed-sockets\"]\nprocess.pass-fds = [7]",
                PASSED,
                "ran",
                "status 125",
            )
            .against("process.pass-fds = [7]"),
        ),
    ),
];

/// A new proc is refused beside one that is covered in part.
const NO_PROC: &str = "mounts.\"/proc\" = { dir = \"0755\" }";

const PASSED: &str = "{P}/act netlink $RUN echo ran";
