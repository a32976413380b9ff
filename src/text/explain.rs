//! Every code of a problem: its number, a paragraph that says why, a bad example and a good one. It
//! reads texts and knows nothing else.
//!
//! One file per domain, `explain/DOMAIN.txt`. A record begins with `== NUMBER CODE`; the line
//! `-- bad` begins the bad example, with words where it takes more than the text
//! (`-- bad: on Linux 5.10`), and `-- good` the good one. A number is never given anew.

/// The files, in the order of their numbers (01 is the profile, 02 what is put into it, and so on),
/// each with what its codes have before their `::`.
const TEXTS: &[(&[&str], &str)] = &[
    (&["cli", "host", "new", "why"], include_str!("explain/machine.txt")),
    (&["profile"], include_str!("explain/profile.txt")),
    (&["variable", "params"], include_str!("explain/variables.txt")),
    (&["mounts"], include_str!("explain/mounts.txt")),
    (&["programs"], include_str!("explain/programs.txt")),
    (&["process", "name"], include_str!("explain/process.txt")),
    (&["env"], include_str!("explain/env.txt")),
    (&["identity"], include_str!("explain/identity.txt")),
    (&["namespaces"], include_str!("explain/namespaces.txt")),
    (&["capabilities"], include_str!("explain/capabilities.txt")),
    (&["rlimits"], include_str!("explain/rlimits.txt")),
    (&["landlock"], include_str!("explain/landlock.txt")),
    (&["launch"], include_str!("explain/launch.txt")),
    (&["seccomp"], include_str!("explain/seccomp.txt")),
    (&["limits"], include_str!("explain/limits.txt")),
    (&["network"], include_str!("explain/network.txt")),
    (&["changes"], include_str!("explain/changes.txt")),
];

/// The explanation of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Such as `E0301`, or `W0301` for what is only a warning.
    pub number: &'static str,
    /// Such as `mounts::broad`.
    pub code: &'static str,
    /// A paragraph, in one or more lines.
    pub why: &'static str,
    pub bad: Example,
    pub good: &'static str,
}

/// A text that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What it takes besides the text, such as `on Linux 5.10`.
    pub on: Option<&'static str>,
    /// TOML, or a command line after `$ `.
    pub text: &'static str,
}

/// All of them, by their numbers within each domain.
pub fn all() -> impl Iterator<Item = Explanation> {
    TEXTS.iter().flat_map(|(_, text)| text.split("\n== ")).filter_map(read)
}

/// The one of a code, or of a number, whose zeros may be left out, in any case.
pub(crate) fn find(name: &str) -> Option<Explanation> {
    let (letter, digits) = name.split_at_checked(1).unwrap_or_default();
    let number = format!("{letter}{digits:0>4}");
    all().find(|known| {
        known.code.eq_ignore_ascii_case(name) || known.number.eq_ignore_ascii_case(&number)
    })
}

/// Those of a number without its letter, or with a part of a code.
pub(crate) fn like(part: &str) -> Vec<Explanation> {
    let part = part.to_ascii_lowercase();
    if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = format!("{part:0>4}");
        return all().filter(|known| known.number[1..] == digits).collect();
    }
    if part.len() < 3 {
        return vec![];
    }
    all().filter(|known| known.code.contains(&part)).collect()
}

/// The number of a code. It is asked for each problem, and more than once, so it reads no records.
pub fn number(code: &str) -> Option<&'static str> {
    let (domain, _) = code.split_once("::")?;
    let (_, text) = TEXTS.iter().find(|(domains, _)| domains.contains(&domain))?;
    let line = format!(" {code}\n");
    text.match_indices(&line)
        .find_map(|(at, _)| text[..at].rsplit('\n').next()?.strip_prefix("== "))
}

/// Reads one record, less the `\n== ` before it.
fn read(record: &'static str) -> Option<Explanation> {
    let record = record.strip_prefix("== ").unwrap_or(record);
    let (head, body) = record.split_once('\n')?;
    let (number, code) = head.split_once(' ')?;
    let (why, examples) = body.split_once("\n-- bad")?;
    let (bad, good) = examples.split_once("\n-- good\n")?;
    let (on, text) = bad.split_once('\n')?;
    let on = on.strip_prefix(": ");
    Some(Explanation {
        number,
        code,
        why: why.trim(),
        bad: Example { on, text: text.trim_end() },
        good: good.trim_end(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_number_mean_the_same() {
        let broad = find("mounts::broad").unwrap();
        assert_eq!(find(broad.number), Some(broad));
        assert_eq!(find(&broad.number.to_lowercase()), Some(broad));
        assert_eq!(number("mounts::broad"), Some(broad.number));
        assert_eq!(find("e301"), Some(broad));
        assert_eq!(find("Mounts::Broad"), Some(broad));
        assert_eq!(like("301")[0], broad);
        assert!(like("broad").contains(&broad) && like("").is_empty() && like("br").is_empty());
        assert!(find("").is_none() && find("mounts").is_none() && number("E0301").is_none());
    }

    #[test]
    fn every_record_of_every_file_is_read() {
        let heads: usize = TEXTS
            .iter()
            .map(|(_, text)| text.lines().filter(|line| line.starts_with("== ")).count())
            .sum();
        assert_eq!(all().count(), heads);
        // Each is in the file of its domain.
        assert!(all().all(|known| number(known.code) == Some(known.number)));
    }
}
