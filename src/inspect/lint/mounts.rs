//! Entries of `[mounts]` that do nothing, that do less than they say, or through which the host
//! could run what the target wrote.

use crate::host::programs::Lack;
use crate::host::{Fact, FileKind, Host};
use crate::inspect::lint::Scene;
use crate::inspect::lint::later::{REPOSITORY, RUN_LATER, there, within};
use crate::kernel::namespace::Kind;
use crate::language::value::{AbsolutePath, ancestors, below, join};
use crate::policy::identity;
use crate::policy::mounts::kinds::{
    Access, Bind, Broad, Dir, File, Hidden, Hide, Layers, Missing, Mount, NODES,
};
use crate::policy::mounts::settle::Settled;
use crate::policy::mounts::tree::{
    Base, Node, Tree, above, base, covered, lies_in_layers, source_of, with_root,
};
use crate::policy::mounts::written::line;
use crate::text::gather::Gather;
use crate::text::problem::{Problem, Problems};
use crate::text::shell::shell_word;
use crate::text::source::{Sources, Span};
use crate::tree::{Ground, HasGround};
use std::collections::{BTreeMap, BTreeSet};

/// How many writable grants are looked into: each costs a look at every name of the table.
const MOST_GRANTS: usize = 256;

// ---- facts ----

/// The host's paths whose facts `run_later` asks for.
pub fn wanted(settled: &Settled) -> Vec<String> {
    let grants = writable(&settled.tree).take(MOST_GRANTS);
    let later = grants.flat_map(|(_, source, _)| {
        RUN_LATER.iter().map(|(name, _)| join(source, &format!("/{}", within(source, name))))
    });
    later.collect()
}

/// The directories of the host that are granted for writing, in which repositories are looked for.
pub(crate) fn granted(settled: &Settled, host: &Host) -> Vec<String> {
    let writable: BTreeSet<&str> =
        writable(&settled.tree).take(MOST_GRANTS).map(|(_, source, _)| source).gather();
    let directories = writable
        .into_iter()
        .filter(|source| host.present(source).is_some_and(|file| file.kind == FileKind::Directory));
    directories.map(str::to_owned).collect()
}

/// The directories of the host whose names `shadowed` asks for: those with entries of their own
/// right below.
pub fn looked_into(settled: &Settled, host: &Host) -> Vec<String> {
    let tree = &settled.tree;
    let has_entries = |path: &str| {
        let under = format!("{path}/");
        tree.range(under.clone()..).next().is_some_and(|(entry, _)| entry.starts_with(&under))
    };
    directories(tree, host)
        .filter(|(path, ..)| has_entries(path))
        .map(|(_, source, _)| source.to_owned())
        .collect()
}

/// Entries that bind a directory of the host, but for the root, with its place.
fn directories<'t>(
    tree: &'t Tree,
    host: &Host,
) -> impl Iterator<Item = (&'t str, &'t str, &'t Node)> {
    let is_directory =
        |source: &str| host.present(source).is_some_and(|file| file.kind == FileKind::Directory);
    // An overlay in parts shows what its parts do.
    let shows = |node: &Node| matches!(node.ground(), Ground::Host(_));
    binds(tree)
        .filter(move |(path, source, node)| *path != "/" && shows(node) && is_directory(source))
}

fn binds(tree: &Tree) -> impl Iterator<Item = (&str, &str, &Node)> {
    let grants = tree.iter().filter_map(|(path, node)| Some((path, node.mount.grant(path)?, node)));
    grants.flat_map(|(path, grant, node)| {
        grant.sources().map(move |source| (path.as_str(), source, node))
    })
}

fn writable(tree: &Tree) -> impl Iterator<Item = (&str, &str, &Node)> {
    binds(tree).filter(|(path, source, node)| {
        node.mount.grant(path).is_some_and(|grant| grant.written == Some(source))
    })
}

// ---- lints ----

/// A directory of which nothing is seen: each name in it has an entry of its own that shows
/// something else. In a writable one more can be made.
pub(super) fn shadowed(scene: &Scene, found: &mut Problems) {
    // The names of a bound root have its line, and it shows others.
    let root = scene.tree.get("/").map(|root| root.at);
    for (path, source, node) in
        directories(scene.tree, scene.host).filter(|(.., node)| Some(node.at) != root)
    {
        // The names of one source are only some of those that several sources show.
        let is_fixed = node
            .mount
            .grant(path)
            .is_some_and(|grant| grant.words.access == Access::ReadOnly && grant.lower.is_empty());
        let names =
            scene.host.names.get(source).filter(|_| is_fixed).map_or(&[][..], Vec::as_slice);
        let child = |name: &String| {
            let (child, other) = scene.tree.get_key_value(&join(path, &format!("/{name}")))?;
            (!adds_nothing((child, other), (path, node))).then_some(other.at)
        };
        if let Some(Some(first)) = names.first().map(child)
            && names.iter().all(|name| child(name).is_some())
        {
            let warning = Problem::new(
                "mounts::shadowed",
                node.at,
                format!("{path} shows nothing of its own: each name in it has another entry"),
            );
            found.push(warning.also(first, "such as this").help(format!(
                "leave it out, or write it as a directory: {}",
                line(path, &Mount::Dir(Dir::PLAIN))
            )));
        }
    }
}

/// A grant inside of one that is as wide, of the same files.
pub(super) fn redundant(scene: &Scene, found: &mut Problems) {
    let root = scene.tree.get("/").map(|root| root.at);
    let wider = |path: &String, node: &Node| {
        let (over, wider) = above(scene.tree, path).or(root_of(scene, path))?;
        // A home below a root of the host is named to say that it is meant.
        let is_home = *path == scene.host.caller.home && Some(wider.at) == root;
        let is_needless = over != path.as_str()
            && node.at != wider.at
            && !is_home
            && adds_nothing((path, node), (over, wider));
        is_needless.then(|| (over.to_owned(), wider.at))
    };
    // A pattern, or a bound root, is one line for many paths.
    let needed: BTreeSet<Span> = scene
        .tree
        .iter()
        .filter(|(path, node)| wider(path, node).is_none())
        .map(|(_, node)| node.at)
        .gather();
    for (path, node) in scene.tree.iter().filter(|(_, node)| !needed.contains(&node.at)) {
        let Some((over, wider)) = wider(path, node) else { continue };
        let warning = Problem::new(
            "mounts::redundant",
            node.at,
            format!("{path} adds nothing: {over} grants it already"),
        );
        found.push(
            warning
                .also(wider, "by this")
                .help("leave it out; where it is inherited, `false` in its place removes it"),
        );
    }
}

/// The bound root, for a name right below it that comes with it.
fn root_of<'t>(scene: &'t Scene, path: &str) -> Option<(&'t str, &'t Node)> {
    with_root(scene.tree, path)?;
    scene.tree.get_key_value("/").map(|(root, node)| (root.as_str(), node))
}

fn adds_nothing((path, node): (&str, &Node), (over, wider): (&str, &Node)) -> bool {
    let tail = below(path, over).unwrap_or_default();
    if let (Some(grant), Some(wider)) = (node.mount.grant(path), wider.mount.grant(over)) {
        let (bind, wide) = (grant.words, wider.words);
        let same_place = join(wider.topmost, if over == "/" { path } else { tail });
        let named = RUN_LATER
            .iter()
            .any(|(name, _)| tail.strip_prefix('/') == Some(within(wider.topmost, name)));
        return same_place == grant.topmost
            && grant.lower.is_empty()
            && wider.lower.is_empty()
            && (bind.access, bind.exec, bind.sockets) == (wide.access, wide.exec, wide.sockets)
            && bind.owner_root == wide.owner_root
            && wide.recursive
            && bind.missing != Missing::Create
            // That is how a profile says that it is intended.
            && !(named && bind.access == Access::ReadWrite);
    }
    match (&node.mount, &wider.mount) {
        (Mount::Device(_), Mount::Dev(_)) => {
            source_of(path, &node.mount).and_then(|source| below(source, "/dev")) == Some(tail)
                && NODES.contains(&tail.trim_start_matches('/'))
        }
        _ => false,
    }
}

/// Entries that hide what would not be visible, or what shows elsewhere.
pub(super) fn hidden(scene: &Scene, found: &mut Problems) {
    let own_tree = scene.choice.is_new(Kind::Mount);
    // A pattern may hide a thousand files: its line is reported once.
    let mut reported = BTreeSet::new();
    for (path, node) in scene.tree.iter().filter(|(_, node)| matches!(node.mount, Mount::Hide(_))) {
        let granted = above(scene.tree, path).is_some_and(|(over, node)| {
            matches!(node.mount, Mount::Device(_)) || node.mount.grant(over).is_some()
        });
        match base(scene.tree, scene.host, path) {
            // If a program misses the file because of it, that has an error of its own.
            Base::Own { .. } if own_tree && keeps_from_a_program(scene, path) => {}
            Base::Own { .. }
                if (own_tree || !granted) && covered(scene.tree, scene.host, path).is_none() =>
            {
                let text = format!("{path} hides nothing: no entry shows anything there");
                let help = "leave it out; where it is inherited, `false` in its place removes it";
                found.push(Problem::new("mounts::hides-nothing", node.at, text).help(help));
            }
            // In merged layers the name is hidden, whichever file has it.
            Base::Host { .. } if own_tree && lies_in_layers(scene.tree, path) => {}
            Base::Host { source, .. } if own_tree => {
                let Fact::Present(file) = scene.host.at(&source) else { continue };
                // A profile that says that it is a file knows.
                if matches!(node.mount, Mount::Hide(Hide { known: Hidden::File, .. })) {
                    continue;
                }
                if file.kind != FileKind::Directory && reported.insert(node.at) {
                    let text = format!(
                        "{path} shows again where a program of the host replaces it by rename, as \
                         editors do"
                    );
                    let help = format!(
                        "hide the directory that it is in, or say that you know: {}",
                        line(path, &Mount::Hide(Hide { known: Hidden::File, ..Hide::PLAIN }))
                    );
                    found.push(Problem::new("mounts::hidden-file", node.at, text).help(help));
                }
            }
            _ => {}
        }
    }
}

/// A file that is hidden at one path and seen at another.
pub(super) fn seen_elsewhere(scene: &Scene, found: &mut Problems) {
    if !scene.choice.is_new(Kind::Mount) {
        return;
    }
    let grants: Vec<(&str, &str, &Node)> = binds(scene.tree).take(MOST_GRANTS).collect();
    let mut reported = BTreeSet::new();
    for (path, node) in scene.tree.iter().filter(|(_, node)| matches!(node.mount, Mount::Hide(_))) {
        let Base::Host { source, .. } = base(scene.tree, scene.host, path) else { continue };
        let shows = |(over, from, _): &&(&str, &str, &Node)| {
            let inside = below(&source, from).map(|tail| join(over, tail));
            // The nearest entry decides there.
            inside.is_some_and(|inside| {
                inside != *path
                    && ancestors(&inside).find(|entry| scene.tree.contains_key(*entry))
                        == Some(over)
            })
        };
        if let Some((over, from, other)) = grants.iter().find(shows)
            && reported.insert(node.at)
        {
            let elsewhere = join(over, below(&source, from).unwrap_or_default());
            let text = format!("{path} is hidden, and {elsewhere} shows the same");
            let help =
                format!("hide it there, too: {}", line(&elsewhere, &Mount::Hide(Hide::PLAIN)));
            found.push(
                Problem::new("mounts::alias", node.at, text).also(other.at, "by this").help(help),
            );
        }
    }
}

/// The whole tree of the host: it is read-only, and the caller's keys are in it. An entry for the
/// home says that it is known.
pub(super) fn whole_host(scene: &Scene, found: &mut Problems) {
    let home = scene.host.caller.home.as_str();
    for (path, _, node) in binds(scene.tree).filter(|(_, source, _)| *source == "/") {
        let inside = join(path, home);
        // The names below a bound root have its line.
        let decided = ancestors(&inside)
            .filter_map(|over| scene.tree.get(over))
            .any(|over| over.at != node.at);
        if home.len() < 2 || decided {
            continue;
        }
        let text = format!(
            "{path} shows all of the host that the caller may read: the home directory, its keys \
             and its tokens among it"
        );
        let help = match scene.choice.is_new(Kind::Mount) {
            true if path == "/" => {
                "hide the home: \"${HOME}\" = \"hide\"; or name it if it is meant: \"${HOME}\" = \
                 \"ro\""
                    .to_owned()
            }
            true => format!("hide the home: {}", line(&inside, &Mount::Hide(Hide::PLAIN))),
            false => "grant only the directories that are needed, one by one".to_owned(),
        };
        found.push(Problem::new("mounts::whole-host", node.at, text).help(help));
    }
}

/// The home, by a line that does not name it: with `${CWD}` it depends on where the sandbox is
/// started. One that names it means it, and so does one that says `broad = true`.
pub(super) fn whole_home(scene: &Scene, sources: &Sources, found: &mut Problems) {
    let home = scene.host.caller.home.as_str();
    if home.len() < 2 {
        return;
    }
    for (path, _, node) in binds(scene.tree).filter(|(_, source, _)| *source == home) {
        let is_meant =
            node.mount.grant(path).is_some_and(|grant| grant.words.broad == Broad::Allow)
                || sources
                    .lines_of(node.at)
                    .is_none_or(|text| text.contains("HOME") || text.contains(home));
        if is_meant {
            continue;
        }
        let text =
            format!("{path} shows the whole home directory, its keys and its tokens among it");
        let said = line(path, &node.mount).replace(home, "${HOME}");
        let help =
            format!("start it in a directory below the home; or name that if it is meant: {said}");
        found.push(Problem::new("mounts::whole-host", node.at, text).help(help));
    }
}

/// Read-only directories of the host on an overlay of the whole host, where the target was to write.
/// Whether a line of the author's says so, the text of the profile shows.
pub(super) fn over_overlay(scene: &Scene, found: &mut Problems) {
    let Some(root) = scene.tree.get("/") else { return };
    let is_overlay = |layers: &&Layers| layers.upper.is_some() && layers.sources("/") == ["/"];
    if root.mount.layers().filter(is_overlay).is_none() {
        return;
    }
    for (path, source, node) in directories(scene.tree, scene.host) {
        let is_bound =
            node.mount.grant(path).is_some_and(|grant| grant.written.is_none() && !grant.merged);
        let is_first_level = path.rfind('/') == Some(0);
        if path == source && is_bound && is_first_level && node.at != root.at {
            let text = format!("{path} stays read-only, as it lies on the overlay at /");
            let help = format!("say that it is meant: {}", line(path, &node.mount));
            let warning = Problem::new("mounts::over-overlay", node.at, text);
            found.push(warning.also(root.at, "this is the overlay").help(help));
        }
    }
}

/// Whether a program looked for something of this name and did not find it.
fn keeps_from_a_program(scene: &Scene, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    scene.host.programs.iter().flat_map(|program| &program.lacks).any(|lack| match lack {
        Lack::Library { name: needed, .. } => needed == name,
        Lack::Program { name: needed, .. } => needed.rsplit('/').next() == Some(name),
        Lack::Interpreter { path: needed, .. } => needed == path,
        _ => false,
    })
}

/// A file that is hidden, or kept in a writable tree, and has another name somewhere: link(2) gives
/// a file several, and no cover knows the others.
pub(super) fn other_names(scene: &Scene, found: &mut Problems) {
    if !scene.choice.is_new(Kind::Mount) {
        return;
    }
    for (path, node) in scene.tree {
        let Base::Host { source, writable } = base(scene.tree, scene.host, path) else { continue };
        let (act, verb) = match &node.mount {
            Mount::Hide(_) => ("hidden", "read"),
            mount => match mount.grant(path) {
                Some(grant) if writable && grant.words.access == Access::ReadOnly => {
                    ("kept read-only", "written")
                }
                _ => continue,
            },
        };
        let Fact::Present(file) = scene.host.at(&source) else { continue };
        if file.kind != FileKind::Regular
            || file.names < 2
            || source_of(path, &node.mount).is_some_and(|bound| bound != source)
        {
            continue;
        }
        let text = format!(
            "{path} is {act}, and the file has {} names (hard links): by another one that is \
             granted it can be {verb}",
            file.names
        );
        let (own, new) = (shell_word(&source), shell_word(&format!("{source}.new")));
        let help = format!("give it one name: `cp -p {own} {new} && mv {new} {own}`");
        found.push(Problem::new("mounts::hard-links", node.at, text).help(help));
    }
}

/// Entries that the target cannot read: where root starts the sandbox its ids are nobody's on
/// the host, and a read-only bind is not mapped.
pub(super) fn unreadable(scene: &Scene, found: &mut Problems) {
    if !identity::is_mapped(&scene.profile.identity, &scene.host.caller)
        || !scene.choice.is_new(Kind::User)
    {
        return;
    }
    for (path, node) in scene.tree.iter().filter(|(path, _)| *path != "/") {
        let Some(grant) =
            node.mount.grant(path).filter(|grant| grant.written.is_none() && !grant.merged)
        else {
            continue;
        };
        let Fact::Present(file) = scene.host.at(grant.topmost) else { continue };
        let (wanted, act) = match file.kind {
            FileKind::Directory => (0o005, "list"),
            FileKind::Regular => (0o004, "read"),
            FileKind::Link(_) | FileKind::Socket | FileKind::Device | FileKind::Fifo => continue,
        };
        if file.mode & wanted == wanted {
            continue;
        }
        let text = format!(
            "{path} cannot be {}: the host's {} (mode {:04o}) is user {}'s, and the target is \
             another one",
            if act == "list" { "listed" } else { "read" },
            grant.topmost,
            file.mode & 0o7777,
            file.uid
        );
        let help = match file.kind {
            FileKind::Regular => {
                format!(
                    "copy it for the target: {}",
                    line(path, &Mount::File(File::copy(grant.topmost)))
                )
            }
            _ => format!("let others see it: `chmod o+rx {}`", shell_word(grant.topmost)),
        };
        found.push(Problem::new("mounts::unreadable", node.at, text).help(help));
    }
}

/// Files that the target may write and the host runs.
pub(super) fn run_later(scene: &Scene, found: &mut Problems) {
    // Many entries can have one source.
    let mut known: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, source, node) in writable(scene.tree) {
        let named = known.entry(source).or_insert_with(|| there(scene.host, source)).iter();
        let seen = |name: &str| {
            let inside = join(path, &format!("/{name}"));
            ancestors(&inside).find(|over| scene.tree.contains_key(*over)).unwrap_or("/") == path
        };
        let nested = scene
            .host
            .repositories
            .get(source)
            .into_iter()
            .flatten()
            .map(|name| (name.as_str(), REPOSITORY));
        let all: Vec<(&str, &str)> =
            named.copied().chain(nested).filter(|(name, _)| seen(name)).collect();
        let Some((first, why)) = all.first() else { continue };
        let names: Vec<String> = all.iter().map(|(name, _)| format!("`{name}`")).collect();
        let text = format!(
            "{path} lets the target write what runs outside of the sandbox later: {} ({why})",
            names.join(", ")
        );
        let (inside, outside) =
            (join(path, &format!("/{first}")), join(source, &format!("/{first}")));
        let help = match scene.choice.is_new(Kind::Mount) {
            true => {
                let outside = AbsolutePath(outside);
                let said =
                    |access| line(&inside, &Mount::Bind(Bind::new(Some(outside.clone()), access)));
                format!(
                    "keep it read-only: {}; or name it if it is meant: {}",
                    said(Access::ReadOnly),
                    said(Access::ReadWrite)
                )
            }
            false => format!("grant the directories beside it one by one, in place of {path}"),
        };
        found.push(Problem::new("mounts::run-later", node.at, text).help(help));
    }
}
