//! A change in one line: a letter, its path, and what is worth a note. A target chose the names.

use crate::language::value::join;
use crate::launch::changes::{Change, Kind, State, What};
use crate::text::bytes;
use crate::text::problem::escape;

/// A change in one line.
pub(super) fn line(change: &Change, prefix: &str) -> String {
    let letter = match change.what {
        What::Added => 'A',
        What::Changed | What::Rights => 'M',
        What::Removed => 'D',
        What::Replaced => 'T',
    };
    let mut line = format!("{letter}  {}", path(change, prefix));
    let now = change.after.as_ref().or(change.before.as_ref());
    match now.map(|now| now.kind) {
        Some(Kind::Link) => {
            let target = change.after.as_ref().map(|after| quoted(&bytes::text(&after.target)));
            line += &target.map_or(String::new(), |target| format!(" -> {target}"));
        }
        None | Some(Kind::File | Kind::Directory) => {}
        Some(kind) => line += &format!(" ({})", kind.word()),
    }
    if let (What::Replaced, Some(before)) = (change.what, &change.before) {
        line += &format!(" (was a {})", before.kind.word());
    }
    if change.unread && now.is_some_and(|now| now.kind == Kind::Directory) {
        line += " (closed to you: what is in it is not listed)";
    }
    line + &rights(change)
}

/// The path; that of a directory ends with `/`.
fn path(change: &Change, prefix: &str) -> String {
    let path = match (change.path.is_empty(), prefix) {
        (true, "") => ".".into(),
        (false, "") => bytes::text(&change.path),
        (true, prefix) => prefix.trim_end_matches('/').to_owned(),
        (false, prefix) => join(prefix, &format!("/{}", bytes::text(&change.path))),
    };
    let now = change.after.as_ref().or(change.before.as_ref());
    let is_directory = now.is_some_and(|now| now.kind == Kind::Directory);
    quoted(&(path + if is_directory { "/" } else { "" }))
}

/// What a note behind a path begins with.
const NOTES: &[&str] =
    &["mode ", "owner ", "was a ", "closed ", "fifo", "socket", "character ", "block "];

/// A path in a list. One that could be taken for more than a path, or for another one, is between
/// quotation marks, with `\\` before those in it and before each `\\`.
pub(super) fn quoted(path: &str) -> String {
    let drawn = escape(path);
    let name = path.trim_end_matches('/');
    let has_note = name.ends_with(')')
        && name
            .rsplit_once(" (")
            .is_some_and(|(_, note)| NOTES.iter().any(|n| note.starts_with(n)));
    let forges = drawn != path
        || path.contains(['\\', '"'])
        || [" -> ", ": "].iter().any(|sign| path.contains(sign))
        || path.starts_with(' ')
        || name.ends_with(' ')
        || has_note;
    if !forges {
        return drawn;
    }
    // What is escaped is so by a `\\` that is not the name's.
    let parts = path.split_inclusive(['\\', '"']).map(|part| match part.chars().next_back() {
        Some(sign @ ('\\' | '"')) => format!("{}\\{sign}", escape(&part[..part.len() - 1])),
        _ => escape(part),
    });
    format!("\"{}\"", parts.collect::<String>())
}

/// How mode and owner are others.
fn rights(change: &Change) -> String {
    let (What::Changed | What::Rights, Some(before), Some(after)) =
        (change.what, &change.before, &change.after)
    else {
        return String::new();
    };
    let mut words = vec![];
    if before.mode != after.mode && after.kind != Kind::Link {
        words.push(format!("mode {:04o}, was {:04o}", after.mode, before.mode));
    }
    if (before.owner, before.group) != (after.owner, after.group) {
        let id = |id: Option<u32>| id.map_or("?".into(), |id| id.to_string());
        let of = |state: &State| format!("{}:{}", id(state.owner), id(state.group));
        words.push(format!("owner {}, was {}", of(after), of(before)));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_forge_words_are_between_quotation_marks() {
        for plain in ["a b", "copy (1)", "caf\u{e9}", "a:b", "a->b", "x (old)/", "it's"] {
            assert_eq!(quoted(plain), plain);
        }
        for (name, drawn) in [
            ("esc\x1b[0m", r#""esc\u{1b}[0m""#),
            (r"esc\u{1b}[0m", r#""esc\\u{1b}[0m""#),
            ("nl\nD  x", r#""nl\nD  x""#),
            (r"nl\nD  x", r#""nl\\nD  x""#),
            ("forged (mode 0755, was 0644)", r#""forged (mode 0755, was 0644)""#),
            ("d (was a file)/", r#""d (was a file)/""#),
            ("l -> /etc/passwd", r#""l -> /etc/passwd""#),
            ("x: it is harmless", r#""x: it is harmless""#),
            ("  lead", r#""  lead""#),
            ("trail ", r#""trail ""#),
            ("\"q\"", r#""\"q\"""#),
            (&bytes::text(b"b\xff"), r#""b\xff""#),
        ] {
            assert_eq!(quoted(name), drawn);
        }
    }
}
