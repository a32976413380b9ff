//! Words for shells, in commands that people paste.

use crate::text::bytes;
use crate::text::problem::is_hostile;

/// A word that a shell takes for one.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b));
    if plain {
        text.into()
    } else if text.chars().any(is_escaped) {
        format!("$'{}'", text.chars().map(escaped).collect::<String>())
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a character does not stay what it is on its way to a terminal and back.
fn is_escaped(c: char) -> bool {
    matches!(c, '\n' | '\t') || is_hostile(c)
}

/// A character between `$'` and `'`, which shells have taken long before POSIX did (2024).
fn escaped(c: char) -> String {
    match (bytes::byte_of(c), c) {
        (Some(byte), _) => format!("\\x{byte:02x}"),
        (None, '\'' | '\\') => format!("\\{c}"),
        // By its bytes: not every shell knows `\u`.
        (None, c) if is_escaped(c) => {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer).bytes().map(|byte| format!("\\x{byte:02x}")).collect()
        }
        (None, _) => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_path_stays_one_word() {
        assert_eq!(shell_word("/opt/my tools/it's"), r"'/opt/my tools/it'\''s'");
        assert_eq!(shell_word(&bytes::text(b"caf\xe9's \\")), r"$'caf\xe9\'s \\'");
        assert_eq!(shell_word("a\nb\u{1b}\u{202e}'"), r"$'a\x0ab\x1b\xe2\x80\xae\''");
        assert_eq!(shell_word("/usr/bin/stockade"), "/usr/bin/stockade");
    }
}
