//! What the files of the house say of each other: every path in their tokens, those in macros among
//! them, and what it means once every `use` that it goes through is followed.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

pub type Segments = Vec<String>;

/// One path.
pub struct Found {
    /// From the top of the house. A star is its last segment.
    pub whole: Segments,
    /// By what name the module has it from here on: that of a `use`, or of a `type`.
    pub name: Option<Segments>,
    /// How much of `whole` must be a name or module of the house. A path that begins with a plain
    /// name can be one of another crate, or of a type of this module.
    first: usize,
}

impl Found {
    fn begin(&self) -> &[String] {
        &self.whole[..self.first.min(self.whole.len())]
    }
}

/// What one file says: its paths, and the modules and types that it has.
#[derive(Default)]
pub struct Read {
    pub paths: Vec<Found>,
    modules: Vec<Segments>,
    types: Vec<Segments>,
}

pub fn names(path: &str) -> Segments {
    path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn word(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(ident)) => {
            let text = ident.to_string();
            Some(text.strip_prefix("r#").unwrap_or(&text).to_owned())
        }
        _ => None,
    }
}

pub fn is(tree: Option<&TokenTree>, text: &str) -> bool {
    match tree {
        Some(TokenTree::Ident(ident)) => *ident == text,
        Some(TokenTree::Punct(punct)) => text.len() == 1 && text.starts_with(punct.as_char()),
        _ => false,
    }
}

pub fn group(tree: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// Whether `::` is here.
pub fn colons(trees: &[TokenTree], at: usize) -> bool {
    let first = matches!(trees.get(at), Some(TokenTree::Punct(punct))
        if punct.as_char() == ':' && punct.spacing() == Spacing::Joint);
    first && is(trees.get(at + 1), ":")
}

/// Reads the tokens of a module. What only tests are compiled with is not part of the house.
pub fn read(tokens: TokenStream, here: &[String], out: &mut Read) {
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
            && let (Some(name), Some(body)) = (word(ahead(1)), group(ahead(2), Delimiter::Brace))
        {
            if !std::mem::take(&mut tests) {
                let inner = [here, &[name]].concat();
                out.modules.push(inner.clone());
                read(body, &inner, out);
            }
            at += 3;
            continue;
        }
        if ["struct", "enum", "union", "type", "trait"].iter().any(|word| is(Some(tree), word))
            && let Some(name) = word(ahead(1))
        {
            out.types.push([here, &[name]].concat());
        }
        if is(Some(tree), "extern") && is(ahead(1), "crate") {
            out.paths.push(Found { whole: vec![], name: None, first: 0 });
        }
        let used = at > 0 && is(trees.get(at - 1), "use");
        let alias = (at > 2 && is(trees.get(at - 1), "=") && is(trees.get(at - 3), "type"))
            .then(|| trees[at - 2].to_string());
        let begins = match tree {
            TokenTree::Ident(_) => {
                let inside = at > 1 && colons(&trees, at - 2);
                !inside && (used || alias.is_some() || colons(&trees, at + 1))
            }
            TokenTree::Group(_) => used,
            _ => false,
        };
        if begins {
            let mut leaves = vec![];
            at = path(&trees, at, vec![], &mut leaves);
            out.paths.extend(leaves.into_iter().map(|(leaf, renamed)| {
                let (whole, first) = absolute(&leaf, here);
                let last = used.then(|| leaf.last().cloned()).flatten();
                let name = renamed.or(alias.clone()).or(last).filter(|name| name != "*");
                Found { whole, first, name: name.map(|name| [here, &[name]].concat()) }
            }));
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

/// Takes a path, or a tree of them, and gives where it ends.
pub fn path(
    trees: &[TokenTree],
    mut at: usize,
    mut so_far: Segments,
    leaves: &mut Vec<(Segments, Option<String>)>,
) -> usize {
    loop {
        match trees.get(at) {
            Some(TokenTree::Group(inner)) if inner.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                let mut next = 0;
                while next < inner.len() {
                    next = path(&inner, next, so_far.clone(), leaves) + 1;
                }
                return at + 1;
            }
            tree if is(tree, "*") => so_far.push("*".into()),
            tree => so_far.extend(word(tree)),
        }
        at += 1;
        if colons(trees, at) {
            at += 2;
            continue;
        }
        let alias = is(trees.get(at), "as").then(|| word(trees.get(at + 1))).flatten();
        at += if alias.is_some() { 2 } else { 0 };
        if so_far.len() > 1 {
            so_far.pop_if(|last| last == "self");
        }
        leaves.push((so_far, alias));
        return at;
    }
}

/// A path from the top, and how much of that must be known.
pub fn absolute(path: &[String], here: &[String]) -> (Segments, usize) {
    let mut base = here.to_vec();
    for segment in path {
        match segment.as_str() {
            "crate" | "stockade" => base.clear(),
            "self" => {}
            "super" => drop(base.pop()),
            other => base.push(other.to_owned()),
        }
    }
    let begins = ["crate", "stockade", "self", "super"];
    let sure = path.first().is_none_or(|first| begins.contains(&first.as_str()));
    (base, if sure { 0 } else { here.len() + 1 })
}

/// Every name that a module has from elsewhere, every module, and every type.
#[derive(Default)]
pub struct Names {
    names: BTreeMap<Segments, BTreeSet<Segments>>,
    pub modules: BTreeSet<Segments>,
    types: BTreeSet<Segments>,
}

impl Names {
    pub fn of<'r>(reads: impl Iterator<Item = (&'r Segments, &'r Read)> + Clone) -> Names {
        let mut all = Names::default();
        for (module, read) in reads.clone() {
            all.modules.insert(module.clone());
            all.modules.extend(read.modules.iter().cloned());
            all.types.extend(read.types.iter().cloned());
        }
        let paths = || reads.clone().flat_map(|(_, read)| &read.paths);
        let called: BTreeSet<&[String]> = paths().filter_map(|path| path.name.as_deref()).collect();
        for path in paths() {
            if let Some(name) = &path.name
                && (called.contains(path.begin()) || all.knows(path))
            {
                all.names.entry(name.clone()).or_default().insert(path.whole.clone());
            }
        }
        all
    }

    /// Whether the path is one of the house.
    fn knows(&self, path: &Found) -> bool {
        let begin = path.begin();
        path.first == 0
            || self.modules.contains(begin)
            || self.types.contains(begin)
            || self.names.contains_key(begin)
    }

    /// What a path means once every name that is had from elsewhere is followed: more than one
    /// thing where a name is that of a module and of a function. Nothing, where it is of no house.
    pub fn meanings(&self, path: &Found) -> BTreeSet<Segments> {
        if self.knows(path) { self.follow(&path.whole) } else { BTreeSet::new() }
    }

    pub fn follow(&self, path: &[String]) -> BTreeSet<Segments> {
        let (mut seen, mut ends) = (BTreeSet::new(), BTreeSet::new());
        let mut open = vec![path.to_vec()];
        while let Some(path) = open.pop() {
            // A name can be that of a crate and of an item in it, which would never end.
            if seen.len() > 64 || !seen.insert(path.clone()) {
                continue;
            }
            let known = (1..=path.len()).rev().find(|length| {
                self.names.contains_key(&path[..*length])
                    && (*length == path.len() || !self.modules.contains(&path[..*length]))
            });
            if known.is_none() || self.modules.contains(&path) {
                ends.insert(path.clone());
            }
            if let Some(length) = known {
                let meant = self.names[&path[..length]].iter();
                open.extend(meant.map(|meant| [meant.as_slice(), &path[length..]].concat()));
            }
        }
        if ends.is_empty() {
            ends.insert(path.to_vec());
        }
        ends
    }
}
