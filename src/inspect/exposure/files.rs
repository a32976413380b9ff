//! The files that a sandbox grants.

use super::{
    DEVICE, HOST_TREE, NO_LANDLOCK, NO_TREE, PROC, PROGRAMS, READ, READ_ALL, READ_HOME, READ_KEYS,
    READ_SYSTEM, RUN_LATER, SOCKET, SYSFS, Tally, WRITE, WRITE_BROAD,
};
use crate::host::Host;
use crate::host::keys::Key;
use crate::inspect::access::{Entry, World};
use crate::inspect::exposure::keys;
use crate::inspect::lint;
use crate::kernel::attrs::Attrs;
use crate::kernel::namespace::Kind;
use crate::kernel::rights::Rights;
use crate::language::value::{ancestors, below, join, parent};
use crate::policy::identity::Ids;
use crate::policy::mounts::checks::why_broad;
use crate::policy::mounts::kinds::{Makes, NODES, Sockets};
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::system::is_system;
use crate::policy::mounts::tree::Node;
use crate::profile::Profile;
use crate::step::{Content, Kernel};
use crate::text::source::Span;
use crate::tree::{Ground, Own, Stack};

pub(super) fn files(
    profile: &Profile,
    (host, settled): (&Host, &Settled),
    world: &World<'_>,
    tally: &mut Tally,
) {
    let at = world.plan.choice.at(Kind::Mount);
    match (world.has_tree(), world.is_ruled()) {
        (false, false) => return tally.add(NO_TREE, "the file tree is not the sandbox's own", at),
        (false, true) => {
            tally.add(HOST_TREE, "the file tree is the host's", at);
            world.ruled().for_each(|(path, entry)| personal(path, path, entry, host, world, tally));
            return rules(host, world, tally);
        }
        (true, false) if !profile.namespaces.made_inside().mounts() => {
            tally.add(NO_LANDLOCK, "Landlock does not rule over files", profile.landlock.paths.at())
        }
        (true, _) => {}
    }
    // An entry that is left out grants nothing.
    let settled = &settled.tree;
    if let Some(root) = settled.get("/")
        && let Some(grant) = root.mount.grant("/")
    {
        let written = grant.written;
        for source in grant.sources() {
            granted("/", source, written == Some(source), host, root.at, tally);
        }
    }
    settled.iter().for_each(|(path, node)| services(path, node, host, world, tally));
    for (path, entry) in &world.tree {
        match &entry.ground {
            Ground::Host(stack) => {
                for source in stack.topmost_first() {
                    personal(path, &source.path, entry, host, world, tally);
                }
                // The names below a bound `/` have its line, and are counted with it.
                if settled.get("/").is_none_or(|root| root.at != entry.at) {
                    of_the_host(path, entry, stack, profile, host, tally);
                }
            }
            Ground::Own(own) => match own {
                Own::Memory { .. } if !entry.attrs.has(Attrs::NO_EXEC) => {
                    tally.at(PROGRAMS, path, "runs what is written there", entry.at)
                }
                Own::File(content) => match content {
                    Content::Copy(source, _) => {
                        granted(path, source.text(), false, host, entry.at, tally)
                    }
                    Content::Text(_) | Content::OfHost(_) => {}
                    Content::Secret(_) | Content::Withheld => {}
                    Content::Fd(_) | Content::File(_) => {}
                },
                Own::Root | Own::Memory { .. } | Own::Directory | Own::Devices(_) => {}
                Own::Link(_) | Own::Hidden(_) | Own::Whiteout => {}
            },
            Ground::Kernel(kernel) => match kernel {
                Kernel::Sysfs => tally.at(SYSFS, path, "is sysfs", entry.at),
                Kernel::Proc { only_processes: false, .. } => {
                    tally.at(PROC, path, "is proc", entry.at)
                }
                Kernel::Proc { .. } | Kernel::Devpts | Kernel::Mqueue => {}
            },
            Ground::Same => {}
        }
    }
}

/// The grants where Landlock alone makes them.
fn rules(host: &Host, world: &World<'_>, tally: &mut Tally) {
    for (path, entry) in world.ruled() {
        if below(path, "/dev").is_some() {
            let minimal = path.strip_prefix("/dev/").is_some_and(|name| NODES.contains(&name));
            if !minimal {
                tally.at(DEVICE, path, "is a device of the host", entry.at);
            }
            continue;
        }
        granted(path, path, entry.rights.within(Rights::WRITE) != Rights(0), host, entry.at, tally);
    }
}

fn of_the_host(
    path: &str,
    entry: &Entry,
    stack: &Stack,
    profile: &Profile,
    host: &Host,
    tally: &mut Tally,
) {
    let at = entry.at;
    match profile.mounts.get(path).map(|mount| mount.value.kind().makes(path)) {
        Some(Makes::Socket(_)) => return tally.at(SOCKET, path, "is a socket of the host", at),
        Some(Makes::Bind(_) | Makes::Devices(_) | Makes::Device(_) | Makes::FileSystem(_))
        | Some(Makes::Layers(_))
        | Some(Makes::Directory(_) | Makes::Link(_) | Makes::File(_) | Makes::Cover(_))
        | None => {}
    }
    // Trees have no devices; a mount that has is one.
    if !entry.attrs.has(Attrs::NO_DEV) {
        let source = &stack.topmost().path;
        let minimal = source.strip_prefix("/dev/").is_some_and(|name| NODES.contains(&name));
        // The terminal that the target has is counted as such.
        let terminal = host.terminal.as_ref().is_some_and(|(name, _)| name == source);
        if !minimal && !terminal {
            tally.at(DEVICE, path, "is a device of the host", at);
        }
        return;
    }
    if stack.upper().is_some() && !entry.attrs.has(Attrs::NO_EXEC) {
        tally.at(PROGRAMS, path, "runs what is written there", at);
    }
    for source in stack.topmost_first() {
        // What is written on top of layers is not the host's.
        let writable = !entry.attrs.has(Attrs::READ_ONLY)
            && source == stack.topmost()
            && stack.upper().is_none();
        granted(path, &source.path, writable, host, at, tally);
    }
}

/// The services behind the sockets that an entry grants and shows. Without a socket the word grants
/// nothing.
fn services(path: &str, node: &Node, host: &Host, world: &World<'_>, tally: &mut Tally) {
    let Some(grant) = node.mount.grant(path) else { return };
    if grant.words.sockets != Sockets::Allow {
        return;
    }
    let mut sockets = grant
        .sources()
        .filter_map(|source| host.present(source))
        .flat_map(|file| file.sockets.iter());
    let shown = |socket: &&String| {
        world.shown(&join(path, &format!("/{socket}"))).is_some_and(|(over, _)| over == path)
    };
    if let Some(first) = sockets.find(shown) {
        tally.at(SOCKET, path, &format!("holds sockets of the host ({first})"), node.at);
    }
}

/// Personal data that a granted tree shows: the home, keys, and files that the host runs later.
fn personal(
    path: &str,
    source: &str,
    entry: &Entry,
    host: &Host,
    world: &World<'_>,
    tally: &mut Tally,
) {
    let home = host.caller.home.as_str();
    let named =
        host.present(source).and_then(|file| file.real.as_ref()).map_or(source, |(real, _)| real);
    // With Landlock alone nothing covers a part of a grant.
    let shown = |target: &str| {
        let inside =
            join(path, [source, named].into_iter().find_map(|source| below(target, source))?);
        let same = !world.has_tree() || world.shown(&inside).is_some_and(|(over, _)| over == path);
        same.then_some(inside)
    };
    if let Some(inside) = shown(home).filter(|_| home.len() > 1) {
        tally.at_because(READ_HOME, &inside, ("can be read", "a home"), entry.at);
    }
    for key in host
        .keys
        .iter()
        .filter(|key| !keys::is_of_the_system(&key.path) || opens(key, source, entry, host, world))
    {
        let part =
            || [source, named].into_iter().any(|source| key.holds(source)).then(|| path.to_owned());
        if let Some(inside) = shown(&key.path).or_else(|| shown(&key.place)).or_else(part) {
            tally.at_because(READ_KEYS, &inside, ("can be read", "keys or sessions"), entry.at);
        }
    }
    let is_topmost = match &entry.ground {
        Ground::Host(stack) => stack.topmost().path == source,
        Ground::Own(_) | Ground::Kernel(_) | Ground::Same => false,
    };
    let writable = match world.has_tree() {
        true => !entry.attrs.has(Attrs::READ_ONLY) && is_topmost,
        false => entry.rights.within(Rights::WRITE) != Rights(0),
    };
    if !writable {
        return;
    }
    // Many entries can have one source.
    let there = match tally.later.get(source) {
        Some(there) => there.clone(),
        None => {
            let there = lint::there(host, source);
            tally.later.insert(source.to_owned(), there.clone());
            there
        }
    };
    let nested = host
        .repositories
        .get(source)
        .into_iter()
        .flatten()
        .map(|tail| (tail.as_str(), lint::REPOSITORY));
    for (tail, why) in there.into_iter().chain(nested) {
        let target = join(source, &format!("/{tail}"));
        if let Some(inside) =
            shown(&target).filter(|inside| is_written(&target, inside, host, world))
        {
            tally.at_because(RUN_LATER, &inside, ("can be written", why), entry.at);
        }
    }
    for (name, why) in lint::RUN_LATER {
        let is_named = |over: &str| over.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
        // A state is a target's own: stockade reads nothing in it.
        let above = if *name == lint::STATES { 1 } else { usize::MAX };
        if ancestors(source).take(above).any(is_named) {
            tally.at_because(RUN_LATER, path, ("can be written", why), entry.at);
        }
    }
}

/// Whether the target may change what is at a path of a writable tree. A link that is held cannot
/// be replaced, and is as open as its end.
fn is_written(target: &str, inside: &str, host: &Host, world: &World<'_>) -> bool {
    let held =
        world.tree.get(inside).is_some_and(|entry| entry.mount && entry.ground == Ground::Same);
    let Some(trail) = host.trails.get(target).filter(|_| held && world.has_tree()) else {
        return true;
    };
    let mut places = world.tree.showing(&trail.end, |source| source).map(|(inside, ..)| inside);
    places.any(|inside| {
        world.mount(&inside).is_some_and(|(_, mount)| !mount.attrs.has(Attrs::READ_ONLY))
    })
}

/// Whether the target may read a file of the system's: it is its own, or it has root's power over
/// the host, or everybody may.
fn opens(key: &Key, source: &str, entry: &Entry, host: &Host, world: &World<'_>) -> bool {
    let Some(file) = host.present(&key.path) else { return false };
    let Ids { host_user: user, reads_all, .. } = world.plan.ids;
    let mapped = match &entry.ground {
        Ground::Host(stack) => stack.topmost_first().any(|source| {
            let shown = source.mapped.as_ref().and_then(|map| map.shows((file.uid, file.gid)).0);
            shown.is_some_and(|shown| shown == user || reads_all)
        }),
        Ground::Own(_) | Ground::Kernel(_) | Ground::Same => false,
    };
    mapped || key.holds(source) || user == 0 || user == file.uid || file.mode & 0o004 != 0
}

/// A tree or file of the host.
fn granted(path: &str, source: &str, writable: bool, host: &Host, at: Span, tally: &mut Tally) {
    let of_people = ["/home", "/root"].contains(&source) || parent(source) == "/home";
    if source == "/" {
        tally.at(READ_ALL, path, "is the host's, with all below it", at);
    } else if of_people || source == host.caller.home {
        tally.at_because(READ_HOME, path, ("can be read", "a home"), at);
    } else if is_of_the_system(source) {
        tally.at_because(READ_SYSTEM, path, ("can be read", "the system's"), at);
    } else {
        tally.at(READ, path, "can be read", at);
    }
    if writable {
        match why_broad(source, host) {
            Some(why) => tally.at_because(WRITE_BROAD, path, ("can be written", &why), at),
            None => tally.at(WRITE, path, "can be written", at),
        }
    }
}

/// Paths that every user of the machine can read.
fn is_of_the_system(source: &str) -> bool {
    ancestors(source)
        .any(|directory| is_system(directory) && !["/srv", "/var"].contains(&directory))
}
