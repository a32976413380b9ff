//! `stockade run`: the whole pipeline.

use super::{Failed, Planned, denials, explain, note_line, print_problems, request, settle, warn};
use crate::cli::{Explain, Format, Runs};
use stockade::launch::{Denial, Denials, Ended, Outcome, Then};
use stockade::plan::Plan;
use stockade::policy::seccomp::Told;
use stockade::policy::syscalls::Abi;
use stockade::profile::{Caller, Request};

/// Runs the profile; the status is the target's own, or stockade's.
pub fn run(Runs { explain: when, given }: Runs) -> u8 {
    let (request, mut planned) = match plan(given) {
        Ok(planned) => planned,
        Err(failed) => return failed.say(Format::Text),
    };
    if when.is_some() {
        planned.plan.told = Told::Everything;
    }
    for note in planned.plan.notes.iter().filter(|note| note.less) {
        warn(&format!("stockade: {}\n", note_line(note, &planned.sources)));
    }
    let mut tell = |denial: &Denial| {
        if when == Some(Explain::Live) {
            denials::tell(denial, &planned.plan);
        }
    };
    match stockade::launch::launch(&planned.plan, &mut tell) {
        Ok(Ended { outcome, denials }) => {
            denials::report(&denials, &request, &planned);
            if let Some(words) = ended_by_the_filter(outcome, &denials, &planned.plan) {
                warn(&format!("stockade: {words}\n"));
            }
            if when.is_some() {
                beyond_the_filter(outcome, &denials, &planned.plan);
            }
            outcome.status()
        }
        Err(failure) => {
            let status = failure.status;
            print_problems(&explain(*failure.problem, status, &planned).into(), &planned.sources);
            status
        }
    }
}

fn plan(given: crate::cli::Given) -> Result<(Request, Planned), Failed> {
    let request = request(given)?;
    let planned = settle(&request, Caller::current())?;
    Ok((request, planned))
}

/// What a shell gives for a command that died of SIGSYS.
const OF_A_SHELL: u8 = 128 + libc::SIGSYS as u8;

/// What SIGSYS means here, where no denial has told it.
fn ended_by_the_filter(outcome: Outcome, denials: &Denials, plan: &Plan) -> Option<String> {
    let explained = plan.told == Told::Everything;
    let foreign = match plan.filter.table(Abi::X86) {
        None if cfg!(target_arch = "x86_64") => "; a 32-bit program needs [seccomp] architectures = [\"x86\"]",
        _ => "",
    };
    let which = if explained { "" } else { "; `stockade run --explain` says which call it was" };
    match outcome {
        Outcome::Killed(signal) if i32::from(signal) == libc::SIGSYS => {
            if denials.kinds.iter().any(|denial| denial.then == Then::Killed) {
                return None;
            }
            let when = if explained {
                "a rule of `trap` or `kill-thread` stays the kernel's, which does not say for which call"
            } else {
                "the filter kills for calls of an architecture that is not granted, and where a rule says so"
            };
            Some(format!("the target died of SIGSYS: {when}{foreign}{which}"))
        }
        Outcome::Exited(OF_A_SHELL) if !explained => {
            Some(format!("status {OF_A_SHELL} is how a shell says that a command died of SIGSYS, by which the filter kills{foreign}{which}"))
        }
        _ => None,
    }
}

/// What nobody outside can see is said, rather than guessed.
fn beyond_the_filter(outcome: Outcome, denials: &Denials, plan: &Plan) {
    if denials.kinds.is_empty() && denials.complete {
        warn("stockade: the filter denied no system call\n");
    }
    let killed = denials.kinds.iter().any(|denial| denial.then != Then::Failed);
    if killed || !matches!(outcome, Outcome::Exited(1..)) {
        return;
    }
    let log = if plan.landlock.is_some() { "; [landlock] audit = true has the kernel log what Landlock denies" } else { "" };
    warn(&format!("stockade: what the mounts, Landlock and the kernel itself deny is not seen from here: ask stockade why PROFILE /PATH{log}\n"));
}
