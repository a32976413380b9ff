//! Words for shells, in commands that people paste.

/// A word that a shell takes for one.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b));
    if plain { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_path_stays_one_word() {
        assert_eq!(shell_word("/opt/my tools/it's"), r"'/opt/my tools/it'\''s'");
        assert_eq!(shell_word("/usr/bin/stockade"), "/usr/bin/stockade");
    }
}
