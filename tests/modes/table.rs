//! What a cell of the table can say, and that every key of the language has a row: a key without
//! one does not compile.

use crate::support::As;
use stockade::internals::language::section::KeyDoc;

/// A mode: where the target's file tree comes from, who starts the launcher, what the kernel lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// An ordinary user's sandbox with a file tree of its own: the default.
    Own,
    /// The same, started by root.
    Root,
    /// The host's file tree, all other namespaces new.
    Host,
    /// No namespace is new.
    Alone,
    /// The file tree of a mount namespace that is joined.
    Joined,
    /// The target may make namespaces, those of mounts among them.
    Nested,
    /// The target may make namespaces of some kinds, but not of mounts.
    Listed,
    /// The kernel has no Landlock, and the profile says that it may be missing.
    Without,
}

impl Column {
    pub const ALL: [Column; 8] = [
        Column::Own,
        Column::Root,
        Column::Host,
        Column::Alone,
        Column::Joined,
        Column::Nested,
        Column::Listed,
        Column::Without,
    ];

    /// Who starts the launcher.
    pub fn callers(self) -> &'static [As] {
        match self {
            Column::Own => &[As::User],
            Column::Root => &[As::Root],
            _ => &[As::User, As::Root],
        }
    }
}

/// A line of the profile, and an act whose output shows whether it holds. In all texts `{P}` is the
/// test's directory, `{W}` one below it that every mode grants for writing, `{D}` a device node,
/// `{H}` in lines, and `$HOLDER` outside, a process whose namespaces can be joined, `{A}` the name
/// of an abstract socket, `{G}` a control group, `{id}` a number that no other act has.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Lines of the profile with dotted keys. One that the mode's own profile has as well replaces
    /// it.
    pub line: &'static str,
    /// What the twin has in their place.
    pub twin: &'static str,
    /// A line of sh(1) that runs inside.
    pub inside: &'static str,
    /// A line of sh(1) that runs outside, where `$RUN` starts the sandbox; empty: the line that
    /// runs inside is all.
    pub outside: &'static str,
    /// What it prints if the line holds, or alternatives with `|` between; ` status N` follows if
    /// the status is not 0.
    pub held: &'static str,
    /// What the twin prints.
    pub bare: &'static str,
}

/// The twin prints something that is not what the line makes it print.
pub const OTHER: &str = "\0other";

pub const fn act(
    line: &'static str,
    inside: &'static str,
    held: &'static str,
    bare: &'static str,
) -> Act {
    Act { line, twin: "", inside, outside: "", held, bare }
}

/// An act that is looked at from outside.
pub const fn watched(
    line: &'static str,
    outside: &'static str,
    held: &'static str,
    bare: &'static str,
) -> Act {
    Act { line, twin: "", inside: "", outside, held, bare }
}

impl Act {
    /// The twin has these lines.
    pub const fn against(self, twin: &'static str) -> Act {
        Act { twin, ..self }
    }
}

/// A kernel that is as old as it is made to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Its Landlock has at most this ABI; 0: it has none.
    Landlock(u32),
    /// keyctl(2) is refused, as by the filter of a container.
    WithoutKeyctl,
    /// /proc/sys is read-only, as in a container.
    ReadOnlySysctls,
}

/// What becomes of a line in a mode.
#[derive(Debug, Clone, Copy)]
pub enum Cell {
    /// It holds, as the act shows.
    Held(Act),
    /// The problem's code.
    Refused(&'static str),
    /// The same of another line than the row's.
    RefusedLine(&'static str, &'static str),
    /// The problem's code, and the word of `optional` with which the run continues without it and
    /// reports that.
    Skipped(&'static str, &'static str),
    /// The line, a kernel that lacks something, and, there, the problem's code and the word of
    /// `optional`; without a word none helps.
    Lacking(&'static str, Kernel, &'static str, &'static str),
    /// It holds where the machine can, else it is [`Cell::Skipped`]; without a word it is refused.
    Possible(Act, &'static str, &'static str),
    /// It holds since this ABI of Landlock; before, `plan` says these words.
    Since(Act, u32, &'static str),
    /// It holds. Where the ceiling of this limit, by its number, is 0 for the tests, the second act
    /// shows it, and who may not raise the ceiling (CAP_SYS_RESOURCE) is refused.
    Below(Act, Act, u32),
    /// It holds where newuidmap(1) and newgidmap(1) serve the caller, who must have a line in
    /// /etc/passwd.
    Helped(Act),
    /// What is so in another column; the kernel without Landlock of these tests has no set-id
    /// programs.
    Same(Column),
    /// The key has nothing to do with the mode, for this reason.
    Nothing(&'static str),
    /// Nobody has tried, for this reason: what a new row says at first.
    #[allow(dead_code, reason = "the aim is that no cell says it")]
    Open(&'static str),
}

/// A key and what becomes of it in every mode.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Section and key, with dots between; of a mount its kind and its key.
    pub key: &'static str,
    /// The line, for the cells that attempt nothing.
    pub line: &'static str,
    /// By column, then by caller: the user, root.
    cells: [[Cell; 2]; 8],
}

/// A key that is the same in every mode.
pub const fn row(key: &'static str, act: Act) -> Row {
    Row { key, line: act.line, cells: [[Cell::Held(act); 2]; 8] }
}

/// A key that no act shows.
pub const fn plain(key: &'static str, line: &'static str, cell: Cell) -> Row {
    Row { key, line, cells: [[cell; 2]; 8] }
}

/// A key of `[mounts]`: nothing is mounted in the tree of the host or of a namespace that is
/// joined.
pub const fn mount(key: &'static str, act: Act) -> Row {
    let refused = Cell::Refused("namespaces::mount");
    row(key, act)
        .but(Column::Host, refused)
        .but(Column::Alone, refused)
        .but(Column::Joined, refused)
}

impl Row {
    /// For both callers.
    pub const fn but(self, column: Column, cell: Cell) -> Row {
        self.user(column, cell).root(column, cell)
    }

    pub const fn user(mut self, column: Column, cell: Cell) -> Row {
        self.cells[column as usize][0] = cell;
        self
    }

    pub const fn root(mut self, column: Column, cell: Cell) -> Row {
        self.cells[column as usize][1] = cell;
        self
    }

    pub fn cell(&self, column: Column, who: As) -> Cell {
        self.cells[column as usize][usize::from(who == As::Root)]
    }
}

/// Whether `key` is `section`, a dot (none for the top), and the field's name with `-` for `_`.
const fn is_key(key: &str, section: &str, field: &str) -> bool {
    let (key, section, field) = (key.as_bytes(), section.as_bytes(), field.as_bytes());
    let dot = if section.is_empty() { 0 } else { 1 };
    if key.len() != section.len() + dot + field.len() {
        return false;
    }
    let mut at = 0;
    while at < key.len() {
        let wanted = if at < section.len() {
            section[at]
        } else if dot == 1 && at == section.len() {
            b'.'
        } else if field[at - section.len() - dot] == b'_' {
            b'-'
        } else {
            field[at - section.len() - dot]
        };
        if key[at] != wanted {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether a row of that name is among these.
pub const fn has(rows: &[Row], section: &str, field: &str) -> bool {
    let mut at = 0;
    while at < rows.len() {
        if is_key(rows[at].key, section, field) {
            return true;
        }
        at += 1;
    }
    false
}

/// Stops the compiler at a key of the declaration that has no row.
pub const fn every_key(rows: &[Row], section: &str, keys: &[KeyDoc]) {
    let mut at = 0;
    while at < keys.len() {
        if !has(rows, section, keys[at].field) {
            panic!("{}", keys[at].field);
        }
        at += 1;
    }
}

/// The same of names.
pub const fn every_name(rows: &[Row], section: &str, names: &[&str]) {
    let mut at = 0;
    while at < names.len() {
        if !has(rows, section, names[at]) {
            panic!("{}", names[at]);
        }
        at += 1;
    }
}
