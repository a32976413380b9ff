//! From a profile and the facts of a machine to a plan: pure, total, deterministic. It does no I/O.
//!
//! THE ORDER stands here, one line and one reason per stage, and the rules that cross domains.

mod facts;
pub(crate) mod stored;

use crate::host::Host;
use crate::host::streams::Stream;
use crate::kernel::attrs::Attrs;
use crate::kernel::capability::Capability;
use crate::kernel::idmap::Maps;
use crate::kernel::namespace::Kind;
use crate::policy::capabilities::Power;
use crate::policy::identity::Ids;
use crate::policy::landlock::{Ruleset, Scope, Sight};
use crate::policy::mounts::settle::Settled;
use crate::policy::namespaces::{Choice, Namespace, Nested};
use crate::policy::privilege::Standing;
use crate::policy::process::{Exec, Watch};
use crate::policy::seccomp::{Facts, Filter, Imported, Needs, Told};
use crate::policy::{
    bounds, capabilities, env, identity, landlock, limits, mounts, name, namespaces, network,
    privilege, process, programs, rlimits, seccomp, unnested, write_execute,
};
use crate::profile::Profile;
use crate::step::draft::Draft;
use crate::step::{GroupOp, OutsideOp, ProcessOp, Shown, Stage, Step, TreeOp};
use crate::text::problem::{Note, Problem, Problems};
use crate::text::source::Span;

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

/// THE ORDER: each stage, who walks it, and why it stands where it does.
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
        Stage::Outside,
        Actor::Outside,
        "what pid 1 cannot do itself, and how others find it; it waits until the launcher is done",
    ),
    (
        Stage::Group,
        Actor::Init,
        "all that the sandbox does from here on counts, and its cgroup namespace begins there",
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
        "after all that opens files by itself; a restricted process can no longer mount",
    ),
    (Stage::Seccomp, Actor::Target, "last: the filter need allow only what the target calls"),
];

/// What a launch will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the launcher does to control groups, in order, before all other steps.
    pub groups: Vec<Step<GroupOp>>,
    /// The steps of raw system calls, in order: the launcher's before the clone, then those of pid 1
    /// and of the target.
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
    /// Landlock, unless it fell or cannot go with the profile.
    pub landlock: Option<Ruleset>,
    /// The system call filter.
    pub filter: Filter,
    /// Which of its refusals are told.
    pub told: Told,
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
    /// What of the profile came from the caller's environment.
    pub private: Vec<Span>,
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

/// Who walks a stage, where root started the launcher or somebody else.
fn actor(stage: Stage, root: bool) -> Actor {
    let actor = ORDER
        .iter()
        .find(|(known, ..)| *known == stage)
        .map_or(Actor::Target, |(_, actor, _)| *actor);
    match actor {
        Actor::Opener if root => Actor::Launcher,
        Actor::Opener => Actor::Init,
        other => other,
    }
}

/// `[mounts]` on this machine, and what `programs` implies.
#[cfg(not(face_alone))]
pub fn settle(profile: &Profile, host: &Host) -> Settled {
    let implied = programs::implied(&profile.programs, &profile.process, host);
    Settled::new(&profile.mounts, host).with(implied)
}

/// [`plan_settled`] where `[mounts]` is not settled yet.
#[cfg(not(face_alone))]
pub fn plan(profile: &Profile, host: &Host) -> Result<Plan, Problems> {
    plan_settled(profile, host, &settle(profile, host))
}

/// Settles everything, or says all that is wrong.
pub(crate) fn plan_settled(
    profile: &Profile,
    host: &Host,
    settled: &Settled,
) -> Result<Plan, Problems> {
    let mut draft = Draft::default();
    kernel_floor(host, &mut draft);
    let net = network::namespace(&profile.network);
    let choice = Choice::new(&profile.namespaces, net, profile.network.mode.at());
    let mut ids = identity::draft(
        &profile.identity,
        (choice.of(Kind::User), choice.at(Kind::User)),
        host,
        &mut draft,
    );
    let settings = env::draft(&profile.env, host, &mut draft);
    ids.home = settings.iter().find(|setting| setting.name.text() == "HOME").and_then(|setting| {
        match &setting.value {
            crate::step::Content::Text(text) => {
                String::from_utf8(text.clone()).ok().filter(|home| !home.contains([':', '\n']))
            }
            _ => None,
        }
    });
    namespaces::draft(&profile.namespaces, &choice, host, &mut draft);
    become_owner(&choice, &ids, &mut draft);
    let own_tree = choice.is_new(Kind::Mount);
    let joined_tree = choice.of(Kind::Mount).joined().is_some();
    let entries = settled.entries(&profile.mounts);
    if !joined_tree {
        mounts::glob::draft(&profile.mounts, host, &mut draft);
        mounts::planted::refuse_planted(&settled.tree, &settings, host, &mut draft);
    }
    if own_tree {
        // The mounts of a new user namespace are copies that send nothing back
        // (mount_namespaces(7)).
        if !choice.is_new(Kind::User) {
            draft.step(Stage::World, TreeOp::PrivateMounts, Span::NOWHERE);
        }
        programs::draft(&profile.programs, &profile.process, host, &mut draft);
        draft.notes.extend(settled.left_out.iter().cloned());
        let deeper = mounts::sockets::deeper(&settled.tree, host, host.holds_sockets(profile));
        mounts::draft(
            settled.whole(),
            host,
            &ids,
            mounts::Undone::by(&profile.namespaces, &profile.optional),
            &mut draft,
        );
        draft.notes.extend(deeper);
        draft.step(Stage::Pivot, TreeOp::Pivot, Span::NOWHERE);
    } else if joined_tree {
        refuse_mounts(profile, &choice, &mut draft);
    } else {
        refuse_programs(
            profile,
            &choice,
            &format!("let it have one: {}", namespaces::own_tree(&choice, host)),
            &mut draft,
        );
        let ground = mounts::Ground {
            why: choice.at(Kind::Mount),
            own_tree: namespaces::own_tree(&choice, host),
            host_pids: *choice.of(Kind::Pid) == Namespace::Host,
            other: (host.caller.uid == 0).then_some((ids.host_user, ids.host_group)),
            kept_is_optional: profile.optional.items.iter().any(|name| name.value == "mounts.kept"),
        };
        mounts::draft_rights(settled, host, ground, &mut draft);
    }
    namespaces::forbid(&profile.namespaces, &choice, host, &profile.optional, &mut draft);
    let power = match choice.of(Kind::User) {
        Namespace::New => Power::Own,
        Namespace::Host if host.caller.uid != 0 => Power::None,
        _ => Power::Given,
    };
    capabilities::draft(
        &profile.capabilities,
        power,
        &profile.process.init.or(true),
        &ids,
        host.last_capability,
        &mut draft,
    );
    let exec = process::exec(&profile.process, settings, &mut draft);
    let watch = process::draft(
        &profile.process,
        settled.uncovered(&profile.mounts),
        &choice,
        host,
        &mut draft,
    );
    rlimits::draft(&profile.rlimits, &mut draft);
    if let Some(limits) = &host.bounds {
        bounds::check(limits, &mut draft);
    }
    let nested = profile.namespaces.made_inside();
    let asked = limits::Asked {
        // A hierarchy is mounted by what has CAP_SYS_ADMIN over mounts and the view of groups
        // (cgroup_namespaces(7)).
        nested: nested.mounts() && nested.has(Kind::Cgroup),
        limits: &profile.limits,
        optional: profile.optional.items.iter().any(|wall| wall.value == "limits"),
        mounts: &profile.mounts,
        settled,
        choice: &choice,
        named: profile.name.get().is_some(),
        init: profile.process.init.or(true),
    };
    let grouped = limits::draft(&asked, host, &mut draft);
    if asked.nested && !grouped.group {
        let at = profile.namespaces.nested.get().map_or(Span::NOWHERE, |nested| nested.at);
        draft.note(
            at,
            "the target can list the names of the host's control groups below the launcher's: a \
             control group of its own, by [limits], hides them",
        );
    }
    let sight = match choice.of(Kind::Mount) {
        Namespace::New => Sight::Own,
        Namespace::Host if entries.iter().next().is_none() => {
            Sight::Ungranted(choice.at(Kind::Mount))
        }
        Namespace::Host => Sight::Host(choice.at(Kind::Mount)),
        Namespace::Join(_) => Sight::Joined,
    };
    let own_network = *choice.of(Kind::Net) != Namespace::Host;
    let asked = landlock::Asked {
        optional: &profile.optional,
        process: &profile.process,
        own_network,
        ids: &ids,
    };
    let landlock = landlock::draft(
        &profile.landlock,
        &asked,
        &profile.namespaces.nested,
        sight,
        host,
        &mut draft,
    );
    if matches!(sight, Sight::Host(_) | Sight::Ungranted(_)) {
        landlock::refuse_broad(&profile.landlock, entries, host, &mut draft);
    }
    if !choice.is_new(Kind::Net) {
        landlock::note_listening(&profile.landlock, &mut draft);
    }
    scope_signals(profile, landlock.as_ref(), &choice, (&ids, &watch), host, &mut draft);
    let standing = Standing::of(&ids, &choice, host, &draft);
    let may_hold_privilege =
        profile.optional.items.iter().any(|word| word.value == privilege::OPTIONAL);
    privilege::draft(
        &profile.seccomp,
        may_hold_privilege,
        &settled.tree,
        standing,
        host,
        &mut draft,
    );
    if standing.is_guarded(&profile.seccomp) {
        refuse_overlays(profile, nested, &mut draft);
    }
    let needs = Needs {
        nested,
        deny_set_id: standing.is_guarded(&profile.seccomp)
            || own_tree
                && !profile.seccomp.lifts_set_id()
                && profile.process.gives_a_file_alone(host, &ids, &draft),
        deny_file_capabilities: standing.takes_file_capabilities(&choice)
            && may_give_capabilities(profile, nested, &mut draft),
        target_is_init: !watch.init,
        core_guard: profile.rlimits.get("core").is_none(),
        foreign_pids: !choice.is_new(Kind::Pid),
        // `all` asks for no namespace by its name: Landlock alone is a mode for files.
        foreign_ipc: *choice.of(Kind::Ipc) == Namespace::Host
            && profile.namespaces.ipc.get().is_none(),
        ports: landlock.is_some_and(|ruleset| ruleset.ports != 0),
    };
    let imported = import_policy(profile, host, &mut draft);
    let filter = seccomp::draft(&profile.seccomp, &needs, imported.as_ref(), &mut draft);
    unnested::draft(&profile.namespaces, &choice, &filter, &mut draft);
    let mounts_inside = profile
        .namespaces
        .nested
        .get()
        .filter(|nested| nested.value.mounts())
        .map(|nested| nested.at);
    let kept = write_execute::Kept {
        sight,
        own_tree: namespaces::own_tree(&choice, host),
        ruled: landlock.is_some_and(|ruleset| ruleset.handled.0 != 0),
        nested: mounts_inside,
    };
    write_execute::draft(&profile.seccomp, host, kept, &mut draft);
    draft.step(Stage::Seccomp, ProcessOp::Filter, Span::NOWHERE);
    check_joined_pids(&choice, &mut draft);
    if !watch.init && choice.is_new(Kind::Time) {
        time_of_pid_one(profile, host, &mut draft);
    }
    let root = host.caller.uid == 0;
    // A stable sort: within a stage, each policy's own order holds.
    draft.groups.sort_by_key(|step| step.stage);
    draft.steps.sort_by_key(|step| (actor(step.stage, root), step.stage));
    begin(profile, host, (&ids, &watch, &grouped), &mut draft);
    let told = filter.told();
    let new = Kind::ALL.into_iter().filter(|kind| choice.is_new(*kind)).collect();
    let slots = draft.slots();
    let closed_streams = host.streams.contains(&Stream::Closed);
    let Draft { groups, steps, outside, problems, notes, .. } = draft;
    problems.or(Plan {
        groups,
        steps,
        outside,
        new,
        choice,
        ids,
        root,
        landlock,
        filter,
        told,
        exec,
        watch,
        grouped,
        closed_streams,
        slots,
        notes,
        private: host.private.clone(),
    })
}

/// What the launcher does while pid 1 waits, after mounts are mapped.
fn begin(
    profile: &Profile,
    host: &Host,
    (ids, watch, grouped): (&Ids, &Watch, &limits::Grouped),
    draft: &mut Draft,
) {
    if !watch.init {
        draft.outside(OutsideOp::Watch, profile.process.init.at());
    }
    name::draft(&profile.name, host, draft);
    if let Some(maps) = &ids.maps {
        draft.outside(OutsideOp::MapIds(maps.clone()), Span::NOWHERE);
    }
    if grouped.group {
        draft.outside(OutsideOp::Sweep { folders: grouped.folders.clone() }, Span::NOWHERE);
    }
    draft.outside(OutsideOp::Undumpable, Span::NOWHERE);
    // Last: what fails in the launcher before it ends a pid 1 that has done nothing.
    draft.outside(OutsideOp::Go, Span::NOWHERE);
}

/// mount_setattr(2) with MOUNT_ATTR_NOSYMFOLLOW and the calls that the recipes need.
pub(crate) const LEAST_KERNEL: (u32, u32) = (5, 14);

fn kernel_floor(host: &Host, draft: &mut Draft) {
    if host.kernel < LEAST_KERNEL {
        let ((major, minor), (least_major, least_minor)) = (host.kernel, LEAST_KERNEL);
        draft.problem(
            Problem::new(
                "host::kernel",
                Span::NOWHERE,
                format!(
                    "cannot run on Linux {major}.{minor}: stockade needs {least_major}.{least_minor}"
                ),
            )
            .help(
                "boot a newer kernel: the mount calls that stockade stands on are not in older ones",
            ),
        );
    }
}

/// In the tree of a namespace that is joined nothing is mounted, and what is there is not known.
fn refuse_mounts(profile: &Profile, choice: &Choice, draft: &mut Draft) {
    let at = choice.at(Kind::Mount);
    if let Some((path, _)) = profile.mounts.iter().next() {
        let shown = mounts::pattern::shown(path.value);
        draft.problem(
            Problem::new(
                "namespaces::mount",
                path.at,
                format!("cannot put anything at {shown}: the sandbox has no file tree of its own"),
            )
            .also(at, "because of this")
            .help("leave namespaces.mount new, or withdraw the entries: [mounts] PATH = false"),
        );
    }
    refuse_programs(profile, choice, "leave namespaces.mount new", draft);
}

/// What programs need is found by looking through the sandbox's own tree.
fn refuse_programs(profile: &Profile, choice: &Choice, instead: &str, draft: &mut Draft) {
    if let Some(program) = profile.programs.items.first() {
        draft.problem(
            Problem::new(
                "namespaces::mount",
                program.at,
                "cannot show programs: the sandbox has no file tree of its own",
            )
            .also(choice.at(Kind::Mount), "because of this")
            .help(format!("{instead}; or withdraw them: programs = [\"!*\"]")),
        );
    }
}

/// An overlay of the target's own copies a file into a writable bind with all its mode bits and
/// attributes, by no call that a filter sees (overlayfs.rst): a set-id file that is there, or one
/// that a FUSE file system of the target's shows.
fn refuse_overlays(profile: &Profile, nested: Nested, draft: &mut Draft) {
    let Some(at) = profile
        .namespaces
        .nested
        .get()
        .filter(|nested| nested.value.mounts())
        .map(|nested| nested.at)
    else {
        return;
    };
    let writable = |of| {
        let opens = |op: &TreeOp| matches!(op, TreeOp::OpenTree { slot, attrs, .. } if *slot == of && !attrs.has(Attrs::READ_ONLY));
        draft.tree().any(|(op, _)| opens(op))
    };
    let mapped = draft.outside.iter().find_map(|step| match &step.op {
        OutsideOp::IdMapMount { slot, source, .. } if writable(*slot) => {
            Some((source.to_string(), step.at))
        }
        _ => None,
    });
    let Some((source, bind)) = mapped else { return };
    let message = format!(
        "cannot grant {source} for writing: the target stands for its owner, and mounts overlays, \
         by which it makes set-id files there"
    );
    let help = format!("leave `mount` out: namespaces.nested = {}", nested.less(Kind::Mount));
    draft.problem(
        Problem::new("mounts::overlay", bind, message)
            .also(at, "the target makes mount namespaces, because of this")
            .help(help),
    );
}

/// Whether the target may have CAP_SETFCAP over files whose owner is mapped to it: kept, or in a
/// user namespace that it makes.
fn may_give_capabilities(profile: &Profile, nested: Nested, draft: &mut Draft) -> bool {
    const SETFCAP: Capability = Capability(31);
    let kept = profile.capabilities.named().find(|cap| cap.value == SETFCAP).map(|cap| cap.at);
    let made =
        profile.namespaces.nested.get().filter(|_| nested.has(Kind::User)).map(|nested| nested.at);
    let Some(at) = kept.or(made) else { return false };
    draft.note(
        at,
        "no extended attribute can be set: a file's capabilities on a bind that belongs to the \
         host's root would hold on the host",
    );
    true
}

/// The process that builds the world owns what it makes, so it takes the target's ids first.
fn become_owner(choice: &Choice, ids: &Ids, draft: &mut Draft) {
    match &ids.maps {
        // One's own ids alone are mapped, and the child has them.
        Some(Maps { deny_setgroups: true, helpers: false, .. }) => {}
        Some(Maps { deny_setgroups: true, .. }) => {
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0)
        }
        Some(_) => {
            draft.step(Stage::Ids, ProcessOp::Groups { groups: ids.groups.clone() }, ids.at.1);
            draft.step(Stage::Ids, ProcessOp::Ids { user: ids.user, group: ids.group }, ids.at.0);
        }
        None if *choice.of(Kind::User) == Namespace::Host => {
            draft.step(
                Stage::Ids,
                ProcessOp::FileIds { user: ids.user, group: ids.group },
                ids.at.0,
            );
        }
        None => {}
    }
}

/// Where the process numbers are the host's, Landlock's scope alone keeps signals from processes
/// with the target's user id (kill(2)).
fn scope_signals(
    profile: &Profile,
    ruleset: Option<&Ruleset>,
    choice: &Choice,
    who: (&Ids, &Watch),
    host: &Host,
    draft: &mut Draft,
) {
    let (ids, watch) = who;
    if choice.is_new(Kind::Pid) || ruleset.is_some_and(Ruleset::scopes_signals) {
        return;
    }
    let said = profile.landlock.scope.said();
    // Root's sandbox has an id that no other process has but stockade's own inside, which keeps the
    // time and ends the sandbox with the launcher. A kernel without the scope that is asked for is
    // a problem of [landlock]'s.
    let asked = profile.landlock.scope.items.iter().any(|scope| scope.value == Scope::Signal);
    if asked || (!watch.init && (ids.needs_idmap || said.is_some())) {
        return;
    }
    let (at, why) = match said {
        Some(at) => (
            at,
            "`scope` has no \"signal\", and the process numbers are not the sandbox's own"
                .to_owned(),
        ),
        None => {
            let has = host.landlock.map_or("this kernel has no Landlock".to_owned(), |abi| {
                format!("this kernel's Landlock has ABI {abi}")
            });
            (
                choice.at(Kind::Pid),
                format!(
                    "the process numbers are not the sandbox's own, and {has}; 6 (Linux 6.12) is \
                     needed"
                ),
            )
        }
    };
    if profile
        .optional
        .items
        .iter()
        .any(|name| ["landlock", "landlock.scope"].contains(&name.value.as_str()))
    {
        return draft.note_less(
            at,
            format!(
                "the target may send signals to processes outside, and stop what keeps its time: \
                 {why}"
            ),
        );
    }
    let help = match said {
        Some(_) => "add it: scope = [\"signal\"]; or leave namespaces.pid new",
        None => "leave namespaces.pid new, or let the wall fall: optional = [\"landlock.scope\"]",
    };
    draft.problem(
        Problem::new("landlock::scope", at, format!("cannot keep signals inside: {why}"))
            .help(help),
    );
}

/// The first Linux where execve(2) is known to take a process into the time namespace that it made
/// for its children; 6.1 does not.
const EXEC_ENTERS_TIME: (u32, u32) = (6, 3);

/// A target that is pid 1 has no parent inside that could make its time namespace. That of the
/// clone has offsets that are frozen (time_namespaces(7)), so others must be entered by exec.
fn time_of_pid_one(profile: &Profile, host: &Host, draft: &mut Draft) {
    let Some(offsets) = profile.namespaces.time_offsets.get() else { return };
    if host.kernel < EXEC_ENTERS_TIME {
        let ((major, minor), (least_major, least_minor)) = (host.kernel, EXEC_ENTERS_TIME);
        let message = format!(
            "cannot move the clocks of a target that is pid 1: it takes Linux \
             {least_major}.{least_minor}, and this is {major}.{minor}"
        );
        draft.problem(
            Problem::new("namespaces::time", offsets.at, message)
                .also(profile.process.init.at(), "it is pid 1, because of this"),
        );
    }
}

/// The policy that `[seccomp]` imports, as far as it is for this sandbox.
fn import_policy(profile: &Profile, host: &Host, draft: &mut Draft) -> Option<Imported> {
    let path = profile.seccomp.import.get()?;
    let text = match host.import.as_ref()? {
        Ok(text) => text,
        Err(problem) => {
            draft.problem(problem.clone());
            return None;
        }
    };
    let capabilities = &profile.capabilities;
    let kept = capabilities.keep.items.iter().chain(&capabilities.ambient.items);
    let kept: Vec<String> = kept
        .map(|cap| format!("CAP_{}", cap.value.to_string().to_uppercase().replace('-', "_")))
        .collect();
    match Imported::read(text, &Facts { capabilities: &kept, kernel: host.kernel }) {
        Ok(imported) => {
            if !imported.unknown.is_empty() {
                draft.note(
                    path.at,
                    format!(
                        "{} permits what is no system call here: {}",
                        path.value,
                        imported.unknown.join(" ")
                    ),
                );
            }
            Some(imported)
        }
        Err(why) => {
            let code =
                if why.contains("not built yet") { "profile::not-yet" } else { "seccomp::import" };
            draft.problem(Problem::new(
                code,
                path.at,
                format!("cannot import {}: {why}", path.value),
            ));
            None
        }
    }
}

/// A joined or shared pid namespace ends with its own init, not with ours.
fn check_joined_pids(choice: &Choice, draft: &mut Draft) {
    if choice.is_new(Kind::Pid) {
        return;
    }
    let proc = draft.tree().find(|(op, _)| matches!(op, TreeOp::Proc { .. })).map(|(_, at)| at);
    if let (Some(at), true) = (proc, choice.is_new(Kind::User)) {
        draft.problem(
            Problem::new(
                "namespaces::proc",
                at,
                "cannot mount proc: the pid namespace is not the sandbox's own, and its owner is \
                 another user namespace",
            )
            .also(choice.at(Kind::Pid), "because of this")
            .help("leave namespaces.pid new, or leave proc out"),
        );
    }
}
