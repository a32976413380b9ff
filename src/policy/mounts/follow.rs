//! `follow = true`: the links of the host that a source leads through are followed once, when the
//! machine is read. What they lead to is the source from then on, and is opened as every other.
//!
//! The owner of a link decides where it leads, so each must be root's or the caller's.
//! [`super::planted`] refuses links that an earlier target could have put there.

use super::kinds::{Further, Mount};
use super::{Mounts, written};
use crate::host::Host;
use crate::host::trail::Trail;
use crate::language::section::Entry;
use crate::language::value::below;
use crate::text::problem::{Problem, errno_words};
use crate::text::source::Span;
use std::borrow::Cow;

/// The host's paths whose links are followed.
pub fn wanted(mounts: &Mounts) -> Vec<String> {
    all(mounts).filter_map(|(path, mount)| Some(mount.kind().follows(path)?.to_owned())).collect()
}

/// The entries of a profile, those that others cover among them.
fn all(mounts: &Mounts) -> impl Iterator<Item = (&str, &Mount)> {
    mounts.map.iter().flat_map(|(path, entry)| {
        let entries = std::iter::successors(Some(entry), |entry| entry.under.as_deref());
        entries.filter_map(move |entry| Some((path.as_str(), &entry.value.as_ref()?.value)))
    })
}

/// The entries with the end of its links as the source of each that follows them.
pub(super) fn settle<'m>(mounts: Cow<'m, Mounts>, host: &Host) -> Cow<'m, Mounts> {
    if all(&mounts).all(|(path, mount)| mount.kind().follows(path).is_none()) {
        return mounts;
    }
    let mut mounts = mounts.into_owned();
    for (path, entry) in &mut mounts.map {
        lead(path, entry, host);
    }
    Cow::Owned(mounts)
}

fn lead(path: &str, entry: &mut Entry<Mount, Further>, host: &Host) {
    if let Some(under) = &mut entry.under {
        lead(path, under, host);
    }
    let Some(mount) = entry.value.as_mut().map(|value| &mut value.value) else { return };
    let Some(trail) = mount.kind().follows(path).and_then(|source| host.followed.get(source))
    else {
        return;
    };
    if refused(trail, host.caller.uid).is_none() {
        mount.kind_mut().lead(trail.end.clone());
    }
}

/// Why links are not followed, if they are not.
pub(crate) fn refused(trail: &Trail, caller: u32) -> Option<String> {
    // Links of proc lead each process elsewhere, and some past every directory (proc_pid_fd(5)).
    let in_proc = |place: &str| {
        below(place, "/proc").is_some().then(|| format!("{place} leads each process elsewhere"))
    };
    if let Some(link) = trail.links.iter().find(|link| ![0, caller].contains(&link.owner)) {
        return Some(format!("{} is a link of user {}'s", link.place, link.owner));
    }
    if let Some(why) = trail.links.iter().find_map(|link| in_proc(&link.place)) {
        return Some(why);
    }
    match trail.errno {
        Some(libc::ELOOP) => Some("its links lead in a circle".into()),
        // The problem of a missing file is about the place that the links lead to.
        None | Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES) => None,
        Some(errno) => Some(format!("{}: {}", trail.end, errno_words(errno))),
    }
}

/// Why the links of an entry are not followed, if they are not.
pub(super) fn problem(path: &str, mount: &Mount, host: &Host, at: Span) -> Option<Problem> {
    let source = mount.kind().follows(path)?;
    let trail = host.followed.get(source)?;
    let why = refused(trail, host.caller.uid)?;
    let problem = Problem::new("mounts::link", at, format!("cannot follow {source}: {why}"));
    let in_proc = trail.links.iter().any(|link| below(&link.place, "/proc").is_some());
    let is_known = trail.errno.is_none() && !in_proc;
    let plain = mount.kind().of_place(&trail.end).filter(|_| is_known);
    Some(problem.help_maybe(
        plain.map(|plain| {
            format!("name the place that it means now: {}", written::line(path, &plain))
        }),
    ))
}
