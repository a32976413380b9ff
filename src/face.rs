//! The library's face: the pipeline for a Rust program, and what the commands make of it.
//!
//! A text and its problems stay together here, so that no other module carries the sources around.

mod problems;
mod request;

pub use problems::{Place, Problem, Problems};
pub use request::Request;

use crate::host::Host;
use crate::host::caller::Caller;
use crate::inspect::view::{note_line, steps};
use crate::launch::helper::Helper;
use crate::launch::{self, Ask, FAILED, Failure, Outcome, Process};
use crate::policy::mounts::settle::Settled;
use crate::policy::programs::{Unseen, unseen};
use crate::probe::probe;
use crate::profile::{self, as_written};
use crate::text::problem as text;
use crate::text::source::Sources;
use std::fmt;
use std::time::Duration;

/// A profile that was read and checked, with every profile that it extends.
///
/// [`load`] makes it and [`plan()`] takes it. It holds the texts that it came from, so that a
/// later problem can name its line, and nothing of the machine. What it says is data of the
/// language (`stockade man 5`), not of Rust: it has no getters.
#[derive(Clone)]
pub struct Profile {
    pub(crate) sources: Sources,
    pub(crate) profile: profile::Profile,
    pub(crate) caller: Caller,
}

/// What [`launch()`] will do, step by step.
///
/// It is data: nothing was changed on the machine, and no descriptor is open. Its text is that of
/// `stockade plan --steps`, every step with the line of the profile that asked for it. The same
/// profile on the same state of the machine always gives the same plan. It can be launched more
/// than once, but what the profile takes from a descriptor is read by the first launch. A file that
/// was replaced since the plan was made is an error of the launch.
pub struct Plan {
    pub(crate) sources: Sources,
    pub(crate) profile: profile::Profile,
    pub(crate) host: Host,
    pub(crate) settled: Settled,
    pub(crate) plan: crate::plan::Plan,
}

/// A run that has ended.
#[derive(Debug, Clone)]
#[must_use = "it says how the target ended, which is no error of `launch`"]
pub struct Ended {
    outcome: Outcome,
    elapsed: Duration,
    skipped: Vec<String>,
    leftovers: Vec<String>,
}

/// Reads a profile and every profile that it extends, and settles parameters and variables.
///
/// It reads files, the environment and the current directory of this process, and changes nothing.
///
/// # Errors
///
/// Everything that is wrong with the texts, not only the first problem. A profile, or a file that
/// it extends, is refused if anybody but root and this user could have written it
/// (`profile::trust`). If this process is set-id, has file capabilities or has changed its user,
/// nothing is read: the caller of such a process would choose what its privilege is used for.
///
/// # Examples
///
/// A problem has a stable code for programs, a place and, where one is known, a fix:
///
/// ```
/// let request = stockade::Request::text("mine", "format = 1\n[process]\ntimeout = 30\n");
/// let problems = stockade::load(&request).unwrap_err();
/// let problem = problems.iter().next().unwrap();
/// assert_eq!(problem.code(), "profile::value");
/// assert_eq!(problem.place().unwrap().to_string(), "mine:3:11");
/// assert!(problem.help().unwrap().contains("timeout = \"30s\""));
/// ```
pub fn load(request: &Request) -> Result<Profile, Problems> {
    Profile::load(&request.0, caller()?)
}

/// Looks at the machine, and settles what a run of the profile does there.
///
/// It looks at the files that the profile names, at the ids, limits, control groups and standard
/// streams of this process and at what the kernel offers, and changes nothing.
///
/// # Errors
///
/// Everything that keeps this machine from enforcing the profile: a file that does not exist, a
/// grant that is too broad, a protection that this kernel lacks and that `optional` does not name.
///
/// # Examples
///
/// ```
/// let profile = "format = 1\n[mounts]\n\"/data\" = { bind = \"/no/such\" }\n";
/// let request = stockade::Request::text("mine", profile).args(["true"]);
/// let problems = stockade::plan(stockade::load(&request)?).unwrap_err();
/// assert!(problems.iter().any(|problem| problem.code() == "mounts::source"));
/// # Ok::<(), stockade::Problems>(())
/// ```
pub fn plan(profile: Profile) -> Result<Plan, Problems> {
    profile.plan(|_, _, _, _| {})
}

/// Builds the sandbox, runs the target in it and waits until it ends.
///
/// The target has this process's standard streams, unless the profile says otherwise, and of its
/// other descriptors those alone that `process.pass-fds` names. Text that this process has printed
/// and not flushed comes after the target's. Signals that ask this process to end, to stop or to
/// look again (TERM, INT, HUP, TSTP, CONT, USR1, WINCH and the like) are passed on to the target.
/// When this process dies, however it dies, the sandbox ends with it.
///
/// # The calling process
///
/// It must have one thread: the sandbox begins as a copy of it (clone(2)), in which a lock that
/// another thread held would be held for ever, and a signal that is to be passed on must not go to
/// another thread. A program that has threads runs the command `stockade` instead, as any other
/// command. While the target runs, all signals are blocked, SIGCHLD has its default action, the
/// process is not dumpable (PR_SET_DUMPABLE of prctl(2)), and the soft limit of open files may be
/// raised; at the end these are as before, and every descriptor that was opened is closed. With
/// `[limits]` the process can find itself in another control group than before.
///
/// # Errors
///
/// The step that failed, with the line of the profile that asked for it, the kernel's error in
/// words and, where it is known, why this machine forbids it. Nothing is left of the sandbox then.
/// [`Problems::status`] is the status that a shell expects: 127 for a program that is not there,
/// 126 for one that cannot be executed, else 125.
///
/// # Examples
///
/// ```no_run
/// use stockade::{Outcome, Request};
///
/// # fn main() -> Result<(), stockade::Problems> {
/// let request = Request::new("default").args(["make", "test"]);
/// let ended = stockade::launch(&stockade::plan(stockade::load(&request)?)?)?;
/// match ended.outcome() {
///     Outcome::Exited(0) => println!("the tests passed"),
///     Outcome::Exited(status) => println!("make ended with status {status}"),
///     Outcome::OutOfMemory => println!("they need more memory than the profile allows"),
///     other => println!("they did not end by themselves: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
pub fn launch(plan: &Plan) -> Result<Ended, Problems> {
    launch_beside(plan, None)
}

/// [`launch()`], with one more helper: those of the tests are launched so.
pub fn launch_beside(plan: &Plan, helper: Option<Box<dyn Helper + '_>>) -> Result<Ended, Problems> {
    caller()?;
    let process = Process::look().map_err(|failure| plan.failed(failure))?;
    let ended = launch::launch_beside(&plan.plan, Ask::NOTHING, &mut |_| {}, helper);
    drop(process);
    let ended = ended.map_err(|failure| plan.failed(failure))?;
    let skipped = ended.fallen.iter().map(|note| note_line(note, &plan.sources)).collect();
    Ok(Ended { outcome: ended.outcome, elapsed: ended.wall, skipped, leftovers: ended.left })
}

fn caller() -> Result<Caller, Problems> {
    launch::caller().map_err(|problem| Problems::of(*problem))
}

impl Profile {
    /// [`load`] for a caller that is known.
    pub(crate) fn load(request: &profile::Request, caller: Caller) -> Result<Profile, Problems> {
        let mut sources = Sources::default();
        match profile::load(request, &caller, &mut sources) {
            Ok(profile) => Ok(Profile { sources, profile, caller }),
            Err(problems) => Err(Problems::new(problems, sources)),
        }
    }

    /// [`plan()`], with a look at what was read before anything is settled.
    pub(crate) fn plan(
        self,
        look: impl FnOnce(&profile::Profile, &mut Host, &Settled, &Sources),
    ) -> Result<Plan, Problems> {
        let Profile { sources, profile, caller } = self;
        let (mut host, settled) = probe(&profile, caller, &sources);
        host.unlayered = launch::refused_layers(&host.doubtful);
        look(&profile, &mut host, &settled, &sources);
        match crate::plan::plan_settled(&profile, &host, &settled) {
            Ok(plan) => Ok(Plan { sources, profile, host, settled, plan }),
            Err(problems) => {
                let problems =
                    problems.placed("process::command", sources.where_missing("process"));
                Err(Problems::new(as_written(problems, &host.caller, &sources), sources))
            }
        }
    }
}

impl Plan {
    /// What is skipped here, as the profile allows: protections that `optional` names and this
    /// machine lacks, and grants of files that do not exist. A sentence for each, with its place.
    /// Report them before a launch: the sandbox is less than the profile says.
    pub fn skipped(&self) -> impl Iterator<Item = String> {
        let skipped = self.plan.notes.iter().filter(|note| note.less);
        skipped.map(|note| note_line(note, &self.sources))
    }

    /// The files that are missing inside.
    pub(crate) fn look_inside(&self) -> Vec<Unseen> {
        let (mut host, settled) = probe(&self.profile, Caller::current(), &self.sources);
        host.look_inside(&self.profile, &settled);
        unseen(&self.profile.process, &host)
    }

    /// The problems of a failed launch. execve(2) also gives ENOENT if the loader or the
    /// interpreter is missing, so the missing file is searched for now.
    pub(crate) fn failed(&self, Failure { problem, status }: Failure) -> Problems {
        let of_the_program = |cause: &Unseen| cause.at == self.plan.exec.at;
        let cause = if status == FAILED {
            None
        } else {
            self.look_inside().into_iter().find(of_the_program)
        };
        let problem = match cause {
            Some(cause) => text::Problem { message: cause.text, ..*problem }.help_maybe(cause.help),
            None => *problem,
        };
        Problems { status, ..Problems::new(problem.into(), self.sources.clone()) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(steps::text(&self.plan, &self.sources).trim_end())
    }
}

/// Without what it holds: that can have secrets of the environment.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

/// Without what it holds: that can have secrets of the environment.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl Ended {
    /// How the target ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// How long the run took, from the first step to the end of the last process.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Limits that were skipped, as the profile allows, because this kernel turned out to lack
    /// them: a sentence for each. They come beside [`Plan::skipped`].
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.skipped.iter().map(String::as_str)
    }

    /// Control groups that could not be removed, by their paths. They are empty, and the next run
    /// removes them.
    pub fn leftovers(&self) -> impl Iterator<Item = &str> {
        self.leftovers.iter().map(String::as_str)
    }
}
