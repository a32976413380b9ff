//! A page of documentation as data, and its two spellings: Markdown and roff (man(7)). It knows
//! nothing of what the page says.
//!
//! Texts hold one mark, backticks round what is typed.

use crate::text::layout::{Lines, fill};

/// A piece of a page.
pub(super) enum Block {
    /// A heading; 1 is the page's own sections.
    Heading(u8, String),
    Text(String),
    /// A term and its words, so many levels deep in a list.
    Item(u8, String, String),
    /// Lines as they are.
    Code(String),
}

impl Block {
    pub(super) fn text(text: impl Into<String>) -> Block {
        Block::Text(text.into())
    }

    pub(super) fn heading(level: u8, text: impl Into<String>) -> Block {
        Block::Heading(level, text.into())
    }

    pub(super) fn item(depth: u8, term: impl Into<String>, words: impl Into<String>) -> Block {
        Block::Item(depth, term.into(), words.into())
    }
}

/// A page with what heads it.
pub(super) struct Page {
    /// Its name, such as `stockade.toml`.
    pub name: &'static str,
    /// The section of the manual.
    pub section: u8,
    /// What it is, in a few words.
    pub what: &'static str,
    pub blocks: Vec<Block>,
}

/// The page as Markdown.
pub(super) fn markdown(page: &Page) -> String {
    let mut out = format!("# {}\n\n{}.\n", page.name, page.what);
    let mut in_list = false;
    for block in &page.blocks {
        let item = matches!(block, Block::Item(..));
        if !(in_list && item) {
            out.push('\n');
        }
        in_list = item;
        match block {
            Block::Heading(level, text) => {
                line(&mut out, format_args!("{} {text}", "#".repeat(usize::from(*level) + 1)))
            }
            Block::Text(text) => line(&mut out, format_args!("{text}")),
            Block::Item(depth, term, words) => {
                let colon = if words.is_empty() { "" } else { ": " };
                line(
                    &mut out,
                    format_args!(
                        "{:indent$}- {term}{colon}{words}",
                        "",
                        indent = usize::from(*depth) * 2
                    ),
                );
            }
            Block::Code(code) => line(&mut out, format_args!("```\n{code}\n```")),
        }
    }
    out
}

/// Some blocks as text for a screen, without marks.
pub(super) fn plain(blocks: &[Block], width: usize) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Heading(_, text) => line(&mut out, format_args!("{text}\n")),
            Block::Text(text) => {
                let words = text.replace('`', "");
                let lines = Lines { width, indent: 0, end: "" };
                line(&mut out, format_args!("{}\n", fill("", words.split(' '), lines)));
            }
            Block::Item(depth, term, words) => {
                let indent = usize::from(*depth) * 2;
                let words =
                    if words.is_empty() { term.clone() } else { format!("{term}: {words}") };
                let lines = Lines { width, indent: indent + 2, end: "" };
                let words = words.replace('`', "");
                line(
                    &mut out,
                    format_args!("{}", fill(&" ".repeat(indent), words.split(' '), lines)),
                );
            }
            Block::Code(code) => line(&mut out, format_args!("{code}\n")),
        }
    }
    out.trim_end().to_owned()
}

/// The day of the last change of the command or the language, for manual pages.
const DATE: &str = "2026-11-29";

/// The page for man(1).
pub(super) fn roff(page: &Page) -> String {
    let mut out = String::new();
    let title = page.name.to_ascii_uppercase();
    line(
        &mut out,
        format_args!(
            ".TH \"{title}\" {} \"{DATE}\" \"stockade {}\"",
            page.section,
            env!("CARGO_PKG_VERSION")
        ),
    );
    line(
        &mut out,
        format_args!(".SH NAME\n{} \\- {}", escaped(page.name), inline(&lower_first(page.what))),
    );
    let mut depth = 0;
    // A paragraph after a heading needs no break of its own, and mandoc says so.
    let mut fresh = true;
    for block in &page.blocks {
        let wanted = if let Block::Item(depth, ..) = block { *depth } else { 0 };
        while depth != wanted {
            line(&mut out, format_args!("{}", if depth < wanted { ".RS" } else { ".RE" }));
            depth = if depth < wanted { depth + 1 } else { depth - 1 };
        }
        match block {
            // A section's name is typed so, in small letters.
            Block::Heading(1, text) if text.starts_with('[') => {
                line(&mut out, format_args!(".SH {}", inline(text)))
            }
            Block::Heading(1, text) => {
                line(&mut out, format_args!(".SH {}", inline(&text.to_ascii_uppercase())))
            }
            Block::Heading(_, text) => line(&mut out, format_args!(".SS {}", inline(text))),
            Block::Text(text) if fresh => line(&mut out, format_args!("{}", filled(text))),
            Block::Text(text) => line(&mut out, format_args!(".PP\n{}", filled(text))),
            Block::Item(_, term, words) if words.is_empty() => {
                line(&mut out, format_args!(".TP\n{}\n\\&", inline(term)))
            }
            Block::Item(_, term, words) => {
                line(&mut out, format_args!(".TP\n{}\n{}", inline(term), filled(words)))
            }
            Block::Code(code) => {
                let code: Vec<String> = code.lines().map(escaped).collect();
                let apart = if fresh { "" } else { ".PP\n" };
                line(&mut out, format_args!("{apart}.nf\n.RS\n{}\n.RE\n.fi", code.join("\n")));
            }
        }
        fresh = matches!(block, Block::Heading(..));
    }
    (0..depth).for_each(|_| out.push_str(".RE\n"));
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.push_str(&format!("{text}\n"));
}

fn lower_first(text: &str) -> String {
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    first.to_ascii_lowercase() + rest
}

/// A paragraph in lines that fit a screen, as the sources of manuals are. The marks of bold text go
/// from line to line.
fn filled(text: &str) -> String {
    let filled = fill("", inline(text).split(' '), Lines { width: 79, indent: 0, end: "" });
    filled.lines().map(guarded).collect::<Vec<_>>().join("\n")
}

/// Text of a roff line: a dot or an apostrophe at its start would be a request, a bare hyphen not
/// the one that is typed.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('`', "\\(ga")
        .replace('^', "\\(ha")
        .replace('~', "\\(ti");
    guarded(&text)
}

fn guarded(text: &str) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text.to_owned() }
}

/// The same, with what is typed in bold.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            _ if part.is_empty() => {}
            0 => out.push_str(&escaped(part)),
            _ => out.push_str(&format!("\\fB{}\\fR", escaped(part))),
        }
    }
    out
}
