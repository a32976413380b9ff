//! Entries of `[mounts]` whose key is a pattern: which entries they become, and what is wrong with
//! them. It reads no directory: [`crate::host`] walks them once, before anything is planned.
//!
//! Where it hides, `*` matches a leading dot, too, or `.env` would stay in sight; where it grants
//! it does not, as in a shell.

use super::kinds::{Access, Bind, Device, Hide, Missing, Mount, Symlink};
use super::pattern::{Dots, Pattern, is_pattern, shown};
use super::tree::source_of;
use super::{MOST_ENTRIES, Mounts, written};
use crate::host::Host;
use crate::host::globs::{Found, Match, Stop};
use crate::language::section::Entry;
use crate::language::value::{AbsolutePath, ancestors, below, join, parent};
use crate::step::draft::Draft;
use crate::text::problem::{Note, Problem, errno_words};
use crate::text::source::{At, Span};
use crate::tree::walk::meant;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

// ---- facts ----

/// How many names are looked at for all patterns of a profile: a home with some node_modules has
/// several 100,000, and each 100,000 take about a tenth of a second.
pub const MOST_NAMES: usize = 2_000_000;

/// The rule for dots of an entry that may be a pattern; `None` for one that may not.
pub(crate) fn dots_of(mount: &Mount) -> Option<Dots> {
    match mount {
        Mount::Hide(_) => Some(Dots::Matched),
        Mount::Bind(Bind { access: Access::ReadOnly, .. }) | Mount::Device(_) => {
            Some(Dots::PassedOver)
        }
        _ => None,
    }
}

/// What an entry that grants says of its place on the host; `None` for one that grants nothing
/// there.
fn written_source(mount: &Mount) -> Option<Option<&AbsolutePath>> {
    match mount {
        Mount::Bind(Bind { source, .. }) | Mount::Device(Device { source, .. }) => {
            Some(source.as_ref())
        }
        _ => None,
    }
}

/// Where the names of a granting pattern are on the host: below this directory, as below the
/// pattern's base inside. `None` where the entry grants something that does not end as the pattern
/// does, or nothing of the host's.
pub(crate) fn source_base(pattern: &Pattern, mount: &Mount) -> Option<String> {
    match written_source(mount)? {
        None => Some(pattern.base.clone()),
        Some(source) => Some(Pattern::new(source))
            .filter(|source| source.ends_as(pattern))
            .map(|source| source.base),
    }
}

/// The entries with every pattern replaced by what it matches. An entry of its own at the same path
/// wins; of two patterns the one that hides.
pub fn expand<'m>(mounts: &'m Mounts, globs: &BTreeMap<String, Found>) -> Cow<'m, Mounts> {
    if !mounts.map.keys().any(|key| is_pattern(key)) {
        return Cow::Borrowed(mounts);
    }
    let mut all = mounts.clone();
    all.map.retain(|key, _| !is_pattern(key));
    let (mut made, mut hidden) = (vec![], BTreeSet::new());
    for hides in [true, false] {
        for (key, value) in mounts.iter().filter(|(key, value)| {
            is_pattern(key.value) && matches!(value.value, Mount::Hide(_)) == hides
        }) {
            let pattern = Pattern::new(key.value);
            for found in globs.get(key.value).into_iter().flat_map(|found| &found.matches) {
                if all.map.contains_key(&found.path) {
                    continue;
                }
                let mount = mount_of(&pattern, &value.value, found);
                all.map
                    .insert(found.path.clone(), Entry::new(key.at, Some(At::new(mount, value.at))));
                made.push(found);
                if hides {
                    hidden.insert(found.path.clone());
                }
            }
        }
    }
    for Match { path, link } in made {
        let is_below_hidden = ancestors(parent(path)).any(|directory| hidden.contains(directory));
        match link {
            _ if is_below_hidden => drop(all.map.remove(path)),
            Some(text) => settle_link(&mut all, path, text),
            None => {}
        }
    }
    Cow::Owned(all)
}

/// What a pattern's entry becomes at one path.
fn mount_of(pattern: &Pattern, mount: &Mount, Match { path, .. }: &Match) -> Mount {
    let source = || {
        written_source(mount)??;
        let base = source_base(pattern, mount)?;
        Some(AbsolutePath(join(&base, below(path, &pattern.base)?)))
    };
    match mount {
        Mount::Bind(bind) => Mount::Bind(Bind { source: source(), except: vec![], ..bind.clone() }),
        Mount::Device(device) => Mount::Device(Device { source: source(), ..device.clone() }),
        Mount::Hide(hide) => Mount::Hide(Hide { except: vec![], ..hide.clone() }),
        other => other.clone(),
    }
}

/// Settles the entry of a link that a pattern matches. A grant stays a bind if the target could
/// write to the host's tree around it; a read-only tree shows the link already, and elsewhere the
/// link is made again. A hidden link leads to nothing if its target is hidden or absent. A link
/// whose text alone does not decide where it leads counts as leading there.
fn settle_link(mounts: &mut Mounts, path: &str, text: &str) {
    let nearest = |path: &str| {
        ancestors(path).find_map(|over| Some((over.to_owned(), &mounts.get(over)?.value)))
    };
    let remade = match mounts.get(path).map(|mount| &mount.value) {
        Some(mount @ (Mount::Bind(_) | Mount::Device(_))) => match nearest(parent(path)) {
            Some((over, around)) if around.grant(&over).is_some() => {
                let is_kept = around.grant(&over).is_some_and(|around| {
                    let shown = below(path, &over).map(|tail| join(around.topmost, tail));
                    around.written.is_some() && shown.as_deref() == source_of(path, mount)
                });
                if is_kept {
                    return;
                }
                None
            }
            _ => Some(Mount::Symlink(Symlink { text: text.to_owned() })),
        },
        _ => {
            // `..` after a name depends on what that name is.
            let (target, is_sure) = meant(parent(path), text);
            let is_needless = is_sure
                && match nearest(&target) {
                    Some((_, Mount::Hide(_))) => target != path,
                    // Nothing of the host is there.
                    Some((_, Mount::Tmpfs(_) | Mount::Dir(_))) => true,
                    Some(_) => false,
                    None => {
                        !matches!(mounts.get("/").map(|root| &root.value), Some(Mount::Bind(_)))
                    }
                };
            if !is_needless {
                return;
            }
            None
        }
    };
    match (remade, mounts.map.get_mut(path)) {
        (Some(mount), Some(entry)) => {
            entry.value = entry.value.take().map(|value| At::new(mount, value.at))
        }
        _ => drop(mounts.map.remove(path)),
    }
}

// ---- draft ----

/// Says what is wrong with the patterns, and how much each matches.
pub(crate) fn draft(mounts: &Mounts, host: &Host, draft: &mut Draft) {
    let looks = |mount: &Mount| !mount.kind().except().is_empty();
    for (key, value) in
        mounts.iter().filter(|(key, value)| !is_pattern(key.value) && looks(&value.value))
    {
        let message = format!("cannot leave out a part of {}: it is no pattern", key.value);
        draft.problem(
            Problem::new("mounts::glob", value.at, message).help(
                "leave `except` out; an entry of its own for a path below says what is there",
            ),
        );
    }
    for (key, value) in mounts.iter().filter(|(key, _)| is_pattern(key.value)) {
        let (pattern, path) = (Pattern::new(key.value), shown(key.value));
        if let Some(problem) = refuse(&pattern, path, &value.value, key.at) {
            draft.problem(problem);
            continue;
        }
        let Some(found) = host.globs.get(key.value) else { continue };
        let hides = matches!(value.value, Mount::Hide(_));
        if let Some(stop) = &found.stop {
            draft.problem(stopped(path, stop, hides, key.at));
        } else if found.matches.is_empty()
            && found.unread.is_none()
            && missing_of(&value.value) == Missing::Skip
            && !hides
        {
            let note = Note::new(key.at, format!("{path} is left out"));
            let left_out = Some(path.to_owned());
            draft.notes.push(Note { left_out, ..note.because("nothing matches it here") });
        } else if found.matches.is_empty() && missing_of(&value.value) != Missing::Skip {
            let what = if hides {
                "so it hides nothing, and what appears there later would be seen"
            } else {
                "so it grants nothing"
            };
            draft.problem(
                Problem::new(
                    "mounts::glob",
                    key.at,
                    format!("cannot expand {path}: nothing matches it, {what}"),
                )
                .help(format!("correct it, or {}", skipping(key.value, &value.value))),
            );
        } else {
            let paths = |count: usize| {
                if count == 1 { "1 path".to_owned() } else { format!("{count} paths") }
            };
            let unread = found.unread.as_ref().map(|(first, count)| {
                format!("; {} cannot be listed, such as {first}", paths(*count))
            });
            let alone = match found.excepted {
                0 => String::new(),
                count => format!("; {} not looked at (`except`)", paths(count)),
            };
            let later = if hides { "; what appears later is not hidden" } else { "" };
            let text = format!(
                "{path} matches {} among {} names{alone}{later}{}",
                paths(found.matches.len()),
                found.looked_at,
                unread.unwrap_or_default()
            );
            draft.notes.push(Note { counts: true, ..Note::new(key.at, text) });
        }
    }
}

/// The same entry for a pattern that may match nothing, where its kind can say so.
fn skipping(key: &str, mount: &Mount) -> String {
    let skip = mount.kind().skipped();
    skip.map_or("leave it out".into(), |skip| format!("say so: {}", written::line(key, &skip)))
}

fn missing_of(mount: &Mount) -> Missing {
    match mount {
        Mount::Hide(Hide { missing, .. })
        | Mount::Bind(Bind { missing, .. })
        | Mount::Device(Device { missing, .. }) => *missing,
        _ => Missing::Error,
    }
}

fn refuse(pattern: &Pattern, path: &str, mount: &Mount, at: Span) -> Option<Problem> {
    let problem = |why: &str, help: String| {
        Some(Problem::new("mounts::glob", at, format!("cannot expand {path}: {why}")).help(help))
    };
    match mount {
        Mount::Bind(Bind { access: Access::ReadWrite, .. }) => problem(
            "a pattern cannot grant for writing: an earlier target could have made the names that \
             it matches",
            "name each path".into(),
        ),
        Mount::Bind(Bind { missing: Missing::Create, .. }) => {
            problem("a pattern makes nothing", "name the path that is to be made".into())
        }
        Mount::Bind(_) | Mount::Device(_) if source_base(pattern, mount).is_none() => {
            let tail = below(path, &pattern.base).unwrap_or_default();
            let tail = if pattern.base == "/" { path } else { tail };
            let key = mount.kind().form();
            let rule = "` does not end as the key does, so it does not say what goes where";
            problem(&format!("`{key}{rule}"), format!("write {key} = \"/DIRECTORY{tail}\""))
        }
        // Elsewhere an earlier target may have made the directories that would be granted.
        Mount::Device(_)
            if source_base(pattern, mount).is_some_and(|base| below(&base, "/dev").is_none()) =>
        {
            problem("a pattern of devices begins with /dev", "name each path".into())
        }
        _ if dots_of(mount).is_some() => None,
        _ => problem(
            "a pattern can hide, or grant read-only, or grant devices",
            "name each path; a star that is meant is written `\\\\*`".into(),
        ),
    }
}

fn stopped(path: &str, stop: &Stop, hides: bool, at: Span) -> Problem {
    let (why, help) = match stop {
        Stop::Names => (
            format!("there are more than {MOST_NAMES} names to look at"),
            "begin it with a longer path, or hide a directory that holds many".into(),
        ),
        Stop::Matches => (
            format!("it makes more than {MOST_ENTRIES} entries"),
            "hide or bind the directory that they are in".into(),
        ),
        Stop::Unreadable(directory, errno) => {
            let help = if hides {
                format!("hide it: {}", written::line(directory, &Mount::Hide(Hide::PLAIN)))
            } else {
                "begin it with another path".into()
            };
            (format!("{directory}: {}", errno_words(*errno)), help)
        }
        Stop::Link(directory) => (
            format!("{directory} is a symbolic link, and a pattern follows none"),
            "name the place that it means".into(),
        ),
    };
    Problem::new("mounts::glob", at, format!("cannot expand {path}: {why}")).help(help)
}
