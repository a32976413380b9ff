//! Privilege on files: where root starts the sandbox and the target's ids own files of the
//! host, it makes no file set-id and rewrites none that is. It reads no directory: [`crate::host`]
//! looks through the trees once, before anything is planned.
//!
//! A file that is set-user-id is its owner's to anyone who runs it. The kernel takes the bit away
//! when such a file is written, but not for a store to its memory (mmap(2) with MAP_SHARED), and
//! linkers write their output so: no filter can distinguish them.

use super::identity::{Identity, Ids};
use super::mounts::Drafted;
use super::mounts::tree::Tree;
use super::namespaces::{Choice, Namespace, Namespaces};
use super::seccomp::Seccomp;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::privileged::{Look, Power, Stop};
use crate::kernel::namespace::Kind;
use crate::step::draft::Draft;
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::shell::shell_word;

// ---- facts ----

/// How many names are looked at for all binds of a profile. 300,000 to 500,000 names a second were
/// measured with their inodes in memory, so this is two to three seconds; checkouts with their
/// node_modules have 100,000 to 500,000.
pub(crate) const MOST_NAMES: usize = 1_000_000;

/// The word of `optional`.
pub(crate) const OPTIONAL: &str = "mounts.set-id";

/// Whether the trees that a profile grants for writing are looked through: root starts it, and the
/// target's ids are put on their owner's, or are the host root's own.
pub(crate) fn is_looked_for(identity: &Identity, namespaces: &Namespaces, caller: &Caller) -> bool {
    let root = |id: Option<&super::identity::Id>| id.is_some_and(|id| id.is_root());
    let user = namespaces
        .user
        .get()
        .or(namespaces.all.get())
        .is_none_or(|user| user.value == Namespace::New);
    let real = identity.host.get().is_some_and(|real| real.value);
    let ids_are_roots = real
        && (root(identity.user.get().map(|id| &id.value))
            || root(identity.group.get().map(|id| &id.value)));
    caller.uid == 0 && (ids_are_roots || (user && !real && identity.uid_map.get().is_none()))
}

// ---- which owners of host files the target's ids map to ----

/// Whose files of the host the target can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostOwner {
    /// Nobody's but the caller's own: an ordinary user started it, or it writes to nothing of the
    /// host.
    Own,
    /// Those of a user other than root, chosen by a launch of root's.
    OtherUsers,
    /// The host root's.
    Roots,
}

impl HostOwner {
    /// How it is in a plan whose file tree is drafted.
    pub(crate) fn of(ids: &Ids, choice: &Choice, host: &Host, drafted: &Drafted) -> HostOwner {
        if host.caller.uid != 0 {
            return HostOwner::Own;
        }
        if ids.needs_idmap {
            let owners = drafted.opened.iter().filter_map(|opened| opened.owner.as_ref());
            let disks = owners.map(|(disk, _)| *disk);
            let owner = |(user, group)| {
                if user == 0 || group == 0 { HostOwner::Roots } else { HostOwner::OtherUsers }
            };
            return disks.map(owner).max().unwrap_or(HostOwner::Own);
        }
        // Landlock has no right for modes, so in the host's own tree every file of the target's ids
        // counts.
        let own_tree = choice.is_new(Kind::Mount);
        if own_tree && !drafted.writes() {
            return HostOwner::Own;
        }
        let real_root = ids.user == 0 || ids.group == 0 || ids.groups.contains(&0);
        match (choice.of(Kind::User), &ids.maps) {
            (Namespace::New, Some(_)) if !ids.is_host_root() => HostOwner::OtherUsers,
            (Namespace::Host, _) if !real_root => HostOwner::OtherUsers,
            _ => HostOwner::Roots,
        }
    }

    /// Whether a file's capabilities would hold on the host: those that a user namespace gives hold
    /// where its root is the host's (capabilities(7)), and those of a target without one
    /// everywhere.
    pub(crate) fn takes_file_capabilities(self, choice: &Choice) -> bool {
        match self {
            HostOwner::Own => false,
            HostOwner::OtherUsers => *choice.of(Kind::User) == Namespace::Host,
            HostOwner::Roots => true,
        }
    }

    /// Whether no file may become set-id. The word lifts it for files of others than root.
    pub(crate) fn is_guarded(self, seccomp: &Seccomp) -> bool {
        match self {
            HostOwner::Own => false,
            HostOwner::OtherUsers => !seccomp.lifts_set_id(),
            HostOwner::Roots => true,
        }
    }
}

// ---- draft ----

/// Refuses the writable binds in which files with privilege are, and those that are too large to
/// look through.
pub(crate) fn draft(
    seccomp: &Seccomp,
    may_fall: bool,
    tree: &Tree,
    owner: HostOwner,
    host: &Host,
    draft: &mut Draft,
) {
    if host.privileged.is_empty() || !owner.is_guarded(seccomp) {
        return;
    }
    for (path, look) in &host.privileged {
        let Some(at) = tree.get(path).map(|node| node.at) else { continue };
        let Some((why, help)) = found(look).or_else(|| stopped(look)) else { continue };
        if may_fall {
            let text = format!("{} is granted for writing, though {why}", look.top);
            draft.notes.push(Note::new(at, text).less());
        } else {
            draft.problem(
                Problem::new(
                    "mounts::set-id",
                    at,
                    format!("cannot grant {} for writing: {why}", look.top),
                )
                .help(help),
            );
        }
    }
}

/// What is there, and what takes its privilege away.
fn found(look: &Look) -> Option<(String, String)> {
    let first = look.found.first()?;
    let more = if look.count > 1 {
        format!(", and {} more like it", look.count - 1)
    } else {
        String::new()
    };
    let why = format!(
        "{} is {}, and the target could put its own code there, by mmap(2){more}",
        first.path,
        first.power.word()
    );
    let of = |power: fn(Power) -> bool| {
        look.found
            .iter()
            .filter(move |found| power(found.power))
            .take(3)
            .map(|found| shell_word(&found.path))
    };
    let set_id: Vec<String> = of(|power| power != Power::Capabilities).collect();
    let capable: Vec<String> = of(|power| power == Power::Capabilities).collect();
    let command = match (set_id.is_empty(), look.count > 3) {
        (false, false) => format!("chmod ug-s {}", set_id.join(" ")),
        (false, true) => {
            format!("find {} -type f -perm /6000 -exec chmod ug-s {{}} +", shell_word(&look.top))
        }
        (true, _) => format!("setcap -r {}", capable.join(" ")),
    };
    Some((why, format!("take it away: {command}")))
}

/// Why it is not known what is there.
fn stopped(look: &Look) -> Option<(String, String)> {
    let why = match look.stop.as_ref()? {
        Stop::Names => format!(
            "it holds more than {MOST_NAMES} names, too many to look through for set-id files"
        ),
        Stop::Unreadable(directory, errno) => format!(
            "it cannot be looked through for set-id files: {directory}: {}",
            errno_words(*errno)
        ),
    };
    Some((
        why,
        format!("grant a directory below it, or run without the look: optional = [\"{OPTIONAL}\"]"),
    ))
}
