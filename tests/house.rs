//! Which room of the house may import which. The rooms are the directories of `src`, in the order
//! in which data flows through them; an arrow that goes the other way would tie them into a circle.
//! Inside a room, no circle ties its modules either.
//!
//! Every path that begins with `crate`, `self` or `super` is read from the tokens of every file,
//! those in macros among them. A name that a module exports again counts as the room's that defines
//! it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room with those that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("language", &["text"]),
    ("kernel", &["language", "text"]),
    ("sys", &[]),
    ("host", &["kernel", "language", "text"]),
    ("step", &["host", "kernel", "language", "text"]),
    ("policy", &["step", "host", "kernel", "language", "text"]),
    ("profile", &["policy", "host", "kernel", "language", "text"]),
    ("probe", &["profile", "policy", "host", "kernel", "language", "text", "sys"]),
    ("plan", &["profile", "policy", "step", "host", "kernel", "language", "text"]),
    ("launch", &["plan", "probe", "policy", "step", "host", "kernel", "language", "text", "sys"]),
    (
        "inspect",
        &[
            "launch", "plan", "probe", "profile", "policy", "step", "host", "kernel", "language",
            "text", "sys",
        ],
    ),
    ("face", &["inspect", "launch", "plan", "probe", "profile", "policy", "host", "text"]),
    (
        "commands",
        &[
            "face", "inspect", "launch", "plan", "probe", "profile", "policy", "step", "host",
            "kernel", "language", "text", "sys",
        ],
    ),
];

/// Files at the top, and the room that each belongs to; the map of the house imports nothing but to
/// export it.
const AT_THE_TOP: &[(&str, &str)] =
    &[("lib", ""), ("internals", ""), ("main", "commands"), ("cli", "commands")];

type Segments = Vec<String>;

/// What one file says: the paths in it, and the names that it exports again, each with what it
/// stands for.
#[derive(Default)]
struct Read {
    paths: Vec<Segments>,
    exports: Vec<(Segments, Segments)>,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The module that a file is.
fn module(path: &Path) -> Segments {
    let mut names: Segments =
        path.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    names.pop_if(|name| ["lib", "main"].contains(&name.as_str()));
    names
}

fn is(tree: Option<&TokenTree>, text: &str) -> bool {
    match tree {
        Some(TokenTree::Ident(ident)) => *ident == text,
        Some(TokenTree::Punct(punct)) => text.len() == 1 && text.starts_with(punct.as_char()),
        _ => false,
    }
}

fn group(tree: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// Reads the tokens of a module. What only tests are compiled with is not part of the house.
fn read(tokens: TokenStream, here: &[String], out: &mut Read) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let (mut at, mut tests) = (0, false);
    while let Some(tree) = trees.get(at) {
        let ahead = |offset: usize| trees.get(at + offset);
        if is(Some(tree), "#")
            && group(ahead(1), Delimiter::Bracket)
                .is_some_and(|inner| inner.to_string().replace(' ', "") == "cfg(test)")
        {
            tests = true;
            at += 2;
            continue;
        }
        if is(Some(tree), "mod")
            && let (Some(TokenTree::Ident(name)), Some(body)) =
                (ahead(1), group(ahead(2), Delimiter::Brace))
        {
            if !std::mem::take(&mut tests) {
                read(body, &[here, &[name.to_string()]].concat(), out);
            }
            at += 3;
            continue;
        }
        let begins = ["crate", "self", "super", "stockade"].iter().any(|word| is(Some(tree), word));
        if begins
            && is(ahead(1), ":")
            && is(ahead(2), ":")
            && !(at > 1 && is(trees.get(at - 1), ":"))
        {
            let exported = exported(&trees[..at]);
            let mut leaves = vec![];
            at = path(&trees, at, vec![], &mut leaves);
            for (leaf, alias) in leaves {
                let whole = absolute(&leaf, here);
                if exported && let Some(name) = alias.or_else(|| whole.last().cloned()) {
                    out.exports.push(([here, &[name]].concat(), whole.clone()));
                }
                out.paths.push(whole);
            }
            continue;
        }
        if let TokenTree::Group(inner) = tree {
            if !(tests && inner.delimiter() == Delimiter::Brace) {
                read(inner.stream(), here, out);
            }
            tests &= inner.delimiter() != Delimiter::Brace;
        } else if is(Some(tree), ";") {
            tests = false;
        }
        at += 1;
    }
}

/// Whether the path after these tokens is that of a `pub use`.
fn exported(before: &[TokenTree]) -> bool {
    let [rest @ .., last] = before else { return false };
    let rest = match rest {
        [inner @ .., TokenTree::Group(_)] => inner,
        other => other,
    };
    is(Some(last), "use") && is(rest.last(), "pub")
}

/// Takes a path, or a tree of them, and gives where it ends.
fn path(
    trees: &[TokenTree],
    mut at: usize,
    mut so_far: Segments,
    leaves: &mut Vec<(Segments, Option<String>)>,
) -> usize {
    loop {
        match trees.get(at) {
            Some(TokenTree::Ident(ident)) => so_far.push(ident.to_string()),
            Some(TokenTree::Group(inner)) if inner.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                let mut next = 0;
                while next < inner.len() {
                    next = path(&inner, next, so_far.clone(), leaves) + 1;
                }
                return at + 1;
            }
            _ => {}
        }
        at += 1;
        if is(trees.get(at), ":") && is(trees.get(at + 1), ":") {
            at += 2;
            continue;
        }
        let alias = is(trees.get(at), "as").then(|| trees[at + 1].to_string());
        at += if alias.is_some() { 2 } else { 0 };
        so_far.pop_if(|last| last == "self");
        leaves.push((so_far, alias));
        return at;
    }
}

fn absolute(path: &[String], here: &[String]) -> Segments {
    let mut base =
        if ["crate", "stockade"].contains(&path[0].as_str()) { vec![] } else { here.to_vec() };
    for segment in path {
        match segment.as_str() {
            "crate" | "stockade" | "self" => {}
            "super" => drop(base.pop()),
            other => base.push(other.to_owned()),
        }
    }
    base
}

/// What a path means once every name that is exported again is followed.
fn followed(mut path: Segments, exports: &BTreeMap<Segments, Segments>) -> Segments {
    for _ in 0..8 {
        let Some(length) =
            (1..=path.len()).rev().find(|length| exports.contains_key(&path[..*length]))
        else {
            break;
        };
        path = [exports[&path[..length]].as_slice(), &path[length..]].concat();
    }
    path
}

fn room(module: &[String]) -> Option<&'static str> {
    let top = module.first()?;
    let at_the_top = AT_THE_TOP.iter().find(|(file, _)| file == top).map(|(_, room)| *room);
    at_the_top.or_else(|| ROOMS.iter().map(|(room, _)| *room).find(|room| room == top))
}

/// Every file of the house, read.
struct House {
    reads: Vec<(&'static str, Segments, Vec<Segments>)>,
    exports: BTreeMap<Segments, Segments>,
    homeless: Vec<String>,
}

fn house() -> House {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    files(&source, &mut found);
    let (mut reads, mut exports, mut homeless) = (vec![], BTreeMap::new(), vec![]);
    for file in &found {
        let module = module(file.strip_prefix(&source).unwrap());
        if module.iter().any(|name| name == "tests") {
            continue;
        }
        let mut out = Read::default();
        read(std::fs::read_to_string(file).unwrap().parse().unwrap(), &module, &mut out);
        exports.extend(out.exports.drain(..));
        let room = if module.is_empty() { Some("") } else { room(&module) };
        match room {
            Some(room) => reads.push((room, module, out.paths)),
            None => homeless.push(file.display().to_string()),
        }
    }
    House { reads, exports, homeless }
}

#[test]
fn every_arrow_goes_the_way_of_the_data() {
    let House { reads, exports, homeless } = house();
    assert_eq!(homeless, Vec::<String>::new(), "a file in no room");
    let mut wrong = BTreeSet::new();
    let mut arrows = 0;
    for (from, module, paths) in reads {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == from) else { continue };
        for path in paths {
            let meant = followed(path, &exports);
            if let Some(to) = room(&meant).filter(|to| *to != from) {
                arrows += 1;
                if !allowed.contains(&to) {
                    wrong.insert(format!(
                        "{} ({from}) takes {} of {to}",
                        module.join("::"),
                        meant.join("::")
                    ));
                }
            }
        }
    }
    assert!(arrows > 1000, "only {arrows} arrows between rooms were read");
    assert_eq!(wrong, BTreeSet::new(), "these go against the order of ROOMS");
}

/// What each module takes from its neighbours in the same directory: by directory, by module, and
/// by neighbour one path that leads there.
type Neighbours = BTreeMap<Segments, BTreeMap<String, BTreeMap<String, String>>>;

fn neighbours<'p>(paths: impl Iterator<Item = (&'p Segments, Segments)>) -> Neighbours {
    let mut takes = Neighbours::new();
    for (module, meant) in paths {
        let shared = module.iter().zip(&meant).take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to)) = (module.get(shared), meant.get(shared)) {
            let room = takes.entry(module[..shared].to_vec()).or_default();
            let words = format!("{} takes {}", module.join("::"), meant.join("::"));
            room.entry(from.clone()).or_default().insert(to.clone(), words);
        }
    }
    takes
}

/// The arrows that lead back to where they come from.
fn circles(takes: &Neighbours) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for room in takes.values() {
        let reaches = |from: &str, wanted: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(at) = next.pop() {
                let to = room.get(at).into_iter().flat_map(BTreeMap::keys);
                next.extend(to.map(String::as_str).filter(|to| seen.insert(*to)));
            }
            seen.contains(wanted)
        };
        for (from, arrows) in room {
            let back = arrows.iter().filter(|(to, _)| reaches(to, from));
            found.extend(back.map(|(_, words)| words.as_str()));
        }
    }
    found
}

/// Inside a room, too, the modules of one directory stand in an order.
#[test]
fn no_circle_ties_modules_of_one_directory() {
    let House { reads, exports, .. } = house();
    let paths = reads.iter().flat_map(|(_, module, paths)| {
        let exports = &exports;
        paths.iter().map(move |path| (module, followed(path.clone(), exports)))
    });
    let mut takes = neighbours(paths);
    // The rooms themselves have their order in ROOMS.
    takes.remove(&Segments::new());
    let arrows: usize = takes.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum();
    assert!(arrows > 300, "only {arrows} arrows inside rooms were read");
    assert_eq!(circles(&takes), BTreeSet::new());
}

#[test]
fn a_circle_is_found() {
    let names = |text: &str| -> Segments { text.split("::").map(str::to_owned).collect() };
    let found = |arrows: &[(&str, &str)]| {
        let modules: Vec<Segments> = arrows.iter().map(|(from, _)| names(from)).collect();
        let paths = modules.iter().zip(arrows.iter().map(|(_, to)| names(to)));
        circles(&neighbours(paths)).len()
    };
    assert_eq!(found(&[("r::a", "r::b::X"), ("r::b", "r::c::Y"), ("r::c", "r::d")]), 0);
    assert_eq!(found(&[("r::a", "r::b::X"), ("r::b", "r::c::Y"), ("r::c::d", "r::a::Z")]), 3);
    assert_eq!(found(&[("r::a::x", "r::a::y::X"), ("r::a::y", "r::a::x::f")]), 2);
    // A module and what is below it are one.
    assert_eq!(found(&[("r::a", "r::a::b::X"), ("r::a::b", "r::a::Y")]), 0);
}

/// docs/ARCHITECTURE.md has the rooms as they are here, each with the words of src/lib.rs, and names
/// no file that is not there.
#[test]
fn the_page_of_the_architecture_is_of_this_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let words = |room: &str| {
        map.lines()
            .filter_map(|line| line.strip_prefix("//   "))
            .find_map(|line| line.strip_prefix(room)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("the map in src/lib.rs has no line for {room}"))
            .trim()
    };
    let mut table = String::from("\n| room | what it is | imports |\n|---|---|---|\n");
    for (room, imports) in ROOMS {
        let imports = imports.iter().rev().copied().collect::<Vec<_>>().join(", ");
        table += &format!("| `{room}` | {} | {imports} |\n", words(room));
    }
    let path = root.join("docs/ARCHITECTURE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- rooms -->").unwrap();
    let (had, after) = rest.split_once("<!-- /rooms -->").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let page = format!("{before}<!-- rooms -->{table}<!-- /rooms -->{after}");
        std::fs::write(&path, page).unwrap();
    } else {
        assert_eq!(had, table, "UPDATE=1 cargo test --test all house:: writes the table anew");
    }
    let named = page.split('`').skip(1).step_by(2);
    let named = named.filter(|word| word.starts_with("src/") || word.starts_with("tests/"));
    assert!(named.clone().count() > 20);
    for word in named {
        assert!(root.join(word).exists(), "docs/ARCHITECTURE.md names {word}");
    }
}

/// The reader itself: what it would miss, nobody would see.
#[test]
fn no_way_to_write_a_path_is_missed() {
    let mut out = Read::default();
    let text = r#"
        use crate::a::{b::{C, d::E}, F as G, self};
        pub use super::up::H;
        pub(crate) use self::down::I as J;
        fn f() { vec![crate::k::L, $crate::m::n!(), super::super::o::P::<crate::q::R>::new()]; }
        #[cfg(test)] mod tests { use crate::not::This; }
        #[cfg(test)] use crate::nor::This;
        mod inner { use super::s::T; }
    "#;
    read(text.parse().unwrap(), &["x".into(), "y".into()], &mut out);
    let paths: BTreeSet<String> = out.paths.iter().map(|path| path.join("::")).collect();
    let expected = [
        "a::b::C",
        "a::b::d::E",
        "a::F",
        "a",
        "x::up::H",
        "x::y::down::I",
        "k::L",
        "m::n",
        "o::P",
        "q::R",
        "x::y::s::T",
        "nor::This",
    ];
    assert_eq!(paths, expected.map(str::to_owned).into());
    let exports: Vec<String> = out
        .exports
        .iter()
        .map(|(name, meant)| format!("{} = {}", name.join("::"), meant.join("::")))
        .collect();
    assert_eq!(exports, ["x::y::H = x::up::H", "x::y::J = x::y::down::I"]);
}

/// What executes operations, and the model that reads them: there a new one must be thought of.
const EXHAUSTIVE: [&str; 4] =
    ["src/launch", "src/inspect/walls", "src/inspect/walls.rs", "src/plan/facts.rs"];

/// The kinds of operation, whose tree they work in, and what stands where.
const MATCHED: [&str; 9] =
    ["Op", "TreeOp", "ProcessOp", "GroupOp", "OutsideOp", "Ground", "Shows", "Mount", "Namespace"];

/// Patterns that let all other variants pass: those of `matches!`, `if let`, `while let` and
/// `let ... else`. `_ =>` is clippy's (wildcard_enum_match_arm is denied in these rooms).
fn partial(tokens: TokenStream, out: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        if let TokenTree::Group(group) = tree {
            partial(group.stream(), out);
        }
        let pattern: Vec<&TokenTree> = if is(Some(tree), "matches") {
            trees[index + 1..].iter().take(2).collect()
        } else if is(Some(tree), "let") {
            let conditional =
                index > 0 && ["if", "while", "&"].iter().any(|word| is(trees.get(index - 1), word));
            let rest = &trees[index + 1..];
            let end = rest.iter().position(|tree| is(Some(tree), ";")).unwrap_or(rest.len());
            let or_else = rest[..end].iter().any(|tree| is(Some(tree), "else"));
            if !conditional && !or_else {
                continue;
            }
            rest.iter().take_while(|tree| !is(Some(tree), "=")).collect()
        } else {
            continue;
        };
        let text: String = pattern.iter().map(|tree| tree.to_string() + " ").collect();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        if words.iter().any(|word| MATCHED.contains(word)) {
            out.push(text);
        }
    }
}

#[test]
fn no_operation_passes_an_executor_or_the_model_unseen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    for place in EXHAUSTIVE.map(|place| root.join(place)) {
        if place.is_dir() { files(&place, &mut paths) } else { paths.push(place) }
    }
    assert!(paths.len() > 40, "{paths:?}");
    let mut wrong = vec![];
    for path in paths {
        let mut found = vec![];
        partial(std::fs::read_to_string(&path).unwrap().parse().unwrap(), &mut found);
        wrong.extend(found.iter().map(|text| format!("{}: {text}", path.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (text, count) in [
        ("fn f() { matches!(op, TreeOp::Pivot) }", 1),
        ("fn f() { if let Op::Tree(op) = op { act(op) } }", 1),
        ("fn f() { let Op::Tree(op) = op else { return }; }", 1),
        ("fn f() { if a && let Ground::Own = ground { act() } }", 1),
        (
            "fn f() { let step = op.tree(); matches!(errno, 1 | 2); match op { Op::Tree(_) => {} } }",
            0,
        ),
    ] {
        let mut found = vec![];
        partial(text.parse().unwrap(), &mut found);
        assert_eq!(found.len(), count, "{text}");
    }
}
