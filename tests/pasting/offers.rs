//! What a help offers to be pasted, and the profile with that in its place.

use stockade::internals::profile::place_of_key;

/// A piece of a help that can be pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// `key = value`, with the section where the help names it.
    Line { section: Option<String>, key: String, value: String },
    /// A text in the place of the one that is wrong.
    Text(String),
    /// A word in its place.
    Word(String),
    /// A table in its place.
    Table(String),
    /// Lines in the place of its line.
    Lines(String),
}

/// The end of the value of TOML that a text begins with.
fn value_end(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote => escaped = true,
            '"' => {
                quote = !quote;
                if !quote && depth == 0 {
                    return Some(at + 1);
                }
            }
            '{' | '[' if !quote => depth += 1,
            '}' | ']' if !quote => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            ' ' | ';' | ',' | ':' if !quote && depth == 0 => return (at > 0).then_some(at),
            _ => {}
        }
    }
    (!quote && depth == 0 && !text.is_empty()).then_some(text.len())
}

pub fn offers(help: &str) -> Vec<Offer> {
    if let Some(word) = help.strip_prefix("did you mean `").and_then(|rest| rest.strip_suffix("`?"))
    {
        return vec![Offer::Word(word.to_owned())];
    }
    let lines = help.strip_prefix("write it in two lines:\n");
    if let Some(lines) = lines.or(help.strip_prefix("write ").filter(|line| line.starts_with('[')))
    {
        return vec![Offer::Lines(lines.replace("\n  ", "\n").trim().to_owned())];
    }
    // An example of a form is none of the line's own values.
    if help.contains("such as") {
        return vec![];
    }
    let mut out = vec![];
    let mut at = 0;
    while let Some(c) = help[at..].chars().next() {
        let rest = &help[at..];
        let begins = at == 0 || help[..at].ends_with([' ', '\n']);
        let bare = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_lowercase() || b"-.".contains(byte))
            .count();
        let key = if c == '"' { value_end(rest).unwrap_or(0) } else { bare };
        if begins && key > 0 && rest[key..].starts_with(" = ") {
            let from = at + key + 3;
            let Some(length) = value_end(&help[from..]) else { break };
            let section = help[..at]
                .rsplit_once("in [")
                .and_then(|(_, rest)| rest.split_once("]: "))
                .filter(|(_, rest)| rest.is_empty());
            out.push(Offer::Line {
                section: section.map(|(section, _)| section.to_owned()),
                key: rest[..key].to_owned(),
                value: help[from..from + length].to_owned(),
            });
            at = from + length;
        } else if begins && c == '"' && key > 2 {
            out.push(Offer::Text(rest[..key].to_owned()));
            at += key;
        } else if begins && c == '{' {
            let Some(length) = value_end(rest) else { break };
            out.push(Offer::Table(rest[..length].to_owned()));
            at += length;
        } else {
            at += c.len_utf8();
        }
    }
    out
}

/// The places in a text: the line that an offset is in, and the section above it.
pub fn line_of(text: &str, offset: usize) -> std::ops::Range<usize> {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    start..end
}

pub fn section_of(text: &str, offset: usize) -> Option<String> {
    text[..offset]
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix('[')?.split(']').next().map(str::to_owned))
}

/// A line in a section, in the place of the one of the same key.
fn with_line(text: &str, section: Option<&str>, key: &str, value: &str) -> String {
    let (mut lines, mut now, mut done): (Vec<String>, Option<String>, bool) = (vec![], None, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            now = Some(name.to_owned());
        }
        let same = line.split_once('=').is_some_and(|(known, _)| known.trim() == key)
            && now.as_deref() == section;
        lines.push(if same { format!("{key} = {value}") } else { line.to_owned() });
        done |= same;
    }
    if !done {
        let header = section.map(|section| format!("[{section}]"));
        match header.as_ref().map(|header| lines.iter().position(|line| line == header)) {
            Some(Some(place)) => lines.insert(place + 1, format!("{key} = {value}")),
            Some(None) => lines.extend([header.unwrap_or_default(), format!("{key} = {value}")]),
            None => lines.insert(0, format!("{key} = {value}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The ways to paste an offer, as the words of the help have it.
pub fn pasted(text: &str, offer: &Offer, help: &str, span: std::ops::Range<usize>) -> Vec<String> {
    let put = |range: std::ops::Range<usize>, new: &str| {
        format!("{}{new}{}", &text[..range.start], &text[range.end..])
    };
    let line = line_of(text, span.start);
    let quoted = text[span.clone()].starts_with('"');
    match offer {
        Offer::Word(word) if text[span.clone()].starts_with("${") => {
            vec![put(span.clone(), &format!("${{{word}}}"))]
        }
        Offer::Word(word) => {
            vec![put(span.clone(), &if quoted { format!("\"{word}\"") } else { word.clone() })]
        }
        Offer::Lines(new) => vec![put(line, new)],
        Offer::Text(new) => vec![put(span.clone(), new)],
        Offer::Table(new) => match text[line.clone()].split_once(" = ") {
            Some((key, _)) => vec![put(line.clone(), &format!("{key} = {new}"))],
            None => vec![],
        },
        Offer::Line { section, key, value } => {
            let own = section_of(text, span.start);
            let of_mounts = key.starts_with('"') && own.as_deref() == Some("mounts");
            let instead = ["write ", "name the place", "to bind it"]
                .iter()
                .any(|word| help.starts_with(word));
            let is_top = place_of_key(key).is_some_and(|place| place.contains("top of the file"));
            let mut ways = vec![];
            if instead && (of_mounts || !key.starts_with('"')) {
                ways.push(put(line.clone(), &format!("{key} = {value}")));
            }
            let place = section.clone().or(if is_top {
                None
            } else {
                own.or_else(|| Some("mounts".to_owned()))
            });
            match key.split_once('.') {
                Some((section, key)) if !key.starts_with('"') && !section.starts_with('"') => {
                    ways.push(with_line(text, Some(section), key, value));
                }
                _ => ways.push(with_line(text, place.as_deref(), key, value)),
            }
            // In the place of a key of the line's own table, with its value.
            let part = &text[line.clone()];
            if let Some((before, after)) = part.split_at_checked(span.start - line.start)
                && let Some(end) = after
                    .find(" = ")
                    .and_then(|at| value_end(&after[at + 3..]).map(|length| at + 3 + length))
            {
                ways.push(put(line.clone(), &format!("{before}{key} = {value}{}", &after[end..])));
            }
            // A key of the line's own table.
            if let Some((entry, table)) =
                text[line.clone()].split_once(" = ").filter(|_| !key.starts_with('"'))
            {
                let table = table.trim();
                let other =
                    |one: &&str| one.split_once(" = ").is_none_or(|(known, _)| known.trim() != key);
                let mut parts: Vec<&str> =
                    table.trim_matches(['{', '}', ' ']).split(", ").filter(other).collect();
                let new = format!("{key} = {value}");
                parts.push(&new);
                ways.push(put(line.clone(), &format!("{entry} = {{ {} }}", parts.join(", "))));
            }
            ways
        }
    }
}
