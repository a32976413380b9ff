//! The first line of a script, as execve(2) and env(1) read it.

/// How much of a file the kernel looks at for `#!` (`BINPRM_BUF_SIZE`, binfmts.h); an ELF header
/// fits in it.
pub(crate) const HEAD: usize = 256;

/// The first line of a script, as the kernel splits it (execve(2)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub interpreter: String,
    /// The rest of the line, as one word.
    pub argument: Option<String>,
}

impl Script {
    /// Reads what a file begins with, as fs/binfmt_script.c does: the line ends at the newline; a
    /// name that may be cut off is refused.
    pub(crate) fn read(head: &[u8]) -> Option<Script> {
        let head = &head[..head.len().min(HEAD)];
        let line = head.strip_prefix(b"#!")?;
        let end = line.iter().position(|byte| *byte == b'\n' || *byte == 0);
        let text = std::str::from_utf8(&line[..end.unwrap_or(line.len())]).ok()?;
        let blank = |c| c == ' ' || c == '\t';
        let text = text.trim_matches(blank);
        let (interpreter, argument) = text
            .split_once(blank)
            .map_or((text, ""), |(first, rest)| (first, rest.trim_matches(blank)));
        let cut_off = end.is_none() && head.len() == HEAD && argument.is_empty();
        let argument = (!argument.is_empty()).then(|| argument.to_owned());
        (!interpreter.is_empty() && !cut_off)
            .then(|| Script { interpreter: interpreter.to_owned(), argument })
    }
}

/// The program that `env` starts, of the one argument that the kernel passes (env(1)). Without `-S`
/// it is the program's name.
pub(crate) fn program_of_env(argument: &str) -> Option<String> {
    let mut words: Vec<String> = match argument.starts_with('-') {
        true => split_words(argument)?,
        false => vec![argument.to_owned()],
    };
    words.reverse();
    while let Some(word) = words.pop() {
        match word.as_str() {
            "" => return None,
            "--" => return words.pop(),
            "-u" | "--unset" | "-C" | "--chdir" => drop(words.pop()),
            word if word.starts_with("--") => {
                words.extend(word.strip_prefix("--split-string=").map(str::to_owned))
            }
            // -S may follow other letters, as in -iS, and its text may follow it directly.
            word if word.starts_with('-') => match word.split_once('S') {
                Some((_, text)) if !text.is_empty() => words.push(text.to_owned()),
                _ => {}
            },
            word if word.contains('=') => {}
            _ => return Some(word),
        }
    }
    None
}

/// Words as `env -S` splits them; `None` where a variable would be put in.
fn split_words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (vec![], None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('$', None | Some('"')) => return None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(chars.next()?),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_split_as_the_kernel_does() {
        let line = |text: &str| {
            Script::read(text.as_bytes())
                .map(|script| (script.interpreter, script.argument.unwrap_or_default()))
        };
        let is =
            |interpreter: &str, argument: &str| Some((interpreter.to_owned(), argument.to_owned()));
        assert_eq!(line("#!/bin/sh\necho"), is("/bin/sh", ""));
        assert_eq!(line("#! \t/usr/bin/env  -S a  b \t\nx"), is("/usr/bin/env", "-S a  b"));
        assert_eq!(line("#!/bin/sh"), is("/bin/sh", ""));
        assert_eq!((line("#!\n"), line("/bin/sh\n"), line("")), (None, None, None));
        assert_eq!(line(&format!("#!/{}", "x".repeat(400))), None);
        assert_eq!(
            line(&format!("#!/bin/sh {}", "x".repeat(400))).unwrap().1.len(),
            HEAD - "#!/bin/sh ".len()
        );
    }

    #[test]
    fn env_starts_the_program_that_it_names() {
        let is = |argument: &str| program_of_env(argument);
        assert_eq!(is("python3").as_deref(), Some("python3"));
        assert_eq!(is("-S python3 -u").as_deref(), Some("python3"));
        assert_eq!(is("-Spython3 -u").as_deref(), Some("python3"));
        assert_eq!(is("-iS A=1 'my prog' x").as_deref(), Some("my prog"));
        assert_eq!(is("--split-string=perl -w").as_deref(), Some("perl"));
        assert_eq!(is("-S -u HOME -C / -- awk -f").as_deref(), Some("awk"));
        assert_eq!(is("-S \"a b\"\\ c").as_deref(), Some("a b c"));
        assert_eq!(
            (is(""), is("-S"), is("-S ${X}"), is("-S 'open"), is("-i")),
            (None, None, None, None, None)
        );
        assert_eq!(is("-S # nothing"), None);
    }
}
