//! The file tree that the target sees, drawn as a tree with what may be done at each path.

use crate::inspect::access::{Entry, World};
use crate::inspect::view::flat;
use crate::kernel::attrs::Attrs;
use crate::kernel::rights::Rights;
use crate::language::value::{Room, parent};
use crate::policy::mounts::kinds::Makes;
use crate::profile::Profile;
use crate::step::Cover;
use crate::text::layout::{COLUMNS, Paint, Tone, shorten, width};
use crate::text::source::{Place, Sources};
use crate::tree::{Ground, Own, Stack, Top};
use landlock::AccessFs;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One path, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    path: &'a str,
    shows: &'static str,
    access: String,
    source: Option<&'a str>,
    /// The directories that are merged with it, the topmost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lower: Vec<&'a str>,
    /// Why they are copied, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<&'a str>,
    target: Option<&'a str>,
    size: Option<Room>,
    at: Option<Place>,
}

/// Every path, for programs.
pub(crate) fn records<'a>(
    world: &'a World<'_>,
    profile: &Profile,
    sources: &Sources,
) -> Vec<Record<'a>> {
    let record = |(path, entry): (&'a String, &'a Entry)| Record {
        path,
        shows: kind(path, entry, profile),
        access: marks(world, path, entry, profile),
        source: if let Ground::Host(stack) = &entry.ground {
            Some(&stack.topmost().path)
        } else {
            None
        },
        lower: match &entry.ground {
            Ground::Host(stack) => stack.topmost_first().skip(1).map(|one| &*one.path).collect(),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => vec![],
        },
        copied: match &entry.ground {
            Ground::Host(stack) => stack.is_copied(),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
        },
        target: if let Ground::Own(Own::Link(text)) = &entry.ground { Some(text) } else { None },
        size: match &entry.ground {
            Ground::Own(Own::Memory { size, .. }) => Some(*size),
            Ground::Host(stack) => stack.upper().and_then(Top::size),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
        },
        at: sources.place(entry.at),
    };
    world.tree.iter().map(record).collect()
}

/// The word for what is at a path.
fn kind(path: &str, entry: &Entry, profile: &Profile) -> &'static str {
    match &entry.ground {
        Ground::Own(Own::Root) => "root",
        Ground::Own(Own::Memory { .. }) => "tmpfs",
        Ground::Host(stack) => of_the_host(path, entry, stack, profile),
        Ground::Kernel(kernel) => kernel.word(),
        Ground::Own(Own::Directory | Own::Devices(_)) => "dir",
        Ground::Own(Own::Link(_)) => "symlink",
        Ground::Own(Own::File(_)) => "file",
        Ground::Own(Own::Hidden(_) | Own::Whiteout) => "hide",
        Ground::Same if !entry.mount => "rule",
        Ground::Same if entry.attrs.has(Attrs::READ_ONLY) => "read-only",
        Ground::Same => "pinned",
    }
}

fn of_the_host(path: &str, entry: &Entry, stack: &Stack, profile: &Profile) -> &'static str {
    match profile.mounts.get(path) {
        Some(mount) => mount.value.word(),
        None if is_special(path, entry, stack, profile) => "device",
        None => "bind",
    }
}

/// Whether it is a device or a socket: a mount that is read-only does not keep from writing to them.
fn is_special(path: &str, entry: &Entry, stack: &Stack, profile: &Profile) -> bool {
    match profile.mounts.get(path).map(|mount| mount.value.kind().makes(path)) {
        Some(makes) => matches!(makes, Makes::Device(_) | Makes::Socket(_)),
        // The host's own tree has none of our attributes, and is no device.
        None => !entry.attrs.has(Attrs::NO_DEV) && stack.topmost().path != "/",
    }
}

/// Read, write and execute, as mounts and Landlock let it; `---` for what is hidden, blanks for a
/// link.
fn marks(world: &World<'_>, path: &str, entry: &Entry, profile: &Profile) -> String {
    match &entry.ground {
        Ground::Own(Own::Link(_)) => return "   ".into(),
        Ground::Own(Own::Hidden(_) | Own::Whiteout) => return "---".into(),
        Ground::Host(stack) if is_special(path, entry, stack, profile) => return "rw-".into(),
        Ground::Own(
            Own::Root | Own::Memory { .. } | Own::Directory | Own::Devices(_) | Own::File(_),
        )
        | Ground::Host(_)
        | Ground::Kernel(_)
        | Ground::Same => {}
    }
    let landlock = |right: AccessFs| {
        let ruleset = world.plan.landlock.as_ref();
        ruleset.is_none_or(|ruleset| {
            let needed = Rights(right as u64).within(ruleset.handled);
            world.rights(path).0.within(needed) == needed
        })
    };
    // To make or remove a file changes the tree as much as to write to one.
    let changes = [
        AccessFs::WriteFile,
        AccessFs::MakeReg,
        AccessFs::MakeDir,
        AccessFs::RemoveFile,
        AccessFs::RemoveDir,
    ];
    let write = !entry.attrs.has(Attrs::READ_ONLY) && changes.into_iter().any(landlock);
    let own = matches!(entry.ground, Ground::Own(Own::Directory) | Ground::Own(Own::Root));
    let execute =
        !entry.attrs.has(Attrs::NO_EXEC) && landlock(AccessFs::Execute) && (!own || write);
    let read = world.has_tree() || landlock(AccessFs::ReadFile) || landlock(AccessFs::ReadDir);
    format!(
        "{}{}{}",
        if read { 'r' } else { '-' },
        if write { 'w' } else { '-' },
        if execute { 'x' } else { '-' }
    )
}

/// What is at a path, in a few words.
fn words(path: &str, entry: &Entry, profile: &Profile) -> String {
    match &entry.ground {
        Ground::Own(Own::Root) => "empty".into(),
        Ground::Own(Own::Memory { size, inodes }) => format!("tmpfs {size}, {inodes} inodes"),
        Ground::Host(stack) if stack.is_merged() => {
            let upper = stack.upper();
            let upper = upper.map_or(String::new(), |top| match top {
                Top::Memory { size, .. } => format!("; written: in memory, {size}"),
                Top::Disk { .. } => format!("; written: {}", flat(&top.words())),
            });
            format!("{}: {}{upper}", how_merged(stack), flat(&stack.words()))
        }
        Ground::Host(stack) => {
            let what = match of_the_host(path, entry, stack, profile) {
                "bind" => "host",
                other => other,
            };
            let from = if stack.topmost().path == *path {
                String::new()
            } else {
                format!(": {}", flat(&stack.topmost().path))
            };
            let mapped = if stack.topmost().mapped.is_some() { ", owner mapped" } else { "" };
            let made = if stack.topmost().made { ", made if absent" } else { "" };
            format!("{what}{mapped}{made}{from}")
        }
        Ground::Kernel(kernel) => kernel.to_string(),
        Ground::Own(Own::Directory | Own::Devices(_)) => String::new(),
        Ground::Own(Own::Link(text)) => format!("→ {}", flat(text)),
        Ground::Own(Own::File(content)) => flat(&content.to_string()),
        Ground::Own(Own::Hidden(Cover::Directory)) => "hidden: an empty directory".into(),
        Ground::Own(Own::Hidden(Cover::File)) => "hidden: an empty file".into(),
        Ground::Own(Own::Whiteout) => "hidden: absent".into(),
        Ground::Same if !entry.mount => format!("Landlock: {}", entry.rights),
        Ground::Same if entry.attrs.has(Attrs::READ_ONLY) => "read-only".into(),
        Ground::Same => "cannot be renamed".into(),
    }
}

fn how_merged(stack: &Stack) -> &'static str {
    match stack.is_copied() {
        Some(_) => "layers, copied",
        None if stack.is_served() => "layers, served",
        None => "layers",
    }
}

/// Layers that have no room in the line of their entry, the topmost first, with the words of that
/// line without them.
fn in_lines(stack: &Stack, words: &str, room: usize) -> Option<(String, Vec<String>)> {
    let paths: Vec<String> = stack.topmost_first().map(|one| flat(&one.path)).collect();
    let is_whole = paths.len() < 3 && width(words) <= room;
    if !stack.is_merged() || paths.len() < 2 || is_whole {
        return None;
    }
    let (count, shown) = (paths.len(), paths.len().min(MOST_SHOWN));
    let named = format!(": {}", flat(&stack.words()));
    let words = words.replacen(&named, "", 1);
    let over = |(nth, path): (usize, String)| match nth {
        0 => path,
        _ => format!("over {path}"),
    };
    let lines = paths.into_iter().take(shown).enumerate().map(over);
    let more = (count > shown).then(|| format!("over {} more (plan --steps)", count - shown));
    Some((format!("{count} {words}"), lines.chain(more).collect()))
}

/// Which paths lie directly below which.
type Children<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// How much of a line the names take at most.
const NAMES: usize = 44;

/// How many layers of an entry are shown.
const MOST_SHOWN: usize = 20;

/// The tree, for people.
pub(crate) fn text(world: &World<'_>, profile: &Profile, paint: Paint) -> String {
    let mut children = Children::new();
    for path in world.tree.keys().filter(|path| *path != "/") {
        // A cover in a bound tree hangs on the entry above it.
        children.entry(world.over(parent(path)).unwrap_or("/")).or_default().insert(path);
    }
    let mut rows = vec![];
    if let Some(root) = world.tree.get("/") {
        branch(
            world,
            profile,
            &mut children,
            ("/", root),
            (String::new(), String::new()),
            &mut rows,
        );
    }
    let names = rows.iter().map(|row: &Row| width(&row.name)).max().unwrap_or(0).min(NAMES);
    let line = |row: Row| {
        let name = shorten(&row.name, names);
        let gap = " ".repeat(names - width(&name));
        let room = COLUMNS - names - row.marks.len() - 6;
        let in_lines = row.layers.and_then(|stack| in_lines(stack, &row.words, room));
        let (words, layers) = in_lines.unwrap_or((row.words, vec![]));
        let words = shorten(&words, room);
        let tone = match row.marks.as_str() {
            "rw-" | "rwx" if row.host => Tone::Bad,
            "---" => Tone::Faint,
            _ => Tone::Good,
        };
        let line = format!("  {}  {name}{gap}  {words}", paint.tone(tone, &row.marks));
        let below = |layer: &String| {
            let bar = shorten(&row.below, names);
            let gap = " ".repeat(names - width(&bar) + 4);
            let marks = " ".repeat(row.marks.len() + 4);
            format!("{marks}{bar}{gap}{}", shorten(layer, room - 2))
        };
        let layers: Vec<String> = layers.iter().map(below).collect();
        let lines = [line].into_iter().chain(layers);
        lines.map(|line| line.trim_end().to_owned() + "\n").collect::<String>()
    };
    rows.into_iter().map(line).collect()
}

struct Row<'a> {
    marks: String,
    name: String,
    words: String,
    host: bool,
    /// The layers that it has.
    layers: Option<&'a Stack>,
    /// What is drawn before the names below it.
    below: String,
}

/// Draws an entry and what lies below it. `lead` is what is drawn before its name, and before the
/// names below it.
fn branch<'a>(
    world: &'a World<'_>,
    profile: &Profile,
    children: &mut Children<'a>,
    (path, entry): (&'a str, &'a Entry),
    (lead, below): (String, String),
    rows: &mut Vec<Row<'a>>,
) {
    let own: Vec<&str> = children.remove(path).unwrap_or_default().into_iter().collect();
    // What an entry implies is printed in its own line: the nodes of /dev, the covers of /proc.
    let makes = profile.mounts.get(path).map(|mount| mount.value.kind().makes(path));
    let brings = matches!(makes, Some(Makes::Devices(_) | Makes::FileSystem(_)));
    let is_along = |child: &&str| {
        let along = &world.tree[*child];
        let kind = matches!(
            along.ground,
            Ground::Host(_)
                | Ground::Own(Own::Link(_))
                | Ground::Same
                | Ground::Own(Own::Hidden(_) | Own::Whiteout)
        );
        brings && kind && along.at == entry.at && !children.contains_key(*child)
    };
    let (along, own): (Vec<&str>, Vec<&str>) = own.into_iter().partition(is_along);
    let name =
        |child: &str| flat(child.strip_prefix(path).unwrap_or(child).trim_start_matches('/'));
    let count = |kind: &str| {
        along
            .iter()
            .filter(|child| self::kind(child, &world.tree[**child], profile) == kind)
            .count()
    };
    let nodes: Vec<String> = along
        .iter()
        .filter(|child| matches!(world.tree[**child].ground, Ground::Host(_)))
        .map(|child| name(child))
        .collect();
    let mut words = if nodes.is_empty() {
        words(path, entry, profile)
    } else {
        format!("nodes: {}", nodes.join(" "))
    };
    for (kind, label) in [("read-only", "read-only"), ("hide", "hidden")] {
        if count(kind) > 0 {
            words += &format!(", {} {label}", count(kind));
        }
    }
    let shown = path
        .rsplit('/')
        .next()
        .filter(|_| lead.is_empty())
        .map_or_else(|| lead.clone(), |_| "/".into());
    rows.push(Row {
        marks: marks(world, path, entry, profile),
        name: shown,
        words,
        host: matches!(&entry.ground, Ground::Host(stack) if stack.upper().is_none()),
        layers: match &entry.ground {
            Ground::Host(stack) => Some(stack),
            Ground::Own(_) | Ground::Kernel(_) | Ground::Same => None,
        },
        below: if own.is_empty() { below.clone() } else { format!("{below}│") },
    });
    let last = own.len();
    for (nth, child) in own.into_iter().enumerate() {
        let (corner, bar) =
            if nth + 1 == last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let lead = (format!("{below}{corner}{}", name(child)), format!("{below}{bar}"));
        branch(world, profile, children, (child, &world.tree[child]), lead, rows);
    }
}
