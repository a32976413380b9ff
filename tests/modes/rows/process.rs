//! `[process]`.

use crate::modes::table::Cell::Refused;
use crate::modes::table::Column::Alone;
use crate::modes::table::{OTHER, Row, act, row, watched};

pub const ROWS: &[Row] = &[
    row(
        "process.command",
        act("process.command = [\"env\", \"BY=command\", \"${ARGS}\"]", "echo $BY", "command", ""),
    ),
    row("process.arg0", act("process.arg0 = \"another\"", "echo $0", "another", "sh")),
    row("process.cwd", act("process.cwd = \"/usr/bin\"", "pwd", "/usr/bin", OTHER)),
    row("process.timeout", act("process.timeout = \"150ms\"", "exec sleep 0.4", "status 124", "")),
    row(
        "process.stop-signal",
        act(
            "process.timeout = \"100ms\"\nprocess.stop-signal = \"USR1\"",
            "trap 'echo asked; exit' USR1; sleep 2 & wait",
            "asked status 124",
            "status 124",
        )
        .against("process.timeout = \"100ms\""),
    ),
    row(
        "process.kill-after",
        act(
            "process.timeout = \"100ms\"\nprocess.kill-after = \"50ms\"",
            "trap '' TERM; sleep 0.4; echo late",
            "status 124",
            "late status 124",
        )
        .against("process.timeout = \"100ms\""),
    ),
    row("process.umask", act("process.umask = \"0077\"", "umask", "0077", "0022")),
    row("process.nice", act("process.nice = 5", "nice", "5", OTHER)),
    row(
        "process.oom-score-adj",
        watched(
            "process.oom-score-adj = 321",
            "{P}/watch 'cat /proc/$PID/oom_score_adj'",
            "321",
            OTHER,
        ),
    ),
    row("process.stdin", watched("process.stdin = \"null\"", "echo fed | $RUN cat", "", "fed")),
    row("process.stdout", watched("process.stdout = \"null\"", "$RUN echo shown", "", "shown")),
    row(
        "process.stderr",
        watched(
            "process.stderr = \"null\"",
            "$RUN sh -c 'echo shown >&2' 2>&1 | grep -c '^shown'; exit 0",
            "0",
            "1",
        ),
    ),
    row(
        "process.stdin.file",
        watched("process.stdin = { file = \"{P}/token\" }", "echo fed | $RUN cat", "token", "fed"),
    ),
    row(
        "process.stdout.file",
        watched(
            "process.stdout = { file = \"/tmp/{A}-{id}\" }",
            "$RUN echo shown | sed 's/^/printed /'; cat /tmp/{A}-{id}; rm -f /tmp/{A}-{id}",
            "shown",
            "printed shown",
        ),
    ),
    row(
        "process.stderr.file",
        watched(
            "process.stderr = { file = \"/tmp/{A}-{id}\" }",
            "$RUN sh -c 'echo shown >&2' 2>&1 | sed -n 's/^shown/printed &/p'; cat /tmp/{A}-{id}; \
             rm -f /tmp/{A}-{id}",
            "shown",
            "printed shown",
        ),
    ),
    row(
        "process.tty",
        watched(
            "process.tty = \"none\"",
            "{P}/probe pty $RUN sh -c 'true 2>&1 </dev/tty && echo terminal || echo none' 2>&1 | \
             tail -n 1",
            "none",
            "terminal",
        ),
    ),
    row("process.init", act("process.init = false", "echo $$", "1", "2"))
        .but(Alone, Refused("process::init")),
    row(
        "process.pass-fds",
        watched("process.pass-fds = [7]", "$RUN sh -c 'cat <&7' 7<{P}/token", "token", "status 2"),
    ),
    row(
        "process.keyring",
        watched(
            "process.keyring = \"inherit\"\nseccomp.allow = [\"@keyring\"]",
            KEYRINGS,
            "the same",
            "another",
        )
        .against("seccomp.allow = [\"@keyring\"]"),
    ),
    row("process.ioprio", act("process.ioprio = \"idle\"", "ionice", "idle", OTHER)),
    row(
        "process.scheduler",
        act(
            "process.scheduler = \"batch\"",
            "chrt -p $$ | grep -o 'SCHED_[A-Z]*'",
            "SCHED_BATCH",
            "SCHED_OTHER",
        ),
    ),
];

const KEYRINGS: &str = "{P}/act session sh -c '[ $({P}/act keyring) = $($RUN {P}/act keyring) ] && \
                        echo the same || echo another'";
