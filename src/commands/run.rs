//! `stockade run`: the whole pipeline, and the record of how it ended.

use super::changes::{MOST_KEPT, end_left, of_run, on_success};
use super::record::{Changed, NotListed, Record, Sink, Why};
use super::{Failed, Planned, denials, end, meant, request, settle, warn};
use crate::cli::{ChangesAs, Explain, Format, Runs};
use crate::host::caller::Caller;
use crate::inspect::view::{Notes, note_line};
use crate::kernel::syscalls::Abi;
use crate::launch::{
    Ask, Consequence, Denial, Denials, Ended, FAILED, Failure, Mask, Outcome, Top, Tops,
    find_passed, is_of_the_host, launch,
};
use crate::plan::Plan;
use crate::policy::mounts::tree::{made_anew, written_through};
use crate::policy::seccomp::{Notifications, Verdict};
use crate::profile::Request;
use crate::sys::Errno;
use crate::text::bytes;
use crate::text::paths::some_of;
use crate::text::problem::{Problem, errno_words, escape};
use crate::text::source::Span;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;

/// Runs the profile; the status is the target's own, or stockade's.
pub(super) fn run(runs: Runs) -> u8 {
    let Runs { report, report_fd, stats, explain: when, changes, format, loudness, given } = runs;
    if format.is_some() && changes.is_none() {
        let message = "cannot take `--format` without `--changes`: it is how those are listed";
        let help = "add --changes; a profile alone: stockade check --format json PROFILE";
        return Failed::of(Problem::new("cli::flag", Span::NOWHERE, message).help(help))
            .print(Format::Text);
    }
    let as_json = format == Some(Format::Json);
    let how = How { when, changes, as_json, notes: loudness.notes_of_run() };
    let prepared = plan(given);
    // Descriptors that the caller passes are looked at before the report's takes a number.
    let passed = prepared.as_ref().map_or(Ok(()), |(_, planned)| find_passed(&planned.plan));
    let sink = match Sink::open(report.as_deref().map(bytes::path).as_deref(), report_fd, stats) {
        Ok(sink) => sink,
        Err(message) => {
            let problem = Problem::new("cli::flag", Span::NOWHERE, message);
            return Failed::of(problem).print(Format::Text);
        }
    };
    match prepared {
        Ok((request, mut planned)) => {
            if when.is_some() {
                planned.plan.notifications = Notifications::Everything;
            }
            run_plan(&request, &planned, how, passed, sink)
        }
        Err(failed) => {
            failed.print(Format::Text);
            sink.put(&Record::failed(&failed, vec![]), failed.status)
        }
    }
}

/// What is printed besides the target's own output.
#[derive(Clone, Copy)]
struct How {
    /// When denials are explained.
    when: Option<Explain>,
    /// How changes are listed, where they are.
    changes: Option<ChangesAs>,
    /// Whether they are, in one line for programs.
    as_json: bool,
    notes: Notes,
}

fn run_plan(
    request: &Request,
    planned: &Planned,
    How { when, changes, as_json, notes }: How,
    passed: Result<(), Failure>,
    sink: Sink,
) -> u8 {
    let mut skipped: Vec<String> = planned.skipped().collect();
    let quiet = notes == Notes::None;
    let less = planned.plan.notes.iter().filter(|note| note.less || notes == Notes::All);
    let (shown, _) = notes.of(less, &planned.sources);
    for note in shown {
        warn(&format!("stockade: {}\n", note_line(note, &planned.sources)));
    }
    let ask = Ask { accounts: sink.is_wanted(), tops: changes.is_some() };
    let mut tell = |denial: &Denial| {
        if when == Some(Explain::Live) {
            denials::print_first(denial, &planned.plan);
        }
    };
    let passed = passed.and_then(|()| changes.map_or(Ok(()), |_| refuse_copies(&planned.plan)));
    if changes == Some(ChangesAs::ApplyOnSuccess) && passed.is_ok() {
        if !is_of_the_host(&planned.plan) {
            let message = "cannot apply what the target will have changed: no entry with an upper is \
                           the host's tree at its own path";
            let problem = Problem::new("changes::apply", Span::NOWHERE, message);
            let failed = Failed::of(problem.help("name one: \"${CWD}\" = \"overlay\""));
            failed.print(Format::Text);
            return sink.put(&Record::failed(&failed, skipped), failed.status);
        }
        end_left();
    }
    let launched = passed.and_then(|()| {
        // Writes from here on may block, and signals end this process as any other.
        let _mask = Mask::look()?;
        launch(&planned.plan, ask, &mut tell)
    });
    match launched {
        Ok(mut ended) => {
            let not_listed = changes.map_or(vec![], |_| not_listed(planned));
            let keeps = sink.is_written() || as_json;
            let mut changed =
                changes.map(|how| changed(&ended.tops, (how, as_json), &not_listed, keeps));
            let applied = match (&mut changed, changes) {
                (Some(changed), Some(ChangesAs::ApplyOnSuccess)) => {
                    applied(&ended, planned, changed).map_err(|problem| {
                        Failed::of(*problem).print(Format::Text);
                    })
                }
                _ => Ok(()),
            };
            ended.left.extend(std::mem::take(&mut ended.tops).finish());
            let Ended { outcome, denials, left, .. } = &ended;
            for left in left {
                let left = escape(left);
                warn(&format!(
                    "stockade: this could not be removed, the next run does it: {left}\n"
                ));
            }
            denials::report(denials, request, planned);
            let of_the_filter = ended_by_the_filter(*outcome, denials, &planned.plan);
            let words = of_the_filter.or_else(|| end::of(&ended, planned));
            for words in words.into_iter().chain(end::of_full(&ended, planned)).filter(|_| !quiet) {
                warn(&format!("stockade: {words}\n"));
            }
            if when.is_some() {
                beyond_the_filter(*outcome, denials, &planned.plan);
            }
            for note in &ended.fallen {
                let line = note_line(note, &planned.sources);
                if !quiet {
                    warn(&format!("stockade: {line}\n"));
                }
                skipped.push(line);
            }
            let mut record = Record::ended(&ended, planned, skipped);
            record.changes = changed;
            record.not_listed = not_listed;
            let status = applied.map_or(FAILED, |()| ended.outcome.status());
            let status = sink.put(&record, status);
            match record.listed().filter(|_| as_json) {
                Some(line) if last_line(&line).is_err() => FAILED,
                Some(_) | None => status,
            }
        }
        Err(failure) => {
            let failed = planned.failed(failure);
            failed.print(Format::Text);
            sink.put(&Record::failed(&failed, skipped), failed.status)
        }
    }
}

/// Writes the last line on standard error, whatever the target left there: a line without its end, or,
/// in a file, a place before what it has written, as it has that in common with the launcher.
fn last_line(line: &str) -> std::io::Result<()> {
    let mut file = File::from(std::io::stderr().as_fd().try_clone_to_owned()?);
    let is_new = file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? == 0;
    let before = if is_new { "" } else { "\n" };
    file.write_all(format!("{before}{line}").as_bytes())
}

/// A copy of layers does not show what the target changed: a file that it made looks as any other,
/// and one that it removed has no trace.
fn refuse_copies(plan: &Plan) -> Result<(), Failure> {
    let served = plan.tree().find_map(|(op, at)| {
        let facets = op.facets();
        facets.served.is_some().then_some((facets.rights?.0, at))
    });
    if let Some((path, at)) = served {
        let message = format!(
            "cannot list what is changed in {path}: fuse-overlayfs shows its layers, and marks what is \
             removed in a way of its own"
        );
        let problem = Problem::new("mounts::layers", at, message);
        return Err(problem.help("run it without --changes").into());
    }
    let copied = plan.tree().find_map(|(op, at)| {
        let facets = op.facets();
        Some((facets.because?, facets.rights?.0, at))
    });
    let Some((because, path, at)) = copied else { return Ok(()) };
    let message = format!(
        "cannot list what is changed in {path}: its layers are copied, and a copy does not show it"
    );
    let problem = Problem::new("mounts::layers", at, message)
        .label(format!("copied, since {because}"))
        .help("run it without --changes");
    Err(problem.into())
}

/// Where what the target wrote is in no upper.
fn not_listed(planned: &Planned) -> Vec<NotListed> {
    let tree = planned.settled.whole();
    let of = |why| move |path: &str| NotListed { path: path.to_owned(), why };
    let granted = written_through(tree).map(of(Why::Grant));
    granted.chain(made_anew(tree).map(of(Why::MadeAnew))).collect()
}

/// Lists what the target changed, entry by entry; the same for the record.
fn changed(
    tops: &Tops,
    (how, as_json): (ChangesAs, bool),
    left_out: &[NotListed],
    keeps: bool,
) -> Vec<Changed> {
    let say = |line: &str| {
        if !as_json {
            warn(&format!("stockade: {line}\n"))
        }
    };
    let some = |why| {
        let of = left_out.iter().filter(|one| one.why == why);
        let shown: Vec<String> = of.map(|one| escape(&one.path)).collect();
        some_of(&shown.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (anew, granted) = (some(Why::MadeAnew), some(Why::Grant));
    if tops.all.is_empty() && tops.failed.is_empty() {
        say("there are no changes to list: no entry has an upper");
    }
    let of = |path: &str, layers: &[String], changes, failed: Option<String>| {
        failed.iter().for_each(|failed| say(failed));
        let (path, layers) = (path.to_owned(), layers.to_vec());
        Changed { path, layers, held_by: None, changes, failed, applied: None }
    };
    let unread = tops.failed.iter().map(|(path, Errno(errno))| {
        let (shown, why) = (escape(path), errno_words(*errno));
        let failed = format!("cannot read what was written to {shown}: {why}");
        of(path, &[], vec![], Some(failed))
    });
    let unread: Vec<Changed> = unread.collect();
    let is_read = unread.is_empty();
    // A target can make more than can be kept.
    let (mut room, mut count) = (MOST_KEPT, 0);
    let format = if as_json { Format::Json } else { Format::Text };
    let read = |top: &Top| {
        let found = of_run(top, (format, how == ChangesAs::Diff), keeps.then_some(&mut room));
        count += found.count;
        let failed = found.ended.err().map(|problem| problem.message.clone());
        of(&top.record.path, &top.record.layers, found.rows, failed)
    };
    let all: Vec<Changed> = tops.all.iter().map(read).chain(unread).collect();
    let is_none = count == 0 && is_read && all.iter().all(|changed| changed.failed.is_none());
    match all.as_slice() {
        [only] if is_none => say(&format!("nothing was changed in {}", escape(&only.path))),
        [_, _, ..] if is_none && anew.is_none() => say("nothing was changed"),
        [_, _, ..] if is_none => say("no changes are listed"),
        _ => {}
    }
    if let Some(some) = granted.filter(|_| !all.is_empty()) {
        say(&format!("what was written to {some} is in the host's own files, and not listed"));
    }
    if let Some(some) = anew {
        let or = if how == ChangesAs::ApplyOnSuccess { " or applied" } else { "" };
        say(&format!("what is made directly in {some} is never listed{or}"));
    }
    all
}

/// Puts what the target changed where it belongs, if it succeeded.
fn applied(ended: &Ended, planned: &Planned, all: &mut [Changed]) -> Result<(), Box<Problem>> {
    if ended.outcome != Outcome::Exited(0) {
        warn("stockade: nothing was applied, as the target did not end with status 0\n");
        return Ok(());
    }
    // A program that still ends well leaves files that are cut.
    if end::full(ended, planned).next().is_some() {
        let message = "cannot apply what was written: an upper is full, and files in it may be cut";
        return Err(Problem::new("changes::apply", Span::NOWHERE, message).into());
    }
    if let Some((path, Errno(errno))) = ended.tops.failed.first() {
        let why = errno_words(*errno);
        let message = format!("cannot apply what was written to {}: {why}", escape(path));
        return Err(Problem::new("changes::apply", Span::NOWHERE, message).into());
    }
    on_success(&ended.tops.all, &mut |path, count| {
        let of_path = |changed: &&mut Changed| changed.path == path;
        all.iter_mut().find(of_path).into_iter().for_each(|at| at.applied = Some(count));
    })
}

fn plan(given: crate::cli::Given) -> Result<(Request, Planned), Failed> {
    let request = request(given)?;
    let planned = settle(&request, Caller::current())
        .map_err(|failed| meant::program_or(failed, &request, "run"))
        .map_err(|failed| meant::with_command(failed, &request, "run"))?;
    Ok((request, planned))
}

/// What a shell gives for a command that died of SIGSYS.
const OF_A_SHELL: u8 = 128 + libc::SIGSYS as u8;

/// What SIGSYS means here, where no denial explains it.
fn ended_by_the_filter(outcome: Outcome, denials: &Denials, plan: &Plan) -> Option<String> {
    let explained = plan.notifications == Notifications::Everything;
    let foreign = match plan.filter.table(Abi::X86) {
        None if cfg!(target_arch = "x86_64") => {
            "; a 32-bit program needs [seccomp] architectures = [\"x86\"]"
        }
        _ => "",
    };
    let which = if explained { "" } else { "; `stockade run --explain` says which call it was" };
    match outcome {
        Outcome::Killed(libc::SIGSYS) => {
            if denials.kinds.iter().any(|denial| denial.then == Consequence::Killed) {
                return None;
            }
            let when = if explained {
                "a rule of `trap` or `kill-thread` stays the kernel's, which does not say for \
                 which call"
            } else {
                "the filter kills for calls of an architecture that is not granted, and where a \
                 rule says so"
            };
            Some(format!("the target died of SIGSYS: {when}{foreign}{which}"))
        }
        Outcome::Exited(OF_A_SHELL) if !explained => Some(format!(
            "status {OF_A_SHELL} is how a shell says that a command died of SIGSYS, by which the \
             filter kills{foreign}{which}"
        )),
        _ => None,
    }
}

/// Says what cannot be seen from outside, rather than guess.
fn beyond_the_filter(outcome: Outcome, denials: &Denials, plan: &Plan) {
    if denials.kinds.is_empty() && denials.complete {
        warn("stockade: the filter denied no system call\n");
    }
    // Programs do without what seems to be absent; any other denial may be the reason.
    let denied = denials.kinds.iter().any(|denial| {
        denial.then != Consequence::Failed
            || denials::judge(denial, plan) != Verdict::Errno(libc::ENOSYS)
    });
    if denied || !matches!(outcome, Outcome::Exited(1..)) {
        return;
    }
    let log = if plan.landlock.is_some() {
        "; [landlock] audit = true has the kernel log what Landlock denies"
    } else {
        ""
    };
    warn(&format!(
        "stockade: what the mounts, Landlock and the kernel itself deny is not seen from here: ask \
         stockade why PROFILE /PATH, or cap:NAME{log}\n"
    ));
}
