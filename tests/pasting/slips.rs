//! A slip in each word of the golden profiles: what a help suggests is never the word that is
//! written.

use super::{Case, check};
use std::collections::BTreeSet;
use std::path::Path;

/// The words of a text that begin at these offsets: keys, and words in quotes.
fn words(text: &str) -> Vec<(usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    let mut found = vec![];
    let mut at = 0;
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        if word.len() > 1 && word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            found.push((at, word));
        }
        at += piece.len();
    }
    found
}

/// What hands make of a word.
fn slips(word: &str) -> BTreeSet<String> {
    let last = &word[word.len() - 1..];
    let capital = word[..1].to_ascii_uppercase() + &word[1..];
    let all = [
        word.to_ascii_uppercase(),
        word.replace('-', "_"),
        word.replace('_', "-"),
        word[..word.len() - 1].to_owned(),
        format!("{word}{last}"),
        capital,
    ];
    all.into_iter().filter(|slip| slip != word).collect()
}

#[test]
fn no_help_suggests_the_word_that_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"));
    let mut files: Vec<_> = files.collect();
    files.sort();
    let (mut seen, mut wrong, mut suggested) = (BTreeSet::new(), vec![], 0);
    for path in files {
        let (name, text) = (
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            std::fs::read_to_string(&path).unwrap(),
        );
        for (at, word) in words(&text) {
            let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
            // Once in each key.
            let key = text[line..].split('=').next().unwrap_or_default().trim().to_owned();
            if text[line..].starts_with('#') || !seen.insert((key, word.to_owned())) {
                continue;
            }
            for slip in slips(word) {
                let text = format!("{}{slip}{}", &text[..at], &text[at + word.len()..]);
                let case = Case { name: name.clone(), text };
                let checked = check(&case, &case.text);
                for problem in &checked.problems {
                    let help = problem.help.as_deref().unwrap_or_default();
                    let Some(offered) =
                        help.split("did you mean `").nth(1).and_then(|rest| rest.split('`').next())
                    else {
                        continue;
                    };
                    let Some(source) = checked.sources.source(problem.at) else { continue };
                    suggested += 1;
                    let written = &source.text[(problem.at.start - source.base) as usize
                        ..(problem.at.end - source.base) as usize];
                    if written.trim_matches('"').trim_start_matches("${").trim_end_matches('}')
                        == offered
                    {
                        wrong.push(format!(
                            "{name}: `{slip}` for `{word}`: {written}: {} ({help})",
                            problem.message
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(suggested > 300, "only {suggested} suggestions");
}
