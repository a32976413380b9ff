//! A key of `[mounts]` with stars: how it is written, and what it matches. It knows no directories
//! and no entries.
//!
//! `*` is any run of characters in one name, `**` any number of directories, `\*` the star itself.
//! A star that a variable brings is itself.

use crate::language::read::Why;
use crate::language::value::plain_path;
use crate::text::bytes;

// ---- writing ----

/// The profile's own text as a part of a pattern: its stars are stars, and `\*` is one that is
/// meant.
pub(crate) fn of_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.next_if_eq(&'*').is_some() => out.push_str("\\*"),
            '\\' => out.push_str("\\\\"),
            other => out.push(other),
        }
    }
    out
}

/// The value of a variable as a part of a pattern: whatever is in it is meant.
pub(crate) fn of_value(value: &str) -> String {
    value.replace('\\', "\\\\").replace('*', "\\*")
}

/// The key that a pattern becomes: a plain path where it has no star, else a plain path with a `/`
/// at its end, which no path has.
pub(crate) fn key(pattern: &str) -> Result<String, Why> {
    let path = plain_path(pattern)?;
    let mut has_star = false;
    for name in path.split('/') {
        let stars = pieces(name).filter(|piece| *piece == Piece::Star).count();
        has_star |= stars > 0;
        let adjacent =
            pieces(name).zip(pieces(name).skip(1)).any(|pair| pair == (Piece::Star, Piece::Star));
        if adjacent && name != "**" {
            let rule = "` is no name of a pattern: `**` is a whole name between two `/`";
            let help = format!("write `**/{}`", name.replace("**", "*"));
            return Err(Why::not(name, rule).help_of_value(help));
        }
    }
    if path.split('/').count() > MOST_NAMES_DEEP {
        return Err(Why::new("a pattern has at most 60 names"));
    }
    if has_star { Ok(format!("{path}/")) } else { Ok(unquoted(&path)) }
}

/// Whether a text names paths below the fixed beginning of a pattern.
pub(crate) fn check_beneath(text: &str) -> Result<(), Why> {
    if text.starts_with('/') || text.is_empty() {
        let why = "`except` is relative to the directories before the first star of the key";
        return Err(Why::new(why).help("write such as \"**/node_modules\""));
    }
    match key(&format!("/{}", of_text(text)))?.as_str() {
        "/" => Err(Why::new("`except` names nothing").help("leave it out")),
        _ => Ok(()),
    }
}

/// Whether a key of `[mounts]` is a pattern.
pub fn is_pattern(key: &str) -> bool {
    key.len() > 1 && key.ends_with('/')
}

/// A key as people write it.
pub fn shown(key: &str) -> &str {
    if is_pattern(key) { &key[..key.len() - 1] } else { key }
}

/// A key as a profile writes it: each star of a name that is no wildcard behind a `\`. A wildcard
/// behind a `\` that a variable brought has no such spelling.
pub(crate) fn spell(key: &str) -> String {
    let is_pattern = is_pattern(key);
    let plain = key.chars().map(Piece::Char).collect();
    let all: Vec<Piece> = if is_pattern { pieces(shown(key)).collect() } else { plain };
    all.into_iter()
        .map(|piece| match piece {
            Piece::Star => "*".to_owned(),
            Piece::Char('*') => "\\*".to_owned(),
            Piece::Char(c) => c.to_string(),
        })
        .collect()
}

/// One character of a name of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Star,
    Char(char),
}

fn pieces(name: &str) -> impl Iterator<Item = Piece> {
    let mut chars = name.chars();
    std::iter::from_fn(move || match chars.next()? {
        '*' => Some(Piece::Star),
        '\\' => chars.next().map(Piece::Char),
        other => Some(Piece::Char(other)),
    })
}

fn unquoted(text: &str) -> String {
    pieces(text)
        .map(|piece| match piece {
            Piece::Char(c) => c,
            Piece::Star => '*',
        })
        .collect()
}

// ---- matching ----

/// Whether `*` matches the dot that a name begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dots {
    /// It does: to hide.
    Matched,
    /// It does not: to grant.
    PassedOver,
}

/// A key that is a pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The directories before the first star.
    pub base: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`.
    Directories,
    /// One name, in bytes, where `None` is a star.
    Name(Vec<Option<u8>>),
}

/// How far the names so far have come in a pattern: one bit for each place that they may have come
/// to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress(u64);

/// How many names a pattern may have, so that a [`Progress`] holds it.
const MOST_NAMES_DEEP: usize = 60;

impl Pattern {
    pub(crate) fn new(key: &str) -> Pattern {
        let mut names = shown(key).split('/').filter(|name| !name.is_empty()).peekable();
        let mut base = String::new();
        while let Some(name) = names.next_if(|name| pieces(name).all(|piece| piece != Piece::Star))
        {
            base = format!("{base}/{}", unquoted(name));
        }
        Pattern { base: if base.is_empty() { "/".into() } else { base }, parts: parts(names) }
    }

    /// One of paths below the base of another, as [`check_beneath`] takes it.
    pub(crate) fn beneath(text: &str) -> Pattern {
        let text = of_text(text);
        let names = text.split('/').filter(|name| !name.is_empty() && *name != ".");
        Pattern { base: "/".into(), parts: parts(names) }
    }

    /// Whether what follows the base is the same in both.
    pub(crate) fn ends_as(&self, other: &Pattern) -> bool {
        self.parts == other.parts
    }

    /// Before any name.
    pub(crate) fn start(&self) -> Progress {
        Progress(self.closed(1))
    }

    /// After one more name.
    pub(crate) fn step(&self, progress: Progress, name: &[u8], dots: Dots) -> Progress {
        let hidden = name.first() == Some(&b'.') && dots == Dots::PassedOver;
        let mut next = 0;
        for (nth, part) in
            self.parts.iter().enumerate().filter(|(nth, _)| progress.0 & (1 << nth) != 0)
        {
            match part {
                Part::Directories if !hidden => next |= 1 << nth,
                Part::Directories => {}
                Part::Name(glob)
                    if !(hidden && glob.first() == Some(&None)) && matches(glob, name) =>
                {
                    next |= 1 << (nth + 1)
                }
                Part::Name(_) => {}
            }
        }
        Progress(self.closed(next))
    }

    /// Whether all of the pattern is matched.
    pub(crate) fn accepts(&self, progress: Progress) -> bool {
        progress.0 & (1 << self.parts.len()) != 0
    }

    /// `**` is also no directory at all.
    fn closed(&self, mut bits: u64) -> u64 {
        for (nth, _) in
            self.parts.iter().enumerate().filter(|(_, part)| **part == Part::Directories)
        {
            bits |= (bits & (1 << nth)) << 1;
        }
        bits
    }
}

fn parts<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Part> {
    let mut parts: Vec<Part> = names.map(Part::new).collect();
    if parts.last() == Some(&Part::Directories) {
        // All that is below, not the directory itself.
        parts.push(Part::Name(vec![None]));
    }
    parts
}

impl Progress {
    /// Whether no name can lead to a match from here.
    pub(crate) fn is_dead(self) -> bool {
        self.0 == 0
    }
}

impl Part {
    fn new(name: &str) -> Part {
        if name == "**" {
            return Part::Directories;
        }
        let taken = |piece| match piece {
            Piece::Star => vec![None],
            Piece::Char(c) => {
                bytes::bytes(c.encode_utf8(&mut [0; 4])).iter().copied().map(Some).collect()
            }
        };
        Part::Name(pieces(name).flat_map(taken).collect())
    }
}

/// Goes back to the last star where a byte does not fit: the product of the lengths at worst.
fn matches(glob: &[Option<u8>], name: &[u8]) -> bool {
    let (mut at, mut to, mut star) = (0, 0, None);
    while to < name.len() {
        match glob.get(at) {
            Some(None) => {
                star = Some((at, to));
                at += 1;
            }
            Some(Some(byte)) if *byte == name[to] => {
                at += 1;
                to += 1;
            }
            _ => match star {
                Some((last, from)) => {
                    star = Some((last, from + 1));
                    (at, to) = (last + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(Option::is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(key_: &str, path: &str, dots: Dots) -> bool {
        let pattern = Pattern::new(&key(&of_text(key_)).unwrap());
        let tail = crate::language::value::below(path, &pattern.base).unwrap();
        let end = tail
            .split('/')
            .filter(|name| !name.is_empty())
            .fold(pattern.start(), |at, name| pattern.step(at, name.as_bytes(), dots));
        pattern.accepts(end)
    }

    #[test]
    fn stars_match_names_and_directories() {
        use Dots::{Matched, PassedOver};
        for (pattern, path, expected) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a", false),
            ("/a/b*d", "/a/bd", true),
            ("/a/b*d", "/a/bcdbd", true),
            ("/a/b*d", "/a/bcde", false),
            ("/a/*b*b", "/a/bxb", true),
            ("/a/*b*b", "/a/b", false),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("/a/**/x", "/a/x", true),
            ("/a/**/x", "/a/b/c/x", true),
            ("/a/**/x", "/a/b/c/y", false),
            ("/a/**/b/**/c", "/a/b/c", true),
            ("/a/**/b/**/c", "/a/1/b/2/3/c", true),
            ("/a/**/b/**/c", "/a/1/c/2/b", false),
            ("/*/x", "/a/x", true),
            ("/a/ü*", "/a/über", true),
            (r"/a/\**", "/a/*x", true),
            (r"/a/\**", "/a/x", false),
            (r"/a\b/*", r"/a\b/c", true),
        ] {
            for dots in [Matched, PassedOver] {
                assert_eq!(is_match(pattern, path, dots), expected, "{pattern} {path}");
            }
        }
        for (pattern, path, passed_over) in [
            ("/a/*", "/a/.env", false),
            ("/a/.*", "/a/.env", true),
            ("/a/*.env", "/a/.env", false),
            ("/a/**/x", "/a/.b/x", false),
            ("/a/**/.env", "/a/b/.env", true),
        ] {
            assert!(is_match(pattern, path, Matched), "{pattern} {path}");
            assert_eq!(is_match(pattern, path, PassedOver), passed_over, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_for_ever_does_not() {
        let stars = format!("/a/{}b", "*x".repeat(100));
        assert!(!is_match(&stars, &format!("/a/{}", "x".repeat(255)), Dots::Matched));
        let directories = format!("/a{}/b", "/**/x".repeat(28));
        assert!(!is_match(&directories, &format!("/a{}", "/x".repeat(1000)), Dots::Matched));
    }

    #[test]
    fn what_is_beneath_is_relative() {
        for bad in ["", "/", "/a", "a/../b", "a**", ".", "./"] {
            assert!(check_beneath(bad).is_err(), "{bad}");
        }
        for (text, path, expected) in [
            ("a", "a", true),
            ("a", "b/a", false),
            ("./a//b/", "a/b", true),
            ("**/a", "b/.c/a", true),
            ("a/**", "a", false),
            ("a/**", "a/.b", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
        ] {
            assert_eq!(check_beneath(text), Ok(()), "{text}");
            let pattern = Pattern::beneath(text);
            let end = path
                .split('/')
                .fold(pattern.start(), |at, name| pattern.step(at, name.as_bytes(), Dots::Matched));
            assert_eq!(pattern.accepts(end), expected, "{text} {path}");
        }
    }

    #[test]
    fn keys_are_patterns_or_plain_paths() {
        assert_eq!(key(&of_text("//a/./*/")).as_deref(), Ok("/a/*/"));
        assert_eq!(key(&of_text(r"/a/\*")).as_deref(), Ok("/a/*"));
        assert_eq!(key(&of_text(r"/a\b")).as_deref(), Ok(r"/a\b"));
        assert_eq!(key(&(of_value(r"/x*\") + &of_text("/*"))).as_deref(), Ok(r"/x\*\\/*/"));
        assert_eq!(Pattern::new(r"/x\*\\/*/").base, r"/x*\");
        assert_eq!((shown("/a/*/"), shown("/"), shown("/a")), ("/a/*", "/", "/a"));
        assert!(is_pattern("/a/*/") && !is_pattern("/") && !is_pattern("/a"));
        for bad in ["/a/**b", "/a/***", "/a/b**", "/a/../*", "a/*"] {
            assert!(key(&of_text(bad)).is_err(), "{bad}");
        }
        assert!(
            key(&of_text(&"/*".repeat(61))).is_err() && key(&of_text(&"/*".repeat(59))).is_ok()
        );
    }
}
