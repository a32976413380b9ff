//! No test is forgotten, and none ends early without a word: a skip goes through `support::skip`,
//! which lists it when the tests have run.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A function of the tests.
struct Function {
    name: String,
    is_test: bool,
    body: Vec<TokenTree>,
}

fn is(tree: &TokenTree, text: &str) -> bool {
    match tree {
        TokenTree::Ident(ident) => ident == text,
        TokenTree::Punct(punct) => text.len() == 1 && text.starts_with(punct.as_char()),
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    }
}

fn block(tree: &TokenTree) -> Option<Vec<TokenTree>> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

/// Every word in these tokens, at any depth.
fn words(trees: &[TokenTree], out: &mut BTreeSet<String>) {
    for tree in trees {
        match tree {
            TokenTree::Ident(ident) => {
                out.insert(ident.to_string());
            }
            TokenTree::Group(group) => words(&group.stream().into_iter().collect::<Vec<_>>(), out),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn words_of(trees: &[TokenTree]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    words(trees, &mut out);
    out
}

/// The functions of a file, those in `impl` and `mod` among them.
fn functions(trees: &[TokenTree], out: &mut Vec<Function>) {
    let mut is_test = false;
    let mut name = None;
    for (index, tree) in trees.iter().enumerate() {
        if is(tree, "#") {
            let attribute = trees.get(index + 1).map(ToString::to_string);
            is_test |= attribute.is_some_and(|text| text.replace(' ', "") == "[test]");
        } else if is(tree, "fn") {
            name = trees.get(index + 1).map(ToString::to_string);
        } else if let Some(inner) = block(tree) {
            match name.take() {
                Some(name) => out.push(Function { name, is_test, body: inner }),
                None => functions(&inner, out),
            }
            is_test = false;
        }
    }
}

/// What ends a test or a turn of its loop early and says nothing, each by its tokens: a `return` or
/// a `continue` at the top of the test, or in a loop there, in a block that neither skips, fails
/// nor belongs to a question that skips.
fn silent(body: &[TokenTree], skipping: &BTreeSet<String>, out: &mut Vec<String>) {
    let mut begin = 0;
    for (index, tree) in body.iter().enumerate() {
        if is(tree, ";") {
            begin = index + 1;
        }
        let Some(inner) = block(tree) else { continue };
        let before = &body[begin..index];
        let asked = words_of(before);
        let said = words_of(&inner);
        let speaks = said
            .iter()
            .any(|word| skipping.contains(word) || word.starts_with("assert") || word == "panic");
        // What is filtered out of an answer was not skipped by who gave it.
        let asks = asked.iter().any(|word| skipping.contains(word)) && !asked.contains("filter");
        let returns = inner.iter().any(|tree| is(tree, "return") || is(tree, "continue"));
        if returns && !speaks && !asks {
            out.push(before.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        }
        if before.first().is_some_and(|first| is(first, "for")) {
            silent(&inner, skipping, out);
        }
        begin = index + 1;
    }
}

/// Whether the test is one condition: where that does not hold, nothing is tried.
fn is_one_condition(body: &[TokenTree]) -> bool {
    let blocks = body.iter().filter(|tree| block(tree).is_some()).count();
    let else_or_more = body.iter().any(|tree| is(tree, "else") || is(tree, ";"));
    body.first().is_some_and(|first| is(first, "if")) && blocks == 1 && !else_or_more
}

/// The names of functions that skip, or ask one that does.
fn skipping(all: &[Function]) -> BTreeSet<String> {
    let mut known = BTreeSet::from(["skip".to_owned()]);
    loop {
        let more: Vec<String> = all
            .iter()
            .filter(|function| !function.is_test && !known.contains(&function.name))
            .filter(|function| !words_of(&function.body).is_disjoint(&known))
            .map(|function| function.name.clone())
            .collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more);
    }
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[test]
fn no_test_ends_early_without_a_word() {
    let mut files = vec![];
    sources(&tests(), &mut files);
    let mut all = vec![];
    for file in &files {
        let tokens: TokenStream = std::fs::read_to_string(file).unwrap().parse().unwrap();
        functions(&tokens.into_iter().collect::<Vec<_>>(), &mut all);
    }
    assert!(all.iter().filter(|function| function.is_test).count() > 500);
    let skipping = skipping(&all);
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for function in all.iter().filter(|function| function.is_test) {
        let mut out = vec![];
        silent(&function.body, &skipping, &mut out);
        out.extend(is_one_condition(&function.body).then(|| "all in one `if`".to_owned()));
        if !out.is_empty() {
            found.insert(&function.name, out);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_silent_end_is_seen() {
    let found = |text: &str| {
        let tokens: TokenStream = text.parse().unwrap();
        let mut all = vec![];
        functions(&tokens.into_iter().collect::<Vec<_>>(), &mut all);
        let skipping = skipping(&all);
        let mut out = vec![];
        all.iter().filter(|function| function.is_test).for_each(|function| {
            silent(&function.body, &skipping, &mut out);
            out.extend(is_one_condition(&function.body).then(String::new));
        });
        out.len()
    };
    let helper = "fn has() -> bool { skip(\"no\"); false }";
    for (body, silent) in [
        ("if !is_root() { return; } act();", 1),
        ("if !is_root() { skip(\"root\"); return; } act();", 0),
        ("if !is_root() { return skip(\"root\"); } act();", 0),
        ("if !has() { return; } act();", 0),
        ("let Some(a) = find() else { return }; act(a);", 1),
        ("let Some(a) = has().filter(|a| a.old()) else { return }; act(a);", 1),
        ("for who in all() { if who.is_user() { return; } act(who); }", 1),
        ("for who in all() { if who.is_user() { continue; } act(who); }", 1),
        ("for who in all() { if who.is_user() { skip(\"root\"); continue; } act(who); }", 0),
        ("if is_root() { act(); }", 1),
        ("if is_root() { act(); } else { skip(\"root\"); }", 0),
        ("each(|one| { if one.is_none() { return; } act(one); });", 0),
    ] {
        assert_eq!(found(&format!("{helper} #[test] fn t() {{ {body} }}")), silent, "{body}");
    }
}

/// Files of other crates, and what cargo runs for them.
const NOT_OURS: &[&str] = &["face/main.rs", "helpers/echo.rs"];

/// cargo looks for no tests by itself (`autotests` of Cargo.toml): a file that no module declares
/// is never compiled.
#[test]
fn every_file_is_a_module() {
    let mut files = vec![];
    sources(&tests(), &mut files);
    let mut declared = BTreeSet::from([tests().join("main.rs")]);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let folder = file.parent().unwrap();
        let below = if stem == "main" { folder.to_owned() } else { folder.join(stem) };
        let modules = text.lines().filter_map(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        for module in modules {
            declared.insert(below.join(format!("{module}.rs")));
        }
    }
    let forgotten: Vec<&PathBuf> = files
        .iter()
        .filter(|file| !declared.contains(*file))
        .filter(|file| !NOT_OURS.iter().any(|other| file.ends_with(other)))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
