//! A plan and an answer for people: text that fits 80 columns, with colour where a terminal asks
//! for it, and the same as JSON.
//!
//! It draws what [`crate::inspect::walls`] and [`crate::inspect::exposure`] say, and finds out
//! nothing by itself.

pub(crate) mod answer;
pub(crate) mod plan;
pub(crate) mod steps;
pub(crate) mod tree;
pub(crate) mod walls;

use crate::text::problem::{Note, escape};
use crate::text::source::{Place, Sources, Span};
use unicode_width::UnicodeWidthStr;

/// How wide a line may be.
pub const COLUMNS: usize = 80;

/// Whether there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    /// A terminal's sixteen.
    Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Head,
    /// Granted, and harmless to the host.
    Good,
    /// Granted, and wide.
    Bad,
    /// Beside the point.
    Faint,
}

impl Paint {
    /// A text in a tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Paint::Plain, _) => return text.into(),
            (Paint::Colour, Tone::Head) => "1",
            (Paint::Colour, Tone::Good) => "32",
            (Paint::Colour, Tone::Bad) => "31",
            (Paint::Colour, Tone::Faint) => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A text for one line: hostile characters are made visible, and so are newline and tab.
pub(crate) fn flat(text: &str) -> String {
    escape(text)
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The mark of what was left out.
const CUT: &str = "…";

/// A text in at most `most` columns: what is too long loses its middle, visibly. The whole is in
/// `--steps` and in JSON.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.into();
    }
    let room = most.saturating_sub(width(CUT));
    // The end tells more than the beginning.
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

/// Words in lines of at most 80 columns, each after the first with an indent. A word that is too
/// long loses its middle.
pub(crate) fn wrap(first: &str, text: &str, indent: usize) -> String {
    let mut out = first.to_owned();
    let mut column = width(first);
    let mut fresh = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shorten(word, COLUMNS - indent);
        let needed = width(&word) + usize::from(!fresh);
        if column + needed > COLUMNS {
            out = out.trim_end().to_owned() + "\n" + &" ".repeat(indent);
            column = indent;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += width(&word);
        fresh = false;
    }
    out + "\n"
}

/// File and line of a span, or that no line asked for it.
pub(crate) fn place_words(at: Span, sources: &Sources) -> String {
    sources.place(at).map_or_else(
        || "by default".into(),
        |Place { file, line, .. }| flat(&format!("{file}:{line}")),
    )
}

/// The whole line of a span, without blanks around it.
pub(crate) fn line_of(at: Span, sources: &Sources) -> Option<String> {
    let source = sources.source(at)?;
    let start = (at.start - source.base) as usize;
    let before = source.text.get(..start)?;
    let first = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.text.get(first..)?.lines().next()?;
    Some(flat(line.trim()))
}

/// A note with its place, as one line.
pub(crate) fn note_line(note: &Note, sources: &Sources) -> String {
    let place = sources.place(note.at).map_or(String::new(), |place| format!("{place}: "));
    escape(&format!("{place}{}", note.text))
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
    fn colour_is_for_those_who_want_it() {
        assert_eq!(Paint::Plain.tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint::Colour.tone(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
