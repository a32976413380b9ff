//! Where a new kind of operation must be thought of, no pattern lets it pass unseen. `_ =>` on the
//! operation itself is clippy's (wildcard_enum_match_arm is denied in these rooms); here is what
//! clippy does not see.

use super::files;
use super::finder::{colons, group, is};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::Path;

/// What executes operations, the models that read them, and what `plan` says of them; and what is
/// refused, kept and reported of the host's trees that a kind of mount grants.
const EXHAUSTIVE: [&str; 18] = [
    "src/inspect/exposure/files.rs",
    "src/inspect/view/protections.rs",
    "src/inspect/access",
    "src/inspect/access.rs",
    "src/launch",
    "src/plan/facts.rs",
    "src/policy/mounts/draft/bind.rs",
    "src/policy/mounts/draft/kept.rs",
    "src/policy/mounts/kinds.rs",
    "src/policy/mounts/links.rs",
    "src/policy/mounts/place.rs",
    "src/policy/mounts/settle.rs",
    "src/policy/mounts/sockets.rs",
    "src/probe/privileged.rs",
    "src/step",
    "src/step.rs",
    "src/tree",
    "src/tree.rs",
];

/// The kinds of operation and of their fields, whose tree they work in, what is at a path, what is
/// made for an entry, who executes it, and what it may leave behind.
const MATCHED: [&str; 22] = [
    "Op",
    "TreeOp",
    "ProcessOp",
    "GroupOp",
    "OutsideOp",
    "Ground",
    "Directory",
    "Cover",
    "Content",
    "Own",
    "Kernel",
    "FileSystem",
    "Mount",
    "Makes",
    "Access",
    "Namespace",
    "Mode",
    "Leftover",
    "Anew",
    "HidePid",
    "Setting",
    "Actor",
];

/// Where a pattern on a bind may let every other kind pass: `Mount::grant` says everywhere else
/// what of the host's trees an entry grants.
const OF_BINDS: [&str; 7] = [
    // What other kinds say lifts nothing there.
    "src/policy/landlock/broad.rs",
    // Other kinds are refused as the root (here, and in tree.rs), and as what a pattern grants.
    "src/policy/mounts/draft.rs",
    "src/policy/mounts/glob.rs",
    // Each kind is named; the guards of two leave the rest of them to the last arm.
    "src/policy/mounts/rights.rs",
    "src/policy/mounts/tree.rs",
    "src/probe/walk.rs",
    "src/profile/load/tests.rs",
];

type Pattern = Vec<TokenTree>;

fn is_arrow(trees: &[TokenTree], at: usize) -> bool {
    is(trees.get(at), "=") && is(trees.get(at + 1), ">")
}

/// Whether one of those words names a variant here.
fn names(trees: &[TokenTree]) -> bool {
    let one =
        |at: usize| is(trees.get(at), "Self") || MATCHED.iter().any(|word| is(trees.get(at), word));
    (0..trees.len()).any(|at| match &trees[at] {
        TokenTree::Group(group) => names(&group.stream().into_iter().collect::<Vec<_>>()),
        _ => one(at) && colons(trees, at + 1),
    })
}

/// Whether a variant of such a type is named somewhere.
fn has_variant_of(word: &str, trees: &[TokenTree]) -> bool {
    (0..trees.len()).any(|at| match &trees[at] {
        TokenTree::Group(group) => {
            has_variant_of(word, &group.stream().into_iter().collect::<Vec<_>>())
        }
        tree => is(Some(tree), word) && colons(trees, at + 1),
    })
}

/// Whether a `use`, or a `type`, gives such a kind or its variants other names than are looked for.
fn renames(trees: &[TokenTree], is_type: bool) -> bool {
    let one = |at: usize| MATCHED.iter().any(|word| is(trees.get(at), word));
    names(trees)
        || (0..trees.len()).any(|at| match &trees[at] {
            TokenTree::Group(group) => {
                renames(&group.stream().into_iter().collect::<Vec<_>>(), false)
            }
            _ => one(at) && (is(trees.get(at + 1), "as") || is_type && at + 1 == trees.len()),
        })
}

/// The patterns of a match, without what they are matched `if`.
fn arms(body: &[TokenTree]) -> Vec<Pattern> {
    let (mut found, mut at) = (vec![], 0);
    while at < body.len() {
        let begin = at;
        while at < body.len() && !is_arrow(body, at) {
            at += 1;
        }
        let arm = body[begin..at].split(|tree| is(Some(tree), "if")).next().unwrap_or_default();
        found.push(arm.to_vec());
        at += 2;
        if group(body.get(at), Delimiter::Brace).is_some() {
            at += 1;
        } else {
            while at < body.len() && !is(body.get(at), ",") {
                at += 1;
            }
        }
        at += usize::from(is(body.get(at), ","));
    }
    found
}

/// What a pattern has in it: by its constructor (nothing for a tuple), the parts by place or name.
fn parts(pattern: &[TokenTree]) -> Option<(String, Vec<(String, Pattern)>)> {
    let (TokenTree::Group(last), constructor) = pattern.split_last()? else { return None };
    let inner: Pattern = last.stream().into_iter().collect();
    let parts = inner.split(|tree| is(Some(tree), ",")).filter(|part| !part.is_empty());
    let parts = parts.enumerate().map(|(place, part)| {
        match is(part.get(1), ":") && last.delimiter() == Delimiter::Brace {
            true => (part[0].to_string(), part[2..].to_vec()),
            false => (place.to_string(), part.to_vec()),
        }
    });
    Some((constructor.iter().map(ToString::to_string).collect(), parts.collect()))
}

/// Whether patterns for one place name a variant, and another lets all the others pass.
fn lets_pass(patterns: &[Pattern], hands_on: bool) -> bool {
    let alternatives: Vec<&[TokenTree]> = patterns
        .iter()
        .flat_map(|pattern| pattern.split(|tree| is(Some(tree), "|")))
        .map(|mut pattern| {
            while let [first, rest @ ..] = pattern
                && !rest.is_empty()
                && (["&", "ref", "mut"].iter().any(|word| is(Some(first), word)))
            {
                pattern = rest;
            }
            if is(pattern.get(1), "@") { &pattern[2..] } else { pattern }
        })
        .collect();
    let is_open = |pattern: &&[TokenTree]| match pattern {
        [one] if is(Some(one), "_") => true,
        [TokenTree::Ident(name)] => {
            let name = name.to_string();
            !hands_on
                && name.starts_with(char::is_lowercase)
                && !["true", "false"].contains(&&*name)
        }
        [one, other] => is(Some(one), ".") && is(Some(other), "."),
        _ => false,
    };
    let open = alternatives.iter().find(|pattern| is_open(pattern));
    let plain = |pattern: &&[TokenTree]| {
        let end = pattern.iter().position(|tree| matches!(tree, TokenTree::Group(_)));
        names(&pattern[..end.unwrap_or(pattern.len())])
    };
    if open.is_some() && alternatives.iter().any(plain) {
        return true;
    }
    let mut columns: BTreeMap<(String, String), Vec<Pattern>> = BTreeMap::new();
    for (constructor, parts) in alternatives.iter().filter_map(|pattern| parts(pattern)) {
        for (place, part) in parts {
            columns.entry((constructor.clone(), place)).or_default().push(part);
        }
    }
    columns.into_iter().any(|((constructor, _), mut column)| {
        column.extend(open.map(|open| open.to_vec()));
        // What another type has in it, a name hands on to where it is matched.
        let hands_on = !["", "Some", "Ok", "Err"].contains(&constructor.as_str());
        lets_pass(&column, hands_on)
    })
}

/// Patterns that let all other variants pass: those of `matches!`, `if let`, `while let` and
/// `let ... else`, and of a match on more than the operation. And names that would hide them.
fn partial(tokens: TokenStream, out: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        if let TokenTree::Group(group) = tree {
            partial(group.stream(), out);
        }
        let rest = &trees[index + 1..];
        let pattern: Vec<TokenTree> = if is(Some(tree), "match") {
            let body = rest.iter().find_map(|tree| match tree {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let body: Vec<TokenTree> = group.stream().into_iter().collect();
                    (0..body.len()).any(|at| is_arrow(&body, at)).then_some(body)
                }
                _ => None,
            });
            let arms = arms(&body.unwrap_or_default());
            if !lets_pass(&arms, false) {
                continue;
            }
            arms.concat()
        } else if is(Some(tree), "use") || is(Some(tree), "type") {
            let end = rest.iter().position(|tree| is(Some(tree), ";")).unwrap_or(0);
            if renames(&rest[..end], is(Some(tree), "type")) {
                out.push(rest[..end].iter().map(|tree| tree.to_string() + " ").collect());
            }
            continue;
        } else if is(Some(tree), "matches") {
            rest.iter().take(2).cloned().collect()
        } else if is(Some(tree), "let") {
            let conditional =
                index > 0 && ["if", "while", "&"].iter().any(|word| is(trees.get(index - 1), word));
            let end = rest.iter().position(|tree| is(Some(tree), ";")).unwrap_or(rest.len());
            let or_else = rest[..end].iter().any(|tree| is(Some(tree), "else"));
            if !conditional && !or_else {
                continue;
            }
            rest.iter().take_while(|tree| !is(Some(tree), "=")).cloned().collect()
        } else {
            continue;
        };
        if names(&pattern) {
            out.push(pattern.iter().map(|tree| tree.to_string() + " ").collect());
        }
    }
}

#[test]
fn no_operation_passes_an_executor_or_a_model_unseen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    for place in EXHAUSTIVE.map(|place| root.join(place)) {
        if place.is_dir() { files(&place, &mut paths) } else { paths.push(place) }
    }
    assert!(paths.len() > 40, "{paths:?}");
    let (mut wrong, mut all) = (vec![], vec![]);
    for path in paths {
        let mut found = vec![];
        let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        all.extend(tokens.clone());
        partial(tokens, &mut found);
        wrong.extend(found.iter().map(|text| format!("{}: {text}", path.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A type that was renamed would be looked for in vain.
    let gone: Vec<_> = MATCHED.iter().filter(|word| !has_variant_of(word, &all)).collect();
    assert!(gone.is_empty(), "no variant of these is named in these rooms: {gone:?}");
}

/// A later kind that grants a part of the host's tree would be looked at for nothing there.
#[test]
fn no_kind_passes_where_a_bind_is_asked_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![];
    files(&root.join("src"), &mut paths);
    let mut places = vec![];
    for path in paths {
        let mut found = vec![];
        partial(std::fs::read_to_string(&path).unwrap().parse().unwrap(), &mut found);
        let plain = found.iter().map(|text| text.replace(' ', ""));
        if plain
            .into_iter()
            .any(|text| ["Mount::Bind(", "Makes::Bind("].iter().any(|of| text.contains(of)))
        {
            places.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
    places.sort();
    assert_eq!(places, OF_BINDS);
}

#[test]
fn no_way_to_let_an_operation_pass_is_missed() {
    for (text, count) in [
        ("matches!(op, TreeOp::Pivot)", 1),
        ("matches!(fs, FileSystem::Tmpfs { .. })", 1),
        ("if let Op::Tree(op) = op { act(op) }", 1),
        ("let Op::Tree(op) = op else { return };", 1),
        ("if a && let Ground::Own = ground { act() }", 1),
        ("if let Directory::Path(path) = self { a(path) }", 1),
        ("let step = op.tree(); matches!(errno, 1 | 2); match op { Op::Tree(_) => {} }", 0),
        ("matches!(mode, Filtered::Mode(_))", 0),
        // By another name.
        ("use crate::step::{TreeOp as T, Slot};", 1),
        ("use crate::step::Op::*;", 1),
        ("use crate::step::{Ground::{Own, Bound}};", 1),
        ("type T = crate::step::TreeOp;", 1),
        ("use crate::step::{Op, Step as S, TreeOp}; type A = Step<Op>;", 0),
        ("impl Own { fn a(&self) -> bool { matches!(self, Self::Root) } }", 1),
        // A match on a tuple, on an Option, and on one in the other.
        ("match (op, 1) { (TreeOp::Pivot, 2) => {} _ => {} }", 1),
        ("match (op, 1) { (TreeOp::Pivot, 2) => a, other => b }", 1),
        ("match (a(), op) { (Err(e), GroupOp::A { b: true, .. }) => {} (done, _) => done }", 1),
        (
            "match (a, n) { (true, _) => {}, (false, Namespace::Join(_)) => {}, (false, _) => {} }",
            1,
        ),
        ("match n { None => a, Some(Namespace::Join(_)) => b, Some(_) => c }", 1),
        ("match n { None => a, Some(&Namespace::Join(_)) => b, Some(other) => c }", 1),
        ("match n { Some(Namespace::Join(_)) => b, Some(_) if a => c, None => d }", 1),
        ("match n { Some(Namespace::Host | Namespace::Join(_)) | None => b, _ => c }", 1),
        ("match (a, b) { (x, Some(Own::File(Content::Text(y)))) => x, _ => {} }", 1),
        ("match a { Some(Entry { own: Own::Root, .. }) => x, _ => {} }", 1),
        ("match s { Kernel::Proc => a, _ if !tail.is_empty() => b, Kernel::Sysfs => c }", 1),
        ("match op { Op::Process(ProcessOp::Filter) => a, Op::Process(_) | Op::Tree(_) => b }", 1),
        // Each variant is named, or handed on.
        ("match op { Op::Process(ProcessOp::Filter) => a, Op::Process(op) => f(op) }", 0),
        ("match n { None => a, Some(Namespace::Join(_)) => b, Some(Namespace::Host) => c }", 0),
        ("match (a, n) { (_, Namespace::Host) => {}, (b, Namespace::Join(_)) => {} }", 0),
        ("match errno { libc::EPERM => match op { Op::Tree(_) => a }, _ => b }", 0),
        ("match (a, b) { (Some(_), 1) => a, (None, _) => { Op::Tree(c) } _ => Own::Root }", 0),
    ] {
        let mut found = vec![];
        partial(text.parse().unwrap(), &mut found);
        assert_eq!(found.len(), count, "{text}");
    }
}
