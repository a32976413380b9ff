//! `[process]`: what runs, and the state that it starts with.
#![allow(rustdoc::broken_intra_doc_links, reason = "`argv[0]` is text of the product")]

mod streams;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::questions::{Questions, Sought};
use crate::host::streams::Stream;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::language::fill::Fill;
use crate::language::read::Why;
use crate::language::section::{Key, Set, section};
use crate::language::shape::Shape;
use crate::language::value::{
    AbsolutePath, Mode, Spelled, Time, Written, ancestors, bounded, words,
};
use crate::policy::bounds;
use crate::policy::env::{Setting, search_path};
use crate::policy::mounts::{Mounts, Opened, What};
use crate::policy::namespaces::{Choice, Namespace};
use crate::policy::optional::Wall;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::{Problem, errno_words};
use crate::text::source::{At, Span};
use serde::Serialize;
use std::fmt;
pub(crate) use streams::Kept;

// ---- section ----

section! {
    /// `[process]`: what runs, and the state that it starts with.
    pub struct Process {
        /// The words of the command. `"${ARGS}"` takes the words after PROFILE; without it they
        /// replace the command.
        command: Key<Vec<At<String>>> = Fill { args: true, ..Fill::TEXT }.of_key(),
        /// What the target sees as its own name (argv[0]); default: the first word.
        arg0: Key<String>,
        /// The working directory inside; default: the caller's, where it is visible inside, else
        /// `/`.
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
        /// Standard input: `"inherit"` (the default) or `"null"`.
        stdin: Key<Stdio>,
        /// Standard output: `"inherit"` (the default) or `"null"`.
        stdout: Key<Stdio>,
        /// Standard error: `"inherit"` (the default) or `"null"`.
        stderr: Key<Stdio>,
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

/// A signal by name, with or without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub nix::sys::signal::Signal);

impl Written for Signal {
    const WHAT: &'static str = "a signal name such as \"TERM\"";
    fn from_text(text: &str) -> Result<Signal, Why> {
        let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
        name.parse().map(Signal).map_err(|_| {
            Why::not(text, "` is not a signal").help("write its name, such as \"TERM\" or \"INT\"")
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(self.0.as_str().trim_start_matches("SIG").to_owned())
    }
    fn looks() -> Shape {
        let names = || {
            nix::sys::signal::Signal::iterator()
                .map(|signal| signal.as_str().trim_start_matches("SIG"))
        };
        let long = format!("^SIG({})$", names().collect::<Vec<_>>().join("|"));
        Shape::Either(vec![
            Shape::names(names()),
            Shape::form("the same with `SIG` before it", long),
        ])
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

bounded! {
    /// A nice value.
    Nice(i32) = -20..=19, "a number from -20 to 19"
}
bounded! {
    /// An adjustment of the memory killer's score.
    OomScoreAdj(i32) = -1000..=1000, "a number from -1000 to 1000"
}

words! {
    /// What a standard stream is.
    Stdio {
        /// The caller's.
        Inherit = "inherit",
        /// `/dev/null`.
        Null = "null",
    }
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

/// An I/O priority as ioprio_set(2) takes it: class in the high bits, level in the low 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority(pub u16);

impl Written for IoPriority {
    const WHAT: &'static str = "an I/O priority such as \"best-effort:4\" or \"idle\"";
    fn from_text(text: &str) -> Result<IoPriority, Why> {
        let (class, level) = text.split_once(':').unwrap_or((text, "0"));
        let level = level.parse::<u16>().ok().filter(|level| *level < 8);
        let class = match class {
            "realtime" => Some(1),
            "best-effort" => Some(2),
            "idle" => Some(3),
            _ => None,
        };
        let priority = class.zip(level).filter(|(class, _)| *class != 3 || !text.contains(':'));
        priority.map(|(class, level)| IoPriority(class << 13 | level)).ok_or_else(|| {
            Why::not(text, "` is not an I/O priority")
                .help("write \"idle\", or \"best-effort:0\" to \":7\", or \"realtime:0\" to \":7\"")
        })
    }
    fn write(&self) -> Spelled {
        let class = ["", "realtime", "best-effort", "idle"][usize::from(self.0 >> 13 & 3)];
        let level = self.0 & 7;
        Spelled::Text(if class == "idle" { class.to_owned() } else { format!("{class}:{level}") })
    }
    fn looks() -> Shape {
        Shape::form(
            "an I/O priority such as `\"idle\"` or `\"best-effort:4\"`",
            "^(idle|(best-effort|realtime)(:[0-7])?)$",
        )
    }
}

/// A scheduling policy with its priority, as sched_setscheduler(2) takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: i32,
    /// 1 to 99 for `fifo` and `rr`, else 0.
    pub priority: i32,
}

impl Written for Scheduler {
    const WHAT: &'static str = "a scheduling policy such as \"batch\" or \"fifo:10\"";
    fn from_text(text: &str) -> Result<Scheduler, Why> {
        let (policy, priority) = match text.split_once(':') {
            Some((policy, priority)) => (
                policy,
                priority.parse::<i32>().ok().filter(|priority| (1..=99).contains(priority)),
            ),
            None => (text, Some(0)),
        };
        let found = match (policy, priority) {
            ("other", Some(0)) => Some((libc::SCHED_OTHER, 0)),
            ("batch", Some(0)) => Some((libc::SCHED_BATCH, 0)),
            ("idle", Some(0)) => Some((libc::SCHED_IDLE, 0)),
            ("fifo", Some(priority)) if priority > 0 => Some((libc::SCHED_FIFO, priority)),
            ("rr", Some(priority)) if priority > 0 => Some((libc::SCHED_RR, priority)),
            _ => None,
        };
        found.map(|(policy, priority)| Scheduler { policy, priority }).ok_or_else(|| {
            Why::not(text, "` is not a scheduling policy").help(
                "write \"other\", \"batch\", \"idle\", or \"fifo:1\" to \":99\", or \"rr:1\" to \
                 \":99\"",
            )
        })
    }
    fn write(&self) -> Spelled {
        Spelled::Text(match self.policy {
            libc::SCHED_BATCH => "batch".into(),
            libc::SCHED_IDLE => "idle".into(),
            libc::SCHED_FIFO => format!("fifo:{}", self.priority),
            libc::SCHED_RR => format!("rr:{}", self.priority),
            _ => "other".into(),
        })
    }
    fn looks() -> Shape {
        Shape::form(
            "a scheduling policy such as `\"batch\"` or `\"fifo:10\"`",
            "^(other|batch|idle|(fifo|rr):[1-9][0-9]?)$",
        )
    }
}

// ---- ask ----

/// Asks what the target gets, and how far the caller may go.
pub(crate) fn ask(process: &Process, optional: &Set<Wall>, caller: &Caller, asks: &mut Questions) {
    asks.passed = process.passed().collect();
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

pub(crate) fn ask_inside(process: &Process, sought: &mut Sought) {
    sought.cwd = process.cwd.get().map(|cwd| cwd.value.0.clone());
}

// ---- draft ----

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exec {
    /// Where the program may be, in the order of the search.
    pub candidates: Vec<Name>,
    pub argv: Vec<Name>,
    pub env: Vec<Setting>,
    /// The line that names it.
    #[serde(skip)]
    pub at: Span,
}

/// How the target and the caller's terminal go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Terminal {
    /// None of 0, 1 and 2 is one.
    None,
    /// The target keeps it, with job control.
    Kept,
    /// The target is in a session of its own. The launcher alone takes part in job control, and
    /// stops and continues the target.
    Apart,
}

/// How it is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// Whether pid 1 is stockade's.
    pub init: bool,
    /// How the target and the caller's terminal go together.
    pub terminal: Terminal,
    /// Descriptors of the target that are terminals of the caller.
    pub terminals: Vec<u32>,
    /// The longest time, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How long after `stop_signal` KILL follows, in milliseconds.
    pub kill_after_ms: u64,
    /// What asks the target to end.
    pub stop_signal: i32,
}

pub(crate) fn exec(process: &Process, env: Vec<Setting>, draft: &mut Draft) -> Exec {
    let command = process.command.get();
    let at = command.and_then(|words| words.first()).map_or(process.command.at(), |word| word.at);
    let words: &[At<String>] = command.map_or(&[], |words| &words.value);
    for word in words.iter().filter(|word| word.contains('\0')) {
        draft.problem(Problem::new(
            "process::nul",
            word.at,
            "cannot pass this word of the command: it holds a NUL byte",
        ));
    }
    if let Some(arg0) = process.arg0.get().filter(|arg0| arg0.contains('\0')) {
        draft.problem(Problem::new(
            "process::nul",
            arg0.at,
            "cannot set `arg0`: it holds a NUL byte",
        ));
    }
    let program = words.first().map_or("", |word| &word.value);
    if program.is_empty() {
        draft.problem(
            Problem::new("process::command", at, "cannot run the profile: it has no command").help(
                "give one in [process]: command = [\"bash\"]; or after the profile: stockade run \
                 PROFILE COMMAND",
            ),
        );
    }
    let candidates = if program.contains('/') {
        vec![Name::new(program)]
    } else {
        search_path(&env)
            .iter()
            .map(|directory| Name::new(&format!("{directory}/{program}")))
            .collect()
    };
    let mut argv: Vec<Name> = words.iter().map(|word| Name::new(word)).collect();
    if let (Some(arg0), Some(first)) = (process.arg0.get(), argv.first_mut()) {
        *first = Name::new(arg0);
    }
    Exec { candidates, argv, env, at }
}

/// Drafts the state of the target's process.
pub(crate) fn draft(
    process: &Process,
    (mounts, opened): (&Mounts, &[Opened]),
    choice: &Choice,
    host: &Host,
    draft: &mut Draft,
) -> Watch {
    if let Some(score) = process.oom_score_adj.get() {
        let op = ProcessOp::OomScoreAdj { score: score.0 };
        bounds::step(Stage::Enter, op, score.at, host, draft);
    }
    let terminal = streams::terminal(process, host);
    draft.step(
        Stage::Process,
        ProcessOp::Session { new: terminal != Terminal::Kept },
        process.tty.at(),
    );
    streams::draft(process, *choice.of(Kind::Mount) == Namespace::Host, host, draft);
    if process.keyring.or(Keyring::New).value == Keyring::New {
        match host.keyctl_refused {
            None => draft.step(Stage::Process, ProcessOp::NewKeyring, process.keyring.at()),
            Some(errno) => {
                let why = format!(
                    "keyctl(2) is refused here, to the target as well: {}",
                    errno_words(errno)
                );
                draft.note_less(
                    process.keyring.at(),
                    "the target has no session keyring of its own",
                    &why,
                );
            }
        }
    }
    let mask = process.umask.or(Mode(0o022));
    draft.step(Stage::Process, ProcessOp::Umask { mask: mask.value }, mask.at);
    if let Some(nice) = process.nice.get() {
        let op = ProcessOp::Nice { value: nice.0 };
        bounds::step(Stage::Process, op, nice.at, host, draft);
    }
    if let Some(priority) = process.ioprio.get() {
        let op = ProcessOp::IoPriority { value: priority.0 };
        bounds::step(Stage::Process, op, priority.at, host, draft);
    }
    if let Some(scheduler) = process.scheduler.get() {
        let Scheduler { policy, priority } = scheduler.value;
        let op = ProcessOp::Scheduler { policy, priority };
        bounds::step(Stage::Process, op, scheduler.at, host, draft);
    }
    let cwd = match process.cwd.get() {
        Some(cwd) => At::new(Name::new(cwd), cwd.at),
        None => At::unsaid(Name::new(
            if *choice.of(Kind::Mount) == Namespace::Host
                || is_visible(&host.caller.cwd, mounts, opened)
            {
                &host.caller.cwd
            } else {
                "/"
            },
        )),
    };
    draft.step(Stage::Process, ProcessOp::WorkingDirectory { path: cwd.value }, cwd.at);
    draft.step(Stage::Process, ProcessOp::FreshState, Span::NOWHERE);
    let keep: Vec<u32> =
        process.pass_fds.get().map_or(vec![], |fds| fds.iter().map(|fd| fd.value).collect());
    if let Some(fd) = process
        .pass_fds
        .get()
        .and_then(|fds| fds.iter().find(|fd| fd.value < 3 || fd.value > 1_000_000))
    {
        draft.problem(
            Problem::new(
                "process::pass-fds",
                fd.at,
                format!(
                    "cannot pass descriptor {}: only 3 to 1000000 are passed by number",
                    fd.value
                ),
            )
            .help("leave it out: 0, 1 and 2 are passed always"),
        );
    }
    draft.step(Stage::Process, ProcessOp::CloseDescriptors { keep }, process.pass_fds.at());
    let terminals = process
        .kept(host)
        .filter(|kept| matches!(kept.stream, Stream::Terminal { .. }))
        .map(|kept| kept.fd)
        .collect();
    watch(process, (terminal, terminals), choice.is_new(Kind::Pid), draft)
}

fn watch(
    process: &Process,
    (terminal, terminals): (Terminal, Vec<u32>),
    own_pids: bool,
    draft: &mut Draft,
) -> Watch {
    let init = process.init.or(true);
    if !init.value {
        for (word, at) in [
            ("timeout", process.timeout.at()),
            ("stop-signal", process.stop_signal.at()),
            ("kill-after", process.kill_after.at()),
        ] {
            if at.is_somewhere() {
                draft.problem(
                    Problem::new(
                        "process::init",
                        at,
                        format!("cannot set `{word}`: pid 1 is not stockade's"),
                    )
                    .also(init.at, "because of this"),
                );
            }
        }
        if !own_pids {
            draft.problem(Problem::new(
                "process::init",
                init.at,
                "cannot make the target pid 1: the sandbox has no pid namespace of its own",
            ));
        }
    }
    let millis = |time: Time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
    Watch {
        init: init.value,
        terminal,
        terminals,
        timeout_ms: process.timeout.get().map(|time| millis(time.value)),
        kill_after_ms: process.kill_after.get().map_or(10_000, |time| millis(time.value)),
        stop_signal: process.stop_signal.get().map_or(libc::SIGTERM, |signal| signal.0 as i32),
    }
}

/// Whether a directory of the host is at the same path inside: the nearest thing attached above it
/// comes from that very path.
fn is_visible(path: &str, mounts: &Mounts, opened: &[Opened]) -> bool {
    let attached = |over: &str| {
        let is_there = |one: &&Opened| one.inside.as_ref().is_some_and(|path| path.text() == over);
        opened.iter().find(is_there)
    };
    for over in ancestors(path) {
        match (attached(over), mounts.get(over).map(|mount| &mount.value)) {
            (Some(Opened { what: What::Tree { source, .. }, .. }), _) => {
                return source.text() == over;
            }
            (Some(Opened { what: What::Made { .. }, .. }), _) => return false,
            // An entry that was left out leaves what is above it in sight.
            (None, None) => {}
            (None, Some(mount)) if mount.grant(over).is_some() => {}
            (None, Some(_)) => return false,
        }
    }
    false
}
