//! What a line that is no TOML most likely means. It judges nothing: each guess is parsed, and the
//! first that is TOML is offered.

use crate::language::value::quoted;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Of a longer line nothing is guessed: each guess is a copy of it.
const LONGEST: usize = 400;

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    /// The rest of `cannot read this TOML: `, where the parser's own words are not plain.
    pub sentence: Option<String>,
    /// The text that it is about.
    pub at: Range<usize>,
    /// Where the same was given before.
    pub first: Option<Range<usize>>,
    /// What to do. It has line breaks of ours alone.
    pub help: Option<String>,
}

/// A line in another spelling, and what was wrong with the old one.
struct Guess {
    sentence: &'static str,
    line: String,
    /// The part of the line that is wrong, where the parser does not point at it.
    at: Option<Range<usize>>,
}

/// What the parser means by an error at a place of a text.
pub(super) fn slip(text: &str, at: Range<usize>, words: &str) -> Slip {
    let start = text.get(..at.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let plain = Slip { sentence: None, at: at.clone(), first: None, help: None };
    if words.starts_with("duplicate key") {
        return twice(text, start, plain);
    }
    if line.len() > LONGEST {
        return plain;
    }
    let inside = at.start - start..at.end.max(at.start).min(start + line.len()) - start;
    let Some(guess) = guess(line, inside, words) else { return plain };
    // The value of a variable of the environment may be secret: the line shows it, and reports need
    // not.
    let variable = variable(line);
    let fixed = guess.line.trim().to_owned();
    let help = match variable {
        Some(variable) => format!("check the quotes and the `=` of {variable}"),
        None if fixed.contains('\n') => {
            format!("write it in two lines:\n  {}", fixed.replace('\n', "\n  "))
        }
        None => format!("write {fixed}"),
    };
    Slip {
        sentence: Some(guess.sentence.to_owned()),
        at: guess.at.map_or(at, |part| part.start + start..part.end + start),
        first: None,
        help: Some(help),
    }
}

/// The name of a variable of the environment at the beginning of a line, as such names are written.
fn variable(line: &str) -> Option<&str> {
    let key = line.trim_start().split(['=', ':', ' ']).next()?;
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (key.starts_with(|c: char| c.is_ascii_uppercase()) && key.bytes().all(is_name)).then_some(key)
}

// ---- the same twice ----

/// The header above a place, and where its line begins.
fn section(text: &str, at: usize) -> Option<(&str, usize)> {
    let mut from = 0;
    let mut found = None;
    for line in text.get(..at)?.split_inclusive('\n') {
        if let Some(name) = line.trim_start().strip_prefix('[') {
            found = Some((name.split(']').next().unwrap_or_default().trim(), from));
        }
        from += line.len();
    }
    found
}

/// A key, or a section, that the text has already.
fn twice(text: &str, start: usize, plain: Slip) -> Slip {
    let Some(word) = text.get(plain.at.clone()) else { return plain };
    let bare = |word: &str| word.trim_matches(['"', '\'']).to_owned();
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let is_header = line.trim_start().starts_with('[');
    let (name, from) = match section(text, start) {
        _ if is_header => (None, 0),
        Some((name, from)) => (Some(name), from),
        None => (None, 0),
    };
    // In an inline table the first is before it in the same line.
    let before = text.get(start..plain.at.start).unwrap_or_default();
    let in_line = before.match_indices(word).map(|(at, _)| start + at).find(|at| {
        text.get(at + word.len()..).is_some_and(|rest| rest.trim_start().starts_with('='))
    });
    let mut at = from;
    let lines = text.get(from..start).unwrap_or_default().split_inclusive('\n').find_map(|one| {
        let begin = at + one.len() - one.trim_start().len();
        at += one.len();
        let one = one.trim_start();

        if is_header {
            let inside = one.strip_prefix('[')?;
            let name = inside.split(']').next()?;
            let whole = line.trim_start().trim_start_matches('[').split(']').next()?;
            (name.trim() == whole.trim()).then_some(begin + 1..begin + 1 + name.len())
        } else {
            let (key, _) = one.split_once('=')?;
            let key = key.trim_end();
            (bare(key) == bare(word)).then_some(begin..begin + key.len())
        }
    });
    let first = in_line.map(|at| at..at + word.len()).or(lines);
    let help = match (&first, name) {
        (None, _) => return plain,
        (Some(_), _) if is_header => "put all keys of a section below one header".to_owned(),
        (Some(_), _) => "remove one of them".to_owned(),
    };
    let what = if is_header { "section" } else { "key" };
    let sentence = Some(format!("this {what} is there already"));
    Slip { sentence, first, help: Some(help), ..plain }
}

// ---- guesses ----

/// The first guess that is TOML.
fn guess(line: &str, at: Range<usize>, words: &str) -> Option<Guess> {
    let one = |sentence, line: String| Guess { sentence, line, at: None };
    let body = line.trim();
    let mut all = vec![];
    if line.contains(['“', '”', '„', '‘', '’']) {
        let straight = line.replace(['“', '”', '„'], "\"").replace(['‘', '’'], "'");
        all.push(one("only straight quotes are quotes", straight));
    }
    if let Some(rest) = body.strip_prefix("//").or_else(|| body.strip_prefix(';')) {
        all.push(one("a comment begins with `#`", format!("# {}", rest.trim_start())));
    }
    if body.starts_with('[') {
        all.extend(header(body));
    } else {
        let bare = body.trim_end_matches([';', ',']).trim_end();
        if bare != body {
            all.push(one("nothing may follow a value", bare.to_owned()));
        }
        all.extend(comma(line, at, words));
        if words.contains("escape") {
            all.extend(literal(line));
        }
        all.extend(quotes(line));
        all.extend(assigned(bare));
    }
    all.into_iter().find(|guess| {
        let text = guess.line.trim();
        DeTable::parse(text).is_ok() && text != body
    })
}

/// A header that is not closed, or has a key in its line.
fn header(body: &str) -> Vec<Guess> {
    let Some((name, rest)) = body.split_once(']') else {
        let line = format!("{}]", body.trim_end_matches(['}', ')']));
        return vec![Guess { sentence: "the section's name ends with `]`", line, at: None }];
    };
    let key = assigned(rest.trim()).into_iter().map(|guess| guess.line);
    std::iter::once(rest.trim().to_owned())
        .chain(key)
        .map(|key| Guess {
            sentence: "the name of a section has a line of its own",
            line: format!("{name}]\n{key}"),
            at: None,
        })
        .collect()
}

/// A comma that is missing at the parser's place.
fn comma(line: &str, at: Range<usize>, words: &str) -> Option<Guess> {
    let (before, after) = (line.get(..at.start)?, line.get(at.start..)?);
    let line = format!("{}, {}", before.trim_end(), after.trim_start());
    words.starts_with("missing comma").then_some(Guess {
        sentence: "a comma is missing",
        line,
        at: None,
    })
}

/// Texts with a backslash that means itself.
fn literal(line: &str) -> Option<Guess> {
    let line = (!line.contains('\'')).then(|| line.replace('"', "'"))?;
    Some(Guess { sentence: "in double quotes a backslash begins an escape", line, at: None })
}

/// A quote that is missing.
fn quotes(line: &str) -> Vec<Guess> {
    let found: Vec<usize> = line.match_indices('"').map(|(at, _)| at).collect();
    if found.len().is_multiple_of(2) || found.len() > 32 {
        return vec![];
    }
    let trimmed = |at: usize| line.get(..at).unwrap_or_default().trim_end().len();
    let behind = |at: usize| {
        let rest = line.get(at..).unwrap_or_default();
        at + rest.len() - rest.trim_start().len()
    };
    let ends = line.match_indices(['=', ',', '}', ']']).map(|(at, _)| trimmed(at));
    let starts = line.match_indices(['=', ',', '{', '[']).map(|(at, sign)| behind(at + sign.len()));
    let places = ends.chain([line.trim_end().len(), behind(0)]).chain(starts);
    places
        .map(|place| {
            let opening = found.iter().rev().find(|at| **at < place);
            let closing = found.iter().find(|at| **at >= place);
            let (before, after) = line.split_at(place);
            Guess {
                sentence: "a quote is missing",
                line: format!("{before}\"{after}"),
                at: Some(match (opening, closing) {
                    (Some(open), _) if found.iter().filter(|at| **at < place).count() % 2 == 1 => {
                        *open..place
                    }
                    (_, Some(close)) => place..*close + 1,
                    (_, None) => place..line.trim_end().len(),
                }),
            }
        })
        .collect()
}

/// A key and a value in other spellings: `key: value`, `key value`, without quotes.
fn assigned(body: &str) -> Vec<Guess> {
    const NO_EQUALS: &str = "a key and its value have `=` between them";
    const NO_QUOTES: &str = "a text must be in quotes";
    let key_end = match body.strip_prefix('"') {
        Some(rest) => rest.find('"').map(|at| at + 2),
        None => body.find([' ', '=', ':']),
    };
    let Some((key, rest)) = key_end.and_then(|at| body.split_at_checked(at)) else { return vec![] };
    let rest = rest.trim_start();
    let (sentence, value) = match rest {
        _ if rest.starts_with("=>") || rest.starts_with("==") => (NO_EQUALS, &rest[2..]),
        _ if rest.starts_with(":=") => (NO_EQUALS, &rest[2..]),
        _ if rest.starts_with('=') => (NO_QUOTES, &rest[1..]),
        _ if rest.starts_with(':') => (NO_EQUALS, &rest[1..]),
        "" => return vec![],
        _ => (NO_EQUALS, rest),
    };
    let value = value.trim();
    if value.is_empty() {
        return vec![];
    }
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_.\"".contains(c);
    let key =
        if key.starts_with('"') || key.chars().all(is_bare) { key.to_owned() } else { quoted(key) };
    let whole = (!value.contains(['"', '\'', '[', '{', '#'])).then(|| quoted(value));
    [Some(value.to_owned()), Some(in_quotes(value)), whole]
        .into_iter()
        .flatten()
        .map(|value| Guess { sentence, line: format!("{key} = {value}"), at: None })
        .collect()
}

/// A value with quotes around each part that is no value by itself.
fn in_quotes(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => rest[1..].find(c).map_or(rest.len(), |at| at + 2),
            ' ' | ',' | '[' | ']' | '{' | '}' | '=' => 1,
            '#' => rest.len(),
            _ => bare(rest),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        let is_value = word.len() == 1 && " ,[]{}=".contains(word)
            || word.starts_with(['"', '\'', '#'])
            || after.trim_start().starts_with('=')
            || DeValue::parse(word).is_ok();
        match word {
            _ if is_value => out.push_str(word),
            "True" | "TRUE" | "False" | "FALSE" => out.push_str(&word.to_ascii_lowercase()),
            // `key: value` in a table.
            _ if word.ends_with(':') && after.starts_with(' ') => {
                out.push_str(&format!("{} =", word.trim_end_matches(':')));
            }
            _ => out.push_str(&quoted(word)),
        }
    }
    out
}

/// The length of a word without quotes; the braces of a variable are a part of it.
fn bare(text: &str) -> usize {
    let (mut open, mut before) = (false, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open = true,
            '}' if open => open = false,
            ' ' | ',' | '[' | ']' | '{' | '}' | '=' | '"' | '\'' if !open => return at,
            _ => {}
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered in the place of a line.
    fn offered(line: &str) -> Option<String> {
        let (_, errors) = DeTable::parse_recoverable(line);
        let error = errors.first()?;
        slip(line, error.span().unwrap_or_default(), error.message()).help
    }

    #[test]
    fn what_is_meant_by_a_line() {
        for (line, meant) in [
            ("mode = host", "mode = \"host\""),
            ("memory = 2G", "memory = \"2G\""),
            ("timeout = 30s # long", "timeout = \"30s\" # long"),
            ("nested = True", "nested = true"),
            ("/opt = \"ro\"", "\"/opt\" = \"ro\""),
            ("/opt = ro", "\"/opt\" = \"ro\""),
            ("${CWD} = rw", "\"${CWD}\" = \"rw\""),
            ("\"/x\" = { bind = /srv }", "\"/x\" = { bind = \"/srv\" }"),
            (
                "\"/x\" = { bind = ${CWD}/a, access = rw }",
                "\"/x\" = { bind = \"${CWD}/a\", access = \"rw\" }",
            ),
            ("\"/x\" = { bind: \"/srv\" }", "\"/x\" = { bind = \"/srv\" }"),
            (
                "\"/x\" = { bind = \"/srv\" access = \"rw\" }",
                "\"/x\" = { bind = \"/srv\", access = \"rw\" }",
            ),
            ("command = [node, \"x.js\"]", "command = [\"node\", \"x.js\"]"),
            ("command = [\"a\" \"b\"]", "command = [\"a\", \"b\"]"),
            ("command = node x.js", "command = \"node x.js\""),
            ("\"/opt\" \"ro\"", "\"/opt\" = \"ro\""),
            ("mode: host", "mode = \"host\""),
            ("mode => \"host\"", "mode = \"host\""),
            ("mode == \"host\"", "mode = \"host\""),
            ("\"/opt\": \"ro\"", "\"/opt\" = \"ro\""),
            ("mode host", "mode = \"host\""),
            ("mode = \"host\";", "mode = \"host\""),
            ("mode = \"host\",", "mode = \"host\""),
            ("mode = “host”", "mode = \"host\""),
            ("\"/opt = \"ro\"", "\"/opt\" = \"ro\""),
            ("\"/opt\" = \"ro", "\"/opt\" = \"ro\""),
            ("\"/opt\" = ro\"", "\"/opt\" = \"ro\""),
            ("/opt\" = \"ro\"", "\"/opt\" = \"ro\""),
            ("command = [\"a, \"b\"]", "command = [\"a\", \"b\"]"),
            ("command = [\"a\", \"b]", "command = [\"a\", \"b\"]"),
            ("\"/x\" = { bind = \"/srv }", "\"/x\" = { bind = \"/srv\" }"),
            ("[limits", "[limits]"),
            ("// why", "# why"),
        ] {
            assert_eq!(offered(line), Some(format!("write {meant}")), "{line}");
        }
        assert_eq!(
            offered("[process] command = [\"bash\"]").as_deref(),
            Some("write it in two lines:\n  [process]\n  command = [\"bash\"]")
        );
        for line in ["mode =", "mode", "= 3", "a = [1, 2", "x = \"\"\"", &"a".repeat(500)] {
            assert_eq!(offered(line), None, "{line}");
        }
    }

    #[test]
    fn a_value_of_the_environment_is_not_repeated() {
        let text = "[x]\nTOKEN = s3cret";
        let said = slip(text, 12..18, "string values must be quoted");
        assert_eq!(said.help.as_deref(), Some("check the quotes and the `=` of TOKEN"));
    }

    #[test]
    fn the_first_of_two_is_found() {
        for (text, at, first) in [
            ("[limits]\nmemory = 1\n\"memory\" = 2", 20..28, Some(9..15)),
            ("a = 1\n[x]\na = 1\n[x]\n", 17..18, Some(7..8)),
            ("a = 1\n[x]\na = 1\na = 2", 16..17, Some(10..11)),
            ("t = { a = 1, a = 2 }", 13..14, Some(6..7)),
            ("x.a = 1\n[x]\n", 9..10, None),
        ] {
            assert_eq!(slip(text, at, "duplicate key").first, first, "{text}");
        }
    }
}
