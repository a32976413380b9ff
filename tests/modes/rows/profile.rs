//! Keys at the top of a profile.

use crate::modes::table::Cell::{Nothing, Refused};
use crate::modes::table::Column::{Alone, Host, Joined};
use crate::modes::table::{Row, act, plain, row, watched};

pub const ROWS: &[Row] = &[
    plain("format", "", Nothing("it is the version of the language")),
    plain("description", "", Nothing("it is a line for people")),
    row(
        "name",
        watched(
            "name = \"modes-{id}\"",
            "$RUN sleep 5 & n=0; until $STOCKADE ps | grep -q modes-{id} || [ $n = 40 ]; do n=$((n \
             + 1)); sleep 0.01; done; $STOCKADE ps | grep -c '^modes-{id} '; kill $!; wait $!; \
             exit 0",
            "1",
            "0",
        ),
    ),
    row("extends", act("extends = [\"{P}/below.toml\"]", "umask", "0077", "0022")),
    plain("optional", "", Nothing("its words have a table of their own")),
    row(
        "programs",
        act("programs = [\"{P}/bin/act\"]", "{P}/bin/act domainname", "(none)", "status 127"),
    )
    .but(Host, Refused("namespaces::mount"))
    .but(Alone, Refused("namespaces::mount"))
    .but(Joined, Refused("namespaces::mount")),
    row(
        "params",
        act(
            "params.mask = { type = \"string\", default = \"0077\" }\nprocess.umask = \"${mask}\"",
            "umask",
            "0077",
            "0022",
        ),
    ),
];
