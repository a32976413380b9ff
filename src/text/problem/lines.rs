//! A sentence in lines of a width. Text to paste is never broken: a line of TOML or a command, cut
//! in two, means something else.

use crate::text::layout::{self, Lines, fill};

/// Words with which commands in help begin.
const COMMANDS: &[&str] = &[
    "stockade ",
    "--config ",
    "mkdir ",
    "touch ",
    "chmod ",
    "chown ",
    "usermod ",
    "sysctl ",
    "export ",
    "sudo ",
    "printf ",
    "echo ",
    "apt-get ",
];

/// Wraps a text. TOML or a command behind a colon has a line of its own where it does not fit, or
/// where words follow it: a `;` that is pasted with it is a syntax error.
pub(super) fn fit(text: &str, width: usize) -> String {
    if layout::width(text) > width && COMMANDS.iter().any(|command| text.starts_with(command)) {
        return match clause(text) {
            Some((code, rest)) => format!("{code}\n{}", fit(rest, width)),
            None => text.to_owned(),
        };
    }
    let colon = text
        .match_indices(": ")
        .map(|(at, _)| (&text[..at], &text[at + 2..]))
        .find(|(_, code)| is_code(code));
    match colon.map(|(words, code)| (words, code, clause(code))) {
        Some((words, _, Some((code, rest)))) => {
            return format!(
                "{}:\n  {code}\n{}",
                fit(words, width.saturating_sub(1)),
                fit(rest, width)
            );
        }
        _ if layout::width(text) <= width => return text.to_owned(),
        Some((words, code, None)) => {
            return format!("{}:\n  {code}", fit(words, width.saturating_sub(1)));
        }
        None => {}
    }
    fill("", pieces(text), Lines { width, indent: 0, end: "" })
}

/// The text before a semicolon outside of quotes, and the text after it.
fn clause(text: &str) -> Option<(&str, &str)> {
    text.match_indices("; ")
        .find(|(at, _)| ['"', '\''].iter().all(|quote| closed(&text[..*at], *quote)))
        .map(|(at, _)| (&text[..at], &text[at + 2..]))
}

fn closed(text: &str, quote: char) -> bool {
    text.matches(quote).count().is_multiple_of(2)
}

fn is_code(text: &str) -> bool {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let key =
        text.split_once(" = ").is_some_and(|(key, _)| !key.is_empty() && key.chars().all(bare));
    key || text.starts_with(['"', '[', '{'])
        || COMMANDS.iter().any(|command| text.starts_with(command))
}

/// The words of a text; text in quotes, backticks or brackets is one word with its neighbours, and
/// so is a key with its value.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let (mut start, mut quote, mut depth, mut tick) = (0, false, 0usize, false);
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        match c {
            '"' if at == 0 || bytes[at - 1] != b'\\' => quote = !quote,
            // A command between backticks is one word, too.
            '`' if !quote => tick = !tick,
            '{' | '[' if !quote => depth += 1,
            '}' | ']' if !quote => depth = depth.saturating_sub(1),
            ' ' if !quote && !tick && depth == 0 => {
                let glued = text[at..].starts_with(" = ") || text[..at].ends_with(" =");
                if !glued {
                    pieces.push(&text[start..at]);
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    // A quotation mark without its fellow ties nothing together.
    if quote || tick || depth > 0 {
        pieces.extend(text[start..].split(' '));
    } else {
        pieces.push(&text[start..]);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_pasted_stays_whole() {
        assert_eq!(fit("short", 80), "short");
        assert_eq!(fit("one two three", 7), "one two\nthree");
        let toml = "\"/a long/path\" = { bind = \"/x\", access = \"rw\" }";
        assert_eq!(
            fit(&format!("give it away, or say so: {toml}"), 30),
            format!("give it away, or say so:\n  {toml}")
        );
        assert_eq!(
            fit(&format!("write {toml} or not at all"), 20),
            format!("write\n{toml}\nor not at all")
        );
        assert_eq!(
            fit("make it first: mkdir -p /some/where/far/away", 20),
            "make it first:\n  mkdir -p /some/where/far/away"
        );
        let two = format!("keep it: {toml}; or name it: {toml}");
        assert_eq!(fit(&two, 30), format!("keep it:\n  {toml}\nor name it:\n  {toml}"));
        assert_eq!(fit("so: a = 1; or so: b = 2", 80), "so:\n  a = 1\nor so: b = 2");
        assert_eq!(
            fit("leave it out: as all others do in this case", 20),
            "leave it out: as all\nothers do in this\ncase"
        );
        assert_eq!(
            fit("an \"open quote that goes on and on", 12),
            "an \"open\nquote that\ngoes on and\non"
        );
        let command = "stockade run base -- sh -c 'one; two'";
        assert_eq!(fit(command, 20), command);
        assert_eq!(
            fit("stockade run PROFILE; profiles: a, b", 20),
            "stockade run PROFILE\nprofiles: a, b"
        );
        assert_eq!(fit("set net.x = 1 there", 8), "set\nnet.x = 1\nthere");
    }
}
