//! `[process]`: what runs, and the state that it starts with.
#![allow(rustdoc::broken_intra_doc_links, reason = "`argv[0]` is text of the product")]

mod draft;
mod stdio;
mod streams;
mod values;

use crate::host::caller::Caller;
use crate::host::questions::{Questions, Sought};
use crate::language::fill::Fill;
use crate::language::section::{Key, Set, section};
use crate::language::value::{AbsolutePath, Mode, Time, bounded, words};
use crate::policy::optional::Protection;
use crate::text::source::At;
pub(crate) use draft::{Exec, Watch, draft, exec};
pub(crate) use stdio::Named;
use stdio::{Input, Output, Stdio};
pub(crate) use streams::{Kept, Terminal};
pub(crate) use values::{IoPriority, Scheduler, Signal};

// ---- section ----

section! {
    /// `[process]`: what runs, and the state that it starts with.
    pub struct Process {
        /// The words of the command. `"${ARGS}"` takes the words after PROFILE; without it they
        /// replace the command.
        command: Key<Vec<At<String>>> = Fill { args: true, ..Fill::TEXT }.of_key(),
        /// What the target sees as its own name (argv[0]); default: the first word.
        arg0: Key<String>,
        /// The working directory inside; default: the caller's, where it is there inside (granted,
        /// made by an entry, or above one), else `/`.
        cwd: Key<AbsolutePath>,
        /// The longest time that the target may run; then `stop-signal`.
        timeout: Key<Time>,
        /// What asks the target to end; default: TERM.
        stop_signal: Key<Signal>,
        /// How long after `stop-signal` KILL follows; default: 10s.
        kill_after: Key<Time>,
        /// File mode creation mask; default: 0022.
        umask: Key<Mode>,
        /// Nice value, -20 to 19 (setpriority(2)).
        nice: Key<Nice>,
        /// What the kernel's memory killer thinks of the target, -1000 to 1000
        /// (proc_pid_oom_score_adj(5)).
        oom_score_adj: Key<OomScoreAdj>,
        /// Standard input: `"inherit"` (the default), `"null"`, or a file of the host's.
        stdin: Key<Stdio<Input>>,
        /// Standard output: `"inherit"` (the default), `"null"`, or a file of the host's.
        stdout: Key<Stdio<Output>>,
        /// Standard error: `"inherit"` (the default), `"null"`, or a file of the host's; one that
        /// `stdout` names too is opened once for both.
        stderr: Key<Stdio<Output>>,
        /// `"auto"` (the default): the terminal is kept, with job control, where standard input is
        /// one; `"none"`: a session without terminal. Where standard input is no terminal, one on 1
        /// or 2 can be written and not read.
        tty: Key<Tty>,
        /// `true` (if not set): pid 1 is stockade's, which reaps and forwards; `false`: the target
        /// is pid 1, and a process of stockade's outside ends it when the launcher dies.
        init: Key<bool>,
        /// Descriptors above 2 that the target keeps, by number.
        pass_fds: Key<Vec<At<u32>>>,
        /// `"new"` (the default): an empty session keyring (keyrings(7)); `"inherit"`: the
        /// caller's.
        keyring: Key<Keyring>,
        /// I/O priority: `"idle"`, `"best-effort:0"` to `:7`, `"realtime:0"` to `:7`
        /// (ioprio_set(2)).
        ioprio: Key<IoPriority>,
        /// Scheduling policy: `"other"`, `"batch"`, `"idle"`, `"fifo:1"` to `:99`, `"rr:1"` to
        /// `:99` (sched(7)).
        scheduler: Key<Scheduler>,
    }
    later { "supervise", "notify" }
}

// ---- table ----

bounded! {
    /// A nice value.
    Nice(i32) = -20..=19, "a number from -20 to 19"
}
bounded! {
    /// An adjustment of the memory killer's score.
    OomScoreAdj(i32) = -1000..=1000, "a number from -1000 to 1000"
}

words! {
    /// How the terminal is handled.
    Tty {
        /// Kept where standard input is one.
        Auto = "auto",
        /// A session of its own, without terminal.
        None = "none",
    }
}
words! {
    /// Which session keyring the target has.
    Keyring {
        /// An empty one.
        New = "new",
        /// The caller's.
        Inherit = "inherit",
    }
}

// ---- ask ----

/// Asks what the target gets, and how far the caller may go.
pub(crate) fn ask(
    process: &Process,
    optional: &Set<Protection>,
    caller: &Caller,
    asks: &mut Questions,
) {
    asks.passed = process.passed().collect();
    asks.outputs = outputs(process).map(|(fd, path)| (fd, path.to_owned())).collect();
    asks.opened.extend(process.files().map(|file| file.way().to_owned()));
    let may_skip = optional.items.iter().any(|name| name.value == "keyring");
    asks.keyring = may_skip && process.keyring.or(Keyring::New).value == Keyring::New;
    if caller.uid != 0 {
        asks.priorities = process.nice.get().is_some()
            || process.scheduler.get().is_some()
            || process.oom_score_adj.get().is_some();
        // Whether a class may be had is known without a look.
        if asks.priorities || process.ioprio.get().is_some() {
            asks.resources.get_or_insert_default();
        }
    }
}

/// The files that 1 and 2 write.
fn outputs(process: &Process) -> impl Iterator<Item = (u32, &str)> {
    process.files().filter(|file| file.made.is_some()).map(|file| (file.fd, file.path))
}

pub(crate) fn ask_inside(process: &Process, sought: &mut Sought) {
    sought.cwd = process.cwd.get().map(|cwd| cwd.value.0.clone());
}
