//! The rules that cross domains: each says what follows for one from what others decided.

use super::settle::Settled;
use crate::host::Host;
use crate::kernel::capability::Capability;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::language::value::{Room, Size};
use crate::policy::landlock::{Ruled, Ruleset, Scope, Sight};
use crate::policy::limits::values::Amount;
use crate::policy::mounts::kinds::{Driver, Layers, Mount, Upper};
use crate::policy::mounts::{self, Drafted, Opened};
use crate::policy::namespaces::Namespace;
use crate::policy::privilege::{self, HostOwner};
use crate::policy::process::Watch;
use crate::policy::seccomp::{self, Facts, Filter, Imported, Needs};
use crate::policy::{landlock, limits, name, network, programs, unnested, write_execute};
use crate::step::draft::Draft;
use crate::step::{OutsideOp, ProcessOp, Slot, Stage, TreeOp};
use crate::text::problem::Problem;
use crate::text::source::Span;

/// mount_setattr(2) with MOUNT_ATTR_NOSYMFOLLOW and the calls that the recipes need.
pub(crate) const LEAST_KERNEL: (u32, u32) = (5, 14);

pub(super) fn kernel_floor(host: &Host, draft: &mut Draft) {
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
                "boot a newer kernel: the mount calls that stockade needs are not in older ones",
            ),
        );
    }
}

// ---- files ----

/// The file tree, where the sandbox has one of its own; in the host's, Landlock's rules for the
/// same grants. Of the rights, those in `ruled` become rules.
pub(super) fn files(settled: &Settled<'_>, ruled: Rights, draft: &mut Draft) -> Drafted {
    let drafted = tree_or_rules(settled, ruled, draft);
    mounts::show_changes(&settled.profile.mounts, &mut draft.problems);
    drafted
}

fn tree_or_rules(settled: &Settled<'_>, ruled: Rights, draft: &mut Draft) -> Drafted {
    let Settled { profile, host, mounts: entries, choice, ids, settings, .. } = settled;
    if choice.of(Kind::Mount).joined().is_some() {
        refuse_mounts(settled, draft);
        let (why, instead) = (choice.at(Kind::Mount), "leave namespaces.mount new");
        network::names::refuse(&profile.network, why, instead, draft);
        return Drafted::default();
    }
    mounts::glob::draft(&profile.mounts, host, draft);
    let streams: Vec<_> = profile.process.files().map(|file| (file.way(), file.at)).collect();
    mounts::planted::refuse_planted(&entries.tree, (settings, &streams[..]), host, draft);
    if !choice.is_new(Kind::Mount) {
        let help = format!("let it have one: {}", settled.own_tree());
        refuse_programs(settled, &help, draft);
        network::names::refuse(&profile.network, choice.at(Kind::Mount), &help, draft);
        let ground = mounts::Ground {
            why: choice.at(Kind::Mount),
            own_tree: settled.own_tree(),
            host_pids: *choice.of(Kind::Pid) == Namespace::Host,
            other: (host.caller.uid == 0).then_some((ids.host_user, ids.host_group)),
            kept_is_optional: settled.may_fall("mounts.kept"),
        };
        return mounts::draft_rights(entries, host, ruled, ground, draft);
    }
    // The mounts of a new user namespace are copies that send nothing back (mount_namespaces(7)).
    if !choice.is_new(Kind::User) {
        draft.step(Stage::World, TreeOp::PrivateMounts, Span::NOWHERE);
    }
    if *choice.of(Kind::Net) == Namespace::Host && choice.is_new(Kind::User) {
        mounts::checks::refuse_sysfs(&entries.tree, choice.at(Kind::Net), draft);
    }
    let tree = match mounts::mixed::foreign(&entries.tree, host) {
        Some(root) => {
            programs::refuse_in(&profile.programs, root.at, draft);
            &entries.tree
        }
        None => {
            programs::draft(&profile.programs, &profile.process, host, draft);
            entries.whole()
        }
    };
    draft.notes.extend(entries.left_out.iter().cloned());
    let undone = mounts::Undone::by(&profile.namespaces, &profile.optional);
    network::names::check(&profile.network, draft);
    let names = network::names::made(&profile.network, &profile.namespaces, choice, host);
    let fresh = mounts::checks::Fresh {
        proc: choice.is_new(Kind::Pid) || !choice.is_new(Kind::User),
        sysfs: *choice.of(Kind::Net) != Namespace::Host || !choice.is_new(Kind::User),
    };
    let drafted = mounts::draft(
        tree,
        (host, ids, fresh, &names),
        ruled,
        (undone, settled.may_fall(mounts::SIZE)),
        draft,
    );
    let held = landlock::holds_sockets(&profile.landlock, &profile.namespaces.nested, host);
    draft.notes.extend(mounts::sockets::deeper(&entries.tree, host, held));
    draft.step(Stage::Pivot, TreeOp::Pivot, Span::NOWHERE);
    drafted
}

/// In the tree of a namespace that is joined nothing is mounted, and what is there is not known.
fn refuse_mounts(settled: &Settled<'_>, draft: &mut Draft) {
    let at = settled.choice.at(Kind::Mount);
    if let Some((path, _)) = settled.profile.mounts.iter().next() {
        let shown = mounts::pattern::shown(path.value);
        draft.problem(
            Problem::new(
                "namespaces::mount",
                path.at,
                format!("cannot put anything at {shown}: the sandbox has no file tree of its own"),
            )
            .also(at, "because of this")
            .help("leave namespaces.mount new, or remove the entries: [mounts] PATH = false"),
        );
    }
    refuse_programs(settled, "leave namespaces.mount new", draft);
}

/// What programs need is found by looking through the sandbox's own tree.
fn refuse_programs(settled: &Settled<'_>, instead: &str, draft: &mut Draft) {
    if let Some(program) = settled.profile.programs.items.first() {
        draft.problem(
            Problem::new(
                "namespaces::mount",
                program.at,
                "cannot show programs: the sandbox has no file tree of its own",
            )
            .also(settled.choice.at(Kind::Mount), "because of this")
            .help(format!("{instead}; or remove them: programs = [\"!*\"]")),
        );
    }
}

// ---- groups, signals, privilege ----

pub(super) fn note_groups(settled: &Settled<'_>, grouped: &limits::Grouped, draft: &mut Draft) {
    if settled.of_limits().nested && !grouped.group {
        let nested = &settled.profile.namespaces.nested;
        draft.note(
            nested.at(),
            "the target can list the names of the host's control groups below the launcher's: a \
             control group of its own, by [limits], hides them",
        );
    }
}

/// What Landlock's rules leave open.
pub(super) fn landlock(
    settled: &Settled<'_>,
    ruleset: Option<Ruleset>,
    watch: &Watch,
    draft: &mut Draft,
) {
    let Settled { profile, host, mounts, choice, .. } = settled;
    if matches!(settled.sight, Sight::Host(_) | Sight::Ungranted(_)) {
        let entries = mounts.entries(&profile.mounts);
        landlock::refuse_broad(&profile.landlock, entries, host, draft);
    }
    if !choice.is_new(Kind::Net) {
        landlock::note_listening(&profile.landlock, draft);
    }
    scope_signals(settled, ruleset.as_ref(), watch, draft);
}

/// Where the process numbers are the host's, Landlock's scope alone keeps signals from processes
/// with the target's user id (kill(2)).
fn scope_signals(
    settled: &Settled<'_>,
    ruleset: Option<&Ruleset>,
    watch: &Watch,
    draft: &mut Draft,
) {
    let Settled { profile, host, choice, ids, .. } = settled;
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
    if settled.may_fall("landlock") || settled.may_fall("landlock.scope") {
        return draft.note_less(
            at,
            "the target may send signals to processes outside, and stop what keeps its time",
            &why,
        );
    }
    let help = match said {
        Some(_) => "add it: scope = [\"signal\"]; or leave namespaces.pid new",
        None => "leave namespaces.pid new, or run without it: optional = [\"landlock.scope\"]",
    };
    draft.problem(
        Problem::new("landlock::scope", at, format!("cannot keep signals inside: {why}"))
            .help(help),
    );
}

/// Which owners of host files the target's ids map to, and what that forbids.
pub(super) fn privilege(settled: &Settled<'_>, drafted: &Drafted, draft: &mut Draft) -> HostOwner {
    let Settled { profile, host, mounts, choice, ids, .. } = settled;
    let owner = HostOwner::of(ids, choice, host, drafted);
    let may_fall = settled.may_fall(privilege::OPTIONAL);
    privilege::draft(&profile.seccomp, may_fall, &mounts.tree, owner, host, draft);
    if owner.is_guarded(&profile.seccomp) {
        refuse_overlays(settled, drafted, draft);
    }
    owner
}

/// An overlay of the target's own copies a file into a writable bind with all its mode bits and
/// attributes, by no call that a filter sees (overlayfs.rst): a set-id file that is there, or one
/// that a FUSE file system of the target's shows.
fn refuse_overlays(settled: &Settled<'_>, drafted: &Drafted, draft: &mut Draft) {
    let Some(at) = settled.mounts_inside() else { return };
    let mut mapped = drafted.opened.iter().filter(|opened| opened.is_writable());
    let Some((source, bind)) =
        mapped.find_map(|Opened { owner, at, .. }| Some((&owner.as_ref()?.1, *at)))
    else {
        return;
    };
    let message = format!(
        "cannot grant {source} for writing: the target stands for its owner, and mounts overlays, \
         by which it makes set-id files there"
    );
    let help =
        format!("leave `mount` out: namespaces.nested = {}", settled.nested.less(Kind::Mount));
    draft.problem(
        Problem::new("mounts::overlay", bind, message)
            .also(at, "the target makes mount namespaces, because of this")
            .help(help),
    );
}

/// Whether the target may have CAP_SETFCAP over files whose owner is mapped to it: kept, or in a
/// user namespace that it makes.
fn may_give_capabilities(settled: &Settled<'_>, draft: &mut Draft) -> bool {
    const SETFCAP: Capability = Capability(31);
    let Settled { profile, nested, .. } = settled;
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

// ---- the filter ----

/// The filter, with what the rest of the sandbox needs of it.
pub(super) fn filter(
    settled: &Settled<'_>,
    (drafted, owner): (&Drafted, HostOwner),
    ruleset: Option<Ruleset>,
    watch: &Watch,
    draft: &mut Draft,
) -> Filter {
    let Settled { profile, host, choice, ids, nested, .. } = settled;
    let gives_a_file_alone = !drafted.writes() && profile.process.gives_a_file_alone(host, ids);
    let needs = Needs {
        nested: *nested,
        deny_set_id: owner.is_guarded(&profile.seccomp)
            || choice.is_new(Kind::Mount) && !profile.seccomp.lifts_set_id() && gives_a_file_alone,
        deny_file_capabilities: owner.takes_file_capabilities(choice)
            && may_give_capabilities(settled, draft),
        target_is_init: !watch.init,
        core_guard: profile.rlimits.get("core").is_none(),
        foreign_pids: !choice.is_new(Kind::Pid),
        // `all` asks for no namespace by its name: Landlock alone is a mode for files.
        foreign_ipc: *choice.of(Kind::Ipc) == Namespace::Host
            && profile.namespaces.ipc.get().is_none(),
        ports: ruleset.is_some_and(|ruleset| ruleset.ports != 0),
    };
    let imported = import_policy(settled, draft);
    let filter = seccomp::draft(&profile.seccomp, &needs, imported.as_ref(), draft);
    draft.step(Stage::Seccomp, ProcessOp::Filter, Span::NOWHERE);
    unnested::draft(&profile.namespaces, choice, &filter, draft);
    filter
}

/// The policy that `[seccomp]` imports, as far as it is for this sandbox.
fn import_policy(settled: &Settled<'_>, draft: &mut Draft) -> Option<Imported> {
    let Settled { profile, host, .. } = settled;
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
            let (why, help) = why.plain();
            let message = format!("cannot import {}: {why}", path.value);
            draft.problem(Problem::new("seccomp::import", path.at, message).help_maybe(help));
            None
        }
    }
}

/// Opened files that may not be executed, since the target can write to them.
pub(super) fn write_execute(
    settled: &Settled<'_>,
    ruled: &Ruled,
    drafted: &Drafted,
    draft: &mut Draft,
) -> Vec<Slot> {
    let kept = write_execute::Kept {
        sight: settled.sight,
        own_tree: settled.own_tree(),
        ruled,
        nested: settled.mounts_inside(),
    };
    write_execute::draft(&settled.profile.seccomp, settled.host, kept, drafted, draft)
}

// ---- the first process ----

/// The first Linux where execve(2) is known to take a process into the time namespace that it made
/// for its children; 6.1 does not.
const EXEC_ENTERS_TIME: (u32, u32) = (6, 3);

/// A target that is pid 1 has no parent inside that could make its time namespace. That of the
/// clone has offsets that are frozen (time_namespaces(7)), so others must be entered by exec.
pub(super) fn time_of_pid_one(settled: &Settled<'_>, watch: &Watch, draft: &mut Draft) {
    let Settled { profile, host, choice, .. } = settled;
    if watch.init || !choice.is_new(Kind::Time) {
        return;
    }
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

/// What is written on top of layers is memory, and the control group counts it.
pub(super) fn room_of_layers(settled: &Settled<'_>, draft: &mut Draft) {
    let Some(memory) = settled.profile.limits.memory.get() else { return };
    // 0 where the memory of the machine is not known.
    let share =
        |percent: u64| u128::from(settled.host.control_groups.ram) * u128::from(percent) / 100;
    let (limit, words) = match memory.value {
        Amount::Bytes(bytes) => (u128::from(bytes), Size(bytes).to_string()),
        Amount::Percent(percent) => (share(percent), format!("{percent}%")),
        Amount::Unlimited => return,
    };
    for (path, node) in settled.mounts.whole() {
        let Mount::Layers(Layers { upper: Some(Upper::Discard), size, driver, .. }) = &node.mount
        else {
            continue;
        };
        // Its server writes, and is in none of the sandbox's groups.
        if *driver == Driver::Fuse {
            continue;
        }
        let is_part = node.whole.as_ref().is_some_and(|whole| whole != path);
        let room = match size {
            Some(Room::Bytes(bytes)) => u128::from(*bytes),
            Some(Room::Percent(percent)) => share(u64::from(*percent)),
            None => continue,
        };
        if room > limit && limit > 0 && !is_part {
            let size = size.as_ref().map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "cannot give {size} to what is written to {path}: limits.memory counts that, and is \
                 {words}"
            );
            let problem = Problem::new("mounts::upper", node.at, message);
            let help = format!("write size = \"{words}\" or less, or let it be on disk");
            draft.problem(problem.also(memory.at, "this is the limit").help(help));
        }
    }
}

/// A server of layers must be out of the target's sight, and has the ids of its user namespace.
pub(super) fn servers(settled: &Settled<'_>, draft: &mut Draft) {
    let choice = &settled.choice;
    let mut served = settled.mounts.whole().iter().filter_map(|(path, node)| {
        let Mount::Layers(layers) = &node.mount else { return None };
        (layers.driver == Driver::Fuse).then_some((path, node.at))
    });
    let Some((path, at)) = served.next() else { return };
    let Some(kind) = [Kind::Pid, Kind::User].into_iter().find(|kind| !choice.is_new(*kind)) else {
        return;
    };
    let (why, help) = match kind {
        Kind::Pid => (
            "its process must be out of the target's sight, and the process numbers are not the \
             sandbox's own",
            "leave namespaces.pid new, or let the layers be copied: driver = \"copy\"",
        ),
        _ => (
            "its process has the ids of the sandbox's own user namespace, and there is none",
            "leave namespaces.user new, or let the layers be copied: driver = \"copy\"",
        ),
    };
    let message = format!("cannot let fuse-overlayfs show the layers of {path}: {why}");
    let problem = Problem::new("mounts::layers", at, message);
    draft.problem(problem.also(choice.at(kind), "because of this").help(help));
}

/// A joined or shared pid namespace ends with its own init, not with ours.
pub(super) fn joined_pids(settled: &Settled<'_>, drafted: &Drafted, draft: &mut Draft) {
    let choice = &settled.choice;
    if choice.is_new(Kind::Pid) {
        return;
    }
    if let (Some(at), true) = (drafted.proc, choice.is_new(Kind::User)) {
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

/// What the launcher does while pid 1 waits, after mounts are mapped.
pub(super) fn begin(
    settled: &Settled<'_>,
    watch: &Watch,
    grouped: &limits::Grouped,
    draft: &mut Draft,
) {
    let Settled { profile, host, ids, .. } = settled;
    if !watch.init {
        draft.outside(OutsideOp::Watch, profile.process.init.at());
    }
    name::draft(&profile.name, host, draft);
    if let Some(maps) = &ids.maps {
        if let (true, [block]) = (ids.held, maps.uid.as_slice()) {
            let directory = host.caller.registry();
            draft.outside(OutsideOp::HoldIds { first: block.outside, directory }, Span::NOWHERE);
        }
        draft.outside(OutsideOp::MapIds(maps.clone()), Span::NOWHERE);
    }
    if grouped.group {
        draft.outside(OutsideOp::Sweep { directories: grouped.directories.clone() }, Span::NOWHERE);
    }
    draft.outside(OutsideOp::Undumpable, Span::NOWHERE);
    // Last: what fails in the launcher before it ends a pid 1 that has done nothing.
    draft.outside(OutsideOp::Go, Span::NOWHERE);
}
