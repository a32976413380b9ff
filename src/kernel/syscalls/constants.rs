//! The kernel's constants by name, from `profiles/constants.txt`. Read only where a profile names
//! one.

use crate::language::read::Why;
use crate::text::problem::suggestion;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../profiles/constants.txt");

/// Its names, in their order, each with the rest of its line.
static LINES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
});

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LINES.iter().map(|(name, _)| *name)
}

/// The value of a text: a constant, a number (decimal, or hexadecimal with `0x`, or octal with
/// `0o`), or some of them with `|` between.
pub(crate) fn value(text: &str) -> Result<u64, Why> {
    text.split('|').map(|word| one(word.trim())).try_fold(0, |all, one| one.map(|one| all | one))
}

fn one(word: &str) -> Result<u64, Why> {
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let number = match (word.strip_prefix("0x"), word.strip_prefix("0o")) {
            (Some(digits), _) => u64::from_str_radix(digits, 16),
            (_, Some(digits)) => u64::from_str_radix(digits, 8),
            _ => word.parse(),
        };
        return number.map_err(|_| {
            Why::not(word, "` is not a number").help("write digits, or 0x and hexadecimal digits")
        });
    }
    let column = usize::from(cfg!(target_arch = "aarch64"));
    let found = LINES.binary_search_by_key(&word, |(name, _)| name).ok().and_then(|index| {
        let mut values = LINES[index].1.split(' ');
        let first = values.next();
        if column == 0 { first } else { values.next().or(first) }
    });
    match found.map(|value| u64::from_str_radix(value.trim_start_matches("0x"), 16)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => {
            Err(Why::not(word, format!("` is not a constant of {}", std::env::consts::ARCH)))
        }
        None => {
            let help = suggestion(word, names()).unwrap_or_else(|| {
                "write the constant's name as the manual page has it, or its number".into()
            });
            Err(Why::of("unknown constant `", word, "`").help(help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_have_values() {
        for (text, is) in [
            ("AF_UNIX", 1),
            ("CLONE_NEWUSER | CLONE_NEWNS", 0x1002_0000),
            ("0x10|1", 0x11),
            ("0o4000", 0o4000),
            ("12", 12),
            ("KEY_SPEC_SESSION_KEYRING", -3i64 as u64),
        ] {
            assert_eq!(value(text), Ok(is), "{text}");
        }
        assert!(value("AF_UNX").unwrap_err().says("did you mean `AF_UNIX`?"));
        assert!(
            value("0xg").is_err()
                && value("").is_err()
                && value("1|").is_err()
                && value("99999999999999999999").is_err()
        );
    }

    #[test]
    fn values_are_those_of_the_c_library() {
        for (name, is) in [
            ("O_DIRECTORY", libc::O_DIRECTORY as u64),
            ("O_NOFOLLOW", libc::O_NOFOLLOW as u64),
            ("O_TMPFILE", libc::O_TMPFILE as u64),
            ("O_DIRECT", libc::O_DIRECT as u64),
            ("PR_SET_MM", libc::PR_SET_MM as u64),
            ("TIOCSTI", libc::TIOCSTI),
            ("KEYCTL_READ", u64::from(libc::KEYCTL_READ)),
            ("AF_VSOCK", libc::AF_VSOCK as u64),
            ("F_SETPIPE_SZ", libc::F_SETPIPE_SZ as u64),
            ("MAP_HUGETLB", libc::MAP_HUGETLB as u64),
        ] {
            assert_eq!(value(name), Ok(is), "{name}");
        }
    }

    #[test]
    fn each_line_is_a_name_and_its_values_in_the_order_of_the_alphabet() {
        let all: Vec<&str> = names().collect();
        assert!(all.len() > 1000 && all.is_sorted_by(|a, b| a < b));
        for (name, values) in LINES.iter() {
            let values: Vec<&str> = values.split(' ').collect();
            let number = |text: &&str| {
                *text == "-" || u64::from_str_radix(text.trim_start_matches("0x"), 16).is_ok()
            };
            assert!((1..=2).contains(&values.len()) && values.iter().all(number), "{name}");
        }
    }
}
