//! Which blocks of `impl` are on a type, in whatever words it is named.

use crate::house::finder::{Names, Segments, absolute, colons, is, path};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;

/// One block of `impl`.
pub struct Impl {
    /// Its first line.
    pub text: String,
    /// The last part of the name of the type that it is on.
    pub target: String,
    /// Whether it is at the top of its file.
    pub at_the_top: bool,
    /// Whether it can add something public: a trait, an item that is `pub`, or what a macro makes.
    pub adds: bool,
    /// The paths in the first line, from the top of the house.
    paths: Vec<Segments>,
}

impl Impl {
    pub fn names(&self, types: &BTreeSet<Segments>, names: &Names) -> bool {
        self.paths.iter().any(|path| !names.follow(path).is_disjoint(types))
    }
}

/// The blocks of a module, those inside of functions and modules among them.
pub fn impls(tokens: TokenStream, here: &[String], at_the_top: bool, out: &mut Vec<Impl>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        if let TokenTree::Group(group) = tree {
            let inside =
                (at > 1 && is(trees.get(at - 2), "mod")).then(|| trees[at - 1].to_string());
            impls(group.stream(), &[here, inside.as_slice()].concat(), false, out);
        }
        // Elsewhere it begins a type.
        let begins = match trees[..at].last() {
            None => true,
            Some(TokenTree::Group(before)) => before.delimiter() != Delimiter::Parenthesis,
            before => is(before, ";") || is(before, "unsafe"),
        };
        if !begins || !is(Some(tree), "impl") {
            continue;
        }
        let rest = &trees[at + 1..];
        let body = rest.iter().enumerate().find_map(|(end, tree)| match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some((end, group)),
            _ => None,
        });
        let Some((end, body)) = body else { continue };
        let head = &rest[..end];
        let body: Vec<TokenTree> = body.stream().into_iter().collect();
        let is_pub = |at: usize| {
            is(body.get(at), "pub") && !matches!(body.get(at + 1), Some(TokenTree::Group(_)))
        };
        let mut paths = vec![];
        paths_of(head, here, &mut paths);
        out.push(Impl {
            text: head.iter().cloned().collect::<TokenStream>().to_string(),
            target: target(head),
            at_the_top,
            adds: of_a_trait(head).is_some()
                || (0..body.len()).any(|at| is_pub(at) || is(body.get(at), "!")),
            paths,
        });
    }
}

/// Where the type begins in the first line of a block for a trait.
fn of_a_trait(head: &[TokenTree]) -> Option<usize> {
    let all = |at: usize| is(head.get(at), "for") && !is(head.get(at + 1), "<");
    (0..head.len()).rev().find(|at| all(*at)).map(|at| at + 1)
}

/// The last part of the name of the type that a block is on.
pub fn target(head: &[TokenTree]) -> String {
    let begin = of_a_trait(head).unwrap_or_else(|| {
        // After the parameters of the block itself.
        let mut open = 0;
        let end = head.iter().position(|tree| {
            open += i32::from(is(Some(tree), "<")) - i32::from(is(Some(tree), ">"));
            open == 0
        });
        if is(head.first(), "<") { end.map_or(0, |end| end + 1) } else { 0 }
    });
    let is_name = |at: &usize| {
        let lifetime = *at > 0 && is(head.get(*at - 1), "'");
        let word = matches!(head[*at], TokenTree::Ident(_));
        word && !lifetime && !["mut", "dyn"].iter().any(|word| is(head.get(*at), word))
    };
    let Some(at) = (begin..head.len()).find(is_name) else { return String::new() };
    let mut leaves = vec![];
    path(head, at, vec![], &mut leaves);
    leaves.pop().and_then(|(leaf, _)| leaf.last().cloned()).unwrap_or_default()
}

fn paths_of(trees: &[TokenTree], here: &[String], out: &mut Vec<Segments>) {
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => {
                paths_of(&group.stream().into_iter().collect::<Vec<_>>(), here, out);
            }
            TokenTree::Ident(_) if at < 2 || !colons(trees, at - 2) => {
                let mut leaves = vec![];
                path(trees, at, vec![], &mut leaves);
                out.extend(leaves.iter().map(|(leaf, _)| absolute(leaf, here).0));
            }
            _ => {}
        }
    }
}
