//! From a profile and the facts of a machine to a plan: pure, total, deterministic. It does no I/O.
//!
//! THE ORDER is here, one line and one reason per stage. [`mod@settle`] is what all domains
//! read, [`rules`] are the rules that cross them.

mod facts;
mod rules;
mod settle;
#[cfg_attr(face_alone, allow(dead_code, reason = "for what reads a plan back"))]
pub(crate) mod stored;

use crate::host::Host;
use crate::host::streams::Stream;
use crate::kernel::namespace::Kind;
use crate::policy::identity::Ids;
use crate::policy::landlock::Ruleset;
use crate::policy::namespaces::Choice;
use crate::policy::process::{Exec, Watch};
use crate::policy::seccomp::{Filter, Notifications};
use crate::policy::{capabilities, identity, limits, mounts, namespaces, process, rlimits};
use crate::profile::Profile;
use crate::step::draft::{Draft, Sorted};
use crate::step::{GroupOp, OutsideOp, Shown, Stage, Step};
use crate::text::problem::{Note, Problems};
use crate::text::source::Span;
pub(crate) use rules::LEAST_KERNEL;
use settle::Settled;

/// Who walks the steps of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The launcher, before the clone.
    Launcher,
    /// The launcher, after the clone. Pid 1 waits for it.
    Outside,
    /// The launcher when root started it, else pid 1: an ordinary user's child must open the
    /// sources itself, as a mount of the old namespace cannot be cloned in the new one; root's
    /// child cannot, as its ids may not walk the host's directories.
    Opener,
    /// Pid 1 of the sandbox.
    Init,
    /// The target's own process.
    Target,
}

/// THE ORDER: each stage, who walks it, and the reason of its place.
pub const ORDER: &[(Stage, Actor, &str)] = &[
    (
        Stage::Aside,
        Actor::Launcher,
        "the launcher moves before it has a child, which would stay behind in a group that must \
         be empty",
    ),
    (
        Stage::Limits,
        Actor::Launcher,
        "a group is limited before anything is in it, and its files are found in the launcher's \
         own tree",
    ),
    (
        Stage::Terminal,
        Actor::Launcher,
        "a terminal is opened by who was given it, while its device and the launcher's own /proc \
         are in sight",
    ),
    (
        Stage::Join,
        Actor::Launcher,
        "a namespace that the host owns can be entered only before the user namespace is new",
    ),
    (
        Stage::Uppers,
        Actor::Launcher,
        "pid 1 inherits the lock: it ends with the last of the launcher and the sandbox",
    ),
    (
        Stage::Outside,
        Actor::Outside,
        "what pid 1 cannot do itself, and how others find it; it waits until the launcher is done",
    ),
    (
        Stage::Group,
        Actor::Init,
        "everything that the sandbox does from here on counts, and its cgroup namespace begins there",
    ),
    (
        Stage::Sources,
        Actor::Opener,
        "sources are opened once, on the old tree, before anything covers it",
    ),
    (
        Stage::Enter,
        Actor::Init,
        "these files of /proc can be written only while the process is the caller's and dumpable",
    ),
    (
        Stage::Ids,
        Actor::Init,
        "what is made from here on must have a mapped owner, or mkdir is EOVERFLOW",
    ),
    (
        Stage::World,
        Actor::Init,
        "proc and mqueue can be mounted only while the old ones are in sight",
    ),
    (
        Stage::Pivot,
        Actor::Init,
        "the old root goes before any privilege does, so that nothing of it is left to walk to",
    ),
    (
        Stage::Rules,
        Actor::Init,
        "Landlock rules bind files of the new root, and some can be opened by root alone",
    ),
    (
        Stage::Identity,
        Actor::Init,
        "capabilities go once the world is built; no_new_privs lets an ordinary user filter itself",
    ),
    (Stage::Process, Actor::Target, "a low limit of files or processes would stop the steps above"),
    (
        Stage::Landlock,
        Actor::Target,
        "after every step that opens files by itself; a restricted process can no longer mount",
    ),
    (Stage::Seccomp, Actor::Target, "last: the filter need allow only what the target calls"),
];

/// Every stage has its line, in its place.
const _: () = {
    let mut at = 0;
    while at < ORDER.len() {
        assert!(ORDER[at].0 as usize == at);
        at += 1;
    }
    assert!(ORDER.len() == Stage::LAST as usize + 1);
};

/// What a launch will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the launcher does to control groups, in order, before all other steps.
    pub groups: Vec<Step<GroupOp>>,
    /// The steps of raw system calls, in order: the launcher's before the clone, then those of pid
    /// 1 and of the target.
    pub steps: Vec<Step>,
    /// What the launcher does after the clone, in order.
    pub outside: Vec<Step<OutsideOp>>,
    /// The namespaces that are new.
    pub new: Vec<Kind>,
    /// The line of each kind of namespace.
    pub choice: Choice,
    pub ids: Ids,
    /// Whether the launcher opens the sources (root), or pid 1 does.
    pub root: bool,
    /// Landlock, unless it was skipped or cannot go with the profile.
    pub landlock: Option<Ruleset>,
    /// The system call filter.
    pub filter: Filter,
    /// Which of its refusals are reported.
    pub notifications: Notifications,
    pub exec: Exec,
    /// How it is watched.
    pub watch: Watch,
    pub grouped: limits::Grouped,
    /// Whether one of descriptors 0, 1 and 2 is closed, and becomes `/dev/null`.
    pub closed_streams: bool,
    /// How many descriptors are opened.
    pub slots: usize,
    /// What the user should know.
    pub notes: Vec<Note>,
    /// The parts of the profile that came from the caller's environment.
    pub private: Vec<Span>,
    /// Files of the host that say what this sandbox is, the links that lead to them, and where one is
    /// looked for: the next run reads them again.
    pub profiles: Vec<String>,
}

impl Plan {
    /// Every step, in the order in which they are done.
    pub fn shown(&self) -> impl Iterator<Item = Step<Shown<'_>>> {
        let (before, after): (Vec<&Step>, Vec<&Step>) =
            self.steps.iter().partition(|step| self.actor(step.stage) == Actor::Launcher);
        let groups = self.groups.iter().map(|step| step.with(Shown::Group(&step.op)));
        let outside = self.outside.iter().map(|step| step.with(Shown::Outside(&step.op)));
        groups
            .chain(before.into_iter().map(Step::shown))
            .chain(outside)
            .chain(after.into_iter().map(Step::shown))
    }

    /// The raw steps that an actor walks, with their index in [`Plan::steps`].
    pub fn steps_of(&self, actor: Actor) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(move |(_, step)| self.actor(step.stage) == actor)
    }

    /// Whether the sandbox has a pid namespace of its own, which ends with its pid 1.
    pub fn has_own_pids(&self) -> bool {
        self.new.contains(&Kind::Pid)
    }

    /// Who walks a stage in this launch.
    pub fn actor(&self, stage: Stage) -> Actor {
        actor(stage, self.root)
    }
}

/// Who walks a stage, by whether root started the launcher.
fn actor(stage: Stage, root: bool) -> Actor {
    let (_, actor, _) = ORDER[stage as usize];
    match actor {
        Actor::Opener if root => Actor::Launcher,
        Actor::Opener => Actor::Init,
        other => other,
    }
}

/// `[mounts]` on this machine, and what `programs` implies.
#[cfg(not(face_alone))]
pub fn settle(profile: &Profile, host: &Host) -> mounts::settle::Settled {
    let implied = crate::policy::programs::implied(&profile.programs, &profile.process, host);
    mounts::settle::Settled::new(&profile.mounts, host).with(implied)
}

/// The plan, where `[mounts]` is not settled yet.
#[cfg(not(face_alone))]
pub fn plan(profile: &Profile, host: &Host) -> Result<Plan, Problems> {
    plan_settled(profile, host, &settle(profile, host))
}

/// Settles everything, or reports every problem. What a domain must know of another is in
/// [`Settled`], or in the result of the other's draft.
pub(crate) fn plan_settled(
    profile: &Profile,
    host: &Host,
    mounts: &mounts::settle::Settled,
) -> Result<Plan, Problems> {
    let mut draft = Draft::default();
    rules::kernel_floor(host, &mut draft);
    let settled = Settled::new(profile, host, mounts, &mut draft);
    let Settled { choice, ids, .. } = &settled;
    namespaces::draft(&profile.namespaces, choice, host, &mut draft);
    identity::become_owner(choice, ids, &mut draft);
    let mut ruled = settled.landlock();
    let drafted = rules::files(&settled, ruled.of_mounts, &mut draft);
    namespaces::forbid(&profile.namespaces, choice, host, &profile.optional, &mut draft);
    capabilities::draft(&profile.capabilities, settled.of_capabilities(), host, &mut draft);
    let exec = process::exec(&profile.process, settled.settings.clone(), &mut draft);
    let watch = process::draft(&profile.process, mounts.whole(), choice, host, &mut draft);
    rlimits::draft(&profile.rlimits, host, &mut draft);
    let grouped = limits::draft(&settled.of_limits(), host, &mut draft);
    rules::room_of_layers(&settled, &mut draft);
    rules::servers(&settled, &mut draft);
    rules::note_groups(&settled, &grouped, &mut draft);
    let ruleset = ruled.ruleset;
    draft.append(std::mem::take(&mut ruled.draft));
    rules::landlock(&settled, ruleset, &watch, &mut draft);
    let owner = rules::privilege(&settled, &drafted, &mut draft);
    let filter = rules::filter(&settled, (&drafted, owner), ruleset, &watch, &mut draft);
    let inert = rules::write_execute(&settled, &ruled, &drafted, &mut draft);
    rules::joined_pids(&settled, &drafted, &mut draft);
    rules::time_of_pid_one(&settled, &watch, &mut draft);
    mounts::open(drafted.opened, &inert, &mut draft);
    rules::begin(&settled, &watch, &grouped, &mut draft);
    let root = host.caller.uid == 0;
    let Sorted { groups, steps, outside, problems, notes, slots } =
        draft.sorted(|stage| (actor(stage, root), stage));
    let new = Kind::ALL.into_iter().filter(|kind| choice.is_new(*kind)).collect();
    let closed_streams = host.streams.contains(&Stream::Closed);
    let (notifications, private) = (filter.notifications(), host.private.clone());
    let loose = host.loose_profiles.iter().map(|loose| &loose.path);
    let profiles = host.profiles.iter().chain(loose).cloned().collect();
    let Settled { choice, ids, .. } = settled;
    problems.or(Plan {
        groups,
        steps,
        outside,
        new,
        choice,
        ids,
        root,
        landlock: ruleset,
        filter,
        notifications,
        exec,
        watch,
        grouped,
        closed_streams,
        slots,
        notes,
        private,
        profiles,
    })
}
