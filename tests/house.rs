//! Which room of the house may import which. The rooms are the directories of `src`, in the order
//! in which data flows through them; an arrow that goes the other way would tie them into a circle.
//! Inside a room, no circle ties its modules either.
//!
//! Every path is read from the tokens of every file, those in macros among them. A name that a
//! module has from elsewhere counts as the room's that defines it.

mod acts;
mod exhaustive;
pub mod finder;

use finder::{Names, Read, Segments, is, names, read};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use stockade::internals::language::shape::{Shape, Shaped};
use stockade::internals::profile::Profile;

/// Each room with those that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("language", &["text"]),
    ("kernel", &["language", "text"]),
    ("sys", &[]),
    ("host", &["kernel", "language", "text"]),
    ("step", &["host", "kernel", "language", "text"]),
    ("tree", &["step", "host", "kernel", "language", "text"]),
    ("policy", &["tree", "step", "host", "kernel", "language", "text"]),
    ("profile", &["policy", "host", "kernel", "language", "text", "sys"]),
    ("probe", &["profile", "policy", "tree", "step", "host", "kernel", "language", "text", "sys"]),
    ("plan", &["profile", "policy", "step", "host", "kernel", "language", "text"]),
    (
        "launch",
        &["plan", "probe", "policy", "tree", "step", "host", "kernel", "language", "text", "sys"],
    ),
    (
        "inspect",
        &[
            "launch", "plan", "probe", "profile", "policy", "tree", "step", "host", "kernel",
            "language", "text", "sys",
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

pub fn files(folder: &Path, found: &mut Vec<PathBuf>) {
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
pub fn module(path: &Path) -> Segments {
    let mut names: Segments =
        path.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    names.pop_if(|name| ["lib", "main"].contains(&name.as_str()));
    names
}

fn said(path: &[String]) -> String {
    if path.is_empty() { "the top".into() } else { path.join("::") }
}

fn room(module: &[String]) -> Option<&'static str> {
    let top = module.first()?;
    let at_the_top = AT_THE_TOP.iter().find(|(file, _)| file == top).map(|(_, room)| *room);
    at_the_top.or_else(|| ROOMS.iter().map(|(room, _)| *room).find(|room| room == top))
}

/// Every file of the house, read.
pub struct House {
    reads: Vec<(Segments, Read)>,
    pub names: Names,
}

impl House {
    pub fn of(files: impl Iterator<Item = (Segments, String)>) -> House {
        let one = |(module, text): (Segments, String)| {
            let mut out = Read::default();
            read(text.parse().unwrap(), &module, &mut out);
            (module, out)
        };
        let reads: Vec<_> = files.map(one).collect();
        let names = Names::of(reads.iter().map(|(module, read)| (module, read)));
        House { reads, names }
    }

    pub fn from_disk() -> House {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = vec![];
        files(&source, &mut found);
        let named = found.iter().map(|file| (module(file.strip_prefix(&source).unwrap()), file));
        let named = named.filter(|(module, _)| !module.iter().any(|name| name == "tests"));
        House::of(named.map(|(module, file)| (module, std::fs::read_to_string(file).unwrap())))
    }

    /// Each module with what a path in it means.
    fn arrows(&self) -> impl Iterator<Item = (&Segments, Segments)> {
        self.reads.iter().flat_map(|(module, read)| {
            let meant = read.paths.iter().flat_map(|path| self.names.meanings(path));
            meant.map(move |meant| (module, meant))
        })
    }

    /// What goes against the order of ROOMS, or leads nowhere; and how many arrows there are.
    fn wrong(&self) -> (BTreeSet<String>, usize) {
        let modules = self.reads.iter().map(|(module, _)| module);
        let homeless = modules.filter(|module| !module.is_empty() && room(module).is_none());
        let mut wrong: BTreeSet<String> =
            homeless.map(|module| format!("{} is in no room", module.join("::"))).collect();
        let mut arrows = 0;
        for (module, meant) in self.arrows() {
            // The map of the house takes from every room.
            let Some((from, allowed)) =
                ROOMS.iter().find(|(from, _)| room(module).is_some_and(|room| room == *from))
            else {
                continue;
            };
            let words = |to| {
                let (module, meant) = (module.join("::"), said(&meant));
                format!("{module} ({from}) takes {meant} of {to}")
            };
            match room(&meant) {
                _ if self.is_all_of_a_module(&meant) => drop(wrong.insert(words("a module"))),
                None => drop(wrong.insert(words("no room"))),
                Some(to) if to == *from => {}
                Some(to) => {
                    arrows += 1;
                    wrong.extend((!allowed.contains(&to)).then(|| words(to)));
                }
            }
        }
        (wrong, arrows)
    }

    /// Whether it is a star that takes whatever a module has, from wherever.
    fn is_all_of_a_module(&self, path: &[String]) -> bool {
        let star = path.split_last().filter(|(last, _)| *last == "*");
        star.is_some_and(|(_, of)| self.names.modules.contains(of))
    }

    fn neighbours(&self) -> Neighbours {
        let mut takes = neighbours(self.arrows());
        // The rooms themselves have their order in ROOMS.
        takes.remove(&Segments::new());
        takes
    }
}

#[test]
fn every_arrow_goes_the_way_of_the_data() {
    let (wrong, arrows) = House::from_disk().wrong();
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

/// Inside a room, too, the modules of one directory have an order.
#[test]
fn no_circle_ties_modules_of_one_directory() {
    let takes = House::from_disk().neighbours();
    let arrows: usize = takes.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum();
    assert!(arrows > 300, "only {arrows} arrows inside rooms were read");
    assert_eq!(circles(&takes), BTreeSet::new());
}

#[test]
fn a_circle_is_found() {
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

/// docs/ARCHITECTURE.md has the rooms as they are here, each with the words of src/lib.rs, and
/// names no file, type or constant that does not exist.
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
    let mut sources = vec![];
    files(&root.join("src"), &mut sources);
    let sources: String =
        sources.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let names: BTreeSet<&str> = sources
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|sign: char| !sign.is_alphanumeric() && sign != '_'))
        .collect();
    // Types and their variants, constants, and paths of functions.
    let named = page.split('`').skip(1).step_by(2).filter(|word| {
        word.starts_with(|sign: char| sign.is_ascii_uppercase())
            && word.chars().all(|sign| sign.is_alphanumeric() || "_:".contains(sign))
    });
    assert!(named.clone().count() > 10);
    for word in named.flat_map(|word| word.split("::")) {
        assert!(names.contains(word), "docs/ARCHITECTURE.md names {word}");
    }
}

/// The package with most packages below it is asked from one file.
#[test]
fn control_groups_have_one_wrapper() {
    let mut users = vec![];
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut users);
    users.retain(|file| std::fs::read_to_string(file).unwrap().contains("cgroups_rs::"));
    assert!(
        matches!(&users[..], [only] if only.ends_with("src/launch/cgroup/wrapped.rs")),
        "{users:?}"
    );
}

/// docs/ARCHITECTURE.md says where something is unsafe; Cargo.toml denies it elsewhere.
#[test]
fn what_is_unsafe_is_where_the_page_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    files(&source, &mut found);
    found.retain(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        text.contains("(unsafe_code")
    });
    let allowed = ["main.rs", "policy/seccomp/tests/kernel.rs", "sys.rs"];
    found.sort();
    assert_eq!(found, allowed.map(|file| source.join(file)));
}

/// Keys of the profile that are sections, or lists that layers unite.
fn sections() -> Vec<String> {
    let is_section = |shape: &Shape| match shape {
        Shape::Table(_) | Shape::Named(_) => true,
        Shape::Key(inner) => matches!(**inner, Shape::Set(_)),
        _ => false,
    };
    let keys = Profile::shape();
    keys.keys().iter().filter(|key| is_section(&key.shape)).map(|key| key.name.clone()).collect()
}

/// Fields and texts of a file that name a section.
fn named_sections(tokens: TokenStream, sections: &[String], out: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let is_name = |text: &str| sections.iter().any(|section| section == text);
    for (at, tree) in trees.iter().enumerate() {
        // The caller has an environment, too, and a text an identity.
        let of_others = |name: &&str| at > 1 && is(trees.get(at - 2), name);
        let is_field =
            at > 0 && is(trees.get(at - 1), ".") && !["caller", "text"].iter().any(of_others);
        let is_call = finder::group(trees.get(at + 1), Delimiter::Parenthesis).is_some();
        match tree {
            TokenTree::Group(group) => named_sections(group.stream(), sections, out),
            TokenTree::Ident(name) if is_field && !is_call && is_name(&name.to_string()) => {
                out.push(format!(".{name}"));
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let first = text.trim_matches('"').split('.').next().unwrap_or_default();
                out.extend(is_name(first).then_some(text));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// What the loader does with a section, the section's declaration says: a new one changes no file
/// of the loader. src/profile.rs has the list of them.
#[test]
fn the_loader_knows_no_section() {
    let house = House::from_disk();
    let of_loader = |module: &Segments| module.len() > 1 && module[0] == "profile";
    let arrows = house.arrows().filter(|(module, _)| of_loader(module));
    let takes: Vec<_> = arrows.filter(|(_, meant)| meant[0] == "policy").collect();
    assert!(takes.is_empty(), "{takes:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profile");
    let (mut found, mut named, mut read) = (vec![], vec![], 0);
    files(&folder, &mut found);
    // Profiles to start from are texts, which have sections; one of the built-in ones is named as
    // one.
    let others = ["tests", "tests.rs", "starters.rs", "builtin.rs"];
    found.retain(|file| !file.iter().any(|part| others.iter().any(|name| part == *name)));
    for file in &found {
        let mut out = vec![];
        let text = std::fs::read_to_string(file).unwrap();
        named_sections(text.parse().unwrap(), &sections(), &mut out);
        named.extend((!out.is_empty()).then(|| (file.display(), out)));
        read += 1;
    }
    assert!(named.is_empty(), "{named:#?}");
    assert!(read > 7 && sections().len() > 10, "{read} files, {:?}", sections());
}

#[test]
fn a_section_that_is_named_is_found() {
    for text in [
        "fn f() { g(&mut read.limits); }",
        "match path { [\"mounts\", _] => 1, _ => 2 }",
        "if path == \"process.command\" {}",
        "m!(profile.optional.items)",
    ] {
        let mut out = vec![];
        named_sections(text.parse().unwrap(), &sections(), &mut out);
        assert_eq!(out.len(), 1, "{text}: {out:?}");
    }
    let mut out = vec![];
    named_sections("layer.env(); layer.name; \"an env\"".parse().unwrap(), &sections(), &mut out);
    assert!(out.is_empty(), "{out:?}");
}

/// The reader itself: what it would miss, nobody would see.
#[test]
fn no_way_to_write_a_path_is_missed() {
    let mut out = Read::default();
    let text = r#"
        use crate::a::{b::{C, d::E}, F as G, self};
        pub use super::up::H;
        pub(crate) use self::down::I as J;
        fn f(a: crate::k::L) { vec![$crate::m::n!(), super::super::o::P::<crate::q::R>::new()]; }
        #[cfg(test)] mod tests { use crate::not::This; }
        #[cfg(test)] use crate::nor::This;
        mod inner { use super::s::T; type Of = crate::t::U; }
        use {crate::r#v, self::w as x};
        use super::y::*;
    "#;
    read(text.parse().unwrap(), &names("x::y"), &mut out);
    let paths: Vec<String> = out.paths.iter().map(|path| path.whole.join("::")).collect();
    let expected = "a::b::C a::b::d::E a::F a x::up::H x::y::down::I k::L m::n o::P q::R nor::This \
                    x::y::s::T t::U v x::y::w x::y::*";
    assert_eq!(paths.join(" "), expected);
    let called = out.paths.iter().filter_map(|path| Some(path.name.as_ref()?.join("::")));
    let expected = "x::y::C x::y::E x::y::G x::y::a x::y::H x::y::J x::y::This x::y::inner::T \
                    x::y::inner::Of x::y::v x::y::x";
    assert_eq!(called.collect::<Vec<_>>().join(" "), expected);
}

/// A house in which all is well.
const WELL: [(&str, &str); 9] = [
    ("", "mod launch; pub use commands::run; pub use launch::{Outcome, launch};"),
    ("text", "pub use std::fmt::Display; use std::fmt; fn a() -> fmt::Result {}"),
    ("kernel", "pub mod name; pub use name::Name;"),
    ("kernel::name", "pub struct Name; impl Name { fn b() { Name::c() } }"),
    ("policy", "use crate::kernel; fn d() { kernel::Name::e() }"),
    ("policy::filter", "pub fn f() {}"),
    ("policy::program", "use super::filter; pub fn compile() { filter::f() }"),
    ("launch", "pub enum Outcome {} pub fn launch() { use Outcome::*; }"),
    ("commands", "use crate::Outcome; pub fn run() { crate::launch::launch() }"),
];

/// The house, with more in one of its files.
fn with(module: &str, more: &str) -> House {
    let files = WELL.iter().map(|(name, text)| {
        (names(name), if *name == module { format!("{text} {more}") } else { (*text).into() })
    });
    let known = WELL.iter().any(|(name, _)| *name == module);
    let new = (!known).then(|| (names(module), more.to_owned()));
    House::of(files.chain(new))
}

#[test]
fn no_path_against_the_order_passes() {
    assert_eq!(with("", "").wrong().0, BTreeSet::new());
    let taken = "takes launch::Outcome of launch";
    for (module, more, words) in [
        // What the top of the library exports is its rooms'.
        ("policy", "fn a() -> crate::Outcome {}", taken),
        ("policy", "fn a(b: crate::Outcome) {}", taken),
        ("text", "use crate::{Outcome, Name};", taken),
        ("text", "use crate::run;", "takes commands::run of commands"),
        ("text", "use crate::launch;", "takes launch of launch"),
        ("policy::filter", "use crate::launch::launch as a;", "takes launch::launch of launch"),
        // By ways around.
        ("policy", "fn a() { crate::r#launch::b() }", "takes launch::b of launch"),
        ("policy", "use crate as c; fn a() -> c::Outcome {}", taken),
        ("policy", "use {crate as c};", "takes the top of no room"),
        ("policy", "use crate::{self as c};", "takes the top of no room"),
        ("policy::filter", "use super::super as c;", "takes the top of no room"),
        ("policy::filter", "use super::super::{self as c};", "takes the top of no room"),
        ("policy::filter", "use super::super::launch as c; type D = c::Outcome;", taken),
        ("policy", "extern crate self as c;", "takes the top of no room"),
        ("policy", "use crate::*;", "takes * of a module"),
        ("policy", "use crate::kernel::*;", "takes kernel::* of a module"),
        ("policy::filter", "use super::*;", "takes policy::* of a module"),
        ("policy::filter", "use super::super::*;", "takes * of a module"),
        ("policy", "use crate::nowhere::A;", "takes nowhere::A of no room"),
        ("nowhere", "", "nowhere is in no room"),
        // By another room, or another module, that has it.
        ("launch", "use crate::commands::A; mod b { type A = super::A; }", "of commands"),
        (
            "policy",
            "pub(crate) use super::launch as l; mod b { type A = super::l::Outcome; }",
            taken,
        ),
        ("policy", "type B = crate::Outcome; mod c { fn d() -> super::B {} }", taken),
        ("policy", "macro_rules! m { () => { $crate::launch::Outcome } }", taken),
    ] {
        let (wrong, _) = with(module, more).wrong();
        assert!(wrong.iter().any(|said| said.contains(words)), "{module}: {more}: {wrong:?}");
    }
}

#[test]
fn no_circle_passes_by_a_name_that_is_exported_again() {
    assert_eq!(circles(&with("", "").neighbours()), BTreeSet::new());
    for export in
        ["pub use program::compile;", "use program::compile;", "use self::program::compile;"]
    {
        for take in ["use super::compile;", "fn a() { super::compile() }"] {
            let mut files: Vec<_> = WELL.map(|(name, text)| (names(name), text.to_owned())).into();
            for (module, more) in [("policy", export), ("policy::filter", take)] {
                let (_, text) = files.iter_mut().find(|(name, _)| *name == names(module)).unwrap();
                text.push_str(more);
            }
            let takes = House::of(files.into_iter()).neighbours();
            assert_eq!(circles(&takes).len(), 2, "{export} {take}");
        }
    }
}
