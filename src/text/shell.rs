//! Words for shells, in commands that people paste.

use crate::text::bytes;

/// A word that a shell takes for one.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b));
    if plain {
        text.into()
    } else if text.chars().any(|c| bytes::byte_of(c).is_some()) {
        format!("$'{}'", text.chars().map(escaped).collect::<String>())
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A character between `$'` and `'`, which shells have taken long before POSIX did (2024).
fn escaped(c: char) -> String {
    match (bytes::byte_of(c), c) {
        (Some(byte), _) => format!("\\x{byte:02x}"),
        (None, '\'' | '\\') => format!("\\{c}"),
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
        assert_eq!(shell_word("/usr/bin/stockade"), "/usr/bin/stockade");
    }
}
