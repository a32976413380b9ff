//! From `[process]` and facts to steps: the command, and the state that it starts with.

use super::streams::Terminal;
use super::{Keyring, Process, Scheduler, streams};
use crate::host::Host;
use crate::host::streams::Stream;
use crate::kernel::name::Name;
use crate::kernel::namespace::Kind;
use crate::language::value::{Mode, Time, below};
use crate::policy::bounds;
use crate::policy::env::{Setting, search_path};
use crate::policy::mounts::tree::{Tree, is_there};
use crate::policy::namespaces::{Choice, Namespace};
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::source::{At, Span};
use serde::Serialize;

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
    tree: &Tree,
    choice: &Choice,
    host: &Host,
    draft: &mut Draft,
) -> Watch {
    if let Some(score) = process.oom_score_adj.get() {
        let op = ProcessOp::OomScoreAdj { score: score.0 };
        bounds::step(Stage::Enter, op, score.at, host, draft);
    }
    let terminal = streams::terminal(process, host);
    let new = terminal != Terminal::Kept;
    draft.step(Stage::Process, ProcessOp::Session { new }, process.tty.at());
    let hosts_tree = *choice.of(Kind::Mount) == Namespace::Host;
    streams::draft(process, hosts_tree, host, draft);
    draft_keyring(process, host, draft);
    let mask = process.umask.or(Mode(0o022));
    draft.step(Stage::Process, ProcessOp::Umask { mask: mask.value }, mask.at);
    draft_priorities(process, host, draft);
    let cwd = match process.cwd.get() {
        Some(cwd) => At::new(Name::new(cwd), cwd.at),
        None if hosts_tree || is_there(tree, &host.caller.cwd) => {
            At::unsaid(Name::new(&host.caller.cwd))
        }
        None => {
            // A command that works on its directory should not find another one in silence.
            let is_of_cwd = |note: &&mut Note| {
                let path = note.left_out.as_deref().filter(|_| note.less);
                path.is_some_and(|path| below(&host.caller.cwd, path).is_some())
            };
            if let Some(note) = draft.notes.iter_mut().find(is_of_cwd) {
                note.text.push_str("; the command runs in /");
            }
            At::unsaid(Name::new("/"))
        }
    };
    draft.step(Stage::Process, ProcessOp::WorkingDirectory { path: cwd.value }, cwd.at);
    draft.step(Stage::Process, ProcessOp::FreshState, Span::NOWHERE);
    draft_descriptors(process, draft);
    let terminals = process
        .kept(host)
        .filter(|kept| matches!(kept.stream, Stream::Terminal { .. }))
        .map(|kept| kept.fd)
        .collect();
    watch(process, (terminal, terminals), choice.is_new(Kind::Pid), draft)
}

/// A session keyring of the target's own, unless it has the caller's.
fn draft_keyring(process: &Process, host: &Host, draft: &mut Draft) {
    let Process { keyring, .. } = process;
    if keyring.or(Keyring::New).value == Keyring::Inherit {
        return;
    }
    match host.keyctl_refused {
        None => draft.step(Stage::Process, ProcessOp::NewKeyring, keyring.at()),
        Some(errno) => {
            let why =
                format!("keyctl(2) is refused here, to the target as well: {}", errno_words(errno));
            let what = "the target has no session keyring of its own";
            draft.note_less(keyring.at(), what, &why);
        }
    }
}

/// The target's priorities for processor and disks.
fn draft_priorities(process: &Process, host: &Host, draft: &mut Draft) {
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
}

/// The descriptors that stay open.
fn draft_descriptors(process: &Process, draft: &mut Draft) {
    let passed: &[At<u32>] = process.pass_fds.get().map_or(&[], |fds| &fds.value);
    if let Some(fd) = passed.iter().find(|fd| fd.value < 3 || fd.value > 1_000_000) {
        let message =
            format!("cannot pass descriptor {}: only 3 to 1000000 are passed by number", fd.value);
        let problem = Problem::new("process::pass-fds", fd.at, message);
        draft.problem(problem.help("leave it out: 0, 1 and 2 are passed always"));
    }
    let keep = passed.iter().map(|fd| fd.value).collect();
    draft.step(Stage::Process, ProcessOp::CloseDescriptors { keep }, process.pass_fds.at());
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
