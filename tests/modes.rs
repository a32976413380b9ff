//! Every key of the language in every mode: it holds, it is refused at its line, or it is skipped
//! because `optional` says so, and that is reported. One table, `rows`, which the declarations of
//! the sections hold complete: a key without a row does not compile. Every cell is tried on this
//! kernel, as root and as an ordinary user, and docs/modes.md is written from the table.

mod ground;
mod page;
mod rows;
mod table;
mod walk;

use ground::Ground;
use table::Row;

#[test]
fn every_cell_is_so() {
    let ground = Ground::new();
    // MODES=process.umask tries one key, or those of one section.
    let only = std::env::var("MODES").unwrap_or_default();
    let rows: Vec<Row> = rows::all().filter(|row| row.key.starts_with(&only)).collect();
    let wrong = walk::walk(&ground, &rows);
    assert!(
        wrong.is_empty(),
        "{} of the table's cells are not so:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_row_stands_twice() {
    let mut keys: Vec<&str> = rows::all().map(|row| row.key).collect();
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn the_page_is_the_table() {
    page::check();
}
