//! What stays as it is of trees that can be changed, in a few lines.

use crate::inspect::access::stays::{In, Stays};
use crate::inspect::view::flat;
use crate::text::layout::{Paint, Tone, shorten, width, wrap};

/// How many lines there are for directories of which some stay, and how many names in each.
const MOST_LINES: usize = 8;
const MOST_NAMES: usize = 8;
/// How many directories are named of which each one in them stays.
const MOST_EACH: usize = 24;
/// How much of a line its label takes at most.
const LABEL: usize = 26;

/// The section; nothing where nothing stays.
pub(crate) fn text(stays: &Stays, paint: Paint) -> String {
    if stays.directories.is_empty() {
        return String::new();
    }
    let (each, some): (Vec<&In>, Vec<&In>) = stays.directories.iter().partition(|one| one.each);
    let mut rows = vec![];
    if !each.is_empty() {
        let paths = each.iter().map(|one| flat(&one.path)).collect();
        rows.push(("each directory in".to_owned(), named(paths, MOST_EACH, ", ")));
    }
    for one in some.iter().take(MOST_LINES) {
        let names = one.names.iter().map(|name| flat(name)).collect();
        rows.push((
            format!("in {}", shorten(&flat(&one.path), LABEL - 3)),
            named(names, MOST_NAMES, " "),
        ));
    }
    let label = rows.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
    let row = |(first, words): &(String, String)| {
        let gap = " ".repeat(label - width(first));
        wrap(&format!("  {first}{gap}  "), words, label + 4)
    };
    let mut out = paint.tone(Tone::Head, "stays as it is") + "\n";
    out.extend(rows.iter().map(row));
    let more = some.len().saturating_sub(MOST_LINES);
    if more > 0 {
        out += &format!("  and some in {more} more directories\n");
    } else if stays.cut {
        out += "  and what else there is: more than is looked at\n";
    }
    out += &wrap(
        "  ",
        "of other owners, or below their directories (EOVERFLOW); `copy-up` of the entry lets names in \
         such directories be changed. A file of another owner is written to in no directory: where \
         names can be changed, it can be replaced (removed, and made anew)",
        2,
    );
    out + "\n"
}

/// As many of some names as there is room for, and how many more there are.
fn named(names: Vec<String>, most: usize, between: &str) -> String {
    let more = names.len().saturating_sub(most);
    let shown = names.into_iter().take(most).collect::<Vec<_>>().join(between);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
