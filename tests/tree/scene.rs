//! A machine with layers, a tree on top of them, and the paths that are asked about: as data, as
//! lines for tests/tree.c, and as facts for the walker.

use crate::support::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use stockade::internals::host::FileKind;
use stockade::internals::language::value::Room;
use stockade::internals::step::{Content, Kernel};
use stockade::internals::tree::walk::{Facts, Halt, Kind, Last, Looked, Position, walk};
use stockade::internals::tree::{Ground, HasGround, Own, Source, Stack, Tree};

/// A model that is wrong in one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Whiteouts hide nothing.
    Whiteouts,
    /// Opaque directories are merged.
    Opaque,
    /// The lowest layer is taken for the topmost.
    Order,
    /// Only the topmost layer is looked into.
    Topmost,
    /// What is mounted below a stack is not seen.
    Mounts,
    /// Links are followed on the host, not inside.
    Links,
    /// A link at the end of a path is always followed.
    Last,
}

impl Mutant {
    pub const ALL: [Mutant; 7] = [
        Mutant::Whiteouts,
        Mutant::Opaque,
        Mutant::Order,
        Mutant::Topmost,
        Mutant::Mounts,
        Mutant::Links,
        Mutant::Last,
    ];
}

#[derive(Debug, Clone)]
pub struct Node(Ground);

impl HasGround for Node {
    fn ground(&self) -> &Ground {
        &self.0
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// What links lead to.
const TEXTS: [&str; 18] = [
    "a",
    "b/c",
    "../a",
    "../../b",
    "..",
    ".",
    "c/../b",
    "./a/",
    "/m0/a",
    "/m0/b/c",
    "/m1/a/b",
    "/m1/c",
    "/m1",
    "/l",
    "/d/e",
    "/f",
    "/gone",
    "//m0/./a//b",
];

#[derive(Debug, Clone)]
pub struct Scene {
    /// What is in the layers, by the path below the case's directory.
    files: BTreeMap<String, Kind>,
    opaque: BTreeSet<String>,
    tree: Tree<Node>,
    /// The layer that is an upper one, where there is one.
    upper: Option<String>,
    /// Whether the root is a stack itself.
    pub rooted: bool,
    pub paths: Vec<(String, Last)>,
}

impl Scene {
    fn empty() -> Scene {
        let tree = Tree::new(Node(Ground::Own(Own::Root)));
        let (files, opaque) = (BTreeMap::new(), BTreeSet::new());
        Scene { files, opaque, tree, upper: None, rooted: false, paths: vec![] }
    }

    /// Two layers with everything that has to work.
    pub fn smallest() -> Scene {
        let mut scene = Scene::empty();
        let folder = || Kind::File(FileKind::Directory);
        for name in ["0", "1", "0/a", "1/a"] {
            scene.files.insert(name.into(), folder());
        }
        scene.files.insert("1/b".into(), Kind::Whiteout);
        scene.opaque.insert("1/a".into());
        scene.stand("/m0", &["0", "1"]);
        scene.paths.push(("/m0/a".into(), Last::Kept));
        scene
    }

    /// Random layers, nodes and paths.
    pub fn some(dice: &mut Dice, paths: usize, by_root: bool) -> Scene {
        let mut scene = Scene::empty();
        let mut layers = 0;
        let mut stacks = vec![];
        for _ in 0..2 {
            let names: Vec<String> =
                (0..1 + dice.throw(4)).map(|nth| (layers + nth).to_string()).collect();
            layers += names.len();
            for name in &names {
                scene.fill(name, 3, dice);
            }
            stacks.push(names);
        }
        for (nth, names) in stacks.iter().enumerate() {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            scene.stand(&format!("/m{nth}"), &names);
        }
        if by_root && dice.throw(3) == 0 && stacks[0].len() > 1 {
            scene.upper = stacks[0].last().cloned();
        }
        let own = [
            ("/l", Own::Link(dice.pick(&TEXTS).into())),
            ("/f", Own::File(Content::Text(vec![]))),
            ("/d/e", Own::Directory),
            ("/d/l", Own::Link(dice.pick(&TEXTS).into())),
        ];
        let own = own.map(|(path, own)| (path.to_owned(), Node(Ground::Own(own))));
        scene.tree.extend(own);
        for _ in 0..dice.throw(4) {
            scene.mount_below(dice);
        }
        scene.paths = (0..paths).map(|_| some_path(dice)).collect();
        scene
    }

    /// The same with a stack for the root.
    pub fn rooted(dice: &mut Dice, paths: usize, by_root: bool) -> Scene {
        let mut scene = Scene { rooted: true, ..Scene::empty() };
        let layers: Vec<String> = (0..1 + dice.throw(4)).map(|nth| nth.to_string()).collect();
        for name in &layers {
            scene.fill(name, 3, dice);
        }
        let names: Vec<&str> = layers.iter().map(String::as_str).collect();
        scene.stand("/", &names);
        if by_root && dice.throw(3) == 0 && layers.len() > 1 {
            scene.upper = layers.last().cloned();
        }
        for _ in 0..dice.throw(4) {
            scene.mount_below(dice);
        }
        let below_root = |(path, last): (String, Last)| (to_root(&path), last);
        scene.paths = (0..paths).map(|_| below_root(some_path(dice))).collect();
        scene
    }

    /// What the kernel bounds: links, and the lengths of paths and names.
    pub fn of_bounds() -> Scene {
        let mut scene = Scene::smallest();
        let mut own = |path: String, own| scene.tree.insert(path, Node(Ground::Own(own)));
        for nth in 0..45 {
            own(format!("/l{nth}"), Own::Link(format!("l{}", nth + 1)));
        }
        own("/l45".into(), Own::Directory);
        let long = format!("m0/{}a", "./".repeat(2000));
        own("/long".into(), Own::Link(long));
        let padded = |length: usize| {
            let mut path = "/m0/a".to_owned();
            while path.len() + 2 <= length {
                path += "/.";
            }
            path + if length.is_multiple_of(2) { "/" } else { "" }
        };
        let mut paths = vec!["/long".into(), "/long/../../long".into(), "/long/".into()];
        paths.extend([4, 5, 6, 20, 44].map(|nth| format!("/l{nth}")));
        paths.extend([4, 5, 6].map(|nth| format!("/l{nth}/")));
        paths.extend([4093, 4094, 4095, 4096, 4097].map(padded));
        for folder in ["/", "/m0/", "/m0/a/", "/d0/"] {
            paths.extend(
                [254, 255, 256, 300].map(|length| format!("{folder}{}", "x".repeat(length))),
            );
        }
        let both = |path: String| [(path.clone(), Last::Followed), (path, Last::Kept)];
        scene.paths = paths.into_iter().flat_map(both).collect();
        scene
    }

    fn stand(&mut self, path: &str, layers: &[&str]) {
        let sources = layers.iter().map(|layer| Source::new(*layer)).collect();
        let stack = Stack::lowest_first(sources).unwrap();
        self.tree.insert(path.to_owned(), Node(Ground::Host(stack)));
    }

    fn fill(&mut self, folder: &str, depth: usize, dice: &mut Dice) {
        self.files.insert(folder.to_owned(), Kind::File(FileKind::Directory));
        for name in NAMES {
            let path = format!("{folder}/{name}");
            match dice.throw(16) {
                0..=6 if depth > 0 => {
                    self.fill(&path, depth - 1, dice);
                    if dice.throw(if self.rooted { 3 } else { 6 }) == 0 {
                        self.opaque.insert(path);
                    }
                }
                0..=8 => drop(self.files.insert(path, Kind::File(FileKind::Regular))),
                9..=11 => {
                    let text = dice.pick(&TEXTS);
                    let text = if self.rooted { to_root(text) } else { text.to_owned() };
                    self.files.insert(path, Kind::File(FileKind::Link(text)));
                }
                12 | 13 => drop(self.files.insert(path, Kind::Whiteout)),
                _ => {}
            }
        }
    }

    /// Mounts something on a directory or a file of a stack, as it is so far.
    fn mount_below(&mut self, dice: &mut Dice) {
        let depth = 1 + dice.throw(3);
        let names: String = (0..depth).map(|_| format!("/{}", dice.pick(&NAMES))).collect();
        let path = if self.rooted { names } else { format!("/m{}{names}", dice.throw(2)) };
        let covers = |other: &String| other.starts_with(&format!("{path}/"));
        if self.tree.keys().any(covers) {
            return;
        }
        let mut facts = Machine { scene: self, mutant: None };
        let Ok(step) = walk(&self.tree, &mut facts, &path, Last::Kept).end() else { return };
        let is_folder = match step.kind {
            Kind::File(FileKind::Directory) => true,
            Kind::File(FileKind::Regular) => false,
            _ => return,
        };
        if step.path != path || step.places.is_empty() {
            return;
        }
        let wanted = if is_folder { FileKind::Directory } else { FileKind::Regular };
        let like: Vec<&str> = self
            .files
            .iter()
            .filter(|(_, kind)| **kind == Kind::File(wanted.clone()))
            .map(|(path, _)| path.as_str())
            .collect();
        let like = |dice: &mut Dice| (!like.is_empty()).then(|| dice.pick(&like).to_owned());
        let ground = match dice.throw(4) {
            0 if is_folder => Ground::Own(Own::Memory { size: Room::Bytes(0), inodes: 0 }),
            1 if is_folder => {
                let layers: Vec<String> = (0..2).filter_map(|_| like(dice)).collect();
                // One that lies in another is refused (EINVAL, ELOOP).
                let overlap = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
                match &layers[..] {
                    [a, b] if !overlap(a, b) && !overlap(b, a) => {
                        let sources = layers.into_iter().map(Source::new).collect();
                        Ground::Host(Stack::lowest_first(sources).unwrap())
                    }
                    _ => return,
                }
            }
            _ => match like(dice) {
                Some(source) => Ground::Host(Stack::one(Source::new(source))),
                None => return,
            },
        };
        self.tree.insert(path, Node(ground));
    }

    // ---- for tests/tree.c ----

    /// The lines of the case.
    pub fn script(&self, nth: usize) -> String {
        let mut out = format!("case{nth}\n");
        for name in ["root", "work"] {
            writeln!(out, "d{name}").unwrap();
        }
        for (path, kind) in &self.files {
            match kind {
                Kind::File(FileKind::Directory) => writeln!(out, "d{path}"),
                Kind::File(FileKind::Link(text)) => writeln!(out, "l{path}\t{text}"),
                Kind::Whiteout => writeln!(out, "w{path}"),
                _ => writeln!(out, "f{path}"),
            }
            .unwrap();
        }
        self.opaque.iter().for_each(|path| writeln!(out, "o{path}").unwrap());
        for path in self.files.keys() {
            writeln!(out, "t{path}\t{}", self.time(path)).unwrap();
        }
        out += "e\n";
        let mut made = BTreeSet::new();
        for (path, Node(ground)) in &self.tree {
            // The directories on the way, where nothing is mounted above.
            let own = !self.is_below_a_stack(path);
            for (at, _) in path.match_indices('/').filter(|(at, _)| own && *at > 0) {
                if made.insert(&path[..at]) {
                    writeln!(out, "droot{}", &path[..at]).unwrap();
                }
            }
            self.line(path, ground, own, &mut out);
        }
        out += "c\n";
        for (path, last) in &self.paths {
            let letter = if *last == Last::Followed { 'q' } else { 'k' };
            writeln!(out, "{letter}{path}").unwrap();
        }
        out += "\n";
        out
    }

    fn is_below_a_stack(&self, path: &str) -> bool {
        match self.rooted {
            true => path != "/",
            false => path.starts_with("/m") && path.matches('/').count() > 1,
        }
    }

    fn line(&self, path: &str, ground: &Ground, own: bool, out: &mut String) {
        match ground {
            Ground::Own(Own::Link(text)) => writeln!(out, "lroot{path}\t{text}"),
            Ground::Own(Own::File(_)) => writeln!(out, "froot{path}"),
            Ground::Own(Own::Memory { .. }) => writeln!(out, "nroot{path}"),
            Ground::Host(stack) => {
                let path = path.trim_end_matches('/');
                if own && !path.is_empty() {
                    writeln!(out, "droot{path}").unwrap();
                }
                let mut layers: Vec<&str> =
                    stack.topmost_first().map(|source| source.path.as_str()).collect();
                let upper = self.upper.as_deref().filter(|upper| layers[0] == *upper);
                if layers.len() == 1 {
                    writeln!(out, "broot{path}\t{}", layers[0])
                } else if let Some(upper) = upper {
                    layers.remove(0);
                    writeln!(out, "mroot{path}\t{}\t{upper}", layers.join(":"))
                } else {
                    writeln!(out, "mroot{path}\t{}", layers.join(":"))
                }
            }
            _ => writeln!(out, "droot{path}"),
        }
        .unwrap();
    }

    // ---- for the walker ----

    /// What each thing is known by: no two have the same time.
    fn time(&self, path: &str) -> usize {
        1000 + self.files.keys().position(|known| known == path).unwrap_or_default()
    }

    /// What the model says of a path, as tests/tree.c writes what the kernel says.
    pub fn says(&self, path: &str, last: Last, mutant: Option<Mutant>) -> String {
        let mut tree = std::borrow::Cow::Borrowed(&self.tree);
        if mutant == Some(Mutant::Mounts) {
            tree.to_mut().retain(|path, _| !self.is_below_a_stack(path));
        }
        if mutant == Some(Mutant::Order) {
            for node in tree.to_mut().values_mut() {
                if let Ground::Host(stack) = &node.0 {
                    let turned = stack.topmost_first().cloned().collect();
                    node.0 = Ground::Host(Stack::lowest_first(turned).unwrap());
                }
            }
        }
        let last = if mutant == Some(Mutant::Last) { Last::Followed } else { last };
        let step = match walk(&tree, &mut Machine { scene: self, mutant }, path, last).end() {
            Ok(step) => step,
            Err(Halt::Errno(errno)) => return errno.to_string(),
            Err(Halt::Stop(())) => unreachable!(),
        };
        let (kind, text) = match &step.kind {
            Kind::File(FileKind::Directory) => ('d', ""),
            Kind::File(FileKind::Regular) => ('f', ""),
            Kind::File(FileKind::Link(text)) => ('l', text.as_str()),
            _ => ('x', ""),
        };
        let time = match step.file {
            Some(place) => self.time(&place).to_string(),
            None => "-".to_owned(),
        };
        format!("{kind}\t{time}\t{}\t{text}", step.path)
    }
}

/// An answer without the time of what it is about: the sandbox's own has none that is known.
pub fn without_time(answer: &str) -> String {
    let mut fields: Vec<&str> = answer.split('\t').collect();
    if let Some(time) = fields.get_mut(1) {
        *time = "-";
    }
    fields.join("\t")
}

/// A path below one of the nodes, as one below the root.
fn to_root(path: &str) -> String {
    let below = ["/m0", "/m1", "/l", "/d"].iter().find_map(|stack| path.strip_prefix(stack));
    match below {
        Some("") => "/".to_owned(),
        below => below.unwrap_or(path).to_owned(),
    }
}

fn some_path(dice: &mut Dice) -> (String, Last) {
    let mut path =
        dice.pick(&["/m0", "/m0", "/m0", "/m1", "/m1", "/m1", "/l", "/d", "/"]).to_owned();
    for _ in 0..dice.throw(5) {
        path += "/";
        path += dice.pick(&["a", "a", "a", "b", "b", "b", "c", "c", "c", "..", ".", "l", "e"]);
    }
    if dice.throw(8) == 0 {
        path += "/";
    }
    (path, dice.pick(&[Last::Followed, Last::Kept]))
}

/// The layers as facts.
struct Machine<'a> {
    scene: &'a Scene,
    mutant: Option<Mutant>,
}

impl Facts<Node> for Machine<'_> {
    /// The place of a thing in a layer.
    type File = Option<String>;
    type Stop = ();

    fn host(
        &mut self,
        position: Position<'_, Node>,
        source: &Source,
        place: &str,
    ) -> Looked<Self::File, ()> {
        let name = place.rsplit('/').next().unwrap_or(place);
        let Some(kind) = self.scene.files.get(place) else {
            let long = name.len() > 255;
            return Err(Halt::Errno(if long { libc::ENAMETOOLONG } else { libc::ENOENT }));
        };
        let is_topmost = match position.node.ground() {
            Ground::Host(stack) => stack.topmost() == source,
            _ => true,
        };
        match (self.mutant, kind) {
            (Some(Mutant::Whiteouts), Kind::Whiteout) => return Err(Halt::Errno(libc::ENOENT)),
            (Some(Mutant::Topmost), _) if !is_topmost => return Err(Halt::Errno(libc::ENOENT)),
            (Some(Mutant::Links), Kind::File(FileKind::Link(text))) if text.starts_with('/') => {
                return Err(Halt::Errno(libc::ENOENT));
            }
            _ => {}
        }
        Ok((kind.clone(), Some(place.to_owned())))
    }

    fn is_opaque(&mut self, place: &str) -> Result<bool, Halt<()>> {
        Ok(self.mutant != Some(Mutant::Opaque) && self.scene.opaque.contains(place))
    }

    fn kernel(&mut self, _: Position<'_, Node>, _: &Kernel) -> Looked<Self::File, ()> {
        unreachable!("no scene has one")
    }

    fn own(&mut self, _: Position<'_, Node>, _: &FileKind) -> Self::File {
        None
    }
}
