//! `[mounts]`: each kind, and each key that goes with it.

use crate::modes::table::Cell::{Held, Nothing, Possible, Refused, Since};
use crate::modes::table::Column::{Alone, Host, Listed, Nested, Own, Root, Without};
use crate::modes::table::{Act, Cell, OTHER, Row, act, mount, watched};

/// Where Landlock can say it, the host's tree has it too.
const fn grant(key: &'static str, act: Act) -> Row {
    mount(key, act).but(Host, Held(act)).but(Alone, Held(act))
}

const SOCKET: Act = act(
    "mounts.\"{P}/sockets/socket\" = { socket = \"{P}/sockets/socket\" }",
    "{P}/probe connect-unix {P}/sockets/socket && echo ok",
    "ok",
    "ENOENT status 1",
);
const SOCKET_ALONE: Act = Act { bare: "EACCES status 1", ..SOCKET };
const ANY_SOCKET: &str = "the target may connect to every socket file of the host";

/// The device is open to all where the tests run as root.
const SERVED: Act = act(
    "mounts.\"/made\" = { layers = [\"{P}/data\"], driver = \"fuse-overlayfs\" }",
    "stat -f -c %T /made",
    "fuseblk",
    "tmpfs",
)
.against("mounts.\"/made\" = { layers = [\"{P}/data\"], driver = \"copy\" }");
const SERVED_THERE: Cell = Possible(SERVED, "mounts::layers", "");

const STARTED: Act = act(
    "mounts.\"/made\" = { file = \"{P}/absent\", missing = \"skip\" }",
    "echo started",
    "started",
    "status 125",
)
.against("mounts.\"/made\" = { file = \"{P}/absent\" }");

/// Mounts that an ordinary user copies cannot be taken apart (mount_namespaces(7)).
const LOCKED: Cell = Refused("launch::step");
const ROOTS_WORD: Cell = Nothing("it is a word to root alone, in profiles that others start, too");

pub const ROWS: &[Row] = &[
    grant(
        "mounts.bind",
        act(
            "mounts.\"{P}/data\" = { bind = \"{P}/data\" }",
            "cat {P}/data/file",
            "data",
            "status 1",
        ),
    ),
    grant(
        "mounts.bind.access",
        act(
            "mounts.\"{P}/data\" = { bind = \"{P}/data\", access = \"ro\" }",
            "touch {P}/data/{id} && echo written",
            "status 1",
            "written",
        )
        .against("mounts.\"{P}/data\" = { bind = \"{P}/data\", access = \"rw\" }"),
    ),
    // Control groups are mounted there on every machine.
    mount(
        "mounts.bind.recursive",
        act(
            "mounts.\"/made\" = { bind = \"/sys/fs\", recursive = false }",
            "ls -A /made/cgroup | wc -l",
            "0",
            OTHER,
        )
        .against("mounts.\"/made\" = { bind = \"/sys/fs\" }"),
    )
    .user(Own, LOCKED)
    .user(Nested, LOCKED)
    .user(Listed, LOCKED)
    .user(Without, LOCKED),
    mount(
        "mounts.bind.exec",
        act(
            "mounts.\"{P}/bin\" = { bind = \"{P}/bin\", exec = false }",
            "{P}/bin/act domainname",
            "status 126",
            "(none)",
        )
        .against("mounts.\"{P}/bin\" = { bind = \"{P}/bin\" }"),
    )
    .but(Host, Refused("landlock::narrower"))
    .but(Alone, Refused("landlock::narrower")),
    grant(
        "mounts.bind.missing",
        act(
            "mounts.\"{P}/absent\" = { bind = \"{P}/absent\", missing = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"{P}/absent\" = { bind = \"{P}/absent\" }"),
    ),
    mount(
        "mounts.bind.missing = \"create\"",
        act(
            "mounts.\"{P}/records/{id}\" = { bind = \"{P}/records/{id}\", missing = \"create\" }",
            "cd {P}/records/{id} && echo made",
            "made",
            "status 2",
        )
        .against(
            "mounts.\"{P}/records/{id}\" = { bind = \"{P}/records/{id}\", missing = \"skip\" }",
        ),
    ),
    grant(
        "mounts.bind.broad",
        act(
            "mounts.\"/opt\" = { bind = \"/opt\", access = \"rw\", broad = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"/opt\" = { bind = \"/opt\", access = \"rw\" }"),
    ),
    grant(
        "mounts.bind.sockets",
        act(
            "mounts.\"{P}/sockets\" = { bind = \"{P}/sockets\", sockets = true }",
            "{P}/probe connect-unix {P}/sockets/socket && echo ok",
            "ok",
            "status 125",
        )
        .against("mounts.\"{P}/sockets\" = { bind = \"{P}/sockets\" }"),
    ),
    mount(
        "mounts.bind.sockets = \"hide\"",
        act(
            "mounts.\"{P}/sockets\" = { bind = \"{P}/sockets\", sockets = \"hide\" }",
            "{P}/probe connect-unix {P}/sockets/socket && echo ok",
            "EROFS status 1",
            "ok",
        )
        .against("mounts.\"{P}/sockets\" = { bind = \"{P}/sockets\", sockets = true }"),
    ),
    mount(
        "mounts.bind.owner",
        act(
            "mounts.\"{P}/roots\" = { bind = \"{P}/roots\", access = \"rw\", owner = \"root\" }",
            "touch {P}/roots/{id} && echo ok",
            "ok",
            "status 125",
        )
        .against("mounts.\"{P}/roots\" = { bind = \"{P}/roots\", access = \"rw\" }"),
    )
    .root(Nested, Refused("mounts::overlay"))
    .user(Own, ROOTS_WORD)
    .user(Nested, ROOTS_WORD)
    .user(Listed, ROOTS_WORD)
    .user(Without, ROOTS_WORD)
    .user(Host, ROOTS_WORD)
    .user(Alone, ROOTS_WORD),
    mount(
        "mounts.bind.follow",
        act(
            "mounts.\"/made\" = { bind = \"{P}/link\", follow = true }",
            "cat /made",
            "token",
            "status 125",
        )
        .against("mounts.\"/made\" = { bind = \"{P}/link\" }"),
    ),
    grant(
        "mounts.bind.except",
        act(
            "mounts.\"{P}/excepted/*\" = { bind = \"{P}/excepted/*\", except = [\"kept\"] }",
            "cat {P}/excepted/kept/f",
            "status 1",
            "kept",
        )
        .against("mounts.\"{P}/excepted/*\" = { bind = \"{P}/excepted/*\" }"),
    ),
    mount(
        "mounts.layers",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/excepted\", \"{P}/data\"] }",
            "cat /made/f /made/file; touch /made/new && echo written",
            "f\ndata status 1",
            "status 1",
        ),
    ),
    mount(
        "mounts.layers.upper",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], upper = \"discard\" }",
            "touch /made/{id} && echo written",
            "written",
            "status 1",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/data\"] }"),
    ),
    mount(
        "mounts.layers.upper = { discard = .. }",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], upper = { discard = \"/var/tmp\" } }",
            "head -c 1000000 /dev/zero >/made/{id}; stat -c %s /made/{id}",
            "1000000",
            "65536",
        )
        .against(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], upper = \"discard\", size = \"64k\" }",
        ),
    ),
    mount(
        "mounts.layers.upper = DIR",
        watched(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], upper = \"/var/tmp/stockade-modes-{id}\" }",
            "$RUN sh -c 'echo kept >/made/{id}' && $RUN cat /made/{id}; s=$?; \
             rm -rf /var/tmp/stockade-modes-{id}; exit $s",
            "kept",
            "status 1",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/data\"], upper = \"discard\" }"),
    ),
    mount(
        "mounts.layers.missing",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/data\", { path = \"{P}/absent\", missing = \"skip\" }] }",
            "cat /made/file",
            "data",
            "status 125",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/data\", \"{P}/absent\"] }"),
    ),
    mount(
        "mounts.layers.size",
        act(
            "mounts.\"/made\" = { layers = [], upper = \"discard\", size = \"64k\" }",
            "head -c 1000000 /dev/zero >/made/file; stat -c %s /made/file",
            "65536",
            "1000000",
        )
        .against("mounts.\"/made\" = { layers = [], upper = \"discard\" }"),
    ),
    mount(
        "mounts.layers.inodes",
        act(
            "mounts.\"/made\" = { layers = [], upper = \"discard\", inodes = 8 }",
            "cd /made; touch 1 2 3 4 5 6 7 8 9; [ -e 9 ] && echo all",
            "status 1",
            "all",
        )
        .against("mounts.\"/made\" = { layers = [], upper = \"discard\" }"),
    ),
    mount(
        "mounts.layers.copy-up",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/excepted\"], upper = \"discard\", copy-up = [\"/made/kept\"] }",
            "touch /made/kept/new && echo written",
            "written",
            "status 1",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/excepted\"], upper = \"discard\" }"),
    ),
    mount(
        "mounts.layers.driver",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], driver = \"copy\" }",
            "stat -f -c %T /made",
            "tmpfs",
            "overlayfs",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/data\"] }"),
    ),
    mount(
        "mounts.layers.driver = \"overlay\"",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/data\"], driver = \"overlay\" }",
            "stat -f -c %T /made",
            "overlayfs",
            "tmpfs",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/data\"], driver = \"copy\" }"),
    ),
    mount("mounts.layers.driver = \"fuse-overlayfs\"", SERVED)
        .user(Own, SERVED_THERE)
        .root(Root, SERVED_THERE)
        .but(Nested, SERVED_THERE)
        .but(Listed, SERVED_THERE)
        .but(Without, SERVED_THERE),
    mount(
        "mounts.layers.exec",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/bin\"], exec = false }",
            "/made/act domainname",
            "status 126",
            "(none)",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/bin\"] }"),
    ),
    mount(
        "mounts.layers.owner",
        act(
            "mounts.\"/made\" = { layers = [\"{P}/bin\"], upper = \"discard\", owner = \"root\" }",
            "touch /made/act && echo written",
            "written",
            "status 1",
        )
        .against("mounts.\"/made\" = { layers = [\"{P}/bin\"], upper = \"discard\" }"),
    )
    .user(Own, ROOTS_WORD)
    .user(Nested, ROOTS_WORD)
    .user(Listed, ROOTS_WORD)
    .user(Without, ROOTS_WORD),
    mount(
        "mounts = \"overlay\"",
        watched(
            "mounts.\"{P}/data\" = \"overlay\"",
            "$RUN sh -c 'echo made >{P}/data/{id}; cat {P}/data/{id}'; \
             cat {P}/data/{id} || echo gone; rm -f {P}/data/{id}",
            "made\ngone",
            "made\nmade",
        )
        .against("mounts.\"{P}/data\" = \"rw\""),
    ),
    mount(
        "mounts.\"/\" = \"overlay\"",
        watched(
            "mounts.\"/\" = \"overlay\"",
            "$RUN touch /var/tmp/stockade-modes-{id} && echo made; \
             ls /var/tmp/stockade-modes-{id} || echo gone",
            "made\ngone",
            "gone",
        )
        .against("mounts.\"/\" = \"ro\""),
    ),
    mount(
        "mounts.tmpfs",
        act(
            "mounts.\"/made\" = { tmpfs = \"64k\" }",
            "head -c 1000000 /dev/zero >/made/file; stat -c %s /made/file",
            "65536",
            "1000000",
        )
        .against("mounts.\"/made\" = { tmpfs = \"64M\" }"),
    ),
    mount(
        "mounts.tmpfs.inodes",
        act(
            "mounts.\"/made\" = { tmpfs = \"1M\", inodes = 4 }",
            "cd /made; touch 1 2 3 4 5 6; ls | wc -l",
            "3",
            "6",
        )
        .against("mounts.\"/made\" = { tmpfs = \"1M\" }"),
    ),
    mount(
        "mounts.tmpfs.mode",
        act(
            "mounts.\"/made\" = { tmpfs = \"1M\", mode = \"0700\" }",
            "stat -c %a /made",
            "700",
            "755",
        )
        .against("mounts.\"/made\" = { tmpfs = \"1M\" }"),
    ),
    mount(
        "mounts.tmpfs.exec",
        act(
            "mounts.\"/made\" = { tmpfs = \"8M\", exec = true }",
            "cp {P}/act /made/act && /made/act domainname",
            "(none)",
            "status 126",
        )
        .against("mounts.\"/made\" = { tmpfs = \"8M\" }"),
    ),
    mount(
        "mounts.state",
        watched(
            "mounts.\"/made\" = { state = \"modes-{id}\" }",
            "$RUN touch /made/kept && $RUN ls /made && $STOCKADE state remove --yes modes-{id}",
            "kept",
            "status 125",
        )
        .against("mounts.\"/made\" = \"tmpfs\""),
    )
    .root(Nested, Refused("mounts::overlay")),
    mount(
        "mounts.state.exec",
        watched(
            "mounts.\"/made\" = { state = \"modes-{id}\", exec = false }",
            "$RUN sh -c 'cp {P}/act /made/act && /made/act domainname'; s=$?; \
             $STOCKADE state remove --yes modes-{id} && exit $s",
            "status 126",
            "(none)",
        )
        .against("mounts.\"/made\" = { state = \"modes-{id}\" }"),
    )
    .root(Nested, Refused("mounts::overlay")),
    mount(
        "mounts.proc",
        act("mounts.\"/made\" = { proc = {} }", "cat /made/self/comm", "cat", "status 1"),
    ),
    mount(
        "mounts.proc.hidepid",
        act(
            "mounts.\"/made\" = { proc = { hidepid = \"invisible\" } }",
            "grep ' /made ' /proc/self/mountinfo | grep -o hidepid=.*",
            "hidepid=invisible",
            "status 1",
        )
        .against("mounts.\"/made\" = { proc = {} }"),
    ),
    mount(
        "mounts.proc.subset",
        act(
            "mounts.\"/made\" = { proc = { subset = \"pid\" } }",
            "cat /made/uptime >/dev/null && echo read",
            "status 1",
            "read",
        )
        .against("mounts.\"/made\" = { proc = {} }"),
    ),
    grant(
        "mounts.dev",
        act(
            "mounts.\"/dev\" = { dev = [\"{D}\"] }",
            "true <{D} && echo opened",
            "opened",
            "status 2",
        ),
    ),
    grant(
        "mounts.device",
        act(
            "mounts.\"{D}\" = { device = \"{D}\" }",
            "true <{D} && echo opened",
            "opened",
            "status 2",
        ),
    ),
    grant(
        "mounts.device.missing",
        act(
            "mounts.\"/dev/absent\" = { device = \"/dev/absent\", missing = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"/dev/absent\" = { device = \"/dev/absent\" }"),
    ),
    grant(
        "mounts.socket.missing",
        act(
            "mounts.\"{P}/absent\" = { socket = \"{P}/absent\", missing = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"{P}/absent\" = { socket = \"{P}/absent\" }"),
    ),
    mount("mounts.socket", SOCKET)
        .but(Host, Since(SOCKET_ALONE, 9, ANY_SOCKET))
        .but(Alone, Since(SOCKET_ALONE, 9, ANY_SOCKET)),
    mount(
        "mounts.sysfs",
        act("mounts.\"/sys\" = { sysfs = true }", "ls -d /sys/class", "/sys/class", "status 2"),
    ),
    mount(
        "mounts.mqueue",
        act(
            "mounts.\"/dev/mqueue\" = { mqueue = true }",
            "ls -d /dev/mqueue",
            "/dev/mqueue",
            "status 2",
        ),
    ),
    mount(
        "mounts.dir",
        act("mounts.\"/made\" = { dir = \"0700\" }", "stat -c %a /made", "700", "status 1"),
    ),
    mount(
        "mounts.symlink",
        act(
            "mounts.\"/made\" = { symlink = \"/usr/bin\" }",
            "readlink /made",
            "/usr/bin",
            "status 1",
        ),
    ),
    mount(
        "mounts.text",
        act("mounts.\"/made\" = { text = \"said\" }", "cat /made", "said", "status 1"),
    ),
    mount(
        "mounts.text.mode",
        act(
            "mounts.\"/made\" = { text = \"said\", mode = \"0600\" }",
            "stat -c %a /made",
            "600",
            "644",
        )
        .against("mounts.\"/made\" = { text = \"said\" }"),
    ),
    mount(
        "mounts.fd",
        watched("mounts.\"/made\" = { fd = 7 }", "$RUN cat /made 7<{P}/token", "token", "status 1"),
    ),
    mount(
        "mounts.fd.mode",
        watched(
            "mounts.\"/made\" = { fd = 7, mode = \"0600\" }",
            "$RUN stat -c %a /made 7<{P}/token",
            "600",
            "400",
        )
        .against("mounts.\"/made\" = { fd = 7 }"),
    ),
    mount(
        "mounts.env",
        act("mounts.\"/made\" = { env = \"CALLER\" }", "cat /made", "the caller's", "status 1"),
    ),
    mount(
        "mounts.env.mode",
        act(
            "mounts.\"/made\" = { env = \"CALLER\", mode = \"0600\" }",
            "stat -c %a /made",
            "600",
            "400",
        )
        .against("mounts.\"/made\" = { env = \"CALLER\" }"),
    ),
    mount(
        "mounts.file",
        act("mounts.\"/made\" = { file = \"{P}/token\" }", "cat /made", "token", "status 1"),
    ),
    mount(
        "mounts.file.mode",
        act(
            "mounts.\"/made\" = { file = \"{P}/token\", mode = \"0700\" }",
            "stat -c %a /made",
            "700",
            "644",
        )
        .against("mounts.\"/made\" = { file = \"{P}/token\" }"),
    ),
    mount(
        "mounts.file.missing",
        act(
            "mounts.\"/made\" = { file = \"{P}/absent\", missing = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"/made\" = { file = \"{P}/absent\" }"),
    )
    .but(Host, Held(STARTED))
    .but(Alone, Held(STARTED)),
    mount(
        "mounts.file.follow",
        act(
            "mounts.\"/made\" = { file = \"{P}/link\", follow = true }",
            "cat /made",
            "token",
            "status 125",
        )
        .against("mounts.\"/made\" = { file = \"{P}/link\" }"),
    ),
    mount(
        "mounts.hide",
        act(
            "mounts.\"/etc/passwd\" = { hide = true }",
            "cat /etc/passwd >/dev/null && echo read",
            "status 1",
            "read",
        ),
    ),
    mount(
        "mounts.hide.missing",
        act(
            "mounts.\"/etc/absent\" = { hide = true, missing = \"skip\" }",
            "echo started",
            "started",
            "status 125",
        )
        .against("mounts.\"/etc/absent\" = { hide = true }"),
    ),
    mount(
        "mounts.hide.except",
        act(
            "mounts.\"/made\" = { bind = \"{P}/excepted\" }\nmounts.\"/made/**/f\" = { hide = true, except = [\"kept\"] }",
            "cat /made/kept/f",
            "kept",
            "status 1",
        )
        .against("mounts.\"/made\" = { bind = \"{P}/excepted\" }\nmounts.\"/made/**/f\" = { hide = true }"),
    ),
];
