//! The public face: a program that uses nothing else runs a sandbox, and continues afterwards.

mod impls;

use crate::house::finder::Segments;
use crate::house::{House, files, module};
use crate::support::{As, Place, example, install, skip, text};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn a_program_of_the_face_alone_runs_a_sandbox_and_goes_on() {
    let program = match example("face") {
        Ok(program) => program,
        Err(why) => return skip(&why),
    };
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/face/main.rs");
    let source = std::fs::read_to_string(main).unwrap();
    assert!(!source.contains("internals"), "the program is to use the face alone");
    for who in As::all() {
        let place = Place::new();
        let own = place.path.join("face");
        install(&program, &own);
        let run = |what: &str, script: &str| {
            let output = place.outside(*who, &own).args([what, script]).output().unwrap();
            let said = format!(
                "{who:?}: {:?}\n{}\n{}",
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            );
            (output.status.code(), text(&output.stdout).to_owned(), said)
        };
        let (status, out, said) = run("run", "echo inside; exit 7");
        assert_eq!(status, Some(7), "{said}");
        assert!(out.contains("execute: sh -c echo inside; exit 7"), "{said}");
        assert!(out.contains("\nexited: 7\n") && !out.contains("changed: "), "{said}");
        assert_eq!(out.lines().filter(|line| *line == "inside").count(), 3, "{said}");
        // Whose children's end is ignored, and whose is so again.
        let ignoring = ["--ignore-signal=CHLD", own.to_str().unwrap(), "run", "exit 7"];
        let mut command = place.outside(*who, "timeout");
        let output = command.args(["-sKILL", "60", "env"]).args(ignoring).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{who:?}: {}", text(&output.stderr));
        assert!(!text(&output.stdout).contains("changed: "), "{}", text(&output.stdout));
        // Pid 1 is a copy of the program, whose words are not the target's to see.
        let (status, out, said) = run("run", "cat /proc/1/cmdline; : a-secret");
        assert_eq!(status, Some(0), "{said}");
        let (_, after_the_plan) = out.split_once("execute: ").unwrap();
        assert!(!after_the_plan.split_once('\n').unwrap().1.contains("a-secret"), "{said}");
        // A problem comes with its status.
        let (status, _, said) = run("threads", "true");
        assert_eq!(status, Some(125), "{said}");
        assert!(
            said.contains(
                "E1207 launch::failed: cannot start a sandbox from here: this process has 2 threads"
            ),
            "{said}"
        );
    }
}

// ---- the list of what is public ----

/// Where lib.rs takes what it exports from, and the files that define it.
const HOMES: [(&str, &[&str]); 3] = [
    ("face", &["src/face.rs", "src/face/problems.rs", "src/face/request.rs"]),
    ("launch", &["src/launch.rs"]),
    ("commands", &["src/commands.rs"]),
];

fn trees(path: &str) -> Vec<TokenTree> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.parse::<TokenStream>().unwrap().into_iter().collect()
}

fn is(tree: Option<&TokenTree>, text: &str) -> bool {
    tree.is_some_and(|tree| tree.to_string() == text)
}

/// Tokens as text, with few spaces.
fn written(trees: &[TokenTree]) -> String {
    let stream: TokenStream = trees.iter().cloned().collect();
    stream.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The attributes before an item, without their spaces.
fn attributes(before: &[TokenTree]) -> Vec<String> {
    let mut found = vec![];
    let mut rest = before;
    while let [inner @ .., hash, TokenTree::Group(group)] = rest
        && is(Some(hash), "#")
        && group.delimiter() == Delimiter::Bracket
    {
        found.push(group.stream().to_string().replace(' ', ""));
        rest = inner;
    }
    found
}

/// What lib.rs exports and does not hide: each name, with the first part of its path.
fn exported() -> Vec<(String, String)> {
    let lib = trees("src/lib.rs");
    let mut found = vec![];
    for (index, _) in lib.iter().enumerate().filter(|(_, tree)| is(Some(tree), "pub")) {
        if attributes(&lib[..index]).iter().any(|attribute| attribute == "doc(hidden)") {
            continue;
        }
        let index = index + 1;
        assert!(is(lib.get(index), "use"), "lib.rs exports, or hides: {}", lib[index + 1]);
        let end = lib[index..].iter().position(|tree| is(Some(tree), ";")).unwrap();
        let path = written(&lib[index + 1..index + end]);
        let names = path.rsplit("::").next().unwrap().trim().trim_matches(['{', '}']);
        assert!(!path.contains('*') && !path.contains(" as "), "each by its own name: {path}");
        let home = path.split(' ').next().unwrap().trim_end_matches(':');
        found.extend(names.split(',').map(|name| (home.to_owned(), name.trim().to_owned())));
    }
    found
}

fn at(of: &str) -> String {
    if of.is_empty() { String::new() } else { format!("{of}: ") }
}

/// The public items of a file, or of one block of `impl`, as lines.
fn items(trees: &[TokenTree], of: &str, names: &[&str], out: &mut Vec<String>) {
    for (index, tree) in trees.iter().enumerate() {
        let rest = &trees[index..];
        let block = rest.iter().position(
            |tree| matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
        );
        let end = rest.iter().position(|tree| is(Some(tree), ";"));
        let end = match (block, end) {
            (Some(block), Some(end)) => block.min(end),
            (block, end) => block.or(end).unwrap_or(rest.len()),
        };
        if is(Some(tree), "impl") && of.is_empty() {
            let head = &rest[..end];
            let text = written(head);
            let target = impls::target(&head[1..]);
            if !names.contains(&target.as_str()) {
                continue;
            }
            match text.contains(" for ") {
                true => out.push(text),
                false => {
                    let TokenTree::Group(group) = &rest[end] else { panic!("{text}") };
                    items(&group.stream().into_iter().collect::<Vec<_>>(), &target, names, out);
                }
            }
        } else if is(Some(tree), "pub")
            && !matches!(rest.get(1), Some(TokenTree::Group(_)))
            && !is(rest.get(1), "use")
        {
            let name = rest.get(2).map(ToString::to_string).unwrap_or_default();
            if of.is_empty() && !names.contains(&name.as_str()) {
                continue;
            }
            let line = format!("{}{}", at(of), written(&rest[..end]));
            out.push(line.clone());
            for attribute in attributes(&trees[..index]) {
                if let Some(traits) = attribute.strip_prefix("derive(") {
                    let traits = traits.trim_end_matches([')', ',']).split(',');
                    out.extend(traits.map(|of| format!("impl {of} for {name}, derived")));
                } else if ["non_exhaustive", "must_use"].iter().any(|it| attribute.starts_with(it))
                {
                    let word = attribute.split('=').next().unwrap();
                    out.push(format!("{}{name}: #[{word}]", at(of)));
                }
            }
            let body = rest.get(end);
            if let (true, Some(TokenTree::Group(body))) = (is(rest.get(1), "struct"), body) {
                let body: Vec<TokenTree> = body.stream().into_iter().collect();
                let fields = body.split(|tree| is(Some(tree), ","));
                for field in fields.map(written).filter(|field| !field.contains("pub (")) {
                    let field = field.rsplit("] ").next().unwrap().to_owned();
                    out.extend(field.starts_with("pub ").then(|| format!("{name}: {field}")));
                }
            }
            if let (true, Some(TokenTree::Group(body))) = (is(rest.get(1), "enum"), body) {
                let body: Vec<TokenTree> = body.stream().into_iter().collect();
                let documented = |index: usize| is(body.get(index.wrapping_sub(2)), "#");
                for (index, tree) in body.iter().enumerate() {
                    if let (TokenTree::Ident(variant), true) = (tree, documented(index)) {
                        let with = body.get(index + 1).filter(|next| !is(Some(next), ","));
                        let with = with.map_or(String::new(), ToString::to_string);
                        out.push(format!("{name}: {variant}{with}"));
                    }
                }
            }
        }
    }
}

/// The files of the library, with their texts.
fn sources() -> Vec<(String, String)> {
    let main = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![];
    files(&main.join("src"), &mut found);
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(main).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// What is added to types of the face where the golden does not look.
fn added_elsewhere(sources: &[(String, String)]) -> Vec<String> {
    let module = |file: &str| module(Path::new(file.strip_prefix("src/").unwrap()));
    let house = House::of(sources.iter().map(|(file, text)| (module(file), text.clone())));
    let exported = exported();
    let types: BTreeSet<Segments> = exported
        .iter()
        .flat_map(|(home, name)| house.names.follow(&[home, name].map(String::clone)))
        .collect();
    let mut added = vec![];
    for (file, text) in sources {
        let mut found = vec![];
        impls::impls(text.parse().unwrap(), &module(file), true, &mut found);
        for block in found.iter().filter(|block| block.adds && block.names(&types, &house.names)) {
            let home = HOMES.iter().find(|(_, files)| files.contains(&file.as_str()));
            let seen = exported.iter().any(|(of, name)| {
                home.is_some_and(|(home, _)| home == of) && *name == block.target
            });
            if !(block.at_the_top && seen) {
                added.push(format!("{file}: impl {}", block.text));
            }
        }
    }
    added
}

/// A change of this list can break other people's programs.
#[test]
fn the_list_of_public_items_is_as_the_golden_has_it() {
    let exported = exported();
    let mut lines = vec![];
    for (home, files) in HOMES {
        let names: Vec<&str> =
            exported.iter().filter(|(of, _)| of == home).map(|(_, name)| name.as_str()).collect();
        assert!(!names.is_empty(), "nothing of {home}");
        for file in files {
            items(&trees(file), "", &names, &mut lines);
        }
    }
    let homes: Vec<&str> = HOMES.iter().map(|(home, _)| *home).collect();
    let strays: Vec<_> = exported.iter().filter(|(of, _)| !homes.contains(&of.as_str())).collect();
    assert!(strays.is_empty(), "{strays:?}");
    let defined = |name: &String| {
        lines.iter().any(|line| line.split([' ', ':', '(', '<']).any(|word| word == name))
    };
    assert!(exported.iter().all(|(_, name)| defined(name)), "{exported:?}: {lines:#?}");
    let sources = sources();
    for (file, text) in &sources {
        // `#[macro_export]` would export at the top of the crate, wherever the macro is.
        assert!(!text.contains("macro_export"), "{file}");
    }
    assert_eq!(added_elsewhere(&sources), Vec::<String>::new());
    lines.sort();
    let text = lines.join("\n") + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/face/public.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&golden, &text).unwrap();
    }
    let known = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(known, text, "UPDATE=1 cargo test face:: writes {}", golden.display());
}

#[test]
fn nothing_public_is_added_to_the_face_unseen() {
    let mutants = [
        ("src/plan.rs", "impl crate::face::Plan { pub fn sneaky(&self) {} }"),
        ("src/commands/run.rs", "impl std::ops::Deref for crate::face::Plan {}"),
        ("src/commands/run.rs", "impl<'a> Iterator for &'a mut super::Planned {}"),
        ("src/commands/run.rs", "impl From<crate::face::Plan> for String {}"),
        ("src/commands.rs", "impl Failed { pub fn sneaky(&self) {} }"),
        ("src/commands.rs", "impl Failed { sneaky!(); }"),
        ("src/launch.rs", "impl crate::Plan { pub fn sneaky(&self) {} }"),
        ("src/plan.rs", "use crate::face as f; fn a() { impl f::Plan { pub fn sneaky() {} } }"),
        ("src/plan.rs", "type P = crate::Plan; impl P { pub const SNEAKY: u8 = 1; }"),
        (
            "src/plan.rs",
            "mod a { unsafe impl<T> Send for crate::launch::Outcome where T: Copy {} }",
        ),
        ("src/face.rs", "mod a { impl super::Plan { pub fn sneaky(&self) {} } }"),
        ("src/face.rs", "use Plan as P; impl P { pub fn sneaky(&self) {} }"),
    ];
    let mut sources = sources();
    assert_eq!(added_elsewhere(&sources), Vec::<String>::new());
    for (file, more) in mutants {
        let (_, text) = sources.iter_mut().find(|(name, _)| name == file).unwrap();
        text.push_str(more);
    }
    // Each has one block.
    let added = added_elsewhere(&sources);
    assert_eq!(added.len(), mutants.len(), "{added:#?}");
    // Where the golden looks, it sees these.
    for more in
        ["impl crate::face::Plan { pub fn sneaky() {} }", "impl A<'_> for self::Plan<'_> {}"]
    {
        let mut lines = vec![];
        let trees: Vec<TokenTree> = more.parse::<TokenStream>().unwrap().into_iter().collect();
        items(&trees, "", &["Plan"], &mut lines);
        assert_eq!(lines.len(), 1, "{more}");
    }
}
