//! What users read is in the words that `docs/CONTRIBUTING.md` asks for. It lists the words to
//! avoid; here is where they are looked for.

use crate::support::{page, pages};
use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A word, or words in a row; `…` stands for up to three.
type Phrase = Vec<String>;

/// The words of a text; a path, of files or of a source, is one word.
fn words(text: &str) -> Vec<String> {
    let is_part = |sign: char| sign.is_alphanumeric() || "'/_:.…".contains(sign);
    text.split(|sign| !is_part(sign))
        .map(|word| word.trim_matches(['\'', '/', '_', ':', '.']).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// How many of the words a phrase takes, where they begin with it.
fn taken(phrase: &[String], words: &[String]) -> Option<usize> {
    match phrase {
        [] => Some(0),
        [first, rest @ ..] if first == "…" => (0..=words.len().min(3))
            .find_map(|more| taken(rest, &words[more..]).map(|taken| more + taken)),
        [first, rest @ ..] => (words.first()? == first)
            .then(|| taken(rest, &words[1..]).map(|taken| taken + 1))
            .flatten(),
    }
}

struct Style {
    avoided: Vec<Phrase>,
    allowed: Vec<Phrase>,
}

impl Style {
    fn read() -> Style {
        let page = page("docs/CONTRIBUTING.md");
        let table = page.split("<!-- words -->\n").nth(1).expect("the table");
        let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
        let (mut avoided, mut allowed) = (vec![], vec![]);
        for row in rows {
            let phrases = |cell: usize| {
                let cell = row.split('|').nth(cell).expect("three cells");
                cell.split('`').skip(1).step_by(2).map(words).collect::<Vec<_>>()
            };
            avoided.extend(phrases(1));
            allowed.extend(phrases(3));
        }
        assert!(avoided.len() > 30, "{}", avoided.len());
        Style { avoided, allowed }
    }

    /// The sentences of a text that have an avoided word, each with it.
    fn wrong(&self, text: &str) -> Vec<String> {
        let words = words(text);
        let (mut wrong, mut at) = (vec![], 0);
        while at < words.len() {
            let longest = |phrases: &[Phrase]| {
                phrases.iter().filter_map(|phrase| taken(phrase, &words[at..])).max()
            };
            let allowed = longest(&self.allowed).unwrap_or(0);
            if longest(&self.avoided).is_some_and(|taken| taken > 0 && allowed == 0) {
                let near = &words[at.saturating_sub(8)..(at + 8).min(words.len())];
                wrong.push(format!("{:?} in: {}", words[at], near.join(" ")));
            }
            at += allowed.max(1);
        }
        wrong
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn stockade(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stockade")).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The files below a directory whose names end so.
fn files(directory: &str, end: &str) -> Vec<(String, String)> {
    let (mut open, mut found) = (vec![repository().join(directory)], vec![]);
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                found.push((name(&path), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap().display().to_string()
}

/// The texts of a source with a blank in them, outside of tests; and its `//!` lines.
fn texts(tokens: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        let is_sign = |at: usize, sign: char| matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        // `#[doc = "..."]` is a comment, `#![doc = "..."]` the page of a file.
        if is_sign(at, '#') && !is_sign(at + 1, '!') {
            let attribute = trees.get(at + 1).map(ToString::to_string).unwrap_or_default();
            at += 2;
            if attribute.replace(' ', "") == "[cfg(test)]" {
                // What it is on ends with its block, or with `;`.
                let ends = |tree: &TokenTree| match tree {
                    TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    TokenTree::Ident(_) | TokenTree::Literal(_) => false,
                };
                at += trees[at..].iter().position(ends).map_or(0, |more| more + 1);
            }
            continue;
        }
        match &trees[at] {
            TokenTree::Group(group) => texts(group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains('"') && text.contains(' ') {
                    found.push(shown(&text));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        at += 1;
    }
}

/// The comments of a source, each without its marks and without code in backticks.
fn comments(source: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let mut continues = false;
    for line in source.lines() {
        let whole = line.trim_start().strip_prefix("//");
        // Behind code, and not within a text such as a URL.
        let behind = || {
            let (code, comment) = line.rsplit_once(" // ")?;
            (code.matches('"').count() % 2 == 0).then_some(comment)
        };
        let Some(text) = whole.map(|text| text.trim_start_matches(['/', '!'])).or_else(behind)
        else {
            continues = false;
            continue;
        };
        match found.last_mut() {
            Some(comment) if continues && whole.is_some() => {
                comment.push(' ');
                comment.push_str(text);
            }
            _ => found.push(text.to_owned()),
        }
        continues = whole.is_some();
    }
    let prose = |comment: &String| comment.split('`').step_by(2).collect::<Vec<_>>().join(" ` ");
    found.iter().map(prose).collect()
}

/// A literal without its escapes, and without what is put into it.
fn shown(literal: &str) -> String {
    let text = literal.replace("\\n", " ").replace("\\\"", "\"");
    let (mut shown, mut inside) = (String::new(), false);
    for sign in text.chars() {
        match sign {
            '{' => inside = true,
            '}' => inside = false,
            _ if !inside => shown.push(sign),
            _ => {}
        }
    }
    shown
}

fn fails(scope: &str, texts: impl IntoIterator<Item = (String, String)>) {
    let style = Style::read();
    let wrong: Vec<String> = texts
        .into_iter()
        .flat_map(|(name, text)| {
            style.wrong(&text).into_iter().map(move |wrong| format!("{name}: {wrong}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{scope}: {} words:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_avoided_word_is_found_and_an_exception_is_not() {
    let style = Style::read();
    for bad in ["The Folder.", "it\nfalls", "walls", "let the limits fall", "can no more be had"] {
        assert_eq!(style.wrong(bad).len(), 1, "{bad}");
    }
    for good in [
        "src/walls.rs",
        "it falls back",
        "a wall clock",
        "`*` stands for any",
        "firewall",
        "nobody",
    ] {
        assert_eq!(style.wrong(good), [""; 0], "{good}");
    }
    let mut found = vec![];
    let source = "//! A page.\n/// A comment.\nfn f() { g(\"a text\", \"word\") }\n#[cfg(test)]\nmod \
                  tests { const A: &str = \"a test\"; }\nconst B: &str = \"an end\";";
    texts(source.parse().unwrap(), &mut found);
    assert_eq!(found, ["\" A page.\"", "\"a text\"", "\"an end\""]);
    let source =
        "/// A `walls` of\n/// two lines.\nf(\"http://a // b\"); // Behind.\ng();\n//! A page.";
    assert_eq!(comments(source), [" A  `  of  two lines.", "Behind.", " A page."]);
}

/// But for the list of the words itself.
#[test]
fn pages_are_in_plain_words() {
    let list = |page: &str| {
        page.split_once("<!-- words -->").map_or(page.to_owned(), |(before, _)| before.to_owned())
    };
    let pages = pages().into_iter().map(|(name, page)| (name, list(&page)));
    fails("pages", pages.chain([("CHANGELOG.md".into(), page("CHANGELOG.md"))]));
}

#[test]
fn what_is_printed_of_the_language_is_in_plain_words() {
    let help = stockade(&["--help"]);
    let commands = help.lines().filter_map(|line| line.strip_prefix("  "));
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with(|sign: char| sign.is_ascii_lowercase()))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    let helps = commands.iter().map(|command| (format!("{command} --help"), [command, "--help"]));
    let more = [vec!["--help"], vec!["reference"], vec!["man", "1"], vec!["man", "5"]];
    let printed = helps
        .map(|(name, words)| (name, stockade(&words)))
        .chain(more.into_iter().map(|words| (words.join(" "), stockade(&words))));
    fails("printed", printed.map(|(name, text)| (name, text.replace("\\-", "-"))));
}

#[test]
fn explanations_are_in_plain_words() {
    fails("explanations", files("src/text/explain", ".txt"));
}

#[test]
fn comments_of_profiles_are_in_plain_words() {
    let all = ["profiles", "examples"].iter().flat_map(|directory| files(directory, ""));
    fails("profiles", all.filter(|(name, _)| !name.ends_with(".c") && !name.ends_with("Makefile")));
}

/// Those of the tests, too.
#[test]
fn comments_are_in_plain_words() {
    let sources = ["src", "tests"].iter().flat_map(|directory| files(directory, ".rs"));
    fails(
        "comments",
        sources.flat_map(|(name, source)| {
            comments(&source).into_iter().map(move |text| (name.clone(), text))
        }),
    );
}

/// Messages, and the page at the top of a source.
#[test]
fn texts_of_the_source_are_in_plain_words() {
    let is_tested = |path: &Path| {
        path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
    };
    let sources = files("src", ".rs").into_iter();
    let sources = sources.filter(|(name, _)| !is_tested(&PathBuf::from(name)));
    fails(
        "sources",
        sources.flat_map(|(name, source)| {
            let mut found = vec![];
            texts(source.parse().unwrap(), &mut found);
            found.into_iter().map(move |text| (name.clone(), text))
        }),
    );
}
