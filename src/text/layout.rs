//! Text as people see it: how wide it is, where its lines break, what is coloured.

use std::io::IsTerminal;
use unicode_width::UnicodeWidthStr;

/// How wide a line may be where the reader's width is not known.
pub const COLUMNS: usize = 80;

/// Whether there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    /// A terminal's sixteen.
    Colour,
}

/// The meaning of a text, shown by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Head,
    /// Harmless, or as it should be.
    Good,
    /// To be looked at.
    Warning,
    /// Wide, or an error.
    Bad,
    /// Wanting.
    Missing,
    /// Beside the point.
    Faint,
}

impl Paint {
    /// Colour for a terminal, unless NO_COLOR is set (no-color.org).
    pub(crate) fn of(stream: &impl IsTerminal) -> Paint {
        let is_asked_for = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if stream.is_terminal() && is_asked_for { Paint::Colour } else { Paint::Plain }
    }

    /// A text in a tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Paint::Plain, _) => return text.into(),
            (Paint::Colour, Tone::Head) => "1",
            (Paint::Colour, Tone::Good) => "32",
            (Paint::Colour, Tone::Warning) => "33",
            (Paint::Colour, Tone::Bad) => "31",
            (Paint::Colour, Tone::Missing) => "1;31",
            (Paint::Colour, Tone::Faint) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The mark of what was left out.
const CUT: &str = "…";

/// A text in at most `most` columns: what is too long loses its middle, visibly.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.into();
    }
    let room = most.saturating_sub(width(CUT));
    // The end of a path says more than its beginning.
    let (head, end) = (room / 3, room - room / 3);
    let take = |chars: &mut dyn Iterator<Item = char>, most: usize| {
        let mut taken = 0;
        chars
            .take_while(|c| {
                taken += width(c.encode_utf8(&mut [0; 4]));
                taken <= most
            })
            .collect::<String>()
    };
    let first = take(&mut text.chars(), head);
    let last: String = take(&mut text.chars().rev(), end).chars().rev().collect();
    format!("{first}{CUT}{last}")
}

/// Where lines break.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'e> {
    /// How wide a line may be.
    pub width: usize,
    /// Where each line after the first begins.
    pub indent: usize,
    /// What marks a line that continues.
    pub end: &'e str,
}

/// Words behind the beginning of a line, in as many lines as they take. A word that is wider than
/// the page has a line of its own.
pub(crate) fn fill<'w>(
    first: &str,
    words: impl IntoIterator<Item = &'w str>,
    page: Lines<'_>,
) -> String {
    let room = page.width - width(page.end);
    let mut out = first.to_owned();
    let mut column = width(first);
    let mut is_fresh = true;
    for word in words {
        let needed = width(word) + usize::from(!is_fresh);
        if column + needed > room && (!is_fresh || column > page.indent) {
            out.truncate(out.trim_end().len());
            out.push_str(&format!("{}\n{:indent$}", page.end, "", indent = page.indent));
            (column, is_fresh) = (page.indent, true);
        }
        if !is_fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width(word);
        is_fresh = false;
    }
    out
}

/// The words of a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Words in lines of at most 80 columns, each after the first with an indent. A word that is too
/// long loses its middle.
pub(crate) fn wrap(first: &str, text: &str, indent: usize) -> String {
    let words: Vec<String> = words(text).map(|word| shorten(word, COLUMNS - indent)).collect();
    let page = Lines { width: COLUMNS, indent, end: "" };
    fill(first, words.iter().map(String::as_str), page) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_lose_their_middle_and_nothing_is_wider_than_it_may_be() {
        assert_eq!(shorten("/usr/lib", 8), "/usr/lib");
        assert_eq!(shorten("/usr/share/doc/x", 10), "/us…/doc/x");
        for text in ["/日本語日本語日本語/日本", "/usr/share/doc/x", "ééééééééééé"]
        {
            for most in 1..20 {
                assert!(
                    width(&shorten(text, most)) <= most,
                    "{text} in {most}: {}",
                    shorten(text, most)
                );
            }
        }
        let text = wrap(
            "label    ",
            &format!(
                "some words {} and more words that go on over the end of the line",
                "x".repeat(200)
            ),
            9,
        );
        assert!(text.lines().all(|line| width(line) <= COLUMNS), "{text}");
    }

    #[test]
    fn lines_break_between_words_alone() {
        let page = |width, indent, end| Lines { width, indent, end };
        let filled = |first, text: &str, page| fill(first, words(text), page);
        assert_eq!(filled("", "one two three", page(7, 0, "")), "one two\nthree");
        assert_eq!(filled("", "a-long-word b", page(4, 0, "")), "a-long-word\nb");
        assert_eq!(filled("name: ", "words", page(8, 2, "")), "name:\n  words");
        assert_eq!(filled("  ", "a-long-word", page(4, 2, "")), "  a-long-word");
        assert_eq!(filled("", "one two three", page(9, 2, " \\")), "one two \\\n  three");
    }

    #[test]
    fn colour_is_for_those_who_want_it() {
        assert_eq!(Paint::Plain.tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint::Colour.tone(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
