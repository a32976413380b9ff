//! From facts to lines: pure. One function per line, in the order of the table.

mod limits;
mod protections;

use crate::inspect::doctor::facts::{Act, Facts, Helper, Tried};
use crate::inspect::doctor::packages::install_uidmap;
use crate::inspect::doctor::{Line, State};
use crate::kernel::namespace::Kind;
use crate::launch::cause::{self, Cause, Fix};
use crate::plan::LEAST_KERNEL;
use crate::text::problem::{errno_words, escape};
use crate::text::shell::shell_word;

pub(crate) fn judge(facts: &Facts) -> Vec<Line> {
    let all: [fn(&Facts) -> Line; 19] = [
        sandbox,
        kernel,
        user_namespaces,
        other_namespaces,
        file_tree,
        proc,
        other_mounts,
        layers,
        proc_sys,
        protections::landlock,
        protections::seccomp,
        protections::notification,
        protections::keyring,
        subordinate,
        idmaps,
        limits::cgroups,
        limits::systemd,
        protections::modules,
        surroundings,
    ];
    let facts = &without_the_powerless(facts);
    let lines =
        all.into_iter().map(|line| line(facts)).chain([limits::noexec(facts), limits::core(facts)]);
    lines.map(finish).collect()
}

/// If capabilities have no effect in a new user namespace, the other results from there mean
/// nothing.
fn without_the_powerless(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    if matches!(facts.act(Act::HostName), Tried::Refused(_)) {
        facts.acts.retain(|(act, tried)| match act {
            Act::HostName => true,
            // A mount that is read-only is so for every capability.
            Act::ForbidUserNamespaces => *tried == Tried::Refused(libc::EROFS),
            act => Act::ANYWHERE.contains(act),
        });
    }
    facts
}

/// No line is without advice, and none holds what a terminal would obey.
fn finish(line: Line) -> Line {
    let fix = line.fix.or((line.state != State::Ok).then(|| Fix::Root("dmesg | tail".into())));
    Line { value: escape(&line.value), fix, ..line }
}

/// Whether the machine has everything that the sandbox of the built-in profile `base` needs.
pub(crate) fn serves(facts: &Facts) -> bool {
    matches!(facts.sandbox, Some(Ok(())))
}

/// The refusal, and its cause if it is known.
fn refused(errno: i32, cause: Option<&Cause>) -> String {
    let words = errno_words(errno);
    cause.map_or(words.clone(), |cause| format!("{words}: {}", cause.says))
}

/// A line about something that needs what another line is about.
fn untried(name: &'static str, lost: &str) -> Line {
    Line::less(name, State::Untried, "it needs a user namespace that works", lost)
        .fix(Fix::Words(AS_ABOVE.into()))
}

const AS_ABOVE: &str = "as for user namespaces";

fn sandbox(facts: &Facts) -> Line {
    const NAME: &str = "sandbox";
    match &facts.sandbox {
        None => Line::less(NAME, State::Missing, "not tried", "nothing is known"),
        Some(Ok(())) => Line::ok(NAME, "built here from the profile `base`, and taken down"),
        Some(Err((message, help))) => Line::less(
            NAME,
            State::Missing,
            message.clone(),
            "everything that stockade does by default",
        )
        .fix(Fix::Words(below(facts, help.as_deref()))),
    }
}

/// A cause that another line has, with its fix, is not given twice.
fn below(facts: &Facts, help: Option<&str>) -> String {
    let Some(help) = help else { return "see the lines below".into() };
    let causes = [
        ("inner namespaces", limit_cause(facts)),
        ("user namespaces", facts.user_namespace_cause()),
    ];
    let same = |cause: &Cause| help.starts_with(&cause.says);
    let line = causes.iter().find(|(_, cause)| cause.as_ref().is_some_and(same));
    line.map_or_else(|| help.into(), |(name, _)| format!("as for {name}, below"))
}

fn kernel(facts: &Facts) -> Line {
    let (major, minor) = LEAST_KERNEL;
    if facts.kernel >= LEAST_KERNEL {
        return Line::ok("kernel", format!("{}; {major}.{minor} is the least", facts.release));
    }
    let lost = "every sandbox: the mount calls that stockade needs are missing";
    Line::less("kernel", State::Missing, facts.release.clone(), lost)
        .fix(Fix::Words(format!("boot Linux {major}.{minor} or newer")))
}

/// What ordinary users and root lose without user namespaces.
fn without_user_namespaces(facts: &Facts) -> &'static str {
    if facts.is_root() {
        "sandboxes but Landlock alone (stockade run landlock -- make test) and those with \
         namespaces.user = \"host\" and identity.host = true"
    } else {
        "every sandbox but Landlock alone (stockade run landlock -- make test)"
    }
}

fn user_namespaces(facts: &Facts) -> Line {
    const NAME: &str = "user namespaces";
    let cause = facts.user_namespace_cause();
    let lost = without_user_namespaces(facts);
    let fix = cause.as_ref().map(|cause| cause.fix.clone());
    match (facts.namespace(Kind::User), facts.maps, facts.act(Act::HostName)) {
        (Tried::Works, Tried::Works, Tried::Works) => {
            Line::ok(NAME, "made, with ids mapped and capabilities inside")
        }
        (Tried::Refused(errno), ..) => {
            Line::less(NAME, State::Missing, refused(errno, cause.as_ref()), lost).fix_maybe(fix)
        }
        (Tried::Untried, ..) => Line::less(NAME, State::Missing, "not tried", lost),
        (_, Tried::Refused(errno), _) => {
            let value =
                format!("made, but its ids cannot be mapped: {}", refused(errno, cause.as_ref()));
            Line::less(NAME, State::Missing, value, lost).fix_maybe(fix)
        }
        (.., Tried::Refused(errno)) => {
            let value =
                format!("made, but without power inside: {}", refused(errno, cause.as_ref()));
            Line::less(NAME, State::Missing, value, lost).fix_maybe(fix)
        }
        _ => Line::ok(NAME, "made"),
    }
}

fn other_namespaces(facts: &Facts) -> Line {
    const NAME: &str = "other namespaces";
    let kinds = || Kind::ALL.into_iter().filter(|kind| *kind != Kind::User);
    if facts.namespace(Kind::User) != Tried::Works && !facts.is_root() {
        let lost = kinds().map(Kind::word).collect::<Vec<_>>().join(", ");
        return Line::less(
            NAME,
            State::Untried,
            "an ordinary user makes them in a user namespace",
            lost,
        )
        .fix(Fix::Words(AS_ABOVE.into()));
    }
    let failed: Vec<(Kind, i32)> = kinds()
        .filter_map(|kind| match facts.namespace(kind) {
            Tried::Refused(errno) => Some((kind, errno)),
            _ => None,
        })
        .collect();
    let Some((first, errno)) = failed.first() else {
        return Line::ok(NAME, kinds().map(Kind::word).collect::<Vec<_>>().join(", "));
    };
    let cause = facts.barriers.of_clone(&[*first], *errno);
    let names: Vec<&str> = failed.iter().map(|(kind, _)| kind.word()).collect();
    if cause.is_some() && cause == facts.user_namespace_cause() {
        let value = format!("{} refused as well", names.join(", "));
        return Line::less(NAME, State::Missing, value, without_user_namespaces(facts))
            .fix(Fix::Words(AS_ABOVE.into()));
    }
    let value = format!("{} refused: {}", names.join(", "), refused(*errno, cause.as_ref()));
    let settings: Vec<String> = failed
        .iter()
        .map(|(kind, _)| match kind {
            Kind::Net => "network.mode = \"none\"".to_owned(),
            kind => format!("namespaces.{} = \"new\"", kind.word()),
        })
        .collect();
    Line::less(NAME, State::Limited, value, settings.join(", "))
        .fix_maybe(cause.map(|cause| cause.fix))
}

fn file_tree(facts: &Facts) -> Line {
    const NAME: &str = "file tree";
    const LOST: &str =
        "[mounts]: every sandbox but Landlock alone (stockade run landlock -- make test)";
    match (facts.act(Act::Tmpfs), facts.act(Act::Pivot)) {
        (Tried::Works, Tried::Works) => {
            Line::ok(NAME, "a new root was mounted, and the old one left")
        }
        (Tried::Untried, _) | (_, Tried::Untried) => untried(NAME, LOST),
        (Tried::Refused(errno), _) => {
            let cause = facts.user_namespace_cause();
            let value = format!("no tmpfs can be mounted: {}", refused(errno, cause.as_ref()));
            Line::less(NAME, State::Missing, value, LOST).fix_maybe(cause.map(|cause| cause.fix))
        }
        (_, Tried::Refused(errno)) => {
            let cause = (errno == libc::EINVAL).then(cause::no_pivot);
            let value = format!("the old root cannot be left: {}", refused(errno, cause.as_ref()));
            Line::less(NAME, State::Missing, value, LOST).fix_maybe(cause.map(|cause| cause.fix))
        }
    }
}

fn proc(facts: &Facts) -> Line {
    const NAME: &str = "proc";
    let (whole, subset) = (facts.act(Act::Proc), facts.act(Act::ProcSubset));
    let cause = |errno| {
        (errno == libc::EPERM).then(|| cause::masked_proc(matches!(subset, Tried::Refused(_))))
    };
    match (whole, subset) {
        (Tried::Works, _) => Line::ok(NAME, "a new one can be mounted"),
        (Tried::Untried, _) => untried(NAME, "\"/proc\" = \"proc\""),
        (Tried::Refused(errno), subset) => {
            let (state, value) = match subset {
                Tried::Works => (State::Limited, "with subset = \"pid\" alone: "),
                _ => (State::Missing, ""),
            };
            let cause = cause(errno);
            let value = format!("{value}{}", refused(errno, cause.as_ref()));
            Line::less(NAME, state, value, "\"/proc\" = \"proc\", which `base` and `default` have")
                .fix_maybe(cause.map(|cause| cause.fix))
        }
    }
}

fn other_mounts(facts: &Facts) -> Line {
    const NAME: &str = "sysfs, mqueue";
    let failed: Vec<(&str, i32)> = [("sysfs", Act::Sysfs), ("mqueue", Act::Mqueue)]
        .into_iter()
        .filter_map(|(name, act)| match facts.act(act) {
            Tried::Refused(errno) => Some((name, errno)),
            _ => None,
        })
        .collect();
    let untried_both = facts.act(Act::Sysfs) == Tried::Untried;
    match failed.first() {
        None if untried_both => untried(NAME, "mounts of these kinds"),
        None => Line::ok(NAME, "new ones can be mounted"),
        Some((name, errno)) => {
            let cause = (*name == "sysfs" && *errno == libc::EPERM).then(cause::masked_sysfs);
            let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
            let value = format!("no new {}: {}", names.join(", "), refused(*errno, cause.as_ref()));
            Line::less(NAME, State::Limited, value, "mounts of these kinds")
                .fix_maybe(cause.map(|cause| cause.fix))
        }
    }
}

fn layers(facts: &Facts) -> Line {
    const NAME: &str = "layers";
    if !facts.no_overlayfs {
        // Only a profile that names it needs it.
        let server = match &facts.no_server {
            None => "fuse-overlayfs is here, too".to_owned(),
            Some(why) => format!("not fuse-overlayfs: {why}"),
        };
        return Line::ok(NAME, format!("the kernel has overlayfs, which merges them; {server}"));
    }
    let lost = "layers of more than 256 MB, uppers that are kept";
    Line::less(NAME, State::Limited, "they are copied: this kernel has no overlayfs", lost)
        .fix(Fix::Words("boot a kernel with CONFIG_OVERLAY_FS".into()))
}

fn proc_sys(facts: &Facts) -> Line {
    const NAME: &str = "inner namespaces";
    const LOST: &str = "every profile without optional = [\"namespaces.nested\"]";
    match facts.act(Act::ForbidUserNamespaces) {
        Tried::Works => Line::ok(NAME, "can be forbidden to the target by its own limit"),
        Tried::Untried => untried(NAME, LOST),
        Tried::Refused(errno) => {
            let cause = limit_cause(facts);
            let value = format!("cannot be forbidden: {}", refused(errno, cause.as_ref()));
            Line::less(NAME, State::Missing, value, LOST).fix_maybe(cause.map(|cause| cause.fix))
        }
    }
}

fn limit_cause(facts: &Facts) -> Option<Cause> {
    // A new proc has a line of its own.
    (facts.act(Act::ForbidUserNamespaces) == Tried::Refused(libc::EROFS))
        .then(|| cause::read_only_proc_sys(&facts.barriers, false))
}

fn subordinate(facts: &Facts) -> Line {
    const NAME: &str = "subordinate ids";
    const LOST: &str = "identity.uid-map and gid-map = \"auto\": other ids inside";
    let ids = &facts.subordinate;
    let lost = if facts.has_groups {
        format!("{LOST}, and leaving supplementary groups")
    } else {
        LOST.into()
    };
    let count =
        |ranges: &[(u32, u32)]| ranges.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
    if ids.users.is_empty() || ids.groups.is_empty() {
        let last = ids.free.saturating_add(65_535);
        let range = format!("{}-{last}", ids.free);
        let fix = match facts.user.parse::<u32>() {
            // usermod(8) knows users of /etc/passwd alone.
            Ok(uid) => format!("echo {uid}:{}:65536 | tee -a /etc/subuid >> /etc/subgid", ids.free),
            Err(_) => format!(
                "usermod --add-subuids {range} --add-subgids {range} {}",
                shell_word(&facts.user)
            ),
        };
        let value = format!("{} has none in /etc/subuid and /etc/subgid", facts.user);
        // Root needs no helper, and few profiles ask.
        return Line::less(
            NAME,
            if facts.is_root() { State::Limited } else { State::Missing },
            value,
            lost,
        )
        .fix(Fix::Root(fix));
    }
    let found = format!("{} users, {} groups", count(&ids.users), count(&ids.groups));
    if facts.is_root() {
        return Line::ok(NAME, format!("{found}; root maps them itself"));
    }
    let helper = ids
        .helpers
        .iter()
        .zip(["newuidmap", "newgidmap"])
        .find(|(helper, _)| **helper != Helper::Able);
    match (helper, &ids.mapped) {
        (Some((Helper::Absent, name)), _) => {
            Line::less(NAME, State::Missing, format!("{found}, but there is no {name}"), lost)
                .fix(install_uidmap(facts.packages))
        }
        (Some((Helper::NoSuid, name)), _) => Line::less(
            NAME,
            State::Missing,
            format!("{found}, but {name} lies on a nosuid mount"),
            lost,
        )
        .fix(Fix::Root("mount -o remount,suid /usr".into())),
        // A helper that maps has what it needs, however it came by it.
        (_, Some(Ok(()))) => Line::ok(NAME, format!("{found}; newuidmap and newgidmap map them")),
        (Some((Helper::Plain, name)), _) => {
            Line::less(NAME, State::Missing, format!("{found}, but {name} is not set-id"), lost)
                .fix(Fix::Root(format!("chmod u+s /usr/bin/{name}")))
        }
        (_, Some(Err(said))) => Line::less(NAME, State::Missing, said.clone(), lost)
            .fix(Fix::Words(
            "start stockade without no_new_privs (a unit's NoNewPrivileges=, a container's flag), \
             and where the helpers can have CAP_SYS_ADMIN, which containers take from them"
                .into(),
        )),
        (_, None) => untried(NAME, &lost),
    }
}

fn idmaps(facts: &Facts) -> Line {
    const NAME: &str = "idmapped mounts";
    if !facts.is_root() {
        return Line::ok(NAME, "not needed by an ordinary user");
    }
    if facts.idmaps.is_empty() {
        return untried(NAME, "writable binds, where root starts the sandbox");
    }
    let (able, unable): (Vec<_>, Vec<_>) =
        facts.idmaps.iter().partition(|(.., tried)| *tried == Tried::Works);
    let names = |directories: &[&(String, String, Tried)]| {
        directories
            .iter()
            .map(|(path, kind, _)| format!("{path} ({kind})"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Some((.., tried)) = unable.first() else { return Line::ok(NAME, names(&able)) };
    let cause = match tried {
        Tried::Refused(libc::EPERM) => cause::foreign_idmap(),
        Tried::Refused(libc::ENOSYS) => Cause {
            says: "this kernel has none".into(),
            fix: Fix::Words("boot Linux 5.14 or newer".into()),
        },
        _ => cause::no_idmap(),
    };
    let state = if able.is_empty() { State::Missing } else { State::Limited };
    let value = match able.is_empty() {
        true => format!("not on {}: {}", names(&unable), cause.says),
        false => format!("on {}; not on {}: {}", names(&able), names(&unable), cause.says),
    };
    Line::less(NAME, state, value, "writable binds there, where root starts the sandbox")
        .fix(cause.fix)
}

fn surroundings(facts: &Facts) -> Line {
    let filter = if facts.barriers.filtered {
        "a system call filter is on stockade itself"
    } else {
        "no outer system call filter"
    };
    let value = match &facts.container {
        Some(sign) => format!("{sign}; {filter}"),
        None => format!("no sign of one; {filter}"),
    };
    // The other lines have tried what it takes away.
    Line::ok("container", value)
}

#[cfg(test)]
mod tests;
