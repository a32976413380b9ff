//! The descriptors that the target has from its caller.

use super::{Named, Process, Tty};
use crate::host::Host;
use crate::host::streams::{Anew, Owner, Stream};
use crate::kernel::name::Name;
use crate::policy::identity::Ids;
use crate::step::draft::Draft;
use crate::step::{ProcessOp, Stage};
use crate::text::problem::{Problem, errno_words};
use crate::text::shell::shell_word;
use crate::text::source::Span;
use serde::Serialize;

/// A descriptor of the caller's that the target has.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub fd: u32,
    pub stream: Stream,
    /// The line that passes it, where there is one.
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

impl Process {
    /// The descriptors above 2 that are passed.
    pub fn passed(&self) -> impl Iterator<Item = u32> {
        self.pass_fds
            .get()
            .into_iter()
            .flat_map(|fds| &fds.value)
            .map(|fd| fd.value)
            .filter(|fd| *fd > 2)
    }

    /// All descriptors that are passed, whatever they are.
    pub fn given(&self) -> impl Iterator<Item = u32> {
        let passed = self.pass_fds.get().into_iter().flat_map(|fds| &fds.value);
        let passed = passed.map(|fd| fd.value);
        (0..3).filter(|fd| self.is_callers(*fd)).chain(passed)
    }

    /// All descriptors that the target has from its caller, and the files in the place of some.
    pub fn kept(&self, host: &Host) -> impl Iterator<Item = Kept> {
        let ats = [self.stdin.at(), self.stdout.at(), self.stderr.at()];
        let streams = (0..).zip(host.streams).zip(ats);
        let streams =
            streams.filter(|((fd, _), _)| !self.is_null(*fd)).map(|((fd, stream), at)| {
                let stream = self.file(fd).map_or(stream, |file| opened(&file, host));
                Kept { fd, stream, at }
            });
        let passed = self.pass_fds.get().into_iter().flat_map(|fds| &fds.value);
        let passed = passed.filter_map(|fd| {
            Some(Kept { fd: fd.value, stream: *host.passed.get(&fd.value)?, at: fd.at })
        });
        streams.chain(passed)
    }

    /// Whether a file on a descriptor is all of the host's whose mode the target can change
    /// (fchmod(2) asks for the owner alone). Made set-id, what it wrote there is a program of the
    /// caller's for every other user; in a writable bind it could make one anyway.
    pub fn gives_a_file_alone(&self, host: &Host, ids: &Ids) -> bool {
        let own = |owner: &Owner| matches!(owner, Owner::User { uid, .. } if *uid == ids.host_user);
        self.kept(host).any(|kept| matches!(&kept.stream, Stream::File { owner, .. } if own(owner)))
    }

    /// Which of 1 and 2 are terminals that would give the target input, though it was given none of
    /// them as 0.
    pub fn outputs_taken_anew(&self, host: &Host) -> Vec<u32> {
        let reads = |fd: u32| {
            self.is_terminal(fd, host)
                && host.streams[fd as usize] == (Stream::Terminal { read: true })
        };
        if self.is_terminal(0, host) {
            vec![]
        } else {
            [1, 2].into_iter().filter(|fd| reads(*fd)).collect()
        }
    }

    /// Whether the target takes part in the job control of the caller's terminal.
    pub fn keeps_terminal(&self, host: &Host) -> bool {
        self.tty.or(Tty::Auto).value == Tty::Auto && self.is_terminal(0, host)
    }

    /// Whether the target has the caller's terminal as 0, 1 or 2.
    fn is_terminal(&self, fd: u32, host: &Host) -> bool {
        matches!(host.streams[fd as usize], Stream::Terminal { .. }) && self.is_callers(fd)
    }
}

/// What the target has of a file that the launcher opens: an output is the caller's own, or not
/// opened. Of an input that nobody saw the worst is taken.
fn opened(file: &Named<'_>, host: &Host) -> Stream {
    let callers = |mode| Owner::User { uid: host.caller.uid, mode };
    let owner = match file.made {
        Some(made) => callers(made.mode.0),
        None => host.fed.unwrap_or(callers(0o777)),
    };
    Stream::File { read: file.made.is_none(), write: file.made.is_some(), owner }
}

/// Only a target with the terminal as its standard input takes part in job control, which stops no
/// reader of another session.
pub(super) fn terminal(process: &Process, host: &Host) -> Terminal {
    if !host.streams.iter().any(|stream| matches!(stream, Stream::Terminal { .. })) {
        Terminal::None
    } else if process.keeps_terminal(host) {
        Terminal::Kept
    } else {
        Terminal::Apart
    }
}

/// A terminal is opened for reading and writing once, and given as 1 and 2: a target without input
/// could read there what the caller types into the shell. So these two are reopened for writing
/// alone.
fn take_input(process: &Process, host: &Host, draft: &mut Draft) {
    for fd in process.outputs_taken_anew(host) {
        match host.anew.get(&fd).copied().unwrap_or(Ok(Anew::Device)) {
            Ok(by) => {
                draft.step(Stage::Terminal, ProcessOp::WriteOnlyStream { fd, by }, process.tty.at())
            }
            // One says it for both.
            Err(errno) => return draft.problem(refuse_terminal(fd, errno, process.tty.at())),
        }
    }
}

fn refuse_terminal(fd: u32, errno: i32, at: Span) -> Problem {
    let message = format!(
        "cannot keep the terminal's input from the target: descriptor {fd} cannot be opened for \
         writing alone: {}",
        errno_words(errno)
    );
    let way = if fd == 1 { "2>&1 | cat" } else { "2> FILE" };
    Problem::new("process::terminal", at, message).help(format!(
        "where the terminal is another user's (su -c, runuser), give the target something else: \
         stockade run ... {way}"
    ))
}

/// Drafts what becomes of 0, 1 and 2, and refuses what opens more than it is.
pub(super) fn draft(process: &Process, in_host_tree: bool, host: &Host, draft: &mut Draft) {
    take_input(process, host, draft);
    refuse_files(process, draft);
    let ats = [process.stdin.at(), process.stdout.at(), process.stderr.at()];
    for (fd, at) in (0..).zip(ats) {
        match host.streams[fd as usize] {
            _ if process.is_null(fd) => {
                draft.step(Stage::Process, ProcessOp::NullStream { fd }, at)
            }
            // Before Landlock's rule for the descriptor, which is of what it is then.
            _ if let Some(file) = process.file(fd) => {
                let (path, made) = (Name::new(file.path), file.made);
                let op = ProcessOp::FileStream { fd, path, made };
                if let Some(errno) = host.unopened.get(file.way()) {
                    let why = errno_words(*errno);
                    let problem = Problem::new("launch::stream", at, format!("cannot {op}: {why}"));
                    draft.problem(problem.help_maybe(remedy(&file, *errno)));
                }
                draft.step(Stage::Rules, op, at);
            }
            Stream::Unknown(errno) => {
                draft.problem(Problem::new(
                    "process::stream",
                    at,
                    format!("cannot look at descriptor {fd}: {}", errno_words(errno)),
                ));
            }
            Stream::Directory => draft.problem(directory(fd, at).help(format!(
                "start stockade with another, or set std{} = \"null\"",
                ["in", "out", "err"][fd as usize]
            ))),
            _ => {}
        }
    }
    // Root's target is another user, and a pipe is its maker's.
    let ends: Vec<Kept> = process
        .kept(host)
        .filter(|kept| host.caller.uid != 0 && kept.stream == Stream::PipeEnd)
        .collect();
    if let Some(first) = ends.first() {
        let numbers: Vec<String> = ends.iter().map(|kept| kept.fd.to_string()).collect();
        draft.note(
            first.at,
            format!(
                "a pipe for writing on {} can be read by the target, too, through /proc/self/fd",
                numbers.join(", ")
            ),
        );
    }
    // In the host's own tree the target walks there by the path as well, and Landlock's rules hold
    // for both.
    for Kept { fd, at, .. } in process
        .kept(host)
        .filter(|kept| !in_host_tree && kept.fd > 2 && kept.stream == Stream::Directory)
    {
        draft.problem(
            directory(fd, at).help("grant the directory in [mounts], and leave the descriptor out"),
        );
    }
}

/// What is to be done where nothing is at the way to a file.
fn remedy(file: &Named<'_>, errno: i32) -> Option<String> {
    let output = file.made.is_some() && errno == libc::ENOENT;
    output.then(|| format!("make its directory: mkdir -p {}", shell_word(file.way())))
}

/// Refuses files of which two streams ask different things.
fn refuse_files(process: &Process, draft: &mut Draft) {
    let problem = |at, message: String| Problem::new("process::file", at, message);
    for file in process.files() {
        if let Some(made) = file.made.filter(|made| made.mode.0 & !0o777 != 0) {
            let message = format!("cannot make {}: mode {} is no plain one", file.path, made.mode);
            let help = "what a target writes is no set-id program: write at most \"0777\"";
            draft.problem(problem(file.mode_at, message).help(help));
        }
    }
    let (input, out, err) = (process.file(0), process.file(1), process.file(2));
    if let (Some(out), Some(err)) = (out, err)
        && out.path == err.path
        && out.made != err.made
    {
        let message = format!("cannot open {} once for both streams: the lines differ", err.path);
        let help = "write the same `mode` and `append` in `stdout` and `stderr`";
        draft.problem(problem(err.at, message).also(out.at, "the other").help(help));
    }
    let emptied = |input: &Named<'_>, output: &Named<'_>| {
        input.path == output.path && output.made.is_some_and(|made| !made.append)
    };
    for output in [out, err].into_iter().flatten() {
        if let Some(input) = input.filter(|input| emptied(input, &output)) {
            let message = format!("cannot read {}: it is emptied before", input.path);
            let help = "name another file, or write `append = true` there";
            return draft.problem(problem(input.at, message).also(output.at, "by this").help(help));
        }
    }
}

fn directory(fd: u32, at: Span) -> Problem {
    let message = format!(
        "cannot pass descriptor {fd}: it is a directory, through which the target could reach the \
         host's tree"
    );
    Problem::new("process::stream", at, message)
}
