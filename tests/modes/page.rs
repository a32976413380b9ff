//! docs/modes.md, from the table.

use crate::modes::rows;
use crate::modes::table::{Cell, Column, Row};
use std::fmt::Write;
use std::path::Path;

const INTRODUCTION: &str = "# Every key in every mode

Not every line of a profile can hold in every sandbox: where the sandbox sees the host's file tree nothing can be mounted, an ordinary user
without a user namespace has no capabilities to give, and an old kernel lacks parts of Landlock. stockade never takes such a line and does
nothing: the line is enforced, or it is refused before the target starts, or `optional` names it and each run reports that it is skipped.

This page is written from the table that the tests walk (`tests/modes`). Each cell is tried on a real kernel, by root and by an ordinary
user, together with its twin, which shows that the same act ends differently without the line.

The modes:

- **own tree**: the default, started by an ordinary user: the sandbox has a file tree of its own.
- **root**: the same, started by root.
- **host tree**: `namespaces.mount = \"host\"`; the other namespaces are new, and Landlock protects the files.
- **Landlock alone**: `namespaces.all = \"host\"` and `network.mode = \"host\"`; started by root also `identity.host = true`.
- **joined**: `namespaces.mount = { join = PATH }`; for an ordinary user `namespaces.user` too.
- **nested**: `namespaces.nested = true`; started by root also `seccomp.set-id = true`, without which it takes no writable bind.
- **nested, listed**: `namespaces.nested = [\"user\", \"pid\", \"net\"]`, which has no \"mount\" in it.
- **no Landlock**: the kernel has none, and the profile says `optional = [\"landlock\"]`.

The words: *enforced*; *refused* with the number that `stockade explain` takes; *skipped* with a warning where
`optional` has the word in brackets, refused without it; *enforced, or skipped* and *enforced, or refused* where it depends on the machine; – where the key has nothing to do
with the mode. Where root and an ordinary user differ, both are named.

A row is the key with a value that has to be enforced, so for some keys a cell names the end of that value: `env.required` is shown with a
variable that the caller lacks, which is refused; `landlock.min-abi` with an ABI that no kernel has, which `optional = [\"landlock\"]` skips.
Where a mode takes one value of a key and refuses another, the other has a row of its own, which names it. A
row `optional.WORD` is that word in `optional`: *skipped* is what the word makes of a protection that the mode cannot have.
";

fn name(column: Column) -> &'static str {
    match column {
        Column::Own => "own tree",
        Column::Root => "root",
        Column::Host => "host tree",
        Column::Alone => "Landlock alone",
        Column::Joined => "joined",
        Column::Nested => "nested",
        Column::Listed => "nested, listed",
        Column::Without => "no Landlock",
    }
}

fn number(code: &str) -> &'static str {
    stockade::internals::text::explain::number(code).unwrap_or_else(|| panic!("no code `{code}`"))
}

fn words(cell: Cell) -> String {
    match cell {
        Cell::Held(_) | Cell::Below(..) => "enforced".into(),
        Cell::Refused(code) | Cell::RefusedLine(_, code) => format!("refused ({})", number(code)),
        Cell::Lacking(_, _, code, "") => format!("refused ({})", number(code)),
        Cell::Skipped(_, word) | Cell::Lacking(_, _, _, word) => format!("skipped (`{word}`)"),
        Cell::Possible(_, code, "") => format!("enforced, or refused ({})", number(code)),
        Cell::Possible(_, _, word) => format!("enforced, or skipped (`{word}`)"),
        Cell::Since(_, since, _) => format!("enforced since Landlock's ABI {since}"),
        Cell::Helped(_) => "enforced, by newuidmap(1)".into(),
        Cell::Same(column) => format!("as {}", name(column)),
        Cell::Nothing(_) => "–".into(),
        Cell::Open(why) => format!("**open**: {why}"),
    }
}

fn cell(row: &Row, column: Column) -> String {
    let said: Vec<String> =
        column.callers().iter().map(|who| words(row.cell(column, *who))).collect();
    match said.as_slice() {
        [user, root] if user != root => format!("user: {user}; root: {root}"),
        all => all[0].clone(),
    }
}

/// The reasons and the words of `plan`, once each, below the table of their section.
fn reasons(row: &Row) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for column in Column::ALL {
        for who in column.callers() {
            let said = match row.cell(column, *who) {
                Cell::Nothing(why) => format!("`{}`, –: {why}", row.key),
                Cell::Since(_, _, words) => {
                    format!("`{}`, where it is not enforced `plan` says: “{words}”", row.key)
                }
                _ => continue,
            };
            if !found.contains(&said) {
                found.push(said);
            }
        }
    }
    found
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, rows) in rows::SECTIONS {
        writeln!(page, "\n## {title}\n").unwrap();
        let heads: Vec<&str> = Column::ALL.into_iter().map(name).collect();
        writeln!(page, "| key | {} |\n| --- |{}", heads.join(" | "), " --- |".repeat(heads.len()))
            .unwrap();
        for row in *rows {
            let cells: Vec<String> =
                Column::ALL.into_iter().map(|column| cell(row, column)).collect();
            writeln!(page, "| `{}` | {} |", row.key, cells.join(" | ")).unwrap();
        }
        let notes: Vec<String> = rows.iter().flat_map(reasons).collect();
        if !notes.is_empty() {
            writeln!(
                page,
                "\n{}",
                notes.iter().map(|note| format!("- {note}")).collect::<Vec<_>>().join("\n")
            )
            .unwrap();
        }
    }
    page
}

pub fn check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/modes.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == page,
        "docs/modes.md is not what the table says: UPDATE=1 cargo test --test all modes::"
    );
}
