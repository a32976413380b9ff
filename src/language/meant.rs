//! What a value of the wrong type most likely means, as TOML that its key takes. It judges nothing:
//! the reader of the key tries each guess, and offers the first that is valid.

use crate::language::spelled::{name, quoted};
use crate::language::value::Size;
use crate::language::why::Node;
use crate::text::source::Span;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// Of a longer value nothing is guessed: each guess is a copy of the whole.
const LONGEST: usize = 4096;

const NAMESPACES: &[&str] = &["all", "user", "mount", "pid", "ipc", "uts", "cgroup", "time"];

/// Keys of modes, which are octal digits.
const MODES: &[&str] = &["mode", "umask", "dir"];

/// Signals by their numbers on every architecture that stockade runs on (signal(7)).
const SIGNALS: &[(&str, &str)] = &[
    ("1", "HUP"),
    ("2", "INT"),
    ("3", "QUIT"),
    ("9", "KILL"),
    ("10", "USR1"),
    ("12", "USR2"),
    ("15", "TERM"),
];

/// How to write what is meant by the part of a value that is wrong; `key` is the value's own, where
/// it has one.
pub(super) fn meant(
    node: &Node<'_>,
    wrong: Span,
    key: Option<&str>,
    takes: &dyn Fn(&Node<'_>) -> bool,
) -> Option<String> {
    if node.span().len() > LONGEST {
        return None;
    }
    let (key, part) = find(node, wrong, key)?;
    // Where any text will do, a word is a guess like any other.
    if matches!(part.get_ref(), DeValue::Boolean(_))
        && takes(&with(node, wrong, &DeValue::String("any-text".into())))
    {
        return None;
    }
    let guess = guesses(part.get_ref(), key).into_iter().find(|guess| {
        let Ok(guess) = DeValue::parse(guess) else { return false };
        takes(&with(node, wrong, guess.get_ref()))
    })?;
    Some(match key {
        Some(key) => format!("write {} = {guess}", name(key)),
        None => format!("write {guess}"),
    })
}

/// A guess that repeats the text at a place once, with that as it was written in its place.
pub(super) fn with_text(node: &Node<'_>, at: Span, guess: &str, written: &str) -> Option<String> {
    let (_, part) = find(node, at, None)?;
    let DeValue::String(text) = part.get_ref() else { return None };
    let (before, after) = guess.split_once(&quoted(text))?;
    let is_left = [before, after].iter().any(|rest| rest.contains(text.as_ref()));
    (!is_left && !written.contains('\n')).then(|| format!("{before}{written}{after}"))
}

/// The part of a value at a place, with its key; an item of a list has none.
fn find<'n, 'i>(
    node: &'n Node<'i>,
    at: Span,
    key: Option<&'n str>,
) -> Option<(Option<&'n str>, &'n Node<'i>)> {
    if Span::from(node.span()) == at {
        return Some((key, node));
    }
    match node.get_ref() {
        DeValue::Table(table) => {
            table.iter().find_map(|(name, node)| find(node, at, Some(name.get_ref())))
        }
        DeValue::Array(items) => items.iter().find_map(|node| find(node, at, None)),
        _ => None,
    }
}

/// A copy of a value with another part at a place.
fn with<'i>(node: &Node<'i>, at: Span, part: &DeValue<'i>) -> Node<'i> {
    let value = match node.get_ref() {
        _ if Span::from(node.span()) == at => part.clone(),
        DeValue::Table(table) => DeValue::Table(
            table.iter().map(|(name, node)| (name.clone(), with(node, at, part))).collect(),
        ),
        DeValue::Array(items) => {
            DeValue::Array(items.iter().map(|node| with(node, at, part)).collect())
        }
        other => other.clone(),
    };
    Spanned::new(node.span(), value)
}

/// TOML that may be meant, the likeliest first. None lets the target do more than a reader of the
/// line would think.
fn guesses(value: &DeValue<'_>, key: Option<&str>) -> Vec<String> {
    match value {
        DeValue::Integer(number) => {
            // Octal digits without their quotes: TOML reads 755 as seven hundred and fifty-five. Of
            // a mode in another base the intent is unknown.
            if key.is_some_and(|key| MODES.contains(&key)) {
                return if matches!(number.radix(), 8 | 10) {
                    vec![format!("\"{:0>4}\"", number.as_str())]
                } else {
                    vec![]
                };
            }
            let Some(digits) = decimal(number) else { return vec![] };
            let signal =
                SIGNALS.iter().filter(|(known, _)| *known == digits).map(|(_, name)| quoted(name));
            [quoted(&digits), format!("\"{digits}s\"")]
                .into_iter()
                .chain(signal)
                .chain([format!("[{digits}]"), format!("[\"{digits}\"]")])
                .collect()
        }
        DeValue::Float(number) => {
            let whole = number.as_str().strip_suffix(".0").map(str::to_owned);
            whole
                .into_iter()
                .chain([quoted(number.as_str())])
                .chain(amount(&format!("{}s", number.as_str()), key))
                .collect()
        }
        DeValue::Boolean(true)
            if key.is_some_and(|key| key.starts_with('/') || key == "access") =>
        {
            vec!["\"ro\"".into()]
        }
        // What a tmpfs is limited to if its size is not given.
        DeValue::Boolean(true) if key == Some("tmpfs") => vec!["\"64M\"".into()],
        DeValue::Boolean(true) if key == Some("upper") => vec!["\"discard\"".into()],
        DeValue::Boolean(true) => key
            .filter(|key| NAMESPACES.contains(key))
            .map(|_| "\"new\"".into())
            .into_iter()
            .collect(),
        DeValue::Boolean(false) if key.is_some_and(|key| ["mode", "tty"].contains(&key)) => {
            vec!["\"none\"".into()]
        }
        DeValue::Boolean(false) => key
            .filter(|key| ["stdin", "stdout", "stderr"].contains(key))
            .map(|_| "\"null\"".into())
            .into_iter()
            .collect(),
        DeValue::String(text) => of_text(text, key),
        DeValue::Array(items) => {
            let words: Option<Vec<String>> =
                items.iter().map(|item| as_text(item.get_ref())).collect();
            let Some(words) = words else { return vec![] };
            let sign = if key.is_some_and(|key| key.ends_with("PATH")) { ":" } else { "," };
            // Any other variable may have any sign between its words.
            if words.len() > 1
                && sign == ","
                && key.is_none_or(|key| key.bytes().any(|byte| byte.is_ascii_uppercase()))
            {
                return vec![];
            }
            vec![quoted(&words.join(sign))]
        }
        DeValue::Datetime(date) => vec![quoted(&date.to_string())],
        DeValue::Table(_) => vec![],
    }
}

fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => decimal(number),
        _ => None,
    }
}

/// An integer in the digits of our texts, whatever base it is written in.
fn decimal(number: &DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

fn of_text(text: &str, key: Option<&str>) -> Vec<String> {
    let mut out = vec![];
    let word = text.trim();
    out.extend(word.parse::<i64>().ok().map(|number| number.to_string()));
    out.extend(
        word.parse::<f64>().ok().filter(|number| number.is_finite()).map(|_| word.to_owned()),
    );
    out.extend(match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true".to_owned()),
        "false" | "no" | "off" => Some("false".to_owned()),
        _ => None,
    });
    out.extend(amount(word, key));
    out.extend(count(word));
    out.extend(word.starts_with('E').then(|| quoted(&format!("errno:{word}"))));
    out.push(match key {
        Some("command") => command(text),
        _ => format!("[{}]", quoted(text)),
    });
    out
}

/// A size, a time or a share with its unit in another spelling.
fn amount(text: &str, key: Option<&str>) -> Vec<String> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (digits, unit) = (&text[..end], text[end..].trim().to_ascii_lowercase());
    let Ok(number) = digits.parse::<f64>() else { return vec![] };
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let time = match unit.as_str() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => Some(("s", 1000.0)),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(("m", 60_000.0)),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(("h", 3_600_000.0)),
        "d" | "day" | "days" => Some(("d", 86_400_000.0)),
        "ms" => Some(("ms", 1.0)),
        _ => None,
    };
    let time = time.map(|(unit, millis)| {
        if digits.contains('.') {
            format!("\"{}ms\"", number * millis)
        } else {
            format!("\"{digits}{unit}\"")
        }
    });
    let bytes = shift
        .map(|shift| number * f64::from(1u32 << (shift - 10)) * 1024.0)
        .filter(|bytes| bytes.fract() == 0.0 && *bytes < 1e18);
    // Of the memory a share is a share; of a processor it is a number.
    let share = (unit == "%" && key == Some("cpu")).then(|| (number / 100.0).to_string());
    let size = bytes.map(|bytes| quoted(&Size(bytes as u64).to_string()));
    size.into_iter().chain(time).chain(share).collect()
}

/// A number with a unit of the binary thousands.
fn count(text: &str) -> Option<String> {
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let shift = match unit {
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << shift).map(|number| number.to_string())
}

/// A command line in words; what only a shell understands goes to one.
fn command(text: &str) -> String {
    if text.contains([
        '"', '\'', '\\', '|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '~', '#', '\n',
    ]) {
        return format!("[\"sh\", \"-c\", {}]", quoted(text));
    }
    format!("[{}]", text.split_whitespace().map(quoted).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_other_spellings() {
        for (text, guess) in [
            ("512MB", "\"512M\""),
            ("512 MiB", "\"512M\""),
            ("1.5G", "\"1536M\""),
            ("30", "\"30s\""),
            ("30 seconds", "\"30s\""),
            ("2 hours", "\"2h\""),
            ("1.5 s", "\"1500ms\""),
            ("50%", "0.5"),
        ] {
            assert_eq!(amount(text, Some("cpu")), [guess], "{text}");
        }
        for text in ["", "x", "0.3K", "99999999999T", "50%"] {
            assert!(amount(text, Some("memory")).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_command_line_is_split_only_where_no_shell_is_needed() {
        assert_eq!(command("make -j 4"), "[\"make\", \"-j\", \"4\"]");
        assert_eq!(command("a | b"), "[\"sh\", \"-c\", \"a | b\"]");
    }
}
